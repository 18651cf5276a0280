#include <stdlib.h>
#include <string.h>

#include "conformance/traffic.h"

#define EXCHANGE 41u /* bytes: Data SYN "hello", WU FIN, Ping 9 */
#define BATCHES 20u
#define BATCH 50u /* streams at once: below every known accept backlog */

static void quiet_at_first(struct session *session)
{
    session_listen(session, 2000);
    if (session->closed) {
        spec_fail(session, "the connection is %s, although nothing was sent",
                  session_ending(session));
    }
    if (session->frames != session->pings) {
        spec_fail(session, "%llu frames came that are no ping",
                  (unsigned long long)(session->frames - session->pings));
    }
    if (session->pings &&
        (session->ping.flags != WIRE_SYN || session->ping.stream != 0)) {
        spec_fail(session, "a ping came with flags %u on stream %u",
                  session->ping.flags, session->ping.stream);
    }
    spec_choice(session, "early-ping", session->pings ? "yes" : "no");
}

/* ---- one exchange, cut in many ways ---- */

static void exchange(uint8_t bytes[EXCHANGE], uint32_t stream)
{
    wire_encode(bytes, (struct wire_frame){
                           .flags = WIRE_SYN, .stream = stream, .length = 5});
    memcpy(bytes + 12, "hello", 5);
    wire_encode(bytes + 17, (struct wire_frame){.type = WIRE_UPDATE,
                                                .flags = WIRE_FIN,
                                                .stream = stream});
    wire_encode(
        bytes + 29,
        (struct wire_frame){.type = WIRE_PING, .flags = WIRE_SYN, .length = 9});
}

static void expect_exchange(struct session *session, uint32_t stream,
                            unsigned pongs)
{
    session_expect_text(session, stream, 0, "hello");
    session_expect_fin(session, stream);
    if (session_wait_pongs(session, pongs) != SESSION_GOT ||
        session->pong.length != 9) {
        spec_fail(session, "ping 9 is not answered");
    }
    if (session_stream(session, stream)->received != 5) {
        spec_fail(session, "more came back than the 5 bytes that were sent");
    }
}

static void one_byte_a_write(struct session *session)
{
    uint8_t bytes[EXCHANGE];
    uint32_t stream = session_id(session, 1);
    exchange(bytes, stream);
    for (unsigned i = 0; i < EXCHANGE; i++) {
        session_write(session, bytes + i, 1);
        session_sleep(session, 1);
    }
    expect_exchange(session, stream, 1);
    if (session_stream(session, stream)->acks == 0) {
        spec_fail(session, "stream %u was served but never acknowledged",
                  stream);
    }
}

static void one_write(struct session *session)
{
    uint8_t bytes[EXCHANGE];
    exchange(bytes, session_id(session, 1));
    session_write(session, bytes, sizeof bytes);
    expect_exchange(session, session_id(session, 1), 1);
}

static void cut_in_two(struct session *session)
{
    for (unsigned cut = 1; cut < EXCHANGE; cut++) {
        uint8_t bytes[EXCHANGE];
        exchange(bytes, session_id(session, cut));
        session_write(session, bytes, cut);
        session_sleep(session, 20);
        session_write(session, bytes + cut, EXCHANGE - cut);
        expect_exchange(session, session_id(session, cut), cut);
    }
}

static void pause_in_a_body(struct session *session)
{
    uint32_t stream = session_id(session, 1);
    session_open(session, stream);
    session_send(session, WIRE_DATA, 0, stream, 10);
    session_write(session, "0123", 4);
    session_listen(session, 500);
    session_write(session, "456789", 6);
    session_expect_text(session, stream, 0, "0123456789");
}

static void end_in_a_header(struct session *session)
{
    session_open(session, session_id(session, 1));
    session_write(session, "\0\0\0", 3);
    channel_shut(session->channel);
    if (session_wait_closed(session, session->timeout_ms) != SESSION_CLOSED) {
        spec_hung(session,
                  "our end of the connection was not answered by "
                  "theirs within %u ms",
                  session->timeout_ms);
    }
    session_reconnect(session);
    session_expect_alive(session);
}

static void end_in_a_body(struct session *session)
{
    uint8_t half[50] = {0};
    const char *label = session_label(session);
    uint32_t stream = session_command(session, "watch %s 0", label);
    traffic_wait(session, stream);
    session_send(session, WIRE_DATA, 0, stream, 100);
    session_write(session, half, sizeof half);
    session_reconnect(session);
    struct session_report report = session_ask_report(session, label);
    if (strcmp(report.end, "eof") == 0) {
        spec_fail(session,
                  "the connection ended in a body; the application was told "
                  "a clean end after %llu bytes",
                  (unsigned long long)report.bytes);
    }
    if (strcmp(report.end, "lost") != 0 && strcmp(report.end, "reset") != 0 &&
        strcmp(report.end, "error") != 0) {
        spec_fail(session, "the application was told nothing: \"%s\"",
                  report.end);
    }
}

/* ---- what is no yamux ---- */

static void expect_refused(struct session *session, struct wire_frame frame)
{
    session_send_frame(session, frame);
    session_expect_dead(session);
    if (session->pongs) {
        spec_fail(session, "the frame was answered");
    }
}

static void other_version(struct session *session)
{
    expect_refused(session, (struct wire_frame){.version = 1,
                                                .type = WIRE_PING,
                                                .flags = WIRE_SYN,
                                                .length = 9});
}

static void all_ones(struct session *session)
{
    expect_refused(
        session, (struct wire_frame){255, 255, 65535, UINT32_MAX, UINT32_MAX});
}

static void type_four(struct session *session)
{
    expect_refused(session,
                   (struct wire_frame){.type = 4,
                                       .flags = WIRE_SYN,
                                       .stream = session_id(session, 1)});
}

static void type_255(struct session *session)
{
    expect_refused(session, (struct wire_frame){.type = 255});
}

static void unknown_flags(struct session *session)
{
    uint32_t stream = session_id(session, 1);
    session_send(session, WIRE_UPDATE, 0x8010 | WIRE_SYN, stream, 0);
    session_data(session, 0, stream, "x", 1); /* an ACK may wait for it */
    if (session_judge_choice(session) == SESSION_DEAD || session->goaways) {
        spec_choice(session, "unknown-flags", "closed");
        spec_warn(session, "unknown flag bits ended the session");
        return;
    }
    session_settle(session);
    struct stream *books = session_stream(session, stream);
    bool opened = books->acks > 0 || books->received > 0;
    spec_choice(session, "unknown-flags", opened ? "ignored" : "frame dropped");
    if (!opened) {
        spec_warn(session, "unknown flag bits made the peer drop the frame");
    }
}

static void unknown_ping_flags(struct session *session)
{
    session_send(session, WIRE_PING, 0x8000 | WIRE_SYN, 0, 9);
    session_settle(session);
    bool answered = session->pongs > 0;
    uint16_t flags = session->pong.flags;
    if (session_judge_choice(session) == SESSION_DEAD || session->goaways) {
        spec_choice(session, "unknown-ping-flags", "closed");
        spec_warn(session, "unknown flag bits ended the session");
        return;
    }
    spec_choice(session, "unknown-ping-flags",
                answered ? "answered" : "dropped");
    if (!answered) {
        spec_warn(session, "a ping with an unknown flag bit has no answer");
    } else if (flags != WIRE_ACK) {
        spec_warn(session, "the answer has flags 0x%04x", flags);
    }
}

/* ---- lengths ---- */

static void update_has_no_body(struct session *session)
{
    uint32_t stream = session_id(session, 1);
    session_open(session, stream);
    session_cork(session);
    session_send(session, WIRE_UPDATE, 0, stream, 12);
    session_send(session, WIRE_PING, WIRE_SYN, 0, 9);
    session_uncork(session);
    if (session_wait_pongs(session, 1) != SESSION_GOT ||
        session->pong.length != 9) {
        spec_fail(session, "no pong 9 after a window update of 12: its "
                           "length was taken for a body");
    }
}

static void ping_has_no_body(struct session *session)
{
    session_cork(session);
    session_send(session, WIRE_PING, WIRE_SYN, 0, 12);
    session_send(session, WIRE_PING, WIRE_SYN, 0, 13);
    session_uncork(session);
    if (session_wait_pongs(session, 2) != SESSION_GOT) {
        spec_fail(session, "%u pongs for the pings 12 and 13", session->pongs);
    }
    uint32_t sum = session->pong_opaques[0] + session->pong_opaques[1];
    if (sum != 25) {
        spec_fail(session, "pongs %u and %u for the pings 12 and 13",
                  session->pong_opaques[0], session->pong_opaques[1]);
    }
}

static void empty_data(struct session *session)
{
    uint32_t stream = session_id(session, 1);
    session_open(session, stream);
    for (unsigned i = 0; i < 3; i++) {
        session_data(session, 0, stream, NULL, 0);
    }
    session_data(session, 0, stream, "x", 1);
    session_expect_text(session, stream, 0, "x");
    session_expect_alive(session);
}

/* ---- random traffic, twice ---- */

struct traffic {
    uint8_t *bytes;
    size_t length;
};

static void add(struct traffic *traffic, const void *bytes, size_t length)
{
    traffic->bytes = realloc(traffic->bytes, traffic->length + length);
    if (!traffic->bytes) {
        abort();
    }
    memcpy(traffic->bytes + traffic->length, bytes, length);
    traffic->length += length;
}

static void add_frame(struct traffic *traffic, struct wire_frame frame)
{
    static const uint8_t zeros[2048];
    uint8_t header[WIRE_HEADER];
    wire_encode(header, frame);
    add(traffic, header, sizeof header);
    if (frame.type == WIRE_DATA) {
        add(traffic, zeros, frame.length);
    }
}

/* Streams that open, write a little at random turns, and finish. */
static struct traffic make_batch(struct session *session, uint32_t first)
{
    struct traffic traffic = {0};
    uint8_t left[BATCH]; /* frames, the FIN included */
    unsigned open = BATCH;
    for (uint32_t i = 0; i < BATCH; i++) {
        left[i] = (uint8_t)(1 + session_random(session) % 6);
        add_frame(
            &traffic,
            (struct wire_frame){
                .type = session_random(session) % 2 ? WIRE_DATA : WIRE_UPDATE,
                .flags = WIRE_SYN,
                .stream = session_id(session, first + i)});
    }
    while (open) {
        uint32_t i = (uint32_t)(session_random(session) % BATCH);
        struct wire_frame frame = {.stream = session_id(session, first + i)};
        if (left[i] == 0) {
            continue;
        }
        if (--left[i] == 0) {
            frame.type = WIRE_UPDATE;
            frame.flags = WIRE_FIN;
            open--;
        } else {
            frame.length = (uint32_t)(session_random(session) % 2000);
        }
        add_frame(&traffic, frame);
    }
    return traffic;
}

struct batch {
    uint32_t first;
};

static bool batch_done(struct session *session, void *context)
{
    const struct batch *batch = context;
    for (uint32_t i = 0; i < BATCH; i++) {
        uint32_t id = session_id(session, batch->first + i);
        struct stream *stream = session_stream(session, id);
        if (!stream->fins && !stream->resets) {
            return false;
        }
    }
    return true;
}

static void write_cut(struct session *session, const struct traffic *traffic)
{
    for (size_t at = 0; at < traffic->length;) {
        size_t count = 1 + (size_t)(session_random(session) % 700);
        count = session_random(session) % 3 ? count : 1 + count % 13;
        if (count > traffic->length - at) {
            count = traffic->length - at;
        }
        session_write(session, traffic->bytes + at, count);
        at += count;
    }
}

static void run_traffic(struct session *session, uint64_t seed, bool cut)
{
    for (uint32_t i = 0; i < BATCHES; i++) {
        struct batch batch = {1 + i * BATCH};
        session->seed = seed + i;
        struct traffic traffic = make_batch(session, batch.first);
        if (cut) {
            write_cut(session, &traffic);
        } else {
            session_write(session, traffic.bytes, traffic.length);
        }
        free(traffic.bytes);
        session_wait(session, 2 * session->timeout_ms, batch_done, &batch);
        for (uint32_t j = 0; j < BATCH; j++) {
            uint32_t id = session_id(session, batch.first + j);
            struct stream *stream = session_stream(session, id);
            if (stream->fins != 1 || stream->resets || stream->received) {
                spec_fail(session,
                          "%s: stream %u ended with %u FIN, %u RST and %llu "
                          "bytes instead of one FIN",
                          cut ? "cut at random places" : "in whole writes", id,
                          stream->fins, stream->resets,
                          (unsigned long long)stream->received);
            }
        }
    }
    session_expect_alive(session);
}

static void random_traffic(struct session *session)
{
    uint64_t seed = session_random(session);
    run_traffic(session, seed, false);
    session_reconnect(session);
    run_traffic(session, seed, true);
}

const struct spec_case case_framing[] = {
    {"F-01", "a new session is quiet: pings at most", "nothing for 2 s",
     "spec.md 80", SPEC_ANY, SPEC_MUST, 0, 0, quiet_at_first},
    {"F-02", "an exchange works when each write is one byte",
     "Data SYN \"hello\", WU FIN, Ping 9: 41 writes, 1 ms apart",
     "spec.md 9-20", SPEC_ECHO, SPEC_MUST, 0, 0, one_byte_a_write},
    {"F-03", "the same exchange works in one write",
     "Data SYN \"hello\", WU FIN, Ping 9: one write", "spec.md 9", SPEC_ECHO,
     SPEC_MUST, 0, 0, one_write},
    {"F-04", "the same exchange works, cut in two anywhere",
     "40 times the 41 bytes, cut at another place, 20 ms between",
     "spec.md 9-20: a byte stream has no boundaries", SPEC_ECHO, SPEC_MUST, 0,
     0, cut_in_two},
    {"F-05", "a body may arrive with a pause in it",
     "Data header of 10, \"0123\", 500 ms, \"456789\"",
     "spec.md 74: length counts bytes, not time", SPEC_ECHO, SPEC_MUST, 0, 0,
     pause_in_a_body},
    {"F-06", "a connection that ends inside a header ends the session only",
     "WU SYN, 3 bytes of a header, end of connection; a new connection",
     "hashicorp closes", SPEC_ANY, SPEC_MUST, 0, 0, end_in_a_header},
    {"F-07", "a body cut off by the end of the connection is no clean end",
     "Data header of 100, 50 bytes, end of connection",
     "as TLS truncation, RFC 8446 6.1", SPEC_APP, SPEC_MUST, 0, 0,
     end_in_a_body},
    {"F-08", "another version ends the session", "01 02 0001 00000000 00000009",
     "spec.md 25-27", SPEC_ANY, SPEC_MUST, 0, 0, other_version},
    {"F-09", "a header of ones ends the session", "12 times ff",
     "spec.md 25-27", SPEC_ANY, SPEC_MUST, 0, 0, all_ones},
    {"F-10", "type 4 ends the session", "00 04 0001 00000001 00000000",
     "spec.md 31", SPEC_ANY, SPEC_MUST, 0, 0, type_four},
    {"F-11", "type 255 ends the session", "00 ff 0000 00000000 00000000",
     "spec.md 31", SPEC_ANY, SPEC_MUST, 0, 0, type_255},
    {"F-12", "unknown flag bits do not change what SYN means",
     "WU with flags 8011; \"x\"", "spec.md 50-60 name four bits only",
     SPEC_ECHO, SPEC_SHOULD, 0, 0, unknown_flags},
    {"F-13", "a ping with an unknown flag bit is answered with ACK alone",
     "Ping with flags 8001", "spec.md 50-60 name four bits only", SPEC_ANY,
     SPEC_SHOULD, 0, 0, unknown_ping_flags},
    {"F-14", "the length of a window update is no body",
     "SYN; WU delta 12 and Ping 9 in one write", "spec.md 76", SPEC_ECHO,
     SPEC_MUST, 0, 0, update_has_no_body},
    {"F-15", "the length of a ping is no body", "Ping 12, Ping 13, one write",
     "spec.md 77", SPEC_ANY, SPEC_MUST, 0, 0, ping_has_no_body},
    {"F-16", "empty Data frames do nothing", "SYN; 3 empty Data; \"x\"; ping",
     "spec.md 34-35", SPEC_ECHO, SPEC_MUST, 0, 0, empty_data},
    {"F-17", "1000 streams end the same however their bytes are cut",
     "random traffic, whole and again cut at random places",
     "spec.md 9-20: a byte stream has no boundaries", SPEC_SINK, SPEC_MUST, 0,
     60000, random_traffic},
    {0}};
