/* transport_pool.h: what the transports of one loop share, and their knobs.
 *
 * An output buffer holds one WebSocket message: room for its header, the
 * payload, room for control frames, which go behind it. A transport that could
 * not send all of it keeps it; the pool makes another, and keeps a few that
 * come back.
 */
#ifndef NET_TRANSPORT_POOL_H
#define NET_TRANSPORT_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/ws.h"
#include "net/loop.h"
#include "net/spill.h"

/* Message size: it is doubled when some in succession were full and with the
 * kernel within message_ms, which saves system calls and wake-ups; it is halved
 * when one took longer, so that on a slow link a ping or a small request does
 * not wait behind a large message (Y-05, P-04), nor behind what the kernel
 * holds unsent: two messages. */
struct transport_config {
    size_t receive_max;       /* bytes a read, >= 4096; default 1048576 */
    size_t message_min;       /* payload, >= 4096; default 16384 */
    size_t message_max;       /* payload, >= message_min; default 262144 */
    uint64_t message_ms;      /* default 2 */
    size_t turn_max;          /* payload that a stream sends while others wait
                                 is a message and at most this; 131072 */
    size_t burst_max;         /* bytes a transport sends a turn; 524288 */
    size_t move_min;          /* sockets that have this much to read at once are
                                 moved through a pipe, without a copy (plain
                                 WebSocket, server); 0: never; 49152 */
    size_t gather_mark;       /* bytes that small pieces gather to before they
                                 are read (net/gather.h); 0: never; 98304 */
    int notsent_lowat;        /* TCP_NOTSENT_LOWAT is two messages, and so many
                                 bytes at most; 0: unset; 131072 */
    unsigned user_timeout_ms; /* TCP_USER_TIMEOUT; default 20000 (OP P10) */
    uint64_t linger_ms;       /* for what a close owes; default 1000 */
};

struct transport_pool;

/* spills: for the sockets of bridges. Both outlive the pool. NULL: no memory.
 */
struct transport_pool *
transport_pool_create(struct loop *loop, struct spill_pool *spills,
                      const struct transport_config *config);
void transport_pool_destroy(struct transport_pool *pool); /* no transports */
struct loop *transport_pool_loop(struct transport_pool *pool);
struct spill_pool *transport_pool_spills(struct transport_pool *pool);

/* ---- for net/transport.c ------------------------------------------------- */

const struct transport_config *
transport_pool_config(const struct transport_pool *pool);

/* receive_max bytes, for as long as one burst. */
uint8_t *transport_pool_input(struct transport_pool *pool);

#define TRANSPORT_CONTROL_ROOM (2 * (WS_HEADER_MAX + WS_CONTROL_PAYLOAD_MAX))

struct transport_buffer {
    struct transport_buffer *next; /* of free ones */
    size_t start, end;             /* bytes that are not sent yet */
    size_t payload;                /* of the message */
    uint64_t made_ms;
    struct transport_pipe *pipe; /* behind the bytes above, or NULL: */
    size_t piped;                /* so many bytes of payload */
    uint8_t bytes[]; /* WS_HEADER_MAX + message_max + TRANSPORT_CONTROL_ROOM */
};

struct transport_buffer *
transport_pool_take(struct transport_pool *pool); /* NULL: no memory */
/* With what it still holds, pipe included. */
void transport_pool_give(struct transport_pool *pool,
                         struct transport_buffer *buffer);

struct transport_pipe {
    struct transport_pipe *next; /* of free ones */
    int in, out;                 /* to write to, to read from */
};

/* Attach an empty pipe of message_max bytes. False: there are enough of them
 * (PIPES_MAX), or none is to be had: do without. */
bool transport_pool_pipe(struct transport_pool *pool,
                         struct transport_buffer *buffer);

/* Four unpredictable bytes (RFC 6455 10.3), for one frame; NULL: no entropy. */
const uint8_t *transport_pool_mask(struct transport_pool *pool);

#endif
