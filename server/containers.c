/* GET /api/v1/docker/containers (H-01, AC-09..AC-12), and the list of one agent
 * without a remote server.
 *
 * core/route.h decides where to ask; then, each on its own connection: HEAD
 * /_ping for the engine's API version, GET /_ping if it would not have that,
 * and the list in that version. One deadline is over all of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/contract.h"
#include "core/route.h"
#include "net/log.h"
#include "server/config.h"
#include "server/exchange.h"
#include "server/fetch.h"
#include "server/reply.h"
#include "server/resolve.h"

/* What an engine that does not name its version is taken for, as its own
 * clients do. */
#define VERSION_UNKNOWN "1.24"

enum { ID_LENGTH = 12, PING_ANSWER_MAX = 1024 };

enum step { STEP_RESOLVE, STEP_PING_HEAD, STEP_PING_GET, STEP_LIST };

struct listing {
    struct api_pending base; /* first: it is what the call points to */
    struct loop_timer timer;
    enum step step;
    struct resolve *resolve; /* under way, or NULL */
    struct fetch *fetch;     /* under way, or NULL */
    struct socket_address addresses[RESOLVE_ADDRESSES_MAX];
    size_t count;
    char version[FETCH_VERSION_SIZE];
    char address[ROUTE_ADDRESS_SIZE]; /* for the log */
};

static bool ask(struct listing *listing, enum step step);
static void ask_next(struct listing *listing, enum step step);

/* ---- the end of a list --------------------------------------------------- */

static void release(struct listing *listing)
{
    struct loop *loop = listing->base.api->parts.loop;
    loop_timer_stop(loop, &listing->timer);
    if (listing->resolve != NULL) {
        resolve_cancel(listing->resolve);
    }
    if (listing->fetch != NULL) {
        fetch_cancel(listing->fetch);
    }
    --listing->base.api->lists_under_way;
    free(listing);
}

/* The reply is in the call. */
static void complete(struct listing *listing)
{
    exchange_complete(&listing->base);
    release(listing);
}

static void cancel(struct api_pending *pending)
{
    release((struct listing *)pending);
}

static void answer_unavailable(struct listing *listing)
{
    reply_json(
        &listing->base.call->reply, 503,
        json_pack("{s:s, s:s}", "error", "Docker daemon unavailable", "details",
                  "Cannot connect to Docker. Please ensure Docker is running "
                  "and the socket is accessible (e.g., /var/run/docker.sock is "
                  "mounted)."));
    complete(listing);
}

static void answer_failed(struct listing *listing, const char *why)
{
    log_line(LOG_WARN, "container_list_failed",
             log_string("address", listing->address), log_string("error", why));
    reply_error(&listing->base.call->reply, 500, "Failed to list containers");
    complete(listing);
}

static void on_timeout(void *user)
{
    struct listing *listing = user;
    ++listing->base.api->lists_timed_out;
    log_line(LOG_WARN, "container_list_timed_out",
             log_string("address", listing->address));
    reply_error(
        &listing->base.call->reply, 504, "Docker did not answer within %llu ms",
        (unsigned long long)listing->base.api->parts.config->docker_timeout_ms);
    complete(listing);
}

/* ---- what the engine said ------------------------------------------------ */

static const char *text_of(const json_t *object, const char *field)
{
    const char *text = json_string_value(json_object_get(object, field));
    return text != NULL ? text : "";
}

static json_t *names_of(const json_t *container)
{
    json_t *names = json_array();
    size_t i = 0;
    json_t *name = NULL;
    json_array_foreach(json_object_get(container, "Names"), i, name)
    {
        const char *text = json_string_value(name);
        if (text != NULL) {
            (void)json_array_append_new(
                names, json_string(text[0] == '/' ? text + 1 : text));
        }
    }
    return names;
}

static json_t *ports_of(const json_t *container)
{
    json_t *ports = json_array();
    size_t i = 0;
    json_t *port = NULL;
    json_array_foreach(json_object_get(container, "Ports"), i, port)
    {
        json_int_t inside =
            json_integer_value(json_object_get(port, "PrivatePort"));
        json_int_t outside =
            json_integer_value(json_object_get(port, "PublicPort"));
        (void)json_array_append_new(ports,
                                    json_pack("{s:I, s:I, s:s}", "private_port",
                                              inside, "public_port", outside,
                                              "type", text_of(port, "Type")));
    }
    return ports;
}

/* The alphabetically first network, so that the answer is always the same. */
static const char *network_of(const json_t *container, const char **ip)
{
    json_t *networks = json_object_get(
        json_object_get(container, "NetworkSettings"), "Networks");
    const char *first = "";
    const char *name = NULL;
    json_t *network = NULL;
    *ip = "";
    json_object_foreach(networks, name, network)
    {
        if (first[0] == '\0' || strcmp(name, first) < 0) {
            first = name;
            *ip = text_of(network, "IPAddress");
        }
    }
    return first;
}

/* Not half a character: that is no JSON, and no container would be told. */
static size_t id_length(const char *id)
{
    size_t length = strnlen(id, ID_LENGTH);
    while (length > 0 && ((unsigned char)id[length] & 0xc0) == 0x80) {
        --length;
    }
    return length;
}

static json_t *container_json(const json_t *container)
{
    const char *id = text_of(container, "Id");
    const char *ip = NULL;
    const char *network = network_of(container, &ip);
    return json_pack("{s:s%, s:o, s:s, s:s, s:s, s:s, s:s, s:o}", "id", id,
                     id_length(id), "names", names_of(container), "image",
                     text_of(container, "Image"), "state",
                     text_of(container, "State"), "status",
                     text_of(container, "Status"), "network", network, "ip", ip,
                     "ports", ports_of(container));
}

static void answer_list(struct listing *listing, struct span body)
{
    json_error_t error;
    json_t *list = json_loadb((const char *)body.bytes, body.length, 0, &error);
    if (!json_is_array(list)) {
        json_decref(list);
        answer_failed(listing, "the answer is not a JSON array");
        return;
    }
    json_t *array = json_array();
    size_t i = 0;
    json_t *container = NULL;
    json_array_foreach(list, i, container)
    {
        if (json_is_object(container)) {
            (void)json_array_append_new(array, container_json(container));
        }
    }
    json_decref(list);
    reply_json(&listing->base.call->reply, 200, array);
    complete(listing);
}

/* ---- steps --------------------------------------------------------------- */

static void take_version(struct listing *listing,
                         const struct fetch_answer *answer)
{
    (void)snprintf(listing->version, sizeof(listing->version), "%s",
                   answer->api_version[0] != '\0' ? answer->api_version
                                                  : VERSION_UNKNOWN);
}

static void on_answer(void *user, const struct fetch_answer *answer)
{
    struct listing *listing = user;
    listing->fetch = NULL;
    if (answer->result == FETCH_UNREACHABLE) {
        answer_unavailable(listing);
        return;
    }
    switch (listing->step) {
    case STEP_RESOLVE:
        break;
    case STEP_PING_HEAD:
        if (answer->status == 200) {
            take_version(listing, answer);
            ask_next(listing, STEP_LIST);
        } else {
            ask_next(listing, STEP_PING_GET);
        }
        return;
    case STEP_PING_GET:
        take_version(listing, answer);
        ask_next(listing, STEP_LIST);
        return;
    case STEP_LIST:
        if (answer->result == FETCH_TOO_LARGE) {
            answer_failed(listing, "the answer is above docker-answer-max");
        } else if (answer->result == FETCH_BROKEN) {
            answer_failed(listing, "the answer is cut short or not HTTP");
        } else if (answer->status >= 502 && answer->status <= 504) {
            answer_unavailable(listing); /* an agent's word for: no engine */
        } else if (answer->status != 200) {
            answer_failed(listing, "the engine refused");
        } else {
            answer_list(listing, answer->body);
        }
        return;
    }
    REQUIRE(listing->step != STEP_RESOLVE);
}

/* False: out of memory. */
static bool ask(struct listing *listing, enum step step)
{
    char path[64] = "/_ping";
    struct fetch_request request = {.addresses = listing->addresses,
                                    .count = listing->count,
                                    .method = step == STEP_PING_HEAD ? HTTP_HEAD
                                                                     : HTTP_GET,
                                    .path = path,
                                    .answer_max = PING_ANSWER_MAX,
                                    .done = on_answer,
                                    .user = listing};
    if (step == STEP_LIST) {
        (void)snprintf(path, sizeof(path), "/v%s/containers/json",
                       listing->version);
        request.answer_max =
            (size_t)listing->base.api->parts.config->docker_answer_max;
    }
    listing->step = step;
    listing->fetch = fetch_begin(listing->base.api->parts.loop, &request);
    return listing->fetch != NULL;
}

static void ask_next(struct listing *listing, enum step step)
{
    if (!ask(listing, step)) {
        answer_failed(listing, "out of memory");
    }
}

static void on_resolved(void *user, const struct socket_address *addresses,
                        size_t count)
{
    struct listing *listing = user;
    listing->resolve = NULL;
    if (count == 0) {
        answer_unavailable(listing);
        return;
    }
    memcpy(listing->addresses, addresses, count * sizeof(*addresses));
    listing->count = count;
    ask_next(listing, STEP_PING_HEAD);
}

/* "tcp://host:port" or "tcp://[host]:port", as route_decide() writes it. */
static bool split_address(const char *address, char host[ROUTE_HOST_MAX + 1],
                          uint16_t *port)
{
    const char *begin = address + strlen("tcp://");
    const char *colon = strrchr(begin, ':');
    REQUIRE(colon != NULL);
    size_t length = (size_t)(colon - begin);
    if (begin[0] == '[') {
        ++begin;
        length -= 2;
    }
    if (length > ROUTE_HOST_MAX) {
        return false;
    }
    memcpy(host, begin, length);
    host[length] = '\0';
    *port = (uint16_t)strtoul(colon + 1, NULL, 10);
    return true;
}

/* Starts on where the route leads; false: nothing could be started. */
static bool start(struct listing *listing, const struct route *route)
{
    const struct api_parts *parts = &listing->base.api->parts;
    char host[ROUTE_HOST_MAX + 1];
    uint16_t port = 0;
    if (route->kind == ROUTE_LOCAL) {
        if (!socket_address_unix(&listing->addresses[0],
                                 parts->config->docker_socket)) {
            return false;
        }
        listing->count = 1;
        return ask(listing, STEP_PING_HEAD);
    }
    listing->step = STEP_RESOLVE;
    if (split_address(route->address, host, &port)) {
        listing->resolve =
            resolve_begin(parts->loop, host, port, on_resolved, listing);
    }
    return listing->resolve != NULL;
}

/* ---- the request --------------------------------------------------------- */

struct question {
    char *host;      /* of the query; NULL: none */
    char *server_id; /* the same */
    char agent[UUID_TEXT_SIZE];
    struct store_server server;
    struct tunnel_view view;
};

/* False: the store failed, the reply says so. */
static bool look_up(struct exchange *exchange, struct question *question,
                    struct route_query *query)
{
    const struct api_parts *parts = exchange->parts;
    struct uuid uuid;
    enum store_result result = STORE_NOT_FOUND;
    query->host = question->host;
    query->tunnel_configured = parts->tunnel != NULL;
    if (question->server_id == NULL || question->server_id[0] == '\0') {
        return true;
    }
    query->server = ROUTE_SERVER_UNKNOWN;
    if (uuid_parse(&uuid, question->server_id)) {
        result = store_server_get(parts->store, &uuid, &question->server);
    }
    if (result == STORE_FAILED) {
        exchange_store_failed(exchange, "get remote server");
        return false;
    }
    if (result == STORE_NOT_FOUND) {
        return true;
    }
    const struct store_server *server = &question->server;
    query->server = server->connection_type == STORE_ORTHRUS
                        ? ROUTE_SERVER_ORTHRUS
                        : ROUTE_SERVER_DIRECT;
    query->server_host = server->host;
    query->server_port = server->port;
    if (server->has_agent) {
        uuid_text(&server->agent, question->agent);
        if (parts->tunnel != NULL) {
            (void)tunnel_find(parts->tunnel, server->agent.bytes,
                              &question->view);
        }
    }
    query->agent_uuid = question->agent;
    query->agent_address = question->view.address;
    return true;
}

static void begin(struct exchange *exchange, const struct route *route)
{
    const struct config *config = exchange->parts->config;
    struct loop *loop = exchange->parts->loop;
    if (exchange->api->lists_under_way >= config->docker_requests_max) {
        reply_error(exchange->reply, 503,
                    "%llu container lists are under way; try again later",
                    (unsigned long long)config->docker_requests_max);
        return;
    }
    struct listing *listing = calloc(1, sizeof(*listing));
    if (listing == NULL) {
        reply_error(exchange->reply, 500, "out of memory");
        return;
    }
    listing->base.api = exchange->api;
    listing->timer = (struct loop_timer){.fire = on_timeout, .user = listing};
    (void)snprintf(listing->address, sizeof(listing->address), "%s",
                   route->kind == ROUTE_LOCAL ? config->docker_socket
                                              : route->address);
    ++exchange->api->lists_under_way;
    if (!start(listing, route)) {
        release(listing);
        reply_error(exchange->reply, 503,
                    "no memory, or too many host names are being looked up; "
                    "try again later");
        return;
    }
    loop_timer_set(loop, &listing->timer,
                   loop_now_ms(loop) + config->docker_timeout_ms);
    exchange_defer(exchange, &listing->base, cancel);
}

static void answer(struct exchange *exchange, const struct route_query *query)
{
    struct route route;
    route_decide(&route, query);
    if (route.kind == ROUTE_ERROR) {
        reply_error(exchange->reply, route.status, "%s", route.error);
    } else {
        begin(exchange, &route);
    }
}

void containers_of_agent(struct exchange *exchange, const struct uuid *uuid)
{
    struct tunnel *tunnel = exchange->parts->tunnel;
    struct tunnel_view view = {0};
    char agent[UUID_TEXT_SIZE];
    uuid_text(uuid, agent);
    if (tunnel != NULL) {
        (void)tunnel_find(tunnel, uuid->bytes, &view);
    }
    answer(exchange, &(struct route_query){.server = ROUTE_SERVER_ORTHRUS,
                                           .tunnel_configured = tunnel != NULL,
                                           .agent_uuid = agent,
                                           .agent_address = view.address});
}

void containers_list(struct exchange *exchange)
{
    struct question question = {.host = exchange_query(exchange, "host"),
                                .server_id =
                                    exchange_query(exchange, "server_id")};
    struct route_query query = {0};
    if (look_up(exchange, &question, &query)) {
        answer(exchange, &query);
    }
    free(question.host);
    free(question.server_id);
}
