/* conn.h: one connection of a link, seen from its socket side.
 *
 * A transport moves bytes between its link and objects of this type. What is
 * behind one is its owner's business: net/bridge.h puts a socket there, the
 * agent puts its policy filter between. In the link, user is the struct conn.
 *
 * The operations are called by the transport. They may call conn_ functions for
 * any connection, but read() and write() not conn_closed(). The functions
 * report what happened: they forward to core/link.h and see to it that the
 * transport acts on the consequences in this turn of the loop.
 */
#ifndef NET_CONN_H
#define NET_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/link.h"
#include "core/span.h"

struct transport;
struct conn;

enum conn_result {
    CONN_MORE,     /* ask again when it is its turn */
    CONN_DRAINED,  /* nothing more now: conn_readable() will tell */
    CONN_FINISHED, /* end of file */
    CONN_FAILED    /* abnormal end */
};

struct conn_ops {
    /* Put up to capacity (>= 1) bytes at bytes; *length says how many, the
     * result what comes after them. 0 is allowed, but not with CONN_MORE. */
    enum conn_result (*read)(struct conn *conn, uint8_t *bytes, size_t capacity,
                             size_t *length);
    /* The same into a pipe, without a copy. NULL: cannot be done. */
    enum conn_result (*move)(struct conn *conn, int pipe, size_t capacity,
                             size_t *length);
    /* Take the bytes of count spans, in order, all of them: what cannot go on
     * at once is yours to keep (copied: spans are borrowed). Returns how many
     * bytes are done with; conn_written() reports the others, later. */
    size_t (*write)(struct conn *conn, const struct span *spans, size_t count);
    /* wants (enum conn_wants, the whole state) has changed; status says why if
     * CONN_WANTS_RESET is in it. CONN_WANTS_CLOSE and CONN_WANTS_RESET end in
     * conn_closed(), from here or later. */
    void (*change)(struct conn *conn, unsigned wants, enum status status);
};

struct conn {
    const struct conn_ops *ops;
    struct transport *transport;
    uint32_t id;  /* of the link */
    bool is_bulk; /* of the transport: move() is worth it */
};

/* Set the fields. id comes from link_open(), agent_open() (user = conn), or
 * from transport_ops.offered(), where link_accept(link, id, conn) is next. */
void conn_init(struct conn *conn, const struct conn_ops *ops,
               struct transport *transport, uint32_t id);

void conn_readable(struct conn *conn);
void conn_written(struct conn *conn, size_t length);
void conn_half_closed(struct conn *conn); /* EPOLLRDHUP, not read yet */
void conn_finished(struct conn *conn);    /* an end of file is all there is */
void conn_failed(struct conn *conn);
/* The socket is closed: conn may be freed when this returns. */
void conn_closed(struct conn *conn);

uint32_t conn_stream(const struct conn *conn); /* for logs */

#endif
