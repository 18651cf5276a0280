#include "core/test/req.h"

#include <string.h>

#include "core/wire.h"

static void a_header_is_twelve_bytes_big_endian(void **state)
{
    static const uint8_t bytes[WIRE_HEADER_SIZE] = {
        0, 1, 0x12, 0x34, 0x89, 0xab, 0xcd, 0xef, 0xfe, 0xdc, 0xba, 0x98};
    const struct wire_header header = {.type = WIRE_WINDOW_UPDATE,
                                       .flags = 0x1234,
                                       .stream = 0x89abcdef,
                                       .length = 0xfedcba98};
    struct wire_header decoded;
    uint8_t encoded[WIRE_HEADER_SIZE];

    (void)state;
    wire_encode(encoded, &header);
    assert_memory_equal(encoded, bytes, sizeof bytes);
    assert_int_equal(wire_decode(&decoded, bytes), STATUS_OK);
    assert_int_equal(decoded.type, header.type);
    assert_int_equal(decoded.flags, header.flags);
    assert_int_equal(decoded.stream, header.stream);
    assert_int_equal(decoded.length, header.length);
}

/* Every byte value at every place: what is decoded encodes to the same. */
static void decoding_and_encoding_are_inverse(void **state)
{
    (void)state;
    for (unsigned place = 1; place < WIRE_HEADER_SIZE; place++) {
        for (unsigned value = 0; value < 256; value++) {
            uint8_t bytes[WIRE_HEADER_SIZE] = {0};
            uint8_t again[WIRE_HEADER_SIZE];
            struct wire_header header;
            bytes[place] = (uint8_t)value;
            if (wire_decode(&header, bytes) != STATUS_OK) {
                assert_true(place == 1 && value > WIRE_GO_AWAY);
                continue;
            }
            wire_encode(again, &header);
            assert_memory_equal(again, bytes, sizeof bytes);
        }
    }
}

static void another_version_is_refused(void **state)
{
    struct wire_header header = {.stream = 7};
    uint8_t bytes[WIRE_HEADER_SIZE] = {0};

    (void)state;
    for (unsigned version = 1; version < 256; version++) {
        bytes[0] = (uint8_t)version;
        assert_int_equal(wire_decode(&header, bytes), STATUS_BAD_VERSION);
    }
    assert_int_equal(header.stream, 7); /* not written */
}

static void an_unknown_type_is_refused(void **state)
{
    struct wire_header header = {.stream = 7};
    uint8_t bytes[WIRE_HEADER_SIZE] = {0};

    (void)state;
    for (unsigned type = 4; type < 256; type++) {
        bytes[1] = (uint8_t)type;
        assert_int_equal(wire_decode(&header, bytes), STATUS_BAD_TYPE);
    }
    assert_int_equal(header.stream, 7);
}

#ifndef CONTRACTS_OFF
static void a_type_that_does_not_exist_is_not_encoded(void **state)
{
    const struct wire_header header = {.type = 4};
    uint8_t bytes[WIRE_HEADER_SIZE];

    (void)state;
    expect_assert_failure(wire_encode(bytes, &header));
}
#endif

static const struct CMUnitTest tests[] = {
    REQ("Y-01,D2", a_header_is_twelve_bytes_big_endian),
    REQ("Y-01,D2", decoding_and_encoding_are_inverse),
    REQ("D32", another_version_is_refused),
    REQ("D32", an_unknown_type_is_refused),
#ifndef CONTRACTS_OFF
    REQ("D2", a_type_that_does_not_exist_is_not_encoded),
#endif
};
RUN(tests)
