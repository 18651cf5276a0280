/* IMPLEMENTATION NOTES
 *
 * A session is one mapping: struct session in front, the agent object of the
 * core behind it. Nothing else is allocated for an idle one (P-05).
 *
 * The core says what is to be done (agent_wants()), settle() does it. Whatever
 * changed an agent, settle() is the one call that follows, and it also sees to
 * the agents that this one's change has moved: a displaced predecessor, a
 * successor that may serve now.
 *
 * A session ends in one place, on_ended(): the transport says that its
 * descriptor and every connection are closed.
 */
#include "server/tunnel.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "core/contract.h"
#include "core/hub.h"
#include "core/port.h"
#include "net/acceptor.h"
#include "net/bridge.h"
#include "net/log.h"
#include "net/map.h"
#include "net/socket.h"
#include "net/spill.h"
#include "net/sys.h"
#include "net/transport.h"
#include "server/config.h"
#include "server/listener.h"
#include "server/refusal.h"
#include "server/store.h"
#include "server/uuid.h"

#define NS_PER_MS INT64_C(1000000)
#define ROUND(size) (((size) + 63u) & ~(size_t)63u)

struct tunnel {
    struct loop *loop;
    struct store *store;
    struct spill_pool *spills;
    struct transport_pool *transports;
    struct hub *hub;
    struct port_table *ports;
    struct agent_config agent; /* of every session, but uuid and user */
    struct mux_growth growth;  /* of all receive windows (Y-04) */
    struct refusals refusals;
    size_t hub_size;
    uint32_t agents_max;
    uint64_t opens_per_s;
    uint64_t disconnects;
    uint64_t sessions; /* so far: the number of the latest */
    uint32_t connections;
    uint32_t listeners;
    struct tunnel_totals ended; /* the counters, live sessions' bytes not in */
    struct loop_task drained_task;
    void (*drained)(void *user);
    void *drained_user;
};

struct session {
    struct tunnel *tunnel;
    struct agent *agent; /* behind this struct, in the same mapping */
    size_t size;         /* of the mapping */
    struct transport transport;
    struct acceptor acceptor;
    struct loop_timer timer; /* the agent's deadline */
    uint64_t number;
    int64_t since_ms; /* Unix */
    uint64_t opened;
    uint64_t refused;
    uint64_t opens_left; /* token bucket of X15, in thousandths */
    uint64_t opens_at_ms;
    uint16_t port; /* the last it listened on; 0: none */
    bool write_enabled;
    bool stepping; /* inside the transport's burst */
    bool hanging_up;
    bool ended; /* there is no transport any more */
    char name[STORE_NAME_SIZE];
    char remote[TUNNEL_REMOTE_SIZE];
};

struct connection {
    struct bridge bridge;
    struct session *session;
};

static int64_t unix_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / NS_PER_MS;
}

static struct uuid uuid_of(const uint8_t bytes[AGENT_UUID_SIZE])
{
    struct uuid uuid;
    memcpy(uuid.bytes, bytes, sizeof uuid.bytes);
    return uuid;
}

static void say(enum log_level level, const char *event,
                const struct session *session, struct log_field detail)
{
    struct uuid uuid = uuid_of(agent_uuid(session->agent));
    char agent[UUID_TEXT_SIZE];

    uuid_text(&uuid, agent);
    log_line(level, event, log_string("agent", agent),
             log_string("name", session->name),
             log_uint("session", session->number), detail);
}

/* A session was alive now: for last_seen and the quarantine (L-10). */
static void mark_seen(struct session *session)
{
    struct tunnel *tunnel = session->tunnel;
    struct uuid uuid = uuid_of(agent_uuid(session->agent));
    int64_t now_ms = unix_ms();

    if (session->port != 0) {
        port_use(tunnel->ports, session->port, uuid.bytes, (uint64_t)now_ms);
    }
    store_seen(tunnel->store, &uuid, session->port, now_ms * NS_PER_MS);
}

/* ---- connections --------------------------------------------------------- */

/* X15: opens_per_s, and as many at once. */
static bool may_open(struct session *session, uint64_t now_ms)
{
    uint64_t rate = session->tunnel->opens_per_s;
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

static void on_connection_ended(struct bridge *bridge, enum status status)
{
    struct connection *connection = (struct connection *)bridge;
    struct tunnel *tunnel = connection->session->tunnel;

    tunnel->connections--;
    if (status != STATUS_OK) {
        tunnel->ended.connections_reset++;
    }
    free(connection);
}

/* AC-07: an answer that its client can read. */
static void refuse(struct session *session, int fd, enum status status)
{
    char message[sizeof session->name + 96];

    session->refused++;
    session->tunnel->ended.connections_refused[status]++;
    say(LOG_WARN, "connection_refused", session,
        log_string("reason", status_text(status)));
    (void)snprintf(message, sizeof message, "agent %s cannot be reached: %s",
                   session->name, status_text(status));
    refusal_send(&session->tunnel->refusals, fd, message);
}

static void on_accepted(void *user, int fd, const struct sockaddr_storage *peer)
{
    struct session *session = user;
    struct tunnel *tunnel = session->tunnel;
    uint64_t now_ms = loop_now_ms(tunnel->loop);
    struct connection *connection;
    enum status status;
    uint32_t id;

    (void)peer; /* somebody on this host */
    if (!may_open(session, now_ms)) {
        refuse(session, fd, STATUS_TOO_MANY_UNACKED);
        return;
    }
    connection = calloc(1, sizeof *connection);
    if (connection == NULL) {
        socket_reset(fd);
        return;
    }
    connection->session = session;
    status = agent_open(session->agent, now_ms, &connection->bridge.conn, &id);
    if (status != STATUS_OK) {
        refuse(session, fd, status);
        free(connection);
        return;
    }
    if (!bridge_open(&connection->bridge, &session->transport, id, fd,
                     on_connection_ended)) {
        link_closed(agent_link(session->agent), id);
        socket_reset(fd);
        free(connection);
    } else {
        tunnel->connections++;
        tunnel->ended.connections_opened++;
        session->opened++;
    }
    transport_wake(&session->transport);
}

/* ---- listener ------------------------------------------------------------ */

static void listen_now(struct session *session)
{
    struct tunnel *tunnel = session->tunnel;
    uint16_t port = 0;
    int fd;

    if (agent_listen(session->agent) != STATUS_OK) {
        return;
    }
    fd = listener_bind_agent(tunnel->ports, agent_uuid(session->agent),
                             (uint64_t)unix_ms(), &port);
    if (fd < 0 || !acceptor_open(&session->acceptor, tunnel->loop, fd,
                                 on_accepted, session)) {
        say(LOG_WARN, "proxy_failed", session, log_errno(errno));
        tunnel->ended.listens_failed++;
        if (fd >= 0) {
            (void)sys_close(fd);
        }
        agent_listen_failed(session->agent);
        return;
    }
    if (!agent_listening(session->agent, port)) {
        acceptor_close(&session->acceptor);
        return;
    }
    session->port = port;
    tunnel->listeners++;
    mark_seen(session);
    say(LOG_INFO, "proxy_started", session, log_uint("port", port));
}

static void unlisten(struct session *session)
{
    acceptor_close(&session->acceptor);
    session->tunnel->listeners--;
    agent_unlistened(session->agent);
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

static void set_timer(struct session *session)
{
    struct loop *loop = session->tunnel->loop;
    uint64_t deadline_ms = agent_deadline(session->agent);

    /* The transport watches the link's deadlines, for it reads before it judges
     * (L-01); only the end of a drain is left. */
    if (agent_state(session->agent) != AGENT_DRAINING ||
        deadline_ms >= link_deadline(agent_link(session->agent))) {
        loop_timer_stop(loop, &session->timer);
    } else {
        loop_timer_set(loop, &session->timer, deadline_ms);
    }
}

static void settle_one(struct session *session)
{
    struct agent *agent = session->agent;
    struct hub *hub = session->tunnel->hub;
    enum agent_state before = agent_state(agent);
    unsigned wants;

    agent_step(agent, loop_now_ms(session->tunnel->loop));
    hub_step(hub, agent);
    if (agent_wants(agent) & AGENT_WANTS_UNLISTEN) {
        unlisten(session);
        hub_step(hub, agent);
    }
    if (agent_wants(agent) & AGENT_WANTS_LISTENER) {
        listen_now(session);
    }
    wants = agent_wants(agent);
    set_timer(session);
    if (session->ended) {
        return;
    }
    if ((wants & AGENT_WANTS_HANGUP) && !session->hanging_up) {
        session->hanging_up = true;
        transport_close(&session->transport, close_code(agent_status(agent)));
    }
    if ((wants & AGENT_WANTS_CHANGES) || !session->stepping ||
        agent_state(agent) != before) {
        transport_wake(&session->transport);
    }
}

static void settle_others(struct tunnel *tunnel)
{
    struct agent *agent;

    while ((agent = hub_next_change(tunnel->hub)) != NULL) {
        settle_one(agent_user(agent));
    }
}

static void settle(struct session *session)
{
    settle_one(session);
    settle_others(session->tunnel);
}

static void on_step(struct transport *transport)
{
    struct session *session = transport->user;

    session->stepping = true;
    settle(session);
    session->stepping = false;
}

static void on_timer(void *user)
{
    settle(user);
}

static void on_offered(struct transport *transport, uint32_t id)
{
    /* X16: the core refuses an agent's streams by itself (inbound_max 0). */
    link_refuse(transport_link(transport), id);
}

static void run_drained(void *user)
{
    struct tunnel *tunnel = user;
    tunnel->drained(tunnel->drained_user);
}

static void check_drained(struct tunnel *tunnel)
{
    if (tunnel->drained != NULL && hub_held(tunnel->hub) == 0) {
        loop_defer(tunnel->loop, &tunnel->drained_task);
    }
}

static void forget(struct session *session)
{
    loop_timer_stop(session->tunnel->loop, &session->timer);
    map_destroy(session, session->size);
}

static void say_ended(const struct session *session)
{
    const struct mux_counters *counters =
        link_counters(agent_link(session->agent));
    struct uuid uuid = uuid_of(agent_uuid(session->agent));
    char agent[UUID_TEXT_SIZE];

    uuid_text(&uuid, agent);
    log_line(LOG_INFO, "agent_disconnected", log_string("agent", agent),
             log_string("name", session->name),
             log_uint("session", session->number),
             log_string("remote", session->remote),
             log_string("reason", status_text(agent_status(session->agent))),
             log_string("detail", session->transport.reason),
             log_uint("close_code", session->transport.peer_code),
             log_uint("bytes_in", counters->data_bytes_in),
             log_uint("bytes_out", counters->data_bytes_out),
             log_int("duration_ms", unix_ms() - session->since_ms));
}

static void on_ended(struct transport *transport)
{
    struct session *session = transport->user;
    struct tunnel *tunnel = session->tunnel;
    struct agent *agent = session->agent;
    const struct mux_counters *counters = link_counters(agent_link(agent));
    enum status status;

    session->ended = true;
    agent_hung_up(agent);
    settle_one(session);
    REQUIRE(agent_state(agent) == AGENT_CLOSED);

    status = agent_status(agent);
    tunnel->ended.sessions_ended[status]++;
    tunnel->ended.bytes_to_agents += counters->data_bytes_out;
    tunnel->ended.bytes_from_agents += counters->data_bytes_in;
    mark_seen(session);
    say_ended(session);
    hub_release(tunnel->hub, agent);
    forget(session);
    settle_others(tunnel);
    check_drained(tunnel);
}

/* ---- admission ----------------------------------------------------------- */

static const struct transport_ops transport_ops = {
    .offered = on_offered, .step = on_step, .ended = on_ended};

static struct session *session_new(struct tunnel *tunnel,
                                   const struct tunnel_arrival *arrival)
{
    struct agent_config config = tunnel->agent;
    size_t front = ROUND(sizeof(struct session));
    size_t size = front + agent_size(&config);
    struct session *session = map_create(size);

    if (session == NULL) {
        return NULL;
    }
    session->tunnel = tunnel;
    session->size = size;
    session->since_ms = unix_ms();
    session->write_enabled = arrival->write_enabled;
    session->timer = (struct loop_timer){.fire = on_timer, .user = session};
    session->opens_left = tunnel->opens_per_s * 1000;
    session->opens_at_ms = loop_now_ms(tunnel->loop);
    (void)snprintf(session->name, sizeof session->name, "%s", arrival->name);
    memcpy(session->remote, arrival->remote, sizeof session->remote);
    memcpy(config.uuid, arrival->uuid, sizeof config.uuid);
    config.user = session;
    session->agent =
        agent_init((unsigned char *)session + front, agent_size(&config),
                   &config, loop_now_ms(tunnel->loop));
    return session;
}

/* After the hub took it, but it has no transport: as if that were lost. */
static void abandon(struct session *session)
{
    struct tunnel *tunnel = session->tunnel;

    session->ended = true;
    agent_hung_up(session->agent);
    settle_one(session);
    hub_release(tunnel->hub, session->agent);
    forget(session);
    settle_others(tunnel);
}

enum status tunnel_may_admit(const struct tunnel *tunnel)
{
    if (hub_draining(tunnel->hub)) {
        return STATUS_DRAINING;
    }
    if (hub_held(tunnel->hub) >= tunnel->agents_max) {
        return STATUS_AGENTS_MAX;
    }
    return STATUS_OK;
}

static enum status refuse_arrival(struct tunnel *tunnel,
                                  const struct tunnel_arrival *arrival,
                                  enum status status)
{
    struct uuid uuid = uuid_of(arrival->uuid);
    char agent[UUID_TEXT_SIZE];

    tunnel->ended.sessions_refused[status]++;
    uuid_text(&uuid, agent);
    log_line(LOG_WARN, "agent_refused", log_string("agent", agent),
             log_string("name", arrival->name),
             log_string("remote", arrival->remote),
             log_string("reason", status_text(status)));
    SSL_free(arrival->ssl);
    socket_reset(arrival->fd);
    return status;
}

enum status tunnel_admit(struct tunnel *tunnel,
                         const struct tunnel_arrival *arrival)
{
    struct session *session = session_new(tunnel, arrival);
    enum status status;

    if (session == NULL) {
        return refuse_arrival(tunnel, arrival, STATUS_TRANSPORT_LOST);
    }
    status = hub_admit(tunnel->hub, session->agent);
    if (status != STATUS_OK) {
        forget(session);
        return refuse_arrival(tunnel, arrival, status);
    }
    if (!transport_open(&session->transport, tunnel->transports, arrival->fd,
                        arrival->ssl, WS_SERVER, agent_link(session->agent),
                        arrival->early, &transport_ops, session)) {
        abandon(session);
        return refuse_arrival(tunnel, arrival, STATUS_TRANSPORT_LOST);
    }
    session->number = ++tunnel->sessions;
    tunnel->ended.sessions_opened++;
    say(LOG_INFO, "agent_connected", session,
        log_string("remote", session->remote));
    mark_seen(session);
    settle(session);
    return STATUS_OK;
}

bool tunnel_disconnect(struct tunnel *tunnel,
                       const uint8_t uuid[AGENT_UUID_SIZE], enum status status)
{
    struct agent *agent = hub_find(tunnel->hub, uuid);

    tunnel->disconnects++;
    if (agent == NULL) {
        return false;
    }
    agent_close(agent, status);
    settle(agent_user(agent));
    return true;
}

void tunnel_prepare(const struct tunnel *tunnel, int fd)
{
    transport_prepare(tunnel->transports, fd);
}

uint64_t tunnel_disconnects(const struct tunnel *tunnel)
{
    return tunnel->disconnects;
}

void tunnel_drain(struct tunnel *tunnel, void (*drained)(void *user),
                  void *user)
{
    struct agent *agent = NULL;

    tunnel->drained = drained;
    tunnel->drained_user = user;
    hub_drain(tunnel->hub, loop_now_ms(tunnel->loop));
    while ((agent = hub_next(tunnel->hub, agent)) != NULL) {
        settle_one(agent_user(agent));
    }
    settle_others(tunnel);
    check_drained(tunnel);
}

void tunnel_end(struct tunnel *tunnel)
{
    struct agent *agent = NULL;

    while ((agent = hub_next(tunnel->hub, agent)) != NULL) {
        agent_close(agent, STATUS_SHUT_DOWN);
        settle_one(agent_user(agent));
    }
    settle_others(tunnel);
}

/* ---- questions ----------------------------------------------------------- */

static void view_of(const struct agent *agent, struct tunnel_view *view)
{
    const struct session *session = agent_user(agent);
    struct link *link = agent_link(session->agent);

    memcpy(view->uuid, agent_uuid(agent), sizeof view->uuid);
    view->session = session->number;
    view->state = agent_state(agent);
    agent_address(agent, view->address);
    memcpy(view->remote, session->remote, sizeof view->remote);
    view->since_ms = session->since_ms;
    view->write_enabled = session->write_enabled;
    view->connections = link_conn_count(link);
    view->connections_opened = session->opened;
    view->connections_refused = session->refused;
    view->bytes_to_agent = link_counters(link)->data_bytes_out;
    view->bytes_from_agent = link_counters(link)->data_bytes_in;
    view->rtt_ms = link_rtt_ms(link);
}

bool tunnel_find(const struct tunnel *tunnel,
                 const uint8_t uuid[AGENT_UUID_SIZE], struct tunnel_view *view)
{
    const struct agent *agent = hub_find(tunnel->hub, uuid);

    if (agent == NULL) {
        return false;
    }
    view_of(agent, view);
    return true;
}

bool tunnel_next(const struct tunnel *tunnel, const void **cursor,
                 struct tunnel_view *view)
{
    const struct agent *agent = *cursor;

    while ((agent = hub_next(tunnel->hub, agent)) != NULL) {
        if (hub_find(tunnel->hub, agent_uuid(agent)) == agent) {
            *cursor = agent;
            view_of(agent, view);
            return true;
        }
    }
    return false;
}

void tunnel_totals(const struct tunnel *tunnel, struct tunnel_totals *totals)
{
    const struct agent *agent = NULL;

    *totals = tunnel->ended;
    totals->sessions = hub_count(tunnel->hub);
    totals->connections = tunnel->connections;
    totals->listeners = tunnel->listeners;
    totals->spilled_bytes = spill_counters(tunnel->spills)->used;
    totals->window_growth = tunnel->growth.used;
    totals->accepts_shed = acceptor_counters()->refused;
    while ((agent = hub_next(tunnel->hub, agent)) != NULL) {
        const struct session *session = agent_user(agent);
        const struct mux_counters *counters =
            link_counters(agent_link(session->agent));
        totals->bytes_to_agents += counters->data_bytes_out;
        totals->bytes_from_agents += counters->data_bytes_in;
    }
}

bool tunnel_draining(const struct tunnel *tunnel)
{
    return hub_draining(tunnel->hub);
}

/* ---- life ---------------------------------------------------------------- */

static void configure(struct tunnel *tunnel, const struct config *config)
{
    struct agent_config *agent = &tunnel->agent;
    struct mux_config *mux = &agent->link.mux;

    agent_config_default(agent);
    mux->outbound_max = (uint32_t)config->streams_max;
    mux->recv_window = (uint32_t)config->recv_window;
    mux->growth_max = (uint32_t)config->recv_window_growth;
    mux->growth = &tunnel->growth;
    /* Grown windows alone never use the spill up. */
    tunnel->growth.max = config->spill_max / 2;
    mux->ping_interval_ms = config->ping_interval_ms;
    mux->ping_missed_max = (uint32_t)config->ping_missed;
    mux->open_timeout_ms = config->open_timeout_ms;
    agent->link.linger_ms = config->linger_timeout_ms;
    agent->drain_timeout_ms = config->drain_timeout_ms;
    tunnel->opens_per_s = config->opens_per_second;
    tunnel->agents_max = (uint32_t)config->agents_max;
}

/* Which ports are in quarantine from before the start (L-10). */
static bool restore_ports(struct tunnel *tunnel, const struct config *config)
{
    struct store_port *ports;
    size_t count;
    int64_t since_ms = unix_ms() - (int64_t)config->port_quarantine_ms;

    if (store_ports(tunnel->store, since_ms * NS_PER_MS, &ports, &count) !=
        STORE_OK) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        port_use(tunnel->ports, ports[i].port, ports[i].agent.bytes,
                 (uint64_t)(ports[i].used_at / NS_PER_MS));
    }
    free(ports);
    return true;
}

static bool create_parts(struct tunnel *tunnel, const struct config *config)
{
    struct hub_config hub = {.agents_max = tunnel->agents_max};
    struct port_config ports = {.quarantine_ms = config->port_quarantine_ms};
    struct transport_config transports;
    uint64_t secrets[6];
    void *memory;

    if (sys_getrandom(secrets, sizeof secrets, 0) != (ssize_t)sizeof secrets) {
        return false;
    }
    memcpy(hub.hash_key, secrets, sizeof hub.hash_key);
    memcpy(ports.hash_key, secrets + 2, sizeof ports.hash_key);
    memcpy(tunnel->agent.link.mux.hash_key, secrets + 4,
           sizeof tunnel->agent.link.mux.hash_key);
    transport_config_default(&transports);
    tunnel->spills = spill_pool_create((size_t)config->spill_max);
    if (tunnel->spills == NULL) {
        return false;
    }
    tunnel->transports =
        transport_pool_create(tunnel->loop, tunnel->spills, &transports);
    memory = map_create(hub_size(&hub));
    if (memory != NULL) {
        tunnel->hub_size = hub_size(&hub);
        tunnel->hub = hub_init(memory, hub_size(&hub), &hub);
    }
    memory = map_create(port_size());
    if (memory != NULL) {
        tunnel->ports = port_init(memory, port_size(), &ports);
    }
    return tunnel->transports != NULL && tunnel->hub != NULL &&
           tunnel->ports != NULL && restore_ports(tunnel, config);
}

struct tunnel *tunnel_create(const struct config *config, struct loop *loop,
                             struct store *store)
{
    struct tunnel *tunnel = calloc(1, sizeof *tunnel);

    if (tunnel == NULL) {
        return NULL;
    }
    tunnel->loop = loop;
    tunnel->store = store;
    tunnel->drained_task =
        (struct loop_task){.run = run_drained, .user = tunnel};
    refusal_init(&tunnel->refusals, loop);
    configure(tunnel, config);
    if (!create_parts(tunnel, config)) {
        tunnel_destroy(tunnel);
        return NULL;
    }
    return tunnel;
}

void tunnel_destroy(struct tunnel *tunnel)
{
    if (tunnel == NULL) {
        return;
    }
    loop_cancel(tunnel->loop, &tunnel->drained_task);
    refusal_end(&tunnel->refusals);
    if (tunnel->transports != NULL) {
        transport_pool_destroy(tunnel->transports);
    }
    if (tunnel->spills != NULL) {
        spill_pool_destroy(tunnel->spills);
    }
    map_destroy(tunnel->hub, tunnel->hub_size);
    map_destroy(tunnel->ports, port_size());
    free(tunnel);
}
