#include "conformance/traffic.h"

#include <stdlib.h>
#include <string.h>

static bool has_frame(struct session *session, void *context)
{
    (void)session;
    return ((struct stream *)context)->frames > 0;
}

void traffic_wait(struct session *session, uint32_t stream)
{
    session_wait(session, session->grace_ms, has_frame,
                 session_stream(session, stream));
}

void traffic_open(struct session *session, uint32_t stream)
{
    session_open(session, stream);
    traffic_wait(session, stream);
}

void traffic_frame(struct session *session, unsigned flags, uint32_t stream,
                   uint32_t length)
{
    uint8_t *bytes = malloc(length + 1u);
    if (!bytes) {
        abort();
    }
    session_pattern(bytes, length, session_stream(session, stream)->sent);
    session_data(session, flags, stream, bytes, length);
    free(bytes);
}

struct stall {
    struct stream *stream;
    uint64_t expected;
    uint64_t total;
};

static bool moves(struct session *session, void *context)
{
    const struct stall *stall = context;
    const struct stream *stream = stall->stream;
    return stream->received >= stall->expected || stream->resets ||
           (stream->sent < stall->total && stream->credit > stream->sent &&
            session_can_write(session));
}

void traffic_stall(struct session *session, uint32_t id, uint64_t total,
                   uint64_t expected)
{
    struct stall stall = {session_stream(session, id), expected, total};
    struct stream *stream = stall.stream;
    while (stream->received < expected) {
        uint64_t before = stream->received;
        enum session_wait got =
            session_wait(session, session->timeout_ms, moves, &stall);
        if (got != SESSION_GOT && stream->received == before) {
            spec_fail(session,
                      "%llu bytes came back of %llu that our credit allows; "
                      "the connection is %s",
                      (unsigned long long)stream->received,
                      (unsigned long long)expected, session_ending(session));
        }
        if (stream->resets) {
            spec_fail(session, "stream %u was reset", id);
        }
        uint64_t count = stream->credit - stream->sent;
        count = count < total - stream->sent ? count : total - stream->sent;
        session_pour(session, id, count, 16384);
    }
    session_settle(session);
    session_expect_pattern(session, id, expected);
    session_expect_alive(session);
}

bool traffic_is_over(struct session *session)
{
    return session->goaways > 0 ||
           session_judge_choice(session) == SESSION_DEAD ||
           session->goaways > 0;
}

void traffic_expect_reason(struct session *session)
{
    if (session->goaways == 0) {
        spec_warn(session, "the connection is %s without a GoAway(1) before",
                  session_ending(session));
    } else if (session->goaway.length != 1) {
        spec_warn(session, "GoAway(%u) instead of GoAway(1)",
                  session->goaway.length);
    }
}

void traffic_expect_silence(struct session *session, uint32_t id,
                            unsigned before)
{
    session_expect_alive(session);
    session_settle(session);
    unsigned resets = session_stream(session, id)->resets - before;
    if (resets > 1) {
        spec_fail(session, "late frames of stream %u are answered with %u RST",
                  id, resets);
    }
    if (resets) {
        spec_warn(session, "late frames of stream %u are answered with RST",
                  id);
    }
}

void traffic_expect_reset_report(struct session *session,
                                 struct session_report report)
{
    if (strcmp(report.end, "error") == 0) {
        spec_note(session, "the application sees an error, not which");
    } else if (strcmp(report.end, "reset") != 0) {
        spec_fail(session, "the application sees \"%s\" instead of a reset",
                  report.end);
    }
}
