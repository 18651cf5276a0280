#include "sim/content.h"

/* A word of eight bytes is a mix of the key and the word's own index; byte n of
 * the transfer is byte n % 8 of it, lowest first, on every machine. */
#define WORD 8u

static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static uint64_t word_at(uint64_t key, uint64_t index)
{
    return mix(key + index * UINT64_C(0x9e3779b97f4a7c15));
}

static uint8_t byte_at(uint64_t key, uint64_t offset)
{
    return (uint8_t)(word_at(key, offset / WORD) >> (offset % WORD * 8));
}

/* Compilers make one store, and one load, of these. */
static void put_word(uint8_t *bytes, uint64_t word)
{
    for (unsigned i = 0; i < WORD; i++) {
        bytes[i] = (uint8_t)(word >> (i * 8));
    }
}

static uint64_t get_word(const uint8_t *bytes)
{
    uint64_t word = 0;

    for (unsigned i = 0; i < WORD; i++) {
        word |= (uint64_t)bytes[i] << (i * 8);
    }
    return word;
}

uint64_t content_key(uint64_t seed, uint32_t site, uint64_t request,
                     bool from_engine)
{
    uint64_t key = mix(seed + UINT64_C(0x6a09e667f3bcc909));

    key = mix(key ^ site);
    key = mix(key + request);
    return mix(key ^ (from_engine ? 1 : 2));
}

void content_fill(uint64_t key, uint64_t offset, uint8_t *bytes, size_t length)
{
    size_t done = 0;

    while (done < length && (offset + done) % WORD != 0) {
        bytes[done] = byte_at(key, offset + done);
        done++;
    }
    for (; length - done >= WORD; done += WORD) {
        put_word(bytes + done, word_at(key, (offset + done) / WORD));
    }
    for (; done < length; done++) {
        bytes[done] = byte_at(key, offset + done);
    }
}

size_t content_compare(uint64_t key, uint64_t offset, const uint8_t *bytes,
                       size_t length)
{
    size_t done = 0;

    while (done < length && (offset + done) % WORD != 0) {
        if (bytes[done] != byte_at(key, offset + done)) {
            return done;
        }
        done++;
    }
    while (length - done >= WORD &&
           get_word(bytes + done) == word_at(key, (offset + done) / WORD)) {
        done += WORD;
    }
    while (done < length && bytes[done] == byte_at(key, offset + done)) {
        done++;
    }
    return done;
}
