/* yamux-host: this project's own engine as a peer that yamuxspec can judge. */
#include <stdio.h>
#include <stdlib.h>

#include "conformance/mutants/peer.h"
#include "core/contract.h"

_Noreturn void contract_failed(const char *kind, const char *expression,
                               const char *file, int line)
{
    fprintf(stderr, "%s:%d: %s: %s\n", file, line, kind, expression);
    abort();
}

int main(int argc, char **argv)
{
    return peer_main("yamux-host", argc, argv);
}
