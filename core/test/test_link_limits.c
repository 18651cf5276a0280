/* test_link_limits.c: what a link refuses, what it can be asked, and what
 * breaks its contract (AC-07, L-02, X16, D1, O8). */
#include "core/test/pair.h"

#include <string.h>

#define MINUTE ((uint64_t)60000)

/* ---- limits -------------------------------------------------------------- */

static void every_refusal_changes_nothing(void **state)
{
    struct link_config config;
    struct pair *p = *state;
    enum status status;

    pair_end(p);
    pair_config(&config, SERVER);
    config.mux.outbound_max = 3;
    config.mux.unacked_max = 2;
    pair_start(p, &config, NULL);
    struct link *server = p->ends[SERVER].link;

    assert_non_null(pair_connect(p, &status));
    assert_non_null(pair_connect(p, &status));
    assert_null(pair_connect(p, &status));
    assert_int_equal(status, STATUS_TOO_MANY_UNACKED);
    pair_run(p);
    assert_non_null(pair_connect(p, &status));
    assert_null(pair_connect(p, &status));
    assert_int_equal(status, STATUS_NO_STREAM_SLOT);
    assert_int_equal(link_conn_count(server), 3);
    pair_run(p);

    link_go_away(server, false);
    sock_break(&p->ends[SERVER].socks[0]);
    pair_run(p);
    assert_null(pair_connect(p, &status));
    assert_int_equal(status, STATUS_DRAINING);
    link_fail(server, STATUS_SHUT_DOWN);
    assert_null(pair_connect(p, &status));
    assert_int_equal(status, STATUS_SESSION_CLOSED);
    assert_int_equal(link_conn_count(server), 2);
}

static void a_full_link_that_failed_says_that_it_is_closed(void **state)
{
    struct link_config config;
    struct pair *p = *state;
    enum status status;

    pair_end(p);
    pair_config(&config, SERVER);
    config.mux.outbound_max = 1;
    pair_start(p, &config, NULL);
    assert_non_null(pair_connect(p, &status));
    link_fail(p->ends[SERVER].link, STATUS_SHUT_DOWN);

    assert_null(pair_connect(p, &status));
    assert_int_equal(status, STATUS_SESSION_CLOSED);
}

static void a_peer_that_goes_away_takes_no_more(void **state)
{
    struct pair *p = *state;
    struct sock *client = pair_open(p);
    enum status status;

    assert_false(link_peer_going_away(p->ends[SERVER].link));
    link_go_away(p->ends[AGENT].link, true);
    pair_run(p);

    assert_true(link_peer_going_away(p->ends[SERVER].link));
    assert_null(pair_connect(p, &status));
    assert_int_equal(status, STATUS_GOING_AWAY);
    sock_send(client, 10); /* live ones go on */
    sock_eof(client);
    sock_eof(client->peer);
    pair_run(p);
    sock_expect_closed(client);
}

static void connections_that_outlive_their_streams_count(void **state)
{
    struct link_config server, agent;
    struct pair *p = *state;
    enum status status;
    struct sock *socks[2];

    pair_end(p);
    pair_config(&server, SERVER);
    pair_config(&agent, AGENT);
    server.mux.outbound_max = 4;
    agent.mux.inbound_max = 2;
    pair_start(p, &server, &agent);
    for (size_t i = 0; i < 2; i++) {
        socks[i] = pair_open(p);
        sock_allow(socks[i]->peer, 0);
        sock_send(socks[i], 10);
        sock_eof(socks[i]);
        sock_eof(socks[i]->peer);
    }
    pair_run(p);
    assert_int_equal(link_conn_count(p->ends[SERVER].link), 0);
    assert_int_equal(link_conn_count(p->ends[AGENT].link), 2);

    struct sock *third = pair_connect(p, &status);
    pair_run(p);
    sock_expect_reset(third, STATUS_RESET);

    sock_allow(socks[0]->peer, SIZE_MAX);
    pair_run(p);
    assert_non_null(pair_open(p));
}

static void the_server_has_the_same_limit(void **state)
{
    struct link_config config;
    struct pair *p = *state;
    enum status status;

    pair_end(p);
    pair_config(&config, SERVER);
    config.mux.outbound_max = 1;
    pair_start(p, &config, NULL);
    struct sock *client = pair_open(p);
    sock_allow(client, 0);
    sock_send(client->peer, 10);
    sock_eof(client->peer);
    sock_eof(client);
    pair_run(p);

    assert_null(pair_connect(p, &status));
    assert_int_equal(status, STATUS_NO_STREAM_SLOT);
    sock_allow(client, SIZE_MAX);
    pair_run(p);
    assert_non_null(pair_connect(p, &status));
}

static void each_direction_has_a_limit_of_its_own(void **state)
{
    struct link_config config;
    struct link_event event;
    struct pair *p = *state;
    enum status status;
    uint32_t conn;

    pair_end(p);
    pair_config(&config, AGENT);
    config.mux.outbound_max = 1;
    config.mux.inbound_max = 2;
    pair_start(p, NULL, &config);
    struct link *agent = p->ends[AGENT].link;
    assert_int_equal(link_open(agent, p->now_ms, NULL, &conn), STATUS_OK);
    assert_non_null(pair_connect(p, &status));
    pair_act(p, SERVER, SIZE_MAX);
    struct span input = {p->ends[SERVER].wire, p->ends[SERVER].wire_last};
    assert_true(link_receive(agent, p->now_ms, &input, &event));
    assert_int_equal(event.kind, LINK_OFFERED);
    link_refuse(agent, event.conn);
}

static void an_agent_cannot_open_streams(void **state)
{
    struct pair *p = *state;
    uint32_t conn = 77;

    assert_int_equal(link_open(p->ends[AGENT].link, p->now_ms, p, &conn),
                     STATUS_NO_STREAM_SLOT);
    assert_int_equal(conn, 77);
}

static void a_connection_costs_at_most_a_cache_line(void **state)
{
    struct link_config config;
    (void)state;

    pair_config(&config, SERVER);
    config.mux.outbound_max = 1000;
    size_t size = link_size(&config);
    size_t mux = mux_size(&config.mux);
    config.mux.outbound_max = 2000;

    size = link_size(&config) - size - (mux_size(&config.mux) - mux);
    assert_true(size <= 1000 * 64);
}

/* An idle agent costs a page or two (P-05): the rest stays as it was mapped. */
static void memory_is_touched_when_it_is_needed(void **state)
{
    struct pair *p = *state;
    struct link_config config;
    const uint8_t *memory = p->ends[SERVER].memory;

    pair_config(&config, SERVER);
    for (size_t at = 8192; at < link_size(&config); at++) {
        assert_int_equal(memory[at], 0);
    }
}

/* ---- what can be asked --------------------------------------------------- */

static void wants_are_told_once_and_whole(void **state)
{
    struct pair *p = *state;
    struct link *server = p->ends[SERVER].link;
    struct link_change change;
    uint32_t conn;

    assert_int_equal(link_open(server, p->now_ms, &conn, &conn), STATUS_OK);
    assert_true(link_wants(server) & LINK_HAS_CHANGES);
    assert_true(link_next_change(server, &change));
    assert_int_equal(change.conn, conn);
    assert_ptr_equal(change.user, &conn);
    assert_int_equal(change.wants, CONN_WANTS_READ);
    assert_int_equal(change.status, STATUS_OK);
    assert_false(link_next_change(server, &change));

    link_readable(server, conn);
    link_drained(server, conn); /* back before anybody asked */
    assert_false(link_next_change(server, &change));
    assert_int_equal(link_wants(server) & LINK_HAS_CHANGES, 0);

    link_readable(server, conn);
    link_readable(server, conn);
    assert_true(link_next_change(server, &change));
    assert_int_equal(change.wants, 0);
    assert_false(link_next_change(server, &change));
}

static void a_connection_can_be_asked_about(void **state)
{
    struct pair *p = *state;
    struct sock *client = pair_open(p);
    struct link *server = p->ends[SERVER].link;
    struct link *agent = p->ends[AGENT].link;

    assert_ptr_equal(link_user(server, client->conn), client);
    assert_ptr_equal(link_user(agent, client->peer->conn), client->peer);
    assert_int_equal(link_stream(server, client->conn), 2);
    assert_int_equal(link_stream(agent, client->peer->conn), 2);
    assert_int_equal(link_conn_wants(server, client->conn), CONN_WANTS_READ);
    assert_int_equal(link_unwritten(server, client->conn), 0);
    assert_int_equal(link_counters(server)->streams_opened, 1);
    assert_int_equal(link_counters(agent)->streams_offered, 1);
    assert_true(link_rtt_ms(server) == UINT64_MAX);
}

static void reports_may_come_late_or_twice(void **state)
{
    struct pair *p = *state;
    struct link *server = p->ends[SERVER].link;
    struct sock *client = pair_open(p);
    uint32_t conn = client->conn;

    p->ends[SERVER].is_lazy = true;
    link_drained(server, conn);
    link_written(server, conn, 0);
    link_finished(server, conn);
    link_finished(server, conn);
    link_readable(server, conn);
    link_half_closed(server, p->now_ms, conn);
    link_half_closed(server, p->now_ms, conn);
    assert_int_equal(link_conn_wants(server, conn), 0);

    sock_break(client->peer);
    pair_run(p);
    assert_int_equal(link_conn_wants(server, conn), CONN_WANTS_RESET);
    link_readable(server, conn);
    link_drained(server, conn);
    link_finished(server, conn);
    link_written(server, conn, 0);
    link_half_closed(server, p->now_ms, conn);
    link_failed(server, conn);
    assert_int_equal(link_conn_wants(server, conn), CONN_WANTS_RESET);
    assert_int_equal(client->status, STATUS_RESET);
    pair_wait(p, MINUTE);
    pair_close_all(p, SERVER);
    pair_expect_empty(p);
}

static void an_offer_may_be_answered_after_a_failure(void **state)
{
    struct pair *p = *state;
    struct link_change change;
    struct link_event event;
    enum status status;

    for (int accept = 0; accept < 2; accept++) {
        pair_end(p);
        pair_start(p, NULL, NULL);
        struct link *agent = p->ends[AGENT].link;
        assert_non_null(pair_connect(p, &status));
        pair_act(p, SERVER, SIZE_MAX);
        struct span input = {p->ends[SERVER].wire, p->ends[SERVER].wire_last};
        assert_true(link_receive(agent, p->now_ms, &input, &event));
        assert_int_equal(event.kind, LINK_OFFERED);
        assert_null(event.user);

        link_fail(agent, STATUS_SHUT_DOWN);
        assert_false(link_next_change(agent, &change));
        if (accept) {
            link_accept(agent, event.conn, p);
            assert_true(link_next_change(agent, &change));
            assert_int_equal(change.wants, CONN_WANTS_RESET);
            assert_int_equal(change.status, STATUS_SHUT_DOWN);
            assert_ptr_equal(change.user, p);
            link_closed(agent, event.conn);
        } else {
            link_refuse(agent, event.conn);
        }
        assert_int_equal(link_conn_count(agent), 0);
    }
}

static void a_number_is_not_used_again_soon(void **state)
{
    struct pair *p = *state;
    struct link *server = p->ends[SERVER].link;
    uint8_t bytes[64];
    uint32_t previous = 0;
    uint32_t conn;

    for (uint32_t i = 0; i < 70000; i++) { /* once around */
        assert_int_equal(link_open(server, p->now_ms, p, &conn), STATUS_OK);
        assert_int_not_equal(conn, previous);
        assert_int_not_equal(conn, 0);
        link_closed(server, conn);
        (void)link_emit(server, p->now_ms, bytes, sizeof bytes);
        previous = conn;
    }
    assert_int_equal(link_conn_count(server), 0);
}

static void the_defaults_fit_the_roles(void **state)
{
    struct link_config config;
    (void)state;

    link_config_default(&config, MUX_SERVER);
    assert_int_equal(config.mux.role, MUX_SERVER);
    assert_int_equal(config.linger_ms, 5000);
    assert_false(config.unread_lingers);
    assert_int_equal(config.mux.ping_interval_ms, 5000);
    link_config_default(&config, MUX_CLIENT);
    assert_int_equal(config.mux.role, MUX_CLIENT);
    assert_true(config.unread_lingers);
}

/* ---- contracts ----------------------------------------------------------- */

#ifndef CONTRACTS_OFF
static void a_dead_number_breaks_the_contract(void **state)
{
    struct pair *p = *state;
    struct link *server = p->ends[SERVER].link;
    struct sock *client = pair_open(p);
    uint32_t conn = client->conn;

    client->is_open = false;
    link_closed(server, conn);
    expect_assert_failure(link_readable(server, conn));
    expect_assert_failure(link_closed(server, conn));
    expect_assert_failure(link_stream(server, 9999));
    (void)pair_open(p); /* the same slot, another number */
    expect_assert_failure(link_written(server, conn, 0));
}

static void an_offer_has_to_be_answered_first(void **state)
{
    struct pair *p = *state;
    struct link *agent = p->ends[AGENT].link;
    struct link_event event;
    enum status status;

    (void)pair_connect(p, &status);
    pair_act(p, SERVER, SIZE_MAX);
    struct span input = {p->ends[SERVER].wire, p->ends[SERVER].wire_last};
    assert_true(link_receive(agent, p->now_ms, &input, &event));

    expect_assert_failure(link_receive(agent, p->now_ms, &input, &event));
    expect_assert_failure(link_tick(agent, p->now_ms));
    expect_assert_failure(link_readable(agent, event.conn));
    expect_assert_failure(link_conn_wants(agent, event.conn));
    link_accept(agent, event.conn, p);
    expect_assert_failure(link_accept(agent, event.conn, p));
    expect_assert_failure(link_refuse(agent, event.conn));
}

static void more_than_was_handed_over_cannot_be_written(void **state)
{
    struct pair *p = *state;
    struct sock *client = pair_open(p);

    sock_allow(client, 0);
    sock_send(client->peer, 10);
    pair_run(p);
    expect_assert_failure(link_written(p->ends[SERVER].link, client->conn, 11));
}

static void only_a_reader_whose_turn_it_is_may_emit(void **state)
{
    struct pair *p = *state;
    struct sock *client = pair_open(p);
    uint8_t frame[64];

    expect_assert_failure(
        link_emit_data(p->ends[SERVER].link, client->conn, frame, 1));
}

static void unfit_memory_and_numbers_break_the_contract(void **state)
{
    struct pair *p = *state;
    struct link_config config;
    uint8_t *memory = p->ends[SERVER].memory;

    pair_config(&config, SERVER);
    size_t size = link_size(&config);
    expect_assert_failure(link_init(memory, size - 1, &config, 0));
    expect_assert_failure(link_init(memory + 1, size, &config, 0));
    config.linger_ms = (uint64_t)UINT32_MAX + 1;
    expect_assert_failure(link_init(memory, size, &config, 0));
    config.mux.outbound_max = config.mux.inbound_max = 40000;
    expect_assert_failure(link_size(&config));
    expect_assert_failure(
        link_fail(p->ends[AGENT].link, STATUS_NO_STREAM_SLOT));
}
#endif

#define TEST(id, name) REQ_WITH(id, name, pair_build, pair_drop)

static const struct CMUnitTest tests[] = {
    TEST("AC-07,L-02", every_refusal_changes_nothing),
    TEST("AC-07", a_full_link_that_failed_says_that_it_is_closed),
    TEST("AC-07", a_peer_that_goes_away_takes_no_more),
    TEST("L-02", connections_that_outlive_their_streams_count),
    TEST("L-02", the_server_has_the_same_limit),
    TEST("L-02", each_direction_has_a_limit_of_its_own),
    TEST("X16", an_agent_cannot_open_streams),
    TEST("L-02", a_connection_costs_at_most_a_cache_line),
    TEST("P-05", memory_is_touched_when_it_is_needed),
    TEST("D1", wants_are_told_once_and_whole),
    TEST("D1", a_connection_can_be_asked_about),
    TEST("D1", reports_may_come_late_or_twice),
    TEST("D1", an_offer_may_be_answered_after_a_failure),
    TEST("O8", a_number_is_not_used_again_soon),
    TEST("L-02", the_defaults_fit_the_roles),
#ifndef CONTRACTS_OFF
    TEST("O8", a_dead_number_breaks_the_contract),
    TEST("D1", an_offer_has_to_be_answered_first),
    TEST("D1", more_than_was_handed_over_cannot_be_written),
    TEST("D1", only_a_reader_whose_turn_it_is_may_emit),
    TEST("D1", unfit_memory_and_numbers_break_the_contract),
#endif
};
RUN(tests)
