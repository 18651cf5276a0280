/* harness.h: what every harness begins with.
 *
 * A harness is LLVMFuzzerTestOneInput() and what must hold. It ends with
 * abort() when something does not, in every build.
 */
#ifndef FUZZ_HARNESS_H
#define FUZZ_HARNESS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* Not assert(): must hold in every build. */
#define MUST(condition)                                                  \
    do {                                                                 \
        if (!(condition)) {                                              \
            fprintf(stderr, "broken: %s, %s:%d\n", #condition, __FILE__, \
                    __LINE__);                                           \
            abort();                                                     \
        }                                                                \
    } while (0)

/* How an input begins in most harnesses: two bytes of set-up, then how the
 * rest is cut. */
#define INPUT_HEAD 3u

struct input {
    const uint8_t *bytes;
    size_t length;
    size_t piece; /* at most so many at once; 0: all */
};

/* The next piece: how many bytes. */
static inline size_t input_piece(const struct input *input)
{
    return input->piece && input->piece < input->length ? input->piece
                                                        : input->length;
}

static inline void input_take(struct input *input, size_t length)
{
    input->bytes += length;
    input->length -= length;
}

/* A copy of just this size, so that a sanitizer sees a byte too far; free(). */
uint8_t *input_copy(const uint8_t *bytes, size_t length);

/* The same with a NUL behind it. */
char *input_string(const uint8_t *bytes, size_t length);

/* FNV-1a over these bytes, from *hash on. */
void input_hash(uint64_t *hash, const void *bytes, size_t length);

#endif
