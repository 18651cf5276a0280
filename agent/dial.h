/* dial.h: one attempt to reach the server: look-up, TCP, proxy, TLS, upgrade.
 *
 * Everything happens on the loop. A name with several addresses has each of
 * them tried in turn; the time that is left is shared out among them. Whatever
 * goes wrong, done() gets one line that says at which step and what to do.
 */
#ifndef AGENT_DIAL_H
#define AGENT_DIAL_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/config.h"
#include "agent/resolve.h"
#include "agent/upgrade.h"
#include "core/span.h"
#include "net/loop.h"

#define DIAL_HEAD_MAX 16384u /* of the server's or the proxy's answer */
#define DIAL_ERROR_SIZE 768u

struct dial;

struct dial_result {
    int fd;            /* the WebSocket, yours; -1: error says why not */
    SSL *ssl;          /* yours; NULL: plain */
    struct span early; /* of the WebSocket, read with the 101; until done()
                          returns */
    unsigned status;   /* of the server's answer; 0: none came */
    const char *error; /* until done() returns */
};

/* config outlives the dial. The proxy comes from the environment. done() is
 * called once, never from within; the dial is released when it returns. NULL:
 * no memory. */
struct dial *dial_start(
    struct loop *loop, struct resolver *resolver, const struct config *config,
    void (*done)(void *user, const struct dial_result *result), void *user);

/* Give up at once; done() is not called. */
void dial_cancel(struct dial *dial);

#endif
