/* frames.c: changes a script of yamux frames and calls (fuzz/call.h) by whole
 * frames, where a fuzzer's own changes would break them.
 *
 * Linked into a libFuzzer program it is its LLVMFuzzerCustomMutator; as a
 * shared object it is AFL++'s AFL_CUSTOM_MUTATOR_LIBRARY. An input is a head of
 * INPUT_HEAD bytes, then frames: a header of twelve bytes and, behind DATA, as
 * many bytes as its length says.
 */
#include <stdbool.h>
#include <string.h>

#include "fuzz/call.h"
#include "fuzz/harness.h"

#define HEADER 12u
#define FRAMES_MAX 512u
#define PAYLOAD_MAX 64u

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t length, size_t size,
                               unsigned seed);
/* Of the fuzzer that this is linked into; AFL++ loads it without one. */
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t length, size_t size)
    __attribute__((weak));

/* ---- chance -------------------------------------------------------------- */

static uint32_t next(uint32_t *chance) /* xorshift32 (Marsaglia 2003) */
{
    *chance ^= *chance << 13;
    *chance ^= *chance >> 17;
    *chance ^= *chance << 5;
    return *chance;
}

static uint32_t below(uint32_t *chance, size_t count)
{
    return next(chance) % (uint32_t)count;
}

/* Edges of a window, of a frame, of small and large. */
static uint32_t length_of(uint32_t *chance)
{
    static const uint32_t edges[] = {
        0,      1,          2,          3,          11,         12,
        13,     100,        1024,       16383,      16384,      16385,
        65535,  65536,      131072,     262143,     262144,     262145,
        524288, 0x7fffffff, 0x80000000, 0xfffbffff, 0xfffffffe, 0xffffffff};

    return below(chance, 3) == 0
               ? below(chance, 32)
               : edges[below(chance, sizeof edges / sizeof *edges)];
}

/* ---- frames -------------------------------------------------------------- */

struct script {
    uint8_t *bytes;
    size_t length, size;
    size_t starts[FRAMES_MAX + 1]; /* of each frame; the last: the end */
    size_t count;
};

static uint32_t number(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 |
           (uint32_t)bytes[2] << 8 | bytes[3];
}

static void put_number(uint8_t *bytes, uint32_t value)
{
    for (int i = 3; i >= 0; i--) {
        bytes[i] = (uint8_t)value;
        value >>= 8;
    }
}

static void find_frames(struct script *script)
{
    size_t at = INPUT_HEAD;

    script->count = 0;
    while (script->length - at >= HEADER && script->count < FRAMES_MAX) {
        const uint8_t *header = script->bytes + at;
        size_t left = script->length - at - HEADER;
        size_t payload =
            header[0] == 0 && header[1] == 0 ? number(header + 8) : 0;
        script->starts[script->count++] = at;
        at += HEADER + (payload < left ? payload : left);
    }
    script->starts[script->count] = at;
}

/* Room for count bytes at a place, or false. */
static bool open_gap(struct script *script, size_t at, size_t count)
{
    if (count > script->size - script->length) {
        return false;
    }
    memmove(script->bytes + at + count, script->bytes + at,
            script->length - at);
    script->length += count;
    return true;
}

static uint32_t stream_of(uint32_t *chance, const struct script *script)
{
    if (script->count > 0 && below(chance, 2) == 0) { /* one that is there */
        size_t frame = below(chance, script->count);
        return number(script->bytes + script->starts[frame] + 4);
    }
    return below(chance, 8) ? below(chance, 9) : next(chance);
}

static void draw_header(uint32_t *chance, const struct script *script,
                        uint8_t header[HEADER])
{
    bool call = below(chance, 3) == 0;
    uint32_t flags =
        below(chance, 4) ? 1u << below(chance, 5) >> 1 : below(chance, 16);

    header[0] = call ? CALL_VERSION : 0;
    header[1] = (uint8_t)(call ? below(chance, CALLS) : below(chance, 4));
    header[2] = 0;
    header[3] = (uint8_t)(call ? below(chance, 2) : flags);
    put_number(header + 4, stream_of(chance, script));
    put_number(header + 8, length_of(chance));
    if (!call && header[1] >= 2 && below(chance, 8) != 0) {
        put_number(header + 4, 0); /* of the session */
    }
}

static void insert(uint32_t *chance, struct script *script)
{
    size_t at = script->starts[below(chance, script->count + 1)];
    uint8_t header[HEADER];
    size_t payload = 0;

    draw_header(chance, script, header);
    if (header[0] == 0 && header[1] == 0 && below(chance, 8) != 0) {
        payload = below(chance, PAYLOAD_MAX);
        put_number(header + 8, (uint32_t)payload);
    }
    if (open_gap(script, at, HEADER + payload)) {
        memcpy(script->bytes + at, header, HEADER);
        memset(script->bytes + at + HEADER, (int)below(chance, 256), payload);
    }
}

static void delete (uint32_t *chance, struct script *script)
{
    size_t first = below(chance, script->count);
    size_t last = first + 1 + below(chance, 3);
    last = last < script->count ? last : script->count;
    size_t from = script->starts[first];
    size_t to = script->starts[last];

    memmove(script->bytes + from, script->bytes + to, script->length - to);
    script->length -= to - from;
}

/* A frame again, or elsewhere. */
static void copy(uint32_t *chance, struct script *script)
{
    size_t frame = below(chance, script->count);
    size_t from = script->starts[frame];
    size_t count = script->starts[frame + 1] - from;
    size_t to = script->starts[below(chance, script->count + 1)];

    if (count <= 4096 && open_gap(script, to, count)) {
        from += to <= from ? count : 0;
        memmove(script->bytes + to, script->bytes + from, count);
    }
}

static void change(uint32_t *chance, struct script *script)
{
    uint8_t *header =
        script->bytes + script->starts[below(chance, script->count)];
    uint8_t drawn[HEADER];

    draw_header(chance, script, drawn);
    switch (below(chance, 6)) {
    case 0:
        header[1] = drawn[1];
        break;
    case 1:
        header[3] = drawn[3];
        break;
    case 2:
        memcpy(header + 4, drawn + 4, 4);
        break;
    case 3:
        memcpy(header + 8, drawn + 8, 4);
        break;
    case 4: /* one more or less */
        put_number(header + 8,
                   number(header + 8) + (below(chance, 2) ? 1 : ~0u));
        break;
    default:
        header[below(chance, HEADER)] ^= (uint8_t)(1u << below(chance, 8));
    }
}

static size_t mutate(uint8_t *bytes, size_t length, size_t size, uint32_t seed)
{
    struct script script = {.bytes = bytes, .length = length, .size = size};
    uint32_t chance = seed * 2654435761u | 1u;
    unsigned rounds = 1 + below(&chance, 4);

    if (size < INPUT_HEAD + HEADER) {
        return length;
    }
    while (script.length < INPUT_HEAD) {
        script.bytes[script.length++] = 0;
    }
    while (rounds-- > 0) {
        find_frames(&script);
        unsigned kind = script.count > 0 ? below(&chance, 8) : 0;
        if (kind < 3) {
            insert(&chance, &script);
        } else if (kind == 3) {
            delete (&chance, &script);
        } else if (kind == 4) {
            copy(&chance, &script);
        } else if (kind < 7) {
            change(&chance, &script);
        } else {
            script.bytes[below(&chance, INPUT_HEAD)] =
                (uint8_t)below(&chance, 256);
        }
    }
    return script.length;
}

/* ---- libFuzzer ----------------------------------------------------------- */

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t length, size_t size,
                               unsigned seed)
{
    if (seed % 4 == 0 && LLVMFuzzerMutate) {
        return LLVMFuzzerMutate(bytes, length, size);
    }
    return mutate(bytes, length, size, seed);
}

/* ---- AFL++ --------------------------------------------------------------- */

#define AFL_INPUT_MAX 65536u

struct afl {
    uint32_t chance;
    uint8_t bytes[AFL_INPUT_MAX];
};

void *afl_custom_init(void *fuzzer, unsigned seed);
size_t afl_custom_fuzz(struct afl *afl, uint8_t *bytes, size_t length,
                       uint8_t **out, uint8_t *other, size_t other_length,
                       size_t size);
void afl_custom_deinit(struct afl *afl);

void *afl_custom_init(void *fuzzer, unsigned seed)
{
    struct afl *afl = calloc(1, sizeof *afl);

    (void)fuzzer;
    if (afl != NULL) {
        afl->chance = seed | 1u;
    }
    return afl;
}

size_t afl_custom_fuzz(struct afl *afl, uint8_t *bytes, size_t length,
                       uint8_t **out, uint8_t *other, size_t other_length,
                       size_t size)
{
    (void)other;
    (void)other_length;
    size = size < sizeof afl->bytes ? size : sizeof afl->bytes;
    length = length < size ? length : size;
    memcpy(afl->bytes, bytes, length);
    *out = afl->bytes;
    return mutate(afl->bytes, length, size, next(&afl->chance));
}

void afl_custom_deinit(struct afl *afl)
{
    free(afl);
}
