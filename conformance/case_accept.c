#include <string.h>

#include "conformance/traffic.h"

#define OVERFLOW 300u /* streams that nobody accepts: above 256 */
#define LIVE 2000u    /* streams that stay open: above every known limit */
#define BATCH 100u    /* streams at once: below every known backlog */

/* ---- SYN and its answer ---- */

static bool is_answered(struct session *session, void *context)
{
    (void)session;
    const struct stream *stream = context;
    return stream->acks || stream->resets;
}

static void open_on_update(struct session *session)
{
    uint32_t id = session_id(session, 1);
    struct stream *stream = session_stream(session, id);
    session_open(session, id);
    session_wait(session, session->timeout_ms / 3, is_answered, stream);
    if (stream->resets) {
        spec_fail(session, "stream %u was refused with RST", id);
    }
    spec_choice(session, "ack", stream->acks ? "at accept" : "lazy");
    if (stream->acks) {
        return;
    }
    spec_warn(session, "no ACK within %u ms, before anything is written",
              session->timeout_ms / 3);
    session_data(session, 0, id, "x", 1);
    session_expect_text(session, id, 0, "x");
    if (session_wait_ack(session, id) != SESSION_GOT) {
        spec_fail(session, "stream %u was served but never acknowledged", id);
    }
}

static void expect_served(struct session *session, uint32_t id,
                          const char *text)
{
    session_expect_text(session, id, 0, text);
    if (session_wait_ack(session, id) != SESSION_GOT) {
        spec_fail(session, "stream %u was served but never acknowledged", id);
    }
}

static void open_on_data(struct session *session)
{
    uint32_t id = session_id(session, 1);
    session_data(session, WIRE_SYN, id, "hello", 5);
    expect_served(session, id, "hello");
}

static void open_on_empty_data(struct session *session)
{
    uint32_t id = session_id(session, 1);
    session_data(session, WIRE_SYN, id, NULL, 0);
    session_data(session, 0, id, "x", 1);
    expect_served(session, id, "x");
}

static void credit_in_syn(struct session *session)
{
    uint32_t id = session_id(session, 1);
    session_send(session, WIRE_UPDATE, WIRE_SYN, id, WIRE_WINDOW);
    traffic_stall(session, id, 3 * WIRE_WINDOW, 2 * WIRE_WINDOW);
}

static void acknowledges_once(struct session *session)
{
    session->grants = true;
    for (uint32_t n = 1; n <= 3; n++) {
        uint32_t id = session_id(session, n);
        if (n == 2) {
            session_data(session, WIRE_SYN, id, NULL, 0);
        } else {
            session_open(session, id);
        }
        session_pour(session, id, 5, 5);
        session_expect_pattern(session, id, 5);
        session_pour(session, id, 400000, 16384);
        session_expect_pattern(session, id, 400005);
        session_send(session, WIRE_UPDATE, WIRE_FIN, id, 0);
        session_expect_fin(session, id);
    }
    session_settle(session);
    for (uint32_t n = 1; n <= 3; n++) {
        struct stream *stream = session_stream(session, session_id(session, n));
        if (stream->acks != 1) {
            spec_fail(session, "%u frames with ACK on stream %u instead of one",
                      stream->acks, stream->id);
        }
        if (!(stream->first.flags & WIRE_ACK)) {
            spec_warn(session, "ACK is not on the first frame of stream %u",
                      stream->id);
        }
    }
}

static void credit_in_ack(struct session *session)
{
    uint32_t id = session_id(session, 1);
    traffic_open(session, id);
    struct stream *stream = session_stream(session, id);
    uint64_t credit = stream->credit;
    spec_note(session, "window of the peer: %llu bytes",
              (unsigned long long)credit);
    while (stream->sent < credit && session_can_write(session)) {
        uint64_t count = credit - stream->sent;
        traffic_frame(session, 0, id,
                      count < 1048576 ? (uint32_t)count : 1048576);
    }
    session_expect_alive(session);
    if (stream->resets) {
        spec_fail(session, "stream %u was reset within its credit of %llu", id,
                  (unsigned long long)credit);
    }
    if (session_wait_credit(session, id, credit + 1) != SESSION_GOT) {
        spec_fail(session, "%llu bytes were not read",
                  (unsigned long long)credit);
    }
}

/* ---- ids ---- */

/* A SYN that should end the session: what becomes of it. */
static void judge_bad_syn(struct session *session, const char *key, uint32_t id)
{
    session_data(session, WIRE_SYN, id, "hello", 5);
    if (traffic_is_over(session)) {
        spec_choice(session, key, "closed");
        traffic_expect_reason(session);
        return;
    }
    session_settle(session);
    struct stream *stream = session_stream(session, id);
    spec_choice(session, key,
                stream->resets                     ? "refused"
                : stream->acks || stream->received ? "accepted"
                                                   : "ignored");
    spec_warn(session, "SYN with id %u does not end the session", id);
}

static void other_parity(struct session *session)
{
    judge_bad_syn(session, "foreign-parity", session_foreign_id(session, 1));
}

static void id_zero(struct session *session)
{
    judge_bad_syn(session, "syn-id-0", 0);
}

static void syn_twice(struct session *session)
{
    uint32_t id = session_id(session, 1);
    traffic_open(session, id);
    session_open(session, id);
    bool over = traffic_is_over(session);
    if (!over) {
        session_data(session, 0, id, "x", 1);
        session_settle(session);
        over = session->closed || session->goaways;
    }
    struct stream *stream = session_stream(session, id);
    if (stream->acks > 1 || stream->received > 1) {
        spec_fail(session, "two streams with the id %u: %u ACK, %llu bytes", id,
                  stream->acks, (unsigned long long)stream->received);
    }
    spec_choice(session, "syn-twice",
                over             ? "closed"
                : stream->resets ? "reset"
                                 : "ignored");
    if (over) {
        traffic_expect_reason(session);
    } else {
        spec_warn(session, "a second SYN does not end the session");
    }
}

/* Opens the stream, and says what becomes of it. Its books are fresh. */
static const char *try_open(struct session *session, uint32_t id,
                            const char *text)
{
    session_cork(session);
    session_open(session, id);
    session_data(session, 0, id, text, 1);
    session_uncork(session);
    if (session_wait_data(session, id, 1) == SESSION_GOT) {
        session_expect_text(session, id, 0, text);
        return "accepted";
    }
    if (traffic_is_over(session)) {
        return "closed";
    }
    return session_stream(session, id)->resets ? "refused" : "ignored";
}

static void decreasing_ids(struct session *session)
{
    session_expect_echo(session, 5, "a");
    const char *answer = try_open(session, session_id(session, 2), "b");
    spec_choice(session, "id-below", "%s", answer);
    if (strcmp(answer, "accepted") != 0) {
        spec_warn(session, "an id below an earlier one is %s", answer);
    }
}

static void reuse_after_close(struct session *session)
{
    uint32_t id = session_id(session, 1);
    session_expect_echo(session, 1, "a");
    session_send(session, WIRE_UPDATE, WIRE_FIN, id, 0);
    session_expect_fin(session, id);
    session_settle(session); /* FIN may go before its sender has forgotten */
    session_forget(session, id);
    const char *answer = try_open(session, id, "b");
    spec_choice(session, "id-again-closed", "%s", answer);
    if (strcmp(answer, "accepted") != 0) {
        spec_warn(session, "the id of a closed stream, used again, is %s",
                  answer);
    }
}

static void reuse_after_reset(struct session *session)
{
    uint32_t id = session_id(session, 1);
    session_expect_echo(session, 1, "a");
    session_send(session, WIRE_UPDATE, WIRE_RST, id, 0);
    session_settle(session);
    session_forget(session, id);
    spec_choice(session, "id-again-reset", "%s", try_open(session, id, "b"));
}

static void highest_id(struct session *session)
{
    uint32_t id = session->client ? UINT32_MAX : UINT32_MAX - 1;
    session_open(session, id);
    session_data(session, 0, id, "m", 1);
    session_expect_text(session, id, 0, "m");
}

/* ---- SYN with other flags ---- */

static void warn_without_ack(struct session *session, uint32_t id)
{
    if (session_stream(session, id)->acks == 0) {
        spec_warn(session, "stream %u was never acknowledged", id);
    }
}

static void syn_fin_with_payload(struct session *session)
{
    uint32_t id = session_id(session, 1);
    session_data(session, WIRE_SYN | WIRE_FIN, id, "hi", 2);
    session_expect_text(session, id, 0, "hi");
    session_expect_fin(session, id);
    warn_without_ack(session, id);
}

static void syn_fin(struct session *session)
{
    uint32_t id = session_id(session, 1);
    if (session->preface_length) {
        spec_skip(session, "a stream that begins with a preface has input");
    }
    session_send(session, WIRE_UPDATE, WIRE_SYN | WIRE_FIN, id, 0);
    session_expect_fin(session, id);
    warn_without_ack(session, id);
}

static void syn_rst(struct session *session)
{
    uint32_t id = session_id(session, 1);
    session_send(session, WIRE_UPDATE, WIRE_SYN | WIRE_RST, id, 0);
    session_expect_alive(session);
    session_settle(session);
    struct stream *stream = session_stream(session, id);
    if (stream->resets) {
        spec_fail(session, "SYN|RST is answered with RST");
    }
    session_data(session, 0, id, "y", 1);
    session_settle(session);
    if (stream->received) {
        spec_fail(session, "SYN|RST leaves a stream that echoes");
    }
    session_expect_alive(session);
}

static void syn_ack(struct session *session)
{
    uint32_t id = session_id(session, 1);
    session_send(session, WIRE_UPDATE, WIRE_SYN | WIRE_ACK, id, 0);
    if (traffic_is_over(session)) {
        spec_choice(session, "syn-ack", "closed");
        return;
    }
    session_data(session, 0, id, "x", 1);
    session_settle(session);
    struct stream *stream = session_stream(session, id);
    spec_choice(session, "syn-ack",
                stream->resets     ? "refused"
                : stream->received ? "accepted"
                                   : "ignored");
    session_judge_choice(session);
}

static void all_flags(struct session *session)
{
    static const unsigned flags[] = {0xf, 0xd};
    for (uint32_t i = 0; i < 2; i++) {
        session_send(session, WIRE_UPDATE, flags[i], session_id(session, i + 1),
                     0);
        session_judge_choice(session);
        session_reconnect(session);
        session_expect_alive(session);
    }
}

/* ---- more than is accepted ---- */

static bool are_answered(struct session *session, void *context)
{
    const uint32_t *range = context;
    for (uint32_t n = range[0]; n < range[1]; n++) {
        if (!is_answered(session,
                         session_stream(session, session_id(session, n)))) {
            return false;
        }
    }
    return true;
}

struct tally {
    unsigned acks;
    unsigned resets;
    uint32_t refused; /* the last id that was */
};

static struct tally count(struct session *session, uint32_t last)
{
    struct tally tally = {0};
    for (uint32_t n = 1; n <= last; n++) {
        struct stream *stream = session_stream(session, session_id(session, n));
        tally.acks += stream->acks > 0;
        tally.resets += stream->resets > 0;
        tally.refused = stream->resets ? stream->id : tally.refused;
    }
    return tally;
}

static void note_backlog(struct session *session, struct tally tally)
{
    if (tally.resets) {
        spec_note(session, "%u of %u streams were refused", tally.resets,
                  OVERFLOW);
    } else {
        spec_note(session, "none of %u streams was refused", OVERFLOW);
    }
}

static void backlog(struct session *session)
{
    for (uint32_t n = 1; n <= OVERFLOW; n++) {
        session_open(session, session_id(session, n));
    }
    bool over = traffic_is_over(session);
    session_settle(session);
    struct tally tally = count(session, OVERFLOW);
    spec_choice(session, "backlog",
                over           ? "closed"
                : tally.resets ? "refuses"
                               : "no limit seen");
    note_backlog(session, tally);
    if (tally.acks == OVERFLOW) {
        spec_fail(session,
                  "all %u streams are acknowledged, though the "
                  "application accepts none",
                  OVERFLOW);
    }
    if (over) {
        spec_warn(session, "more streams than are accepted end the session");
    }
}

static void full_window_at_once(struct session *session)
{
    uint32_t id = session_id(session, 1);
    traffic_frame(session, WIRE_SYN, id, session_window(session));
    session_expect_pattern(session, id, session_window(session));
}

static void data_of_refused(struct session *session)
{
    uint8_t bytes[1000];
    memset(bytes, 0xff, sizeof bytes); /* no header: its version is 255 */
    for (uint32_t n = 1; n <= OVERFLOW; n++) {
        session_cork(session);
        session_open(session, session_id(session, n));
        session_data(session, 0, session_id(session, n), bytes, sizeof bytes);
        session_uncork(session);
    }
    session_expect_alive(session);
    session_settle(session);
    struct tally tally = count(session, OVERFLOW);
    note_backlog(session, tally);
    if (tally.resets) { /* and once more, now that it is refused */
        session_data(session, 0, tally.refused, bytes, sizeof bytes);
        session_expect_alive(session);
    }
}

static void reset_before_accept(struct session *session)
{
    for (uint32_t n = 1; n <= 1000; n++) {
        session_open(session, session_id(session, n));
        session_send(session, WIRE_UPDATE, WIRE_RST, session_id(session, n), 0);
    }
    session_expect_alive(session);
    session_settle(session);
    uint32_t id = session_id(session, 1001);
    traffic_open(session, id);
    session_settle(session);
    if (session_stream(session, id)->resets) {
        spec_warn(session, "1000 streams that were reset before they were "
                           "accepted still take the room of new ones");
    }
    session_expect_alive(session);
}

static void live_limit(struct session *session)
{
    struct tally tally = {0};
    uint32_t n = 1;
    for (; n <= LIVE && !tally.resets && !session->closed; n += BATCH) {
        uint32_t range[] = {n, n + BATCH};
        for (uint32_t i = n; i < n + BATCH; i++) {
            session_open(session, session_id(session, i));
        }
        session_wait(session, session->grace_ms, are_answered, range);
        tally = count(session, n + BATCH - 1);
    }
    bool over = traffic_is_over(session);
    tally = count(session, n - 1);
    spec_choice(session, "live-limit",
                over           ? "closed"
                : tally.resets ? "refuses"
                               : "none seen");
    if (tally.resets) {
        spec_note(session, "about %u streams may live", n - 1 - tally.resets);
    } else if (!over) {
        spec_warn(session, "%u streams may live at once; no limit is seen",
                  LIVE);
    }
    if (over) {
        spec_warn(session, "too many streams end the session");
    }
}

const struct spec_case case_accept[] = {
    {"O-01", "a stream is acknowledged when it is accepted", "WU SYN",
     "spec.md 88-93", SPEC_ECHO, SPEC_MUST, 0, 0, open_on_update},
    {"O-02", "SYN may come on Data with a payload", "Data SYN \"hello\"",
     "spec.md 88", SPEC_ECHO, SPEC_MUST, 0, 0, open_on_data},
    {"O-03", "SYN may come on empty Data", "Data SYN len 0; \"x\"",
     "spec.md 34-35, 88", SPEC_ECHO, SPEC_MUST, 0, 0, open_on_empty_data},
    {"O-04", "the length of WU SYN is added to the window",
     "WU SYN delta 262144; 768 KiB as credit allows; nothing granted",
     "spec.md 76, 126; rust-yamux 92", SPEC_ECHO, SPEC_MUST, 0, 0,
     credit_in_syn},
    {"O-05", "a stream is acknowledged exactly once, at first",
     "three streams with 400 KB each", "spec.md 91-93; tentacle 416", SPEC_ECHO,
     SPEC_MUST, 0, 0, acknowledges_once},
    {"O-06", "the credit that comes with the ACK may be used at once",
     "WU SYN; all that the window and the ACK allow", "spec.md 125-127",
     SPEC_SINK, SPEC_MUST, 0, 0, credit_in_ack},
    {"O-07", "a SYN with an id of the peer's own parity ends the session",
     "Data SYN \"hello\" on our 2 (or 1); ping", "spec.md 64-67", SPEC_ECHO,
     SPEC_SHOULD, 0, 0, other_parity},
    {"O-08", "a SYN on id 0 ends the session", "Data SYN \"hello\" on 0; ping",
     "spec.md 66", SPEC_ECHO, SPEC_SHOULD, 0, 0, id_zero},
    {"O-09", "a second SYN never makes a second stream", "WU SYN twice; ping",
     "hashicorp closes; js ignores", SPEC_ECHO, SPEC_MUST, 0, 0, syn_twice},
    {"O-10", "ids may come out of order", "streams 9, then 3",
     "hashicorp takes an id before it queues the frame", SPEC_ECHO, SPEC_SHOULD,
     0, 0, decreasing_ids},
    {"O-11", "the id of a closed stream may be used again",
     "\"a\", FIN, FIN; the same id with \"b\"", "hashicorp accepts", SPEC_ECHO,
     SPEC_SHOULD, 0, 0, reuse_after_close},
    {"O-12", "the id of a stream that was reset, used again",
     "\"a\", RST; the same id with \"b\"", "hashicorp accepts", SPEC_ECHO,
     SPEC_CHOICE, 0, 0, reuse_after_reset},
    {"O-13", "the highest id is an id", "WU SYN on ffffffff (or fffffffe)",
     "spec.md 18, 64", SPEC_ECHO, SPEC_MUST, 0, 0, highest_id},
    {"O-14", "SYN|FIN with a payload delivers it, then the end",
     "Data SYN|FIN \"hi\"", "spec.md 50-57", SPEC_ECHO, SPEC_MUST, 0, 0,
     syn_fin_with_payload},
    {"O-15", "SYN|FIN is a stream without input", "WU SYN|FIN", "spec.md 50-57",
     SPEC_ECHO, SPEC_MUST, 0, 0, syn_fin},
    {"O-16", "SYN|RST leaves nothing behind and has no answer",
     "WU SYN|RST; ping", "spec.md 59, 115", SPEC_ECHO, SPEC_MUST, 0, 0,
     syn_rst},
    {"O-17", "SYN|ACK is answered one way or another", "WU SYN|ACK; ping",
     "hashicorp accepts; smoldot ends the session", SPEC_ECHO, SPEC_CHOICE, 0,
     0, syn_ack},
    {"O-18", "all flags at once do no harm", "WU SYN|ACK|FIN|RST; WU 000d",
     "spec.md 50-60", SPEC_ECHO, SPEC_MUST, 0, 0, all_flags},
    {"O-19", "streams that nobody accepts are refused at some number",
     "300 times WU SYN", "hashicorp AcceptBacklog; libp2p yamux r0",
     SPEC_NOACCEPT, SPEC_MUST, 0, 0, backlog},
    {"O-20", "a full window may come with the SYN", "Data SYN of 262144 bytes",
     "spec.md 95, 120", SPEC_ECHO, SPEC_MUST, 0, 0, full_window_at_once},
    {"O-21", "data of a refused stream is drained",
     "300 times WU SYN and Data of 1000 times ff; ping", "spec.md 101-105",
     SPEC_NOACCEPT, SPEC_MUST, 0, 0, data_of_refused},
    {"O-22", "a stream that is reset before it is accepted takes no room",
     "1000 times WU SYN, WU RST; one more", "CVE-2023-44487, rapid reset",
     SPEC_NOACCEPT, SPEC_SHOULD, 0, 0, reset_before_accept},
    {"O-23", "the number of streams that live has a limit",
     "2000 streams that stay", "CVE-2022-23492", SPEC_HOLD, SPEC_SHOULD, 0, 0,
     live_limit},
    {0}};
