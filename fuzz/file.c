#include "fuzz/file.h"

#include <stdio.h>

#include "fuzz/text.h"

bool file_read(const char *path, uint8_t *bytes, size_t *length)
{
    static char text[4 * TEXT_BYTES_MAX];
    char error[TEXT_ERROR_SIZE];
    FILE *file = fopen(path, "rb");

    if (file == NULL) {
        perror(path);
        return false;
    }
    size_t size = fread(text, 1, sizeof text, file);
    bool whole = feof(file) && !ferror(file);
    fclose(file);
    if (!whole) {
        fprintf(stderr, "%s: cannot be read, or is too long\n", path);
    } else if (!text_read(text, size, bytes, TEXT_BYTES_MAX, length, error)) {
        fprintf(stderr, "%s: %s\n", path, error);
        whole = false;
    }
    return whole;
}
