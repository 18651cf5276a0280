/* link.h: the TCP connections that ride on one yamux session.
 *
 * A link is what both ends share: a session (core/mux.h) and, for each of its
 * streams, a connection of two independent pipes. The server's end opens a
 * stream for each accepted TCP connection; the agent's end accepts streams and
 * connects them to a socket. What the socket side must do is never queued: it
 * is state that can be asked for (link_next_change), so that a missed or
 * repeated call loses nothing.
 *
 * Conventions: as in core/mux.h. A connection is named by conn, a number that
 * is valid from link_open() or LINK_OFFERED until link_closed() or
 * link_refuse(). It may outlive its stream (bytes that the socket has not taken
 * yet); a stream never outlives its connection. link_stream() gives the yamux
 * stream id, the number to print in logs: it is the same at both ends.
 *
 * How a connection ends (L-03, L-04, T8-T17):
 *   - the socket's end of file travels as FIN, the peer's FIN as
 *     CONN_WANTS_FINISH once every byte before it was written;
 *   - both directions done and every byte written: CONN_WANTS_CLOSE, an
 *     orderly close; also if the session is lost after that, for linger_ms;
 *   - anything else (peer's RST, session lost, timeout): CONN_WANTS_RESET:
 *     deliver what was handed over, bounded in time, then reset the socket
 *     (RST, never FIN).
 */
#ifndef CORE_LINK_H
#define CORE_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/mux.h"

struct link; /* lives in memory that you provide */

struct link_config {
    struct mux_config mux;
    uint64_t linger_ms;  /* both ends have said their last word, and bytes make
                            no progress: reset after this long (T13). Default
                            5000, at most UINT32_MAX */
    bool unread_lingers; /* do bytes that the socket does not read count, too?
                            Client: yes, an engine that has answered may stop
                            reading for good. Server: no, a client that has
                            half-closed may read as slowly as it likes (L-03);
                            a dead one is found by TCP (T18) */
};

void link_config_default(struct link_config *config, enum mux_role role);
size_t link_size(const struct link_config *config);

/* memory: as for mux_init(), zeroed, lazily touched. */
struct link *link_init(void *memory, size_t size,
                       const struct link_config *config, uint64_t now_ms);

/* ---- transport ----------------------------------------------------------- */

enum link_event_kind {
    LINK_OFFERED, /* the peer opened conn: link_accept() or link_refuse() is
                     next, before any other call that takes now_ms */
    LINK_DATA     /* write data to the socket of user; then link_written() for
                     what it took, at once or later */
};

struct link_event {
    enum link_event_kind kind;
    uint32_t conn;
    void *user;       /* NULL for LINK_OFFERED */
    struct span data; /* borrowed from the input */
};

/* As mux_receive(). Other consequences show in link_next_change(),
 * link_wants() and link_status(). */
bool link_receive(struct link *link, uint64_t now_ms, struct span *input,
                  struct link_event *event);

/* As mux_heard(): bytes came that are not for link_receive(). */
void link_heard(struct link *link, uint64_t now_ms);

/* Control frames, whole; as mux_emit_control(). */
size_t link_emit(struct link *link, uint64_t now_ms, uint8_t *bytes,
                 size_t capacity);

struct link_read {
    uint32_t conn;
    void *user;
    size_t quota;
};

/* Whose socket to read now, straight into the outgoing frame. A question. */
bool link_next_read(const struct link *link, struct link_read *read);

void link_set_turn(struct link *link, uint32_t payload); /* mux_set_turn() */

/* length bytes of conn stand at frame + WIRE_HEADER_SIZE. Returns header plus
 * payload. */
size_t link_emit_data(struct link *link, uint32_t conn, uint8_t *frame,
                      size_t length);

/* The transport is gone or must go, status (class SESSION) says why; first
 * failure wins. Every connection then wants a reset. */
void link_fail(struct link *link, enum status status);

/* Take no new connections (mux_go_away()). */
void link_go_away(struct link *link, bool tell_peer);

/* ---- connections --------------------------------------------------------- */

/* A socket was accepted: open its stream. Statuses as mux_open(): refused,
 * nothing happened, *conn is not written. */
enum status link_open(struct link *link, uint64_t now_ms, void *user,
                      uint32_t *conn);
void link_accept(struct link *link, uint32_t conn, void *user);
void link_refuse(struct link *link, uint32_t conn); /* RST; conn is dead */

/* What happened to the socket. Each may come late or twice: what no longer
 * matters, because the connection ended meanwhile, changes nothing. */
void link_readable(struct link *link, uint32_t conn); /* it may have bytes */
void link_drained(struct link *link, uint32_t conn);  /* recv said EAGAIN */
void link_finished(struct link *link, uint32_t conn); /* recv said 0 */
void link_failed(struct link *link, uint32_t conn);   /* recv or send failed */
/* The socket took length bytes of what LINK_DATA handed over. */
void link_written(struct link *link, uint32_t conn, size_t length);
/* The far end of the socket closed or half-closed (EPOLLRDHUP), seen without
 * reading: once the peer has finished and all of it was written, linger_ms
 * runs until what is still in the socket can be sent (T13); not where
 * unread_lingers is set: the reader is a client then, who may pause (T11). */
void link_half_closed(struct link *link, uint64_t now_ms, uint32_t conn);
/* The socket is closed: conn is dead. Legal at any time; if the connection was
 * not over, its stream is reset. */
void link_closed(struct link *link, uint32_t conn);

enum conn_wants {
    CONN_WANTS_READ = 1,   /* tell me when it is readable */
    CONN_WANTS_FINISH = 2, /* all is written: SHUT_WR */
    CONN_WANTS_CLOSE = 4,  /* all is written, both ways: close */
    CONN_WANTS_RESET = 8   /* what was handed over is flushed, bounded in time;
                              then close with RST */
};

struct link_change {
    uint32_t conn;
    void *user;
    unsigned wants; /* enum conn_wants, or-ed: the whole state, not a delta */
    enum status status; /* why, with CONN_WANTS_RESET; else STATUS_OK */
};

/* The next connection whose wants have changed since it was last returned. */
bool link_next_change(struct link *link, struct link_change *change);
unsigned link_conn_wants(const struct link *link, uint32_t conn);
uint32_t link_stream(const struct link *link, uint32_t conn);
void *link_user(const struct link *link, uint32_t conn);

/* Bytes that were handed over by LINK_DATA and not yet reported written;
 * never above its receive window. */
size_t link_unwritten(const struct link *link, uint32_t conn);

/* ---- time and questions -------------------------------------------------- */

/* Needed as long as there are connections, also after a failure. */
void link_tick(struct link *link, uint64_t now_ms);
uint64_t link_deadline(const struct link *link); /* UINT64_MAX: none; 0: now */

enum link_wants {
    LINK_WANTS_OUTPUT = 1, /* link_emit() or link_next_read() has something */
    LINK_HAS_CHANGES = 2,  /* link_next_change() has something */
    LINK_IS_OVER = 4,      /* failed and nothing left to emit: hang up */
    LINK_IDS_ARE_LOW = 8   /* replace the session when it suits (D10) */
};
unsigned link_wants(const struct link *link);
enum status link_status(const struct link *link); /* sticky */
bool link_peer_going_away(const struct link *link);
uint32_t link_conn_count(const struct link *link); /* not yet link_closed() */
const struct mux_counters *link_counters(const struct link *link);
uint64_t link_rtt_ms(const struct link *link);
void link_invariant(const struct link *link);

#endif
