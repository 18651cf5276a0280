/* test_ws.c: WebSocket as a byte pipe (L-07, X-01..X-08, RFC 6455). */
#include "core/test/req.h"

#include <string.h>

#include "core/ws.h"

enum opcode { CONTINUATION, TEXT, BINARY, CLOSE = 8, PING, PONG };

static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};

/* ---- a writer of frames, and a reader that records ----------------------- */

struct bytes {
    uint8_t at[600000];
    size_t length;
};

static struct bytes wire;

/* One frame to `to`: masked if that is a server. */
static void frame(struct bytes *out, enum ws_role to, unsigned first,
                  const void *payload, size_t length)
{
    uint8_t *p = out->at + out->length;
    uint8_t masked = to == WS_SERVER ? 0x80 : 0;
    size_t n = 0;

    assert_true(out->length + length + WS_HEADER_MAX <= sizeof out->at);
    p[n++] = (uint8_t)first;
    if (length <= 125) {
        p[n++] = (uint8_t)(masked | length);
    } else if (length <= 0xffff) {
        p[n++] = masked | 126;
        p[n++] = (uint8_t)(length >> 8);
        p[n++] = (uint8_t)length;
    } else {
        p[n++] = masked | 127;
        for (int shift = 56; shift >= 0; shift -= 8) {
            p[n++] = (uint8_t)((uint64_t)length >> shift);
        }
    }
    if (masked != 0) {
        memcpy(p + n, mask, sizeof mask);
        n += sizeof mask;
    }
    for (size_t i = 0; i < length; i++) {
        uint8_t byte = ((const uint8_t *)payload)[i];

        p[n++] = masked != 0 ? byte ^ mask[i % 4] : byte;
    }
    out->length += n;
}

static void text(struct bytes *out, unsigned first, const char *payload)
{
    frame(out, WS_SERVER, first, payload, strlen(payload));
}

/* What a receiver made of its input. */
struct outcome {
    struct bytes data;
    struct bytes control; /* what it sent, in order */
    unsigned closed;      /* WS_CLOSED events */
    uint16_t code;
    const char *reason;
    bool over;
};

static struct bytes scratch;

static void emit(struct ws *ws, struct outcome *outcome)
{
    const uint8_t *key = ws->role == WS_CLIENT ? mask : NULL;

    while (ws_wants_output(ws)) {
        size_t n =
            ws_emit_control(ws, outcome->control.at + outcome->control.length,
                            WS_HEADER_MAX + WS_CONTROL_PAYLOAD_MAX, key);

        assert_true(n > 0);
        outcome->control.length += n;
    }
    outcome->over = ws_is_over(ws);
}

/* Feed length bytes, a copy of them. */
static void feed(struct ws *ws, const uint8_t *bytes, size_t length,
                 struct outcome *outcome)
{
    uint8_t *next = scratch.at;
    struct ws_event event;

    memcpy(scratch.at, bytes, length);
    while (ws_receive(ws, &next, &length, &event)) {
        if (event.kind == WS_CLOSED) {
            outcome->closed++;
            outcome->code = event.code;
            outcome->reason = event.reason;
        } else {
            assert_true(outcome->closed == 0);
            assert_true(event.data.length > 0);
            memcpy(outcome->data.at + outcome->data.length, event.data.bytes,
                   event.data.length);
            outcome->data.length += event.data.length;
        }
    }
    assert_true(length == 0);
}

static void reset(struct outcome *outcome)
{
    outcome->data.length = 0;
    outcome->control.length = 0;
    outcome->closed = 0;
    outcome->code = 0;
    outcome->reason = NULL;
    outcome->over = false;
}

static void check_same(const struct outcome *a, const struct outcome *b)
{
    assert_int_equal(a->data.length, b->data.length);
    assert_memory_equal(a->data.at, b->data.at, a->data.length);
    assert_int_equal(a->control.length, b->control.length);
    assert_memory_equal(a->control.at, b->control.at, a->control.length);
    assert_int_equal(a->closed, b->closed);
    assert_int_equal(a->code, b->code);
    assert_ptr_equal(a->reason, b->reason);
    assert_int_equal(a->over, b->over);
}

/* Feed `wire` whole; then cut at every place, in pieces of every small size,
 * and check that nothing differs. Returns the outcome. */
static const struct outcome *receive(enum ws_role role)
{
    static struct outcome whole;
    static struct outcome cut;
    struct ws ws;

    ws_init(&ws, role);
    reset(&whole);
    feed(&ws, wire.at, wire.length, &whole);
    emit(&ws, &whole);
    for (size_t at = 0; at <= wire.length && wire.length < 1000; at++) {
        ws_init(&ws, role);
        reset(&cut);
        feed(&ws, wire.at, at, &cut);
        feed(&ws, wire.at + at, wire.length - at, &cut);
        emit(&ws, &cut);
        check_same(&whole, &cut);
    }
    for (size_t size = 1; size <= 9; size++) {
        ws_init(&ws, role);
        reset(&cut);
        for (size_t at = 0; at < wire.length; at += size) {
            size_t left = wire.length - at;

            feed(&ws, wire.at + at, left < size ? left : size, &cut);
        }
        emit(&ws, &cut);
        check_same(&whole, &cut);
    }
    return &whole;
}

static void check_text(const struct bytes *bytes, const char *expected)
{
    assert_int_equal(bytes->length, strlen(expected));
    assert_memory_equal(bytes->at, expected, bytes->length);
}

static void check_bytes(const struct bytes *bytes, const void *expected,
                        size_t length)
{
    assert_int_equal(bytes->length, length);
    assert_memory_equal(bytes->at, expected, length);
}

/* ---- data ---------------------------------------------------------------- */

static void messages_are_one_stream_of_bytes(void **state)
{
    (void)state;
    wire.length = 0;
    text(&wire, 0x80 | BINARY, "header");
    text(&wire, 0x80 | BINARY, "-body-");
    text(&wire, 0x80 | TEXT, "text");

    check_text(&receive(WS_SERVER)->data, "header-body-text");
}

static void text_is_taken_as_bytes_whatever_they_are(void **state)
{
    (void)state;
    wire.length = 0;
    text(&wire, 0x80 | TEXT, "\xff\xfe\xc0\x80");

    check_text(&receive(WS_SERVER)->data, "\xff\xfe\xc0\x80");
}

static void a_client_takes_unmasked_frames(void **state)
{
    (void)state;
    wire.length = 0;
    frame(&wire, WS_CLIENT, 0x80 | BINARY, "plain", 5);
    frame(&wire, WS_CLIENT, 0x80 | PING, "p", 1);

    const struct outcome *outcome = receive(WS_CLIENT);
    check_text(&outcome->data, "plain");
    /* the pong is masked: 'p' ^ 0x37 */
    check_bytes(&outcome->control,
                (uint8_t[]){0x8a, 0x81, 0x37, 0xfa, 0x21, 0x3d, 'p' ^ 0x37}, 7);
}

static void fragments_with_pings_between_them(void **state)
{
    (void)state;
    wire.length = 0;
    text(&wire, BINARY, "one ");
    text(&wire, 0x80 | PING, "a");
    text(&wire, CONTINUATION, "two ");
    text(&wire, 0x80 | PONG, "unasked");
    text(&wire, CONTINUATION, "");
    text(&wire, CONTINUATION, "three ");
    text(&wire, 0x80 | CONTINUATION, "four");
    text(&wire, 0x80 | BINARY, ".");

    const struct outcome *outcome = receive(WS_SERVER);
    check_text(&outcome->data, "one two three four.");
    check_bytes(&outcome->control, (uint8_t[]){0x8a, 1, 'a'}, 3);
    assert_int_equal(outcome->closed, 0);
}

static void empty_messages_are_not_the_end(void **state)
{
    (void)state;
    wire.length = 0;
    text(&wire, 0x80 | BINARY, "");
    text(&wire, 0x80 | BINARY, "a");
    text(&wire, BINARY, "");
    text(&wire, 0x80 | CONTINUATION, "");
    text(&wire, 0x80 | BINARY, "b");

    const struct outcome *outcome = receive(WS_SERVER);
    check_text(&outcome->data, "ab");
    assert_int_equal(outcome->closed, 0);
}

/* The lengths around each change of encoding, and one message larger than any
 * reader's limit. */
static void every_length_encoding_is_read(void **state)
{
    static const size_t lengths[] = {1,   124,   125,   126,   127,
                                     128, 65534, 65535, 65536, 500001};
    static uint8_t payload[500001];

    (void)state;
    for (size_t i = 0; i < sizeof payload; i++) {
        payload[i] = (uint8_t)(i * 31 >> 3);
    }
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        wire.length = 0;
        frame(&wire, WS_SERVER, 0x80 | BINARY, payload, lengths[i]);

        const struct outcome *outcome = receive(WS_SERVER);
        check_bytes(&outcome->data, payload, lengths[i]);
        assert_int_equal(outcome->closed, 0);
    }
}

/* Each length to 200 at each alignment, each split: the word-wise path and the
 * rest meet everywhere. */
static void the_mask_phase_survives_any_cut(void **state)
{
    static struct outcome outcome;

    (void)state;
    for (size_t length = 0; length < 200; length++) {
        uint8_t payload[200];

        for (size_t i = 0; i < length; i++) {
            payload[i] = (uint8_t)(i + length);
        }
        wire.length = 0;
        frame(&wire, WS_SERVER, 0x80 | BINARY, payload, length);
        for (size_t at = 0; at <= wire.length; at++) {
            struct ws ws;

            ws_init(&ws, WS_SERVER);
            reset(&outcome);
            feed(&ws, wire.at, at, &outcome);
            feed(&ws, wire.at + at, wire.length - at, &outcome);
            check_bytes(&outcome.data, payload, length);
        }
    }
}

/* ---- control ------------------------------------------------------------- */

static void only_the_newest_ping_is_answered(void **state)
{
    struct ws ws;
    uint8_t *next = wire.at;
    struct ws_event event;
    uint8_t out[WS_HEADER_MAX + WS_CONTROL_PAYLOAD_MAX];

    (void)state;
    wire.length = 0;
    text(&wire, 0x80 | PING, "older");
    text(&wire, 0x80 | PING, "new");
    ws_init(&ws, WS_SERVER);
    assert_false(ws_receive(&ws, &next, &wire.length, &event));

    assert_int_equal(ws_emit_control(&ws, out, 4, NULL), 0); /* no room */
    assert_int_equal(ws_emit_control(&ws, out, 5, NULL), 5);
    assert_memory_equal(out, ((uint8_t[]){0x8a, 3, 'n', 'e', 'w'}), 5);
    assert_false(ws_wants_output(&ws));
    assert_int_equal(ws_emit_control(&ws, out, sizeof out, NULL), 0);
}

static void a_ping_of_125_bytes_is_answered_whole(void **state)
{
    uint8_t payload[125];

    (void)state;
    memset(payload, 'x', sizeof payload);
    wire.length = 0;
    frame(&wire, WS_SERVER, 0x80 | PING, payload, sizeof payload);
    text(&wire, 0x80 | PING, "");

    struct ws ws;
    static struct outcome outcome;
    reset(&outcome);
    ws_init(&ws, WS_SERVER);
    feed(&ws, wire.at, wire.length - 6, &outcome);
    emit(&ws, &outcome);
    feed(&ws, wire.at + wire.length - 6, 6, &outcome);
    emit(&ws, &outcome);
    assert_int_equal(outcome.control.length, 2 + 125 + 2);
    assert_memory_equal(outcome.control.at, ((uint8_t[]){0x8a, 125}), 2);
    assert_memory_equal(outcome.control.at + 2, payload, 125);
    assert_memory_equal(outcome.control.at + 127, ((uint8_t[]){0x8a, 0}), 2);
}

static void a_close_is_echoed_once_and_ends_all(void **state)
{
    (void)state;
    wire.length = 0;
    text(&wire, 0x80 | BINARY, "last");
    text(&wire, 0x80 | PING, "not answered after a close");
    text(&wire, 0x80 | CLOSE,
         "\x03\xe9"
         "bye");
    text(&wire, 0x80 | BINARY, "too late");
    text(&wire, 0x80 | CLOSE, "\x03\xe9");

    struct ws ws;
    static struct outcome outcome;
    reset(&outcome);
    ws_init(&ws, WS_SERVER);
    feed(&ws, wire.at, wire.length, &outcome);
    assert_false(ws_is_over(&ws)); /* not before the echo went out */
    emit(&ws, &outcome);
    check_text(&outcome.data, "last");
    assert_int_equal(outcome.closed, 1);
    assert_int_equal(outcome.code, WS_CLOSE_GOING_AWAY);
    assert_null(outcome.reason);
    check_bytes(&outcome.control, (uint8_t[]){0x88, 2, 0x03, 0xe9}, 4);
    assert_true(outcome.over);
}

static void a_close_without_a_code_is_echoed_without_one(void **state)
{
    (void)state;
    wire.length = 0;
    text(&wire, 0x80 | CLOSE, "");

    const struct outcome *outcome = receive(WS_SERVER);
    assert_int_equal(outcome->closed, 1);
    assert_int_equal(outcome->code, WS_CLOSE_NO_STATUS);
    check_bytes(&outcome->control, (uint8_t[]){0x88, 0}, 2);
    assert_true(outcome->over);

    struct ws ws;
    struct ws_event event;
    uint8_t *next = wire.at;
    uint8_t out[3] = {0, 0, 0xee};

    wire.length = 0;
    text(&wire, 0x80 | CLOSE, "");
    ws_init(&ws, WS_SERVER);
    assert_true(ws_receive(&ws, &next, &wire.length, &event));
    assert_int_equal(ws_emit_control(&ws, out, 2, NULL), 2);
    assert_int_equal(out[2], 0xee);
}

static void our_close_waits_for_the_peers(void **state)
{
    struct ws ws;
    static struct outcome outcome;
    uint8_t out[16];

    (void)state;
    reset(&outcome);
    ws_init(&ws, WS_CLIENT);
    ws_close(&ws, WS_CLOSE_GOING_AWAY);
    ws_close(&ws, WS_CLOSE_NORMAL); /* changes nothing */
    assert_int_equal(ws_emit_control(&ws, out, 7, mask), 0);
    assert_int_equal(ws_emit_control(&ws, out, sizeof out, mask), 8);
    assert_memory_equal(out,
                        ((uint8_t[]){0x88, 0x82, 0x37, 0xfa, 0x21, 0x3d,
                                     0x03 ^ 0x37, 0xe9 ^ 0xfa}),
                        8);
    assert_false(ws_is_over(&ws));
    ws_close(&ws, WS_CLOSE_NORMAL);
    assert_false(ws_wants_output(&ws));

    /* until it answers, the peer may still send; its pings are past caring */
    wire.length = 0;
    frame(&wire, WS_CLIENT, 0x80 | BINARY, "data", 4);
    frame(&wire, WS_CLIENT, 0x80 | PING, "", 0);
    feed(&ws, wire.at, wire.length, &outcome);
    assert_false(ws_wants_output(&ws));
    wire.length = 0;
    frame(&wire, WS_CLIENT, 0x80 | CLOSE, "\x03\xe9", 2);
    feed(&ws, wire.at, wire.length, &outcome);
    emit(&ws, &outcome);
    emit(&ws, &outcome);
    check_text(&outcome.data, "data");
    assert_int_equal(outcome.control.length, 0);
    assert_int_equal(outcome.code, WS_CLOSE_GOING_AWAY);
    assert_true(outcome.over);
}

static void a_pong_goes_before_our_close(void **state)
{
    struct ws ws;
    uint8_t out[200];
    uint8_t *next = wire.at;
    struct ws_event event;

    (void)state;
    wire.length = 0;
    text(&wire, 0x80 | PING, "");
    ws_init(&ws, WS_SERVER);
    assert_false(ws_receive(&ws, &next, &wire.length, &event));
    ws_close(&ws, WS_CLOSE_NORMAL);
    assert_int_equal(ws_emit_control(&ws, out, sizeof out, NULL), 2);
    assert_int_equal(out[0], 0x8a);
    assert_true(ws_wants_output(&ws));
    assert_int_equal(ws_emit_control(&ws, out, 3, NULL), 0); /* no room */
    assert_int_equal(ws_emit_control(&ws, out, 4, NULL), 4);
    assert_int_equal(out[0], 0x88);
}

static void close_codes_that_may_not_be_sent_are_1002(void **state)
{
    static const struct {
        uint16_t code;
        bool good;
    } cases[] = {{0, false},    {999, false},  {1000, true},  {1003, true},
                 {1004, false}, {1005, false}, {1006, false}, {1007, true},
                 {1011, true},  {1014, true},  {1015, false}, {1016, false},
                 {2999, false}, {3000, true},  {4999, true},  {5000, false},
                 {65535, false}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t payload[2] = {(uint8_t)(cases[i].code >> 8),
                              (uint8_t)cases[i].code};
        wire.length = 0;
        frame(&wire, WS_SERVER, 0x80 | CLOSE, payload, sizeof payload);

        const struct outcome *outcome = receive(WS_SERVER);
        assert_int_equal(outcome->closed, 1);
        assert_int_equal(outcome->code, cases[i].good ? cases[i].code : 1002);
        assert_int_equal(outcome->reason == NULL, cases[i].good);
        assert_true(outcome->over);
    }
}

/* ---- the peer breaks the protocol ---------------------------------------- */

/* The raw bytes end the pipe with 1002 and a reason, nothing of them is data,
 * and what follows is swallowed. */
static void check_refused(enum ws_role role, const uint8_t *bytes,
                          size_t length, const char *reason)
{
    wire.length = 0;
    memcpy(wire.at, bytes, length);
    wire.length = length;
    frame(&wire, role, 0x80 | BINARY, "after", 5);

    const struct outcome *outcome = receive(role);
    assert_int_equal(outcome->closed, 1);
    assert_int_equal(outcome->code, WS_CLOSE_PROTOCOL);
    assert_string_equal(outcome->reason, reason);
    assert_int_equal(outcome->data.length, 0);
    assert_true(outcome->over);
    if (role == WS_SERVER) {
        check_bytes(&outcome->control, (uint8_t[]){0x88, 2, 0x03, 0xea}, 4);
    }
}

#define REFUSED(role, reason, ...)                \
    check_refused(role, (uint8_t[]){__VA_ARGS__}, \
                  sizeof((uint8_t[]){__VA_ARGS__}), reason)

static void frames_of_the_wrong_side_are_refused(void **state)
{
    (void)state;
    REFUSED(WS_SERVER, "unmasked frame from a client", 0x82, 0x01, 'x');
    REFUSED(WS_CLIENT, "masked frame from a server", 0x82, 0x81, 1, 2, 3, 4, 5);
}

static void reserved_bits_and_opcodes_are_refused(void **state)
{
    (void)state;
    for (unsigned first = 0; first < 256; first++) {
        unsigned opcode = first & 0x0f;
        bool final = (first & 0x80) != 0;
        const char *reason = NULL;

        if ((first & 0x70) != 0) {
            reason = "reserved bit set, but no extension was negotiated";
        } else if (opcode == CONTINUATION) {
            reason = "continuation without a first fragment";
        } else if ((opcode > BINARY && opcode < CLOSE) || opcode > PONG) {
            reason = "reserved opcode";
        } else if (opcode >= CLOSE && !final) {
            reason = "fragmented control frame";
        }
        if (reason != NULL) {
            REFUSED(WS_SERVER, reason, (uint8_t)first);
        }
    }
}

static void control_frames_above_125_bytes_are_refused(void **state)
{
    (void)state;
    for (unsigned opcode = CLOSE; opcode <= PONG; opcode++) {
        REFUSED(WS_SERVER, "control frame of more than 125 bytes",
                (uint8_t)(0x80 | opcode), 0x80 | 126, 0, 126);
        REFUSED(WS_SERVER, "control frame of more than 125 bytes",
                (uint8_t)(0x80 | opcode), 0x80 | 127);
    }
}

static void a_new_message_inside_a_fragmented_one_is_refused(void **state)
{
    (void)state;
    REFUSED(WS_CLIENT, "new message inside a fragmented one", 0x02, 0, 0x82, 0);
    REFUSED(WS_CLIENT, "new message inside a fragmented one", 0x01, 0, 0x00, 0,
            0x01, 0);
    REFUSED(WS_CLIENT, "continuation without a first fragment", 0x02, 0, 0x80,
            0, 0x80, 0);
}

static void lengths_not_in_shortest_form_are_refused(void **state)
{
    static const char reason[] = "length not in its shortest form";

    (void)state;
    REFUSED(WS_CLIENT, reason, 0x82, 126, 0, 0);
    REFUSED(WS_CLIENT, reason, 0x82, 126, 0, 125);
    REFUSED(WS_CLIENT, reason, 0x82, 127, 0, 0, 0, 0, 0, 0, 0, 1);
    REFUSED(WS_CLIENT, reason, 0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff);
}

static void a_length_with_the_top_bit_is_refused(void **state)
{
    (void)state;
    REFUSED(WS_CLIENT, "length with its top bit set", 0x82, 127, 0x80, 0, 0, 0,
            0, 0, 0, 0);
    REFUSED(WS_SERVER, "length with its top bit set", 0x82, 0xff, 0x80, 0, 0, 0,
            0, 0, 0, 0, 1, 2, 3, 4);
}

static void the_largest_length_is_only_counted(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0x82, 127,  0x7f, 0xff, 0xff, 0xff,
                                    0xff, 0xff, 0xff, 0xff, 'x'};
    memcpy(wire.at, bytes, sizeof bytes);
    wire.length = sizeof bytes;
    const struct outcome *outcome = receive(WS_CLIENT);
    check_text(&outcome->data, "x");
    assert_int_equal(outcome->closed, 0);
}

static void half_a_close_code_is_refused(void **state)
{
    (void)state;
    REFUSED(WS_CLIENT, "close frame with half a code", 0x88, 1, 3);
}

/* Whatever the bytes: no cut changes the outcome (fixed seed). */
static void random_bytes_give_the_same_however_cut(void **state)
{
    uint64_t seed = 1;

    (void)state;
    for (unsigned round = 0; round < 300; round++) {
        wire.length = 0;
        for (unsigned i = 0; i < 12; i++) {
            static const unsigned firsts[] = {0x82, 0x02, 0x80, 0x00, 0x89,
                                              0x8a, 0x81, 0x88, 0xc2};
            uint8_t payload[40] = {3, 0xe8};

            seed = seed * 6364136223846793005u + 1442695040888963407u;
            frame(&wire, WS_SERVER, firsts[(seed >> 33) % 9 % (round % 9 + 1)],
                  payload, (size_t)(seed >> 40) % sizeof payload);
        }
        (void)receive(WS_SERVER);
    }
}

/* ---- frames out ---------------------------------------------------------- */

/* What one side wraps, the other unwraps, at every length encoding. */
static void wrapped_frames_come_out_the_other_end(void **state)
{
    static const size_t lengths[] = {0,   1,     125,   126,   127,
                                     128, 65534, 65535, 65536, 200000};
    static uint8_t buffer[WS_HEADER_MAX + 200000];
    static struct outcome outcome;

    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        for (int role = WS_CLIENT; role <= WS_SERVER; role++) {
            struct ws from;
            struct ws to;
            uint8_t *payload = buffer + WS_HEADER_MAX;
            size_t header;

            for (size_t at = 0; at < lengths[i]; at++) {
                payload[at] = (uint8_t)(at * 7);
            }
            ws_init(&from, (enum ws_role)role);
            ws_init(&to, role == WS_CLIENT ? WS_SERVER : WS_CLIENT);
            header = ws_wrap(&from, payload, lengths[i],
                             role == WS_CLIENT ? mask : NULL);
            assert_true(header <= WS_HEADER_MAX);

            reset(&outcome);
            feed(&to, payload - header, header + lengths[i], &outcome);
            assert_int_equal(outcome.closed, 0);
            assert_int_equal(outcome.data.length, lengths[i]);
            for (size_t at = 0; at < lengths[i]; at++) {
                assert_true(outcome.data.at[at] == (uint8_t)(at * 7));
            }
        }
    }
}

static void a_client_frame_carries_its_mask(void **state)
{
    uint8_t buffer[WS_HEADER_MAX + 5];
    struct ws ws;

    (void)state;
    memcpy(buffer + WS_HEADER_MAX, "Hello", 5);
    ws_init(&ws, WS_CLIENT);
    assert_int_equal(ws_wrap(&ws, buffer + WS_HEADER_MAX, 5, mask), 6);
    /* RFC 6455 5.7, but for the opcode */
    assert_memory_equal(buffer + WS_HEADER_MAX - 6,
                        ((uint8_t[]){0x82, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f,
                                     0x9f, 0x4d, 0x51, 0x58}),
                        11);
}

#ifndef CONTRACTS_OFF
static void the_contract_is_checked(void **state)
{
    struct ws ws;
    uint8_t buffer[64];

    (void)state;
    expect_assert_failure(ws_init(&ws, (enum ws_role)7));
    ws_init(&ws, WS_CLIENT);
    expect_assert_failure(ws_wrap(&ws, buffer + 20, 1, NULL));
    expect_assert_failure(ws_close(&ws, 1006));
    ws_init(&ws, WS_SERVER);
    expect_assert_failure(ws_wrap(&ws, buffer + 20, 1, mask));
    ws_close(&ws, WS_CLOSE_NORMAL);
    (void)ws_emit_control(&ws, buffer, sizeof buffer, NULL);
    expect_assert_failure(ws_wrap(&ws, buffer + 20, 1, NULL));
}
#endif

static const struct CMUnitTest tests[] = {
    REQ("L-07,X-01,X-02", messages_are_one_stream_of_bytes),
    REQ("L-07,X-05", text_is_taken_as_bytes_whatever_they_are),
    REQ("L-07", a_client_takes_unmasked_frames),
    REQ("L-07,X-03", fragments_with_pings_between_them),
    REQ("L-07,X-04", empty_messages_are_not_the_end),
    REQ("L-07,X-07", every_length_encoding_is_read),
    REQ("L-07", the_mask_phase_survives_any_cut),
    REQ("Y-05", only_the_newest_ping_is_answered),
    REQ("Y-05", a_ping_of_125_bytes_is_answered_whole),
    REQ("X-06", a_close_is_echoed_once_and_ends_all),
    REQ("X-06", a_close_without_a_code_is_echoed_without_one),
    REQ("X-06", our_close_waits_for_the_peers),
    REQ("X-06", a_pong_goes_before_our_close),
    REQ("X-08", close_codes_that_may_not_be_sent_are_1002),
    REQ("X-08", frames_of_the_wrong_side_are_refused),
    REQ("X-08", reserved_bits_and_opcodes_are_refused),
    REQ("X-08", control_frames_above_125_bytes_are_refused),
    REQ("X-08", a_new_message_inside_a_fragmented_one_is_refused),
    REQ("X-08", lengths_not_in_shortest_form_are_refused),
    REQ("X-08", a_length_with_the_top_bit_is_refused),
    REQ("L-02", the_largest_length_is_only_counted),
    REQ("X-08", half_a_close_code_is_refused),
    REQ("L-07", random_bytes_give_the_same_however_cut),
    REQ("L-07", wrapped_frames_come_out_the_other_end),
    REQ("L-07", a_client_frame_carries_its_mask),
#ifndef CONTRACTS_OFF
    REQ("L-07", the_contract_is_checked),
#endif
};
RUN(tests)
