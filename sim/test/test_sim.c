/* The kernel: chances, tasks in their order, memory, trace, and failure. */
#include "core/contract.h"
#include "core/test/req.h"
#include "sim/process.h"
#include "sim/sim.h"

#include <string.h>

static struct sim *world(uint64_t seed, bool permutes)
{
    struct sim_config config = {.seed = seed, .permutes = permutes};

    return sim_new(&config);
}

/* ---- chance -------------------------------------------------------------- */

static void a_chance_is_named_by_seed_purpose_and_index(void **state)
{
    (void)state;
    struct chance one = chance_of(7, "client", 3);
    struct chance same = chance_of(7, "client", 3);
    struct chance others[] = {chance_of(8, "client", 3),
                              chance_of(7, "engine", 3),
                              chance_of(7, "client", 4)};
    uint64_t first = chance_next(&one);

    assert_int_equal(chance_next(&same), first);
    for (size_t i = 0; i < 3; i++) {
        assert_int_not_equal(chance_next(&others[i]), first);
    }
}

static void a_chance_stays_within_its_bounds(void **state)
{
    (void)state;
    struct chance chance = chance_of(1, "bounds", 0);
    bool met[5] = {false};

    for (size_t i = 0; i < 1000; i++) {
        uint64_t between = chance_between(&chance, 10, 14);
        assert_in_range(between, 10, 14);
        met[between - 10] = true;
        assert_true(chance_below(&chance, 3) < 3);
        assert_true(chance_size(&chance, 1000) <= 1000);
        assert_int_equal(chance_size(&chance, 0), 0);
    }
    for (size_t i = 0; i < 5; i++) {
        assert_true(met[i]);
    }
    assert_false(chance_in(&chance, 0, 5));
    assert_true(chance_in(&chance, 5, 5));
    chance_between(&chance, 0, UINT64_MAX);
}

static void a_size_meets_its_edges_and_every_magnitude(void **state)
{
    (void)state;
    struct chance chance = chance_of(1, "size", 0);
    uint32_t zero = 0, one = 0, most = 0, small = 0, large = 0;

    for (size_t i = 0; i < 2000; i++) {
        uint64_t size = chance_size(&chance, 1000000);
        zero += size == 0;
        one += size == 1;
        most += size == 1000000;
        small += size > 1 && size < 1000;
        large += size >= 1000 && size < 1000000;
    }
    assert_true(zero > 20 && one > 20 && most > 20);
    assert_true(small > 400 && large > 400);
}

static void a_weight_of_0_is_never_drawn(void **state)
{
    (void)state;
    struct chance chance = chance_of(1, "weight", 0);
    const uint32_t weights[] = {0, 1, 0, 99, 0};
    uint32_t met[5] = {0};

    for (size_t i = 0; i < 1000; i++) {
        met[chance_weighted(&chance, weights, 5)]++;
    }
    assert_int_equal(met[0] + met[2] + met[4], 0);
    assert_true(met[1] > 0 && met[3] > 900);
}

/* ---- tasks --------------------------------------------------------------- */

struct note {
    struct task task;
    char *log;
    char name;
};

static void note_runs(void *user)
{
    struct note *note = user;
    size_t length = strlen(note->log);

    note->log[length] = note->name;
    note->log[length + 1] = '\0';
}

static void notes_init(struct note *notes, size_t count, struct sim *sim,
                       char *log)
{
    for (size_t i = 0; i < count; i++) {
        task_init(&notes[i].task, sim, note_runs, &notes[i]);
        notes[i].log = log;
        notes[i].name = (char)('a' + i % 26);
    }
}

static void tasks_run_by_time_then_in_the_order_they_were_set(void **state)
{
    (void)state;
    struct sim *sim = world(1, false);
    char log[16] = "";
    struct note notes[5];

    notes_init(notes, 5, sim, log);
    task_set(&notes[0].task, 30);
    task_set(&notes[1].task, 10);
    task_set(&notes[2].task, 10);
    task_set(&notes[3].task, 20);
    task_set(&notes[1].task, 10); /* set again: behind its equal */
    while (sim_step(sim, 20)) {
    }
    assert_string_equal(log, "cbd");
    assert_int_equal(sim_now_us(sim), 20);
    assert_true(sim_step(sim, SIM_NEVER));
    assert_int_equal(sim_now_us(sim), 30);
    assert_false(sim_step(sim, SIM_NEVER));
    assert_false(sim_step(sim, 99));
    assert_int_equal(sim_now_us(sim), 99);
    assert_int_equal(sim_steps(sim), 4);
    sim_free(sim);
}

static void a_task_can_be_hastened_delayed_and_stopped(void **state)
{
    (void)state;
    struct sim *sim = world(1, false);
    char log[16] = "";
    struct note notes[4];

    notes_init(notes, 4, sim, log);
    task_set(&notes[0].task, 10);
    task_by(&notes[0].task, 50); /* earlier already */
    task_set(&notes[1].task, 40);
    task_by(&notes[1].task, 5);
    task_set(&notes[2].task, 1);
    task_stop(&notes[2].task);
    task_stop(&notes[2].task);
    task_set(&notes[3].task, 2);
    task_set(&notes[3].task, 60);
    while (sim_step(sim, SIM_NEVER)) {
    }
    assert_string_equal(log, "bad");
    sim_free(sim);
}

static void many_tasks_keep_their_order(void **state)
{
    (void)state;
    enum { COUNT = 500 };
    struct sim *sim = world(3, false);
    struct chance chance = chance_of(3, "many", 0);
    static struct note notes[COUNT];
    static char log[COUNT + 1];

    log[0] = '\0';
    notes_init(notes, COUNT, sim, log);
    for (size_t i = 0; i < 5 * COUNT; i++) {
        struct task *task = &notes[chance_below(&chance, COUNT)].task;
        if (chance_in(&chance, 1, 4)) {
            task_stop(task);
        } else {
            task_set(task, chance_below(&chance, 100));
        }
    }
    uint64_t last = 0;
    while (sim_step(sim, SIM_NEVER)) {
        assert_true(sim_now_us(sim) >= last);
        last = sim_now_us(sim);
    }
    assert_int_equal(sim_steps(sim), strlen(log));
    sim_free(sim);
}

static void simultaneous_tasks_are_permuted_by_the_seed_alone(void **state)
{
    (void)state;
    char logs[3][32] = {"", "", ""};
    const uint64_t seeds[] = {1, 1, 2};

    for (size_t world_index = 0; world_index < 3; world_index++) {
        struct sim *sim = world(seeds[world_index], true);
        struct note notes[20];
        notes_init(notes, 20, sim, logs[world_index]);
        for (size_t i = 0; i < 20; i++) {
            task_set(&notes[i].task, 7);
        }
        while (sim_step(sim, SIM_NEVER)) {
        }
        sim_free(sim);
    }
    assert_string_equal(logs[0], logs[1]);
    assert_string_not_equal(logs[0], logs[2]);
    assert_string_not_equal(logs[0], "abcdefghijklmnopqrst");
}

/* ---- trace --------------------------------------------------------------- */

static void count_line(void *user, const char *text)
{
    size_t *count = user;

    assert_int_equal(text[strlen(text) - 1], '\n');
    *count += 1;
}

static void the_trace_is_told_kept_and_hashed(void **state)
{
    (void)state;
    struct sim *sim = world(1, false);
    struct sim *other = world(1, false);
    size_t count = 0;

    sim_keep_story(sim);
    sim_say(sim, "agent 0", "connected as session %d", 1);
    sim_say(other, "agent 0", "connected as session %d", 1);
    assert_string_equal(sim_story(sim),
                        "[       0] agent 0   connected as session 1\n");
    assert_true(sim_hash(sim) == sim_hash(other));
    sim_say(sim, "agent 0", "lost");
    sim_say(other, "agent 0", "Lost");
    assert_true(sim_hash(sim) != sim_hash(other));
    for (size_t i = 0; i < 200; i++) {
        sim_say(sim, "x", "%0300d", 1); /* far too long: cut */
    }
    sim_last_lines(sim, count_line, &count);
    assert_int_equal(count, 50);
    sim_free(sim);
    sim_free(other);
}

static void a_mark_is_part_of_the_hash(void **state)
{
    (void)state;
    struct sim *sims[] = {world(1, false), world(1, false), world(2, false)};

    assert_true(sim_hash(sims[0]) != sim_hash(sims[2]));
    sim_mark(sims[0], 1, 2);
    sim_mark(sims[1], 2, 1);
    assert_true(sim_hash(sims[0]) != sim_hash(sims[1]));
    for (size_t i = 0; i < 3; i++) {
        sim_free(sims[i]);
    }
}

static void faults_and_marks_are_counted(void **state)
{
    (void)state;
    struct sim *sim = world(1, false);

    sim_fault(sim, FAULT_LINK_STALL, FAULT_STATE_BUSY);
    sim_met(sim, MET_DISPLACED);
    assert_int_equal(sim_tally(sim)->faults[FAULT_LINK_STALL][FAULT_STATE_BUSY],
                     1);
    assert_int_equal(sim_tally(sim)->met[MET_DISPLACED], 1);
    assert_string_equal(fault_text(FAULT_LINK_STALL), "link stalled");
    assert_string_equal(met_text(MET_DISPLACED), "a session was displaced");
    sim_free(sim);
}

/* ---- failure ------------------------------------------------------------- */

static void body_fails(void *user)
{
    struct sim *sim = user;

    sim_alloc(sim, 1000);
    sim_fail(sim, "prefix", "byte %d differs", 7);
}

#ifndef CONTRACTS_OFF
static void body_breaks_a_contract(void *user)
{
    REQUIRE(user == NULL);
}
#endif

static void body_takes_all(void *user)
{
    struct sim *sim = user;

    for (size_t i = 0; i < 10; i++) {
        sim_alloc(sim, 200);
    }
}

static void body_ends(void *user)
{
    (void)user;
}

static void a_run_ends_with_its_failure(void **state)
{
    (void)state;
    struct sim *sim = world(1, false);
    struct sim_failure failure = {.oracle = ""};

    assert_true(sim_run(sim, body_ends, sim, &failure));
    assert_false(sim_run(sim, body_fails, sim, &failure));
    assert_string_equal(failure.oracle, "prefix");
    assert_string_equal(failure.message, "byte 7 differs");
    sim_free(sim);
}

#ifndef CONTRACTS_OFF
static void a_broken_contract_is_a_failure(void **state)
{
    (void)state;
    struct sim *sim = world(1, false);
    struct sim_failure failure = {.oracle = ""};

    assert_false(sim_run(sim, body_breaks_a_contract, sim, &failure));
    assert_string_equal(failure.oracle, "contract");
    assert_non_null(strstr(failure.message, "user =="));
    sim_free(sim);
}
#endif

static void a_world_has_so_much_memory_and_no_more(void **state)
{
    (void)state;
    struct sim_config config = {.seed = 1, .memory_max = 1000};
    struct sim *sim = sim_new(&config);
    struct sim_failure failure = {.oracle = ""};

    for (size_t i = 0; i < 100; i++) { /* what is released can be had again */
        uint8_t *bytes = sim_alloc(sim, 900);
        assert_int_equal(bytes[0] | bytes[899], 0);
        memset(bytes, 0xff, 900);
        sim_release(sim, bytes);
    }
    sim_release(sim, NULL);
    assert_false(sim_run(sim, body_takes_all, sim, &failure));
    assert_string_equal(failure.oracle, "memory");
    sim_free(sim);
}

/* ---- processes ----------------------------------------------------------- */

static void body_expects_empty(void *user)
{
    process_expect_empty(user);
}

static void a_process_owns_its_memory(void **state)
{
    (void)state;
    struct sim *sim = world(1, false);
    struct sim_failure failure = {.oracle = ""};
    struct process process;

    process_init(&process, sim, "agent %d", 3);
    assert_string_equal(process.name, "agent 3");
    process_start(&process);
    uint8_t *bytes = process_alloc(&process, 100);
    void *more = process_alloc(&process, 50);
    memset(bytes, 1, 100);
    process_release(&process, more);
    process_release(&process, NULL);
    assert_int_equal(process.memory, 100);
    assert_int_equal(process.memory_most, 150);
    assert_false(sim_run(sim, body_expects_empty, &process, &failure));
    assert_string_equal(failure.oracle, "leak");
    process_kill(&process, PROCESS_EXITS);
    process_kill(&process, PROCESS_EXITS);
    assert_true(sim_run(sim, body_expects_empty, &process, &failure));
    process_start(&process);
    assert_int_equal(process.lives, 2);
    sim_free(sim);
}

static void a_reservation_is_refused_when_it_is_told_to_be(void **state)
{
    (void)state;
    struct sim *sim = world(1, false);
    struct process process;

    process_init(&process, sim, "server");
    process_start(&process);
    process.refuse_in = 2;
    process.refuse_count = 1;
    assert_non_null(process_alloc(&process, 1));
    assert_null(process_alloc(&process, 1));
    assert_null(process_alloc(&process, 1));
    assert_non_null(process_alloc(&process, 1));
    process.memory_max = 10;
    assert_null(process_alloc(&process, 9));
    assert_non_null(process_alloc(&process, 8));
    sim_free(sim);
}

static const struct CMUnitTest tests[] = {
    REQ("Q-04", a_chance_is_named_by_seed_purpose_and_index),
    REQ("Q-04", a_chance_stays_within_its_bounds),
    REQ("Q-04", a_size_meets_its_edges_and_every_magnitude),
    REQ("Q-04", a_weight_of_0_is_never_drawn),
    REQ("Q-04", tasks_run_by_time_then_in_the_order_they_were_set),
    REQ("Q-04", a_task_can_be_hastened_delayed_and_stopped),
    REQ("Q-04", many_tasks_keep_their_order),
    REQ("Q-04", simultaneous_tasks_are_permuted_by_the_seed_alone),
    REQ("Q-04", the_trace_is_told_kept_and_hashed),
    REQ("Q-04", a_mark_is_part_of_the_hash),
    REQ("Q-04", faults_and_marks_are_counted),
    REQ("Q-04", a_run_ends_with_its_failure),
#ifndef CONTRACTS_OFF
    REQ("Q-04", a_broken_contract_is_a_failure),
#endif
    REQ("Q-04", a_world_has_so_much_memory_and_no_more),
    REQ("Q-04", a_process_owns_its_memory),
    REQ("Q-04", a_reservation_is_refused_when_it_is_told_to_be),
};
RUN(tests)
