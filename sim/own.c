/* Our own agent: the core in the client role. agent/runner.c, dial.c and
 * tunnel.c of the product over modelled sockets. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/contract.h"
#include "sim/own_internal.h"

#define HEAD_MAX 256u
#define DIAL_MS 10000u
#define UNAUTHORIZED_MS 10000u
#define GROWTH_MAX 16u /* doublings of a delay: beyond any maximum */

enum phase {
    RESTING,  /* until it dials again */
    DIALLING, /* TCP */
    ASKING,   /* the upgrade's head goes out */
    AWAITING, /* its answer comes in */
    CONNECTED,
    GONE /* the process has ended */
};

struct tunnel { /* the link stands behind it */
    struct remote *remote;
    struct transport transport;
    struct link *link;
    uint64_t opened_ms;
};

struct remote { /* memory of the world */
    struct site *site;
    struct sim *sim;
    struct process *process;
    char key[WORLD_KEY_SIZE];
    bool allow_all;
    struct loop loop;
    struct chance chance;
    struct transport_pool transports;
    struct spill_pool spills;
    struct mux_growth growth; /* of the tunnel's receive windows */
    struct own_pool streams;
    enum phase phase;
    bool stopping;
    uint64_t min_ms, max_ms, drain_ms; /* knobs */
    uint32_t row;                      /* of failed dials */
    struct socket *socket;             /* until a tunnel has it */
    struct socket *link;               /* the same, also after that */
    struct job *job;                   /* of the dial; the next; the drain */
    uint64_t deadline_ms;
    char head[HEAD_MAX];
    size_t length, sent;
    struct tunnel *tunnel; /* NULL: not connected */
};

static void dial(struct remote *remote);

/* ---- the end of the process ---------------------------------------------- */

/* The world sees a connection no more than there is one. */
static void forget_link(struct remote *remote)
{
    if (remote->site->link == remote->link) {
        remote->site->link = NULL;
    }
    remote->link = NULL;
}

static void drop_all(struct remote *remote)
{
    loop_end(&remote->loop);
    transport_pool_end(&remote->transports);
    remote->tunnel = NULL;
    remote->socket = NULL;
    remote->job = NULL;
    remote->streams.first = NULL;
    remote->streams.spare = NULL;
    remote->phase = GONE;
    forget_link(remote);
}

static void leave(struct remote *remote)
{
    struct process *process = remote->process;

    own_pool_end(&remote->streams);
    drop_all(remote);
    process_expect_empty(process);
    sim_say(remote->sim, process->name, "exits");
    process_kill(process, PROCESS_EXITS);
}

/* ---- waiting ------------------------------------------------------------- */

/* agent/backoff.h: doubled with every failure in a row, moved by chance by up
 * to half of itself either way. */
static uint64_t next_delay(struct remote *remote, uint64_t lived_ms)
{
    uint64_t most_ms = remote->max_ms * 2 / 3;
    uint64_t mean_ms = remote->min_ms;

    if (lived_ms >= remote->max_ms) {
        remote->row = 0;
    }
    mean_ms <<= remote->row < GROWTH_MAX ? remote->row : GROWTH_MAX;
    remote->row++;
    if (mean_ms > most_ms) {
        mean_ms = most_ms;
    }
    return chance_between(&remote->chance, mean_ms / 2, mean_ms * 3 / 2);
}

static void rest(struct remote *remote, uint64_t delay_ms)
{
    remote->phase = RESTING;
    remote->deadline_ms = loop_now_ms(&remote->loop) + delay_ms;
    job_by_ms(remote->job, remote->deadline_ms);
}

static void close_dial(struct remote *remote)
{
    if (remote->socket != NULL) {
        forget_link(remote);
        socket_close(remote->socket);
        remote->socket = NULL;
    }
}

static void dial_failed(struct remote *remote, const char *why, bool refused)
{
    close_dial(remote);
    sim_say(remote->sim, remote->process->name, "cannot connect: %s", why);
    rest(remote, refused ? chance_between(&remote->chance, UNAUTHORIZED_MS / 2,
                                          UNAUTHORIZED_MS * 3 / 2)
                         : next_delay(remote, 0));
}

/* ---- the tunnel ---------------------------------------------------------- */

static void on_offered(struct transport *transport, uint32_t id)
{
    struct tunnel *tunnel = transport->user;
    own_stream_offer(&tunnel->remote->streams, transport, id);
}

static void on_step(struct transport *transport)
{
    struct tunnel *tunnel = transport->user;
    struct remote *remote = tunnel->remote;

    if (transport->socket == NULL) {
        forget_link(remote);
    }
    if ((link_wants(tunnel->link) & LINK_IS_OVER) != 0) {
        transport_close(transport,
                        status_go_away(link_status(tunnel->link)) != 0
                            ? WS_CLOSE_PROTOCOL
                            : WS_CLOSE_GOING_AWAY);
    } else if (remote->stopping && link_conn_count(tunnel->link) == 0) {
        transport_close(transport, WS_CLOSE_GOING_AWAY);
    }
}

static void on_ended(struct transport *transport)
{
    struct tunnel *tunnel = transport->user;
    struct remote *remote = tunnel->remote;
    uint64_t lived_ms = loop_now_ms(&remote->loop) - tunnel->opened_ms;
    enum status status = link_status(tunnel->link);

    sim_say(remote->sim, remote->process->name, "lost its session: %s",
            transport->reason != NULL ? transport->reason
                                      : status_text(status));
    process_release(remote->process, tunnel);
    remote->tunnel = NULL;
    if (remote->stopping) {
        leave(remote);
    } else {
        rest(remote, next_delay(remote, lived_ms));
    }
}

static const struct transport_ops transport_ops = {
    .offered = on_offered, .step = on_step, .ended = on_ended};

static size_t tunnel_front(void)
{
    return (sizeof(struct tunnel) + 63u) & ~(size_t)63u;
}

/* The existing server opens streams and never expects one (a.4). */
static void configure(struct remote *remote, struct link_config *config)
{
    link_config_default(config, MUX_CLIENT);
    config->mux.outbound_max = 0;
    config->mux.hash_key[0] = chance_next(&remote->chance);
    config->mux.hash_key[1] = chance_next(&remote->chance);
    config->mux.growth_max = 32u << 20;
    config->mux.growth = &remote->growth;
    remote->growth = (struct mux_growth){.max = 32u << 20};
}

/* False: no memory; the socket is still the dial's. */
static bool tunnel_open(struct remote *remote, struct span early)
{
    struct link_config config;
    struct legal_config legal = {.who = remote->process->name, .accepts = true};
    struct tunnel *tunnel;
    size_t size;

    configure(remote, &config);
    legal.payload_max = config.mux.frame_payload_max;
    legal.window = config.mux.recv_window;
    legal.growth = config.mux.growth_max;
    size = link_size(&config);
    tunnel = process_alloc(remote->process, tunnel_front() + size);
    if (tunnel == NULL) {
        return false;
    }
    tunnel->remote = remote;
    tunnel->opened_ms = loop_now_ms(&remote->loop);
    tunnel->link = link_init((uint8_t *)tunnel + tunnel_front(), size, &config,
                             tunnel->opened_ms);
    if (!transport_open(&tunnel->transport, &remote->transports, remote->socket,
                        WS_CLIENT, tunnel->link, early, &legal, &transport_ops,
                        tunnel)) {
        process_release(remote->process, tunnel);
        return false;
    }
    remote->tunnel = tunnel;
    remote->socket = NULL;
    return true;
}

/* ---- dialling ------------------------------------------------------------ */

static void ask(struct remote *remote)
{
    const uint8_t *head = (const uint8_t *)remote->head;

    while (remote->sent < remote->length) {
        size_t done = 0;
        enum socket_result result =
            socket_send(remote->socket, head + remote->sent,
                        remote->length - remote->sent, &done);
        if (result == SOCKET_WAIT) {
            return;
        }
        if (result != SOCKET_MORE) {
            dial_failed(remote, "the connection failed", false);
            return;
        }
        remote->sent += done;
    }
    remote->phase = AWAITING;
    remote->length = 0;
    job_wake(remote->job);
}

static void answered(struct remote *remote, size_t head_length)
{
    const uint8_t *bytes = (const uint8_t *)remote->head;
    struct span early = {bytes + head_length, remote->length - head_length};

    if (remote->length < 12 || memcmp(remote->head, "HTTP/1.1 ", 9) != 0) {
        dial_failed(remote, "the answer is not HTTP", false);
    } else if (memcmp(remote->head + 9, "101", 3) != 0) {
        bool refused = memcmp(remote->head + 9, "401", 3) == 0;
        dial_failed(remote, refused ? "401" : "not 101", refused);
    } else if (!tunnel_open(remote, early)) {
        dial_failed(remote, "no memory", false);
    } else {
        remote->phase = CONNECTED;
        sim_say(remote->sim, remote->process->name, "connected");
    }
}

/* What comes behind the head is the WebSocket's. */
static void await(struct remote *remote)
{
    while (remote->length < HEAD_MAX) {
        size_t done = 0;
        switch (socket_receive(remote->socket,
                               (uint8_t *)remote->head + remote->length,
                               HEAD_MAX - remote->length, &done)) {
        case SOCKET_MORE:
            break;
        case SOCKET_WAIT:
            return;
        case SOCKET_FINISHED:
        case SOCKET_BROKEN:
            dial_failed(remote, "the server closed the connection", false);
            return;
        }
        remote->length += done;
        for (size_t i = 4; i <= remote->length; i++) {
            if (memcmp(remote->head + i - 4, "\r\n\r\n", 4) == 0) {
                answered(remote, i);
                return;
            }
        }
    }
    dial_failed(remote, "the answer's head is too large", false);
}

static void look_at_dial(struct remote *remote)
{
    switch (socket_state(remote->socket)) {
    case SOCKET_CONNECTING:
        break;
    case SOCKET_FAILED:
        dial_failed(remote, "connection refused", false);
        break;
    case SOCKET_OPEN:
        remote->phase = ASKING;
        remote->sent = 0;
        remote->length = (size_t)snprintf(
            remote->head, sizeof remote->head,
            "GET " REMOTE_PATH " HTTP/1.1\r\nAuthorization: Bearer %s\r\n\r\n",
            remote->key);
        ask(remote);
        break;
    }
}

/* One turn of whatever goes on while there is no tunnel; of a tunnel's drain,
 * the end. */
static void run(void *user)
{
    struct remote *remote = user;
    uint64_t now_ms = loop_now_ms(&remote->loop);
    bool late = now_ms >= remote->deadline_ms;

    switch (remote->phase) {
    case RESTING:
        if (late) {
            dial(remote);
            return;
        }
        break;
    case DIALLING:
    case ASKING:
    case AWAITING:
        if (late) {
            dial_failed(remote, "no answer in time", false);
            return;
        }
        if (remote->phase == DIALLING) {
            look_at_dial(remote);
        } else if (remote->phase == ASKING) {
            ask(remote);
        } else {
            await(remote);
        }
        break;
    case CONNECTED:
        if (remote->stopping && late) {
            sim_met(remote->sim, MET_DRAIN_LATE);
            transport_close(&remote->tunnel->transport, WS_CLOSE_GOING_AWAY);
            remote->deadline_ms = UINT64_MAX; /* the transport has its own */
        }
        break;
    case GONE:
        return;
    }
    if (remote->phase != CONNECTED || remote->stopping) {
        job_by_ms(remote->job, remote->deadline_ms);
    }
}

static void on_ready(void *user)
{
    struct remote *remote = user;
    job_wake(remote->job);
}

static void dial(struct remote *remote)
{
    struct site *site = remote->site;

    remote->socket =
        socket_connect(remote->process, ADDRESS_SERVER, &site->there,
                       &site->back, on_ready, remote);
    if (remote->socket == NULL) {
        dial_failed(remote, "no descriptor", false);
        return;
    }
    site->link = remote->link = remote->socket;
    remote->phase = DIALLING;
    remote->deadline_ms = loop_now_ms(&remote->loop) + DIAL_MS;
    job_by_ms(remote->job, remote->deadline_ms);
}

/* ---- the agent as a whole ------------------------------------------------ */

static struct remote *start(struct site *site, const char *key, bool allow_all)
{
    struct process *process = &site->agent_process;
    struct remote *remote = sim_alloc(process->sim, sizeof *remote);
    uint64_t index = (uint64_t)site->index << 32 | process->lives;

    remote->site = site;
    remote->sim = process->sim;
    remote->process = process;
    remote->allow_all = allow_all;
    remote->chance = chance_of(sim_seed(process->sim), "own", index);
    (void)snprintf(remote->key, sizeof remote->key, "%s", key);
    loop_init(&remote->loop, process->sim);
    transport_pool_init(&remote->transports, &remote->loop, process,
                        chance_of(sim_seed(process->sim), "own-link", index));
    remote->spills = (struct spill_pool){.process = process};
    remote->streams = (struct own_pool){.loop = &remote->loop,
                                        .spills = &remote->spills,
                                        .site = site,
                                        .allow_all = allow_all};
    filter_config_default(&remote->streams.filter);
    remote->min_ms = chance_between(&remote->chance, 100, 5000);
    remote->max_ms = chance_between(&remote->chance, 5000, 20000);
    remote->drain_ms = chance_between(&remote->chance, 100, 30000);
    remote->job = job_new(&remote->loop, run, remote);
    rest(remote, 0);
    return remote;
}

static struct remote *start_filtered(struct site *site, const char *key)
{
    return start(site, key, false);
}

static struct remote *start_open(struct site *site, const char *key)
{
    return start(site, key, true);
}

static void stop(struct remote *remote)
{
    if (remote->phase == GONE || remote->stopping) {
        return;
    }
    remote->stopping = true;
    sim_say(remote->sim, remote->process->name, "stops");
    if (remote->phase != CONNECTED) {
        close_dial(remote);
        leave(remote);
        return;
    }
    sim_met(remote->sim, MET_AGENT_DRAINED);
    remote->deadline_ms = loop_now_ms(&remote->loop) + remote->drain_ms;
    job_by_ms(remote->job, remote->deadline_ms);
    link_go_away(remote->tunnel->link, true);
    transport_wake(&remote->tunnel->transport);
    own_pool_drain(&remote->streams);
}

static void forget(struct remote *remote)
{
    drop_all(remote);
}

static void expect_idle(struct remote *remote)
{
    if (remote->phase != CONNECTED) {
        return; /* whether it may be so is for others to say */
    }
    if (remote->streams.first != NULL ||
        link_conn_count(remote->tunnel->link) > 0) {
        sim_fail(remote->sim, "leak", "%s is left with %u streams",
                 remote->process->name, link_conn_count(remote->tunnel->link));
    }
    if (remote->spills.memory > 0) {
        sim_fail(remote->sim, "leak", "%s holds bytes for nobody",
                 remote->process->name);
    }
    if (remote->growth.used > 0) {
        sim_fail(remote->sim, "leak", "%s has grown windows without streams",
                 remote->process->name);
    }
}

const struct remote_ops remote_own = {.start = start_filtered,
                                      .stop = stop,
                                      .forget = forget,
                                      .expect_idle = expect_idle};
const struct remote_ops remote_own_all = {.start = start_open,
                                          .stop = stop,
                                          .forget = forget,
                                          .expect_idle = expect_idle};
