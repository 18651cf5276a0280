/* exchange.h: what a client and an engine once said to each other, from a file
 * that integration/torture/record wrote. */
#ifndef NET_TEST_EXCHANGE_H
#define NET_TEST_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXCHANGE_TURNS_MAX 32u
#define EXCHANGE_BYTES_MAX 8192u

enum { EXCHANGE_CLIENT, EXCHANGE_ENGINE };

/* What one of them says before the other does. */
struct exchange_turn {
    int who;
    size_t from, to; /* of all bytes of who */
    bool ends;       /* says no more then */
};

struct exchange {
    const char *name;
    size_t turns;
    struct exchange_turn turn[EXCHANGE_TURNS_MAX];
    size_t length[2];
    uint8_t bytes[2][EXCHANGE_BYTES_MAX];
};

/* The test fails if name is not there or not of that form. */
void exchange_read(struct exchange *exchange, const char *name);

#endif
