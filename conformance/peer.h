/* peer.h: a peer's process, started by --peer-command. */
#ifndef CONFORMANCE_PEER_H
#define CONFORMANCE_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "conformance/channel.h"

struct result;
struct runner_options;

struct peer {  /* zeroed: never started */
    pid_t pid; /* of its shell, a process group; 0: does not run */
    struct channel_target target; /* how we reach it */
    bool prepared;
    bool ended; /* by itself, since peer_died was last asked */
    int status; /* of that, as from waitpid */
    unsigned starts;
    struct result *last; /* the case that it served last; the runner's */
    char mode[16];
    char directory[64]; /* of its unix socket; "": none */
};

/* Starts it unless it runs; waits until it can be connected to. False: see
 * error. */
bool peer_ready(struct peer *peer, const struct runner_options *options,
                const char *mode, char error[CHANNEL_ERROR]);
/* One that dials may exit after each session: starts it again if so. */
void peer_again(struct peer *peer, const struct runner_options *options);
/* True when it has ended by itself since the last call, or does so within
 * wait_ms; says how. */
bool peer_died(struct peer *peer, unsigned wait_ms, char *how, size_t size);
/* SIGTERM, then SIGKILL; removes what was made. */
void peer_end(struct peer *peer);
/* The process that does the work, below a shell. */
int peer_innermost(pid_t pid);

#endif
