/* Two lists under one lock: what is in flight counts, what is done waits for
 * the loop. A thread that outlives the resolver finds it marked as closed and
 * releases what is left: the last one out frees it. */
#include "agent/resolve.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "net/sys.h"

struct resolver {
    struct loop *loop;
    struct loop_watch watch; /* on the eventfd that says: something is done */
    int fd;
    pthread_mutex_t lock;
    struct resolve *done; /* under the lock, as the two below */
    unsigned in_flight;   /* look-ups whose thread has not come back */
    bool closed;
};

struct resolve {
    struct resolver *resolver;
    struct resolve *next;
    void (*done)(void *user, const struct resolve_result *result);
    void *user; /* the loop's; the thread looks at neither */
    bool cancelled;
    char host[256];
    char port[6];
    struct resolve_result result;
};

static void free_resolver(struct resolver *resolver)
{
    pthread_mutex_destroy(&resolver->lock);
    sys_close(resolver->fd);
    free(resolver);
}

static void look_up(struct resolve *resolve)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICSERV};
    struct resolve_result *result = &resolve->result;
    struct addrinfo *list = NULL;
    int error = sys_getaddrinfo(resolve->host, resolve->port, &hints, &list);

    if (error != 0) {
        result->error =
            error == EAI_SYSTEM ? "the resolver failed" : gai_strerror(error);
        return;
    }
    for (struct addrinfo *item = list;
         item != NULL && result->count < RESOLVE_ADDRESSES_MAX;
         item = item->ai_next) {
        struct socket_address *address = &result->addresses[result->count++];
        memcpy(&address->storage, item->ai_addr, item->ai_addrlen);
        address->length = item->ai_addrlen;
    }
    freeaddrinfo(list);
}

static void *run(void *argument)
{
    struct resolve *resolve = argument;
    struct resolver *resolver = resolve->resolver;
    bool last;

    look_up(resolve);
    pthread_mutex_lock(&resolver->lock);
    resolver->in_flight--;
    last = resolver->closed && resolver->in_flight == 0;
    if (resolver->closed) {
        free(resolve);
    } else {
        resolve->next = resolver->done;
        resolver->done = resolve;
        sys_eventfd_write(resolver->fd, 1);
    }
    pthread_mutex_unlock(&resolver->lock);
    if (last) {
        free_resolver(resolver);
    }
    return NULL;
}

static void deliver(void *user, uint32_t events)
{
    struct resolver *resolver = user;
    struct resolve *list;
    eventfd_t count;

    (void)events;
    sys_eventfd_read(resolver->fd, &count);
    pthread_mutex_lock(&resolver->lock);
    list = resolver->done;
    resolver->done = NULL;
    pthread_mutex_unlock(&resolver->lock);
    while (list != NULL) {
        struct resolve *resolve = list;
        list = resolve->next;
        if (!resolve->cancelled) {
            resolve->done(resolve->user, &resolve->result);
        }
        free(resolve);
    }
}

struct resolver *resolver_create(struct loop *loop)
{
    struct resolver *resolver = calloc(1, sizeof(*resolver));

    if (resolver == NULL) {
        return NULL;
    }
    resolver->loop = loop;
    resolver->watch.ready = deliver;
    resolver->watch.user = resolver;
    resolver->watch.fd = -1;
    resolver->fd = sys_eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&resolver->lock, NULL);
    if (resolver->fd < 0 ||
        !loop_add(loop, &resolver->watch, resolver->fd, EPOLLIN)) {
        free_resolver(resolver);
        return NULL;
    }
    return resolver;
}

void resolver_destroy(struct resolver *resolver)
{
    struct resolve *list;
    bool last;

    if (resolver == NULL) {
        return;
    }
    loop_remove(resolver->loop, &resolver->watch);
    pthread_mutex_lock(&resolver->lock);
    resolver->closed = true;
    list = resolver->done;
    resolver->done = NULL;
    last = resolver->in_flight == 0;
    pthread_mutex_unlock(&resolver->lock);
    while (list != NULL) {
        struct resolve *resolve = list;
        list = resolve->next;
        free(resolve);
    }
    if (last) {
        free_resolver(resolver);
    }
}

/* A thread that nobody joins. 0, or why not (errno value). */
static int start_thread(struct resolve *resolve)
{
    pthread_attr_t attributes;
    pthread_t thread;
    int error = pthread_attr_init(&attributes);

    if (error != 0) {
        return error;
    }
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    error = sys_pthread_create(&thread, &attributes, run, resolve);
    pthread_attr_destroy(&attributes);
    return error;
}

struct resolve *
resolve_start(struct resolver *resolver, const char *host, uint16_t port,
              void (*done)(void *user, const struct resolve_result *result),
              void *user)
{
    struct resolve *resolve = calloc(1, sizeof(*resolve));
    int error = resolve == NULL ? ENOMEM : 0;

    if (error == 0) {
        resolve->resolver = resolver;
        resolve->done = done;
        resolve->user = user;
        snprintf(resolve->host, sizeof(resolve->host), "%s", host);
        snprintf(resolve->port, sizeof(resolve->port), "%u", port);
        pthread_mutex_lock(&resolver->lock);
        error =
            resolver->in_flight < RESOLVE_MAX ? start_thread(resolve) : EAGAIN;
        resolver->in_flight += error == 0;
        pthread_mutex_unlock(&resolver->lock);
    }
    if (error != 0) {
        free(resolve);
        errno = error;
        return NULL;
    }
    return resolve;
}

void resolve_cancel(struct resolve *resolve)
{
    resolve->cancelled = true;
}
