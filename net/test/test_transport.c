/* test_transport.c: the WebSocket between a link and the kernel, back to back
 * with itself and against raw bytes. */
#include "net/test/world.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/wire.h"
#include "core/ws.h"
#include "net/socket.h"
#include "net/test/tls.h"

/* Frames that are worth to be moved through a pipe. */
static void large_frames(struct link_config *link,
                         struct transport_config *transport)
{
    (void)transport;
    link->mux.frame_payload_max = 262144;
}

static const struct world_options variants[] = {
    {.unix_link = true},
    {.tls = false},
    {.tls = true},
    {.cut = 4096},
    {.configure = large_frames},
    {.cut = 4096, .configure = large_frames},
    {.tls = true, .configure = large_frames},
};

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

#define VARIANTS (sizeof variants / sizeof *variants)

/* ---- bytes --------------------------------------------------------------- */

static void bytes_cross_both_ways_and_end_cleanly(void **state)
{
    (void)state;
    for (size_t v = 0; v < VARIANTS; v++) {
        struct world *world = world_start(&variants[v]);
        int fd[2];

        world_pair(world, fd);
        struct flow flows[2] = {
            {.from = fd[0],
             .to = fd[1],
             .length = 1000003,
             .seed = 1,
             .finishes = true},
            {.from = fd[1],
             .to = fd[0],
             .length = 2000003,
             .seed = 2,
             .finishes = true},
        };
        world_run_flows(world, flows, 2);
        for (int i = 0; i < 2; i++) {
            assert_true(flows[i].at_end);
            assert_int_equal(flows[i].received, flows[i].length);
        }
        WORLD_WAIT(world, world->clean == 2);
        close(fd[0]);
        close(fd[1]);
        world_stop(world);
    }
}

static void every_byte_may_come_alone(void **state)
{
    struct world *world =
        world_start(&(struct world_options){.unix_link = true, .cut = 1});
    int fd[2];
    (void)state;

    world_pair(world, fd);
    struct flow flows[2] = {
        {.from = fd[0],
         .to = fd[1],
         .length = 3000,
         .seed = 1,
         .finishes = true},
        {.from = fd[1],
         .to = fd[0],
         .length = 3000,
         .seed = 2,
         .finishes = true},
    };
    world_run_flows(world, flows, 2);
    assert_true(flows[0].at_end && flows[1].at_end);
    assert_int_equal(flows[0].received + flows[1].received, 6000);
    close(fd[0]);
    close(fd[1]);
    world_stop(world);
}

/* Random sizes, random ends, all at once: what arrives is what was sent, and
 * an end of file comes only behind the last byte. */
static void many_streams_do_not_mix(void **state)
{
    enum { STREAMS = 24 };
    (void)state;
    srand(3);
    for (size_t v = 0; v < VARIANTS; v++) {
        struct world *world = world_start(&variants[v]);
        struct flow flows[2 * STREAMS];
        int fd[STREAMS][2];

        for (int i = 0; i < STREAMS; i++) {
            world_pair(world, fd[i]);
            for (int j = 0; j < 2; j++) {
                flows[2 * i + j] =
                    (struct flow){.from = fd[i][j],
                                  .to = fd[i][1 - j],
                                  .seed = (uint32_t)(2 * i + j),
                                  .length = (size_t)(rand() % 200000),
                                  .finishes = true};
            }
        }
        world_run_flows(world, flows, 2 * STREAMS);
        for (int i = 0; i < 2 * STREAMS; i++) {
            assert_true(flows[i].at_end);
            assert_int_equal(flows[i].received, flows[i].length);
        }
        WORLD_WAIT(world, world->clean == 2 * STREAMS);
        for (int i = 0; i < STREAMS; i++) {
            close(fd[i][0]);
            close(fd[i][1]);
        }
        world_stop(world);
    }
}

/* ---- half-close ---------------------------------------------------------- */

static void half_close(int first)
{
    struct world *world = world_start(&variants[1]);
    int fd[2];

    world_pair(world, fd);
    struct flow forth = {.from = fd[first],
                         .to = fd[1 - first],
                         .length = 100000,
                         .seed = 1,
                         .finishes = true};
    world_run_flows(world, &forth, 1);
    assert_true(forth.at_end);
    for (int i = 0; i < 50; i++) {
        world_turn(world);
    }
    assert_int_equal(world->bridges, 2);

    struct flow back = {.from = fd[1 - first],
                        .to = fd[first],
                        .length = 700000,
                        .seed = 2,
                        .finishes = true};
    world_run_flows(world, &back, 1);
    assert_true(back.at_end);
    assert_int_equal(back.received, 700000);
    WORLD_WAIT(world, world->clean == 2);
    close(fd[0]);
    close(fd[1]);
    world_stop(world);
}

static void one_direction_ends_and_the_other_goes_on(void **state)
{
    (void)state;
    half_close(0);
    half_close(1);
}

/* ---- abnormal ends ------------------------------------------------------- */

static void a_reset_crosses_as_a_reset(void **state)
{
    struct world *world = world_start(&variants[1]);
    int fd[2];
    (void)state;

    world_pair(world, fd);
    struct flow flow = {.from = fd[1], .to = fd[0], .length = 50000, .seed = 1};
    assert_int_equal(send(fd[0], "unread", 6, 0), 6);
    world_run_flows(world, &flow, 1);
    struct flow rest = {.from = fd[1], .to = fd[0], .length = 0, .seed = 1};
    for (int i = 0; i < 50; i++) {
        world_turn(
            world); /* the engine has the bytes, and does not read them */
    }
    close(fd[1]);
    rest.from = -1;
    world_run_flows(world, &rest, 1);
    assert_int_equal(rest.error, ECONNRESET);
    WORLD_WAIT(world, world->resets == 2);
    close(fd[0]);
    world_stop(world);
}

static void a_client_that_aborts_is_felt_by_the_engine(void **state)
{
    struct world *world = world_start(&variants[1]);
    int fd[2];
    (void)state;

    world_pair(world, fd);
    socket_reset(fd[0]);
    struct flow flow = {.from = -1, .to = fd[1], .seed = 1};
    world_run_flows(world, &flow, 1);
    assert_true(flow.at_end); /* a unix socket knows nothing better */
    WORLD_WAIT(world, world->resets == 2);
    close(fd[1]);
    world_stop(world);
}

/* The agent is gone in the middle: the client gets what the server had, then
 * an error; never an end of file. */
static void a_lost_session_is_flushed_then_reset(void **state)
{
    struct world *world = world_start(&variants[1]);
    size_t length = 250000;
    int fd[2], size = 4096;
    (void)state;

    world_pair(world, fd);
    setsockopt(world->newest->tcp.fd, SOL_SOCKET, SO_SNDBUF, &size,
               sizeof size);
    struct flow flow = {.from = fd[1],
                        .to = fd[0],
                        .length = length,
                        .seed = 1,
                        .stalls = true};
    while (world->server.transport.counters.bytes_in < length) {
        flow_step(&flow);
        world_turn(world);
    }
    assert_true(tcp_unwritten(&world->newest->tcp) > 0);
    transport_abort(&world->agent.transport);
    WORLD_WAIT(world, world->agent.ended);
    world_turn(world);
    flow.stalls = false;
    flow.finishes = true;
    flow.finished = true;
    world_run_flows(world, &flow, 1);
    assert_int_equal(flow.error, ECONNRESET);
    assert_int_equal(flow.received, length);
    WORLD_WAIT(world, world->server.ended);
    assert_int_equal(link_status(world->server.link), STATUS_TRANSPORT_LOST);
    assert_non_null(world->server.transport.reason);
    close(fd[0]);
    close(fd[1]);
    world_stop(world);
}

static void an_engine_that_is_not_there_resets_the_stream(void **state)
{
    struct world *world = world_start(&variants[1]);
    int client;
    (void)state;

    unlink(world->path);
    client = world_client(world);
    struct flow flow = {.from = -1, .to = client, .seed = 1};
    world_run_flows(world, &flow, 1);
    assert_int_equal(flow.error, ECONNRESET);
    WORLD_WAIT(world, world->resets == 2);
    close(client);
    world_stop(world);
}

/* ---- back-pressure ------------------------------------------------------- */

static void a_stalled_reader_costs_its_window_and_nobody_else(void **state)
{
    struct world *world = world_start(&variants[1]);
    size_t length = 8000000;
    int slow[2], quick[2];
    (void)state;

    world_pair(world, slow);
    struct bridge *bridge = world->newest;
    world_pair(world, quick);
    struct flow stalled = {.from = slow[1],
                           .to = slow[0],
                           .length = length,
                           .seed = 1,
                           .finishes = true,
                           .stalls = true};
    struct flow other = {.from = quick[1],
                         .to = quick[0],
                         .length = length,
                         .seed = 2,
                         .finishes = true};
    for (int i = 0; i < 2000; i++) {
        flow_step(&stalled);
        world_turn(world);
    }
    assert_true(stalled.sent < length); /* the far writer feels it */
    assert_true(tcp_unwritten(&bridge->tcp) > 0);

    struct flow both[2] = {stalled, other};
    world_run_flows(world, both, 2);
    assert_true(both[1].at_end);
    assert_in_range(spill_counters(world->spills)->peak, SPILL_BLOCK,
                    262144 + 2 * SPILL_BLOCK);
    both[0].stalls = false;
    world_run_flows(world, both, 1);
    assert_true(both[0].at_end);
    assert_int_equal(both[0].received, length);
    for (int i = 0; i < 2; i++) {
        close(slow[i]);
        close(quick[i]);
    }
    world_stop(world);
}

static void
a_reader_beyond_the_budget_is_reset_and_the_others_live(void **state)
{
    struct world *world =
        world_start(&(struct world_options){.budget = 4 * SPILL_BLOCK});
    size_t length = 8000000;
    int slow[2], quick[2];
    (void)state;

    world_pair(world, slow);
    world_pair(world, quick);
    struct flow flows[2] = {
        {.from = slow[1],
         .to = slow[0],
         .length = length,
         .seed = 1,
         .finishes = true,
         .stalls = true},
        {.from = quick[1],
         .to = quick[0],
         .length = length,
         .seed = 2,
         .finishes = true},
    };
    world_run_flows(world, flows, 2);
    assert_true(flows[1].at_end);
    WORLD_WAIT(world, spill_counters(world->spills)->evictions == 1);
    flows[0].stalls = false;
    world_run_flows(world, flows, 1);
    assert_int_equal(flows[0].error, ECONNRESET);
    for (int i = 0; i < 2; i++) {
        close(slow[i]);
        close(quick[i]);
    }
    world_stop(world);
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

    world = world_start_raw(&variants[0], (struct span){0}, &raw);
    for (int i = 0; i < 8; i++) {
        flows[i] = (struct flow){.from = world_client(world),
                                 .to = -1,
                                 .length = 8000000,
                                 .stalls = true};
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

/* A client that sends much: its bytes go from socket to socket. */
static void bulk_is_moved_and_arrives(void **state)
{
    struct world *world = world_start(&variants[4]);
    int bulk[2], small[2];
    (void)state;

    world_pair(world, bulk);
    world_pair(world, small);
    struct flow flows[3] = {
        {.from = bulk[0],
         .to = bulk[1],
         .length = 20000003,
         .seed = 1,
         .finishes = true},
        {.from = small[0],
         .to = small[1],
         .length = 10000,
         .seed = 2,
         .finishes = true},
        {.from = bulk[1],
         .to = bulk[0],
         .length = 3000003,
         .seed = 3,
         .finishes = true},
    };
    world_run_flows(world, flows, 3);
    for (int i = 0; i < 3; i++) {
        assert_true(flows[i].at_end);
        assert_int_equal(flows[i].received, flows[i].length);
    }
    assert_in_range(world->server.transport.counters.bytes_moved, 1000000,
                    20000003);
    for (int i = 0; i < 2; i++) {
        close(bulk[i]);
        close(small[i]);
    }
    world_stop(world);
}

static void without_descriptors_for_pipes_bulk_is_copied(void **state)
{
    struct world *world = world_start(&variants[4]);
    struct rlimit limit, none;
    int fd[2];
    (void)state;

    world_pair(world, fd);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 4;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    struct flow flow = {.from = fd[0],
                        .to = fd[1],
                        .length = 8000003,
                        .seed = 1,
                        .finishes = true};
    world_run_flows(world, &flow, 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_true(flow.at_end);
    assert_int_equal(flow.received, flow.length);
    assert_int_equal(world->server.transport.counters.bytes_moved, 0);
    close(fd[0]);
    close(fd[1]);
    world_stop(world);
}

/* The session ends while a pipe holds bytes: it goes with them. */
static void a_full_pipe_is_thrown_away(void **state)
{
    struct world *world;
    int raw;
    (void)state;

    world = world_start_raw(&variants[4], (struct span){0}, &raw);
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

/* Messages were large; then one took longer than message_ms to get out. */
static void a_slow_link_gets_small_messages(void **state)
{
    struct world *world;
    struct flow flows[16];
    uint8_t bytes[8192]; /* less than the next message */
    int raw, room = 32768;
    (void)state;

    world = world_start_raw(&variants[1], (struct span){0}, &raw);
    setsockopt(world->server.transport.fd, SOL_SOCKET, SO_SNDBUF, &room,
               sizeof room);
    setsockopt(raw, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    for (int i = 0; i < 16; i++) {
        flows[i] = (struct flow){.from = world_client(world),
                                 .to = -1,
                                 .length = 200000,
                                 .stalls = true};
        flow_step(&flows[i]);
    }
    while (world->server.transport.message_limit < 65536) {
        world_turn(world);
        while (recv(raw, bytes, sizeof bytes, MSG_DONTWAIT) > 0) {
        }
    }
    WORLD_WAIT(world, world->server.transport.pending != NULL);
    size_t before = world->server.transport.message_limit;
    uint64_t made_ms = world->server.transport.pending->made_ms;
    while (loop_now_ms(world->loop) <= made_ms + 10) {
        loop_run_once(world->loop, 20);
    }
    while (world->server.transport.message_limit == before &&
           recv(raw, bytes, sizeof bytes, 0) > 0) {
        world_turn(world);
    }
    assert_in_range(world->server.transport.message_limit, 16384, before / 2);
    for (int i = 0; i < 16; i++) {
        close(flows[i].from);
    }
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

        world = world_start_raw(&variants[1], (struct span){bytes, cut}, &raw);
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

    world = world_start_raw(&variants[1], (struct span){0}, &raw);
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

    world = world_start_raw(&variants[1], (struct span){0}, &raw);
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

    world = world_start_raw(&variants[1], (struct span){0}, &raw);
    world_turn(world);
    socket_reset(raw);
    WORLD_WAIT(world, world->server.ended);
    assert_string_equal(world->server.transport.reason,
                        "the connection failed");
    assert_int_equal(world->server.transport.error, ECONNRESET);
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

    world = world_start_raw(&variants[1], (struct span){0}, &raw);
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
    world = world_start_raw(&variants[1], (struct span){0}, &raw);
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

    world = world_start_raw(&variants[1], (struct span){0}, &raw);
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

/* The server accepts no streams: an agent that opens one gets a reset. */
static void a_stream_that_nobody_takes_is_refused(void **state)
{
    struct world *world = world_start(&variants[1]);
    struct bridge *bridge = calloc(1, sizeof *bridge);
    struct link *link = world->agent.link;
    struct link_change change = {0};
    uint32_t id;
    (void)state;

    assert_int_equal(
        link_open(link, loop_now_ms(world->loop), &bridge->conn, &id),
        STATUS_OK);
    /* Asked before the transport tells the bridge, which is none. */
    link_closed(link, id);
    transport_wake(&world->agent.transport);
    for (int i = 0; i < 20; i++) {
        world_turn(world);
    }
    assert_false(link_next_change(link, &change));
    assert_int_equal(link_conn_count(world->server.link), 0);
    assert_int_equal(link_status(world->server.link), STATUS_OK);
    free(bridge);
    world_stop(world);
}

/* ---- TLS ----------------------------------------------------------------- */

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

    world = world_start_raw(&variants[0], (struct span){0}, &raw);
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

static void garbage_instead_of_tls_ends_the_session(void **state)
{
    struct world *world = world_start(&variants[2]);
    int fd[2];
    (void)state;

    world_pair(world, fd);
    assert_true(send(world->agent.transport.fd, "garbage garbage", 15, 0) > 0);
    struct flow flow = {.from = -1, .to = fd[0]};
    world_run_flows(world, &flow, 1);
    assert_int_equal(flow.error, ECONNRESET);
    WORLD_WAIT(world, world->server.ended);
    assert_string_equal(world->server.transport.reason, "TLS error");
    close(fd[0]);
    close(fd[1]);
    world_stop(world);
}

/* ---- cost ---------------------------------------------------------------- */

/* Opens a stream, moves bytes both ways, ends it. */
static void use_once(struct world *world)
{
    int fd[2];

    world_pair(world, fd);
    struct flow flows[2] = {
        {.from = fd[0], .to = fd[1], .length = 900000, .finishes = true},
        {.from = fd[1], .to = fd[0], .length = 900000, .finishes = true},
    };
    world_run_flows(world, flows, 2);
    close(fd[0]);
    close(fd[1]);
    WORLD_WAIT(world, world->bridges == 0);
}

static void an_idle_transport_owns_no_buffer(void **state)
{
    struct world *world = world_start(&variants[1]);
    struct mallinfo2 before, after;
    (void)state;

    use_once(world);
    before = mallinfo2();
    for (int i = 0; i < 5; i++) {
        use_once(world);
    }
    after = mallinfo2();
    assert_int_equal(after.uordblks, before.uordblks);
    assert_int_equal(after.hblks, before.hblks);
    assert_null(world->server.transport.pending);
    assert_in_range(sizeof(struct transport), 1, 1024);
    assert_int_equal(spill_counters(world->spills)->used, 0);
    world_stop(world);
}

static void an_idle_transport_takes_no_turns(void **state)
{
    struct world *world = world_start(&variants[1]);
    uint64_t tasks;
    int fd[2];
    (void)state;

    world_pair(world, fd);
    for (int i = 0; i < 50; i++) {
        world_turn(world);
    }
    tasks = loop_counters(world->loop)->tasks;
    for (int i = 0; i < 100; i++) {
        world_turn(world);
    }
    assert_int_equal(loop_counters(world->loop)->tasks, tasks);
    close(fd[0]);
    close(fd[1]);
    world_stop(world);
}

static const struct CMUnitTest tests[] = {
    REQ("AC-06,L-03,T8,T10", bytes_cross_both_ways_and_end_cleanly),
    REQ("L-07", every_byte_may_come_alone),
    REQ("AC-06,L-03,L-05,T12", many_streams_do_not_mix),
    REQ("L-03,T8,T10,T11", one_direction_ends_and_the_other_goes_on),
    REQ("L-04,T14,T20", a_reset_crosses_as_a_reset),
    REQ("L-09,T17", a_client_that_aborts_is_felt_by_the_engine),
    REQ("L-04,T14,T15,T16", a_lost_session_is_flushed_then_reset),
    REQ("AC-07,L-04", an_engine_that_is_not_there_resets_the_stream),
    REQ("L-05,T19", a_stalled_reader_costs_its_window_and_nobody_else),
    REQ("L-02,L-04,X15,T19",
        a_reader_beyond_the_budget_is_reset_and_the_others_live),
    REQ("L-05,X18", a_slow_link_stops_the_clients),
    REQ("P-04,Y-05", a_slow_link_gets_small_messages),
    REQ("P-02,L-03,T12", bulk_is_moved_and_arrives),
    REQ("P-02,X17", without_descriptors_for_pipes_bulk_is_copied),
    REQ("P-02,L-02", a_full_pipe_is_thrown_away),
    REQ("L-07", bytes_that_came_with_the_upgrade_are_not_lost),
    REQ("L-07", a_ping_is_answered_and_a_close_is_echoed),
    REQ("L-07", a_peer_that_breaks_the_protocol_is_told_and_dropped),
    REQ("AC-14,L-04", a_reset_of_the_link_is_reported),
    REQ("L-02", a_descriptor_that_cannot_be_watched_stays_the_callers),
    REQ("AC-05,L-06", what_a_close_owes_is_sent),
    REQ("L-06", a_close_does_not_wait_for_ever),
    REQ("L-01,AC-14", a_silent_peer_is_found_by_our_ping),
    REQ("X16", a_stream_that_nobody_takes_is_refused),
    REQ("L-07", bytes_that_tls_holds_are_not_lost),
    REQ("L-04", garbage_instead_of_tls_ends_the_session),
    REQ("P-05", an_idle_transport_owns_no_buffer),
    REQ("P-08", an_idle_transport_takes_no_turns),
};
RUN(tests)
