/* contract.c: what the programs here do when core finds a broken contract. */
#include "core/contract.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void contract_failed(const char *kind, const char *expression,
                               const char *file, int line)
{
    fprintf(stderr, "%s:%d: %s: %s\n", file, line, kind, expression);
    abort();
}
