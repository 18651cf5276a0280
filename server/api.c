/* Routes, admission and the life of the API; what a route does is in the file
 * of its noun. */
#include "server/api.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/contract.h"
#include "server/auth.h"
#include "server/config.h"
#include "server/exchange.h"
#include "server/knob.h"
#include "server/reply.h"

#define ID "{uuid}"
#define PREFIX "/api/v1/"
#define AGENTS PREFIX "orthrus/agents"
#define SERVERS PREFIX "remote-servers"

static void health_show(struct exchange *exchange);
static void readiness_show(struct exchange *exchange);

static const struct route_row routes[] = {
    {"GET", AGENTS, ACCESS_MANAGEMENT, agents_list},
    {"POST", AGENTS, ACCESS_MANAGEMENT, agents_create},
    {"GET", AGENTS "/" ID, ACCESS_MANAGEMENT, agents_get},
    {"PATCH", AGENTS "/" ID, ACCESS_MANAGEMENT, agents_change},
    {"DELETE", AGENTS "/" ID, ACCESS_MANAGEMENT, agents_delete},
    {"POST", AGENTS "/" ID "/revoke", ACCESS_MANAGEMENT, agents_revoke},
    {"POST", AGENTS "/" ID "/rotate", ACCESS_MANAGEMENT, agents_rotate},
    {"GET", AGENTS "/" ID "/snippets", ACCESS_MANAGEMENT, agents_snippets},
    {"GET", AGENTS "/" ID "/proxy-status", ACCESS_MANAGEMENT,
     agents_proxy_status},
    {"GET", AGENTS "/" ID "/containers", ACCESS_MANAGEMENT, agents_containers},
    {"GET", SERVERS, ACCESS_MANAGEMENT, servers_list},
    {"POST", SERVERS, ACCESS_MANAGEMENT, servers_create},
    {"GET", SERVERS "/" ID, ACCESS_MANAGEMENT, servers_get},
    {"PATCH", SERVERS "/" ID, ACCESS_MANAGEMENT, servers_change},
    {"DELETE", SERVERS "/" ID, ACCESS_MANAGEMENT, servers_delete},
    {"GET", PREFIX "docker/containers", ACCESS_MANAGEMENT, containers_list},
    {"GET", PREFIX "openapi.json", ACCESS_OPEN, openapi_show},
    {"GET", "/healthz", ACCESS_OPEN, health_show},
    {"GET", "/readyz", ACCESS_OPEN, readiness_show},
    {"GET", "/metrics", ACCESS_METRICS, metrics_show},
};

size_t api_route_count(void)
{
    return sizeof(routes) / sizeof(routes[0]);
}

const struct route_row *api_route_at(size_t index)
{
    return &routes[index];
}

/* ---- life ---------------------------------------------------------------- */

struct api *api_new(const struct api_parts *parts)
{
    struct api *api = calloc(1, sizeof(*api));
    if (api != NULL) {
        api->parts = *parts;
        api->started_at = exchange_now();
    }
    return api;
}

void api_free(struct api *api)
{
    if (api != NULL) {
        REQUIRE(api->pending_count == 0);
    }
    free(api);
}

void api_set_web(struct api *api, const struct web *web)
{
    api->web = web;
}

void api_not_ready(struct api *api, const char *reason)
{
    api->not_ready_reason = reason;
}

void api_reply_free(struct api_reply *reply)
{
    if (reply->body != NULL) {
        explicit_bzero(reply->body, reply->body_length); /* may be a key */
    }
    free(reply->body);
    memset(reply, 0, sizeof(*reply));
}

/* ---- routes -------------------------------------------------------------- */

/* Does path fit the pattern? *id is where its {uuid} begins, of *length. */
static bool fits(const char *pattern, const char *path, const char **id,
                 size_t *length)
{
    const char *hole = strstr(pattern, ID);
    if (hole == NULL) {
        return strcmp(pattern, path) == 0;
    }
    size_t before = (size_t)(hole - pattern);
    if (strncmp(pattern, path, before) != 0) {
        return false;
    }
    *id = path + before;
    *length = strcspn(*id, "/");
    return *length > 0 && strcmp(hole + strlen(ID), *id + *length) == 0;
}

static const char *allowed_methods(const char *path)
{
    /* every set of methods that a path of ours has */
    static const struct {
        unsigned set;
        const char *text;
    } sets[] = {{1, "GET, HEAD"},
                {1 | 2, "GET, HEAD, POST"},
                {2, "POST"},
                {1 | 4 | 8, "GET, HEAD, PATCH, DELETE"}};
    static const char *const methods[] = {"GET", "POST", "PATCH", "DELETE"};
    unsigned set = 0;
    const char *id = NULL;
    size_t length = 0;
    for (size_t i = 0; i < api_route_count(); ++i) {
        for (unsigned m = 0; m < 4; ++m) {
            if (fits(routes[i].path, path, &id, &length) &&
                strcmp(routes[i].method, methods[m]) == 0) {
                set |= 1u << m;
            }
        }
    }
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); ++i) {
        if (sets[i].set == set) {
            return sets[i].text;
        }
    }
    return NULL; /* no such path */
}

static const struct route_row *find_route(const struct api_request *request,
                                          const char **id, size_t *length)
{
    const char *method =
        strcmp(request->method, "HEAD") == 0 ? "GET" : request->method;
    for (size_t i = 0; i < api_route_count(); ++i) {
        if (strcmp(routes[i].method, method) == 0 &&
            fits(routes[i].path, request->path, id, length)) {
            return &routes[i];
        }
    }
    return NULL;
}

/* ---- admission ----------------------------------------------------------- */

/* The name in a Host header, without its port. False: it is not one. */
static bool host_name(const char *host, char *name, size_t size)
{
    bool bracketed = host[0] == '[';
    size_t length = bracketed ? strcspn(host, "]") + 1 : strcspn(host, ":");
    if (strlen(host) < length || length == 0 || length >= size) {
        return false;
    }
    const char *port = host + length;
    if (*port != '\0' &&
        (*port != ':' || port[1 + strspn(port + 1, "0123456789")] != '\0')) {
        return false;
    }
    memcpy(name, host, length);
    name[length] = '\0';
    return true;
}

/* An address in a Host header cannot be the work of DNS rebinding (X10). */
static bool is_address(const char *name)
{
    char inner[INET6_ADDRSTRLEN + 2];
    struct in6_addr v6;
    struct in_addr v4;
    size_t length = strlen(name);
    if (name[0] != '[') {
        return inet_pton(AF_INET, name, &v4) == 1;
    }
    if (length < 2 || length - 2 >= sizeof(inner)) {
        return false;
    }
    memcpy(inner, name + 1, length - 2);
    inner[length - 2] = '\0';
    return inet_pton(AF_INET6, inner, &v6) == 1;
}

/* Is name the item at text, of length characters? */
static bool is_item(const char *text, size_t length, const char *name)
{
    return strlen(name) == length && strncasecmp(text, name, length) == 0;
}

static bool is_our_name(const struct config *config, const char *name)
{
    const char *item = config->allowed_hosts;
    while (*item != '\0') {
        size_t length = strcspn(item, ", ");
        if (length > 0 && is_item(item, length, name)) {
            return true;
        }
        item += length;
        item += strspn(item, ", ");
    }
    const char *authority = strstr(config->public_url, "://");
    return authority != NULL &&
           is_item(authority + 3, strcspn(authority + 3, ":/"), name);
}

static bool is_host_allowed(const struct config *config, const char *host)
{
    char name[256];
    return host != NULL && host_name(host, name, sizeof(name)) &&
           (is_address(name) || strcasecmp(name, "localhost") == 0 ||
            is_our_name(config, name));
}

/* No client of ours sends any of these, every browser does (X11). */
static bool is_browser(const struct api_request *request)
{
    return request->origin != NULL || request->has_cors ||
           (request->sec_fetch_site != NULL &&
            strcmp(request->sec_fetch_site, "none") != 0) ||
           strcmp(request->method, "OPTIONS") == 0;
}

static bool needs_token(const struct api *api, enum route_access access)
{
    const struct config *config = api->parts.config;
    switch (access) {
    case ACCESS_OPEN:
        return false;
    case ACCESS_METRICS:
        return config->behind_proxy || !knob_is_loopback(config->listen);
    case ACCESS_MANAGEMENT:
        break;
    }
    return true;
}

/* Everything before the credentials. False: *reply is the refusal. */
static bool admit_by_form(const struct api *api,
                          const struct api_request *request,
                          const struct route_row *route,
                          struct api_reply *reply)
{
    const char *allow = allowed_methods(request->path);
    bool open = route != NULL && route->access == ACCESS_OPEN;
    if (!open && !request->from_admin_socket &&
        !is_host_allowed(api->parts.config, request->host)) {
        reply_error(reply, 421,
                    "this server is not '%.255s'; add that name to "
                    "allowed-hosts if it is",
                    request->host != NULL ? request->host : "");
    } else if (is_browser(request)) {
        reply_error(reply, 403, "requests of browsers are refused");
    } else if (allow == NULL) {
        reply_error(reply, 404, "no such path");
    } else if (route == NULL) {
        reply_error(reply, 405, "method %.16s is not allowed here",
                    request->method);
        reply->allow = allow;
    } else {
        return true;
    }
    return false;
}

static bool admit(struct api *api, const struct api_request *request,
                  const struct route_row *route, struct api_reply *reply)
{
    uint64_t body_max = api->parts.config->body_max;
    if (!admit_by_form(api, request, route, reply)) {
        return false;
    }
    if (needs_token(api, route->access) && !request->from_admin_socket &&
        auth_admin(api->parts.auth, request->authorization) != AUTH_OK) {
        reply_error(reply, 401,
                    "send Authorization: Bearer and the content of "
                    "admin.token");
        reply->challenge = true;
        return false;
    }
    if (request->body_length > body_max || request->body.length > body_max) {
        reply_error(reply, 413, "the body is larger than %llu bytes",
                    (unsigned long long)body_max);
        return false;
    }
    return true;
}

static void count(struct api *api, const struct api_reply *reply)
{
    ++api->replies[reply->status / 100 % 6];
}

bool api_admit(struct api *api, const struct api_request *request,
               struct api_reply *reply)
{
    const char *id = NULL;
    size_t length = 0;
    const struct route_row *route = find_route(request, &id, &length);
    if (!admit(api, request, route, reply)) {
        count(api, reply);
        return false;
    }
    return true;
}

bool api_begin(struct api *api, struct api_call *call,
               const struct api_request *request)
{
    char id[256] = "";
    const char *begin = NULL;
    size_t length = 0;
    struct exchange exchange = {.api = api,
                                .parts = &api->parts,
                                .request = request,
                                .id = id,
                                .call = call,
                                .reply = &call->reply};
    const struct route_row *route = find_route(request, &begin, &length);
    call->pending = NULL;
    memset(&call->reply, 0, sizeof(call->reply));
    if (admit(api, request, route, &call->reply)) {
        if (begin != NULL && length < sizeof(id)) {
            memcpy(id, begin, length);
        }
        route->handle(&exchange);
    }
    if (call->pending != NULL) {
        return false;
    }
    count(api, &call->reply);
    return true;
}

void exchange_defer(struct exchange *exchange, struct api_pending *pending,
                    void (*cancel)(struct api_pending *pending))
{
    *pending = (struct api_pending){exchange->api, exchange->call, cancel};
    exchange->call->pending = pending;
    ++exchange->api->pending_count;
}

void exchange_complete(struct api_pending *pending)
{
    struct api_call *call = pending->call;
    call->pending = NULL;
    --pending->api->pending_count;
    count(pending->api, &call->reply);
    call->done(call);
}

void api_cancel(struct api_call *call)
{
    struct api_pending *pending = call->pending;
    if (pending != NULL) {
        call->pending = NULL;
        --pending->api->pending_count;
        pending->cancel(pending);
    }
}

/* ---- health -------------------------------------------------------------- */

static void health_show(struct exchange *exchange)
{
    /* whoever reads this got it from the loop: it turns */
    reply_json(exchange->reply, 200, json_pack("{s:s}", "status", "ok"));
}

static void readiness_show(struct exchange *exchange)
{
    const struct api_parts *parts = exchange->parts;
    const char *reason = exchange->api->not_ready_reason;
    if (reason == NULL && parts->tunnel != NULL &&
        tunnel_draining(parts->tunnel)) {
        reason = "draining";
    }
    if (reason == NULL && !store_readable(parts->store)) {
        reason = "the data base cannot be read";
    }
    if (reason != NULL) {
        reply_json(
            exchange->reply, 503,
            json_pack("{s:s, s:s}", "status", "not ready", "reason", reason));
        return;
    }
    reply_json(exchange->reply, 200, json_pack("{s:s}", "status", "ready"));
}
