/* plain_ws.h: WebSocket framing (RFC 6455 section 5) as plainly as it can be
 * said, for the agents that are not ours; it shares no code with core/ws.c.
 *
 * What is received is held until a frame is whole, then checked against the
 * rules, strictly: a frame that a careful server would not send ends the run
 * ("reference"). Either side's part can be played, so that two can be tried
 * against each other.
 */
#ifndef SIM_PLAIN_WS_H
#define SIM_PLAIN_WS_H

#include <stdbool.h>

#include "sim/plain_bytes.h"

enum plain_opcode { /* RFC 6455 5.2 */
                    PLAIN_CONTINUATION = 0,
                    PLAIN_TEXT = 1,
                    PLAIN_BINARY = 2,
                    PLAIN_CLOSE = 8,
                    PLAIN_PING = 9,
                    PLAIN_PONG = 10
};

#define PLAIN_FINAL 0x80u
#define PLAIN_MASKED 0x80u

struct plain_ws {
    struct sim *sim;
    bool client;            /* masks what it sends, takes what is not masked */
    bool guilty;            /* this side broke a rule: it may be told so */
    uint32_t fragment_max;  /* of a message, what a frame holds; 0: all of it */
    uint8_t opcode;         /* of the messages that it sends */
    bool interrupts;        /* pings between the fragments of a message (5.4) */
    struct chance chance;   /* of the masks */
    struct plain_bytes raw; /* received: not a whole frame yet, */
    struct plain_bytes data; /* and the payload of whole ones */
    struct plain_bytes out;  /* to be sent */
    bool in_message, close_received, close_sent;
    uint16_t close_code; /* the other side's; 1005: none was given */
};

void plain_ws_init(struct plain_ws *ws, struct sim *sim, bool client,
                   struct chance chance);
void plain_ws_free(struct plain_ws *ws);

/* Bytes came; what is in whole frames is now in data. */
void plain_ws_receive(struct plain_ws *ws, const uint8_t *bytes, size_t length);

/* One message of two parts, each may be empty. */
void plain_ws_message(struct plain_ws *ws, const uint8_t *head,
                      size_t head_length, const uint8_t *body,
                      size_t body_length);
void plain_ws_close(struct plain_ws *ws, uint16_t code); /* once */

/* One frame: first is FIN, the reserved bits and the opcode. */
void plain_ws_frame(struct plain_ws *ws, uint8_t first, const uint8_t *head,
                    size_t head_length, const uint8_t *body,
                    size_t body_length);

#endif
