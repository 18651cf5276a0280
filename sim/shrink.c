#include "sim/shrink.h"

#include <stdlib.h>

#include "core/contract.h"
#include "sim/sim.h"

static bool fails(struct shrink *shrink, const struct plan *plan)
{
    if (shrink->runs >= shrink->runs_max) {
        return false;
    }
    shrink->runs++;
    return shrink->fails(shrink->user, plan);
}

static void replace(struct plan *plan, const struct plan *by)
{
    plan_free(plan);
    *plan = *by;
}

/* Leave out the acts first..first+count-1, if it still fails without them. */
static bool leave_out(struct shrink *shrink, struct plan *plan, size_t first,
                      size_t count)
{
    bool *keep = malloc((plan->act_count + 1) * sizeof *keep);
    struct plan less;

    REQUIRE(keep != NULL);
    for (size_t i = 0; i < plan->act_count; i++) {
        keep[i] = i < first || i >= first + count;
    }
    plan_copy(&less, plan, keep);
    free(keep);
    if (!fails(shrink, &less)) {
        plan_free(&less);
        return false;
    }
    replace(plan, &less);
    return true;
}

static bool shrink_acts(struct shrink *shrink, struct plan *plan)
{
    bool smaller = false;

    for (size_t count = (plan->act_count + 1) / 2; count > 0; count /= 2) {
        /* from the end: what comes last depends on most */
        for (size_t end = plan->act_count; end > 0;) {
            size_t first = end > count ? end - count : 0;
            smaller = leave_out(shrink, plan, first, end - first) || smaller;
            end = first;
        }
    }
    return smaller;
}

/* One change of one copy. */
static bool takes(struct shrink *shrink, struct plan *plan, struct plan *other)
{
    if (!fails(shrink, other)) {
        plan_free(other);
        return false;
    }
    replace(plan, other);
    return true;
}

static bool shrink_amount(struct shrink *shrink, struct plan *plan, size_t act)
{
    uint64_t amount = plan->acts[act].amount;
    const uint64_t smaller[] = {0, 1, amount / 16, amount / 2};

    for (size_t i = 0; i < sizeof smaller / sizeof *smaller; i++) {
        struct plan other;
        if (smaller[i] >= amount) {
            continue;
        }
        plan_copy(&other, plan, NULL);
        other.acts[act].amount = smaller[i];
        if (takes(shrink, plan, &other)) {
            return true;
        }
    }
    return false;
}

static bool shrink_amounts(struct shrink *shrink, struct plan *plan)
{
    bool smaller = false;

    for (size_t i = 0; i < plan->act_count; i++) {
        smaller = shrink_amount(shrink, plan, i) || smaller;
    }
    return smaller;
}

static uint32_t sites_in_use(const struct plan *plan)
{
    uint32_t sites = 1;

    for (size_t i = 0; i < plan->act_count; i++) {
        if (plan->acts[i].site >= sites) {
            sites = plan->acts[i].site + 1;
        }
    }
    return sites;
}

static void shrink_options(struct shrink *shrink, struct plan *plan)
{
    struct plan other;
    uint64_t last_us =
        plan->act_count > 0 ? plan->acts[plan->act_count - 1].at_us : 0;

    plan_copy(&other, plan, NULL);
    other.permutes = false;
    takes(shrink, plan, &other);
    plan_copy(&other, plan, NULL);
    other.rough = false;
    takes(shrink, plan, &other);
    plan_copy(&other, plan, NULL);
    other.sites = sites_in_use(plan);
    takes(shrink, plan, &other);
    plan_copy(&other, plan, NULL);
    other.phase_us = last_us - last_us % SIM_MS + SIM_MS;
    takes(shrink, plan, &other);
}

void shrink_plan(struct shrink *shrink, struct plan *plan)
{
    bool smaller = true;

    shrink->runs = 0;
    shrink_options(shrink, plan);
    for (uint32_t i = 0; i < 8 && smaller; i++) {
        smaller = shrink_acts(shrink, plan);
        smaller = shrink_amounts(shrink, plan) || smaller;
    }
    shrink_options(shrink, plan);
}
