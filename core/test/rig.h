/* rig.h: a client and an engine by script, around one filter.
 *
 * The rig does what an adapter does: it makes two connections agree with
 * filter_wants(), and moves bytes in pieces of any size. It is stricter than an
 * adapter where that finds faults: the lent buffer is spoiled whenever the
 * filter says that it holds nothing, and so are bytes that it took.
 */
#ifndef CORE_TEST_RIG_H
#define CORE_TEST_RIG_H

#include <stdbool.h>
#include <stddef.h>

#include "core/filter.h"

enum how { STAYS, FIN, RST };

/* What the engine says to a request, and how its connection ends after. */
struct reply {
    const char *bytes;
    enum how then;
};

enum end { OPEN, FINISHED, RESET };

struct outcome {
    char to_engine[200000]; /* of all connections, with | where one opens */
    size_t to_engine_length;
    char to_client[200000];
    size_t to_client_length;
    char log[4000]; /* of decisions */
    unsigned connections;
    enum end end;
    bool engine_open;
    bool engine_half_closed; /* some connection was, after its request */
    size_t client_left;      /* bytes that the filter did not take */
};

struct rig {
    struct filter_config config;
    const char *client;
    size_t client_length; /* 0: it is a string */
    bool client_fin;
    bool client_first; /* it acts whenever it can, not when all else waits */
    const struct reply *replies; /* to the engine's requests, in order */
    size_t reply_count;
    bool no_engine;
    bool time_out; /* what awaits a response times out */
    bool drop_idle;
    /* sizes of the pieces in which bytes move */
    size_t client_piece;
    size_t engine_piece;
    size_t send_piece;
};

struct rig rig_of(const char *client, const struct reply *replies,
                  size_t count);

/* Play until nothing happens any more. The outcome is valid until the next. */
const struct outcome *rig_play(const struct rig *rig);

/* Play the rig with pieces of every size up to 40 for each direction, and check
 * that the outcome is the same. Returns it. */
const struct outcome *rig_play_cut(const struct rig *rig);

/* A filter with its defaults and a buffer, one at a time. Then its client sends
 * PING, which goes to an engine. */
void rig_begin(struct filter *filter);
void rig_ask(struct filter *filter);

void rig_check_equal(const struct outcome *a, const struct outcome *b);
void rig_check_client(const struct outcome *out, const char *expected);
void rig_check_engine(const struct outcome *out, const char *expected);
bool rig_begins_with(const struct outcome *out, const char *text);

#define REPLIES(...)                     \
    (const struct reply[]){__VA_ARGS__}, \
        sizeof((const struct reply[]){__VA_ARGS__}) / sizeof(struct reply)
#define NO_REPLIES NULL, 0

#define PING "GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n"
#define INFO "GET /info HTTP/1.1\r\nHost: x\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"
#define JSON                                                \
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" \
    "5\r\n{\"a\":\r\n2\r\n1}\r\n0\r\n\r\n"
#define HIDDEN "POST /containers/x/pause HTTP/1.1\r\nHost: x\r\n\r\n"

#endif
