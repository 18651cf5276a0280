/* visit.h: one connection that libwebsockets holds: its requests, its replies.
 *
 * Inside of server/web.h; nobody else includes it. A visit is in one state:
 *
 *   HEAD       between requests, or a head is on its way
 *   BODY       the head is in, the body is on its way
 *   WAITING    the API works on it
 *   REPLYING   the reply is being written
 *   UPGRADED   101 is written; the connection leaves the library
 *   EARLY      the same, but the library still holds bytes that are ours
 *   LEAVING    the descriptor is duplicated; the library lets go of its own
 *
 * Functions that return int return what the library's callback must return: 0
 * to go on, else it closes the connection.
 */
#ifndef SERVER_VISIT_H
#define SERVER_VISIT_H

#include <libwebsockets.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "net/acceptor.h"
#include "net/loop.h"
#include "server/api.h"
#include "server/preauth.h"
#include "server/request.h"
#include "server/store.h"
#include "server/tunnel.h"
#include "server/web.h"

/* lws_container_of(), whose cast clang takes for a misaligned one. */
#define WEB_OWNER_OF(pointer, type, member) \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

struct visit;

struct web {
    struct web_parts parts;
    struct lws_context *context;
    struct lws_vhost *vhost;
    lws_sorted_usec_list_t wake; /* when our loop has a timer or task due */
    struct acceptor main, admin;
    struct preauth preauth;
    struct visit *visits;
    struct web_counters counters;
    bool stopped;
};

enum visit_state {
    VISIT_HEAD,
    VISIT_BODY,
    VISIT_WAITING,
    VISIT_REPLYING,
    VISIT_UPGRADED,
    VISIT_EARLY,
    VISIT_LEAVING
};

struct visit_buffer {
    uint8_t *bytes;
    size_t length, size;
};

struct visit {
    struct web *web;
    struct lws *wsi; /* NULL: not adopted yet */
    struct visit *next, *previous;
    enum visit_state state;
    bool is_admin; /* came in on the admin socket */
    bool is_tls;
    bool is_shared; /* its address does not tell clients apart */
    bool adopting;
    bool close_after; /* this reply */
    bool discards;    /* the body of a request that was refused by its head */
    bool killed;
    struct sockaddr_storage peer;
    char remote[TUNNEL_REMOTE_SIZE];
    struct preauth_entry preauth;
    struct loop_timer timer; /* of the head, the body or the reply */

    /* the request under way */
    bool wants_websocket;
    struct request request;
    struct visit_buffer body;
    struct api_call call;

    /* the upgrade (upgrade.c) */
    lws_sorted_usec_list_t leave;
    struct tunnel_arrival arrival;
    uint64_t disconnects; /* of the tunnel, when its key was looked at */
    char name[STORE_NAME_SIZE];
    struct visit_buffer early;
};

/* A connection was accepted; fd is the library's when this returns. */
void visit_open(struct web *web, int fd, const struct sockaddr_storage *peer,
                bool is_admin);

/* The library has destroyed the connection. */
void visit_destroyed(struct visit *visit);

/* The library is about to drop a visit for a head beyond its limits, and will
 * neither say which, nor tell the client: answer 431 if it can only be one. */
void visit_head_too_large(struct web *web);

/* Let the library drop the connection, soon, without another word on it: no
 * shutdown, no TLS close. Harmless twice. */
void visit_kill(struct visit *visit);

int visit_head(struct visit *visit);
int visit_body(struct visit *visit, const void *bytes, size_t length);
int visit_body_end(struct visit *visit);
int visit_writable(struct visit *visit);

/* Does the library hold bytes that it has read and nobody has taken: of this
 * visit? Of others, so that it cannot be told of this one? */
void visit_held_bytes(struct visit *visit, bool *self, bool *others);

/* What a reply says beside its api_reply; zeroed: nothing. */
struct visit_extras {
    const char *header; /* a whole line with its CRLF; NULL: none */
    bool close;
};

/* Takes the reply's body. */
int visit_reply(struct visit *visit, struct api_reply *reply,
                struct visit_extras extras);
int visit_reply_error(struct visit *visit, int status, const char *text,
                      struct visit_extras extras);

void visit_set_timer(struct visit *visit, uint64_t timeout_ms);
bool visit_buffer_add(struct visit_buffer *buffer, const void *bytes,
                      size_t length);
void visit_buffer_free(struct visit_buffer *buffer);

#endif
