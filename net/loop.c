/* IMPLEMENTATION NOTES
 *
 * Running timers form a pairing heap: a node's children are a list that begins
 * at child and goes on by next; previous is the parent for the first child, the
 * left sibling for the others, NULL for the root. Setting a timer is O(1),
 * taking one out O(log n) amortised, and nothing is ever allocated.
 *
 * Queued tasks form a ring through a sentinel. A turn moves the ring to a
 * sentinel of its own before it runs them, so that what they defer waits for
 * the next turn; either ring can lose any member at any time.
 *
 * Events of the turn stay in batch[]; loop_remove() strikes out those of the
 * watch that are still to come (at most LOOP_BATCH comparisons).
 */
#include "net/loop.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "core/contract.h"
#include "net/sys.h"

#define DESTROY_TURNS 1000 /* tasks that defer tasks for ever are a defect */

struct loop {
    int fd;
    bool stopped;
    uint64_t now_ms;
    size_t watches;
    struct loop_timer *timers; /* root: the next to fire */
    struct loop_task tasks;    /* sentinel */
    struct loop_counters counters;
    size_t batch_next, batch_end;
    struct epoll_event batch[LOOP_BATCH];
};

static uint64_t clock_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

struct loop *loop_create(void)
{
    struct loop *loop = calloc(1, sizeof *loop);

    if (loop == NULL) {
        return NULL;
    }
    loop->fd = sys_epoll_create1(EPOLL_CLOEXEC);
    if (loop->fd < 0) {
        free(loop);
        return NULL;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    loop->tasks.next = loop->tasks.previous = &loop->tasks;
    loop->now_ms = clock_ms();
    return loop;
}

/* ---- timers -------------------------------------------------------------- */

static struct loop_timer *meld(struct loop_timer *a, struct loop_timer *b)
{
    if (a == NULL) {
        return b;
    }
    if (b == NULL) {
        return a;
    }
    if (b->at_ms < a->at_ms) {
        struct loop_timer *swap = a;
        a = b;
        b = swap;
    }
    b->next = a->child;
    b->previous = a;
    if (b->next != NULL) {
        b->next->previous = b;
    }
    a->child = b;
    return a;
}

/* Meld a list of siblings: pairs from left to right, then all into one. */
static struct loop_timer *meld_all(struct loop_timer *first)
{
    struct loop_timer *pairs = NULL;
    struct loop_timer *root = NULL;

    while (first != NULL) {
        struct loop_timer *a = first;
        struct loop_timer *b = a->next;
        first = b == NULL ? NULL : b->next;
        a->next = a->previous = NULL;
        if (b != NULL) {
            b->next = b->previous = NULL;
        }
        a = meld(a, b);
        a->next = pairs;
        pairs = a;
    }
    while (pairs != NULL) {
        struct loop_timer *pair = pairs;
        pairs = pair->next;
        pair->next = NULL;
        root = meld(root, pair);
    }
    return root;
}

void loop_timer_stop(struct loop *loop, struct loop_timer *timer)
{
    struct loop_timer *rest;

    if (!timer->running) {
        return;
    }
    rest = meld_all(timer->child);
    if (timer == loop->timers) {
        loop->timers = rest;
    } else {
        if (timer->previous->child == timer) {
            timer->previous->child = timer->next;
        } else {
            timer->previous->next = timer->next;
        }
        if (timer->next != NULL) {
            timer->next->previous = timer->previous;
        }
        loop->timers = meld(loop->timers, rest);
    }
    timer->child = timer->next = timer->previous = NULL;
    timer->running = false;
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t at_ms)
{
    REQUIRE(timer->fire != NULL);

    loop_timer_stop(loop, timer);
    timer->at_ms = at_ms;
    timer->running = true;
    loop->timers = meld(loop->timers, timer);
}

static void run_timers(struct loop *loop)
{
    for (int i = 0; i < LOOP_TIMERS; i++) {
        struct loop_timer *timer = loop->timers;
        if (timer == NULL || timer->at_ms > loop->now_ms) {
            return;
        }
        loop_timer_stop(loop, timer);
        loop->counters.timers++;
        timer->fire(timer->user);
    }
}

/* ---- tasks --------------------------------------------------------------- */

void loop_defer(struct loop *loop, struct loop_task *task)
{
    REQUIRE(task->run != NULL);

    if (task->queued) {
        return;
    }
    task->queued = true;
    task->next = &loop->tasks;
    task->previous = loop->tasks.previous;
    task->previous->next = task;
    loop->tasks.previous = task;
}

void loop_cancel(struct loop *loop, struct loop_task *task)
{
    (void)loop; /* the ring needs no head */
    if (!task->queued) {
        return;
    }
    task->previous->next = task->next;
    task->next->previous = task->previous;
    task->next = task->previous = NULL;
    task->queued = false;
}

static bool has_tasks(const struct loop *loop)
{
    return loop->tasks.next != &loop->tasks;
}

static void run_tasks(struct loop *loop)
{
    struct loop_task turn;

    if (!has_tasks(loop)) {
        return;
    }
    turn.next = loop->tasks.next;
    turn.previous = loop->tasks.previous;
    turn.next->previous = &turn;
    turn.previous->next = &turn;
    loop->tasks.next = loop->tasks.previous = &loop->tasks;
    while (turn.next != &turn) {
        struct loop_task *task = turn.next;
        loop_cancel(loop, task);
        loop->counters.tasks++;
        task->run(task->user);
    }
}

/* ---- descriptors --------------------------------------------------------- */

bool loop_add(struct loop *loop, struct loop_watch *watch, int fd,
              uint32_t events)
{
    struct epoll_event event = {.events = events, .data = {.ptr = watch}};

    REQUIRE(!watch->watched);
    REQUIRE(watch->ready != NULL);

    if (sys_epoll_ctl(loop->fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        return false;
    }
    watch->fd = fd;
    watch->watched = true;
    loop->watches++;
    return true;
}

void loop_change(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data = {.ptr = watch}};

    REQUIRE(watch->watched);

    /* Fails only for descriptors that loop_add() would have refused. */
    (void)sys_epoll_ctl(loop->fd, EPOLL_CTL_MOD, watch->fd, &event);
}

void loop_remove(struct loop *loop, struct loop_watch *watch)
{
    if (!watch->watched) {
        return;
    }
    (void)sys_epoll_ctl(loop->fd, EPOLL_CTL_DEL, watch->fd, NULL);
    watch->watched = false;
    loop->watches--;
    for (size_t i = loop->batch_next; i < loop->batch_end; i++) {
        if (loop->batch[i].data.ptr == watch) {
            loop->batch[i].data.ptr = NULL;
        }
    }
}

static void run_events(struct loop *loop)
{
    while (loop->batch_next < loop->batch_end) {
        const struct epoll_event *event = &loop->batch[loop->batch_next++];
        struct loop_watch *watch = event->data.ptr;
        if (watch != NULL) {
            loop->counters.events++;
            watch->ready(watch->user, event->events);
        }
    }
}

/* ---- turns --------------------------------------------------------------- */

int loop_timeout_ms(const struct loop *loop)
{
    uint64_t now_ms;

    if (has_tasks(loop)) {
        return 0;
    }
    if (loop->timers == NULL) {
        return -1;
    }
    now_ms = clock_ms();
    if (loop->timers->at_ms <= now_ms) {
        return 0;
    }
    if (loop->timers->at_ms - now_ms > 3600000) {
        return 3600000; /* an hour too early costs one idle turn */
    }
    return (int)(loop->timers->at_ms - now_ms);
}

void loop_run_once(struct loop *loop, int timeout_ms)
{
    int wait_ms = loop_timeout_ms(loop);
    int count;

    if (wait_ms < 0 || (timeout_ms >= 0 && timeout_ms < wait_ms)) {
        wait_ms = timeout_ms;
    }
    count = sys_epoll_wait(loop->fd, loop->batch, LOOP_BATCH, wait_ms);
    if (count < 0) { /* EINTR: stopped, and now continued (L-01) */
        count = sys_epoll_wait(loop->fd, loop->batch, LOOP_BATCH, 0);
    }
    loop->now_ms = clock_ms();
    loop->batch_next = 0;
    loop->batch_end = count > 0 ? (size_t)count : 0;
    loop->counters.turns++;
    run_events(loop);
    run_timers(loop);
    run_tasks(loop);
}

void loop_run(struct loop *loop)
{
    loop->stopped = false;
    while (!loop->stopped) {
        loop_run_once(loop, -1);
    }
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
}

void loop_destroy(struct loop *loop)
{
    for (int i = 0; i < DESTROY_TURNS && has_tasks(loop); i++) {
        run_tasks(loop);
    }
    REQUIRE(!has_tasks(loop));
    REQUIRE(loop->timers == NULL);
    REQUIRE(loop->watches == 0);
    (void)sys_close(loop->fd);
    free(loop);
}

uint64_t loop_now_ms(const struct loop *loop)
{
    return loop->now_ms;
}

int loop_fd(const struct loop *loop)
{
    return loop->fd;
}

const struct loop_counters *loop_counters(const struct loop *loop)
{
    return &loop->counters;
}
