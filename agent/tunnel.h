/* tunnel.h: one session: a WebSocket that was upgraded, the link on it, and the
 * relays of its streams.
 */
#ifndef AGENT_TUNNEL_H
#define AGENT_TUNNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/config.h"
#include "agent/dial.h"
#include "agent/relay.h"
#include "net/transport.h"

#define TUNNEL_REASON_SIZE 256u

struct tunnel;

struct tunnel_end {
    uint64_t lived_ms;
    uint64_t streams_total;
    const char *reason; /* one line; until ended() returns */
};

/* Takes result->fd and result->ssl. ended() is called once, from the loop, when
 * the transport and every relay are gone; the tunnel is released when it
 * returns. NULL (errno): fd and ssl are still yours. */
struct tunnel *
tunnel_open(struct transport_pool *transports, struct relay_pool *relays,
            const struct config *config, const struct dial_result *result,
            void (*ended)(void *user, const struct tunnel_end *end),
            void *user);

/* Take no new streams, and hang up once the last one has ended, or at the
 * latest when tunnel_close() is called. */
void tunnel_drain(struct tunnel *tunnel);

/* Say goodbye and hang up; streams that are open are reset. */
void tunnel_close(struct tunnel *tunnel);

uint32_t tunnel_streams(const struct tunnel *tunnel);       /* live */
uint64_t tunnel_streams_total(const struct tunnel *tunnel); /* of this one */
bool tunnel_is_alive(const struct tunnel *tunnel); /* false: it is ending */

#endif
