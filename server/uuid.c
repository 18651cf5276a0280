#include "server/uuid.h"

#include <string.h>
#include <sys/random.h>

#include "core/contract.h"
#include "net/sys.h"

struct uuid uuid_make(void)
{
    struct uuid uuid;
    /* up to 256 bytes come whole once the kernel's generator is seeded */
    ssize_t got = sys_getrandom(uuid.bytes, UUID_SIZE, 0);
    ENSURE(got == (ssize_t)UUID_SIZE);
    uuid.bytes[6] = (uint8_t)((uuid.bytes[6] & 0x0f) | 0x40);
    uuid.bytes[8] = (uint8_t)((uuid.bytes[8] & 0x3f) | 0x80);
    return uuid;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool is_dash(size_t position)
{
    return position == 8 || position == 13 || position == 18 || position == 23;
}

bool uuid_parse(struct uuid *uuid, const char *text)
{
    struct uuid result = {{0}};
    size_t digits = 0;
    if (strlen(text) != UUID_TEXT_SIZE - 1) {
        return false;
    }
    for (size_t i = 0; text[i] != '\0'; ++i) {
        int value = hex_value(text[i]);
        if (is_dash(i) ? text[i] != '-' : value < 0) {
            return false;
        }
        if (!is_dash(i)) {
            uint8_t *byte = &result.bytes[digits / 2];
            *byte = (uint8_t)(*byte << 4 | value);
            ++digits;
        }
    }
    *uuid = result;
    return true;
}

void uuid_text(const struct uuid *uuid, char text[UUID_TEXT_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    size_t length = 0;
    for (size_t i = 0; i < UUID_SIZE; ++i) {
        if (is_dash(length)) {
            text[length++] = '-';
        }
        text[length++] = digits[uuid->bytes[i] >> 4];
        text[length++] = digits[uuid->bytes[i] & 15];
    }
    text[length] = '\0';
}

bool uuid_equal(const struct uuid *a, const struct uuid *b)
{
    return memcmp(a->bytes, b->bytes, UUID_SIZE) == 0;
}
