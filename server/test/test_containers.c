#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/test/req.h"
#include "server/test/engine.h"
#include "server/test/fixture.h"

#define LIST "/api/v1/docker/containers"
#define SERVERS "/api/v1/remote-servers"
#define UUID "00000000-0000-4000-8000-000000000000"

#define PING "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\n\r\n"
#define CLOSED ENGINE_CLOSES
#define JSON_HEAD "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

static struct engine engine;
static char path[160]; /* of the list of the remote server made last */

static int start(void **state)
{
    memset(&engine, 0, sizeof(engine));
    return fixture_start(state);
}

static int stop(void **state)
{
    engine_stop(&engine);
    return fixture_stop(state);
}

static void make_server(const char *body)
{
    assert_int_equal(fixture_call("POST", SERVERS, body), 201);
    (void)snprintf(path, sizeof(path), LIST "?server_id=%s",
                   fixture_text("uuid"));
}

/* A remote server of an agent whose proxy leads to the engine. */
static void make_agents_server(unsigned port)
{
    char body[160];
    struct fixture_agent agent = fixture_agent("a");
    (void)snprintf(body, sizeof(body),
                   "{\"name\":\"s\",\"connection_type\":\"orthrus\","
                   "\"orthrus_agent_uuid\":\"%s\"}",
                   agent.uuid);
    make_server(body);
    (void)fixture_connect(agent.uuid, port);
}

static void make_direct_server(const char *host, unsigned port)
{
    char body[160];
    (void)snprintf(body, sizeof(body),
                   "{\"name\":\"s\",\"host\":\"%s\",\"port\":%u}", host, port);
    make_server(body);
}

static void serve(const struct engine_answer *answers)
{
    engine_start(&engine, fixture.loop, "127.0.0.1", answers);
    make_agents_server(engine.port);
}

/* The n-th connection carried this request. */
static void asked(size_t n, const char *begin)
{
    const char *request = engine.connections[n].request;
    if (strncmp(request, begin, strlen(begin)) != 0) {
        fail_msg("'%s' does not begin with '%s'", request, begin);
    }
}

static void fails(int status, const char *error)
{
    assert_int_equal(fixture_call("GET", path, NULL), status);
    assert_string_equal(fixture_error(), error);
}

/* ---- where to ask -------------------------------------------------------- */

static void checks_come_in_the_order_of_the_field(void **state)
{
    (void)state;
    char body[160];
    /* selector before server, server before subsystem */
    (void)snprintf(path, sizeof(path), LIST "?host=tcp&server_id=" UUID);
    fails(400, "Invalid docker host selector");
    (void)snprintf(path, sizeof(path), LIST "?host=+local%%20&server_id=" UUID);
    fails(404, "Remote server not found");
    (void)snprintf(path, sizeof(path), LIST "?server_id=nonsense");
    fails(404, "Remote server not found");

    /* 503 before the agent's uuid, that before its connection */
    fixture_without_tunnel();
    (void)snprintf(path, sizeof(path), LIST "?server_id=" UUID);
    fails(404, "Remote server not found");
    make_server("{\"name\":\"s\",\"connection_type\":\"orthrus\"}");
    fails(503, "Orthrus subsystem unavailable");
    fixture_configure((const char *const[]){NULL});
    fails(400, "Remote server has no Orthrus agent UUID configured");
    make_server("{\"name\":\"s\",\"connection_type\":\"orthrus\","
                "\"orthrus_agent_uuid\":\"\"}");
    fails(400, "Remote server has no Orthrus agent UUID configured");

    struct fixture_agent agent = fixture_agent("a");
    (void)snprintf(body, sizeof(body),
                   "{\"name\":\"s\",\"connection_type\":\"orthrus\","
                   "\"orthrus_agent_uuid\":\"%s\"}",
                   agent.uuid);
    make_server(body);
    fails(502, "Orthrus agent is not currently connected");
    (void)fixture_connect(agent.uuid, 0); /* connected, no proxy */
    fails(502, "Orthrus agent is not currently connected");
    fixture_without_tunnel();
    fails(503, "Orthrus subsystem unavailable");
}

static void the_agents_own_proxy_is_asked_and_no_other(void **state)
{
    (void)state;
    static const struct engine_answer answers[] = {
        {PING, CLOSED}, {JSON_HEAD "Content-Length: 2\r\n\r\n[]", CLOSED}};
    struct engine other;
    struct fixture_agent decoy = fixture_agent("decoy");
    engine_start(&other, fixture.loop, "127.0.0.1", answers);
    (void)fixture_connect(decoy.uuid, other.port);
    serve(answers);

    assert_int_equal(fixture_call("GET", path, NULL), 200);

    assert_string_equal(fixture.text, "[]");
    assert_string_equal(fixture.content_type,
                        "application/json; charset=utf-8");
    assert_int_equal(other.count, 0);
    assert_int_equal(engine.count, 2);
    asked(0, "HEAD /_ping HTTP/1.1\r\n");
    asked(1, "GET /v1.41/containers/json HTTP/1.1\r\n");
    for (size_t i = 0; i < 2; ++i) {
        assert_non_null(
            strstr(engine.connections[i].request, "\r\nConnection: close\r\n"));
        assert_non_null(strstr(engine.connections[i].request, "\r\nHost: "));
    }
    engine_stop(&other);
}

static void an_agent_is_listed_without_a_remote_server(void **state)
{
    (void)state;
    static const struct engine_answer answers[] = {
        {PING, CLOSED}, {JSON_HEAD "Content-Length: 2\r\n\r\n[]", CLOSED}};
    struct fixture_agent agent = fixture_agent("a");
    (void)snprintf(path, sizeof(path), "/api/v1/orthrus/agents/%s/containers",
                   agent.uuid);

    fails(502, "Orthrus agent is not currently connected");
    engine_start(&engine, fixture.loop, "127.0.0.1", answers);
    (void)fixture_connect(agent.uuid, engine.port);
    assert_int_equal(fixture_call("GET", path, NULL), 200);
    assert_string_equal(fixture.text, "[]");
    asked(1, "GET /v1.41/containers/json HTTP/1.1\r\n");

    (void)snprintf(path, sizeof(path), "/api/v1/orthrus/agents/%s/containers",
                   UUID);
    fails(404, "orthrus: get agent " UUID ": record not found");
    fixture_without_tunnel();
    (void)snprintf(path, sizeof(path), "/api/v1/orthrus/agents/%s/containers",
                   agent.uuid);
    fails(503, "Orthrus subsystem unavailable");
}

static void this_hosts_engine_is_asked_by_its_socket(void **state)
{
    (void)state;
    static const struct engine_answer answers[] = {
        {PING, CLOSED},
        {JSON_HEAD "Content-Length: 2\r\n\r\n[]", CLOSED},
        {PING, CLOSED},
        {JSON_HEAD "Content-Length: 2\r\n\r\n[]", CLOSED}};
    char socket_path[128];
    char flag[160];
    (void)snprintf(socket_path, sizeof(socket_path), "%s/engine", fixture.dir);
    (void)snprintf(flag, sizeof(flag), "--docker-socket=%s", socket_path);
    fixture_configure((const char *const[]){flag, NULL});

    (void)snprintf(path, sizeof(path), LIST);
    fails(503, "Docker daemon unavailable");
    engine_start(&engine, fixture.loop, socket_path, answers);
    assert_int_equal(fixture_call("GET", LIST, NULL), 200);
    assert_int_equal(fixture_call("GET", LIST "?host=local", NULL), 200);
    assert_int_equal(engine.count, 4);
}

static void direct_servers_are_found_by_address_and_by_name(void **state)
{
    (void)state;
    static const char *const hosts[] = {"127.0.0.1", "::1", "localhost"};
    static const char *const listens[] = {"127.0.0.1", "::1", "127.0.0.1"};
    static const struct engine_answer answers[] = {
        {PING, CLOSED}, {JSON_HEAD "Content-Length: 2\r\n\r\n[]", CLOSED}};
    for (size_t i = 0; i < 3; ++i) {
        engine_start(&engine, fixture.loop, listens[i], answers);
        make_direct_server(hosts[i], engine.port);
        assert_int_equal(fixture_call("GET", path, NULL), 200);
        assert_int_equal(engine.count, 2);
        engine_stop(&engine);
    }
    make_direct_server("nowhere.invalid", 1);
    fails(503, "Docker daemon unavailable");
}

/* ---- negotiation --------------------------------------------------------- */

static void versions_are_negotiated_by_ping(void **state)
{
    (void)state;
#define EMPTY                                           \
    {                                                   \
        JSON_HEAD "Content-Length: 2\r\n\r\n[]", CLOSED \
    }
#define HEAD_OF(version) \
    "HTTP/1.1 200 OK\r\n" version "Content-Length: 2\r\n\r\n"
    static const struct {
        struct engine_answer answers[3];
        const char *asked;
    } cases[] = {
        {{{HEAD_OF("Api-Version: 1.52\r\n"), CLOSED}, EMPTY}, "/v1.52/"},
        {{{HEAD_OF(""), CLOSED}, EMPTY}, "/v1.24/"},
        {{{HEAD_OF("Api-Version: \r\n"), CLOSED}, EMPTY}, "/v1.24/"},
        {{{HEAD_OF("Api-Version: 1\r\n"), CLOSED}, EMPTY}, "/v1.24/"},
        {{{HEAD_OF("Api-Version: .1\r\n"), CLOSED}, EMPTY}, "/v1.24/"},
        {{{HEAD_OF("Api-Version: 1.\r\n"), CLOSED}, EMPTY}, "/v1.24/"},
        {{{HEAD_OF("Api-Version: 1.4.1\r\n"), CLOSED}, EMPTY}, "/v1.24/"},
        {{{HEAD_OF("Api-Version: 1.41/../x\r\n"), CLOSED}, EMPTY}, "/v1.24/"},
        {{{HEAD_OF("Api-Version: 1.41414141\r\n"), CLOSED}, EMPTY}, "/v1.24/"},
    };
    static const struct engine_answer fallback[] = {
        {"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n"
         "Connection: close\r\n\r\n",
         CLOSED},
        {"HTTP/1.1 200 OK\r\nApi-Version: 1.44\r\nContent-Length: 2\r\n\r\nOK",
         CLOSED},
        EMPTY};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        serve(cases[i].answers);
        assert_int_equal(fixture_call("GET", path, NULL), 200);
        if (strstr(engine.connections[1].request, cases[i].asked) == NULL) {
            fail_msg("%zu: %s", i, engine.connections[1].request);
        }
        engine_stop(&engine);
    }
    serve(fallback);
    assert_int_equal(fixture_call("GET", path, NULL), 200);
    asked(1, "GET /_ping ");
    asked(2, "GET /v1.44/");
}

/* ---- the list ------------------------------------------------------------ */

static void a_container_is_told_in_the_words_of_the_field(void **state)
{
    (void)state;
    static const char list[] =
        "[{\"Id\":\"0123456789abcdef0123\",\"Names\":[\"/web\",\"/x/web\","
        "\"bare\"],\"Image\":\"busybox:1\",\"State\":\"running\","
        "\"Status\":\"Up 2 hours\",\"Ports\":[{\"IP\":\"0.0.0.0\","
        "\"PrivatePort\":80,\"PublicPort\":8080,\"Type\":\"tcp\"},"
        "{\"PrivatePort\":53,\"Type\":\"udp\"}],\"NetworkSettings\":"
        "{\"Networks\":{\"web\":{\"IPAddress\":\"10.0.0.9\"},\"back\":"
        "{\"IPAddress\":\"10.0.1.9\"},\"zoo\":{\"IPAddress\":\"10.0.2.9\"}}}},"
        "{\"Id\":\"short\",\"Names\":null,\"Ports\":null,"
        "\"NetworkSettings\":{\"Networks\":{}}},{},7]";
    char bytes[1200];
    const struct engine_answer answers[] = {{PING, CLOSED}, {bytes, CLOSED}};
    (void)snprintf(bytes, sizeof(bytes),
                   JSON_HEAD "Content-Length: %zu\r\n\r\n%s", strlen(list),
                   list);
    serve(answers);

    assert_int_equal(fixture_call("GET", path, NULL), 200);

    assert_string_equal(
        fixture.text,
        "[{\"id\":\"0123456789ab\",\"names\":[\"web\",\"x/web\",\"bare\"],"
        "\"image\":\"busybox:1\",\"state\":\"running\",\"status\":"
        "\"Up 2 hours\",\"network\":\"back\",\"ip\":\"10.0.1.9\",\"ports\":"
        "[{\"private_port\":80,\"public_port\":8080,\"type\":\"tcp\"},"
        "{\"private_port\":53,\"public_port\":0,\"type\":\"udp\"}]},"
        "{\"id\":\"short\",\"names\":[],\"image\":\"\",\"state\":\"\","
        "\"status\":\"\",\"network\":\"\",\"ip\":\"\",\"ports\":[]},"
        "{\"id\":\"\",\"names\":[],\"image\":\"\",\"state\":\"\","
        "\"status\":\"\",\"network\":\"\",\"ip\":\"\",\"ports\":[]}]");
}

static void an_id_is_not_cut_within_a_character(void **state)
{
    (void)state;
    const struct engine_answer answers[] = {
        {PING, CLOSED},
        {JSON_HEAD "\r\n[{\"Id\":\"01234567890\u00e9\"},"
                   "{\"Id\":\"0123456789\u00e9\"},"
                   "{\"Id\":\"0123456789\U0001f433\"}]",
         CLOSED}};
    static const char *const ids[] = {"01234567890", "0123456789\u00e9",
                                      "0123456789"};
    serve(answers);

    assert_int_equal(fixture_call("GET", path, NULL), 200);

    assert_int_equal(json_array_size(fixture.json), 3);
    for (size_t i = 0; i < 3; ++i) {
        assert_string_equal(json_string_value(json_object_get(
                                json_array_get(fixture.json, i), "id")),
                            ids[i]);
    }
}

static void every_framing_is_understood_in_any_pieces(void **state)
{
    (void)state;
    static const char *const lists[] = {
        JSON_HEAD "Content-Length: 5\r\n\r\n[{} ]",
        JSON_HEAD "Transfer-Encoding: chunked\r\n\r\n"
                  "2\r\n[{\r\n3\r\n} ]\r\n0\r\n\r\n",
        JSON_HEAD "Connection: close\r\n\r\n[{} ]",
        "HTTP/1.1 100 Continue\r\n\r\n" JSON_HEAD
        "Content-Length: 5\r\n\r\n[{} ]"};
    static const size_t pieces[] = {0, 1, 7};
    for (size_t i = 0; i < 4; ++i) {
        for (size_t j = 0; j < 3; ++j) {
            const struct engine_answer answers[] = {{PING, CLOSED},
                                                    {lists[i], CLOSED}};
            serve(answers);
            engine.piece = pieces[j];
            assert_int_equal(fixture_call("GET", path, NULL), 200);
            assert_int_equal(json_array_size(fixture.json), 1);
            engine_stop(&engine);
        }
    }
}

static void an_answer_that_is_complete_needs_no_close(void **state)
{
    (void)state;
    static const struct engine_answer answers[] = {
        {PING, ENGINE_HANGS},
        {JSON_HEAD "Content-Length: 2\r\n\r\n[]", ENGINE_HANGS}};
    serve(answers);
    assert_int_equal(fixture_call("GET", path, NULL), 200);
}

/* ---- what goes wrong ----------------------------------------------------- */

static void an_engine_that_cannot_be_reached_is_503(void **state)
{
    (void)state;
    static const struct engine_answer silent[] = {{"", CLOSED}};
    static const struct engine_answer reset[] = {{"", ENGINE_RESETS}};
    static const struct engine_answer later[] = {{PING, CLOSED}, {"", CLOSED}};
    static const struct engine_answer *const cases[] = {silent, reset, later};
    for (size_t i = 0; i < 3; ++i) {
        serve(cases[i]);
        fails(503, "Docker daemon unavailable");
        assert_string_equal(
            fixture_text("details"),
            "Cannot connect to Docker. Please ensure Docker is running and the "
            "socket is accessible (e.g., /var/run/docker.sock is mounted).");
        engine_stop(&engine);
    }
    fails(503, "Docker daemon unavailable"); /* nobody listens any more */
}

static void an_agent_without_an_engine_is_503(void **state)
{
    (void)state;
#define NO_ENGINE \
    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
    static const struct engine_answer answers[] = {
        {NO_ENGINE, CLOSED}, {NO_ENGINE, CLOSED}, {NO_ENGINE, CLOSED}};
    serve(answers);
    fails(503, "Docker daemon unavailable");
}

static void an_answer_that_is_no_list_is_500(void **state)
{
    (void)state;
    static const char *const lists[] = {
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\n[]",
        JSON_HEAD "Content-Length: 3\r\n\r\n[]",
        JSON_HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n",
        JSON_HEAD "Transfer-Encoding: chunked\r\n\r\nzz\r\n[]",
        JSON_HEAD "Content-Length: 2\r\n\r\n{}",
        JSON_HEAD "Content-Length: 1\r\n\r\n[",
        JSON_HEAD "Content-Length: 2\r\nContent-Length: 3\r\n\r\n[]",
        JSON_HEAD "Content-Length: 99999999999\r\n\r\n[]",
        "HTTP/1.1 200 O",
        "SSH-2.0-OpenSSH_9.2\r\n\r\n"};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); ++i) {
        const struct engine_answer answers[] = {{PING, CLOSED},
                                                {lists[i], CLOSED}};
        serve(answers);
        fails(500, "Failed to list containers");
        engine_stop(&engine);
    }
}

static void an_answer_above_the_limits_is_500(void **state)
{
    (void)state;
    char *bytes = malloc(40000);
    const struct engine_answer answers[] = {{PING, CLOSED}, {bytes, CLOSED}};
    const struct engine_answer fits[] = {{PING, CLOSED}, {bytes, CLOSED}};
    fixture_configure((const char *const[]){"--docker-answer-max=1KiB", NULL});
    int head = snprintf(bytes, 40000, JSON_HEAD "Connection: close\r\n\r\n[");

    memset(bytes + head, ' ', 1022);
    memcpy(bytes + head + 1022, "]", 2);
    serve(fits);
    assert_int_equal(fixture_call("GET", path, NULL), 200);
    engine_stop(&engine);

    memcpy(bytes + head + 1022, " ]", 3);
    serve(answers);
    fails(500, "Failed to list containers");
    engine_stop(&engine);

    head = snprintf(bytes, 40000, JSON_HEAD "Content-Length: 1025\r\n\r\n");
    memset(bytes + head, ' ', 100);
    bytes[head + 100] = '\0';
    serve(answers);
    fails(500, "Failed to list containers");
    engine_stop(&engine);

    head = snprintf(bytes, 40000, JSON_HEAD "X: ");
    memset(bytes + head, 'x', 17000);
    memcpy(bytes + head + 17000, "\r\n\r\n[]", 7);
    serve(answers);
    fails(500, "Failed to list containers");
    free(bytes);
}

static void a_ping_without_sense_does_not_stop_the_list(void **state)
{
    (void)state;
    static const struct engine_answer answers[] = {
        {"garbage\r\n\r\n", CLOSED},
        {"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", CLOSED},
        {JSON_HEAD "Content-Length: 2\r\n\r\n[]", CLOSED}};
    serve(answers);
    assert_int_equal(fixture_call("GET", path, NULL), 200);
    asked(2, "GET /v1.24/");
}

static void a_hung_agent_is_504_at_every_step(void **state)
{
    (void)state;
    static const struct engine_answer mute[] = {{"", ENGINE_HANGS}};
    static const struct engine_answer half_head[] = {
        {PING, CLOSED}, {"HTTP/1.1 200 OK\r\n", ENGINE_HANGS}};
    static const struct engine_answer half_body[] = {
        {PING, CLOSED}, {JSON_HEAD "Content-Length: 2\r\n\r\n[", ENGINE_HANGS}};
    static const struct engine_answer *const cases[] = {mute, half_head,
                                                        half_body};
    fixture_configure((const char *const[]){"--docker-timeout=1s", NULL});
    for (size_t i = 0; i < 3; ++i) {
        serve(cases[i]);
        fails(504, "Docker did not answer within 1000 ms");
        while (engine.closed_by_client == 0) { /* nothing is left behind */
            loop_run_once(fixture.loop, -1);
        }
        engine_stop(&engine);
    }
}

/* ---- many and none ------------------------------------------------------- */

static void a_client_that_goes_takes_its_list_along(void **state)
{
    (void)state;
    static const struct engine_answer answers[] = {{"", ENGINE_HANGS}};
    serve(answers);

    fixture_cancel(fixture_begin("GET", path)); /* before the first byte */
    struct api_call *call = fixture_begin("GET", path);
    while (engine.count == 0 || engine.connections[0].length == 0) {
        loop_run_once(fixture.loop, -1);
    }
    fixture_cancel(call);
    while (engine.closed_by_client == 0) {
        loop_run_once(fixture.loop, -1);
    }
    make_direct_server("localhost", engine.port);
    fixture_cancel(fixture_begin("GET", path)); /* during the look-up */
    assert_int_equal(engine.count, 1);
}

static void lists_under_way_are_limited(void **state)
{
    (void)state;
    static const struct engine_answer answers[] = {{"", CLOSED}};
    fixture_configure((const char *const[]){"--docker-requests-max=2", NULL});
    serve(answers);
    struct api_call *first = fixture_begin("GET", path);
    struct api_call *second = fixture_begin("GET", path);

    assert_int_equal(fixture_call("GET", path, NULL), 503);
    assert_non_null(strstr(fixture_error(), "2 container lists"));

    fixture_cancel(first);
    fixture_cancel(second);
    fixture_cancel(fixture_begin("GET", path)); /* there is room again */
    assert_int_equal(fixture_call("GET", path, NULL), 503);
    assert_string_equal(fixture_error(), "Docker daemon unavailable");
}

#define TEST(id, test) REQ_WITH(id, test, start, stop)

static const struct CMUnitTest tests[] = {
    TEST("H-01,AC-09,AC-10,AC-11", checks_come_in_the_order_of_the_field),
    TEST("AC-12,H-01", the_agents_own_proxy_is_asked_and_no_other),
    TEST("U-03,AC-11,AC-12", an_agent_is_listed_without_a_remote_server),
    TEST("H-01", this_hosts_engine_is_asked_by_its_socket),
    TEST("H-01,H-05", direct_servers_are_found_by_address_and_by_name),
    TEST("H-01,T7", versions_are_negotiated_by_ping),
    TEST("H-01", a_container_is_told_in_the_words_of_the_field),
    TEST("H-01,X-33", an_id_is_not_cut_within_a_character),
    TEST("H-01,T1", every_framing_is_understood_in_any_pieces),
    TEST("H-01", an_answer_that_is_complete_needs_no_close),
    TEST("H-01", an_engine_that_cannot_be_reached_is_503),
    TEST("H-01", an_agent_without_an_engine_is_503),
    TEST("H-01", an_answer_that_is_no_list_is_500),
    TEST("H-01,L-02", an_answer_above_the_limits_is_500),
    TEST("H-01,T7", a_ping_without_sense_does_not_stop_the_list),
    TEST("H-01,T33", a_hung_agent_is_504_at_every_step),
    TEST("H-01", a_client_that_goes_takes_its_list_along),
    TEST("H-01,L-02", lists_under_way_are_limited),
};
RUN(tests)
