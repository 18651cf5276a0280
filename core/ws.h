/* ws.h: WebSocket as a byte pipe (RFC 6455), after the upgrade, either role.
 *
 * Text and binary messages are the same to us: their payloads are one stream of
 * bytes, boundaries and fragments mean nothing (L-07). Nothing is buffered but
 * a partial header and the control frames that are owed: payload is unmasked in
 * place, in the caller's buffer, and handed out as slices.
 *
 * Conventions: as in core/mux.h. The struct is public so that it can live
 * inside yours; its fields belong to ws.c.
 */
#ifndef CORE_WS_H
#define CORE_WS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/span.h"

#define WS_HEADER_MAX 14u           /* of a frame: 2 + 8 + 4 */
#define WS_CONTROL_PAYLOAD_MAX 125u /* RFC 6455 5.5 */

enum ws_role { WS_CLIENT, WS_SERVER }; /* the client masks (5.1) */

enum ws_close_code { /* RFC 6455 7.4.1 */
                     WS_CLOSE_NORMAL = 1000,
                     WS_CLOSE_GOING_AWAY = 1001,
                     WS_CLOSE_PROTOCOL = 1002,
                     WS_CLOSE_NO_STATUS = 1005, /* never on the wire */
                     WS_CLOSE_ABNORMAL = 1006,  /* never on the wire */
                     WS_CLOSE_POLICY = 1008,
                     WS_CLOSE_TOO_BIG = 1009
};

struct ws {
    enum ws_role role;
    uint8_t header[WS_HEADER_MAX];
    uint8_t header_length; /* bytes of a partial header */
    uint8_t opcode;        /* of the frame in progress */
    bool in_frame;         /* its header is complete */
    bool final;            /* FIN bit of the frame in progress */
    bool in_message;       /* between a fragment and its last continuation */
    bool mask_set;
    uint8_t mask[4];
    uint8_t mask_phase; /* 0..3, kept across reads and pieces */
    uint64_t left;      /* payload bytes of the frame in progress */
    uint8_t control[WS_CONTROL_PAYLOAD_MAX]; /* incoming control payload */
    uint8_t control_length;
    uint8_t pong[WS_CONTROL_PAYLOAD_MAX]; /* the newest ping's (5.5.3) */
    uint8_t pong_length;
    bool pong_owed;
    uint16_t close_code; /* to send; 0: a close frame without a code */
    bool close_owed;
    bool close_sent;
    bool closed; /* the peer's close, or a protocol error: no more data */
};

enum ws_event_kind {
    WS_DATA,  /* data: next payload bytes, unmasked */
    WS_CLOSED /* last event. code: the peer's (1005: none given), or ours when
                 the peer broke the protocol; reason says what for the log */
};

struct ws_event {
    enum ws_event_kind kind;
    struct span data;
    uint16_t code;
    const char *reason; /* NULL unless the peer broke the protocol */
};

void ws_init(struct ws *ws, enum ws_role role);

/* Take bytes from *bytes on, *length of them, until an event is ready; both are
 * advanced. The bytes are changed (unmasked in place). True: *event is set,
 * call again. False: all taken. After WS_CLOSED everything is swallowed. */
bool ws_receive(struct ws *ws, uint8_t **bytes, size_t *length,
                struct ws_event *event);

/* Frame length bytes at payload as one unfragmented binary message: the header
 * is written right in front of payload, WS_HEADER_MAX bytes of room must be
 * there. Returns the header's length: the frame begins at payload - that.
 * mask: 4 bytes from a CSPRNG, client role only (payload is masked in place);
 * NULL for the server. Not once our close frame was emitted (RFC 6455 5.5.1).
 */
size_t ws_wrap(const struct ws *ws, uint8_t *payload, size_t length,
               const uint8_t *mask);

/* Write the next owed control frame, pong before close, whole if it fits.
 * One a call, because a mask may serve one frame only: call again while
 * ws_wants_output(). Control frames go between ours, never inside one. mask as
 * above. Returns bytes; 0: nothing owed or no room. */
size_t ws_emit_control(struct ws *ws, uint8_t *bytes, size_t capacity,
                       const uint8_t *mask);
bool ws_wants_output(const struct ws *ws);

/* Owe a close frame with this code (WS_CLOSE_NO_STATUS: without one), once;
 * later calls change nothing. */
void ws_close(struct ws *ws, uint16_t code);

/* A close went out and came in, or the peer broke the protocol and our close
 * went out: hang up. */
bool ws_is_over(const struct ws *ws);

#endif
