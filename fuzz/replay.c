/* replay: runs a harness over the files of a folder, without a fuzzer.
 *
 *   replay IDS NAME FOLDER
 *
 * Prints TAP: one line, for the requirements IDS. What a file finds wrong ends
 * the program; the last line says which it was.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

#define INPUT_MAX (1u << 20)

static int is_input(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* A buffer of just this size, so that a sanitizer sees a byte too far. */
static int replay(const char *path)
{
    static uint8_t bytes[INPUT_MAX];
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        return 1;
    }
    size_t length = fread(bytes, 1, sizeof bytes, file);
    uint8_t *input = malloc(length + !length);
    if (!input || ferror(file) || !feof(file)) {
        fprintf(stderr, "%s: cannot be read, or longer than %u bytes\n", path,
                INPUT_MAX);
        free(input);
        fclose(file);
        return 1;
    }
    fclose(file);
    memcpy(input, bytes, length);
    LLVMFuzzerTestOneInput(input, length);
    free(input);
    return 0;
}

int main(int argc, char **argv)
{
    struct dirent **entries = NULL;
    int bad = 0;
    if (argc != 4) {
        fprintf(stderr, "usage: replay IDS NAME FOLDER\n");
        return 2;
    }
    int count = scandir(argv[3], &entries, is_input, alphasort);
    for (int i = 0; i < count; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", argv[3], entries[i]->d_name);
        printf("# %s\n", entries[i]->d_name);
        fflush(stdout);
        bad |= replay(path);
        free(entries[i]);
    }
    free(entries);
    bad |= count <= 0;
    printf("1..1\n%sok 1 - %s %s\n", bad ? "not " : "", argv[1], argv[2]);
    return bad;
}
