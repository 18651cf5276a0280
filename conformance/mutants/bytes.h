/* bytes.h: a byte queue that grows. */
#ifndef CONFORMANCE_MUTANTS_BYTES_H
#define CONFORMANCE_MUTANTS_BYTES_H

#include <stddef.h>
#include <stdint.h>

struct bytes {
    uint8_t *memory;
    size_t start; /* of what is in it */
    size_t length;
    size_t capacity;
};

/* Room for length bytes behind what is in it; bytes_added says how many. */
uint8_t *bytes_room(struct bytes *bytes, size_t length);
void bytes_added(struct bytes *bytes, size_t length);
void bytes_append(struct bytes *bytes, const uint8_t *from, size_t length);
const uint8_t *bytes_front(const struct bytes *bytes);
void bytes_drop(struct bytes *bytes, size_t length);
void bytes_clear(struct bytes *bytes); /* gives its memory back */

#endif
