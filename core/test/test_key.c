/* test_key.c: the agent key as text (K-01, X2, AC-16). */
#include "core/test/req.h"

#include <string.h>

#include "core/key.h"

#define DIGITS                         \
    "00112233445566778899aabbccddeeff" \
    "0123456789abcdef0f1e2d3c4b5a6978"

static const char good[] = "Bearer ch_orthrus_" DIGITS;

static bool accepts(const char *text, size_t length)
{
    struct span key = {NULL, 0};
    struct span value = {(const uint8_t *)text, length};
    bool accepted = key_from_authorization(value, &key);

    if (!accepted) { /* nothing was written */
        assert_null(key.bytes);
    }
    return accepted;
}

static bool accepts_text(const char *text)
{
    return accepts(text, strlen(text));
}

static void a_key_is_found_in_the_field_value(void **state)
{
    struct span value = {(const uint8_t *)good, strlen(good)};
    struct span key;
    (void)state;

    assert_true(key_from_authorization(value, &key));

    assert_ptr_equal(key.bytes, value.bytes + strlen("Bearer "));
    assert_int_equal(key.length, KEY_LENGTH);
}

static void no_value_is_no_key(void **state)
{
    (void)state;

    assert_false(accepts(NULL, 0));
    assert_false(accepts_text(""));
    assert_false(accepts_text("Bearer"));
    assert_false(accepts_text("Bearer "));
}

static void the_scheme_is_matched_exactly(void **state)
{
    static const char *const wrong[] = {
        "bearer ch_orthrus_" DIGITS,  "BEARER ch_orthrus_" DIGITS,
        "Bearer  ch_orthrus_" DIGITS, "Bearer\tch_orthrus_" DIGITS,
        " Bearer ch_orthrus_" DIGITS, "Bearerch_orthrus_" DIGITS,
        "Basic ch_orthrus_" DIGITS,   "ch_orthrus_" DIGITS,
        "Bearer: ch_orthrus_" DIGITS,
    };
    (void)state;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_false(accepts_text(wrong[i]));
    }
}

static void one_character_more_or_less_is_no_key(void **state)
{
    (void)state;

    assert_false(accepts(good, strlen(good) - 1));
    assert_true(accepts(good, strlen(good)));
    assert_false(accepts_text("Bearer ch_orthrus_" DIGITS "0"));
    assert_false(accepts_text("Bearer ch_orthrus_" DIGITS " "));
    assert_false(accepts(good, sizeof good)); /* a NUL behind it */
}

/* Each of the 256 byte values at each position: only the right prefix and
 * lowercase hex digits make a key. */
static void every_wrong_byte_is_refused(void **state)
{
    char text[sizeof good];
    (void)state;

    for (size_t at = 0; at < strlen(good); at++) {
        memcpy(text, good, sizeof good);
        for (int c = 0; c < 256; c++) {
            text[at] = (char)c;
            bool is_hex = c != 0 && strchr("0123456789abcdef", c) != NULL;
            bool right = at < 18 ? text[at] == good[at] : is_hex;
            assert_int_equal(accepts(text, strlen(good)), right);
        }
    }
}

static void a_key_alone_is_well_formed_or_not(void **state)
{
    const uint8_t *key = (const uint8_t *)good + strlen("Bearer ");
    (void)state;

    assert_true(key_is_well_formed((struct span){key, KEY_LENGTH}));
    assert_false(key_is_well_formed((struct span){key, KEY_LENGTH - 1}));
    assert_false(key_is_well_formed((struct span){key - 1, KEY_LENGTH}));
    assert_false(key_is_well_formed((struct span){NULL, 0}));
}

static void random_bytes_become_a_key(void **state)
{
    uint8_t random[KEY_RANDOM_SIZE];
    char key[KEY_LENGTH + 1];
    (void)state;

    for (size_t i = 0; i < sizeof random; i++) {
        random[i] = (uint8_t)(i * 37 + 11);
    }
    key_format(key, random);

    assert_int_equal(strlen(key), 75);
    assert_true(key_is_well_formed((struct span){(uint8_t *)key, 75}));
    assert_memory_equal(key, "ch_orthrus_0b30557a9fc4e90e", 27);
}

static void every_random_bit_reaches_the_key(void **state)
{
    uint8_t random[KEY_RANDOM_SIZE] = {0};
    char zero[KEY_LENGTH + 1];
    char key[KEY_LENGTH + 1];
    (void)state;

    key_format(zero, random);
    for (size_t bit = 0; bit < 8 * sizeof random; bit++) {
        random[bit / 8] = (uint8_t)(1u << bit % 8);
        key_format(key, random);
        assert_string_not_equal(key, zero);
        assert_true(key_is_well_formed((struct span){(uint8_t *)key, 75}));
        random[bit / 8] = 0;
    }
}

static void digests_differ_by_any_bit(void **state)
{
    uint8_t a[KEY_DIGEST_SIZE] = {1, 2, 3};
    uint8_t b[KEY_DIGEST_SIZE] = {1, 2, 3};
    (void)state;

    assert_true(key_digest_equal(a, b));
    for (size_t bit = 0; bit < 8 * sizeof b; bit++) {
        b[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(key_digest_equal(a, b));
        b[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static const struct CMUnitTest tests[] = {
    REQ("AC-16", a_key_is_found_in_the_field_value),
    REQ("AC-16", no_value_is_no_key),
    REQ("AC-16", the_scheme_is_matched_exactly),
    REQ("X2", one_character_more_or_less_is_no_key),
    REQ("X2", every_wrong_byte_is_refused),
    REQ("K-01", a_key_alone_is_well_formed_or_not),
    REQ("K-01", random_bytes_become_a_key),
    REQ("K-01", every_random_bit_reaches_the_key),
    REQ("K-02", digests_differ_by_any_bit),
};
RUN(tests)
