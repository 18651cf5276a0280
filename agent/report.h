/* report.h: the status file: how the agent is, for a health check or a person
 * (U-02). One JSON object, replaced as a whole, so that a reader never sees
 * half of it:
 *
 *   {"version":"0.1.0","pid":7,"agent_id":"web-01","server":"wss://h/...",
 *    "policy":"read-only","state":"waiting","since":"2026-01-31T12:00:00Z",
 *    "retry_at":"2026-01-31T12:00:05Z","last_error":"connection refused",
 *    "last_error_at":"2026-01-31T12:00:00Z","streams":0,"streams_total":12,
 *    "reconnects":3}
 *
 * What there is not yet is null. Times are of the wall clock, UTC.
 */
#ifndef AGENT_REPORT_H
#define AGENT_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define REPORT_ERROR_SIZE 256u

enum report_state {
    REPORT_CONNECTING, /* dialling */
    REPORT_CONNECTED,
    REPORT_WAITING, /* for the next dial, see retry_at */
    REPORT_DRAINING,
    REPORT_STOPPED
};

const char *report_state_name(enum report_state state); /* "connected" */

struct report {
    const char *path; /* NULL: no file is wanted */
    const char *agent_id, *server, *policy;
    enum report_state state;
    time_t since;                       /* of this state */
    time_t retry_at;                    /* 0: no dial is planned */
    char last_error[REPORT_ERROR_SIZE]; /* "": there was none */
    time_t last_error_at;
    uint32_t streams;       /* live */
    uint64_t streams_total; /* of all sessions */
    uint64_t reconnects;    /* sessions after the first */
};

void report_enter(struct report *report, enum report_state state, time_t now);
void report_error(struct report *report, const char *error, time_t now);

/* Replace the file. False (errno): the old one is still there. */
bool report_save(const struct report *report);

#endif
