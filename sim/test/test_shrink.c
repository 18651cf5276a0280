/* Shrinking: what a failure does not need is left out, and no more. */
#include "core/test/req.h"
#include "sim/shrink.h"
#include "sim/sim.h"

#include <string.h>

struct rule { /* fails while both of these acts are there, one of this size */
    enum act_kind first, second;
    uint64_t amount;
    uint32_t runs;
};

static bool fails(void *user, const struct plan *plan)
{
    struct rule *rule = user;
    bool first = false, second = false;

    rule->runs++;
    for (size_t i = 0; i < plan->act_count; i++) {
        const struct act *act = &plan->acts[i];
        first =
            first || (act->kind == rule->first && act->amount >= rule->amount);
        second = second || (first && act->kind == rule->second);
    }
    return second;
}

static void a_plan_is_left_with_what_fails(void **state)
{
    (void)state;
    uint32_t shrunk = 0;

    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct rule rule = {ACT_CLIENT, ACT_LINK_CUT, 5, 0};
        struct shrink shrink = {
            .fails = fails, .user = &rule, .runs_max = 2000};
        struct plan plan;
        plan_draw(&plan, seed);
        if (fails(&rule, &plan)) {
            shrink_plan(&shrink, &plan);
            assert_int_equal(plan.act_count, 2);
            assert_int_equal(plan.acts[0].kind, ACT_CLIENT);
            assert_in_range(plan.acts[0].amount, 5, 10);
            assert_int_equal(plan.acts[1].kind, ACT_LINK_CUT);
            assert_false(plan.rough || plan.permutes);
            assert_true(plan.phase_us > plan.acts[1].at_us);
            assert_true(plan.sites > plan.acts[0].site);
            assert_true(rule.runs <= 2001);
            shrunk++;
        }
        plan_free(&plan);
    }
    assert_true(shrunk >= 10);
}

static void shrinking_ends_when_it_has_run_enough(void **state)
{
    (void)state;
    struct rule rule = {ACT_AGENT_START, ACT_AGENT_START, 0, 0};
    struct shrink shrink = {.fails = fails, .user = &rule, .runs_max = 7};
    struct plan plan;

    plan_draw(&plan, 3);
    shrink_plan(&shrink, &plan);
    assert_int_equal(rule.runs, 7);
    assert_int_equal(shrink.runs, 7);
    assert_true(fails(&rule, &plan));
    plan_free(&plan);
}

static const struct CMUnitTest tests[] = {
    REQ("Q-04", a_plan_is_left_with_what_fails),
    REQ("Q-04", shrinking_ends_when_it_has_run_enough),
};
RUN(tests)
