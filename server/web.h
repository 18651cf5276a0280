/* web.h: HTTP and TLS, by libwebsockets: requests to the API, upgrades to the
 * tunnel.
 *
 * The library's loop is the outer one: it waits for its own sockets and, as one
 * more descriptor, for ours (net/loop.h). web_run() is the program's one loop.
 *
 * An agent's upgrade is answered here: the key first, then everything else
 * (AC-16, orthrus-observed a.1). After the 101 the connection is taken from the
 * library and given to tunnel_admit(), with the bytes that it had read already.
 */
#ifndef SERVER_WEB_H
#define SERVER_WEB_H

#include <stdbool.h>
#include <stdint.h>

struct api;
struct auth;
struct config;
struct loop;
struct store;
struct tunnel;
struct web;

#define WEB_ERROR_SIZE 512u

/* All borrowed, all outlive it; the listening sockets are taken over. */
struct web_parts {
    const struct config *config;
    struct loop *loop;
    struct store *store;
    struct auth *auth;
    struct api *api;
    struct tunnel *tunnel;
    int main_fd;  /* listening; see server/listener.h */
    int admin_fd; /* listening, unix; -1: none */
};

struct web_counters { /* only grow */
    uint64_t requests;
    uint64_t upgrades;
    uint64_t unauthorized; /* upgrades with a bad key (AC-16) */
    uint64_t bad_requests; /* 400 of the head */
    uint64_t timeouts;     /* no complete head in time (X14) */
    uint64_t preauth_evicted;
    uint64_t preauth_refused;
};

/* NULL: error is one line; the sockets are still yours. */
struct web *web_open(const struct web_parts *parts, char error[WEB_ERROR_SIZE]);

/* Accepts no more connections to the main listener. Requests under way and the
 * admin socket go on. */
void web_close_listener(struct web *web);

/* Runs until web_stop(). */
void web_run(struct web *web);
void web_stop(struct web *web);

/* Ends every connection that is still there. */
void web_close(struct web *web);

struct web_counters web_counters(const struct web *web);

#endif
