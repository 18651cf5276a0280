#include "server/test/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/log.h"
#include "net/loop.h"
#include "server/test/temp.h"
#include "server/web.h"

struct fixture fixture;

/* ---- the tunnel ---------------------------------------------------------- */

static struct tunnel_view *find(const struct tunnel *tunnel,
                                const uint8_t uuid[AGENT_UUID_SIZE])
{
    for (size_t i = 0; i < tunnel->count; ++i) {
        if (memcmp(tunnel->sessions[i].uuid, uuid, AGENT_UUID_SIZE) == 0) {
            return (struct tunnel_view *)(uintptr_t)&tunnel->sessions[i];
        }
    }
    return NULL;
}

bool tunnel_find(const struct tunnel *tunnel,
                 const uint8_t uuid[AGENT_UUID_SIZE], struct tunnel_view *view)
{
    const struct tunnel_view *found = find(tunnel, uuid);
    if (found != NULL) {
        *view = *found;
    }
    return found != NULL;
}

bool tunnel_next(const struct tunnel *tunnel, const void **cursor,
                 struct tunnel_view *view)
{
    const struct tunnel_view *next = tunnel->sessions;
    if (*cursor != NULL) {
        next = (const struct tunnel_view *)*cursor + 1;
    }
    if (next == tunnel->sessions + tunnel->count) {
        return false;
    }
    *cursor = next;
    *view = *next;
    return true;
}

bool tunnel_disconnect(struct tunnel *tunnel,
                       const uint8_t uuid[AGENT_UUID_SIZE], enum status status)
{
    struct tunnel_view *found = find(tunnel, uuid);
    ++tunnel->disconnects;
    tunnel->disconnect_status = status;
    if (found != NULL) {
        *found = tunnel->sessions[--tunnel->count];
    }
    return found != NULL;
}

void tunnel_totals(const struct tunnel *tunnel, struct tunnel_totals *totals)
{
    *totals = tunnel->totals;
    totals->sessions = (uint32_t)tunnel->count;
}

bool tunnel_draining(const struct tunnel *tunnel)
{
    return tunnel->draining;
}

struct web_counters web_counters(const struct web *web)
{
    (void)web;
    return (struct web_counters){.requests = 4711, .preauth_evicted = 3};
}

struct tunnel_view *fixture_connect(const char *uuid, unsigned port)
{
    struct uuid parsed;
    assert_true(uuid_parse(&parsed, uuid));
    assert_true(fixture.tunnel.count < FIXTURE_SESSIONS);
    struct tunnel_view *view = &fixture.tunnel.sessions[fixture.tunnel.count++];
    *view = (struct tunnel_view){.state = AGENT_SERVING,
                                 .since_ms = 1700000000123,
                                 .rtt_ms = UINT64_MAX};
    memcpy(view->uuid, parsed.bytes, AGENT_UUID_SIZE);
    if (port != 0) {
        (void)snprintf(view->address, sizeof(view->address), "127.0.0.1:%u",
                       port);
    }
    return view;
}

/* ---- the API ------------------------------------------------------------- */

static void defaults(void)
{
    fixture.request = (struct api_request){.authorization = fixture.bearer,
                                           .host = "127.0.0.1:8080",
                                           .remote = "192.0.2.7:4711"};
}

static void forget_reply(void)
{
    json_decref(fixture.json);
    free(fixture.text);
    fixture.json = NULL;
    fixture.text = NULL;
}

static void make_api(struct tunnel *tunnel)
{
    api_free(fixture.api);
    fixture.api = api_new(&(struct api_parts){.config = &fixture.config,
                                              .store = fixture.store,
                                              .auth = &fixture.auth,
                                              .tunnel = tunnel,
                                              .loop = fixture.loop});
    assert_non_null(fixture.api);
}

void fixture_configure(const char *const *flags)
{
    char *argv[16] = {NULL};
    char *environment[] = {NULL};
    enum config_action action;
    char error[CONFIG_ERROR_SIZE];
    int argc = 1;
    for (; flags[argc - 1] != NULL; ++argc) {
        argv[argc] = strdup(flags[argc - 1]);
    }
    config_free(&fixture.config);
    if (!config_read(&fixture.config, &action, argc, argv, environment,
                     error)) {
        fail_msg("%s", error);
    }
    for (int i = 1; i < argc; ++i) {
        free(argv[i]);
    }
    make_api(&fixture.tunnel);
}

void fixture_without_tunnel(void)
{
    make_api(NULL);
}

static void read_token(void)
{
    char path[128];
    char token[65] = "";
    (void)snprintf(path, sizeof(path), "%s/admin.token", temp_dir);
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    assert_non_null(fgets(token, sizeof(token), in));
    (void)fclose(in);
    (void)snprintf(fixture.bearer, sizeof(fixture.bearer), "Bearer %s", token);
}

int fixture_start(void **state)
{
    static const char *const no_flags[] = {NULL};
    char error[STORE_ERROR_SIZE];
    struct log_config log;
    log_config_default(&log);
    log.level = LOG_ERROR; /* what is done goes to the log, not into TAP */
    log_open(&log);
    memset(&fixture, 0, sizeof(fixture));
    if (temp_make(state) != 0) {
        return -1;
    }
    fixture.dir = temp_dir;
    fixture.loop = loop_create();
    fixture.store = store_open(temp_dir, error);
    if (fixture.loop == NULL || fixture.store == NULL ||
        !auth_open(&fixture.auth, fixture.store, temp_dir, error)) {
        return -1;
    }
    read_token();
    fixture_configure(no_flags);
    defaults();
    return 0;
}

int fixture_stop(void **state)
{
    forget_reply();
    api_free(fixture.api);
    store_close(fixture.store);
    loop_destroy(fixture.loop);
    config_free(&fixture.config);
    return temp_drop(state);
}

/* ---- calls --------------------------------------------------------------- */

static void on_done(struct api_call *call)
{
    *(bool *)call->user = true;
}

static void take_reply(struct api_reply *reply)
{
    forget_reply();
    fixture.status = reply->status;
    fixture.content_type = reply->content_type;
    fixture.allow = reply->allow;
    fixture.challenge = reply->challenge;
    if (reply->body != NULL) {
        fixture.text = calloc(1, reply->body_length + 1);
        memcpy(fixture.text, reply->body, reply->body_length);
        fixture.json = json_loadb(reply->body, reply->body_length, 0, NULL);
    }
    api_reply_free(reply);
    defaults();
}

static bool done;

struct api_call *fixture_begin(const char *method, const char *path)
{
    char *copy = strdup(path);
    char *query = strchr(copy, '?');
    struct api_call *call = calloc(1, sizeof(*call));
    if (query != NULL) {
        *query++ = '\0';
    }
    fixture.request.method = method;
    fixture.request.path = copy;
    fixture.request.query = query;
    fixture.request.body_length = fixture.request.body.length;
    call->done = on_done;
    call->user = &done;
    done = api_begin(fixture.api, call, &fixture.request);
    free(copy);
    return call;
}

int fixture_await(struct api_call *call)
{
    while (!done) {
        loop_run_once(fixture.loop, -1);
    }
    take_reply(&call->reply);
    free(call);
    return fixture.status;
}

void fixture_cancel(struct api_call *call)
{
    api_cancel(call);
    api_reply_free(&call->reply);
    free(call);
    defaults();
}

int fixture_call(const char *method, const char *path, const char *body)
{
    if (body != NULL) {
        fixture.request.body =
            (struct span){(const uint8_t *)body, strlen(body)};
    }
    return fixture_await(fixture_begin(method, path));
}

const char *fixture_text(const char *field)
{
    return json_string_value(json_object_get(fixture.json, field));
}

const char *fixture_error(void)
{
    const char *error = fixture_text("error");
    return error != NULL ? error : "";
}

struct fixture_agent fixture_agent(const char *name)
{
    struct fixture_agent agent;
    char body[256];
    (void)snprintf(body, sizeof(body), "{\"name\":\"%s\"}", name);
    assert_int_equal(fixture_call("POST", "/api/v1/orthrus/agents", body), 201);
    (void)snprintf(agent.uuid, sizeof(agent.uuid), "%s",
                   json_string_value(json_object_get(
                       json_object_get(fixture.json, "agent"), "uuid")));
    (void)snprintf(agent.key, sizeof(agent.key), "%s",
                   fixture_text("auth_key"));
    return agent;
}
