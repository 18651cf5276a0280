/* test_transport_raw.c: the server's end of a WebSocket against raw bytes, and
 * against a link that does not keep up. */
#include "net/test/world.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/wire.h"
#include "net/socket.h"
#include "net/sys.h"
#include "net/test/tls.h"

static const struct world_options plain = {.tls = false};
static const struct world_options over_unix = {.unix_link = true};

static const uint8_t mask[4] = {1, 2, 3, 4};

/* A masked frame of the client; returns its length. */
static size_t frame(uint8_t *out, uint8_t opcode, const void *payload,
                    size_t length)
{
    assert_true(length < 126);
    out[0] = 0x80 | opcode;
    out[1] = (uint8_t)(0x80 | length);
    memcpy(out + 2, mask, 4);
    for (size_t i = 0; i < length; i++) {
        out[6 + i] = ((const uint8_t *)payload)[i] ^ mask[i % 4];
    }
    return 6 + length;
}

/* A new client has so much to say, and does not read. */
static struct flow stalled_client(struct world *world, size_t length)
{
    return (struct flow){.from = world_client(world),
                         .to = -1,
                         .length = length,
                         .stalls = true};
}

/* The peer does not read: clients are not read either, and one message at most
 * waits in memory. */
static void a_slow_link_stops_the_clients(void **state)
{
    struct world *world;
    struct flow flows[8];
    uint64_t bytes_out, turns;
    int raw;
    (void)state;

    world = world_start_raw(&over_unix, (struct span){0}, &raw);
    for (int i = 0; i < 8; i++) {
        flows[i] = stalled_client(world, 8000000);
    }
    for (int i = 0; i < 500; i++) {
        for (int j = 0; j < 8; j++) {
            flow_step(&flows[j]);
        }
        world_turn(world);
    }
    assert_non_null(world->server.transport.pending);
    bytes_out = world->server.transport.counters.bytes_out;
    assert_in_range(bytes_out, 100000, 1500000);
    turns = loop_counters(world->loop)->tasks;
    for (int i = 0; i < 100; i++) {
        world_turn(world);
    }
    assert_int_equal(loop_counters(world->loop)->tasks, turns);
    for (int i = 0; i < 8; i++) {
        assert_true(flows[i].sent < flows[i].length);
        close(flows[i].from);
    }
    close(raw);
    world_stop(world);
}

/* Frames that are worth to be moved through a pipe. */
static void large_frames(struct link_config *link,
                         struct transport_config *transport)
{
    (void)transport;
    link->mux.frame_payload_max = 262144;
}

/* The session ends while a pipe holds bytes: it goes with them. */
static void a_full_pipe_is_thrown_away(void **state)
{
    struct world *world;
    int raw;
    (void)state;

    world = world_start_raw(&(struct world_options){.configure = large_frames},
                            (struct span){0}, &raw);
    struct flow flow = {.from = world_client(world),
                        .to = -1,
                        .length = 80000000,
                        .stalls = true};
    const struct transport *transport = &world->server.transport;
    for (int i = 0; i < 100000; i++) {
        uint8_t bytes[65536], update[WIRE_HEADER_SIZE];
        flow_step(&flow);
        world_turn(world);
        if (transport->pending == NULL) {
            wire_encode(update,
                        &(struct wire_header){.type = WIRE_WINDOW_UPDATE,
                                              .flags = i == 0 ? WIRE_ACK : 0,
                                              .stream = 2,
                                              .length = 262144});
            size_t length = frame(bytes, 2, update, sizeof update);
            assert_int_equal(send(raw, bytes, length, 0), length);
        } else if (transport->pending->piped > 0) {
            break;
        } else { /* full too early */
            (void)recv(raw, bytes, sizeof bytes, MSG_DONTWAIT);
        }
    }
    assert_true(transport->pending != NULL && transport->pending->piped > 0);
    transport_abort(&world->server.transport);
    close(raw);
    close(flow.from);
    world_stop(world); /* counts descriptors */
}

static int option_of(int fd, int option)
{
    int value = -1;
    socklen_t length = sizeof value;

    assert_int_equal(getsockopt(fd, IPPROTO_TCP, option, &value, &length), 0);
    return value;
}

/* A message takes longer than message_ms to get out. */
static void send_slowly(struct world *world, int raw)
{
    const struct transport *transport = &world->server.transport;
    uint8_t bytes[8192]; /* less than the next message */

    WORLD_WAIT(world, transport->pending != NULL);
    size_t before = transport->message_limit;
    uint64_t made_ms = transport->pending->made_ms;
    while (loop_now_ms(world->loop) <= made_ms + 2) {
        loop_run_once(world->loop, 4);
    }
    while (transport->message_limit == before &&
           recv(raw, bytes, sizeof bytes, 0) > 0) {
        world_turn(world);
    }
    assert_in_range(transport->message_limit, 16384, before / 2);
}

/* What whoever is next may send, others waiting; 0: nobody is. */
static size_t turn_of(const struct transport *transport)
{
    struct link_read read;

    return link_next_read(transport->link, &read) ? read.quota : 0;
}

/* Messages were large, and then slow. What the kernel may hold unsent follows
 * them, and so does a turn. */
static void a_slow_link_gets_small_messages(void **state)
{
    struct world *world;
    struct flow flows[16];
    uint8_t bytes[8192];
    int raw, room = 32768;
    (void)state;

    world = world_start_raw(&plain, (struct span){0}, &raw);
    const struct transport *transport = &world->server.transport;
    setsockopt(transport->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    setsockopt(raw, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    for (int i = 0; i < 16; i++) {
        flows[i] = stalled_client(world, 200000);
        flow_step(&flows[i]);
    }
    while (transport->message_limit < 65536 || turn_of(transport) <= 16384) {
        world_turn(world);
        while (recv(raw, bytes, sizeof bytes, MSG_DONTWAIT) > 0) {
        }
    }
    assert_int_equal(option_of(transport->fd, TCP_NOTSENT_LOWAT), 131072);
    do {
        send_slowly(world, raw);
    } while (transport->message_limit > 16384);
    assert_int_equal(option_of(transport->fd, TCP_NOTSENT_LOWAT), 32768);
    assert_in_range(turn_of(transport), 1, 16384);
    for (int i = 0; i < 16; i++) {
        close(flows[i].from);
    }
    close(raw);
    world_stop(world);
}

static void short_turns(struct link_config *link,
                        struct transport_config *transport)
{
    (void)link;
    transport->turn_max = 1000;
}

static void a_turn_has_a_limit_of_its_own(void **state)
{
    struct world *world;
    struct flow flows[2];
    int raw;
    (void)state;

    world = world_start_raw(
        &(struct world_options){.configure = short_turns, .unix_link = true},
        (struct span){0}, &raw);
    for (int i = 0; i < 2; i++) {
        flows[i] = stalled_client(world, 8000000);
    }
    while (world->server.transport.pending == NULL) { /* raw does not read */
        for (int i = 0; i < 2; i++) {
            flow_step(&flows[i]);
        }
        world_turn(world);
    }
    assert_in_range(turn_of(&world->server.transport), 1, 1000);
    for (int i = 0; i < 2; i++) {
        close(flows[i].from);
    }
    close(raw);
    world_stop(world);
}

static void no_mark(struct link_config *link,
                    struct transport_config *transport)
{
    (void)link;
    transport->notsent_lowat = 0;
}

static void what_the_kernel_holds_unsent_can_be_its_own_choice(void **state)
{
    struct world *world;
    int raw, fd;
    (void)state;

    world = world_start_raw(&(struct world_options){.configure = no_mark},
                            (struct span){0}, &raw);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    transport_prepare(world->pool, fd);
    assert_int_equal(option_of(fd, TCP_NOTSENT_LOWAT), 0);
    close(fd);
    close(raw);
    world_stop(world);
}

/* ---- raw peers ----------------------------------------------------------- */

static void expect_bytes(struct world *world, int raw, const void *bytes,
                         size_t length)
{
    uint8_t got[256];
    size_t received = 0;

    for (int i = 0; i < 100000 && received < length; i++) {
        ssize_t n = recv(raw, got + received, length - received, MSG_DONTWAIT);
        received += n > 0 ? (size_t)n : 0;
        world_turn(world);
    }
    assert_int_equal(received, length);
    assert_memory_equal(got, bytes, length);
}

static void expect_end(struct world *world, int raw)
{
    char byte;
    ssize_t n = -1;
    WORLD_WAIT(world, (n = recv(raw, &byte, 1, MSG_DONTWAIT)) >= 0);
    assert_int_equal(n, 0);
}

static size_t yamux_ping(uint8_t *out, uint16_t flags)
{
    wire_encode(out, &(struct wire_header){
                         .type = WIRE_PING, .flags = flags, .length = 7});
    return WIRE_HEADER_SIZE;
}

/* The HTTP library had read a part of our first frame already. */
static void bytes_that_came_with_the_upgrade_are_not_lost(void **state)
{
    (void)state;
    for (size_t cut = 0; cut <= 6 + WIRE_HEADER_SIZE; cut++) {
        uint8_t ping[WIRE_HEADER_SIZE], bytes[64];
        uint8_t pong[2 + WIRE_HEADER_SIZE] = {0x82, WIRE_HEADER_SIZE};
        size_t length = frame(bytes, 2, ping, yamux_ping(ping, WIRE_SYN));
        struct world *world;
        int raw;

        world = world_start_raw(&plain, (struct span){bytes, cut}, &raw);
        assert_int_equal(send(raw, bytes + cut, length - cut, 0), length - cut);
        yamux_ping(pong + 2, WIRE_ACK);
        expect_bytes(world, raw, pong, sizeof pong);
        close(raw);
        world_stop(world);
    }
}

static void a_ping_is_answered_and_a_close_is_echoed(void **state)
{
    static const uint8_t pong[] = {0x8a, 2, 'h', 'i'};
    static const uint8_t code[] = {0x03, 0xe8};
    static const uint8_t close_frame[] = {0x88, 2, 0x03, 0xe8};
    uint8_t bytes[16];
    struct world *world;
    int raw;
    (void)state;

    world = world_start_raw(&plain, (struct span){0}, &raw);
    assert_true(send(raw, bytes, frame(bytes, 9, "hi", 2), 0) > 0);
    expect_bytes(world, raw, pong, sizeof pong);
    assert_true(send(raw, bytes, frame(bytes, 8, code, 2), 0) > 0);
    expect_bytes(world, raw, close_frame, sizeof close_frame);
    expect_end(world, raw);
    close(raw);
    WORLD_WAIT(world, world->server.ended);
    assert_int_equal(world->server.transport.peer_code, 1000);
    assert_int_equal(link_status(world->server.link), STATUS_TRANSPORT_LOST);
    world_stop(world);
}

static void a_peer_that_breaks_the_protocol_is_told_and_dropped(void **state)
{
    static const uint8_t unmasked[] = {0x82, 1, 'x'};
    static const uint8_t close_frame[] = {0x88, 2, 0x03, 0xea};
    struct world *world;
    int raw, client;
    (void)state;

    world = world_start_raw(&plain, (struct span){0}, &raw);
    client = world_client(world);
    assert_int_equal(send(raw, unmasked, sizeof unmasked, 0), 3);
    struct flow flow = {.from = -1, .to = client};
    world_run_flows(world, &flow, 1);
    assert_int_equal(flow.error, ECONNRESET);

    uint8_t skipped[64]; /* the stream's SYN, if it was quicker */
    ssize_t n = 0;
    WORLD_WAIT(world,
               (n = recv(raw, skipped, sizeof skipped, MSG_DONTWAIT)) >= 4);
    assert_memory_equal(skipped + n - 4, close_frame, 4);
    expect_end(world, raw);
    close(raw);
    WORLD_WAIT(world, world->server.ended);
    assert_non_null(world->server.transport.reason);
    close(client);
    world_stop(world);
}

static void a_reset_of_the_link_is_reported(void **state)
{
    struct world *world;
    int raw;
    (void)state;

    world = world_start_raw(&plain, (struct span){0}, &raw);
    world_turn(world);
    socket_reset(raw);
    WORLD_WAIT(world, world->server.ended);
    assert_string_equal(world->server.transport.reason,
                        "the connection failed");
    assert_int_equal(world->server.transport.error, ECONNRESET);
    world_stop(world);
}

static void small_reads(struct link_config *link,
                        struct transport_config *transport)
{
    (void)link;
    transport->receive_max = 4096;
}

/* The agent says much and dies; we have something to send, and learn from that
 * first. What it said is delivered all the same, and then the reset. */
static void a_failing_send_does_not_cost_what_was_received(void **state)
{
    struct world *world;
    static uint8_t all[60000]; /* one segment: its kernel does not lose it */
    uint8_t ack[WIRE_HEADER_SIZE], bytes[200];
    size_t length = 0;
    int raw;
    (void)state;

    world = world_start_raw(&(struct world_options){.configure = small_reads},
                            (struct span){0}, &raw);
    int client = world_client(world);
    WORLD_WAIT(world, recv(raw, bytes, sizeof bytes, MSG_DONTWAIT) > 0);
    wire_encode(ack, &(struct wire_header){.type = WIRE_WINDOW_UPDATE,
                                           .flags = WIRE_ACK,
                                           .stream = 2});
    assert_true(send(raw, bytes, frame(bytes, 2, ack, sizeof ack), 0) > 0);
    for (size_t sent = 0; sent < 50000; sent += 100) {
        uint8_t data[WIRE_HEADER_SIZE + 100];
        wire_encode(data, &(struct wire_header){
                              .type = WIRE_DATA, .stream = 2, .length = 100});
        for (size_t i = 0; i < 100; i++) {
            data[WIRE_HEADER_SIZE + i] = flow_pattern(1, sent + i);
        }
        length += frame(all + length, 2, data, sizeof data);
    }
    assert_int_equal(send(raw, all, length, 0), length);
    for (int i = 0; i < 5000 && socket_unacknowledged(raw) > 0; i++) {
        (void)poll(NULL, 0, 1); /* a kernel that paces has not sent it yet */
    }
    socket_reset(raw);
    struct flow flow = {.from = client,
                        .to = client,
                        .seed = 1,
                        .length = 10000000,
                        .finishes = true};
    world_run_flows(world, &flow, 1);
    assert_int_equal(flow.received, 50000);
    assert_true(flow.error == ECONNRESET || flow.send_error == ECONNRESET);
    WORLD_WAIT(world, world->server.ended);
    assert_string_equal(world->server.transport.reason,
                        "the connection failed");
    close(client);
    world_stop(world);
}

static void a_descriptor_that_cannot_be_watched_stays_the_callers(void **state)
{
    struct world *world;
    struct transport transport;
    struct bridge bridge;
    int raw, fd;
    uint32_t id;
    (void)state;

    world = world_start_raw(&plain, (struct span){0}, &raw);
    fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    assert_false(transport_open(
        &transport, world->pool, fd, NULL, WS_SERVER, world->server.link,
        (struct span){(const uint8_t *)"x", 1}, &world->server.ops, NULL));
    assert_int_equal(link_open(world->server.link, loop_now_ms(world->loop),
                               &bridge.conn, &id),
                     STATUS_OK);
    assert_false(bridge_open(&bridge, &world->server.transport, id, fd, NULL));
    link_closed(world->server.link, id);
    assert_int_equal(close(fd), 0);
    close(raw);
    world_stop(world);
}

static void what_a_close_owes_is_sent(void **state)
{
    static const uint8_t go_away[] = {0x82, 12, 0, 3, 0, 0, 0,
                                      0,    0,  0, 0, 0, 0, 1};
    static const uint8_t close_frame[] = {0x88, 2, 0x03, 0xe9};
    uint8_t bytes[64], bad[WIRE_HEADER_SIZE] = {9};
    struct world *world;
    int raw;
    (void)state;

    /* Given a version that does not exist: the session owes GoAway(1). */
    world = world_start_raw(&plain, (struct span){0}, &raw);
    assert_true(send(raw, bytes, frame(bytes, 2, bad, sizeof bad), 0) > 0);
    expect_bytes(world, raw, go_away, sizeof go_away);
    expect_bytes(world, raw, close_frame, sizeof close_frame);
    expect_end(world, raw);
    assert_false(world->server.ended); /* waits for our end */
    close(raw);
    WORLD_WAIT(world, world->server.ended);
    world_stop(world);
}

static void a_close_does_not_wait_for_ever(void **state)
{
    struct world *world;
    int raw;
    (void)state;

    world = world_start_raw(&plain, (struct span){0}, &raw);
    transport_close(&world->server.transport, WS_CLOSE_NORMAL);
    transport_close(&world->server.transport, WS_CLOSE_POLICY);
    while (!world->server.ended) {
        loop_run_once(world->loop, 2000); /* the peer says nothing */
    }
    close(raw);
    world_stop(world);
}

static void a_silent_peer_is_found_by_our_ping(void **state);

static void ping_quickly(struct link_config *link,
                         struct transport_config *transport)
{
    (void)transport;
    link->mux.ping_interval_ms = 20;
}

static void a_silent_peer_is_found_by_our_ping(void **state)
{
    struct world *world;
    int raw, client;
    (void)state;

    world = world_start_raw(&(struct world_options){.configure = ping_quickly},
                            (struct span){0}, &raw);
    client = world_client(world);
    while (!world->server.ended) {
        loop_run_once(world->loop, 2000);
    }
    assert_int_equal(link_status(world->server.link), STATUS_PING_TIMEOUT);
    struct flow flow = {.from = -1, .to = client};
    world_run_flows(world, &flow, 1);
    assert_int_equal(flow.error, ECONNRESET);
    close(raw);
    close(client);
    world_stop(world);
}

static void miss_none(struct link_config *link,
                      struct transport_config *transport)
{
    (void)transport;
    link->mux.ping_interval_ms = 5;
    link->mux.ping_missed_max = 1;
}

static uint64_t clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* The process did not run when the ping's time was over (it was stopped, or
 * busy): what the peer had said by then counts before the clock does, were it
 * one byte of a frame's header. */
static void what_came_while_nobody_ran_is_a_sign_of_life(void **state)
{
    struct world *world;
    uint8_t update[WIRE_HEADER_SIZE], bytes[64];
    int raw;
    (void)state;

    world = world_start_raw(
        &(struct world_options){.unix_link = true, .configure = miss_none},
        (struct span){0}, &raw);
    struct transport *transport = &world->server.transport;
    wire_encode(update,
                &(struct wire_header){.type = WIRE_PING, .flags = WIRE_SYN});
    size_t length = frame(bytes, 2, update, sizeof update);
    for (size_t i = 0; i < 2 * length; i++) {
        uint64_t deadline_ms = link_deadline(transport->link);
        assert_int_equal(send(raw, bytes + i % length, 1, 0), 1);
        while (clock_ms() <= deadline_ms) { /* nobody runs */
        }
        loop_run_once(world->loop, 0);
        assert_int_equal(link_status(transport->link), STATUS_OK);
    }
    close(raw);
    world_stop(world);
}

/* ---- bytes that gather --------------------------------------------------- */

/* A ping in a frame of its own is less than the mark, and the last that comes:
 * it is answered, and then nobody looks any more. */
static void a_ping_behind_a_stream_is_answered(void **state)
{
    static const uint8_t pong[] = {0x8a, 2, 'h', 'i'};
    uint8_t bytes[16];
    struct world *world;
    int raw;
    (void)state;

    world = world_start_raw(&plain, (struct span){0}, &raw);
    world_turn(world);
    const struct gather *gather = &world->server.transport.gather;
    world_gather(world);
    assert_true(send(raw, bytes, frame(bytes, 9, "hi", 2), 0) > 0);
    expect_bytes(world, raw, pong, sizeof pong);
    WORLD_WAIT(world, !gather->on);
    assert_false(gather->timer.running);

    assert_true(send(raw, bytes, frame(bytes, 9, "hi", 2), 0) > 0);
    expect_bytes(world, raw, pong, sizeof pong);
    close(raw);
    world_stop(world);
}

static void an_agent_that_leaves_while_bytes_gather_is_missed(void **state)
{
    struct world *world;
    int raw;
    (void)state;

    for (int resets = 0; resets < 2; resets++) {
        world = world_start_raw(&plain, (struct span){0}, &raw);
        world_turn(world);
        world_gather(world);
        if (resets) {
            socket_reset(raw);
        } else {
            close(raw);
        }
        WORLD_WAIT(world, world->server.ended);
        world_stop(world); /* no timer is left */
    }
}

/* What a client asks may have a small answer. */
static void a_clients_bytes_end_the_gathering(void **state)
{
    struct world *world;
    int raw, client;
    (void)state;

    world = world_start_raw(&plain, (struct span){0}, &raw);
    client = world_client(world);
    const struct gather *gather = &world->server.transport.gather;
    world_gather(world);
    assert_int_equal(send(client, "x", 1, 0), 1);
    WORLD_WAIT(world, gather->counted_ms > loop_now_ms(world->loop));
    assert_false(gather->on);
    close(raw);
    close(client);
    world_stop(world);
}

/* Given an SSL that has decrypted our first frame already: nothing more comes
 * from the socket, and the frame is not forgotten. */
static void bytes_that_tls_holds_are_not_lost(void **state)
{
    uint8_t ping[WIRE_HEADER_SIZE], bytes[64], got[64];
    uint8_t pong[2 + WIRE_HEADER_SIZE] = {0x82, WIRE_HEADER_SIZE};
    size_t length = frame(bytes, 2, ping, yamux_ping(ping, WIRE_SYN));
    struct world *world;
    struct transport transport;
    struct link_config config;
    bool done[2] = {false, false};
    SSL *ssl[2];
    int raw, fd[2], n = 0;
    (void)state;

    world = world_start_raw(&over_unix, (struct span){0}, &raw);
    assert_int_equal(
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd),
        0);
    for (int i = 0; i < 2; i++) {
        ssl[i] = tls_create(fd[i], i == 0);
    }
    while (!done[0] || !done[1]) {
        for (int i = 0; i < 2; i++) {
            done[i] = done[i] || tls_handshake(ssl[i]);
        }
    }
    assert_int_equal(SSL_write(ssl[1], bytes, (int)length), length);
    assert_int_equal(SSL_peek(ssl[0], got, 1), 1);

    struct side side = {.world = world, .ops = world->server.ops};
    link_config_default(&config, MUX_SERVER);
    config.mux.ping_interval_ms = 0;
    side.link_size = link_size(&config);
    void *memory = calloc(1, side.link_size);
    side.link =
        link_init(memory, side.link_size, &config, loop_now_ms(world->loop));
    assert_true(transport_open(&transport, world->pool, fd[0], ssl[0],
                               WS_SERVER, side.link, (struct span){0},
                               &side.ops, &side));
    WORLD_WAIT(world, (n = SSL_read(ssl[1], got, sizeof got)) > 0);
    yamux_ping(pong + 2, WIRE_ACK);
    assert_int_equal(n, sizeof pong);
    assert_memory_equal(got, pong, sizeof pong);

    transport_close(&transport, WS_CLOSE_NORMAL);
    WORLD_WAIT(world, (n = SSL_read(ssl[1], got, sizeof got)) > 0);
    assert_int_equal(got[0], 0x88);
    WORLD_WAIT(world, (n = SSL_read(ssl[1], got, sizeof got)) == 0);
    assert_int_equal(SSL_get_shutdown(ssl[1]) & SSL_RECEIVED_SHUTDOWN,
                     SSL_RECEIVED_SHUTDOWN);
    SSL_free(ssl[1]);
    close(fd[1]);
    WORLD_WAIT(world, side.ended);
    free(memory);
    close(raw);
    world_stop(world);
}

#ifdef SYS_FAULTS
/* A storm of agents: each call a connect counts. */
static void what_has_said_nothing_is_not_read(void **state)
{
    struct world *world;
    unsigned calls;
    int raw;
    (void)state;

    calls = sys_fault_calls(SYS_CALL_recv);
    world = world_start_raw(&plain, (struct span){0}, &raw);
    for (int i = 0; i < 10; i++) {
        world_turn(world);
    }
    assert_int_equal(sys_fault_calls(SYS_CALL_recv), calls);
    close(raw);
    world_stop(world);
}
#endif

static void what_a_transport_wants_of_its_socket_is_inherited(void **state)
{
    struct world *world;
    struct sockaddr_in name = {.sin_family = AF_INET,
                               .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof name;
    int raw, listener, client, fd;
    (void)state;

    world = world_start_raw(&plain, (struct span){0}, &raw);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(listen(listener, 1), 0);
    transport_prepare(world->pool, listener);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&name, &length),
                     0);
    assert_int_equal(connect(client, (struct sockaddr *)&name, sizeof name), 0);
    fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    assert_int_equal(option_of(fd, TCP_NODELAY), 1);
    assert_int_equal(option_of(fd, TCP_NOTSENT_LOWAT), 32768);
    assert_int_equal(option_of(fd, TCP_USER_TIMEOUT), 0);
    assert_int_equal(option_of(world->server.transport.fd, TCP_USER_TIMEOUT),
                     20000);
    close(fd);
    close(client);
    close(listener);
    close(raw);
    world_stop(world);
}

static const struct CMUnitTest tests[] = {
    REQ("L-05,X18", a_slow_link_stops_the_clients),
    REQ("P-04,Y-05", a_slow_link_gets_small_messages),
    REQ("P-02,P-04", a_turn_has_a_limit_of_its_own),
    REQ("P-04", what_the_kernel_holds_unsent_can_be_its_own_choice),
    REQ("P-02,L-02", a_full_pipe_is_thrown_away),
    REQ("L-07", bytes_that_came_with_the_upgrade_are_not_lost),
    REQ("L-07", a_ping_is_answered_and_a_close_is_echoed),
    REQ("L-07", a_peer_that_breaks_the_protocol_is_told_and_dropped),
    REQ("AC-14,L-04", a_reset_of_the_link_is_reported),
    REQ("L-04,T15", a_failing_send_does_not_cost_what_was_received),
    REQ("L-02", a_descriptor_that_cannot_be_watched_stays_the_callers),
    REQ("AC-05,L-06", what_a_close_owes_is_sent),
    REQ("L-06", a_close_does_not_wait_for_ever),
    REQ("L-01,AC-14", a_silent_peer_is_found_by_our_ping),
    REQ("L-01", what_came_while_nobody_ran_is_a_sign_of_life),
    REQ("P-01,P-08,L-01", a_ping_behind_a_stream_is_answered),
    REQ("P-01,AC-14", an_agent_that_leaves_while_bytes_gather_is_missed),
    REQ("P-03,P-04", a_clients_bytes_end_the_gathering),
    REQ("L-07", bytes_that_tls_holds_are_not_lost),
#ifdef SYS_FAULTS
    REQ("P-07", what_has_said_nothing_is_not_read),
#endif
    REQ("P-07,T18", what_a_transport_wants_of_its_socket_is_inherited),
};
RUN(tests)
