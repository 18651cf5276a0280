#include "net/transport_pool.h"

#include <openssl/rand.h>
#include <stdlib.h>

#include "core/contract.h"

#define FREE_BUFFERS_MAX 4u
#define RANDOM_SIZE 4096u
#define MASK_SIZE 4u

struct transport_pool {
    struct loop *loop;
    struct spill_pool *spills;
    struct transport_config config;
    struct transport_buffer *free;
    unsigned free_count;
    size_t random_left;
    uint8_t random[RANDOM_SIZE];
    uint8_t input[];
};

struct transport_pool *
transport_pool_create(struct loop *loop, struct spill_pool *spills,
                      const struct transport_config *config)
{
    struct transport_pool *pool;

    REQUIRE(config->receive_max >= 4096);
    REQUIRE(config->message_min >= 4096);
    REQUIRE(config->message_max >= config->message_min);
    REQUIRE(config->messages_max > 0);

    pool = calloc(1, sizeof *pool + config->receive_max);
    if (pool != NULL) {
        pool->loop = loop;
        pool->spills = spills;
        pool->config = *config;
    }
    return pool;
}

void transport_pool_destroy(struct transport_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    while (pool->free != NULL) {
        struct transport_buffer *buffer = pool->free;
        pool->free = buffer->next;
        free(buffer);
    }
    free(pool);
}

struct loop *transport_pool_loop(struct transport_pool *pool)
{
    return pool->loop;
}

struct spill_pool *transport_pool_spills(struct transport_pool *pool)
{
    return pool->spills;
}

const struct transport_config *
transport_pool_config(const struct transport_pool *pool)
{
    return &pool->config;
}

uint8_t *transport_pool_input(struct transport_pool *pool)
{
    return pool->input;
}

struct transport_buffer *transport_pool_take(struct transport_pool *pool)
{
    struct transport_buffer *buffer = pool->free;

    if (buffer != NULL) {
        pool->free = buffer->next;
        pool->free_count--;
        return buffer;
    }
    return malloc(sizeof *buffer + WS_HEADER_MAX + pool->config.message_max +
                  TRANSPORT_CONTROL_ROOM);
}

void transport_pool_give(struct transport_pool *pool,
                         struct transport_buffer *buffer)
{
    if (pool->free_count == FREE_BUFFERS_MAX) {
        free(buffer);
        return;
    }
    buffer->next = pool->free;
    pool->free = buffer;
    pool->free_count++;
}

const uint8_t *transport_pool_mask(struct transport_pool *pool)
{
    if (pool->random_left < MASK_SIZE) {
        if (RAND_bytes(pool->random, RANDOM_SIZE) != 1) {
            return NULL;
        }
        pool->random_left = RANDOM_SIZE;
    }
    pool->random_left -= MASK_SIZE;
    return pool->random + pool->random_left;
}
