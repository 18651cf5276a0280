/* yamux-mutant: a yamux peer that does what it should, or one thing wrong. */
#include <stdio.h>
#include <string.h>

#include "conformance/mutants/mutant.h"
#include "conformance/mutants/peer.h"

static const char name[] = "yamux-mutant";

static int list(void)
{
    for (const struct mutant_row *row = mutant_table; row->id != NULL; row++)
        printf("%s\t%s\n", row->id, row->defect);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--list") == 0)
        return list();
    if (argc > 2 && strcmp(argv[1], "--mutant") == 0) {
        if (!mutant_select(argv[2])) {
            fprintf(stderr, "%s: no mutant %s; --list shows them\n", name,
                    argv[2]);
            return 2;
        }
        argv += 2;
        argc -= 2;
    }
    return peer_main(name, argc, argv);
}
