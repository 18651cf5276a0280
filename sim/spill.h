/* spill.h: bytes that a socket has not taken yet, in memory of its process.
 *
 * The caller bounds a spill by its stream's window. Memory may be refused: then
 * the spill lets go of all it has, and its connection must be reset.
 */
#ifndef SIM_SPILL_H
#define SIM_SPILL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/span.h"
#include "sim/process.h"

struct spill_piece;

struct spill_pool { /* of a process; read-only */
    struct process *process;
    size_t memory; /* of its spills, as the process counts it */
    uint64_t evictions;
};

struct spill {
    struct spill_pool *pool;
    struct spill_piece *first, *last;
    size_t length; /* bytes held: read it freely */
    size_t offset; /* of the first byte in the first piece */
};

void spill_init(struct spill *spill, struct spill_pool *pool);
/* Copy data to the end. False: no memory; the spill is empty. */
bool spill_append(struct spill *spill, struct span data);
/* The first bytes; length 0 if it is empty. Borrowed until the spill changes.
 */
struct span spill_front(const struct spill *spill);
void spill_consume(struct spill *spill, size_t length); /* <= length */
void spill_clear(struct spill *spill);

#endif
