/* A plan from a seed: swarm testing (Groce et al., ISSTA 2012). Each seed
 * leaves out a part of what could happen and weighs the rest from 1 to 100:
 * what is always there hides what needs its absence. */
#include "sim/plan.h"

#include <stdlib.h>

#include "core/contract.h"
#include "sim/client.h"
#include "sim/engine.h"

#define DAY_US (24 * 3600 * SIM_S)
#define HUGE_SIZE (UINT64_C(500) << 20)

struct draw {
    struct plan *plan;
    struct chance chance;
    uint32_t acts[ACT_KINDS], remotes[REMOTE_KINDS], clients[CLIENT_KINDS],
        moods[ENGINE_MOODS];
    uint64_t size_most;
};

static void draw_weights(struct chance *chance, uint32_t *weights, size_t count)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < count; i++) {
        bool omitted = chance_in(chance, 1, 3);
        uint32_t weight = 1 + chance_below(chance, 100);
        weights[i] = omitted ? 0 : weight;
        sum += weights[i];
    }
    if (sum == 0) {
        weights[chance_below(chance, (uint32_t)count)] = 1;
    }
}

static uint32_t draw_sites(struct chance *chance)
{
    uint32_t kind = chance_below(chance, 400);

    if (kind == 0) {
        return 200 + (uint32_t)chance_size(chance, PLAN_SITES_MAX - 200);
    }
    return 1 + (kind < 40 ? chance_below(chance, 20) : chance_below(chance, 4));
}

static uint64_t draw_phase_us(struct chance *chance, uint32_t sites)
{
    if (sites <= 2 && chance_in(chance, 1, 200)) {
        return chance_between(chance, 25, 40) * 3600 *
               SIM_S; /* more than a day */
    }
    if (sites >= 200) {
        return chance_between(chance, 5, 20) * SIM_S;
    }
    if (chance_in(chance, 1, 50)) { /* a long, quiet one */
        return chance_between(chance, 600, 7200) * SIM_S;
    }
    return chance_between(chance, 5, 90) * SIM_S;
}

static void add(struct draw *draw, struct act act)
{
    draw->plan->acts[draw->plan->act_count++] = act;
}

static void draw_starts(struct draw *draw)
{
    bool late = chance_in(&draw->chance, 1, 3);

    for (uint32_t site = 0; site < draw->plan->sites; site++) {
        struct act act = {.kind = ACT_AGENT_START, .site = site};
        act.variety = (uint32_t)chance_weighted(&draw->chance, draw->remotes,
                                                REMOTE_KINDS);
        act.at_us = chance_size(&draw->chance, late ? 30 * SIM_S : SIM_S);
        add(draw, act);
    }
}

static uint32_t draw_variety(struct draw *draw, enum act_kind kind)
{
    const struct act_shape *shape = act_shape(kind);

    if (kind == ACT_CLIENT) {
        return (uint32_t)chance_weighted(&draw->chance, draw->clients,
                                         CLIENT_KINDS);
    }
    if (kind == ACT_ENGINE_MOOD) {
        return (uint32_t)chance_weighted(&draw->chance, draw->moods,
                                         ENGINE_MOODS);
    }
    if (kind == ACT_AGENT_START) {
        return (uint32_t)chance_weighted(&draw->chance, draw->remotes,
                                         REMOTE_KINDS);
    }
    return shape->varieties > 0 ? chance_below(&draw->chance, shape->varieties)
                                : 0;
}

/* Whatever goes away may stay away: amount 0. */
static bool may_stay_away(enum act_kind kind)
{
    return kind == ACT_AGENT_KILL || kind == ACT_ENGINE_KILL;
}

static uint64_t draw_amount(struct draw *draw, enum act_kind kind)
{
    const struct act_shape *shape = act_shape(kind);
    uint64_t most = kind == ACT_CLIENT ? draw->size_most : shape->most;

    if (!shape->has_amount) {
        return 0;
    }
    if (may_stay_away(kind) && chance_in(&draw->chance, 1, 8)) {
        return 0;
    }
    return shape->least + chance_size(&draw->chance, most - shape->least);
}

/* What takes an agent away for good: too much of it, and nothing is seen. */
static bool is_lasting(const struct act *act)
{
    return act->kind == ACT_REVOKE || act->kind == ACT_DELETE ||
           act->kind == ACT_ROTATE || act->kind == ACT_AGENT_STOP ||
           (act->kind == ACT_AGENT_KILL && act->amount == 0);
}

/* Mostly somebody repairs it: a new key, a new start. */
static void draw_repair(struct draw *draw, const struct act *act)
{
    struct act repair = {.site = act->site, .at_us = act->at_us};

    if (!is_lasting(act) || chance_in(&draw->chance, 1, 8)) {
        return;
    }
    if (act->kind == ACT_REVOKE || act->kind == ACT_DELETE) {
        repair.kind = ACT_PROVISION;
        repair.at_us += chance_size(&draw->chance, 10 * SIM_S);
        add(draw, repair);
    }
    repair.kind = ACT_AGENT_START;
    repair.variety = draw_variety(draw, ACT_AGENT_START);
    repair.at_us += chance_size(&draw->chance, 5 * SIM_S);
    add(draw, repair);
}

/* A server that is told to stop meets one who is about to come. */
static void draw_arrival(struct draw *draw, const struct act *act)
{
    uint64_t before_us = chance_size(&draw->chance, 2 * SIM_S);
    struct act kill = {.kind = ACT_AGENT_KILL,
                       .site = chance_below(&draw->chance, draw->plan->sites),
                       .variety = PROCESS_EXITS,
                       .amount = 1};

    if (act->kind == ACT_SERVER_STOP && act->at_us > before_us &&
        chance_in(&draw->chance, 1, 2)) {
        kill.at_us = act->at_us - before_us;
        add(draw, kill);
    }
}

static void draw_act(struct draw *draw, uint64_t *last_us)
{
    uint64_t phase_us = draw->plan->phase_us;
    struct act act = {0};

    act.kind =
        (enum act_kind)chance_weighted(&draw->chance, draw->acts, ACT_KINDS);
    if (act_shape(act.kind)->has_site) {
        act.site = chance_below(&draw->chance, draw->plan->sites);
    }
    act.variety = draw_variety(draw, act.kind);
    act.amount = draw_amount(draw, act.kind);
    if (chance_in(&draw->chance, 1, 2)) { /* close to the one before it */
        act.at_us = *last_us + chance_size(&draw->chance, 2 * SIM_S);
        act.at_us = act.at_us < phase_us ? act.at_us : phase_us;
    } else {
        act.at_us = chance_between(&draw->chance, 0, phase_us);
    }
    if (chance_in(&draw->chance, 1, 2)) { /* many of them at one instant */
        act.at_us -= act.at_us % (10 * SIM_MS);
    }
    *last_us = act.at_us;
    add(draw, act);
    draw_repair(draw, &act);
    draw_arrival(draw, &act);
}

/* Without clients little is seen, and with a server that is never there. */
static void weigh_acts(struct chance *chance, uint32_t acts[ACT_KINDS])
{
    static const enum act_kind heavy[] = {
        ACT_AGENT_STOP,    ACT_AGENT_KILL,   ACT_REVOKE,
        ACT_ROTATE,        ACT_DELETE,       ACT_PAUSE,
        ACT_NO_DESCRIPTOR, ACT_SERVER_CRASH, ACT_SERVER_STOP};

    for (size_t i = 0; i < sizeof heavy / sizeof *heavy; i++) {
        acts[heavy[i]] = (acts[heavy[i]] + 7) / 8;
    }
    if (!chance_in(chance, 1, 20)) {
        acts[ACT_CLIENT] = 200 + chance_below(chance, 1300);
    }
}

static uint64_t draw_size_most(struct chance *chance)
{
    uint32_t large = chance_below(chance, 2000);

    return large == 0     ? HUGE_SIZE
           : large < 10   ? UINT64_C(64) << 20
           : large < 100  ? UINT64_C(8) << 20
           : large < 1000 ? UINT64_C(2) << 20
                          : UINT64_C(1) << 16;
}

/* What takes long is not disturbed often, nor are there many. */
static uint32_t most_acts(const struct draw *draw)
{
    bool is_long =
        draw->plan->phase_us > DAY_US || draw->size_most == HUGE_SIZE;

    return is_long ? 20 : 400;
}

void plan_draw(struct plan *plan, uint64_t seed)
{
    struct draw draw = {.plan = plan, .chance = chance_of(seed, "plan", 0)};
    struct chance *chance = &draw.chance;
    uint64_t last_us = 0;

    *plan = (struct plan){.seed = seed, .sites = draw_sites(chance)};
    plan->phase_us = draw_phase_us(chance, plan->sites);
    plan->permutes = chance_in(chance, 1, 2);
    plan->rough = chance_in(chance, 4, 5);
    draw_weights(chance, draw.acts, ACT_KINDS);
    draw_weights(chance, draw.remotes, REMOTE_KINDS);
    draw.remotes[REMOTE_NAIVE] += 1;
    if (plan->phase_us > DAY_US) { /* nobody strikes for so long */
        draw.remotes[REMOTE_HOSTILE] = 0;
    }
    draw_weights(chance, draw.clients, CLIENT_KINDS);
    draw_weights(chance, draw.moods, ENGINE_MOODS);
    draw.moods[ENGINE_GOOD] = 0;
    draw.moods[ENGINE_HANGS_LATER] += draw.moods[ENGINE_HANGS_LATER] == 0;
    weigh_acts(chance, draw.acts);
    draw.size_most = draw_size_most(chance);
    uint32_t extra = 3 + (uint32_t)chance_size(chance, most_acts(&draw));
    plan->acts = malloc((plan->sites + 3 * extra) * sizeof *plan->acts);
    REQUIRE(plan->acts != NULL);
    draw_starts(&draw);
    for (uint32_t i = 0; i < extra; i++) {
        draw_act(&draw, &last_us);
    }
    plan_sort(plan);
}
