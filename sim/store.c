#include "sim/store.h"

#include <string.h>

#include "core/siphash.h"

void store_init(struct store *store, struct sim *sim)
{
    *store = (struct store){.sim = sim};
}

void store_free(struct store *store)
{
    sim_release(store->sim, store->agents);
    sim_release(store->sim, store->ports);
}

void store_fail(struct store *store, uint64_t until_us)
{
    store->failing_until_us = until_us;
}

bool store_is_failing(const struct store *store)
{
    return sim_now_us(store->sim) < store->failing_until_us;
}

void store_digest(uint8_t digest[KEY_DIGEST_SIZE], struct span key)
{
    for (size_t i = 0; i < KEY_DIGEST_SIZE / sizeof(uint64_t); i++) {
        const uint64_t secret[2] = {UINT64_C(0x6f72746872757321), i};
        uint64_t hash = siphash(secret, key.bytes, key.length);
        for (size_t j = 0; j < sizeof hash; j++) {
            digest[i * sizeof hash + j] = (uint8_t)(hash >> (8 * j));
        }
    }
}

/* Room for one more of size; doubles. */
static void *reserve(struct store *store, void *items, size_t count,
                     size_t *capacity, size_t size)
{
    if (count < *capacity) {
        return items;
    }
    *capacity = *capacity == 0 ? 8 : 2 * *capacity;
    void *larger = sim_alloc(store->sim, *capacity * size);
    if (count > 0) {
        memcpy(larger, items, count * size);
    }
    sim_release(store->sim, items);
    return larger;
}

static struct store_agent *agent_of(const struct store *store,
                                    const uint8_t uuid[WORLD_UUID_SIZE])
{
    for (size_t i = 0; i < store->agent_count; i++) {
        if (memcmp(store->agents[i].uuid, uuid, WORLD_UUID_SIZE) == 0) {
            return &store->agents[i];
        }
    }
    return NULL;
}

enum store_result store_find(const struct store *store,
                             const uint8_t digest[KEY_DIGEST_SIZE],
                             struct store_agent *agent)
{
    if (store_is_failing(store)) {
        return STORE_FAILED;
    }
    for (size_t i = 0; i < store->agent_count; i++) {
        const struct store_agent *known = &store->agents[i];
        if (!known->revoked && key_digest_equal(known->digest, digest)) {
            *agent = *known;
            return STORE_OK;
        }
    }
    return STORE_NOT_FOUND;
}

enum store_result store_add(struct store *store,
                            const uint8_t uuid[WORLD_UUID_SIZE],
                            struct span key)
{
    if (store_is_failing(store)) {
        return STORE_FAILED;
    }
    store->agents = reserve(store, store->agents, store->agent_count,
                            &store->agent_capacity, sizeof *store->agents);
    struct store_agent *agent = &store->agents[store->agent_count++];
    memcpy(agent->uuid, uuid, sizeof agent->uuid);
    store_digest(agent->digest, key);
    agent->revoked = false;
    return STORE_OK;
}

enum store_result store_rotate(struct store *store,
                               const uint8_t uuid[WORLD_UUID_SIZE],
                               struct span key)
{
    struct store_agent *agent = agent_of(store, uuid);

    if (store_is_failing(store)) {
        return STORE_FAILED;
    }
    if (agent == NULL) {
        return STORE_NOT_FOUND;
    }
    store_digest(agent->digest, key);
    agent->revoked = false;
    return STORE_OK;
}

enum store_result store_revoke(struct store *store,
                               const uint8_t uuid[WORLD_UUID_SIZE])
{
    struct store_agent *agent = agent_of(store, uuid);

    if (store_is_failing(store)) {
        return STORE_FAILED;
    }
    if (agent == NULL) {
        return STORE_NOT_FOUND;
    }
    agent->revoked = true;
    return STORE_OK;
}

enum store_result store_remove(struct store *store,
                               const uint8_t uuid[WORLD_UUID_SIZE])
{
    struct store_agent *agent = agent_of(store, uuid);

    if (store_is_failing(store)) {
        return STORE_FAILED;
    }
    if (agent == NULL) {
        return STORE_NOT_FOUND;
    }
    *agent = store->agents[--store->agent_count];
    return STORE_OK;
}

enum store_result store_use_port(struct store *store, uint16_t port,
                                 const uint8_t uuid[WORLD_UUID_SIZE],
                                 uint64_t now_ms)
{
    size_t kept = 0;

    for (size_t i = 0; i < store->port_count; i++) {
        store->ports[i].missed |=
            store->ports[i].port == port && store_is_failing(store);
    }
    if (store_is_failing(store)) {
        return STORE_FAILED;
    }
    for (size_t i = 0; i < store->port_count; i++) {
        if (store->ports[i].port != port) {
            store->ports[kept++] = store->ports[i];
        }
    }
    store->port_count = kept;
    store->ports = reserve(store, store->ports, store->port_count,
                           &store->port_capacity, sizeof *store->ports);
    struct store_port *use = &store->ports[store->port_count++];
    use->port = port;
    use->used_ms = now_ms;
    use->missed = false;
    memcpy(use->uuid, uuid, sizeof use->uuid);
    return STORE_OK;
}

void store_forget_missed(struct store *store)
{
    for (size_t i = 0; i < store->port_count; i++) {
        store->ports[i].missed = false;
    }
}

bool store_opens(const struct store *store, const uint8_t uuid[WORLD_UUID_SIZE],
                 const uint8_t digest[KEY_DIGEST_SIZE])
{
    const struct store_agent *agent = agent_of(store, uuid);

    return agent != NULL && !agent->revoked &&
           memcmp(agent->digest, digest, KEY_DIGEST_SIZE) == 0;
}

const struct store_port *store_port_of(const struct store *store, uint16_t port)
{
    for (size_t i = 0; i < store->port_count; i++) {
        if (store->ports[i].port == port) {
            return &store->ports[i];
        }
    }
    return NULL;
}
