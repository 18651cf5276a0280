/* runner.h: runs cases, each in a process of its own over a connection of its
 * own, and starts the peers that a command describes.
 */
#ifndef CONFORMANCE_RUNNER_H
#define CONFORMANCE_RUNNER_H

#include <stdbool.h>
#include <stdint.h>

#include "conformance/channel.h"
#include "conformance/report.h"

#define RUNNER_JOBS_MAX 16u
#define RUNNER_PREFACE_MAX 64u

struct runner_options {
    struct channel_target target; /* port 0, no path: chosen for each peer */
    const char *peer_command;     /* NULL: the peer is there already */
    const char *peer_log;         /* its output; NULL: dropped */
    unsigned modes;               /* bit of each enum spec_mode that is there */
    bool client;                  /* our yamux role */
    uint8_t preface[RUNNER_PREFACE_MAX]; /* how every stream begins */
    size_t preface_length;
    const struct channel_target *control; /* where commands go, or NULL */
    bool mirrors; /* the peer opens the streams of cases, asked there */
    uint64_t seed;
    bool cuts;
    bool slow;
    unsigned timeout_ms;
    unsigned jobs;
    int peer_pid;  /* 0: unknown */
    bool progress; /* say on stderr which case runs */
    bool lines;    /* print the table's line of each case as it ends */
    bool colours;
};

enum runner_end {
    RUNNER_DONE,
    RUNNER_UNREACHABLE, /* not one connection was had; see error */
    RUNNER_STOPPED      /* by a signal */
};

/* Fills report->results, which name their cases already. */
enum runner_end runner_run(const struct runner_options *options,
                           struct report *report, char error[CHANNEL_ERROR]);

/* "echo" for SPEC_ECHO, ... */
const char *runner_mode_name(enum spec_mode mode);

#endif
