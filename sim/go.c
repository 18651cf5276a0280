/* go.c: the manner of the agents in the field (their yamux is hashicorp's
 * 0.1.2, their WebSocket gorilla's): header and body of a frame are two
 * messages, a message beyond 4096 bytes is fragmented, credit comes when half
 * the window is read, streams are accepted late and pings answered out of order
 * (each has a goroutine), its own ping every 30 s has 10 s for its answer, and
 * it dials again after 5 s, doubled up to 60 s, without jitter. It serves one
 * request a stream (sim/relay.h); the raw one is a plain relay.
 */
#include "sim/naive.h"

#include "sim/relay.h"
#include "sim/remote.h"

#define FRAGMENT 4096u
#define PING_US (30 * SIM_S)
#define ANSWER_US (10 * SIM_S)
#define SLACK_US (400 * SIM_MS)  /* of a scheduler that has much to do */
#define PONG_LATE_US (6 * SIM_S) /* longer than our own ping's interval */

struct remote {
    struct plain_agent agent;
    uint64_t ping_us; /* when the next goes out */
    uint64_t
        answer_us;     /* the last, or the upgrade, by then; SIM_NEVER: it is */
    uint64_t pong_us;  /* one that waits, and others overtake it; SIM_NEVER */
    uint32_t pong;     /* its value */
    uint64_t slack_us; /* how late it accepts a stream, or answers a ping */
};

static struct remote *remote_of(struct plain_agent *agent)
{
    return (struct remote *)agent;
}

/* A goroutine for each. */
static void take_ping(struct plain_agent *agent, uint32_t value)
{
    struct remote *remote = remote_of(agent);

    if (remote->slack_us > 0 && remote->pong_us == SIM_NEVER &&
        chance_in(&agent->chance, 1, 4)) {
        remote->pong = value;
        remote->pong_us =
            sim_now_us(agent->sim) + chance_size(&agent->chance, PONG_LATE_US);
    } else {
        plain_mux_pong(&agent->link->mux, value);
    }
}

static void event(struct plain_agent *agent, const struct plain_event *event)
{
    struct remote *remote = remote_of(agent);

    if (event->kind == PLAIN_OPENED) {
        relay_new(agent, event->stream,
                  sim_now_us(agent->sim) +
                      (remote->slack_us > 0
                           ? chance_size(&agent->chance, remote->slack_us)
                           : 0));
    } else if (event->kind == PLAIN_PINGED) {
        take_ping(agent, event->value);
    } else {
        if (event->kind == PLAIN_PONGED) {
            remote->answer_us = SIM_NEVER;
        }
        naive_event(agent, event);
    }
}

static void dialled(struct plain_agent *agent)
{
    struct plain *link = agent->link;

    link->ws.fragment_max = FRAGMENT;
    link->mux.two_writes = true;
    link->mux.window = PLAIN_WINDOW;
    link->mux.grant_at = PLAIN_WINDOW / 2;
    link->mux.frame_max = PLAIN_WINDOW;
    remote_of(agent)->ping_us = SIM_NEVER;
    remote_of(agent)->answer_us = sim_now_us(agent->sim) + ANSWER_US;
    remote_of(agent)->pong_us = SIM_NEVER;
    remote_of(agent)->slack_us = 0;
    if (agent->site->world->plan != NULL && agent->site->world->plan->rough &&
        chance_in(&agent->chance, 1, 2)) {
        remote_of(agent)->slack_us = SLACK_US;
    }
}

static uint64_t earlier(uint64_t a_us, uint64_t b_us)
{
    return a_us < b_us ? a_us : b_us;
}

static uint64_t tick(struct plain_agent *agent)
{
    struct remote *remote = remote_of(agent);
    uint64_t now_us = sim_now_us(agent->sim);

    if (agent->link == NULL) {
        return SIM_NEVER;
    }
    if (plain_agent_is_open(agent) && remote->ping_us == SIM_NEVER) {
        remote->ping_us = now_us + PING_US;
        remote->answer_us = SIM_NEVER;
    }
    if (now_us >= remote->answer_us) {
        sim_say(agent->sim, agent->who, "hears no answer");
        plain_agent_hang_up(agent, PLAIN_CLOSES);
        return SIM_NEVER;
    }
    if (now_us >= remote->ping_us) {
        plain_mux_ping(&agent->link->mux);
        remote->answer_us = now_us + ANSWER_US;
        remote->ping_us = now_us + PING_US;
    }
    if (now_us >= remote->pong_us) {
        plain_mux_pong(&agent->link->mux, remote->pong);
        remote->pong_us = SIM_NEVER;
    }
    return earlier(earlier(remote->ping_us, remote->answer_us),
                   earlier(remote->pong_us, relay_next_us(agent)));
}

static const struct plain_manner go_raw = {.purpose = "go",
                                           .pause_us = 5 * SIM_S,
                                           .pause_max_us = 60 * SIM_S,
                                           .steady_us = 60 * SIM_S,
                                           .dialled = dialled,
                                           .event = event,
                                           .pump = naive_pump,
                                           .tick = tick,
                                           .lost = naive_lost};

static const struct plain_manner go = {.purpose = "go",
                                       .pause_us = 5 * SIM_S,
                                       .pause_max_us = 60 * SIM_S,
                                       .steady_us = 60 * SIM_S,
                                       .one_request = true,
                                       .dialled = dialled,
                                       .event = event,
                                       .pump = naive_pump,
                                       .tick = tick,
                                       .lost = naive_lost};

static struct remote *start_with(struct site *site, const char *key,
                                 const struct plain_manner *manner)
{
    struct remote *remote = sim_alloc(site->agent_process.sim, sizeof *remote);

    plain_agent_init(&remote->agent, site, key, manner);
    return remote;
}

static struct remote *start(struct site *site, const char *key)
{
    return start_with(site, key, &go);
}

static struct remote *start_raw(struct site *site, const char *key)
{
    return start_with(site, key, &go_raw);
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
    plain_agent_expect_idle(&remote->agent);
}

const struct remote_ops remote_go = {
    .start = start, .stop = stop, .forget = forget, .expect_idle = expect_idle};

const struct remote_ops remote_go_raw = {.start = start_raw,
                                         .stop = stop,
                                         .forget = forget,
                                         .expect_idle = expect_idle};
