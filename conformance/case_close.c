#include <stdio.h>
#include <string.h>

#include "conformance/traffic.h"

#define BATCH 50u /* streams at once: below every known backlog */
#define BATCHES 20u
#define KIB 1024u

static void finish(struct session *session, uint32_t id)
{
    session_send(session, WIRE_UPDATE, WIRE_FIN, id, 0);
}

/* ---- FIN and what is before it ---- */

/* "tail" and then the end, in this order. */
static void expect_tail(struct session *session, uint32_t id)
{
    session_expect_text(session, id, 0, "tail");
    session_expect_fin(session, id);
    struct stream *stream = session_stream(session, id);
    if (stream->received != 4 || stream->after_fin) {
        spec_fail(session, "%llu bytes came instead of 4, %llu after the FIN",
                  (unsigned long long)stream->received,
                  (unsigned long long)stream->after_fin);
    }
}

static void fin_on_update(struct session *session)
{
    uint32_t id = session_id(session, 1);
    session_cork(session);
    session_open(session, id);
    session_data(session, 0, id, "tail", 4);
    finish(session, id);
    session_uncork(session);
    expect_tail(session, id);
    spec_choice(session, "fin-frame",
                session_stream(session, id)->fin_frame.type == WIRE_DATA
                    ? "Data"
                    : "WU");
}

struct range {
    uint32_t first;
    uint32_t last;
};

static bool all_open(struct session *session, void *context)
{
    const struct range *range = context;
    for (uint32_t n = range->first; n <= range->last; n++) {
        if (session_stream(session, session_id(session, n))->frames == 0) {
            return false;
        }
    }
    return true;
}

static bool all_finished(struct session *session, void *context)
{
    const struct range *range = context;
    for (uint32_t n = range->first; n <= range->last; n++) {
        struct stream *stream = session_stream(session, session_id(session, n));
        if (!stream->fins && !stream->resets) {
            return false;
        }
    }
    return true;
}

static void fin_with_payload(struct session *session)
{
    unsigned lost = 0;
    for (uint32_t i = 0; i < BATCHES; i++) {
        struct range range = {1 + i * BATCH, (i + 1) * BATCH};
        for (uint32_t n = range.first; n <= range.last; n++) {
            session_open(session, session_id(session, n));
        }
        session_wait(session, session->grace_ms, all_open, &range);
        for (uint32_t n = range.first; n <= range.last; n++) {
            session_data(session, WIRE_FIN, session_id(session, n), "tail", 4);
        }
        if (session_wait(session, session->timeout_ms, all_finished, &range) !=
            SESSION_GOT) {
            session_judge_choice(session);
            spec_fail(session,
                      "a stream that ended with Data FIN was not "
                      "finished; the connection is %s",
                      session_ending(session));
        }
        for (uint32_t n = range.first; n <= range.last; n++) {
            lost +=
                session_stream(session, session_id(session, n))->received != 4;
        }
    }
    if (lost) {
        spec_fail(session,
                  "the payload of Data FIN was lost on %u streams of "
                  "%u",
                  lost, BATCHES * BATCH);
    }
}

static void fin_before_payload(struct session *session)
{
    unsigned lost = 0;
    for (uint32_t n = 1; n <= BATCH; n++) {
        uint32_t id = session_id(session, n);
        session_open(session, id);
        session_send(session, WIRE_DATA, WIRE_FIN, id, 4);
        session_sleep(session, 5);
        session_write(session, "tail", 4);
        session_expect_fin(session, id);
        lost += session_stream(session, id)->received != 4;
    }
    if (lost) {
        spec_fail(session,
                  "the payload of Data FIN, 5 ms behind its header, "
                  "was lost on %u streams of %u",
                  lost, BATCH);
    }
}

static void fin_on_empty_data(struct session *session)
{
    uint32_t id = session_id(session, 1);
    session_open(session, id);
    session_data(session, 0, id, "tail", 4);
    session_data(session, WIRE_FIN, id, NULL, 0);
    expect_tail(session, id);
}

static void fin_without_data(struct session *session)
{
    for (uint32_t n = 1; n <= 3; n++) {
        uint32_t id = session_id(session, n);
        session_open(session, id);
        finish(session, id);
        session_expect_fin(session, id);
    }
    session_expect_alive(session);
}

/* ---- FIN and what is after it ---- */

static void fin_twice(struct session *session)
{
    uint32_t id = session_id(session, 1);
    traffic_open(session, id);
    finish(session, id);
    finish(session, id);
    bool over = traffic_is_over(session);
    session_settle(session);
    spec_choice(session, "fin-twice",
                over                                  ? "closed"
                : session_stream(session, id)->resets ? "reset"
                                                      : "ignored");
    if (over) {
        spec_warn(session, "a second FIN ends the session");
    }
}

static void data_after_fin(struct session *session)
{
    uint32_t id = session_id(session, 1);
    traffic_open(session, id);
    finish(session, id);
    session_data(session, 0, id, "late", 4);
    bool over = traffic_is_over(session);
    session_settle(session);
    bool reset = session_stream(session, id)->resets > 0;
    spec_choice(session, "data-after-fin",
                over    ? "closed"
                : reset ? "reset"
                        : "ignored");
    if (!over && !reset) {
        spec_warn(session, "data after our FIN is taken in silence");
    }
}

static void late_after_close(struct session *session)
{
    uint32_t id = session_id(session, 1);
    session_expect_echo(session, 1, "a");
    finish(session, id);
    session_expect_fin(session, id);
    session_settle(session); /* FIN may go before its sender has forgotten */
    session_data(session, 0, id, "late", 4);
    session_send(session, WIRE_UPDATE, 0, id, 1000);
    finish(session, id);
    session_send(session, WIRE_UPDATE, WIRE_RST, id, 0);
    traffic_expect_silence(session, id, 0);
}

/* ---- the application ---- */

static void expect_report(struct session *session, const char *label,
                          uint64_t bytes)
{
    struct session_report report = session_ask_report(session, label);
    if (report.bytes != bytes || strcmp(report.end, "eof") != 0) {
        spec_fail(session,
                  "the application sees %llu bytes and \"%s\"; %llu were "
                  "sent, and FIN",
                  (unsigned long long)report.bytes, report.end,
                  (unsigned long long)bytes);
    }
}

static void peer_finishes_first(struct session *session)
{
    char label[40];
    snprintf(label, sizeof label, "%s", session_label(session));
    uint32_t id = session_command(session, "finish %s", label);
    session_expect_fin(session, id);
    session_pour(session, id, KIB * KIB, 16384);
    finish(session, id);
    expect_report(session, label, KIB * KIB);
}

static void read_after_fin(struct session *session)
{
    char label[40];
    snprintf(label, sizeof label, "%s", session_label(session));
    uint32_t id =
        session_command(session, "watch %s %u", label, session->timeout_ms / 4);
    session_pour(session, id, 100 * KIB, 16384);
    finish(session, id);
    expect_report(session, label, 100 * KIB);
}

static void flush_before_fin(struct session *session)
{
    uint32_t id = session_command(session, "write %u", 300 * KIB);
    struct stream *stream = session_stream(session, id);
    session_expect_pattern(session, id, stream->granted);
    session_settle(session);
    if (stream->fins) {
        spec_fail(session, "FIN came before %llu bytes that wait for credit",
                  (unsigned long long)300 * KIB - stream->received);
    }
    session_send(session, WIRE_UPDATE, 0, id, WIRE_WINDOW);
    session_expect_pattern(session, id, 300 * KIB);
    session_expect_fin(session, id);
    if (stream->after_fin) {
        spec_fail(session, "%llu bytes came after FIN",
                  (unsigned long long)stream->after_fin);
    }
}

struct reader {
    struct stream *stream;
    uint64_t credit; /* that it had given when it was gone */
};

static bool reads_on(const struct reader *reader)
{
    return reader->stream->credit > reader->credit;
}

static bool closed_reader_answers(struct session *session, void *context)
{
    (void)session;
    const struct reader *reader = context;
    return reader->stream->resets || reads_on(reader);
}

static void reader_gone(struct session *session)
{
    uint32_t id = session_command(session, "close");
    struct stream *stream = session_stream(session, id);
    session_expect_fin(session, id);
    session_settle(session);
    struct reader reader = {stream, stream->credit};
    unsigned limit = (session->slow ? 14 : 1) * session->timeout_ms;
    uint64_t begun = session_now_ms();
    while (stream->sent + KIB <= stream->credit &&
           !closed_reader_answers(session, &reader) &&
           session_can_write(session)) {
        session_pour(session, id, KIB, KIB);
    }
    session_wait(session, limit, closed_reader_answers, &reader);
    spec_choice(session, "closed-reader",
                stream->resets      ? "resets"
                : reads_on(&reader) ? "reads on"
                                    : "leaves us waiting");
    if (closed_reader_answers(session, &reader)) {
        spec_note(session, "after %llu ms",
                  (unsigned long long)(session_now_ms() - begun));
    } else {
        spec_warn(session,
                  "a stream that is closed both ways lets its writer wait, "
                  "for %u ms",
                  limit);
    }
    session_expect_alive(session);
}

static void ack_with_fin_on_data(struct session *session)
{
    session_ask_open(session, 1, 1, "echo", "-");
    if (session_wait_opened(session, 1) != SESSION_GOT) {
        spec_fail(session, "the peer was asked to open a stream: none came");
    }
    uint32_t id = session->opened_ids[0];
    session_data(session, WIRE_ACK | WIRE_FIN, id, NULL, 0);
    session_expect_fin(session, id);
    session_expect_alive(session);
}

static void connection_ends(struct session *session)
{
    char label[40];
    snprintf(label, sizeof label, "%s", session_label(session));
    uint32_t id = session_command(session, "watch %s 0", label);
    session_data(session, 0, id, "0123456789", 10);
    session_settle(session);
    session_reconnect(session);
    struct session_report report = session_ask_report(session, label);
    if (strcmp(report.end, "lost") != 0 && strcmp(report.end, "reset") != 0 &&
        strcmp(report.end, "error") != 0) {
        spec_fail(session,
                  "the connection ended with a stream open; the application "
                  "sees \"%s\" after %llu bytes",
                  report.end, (unsigned long long)report.bytes);
    }
}

const struct spec_case case_close[] = {
    {"C-01", "all data, then the end: FIN on a window update",
     "WU SYN, \"tail\", WU FIN", "spec.md 107-112", SPEC_ECHO, SPEC_MUST, 0, 0,
     fin_on_update},
    {"C-02", "a payload that comes with FIN is not lost",
     "Data FIN \"tail\", on 1000 streams", "spec.md 56; hashicorp loses some",
     SPEC_ECHO, SPEC_MUST, 0, 60000, fin_with_payload},
    {"C-03", "a payload that comes behind its FIN is not lost",
     "header of Data FIN, 5 ms, \"tail\", on 50 streams",
     "spec.md 56; go-yamux loses all", SPEC_ECHO, SPEC_MUST, 0, 0,
     fin_before_payload},
    {"C-04", "FIN may come on empty Data", "\"tail\", Data FIN len 0",
     "spec.md 56; rust-yamux sends it", SPEC_ECHO, SPEC_MUST, 0, 0,
     fin_on_empty_data},
    {"C-05", "a second FIN is tolerated", "WU FIN twice; ping",
     "hashicorp closes; go-yamux ignores", SPEC_HOLD, SPEC_SHOULD, 0, 0,
     fin_twice},
    {"C-06", "data after FIN is refused", "WU FIN, Data \"late\"; ping",
     "spec.md 111", SPEC_HOLD, SPEC_SHOULD, 0, 0, data_after_fin},
    {"C-07", "a peer that has finished reads on and gives credit",
     "the peer's FIN; 1 MiB, FIN", "spec.md 109-112", SPEC_APP, SPEC_MUST, 0, 0,
     peer_finishes_first},
    {"C-08", "late frames for a closed stream are ignored",
     "FIN both ways; Data, WU, WU FIN, WU RST; ping", "rust-yamux 110",
     SPEC_ECHO, SPEC_MUST, 0, 0, late_after_close},
    {"C-09", "a stream without data is finished too", "WU SYN, WU FIN",
     "spec.md 107-112", SPEC_ECHO, SPEC_MUST, 0, 0, fin_without_data},
    {"C-10", "what came before FIN can be read after it",
     "100 KiB, FIN; the application reads later", "spec.md 109-112", SPEC_APP,
     SPEC_MUST, 0, 0, read_after_fin},
    {"C-11", "FIN does not overtake data that waits for credit",
     "the peer writes 300 KiB and closes; WU delta 262144",
     "jvm-libp2p 320, 330", SPEC_APP, SPEC_MUST, 0, 0, flush_before_fin},
    {"C-12", "a writer whose reader is gone is told",
     "the peer closes both ways; 256 KiB; --slow: 14 T (42 s)", "hashicorp 133",
     SPEC_APP, SPEC_SHOULD, 0, 60000, reader_gone},
    {"C-13", "both flags of ACK|FIN on empty Data count",
     "Data ACK|FIN len 0 on the peer's stream", "rust-yamux sends it",
     SPEC_OPENER, SPEC_MUST, 0, 0, ack_with_fin_on_data},
    {"C-14", "the end of the connection is no end of a stream",
     "10 bytes, end of connection", "hashicorp 95: truncation looks like EOF",
     SPEC_APP, SPEC_MUST, 0, 0, connection_ends},
    {0}};
