/* client.h: Docker clients of the server's loopback proxies.
 *
 * Every act of kind ACT_CLIENT is one client: it connects to the proxy of a
 * site (or finds none, which is a refused connection), does what its variety
 * says, and judges what it gets: every byte of every answer, how the answer
 * ends, and that no error looks like success (O1, O2, O3, O18, T14, T15). It
 * ends well, or with an error that it can see; in a healed world, where the
 * site's agent and engine were good all along, errors are failures, and so is
 * waiting beyond a bound (liveness, L-05).
 */
#ifndef SIM_CLIENT_H
#define SIM_CLIENT_H

#include "sim/world.h"

#define CLIENT_TABLE(X)                                                        \
    X(PING, "ping")               /* one request, Connection: close */         \
    X(LIST, "list")               /* the same, of the container list */        \
    X(KEEP_ALIVE, "keep-alive")   /* drawn requests on one connection */       \
    X(PIPELINED, "pipelined")     /* the same, all sent at once */             \
    X(GET, "get")                 /* amount bytes with Content-Length */       \
    X(LOGS, "logs")               /* amount bytes, chunked, slowly said */     \
    X(ATTACH, "attach")           /* hijack; amount bytes each way, half-close \
                                     from a drawn side first */                \
    X(BUILD, "build")             /* amount bytes of body, chunked answer */   \
    X(SLOW, "slow")               /* GET, read at a drawn low rate */          \
    X(STALLS, "stalls")           /* GET, stops reading for a drawn time */    \
    X(VANISHES, "vanishes")       /* its host is gone in the middle */         \
    X(RESETS, "resets")           /* RST in the middle */                      \
    X(HALF_CLOSES, "half-closes") /* FIN right after the request */            \
    X(SILENT, "silent")           /* connects and says nothing */              \
    X(BROWSER, "browser")         /* a page's request: Origin, hostile Host */ \
    X(FORBIDDEN, "forbidden") /* what a read-only agent must refuse: 403 */    \
    X(GARBAGE, "garbage")     /* no HTTP at all */

enum client_kind {
#define X(name, text) CLIENT_##name,
    CLIENT_TABLE(X)
#undef X
        CLIENT_KINDS
};

struct clients *clients_new(struct world *world);
void clients_start(struct clients *clients, const struct act *act);
void clients_check(struct clients *clients); /* after every step, cheap */
/* Healed: nobody stalls any more; whoever waits must get on. */
void clients_heal(struct clients *clients);
uint32_t clients_live(const struct clients *clients);
/* "liveness", naming the first that is left, unless there is none. */
void clients_expect_done(struct clients *clients);

struct clients_tally {
    uint64_t requests, requests_failed, bytes;
};
const struct clients_tally *clients_tally(const struct clients *clients);

#endif
