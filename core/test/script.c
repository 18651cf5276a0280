#include "core/test/script.h"

#include <stdlib.h>
#include <string.h>

#define FRAME_MAX (WIRE_HEADER_SIZE + 262144u)

static void *grow(void *memory, size_t *room, size_t need, size_t each)
{
    if (need <= *room) {
        return memory;
    }
    *room = need * 2;
    memory = realloc(memory, *room * each);
    assert_non_null(memory);
    return memory;
}

void script_config(struct mux_config *config, enum mux_role role)
{
    mux_config_default(config, role);
    config->ping_interval_ms = 0;
    config->hash_key[0] = 1;
    config->hash_key[1] = 2;
}

void script_start(struct script *s, const struct mux_config *config)
{
    struct mux_config server;

    script_config(&server, MUX_SERVER);
    config = config == NULL ? &server : config;
    *s = (struct script){.now_ms = 1000, .capacity = 4096};
    s->memory_size = mux_size(config);
    s->memory = calloc(1, s->memory_size);
    assert_non_null(s->memory);
    s->mux = mux_init(s->memory, s->memory_size, config, s->now_ms);
}

void script_forget(struct script *s)
{
    free(s->memory);
    free(s->events);
    free(s->received);
    free(s->out);
}

void script_end(struct script *s)
{
    script_expect_no_event(s);
    script_expect_silence(s);
    script_forget(s);
}

/* ---- events -------------------------------------------------------------- */

static void keep(struct script *s, const struct mux_event *event)
{
    const struct span *data = &event->data;

    s->received = grow(s->received, &s->received_room,
                       s->received_length + data->length, 1);
    if (data->length > 0) {
        memcpy(s->received + s->received_length, data->bytes, data->length);
    }
    s->received_length += data->length;

    struct script_event *last = s->event_count > s->events_taken
                                    ? &s->events[s->event_count - 1]
                                    : NULL;
    if (event->kind == MUX_STREAM_DATA && last != NULL &&
        last->event.kind == MUX_STREAM_DATA &&
        last->event.stream == event->stream) {
        last->event.data.length += data->length;
        return;
    }
    s->events =
        grow(s->events, &s->event_room, s->event_count + 1, sizeof *s->events);
    s->events[s->event_count].event = *event;
    s->events[s->event_count].data_at = s->received_length - data->length;
    s->event_count++;
}

void script_send_bytes(struct script *s, const void *bytes, size_t length)
{
    const uint8_t *next = bytes;
    size_t cut = s->cut > 0 ? s->cut : length;
    struct mux_event event;

    while (length > 0) {
        size_t piece = cut < length ? cut : length;
        struct span input = {next, piece};
        while (mux_receive(s->mux, s->now_ms, &input, &event)) {
            keep(s, &event);
        }
        assert_int_equal(input.length, 0);
        next += piece;
        length -= piece;
    }
}

void script_send(struct script *s, enum wire_type type, unsigned flags,
                 uint32_t stream, uint32_t length)
{
    const struct wire_header header = {.type = (uint8_t)type,
                                       .flags = (uint16_t)flags,
                                       .stream = stream,
                                       .length = length};
    uint8_t bytes[WIRE_HEADER_SIZE];

    wire_encode(bytes, &header);
    script_send_bytes(s, bytes, sizeof bytes);
}

void script_send_data(struct script *s, unsigned flags, uint32_t stream,
                      const void *bytes, uint32_t length)
{
    script_send(s, WIRE_DATA, flags, stream, length);
    script_send_bytes(s, bytes, length);
}

void script_send_zeros(struct script *s, uint32_t stream, uint32_t length)
{
    uint8_t *zeros = calloc(1, length);

    assert_non_null(zeros);
    script_send_data(s, 0, stream, zeros, length);
    free(zeros);
}

void script_wait(struct script *s, uint64_t delay_ms)
{
    struct mux_event event;

    s->now_ms += delay_ms;
    while (mux_tick(s->mux, s->now_ms, &event)) {
        keep(s, &event);
    }
    assert_true(mux_deadline(s->mux) > s->now_ms);
}

static const struct script_event *next_event(struct script *s)
{
    if (s->events_taken == s->event_count) {
        fail_msg("an event was expected, none came");
    }
    return &s->events[s->events_taken++];
}

void script_expect_event(struct script *s, enum mux_event_kind kind,
                         uint32_t stream, enum status status)
{
    const struct mux_event *event = &next_event(s)->event;

    assert_int_equal(event->kind, kind);
    assert_int_equal(event->stream, stream);
    assert_string_equal(status_name(event->status), status_name(status));
    assert_int_equal(event->data.length, 0);
}

void script_expect_bytes(struct script *s, uint32_t stream, size_t length)
{
    const struct mux_event *event = &next_event(s)->event;

    assert_int_equal(event->kind, MUX_STREAM_DATA);
    assert_int_equal(event->stream, stream);
    assert_int_equal(event->status, STATUS_OK);
    assert_int_equal(event->data.length, length);
}

void script_expect_data(struct script *s, uint32_t stream, const void *bytes,
                        size_t length)
{
    script_expect_bytes(s, stream, length);
    assert_memory_equal(s->received + s->events[s->events_taken - 1].data_at,
                        bytes, length);
}

void script_expect_no_event(struct script *s)
{
    if (s->events_taken < s->event_count) {
        const struct mux_event *event = &s->events[s->events_taken].event;
        fail_msg("unexpected event: kind %d, stream %u, %s", (int)event->kind,
                 event->stream, status_name(event->status));
    }
}

/* ---- output -------------------------------------------------------------- */

void script_flush(struct script *s)
{
    size_t length = 1;

    while (length > 0) {
        unsigned wants = mux_wants(s->mux);
        s->out = grow(s->out, &s->out_room, s->out_length + s->capacity, 1);
        length = mux_emit_control(s->mux, s->now_ms, s->out + s->out_length,
                                  s->capacity);
        s->out_length += length;
        assert_true(length == 0 || (wants & MUX_WANTS_OUTPUT) != 0);
    }
}

uint32_t script_open(struct script *s)
{
    uint32_t stream = 0;

    assert_int_equal(mux_open(s->mux, s->now_ms, NULL, &stream), STATUS_OK);
    return stream;
}

void script_write(struct script *s, uint32_t stream, const void *bytes,
                  size_t length)
{
    struct mux_sender sender;

    script_flush(s);
    assert_true(mux_next_sender(s->mux, &sender));
    assert_int_equal(sender.stream, stream);
    assert_true(length <= sender.quota);
    s->out = grow(s->out, &s->out_room, s->out_length + FRAME_MAX, 1);
    memcpy(s->out + s->out_length + WIRE_HEADER_SIZE, bytes, length);
    s->out_length +=
        mux_emit_data(s->mux, stream, s->out + s->out_length, length);
}

size_t script_write_all(struct script *s, uint32_t stream)
{
    static const uint8_t zeros[262144];
    struct mux_sender sender;
    size_t written = 0;

    script_flush(s);
    while (mux_next_sender(s->mux, &sender)) {
        assert_int_equal(sender.stream, stream);
        script_write(s, stream, zeros, sender.quota);
        written += sender.quota;
    }
    s->out_length = s->out_taken; /* nobody looks at each frame */
    return written;
}

void script_expect(struct script *s, enum wire_type type, unsigned flags,
                   uint32_t stream, uint32_t length)
{
    struct wire_header header;

    script_flush(s);
    if (s->out_length - s->out_taken < WIRE_HEADER_SIZE) {
        fail_msg("a frame was expected, none was emitted");
    }
    assert_int_equal(wire_decode(&header, s->out + s->out_taken), STATUS_OK);
    s->out_taken += WIRE_HEADER_SIZE;
    assert_int_equal(header.type, type);
    assert_int_equal(header.flags, flags);
    assert_int_equal(header.stream, stream);
    assert_int_equal(header.length, length);
}

void script_expect_payload(struct script *s, const void *bytes, size_t length)
{
    assert_true(s->out_length - s->out_taken >= length);
    assert_memory_equal(s->out + s->out_taken, bytes, length);
    s->out_taken += length;
}

void script_expect_silence(struct script *s)
{
    struct mux_sender sender;

    script_flush(s);
    if (s->out_taken < s->out_length) {
        const uint8_t *at = s->out + s->out_taken;
        fail_msg("unexpected output: type %d, flags %d, stream %d", at[1],
                 at[3], at[7]);
    }
    assert_false(mux_next_sender(s->mux, &sender));
    assert_int_equal(mux_wants(s->mux) & MUX_WANTS_OUTPUT, 0);
}

void script_expect_failure(struct script *s, enum status status)
{
    script_expect_event(s, MUX_FAILED, 0, status);
    assert_string_equal(status_name(mux_status(s->mux)), status_name(status));
    if (status_go_away(status) != 0) {
        assert_int_equal(mux_wants(s->mux), MUX_WANTS_OUTPUT);
        script_expect(s, WIRE_GO_AWAY, 0, 0, status_go_away(status));
    }
    script_expect_silence(s);
    assert_int_equal(mux_wants(s->mux), MUX_IS_OVER);
}

void script_expect_alive(struct script *s)
{
    script_send(s, WIRE_PING, WIRE_SYN, 0, 0xfeedbeef);
    script_expect(s, WIRE_PING, WIRE_ACK, 0, 0xfeedbeef);
}

void script_accept(struct script *s, uint32_t stream)
{
    script_send(s, WIRE_WINDOW_UPDATE, WIRE_SYN, stream, 0);
    script_expect_event(s, MUX_STREAM_OFFERED, stream, STATUS_OK);
    mux_accept(s->mux, stream, NULL);
    script_expect(s, WIRE_WINDOW_UPDATE, WIRE_ACK, stream, 0);
}

uint32_t script_establish(struct script *s)
{
    uint32_t stream = script_open(s);

    script_expect(s, WIRE_WINDOW_UPDATE, WIRE_SYN, stream, 0);
    script_send(s, WIRE_WINDOW_UPDATE, WIRE_ACK, stream, 0);
    script_expect_event(s, MUX_STREAM_ACCEPTED, stream, STATUS_OK);
    return stream;
}
