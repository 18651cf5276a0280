#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/test/req.h"
#include "net/loop.h"
#include "server/exchange.h"
#include "server/test/fixture.h"

#define AGENTS "/api/v1/orthrus/agents"
#define UUID "00000000-0000-4000-8000-000000000000"

static const char *path_of(const struct fixture_agent *agent, const char *rest)
{
    static char path[128];
    (void)snprintf(path, sizeof(path), AGENTS "/%s%s", agent->uuid, rest);
    return path;
}

static bool key_works(const char *key)
{
    char header[128];
    struct store_agent found;
    (void)snprintf(header, sizeof(header), "Bearer %s", key);
    return auth_agent(&fixture.auth, header, exchange_now(), &found) == AUTH_OK;
}

/* ---- create -------------------------------------------------------------- */

static void a_new_agent_is_told_its_key_once(void **state)
{
    (void)state;
    assert_int_equal(fixture_call("POST", AGENTS, "{\"name\":\"web 1\"}"), 201);

    json_t *agent = json_object_get(fixture.json, "agent");
    const char *key = fixture_text("auth_key");
    assert_int_equal(json_object_size(fixture.json), 2);
    assert_int_equal(strlen(key), 75);
    assert_true(key_works(key));
    assert_string_equal(json_string_value(json_object_get(agent, "name")),
                        "web 1");
    assert_string_equal(json_string_value(json_object_get(agent, "status")),
                        "pending");
    char hidden[80];
    (void)snprintf(hidden, sizeof(hidden), "%s", key + 11);

    assert_int_equal(fixture_call("GET", AGENTS, NULL), 200);
    assert_null(strstr(fixture.text, hidden));
    assert_null(strstr(fixture.text, "hash"));
}

static void an_agent_has_the_fields_of_the_field_in_their_order(void **state)
{
    (void)state;
    static const char *const fresh[] = {"uuid",
                                        "name",
                                        "status",
                                        "capabilities",
                                        "external_proxy_port",
                                        "write_enabled",
                                        "created_at",
                                        "updated_at",
                                        "proxy_address",
                                        "revoked"};
    static const char *const full[] = {"uuid",
                                       "name",
                                       "status",
                                       "capabilities",
                                       "hecate_tunnel_uuid",
                                       "device_id",
                                       "resolved_address",
                                       "external_proxy_port",
                                       "write_enabled",
                                       "last_seen",
                                       "created_at",
                                       "updated_at",
                                       "proxy_address",
                                       "revoked"};
    struct fixture_agent agent = fixture_agent("a");
    const char *key = NULL;
    json_t *value = NULL;
    size_t i = 0;

    assert_int_equal(fixture_call("GET", path_of(&agent, ""), NULL), 200);
    json_object_foreach(fixture.json, key, value)
    {
        assert_string_equal(key, fresh[i++]);
    }
    assert_int_equal(i, 10);

    struct uuid uuid;
    assert_true(uuid_parse(&uuid, agent.uuid));
    store_seen(fixture.store, &uuid, 0, 1700000000500000000);
    assert_int_equal(
        fixture_call("PATCH", path_of(&agent, ""),
                     "{\"hecate_tunnel_uuid\":\"t\",\"device_id\":\"d\","
                     "\"resolved_address\":\"r\"}"),
        200);
    i = 0;
    json_object_foreach(fixture.json, key, value)
    {
        assert_string_equal(key, full[i++]);
    }
    assert_int_equal(i, 14);
    assert_string_equal(fixture_text("last_seen"), "2023-11-14T22:13:20.5Z");
}

static void times_are_rfc_3339_without_trailing_zeros(void **state)
{
    (void)state;
    char text[EXCHANGE_TIME_SIZE];
    exchange_time(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00Z");
    exchange_time(1, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000000001Z");
    exchange_time(1700000000120000000, text);
    assert_string_equal(text, "2023-11-14T22:13:20.12Z");
    exchange_time(1700000000123456789, text);
    assert_string_equal(text, "2023-11-14T22:13:20.123456789Z");
}

static void names_have_a_limited_alphabet_and_length(void **state)
{
    (void)state;
    char body[128] = "{\"name\":\"";
    char *name = body + strlen(body);
    memset(name, 'x', 64);
    memcpy(name + 64, "\"}", 3);
    assert_int_equal(fixture_call("POST", AGENTS, body), 201);
    memset(name, 'x', 65);
    memcpy(name + 65, "\"}", 3);
    assert_int_equal(fixture_call("POST", AGENTS, body), 400);
    assert_non_null(strstr(fixture_error(), "'name'"));

    for (int c = 1; c < 128; ++c) {
        bool allowed = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       (c >= '0' && c <= '9') || strchr("._- ", c) != NULL;
        json_t *object =
            json_pack("{s:s+%}", "name", "n", &(char){(char)c}, (size_t)1);
        char *text = json_dumps(object, 0);
        assert_int_equal(fixture_call("POST", AGENTS, text),
                         allowed ? 201 : 400);
        free(text);
        json_decref(object);
    }
}

/* ---- get and list -------------------------------------------------------- */

static void no_agents_are_an_empty_array(void **state)
{
    (void)state;
    assert_int_equal(fixture_call("GET", AGENTS, NULL), 200);
    assert_string_equal(fixture.text, "[]");
}

static void a_long_list_lets_others_have_their_turn(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 450; ++i) {
        uint8_t digest[STORE_DIGEST_SIZE] = {(uint8_t)i, (uint8_t)(i >> 8)};
        struct store_agent agent = {.uuid = uuid_make(), .created_at = i};
        (void)snprintf(agent.name, sizeof(agent.name), "agent %u", i);
        assert_int_equal(store_agent_add(fixture.store, &agent, digest),
                         STORE_OK);
    }
    uint64_t turns = loop_counters(fixture.loop)->turns;

    struct api_call *call = fixture_begin("GET", AGENTS);
    assert_int_equal(fixture_await(call), 200);

    assert_true(loop_counters(fixture.loop)->turns - turns >= 3);
    assert_int_equal(json_array_size(fixture.json), 450);
    for (unsigned i = 0; i < 450; ++i) {
        char name[32];
        (void)snprintf(name, sizeof(name), "agent %u", i);
        assert_string_equal(json_string_value(json_object_get(
                                json_array_get(fixture.json, i), "name")),
                            name);
    }

    fixture_cancel(fixture_begin("GET", AGENTS)); /* before it begins */
    call = fixture_begin("GET", AGENTS);
    loop_run_once(fixture.loop, 0);
    fixture_cancel(call); /* in the middle */
}

static void status_comes_from_the_live_session(void **state)
{
    (void)state;
    struct fixture_agent agent = fixture_agent("a");
    struct uuid uuid;
    assert_true(uuid_parse(&uuid, agent.uuid));

    assert_int_equal(fixture_call("GET", path_of(&agent, ""), NULL), 200);
    assert_string_equal(fixture_text("status"), "pending");
    assert_string_equal(fixture_text("proxy_address"), "");

    store_seen(fixture.store, &uuid, 40001, 1);
    (void)fixture_connect(agent.uuid, 40001);
    assert_int_equal(fixture_call("GET", path_of(&agent, ""), NULL), 200);
    assert_string_equal(fixture_text("status"), "online");
    assert_string_equal(fixture_text("proxy_address"), "127.0.0.1:40001");

    /* after a crash nobody is connected: nobody is online */
    fixture.tunnel.count = 0;
    assert_int_equal(fixture_call("GET", path_of(&agent, ""), NULL), 200);
    assert_string_equal(fixture_text("status"), "offline");
    assert_string_equal(fixture_text("proxy_address"), "");

    fixture_without_tunnel();
    assert_int_equal(fixture_call("GET", path_of(&agent, ""), NULL), 200);
    assert_string_equal(fixture_text("status"), "offline");
}

static void an_agent_without_a_listener_is_online(void **state)
{
    (void)state;
    struct fixture_agent agent = fixture_agent("a");
    (void)fixture_connect(agent.uuid, 0);
    assert_int_equal(fixture_call("GET", path_of(&agent, ""), NULL), 200);
    assert_string_equal(fixture_text("status"), "online");
    assert_string_equal(fixture_text("proxy_address"), "");
}

static void unknown_agents_are_404(void **state)
{
    (void)state;
    static const struct {
        const char *method;
        const char *path;
        const char *error;
    } calls[] = {
        {"GET", AGENTS "/" UUID,
         "orthrus: get agent " UUID ": record not found"},
        {"GET", AGENTS "/nonsense",
         "orthrus: get agent nonsense: record not found"},
        {"PATCH", AGENTS "/" UUID, "agent not found"},
        {"DELETE", AGENTS "/" UUID, "agent not found"},
        {"POST", AGENTS "/" UUID "/revoke", "agent not found"},
        {"POST", AGENTS "/" UUID "/rotate", "agent not found"},
        {"GET", AGENTS "/" UUID "/snippets",
         "orthrus: get agent " UUID ": record not found"},
        {"GET", AGENTS "/" UUID "/proxy-status", "agent not found"},
    };
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); ++i) {
        assert_int_equal(fixture_call(calls[i].method, calls[i].path, "{}"),
                         404);
        assert_string_equal(fixture_error(), calls[i].error);
    }
    assert_int_equal(fixture.tunnel.disconnects, 0);
}

/* ---- change -------------------------------------------------------------- */

static void a_change_touches_what_it_names_only(void **state)
{
    (void)state;
    struct fixture_agent agent = fixture_agent("a");
    const char *path = path_of(&agent, "");
    char updated[EXCHANGE_TIME_SIZE];

    assert_int_equal(fixture_call("PATCH", path,
                                  "{\"device_id\":\"d\",\"write_enabled\":true,"
                                  "\"external_proxy_port\":2375}"),
                     200);
    (void)snprintf(updated, sizeof(updated), "%s", fixture_text("updated_at"));
    assert_int_equal(fixture_call("PATCH", path, "{}"), 200);
    assert_string_equal(fixture_text("updated_at"), updated);
    assert_int_equal(
        fixture_call("PATCH", path, "{\"name\":\"b\",\"device_id\":null}"),
        200);

    assert_int_equal(fixture_call("GET", path, NULL), 200);
    assert_string_equal(fixture_text("name"), "b");
    assert_string_equal(fixture_text("device_id"), "d");
    assert_true(json_is_true(json_object_get(fixture.json, "write_enabled")));
    assert_int_equal(json_integer_value(
                         json_object_get(fixture.json, "external_proxy_port")),
                     2375);
    assert_string_not_equal(fixture_text("updated_at"), updated);

    assert_int_equal(fixture_call("PATCH", path, "{\"device_id\":\"\"}"), 200);
    assert_null(fixture_text("device_id"));
}

static void a_rename_keeps_session_and_key(void **state)
{
    (void)state;
    struct fixture_agent agent = fixture_agent("a");
    (void)fixture_connect(agent.uuid, 40001);
    assert_int_equal(
        fixture_call("PATCH", path_of(&agent, ""), "{\"name\":\"b\"}"), 200);
    assert_string_equal(fixture_text("status"), "online");
    assert_int_equal(fixture.tunnel.disconnects, 0);
    assert_true(key_works(agent.key));
}

static void external_ports_are_0_or_unprivileged(void **state)
{
    (void)state;
    static const struct {
        long long port;
        int status;
    } ports[] = {
        {0, 200},     {1023, 400}, {1024, 200}, {65535, 200},
        {65536, 400}, {-1, 400},   {1, 400},    {4294967296 + 2375, 400}};
    struct fixture_agent agent = fixture_agent("a");
    for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); ++i) {
        char body[64];
        char error[128];
        (void)snprintf(body, sizeof(body), "{\"external_proxy_port\":%lld}",
                       ports[i].port);
        assert_int_equal(fixture_call("PATCH", path_of(&agent, ""), body),
                         ports[i].status);
        if (ports[i].status == 400) {
            (void)snprintf(error, sizeof(error),
                           "orthrus: external_proxy_port must be 0 (disabled) "
                           "or in range [1024, 65535], got %lld",
                           ports[i].port);
            assert_string_equal(fixture_error(), error);
        }
    }
}

static void a_wrong_change_changes_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const char *error;
    } wrong[] = {
        {"{\"device_id\":\"d\",\"external_proxy_port\":1}", "got 1"},
        {"{\"device_id\":\"d\",\"external_proxy_port\":\"2375\"}",
         "field 'external_proxy_port' must be an integer"},
        {"{\"device_id\":\"d\",\"external_proxy_port\":2375.5}",
         "field 'external_proxy_port' must be an integer"},
        {"{\"device_id\":\"d\",\"write_enabled\":1}",
         "field 'write_enabled' must be true or false"},
        {"{\"device_id\":7}", "field 'device_id' must be a string"},
        {"{\"device_id\":\"d\",\"name\":\" \"}",
         "orthrus: agent name cannot be blank"},
        {"{\"device_id\":\"d\",\"uuid\":\"x\"}", "unknown field 'uuid'"},
        {"{\"device_id\":\"d\",\"status\":\"online\"}",
         "unknown field 'status'"},
    };
    struct fixture_agent agent = fixture_agent("a");
    char long_one[400] = "{\"resolved_address\":\"";
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); ++i) {
        assert_int_equal(
            fixture_call("PATCH", path_of(&agent, ""), wrong[i].body), 400);
        assert_non_null(strstr(fixture_error(), wrong[i].error));
    }
    memset(long_one + strlen(long_one), 'x', 256);
    memcpy(long_one + strlen(long_one), "\"}", 3);
    assert_int_equal(fixture_call("PATCH", path_of(&agent, ""), long_one), 400);
    assert_non_null(strstr(fixture_error(), "at most 255 bytes"));
    assert_int_equal(fixture_call("GET", path_of(&agent, ""), NULL), 200);
    assert_null(fixture_text("device_id"));
    assert_string_equal(fixture_text("name"), "a");
}

/* ---- delete, revoke, rotate ---------------------------------------------- */

static void deleting_ends_the_session_and_the_key(void **state)
{
    (void)state;
    struct fixture_agent agent = fixture_agent("a");
    struct fixture_agent other = fixture_agent("b");
    (void)fixture_connect(agent.uuid, 40001);
    (void)fixture_connect(other.uuid, 40002);

    assert_int_equal(fixture_call("DELETE", path_of(&agent, ""), NULL), 204);

    assert_null(fixture.text);
    assert_int_equal(fixture.tunnel.count, 1);
    assert_int_equal(fixture.tunnel.disconnects, 1);
    assert_int_equal(fixture.tunnel.disconnect_status, STATUS_REVOKED);
    assert_false(key_works(agent.key));
    assert_true(key_works(other.key));
    assert_int_equal(fixture_call("GET", path_of(&agent, ""), NULL), 404);
    assert_int_equal(fixture_call("DELETE", path_of(&agent, ""), NULL), 404);
}

static void revoking_ends_the_session_and_the_key(void **state)
{
    (void)state;
    struct fixture_agent agent = fixture_agent("a");
    (void)fixture_connect(agent.uuid, 40001);

    assert_int_equal(fixture_call("POST", path_of(&agent, "/revoke"), NULL),
                     200);

    assert_string_equal(fixture.text, "{\"message\":\"revoked\"}");
    assert_int_equal(fixture.tunnel.count, 0);
    assert_int_equal(fixture.tunnel.disconnect_status, STATUS_REVOKED);
    assert_false(key_works(agent.key));
    assert_int_equal(fixture_call("GET", path_of(&agent, ""), NULL), 200);
    assert_true(json_is_true(json_object_get(fixture.json, "revoked")));
}

static void rotating_issues_a_key_and_says_how_long_the_old_lives(void **state)
{
    (void)state;
    struct fixture_agent agent = fixture_agent("a");
    char key[AUTH_KEY_SIZE];
    (void)fixture_connect(agent.uuid, 40001);

    assert_int_equal(fixture_call("POST", path_of(&agent, "/rotate"), NULL),
                     200);

    (void)snprintf(key, sizeof(key), "%s", fixture_text("auth_key"));
    assert_string_not_equal(key, agent.key);
    assert_non_null(fixture_text("old_key_valid_until"));
    assert_true(key_works(key));
    assert_true(key_works(agent.key));
    assert_int_equal(fixture.tunnel.disconnects, 0);

    fixture_configure((const char *const[]){"--key-overlap=0", NULL});
    assert_int_equal(fixture_call("POST", path_of(&agent, "/rotate"), NULL),
                     200);
    assert_null(fixture_text("old_key_valid_until"));
    assert_false(key_works(key));
    assert_false(key_works(agent.key));
    assert_true(key_works(fixture_text("auth_key")));
}

static void rotating_takes_a_revoked_agent_back(void **state)
{
    (void)state;
    struct fixture_agent agent = fixture_agent("a");
    assert_int_equal(fixture_call("POST", path_of(&agent, "/revoke"), NULL),
                     200);

    assert_int_equal(fixture_call("POST", path_of(&agent, "/rotate"), NULL),
                     200);

    assert_null(fixture_text("old_key_valid_until"));
    assert_true(key_works(fixture_text("auth_key")));
    assert_false(key_works(agent.key));
    assert_true(json_is_false(
        json_object_get(json_object_get(fixture.json, "agent"), "revoked")));
}

static void without_a_tunnel_agents_are_managed_all_the_same(void **state)
{
    (void)state;
    struct fixture_agent agent = fixture_agent("a");
    fixture_without_tunnel();
    assert_int_equal(fixture_call("POST", path_of(&agent, "/revoke"), NULL),
                     200);
    assert_int_equal(fixture_call("DELETE", path_of(&agent, ""), NULL), 204);
}

/* ---- proxy status -------------------------------------------------------- */

static void proxy_status_tells_what_is_configured_and_what_is_true(void **state)
{
    (void)state;
    struct fixture_agent agent = fixture_agent("a");
    char expected[512];
    assert_int_equal(
        fixture_call("PATCH", path_of(&agent, ""),
                     "{\"external_proxy_port\":2375,\"write_enabled\":true}"),
        200);

    assert_int_equal(
        fixture_call("GET", path_of(&agent, "/proxy-status"), NULL), 200);
    (void)snprintf(expected, sizeof(expected),
                   "{\"agent_uuid\":\"%s\",\"agent_online\":false,"
                   "\"configured_port\":2375,\"configured_write_enabled\":true,"
                   "\"active_write_enabled\":false,\"active\":false,"
                   "\"active_port\":0,\"bind_address\":\"\","
                   "\"connection_string\":\"\",\"error\":\"\"}",
                   agent.uuid);
    assert_string_equal(fixture.text, expected);

    fixture_connect(agent.uuid, 40001)->write_enabled = true;
    assert_int_equal(
        fixture_call("GET", path_of(&agent, "/proxy-status"), NULL), 200);
    assert_true(json_is_true(json_object_get(fixture.json, "agent_online")));
    assert_true(
        json_is_true(json_object_get(fixture.json, "active_write_enabled")));
    assert_true(json_is_false(json_object_get(fixture.json, "active")));
    assert_non_null(strstr(fixture_error(), "not served"));

    assert_int_equal(fixture_call("PATCH", path_of(&agent, ""),
                                  "{\"external_proxy_port\":0}"),
                     200);
    assert_int_equal(
        fixture_call("GET", path_of(&agent, "/proxy-status"), NULL), 200);
    assert_string_equal(fixture_error(), "");
}

/* ---- a store that fails -------------------------------------------------- */

/* Breaks the data base under the server: every later call on agents fails. */
static void break_store(void)
{
    char path[128];
    sqlite3 *db = NULL;
    (void)snprintf(path, sizeof(path), "%s/orthrus.db", fixture.dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "DROP TABLE agent_keys; DROP TABLE agents;"
                                  "DROP TABLE remote_servers",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    (void)sqlite3_close(db);
}

static void a_failing_store_is_500_and_nothing_else(void **state)
{
    (void)state;
    struct fixture_agent agent = fixture_agent("a");
    static const struct {
        const char *method;
        const char *rest;
    } calls[] = {{"GET", ""},
                 {"PATCH", ""},
                 {"DELETE", ""},
                 {"POST", "/revoke"},
                 {"POST", "/rotate"},
                 {"GET", "/snippets"},
                 {"GET", "/proxy-status"}};
    (void)fixture_connect(agent.uuid, 40001);
    break_store();

    assert_int_equal(fixture_call("GET", AGENTS, NULL), 500);
    assert_non_null(strstr(fixture_error(), "orthrus: list agents: "));
    assert_int_equal(fixture_call("POST", AGENTS, "{\"name\":\"b\"}"), 500);
    assert_non_null(strstr(fixture_error(), "orthrus: create agent: "));
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); ++i) {
        assert_int_equal(
            fixture_call(calls[i].method, path_of(&agent, calls[i].rest), "{}"),
            500);
        assert_non_null(strstr(fixture_error(), "orthrus: get agent: "));
    }
    assert_int_equal(fixture.tunnel.disconnects, 0);
    assert_false(key_works(agent.key));
    assert_int_equal(fixture.auth.agent_results[AUTH_BUSY], 1);
    assert_int_equal(fixture_call("GET", "/api/v1/remote-servers", NULL), 500);
    assert_int_equal(
        fixture_call("GET", "/api/v1/docker/containers?server_id=" UUID, NULL),
        500);
}

#define TEST(id, test) REQ_WITH(id, test, fixture_start, fixture_stop)

static const struct CMUnitTest tests[] = {
    TEST("H-02,K-01", a_new_agent_is_told_its_key_once),
    TEST("H-02,H-03", an_agent_has_the_fields_of_the_field_in_their_order),
    TEST("H-02", times_are_rfc_3339_without_trailing_zeros),
    TEST("H-02,X32", names_have_a_limited_alphabet_and_length),
    TEST("H-02", no_agents_are_an_empty_array),
    TEST("H-02,Y-05", a_long_list_lets_others_have_their_turn),
    TEST("H-03,AC-14", status_comes_from_the_live_session),
    TEST("AC-13", an_agent_without_a_listener_is_online),
    TEST("H-02", unknown_agents_are_404),
    TEST("H-02", a_change_touches_what_it_names_only),
    TEST("H-02,X5", a_rename_keeps_session_and_key),
    TEST("H-02", external_ports_are_0_or_unprivileged),
    TEST("H-02,H-07", a_wrong_change_changes_nothing),
    TEST("H-02,X5", deleting_ends_the_session_and_the_key),
    TEST("H-02,X5", revoking_ends_the_session_and_the_key),
    TEST("H-04", rotating_issues_a_key_and_says_how_long_the_old_lives),
    TEST("H-04", rotating_takes_a_revoked_agent_back),
    TEST("AC-10", without_a_tunnel_agents_are_managed_all_the_same),
    TEST("H-02", proxy_status_tells_what_is_configured_and_what_is_true),
    TEST("H-07,K-03", a_failing_store_is_500_and_nothing_else),
};
RUN(tests)
