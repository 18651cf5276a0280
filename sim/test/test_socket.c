/* Sockets: every rule of sim/socket.h, each fault, and what is left after. */
#include "core/test/req.h"
#include "sim/socket.h"

#include <string.h>

struct user { /* one end, and what it has seen */
    struct socket *socket;
    uint32_t calls;
    bool reads; /* in ready(), all there is */
    uint64_t read;
    enum socket_result last;
    uint8_t next; /* the byte that must come */
};

struct rig {
    struct sim *sim;
    struct process near, far;
    struct listener *listener;
    struct path there, back;
    struct user client, server;
    uint32_t listener_calls;
    bool accepts; /* in the listener's ready() */
};

static void end_ready(void *argument)
{
    struct user *user = argument;
    uint8_t bytes[700];
    size_t done;

    user->calls++;
    if (!user->reads || user->socket == NULL) {
        return;
    }
    do {
        user->last = socket_receive(user->socket, bytes, sizeof bytes, &done);
        for (size_t i = 0; i < done; i++) {
            assert_int_equal(bytes[i], user->next++);
        }
        user->read += done;
    } while (user->last == SOCKET_MORE);
}

static void listener_ready(void *argument)
{
    struct rig *rig = argument;

    rig->listener_calls++;
    if (rig->accepts && rig->server.socket == NULL) {
        rig->server.socket =
            listener_accept(rig->listener, end_ready, &rig->server);
    }
}

static void rig_init(struct rig *rig)
{
    struct sim_config config = {.seed = 5};

    *rig = (struct rig){.sim = sim_new(&config), .accepts = true};
    path_default(&rig->there);
    path_default(&rig->back);
    process_init(&rig->near, rig->sim, "near");
    process_init(&rig->far, rig->sim, "far");
    process_start(&rig->near);
    process_start(&rig->far);
    rig->listener =
        listener_open(&rig->far, ADDRESS_SERVER, 4, listener_ready, rig);
    assert_non_null(rig->listener);
    rig->client.reads = true;
    rig->server.reads = true;
}

static void run(struct rig *rig, uint64_t for_us)
{
    uint64_t until_us = sim_now_us(rig->sim) + for_us;

    for (size_t i = 0; i < 1000000 && sim_step(rig->sim, until_us); i++) {
    }
}

static void rig_connect(struct rig *rig)
{
    rig->client.socket = socket_connect(&rig->near, ADDRESS_SERVER, &rig->there,
                                        &rig->back, end_ready, &rig->client);
    assert_non_null(rig->client.socket);
    run(rig, 2 * (rig->there.latency_us + rig->back.latency_us));
    assert_int_equal(socket_state(rig->client.socket), SOCKET_OPEN);
    assert_non_null(rig->server.socket);
}

static void rig_free(struct rig *rig)
{
    if (rig->client.socket != NULL) {
        socket_close(rig->client.socket);
    }
    if (rig->server.socket != NULL) {
        socket_close(rig->server.socket);
    }
    if (rig->listener != NULL) {
        listener_close(rig->listener);
    }
    process_expect_empty(&rig->near);
    process_expect_empty(&rig->far);
    sim_free(rig->sim);
}

static void reset(struct user *user)
{
    socket_reset(user->socket);
    user->socket = NULL;
}

static void close_it(struct user *user)
{
    socket_close(user->socket);
    user->socket = NULL;
}

/* Send the bytes from, from + 1, ...; how many were taken. */
static size_t send_from(struct user *user, uint64_t from, size_t length)
{
    uint8_t bytes[4096];
    size_t done;

    assert_in_range(length, 1, sizeof bytes);
    for (size_t i = 0; i < length; i++) {
        bytes[i] = (uint8_t)(from + i);
    }
    user->last = socket_send(user->socket, bytes, length, &done);
    assert_true((user->last == SOCKET_MORE) == (done > 0));
    return done;
}

/* All length bytes go from one to the other, however they are cut. */
static void pump(struct rig *rig, struct user *from, struct user *to,
                 uint64_t length)
{
    uint64_t sent = socket_sent(from->socket), end = sent + length;

    for (size_t i = 0; i < 100000 && to->read < end; i++) {
        while (sent < end) {
            uint64_t left = end - sent;
            size_t done =
                send_from(from, sent, left < 4096 ? (size_t)left : 4096);
            if (done == 0) {
                break;
            }
            sent += done;
        }
        run(rig, 50 * SIM_MS);
    }
    assert_int_equal(to->read, end);
}

/* ---- connecting ---------------------------------------------------------- */

static void a_connection_takes_a_round_trip(void **state)
{
    (void)state;
    struct rig rig;

    rig_init(&rig);
    rig.there.latency_us = 10 * SIM_MS;
    rig.back.latency_us = 20 * SIM_MS;
    rig.client.socket = socket_connect(&rig.near, ADDRESS_SERVER, &rig.there,
                                       &rig.back, end_ready, &rig.client);
    run(&rig, 9 * SIM_MS);
    assert_int_equal(rig.listener_calls, 0);
    assert_int_equal(send_from(&rig.client, 0, 1), 0);
    run(&rig, 20 * SIM_MS);
    assert_int_equal(rig.listener_calls, 1);
    assert_int_equal(socket_state(rig.client.socket), SOCKET_CONNECTING);
    assert_ptr_equal(socket_process(rig.server.socket), &rig.far);
    assert_ptr_equal(socket_peer_process(rig.client.socket), &rig.far);
    run(&rig, SIM_MS);
    assert_int_equal(socket_state(rig.client.socket), SOCKET_OPEN);
    assert_int_equal(rig.client.calls, 1);
    rig_free(&rig);
}

static void nobody_listens_there(void **state)
{
    (void)state;
    struct rig rig;

    rig_init(&rig);
    rig.client.socket =
        socket_connect(&rig.near, 80, NULL, NULL, end_ready, &rig.client);
    run(&rig, SIM_MS);
    assert_int_equal(socket_state(rig.client.socket), SOCKET_FAILED);
    assert_int_equal(rig.client.last, SOCKET_BROKEN);
    assert_int_equal(send_from(&rig.client, 0, 1), 0);
    assert_int_equal(rig.client.last, SOCKET_BROKEN);
    assert_null(socket_peer_process(rig.client.socket));
    close_it(&rig.client);
    /* closed before the answer comes: gone without a trace */
    rig.client.socket =
        socket_connect(&rig.near, 80, NULL, NULL, end_ready, &rig.client);
    close_it(&rig.client);
    run(&rig, SIM_MS);
    rig_free(&rig);
}

static void an_address_has_one_listener(void **state)
{
    (void)state;
    struct rig rig;

    rig_init(&rig);
    assert_null(
        listener_open(&rig.near, ADDRESS_SERVER, 1, listener_ready, &rig));
    struct listener *one = listener_open(&rig.near, 0, 1, listener_ready, &rig);
    struct listener *two = listener_open(&rig.near, 0, 1, listener_ready, &rig);
    assert_in_range(listener_address(one), ADDRESS_LOCAL_FIRST,
                    ADDRESS_LOCAL_LAST);
    assert_int_not_equal(listener_address(one), listener_address(two));
    uint32_t address = listener_address(one);
    listener_close(one);
    one = listener_open(&rig.near, address, 1, listener_ready, &rig);
    assert_non_null(one);
    listener_close(one);
    listener_close(two);
    rig_free(&rig);
}

static void a_full_backlog_makes_a_client_wait(void **state)
{
    (void)state;
    struct rig rig;
    struct user users[5] = {{.socket = NULL}};

    rig_init(&rig);
    rig.accepts = false;
    for (size_t i = 0; i < 5; i++) {
        users[i].socket = socket_connect(&rig.near, ADDRESS_SERVER, NULL, NULL,
                                         end_ready, &users[i]);
    }
    run(&rig, SIM_MS);
    assert_int_equal(socket_state(users[3].socket), SOCKET_OPEN);
    assert_int_equal(socket_state(users[4].socket), SOCKET_CONNECTING);
    rig.server.socket = listener_accept(rig.listener, end_ready, &rig.server);
    assert_non_null(rig.server.socket);
    run(&rig, 2 * SIM_S);
    assert_int_equal(socket_state(users[4].socket), SOCKET_OPEN);
    /* what waits when its listener closes is reset */
    listener_close(rig.listener);
    rig.listener = NULL;
    run(&rig, SIM_MS);
    users[0].reads = true;
    users[4].reads = true;
    end_ready(&users[0]);
    end_ready(&users[4]);
    assert_int_equal(users[0].last, SOCKET_WAIT);
    assert_int_equal(users[4].last, SOCKET_BROKEN);
    for (size_t i = 0; i < 5; i++) {
        socket_close(users[i].socket);
    }
    rig_free(&rig);
}

static void a_backlog_that_stays_full_fails_a_client(void **state)
{
    (void)state;
    struct rig rig;
    struct user users[5] = {{.socket = NULL}};

    rig_init(&rig);
    rig.accepts = false;
    for (size_t i = 0; i < 5; i++) {
        users[i].socket = socket_connect(&rig.near, ADDRESS_SERVER, NULL, NULL,
                                         end_ready, &users[i]);
    }
    run(&rig, 100 * SIM_S);
    assert_int_equal(socket_state(users[4].socket), SOCKET_FAILED);
    for (size_t i = 0; i < 5; i++) {
        socket_close(users[i].socket);
    }
    rig_free(&rig);
}

/* ---- descriptors --------------------------------------------------------- */

static void descriptors_run_out(void **state)
{
    (void)state;
    struct rig rig;

    rig_init(&rig);
    rig.accepts = false;
    rig.near.descriptors_max = 1;
    rig.far.descriptors_max = 1;
    rig.client.socket = socket_connect(&rig.near, ADDRESS_SERVER, NULL, NULL,
                                       end_ready, &rig.client);
    assert_non_null(rig.client.socket);
    assert_null(socket_connect(&rig.near, ADDRESS_SERVER, NULL, NULL, end_ready,
                               &rig.client));
    assert_null(listener_open(&rig.near, 0, 1, listener_ready, &rig));
    run(&rig, SIM_MS);
    assert_null(listener_accept(rig.listener, end_ready, &rig.server));
    rig.far.descriptors_max = 2; /* it was not lost */
    rig.server.socket = listener_accept(rig.listener, end_ready, &rig.server);
    assert_non_null(rig.server.socket);
    assert_null(listener_accept(rig.listener, end_ready, &rig.server));
    assert_int_equal(rig.far.descriptors, 2);
    rig_free(&rig);
}

static void binds_fail_as_often_as_they_are_told_to(void **state)
{
    (void)state;
    struct rig rig;

    rig_init(&rig);
    socket_fail_binds(rig.sim, 2);
    assert_null(listener_open(&rig.near, 0, 1, listener_ready, &rig));
    assert_null(listener_open(&rig.near, 80, 1, listener_ready, &rig));
    struct listener *listener =
        listener_open(&rig.near, 80, 1, listener_ready, &rig);
    assert_non_null(listener);
    listener_close(listener);
    rig_free(&rig);
}

static void the_system_chooses_among_as_many_ports_as_it_has(void **state)
{
    (void)state;
    struct listener *listeners[2];
    struct rig rig;

    rig_init(&rig);
    socket_limit_ports(rig.sim, 2);
    for (size_t i = 0; i < 2; i++) {
        listeners[i] = listener_open(&rig.near, 0, 1, listener_ready, &rig);
        assert_non_null(listeners[i]);
        assert_in_range(listener_address(listeners[i]), ADDRESS_LOCAL_FIRST,
                        ADDRESS_LOCAL_FIRST + 1);
    }
    assert_null(listener_open(&rig.near, 0, 1, listener_ready, &rig));
    listener_close(listeners[0]);
    listener_close(listeners[1]);
    rig_free(&rig);
}

/* ---- bytes --------------------------------------------------------------- */

static void bytes_come_whole_and_in_order(void **state)
{
    (void)state;
    const struct path paths[] = {
        {.buffer = 212992},
        {.buffer = 1},
        {.buffer = 3000, .piece_max = 7},
        {.buffer = 5000, .latency_us = 3000, .jitter_us = 9000},
        {.buffer = 9000, .rate = 100000, .latency_us = 1},
        {.buffer = 777, .rate = 50000, .jitter_us = 5000, .piece_max = 100},
    };

    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct rig rig;
        uint64_t length = paths[i].buffer == 1 ? 500 : 30000;
        rig_init(&rig);
        rig.there = paths[i];
        rig.back = paths[i];
        rig.back.piece_max = 3;
        rig_connect(&rig);
        pump(&rig, &rig.client, &rig.server, length);
        pump(&rig, &rig.server, &rig.client, length);
        socket_finish(rig.client.socket);
        run(&rig, SIM_S);
        assert_int_equal(rig.server.last, SOCKET_FINISHED);
        pump(&rig, &rig.server, &rig.client, 100); /* half-closed, not more */
        assert_int_equal(socket_sent(rig.client.socket), length);
        assert_int_equal(socket_received(rig.server.socket), length);
        assert_int_equal(socket_unsent(rig.client.socket), 0);
        rig_free(&rig);
    }
}

static void bytes_take_their_time(void **state)
{
    (void)state;
    struct rig rig;

    rig_init(&rig);
    rig.there.latency_us = 100 * SIM_MS;
    rig.there.rate = 1000;
    rig_connect(&rig);
    assert_int_equal(send_from(&rig.client, 0, 500), 500);
    run(&rig, 599 * SIM_MS);
    assert_int_equal(rig.server.read, 0);
    assert_int_equal(socket_unsent(rig.client.socket), 500);
    run(&rig, SIM_MS);
    assert_int_equal(rig.server.read, 500);
    assert_int_equal(socket_unsent(rig.client.socket), 0);
    rig_free(&rig);
}

static void a_full_buffer_stops_the_sender_until_it_is_told(void **state)
{
    (void)state;
    struct rig rig;

    rig_init(&rig);
    rig.there.buffer = 1000;
    rig_connect(&rig);
    rig.server.reads = false;
    assert_int_equal(send_from(&rig.client, 0, 700), 700);
    assert_int_equal(send_from(&rig.client, 700, 700), 300);
    assert_int_equal(send_from(&rig.client, 1000, 1), 0);
    assert_int_equal(rig.client.last, SOCKET_WAIT);
    run(&rig, SIM_S);
    uint32_t calls = rig.client.calls;
    rig.server.reads = true;
    end_ready(&rig.server);
    run(&rig, SIM_S);
    assert_int_equal(rig.client.calls, calls + 1);
    assert_int_equal(send_from(&rig.client, 1000, 1000), 1000);
    rig_free(&rig);
}

static void a_short_send_that_a_draw_made_is_followed_by_a_call(void **state)
{
    (void)state;
    struct rig rig;

    rig_init(&rig);
    rig.there.piece_max = 1;
    rig_connect(&rig);
    uint32_t calls = rig.client.calls;
    assert_int_equal(send_from(&rig.client, 0, 2), 1);
    run(&rig, SIM_MS);
    assert_true(rig.client.calls > calls);
    rig_free(&rig);
}

static void an_end_that_does_not_read_is_told_of_each_arrival(void **state)
{
    (void)state;
    struct rig rig;

    rig_init(&rig);
    rig_connect(&rig);
    rig.server.reads = false;
    uint32_t calls = rig.server.calls;
    for (uint32_t i = 1; i <= 3; i++) {
        send_from(&rig.client, i, 1);
        run(&rig, SIM_MS);
        assert_int_equal(rig.server.calls, calls + i);
    }
    socket_finish(rig.client.socket);
    assert_false(socket_peer_gone(rig.server.socket));
    run(&rig, SIM_MS);
    assert_int_equal(rig.server.calls, calls + 4);
    assert_true(socket_peer_gone(rig.server.socket));
    rig_free(&rig);
}

static void another_owner_takes_over(void **state)
{
    (void)state;
    struct rig rig;
    struct user heir = {.reads = true};

    rig_init(&rig);
    rig_connect(&rig);
    heir.socket = rig.server.socket;
    socket_own(rig.server.socket, end_ready, &heir);
    send_from(&rig.client, 0, 10);
    run(&rig, SIM_MS);
    assert_int_equal(heir.read, 10);
    rig_free(&rig);
}

/* ---- ends ---------------------------------------------------------------- */

static void a_close_sends_its_bytes_then_a_fin(void **state)
{
    (void)state;
    struct rig rig;

    rig_init(&rig);
    rig.there.latency_us = 10 * SIM_MS;
    rig.there.piece_max = 100;
    rig_connect(&rig);
    size_t sent = send_from(&rig.client, 0, 1000);
    close_it(&rig.client);
    run(&rig, 9 * SIM_MS);
    assert_int_equal(rig.server.read, 0);
    run(&rig, SIM_MS);
    assert_int_equal(rig.server.read, sent);
    assert_int_equal(rig.server.last, SOCKET_FINISHED);
    rig_free(&rig);
}

static void a_close_over_unread_bytes_is_a_reset(void **state)
{
    (void)state;
    struct rig rig;

    rig_init(&rig);
    rig_connect(&rig);
    rig.server.reads = false;
    send_from(&rig.client, 0, 10);
    run(&rig, SIM_MS);
    close_it(&rig.server);
    run(&rig, SIM_MS);
    assert_int_equal(rig.client.last, SOCKET_BROKEN);
    rig_free(&rig);
}

static void bytes_for_a_closed_end_are_answered_with_a_reset(void **state)
{
    (void)state;
    for (int early = 0; early < 2; early++) {
        struct rig rig;
        rig_init(&rig);
        rig.there.latency_us = 5 * SIM_MS;
        rig.back.latency_us = 5 * SIM_MS;
        rig_connect(&rig);
        if (early) { /* under way when it closes */
            send_from(&rig.client, 0, 10);
        }
        close_it(&rig.server);
        run(&rig, 6 * SIM_MS);
        assert_int_equal(rig.client.last, SOCKET_FINISHED);
        if (!early) {
            assert_int_equal(send_from(&rig.client, 0, 10), 10);
        }
        run(&rig, 20 * SIM_MS);
        assert_int_equal(rig.client.last, SOCKET_BROKEN);
        rig_free(&rig);
    }
}

static void a_reset_keeps_what_has_landed_and_loses_the_rest(void **state)
{
    (void)state;
    struct rig rig;

    rig_init(&rig);
    rig.there.latency_us = 10 * SIM_MS;
    rig_connect(&rig);
    rig.server.reads = false;
    send_from(&rig.client, 0, 100);
    run(&rig, 10 * SIM_MS);
    send_from(&rig.client, 100, 100);
    assert_int_equal(socket_unsent(rig.client.socket), 100);
    reset(&rig.client);
    run(&rig, 9 * SIM_MS);
    assert_false(socket_peer_gone(rig.server.socket));
    run(&rig, 2 * SIM_MS);
    assert_true(socket_peer_gone(rig.server.socket));
    rig.server.reads = true;
    end_ready(&rig.server);
    assert_int_equal(rig.server.read, 100);
    assert_int_equal(rig.server.last, SOCKET_BROKEN);
    send_from(&rig.server, 0, 1);
    assert_int_equal(rig.server.last, SOCKET_BROKEN);
    rig_free(&rig);
}

static void a_reset_after_a_fin_is_seen_after_the_fin(void **state)
{
    (void)state;
    struct rig rig;

    rig_init(&rig);
    rig_connect(&rig);
    send_from(&rig.client, 0, 100);
    socket_finish(rig.client.socket);
    run(&rig, SIM_MS);
    assert_int_equal(rig.server.last, SOCKET_FINISHED);
    reset(&rig.client);
    run(&rig, SIM_MS);
    assert_int_equal(rig.server.last, SOCKET_BROKEN);
    assert_int_equal(rig.server.read, 100);
    rig_free(&rig);
}

/* ---- faults -------------------------------------------------------------- */

static void a_stall_delays_and_loses_nothing(void **state)
{
    (void)state;
    struct rig rig;

    rig_init(&rig);
    rig.there.latency_us = 10 * SIM_MS;
    rig_connect(&rig);
    send_from(&rig.client, 0, 50); /* under way when the stall begins */
    socket_stall(rig.client.socket, sim_now_us(rig.sim) + SIM_S);
    send_from(&rig.client, 50, 50);
    socket_finish(rig.client.socket);
    send_from(&rig.server, 0, 5); /* the other way is not stalled */
    run(&rig, 999 * SIM_MS);
    assert_int_equal(rig.server.read, 0);
    assert_int_equal(rig.client.read, 5);
    run(&rig, SIM_MS);
    assert_int_equal(rig.server.read, 100);
    assert_int_equal(rig.server.last, SOCKET_FINISHED);
    rig_free(&rig);
}

static void a_stall_can_be_ended_early(void **state)
{
    (void)state;
    struct rig rig;

    rig_init(&rig);
    rig_connect(&rig);
    socket_stall(rig.client.socket, SIM_NEVER);
    send_from(&rig.client, 0, 50);
    run(&rig, 1000 * SIM_S);
    assert_int_equal(rig.server.read, 0);
    socket_stall(rig.client.socket, 0);
    run(&rig, SIM_MS);
    assert_int_equal(rig.server.read, 50);
    rig_free(&rig);
}

/* Cut the client's way at every byte of its 8, and look at both ends. */
static void cut_at(enum socket_cut cut, uint64_t at, enum socket_result near,
                   enum socket_result far)
{
    struct rig rig;

    rig_init(&rig);
    rig.there.dead_us = 3 * SIM_S;
    rig.back.dead_us = 5 * SIM_S;
    rig_connect(&rig);
    socket_cut(rig.client.socket, at, cut);
    for (uint64_t sent = 0; sent < 8;) {
        size_t done = send_from(&rig.client, sent, (size_t)(8 - sent));
        if (done == 0) {
            break;
        }
        sent += done;
    }
    send_from(&rig.server, 0, 4);
    run(&rig, SIM_S);
    assert_int_equal(rig.server.read, cut == CUT_SILENCE ? 0 : at);
    end_ready(&rig.client);
    end_ready(&rig.server);
    assert_int_equal(rig.client.last, near);
    assert_int_equal(rig.server.last, far);
    if (cut == CUT_SILENCE) {
        assert_int_equal(rig.client.read, 0);
        run(&rig, 2 * SIM_S);
        assert_int_equal(rig.client.last, SOCKET_BROKEN);
        assert_int_equal(rig.server.last, SOCKET_WAIT);
        run(&rig, 2 * SIM_S);
        assert_int_equal(rig.server.last, SOCKET_BROKEN);
    }
    rig_free(&rig);
}

static void a_connection_is_cut_at_any_byte(void **state)
{
    (void)state;
    for (uint64_t at = 0; at < 8; at++) {
        cut_at(CUT_FINISH, at, SOCKET_WAIT, SOCKET_FINISHED);
        cut_at(CUT_RESET, at, SOCKET_BROKEN, SOCKET_BROKEN);
        cut_at(CUT_SILENCE, at, SOCKET_WAIT, SOCKET_WAIT);
    }
}

static void a_cut_beyond_the_last_byte_never_comes(void **state)
{
    (void)state;
    struct rig rig;

    rig_init(&rig);
    rig_connect(&rig);
    socket_cut(rig.client.socket, 10001, CUT_RESET);
    pump(&rig, &rig.client, &rig.server, 10000);
    assert_int_equal(rig.server.last, SOCKET_WAIT);
    rig_free(&rig);
}

static void a_silent_connection_fills_up_and_no_more(void **state)
{
    (void)state;
    struct rig rig;

    rig_init(&rig);
    rig.there.buffer = 100;
    rig_connect(&rig);
    socket_cut(rig.client.socket, 0, CUT_SILENCE);
    assert_int_equal(send_from(&rig.client, 0, 200), 100);
    assert_int_equal(send_from(&rig.client, 100, 200), 0);
    assert_int_equal(rig.client.last, SOCKET_WAIT);
    run(&rig, 10000 * SIM_S); /* dead_us is 0: nobody ever learns */
    assert_int_equal(rig.server.last, SOCKET_WAIT);
    close_it(&rig.client);
    run(&rig, 10000 * SIM_S);
    assert_int_equal(rig.server.last, SOCKET_WAIT);
    rig_free(&rig);
}

/* ---- death --------------------------------------------------------------- */

static void a_process_that_exits_leaves_fins_and_resets(void **state)
{
    (void)state;
    for (int unread = 0; unread < 2; unread++) {
        struct rig rig;
        rig_init(&rig);
        rig_connect(&rig);
        rig.server.reads = !unread;
        send_from(&rig.client, 0, 10);
        run(&rig, SIM_MS);
        process_kill(&rig.far, PROCESS_EXITS);
        rig.server.socket = NULL;
        rig.listener = NULL;
        run(&rig, SIM_MS);
        assert_int_equal(rig.client.last,
                         unread ? SOCKET_BROKEN : SOCKET_FINISHED);
        assert_null(socket_peer_process(rig.client.socket));
        rig_free(&rig);
    }
}

static void a_host_that_vanishes_leaves_silence(void **state)
{
    (void)state;
    struct rig rig;

    rig_init(&rig);
    rig.there.dead_us = 15 * SIM_S;
    rig.back.latency_us = 1;
    rig_connect(&rig);
    send_from(&rig.server, 0, 10); /* lost on its way */
    process_kill(&rig.far, PROCESS_VANISHES);
    rig.server.socket = NULL;
    rig.listener = NULL;
    run(&rig, 14 * SIM_S);
    assert_int_equal(rig.client.last, SOCKET_WAIT);
    assert_int_equal(rig.client.read, 0);
    run(&rig, SIM_S);
    assert_int_equal(rig.client.last, SOCKET_BROKEN);
    process_start(&rig.far);
    rig_free(&rig);
}

static void the_same_seed_gives_the_same_hash(void **state)
{
    (void)state;
    uint64_t hashes[2];

    for (size_t i = 0; i < 2; i++) {
        struct rig rig;
        rig_init(&rig);
        rig.there.piece_max = 50;
        rig.there.jitter_us = 5000;
        rig_connect(&rig);
        pump(&rig, &rig.client, &rig.server, 5000);
        hashes[i] = sim_hash(rig.sim);
        rig_free(&rig);
    }
    assert_true(hashes[0] == hashes[1]);
}

static const struct CMUnitTest tests[] = {
    REQ("Q-04", a_connection_takes_a_round_trip),
    REQ("Q-04", nobody_listens_there),
    REQ("Q-04", an_address_has_one_listener),
    REQ("Q-04", a_full_backlog_makes_a_client_wait),
    REQ("Q-04", a_backlog_that_stays_full_fails_a_client),
    REQ("Q-04", descriptors_run_out),
    REQ("Q-04", binds_fail_as_often_as_they_are_told_to),
    REQ("Q-04,L-10", the_system_chooses_among_as_many_ports_as_it_has),
    REQ("Q-04", bytes_come_whole_and_in_order),
    REQ("Q-04", bytes_take_their_time),
    REQ("Q-04", a_full_buffer_stops_the_sender_until_it_is_told),
    REQ("Q-04", a_short_send_that_a_draw_made_is_followed_by_a_call),
    REQ("Q-04", an_end_that_does_not_read_is_told_of_each_arrival),
    REQ("Q-04", another_owner_takes_over),
    REQ("Q-04", a_close_sends_its_bytes_then_a_fin),
    REQ("Q-04", a_close_over_unread_bytes_is_a_reset),
    REQ("Q-04", bytes_for_a_closed_end_are_answered_with_a_reset),
    REQ("Q-04", a_reset_keeps_what_has_landed_and_loses_the_rest),
    REQ("Q-04", a_reset_after_a_fin_is_seen_after_the_fin),
    REQ("Q-04", a_stall_delays_and_loses_nothing),
    REQ("Q-04", a_stall_can_be_ended_early),
    REQ("Q-04", a_connection_is_cut_at_any_byte),
    REQ("Q-04", a_cut_beyond_the_last_byte_never_comes),
    REQ("Q-04", a_silent_connection_fills_up_and_no_more),
    REQ("Q-04", a_process_that_exits_leaves_fins_and_resets),
    REQ("Q-04", a_host_that_vanishes_leaves_silence),
    REQ("Q-04", the_same_seed_gives_the_same_hash),
};
RUN(tests)
