#include "sim/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/contract.h"
#include "sim/ask.h"
#include "sim/client.h"
#include "sim/engine.h"
#include "sim/remote.h"
#include "sim/server.h"

#define STEPS_MAX UINT64_C(20000000)
#define AUDIT_US SIM_S /* the whole world is looked at so often */
#define GONE_US SIM_S  /* H-02: a revoked session ends within this */
#define CONNECT_BOUND_US (300 * SIM_S) /* back-off of 60 s, twice, and more */
#define CLIENT_BOUND_US (1200 * SIM_S) /* 64 MiB over 1 s of round trip */
#define SETTLE_US (150 * SIM_S)        /* the core's longest limit, and more */
#define EXIT_BOUND_US (120 * SIM_S)
#define LAST_STEPS 10000u
#define FINAL_SITES 20u /* so many are asked after all is healed */
#define PIECES_A_SITE 20000u

/* What an act has to undo, or to do, later. */
struct later {
    struct world *world;
    uint32_t index; /* of its act, or of its site */
    struct task task;
};

struct place {        /* what a site has beside it */
    struct site twin; /* a second agent with the same key */
    struct later back, engine_back, twin_end;
    uint64_t gone_us; /* its key opens nothing since; SIM_NEVER: it does */
    char key[WORLD_KEY_SIZE]; /* that its agent was started with */
};

struct scene { /* a world, and what drives it */
    struct world world;
    struct place *places;
    struct later *acts;
    struct later server_back, descriptors_back, audit;
    uint64_t paused_us; /* the server runs nothing until then */
};

static struct scene *scene_of(struct world *world)
{
    return (struct scene *)(void *)world;
}

static struct place *place_of(const struct site *site)
{
    return &scene_of(site->world)->places[site->index];
}

static uint64_t now_of(const struct world *world)
{
    return sim_now_us(world->sim);
}

static void fault_everywhere(struct world *world, enum fault fault)
{
    for (uint32_t i = 0; i < world->plan->sites; i++) {
        sim_fault(world->sim, fault,
                  server_state(world->server, &world->sites[i]));
    }
}

static void fault_at(struct site *site, enum fault fault)
{
    sim_fault(site->world->sim, fault, server_state(site->world->server, site));
}

/* ---- agents and engines -------------------------------------------------- */

static void agent_forget(struct site *site)
{
    if (site->remote != NULL) {
        remote_ops(site->kind)->forget(site->remote);
        site->remote = NULL;
        site->link = NULL;
    }
}

static void twin_kill(struct place *place);

static void agent_start(struct site *site, enum remote_kind kind)
{
    if (site->agent_process.alive) {
        return;
    }
    agent_forget(site); /* it has exited by itself */
    if (site != &place_of(site)->twin && place_of(site)->twin.kind != kind) {
        twin_kill(place_of(site)); /* engines ask the site for its kind */
    }
    site->kind = kind;
    process_start(&site->agent_process);
    if (site != &place_of(site)->twin) {
        memcpy(place_of(site)->key, site->key, WORLD_KEY_SIZE);
    }
    site->remote = remote_ops(kind)->start(site, site->key);
}

static void agent_stop(struct site *site)
{
    if (site->agent_process.alive) {
        remote_ops(site->kind)->stop(site->remote);
    }
}

static void agent_kill(struct site *site, enum process_end end)
{
    agent_forget(site);
    process_kill(&site->agent_process, end);
}

static void engine_rise(struct site *site)
{
    if (!site->engine_process.alive) {
        process_start(&site->engine_process);
        engine_start(site->engine);
    }
}

static void later_agent(void *user)
{
    struct later *later = user;
    struct site *site = &later->world->sites[later->index];

    agent_start(site, site->kind);
}

static void later_engine(void *user)
{
    struct later *later = user;
    struct site *site = &later->world->sites[later->index];

    sim_say(later->world->sim, site->engine_process.name, "back");
    engine_rise(site);
}

static void twin_kill(struct place *place)
{
    struct site *twin = &place->twin;

    task_stop(&place->twin_end.task);
    if (twin->agent_process.alive || twin->remote != NULL) {
        sim_say(twin->world->sim, twin->agent_process.name, "killed");
        agent_kill(twin, PROCESS_EXITS);
    }
}

static void later_twin(void *user)
{
    struct later *later = user;

    twin_kill(&scene_of(later->world)->places[later->index]);
}

static void twin_start(struct site *site)
{
    struct place *place = place_of(site);
    struct site *twin = &place->twin;
    struct chance chance =
        chance_of(sim_seed(site->world->sim), "twin", site->index);

    if (twin->agent_process.alive || site->kind == REMOTE_HOSTILE) {
        return;
    }
    memcpy(twin->key, site->key, sizeof twin->key);
    memcpy(twin->uuid, site->uuid, sizeof twin->uuid);
    agent_start(twin, site->kind);
    task_set(&place->twin_end.task,
             now_of(site->world) + chance_size(&chance, 30 * SIM_S));
}

/* ---- the server ---------------------------------------------------------- */

static void later_server(void *user)
{
    struct later *later = user;
    struct world *world = later->world;

    if (world->server_process.alive) { /* it drains still */
        task_set(&later->task, now_of(world) + 100 * SIM_MS);
        return;
    }
    server_start(world->server);
}

static void later_descriptors(void *user)
{
    struct later *later = user;

    later->world->server_process.descriptors_max = 65536;
}

/* The operator's word took effect on the store, or not at all. */
static void note_gone(struct site *site, bool done, bool gone)
{
    if (done) {
        place_of(site)->gone_us =
            gone ? now_of(site->world) + GONE_US : SIM_NEVER;
    }
}

static void operate(struct site *site, enum fault fault,
                    bool (*word)(struct server *, struct site *), bool gone)
{
    fault_at(site, fault);
    bool done = word(site->world->server, site);
    if (!done) {
        sim_say(site->world->sim, "operator", "is refused for %s",
                site->agent_process.name);
    }
    note_gone(site, done, gone);
}

/* ---- acts ---------------------------------------------------------------- */

static void link_act(struct site *site, const struct act *act)
{
    static const enum fault cuts[] = {
        [CUT_FINISH] = FAULT_LINK_FINISH,
        [CUT_RESET] = FAULT_LINK_RESET,
        [CUT_SILENCE] = FAULT_LINK_HALF_OPEN,
    };
    uint32_t kind = act->variety % 3;
    struct socket *end = site->link;

    if (end == NULL) {
        return;
    }
    if (act->kind == ACT_LINK_STALL) {
        end = act->variety == 0 ? end : socket_peer(end);
        fault_at(site, FAULT_LINK_STALL);
        sim_say(site->world->sim, site->agent_process.name,
                "link stalled, %s's way",
                act->variety == 0 ? "agent" : "server");
        socket_stall(end, now_of(site->world) + act->amount * SIM_MS);
        return;
    }
    site->cut_link = socket_number(end);
    end = act->variety < 3 ? end : socket_peer(end);
    fault_at(site, act->amount > 0 ? FAULT_LINK_CUT : cuts[kind]);
    sim_say(site->world->sim, site->agent_process.name,
            "link to be cut after %" PRIu64 " bytes", act->amount);
    socket_cut(end, socket_sent(end) + act->amount, (enum socket_cut)kind);
}

static void agent_act(struct site *site, const struct act *act)
{
    struct process *process = &site->agent_process;
    uint64_t back_us = now_of(site->world) + act->amount * SIM_MS;

    if (act->kind == ACT_AGENT_START) {
        task_stop(&place_of(site)->back.task);
        if (strcmp(place_of(site)->key, site->key) != 0) {
            agent_kill(site, PROCESS_EXITS); /* to be given the new key */
        }
        agent_start(site, (enum remote_kind)act->variety);
        return;
    }
    if (!process->alive) {
        return;
    }
    if (act->kind == ACT_AGENT_STOP) {
        agent_stop(site);
        return;
    }
    if (act->kind == ACT_AGENT_TWICE) {
        fault_at(site, FAULT_AGENT_TWICE);
        twin_start(site);
        return;
    }
    fault_at(site, act->variety == PROCESS_EXITS ? FAULT_AGENT_KILL
                                                 : FAULT_AGENT_VANISH);
    sim_say(site->world->sim, process->name,
            act->variety == PROCESS_EXITS ? "killed" : "its host is gone");
    agent_kill(site, (enum process_end)act->variety);
    if (act->amount > 0) {
        task_set(&place_of(site)->back.task, back_us);
    }
    if (act->variety == PROCESS_VANISHES && site->engine_process.alive) {
        engine_forget(site->engine); /* its host is the same */
        process_kill(&site->engine_process, PROCESS_VANISHES);
        if (act->amount > 0) {
            task_set(&place_of(site)->engine_back.task, back_us);
        }
    }
}

static void engine_act(struct site *site, const struct act *act)
{
    uint64_t until_us = now_of(site->world) + act->amount * SIM_MS;

    if (!site->engine_process.alive) {
        return;
    }
    if (act->kind == ACT_ENGINE_MOOD) {
        engine_set_mood(site->engine, (enum engine_mood)act->variety, until_us);
        return;
    }
    fault_at(site, FAULT_ENGINE_KILL);
    sim_say(site->world->sim, site->engine_process.name, "killed");
    engine_forget(site->engine);
    process_kill(&site->engine_process, PROCESS_EXITS);
    if (act->amount > 0) {
        task_set(&place_of(site)->engine_back.task, until_us);
    }
}

static void server_act(struct world *world, const struct act *act)
{
    uint64_t back_us = now_of(world) + act->amount * SIM_MS;

    if (!world->server_process.alive) {
        return;
    }
    if (act->kind == ACT_SERVER_CRASH) {
        fault_everywhere(world, FAULT_SERVER_CRASH);
        server_crash(world->server, (enum process_end)act->variety);
    } else {
        fault_everywhere(world, FAULT_SERVER_DRAIN);
        server_stop(world->server);
    }
    task_set(&scene_of(world)->server_back.task, back_us);
}

static void starve(struct world *world, const struct act *act)
{
    struct process *process = &world->server_process;

    if (act->kind == ACT_NO_MEMORY) {
        sim_say(world->sim, process->name, "reservation %" PRIu32 " to fail",
                act->variety + 1);
        process->refuse_in = act->variety + 1;
        process->refuse_count = (uint32_t)act->amount;
        return;
    }
    fault_everywhere(world, FAULT_NO_DESCRIPTOR);
    sim_say(world->sim, process->name, "has %" PRIu32 " descriptors left",
            act->variety);
    process->descriptors_max = process->descriptors + act->variety;
    task_set(&scene_of(world)->descriptors_back.task,
             now_of(world) + act->amount * SIM_MS);
}

/* Long: one line a kind of act. */
static void run_act(struct world *world, const struct act *act)
{
    struct site *site = &world->sites[act->site];
    uint64_t until_us = now_of(world) + act->amount * SIM_MS;

    switch (act->kind) {
    case ACT_AGENT_START:
    case ACT_AGENT_STOP:
    case ACT_AGENT_KILL:
    case ACT_AGENT_TWICE:
        agent_act(site, act);
        break;
    case ACT_LINK_STALL:
    case ACT_LINK_CUT:
        link_act(site, act);
        break;
    case ACT_CLIENT:
        clients_start(world->clients, act);
        break;
    case ACT_ASK:
        asks_start(world->asks, act);
        break;
    case ACT_ENGINE_KILL:
    case ACT_ENGINE_MOOD:
        engine_act(site, act);
        break;
    case ACT_PROVISION:
        note_gone(site, server_provision(world->server, site), false);
        break;
    case ACT_REVOKE:
        operate(site, FAULT_KEY_REVOKED, server_revoke, true);
        break;
    case ACT_ROTATE:
        operate(site, FAULT_KEY_ROTATED, server_rotate, false);
        break;
    case ACT_DELETE:
        operate(site, FAULT_AGENT_DELETED, server_delete, true);
        break;
    case ACT_SERVER_CRASH:
    case ACT_SERVER_STOP:
        server_act(world, act);
        break;
    case ACT_BIND_FAILS:
        socket_fail_binds(world->sim, (uint32_t)act->amount);
        break;
    case ACT_NO_DESCRIPTOR:
    case ACT_NO_MEMORY:
        starve(world, act);
        break;
    case ACT_STORE_FAILS:
        server_fail_store(world->server, until_us);
        break;
    case ACT_CLOCK_JUMP:
        sim_fault(world->sim, FAULT_CLOCK_JUMP,
                  server_state(world->server, site));
        server_jump_clock(world->server, act->variety == 0
                                             ? (int64_t)act->amount
                                             : -(int64_t)act->amount);
        break;
    case ACT_PAUSE:
        scene_of(world)->paused_us = until_us;
        server_pause(world->server, until_us);
        break;
    case ACT_KINDS:
        break;
    }
}

static void later_act(void *user)
{
    struct later *later = user;

    run_act(later->world, &later->world->plan->acts[later->index]);
}

/* ---- checks -------------------------------------------------------------- */

/* After each step; constant work. */
static void check(struct world *world)
{
    uint64_t steps = sim_steps(world->sim);
    struct site *site = &world->sites[steps % world->plan->sites];

    server_check(world->server);
    clients_check(world->clients);
    if (site->remote != NULL && remote_ops(site->kind)->check != NULL) {
        remote_ops(site->kind)->check(site->remote);
    }
    if (steps > STEPS_MAX) {
        sim_fail(world->sim, "spin", "%" PRIu64 " steps and no end (O13)",
                 steps);
    }
}

static uint64_t paused_until(struct world *world)
{
    uint64_t paused_us = scene_of(world)->paused_us;

    return paused_us == 0 ? 0 : paused_us + GONE_US;
}

static void check_gone(struct world *world, const struct site *site)
{
    uint64_t gone_us = place_of(site)->gone_us;

    if (now_of(world) > gone_us && now_of(world) > paused_until(world) &&
        server_port(world->server, site) != 0) {
        sim_fail(world->sim, "revoked",
                 "%s has a proxy %" PRIu64
                 " ms after its key was taken away (H-02)",
                 site->agent_process.name,
                 (now_of(world) - gone_us + GONE_US) / SIM_MS);
    }
}

static void run_audit(void *user)
{
    struct later *later = user;
    struct world *world = later->world;

    for (uint32_t i = 0; i < world->plan->sites; i++) {
        check_gone(world, &world->sites[i]);
    }
    task_set(&later->task, now_of(world) + AUDIT_US);
}

/* ---- building ------------------------------------------------------------ */

/* No world of few bytes takes hours, and no big one millions of pieces. */
static void draw_path(struct chance *chance, uint64_t bytes, struct path *path)
{
    uint64_t rate_least = 20000 + bytes / 10;
    uint64_t least, most;

    path_default(path);
    path->latency_us = chance_size(chance, 500 * SIM_MS);
    if (chance_in(chance, 1, 2)) {
        path->jitter_us = chance_size(chance, 200 * SIM_MS);
    }
    if (chance_in(chance, 1, 2)) {
        path->rate = rate_least + chance_size(chance, 100000000);
    }
    if (chance_in(chance, 1, 3)) {
        path->piece_max = 1 + (uint32_t)(bytes / PIECES_A_SITE) +
                          (uint32_t)chance_size(chance, 65536);
    }
    if (chance_in(chance, 1, 4)) {
        path->buffer = 2048 + (uint32_t)chance_size(chance, 1u << 20);
    }
    if (chance_in(chance, 2, 3)) {
        path->dead_us = SIM_S + chance_size(chance, 1000 * SIM_S);
    }
    /* enough for the distance, and never seconds of it */
    least = 2048 +
            (20000 + bytes / 20) * (path->latency_us + path->jitter_us) / SIM_S;
    most = path->rate > 0 ? path->rate / 2 + least : UINT32_MAX;
    path->buffer = path->buffer < least ? (uint32_t)least : path->buffer;
    path->buffer = path->buffer > most ? (uint32_t)most : path->buffer;
}

static void draw_local(struct chance *chance, uint64_t bytes,
                       struct path *local)
{
    path_default(local);
    local->latency_us = chance_size(chance, 2 * SIM_MS);
    if (chance_in(chance, 1, 4)) {
        local->piece_max = 1 + (uint32_t)(bytes / PIECES_A_SITE) +
                           (uint32_t)chance_size(chance, 65536);
    }
    if (chance_in(chance, 1, 4)) {
        local->buffer = 4096 + (uint32_t)chance_size(chance, 1u << 20);
    }
    local->dead_us = 20 * SIM_S + chance_size(chance, 40 * SIM_S);
}

static uint64_t bytes_of(const struct plan *plan, uint32_t site)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < plan->act_count; i++) {
        if (plan->acts[i].kind == ACT_CLIENT && plan->acts[i].site == site) {
            bytes += plan->acts[i].amount;
        }
    }
    return bytes;
}

static void draw_paths(struct site *site)
{
    struct chance chance =
        chance_of(sim_seed(site->world->sim), "path", site->index);
    uint64_t bytes = bytes_of(site->world->plan, site->index);

    path_default(&site->there);
    site->there.latency_us = 10 * SIM_MS;
    site->back = site->there;
    path_default(&site->local);
    site->local.dead_us = 60 * SIM_S;
    if (site->world->plan->rough) {
        draw_path(&chance, bytes, &site->there);
        draw_path(&chance, bytes, &site->back);
        draw_local(&chance, bytes, &site->local);
    }
}

static void later_init(struct later *later, struct world *world, uint32_t index,
                       void (*run)(void *user))
{
    *later = (struct later){.world = world, .index = index};
    task_init(&later->task, world->sim, run, later);
}

static void build_site(struct world *world, uint32_t index)
{
    struct site *site = &world->sites[index];
    struct place *place = &scene_of(world)->places[index];

    *site = (struct site){.index = index, .world = world};
    process_init(&site->agent_process, world->sim, "agent %" PRIu32, index);
    process_init(&site->engine_process, world->sim, "engine %" PRIu32, index);
    draw_paths(site);
    site->engine = engine_new(site);
    engine_rise(site);
    place->twin = *site;
    process_init(&place->twin.agent_process, world->sim, "agent %" PRIu32 "b",
                 index);
    place->gone_us = SIM_NEVER;
    later_init(&place->back, world, index, later_agent);
    later_init(&place->engine_back, world, index, later_engine);
    later_init(&place->twin_end, world, index, later_twin);
}

static void build(struct scene *scene)
{
    struct world *world = &scene->world;
    const struct plan *plan = world->plan;

    world->sites = sim_alloc(world->sim, plan->sites * sizeof *world->sites);
    scene->places = sim_alloc(world->sim, plan->sites * sizeof *scene->places);
    scene->acts =
        sim_alloc(world->sim, (plan->act_count + 1) * sizeof *scene->acts);
    process_init(&world->server_process, world->sim, "server");
    process_init(&world->clients_process, world->sim, "clients");
    process_start(&world->clients_process);
    for (uint32_t i = 0; i < plan->sites; i++) {
        build_site(world, i);
    }
    world->server = server_new(world);
    world->clients = clients_new(world);
    world->asks = asks_new(world);
    server_start(world->server);
    for (uint32_t i = 0; i < plan->sites; i++) {
        server_provision(world->server, &world->sites[i]);
    }
    later_init(&scene->server_back, world, 0, later_server);
    later_init(&scene->descriptors_back, world, 0, later_descriptors);
    later_init(&scene->audit, world, 0, run_audit);
    task_set(&scene->audit.task, AUDIT_US);
    for (size_t i = 0; i < plan->act_count; i++) {
        later_init(&scene->acts[i], world, (uint32_t)i, later_act);
        task_set(&scene->acts[i].task, plan->acts[i].at_us);
    }
}

/* ---- two phases ---------------------------------------------------------- */

static void heal_link(struct socket *link)
{
    if (link != NULL) {
        socket_stall(link, 0);
        socket_stall(socket_peer(link), 0);
        socket_cut(link, UINT64_MAX, CUT_SILENCE);
        socket_cut(socket_peer(link), UINT64_MAX, CUT_SILENCE);
    }
}

static void heal_site(struct site *site)
{
    struct place *place = place_of(site);

    twin_kill(place);
    task_stop(&place->back.task);
    task_stop(&place->engine_back.task);
    heal_link(site->link);
    engine_rise(site);
    engine_heal(site->engine);
    if (site->kind == REMOTE_HOSTILE) { /* it is thrown out */
        agent_kill(site, PROCESS_EXITS);
        site->kind = REMOTE_NAIVE;
    }
    if (strcmp(place->key, site->key) != 0) { /* somebody installs the new */
        agent_kill(site, PROCESS_EXITS);
    }
}

static void heal(struct world *world)
{
    struct scene *scene = scene_of(world);

    sim_say(world->sim, "world", "healed");
    world->healed = true;
    world->server_process.refuse_in = 0;
    world->server_process.refuse_count = 0;
    task_stop(&scene->descriptors_back.task);
    world->server_process.descriptors_max = 65536;
    socket_fail_binds(world->sim, 0);
    server_fail_store(world->server, 0);
    server_pause(world->server, 0);
    for (size_t i = 0; i < world->plan->act_count; i++) {
        task_stop(&scene->acts[i].task);
    }
    for (uint32_t i = 0; i < world->plan->sites; i++) {
        heal_site(&world->sites[i]);
    }
    clients_heal(world->clients);
}

/* Run until it is so; looked at each virtual second. False: not in time. */
static bool await(struct world *world, bool (*is_so)(struct world *world),
                  uint64_t bound_us)
{
    uint64_t end_us = now_of(world) + bound_us;

    while (!is_so(world)) {
        uint64_t until_us = now_of(world) + SIM_S;
        if (until_us > end_us) {
            return false;
        }
        while (sim_step(world->sim, until_us)) {
            check(world);
        }
    }
    return true;
}

static bool never(struct world *world)
{
    (void)world;
    return false;
}

static bool has_key(const struct site *site)
{
    return site->provisioned && !site->revoked;
}

static bool serves(const struct site *site)
{
    enum fault_state state = server_state(site->world->server, site);

    return state == FAULT_STATE_SERVING || state == FAULT_STATE_BUSY;
}

/* Whoever is not there is started again, as a service manager would. */
static bool all_are_connected(struct world *world)
{
    bool all = true;

    if (!world->server_process.alive) {
        task_by(&scene_of(world)->server_back.task, now_of(world));
        return false;
    }
    for (uint32_t i = 0; i < world->plan->sites; i++) {
        struct site *site = &world->sites[i];
        agent_start(site, site->kind);
        all = all && (serves(site) || !has_key(site));
    }
    return all;
}

static void expect_connected(struct world *world)
{
    if (await(world, all_are_connected, CONNECT_BOUND_US)) {
        return;
    }
    if (!world->server_process.alive) {
        sim_fail(world->sim, "liveness", "the server does not start (O11)");
    }
    for (uint32_t i = 0; i < world->plan->sites; i++) {
        struct site *site = &world->sites[i];
        if (has_key(site) && !serves(site)) {
            sim_fail(world->sim, "liveness",
                     "%s (%s) is not connected %u s after the heal (O11)",
                     site->agent_process.name, remote_name(site->kind),
                     (unsigned)(CONNECT_BOUND_US / SIM_S));
        }
    }
}

/* A few last clients: what is healed must work. */
static void ask_all(struct world *world)
{
    for (uint32_t i = 0; i < world->plan->sites && i < FINAL_SITES; i++) {
        const struct act acts[] = {
            {.kind = ACT_CLIENT, .site = i, .variety = CLIENT_PING},
            {.kind = ACT_CLIENT,
             .site = i,
             .variety = CLIENT_LIST,
             .amount = 1000},
        };
        const struct act ask = {
            .kind = ACT_ASK, .site = i, .variety = ASK_SITE};
        for (size_t j = 0; j < sizeof acts / sizeof *acts; j++) {
            clients_start(world->clients, &acts[j]);
        }
        asks_start(world->asks, &ask);
    }
}

/* A window a round trip is 100 kB a second at least. */
static uint64_t client_bound_us(const struct world *world)
{
    uint64_t most = 0;

    for (uint32_t i = 0; i < world->plan->sites; i++) {
        uint64_t bytes = bytes_of(world->plan, i);
        most = bytes > most ? bytes : most;
    }
    return CLIENT_BOUND_US + most / 100000 * SIM_S;
}

static bool all_are_served(struct world *world)
{
    return clients_live(world->clients) == 0;
}

/* Whose key opens nothing would knock for ever. */
static void end_knocking(struct world *world)
{
    for (uint32_t i = 0; i < world->plan->sites; i++) {
        if (!has_key(&world->sites[i])) {
            agent_stop(&world->sites[i]);
        }
    }
}

/* O9 from outside: one door, and one listener for each live agent. */
static void check_listeners(struct world *world)
{
    uint32_t expected = 1, listeners = 0;

    for (uint32_t i = 0; i < world->plan->sites; i++) {
        expected += server_port(world->server, &world->sites[i]) != 0;
    }
    listeners = listener_count(&world->server_process);
    if (listeners != expected) {
        sim_fail(world->sim, "listeners",
                 "the server has %" PRIu32
                 " listeners, its door and its live agents make %" PRIu32,
                 listeners, expected);
    }
}

static void expect_idle(struct world *world)
{
    clients_expect_done(world->clients);
    for (uint32_t i = 0; i < world->plan->sites; i++) {
        struct site *site = &world->sites[i];
        if (site->remote != NULL) {
            remote_ops(site->kind)->expect_idle(site->remote);
        }
        engine_expect_idle(site->engine);
    }
    server_expect_idle(world->server);
    check_listeners(world);
}

static bool agents_are_gone(struct world *world)
{
    for (uint32_t i = 0; i < world->plan->sites; i++) {
        if (world->sites[i].agent_process.alive) {
            return false;
        }
    }
    return true;
}

static bool server_is_gone(struct world *world)
{
    return !world->server_process.alive;
}

static void end_agents(struct world *world)
{
    for (uint32_t i = 0; i < world->plan->sites; i++) {
        agent_stop(&world->sites[i]);
    }
    if (!await(world, agents_are_gone, EXIT_BOUND_US)) {
        sim_fail(world->sim, "liveness", "an agent does not stop (O20)");
    }
    for (uint32_t i = 0; i < world->plan->sites; i++) {
        agent_forget(&world->sites[i]);
        process_expect_empty(&world->sites[i].agent_process);
    }
}

static void end_server(struct world *world)
{
    server_stop(world->server);
    if (!await(world, server_is_gone, EXIT_BOUND_US)) {
        sim_fail(world->sim, "liveness", "the server does not stop (O20)");
    }
    process_expect_empty(&world->server_process);
}

/* Everything is let go: no task of anybody may be left. */
static void expect_nothing(struct world *world)
{
    uint64_t steps = sim_steps(world->sim);

    task_stop(&scene_of(world)->audit.task);
    for (uint32_t i = 0; i < world->plan->sites; i++) {
        struct site *site = &world->sites[i];
        engine_forget(site->engine);
        process_kill(&site->engine_process, PROCESS_EXITS);
    }
    process_expect_empty(&world->clients_process);
    while (sim_step(world->sim, SIM_NEVER)) {
        if (sim_steps(world->sim) > steps + LAST_STEPS) {
            sim_fail(world->sim, "leak", "timers run on in an empty world");
        }
    }
}

static void run(void *user)
{
    struct scene *scene = user;
    struct world *world = &scene->world;

    build(scene);
    while (sim_step(world->sim, world->plan->phase_us)) {
        check(world);
    }
    heal(world);
    expect_connected(world);
    ask_all(world);
    if (!await(world, all_are_served, client_bound_us(world))) {
        clients_expect_done(world->clients);
    }
    end_knocking(world);
    await(world, never, SETTLE_US);
    expect_idle(world);
    end_agents(world);
    await(world, never, SETTLE_US);
    end_server(world);
    expect_nothing(world);
    sim_say(world->sim, "world", "ends");
}

bool world_run(const struct plan *plan, const struct world_watch *watch,
               struct world_result *result, struct sim_failure *failure)
{
    const struct sim_config config = {
        .seed = plan->seed,
        .permutes = plan->permutes,
        .prints = watch != NULL && watch->prints,
    };
    struct sim *sim = sim_new(&config);
    struct scene *scene = sim_alloc(sim, sizeof *scene);

    if (watch != NULL && watch->keeps) {
        sim_keep_story(sim);
    }
    scene->world.sim = sim;
    scene->world.plan = plan;
    bool good = sim_run(sim, run, scene, failure);
    *result = (struct world_result){.hash = sim_hash(sim),
                                    .steps = sim_steps(sim),
                                    .virtual_us = sim_now_us(sim),
                                    .tally = *sim_tally(sim)};
    if (scene->world.clients != NULL) {
        const struct clients_tally *tally = clients_tally(scene->world.clients);
        result->requests = tally->requests;
        result->requests_failed = tally->requests_failed;
        result->bytes = tally->bytes;
    }
    if (watch != NULL && watch->story != NULL) {
        watch->story(watch->user, sim_story(sim));
    }
    if (!good && watch != NULL && watch->line != NULL) {
        sim_last_lines(sim, watch->line, watch->user);
    }
    sim_free(sim);
    return good;
}
