/* resolve.h: host names to addresses, without holding up the loop.
 *
 * A literal address needs no look-up. A name is looked up by getaddrinfo() in a
 * thread of its own, which is what glibc offers short of a resolver of ours; a
 * thread touches nothing but its own job. At most RESOLVE_THREADS_MAX run.
 */
#ifndef SERVER_RESOLVE_H
#define SERVER_RESOLVE_H

#include <stddef.h>
#include <stdint.h>

#include "net/loop.h"
#include "net/socket.h"

#define RESOLVE_THREADS_MAX 16u
#define RESOLVE_ADDRESSES_MAX 8u

struct resolve;

/* done() comes once, from the loop, never from within this call, with the
 * addresses in the order to try them, borrowed; count 0: the name has none, or
 * the look-up failed. NULL: too many look-ups are under way, or no memory. */
struct resolve *
resolve_begin(struct loop *loop, const char *host, uint16_t port,
              void (*done)(void *user, const struct socket_address *addresses,
                           size_t count),
              void *user);

/* done() will not come. Not after it came. */
void resolve_cancel(struct resolve *resolve);

#endif
