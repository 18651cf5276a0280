/* sim.h: virtual time, the trace, and the end of a run.
 *
 * One struct sim is one world's kernel: a clock in microseconds that jumps to
 * the next task, memory that is all gone with it, a trace that is hashed as it
 * is told, and the one way to fail. Nothing here reads a clock, a file or the
 * environment. The order of tasks that are due at one instant is part of the
 * format: by tie (0, or drawn from the seed where the world permutes
 * simultaneous events), then by the order in which they were set.
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/chance.h"
#include "sim/mark.h"

#define SIM_NEVER UINT64_MAX
#define SIM_MS UINT64_C(1000)
#define SIM_S UINT64_C(1000000)

struct sim;
struct network;

/* ---- tasks --------------------------------------------------------------- */

struct task { /* lives inside its owner; fields belong to sim.c */
    struct sim *sim;
    void (*run)(void *user);
    void *user;
    uint64_t due_us; /* SIM_NEVER: not set */
    size_t place;    /* in the heap */
};

void task_init(struct task *task, struct sim *sim, void (*run)(void *user),
               void *user);
/* Run at this time, or now if it has passed; replaces what was set. */
void task_set(struct task *task, uint64_t at_us);
/* The same, unless it is to run earlier already. */
void task_by(struct task *task, uint64_t at_us);
void task_wake(struct task *task); /* task_by(now) */
void task_stop(struct task *task); /* legal if not set; before freeing it */

/* ---- the world's kernel -------------------------------------------------- */

struct sim_config {
    uint64_t seed;
    bool permutes;     /* simultaneous tasks run in a drawn order */
    bool prints;       /* the trace goes to stdout as it is told */
    size_t memory_max; /* of the whole world; more is a failure; 0: 1 GiB */
};

struct sim *sim_new(const struct sim_config *config);
void sim_free(struct sim *sim); /* with all that was taken from it */

uint64_t sim_seed(const struct sim *sim);
uint64_t sim_now_us(const struct sim *sim);
uint64_t sim_now_ms(const struct sim *sim); /* the clock the core is given */

/* Run the next task; false: none is set, or the next is later than until_us
 * (the clock then stands at until_us). */
bool sim_step(struct sim *sim, uint64_t until_us);
uint64_t sim_steps(const struct sim *sim);

/* Zeroed memory of the world itself (not of a modelled process, see
 * sim/process.h). Never NULL. */
void *sim_alloc(struct sim *sim, size_t size);
void sim_release(struct sim *sim, void *memory); /* NULL is fine */

/* Where sim/socket.c keeps what belongs to no socket: a pointer of its own. */
struct network **sim_network(struct sim *sim);

/* ---- trace --------------------------------------------------------------- */

/* One line of the story, "[     ms] who  text", into the hash, the ring of the
 * last lines, and stdout if the world prints. For what a reader of the story
 * would miss: sessions, listeners, connections, requests, faults; not bytes. */
void sim_say(struct sim *sim, const char *who, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Numbers into the hash only: bytes moved, draws made. Cheap. */
void sim_mark(struct sim *sim, uint64_t a, uint64_t b);

uint64_t sim_hash(const struct sim *sim);

/* The last lines, oldest first, each ended by a newline, for a report. */
void sim_last_lines(const struct sim *sim,
                    void (*line)(void *user, const char *text), void *user);

/* All lines since the start as one string, for stories: kept only after this
 * was called once (at the start). */
void sim_keep_story(struct sim *sim);
const char *sim_story(const struct sim *sim);

/* ---- coverage ------------------------------------------------------------ */

/* A fault was injected while what it hits was in this state (sim/mark.h). */
void sim_fault(struct sim *sim, enum fault fault, enum fault_state state);

/* Something that must happen in some world has happened (sim/mark.h). */
void sim_met(struct sim *sim, enum met met);

struct sim_tally {
    uint64_t faults[FAULTS][FAULT_STATES];
    uint64_t met[METS];
};
const struct sim_tally *sim_tally(const struct sim *sim);

/* ---- failure ------------------------------------------------------------- */

struct sim_failure {
    char oracle[32];   /* "prefix", "leak", "liveness", "contract", ... */
    char message[512]; /* what was seen, what was expected */
    uint64_t at_us, step;
};

/* An oracle is broken: the run ends here (longjmp to sim_run()). */
_Noreturn void sim_fail(struct sim *sim, const char *oracle, const char *format,
                        ...) __attribute__((format(printf, 3, 4)));

/* Call body(user); true: it returned, false: sim_fail() or a broken contract of
 * the core ended it, and *failure says how. Not nested. */
bool sim_run(struct sim *sim, void (*body)(void *user), void *user,
             struct sim_failure *failure);

#endif
