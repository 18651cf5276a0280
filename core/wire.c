#include "core/wire.h"

#include "core/contract.h"

static uint32_t get32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 |
           (uint32_t)bytes[2] << 8 | (uint32_t)bytes[3];
}

static void put32(uint8_t *bytes, uint32_t value)
{
    bytes[0] = (uint8_t)(value >> 24);
    bytes[1] = (uint8_t)(value >> 16);
    bytes[2] = (uint8_t)(value >> 8);
    bytes[3] = (uint8_t)value;
}

enum status wire_decode(struct wire_header *header, const uint8_t *bytes)
{
    if (bytes[0] != 0) {
        return STATUS_BAD_VERSION;
    }
    if (bytes[1] > WIRE_GO_AWAY) {
        return STATUS_BAD_TYPE;
    }
    header->type = bytes[1];
    header->flags = (uint16_t)(bytes[2] << 8 | bytes[3]);
    header->stream = get32(bytes + 4);
    header->length = get32(bytes + 8);
    return STATUS_OK;
}

void wire_encode(uint8_t *bytes, const struct wire_header *header)
{
    REQUIRE(header->type <= WIRE_GO_AWAY);
    bytes[0] = 0;
    bytes[1] = header->type;
    bytes[2] = (uint8_t)(header->flags >> 8);
    bytes[3] = (uint8_t)header->flags;
    put32(bytes + 4, header->stream);
    put32(bytes + 8, header->length);
}
