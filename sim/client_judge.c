/* client_judge.c: is what a client got what it must get?
 *
 * Every answer ends in one of three ways. It is whole and right; or there is an
 * error that a client can see: a status of 400 or more, RST, no connection, a
 * body that is visibly short. Or it is wrong, and the world fails: a byte that
 * is not the engine's, an answer to another request, a FIN that says "that was
 * all" when it was not (L-04, O2, O18), and an error that nothing excuses.
 */
#include "sim/client_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/contract.h"
#include "sim/content.h"
#include "sim/engine.h"
#include "sim/server.h"

#define BULK_LEAST 65536u
#define AGENT_HOLDS UINT64_C(65536) /* PLAIN_OUT_ENOUGH */
#define LATENCY_LEAST_US (3 * SIM_S)
#define MEGABYTE (UINT64_C(1024) * 1024)
/* A Go agent ends a stream that is half-closed for 5 minutes (a.4). */
#define GO_PATIENCE_US (4 * 60 * SIM_S)

/* ---- who is at the far end ----------------------------------------------- */

/* Is it so for every kind of agent that may be there, or for some? */
enum quantity { SOME, EVERY };

static bool far_end(const struct client *client, enum quantity quantity,
                    bool (*is_so)(const struct remote_ways *ways))
{
    if (client->world->server == NULL) { /* no agent: the engine itself */
        struct remote_ways ways = {.ends_well = true};

        return is_so(&ways);
    }
    for (uint32_t kind = 0; kind < REMOTE_KINDS; kind++) {
        struct remote_ways ways = remote_ways((enum remote_kind)kind);

        if ((client->remote_kinds >> kind & 1) != 0 &&
            is_so(&ways) != (quantity == EVERY)) {
            return quantity == SOME;
        }
    }
    return quantity == EVERY;
}

static bool filters(const struct remote_ways *ways)
{
    return ways->filters;
}

static bool sends_again(const struct remote_ways *ways)
{
    return ways->filters && ways->ends_well;
}

static bool is_one_request(const struct remote_ways *ways)
{
    return ways->one_request;
}

static bool ends_well(const struct remote_ways *ways)
{
    return ways->ends_well;
}

static bool may_break(const struct remote_ways *ways)
{
    return ways->may_break;
}

/* ---- verdicts ------------------------------------------------------------ */

static struct request *current(const struct client *client)
{
    return client->reading < client->count ? client->requests[client->reading]
                                           : NULL;
}

/* The same where there is one. */
static struct request *asked(const struct client *client)
{
    struct request *request = current(client);

    REQUIRE(request != NULL);
    return request;
}

static const char *what_of(const struct client *client)
{
    const struct request *request = current(client);

    return request != NULL                  ? request_text(request)
           : client->kind == CLIENT_GARBAGE ? "garbage"
                                            : "silence";
}

static void count_end(struct client *client, bool is_error)
{
    struct clients_tally *tally = &client->all->tally;

    tally->requests++;
    tally->requests_failed += is_error ? 1 : 0;
    tally->bytes += client->message.body;
    sim_met(client->world->sim,
            is_error ? MET_REQUEST_ERROR : MET_REQUEST_DONE);
    sim_mark(client->world->sim, client->index, client->message.body);
}

/* Go's half-closed streams do not live for ever, whatever we do. */
static bool is_too_late_for_go(const struct client *client)
{
    return !far_end(client, EVERY, ends_well) &&
           sim_now_us(client->world->sim) - client->health.since_us >
               GO_PATIENCE_US;
}

void client_judge_error(struct client *client, const char *what)
{
    struct sim *sim = client->world->sim;

    sim_say(sim, client->name, "%s: %s after %" PRIu64 " bytes",
            what_of(client), what, client->received);
    client->has_failed = true;
    count_end(client, true);
    if (client->kind == CLIENT_GARBAGE || is_too_late_for_go(client)) {
        return;
    }
    if (health_is_unbroken(&client->health, client->site) ||
        (current(client) != NULL && current(client)->sightings > 0 &&
         health_is_drained(&client->health, client->site))) {
        sim_fail(sim, "error",
                 "%s: %s: %s after %" PRIu64 " bytes, though site %" PRIu32
                 " was well all the time",
                 client->name, what_of(client), what, client->received,
                 client->site->index);
    }
}

static _Noreturn void fail_identity(const struct client *client,
                                    const char *value)
{
    sim_fail(client->world->sim, "identity",
             "%s asked site %" PRIu32 " for request %" PRIu64
             " and got the answer \"%s\"",
             client->name, client->site->index, asked(client)->number, value);
}

/* ---- heads --------------------------------------------------------------- */

static void met_status(const struct client *client, unsigned status)
{
    static const struct {
        unsigned status;
        enum met met;
    } mets[] = {{400, MET_STATUS_400},
                {403, MET_STATUS_403},
                {502, MET_STATUS_502},
                {503, MET_STATUS_503}};

    for (size_t i = 0; i < sizeof mets / sizeof *mets; i++) {
        if (mets[i].status == status) {
            sim_met(client->world->sim, mets[i].met);
        }
    }
}

/* The answer is the engine's own: exactly what it says it sent. */
static void judge_engine_head(const struct client *client, unsigned status,
                              const char *engine)
{
    const struct request *request = asked(client);
    const struct message *message = &client->message;
    bool is_head = request->kind == REQUEST_PING_HEAD;
    char mine[40];

    (void)snprintf(mine, sizeof mine, "%" PRIu32 " %" PRIu64,
                   client->site->index, request->number);
    if (strcmp(engine, mine) != 0) {
        fail_identity(client, engine);
    }
    if (status != request->status ||
        (message->framing == MESSAGE_LENGTH &&
         message->left != request->answer) ||
        (message->framing == MESSAGE_EMPTY) != is_head) {
        sim_fail(client->world->sim, "head",
                 "%s: status %u and %" PRIu64 " bytes to come, but the engine "
                 "said %u and %" PRIu64,
                 client->name, status, message->left, request->status,
                 request->answer);
    }
    if (!request_passes(request->kind) && far_end(client, EVERY, filters)) {
        sim_fail(client->world->sim, "policy",
                 "%s: the engine answered %s through an agent that must "
                 "refuse it",
                 client->name, request_text(request));
    }
    if (request->sightings > 1) {
        if (!far_end(client, SOME, sends_again) &&
            !far_end(client, SOME, may_break)) {
            sim_fail(client->world->sim, "twice",
                     "%s: %s reached the engine %" PRIu32 " times",
                     client->name, request_text(request), request->sightings);
        }
    }
}

/* It is somebody's on the way: then it is an error, and 403 only for what is
 * forbidden. */
static void judge_other_head(const struct client *client, unsigned status)
{
    const struct request *request = current(client);
    bool may_be_forbidden = request != NULL && !request_passes(request->kind) &&
                            far_end(client, SOME, filters);

    if (status < 400) {
        sim_fail(client->world->sim, "invented",
                 "%s: %s: status %u from nobody's engine", client->name,
                 what_of(client), status);
    }
    if (status == 403 && !may_be_forbidden) {
        sim_fail(client->world->sim, "policy", "%s: %s: 403, and it is allowed",
                 client->name, what_of(client));
    }
}

static void judge_head(struct client *client)
{
    struct message *message = &client->message;
    const struct request *request = current(client);
    unsigned status = message_status(message);
    char value[64];

    met_status(client, status);
    message_begin_body(message, true,
                       request != NULL && request->kind == REQUEST_PING_HEAD);
    message_field(message, "connection", value, sizeof value);
    client->is_told_close = strcmp(value, "close") == 0;
    message_field(message, "x-engine", value, sizeof value);
    client->is_from_engine = value[0] != '\0';
    client->may_trail = !client->is_from_engine && client->is_told_close &&
                        request != NULL && request->kind == REQUEST_PING_HEAD;
    if (status == 0 || message->is_broken) {
        message->is_broken = true;
    } else if (client->is_from_engine && request != NULL) {
        judge_engine_head(client, status, value);
        client->is_hijacked = status == 101;
    } else if (!client->is_from_engine) {
        judge_other_head(client, status);
    }
}

/* ---- whole answers ------------------------------------------------------- */

static void met_whole(const struct client *client)
{
    const struct request *request = current(client);
    struct sim *sim = client->world->sim;
    bool is_last = client->reading + 1 == client->count;

    if (client->message.body >= MEGABYTE) {
        sim_met(sim, MET_BULK_MEGABYTE);
    }
    if (request->taken >= MEGABYTE) {
        sim_met(sim, MET_UPLOAD_MEGABYTE);
    }
    if (is_last && client->count > 1 && client->is_pipelined) {
        sim_met(sim, MET_PIPELINED);
    }
    if (is_last && client->count == CLIENT_REQUESTS_MAX) {
        sim_met(sim, MET_KEPT_ALIVE);
    }
}

static void judge_length(const struct client *client)
{
    const struct request *request = asked(client);
    uint64_t answer = request->kind == REQUEST_PING_HEAD ? 0 : request->answer;

    if (client->message.body != answer) {
        sim_fail(client->world->sim, "prefix",
                 "%s: %s: whole after %" PRIu64 " of %" PRIu64 " bytes",
                 client->name, what_of(client), client->message.body, answer);
    }
    if (request->status < 300 && request->body != MESSAGE_EMPTY &&
        request->taken != request->takes) {
        sim_fail(client->world->sim, "prefix",
                 "%s: %s: the engine answered after %" PRIu64 " of %" PRIu64
                 " bytes of its body",
                 client->name, what_of(client), request->taken, request->takes);
    }
}

/* The connection is to end now, with requests left. */
static void judge_close(const struct client *client)
{
    const struct request *request = current(client);
    unsigned status = message_status(&client->message);

    sim_met(client->world->sim, MET_ONE_REQUEST);
    if (status < 400 && !request->is_last &&
        !far_end(client, SOME, is_one_request) &&
        health_is_unbroken(&client->health, client->site)) {
        sim_fail(client->world->sim, "keep-alive",
                 "%s: %s: Connection: close, though nobody asked for it",
                 client->name, what_of(client));
    }
}

static bool is_bulk_there(const struct client *client)
{
    const struct client *other = client->all->list;

    while (other != NULL && (other == client || other->site != client->site ||
                             other->reading >= other->count ||
                             other->message.taken < BULK_LEAST)) {
        other = other->next;
    }
    return other != NULL;
}

/* How long the bytes need that fill this path, and what an agent that is not
 * ours holds in front of it. */
static uint64_t wait_us(const struct path *path)
{
    uint64_t us = path->latency_us + path->jitter_us;

    return path->rate == 0
               ? us
               : us + (AGENT_HOLDS + path->buffer) * SIM_S / path->rate;
}

/* L-05: a ping on a connection of its own takes a few round trips, whatever
 * else flows. */
static void judge_latency(const struct client *client)
{
    const struct site *site = client->site;
    uint64_t took_us = sim_now_us(client->world->sim) - client->health.since_us;
    uint64_t bound_us = LATENCY_LEAST_US + 4 * wait_us(&site->there) +
                        4 * wait_us(&site->back) + 8 * wait_us(&site->local);

    if (client->kind != CLIENT_PING || !is_bulk_there(client) ||
        !health_is_prompt(&client->health, site)) {
        return;
    }
    sim_met(client->world->sim, MET_SMALL_WHILE_BULK);
    if (took_us > bound_us) {
        sim_fail(client->world->sim, "latency",
                 "%s: %s took %" PRIu64 " ms beside bulk, at most %" PRIu64
                 " are expected (L-05)",
                 client->name, what_of(client), took_us / SIM_MS,
                 bound_us / SIM_MS);
    }
}

static void end_answer(struct client *client)
{
    struct sim *sim = client->world->sim;
    unsigned status = message_status(&client->message);
    bool is_error = status >= 400 && status != 403;

    if (client->is_from_engine && current(client) != NULL) {
        judge_length(client);
        judge_latency(client);
        met_whole(client);
    }
    if (is_error) {
        char what[32];

        (void)snprintf(what, sizeof what, "status %u", status);
        client_judge_error(client, what);
    } else {
        sim_say(sim, client->name, "%s: %u, %" PRIu64 " bytes, whole",
                what_of(client), status, client->message.body);
        count_end(client, false);
    }
    if (client->is_told_close && client->reading + 1 < client->count) {
        judge_close(client);
    }
    client->reading++;
    message_begin(&client->message);
}

static void judge_content(const struct client *client, const uint8_t *data,
                          size_t length)
{
    const struct request *request = current(client);
    uint64_t at = client->message.body - length;
    uint64_t key = request_key(client->world, request, true);
    size_t same = content_compare(key, at, data, length);

    if (same < length || client->message.body > request->answer) {
        sim_fail(client->world->sim, "prefix",
                 "%s: %s: byte %" PRIu64 " of %" PRIu64 " is not the engine's",
                 client->name, what_of(client), at + same, request->answer);
    }
}

/* ---- bytes --------------------------------------------------------------- */

static size_t take_head(struct client *client, const uint8_t *bytes,
                        size_t length)
{
    size_t used = message_read_head(&client->message, bytes, length);

    if (client->message.has_head && !client->message.is_broken) {
        judge_head(client);
    }
    if (client->message.is_broken) {
        client_judge_error(client, "no HTTP");
        client->is_over = true;
        return length;
    }
    if (client->message.has_head && client->message.is_whole) {
        end_answer(client);
    }
    return used;
}

static size_t take_body(struct client *client, const uint8_t *bytes,
                        size_t length)
{
    const uint8_t *data = NULL;
    size_t data_length = 0;
    size_t used =
        message_read_body(&client->message, bytes, length, &data, &data_length);

    if (client->is_from_engine && current(client) != NULL) {
        judge_content(client, data, data_length);
    }
    if (client->message.is_broken) {
        /* the engine frames its bodies well, and they begin alike */
        if (client->is_from_engine) {
            sim_fail(client->world->sim, "prefix",
                     "%s: %s: the body is not framed as the engine did",
                     client->name, what_of(client));
        }
        client_judge_error(client, "no HTTP");
        client->is_over = true;
        return length;
    }
    if (client->message.is_whole) {
        end_answer(client);
    }
    return used;
}

void client_judge_bytes(struct client *client, const uint8_t *bytes,
                        size_t length)
{
    size_t done = 0;

    client->received += length;
    while (done < length && !client->is_over) {
        if (client->may_trail && client->message.taken == 0) {
            return;
        }
        /* who never asks may be told why he is not served */
        if (client->reading >= client->count && client->count > 0 &&
            client->kind != CLIENT_GARBAGE) {
            sim_fail(client->world->sim, "invented",
                     "%s: %zu bytes that nobody asked for", client->name,
                     length - done);
        }
        if (client->is_told_close && client->message.taken == 0) {
            sim_fail(client->world->sim, "invented",
                     "%s: %zu bytes after Connection: close", client->name,
                     length - done);
        }
        done += client->message.has_head
                    ? take_body(client, bytes + done, length - done)
                    : take_head(client, bytes + done, length - done);
    }
}

/* ---- ends ---------------------------------------------------------------- */

/* A FIN came before the answer was whole. Is it the engine's own? */
static void judge_short_finish(const struct client *client)
{
    const struct request *request = current(client);
    const struct message *message = &client->message;
    bool engine_was_good =
        engine_was_good_since(client->site->engine, client->health.since_us);
    bool is_own = message->taken == request->sent &&
                  (request->fate == FATE_CUT || request->fate == FATE_DIED ||
                   (request->fate == FATE_ANSWERED && request->status == 0));

    if (health_server_died(&client->health, client->site) ||
        far_end(client, SOME, may_break)) {
        return;
    }
    if (far_end(client, EVERY, ends_well)) {
        if (is_own && !far_end(client, EVERY, filters)) {
            sim_met(client->world->sim, MET_ENGINE_FIN_TRUE);
            return;
        }
        /* an idle connection may end, and so may one that was refused */
        if (message->taken == 0 && (!engine_was_good || client->reading > 0 ||
                                    request->sightings == 0)) {
            return;
        }
    } else if (!engine_was_good || message->taken == 0) {
        return; /* a Go agent says FIN for whatever its engine did */
    }
    sim_fail(client->world->sim, "fin",
             "%s: %s: FIN after %" PRIu64 " of %" PRIu64
             " bytes of content; the engine sent %" PRIu64
             " bytes, the client got %" PRIu64,
             client->name, what_of(client), message->body, request->answer,
             request->sent, message->taken);
}

static void end_hijack(struct client *client)
{
    const struct request *request = current(client);

    judge_length(client);
    if (request->delay_ms >= UINT64_C(24) * 3600 * 1000) {
        sim_met(client->world->sim, MET_HIJACK_DAY);
    }
    if (client->is_finished &&
        client->finished_us == sim_now_us(client->world->sim)) {
        sim_met(client->world->sim, MET_BOTH_FINS);
    }
    met_whole(client);
    sim_say(client->world->sim, client->name, "%s: %" PRIu64 " bytes, FIN",
            what_of(client), client->message.body);
    count_end(client, false);
    client->reading++;
}

void client_judge_finish(struct client *client)
{
    const struct request *request = current(client);

    client->peer_finished = true;
    if (request == NULL) {
        if (client->count == 0 && client->kind == CLIENT_SILENT) {
            client_judge_error(client, "FIN");
        }
        return;
    }
    if (client->is_told_close && client->message.taken == 0) {
        return; /* as was said */
    }
    if (client->is_hijacked && client->message.body == request->answer) {
        end_hijack(client);
        return;
    }
    judge_short_finish(client);
    sim_met(client->world->sim, MET_CUT_BY_FIN);
    client_judge_error(client, "FIN");
}

void client_judge_break(struct client *client)
{
    if (socket_state(client->socket) == SOCKET_FAILED) {
        client_judge_error(client, "no connection");
    } else if (client->is_told_close && client->message.taken == 0) {
        return; /* as was said, and whole */
    } else if (client->reading < client->count) {
        sim_met(client->world->sim, MET_CUT_BY_RESET);
        client_judge_error(client, "reset");
    } else if (client->count == 0 ||
               (client->is_hijacked && !client->is_finished)) {
        client_judge_error(client, "reset");
    }
}
