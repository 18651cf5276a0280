/* bridge.h: a connection of a link whose other side is a socket, with nothing
 * between (net/bridge.h over sim/tcp.h). */
#ifndef SIM_BRIDGE_H
#define SIM_BRIDGE_H

#include "sim/tcp.h"
#include "sim/transport.h"

struct bridge { /* fields belong to bridge.c */
    struct conn conn;
    struct tcp tcp;
    void (*ended)(struct bridge *bridge, enum status status);
    enum status status;
};

/* After agent_open() with user = &bridge->conn gave id. Takes socket. ended()
 * is called once, after the socket is closed and the link has forgotten id;
 * bridge may be freed there. */
void bridge_open(struct bridge *bridge, struct transport *transport,
                 struct spill_pool *spills, uint32_t id, struct socket *socket,
                 void (*ended)(struct bridge *, enum status));

#endif
