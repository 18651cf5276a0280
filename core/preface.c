#include "core/preface.h"

#include <string.h>

#include "core/contract.h"

#define HEAD_SIZE 3u /* type and length of a forward */

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_character(uint8_t c)
{
    return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'z') || c == '.' ||
           c == '-' || c == '_';
}

static bool is_ipv6_character(uint8_t c)
{
    return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'f') || c == ':' ||
           c == '.';
}

/* 1..65535 as people write it; 0 if it is not that. */
static uint16_t parse_port(const uint8_t *digits, size_t length)
{
    uint32_t port = 0;

    if (length == 0 || length > 5 || digits[0] == '0') {
        return 0;
    }
    for (size_t i = 0; i < length; i++) {
        if (!is_digit(digits[i])) {
            return 0;
        }
        port = port * 10 + (uint32_t)(digits[i] - '0');
    }
    return port <= UINT16_MAX ? (uint16_t)port : 0;
}

bool preface_parse_address(struct preface_address *address, struct span text)
{
    REQUIRE(text.bytes != NULL || text.length == 0);
    bool bracketed = text.length > 0 && text.bytes[0] == '[';
    size_t start = bracketed ? 1 : 0;
    size_t end = start;

    while (end < text.length &&
           (bracketed ? is_ipv6_character(text.bytes[end])
                      : is_name_character(text.bytes[end]))) {
        end++;
    }
    size_t length = end - start;
    if (length == 0 || length > PREFACE_HOST_MAX) {
        return false;
    }
    if (bracketed && (end == text.length || text.bytes[end++] != ']')) {
        return false;
    }
    if (end == text.length || text.bytes[end++] != ':') {
        return false;
    }
    uint16_t port = parse_port(text.bytes + end, text.length - end);
    if (port == 0) {
        return false;
    }
    memcpy(address->host, text.bytes + start, length);
    address->host[length] = '\0';
    address->port = port;
    return true;
}

static bool same_host(const char *a, const char *b)
{
    while (*a != '\0' && lower((uint8_t)*a) == lower((uint8_t)*b)) {
        a++;
        b++;
    }
    return *a == *b;
}

bool preface_is_allowed(const struct preface_address *address,
                        const struct preface_address *allowed, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (address->port == allowed[i].port &&
            same_host(address->host, allowed[i].host)) {
            return true;
        }
    }
    return false;
}

void preface_init(struct preface *preface)
{
    memset(preface, 0, sizeof *preface);
    preface->kind = PREFACE_PARTIAL;
}

static void take_head(struct preface *preface, uint8_t byte)
{
    if (preface->taken == 0) {
        preface->type = byte;
        preface->kind = byte == PREFACE_BYTE_DOCKER    ? PREFACE_DOCKER
                        : byte == PREFACE_BYTE_FORWARD ? PREFACE_PARTIAL
                                                       : PREFACE_UNKNOWN;
        return;
    }
    preface->length = (uint16_t)(preface->length << 8 | byte);
    if (preface->taken == HEAD_SIZE - 1 &&
        (preface->length == 0 || preface->length > PREFACE_ADDRESS_MAX)) {
        preface->kind = PREFACE_BAD_ADDRESS;
    }
}

static void take_text(struct preface *preface, uint8_t byte)
{
    preface->text[preface->taken - HEAD_SIZE] = byte;
    if (preface->taken + 1u == HEAD_SIZE + preface->length) {
        struct span text = {preface->text, preface->length};
        preface->kind = preface_parse_address(&preface->address, text)
                            ? PREFACE_FORWARD
                            : PREFACE_BAD_ADDRESS;
    }
}

enum preface_kind preface_receive(struct preface *preface, struct span *input)
{
    while (preface->kind == PREFACE_PARTIAL && input->length > 0) {
        uint8_t byte = *input->bytes++;
        input->length--;
        if (preface->taken < HEAD_SIZE) {
            take_head(preface, byte);
        } else {
            take_text(preface, byte);
        }
        preface->taken++;
    }
    return preface->kind;
}
