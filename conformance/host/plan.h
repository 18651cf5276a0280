/* plan.h: what each stream of a run does, all of it from one seed. */
#ifndef CONFORMANCE_HOST_PLAN_H
#define CONFORMANCE_HOST_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLAN_BODY_MIN (1024u * 1024) /* smallest body_max */
#define PLAN_BATCH_MAX 5u
#define PLAN_LINE_MAX 96u /* a command, its line feed and a zero */

enum plan_kind {
    /* that we open */
    PLAN_ECHO,
    PLAN_SLOW,        /* an echo that we read 4 KiB at a time */
    PLAN_LATE,        /* an echo that we read when other streams have ended */
    PLAN_WATCH,       /* they read late, and say how many bytes came */
    PLAN_HOLD,        /* they never read; we reset it in the end */
    PLAN_WRITE,       /* they write and finish; we read late, then write */
    PLAN_FINISH,      /* they finish at once; then we write */
    PLAN_ABORT,       /* an echo that we reset in the middle */
    PLAN_ABORT_WATCH, /* the same; they say how it ended */
    PLAN_BROKEN,      /* they reset while we write */
    PLAN_CALM,        /* an echo that we finish when all of it came back; only
                         in place of another */
    /* that they open; they write first, then echo */
    PLAN_OPEN_ECHO,
    PLAN_OPEN_SLOW,
    PLAN_OPEN_LATE,
    PLAN_OPEN_HALF,  /* we finish before we have read anything */
    PLAN_OPEN_WATCH, /* they write, then read, and say how many bytes came */
    PLAN_OPEN_RESET, /* they write, then reset */
    PLAN_OPEN_ABORT, /* we reset it while they write */
    PLAN_KINDS
};

enum plan_pace { PLAN_FAST, PLAN_SLOWLY, PLAN_LATELY };

/* When we reset it. */
enum plan_cut {
    PLAN_NEVER,
    PLAN_CUT_READ,    /* when so many bytes came */
    PLAN_CUT_WRITTEN, /* when so many bytes went out */
    PLAN_CUT_LATELY
};

struct plan_script {
    const char *name;
    enum plan_pace pace;
    enum plan_cut cut;
    bool theirs; /* they open it */
    bool echoes; /* our body comes back, behind the pattern */
    bool waits;  /* we finish when all that is to come has come */
    bool last;   /* we write when they have finished */
    bool breaks; /* they reset it */
    bool asks;   /* for a report */
};

extern const struct plan_script plan_scripts[PLAN_KINDS];

struct plan {
    enum plan_kind kind;
    unsigned number;  /* in its run, from 0 */
    unsigned left;    /* of its batch, behind it: opened by the same command */
    uint64_t key;     /* of the body's bytes */
    uint64_t body;    /* bytes that we write */
    uint64_t pattern; /* bytes that they write of themselves, first */
    uint64_t cut;
    unsigned wait_ms; /* of PLAN_WATCH */
};

struct plan_config {
    uint64_t seed;
    unsigned streams;
    uint64_t body_max;        /* bytes, at least PLAN_BODY_MIN */
    uint64_t their_least;     /* bytes that they write on a stream of theirs */
    bool commands;            /* false: the peer does nothing but echo */
    bool without[PLAN_KINDS]; /* an echo instead, and a calm one of that */
};

/* PLAN_KINDS: there is none of that name. */
enum plan_kind plan_find(const char *name, size_t length);

/* plans: room for config->streams. Streams that they open come in batches, one
 * behind the other; all else is in no order. */
void plan_make(const struct plan_config *config, struct plan *plans);

/* What stands before the body on a stream that we open; "": nothing. */
void plan_command(const struct plan_config *config, const struct plan *plan,
                  char line[PLAN_LINE_MAX]);
/* What makes them open plan and the plan->left that follow it. */
void plan_open_command(const struct plan_config *config,
                       const struct plan *plan, char line[PLAN_LINE_MAX]);
void plan_report_command(const struct plan_config *config,
                         const struct plan *plan, char line[PLAN_LINE_MAX]);

/* The same stream for a peer that cannot do that: an echo of ours. */
void plan_simplify(const struct plan_config *config, struct plan *plan);

#endif
