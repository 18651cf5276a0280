/* relay.h: one stream of a plain agent to and from its engine: bytes unchanged,
 * half-close and reset both ways. Or, for an agent whose manner says so, one
 * request: its head is read and judged by the read-only table, what it allows
 * is asked with Connection: close, and nothing more is read; whatever ends the
 * answer ends the stream with FIN.
 */
#ifndef SIM_RELAY_H
#define SIM_RELAY_H

#include "sim/message.h"
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
    struct plain_bytes held;     /* read, and not written before it is known
                                    whether it is the last */
    struct message *head; /* of the one request; NULL: any bytes, or it is
                             over */
    struct plain_bytes to_engine; /* the same, as it is asked */
    bool is_judged;  /* it was: the rest of the stream is not read */
    uint64_t due_us; /* when it accepts the stream, or gives up one that it has
                        finished; SIM_NEVER */
};

/* Serve this stream: accept it at this time, then the first byte, then all the
 * rest. */
void relay_new(struct plain_agent *agent, struct plain_stream *stream,
               uint64_t accept_us);
/* Move what can be moved, of all that were touched; forget those that are over.
 * True: some stream would write more if there was room. */
bool relay_pump_all(struct plain_agent *agent);
/* When one of them is to be moved by itself; SIM_NEVER. */
uint64_t relay_next_us(const struct plain_agent *agent);
/* The peer reset it. */
void relay_reset(struct relay *relay);
/* The session is gone, or the process. */
void relay_drop_all(struct plain_agent *agent, bool killed);

#endif
