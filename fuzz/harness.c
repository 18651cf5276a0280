#include "fuzz/harness.h"

#include <string.h>

uint8_t *input_copy(const uint8_t *bytes, size_t length)
{
    uint8_t *copy = malloc(length + !length);

    MUST(copy);
    if (length) {
        memcpy(copy, bytes, length);
    }
    return copy;
}

char *input_string(const uint8_t *bytes, size_t length)
{
    char *copy = malloc(length + 1);

    MUST(copy);
    memcpy(copy, bytes, length);
    copy[length] = '\0';
    return copy;
}

void input_hash(uint64_t *hash, const void *bytes, size_t length)
{
    const uint8_t *at = bytes;

    for (size_t i = 0; i < length; i++) {
        *hash = (*hash ^ at[i]) * UINT64_C(0x100000001b3);
    }
}
