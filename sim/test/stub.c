#include "sim/test/stub.h"

#include <stdlib.h>
#include <string.h>

#include "sim/plan.h"
#include "sim/server.h"

#define READ_SIZE 4096u

/* The agents ask it for the state of their session; here it has none. */
enum fault_state server_state(const struct server *server,
                              const struct site *site)
{
    (void)server;
    (void)site;
    return FAULT_STATE_NONE;
}

static uint8_t said_at(const struct stub_client *client, uint64_t place)
{
    return (uint8_t)(place * 167 + client->size + (place >> 8));
}

/* ---- engine -------------------------------------------------------------- */

struct echo {
    struct stub *stub;
    struct socket *socket;
    struct plain_bytes held;
    bool finished;
};

static void echo_end(struct echo *echo, bool reset)
{
    if (reset) {
        socket_reset(echo->socket);
    } else {
        socket_close(echo->socket);
    }
    plain_bytes_free(&echo->held);
    sim_release(echo->stub->sim, echo);
}

static enum socket_result echo_hear(struct echo *echo)
{
    uint8_t bytes[READ_SIZE];
    size_t length;
    enum socket_result result =
        socket_receive(echo->socket, bytes, sizeof bytes, &length);

    plain_bytes_add(&echo->held, bytes, length);
    echo->stub->echoed += length;
    echo->finished = echo->finished || result == SOCKET_FINISHED;
    return result;
}

static enum socket_result echo_say(struct echo *echo)
{
    size_t length;
    enum socket_result result =
        socket_send(echo->socket, plain_bytes_front(&echo->held),
                    echo->held.length, &length);

    plain_bytes_drop(&echo->held, length);
    return result;
}

static void echo_ready(void *user)
{
    struct echo *echo = user;
    enum socket_result heard = SOCKET_MORE;
    enum socket_result said = SOCKET_MORE;

    while (heard == SOCKET_MORE && said == SOCKET_MORE) {
        heard = echo->held.length < 65536 ? echo_hear(echo) : SOCKET_WAIT;
        if (echo->held.length > 0) {
            said = echo_say(echo);
            heard = said == SOCKET_MORE ? SOCKET_MORE : heard;
        }
    }
    if (heard == SOCKET_BROKEN || said == SOCKET_BROKEN) {
        echo_end(echo, true);
    } else if (echo->finished && echo->held.length == 0) {
        echo_end(echo, false);
    }
}

static void engine_ready(void *user)
{
    struct stub *stub = user;

    for (;;) {
        struct echo *echo = sim_alloc(stub->sim, sizeof *echo);

        *echo = (struct echo){.stub = stub};
        plain_bytes_init(&echo->held, stub->sim);
        echo->socket = listener_accept(stub->engine, echo_ready, echo);
        if (echo->socket == NULL) {
            sim_release(stub->sim, echo);
            return;
        }
        if (stub->engine_closes) {
            echo_end(echo, true);
        }
    }
}

/* ---- server -------------------------------------------------------------- */

static void drop_link(struct stub_link *link, bool reset)
{
    struct stub *stub = link->stub;

    for (uint32_t i = 0; i < stub->client_count; i++) {
        struct stub_client *client = &stub->clients[i];

        if (client->link == link && client->stream != NULL) {
            client->stream = NULL;
            client->broken = true;
        }
    }
    for (uint32_t i = 0; i < STUB_LINKS_MAX; i++) {
        if (stub->links[i] == link) {
            stub->links[i] = NULL;
        }
    }
    if (stub->newest == link) {
        stub->newest = NULL;
    }
    if (reset) {
        socket_reset(link->socket);
    } else {
        socket_close(link->socket);
    }
    plain_mux_free(&link->mux);
    plain_ws_free(&link->ws);
    plain_bytes_free(&link->head);
    sim_release(stub->sim, link);
}

void stub_close(struct stub_link *link)
{
    drop_link(link, false);
}

static void hear(struct stub_link *link, struct stub_client *client)
{
    struct plain_stream *stream = client->stream;
    const uint8_t *bytes = plain_bytes_front(&stream->in);
    size_t length = stream->in.length;

    for (size_t i = 0; i < length; i++) {
        if (bytes[i] != said_at(client, client->heard + i)) {
            sim_fail(link->stub->sim, "prefix", "byte %zu is wrong", i);
        }
    }
    client->heard += length;
    if (length > 0) {
        plain_mux_read(&link->mux, stream, length);
    }
}

static void say(struct stub_link *link, struct stub_client *client)
{
    struct plain_stream *stream = client->stream;
    uint8_t bytes[READ_SIZE];

    while (!stream->finished_out && client->said < client->size) {
        size_t room = plain_mux_room(&link->mux, stream);
        uint64_t left = client->size - client->said;
        size_t length = room < sizeof bytes ? room : sizeof bytes;

        length = left < length ? (size_t)left : length;
        if (length == 0) {
            return;
        }
        for (size_t i = 0; i < length; i++) {
            bytes[i] = said_at(client, client->said + i);
        }
        plain_mux_write(&link->mux, stream, bytes, length);
        client->said += length;
    }
    if (!stream->finished_out) {
        plain_mux_finish(&link->mux, stream);
    }
}

static void serve_clients(struct stub_link *link)
{
    for (uint32_t i = 0; i < link->stub->client_count; i++) {
        struct stub_client *client = &link->stub->clients[i];

        if (client->link != link || client->stream == NULL) {
            continue;
        }
        hear(link, client);
        say(link, client);
        client->acked = client->stream->acked;
        if (plain_mux_is_done(client->stream)) {
            client->whole = client->heard == client->size;
            plain_mux_forget(&link->mux, client->stream);
            client->stream = NULL;
        }
    }
}

static void take_events(struct stub_link *link)
{
    struct plain_event event;

    while (plain_mux_next(&link->mux, &event)) {
        struct stub_client *client =
            event.stream != NULL ? event.stream->user : NULL;

        if (event.kind == PLAIN_PINGED) {
            plain_mux_pong(&link->mux, event.value);
        } else if (event.kind == PLAIN_PONGED) {
            link->pongs++;
            link->last_pong = event.value;
        } else if (event.kind == PLAIN_RESET) {
            client->broken = true;
            client->stream = NULL;
            plain_mux_forget(&link->mux, event.stream);
        }
    }
}

static void answer_head(struct stub_link *link, const uint8_t *bytes,
                        size_t length)
{
    static const char ok[] = "HTTP/1.1 101 S\r\n\r\n";
    static const char no[] = "HTTP/1.1 401 U\r\n\r\n";
    struct stub *stub = link->stub;
    char expected[256];
    size_t size = 0;

    plain_bytes_add(&link->head, bytes, length);
    if (link->head.length < 4) {
        return;
    }
    memcpy(expected, "Bearer ", 7);
    memcpy(expected + 7, stub->site.key, strlen(stub->site.key));
    size = 7 + strlen(stub->site.key);
    memcpy(expected + size, "\r\n\r\n", 4);
    size += 4;
    const uint8_t *end = plain_bytes_front(&link->head) + link->head.length - 4;
    if (memcmp(end, "\r\n\r\n", 4) != 0) {
        return;
    }
    link->is_open = link->head.length >= size &&
                    memcmp(end + 4 - size, expected, size) == 0;
    const char *answer = link->is_open ? ok : no;
    socket_send(link->socket, (const uint8_t *)answer, strlen(answer), &size);
    if (link->is_open) {
        stub->newest = link;
        link->opened_us = sim_now_us(stub->sim);
    } else {
        socket_finish(link->socket);
    }
}

static void give(struct stub_link *link)
{
    struct plain_bytes *out = &link->ws.out;
    size_t length = 1;

    while (out->length > 0 && length > 0) {
        size_t piece = link->stub->trickles ? 1 : out->length;

        socket_send(link->socket, plain_bytes_front(out), piece, &length);
        plain_bytes_drop(out, length);
    }
}

static void link_ready(void *user)
{
    struct stub_link *link = user;
    enum socket_result result = SOCKET_MORE;
    uint8_t bytes[READ_SIZE];

    while (result == SOCKET_MORE && !link->stub->silent) {
        size_t length;

        result = socket_receive(link->socket, bytes, sizeof bytes, &length);
        if (link->is_open) {
            plain_ws_receive(&link->ws, bytes, length);
        } else if (length > 0) {
            answer_head(link, bytes, length);
        }
    }
    if (link->is_open) {
        take_events(link);
        serve_clients(link);
        give(link);
    }
    if (result == SOCKET_FINISHED || result == SOCKET_BROKEN ||
        (link->ws.close_received && link->ws.out.length == 0)) {
        drop_link(link, result == SOCKET_BROKEN);
    }
}

static void listener_ready(void *user)
{
    struct stub *stub = user;

    for (;;) {
        struct stub_link *link = sim_alloc(stub->sim, sizeof *link);

        *link = (struct stub_link){.stub = stub};
        link->socket = listener_accept(stub->listener, link_ready, link);
        if (link->socket == NULL) {
            sim_release(stub->sim, link);
            return;
        }
        plain_bytes_init(&link->head, stub->sim);
        plain_ws_init(&link->ws, stub->sim, false,
                      chance_of(1, "stub", stub->link_count));
        plain_mux_init(&link->mux, &link->ws, false);
        stub->links[stub->link_count % STUB_LINKS_MAX] = link;
        stub->link_count++;
    }
}

/* ---- the world ----------------------------------------------------------- */

struct stub *stub_new(uint64_t seed, const struct remote_ops *ops)
{
    const struct sim_config config = {.seed = seed,
                                      .prints = getenv("STUB_PRINTS") != NULL};
    struct stub *stub = calloc(1, sizeof *stub);

    stub->sim = sim_new(&config);
    stub->ops = ops;
    stub->world = (struct world){.sim = stub->sim, .sites = &stub->site};
    path_default(&stub->site.there);
    stub->site.there.latency_us = 20 * SIM_MS;
    stub->site.there.dead_us = 30 * SIM_S;
    stub->site.back = stub->site.there;
    path_default(&stub->site.local);
    stub->site.world = &stub->world;
    memcpy(stub->site.key, "ch_orthrus_", 11);
    memset(stub->site.key + 11, 'a', 64);
    process_init(&stub->world.server_process, stub->sim, "server");
    process_init(&stub->site.agent_process, stub->sim, "agent 0");
    process_init(&stub->site.engine_process, stub->sim, "engine 0");
    process_start(&stub->world.server_process);
    process_start(&stub->site.engine_process);
    stub->listener = listener_open(&stub->world.server_process, ADDRESS_SERVER,
                                   128, listener_ready, stub);
    stub->engine = listener_open(&stub->site.engine_process, ADDRESS_ENGINE,
                                 128, engine_ready, stub);
    return stub;
}

void stub_free(struct stub *stub)
{
    sim_free(stub->sim);
    free(stub);
}

void stub_start_agent(struct stub *stub)
{
    process_start(&stub->site.agent_process);
    stub->site.remote = stub->ops->start(&stub->site, stub->site.key);
}

void stub_kill_agent(struct stub *stub, enum process_end end)
{
    process_kill(&stub->site.agent_process, end);
    stub->ops->forget(stub->site.remote);
    stub->site.remote = NULL;
}

void stub_run(struct stub *stub, uint64_t ms)
{
    uint64_t until_us = sim_now_us(stub->sim) + ms * SIM_MS;

    while (sim_step(stub->sim, until_us)) {
        if (stub->site.remote != NULL && stub->ops->check != NULL) {
            stub->ops->check(stub->site.remote);
        }
    }
}

void stub_await_link(struct stub *stub, uint64_t ms)
{
    uint64_t until_us = sim_now_us(stub->sim) + ms * SIM_MS;

    while (stub->newest == NULL && sim_step(stub->sim, until_us)) {
    }
}

struct stub_client *stub_client(struct stub *stub, uint64_t size)
{
    static const uint8_t preface = 0x01;
    struct stub_client *client = &stub->clients[stub->client_count++];
    struct stub_link *link = stub->newest;

    *client = (struct stub_client){.link = link, .size = size};
    client->stream = plain_mux_open(&link->mux);
    client->stream->user = client;
    plain_mux_write(&link->mux, client->stream, &preface, 1);
    serve_clients(link);
    give(link);
    return client;
}
