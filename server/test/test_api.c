#include "server/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/test/req.h"
#include "server/exchange.h"
#include "server/test/fixture.h"
#include "server/web.h"

#define AGENTS "/api/v1/orthrus/agents"
#define UUID "00000000-0000-4000-8000-000000000000"

/* ---- credentials --------------------------------------------------------- */

/* A path of the route, with a uuid where it wants one. */
static void path_of(const struct route_row *route, char path[128])
{
    const char *hole = strstr(route->path, "{uuid}");
    if (hole == NULL) {
        (void)snprintf(path, 128, "%s", route->path);
        return;
    }
    (void)snprintf(path, 128, "%.*s" UUID "%s", (int)(hole - route->path),
                   route->path, hole + 6);
}

static void every_management_call_needs_the_admin_token(void **state)
{
    (void)state;
    unsigned closed = 0;
    for (size_t i = 0; i < api_route_count(); ++i) {
        const struct route_row *route = api_route_at(i);
        char path[128];
        path_of(route, path);
        if (route->access != ACCESS_MANAGEMENT) {
            continue;
        }
        ++closed;
        fixture.request.authorization = NULL;
        assert_int_equal(fixture_call(route->method, path, NULL), 401);
        assert_true(fixture.challenge);
        assert_true(fixture_error()[0] != '\0');
        fixture.request.authorization = "Bearer 0123456789";
        assert_int_equal(fixture_call(route->method, path, NULL), 401);
    }
    assert_int_equal(closed, 16);
    assert_int_equal(fixture.auth.admin_failures, 32);
}

static void an_agents_key_opens_no_management_call(void **state)
{
    (void)state;
    struct fixture_agent agent = fixture_agent("a");
    char bearer[128];
    (void)snprintf(bearer, sizeof(bearer), "Bearer %s", agent.key);

    fixture.request.authorization = bearer;
    assert_int_equal(fixture_call("GET", AGENTS, NULL), 401);

    assert_int_equal(fixture_call("GET", AGENTS, NULL), 200);
}

static void the_admin_socket_needs_no_token(void **state)
{
    (void)state;
    fixture.request.authorization = NULL;
    fixture.request.host = NULL;
    fixture.request.from_admin_socket = true;

    assert_int_equal(fixture_call("GET", AGENTS, NULL), 200);
}

static void refusals_on_the_head_need_no_body(void **state)
{
    (void)state;
    struct api_reply reply = {0};
    struct api_request request = fixture.request;
    request.method = "POST";
    request.path = AGENTS;

    request.body_length = 65536;
    assert_true(api_admit(fixture.api, &request, &reply));
    request.body_length = 65537;
    assert_false(api_admit(fixture.api, &request, &reply));
    assert_int_equal(reply.status, 413);
    api_reply_free(&reply);
    request.body_length = 1;
    request.authorization = NULL;
    assert_false(api_admit(fixture.api, &request, &reply));
    assert_int_equal(reply.status, 401);
    api_reply_free(&reply);
}

static void a_body_beyond_the_limit_is_refused(void **state)
{
    (void)state;
    char *body = malloc(65538);
    memset(body, ' ', 65537);
    body[65537] = '\0';
    assert_int_equal(fixture_call("POST", AGENTS, body), 413);
    memcpy(body, "{\"name\":\"a\"}", 12);
    body[65536] = '\0';
    assert_int_equal(fixture_call("POST", AGENTS, body), 201);

    fixture_configure((const char *const[]){"--body-max=1KiB", NULL});
    body[1025] = '\0';
    assert_int_equal(fixture_call("POST", AGENTS, body), 413);
    body[1024] = '\0';
    assert_int_equal(fixture_call("POST", AGENTS, body), 201);
    free(body);
}

/* ---- names and browsers -------------------------------------------------- */

static int by_host(const char *host)
{
    fixture.request.host = host;
    return fixture_call("GET", AGENTS, NULL);
}

static void only_our_names_are_answered_to(void **state)
{
    (void)state;
    static const char *const ours[] = {
        "localhost", "localhost:8080", "LOCALHOST:1",   "127.0.0.1",
        "[::1]",     "[::1]:8080",     "192.0.2.1:443", "[2001:db8::1]:1"};
    static const char *const others[] = {"",
                                         "evil",
                                         "evil:8080",
                                         "localhost.evil",
                                         "127.0.0.1.evil",
                                         "localhost:80a",
                                         "[::1]evil",
                                         "[::1",
                                         "[]",
                                         ":8080",
                                         "a.example.evil",
                                         "xn--a.example"};
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); ++i) {
        assert_int_equal(by_host(ours[i]), 200);
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); ++i) {
        assert_int_equal(by_host(others[i]), 421);
        assert_non_null(strstr(fixture_error(), "allowed-hosts"));
    }
    assert_int_equal(by_host(NULL), 421);
    assert_int_equal(by_host("a.example"), 421);

    fixture_configure(
        (const char *const[]){"--allowed-hosts=b.example, a.example",
                              "--public-url=https://c.example:8443/x", NULL});
    assert_int_equal(by_host("A.example:1"), 200);
    assert_int_equal(by_host("b.example"), 200);
    assert_int_equal(by_host("c.example"), 200);
    assert_int_equal(by_host("example"), 421);
    assert_int_equal(by_host("b.example,"), 421);
}

static void probes_may_call_by_any_name(void **state)
{
    (void)state;
    static const char *const open[] = {"/healthz", "/readyz",
                                       "/api/v1/openapi.json"};
    for (size_t i = 0; i < 3; ++i) {
        fixture.request.host = "pod-17.cluster";
        fixture.request.authorization = NULL;
        assert_int_equal(fixture_call("GET", open[i], NULL), 200);
    }
}

static void browsers_are_refused(void **state)
{
    (void)state;
    fixture.request.origin = "http://127.0.0.1:8080";
    assert_int_equal(fixture_call("GET", AGENTS, NULL), 403);
    fixture.request.origin = "null";
    assert_int_equal(fixture_call("POST", AGENTS, "{\"name\":\"a\"}"), 403);
    fixture.request.sec_fetch_site = "same-origin";
    assert_int_equal(fixture_call("GET", AGENTS, NULL), 403);
    fixture.request.has_cors = true;
    assert_int_equal(fixture_call("GET", AGENTS, NULL), 403);
    assert_int_equal(fixture_call("OPTIONS", AGENTS, NULL), 403);
    fixture.request.origin = "http://x";
    fixture.request.from_admin_socket = true;
    assert_int_equal(fixture_call("GET", AGENTS, NULL), 403);

    fixture.request.sec_fetch_site = "none";
    assert_int_equal(fixture_call("GET", AGENTS, NULL), 200);
    assert_int_equal(json_array_size(fixture.json), 0);
}

/* ---- routes -------------------------------------------------------------- */

static void unknown_paths_are_404(void **state)
{
    (void)state;
    static const char *const unknown[] = {"",
                                          "/",
                                          "/api/v1",
                                          "/api/v1/orthrus/agents/",
                                          AGENTS "/" UUID "/",
                                          AGENTS "/" UUID "/nothing",
                                          AGENTS "/" UUID "/snippets/x",
                                          AGENTS "//snippets",
                                          "/api/v1/orthrus/Agents",
                                          "/metrics/",
                                          "/api/v1/ws/orthrus/connect"};
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); ++i) {
        assert_int_equal(fixture_call("GET", unknown[i], NULL), 404);
        assert_string_equal(fixture_error(), "no such path");
    }
}

static void wrong_methods_are_405_with_allow(void **state)
{
    (void)state;
    static const struct {
        const char *method;
        const char *path;
        const char *allow;
    } wrong[] = {
        {"DELETE", AGENTS, "GET, HEAD, POST"},
        {"PUT", AGENTS "/" UUID, "GET, HEAD, PATCH, DELETE"},
        {"GET", AGENTS "/" UUID "/revoke", "POST"},
        {"GET", AGENTS "/" UUID "/rotate", "POST"},
        {"POST", AGENTS "/" UUID "/snippets", "GET, HEAD"},
        {"POST", AGENTS "/" UUID "/proxy-status", "GET, HEAD"},
        {"PUT", "/api/v1/remote-servers", "GET, HEAD, POST"},
        {"POST", "/api/v1/remote-servers/" UUID, "GET, HEAD, PATCH, DELETE"},
        {"POST", "/api/v1/docker/containers", "GET, HEAD"},
        {"POST", "/healthz", "GET, HEAD"},
        {"BREW", "/metrics", "GET, HEAD"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); ++i) {
        assert_int_equal(fixture_call(wrong[i].method, wrong[i].path, NULL),
                         405);
        assert_string_equal(fixture.allow, wrong[i].allow);
        assert_non_null(strstr(fixture_error(), wrong[i].method));
    }
}

static void head_is_answered_as_get(void **state)
{
    (void)state;
    assert_int_equal(fixture_call("HEAD", "/healthz", NULL), 200);
    assert_int_equal(fixture_call("HEAD", AGENTS, NULL), 200);
    fixture.request.authorization = NULL;
    assert_int_equal(fixture_call("HEAD", AGENTS, NULL), 401);
}

static void bodies_are_strict_json_objects(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const char *error;
    } wrong[] = {
        {NULL, "the body is empty"},
        {"", "the body is empty"},
        {"{", "the body is not JSON"},
        {"{'name':1}", "the body is not JSON"},
        {"{\"name\":\"a\"} x", "the body is not JSON"},
        {"{\"name\":\"a\",\"name\":\"b\"}", "the body is not JSON"},
        {"{\"name\":\"\xff\"}", "the body is not JSON"},
        {"{\"name\":\"a\\u0000\"}", "the body is not JSON"},
        {"[]", "the body is not a JSON object"},
        {"\"name\"", "the body is not JSON"},
        {"{\"name\":\"a\",\"colour\":1}", "unknown field 'colour'"},
        {"{\"Name\":\"a\"}", "unknown field 'Name'"},
        {"{\"name\":1}", "field 'name' must be a string"},
        {"{\"name\":[\"a\"]}", "field 'name' must be a string"},
        {"{}", "orthrus: agent name cannot be blank"},
        {"{\"name\":null}", "orthrus: agent name cannot be blank"},
        {"{\"name\":\"  \"}", "orthrus: agent name cannot be blank"},
        {"{\"name\":\"a/b\"}", "orthrus: agent name must be 1 to 64"},
        {"{\"name\":\"a\\nb\"}", "orthrus: agent name must be 1 to 64"},
        {"{\"name\":\"\xc3\xa9\"}", "orthrus: agent name must be 1 to 64"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); ++i) {
        assert_int_equal(fixture_call("POST", AGENTS, wrong[i].body), 400);
        if (strstr(fixture_error(), wrong[i].error) == NULL) {
            fail_msg("%s: %s", wrong[i].body, fixture_error());
        }
    }
    assert_int_equal(fixture_call("GET", AGENTS, NULL), 200);
    assert_int_equal(json_array_size(fixture.json), 0);
}

static void errors_are_json_whatever_is_in_them(void **state)
{
    (void)state;
    assert_int_equal(fixture_call("GET", AGENTS "/\x01\xff\"<", NULL), 404);
    assert_string_equal(fixture.content_type,
                        "application/json; charset=utf-8");
    assert_string_equal(fixture_error(),
                        "orthrus: get agent ?\?\"<: record not found");
}

/* ---- operation ----------------------------------------------------------- */

static void health_is_always_there(void **state)
{
    (void)state;
    fixture.request.authorization = NULL;
    assert_int_equal(fixture_call("GET", "/healthz", NULL), 200);
    assert_string_equal(fixture.text, "{\"status\":\"ok\"}");
}

static void readiness_says_why_not(void **state)
{
    (void)state;
    assert_int_equal(fixture_call("GET", "/readyz", NULL), 200);
    assert_string_equal(fixture.text, "{\"status\":\"ready\"}");

    fixture.tunnel.draining = true;
    assert_int_equal(fixture_call("GET", "/readyz", NULL), 503);
    assert_string_equal(fixture_text("reason"), "draining");
    fixture.tunnel.draining = false;

    api_not_ready(fixture.api, "shutting down");
    assert_int_equal(fixture_call("GET", "/readyz", NULL), 503);
    assert_string_equal(fixture_text("reason"), "shutting down");
    assert_int_equal(fixture_call("GET", "/healthz", NULL), 200);
}

/* ---- the document -------------------------------------------------------- */

static json_t *document(void)
{
    assert_int_equal(fixture_call("GET", "/api/v1/openapi.json", NULL), 200);
    assert_non_null(fixture.json);
    return json_incref(fixture.json);
}

static void every_route_is_documented_and_the_other_way_round(void **state)
{
    (void)state;
    static const char *const methods[] = {"get", "post", "put", "patch",
                                          "delete"};
    static const char *const upper[] = {"GET", "POST", "PUT", "PATCH",
                                        "DELETE"};
    json_t *api = document();
    json_t *paths = json_object_get(api, "paths");
    const char *path = NULL;
    json_t *item = NULL;
    size_t documented = 0;

    assert_string_equal(json_string_value(json_object_get(api, "openapi")),
                        "3.1.0");
    json_object_foreach(paths, path, item)
    {
        for (size_t m = 0; m < 5; ++m) {
            bool routed = false;
            for (size_t i = 0; i < api_route_count(); ++i) {
                routed |= strcmp(api_route_at(i)->path, path) == 0 &&
                          strcmp(api_route_at(i)->method, upper[m]) == 0;
            }
            if ((json_object_get(item, methods[m]) != NULL) != routed) {
                fail_msg("%s %s", upper[m], path);
            }
            documented += routed ? 1 : 0;
        }
    }
    assert_int_equal(documented, api_route_count());
    json_decref(api);
}

static void open_calls_are_documented_as_open(void **state)
{
    (void)state;
    json_t *api = document();
    json_t *paths = json_object_get(api, "paths");
    for (size_t i = 0; i < api_route_count(); ++i) {
        const struct route_row *route = api_route_at(i);
        char method[8] = "";
        for (size_t c = 0; route->method[c] != '\0'; ++c) {
            method[c] = (char)(route->method[c] - 'A' + 'a');
        }
        json_t *security = json_object_get(
            json_object_get(json_object_get(paths, route->path), method),
            "security");
        assert_int_equal(security == NULL, route->access == ACCESS_MANAGEMENT);
        assert_int_equal(security != NULL && json_array_size(security) == 0,
                         route->access == ACCESS_OPEN);
    }
    json_decref(api);
}

static void check_references(const json_t *root, json_t *node)
{
    const char *key = NULL;
    json_t *value = NULL;
    size_t i = 0;
    if (json_is_array(node)) {
        json_array_foreach(node, i, value)
        {
            check_references(root, value);
        }
        return;
    }
    json_object_foreach(node, key, value)
    {
        if (strcmp(key, "$ref") == 0) {
            char path[128];
            char *rest = NULL;
            const json_t *target = root;
            (void)snprintf(path, sizeof(path), "%s", json_string_value(value));
            assert_memory_equal(path, "#/", 2);
            for (char *part = strtok_r(path + 2, "/", &rest); part != NULL;
                 part = strtok_r(NULL, "/", &rest)) {
                target = json_object_get(target, part);
            }
            assert_non_null(target);
        } else {
            check_references(root, value);
        }
    }
}

static void every_reference_of_the_document_leads_somewhere(void **state)
{
    (void)state;
    json_t *api = document();
    check_references(api, api);
    json_decref(api);
}

/* An answer has no field that its schema does not name, and every field that it
 * requires. */
static void conforms(const json_t *api, const char *schema)
{
    json_t *described = json_object_get(
        json_object_get(json_object_get(api, "components"), "schemas"), schema);
    json_t *properties = json_object_get(described, "properties");
    const char *key = NULL;
    json_t *value = NULL;
    size_t i = 0;
    json_object_foreach(fixture.json, key, value)
    {
        if (json_object_get(properties, key) == NULL) {
            fail_msg("%s is not in %s", key, schema);
        }
    }
    json_array_foreach(json_object_get(described, "required"), i, value)
    {
        if (json_object_get(fixture.json, json_string_value(value)) == NULL) {
            fail_msg("%s of %s is missing", json_string_value(value), schema);
        }
    }
}

static void answers_conform_to_their_schemas(void **state)
{
    (void)state;
    json_t *api = document();
    char path[128];
    struct fixture_agent agent = fixture_agent("a");
    conforms(api, "AgentWithKey");
    (void)snprintf(path, sizeof(path), AGENTS "/%s", agent.uuid);
    (void)fixture_call("PATCH", path,
                       "{\"device_id\":\"d\",\"hecate_tunnel_uuid\":\"t\","
                       "\"resolved_address\":\"r\"}");
    conforms(api, "Agent");
    (void)snprintf(path, sizeof(path), AGENTS "/%s/rotate", agent.uuid);
    (void)fixture_call("POST", path, NULL);
    conforms(api, "AgentRotated");
    (void)snprintf(path, sizeof(path), AGENTS "/%s/proxy-status", agent.uuid);
    (void)fixture_call("GET", path, NULL);
    conforms(api, "ProxyStatus");
    (void)snprintf(path, sizeof(path), AGENTS "/%s/snippets", agent.uuid);
    (void)fixture_call("GET", path, NULL);
    conforms(api, "Snippets");
    (void)snprintf(path, sizeof(path), AGENTS "/%s/revoke", agent.uuid);
    (void)fixture_call("POST", path, NULL);
    conforms(api, "Message");
    (void)fixture_call("POST", "/api/v1/remote-servers",
                       "{\"name\":\"s\",\"host\":\"h\",\"port\":1}");
    conforms(api, "Server");
    (void)fixture_call("GET", "/readyz", NULL);
    conforms(api, "Health");
    (void)fixture_call("GET", "/nothing", NULL);
    conforms(api, "Error");
    json_decref(api);
}

#define TEST(id, test) REQ_WITH(id, test, fixture_start, fixture_stop)

static const struct CMUnitTest tests[] = {
    TEST("H-06", every_management_call_needs_the_admin_token),
    TEST("H-06", an_agents_key_opens_no_management_call),
    TEST("H-06,X36", the_admin_socket_needs_no_token),
    TEST("H-06,H-07", refusals_on_the_head_need_no_body),
    TEST("H-07,L-02", a_body_beyond_the_limit_is_refused),
    TEST("H-06,X10", only_our_names_are_answered_to),
    TEST("H-08,X10", probes_may_call_by_any_name),
    TEST("H-06,X11", browsers_are_refused),
    TEST("H-07", unknown_paths_are_404),
    TEST("H-07", wrong_methods_are_405_with_allow),
    TEST("H-07", head_is_answered_as_get),
    TEST("H-07,H-02", bodies_are_strict_json_objects),
    TEST("H-07", errors_are_json_whatever_is_in_them),
    TEST("H-08", health_is_always_there),
    TEST("H-08,L-06", readiness_says_why_not),
    TEST("H-08", every_route_is_documented_and_the_other_way_round),
    TEST("H-08", open_calls_are_documented_as_open),
    TEST("H-08", every_reference_of_the_document_leads_somewhere),
    TEST("H-08", answers_conform_to_their_schemas),
};
RUN(tests)
