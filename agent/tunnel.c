#include "agent/tunnel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "core/link.h"
#include "net/log.h"
#include "net/sys.h"

struct tunnel {
    struct transport transport;
    struct relay_pool *relays;
    struct link *link;
    size_t link_size;
    struct mux_growth growth; /* of the link's receive windows (Y-04) */
    void (*ended)(void *user, const struct tunnel_end *end);
    void *user;
    uint64_t opened_ms;
    bool draining;
};

/* The link's memory: zeroed, and touched only where streams come to be. */
static bool map_link(struct tunnel *tunnel, const struct link_config *config,
                     uint64_t now_ms)
{
    size_t size = link_size(config);
    void *memory = sys_mmap(NULL, size, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED) {
        return false;
    }
    tunnel->link_size = size;
    tunnel->link = link_init(memory, size, config, now_ms);
    return true;
}

static void release(struct tunnel *tunnel)
{
    if (tunnel->link != NULL) {
        sys_munmap(tunnel->link, tunnel->link_size);
    }
    free(tunnel);
}

/* The existing server opens streams and never expects one (a.4). */
static bool configure(struct tunnel *tunnel, struct link_config *link,
                      const struct config *config)
{
    link_config_default(link, MUX_CLIENT);
    /* Grown windows alone never use the spill up. */
    tunnel->growth.max = config->spill_budget / 2;
    link->mux.growth = &tunnel->growth;
    link->mux.growth_max = (uint32_t)config->recv_window_growth;
    link->mux.inbound_max = config->streams_max;
    link->mux.outbound_max = 0;
    link->mux.ping_interval_ms = config->ping_interval_ms;
    link->mux.ping_missed_max = config->ping_missed_max;
    return sys_getrandom(link->mux.hash_key, sizeof(link->mux.hash_key), 0) ==
           (ssize_t)sizeof(link->mux.hash_key);
}

/* ---- the transport's side ------------------------------------------------ */

static void on_offered(struct transport *transport, uint32_t id)
{
    struct tunnel *tunnel = transport->user;
    relay_offer(tunnel->relays, transport, id);
}

static void on_step(struct transport *transport)
{
    struct tunnel *tunnel = transport->user;

    if ((link_wants(tunnel->link) & LINK_IS_OVER) != 0) {
        transport_close(transport,
                        status_go_away(link_status(tunnel->link)) != 0
                            ? WS_CLOSE_PROTOCOL
                            : WS_CLOSE_GOING_AWAY);
    } else if (tunnel->draining && link_conn_count(tunnel->link) == 0) {
        transport_close(transport, WS_CLOSE_GOING_AWAY);
    }
}

/* Why: of the transport if it was lost, else of the link. */
static void describe(const struct tunnel *tunnel,
                     char reason[TUNNEL_REASON_SIZE])
{
    const struct transport *transport = &tunnel->transport;

    if (transport->reason == NULL) {
        snprintf(reason, TUNNEL_REASON_SIZE, "%s",
                 status_text(link_status(tunnel->link)));
    } else if (transport->error != 0) {
        snprintf(reason, TUNNEL_REASON_SIZE, "%s: %s", transport->reason,
                 strerror(transport->error));
    } else if (transport->peer_code != 0) {
        snprintf(reason, TUNNEL_REASON_SIZE, "%s (code %u)", transport->reason,
                 transport->peer_code);
    } else {
        snprintf(reason, TUNNEL_REASON_SIZE, "%s", transport->reason);
    }
}

static void on_ended(struct transport *transport)
{
    struct tunnel *tunnel = transport->user;
    char reason[TUNNEL_REASON_SIZE];
    struct tunnel_end end = {.lived_ms = transport_now_ms(transport) -
                                         tunnel->opened_ms,
                             .streams_total = tunnel_streams_total(tunnel),
                             .reason = reason};

    describe(tunnel, reason);
    tunnel->ended(tunnel->user, &end);
    release(tunnel);
}

static const struct transport_ops transport_ops = {
    .offered = on_offered,
    .step = on_step,
    .ended = on_ended,
};

/* ---- the owner's side ---------------------------------------------------- */

struct tunnel *
tunnel_open(struct transport_pool *transports, struct relay_pool *relays,
            const struct config *config, const struct dial_result *result,
            void (*ended)(void *user, const struct tunnel_end *end), void *user)
{
    uint64_t now_ms = loop_now_ms(transport_pool_loop(transports));
    struct tunnel *tunnel = calloc(1, sizeof(*tunnel));
    struct link_config link;

    if (tunnel == NULL) {
        return NULL;
    }
    tunnel->relays = relays;
    tunnel->ended = ended;
    tunnel->user = user;
    tunnel->opened_ms = now_ms;
    transport_prepare(transports, result->fd);
    if (!configure(tunnel, &link, config) || !map_link(tunnel, &link, now_ms) ||
        !transport_open(&tunnel->transport, transports, result->fd, result->ssl,
                        WS_CLIENT, tunnel->link, result->early, &transport_ops,
                        tunnel)) {
        int reason = errno;
        release(tunnel);
        errno = reason;
        return NULL;
    }
    return tunnel;
}

void tunnel_drain(struct tunnel *tunnel)
{
    tunnel->draining = true;
    link_go_away(tunnel->link, true);
    transport_wake(&tunnel->transport);
}

void tunnel_close(struct tunnel *tunnel)
{
    transport_close(&tunnel->transport, WS_CLOSE_GOING_AWAY);
}

uint32_t tunnel_streams(const struct tunnel *tunnel)
{
    return link_conn_count(tunnel->link);
}

uint64_t tunnel_streams_total(const struct tunnel *tunnel)
{
    return link_counters(tunnel->link)->streams_offered;
}

bool tunnel_is_alive(const struct tunnel *tunnel)
{
    return link_status(tunnel->link) == STATUS_OK;
}
