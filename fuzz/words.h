/* words.h: an input as a command line, an environment and a file.
 *
 * Strings, each up to 0x00; the first byte says what one is: 'a' an argument,
 * 'e' a variable "NAME=value", 'f' the file, which may hold any byte but is
 * last. What begins otherwise is left out.
 */
#ifndef FUZZ_WORDS_H
#define FUZZ_WORDS_H

#include <stddef.h>
#include <stdint.h>

#define WORDS_MAX 32u

struct words {
    char *text;                     /* a copy of all; free() */
    char *arguments[WORDS_MAX + 3]; /* [0] is the program's; NULL at the end */
    int argument_count;
    char *environment[WORDS_MAX + 1]; /* NULL at the end */
    size_t environment_count;
    const char *file; /* NULL: none */
    size_t file_length;
};

void words_read(struct words *words, char *program, const uint8_t *bytes,
                size_t length);
void words_free(struct words *words);

/* Its value, NULL: not set. */
char *words_variable(const struct words *words, const char *name);

#endif
