/* gather.h: bytes that stream in small pieces gather in their socket.
 *
 * A peer that writes less at a time than is dealt with before the next comes
 * costs a wake-up for each write. So, once the mark has come within a
 * millisecond, in GATHER_READS reads or more, the kernel wakes us for as many
 * bytes only (SO_RCVLOWAT), and a timer looks after GATHER_MS at what is there.
 * When that is little, it is over: an idle socket has no timer.
 *
 * The end of a connection wakes below the mark, and so does a full receive
 * buffer. Setting the mark back tells of what is there (Linux 4.18).
 */
#ifndef NET_GATHER_H
#define NET_GATHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/loop.h"

#define GATHER_READS 4u
#define GATHER_MS 1u
#define GATHER_PAUSE_MS 2u

struct gather { /* fields belong to gather.c */
    struct loop *loop;
    struct loop_timer timer; /* while on: running, or look() was called */
    uint64_t counted_ms;     /* the millisecond of: */
    size_t bytes;
    unsigned reads;
    size_t mark; /* 0: never */
    int fd;
    bool on;
};

/* look: read the socket now, then call gather_took(). */
void gather_init(struct gather *gather, struct loop *loop, int fd, size_t mark,
                 void (*look)(void *user), void *user);

/* The socket was read until nothing was left: length bytes, or 0. */
void gather_took(struct gather *gather, size_t length);

/* The peer was asked for something: what comes within GATHER_PAUSE_MS may be
 * the answer, which is not kept waiting. Cheap. */
void gather_pause(struct gather *gather);

/* Before the descriptor is closed. Harmless twice. */
void gather_stop(struct gather *gather);

#endif
