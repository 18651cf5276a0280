/* What is said and heard before the WebSocket (U-02, orthrus-observed a.1). */
#include "agent/upgrade.h"
#include "core/test/req.h"

#include <stdio.h>
#include <string.h>

/* the nonce and the accept value of RFC 6455 1.3 */
static const uint8_t nonce[] = "the sample nonce";
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#define UPGRADED                 \
    "HTTP/1.1 101 Switching\r\n" \
    "Upgrade: websocket\r\n"     \
    "Connection: Upgrade\r\n"    \
    "Sec-WebSocket-Accept: " ACCEPT "\r\n"

static struct upgrade_answer answer;

static bool check(const char *head)
{
    return upgrade_check(
        &answer, (struct span){(const uint8_t *)head, strlen(head)}, nonce);
}

static bool check_connect(const char *head)
{
    return upgrade_check_connect(
        &answer, (struct span){(const uint8_t *)head, strlen(head)});
}

static struct url parsed(const char *text)
{
    struct url url;
    char error[URL_ERROR_SIZE];

    assert_true(url_parse_server(&url, text, error));
    return url;
}

static void the_request_is_the_observed_one(void **state)
{
    (void)state;
    char request[UPGRADE_REQUEST_MAX];
    struct url server = parsed("wss://example.com:8443/a?b=c");
    struct upgrade_identity identity = {"ch_orthrus_12", "web 01"};
    size_t length = upgrade_request(request, &server, &identity, nonce);

    assert_int_equal(length, strlen(request));
    assert_ptr_equal(strstr(request, "GET /a?b=c HTTP/1.1\r\n"
                                     "Host: example.com:8443\r\n"),
                     request);
    assert_non_null(strstr(request, "\r\nUpgrade: websocket\r\n"));
    assert_non_null(strstr(request, "\r\nConnection: Upgrade\r\n"));
    assert_non_null(strstr(request, "\r\nSec-WebSocket-Version: 13\r\n"));
    assert_non_null(strstr(request, "\r\nSec-WebSocket-Key: "
                                    "dGhlIHNhbXBsZSBub25jZQ==\r\n"));
    assert_non_null(
        strstr(request, "\r\nAuthorization: Bearer ch_orthrus_12\r\n"));
    assert_non_null(strstr(request, "\r\nX-Orthrus-Version: "));
    assert_non_null(strstr(request, "\r\nX-Orthrus-Name: web 01\r\n"));
    assert_string_equal(request + length - 4, "\r\n\r\n");
}

static void the_longest_request_fits(void **state)
{
    (void)state;
    static char request[UPGRADE_REQUEST_MAX];
    char text[8 + URL_HOST_MAX + 7 + URL_TARGET_MAX];
    char key[513];
    char id[129];
    struct url server;
    struct url proxy = {.host = "p", .port = 1};
    int used;

    memset(key, 'k', sizeof(key));
    key[512] = '\0';
    memset(id, 'i', sizeof(id));
    id[128] = '\0';
    used = snprintf(text, sizeof(text), "wss://%0*d:65535/", URL_HOST_MAX, 0);
    memset(text + used, 'p', URL_TARGET_MAX - 2);
    text[(size_t)used + URL_TARGET_MAX - 2] = '\0';
    server = parsed(text);

    struct upgrade_identity identity = {key, id};
    assert_true(upgrade_request(request, &server, &identity, nonce) > 2900);
    memset(proxy.userinfo, 'u', URL_USERINFO_MAX);
    assert_true(upgrade_connect_request(request, &server, &proxy) > 800);
}

static void connect_names_the_server_and_the_credentials(void **state)
{
    (void)state;
    char request[UPGRADE_REQUEST_MAX];
    struct url server = parsed("wss://example.com");
    struct url proxy;
    char error[URL_ERROR_SIZE];

    assert_true(url_parse_proxy(&proxy, "http://u:p%40%zz@p:1", error));
    upgrade_connect_request(request, &server, &proxy);

    /* "u:p@%zz" */
    assert_string_equal(request, "CONNECT example.com:443 HTTP/1.1\r\n"
                                 "Host: example.com:443\r\n"
                                 "Proxy-Authorization: Basic dTpwQCV6eg==\r\n"
                                 "\r\n");
    proxy.userinfo[0] = '\0';
    upgrade_connect_request(request, &server, &proxy);
    assert_null(strstr(request, "Proxy-Authorization"));
}

static void a_right_answer_opens_the_websocket(void **state)
{
    (void)state;

    assert_true(check(UPGRADED "\r\n"));
    assert_int_equal(answer.status, 101);
    assert_true(check("HTTP/1.1 101\r\n"
                      "upgrade: WebSocket\r\n"
                      "connection: keep-alive , Upgrade\r\n"
                      "x-orthrus-write-enabled: true\r\n"
                      "sec-websocket-accept: " ACCEPT "\r\n\r\n"));
}

static void a_refused_key_is_reported_as_such(void **state)
{
    (void)state;

    assert_false(check("HTTP/1.1 401 Unauthorized\r\n\r\n"));
    assert_int_equal(answer.status, 401);
    assert_non_null(strstr(answer.error, "refused the auth key (401)"));
}

static void another_status_is_named_with_a_remedy(void **state)
{
    (void)state;

    assert_false(check("HTTP/1.1 503 Service Unavailable\r\n\r\n"));
    assert_int_equal(answer.status, 503);
    assert_string_equal(answer.error, "the server answered 503 Service "
                                      "Unavailable instead of 101");
    assert_false(check("HTTP/1.1 404 Not Found\r\n\r\n"));
    assert_string_equal(answer.error, "the server answered 404 Not Found; is "
                                      "the path in --server-url right?");
    assert_false(check("HTTP/1.1 301 Moved\r\nLocation: https://x/\r\n\r\n"));
    assert_string_equal(answer.error, "the server answered 301 Moved and "
                                      "points to https://x/; put that into "
                                      "--server-url");
    assert_false(check("HTTP/1.1 200 OK\r\n\r\n"));
    assert_string_equal(answer.error, "the server answered 200 OK instead of "
                                      "101");
}

static void a_101_that_is_no_upgrade_is_refused(void **state)
{
    (void)state;
    const char *const bad[] = {
        "HTTP/1.1 101 X\r\n\r\n",
        "HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: " ACCEPT "\r\n\r\n",
        "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: close\r\n"
        "Sec-WebSocket-Accept: " ACCEPT "\r\n\r\n",
        "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: t3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        UPGRADED "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
        UPGRADED "Sec-WebSocket-Protocol: chat\r\n\r\n",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(check(bad[i]));
        assert_int_equal(answer.status, 101);
    }
}

/* Their names and values point nowhere, and are not looked at. */
static void a_field_that_is_none_spoils_the_upgrade(void **state)
{
    (void)state;

    assert_false(check("HTTP/1.1 101\r\n folded\r\n\r\n"));
    assert_int_equal(answer.status, 101);
    assert_false(check(UPGRADED " folded\r\n\r\n"));
    assert_false(check(UPGRADED "no colon\r\n\r\n"));
    assert_false(check("HTTP/1.1 401 No\r\n\tfolded\r\n\r\n"));
    assert_int_equal(answer.status, 401);
    assert_non_null(strstr(answer.error, "refused the auth key"));
}

static void what_is_no_http_is_named(void **state)
{
    (void)state;
    const char *const bad[] = {
        "SSH-2.0-OpenSSH\r\n\r\n", "HTTP/2 101\r\n\r\n",
        "HTTP/1.1 1x1 X\r\n\r\n",  "HTTP/1.1 1011 X\r\n\r\n",
        "HTTP/1.1\r\n\r\n",        "\r\n\r\n",
        "HTTP/1.2 101 X\r\n\r\n",  ""};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(check(bad[i]));
        assert_int_equal(answer.status, 0);
        assert_string_equal(answer.error, "the server does not speak HTTP; is "
                                          "the port in --server-url right?");
    }
}

static void the_proxys_answer_is_understood(void **state)
{
    (void)state;

    assert_true(check_connect("HTTP/1.1 200 Connection established\r\n\r\n"));
    assert_true(check_connect("HTTP/1.0 200 OK\r\n\r\n"));
    assert_false(check_connect("HTTP/1.1 403 Forbidden\r\n\r\n"));
    assert_string_equal(answer.error, "the proxy answered 403 Forbidden to "
                                      "CONNECT");
    assert_false(check_connect("HTTP/1.1 407 X\r\n\r\n"));
    assert_string_equal(answer.error,
                        "the proxy wants a user name and password (407); put "
                        "them into HTTPS_PROXY");
    assert_false(check_connect("SOCKS\r\n\r\n"));
    assert_string_equal(answer.error, "the proxy does not speak HTTP; is "
                                      "HTTPS_PROXY right?");
}

static const struct CMUnitTest tests[] = {
    REQ("U-02", the_request_is_the_observed_one),
    REQ("U-02", the_longest_request_fits),
    REQ("U-02", connect_names_the_server_and_the_credentials),
    REQ("U-02", a_right_answer_opens_the_websocket),
    REQ("U-02", a_refused_key_is_reported_as_such),
    REQ("U-02", another_status_is_named_with_a_remedy),
    REQ("U-02", a_101_that_is_no_upgrade_is_refused),
    REQ("U-02,X-33", a_field_that_is_none_spoils_the_upgrade),
    REQ("U-02", what_is_no_http_is_named),
    REQ("U-02", the_proxys_answer_is_understood),
};
RUN(tests)
