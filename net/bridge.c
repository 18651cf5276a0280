#include "net/bridge.h"

#include <errno.h>

#include "net/transport.h"

/* ---- the link's side ----------------------------------------------------- */

/* conn is the first member, so that the one pointer is the other. */
static struct bridge *of(struct conn *conn)
{
    return (struct bridge *)(void *)conn;
}

_Static_assert(offsetof(struct bridge, conn) == 0, "see of()");

static enum conn_result translate(enum tcp_result result)
{
    switch (result) {
    case TCP_MORE:
        return CONN_MORE;
    case TCP_DRAINED:
        return CONN_DRAINED;
    case TCP_FINISHED:
        return CONN_FINISHED;
    case TCP_FAILED:
        break;
    }
    return CONN_FAILED;
}

static enum conn_result on_read(struct conn *conn, uint8_t *bytes,
                                size_t capacity, size_t *length)
{
    return translate(tcp_read(&of(conn)->tcp, bytes, capacity, length));
}

static enum conn_result on_move(struct conn *conn, int pipe, size_t capacity,
                                size_t *length)
{
    return translate(tcp_move(&of(conn)->tcp, pipe, capacity, length));
}

static size_t on_write(struct conn *conn, const struct span *spans,
                       size_t count)
{
    return tcp_write(&of(conn)->tcp, spans, count);
}

/* CONN_WANTS_READ needs no answer: the socket's edges are reported anyway. */
static void on_change(struct conn *conn, unsigned wants, enum status status)
{
    struct bridge *bridge = of(conn);

    if ((wants & CONN_WANTS_RESET) != 0) {
        bridge->status = status;
        tcp_reset(&bridge->tcp);
    } else if ((wants & CONN_WANTS_CLOSE) != 0) {
        tcp_close(&bridge->tcp);
    } else if ((wants & CONN_WANTS_FINISH) != 0) {
        tcp_finish(&bridge->tcp);
    }
}

static const struct conn_ops conn_ops = {
    .read = on_read,
    .move = on_move,
    .write = on_write,
    .change = on_change,
};

/* ---- the socket's side --------------------------------------------------- */

static void on_connected(void *user, int error)
{
    struct bridge *bridge = user;
    if (error != 0) {
        conn_failed(&bridge->conn);
    }
}

static void on_readable(void *user)
{
    struct bridge *bridge = user;
    conn_readable(&bridge->conn);
}

static void on_written(void *user, size_t length)
{
    struct bridge *bridge = user;
    conn_written(&bridge->conn, length);
}

static void on_half_closed(void *user)
{
    struct bridge *bridge = user;
    if (tcp_is_finished(&bridge->tcp)) {
        conn_finished(&bridge->conn);
    } else {
        conn_half_closed(&bridge->conn);
    }
}

static void on_broken(void *user, int error)
{
    struct bridge *bridge = user;
    if (bridge->accepted || error == ENOMEM) {
        conn_failed(&bridge->conn);
    }
}

static void on_closed(void *user)
{
    struct bridge *bridge = user;
    conn_closed(&bridge->conn);
    bridge->ended(bridge, bridge->status);
}

static const struct tcp_ops tcp_ops = {
    .connected = on_connected,
    .readable = on_readable,
    .written = on_written,
    .half_closed = on_half_closed,
    .broken = on_broken,
    .closed = on_closed,
};

bool bridge_open(struct bridge *bridge, struct transport *transport,
                 uint32_t id, int fd,
                 void (*ended)(struct bridge *, enum status))
{
    struct transport_pool *pool = transport->pool;

    *bridge = (struct bridge){.ended = ended, .accepted = true};
    conn_init(&bridge->conn, &conn_ops, transport, id);
    if (!tcp_open(&bridge->tcp, transport_pool_loop(pool),
                  transport_pool_spills(pool), fd, &tcp_ops, bridge)) {
        return false;
    }
    transport_wake(transport); /* the stream's SYN is to be sent */
    return true;
}

bool bridge_connect(struct bridge *bridge, struct transport *transport,
                    uint32_t id, const struct socket_address *address,
                    uint64_t timeout_ms,
                    void (*ended)(struct bridge *, enum status))
{
    struct transport_pool *pool = transport->pool;

    *bridge = (struct bridge){.ended = ended};
    conn_init(&bridge->conn, &conn_ops, transport, id);
    if (!tcp_connect(&bridge->tcp, transport_pool_loop(pool),
                     transport_pool_spills(pool), address, timeout_ms, &tcp_ops,
                     bridge)) {
        return false;
    }
    link_accept(transport_link(transport), id, &bridge->conn);
    return true;
}
