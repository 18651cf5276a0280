#include "sim/bridge.h"

/* ---- the link's side ----------------------------------------------------- */

/* conn is the first member, so that the one pointer is the other. */
static struct bridge *of(struct conn *conn)
{
    return (struct bridge *)(void *)conn;
}

_Static_assert(offsetof(struct bridge, conn) == 0, "see of()");

static enum conn_result on_read(struct conn *conn, uint8_t *bytes,
                                size_t capacity, size_t *length)
{
    switch (tcp_read(&of(conn)->tcp, bytes, capacity, length)) {
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

static size_t on_write(struct conn *conn, struct span data)
{
    return tcp_write(&of(conn)->tcp, data);
}

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
    .read = on_read, .write = on_write, .change = on_change};

/* ---- the socket's side --------------------------------------------------- */

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
    conn_half_closed(&bridge->conn);
}

static void on_broken(void *user, bool ours)
{
    struct bridge *bridge = user;

    (void)ours;
    conn_failed(&bridge->conn);
}

static void on_closed(void *user)
{
    struct bridge *bridge = user;

    conn_closed(&bridge->conn);
    bridge->ended(bridge, bridge->status);
}

static const struct tcp_ops tcp_ops = {
    .readable = on_readable,
    .written = on_written,
    .half_closed = on_half_closed,
    .broken = on_broken,
    .closed = on_closed,
};

void bridge_open(struct bridge *bridge, struct transport *transport,
                 struct spill_pool *spills, uint32_t id, struct socket *socket,
                 void (*ended)(struct bridge *, enum status))
{
    *bridge = (struct bridge){.ended = ended, .status = STATUS_OK};
    conn_init(&bridge->conn, &conn_ops, transport, id);
    tcp_open(&bridge->tcp, transport->pool->loop, spills, socket, &tcp_ops,
             bridge);
    transport_wake(transport); /* the stream's SYN is to be sent */
}
