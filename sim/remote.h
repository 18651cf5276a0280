/* remote.h: an agent's process, of any kind (enum remote_kind).
 *
 * Each kind is one remote_ops. An agent dials ADDRESS_SERVER, sends the upgrade
 * (below), then speaks yamux over WebSocket; it dials again after a loss, with
 * back-off. Whatever the kind, an agent must be honest about bytes: what it
 * relays between a stream and its engine is not changed. A hostile one breaks
 * the protocol towards the server, never the sim's own rules.
 *
 * The upgrade is an HTTP head that stands for RFC 6455's handshake:
 *   "GET /api/v1/orthrus/connect HTTP/1.1\r\nAuthorization: Bearer KEY\r\n\r\n"
 * answered with "HTTP/1.1 101 S\r\n\r\n", or with "HTTP/1.1 401 U\r\n\r\n" (or
 * 503, when there is no room) and FIN; after 101 come RFC 6455 frames.
 */
#ifndef SIM_REMOTE_H
#define SIM_REMOTE_H

#include "sim/world.h"

#define REMOTE_PATH "/api/v1/orthrus/connect"

struct remote_ops {
    /* site->agent_process was just started. Memory: process_alloc() of it, or
     * sim_alloc(). key: copied by the caller, valid for the remote's life. */
    struct remote *(*start)(struct site *site, const char *key);
    void (*stop)(struct remote *remote); /* orderly: finish, go away, exit */
    /* The process was killed: drop every object, touch no socket. */
    void (*forget)(struct remote *remote);
    /* After every step, cheap; NULL: nothing. */
    void (*check)(struct remote *remote);
    /* Healed world: nothing but an idle link may be left; fails if more is. */
    void (*expect_idle)(struct remote *remote);
    bool may_break; /* clients may see errors even in a healed world */
};

const struct remote_ops *remote_ops(enum remote_kind kind);
extern const struct remote_ops remote_own, remote_own_all; /* sim/own.c */
extern const struct remote_ops remote_naive;               /* sim/naive.c */
extern const struct remote_ops remote_go, remote_go_raw;   /* sim/go.c */
extern const struct remote_ops remote_hostile;             /* sim/hostile.c */

#endif
