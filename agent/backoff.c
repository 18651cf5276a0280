#include "agent/backoff.h"

#include "core/contract.h"

uint64_t backoff_jitter(uint64_t mean_ms, uint32_t random)
{
    /* mean_ms is below 2^32: the product cannot overflow */
    return mean_ms / 2 + (mean_ms * random >> 32);
}

uint64_t backoff_next(struct backoff *backoff, uint64_t lived_ms,
                      uint32_t random)
{
    /* two thirds: with half of it on top the longest delay is max_ms */
    uint64_t mean_max_ms = backoff->max_ms * 2 / 3;
    uint64_t mean_ms = backoff->min_ms;

    REQUIRE(backoff->min_ms > 0 && backoff->min_ms <= backoff->max_ms);
    REQUIRE(backoff->max_ms <= 86400000u);
    if (lived_ms >= backoff->max_ms) {
        backoff->row = 0;
    }
    for (uint32_t i = 0; i < backoff->row && mean_ms < mean_max_ms; i++) {
        mean_ms *= 2;
    }
    if (mean_ms > mean_max_ms) {
        mean_ms = mean_max_ms;
    } else {
        backoff->row++;
    }
    return backoff_jitter(mean_ms, random);
}
