/* Remote servers: /api/v1/remote-servers (H-05). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/log.h"
#include "server/exchange.h"
#include "server/reply.h"

static const char *const fields[] = {
    "name", "host", "port", "connection_type", "orthrus_agent_uuid", NULL};

static json_t *server_json(const struct store_server *server)
{
    char uuid[UUID_TEXT_SIZE];
    char agent[UUID_TEXT_SIZE] = "";
    char created[EXCHANGE_TIME_SIZE];
    char updated[EXCHANGE_TIME_SIZE];
    bool direct = server->connection_type == STORE_DIRECT;
    uuid_text(&server->uuid, uuid);
    if (server->has_agent) {
        uuid_text(&server->agent, agent);
    }
    exchange_time(server->created_at, created);
    exchange_time(server->updated_at, updated);
    return json_pack("{s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:s}", "uuid", uuid,
                     "name", server->name, "host", server->host, "port",
                     server->port, "connection_type",
                     direct ? "direct" : "orthrus", "orthrus_agent_uuid", agent,
                     "created_at", created, "updated_at", updated);
}

static bool succeeded(struct exchange *exchange, enum store_result result,
                      const char *what)
{
    switch (result) {
    case STORE_OK:
        return true;
    case STORE_NOT_FOUND:
        reply_error(exchange->reply, 404, "remote server not found");
        return false;
    case STORE_FAILED:
        break;
    }
    exchange_store_failed(exchange, what);
    return false;
}

static bool find_server(struct exchange *exchange, struct store_server *server)
{
    struct uuid uuid;
    enum store_result result = STORE_NOT_FOUND;
    if (uuid_parse(&uuid, exchange->id)) {
        result = store_server_get(exchange->parts->store, &uuid, server);
    }
    return succeeded(exchange, result, "get remote server");
}

static void log_change(const struct exchange *exchange, const char *event,
                       const struct store_server *server)
{
    char uuid[UUID_TEXT_SIZE];
    uuid_text(&server->uuid, uuid);
    log_line(LOG_INFO, event, log_string("server", uuid),
             log_string("name", server->name),
             log_string("remote", exchange->request->remote));
}

/* ---- what a body may say ------------------------------------------------- */

static bool read_name(struct exchange *exchange, const json_t *body,
                      struct store_server *server)
{
    const char *name = server->name;
    if (!exchange_string(exchange, body, "name", STORE_FIELD_SIZE, &name) ||
        !exchange_name(exchange, "remote server", name)) {
        return false;
    }
    if (name != server->name) {
        (void)snprintf(server->name, sizeof(server->name), "%s", name);
    }
    return true;
}

static bool read_type(struct exchange *exchange, const json_t *body,
                      struct store_server *server)
{
    bool direct = server->connection_type == STORE_DIRECT;
    const char *type = direct ? "direct" : "orthrus";
    if (!exchange_string(exchange, body, "connection_type", 16, &type)) {
        return false;
    }
    direct = strcmp(type, "direct") == 0;
    if (!direct && strcmp(type, "orthrus") != 0) {
        reply_error(exchange->reply, 400,
                    "field 'connection_type' must be direct or orthrus");
        return false;
    }
    server->connection_type = direct ? STORE_DIRECT : STORE_ORTHRUS;
    return true;
}

static bool read_host(struct exchange *exchange, const json_t *body,
                      struct store_server *server)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789.-_:";
    const char *host = server->host;
    if (!exchange_string(exchange, body, "host", STORE_FIELD_SIZE - 1, &host)) {
        return false;
    }
    if (host[strspn(host, allowed)] != '\0') {
        reply_error(exchange->reply, 400,
                    "field 'host' must be a host name or an IP address");
        return false;
    }
    if (host != server->host) {
        (void)snprintf(server->host, sizeof(server->host), "%s", host);
    }
    return true;
}

static bool read_port(struct exchange *exchange, const json_t *body,
                      struct store_server *server)
{
    int64_t port = server->port;
    if (!exchange_integer(exchange, body, "port", &port)) {
        return false;
    }
    if (port < 0 || port > UINT16_MAX) {
        reply_error(exchange->reply, 400, "field 'port' must be 0 to 65535");
        return false;
    }
    server->port = (uint16_t)port;
    return true;
}

static bool read_agent(struct exchange *exchange, const json_t *body,
                       struct store_server *server)
{
    const char *text = NULL;
    struct store_agent agent;
    if (!exchange_string(exchange, body, "orthrus_agent_uuid", STORE_FIELD_SIZE,
                         &text)) {
        return false;
    }
    if (text == NULL) {
        return true;
    }
    server->has_agent = text[0] != '\0';
    if (!server->has_agent) {
        return true;
    }
    enum store_result result = STORE_NOT_FOUND;
    if (uuid_parse(&server->agent, text)) {
        result =
            store_agent_get(exchange->parts->store, &server->agent, &agent);
    }
    if (result == STORE_NOT_FOUND) {
        reply_error(exchange->reply, 400,
                    "field 'orthrus_agent_uuid' names no agent");
    } else if (result == STORE_FAILED) {
        exchange_store_failed(exchange, "get agent");
    }
    return result == STORE_OK;
}

/* An orthrus server without an agent may be kept: whoever lists its containers
 * is told (AC-09). A direct one without an address is a slip. */
static bool read_server(struct exchange *exchange, const json_t *body,
                        struct store_server *server)
{
    if (!read_name(exchange, body, server) ||
        !read_type(exchange, body, server) ||
        !read_host(exchange, body, server) ||
        !read_port(exchange, body, server) ||
        !read_agent(exchange, body, server)) {
        return false;
    }
    if (server->connection_type == STORE_DIRECT &&
        (server->host[0] == '\0' || server->port == 0)) {
        reply_error(exchange->reply, 400,
                    "a direct remote server needs the fields 'host' and "
                    "'port'");
        return false;
    }
    return true;
}

/* ---- calls --------------------------------------------------------------- */

void servers_list(struct exchange *exchange)
{
    struct store_server *servers = NULL;
    size_t count = 0;
    if (store_servers(exchange->parts->store, &servers, &count) != STORE_OK) {
        exchange_store_failed(exchange, "list remote servers");
        return;
    }
    json_t *array = json_array();
    for (size_t i = 0; i < count; ++i) {
        (void)json_array_append_new(array, server_json(&servers[i]));
    }
    free(servers);
    reply_json(exchange->reply, 200, array);
}

void servers_create(struct exchange *exchange)
{
    struct store_server server = {.uuid = uuid_make(),
                                  .connection_type = STORE_DIRECT};
    json_t *body = exchange_body(exchange, fields);
    if (body == NULL) {
        return;
    }
    if (read_server(exchange, body, &server)) {
        server.created_at = exchange_now();
        server.updated_at = server.created_at;
        if (store_server_add(exchange->parts->store, &server) == STORE_OK) {
            log_change(exchange, "remote_server_created", &server);
            reply_json(exchange->reply, 201, server_json(&server));
        } else {
            exchange_store_failed(exchange, "create remote server");
        }
    }
    json_decref(body);
}

void servers_get(struct exchange *exchange)
{
    struct store_server server;
    if (find_server(exchange, &server)) {
        reply_json(exchange->reply, 200, server_json(&server));
    }
}

void servers_change(struct exchange *exchange)
{
    struct store_server server;
    if (!find_server(exchange, &server)) {
        return;
    }
    json_t *body = exchange_body(exchange, fields);
    if (body == NULL) {
        return;
    }
    if (read_server(exchange, body, &server)) {
        server.updated_at = exchange_now();
        if (succeeded(exchange,
                      store_server_update(exchange->parts->store, &server),
                      "update remote server")) {
            log_change(exchange, "remote_server_changed", &server);
            reply_json(exchange->reply, 200, server_json(&server));
        }
    }
    json_decref(body);
}

void servers_delete(struct exchange *exchange)
{
    struct store_server server;
    if (find_server(exchange, &server) &&
        succeeded(exchange,
                  store_server_remove(exchange->parts->store, &server.uuid),
                  "delete remote server")) {
        log_change(exchange, "remote_server_deleted", &server);
        reply_empty(exchange->reply, 204);
    }
}
