/* test_agent.c: one connected agent (AC-01..AC-08, AC-13, AC-14, L-06). */
#include "core/test/site.h"

#include <stdlib.h>
#include <string.h>

#include "core/mux_internal.h"

/* An agent whose wants nobody sees to but the test. */
struct fixture {
    struct agent_config config;
    struct agent *agent;
    struct pair pair;
};

static int build(void **state)
{
    static struct fixture f;

    agent_config_default(&f.config);
    f.config.link.mux.ping_interval_ms = 0;
    memset(f.config.uuid, 'u', sizeof f.config.uuid);
    f.config.user = &f;
    void *memory = calloc(1, agent_size(&f.config));
    if (memory == NULL) {
        return -1;
    }
    f.agent = agent_init(memory, agent_size(&f.config), &f.config, 1000);
    pair_start_with(&f.pair, agent_link(f.agent), NULL, 1);
    *state = &f;
    return 0;
}

static int drop(void **state)
{
    struct fixture *f = *state;

    agent_invariant(f->agent);
    pair_end(&f->pair);
    free(f->agent);
    return 0;
}

static void start_serving(struct fixture *f)
{
    agent_serve(f->agent);
    assert_int_equal(agent_wants(f->agent), AGENT_WANTS_LISTENER);
    assert_int_equal(agent_listen(f->agent), STATUS_OK);
    assert_true(agent_listening(f->agent, 40001));
}

static struct sock *dial(struct fixture *f)
{
    struct end *server = &f->pair.ends[SERVER];
    uint32_t conn;

    assert_int_equal(agent_open(f->agent, f->pair.now_ms,
                                &server->socks[server->sock_count], &conn),
                     STATUS_OK);
    struct sock *client = pair_adopt(&f->pair, conn);
    pair_run(&f->pair);
    agent_step(f->agent, f->pair.now_ms);
    return client;
}

static void assert_address(const struct fixture *f, const char *expected)
{
    char address[AGENT_ADDRESS_SIZE];

    memset(address, 'x', sizeof address);
    agent_address(f->agent, address);
    assert_string_equal(address, expected);
}

static void assert_state(const struct fixture *f, enum agent_state state)
{
    assert_string_equal(agent_state_name(agent_state(f->agent)),
                        agent_state_name(state));
}

/* ---- listener ------------------------------------------------------------ */

static void the_address_is_there_while_the_proxy_is_live(void **state)
{
    struct fixture *f = *state;

    assert_address(f, "");
    agent_serve(f->agent);
    assert_address(f, "");
    assert_int_equal(agent_listen(f->agent), STATUS_OK);
    assert_address(f, "");
    assert_true(agent_listening(f->agent, 65535));
    assert_address(f, "127.0.0.1:65535");
    assert_int_equal(agent_port(f->agent), 65535);

    agent_close(f->agent, STATUS_SHUT_DOWN);
    assert_int_equal(agent_wants(f->agent) & AGENT_WANTS_UNLISTEN,
                     AGENT_WANTS_UNLISTEN);
    agent_unlistened(f->agent);
    assert_address(f, "");
    assert_int_equal(agent_port(f->agent), 0);
}

static void the_smallest_port_is_written_whole(void **state)
{
    struct fixture *f = *state;

    agent_serve(f->agent);
    assert_int_equal(agent_listen(f->agent), STATUS_OK);
    assert_true(agent_listening(f->agent, 1));
    assert_address(f, "127.0.0.1:1");
}

static void a_second_start_is_refused_and_changes_nothing(void **state)
{
    struct fixture *f = *state;

    agent_serve(f->agent);
    assert_int_equal(agent_listen(f->agent), STATUS_OK);
    assert_int_equal(agent_listen(f->agent), STATUS_PROXY_STARTED);
    assert_true(agent_listening(f->agent, 40001));
    assert_int_equal(agent_listen(f->agent), STATUS_PROXY_STARTED);

    assert_string_equal(status_text(STATUS_PROXY_STARTED),
                        "docker proxy already started");
    assert_address(f, "127.0.0.1:40001");
    assert_int_equal(agent_wants(f->agent), 0);
}

static void a_closed_session_starts_no_proxy(void **state)
{
    struct fixture *f = *state;

    agent_serve(f->agent);
    agent_close(f->agent, STATUS_REVOKED);
    assert_int_equal(agent_wants(f->agent) & AGENT_WANTS_LISTENER, 0);

    assert_int_equal(agent_listen(f->agent), STATUS_SESSION_CLOSED);
    assert_address(f, "");
    agent_hung_up(f->agent);
    assert_state(f, AGENT_CLOSED);
    assert_int_equal(agent_listen(f->agent), STATUS_SESSION_CLOSED);
    assert_address(f, "");
}

static void
a_start_that_loses_the_race_with_close_comes_to_nothing(void **state)
{
    struct fixture *f = *state;

    agent_serve(f->agent);
    assert_int_equal(agent_listen(f->agent), STATUS_OK);
    agent_close(f->agent, STATUS_REVOKED);
    agent_hung_up(f->agent);
    assert_state(f, AGENT_CLOSING); /* it waits for the start's outcome */
    assert_true(agent_holds_listener(f->agent));

    assert_false(agent_listening(f->agent, 40001));
    assert_address(f, "");
    assert_false(agent_holds_listener(f->agent));
    assert_state(f, AGENT_CLOSED);
}

static void a_start_that_fails_after_close_comes_to_nothing(void **state)
{
    struct fixture *f = *state;

    agent_serve(f->agent);
    assert_int_equal(agent_listen(f->agent), STATUS_OK);
    agent_close(f->agent, STATUS_REVOKED);
    agent_listen_failed(f->agent);
    assert_int_equal(agent_wants(f->agent) & AGENT_WANTS_HANGUP,
                     AGENT_WANTS_HANGUP);
}

static void a_start_that_fails_behind_everything_is_the_end(void **state)
{
    struct fixture *f = *state;

    agent_serve(f->agent);
    assert_int_equal(agent_listen(f->agent), STATUS_OK);
    agent_hung_up(f->agent);
    assert_state(f, AGENT_CLOSING);
    agent_listen_failed(f->agent);
    assert_state(f, AGENT_CLOSED);
}

static void
a_start_that_loses_the_race_with_drain_comes_to_nothing(void **state)
{
    struct fixture *f = *state;

    agent_serve(f->agent);
    assert_int_equal(agent_listen(f->agent), STATUS_OK);
    agent_drain(f->agent, 1000);

    assert_false(agent_listening(f->agent, 40001));
    assert_address(f, "");
}

static void a_listener_that_fails_does_not_end_the_session(void **state)
{
    struct fixture *f = *state;

    agent_serve(f->agent);
    assert_int_equal(agent_listen(f->agent), STATUS_OK);
    agent_listen_failed(f->agent);
    agent_step(f->agent, 1000);

    assert_state(f, AGENT_SERVING);
    assert_address(f, "");
    assert_int_equal(agent_wants(f->agent), 0); /* and is not tried again */
    assert_int_equal(agent_listen(f->agent), STATUS_PROXY_STARTED);
}

static void a_listener_that_dies_does_not_end_the_session(void **state)
{
    struct fixture *f = *state;

    start_serving(f);
    agent_unlistened(f->agent);

    assert_state(f, AGENT_SERVING);
    assert_address(f, "");
    assert_int_equal(agent_wants(f->agent), 0);
}

/* ---- connections --------------------------------------------------------- */

static void a_connection_opens_a_stream_with_the_docker_byte(void **state)
{
    struct fixture *f = *state;

    start_serving(f);
    struct sock *client = dial(f);
    sock_say(client, "GET /_ping HTTP/1.1\r\n\r\n");
    pair_run(&f->pair); /* pair.c has seen 0x01 first, once */

    assert_string_equal(client->peer->heard, "GET /_ping HTTP/1.1\r\n\r\n");
    assert_int_equal(f->config.link.mux.preface_length, 1);
}

static void no_connection_is_taken_when_closing_or_draining(void **state)
{
    struct fixture *f = *state;
    uint32_t conn = 77;

    start_serving(f);
    (void)dial(f);
    agent_drain(f->agent, 1000);
    assert_int_equal(agent_open(f->agent, 1000, f, &conn), STATUS_DRAINING);
    assert_int_equal(agent_listen(f->agent), STATUS_DRAINING);
    agent_close(f->agent, STATUS_REVOKED);
    assert_int_equal(agent_open(f->agent, 1000, f, &conn),
                     STATUS_SESSION_CLOSED);
    assert_int_equal(conn, 77);
    assert_int_equal(link_conn_count(agent_link(f->agent)), 1);
}

/* ---- close --------------------------------------------------------------- */

static void closing_lets_go_in_order(void **state)
{
    struct fixture *f = *state;

    start_serving(f);
    struct sock *client = dial(f);

    agent_close(f->agent, STATUS_DISPLACED);
    agent_step(f->agent, f->pair.now_ms);
    assert_state(f, AGENT_CLOSING);
    assert_int_equal(agent_wants(f->agent), AGENT_WANTS_UNLISTEN);
    assert_int_equal(client->wants, CONN_WANTS_READ); /* not before */

    agent_unlistened(f->agent);
    assert_int_equal(agent_wants(f->agent),
                     AGENT_WANTS_CHANGES | AGENT_WANTS_HANGUP);
    assert_int_equal(link_conn_wants(agent_link(f->agent), client->conn),
                     CONN_WANTS_RESET);

    agent_hung_up(f->agent);
    assert_state(f, AGENT_CLOSING);
    assert_int_equal(agent_wants(f->agent), AGENT_WANTS_CHANGES);
    pair_act(&f->pair, SERVER, SIZE_MAX);
    agent_step(f->agent, f->pair.now_ms);
    assert_state(f, AGENT_CLOSED);
    assert_true(client->was_reset);
    assert_int_equal(client->status, STATUS_DISPLACED);
    assert_int_equal(agent_wants(f->agent), 0);
    assert_true(agent_deadline(f->agent) == UINT64_MAX);
}

static void
a_dead_link_is_not_hung_up_on_before_the_listener_is_gone(void **state)
{
    struct fixture *f = *state;

    start_serving(f);
    link_fail(agent_link(f->agent), STATUS_TRANSPORT_LOST);
    assert_int_equal(agent_wants(f->agent), 0); /* not stepped yet */
    agent_step(f->agent, 1000);
    assert_int_equal(agent_wants(f->agent), AGENT_WANTS_UNLISTEN);
    agent_unlistened(f->agent);
    assert_int_equal(agent_wants(f->agent), AGENT_WANTS_HANGUP);
}

static void connections_may_go_before_the_transport(void **state)
{
    struct fixture *f = *state;

    start_serving(f);
    (void)dial(f);
    agent_close(f->agent, STATUS_SHUT_DOWN);
    agent_unlistened(f->agent);
    pair_act(&f->pair, SERVER, SIZE_MAX);
    agent_step(f->agent, f->pair.now_ms);
    assert_state(f, AGENT_CLOSING);
    assert_int_equal(agent_wants(f->agent), AGENT_WANTS_HANGUP);

    agent_hung_up(f->agent);
    assert_state(f, AGENT_CLOSED);
}

static void closing_twice_is_harmless_and_the_first_reason_stays(void **state)
{
    struct fixture *f = *state;

    start_serving(f);
    agent_close(f->agent, STATUS_REVOKED);
    agent_close(f->agent, STATUS_SHUT_DOWN);
    agent_drain(f->agent, 1000);
    agent_unlistened(f->agent);
    agent_hung_up(f->agent);
    assert_state(f, AGENT_CLOSED);
    agent_close(f->agent, STATUS_DISPLACED);
    agent_drain(f->agent, 1000);
    agent_hung_up(f->agent);
    agent_step(f->agent, 1000);
    agent_tick(f->agent, 1000);

    assert_state(f, AGENT_CLOSED);
    assert_int_equal(agent_status(f->agent), STATUS_REVOKED);
}

static void a_transport_that_dies_ends_the_session(void **state)
{
    struct fixture *f = *state;

    start_serving(f);
    struct sock *client = dial(f);
    agent_hung_up(f->agent);
    assert_state(f, AGENT_CLOSING);
    assert_int_equal(agent_status(f->agent), STATUS_TRANSPORT_LOST);
    assert_int_equal(agent_wants(f->agent), AGENT_WANTS_UNLISTEN);

    agent_unlistened(f->agent);
    pair_act(&f->pair, SERVER, SIZE_MAX);
    agent_step(f->agent, f->pair.now_ms);
    assert_state(f, AGENT_CLOSED);
    assert_int_equal(client->status, STATUS_TRANSPORT_LOST);
}

static void a_peer_that_breaks_the_protocol_is_told_and_hung_up_on(void **state)
{
    const uint8_t frame[WIRE_HEADER_SIZE] = {0, 77};
    struct fixture *f = *state;
    struct span input = {frame, sizeof frame};
    struct link_event event;
    uint8_t bytes[64];

    start_serving(f);
    assert_false(link_receive(agent_link(f->agent), 1000, &input, &event));
    agent_step(f->agent, 1000);
    assert_state(f, AGENT_CLOSING);
    assert_int_equal(agent_status(f->agent), STATUS_BAD_TYPE);
    agent_unlistened(f->agent);
    assert_int_equal(agent_wants(f->agent), AGENT_WANTS_OUTPUT);

    assert_int_equal(link_emit(agent_link(f->agent), 1000, bytes, 64), 12);
    assert_int_equal(agent_wants(f->agent), AGENT_WANTS_HANGUP);
}

/* X16: its streams are refused, and with the eleventh it is cut off. */
static void an_agent_that_insists_on_streams_is_cut_off(void **state)
{
    struct fixture *f = *state;
    struct link *link = agent_link(f->agent);
    struct link_event event;

    start_serving(f);
    for (uint32_t i = 0; i < 11; i++) {
        uint8_t frame[WIRE_HEADER_SIZE];
        const struct wire_header syn = {
            .type = WIRE_WINDOW_UPDATE, .flags = WIRE_SYN, .stream = 2 * i + 1};
        struct span input = {frame, sizeof frame};
        assert_int_equal(link_status(link), STATUS_OK);
        wire_encode(frame, &syn);
        assert_false(link_receive(link, 1000, &input, &event));
    }
    agent_step(f->agent, 1000);

    assert_int_equal(agent_status(f->agent), STATUS_ABUSE);
}

static void a_silent_agent_is_closed_within_15_seconds(void **state)
{
    struct fixture *f = *state;
    uint64_t now_ms = 1000;

    free(f->agent);
    agent_config_default(&f->config);
    void *memory = calloc(1, agent_size(&f->config));
    assert_non_null(memory);
    f->agent = agent_init(memory, agent_size(&f->config), &f->config, 1000);
    start_serving(f);
    while (agent_state(f->agent) == AGENT_SERVING) {
        now_ms = agent_deadline(f->agent);
        agent_tick(f->agent, now_ms);
    }

    assert_true(now_ms <= 16000);
    assert_int_equal(agent_status(f->agent), STATUS_PING_TIMEOUT);
    assert_int_equal(agent_wants(f->agent) & AGENT_WANTS_UNLISTEN,
                     AGENT_WANTS_UNLISTEN);
}

/* ---- drain --------------------------------------------------------------- */

static void a_drain_waits_for_the_last_connection(void **state)
{
    struct fixture *f = *state;

    start_serving(f);
    struct sock *client = dial(f);
    agent_drain(f->agent, f->pair.now_ms);
    assert_state(f, AGENT_DRAINING);
    assert_int_equal(agent_wants(f->agent), 0); /* it answers 503 now (T33) */

    sock_say(client, "bye");
    sock_eof(client);
    pair_run(&f->pair);
    sock_eof(client->peer);
    pair_run(&f->pair);
    agent_step(f->agent, f->pair.now_ms);
    assert_state(f, AGENT_CLOSING);
    assert_int_equal(agent_wants(f->agent), AGENT_WANTS_UNLISTEN);
    assert_int_equal(agent_status(f->agent), STATUS_SHUT_DOWN);
    assert_true(client->peer->was_closed);
    assert_true(link_peer_going_away(f->pair.ends[AGENT].link));
}

static void a_drain_is_bounded(void **state)
{
    struct fixture *f = *state;

    start_serving(f);
    struct sock *client = dial(f);
    agent_drain(f->agent, 1000);
    agent_unlistened(f->agent);
    assert_true(agent_deadline(f->agent) == 31000);
    agent_tick(f->agent, 30999);
    assert_state(f, AGENT_DRAINING);
    agent_tick(f->agent, 31000);
    assert_state(f, AGENT_CLOSING);
    f->pair.now_ms = 31000;
    pair_act(&f->pair, SERVER, SIZE_MAX);

    assert_true(client->was_reset);
    assert_int_equal(client->status, STATUS_SHUT_DOWN);
}

static void the_links_deadline_may_come_first(void **state)
{
    struct fixture *f = *state;
    struct end *server = &f->pair.ends[SERVER];
    uint32_t conn;

    f->config.drain_timeout_ms = 60000;
    free(f->agent);
    void *memory = calloc(1, agent_size(&f->config));
    assert_non_null(memory);
    f->agent = agent_init(memory, agent_size(&f->config), &f->config, 1000);
    start_serving(f);
    assert_int_equal(agent_open(f->agent, 1000, server->socks, &conn),
                     STATUS_OK);
    agent_drain(f->agent, 1000);
    assert_true(agent_deadline(f->agent) == 31000); /* the open's timeout */
}

static void an_idle_agent_drains_at_once(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[64];

    agent_drain(f->agent, 1000); /* WAITING */
    assert_int_equal(link_emit(agent_link(f->agent), 1000, bytes, 64), 12);
    agent_step(f->agent, 1000);

    assert_state(f, AGENT_CLOSING);
    assert_int_equal(agent_wants(f->agent), AGENT_WANTS_HANGUP);
}

static void a_peer_that_goes_away_is_drained(void **state)
{
    struct fixture *f = *state;

    start_serving(f);
    link_go_away(f->pair.ends[AGENT].link, true);
    pair_run(&f->pair);
    agent_step(f->agent, f->pair.now_ms);
    assert_state(f, AGENT_DRAINING);
    agent_unlistened(f->agent);
    pair_run(&f->pair);
    agent_step(f->agent, f->pair.now_ms);

    assert_state(f, AGENT_CLOSING);
    assert_int_equal(agent_status(f->agent), STATUS_PEER_LEFT);
}

static void
a_session_whose_ids_run_low_is_replaced_when_it_is_idle(void **state)
{
    struct fixture *f = *state;
    struct mux *mux;

    start_serving(f);
    struct sock *client = dial(f);
    /* a thousand million connections later (the link's first member) */
    memcpy(&mux, agent_link(f->agent), sizeof mux);
    mux->next_id = MUX_STREAM_ID_LOW;
    agent_step(f->agent, f->pair.now_ms);
    assert_state(f, AGENT_SERVING); /* not under a client's feet */

    sock_break(client);
    pair_run(&f->pair);
    agent_step(f->agent, f->pair.now_ms);
    assert_state(f, AGENT_DRAINING);
    agent_unlistened(f->agent);
    pair_run(&f->pair);
    agent_step(f->agent, f->pair.now_ms);
    assert_int_equal(agent_wants(f->agent), AGENT_WANTS_HANGUP);
}

/* ---- states -------------------------------------------------------------- */

static void the_moves_are_those_of_the_table(void **state)
{
    static const struct {
        enum agent_state from;
        const char *to; /* the first letters of the names */
    } moves[] = {
        {AGENT_WAITING, "sd.c"}, {AGENT_SERVING, "d.c"}, {AGENT_DRAINING, ".c"},
        {AGENT_CLOSING, "C"},    {AGENT_CLOSED, ""},
    };
    static const char letters[] = "wsdcC"; /* waiting ... closing, Closed */
    (void)state;

    for (size_t i = 0; i < 5; i++) {
        for (unsigned to = 0; to < 5; to++) {
            assert_int_equal(
                agent_move_allowed(moves[i].from, (enum agent_state)to),
                strchr(moves[i].to, letters[to]) != NULL);
        }
    }
}

static void states_have_names(void **state)
{
    static const char *const names[] = {"waiting", "serving", "draining",
                                        "closing", "closed"};
    (void)state;

    for (unsigned i = 0; i < 5; i++) {
        assert_string_equal(agent_state_name((enum agent_state)i), names[i]);
    }
}

static void an_agent_knows_who_it_is(void **state)
{
    struct fixture *f = *state;

    assert_ptr_equal(agent_user(f->agent), f);
    assert_memory_equal(agent_uuid(f->agent), "uuuuuuuuuuuuuuuu", 16);
    assert_state(f, AGENT_WAITING);
    assert_int_equal(agent_status(f->agent), STATUS_OK);
    assert_int_equal(agent_wants(f->agent), 0);
}

static void the_defaults_are_those_that_are_documented(void **state)
{
    struct agent_config config;
    (void)state;

    agent_config_default(&config);
    assert_int_equal(config.drain_timeout_ms, 30000);
    assert_int_equal(config.link.mux.role, MUX_SERVER);
    assert_int_equal(config.link.mux.inbound_max, 0);
    assert_int_equal(config.link.mux.refused_max, 10);
    assert_int_equal(config.link.mux.outbound_max, 1024);
    assert_int_equal(config.link.mux.preface[0], 1);
}

#ifndef CONTRACTS_OFF
static void what_the_state_forbids_breaks_the_contract(void **state)
{
    struct fixture *f = *state;
    uint32_t conn;

    expect_assert_failure(agent_listen(f->agent));
    expect_assert_failure(agent_open(f->agent, 1000, f, &conn));
    expect_assert_failure(agent_listening(f->agent, 1));
    expect_assert_failure(agent_listen_failed(f->agent));
    expect_assert_failure(agent_unlistened(f->agent));
    expect_assert_failure(agent_close(f->agent, STATUS_RESET));
    agent_serve(f->agent);
    expect_assert_failure(agent_serve(f->agent));
    assert_int_equal(agent_listen(f->agent), STATUS_OK);
    expect_assert_failure(agent_listening(f->agent, 0));
    expect_assert_failure(agent_unlistened(f->agent));
    agent_listen_failed(f->agent);
    agent_close(f->agent, STATUS_REVOKED);
    expect_assert_failure(agent_serve(f->agent));
}

static void unfit_memory_and_states_break_the_contract(void **state)
{
    struct fixture *f = *state;
    size_t size = agent_size(&f->config);
    uint8_t *memory = (uint8_t *)f->agent;

    expect_assert_failure(agent_init(memory, size - 1, &f->config, 0));
    expect_assert_failure(agent_init(memory + 1, size, &f->config, 0));
    f->config.drain_timeout_ms = (uint64_t)UINT32_MAX + 1;
    expect_assert_failure(agent_init(memory, size, &f->config, 0));
    expect_assert_failure(agent_state_name((enum agent_state)5));
    expect_assert_failure(agent_move_allowed((enum agent_state)5, 0));
    expect_assert_failure(agent_move_allowed(0, (enum agent_state)5));
}
#endif

#define TEST(id, name) REQ_WITH(id, name, build, drop)

static const struct CMUnitTest tests[] = {
    TEST("AC-02", the_address_is_there_while_the_proxy_is_live),
    TEST("AC-02", the_smallest_port_is_written_whole),
    TEST("AC-03", a_second_start_is_refused_and_changes_nothing),
    TEST("AC-04", a_closed_session_starts_no_proxy),
    TEST("AC-04", a_start_that_loses_the_race_with_close_comes_to_nothing),
    TEST("AC-04", a_start_that_fails_after_close_comes_to_nothing),
    TEST("AC-04", a_start_that_fails_behind_everything_is_the_end),
    TEST("AC-04", a_start_that_loses_the_race_with_drain_comes_to_nothing),
    TEST("AC-13", a_listener_that_fails_does_not_end_the_session),
    TEST("AC-13", a_listener_that_dies_does_not_end_the_session),
    TEST("AC-06", a_connection_opens_a_stream_with_the_docker_byte),
    TEST("AC-07", no_connection_is_taken_when_closing_or_draining),
    TEST("AC-05", closing_lets_go_in_order),
    TEST("AC-05", a_dead_link_is_not_hung_up_on_before_the_listener_is_gone),
    TEST("AC-05", connections_may_go_before_the_transport),
    TEST("AC-05", closing_twice_is_harmless_and_the_first_reason_stays),
    TEST("AC-14", a_transport_that_dies_ends_the_session),
    TEST("AC-14", a_peer_that_breaks_the_protocol_is_told_and_hung_up_on),
    TEST("X16", an_agent_that_insists_on_streams_is_cut_off),
    TEST("AC-14,L-01", a_silent_agent_is_closed_within_15_seconds),
    TEST("L-06", a_drain_waits_for_the_last_connection),
    TEST("L-06", a_drain_is_bounded),
    TEST("L-06", the_links_deadline_may_come_first),
    TEST("L-06", an_idle_agent_drains_at_once),
    TEST("D21", a_peer_that_goes_away_is_drained),
    TEST("D10", a_session_whose_ids_run_low_is_replaced_when_it_is_idle),
    TEST("AC-05", the_moves_are_those_of_the_table),
    TEST("H-03", states_have_names),
    TEST("O8", an_agent_knows_who_it_is),
    TEST("L-02", the_defaults_are_those_that_are_documented),
#ifndef CONTRACTS_OFF
    TEST("AC-04", what_the_state_forbids_breaks_the_contract),
    TEST("AC-04", unfit_memory_and_states_break_the_contract),
#endif
};
RUN(tests)
