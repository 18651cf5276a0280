/* own_internal.h: what the parts of our own modelled agent share.
 *
 *   own.c         its life: dial, serve, wait, stop (agent/runner.c, dial.c and
 *                 tunnel.c of the product)
 *   own_stream.c  one stream of the server's (agent/relay.c)
 *   own_gate.c    a Docker stream under the read-only policy (agent/gate.c)
 */
#ifndef SIM_OWN_INTERNAL_H
#define SIM_OWN_INTERNAL_H

#include "core/filter.h"
#include "core/preface.h"
#include "sim/remote.h"
#include "sim/tcp.h"
#include "sim/transport.h"

#define OWN_CONNECT_MS 10000u
#define OWN_PROBLEM_SIZE 160u
#define OWN_ANSWER_SIZE 512u

struct own_stream;

struct own_pool { /* shared by all streams */
    struct loop *loop;
    struct spill_pool *spills;
    const struct site *site;
    struct filter_config filter;
    uint8_t *spare; /* a buffer that no filter holds, or NULL */
    struct own_stream *first;
    bool allow_all;
    bool draining; /* connections end between two requests (L-06) */
};

void own_pool_end(struct own_pool *pool); /* the process lives on, for now */
void own_pool_drain(struct own_pool *pool);
/* From transport_ops.offered(): accept the stream, or refuse it if there is no
 * memory. */
void own_stream_offer(struct own_pool *pool, struct transport *transport,
                      uint32_t id);
/* "connect docker.sock: REASON", of the site's engine. */
void own_describe(char problem[OWN_PROBLEM_SIZE], const char *reason);

struct own_gate { /* fields belong to own_gate.c */
    struct own_pool *pool;
    struct conn *conn;
    struct spill *pending; /* client bytes, in order */
    struct filter filter;
    uint8_t *buffer; /* lent to the filter, or NULL */
    struct tcp tcp;
    bool connecting;
    bool open;            /* the filter knows of the engine's connection */
    bool engine_readable; /* its socket may have bytes */
    bool engine_finished; /* tcp_finish() was called */
    bool client_finished; /* FIN came, behind what is pending */
    bool told_finished;   /* and the filter knows */
    bool failed;          /* no memory: reset */
    bool ended;           /* between two requests, because of draining */
};

void own_gate_open(struct own_gate *gate, struct own_pool *pool,
                   struct conn *conn, struct spill *pending);
/* As conn_ops.write() and read(). */
size_t own_gate_write(struct own_gate *gate, struct span span);
enum conn_result own_gate_read(struct own_gate *gate, uint8_t *bytes,
                               size_t capacity, size_t *length);
void own_gate_finish(struct own_gate *gate);
void own_gate_drain(struct own_gate *gate);
void own_gate_close(struct own_gate *gate);

#endif
