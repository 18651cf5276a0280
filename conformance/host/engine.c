/* engine.c: yamux.h over core/mux. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "conformance/host/engine.h"
#include "conformance/mutants/bytes.h"
#include "conformance/mutants/yamux.h"
#include "core/mux.h"
#include "core/mux_internal.h" /* next_id: 2^31 streams take too long */

#define FLUSH_MS 3000u /* for yamux_shut: without a byte that goes out */

struct yamux_stream {
    struct yamux_stream *next;
    struct yamux *yamux;
    void *task;
    uint32_t id;
    bool inbound;
    bool accepted;
    bool live; /* core/mux's meaning */
    bool released;
    enum yamux_end end;
    struct bytes in;
    struct bytes out;
    bool finish;        /* once out is empty */
    bool finished;      /* mux_finish was called */
    unsigned emissions; /* of the session, when it was opened */
};

struct yamux {
    struct mux *mux;
    struct yamux_stream *streams;
    unsigned emissions;
    bool shutting;
    bool said_farewell;
    uint64_t shut_ms;
    bool over;
};

static void *get_memory(size_t size)
{
    void *memory = calloc(1, size);
    if (memory == NULL) {
        fprintf(stderr, "out of memory\n");
        exit(1);
    }
    return memory;
}

struct yamux *yamux_create(bool client, uint64_t now_ms)
{
    struct yamux *yamux = get_memory(sizeof *yamux);
    struct mux_config config;
    mux_config_default(&config, client ? MUX_CLIENT : MUX_SERVER);
    if (RAND_bytes((uint8_t *)config.hash_key, sizeof config.hash_key) != 1)
        exit(1);
    size_t size = mux_size(&config);
    yamux->mux = mux_init(get_memory(size), size, &config, now_ms);
    return yamux;
}

const struct mux *engine_mux(const struct yamux *yamux)
{
    return yamux->mux;
}

void yamux_destroy(struct yamux *yamux)
{
    while (yamux->streams != NULL) {
        struct yamux_stream *stream = yamux->streams;
        yamux->streams = stream->next;
        bytes_clear(&stream->in);
        bytes_clear(&stream->out);
        free(stream);
    }
    free(yamux->mux);
    free(yamux);
}

static struct yamux_stream *add(struct yamux *yamux, bool inbound)
{
    struct yamux_stream *stream = get_memory(sizeof *stream);
    stream->yamux = yamux;
    stream->inbound = inbound;
    stream->live = true;
    stream->emissions = yamux->emissions;
    stream->next = yamux->streams;
    yamux->streams = stream;
    return stream;
}

static void bury(struct yamux_stream *stream, enum yamux_end end)
{
    if (!stream->live)
        return;
    stream->live = false;
    if (stream->end == YAMUX_OPEN)
        stream->end = end;
    if (end == YAMUX_RESET)
        bytes_clear(&stream->in);
    bytes_clear(&stream->out);
}

static void all_are_lost(struct yamux *yamux)
{
    for (struct yamux_stream *s = yamux->streams; s != NULL; s = s->next)
        bury(s, YAMUX_LOST);
}

void yamux_lost(struct yamux *yamux)
{
    mux_fail(yamux->mux, STATUS_TRANSPORT_LOST);
    all_are_lost(yamux);
}

/* ---- in ---- */

static struct yamux_stream *stream_of(struct yamux *yamux,
                                      const struct mux_event *event)
{
    if (event->user != NULL)
        return event->user;
    struct yamux_stream *stream = yamux->streams;
    while (stream != NULL && (stream->id != event->stream || !stream->live))
        stream = stream->next;
    return stream;
}

static void take_event(struct yamux *yamux, const struct mux_event *event)
{
    struct yamux_stream *stream = NULL;
    if (event->stream != 0)
        stream = stream_of(yamux, event);
    switch (event->kind) {
    case MUX_STREAM_OFFERED:
        stream = add(yamux, true);
        stream->id = event->stream;
        break;
    case MUX_STREAM_DATA:
        bytes_append(&stream->in, event->data.bytes, event->data.length);
        break;
    case MUX_STREAM_FINISHED:
        if (stream->end == YAMUX_OPEN)
            stream->end = YAMUX_EOF;
        break;
    case MUX_STREAM_ENDED:
        bury(stream, event->status == STATUS_OK ? YAMUX_EOF : YAMUX_RESET);
        break;
    case MUX_FAILED:
        all_are_lost(yamux);
        break;
    case MUX_STREAM_ACCEPTED:
    case MUX_PEER_GOING_AWAY:
        break;
    }
}

void yamux_receive(struct yamux *yamux, const uint8_t *bytes, size_t length,
                   uint64_t now_ms)
{
    struct span input = {bytes, length};
    struct mux_event event;
    while (mux_receive(yamux->mux, now_ms, &input, &event))
        take_event(yamux, &event);
}

void yamux_tick(struct yamux *yamux, uint64_t now_ms)
{
    struct mux_event event;
    while (mux_tick(yamux->mux, now_ms, &event))
        take_event(yamux, &event);
    if (yamux->shutting && now_ms > yamux->shut_ms)
        yamux->over = true;
}

/* ---- out ---- */

static void finish_now(struct yamux_stream *stream)
{
    if (!stream->live || !stream->finish || stream->finished ||
        stream->out.length > 0)
        return;
    stream->finished = true;
    if (mux_finish(stream->yamux->mux, stream->id))
        bury(stream, YAMUX_EOF);
}

static size_t emit_data(struct yamux *yamux, uint8_t *bytes, size_t capacity)
{
    struct mux_sender sender;
    size_t done = 0;
    while (capacity - done > WIRE_HEADER_SIZE &&
           mux_next_sender(yamux->mux, &sender)) {
        struct yamux_stream *stream = sender.user;
        size_t size = stream->out.length;
        size = size < sender.quota ? size : sender.quota;
        if (size > capacity - done - WIRE_HEADER_SIZE)
            size = capacity - done - WIRE_HEADER_SIZE;
        memcpy(bytes + done + WIRE_HEADER_SIZE, bytes_front(&stream->out),
               size);
        done += mux_emit_data(yamux->mux, stream->id, bytes + done, size);
        bytes_drop(&stream->out, size);
        mux_ready(yamux->mux, stream->id, stream->out.length > 0);
        finish_now(stream);
    }
    return done;
}

/* All is written: leave. */
static void say_farewell(struct yamux *yamux)
{
    for (struct yamux_stream *s = yamux->streams; s != NULL; s = s->next)
        if (s->live && !s->finished)
            return;
    if (!yamux->said_farewell)
        mux_go_away(yamux->mux, true);
    yamux->said_farewell = true;
}

static void sweep(struct yamux *yamux)
{
    struct yamux_stream **link = &yamux->streams;
    while (*link != NULL) {
        struct yamux_stream *stream = *link;
        if (!stream->released) {
            link = &stream->next;
            continue;
        }
        *link = stream->next;
        bytes_clear(&stream->in);
        free(stream);
    }
}

size_t yamux_emit(struct yamux *yamux, uint8_t *bytes, size_t capacity,
                  uint64_t now_ms)
{
    yamux->emissions++;
    sweep(yamux);
    if (yamux->shutting)
        say_farewell(yamux);
    size_t done = mux_emit_control(yamux->mux, now_ms, bytes, capacity);
    done += emit_data(yamux, bytes + done, capacity - done);
    if (yamux->said_farewell && done == 0)
        yamux->over = true;
    if (yamux->shutting && done > 0)
        yamux->shut_ms = now_ms + FLUSH_MS;
    return done;
}

bool yamux_is_over(const struct yamux *yamux)
{
    return yamux->over || (mux_wants(yamux->mux) & MUX_IS_OVER) != 0;
}

/* ---- the application ---- */

enum yamux_opening yamux_open(struct yamux *yamux, struct yamux_stream **stream,
                              uint64_t now_ms)
{
    struct yamux_stream *made = add(yamux, false);
    enum status status = mux_open(yamux->mux, now_ms, made, &made->id);
    if (status == STATUS_OK) {
        *stream = made;
        return YAMUX_OPENED;
    }
    made->live = false;
    made->released = true;
    return status == STATUS_TOO_MANY_UNACKED || status == STATUS_NO_STREAM_SLOT
               ? YAMUX_WAIT
               : YAMUX_REFUSED;
}

bool yamux_next_id(struct yamux *yamux, uint32_t id)
{
    if (id == 0 || !mux_is_ours(yamux->mux, id))
        return false;
    yamux->mux->next_id = id;
    return true;
}

void yamux_drain(struct yamux *yamux)
{
    mux_go_away(yamux->mux, true);
}

void yamux_shut(struct yamux *yamux, uint64_t now_ms)
{
    if (yamux->shutting)
        return;
    yamux->shutting = true;
    yamux->shut_ms = now_ms + FLUSH_MS;
    for (struct yamux_stream *s = yamux->streams; s != NULL; s = s->next)
        yamux_finish(s);
}

struct yamux_stream *yamux_next(struct yamux *yamux, struct yamux_stream *after)
{
    struct yamux_stream *stream = after == NULL ? yamux->streams : after->next;
    while (stream != NULL && stream->released)
        stream = stream->next;
    return stream;
}

void **yamux_task(struct yamux_stream *stream)
{
    return &stream->task;
}

bool yamux_is_inbound(const struct yamux_stream *stream)
{
    return stream->inbound;
}

void yamux_accept(struct yamux_stream *stream)
{
    if (stream->live && stream->inbound && !stream->accepted)
        mux_accept(stream->yamux->mux, stream->id, stream);
    stream->accepted = true;
}

size_t yamux_peek(struct yamux_stream *stream, const uint8_t **bytes)
{
    *bytes = bytes_front(&stream->in);
    return stream->in.length;
}

void yamux_consume(struct yamux_stream *stream, size_t length)
{
    bytes_drop(&stream->in, length);
    if (stream->in.length == 0 && stream->in.capacity > 4096)
        bytes_clear(&stream->in);
    if (stream->live && length > 0)
        mux_consume(stream->yamux->mux, stream->id, length);
}

enum yamux_end yamux_end(const struct yamux_stream *stream)
{
    return stream->end;
}

void yamux_write(struct yamux_stream *stream, const uint8_t *bytes,
                 size_t length)
{
    if (!stream->live || stream->finish || length == 0)
        return;
    bytes_append(&stream->out, bytes, length);
    mux_ready(stream->yamux->mux, stream->id, true);
}

size_t yamux_unsent(const struct yamux_stream *stream)
{
    bool syn =
        !stream->inbound && stream->emissions == stream->yamux->emissions;
    return stream->out.length + (syn ? 1 : 0);
}

void yamux_finish(struct yamux_stream *stream)
{
    stream->finish = true;
    finish_now(stream);
}

void yamux_reset(struct yamux_stream *stream)
{
    if (stream->live)
        mux_reset(stream->yamux->mux, stream->id);
    bury(stream, YAMUX_RESET);
}

void yamux_release(struct yamux_stream *stream)
{
    yamux_reset(stream);
    stream->released = true;
}

bool yamux_is_done(const struct yamux_stream *stream)
{
    return !stream->live;
}
