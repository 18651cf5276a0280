#include "core/test/req.h"

#include <ctype.h>
#include <string.h>

#include "core/status.h"

#define COUNT ((int)STATUS_SHUT_DOWN + 1)

static void every_status_has_a_name_and_a_sentence(void **state)
{
    (void)state;
    for (int i = 0; i < COUNT; i++) {
        const char *name = status_name((enum status)i);
        const char *text = status_text((enum status)i);
        assert_memory_equal(name, "STATUS_", 7);
        assert_true(strlen(text) > 0);
        assert_false(isupper((unsigned char)text[0]) &&
                     !isupper((unsigned char)text[1])); /* "SYN" may */
        assert_true(text[strlen(text) - 1] != '.');
        for (int other = 0; other < i; other++) {
            assert_string_not_equal(name, status_name((enum status)other));
            assert_string_not_equal(text, status_text((enum status)other));
        }
    }
    assert_string_equal(status_name(STATUS_RESET), "STATUS_RESET");
    assert_string_equal(status_text(STATUS_PROXY_STARTED),
                        "docker proxy already started"); /* AC-03 */
}

static void the_class_says_who_must_act(void **state)
{
    (void)state;
    assert_int_equal(status_class(STATUS_OK), STATUS_CLASS_NONE);
    assert_int_equal(status_class(STATUS_NO_STREAM_SLOT), STATUS_CLASS_LIMIT);
    assert_int_equal(status_class(STATUS_AGENTS_MAX), STATUS_CLASS_LIMIT);
    assert_int_equal(status_class(STATUS_RESET), STATUS_CLASS_STREAM);
    assert_int_equal(status_class(STATUS_NOBODY_READS), STATUS_CLASS_STREAM);
    assert_int_equal(status_class(STATUS_BAD_VERSION), STATUS_CLASS_SESSION);
    assert_int_equal(status_class(STATUS_SHUT_DOWN), STATUS_CLASS_SESSION);
    for (int i = 1; i < COUNT; i++) {
        assert_int_not_equal(status_class((enum status)i), STATUS_CLASS_NONE);
    }
}

/* The peer is told of its own errors, and of nothing else. */
static void only_protocol_errors_have_a_go_away_code(void **state)
{
    (void)state;
    for (int i = 0; i < COUNT; i++) {
        enum status status = (enum status)i;
        uint32_t expected =
            status >= STATUS_BAD_VERSION && status <= STATUS_ABUSE;
        assert_int_equal(status_go_away(status), expected);
        assert_true(expected == 0 ||
                    status_class(status) == STATUS_CLASS_SESSION);
    }
}

#ifndef CONTRACTS_OFF
static void a_status_that_does_not_exist_breaks_the_contract(void **state)
{
    (void)state;
    expect_assert_failure(status_class((enum status)COUNT));
    expect_assert_failure(status_go_away((enum status)COUNT));
    expect_assert_failure(status_name((enum status)COUNT));
    expect_assert_failure(status_text((enum status)COUNT));
}
#endif

static const struct CMUnitTest tests[] = {
    REQ("D31", every_status_has_a_name_and_a_sentence),
    REQ("D31", the_class_says_who_must_act),
    REQ("D22,D31", only_protocol_errors_have_a_go_away_code),
#ifndef CONTRACTS_OFF
    REQ("D31", a_status_that_does_not_exist_breaks_the_contract),
#endif
};
RUN(tests)
