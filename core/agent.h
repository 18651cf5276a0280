/* agent.h: one connected agent as the server sees it.
 *
 * An agent object owns the link (core/link.h) of one session and decides about
 * its loopback proxy: the listener on 127.0.0.1 whose connections become the
 * link's streams. The life of a session is a table of five states; what the
 * outside has to do is asked for with agent_wants().
 *
 *   WAITING   transport up; an older session of this agent still has a listener
 *   SERVING   accepting connections
 *   DRAINING  live connections finish; the listener stays, so that who comes
 *             now is told why (agent_open() refuses, T33)
 *   CLOSING   everything is being let go: listener first, then the streams,
 *             then the transport (AC-05)
 *   CLOSED    inert; the memory may be reused
 *
 * Conventions: as in core/mux.h. Use agent_link() for bytes and connections,
 * and call agent_step() after any burst of such calls: it moves the state on.
 */
#ifndef CORE_AGENT_H
#define CORE_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/link.h"

#define AGENT_UUID_SIZE 16u
#define AGENT_ADDRESS_SIZE 24u /* "127.0.0.1:65535" and its NUL, with room */

struct agent; /* lives in memory that you provide */

struct agent_config {
    struct link_config link;
    uint64_t drain_timeout_ms;     /* DRAINING at most this long; default 30000,
                                      at most UINT32_MAX */
    uint8_t uuid[AGENT_UUID_SIZE]; /* who it authenticated as */
    void *user;                    /* the adapter's object */
};

enum agent_state {
    AGENT_WAITING,
    AGENT_SERVING,
    AGENT_DRAINING,
    AGENT_CLOSING,
    AGENT_CLOSED
};

/* Role server, preface 0x01, no inbound streams (X16), shipped limits. */
void agent_config_default(struct agent_config *config);
size_t agent_size(const struct agent_config *config);

/* memory as for link_init(). State WAITING until the hub lets it serve. */
struct agent *agent_init(void *memory, size_t size,
                         const struct agent_config *config, uint64_t now_ms);

struct link *agent_link(struct agent *agent);
void *agent_user(const struct agent *agent);
const uint8_t *agent_uuid(const struct agent *agent); /* AGENT_UUID_SIZE */
enum agent_state agent_state(const struct agent *agent);
const char *agent_state_name(enum agent_state state); /* "serving" */

/* The table of moves: every other one breaks the contract. */
bool agent_move_allowed(enum agent_state from, enum agent_state to);

/* ---- listener ------------------------------------------------------------ */

/* May the loopback proxy be started now? Not while WAITING.
 * STATUS_OK: it is now starting, bind 127.0.0.1 and report agent_listening() or
 * agent_listen_failed(). STATUS_PROXY_STARTED (AC-03): it was started before,
 * nothing changed. STATUS_SESSION_CLOSED (AC-04), STATUS_DRAINING: not any
 * more, nothing changed. */
enum status agent_listen(struct agent *agent);

/* The listener is bound to 127.0.0.1:port (not 0). False: the session closed or
 * began to drain in the meantime (AC-04), close the listener at once and forget
 * it; the address stays "" and agent_unlistened() is not called. */
bool agent_listening(struct agent *agent, uint16_t port);

/* It could not be bound: the session goes on without (AC-13), not retried. */
void agent_listen_failed(struct agent *agent);

/* The listener socket is closed, because AGENT_WANTS_UNLISTEN said so or by
 * itself (then it is not started again); the port is free. */
void agent_unlistened(struct agent *agent);

/* Is the listener starting or live, so that a successor has to wait? */
bool agent_holds_listener(const struct agent *agent);

uint16_t agent_port(const struct agent *agent); /* 0: not live */

/* "127.0.0.1:N" while the proxy is live, "" before and after (AC-02). */
void agent_address(const struct agent *agent, char address[AGENT_ADDRESS_SIZE]);

/* A TCP connection came in (not while WAITING); statuses as link_open(), and
 * STATUS_SESSION_CLOSED or STATUS_DRAINING by state. Not STATUS_OK: end it with
 * an error that its client can see (AC-07). */
enum status agent_open(struct agent *agent, uint64_t now_ms, void *user,
                       uint32_t *conn);

/* ---- life ---------------------------------------------------------------- */

/* The hub's word: no older session holds a listener; WAITING to SERVING. */
void agent_serve(struct agent *agent);

/* Finish what is open, take nothing new; CLOSING after the last connection, and
 * what is left to send for it, or drain_timeout_ms. Harmless when draining,
 * closing or closed. */
void agent_drain(struct agent *agent, uint64_t now_ms);

/* End the session now. status: STATUS_DISPLACED, STATUS_REVOKED,
 * STATUS_SHUT_DOWN, or STATUS_TRANSPORT_LOST when the socket is gone. From now
 * on no connection is taken; the streams die as soon as no listener is live,
 * which is at once or in agent_unlistened() (AC-05). Harmless when closing or
 * closed. */
void agent_close(struct agent *agent, enum status status);

/* The transport (WebSocket, TLS, TCP) is closed and its descriptor gone;
 * STATUS_TRANSPORT_LOST if nothing else ended the session before. */
void agent_hung_up(struct agent *agent);

/* Move the state on as the link says: failure to CLOSING, go-away of the peer
 * to DRAINING, nothing left to CLOSED. Call after each burst. */
void agent_step(struct agent *agent, uint64_t now_ms);

/* Timers of agent and link; runs agent_step(). */
void agent_tick(struct agent *agent, uint64_t now_ms);
uint64_t agent_deadline(const struct agent *agent); /* UINT64_MAX: none */

enum agent_wants {
    AGENT_WANTS_LISTENER = 1, /* agent_listen() would give STATUS_OK */
    AGENT_WANTS_UNLISTEN = 2, /* close the listener, then agent_unlistened() */
    AGENT_WANTS_OUTPUT = 4,   /* the link has bytes for the transport */
    AGENT_WANTS_CHANGES = 8,  /* link_next_change() has something */
    AGENT_WANTS_HANGUP = 16   /* close the transport, then agent_hung_up();
                                 connections may still be flushed and closed */
};
unsigned agent_wants(const struct agent *agent);
enum status agent_status(const struct agent *agent); /* why it closes; sticky */
void agent_invariant(const struct agent *agent);

/* ---- for core/hub.c alone ------------------------------------------------ */

/* What the hub remembers of an agent. Zeroed by agent_init(). */
struct agent_hook {
    struct agent *same_hash; /* next in the chain */
    struct agent *next_change, *previous_change;
    uint32_t place; /* in the hub's order */
    bool is_hashed, is_changed, is_counted;
};
struct agent_hook *agent_hook(struct agent *agent);
uint32_t agent_place(const struct agent *agent); /* of its hook */

#endif
