#include "server/uuid.h"

#include <string.h>

#include "core/test/req.h"

static void text_and_bytes_agree(void **state)
{
    (void)state;
    struct uuid uuid;
    char text[UUID_TEXT_SIZE];

    assert_true(uuid_parse(&uuid, "00112233-4455-6677-8899-aAbBcCdDeEfF"));

    assert_int_equal(uuid.bytes[0], 0x00);
    assert_int_equal(uuid.bytes[7], 0x77);
    assert_int_equal(uuid.bytes[15], 0xff);
    uuid_text(&uuid, text);
    assert_string_equal(text, "00112233-4455-6677-8899-aabbccddeeff");
}

static void other_text_is_no_uuid(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "x",
        "00112233-4455-6677-8899-aabbccddeef",
        "00112233-4455-6677-8899-aabbccddeeff0",
        "00112233x4455-6677-8899-aabbccddeeff",
        "0011223344-55-6677-8899-aabbccddeeff",
        "00112233-4455-6677-8899-aabbccddeefg",
        "{0112233-4455-6677-8899-aabbccddeef}",
        "00112233-4455-6677-8899-aabbccddee\xc3\xa9",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); ++i) {
        struct uuid uuid = {{7}};
        assert_false(uuid_parse(&uuid, wrong[i]));
        assert_int_equal(uuid.bytes[0], 7);
    }
}

static void new_ones_are_random_and_of_version_4(void **state)
{
    (void)state;
    struct uuid a = uuid_make();
    struct uuid b = uuid_make();

    assert_false(uuid_equal(&a, &b));
    assert_true(uuid_equal(&a, &a));
    assert_int_equal(a.bytes[6] >> 4, 4);
    assert_int_equal(a.bytes[8] >> 6, 2);
}

static const struct CMUnitTest tests[] = {
    REQ("H-02", text_and_bytes_agree),
    REQ("H-02", other_text_is_no_uuid),
    REQ("H-02", new_ones_are_random_and_of_version_4),
};
RUN(tests)
