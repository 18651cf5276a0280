/* stub.h: a world of one site for tests of the agents: a server that speaks
 * plain WebSocket and yamux, and an engine that answers with what it hears.
 */
#ifndef SIM_TEST_STUB_H
#define SIM_TEST_STUB_H

#include "sim/plain_mux.h"
#include "sim/remote.h"
#include "sim/socket.h"

#define STUB_LINKS_MAX 64u
#define STUB_STREAMS_MAX 64u

/* A client of the server's: it says size keyed bytes, then FIN, and wants them
 * all back, then FIN. */
struct stub_client {
    struct stub_link *link;
    struct plain_stream *stream; /* NULL: over */
    uint64_t size, said, heard;
    bool whole;  /* all came back, then FIN */
    bool broken; /* a reset, or the session was lost */
    bool acked;
};

struct stub_link { /* the server's end of one connection */
    struct stub *stub;
    struct socket *socket;
    struct plain_bytes head;
    bool is_open; /* 101 was sent */
    struct plain_ws ws;
    struct plain_mux mux;
    uint64_t opened_us;
    uint32_t pongs, last_pong;
};

struct stub {
    struct sim *sim;
    struct world world;
    struct site site;
    const struct remote_ops *ops;
    struct listener *listener;
    struct stub_link *links[STUB_LINKS_MAX]; /* NULL: gone */
    uint32_t link_count;                     /* ever */
    struct stub_link *newest;                /* open; NULL: none */
    struct stub_client clients[STUB_STREAMS_MAX];
    uint32_t client_count;
    struct listener *engine;
    bool engine_closes; /* it accepts and closes at once */
    bool silent;        /* the server reads nothing */
    bool trickles;      /* its piece of output is one byte */
    uint64_t echoed;
};

struct stub *stub_new(uint64_t seed, const struct remote_ops *ops);
void stub_free(struct stub *stub);
void stub_start_agent(struct stub *stub);
void stub_kill_agent(struct stub *stub, enum process_end end);
/* Steps until that time. */
void stub_run(struct stub *stub, uint64_t ms);
/* Steps until there is an open link, at most so long. */
void stub_await_link(struct stub *stub, uint64_t ms);
struct stub_client *stub_client(struct stub *stub, uint64_t size);
void stub_close(struct stub_link *link); /* the server hangs up */

#endif
