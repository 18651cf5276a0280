/* transport.h: a WebSocket over a descriptor, plain or TLS, that drives one
 * link (core/link.h) and its connections (net/conn.h).
 *
 * Conventions
 *
 * The descriptor comes from whoever did the HTTP upgrade: connected, 101 sent
 * or received, nothing of the WebSocket sent yet. What transports of a loop
 * share is in net/transport_pool.h; an idle transport owns no buffer.
 *
 * Towards the peer: sockets are read straight into the outgoing frame, several
 * yamux frames a WebSocket message. What the kernel does not take stays in the
 * output buffer, which then belongs to the transport until it is gone, and
 * nothing new is read meanwhile: back-pressure, at most one message is queued
 * (X18). From the peer: one large read, slices go to the connections from where
 * they lie.
 *
 * The owner's operations are called from the loop only, and may call anything;
 * the transport and its link may be freed in ended(), which is the very last
 * call.
 *
 * Time: the link must have been given loop_now_ms() from the start.
 */
#ifndef NET_TRANSPORT_H
#define NET_TRANSPORT_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/link.h"
#include "core/ws.h"
#include "net/conn.h"
#include "net/gather.h"
#include "net/loop.h"
#include "net/spill.h"
#include "net/transport_pool.h"

void transport_config_default(struct transport_config *config);

struct transport;

struct transport_ops {
    /* The peer opened stream id: link_accept() with a struct conn
     * (bridge_connect() does) or link_refuse() it now. NULL: refused. */
    void (*offered)(struct transport *transport, uint32_t id);
    /* After each burst: the link may have changed. Server: agent_step() and
     * what agent_wants() says; agent: transport_close() once link_wants() has
     * LINK_IS_OVER. Nothing is freed here. May be NULL. */
    void (*step)(struct transport *transport);
    /* The descriptor and every connection are closed: free it and the link. */
    void (*ended)(struct transport *transport);
};

struct transport_counters {       /* only grow */
    uint64_t bytes_in, bytes_out; /* of the WebSocket, without TLS */
    uint64_t messages_out;
    uint64_t bytes_moved; /* of bytes_out: through a pipe, without a copy */
};

struct transport { /* fields belong to transport.c, but user */
    void *user;
    const struct transport_ops *ops;
    struct transport_pool *pool;
    struct link *link;
    SSL *ssl; /* NULL: plain */
    struct loop_watch watch;
    struct loop_timer timer; /* the link's deadline, or the linger's end */
    struct loop_task burst;  /* there is something to do */
    struct gather gather;    /* of what comes in */
    struct transport_buffer *early;   /* input that came before us, or NULL */
    struct transport_buffer *pending; /* output the kernel did not take, or
                                         NULL */
    struct ws ws;
    struct transport_counters counters;
    uint64_t linger_until_ms;
    size_t message_limit; /* payload, message_min..message_max */
    const char *reason;   /* read-only: why it was lost, for people; or NULL */
    int error;            /* read-only: errno with reason, 0: none */
    int fd;
    uint16_t peer_code;  /* read-only: of the peer's close frame; 0: none */
    uint16_t close_code; /* of ours, once nothing else is owed */
    uint8_t phase;
    uint8_t quick_messages;  /* full ones in succession */
    bool readable, writable; /* as far as we know */
    bool hung_up; /* a short read does not mean that nothing follows */
    bool moves;   /* bytes may go through a pipe */
    bool in_burst;
};

/* What every transport wants of its socket (TCP_NODELAY, little unsent in the
 * kernel): before transport_open(), or once for the listener, from which it is
 * inherited. Harmless on a unix socket. */
void transport_prepare(const struct transport_pool *pool, int fd);

/* Start. Takes fd and ssl (handshake done; NULL: plain; SSL_free()d with the
 * transport; modes and descriptor are set here). early: bytes of the WebSocket
 * that the HTTP library had already read and decrypted; they are copied. role:
 * WS_SERVER for the side that accepted. link: in any state, it must outlive the
 * transport. user and ops stay as given. False (errno): fd and ssl are still
 * yours. No operation is called from within. */
bool transport_open(struct transport *transport, struct transport_pool *pool,
                    int fd, SSL *ssl, enum ws_role role, struct link *link,
                    struct span early, const struct transport_ops *ops,
                    void *user);

/* The link was changed from outside (a stream opened, agent_close(), ...): act
 * on it in this turn. Cheap, idempotent; conn_ functions do it by themselves.
 */
void transport_wake(struct transport *transport);

/* Hang up: what the link owes (GoAway) and a close frame with code are sent,
 * for linger_ms at most, then TLS and TCP are closed; the link fails with
 * STATUS_SHUT_DOWN if it has not failed. ended() follows. Harmless twice. */
void transport_close(struct transport *transport, enum ws_close_code code);

/* Hang up at once, with RST and without a word. ended() follows. */
void transport_abort(struct transport *transport);

struct link *transport_link(const struct transport *transport);
uint64_t transport_now_ms(const struct transport *transport);

#endif
