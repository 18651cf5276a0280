/* ask.h: container lists asked of the server's API, against a model.
 *
 * An ask goes the way of GET /docker/containers: decided by the server
 * (server_route(): 400, 404, 503, 400, 502 in that order, else the agent's
 * proxy), then the list is fetched through that proxy by a client of
 * sim/client.h, who judges it. The model is written from the requirements
 * (H-01, AC-09..AC-12), not from core/route.c.
 */
#ifndef SIM_ASK_H
#define SIM_ASK_H

#include "sim/world.h"

/* Varieties of ACT_ASK: which server record is named. */
enum ask_kind {
    ASK_SITE,         /* the site's own remote server */
    ASK_NO_AGENT,     /* a remote server of type orthrus without agent uuid */
    ASK_EMPTY_AGENT,  /* the same with an empty one */
    ASK_UNKNOWN,      /* no such server */
    ASK_BAD_HOST,     /* a selector that is not allowed */
    ASK_DIRECT,       /* another connection type */
    ASK_UNCONFIGURED, /* a server without a tunnel subsystem */
    ASK_NOTHING,      /* neither that, nor an agent uuid */
    ASK_KINDS
};

struct asks *asks_new(struct world *world);
void asks_start(struct asks *asks, const struct act *act);

#endif
