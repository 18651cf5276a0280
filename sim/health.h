/* health.h: was everything between a client and its engine well all the time?
 *
 * Then an error is a failure. A snapshot names the session, the processes and
 * the link that a client has begun on; it is unbroken as long as they are still
 * the same, and no act of the plan could have disturbed them meanwhile.
 */
#ifndef SIM_HEALTH_H
#define SIM_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/request.h"
#include "sim/world.h"

struct health {
    uint64_t since_us;
    uint32_t port; /* of the site's proxy; 0: none */
    uint64_t server_lives, agent_lives;
    bool serves;
    uint64_t session;
    uint64_t link; /* socket_number(); 0: none */
};

struct health health_of(const struct site *site);
bool health_is_unbroken(const struct health *health, const struct site *site);
/* The same, but that the server was told to drain, once, and is to wait yet:
 * for who has come to the engine before (L-06, T33). */
bool health_is_drained(const struct health *health, const struct site *site);
/* Did the server's process die since? Its kernel then says FIN for it. */
bool health_server_died(const struct health *health, const struct site *site);
/* Was no link stalled and the server not paused, ever since? For bounds on
 * time. */
bool health_is_prompt(const struct health *health, const struct site *site);
/* Which kinds of agent have this site's agents ever been? One bit a kind. */
uint32_t health_kinds(const struct site *site);
/* What holds for all of these: bytes of one may come when the next is here. */
struct remote_ways health_ways(const struct site *site);

#endif
