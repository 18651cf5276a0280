#include "conformance/wire.h"

#include <stdio.h>

static void put32(uint8_t *bytes, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++) {
        bytes[i] = (uint8_t)(value >> (24 - 8 * i));
    }
}

static uint32_t get32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 |
           (uint32_t)bytes[2] << 8 | bytes[3];
}

void wire_encode(uint8_t header[WIRE_HEADER], struct wire_frame frame)
{
    header[0] = frame.version;
    header[1] = frame.type;
    header[2] = (uint8_t)(frame.flags >> 8);
    header[3] = (uint8_t)frame.flags;
    put32(header + 4, frame.stream);
    put32(header + 8, frame.length);
}

struct wire_frame wire_decode(const uint8_t header[WIRE_HEADER])
{
    return (struct wire_frame){
        .version = header[0],
        .type = header[1],
        .flags = (uint16_t)(header[2] << 8 | header[3]),
        .stream = get32(header + 4),
        .length = get32(header + 8),
    };
}

void wire_describe(char text[WIRE_TEXT], struct wire_frame frame)
{
    static const char *const types[] = {"Data", "WU", "Ping", "GoAway"};
    static const char *const flags[] = {"SYN", "ACK", "FIN", "RST"};
    char names[40];
    size_t used = 0;
    unsigned unknown = frame.flags & ~15u;
    names[0] = '\0';
    for (unsigned i = 0; i < 4; i++) {
        if (frame.flags & 1u << i) {
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s",
                                     used ? "|" : " ", flags[i]);
        }
    }
    if (unknown) {
        snprintf(names + used, sizeof names - used, "%s0x%x", used ? "|" : " ",
                 unknown);
    }
    if (frame.version != 0 || frame.type > WIRE_GOAWAY) {
        snprintf(text, WIRE_TEXT, "version %u type %u%s id %u len %u",
                 frame.version, frame.type, names, frame.stream, frame.length);
        return;
    }
    snprintf(text, WIRE_TEXT, "%s%s id %u len %u", types[frame.type], names,
             frame.stream, frame.length);
}
