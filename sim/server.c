#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/contract.h"
#include "core/key.h"
#include "core/route.h"
#include "sim/ask.h"
#include "sim/server_internal.h"

#define WALL_START_MS UINT64_C(1750000000000) /* some day */
#define RESTART_US SIM_S /* a service manager tries again after this long */
#define FULL_CHECK_EVERY 1000u
#define WAITING_US SIM_S /* for a predecessor, and what a lazy server takes */

/* ---- small things -------------------------------------------------------- */

uint64_t server_wall_ms(const struct server *server)
{
    return WALL_START_MS + sim_now_ms(server->sim) +
           (uint64_t)server->wall_offset_ms;
}

uint64_t server_later_ms(struct server *server)
{
    uint64_t now_ms = loop_now_ms(&server->loop);

    return server->lazy_ms == 0
               ? now_ms
               : now_ms + chance_below(&server->laziness, server->lazy_ms);
}

void *server_alloc(struct server *server, size_t size, enum fault_state state)
{
    void *memory = process_alloc(server->process, size);

    if (memory == NULL) {
        sim_fault(server->sim, FAULT_NO_MEMORY, state);
    }
    return memory;
}

bool server_is_running(const struct server *server)
{
    return server->process->alive;
}

/* ---- its configuration --------------------------------------------------- */

/* How far receive windows may grow: often so little that it is used up. */
static void draw_growth(struct server *server, struct chance *chance)
{
    struct mux_config *mux = &server->agent.link.mux;

    mux->growth = &server->growth;
    mux->growth_max = 32u << 20;
    server->growth.max = 128u << 20;
    if (chance_in(chance, 1, 4)) {
        mux->growth_max = (uint32_t)chance_size(chance, 1u << 20);
    }
    if (chance_in(chance, 1, 4)) {
        server->growth.max = chance_size(chance, 1u << 20);
    }
}

/* Defaults most of the time; else what a knob may say. */
static void draw_config(struct server *server, struct chance *chance)
{
    struct mux_config *mux = &server->agent.link.mux;

    agent_config_default(&server->agent);
    mux->outbound_max = chance_in(chance, 1, 2) ? 1024 : 128;
    mux->open_timeout_ms = 10000;
    if (chance_in(chance, 1, 8)) {
        mux->recv_window = 262144 + (uint32_t)chance_size(chance, 1u << 20);
    }
    if (chance_in(chance, 1, 8)) {
        mux->frame_payload_max =
            1024 + (uint32_t)chance_size(chance, 262144 - 1024);
    }
    if (chance_in(chance, 1, 8)) {
        server->agent.link.linger_ms = chance_between(chance, 100, 10000);
    }
    if (chance_in(chance, 1, 4)) {
        server->agent.drain_timeout_ms = chance_between(chance, 100, 30000);
    }
    server->hub_config.agents_max = 4 * server->world->plan->sites + 64;
    server->port_config.quarantine_ms =
        chance_in(chance, 1, 4) ? chance_between(chance, 1000, 20000)
                                : PORT_QUARANTINE_MS;
    server->opens_per_s = 1000;
    server->visits_max = 256;
    server->lazy_ms =
        chance_in(chance, 1, 4) ? 1 + (uint32_t)chance_size(chance, 300) : 0;
    for (size_t i = 0; i < 2; i++) {
        server->hub_config.hash_key[i] = chance_next(chance);
        server->port_config.hash_key[i] = chance_next(chance);
        mux->hash_key[i] = chance_next(chance);
    }
    draw_growth(server, chance);
}

/* Limits that are near: what happens at them is seen in a world of few. */
static void draw_limits(struct server *server, struct chance *chance)
{
    struct mux_config *mux = &server->agent.link.mux;

    if (chance_in(chance, 1, 4)) {
        mux->unacked_max = 1 + (uint32_t)chance_size(chance, 63);
    }
    if (chance_in(chance, 1, 4)) {
        mux->outbound_max = 4 + (uint32_t)chance_size(chance, 124);
    }
    if (chance_in(chance, 1, 4)) {
        mux->useless_burst = 50 + (uint32_t)chance_size(chance, 9950);
        mux->useless_per_s = 10 + (uint32_t)chance_size(chance, 990);
    }
    if (chance_in(chance, 1, 4)) {
        socket_limit_ports(server->sim, 2 * server->world->plan->sites + 8);
    }
}

static void try_start(void *user);

struct server *server_new(struct world *world)
{
    struct server *server = sim_alloc(world->sim, sizeof *server);
    struct chance chance = chance_of(sim_seed(world->sim), "server", 0);

    server->world = world;
    server->sim = world->sim;
    server->process = &world->server_process;
    server->chance = chance_of(sim_seed(world->sim), "uuid", 0);
    server->laziness = chance_of(sim_seed(world->sim), "lazy", 0);
    store_init(&server->store, world->sim);
    loop_init(&server->loop, world->sim);
    task_init(&server->again, world->sim, try_start, server);
    draw_config(server, &chance);
    if (world->plan->rough) {
        chance = chance_of(sim_seed(world->sim), "limits", 0);
        draw_limits(server, &chance);
    }
    return server;
}

/* ---- life ---------------------------------------------------------------- */

/* What was of the process is no more. */
static void forget_all(struct server *server)
{
    loop_end(&server->loop);
    transport_pool_end(&server->transports);
    server->hub = NULL;
    server->ports = NULL;
    server->door = (struct acceptor){0};
    server->exit = NULL;
    server->visits = server->visits_last = NULL;
    server->farewells = NULL;
    server->sessions = server->touched = NULL;
    server->visit_count = server->farewell_count = server->session_count = 0;
    server->connection_count = server->listener_count = 0;
    server->parts_size = 0;
    server->draining = false;
}

static void end_process(struct server *server, enum process_end end)
{
    forget_all(server);
    process_kill(server->process, end);
}

/* An orderly exit gives everything back by itself. */
static void exit_process(void *user)
{
    struct server *server = user;

    sim_met(server->sim, server->drain_late ? MET_DRAIN_LATE : MET_DRAINED);
    sim_say(server->sim, server->process->name, "drained, exits");
    door_close(server);
    process_release(server->process, server->hub);
    process_release(server->process, server->ports);
    server->wanted = false;
    forget_all(server);
    process_expect_empty(server->process);
    process_kill(server->process, PROCESS_EXITS);
}

static void *alloc_part(struct server *server, size_t size)
{
    void *memory = server_alloc(server, size, FAULT_STATE_NONE);

    server->parts_size += memory == NULL ? 0 : size;
    return memory;
}

/* Which ports are in quarantine from before the start (L-10). */
static void restore_ports(struct server *server)
{
    struct store *store = &server->store;

    store_forget_missed(store);
    for (size_t i = 0; i < store->port_count; i++) {
        port_use(server->ports, store->ports[i].port, store->ports[i].uuid,
                 store->ports[i].used_ms);
    }
}

static bool create_parts(struct server *server)
{
    uint64_t life = server->process->lives;
    void *memory;

    loop_init(&server->loop, server->sim);
    transport_pool_init(&server->transports, &server->loop, server->process,
                        chance_of(sim_seed(server->sim), "transport", life));
    server->transports.linger_ms = server->agent.link.linger_ms;
    server->spills = (struct spill_pool){.process = server->process};
    server->growth.used = 0;
    memory = alloc_part(server, hub_size(&server->hub_config));
    if (memory != NULL) {
        server->hub = hub_init(memory, hub_size(&server->hub_config),
                               &server->hub_config);
    }
    memory = alloc_part(server, port_size());
    if (memory != NULL) {
        server->ports = port_init(memory, port_size(), &server->port_config);
    }
    if (server->hub == NULL || server->ports == NULL ||
        store_is_failing(&server->store)) {
        return false;
    }
    restore_ports(server);
    server->exit = job_new(&server->loop, exit_process, server);
    return door_open(server);
}

static void try_start(void *user)
{
    struct server *server = user;

    process_start(server->process);
    server->drain_late = false;
    if (!create_parts(server)) {
        sim_say(server->sim, server->process->name,
                "cannot start, is started again");
        end_process(server, PROCESS_EXITS);
        task_set(&server->again, sim_now_us(server->sim) + RESTART_US);
        return;
    }
    sim_say(server->sim, server->process->name, "started");
}

void server_start(struct server *server)
{
    if (!server->wanted) {
        server->wanted = true;
        try_start(server);
    }
}

void server_crash(struct server *server, enum process_end end)
{
    server->wanted = false;
    task_stop(&server->again);
    if (!server->process->alive) {
        return;
    }
    if (server->connection_count > 0) {
        sim_met(server->sim, MET_CRASH_BUSY);
    }
    sim_say(server->sim, server->process->name, "crashes with %u sessions",
            server->session_count);
    end_process(server, end);
}

void server_look_at_drain(struct server *server)
{
    if (server->draining && hub_held(server->hub) == 0) {
        job_wake(server->exit);
    }
}

/* SIGTERM; a second one cuts the drain short (L-06). */
void server_stop(struct server *server)
{
    task_stop(&server->again);
    if (!server->process->alive) {
        server->wanted = false;
        return;
    }
    if (server->draining) {
        sim_met(server->sim, MET_DRAIN_CUT);
        sessions_end(server);
        return;
    }
    sim_say(server->sim, server->process->name, "drains %u sessions",
            server->session_count);
    server->draining = true;
    sessions_drain(server);
    server_look_at_drain(server);
}

/* ---- the operator's words ------------------------------------------------ */

static struct span span_of(const char *text)
{
    return (struct span){(const uint8_t *)text, strlen(text)};
}

static void draw_bytes(struct server *server, uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        bytes[i] = (uint8_t)chance_next(&server->chance);
    }
}

static void draw_key(struct server *server, char key[WORLD_KEY_SIZE])
{
    uint8_t random[KEY_RANDOM_SIZE];

    draw_bytes(server, random, sizeof random);
    key_format(key, random);
}

_Static_assert(WORLD_KEY_SIZE == KEY_LENGTH + 1, "room for a key");

static void disconnect(struct server *server, const struct site *site)
{
    if (server->process->alive) {
        session_disconnect(server, site->uuid, STATUS_REVOKED);
    }
}

/* A new agent, unless the site has one that may come. */
bool server_provision(struct server *server, struct site *site)
{
    uint8_t uuid[WORLD_UUID_SIZE];
    char key[WORLD_KEY_SIZE];

    if (!server->process->alive || store_is_failing(&server->store)) {
        return false;
    }
    if (site->provisioned && !site->revoked) {
        return true;
    }
    if (site->provisioned && !server_delete(server, site)) {
        return false;
    }
    draw_bytes(server, uuid, sizeof uuid);
    draw_key(server, key);
    if (store_add(&server->store, uuid, span_of(key)) != STORE_OK) {
        return false;
    }
    memcpy(site->uuid, uuid, sizeof site->uuid);
    memcpy(site->key, key, sizeof site->key);
    site->provisioned = true;
    site->revoked = false;
    sim_say(server->sim, "operator", "provisions %s", site->agent_process.name);
    return true;
}

bool server_revoke(struct server *server, struct site *site)
{
    if (!server->process->alive ||
        store_revoke(&server->store, site->uuid) != STORE_OK) {
        return false;
    }
    site->revoked = true;
    sim_say(server->sim, "operator", "revokes %s", site->agent_process.name);
    disconnect(server, site);
    return true;
}

bool server_rotate(struct server *server, struct site *site)
{
    char key[WORLD_KEY_SIZE];

    draw_key(server, key);
    if (!server->process->alive ||
        store_rotate(&server->store, site->uuid, span_of(key)) != STORE_OK) {
        return false;
    }
    memcpy(site->key, key, sizeof site->key);
    site->revoked = false;
    sim_say(server->sim, "operator", "rotates the key of %s",
            site->agent_process.name);
    disconnect(server, site);
    return true;
}

bool server_delete(struct server *server, struct site *site)
{
    if (!server->process->alive ||
        store_remove(&server->store, site->uuid) != STORE_OK) {
        return false;
    }
    site->provisioned = false;
    site->revoked = false;
    sim_say(server->sim, "operator", "deletes %s", site->agent_process.name);
    disconnect(server, site);
    return true;
}

/* ---- faults -------------------------------------------------------------- */

void server_fail_store(struct server *server, uint64_t until_us)
{
    store_fail(&server->store, until_us);
}

void server_pause(struct server *server, uint64_t until_us)
{
    if (server->process->alive) {
        loop_pause(&server->loop, until_us);
    }
}

void server_jump_clock(struct server *server, int64_t by_ms)
{
    server->wall_offset_ms += by_ms;
}

/* ---- questions ----------------------------------------------------------- */

static const struct agent *agent_of(const struct server *server,
                                    const struct site *site)
{
    return server->process->alive ? hub_find(server->hub, site->uuid) : NULL;
}

uint16_t server_port(const struct server *server, const struct site *site)
{
    const struct agent *agent = agent_of(server, site);
    return agent == NULL ? 0 : agent_port(agent);
}

uint64_t server_session(const struct server *server, const struct site *site)
{
    const struct agent *agent = agent_of(server, site);
    const struct session *session = agent == NULL ? NULL : agent_user(agent);

    return session == NULL ? 0 : session->number;
}

static bool is_held(const struct server *server, const struct site *site)
{
    const struct session *session = server->sessions;

    while (session != NULL && memcmp(agent_uuid(session->agent), site->uuid,
                                     WORLD_UUID_SIZE) != 0) {
        session = session->after;
    }
    return session != NULL;
}

enum fault_state server_state(const struct server *server,
                              const struct site *site)
{
    const struct agent *agent = agent_of(server, site);

    if (agent == NULL) {
        return server->process->alive && is_held(server, site)
                   ? FAULT_STATE_CLOSING
                   : FAULT_STATE_NONE;
    }
    const struct session *session = agent_user(agent);
    switch (agent_state(agent)) {
    case AGENT_WAITING:
        return FAULT_STATE_WAITING;
    case AGENT_SERVING:
        return session->connections != NULL ? FAULT_STATE_BUSY
                                            : FAULT_STATE_SERVING;
    case AGENT_DRAINING:
        return FAULT_STATE_DRAINING;
    case AGENT_CLOSING:
    case AGENT_CLOSED:
        break;
    }
    return FAULT_STATE_CLOSING;
}

uint64_t server_drain_us(const struct server *server)
{
    return server->agent.drain_timeout_ms * SIM_MS;
}

uint64_t server_linger_us(const struct server *server)
{
    return server->agent.link.linger_ms * SIM_MS;
}

static void uuid_text(const uint8_t uuid[WORLD_UUID_SIZE],
                      char text[2 * WORLD_UUID_SIZE + 1])
{
    for (size_t i = 0; i < WORLD_UUID_SIZE; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", uuid[i]);
    }
}

void server_route(const struct server *server, const struct site *site,
                  uint32_t variety, struct ask_target *target)
{
    char uuid[2 * WORLD_UUID_SIZE + 1];
    char address[AGENT_ADDRESS_SIZE] = "";
    const struct agent *agent = agent_of(server, site);
    struct route_query query = {.server = ROUTE_SERVER_ORTHRUS,
                                .server_host = "192.0.2.1",
                                .server_port = 2375,
                                .tunnel_configured = true,
                                .agent_uuid = uuid,
                                .agent_address = address};
    struct route route;

    *target = (struct ask_target){0};
    if (!server->process->alive) {
        return;
    }
    uuid_text(site->uuid, uuid);
    if (agent != NULL) {
        agent_address(agent, address);
    }
    switch ((enum ask_kind)variety) {
    case ASK_SITE:
    case ASK_KINDS:
        break;
    case ASK_NO_AGENT:
        query.agent_uuid = NULL;
        break;
    case ASK_EMPTY_AGENT:
        query.agent_uuid = "";
        break;
    case ASK_UNKNOWN:
        query.server = ROUTE_SERVER_UNKNOWN;
        break;
    case ASK_BAD_HOST:
        query.host = "no such host";
        break;
    case ASK_DIRECT:
        query.server = ROUTE_SERVER_DIRECT;
        break;
    case ASK_UNCONFIGURED:
        query.tunnel_configured = false;
        break;
    case ASK_NOTHING:
        query.agent_uuid = NULL;
        query.tunnel_configured = false;
        break;
    }
    route_decide(&route, &query);
    target->status = route.status;
    if (route.kind == ROUTE_ADDRESS && query.server == ROUTE_SERVER_ORTHRUS) {
        char expected[ROUTE_ADDRESS_SIZE];
        target->port = agent_port(agent);
        (void)snprintf(expected, sizeof expected, "tcp://127.0.0.1:%u",
                       target->port);
        if (strcmp(route.address, expected) != 0) {
            sim_fail(server->sim, "route", "AC-12 asks for %s, not for %s",
                     expected, route.address);
        }
    }
}

/* ---- checks -------------------------------------------------------------- */

static const char *name_of(const struct server *server,
                           const struct session *session)
{
    return session->site == NO_SITE
               ? "a deleted agent"
               : server->world->sites[session->site].agent_process.name;
}

static void check_session(struct server *server, const struct session *session)
{
    const struct agent *agent = session->agent;
    const struct listener *listener = session->acceptor.listener;
    enum agent_state state = agent_state(agent);
    uint16_t port = agent_port(agent);

    agent_invariant(agent);
    if (state < AGENT_CLOSING &&
        !store_opens(&server->store, agent_uuid(agent), session->digest)) {
        sim_fail(server->sim, "revoked",
                 "session %" PRIu64
                 " of %s lives with a key that opens nothing",
                 session->number, name_of(server, session));
    }
    if (state < AGENT_CLOSING && session->transport.legal != NULL &&
        legal_is_lost(session->transport.legal)) {
        sim_fail(server->sim, "tolerated",
                 "session %" PRIu64 " of %s lives, whatever its agent sends",
                 session->number, name_of(server, session));
    }
    if (server->draining && state < AGENT_DRAINING) {
        sim_fail(server->sim, "sessions",
                 "session %" PRIu64 " of %s begins while the server drains",
                 session->number, name_of(server, session));
    }
    if (state < AGENT_CLOSING &&
        hub_find(server->hub, agent_uuid(agent)) != agent) {
        sim_fail(server->sim, "sessions",
                 "session %" PRIu64 " of %s is not the current one and lives",
                 session->number, name_of(server, session));
    }
    if (port != (listener == NULL ? 0 : listener_address(listener))) {
        sim_fail(server->sim, "listeners",
                 "session %" PRIu64 " of %s says port %u and has another",
                 session->number, name_of(server, session), port);
    }
    if ((listener == NULL || state == AGENT_CLOSED) && port != 0) {
        sim_fail(server->sim, "listeners", "a closed session has a port");
    }
}

static size_t expected_memory(const struct server *server)
{
    return server->parts_size + server->transports.memory +
           server->spills.memory +
           server->session_count * session_size(server) +
           server->connection_count * sizeof(struct connection) +
           server->visit_count * visit_size() +
           server->farewell_count * farewell_size();
}

static void check_books(const struct server *server)
{
    const struct process *process = server->process;
    uint32_t descriptors = 1 + server->listener_count + server->visit_count +
                           server->farewell_count + server->connection_count;

    if (process->memory != expected_memory(server)) {
        sim_fail(server->sim, "memory",
                 "the server holds %zu bytes, its objects %zu", process->memory,
                 expected_memory(server));
    }
    for (const struct session *session = server->sessions; session != NULL;
         session = session->after) {
        descriptors += session->transport.socket != NULL ? 1 : 0;
    }
    if (process->descriptors != descriptors) {
        sim_fail(server->sim, "descriptors",
                 "the server holds %u descriptors, its objects %u",
                 process->descriptors, descriptors);
    }
}

/* AC-15: the listener of a session that is displaced goes at once. */
static void check_waiting(const struct server *server,
                          const struct session *session)
{
    uint64_t bound_us = WAITING_US + server->lazy_ms * SIM_MS;
    uint64_t now_us = sim_now_us(server->sim);

    if (agent_state(session->agent) == AGENT_WAITING &&
        now_us > session->since_us + bound_us &&
        now_us > server->loop.paused_until_us + bound_us) {
        sim_fail(server->sim, "liveness",
                 "session %" PRIu64 " of %s waits for %" PRIu64
                 " ms for its predecessor (AC-15)",
                 session->number, name_of(server, session),
                 (now_us - session->since_us) / SIM_MS);
    }
}

/* L-01: our own ping finds a silent link within this long. */
static void check_silence(const struct server *server,
                          const struct session *session)
{
    const struct mux_config *mux = &server->agent.link.mux;
    uint64_t bound_us =
        mux->ping_interval_ms * (mux->ping_missed_max + 1) * SIM_MS;
    uint64_t now_us = sim_now_us(server->sim);

    if (agent_state(session->agent) < AGENT_CLOSING &&
        now_us > session->transport.heard_us + bound_us &&
        now_us > server->loop.paused_until_us + bound_us) {
        sim_fail(server->sim, "liveness",
                 "session %" PRIu64 " of %s is silent for %" PRIu64
                 " ms and lives (L-01)",
                 session->number, name_of(server, session),
                 (now_us - session->transport.heard_us) / SIM_MS);
    }
}

static void check_connections(const struct server *server,
                              const struct session *session)
{
    struct link *link = agent_link(session->agent);
    uint32_t count = 0;

    for (const struct connection *connection = session->connections;
         connection != NULL; connection = connection->after) {
        size_t spilled = tcp_unwritten(&connection->bridge.tcp);
        if (spilled > link_unwritten(link, connection->bridge.conn.id)) {
            sim_fail(server->sim, "memory",
                     "a connection of session %" PRIu64
                     " holds %zu bytes, more than it was handed",
                     session->number, spilled);
        }
        count++;
    }
    if (count != link_conn_count(link)) {
        sim_fail(server->sim, "books",
                 "session %" PRIu64 " has %u connections, its link %u",
                 session->number, count, link_conn_count(link));
    }
}

static void check_all(struct server *server)
{
    uint32_t count = 0;

    for (const struct session *session = server->sessions; session != NULL;
         session = session->after) {
        check_session(server, session);
        check_connections(server, session);
        check_silence(server, session);
        check_waiting(server, session);
        link_invariant(agent_link(session->agent));
        count++;
    }
    if (count != server->session_count ||
        hub_held(server->hub) != server->session_count) {
        sim_fail(server->sim, "books", "%u sessions, of which %u counted",
                 count, server->session_count);
    }
    hub_invariant(server->hub);
    check_books(server);
}

void server_check(struct server *server)
{
    struct session *session = server->touched;

    if (!server->process->alive) {
        return;
    }
    server->touched = NULL;
    while (session != NULL) {
        struct session *next = session->next_touched;
        session->touched = false;
        check_session(server, session);
        session = next;
    }
    if (server->process->memory != expected_memory(server)) {
        check_books(server);
    }
    if (++server->checks % FULL_CHECK_EVERY == 0) {
        check_all(server);
    }
}

void server_expect_idle(struct server *server)
{
    if (!server->process->alive) {
        sim_fail(server->sim, "liveness", "the server does not run");
    }
    check_all(server);
    port_invariant(server->ports);
    if (server->visit_count + server->farewell_count +
            server->connection_count >
        0) {
        sim_fail(server->sim, "leak",
                 "the idle server has %u visits, %u farewells and %u "
                 "connections",
                 server->visit_count, server->farewell_count,
                 server->connection_count);
    }
    for (const struct session *session = server->sessions; session != NULL;
         session = session->after) {
        if (agent_state(session->agent) != AGENT_SERVING) {
            sim_fail(server->sim, "liveness",
                     "session %" PRIu64 " of %s is %s in an idle server",
                     session->number, name_of(server, session),
                     agent_state_name(agent_state(session->agent)));
        }
        if (transport_is_blocked(&session->transport)) {
            sim_fail(server->sim, "liveness",
                     "session %" PRIu64 " of %s has output that nobody takes",
                     session->number, name_of(server, session));
        }
    }
    if (server->spills.memory > 0) {
        sim_fail(server->sim, "leak", "spilled bytes are left");
    }
    if (server->growth.used > 0) {
        sim_fail(server->sim, "leak", "windows are grown without streams");
    }
}
