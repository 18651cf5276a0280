/* loop.h: one epoll loop of one thread: descriptors, timers, deferred work.
 *
 * Conventions
 *
 * Watches, timers and tasks live inside your objects; the loop allocates
 * nothing after loop_create(), so starting one of them cannot fail for want of
 * memory. user comes back in the handler. A handler may start, stop or free
 * anything, itself included: an event of a watch that was removed in the same
 * turn is never delivered.
 *
 * A turn is: wait, events (LOOP_BATCH at most), timers that are due
 * (LOOP_TIMERS at most), tasks that were deferred before or during the turn.
 * A wait that a signal cut short looks for events once more before the timers.
 * What is deferred by a task runs in the next turn, which then does not wait:
 * work that is cut into tasks lets everybody else have a turn in between.
 *
 * The loop can be nested in another: watch loop_fd() there for input, call
 * loop_run_once(loop, 0) when it is readable or loop_timeout_ms() has passed.
 */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#define LOOP_BATCH 64
#define LOOP_TIMERS 256

struct loop;

struct loop_watch {                             /* zeroed: not watched */
    void (*ready)(void *user, uint32_t events); /* EPOLLIN, ... */
    void *user;
    int fd;       /* while watched; read-only */
    bool watched; /* read-only */
};

struct loop_timer {           /* zeroed: not running */
    void (*fire)(void *user); /* once; the timer is stopped before the call */
    void *user;
    uint64_t at_ms; /* while running: when; read-only */
    bool running;   /* read-only */
    struct loop_timer *child, *next, *previous; /* of loop.c */
};

struct loop_task { /* zeroed: not queued */
    void (*run)(void *user);
    void *user;
    bool queued;                       /* read-only */
    struct loop_task *next, *previous; /* of loop.c */
};

struct loop_counters { /* only grow */
    uint64_t turns, events, timers, tasks;
};

/* NULL: out of memory or descriptors (errno). Ignores SIGPIPE for the process:
 * OpenSSL writes without MSG_NOSIGNAL. */
struct loop *loop_create(void);

/* Runs what is still deferred (frees, as a rule), then releases the loop.
 * Nothing may be watched any more, and no timer running. */
void loop_destroy(struct loop *loop);

/* Milliseconds of CLOCK_MONOTONIC, read once a turn. */
uint64_t loop_now_ms(const struct loop *loop);

/* One turn. Waits for timeout_ms at most, -1: until something happens. */
void loop_run_once(struct loop *loop, int timeout_ms);

/* Turns until loop_stop(). */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

int loop_fd(const struct loop *loop); /* readable: there are events */
/* How long another loop may wait before loop_run_once(); -1: for events only.
 * Read from the real clock, not from the turn's. */
int loop_timeout_ms(const struct loop *loop);
const struct loop_counters *loop_counters(const struct loop *loop);

/* events: EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLET. False (errno): the kernel has
 * no room for one more watch. */
bool loop_add(struct loop *loop, struct loop_watch *watch, int fd,
              uint32_t events);
void loop_change(struct loop *loop, struct loop_watch *watch, uint32_t events);
/* Before the descriptor is closed. Harmless when not watched. */
void loop_remove(struct loop *loop, struct loop_watch *watch);

/* (Re)start: fire in the turn in which at_ms has come. O(log n). */
void loop_timer_set(struct loop *loop, struct loop_timer *timer,
                    uint64_t at_ms);
void loop_timer_stop(struct loop *loop, struct loop_timer *timer);

/* Run once, after the events of this turn. Harmless when queued. */
void loop_defer(struct loop *loop, struct loop_task *task);
void loop_cancel(struct loop *loop, struct loop_task *task);

#endif
