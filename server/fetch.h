/* fetch.h: one HTTP request to a Docker Engine on a connection of its own.
 *
 * An agent may carry one request a connection only (orthrus-observed a.5), so
 * that is what is made: Connection: close, one answer, bounded. There is no
 * timeout in here: whoever waits cancels.
 */
#ifndef SERVER_FETCH_H
#define SERVER_FETCH_H

#include <stddef.h>

#include "core/http.h"
#include "net/loop.h"
#include "net/socket.h"

#define FETCH_HEAD_MAX 16384u
#define FETCH_VERSION_SIZE 8u /* "99.99", NUL */

enum fetch_result {
    FETCH_OK,          /* a whole answer, whatever its status */
    FETCH_UNREACHABLE, /* no connection, or it ended before an answer's head */
    FETCH_BROKEN,      /* the answer is cut short or is not HTTP */
    FETCH_TOO_LARGE    /* its body is above answer_max */
};

struct fetch_answer {
    enum fetch_result result;
    unsigned status;                      /* 0 unless FETCH_OK */
    char api_version[FETCH_VERSION_SIZE]; /* Api-Version; "" if not N.N */
    struct span body;                     /* borrowed until done() returns */
};

struct fetch;

struct fetch_request {
    const struct socket_address *addresses; /* tried in this order; copied */
    size_t count;                           /* 1.. */
    enum http_method method;                /* HTTP_GET or HTTP_HEAD */
    const char *path;                       /* copied */
    size_t answer_max;                      /* bytes of a body */
    void (*done)(void *user, const struct fetch_answer *answer);
    void *user;
};

/* done() comes once, from the loop, never from within this call; the fetch is
 * gone then. NULL: no memory. */
struct fetch *fetch_begin(struct loop *loop,
                          const struct fetch_request *request);

/* done() will not come; the connection is closed. Not after it came. */
void fetch_cancel(struct fetch *fetch);

#endif
