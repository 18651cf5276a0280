#include <stdlib.h>
#include <string.h>

#include "conformance/traffic.h"

#define HALF (WIRE_WINDOW / 2)
#define MIB 1048576u
#define HUGE_BODY 0xffffffffu
#define MEMORY_KIB 8192u /* growth that is too much for what is not kept */
#define ROUNDS 40u       /* half windows: twice that is 10 MiB */

static void expect_not_reset(struct session *session, uint32_t id)
{
    session_expect_alive(session);
    if (session_stream(session, id)->resets) {
        spec_fail(session, "stream %u was reset within its window", id);
    }
}

/* ---- the peer's window ---- */

static void full_window(struct session *session)
{
    uint32_t id = session_id(session, 1);
    traffic_open(session, id);
    traffic_frame(session, 0, id, session_window(session));
    expect_not_reset(session, id);
}

static void small_frames(struct session *session)
{
    static const uint32_t sizes[] = {16, 1};
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t id = session_id(session, i + 1);
        traffic_open(session, id);
        session_pour(session, id, session_window(session), sizes[i]);
        expect_not_reset(session, id);
    }
}

/* More was sent than the window allows. */
static void expect_refused(struct session *session, const char *key,
                           uint32_t id)
{
    if (traffic_is_over(session)) {
        spec_choice(session, key, "closed");
        traffic_expect_reason(session);
        return;
    }
    session_settle(session);
    if (session_stream(session, id)->resets == 0) {
        spec_fail(session,
                  "%llu bytes were sent into a window of %llu: neither the "
                  "session nor the stream ends",
                  (unsigned long long)session_stream(session, id)->sent,
                  (unsigned long long)session_stream(session, id)->credit);
    }
    spec_choice(session, key, "reset");
    spec_warn(session, "a window that is exceeded ends the stream only");
}

static void one_byte_too_many(struct session *session)
{
    uint32_t id = session_id(session, 1);
    traffic_open(session, id);
    struct stream *stream = session_stream(session, id);
    while (stream->sent < stream->credit && session_can_write(session)) {
        uint64_t count = stream->credit - stream->sent;
        traffic_frame(session, 0, id, count < 16384 ? (uint32_t)count : 16384);
        if (stream->sent == stream->credit) {
            session_settle(session); /* an ACK may bring more */
        }
    }
    expect_not_reset(session, id);
    session_data(session, 0, id, "x", 1);
    expect_refused(session, "overrun", id);
}

static void too_much_at_once(struct session *session)
{
    uint32_t id = session_id(session, 1);
    traffic_frame(session, WIRE_SYN, id, session_window(session) + 1);
    expect_refused(session, "overrun-syn", id);
}

static void huge_length(struct session *session)
{
    uint32_t id = session_id(session, 1);
    traffic_open(session, id);
    uint64_t begun = session_now_ms();
    session_send(session, WIRE_DATA, 0, id, HUGE_BODY);
    enum session_wait got = session_wait_closed(session, session->timeout_ms);
    if (got != SESSION_CLOSED && !session->goaways) {
        spec_hung(session, "the peer waits for a body of 4 GiB");
    }
    traffic_expect_reason(session);
    if (got == SESSION_CLOSED &&
        session_now_ms() > begun + session->timeout_ms / 3) {
        spec_warn(session, "a body of 4 GiB is not refused at its header");
    }
}

static void huge_length_unknown(struct session *session)
{
    static uint8_t zeros[65536];
    uint64_t before = session_peer_memory(session);
    session_send(session, WIRE_DATA, 0, session_id(session, 50), HUGE_BODY);
    session_send(session, WIRE_PING, WIRE_SYN, 0, 9);
    enum session_wait got = session_wait_pongs(session, 1);
    if (got == SESSION_GOT) {
        spec_fail(session, "the body of a frame for an unknown stream was "
                           "taken for frames");
    }
    if (got == SESSION_CLOSED || session->goaways) {
        spec_choice(session, "unknown-huge-data", "closed");
        traffic_expect_reason(session);
        return;
    }
    spec_choice(session, "unknown-huge-data", "drains");
    spec_warn(session, "the peer waits for 4 GiB that no stream may send");
    for (unsigned i = 0; i < 256 && before; i++) {
        session_write(session, zeros, sizeof zeros);
    }
    session_settle(session);
    uint64_t after = session_peer_memory(session);
    if (before && after > before + MEMORY_KIB) {
        spec_fail(session,
                  "16 MiB for an unknown stream grew the peer by %llu "
                  "KiB",
                  (unsigned long long)(after - before));
    }
}

/* ---- what the peer gives back ---- */

static void update_threshold(struct session *session)
{
    uint32_t id = session_id(session, 1);
    traffic_open(session, id);
    struct stream *stream = session_stream(session, id);
    uint64_t window = stream->credit;
    session_pour(session, id, window / 2 - 1, 16384);
    session_settle(session);
    bool early = stream->credit > window;
    session_pour(session, id, 1, 1);
    session_settle(session);
    bool at_half = !early && stream->credit > window;
    while (stream->credit == window && stream->sent < window &&
           session_can_write(session)) {
        uint64_t left = window - stream->sent;
        session_pour(session, id, left < 16384 ? left : 16384, 16384);
        session_settle(session);
    }
    if (session_wait_credit(session, id, window + 1) != SESSION_GOT) {
        spec_fail(session,
                  "the window of %llu is used up and read, but "
                  "nothing is given back",
                  (unsigned long long)window);
    }
    spec_choice(session, "update-at",
                early     ? "below half"
                : at_half ? "half"
                          : "above half");
    if (early) {
        spec_warn(session, "credit is given back for less than half a window");
    }
    spec_note(session, "first update after %llu bytes of a window of %llu",
              (unsigned long long)stream->sent, (unsigned long long)window);
}

static uint64_t round_trip(struct session *session)
{
    uint64_t begun = session_now_ms();
    session_expect_alive(session);
    return session_now_ms() - begun;
}

/* Pours half windows, and lets the peer rest after each. Returns the most
 * credit that was out at any rest. */
static uint64_t most_credit(struct session *session, uint32_t id,
                            unsigned rest_ms)
{
    struct stream *stream = session_stream(session, id);
    uint64_t most = 0;
    for (unsigned i = 0; i < ROUNDS && !session->closed; i++) {
        session_pour(session, id, HALF, 16384);
        session_listen(session, rest_ms);
        uint64_t out = stream->credit - stream->sent;
        most = out > most ? out : most;
    }
    return most;
}

/* A busy machine makes some longer. */
static uint64_t shortest_round_trip(struct session *session)
{
    uint64_t shortest = round_trip(session);

    for (int i = 0; i < 9; i++) {
        uint64_t rtt = round_trip(session);
        shortest = rtt < shortest ? rtt : shortest;
    }
    return shortest;
}

/* A window may grow when it is used up fast; used slowly, it has no reason. */
static void conservation(struct session *session)
{
    uint32_t id = session_id(session, 1);
    traffic_open(session, id);
    uint64_t rtt = shortest_round_trip(session);
    uint64_t window = session_stream(session, id)->credit;
    /* also by the measure of a peer that was not given the processor at once */
    unsigned rest_ms = rtt < 5 ? 50 : 10 * (unsigned)rtt;
    bool slowly = rest_ms <= 200;
    uint64_t first = most_credit(session, id, slowly ? rest_ms : 0);
    uint64_t second = most_credit(session, id, slowly ? rest_ms : 0);
    session_expect_alive(session);
    first = first > window ? first : window;
    spec_note(session, "at most %llu bytes of credit were out",
              (unsigned long long)(second > first ? second : first));
    if (slowly && second > first) {
        spec_fail(session,
                  "more is given back than was sent: %llu bytes of credit "
                  "after 5 MiB, %llu after 10 MiB",
                  (unsigned long long)first, (unsigned long long)second);
    }
}

static void random_sizes(struct session *session)
{
    uint32_t id = session_id(session, 1);
    session_open(session, id);
    for (uint64_t sent = 0; sent < 10u * MIB && !session->closed;) {
        uint32_t count = 1 + (uint32_t)(session_random(session) % 16384);
        session_pour(session, id, count, count);
        sent += count;
    }
    session_expect_alive(session);
}

static void no_update_after_fin(struct session *session)
{
    uint32_t id = session_id(session, 1);
    struct stream *stream = session_stream(session, id);
    uint64_t window = stream->granted;
    session_open(session, id);
    session_pour(session, id, window, 16384);
    session_expect_pattern(session, id, window);
    session_pour(session, id, 200000, 16384); /* waits there for our credit */
    session_send(session, WIRE_UPDATE, WIRE_FIN, id, 0);
    session_settle(session);
    unsigned before = stream->updates;
    session_send(session, WIRE_UPDATE, 0, id, 200000);
    session_expect_pattern(session, id, window + 200000);
    session_expect_fin(session, id);
    session_settle(session);
    if (stream->updates > before) {
        spec_warn(session,
                  "credit is given for a stream that we have "
                  "finished: %u updates",
                  stream->updates - before);
    }
}

/* Pours 14 MiB with this round trip; returns the most credit that was out. */
static uint64_t grown_window(struct session *session, unsigned rtt_ms)
{
    uint32_t id = session_id(session, 1);
    session_sleep(session, rtt_ms); /* pings wait for their answer meanwhile */
    traffic_open(session, id);
    struct stream *stream = session_stream(session, id);
    uint64_t most = 0;
    uint64_t sent = 0;
    while (sent < 14u * MIB && session_can_write(session)) {
        if (session_wait_credit(session, id, stream->sent + 1) ==
            SESSION_TIMEOUT) {
            session_judge_choice(session);
            spec_fail(session, "no credit any more after %llu bytes",
                      (unsigned long long)sent);
        }
        uint64_t out = stream->credit - stream->sent;
        most = out > most ? out : most;
        session_pour(session, id, out, 16384);
        sent += out;
        session_sleep(session, sent < 4u * MIB ? rtt_ms : 0);
    }
    session_expect_alive(session);
    return most;
}

static void growth(struct session *session)
{
    uint64_t near = grown_window(session, 0);
    session_reconnect(session);
    uint64_t far = grown_window(session, 100);
    spec_choice(session, "auto-tune",
                near > WIRE_WINDOW || far > WIRE_WINDOW ? "grows" : "none");
    spec_note(session, "windows of %llu bytes at once, %llu bytes at 100 ms",
              (unsigned long long)near, (unsigned long long)far);
}

/* ---- our window ---- */

/* Lets the source send what it may without credit. */
static void exhaust_window(struct session *session, uint32_t id)
{
    session_open(session, id);
    session_wait_data(session, id, session_stream(session, id)->granted);
    session_settle(session);
}

static void fills_window(struct session *session)
{
    uint32_t id = session_id(session, 1);
    struct stream *stream = session_stream(session, id);
    exhaust_window(session, id);
    if (stream->received > stream->granted) {
        spec_fail(session, "%llu bytes came into a window of %llu",
                  (unsigned long long)stream->received,
                  (unsigned long long)stream->granted);
    }
    session_expect_pattern(session, id, stream->granted);
    session_expect_alive(session);
}

static void one_byte_of_credit(struct session *session)
{
    uint32_t id = session_id(session, 1);
    struct stream *stream = session_stream(session, id);
    exhaust_window(session, id);
    uint64_t before = stream->received;
    session_send(session, WIRE_UPDATE, 0, id, 1);
    session_settle(session);
    if (stream->received > before + 1) {
        spec_fail(session, "one byte of credit brings %llu",
                  (unsigned long long)(stream->received - before));
    }
    if (stream->received == before) {
        spec_warn(session, "one byte of credit brings nothing");
    }
    session_expect_alive(session);
}

static void silly_window(struct session *session)
{
    uint32_t id = session_id(session, 1);
    struct stream *stream = session_stream(session, id);
    exhaust_window(session, id);
    uint64_t before = stream->received;
    for (unsigned i = 0; i < 1000; i++) {
        session_send(session, WIRE_UPDATE, 0, id, 1);
    }
    session_wait_data(session, id, before + 1000);
    session_expect_alive(session);
    if (stream->received == before) {
        spec_fail(session, "1000 times one byte of credit bring nothing");
    }
    if (stream->received > before + 1000) {
        spec_fail(session, "1000 bytes of credit bring %llu",
                  (unsigned long long)(stream->received - before));
    }
    if (stream->received < before + 1000) {
        spec_warn(session, "1000 times one byte of credit bring %llu bytes",
                  (unsigned long long)(stream->received - before));
    }
}

static void empty_update(struct session *session)
{
    session_expect_echo(session, 1, "a");
    session_send(session, WIRE_UPDATE, 0, session_id(session, 1), 0);
    session_data(session, 0, session_id(session, 1), "x", 1);
    session_expect_text(session, session_id(session, 1), 0, "ax");
    session_expect_alive(session);
}

static void credit_before_ack(struct session *session)
{
    uint32_t id = session_id(session, 1);
    uint64_t window = session_stream(session, id)->granted;
    session_cork(session);
    session_open(session, id);
    session_send(session, WIRE_UPDATE, 0, id, WIRE_WINDOW);
    session_uncork(session);
    traffic_stall(session, id, 3 * WIRE_WINDOW, window + WIRE_WINDOW);
}

static void credit_after_fin(struct session *session)
{
    uint32_t id = session_id(session, 1);
    uint64_t window = session_stream(session, id)->granted;
    session_open(session, id);
    session_pour(session, id, window, 16384);
    session_expect_pattern(session, id, window);
    session_pour(session, id, HALF, 16384);
    session_send(session, WIRE_UPDATE, WIRE_FIN, id, 0);
    session_settle(session);
    session_send(session, WIRE_UPDATE, 0, id, HALF);
    session_expect_pattern(session, id, window + HALF);
    session_expect_fin(session, id);
}

/* ---- credit that overflows ---- */

/* After credit beyond 2^32 - 1: ended, or all as if it were clamped. */
static void judge_overflow(struct session *session, const char *key,
                           bool should_end)
{
    uint32_t id = session_id(session, 1);
    struct stream *stream = session_stream(session, id);
    session_data(session, 0, id, "x", 1);
    enum session_wait got = session_wait_data(session, id, 1);
    if (got == SESSION_GOT) {
        session_expect_text(session, id, 0, "x");
        spec_choice(session, key, "goes on");
        if (should_end) {
            spec_warn(session, "credit beyond 2^32-1 does not end the session");
        }
        session_expect_alive(session);
        return;
    }
    if (got == SESSION_CLOSED || session->goaways) {
        spec_choice(session, key, "closed");
        traffic_expect_reason(session);
    } else if (stream->resets) {
        spec_choice(session, key, "reset");
    } else {
        session_judge_choice(session);
        spec_fail(session, "stream %u stalls after credit beyond 2^32-1", id);
    }
    session_reconnect(session); /* and nothing was wrong with the process */
    session_expect_alive(session);
}

static void overflow(struct session *session)
{
    uint32_t id = session_id(session, 1);
    session_open(session, id);
    session_send(session, WIRE_UPDATE, 0, id, 0xffff0000);
    judge_overflow(session, "credit-overflow", true);
}

static void overflow_to_nothing(struct session *session)
{
    uint32_t id = session_id(session, 1);
    session_open(session, id);
    session_send(session, WIRE_UPDATE, 0, id, 0xfffc0000);
    judge_overflow(session, "credit-overflow-0", false);
}

static void overflow_in_syn(struct session *session)
{
    session_send(session, WIRE_UPDATE, WIRE_SYN, session_id(session, 1),
                 0xffffffff);
    judge_overflow(session, "credit-overflow-syn", true);
}

/* ---- updates for others ---- */

static void update_of_session(struct session *session)
{
    session_send(session, WIRE_UPDATE, 0, 0, 5);
    bool over = traffic_is_over(session);
    spec_choice(session, "session-update", over ? "closed" : "ignored");
}

static void update_of_unknown(struct session *session)
{
    session_send(session, WIRE_UPDATE, 0, session_id(session, 39), 5);
    session_expect_alive(session);
}

static void full_stream_beside(struct session *session)
{
    uint32_t full = session_command(session, "hold");
    traffic_wait(session, full);
    struct stream *stream = session_stream(session, full);
    session_pour(session, full, stream->credit - stream->sent, 16384);
    session_settle(session);
    uint32_t echo = session_command(session, "echo");
    session_data(session, 0, echo, "x", 1);
    session_expect_text(session, echo, 0, "x");
    session_expect_alive(session);
}

static void much_credit(struct session *session)
{
    uint32_t id = session_id(session, 1);
    session_send(session, WIRE_UPDATE, WIRE_SYN, id, 16 * MIB);
    enum session_wait got = session_wait_data(session, id, 16 * MIB);
    struct stream *stream = session_stream(session, id);
    if (got != SESSION_GOT || !stream->pattern) {
        spec_fail(session, "%llu bytes came of %u that our credit allows%s",
                  (unsigned long long)stream->received, 16 * MIB,
                  stream->pattern ? "" : ", and they are not the pattern");
    }
    spec_choice(session, "largest-data", "%u", stream->largest);
    if (stream->largest > MIB) {
        spec_warn(session,
                  "a Data frame of %u bytes: rust-yamux and "
                  "jvm-libp2p close above 1 MiB",
                  stream->largest);
    } else if (stream->largest > 65536) {
        spec_note(session, "other streams wait behind frames of %u bytes",
                  stream->largest);
    }
}

static void large_update(struct session *session)
{
    uint32_t id = session_id(session, 1);
    struct stream *stream = session_stream(session, id);
    session_send(session, WIRE_UPDATE, WIRE_SYN, id, 15 * MIB);
    session_expect_pattern(session, id, stream->granted);
    session_expect_alive(session);
}

const struct spec_case case_window[] = {
    {"W-01", "a full window in one frame is taken", "Data of 262144 bytes",
     "spec.md 120", SPEC_HOLD, SPEC_MUST, 0, 0, full_window},
    {"W-02", "headers do not count against the window",
     "a window in frames of 16 bytes, another in frames of 1 byte",
     "spec.md 129-130", SPEC_HOLD, SPEC_MUST, 0, 0, small_frames},
    {"W-03", "a byte beyond the window is not taken", "262144 bytes, then one",
     "spec.md 118-127; hashicorp closes", SPEC_HOLD, SPEC_MUST, 0, 0,
     one_byte_too_many},
    {"W-04", "a first frame beyond the window is not taken",
     "Data SYN of 262145 bytes", "CVE-2026-32314", SPEC_HOLD, SPEC_MUST, 0, 0,
     too_much_at_once},
    {"W-05", "a length beyond the window is refused at its header",
     "Data header of ffffffff, no body", "CVE-2026-73568", SPEC_HOLD, SPEC_MUST,
     0, 0, huge_length},
    {"W-06", "a length that no stream may have ends the session",
     "Data header of ffffffff on an unknown stream; ping", "CVE-2026-73568",
     SPEC_ANY, SPEC_MUST, 0, 0, huge_length_unknown},
    {"W-07", "credit comes back at half a window, and before it is used up",
     "131071 bytes, a pause, one byte", "spec.md 123-124; hashicorp", SPEC_SINK,
     SPEC_MUST, 0, 0, update_threshold},
    {"W-08", "as much credit comes back as was used",
     "10 MiB in half windows, as credit allows", "spec.md 120-127", SPEC_SINK,
     SPEC_MUST, 0, 60000, conservation},
    {"W-09", "no stall, whatever the size of frames",
     "10 MiB in frames of 1 to 16384 bytes", "rust-yamux 100", SPEC_SINK,
     SPEC_MUST, 0, 60000, random_sizes},
    {"W-10", "no more is sent than our window", "nothing is granted",
     "spec.md 120", SPEC_SOURCE, SPEC_MUST, 0, 0, fills_window},
    {"W-11", "one byte of credit brings one byte", "a full window; WU delta 1",
     "js does not go on below 13 bytes", SPEC_SOURCE, SPEC_MUST, 0, 0,
     one_byte_of_credit},
    {"W-12", "credit byte by byte is progress",
     "a full window; 1000 times WU delta 1", "TCP's silly window, RFC 813",
     SPEC_SOURCE, SPEC_MUST, 0, 0, silly_window},
    {"W-13", "an update of nothing changes nothing", "WU delta 0; \"x\"",
     "spec.md 34-35, 76", SPEC_ECHO, SPEC_MUST, 0, 0, empty_update},
    {"W-14", "credit before the ACK counts",
     "WU SYN and WU delta 262144 in one write; 768 KiB", "spec.md 95-105",
     SPEC_ECHO, SPEC_MUST, 0, 0, credit_before_ack},
    {"W-15", "credit after our FIN counts",
     "393216 bytes, FIN, WU delta 131072", "spec.md 109-112; tentacle stalls",
     SPEC_ECHO, SPEC_MUST, 0, 0, credit_after_fin},
    {"W-16", "credit that overflows does no harm", "WU delta ffff0000; \"x\"",
     "CVE-2026-31814", SPEC_ECHO, SPEC_MUST, 0, 0, overflow},
    {"W-17", "credit that overflows to nothing is no silent stall",
     "WU delta fffc0000; \"x\"", "hashicorp and go-yamux stall", SPEC_ECHO,
     SPEC_MUST, 0, 0, overflow_to_nothing},
    {"W-18", "credit of a SYN that overflows does no harm",
     "WU SYN delta ffffffff; \"x\"", "rust-yamux 228", SPEC_ECHO, SPEC_MUST, 0,
     0, overflow_in_syn},
    {"W-19", "credit for the session is ignored or refused",
     "WU delta 5 on id 0; ping", "spec.md 37-38, 64-67", SPEC_ANY, SPEC_CHOICE,
     0, 0, update_of_session},
    {"W-20", "credit for an unknown stream is ignored",
     "WU delta 5 on id 77; ping", "rust-yamux 110; js 91", SPEC_ANY, SPEC_MUST,
     0, 0, update_of_unknown},
    {"W-21", "a stream that is full stops no other",
     "a stream filled and unread; \"x\" on another; ping", "spec.md 118-121",
     SPEC_APP, SPEC_MUST, 0, 0, full_stream_beside},
    {"W-22", "no credit is given after our FIN",
     "462144 bytes, FIN, WU delta 200000", "js 91: taken for a violation",
     SPEC_ECHO, SPEC_SHOULD, 0, 0, no_update_after_fin},
    {"W-23", "whether windows grow", "14 MiB at once, 14 MiB at 100 ms",
     "go-yamux, rust-yamux and js tune their windows", SPEC_SINK, SPEC_CHOICE,
     0, 60000, growth},
    {"W-24", "Data frames are no larger than 1 MiB", "WU SYN delta 16 MiB",
     "rust-yamux and jvm-libp2p close", SPEC_SOURCE, SPEC_SHOULD, 0, 60000,
     much_credit},
    {"W-25", "limits on frames are for Data only", "WU SYN delta 15 MiB",
     "tentacle 340", SPEC_SOURCE, SPEC_MUST, 0, 60000, large_update},
    {0}};
