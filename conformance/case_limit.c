#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conformance/traffic.h"

#define FLOOD 1000000u
#define MEMORY_KIB 8192u /* growth that is still a bound */
#define WIDE 256u        /* streams at once */
#define LONG_WAIT 20u    /* times T: a minute */

/* ---- floods of frames that do nothing ---- */

static void flood(struct session *session, struct wire_frame frame,
                  const char *key)
{
    static uint8_t bytes[1000 * WIRE_HEADER];
    for (size_t i = 0; i < sizeof bytes; i += WIRE_HEADER) {
        wire_encode(bytes + i, frame);
    }
    for (unsigned i = 0; i < FLOOD / 1000 && !session->closed; i++) {
        session_write(session, bytes, sizeof bytes);
    }
    bool closed =
        session_judge_choice(session) == SESSION_DEAD || session->goaways;
    spec_choice(session, key, closed ? "closed" : "lives");
    if (!closed) {
        spec_warn(session, "a million frames without effect are accepted");
    }
}

static void empty_data(struct session *session)
{
    flood(session, (struct wire_frame){.stream = session_id(session, 39)},
          "empty-data-flood");
}

static void empty_updates(struct session *session)
{
    uint32_t stream = session_id(session, 1);
    traffic_open(session, stream);
    flood(session, (struct wire_frame){.type = WIRE_UPDATE, .stream = stream},
          "empty-update-flood");
}

/* ---- both sides write, nobody reads ---- */

static void both_write(struct session *session)
{
    enum { STREAMS = 8, PIECE = 16384 };
    static uint8_t bytes[STREAMS * (WIRE_WINDOW + 16 * WIRE_HEADER)];
    static uint8_t pattern[WIRE_WINDOW];
    unsigned quiet_ms = session->slow ? 5000 : 1500;
    uint32_t window = session_window(session);
    size_t length = 0;
    session_pattern(pattern, sizeof pattern, 0);
    for (uint32_t i = 1; i <= STREAMS; i++) {
        session_send(session, WIRE_UPDATE, WIRE_SYN, session_id(session, i),
                     4194304);
    }
    for (uint32_t i = 1; i <= STREAMS; i++) {
        session_expect_open(session, session_id(session, i));
    }
    for (uint32_t at = 0; at < window; at += PIECE) {
        uint32_t piece = window - at < PIECE ? window - at : PIECE;
        for (uint32_t i = 1; i <= STREAMS; i++) {
            wire_encode(bytes + length,
                        (struct wire_frame){.stream = session_id(session, i),
                                            .length = piece});
            memcpy(bytes + length + WIRE_HEADER, pattern + at, piece);
            length += WIRE_HEADER + piece;
        }
    }
    uint64_t begun = session_now_ms();
    size_t sent = session_push(session, bytes, length, quiet_ms);
    uint64_t passed = session_now_ms() - begun;
    session_sleep(session, passed < quiet_ms ? quiet_ms - (unsigned)passed : 0);
    session_write(session, bytes + sent, length - sent);
    for (uint32_t i = 1; i <= STREAMS; i++) {
        uint32_t id = session_id(session, i);
        session_expect_pattern(session, id,
                               session_stream(session, id)->granted);
        if (session_wait_credit(session, id, WIRE_WINDOW + 1) != SESSION_GOT) {
            spec_fail(session, "stream %u: what we sent was never read", id);
        }
    }
    session_expect_alive(session);
}

/* ---- 256 streams ---- */

struct lane {
    uint64_t left;
    uint64_t hash;
    uint64_t total;
    uint64_t done_ms; /* since the beginning; 0: not yet */
};

/* One frame on each stream that has credit. True: something went out. */
static bool send_round(struct session *session, struct lane lanes[WIDE])
{
    uint8_t piece[8192];
    bool moved = false;
    for (uint32_t i = 0; i < WIDE; i++) {
        uint32_t id = session_id(session, i + 1);
        struct stream *stream = session_stream(session, id);
        uint64_t count = stream->credit - stream->sent;
        count = count < lanes[i].left ? count : lanes[i].left;
        count = count < sizeof piece ? count : sizeof piece;
        if (count == 0) {
            continue;
        }
        for (size_t j = 0; j < count; j += 8) {
            uint64_t random = session_random(session);
            memcpy(piece + j, &random, count - j < 8 ? count - j : 8);
        }
        lanes[i].hash = session_hash(lanes[i].hash, piece, (size_t)count);
        session_data(session, 0, id, piece, (size_t)count);
        lanes[i].left -= count;
        moved = true;
    }
    return moved;
}

static unsigned count_done(struct session *session, struct lane lanes[WIDE],
                           uint64_t begun)
{
    unsigned done = 0;
    for (uint32_t i = 0; i < WIDE; i++) {
        struct stream *stream =
            session_stream(session, session_id(session, i + 1));
        if (stream->resets) {
            spec_fail(session, "stream %u was reset", stream->id);
        }
        if (stream->received >= lanes[i].total) {
            done++;
            if (lanes[i].done_ms == 0) {
                lanes[i].done_ms = session_now_ms() - begun + 1;
            }
        }
    }
    return done;
}

static void judge_lanes(struct session *session, struct lane lanes[WIDE])
{
    uint64_t sum = 0;
    uint64_t slowest = 0;
    for (uint32_t i = 0; i < WIDE; i++) {
        struct stream *stream =
            session_stream(session, session_id(session, i + 1));
        if (stream->hash != lanes[i].hash ||
            stream->received != lanes[i].total) {
            spec_fail(session, "stream %u: other bytes came back than sent",
                      stream->id);
        }
        sum += lanes[i].done_ms;
        slowest = lanes[i].done_ms > slowest ? lanes[i].done_ms : slowest;
    }
    uint64_t mean = sum / WIDE;
    spec_note(session, "streams took %llu ms in the mean, the slowest %llu",
              (unsigned long long)mean, (unsigned long long)slowest);
    /* a stream's share is as the inverse of its time */
    if (slowest > 4 * mean) {
        spec_warn(session, "the slowest stream had less than a quarter of "
                           "the mean");
    }
}

static void many_streams(struct session *session)
{
    static struct lane lanes[WIDE];
    uint64_t begun = session_now_ms();
    uint64_t moved_at = begun;
    session->grants = true;
    for (uint32_t i = 0; i < WIDE; i++) {
        lanes[i].total = 1048576;
        lanes[i].left = lanes[i].total;
        lanes[i].hash = SESSION_HASH;
        session_open(session, session_id(session, i + 1));
        if (i % 32 == 31) { /* not faster than an application accepts */
            traffic_wait(session, session_id(session, i + 1));
        }
    }
    while (count_done(session, lanes, begun) < WIDE && !session->closed) {
        uint64_t before = session->data_received; /* a ping is no progress */
        bool sent = send_round(session, lanes);
        session_listen(session, sent ? 0 : 5);
        if (sent || session->data_received != before) {
            moved_at = session_now_ms();
        } else if (session_now_ms() > moved_at + session->timeout_ms) {
            spec_fail(session,
                      "nothing moves for %u ms; %u of %u streams "
                      "are complete",
                      session->timeout_ms, count_done(session, lanes, begun),
                      WIDE);
        }
    }
    if (session->closed) {
        spec_fail(session, "the connection is %s", session_ending(session));
    }
    judge_lanes(session, lanes);
}

/* ---- time ---- */

static void stops_reading(struct session *session)
{
    static uint8_t bytes[2000 * WIRE_HEADER];
    session_narrow(session);
    uint64_t deadline =
        session_now_ms() + (uint64_t)LONG_WAIT * session->timeout_ms;
    uint64_t before = session_peer_memory(session);
    for (uint32_t i = 0; i < 2000; i++) {
        wire_encode(bytes + i * WIRE_HEADER,
                    (struct wire_frame){
                        .type = WIRE_PING, .flags = WIRE_SYN, .length = i});
    }
    for (uint32_t i = 1; i <= 50; i++) {
        session_open(session, session_id(session, i));
    }
    size_t cut = 0; /* what of a round is still to be sent */
    while (session_now_ms() < deadline) {
        size_t rest = cut ? cut : sizeof bytes;
        cut = rest - session_push(session, bytes + sizeof bytes - rest, rest,
                                  session->grace_ms);
        session_sleep(session, session->grace_ms);
    }
    uint64_t after = session_peer_memory(session);
    uint64_t growth = after > before ? after - before : 0;
    if (before && growth > MEMORY_KIB) {
        spec_fail(session, "unread answers made the peer grow by %llu KiB",
                  (unsigned long long)growth);
    }
    if (cut) {
        session_write(session, bytes + sizeof bytes - cut, cut);
    }
    session_drain(session);
    bool closed =
        session_judge_choice(session) == SESSION_DEAD || session->goaways;
    spec_choice(session, "reader-gone", closed ? "closed" : "lives");
}

static void dribbled_header(struct session *session)
{
    uint8_t header[WIRE_HEADER];
    wire_encode(header, (struct wire_frame){
                            .type = WIRE_PING, .flags = WIRE_SYN, .length = 9});
    for (unsigned i = 0; i < WIRE_HEADER && !session->closed; i++) {
        session_write(session, header + i, 1);
        session_listen(session, session->timeout_ms * 5 / 3);
    }
    if (session->closed) {
        spec_choice(session, "slow-header", "closed");
        return;
    }
    if (session_wait_pongs(session, 1) != SESSION_GOT) {
        spec_hung(session, "a slow header is neither answered nor refused");
    }
    spec_choice(session, "slow-header", "lives");
}

static void idle(struct session *session)
{
    if (session_wait_closed(session, LONG_WAIT * session->timeout_ms) ==
        SESSION_CLOSED) {
        spec_fail(session, "an idle session whose pings are answered is %s",
                  session_ending(session));
    }
    session_expect_alive(session);
}

static void short_streams(struct session *session)
{
    uint32_t total = session->slow ? 100000 : 5000;
    uint64_t settled = 0;
    uint64_t begun = 0;
    for (uint32_t i = 1; i <= total; i++) {
        uint32_t id = session_id(session, i);
        session_cork(session);
        session_open(session, id);
        session_data(session, 0, id, "x", 1);
        session_send(session, WIRE_UPDATE, WIRE_FIN, id, 0);
        session_uncork(session);
        session_expect_text(session, id, 0, "x");
        session_expect_fin(session, id);
        session_forget(session, id);
        if (i == total / 5) { /* pools and heaps have their size by now */
            settled = session_peer_memory(session);
            begun = session_now_ms();
        }
    }
    uint64_t after = session_peer_memory(session);
    spec_note(session, "%llu streams a second",
              (unsigned long long)(total / 5 * 4) * 1000 /
                  (session_now_ms() - begun + 1));
    if (settled == 0) {
        spec_note(session, "memory not looked at: no --pid");
    } else if (after > settled + MEMORY_KIB) {
        spec_fail(session, "%u closed streams made the peer grow by %llu KiB",
                  total / 5 * 4, (unsigned long long)(after - settled));
    }
    session_expect_alive(session);
}

const struct spec_case case_limit[] = {
    {"L-01", "a million empty Data frames end in an answer or an end",
     "1000000 times Data len 0 on an unknown stream; ping",
     "as HTTP/2 empty frames, CVE-2019-9518", SPEC_ANY, SPEC_MUST, 0, 60000,
     empty_data},
    {"L-02", "a million empty window updates end in an answer or an end",
     "1000000 times WU delta 0 on an open stream; ping",
     "as HTTP/2 empty frames, CVE-2019-9518", SPEC_ECHO, SPEC_MUST, 0, 60000,
     empty_updates},
    {"L-03", "no dead-lock when both sides write and nobody reads",
     "8 streams: 4 MiB of credit, 256 KiB sent, nothing read for a while",
     "rust-yamux 102, 104, 227", SPEC_SOURCE, SPEC_MUST, 0, 60000, both_write},
    {"L-04", "256 streams at once are each byte-exact, and none starves",
     "256 streams, 1 MiB of random bytes each", "spec.md 120-127", SPEC_ECHO,
     SPEC_MUST, 0, 180000, many_streams},
    {"L-05", "a tester that stops reading costs no memory",
     "opens and pings for 20 T, reading nothing", "CVE-2024-32984", SPEC_ANY,
     SPEC_MUST, SPEC_SLOW, 150000, stops_reading},
    {"L-06", "a header that dribbles in: waited for or refused",
     "Ping, a byte every 5 s", "slow loris", SPEC_ANY, SPEC_CHOICE, SPEC_SLOW,
     150000, dribbled_header},
    {"L-07", "an idle session whose pings are answered stays open",
     "nothing for 20 T (60 s)", "spec.md 40-41", SPEC_ANY, SPEC_MUST, SPEC_SLOW,
     150000, idle},
    {"L-08", "streams that come and go leave nothing behind",
     "5000 short streams (--slow: 100000), one after the other",
     "go-yamux 30: 150 MB of inflight entries", SPEC_ECHO, SPEC_MUST, 0, 180000,
     short_streams},
    {0}};
