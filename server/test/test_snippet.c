#include "server/snippet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/test/req.h"
#include "server/test/fixture.h"

#define CONNECT "/api/v1/ws/orthrus/connect"

static char *made(enum snippet_kind kind, const char *name)
{
    char *text = snippet_make(kind, name, "wss://o.example" CONNECT);
    assert_non_null(text);
    return text;
}

static void has(enum snippet_kind kind, const char *name, const char *line)
{
    char *text = made(kind, name);
    if (strstr(text, line) == NULL) {
        fail_msg("'%s' is not in:\n%s", line, text);
    }
    free(text);
}

static void every_kind_says_what_an_agent_needs(void **state)
{
    (void)state;
    for (enum snippet_kind kind = 0; kind < SNIPPET_KINDS; ++kind) {
        has(kind, "web 1", "wss://o.example" CONNECT);
        has(kind, "web 1", "<AUTH_KEY>");
        has(kind, "web 1", "web 1");
        has(kind, "web 1", "ORTHRUS_SERVER_URL");
        has(kind, "web 1", "ORTHRUS_AUTH_KEY");
        has(kind, "web 1", "ORTHRUS_AGENT_ID");
    }
    has(SNIPPET_DOCKER_COMPOSE, "a", "image: wikid82/orthrus:latest");
    has(SNIPPET_DOCKER_COMPOSE, "a", "/var/run/docker.sock:ro");
    has(SNIPPET_DOCKER_COMPOSE, "a", "restart: unless-stopped");
    has(SNIPPET_SYSTEMD, "a", "Restart=on-failure");
    has(SNIPPET_KUBERNETES_DAEMONSET, "a", "kind: DaemonSet");
}

static void names_are_escaped_for_where_they_stand(void **state)
{
    (void)state;
    /* service keys and object names are labels, whatever the name is */
    has(SNIPPET_DOCKER_COMPOSE, "Web 1", "\n  orthrus-web-1:\n");
    has(SNIPPET_DOCKER_COMPOSE, " a: b\nc ", "\n  orthrus-a-b-c:\n");
    has(SNIPPET_DOCKER_COMPOSE, "...", "\n  orthrus-agent:\n");
    has(SNIPPET_KUBERNETES_DAEMONSET, "-a.b_c-", "  name: orthrus-a-b-c\n");

    has(SNIPPET_DOCKER_COMPOSE, "a\"b\\c\nd",
        "ORTHRUS_AGENT_ID: \"a\\\"b\\\\c\\u000ad\"\n");
    has(SNIPPET_SYSTEMD, "a\"b\\c\nd%n",
        "Environment=\"ORTHRUS_AGENT_ID=a\\\"b\\\\c\\x0ad%%n\"\n");
    has(SNIPPET_TARBALL, "a'b$(c)`d",
        "export ORTHRUS_AGENT_ID='a'\\''b$(c)`d'\n");
    has(SNIPPET_HOMEBREW, "a'b", "export ORTHRUS_AGENT_ID='a'\\''b'\n");
}

static void a_label_fits_a_dns_name(void **state)
{
    (void)state;
    char name[65];
    memset(name, 'x', 64);
    name[64] = '\0';
    char *text = made(SNIPPET_KUBERNETES_DAEMONSET, name);
    const char *label = strstr(text, "  name: orthrus-");
    assert_non_null(label);
    assert_true(strcspn(label + 8, "\n") <= 63);
    free(text);
}

/* ---- where agents connect ------------------------------------------------ */

static char path[128];

static void connects_to(const char *url)
{
    char line[600];
    assert_int_equal(fixture_call("GET", path, NULL), 200);
    (void)snprintf(line, sizeof(line), "ORTHRUS_SERVER_URL: \"%s\"\n", url);
    const char *text = fixture_text("docker_compose");
    if (strstr(text, line) == NULL) {
        fail_msg("%s is not in:\n%s", line, text);
    }
}

static void make_agent(void)
{
    struct fixture_agent agent = fixture_agent("a");
    (void)snprintf(path, sizeof(path), "/api/v1/orthrus/agents/%s/snippets",
                   agent.uuid);
}

static void the_url_is_told_configured_or_that_of_the_request(void **state)
{
    (void)state;
    static const struct {
        const char *told;
        const char *url;
    } told[] = {
        {"https://c.example", "wss://c.example" CONNECT},
        {"http://c.example:8080/", "ws://c.example:8080" CONNECT},
        {"wss://c.example///", "wss://c.example" CONNECT},
        {"ws://c.example", "ws://c.example" CONNECT},
        {"https://c.example/base/", "wss://c.example/base" CONNECT},
        {"https://c.example" CONNECT, "wss://c.example" CONNECT},
        {"https://c.example" CONNECT "/", "wss://c.example" CONNECT},
        {"https://[2001:db8::1]:8443", "wss://[2001:db8::1]:8443" CONNECT},
    };
    make_agent();

    connects_to("ws://127.0.0.1:8080" CONNECT);
    fixture.request.tls = true;
    connects_to("wss://127.0.0.1:8080" CONNECT);
    for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); ++i) {
        fixture.request.charon_url = told[i].told;
        connects_to(told[i].url);
    }

    fixture_configure(
        (const char *const[]){"--public-url=https://p.example/", NULL});
    connects_to("wss://p.example" CONNECT);
    fixture.request.charon_url = "";
    connects_to("wss://p.example" CONNECT);
    fixture.request.charon_url = "https://c.example";
    connects_to("wss://c.example" CONNECT);
}

static void what_could_break_out_of_a_snippet_is_no_url(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "c.example",     "ftp://c.example", "https://",        "https:///x",
        "https://c\"x",  "https://c'x",     "https://c\nx: y", "https://c x",
        "https://$(c)",  "https://c`x`",    "https://c%n",     "https://c\\x",
        "https://u:p@c", "https://c?x=y",   "https://:80"};
    char long_one[700] = "https://";
    make_agent();
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); ++i) {
        fixture.request.charon_url = wrong[i];
        assert_int_equal(fixture_call("GET", path, NULL), 400);
        assert_non_null(strstr(fixture_error(), "X-Charon-URL"));
    }
    memset(long_one + 8, 'x', 600);
    fixture.request.charon_url = long_one;
    assert_int_equal(fixture_call("GET", path, NULL), 400);

    fixture.request.from_admin_socket = true;
    fixture.request.host = NULL;
    assert_int_equal(fixture_call("GET", path, NULL), 400);
    assert_non_null(strstr(fixture_error(), "public-url"));
}

#define TEST(id, test) REQ_WITH(id, test, fixture_start, fixture_stop)

static const struct CMUnitTest tests[] = {
    TEST("H-02", every_kind_says_what_an_agent_needs),
    TEST("H-02", names_are_escaped_for_where_they_stand),
    TEST("H-02", a_label_fits_a_dns_name),
    TEST("H-02", the_url_is_told_configured_or_that_of_the_request),
    TEST("H-02", what_could_break_out_of_a_snippet_is_no_url),
};
RUN(tests)
