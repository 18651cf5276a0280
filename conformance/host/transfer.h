/* transfer.h: one stream of a run: what its plan says is done, and what comes
 * back is judged byte by byte. */
#ifndef CONFORMANCE_HOST_TRANSFER_H
#define CONFORMANCE_HOST_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conformance/host/ask.h"
#include "conformance/host/plan.h"

#define TRANSFER_WRONG_MAX 400u

struct yamux;
struct yamux_stream;

/* What all transfers of a session share. */
struct transfer_run {
    const struct plan_config *config;
    struct yamux *yamux;
    uint64_t now_ms;
    bool idle; /* nothing moves but what waits for others to end */
    bool more; /* something could go on at once: do not wait */
    /* counted */
    unsigned ended;
    unsigned opened;                   /* streams, by us */
    uint64_t written, read, consumed;  /* bytes; consumed: answers too */
    unsigned our_halves, their_halves; /* who finished first, of both */
    unsigned our_resets, their_resets;
    size_t held, held_max; /* bytes that came and were not read yet */
    bool unsupported[PLAN_KINDS];
    /* "": nothing. No step after it does anything. */
    char wrong[TRANSFER_WRONG_MAX];
};

enum transfer_state {
    TRANSFER_WAITS, /* for its beginning */
    TRANSFER_RUNS,
    TRANSFER_ASKS, /* how the peer saw it */
    TRANSFER_ENDED
};

struct transfer {
    struct plan plan;
    enum transfer_state state;
    struct yamux_stream *stream; /* while it runs */
    char command[PLAN_LINE_MAX];
    uint64_t put;                /* bytes of the body that the engine took */
    uint64_t got;                /* bytes that came, the pattern's included */
    uint64_t put_hash, got_hash; /* of what should be equal */
    bool finished;               /* by us */
    bool input_ended;            /* by them, and all is read */
    bool gate_open;              /* what it waited for has come */
    unsigned ended_before;       /* transfers, when it began */
    struct ask ask;
    unsigned times_asked;
    uint64_t ask_ms; /* not before */
};

/* One that we open. False: not now; or wrong is set. */
bool transfer_open(struct transfer *transfer, struct transfer_run *run);
/* One that they have opened. */
void transfer_accept(struct transfer *transfer, struct transfer_run *run,
                     struct yamux_stream *stream);
/* Does what can be done now. */
void transfer_step(struct transfer *transfer, struct transfer_run *run);
/* Does it wait for others to end? */
bool transfer_is_gated(const struct transfer *transfer);
/* The peer knows no such command: it waits, for being an echo. */
void transfer_simplify(struct transfer *transfer, struct transfer_run *run);

/* For people: "stream 17, late: 5 of 9 bytes out, 0 of 9 in". */
void transfer_describe(const struct transfer *transfer, char *text,
                       size_t size);

#endif
