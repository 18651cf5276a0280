#include "core/key.h"

#include <string.h>

#include "core/contract.h"

#define SCHEME "Bearer "
#define PREFIX_LENGTH (sizeof KEY_PREFIX - 1)
#define SCHEME_LENGTH (sizeof SCHEME - 1)

_Static_assert(PREFIX_LENGTH + 2 * KEY_RANDOM_SIZE == KEY_LENGTH,
               "a key is its prefix and two digits a byte");

bool key_is_well_formed(struct span text)
{
    REQUIRE(text.bytes != NULL || text.length == 0);
    if (text.length != KEY_LENGTH ||
        memcmp(text.bytes, KEY_PREFIX, PREFIX_LENGTH) != 0) {
        return false;
    }
    for (size_t i = PREFIX_LENGTH; i < KEY_LENGTH; i++) {
        uint8_t c = text.bytes[i];
        if ((c < '0' || c > '9') && (c < 'a' || c > 'f')) {
            return false;
        }
    }
    return true;
}

bool key_from_authorization(struct span value, struct span *key)
{
    REQUIRE(value.bytes != NULL || value.length == 0);
    if (value.length != SCHEME_LENGTH + KEY_LENGTH ||
        memcmp(value.bytes, SCHEME, SCHEME_LENGTH) != 0) {
        return false;
    }
    struct span text = {value.bytes + SCHEME_LENGTH, KEY_LENGTH};
    if (!key_is_well_formed(text)) {
        return false;
    }
    *key = text;
    return true;
}

void key_format(char key[KEY_LENGTH + 1], const uint8_t random[KEY_RANDOM_SIZE])
{
    static const char digits[] = "0123456789abcdef";

    memcpy(key, KEY_PREFIX, PREFIX_LENGTH);
    char *next = key + PREFIX_LENGTH;
    for (size_t i = 0; i < KEY_RANDOM_SIZE; i++) {
        *next++ = digits[random[i] >> 4];
        *next++ = digits[random[i] & 15];
    }
    *next = '\0';
}

bool key_digest_equal(const uint8_t a[KEY_DIGEST_SIZE],
                      const uint8_t b[KEY_DIGEST_SIZE])
{
    /* volatile: no compiler may turn this into a loop that stops early */
    volatile uint8_t difference = 0;

    for (size_t i = 0; i < KEY_DIGEST_SIZE; i++) {
        difference = (uint8_t)(difference | (a[i] ^ b[i]));
    }
    return difference == 0;
}
