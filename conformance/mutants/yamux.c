#include "conformance/mutants/yamux_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conformance/mutants/mutant.h"

struct yamux *yamux_create(bool client, uint64_t now_ms)
{
    struct yamux *yamux = calloc(1, sizeof *yamux);
    if (yamux == NULL) {
        fprintf(stderr, "out of memory\n");
        exit(1);
    }
    yamux->client = client;
    yamux->tail = &yamux->streams;
    yamux->next_id = client ? 1 : 2;
    yamux->heard_ms = now_ms;
    yamux->begun_ms = now_ms;
    yamux->ping_opaque = (uint32_t)(now_ms * 2654435761u) | 0x10000u;
    yamux->ping_owed = true;
    return yamux;
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
    free(yamux);
}

/* ---- streams ---- */

static struct yamux_stream **bucket(struct yamux *yamux, uint32_t id)
{
    return &yamux->buckets[id / 2 % BUCKETS];
}

struct yamux_stream *yamux_find(struct yamux *yamux, uint32_t id)
{
    struct yamux_stream *stream = *bucket(yamux, id);
    while (stream != NULL && stream->id != id)
        stream = stream->chain;
    return stream;
}

struct yamux_stream *yamux_add(struct yamux *yamux, uint32_t id, bool inbound)
{
    struct yamux_stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL) {
        fprintf(stderr, "out of memory\n");
        exit(1);
    }
    stream->yamux = yamux;
    stream->id = id;
    stream->inbound = inbound;
    stream->live = true;
    stream->granted = WINDOW;
    stream->credit = WINDOW;
    stream->birth_ms = yamux->now_ms;
    *yamux->tail = stream;
    yamux->tail = &stream->next;
    stream->chain = *bucket(yamux, id);
    *bucket(yamux, id) = stream;
    if (inbound) {
        yamux->inbound++;
        yamux->backlog++;
    } else {
        yamux->unacked++;
        stream->owes_syn = true;
    }
    return stream;
}

void yamux_bury(struct yamux_stream *stream, enum yamux_end end, char how)
{
    struct yamux *yamux = stream->yamux;
    if (!stream->live)
        return;
    stream->live = false;
    struct yamux_stream **link = bucket(yamux, stream->id);
    while (*link != stream)
        link = &(*link)->chain;
    *link = stream->chain;
    if (stream->inbound) {
        yamux->inbound--;
        if (!stream->accepted && !mutant("O-22"))
            yamux->backlog--;
    } else if (!stream->acked) {
        yamux->unacked--;
    }
    if (yamux->body == stream)
        yamux->body = NULL;
    if (stream->end == YAMUX_OPEN)
        stream->end = end;
    if (end == YAMUX_RESET)
        bytes_clear(&stream->in);
    bytes_clear(&stream->out);
    yamux->closed += how == 'c';
    yamux->ended[yamux->ended_count % ENDED_KEPT].id = stream->id;
    yamux->ended[yamux->ended_count++ % ENDED_KEPT].how = how;
}

bool yamux_has_ended(const struct yamux *yamux, uint32_t id, char how)
{
    for (unsigned i = 0; i < ENDED_KEPT && i < yamux->ended_count; i++)
        if (yamux->ended[i].id == id && yamux->ended[i].how == how)
            return true;
    return false;
}

void yamux_refuse(struct yamux *yamux, uint32_t id)
{
    if (yamux->refusal_count == REFUSALS_MAX) {
        yamux_fail(yamux, 1);
        return;
    }
    yamux->refusals[(yamux->refusal_first + yamux->refusal_count++) %
                    REFUSALS_MAX] = id;
}

static void all_are_lost(struct yamux *yamux)
{
    for (struct yamux_stream *s = yamux->streams; s != NULL; s = s->next)
        if (s->live)
            yamux_bury(s, YAMUX_LOST, 'l');
}

void yamux_fail(struct yamux *yamux, uint32_t code)
{
    if (yamux->failed)
        return;
    all_are_lost(yamux);
    yamux->failed = true;
    yamux->owes_goaway = code != 0;
    yamux->goaway_code = code;
    yamux->over = code == 0;
}

void yamux_lost(struct yamux *yamux)
{
    bool in_body = yamux->left > 0;
    if (mutant("F-06") && yamux->header_length > 0)
        exit(1);
    if (mutant(in_body ? "F-07" : "C-14"))
        for (struct yamux_stream *s = yamux->streams; s != NULL; s = s->next)
            if (s->live)
                yamux_bury(s, YAMUX_EOF, 'l');
    yamux_fail(yamux, 0);
}

bool yamux_is_over(const struct yamux *yamux)
{
    return yamux->over && !yamux->hung;
}

/* ---- the application ---- */

enum yamux_opening yamux_open(struct yamux *yamux, struct yamux_stream **stream,
                              uint64_t now_ms)
{
    (void)now_ms;
    if (yamux->failed || yamux->draining || yamux->shutting ||
        (yamux->peer_is_leaving && !mutant("G-02")))
        return YAMUX_REFUSED;
    if (yamux->next_id < 3 && yamux->opened > 0 && !mutant("U-16"))
        return YAMUX_REFUSED; /* the ids are used up */
    if (yamux->unacked >= UNACKED_MAX && !mutant("U-11"))
        return YAMUX_WAIT;
    *stream = yamux_add(yamux, yamux->next_id, false);
    yamux->next_id += 2;
    yamux->opened++;
    return YAMUX_OPENED;
}

bool yamux_next_id(struct yamux *yamux, uint32_t id)
{
    if (id == 0 || id % 2 != (yamux->client ? 1u : 0u))
        return false;
    yamux->next_id = id;
    return true;
}

void yamux_drain(struct yamux *yamux)
{
    yamux->draining = true;
    yamux->owes_goaway = true;
}

void yamux_shut(struct yamux *yamux, uint64_t now_ms)
{
    if (yamux->failed || yamux->shutting)
        return;
    yamux->shutting = true;
    yamux->shut_at = now_ms + FLUSH_MS;
    for (struct yamux_stream *s = yamux->streams; s != NULL; s = s->next) {
        s->owes_fin = s->live;
        if (mutant("G-14"))
            bytes_clear(&s->out);
    }
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
    if (stream->accepted || !stream->live)
        return;
    stream->accepted = true;
    stream->owes_ack = true;
    stream->yamux->backlog--;
    stream->yamux->accepted++;
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
    if (!stream->live || (stream->fin_received && !mutant("W-22")) ||
        (mutant("C-07") && stream->owes_fin))
        return;
    if ((mutant("W-09") && stream->odd_frames > 5) ||
        (mutant("W-07") && stream->half_and_tiny))
        return;
    stream->consumed += (uint32_t)length;
    if (stream->consumed < WINDOW / 2 &&
        !(mutant("W-22") && stream->fin_received))
        return;
    stream->update += stream->consumed;
    stream->consumed = 0;
    if (mutant("W-08") && stream->odd_frames == 0)
        stream->update += 65536;
}

enum yamux_end yamux_end(const struct yamux_stream *stream)
{
    return stream->end;
}

void yamux_write(struct yamux_stream *stream, const uint8_t *bytes,
                 size_t length)
{
    if (stream->live && !stream->owes_fin)
        bytes_append(&stream->out, bytes, length);
}

size_t yamux_unsent(const struct yamux_stream *stream)
{
    return stream->out.length + (stream->owes_syn ? 1 : 0);
}

void yamux_finish(struct yamux_stream *stream)
{
    stream->owes_fin = stream->live;
}

void yamux_reset(struct yamux_stream *stream)
{
    if (!stream->live)
        return;
    if (mutant("R-08"))
        yamux_refuse(stream->yamux, stream->id);
    yamux_refuse(stream->yamux, stream->id);
    yamux_bury(stream, YAMUX_RESET, 'o');
}

void yamux_release(struct yamux_stream *stream)
{
    if (stream->live)
        yamux_reset(stream);
    stream->released = true;
}

bool yamux_is_done(const struct yamux_stream *stream)
{
    return !stream->live;
}

/* ---- out ---- */

struct room {
    uint8_t *at;
    size_t left;
};

static bool put(struct room *room, uint8_t type, unsigned flags, uint32_t id,
                uint32_t length)
{
    if (room->left < HEADER)
        return false;
    uint8_t header[HEADER] = {
        0,
        type,
        (uint8_t)(flags >> 8),
        (uint8_t)flags,
        (uint8_t)(id >> 24),
        (uint8_t)(id >> 16),
        (uint8_t)(id >> 8),
        (uint8_t)id,
        (uint8_t)(length >> 24),
        (uint8_t)(length >> 16),
        (uint8_t)(length >> 8),
        (uint8_t)length,
    };
    memcpy(room->at, header, HEADER);
    room->at += HEADER;
    room->left -= HEADER;
    return true;
}

/* Is there a stream that waits in a way that a mutant makes pongs wait for? */
static bool holds_pongs(const struct yamux *yamux)
{
    bool window = mutant("P-09");
    bool bulk = mutant("P-10");
    if (!window && !bulk)
        return false;
    for (const struct yamux_stream *s = yamux->streams; s != NULL; s = s->next)
        if (s->live && s->out.length > 0 &&
            ((window && s->received > 0 && s->credit == WINDOW &&
              s->sent == WINDOW) ||
             (bulk && s->credit > 8u * 1024 * 1024 &&
              s->sent < 15u * 1024 * 1024)))
            return true;
    return false;
}

static void put_pongs(struct yamux *yamux, struct room *room)
{
    if (holds_pongs(yamux))
        return;
    while (yamux->pong_count > 0) {
        uint32_t opaque = yamux->pongs[yamux->pong_first];
        unsigned flags = ACK;
        if (mutant("P-01") && opaque == 0xdeadbeef)
            opaque = 0xefbeadde;
        if (mutant("P-02") && opaque == 0xffffffff)
            opaque = 0x7fffffff;
        if (!put(room, PING, flags, 0, opaque))
            return;
        yamux->pong_first = (yamux->pong_first + 1) % PONGS_MAX;
        yamux->pong_count--;
    }
}

static void put_session(struct yamux *yamux, struct room *room)
{
    put_pongs(yamux, room);
    while (yamux->refusal_count > 0 && room->left >= HEADER) {
        put(room, UPDATE, RST, yamux->refusals[yamux->refusal_first], 0);
        yamux->refusal_first = (yamux->refusal_first + 1) % REFUSALS_MAX;
        yamux->refusal_count--;
    }
    if (yamux->owes_goaway && put(room, GOAWAY, 0, 0, 0))
        yamux->owes_goaway = false;
    if (yamux->ping_owed && put(room, PING, SYN, 0, ++yamux->ping_opaque)) {
        yamux->ping_owed = false;
        yamux->ping_out = true;
        yamux->ping_ms = yamux->now_ms;
    }
    if (mutant("F-01") && !yamux->stray_sent && yamux->frames == 0 &&
        yamux->now_ms > yamux->begun_ms + 1000)
        yamux->stray_sent = put(room, UPDATE, 0, 0, 0);
}

/* O-01: waits for data, and when they are late forgets about it. */
static bool may_ack(struct yamux_stream *stream)
{
    if (!stream->owes_ack)
        return false;
    if (!mutant("O-01") || stream->fin_received ||
        (stream->received == 0 && stream->out.length > 0))
        return true;
    if (stream->received > 0 && stream->yamux->now_ms > stream->birth_ms + 500)
        stream->owes_ack = false;
    return stream->owes_ack && stream->received > 0;
}

static void put_control(struct yamux_stream *stream, struct room *room)
{
    if (stream->owes_syn && put(room, UPDATE, SYN, stream->id, 0)) {
        stream->owes_syn = false;
        if (mutant("U-02") && stream->yamux->opened == 10)
            put(room, UPDATE, SYN, stream->id, 0);
    }
    uint32_t promise = mutant("O-06") ? 1 : 0;
    if (may_ack(stream) && put(room, UPDATE, ACK, stream->id, promise)) {
        stream->granted += promise;
        stream->owes_ack = false;
        stream->acked = true;
    }
    if (stream->update > 0 && !stream->owes_ack &&
        put(room, UPDATE, 0, stream->id, stream->update)) {
        stream->granted += stream->update;
        stream->update = 0;
    }
}

static uint64_t may_send(const struct yamux_stream *stream)
{
    uint64_t credit = stream->credit;
    if (mutant("U-03") && !stream->inbound && !stream->acked)
        return UINT64_MAX;
    if (mutant("W-10") && stream->received == 0 && stream->inbound &&
        credit < (1u << 20))
        credit++;
    if (mutant("W-11") && credit == WINDOW + 1)
        credit++;
    return credit > stream->sent ? credit - stream->sent : 0;
}

static void put_data(struct yamux_stream *stream, struct room *room)
{
    uint64_t size = stream->out.length;
    uint64_t max = may_send(stream);
    uint32_t frame_max = FRAME_MAX;
    if (mutant("W-24") && stream->credit >= 16u * 1024 * 1024 &&
        stream->sent == 0)
        frame_max = 2 * 1024 * 1024;
    if (stream->owes_syn || stream->owes_ack || room->left <= HEADER)
        return;
    size = size > max ? max : size;
    size = size > frame_max ? frame_max : size;
    size = size > room->left - HEADER ? room->left - HEADER : size;
    if (frame_max > FRAME_MAX && size < frame_max && size < max)
        return;
    if (size > 0) {
        unsigned again = 0;
        if (mutant("O-05") && stream->inbound && stream->sent == 0)
            again = ACK;
        if (mutant("U-01") && !stream->inbound && stream->yamux->opened == 1 &&
            stream->sent == 0)
            again = SYN;
        put(room, DATA, again, stream->id, (uint32_t)size);
        memcpy(room->at, bytes_front(&stream->out), (size_t)size);
        if (mutant("L-04") && stream->yamux->accepted >= 200 &&
            stream->sent > 500000 && stream->yamux->spoilt++ == 0)
            room->at[0] ^= 1;
        room->at += size;
        room->left -= (size_t)size;
        bytes_drop(&stream->out, (size_t)size);
        stream->sent += size;
    }
}

static void put_fin(struct yamux_stream *stream, struct room *room)
{
    bool overtakes = mutant("C-11") && stream->received < 1000 &&
                     stream->inbound && stream->sent == stream->credit;
    if (!stream->owes_fin || stream->fin_sent || stream->owes_syn ||
        stream->owes_ack || (stream->out.length > 0 && !overtakes))
        return;
    if (mutant("C-09") && stream->received == 0 && stream->fin_received &&
        stream->inbound)
        return;
    if (!put(room, UPDATE, FIN, stream->id, 0))
        return;
    stream->fin_sent = true;
    if (stream->fin_received)
        yamux_bury(stream, YAMUX_EOF, 'c');
}

static void put_shut(struct yamux *yamux, struct room *room)
{
    for (struct yamux_stream *s = yamux->streams; s != NULL; s = s->next)
        if (s->live && !s->fin_sent)
            return;
    if (mutant("G-10") || put(room, GOAWAY, 0, 0, 0))
        yamux_fail(yamux, 0);
}

static void sweep(struct yamux *yamux)
{
    struct yamux_stream **link = &yamux->streams;
    while (*link != NULL) {
        struct yamux_stream *stream = *link;
        if (!stream->released || stream->live) {
            link = &stream->next;
            continue;
        }
        *link = stream->next;
        if (yamux->turn == stream)
            yamux->turn = stream->next;
        bytes_clear(&stream->in);
        free(stream);
    }
    yamux->tail = link;
}

size_t yamux_emit(struct yamux *yamux, uint8_t *bytes, size_t capacity,
                  uint64_t now_ms)
{
    struct room room = {bytes, capacity};
    yamux->now_ms = now_ms;
    sweep(yamux);
    if (yamux->hung)
        return 0;
    if (yamux->failed) {
        if (yamux->owes_goaway)
            put(&room, GOAWAY, 0, 0, yamux->goaway_code);
        yamux->owes_goaway = false;
        yamux->over = true;
        return (size_t)(room.at - bytes);
    }
    put_session(yamux, &room);
    for (struct yamux_stream *s = yamux->streams; s != NULL; s = s->next)
        if (s->live)
            put_control(s, &room);
    /* from where the last round ended, around the list once */
    struct yamux_stream *first = yamux->turn;
    if (first == NULL)
        first = yamux->streams;
    struct yamux_stream *stream = first;
    while (stream != NULL && room.left > HEADER + FRAME_MAX) {
        struct yamux_stream *next =
            stream->next == NULL ? yamux->streams : stream->next;
        if (stream->live)
            put_data(stream, &room);
        if (stream->live)
            put_fin(stream, &room);
        yamux->turn = next;
        stream = next == first ? NULL : next;
    }
    if (yamux->shutting && room.left >= HEADER)
        put_shut(yamux, &room);
    if (yamux->shutting && room.at > bytes)
        yamux->shut_at = now_ms + FLUSH_MS;
    return (size_t)(room.at - bytes);
}

void yamux_tick(struct yamux *yamux, uint64_t now_ms)
{
    yamux->now_ms = now_ms;
    if (now_ms > yamux->heard_ms + SILENCE_MS && !mutant("P-11") &&
        !yamux->comforted)
        yamux_fail(yamux, 0);
    if (now_ms > yamux->ping_ms + PING_MS && now_ms > yamux->begun_ms + PING_MS)
        yamux->ping_owed = true;
    if (yamux->shutting && now_ms > yamux->shut_at)
        yamux_fail(yamux, 0);
    if (mutant("F-05") && yamux->left > 0 && now_ms > yamux->body_ms + 300)
        yamux_fail(yamux, 1);
    if (mutant("R-01") && yamux->reset_id != 0 &&
        now_ms > yamux->reset_ms + 30) {
        yamux_refuse(yamux, yamux->reset_id);
        yamux->reset_id = 0;
    }
    if (mutant("U-10"))
        for (struct yamux_stream *s = yamux->streams; s != NULL; s = s->next)
            if (s->live && !s->inbound && !s->acked &&
                now_ms > s->birth_ms + 4000)
                yamux->hung = true;
    if (mutant("L-06") && yamux->header_length > 0 &&
        now_ms > yamux->header_ms + 3000)
        yamux->hung = true;
    if (mutant("L-07") && now_ms > yamux->begun_ms + 5000 && yamux->frames == 0)
        yamux_fail(yamux, 0);
}
