/* exchange.h: one request inside the API: what its handler is given.
 *
 * A handler fills the reply, or leaves call->pending set and completes the call
 * later. Handlers are called only for what api_admit() let pass.
 */
#ifndef SERVER_EXCHANGE_H
#define SERVER_EXCHANGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/api.h"
#include "server/store.h"
#include "server/tunnel.h"

struct api {
    struct api_parts parts;
    const struct web *web;        /* NULL: not serving yet */
    const char *not_ready_reason; /* NULL: ready as far as we are told */
    int64_t started_at;           /* Unix time, ns */
    size_t pending_count;         /* calls not yet answered */
    size_t lists_under_way;       /* container lists among them */
    uint64_t replies[6];          /* by status / 100 */
    uint64_t lists_timed_out;     /* container lists that gave 504 */
};

/* What a call waits for, at the front of a handler's own struct. */
struct api_pending {
    struct api *api;
    struct api_call *call;
    void (*cancel)(struct api_pending *pending); /* forget it, free it */
};

struct exchange {
    struct api *api;
    const struct api_parts *parts;
    const struct api_request *request;
    const char *id; /* the path's {uuid}, as it came; "" if it has none */
    struct api_call *call;
    struct api_reply *reply;
};

/* Unix time, ns */
int64_t exchange_now(void);
#define EXCHANGE_TIME_SIZE 40u
/* RFC 3339, UTC, without trailing zeros: "2026-01-31T12:00:00.5Z" */
void exchange_time(int64_t time, char text[EXCHANGE_TIME_SIZE]);

/* ---- the body ------------------------------------------------------------ */

/* Parse the body as a JSON object that has none but these fields (NULL ends
 * them). NULL: the reply is a 400 that says what is wrong. */
json_t *exchange_body(struct exchange *exchange, const char *const *fields);

/* A field of that object. Absent or null: *value is unchanged. False: the reply
 * is a 400 that names the field. Strings are borrowed from the object. */
bool exchange_string(struct exchange *exchange, const json_t *object,
                     const char *field, size_t max, const char **value);
bool exchange_integer(struct exchange *exchange, const json_t *object,
                      const char *field, int64_t *value);
bool exchange_boolean(struct exchange *exchange, const json_t *object,
                      const char *field, bool *value);

/* Is it [A-Za-z0-9._ -]{1,64} and not blank? (H-02) False: the reply is a 400
 * that begins with what. */
bool exchange_name(struct exchange *exchange, const char *what,
                   const char *name);

/* ---- the rest of the request --------------------------------------------- */

/* The first value of this key in the query, decoded, malloc'd; NULL: it is not
 * there (or out of memory). */
char *exchange_query(const struct exchange *exchange, const char *key);

/* Where agents connect, "wss://host/api/v1/ws/orthrus/connect": from
 * X-Charon-URL, else public-url, else the Host (a.9). False: the reply is a
 * 400. */
#define EXCHANGE_URL_SIZE 512u
bool exchange_url(struct exchange *exchange, char url[EXCHANGE_URL_SIZE]);

/* The store failed: 500. */
void exchange_store_failed(struct exchange *exchange, const char *what);

/* ---- handlers ------------------------------------------------------------ */

void agents_list(struct exchange *exchange);
void agents_create(struct exchange *exchange);
void agents_get(struct exchange *exchange);
void agents_change(struct exchange *exchange);
void agents_delete(struct exchange *exchange);
void agents_revoke(struct exchange *exchange);
void agents_rotate(struct exchange *exchange);
void agents_snippets(struct exchange *exchange);
void agents_proxy_status(struct exchange *exchange);
void agents_containers(struct exchange *exchange);

void servers_list(struct exchange *exchange);
void servers_create(struct exchange *exchange);
void servers_get(struct exchange *exchange);
void servers_change(struct exchange *exchange);
void servers_delete(struct exchange *exchange);

void containers_list(struct exchange *exchange);
/* The same for one agent, without a remote server. */
void containers_of_agent(struct exchange *exchange, const struct uuid *uuid);

void metrics_show(struct exchange *exchange);
void openapi_show(struct exchange *exchange);

/* The handler replies later; pending lives until exchange_complete() or its
 * cancel(). */
void exchange_defer(struct exchange *exchange, struct api_pending *pending,
                    void (*cancel)(struct api_pending *pending));
/* The reply of a deferred call is there: hand it over. pending is free for its
 * owner to release afterwards, nothing else of the call is touched then. */
void exchange_complete(struct api_pending *pending);

/* ---- routes -------------------------------------------------------------- */

enum route_access {
    ACCESS_OPEN,      /* anybody, by any name: it tells nothing */
    ACCESS_METRICS,   /* anybody, while only this host can ask */
    ACCESS_MANAGEMENT /* admin token or admin socket (H-06) */
};

struct route_row {
    const char *method;
    const char *path; /* {uuid} stands for one segment */
    enum route_access access;
    void (*handle)(struct exchange *exchange);
};

size_t api_route_count(void);
const struct route_row *api_route_at(size_t index);

#endif
