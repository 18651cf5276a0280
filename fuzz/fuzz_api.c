/* orthrusd's API, asked to make and change agents and remote servers.
 *
 * First byte: 1 without X-Charon-URL, 2 not on the admin socket. Behind the
 * head requests, each up to 0x00: a letter that chooses the route, from 'a' on
 * in api.c's order; a capital: the id is what follows, up to a line end, else
 * what was made last. The rest is the body, the query, and each header.
 *
 * What is taken is what the body says, in its range, and what is told
 * afterwards; what is refused is refused in one line and changes nothing. */
#include <ctype.h>
#include <jansson.h>
#include <stdbool.h>
#include <string.h>

#include "fuzz/folder.h"
#include "fuzz/harness.h"
#include "fuzz/orthrusd.h"
#include "net/loop.h"
#include "server/auth.h"
#include "server/exchange.h"
#include "server/snippet.h"

#define REQUESTS_MAX 16
#define PATH_SIZE 512u

static struct config config;
static struct store *store;
static struct auth auth; /* of no token at all */
static struct loop *loop;
static struct api *api;
static size_t snippet_lines[SNIPPET_KINDS];
static char made[2][UUID_TEXT_SIZE]; /* latest agent, latest server */

/* ---- orthrusd ------------------------------------------------------------ */

static size_t lines(const char *text)
{
    size_t count = 0;

    for (; *text; text++) {
        count += *text == '\n';
    }
    return count;
}

/* Once a process. */
static void start(void)
{
    char error[STORE_ERROR_SIZE];
    char folder[FOLDER_SIZE];

    orthrusd_settings(&config);
    folder_make(folder);
    store = store_open(folder, error);
    loop = loop_create();
    api = api_new(&(struct api_parts){
        .config = &config, .store = store, .auth = &auth, .loop = loop});
    MUST(store && loop && api);
    for (enum snippet_kind kind = 0; kind < SNIPPET_KINDS; kind++) {
        char *text = snippet_make(kind, "a", "ws://a");
        snippet_lines[kind] = lines(text);
        free(text);
    }
}

static void forget_all(void)
{
    struct store_agent *agents = NULL;
    struct store_server *servers = NULL;
    size_t count = 0;

    MUST(store_servers(store, &servers, &count) == STORE_OK);
    for (size_t i = 0; i < count; i++) {
        MUST(store_server_remove(store, &servers[i].uuid) == STORE_OK);
    }
    free(servers);
    MUST(store_agents(store, &agents, &count) == STORE_OK);
    for (size_t i = 0; i < count; i++) {
        MUST(store_agent_remove(store, &agents[i].uuid) == STORE_OK);
    }
    free(agents);
    memset(made, 0, sizeof made);
}

/* ---- a request ----------------------------------------------------------- */

struct told {
    int status;
    json_t *json; /* NULL: none */
};

static void on_done(struct api_call *call)
{
    *(bool *)call->user = true;
}

static struct told ask(const struct api_request *request)
{
    bool done = false;
    struct api_call call = {.done = on_done, .user = &done};
    int turns = 0;

    done = api_begin(api, &call, request);
    while (!done) {
        MUST(turns++ < 100);
        loop_run_once(loop, 0);
    }
    struct told told = {.status = call.reply.status};
    if (call.reply.content_type &&
        strncmp(call.reply.content_type, "application/json", 16) == 0) {
        told.json =
            json_loadb(call.reply.body, call.reply.body_length, 0, NULL);
        MUST(told.json);
    }
    api_reply_free(&call.reply);
    return told;
}

/* How it stands now; NULL: there is none. */
static json_t *look(bool server, const char *uuid)
{
    char path[PATH_SIZE];

    snprintf(path, sizeof path, "/api/v1/%s/%s",
             server ? "remote-servers" : "orthrus/agents", uuid);
    struct told told = ask(&(struct api_request){
        .method = "GET", .path = path, .from_admin_socket = true});
    MUST(told.status == 200 || told.status == 404);
    if (told.status == 404) {
        json_decref(told.json);
        told.json = NULL;
    }
    return told.json;
}

/* ---- what must hold ------------------------------------------------------ */

static void must_be_a_name(const char *name)
{
    size_t length = strlen(name);

    MUST(length > 0 && length <= 64 && name[strspn(name, " ")]);
    for (; *name; name++) {
        MUST(isalnum((unsigned char)*name) || strchr("._ -", *name));
    }
}

static json_int_t number_of(const json_t *object, const char *field)
{
    const json_t *number = json_object_get(object, field);

    MUST(json_is_integer(number));
    return json_integer_value(number);
}

static void must_be_an_agent(const json_t *agent)
{
    json_int_t port = number_of(agent, "external_proxy_port");

    must_be_a_name(orthrusd_text(agent, "name"));
    MUST(port == 0 || (port >= 1024 && port <= 65535));
    MUST(json_is_boolean(json_object_get(agent, "write_enabled")));
}

static void must_be_a_server(const json_t *server)
{
    json_int_t port = number_of(server, "port");
    const char *type = orthrusd_text(server, "connection_type");
    const char *host = orthrusd_text(server, "host");
    const char *agent = orthrusd_text(server, "orthrus_agent_uuid");

    must_be_a_name(orthrusd_text(server, "name"));
    MUST(port >= 0 && port <= 65535);
    MUST(strcmp(type, "orthrus") == 0 ||
         (strcmp(type, "direct") == 0 && *host && port > 0));
    for (; *host; host++) {
        MUST(isalnum((unsigned char)*host) || strchr(".-_:", *host));
    }
    if (*agent) {
        json_t *found = look(false, agent);
        MUST(found);
        json_decref(found);
    }
}

/* It has what the body says, and the body says nothing else. */
static void must_be_what_was_said(const json_t *object, struct span body)
{
    const char *field;
    json_t *value;
    json_t *said = json_loadb((const char *)body.bytes, body.length,
                              JSON_REJECT_DUPLICATES, NULL);

    MUST(json_is_object(said));
    json_object_foreach(said, field, value)
    {
        json_t *got = json_object_get(object, field);
        if (json_is_null(value)) {
            continue; /* as it was */
        }
        if (got == NULL) { /* left out because it is empty */
            MUST(strcmp(field, "hecate_tunnel_uuid") == 0 ||
                 strcmp(field, "device_id") == 0 ||
                 strcmp(field, "resolved_address") == 0);
            MUST(json_string_length(value) == 0 && json_is_string(value));
        } else if (strcmp(field, "orthrus_agent_uuid") == 0) {
            MUST(strcasecmp(json_string_value(got), json_string_value(value)) ==
                 0);
        } else {
            MUST(json_equal(got, value));
        }
    }
    json_decref(said);
}

static void must_be_an_error(const json_t *json)
{
    const char *error = orthrusd_text(json, "error");

    MUST(*error || *orthrusd_text(json, "reason"));
    orthrusd_must_be_line(error);
}

/* A name or a URL adds no line, ends no line. */
static void must_be_snippets(const json_t *json)
{
    for (enum snippet_kind kind = 0; kind < SNIPPET_KINDS; kind++) {
        const char *text = orthrusd_text(json, snippet_name(kind));
        MUST(lines(text) == snippet_lines[kind]);
        for (; *text; text++) {
            MUST((*text >= ' ' && *text <= '~') || *text == '\n');
        }
    }
}

/* ---- requests ------------------------------------------------------------ */

/* One was made, changed, or given another key. */
static void taken(const struct route_row *row, struct told told,
                  struct span body)
{
    bool server = strstr(row->path, "remote-servers") != NULL;
    bool wrapped = json_object_get(told.json, "auth_key") != NULL;
    json_t *object = wrapped ? json_object_get(told.json, "agent") : told.json;
    const char *uuid = orthrusd_text(object, "uuid");

    MUST(strlen(uuid) == UUID_TEXT_SIZE - 1);
    (server ? must_be_a_server : must_be_an_agent)(object);
    if (row->handle != agents_rotate) {
        must_be_what_was_said(object, body);
    }
    json_t *now = look(server, uuid);
    MUST(json_equal(now, object));
    json_decref(now);
    memcpy(made[server], uuid, UUID_TEXT_SIZE);
}

static void judge(const struct route_row *row,
                  const struct api_request *request, struct told told,
                  const json_t *before)
{
    bool changes =
        row->handle == agents_create || row->handle == agents_change ||
        row->handle == agents_rotate || row->handle == servers_create ||
        row->handle == servers_change;

    MUST(told.status != 500);
    if (told.status >= 400) {
        must_be_an_error(told.json);
    } else {
        MUST(request->from_admin_socket || row->access != ACCESS_MANAGEMENT);
    }
    if (told.status < 400 && changes) {
        taken(row, told, request->body);
    } else if (told.status < 400 && row->handle == agents_snippets) {
        must_be_snippets(told.json);
    } else if (before && told.status >= 400) {
        bool server = strstr(row->path, "remote-servers") != NULL;
        json_t *now = look(server, orthrusd_text(before, "uuid"));
        MUST(json_equal(now, before));
        json_decref(now);
    }
}

/* A decoded value is no longer than what it was. */
static void query(const struct api_request *request)
{
    struct exchange exchange = {.request = request};
    char *value = exchange_query(&exchange, "host");

    MUST(!value || strlen(value) <= strlen(request->query));
    free(value);
}

static void run(const struct route_row *row, const char *id,
                const struct input *input, uint8_t setup)
{
    bool server = strstr(row->path, "remote-servers") != NULL;
    char *text = input_string(input->bytes, input->length);
    char path[PATH_SIZE];
    const char *hole = strstr(row->path, "{uuid}");
    struct api_request request = {.method = row->method,
                                  .path = hole ? path : row->path,
                                  .query = text,
                                  .authorization = text,
                                  .host = setup & 2 ? "localhost" : text,
                                  .charon_url = setup & 1 ? NULL : text,
                                  .remote = "unix",
                                  .from_admin_socket = !(setup & 2),
                                  .body_length = input->length,
                                  .body = {(uint8_t *)text, input->length}};

    if (hole) {
        snprintf(path, sizeof path, "%.*s%s%s", (int)(hole - row->path),
                 row->path, id, hole + strlen("{uuid}"));
    }
    json_t *before = hole && *made[server] ? look(server, made[server]) : NULL;
    struct told told = ask(&request);
    judge(row, &request, told, before);
    query(&request);
    json_decref(told.json);
    json_decref(before);
    free(text);
}

static void request(struct input input, uint8_t setup)
{
    unsigned letter = input.bytes[0];
    char id[300];
    const struct route_row *row =
        api_route_at(((letter | 0x20u) - 'a') % api_route_count());

    if (strstr(row->path, "containers")) {
        return; /* asks an engine: fuzz_containers.c */
    }
    snprintf(id, sizeof id, "%s",
             made[strstr(row->path, "remote-servers") != NULL]);
    input_take(&input, 1);
    if (!(letter & 0x20u)) {
        const uint8_t *end =
            input.length ? memchr(input.bytes, '\n', input.length) : NULL;
        size_t length = end ? (size_t)(end - input.bytes) : input.length;
        snprintf(id, sizeof id, "%.*s", (int)length, (const char *)input.bytes);
        input_take(&input, length + (end != NULL));
    }
    run(row, id, &input, setup);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    if (length < INPUT_HEAD || length > 8192) {
        return 0;
    }
    if (!api) {
        start();
    }
    struct input input = {bytes + INPUT_HEAD, length - INPUT_HEAD, 0};
    for (int i = 0; i < REQUESTS_MAX && input.length > 0; i++) {
        const uint8_t *end = memchr(input.bytes, 0, input.length);
        size_t size = end ? (size_t)(end - input.bytes) : input.length;
        if (size > 0) {
            request((struct input){input.bytes, size, 0}, bytes[0]);
        }
        input_take(&input, size + (end != NULL));
    }
    forget_all();
    return 0;
}
