/* wire.h: yamux frames as bytes; knows of no session and refuses nothing.
 *
 * A header is 12 bytes, big endian: version, type, flags, stream id, length.
 * Only Data has a body; elsewhere length is a delta, an opaque or a code.
 */
#ifndef CONFORMANCE_WIRE_H
#define CONFORMANCE_WIRE_H

#include <stddef.h>
#include <stdint.h>

#define WIRE_HEADER 12u     /* bytes */
#define WIRE_WINDOW 262144u /* initial window of a stream, bytes */

enum wire_type { WIRE_DATA, WIRE_UPDATE, WIRE_PING, WIRE_GOAWAY };

enum wire_flag { WIRE_SYN = 1, WIRE_ACK = 2, WIRE_FIN = 4, WIRE_RST = 8 };

struct wire_frame {
    uint8_t version;
    uint8_t type;
    uint16_t flags;
    uint32_t stream;
    uint32_t length;
};

void wire_encode(uint8_t header[WIRE_HEADER], struct wire_frame frame);
struct wire_frame wire_decode(const uint8_t header[WIRE_HEADER]);

/* "WU SYN|ACK id 1 len 0", always terminated. */
#define WIRE_TEXT 80u
void wire_describe(char text[WIRE_TEXT], struct wire_frame frame);

#endif
