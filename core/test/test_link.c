/* test_link.c: connections on a session (L-01..L-08, T8-T17, AC-06..AC-08).
 *
 * Stories of two links back to back: core/test/pair.h compares every byte and
 * every end of file as it arrives. */
#include "core/test/pair.h"

#include <stdlib.h>
#include <string.h>

#define MINUTE ((uint64_t)60000)
#define HOUR (60 * MINUTE)
#define WINDOW WIRE_WINDOW_INITIAL

static int build(void **state)
{
    static struct pair pair;

    pair_start(&pair, NULL, NULL);
    *state = &pair;
    return 0;
}

static int drop(void **state)
{
    struct pair *p = *state;

    link_invariant(p->ends[SERVER].link);
    link_invariant(p->ends[AGENT].link);
    pair_end(p);
    return 0;
}

static void assert_reset(const struct sock *sock, enum status status)
{
    assert_false(sock->is_open);
    assert_true(sock->was_reset);
    assert_false(sock->was_closed);
    assert_int_equal(sock->status, status);
}

static void assert_closed(const struct sock *sock)
{
    assert_false(sock->is_open);
    assert_true(sock->was_closed);
    assert_false(sock->was_reset);
}

static void assert_nothing_left(const struct pair *p)
{
    assert_int_equal(link_conn_count(p->ends[SERVER].link), 0);
    assert_int_equal(link_conn_count(p->ends[AGENT].link), 0);
}

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
        assert_closed(clients[i]);
        assert_closed(clients[i]->peer);
    }
    assert_nothing_left(p);
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
    assert_closed(client);
    assert_closed(client->peer);
    assert_nothing_left(p);
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
    assert_closed(client);
    assert_closed(client->peer);
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

    assert_closed(by_client);
    assert_closed(by_client->peer);
    assert_closed(by_engine);
    assert_closed(by_engine->peer);
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

    assert_closed(client);
    assert_closed(client->peer);
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
    assert_closed(client->peer);
    assert_true(client->is_open);
    assert_int_equal(client->wants, 0);
    assert_int_equal(link_unwritten(p->ends[SERVER].link, client->conn), 1000);

    sock_allow(client, SIZE_MAX);
    pair_run(p);
    assert_closed(client);
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
    assert_closed(client);
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
    assert_reset(client->peer, STATUS_LOCAL_FAILED);
    assert_int_equal(client->wants, CONN_WANTS_RESET);
    assert_int_equal(client->status, STATUS_RESET);
    assert_int_equal(link_unwritten(p->ends[SERVER].link, client->conn), 600);

    sock_allow(client, SIZE_MAX);
    pair_run(p);
    assert_int_equal(client->wants, CONN_WANTS_RESET);
    pair_close_all(p, SERVER);
    assert_reset(client, STATUS_RESET);
    assert_int_equal(client->received, 1000);
    assert_false(client->was_shut);
    assert_nothing_left(p);
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

    assert_reset(client, STATUS_RESET);
}

static void a_client_that_aborts_reaches_the_engine_at_once(void **state)
{
    struct pair *p = *state;
    struct sock *client = pair_open(p);

    sock_send(client->peer, 5000);
    pair_run(p);
    sock_break(client);
    pair_run(p);

    assert_reset(client, STATUS_LOCAL_FAILED);
    assert_reset(client->peer, STATUS_RESET);
    assert_nothing_left(p);
}

static void a_socket_that_is_just_closed_resets_its_stream(void **state)
{
    struct pair *p = *state;
    struct sock *client = pair_open(p);

    client->is_open = false;
    link_closed(p->ends[SERVER].link, client->conn);
    pair_run(p);

    assert_reset(client->peer, STATUS_RESET);
    assert_nothing_left(p);
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
        assert_reset(clients[i], STATUS_TRANSPORT_LOST);
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
    assert_reset(client, STATUS_REVOKED);
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
    assert_closed(client->peer);
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

    assert_closed(client);
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

    assert_reset(client, STATUS_NOBODY_READS);
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
    assert_reset(client, STATUS_BAD_VERSION);
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
    assert_reset(client, STATUS_PING_TIMEOUT);
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

    assert_reset(client, STATUS_OPEN_TIMEOUT);
    assert_int_equal(link_status(server), STATUS_OK);
}

static void a_refused_offer_is_a_reset_for_its_client(void **state)
{
    struct pair *p = *state;
    enum status status;

    p->ends[AGENT].refuses = true;
    struct sock *client = pair_connect(p, &status);
    pair_run(p);

    assert_reset(client, STATUS_RESET);
    assert_nothing_left(p);
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

    assert_reset(client, STATUS_NOBODY_READS);
    assert_reset(client->peer, STATUS_RESET);
    assert_nothing_left(p);
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

    assert_closed(client);
    assert_closed(client->peer);
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
    assert_closed(client);
    pair_wait(p, 4000);
    sock_allow(client->peer, 999); /* it does read */
    pair_wait(p, 4999);
    assert_true(client->peer->is_open);
    pair_wait(p, 1);

    assert_reset(client->peer, STATUS_NOBODY_READS);
    assert_nothing_left(p);
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

    assert_closed(client);
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
    assert_reset(client, STATUS_NOBODY_READS);
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

    assert_reset(first, STATUS_NOBODY_READS);
    assert_reset(third, STATUS_LOCAL_FAILED);
    assert_nothing_left(p);
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

    assert_closed(other);
    assert_int_equal(other->received, 10000000);
}

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
    assert_closed(client);
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
    assert_reset(third, STATUS_RESET);

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
    assert_nothing_left(p);
}

static void an_offer_may_be_answered_after_a_failure(void **state)
{
    struct pair *p = *state;
    struct link *agent = p->ends[AGENT].link;
    struct link_change change;
    struct link_event event;
    enum status status;

    for (int accept = 0; accept < 2; accept++) {
        pair_end(p);
        pair_start(p, NULL, NULL);
        agent = p->ends[AGENT].link;
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

/* ---- many worlds --------------------------------------------------------- */

struct chance {
    uint64_t x;
};

static uint32_t draw(struct chance *chance, uint32_t below)
{
    chance->x ^= chance->x << 13;
    chance->x ^= chance->x >> 7;
    chance->x ^= chance->x << 17;
    return (uint32_t)(chance->x >> 32) % below;
}

enum verb {
    CONNECT,
    SEND,
    SEND_MUCH,
    END,
    BREAK,
    STALL,
    TRICKLE,
    ACT,
    DELIVER,
    WAIT,
    LOSE,
    VERBS
};

static void do_one(struct pair *p, struct chance *chance, enum verb verb)
{
    struct end *end = &p->ends[draw(chance, 2)];
    enum side side = end == &p->ends[SERVER] ? SERVER : AGENT;
    struct sock *sock = NULL;
    enum status status;

    if (end->sock_count > 0) {
        sock = &end->socks[draw(chance, (uint32_t)end->sock_count)];
        if (side == AGENT && sock->peer == NULL) {
            sock = NULL; /* no engine yet: the preface is under way */
        }
    }
    switch (verb) {
    case CONNECT:
        if (p->ends[SERVER].sock_count < PAIR_SOCKS / 2) {
            (void)pair_connect(p, &status);
        }
        break;
    case SEND:
    case SEND_MUCH:
        if (sock != NULL && !sock->said_eof) {
            sock_send(sock, draw(chance, verb == SEND ? 3000 : 400000));
        }
        break;
    case END:
        if (sock != NULL) {
            sock_eof(sock);
        }
        break;
    case BREAK:
        if (sock != NULL) {
            sock_break(sock);
        }
        break;
    case STALL:
    case TRICKLE:
        if (sock != NULL) {
            sock_allow(sock, verb == STALL ? 0 : draw(chance, 5000));
        }
        break;
    case ACT:
        p->frame_max = 1 + draw(chance, 8192);
        pair_act(p, side, 32 + draw(chance, 20000));
        break;
    case DELIVER:
        pair_deliver(p, side, draw(chance, draw(chance, 2) ? 40 : 40000));
        break;
    case WAIT:
        p->now_ms += draw(chance, 1500);
        link_tick(p->ends[SERVER].link, p->now_ms);
        link_tick(p->ends[AGENT].link, p->now_ms);
        break;
    case LOSE:
        link_fail(end->link, STATUS_TRANSPORT_LOST);
        break;
    case VERBS:
        break;
    }
}

/* Everybody reads, everybody has said all: every connection must end. */
static void heal(struct pair *p)
{
    p->frame_max = 0;
    for (int side = SERVER; side <= AGENT; side++) {
        struct end *end = &p->ends[side];
        if (link_status(end->link) != STATUS_OK) {
            link_fail(p->ends[!side].link, STATUS_TRANSPORT_LOST);
        }
    }
    for (int i = 0; i < 2; i++) { /* engines may come to be only now */
        for (int side = SERVER; side <= AGENT; side++) {
            struct end *end = &p->ends[side];
            for (size_t s = 0; s < end->sock_count; s++) {
                struct sock *sock = &end->socks[s];
                sock_allow(sock, SIZE_MAX);
                if (side == SERVER || sock->peer != NULL) {
                    sock_eof(sock);
                }
            }
        }
        pair_run(p);
    }
}

/* What this side met is a reason to reset both. */
static bool is_excused(const struct sock *sock)
{
    return sock->is_broken || sock->status == STATUS_NOBODY_READS ||
           sock->status == STATUS_OPEN_TIMEOUT;
}

/* Every connection is gone at both ends, and without an excuse it was closed in
 * order; that a clean end is a whole one, pair.c has seen to. */
static void judge(const struct pair *p)
{
    bool lost = link_status(p->ends[SERVER].link) != STATUS_OK;
    const struct end *server = &p->ends[SERVER];

    assert_nothing_left(p);
    for (size_t i = 0; i < server->sock_count; i++) {
        const struct sock *client = &server->socks[i];
        const struct sock *engine = client->peer;
        bool excused = lost || is_excused(client);

        assert_true(client->was_closed != client->was_reset);
        if (engine == NULL) { /* its preface never arrived */
            assert_true(excused && client->was_reset);
            continue;
        }
        excused = excused || is_excused(engine);
        assert_true(engine->was_closed != engine->was_reset);
        assert_true(excused || (client->was_closed && engine->was_closed));
    }
}

/* Each seed draws its own weights; some verbs not at all (swarm testing). */
static void run_world(uint64_t seed, uint32_t *lost, uint32_t *resets)
{
    struct chance chance = {seed * 0x9e3779b97f4a7c15u + 1};
    uint32_t weights[VERBS];
    uint32_t total = 0;
    static struct pair p;

    pair_start(&p, NULL, NULL);
    p.salt = (uint32_t)seed;
    for (int verb = 0; verb < VERBS; verb++) {
        weights[verb] = draw(&chance, 3) == 0 ? 0 : 1 + draw(&chance, 30);
    }
    weights[CONNECT] += 5;
    weights[ACT] += 20;
    weights[DELIVER] += 20;
    weights[BREAK] /= 10;
    weights[LOSE] = draw(&chance, 8) == 0 ? 1 : 0;
    for (int verb = 0; verb < VERBS; verb++) {
        total += weights[verb];
    }
    for (int step = 0; step < 400; step++) {
        uint32_t pick = draw(&chance, total);
        int verb = 0;
        while (pick >= weights[verb]) {
            pick -= weights[verb++];
        }
        do_one(&p, &chance, (enum verb)verb);
    }
    heal(&p);
    judge(&p);
    *lost += link_status(p.ends[SERVER].link) != STATUS_OK ? 1 : 0;
    for (size_t i = 0; i < p.ends[SERVER].sock_count; i++) {
        *resets += p.ends[SERVER].socks[i].was_reset ? 1 : 0;
    }
    pair_end(&p);
}

static void every_connection_ends_as_it_must_in_many_worlds(void **state)
{
    uint32_t lost = 0;
    uint32_t resets = 0;
    (void)state;

    for (uint64_t seed = 1; seed <= 250; seed++) {
        run_world(seed, &lost, &resets);
    }

    /* the worlds are as varied as they are meant to be */
    assert_true(lost > 10 && lost < 100);
    assert_true(resets > 100);
}

#define TEST(id, name) REQ_WITH(id, name, build, drop)

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
    TEST("L-08,T34", an_open_that_nobody_answers_is_reset),
    TEST("AC-07", a_refused_offer_is_a_reset_for_its_client),
    TEST("L-09,T13", what_nobody_reads_is_freed_after_5_seconds),
    TEST("L-09,T13", progress_starts_the_5_seconds_anew),
    TEST("L-09,T13", an_upload_that_is_read_late_is_not_lost),
    TEST("L-03,T11", an_engine_that_is_not_done_is_waited_for),
    TEST("L-09,T13", an_engine_that_stopped_reading_is_freed_after_5_seconds),
    TEST("L-03,T11", a_client_may_read_as_slowly_as_it_likes),
    TEST("L-02", the_linger_time_is_a_knob),
    TEST("L-09", a_lingering_socket_may_be_closed),
    TEST("L-05,T19", a_slow_reader_costs_its_window_and_stops_the_writer),
    TEST("L-05,T19", a_stalled_connection_does_not_delay_another),
    TEST("AC-07,L-02", every_refusal_changes_nothing),
    TEST("AC-07", a_full_link_that_failed_says_that_it_is_closed),
    TEST("AC-07", a_peer_that_goes_away_takes_no_more),
    TEST("L-02", connections_that_outlive_their_streams_count),
    TEST("L-02", the_server_has_the_same_limit),
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
    REQ("L-03,L-04,L-05", every_connection_ends_as_it_must_in_many_worlds),
};
RUN(tests)
