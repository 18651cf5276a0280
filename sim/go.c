/* go.c: the manner of the agents in the field (their yamux is hashicorp's
 * 0.1.2, their WebSocket gorilla's): header and body of a frame are two
 * messages, a message beyond 4096 bytes is fragmented, credit comes when half
 * the window is read, its own ping every 30 s has 10 s for its answer, and it
 * dials again after 5 s, doubled up to 60 s, without jitter.
 */
#include "sim/naive.h"

#include "sim/remote.h"

#define FRAGMENT 4096u
#define PING_US (30 * SIM_S)
#define ANSWER_US (10 * SIM_S)

struct remote {
    struct plain_agent agent;
    uint64_t ping_us; /* when the next goes out */
    uint64_t
        answer_us; /* the last, or the upgrade, by then; SIM_NEVER: it is */
};

static struct remote *remote_of(struct plain_agent *agent)
{
    return (struct remote *)agent;
}

static void event(struct plain_agent *agent, const struct plain_event *event)
{
    if (event->kind == PLAIN_PONGED) {
        remote_of(agent)->answer_us = SIM_NEVER;
    }
    naive_event(agent, event);
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
    return remote->ping_us < remote->answer_us ? remote->ping_us
                                               : remote->answer_us;
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

static struct remote *start(struct site *site, const char *key)
{
    struct remote *remote = sim_alloc(site->agent_process.sim, sizeof *remote);

    plain_agent_init(&remote->agent, site, key, &go_raw);
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
    plain_agent_expect_idle(&remote->agent);
}

const struct remote_ops remote_go_raw = {
    .start = start, .stop = stop, .forget = forget, .expect_idle = expect_idle};
