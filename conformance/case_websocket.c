#include <stdlib.h>
#include <string.h>

#include "conformance/session_internal.h"

enum { FIN = 0x80, RSV1 = 0x40, CONTINUATION = 0, TEXT = 1, BINARY = 2 };
enum { CLOSE = 8, PING = 9 };

static void frame(struct session *session, unsigned first, const void *bytes,
                  size_t length)
{
    struct session_bytes shaped = {0};
    if (session_is_shaped(session) && (first & 15) < CLOSE) {
        session_shape(session, bytes, length, &shaped);
        bytes = shaped.bytes;
        length = shaped.length;
    }
    channel_frame(session->channel, (uint8_t)first,
                  channel_is_websocket_client(session->channel), bytes, length);
    free(shaped.bytes);
}

/* Data SYN with text, as bytes. */
static size_t hello(uint8_t *bytes, uint32_t stream, const char *text)
{
    wire_encode(bytes, (struct wire_frame){.flags = WIRE_SYN,
                                           .stream = stream,
                                           .length = (uint32_t)strlen(text)});
    memcpy(bytes + WIRE_HEADER, text, strlen(text));
    return WIRE_HEADER + strlen(text);
}

static void header_then_body(struct session *session)
{
    uint8_t bytes[64];
    uint32_t stream = session_id(session, 1);
    size_t length = hello(bytes, stream, "hello");
    frame(session, FIN | BINARY, bytes, WIRE_HEADER);
    frame(session, FIN | BINARY, bytes + WIRE_HEADER, length - WIRE_HEADER);
    session_expect_text(session, stream, 0, "hello");
}

static void any_messages(struct session *session)
{
    enum { LENGTH = 41 };
    for (unsigned cut = 0; cut <= LENGTH; cut++) { /* 0: each byte alone */
        uint8_t bytes[LENGTH];
        uint32_t stream = session_id(session, cut + 1);
        size_t at = hello(bytes, stream, "hello");
        wire_encode(bytes + at, (struct wire_frame){.type = WIRE_UPDATE,
                                                    .flags = WIRE_FIN,
                                                    .stream = stream});
        wire_encode(bytes + at + WIRE_HEADER,
                    (struct wire_frame){
                        .type = WIRE_PING, .flags = WIRE_SYN, .length = cut});
        for (unsigned i = 0; i < LENGTH && cut == 0; i++) {
            frame(session, FIN | BINARY, bytes + i, 1);
        }
        if (cut > 0) {
            frame(session, FIN | BINARY, bytes, cut);
        }
        if (cut > 0 && cut < LENGTH) {
            frame(session, FIN | BINARY, bytes + cut, LENGTH - cut);
        }
        session_expect_text(session, stream, 0, "hello");
        session_expect_fin(session, stream);
        if (session_wait_pongs(session, cut + 1) != SESSION_GOT) {
            spec_fail(session, "no pong when the messages are cut at %u", cut);
        }
    }
}

static bool has_pong(struct session *session, void *context)
{
    (void)context;
    return channel_seen(session->channel).pongs > 0;
}

static void fragments(struct session *session)
{
    uint8_t bytes[64];
    uint32_t stream = session_id(session, 1);
    size_t length = hello(bytes, stream, "hello, fragments");
    frame(session, BINARY, bytes, 5);
    frame(session, CONTINUATION, bytes + 5, 5);
    frame(session, FIN | PING, "ping", 4);
    frame(session, CONTINUATION, bytes + 10, 5);
    frame(session, CONTINUATION, bytes + 15, 0);
    frame(session, FIN | CONTINUATION, bytes + 15, length - 15);
    session_expect_text(session, stream, 0, "hello, fragments");
    session_wait(session, session->timeout_ms, has_pong, NULL);
    struct channel_seen seen = channel_seen(session->channel);
    if (seen.pongs != 1 || seen.pong_length != 4 ||
        memcmp(seen.pong, "ping", 4) != 0) {
        spec_fail(session, "the WebSocket ping between two fragments has no "
                           "pong with its payload");
    }
}

static void empty_messages(struct session *session)
{
    uint8_t bytes[64];
    uint32_t stream = session_id(session, 1);
    size_t length = hello(bytes, stream, "hello");
    frame(session, FIN | BINARY, NULL, 0);
    frame(session, FIN | BINARY, bytes, WIRE_HEADER);
    frame(session, FIN | BINARY, NULL, 0);
    frame(session, FIN | BINARY, bytes + WIRE_HEADER, length - WIRE_HEADER);
    frame(session, FIN | BINARY, NULL, 0);
    session_expect_text(session, stream, 0, "hello");
    session_expect_alive(session);
}

static void text_message(struct session *session)
{
    uint8_t header[WIRE_HEADER];
    wire_encode(header, (struct wire_frame){
                            .type = WIRE_PING, .flags = WIRE_SYN, .length = 9});
    frame(session, FIN | TEXT, header, sizeof header);
    session_settle(session);
    bool taken = session->pongs > 0;
    if (!session->closed && session_judge_choice(session) != SESSION_DEAD) {
        spec_choice(session, "text-message", taken ? "accepted" : "ignored");
        if (!taken) {
            spec_warn(session, "a text message is lost without an error");
        }
        return;
    }
    unsigned code = channel_seen(session->channel).close_code;
    spec_choice(session, "text-message", "closed %u", code);
    if (code != 1003) {
        spec_warn(session,
                  "a text message is refused with code %u instead "
                  "of 1003",
                  code);
    }
}

/* ---- ends ---- */

/* Reads to the very end of the connection, below WebSocket. */
static bool transport_ends(struct session *session)
{
    uint8_t bytes[4096];
    size_t moved;
    uint64_t deadline = session_now_ms() + session->timeout_ms;
    bool told = false; /* the close frame is told as CLOSED once */
    for (;;) {
        enum channel_state state =
            channel_read(session->channel, bytes, sizeof bytes, &moved);
        if (state == CHANNEL_BROKEN || (state == CHANNEL_CLOSED && told)) {
            return true;
        }
        told = told || state == CHANNEL_CLOSED || session->closed;
        uint64_t now = session_now_ms();
        if (now >= deadline) {
            return false;
        }
        if (state == CHANNEL_AGAIN) {
            channel_wait(session->channel, true, false,
                         (unsigned)(deadline - now));
        }
    }
}

static void expect_close_answered(struct session *session, const char *when)
{
    static const uint8_t normal[] = {1000 >> 8, 1000 & 255};
    frame(session, FIN | CLOSE, normal, sizeof normal);
    if (session_wait_closed(session, session->timeout_ms) != SESSION_CLOSED) {
        spec_hung(session, "%s: a WebSocket close is not answered", when);
    }
    unsigned closes = channel_seen(session->channel).closes;
    if (closes == 0) {
        spec_fail(session, "%s: the connection is %s without a close frame",
                  when, session_ending(session));
    }
    if (!channel_is_websocket_client(session->channel)) {
        return; /* it is ours to end the transport */
    }
    if (!transport_ends(session)) {
        spec_fail(session, "%s: the connection stays open after the close",
                  when);
    }
    closes = channel_seen(session->channel).closes;
    if (closes != 1) {
        spec_fail(session, "%s: %u close frames for one", when, closes);
    }
}

static void closes(struct session *session)
{
    session_expect_echo(session, 1, "a");
    expect_close_answered(session, "with a stream open");
    session_reconnect(session);
    session_expect_echo(session, 1, "a");
    frame(session, FIN | BINARY, "\0\1\0", 3);
    expect_close_answered(session, "inside a yamux header");
    session_reconnect(session);
    session_expect_echo(session, 1, "a");
    channel_shut(session->channel);
    if (session_wait_closed(session, session->timeout_ms) != SESSION_CLOSED) {
        spec_hung(session, "the end of the connection without a WebSocket "
                           "close is not answered");
    }
    session_reconnect(session);
    session_expect_alive(session);
}

/* Streams of one window each, in one message. */
static void one_message(struct session *session, uint32_t streams,
                        const char *key)
{
    enum { PIECE = 16384 };
    uint32_t window = session_window(session);
    size_t each = WIRE_HEADER + WIRE_WINDOW + 16 * WIRE_HEADER;
    uint8_t *bytes = calloc(streams, each);
    size_t length = 0;
    if (!bytes) {
        abort();
    }
    for (uint32_t i = 1; i <= streams; i++) {
        struct wire_frame head = {.type = WIRE_UPDATE,
                                  .flags = WIRE_SYN,
                                  .stream = session_id(session, i)};
        session_stream(session, head.stream)->grants = true;
        wire_encode(bytes + length, head);
        length += WIRE_HEADER;
        for (uint32_t at = 0; at < window; at += PIECE) {
            uint32_t piece = window - at < PIECE ? window - at : PIECE;
            wire_encode(
                bytes + length,
                (struct wire_frame){.stream = head.stream, .length = piece});
            session_pattern(bytes + length + WIRE_HEADER, piece, at);
            length += WIRE_HEADER + piece;
        }
    }
    frame(session, FIN | BINARY, bytes, length);
    free(bytes);
    for (uint32_t i = 1; i <= streams; i++) {
        uint32_t id = session_id(session, i);
        enum session_wait got = session_wait_data(session, id, window);
        unsigned code = channel_seen(session->channel).close_code;
        if (got == SESSION_CLOSED && code == 1009) {
            spec_choice(session, key, "closed 1009");
            return;
        }
        if (got == SESSION_CLOSED) {
            spec_fail(session,
                      "a message of %zu bytes: the connection is "
                      "%s with code %u instead of 1009",
                      length, session_ending(session), code);
        }
        session_expect_pattern(session, id, window);
    }
    spec_choice(session, key, "accepted");
}

static void long_messages(struct session *session)
{
    one_message(session, 4, "message-1-MiB");
    session_reconnect(session);
    one_message(session, 64, "message-16-MiB");
}

static void expect_failed(struct session *session, const char *what)
{
    if (session_wait_closed(session, session->timeout_ms) != SESSION_CLOSED) {
        session_judge_choice(session);
        spec_fail(session, "%s: the connection goes on", what);
    }
    unsigned code = channel_seen(session->channel).close_code;
    if (code != 0 && code != 1002) {
        spec_warn(session, "%s: closed with %u instead of 1002", what, code);
    }
    session_reconnect(session);
}

static void broken_frames(struct session *session)
{
    uint8_t ping[WIRE_HEADER];
    static uint8_t zeros[126];
    bool client = channel_is_websocket_client(session->channel);
    wire_encode(ping, (struct wire_frame){
                          .type = WIRE_PING, .flags = WIRE_SYN, .length = 9});
    channel_frame(session->channel, FIN | BINARY, !client, ping, sizeof ping);
    expect_failed(session, client ? "an unmasked frame of a client"
                                  : "a masked frame of a server");
    frame(session, FIN | RSV1 | BINARY, ping, sizeof ping);
    expect_failed(session, "RSV1");
    frame(session, FIN | 3, ping, sizeof ping);
    expect_failed(session, "opcode 3");
    frame(session, FIN | PING, zeros, sizeof zeros);
    expect_failed(session, "a ping of 126 bytes");
    frame(session, PING, zeros, 4);
    expect_failed(session, "a ping in fragments");
    session_expect_alive(session);
}

const struct spec_case case_websocket[] = {
    {"X-01", "a header in one message and its body in the next are one frame",
     "two binary messages", "RFC 6455 5.4; hashicorp writes so", SPEC_ECHO,
     SPEC_MUST, SPEC_WEBSOCKET, 0, header_then_body},
    {"X-02", "message boundaries mean nothing",
     "41 bytes as one message, as 41, and cut at each place", "RFC 6455 5.4",
     SPEC_ECHO, SPEC_MUST, SPEC_WEBSOCKET, 0, any_messages},
    {"X-03", "fragments are one message; a ping between them is answered",
     "5 fragments, one of them empty, and a WebSocket ping",
     "RFC 6455 5.4, 5.5.2", SPEC_ECHO, SPEC_MUST, SPEC_WEBSOCKET, 0, fragments},
    {"X-04", "an empty message is no end",
     "empty binary messages before, inside and after a frame", "RFC 6455 5.6",
     SPEC_ECHO, SPEC_MUST, SPEC_WEBSOCKET, 0, empty_messages},
    {"X-05", "a text message: taken as bytes, or refused with 1003",
     "a yamux ping in a text message", "RFC 6455 5.6, 7.4.1", SPEC_ANY,
     SPEC_SHOULD, SPEC_WEBSOCKET, 0, text_message},
    {"X-06", "a close is answered once; any end of the transport ends all",
     "close 1000 with a stream open; in a header; end without close",
     "RFC 6455 5.5.1, 7.1", SPEC_ECHO, SPEC_MUST, SPEC_WEBSOCKET, 0, closes},
    {"X-07", "messages of 1 and 16 MiB are taken, or refused with 1009",
     "valid yamux: 4 and 64 streams of 256 KiB, one message each",
     "RFC 6455 7.4.1", SPEC_ECHO, SPEC_MUST, SPEC_WEBSOCKET, 60000,
     long_messages},
    {"X-08", "broken WebSocket frames fail the connection",
     "wrong masking; RSV1; opcode 3; ping of 126 bytes; fragmented ping",
     "RFC 6455 5.1, 5.2, 5.5", SPEC_ANY, SPEC_MUST, SPEC_WEBSOCKET, 60000,
     broken_frames},
    {0}};
