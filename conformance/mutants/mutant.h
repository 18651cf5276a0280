/* mutant.h: the one thing that this peer does wrong, chosen at its start.
 *
 * The id of a mutant is that of the case which must catch it.
 */
#ifndef CONFORMANCE_MUTANTS_MUTANT_H
#define CONFORMANCE_MUTANTS_MUTANT_H

#include <stdbool.h>

struct mutant_row {
    const char *id;
    const char *defect; /* what the peer does then */
};

extern const struct mutant_row mutant_table[]; /* ends with an empty row */

/* False: no such mutant. */
bool mutant_select(const char *id);

/* Is this the chosen one? Without mutant_select(): never. */
bool mutant(const char *id);

#endif
