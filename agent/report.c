#include "agent/report.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/sys.h"

const char *report_state_name(enum report_state state)
{
    static const char *const names[] = {"connecting", "connected", "waiting",
                                        "draining", "stopped"};

    return names[state];
}

void report_enter(struct report *report, enum report_state state, time_t now)
{
    report->state = state;
    report->since = now;
    report->retry_at = 0;
}

void report_error(struct report *report, const char *error, time_t now)
{
    snprintf(report->last_error, sizeof(report->last_error), "%s", error);
    report->last_error_at = now;
}

/* null where there is no time. */
static json_t *time_value(time_t time)
{
    char text[32];
    struct tm utc;

    if (time == 0 || gmtime_r(&time, &utc) == NULL) {
        return json_null();
    }
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
    return json_string(text);
}

/* Text that came from outside may be no UTF-8; null says so. */
static json_t *text_value(const char *text)
{
    json_t *value = text[0] != '\0' ? json_string(text) : NULL;

    return value != NULL ? value : json_null();
}

static json_t *object_of(const struct report *report)
{
    return json_pack(
        "{s:s, s:i, s:o, s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:I, s:I, s:I}",
        "version", ORTHRUS_VERSION, "pid", (int)getpid(), "agent_id",
        text_value(report->agent_id), "server", text_value(report->server),
        "policy", report->policy, "state", report_state_name(report->state),
        "since", time_value(report->since), "retry_at",
        time_value(report->retry_at), "last_error",
        text_value(report->last_error), "last_error_at",
        time_value(report->last_error_at), "streams",
        (json_int_t)report->streams, "streams_total",
        (json_int_t)report->streams_total, "reconnects",
        (json_int_t)report->reconnects);
}

/* Readable by everybody: nothing in it is secret. */
static bool write_file(const char *path, const json_t *object)
{
    int fd = sys_open(
        path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    bool written;

    if (fd < 0) {
        return false;
    }
    errno = EIO; /* jansson does not say why */
    written = json_dumpfd(object, fd, JSON_COMPACT) == 0 &&
              sys_write(fd, "\n", 1) == 1;
    return sys_close(fd) == 0 && written;
}

bool report_save(const struct report *report)
{
    char temporary[4096];
    json_t *object;
    bool saved = false;

    if ((size_t)snprintf(temporary, sizeof(temporary), "%s.new",
                         report->path) >= sizeof(temporary)) {
        errno = ENAMETOOLONG;
        return false;
    }
    object = object_of(report);
    if (object == NULL) {
        errno = ENOMEM;
        return false;
    }
    saved = write_file(temporary, object) &&
            sys_rename(temporary, report->path) == 0;
    if (!saved) {
        int reason = errno;
        sys_unlink(temporary);
        errno = reason;
    }
    json_decref(object);
    return saved;
}
