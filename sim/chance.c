#include "sim/chance.h"

#include "core/contract.h"

#define GOLDEN UINT64_C(0x9e3779b97f4a7c15)

/* The finalizer of splitmix64 (Steele, Lea, Flood 2014): every bit of the
 * result depends on every bit of x. */
static uint64_t mixed(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

struct chance chance_of(uint64_t seed, const char *purpose, uint64_t index)
{
    uint64_t name = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

    for (const char *at = purpose; *at != '\0'; at++) {
        name = (name ^ (uint8_t)*at) * UINT64_C(0x100000001b3);
    }
    uint64_t state = mixed(seed + GOLDEN);
    state = mixed(state ^ name);
    state = mixed(state + GOLDEN * (index + 1));
    return (struct chance){.state = state};
}

uint64_t chance_next(struct chance *chance)
{
    chance->state += GOLDEN;
    return mixed(chance->state);
}

uint32_t chance_below(struct chance *chance, uint32_t below)
{
    REQUIRE(below > 0);
    return (uint32_t)(((chance_next(chance) >> 32) * below) >> 32);
}

uint64_t chance_between(struct chance *chance, uint64_t low, uint64_t high)
{
    REQUIRE(low <= high);
    uint64_t span = high - low;
    uint64_t drawn = chance_next(chance);

    return span == UINT64_MAX ? drawn : low + drawn % (span + 1);
}

bool chance_in(struct chance *chance, uint32_t numerator, uint32_t denominator)
{
    return chance_below(chance, denominator) < numerator;
}

uint64_t chance_size(struct chance *chance, uint64_t most)
{
    uint32_t edge = chance_below(chance, 24);
    uint32_t bits = 0;

    if (edge < 3) {
        const uint64_t edges[] = {0, most == 0 ? 0 : 1, most};
        return edges[edge];
    }
    while (bits < 64 && most >> bits != 0) {
        bits++;
    }
    uint32_t chosen = chance_below(chance, bits + 1);
    if (chosen == 0) {
        return 0;
    }
    uint64_t low = UINT64_C(1) << (chosen - 1);
    uint64_t high = low + (low - 1);
    return chance_between(chance, low, high < most ? high : most);
}

size_t chance_weighted(struct chance *chance, const uint32_t *weights,
                       size_t count)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < count; i++) {
        sum += weights[i];
    }
    REQUIRE(sum > 0);
    uint64_t drawn = chance_between(chance, 0, sum - 1);
    size_t place = 0;
    while (drawn >= weights[place]) {
        drawn -= weights[place];
        place++;
    }
    return place;
}
