/* test_link.c: connections on a session (L-01..L-08, T8-T17, AC-06..AC-08).
 *
 * Stories of two links back to back: core/test/pair.h compares every byte and
 * every end of file as it arrives. */
#include "core/test/pair.h"

#include <string.h>

#define MINUTE ((uint64_t)60000)
#define HOUR (60 * MINUTE)
#define WINDOW WIRE_WINDOW_INITIAL

/* ---- bytes --------------------------------------------------------------- */

static void bytes_go_both_ways_unchanged(void **state)
{
    struct pair *p = *state;
    struct sock *client = pair_open(p);

    sock_send(client, 1000000);
    sock_send(client->peer, 700000);
    pair_run(p);

    assert_int_equal(client->peer->received, 1000000);
    assert_int_equal(client->received, 700000);
}

static void the_engine_may_speak_first(void **state)
{
    struct pair *p = *state;
    struct sock *client = pair_open(p);

    sock_send(client->peer, 100);
    pair_run(p);
    assert_int_equal(client->received, 100);

    sock_send(client, 7);
    pair_run(p);
    assert_int_equal(client->peer->received, 7);
}

/* The preface goes out with the SYN, before any byte of the client. */
static void the_preface_is_there_before_the_client_speaks(void **state)
{
    struct pair *p = *state;
    struct sock *client = pair_open(p);

    assert_non_null(client->peer); /* pair.c saw exactly one 0x01 */
    assert_int_equal(client->peer->received, 0);
}

static void streams_do_not_mix(void **state)
{
    struct pair *p = *state;
    struct sock *clients[20];

    for (size_t i = 0; i < 20; i++) {
        clients[i] = pair_open(p);
    }
    for (size_t i = 0; i < 20; i++) {
        sock_send(clients[i], 1000 * i + 1);
        sock_send(clients[19 - i]->peer, 30000 + i);
        sock_eof(clients[i]);
        sock_eof(clients[19 - i]->peer);
    }
    pair_run(p);

    for (size_t i = 0; i < 20; i++) {
        sock_expect_closed(clients[i]);
        sock_expect_closed(clients[i]->peer);
    }
    pair_expect_empty(p);
}

/* ---- half-close ---------------------------------------------------------- */

static void a_client_half_closes_and_still_reads(void **state)
{
    struct pair *p = *state;
    struct sock *client = pair_open(p);

    sock_send(client, 3);
    sock_eof(client);
    pair_run(p);
    assert_true(client->peer->was_shut);
    assert_true(client->is_open && client->peer->is_open);
    assert_false(client->was_shut);

    sock_send(client->peer, 11);
    pair_run(p);
    assert_int_equal(client->received, 11);

    sock_eof(client->peer);
    pair_run(p);
    sock_expect_closed(client);
    sock_expect_closed(client->peer);
    pair_expect_empty(p);
}

static void a_half_close_before_any_byte_travels(void **state)
{
    struct pair *p = *state;
    enum status status;
    struct sock *client = pair_connect(p, &status);

    sock_eof(client);
    pair_run(p);

    assert_true(client->peer->was_shut);
    assert_true(client->is_open);
}

static void an_engine_half_closes_and_still_reads(void **state)
{
    struct pair *p = *state;
    struct sock *client = pair_open(p);

    sock_send(client->peer, 5);
    sock_eof(client->peer);
    pair_run(p);
    assert_true(client->was_shut);
    assert_true(client->peer->is_open && !client->peer->was_shut);

    sock_send(client, 300000);
    pair_run(p);
    assert_int_equal(client->peer->received, 300000);

    sock_eof(client);
    pair_run(p);
    sock_expect_closed(client);
    sock_expect_closed(client->peer);
}

static void a_half_closed_connection_has_no_age_limit(void **state)
{
    struct link_config server, agent;
    struct pair *p = *state;

    pair_end(p);
    pair_config(&server, SERVER);
    pair_config(&agent, AGENT);
    server.mux.ping_interval_ms = agent.mux.ping_interval_ms = 60000;
    pair_start(p, &server, &agent);
    struct sock *by_client = pair_open(p);
    struct sock *by_engine = pair_open(p);

    sock_eof(by_client);
    sock_eof(by_engine->peer);
    pair_wait(p, 24 * HOUR);
    sock_send(by_client->peer, 9);
    sock_eof(by_client->peer);
    sock_send(by_engine, 8);
    sock_eof(by_engine);
    pair_run(p);

    sock_expect_closed(by_client);
    sock_expect_closed(by_client->peer);
    sock_expect_closed(by_engine);
    sock_expect_closed(by_engine->peer);
}

static void an_idle_connection_is_left_alone(void **state)
{
    struct pair *p = *state;
    struct sock *client = pair_open(p);

    pair_wait(p, 24 * HOUR);

    assert_int_equal(client->wants, CONN_WANTS_READ);
    assert_int_equal(client->peer->wants, CONN_WANTS_READ);
    assert_true(link_deadline(p->ends[SERVER].link) == UINT64_MAX);
}

static void an_end_of_file_never_overtakes_bytes(void **state)
{
    struct pair *p = *state;
    struct sock *client = pair_open(p);

    sock_allow(client->peer, 0);
    sock_send(client, 100000);
    sock_eof(client);
    pair_run(p);
    assert_int_equal(client->peer->held, 100000);
    assert_int_equal(client->peer->wants, CONN_WANTS_READ);

    sock_allow(client->peer, 99999);
    pair_run(p);
    assert_int_equal(client->peer->wants, CONN_WANTS_READ);

    sock_allow(client->peer, 1);
    pair_run(p);
    assert_int_equal(client->peer->wants, CONN_WANTS_READ | CONN_WANTS_FINISH);
}

static void both_ends_may_finish_at_once(void **state)
{
    struct pair *p = *state;
    struct sock *client = pair_open(p);

    sock_eof(client);
    sock_eof(client->peer);
    pair_act(p, SERVER, SIZE_MAX); /* the two FINs cross */
    pair_act(p, AGENT, SIZE_MAX);
    pair_run(p);

    sock_expect_closed(client);
    sock_expect_closed(client->peer);
}

static void
a_stream_that_ended_leaves_its_last_bytes_to_be_written(void **state)
{
    struct pair *p = *state;
    struct sock *client = pair_open(p);

    sock_allow(client, 0);
    sock_send(client->peer, 1000);
    sock_eof(client->peer);
    sock_eof(client);
    pair_run(p);
    sock_expect_closed(client->peer);
    assert_true(client->is_open);
    assert_int_equal(client->wants, 0);
    assert_int_equal(link_unwritten(p->ends[SERVER].link, client->conn), 1000);

    sock_allow(client, SIZE_MAX);
    pair_run(p);
    sock_expect_closed(client);
    assert_int_equal(client->received, 1000);
}

static void a_clean_end_waits_for_its_socket(void **state)
{
    struct pair *p = *state;
    struct sock *client = pair_open(p);

    p->ends[SERVER].is_lazy = true;
    sock_eof(client);
    sock_eof(client->peer);
    pair_wait(p, HOUR);
    assert_int_equal(client->wants, CONN_WANTS_CLOSE);

    link_fail(p->ends[SERVER].link, STATUS_TRANSPORT_LOST);
    pair_wait(p, HOUR);
    assert_int_equal(client->wants, CONN_WANTS_CLOSE);
    pair_close_all(p, SERVER);
    sock_expect_closed(client);
}

/* ---- abnormal ends ------------------------------------------------------- */

static void a_reset_is_flushed_and_never_looks_like_an_end_of_file(void **state)
{
    struct pair *p = *state;
    struct sock *client = pair_open(p);

    p->ends[SERVER].is_lazy = true;
    sock_allow(client, 400);
    sock_send(client->peer, 1000);
    pair_run(p);
    sock_break(client->peer);
    pair_run(p);
    sock_expect_reset(client->peer, STATUS_LOCAL_FAILED);
    assert_int_equal(client->wants, CONN_WANTS_RESET);
    assert_int_equal(client->status, STATUS_RESET);
    assert_int_equal(link_unwritten(p->ends[SERVER].link, client->conn), 600);

    sock_allow(client, SIZE_MAX);
    pair_run(p);
    assert_int_equal(client->wants, CONN_WANTS_RESET);
    pair_close_all(p, SERVER);
    sock_expect_reset(client, STATUS_RESET);
    assert_int_equal(client->received, 1000);
    assert_false(client->was_shut);
    pair_expect_empty(p);
}

static void a_reset_after_the_peers_end_of_file_is_still_a_reset(void **state)
{
    struct pair *p = *state;
    struct sock *client = pair_open(p);

    sock_eof(client->peer);
    pair_run(p);
    assert_true(client->was_shut);
    sock_break(client->peer);
    pair_run(p);

    sock_expect_reset(client, STATUS_RESET);
}

static void a_client_that_aborts_reaches_the_engine_at_once(void **state)
{
    struct pair *p = *state;
    struct sock *client = pair_open(p);

    sock_send(client->peer, 5000);
    pair_run(p);
    sock_break(client);
    pair_run(p);

    sock_expect_reset(client, STATUS_LOCAL_FAILED);
    sock_expect_reset(client->peer, STATUS_RESET);
    pair_expect_empty(p);
}

static void a_socket_that_is_just_closed_resets_its_stream(void **state)
{
    struct pair *p = *state;
    struct sock *client = pair_open(p);

    client->is_open = false;
    link_closed(p->ends[SERVER].link, client->conn);
    pair_run(p);

    sock_expect_reset(client->peer, STATUS_RESET);
    pair_expect_empty(p);
}

static void a_lost_session_resets_every_connection_in_one_step(void **state)
{
    struct pair *p = *state;
    struct link *server = p->ends[SERVER].link;
    struct sock *clients[5];
    enum status status;

    for (size_t i = 0; i < 5; i++) {
        clients[i] = pair_open(p);
    }
    sock_eof(clients[1]);
    sock_eof(clients[2]->peer);
    sock_send(clients[3], 10); /* it has a change that nobody has asked for */
    pair_run(p);
    link_readable(server, clients[4]->conn);

    link_fail(server, STATUS_TRANSPORT_LOST);

    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(link_conn_wants(server, clients[i]->conn),
                         CONN_WANTS_RESET);
    }
    assert_null(pair_connect(p, &status));
    assert_int_equal(status, STATUS_SESSION_CLOSED);
    assert_int_equal(link_wants(server), LINK_HAS_CHANGES | LINK_IS_OVER);
    pair_act(p, SERVER, SIZE_MAX);
    for (size_t i = 0; i < 5; i++) {
        sock_expect_reset(clients[i], STATUS_TRANSPORT_LOST);
    }
    assert_int_equal(link_conn_count(server), 0);
}

static void the_first_reason_stays(void **state)
{
    struct pair *p = *state;
    struct link *server = p->ends[SERVER].link;
    struct sock *client = pair_open(p);

    link_fail(server, STATUS_REVOKED);
    link_fail(server, STATUS_TRANSPORT_LOST);
    link_failed(server, client->conn);

    assert_int_equal(link_status(server), STATUS_REVOKED);
    pair_act(p, SERVER, SIZE_MAX);
    sock_expect_reset(client, STATUS_REVOKED);
}

/* All its bytes came before the session went: that was a clean end. */
static struct sock *complete_but_unread(struct pair *p)
{
    struct sock *client = pair_open(p);

    sock_allow(client, 0);
    sock_send(client->peer, 1000);
    sock_eof(client->peer);
    sock_eof(client);
    pair_run(p);
    sock_expect_closed(client->peer);
    link_fail(p->ends[SERVER].link, STATUS_TRANSPORT_LOST);
    return client;
}

static void a_complete_connection_outlives_its_session(void **state)
{
    struct pair *p = *state;
    struct sock *client = complete_but_unread(p);

    pair_wait(p, 4999);
    sock_allow(client, SIZE_MAX);
    pair_run(p);

    sock_expect_closed(client);
    assert_int_equal(client->received, 1000);
}

static void but_not_for_long(void **state)
{
    struct pair *p = *state;
    struct sock *client = complete_but_unread(p);

    pair_wait(p, 3000);
    sock_allow(client, 10); /* a trickle does not extend it */
    pair_wait(p, 1999);
    assert_true(client->is_open);
    pair_wait(p, 1);

    sock_expect_reset(client, STATUS_NOBODY_READS);
}

static void a_broken_frame_ends_the_session_with_one_go_away(void **state)
{
    const uint8_t frame[WIRE_HEADER_SIZE] = {9};
    struct pair *p = *state;
    struct link *server = p->ends[SERVER].link;
    struct sock *client = pair_open(p);
    struct span input = {frame, sizeof frame};
    struct link_event event;
    uint8_t bytes[64];

    assert_false(link_receive(server, p->now_ms, &input, &event));

    assert_int_equal(link_status(server), STATUS_BAD_VERSION);
    assert_int_equal(link_wants(server), LINK_WANTS_OUTPUT | LINK_HAS_CHANGES);
    assert_int_equal(link_emit(server, p->now_ms, bytes, sizeof bytes), 12);
    assert_int_equal(bytes[1], WIRE_GO_AWAY);
    assert_int_equal(link_wants(server), LINK_IS_OVER | LINK_HAS_CHANGES);
    pair_act(p, SERVER, SIZE_MAX);
    sock_expect_reset(client, STATUS_BAD_VERSION);
}

static void a_silent_peer_loses_the_session_within_15_seconds(void **state)
{
    struct link_config config;
    struct pair *p = *state;

    pair_end(p);
    pair_config(&config, SERVER);
    config.mux.ping_interval_ms = 5000;
    pair_start(p, &config, NULL);
    struct link *server = p->ends[SERVER].link;
    struct sock *client = pair_open(p);

    uint64_t start_ms = p->now_ms;
    while (link_status(server) == STATUS_OK) { /* nothing is delivered */
        p->now_ms = link_deadline(server);
        link_tick(server, p->now_ms);
        pair_act(p, SERVER, SIZE_MAX);
    }

    assert_true(p->now_ms - start_ms <= 15000);
    sock_expect_reset(client, STATUS_PING_TIMEOUT);
}

static void a_busy_link_is_never_killed(void **state)
{
    struct link_config config;
    struct pair *p = *state;

    pair_end(p);
    pair_config(&config, SERVER);
    config.mux.ping_interval_ms = 5000;
    pair_start(p, &config, NULL);
    struct sock *client = pair_open(p);

    for (int i = 0; i < 100; i++) { /* bytes come, but never an answer */
        sock_send(client->peer, 1);
        pair_act(p, AGENT, SIZE_MAX);
        pair_deliver(p, SERVER, SIZE_MAX);
        p->now_ms += 4000;
        link_tick(p->ends[SERVER].link, p->now_ms);
        pair_act(p, SERVER, SIZE_MAX);
    }

    assert_int_equal(link_status(p->ends[SERVER].link), STATUS_OK);
}

/* The WebSocket's own bytes. */
static void what_the_transport_heard_is_a_sign_of_life(void **state)
{
    struct link_config config;
    struct pair *p = *state;

    pair_end(p);
    pair_config(&config, SERVER);
    config.mux.ping_interval_ms = 5000;
    pair_start(p, &config, NULL);
    for (int i = 0; i < 100; i++) {
        p->now_ms += 4000;
        link_heard(p->ends[SERVER].link, p->now_ms);
        link_tick(p->ends[SERVER].link, p->now_ms);
    }
    assert_int_equal(link_status(p->ends[SERVER].link), STATUS_OK);
    assert_int_equal(link_deadline(p->ends[SERVER].link), p->now_ms + 5000);
}

static void an_open_that_nobody_answers_is_reset(void **state)
{
    struct pair *p = *state;
    struct link *server = p->ends[SERVER].link;
    enum status status;
    struct sock *client = pair_connect(p, &status);

    pair_act(p, SERVER, SIZE_MAX);
    p->now_ms += 29999;
    link_tick(server, p->now_ms);
    pair_act(p, SERVER, SIZE_MAX);
    assert_true(client->is_open);
    p->now_ms += 1;
    link_tick(server, p->now_ms);
    pair_act(p, SERVER, SIZE_MAX);

    sock_expect_reset(client, STATUS_OPEN_TIMEOUT);
    assert_int_equal(link_status(server), STATUS_OK);
}

static void a_refused_offer_is_a_reset_for_its_client(void **state)
{
    struct pair *p = *state;
    enum status status;

    p->ends[AGENT].refuses = true;
    struct sock *client = pair_connect(p, &status);
    pair_run(p);

    sock_expect_reset(client, STATUS_RESET);
    pair_expect_empty(p);
}

/* ---- nobody reads (T13) -------------------------------------------------- */

/* The engine has answered and stopped to read; the client has more to send than
 * the window takes, and closes. */
static struct sock *stuck_upload(struct pair *p)
{
    struct sock *client = pair_open(p);

    sock_allow(client->peer, 0);
    sock_send(client, 400000);
    sock_eof(client->peer);
    pair_run(p);
    assert_true(client->was_shut);
    assert_true(client->read <= WINDOW);
    return client;
}

static void what_nobody_reads_is_freed_after_5_seconds(void **state)
{
    struct pair *p = *state;
    struct sock *client = stuck_upload(p);

    pair_wait(p, HOUR); /* until the client closes, it may be long */
    assert_true(client->is_open);
    sock_eof(client);
    pair_run(p);
    pair_wait(p, 4999);
    assert_true(client->is_open);
    pair_wait(p, 1);

    sock_expect_reset(client, STATUS_NOBODY_READS);
    sock_expect_reset(client->peer, STATUS_RESET);
    pair_expect_empty(p);
}

static void the_5_seconds_begin_with_the_half_close(void **state)
{
    struct pair *p = *state;
    struct link *server = p->ends[SERVER].link;
    struct sock *client = stuck_upload(p);

    pair_wait(p, 1234);
    link_half_closed(server, p->now_ms, client->conn);
    assert_true(link_deadline(server) == p->now_ms + 5000);
    link_written(server, client->conn, 0); /* no progress */
    assert_true(link_deadline(server) == p->now_ms + 5000);
}

static void progress_starts_the_5_seconds_anew(void **state)
{
    struct pair *p = *state;
    struct sock *client = stuck_upload(p);
    struct sock *later = stuck_upload(p);

    sock_eof(client);
    pair_wait(p, 2000);
    sock_eof(later);
    pair_wait(p, 2900);
    sock_allow(client->peer, WINDOW / 2); /* the engine reads after all */
    pair_wait(p, 4999);
    assert_true(client->is_open);
    assert_false(later->is_open);
    pair_wait(p, 1);
    assert_false(client->is_open);
}

static void an_upload_that_is_read_late_is_not_lost(void **state)
{
    struct pair *p = *state;
    struct sock *client = stuck_upload(p);

    sock_eof(client);
    pair_wait(p, 4000);
    sock_allow(client->peer, SIZE_MAX);
    pair_wait(p, HOUR);

    sock_expect_closed(client);
    sock_expect_closed(client->peer);
    assert_int_equal(client->peer->received, 400000);
}

static void an_engine_that_is_not_done_is_waited_for(void **state)
{
    struct pair *p = *state;
    struct sock *client = pair_open(p);

    sock_allow(client->peer, 0);
    sock_send(client, 400000);
    sock_eof(client);
    pair_wait(p, 24 * HOUR);

    assert_true(client->is_open && client->peer->is_open);
}

/* Both sides are done, and the engine does not take the last bytes. */
static void
an_engine_that_stopped_reading_is_freed_after_5_seconds(void **state)
{
    struct pair *p = *state;
    struct sock *client = pair_open(p);

    sock_allow(client->peer, 0);
    sock_send(client, 1000);
    sock_eof(client);
    sock_eof(client->peer);
    pair_run(p);
    sock_expect_closed(client);
    assert_true(link_deadline(p->ends[AGENT].link) == 0); /* asks the time */
    pair_wait(p, 4000);
    sock_allow(client->peer, 999); /* it does read */
    pair_wait(p, 4999);
    assert_true(client->peer->is_open);
    pair_wait(p, 1);

    sock_expect_reset(client->peer, STATUS_NOBODY_READS);
    pair_expect_empty(p);
}

/* `docker exec ... | slow`: the client half-closes at once and reads at its own
 * pace, when everything has long been said. */
static void a_client_may_read_as_slowly_as_it_likes(void **state)
{
    struct pair *p = *state;
    struct sock *client = pair_open(p);

    sock_allow(client, 0);
    sock_eof(client);
    sock_send(client->peer, 200000);
    sock_eof(client->peer);
    pair_wait(p, 24 * HOUR);
    assert_true(client->is_open);
    sock_allow(client, SIZE_MAX);
    pair_run(p);

    sock_expect_closed(client);
    assert_int_equal(client->received, 200000);
}

static void the_linger_time_is_a_knob(void **state)
{
    struct link_config config;
    struct pair *p = *state;

    pair_end(p);
    pair_config(&config, SERVER);
    assert_int_equal(config.linger_ms, 5000);
    assert_false(config.unread_lingers);
    config.linger_ms = 70;
    config.unread_lingers = true;
    pair_start(p, &config, NULL);
    struct sock *client = pair_open(p);

    sock_allow(client, 0);
    sock_eof(client);
    sock_send(client->peer, 10);
    sock_eof(client->peer);
    pair_run(p);
    pair_wait(p, 69);
    assert_true(client->is_open);
    pair_wait(p, 1);
    sock_expect_reset(client, STATUS_NOBODY_READS);
}

/* Whatever comes first is the next deadline. */
static void a_ping_is_due_although_a_socket_lingers(void **state)
{
    struct link_config config;
    struct pair *p = *state;

    pair_end(p);
    pair_config(&config, SERVER);
    config.mux.ping_interval_ms = 3000;
    config.unread_lingers = true;
    pair_start(p, &config, NULL);
    struct sock *client = pair_open(p);

    sock_allow(client, 0);
    sock_eof(client);
    sock_send(client->peer, 10);
    sock_eof(client->peer);
    uint64_t start_ms = p->now_ms;
    pair_run(p);
    pair_wait(p, 1);
    assert_int_equal(link_deadline(p->ends[SERVER].link), start_ms + 3000);
    pair_wait(p, 2999); /* the answer puts off the next ping, not the socket */
    assert_int_equal(link_deadline(p->ends[SERVER].link), start_ms + 5000);
    pair_wait(p, 2000);
    sock_expect_reset(client, STATUS_NOBODY_READS);
}

static void a_lingering_socket_may_be_closed(void **state)
{
    struct pair *p = *state;
    struct sock *first = stuck_upload(p);
    struct sock *second = stuck_upload(p);
    struct sock *third = stuck_upload(p);

    sock_eof(first);
    sock_eof(second);
    sock_eof(third);
    pair_run(p);
    second->is_open = false;
    link_closed(p->ends[SERVER].link, second->conn);
    sock_break(third);
    pair_wait(p, 5000);

    sock_expect_reset(first, STATUS_NOBODY_READS);
    sock_expect_reset(third, STATUS_LOCAL_FAILED);
    pair_expect_empty(p);
}

/* ---- back-pressure ------------------------------------------------------- */

static void a_slow_reader_costs_its_window_and_stops_the_writer(void **state)
{
    struct pair *p = *state;
    struct sock *client = pair_open(p);

    sock_allow(client, 0);
    sock_send(client->peer, 10000000);
    pair_run(p);
    assert_int_equal(client->held, WINDOW);
    assert_int_equal(client->peer->read, WINDOW);
    assert_int_equal(client->peer->wants, 0); /* its socket fills up */

    sock_allow(client, SIZE_MAX);
    pair_run(p);
    assert_int_equal(client->received, 10000000);
}

static void a_stalled_connection_does_not_delay_another(void **state)
{
    struct pair *p = *state;
    struct sock *stalled = pair_open(p);
    struct sock *other = pair_open(p);

    sock_allow(stalled, 0);
    sock_send(stalled->peer, 10000000);
    sock_send(other->peer, 10000000);
    sock_eof(other->peer);
    sock_eof(other);
    pair_run(p);

    sock_expect_closed(other);
    assert_int_equal(other->received, 10000000);
}

#define TEST(id, name) REQ_WITH(id, name, pair_build, pair_drop)

static const struct CMUnitTest tests[] = {
    TEST("AC-06", bytes_go_both_ways_unchanged),
    TEST("AC-06", the_engine_may_speak_first),
    TEST("AC-06,AC-08", the_preface_is_there_before_the_client_speaks),
    TEST("AC-06", streams_do_not_mix),
    TEST("L-03,T8", a_client_half_closes_and_still_reads),
    TEST("L-03,T9", a_half_close_before_any_byte_travels),
    TEST("L-03,T10", an_engine_half_closes_and_still_reads),
    TEST("L-03,T11", a_half_closed_connection_has_no_age_limit),
    TEST("L-08,T29", an_idle_connection_is_left_alone),
    TEST("L-03,T12", an_end_of_file_never_overtakes_bytes),
    TEST("L-03", both_ends_may_finish_at_once),
    TEST("L-04", a_stream_that_ended_leaves_its_last_bytes_to_be_written),
    TEST("L-04", a_clean_end_waits_for_its_socket),
    TEST("L-04,T14,T15",
         a_reset_is_flushed_and_never_looks_like_an_end_of_file),
    TEST("L-04,T14", a_reset_after_the_peers_end_of_file_is_still_a_reset),
    TEST("T17", a_client_that_aborts_reaches_the_engine_at_once),
    TEST("T17", a_socket_that_is_just_closed_resets_its_stream),
    TEST("L-04,T16", a_lost_session_resets_every_connection_in_one_step),
    TEST("L-04", the_first_reason_stays),
    TEST("L-04", a_complete_connection_outlives_its_session),
    TEST("AC-05", but_not_for_long),
    TEST("L-04", a_broken_frame_ends_the_session_with_one_go_away),
    TEST("L-01", a_silent_peer_loses_the_session_within_15_seconds),
    TEST("L-01", a_busy_link_is_never_killed),
    TEST("L-01", what_the_transport_heard_is_a_sign_of_life),
    TEST("L-08,T34", an_open_that_nobody_answers_is_reset),
    TEST("AC-07", a_refused_offer_is_a_reset_for_its_client),
    TEST("L-09,T13", what_nobody_reads_is_freed_after_5_seconds),
    TEST("L-09,T13", the_5_seconds_begin_with_the_half_close),
    TEST("L-09,T13", progress_starts_the_5_seconds_anew),
    TEST("L-09,T13", an_upload_that_is_read_late_is_not_lost),
    TEST("L-03,T11", an_engine_that_is_not_done_is_waited_for),
    TEST("L-09,T13", an_engine_that_stopped_reading_is_freed_after_5_seconds),
    TEST("L-03,T11", a_client_may_read_as_slowly_as_it_likes),
    TEST("L-02", the_linger_time_is_a_knob),
    TEST("L-01,L-02", a_ping_is_due_although_a_socket_lingers),
    TEST("L-09", a_lingering_socket_may_be_closed),
    TEST("L-05,T19", a_slow_reader_costs_its_window_and_stops_the_writer),
    TEST("L-05,T19", a_stalled_connection_does_not_delay_another),
};
RUN(tests)
