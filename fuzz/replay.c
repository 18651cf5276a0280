/* replay.c: runs a harness over a corpus, without a fuzzer.
 *
 *   replay FILE                       one input
 *   replay IDS NAME FOLDER            every input; TAP, for the requirements
 * IDS replay --caught IDS NAME FOLDER   passes if the harness dies of an input:
 *                                     it was built with a bug that it must find
 *
 * What an input finds wrong ends the program; the last line says which it was.
 */
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz/file.h"
#include "fuzz/harness.h"
#include "fuzz/text.h"

static uint8_t bytes[TEXT_BYTES_MAX];

static int is_input(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* A buffer of just this size, so that a sanitizer sees a byte too far. */
static bool replay(const char *path)
{
    size_t length;

    if (!file_read(path, bytes, &length)) {
        return false;
    }
    uint8_t *input = input_copy(bytes, length);
    LLVMFuzzerTestOneInput(input, length);
    free(input);
    return true;
}

/* Does it die of this input? */
static bool dies(const char *path)
{
    int status = 0;
    pid_t child = fork();

    MUST(child >= 0);
    if (child == 0) {
        struct rlimit no_core = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &no_core);
        fclose(stderr);
        replay(path);
        _exit(0);
    }
    MUST(waitpid(child, &status, 0) == child);
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

/* How many of the folder's inputs were good, or killed it; -1: none is there,
 * or one is bad. */
static int replay_all(const char *folder, bool caught)
{
    struct dirent **entries = NULL;
    int count = scandir(folder, &entries, is_input, alphasort);
    int good = 0;
    bool bad = count <= 0;

    for (int i = 0; i < count; i++) {
        char path[2048];
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        if (caught && dies(path)) {
            printf("# caught by %s\n", entries[i]->d_name);
            good++;
        } else if (!caught) {
            printf("# %s\n", entries[i]->d_name);
            fflush(stdout);
            bad |= !replay(path);
            good++;
        }
        free(entries[i]);
    }
    free(entries);
    return bad ? -1 : good;
}

int main(int argc, char **argv)
{
    bool caught = argc == 5 && strcmp(argv[1], "--caught") == 0;

    if (argc == 2) {
        return replay(argv[1]) ? 0 : 1;
    }
    if (argc != 4 && !caught) {
        fprintf(stderr, "usage: replay FILE\n"
                        "       replay [--caught] IDS NAME FOLDER\n");
        return 2;
    }
    char **words = argv + caught;
    bool good = replay_all(words[3], caught) > 0;
    printf("1..1\n%sok 1 - %s %s\n", good ? "" : "not ", words[1], words[2]);
    return good ? 0 : 1;
}
