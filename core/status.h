/* status.h: one table is the error model.
 *
 * The class says who must act:
 *   NONE     nobody
 *   LIMIT    this request is refused, nothing changed; try later or never
 *   STREAM   this stream (or connection) is over
 *   SESSION  the session is over; sticky; go_away is the code the peer is told
 *
 * Columns: name, class, go-away code (yamux spec, "Go Away"; 0 where the class
 * is not SESSION), sentence for people.
 */
#ifndef CORE_STATUS_H
#define CORE_STATUS_H

#include <stdint.h>

#define STATUS_TABLE(X)                                                        \
    X(STATUS_OK, NONE, 0, "success")                                           \
    X(STATUS_NO_STREAM_SLOT, LIMIT, 0, "too many open streams")                \
    X(STATUS_NO_STREAM_ID, LIMIT, 0, "stream ids of this session are used up") \
    X(STATUS_TOO_MANY_UNACKED, LIMIT, 0, "too many streams await an answer")   \
    X(STATUS_GOING_AWAY, LIMIT, 0, "the peer takes no new streams")            \
    X(STATUS_DRAINING, LIMIT, 0, "draining: no new streams")                   \
    X(STATUS_SESSION_CLOSED, LIMIT, 0, "the session is closed")                \
    X(STATUS_PROXY_STARTED, LIMIT, 0, "docker proxy already started")          \
    X(STATUS_AGENTS_MAX, LIMIT, 0, "too many connected agents")                \
    X(STATUS_RESET, STREAM, 0, "the peer reset the stream")                    \
    X(STATUS_OPEN_TIMEOUT, STREAM, 0, "the peer did not answer the open")      \
    X(STATUS_ACCEPT_TIMEOUT, STREAM, 0, "nobody accepted the stream in time")  \
    X(STATUS_DATA_AFTER_FIN, STREAM, 0, "data after the peer's FIN")           \
    X(STATUS_LOCAL_FAILED, STREAM, 0, "the local connection failed")           \
    X(STATUS_NOBODY_READS, STREAM, 0, "both ends closed, nobody reads")        \
    X(STATUS_BAD_VERSION, SESSION, 1, "frame version is not 0")                \
    X(STATUS_BAD_TYPE, SESSION, 1, "unknown frame type")                       \
    X(STATUS_BAD_STREAM_ID, SESSION, 1, "stream id of the wrong parity or 0")  \
    X(STATUS_BAD_SESSION_ID, SESSION, 1, "ping or go-away on a stream id")     \
    X(STATUS_DUPLICATE_SYN, SESSION, 1, "SYN for a stream that is open")       \
    X(STATUS_PEER_WINDOW, SESSION, 1, "data beyond the granted window")        \
    X(STATUS_CREDIT_OVERFLOW, SESSION, 1, "send window beyond 2^32-1")         \
    X(STATUS_ABUSE, SESSION, 1, "too many useless frames")                     \
    X(STATUS_PEER_ERROR, SESSION, 0, "the peer ended the session")             \
    X(STATUS_PEER_LEFT, SESSION, 0, "the peer took its leave")                 \
    X(STATUS_PING_TIMEOUT, SESSION, 0, "the peer is silent")                   \
    X(STATUS_TRANSPORT_LOST, SESSION, 0, "the transport is gone")              \
    X(STATUS_DISPLACED, SESSION, 0, "a newer session of this agent took over") \
    X(STATUS_REVOKED, SESSION, 0, "the agent was revoked or deleted")          \
    X(STATUS_SHUT_DOWN, SESSION, 0, "this side shut down")

enum status {
#define X(name, class, go_away, text) name,
    STATUS_TABLE(X)
#undef X
};

enum status_class {
    STATUS_CLASS_NONE,
    STATUS_CLASS_LIMIT,
    STATUS_CLASS_STREAM,
    STATUS_CLASS_SESSION
};

enum status_class status_class(enum status status);
uint32_t status_go_away(enum status status); /* 0, 1 or 2 */
const char *status_name(enum status status); /* "STATUS_RESET" */
const char *status_text(enum status status); /* lower case, no full stop */

#endif
