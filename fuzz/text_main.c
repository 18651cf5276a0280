/* text_main.c: between the text of a corpus and the bytes of a fuzzer.
 *
 *   fuzz_text --bytes FOLDER OUT          every file of a corpus, as bytes
 *   fuzz_text --text FILE [HEAD [frames]] bytes of a fuzzer, as text
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/file.h"
#include "fuzz/text.h"

static int to_bytes(const char *folder, const char *out)
{
    static uint8_t bytes[TEXT_BYTES_MAX];
    DIR *entries = opendir(folder);
    struct dirent *entry;
    int bad = entries == NULL;

    while (!bad && (entry = readdir(entries)) != NULL) {
        char from[2048];
        char to[2048];
        size_t length;
        if (entry->d_name[0] == '.') {
            continue;
        }
        snprintf(from, sizeof from, "%s/%s", folder, entry->d_name);
        snprintf(to, sizeof to, "%s/%s", out, entry->d_name);
        FILE *file = file_read(from, bytes, &length) ? fopen(to, "wb") : NULL;
        bad = file == NULL || fwrite(bytes, 1, length, file) != length;
        bad = (file != NULL && fclose(file) != 0) || bad;
    }
    if (entries != NULL) {
        closedir(entries);
    }
    return bad;
}

static int to_text(const char *path, const char *head, bool frames)
{
    static uint8_t bytes[TEXT_BYTES_MAX];
    FILE *file = fopen(path, "rb");

    if (file == NULL) {
        perror(path);
        return 1;
    }
    size_t length = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    text_write(stdout, bytes, length, strtoul(head, NULL, 10), frames);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--bytes") == 0) {
        return to_bytes(argv[2], argv[3]);
    }
    if (argc >= 3 && argc <= 5 && strcmp(argv[1], "--text") == 0) {
        return to_text(argv[2], argc > 3 ? argv[3] : "0", argc > 4);
    }
    fprintf(stderr, "usage: fuzz_text --bytes FOLDER OUT\n"
                    "       fuzz_text --text FILE [HEAD [frames]]\n");
    return 2;
}
