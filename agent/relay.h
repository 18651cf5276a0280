/* relay.h: one stream that the server opened, and the socket that it is for.
 *
 * The first bytes say what for (core/preface.h): Docker, through the policy
 * (agent/gate.h) or, under allow-all, unread; or a forward to a target on the
 * allow-list. Anything else is refused with a reset.
 *
 * Half-close goes through both ways, an abnormal end is a reset (L-03, L-04).
 * A Docker socket that cannot be reached is answered with HTTP 502, which a
 * client shows, instead of an end of file, which it does not.
 */
#ifndef AGENT_RELAY_H
#define AGENT_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/config.h"
#include "agent/gate.h"
#include "agent/resolve.h"
#include "net/transport.h"

struct relay;

struct relay_pool { /* shared by all relays; fields belong to relay.c */
    struct gate_pool gates;
    struct resolver *resolver;
    struct relay *first;
};

/* All pointers outlive the pool; relay_pool_free() once no relay is left. */
void relay_pool_init(struct relay_pool *pool, struct loop *loop,
                     struct spill_pool *spills, struct resolver *resolver,
                     const struct config *config);
void relay_pool_free(struct relay_pool *pool);

/* The agent is about to end: connections that wait for their client's next
 * request end now, others behind the request in progress. For good. */
void relay_pool_drain(struct relay_pool *pool);

/* From transport_ops.offered(): accept the stream, or refuse it if there is no
 * memory. A relay releases itself when its connection has ended. */
void relay_offer(struct relay_pool *pool, struct transport *transport,
                 uint32_t id);

#endif
