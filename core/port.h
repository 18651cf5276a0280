/* port.h: which agent a loopback port belonged to last (L-10, X6).
 *
 * A client that still holds 127.0.0.1:N of one agent must not reach another
 * with it, so a port that served one agent is not given to another until it has
 * been unused for quarantine_ms. The agent itself may have it back at once, and
 * gets it back if it can.
 *
 * How a listener is bound with it: try port_last() of the agent; else let the
 * kernel choose (port 0), and where port_may_use() says no, hold that socket,
 * choose again, bounded, and close those held. Then port_use(); and again when
 * the listener closes, for that is when the last use ended.
 *
 * Times are milliseconds of one clock. To survive a restart, store each
 * port_use() and repeat them, oldest first; the clock must then be one that
 * goes on over a restart. A clock that is set back only lengthens quarantines.
 */
#ifndef CORE_PORT_H
#define CORE_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PORT_UUID_SIZE 16u
#define PORT_QUARANTINE_MS 86400000u /* the default: 24 h */

struct port_table; /* lives in memory that you provide */

struct port_config {
    uint64_t quarantine_ms; /* 0: none */
    uint64_t hash_key[2];   /* any secret */
};

size_t port_size(void); /* about 2 MiB */

/* memory is aligned for max_align_t, at least port_size() bytes, and ZEROED;
 * the room of a port is first touched when that port is first used. */
struct port_table *port_init(void *memory, size_t size,
                             const struct port_config *config);

/* May this port serve this agent now? port: 1..65535. */
bool port_may_use(const struct port_table *table, uint16_t port,
                  const uint8_t uuid[PORT_UUID_SIZE], uint64_t now_ms);

/* This port serves this agent, or has served it until now. */
void port_use(struct port_table *table, uint16_t port,
              const uint8_t uuid[PORT_UUID_SIZE], uint64_t now_ms);

/* The port that this agent used last and that nobody has had since; 0: none. */
uint16_t port_last(const struct port_table *table,
                   const uint8_t uuid[PORT_UUID_SIZE]);

void port_invariant(const struct port_table *table); /* O(ports used) */

#endif
