#include "core/test/site.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS_MAX 100000

static void tell(struct session *session, const char *what)
{
    struct site *site = session->site;
    size_t used = strlen(site->story);

    assert_true(used + strlen(what) + 8 < sizeof site->story);
    (void)snprintf(site->story + used, sizeof site->story - used, "%s %s\n",
                   session->name, what);
}

void site_expect(struct site *site, const char *story)
{
    assert_string_equal(site->story, story);
    site->story[0] = '\0';
}

static void uuid_of(char agent, uint8_t uuid[AGENT_UUID_SIZE])
{
    memset(uuid, agent, AGENT_UUID_SIZE);
}

struct agent *site_find(const struct site *site, char agent)
{
    uint8_t uuid[AGENT_UUID_SIZE];

    uuid_of(agent, uuid);
    return hub_find(site->hub, uuid);
}

/* ---- the world from outside ---------------------------------------------- */

static void look_at(const struct session *session)
{
    const struct agent *agent = session->agent;
    enum agent_state state = agent_state(agent);
    char address[AGENT_ADDRESS_SIZE];
    char expected[AGENT_ADDRESS_SIZE] = "";

    agent_address(agent, address);
    if (session->has_listener) {
        (void)snprintf(expected, sizeof expected, "127.0.0.1:%u",
                       session->port);
    }
    assert_string_equal(address, expected);
    assert_int_equal(agent_port(agent), session->port);
    assert_false(session->has_listener && !session->has_transport);
    assert_int_equal(agent_status(agent) == STATUS_OK, state < AGENT_CLOSING);
    if (state == AGENT_CLOSED) {
        assert_false(session->has_listener || session->has_transport);
    }
}

static void look(const struct site *site)
{
    for (size_t i = 0; i < site->session_count; i++) {
        const struct session *a = site->sessions[i];
        if (a->agent == NULL) {
            continue;
        }
        look_at(a);
        for (size_t j = 0; j < i; j++) {
            const struct session *b = site->sessions[j];
            if (b->agent == NULL || b->name[0] != a->name[0]) {
                continue;
            }
            assert_false(a->has_listener && b->has_listener);
            assert_false(agent_state(a->agent) < AGENT_CLOSING &&
                         agent_state(b->agent) < AGENT_CLOSING);
        }
    }
    hub_invariant(site->hub);
}

/* ---- deeds --------------------------------------------------------------- */

static void start_listener(struct session *session)
{
    uint16_t port = (uint16_t)(40000 + ++session->site->ports);

    assert_int_equal(agent_listen(session->agent), STATUS_OK);
    if (session->bind_fails) {
        agent_listen_failed(session->agent);
        tell(session, "cannot listen");
        return;
    }
    session->has_listener = agent_listening(session->agent, port);
    session->port = session->has_listener ? port : 0;
    tell(session, session->has_listener ? "listens" : "listens too late");
}

static void stop_listener(struct session *session)
{
    session->has_listener = false;
    session->port = 0;
    agent_unlistened(session->agent);
    tell(session, "stops listening");
}

static void hang_up(struct session *session)
{
    session->has_transport = false;
    agent_hung_up(session->agent);
    tell(session, "hangs up");
}

static void release(struct session *session)
{
    struct agent *agent = session->agent;

    hub_release(session->site->hub, agent);
    session->ended = agent_status(agent);
    session->agent = NULL;
    pair_end(&session->pair);
    memset(agent, 0xdd, 64); /* nobody may look at it any more */
    free(agent);
    tell(session, "is gone");
}

/* The sockets and the wire of this session. */
static void pump(struct session *session)
{
    struct pair *pair = &session->pair;

    pair->now_ms = session->site->now_ms;
    pair_act(pair, SERVER, SIZE_MAX);
    if (session->has_transport && !session->is_cut) {
        pair_deliver(pair, AGENT, SIZE_MAX);
        pair_act(pair, AGENT, SIZE_MAX);
        pair_deliver(pair, SERVER, SIZE_MAX);
        pair_act(pair, SERVER, SIZE_MAX);
    }
}

static bool is_moving(const struct session *session)
{
    const struct pair *pair = &session->pair;
    bool connected = session->has_transport && !session->is_cut;

    return (agent_wants(session->agent) & AGENT_WANTS_CHANGES) != 0 ||
           (connected && !pair_is_at_rest(pair));
}

void session_lose(struct session *session)
{
    session->is_cut = true;
    link_fail(agent_link(session->agent), STATUS_TRANSPORT_LOST);
    agent_step(session->agent, session->site->now_ms);
    hub_step(session->site->hub, session->agent);
    tell(session, "loses its transport");
    look(session->site);
}

bool session_act(struct session *session)
{
    struct site *site = session->site;
    bool acted = true;

    if (session->agent == NULL) {
        return false;
    }
    unsigned wants = agent_wants(session->agent);
    if (wants & AGENT_WANTS_UNLISTEN) {
        stop_listener(session);
    } else if (wants & AGENT_WANTS_LISTENER) {
        start_listener(session);
    } else if (wants & AGENT_WANTS_HANGUP) {
        hang_up(session);
    } else if (is_moving(session)) {
        pump(session);
    } else {
        acted = false;
    }
    agent_step(session->agent, site->now_ms);
    hub_step(site->hub, session->agent);
    if (agent_state(session->agent) == AGENT_CLOSED) {
        release(session);
        acted = true;
    }
    look(site);
    return acted;
}

void site_run(struct site *site)
{
    bool acted;
    int rounds = 0;

    do {
        assert_true(++rounds < ROUNDS_MAX);
        acted = false;
        for (size_t i = 0; i < site->session_count; i++) {
            acted = session_act(site->sessions[i]) || acted;
        }
        while (hub_next_change(site->hub) != NULL) {
            acted = true;
        }
    } while (acted);
}

void site_wait(struct site *site, uint64_t delay_ms)
{
    uint64_t until_ms = site->now_ms + delay_ms;

    site_run(site);
    for (int rounds = 0;; rounds++) {
        uint64_t next_ms = until_ms;
        assert_true(rounds < ROUNDS_MAX);
        for (size_t i = 0; i < site->session_count; i++) {
            struct session *session = site->sessions[i];
            if (session->agent == NULL) {
                continue;
            }
            uint64_t server_ms = agent_deadline(session->agent);
            uint64_t agent_ms = link_deadline(session->pair.ends[AGENT].link);
            next_ms = server_ms < next_ms ? server_ms : next_ms;
            next_ms = agent_ms < next_ms ? agent_ms : next_ms;
        }
        site->now_ms = next_ms > site->now_ms ? next_ms : site->now_ms;
        for (size_t i = 0; i < site->session_count; i++) {
            struct session *session = site->sessions[i];
            if (session->agent != NULL) {
                agent_tick(session->agent, site->now_ms);
                link_tick(session->pair.ends[AGENT].link, site->now_ms);
                hub_step(site->hub, session->agent);
            }
        }
        site_run(site);
        if (site->now_ms >= until_ms) {
            return;
        }
    }
}

/* ---- agents and clients -------------------------------------------------- */

struct session *site_arrive(struct site *site, char agent)
{
    struct agent_config config = site->config;
    size_t size = agent_size(&config);
    struct session *session = calloc(1, sizeof *session);
    int number = 1;

    assert_non_null(session);
    assert_true(site->session_count < SITE_SESSIONS);
    for (size_t i = 0; i < site->session_count; i++) {
        number += site->sessions[i]->name[0] == agent ? 1 : 0;
    }
    (void)snprintf(session->name, sizeof session->name, "%c%d", agent,
                   number % 100);
    site->sessions[site->session_count++] = session;
    uuid_of(agent, config.uuid);
    config.user = session;
    void *memory = calloc(1, size);
    assert_non_null(memory);
    session->site = site;
    session->has_transport = true;
    session->agent = agent_init(memory, size, &config, site->now_ms);
    session->refusal = hub_admit(site->hub, session->agent);
    pair_start_with(&session->pair, agent_link(session->agent), NULL,
                    (uint32_t)site->session_count);
    session->pair.now_ms = site->now_ms;
    if (session->refusal != STATUS_OK) {
        tell(session, "is refused");
        pair_end(&session->pair);
        free(session->agent);
        session->agent = NULL;
    } else {
        tell(session, "arrives");
    }
    look(site);
    return session;
}

struct session *site_connect(struct site *site, char agent)
{
    struct session *session = site_arrive(site, agent);

    site_run(site);
    return session;
}

struct sock *site_try_dial(struct session *session, enum status *status)
{
    struct end *server = &session->pair.ends[SERVER];
    uint32_t conn;

    *status = STATUS_OK;
    if (session->agent == NULL || !session->has_listener) {
        return NULL; /* connection refused */
    }
    *status = agent_open(session->agent, session->site->now_ms,
                         &server->socks[server->sock_count], &conn);
    return *status == STATUS_OK ? pair_adopt(&session->pair, conn) : NULL;
}

struct sock *site_dial(struct session *session)
{
    enum status status;
    struct sock *client = site_try_dial(session, &status);

    assert_non_null(client);
    site_run(session->site);
    assert_non_null(client->peer);
    return client;
}

/* ---- beginning and end --------------------------------------------------- */

void site_start(struct site *site, uint32_t agents_max)
{
    const struct hub_config config = {agents_max, {3, 4}};
    size_t size = hub_size(&config);

    memset(site, 0, sizeof *site);
    void *memory = calloc(1, size);
    assert_non_null(memory);
    site->hub = hub_init(memory, size, &config);
    site->now_ms = 1000;
    agent_config_default(&site->config);
    site->config.link.mux.ping_interval_ms = 0;
}

void site_end(struct site *site)
{
    for (size_t i = 0; i < site->session_count; i++) {
        struct session *session = site->sessions[i];
        if (session->agent != NULL) {
            pair_end(&session->pair);
            free(session->agent);
        }
        free(session);
    }
    free(site->hub);
}
