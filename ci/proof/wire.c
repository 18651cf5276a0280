/* Any twelve bytes are decoded, and what was decoded is encoded. */
#include "core/wire.h"
#include "ci/proof/contract.h"

int main(void)
{
    uint8_t bytes[WIRE_HEADER_SIZE];
    uint8_t again[WIRE_HEADER_SIZE];
    struct wire_header header;

    Frama_C_make_unknown((char *)bytes, sizeof bytes);
    if (wire_decode(&header, bytes) == STATUS_OK) {
        wire_encode(again, &header);
    }
    return 0;
}
