#include "core/test/req.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <unistd.h>

#include "net/loop.h"

struct probe {
    struct loop *loop;
    struct loop_watch watch;
    struct loop_watch *victim;
    int calls;
};

static struct loop *start(void)
{
    struct loop *loop = loop_create();

    assert_non_null(loop);
    return loop;
}

static void count(void *user, uint32_t events)
{
    struct probe *probe = user;
    (void)events;
    probe->calls++;
}

static void count_and_remove(void *user, uint32_t events)
{
    struct probe *probe = user;
    (void)events;
    probe->calls++;
    loop_remove(probe->loop, probe->victim);
}

static void an_event_of_a_removed_watch_is_not_delivered(void **state)
{
    struct loop *loop = start();
    struct probe a = {.loop = loop, .watch = {.ready = count_and_remove}};
    struct probe b = {.loop = loop, .watch = {.ready = count_and_remove}};
    int fd[2] = {eventfd(1, EFD_CLOEXEC), eventfd(1, EFD_CLOEXEC)};
    (void)state;

    a.watch.user = &a;
    b.watch.user = &b;
    a.victim = &b.watch;
    b.victim = &a.watch;
    assert_true(loop_add(loop, &a.watch, fd[0], EPOLLIN));
    assert_true(loop_add(loop, &b.watch, fd[1], EPOLLIN));
    loop_run_once(loop, 0);

    assert_int_equal(a.calls + b.calls, 1); /* whoever came first */

    loop_remove(loop, &a.watch);
    loop_remove(loop, &b.watch);
    close(fd[0]);
    close(fd[1]);
    loop_destroy(loop);
}

static void an_edge_that_nobody_handles_does_not_spin(void **state)
{
    struct loop *loop = start();
    struct probe a = {.watch = {.ready = count, .user = &a}};
    int fd = eventfd(1, EFD_CLOEXEC);
    (void)state;

    assert_true(loop_add(loop, &a.watch, fd,
                         EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET));
    for (int i = 0; i < 5; i++) {
        loop_run_once(loop, 0);
    }
    assert_int_equal(a.calls, 1);

    loop_change(loop, &a.watch, EPOLLIN);
    loop_run_once(loop, 0);
    loop_run_once(loop, 0);
    assert_int_equal(a.calls, 3);

    loop_remove(loop, &a.watch);
    loop_remove(loop, &a.watch);
    close(fd);
    loop_destroy(loop);
}

static void a_descriptor_that_cannot_be_watched_is_refused(void **state)
{
    struct loop *loop = start();
    struct probe a = {.watch = {.ready = count, .user = &a}};
    (void)state;

    assert_false(loop_add(loop, &a.watch, -1, EPOLLIN));
    assert_false(a.watch.watched);
    loop_destroy(loop);
}

/* ---- timers -------------------------------------------------------------- */

#define TIMERS 500

struct alarm {
    struct loop *loop;
    struct loop_timer timer;
    uint64_t at_ms;
    int fired;
};

static uint64_t last_ms;
static int fired;

static void ring(void *user)
{
    struct alarm *alarm = user;
    assert_true(alarm->at_ms >= last_ms);
    assert_true(loop_now_ms(alarm->loop) >= alarm->at_ms);
    last_ms = alarm->at_ms;
    alarm->fired++;
    fired++;
}

/* A heap property test: random sets, moves and stops; each running timer fires
 * once, in order. */
static void timers_fire_once_and_in_order(void **state)
{
    static struct alarm alarms[TIMERS];
    struct loop *loop = start();
    uint64_t base = loop_now_ms(loop);
    int expected = 0;
    (void)state;

    srand(1);
    last_ms = 0;
    fired = 0;
    for (int i = 0; i < TIMERS; i++) {
        alarms[i] = (struct alarm){.loop = loop,
                                   .timer = {.fire = ring, .user = &alarms[i]}};
    }
    for (int i = 0; i < 4 * TIMERS; i++) {
        struct alarm *alarm = &alarms[rand() % TIMERS];
        if (rand() % 4 == 0) {
            loop_timer_stop(loop, &alarm->timer);
        } else {
            alarm->at_ms = base - (uint64_t)(rand() % 1000);
            loop_timer_set(loop, &alarm->timer, alarm->at_ms);
        }
    }
    for (int i = 0; i < TIMERS; i++) {
        expected += alarms[i].timer.running ? 1 : 0;
    }
    assert_true(expected > LOOP_TIMERS);

    assert_int_equal(loop_timeout_ms(loop), 0);
    loop_run_once(loop, -1);
    assert_int_equal(fired, LOOP_TIMERS);
    loop_run_once(loop, -1);

    assert_int_equal(fired, expected);
    assert_int_equal(loop_timeout_ms(loop), -1);
    loop_destroy(loop);
}

static void a_timer_of_the_future_is_waited_for(void **state)
{
    struct loop *loop = start();
    struct alarm alarm = {.loop = loop,
                          .at_ms = loop_now_ms(loop) + 20,
                          .timer = {.fire = ring, .user = &alarm}};
    (void)state;

    last_ms = 0;
    loop_timer_set(loop, &alarm.timer, alarm.at_ms);
    assert_in_range(loop_timeout_ms(loop), 0, 20);
    for (int i = 0; i < 50 && alarm.fired == 0; i++) {
        loop_run_once(loop, -1);
    }

    assert_int_equal(alarm.fired, 1);
    assert_false(alarm.timer.running);
    loop_destroy(loop);
}

static void a_far_timer_does_not_overflow_the_wait(void **state)
{
    struct loop *loop = start();
    struct alarm alarm = {.timer = {.fire = ring, .user = &alarm}};
    (void)state;

    loop_timer_set(loop, &alarm.timer, UINT64_MAX - 1);
    assert_int_equal(loop_timeout_ms(loop), 3600000);
    loop_run_once(loop, 0);
    assert_int_equal(alarm.fired, 0);

    loop_timer_stop(loop, &alarm.timer);
    loop_destroy(loop);
}

/* ---- tasks --------------------------------------------------------------- */

struct job {
    struct loop *loop;
    struct loop_task task;
    struct job *other; /* cancelled by this one */
    int runs, again;
};

static void work(void *user)
{
    struct job *job = user;
    job->runs++;
    if (job->other != NULL) {
        loop_cancel(job->loop, &job->other->task);
    }
    if (job->again-- > 0) {
        loop_defer(job->loop, &job->task);
    }
}

static void a_task_runs_once_and_what_it_defers_runs_next_turn(void **state)
{
    struct loop *loop = start();
    struct job job = {
        .loop = loop, .task = {.run = work, .user = &job}, .again = 1};
    (void)state;

    loop_defer(loop, &job.task);
    loop_defer(loop, &job.task);
    assert_int_equal(loop_timeout_ms(loop), 0);
    loop_run_once(loop, -1);
    assert_int_equal(job.runs, 1);
    loop_run_once(loop, -1);
    assert_int_equal(job.runs, 2);
    assert_int_equal(loop_timeout_ms(loop), -1);
    loop_destroy(loop);
}

static void a_task_can_cancel_another_of_the_same_turn(void **state)
{
    struct loop *loop = start();
    struct job b = {.loop = loop, .task = {.run = work, .user = &b}};
    struct job a = {
        .loop = loop, .task = {.run = work, .user = &a}, .other = &b};
    (void)state;

    loop_defer(loop, &a.task);
    loop_defer(loop, &b.task);
    loop_run_once(loop, -1);

    assert_int_equal(a.runs, 1);
    assert_int_equal(b.runs, 0);
    loop_destroy(loop);
}

static void release(void *user)
{
    free(user);
}

static void destroying_the_loop_runs_what_is_deferred(void **state)
{
    struct loop *loop = start();
    struct loop_task *task = calloc(1, sizeof *task);
    (void)state;

    task->run = release;
    task->user = task;
    loop_defer(loop, task);
    loop_destroy(loop); /* a leak otherwise */
}

/* ---- nesting ------------------------------------------------------------- */

static void the_loop_can_be_nested_in_another(void **state)
{
    struct loop *loop = start();
    struct probe a = {.watch = {.ready = count, .user = &a}};
    struct pollfd outer = {.fd = loop_fd(loop), .events = POLLIN};
    int fd = eventfd(0, EFD_CLOEXEC);
    uint64_t one = 1;
    (void)state;

    assert_true(loop_add(loop, &a.watch, fd, EPOLLIN | EPOLLET));
    assert_int_equal(poll(&outer, 1, 0), 0);
    assert_int_equal(write(fd, &one, sizeof one), sizeof one);
    assert_int_equal(poll(&outer, 1, 0), 1);
    loop_run_once(loop, 0);
    assert_int_equal(a.calls, 1);
    assert_int_equal(poll(&outer, 1, 0), 0);

    loop_remove(loop, &a.watch);
    close(fd);
    loop_destroy(loop);
}

static void stop(void *user)
{
    loop_stop(user);
}

static void the_loop_turns_until_it_is_stopped(void **state)
{
    struct loop *loop = start();
    struct loop_timer timer = {.fire = stop, .user = loop};
    (void)state;

    loop_timer_set(loop, &timer, loop_now_ms(loop));
    loop_run(loop);

    assert_int_equal(loop_counters(loop)->timers, 1);
    assert_true(loop_counters(loop)->turns >= 1);
    loop_destroy(loop);
}

static int signalled;

/* As if the process had been stopped and bytes had come meanwhile. */
static void on_alarm(int number)
{
    (void)number;
    (void)eventfd_write(signalled, 1);
}

static void a_wait_that_a_signal_cuts_short_finds_what_came(void **state)
{
    struct loop *loop = start();
    struct probe a = {.watch = {.ready = count, .user = &a}};
    struct itimerval alarm = {.it_value = {.tv_usec = 20000}};
    struct sigaction action = {.sa_handler = on_alarm};
    (void)state;

    signalled = eventfd(0, EFD_CLOEXEC);
    assert_true(loop_add(loop, &a.watch, signalled, EPOLLIN));
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &alarm, NULL), 0);
    loop_run_once(loop, -1);

    assert_int_equal(a.calls, 1); /* in the same turn, so before its timers */
    loop_remove(loop, &a.watch);
    close(signalled);
    loop_destroy(loop);
}

static const struct CMUnitTest tests[] = {
    REQ("L-05", an_event_of_a_removed_watch_is_not_delivered),
    REQ("T13", an_edge_that_nobody_handles_does_not_spin),
    REQ("X17", a_descriptor_that_cannot_be_watched_is_refused),
    REQ("P-10", timers_fire_once_and_in_order),
    REQ("L-01", a_timer_of_the_future_is_waited_for),
    REQ("L-01", a_wait_that_a_signal_cuts_short_finds_what_came),
    REQ("L-08", a_far_timer_does_not_overflow_the_wait),
    REQ("L-05", a_task_runs_once_and_what_it_defers_runs_next_turn),
    REQ("L-05", a_task_can_cancel_another_of_the_same_turn),
    REQ("L-02", destroying_the_loop_runs_what_is_deferred),
    REQ("P-05", the_loop_can_be_nested_in_another),
    REQ("L-05", the_loop_turns_until_it_is_stopped),
};
RUN(tests)
