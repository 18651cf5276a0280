/* Plans: what is drawn can be read again, and what is wrong is named. */
#include "core/test/req.h"
#include "sim/plan.h"
#include "sim/sim.h"

#include <stdlib.h>
#include <string.h>

static void a_drawn_plan_is_read_as_it_was_printed(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct plan drawn, read;
        char error[160];
        plan_draw(&drawn, seed);
        char *text = plan_print(&drawn);
        assert_true(plan_read(&read, text, error, sizeof error));
        char *again = plan_print(&read);
        assert_string_equal(text, again);
        assert_int_equal(read.act_count, drawn.act_count);
        for (size_t i = 0; i < drawn.act_count; i++) {
            const struct act *a = &drawn.acts[i], *b = &read.acts[i];
            assert_true(a->at_us == b->at_us && a->kind == b->kind &&
                        a->site == b->site && a->variety == b->variety &&
                        a->amount == b->amount);
        }
        free(text);
        free(again);
        plan_free(&drawn);
        plan_free(&read);
    }
}

static void the_same_seed_draws_the_same_plan(void **state)
{
    (void)state;
    struct plan plans[3];
    char *texts[3];

    for (size_t i = 0; i < 3; i++) {
        plan_draw(&plans[i], i == 2 ? 10 : 9);
        texts[i] = plan_print(&plans[i]);
    }
    assert_string_equal(texts[0], texts[1]);
    assert_string_not_equal(texts[0], texts[2]);
    for (size_t i = 0; i < 3; i++) {
        free(texts[i]);
        plan_free(&plans[i]);
    }
}

static void every_kind_is_drawn_and_every_kind_is_left_out(void **state)
{
    (void)state;
    uint32_t with[ACT_KINDS] = {0}, few = 0, some = 0, many = 0;

    for (uint64_t seed = 0; seed < 2000; seed++) {
        struct plan plan;
        bool here[ACT_KINDS] = {false};
        plan_draw(&plan, seed);
        uint64_t last_us = 0;
        for (size_t i = 0; i < plan.act_count; i++) {
            const struct act *act = &plan.acts[i];
            const struct act_shape *shape = act_shape(act->kind);
            here[act->kind] = true;
            assert_true(act->at_us >= last_us);
            assert_true(act->site < plan.sites);
            assert_true(act->variety <
                        (shape->varieties > 0 ? shape->varieties : 1));
            last_us = act->at_us;
        }
        for (size_t i = 0; i < ACT_KINDS; i++) {
            with[i] += here[i];
        }
        few += plan.sites <= 4;
        some += plan.sites > 4 && plan.sites <= 20;
        many += plan.sites >= 200;
        plan_free(&plan);
    }
    for (size_t i = 0; i < ACT_KINDS; i++) {
        assert_in_range(with[i], 100, i == ACT_AGENT_START ? 2000 : 1999);
    }
    assert_true(few > 1600 && some > 50 && many > 0 && many < 40);
}

static void a_plan_may_be_written_by_hand(void **state)
{
    (void)state;
    struct plan plan;
    char error[160] = "";

    assert_true(plan_read(&plan,
                          "# a story\n"
                          "\n"
                          "seed 7   # of all draws\r\n"
                          "sites 2\n"
                          "permutes\n"
                          "  900.250\tlink-cut 1 server-reset 10\n"
                          "120 client 0 get 1048576\n"
                          "120 engine-kill 1 0\n"
                          "5 no-memory 3 1\n"
                          "0 agent-kill 1 vanishes 0",
                          error, sizeof error));
    assert_int_equal(plan.seed, 7);
    assert_int_equal(plan.sites, 2);
    assert_true(plan.permutes);
    assert_false(plan.rough);
    assert_int_equal(plan.phase_us, 60 * SIM_S);
    assert_int_equal(plan.act_count, 5);
    assert_int_equal(plan.acts[0].kind, ACT_AGENT_KILL);
    assert_int_equal(plan.acts[0].variety, 1);
    assert_int_equal(plan.acts[1].variety, 3);
    assert_int_equal(plan.acts[2].kind, ACT_CLIENT);
    assert_int_equal(plan.acts[2].amount, 1048576);
    assert_int_equal(plan.acts[3].kind, ACT_ENGINE_KILL);
    assert_int_equal(plan.acts[4].at_us, 900250);
    plan_free(&plan);
}

static void what_is_wrong_is_named_with_its_line_and_remedy(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"seed x\n", "line 1: seed takes one number"},
        {"seed 18446744073709551616\n", "line 1: seed takes one number"},
        {"\nsites 0\n", "line 2: sites takes a number, 1 to 2000"},
        {"sites 2001\n", "line 1: sites takes a number, 1 to 2000"},
        {"phase-ms\n", "line 1: phase-ms takes one number"},
        {"permutes yes\n", "line 1: permutes stands alone on its line"},
        {"sede 4\n", "line 1: 'sede' is neither an option"},
        {"12.5 server-stop 5\n", "line 1: '12.5' is neither an option"},
        {"12\n", "line 1: no act is called ''"},
        {"0 explode 0\n", "line 1: no act is called 'explode'"},
        {"0 revoke\n", "line 1: revoke takes 1 words after it, not 0"},
        {"0 client 0 get\n", "line 1: client takes 3 words after it, not 2"},
        {"0 client 0 fetch 5\n",
         "line 1: client has no variety 'fetch'; try ping"},
        {"0 no-memory x 5\n",
         "line 1: no-memory has no variety 'x'; try a number"},
        {"0 revoke a\n", "line 1: 'a' is no site; give its number"},
        {"0 server-stop -1\n", "line 1: '-1' is no amount; give a number"},
        {"seed 1\n0 revoke 1\n", "revoke at 0 ms names site 1 of 1"},
        {"0 client 0 get 5 6 7 8\n", "line 1: too long"},
        {"0 revoke aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
         "line 1: too long"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct plan plan;
        char error[160] = "";
        assert_false(plan_read(&plan, cases[i].text, error, sizeof error));
        if (strstr(error, cases[i].error) == NULL) {
            fail_msg("for %s got: %s", cases[i].text, error);
        }
    }
}

static void a_copy_keeps_what_it_is_told_to(void **state)
{
    (void)state;
    struct plan plan, copy;
    char error[160];
    const bool keep[] = {true, false, true};

    assert_true(plan_read(&plan, "0 revoke 0\n1 rotate 0\n2 delete 0\n", error,
                          sizeof error));
    plan_copy(&copy, &plan, keep);
    assert_int_equal(copy.act_count, 2);
    assert_int_equal(copy.acts[1].kind, ACT_DELETE);
    plan_free(&copy);
    plan_copy(&copy, &plan, NULL);
    assert_int_equal(copy.act_count, 3);
    plan_free(&copy);
    plan_free(&plan);
}

static const struct CMUnitTest tests[] = {
    REQ("Q-04", a_drawn_plan_is_read_as_it_was_printed),
    REQ("Q-04", the_same_seed_draws_the_same_plan),
    REQ("Q-04", every_kind_is_drawn_and_every_kind_is_left_out),
    REQ("Q-04", a_plan_may_be_written_by_hand),
    REQ("Q-04", what_is_wrong_is_named_with_its_line_and_remedy),
    REQ("Q-04", a_copy_keeps_what_it_is_told_to),
};
RUN(tests)
