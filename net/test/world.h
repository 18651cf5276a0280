/* world.h: two transports back to back in one loop, clients before the first,
 * an engine behind the second.
 *
 *   client == bridge == server ==(WebSocket)== agent == bridge == engine
 *
 * Clients and engine are plain sockets of the test. The WebSocket runs over a
 * socket pair; with cut > 0 through a relay that passes on 1..cut bytes a turn.
 */
#ifndef NET_TEST_WORLD_H
#define NET_TEST_WORLD_H

#include "core/test/req.h"

#include "net/acceptor.h"
#include "net/bridge.h"
#include "net/transport.h"

struct side {
    struct world *world;
    struct transport transport;
    struct transport_ops ops;
    struct link *link;
    size_t link_size;
    bool ended;
};

struct world_options {
    bool tls;
    bool unix_link; /* else TCP */
    size_t cut;     /* 0: no relay */
    size_t budget;  /* of the spill; 0: 16 MiB */
    void (*configure)(struct link_config *link,
                      struct transport_config *transport); /* may be NULL */
};

struct world {
    struct world_options options;
    struct loop *loop;
    struct spill_pool *spills;
    struct transport_pool *pool;
    struct side server, agent;
    int relay[2];                  /* -1: none */
    size_t passed[2], may_pass[2]; /* bytes from the agent, from the server */
    uint32_t random;
    char dir[32], path[64];
    int engine_listener;
    struct socket_address engine;
    int descriptors;
    struct bridge *newest; /* of world_client() */
    int bridges;           /* alive */
    int clean, resets;     /* ended ones, both sides */
    enum status status;    /* of the last reset */
};

struct world *world_start(const struct world_options *options);
/* Like that, without an agent: *raw is the blocking far end of the server's
 * WebSocket, whose early input is early. */
struct world *world_start_raw(const struct world_options *options,
                              struct span early, int *raw);
/* Closes what is open, checks that nothing is left. */
void world_stop(struct world *world);

/* The relay passes no more: it closes with an end of file, with a reset, or
 * with neither just stops. */
void world_cut(struct world *world, bool ends, bool resets);

/* The server's reads have just been many and small: bytes gather. */
void world_gather(struct world *world);

/* One turn that does not wait, the relay included. */
void world_turn(struct world *world);

#define WORLD_WAIT(world, condition)                    \
    do {                                                \
        bool is_met = false;                            \
        for (int turns = 0; turns < 1000000; turns++) { \
            is_met = (condition);                       \
            if (is_met) {                               \
                break;                                  \
            }                                           \
            world_turn(world);                          \
        }                                               \
        assert_true(is_met);                            \
    } while (false)

/* A client connects; its stream is open. Non-blocking. */
int world_client(struct world *world);
/* The engine's end of the oldest stream that it does not have yet. */
int world_engine(struct world *world);
/* Both: fd[0] the client, fd[1] the engine. */
void world_pair(struct world *world, int fd[2]);

/* Bytes of a pattern that belongs to (seed, position). */
struct flow {
    int from, to;
    uint32_t seed;
    size_t length;         /* to send; then SHUT_WR if finishes */
    size_t sent, received; /* so far */
    bool finishes, finished;
    bool at_end; /* the reader saw the end of file, */
    int error;   /* or this errno */
    int send_error;
    bool stalls; /* the reader does not read */
};
uint8_t flow_pattern(uint32_t seed, size_t at);
void flow_step(struct flow *flow); /* as much as goes without waiting */
/* Until each flow is at its end, or in error, or stalls, or (if it neither
 * finishes nor only listens, from -1) has moved length bytes. */
void world_run_flows(struct world *world, struct flow *flows, size_t count);

int open_descriptors(void);

#endif
