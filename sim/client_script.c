#include "sim/client_internal.h"

#define DAY_MS (UINT64_C(24) * 3600 * 1000)

static struct request *add(struct client *client, enum request_kind kind,
                           uint64_t bytes)
{
    struct request *request =
        request_new(client->world, client->site->index, kind);

    request->draw = chance_next(&client->chance);
    request->is_versioned = chance_in(&client->chance, 1, 3);
    request->bytes = bytes;
    client->requests[client->count++] = request;
    return request;
}

static struct request *add_last(struct client *client, enum request_kind kind,
                                uint64_t bytes)
{
    struct request *request = add(client, kind, bytes);

    request->is_last = true;
    return request;
}

static void give_body(struct client *client, struct request *request,
                      uint64_t takes)
{
    request->takes = takes;
    request->body =
        chance_in(&client->chance, 1, 2) ? MESSAGE_CHUNKED : MESSAGE_LENGTH;
}

/* One of those that fit on a kept connection. */
static void add_drawn(struct client *client)
{
    static const enum request_kind kinds[] = {REQUEST_PING, REQUEST_PING_HEAD,
                                              REQUEST_LIST, REQUEST_INSPECT,
                                              REQUEST_LOGS, REQUEST_CREATE};
    static const uint32_t weights[] = {3, 3, 3, 3, 2, 1};
    enum request_kind kind =
        kinds[chance_weighted(&client->chance, weights, 6)];
    uint64_t bytes = chance_size(&client->chance, client->amount);
    struct request *request =
        add(client, kind, kind <= REQUEST_PING_HEAD ? 2 : bytes);

    if (kind == REQUEST_CREATE) {
        give_body(client, request, chance_size(&client->chance, 4096));
    }
}

static void add_many(struct client *client)
{
    uint32_t count =
        (uint32_t)chance_between(&client->chance, 2, CLIENT_REQUESTS_MAX);

    for (uint32_t i = 0; i < count; i++) {
        add_drawn(client);
    }
    client->requests[client->count - 1]->is_last =
        chance_in(&client->chance, 1, 2);
}

/* amount bytes, by a way that some agents refuse or one that all let pass. */
static struct request *add_get(struct client *client)
{
    bool is_image = chance_in(&client->chance, 1, 4);

    return add_last(client, is_image ? REQUEST_IMAGE : REQUEST_INSPECT,
                    client->amount);
}

static void add_logs(struct client *client)
{
    bool is_events = chance_in(&client->chance, 1, 3);
    bool is_slow = chance_in(&client->chance, 1, 2);
    struct request *request =
        add(client, is_events ? REQUEST_EVENTS : REQUEST_LOGS, client->amount);

    request->is_last = chance_in(&client->chance, 1, 2);
    if (is_slow) {
        request->delay_ms = chance_between(&client->chance, 1, 3000);
    }
}

static void add_attach(struct client *client)
{
    const struct plan *plan = client->world->plan;
    struct request *request = add(client, REQUEST_ATTACH, client->amount);
    uint64_t now_us = sim_now_us(client->world->sim);

    request->takes = chance_size(&client->chance, client->amount);
    request->order = (enum request_order)chance_below(&client->chance, 3);
    if (request->order != ORDER_CLIENT) {
        return;
    }
    request->delay_ms = chance_size(&client->chance, 60000);
    if (plan != NULL && now_us + (DAY_MS + 60000) * SIM_MS < plan->phase_us &&
        chance_in(&client->chance, 1, 2)) {
        request->delay_ms = DAY_MS; /* T11 */
    }
}

static void add_build(struct client *client)
{
    struct request *request =
        add(client, REQUEST_BUILD, chance_size(&client->chance, 65536));

    request->is_last = chance_in(&client->chance, 1, 2);
    give_body(client, request, client->amount);
}

static void add_forbidden(struct client *client)
{
    static const enum request_kind kinds[] = {REQUEST_CREATE, REQUEST_ARCHIVE,
                                              REQUEST_IMAGE, REQUEST_ATTACH,
                                              REQUEST_REMOVE};
    enum request_kind kind = kinds[chance_below(&client->chance, 5)];
    uint64_t bytes = chance_size(&client->chance, 4096);
    struct request *request = add(client, kind, bytes);

    if (kind == REQUEST_CREATE) {
        give_body(client, request, chance_size(&client->chance, 65536));
    }
    if (kind != REQUEST_ATTACH && chance_in(&client->chance, 1, 2)) {
        add(client, REQUEST_PING, 2)->is_last = true;
    }
}

/* Gone in the middle, of anything. */
static void add_and_leave(struct client *client)
{
    static void (*const ways[])(struct client *) = {add_logs, add_attach,
                                                    add_build, add_many};
    uint32_t way = chance_below(&client->chance, 5);

    if (way == 4) {
        (void)add_get(client);
    } else {
        ways[way](client);
    }
    client->abort_at = chance_size(&client->chance, client->amount);
    client->abort_us = sim_now_us(client->world->sim) +
                       chance_size(&client->chance, 20 * SIM_S);
}

static void be_slow(struct client *client)
{
    uint64_t least = client->amount / 64 + 1;

    client->slow_bytes = chance_between(&client->chance, least, least * 8);
    client->slow_us = chance_between(&client->chance, 1, 2 * SIM_S);
}

static void be_silent(struct client *client)
{
    client->pause_us = chance_size(&client->chance, 20 * 60 * SIM_S);
    if (chance_in(&client->chance, 1, 2)) {
        add_last(client, REQUEST_PING, 2);
    }
}

static void draw_paths(struct client *client)
{
    client->there = client->site->local;
    client->there.dead_us = 90 * SIM_S; /* as SO_KEEPALIVE is set: T18 */
    client->back = client->there;
    if (chance_in(&client->chance, 1, 4)) {
        client->back.buffer =
            (uint32_t)chance_between(&client->chance, 2048, 65536);
    }
}

/* Long: one case for each variety. */
void client_write_script(struct client *client)
{
    client->abort_at = SIM_NEVER;
    client->abort_us = SIM_NEVER;
    client->stall_at = SIM_NEVER;
    draw_paths(client);
    switch (client->kind) {
    case CLIENT_PING:
        add_last(client,
                 chance_in(&client->chance, 1, 2) ? REQUEST_PING
                                                  : REQUEST_PING_HEAD,
                 2);
        break;
    case CLIENT_LIST:
        add_last(client, REQUEST_LIST, chance_size(&client->chance, 16384));
        break;
    case CLIENT_PIPELINED:
        client->is_pipelined = true;
        add_many(client);
        break;
    case CLIENT_KEEP_ALIVE:
        add_many(client);
        break;
    case CLIENT_GET:
        (void)add_get(client);
        break;
    case CLIENT_LOGS:
        add_logs(client);
        break;
    case CLIENT_ATTACH:
        add_attach(client);
        break;
    case CLIENT_BUILD:
        add_build(client);
        break;
    case CLIENT_SLOW:
        (void)add_get(client);
        be_slow(client);
        break;
    case CLIENT_STALLS:
        (void)add_get(client);
        client->requests[0]->is_last = chance_in(&client->chance, 1, 2);
        client->finishes_first = chance_in(&client->chance, 1, 2);
        if (chance_in(&client->chance, 1, 2)) { /* so that others hold it */
            client->back.buffer =
                (uint32_t)chance_between(&client->chance, 2048, 16384);
        }
        client->stall_at = chance_size(&client->chance, client->amount);
        client->stall_us = chance_size(&client->chance, 10 * 60 * SIM_S);
        break;
    case CLIENT_VANISHES:
    case CLIENT_RESETS:
        add_and_leave(client);
        break;
    case CLIENT_HALF_CLOSES:
        add(client, REQUEST_INSPECT, client->amount);
        client->finishes_first = true;
        break;
    case CLIENT_SILENT:
        be_silent(client);
        break;
    case CLIENT_BROWSER:
        add(client, REQUEST_LIST, client->amount)->is_page = true;
        break;
    case CLIENT_FORBIDDEN:
        add_forbidden(client);
        break;
    case CLIENT_GARBAGE:
    case CLIENT_KINDS:
        break;
    }
}
