#include <stdio.h>
#include <string.h>

#include "conformance/traffic.h"

#define RAPID 10000u /* streams that are opened and reset */
#define CODE 0x1005u

static void reset(struct session *session, uint32_t id)
{
    session_send(session, WIRE_UPDATE, WIRE_RST, id, 0);
}

/* The session lives, and nothing came on the stream. */
static void expect_quiet(struct session *session, uint32_t id)
{
    session_expect_alive(session);
    session_settle(session);
    struct stream *stream = session_stream(session, id);
    if (stream->resets) {
        spec_fail(session, "RST is answered with RST");
    }
    if (stream->fins) {
        spec_fail(session, "RST is answered with FIN: taken for an end");
    }
}

static void on_update(struct session *session)
{
    session_expect_echo(session, 1, "a");
    reset(session, session_id(session, 1));
    expect_quiet(session, session_id(session, 1));
}

static void on_empty_data(struct session *session)
{
    session_expect_echo(session, 1, "a");
    session_data(session, WIRE_RST, session_id(session, 1), NULL, 0);
    expect_quiet(session, session_id(session, 1));
}

/* Its payload is a ping, so that one who takes it for a frame is seen. */
static void with_payload(struct session *session)
{
    uint8_t ping[WIRE_HEADER];
    wire_encode(ping, (struct wire_frame){.type = WIRE_PING,
                                          .flags = WIRE_SYN,
                                          .length = 0x1234});
    session_expect_echo(session, 1, "a");
    session_data(session, WIRE_RST, session_id(session, 1), ping, sizeof ping);
    session_settle(session);
    if (session->pongs) {
        spec_fail(session, "the payload of Data RST was taken for a frame");
    }
    if (traffic_is_over(session)) {
        spec_choice(session, "reset-with-payload", "closed");
        return;
    }
    spec_choice(session, "reset-with-payload", "drained");
    session_expect_echo(session, 2, "a");
    session_data(session, WIRE_RST, session_id(session, 2), "junk", 4);
    expect_quiet(session, session_id(session, 2));
}

static void with_code(struct session *session)
{
    session_expect_echo(session, 1, "a");
    session_send(session, WIRE_UPDATE, WIRE_RST, session_id(session, 1), CODE);
    expect_quiet(session, session_id(session, 1));
}

static void on_unknown(struct session *session)
{
    reset(session, session_id(session, 39));
    session_expect_alive(session);
}

static void late_after_reset(struct session *session)
{
    uint32_t id = session_id(session, 1);
    session_expect_echo(session, 1, "a");
    reset(session, id);
    reset(session, id);
    session_data(session, 0, id, "late", 4);
    session_send(session, WIRE_UPDATE, 0, id, 1000);
    session_send(session, WIRE_UPDATE, WIRE_FIN, id, 0);
    traffic_expect_silence(session, id, 0);
}

static void with_fin(struct session *session)
{
    session_expect_echo(session, 1, "a");
    session_send(session, WIRE_UPDATE, WIRE_FIN | WIRE_RST,
                 session_id(session, 1), 0);
    expect_quiet(session, session_id(session, 1));
}

static void peer_resets(struct session *session)
{
    char line[16];
    uint32_t id = session_command(session, "reset");
    struct stream *stream = session_stream(session, id);
    if (session_wait_reset(session, id) != SESSION_GOT) {
        session_answer(session, id, 0, line, sizeof line); /* unsupported? */
        spec_fail(session,
                  "the application should reset stream %u; it says "
                  "\"%s\"",
                  id, line);
    }
    unsigned frames = stream->frames;
    session_settle(session);
    if (stream->frames > frames || stream->resets > 1 || stream->after_reset) {
        spec_fail(session, "stream %u goes on after the peer's RST", id);
    }
    if (stream->reset_frame.type != WIRE_UPDATE ||
        stream->reset_frame.length != 0) {
        spec_warn(session, "RST is not on an update of nothing");
    }
    session_expect_alive(session);
}

static void rapid(struct session *session)
{
    session_cork(session);
    for (uint32_t n = 1; n <= RAPID; n++) {
        session_open(session, session_id(session, n));
        reset(session, session_id(session, n));
    }
    session_uncork(session);
    session_expect_alive(session);
    uint64_t deadline = session_now_ms() + session->timeout_ms;
    for (uint32_t n = RAPID + 1;; n++) {
        uint32_t id = session_id(session, n);
        session_open(session, id);
        session_data(session, 0, id, "x", 1);
        session_listen(session, 50);
        if (session_stream(session, id)->resets == 0) {
            session_expect_text(session, id, 0, "x");
            break;
        }
        if (session_now_ms() >= deadline) {
            spec_fail(session,
                      "%u streams that were reset at once: no new one "
                      "is accepted any more",
                      RAPID);
        }
    }
    session_expect_alive(session);
}

static void reader_is_told(struct session *session)
{
    static const uint8_t bytes[1000];
    char label[40];
    snprintf(label, sizeof label, "%s", session_label(session));
    uint32_t id =
        session_command(session, "watch %s %u", label, session->timeout_ms / 4);
    session_data(session, 0, id, bytes, sizeof bytes);
    session_wait_known(session, label);
    reset(session, id);
    struct session_report report = session_ask_report(session, label);
    traffic_expect_reset_report(session, report);
    spec_choice(session, "reset-drops",
                report.bytes == sizeof bytes ? "readable" : "dropped");
}

const struct spec_case case_reset[] = {
    {"R-01", "RST has no answer", "a stream; WU RST; ping", "spec.md 114-116",
     SPEC_ECHO, SPEC_MUST, 0, 0, on_update},
    {"R-02", "RST may come on empty Data", "a stream; Data RST len 0; ping",
     "spec.md 59", SPEC_ECHO, SPEC_MUST, 0, 0, on_empty_data},
    {"R-03", "a payload that comes with RST is drained",
     "Data RST with a ping inside; Data RST \"junk\"; ping",
     "spec.md 59; smoldot ends the session", SPEC_ECHO, SPEC_MUST, 0, 0,
     with_payload},
    {"R-04", "the length of an RST is a code, no credit", "WU RST len 1005",
     "libp2p specs 622", SPEC_ECHO, SPEC_MUST, 0, 0, with_code},
    {"R-05", "RST for an unknown stream is ignored", "WU RST on id 77; ping",
     "rust-yamux may send RST without SYN", SPEC_ANY, SPEC_MUST, 0, 0,
     on_unknown},
    {"R-06", "late frames for a stream that was reset are ignored",
     "WU RST twice, Data, WU, WU FIN; ping", "spec.md 114-116", SPEC_ECHO,
     SPEC_MUST, 0, 0, late_after_reset},
    {"R-07", "RST is stronger than FIN", "WU FIN|RST; ping",
     "spec.md 56-59, 114-116", SPEC_ECHO, SPEC_MUST, 0, 0, with_fin},
    {"R-08", "nothing follows the peer's RST", "the peer resets a stream",
     "spec.md 114-116", SPEC_APP, SPEC_MUST, 0, 0, peer_resets},
    {"R-09", "streams that are reset at once leave room for others",
     "10000 times WU SYN, WU RST; a stream", "CVE-2023-44487", SPEC_ECHO,
     SPEC_MUST, SPEC_OPENS, 0, rapid},
    {"R-10", "a reader is told of the reset", "1000 bytes unread, WU RST",
     "spec.md 114-116; rust-yamux says EOF", SPEC_APP, SPEC_MUST, 0, 0,
     reader_is_told},
    {0}};
