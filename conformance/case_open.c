#include <stdio.h>
#include <string.h>

#include "conformance/traffic.h"

#define MANY 300u        /* streams: more than may wait for their ACK */
#define UNACKED_MAX 256u /* of libp2p's text, and of hashicorp */
#define BULK 67108864u   /* bytes: cannot all be under way */
#define LONG_WAIT 27u    /* times T: above hashicorp's 75 s */

/* Has the peer open a stream; one byte of the pattern, because a peer may say
 * SYN only when it writes. Returns the id. */
static uint32_t ask_one(struct session *session, uint64_t bytes,
                        const char *then, const char *label)
{
    unsigned before = session->opened;
    session_ask_open(session, 1, bytes, then, label);
    if (session_wait_opened(session, before + 1) != SESSION_GOT) {
        spec_fail(session,
                  "the peer was asked to open a stream: none came "
                  "within %u ms",
                  session->timeout_ms);
    }
    return session->opened_ids[before];
}

static void acknowledge(struct session *session, uint32_t id)
{
    session_send(session, WIRE_UPDATE, WIRE_ACK, id, 0);
}

/* How many streams come, until all have or none comes any more. */
static unsigned count_opened(struct session *session, unsigned least)
{
    unsigned before;
    if (session_wait_opened(session, least) != SESSION_GOT) {
        spec_fail(session, "the peer was asked to open streams: %u came",
                  session->opened);
    }
    do {
        before = session->opened;
        session_settle(session);
        session_settle(session);
    } while (session->opened > before && session->opened < MANY &&
             !session->closed);
    return session->opened;
}

/* All that were told have ended, or more have come. */
static bool has_wound_down(struct session *session, void *context)
{
    unsigned told = *(unsigned *)context;
    for (unsigned i = 0; i < told && session->opened == told; i++) {
        struct stream *stream = session_stream(session, session->opened_ids[i]);
        if (!stream->fins && !stream->resets) {
            return false;
        }
    }
    return true;
}

/* Finishes all that the peer has opened: readers of hashicorp spin while their
 * session ends, and hundreds of them would be a burden on the next case. */
static void wind_down(struct session *session)
{
    unsigned told = 0;
    while (told < session->opened && !session->closed) {
        for (; told < session->opened; told++) {
            session_send(session, WIRE_UPDATE, WIRE_FIN,
                         session->opened_ids[told], 0);
        }
        session_wait(session, session->timeout_ms, has_wound_down, &told);
    }
}

/* The echo of the peer's own stream, behind the byte that it wrote. */
static void expect_echo_on(struct session *session, uint32_t id,
                           const char *text)
{
    session_data(session, 0, id, text, strlen(text));
    session_expect_text(session, id, 1, text);
}

/* ---- SYN ---- */

static void first_syn(struct session *session)
{
    uint32_t id = ask_one(session, 1, "echo", "-");
    struct stream *stream = session_stream(session, id);
    session_expect_bytes(session, id, 0, "\0", 1);
    session_settle(session);
    if (stream->syns != 1 || !(stream->first.flags & WIRE_SYN)) {
        spec_fail(session,
                  "%u frames with SYN on stream %u; the first has "
                  "flags %u",
                  stream->syns, id, stream->first.flags);
    }
    uint32_t first = session_foreign_id(session, 1);
    if (id == 0 || id % 2 != first % 2) {
        spec_fail(session, "the peer opened stream %u: not its parity", id);
    }
    if (id != first) {
        spec_warn(session, "the first stream is %u instead of %u", id, first);
    }
}

static void ids_in_order(struct session *session)
{
    session_ask_open(session, 10, 1, "echo", "-");
    for (unsigned i = 0; i < 10; i++) {
        if (session_wait_opened(session, i + 1) != SESSION_GOT) {
            spec_fail(session, "%u streams of 10 came", session->opened);
        }
        acknowledge(session, session->opened_ids[i]);
    }
    session_settle(session);
    for (unsigned i = 0; i < 10; i++) {
        uint32_t id = session->opened_ids[i];
        if (session_stream(session, id)->syns != 1) {
            spec_fail(session, "id %u was used more than once", id);
        }
        if (i && id != session->opened_ids[i - 1] + 2) {
            spec_warn(session, "id %u follows %u", id,
                      session->opened_ids[i - 1]);
            break;
        }
    }
}

static void window_before_ack(struct session *session)
{
    uint32_t id = ask_one(session, 1048576, "echo", "-");
    struct stream *stream = session_stream(session, id);
    session_wait_data(session, id, stream->granted);
    session_settle(session);
    if (stream->received > stream->granted) {
        spec_fail(session, "%llu bytes came before our ACK; the window is %llu",
                  (unsigned long long)stream->received,
                  (unsigned long long)stream->granted);
    }
    session_send(session, WIRE_UPDATE, WIRE_ACK, id, 1048576);
    session_expect_pattern(session, id, 1048576);
}

/* ---- ACK ---- */

/* Each ACK must be seen: only so many may be waited for. */
static void ack_on_update(struct session *session)
{
    session_ask_open(session, MANY, 1, "echo", "-");
    for (unsigned i = 0; i < MANY; i++) {
        if (session_wait_opened(session, i + 1) != SESSION_GOT) {
            spec_fail(session,
                      "%u streams of %u came, though each was acknowledged",
                      session->opened, MANY);
        }
        acknowledge(session, session->opened_ids[i]);
    }
    expect_echo_on(session, session->opened_ids[MANY - 1], "hello");
    wind_down(session);
}

static void ack_on_data(struct session *session)
{
    uint32_t id = ask_one(session, 1, "echo", "-");
    session_data(session, WIRE_ACK, id, "hello", 5);
    session_expect_text(session, id, 1, "hello");
    expect_echo_on(session, id, "hello");
}

static void ack_with_fin(struct session *session)
{
    uint32_t id = ask_one(session, 1, "echo", "-");
    session_send(session, WIRE_UPDATE, WIRE_ACK | WIRE_FIN, id, 0);
    session_expect_fin(session, id);
    session_expect_alive(session);
}

static void reset_of_writer(struct session *session)
{
    char label[40];
    snprintf(label, sizeof label, "%s", session_label(session));
    uint32_t id = ask_one(session, BULK, "watch", label);
    struct stream *stream = session_stream(session, id);
    session_send(session, WIRE_UPDATE, WIRE_ACK, id, BULK);
    if (session_wait_data(session, id, 2 * WIRE_WINDOW) != SESSION_GOT) {
        spec_fail(session, "%llu bytes came, of %u that our credit allows",
                  (unsigned long long)stream->received, BULK);
    }
    session_send(session, WIRE_UPDATE, WIRE_RST, id, 0);
    session_expect_alive(session); /* what is under way comes before that */
    session_settle(session);
    uint64_t before = stream->received;
    session_settle(session);
    if (stream->received > before) {
        spec_fail(session, "data goes on after our RST: %llu bytes more",
                  (unsigned long long)(stream->received - before));
    }
    if (stream->resets) {
        spec_fail(session, "our RST is answered with RST");
    }
    traffic_expect_reset_report(session, session_ask_report(session, label));
}

static void ack_with_rst(struct session *session)
{
    char label[40];
    snprintf(label, sizeof label, "%s", session_label(session));
    uint32_t id = ask_one(session, 1, "watch", label);
    session_send(session, WIRE_UPDATE, WIRE_ACK | WIRE_RST, id, 0);
    traffic_expect_reset_report(session, session_ask_report(session, label));
}

static void data_without_ack(struct session *session)
{
    uint32_t id = ask_one(session, 1, "echo", "-");
    struct stream *stream = session_stream(session, id);
    session_data(session, 0, id, "abc", 3);
    enum session_wait got = session_wait_data(session, id, 4);
    const char *answer = got == SESSION_GOT      ? "delivered"
                         : got == SESSION_CLOSED ? "closed"
                         : stream->resets        ? "reset"
                                                 : "dropped";
    spec_choice(session, "data-without-ack", "%s", answer);
    if (got != SESSION_GOT) {
        spec_warn(session, "data without an ACK is not delivered: %s", answer);
        return;
    }
    session_expect_text(session, id, 1, "abc");
    if (session->slow &&
        session_wait_closed(session, LONG_WAIT * session->timeout_ms) ==
            SESSION_CLOSED) {
        spec_warn(session, "a stream that is used but not acknowledged ends "
                           "the session in the end");
    }
}

static bool is_reset(struct session *session, void *context)
{
    (void)session;
    return ((struct stream *)context)->resets > 0;
}

static void no_ack_ever(struct session *session)
{
    uint32_t id = ask_one(session, 1, "echo", "-");
    uint64_t begun = session_now_ms();
    enum session_wait got =
        session_wait(session, LONG_WAIT * session->timeout_ms, is_reset,
                     session_stream(session, id));
    spec_choice(session, "open-timeout",
                got == SESSION_CLOSED ? "session closed"
                : got == SESSION_GOT  ? "stream reset"
                                      : "none seen");
    if (got != SESSION_TIMEOUT) {
        spec_note(session, "after %llu s",
                  (unsigned long long)(session_now_ms() - begun) / 1000);
    }
    session_judge_choice(session);
}

static void unacked_limit(struct session *session)
{
    session_ask_open(session, MANY, 1, "echo", "-");
    unsigned count = count_opened(session, 1);
    spec_note(session, "%u streams of %u were opened without our ACK", count,
              MANY);
    if (count > UNACKED_MAX) {
        spec_warn(session, "%u streams wait for our ACK; %u should be the most",
                  count, UNACKED_MAX);
    }
    session_expect_alive(session);
    wind_down(session);
}

static void ack_thrice(struct session *session)
{
    session_ask_open(session, MANY, 1, "echo", "-");
    unsigned count = count_opened(session, 1);
    for (unsigned i = 0; i < 3; i++) {
        acknowledge(session, session->opened_ids[0]);
    }
    unsigned after = count_opened(session, count);
    session_expect_alive(session);
    if (count == MANY) {
        spec_note(session, "no limit on streams without ACK: nothing to see");
    } else if (after > count + 1) {
        spec_warn(session, "three ACKs of one stream made room for %u",
                  after - count);
    }
    wind_down(session);
}

static void ack_of_unknown(struct session *session)
{
    acknowledge(session, session_id(session, 0x8000));
    bool over = traffic_is_over(session);
    spec_choice(session, "unknown-ack", over ? "closed" : "ignored");
    if (over) {
        spec_warn(session, "an ACK for an unknown stream ends the session");
        traffic_expect_reason(session);
    }
}

/* ---- ends ---- */

static void late_after_their_reset(struct session *session)
{
    char line[64];
    uint32_t command = session_ask_open(session, 1, 1, "reset", "-");
    session_answer(session, command, 0, line, sizeof line);
    if (session_wait_opened(session, 1) != SESSION_GOT) {
        spec_fail(session, "the peer says \"%s\", but no SYN came", line);
    }
    uint32_t id = session->opened_ids[0];
    session_expect_reset(session, id);
    unsigned before = session_stream(session, id)->resets;
    acknowledge(session, id);
    session_data(session, 0, id, "late", 4);
    session_send(session, WIRE_UPDATE, 0, id, 1000);
    session_send(session, WIRE_UPDATE, WIRE_FIN, id, 0);
    traffic_expect_silence(session, id, before);
}

static void fin_before_ack(struct session *session)
{
    uint32_t id = ask_one(session, 1, "echo", "-");
    session_send(session, WIRE_UPDATE, WIRE_FIN, id, 0);
    acknowledge(session, id);
    session_expect_fin(session, id);
    session_expect_alive(session);
}

static void exhaustion(struct session *session)
{
    char line[64];
    uint32_t low = session->client ? 0xfffffffc : 0xfffffffd;
    uint32_t command = session_command(session, "next-id %u", low);
    session_answer(session, command, 0, line, sizeof line);
    command = session_ask_open(session, 4, 1, "echo", "-");
    session_answer(session, command, 0, line, sizeof line);
    for (unsigned i = 0; i < session->opened; i++) {
        if (session->opened_ids[i] < low) {
            spec_fail(session, "after the last ids, id %u is used",
                      session->opened_ids[i]);
        }
    }
    if (strncmp(line, "failed", 6) != 0) {
        spec_fail(session,
                  "opening beyond the last id: the application is "
                  "told \"%s\"",
                  line);
    }
    session_expect_alive(session);
}

const struct spec_case case_open[] = {
    {"U-01", "a stream begins with SYN, once, on an id of the peer's parity",
     "the peer opens a stream", "spec.md 64-67, 88", SPEC_OPENER, SPEC_MUST, 0,
     0, first_syn},
    {"U-02", "ids are used once, and grow by two",
     "the peer opens 10 streams; an ACK for each", "spec.md 64; hashicorp",
     SPEC_OPENER, SPEC_MUST, 0, 0, ids_in_order},
    {"U-03", "without an ACK, no more than the window is sent",
     "no ACK; the peer writes 1 MiB", "spec.md 95, 125", SPEC_OPENER, SPEC_MUST,
     0, 0, window_before_ack},
    {"U-04", "ACK on a window update counts", "WU ACK for each of 300 streams",
     "spec.md 91", SPEC_OPENER, SPEC_MUST, 0, 0, ack_on_update},
    {"U-05", "ACK may come on Data with a payload", "Data ACK \"hello\"",
     "spec.md 53", SPEC_OPENER, SPEC_MUST, 0, 0, ack_on_data},
    {"U-06", "both flags of ACK|FIN count", "WU ACK|FIN",
     "spec.md 53-56; jvm-libp2p sees only the first", SPEC_OPENER, SPEC_MUST, 0,
     0, ack_with_fin},
    {"U-07", "a reset ends the writer, who is told of a reset",
     "RST while the peer writes 64 MiB", "spec.md 93, 116", SPEC_OPENER,
     SPEC_MUST, 0, 0, reset_of_writer},
    {"U-08", "ACK|RST is a reset", "WU ACK|RST", "tentacle sends this",
     SPEC_OPENER, SPEC_MUST, 0, 0, ack_with_rst},
    {"U-09", "data that comes without an ACK is delivered",
     "Data \"abc\", no ACK; --slow: for 27 T", "rust-yamux acknowledges lazily",
     SPEC_OPENER, SPEC_SHOULD, 0, 120000, data_without_ack},
    {"U-10", "what a stream without an answer leads to",
     "no ACK for 27 T (81 s)", "hashicorp closes the session after 75 s",
     SPEC_OPENER, SPEC_CHOICE, SPEC_SLOW, 120000, no_ack_ever},
    {"U-11", "at most 256 streams wait for an ACK",
     "no ACK; the peer wants 300 streams", "libp2p yamux r0; hashicorp",
     SPEC_OPENER, SPEC_SHOULD, 0, 0, unacked_limit},
    {"U-12", "an ACK counts for one stream, once",
     "300 streams wanted; three ACKs for the first", "hashicorp counts each",
     SPEC_OPENER, SPEC_SHOULD, 0, 0, ack_thrice},
    {"U-13", "an ACK for an unknown stream is ignored", "WU ACK on ffff; ping",
     "a crossing of RST and ACK; cpp-libp2p closes", SPEC_OPENER, SPEC_SHOULD,
     0, 0, ack_of_unknown},
    {"U-14", "late frames for a stream that the peer has reset are ignored",
     "the peer resets; WU ACK, Data, WU, WU FIN; ping", "rust-yamux 110",
     SPEC_OPENER, SPEC_MUST, 0, 0, late_after_their_reset},
    {"U-15", "FIN may come before the ACK", "WU FIN, WU ACK", "spec.md 95-109",
     SPEC_OPENER, SPEC_MUST, 0, 0, fin_before_ack},
    {"U-16", "ids do not begin again", "the peer's ids are near the last",
     "hashicorp: ErrStreamsExhausted", SPEC_OPENER, SPEC_MUST, 0, 0,
     exhaustion},
    {0}};
