/* gate.h: a Docker stream under the read-only policy: core/filter.h between
 * one connection of the link and the engine's socket (PO-01..PO-06, T3).
 *
 * The filter says what is to be done; a gate does it. Client bytes that the
 * filter does not take yet wait in a spill of the relay, which is bounded by
 * the stream's window. Filters share one buffer until one of them holds it.
 */
#ifndef AGENT_GATE_H
#define AGENT_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/config.h"
#include "core/filter.h"
#include "net/conn.h"
#include "net/loop.h"
#include "net/spill.h"
#include "net/tcp.h"

struct gate_pool {
    struct loop *loop;
    struct spill_pool *spills;
    const struct config *config;
    struct filter_config filter;
    struct socket_address engine;
    uint8_t *spare; /* a buffer that no filter holds, or NULL */
    bool draining;  /* connections end between two requests (L-06) */
};

/* All pointers outlive the pool; gate_pool_free() once no gate is open. */
void gate_pool_init(struct gate_pool *pool, struct loop *loop,
                    struct spill_pool *spills, const struct config *config);
void gate_pool_free(struct gate_pool *pool);

struct gate { /* fields belong to gate.c */
    struct gate_pool *pool;
    struct conn *conn;
    struct spill *pending; /* the relay's: client bytes, in order */
    struct filter filter;
    uint8_t *buffer; /* lent to the filter, or NULL */
    struct tcp tcp;
    struct loop_timer response;
    const char *problem; /* the last one that was logged */
    bool connecting;
    bool open;            /* the filter knows of the engine's connection */
    bool engine_readable; /* its socket may have bytes */
    bool engine_finished; /* tcp_finish() was called */
    bool client_finished; /* FIN came, behind what is pending */
    bool told_finished;   /* and the filter knows */
    bool is_ping;         /* the request in progress asks for /_ping */
    bool awaits;          /* the response timer belongs to this request */
    bool failed;          /* no memory: reset */
    bool ended;           /* between two requests, because of draining */
};

void gate_open(struct gate *gate, struct gate_pool *pool, struct conn *conn,
               struct spill *pending);

/* As conn_ops.write(), for one span, behind what is pending. */
size_t gate_write(struct gate *gate, struct span span);
/* As conn_ops.read(). */
enum conn_result gate_read(struct gate *gate, uint8_t *bytes, size_t capacity,
                           size_t *length);
/* The client finished, behind what is pending. */
void gate_finish(struct gate *gate);
/* pool->draining was set: end now if no request is in progress. */
void gate_drain(struct gate *gate);
/* Let go of everything at once. */
void gate_close(struct gate *gate);

/* "connect PATH: REASON; REMEDY", what to say when the engine cannot be
 * reached. */
#define GATE_PROBLEM_SIZE 320u
void gate_describe(char problem[GATE_PROBLEM_SIZE], const char *path,
                   int error);

#endif
