/* request.h: every request of a world, with what its client said and what its
 * engine did: the truth that answers are judged by.
 *
 * A client makes one before it sends it; the engine finds it again by the
 * number in the target, and fails the world if it is not letter for letter what
 * was sent, or is another site's (O1, O8). Requests live as long as the world.
 */
#ifndef SIM_REQUEST_H
#define SIM_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/message.h"
#include "sim/plan.h"
#include "sim/world.h"

/* Method and path, and does a read-only agent let it pass (PO-01..PO-05)? */
#define REQUEST_TABLE(X)                                \
    X(PING, "GET", "/_ping", true)                      \
    X(PING_HEAD, "HEAD", "/_ping", true)                \
    X(LIST, "GET", "/containers/json", true)            \
    X(INSPECT, "GET", "/containers/web/json", true)     \
    X(LOGS, "GET", "/containers/web/logs", true)        \
    X(EVENTS, "GET", "/events", true)                   \
    X(IMAGE, "GET", "/images/web/get", false)           \
    X(ATTACH, "POST", "/containers/web/attach", false)  \
    X(BUILD, "POST", "/build", false)                   \
    X(CREATE, "POST", "/containers/create", false)      \
    X(ARCHIVE, "GET", "/containers/web/archive", false) \
    X(REMOVE, "DELETE", "/containers/web/json", false)

enum request_kind {
#define X(name, method, path, passes) REQUEST_##name,
    REQUEST_TABLE(X)
#undef X
        REQUEST_KINDS
};

/* Who says its last word first on a hijacked connection. */
enum request_order { ORDER_FREE, ORDER_CLIENT, ORDER_ENGINE };

enum request_fate {
    FATE_UNSEEN,
    FATE_UNDER_WAY,
    FATE_ANSWERED, /* the engine has said all of its answer */
    FATE_CUT,      /* it stopped in the middle, with FIN */
    FATE_RESET,    /* the same, with RST */
    FATE_DIED,     /* it died over it */
    FATE_ABANDONED /* whoever asked was gone before the answer was */
};

struct health; /* sim/health.h */

struct request {
    uint64_t number; /* 1.. */
    uint32_t site;
    enum request_kind kind;
    bool is_versioned; /* /v1.41 before the path */
    bool is_last;      /* Connection: close */
    bool is_page;      /* a browser's: hostile Host, Origin */
    uint64_t draw;     /* of what the engine draws for it */
    uint64_t bytes;    /* of the answer's content */
    uint64_t takes;    /* of what the client sends as body, or hijacked */
    enum message_framing body;
    uint64_t delay_ms; /* before each piece, or before a hijack's last half */
    enum request_order order;

    /* the engine's word; of the last time, if it was sent again */
    uint32_t sightings;
    enum request_fate fate;
    unsigned status;      /* of its answer; 0: none, or none that is HTTP */
    uint64_t answer;      /* bytes of content of that answer */
    uint64_t sent;        /* bytes of it that the engine's kernel took */
    uint64_t taken;       /* bytes of content that came with the request */
    bool is_head_sent;    /* all of the answer's head is in sent */
    uint64_t answered_us; /* when it began to answer */

    /* the client's word */
    uint64_t said;               /* bytes of content that its kernel took */
    bool is_finished;            /* it has said FIN */
    bool is_aborted;             /* it went away in the middle */
    const struct health *health; /* of its path, when it connected; NULL: it is
                                    not judged by it */
};

struct requests;

/* The world's; made when it is first asked for. */
struct requests *requests_of(struct world *world);
struct request *request_new(struct world *world, uint32_t site,
                            enum request_kind kind);
/* NULL: there is none with this number. */
struct request *request_find(struct world *world, uint64_t number);

/* The number in a head's target; 0: none. */
uint64_t request_number(const char *head);
/* Key of what the engine answers, and of what the client sends. */
uint64_t request_key(const struct world *world, const struct request *request,
                     bool from_engine);
/* "GET /_ping?n=7": method and target, as it is sent. */
#define REQUEST_LINE_MAX 192u
void request_line(const struct request *request, char line[REQUEST_LINE_MAX]);
/* "GET /_ping", for the story. */
const char *request_text(const struct request *request);
/* The whole head. */
void request_print_head(const struct world *world,
                        const struct request *request, struct source *source);
/* "world" if the head that an engine received is not that of the request. */
void request_expect_head(const struct world *world,
                         const struct request *request,
                         const struct message *message);

/* ---- what agents do with requests ---------------------------------------- */

struct remote_ways {
    bool filters;     /* the read-only table stands before the engine */
    bool one_request; /* a connection; the answer says close */
    bool ends_well;   /* an abnormal end is never a FIN (L-04) */
    bool may_break;
};

struct remote_ways remote_ways(enum remote_kind kind);
bool request_passes(enum request_kind kind); /* the read-only table */

#endif
