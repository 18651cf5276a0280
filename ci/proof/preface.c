/* Any first bytes of a stream, cut in two anywhere. */
#include "core/preface.h"
#include "ci/proof/contract.h"

#define LENGTH 8

int main(void)
{
    uint8_t bytes[LENGTH];
    struct preface preface;

    Frama_C_make_unknown((char *)bytes, sizeof bytes);
    for (size_t cut = 0; cut <= LENGTH; cut++) {
        struct span first = {bytes, cut};
        struct span second = {bytes + cut, LENGTH - cut};

        preface_init(&preface);
        if (preface_receive(&preface, &first) == PREFACE_PARTIAL) {
            preface_receive(&preface, &second);
        }
    }
    return 0;
}
