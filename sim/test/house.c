#include "sim/test/house.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/test/req.h"

#define PIECE 4096u

static uint8_t byte_at(uint64_t key, uint64_t place)
{
    return (uint8_t)(place * 167 + key + (place >> 8) * 13);
}

/* ---- engines ------------------------------------------------------------- */

/* Says what it hears; to "GET ", an answer of as many bytes as the path says.
 */
struct echo {
    struct house *house;
    struct socket *socket;
    uint8_t *bytes;
    size_t from, to, capacity;
    bool finished, http, answered;
};

static void echo_end(struct echo *echo, bool reset)
{
    if (reset) {
        socket_reset(echo->socket);
    } else {
        socket_close(echo->socket);
    }
    sim_release(echo->house->sim, echo->bytes);
    sim_release(echo->house->sim, echo);
}

static void echo_keep(struct echo *echo, const uint8_t *bytes, size_t length)
{
    if (echo->capacity - echo->to < length) {
        size_t capacity = 2 * (echo->to + length);
        uint8_t *larger = sim_alloc(echo->house->sim, capacity);
        if (echo->to > 0) {
            memcpy(larger, echo->bytes, echo->to);
        }
        sim_release(echo->house->sim, echo->bytes);
        echo->bytes = larger;
        echo->capacity = capacity;
    }
    if (length > 0) {
        memcpy(echo->bytes + echo->to, bytes, length);
    }
    echo->to += length;
}

static void echo_answer(struct echo *echo)
{
    char head[128];
    unsigned long size = strtoul((const char *)echo->bytes + 5, NULL, 10);

    echo->from = echo->to = 0;
    echo->answered = true;
    int length = snprintf(head, sizeof head,
                          "HTTP/1.1 200 OK\r\nContent-Length: %lu\r\n"
                          "Connection: close\r\n\r\n",
                          size);
    echo_keep(echo, (const uint8_t *)head, (size_t)length);
    for (unsigned long i = 0; i < size; i++) {
        uint8_t byte = byte_at(size, i);
        echo_keep(echo, &byte, 1);
    }
}

/* False: it has ended. */
static bool echo_hear(struct echo *echo)
{
    uint8_t bytes[PIECE];
    size_t length = 0;

    for (;;) {
        switch (socket_receive(echo->socket, bytes, sizeof bytes, &length)) {
        case SOCKET_MORE:
            if (!echo->answered) {
                echo_keep(echo, bytes, length);
            }
            break;
        case SOCKET_WAIT:
            return true;
        case SOCKET_FINISHED:
            echo->finished = true;
            return true;
        case SOCKET_BROKEN:
            echo_end(echo, true);
            return false;
        }
    }
}

static void echo_ready(void *user)
{
    struct echo *echo = user;
    size_t done;

    if (!echo->finished && !echo_hear(echo)) {
        return;
    }
    if (!echo->answered && echo->to >= 4 &&
        memcmp(echo->bytes, "GET ", 4) == 0) {
        if (memcmp(echo->bytes + echo->to - 4, "\r\n\r\n", 4) != 0) {
            return;
        }
        echo->http = true;
        echo_answer(echo);
    }
    while (echo->from < echo->to) {
        enum socket_result result =
            socket_send(echo->socket, echo->bytes + echo->from,
                        echo->to - echo->from, &done);
        if (result == SOCKET_BROKEN) {
            echo_end(echo, true);
            return;
        }
        if (result != SOCKET_MORE) {
            return;
        }
        echo->from += done;
    }
    if (echo->finished || echo->http) {
        echo_end(echo, false);
    }
}

struct engine { /* one of ours */
    struct house *house;
    struct listener *listener;
};

static void on_engine(void *user)
{
    struct engine *engine = user;
    struct socket *socket;

    while ((socket = listener_accept(engine->listener, NULL, NULL)) != NULL) {
        struct echo *echo = sim_alloc(engine->house->sim, sizeof *echo);
        echo->house = engine->house;
        echo->socket = socket;
        engine->house->accepted++;
        socket_own(socket, echo_ready, echo);
    }
}

void house_engine(struct house *house, uint32_t site)
{
    struct engine *engine = sim_alloc(house->sim, sizeof *engine);

    engine->house = house;
    process_start(&house->sites[site].engine_process);
    engine->listener =
        listener_open(&house->sites[site].engine_process, ADDRESS_ENGINE + site,
                      64, on_engine, engine);
    house->sites[site].engine = engine;
}

/* ---- clients ------------------------------------------------------------- */

static void client_end(struct house_client *client, bool reset)
{
    if (reset) {
        socket_reset(client->socket);
    } else {
        socket_close(client->socket);
    }
    client->socket = NULL;
}

static void client_say(struct house_client *client)
{
    uint8_t bytes[PIECE];
    size_t done;

    while (client->said < client->size && !client->http) {
        size_t length = client->size - client->said < PIECE
                            ? (size_t)(client->size - client->said)
                            : PIECE;
        for (size_t i = 0; i < length; i++) {
            bytes[i] = byte_at(client->size, client->said + i);
        }
        if (socket_send(client->socket, bytes, length, &done) != SOCKET_MORE) {
            return;
        }
        client->said += done;
    }
    socket_finish(client->socket);
}

static void client_hear(struct house_client *client, const uint8_t *bytes,
                        size_t length)
{
    for (size_t i = 0; i < length; i++) {
        uint64_t place = client->heard + i;
        if (place < sizeof client->answer - 1) {
            client->answer[place] = (char)bytes[i];
        }
        if (!client->http && bytes[i] != byte_at(client->size, place) &&
            memcmp(client->answer, "HTTP/1.1 50", 11) != 0 && place > 10) {
            sim_fail(client->house->sim, "prefix", "byte %u of %u is another's",
                     (unsigned)place, (unsigned)client->size);
        }
    }
    client->heard += length;
}

static void client_ready(void *user)
{
    struct house_client *client = user;
    uint8_t bytes[PIECE];
    size_t done;

    if (client->socket == NULL ||
        socket_state(client->socket) == SOCKET_CONNECTING) {
        return;
    }
    if (socket_state(client->socket) == SOCKET_FAILED) {
        client->refused = true;
        client_end(client, true);
        return;
    }
    client_say(client);
    while (sim_now_us(client->house->sim) >= client->reads_from_us) {
        switch (socket_receive(client->socket, bytes, sizeof bytes, &done)) {
        case SOCKET_MORE:
            client_hear(client, bytes, done);
            break;
        case SOCKET_WAIT:
            return;
        case SOCKET_FINISHED:
            client->whole = client->http || client->heard == client->size;
            client->short_end = !client->whole &&
                                strncmp(client->answer, "HTTP/1.1 50", 11) != 0;
            client_end(client, false);
            return;
        case SOCKET_BROKEN:
            client->broken = true;
            client_end(client, true);
            return;
        }
    }
}

struct house_client *house_client(struct house *house, uint32_t site,
                                  uint64_t size)
{
    struct house_client *client = sim_alloc(house->sim, sizeof *client);
    uint32_t port = server_port(house->world.server, &house->sites[site]);

    client->house = house;
    client->site = site;
    client->size = size;
    client->next = house->clients;
    house->clients = client;
    client->socket =
        socket_connect(&house->world.clients_process, port == 0 ? 1 : port,
                       NULL, NULL, client_ready, client);
    assert_non_null(client->socket);
    return client;
}

struct house_client *house_request(struct house *house, uint32_t site,
                                   const char *head)
{
    struct house_client *client = house_client(house, site, strlen(head));
    size_t done;

    client->http = true;
    while (socket_state(client->socket) == SOCKET_CONNECTING) {
        house_run(house, 1);
    }
    assert_int_equal(
        socket_send(client->socket, (const uint8_t *)head, strlen(head), &done),
        SOCKET_MORE);
    assert_int_equal(done, strlen(head));
    return client;
}

/* ---- the world ----------------------------------------------------------- */

struct house *house_new(uint64_t seed, uint32_t sites, const struct path *path)
{
    struct sim_config config = {.seed = seed, .permutes = seed % 2 == 1};
    struct sim *sim = sim_new(&config);
    struct house *house = sim_alloc(sim, sizeof *house);
    struct world *world = &house->world;

    house->sim = sim;
    house->plan = (struct plan){.seed = seed, .sites = sites};
    *world =
        (struct world){.sim = sim, .plan = &house->plan, .sites = house->sites};
    process_init(&world->server_process, sim, "server");
    process_init(&world->clients_process, sim, "clients");
    process_start(&world->clients_process);
    for (uint32_t i = 0; i < sites; i++) {
        struct site *site = &house->sites[i];
        *site = (struct site){.index = i, .world = world};
        path_default(&site->there);
        if (path != NULL) {
            site->there = *path;
        }
        site->back = site->there;
        path_default(&site->local);
        process_init(&site->agent_process, sim, "agent %u", i);
        process_init(&site->engine_process, sim, "engine %u", i);
    }
    world->server = server_new(world);
    server_start(world->server);
    for (uint32_t i = 0; i < sites; i++) {
        assert_true(server_provision(world->server, &house->sites[i]));
        house_engine(house, i);
    }
    return house;
}

void house_free(struct house *house)
{
    sim_free(house->sim);
}

void house_agent(struct house *house, uint32_t site,
                 const struct remote_ops *ops)
{
    struct site *at = &house->sites[site];

    house->ops[site] = ops;
    process_start(&at->agent_process);
    at->remote = ops->start(at, at->key);
}

void house_kill_agent(struct house *house, uint32_t site, enum process_end end)
{
    struct site *at = &house->sites[site];

    process_kill(&at->agent_process, end);
    house->ops[site]->forget(at->remote);
    at->remote = NULL;
}

static void poke_clients(struct house *house)
{
    for (struct house_client *client = house->clients; client != NULL;
         client = client->next) {
        if (client->reads_from_us > 0 && client->socket != NULL &&
            sim_now_us(house->sim) >= client->reads_from_us) {
            client->reads_from_us = 0;
            client_ready(client);
        }
    }
}

void house_run(struct house *house, uint64_t ms)
{
    uint64_t until_us = sim_now_us(house->sim) + ms * SIM_MS;

    poke_clients(house);
    while (sim_step(house->sim, until_us)) {
        server_check(house->world.server);
        poke_clients(house);
    }
    poke_clients(house);
}

void house_await(struct house *house, uint32_t site)
{
    for (int i = 0; i < 6000; i++) {
        if (server_port(house->world.server, &house->sites[site]) != 0) {
            return;
        }
        house_run(house, 10);
    }
    sim_fail(house->sim, "liveness", "no proxy");
}

void house_print(void *user, const char *text)
{
    (void)user;
    (void)fputs(text, stderr);
}

struct run {
    struct house *house;
    void (*body)(struct house *house);
};

static void run_body(void *user)
{
    const struct run *run = user;
    run->body(run->house);
}

bool house_run_body(struct house *house, void (*body)(struct house *house),
                    struct sim_failure *failure)
{
    struct run run = {house, body};

    return sim_run(house->sim, run_body, &run, failure);
}

void house_test(struct house *house, void (*body)(struct house *house))
{
    struct run run = {house, body};
    struct sim_failure failure = {.step = 0};

    if (!sim_run(house->sim, run_body, &run, &failure)) {
        sim_last_lines(house->sim, house_print, NULL);
        fail_msg("seed %u: %s: %s", (unsigned)house->plan.seed, failure.oracle,
                 failure.message);
    }
    house_free(house);
}

void house_test_fails(struct house *house, void (*body)(struct house *house),
                      const char *oracle)
{
    struct run run = {house, body};
    struct sim_failure failure = {.step = 0};

    assert_false(sim_run(house->sim, run_body, &run, &failure));
    assert_string_equal(failure.oracle, oracle);
    house_free(house);
}
