/* Every variety of client at an engine of every mood: each answer is judged
 * right, and the judges can fail.
 */
#include "sim/test/direct.h"

#include "core/test/req.h"

#include <string.h>

#define SEEDS 6u

static void expect_well(struct direct *direct, uint64_t seed)
{
    if (!direct_run(direct, seed)) {
        fail_msg("kind %d, mood %d, seed %d: %s: %s\n%s", (int)direct->kind,
                 (int)direct->mood, (int)seed, direct->failure.oracle,
                 direct->failure.message, direct->story);
    }
}

/* ---- moods --------------------------------------------------------------- */

/* Clients before, at the beginning of, and in the mood, and after it. */
static void meet_mood(struct direct *direct)
{
    struct engine *engine = direct->sites[0].engine;

    direct_client(direct, 0, direct->kind, direct->amount);
    direct_run_for(direct, 300);
    if (direct->mood != ENGINE_GOOD) {
        engine_set_mood(engine, direct->mood,
                        sim_now_us(direct->world.sim) + 2 * SIM_S);
    }
    direct_client(direct, 0, direct->kind, direct->amount);
    direct_run_for(direct, SIM_S);
    direct_client(direct, 0, direct->kind, direct->amount);
    direct_run_for(direct, 20 * SIM_S);
    direct_client(direct, 0, direct->kind, direct->amount);
}

static void every_variety_meets_every_mood(void **state)
{
    static const uint64_t amounts[] = {0, 1, 1000, 70000, 300000};

    (void)state;
    for (int kind = 0; kind < CLIENT_KINDS; kind++) {
        for (int mood = 0; mood < ENGINE_MOODS; mood++) {
            for (uint64_t seed = 0; seed < SEEDS; seed++) {
                struct direct direct = {.body = meet_mood,
                                        .kind = (enum client_kind)kind,
                                        .mood = (enum engine_mood)mood,
                                        .amount = amounts[seed % 5]};

                expect_well(&direct, seed);
                if (mood == ENGINE_GOOD && kind != CLIENT_GARBAGE) {
                    assert_int_equal(direct.clients.requests_failed, 0);
                }
            }
        }
    }
}

/* ---- deaths -------------------------------------------------------------- */

static void meet_death(struct direct *direct)
{
    direct_client(direct, 0, direct->kind, direct->amount);
    direct_run_for(direct, 100 + direct->amount / 3 % 5000);
    direct_kill_engine(direct, 0, PROCESS_EXITS);
    direct_run_for(direct, SIM_S);
    direct_client(direct, 0, direct->kind, direct->amount);
    direct_run_for(direct, SIM_S);
    direct_start_engine(direct, 0);
    direct_client(direct, 0, direct->kind, direct->amount);
}

static void every_variety_meets_death(void **state)
{
    (void)state;
    for (int kind = 0; kind < CLIENT_KINDS; kind++) {
        for (uint64_t seed = 0; seed < 4 * SEEDS; seed++) {
            struct direct direct = {.body = meet_death,
                                    .kind = (enum client_kind)kind,
                                    .amount = seed * 20011};

            expect_well(&direct, seed);
        }
    }
}

/* ---- together ------------------------------------------------------------ */

static void crowd(struct direct *direct)
{
    for (uint32_t i = 0; i < 3 * CLIENT_KINDS; i++) {
        direct_client(direct, i % DIRECT_SITES,
                      (enum client_kind)(i % CLIENT_KINDS), i * 997);
        direct_run_for(direct, 100);
    }
}

static void a_crowd_at_two_engines_is_served(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct direct direct = {.body = crowd};
        uint64_t hash;

        expect_well(&direct, seed);
        hash = direct.hash;
        expect_well(&direct, seed);
        assert_int_equal(hash, direct.hash);
    }
}

static void much_at_once(struct direct *direct)
{
    direct_client(direct, 0, CLIENT_GET, UINT64_C(64) * 1024 * 1024);
    direct_client(direct, 1, CLIENT_BUILD, UINT64_C(64) * 1024 * 1024);
}

/* Nothing is held whole: the world's memory is a few buffers. */
static void size_costs_no_memory(void **state)
{
    struct direct direct = {.body = much_at_once};

    (void)state;
    expect_well(&direct, 3);
    assert_int_equal(direct.clients.requests, 2);
    assert_true(direct.tally.met[MET_UPLOAD_MEGABYTE] > 0);
}

/* ---- the judges can fail ------------------------------------------------- */

static void meet_lie(struct direct *direct)
{
    engine_lie(direct->sites[0].engine, direct->lie);
    direct_client(direct, 0, direct->kind, direct->amount);
}

static void expect_caught(enum client_kind kind, enum engine_lie lie,
                          const char *oracle)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct direct direct = {
            .body = meet_lie, .kind = kind, .lie = lie, .amount = 5000};

        assert_false(direct_run(&direct, seed));
        assert_string_equal(direct.failure.oracle, oracle);
    }
}

static void a_wrong_byte_is_caught(void **state)
{
    (void)state;
    expect_caught(CLIENT_GET, LIE_WRONG_BYTE, "prefix");
    expect_caught(CLIENT_LOGS, LIE_WRONG_BYTE, "prefix");
    expect_caught(CLIENT_ATTACH, LIE_WRONG_BYTE, "prefix");
}

static void another_sites_content_is_caught(void **state)
{
    (void)state;
    expect_caught(CLIENT_GET, LIE_OTHER_SITE, "prefix");
    expect_caught(CLIENT_BROWSER, LIE_OTHER_SITE, "prefix");
}

static void a_doubled_piece_is_caught(void **state)
{
    (void)state;
    expect_caught(CLIENT_GET, LIE_DOUBLED_CHUNK, "prefix");
    expect_caught(CLIENT_ATTACH, LIE_DOUBLED_CHUNK, "prefix");
}

/* An orderly end that the engine's own record calls whole (L-04, O18). */
static void a_false_end_is_caught(void **state)
{
    (void)state;
    expect_caught(CLIENT_GET, LIE_SHORT_FIN, "fin");
    expect_caught(CLIENT_LOGS, LIE_SHORT_FIN, "fin");
    expect_caught(CLIENT_ATTACH, LIE_SHORT_FIN, "fin");
}

static void another_requests_answer_is_caught(void **state)
{
    (void)state;
    expect_caught(CLIENT_PING, LIE_OTHER_REQUEST, "identity");
    expect_caught(CLIENT_PIPELINED, LIE_OTHER_REQUEST, "identity");
}

/* An error that nothing excuses: the engine is well, and closes. */
static void an_error_without_cause_is_caught(void **state)
{
    (void)state;
    expect_caught(CLIENT_LIST, LIE_RESET, "error");
    expect_caught(CLIENT_KEEP_ALIVE, LIE_RESET, "error");
}

static void wait_for_ever(struct direct *direct)
{
    direct_client(direct, 0, CLIENT_GET, 1000);
    engine_lie(direct->sites[0].engine, LIE_SILENT);
}

static void a_client_that_waits_for_ever_is_caught(void **state)
{
    struct direct direct = {.body = wait_for_ever};

    (void)state;
    assert_false(direct_run(&direct, 1));
    assert_string_equal(direct.failure.oracle, "liveness");
}

static const struct CMUnitTest tests[] = {
    REQ("Q-04,L-03,L-04", every_variety_meets_every_mood),
    REQ("Q-04,L-04", every_variety_meets_death),
    REQ("Q-04,AC-12", a_crowd_at_two_engines_is_served),
    REQ("Q-04,L-05", size_costs_no_memory),
    REQ("Q-04,AC-06", a_wrong_byte_is_caught),
    REQ("Q-04,AC-12", another_sites_content_is_caught),
    REQ("Q-04,AC-06", a_doubled_piece_is_caught),
    REQ("Q-04,L-04,D20", a_false_end_is_caught),
    REQ("Q-04,AC-12", another_requests_answer_is_caught),
    REQ("Q-04", an_error_without_cause_is_caught),
    REQ("Q-04", a_client_that_waits_for_ever_is_caught),
};

RUN(tests)
