/* IMPLEMENTATION NOTES
 *
 * One entry a port, indexed by the port's number. Entries that were ever used
 * hang in chains by the keyed hash of their agent's uuid, the most recently
 * used first: an agent's last port is the first entry of its chain that is its
 * own. Port 0 is never used, so 0 ends a chain and zeroed memory is an empty
 * table.
 */
#include "core/port.h"

#include <stdalign.h>
#include <string.h>

#include "core/contract.h"
#include "core/siphash.h"

#define PORTS 65536u

struct entry {
    uint64_t used_ms;
    uint8_t uuid[PORT_UUID_SIZE];
    uint16_t next, previous; /* in the chain; 0: end, or first */
    bool used;
};

struct port_table {
    struct port_config config;
    uint16_t first[PORTS]; /* of the chain of a hash */
    struct entry entries[PORTS];
};

static uint16_t chain_of(const struct port_table *table, const uint8_t *uuid)
{
    return (uint16_t)siphash(table->config.hash_key, uuid, PORT_UUID_SIZE);
}

size_t port_size(void)
{
    return sizeof(struct port_table);
}

struct port_table *port_init(void *memory, size_t size,
                             const struct port_config *config)
{
    REQUIRE((uintptr_t)memory % alignof(max_align_t) == 0);
    REQUIRE(size >= sizeof(struct port_table));
    struct port_table *table = memory;
    table->config = *config;
    return table;
}

/* Of an entry that was used. */
static bool belongs_to(const struct entry *entry, const uint8_t *uuid)
{
    return memcmp(entry->uuid, uuid, PORT_UUID_SIZE) == 0;
}

bool port_may_use(const struct port_table *table, uint16_t port,
                  const uint8_t uuid[PORT_UUID_SIZE], uint64_t now_ms)
{
    REQUIRE(port > 0);
    const struct entry *entry = &table->entries[port];

    if (!entry->used || belongs_to(entry, uuid)) {
        return true;
    }
    return now_ms >= entry->used_ms &&
           now_ms - entry->used_ms >= table->config.quarantine_ms;
}

static void unlink_entry(struct port_table *table, struct entry *entry)
{
    if (entry->previous != 0) {
        table->entries[entry->previous].next = entry->next;
    } else {
        table->first[chain_of(table, entry->uuid)] = entry->next;
    }
    if (entry->next != 0) {
        table->entries[entry->next].previous = entry->previous;
    }
}

void port_use(struct port_table *table, uint16_t port,
              const uint8_t uuid[PORT_UUID_SIZE], uint64_t now_ms)
{
    REQUIRE(port > 0);
    struct entry *entry = &table->entries[port];

    if (entry->used) {
        unlink_entry(table, entry);
    }
    memcpy(entry->uuid, uuid, PORT_UUID_SIZE);
    entry->used = true;
    entry->used_ms = now_ms;

    uint16_t *first = &table->first[chain_of(table, uuid)];
    entry->previous = 0;
    entry->next = *first;
    if (*first != 0) {
        table->entries[*first].previous = port;
    }
    *first = port;
}

uint16_t port_last(const struct port_table *table,
                   const uint8_t uuid[PORT_UUID_SIZE])
{
    uint16_t port = table->first[chain_of(table, uuid)];

    while (port != 0 && !belongs_to(&table->entries[port], uuid)) {
        port = table->entries[port].next;
    }
    return port;
}

void port_invariant(const struct port_table *table)
{
    uint32_t linked = 0;
    uint32_t used = 0;

    for (uint32_t chain = 0; chain < PORTS; chain++) {
        uint16_t previous = 0;
        for (uint16_t port = table->first[chain]; port != 0;
             port = table->entries[port].next) {
            const struct entry *entry = &table->entries[port];
            INVARIANT(entry->used);
            INVARIANT(entry->previous == previous);
            INVARIANT(chain_of(table, entry->uuid) == chain);
            linked++;
            INVARIANT(linked < PORTS); /* no cycle */
            previous = port;
        }
    }
    for (uint32_t port = 0; port < PORTS; port++) {
        used += table->entries[port].used ? 1 : 0;
    }
    INVARIANT(!table->entries[0].used);
    INVARIANT(linked == used);
}
