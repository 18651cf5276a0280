/* IMPLEMENTATION NOTES
 *
 * Agents are the caller's, and so is the room for the hub's links (struct
 * agent_hook): the hub itself is two arrays of pointers.
 *
 *   buckets   chains by the keyed hash of the uuid, of the sessions that matter
 *             for their uuid: current ones and those that hold a listener. Of
 *             one uuid that is at most one of each, and they may be the same.
 *   order     every session that is not released, without gaps: the last one
 *             fills the place of one that goes. NULL behind them.
 *
 * Who is current is not remembered but read from the agents' states: before
 * CLOSING. The old session is closed before a new one enters the chain, so two
 * cannot be current. A waiting one serves as soon as its chain has no other
 * session of the uuid with a listener: that holds for a predecessor, for a
 * predecessor's predecessor, and for a session that died by itself and left its
 * listener behind.
 */
#include "core/hub.h"

#include <stdalign.h>
#include <string.h>

#include "core/contract.h"
#include "core/siphash.h"

#define AGENTS_MAX 1000000u

struct hub {
    struct hub_config config;
    struct agent **buckets;
    uint32_t buckets_count; /* a power of two, >= agents_max */
    struct agent **order;
    uint32_t held;
    uint32_t current; /* of them, as last seen by refresh() */
    struct agent *first_change, *last_change;
    bool draining;
};

static bool is_current(const struct agent *agent)
{
    return agent_state(agent) < AGENT_CLOSING;
}

/* ---- chains -------------------------------------------------------------- */

static struct agent **bucket_of(const struct hub *hub, const uint8_t *uuid)
{
    uint64_t hash = siphash(hub->config.hash_key, uuid, AGENT_UUID_SIZE);

    return &hub->buckets[hash & (hub->buckets_count - 1)];
}

static bool has_uuid(const struct agent *agent, const uint8_t *uuid)
{
    return memcmp(agent_uuid(agent), uuid, AGENT_UUID_SIZE) == 0;
}

static void enter_chain(struct hub *hub, struct agent *agent)
{
    struct agent **bucket = bucket_of(hub, agent_uuid(agent));

    agent_hook(agent)->same_hash = *bucket;
    agent_hook(agent)->is_hashed = true;
    *bucket = agent;
}

static void leave_chain(struct hub *hub, struct agent *agent)
{
    struct agent **link = bucket_of(hub, agent_uuid(agent));

    while (*link != agent) {
        link = &agent_hook(*link)->same_hash;
    }
    *link = agent_hook(agent)->same_hash;
    agent_hook(agent)->is_hashed = false;
}

struct agent *hub_find(const struct hub *hub,
                       const uint8_t uuid[AGENT_UUID_SIZE])
{
    struct agent *agent = *bucket_of(hub, uuid);

    while (agent != NULL && !(has_uuid(agent, uuid) && is_current(agent))) {
        agent = agent_hook(agent)->same_hash;
    }
    return agent;
}

/* Does any session of this uuid have a listener? */
static bool listener_exists(const struct hub *hub, const uint8_t *uuid)
{
    struct agent *agent = *bucket_of(hub, uuid);

    while (agent != NULL &&
           !(has_uuid(agent, uuid) && agent_holds_listener(agent))) {
        agent = agent_hook(agent)->same_hash;
    }
    return agent != NULL;
}

/* ---- changes ------------------------------------------------------------- */

static void mark_changed(struct hub *hub, struct agent *agent)
{
    struct agent_hook *hook = agent_hook(agent);

    if (hook->is_changed) {
        return;
    }
    hook->is_changed = true;
    hook->next_change = NULL;
    hook->previous_change = hub->last_change;
    if (hub->last_change == NULL) {
        hub->first_change = agent;
    } else {
        agent_hook(hub->last_change)->next_change = agent;
    }
    hub->last_change = agent;
}

static void unmark_changed(struct hub *hub, struct agent *agent)
{
    struct agent_hook *hook = agent_hook(agent);

    if (hook->previous_change == NULL) {
        hub->first_change = hook->next_change;
    } else {
        agent_hook(hook->previous_change)->next_change = hook->next_change;
    }
    if (hook->next_change == NULL) {
        hub->last_change = hook->previous_change;
    } else {
        agent_hook(hook->next_change)->previous_change = hook->previous_change;
    }
    hook->is_changed = false;
}

struct agent *hub_next_change(struct hub *hub)
{
    struct agent *agent = hub->first_change;

    if (agent != NULL) {
        unmark_changed(hub, agent);
    }
    return agent;
}

/* ---- admission ----------------------------------------------------------- */

/* See what an agent's state means for the others. */
static void refresh(struct hub *hub, struct agent *agent)
{
    struct agent_hook *hook = agent_hook(agent);

    if (agent_state(agent) == AGENT_SERVING ||
        agent_state(agent) == AGENT_DRAINING) {
        return; /* the usual case: nobody waits for a session that goes on */
    }
    if (hook->is_counted && !is_current(agent)) {
        hook->is_counted = false;
        hub->current--;
    }
    if (hook->is_hashed && !is_current(agent) && !agent_holds_listener(agent)) {
        leave_chain(hub, agent);
    }
    struct agent *waiting = hub_find(hub, agent_uuid(agent));
    if (waiting != NULL && agent_state(waiting) == AGENT_WAITING &&
        !listener_exists(hub, agent_uuid(agent))) {
        agent_serve(waiting);
        if (waiting != agent) {
            mark_changed(hub, waiting);
        }
    }
}

enum status hub_admit(struct hub *hub, struct agent *agent)
{
    struct agent_hook *hook = agent_hook(agent);

    REQUIRE(agent_state(agent) == AGENT_WAITING);
    REQUIRE(hub->order[agent_place(agent)] != agent);
    if (hub->draining) {
        return STATUS_DRAINING;
    }
    if (hub->held == hub->config.agents_max) {
        return STATUS_AGENTS_MAX;
    }
    struct agent *old = hub_find(hub, agent_uuid(agent));
    if (old != NULL) {
        agent_close(old, STATUS_DISPLACED);
        refresh(hub, old);
        mark_changed(hub, old);
    }
    hook->place = hub->held++;
    hub->order[hook->place] = agent;
    hook->is_counted = true;
    hub->current++;
    enter_chain(hub, agent);
    refresh(hub, agent);
    INVARIANT_ALL(hub_invariant(hub));
    return STATUS_OK;
}

void hub_step(struct hub *hub, struct agent *agent)
{
    REQUIRE(hub->order[agent_place(agent)] == agent);
    refresh(hub, agent);
    INVARIANT_ALL(hub_invariant(hub));
}

void hub_release(struct hub *hub, struct agent *agent)
{
    struct agent_hook *hook = agent_hook(agent);

    REQUIRE(agent_state(agent) == AGENT_CLOSED);
    REQUIRE(hub->order[agent_place(agent)] == agent);
    refresh(hub, agent);
    if (hook->is_changed) {
        unmark_changed(hub, agent);
    }
    struct agent *last = hub->order[--hub->held];
    hub->order[hook->place] = last;
    agent_hook(last)->place = hook->place;
    hub->order[hub->held] = NULL;
    INVARIANT_ALL(hub_invariant(hub));
}

struct agent *hub_next(const struct hub *hub, const struct agent *previous)
{
    /* from the last place down: a release moves one that was already shown */
    uint32_t place = previous == NULL ? hub->held : agent_place(previous);

    return place == 0 ? NULL : hub->order[place - 1];
}

void hub_drain(struct hub *hub, uint64_t now_ms)
{
    hub->draining = true;
    for (uint32_t place = 0; place < hub->held; place++) {
        struct agent *agent = hub->order[place];
        agent_drain(agent, now_ms);
        mark_changed(hub, agent);
    }
    INVARIANT_ALL(hub_invariant(hub));
}

/* ---- questions ----------------------------------------------------------- */

uint32_t hub_count(const struct hub *hub)
{
    return hub->current;
}

uint32_t hub_held(const struct hub *hub)
{
    return hub->held;
}

bool hub_draining(const struct hub *hub)
{
    return hub->draining;
}

/* ---- beginning ----------------------------------------------------------- */

static size_t header_size(void)
{
    return (sizeof(struct hub) + alignof(max_align_t) - 1) /
           alignof(max_align_t) * alignof(max_align_t);
}

static uint32_t buckets_for(uint32_t agents_max)
{
    uint32_t count = 1;

    while (count < agents_max) {
        count *= 2;
    }
    return count;
}

size_t hub_size(const struct hub_config *config)
{
    REQUIRE(config->agents_max > 0 && config->agents_max <= AGENTS_MAX);
    return header_size() +
           ((size_t)buckets_for(config->agents_max) + config->agents_max) *
               sizeof(struct agent *);
}

struct hub *hub_init(void *memory, size_t size, const struct hub_config *config)
{
    struct hub *hub = memory;

    REQUIRE((uintptr_t)memory % alignof(max_align_t) == 0);
    REQUIRE(size >= hub_size(config));
    hub->config = *config;
    hub->buckets_count = buckets_for(config->agents_max);
    hub->buckets = (struct agent **)(void *)((uint8_t *)memory + header_size());
    hub->order = hub->buckets + hub->buckets_count;
    return hub;
}

/* ---- invariant ----------------------------------------------------------- */

static void check_chain(const struct hub *hub, const struct agent *agent)
{
    uint32_t found = 0;
    uint32_t current = 0;
    uint32_t listeners = 0;

    for (struct agent *other = *bucket_of(hub, agent_uuid(agent));
         other != NULL; other = agent_hook(other)->same_hash) {
        INVARIANT(agent_hook(other)->is_hashed);
        INVARIANT(hub->order[agent_place(other)] == other);
        found += other == agent ? 1 : 0;
        if (has_uuid(other, agent_uuid(agent))) {
            current += is_current(other) ? 1 : 0;
            listeners += agent_holds_listener(other) ? 1 : 0;
        }
    }
    INVARIANT(found <= 1);
    INVARIANT(found == 1 || !is_current(agent)); /* AC-15 */
    INVARIANT(found == 1 || !agent_holds_listener(agent));
    INVARIANT(current <= 1);
    INVARIANT(listeners <= 1); /* I9 */
}

void hub_invariant(const struct hub *hub)
{
    uint32_t counted = 0;
    uint32_t changed = 0;
    uint32_t listed = 0;
    const struct agent *previous = NULL;

    INVARIANT(hub->held <= hub->config.agents_max);
    for (uint32_t place = 0; place < hub->held; place++) {
        struct agent *agent = hub->order[place];
        const struct agent_hook *hook = agent_hook(agent);
        INVARIANT(hook->place == place);
        INVARIANT(hook->is_counted || !is_current(agent));
        counted += hook->is_counted ? 1 : 0;
        changed += hook->is_changed ? 1 : 0;
        check_chain(hub, agent);
    }
    INVARIANT(counted == hub->current);
    for (struct agent *agent = hub->first_change; agent != NULL;
         agent = agent_hook(agent)->next_change) {
        INVARIANT(agent_hook(agent)->is_changed);
        INVARIANT(hub->order[agent_place(agent)] == agent);
        INVARIANT(agent_hook(agent)->previous_change == previous);
        INVARIANT(listed < hub->held);
        previous = agent;
        listed++;
    }
    INVARIANT(hub->last_change == previous);
    INVARIANT(listed == changed);
}
