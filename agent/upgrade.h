/* upgrade.h: what the agent says and hears before the WebSocket: CONNECT to a
 * proxy, the upgrade request, their answers (orthrus-observed a.1, RFC 6455
 * 4.1).
 *
 * Pure functions; no state.
 */
#ifndef AGENT_UPGRADE_H
#define AGENT_UPGRADE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/url.h"
#include "core/span.h"

#define UPGRADE_REQUEST_MAX 4096u
#define UPGRADE_NONCE_SIZE 16u /* random bytes */
#define UPGRADE_ERROR_SIZE 256u

/* What the agent calls itself; both of header-safe characters. */
struct upgrade_identity {
    const char *key;      /* at most 512 characters */
    const char *agent_id; /* at most 128 */
};

/* Both return the length. */
size_t upgrade_request(char request[UPGRADE_REQUEST_MAX],
                       const struct url *server,
                       const struct upgrade_identity *identity,
                       const uint8_t nonce[UPGRADE_NONCE_SIZE]);
size_t upgrade_connect_request(char request[UPGRADE_REQUEST_MAX],
                               const struct url *server,
                               const struct url *proxy);

struct upgrade_answer {
    unsigned status;                /* 0: it was no HTTP */
    char error[UPGRADE_ERROR_SIZE]; /* what is wrong, and the remedy */
};

/* head: up to and with the empty line. True: the WebSocket (the tunnel through
 * the proxy) is open. False: *answer says why not. */
bool upgrade_check(struct upgrade_answer *answer, struct span head,
                   const uint8_t nonce[UPGRADE_NONCE_SIZE]);
bool upgrade_check_connect(struct upgrade_answer *answer, struct span head);

#endif
