/* test_transport.c: the WebSocket between a link and the kernel, back to back
 * with itself and against raw bytes. */
#include "net/test/world.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

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

/* However often it begins: all that was sent arrives, and no timer is left. */
static void bytes_that_gather_arrive(void **state)
{
    (void)state;
    for (size_t v = 0; v < VARIANTS; v++) {
        struct world *world = world_start(&variants[v]);
        const struct gather *gather = &world->server.transport.gather;
        int fd[2];

        world_pair(world, fd);
        struct flow flow = {.from = fd[1], .to = fd[0], .seed = 1};
        for (int i = 0; i < 200; i++) {
            flow.length = flow.sent + 10000;
            flow_step(&flow);
            world_gather(world);
            world_turn(world);
        }
        flow.length = flow.sent;
        world_run_flows(world, &flow, 1);
        assert_int_equal(flow.received, flow.sent);
        WORLD_WAIT(world, !gather->on);
        assert_false(gather->timer.running);
        close(fd[0]);
        close(fd[1]);
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
    /* a busy kernel delivers late: wait for what is to be seen */
    for (int i = 0; i < 2000 || (tcp_unwritten(&bridge->tcp) == 0 && i < 20000);
         i++) {
        flow_step(&stalled);
        world_turn(world);
        (void)poll(NULL, 0, i < 2000 ? 0 : 1);
    }
    assert_true(stalled.sent < length); /* the far writer feels it */
    assert_true(tcp_unwritten(&bridge->tcp) > 0);

    struct flow both[2] = {stalled, other};
    world_run_flows(world, both, 2);
    assert_true(both[1].at_end);
    assert_in_range(tcp_unwritten(&bridge->tcp), 1, 262144);
    /* the other's reader may have been late, too, but no more than that */
    assert_in_range(spill_counters(world->spills)->peak, SPILL_BLOCK,
                    2 * (262144 + 2 * SPILL_BLOCK));
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
    /* malloc gives a little more now and then; a buffer is 16 KiB */
    assert_in_range(after.uordblks, 0, before.uordblks + 1024);
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
    REQ("P-01,P-08,AC-06", bytes_that_gather_arrive),
    REQ("AC-06,L-03,L-05,T12", many_streams_do_not_mix),
    REQ("L-03,T8,T10,T11", one_direction_ends_and_the_other_goes_on),
    REQ("L-04,T14,T20", a_reset_crosses_as_a_reset),
    REQ("L-09,T17", a_client_that_aborts_is_felt_by_the_engine),
    REQ("L-04,T14,T15,T16", a_lost_session_is_flushed_then_reset),
    REQ("AC-07,L-04", an_engine_that_is_not_there_resets_the_stream),
    REQ("L-05,T19", a_stalled_reader_costs_its_window_and_nobody_else),
    REQ("L-02,L-04,X15,T19",
        a_reader_beyond_the_budget_is_reset_and_the_others_live),
    REQ("P-02,L-03,T12", bulk_is_moved_and_arrives),
    REQ("P-02,X17", without_descriptors_for_pipes_bulk_is_copied),
    REQ("X16", a_stream_that_nobody_takes_is_refused),
    REQ("L-04", garbage_instead_of_tls_ends_the_session),
    REQ("P-05", an_idle_transport_owns_no_buffer),
    REQ("P-08", an_idle_transport_takes_no_turns),
};
RUN(tests)
