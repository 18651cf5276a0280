/* store.h: the modelled server's disk: agents, their keys, and which loopback
 * port was whose. It outlives the process; what was acknowledged is on it
 * (K-03). It may refuse everything for a time.
 *
 * Keys are kept as digests; the digest is a toy, keyed like the ports' table.
 */
#ifndef SIM_STORE_H
#define SIM_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/key.h"
#include "core/span.h"
#include "sim/world.h"

struct store_agent {
    uint8_t uuid[WORLD_UUID_SIZE];
    uint8_t digest[KEY_DIGEST_SIZE];
    bool revoked;
};

struct store_port { /* the last use of a port */
    uint16_t port;
    uint8_t uuid[WORLD_UUID_SIZE];
    uint64_t used_ms; /* wall clock */
    bool missed;      /* the disk refused a later use */
};

struct store { /* memory of the world; read-only */
    struct sim *sim;
    uint64_t failing_until_us;
    struct store_agent *agents;
    size_t agent_count, agent_capacity;
    struct store_port *ports; /* oldest use first */
    size_t port_count, port_capacity;
};

void store_init(struct store *store, struct sim *sim);
void store_free(struct store *store);
void store_fail(struct store *store, uint64_t until_us);
bool store_is_failing(const struct store *store);

enum store_result { STORE_OK, STORE_NOT_FOUND, STORE_FAILED };

void store_digest(uint8_t digest[KEY_DIGEST_SIZE], struct span key);

/* STORE_OK: *agent is set; a revoked agent's key is not found. */
enum store_result store_find(const struct store *store,
                             const uint8_t digest[KEY_DIGEST_SIZE],
                             struct store_agent *agent);
enum store_result store_add(struct store *store,
                            const uint8_t uuid[WORLD_UUID_SIZE],
                            struct span key);
/* Lifts a revocation. */
enum store_result store_rotate(struct store *store,
                               const uint8_t uuid[WORLD_UUID_SIZE],
                               struct span key);
enum store_result store_revoke(struct store *store,
                               const uint8_t uuid[WORLD_UUID_SIZE]);
enum store_result store_remove(struct store *store,
                               const uint8_t uuid[WORLD_UUID_SIZE]);
/* A port served an agent, or has served it until now. A server that starts
 * knows no more than the disk: store_forget_missed(). */
enum store_result store_use_port(struct store *store, uint16_t port,
                                 const uint8_t uuid[WORLD_UUID_SIZE],
                                 uint64_t now_ms);
void store_forget_missed(struct store *store);

/* For oracles: what is on the disk, whether it answers or not. */
bool store_opens(const struct store *store, const uint8_t uuid[WORLD_UUID_SIZE],
                 const uint8_t digest[KEY_DIGEST_SIZE]);
const struct store_port *store_port_of(const struct store *store,
                                       uint16_t port);

#endif
