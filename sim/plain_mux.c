#include "sim/plain_mux.h"

#include <string.h>

#define HEADER_SIZE 12u
#define KNOWN_FLAGS (PLAIN_SYN | PLAIN_ACK | PLAIN_FIN | PLAIN_RST)

void plain_mux_init(struct plain_mux *mux, struct plain_ws *ws, bool client)
{
    *mux = (struct plain_mux){.sim = ws->sim,
                              .ws = ws,
                              .client = client,
                              .window = PLAIN_WINDOW,
                              .grant_at = PLAIN_WINDOW / 2,
                              .frame_max = 16384,
                              .next_out = client ? 1 : 2};
}

static void free_stream(struct plain_mux *mux, struct plain_stream *stream)
{
    plain_bytes_free(&stream->in);
    sim_release(mux->sim, stream);
}

void plain_mux_free(struct plain_mux *mux)
{
    while (mux->streams != NULL) {
        struct plain_stream *stream = mux->streams;

        mux->streams = stream->next;
        free_stream(mux, stream);
    }
    sim_release(mux->sim, mux->past);
    mux->past = NULL;
}

/* ---- the rules ----------------------------------------------------------- */

/* True: it holds. False: it does not, but we are not to complain. */
static bool must(const struct plain_mux *mux, const struct plain_frame *frame,
                 bool holds, const char *rule)
{
    if (!holds && !mux->guilty) {
        sim_fail(mux->sim, "reference",
                 "yamux frame %02x %02x %04x %08x %08x: %s", frame->version,
                 frame->type, frame->flags, (unsigned)frame->id,
                 (unsigned)frame->length, rule);
    }
    return holds;
}

static struct plain_stream *find(const struct plain_mux *mux, uint32_t id)
{
    struct plain_stream *stream = mux->streams;

    while (stream != NULL && stream->id != id) {
        stream = stream->next;
    }
    return stream;
}

static struct plain_past *past_of(struct plain_mux *mux, uint32_t id)
{
    size_t place = id / 2;

    if (place >= mux->past_room) {
        size_t room = place < 16 ? 32 : 2 * place;
        struct plain_past *past = sim_alloc(mux->sim, room * sizeof *past);

        if (mux->past_room > 0) {
            memcpy(past, mux->past, mux->past_room * sizeof *past);
        }
        sim_release(mux->sim, mux->past);
        mux->past = past;
        mux->past_room = room;
    }
    return &mux->past[place];
}

static bool is_theirs(const struct plain_mux *mux, uint32_t id)
{
    return (id % 2 == 0) == mux->client;
}

/* Version, type and flags (spec l.25-60), and no more than one thing a frame:
 * SYN, ACK, FIN and RST each alone on a window update (D4). */
static bool is_well_formed(const struct plain_mux *mux,
                           const struct plain_frame *frame)
{
    unsigned flags = frame->flags;
    bool of_stream = frame->type <= PLAIN_WINDOW_UPDATE;

    return must(mux, frame, frame->version == 0, "version 0") &&
           must(mux, frame, frame->type <= PLAIN_GO_AWAY, "a known type") &&
           must(mux, frame, (flags | KNOWN_FLAGS) == KNOWN_FLAGS,
                "known flags") &&
           must(mux, frame, (flags & (flags - 1)) == 0, "one flag a frame") &&
           must(mux, frame, frame->type != PLAIN_DATA || flags == 0,
                "no flag on data") &&
           must(mux, frame, of_stream == (frame->id != 0),
                "id 0 is the session's, and nobody else's") &&
           must(mux, frame,
                frame->type != PLAIN_ECHO || flags == PLAIN_SYN ||
                    flags == PLAIN_ACK,
                "a ping asks or answers") &&
           must(mux, frame, frame->type != PLAIN_GO_AWAY || flags == 0,
                "a go-away has no flags");
}

/* A frame for a stream that we have forgotten: only what may have been under
 * way is allowed. */
static void take_late(struct plain_mux *mux, const struct plain_frame *frame)
{
    uint32_t newest = mux->client ? mux->last_in : mux->next_out - 2;
    bool is_known = frame->id % 2 == 0 && frame->id <= newest;
    bool is_data = frame->type == PLAIN_DATA;
    struct plain_past *past = is_known ? past_of(mux, frame->id) : NULL;

    if (!must(mux, frame, is_known && past->opened,
              "no frame of an unknown stream") ||
        !must(mux, frame, !past->reset_in, "silence after a reset (I11)")) {
        return;
    }
    if (is_data || frame->flags == PLAIN_FIN) {
        must(mux, frame, !past->finished_in, "nothing to come after FIN");
    }
    if (is_data && must(mux, frame, frame->length <= past->left,
                        "data within the window")) {
        past->left -= frame->length;
    }
    past->finished_in = past->finished_in || frame->flags == PLAIN_FIN;
    past->reset_in = past->reset_in || frame->flags == PLAIN_RST;
}

/* An id of theirs, higher than all before, never 0, not after a go-away. */
static struct plain_stream *take_open(struct plain_mux *mux,
                                      const struct plain_frame *frame)
{
    bool legal =
        must(mux, frame, is_theirs(mux, frame->id), "an id of its own") &&
        must(mux, frame, frame->id > mux->last_in, "ids only grow (I10)") &&
        must(mux, frame, !mux->going_away_in, "no open after a go-away");

    if (!legal) {
        return NULL;
    }
    struct plain_stream *stream = sim_alloc(mux->sim, sizeof *stream);
    stream->id = frame->id;
    stream->granted = PLAIN_WINDOW;
    stream->allowed = PLAIN_WINDOW;
    stream->next = mux->streams;
    plain_bytes_init(&stream->in, mux->sim);
    mux->streams = stream;
    mux->stream_count++;
    mux->last_in = frame->id;
    past_of(mux, frame->id)->opened = true;
    return stream;
}

static bool take_data(struct plain_mux *mux, struct plain_stream *stream,
                      const struct plain_frame *frame, const uint8_t *body)
{
    if (!must(mux, frame, frame->length > 0, "data has bytes (D36)") ||
        !must(mux, frame, !stream->finished_in, "no data after FIN (I11)")) {
        return false;
    }
    /* whoever grants what it does not keep takes what comes */
    must(mux, frame, stream->received + frame->length <= stream->granted,
         "data within the window (I3)");
    stream->received += frame->length;
    plain_bytes_add(&stream->in, body, frame->length);
    return true;
}

static void take_credit(struct plain_mux *mux, struct plain_stream *stream,
                        const struct plain_frame *frame)
{
    must(mux, frame, frame->flags != 0 || frame->length > 0,
         "a window update that updates");
    stream->allowed += frame->length;
    must(mux, frame, stream->allowed - stream->sent <= UINT32_MAX,
         "a window below 2^32 (I4)");
}

static bool take_stream_frame(struct plain_mux *mux,
                              const struct plain_frame *frame,
                              const uint8_t *body, struct plain_event *event)
{
    struct plain_stream *stream = find(mux, frame->id);
    bool arrived = false;

    *event = (struct plain_event){.kind = PLAIN_ARRIVED, .stream = stream};
    if (frame->flags == PLAIN_SYN) {
        event->kind = PLAIN_OPENED;
        event->stream = take_open(mux, frame);
        if (event->stream != NULL) {
            take_credit(mux, event->stream, frame);
        }
        return event->stream != NULL;
    }
    if (stream == NULL) {
        take_late(mux, frame);
        return false;
    }
    if (!must(mux, frame, !stream->reset_in, "silence after a reset (I11)")) {
        return false;
    }
    if (frame->flags == PLAIN_RST) {
        stream->reset_in = true;
        event->kind = PLAIN_RESET;
        return true;
    }
    if (!is_theirs(mux, frame->id) && !stream->acked) {
        must(mux, frame, frame->flags == PLAIN_ACK, "ACK comes first (I10)");
        stream->acked = true;
        event->kind = PLAIN_ACCEPTED;
        arrived = true;
    } else {
        must(mux, frame, frame->flags != PLAIN_ACK, "one ACK (I10)");
    }
    if (frame->type == PLAIN_WINDOW_UPDATE) {
        take_credit(mux, stream, frame);
        arrived = true; /* there may be room to write now */
    } else {
        arrived = take_data(mux, stream, frame, body) || arrived;
    }
    if (frame->flags == PLAIN_FIN) {
        must(mux, frame, !stream->finished_in, "one FIN");
        stream->finished_in = true;
    }
    return arrived;
}

/* Pongs come in order; one may be dropped by who has too many (D23). */
static bool take_pong(struct plain_mux *mux, const struct plain_frame *frame,
                      struct plain_event *event)
{
    if (!must(mux, frame,
              frame->length >= mux->answered && frame->length < mux->next_ping,
              "a pong that was asked for, in order (D23)")) {
        return false;
    }
    mux->answered = frame->length + 1;
    *event = (struct plain_event){.kind = PLAIN_PONGED, .value = frame->length};
    return true;
}

static bool take_go_away(struct plain_mux *mux, const struct plain_frame *frame,
                         struct plain_event *event)
{
    must(mux, frame, frame->length == 0, "no blame without a reason");
    must(mux, frame, !mux->going_away_in, "one go-away");
    mux->going_away_in = true;
    *event =
        (struct plain_event){.kind = PLAIN_LEAVING, .value = frame->length};
    return true;
}

static bool take_frame(struct plain_mux *mux, const struct plain_frame *frame,
                       const uint8_t *body, struct plain_event *event)
{
    mux->frames_in++;
    if (!is_well_formed(mux, frame)) {
        return false;
    }
    if (frame->type == PLAIN_GO_AWAY) {
        return take_go_away(mux, frame, event);
    }
    if (frame->type != PLAIN_ECHO) {
        return take_stream_frame(mux, frame, body, event);
    }
    if (frame->flags == PLAIN_ACK) {
        return take_pong(mux, frame, event);
    }
    *event = (struct plain_event){.kind = PLAIN_PINGED, .value = frame->length};
    return true;
}

static uint32_t read_32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 |
           (uint32_t)bytes[2] << 8 | bytes[3];
}

bool plain_mux_next(struct plain_mux *mux, struct plain_event *event)
{
    struct plain_bytes *in = &mux->ws->data;

    while (in->length >= HEADER_SIZE) {
        const uint8_t *bytes = plain_bytes_front(in);
        const struct plain_frame frame = {
            .version = bytes[0],
            .type = bytes[1],
            .flags = (uint16_t)(bytes[2] << 8 | bytes[3]),
            .id = read_32(bytes + 4),
            .length = read_32(bytes + 8)};
        size_t body = frame.type == PLAIN_DATA ? frame.length : 0;

        if (in->length - HEADER_SIZE < body) {
            return false;
        }
        bool happened = take_frame(mux, &frame, bytes + HEADER_SIZE, event);
        plain_bytes_drop(in, HEADER_SIZE + body);
        if (happened) {
            return true;
        }
    }
    return false;
}

/* ---- out ----------------------------------------------------------------- */

static void write_32(uint8_t *bytes, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++) {
        bytes[i] = (uint8_t)(value >> 8 * (3 - i));
    }
}

void plain_mux_frame(struct plain_mux *mux, const struct plain_frame *frame,
                     const uint8_t *body, size_t body_length)
{
    uint8_t header[HEADER_SIZE] = {frame->version, frame->type,
                                   (uint8_t)(frame->flags >> 8),
                                   (uint8_t)frame->flags};

    write_32(header + 4, frame->id);
    write_32(header + 8, frame->length);
    mux->frames_out++;
    if (mux->two_writes && body_length > 0) {
        plain_ws_message(mux->ws, header, sizeof header, NULL, 0);
        plain_ws_message(mux->ws, NULL, 0, body, body_length);
    } else {
        plain_ws_message(mux->ws, header, sizeof header, body, body_length);
    }
}

static void emit(struct plain_mux *mux, enum plain_type type, unsigned flags,
                 uint32_t id, uint32_t length)
{
    const struct plain_frame frame = {.type = (uint8_t)type,
                                      .flags = (uint16_t)flags,
                                      .id = id,
                                      .length = length};

    plain_mux_frame(mux, &frame, NULL, 0);
}

struct plain_stream *plain_mux_open(struct plain_mux *mux)
{
    struct plain_stream *stream = sim_alloc(mux->sim, sizeof *stream);

    stream->id = mux->next_out;
    stream->granted = mux->window;
    stream->allowed = PLAIN_WINDOW;
    stream->next = mux->streams;
    plain_bytes_init(&stream->in, mux->sim);
    mux->streams = stream;
    mux->stream_count++;
    mux->next_out += 2;
    past_of(mux, stream->id)->opened = true;
    emit(mux, PLAIN_WINDOW_UPDATE, PLAIN_SYN, stream->id,
         mux->window - PLAIN_WINDOW);
    return stream;
}

/* The flag that its next frame has beside its own. */
static unsigned take_ack(struct plain_stream *stream)
{
    bool owes = stream->owes_ack;

    stream->owes_ack = false;
    return owes ? PLAIN_ACK : 0;
}

void plain_mux_accept(struct plain_mux *mux, struct plain_stream *stream)
{
    stream->acked = true;
    stream->granted += mux->window - PLAIN_WINDOW;
    if (mux->acks_late && mux->window == PLAIN_WINDOW) {
        stream->owes_ack = true;
        return;
    }
    emit(mux, PLAIN_WINDOW_UPDATE, PLAIN_ACK, stream->id,
         mux->window - PLAIN_WINDOW);
}

void plain_mux_acknowledge(struct plain_mux *mux, struct plain_stream *stream)
{
    if (stream->owes_ack) {
        emit(mux, PLAIN_WINDOW_UPDATE, take_ack(stream), stream->id, 0);
    }
}

void plain_mux_forget(struct plain_mux *mux, struct plain_stream *stream)
{
    struct plain_stream **link = &mux->streams;
    struct plain_past *past = past_of(mux, stream->id);

    while (*link != stream) {
        link = &(*link)->next;
    }
    *link = stream->next;
    mux->stream_count--;
    past->over = true;
    past->finished_in = stream->finished_in;
    past->reset_in = stream->reset_in;
    past->left = stream->granted - stream->received;
    free_stream(mux, stream);
}

void plain_mux_reset(struct plain_mux *mux, struct plain_stream *stream)
{
    emit(mux, PLAIN_WINDOW_UPDATE, PLAIN_RST, stream->id, 0);
    plain_mux_forget(mux, stream);
}

void plain_mux_finish(struct plain_mux *mux, struct plain_stream *stream)
{
    stream->finished_out = true;
    emit(mux, PLAIN_WINDOW_UPDATE, PLAIN_FIN | take_ack(stream), stream->id, 0);
}

bool plain_mux_is_done(const struct plain_stream *stream)
{
    return stream->finished_in && stream->finished_out;
}

size_t plain_mux_room(const struct plain_mux *mux,
                      const struct plain_stream *stream)
{
    uint64_t room = stream->allowed - stream->sent;

    return room < mux->frame_max ? (size_t)room : mux->frame_max;
}

static void write_data(struct plain_mux *mux, struct plain_stream *stream,
                       const uint8_t *bytes, size_t length, unsigned flags)
{
    const struct plain_frame frame = {.type = PLAIN_DATA,
                                      .flags =
                                          (uint16_t)(flags | take_ack(stream)),
                                      .id = stream->id,
                                      .length = (uint32_t)length};

    stream->sent += length;
    plain_mux_frame(mux, &frame, bytes, length);
}

void plain_mux_write(struct plain_mux *mux, struct plain_stream *stream,
                     const uint8_t *bytes, size_t length)
{
    write_data(mux, stream, bytes, length, 0);
}

void plain_mux_write_last(struct plain_mux *mux, struct plain_stream *stream,
                          const uint8_t *bytes, size_t length)
{
    stream->finished_out = true;
    write_data(mux, stream, bytes, length, PLAIN_FIN);
}

/* What was read and not granted again, when it is enough (m36). */
void plain_mux_read(struct plain_mux *mux, struct plain_stream *stream,
                    size_t length)
{
    plain_bytes_drop(&stream->in, length);
    stream->read += length;
    uint64_t due = stream->read + mux->window - stream->granted;

    if (stream->acked && due >= mux->grant_at &&
        (mux->grants_late || !stream->finished_in)) {
        stream->granted += due;
        emit(mux, PLAIN_WINDOW_UPDATE, take_ack(stream), stream->id,
             (uint32_t)due);
    }
}

uint32_t plain_mux_ping(struct plain_mux *mux)
{
    emit(mux, PLAIN_ECHO, PLAIN_SYN, 0, mux->next_ping);
    return mux->next_ping++;
}

void plain_mux_pong(struct plain_mux *mux, uint32_t value)
{
    emit(mux, PLAIN_ECHO, PLAIN_ACK, 0, value);
}

void plain_mux_go_away(struct plain_mux *mux, uint32_t code)
{
    if (!mux->going_away_out) {
        mux->going_away_out = true;
        emit(mux, PLAIN_GO_AWAY, 0, 0, code);
    }
}
