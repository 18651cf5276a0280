/* IMPLEMENTATION NOTES
 *
 * The arena is address space for the whole budget. Blocks are handed out from
 * the free list, else from the part that was never touched. When the last block
 * comes back, the touched part is given back to the system and everything is
 * untouched again.
 *
 * A block is a link and its bytes; a spill fills its last block before it takes
 * another. Spills that hold blocks stand in a ring through the pool's sentinel,
 * so that the search for the largest looks at no others: at most as many as
 * there are blocks, and only when the budget is gone.
 */
#include "net/spill.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/contract.h"
#include "net/map.h"
#include "net/sys.h"

struct spill_block {
    struct spill_block *next;
    uint8_t bytes[SPILL_BLOCK - sizeof(void *)];
};

#define BLOCK_BYTES (sizeof((struct spill_block *)NULL)->bytes)

struct spill_pool {
    struct spill_block *arena;
    struct spill_block *free;
    size_t touched, total, used; /* blocks */
    struct spill holders;        /* sentinel */
    struct spill_counters counters;
};

struct spill_pool *spill_pool_create(size_t budget)
{
    struct spill_pool *pool = calloc(1, sizeof *pool);

    if (pool == NULL) {
        return NULL;
    }
    pool->total = budget / SPILL_BLOCK;
    if (pool->total == 0) {
        pool->total = 1;
    }
    pool->arena = map_create(pool->total * SPILL_BLOCK);
    if (pool->arena == NULL) {
        free(pool);
        return NULL;
    }
    pool->holders.next = pool->holders.previous = &pool->holders;
    pool->counters.budget = pool->total * SPILL_BLOCK;
    return pool;
}

void spill_pool_destroy(struct spill_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    REQUIRE(pool->used == 0);
    map_destroy(pool->arena, pool->total * SPILL_BLOCK);
    free(pool);
}

const struct spill_counters *spill_counters(const struct spill_pool *pool)
{
    return &pool->counters;
}

void spill_init(struct spill *spill, struct spill_pool *pool,
                void (*evicted)(void *user), void *user)
{
    *spill = (struct spill){.pool = pool, .evicted = evicted, .user = user};
}

/* ---- blocks -------------------------------------------------------------- */

static struct spill_block *take_block(struct spill_pool *pool)
{
    struct spill_block *block = pool->free;

    if (block != NULL) {
        pool->free = block->next;
    } else if (pool->touched < pool->total) {
        block = &pool->arena[pool->touched++];
    } else {
        return NULL;
    }
    block->next = NULL;
    pool->used++;
    pool->counters.used = pool->used * SPILL_BLOCK;
    if (pool->counters.used > pool->counters.peak) {
        pool->counters.peak = pool->counters.used;
    }
    return block;
}

static void give_block(struct spill_pool *pool, struct spill_block *block)
{
    block->next = pool->free;
    pool->free = block;
    pool->used--;
    pool->counters.used = pool->used * SPILL_BLOCK;
    if (pool->used == 0) {
        (void)sys_madvise(pool->arena, pool->touched * SPILL_BLOCK,
                          MADV_DONTNEED);
        pool->free = NULL;
        pool->touched = 0;
    }
}

static void drop_first(struct spill *spill)
{
    struct spill_block *block = spill->first;

    spill->first = block->next;
    spill->offset = 0;
    spill->blocks--;
    if (spill->first == NULL) {
        spill->last = NULL;
        spill->previous->next = spill->next;
        spill->next->previous = spill->previous;
    }
    give_block(spill->pool, block);
}

static void add_last(struct spill *spill, struct spill_block *block)
{
    struct spill *holders = &spill->pool->holders;

    if (spill->first == NULL) {
        spill->first = block;
        spill->next = holders;
        spill->previous = holders->previous;
        spill->previous->next = spill;
        holders->previous = spill;
    } else {
        spill->last->next = block;
    }
    spill->last = block;
    spill->blocks++;
}

/* ---- eviction ------------------------------------------------------------ */

static struct spill *find_largest(const struct spill_pool *pool)
{
    struct spill *largest = pool->holders.next;

    for (struct spill *s = largest->next; s != &pool->holders; s = s->next) {
        if (s->blocks > largest->blocks) {
            largest = s;
        }
    }
    return largest;
}

/* One more block for spill, from the largest if need be. NULL: spill itself
 * would be the largest, and was evicted. */
static struct spill_block *win_block(struct spill *spill)
{
    struct spill_pool *pool = spill->pool;
    struct spill_block *block = take_block(pool);
    struct spill *victim;

    if (block != NULL) {
        return block;
    }
    victim = find_largest(pool);
    if (victim->blocks <= spill->blocks) {
        victim = spill;
    }
    pool->counters.evictions++;
    spill_clear(victim);
    victim->evicted(victim->user);
    return victim == spill ? NULL : take_block(pool);
}

/* ---- bytes --------------------------------------------------------------- */

bool spill_append(struct spill *spill, struct span data)
{
    while (data.length > 0) {
        size_t end = (spill->offset + spill->length) % BLOCK_BYTES;
        size_t room = BLOCK_BYTES - end;

        if (end == 0) { /* empty, or its last block is full */
            struct spill_block *block = win_block(spill);
            if (block == NULL) {
                return false;
            }
            add_last(spill, block);
        }
        room = room < data.length ? room : data.length;
        memcpy(spill->last->bytes + end, data.bytes, room);
        spill->length += room;
        data.bytes += room;
        data.length -= room;
    }
    return true;
}

size_t spill_peek(const struct spill *spill, struct iovec *pieces, size_t count)
{
    struct spill_block *block = spill->first;
    size_t offset = spill->offset;
    size_t left = spill->length;
    size_t used = 0;

    while (used < count && left > 0) {
        size_t length = BLOCK_BYTES - offset;
        length = length < left ? length : left;
        pieces[used].iov_base = block->bytes + offset;
        pieces[used].iov_len = length;
        used++;
        left -= length;
        offset = 0;
        block = block->next;
    }
    return used;
}

void spill_consume(struct spill *spill, size_t length)
{
    REQUIRE(length <= spill->length);

    spill->length -= length;
    while (length > 0) {
        size_t here = BLOCK_BYTES - spill->offset;
        if (length < here) {
            spill->offset += (uint32_t)length;
            break;
        }
        length -= here;
        drop_first(spill);
    }
    /* An empty spill holds no block, wherever its bytes ended. */
    if (spill->length == 0 && spill->first != NULL) {
        drop_first(spill);
    }
}

void spill_clear(struct spill *spill)
{
    spill_consume(spill, spill->length);
}
