#include "conformance/case.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "conformance/case_internal.h"
#include "conformance/session_internal.h"

static int results = -1;

void case_attach(int fd)
{
    results = fd;
}

void case_record(char kind, const char *text)
{
    char line[1024];
    int length = snprintf(line, sizeof line, "%c%s", kind, text);
    if (length >= (int)sizeof line) {
        length = sizeof line - 1;
    }
    for (int i = 0; i < length; i++) {
        line[i] = line[i] == '\n' ? ' ' : line[i];
    }
    line[length] = '\n'; /* below PIPE_BUF: written as a whole */
    if (write(results, line, (size_t)length + 1) < 0) {
        _exit(2);
    }
}

static void trace_line(const char *text)
{
    case_record(CASE_TRACE, text);
}

__attribute__((format(printf, 2, 0))) static void
record(char kind, const char *format, va_list arguments)
{
    char text[1000];
    vsnprintf(text, sizeof text, format, arguments);
    case_record(kind, text);
}

_Noreturn void case_end(struct session *session)
{
    if (session->channel) {
        session_close(session); /* the peer sees the end now, not at exit */
    }
    _exit(0);
}

#define RECORD(kind)                     \
    do {                                 \
        va_list arguments;               \
        va_start(arguments, format);     \
        record(kind, format, arguments); \
        va_end(arguments);               \
    } while (0)

_Noreturn void spec_fail(struct session *session, const char *format, ...)
{
    RECORD(CASE_FAIL);
    session_show(session, trace_line);
    case_end(session);
}

_Noreturn void spec_hung(struct session *session, const char *format, ...)
{
    RECORD(CASE_HUNG);
    session_show(session, trace_line);
    case_end(session);
}

_Noreturn void spec_skip(struct session *session, const char *format, ...)
{
    RECORD(CASE_SKIP);
    case_end(session);
}

void spec_warn(struct session *session, const char *format, ...)
{
    (void)session;
    RECORD(CASE_WARNING);
}

void spec_choice(struct session *session, const char *key, const char *format,
                 ...)
{
    (void)session;
    char answer[512];
    char text[600];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(answer, sizeof answer, format, arguments);
    va_end(arguments);
    snprintf(text, sizeof text, "%s\t%s", key, answer);
    case_record(CASE_CHOICE, text);
}

void spec_note(struct session *session, const char *format, ...)
{
    (void)session;
    RECORD(CASE_NOTE);
}
