/* shrink.h: a failing plan made small: delta debugging (Zeller, Hildebrandt
 * 2002) over its acts, then over their amounts and the plan's options.
 */
#ifndef SIM_SHRINK_H
#define SIM_SHRINK_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/plan.h"

struct shrink {
    bool (*fails)(void *user, const struct plan *plan); /* in the same way */
    void *user;
    uint32_t runs_max; /* of fails(); then what there is must do */
    uint32_t runs;     /* out */
};

/* plan fails; make it smaller as long as it does. */
void shrink_plan(struct shrink *shrink, struct plan *plan);

#endif
