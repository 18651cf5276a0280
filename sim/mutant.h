/* mutant.h: the known bugs that a program is linked with (sim/mutants/).
 *
 * orthrus-sim has none: mutant_count is 0.
 */
#ifndef SIM_MUTANT_H
#define SIM_MUTANT_H

struct mutant_row {
    const char *name;
    const char *what; /* is wrong, one line */
};

extern const struct mutant_row mutant_rows[]; /* [1..mutant_count] */
extern const unsigned mutant_count;
extern unsigned core_mutant; /* 0: none; else a row */

#endif
