/* spill.h: bytes that a socket has not taken yet, in one bounded pool.
 *
 * The pool is one mapping of 16 KiB blocks, touched as they are used; its size
 * is the budget of the whole process (X15). When it is used up, the spill that
 * holds most is told to let go (T19: the slowest reader pays, the others live),
 * and its blocks are free at once. Memory goes back to the system when the pool
 * is empty.
 */
#ifndef NET_SPILL_H
#define NET_SPILL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "core/span.h"

#define SPILL_BLOCK 16384u
#define SPILL_BUDGET_DEFAULT (256u << 20)

struct spill_pool;
struct spill_block;

struct spill { /* one connection's bytes; fields belong to spill.c */
    struct spill_pool *pool;
    void (*evicted)(void *user);
    void *user;
    struct spill_block *first, *last;
    size_t length;   /* bytes held: read it freely */
    uint32_t offset; /* of the first byte in the first block */
    uint32_t blocks;
    struct spill *next, *previous; /* spills of this pool that hold blocks */
};

struct spill_counters {
    size_t budget;      /* bytes, whole blocks */
    size_t used, peak;  /* bytes, whole blocks */
    uint64_t evictions; /* only grows */
};

/* budget: bytes, at least one block; a knob. NULL: no address space. */
struct spill_pool *spill_pool_create(size_t budget);
void spill_pool_destroy(struct spill_pool *pool); /* every spill is empty */
const struct spill_counters *spill_counters(const struct spill_pool *pool);

/* evicted: this spill was emptied to make room, its bytes are lost: reset the
 * connection. It is called from within another spill's spill_append(): defer
 * whatever touches other objects. */
void spill_init(struct spill *spill, struct spill_pool *pool,
                void (*evicted)(void *user), void *user);

/* Copy data to the end. False: the budget is gone and this very spill held (or
 * would have held) most: it is now empty and its evicted() was called. */
bool spill_append(struct spill *spill, struct span data);

/* The bytes from the front on, as at most count pieces; returns how many.
 * Borrowed: valid until the spill changes. */
size_t spill_peek(const struct spill *spill, struct iovec *pieces,
                  size_t count);
void spill_consume(struct spill *spill, size_t length); /* <= spill->length */
void spill_clear(struct spill *spill);

#endif
