#include "sim/ask.h"

#include "sim/client.h"
#include "sim/server.h"

#define LIST_MOST 4096u

struct asks {
    struct world *world;
};

struct asks *asks_new(struct world *world)
{
    struct asks *asks = sim_alloc(world->sim, sizeof *asks);

    asks->world = world;
    return asks;
}

/* What must be decided, from the requirements' words (H-01): 400 selector, 404,
 * 503 subsystem, 400 uuid, 502; else 200. 0: nobody is there to ask. */
static int status_of(const struct world *world, const struct site *site,
                     enum ask_kind kind)
{
    if (!world->server_process.alive) {
        return 0;
    }
    switch (kind) {
    case ASK_BAD_HOST:
        return 400;
    case ASK_UNKNOWN:
        return 404;
    case ASK_UNCONFIGURED: /* whatever else is missing (AC-10) */
    case ASK_NOTHING:
        return 503;
    case ASK_NO_AGENT:
    case ASK_EMPTY_AGENT:
        return 400;
    case ASK_DIRECT:
        return 200;
    case ASK_SITE:
    case ASK_KINDS:
        break;
    }
    return server_port(world->server, site) == 0 ? 502 : 200;
}

static void mark(struct sim *sim, int status)
{
    static const struct {
        int status;
        enum met met;
    } mets[] = {{200, MET_ASK_200},
                {400, MET_ASK_400},
                {404, MET_ASK_404},
                {502, MET_ASK_502},
                {503, MET_ASK_503}};

    for (size_t i = 0; i < sizeof mets / sizeof *mets; i++) {
        if (mets[i].status == status) {
            sim_met(sim, mets[i].met);
        }
    }
}

/* The list itself is fetched through the proxy that was named; its bytes are
 * judged as any client's. */
static void fetch(struct asks *asks, const struct act *act)
{
    struct chance chance =
        chance_of(sim_seed(asks->world->sim), "list", act->at_us);
    struct act list = {.at_us = act->at_us,
                       .kind = ACT_CLIENT,
                       .site = act->site,
                       .variety = CLIENT_LIST};

    list.amount = chance_size(&chance, LIST_MOST);
    clients_start(asks->world->clients, &list);
}

void asks_start(struct asks *asks, const struct act *act)
{
    struct world *world = asks->world;
    const struct site *site = &world->sites[act->site];
    enum ask_kind kind = (enum ask_kind)act->variety;
    int expected = status_of(world, site, kind);
    struct ask_target target;

    server_route(world->server, site, act->variety, &target);
    if (target.status != expected) {
        sim_fail(world->sim, "route",
                 "a list of agent %u is answered %d, not %d (H-01)",
                 (unsigned)site->index, target.status, expected);
    }
    if (target.port != (expected == 200 && kind == ASK_SITE
                            ? server_port(world->server, site)
                            : 0)) {
        sim_fail(world->sim, "route",
                 "a list of agent %u is asked of port %u (AC-12)",
                 (unsigned)site->index, target.port);
    }
    sim_say(world->sim, "operator", "asks for the list of agent %u: %d",
            (unsigned)site->index, target.status);
    mark(world->sim, target.status);
    if (target.port != 0) {
        fetch(asks, act);
    }
}
