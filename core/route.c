#include "core/route.h"

#include <string.h>

#include "core/contract.h"

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* This host's own engine: no selector, or "local". */
static bool selects_local(const char *host)
{
    size_t length = strlen(host);

    while (length > 0 && is_space(host[length - 1])) {
        length--;
    }
    while (length > 0 && is_space(*host)) {
        host++;
        length--;
    }
    return length == 0 || (length == 5 && memcmp(host, "local", 5) == 0);
}

static char *put(char *to, const char *text)
{
    size_t length = strlen(text);

    memcpy(to, text, length);
    return to + length;
}

static char *put_port(char *to, uint16_t port)
{
    char digits[5];
    size_t count = 0;

    do {
        digits[count++] = (char)('0' + port % 10);
        port = (uint16_t)(port / 10);
    } while (port > 0);
    while (count > 0) {
        *to++ = digits[--count];
    }
    return to;
}

static void answer_direct(struct route *route, const struct route_query *query)
{
    const char *host = query->server_host;
    char *to = put(route->address, "tcp://");

    REQUIRE(host != NULL);
    REQUIRE(strlen(host) <= ROUTE_HOST_MAX);
    route->kind = ROUTE_ADDRESS;
    bool is_ipv6 = strchr(host, ':') != NULL;
    to = put(to, is_ipv6 ? "[" : "");
    to = put(to, host);
    to = put(to, is_ipv6 ? "]:" : ":");
    to = put_port(to, query->server_port);
    *to = '\0';
}

static void answer_agent(struct route *route, const char *agent_address)
{
    size_t length = strlen(agent_address);

    REQUIRE(length < ROUTE_ADDRESS_SIZE - sizeof "tcp://");
    route->kind = ROUTE_ADDRESS;
    *put(put(route->address, "tcp://"), agent_address) = '\0';
}

static void answer_error(struct route *route, int status, const char *error)
{
    route->kind = ROUTE_ERROR;
    route->status = status;
    route->error = error;
}

static bool is_blank(const char *text)
{
    return text == NULL || *text == '\0';
}

void route_decide(struct route *route, const struct route_query *query)
{
    *route = (struct route){.kind = ROUTE_LOCAL, .status = 200};

    if (query->host != NULL && !selects_local(query->host)) {
        answer_error(route, 400, "Invalid docker host selector");
        return;
    }
    switch (query->server) {
    case ROUTE_SERVER_NONE:
        return;
    case ROUTE_SERVER_UNKNOWN:
        answer_error(route, 404, "Remote server not found");
        return;
    case ROUTE_SERVER_DIRECT:
        answer_direct(route, query);
        return;
    case ROUTE_SERVER_ORTHRUS:
        break;
    }
    /* the order is AC-10's: whatever else is missing, 503 comes first */
    if (!query->tunnel_configured) {
        answer_error(route, 503, "Orthrus subsystem unavailable");
    } else if (is_blank(query->agent_uuid)) {
        answer_error(route, 400,
                     "Remote server has no Orthrus agent UUID configured");
    } else if (is_blank(query->agent_address)) {
        answer_error(route, 502, "Orthrus agent is not currently connected");
    } else {
        answer_agent(route, query->agent_address);
    }
}
