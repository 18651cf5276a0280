#include "conformance/host/payload.h"

#define PERIOD 251u
#define FNV_PRIME 0x100000001b3u

/* SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number
 * Generators, 2014), at any index. */
uint64_t payload_random(uint64_t key, uint64_t index)
{
    uint64_t word = key + (index + 1) * 0x9e3779b97f4a7c15u;
    word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9u;
    word = (word ^ (word >> 27)) * 0x94d049bb133111ebu;
    return word ^ (word >> 31);
}

void payload_keyed(uint64_t key, uint64_t offset, uint8_t *bytes, size_t length)
{
    size_t done = 0;
    while (done < length) {
        uint64_t word = payload_random(key, (offset + done) / 8);
        unsigned at = (offset + done) % 8;
        for (; at < 8 && done < length; at++)
            bytes[done++] = (uint8_t)(word >> (8 * at));
    }
}

void payload_pattern(uint64_t offset, uint8_t *bytes, size_t length)
{
    uint8_t next = (uint8_t)(offset % PERIOD);
    for (size_t i = 0; i < length; i++) {
        bytes[i] = next;
        next = next == PERIOD - 1 ? 0 : (uint8_t)(next + 1);
    }
}

uint64_t payload_hash(uint64_t hash, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ bytes[i]) * FNV_PRIME;
    return hash;
}
