#include <string.h>

#include "conformance/traffic.h"

#define UNSENT 8388608u /* bytes: more than any transport buffers */

static void goaway(struct session *session, uint32_t code)
{
    session_send(session, WIRE_GOAWAY, 0, 0, code);
}

/* The end of the session; its manner is not the matter. */
static void expect_over(struct session *session, const char *stimulus)
{
    if (session_wait_closed(session, session->grace_ms) == SESSION_CLOSED) {
        return;
    }
    if (session_judge_choice(session) == SESSION_ALIVE) {
        spec_fail(session, "%s: the session should be over; it goes on",
                  stimulus);
    }
}

static bool dead(struct session *session)
{
    return session_judge_choice(session) == SESSION_DEAD;
}

/* A stream that echoes "a". */
static uint32_t talk(struct session *session)
{
    session_expect_echo(session, 1, "a");
    return session_id(session, 1);
}

static void drains(struct session *session)
{
    uint32_t stream = talk(session);
    goaway(session, 0);
    session_data(session, 0, stream, "b", 1);
    enum session_wait got = session_wait_data(session, stream, 2);
    if (got == SESSION_CLOSED) {
        spec_choice(session, "goaway-0", "closed");
        spec_warn(session, "GoAway(0) ends streams that are open");
        return;
    }
    if (got == SESSION_TIMEOUT || dead(session)) {
        spec_hung(session,
                  "after GoAway(0) stream %u neither goes on nor "
                  "ends",
                  stream);
    }
    spec_choice(session, "goaway-0", "drains");
}

static void opens_no_more(struct session *session)
{
    static const char command[] = "open 1 0 echo -\n";
    uint32_t stream = session_id(session, 1);
    if (!session->control) {
        traffic_open(session, stream);
    }
    goaway(session, 0);
    session_settle(session);
    if (session->control) {
        session_ask_open(session, 1, 0, "echo", "-");
    } else {
        session_data(session, 0, stream, command, sizeof command - 1);
    }
    session_settle(session);
    if (session->opened) {
        spec_fail(session, "stream %u was opened after our GoAway(0)",
                  session->opened_ids[0]);
    }
}

static void open_after_own(struct session *session)
{
    uint32_t stream = session_id(session, 1);
    goaway(session, 0);
    session_cork(session);
    session_open(session, stream);
    session_data(session, 0, stream, "x", 1);
    session_uncork(session);
    session_settle(session);
    struct stream *books = session_stream(session, stream);
    const char *answer = dead(session)          ? "closed"
                         : books->resets        ? "refused"
                         : books->received == 1 ? "accepted"
                                                : "ignored";
    spec_choice(session, "open-after-own-goaway", "%s", answer);
}

static void protocol_error(struct session *session)
{
    goaway(session, 1);
    expect_over(session, "GoAway(1)");
    if (session->opened) {
        spec_fail(session, "a stream was opened after GoAway(1)");
    }
}

static void internal_error(struct session *session)
{
    goaway(session, 2);
    expect_over(session, "GoAway(2)");
}

static void unknown_codes(struct session *session)
{
    static const uint32_t codes[] = {3, 0x1005};
    for (unsigned i = 0; i < 2; i++) {
        if (i) {
            session_reconnect(session);
        }
        goaway(session, codes[i]);
        if (session_wait_closed(session, session->grace_ms) != SESSION_CLOSED &&
            !dead(session)) {
            spec_warn(session, "GoAway(0x%x) is not taken for an error",
                      codes[i]);
        }
    }
}

static bool dies_of(struct session *session, struct wire_frame frame,
                    unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        session_send_frame(session, frame);
    }
    session_settle(session);
    return session->closed || dead(session) || session->goaways;
}

static void on_a_stream(struct session *session)
{
    struct wire_frame frame = {.type = WIRE_GOAWAY,
                               .stream = session_id(session, 1)};
    bool closed = dies_of(session, frame, 1);
    spec_choice(session, "goaway-stream-id", closed ? "closed" : "lives");
}

static void with_flags(struct session *session)
{
    struct wire_frame frame = {.type = WIRE_GOAWAY};
    bool closed = dies_of(session, frame, 1);
    session_reconnect(session);
    frame.flags = WIRE_SYN | WIRE_FIN;
    bool closed_flagged = dies_of(session, frame, 1);
    spec_choice(session, "goaway-flags",
                closed == closed_flagged ? "ignored" : "closed");
    if (closed != closed_flagged) {
        spec_warn(session, "GoAway(0) with flags does other than without");
    }
}

static void twice(struct session *session)
{
    struct wire_frame frame = {.type = WIRE_GOAWAY};
    if (dies_of(session, frame, 1)) {
        spec_choice(session, "goaway-twice", "closed by the first");
        return;
    }
    session_reconnect(session);
    bool closed = dies_of(session, frame, 2);
    spec_choice(session, "goaway-twice", closed ? "closed" : "ignored");
    if (closed) {
        spec_warn(session, "a second GoAway(0) ends the session");
    }
}

/* ---- the peer's own ---- */

static void says_goodbye(struct session *session)
{
    uint32_t stream = session_command(session, "shutdown");
    session_send(session, WIRE_UPDATE, WIRE_FIN, stream, 0);
    if (session_wait_closed(session, session->timeout_ms) != SESSION_CLOSED) {
        session_judge_choice(session);
        if (session_stream(session, stream)->received) {
            spec_skip(session, "the peer's application has no such command");
        }
        spec_fail(session, "the application closed the session; the "
                           "connection stays open");
    }
    if (session->goaways == 0) {
        spec_warn(session, "the session was closed without a GoAway(0)");
    } else if (session->goaways > 1 || session->goaway.length != 0) {
        spec_warn(session,
                  "%u GoAway, the first with code %u, instead of "
                  "one with 0",
                  session->goaways, session->goaway.length);
    }
}

static void goaway_is_last(struct session *session)
{
    static uint8_t more[65536];
    struct wire_frame frame = {.version = 1, .type = WIRE_PING};
    session_cork(session);
    session_send_frame(session, frame);
    /* what is still unread when they close makes the kernel send RST */
    session_write(session, more, sizeof more);
    session_uncork(session);
    if (session_wait_closed(session, session->timeout_ms) != SESSION_CLOSED) {
        session_judge_choice(session);
        spec_fail(session, "version 1: the session should have ended");
    }
    if (session->goaways == 0 || session->goaway.length != 1) {
        spec_warn(session, "no GoAway(1) reached us: the connection is %s",
                  session_ending(session));
    } else if (session->frame_after_goaway) {
        spec_warn(session, "frames came after GoAway(1)");
    }
}

/* Stream 1 drains and echoes; returns its bytes so far. */
static uint64_t drain(struct session *session, uint32_t *stream)
{
    char line[64];
    *stream = session_command(session, "drain");
    uint64_t offset = session_answer(session, *stream, 0, line, sizeof line);
    if (strcmp(line, "draining") != 0) {
        spec_fail(session, "the application answers \"%s\"", line);
    }
    if (session_wait_goaway(session) != SESSION_GOT ||
        session->goaway.length != 0) {
        spec_fail(session, "the application drains; no GoAway(0) came");
    }
    return offset;
}

static void refuses_when_draining(struct session *session)
{
    uint32_t old;
    uint32_t stream = session_id(session, 2);
    uint64_t offset = drain(session, &old);
    session_cork(session);
    session_open(session, stream);
    session_data(session, 0, stream, "0123456789", 10);
    session_data(session, 0, old, "still", 5);
    session_uncork(session);
    session_expect_text(session, old, offset, "still");
    session_settle(session);
    struct stream *books = session_stream(session, stream);
    spec_choice(session, "open-when-draining",
                books->resets ? "refused"
                : books->acks ? "accepted"
                              : "ignored");
    if (!books->resets) {
        spec_warn(session, "a stream opened to a draining peer is not reset");
    }
}

static void syn_twice_when_draining(struct session *session)
{
    uint32_t stream;
    uint64_t offset = drain(session, &stream);
    session_data(session, WIRE_SYN, stream, "dup", 3);
    session_settle(session);
    struct stream *books = session_stream(session, stream);
    bool delivered = books->received > offset;
    bool closed = session->closed || dead(session) || session->goaways > 1;
    if (books->resets && delivered) {
        spec_fail(session,
                  "a second SYN on stream %u was reset and its "
                  "payload delivered",
                  stream);
    }
    spec_choice(session, "syn-twice-when-draining",
                closed          ? "closed"
                : books->resets ? "refused"
                                : "ignored");
    if (!closed) {
        spec_warn(session, "a second SYN on stream %u is no error", stream);
    }
}

static void flushes_at_close(struct session *session)
{
    session_narrow(session);
    uint32_t stream = session_command(session, "shutdown %u", UNSENT);
    session_send(session, WIRE_UPDATE, 0, stream, UNSENT);
    session_sleep(session, 200 + session->grace_ms);
    uint64_t seen = UINT64_MAX;
    while (!session->closed && session->data_received != seen) {
        seen = session->data_received;
        session_wait_closed(session, session->timeout_ms);
    }
    struct stream *books = session_stream(session, stream);
    if (books->received < 16) {
        spec_skip(session, "the peer's application has no such command");
    }
    if (!session->closed) {
        spec_hung(session, "the application closed the session; the "
                           "connection stays open");
    }
    bool flushed = books->received == UNSENT;
    spec_choice(session, "unsent-at-close", flushed ? "flushed" : "dropped");
    if (!flushed) {
        spec_warn(session, "what was written is lost when the application "
                           "closes the session");
    }
    spec_note(session, "%llu of %u bytes came",
              (unsigned long long)books->received, UNSENT);
}

const struct spec_case case_goaway[] = {
    {"G-01", "GoAway(0) lets open streams go on",
     "stream 1 echoes \"a\"; GoAway(0); \"b\" on stream 1", "spec.md 43",
     SPEC_ECHO, SPEC_SHOULD, 0, 0, drains},
    {"G-02", "after GoAway(0) the peer opens no stream",
     "GoAway(0); then its application wants a stream", "spec.md 43",
     SPEC_OPENER, SPEC_MUST, 0, 0, opens_no_more},
    {"G-03", "a stream that we open after our own GoAway(0)",
     "GoAway(0); SYN, \"x\"", "spec.md 43 is silent", SPEC_ECHO, SPEC_CHOICE,
     SPEC_OPENS, 0, open_after_own},
    {"G-04", "GoAway(1) ends the session", "00 03 0000 00000000 00000001",
     "spec.md 139", SPEC_ANY, SPEC_MUST, 0, 0, protocol_error},
    {"G-05", "GoAway(2) ends the session", "00 03 0000 00000000 00000002",
     "spec.md 140", SPEC_ANY, SPEC_MUST, 0, 0, internal_error},
    {"G-06", "unknown codes of GoAway are errors",
     "GoAway(3); on another connection GoAway(0x1005)", "libp2p/specs 623",
     SPEC_ANY, SPEC_SHOULD, 0, 0, unknown_codes},
    {"G-07", "GoAway(0) on a stream id: taken or refused",
     "00 03 0000 00000001 00000000", "spec.md 69", SPEC_ANY, SPEC_CHOICE, 0, 0,
     on_a_stream},
    {"G-08", "flags on GoAway are ignored", "00 03 0005 00000000 00000000",
     "spec.md 50-60", SPEC_ANY, SPEC_SHOULD, 0, 0, with_flags},
    {"G-09", "a second GoAway(0) is harmless", "GoAway(0) twice", "spec.md 43",
     SPEC_ANY, SPEC_SHOULD, 0, 0, twice},
    {"G-10", "an application that closes the session sends one GoAway(0)",
     "the application closes; nothing is open", "spec.md 134-136", SPEC_APP,
     SPEC_SHOULD, 0, 0, says_goodbye},
    {"G-11", "GoAway(1) reaches us: the last frame, not overtaken by an RST",
     "version 1, and 64 KiB that nobody reads", "spec.md 134-139", SPEC_ANY,
     SPEC_SHOULD, 0, 0, goaway_is_last},
    {"G-12", "a draining peer refuses new streams and stays in step",
     "the application drains; SYN and 10 bytes; data on the old stream",
     "spec.md 101-105", SPEC_APP, SPEC_MUST, 0, 0, refuses_when_draining},
    {"G-13", "a draining peer does not both reset and deliver",
     "the application drains; Data SYN on its stream", "spec.md 64, 88",
     SPEC_APP, SPEC_MUST, 0, 0, syn_twice_when_draining},
    {"G-14", "what was written before the session is closed still comes",
     "the application writes 8 MiB and closes; we read late", "spec.md 134-136",
     SPEC_APP, SPEC_SHOULD, 0, 60000, flushes_at_close},
    {0}};
