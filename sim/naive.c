/* naive.c: the reference agent: what sim/remote.h and the specification of
 * yamux ask for, and nothing clever. */
#include "sim/naive.h"

#include "sim/relay.h"
#include "sim/remote.h"

#define SILENCE_US (20 * SIM_S) /* then it asks, */
#define ANSWER_US (10 * SIM_S)  /* and waits so long */
#define LEAVE_US (10 * SIM_S)   /* for its streams, when it stops */

struct remote {
    struct plain_agent agent;
    bool asked; /* a ping is out */
    uint64_t leave_us;
};

static struct remote *remote_of(struct plain_agent *agent)
{
    return (struct remote *)agent;
}

void naive_event(struct plain_agent *agent, const struct plain_event *event)
{
    struct plain_mux *mux = &agent->link->mux;

    switch (event->kind) {
    case PLAIN_OPENED:
        relay_new(agent, event->stream, sim_now_us(agent->sim));
        break;
    case PLAIN_ARRIVED:
        ((struct relay *)event->stream->user)->touched = true;
        break;
    case PLAIN_RESET:
        relay_reset(event->stream->user);
        break;
    case PLAIN_PINGED:
        plain_mux_pong(mux, event->value);
        break;
    case PLAIN_ACCEPTED: /* it opens none */
    case PLAIN_PONGED:   /* any byte is a sign of life */
    case PLAIN_LEAVING:  /* what is open goes on (D21) */
        break;
    }
}

bool naive_pump(struct plain_agent *agent)
{
    return relay_pump_all(agent);
}

void naive_lost(struct plain_agent *agent, bool killed)
{
    relay_drop_all(agent, killed);
}

/* What the specifications allow, and some peers do. */
static void draw_liberties(struct plain_agent *agent)
{
    uint64_t index = (uint64_t)agent->site->index << 32 | agent->dials;
    struct chance chance = chance_of(sim_seed(agent->sim), "liberty", index);
    struct plain *link = agent->link;

    link->mux.acks_late = chance_in(&chance, 1, 4);
    link->mux.two_writes = chance_in(&chance, 1, 4);
    agent->holds_last = chance_in(&chance, 1, 4);
    if (chance_in(&chance, 1, 4)) {
        link->ws.opcode = PLAIN_TEXT;
    }
    if (chance_in(&chance, 1, 4)) {
        link->ws.fragment_max = 1 + (uint32_t)chance_size(&chance, 16383);
        link->ws.fragment_max =
            link->ws.fragment_max < 64 ? 64 : link->ws.fragment_max;
        link->ws.interrupts = chance_in(&chance, 1, 2);
    }
}

static void dialled(struct plain_agent *agent)
{
    struct plain_mux *mux = &agent->link->mux;

    remote_of(agent)->asked = false;
    mux->window = PLAIN_WINDOW
                  << chance_below(&agent->chance, 3); /* it may be larger */
    mux->grant_at =
        (uint32_t)chance_between(&agent->chance, 4096, PLAIN_WINDOW / 2);
    mux->frame_max = (uint32_t)chance_between(&agent->chance, 1024, 65536);
    if (agent->site->world->plan != NULL && agent->site->world->plan->rough) {
        draw_liberties(agent);
    }
}

/* Its own keep-alive: silence, a ping, silence, the end. */
static uint64_t watch(struct remote *remote)
{
    struct plain *link = remote->agent.link;
    uint64_t now_us = sim_now_us(remote->agent.sim);
    uint64_t due_us =
        link->heard_us + SILENCE_US + (remote->asked ? ANSWER_US : 0);

    if (link->state != PLAIN_OPEN && link->state != PLAIN_UPGRADING) {
        return SIM_NEVER; /* TCP gives up by itself */
    }
    if (remote->asked && link->heard_us + SILENCE_US > now_us) {
        remote->asked = false;
        return link->heard_us + SILENCE_US;
    }
    if (now_us < due_us) {
        return due_us;
    }
    if (remote->asked || link->state == PLAIN_UPGRADING) {
        sim_say(remote->agent.sim, remote->agent.who, "hears nothing");
        plain_agent_hang_up(&remote->agent, PLAIN_RESETS);
        return SIM_NEVER;
    }
    remote->asked = true;
    plain_mux_ping(&link->mux);
    return due_us + ANSWER_US;
}

/* It goes when its streams have ended, or it has waited long enough. */
static uint64_t leave(struct remote *remote)
{
    struct plain *link = remote->agent.link;

    if (sim_now_us(remote->agent.sim) >= remote->leave_us) {
        plain_agent_exit(&remote->agent);
    } else if (link->mux.stream_count == 0) {
        plain_ws_close(&link->ws, 1000);
    }
    return remote->leave_us;
}

static uint64_t tick(struct plain_agent *agent)
{
    struct remote *remote = remote_of(agent);
    uint64_t next_us = SIM_NEVER;
    uint64_t other_us;

    if (agent->link != NULL) {
        next_us = watch(remote);
    }
    if (agent->link != NULL && agent->stopping) {
        other_us = leave(remote);
        next_us = other_us < next_us ? other_us : next_us;
    }
    other_us = relay_next_us(agent);
    return other_us < next_us ? other_us : next_us;
}

static void say_good_bye(struct plain_agent *agent)
{
    remote_of(agent)->leave_us = sim_now_us(agent->sim) + LEAVE_US;
    plain_mux_go_away(&agent->link->mux, 0);
}

static const struct plain_manner naive = {.purpose = "naive",
                                          .pause_us = SIM_S,
                                          .pause_max_us = 15 * SIM_S,
                                          .steady_us = 10 * SIM_S,
                                          .pause_jitter = 50,
                                          .dialled = dialled,
                                          .event = naive_event,
                                          .pump = naive_pump,
                                          .tick = tick,
                                          .lost = naive_lost,
                                          .leave = say_good_bye};

static struct remote *start(struct site *site, const char *key)
{
    struct sim *sim = site->agent_process.sim;
    struct remote *remote = sim_alloc(sim, sizeof *remote);

    plain_agent_init(&remote->agent, site, key, &naive);
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

const struct remote_ops remote_naive = {
    .start = start, .stop = stop, .forget = forget, .expect_idle = expect_idle};
