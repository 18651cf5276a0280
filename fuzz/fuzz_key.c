/* Agent keys, and addresses of a stream's preface. First byte: 0 an
 * Authorization value, 1 a preface, 2 an address, 3 random bytes of a key;
 * third: the cuts. */
#include <ctype.h>
#include <string.h>

#include "core/key.h"
#include "core/preface.h"
#include "fuzz/harness.h"

static bool is_key(const uint8_t *bytes, size_t length)
{
    if (length != 75 || memcmp(bytes, "ch_orthrus_", 11) != 0) {
        return false;
    }
    for (size_t i = 11; i < length; i++) {
        if (!isdigit(bytes[i]) && (bytes[i] < 'a' || bytes[i] > 'f')) {
            return false;
        }
    }
    return true;
}

static void authorization(struct input input)
{
    uint8_t *bytes = input_copy(input.bytes, input.length);
    struct span value = {bytes, input.length};
    struct span key = {NULL, 0};
    bool wanted = input.length == 82 && memcmp(bytes, "Bearer ", 7) == 0 &&
                  is_key(bytes + 7, 75);

    MUST(key_from_authorization(value, &key) == wanted);
    MUST((key.bytes == bytes + 7) == wanted);
    MUST(key.length == (wanted ? KEY_LENGTH : 0));
    MUST(key_is_well_formed(value) == is_key(bytes, input.length));
    free(bytes);
}

static void random_bytes(struct input input)
{
    uint8_t random[KEY_RANDOM_SIZE] = {0};
    char key[KEY_LENGTH + 1];
    size_t length = input.length < sizeof random ? input.length : sizeof random;

    memcpy(random, input.bytes, length);
    key_format(key, random);
    MUST(strlen(key) == KEY_LENGTH && is_key((uint8_t *)key, KEY_LENGTH));
    for (size_t i = 0; i < sizeof random; i++) {
        unsigned byte;
        MUST(sscanf(key + 11 + 2 * i, "%2x", &byte) == 1 && byte == random[i]);
    }
    uint8_t other[KEY_DIGEST_SIZE];
    memcpy(other, random, sizeof other);
    MUST(key_digest_equal(random, other));
    other[input.length % sizeof other] ^= 1;
    MUST(!key_digest_equal(random, other));
}

/* An address that is taken is taken again from its parts, with the same. */
static void must_be_sound(const struct preface_address *address)
{
    char text[PREFACE_HOST_MAX + 16];
    struct preface_address again;
    bool brackets = strchr(address->host, ':') != NULL;

    MUST(address->host[0] != '\0' && address->port > 0);
    MUST(memchr(address->host, '\0', sizeof address->host));
    for (const char *at = address->host; *at; at++) {
        MUST(isalnum((unsigned char)*at) || strchr(".-_:", *at));
    }
    snprintf(text, sizeof text, "%s%s%s:%u", brackets ? "[" : "", address->host,
             brackets ? "]" : "", address->port);
    MUST(preface_parse_address(&again,
                               (struct span){(uint8_t *)text, strlen(text)}));
    MUST(again.port == address->port && !strcmp(again.host, address->host));
    MUST(preface_is_allowed(address, &again, 1));
    again.port++;
    MUST(!preface_is_allowed(address, &again, 1));
}

static void address(struct input input)
{
    uint8_t *bytes = input_copy(input.bytes, input.length);
    struct preface_address address;

    if (preface_parse_address(&address, (struct span){bytes, input.length})) {
        must_be_sound(&address);
    }
    free(bytes);
}

static enum preface_kind receive(struct preface *preface, struct input input)
{
    enum preface_kind kind = PREFACE_PARTIAL;
    size_t taken = 0;

    preface_init(preface);
    while (input.length > 0) {
        size_t length = input_piece(&input);
        uint8_t *piece = input_copy(input.bytes, length);
        struct span rest = {piece, length};
        bool over = kind != PREFACE_PARTIAL;
        kind = preface_receive(preface, &rest);
        taken += length - rest.length;
        MUST(!over || rest.length == length);
        MUST(kind != PREFACE_PARTIAL || rest.length == 0);
        free(piece);
        input_take(&input, length);
    }
    MUST(taken == preface->taken);
    return kind;
}

static void preface(struct input input)
{
    struct input whole = {input.bytes, input.length, 0};
    struct preface cut;
    struct preface uncut;
    enum preface_kind kind = receive(&cut, input);

    MUST(kind == receive(&uncut, whole) && cut.taken == uncut.taken);
    if (input.length > 0) {
        MUST((kind == PREFACE_DOCKER) == (input.bytes[0] == 1));
        MUST((kind == PREFACE_UNKNOWN) ==
             (input.bytes[0] < 1 || input.bytes[0] > 2));
    }
    if (kind == PREFACE_FORWARD) {
        MUST(cut.taken == 3 + input.bytes[1] * 256 + input.bytes[2]);
        must_be_sound(&cut.address);
        MUST(!strcmp(cut.address.host, uncut.address.host));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static void (*const parts[])(struct input) = {authorization, preface,
                                                  address, random_bytes};
    if (length >= INPUT_HEAD) {
        parts[bytes[0] % 4](
            (struct input){bytes + INPUT_HEAD, length - INPUT_HEAD, bytes[2]});
    }
    return 0;
}
