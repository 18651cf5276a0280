/* Any key and any bytes, up to three words of them. */
#include "core/siphash.h"
#include "ci/proof/contract.h"

#define LENGTH 24

int main(void)
{
    uint64_t key[2];
    uint8_t bytes[LENGTH];

    Frama_C_make_unknown((char *)key, sizeof key);
    Frama_C_make_unknown((char *)bytes, sizeof bytes);
    for (size_t length = 0; length <= LENGTH; length++) {
        siphash(key, bytes, length);
    }
    return 0;
}
