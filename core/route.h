/* route.h: where a container list comes from, or why it can't (H-01).
 *
 * GET /docker/containers?host=&server_id= is decided in a fixed order: 400
 * selector, 404, 503 subsystem, 400 uuid, 502, address (AC-09..AC-12). The
 * texts are what tools in the field match on (orthrus-observed a.9).
 *
 * Pure functions; no state. What follows the decision (503 daemon, 504, 500,
 * 200) is the business of whoever then talks to that engine.
 */
#ifndef CORE_ROUTE_H
#define CORE_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

#define ROUTE_HOST_MAX 255u
#define ROUTE_ADDRESS_SIZE 280u /* "tcp://[host]:65535" and its NUL */

enum route_server {
    ROUTE_SERVER_NONE,    /* no server_id was given */
    ROUTE_SERVER_UNKNOWN, /* server_id names no remote server */
    ROUTE_SERVER_DIRECT,  /* found; any connection_type but orthrus */
    ROUTE_SERVER_ORTHRUS  /* found; connection_type orthrus */
};

/* Strings may be NULL, which is the same as "". */
struct route_query {
    const char *host; /* the selector; white space around it is ignored */
    enum route_server server;

    const char *server_host; /* ROUTE_SERVER_DIRECT: name or IP address, */
    uint16_t server_port;    /* at most ROUTE_HOST_MAX characters, no [] */

    bool tunnel_configured;    /* is there a tunnel subsystem at all? */
    const char *agent_uuid;    /* of the remote server */
    const char *agent_address; /* agent_address() of the agent's session,
                                  "127.0.0.1:N"; "" if it has no session or
                                  the session has no live proxy */
};

enum route_kind {
    ROUTE_LOCAL,   /* the engine of this host */
    ROUTE_ADDRESS, /* the engine at address */
    ROUTE_ERROR    /* answer with status and error */
};

struct route {
    enum route_kind kind;
    int status;                       /* HTTP; 200 unless ROUTE_ERROR */
    const char *error;                /* static; NULL unless ROUTE_ERROR */
    char address[ROUTE_ADDRESS_SIZE]; /* "tcp://..."; "" unless ROUTE_ADDRESS */
};

void route_decide(struct route *route, const struct route_query *query);

#endif
