#include "core/test/req.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "net/spill.h"

#define POOL_BLOCKS 8u

struct holder {
    struct spill spill;
    int evicted;
};

static void on_evicted(void *user)
{
    struct holder *holder = user;
    assert_int_equal(holder->spill.length, 0);
    holder->evicted++;
}

static void start(struct holder *holder, struct spill_pool *pool)
{
    holder->evicted = 0;
    spill_init(&holder->spill, pool, on_evicted, holder);
}

static bool append(struct holder *holder, size_t length)
{
    static uint8_t bytes[64 * SPILL_BLOCK];
    return spill_append(&holder->spill,
                        (struct span){.bytes = bytes, .length = length});
}

/* Model: a byte queue. Random pieces in, random pieces out. */
static void bytes_come_out_as_they_went_in(void **state)
{
    struct spill_pool *pool = spill_pool_create(16 * SPILL_BLOCK);
    struct holder holder;
    uint32_t in = 0, out = 0;
    (void)state;

    start(&holder, pool);
    srand(7);
    for (int i = 0; i < 20000; i++) {
        uint8_t piece[3000];
        struct iovec pieces[3];
        size_t length = (size_t)rand() % sizeof piece;
        if (rand() % 2 == 0 && in - out + length < 12 * SPILL_BLOCK) {
            for (size_t j = 0; j < length; j++) {
                piece[j] = (uint8_t)(in++ * 2654435761u >> 24);
            }
            assert_true(
                spill_append(&holder.spill, (struct span){piece, length}));
        } else {
            size_t count = spill_peek(&holder.spill, pieces, 3);
            size_t taken = 0;
            for (size_t j = 0; j < count; j++) {
                const uint8_t *bytes = pieces[j].iov_base;
                for (size_t k = 0; k < pieces[j].iov_len && taken < length;
                     k++, taken++) {
                    assert_int_equal(bytes[k],
                                     (uint8_t)(out++ * 2654435761u >> 24));
                }
            }
            spill_consume(&holder.spill, taken);
        }
        assert_int_equal(holder.spill.length, in - out);
    }
    spill_clear(&holder.spill);
    spill_pool_destroy(pool);
}

static void an_empty_spill_holds_nothing(void **state)
{
    struct spill_pool *pool = spill_pool_create(POOL_BLOCKS * SPILL_BLOCK);
    struct holder holder;
    struct iovec pieces[2];
    (void)state;

    start(&holder, pool);
    assert_int_equal(spill_peek(&holder.spill, pieces, 2), 0);
    assert_true(append(&holder, 0));
    assert_int_equal(spill_counters(pool)->used, 0);
    assert_true(append(&holder, 3 * SPILL_BLOCK));
    spill_consume(&holder.spill, 3 * SPILL_BLOCK);
    assert_int_equal(spill_counters(pool)->used, 0);
    assert_true(append(&holder, 1));
    assert_int_equal(spill_counters(pool)->used, SPILL_BLOCK);
    spill_clear(&holder.spill);
    assert_int_equal(spill_counters(pool)->used, 0);
    spill_pool_destroy(pool);
}

static void the_one_that_holds_most_is_evicted_and_the_others_live(void **state)
{
    struct spill_pool *pool = spill_pool_create(POOL_BLOCKS * SPILL_BLOCK);
    struct holder small, large, other;
    (void)state;

    start(&small, pool);
    start(&large, pool);
    start(&other, pool);
    assert_true(append(&small, SPILL_BLOCK));     /* 2 blocks: one has a link */
    assert_true(append(&large, 4 * SPILL_BLOCK)); /* 5 */
    assert_true(append(&other, 10));              /* 1: all are used */
    assert_int_equal(spill_counters(pool)->used, 8 * SPILL_BLOCK);

    assert_true(append(&small, SPILL_BLOCK));

    assert_int_equal(large.evicted, 1);
    assert_int_equal(small.evicted + other.evicted, 0);
    assert_int_equal(small.spill.length, 2 * SPILL_BLOCK);
    assert_int_equal(other.spill.length, 10);
    assert_int_equal(spill_counters(pool)->evictions, 1);
    assert_int_equal(spill_counters(pool)->used, 4 * SPILL_BLOCK);
    assert_int_equal(spill_counters(pool)->peak, 8 * SPILL_BLOCK);

    spill_clear(&small.spill);
    spill_clear(&other.spill);
    spill_pool_destroy(pool);
}

static void a_spill_that_outgrows_the_others_evicts_itself(void **state)
{
    struct spill_pool *pool = spill_pool_create(POOL_BLOCKS * SPILL_BLOCK);
    struct holder small, large;
    (void)state;

    start(&small, pool);
    start(&large, pool);
    assert_true(append(&small, 100));
    assert_false(append(&large, POOL_BLOCKS * SPILL_BLOCK));

    assert_int_equal(large.evicted, 1);
    assert_int_equal(large.spill.length, 0);
    assert_int_equal(small.evicted, 0);
    assert_int_equal(small.spill.length, 100);
    assert_true(append(&large, SPILL_BLOCK)); /* usable again */

    spill_clear(&small.spill);
    spill_clear(&large.spill);
    spill_pool_destroy(pool);
}

static void the_budget_is_whole_blocks_and_at_least_one(void **state)
{
    struct spill_pool *pool = spill_pool_create(1);
    struct holder holder;
    (void)state;

    start(&holder, pool);
    assert_int_equal(spill_counters(pool)->budget, SPILL_BLOCK);
    assert_true(append(&holder, 100));
    assert_false(append(&holder, SPILL_BLOCK));
    spill_pool_destroy(pool);
    spill_pool_destroy(NULL);
}

/* The first bytes of the arena, found through a spill's first block. */
static bool is_resident(const void *bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char resident = 0;
    void *start_of_page = (void *)((uintptr_t)bytes / page * page);
    assert_int_equal(mincore(start_of_page, page, &resident), 0);
    return (resident & 1) != 0;
}

static void memory_goes_back_when_the_pool_is_empty(void **state)
{
    struct spill_pool *pool = spill_pool_create(POOL_BLOCKS * SPILL_BLOCK);
    struct holder holder;
    struct iovec piece;
    (void)state;

    start(&holder, pool);
    assert_true(append(&holder, 100));
    assert_int_equal(spill_peek(&holder.spill, &piece, 1), 1);
    assert_true(is_resident(piece.iov_base));
    spill_clear(&holder.spill);
    assert_false(is_resident(piece.iov_base));
    spill_pool_destroy(pool);
}

static const struct CMUnitTest tests[] = {
    REQ("L-05", bytes_come_out_as_they_went_in),
    REQ("P-05", an_empty_spill_holds_nothing),
    REQ("L-02,X15,T19", the_one_that_holds_most_is_evicted_and_the_others_live),
    REQ("L-02,X15,T19", a_spill_that_outgrows_the_others_evicts_itself),
    REQ("L-02", the_budget_is_whole_blocks_and_at_least_one),
    REQ("P-05", memory_goes_back_when_the_pool_is_empty),
};
RUN(tests)
