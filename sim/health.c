#include "sim/health.h"

#include "sim/engine.h"
#include "sim/request.h"
#include "sim/server.h"

static uint32_t port_of(const struct site *site)
{
    const struct world *world = site->world;

    return world->server == NULL ? ADDRESS_ENGINE + site->index
                                 : server_port(world->server, site);
}

/* Not while it drains, closes, or waits for its predecessor. */
static bool serves(const struct site *site)
{
    const struct world *world = site->world;
    enum fault_state state = world->server == NULL
                                 ? FAULT_STATE_SERVING
                                 : server_state(world->server, site);

    return state == FAULT_STATE_SERVING || state == FAULT_STATE_BUSY;
}

struct health health_of(const struct site *site)
{
    const struct world *world = site->world;

    return (struct health){
        .since_us = sim_now_us(world->sim),
        .port = port_of(site),
        .server_lives = world->server_process.lives,
        .agent_lives = site->agent_process.lives,
        .serves = serves(site),
        .session =
            world->server == NULL ? 0 : server_session(world->server, site),
        .link = site->link != NULL ? socket_number(site->link) : 0,
    };
}

bool health_server_died(const struct health *health, const struct site *site)
{
    const struct process *process = &site->world->server_process;

    return site->world->server != NULL &&
           (!process->alive || process->lives != health->server_lives);
}

enum reach {
    REACH_NOTHING,
    REACH_SITE, /* the act disturbs its site, at its time */
    REACH_SPAN, /* ... and for amount ms */
    REACH_ALL,  /* it disturbs every site, and for amount ms */
    REACH_EVER  /* the same, from then on */
};

static enum reach reach_of(enum act_kind kind)
{
    switch (kind) {
    case ACT_AGENT_START:
    case ACT_AGENT_STOP:
    case ACT_AGENT_KILL:
    case ACT_AGENT_TWICE:
    case ACT_PROVISION:
    case ACT_REVOKE:
    case ACT_ROTATE:
    case ACT_DELETE:
    case ACT_ENGINE_KILL:
        return REACH_SITE;
    case ACT_ENGINE_MOOD:
    case ACT_LINK_STALL: /* an open is given up, or a ping is missed */
        return REACH_SPAN;
    case ACT_SERVER_CRASH:
    case ACT_SERVER_STOP:
    case ACT_PAUSE:
    case ACT_NO_DESCRIPTOR:
        return REACH_ALL;
    case ACT_NO_MEMORY: /* nobody knows when it strikes */
        return REACH_EVER;
    case ACT_LINK_CUT: /* its link is marked */
    case ACT_CLIENT:
    case ACT_ASK:
    case ACT_BIND_FAILS:
    case ACT_STORE_FAILS:
    case ACT_CLOCK_JUMP:
    case ACT_KINDS:
        break;
    }
    return REACH_NOTHING;
}

static bool disturbs(const struct act *act, const struct site *site,
                     uint64_t since_us, uint64_t now_us)
{
    enum reach reach = reach_of(act->kind);
    bool lasts = reach == REACH_SPAN || reach == REACH_ALL;
    uint64_t end_us = reach == REACH_EVER
                          ? SIM_NEVER
                          : act->at_us + (lasts ? act->amount * SIM_MS : 0);

    if (reach == REACH_NOTHING || act->at_us > now_us || end_us < since_us) {
        return false;
    }
    return reach >= REACH_ALL || act->site == site->index;
}

/* No act of the plan could have disturbed it; drains are not looked at. */
static bool is_undisturbed(const struct health *health, const struct site *site)
{
    const struct plan *plan = site->world->plan;
    uint64_t now_us = sim_now_us(site->world->sim);

    for (size_t i = 0; plan != NULL && i < plan->act_count; i++) {
        const struct act *act = &plan->acts[i];
        if (act->kind != ACT_SERVER_STOP &&
            disturbs(act, site, health->since_us, now_us)) {
            return false;
        }
    }
    return true;
}

/* What a drain of the server does not touch. */
static bool is_well(const struct health *health, const struct site *site)
{
    const struct world *world = site->world;

    return health->serves && health->port != 0 &&
           site->agent_process.lives == health->agent_lives &&
           (world->server == NULL ||
            (site->agent_process.alive && health->link != 0)) &&
           (health->link == 0 || health->link != site->cut_link) &&
           (site->refused_us == 0 || site->refused_us < health->since_us) &&
           engine_was_good_since(site->engine, health->since_us) &&
           (!remote_ways(site->kind).may_break || world->server == NULL) &&
           is_undisturbed(health, site);
}

static uint32_t stops_since(const struct health *health,
                            const struct world *world, uint64_t *first_us)
{
    const struct plan *plan = world->plan;
    uint32_t count = 0;

    for (size_t i = 0; plan != NULL && i < plan->act_count; i++) {
        const struct act *act = &plan->acts[i];
        if (act->kind == ACT_SERVER_STOP &&
            !(act->at_us > sim_now_us(world->sim)) &&
            act->at_us + act->amount * SIM_MS >= health->since_us) {
            *first_us = count == 0 ? act->at_us : *first_us;
            count++;
        }
    }
    return count;
}

bool health_is_unbroken(const struct health *health, const struct site *site)
{
    const struct world *world = site->world;
    struct health now = health_of(site);
    uint64_t first_us = 0;

    return now.serves && now.port == health->port &&
           now.session == health->session &&
           now.server_lives == health->server_lives &&
           now.link == health->link &&
           stops_since(health, world, &first_us) == 0 &&
           (world->server == NULL || world->server_process.alive) &&
           is_well(health, site);
}

bool health_is_drained(const struct health *health, const struct site *site)
{
    const struct world *world = site->world;
    uint64_t first_us = 0;

    return world->server != NULL &&
           stops_since(health, world, &first_us) == 1 &&
           health->since_us < first_us &&
           sim_now_us(world->sim) + SIM_MS <
               first_us + server_drain_us(world->server) &&
           is_well(health, site);
}

bool health_is_prompt(const struct health *health, const struct site *site)
{
    const struct plan *plan = site->world->plan;
    uint64_t now_us = sim_now_us(site->world->sim);

    for (size_t i = 0; plan != NULL && i < plan->act_count; i++) {
        const struct act *act = &plan->acts[i];
        bool takes_time =
            act->kind == ACT_PAUSE ||
            (act->kind == ACT_LINK_STALL && act->site == site->index);

        if (takes_time && act->at_us <= now_us &&
            act->at_us + act->amount * SIM_MS >= health->since_us) {
            return false;
        }
    }
    return health_is_unbroken(health, site);
}

uint32_t health_kinds(const struct site *site)
{
    const struct plan *plan = site->world->plan;
    uint32_t kinds = UINT32_C(1) << site->kind;

    for (size_t i = 0; plan != NULL && i < plan->act_count; i++) {
        const struct act *act = &plan->acts[i];

        if ((act->kind == ACT_AGENT_START || act->kind == ACT_AGENT_TWICE) &&
            act->site == site->index && act->variety < REMOTE_KINDS) {
            kinds |= UINT32_C(1) << act->variety;
        }
    }
    return kinds;
}

struct remote_ways health_ways(const struct site *site)
{
    struct remote_ways all = {.filters = true, .ends_well = true};
    uint32_t kinds = health_kinds(site);

    for (uint32_t i = 0; i < REMOTE_KINDS; i++) {
        struct remote_ways ways = remote_ways((enum remote_kind)i);
        if ((kinds >> i & 1) != 0) {
            all.filters = all.filters && ways.filters;
            all.ends_well = all.ends_well && ways.ends_well;
            all.one_request = all.one_request || ways.one_request;
            all.may_break = all.may_break || ways.may_break;
        }
    }
    return all;
}
