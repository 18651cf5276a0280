/* wire.h: the yamux frame header (yamux spec, "Framing").
 *
 * Pure functions; no state, no policy. Twelve bytes, big endian:
 * version u8 (0), type u8, flags u16, stream id u32, length u32.
 */
#ifndef CORE_WIRE_H
#define CORE_WIRE_H

#include <stdint.h>

#include "core/status.h"

#define WIRE_HEADER_SIZE 12u
#define WIRE_WINDOW_INITIAL                          \
    262144u /* of each stream, each way (spec l.120) \
             */

enum wire_type {
    WIRE_DATA = 0,
    WIRE_WINDOW_UPDATE = 1,
    WIRE_PING = 2,
    WIRE_GO_AWAY = 3
};

enum wire_flag { WIRE_SYN = 1, WIRE_ACK = 2, WIRE_FIN = 4, WIRE_RST = 8 };

enum wire_go_away {
    WIRE_GO_AWAY_NORMAL = 0,
    WIRE_GO_AWAY_PROTOCOL_ERROR = 1,
    WIRE_GO_AWAY_INTERNAL_ERROR = 2
};

struct wire_header {
    uint8_t type;    /* enum wire_type */
    uint16_t flags;  /* enum wire_flag, or-ed; unknown bits are kept */
    uint32_t stream; /* 0: the session */
    uint32_t length; /* DATA: bytes that follow; WINDOW_UPDATE: credit added;
                        PING: opaque; GO_AWAY: code */
};

/* Decode WIRE_HEADER_SIZE bytes. STATUS_OK; STATUS_BAD_VERSION (version is not
 * 0) or STATUS_BAD_TYPE (type > 3): *header is not written. */
enum status wire_decode(struct wire_header *header, const uint8_t *bytes);

/* Encode into WIRE_HEADER_SIZE bytes. header->type must be an enum wire_type.
 */
void wire_encode(uint8_t *bytes, const struct wire_header *header);

#endif
