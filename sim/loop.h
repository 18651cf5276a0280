/* loop.h: the event loop of a modelled process.
 *
 * What a process does, it does in jobs: they wait while it is paused, and they
 * are gone with it, whatever became of their owners. Jobs are memory of the
 * world, so that a process may die at any time (process_kill()) before or
 * after loop_end().
 */
#ifndef SIM_LOOP_H
#define SIM_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/sim.h"

struct job;

struct loop { /* read-only */
    struct sim *sim;
    uint64_t paused_until_us;
    uint64_t paused_us; /* in all, so far */
    struct job *jobs;
};

void loop_init(struct loop *loop, struct sim *sim);
void loop_end(struct loop *loop); /* every job is stopped and freed */
/* No job runs before; what is due by then runs then. */
void loop_pause(struct loop *loop, uint64_t until_us);
uint64_t loop_now_ms(const struct loop *loop);

/* Never NULL. */
struct job *job_new(struct loop *loop, void (*does)(void *user), void *user);
void job_free(struct job *job); /* NULL is fine; also from within does() */
void job_wake(struct job *job); /* in this instant */
/* At this time or before, whatever was asked for earlier; UINT64_MAX: nothing
 * is asked for. */
void job_by_ms(struct job *job, uint64_t at_ms);
void job_stop(struct job *job);

#endif
