/* bytes: the functions of the library that core calls, one byte at a time. The
 * library's own differ with the processor; bench/measure/count.py links these
 * into what it counts, so that the counts do not. */
#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t length);
void *memmove(void *to, const void *from, size_t length);
void *memset(void *bytes, int value, size_t length);
int memcmp(const void *a, const void *b, size_t length);
void *memchr(const void *bytes, int value, size_t length);
size_t strlen(const char *text);
char *strchr(const char *text, int value);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t length);

void *memcpy(void *restrict to, const void *restrict from, size_t length)
{
    return memmove(to, from, length);
}

void *memmove(void *to, const void *from, size_t length)
{
    unsigned char *target = to;
    const unsigned char *source = from;

    if (target <= source) {
        for (size_t i = 0; i < length; i++) {
            target[i] = source[i];
        }
    } else {
        for (size_t i = length; i > 0; i--) {
            target[i - 1] = source[i - 1];
        }
    }
    return to;
}

void *memset(void *bytes, int value, size_t length)
{
    unsigned char *target = bytes;

    for (size_t i = 0; i < length; i++) {
        target[i] = (unsigned char)value;
    }
    return bytes;
}

int memcmp(const void *a, const void *b, size_t length)
{
    const unsigned char *x = a;
    const unsigned char *y = b;

    for (size_t i = 0; i < length; i++) {
        if (x[i] != y[i]) {
            return x[i] - y[i];
        }
    }
    return 0;
}

void *memchr(const void *bytes, int value, size_t length)
{
    const unsigned char *x = bytes;

    for (size_t i = 0; i < length; i++) {
        if (x[i] == (unsigned char)value) {
            return (void *)(x + i);
        }
    }
    return NULL;
}

size_t strlen(const char *text)
{
    size_t length = 0;

    while (text[length] != '\0') {
        length++;
    }
    return length;
}

char *strchr(const char *text, int value)
{
    while (*text != (char)value) {
        if (*text == '\0') {
            return NULL;
        }
        text++;
    }
    return (char *)text;
}

int strncmp(const char *a, const char *b, size_t length)
{
    size_t i = 0;

    while (i < length && a[i] == b[i] && a[i] != '\0') {
        i++;
    }
    return i == length ? 0 : (unsigned char)a[i] - (unsigned char)b[i];
}

int strcmp(const char *a, const char *b)
{
    return strncmp(a, b, (size_t)-1);
}
