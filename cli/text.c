#include "cli/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* How many bytes here are one control character, 0: none. */
static size_t control_length(const char *text)
{
    unsigned char byte = (unsigned char)text[0];
    unsigned char next = byte != '\0' ? (unsigned char)text[1] : '\0';
    if (byte == 0xc2 && next >= 0x80 && next < 0xa0) {
        return 2;
    }
    return (byte > '\0' && byte < ' ') || byte == 0x7f ? 1 : 0;
}

void text_clean(char *text)
{
    char *to = text;
    while (*text != '\0') {
        size_t length = control_length(text);
        *to++ = length > 0 ? '?' : *text;
        text += length > 0 ? length : 1;
    }
    *to = '\0';
}

void text_print_json(const json_t *value)
{
    char *text = json_dumps(value, JSON_INDENT(2) | JSON_ENCODE_ANY);
    if (text == NULL) {
        fprintf(stderr, "orthrusctl: out of memory\n");
        exit(1);
    }
    /* they can only stand in strings: all else of JSON is ASCII and visible */
    for (const char *at = text; *at != '\0'; at++) {
        size_t length = *at == '\n' ? 0 : control_length(at);
        if (length > 0) {
            at += length - 1;
            printf("\\u%04x", (unsigned)(unsigned char)*at);
        } else {
            putchar(*at);
        }
    }
    putchar('\n');
    free(text);
}

void text_print_quoted(const char *text)
{
    putchar('\'');
    for (; *text != '\0'; text++) {
        size_t length = control_length(text);
        if (*text == '\'') {
            fputs("'\\''", stdout);
        } else if (length > 0) {
            putchar('?');
            text += length - 1;
        } else {
            putchar(*text);
        }
    }
    putchar('\'');
}

bool text_is_word(const char *text)
{
    return *text != '\0' && text[strspn(text, DIGITS LETTERS "_")] == '\0';
}

bool text_is_address(const char *text)
{
    const char *port = strrchr(text, ':');
    if (port == NULL || port == text) {
        return false;
    }
    size_t host = strspn(text, DIGITS LETTERS ".-_");
    if (text[0] == '[') {
        host = 1 + strspn(text + 1, DIGITS LETTERS ".:");
        host += text[host] == ']' ? 1 : 0;
    }
    size_t digits = strspn(port + 1, DIGITS);
    return text + host == port && digits > 0 && port[1 + digits] == '\0';
}
