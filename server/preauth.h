/* preauth.h: how many connections may be busy before they have shown a key or
 * token (X14).
 *
 * Whoever connects holds a place until its request is authenticated or it goes.
 * Places are few, in all and for one address (IPv6: one /64). When they are all
 * taken, the holder of the longest standing gives way if it has had
 * PREAUTH_GRACE_MS, which is enough for an honest handshake; if all are
 * younger, the newcomer is refused, so that a storm of honest agents gets
 * through at the speed of the handshakes and does not evict itself.
 *
 * Pure: no sockets, no clock. The entry lives in the caller's connection.
 */
#ifndef SERVER_PREAUTH_H
#define SERVER_PREAUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define PREAUTH_GRACE_MS 1000u
#define PREAUTH_PREFIX_SIZE 8u

struct preauth_entry { /* zeroed: holds no place; fields belong to preauth.c */
    struct preauth_entry *older, *newer;
    uint64_t since_ms;
    uint8_t prefix[PREAUTH_PREFIX_SIZE];
    bool counted; /* for its address, too */
    bool holds;
};

struct preauth {
    size_t max;
    size_t per_address;
    size_t count; /* read-only */
    struct preauth_entry *oldest, *newest;
    uint64_t evicted, refused; /* only grow */
};

void preauth_init(struct preauth *preauth, size_t max, size_t per_address);

/* Take a place. address NULL: one that is not limited by itself (a proxy, a
 * unix socket, this host). True: entry holds a place; *victim, unless NULL, has
 * lost its own and must be ended. False: refused, *victim is NULL. Harmless
 * when it holds one. */
bool preauth_enter(struct preauth *preauth, struct preauth_entry *entry,
                   const struct sockaddr *address, uint64_t now_ms,
                   struct preauth_entry **victim);

/* Give the place back; harmless when none is held. */
void preauth_leave(struct preauth *preauth, struct preauth_entry *entry);

#endif
