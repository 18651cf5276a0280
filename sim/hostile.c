/* hostile.c: an agent with a good key that breaks a drawn rule at a drawn time,
 * again and again. It owes its clients nothing, but the server owes everybody
 * else that they do not notice (O16), and itself that it stays within bounds.
 */
#include "sim/naive.h"

#include <stdio.h>
#include <string.h>

#include "sim/remote.h"
#include "sim/server.h"

#define FIRST_MOST_US (20 * SIM_S)
#define NEXT_MOST_US (5 * SIM_S)
#define DOOM_US (90 * SIM_S) /* a stall, a pause, and a while */
#define FLOOD 1500u
#define BODY_SIZE 32u
#define UNKNOWN_ID 100000u

struct remote {
    struct plain_agent agent;
    uint64_t strike_us;
    bool has_lied;    /* of a length: what follows may be taken for payload */
    uint64_t doom_us; /* the session must be over by then; SIM_NEVER */
    bool is_stranger; /* the key that it shows is nobody's, or is not whole */
    bool says_more;   /* and goes on without an end */
};

struct blow { /* one illegal, or useless, frame; so many times */
    uint8_t version, type;
    uint16_t flags;
    enum { ON_SESSION, ON_STREAM, ON_UNKNOWN, ON_OWN } id;
    uint32_t length, body, times;
    bool is_fatal; /* whatever streams there are */
};

static const struct blow blows[] = {
    {.version = 1, .type = PLAIN_DATA, .times = 1, .is_fatal = true},
    {.type = 9, .times = 1, .is_fatal = true},
    {.type = PLAIN_DATA, .id = ON_UNKNOWN, .length = 5, .body = 5, .times = 1},
    {.type = PLAIN_DATA,
     .id = ON_UNKNOWN,
     .length = UINT32_MAX,
     .times = 1}, /* W-06 */
    {.type = PLAIN_WINDOW_UPDATE, .id = ON_UNKNOWN, .length = 5, .times = 1},
    {.type = PLAIN_DATA, .id = ON_SESSION, .length = 1, .body = 1, .times = 1},
    {.type = PLAIN_DATA, .id = ON_STREAM, .length = 0x7fffffff, .times = 1},
    {.type = PLAIN_DATA, .id = ON_STREAM, .times = FLOOD},
    {.type = PLAIN_DATA, .flags = PLAIN_FIN, .id = ON_STREAM, .times = 2},
    {.type = PLAIN_DATA, .flags = PLAIN_SYN, .id = ON_STREAM, .times = 1},
    {.type = PLAIN_DATA, .flags = 0xff00, .id = ON_STREAM, .times = 3},
    {.type = PLAIN_WINDOW_UPDATE,
     .id = ON_STREAM,
     .length = UINT32_MAX,
     .times = 2},
    {.type = PLAIN_WINDOW_UPDATE,
     .id = ON_STREAM,
     .length = UINT32_MAX - PLAIN_WINDOW + 1, /* CVE-2026-31814 */
     .times = 1},
    {.type = PLAIN_WINDOW_UPDATE, .id = ON_STREAM, .times = FLOOD},
    {.type = PLAIN_WINDOW_UPDATE,
     .flags = PLAIN_ACK,
     .id = ON_STREAM,
     .times = 9},
    {.type = PLAIN_WINDOW_UPDATE,
     .flags = PLAIN_RST,
     .id = ON_STREAM,
     .times = 2},
    {.type = PLAIN_WINDOW_UPDATE, .flags = PLAIN_SYN, .id = ON_OWN, .times = 1},
    {.type = PLAIN_WINDOW_UPDATE,
     .flags = PLAIN_SYN,
     .id = ON_OWN,
     .times = FLOOD},
    {.type = PLAIN_WINDOW_UPDATE,
     .flags = PLAIN_SYN | PLAIN_RST,
     .id = ON_OWN,
     .times = FLOOD},
    {.type = PLAIN_ECHO, .flags = PLAIN_SYN, .times = FLOOD},
    {.type = PLAIN_ECHO, .flags = PLAIN_SYN, .times = 5},
    {.type = PLAIN_ECHO, .flags = PLAIN_ACK, .length = 77, .times = 1},
    {.type = PLAIN_ECHO,
     .flags = PLAIN_SYN,
     .id = ON_UNKNOWN,
     .times = 1,
     .is_fatal = true},
    {.type = PLAIN_GO_AWAY, .times = 1},
    {.type = PLAIN_GO_AWAY, .length = 1, .times = 1},
    {.type = PLAIN_GO_AWAY, .id = ON_UNKNOWN, .times = 1, .is_fatal = true},
};
#define BLOWS ((uint32_t)(sizeof blows / sizeof *blows))

static struct remote *remote_of(struct plain_agent *agent)
{
    return (struct remote *)agent;
}

static uint32_t id_of(const struct plain_mux *mux, const struct blow *blow,
                      uint32_t turn)
{
    switch (blow->id) {
    case ON_SESSION:
        break;
    case ON_STREAM:
        return mux->streams != NULL ? mux->streams->id : UNKNOWN_ID;
    case ON_UNKNOWN:
        return UNKNOWN_ID;
    case ON_OWN:
        return 2 * turn + 1;
    }
    return 0;
}

/* Where there is a stream, mostly one that is about it. */
static const struct blow *draw_blow(struct plain_agent *agent)
{
    const struct blow *blow = &blows[chance_below(&agent->chance, BLOWS)];
    uint32_t draws = 0;

    while (agent->link->mux.streams != NULL && blow->id != ON_STREAM &&
           ++draws < 4) {
        blow = &blows[chance_below(&agent->chance, BLOWS)];
    }
    return blow;
}

/* True: the server must end the session for it. */
static bool strike_yamux(struct plain_agent *agent)
{
    static const uint8_t body[BODY_SIZE] = {1};
    const struct blow *blow = draw_blow(agent);
    struct plain_mux *mux = &agent->link->mux;

    bool is_ping = blow->type == PLAIN_ECHO && blow->flags == PLAIN_SYN;

    for (uint32_t i = 0; i < blow->times; i++) {
        const struct plain_frame frame = {.version = blow->version,
                                          .type = blow->type,
                                          .flags = blow->flags,
                                          .id = id_of(mux, blow, i),
                                          .length =
                                              blow->length + (is_ping ? i : 0)};
        plain_mux_frame(mux, &frame, body, blow->body);
    }
    if (blow->type == PLAIN_DATA && blow->length > blow->body) {
        remote_of(agent)->has_lied = true;
    }
    return blow->is_fatal;
}

/* The WebSocket below: first bytes that no client may send. */
static bool strike_ws(struct plain_agent *agent)
{
    static const uint8_t firsts[] = {
        PLAIN_FINAL | 0x40 | PLAIN_BINARY, /* a reserved bit */
        PLAIN_FINAL | 3,                   /* a reserved opcode */
        PLAIN_PING,                        /* a fragmented control frame */
        PLAIN_FINAL | PLAIN_CONTINUATION,  /* of nothing */
        PLAIN_FINAL | PLAIN_PONG,          /* legal, and useless */
    };
    static const uint8_t body[BODY_SIZE] = {0};
    struct plain_ws *ws = &agent->link->ws;
    uint8_t first =
        firsts[chance_below(&agent->chance, (uint32_t)sizeof firsts)];
    bool is_unmasked = chance_in(&agent->chance, 1, 8);

    ws->client = !is_unmasked;
    plain_ws_frame(ws, first, body, 3, NULL, 0);
    ws->client = true;
    return is_unmasked || first != (PLAIN_FINAL | PLAIN_PONG);
}

static void strike_raw(struct plain_agent *agent)
{
    uint8_t bytes[BODY_SIZE];

    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)chance_next(&agent->chance);
    }
    plain_bytes_add(&agent->link->ws.out, bytes, sizeof bytes);
}

static void strike(struct plain_agent *agent)
{
    const struct site *site = agent->site;
    uint32_t kind = chance_below(&agent->chance, 16);
    bool is_fatal = false;

    sim_fault(agent->sim, FAULT_HOSTILE,
              server_state(site->world->server, site));
    if (kind == 0) {
        strike_raw(agent);
        remote_of(agent)->has_lied = true;
    } else {
        is_fatal = kind < 4 ? strike_ws(agent) : strike_yamux(agent);
    }
    if (is_fatal && !remote_of(agent)->has_lied) {
        remote_of(agent)->doom_us = sim_now_us(agent->sim) + DOOM_US;
    }
}

/* Now and then with a key that is almost the right one (AC-16). */
static size_t head(struct plain_agent *agent, char *head, size_t room)
{
    static const struct {
        const char *before, *after;
    } ways[] = {
        {"Authorization: Bearer ", "a"},  {"Authorization: Bearer  ", ""},
        {"Authorization: bearer ", ""},   {"Authorization: Bearer ", " "},
        {"Authorization: ", ""},          {"Authorization: Basic ", ""},
        {"X-Authorization: Bearer ", ""}, {NULL, ""}};
    uint32_t count = (uint32_t)(sizeof ways / sizeof *ways);
    uint32_t way = chance_below(&agent->chance, 8 * count);

    remote_of(agent)->is_stranger = way < count;
    remote_of(agent)->says_more = false;
    if (way >= count) {
        return plain_head(head, room, agent->key);
    }
    if (ways[way].before == NULL) { /* a head without an end, or a long one */
        remote_of(agent)->says_more = chance_in(&agent->chance, 1, 2);
        return plain_head(head, room, agent->key) - 2;
    }
    return (size_t)snprintf(head, room,
                            "GET " REMOTE_PATH " HTTP/1.1\r\n%s%s%s\r\n\r\n",
                            ways[way].before, agent->key, ways[way].after);
}

static void dialled(struct plain_agent *agent)
{
    struct plain *link = agent->link;

    uint8_t more[512];

    memset(more, 'x', sizeof more);
    link->mux.guilty = true;
    link->ws.guilty = true;
    for (unsigned i = 0; remote_of(agent)->says_more && i < 16; i++) {
        plain_bytes_add(&link->ws.out, more, sizeof more);
    }
    remote_of(agent)->doom_us = SIM_NEVER;
    remote_of(agent)->has_lied = false;
    remote_of(agent)->strike_us =
        sim_now_us(agent->sim) + chance_size(&agent->chance, FIRST_MOST_US);
}

/* It likes to strike in the middle of a stream. */
static void event(struct plain_agent *agent, const struct plain_event *event)
{
    naive_event(agent, event);
    if (event->kind == PLAIN_ARRIVED && chance_in(&agent->chance, 1, 4)) {
        remote_of(agent)->strike_us = sim_now_us(agent->sim);
    }
}

static uint64_t tick(struct plain_agent *agent)
{
    struct remote *remote = remote_of(agent);

    if (!plain_agent_is_open(agent)) {
        return SIM_NEVER;
    }
    if (remote->is_stranger) {
        sim_fail(agent->sim, "key", "%s is let in with a key that is not one",
                 agent->who);
    }
    if (remote->doom_us != SIM_NEVER) {
        if (sim_now_us(agent->sim) < remote->doom_us) {
            return remote->doom_us;
        }
        if (agent->site->cut_link != socket_number(agent->link->socket) &&
            socket_peer_process(agent->link->socket) != NULL) {
            sim_fail(agent->sim, "tolerated",
                     "%s broke a rule and its session lives", agent->who);
        }
        plain_agent_hang_up(agent, PLAIN_RESETS); /* nobody is there */
        return SIM_NEVER;
    }
    if (sim_now_us(agent->sim) >= remote->strike_us) {
        strike(agent);
        remote->strike_us = sim_now_us(agent->sim) + SIM_MS +
                            chance_size(&agent->chance, NEXT_MOST_US);
    }
    return remote->doom_us < remote->strike_us ? remote->doom_us
                                               : remote->strike_us;
}

static const struct plain_manner hostile = {.purpose = "hostile",
                                            .pause_us = SIM_S,
                                            .pause_max_us = 15 * SIM_S,
                                            .steady_us = 10 * SIM_S,
                                            .pause_jitter = 50,
                                            .head = head,
                                            .dialled = dialled,
                                            .event = event,
                                            .pump = naive_pump,
                                            .tick = tick,
                                            .lost = naive_lost};

static struct remote *start(struct site *site, const char *key)
{
    struct remote *remote = sim_alloc(site->agent_process.sim, sizeof *remote);

    plain_agent_init(&remote->agent, site, key, &hostile);
    return remote;
}

static void stop(struct remote *remote)
{
    plain_agent_stop(&remote->agent);
}

static void forget(struct remote *remote)
{
    plain_agent_forget(&remote->agent);
    sim_release(remote->agent.sim, remote);
}

static void expect_idle(struct remote *remote)
{
    (void)remote; /* it is thrown out before */
}

const struct remote_ops remote_hostile = {.start = start,
                                          .stop = stop,
                                          .forget = forget,
                                          .expect_idle = expect_idle,
                                          .may_break = true};
