#include "sim/test/direct.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define STEPS_MAX UINT64_C(4000000)
#define END_US (3600 * SIM_S)

void direct_client(struct direct *direct, uint32_t site, enum client_kind kind,
                   uint64_t amount)
{
    struct act act = {.at_us = sim_now_us(direct->world.sim),
                      .kind = ACT_CLIENT,
                      .site = site,
                      .variety = kind,
                      .amount = amount};

    clients_start(direct->world.clients, &act);
}

void direct_run_for(struct direct *direct, uint64_t us)
{
    struct sim *sim = direct->world.sim;
    uint64_t until_us = sim_now_us(sim) + us;

    while (sim_steps(sim) < STEPS_MAX && sim_step(sim, until_us)) {
        clients_check(direct->world.clients);
    }
    if (sim_steps(sim) >= STEPS_MAX) {
        sim_fail(sim, "spin", "%" PRIu64 " steps", sim_steps(sim));
    }
}

void direct_start_engine(struct direct *direct, uint32_t site)
{
    process_start(&direct->sites[site].engine_process);
    engine_start(direct->sites[site].engine);
}

void direct_kill_engine(struct direct *direct, uint32_t site,
                        enum process_end how)
{
    process_kill(&direct->sites[site].engine_process, how);
    engine_forget(direct->sites[site].engine);
}

static void make_sites(struct direct *direct)
{
    struct world *world = &direct->world;

    for (uint32_t i = 0; i < DIRECT_SITES; i++) {
        struct site *site = &direct->sites[i];

        site->index = i;
        site->world = world;
        path_default(&site->local);
        site->local.latency_us = 100;
        process_init(&site->engine_process, world->sim, "engine %" PRIu32, i);
        process_init(&site->agent_process, world->sim, "agent %" PRIu32, i);
        site->engine = engine_new(site);
        direct_start_engine(direct, i);
    }
}

static void run_all(void *user)
{
    struct direct *direct = user;
    struct world *world = &direct->world;

    world->sites = direct->sites;
    process_init(&world->server_process, world->sim, "server");
    process_init(&world->clients_process, world->sim, "clients");
    process_start(&world->clients_process);
    world->clients = clients_new(world);
    make_sites(direct);
    direct->body(direct);
    direct_run_for(direct, END_US);
    world->healed = true;
    for (uint32_t i = 0; i < DIRECT_SITES; i++) {
        if (!direct->sites[i].engine_process.alive) {
            direct_start_engine(direct, i);
        }
        engine_heal(direct->sites[i].engine);
    }
    clients_heal(world->clients);
    direct_run_for(direct, END_US);
    clients_expect_done(world->clients);
    process_expect_empty(&world->clients_process);
    for (uint32_t i = 0; i < DIRECT_SITES; i++) {
        engine_expect_idle(direct->sites[i].engine);
    }
}

bool direct_run(struct direct *direct, uint64_t seed)
{
    struct sim_config config = {.seed = seed, .permutes = seed % 2 != 0};
    struct sim *sim = sim_new(&config);
    bool is_well;

    memset(&direct->world, 0, sizeof direct->world);
    memset(direct->sites, 0, sizeof direct->sites);
    direct->world.sim = sim;
    sim_keep_story(sim);
    is_well = sim_run(sim, run_all, direct, &direct->failure);
    direct->tally = *sim_tally(sim);
    direct->hash = sim_hash(sim);
    if (direct->world.clients != NULL) {
        direct->clients = *clients_tally(direct->world.clients);
    }
    (void)snprintf(direct->story, sizeof direct->story, "%s", sim_story(sim));
    sim_free(sim);
    return is_well;
}
