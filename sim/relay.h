/* relay.h: one stream of a plain agent to and from its engine: bytes unchanged,
 * half-close and reset both ways.
 */
#ifndef SIM_RELAY_H
#define SIM_RELAY_H

#include "sim/plain_agent.h"

struct relay {
    struct relay *next;
    struct plain_agent *agent;
    struct plain_stream *stream; /* NULL: it is over */
    struct socket *engine;       /* NULL: not dialled yet, or over */
    bool prefaced;               /* the first byte was 0x01 */
    bool touched;                /* something happened to either side */
    bool starved;                /* there was no room to write to the link */
    bool deaf;                   /* the engine takes nothing any more */
};

/* Serve this stream: the first byte, then all the rest. */
struct relay *relay_new(struct plain_agent *agent, struct plain_stream *stream);
/* Move what can be moved, of all that were touched; forget those that are over.
 * True: some stream would write more if there was room. */
bool relay_pump_all(struct plain_agent *agent);
/* The peer reset it. */
void relay_reset(struct relay *relay);
/* The session is gone, or the process. */
void relay_drop_all(struct plain_agent *agent, bool killed);

#endif
