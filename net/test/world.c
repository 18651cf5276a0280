#include "net/test/world.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/map.h"
#include "net/socket.h"
#include "net/test/pair.h"
#include "net/test/tls.h"

int open_descriptors(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (readdir(dir) != NULL) {
        count++;
    }
    closedir(dir);
    return count;
}

static void on_bridge_ended(struct bridge *bridge, enum status status)
{
    struct side *side = bridge->conn.transport->user;
    side->world->bridges--;
    if (status == STATUS_OK) {
        side->world->clean++;
    } else {
        side->world->resets++;
        side->world->status = status;
    }
    free(bridge);
}

static void on_offered(struct transport *transport, uint32_t id)
{
    struct side *side = transport->user;
    struct bridge *bridge = calloc(1, sizeof *bridge);
    assert_non_null(bridge);
    side->world->bridges++;
    assert_true(bridge_connect(bridge, transport, id, &side->world->engine,
                               5000, on_bridge_ended));
}

static void on_step(struct transport *transport)
{
    if ((link_wants(transport->link) & LINK_IS_OVER) != 0) {
        transport_close(transport, WS_CLOSE_GOING_AWAY);
    }
}

static void on_ended(struct transport *transport)
{
    struct side *side = transport->user;
    assert_false(side->ended);
    side->ended = true;
}

static void unblock(int fd)
{
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
}

static void make_pair(const struct world *world, int fd[2])
{
    if (world->options.unix_link) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd),
                         0);
    } else {
        pair_tcp(fd, 0);
    }
}

static void start_side(struct world *world, struct side *side,
                       enum mux_role role, int fd, SSL *ssl, struct span early)
{
    struct transport_config transport_config;
    struct link_config config;

    link_config_default(&config, role);
    config.mux.ping_interval_ms = 0; /* a raw peer wants to know what comes */
    if (world->options.configure != NULL) {
        world->options.configure(&config, &transport_config);
    }
    side->world = world;
    side->ops = (struct transport_ops){
        .offered = role == MUX_CLIENT ? on_offered : NULL,
        .step = on_step,
        .ended = on_ended,
    };
    side->link_size = link_size(&config);
    void *memory = map_create(side->link_size);
    assert_non_null(memory);
    side->link =
        link_init(memory, side->link_size, &config, loop_now_ms(world->loop));
    unblock(fd);
    transport_prepare(world->pool, fd);
    assert_true(transport_open(&side->transport, world->pool, fd, ssl,
                               role == MUX_SERVER ? WS_SERVER : WS_CLIENT,
                               side->link, early, &side->ops, side));
}

static struct world *start_empty(const struct world_options *options)
{
    struct world *world = calloc(1, sizeof *world);
    struct transport_config config;
    struct link_config unused;

    assert_non_null(world);

    world->options = *options;
    world->descriptors = open_descriptors();
    world->random = 1;
    world->relay[0] = world->relay[1] = -1;
    world->may_pass[0] = world->may_pass[1] = SIZE_MAX;
    world->loop = loop_create();
    world->spills =
        spill_pool_create(options->budget == 0 ? 16 << 20 : options->budget);
    transport_config_default(&config);
    if (options->configure != NULL) {
        link_config_default(&unused, MUX_SERVER);
        options->configure(&unused, &config);
    }
    assert_true(world->loop != NULL && world->spills != NULL);
    world->pool = transport_pool_create(world->loop, world->spills, &config);
    assert_non_null(world->pool);
    (void)snprintf(world->dir, sizeof world->dir, "/tmp/test_net.XXXXXX");
    assert_non_null(mkdtemp(world->dir));
    (void)snprintf(world->path, sizeof world->path, "%s/engine", world->dir);
    assert_true(socket_address_unix(&world->engine, world->path));
    world->engine_listener =
        socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(world->engine_listener,
                          (struct sockaddr *)&world->engine.storage,
                          world->engine.length),
                     0);
    assert_int_equal(listen(world->engine_listener, 64), 0);
    return world;
}

/* fd[0]: the server's, fd[1]: the agent's. */
static void shake_hands(struct world *world, const int fd[2], SSL *ssl[2])
{
    bool done[2] = {false, false};

    for (int i = 0; i < 2; i++) {
        unblock(fd[i]);
        ssl[i] = tls_create(fd[i], i == 0);
    }
    while (!done[0] || !done[1]) {
        for (int i = 0; i < 2; i++) {
            done[i] = done[i] || tls_handshake(ssl[i]);
        }
    }
    (void)world;
}

struct world *world_start(const struct world_options *options)
{
    struct world *world = start_empty(options);
    SSL *ssl[2] = {NULL, NULL};
    int fd[2], far[2];

    make_pair(world, fd);
    if (options->tls) {
        shake_hands(world, fd, ssl);
    }
    if (options->cut > 0) {
        /* between them, once the TLS handshake is over */
        assert_false(options->tls);
        make_pair(world, far);
        world->relay[0] = fd[1];
        world->relay[1] = far[0];
        unblock(fd[1]);
        unblock(far[0]);
        fd[1] = far[1];
    }
    start_side(world, &world->server, MUX_SERVER, fd[0], ssl[0],
               (struct span){0});
    start_side(world, &world->agent, MUX_CLIENT, fd[1], ssl[1],
               (struct span){0});
    return world;
}

struct world *world_start_raw(const struct world_options *options,
                              struct span early, int *raw)
{
    struct world *world = start_empty(options);
    struct timeval patience = {.tv_sec = 10};
    int fd[2];

    make_pair(world, fd);
    setsockopt(fd[1], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    *raw = fd[1];
    start_side(world, &world->server, MUX_SERVER, fd[0], NULL, early);
    world->agent.ended = true;
    return world;
}

void world_stop(struct world *world)
{
    if (!world->server.ended) {
        transport_close(&world->server.transport, WS_CLOSE_NORMAL);
    }
    WORLD_WAIT(world, world->server.ended);
    for (int i = 0; i < 2; i++) {
        if (world->relay[i] >= 0) {
            close(world->relay[i]);
            world->relay[i] = -1;
        }
    }
    WORLD_WAIT(world, world->agent.ended);
    assert_int_equal(world->bridges, 0);
    assert_int_equal(spill_counters(world->spills)->used, 0);
    map_destroy(world->server.link, world->server.link_size);
    map_destroy(world->agent.link, world->agent.link_size);
    transport_pool_destroy(world->pool);
    spill_pool_destroy(world->spills);
    loop_destroy(world->loop);
    close(world->engine_listener);
    unlink(world->path);
    rmdir(world->dir);
    assert_int_equal(open_descriptors(), world->descriptors);
    free(world);
}

static void relay(struct world *world, int direction)
{
    int from = world->relay[direction], to = world->relay[!direction];
    size_t left = world->may_pass[direction] - world->passed[direction];
    uint8_t bytes[4096];
    size_t cut = world->options.cut;
    ssize_t n;

    if (left == 0) {
        return;
    }

    world->random = world->random * 1664525u + 1013904223u;
    cut = 1 + (world->random >> 8) % (cut < sizeof bytes ? cut : sizeof bytes);
    n = recv(from, bytes, cut < left ? cut : left, 0);
    if (n > 0) {
        world->passed[direction] += (size_t)n;
        ssize_t sent = send(to, bytes, (size_t)n, MSG_NOSIGNAL);
        assert_true(sent == n || errno == EPIPE || errno == ECONNRESET);
    } else if (n == 0) {
        shutdown(to, SHUT_WR);
    }
}

void world_turn(struct world *world)
{
    loop_run_once(world->loop, 0);
    if (world->relay[0] >= 0) {
        relay(world, 0);
        relay(world, 1);
    }
}

void world_gather(struct world *world)
{
    struct gather *gather = &world->server.transport.gather;

    WORLD_WAIT(world, gather->counted_ms <= loop_now_ms(world->loop));
    while (!gather->on) { /* between two turns the clock stands still */
        for (unsigned i = 0; i < GATHER_READS; i++) {
            gather_took(gather, gather->mark / GATHER_READS);
        }
    }
}

void world_cut(struct world *world, bool ends, bool resets)
{
    for (int i = 0; i < 2; i++) {
        world->may_pass[i] = world->passed[i];
        if (resets) {
            socket_reset(world->relay[i]);
        } else if (ends) {
            close(world->relay[i]);
        }
        if (ends || resets) {
            world->relay[i] = -1;
        }
    }
}

int world_client(struct world *world)
{
    struct bridge *bridge = calloc(1, sizeof *bridge);
    struct side *server = &world->server;
    uint32_t id;
    int fd[2];

    assert_non_null(bridge);
    pair_tcp(fd, 0);
    unblock(fd[0]);
    unblock(fd[1]);
    assert_int_equal(
        link_open(server->link, loop_now_ms(world->loop), &bridge->conn, &id),
        STATUS_OK);
    assert_true(
        bridge_open(bridge, &server->transport, id, fd[0], on_bridge_ended));
    world->bridges++;
    world->newest = bridge;
    return fd[1];
}

int world_engine(struct world *world)
{
    int fd = -1;

    WORLD_WAIT(world, (fd = accept4(world->engine_listener, NULL, NULL,
                                    SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0);
    return fd;
}

void world_pair(struct world *world, int fd[2])
{
    fd[0] = world_client(world);
    fd[1] = world_engine(world);
}

/* ---- flows --------------------------------------------------------------- */

uint8_t flow_pattern(uint32_t seed, size_t at)
{
    return (uint8_t)(((uint32_t)at + seed * 40503u) * 2654435761u >> 24);
}

static void flow_send(struct flow *flow)
{
    uint8_t bytes[16384];

    while (flow->sent < flow->length) {
        size_t length = flow->length - flow->sent;
        length = length < sizeof bytes ? length : sizeof bytes;
        for (size_t i = 0; i < length; i++) {
            bytes[i] = flow_pattern(flow->seed, flow->sent + i);
        }
        ssize_t n = send(flow->from, bytes, length, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno != EAGAIN) {
                flow->send_error = errno; /* recv() may say 0 now */
            }
            return;
        }
        flow->sent += (size_t)n;
    }
    if (flow->finishes && !flow->finished) {
        flow->finished = true;
        shutdown(flow->from, SHUT_WR);
    }
}

static void flow_receive(struct flow *flow)
{
    uint8_t bytes[16384];
    ssize_t n;

    while ((n = recv(flow->to, bytes, sizeof bytes, 0)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            if (bytes[i] !=
                flow_pattern(flow->seed, flow->received + (size_t)i)) {
                fail_msg("byte %zu is wrong", flow->received + (size_t)i);
            }
        }
        flow->received += (size_t)n;
    }
    if (n == 0) {
        flow->at_end = true;
    } else if (errno != EAGAIN) {
        flow->error = errno;
    }
}

void flow_step(struct flow *flow)
{
    flow_send(flow);
    if (!flow->stalls && !flow->at_end && flow->error == 0) {
        flow_receive(flow);
    }
}

static bool is_over(const struct flow *flow)
{
    if (flow->at_end || flow->error != 0) {
        return true;
    }
    return flow->from >= 0 && !flow->finishes && flow->received == flow->length;
}

void world_run_flows(struct world *world, struct flow *flows, size_t count)
{
    bool done = false;

    for (int turns = 0; turns < 4000000 && !done; turns++) {
        world_turn(world);
        done = true;
        for (size_t i = 0; i < count; i++) {
            flow_step(&flows[i]);
            done = done && (flows[i].stalls || is_over(&flows[i]));
        }
    }
    assert_true(done);
}
