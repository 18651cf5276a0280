/* flow.h: one direction of a connection: bytes on their way, and its faults.
 *
 * A flow holds what was put and not taken, at most path.buffer bytes. What is
 * put is due at the other end some time later (latency, jitter, rate), in
 * order; it lands there when it is due and no stall holds it. Then come its
 * end marks: FIN, RST. sim/socket.c is its only user.
 */
#ifndef SIM_FLOW_H
#define SIM_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/socket.h"

struct segment {
    uint64_t due_us;
    size_t length;
};

struct flow { /* read-only outside */
    struct sim *sim;
    struct path path;
    struct chance chance;
    uint8_t *bytes; /* a ring */
    size_t capacity, start, held;
    size_t landed;            /* of held: may be taken */
    struct segment *segments; /* a ring: what has not landed */
    size_t segment_capacity, segment_first, segment_count;
    uint64_t last_due_us, line_free_us, stall_us;
    uint64_t sent, received; /* since it was made */
    uint64_t lost;           /* taken from the sender, and gone for ever */
    uint64_t finish_due_us, reset_due_us; /* SIM_NEVER: none is under way */
    bool finished, reset;                 /* landed */
    bool silent;                          /* nothing passes any more */
    bool swallows; /* cut with a FIN: the sender does not know */
};

void flow_init(struct flow *flow, struct sim *sim, const struct path *path,
               struct chance chance);
void flow_free(struct flow *flow);

/* How many of length bytes the sender gets rid of; 0: no room. */
size_t flow_put(struct flow *flow, const uint8_t *bytes, size_t length);
size_t flow_take(struct flow *flow, uint8_t *bytes, size_t capacity);

void flow_finish(struct flow *flow);
/* RST: what has not landed is lost, unless it keeps. */
void flow_reset(struct flow *flow, bool keeps, uint64_t earliest_us);
void flow_silence(struct flow *flow);
void flow_stall(struct flow *flow, uint64_t until_us);

/* Land all that is due. True: the receiver should look. */
bool flow_land(struct flow *flow);
/* When the next thing lands; SIM_NEVER: nothing is under way. */
uint64_t flow_next_us(const struct flow *flow);
size_t flow_in_flight(const struct flow *flow);
size_t flow_room(const struct flow *flow);

#endif
