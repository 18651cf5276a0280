/* Any header value up to one byte more than the longest that is looked at. */
#include "core/key.h"
#include "ci/proof/contract.h"

#define LONGEST (sizeof "Bearer " + KEY_LENGTH)

int main(void)
{
    uint8_t value[LONGEST];
    uint8_t random[KEY_RANDOM_SIZE];
    char text[KEY_LENGTH + 1];
    struct span key;
    size_t length = (size_t)Frama_C_interval(0, (int)LONGEST);

    Frama_C_make_unknown((char *)value, sizeof value);
    Frama_C_make_unknown((char *)random, sizeof random);
    if (key_from_authorization((struct span){value, length}, &key)) {
        key_is_well_formed(key);
    }
    key_format(text, random);
    return 0;
}
