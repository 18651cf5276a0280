/* contract.c: a broken contract is a find. */
#include "core/contract.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void contract_failed(const char *kind, const char *expression,
                               const char *file, int line)
{
    fprintf(stderr, "broken: %s: %s, %s:%d\n", kind, expression, file, line);
    abort();
}
