/* Frame headers: twelve bytes are decoded as the specification draws them, and
 * what is encoded is decoded to the same. */
#include <string.h>

#include "core/wire.h"
#include "fuzz/harness.h"

static uint32_t big_endian(const uint8_t *bytes, unsigned size)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < size; i++) {
        value = value * 256 + bytes[i];
    }
    return value;
}

static void judge(const uint8_t *bytes)
{
    const struct wire_header untouched = {7, 7, 7, 7};
    struct wire_header header = untouched;
    enum status status = wire_decode(&header, bytes);
    uint8_t again[WIRE_HEADER_SIZE];

    MUST((status == STATUS_BAD_VERSION) == (bytes[0] != 0));
    MUST((status == STATUS_BAD_TYPE) == (bytes[0] == 0 && bytes[1] > 3));
    if (status != STATUS_OK) {
        MUST(memcmp(&header, &untouched, sizeof header) == 0);
        return;
    }
    MUST(header.type == bytes[1]);
    MUST(header.flags == big_endian(bytes + 2, 2));
    MUST(header.stream == big_endian(bytes + 4, 4));
    MUST(header.length == big_endian(bytes + 8, 4));
    wire_encode(again, &header);
    MUST(memcmp(again, bytes, sizeof again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    for (size_t at = 0; at + WIRE_HEADER_SIZE <= length;
         at += WIRE_HEADER_SIZE) {
        uint8_t *header = input_copy(bytes + at, WIRE_HEADER_SIZE);
        judge(header);
        free(header);
    }
    return 0;
}
