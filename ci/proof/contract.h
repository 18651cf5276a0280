/* contract.h: for a proof, a broken contract is an alarm like any other. */
#ifndef CI_PROOF_CONTRACT_H
#define CI_PROOF_CONTRACT_H

#include "core/contract.h"
#include <__fc_builtin.h>

void contract_failed(const char *kind, const char *expression, const char *file,
                     int line)
{
    (void)kind;
    (void)expression;
    (void)file;
    (void)line;
    /*@ assert contract: \false; */
    Frama_C_abort();
}

#endif
