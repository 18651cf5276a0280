#include "sim/spill.h"

#include <string.h>

#include "core/contract.h"

/* Small writes share a piece; a large one has its own. */
#define PIECE_SIZE ((size_t)4096)

struct spill_piece {
    struct spill_piece *next;
    size_t length, size;
    uint8_t bytes[];
};

void spill_init(struct spill *spill, struct spill_pool *pool)
{
    *spill = (struct spill){.pool = pool};
}

static struct spill_piece *add_piece(struct spill *spill, size_t least)
{
    size_t size = least > PIECE_SIZE ? least : PIECE_SIZE;
    struct spill_piece *piece =
        process_alloc(spill->pool->process, sizeof *piece + size);

    if (piece == NULL) {
        return NULL;
    }
    spill->pool->memory += sizeof *piece + size;
    piece->size = size;
    if (spill->last == NULL) {
        spill->first = piece;
        spill->offset = 0;
    } else {
        spill->last->next = piece;
    }
    spill->last = piece;
    return piece;
}

static void drop_first(struct spill *spill)
{
    struct spill_piece *piece = spill->first;

    spill->first = piece->next;
    spill->offset = 0;
    if (spill->first == NULL) {
        spill->last = NULL;
    }
    spill->pool->memory -= sizeof *piece + piece->size;
    process_release(spill->pool->process, piece);
}

bool spill_append(struct spill *spill, struct span data)
{
    while (data.length > 0) {
        struct spill_piece *piece = spill->last;
        if ((piece == NULL || piece->length == piece->size) &&
            (piece = add_piece(spill, data.length)) == NULL) {
            spill_clear(spill);
            spill->pool->evictions++;
            return false;
        }
        size_t room = piece->size - piece->length;
        room = room < data.length ? room : data.length;
        memcpy(piece->bytes + piece->length, data.bytes, room);
        piece->length += room;
        spill->length += room;
        data.bytes += room;
        data.length -= room;
    }
    return true;
}

struct span spill_front(const struct spill *spill)
{
    const struct spill_piece *piece = spill->first;

    if (piece == NULL) {
        return (struct span){NULL, 0};
    }
    return (struct span){piece->bytes + spill->offset,
                         piece->length - spill->offset};
}

void spill_consume(struct spill *spill, size_t length)
{
    REQUIRE(length <= spill->length);
    spill->length -= length;
    while (length > 0) {
        size_t here = spill->first->length - spill->offset;
        if (length < here) {
            spill->offset += length;
            return;
        }
        length -= here;
        drop_first(spill);
    }
}

void spill_clear(struct spill *spill)
{
    while (spill->first != NULL) {
        drop_first(spill);
    }
    spill->length = 0;
}
