/* The engine, met by hand: what it says to the letter, what it refuses, and
 * what it fails the world for.
 */
#include "sim/test/direct.h"

#include "core/test/req.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct probe {
    struct direct direct;
    struct socket *socket;
    struct request *request;
    const char *extra;
    char answer[4096];
    size_t length;
    enum socket_result end;
};

static struct probe *probe_of(struct direct *direct)
{
    return (struct probe *)(void *)direct;
}

static void read_all(void *user)
{
    struct probe *probe = user;
    size_t done = 0;

    do {
        probe->end = socket_receive(
            probe->socket, (uint8_t *)probe->answer + probe->length,
            sizeof probe->answer - 1 - probe->length, &done);
        probe->length += done;
    } while (probe->end == SOCKET_MORE);
    probe->answer[probe->length] = '\0';
}

static void probe_open(struct probe *probe)
{
    struct world *world = &probe->direct.world;

    probe->length = 0;
    probe->socket = socket_connect(&world->clients_process, ADDRESS_ENGINE,
                                   NULL, NULL, read_all, probe);
    direct_run_for(&probe->direct, SIM_MS);
}

static void probe_say(struct probe *probe, const char *text)
{
    size_t done = 0;

    assert_int_equal(
        socket_send(probe->socket, (const uint8_t *)text, strlen(text), &done),
        SOCKET_MORE);
    assert_int_equal(done, strlen(text));
    direct_run_for(&probe->direct, SIM_MS);
}

static void probe_ask(struct probe *probe, enum request_kind kind,
                      uint32_t site)
{
    struct source source;

    probe->request = request_new(&probe->direct.world, site, kind);
    source_begin(&source, 0);
    request_print_head(&probe->direct.world, probe->request, &source);
    probe_say(probe, source.text);
}

static void probe_close(struct probe *probe)
{
    socket_close(probe->socket);
    direct_run_for(&probe->direct, SIM_MS);
}

static bool says(const struct probe *probe, const char *text)
{
    return strncmp(probe->answer, text, strlen(text)) == 0;
}

static void expect_well(struct probe *probe)
{
    if (!direct_run(&probe->direct, 1)) {
        fail_msg("%s: %s", probe->direct.failure.oracle,
                 probe->direct.failure.message);
    }
}

/* ---- what it says -------------------------------------------------------- */

static void ask_head(struct direct *direct)
{
    struct probe *probe = probe_of(direct);

    probe_open(probe);
    probe_ask(probe, REQUEST_PING_HEAD, 0);
    probe_close(probe);
}

static void a_ping_is_answered_to_the_letter(void **state)
{
    struct probe probe = {.direct = {.body = ask_head}};

    (void)state;
    expect_well(&probe);
    assert_string_equal(probe.answer,
                        "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\n"
                        "X-Engine: 0 1\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(probe.end, SOCKET_WAIT); /* it keeps the connection */
}

static void ask_unknown(struct direct *direct)
{
    struct probe *probe = probe_of(direct);

    probe_open(probe);
    probe_say(probe, "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(says(probe, "HTTP/1.1 404 "));
    assert_int_equal(probe->end, SOCKET_FINISHED);
    probe_close(probe);
    probe_open(probe);
    probe_say(probe, "\x16\x03\x01");
    assert_true(says(probe, "HTTP/1.1 404 ") == false);
    probe_say(probe, "\xff");
    assert_true(says(probe, "HTTP/1.1 400 "));
    assert_int_equal(probe->end, SOCKET_FINISHED);
    probe_close(probe);
}

static void what_it_does_not_know_is_refused(void **state)
{
    struct probe probe = {.direct = {.body = ask_unknown}};

    (void)state;
    expect_well(&probe);
}

static void ask_twice_at_once(struct direct *direct)
{
    struct probe *probe = probe_of(direct);
    struct source source;

    probe_open(probe);
    source_begin(&source, 0);
    for (int i = 0; i < 2; i++) {
        request_print_head(&direct->world,
                           request_new(&direct->world, 0, REQUEST_PING),
                           &source);
    }
    probe_say(probe, source.text);
    assert_non_null(strstr(probe->answer, "X-Engine: 0 1\r\n"));
    assert_non_null(strstr(probe->answer, "X-Engine: 0 2\r\n"));
    probe_close(probe);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    struct probe probe = {.direct = {.body = ask_twice_at_once}};

    (void)state;
    expect_well(&probe);
}

/* ---- moods --------------------------------------------------------------- */

static void ask_in_mood(struct direct *direct)
{
    struct probe *probe = probe_of(direct);

    engine_set_mood(direct->sites[0].engine, direct->mood, SIM_S);
    assert_int_equal(engine_was_good_since(direct->sites[0].engine, 0),
                     direct->mood == ENGINE_GOOD);
    probe_open(probe);
    if (direct->mood != ENGINE_REFUSES) {
        probe_ask(probe, REQUEST_PING, 0);
        direct_run_for(direct, 400 * SIM_MS);
    }
    probe->extra = probe->length > 0 ? "some" : "none";
    direct_run_for(direct, SIM_S); /* the mood is over */
    assert_true(engine_was_good_since(direct->sites[0].engine, SIM_S + 1));
    assert_int_equal(engine_was_good_since(direct->sites[0].engine, SIM_S),
                     direct->mood == ENGINE_GOOD);
    read_all(probe);
    probe_close(probe);
}

static void each_mood_is_what_it_says(void **state)
{
    static const struct {
        enum engine_mood mood;
        const char *in_mood; /* did bytes come? */
        const char *answer;  /* at the end */
        enum socket_result end;
    } rows[] = {
        {ENGINE_GOOD, "some", "HTTP/1.1 200 ", SOCKET_WAIT},
        {ENGINE_HANGS, "none", "HTTP/1.1 200 ", SOCKET_WAIT},
        {ENGINE_HANGS_LATER, "some", "HTTP/1.1 200 ", SOCKET_WAIT},
        {ENGINE_HALF_ANSWER, "some", "H", SOCKET_FINISHED},
        {ENGINE_RESETS, "some", "H", SOCKET_BROKEN},
        {ENGINE_REFUSES, "none", "", SOCKET_FINISHED},
        {ENGINE_TRICKLES, "some", "HTTP/1.1 200 ", SOCKET_WAIT},
        {ENGINE_ERRORS, "some", "HTTP/1.1 500 ", SOCKET_WAIT},
        {ENGINE_EARLY, "some", "HTTP/1.1 200 ", SOCKET_WAIT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct probe probe = {
            .direct = {.body = ask_in_mood, .mood = rows[i].mood}};

        expect_well(&probe);
        assert_string_equal(probe.extra, rows[i].in_mood);
        assert_true(says(&probe, rows[i].answer));
        assert_int_equal(probe.end, rows[i].end);
    }
}

static void ask_and_kill(struct direct *direct)
{
    struct probe *probe = probe_of(direct);
    struct engine *engine = direct->sites[0].engine;

    engine_set_mood(engine, ENGINE_HANGS, 60 * SIM_S);
    probe_open(probe);
    probe_ask(probe, REQUEST_PING, 0);
    direct_kill_engine(direct, 0, PROCESS_EXITS);
    direct_run_for(direct, SIM_MS);
    assert_int_equal(probe->request->fate, FATE_DIED);
    assert_int_equal(probe->end, SOCKET_FINISHED);
    assert_false(engine_was_good_since(engine, sim_now_us(direct->world.sim)));
    probe_close(probe);
    direct_start_engine(direct, 0);
    probe_open(probe);
    probe_ask(probe, REQUEST_PING, 0);
    assert_true(says(probe, "HTTP/1.1 200 "));
    assert_int_equal(probe->request->fate, FATE_ANSWERED);
    probe_close(probe);
}

static void it_dies_and_comes_back_good(void **state)
{
    struct probe probe = {.direct = {.body = ask_and_kill}};

    (void)state;
    expect_well(&probe);
}

/* ---- what it fails the world for ----------------------------------------- */

static void ask_other_site(struct direct *direct)
{
    struct probe *probe = probe_of(direct);

    probe_open(probe);
    probe_ask(probe, REQUEST_PING, 1);
}

static void change_head(struct direct *direct)
{
    struct probe *probe = probe_of(direct);

    probe_open(probe);
    (void)request_new(&direct->world, 0, REQUEST_PING);
    probe_say(probe, "GET /containers/json?n=1 HTTP/1.1\r\nHost: x\r\n\r\n");
}

static void change_body(struct direct *direct)
{
    struct probe *probe = probe_of(direct);
    struct request *request;
    struct source source;

    probe_open(probe);
    request = request_new(&direct->world, 0, REQUEST_CREATE);
    request->body = MESSAGE_LENGTH;
    request->takes = 3;
    source_begin(&source, 0);
    request_print_head(&direct->world, request, &source);
    probe_say(probe, source.text);
    probe_say(probe, "abc");
}

static void finish_hijack_unsaid(struct direct *direct)
{
    struct probe *probe = probe_of(direct);

    probe_open(probe);
    probe_ask(probe, REQUEST_ATTACH, 0);
    socket_finish(probe->socket);
    direct_run_for(direct, SIM_S);
}

static void expect_caught(void (*body)(struct direct *direct),
                          const char *oracle)
{
    struct probe probe = {.direct = {.body = body}};

    assert_false(direct_run(&probe.direct, 1));
    assert_string_equal(probe.direct.failure.oracle, oracle);
}

static void a_request_of_another_site_is_caught(void **state)
{
    (void)state;
    expect_caught(ask_other_site, "identity");
}

static void a_changed_request_is_caught(void **state)
{
    (void)state;
    expect_caught(change_head, "request");
    expect_caught(change_body, "prefix");
}

/* FIN on a hijacked connection whose client did not say it (L-03). */
static void an_invented_half_close_is_caught(void **state)
{
    (void)state;
    expect_caught(finish_hijack_unsaid, "fin");
}

static const struct CMUnitTest tests[] = {
    REQ("Q-04,AC-06", a_ping_is_answered_to_the_letter),
    REQ("Q-04", what_it_does_not_know_is_refused),
    REQ("Q-04", pipelined_requests_are_answered_in_order),
    REQ("Q-04", each_mood_is_what_it_says),
    REQ("Q-04", it_dies_and_comes_back_good),
    REQ("Q-04,AC-12", a_request_of_another_site_is_caught),
    REQ("Q-04,AC-06", a_changed_request_is_caught),
    REQ("Q-04,L-03", an_invented_half_close_is_caught),
};

RUN(tests)
