/* bridge.h: a connection of a link (net/conn.h) whose other side is a socket
 * (net/tcp.h), with nothing between.
 *
 * An accepted socket that breaks ends its stream at once (T17); of one that we
 * connected, what it said before is delivered first (T20, T31).
 */
#ifndef NET_BRIDGE_H
#define NET_BRIDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "net/conn.h"
#include "net/tcp.h"

struct bridge { /* fields belong to bridge.c */
    struct conn conn;
    struct tcp tcp;
    void (*ended)(struct bridge *bridge, enum status status);
    enum status status;
    bool accepted;
};

/* Server: after link_open() or agent_open() with user = &bridge->conn gave id.
 * Takes fd. ended() is called once, after the descriptor is closed and the
 * link has forgotten id; bridge may be freed there. status: STATUS_OK after an
 * orderly close, else why it was reset. False (errno): fd is still yours, and
 * so is id: link_closed() it. */
bool bridge_open(struct bridge *bridge, struct transport *transport,
                 uint32_t id, int fd,
                 void (*ended)(struct bridge *, enum status));

/* Agent: from transport_ops.offered(). Accepts the stream at once and connects;
 * a connect that fails resets the stream (STATUS_LOCAL_FAILED). False (errno):
 * nothing happened, link_refuse() it. */
bool bridge_connect(struct bridge *bridge, struct transport *transport,
                    uint32_t id, const struct socket_address *address,
                    uint64_t timeout_ms,
                    void (*ended)(struct bridge *, enum status));

#endif
