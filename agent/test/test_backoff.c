/* The delays between dials (U-02). */
#include "agent/backoff.h"
#include "core/test/req.h"

#include <stdbool.h>

#define HALF 0x80000000u /* the random number that moves nothing */

static void the_delay_doubles_up_to_the_maximum(void **state)
{
    (void)state;
    struct backoff backoff = {.min_ms = 5000, .max_ms = 60000};
    const uint64_t expected[] = {5000, 10000, 20000, 40000, 40000, 40000};

    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        assert_int_equal(backoff_next(&backoff, 0, HALF), expected[i]);
    }
}

static void jitter_moves_the_delay_by_half_either_way(void **state)
{
    (void)state;

    assert_int_equal(backoff_jitter(10000, 0), 5000);
    assert_int_equal(backoff_jitter(10000, HALF), 10000);
    assert_int_equal(backoff_jitter(10000, UINT32_MAX), 14999);
    assert_int_equal(backoff_jitter(0, UINT32_MAX), 0);
}

static void no_delay_exceeds_the_maximum(void **state)
{
    (void)state;

    for (uint64_t max_ms = 1; max_ms <= 86400000u; max_ms *= 3) {
        struct backoff backoff = {.min_ms = 1, .max_ms = max_ms};
        for (int i = 0; i < 100; i++) {
            assert_true(backoff_next(&backoff, 0, UINT32_MAX) <= max_ms);
        }
    }
}

static void a_long_connection_starts_the_row_again(void **state)
{
    (void)state;
    struct backoff backoff = {.min_ms = 5000, .max_ms = 60000};

    backoff_next(&backoff, 0, HALF);
    backoff_next(&backoff, 0, HALF);

    assert_int_equal(backoff_next(&backoff, 59999, HALF), 20000);
    assert_int_equal(backoff_next(&backoff, 60000, HALF), 5000);
    assert_int_equal(backoff_next(&backoff, 0, HALF), 10000);
}

static void the_same_seed_gives_the_same_delays(void **state)
{
    (void)state;
    struct backoff a = {.min_ms = 5000, .max_ms = 60000};
    struct backoff b = a;
    uint32_t seed = 1;
    bool differs = false;
    uint64_t last = 0;

    for (int i = 0; i < 100; i++) {
        seed = seed * 1664525u + 1013904223u;
        uint64_t delay = backoff_next(&a, 0, seed);
        assert_int_equal(delay, backoff_next(&b, 0, seed));
        differs = differs || (i > 10 && delay != last);
        last = delay;
    }

    assert_true(differs);
}

static const struct CMUnitTest tests[] = {
    REQ("U-02", the_delay_doubles_up_to_the_maximum),
    REQ("U-02", jitter_moves_the_delay_by_half_either_way),
    REQ("U-02", no_delay_exceeds_the_maximum),
    REQ("U-02", a_long_connection_starts_the_row_again),
    REQ("U-02", the_same_seed_gives_the_same_delays),
};
RUN(tests)
