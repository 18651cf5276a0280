#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conformance/session_internal.h"

/* An id that no case uses, for the books of an answer. */
#define BESIDE 0x40000000u

static uint32_t beside(struct session *session, const char *line, size_t length)
{
    uint32_t n = BESIDE - ++session->books->asked;
    uint32_t stream = session->client ? 2 * n - 1 : 2 * n;
    session_control_send(session, stream, line, length);
    return stream;
}

uint32_t session_command(struct session *session, const char *format, ...)
{
    char line[128];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line - 1, format, arguments);
    va_end(arguments);
    line[length++] = '\n';
    if (session->control && !session->mirror) {
        return beside(session, line, (size_t)length);
    }
    uint32_t stream = session_id(session, ++session->books->commands);
    session_cork(session);
    session_open(session, stream);
    session_data(session, 0, stream, line, (size_t)length);
    session_uncork(session);
    return stream;
}

struct line {
    struct stream *stream;
    uint64_t offset;
};

static const uint8_t *end_of_line(const struct line *line)
{
    const struct stream *stream = line->stream;
    uint64_t have =
        stream->received < STREAM_KEPT ? stream->received : STREAM_KEPT;
    if (have <= line->offset) {
        return NULL;
    }
    return memchr(stream->kept + line->offset, '\n',
                  (size_t)(have - line->offset));
}

static bool has_line(struct session *session, void *context)
{
    (void)session;
    struct line *line = context;
    return end_of_line(line) || line->stream->resets;
}

uint64_t session_answer(struct session *session, uint32_t id, uint64_t offset,
                        char *text, size_t size)
{
    struct line line = {session_stream(session, id), offset};
    enum session_wait got =
        session_wait(session, session->timeout_ms, has_line, &line);
    const uint8_t *end = end_of_line(&line);
    if (!end) {
        spec_fail(session,
                  "the application answers its command on stream %u with no "
                  "line: %s",
                  id,
                  line.stream->resets     ? "the stream was reset"
                  : got == SESSION_CLOSED ? session_ending(session)
                                          : "nothing comes");
    }
    const uint8_t *begin = line.stream->kept + offset;
    snprintf(text, size, "%.*s", (int)(end - begin), (const char *)begin);
    if (strcmp(text, "unsupported") == 0) {
        spec_skip(session, "the peer's application has no such command");
    }
    return offset + (uint64_t)(end - begin) + 1;
}

uint32_t session_ask_open(struct session *session, unsigned count,
                          uint64_t bytes, const char *then, const char *label)
{
    char line[128];
    int length = snprintf(line, sizeof line, "open %u %llu %s %s\n", count,
                          (unsigned long long)bytes, then, label);
    if (session->control) {
        return beside(session, line, (size_t)length);
    }
    line[length - 1] = '\0';
    return session_command(session, "%s", line);
}

static struct session_report ask_once(struct session *session,
                                      const char *label)
{
    struct session_report report = {0};
    char line[64];
    unsigned long long bytes = 0;
    uint32_t stream = session_command(session, "report %s", label);

    session_answer(session, stream, 0, line, sizeof line);
    if (sscanf(line, "%llu %15s", &bytes, report.end) != 2) {
        spec_fail(session, "the application reports \"%s\"", line);
    }
    report.bytes = bytes;
    return report;
}

struct session_report session_ask_report(struct session *session,
                                         const char *label)
{
    uint64_t deadline = session_now_ms() + session->timeout_ms;
    for (;;) {
        struct session_report report = ask_once(session, label);
        /* unknown: a command of ours that has not been read yet */
        bool wait = strcmp(report.end, "open") == 0 ||
                    strcmp(report.end, "unknown") == 0;
        if (!wait || session_now_ms() >= deadline) {
            return report;
        }
        session_listen(session, 50);
    }
}

void session_wait_known(struct session *session, const char *label)
{
    uint64_t deadline = session_now_ms() + session->timeout_ms / 8;

    while (strcmp(ask_once(session, label).end, "unknown") == 0 &&
           session_now_ms() < deadline) {
        session_listen(session, 5);
    }
}

const char *session_label(struct session *session)
{
    static char label[33];
    snprintf(label, sizeof label, "%x-%llx", (unsigned)getpid(),
             (unsigned long long)(session_random(session) & 0xffffffffff));
    return label;
}
