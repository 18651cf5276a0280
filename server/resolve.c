/* A look-up cannot be interrupted, so it may outlive its caller's interest: the
 * job is shared, and whoever lets go last frees it. */
#include "server/resolve.h"

#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "net/sys.h"

struct job {
    atomic_int holders;
    int event;        /* readable: the thread is done */
    atomic_bool done; /* what is below is the loop's now */
    char host[256];
    char port[8];
    struct socket_address addresses[RESOLVE_ADDRESSES_MAX];
    size_t count;
};

struct resolve {
    struct loop *loop;
    struct loop_watch watch;
    struct loop_task task; /* literal: done() comes from here */
    struct job *job;
    void (*done)(void *user, const struct socket_address *addresses,
                 size_t count);
    void *user;
};

static atomic_uint threads;

static void job_drop(struct job *job)
{
    if (atomic_fetch_sub(&job->holders, 1) == 1) {
        if (job->event >= 0) {
            (void)sys_close(job->event);
        }
        free(job);
    }
}

static void *look_up(void *argument)
{
    struct job *job = argument;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    uint64_t one = 1;
    if (sys_getaddrinfo(job->host, job->port, &hints, &list) == 0) {
        for (struct addrinfo *each = list;
             each != NULL && job->count < RESOLVE_ADDRESSES_MAX;
             each = each->ai_next) {
            struct socket_address *address = &job->addresses[job->count++];
            memcpy(&address->storage, each->ai_addr, each->ai_addrlen);
            address->length = each->ai_addrlen;
        }
        freeaddrinfo(list);
    }
    (void)atomic_fetch_sub(&threads, 1);
    atomic_store(&job->done, true);
    (void)!sys_write(job->event, &one, sizeof(one));
    job_drop(job);
    return NULL;
}

static void finish(struct resolve *resolve)
{
    struct job *job = resolve->job;
    void (*done)(void *user, const struct socket_address *addresses,
                 size_t count) = resolve->done;
    void *user = resolve->user;
    loop_remove(resolve->loop, &resolve->watch);
    free(resolve);
    done(user, job->addresses, job->count);
    job_drop(job);
}

static void on_literal(void *user)
{
    finish(user);
}

static void on_event(void *user, uint32_t events)
{
    struct resolve *resolve = user;
    (void)events;
    if (atomic_load(&resolve->job->done)) {
        finish(resolve);
    }
}

/* The process's signals are the loop's: the thread takes none. */
static bool start_thread(struct job *job)
{
    pthread_t thread;
    pthread_attr_t attributes;
    sigset_t all;
    sigset_t kept;
    if (pthread_attr_init(&attributes) != 0) {
        return false;
    }
    (void)sigfillset(&all);
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)pthread_sigmask(SIG_SETMASK, &all, &kept);
    bool started = sys_pthread_create(&thread, &attributes, look_up, job) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &kept, NULL);
    (void)pthread_attr_destroy(&attributes);
    return started;
}

/* Watches the job's end and starts its thread. */
static bool start_look_up(struct resolve *resolve)
{
    struct job *job = resolve->job;
    if (atomic_fetch_add(&threads, 1) >= RESOLVE_THREADS_MAX) {
        (void)atomic_fetch_sub(&threads, 1);
        return false;
    }
    job->event = sys_eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (job->event >= 0 &&
        loop_add(resolve->loop, &resolve->watch, job->event, EPOLLIN)) {
        (void)atomic_fetch_add(&job->holders, 1);
        if (start_thread(job)) {
            return true;
        }
        (void)atomic_fetch_sub(&job->holders, 1);
        loop_remove(resolve->loop, &resolve->watch);
    }
    (void)atomic_fetch_sub(&threads, 1);
    return false;
}

struct resolve *
resolve_begin(struct loop *loop, const char *host, uint16_t port,
              void (*done)(void *user, const struct socket_address *addresses,
                           size_t count),
              void *user)
{
    struct resolve *resolve = calloc(1, sizeof(*resolve));
    struct job *job = calloc(1, sizeof(*job));
    if (resolve == NULL || job == NULL || strlen(host) >= sizeof(job->host)) {
        free(resolve);
        free(job);
        return NULL;
    }
    *resolve = (struct resolve){.loop = loop,
                                .watch = {.ready = on_event, .user = resolve},
                                .task = {.run = on_literal, .user = resolve},
                                .job = job,
                                .done = done,
                                .user = user};
    atomic_init(&job->holders, 1);
    atomic_init(&job->done, false);
    job->event = -1;
    (void)snprintf(job->host, sizeof(job->host), "%s", host);
    (void)snprintf(job->port, sizeof(job->port), "%u", (unsigned)port);
    if (socket_address_inet(&job->addresses[0], host, port)) {
        job->count = 1;
        loop_defer(loop, &resolve->task);
    } else if (!start_look_up(resolve)) {
        job_drop(job);
        free(resolve);
        resolve = NULL;
    }
    return resolve;
}

void resolve_cancel(struct resolve *resolve)
{
    loop_cancel(resolve->loop, &resolve->task);
    loop_remove(resolve->loop, &resolve->watch);
    job_drop(resolve->job);
    free(resolve);
}
