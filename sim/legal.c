/* IMPLEMENTATION NOTES
 *
 * Each direction is a reader of WebSocket frames on top of a reader of yamux
 * frames, fed a byte or a run of payload at a time; one table of streams knows
 * what both have said. In the direction that is judged, whatever is wrong ends
 * the world; in the other it makes the reader deaf.
 */
#include "sim/legal.h"

#include <inttypes.h>
#include <string.h>

#define HEADER_SIZE 12u
#define WINDOW_FIRST UINT64_C(262144)
#define PINGS_MAX 512u
#define CONTROL_MAX 125u
#define TABLE_FIRST 16u

enum { SYN = 1, ACK = 2, FIN = 4, RST = 8 };
enum { DATA, WINDOW_UPDATE, PING, GO_AWAY };
enum {
    CONTINUATION = 0,
    TEXT = 1,
    BINARY = 2,
    CLOSE = 8,
    WS_PING = 9,
    WS_PONG = 10
};

struct stream {
    uint32_t id; /* 0: a free place */
    bool ours;   /* opened by the end that is judged */
    bool acked;  /* of the peer's: it was answered */
    bool spoke;  /* the preface is out */
    bool fin_out, rst_out, fin_in, rst_in;
    bool overflowed;    /* the peer granted more than there can be */
    bool in_doubt;      /* a RST went out that was its own or another's, and
                           send_left may be what two were granted */
    uint32_t again;     /* SYNs that came before the answer to the first */
    uint64_t send_left; /* granted by the peer, and not used */
    uint64_t granted;   /* to the peer, and not used */
    uint64_t fin_step;  /* when fin_in came */
};

struct reader {
    struct legal *legal;
    bool judged; /* what the end sends */
    bool deaf;
    /* WebSocket */
    uint8_t head[14];
    size_t head_length;
    uint64_t left;
    uint8_t opcode, mask[4];
    uint64_t place; /* in the payload */
    bool masked, final, in_frame, in_message, closed;
    uint8_t control[CONTROL_MAX];
    size_t control_length;
    uint8_t ping[CONTROL_MAX]; /* payload of the newest */
    size_t ping_length;
    bool pinged;
    /* yamux */
    uint8_t frame[HEADER_SIZE];
    size_t frame_length;
    uint64_t frame_left;
    uint64_t said; /* payload bytes of this frame so far */
    bool went_away, failed;
};

struct legal {
    struct legal *before, *after;
    struct sim *sim;
    struct legal_config config;
    struct reader out, in;
    struct stream *streams; /* open addressing, by id */
    size_t count, capacity;
    uint32_t last_id;  /* of ours */
    uint32_t heard_id; /* the greatest of the peer's */
    uint32_t pings[PINGS_MAX];
    uint64_t pings_in, pongs_out; /* counts; places in pings */
    bool pings_lost;
    uint64_t pong_step;
    bool lost;                 /* the peer */
    uint64_t tokens, spent_ms; /* of the peer's budget, in thousandths */
    uint64_t offers, answers;  /* streams of the peer's, and ACKs and RSTs */
};

/* ---- streams ------------------------------------------------------------- */

static struct stream *place_of(struct stream *streams, size_t capacity,
                               uint32_t id)
{
    size_t place = (id * UINT32_C(2654435761) >> 8) % capacity;

    while (streams[place].id != 0 && streams[place].id != id) {
        place = (place + 1) % capacity;
    }
    return &streams[place];
}

static struct stream *find(struct legal *legal, uint32_t id)
{
    struct stream *stream = place_of(legal->streams, legal->capacity, id);
    return stream->id == 0 ? NULL : stream;
}

/* Streams that are over are left behind. */
static bool is_over(const struct stream *stream)
{
    return stream->rst_out || (stream->rst_in && stream->fin_out) ||
           (stream->fin_in && stream->fin_out);
}

static void grow(struct legal *legal)
{
    size_t live = 0;

    for (size_t i = 0; i < legal->capacity; i++) {
        const struct stream *stream = &legal->streams[i];
        live += stream->id != 0 && !is_over(stream) ? 1 : 0;
    }
    size_t capacity = TABLE_FIRST;
    while (capacity < 4 * (live + 1)) {
        capacity *= 2;
    }
    struct stream *streams = sim_alloc(legal->sim, capacity * sizeof *streams);
    for (size_t i = 0; i < legal->capacity; i++) {
        const struct stream *stream = &legal->streams[i];
        if (stream->id != 0 && !is_over(stream)) {
            *place_of(streams, capacity, stream->id) = *stream;
        }
    }
    sim_release(legal->sim, legal->streams);
    legal->streams = streams;
    legal->capacity = capacity;
    legal->count = live;
}

static struct stream *add(struct legal *legal, uint32_t id, bool ours)
{
    struct stream *stream;

    if (2 * (legal->count + 1) > legal->capacity) {
        grow(legal);
    }
    stream = place_of(legal->streams, legal->capacity, id);
    legal->count += stream->id == 0 ? 1 : 0;
    *stream = (struct stream){.id = id,
                              .ours = ours,
                              .send_left = WINDOW_FIRST,
                              .granted = WINDOW_FIRST};
    return stream;
}

/* ---- yamux, judged ------------------------------------------------------- */

struct frame {
    unsigned version, type, flags;
    uint32_t id, length;
};

static struct frame decode(const uint8_t *h)
{
    return (struct frame){
        .version = h[0],
        .type = h[1],
        .flags = (unsigned)h[2] << 8 | h[3],
        .id = (uint32_t)h[4] << 24 | (uint32_t)h[5] << 16 |
              (uint32_t)h[6] << 8 | h[7],
        .length = (uint32_t)h[8] << 24 | (uint32_t)h[9] << 16 |
                  (uint32_t)h[10] << 8 | h[11],
    };
}

_Noreturn static void fail(const struct legal *legal, const struct frame *frame,
                           const char *what)
{
    sim_fail(legal->sim, "legal",
             "%s sent type %u flags %u stream %" PRIu32 " length %" PRIu32
             ": %s",
             legal->config.who, frame->type, frame->flags, frame->id,
             frame->length, what);
}

#define MUST(x, what)                 \
    do {                              \
        if (!(x)) {                   \
            fail(legal, frame, what); \
        }                             \
    } while (0)

static bool is_own_id(const struct legal *legal, uint32_t id)
{
    return (id % 2 == 0) == legal->config.is_server;
}

static void judge_shape(struct legal *legal, const struct frame *frame)
{
    unsigned flags = frame->flags;

    MUST(frame->version == 0, "the version is 0");
    MUST(frame->type <= GO_AWAY, "there is no such type");
    MUST((frame->id != 0) == (frame->type <= WINDOW_UPDATE),
         "pings and go-aways have id 0, and nothing else");
    if (frame->type == PING) {
        MUST(flags == SYN || flags == ACK, "a ping is asked or answered");
        return;
    }
    if (frame->type == GO_AWAY) {
        MUST(flags == 0 && frame->length <= 2, "no such go-away");
        return;
    }
    MUST((flags & ~(unsigned)(SYN | ACK | FIN | RST)) == 0, "unknown flags");
    MUST((flags & (FIN | RST)) == 0 || frame->length == 0,
         "FIN and RST carry nothing (D4)");
    MUST(flags == 0 || (flags & (flags - 1)) == 0, "one flag a frame (D4)");
    MUST(flags != 0 || frame->length > 0, "it says nothing");
    MUST(frame->type != DATA || legal->config.payload_max == 0 ||
             frame->length <= legal->config.payload_max,
         "a frame larger than configured (D15)");
}

static void judge_ping(struct legal *legal, const struct frame *frame)
{
    if (frame->flags == SYN) {
        if (legal->pong_step == sim_steps(legal->sim)) {
            sim_met(legal->sim, MET_PING_CROSSES_PONG);
        }
        return;
    }
    legal->pong_step = sim_steps(legal->sim);
    if (legal->in.deaf || legal->pings_lost) {
        return;
    }
    while (legal->pongs_out < legal->pings_in) {
        uint32_t opaque = legal->pings[legal->pongs_out++ % PINGS_MAX];
        if (opaque == frame->length) {
            return;
        }
    }
    fail(legal, frame, "nobody asked for this pong, or not in this order");
}

static void judge_go_away(struct legal *legal, const struct frame *frame)
{
    struct reader *out = &legal->out;

    if (frame->length == 0) {
        MUST(!out->went_away, "a second go-away");
        out->went_away = true;
    } else {
        out->failed = true;
    }
}

static void judge_syn(struct legal *legal, const struct frame *frame)
{
    struct stream *stream;

    MUST(legal->config.opens, "it opens no streams");
    MUST(is_own_id(legal, frame->id), "an id of the wrong parity (I10)");
    MUST(frame->id > legal->last_id, "ids grow and are used once (I10)");
    MUST(!legal->out.went_away, "a new stream after its go-away");
    legal->last_id = frame->id;
    stream = add(legal, frame->id, true);
    stream->spoke = legal->config.preface == 0;
}

/* Of a stream that both ends know. */
static void judge_end(struct legal *legal, const struct frame *frame,
                      struct stream *stream)
{
    if (frame->flags == RST) {
        if (stream->fin_in || stream->fin_out) {
            sim_met(legal->sim, MET_RST_AFTER_FIN);
        }
        legal->answers += stream->ours || stream->acked ? 0 : 1;
        if (stream->again > 0) {
            stream->again--;
            stream->in_doubt = true;
        } else {
            stream->rst_out = true;
        }
        return;
    }
    MUST(!stream->fin_out, "a second FIN (I11)");
    stream->fin_out = true;
    if (stream->granted == 0 || stream->send_left == 0) {
        sim_met(legal->sim, MET_FIN_FULL_WINDOW);
    }
    if (stream->fin_in && stream->fin_step == sim_steps(legal->sim)) {
        sim_met(legal->sim, MET_BOTH_FINS);
    }
}

/* What is granted beyond the windows that streams begin with. */
static uint64_t beyond_windows(const struct legal *legal)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < legal->capacity; i++) {
        const struct stream *stream = &legal->streams[i];
        if (stream->id != 0 && !is_over(stream) && !stream->rst_in &&
            stream->granted > legal->config.window) {
            bytes += stream->granted - legal->config.window;
        }
    }
    return bytes;
}

static void judge_grant(struct legal *legal, const struct frame *frame,
                        struct stream *stream)
{
    stream->granted += frame->length;
    if (!legal->in.deaf && stream->granted > legal->config.window) {
        sim_met(legal->sim, MET_WINDOW_GREW);
        MUST(beyond_windows(legal) <= legal->config.growth,
             "more granted than its window (O4)");
    }
}

static void judge_data(struct legal *legal, const struct frame *frame,
                       struct stream *stream)
{
    MUST(!stream->fin_out, "data after its FIN (I11)");
    MUST(!stream->rst_in, "data on a stream that the peer has reset");
    MUST(legal->in.deaf || frame->length <= stream->send_left,
         "data beyond the granted window (I3)");
    stream->send_left -=
        frame->length < stream->send_left ? frame->length : stream->send_left;
    if (stream->send_left == 0) {
        sim_met(legal->sim, MET_WINDOW_USED_UP);
    }
}

static bool has_been(const struct legal *legal, uint32_t id)
{
    return id <= (is_own_id(legal, id) ? legal->last_id : legal->heard_id);
}

static void judge_stream(struct legal *legal, const struct frame *frame)
{
    struct stream *stream = find(legal, frame->id);

    if (frame->flags == SYN) {
        MUST(stream == NULL, "a stream id used twice (I10)");
        judge_syn(legal, frame);
        stream = find(legal, frame->id);
    }
    if (stream == NULL && legal->in.deaf && !is_own_id(legal, frame->id)) {
        return;
    }
    if (stream == NULL && frame->flags == RST && has_been(legal, frame->id)) {
        return; /* it is over and left behind; see below */
    }
    MUST(stream != NULL, "a frame on a stream that is not (I10)");
    MUST(!stream->rst_out, "a frame after its RST (I11)");
    /* after the peer's FIN it may have been finished, and owe just this */
    MUST(!stream->overflowed || frame->flags == RST ||
             (stream->fin_in && frame->type == WINDOW_UPDATE &&
              (frame->flags == ACK || frame->flags == FIN)),
         "a stream lives on whose credit has passed 2^32-1 (I4)");
    /* a RST may have been on its way when the peer's FIN came */
    MUST(!(stream->fin_out && stream->fin_in) || frame->flags == RST,
         "a frame on a stream that is over (I11)");
    if (frame->flags == ACK) {
        MUST(!stream->ours && legal->config.accepts, "nothing to answer");
        MUST(!stream->acked, "a second ACK (I10)");
        stream->acked = true;
        legal->answers++;
    } else if (!stream->ours && !stream->acked) {
        MUST(frame->flags == RST, "a frame before the ACK (I10)");
    }
    if (frame->flags == FIN || frame->flags == RST) {
        MUST(frame->flags == RST || !stream->ours || stream->spoke,
             "FIN before the preface (AC-06)");
        judge_end(legal, frame, stream);
    } else if (frame->type == WINDOW_UPDATE) {
        MUST(!stream->rst_in, "credit on a stream that the peer has reset");
        MUST(frame->length == 0 || !stream->fin_in,
             "credit after the peer's FIN (D14)");
        judge_grant(legal, frame, stream);
    } else {
        judge_data(legal, frame, stream);
    }
}

static void judge_frame(struct legal *legal, const struct frame *frame)
{
    judge_shape(legal, frame);
    MUST(!legal->out.failed, "a frame after it said that it failed (I4)");
    switch (frame->type) {
    case PING:
        judge_ping(legal, frame);
        break;
    case GO_AWAY:
        judge_go_away(legal, frame);
        break;
    default:
        judge_stream(legal, frame);
        break;
    }
}

/* The first byte of a stream that this end opened (AC-06). */
static void judge_payload(struct legal *legal, const struct frame *frame,
                          uint8_t first)
{
    struct stream *stream = find(legal, frame->id);

    if (stream != NULL && stream->ours && !stream->spoke) {
        MUST(first == legal->config.preface, "the preface comes first");
        stream->spoke = true;
    }
}

/* ---- yamux, heard -------------------------------------------------------- */

/* A frame that is of no use to anybody, whatever streams there are (D37). */
static void hear_useless(struct legal *legal)
{
    uint64_t full = UINT64_C(1000) * legal->config.useless_burst;
    uint64_t now_ms = sim_now_ms(legal->sim);

    if (full == 0) {
        return;
    }
    legal->tokens += (now_ms - legal->spent_ms) * legal->config.useless_per_s;
    legal->tokens = legal->tokens < full ? legal->tokens : full;
    legal->spent_ms = now_ms;
    legal->lost = legal->lost || legal->tokens < 1000;
    legal->tokens -= legal->tokens < 1000 ? legal->tokens : 1000;
}

static void hear_ping(struct legal *legal, const struct frame *frame)
{
    if ((frame->flags & SYN) == 0) {
        return;
    }
    hear_useless(legal);
    if (legal->pings_in - legal->pongs_out == PINGS_MAX) {
        legal->pings_lost = true;
    }
    legal->pings[legal->pings_in++ % PINGS_MAX] = frame->length;
}

static void hear_end(struct legal *legal, struct stream *stream, unsigned flags)
{
    if ((flags & RST) != 0) {
        if (stream->fin_out && !stream->rst_in) {
            sim_met(legal->sim, MET_RST_CROSSES_FIN);
        }
        stream->rst_in = true;
    } else if ((flags & FIN) != 0) {
        if (stream->granted == 0 || stream->send_left == 0) {
            sim_met(legal->sim, MET_FIN_FULL_WINDOW);
        }
        stream->fin_in = true;
        stream->fin_step = sim_steps(legal->sim);
    }
}

static void hear_stream(struct legal *legal, const struct frame *frame)
{
    struct stream *stream = find(legal, frame->id);

    if ((frame->flags & SYN) != 0 && !is_own_id(legal, frame->id)) {
        if (stream == NULL || is_over(stream)) {
            stream = add(legal, frame->id, false);
        } else if (stream->rst_in || stream->in_doubt) {
            /* a refusal of it may still come, or it may still live */
            uint32_t again = stream->again + (stream->acked ? 0 : 1);
            uint64_t left = stream->rst_in ? 0 : stream->send_left;
            stream = add(legal, frame->id, false);
            stream->again = again;
            stream->in_doubt = left > 0;
            stream->send_left += left;
        } else {
            stream->again++;
        }
        legal->offers += (frame->flags & RST) == 0 ? 1 : 0;
        legal->heard_id =
            frame->id > legal->heard_id ? frame->id : legal->heard_id;
    }
    if (stream == NULL) {
        return;
    }
    if (frame->type == WINDOW_UPDATE) {
        stream->send_left += frame->length;
        if (stream->send_left > UINT32_MAX && !stream->in_doubt &&
            (frame->flags & RST) == 0) {
            stream->overflowed = true;
        }
        hear_end(legal, stream, frame->flags);
    } else {
        stream->granted -=
            frame->length < stream->granted ? frame->length : stream->granted;
    }
}

static void hear_frame(struct reader *reader, const struct frame *frame)
{
    struct legal *legal = reader->legal;

    bool is_of_stream = frame->type <= WINDOW_UPDATE;

    if (frame->version != 0 || frame->type > GO_AWAY ||
        (frame->id != 0) != is_of_stream ||
        (frame->type == DATA &&
         frame->length > legal->config.window + legal->config.growth) ||
        (is_of_stream && (frame->flags & SYN) != 0 &&
         is_own_id(legal, frame->id))) {
        reader->deaf = true;
        return;
    }
    if (frame->type == PING) {
        hear_ping(legal, frame);
    } else if (frame->type <= WINDOW_UPDATE) {
        hear_stream(legal, frame);
    }
}

/* FIN and RST of a DATA frame count after its payload. */
static void hear_frame_end(struct reader *reader, const struct frame *frame)
{
    struct stream *stream = find(reader->legal, frame->id);

    if (frame->type == DATA && stream != NULL) {
        hear_end(reader->legal, stream, frame->flags);
    }
}

/* ---- yamux, both --------------------------------------------------------- */

static void take_header(struct reader *reader)
{
    struct frame frame = decode(reader->frame);

    if (reader->judged) {
        judge_frame(reader->legal, &frame);
    } else {
        hear_frame(reader, &frame);
    }
    reader->frame_left = frame.type == DATA ? frame.length : 0;
    reader->said = 0;
}

static void end_frame(struct reader *reader)
{
    struct frame frame = decode(reader->frame);

    if (!reader->judged) {
        hear_frame_end(reader, &frame);
    }
    reader->frame_length = 0;
}

/* Payload of WebSocket messages, unmasked where a byte matters. */
static void take_payload(struct reader *reader, const uint8_t *bytes,
                         size_t length)
{
    while (length > 0 && !reader->deaf) {
        if (reader->frame_length < HEADER_SIZE) {
            uint8_t byte = *bytes;
            if (reader->masked) {
                byte ^= reader->mask[reader->place % 4];
            }
            reader->frame[reader->frame_length++] = byte;
            bytes++;
            length--;
            reader->place++;
            if (reader->frame_length == HEADER_SIZE) {
                take_header(reader);
                if (reader->frame_left == 0) {
                    end_frame(reader);
                }
            }
            continue;
        }
        if (reader->judged && reader->said == 0) {
            struct frame frame = decode(reader->frame);
            uint8_t byte = *bytes;
            if (reader->masked) {
                byte ^= reader->mask[reader->place % 4];
            }
            judge_payload(reader->legal, &frame, byte);
        }
        size_t piece =
            length < reader->frame_left ? length : (size_t)reader->frame_left;
        bytes += piece;
        length -= piece;
        reader->place += piece;
        reader->said += piece;
        reader->frame_left -= piece;
        if (reader->frame_left == 0) {
            end_frame(reader);
        }
    }
}

/* ---- WebSocket ----------------------------------------------------------- */

static void ws_must(struct reader *reader, bool holds, const char *what)
{
    if (holds) {
        return;
    }
    if (reader->judged) {
        sim_fail(reader->legal->sim, "legal", "%s sent opcode %u: %s",
                 reader->legal->config.who, reader->opcode, what);
    }
    reader->deaf = true;
}

static bool is_control(unsigned opcode)
{
    return opcode >= CLOSE;
}

static size_t head_size(const uint8_t *head)
{
    unsigned length = head[1] & 0x7fu;

    return 2u +
           (length == 127   ? 8u
            : length == 126 ? 2u
                            : 0u) +
           ((head[1] & 0x80u) != 0 ? 4u : 0u);
}

static void take_length(struct reader *reader)
{
    unsigned shortest = reader->head[1] & 0x7fu;
    size_t bytes = shortest == 127 ? 8 : shortest == 126 ? 2 : 0;

    reader->left = bytes == 0 ? shortest : 0;
    for (size_t i = 0; i < bytes; i++) {
        reader->left = reader->left << 8 | reader->head[2 + i];
    }
    ws_must(reader,
            bytes == 0 || (bytes == 2 && reader->left > 125) ||
                (reader->left > 65535 && reader->left >> 63 == 0),
            "its length is not written the shortest way");
    memcpy(reader->mask, reader->head + 2 + bytes, reader->masked ? 4 : 0);
}

static void take_head(struct reader *reader)
{
    const uint8_t *head = reader->head;
    bool sends_masked = reader->judged != reader->legal->config.is_server;

    reader->opcode = head[0] & 0x0fu;
    reader->final = (head[0] & 0x80u) != 0;
    reader->masked = (head[1] & 0x80u) != 0;
    reader->place = 0;
    take_length(reader);
    ws_must(reader, !reader->closed, "it comes after a close frame");
    ws_must(reader, (head[0] & 0x70u) == 0, "reserved bits are set");
    ws_must(reader, reader->masked == sends_masked,
            "the client masks and the server does not");
    ws_must(reader,
            reader->opcode <= BINARY ||
                (is_control(reader->opcode) && reader->opcode <= WS_PONG),
            "there is no such opcode");
    if (is_control(reader->opcode)) {
        ws_must(reader, reader->final && reader->left <= CONTROL_MAX,
                "a control frame is whole and short");
        reader->control_length = 0;
        return;
    }
    ws_must(reader, (reader->opcode == CONTINUATION) == reader->in_message,
            "a continuation is of a message, and a message is not in another");
    ws_must(reader, !reader->judged || reader->left > 0, "it says nothing");
    reader->in_message = !reader->final;
}

static bool is_close_code(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

static void take_control(struct reader *reader)
{
    const uint8_t *control = reader->control;
    const struct reader *in = &reader->legal->in;

    if (reader->opcode == CLOSE) {
        ws_must(reader, reader->control_length != 1, "half a code");
        ws_must(reader,
                reader->control_length < 2 ||
                    is_close_code((unsigned)control[0] << 8 | control[1]),
                "a code that is never on the wire");
        reader->closed = true;
    } else if (reader->opcode == WS_PING) {
        memcpy(reader->ping, control, reader->control_length);
        reader->ping_length = reader->control_length;
        reader->pinged = true;
    } else if (reader->judged && !in->deaf) {
        ws_must(reader,
                in->pinged && in->ping_length == reader->control_length &&
                    memcmp(in->ping, control, in->ping_length) == 0,
                "a pong that does not echo the newest ping");
    }
}

static void end_ws_frame(struct reader *reader)
{
    reader->in_frame = false;
    reader->head_length = 0;
    if (is_control(reader->opcode)) {
        take_control(reader);
    } else if (reader->final) {
        ws_must(reader, !reader->judged || reader->frame_length == 0,
                "a message that ends within a yamux frame (I8)");
    }
}

static void take_ws_payload(struct reader *reader, const uint8_t *bytes,
                            size_t length)
{
    if (!is_control(reader->opcode)) {
        take_payload(reader, bytes, length);
        return;
    }
    for (size_t i = 0; i < length && !reader->deaf; i++) {
        uint8_t byte = bytes[i];
        if (reader->masked) {
            byte ^= reader->mask[reader->place++ % 4];
        }
        reader->control[reader->control_length++] = byte;
    }
}

static void take(struct reader *reader, const uint8_t *bytes, size_t length)
{
    while (length > 0 && !reader->deaf) {
        if (!reader->in_frame) {
            reader->head[reader->head_length++] = *bytes++;
            length--;
            if (reader->head_length < 2 ||
                reader->head_length < head_size(reader->head)) {
                continue;
            }
            reader->in_frame = true;
            take_head(reader);
        } else {
            size_t piece =
                length < reader->left ? length : (size_t)reader->left;
            take_ws_payload(reader, bytes, piece);
            reader->left -= piece;
            bytes += piece;
            length -= piece;
        }
        if (reader->left == 0 && !reader->deaf) {
            end_ws_frame(reader);
        }
    }
}

/* ---- life ---------------------------------------------------------------- */

struct legal *legal_new(struct legal **list, struct sim *sim,
                        const struct legal_config *config)
{
    struct legal *legal = sim_alloc(sim, sizeof *legal);

    legal->sim = sim;
    legal->config = *config;
    legal->out = (struct reader){.legal = legal, .judged = true};
    legal->in = (struct reader){.legal = legal};
    legal->tokens = UINT64_C(1000) * config->useless_burst;
    legal->spent_ms = sim_now_ms(sim);
    grow(legal);
    legal->after = *list;
    if (*list != NULL) {
        (*list)->before = legal;
    }
    *list = legal;
    return legal;
}

void legal_free(struct legal **list, struct legal *legal)
{
    if (legal == NULL) {
        return;
    }
    if (legal->before != NULL) {
        legal->before->after = legal->after;
    } else {
        *list = legal->after;
    }
    if (legal->after != NULL) {
        legal->after->before = legal->before;
    }
    sim_release(legal->sim, legal->streams);
    sim_release(legal->sim, legal);
}

void legal_sent(struct legal *legal, const uint8_t *bytes, size_t length)
{
    take(&legal->out, bytes, length);
}

void legal_received(struct legal *legal, const uint8_t *bytes, size_t length)
{
    take(&legal->in, bytes, length);
}

bool legal_is_lost(const struct legal *legal)
{
    return legal->lost || legal->in.deaf;
}

void legal_is_quiet(const struct legal *legal)
{
    if (!legal->config.accepts && !legal_is_lost(legal) &&
        legal->answers < legal->offers) {
        sim_fail(legal->sim, "legal",
                 "%s answered %" PRIu64 " of %" PRIu64
                 " streams that its peer opened (D8)",
                 legal->config.who, legal->answers, legal->offers);
    }
}

void legal_goes(const struct legal *legal, bool blames)
{
    if (!legal->out.closed) {
        sim_fail(legal->sim, "legal",
                 "%s goes without a close frame (RFC 6455 7.1.2)",
                 legal->config.who);
    }
    if (blames && !legal->out.failed) {
        sim_fail(legal->sim, "legal",
                 "%s goes for what its peer sent and does not say so (D22)",
                 legal->config.who);
    }
}
