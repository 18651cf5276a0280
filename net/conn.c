#include "net/conn.h"

#include "net/transport.h"

void conn_init(struct conn *conn, const struct conn_ops *ops,
               struct transport *transport, uint32_t id)
{
    *conn = (struct conn){.ops = ops, .transport = transport, .id = id};
}

void conn_readable(struct conn *conn)
{
    link_readable(transport_link(conn->transport), conn->id);
    transport_wake(conn->transport);
}

void conn_written(struct conn *conn, size_t length)
{
    link_written(transport_link(conn->transport), conn->id, length);
    transport_wake(conn->transport);
}

void conn_half_closed(struct conn *conn)
{
    link_half_closed(transport_link(conn->transport),
                     transport_now_ms(conn->transport), conn->id);
    transport_wake(conn->transport);
}

void conn_finished(struct conn *conn)
{
    link_finished(transport_link(conn->transport), conn->id);
    transport_wake(conn->transport);
}

void conn_failed(struct conn *conn)
{
    link_failed(transport_link(conn->transport), conn->id);
    transport_wake(conn->transport);
}

void conn_closed(struct conn *conn)
{
    link_closed(transport_link(conn->transport), conn->id);
    transport_wake(conn->transport);
}

uint32_t conn_stream(const struct conn *conn)
{
    return link_stream(transport_link(conn->transport), conn->id);
}
