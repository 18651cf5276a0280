/* mutant_none.c: the core as it is. */
#include "sim/mutant.h"

unsigned core_mutant = 0;
const struct mutant_row mutant_rows[] = {{"", ""}};
const unsigned mutant_count = 0;
