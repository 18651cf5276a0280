/* backoff.h: how long to wait before the next dial (U-02, OP P7).
 *
 * The delay doubles from min_ms with every failure in a row. It is then moved
 * by chance, by up to half of itself either way, so that the agents of a server
 * that restarted do not come back in step; it never exceeds max_ms.
 *
 * Pure functions of their arguments: the same random number gives the same
 * delay.
 */
#ifndef AGENT_BACKOFF_H
#define AGENT_BACKOFF_H

#include <stdint.h>

struct backoff {
    uint64_t min_ms; /* 1..max_ms; default 5000 */
    uint64_t max_ms; /* at most 86400000; default 60000. A connection that lived
                        as long ends the row of failures */
    uint32_t row;    /* failures in a row; begins at 0 */
};

/* The delay after one more failure, of a connection that lived for lived_ms (0:
 * it was never up). random: any 32 random bits. */
uint64_t backoff_next(struct backoff *backoff, uint64_t lived_ms,
                      uint32_t random);

/* mean_ms moved by up to half of itself: mean_ms / 2 .. mean_ms * 3 / 2. For
 * what is retried slowly, at a fixed pace. */
uint64_t backoff_jitter(uint64_t mean_ms, uint32_t random);

#endif
