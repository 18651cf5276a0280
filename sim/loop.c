#include "sim/loop.h"

#include <stddef.h>

struct job {
    struct loop *loop;
    struct job *before, *after;
    struct task task;
    void (*run)(void *user);
    void *user;
};

void loop_init(struct loop *loop, struct sim *sim)
{
    *loop = (struct loop){.sim = sim};
}

void loop_end(struct loop *loop)
{
    while (loop->jobs != NULL) {
        job_free(loop->jobs);
    }
}

void loop_pause(struct loop *loop, uint64_t until_us)
{
    uint64_t from_us = sim_now_us(loop->sim);

    from_us = from_us > loop->paused_until_us ? from_us : loop->paused_until_us;
    if (until_us > from_us) {
        loop->paused_us += until_us - from_us;
        loop->paused_until_us = until_us;
    }
}

uint64_t loop_now_ms(const struct loop *loop)
{
    return sim_now_ms(loop->sim);
}

static void run(void *user)
{
    struct job *job = user;

    if (sim_now_us(job->loop->sim) < job->loop->paused_until_us) {
        task_set(&job->task, job->loop->paused_until_us);
    } else {
        job->run(job->user);
    }
}

struct job *job_new(struct loop *loop, void (*does)(void *user), void *user)
{
    struct job *job = sim_alloc(loop->sim, sizeof *job);

    *job = (struct job){
        .loop = loop, .after = loop->jobs, .run = does, .user = user};
    task_init(&job->task, loop->sim, run, job);
    if (loop->jobs != NULL) {
        loop->jobs->before = job;
    }
    loop->jobs = job;
    return job;
}

void job_free(struct job *job)
{
    if (job == NULL) {
        return;
    }
    task_stop(&job->task);
    if (job->before != NULL) {
        job->before->after = job->after;
    } else {
        job->loop->jobs = job->after;
    }
    if (job->after != NULL) {
        job->after->before = job->before;
    }
    sim_release(job->loop->sim, job);
}

void job_wake(struct job *job)
{
    task_wake(&job->task);
}

void job_by_ms(struct job *job, uint64_t at_ms)
{
    if (at_ms < UINT64_MAX / SIM_MS) {
        task_by(&job->task, at_ms * SIM_MS);
    }
}

void job_stop(struct job *job)
{
    task_stop(&job->task);
}
