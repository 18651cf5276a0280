/* The bytes that say where they belong. */
#include "core/test/req.h"
#include "sim/content.h"

#include <string.h>

static void it_is_the_same_however_it_is_cut(void **state)
{
    uint8_t whole[200], piece[200];
    uint64_t key = content_key(7, 1, 2, true);

    (void)state;
    content_fill(key, 0, whole, sizeof whole);
    for (size_t from = 0; from < 40; from++) {
        for (size_t length = 0; from + length <= sizeof whole; length += 13) {
            content_fill(key, from, piece, length);
            assert_memory_equal(piece, whole + from, length);
            assert_int_equal(content_compare(key, from, whole + from, length),
                             length);
        }
    }
}

/* As on any machine: bytes, not words, are the format. */
static void its_first_bytes_are_known(void **state)
{
    static const uint8_t expected[] = {0x2f, 0x10, 0xde, 0xff, 0x2e, 0x1b,
                                       0xae, 0x1b, 0x26, 0xc8, 0xa4, 0x21,
                                       0x0a, 0x79, 0x63, 0x3c};
    uint8_t bytes[sizeof expected];

    (void)state;
    content_fill(content_key(1, 2, 3, true), 5, bytes, sizeof bytes);
    assert_memory_equal(bytes, expected, sizeof bytes);
}

static void a_changed_byte_is_found_where_it_is(void **state)
{
    uint8_t bytes[100];
    uint64_t key = content_key(7, 1, 2, false);

    (void)state;
    for (size_t at = 0; at < sizeof bytes; at++) {
        content_fill(key, 3, bytes, sizeof bytes);
        bytes[at] ^= 0x20;
        assert_int_equal(content_compare(key, 3, bytes, sizeof bytes), at);
    }
}

static void what_moved_is_found(void **state)
{
    uint8_t bytes[256];
    uint64_t key = content_key(7, 1, 2, false);

    (void)state;
    for (uint64_t shift = 1; shift < 100; shift++) {
        content_fill(key, 4096 + shift, bytes, sizeof bytes);
        assert_true(content_compare(key, 4096, bytes, sizeof bytes) < 16);
    }
}

static void what_is_anothers_is_found(void **state)
{
    static const uint64_t others[][3] = {
        {8, 1, 2}, {7, 2, 2}, {7, 1, 3}, {7, 2, 1}, {1, 7, 2}};
    uint8_t bytes[64];
    uint64_t key = content_key(7, 1, 2, true);

    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        content_fill(content_key(others[i][0], (uint32_t)others[i][1],
                                 others[i][2], true),
                     0, bytes, sizeof bytes);
        assert_true(content_compare(key, 0, bytes, sizeof bytes) < 16);
    }
    content_fill(content_key(7, 1, 2, false), 0, bytes, sizeof bytes);
    assert_true(content_compare(key, 0, bytes, sizeof bytes) < 16);
}

static const struct CMUnitTest tests[] = {
    REQ("Q-04,AC-06", it_is_the_same_however_it_is_cut),
    REQ("Q-04", its_first_bytes_are_known),
    REQ("Q-04,AC-06", a_changed_byte_is_found_where_it_is),
    REQ("Q-04,AC-06", what_moved_is_found),
    REQ("Q-04,AC-12", what_is_anothers_is_found),
};

RUN(tests)
