/* file.h: a file of a corpus. */
#ifndef FUZZ_FILE_H
#define FUZZ_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The bytes that its text means, TEXT_BYTES_MAX at most. False after a message:
 * it cannot be read, or is not of fuzz/text.h. */
bool file_read(const char *path, uint8_t *bytes, size_t *length);

#endif
