/* engine.h: a Docker Engine that says what it is told, on the test's loop.
 *
 * Each connection carries one request; the n-th gets the n-th answer. Bytes go
 * out as they are given, cut into pieces, and then the connection is closed,
 * reset or kept. */
#ifndef SERVER_TEST_ENGINE_H
#define SERVER_TEST_ENGINE_H

#include <stddef.h>

#include "net/loop.h"

#define ENGINE_CONNECTIONS 8u

enum engine_end { ENGINE_CLOSES, ENGINE_RESETS, ENGINE_HANGS };

struct engine_answer {
    const char *bytes;
    enum engine_end end;
};

struct engine_connection {
    struct engine *engine;
    struct loop_watch watch;
    struct loop_task task; /* sends the next piece */
    char request[1024];
    size_t length;
    const char *left; /* of the answer */
};

struct engine {
    struct loop *loop;
    struct loop_watch listener;
    unsigned port;
    size_t piece; /* bytes sent in one turn of the loop; 0: all */
    const struct engine_answer *answers;
    struct engine_connection connections[ENGINE_CONNECTIONS];
    size_t count; /* connections so far */
    size_t closed_by_client;
};

/* host: numeric, or the path of a unix socket. */
void engine_start(struct engine *engine, struct loop *loop, const char *host,
                  const struct engine_answer *answers);
void engine_stop(struct engine *engine);

#endif
