/* hub.h: all connected agents: admission, displacement, lookup, drain.
 *
 * At most one session an agent lives, the newest authenticated one (AC-15):
 * admitting a session closes its predecessor, and the newcomer serves only once
 * the old listener is gone. A late death or timer of the old session never
 * touches the new one, for the hub compares objects, not ids.
 *
 * Conventions: as in core/mux.h. The hub holds pointers to agents that you own;
 * an agent's memory may be reused after hub_release(). Every call is O(1) in
 * the number of agents, except where it says otherwise.
 */
#ifndef CORE_HUB_H
#define CORE_HUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/agent.h"

struct hub; /* lives in memory that you provide */

struct hub_config {
    uint32_t agents_max;  /* sessions not yet released, 1..1000000 */
    uint64_t hash_key[2]; /* any secret (D29) */
};

size_t hub_size(const struct hub_config *config);
struct hub *hub_init(void *memory, size_t size,
                     const struct hub_config *config); /* memory zeroed */

/* An authenticated session, fresh from agent_init(). STATUS_OK: the hub knows
 * it; it serves at once or when its predecessor's listener is gone.
 * STATUS_AGENTS_MAX, STATUS_DRAINING: refused, the caller ends it; an old
 * session of the same agent is not touched (O9, O10). */
enum status hub_admit(struct hub *hub, struct agent *agent);

/* After agent_step() or any call that may have moved an agent's state: lets a
 * waiting successor serve and notices CLOSED. */
void hub_step(struct hub *hub, struct agent *agent);

/* The agent is CLOSED: forget it. */
void hub_release(struct hub *hub, struct agent *agent);

/* The one session that is current for this uuid (WAITING, SERVING or
 * DRAINING); NULL: not connected. */
struct agent *hub_find(const struct hub *hub,
                       const uint8_t uuid[AGENT_UUID_SIZE]);

/* Agents that another agent's step has changed (displaced, or let serve), each
 * once: reconcile them. NULL: none. */
struct agent *hub_next_change(struct hub *hub);

/* Every session, in no order; O(1) a step. Start with NULL. The one just
 * returned may be released before the next step, but its memory not yet be
 * reused. NULL: end. */
struct agent *hub_next(const struct hub *hub, const struct agent *previous);

/* Admit no more; every agent drains. O(agents). */
void hub_drain(struct hub *hub, uint64_t now_ms);

uint32_t hub_count(const struct hub *hub); /* current sessions */
uint32_t hub_held(const struct hub *hub);  /* not yet released */
bool hub_draining(const struct hub *hub);
void hub_invariant(const struct hub *hub);

#endif
