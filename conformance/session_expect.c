#include <stdio.h>
#include <string.h>

#include "conformance/session_internal.h"

const char *session_ending(const struct session *session)
{
    static char text[CHANNEL_ERROR + 64];
    const char *how = !session->closed ? "open"
                      : session->reset ? "reset"
                                       : "closed";
    const char *trouble =
        session->channel ? channel_trouble(session->channel) : "";
    bool said = session->closed && *trouble &&
                strcmp(trouble, "Connection reset by peer") != 0;
    int length = snprintf(text, sizeof text, "%s", how);
    if (session->goaways) {
        length += snprintf(text + length, sizeof text - (size_t)length,
                           " after GoAway(%u)", session->goaway.length);
    }
    if (said) {
        snprintf(text + length, sizeof text - (size_t)length, " (%s)", trouble);
    }
    return text;
}

/* Fails the case, unless what was waited for has come. */
static void need(struct session *session, enum session_wait got,
                 uint32_t stream, const char *what)
{
    struct stream *books = session_stream(session, stream);
    if (got == SESSION_GOT) {
        return;
    }
    if (got == SESSION_CLOSED) {
        spec_fail(session, "no %s on stream %u: the connection is %s", what,
                  stream, session_ending(session));
    }
    if (books->resets) {
        spec_fail(session, "no %s on stream %u: it was reset", what, stream);
    }
    spec_fail(session, "no %s on stream %u within %u ms (%llu bytes came)",
              what, stream, session->timeout_ms,
              (unsigned long long)books->received);
}

static bool is_open(struct session *session, void *context)
{
    (void)session;
    struct stream *stream = context;
    return stream->acks || stream->received || stream->fins || stream->resets;
}

void session_expect_open(struct session *session, uint32_t stream)
{
    struct stream *books = session_stream(session, stream);
    enum session_wait got =
        session_wait(session, session->timeout_ms, is_open, books);
    need(session, got, stream, "ACK");
    if (books->resets) {
        spec_fail(session, "stream %u was refused with RST", stream);
    }
}

void session_expect_bytes(struct session *session, uint32_t stream,
                          uint64_t offset, const void *bytes, size_t length)
{
    enum session_wait got = session_wait_data(session, stream, offset + length);
    struct stream *books = session_stream(session, stream);
    if (got != SESSION_GOT) {
        char what[64];
        snprintf(what, sizeof what, "%zu bytes at %llu", length,
                 (unsigned long long)offset);
        need(session, got, stream, what);
    }
    if (offset + length <= STREAM_KEPT &&
        memcmp(books->kept + offset, bytes, length) != 0) {
        spec_fail(session, "other bytes on stream %u than expected, at %llu",
                  stream, (unsigned long long)offset);
    }
}

void session_expect_text(struct session *session, uint32_t stream,
                         uint64_t offset, const char *text)
{
    session_expect_bytes(session, stream, offset, text, strlen(text));
}

void session_expect_pattern(struct session *session, uint32_t stream,
                            uint64_t total)
{
    enum session_wait got = session_wait_data(session, stream, total);
    if (got != SESSION_GOT) {
        char what[64];
        snprintf(what, sizeof what, "%llu bytes", (unsigned long long)total);
        need(session, got, stream, what);
    }
    struct stream *books = session_stream(session, stream);
    if (!books->pattern) {
        spec_fail(session, "stream %u: its bytes are not the pattern", stream);
    }
    if (books->received > total) {
        spec_fail(session, "stream %u: %llu bytes came instead of %llu", stream,
                  (unsigned long long)books->received,
                  (unsigned long long)total);
    }
}

void session_expect_fin(struct session *session, uint32_t stream)
{
    need(session, session_wait_fin(session, stream), stream, "FIN");
}

void session_expect_reset(struct session *session, uint32_t stream)
{
    need(session, session_wait_reset(session, stream), stream, "RST");
}

static bool has_pong(struct session *session, void *context)
{
    uint32_t opaque = *(uint32_t *)context;
    for (unsigned i = session->pongs; i > 0; i--) {
        if (session->pong_opaques[i - 1] == opaque) {
            return true;
        }
    }
    return false;
}

void session_expect_pong(struct session *session, uint32_t opaque)
{
    unsigned before = session->pongs;
    session_send(session, WIRE_PING, WIRE_SYN, 0, opaque);
    enum session_wait got =
        session_wait(session, session->timeout_ms, has_pong, &opaque);
    if (got == SESSION_GOT) {
        return;
    }
    if (got == SESSION_CLOSED) {
        spec_fail(session, "no answer to ping %u: the connection is %s", opaque,
                  session_ending(session));
    }
    if (session->pongs > before) {
        spec_fail(session, "ping %u was answered with opaque %u", opaque,
                  session->pong.length);
    }
    spec_hung(session, "ping %u is not answered within %u ms", opaque,
              session->timeout_ms);
}

void session_expect_echo(struct session *session, uint32_t n, const char *text)
{
    uint32_t stream = session_id(session, n);
    session_cork(session);
    session_open(session, stream);
    session_data(session, 0, stream, text, strlen(text));
    session_uncork(session);
    session_expect_text(session, stream, 0, text);
}

/* ---- judgement ---- */

enum session_life session_judge(struct session *session)
{
    uint32_t opaque = 0x40000000u | (uint32_t)session_random(session) >> 2;
    session_send(session, WIRE_PING, WIRE_SYN, 0, opaque);
    switch (session_wait(session, session->timeout_ms, has_pong, &opaque)) {
    case SESSION_GOT:
        return SESSION_ALIVE;
    case SESSION_CLOSED:
        return SESSION_DEAD;
    case SESSION_TIMEOUT:
        break;
    }
    return SESSION_HUNG;
}

static _Noreturn void hung(struct session *session)
{
    spec_hung(session, "the peer neither answers a ping nor closes, for %u ms",
              session->timeout_ms);
}

enum session_life session_judge_choice(struct session *session)
{
    enum session_life life = session_judge(session);
    if (life == SESSION_HUNG) {
        hung(session);
    }
    return life;
}

void session_expect_alive(struct session *session)
{
    if (session_judge_choice(session) == SESSION_DEAD) {
        spec_fail(session, "the session should live; the connection is %s",
                  session_ending(session));
    }
}

void session_expect_dead(struct session *session)
{
    if (session_wait_closed(session, session->grace_ms) != SESSION_CLOSED &&
        session_judge_choice(session) == SESSION_ALIVE) {
        spec_fail(session, "the session should have ended; it goes on");
    }
    if (session->goaways == 0) {
        spec_warn(session, "the connection is %s without a GoAway(1) before",
                  session_ending(session));
    } else if (session->goaway.length != 1) {
        spec_warn(session, "GoAway(%u) instead of GoAway(1)",
                  session->goaway.length);
    } else if (session->frame_after_goaway) {
        spec_warn(session, "GoAway(1) is not the last frame");
    }
}
