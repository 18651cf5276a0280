#include "sim/plain_agent.h"

#include <stdio.h>
#include <string.h>

#include "sim/relay.h"

void plain_agent_init(struct plain_agent *agent, struct site *site,
                      const char *key, const struct plain_manner *manner)
{
    struct process *process = &site->agent_process;
    uint64_t index = (uint64_t)site->index << 32 | process->lives;

    agent->manner = manner;
    agent->site = site;
    agent->sim = process->sim;
    agent->who = process->name;
    snprintf(agent->key, sizeof agent->key, "%s", key);
    agent->chance = chance_of(sim_seed(agent->sim), manner->purpose, index);
    agent->there = site->there;
    agent->back = site->back;
    agent->pause_us = manner->pause_us;
    agent->dial_us = sim_now_us(agent->sim);
    task_init(&agent->task, agent->sim, plain_agent_run, agent);
    task_wake(&agent->task);
}

bool plain_agent_is_open(const struct plain_agent *agent)
{
    return agent->link != NULL && agent->link->state == PLAIN_OPEN;
}

/* ---- connections --------------------------------------------------------- */

static void dial(struct plain_agent *agent)
{
    const struct plain_manner *manner = agent->manner;
    struct process *process = &agent->site->agent_process;
    uint64_t index = (uint64_t)agent->site->index << 32 | agent->dials;
    char head[PLAIN_HEAD_ROOM];
    size_t length = manner->head != NULL
                        ? manner->head(agent, head, sizeof head)
                        : plain_head(head, sizeof head, agent->key);

    agent->dials++;
    agent->link = plain_dial(process, &agent->there, &agent->back, head, length,
                             chance_of(sim_seed(agent->sim), "mask", index),
                             plain_agent_run, agent);
    if (agent->link == NULL) {
        agent->dial_us = sim_now_us(agent->sim) + agent->pause_us;
        return;
    }
    agent->site->link = agent->link->socket;
    agent->dial_us = SIM_NEVER;
    manner->dialled(agent);
}

/* When to dial again, after a connection that is no more. */
static void pause(struct plain_agent *agent)
{
    const struct plain_manner *manner = agent->manner;
    const struct plain *link = agent->link;
    uint64_t now_us = sim_now_us(agent->sim);
    uint64_t pause_us;

    if (link->opened_us != 0 && now_us - link->opened_us >= manner->steady_us) {
        agent->pause_us = manner->pause_us;
    }
    pause_us = agent->pause_us;
    if (manner->pause_jitter > 0) {
        pause_us -= chance_between(&agent->chance, 0,
                                   pause_us / 100 * manner->pause_jitter);
    }
    agent->dial_us = now_us + pause_us;
    agent->pause_us = 2 * agent->pause_us < manner->pause_max_us
                          ? 2 * agent->pause_us
                          : manner->pause_max_us;
}

static void drop_link(struct plain_agent *agent, enum plain_end end)
{
    struct plain *link = agent->link;

    agent->manner->lost(agent, end == PLAIN_FORGETS);
    if (end == PLAIN_FORGETS || agent->site->link == link->socket) {
        agent->site->link = NULL;
    }
    agent->link = NULL;
    plain_free(link, end);
}

void plain_agent_hang_up(struct plain_agent *agent, enum plain_end end)
{
    switch (agent->link->state) {
    case PLAIN_OPEN:
        sim_say(agent->sim, agent->who, "hangs up");
        break;
    case PLAIN_LOST:
        sim_say(agent->sim, agent->who,
                agent->link->opened_us != 0 ? "lost its session"
                                            : "could not connect");
        break;
    case PLAIN_REFUSED:
        sim_say(agent->sim, agent->who, "refused: %d", agent->link->status);
        break;
    case PLAIN_DIALLING:
    case PLAIN_UPGRADING:
        sim_say(agent->sim, agent->who, "gives up an upgrade");
        break;
    }
    pause(agent);
    drop_link(agent, end);
}

/* ---- one turn ------------------------------------------------------------ */

static void take(struct plain_agent *agent)
{
    struct plain *link = agent->link;
    bool was_open = link->opened_us != 0;
    struct plain_event event;

    plain_receive(link);
    if (!was_open && link->opened_us != 0) {
        agent->sessions++;
        sim_say(agent->sim, agent->who, "connected as session %u",
                (unsigned)agent->sessions);
    }
    while (agent->link == link && plain_mux_next(&link->mux, &event)) {
        agent->manner->event(agent, &event);
    }
}

static void give(struct plain_agent *agent)
{
    struct plain *link = agent->link;
    bool wants_more = true;

    while (wants_more && agent->link == link) {
        wants_more = link->state == PLAIN_OPEN && agent->manner->pump(agent);
        plain_send(link);
        wants_more = wants_more && link->ws.out.length < PLAIN_OUT_ENOUGH;
    }
}

static bool is_over(const struct plain *link)
{
    return link->state == PLAIN_LOST || link->state == PLAIN_REFUSED ||
           (link->ws.close_received && plain_is_flushed(link));
}

void plain_agent_run(void *user)
{
    struct plain_agent *agent = user;
    uint64_t next_us;

    if (agent->exited) {
        return;
    }
    if (agent->link == NULL && !agent->stopping &&
        agent->dial_us <= sim_now_us(agent->sim)) {
        dial(agent);
    }
    if (agent->link != NULL) {
        take(agent);
    }
    next_us = agent->manner->tick(agent);
    if (agent->exited) {
        return;
    }
    if (agent->link != NULL) {
        give(agent);
    }
    if (agent->link != NULL && is_over(agent->link)) {
        plain_agent_hang_up(agent, PLAIN_CLOSES);
    }
    if (agent->stopping && agent->link == NULL) {
        plain_agent_exit(agent);
        return;
    }
    task_set(&agent->task, next_us < agent->dial_us ? next_us : agent->dial_us);
}

/* ---- ends ---------------------------------------------------------------- */

void plain_agent_stop(struct plain_agent *agent)
{
    agent->stopping = true;
    sim_say(agent->sim, agent->who, "stops");
    if (plain_agent_is_open(agent) && agent->manner->leave != NULL) {
        agent->manner->leave(agent);
        task_wake(&agent->task);
    } else {
        plain_agent_exit(agent);
    }
}

/* Everything but the sockets, which are gone. */
static void drop_all(struct plain_agent *agent)
{
    agent->exited = true;
    task_stop(&agent->task);
    if (agent->link != NULL) {
        drop_link(agent, PLAIN_FORGETS);
    }
}

void plain_agent_exit(struct plain_agent *agent)
{
    agent->exited = true;
    sim_say(agent->sim, agent->who, "exits");
    process_kill(&agent->site->agent_process, PROCESS_EXITS);
    drop_all(agent);
}

void plain_agent_forget(struct plain_agent *agent)
{
    drop_all(agent);
}

void plain_agent_expect_idle(const struct plain_agent *agent)
{
    uint32_t streams = agent->link != NULL ? agent->link->mux.stream_count : 0;

    if (streams > 0 || agent->relays != NULL) {
        sim_fail(agent->sim, "leak", "%s is left with %u streams%s", agent->who,
                 (unsigned)streams,
                 agent->relays != NULL ? " and a connection" : "");
    }
}
