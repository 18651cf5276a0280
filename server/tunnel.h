/* tunnel.h: every connected agent: its transport, its loopback listener, its
 * connections; what the rest of the server may ask about them and do to them.
 *
 * An agent is named by its uuid, 16 bytes (core/agent.h). At most one session
 * an agent is current (AC-15); displaced or ending ones are not visible here.
 * "Online" is memory, never a stored column (H-03): an agent is online exactly
 * while tunnel_find() finds it.
 *
 * Everything runs on the loop's one thread. Views are copies: they stay valid
 * and do not follow later changes.
 */
#ifndef SERVER_TUNNEL_H
#define SERVER_TUNNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "core/agent.h"
#include "core/span.h"
#include "core/status.h"

struct config;
struct loop;
struct store;
struct tunnel;

#define TUNNEL_REMOTE_SIZE 64u /* "[IPv6]:port" and its NUL */

/* One row of core/status.h's table each. */
#define TUNNEL_PLUS_ONE(name, class, go_away, text) +1
enum { TUNNEL_STATUSES = 0 STATUS_TABLE(TUNNEL_PLUS_ONE) };

/* ---- life ---------------------------------------------------------------- */

/* All borrowed, all outlive the tunnel. Reads the ports in quarantine from the
 * store (L-10). NULL: no memory, or the store failed (store_error()). */
struct tunnel *tunnel_create(const struct config *config, struct loop *loop,
                             struct store *store);
/* Every session has ended (tunnel_end(), drained()). */
void tunnel_destroy(struct tunnel *tunnel);

/* Would a new session be taken? STATUS_OK, STATUS_DRAINING or
 * STATUS_AGENTS_MAX. To be asked before the upgrade is granted. */
enum status tunnel_may_admit(const struct tunnel *tunnel);

struct tunnel_arrival {
    uint8_t uuid[AGENT_UUID_SIZE];   /* who its key says it is */
    const char *name;                /* of the agent, for logs */
    bool write_enabled;              /* what the 101 said */
    char remote[TUNNEL_REMOTE_SIZE]; /* who dialled in */
    int fd;                          /* connected, 101 sent */
    SSL *ssl;                        /* handshake done; NULL: plain */
    struct span early; /* bytes of the WebSocket that came with the request */
};

/* A new session, which displaces the agent's present one (AC-13, AC-15). fd
 * and ssl are the tunnel's whatever is returned, the rest is copied. Not
 * STATUS_OK: refused, as tunnel_may_admit() says, or STATUS_TRANSPORT_LOST (no
 * memory or descriptor); the connection is closed. */
enum status tunnel_admit(struct tunnel *tunnel,
                         const struct tunnel_arrival *arrival);

/* What a tunnel wants of its socket: for the listener from which sockets
 * inherit it. */
void tunnel_prepare(const struct tunnel *tunnel, int fd);

/* No new agents, no new connections; sessions end as their connections do, or
 * after the configured drain time (L-06). drained() is called once, from the
 * loop, when no session is left; the tunnel may be destroyed in it. */
void tunnel_drain(struct tunnel *tunnel, void (*drained)(void *user),
                  void *user);

/* Cut the drain short: reset every connection, close 1001 (OP P5, step 5). */
void tunnel_end(struct tunnel *tunnel);

/* ---- one agent ----------------------------------------------------------- */

struct tunnel_view {
    uint8_t uuid[AGENT_UUID_SIZE];
    uint64_t session; /* number of this session, 1.. since the start; logs and
                         API name it alike */
    enum agent_state state;           /* WAITING, SERVING or DRAINING */
    char address[AGENT_ADDRESS_SIZE]; /* loopback proxy, "127.0.0.1:N"; "" while
                                         it is not live (AC-02) */
    char remote[TUNNEL_REMOTE_SIZE];  /* who dialled in, "192.0.2.1:4711" */
    int64_t since_ms;                 /* connected at, Unix time */
    bool write_enabled;               /* as its upgrade was answered */
    uint32_t connections;             /* open TCP connections */
    uint64_t connections_opened;      /* of this session so far */
    uint64_t connections_refused;
    uint64_t bytes_to_agent; /* yamux payload */
    uint64_t bytes_from_agent;
    uint64_t rtt_ms; /* last ping; UINT64_MAX: none answered yet */
};

/* False: not connected, *view is unchanged (AC-11). */
bool tunnel_find(const struct tunnel *tunnel,
                 const uint8_t uuid[AGENT_UUID_SIZE], struct tunnel_view *view);

/* Every current session, in no order. Start with *cursor NULL; nothing of the
 * tunnel may be changed between two calls. False: end. */
bool tunnel_next(const struct tunnel *tunnel, const void **cursor,
                 struct tunnel_view *view);

/* End the agent's current session: listener, connections (RST), then the
 * WebSocket with close 1008 (H-02, X5). status: STATUS_REVOKED for revoke and
 * delete. False: it was not connected. */
bool tunnel_disconnect(struct tunnel *tunnel,
                       const uint8_t uuid[AGENT_UUID_SIZE], enum status status);

/* How often that was called: whoever authenticated before the latest call and
 * is still in its upgrade must be looked at again. */
uint64_t tunnel_disconnects(const struct tunnel *tunnel);

/* ---- all of them --------------------------------------------------------- */

/* Counters only grow; the first group is a snapshot. */
struct tunnel_totals {
    uint32_t sessions;
    uint32_t connections;
    uint32_t listeners;
    uint64_t spilled_bytes; /* waiting for slow clients now */
    uint64_t window_growth; /* bytes that agents may send further ahead now */

    uint64_t sessions_opened;
    uint64_t sessions_refused[TUNNEL_STATUSES]; /* by hub_admit()'s status */
    uint64_t sessions_ended[TUNNEL_STATUSES];   /* by agent_status() */
    uint64_t connections_opened;
    uint64_t
        connections_refused[TUNNEL_STATUSES]; /* by agent_open()'s status */
    uint64_t connections_reset; /* ended by RST towards the client (L-04) */
    uint64_t accepts_shed;      /* closed at once: out of descriptors (X17) */
    uint64_t listens_failed;    /* AC-13 */
    uint64_t bytes_to_agents;   /* yamux payload, ended sessions included */
    uint64_t bytes_from_agents;
};
void tunnel_totals(const struct tunnel *tunnel, struct tunnel_totals *totals);

/* SIGTERM came: no new agents, no new connections (L-06); readyz is 503. */
bool tunnel_draining(const struct tunnel *tunnel);

#endif
