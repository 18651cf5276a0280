#include "sim/plain_bytes.h"

#include <string.h>

#define ROOM_LEAST 256u

void plain_bytes_init(struct plain_bytes *queue, struct sim *sim)
{
    *queue = (struct plain_bytes){.sim = sim};
}

void plain_bytes_free(struct plain_bytes *queue)
{
    sim_release(queue->sim, queue->bytes);
    plain_bytes_init(queue, queue->sim);
}

uint8_t *plain_bytes_extend(struct plain_bytes *queue, size_t length)
{
    size_t wanted = queue->length + length;

    if (queue->first + wanted > queue->room) {
        size_t room = queue->room < ROOM_LEAST ? ROOM_LEAST : queue->room;

        while (room < 2 * wanted) {
            room *= 2;
        }
        if (room > queue->room) {
            uint8_t *bytes = sim_alloc(queue->sim, room);

            if (queue->length > 0) {
                memcpy(bytes, queue->bytes + queue->first, queue->length);
            }
            sim_release(queue->sim, queue->bytes);
            queue->bytes = bytes;
            queue->room = room;
        } else {
            memmove(queue->bytes, queue->bytes + queue->first, queue->length);
        }
        queue->first = 0;
    }
    queue->length = wanted;
    return queue->bytes + queue->first + wanted - length;
}

void plain_bytes_add(struct plain_bytes *queue, const uint8_t *bytes,
                     size_t length)
{
    if (length > 0) {
        memcpy(plain_bytes_extend(queue, length), bytes, length);
    }
}

uint8_t *plain_bytes_front(const struct plain_bytes *queue)
{
    return queue->length > 0 ? queue->bytes + queue->first : queue->bytes;
}

void plain_bytes_drop(struct plain_bytes *queue, size_t length)
{
    queue->first += length;
    queue->length -= length;
    if (queue->length == 0) {
        queue->first = 0;
    }
}
