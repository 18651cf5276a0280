#include "sim/relay.h"

#define READ_SIZE 16384u
#define STREAM_DOCKER 0x01u

static void engine_ready(void *user)
{
    struct relay *relay = user;

    relay->touched = true;
    plain_agent_run(relay->agent);
}

struct relay *relay_new(struct plain_agent *agent, struct plain_stream *stream)
{
    struct relay *relay = sim_alloc(agent->sim, sizeof *relay);

    *relay = (struct relay){.next = agent->relays,
                            .agent = agent,
                            .stream = stream,
                            .touched = true};
    agent->relays = relay;
    stream->user = relay;
    return relay;
}

static struct plain_mux *mux_of(const struct relay *relay)
{
    return &relay->agent->link->mux;
}

/* The engine failed: the client must see an error. */
static void fail(struct relay *relay)
{
    if (relay->engine != NULL) {
        socket_reset(relay->engine);
        relay->engine = NULL;
    }
    plain_mux_reset(mux_of(relay), relay->stream);
    relay->stream = NULL;
}

void relay_reset(struct relay *relay)
{
    if (relay->engine != NULL) {
        socket_reset(relay->engine);
        relay->engine = NULL;
    }
    plain_mux_forget(mux_of(relay), relay->stream);
    relay->stream = NULL;
}

/* ---- bytes --------------------------------------------------------------- */

/* False: it has not come, or it is over. */
static bool take_preface(struct relay *relay)
{
    struct plain_stream *stream = relay->stream;
    struct site *site = relay->agent->site;

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
    relay->engine =
        socket_connect(&site->agent_process, ADDRESS_ENGINE + site->index,
                       &site->local, &site->local, engine_ready, relay);
    if (relay->engine == NULL) {
        fail(relay);
    }
    return relay->engine != NULL;
}

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

/* Engine to client. False: the engine failed. */
static bool move_out(struct relay *relay)
{
    struct plain_stream *stream = relay->stream;
    struct plain *link = relay->agent->link;
    uint8_t bytes[READ_SIZE];

    while (!stream->finished_out) {
        size_t room = plain_mux_room(&link->mux, stream);
        size_t length;

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
            plain_mux_write(&link->mux, stream, bytes, length);
            break;
        case SOCKET_WAIT:
            return true;
        case SOCKET_FINISHED:
            plain_mux_finish(&link->mux, stream);
            break;
        case SOCKET_BROKEN:
            return false;
        }
    }
    return true;
}

static void pump(struct relay *relay)
{
    relay->touched = false;
    relay->starved = false;
    if (!relay->prefaced && !take_preface(relay)) {
        return;
    }
    switch (socket_state(relay->engine)) {
    case SOCKET_CONNECTING:
        return;
    case SOCKET_FAILED:
        fail(relay);
        return;
    case SOCKET_OPEN:
        break;
    }
    move_in(relay);
    if (!move_out(relay)) {
        fail(relay);
        return;
    }
    if (plain_mux_is_done(relay->stream) && relay->stream->in.length == 0) {
        socket_close(relay->engine);
        relay->engine = NULL;
        plain_mux_forget(mux_of(relay), relay->stream);
        relay->stream = NULL;
    }
}

bool relay_pump_all(struct plain_agent *agent)
{
    struct relay **link = &agent->relays;
    bool starved = false;

    while (*link != NULL) {
        struct relay *relay = *link;

        if (relay->stream != NULL && (relay->touched || relay->starved)) {
            pump(relay);
        }
        if (relay->stream == NULL) {
            *link = relay->next;
            sim_release(agent->sim, relay);
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
        sim_release(agent->sim, relay);
    }
}
