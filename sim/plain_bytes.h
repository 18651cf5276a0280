/* plain_bytes.h: a queue of bytes without a bound, for the agents that are not
 * ours (sim/plain.h). */
#ifndef SIM_PLAIN_BYTES_H
#define SIM_PLAIN_BYTES_H

#include <stddef.h>
#include <stdint.h>

#include "sim/sim.h"

struct plain_bytes {
    struct sim *sim;
    uint8_t *bytes;
    size_t first, length, room;
};

void plain_bytes_init(struct plain_bytes *queue, struct sim *sim);
void plain_bytes_free(struct plain_bytes *queue);

/* Length more bytes at the end, to be written by the caller now. */
uint8_t *plain_bytes_extend(struct plain_bytes *queue, size_t length);
void plain_bytes_add(struct plain_bytes *queue, const uint8_t *bytes,
                     size_t length);

uint8_t *plain_bytes_front(const struct plain_bytes *queue);
void plain_bytes_drop(struct plain_bytes *queue, size_t length);

#endif
