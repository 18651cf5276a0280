/* refusal.h: a TCP connection that cannot be served gets an HTTP answer.
 *
 * A Docker client that connects while its agent cannot take a stream is told
 * so in words it understands (AC-07, T33): 503, {"message": "..."}, then the
 * connection ends. Closing at once would reset what the client has not read
 * yet, because it has usually sent its request already: so the answer is
 * written, and the connection kept until the client closes it, for a second at
 * most. Only so many are kept; beyond that a connection is simply reset.
 */
#ifndef SERVER_REFUSAL_H
#define SERVER_REFUSAL_H

#include <stddef.h>

#include "net/loop.h"

#define REFUSALS_MAX 64u
#define REFUSAL_LINGER_MS 1000u

struct refusal {
    struct refusals *all;
    struct loop_watch watch;
    struct loop_timer timer;
};

struct refusals { /* fields belong to refusal.c */
    struct loop *loop;
    struct refusal slots[REFUSALS_MAX];
    size_t count;
};

void refusal_init(struct refusals *refusals, struct loop *loop);
/* Ends those that linger. */
void refusal_end(struct refusals *refusals);

/* Takes fd, a connected non-blocking socket. message: for people, plain ASCII
 * without quotes or backslashes. */
void refusal_send(struct refusals *refusals, int fd, const char *message);

#endif
