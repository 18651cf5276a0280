/* resolve.h: name look-ups that do not block the loop.
 *
 * getaddrinfo() blocks for as long as a resolver is silent, so each look-up has
 * a thread of its own, RESOLVE_MAX at most. The thread touches nothing but its
 * look-up; whatever it found comes back through the loop.
 */
#ifndef AGENT_RESOLVE_H
#define AGENT_RESOLVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/loop.h"
#include "net/socket.h"

#define RESOLVE_MAX 16u          /* look-ups at once */
#define RESOLVE_ADDRESSES_MAX 8u /* taken of what a name has */

struct resolver;

/* NULL (errno): no memory or descriptor. */
struct resolver *resolver_create(struct loop *loop);
/* Look-ups in flight are forgotten; their done() is not called. */
void resolver_destroy(struct resolver *resolver);

struct resolve_result {
    struct socket_address addresses[RESOLVE_ADDRESSES_MAX];
    size_t count;      /* 0: none were found */
    const char *error; /* then: why; static text */
};

struct resolve;

/* done() is called once, from the loop, unless the look-up is cancelled; the
 * result is valid during the call. NULL (errno): RESOLVE_MAX are in flight
 * (EAGAIN), or there is no memory or thread. */
struct resolve *
resolve_start(struct resolver *resolver, const char *host, uint16_t port,
              void (*done)(void *user, const struct resolve_result *result),
              void *user);
void resolve_cancel(struct resolve *resolve);

#endif
