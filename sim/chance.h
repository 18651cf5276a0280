/* chance.h: all randomness of a world, from its seed; integers only.
 *
 * Each object draws from a stream of its own, named by (seed, purpose, index):
 * taking one object or act out of a world does not change what the others draw.
 * That is what makes a failing world shrinkable.
 */
#ifndef SIM_CHANCE_H
#define SIM_CHANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct chance {
    uint64_t state;
};

/* purpose: a short literal, e.g. "client". */
struct chance chance_of(uint64_t seed, const char *purpose, uint64_t index);

uint64_t chance_next(struct chance *chance);
uint32_t chance_below(struct chance *chance, uint32_t below); /* below > 0 */
/* Both ends included; low <= high. */
uint64_t chance_between(struct chance *chance, uint64_t low, uint64_t high);
/* True in numerator of denominator draws. */
bool chance_in(struct chance *chance, uint32_t numerator, uint32_t denominator);
/* 0..most: every order of magnitude as likely as the next, with the edges 0, 1
 * and most more often than that. */
uint64_t chance_size(struct chance *chance, uint64_t most);

/* The place of a draw by weight: an index below count with weights[index] > 0;
 * their sum is not 0. */
size_t chance_weighted(struct chance *chance, const uint32_t *weights,
                       size_t count);

#endif
