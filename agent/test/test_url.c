/* The URL rules of orthrus-observed a.6, and of a proxy (U-02). */
#include "agent/url.h"
#include "core/test/req.h"

#include <string.h>

static struct url url;
static char error[URL_ERROR_SIZE];

static void assert_refused(const char *text, const char *sentence)
{
    assert_false(url_parse_server(&url, text, error));
    assert_string_equal(error, sentence);
}

static void assert_server(const char *text, bool tls, const char *host,
                          unsigned port, const char *target)
{
    assert_true(url_parse_server(&url, text, error));
    assert_int_equal(url.tls, tls);
    assert_string_equal(url.host, host);
    assert_int_equal(url.port, port);
    assert_string_equal(url.target, target);
}

static void wss_and_ws_are_accepted(void **state)
{
    (void)state;

    assert_server("wss://orthrus.example.com/x/y?z=1", true,
                  "orthrus.example.com", 443, "/x/y?z=1");
    assert_server("ws://10.0.0.1:8080/a", false, "10.0.0.1", 8080, "/a");
    assert_server("WSS://Example.COM:8443/A", true, "example.com", 8443, "/A");
    assert_server("ws://[::1]:80/a", false, "::1", 80, "/a");
    assert_server("wss://[2001:DB8::1]", true, "2001:db8::1", 443,
                  URL_TARGET_DEFAULT);
}

static void no_path_becomes_the_default_path(void **state)
{
    (void)state;

    assert_server("wss://h", true, "h", 443, "/api/v1/ws/orthrus/connect");
    assert_server("wss://h/", true, "h", 443, "/api/v1/ws/orthrus/connect");
    assert_server("ws://h:81", false, "h", 81, "/api/v1/ws/orthrus/connect");
    assert_server("wss://h//", true, "h", 443, "//");
    assert_server("wss://h?a=b", true, "h", 443, "/?a=b");
}

static void other_schemes_get_the_observed_sentences(void **state)
{
    (void)state;

    assert_refused("https://h/x", "expected WebSocket scheme wss:// (got "
                                  "\"https://h/x\"); use wss:// instead of "
                                  "https://");
    assert_refused("http://h", "expected WebSocket scheme wss:// (got "
                               "\"http://h\"); use wss:// instead of http://");
    assert_refused("ftp://h", "unsupported scheme \"ftp\": expected wss://");
    assert_refused("example.com", "unsupported scheme \"\": expected wss://");
    assert_refused("", "unsupported scheme \"\": expected wss://");
    assert_refused("wssx://h", "unsupported scheme \"wssx\": expected wss://");
}

static void what_is_wrong_with_a_url_is_named(void **state)
{
    (void)state;

    assert_refused("wss://", "no host in it");
    assert_refused("wss:///x", "no host in it");
    assert_refused("wss://:443", "no host in it");
    assert_refused("wss://h:0", "the port \"0\" is not a number from 1 to "
                                "65535");
    assert_refused("wss://h:65536", "the port \"65536\" is not a number from 1 "
                                    "to 65535");
    assert_refused("wss://h:", "the port \"\" is not a number from 1 to 65535");
    assert_refused("wss://h:+1", "the port \"+1\" is not a number from 1 to "
                                 "65535");
    assert_refused("wss://h:000443", "the port \"000443\" is not a number from "
                                     "1 to 65535");
    assert_refused("wss://a!b", "'!' cannot be part of a host name");
    assert_refused("wss://::1/", "no host in it");
    assert_refused("wss://[::1", "an IPv6 address is written [address]:port");
    assert_refused("wss://[::1]x", "an IPv6 address is written [address]:port");
    assert_refused("wss://[x]", "[x] is not an IPv6 address");
    assert_refused("wss://[]", "no host in it");
    assert_refused("wss://h/#a", "remove what follows '#'");
    assert_refused("wss://u:p@h/", "it contains a user name; the key goes into "
                                   "ORTHRUS_AUTH_KEY");
}

static void nothing_in_a_url_can_end_a_request_line(void **state)
{
    (void)state;
    const char *const bad[] = {"wss://h/a b", "wss://h/a\r\nX: y", "wss://h\t/",
                               "wss://h/\x7f", "wss://h/\xc3\xa9"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_refused(bad[i], "it contains a blank or a control character");
    }
}

static void parts_that_are_too_long_are_refused(void **state)
{
    (void)state;
    char text[6 + 2500];

    memcpy(text, "wss://", 6);
    memset(text + 6, 'a', 2499);
    text[6 + 253] = '\0';
    assert_true(url_parse_server(&url, text, error));
    text[6 + 253] = 'a';
    text[6 + 254] = '\0';
    assert_refused(text, "the host is longer than 253 characters");

    text[6 + 1] = '/';
    text[6 + 254] = 'a';
    text[6 + 1 + 2047] = '\0';
    assert_true(url_parse_server(&url, text, error));
    text[6 + 1 + 2047] = 'a';
    text[6 + 1 + 2048] = '\0';
    assert_refused(text, "the path is longer than 2047 characters");
}

static void loopback_is_known_by_name_and_address(void **state)
{
    (void)state;
    const char *const local[] = {"ws://localhost", "ws://127.0.0.1:8080",
                                 "ws://127.9.9.9", "ws://[::1]:8080"};
    const char *const remote[] = {"ws://10.0.0.1", "ws://localhost.example",
                                  "ws://[::2]", "ws://128.0.0.1"};

    for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++) {
        assert_true(url_parse_server(&url, local[i], error));
        assert_true(url_is_loopback(&url));
    }
    for (size_t i = 0; i < sizeof(remote) / sizeof(remote[0]); i++) {
        assert_true(url_parse_server(&url, remote[i], error));
        assert_false(url_is_loopback(&url));
    }
}

static void the_authority_carries_a_port_where_needed(void **state)
{
    (void)state;
    static const struct {
        const char *url, *host_field, *connect;
    } rows[] = {
        {"wss://h", "h", "h:443"},
        {"wss://h:443", "h", "h:443"},
        {"wss://h:80", "h:80", "h:80"},
        {"ws://h", "h", "h:80"},
        {"ws://h:443", "h:443", "h:443"},
        {"wss://[::1]", "[::1]", "[::1]:443"},
        {"ws://[::1]:8080", "[::1]:8080", "[::1]:8080"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char authority[URL_AUTHORITY_MAX + 1];
        assert_true(url_parse_server(&url, rows[i].url, error));
        url_authority(&url, false, authority);
        assert_string_equal(authority, rows[i].host_field);
        url_authority(&url, true, authority);
        assert_string_equal(authority, rows[i].connect);
    }
}

static void a_proxy_is_http_with_or_without_its_scheme(void **state)
{
    (void)state;

    assert_true(url_parse_proxy(&url, "http://proxy:3128", error));
    assert_string_equal(url.host, "proxy");
    assert_int_equal(url.port, 3128);
    assert_true(url_parse_proxy(&url, "proxy.example:3128/", error));
    assert_string_equal(url.host, "proxy.example");
    assert_true(url_parse_proxy(&url, "http://u:p%40@[::1]:8", error));
    assert_string_equal(url.host, "::1");
    assert_string_equal(url.userinfo, "u:p%40");
    assert_false(url_parse_proxy(&url, "socks5://proxy", error));
    assert_string_equal(error, "unsupported scheme \"socks5\": expected "
                               "http://");
    assert_false(url_parse_proxy(&url, "", error));
    assert_string_equal(error, "no host in it");
}

static const struct CMUnitTest tests[] = {
    REQ("U-02", wss_and_ws_are_accepted),
    REQ("U-02", no_path_becomes_the_default_path),
    REQ("U-02", other_schemes_get_the_observed_sentences),
    REQ("U-02", what_is_wrong_with_a_url_is_named),
    REQ("U-02", nothing_in_a_url_can_end_a_request_line),
    REQ("U-02", parts_that_are_too_long_are_refused),
    REQ("U-02", loopback_is_known_by_name_and_address),
    REQ("U-02", the_authority_carries_a_port_where_needed),
    REQ("U-02", a_proxy_is_http_with_or_without_its_scheme),
};
RUN(tests)
