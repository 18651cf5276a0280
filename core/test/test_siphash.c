/* test_siphash.c: the keyed hash of the tables (D29). */
#include "core/test/req.h"

#include <stdlib.h>
#include <string.h>

#include "core/siphash.h"

static const uint64_t key[2] = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};

/* The designers' own vectors: key 00..0f, message 00..length-1. */
static void the_published_vectors_hold(void **state)
{
    static const struct {
        size_t length;
        uint64_t hash;
    } vectors[] = {
        {0, 0x726fdb47dd0e0e31u},
        {1, 0x74f839c593dc67fdu},
        {8, 0x93f5f5799a932462u},
        {15, 0xa129ca6149be45e5u},
    };
    uint8_t message[16];
    (void)state;

    for (size_t i = 0; i < sizeof message; i++) {
        message[i] = (uint8_t)i;
    }
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        uint8_t *exact = malloc(vectors[i].length + 1); /* one behind */

        assert_non_null(exact);
        memcpy(exact + 1, message, vectors[i].length);
        assert_true(siphash(key, exact + 1, vectors[i].length) ==
                    vectors[i].hash);
        free(exact);
    }
}

static void another_key_gives_another_place(void **state)
{
    const uint64_t other[2] = {key[0] ^ 1, key[1]};
    const uint8_t message[16] = {0};
    (void)state;

    assert_true(siphash(key, message, 16) != siphash(other, message, 16));
}

static const struct CMUnitTest tests[] = {
    REQ("D29", the_published_vectors_hold),
    REQ("D29", another_key_gives_another_place),
};
RUN(tests)
