/* api.h: the HTTP API: requests in, replies out (H-01..H-08).
 *
 * No sockets and no HTTP here: whoever serves HTTP turns what it received into
 * a struct api_request and sends the struct api_reply. Most replies are ready
 * when api_begin() returns. A container list waits for an engine: the adapter
 * keeps its struct api_call until done() comes from the loop, or cancels it
 * when the client has gone.
 *
 * One thread, the loop's.
 */
#ifndef SERVER_API_H
#define SERVER_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/span.h"

struct api;
struct api_pending; /* what a call waits for */
struct auth;
struct config;
struct loop;
struct store;
struct tunnel;
struct web;

/* Strings are NUL-terminated; a header that did not come is NULL. All are
 * borrowed until api_begin() returns. A header that came twice is the
 * adapter's to refuse (400). */
struct api_request {
    const char *method;         /* "GET" */
    const char *path;           /* "/api/v1/orthrus/agents", without query */
    const char *query;          /* without '?', not decoded; NULL: none */
    const char *authorization;  /* Authorization */
    const char *host;           /* Host, as it came */
    const char *origin;         /* Origin */
    const char *sec_fetch_site; /* Sec-Fetch-Site */
    const char *charon_url;     /* X-Charon-URL */
    const char *remote;         /* the peer's address, for the log */
    bool has_cors;              /* any Access-Control-Request-* */
    bool from_admin_socket;     /* came in on the admin unix socket (H-06) */
    bool tls;                   /* came in over TLS */
    uint64_t body_length;       /* as declared; api_admit() checks it */
    struct span body;           /* whole; empty for api_admit() */
};

struct api_reply {
    int status;               /* 200 */
    const char *content_type; /* static; NULL: no body, send no Content-Type */
    const char *allow;        /* Allow header, static; NULL: none */
    bool challenge;           /* send WWW-Authenticate: Bearer (admin's 401) */
    char *body;               /* malloc'd, NULL: empty; see api_reply_free() */
    size_t body_length;
};

/* One request under way. The adapter owns it, sets done and user, and keeps it
 * at one address from api_begin() until done() or api_cancel(). */
struct api_call {
    void (*done)(struct api_call *call); /* reply is ready, later; only if
                                            api_begin() returned false */
    void *user;
    struct api_reply reply;      /* yours once ready: api_reply_free() */
    struct api_pending *pending; /* the API's */
};

/* What the API stands on; all borrowed, all outlive it. */
struct api_parts {
    const struct config *config;
    struct store *store;
    struct auth *auth;
    struct tunnel *tunnel; /* NULL: no tunnel subsystem (AC-10) */
    struct loop *loop;
};

struct api *api_new(const struct api_parts *parts);
/* No call may be pending. */
void api_free(struct api *api);

/* Everything that can be refused on the head alone: host, browser, route,
 * method, credentials, length. Call it before reading a body. True: go on.
 * False: *reply is the refusal. */
bool api_admit(struct api *api, const struct api_request *request,
               struct api_reply *reply);

/* Handle a whole request (api_admit() is part of it). True: call->reply is
 * ready. False: done(call) will come, never before this returns. */
bool api_begin(struct api *api, struct api_call *call,
               const struct api_request *request);

/* The client has gone: forget the call, done() will not come. Harmless when
 * nothing is pending. */
void api_cancel(struct api_call *call);

void api_reply_free(struct api_reply *reply);

/* Who serves HTTP, for its counters in /metrics; NULL: nobody any more. */
void api_set_web(struct api *api, const struct web *web);

/* Not ready any more (/readyz 503), with this reason: "draining". Static. */
void api_not_ready(struct api *api, const char *reason);

#endif
