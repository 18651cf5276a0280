#include "fuzz/words.h"

#include <string.h>

#include "fuzz/harness.h"

static void take(struct words *words, char *word)
{
    if (*word == 'a' && words->argument_count < (int)WORDS_MAX) {
        words->arguments[words->argument_count++] = word + 1;
    } else if (*word == 'e' && words->environment_count < WORDS_MAX) {
        words->environment[words->environment_count++] = word + 1;
    }
}

void words_read(struct words *words, char *program, const uint8_t *bytes,
                size_t length)
{
    memset(words, 0, sizeof *words);
    words->text = input_string(bytes, length);
    words->arguments[words->argument_count++] = program;
    for (size_t at = 0; at < length; at += strlen(words->text + at) + 1) {
        if (words->text[at] == 'f') {
            words->file = words->text + at + 1;
            words->file_length = length - at - 1;
            return;
        }
        take(words, words->text + at);
    }
}

void words_free(struct words *words)
{
    free(words->text);
}

char *words_variable(const struct words *words, const char *name)
{
    size_t length = strlen(name);

    for (size_t i = 0; i < words->environment_count; i++) {
        char *variable = words->environment[i];
        if (strncmp(variable, name, length) == 0 && variable[length] == '=') {
            return variable + length + 1;
        }
    }
    return NULL;
}
