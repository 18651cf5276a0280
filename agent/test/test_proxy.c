/* Whether the way leads through a proxy (U-02). */
#include "agent/proxy.h"
#include "core/test/req.h"

#include <string.h>

static struct url server;
static struct url proxy;
static char error[URL_ERROR_SIZE];

static char *environment[8][2];

static char *lookup(const char *name)
{
    for (size_t i = 0; environment[i][0] != NULL; i++) {
        if (strcmp(environment[i][0], name) == 0) {
            return environment[i][1];
        }
    }
    return NULL;
}

static int clear(void **state)
{
    (void)state;
    memset(environment, 0, sizeof(environment));
    return 0;
}

static void set(const char *name, const char *value)
{
    size_t i = 0;

    while (environment[i][0] != NULL) {
        i++;
    }
    /* getenv() hands out char *, nobody writes there */
    memcpy(&environment[i][0], &name, sizeof(name));
    memcpy(&environment[i][1], &value, sizeof(value));
}

static enum proxy_choice choose(const char *url)
{
    assert_true(url_parse_server(&server, url, error));
    return proxy_choose(&proxy, &server, lookup, error);
}

static void the_scheme_says_which_variable_counts(void **state)
{
    (void)state;
    set("HTTPS_PROXY", "http://secure:1");
    set("HTTP_PROXY", "http://plain:2");

    assert_int_equal(choose("wss://h"), PROXY_USE);
    assert_string_equal(proxy.host, "secure");
    assert_int_equal(choose("ws://h"), PROXY_USE);
    assert_string_equal(proxy.host, "plain");
}

static void lower_case_goes_first(void **state)
{
    (void)state;
    set("HTTPS_PROXY", "upper:1");
    set("https_proxy", "lower:1");

    assert_int_equal(choose("wss://h"), PROXY_USE);
    assert_string_equal(proxy.host, "lower");
}

static void no_variable_or_an_empty_one_is_no_proxy(void **state)
{
    (void)state;

    assert_int_equal(choose("wss://h"), PROXY_NONE);
    set("HTTPS_PROXY", "");
    assert_int_equal(choose("wss://h"), PROXY_NONE);
}

static void a_bad_proxy_is_named_without_its_value(void **state)
{
    (void)state;
    set("HTTPS_PROXY", "socks5://user:secret@proxy");

    assert_int_equal(choose("wss://h"), PROXY_BAD);
    assert_string_equal(error, "HTTPS_PROXY: unsupported scheme \"socks5\": "
                               "expected http://");
}

static void no_proxy_excepts_a_host(void **state)
{
    (void)state;
    set("HTTPS_PROXY", "proxy:1");
    set("NO_PROXY", "other, h.example");

    assert_int_equal(choose("wss://h.example"), PROXY_NONE);
    assert_int_equal(choose("wss://i.example"), PROXY_USE);
}

static void each_form_of_an_exception_matches(void **state)
{
    (void)state;
    static const struct {
        const char *url, *list;
        bool excepted;
    } rows[] = {
        {"wss://a.example.com", "*", true},
        {"wss://example.com", "example.com", true},
        {"wss://a.example.com", "example.com", true},
        {"wss://a.example.com", "EXAMPLE.com", true},
        {"wss://aexample.com", "example.com", false},
        {"wss://example.com", ".example.com", false},
        {"wss://a.example.com", ".example.com", true},
        {"wss://example.com", "a.example.com", false},
        {"wss://example.com:8443", "example.com:8443", true},
        {"wss://example.com", "example.com:8443", false},
        {"wss://example.com", "*:443", true},
        {"wss://10.1.2.3", "10.1.2.3", true},
        {"wss://10.1.2.3", "10.0.0.0/8", true},
        {"wss://10.1.2.3", "10.1.2.0/31", false},
        {"wss://10.1.2.3", "10.1.2.2/31", true},
        {"wss://10.1.2.3", "0.0.0.0/0", true},
        {"wss://10.1.2.3", "10.1.2.3/33", false},
        {"wss://10.1.2.3", "10.1.2.4/32", false},
        {"wss://10.1.2.3", "10.1.2.3/", false},
        {"wss://10.1.2.3", "10.1.2.3/x", false},
        {"wss://10.1.2.3", "10.1.2.3/+8", false},
        {"wss://10.1.2.3", "10.1.2.3/8x", false},
        {"wss://[fd00::1]", "fd00::/8", true},
        {"wss://[fd00::1]", "[fd00::1]", true},
        {"wss://[fd00::1]", "[fd00::1]:443", true},
        {"wss://[fd00::1]", "[fd00::1]:444", false},
        {"wss://[fd00::1]", "fd00::1", true},
        {"wss://[fd00::1]", "10.0.0.0/8", false},
        {"wss://example.com", "10.0.0.0/8", false},
        {"wss://example.com", "", false},
        {"wss://example.com", ", ,", false},
        {"wss://example.com", "a, b,example.com ", true},
        {"wss://example.com", ":443", false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_true(url_parse_server(&server, rows[i].url, error));
        if (proxy_is_excepted(&server, rows[i].list) != rows[i].excepted) {
            fail_msg("%s with \"%s\"", rows[i].url, rows[i].list);
        }
    }
}

static const struct CMUnitTest tests[] = {
    REQ_WITH("U-02", the_scheme_says_which_variable_counts, clear, NULL),
    REQ_WITH("U-02", lower_case_goes_first, clear, NULL),
    REQ_WITH("U-02", no_variable_or_an_empty_one_is_no_proxy, clear, NULL),
    REQ_WITH("U-02", a_bad_proxy_is_named_without_its_value, clear, NULL),
    REQ_WITH("U-02", no_proxy_excepts_a_host, clear, NULL),
    REQ_WITH("U-02", each_form_of_an_exception_matches, clear, NULL),
};
RUN(tests)
