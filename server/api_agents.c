/* Agents: /api/v1/orthrus/agents (H-02, H-03, H-04; orthrus-observed a.9). */
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/log.h"
#include "net/loop.h"
#include "net/sys.h"
#include "server/auth.h"
#include "server/config.h"
#include "server/exchange.h"
#include "server/reply.h"
#include "server/snippet.h"

enum {
    PROXY_PORT_MIN = 1024,
    PROXY_PORT_MAX = 65535,
    SLICE = 200 /* agents of a list in one turn of the loop */
};

/* Is it connected? *view is zeroed if not. */
static bool is_online(const struct api_parts *parts, const struct uuid *uuid,
                      struct tunnel_view *view)
{
    const struct tunnel *tunnel = parts->tunnel;
    memset(view, 0, sizeof(*view));
    return tunnel != NULL && tunnel_find(tunnel, uuid->bytes, view);
}

/* What is empty is left out (a.9, the fields marked "?"). */
static void set_text(json_t *object, const char *field, const char *text)
{
    if (text[0] != '\0') {
        (void)json_object_set_new(object, field, json_string(text));
    }
}

static void set_time(json_t *object, const char *field, int64_t time)
{
    char text[EXCHANGE_TIME_SIZE];
    if (time != 0) {
        exchange_time(time, text);
        (void)json_object_set_new(object, field, json_string(text));
    }
}

static json_t *agent_json(const struct api_parts *parts,
                          const struct store_agent *agent)
{
    struct tunnel_view view;
    char uuid[UUID_TEXT_SIZE];
    const char *status = agent->last_seen != 0 ? "offline" : "pending";
    bool online = is_online(parts, &agent->uuid, &view);
    uuid_text(&agent->uuid, uuid);
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:s}", "uuid", uuid, "name", agent->name,
                  "status", online ? "online" : status, "capabilities", "");
    set_text(object, "hecate_tunnel_uuid", agent->hecate_tunnel_uuid);
    set_text(object, "device_id", agent->device_id);
    set_text(object, "resolved_address", agent->resolved_address);
    (void)json_object_set_new(object, "external_proxy_port",
                              json_integer(agent->external_proxy_port));
    (void)json_object_set_new(object, "write_enabled",
                              json_boolean(agent->write_enabled));
    set_time(object, "last_seen", agent->last_seen);
    set_time(object, "created_at", agent->created_at);
    set_time(object, "updated_at", agent->updated_at);
    (void)json_object_set_new(object, "proxy_address",
                              json_string(view.address));
    (void)json_object_set_new(object, "revoked", json_boolean(agent->revoked));
    return object;
}

/* Answers 500, or 404 with this text, unless the store said yes. */
static bool succeeded(struct exchange *exchange, enum store_result result,
                      const char *what, const char *unknown)
{
    switch (result) {
    case STORE_OK:
        return true;
    case STORE_NOT_FOUND:
        reply_error(exchange->reply, 404, "%s", unknown);
        return false;
    case STORE_FAILED:
        break;
    }
    exchange_store_failed(exchange, what);
    return false;
}

#define UNKNOWN_AGENT "agent not found"

static bool find_agent(struct exchange *exchange, const char *unknown,
                       struct store_agent *agent)
{
    struct uuid uuid;
    enum store_result result = STORE_NOT_FOUND;
    if (uuid_parse(&uuid, exchange->id)) {
        result = store_agent_get(exchange->parts->store, &uuid, agent);
    }
    return succeeded(exchange, result, "get agent", unknown);
}

/* The text that tools in the field know from the calls that look one up. */
static const char *record_not_found(const struct exchange *exchange,
                                    char text[320])
{
    (void)snprintf(text, 320, "orthrus: get agent %.255s: record not found",
                   exchange->id);
    return text;
}

static void log_change(const struct exchange *exchange, const char *event,
                       const struct store_agent *agent)
{
    char uuid[UUID_TEXT_SIZE];
    uuid_text(&agent->uuid, uuid);
    log_line(LOG_INFO, event, log_string("agent", uuid),
             log_string("name", agent->name),
             log_string("remote", exchange->request->remote));
}

static void disconnect(const struct exchange *exchange, const struct uuid *uuid)
{
    if (exchange->parts->tunnel != NULL) {
        (void)tunnel_disconnect(exchange->parts->tunnel, uuid->bytes,
                                STATUS_REVOKED);
    }
}

/* ---- list, create, get --------------------------------------------------- */

/* Ten thousand agents are megabytes of JSON: it is written a slice a turn of
 * the loop, so that pings are answered in between (Y-05). */
struct agent_list {
    struct api_pending base; /* first: it is what the call points to */
    struct loop_task task;
    struct store_agent *agents;
    size_t count;
    size_t next;
    FILE *out; /* to text */
    char *text;
    size_t length;
};

static void release_list(struct agent_list *list)
{
    loop_cancel(list->base.api->parts.loop, &list->task);
    if (list->out != NULL) {
        (void)sys_fclose(list->out);
    }
    free(list->text);
    free(list->agents);
    free(list);
}

static void cancel_list(struct api_pending *pending)
{
    release_list((struct agent_list *)pending);
}

static void write_slice(struct agent_list *list)
{
    size_t end = list->next + SLICE;
    for (; list->next < list->count && list->next < end; ++list->next) {
        json_t *agent =
            agent_json(&list->base.api->parts, &list->agents[list->next]);
        (void)fputc(list->next == 0 ? '[' : ',', list->out);
        (void)json_dumpf(agent, list->out, JSON_COMPACT);
        json_decref(agent);
    }
}

static void on_slice(void *user)
{
    struct agent_list *list = user;
    write_slice(list);
    if (list->next < list->count) {
        loop_defer(list->base.api->parts.loop, &list->task);
        return;
    }
    (void)fputs(list->count == 0 ? "[]" : "]", list->out);
    bool written = sys_fclose(list->out) == 0;
    list->out = NULL;
    reply_text(&list->base.call->reply, 200, REPLY_JSON_TYPE,
               written ? list->text : NULL, list->length);
    if (written) {
        list->text = NULL; /* the reply's now */
    }
    exchange_complete(&list->base);
    release_list(list);
}

void agents_list(struct exchange *exchange)
{
    struct agent_list *list = calloc(1, sizeof(*list));
    if (list == NULL) {
        reply_error(exchange->reply, 500, "out of memory");
        return;
    }
    list->base.api = exchange->api;
    list->task = (struct loop_task){.run = on_slice, .user = list};
    list->out = open_memstream(&list->text, &list->length);
    if (list->out == NULL) {
        reply_error(exchange->reply, 500, "out of memory");
        release_list(list);
    } else if (store_agents(exchange->parts->store, &list->agents,
                            &list->count) != STORE_OK) {
        exchange_store_failed(exchange, "list agents");
        release_list(list);
    } else {
        loop_defer(exchange->parts->loop, &list->task);
        exchange_defer(exchange, &list->base, cancel_list);
    }
}

/* {"agent": ..., "auth_key": ...}: the only time that a key is shown. */
static json_t *agent_with_key(const struct exchange *exchange,
                              const struct store_agent *agent, const char *key)
{
    return json_pack("{s:o, s:s}", "agent", agent_json(exchange->parts, agent),
                     "auth_key", key);
}

void agents_create(struct exchange *exchange)
{
    static const char *const fields[] = {"name", NULL};
    struct store_agent agent = {.uuid = uuid_make()};
    char key[AUTH_KEY_SIZE];
    uint8_t digest[STORE_DIGEST_SIZE];
    const char *name = "";
    json_t *body = exchange_body(exchange, fields);
    if (body == NULL) {
        return;
    }
    if (exchange_string(exchange, body, "name", STORE_NAME_SIZE - 1, &name) &&
        exchange_name(exchange, "orthrus: agent", name)) {
        (void)snprintf(agent.name, sizeof(agent.name), "%s", name);
        agent.created_at = exchange_now();
        agent.updated_at = agent.created_at;
        if (!auth_make_key(key, digest)) {
            reply_error(exchange->reply, 500, "out of memory");
        } else if (store_agent_add(exchange->parts->store, &agent, digest) ==
                   STORE_OK) {
            log_change(exchange, "agent_created", &agent);
            reply_json(exchange->reply, 201,
                       agent_with_key(exchange, &agent, key));
        } else {
            exchange_store_failed(exchange, "create agent");
        }
        OPENSSL_cleanse(key, sizeof(key));
    }
    json_decref(body);
}

void agents_get(struct exchange *exchange)
{
    struct store_agent agent;
    char unknown[320];
    if (find_agent(exchange, record_not_found(exchange, unknown), &agent)) {
        reply_json(exchange->reply, 200, agent_json(exchange->parts, &agent));
    }
}

void agents_containers(struct exchange *exchange)
{
    struct store_agent agent;
    char unknown[320];
    if (find_agent(exchange, record_not_found(exchange, unknown), &agent)) {
        containers_of_agent(exchange, &agent.uuid);
    }
}

/* ---- change -------------------------------------------------------------- */

static bool change_text(struct exchange *exchange, const json_t *body,
                        const char *field, char *text)
{
    const char *value = text;
    if (!exchange_string(exchange, body, field, STORE_FIELD_SIZE - 1, &value)) {
        return false;
    }
    if (value != text) {
        (void)snprintf(text, STORE_FIELD_SIZE, "%s", value);
    }
    return true;
}

static bool change_name(struct exchange *exchange, const json_t *body,
                        struct store_agent *agent)
{
    const char *name = NULL;
    if (!exchange_string(exchange, body, "name", STORE_FIELD_SIZE, &name)) {
        return false;
    }
    if (name == NULL) {
        return true;
    }
    if (!exchange_name(exchange, "orthrus: agent", name)) {
        return false;
    }
    (void)snprintf(agent->name, sizeof(agent->name), "%s", name);
    return true;
}

static bool change_port(struct exchange *exchange, const json_t *body,
                        struct store_agent *agent)
{
    int64_t port = agent->external_proxy_port;
    if (!exchange_integer(exchange, body, "external_proxy_port", &port)) {
        return false;
    }
    if (port != 0 && (port < PROXY_PORT_MIN || port > PROXY_PORT_MAX)) {
        reply_error(exchange->reply, 400,
                    "orthrus: external_proxy_port must be 0 (disabled) or in "
                    "range [%d, %d], got %lld",
                    PROXY_PORT_MIN, PROXY_PORT_MAX, (long long)port);
        return false;
    }
    agent->external_proxy_port = (uint16_t)port;
    return true;
}

void agents_change(struct exchange *exchange)
{
    static const char *const fields[] = {"name",
                                         "hecate_tunnel_uuid",
                                         "device_id",
                                         "resolved_address",
                                         "external_proxy_port",
                                         "write_enabled",
                                         NULL};
    struct store_agent agent;
    if (!find_agent(exchange, UNKNOWN_AGENT, &agent)) {
        return;
    }
    json_t *body = exchange_body(exchange, fields);
    if (body == NULL) {
        return;
    }
    bool fine =
        change_name(exchange, body, &agent) &&
        change_text(exchange, body, "hecate_tunnel_uuid",
                    agent.hecate_tunnel_uuid) &&
        change_text(exchange, body, "device_id", agent.device_id) &&
        change_text(exchange, body, "resolved_address",
                    agent.resolved_address) &&
        change_port(exchange, body, &agent) &&
        exchange_boolean(exchange, body, "write_enabled", &agent.write_enabled);
    if (fine && json_object_size(body) > 0) {
        agent.updated_at = exchange_now();
        fine = succeeded(exchange,
                         store_agent_update(exchange->parts->store, &agent),
                         "update agent", UNKNOWN_AGENT);
        if (fine) {
            log_change(exchange, "agent_changed", &agent);
        }
    }
    if (fine) {
        reply_json(exchange->reply, 200, agent_json(exchange->parts, &agent));
    }
    json_decref(body);
}

/* ---- delete, revoke, rotate ---------------------------------------------- */

void agents_delete(struct exchange *exchange)
{
    struct store_agent agent;
    if (find_agent(exchange, UNKNOWN_AGENT, &agent) &&
        succeeded(exchange,
                  store_agent_remove(exchange->parts->store, &agent.uuid),
                  "delete agent", UNKNOWN_AGENT)) {
        disconnect(exchange, &agent.uuid);
        log_change(exchange, "agent_deleted", &agent);
        reply_empty(exchange->reply, 204);
    }
}

void agents_revoke(struct exchange *exchange)
{
    struct store_agent agent;
    if (find_agent(exchange, UNKNOWN_AGENT, &agent) &&
        succeeded(exchange,
                  store_key_revoke(exchange->parts->store, &agent.uuid,
                                   exchange_now()),
                  "revoke agent", UNKNOWN_AGENT)) {
        disconnect(exchange, &agent.uuid);
        log_change(exchange, "agent_revoked", &agent);
        reply_json(exchange->reply, 200,
                   json_pack("{s:s}", "message", "revoked"));
    }
}

void agents_rotate(struct exchange *exchange)
{
    struct store_agent agent;
    char key[AUTH_KEY_SIZE];
    uint8_t digest[STORE_DIGEST_SIZE];
    int64_t now = exchange_now();
    int64_t until =
        now + (int64_t)exchange->parts->config->key_overlap_ms * 1000000;
    if (!find_agent(exchange, UNKNOWN_AGENT, &agent)) {
        return;
    }
    bool overlaps = !agent.revoked && until > now;
    if (!auth_make_key(key, digest)) {
        reply_error(exchange->reply, 500, "out of memory");
    } else if (succeeded(exchange,
                         store_key_rotate(exchange->parts->store, &agent.uuid,
                                          digest, now, until),
                         "rotate key", UNKNOWN_AGENT)) {
        agent.revoked = false;
        agent.updated_at = now;
        json_t *answer = agent_with_key(exchange, &agent, key);
        if (overlaps) {
            set_time(answer, "old_key_valid_until", until);
        }
        log_change(exchange, "agent_key_rotated", &agent);
        reply_json(exchange->reply, 200, answer);
    }
    OPENSSL_cleanse(key, sizeof(key));
}

/* ---- snippets, proxy status ---------------------------------------------- */

void agents_snippets(struct exchange *exchange)
{
    struct store_agent agent;
    char unknown[320];
    char url[EXCHANGE_URL_SIZE];
    if (!find_agent(exchange, record_not_found(exchange, unknown), &agent) ||
        !exchange_url(exchange, url)) {
        return;
    }
    json_t *object = json_object();
    for (enum snippet_kind kind = 0; kind < SNIPPET_KINDS; ++kind) {
        char *text = snippet_make(kind, agent.name, url);
        (void)json_object_set_new(object, snippet_name(kind),
                                  json_string(text != NULL ? text : ""));
        free(text);
    }
    reply_json(exchange->reply, 200, object);
}

void agents_proxy_status(struct exchange *exchange)
{
    struct store_agent agent;
    struct tunnel_view view;
    char uuid[UUID_TEXT_SIZE];
    if (!find_agent(exchange, UNKNOWN_AGENT, &agent)) {
        return;
    }
    bool online = is_online(exchange->parts, &agent.uuid, &view);
    uuid_text(&agent.uuid, uuid);
    /* this release serves no external port: say so, never claim one */
    const char *error = online && agent.external_proxy_port != 0
                            ? "orthrus: external proxy ports are not served by "
                              "this release"
                            : "";
    reply_json(exchange->reply, 200,
               json_pack("{s:s, s:b, s:i, s:b, s:b, s:b, s:i, s:s, s:s, s:s}",
                         "agent_uuid", uuid, "agent_online", online,
                         "configured_port", agent.external_proxy_port,
                         "configured_write_enabled", agent.write_enabled,
                         "active_write_enabled", view.write_enabled, "active",
                         false, "active_port", 0, "bind_address", "",
                         "connection_string", "", "error", error));
}
