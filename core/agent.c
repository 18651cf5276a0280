/* IMPLEMENTATION NOTES
 *
 * Everything that ends a session goes through CLOSING, and CLOSING lets go in a
 * fixed order (AC-05): while a listener is live it wants only that closed; then
 * the link fails, which ends all streams in one step; then the transport is
 * hung up. CLOSED follows when listener, transport and all connections are
 * gone, in whatever order the last two go. settle() draws these conclusions
 * after each change; it needs no clock. agent_step() adds what does: what the
 * link has met, and the drain's deadline.
 */
#include "core/agent.h"

#include <stdalign.h>
#include <string.h>

#include "core/contract.h"

enum listener {
    LISTENER_NONE,     /* never started */
    LISTENER_STARTING, /* agent_listen() said STATUS_OK */
    LISTENER_LIVE,
    LISTENER_GONE /* failed or closed; not started again */
};

struct agent {
    struct agent_config config;
    struct link *link;
    struct agent_hook hook;
    enum agent_state state;
    enum status status;       /* why it closes; STATUS_OK before */
    enum status drain_status; /* what status will be when it has drained */
    uint64_t drain_until_ms;
    enum listener listener;
    uint16_t port; /* of LISTENER_LIVE, else 0 */
    bool has_transport;
};

/* ---- states -------------------------------------------------------------- */

#define TO(state) (1u << AGENT_##state)

static const struct {
    const char *name;
    unsigned allowed;
} states[] = {
    [AGENT_WAITING] = {"waiting", TO(SERVING) | TO(DRAINING) | TO(CLOSING)},
    [AGENT_SERVING] = {"serving", TO(DRAINING) | TO(CLOSING)},
    [AGENT_DRAINING] = {"draining", TO(CLOSING)},
    [AGENT_CLOSING] = {"closing", TO(CLOSED)},
    [AGENT_CLOSED] = {"closed", 0},
};

const char *agent_state_name(enum agent_state state)
{
    REQUIRE((size_t)state < sizeof states / sizeof *states);
    return states[state].name;
}

bool agent_move_allowed(enum agent_state from, enum agent_state to)
{
    REQUIRE((size_t)from < sizeof states / sizeof *states);
    REQUIRE((size_t)to < sizeof states / sizeof *states);
    return (states[from].allowed & 1u << to) != 0;
}

static void agent_move(struct agent *agent, enum agent_state to)
{
    REQUIRE(agent_move_allowed(agent->state, to));
    agent->state = to;
    agent_invariant(agent);
}

/* ---- conclusions --------------------------------------------------------- */

static void close_with(struct agent *agent, enum status status)
{
    agent->status = status;
    agent_move(agent, AGENT_CLOSING);
}

static void settle(struct agent *agent)
{
    if (agent->state == AGENT_CLOSING && agent->listener != LISTENER_LIVE) {
        link_fail(agent->link, agent->status);
    }
    if (agent->state == AGENT_CLOSING && !agent->has_transport &&
        !agent_holds_listener(agent) && link_conn_count(agent->link) == 0) {
        agent_move(agent, AGENT_CLOSED);
    }
    INVARIANT_ALL(agent_invariant(agent));
}

static void drain(struct agent *agent, uint64_t now_ms, enum status status)
{
    link_go_away(agent->link, false);
    agent->drain_status = status;
    agent->drain_until_ms = now_ms + agent->config.drain_timeout_ms;
    agent_move(agent, AGENT_DRAINING);
}

/* Nothing is open, and the last FIN is out. */
static bool is_drained(const struct agent *agent)
{
    return link_conn_count(agent->link) == 0 &&
           (link_wants(agent->link) & LINK_WANTS_OUTPUT) == 0;
}

/* Its stream ids run out, and just now nobody uses it: the agent comes back
 * with a fresh session (D10). */
static bool must_be_replaced(const struct agent *agent)
{
    return (link_wants(agent->link) & LINK_IDS_ARE_LOW) != 0 &&
           link_conn_count(agent->link) == 0;
}

void agent_step(struct agent *agent, uint64_t now_ms)
{
    enum status failure = link_status(agent->link);

    if (agent->state < AGENT_CLOSING && failure != STATUS_OK) {
        close_with(agent, failure);
    }
    if (agent->state < AGENT_DRAINING && link_peer_going_away(agent->link)) {
        drain(agent, now_ms, STATUS_PEER_LEFT);
    }
    if (agent->state == AGENT_SERVING && must_be_replaced(agent)) {
        drain(agent, now_ms, STATUS_SHUT_DOWN);
    }
    if (agent->state == AGENT_DRAINING &&
        (is_drained(agent) || now_ms >= agent->drain_until_ms)) {
        close_with(agent, agent->drain_status);
    }
    settle(agent);
}

/* ---- listener ------------------------------------------------------------ */

enum status agent_listen(struct agent *agent)
{
    REQUIRE(agent->state != AGENT_WAITING);
    if (agent->state >= AGENT_CLOSING) {
        return STATUS_SESSION_CLOSED;
    }
    if (agent->state == AGENT_DRAINING) {
        return STATUS_DRAINING;
    }
    if (agent->listener != LISTENER_NONE) {
        return STATUS_PROXY_STARTED;
    }
    agent->listener = LISTENER_STARTING;
    INVARIANT_ALL(agent_invariant(agent));
    return STATUS_OK;
}

bool agent_listening(struct agent *agent, uint16_t port)
{
    REQUIRE(agent->listener == LISTENER_STARTING);
    REQUIRE(port != 0);
    bool in_time = agent->state == AGENT_SERVING;
    agent->listener = in_time ? LISTENER_LIVE : LISTENER_GONE;
    agent->port = in_time ? port : 0;
    settle(agent);
    return in_time;
}

void agent_listen_failed(struct agent *agent)
{
    REQUIRE(agent->listener == LISTENER_STARTING);
    agent->listener = LISTENER_GONE;
    settle(agent);
}

void agent_unlistened(struct agent *agent)
{
    REQUIRE(agent->listener == LISTENER_LIVE);
    agent->listener = LISTENER_GONE;
    agent->port = 0;
    settle(agent);
}

bool agent_holds_listener(const struct agent *agent)
{
    return agent->listener == LISTENER_STARTING ||
           agent->listener == LISTENER_LIVE;
}

uint16_t agent_port(const struct agent *agent)
{
    return agent->port;
}

void agent_address(const struct agent *agent, char address[AGENT_ADDRESS_SIZE])
{
    static const char host[] = "127.0.0.1:";
    uint16_t port = agent->port;
    char digits[5];
    size_t count = 0;

    if (port == 0) {
        *address = '\0';
        return;
    }
    memcpy(address, host, sizeof host - 1);
    address += sizeof host - 1;
    while (port > 0) {
        digits[count++] = (char)('0' + port % 10);
        port = (uint16_t)(port / 10);
    }
    while (count > 0) {
        *address++ = digits[--count];
    }
    *address = '\0';
}

enum status agent_open(struct agent *agent, uint64_t now_ms, void *user,
                       uint32_t *conn)
{
    REQUIRE(agent->state != AGENT_WAITING);
    if (agent->state >= AGENT_CLOSING) {
        return STATUS_SESSION_CLOSED;
    }
    if (agent->state == AGENT_DRAINING) {
        return STATUS_DRAINING;
    }
    enum status status = link_open(agent->link, now_ms, user, conn);
    INVARIANT_ALL(agent_invariant(agent));
    return status;
}

/* ---- life ---------------------------------------------------------------- */

void agent_serve(struct agent *agent)
{
    agent_move(agent, AGENT_SERVING);
}

void agent_drain(struct agent *agent, uint64_t now_ms)
{
    if (agent->state < AGENT_DRAINING) {
        drain(agent, now_ms, STATUS_SHUT_DOWN);
    }
}

void agent_close(struct agent *agent, enum status status)
{
    REQUIRE(status_class(status) == STATUS_CLASS_SESSION);
    if (agent->state < AGENT_CLOSING) {
        close_with(agent, status);
    }
    settle(agent);
}

void agent_hung_up(struct agent *agent)
{
    agent->has_transport = false;
    agent_close(agent, STATUS_TRANSPORT_LOST);
}

void agent_tick(struct agent *agent, uint64_t now_ms)
{
    link_tick(agent->link, now_ms);
    agent_step(agent, now_ms);
}

uint64_t agent_deadline(const struct agent *agent)
{
    uint64_t deadline_ms = link_deadline(agent->link);

    if (agent->state == AGENT_DRAINING && agent->drain_until_ms < deadline_ms) {
        return agent->drain_until_ms;
    }
    return deadline_ms;
}

/* ---- questions ----------------------------------------------------------- */

unsigned agent_wants(const struct agent *agent)
{
    unsigned link = link_wants(agent->link);
    unsigned wants = 0;

    if (agent->state == AGENT_SERVING && agent->listener == LISTENER_NONE) {
        wants |= AGENT_WANTS_LISTENER;
    }
    if (agent->state > AGENT_DRAINING && agent->listener == LISTENER_LIVE) {
        wants |= AGENT_WANTS_UNLISTEN;
    }
    if (agent->has_transport && (link & LINK_WANTS_OUTPUT) != 0) {
        wants |= AGENT_WANTS_OUTPUT;
    }
    if ((link & LINK_HAS_CHANGES) != 0) {
        wants |= AGENT_WANTS_CHANGES;
    }
    if (agent->state == AGENT_CLOSING && agent->has_transport &&
        !agent_holds_listener(agent) && (link & LINK_IS_OVER) != 0) {
        wants |= AGENT_WANTS_HANGUP;
    }
    return wants;
}

struct link *agent_link(struct agent *agent)
{
    return agent->link;
}

void *agent_user(const struct agent *agent)
{
    return agent->config.user;
}

const uint8_t *agent_uuid(const struct agent *agent)
{
    return agent->config.uuid;
}

enum agent_state agent_state(const struct agent *agent)
{
    return agent->state;
}

enum status agent_status(const struct agent *agent)
{
    return agent->status;
}

struct agent_hook *agent_hook(struct agent *agent)
{
    return &agent->hook;
}

uint32_t agent_place(const struct agent *agent)
{
    return agent->hook.place;
}

/* ---- beginning ----------------------------------------------------------- */

void agent_config_default(struct agent_config *config)
{
    *config = (struct agent_config){.drain_timeout_ms = 30000};
    link_config_default(&config->link, MUX_SERVER);
    config->link.mux.inbound_max = 0;  /* X16: agents open no streams, */
    config->link.mux.refused_max = 10; /* and those that insist are cut off */
    config->link.mux.preface[0] = 0x01;
    config->link.mux.preface_length = 1;
}

static size_t link_offset(void)
{
    return (sizeof(struct agent) + alignof(max_align_t) - 1) /
           alignof(max_align_t) * alignof(max_align_t);
}

size_t agent_size(const struct agent_config *config)
{
    return link_offset() + link_size(&config->link);
}

struct agent *agent_init(void *memory, size_t size,
                         const struct agent_config *config, uint64_t now_ms)
{
    struct agent *agent = memory;

    REQUIRE((uintptr_t)memory % alignof(max_align_t) == 0);
    REQUIRE(size >= agent_size(config));
    REQUIRE(config->drain_timeout_ms <= UINT32_MAX);
    agent->config = *config;
    agent->hook = (struct agent_hook){0};
    agent->state = AGENT_WAITING;
    agent->status = agent->drain_status = STATUS_OK;
    agent->listener = LISTENER_NONE;
    agent->has_transport = true;
    agent->link = link_init((uint8_t *)memory + link_offset(),
                            size - link_offset(), &config->link, now_ms);
    return agent;
}

void agent_invariant(const struct agent *agent)
{
    INVARIANT((size_t)agent->state < sizeof states / sizeof *states);
    INVARIANT((agent->port != 0) == (agent->listener == LISTENER_LIVE));
    INVARIANT((agent->status == STATUS_OK) == (agent->state < AGENT_CLOSING));
    INVARIANT(agent->has_transport || agent->state >= AGENT_CLOSING);
    if (agent->state == AGENT_WAITING) { /* I9 */
        INVARIANT(agent->listener == LISTENER_NONE);
        INVARIANT(link_conn_count(agent->link) == 0);
    }
    if (agent->state == AGENT_CLOSED) { /* I10 */
        INVARIANT(!agent->has_transport && !agent_holds_listener(agent));
        INVARIANT(link_conn_count(agent->link) == 0);
        INVARIANT(link_status(agent->link) != STATUS_OK);
    }
}
