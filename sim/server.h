/* server.h: the modelled server: the real hub, agents, links and ports of the
 * core, with adapters to the sockets of sim/socket.h, and a store.
 *
 * The store is a disk: it outlives the process. Everything else is gone with
 * it. What the HTTP API does is a call here; what it must answer is judged by
 * sim/ask.h and the oracles, which know nothing of this file's insides.
 */
#ifndef SIM_SERVER_H
#define SIM_SERVER_H

#include "sim/world.h"

struct server *server_new(struct world *world);

void server_start(struct server *server); /* process and front door */
void server_crash(struct server *server, enum process_end end);
void server_stop(struct server *server); /* drain, then the process exits */
bool server_is_running(const struct server *server);

/* ---- the operator's words; false: the store refused, nothing changed ------
 */

bool server_provision(struct server *server, struct site *site);
bool server_revoke(struct server *server, struct site *site);
/* The key is replaced (site->key is the new one); the session of the old key is
 * closed. */
bool server_rotate(struct server *server, struct site *site);
bool server_delete(struct server *server, struct site *site);

/* ---- faults -------------------------------------------------------------- */

void server_fail_store(struct server *server, uint64_t until_us);
void server_pause(struct server *server, uint64_t until_us);
void server_jump_clock(struct server *server, int64_t by_ms); /* wall clock */

/* ---- questions ----------------------------------------------------------- */

/* The live proxy's port of a site's agent; 0: none (AC-02). */
uint16_t server_port(const struct server *server, const struct site *site);
/* The number of the current session, the first of a world is 1; 0: none. */
uint64_t server_session(const struct server *server, const struct site *site);
/* State of the current session, for sim_fault(). */
enum fault_state server_state(const struct server *server,
                              const struct site *site);
/* How long a drain waits for who is there (L-06). */
uint64_t server_drain_us(const struct server *server);
/* How long bytes lie that nobody takes, when both ends have finished (T13). */
uint64_t server_linger_us(const struct server *server);
/* The engine's address for a container list, as core/route.h decides:
 * *status is the HTTP status, *port the proxy if it is 200. */
struct ask_target {
    int status;
    uint16_t port;
};
void server_route(const struct server *server, const struct site *site,
                  uint32_t variety, struct ask_target *target);

/* After every step: invariants of hub, agents and links that this step touched
 * (all of them where that is cheap), one session and one listener an agent
 * (I9, AC-15), no session of a revoked key, memory within its formula, output
 * of the server legal (an independent reader of what it sends, O15). Fails by
 * sim_fail(). */
void server_check(struct server *server);
/* At the end: no session, connection, listener, descriptor or memory is left
 * but what an idle server has. */
void server_expect_idle(struct server *server);

#endif
