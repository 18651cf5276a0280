/* process.h: a modelled process: what it owns, and how it dies.
 *
 * Sockets and listeners (sim/socket.h) are descriptors of a process; memory
 * that an adapter would ask the system for is reserved from it. Both may be
 * exhausted. A process that is killed loses all of it, and its owner drops its
 * own objects without another word.
 */
#ifndef SIM_PROCESS_H
#define SIM_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/sim.h"

struct block;
struct socket;
struct listener;

struct process { /* read-only but where a field says otherwise */
    struct sim *sim;
    char name[24]; /* "server", "agent 3": first word of its trace lines */
    bool alive;
    uint32_t descriptors;
    uint32_t descriptors_max; /* yours to set; default 65536 */
    size_t memory, memory_most;
    size_t memory_max;     /* yours to set; default SIZE_MAX */
    uint32_t refuse_in;    /* yours: the n-th reservation from now is refused;
                              0: none */
    uint32_t refuse_count; /* yours: and as many after it */
    struct socket *sockets;
    struct listener *listeners;
    struct block *blocks; /* its memory */
    uint64_t connects;    /* sockets that it ever opened */
    uint64_t lives;       /* how often it was started */
};

void process_init(struct process *process, struct sim *sim, const char *format,
                  ...) __attribute__((format(printf, 3, 4)));
void process_start(struct process *process); /* alive, owns nothing */

/* Zeroed, aligned for max_align_t; NULL: the system has none to give. */
void *process_alloc(struct process *process, size_t size);
void process_release(struct process *process, void *memory); /* NULL is fine */

enum process_end {
    PROCESS_EXITS,   /* the kernel closes its sockets: RST where bytes are
                        unread, else FIN, after what was sent has gone out */
    PROCESS_VANISHES /* the host lost power or its network: no word to anybody,
                        its peers' connections are half-open */
};

/* Whatever it had is gone: sockets are closed (no ready() comes any more) and
 * freed, listeners closed, memory released. Harmless if not alive. */
void process_kill(struct process *process, enum process_end end);

/* "leak" unless it owns no socket, no listener and no memory. */
void process_expect_empty(const struct process *process);

#endif
