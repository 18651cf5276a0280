/* acceptor.h: a listening socket on the loop.
 *
 * A few connections a turn, so that a flood on one listener starves nobody. Out
 * of descriptors (X17), a spare one is given up to accept the connection and
 * reset it, which beats letting it hang in the backlog; then the listener rests
 * for 100 ms. All acceptors of the process share the spare descriptor.
 */
#ifndef NET_ACCEPTOR_H
#define NET_ACCEPTOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "net/loop.h"

struct acceptor { /* fields belong to acceptor.c */
    struct loop *loop;
    struct loop_watch watch;
    struct loop_timer rest;
    void (*accepted)(void *user, int fd, const struct sockaddr_storage *peer);
    void *user;
};

struct acceptor_counters { /* of the process; only grow */
    uint64_t accepted;
    uint64_t refused; /* out of descriptors: accepted and reset, or left */
};

/* Takes fd, a listening non-blocking socket (socket_listen_loopback()). Each
 * connection is handed to accepted(), with its peer's address: non-blocking,
 * close-on-exec, yours. It may call acceptor_close(), but must not free
 * acceptor before it returns. False (errno): fd is still yours. */
bool acceptor_open(struct acceptor *acceptor, struct loop *loop, int fd,
                   void (*accepted)(void *user, int fd,
                                    const struct sockaddr_storage *peer),
                   void *user);

/* The socket is closed when this returns: a new dial is refused (AC-05).
 * Harmless when closed; acceptor zeroed counts as closed. */
void acceptor_close(struct acceptor *acceptor);

const struct acceptor_counters *acceptor_counters(void);

#endif
