/* transport.h: a WebSocket over a modelled socket that drives one link
 * (core/link.h) and its connections: what net/transport.h and net/conn.h are
 * to the product, deed for deed.
 *
 * The socket comes from whoever did the upgrade. Towards the peer: connections
 * are read straight into the outgoing frame, several yamux frames a message;
 * what the socket does not take stays queued, one message at most, and nothing
 * is read meanwhile (X18). From the peer: slices go to the connections from
 * where they lie. Every byte that goes out is read by sim/legal.h.
 *
 * The owner's operations are called from jobs of the loop only and may call
 * anything; transport and link may be freed in ended(), the very last call.
 */
#ifndef SIM_TRANSPORT_H
#define SIM_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/link.h"
#include "core/span.h"
#include "core/ws.h"
#include "sim/chance.h"
#include "sim/legal.h"
#include "sim/loop.h"
#include "sim/process.h"
#include "sim/socket.h"

struct conn;
struct transport;
struct transport_buffer;

/* ---- connections --------------------------------------------------------- */

enum conn_result {
    CONN_MORE,     /* ask again when it is its turn */
    CONN_DRAINED,  /* nothing more now: conn_readable() will tell */
    CONN_FINISHED, /* end of file */
    CONN_FAILED    /* abnormal end */
};

struct conn_ops {
    /* Up to capacity (>= 1) bytes; 0 is allowed, but not with CONN_MORE. */
    enum conn_result (*read)(struct conn *conn, uint8_t *bytes, size_t capacity,
                             size_t *length);
    /* Take all of data; returns how many bytes are done with, conn_written()
     * reports the others. */
    size_t (*write)(struct conn *conn, struct span data);
    /* CONN_WANTS_CLOSE and CONN_WANTS_RESET end in conn_closed(), from here or
     * later. */
    void (*change)(struct conn *conn, unsigned wants, enum status status);
};

struct conn { /* in the link, user is this */
    const struct conn_ops *ops;
    struct transport *transport;
    uint32_t id;       /* of the link */
    uint64_t moved_ms; /* bytes went either way */
};

void conn_init(struct conn *conn, const struct conn_ops *ops,
               struct transport *transport, uint32_t id);
void conn_readable(struct conn *conn);
void conn_written(struct conn *conn, size_t length);
void conn_half_closed(struct conn *conn);
void conn_failed(struct conn *conn);
void conn_closed(struct conn *conn); /* conn may be freed when this returns */
uint32_t conn_stream(const struct conn *conn);

/* ---- what transports of a process share ---------------------------------- */

struct transport_pool { /* memory of the world; read-only */
    struct loop *loop;
    struct process *process;
    struct chance chance; /* masks */
    size_t message_max;   /* payload of a message: 64.. */
    size_t burst_max;     /* bytes made in one turn */
    uint64_t linger_ms;   /* yours to set: of its links; default 5000 */
    struct transport_buffer *spare;
    uint8_t *input;
    struct legal *legals;
    size_t memory; /* in use, as the process counts it */
};

/* Limits are drawn from the chance. */
void transport_pool_init(struct transport_pool *pool, struct loop *loop,
                         struct process *process, struct chance chance);
/* The process is gone, or about to go, with what it had; or, if it lives on:
 * every transport has ended. */
void transport_pool_end(struct transport_pool *pool);

/* ---- one ----------------------------------------------------------------- */

#define TRANSPORT_LINGER_MS 1000u

struct transport_ops {
    /* The peer opened conn: link_accept() with a struct conn, or
     * link_refuse(). NULL: refused. */
    void (*offered)(struct transport *transport, uint32_t id);
    /* After each burst: the link may have changed. Nothing is freed here. */
    void (*step)(struct transport *transport);
    /* The socket and every connection are closed: free it and the link. */
    void (*ended)(struct transport *transport);
};

struct transport { /* read-only, but user */
    void *user;
    const struct transport_ops *ops;
    struct transport_pool *pool;
    struct link *link;
    struct socket *socket; /* NULL once it is closed */
    struct job *job;
    struct legal *legal;
    struct transport_buffer *pending; /* output the socket did not take */
    struct span early; /* process memory; input that came before us */
    struct ws ws;
    uint64_t bytes_in, bytes_out;
    uint64_t heard_us; /* bytes came */
    uint64_t linger_until_ms;
    const char *reason; /* why it was lost, for people; or NULL */
    uint16_t peer_code, close_code;
    uint8_t phase;
    bool readable, writable;
    bool in_burst;
};

/* Takes socket. early: bytes that came behind the upgrade, copied. legal: what
 * its output must be. False: no memory; nothing happened. */
bool transport_open(struct transport *transport, struct transport_pool *pool,
                    struct socket *socket, enum ws_role role, struct link *link,
                    struct span early, const struct legal_config *legal,
                    const struct transport_ops *ops, void *user);
void transport_wake(struct transport *transport);
/* Hang up: what the link owes and a close frame are sent, for
 * TRANSPORT_LINGER_MS at most. ended() follows. Harmless twice. */
void transport_close(struct transport *transport, enum ws_close_code code);
bool transport_is_blocked(const struct transport *transport);

#endif
