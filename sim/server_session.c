/* server/tunnel.c over modelled sockets: the core says what is to be done
 * (agent_wants()), settle() does it, and sees to the agents that this one's
 * change has moved. A session ends in one place, release(), once its transport
 * and every connection are closed.
 *
 * A drawn server is lazy: it binds and closes listeners a while after it was
 * asked to, as an adapter may. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/contract.h"
#include "sim/server_internal.h"

#define BACKLOG 4096u
#define QUARANTINED 64u /* ports of the system's choice tried at most */
#define ROUND(size) (((size) + 63u) & ~(size_t)63u)

static void settle(struct session *session);
static void settle_others(struct server *server);

static uint64_t now_ms_of(const struct server *server)
{
    return loop_now_ms(&server->loop);
}

static void touch(struct session *session)
{
    if (!session->touched) {
        session->touched = true;
        session->next_touched = session->server->touched;
        session->server->touched = session;
    }
}

static void untouch(struct session *session)
{
    struct session **link = &session->server->touched;

    while (session->touched) {
        if (*link == session) {
            *link = session->next_touched;
            session->touched = false;
        } else {
            link = &(*link)->next_touched;
        }
    }
}

static const char *name_of(const struct session *session)
{
    return session->site == NO_SITE
               ? "agent ?"
               : session->server->world->sites[session->site]
                     .agent_process.name;
}

static enum fault_state fault_state_of(const struct session *session)
{
    switch (agent_state(session->agent)) {
    case AGENT_WAITING:
        return FAULT_STATE_WAITING;
    case AGENT_SERVING:
        return link_conn_count(agent_link(session->agent)) > 0
                   ? FAULT_STATE_BUSY
                   : FAULT_STATE_SERVING;
    case AGENT_DRAINING:
        return FAULT_STATE_DRAINING;
    case AGENT_CLOSING:
    case AGENT_CLOSED:
        break;
    }
    return FAULT_STATE_CLOSING;
}

/* A session was alive now: for the quarantine (L-10). */
static void mark_seen(struct session *session)
{
    struct server *server = session->server;
    const uint8_t *uuid = agent_uuid(session->agent);
    uint64_t now_ms = server_wall_ms(server);

    if (session->port == 0) {
        return;
    }
    port_use(server->ports, session->port, uuid, now_ms);
    if (store_use_port(&server->store, session->port, uuid, now_ms) !=
        STORE_OK) {
        sim_fault(server->sim, FAULT_STORE_FAILS, fault_state_of(session));
    }
}

/* ---- connections --------------------------------------------------------- */

/* X15: opens_per_s, and as many at once. */
static bool may_open(struct session *session, uint64_t now_ms)
{
    uint64_t rate = session->server->opens_per_s;
    uint64_t full = rate * 1000;
    uint64_t passed = now_ms - session->opens_at_ms;

    session->opens_at_ms = now_ms;
    session->opens_left =
        passed >= 1000 || session->opens_left + passed * rate > full
            ? full
            : session->opens_left + passed * rate;
    if (session->opens_left < 1000) {
        return false;
    }
    session->opens_left -= 1000;
    return true;
}

static void add_connection(struct session *session,
                           struct connection *connection)
{
    connection->session = session;
    connection->after = session->connections;
    if (session->connections != NULL) {
        session->connections->before = connection;
    }
    session->connections = connection;
    session->server->connection_count++;
}

static void on_connection_ended(struct bridge *bridge, enum status status)
{
    struct connection *connection = (struct connection *)(void *)bridge;
    struct session *session = connection->session;

    (void)status;
    if (connection->before != NULL) {
        connection->before->after = connection->after;
    } else {
        session->connections = connection->after;
    }
    if (connection->after != NULL) {
        connection->after->before = connection->before;
    }
    session->server->connection_count--;
    touch(session);
    process_release(session->server->process, connection);
}

/* A limit is reached only by those who are there (I13), and by those whose RST
 * has not gone out yet. */
static void check_limit(const struct session *session, enum status status)
{
    const struct server *server = session->server;
    const struct mux_config *mux = &server->agent.link.mux;
    struct link *link = agent_link(session->agent);
    uint32_t count = link_conn_count(link);

    if ((link_wants(link) & LINK_WANTS_OUTPUT) != 0) {
        return;
    }
    if ((status == STATUS_TOO_MANY_UNACKED && count < mux->unacked_max) ||
        (status == STATUS_NO_STREAM_SLOT && count < mux->outbound_max)) {
        sim_fail(server->sim, "limit",
                 "session %" PRIu64 " of %s has %" PRIu32
                 " connections and refuses one: %s",
                 session->number, name_of(session), count, status_text(status));
    }
}

/* AC-07: an answer that its client can read. */
static void refuse(struct session *session, struct socket *socket,
                   enum status status)
{
    char body[160];
    char answer[320];

    sim_met(session->server->sim, MET_CLIENT_REFUSED);
    if (session->site != NO_SITE) {
        session->server->world->sites[session->site].refused_us =
            sim_now_us(session->server->sim);
    }
    int length = snprintf(body, sizeof body,
                          "{\"message\":\"%s cannot be reached: %s\"}\n",
                          name_of(session), status_text(status));
    (void)snprintf(answer, sizeof answer,
                   "HTTP/1.1 503 Service Unavailable\r\n"
                   "Content-Type: application/json\r\n"
                   "Content-Length: %d\r\n"
                   "Retry-After: 1\r\n"
                   "Connection: close\r\n"
                   "\r\n%s",
                   length, body);
    farewell_say(session->server, socket, answer);
}

static void on_accepted(void *user, struct socket *socket)
{
    struct session *session = user;
    struct server *server = session->server;
    struct connection *connection;
    enum status status;
    uint32_t id;

    touch(session);
    if (!may_open(session, now_ms_of(server))) {
        refuse(session, socket, STATUS_TOO_MANY_UNACKED);
        return;
    }
    connection =
        server_alloc(server, sizeof *connection, fault_state_of(session));
    if (connection == NULL) {
        socket_reset(socket);
        return;
    }
    status = agent_open(session->agent, now_ms_of(server),
                        &connection->bridge.conn, &id);
    if (status != STATUS_OK) {
        check_limit(session, status);
        refuse(session, socket, status);
        process_release(server->process, connection);
        return;
    }
    add_connection(session, connection);
    bridge_open(&connection->bridge, &session->transport, &server->spills, id,
                socket, on_connection_ended);
}

/* ---- listener ------------------------------------------------------------ */

/* The quarantine as the disk remembers it, which the port table must have kept
 * (L-10); of a use that the disk refused, the table alone knows. */
static void check_quarantine(const struct session *session, uint16_t port)
{
    const struct server *server = session->server;
    const struct store_port *use = store_port_of(&server->store, port);
    uint64_t now_ms = server_wall_ms(server);

    if (use == NULL || use->missed ||
        memcmp(use->uuid, agent_uuid(session->agent), WORLD_UUID_SIZE) == 0) {
        return;
    }
    if (now_ms < use->used_ms ||
        now_ms - use->used_ms < server->port_config.quarantine_ms) {
        sim_fail(server->sim, "quarantine",
                 "port %u goes to %s, but was another agent's until %" PRIu64
                 " ms ago",
                 port, name_of(session), now_ms - use->used_ms);
    }
}

static struct listener *open_listener(struct session *session, uint32_t address)
{
    return listener_open(session->server->process, address, BACKLOG,
                         acceptor_ready, &session->acceptor);
}

/* server/listener.c: the port it had last, if that is free, else one of the
 * system's choice that is in nobody's quarantine. */
static struct listener *bind_agent(struct session *session)
{
    struct server *server = session->server;
    const uint8_t *uuid = agent_uuid(session->agent);
    struct listener *held[QUARANTINED];
    struct listener *listener = NULL;
    uint16_t last = port_last(server->ports, uuid);
    unsigned count = 0;

    if (last != 0) {
        listener = open_listener(session, last);
        if (listener != NULL) {
            sim_met(server->sim, MET_PORT_REGAINED);
        }
    }
    while (listener == NULL && count < QUARANTINED) {
        listener = open_listener(session, 0);
        if (listener == NULL) {
            break;
        }
        if (!port_may_use(server->ports, (uint16_t)listener_address(listener),
                          uuid, server_wall_ms(server))) {
            sim_met(server->sim, MET_PORT_AVOIDED);
            held[count++] = listener;
            listener = NULL;
        }
    }
    while (count > 0) {
        listener_close(held[--count]);
    }
    return listener;
}

/* At most one listener an agent exists (I9, AC-15). */
static void check_only_listener(const struct session *session)
{
    const struct session *other = session->server->sessions;

    for (; other != NULL; other = other->after) {
        if (other != session && other->acceptor.listener != NULL &&
            memcmp(agent_uuid(other->agent), agent_uuid(session->agent),
                   WORLD_UUID_SIZE) == 0) {
            sim_fail(session->server->sim, "listeners",
                     "%s has two: of session %" PRIu64 " and %" PRIu64,
                     name_of(session), other->number, session->number);
        }
    }
}

/* agent_listen() said STATUS_OK. */
static void listen_now(struct session *session)
{
    struct server *server = session->server;
    struct listener *listener = bind_agent(session);

    if (listener == NULL) {
        sim_met(server->sim, MET_LISTEN_FAILED);
        sim_fault(server->sim, FAULT_BIND_FAILS, fault_state_of(session));
        sim_say(server->sim, server->process->name,
                "no proxy for %s: cannot bind", name_of(session));
        enum agent_state before = agent_state(session->agent);
        agent_listen_failed(session->agent);
        if (before == AGENT_SERVING &&
            agent_state(session->agent) != AGENT_SERVING) {
            sim_fail(server->sim, "sessions",
                     "session %" PRIu64
                     " of %s ends for want of a listener (AC-13)",
                     session->number, name_of(session));
        }
        return;
    }
    uint16_t port = (uint16_t)listener_address(listener);
    check_quarantine(session, port);
    acceptor_open(&session->acceptor, server, listener, on_accepted, session);
    check_only_listener(session);
    bool was_serving = agent_state(session->agent) == AGENT_SERVING;
    bool is_kept = agent_listening(session->agent, port);
    if (is_kept && !was_serving) {
        sim_fail(server->sim, "listeners",
                 "session %" PRIu64 " of %s has ended and is given a port "
                 "(AC-04)",
                 session->number, name_of(session));
    }
    if (!is_kept) {
        sim_met(server->sim, MET_LISTEN_LATE);
        acceptor_close(&session->acceptor);
        return;
    }
    session->port = port;
    server->listener_count++;
    mark_seen(session);
    sim_say(server->sim, server->process->name, "proxy of %s on %u",
            name_of(session), port);
}

static void unlisten(struct session *session)
{
    struct server *server = session->server;

    acceptor_close(&session->acceptor);
    server->listener_count--;
    agent_unlistened(session->agent);
    sim_say(server->sim, server->process->name, "proxy of %s closed",
            name_of(session));
}

/* ---- doing what agents want ---------------------------------------------- */

static enum ws_close_code close_code(enum status status)
{
    if (status == STATUS_REVOKED || status == STATUS_DISPLACED) {
        return WS_CLOSE_POLICY; /* X5 */
    }
    return status_go_away(status) != 0 ? WS_CLOSE_PROTOCOL
                                       : WS_CLOSE_GOING_AWAY;
}

/* The transport watches the link's deadlines; only drains are left. */
static void set_timer(struct session *session)
{
    job_stop(session->timer);
    if (agent_state(session->agent) == AGENT_DRAINING) {
        job_by_ms(session->timer, agent_deadline(session->agent));
    }
}

/* A lazy server does it later. */
static void see_to_listener(struct session *session)
{
    struct server *server = session->server;
    unsigned wants = agent_wants(session->agent);

    if ((wants & AGENT_WANTS_UNLISTEN) != 0) {
        if (server->lazy_ms > 0) {
            job_by_ms(session->listener_job, server_later_ms(server));
        } else {
            unlisten(session);
            hub_step(server->hub, session->agent);
        }
    }
    if ((agent_wants(session->agent) & AGENT_WANTS_LISTENER) != 0 &&
        agent_listen(session->agent) == STATUS_OK) {
        if (server->lazy_ms > 0) {
            job_by_ms(session->listener_job, server_later_ms(server));
        } else {
            listen_now(session);
        }
    }
}

static void notice_displaced(struct session *session)
{
    struct server *server = session->server;

    if (agent_status(session->agent) == STATUS_DISPLACED &&
        !session->displaced) {
        session->displaced = true;
        sim_met(server->sim, MET_DISPLACED);
        if (transport_is_blocked(&session->transport)) {
            sim_met(server->sim, MET_DISPLACED_BLOCKED);
        }
    }
}

static void settle_one(struct session *session)
{
    struct agent *agent = session->agent;
    struct server *server = session->server;
    enum agent_state before = agent_state(agent);
    unsigned wants;

    touch(session);
    agent_step(agent, now_ms_of(server));
    hub_step(server->hub, agent);
    see_to_listener(session);
    wants = agent_wants(agent);
    set_timer(session);
    if (before < AGENT_DRAINING && agent_state(agent) == AGENT_DRAINING &&
        link_peer_going_away(agent_link(agent))) {
        sim_met(server->sim, MET_AGENT_LEFT);
    }
    notice_displaced(session);
    if (session->ended) {
        return;
    }
    if ((wants & AGENT_WANTS_HANGUP) != 0 && !session->hanging_up) {
        session->hanging_up = true;
        transport_close(&session->transport, close_code(agent_status(agent)));
    }
    if ((wants & AGENT_WANTS_CHANGES) != 0 || !session->stepping ||
        agent_state(agent) != before) {
        transport_wake(&session->transport);
    }
}

static void settle_others(struct server *server)
{
    struct agent *agent;

    while ((agent = hub_next_change(server->hub)) != NULL) {
        settle_one(agent_user(agent));
    }
}

static void settle(struct session *session)
{
    struct server *server = session->server;

    settle_one(session);
    settle_others(server);
}

/* ---- the end ------------------------------------------------------------- */

static void forget(struct session *session)
{
    struct server *server = session->server;

    untouch(session);
    job_free(session->timer);
    job_free(session->listener_job);
    if (session->before != NULL) {
        session->before->after = session->after;
    } else {
        server->sessions = session->after;
    }
    if (session->after != NULL) {
        session->after->before = session->before;
    }
    server->session_count--;
    process_release(server->process, session);
}

/* A link was given up on for silence: there must have been one (I18). */
static void check_silence(const struct session *session)
{
    const struct server *server = session->server;
    uint64_t interval_us = server->agent.link.mux.ping_interval_ms * SIM_MS;
    uint64_t silent_us = sim_now_us(server->sim) - session->transport.heard_us;

    if (silent_us < 2 * interval_us) {
        sim_fail(server->sim, "liveness",
                 "session %" PRIu64 " of %s was taken for silent after %" PRIu64
                 " ms",
                 session->number, name_of(session), silent_us / SIM_MS);
    }
}

static void tell_end(const struct session *session)
{
    const struct server *server = session->server;
    enum status status = agent_status(session->agent);

    if (status == STATUS_PING_TIMEOUT) {
        sim_met(server->sim, MET_PING_TIMEOUT);
    }
    if (status == STATUS_ABUSE) {
        sim_met(server->sim, MET_ABUSE);
    }
    if (status_go_away(status) != 0) {
        sim_met(server->sim, MET_PROTOCOL_ERROR);
    }
    sim_say(server->sim, name_of(session), "session %" PRIu64 " ended: %s",
            session->number,
            status == STATUS_TRANSPORT_LOST && session->transport.reason != NULL
                ? session->transport.reason
                : status_text(status));
}

/* Its transport and its connections are gone; if its listener is, too: the
 * end. */
static void release(struct session *session)
{
    struct server *server = session->server;

    if (!session->ended || agent_state(session->agent) != AGENT_CLOSED) {
        return;
    }
    mark_seen(session);
    tell_end(session);
    if (session->connections != NULL) {
        sim_fail(server->sim, "leak",
                 "session %" PRIu64 " of %s leaves a "
                 "connection",
                 session->number, name_of(session));
    }
    hub_release(server->hub, session->agent);
    forget(session);
    settle_others(server);
    server_look_at_drain(server);
}

static void on_step(struct transport *transport)
{
    struct session *session = transport->user;

    if (agent_state(session->agent) < AGENT_CLOSING &&
        link_status(agent_link(session->agent)) == STATUS_PING_TIMEOUT) {
        check_silence(session);
    }
    session->stepping = true;
    settle(session);
    session->stepping = false;
}

static void on_ended(struct transport *transport)
{
    struct session *session = transport->user;
    struct server *server = session->server;

    session->ended = true;
    agent_hung_up(session->agent);
    settle_one(session);
    settle_others(server);
    release(session);
}

static void on_timer(void *user)
{
    struct session *session = user;
    struct server *server = session->server;

    agent_tick(session->agent, now_ms_of(server));
    if (agent_state(session->agent) == AGENT_CLOSING &&
        link_conn_count(agent_link(session->agent)) > 0) {
        sim_met(server->sim, MET_DRAIN_LATE);
        server->drain_late = true;
    }
    settle(session);
}

/* The listener was to be bound, or closed. */
static void on_listener_job(void *user)
{
    struct session *session = user;

    if (session->acceptor.listener != NULL) {
        if ((agent_wants(session->agent) & AGENT_WANTS_UNLISTEN) != 0) {
            unlisten(session);
        }
    } else if (agent_holds_listener(session->agent)) {
        listen_now(session);
    }
    settle(session);
    release(session);
}

static const struct transport_ops transport_ops = {.step = on_step,
                                                   .ended = on_ended};

/* ---- admission ----------------------------------------------------------- */

size_t session_size(const struct server *server)
{
    return ROUND(sizeof(struct session)) + agent_size(&server->agent);
}

static uint32_t site_of(const struct server *server,
                        const uint8_t uuid[WORLD_UUID_SIZE])
{
    const struct world *world = server->world;

    for (uint32_t i = 0; i < world->plan->sites; i++) {
        if (memcmp(world->sites[i].uuid, uuid, WORLD_UUID_SIZE) == 0) {
            return i;
        }
    }
    return NO_SITE;
}

static struct session *session_new(struct server *server,
                                   const struct arrival *arrival)
{
    struct agent_config config = server->agent;
    size_t front = ROUND(sizeof(struct session));
    struct session *session =
        server_alloc(server, session_size(server), FAULT_STATE_NONE);

    if (session == NULL) {
        return NULL;
    }
    memcpy(config.uuid, arrival->uuid, sizeof config.uuid);
    config.user = session;
    session->server = server;
    session->site = site_of(server, arrival->uuid);
    memcpy(session->digest, arrival->digest, sizeof session->digest);
    session->opens_left = server->opens_per_s * 1000;
    session->opens_at_ms = now_ms_of(server);
    session->since_us = sim_now_us(server->sim);
    session->timer = job_new(&server->loop, on_timer, session);
    session->listener_job = job_new(&server->loop, on_listener_job, session);
    session->agent =
        agent_init((unsigned char *)session + front, agent_size(&config),
                   &config, now_ms_of(server));
    session->after = server->sessions;
    if (server->sessions != NULL) {
        server->sessions->before = session;
    }
    server->sessions = session;
    server->session_count++;
    return session;
}

enum status session_may_admit(const struct server *server)
{
    if (hub_draining(server->hub)) {
        return STATUS_DRAINING;
    }
    if (hub_held(server->hub) >= server->hub_config.agents_max) {
        return STATUS_AGENTS_MAX;
    }
    return STATUS_OK;
}

/* After the hub took it, but it has no transport: as if that were lost. */
static void abandon(struct session *session)
{
    struct server *server = session->server;

    session->ended = true;
    agent_hung_up(session->agent);
    settle_one(session);
    REQUIRE(agent_state(session->agent) == AGENT_CLOSED);
    hub_release(server->hub, session->agent);
    forget(session);
    settle_others(server);
}

void session_admit(struct server *server, const struct arrival *arrival)
{
    const struct legal_config legal = {
        .who = server->process->name,
        .is_server = true,
        .opens = true,
        .preface = 0x01,
        .payload_max = server->agent.link.mux.frame_payload_max,
        .window = server->agent.link.mux.recv_window,
        .growth = server->agent.link.mux.growth_max,
        .useless_burst = server->agent.link.mux.useless_burst,
        .useless_per_s = server->agent.link.mux.useless_per_s};
    struct session *session = session_new(server, arrival);

    if (session == NULL) {
        sim_met(server->sim, MET_SESSION_REFUSED);
        socket_reset(arrival->socket);
        return;
    }
    if (hub_admit(server->hub, session->agent) != STATUS_OK) {
        forget(session);
        socket_reset(arrival->socket);
        return;
    }
    if (!transport_open(&session->transport, &server->transports,
                        arrival->socket, WS_SERVER, agent_link(session->agent),
                        arrival->early, &legal, &transport_ops, session)) {
        abandon(session);
        socket_reset(arrival->socket);
        return;
    }
    session->number = ++server->session_number;
    sim_say(server->sim, name_of(session), "connected as session %" PRIu64,
            session->number);
    settle(session);
    if (agent_state(session->agent) == AGENT_WAITING) {
        sim_met(server->sim, MET_SUCCESSOR_WAITS);
    }
}

/* ---- all of them --------------------------------------------------------- */

void session_disconnect(struct server *server,
                        const uint8_t uuid[WORLD_UUID_SIZE], enum status status)
{
    struct agent *agent = hub_find(server->hub, uuid);

    server->disconnects++;
    if (agent != NULL) {
        agent_close(agent, status);
        settle(agent_user(agent));
    }
}

void sessions_drain(struct server *server)
{
    struct agent *agent = NULL;

    hub_drain(server->hub, now_ms_of(server));
    while ((agent = hub_next(server->hub, agent)) != NULL) {
        settle_one(agent_user(agent));
    }
    settle_others(server);
}

void sessions_end(struct server *server)
{
    struct agent *agent = NULL;

    while ((agent = hub_next(server->hub, agent)) != NULL) {
        agent_close(agent, STATUS_SHUT_DOWN);
        settle_one(agent_user(agent));
    }
    settle_others(server);
}
