#include <stdio.h>
#include <string.h>

#include "core/test/req.h"
#include "server/test/fixture.h"

#define SERVERS "/api/v1/remote-servers"
#define UUID "00000000-0000-4000-8000-000000000000"

static char path[128]; /* of the server made last */

static void made(const char *body)
{
    assert_int_equal(fixture_call("POST", SERVERS, body), 201);
    (void)snprintf(path, sizeof(path), SERVERS "/%s", fixture_text("uuid"));
}

static void a_direct_server_lives_its_life(void **state)
{
    (void)state;
    static const char *const fields[] = {"uuid",
                                         "name",
                                         "host",
                                         "port",
                                         "connection_type",
                                         "orthrus_agent_uuid",
                                         "created_at",
                                         "updated_at"};
    const char *key = NULL;
    json_t *value = NULL;
    size_t i = 0;
    assert_int_equal(fixture_call("GET", SERVERS, NULL), 200);
    assert_string_equal(fixture.text, "[]");

    made("{\"name\":\"lab\",\"host\":\"lab.example\",\"port\":2375}");

    json_object_foreach(fixture.json, key, value)
    {
        assert_string_equal(key, fields[i++]);
    }
    assert_int_equal(i, 8);
    assert_string_equal(fixture_text("connection_type"), "direct");
    assert_string_equal(fixture_text("orthrus_agent_uuid"), "");
    assert_int_equal(fixture_call("GET", path, NULL), 200);
    assert_string_equal(fixture_text("host"), "lab.example");
    assert_int_equal(fixture_call("PATCH", path, "{\"port\":2376}"), 200);
    assert_int_equal(fixture_call("GET", SERVERS, NULL), 200);
    assert_int_equal(json_array_size(fixture.json), 1);
    assert_int_equal(json_integer_value(json_object_get(
                         json_array_get(fixture.json, 0), "port")),
                     2376);
    assert_string_equal(json_string_value(json_object_get(
                            json_array_get(fixture.json, 0), "name")),
                        "lab");
    assert_int_equal(fixture_call("DELETE", path, NULL), 204);
    assert_int_equal(fixture_call("DELETE", path, NULL), 404);
    assert_int_equal(fixture_call("GET", path, NULL), 404);
    assert_string_equal(fixture_error(), "remote server not found");
    assert_int_equal(fixture_call("PATCH", path, "{}"), 404);
    assert_int_equal(fixture_call("GET", SERVERS "/x", NULL), 404);
}

static void an_orthrus_server_names_an_agent_or_none(void **state)
{
    (void)state;
    struct fixture_agent agent = fixture_agent("a");
    char body[256];

    made("{\"name\":\"s\",\"connection_type\":\"orthrus\"}");
    assert_string_equal(fixture_text("orthrus_agent_uuid"), "");
    made("{\"name\":\"s\",\"connection_type\":\"orthrus\","
         "\"orthrus_agent_uuid\":\"\"}");
    assert_string_equal(fixture_text("orthrus_agent_uuid"), "");

    (void)snprintf(body, sizeof(body), "{\"orthrus_agent_uuid\":\"%s\"}",
                   agent.uuid);
    assert_int_equal(fixture_call("PATCH", path, body), 200);
    assert_string_equal(fixture_text("orthrus_agent_uuid"), agent.uuid);
    assert_int_equal(fixture_call("PATCH", path, "{\"name\":\"t\"}"), 200);
    assert_string_equal(fixture_text("orthrus_agent_uuid"), agent.uuid);
    assert_int_equal(
        fixture_call("PATCH", path, "{\"orthrus_agent_uuid\":\"\"}"), 200);
    assert_string_equal(fixture_text("orthrus_agent_uuid"), "");
    assert_int_equal(
        fixture_call("PATCH", path, "{\"orthrus_agent_uuid\":\"" UUID "\"}"),
        400);
    assert_string_equal(fixture_error(),
                        "field 'orthrus_agent_uuid' names no agent");
    assert_int_equal(
        fixture_call("PATCH", path, "{\"orthrus_agent_uuid\":\"x\"}"), 400);
}

static void wrong_servers_are_refused_with_the_field(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const char *error;
    } wrong[] = {
        {"{}", "remote server name cannot be blank"},
        {"{\"name\":\"a\"}", "needs the fields 'host' and 'port'"},
        {"{\"name\":\"a\",\"host\":\"h\"}", "'host' and 'port'"},
        {"{\"name\":\"a\",\"port\":1}", "'host' and 'port'"},
        {"{\"name\":\"a\",\"host\":\"h\",\"port\":0}", "'host' and 'port'"},
        {"{\"name\":\"a\",\"host\":\"h\",\"port\":65536}",
         "field 'port' must be 0 to 65535"},
        {"{\"name\":\"a\",\"host\":\"h\",\"port\":-1}",
         "field 'port' must be 0 to 65535"},
        {"{\"name\":\"a\",\"host\":\"h\",\"port\":\"1\"}",
         "field 'port' must be an integer"},
        {"{\"name\":\"a\",\"host\":\"h/x\",\"port\":1}",
         "field 'host' must be a host name"},
        {"{\"name\":\"a\",\"host\":\"[::1]\",\"port\":1}",
         "field 'host' must be a host name"},
        {"{\"name\":\"a\",\"host\":7,\"port\":1}",
         "field 'host' must be a string"},
        {"{\"name\":\"a\",\"connection_type\":\"cloudflare\"}",
         "field 'connection_type' must be direct or orthrus"},
        {"{\"name\":\"a\",\"connection_type\":1}",
         "field 'connection_type' must be a string"},
        {"{\"name\":\"a\",\"scheme\":\"tcp\"}", "unknown field 'scheme'"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); ++i) {
        assert_int_equal(fixture_call("POST", SERVERS, wrong[i].body), 400);
        if (strstr(fixture_error(), wrong[i].error) == NULL) {
            fail_msg("%s: %s", wrong[i].body, fixture_error());
        }
    }
    made("{\"name\":\"a\",\"host\":\"h\",\"port\":1}");
    assert_int_equal(fixture_call("PATCH", path, "{\"host\":\"\"}"), 400);
    assert_int_equal(fixture_call("PATCH", path, "{\"name\":\"\"}"), 400);
    assert_int_equal(fixture_call("GET", SERVERS, NULL), 200);
    assert_int_equal(json_array_size(fixture.json), 1);
}

#define TEST(id, test) REQ_WITH(id, test, fixture_start, fixture_stop)

static const struct CMUnitTest tests[] = {
    TEST("H-05", a_direct_server_lives_its_life),
    TEST("H-05", an_orthrus_server_names_an_agent_or_none),
    TEST("H-05,H-07", wrong_servers_are_refused_with_the_field),
};
RUN(tests)
