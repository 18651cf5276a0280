#include "net/transport_pool.h"

#include <fcntl.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/contract.h"
#include "net/sys.h"

#define FREE_BUFFERS_MAX 4u
#define PIPES_MAX 32u /* at most 8 MiB of the kernel's, by default */
#define RANDOM_SIZE 4096u
#define MASK_SIZE 4u

struct transport_pool {
    struct loop *loop;
    struct spill_pool *spills;
    struct transport_config config;
    struct transport_buffer *free;
    unsigned free_count;
    struct transport_pipe *pipes; /* free ones: empty */
    unsigned pipe_count;          /* all */
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
    REQUIRE(config->burst_max > 0);

    pool = calloc(1, sizeof *pool + config->receive_max);
    if (pool != NULL) {
        pool->loop = loop;
        pool->spills = spills;
        pool->config = *config;
    }
    return pool;
}

/* ---- pipes --------------------------------------------------------------- */

static void destroy_pipe(struct transport_pool *pool,
                         struct transport_pipe *pipe)
{
    (void)sys_close(pipe->in);
    (void)sys_close(pipe->out);
    free(pipe);
    pool->pipe_count--;
}

static struct transport_pipe *create_pipe(struct transport_pool *pool)
{
    struct transport_pipe *pipe;
    int fd[2];

    if (pool->pipe_count == PIPES_MAX ||
        (pipe = calloc(1, sizeof *pipe)) == NULL) {
        return NULL;
    }
    if (sys_pipe2(fd, O_NONBLOCK | O_CLOEXEC) != 0) {
        free(pipe);
        return NULL;
    }
    pipe->out = fd[0];
    pipe->in = fd[1];
    pool->pipe_count++;
    if (sys_fcntl(pipe->in, F_SETPIPE_SZ, (int)pool->config.message_max) <
        (int)pool->config.message_max) {
        destroy_pipe(pool, pipe); /* of no use: the user's limit is reached */
        return NULL;
    }
    return pipe;
}

bool transport_pool_pipe(struct transport_pool *pool,
                         struct transport_buffer *buffer)
{
    struct transport_pipe *pipe = pool->pipes;

    if (pipe != NULL) {
        pool->pipes = pipe->next;
    } else {
        pipe = create_pipe(pool);
    }
    buffer->pipe = pipe;
    return pipe != NULL;
}

/* ---- buffers ------------------------------------------------------------- */

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
    while (pool->pipes != NULL) {
        struct transport_pipe *pipe = pool->pipes;
        pool->pipes = pipe->next;
        destroy_pipe(pool, pipe);
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
    } else {
        buffer = malloc(sizeof *buffer + WS_HEADER_MAX +
                        pool->config.message_max + TRANSPORT_CONTROL_ROOM);
    }
    if (buffer != NULL) {
        buffer->pipe = NULL;
        buffer->piped = 0;
    }
    return buffer;
}

void transport_pool_give(struct transport_pool *pool,
                         struct transport_buffer *buffer)
{
    if (buffer->pipe != NULL) {
        if (buffer->piped > 0) {
            destroy_pipe(pool, buffer->pipe);
        } else {
            buffer->pipe->next = pool->pipes;
            pool->pipes = buffer->pipe;
        }
    }
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
