#include "core/siphash.h"

struct state {
    uint64_t a, b, c, d;
};

static uint64_t rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static void mix(struct state *s, unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        s->a += s->b;
        s->b = rotate(s->b, 13) ^ s->a;
        s->a = rotate(s->a, 32);
        s->c += s->d;
        s->d = rotate(s->d, 16) ^ s->c;
        s->a += s->d;
        s->d = rotate(s->d, 21) ^ s->a;
        s->c += s->b;
        s->b = rotate(s->b, 17) ^ s->c;
        s->c = rotate(s->c, 32);
    }
}

/* count bytes, 0..8, little endian */
static uint64_t load(const uint8_t *bytes, size_t count)
{
    uint64_t word = 0;

    while (count > 0) {
        count--;
        word = word << 8 | bytes[count];
    }
    return word;
}

static void absorb(struct state *s, uint64_t word)
{
    s->d ^= word;
    mix(s, 2);
    s->a ^= word;
}

uint64_t siphash(const uint64_t key[2], const uint8_t *bytes, size_t length)
{
    /* "somepseudorandomlygeneratedbytes" */
    struct state s = {
        key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du,
        key[0] ^ 0x6c7967656e657261u, key[1] ^ 0x7465646279746573u};
    size_t at = 0;

    for (; length - at >= 8; at += 8) {
        absorb(&s, load(bytes + at, 8));
    }
    absorb(&s, (uint64_t)length << 56 | load(bytes + at, length - at));
    s.c ^= 0xff;
    mix(&s, 4);
    return s.a ^ s.b ^ s.c ^ s.d;
}
