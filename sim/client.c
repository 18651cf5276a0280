#include "sim/client_internal.h"

#include <inttypes.h>
#include <stdio.h>

#include "sim/server.h"

#define READ_SIZE 16384u

static void run(struct client *client);

/* ---- the end ------------------------------------------------------------- */

static void forget(struct client *client)
{
    struct clients *all = client->all;

    task_stop(&client->task);
    if (client->previous != NULL) {
        client->previous->next = client->next;
    } else {
        all->list = client->next;
    }
    if (client->next != NULL) {
        client->next->previous = client->previous;
    }
    all->live--;
    sim_release(client->world->sim, client);
}

/* FIN is said for all that it asked. */
static void mark_finished(struct client *client)
{
    for (uint32_t i = 0; i < client->count; i++) {
        client->requests[i]->is_finished = true;
    }
}

static void close_client(struct client *client)
{
    mark_finished(client);
    socket_close(client->socket);
    forget(client);
}

/* Gone without another word. */
static void abort_client(struct client *client)
{
    struct world *world = client->world;
    bool vanishes = client->kind == CLIENT_VANISHES;
    enum fault_state state = world->server != NULL
                                 ? server_state(world->server, client->site)
                                 : FAULT_STATE_NONE;

    for (uint32_t i = 0; i < client->count; i++) {
        client->requests[i]->is_aborted = true;
    }
    sim_say(world->sim, client->name, "%s after %" PRIu64 " bytes",
            vanishes ? "vanishes" : "resets", client->received);
    sim_fault(world->sim, vanishes ? FAULT_CLIENT_VANISH : FAULT_CLIENT_RESET,
              state);
    if (vanishes) {
        socket_cut(client->socket, 0, CUT_SILENCE);
        socket_close(client->socket);
    } else {
        socket_reset(client->socket);
    }
    forget(client);
}

/* ---- sending ------------------------------------------------------------- */

static void begin_request(struct client *client)
{
    struct request *request = client->requests[client->sending];

    source_begin(&client->source, request->draw);
    request_print_head(client->world, request, &client->source);
    if (request->body != MESSAGE_EMPTY) {
        source_body(&client->source, request_key(client->world, request, false),
                    request->takes, request->body == MESSAGE_CHUNKED);
    }
    client->has_source = true;
}

/* What the client says once its connection is hijacked. */
static void begin_hijack(struct client *client)
{
    const struct request *request = client->requests[client->sending];

    source_begin(&client->source, request->draw);
    source_body(&client->source, request_key(client->world, request, false),
                request->takes, false);
    client->has_source = true;
    if (request->order == ORDER_ENGINE) {
        client->source.stop_at = request->takes / 2;
    }
}

static void finish(struct client *client)
{
    mark_finished(client);
    socket_finish(client->socket);
    client->is_finished = true;
    client->finished_us = sim_now_us(client->world->sim);
}

/* A request is out, or the last word on a hijacked connection. True: FIN. */
static bool end_sending(struct client *client)
{
    const struct request *request = client->requests[client->sending];

    client->has_source = false;
    if (request->kind == REQUEST_ATTACH && !client->is_hijacked) {
        return false;
    }
    client->sending++;
    return client->is_hijacked ||
           (client->finishes_first && client->sending == client->count);
}

/* May the next words be said? */
static bool may_send(const struct client *client)
{
    const struct request *request = client->requests[client->sending];

    if (client->has_source) {
        return true;
    }
    if (client->is_told_close) {
        return false;
    }
    if (request->kind == REQUEST_ATTACH && client->source.total > 0) {
        return client->is_hijacked;
    }
    return client->is_pipelined || client->sending == client->reading;
}

static bool send_requests(struct client *client)
{
    uint64_t before;
    enum source_result result;

    if (client->is_paused || client->is_finished ||
        client->sending == client->count || !may_send(client)) {
        return false;
    }
    if (!client->has_source) {
        if (client->is_hijacked) {
            begin_hijack(client);
        } else {
            begin_request(client);
        }
    }
    if (client->source.stop_at != UINT64_MAX && client->peer_finished) {
        client->source.stop_at = UINT64_MAX; /* the engine had its last word */
    }
    before = client->source.total;
    result = source_pour(&client->source, client->socket);
    client->requests[client->sending]->said = client->source.offset;
    if (result == SOURCE_BROKEN && client->peer_finished) {
        client_judge_break(client); /* nothing more is read that would say so */
        client->is_over = true;
        return true;
    }
    if (result == SOURCE_DONE) {
        if (end_sending(client)) {
            finish(client);
        }
        return true;
    }
    return client->source.total > before; /* broken: reading tells */
}

static bool send_garbage(struct client *client)
{
    if (!client->has_source) {
        bool is_bare = chance_in(&client->chance, 1, 2);
        uint64_t key = chance_next(&client->chance);
        uint64_t length = 8 + chance_size(&client->chance, 4096);
        source_begin(&client->source, client->amount);
        source_print(&client->source, "%s", is_bare ? "" : "\r\n");
        source_body(&client->source, key, length, false);
        client->has_source = true;
    }
    if (!client->is_finished &&
        source_pour(&client->source, client->socket) == SOURCE_DONE) {
        finish(client);
    }
    return false;
}

/* ---- reading ------------------------------------------------------------- */

static void wait_for(struct client *client, uint64_t us)
{
    client->is_stopped = !client->world->healed;
    if (client->is_stopped) {
        task_set(&client->task, sim_now_us(client->world->sim) + us);
    }
}

static void stall(struct client *client)
{
    struct world *world = client->world;

    client->has_stalled = true;
    sim_say(world->sim, client->name, "stops reading");
    sim_fault(world->sim, FAULT_CLIENT_STALL,
              world->server != NULL ? server_state(world->server, client->site)
                                    : FAULT_STATE_NONE);
    wait_for(client, client->stall_us);
}

static bool receive(struct client *client)
{
    uint8_t bytes[READ_SIZE];
    size_t most = READ_SIZE;
    size_t done = 0;

    if (client->is_stopped || client->is_over || client->peer_finished) {
        return false;
    }
    if (client->slow_us > 0 && client->slow_bytes < most) {
        most = (size_t)client->slow_bytes;
    }
    switch (socket_receive(client->socket, bytes, most, &done)) {
    case SOCKET_MORE:
        client_judge_bytes(client, bytes, done);
        if (client->slow_us > 0) {
            wait_for(client, client->slow_us);
        } else if (client->received >= client->stall_at &&
                   !client->has_stalled) {
            stall(client);
        }
        return true;
    case SOCKET_FINISHED:
        client_judge_finish(client);
        return true;
    case SOCKET_BROKEN:
        client_judge_break(client);
        client->is_over = true;
        return true;
    case SOCKET_WAIT:
        break;
    }
    return false;
}

/* ---- life ---------------------------------------------------------------- */

/* Is there nothing left to say, or to hear? */
static bool is_done(const struct client *client)
{
    if (client->is_over) {
        return true;
    }
    if (client->peer_finished) {
        /* a hijacked connection has its other half yet */
        return !client->is_hijacked || client->is_finished ||
               client->has_failed;
    }
    if (client->kind == CLIENT_GARBAGE || client->is_paused) {
        return false;
    }
    return client->reading >= client->count && !client->is_told_close;
}

/* Is its time to go? */
static bool is_to_abort(const struct client *client)
{
    return client->abort_at != SIM_NEVER && !client->is_over &&
           socket_state(client->socket) == SOCKET_OPEN &&
           (client->received >= client->abort_at ||
            sim_now_us(client->world->sim) >= client->abort_us ||
            client->world->healed);
}

static void run(struct client *client)
{
    bool moved = true;

    while (moved) {
        if (is_to_abort(client)) {
            abort_client(client);
            return;
        }
        moved = client->kind == CLIENT_GARBAGE ? send_garbage(client)
                                               : send_requests(client);
        moved = receive(client) || moved;
        if (is_done(client)) {
            close_client(client);
            return;
        }
    }
}

static void on_ready(void *user)
{
    run(user);
}

static void on_time(void *user)
{
    struct client *client = user;

    client->is_stopped = false;
    client->is_paused = false;
    run(client);
}

/* The same act draws the same, whatever else is in the plan. */
static uint64_t draw_of(const struct act *act)
{
    struct chance chance = chance_of(act->at_us, "act", act->site);

    chance = chance_of(chance_next(&chance), "act", act->variety);
    chance = chance_of(chance_next(&chance), "act", act->amount);
    return chance_next(&chance);
}

/* A hijack is judged by its engine, too. */
static void note_health(struct client *client)
{
    struct health *health;

    if (client->count > 0 && client->requests[0]->kind == REQUEST_ATTACH) {
        health = sim_alloc(client->world->sim, sizeof *health);
        *health = client->health;
        client->requests[0]->health = health;
    }
}

static void connect_client(struct client *client)
{
    struct world *world = client->world;

    client->health = health_of(client->site);
    client->remote_kinds = health_kinds(client->site);
    if (client->health.port == 0) {
        sim_say(world->sim, client->name, "finds no proxy of agent %" PRIu32,
                client->site->index);
        sim_met(world->sim, MET_CONNECT_REFUSED);
        forget(client);
        return;
    }
    client->socket =
        socket_connect(&world->clients_process, client->health.port,
                       &client->there, &client->back, on_ready, client);
    if (client->socket == NULL) {
        forget(client);
        return;
    }
    note_health(client);
    client->is_paused = client->pause_us > 0;
    if (client->is_paused) {
        task_set(&client->task, client->health.since_us + client->pause_us);
    } else if (client->abort_us != SIM_NEVER) {
        task_set(&client->task, client->abort_us);
    }
}

struct clients *clients_new(struct world *world)
{
    struct clients *clients = sim_alloc(world->sim, sizeof *clients);

    clients->world = world;
    return clients;
}

void clients_start(struct clients *clients, const struct act *act)
{
    struct world *world = clients->world;
    struct client *client = sim_alloc(world->sim, sizeof *client);

    client->all = clients;
    client->world = world;
    client->site = &world->sites[act->site];
    client->index = clients->made++;
    client->kind = (enum client_kind)act->variety;
    client->amount = act->amount;
    client->chance = chance_of(sim_seed(world->sim), "client", draw_of(act));
    (void)snprintf(client->name, sizeof client->name, "client %" PRIu32,
                   client->index);
    client->next = clients->list;
    if (client->next != NULL) {
        client->next->previous = client;
    }
    clients->list = client;
    clients->live++;
    task_init(&client->task, world->sim, on_time, client);
    message_begin(&client->message);
    client_write_script(client);
    connect_client(client);
}

void clients_check(struct clients *clients)
{
    if ((clients->list == NULL) != (clients->live == 0)) {
        sim_fail(clients->world->sim, "clients", "%" PRIu32 " are live",
                 clients->live);
    }
}

void clients_heal(struct clients *clients)
{
    for (struct client *client = clients->list; client != NULL;
         client = client->next) {
        client->slow_us = 0;
        client->stall_at = SIM_NEVER;
        task_wake(&client->task);
    }
}

uint32_t clients_live(const struct clients *clients)
{
    return clients->live;
}

void clients_expect_done(struct clients *clients)
{
    const struct client *client = clients->list;

    if (client != NULL) {
        sim_fail(clients->world->sim, "liveness",
                 "%s waits: %" PRIu32 " of %" PRIu32
                 " requests are answered, %" PRIu64 " bytes came",
                 client->name, client->reading, client->count,
                 client->received);
    }
}

const struct clients_tally *clients_tally(const struct clients *clients)
{
    return &clients->tally;
}
