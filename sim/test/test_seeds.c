/* A fixed set of worlds: none fails, and each is the same a second time. */
#include "core/test/req.h"
#include "sim/plan.h"
#include "sim/world.h"

#include <inttypes.h>

#define SEEDS 200u

static uint64_t hash_of(uint64_t seed)
{
    struct plan plan;
    struct world_result result;
    struct sim_failure failure;

    plan_draw(&plan, seed);
    bool good = world_run(&plan, NULL, &result, &failure);
    plan_free(&plan);
    if (!good) {
        fail_msg("orthrus-sim --seed %" PRIu64 ": %s: %s", seed, failure.oracle,
                 failure.message);
    }
    return result.hash;
}

static void no_seed_fails(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        hash_of(seed);
    }
}

static void a_seed_is_one_world(void **state)
{
    (void)state;
    uint64_t first = hash_of(1);

    assert_true(hash_of(2) != first);
    assert_true(hash_of(1) == first);
}

static const struct CMUnitTest tests[] = {
    REQ("Q-04", no_seed_fails),
    REQ("Q-04", a_seed_is_one_world),
};
RUN(tests)
