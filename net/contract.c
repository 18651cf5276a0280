#include "core/contract.h"

#include <stdlib.h>

#include "net/log.h"

_Noreturn void contract_failed(const char *kind, const char *expression,
                               const char *file, int line)
{
    log_line(LOG_ERROR, "contract_failed", log_string("kind", kind),
             log_string("expression", expression), log_string("file", file),
             log_int("line", line));
    abort();
}
