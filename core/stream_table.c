/* IMPLEMENTATION NOTES
 *
 * Slots are named by number + 1, so that 0 is "none" and zeroed memory is an
 * empty table. A free slot comes from the free list, else from the first slot
 * that was never used: an idle session touches none.
 *
 * Lookup is a chained hash with at least as many buckets as slots. The keyed
 * hash (D29) keeps a peer from choosing ids that share a bucket, so that a
 * chain is short whatever the peer does. Most look-ups are for the stream that
 * was noted last, whose frame is being dealt with: they need no hash.
 */
#include "core/stream_table.h"

#include <string.h>

#include "core/contract.h"
#include "core/siphash.h"

/* The life of a stream; 0 (STREAM_FREE) where a move is impossible. */
static const uint8_t moves[STREAM_STATES][STREAM_MOVES] = {
    [STREAM_FREE] =
        {[STREAM_OPENS] = STREAM_OPENING, [STREAM_IS_OFFERED] = STREAM_OFFERED},
    [STREAM_OPENING] = {[STREAM_IS_ANSWERED] = STREAM_OPEN,
                        [STREAM_FINISHES_LOCAL] = STREAM_OPENING_FINISHED,
                        [STREAM_ENDS] = STREAM_OWING},
    [STREAM_OPENING_FINISHED] = {[STREAM_IS_ANSWERED] = STREAM_LOCAL_FINISHED,
                                 [STREAM_ENDS] = STREAM_OWING},
    [STREAM_OFFERED] = {[STREAM_IS_ACCEPTED] = STREAM_OPEN,
                        [STREAM_FINISHES_REMOTE] = STREAM_OFFERED_FINISHED,
                        [STREAM_ENDS] = STREAM_OWING},
    [STREAM_OFFERED_FINISHED] = {[STREAM_IS_ACCEPTED] = STREAM_REMOTE_FINISHED,
                                 [STREAM_ENDS] = STREAM_OWING},
    [STREAM_OPEN] = {[STREAM_FINISHES_LOCAL] = STREAM_LOCAL_FINISHED,
                     [STREAM_FINISHES_REMOTE] = STREAM_REMOTE_FINISHED,
                     [STREAM_ENDS] = STREAM_OWING},
    [STREAM_LOCAL_FINISHED] = {[STREAM_FINISHES_REMOTE] = STREAM_BOTH_FINISHED,
                               [STREAM_ENDS] = STREAM_OWING},
    [STREAM_REMOTE_FINISHED] = {[STREAM_FINISHES_LOCAL] = STREAM_BOTH_FINISHED,
                                [STREAM_ENDS] = STREAM_OWING},
    [STREAM_BOTH_FINISHED] = {[STREAM_ENDS] = STREAM_OWING},
};

#define SET(state) (1u << (state))

static bool is_in(const struct stream *stream, unsigned states)
{
    return (SET(stream->state) & states) != 0;
}

static uint32_t buckets_for(uint32_t slots_max)
{
    uint32_t buckets = 4;

    while (buckets < slots_max) {
        buckets *= 2;
    }
    return buckets;
}

size_t stream_table_size(uint32_t slots_max)
{
    return buckets_for(slots_max) * sizeof(uint32_t) +
           slots_max * sizeof(struct stream);
}

void stream_table_init(struct stream_table *table, void *memory,
                       uint32_t slots_max, const uint64_t hash_key[2])
{
    uint32_t buckets = buckets_for(slots_max);

    memset(table, 0, sizeof *table);
    table->buckets = memory;
    table->slots = (void *)(table->buckets + buckets);
    table->hash_key[0] = hash_key[0];
    table->hash_key[1] = hash_key[1];
    table->bucket_mask = buckets - 1;
    table->slots_max = slots_max;
}

static uint32_t *bucket_of(const struct stream_table *table, uint32_t id)
{
    const uint8_t bytes[4] = {(uint8_t)(id >> 24), (uint8_t)(id >> 16),
                              (uint8_t)(id >> 8), (uint8_t)id};
    uint64_t hash = siphash(table->hash_key, bytes, sizeof bytes);

    return &table->buckets[hash & table->bucket_mask];
}

static uint32_t name_of(const struct stream_table *table,
                        const struct stream *stream)
{
    return (uint32_t)(stream - table->slots) + 1;
}

static struct stream *named(const struct stream_table *table, uint32_t name)
{
    return name == 0 ? NULL : &table->slots[name - 1];
}

struct stream *stream_table_find(const struct stream_table *table, uint32_t id)
{
    struct stream *stream = named(table, table->recent);

    if (stream != NULL && stream->id == id) {
        return stream;
    }
    stream = named(table, *bucket_of(table, id));
    while (stream != NULL && stream->id != id) {
        stream = named(table, stream->chain);
    }
    return stream;
}

void stream_table_note(struct stream_table *table, const struct stream *stream)
{
    table->recent = name_of(table, stream);
}

struct stream *stream_table_add(struct stream_table *table, uint32_t id)
{
    uint32_t *bucket = bucket_of(table, id);
    struct stream *stream;

    if (table->free != 0) {
        stream = named(table, table->free);
        table->free = stream->chain;
    } else {
        INVARIANT(table->touched < table->slots_max);
        stream = &table->slots[table->touched];
        table->touched++;
    }
    memset(stream, 0, sizeof *stream);
    stream->id = id;
    stream->chain = *bucket;
    *bucket = name_of(table, stream);
    stream_table_note(table, stream);
    return stream;
}

void stream_table_remove(struct stream_table *table, struct stream *stream)
{
    uint32_t name = name_of(table, stream);
    uint32_t *at = bucket_of(table, stream->id);

    INVARIANT(stream->listed == 0);
    while (*at != name) {
        at = &table->slots[*at - 1].chain;
    }
    *at = stream->chain;
    stream->id = 0;
    stream->state = STREAM_FREE;
    stream->chain = table->free;
    table->free = name;
}

const struct stream *stream_table_at(const struct stream_table *table,
                                     uint32_t slot)
{
    return slot < table->touched ? &table->slots[slot] : NULL;
}

static struct stream_link *link_of(struct stream *stream, enum stream_list list)
{
    return &stream->links[list / 2];
}

void stream_list_append(struct stream_table *table, enum stream_list list,
                        struct stream *stream)
{
    struct stream_link *link = link_of(stream, list);
    struct stream *last = named(table, table->lists[list].last);
    uint32_t name = name_of(table, stream);

    INVARIANT(!stream_is_listed(stream, list));
    link->previous = table->lists[list].last;
    link->next = 0;
    if (last != NULL) {
        link_of(last, list)->next = name;
    } else {
        table->lists[list].first = name;
    }
    table->lists[list].last = name;
    table->lists[list].count++;
    stream->listed = (uint8_t)(stream->listed | 1u << list);
}

void stream_list_remove(struct stream_table *table, enum stream_list list,
                        struct stream *stream)
{
    const struct stream_link *link = link_of(stream, list);
    struct stream *previous = named(table, link->previous);
    struct stream *next = named(table, link->next);

    INVARIANT(stream_is_listed(stream, list));
    if (previous != NULL) {
        link_of(previous, list)->next = link->next;
    } else {
        table->lists[list].first = link->next;
    }
    if (next != NULL) {
        link_of(next, list)->previous = link->previous;
    } else {
        table->lists[list].last = link->previous;
    }
    table->lists[list].count--;
    stream->listed = (uint8_t)(stream->listed & ~(1u << list));
}

struct stream *stream_list_first(const struct stream_table *table,
                                 enum stream_list list)
{
    return named(table, table->lists[list].first);
}

uint32_t stream_list_count(const struct stream_table *table,
                           enum stream_list list)
{
    return table->lists[list].count;
}

bool stream_is_listed(const struct stream *stream, enum stream_list list)
{
    return (stream->listed & 1u << list) != 0;
}

bool stream_may(const struct stream *stream, enum stream_move move)
{
    return moves[stream->state][move] != STREAM_FREE;
}

void stream_move(struct stream *stream, enum stream_move move)
{
    INVARIANT(stream_may(stream, move));
    stream->state = moves[stream->state][move];
}

bool stream_is_live(const struct stream *stream)
{
    return !is_in(stream, SET(STREAM_FREE) | SET(STREAM_OWING));
}

bool stream_may_receive(const struct stream *stream)
{
    return is_in(stream, SET(STREAM_OPENING) | SET(STREAM_OPENING_FINISHED) |
                             SET(STREAM_OFFERED) | SET(STREAM_OPEN) |
                             SET(STREAM_LOCAL_FINISHED));
}

static void list_invariant(const struct stream_table *table,
                           enum stream_list list)
{
    uint32_t count = 0;
    uint32_t previous = 0;

    for (uint32_t name = table->lists[list].first; name != 0;) {
        struct stream *stream = named(table, name);
        INVARIANT(stream_is_listed(stream, list));
        INVARIANT(link_of(stream, list)->previous == previous);
        INVARIANT(count < table->lists[list].count);
        count++;
        previous = name;
        name = link_of(stream, list)->next;
    }
    INVARIANT(table->lists[list].last == previous);
    INVARIANT(table->lists[list].count == count);
}

void stream_table_invariant(const struct stream_table *table)
{
    uint32_t listed[STREAM_LISTS] = {0};

    INVARIANT(table->touched <= table->slots_max);
    for (uint32_t slot = 0; slot < table->touched; slot++) {
        const struct stream *stream = &table->slots[slot];
        INVARIANT(stream->state < STREAM_STATES);
        INVARIANT((stream->state == STREAM_FREE) == (stream->id == 0));
        INVARIANT(stream->id != 0 || stream->listed == 0);
        INVARIANT(stream->id == 0 ||
                  stream_table_find(table, stream->id) == stream);
        INVARIANT(!stream_is_listed(stream, STREAM_OPENINGS) ||
                  !stream_is_listed(stream, STREAM_OFFERS));
        INVARIANT(!stream_is_listed(stream, STREAM_READY) ||
                  !stream_is_listed(stream, STREAM_FRESH));
        for (unsigned list = 0; list < STREAM_LISTS; list++) {
            listed[list] += stream_is_listed(stream, (enum stream_list)list);
        }
    }
    for (unsigned list = 0; list < STREAM_LISTS; list++) {
        list_invariant(table, (enum stream_list)list);
        INVARIANT(table->lists[list].count == listed[list]);
    }
}
