#include "sim/relay.h"

#include <string.h>

#include "sim/request.h"

#define READ_SIZE 16384u
#define STREAM_DOCKER 0x01u
#define ACK_US (2 * SIM_S)        /* no longer, for a frame to carry it */
#define PATIENCE_US (300 * SIM_S) /* hashicorp's StreamCloseTimeout */

static void engine_ready(void *user)
{
    struct relay *relay = user;

    relay->touched = true;
    plain_agent_run(relay->agent);
}

void relay_new(struct plain_agent *agent, struct plain_stream *stream,
               uint64_t accept_us)
{
    struct relay *relay = sim_alloc(agent->sim, sizeof *relay);

    *relay = (struct relay){.next = agent->relays,
                            .agent = agent,
                            .stream = stream,
                            .touched = true,
                            .due_us = accept_us};
    if (agent->manner->one_request) {
        relay->head = sim_alloc(agent->sim, sizeof *relay->head);
        message_begin(relay->head);
    }
    plain_bytes_init(&relay->held, agent->sim);
    plain_bytes_init(&relay->to_engine, agent->sim);
    agent->relays = relay;
    stream->user = relay;
}

static void relay_free(struct relay *relay)
{
    plain_bytes_free(&relay->held);
    plain_bytes_free(&relay->to_engine);
    sim_release(relay->agent->sim, relay->head);
    sim_release(relay->agent->sim, relay);
}

static struct plain_mux *mux_of(const struct relay *relay)
{
    return &relay->agent->link->mux;
}

static void drop_engine(struct relay *relay)
{
    if (relay->engine != NULL) {
        socket_reset(relay->engine);
        relay->engine = NULL;
    }
}

/* All of the answer that there will be. The stream is not forgotten before its
 * other end has finished, too. */
static void end_answer(struct relay *relay)
{
    drop_engine(relay);
    if (!relay->stream->finished_out) {
        plain_mux_finish(mux_of(relay), relay->stream);
    }
    relay->due_us = sim_now_us(relay->agent->sim) + PATIENCE_US;
}

/* The engine failed: the client must see an error; not so of the agents in the
 * field, who say FIN. */
static void fail(struct relay *relay)
{
    if (relay->agent->manner->one_request) {
        end_answer(relay);
        return;
    }
    drop_engine(relay);
    plain_mux_reset(mux_of(relay), relay->stream);
    relay->stream = NULL;
}

void relay_reset(struct relay *relay)
{
    drop_engine(relay);
    plain_mux_forget(mux_of(relay), relay->stream);
    relay->stream = NULL;
}

/* ---- bytes --------------------------------------------------------------- */

static void dial(struct relay *relay)
{
    struct site *site = relay->agent->site;

    relay->engine =
        socket_connect(&site->agent_process, ADDRESS_ENGINE + site->index,
                       &site->local, &site->local, engine_ready, relay);
    if (relay->engine == NULL) {
        fail(relay);
    }
}

/* False: it has not come, or it is over. */
static bool take_preface(struct relay *relay)
{
    struct plain_stream *stream = relay->stream;

    if (stream->in.length == 0) {
        if (stream->finished_in) {
            sim_fail(relay->agent->sim, "preface",
                     "%s: stream %u ended before its first byte",
                     relay->agent->who, (unsigned)stream->id);
        }
        return false;
    }
    if (*plain_bytes_front(&stream->in) != STREAM_DOCKER) {
        sim_fail(relay->agent->sim, "preface", "%s: stream %u begins with %02x",
                 relay->agent->who, (unsigned)stream->id,
                 *plain_bytes_front(&stream->in));
    }
    plain_mux_read(mux_of(relay), stream, 1);
    relay->prefaced = true;
    if (relay->head == NULL) {
        dial(relay);
    }
    return true;
}

/* ---- one request --------------------------------------------------------- */

/* Connection: close stands behind its first line. */
static void ask(struct relay *relay)
{
    static const char field[] = "Connection: close\r\n";
    const uint8_t *head = (const uint8_t *)relay->head->head;
    size_t length = relay->head->head_length;
    size_t line =
        (size_t)(strstr(relay->head->head, "\r\n") - relay->head->head) + 2;

    plain_bytes_add(&relay->to_engine, head, line);
    plain_bytes_add(&relay->to_engine, (const uint8_t *)field,
                    sizeof field - 1);
    plain_bytes_add(&relay->to_engine, head + line, length - line);
    dial(relay);
}

static void forbid(struct relay *relay)
{
    static const char answer[] = "HTTP/1.1 403 Forbidden\r\n"
                                 "Content-Length: 0\r\n"
                                 "Connection: close\r\n\r\n";

    plain_mux_write(mux_of(relay), relay->stream, (const uint8_t *)answer,
                    sizeof answer - 1);
    end_answer(relay);
}

/* The read-only table, as a request of this world says it of itself. */
static void judge_request(struct relay *relay)
{
    struct world *world = relay->agent->site->world;
    const struct request *request =
        request_find(world, request_number(relay->head->head));

    relay->is_judged = true;
    if (request == NULL) {
        end_answer(relay); /* it is no HTTP */
    } else if (request_passes(request->kind)) {
        ask(relay);
    } else {
        forbid(relay);
    }
}

static void take_request(struct relay *relay)
{
    struct plain_stream *stream = relay->stream;
    size_t used = message_read_head(relay->head, plain_bytes_front(&stream->in),
                                    stream->in.length);

    plain_mux_read(mux_of(relay), stream, used);
    if (relay->head->has_head && !relay->head->is_broken) {
        judge_request(relay);
    } else if (relay->head->is_broken || stream->finished_in) {
        relay->is_judged = true;
        end_answer(relay);
    }
}

/* What the engine is to hear of it. False: it failed. */
static bool send_request(struct relay *relay)
{
    struct plain_bytes *bytes = &relay->to_engine;
    size_t done = 0;

    while (bytes->length > 0) {
        switch (socket_send(relay->engine, plain_bytes_front(bytes),
                            bytes->length, &done)) {
        case SOCKET_MORE:
            plain_bytes_drop(bytes, done);
            break;
        case SOCKET_WAIT:
            return true;
        case SOCKET_FINISHED:
        case SOCKET_BROKEN:
            return false;
        }
    }
    return true;
}

/* ---- bytes, both ways ---------------------------------------------------- */

/* Client to engine. An engine that takes no more is still read: it may have
 * answered early (T24). */
static void move_in(struct relay *relay)
{
    struct plain_stream *stream = relay->stream;

    while (stream->in.length > 0) {
        size_t length = stream->in.length;
        enum socket_result result = SOCKET_MORE;

        if (!relay->deaf) {
            result = socket_send(relay->engine, plain_bytes_front(&stream->in),
                                 stream->in.length, &length);
        }
        if (result == SOCKET_BROKEN) {
            relay->deaf = true;
        } else if (result == SOCKET_MORE) {
            plain_mux_read(mux_of(relay), stream, length);
        } else {
            return;
        }
    }
    if (stream->finished_in) {
        socket_finish(relay->engine);
    }
}

static void write_held(struct relay *relay, bool is_last)
{
    void (*const ways[])(struct plain_mux *, struct plain_stream *,
                         const uint8_t *,
                         size_t) = {plain_mux_write, plain_mux_write_last};
    struct plain_bytes *held = &relay->held;

    if (held->length > 0) {
        ways[is_last](mux_of(relay), relay->stream, plain_bytes_front(held),
                      held->length);
        plain_bytes_drop(held, held->length);
    } else if (is_last) {
        plain_mux_finish(mux_of(relay), relay->stream);
    }
}

static void write_out(struct relay *relay, const uint8_t *bytes, size_t length)
{
    write_held(relay, false);
    if (relay->agent->holds_last) {
        plain_bytes_add(&relay->held, bytes, length);
    } else {
        plain_mux_write(mux_of(relay), relay->stream, bytes, length);
    }
}

/* Engine to client. False: the engine failed. */
static bool move_out(struct relay *relay)
{
    struct plain_stream *stream = relay->stream;
    struct plain *link = relay->agent->link;
    uint8_t bytes[READ_SIZE];

    while (!stream->finished_out) {
        size_t length;

        if (link->ws.out.length >= PLAIN_OUT_ENOUGH ||
            plain_mux_room(&link->mux, stream) <= relay->held.length) {
            write_held(relay, false);
        }
        size_t room = plain_mux_room(&link->mux, stream) - relay->held.length;
        if (link->ws.out.length >= PLAIN_OUT_ENOUGH) {
            relay->starved = true;
            return true;
        }
        if (room == 0) {
            return true;
        }
        enum socket_result result =
            socket_receive(relay->engine, bytes,
                           room < sizeof bytes ? room : sizeof bytes, &length);
        switch (result) {
        case SOCKET_MORE:
            write_out(relay, bytes, length);
            break;
        case SOCKET_WAIT:
            write_held(relay, false);
            return true;
        case SOCKET_FINISHED:
            write_held(relay, true);
            break;
        case SOCKET_BROKEN:
            write_held(relay, false);
            return false;
        }
    }
    return true;
}

/* Both have said their last word, or nobody waits for the other's. */
static void end_if_done(struct relay *relay)
{
    struct plain_stream *stream = relay->stream;

    if (plain_mux_is_done(stream) &&
        (stream->in.length == 0 || relay->is_judged)) {
        if (relay->engine != NULL) {
            socket_close(relay->engine);
            relay->engine = NULL;
        }
        plain_mux_forget(mux_of(relay), stream);
        relay->stream = NULL;
    } else if (relay->is_judged &&
               sim_now_us(relay->agent->sim) >= relay->due_us) {
        plain_mux_reset(mux_of(relay), stream);
        relay->stream = NULL;
    }
}

static void pump_engine(struct relay *relay)
{
    bool works = true;

    switch (socket_state(relay->engine)) {
    case SOCKET_CONNECTING:
        return;
    case SOCKET_FAILED:
        fail(relay);
        return;
    case SOCKET_OPEN:
        break;
    }
    if (relay->is_judged) {
        works = send_request(relay);
    } else {
        move_in(relay);
    }
    if (!works || !move_out(relay)) {
        fail(relay);
    } else if (relay->is_judged && relay->stream->finished_out) {
        end_answer(relay);
    }
}

static void pump(struct relay *relay)
{
    relay->touched = false;
    relay->starved = false;
    if (!relay->stream->acked) {
        if (sim_now_us(relay->agent->sim) < relay->due_us) {
            return;
        }
        relay->due_us = SIM_NEVER;
        plain_mux_accept(mux_of(relay), relay->stream);
        if (relay->stream->owes_ack) {
            relay->due_us = sim_now_us(relay->agent->sim) + ACK_US;
        }
    } else if (sim_now_us(relay->agent->sim) >= relay->due_us &&
               !relay->is_judged) {
        relay->due_us = SIM_NEVER;
        plain_mux_acknowledge(mux_of(relay), relay->stream);
    }
    if (!relay->prefaced && !take_preface(relay)) {
        return;
    }
    if (relay->head != NULL && !relay->is_judged) {
        take_request(relay);
    }
    if (relay->engine != NULL) {
        pump_engine(relay);
    }
    if (relay->stream != NULL) {
        end_if_done(relay);
    }
}

uint64_t relay_next_us(const struct plain_agent *agent)
{
    uint64_t next_us = SIM_NEVER;

    for (const struct relay *relay = agent->relays; relay != NULL;
         relay = relay->next) {
        next_us = relay->due_us < next_us ? relay->due_us : next_us;
    }
    return next_us;
}

bool relay_pump_all(struct plain_agent *agent)
{
    struct relay **link = &agent->relays;
    bool starved = false;

    while (*link != NULL) {
        struct relay *relay = *link;

        if (relay->stream != NULL &&
            (relay->touched || relay->starved ||
             sim_now_us(agent->sim) >= relay->due_us)) {
            pump(relay);
        }
        if (relay->stream == NULL) {
            *link = relay->next;
            relay_free(relay);
        } else {
            starved = starved || relay->starved;
            link = &relay->next;
        }
    }
    return starved;
}

void relay_drop_all(struct plain_agent *agent, bool killed)
{
    while (agent->relays != NULL) {
        struct relay *relay = agent->relays;

        agent->relays = relay->next;
        if (relay->engine != NULL && !killed) {
            socket_reset(relay->engine);
        }
        relay_free(relay);
    }
}
