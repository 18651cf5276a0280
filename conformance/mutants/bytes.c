#include "conformance/mutants/bytes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint8_t *bytes_room(struct bytes *bytes, size_t length)
{
    if (bytes->start > 0 &&
        bytes->start + bytes->length + length > bytes->capacity) {
        memmove(bytes->memory, bytes->memory + bytes->start, bytes->length);
        bytes->start = 0;
    }
    if (bytes->length + length > bytes->capacity) {
        size_t capacity = bytes->capacity < 256 ? 256 : bytes->capacity;
        while (capacity < bytes->length + length)
            capacity *= 2;
        bytes->memory = realloc(bytes->memory, capacity);
        if (bytes->memory == NULL) {
            fprintf(stderr, "out of memory\n");
            exit(1);
        }
        bytes->capacity = capacity;
    }
    return bytes->memory + bytes->start + bytes->length;
}

void bytes_added(struct bytes *bytes, size_t length)
{
    bytes->length += length;
}

void bytes_append(struct bytes *bytes, const uint8_t *from, size_t length)
{
    if (length == 0)
        return;
    memcpy(bytes_room(bytes, length), from, length);
    bytes->length += length;
}

const uint8_t *bytes_front(const struct bytes *bytes)
{
    static const uint8_t nothing;
    return bytes->memory == NULL ? &nothing : bytes->memory + bytes->start;
}

void bytes_drop(struct bytes *bytes, size_t length)
{
    bytes->start += length;
    bytes->length -= length;
    if (bytes->length == 0)
        bytes->start = 0;
}

void bytes_clear(struct bytes *bytes)
{
    free(bytes->memory);
    *bytes = (struct bytes){0};
}
