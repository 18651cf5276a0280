#include "fuzz/end.h"

#include <string.h>

#define OUT_MAX (WIRE_HEADER_SIZE + 262144u)
#define OPENS_MAX 200u

/* ---- books --------------------------------------------------------------- */

static struct end_stream *find(struct end *end, uint32_t id)
{
    for (size_t i = 0; i < 2 * END_STREAMS; i++) {
        if (end->streams[i].id == id) {
            return &end->streams[i];
        }
    }
    return NULL;
}

static struct end_stream *add(struct end *end, uint32_t id, bool ours)
{
    struct end_stream *stream = find(end, 0);

    MUST(id != 0 && find(end, id) == NULL && stream != NULL);
    *stream = (struct end_stream){.id = id, .ours = ours};
    end->count++;
    return stream;
}

static void remove_stream(struct end *end, struct end_stream *stream,
                          enum status status, bool by_call)
{
    if (end->watch.ended != NULL) {
        end->watch.ended(end->watch.user, stream, status, by_call);
    }
    MUST(!mux_is_live(end->mux, stream->id));
    stream->id = 0;
    end->count--;
}

static void remove_all(struct end *end, enum status status)
{
    for (size_t i = 0; i < 2 * END_STREAMS; i++) {
        if (end->streams[i].id != 0) {
            remove_stream(end, &end->streams[i], status, false);
        }
    }
    end->failed = true;
}

/* The one with this id, or one of those that are live, NULL: none is. */
static struct end_stream *pick(struct end *end, uint32_t number)
{
    struct end_stream *stream = number != 0 ? find(end, number) : NULL;
    uint32_t skip = end->count > 0 ? number % end->count : 0;

    for (size_t i = 0; stream == NULL && i < 2 * END_STREAMS; i++) {
        if (end->streams[i].id != 0 && skip-- == 0) {
            stream = &end->streams[i];
        }
    }
    return stream;
}

static void must_agree(struct end *end)
{
    MUST(mux_stream_count(end->mux) == end->count);
    MUST((mux_status(end->mux) != STATUS_OK) == end->failed);
    for (size_t i = 0; i < 2 * END_STREAMS; i++) {
        MUST(end->streams[i].id == 0 ||
             mux_is_live(end->mux, end->streams[i].id));
    }
}

/* ---- events -------------------------------------------------------------- */

static void log_number(struct end *end, uint64_t number)
{
    input_hash(&end->log, &number, sizeof number);
    end->log_data = 0;
}

static void take_data(struct end *end, struct end_stream *stream,
                      struct span data)
{
    MUST(!stream->in_done && data.length > 0);
    if (end->watch.data != NULL) {
        end->watch.data(end->watch.user, stream, data);
    }
    stream->delivered += data.length;
    MUST(stream->delivered - stream->consumed <= end->config.recv_window);
    if (end->log_data != stream->id) {
        log_number(end, stream->id);
        end->log_data = stream->id;
    }
    input_hash(&end->log, data.bytes, data.length);
}

static void take_stream_event(struct end *end, const struct mux_event *event)
{
    struct end_stream *stream = find(end, event->stream);

    MUST(event->stream != 0 && stream != NULL);
    MUST(event->user ==
         (stream->ours || stream->accepted ? (void *)stream : NULL));
    switch (event->kind) {
    case MUX_STREAM_ACCEPTED:
        MUST(stream->ours && !stream->accepted);
        stream->accepted = true;
        break;
    case MUX_STREAM_DATA:
        take_data(end, stream, event->data);
        break;
    case MUX_STREAM_FINISHED:
        MUST(!stream->in_done);
        stream->in_done = true;
        break;
    default:
        MUST(event->kind == MUX_STREAM_ENDED);
        MUST(event->status == STATUS_OK
                 ? stream->out_done
                 : status_class(event->status) == STATUS_CLASS_STREAM);
        remove_stream(end, stream, event->status, false);
    }
}

static void take_event(struct end *end, const struct mux_event *event)
{
    MUST(!end->failed);
    if (event->kind != MUX_STREAM_DATA) {
        log_number(end, event->kind);
        log_number(end, event->stream);
        log_number(end, event->status);
    }
    switch (event->kind) {
    case MUX_STREAM_OFFERED:
        MUST(event->stream % 2 != (unsigned)end->config.role % 2);
        MUST(event->user == NULL);
        add(end, event->stream, false);
        break;
    case MUX_PEER_GOING_AWAY:
        MUST(!end->peer_leaves);
        end->peer_leaves = true;
        break;
    case MUX_FAILED:
        MUST(status_class(event->status) == STATUS_CLASS_SESSION);
        remove_all(end, event->status);
        break;
    default:
        take_stream_event(end, event);
    }
}

void end_receive(struct end *end, const uint8_t *bytes, size_t length)
{
    uint8_t *piece = input_copy(bytes, length);
    struct span input = {piece, length};
    struct mux_event event;

    while (mux_receive(end->mux, end->now_ms, &input, &event)) {
        if (event.kind == MUX_STREAM_DATA) {
            MUST(event.data.bytes >= piece &&
                 event.data.bytes + event.data.length <= piece + length);
        }
        take_event(end, &event);
    }
    MUST(input.length == 0);
    free(piece);
    must_agree(end);
}

/* ---- calls --------------------------------------------------------------- */

static void emit(struct end *end, uint32_t capacity)
{
    static uint8_t room[4096];
    size_t most = 32 + capacity % (sizeof room - 32);
    size_t length = mux_emit_control(end->mux, end->now_ms, room, most);

    MUST(length <= most);
    if (length > 0) {
        end->watch.emitted(end->watch.user, room, length);
    }
}

static void send_data(struct end *end, uint32_t length)
{
    static uint8_t room[OUT_MAX];
    struct mux_sender sender;
    struct mux_sender again;

    if (!mux_next_sender(end->mux, &sender)) {
        return;
    }
    MUST(mux_next_sender(end->mux, &again));
    MUST(again.stream == sender.stream && again.quota == sender.quota);
    struct end_stream *stream = find(end, sender.stream);
    MUST(stream != NULL && sender.user == stream && !stream->out_done);
    MUST(sender.quota > 0 && sender.quota <= end->config.frame_payload_max);
    size_t count = length > 0 && length < sender.quota ? length : sender.quota;
    memset(room + WIRE_HEADER_SIZE, 0, count);
    if (end->watch.fill != NULL) {
        end->watch.fill(end->watch.user, stream, room + WIRE_HEADER_SIZE,
                        count);
    }
    stream->sent += count;
    size_t size = mux_emit_data(end->mux, sender.stream, room, count);
    MUST(size == count + WIRE_HEADER_SIZE);
    end->watch.emitted(end->watch.user, room, size);
}

static void open_stream(struct end *end)
{
    uint32_t id = 0;
    struct end_stream *place = find(end, 0);

    if (place == NULL || end->opens_left == 0) {
        return;
    }
    end->opens_left--;
    enum status status = mux_open(end->mux, end->now_ms, place, &id);
    MUST(status == STATUS_OK || status_class(status) == STATUS_CLASS_LIMIT);
    MUST((id != 0) == (status == STATUS_OK));
    if (id != 0) {
        MUST(id % 2 == (unsigned)end->config.role % 2);
        MUST(add(end, id, true) == place);
    }
    log_number(end, (uint64_t)status << 32 | id);
}

static void tick(struct end *end, uint32_t delay_ms)
{
    struct mux_event event;

    end->now_ms += delay_ms % 100000;
    while (mux_tick(end->mux, end->now_ms, &event)) {
        take_event(end, &event);
    }
    MUST(mux_deadline(end->mux) > end->now_ms);
}

static void call_stream(struct end *end, enum call call,
                        struct end_stream *stream, uint32_t length)
{
    bool known = stream->ours || stream->accepted;
    uint64_t held = stream->delivered - stream->consumed;

    if (call == CALL_ACCEPT && !known) {
        stream->accepted = true;
        mux_accept(end->mux, stream->id, stream);
    } else if (call == CALL_RESET) {
        mux_reset(end->mux, stream->id);
        remove_stream(end, stream, STATUS_OK, true);
    } else if (call == CALL_FINISH && known && !stream->out_done) {
        stream->out_done = true;
        if (mux_finish(end->mux, stream->id)) {
            MUST(stream->in_done);
            remove_stream(end, stream, STATUS_OK, true);
        }
    } else if (call == CALL_READY && known && !stream->out_done) {
        mux_ready(end->mux, stream->id, length != 0);
    } else if (call == CALL_CONSUME) {
        size_t count = length < held ? length : (size_t)held;
        stream->consumed += count;
        mux_consume(end->mux, stream->id, count);
    }
}

void end_call(struct end *end, enum call call, uint32_t number, uint32_t length)
{
    struct end_stream *stream = pick(end, number);

    end->log_data = 0;
    switch (call) {
    case CALL_TICK:
        tick(end, length);
        break;
    case CALL_OPEN:
        open_stream(end);
        break;
    case CALL_EMIT:
        emit(end, length);
        break;
    case CALL_SEND:
        send_data(end, length);
        break;
    case CALL_GO_AWAY:
        mux_go_away(end->mux, length != 0);
        break;
    case CALL_FAIL:
        MUST(mux_fail(end->mux, STATUS_TRANSPORT_LOST) != STATUS_OK);
        remove_all(end, STATUS_TRANSPORT_LOST);
        break;
    case CALL_TURN:
        mux_set_turn(end->mux, length > 0 ? length : 1);
        break;
    case CALL_HEARD:
        mux_heard(end->mux, end->now_ms);
        break;
    default:
        if (stream != NULL) {
            call_stream(end, call, stream, length);
        }
    }
    must_agree(end);
}

void end_flush(struct end *end)
{
    for (size_t i = 0; i < 2 * END_STREAMS; i++) {
        struct end_stream *stream = &end->streams[i];
        if (stream->id != 0) {
            call_stream(end, CALL_ACCEPT, stream, 0);
            call_stream(end, CALL_READY, stream, 0);
        }
    }
    for (unsigned left = 4096; mux_wants(end->mux) & MUX_WANTS_OUTPUT; left--) {
        MUST(left > 0);
        emit(end, 4000);
        send_data(end, 0);
    }
    must_agree(end);
}

/* ---- life ---------------------------------------------------------------- */

void end_config(struct mux_config *config, enum mux_role role)
{
    mux_config_default(config, role);
    config->outbound_max = END_STREAMS;
    config->inbound_max = END_STREAMS;
    config->unacked_max = END_STREAMS / 2;
    config->hash_key[0] = 1;
    config->hash_key[1] = 2;
}

void end_start(struct end *end, const struct mux_config *config,
               const struct end_watch *watch)
{
    size_t size = mux_size(config);

    *end = (struct end){.config = *config,
                        .watch = *watch,
                        .now_ms = 1000,
                        .opens_left = OPENS_MAX,
                        .memory = calloc(1, size)};
    MUST(end->memory != NULL);
    end->mux = mux_init(end->memory, size, config, end->now_ms);
    must_agree(end);
}

void end_stop(struct end *end)
{
    free(end->memory);
}

static uint32_t number_at(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 |
           (uint32_t)bytes[2] << 8 | bytes[3];
}

void end_play(const struct end_script *script, struct input input)
{
    while (input.length >= WIRE_HEADER_SIZE) {
        const uint8_t *header = input.bytes;
        uint32_t length = number_at(header + 8);
        size_t count = WIRE_HEADER_SIZE;
        if (header[0] == CALL_VERSION) {
            script->call(script->user, header[1] % CALLS, header[3],
                         number_at(header + 4), length);
            input_take(&input, count);
            continue;
        }
        if (header[0] == 0 && header[1] == WIRE_DATA) {
            size_t left = input.length - count;
            count += length < left ? length : left;
        }
        script->frame(script->user, header, count);
        input_take(&input, count);
    }
    if (input.length > 0) {
        script->frame(script->user, input.bytes, input.length);
    }
}
