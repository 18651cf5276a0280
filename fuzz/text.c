#include "fuzz/text.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/call.h"

#define HEADER 12u
#define WORD_MAX 64u
#define LINE_TEXT 100u /* characters of a string that is written */
#define LINE_BYTES 16u /* in hex */
#define TEXT_LEAST 4u  /* fewer are hex, unless a frame or the end follows */

static const char *const types[] = {"data", "window", "ping", "goaway"};
static const char *const flags[] = {"syn", "ack", "fin", "rst"};
static const char *const calls[] = {
#define X(name, text) text,
    CALL_TABLE(X)
#undef X
};

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* ---- reading ------------------------------------------------------------- */

struct reader {
    const char *at, *end;
    unsigned line;
    uint8_t *bytes;
    size_t size, length;
    size_t open; /* where a header's length is to be filled in; 0: nowhere */
    char *error; /* not empty: over */
};

static bool wrong(struct reader *reader, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool wrong(struct reader *reader, const char *format, ...)
{
    va_list arguments;
    int begun =
        snprintf(reader->error, TEXT_ERROR_SIZE, "line %u: ", reader->line);

    va_start(arguments, format);
    vsnprintf(reader->error + begun, TEXT_ERROR_SIZE - (size_t)begun, format,
              arguments);
    va_end(arguments);
    return false;
}

static bool put(struct reader *reader, unsigned byte)
{
    if (reader->length == reader->size) {
        return wrong(reader, "more than %zu bytes", reader->size);
    }
    reader->bytes[reader->length++] = (uint8_t)byte;
    return true;
}

static bool put_number(struct reader *reader, unsigned long value,
                       unsigned size)
{
    bool good = true;

    while (size-- > 0) {
        good = put(reader, (unsigned)(value >> 8 * size & 0xff)) && good;
    }
    return good;
}

/* The bytes since the open header are its length. */
static void fill_in(struct reader *reader)
{
    size_t place = reader->open;
    size_t rest = reader->length;

    if (place > 0) {
        reader->length = place - 4;
        (void)put_number(reader, rest - place, 4);
        reader->length = rest;
        reader->open = 0;
    }
}

/* To the next word, in whichever line; false: there is none. */
static bool skip(struct reader *reader)
{
    bool comment = false;

    for (; reader->at < reader->end; reader->at++) {
        char byte = *reader->at;
        comment = byte == '#' || (comment && byte != '\n');
        reader->line += byte == '\n';
        if (!comment && !isspace((unsigned char)byte)) {
            return true;
        }
    }
    return false;
}

static bool next_word(struct reader *reader, char word[WORD_MAX])
{
    size_t length = 0;

    if (!skip(reader)) {
        return wrong(reader, "a word is missing");
    }
    while (reader->at < reader->end && *reader->at != '#' &&
           !isspace((unsigned char)*reader->at)) {
        if (length + 1 == WORD_MAX) {
            return wrong(reader, "a word of more than %u characters", WORD_MAX);
        }
        word[length++] = *reader->at++;
    }
    word[length] = '\0';
    return true;
}

static bool number(struct reader *reader, const char *word,
                   unsigned long *value)
{
    char *end;

    *value = strtoul(word, &end, 0);
    return (*end == '\0' && isdigit((unsigned char)*word) &&
            *value <= UINT32_MAX) ||
           wrong(reader, "'%s' is no number", word);
}

/* A name's place in the table, or a number. */
static bool named(struct reader *reader, const char *word,
                  const char *const *names, size_t count, unsigned long *value)
{
    for (*value = 0; *value < count; ++*value) {
        if (strcmp(word, names[*value]) == 0) {
            return true;
        }
    }
    return number(reader, word, value);
}

static bool read_flags(struct reader *reader, char *word, unsigned long *value)
{
    unsigned long bit;

    *value = 0;
    while (word != NULL) {
        char *next = strchr(word, '+');
        if (next != NULL) {
            *next++ = '\0';
        }
        if (isdigit((unsigned char)*word)) {
            if (!number(reader, word, &bit)) {
                return false;
            }
            *value |= bit;
        } else if (named(reader, word, flags, COUNT(flags), &bit)) {
            *value |= 1UL << bit;
        } else {
            return false;
        }
        word = next;
    }
    return true;
}

/* frame TYPE FLAGS STREAM LENGTH, or call NAME END STREAM LENGTH */
static bool read_header(struct reader *reader, bool is_call)
{
    char word[WORD_MAX];
    unsigned long type, bits, stream, length = 0;

    fill_in(reader);
    if (!next_word(reader, word) ||
        !named(reader, word, is_call ? calls : types,
               is_call ? COUNT(calls) : COUNT(types), &type) ||
        !next_word(reader, word) || !read_flags(reader, word, &bits) ||
        !next_word(reader, word) || !number(reader, word, &stream) ||
        !next_word(reader, word)) {
        return false;
    }
    bool open = strcmp(word, "@") == 0;
    if (!open && !number(reader, word, &length)) {
        return false;
    }
    bool good = put(reader, is_call ? CALL_VERSION : 0) &&
                put_number(reader, type, 1) && put_number(reader, bits, 2) &&
                put_number(reader, stream, 4) && put_number(reader, length, 4);
    reader->open = open && good ? reader->length : 0;
    return good;
}

static int hex(char byte)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = byte ? strchr(digits, tolower((unsigned char)byte)) : NULL;

    return at ? (int)(at - digits) : -1;
}

static bool read_hex(struct reader *reader)
{
    char word[WORD_MAX];

    if (!next_word(reader, word)) {
        return false;
    }
    for (const char *at = word; *at != '\0'; at += 2) {
        if (hex(at[0]) < 0 || hex(at[1]) < 0) {
            return wrong(reader, "'%s' is no word of text.h", word);
        }
        if (!put(reader, (unsigned)(hex(at[0]) << 4 | hex(at[1])))) {
            return false;
        }
    }
    return true;
}

/* What an escape stands for, behind its backslash. */
static bool read_escape(struct reader *reader)
{
    static const char letters[] = "rnt0\"\\";
    static const char meant[] = "\r\n\t\0\"\\";
    char letter = *reader->at++;
    const char *found = letter ? strchr(letters, letter) : NULL;

    if (found != NULL) {
        return put(reader, (unsigned char)meant[found - letters]);
    }
    if (letter != 'x' || reader->end - reader->at < 2 ||
        hex(reader->at[0]) < 0 || hex(reader->at[1]) < 0) {
        return wrong(reader, "no such escape");
    }
    unsigned byte = (unsigned)(hex(reader->at[0]) << 4 | hex(reader->at[1]));
    reader->at += 2;
    return put(reader, byte);
}

static bool read_string(struct reader *reader)
{
    reader->at++;
    while (reader->at < reader->end && *reader->at != '\n') {
        char byte = *reader->at++;
        if (byte == '"') {
            return true;
        }
        if (byte == '\\' && reader->at < reader->end) {
            if (!read_escape(reader)) {
                return false;
            }
        } else if (!put(reader, (unsigned char)byte)) {
            return false;
        }
    }
    return wrong(reader, "a string without its end");
}

static bool is_word(const struct reader *reader, const char *word)
{
    size_t length = strlen(word);

    return (size_t)(reader->end - reader->at) > length &&
           memcmp(reader->at, word, length) == 0 &&
           isspace((unsigned char)reader->at[length]);
}

/* One word, or a header's five. */
static bool read_item(struct reader *reader)
{
    char word[WORD_MAX];

    if (*reader->at == '"') {
        return read_string(reader);
    }
    bool is_call = is_word(reader, "call");
    if (is_call || is_word(reader, "frame")) {
        return next_word(reader, word) && read_header(reader, is_call);
    }
    return read_hex(reader);
}

static bool read_times(struct reader *reader)
{
    char word[WORD_MAX];
    unsigned long times;

    reader->at++;
    if (!next_word(reader, word) || !number(reader, word, &times) ||
        !skip(reader)) {
        return reader->error[0] == '\0' ? wrong(reader, "what so many times?")
                                        : false;
    }
    const char *from = reader->at;
    bool good = true;
    for (unsigned long i = 0; i < times && good; i++) {
        reader->at = from;
        good = read_item(reader);
    }
    return good && (times > 0 || wrong(reader, "0 times"));
}

bool text_read(const char *text, size_t length, uint8_t *bytes, size_t size,
               size_t *written, char error[TEXT_ERROR_SIZE])
{
    struct reader reader = {.at = text,
                            .end = text + length,
                            .line = 1,
                            .bytes = bytes,
                            .size = size,
                            .error = error};
    bool good = true;

    error[0] = '\0';
    while (good && skip(&reader)) {
        good = *reader.at == '*' ? read_times(&reader) : read_item(&reader);
    }
    fill_in(&reader);
    *written = reader.length;
    return good;
}

/* ---- writing ------------------------------------------------------------- */

static unsigned long number_at(const uint8_t *bytes, unsigned size)
{
    unsigned long value = 0;

    while (size-- > 0) {
        value = value << 8 | *bytes++;
    }
    return value;
}

static bool is_header(const uint8_t *bytes, size_t length)
{
    return length >= HEADER &&
           ((bytes[0] == CALL_VERSION && bytes[1] < COUNT(calls)) ||
            (bytes[0] == 0 && bytes[1] < COUNT(types) && bytes[2] == 0 &&
             bytes[3] < 16));
}

static void write_header(FILE *out, const uint8_t *bytes)
{
    unsigned long bits = number_at(bytes + 2, 2);
    bool is_call = bytes[0] == CALL_VERSION;

    fprintf(out, "%s %s ", is_call ? "call" : "frame",
            is_call ? calls[bytes[1]] : types[bytes[1]]);
    if (is_call || bits == 0) {
        fprintf(out, "%lu", bits);
    }
    for (size_t i = 0, first = 1; i < COUNT(flags) && !is_call; i++) {
        if ((bits & 1UL << i) != 0) {
            fprintf(out, "%s%s", first ? "" : "+", flags[i]);
            first = 0;
        }
    }
    fprintf(out, " %lu %lu\n", number_at(bytes + 4, 4),
            number_at(bytes + 8, 4));
}

static bool is_text(uint8_t byte)
{
    return (byte >= ' ' && byte <= '~') || byte == '\r' || byte == '\n';
}

static void write_string(FILE *out, const uint8_t *bytes, size_t length)
{
    fputc('"', out);
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] == '\r' || bytes[i] == '\n') {
            fputs(bytes[i] == '\r' ? "\\r" : "\\n", out);
        } else {
            fprintf(out, "%s%c",
                    bytes[i] == '"' || bytes[i] == '\\' ? "\\" : "", bytes[i]);
        }
    }
    fputs("\"\n", out);
}

static void write_hex(FILE *out, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        fprintf(out, "%02x%c", bytes[i], i + 1 < length ? ' ' : '\n');
    }
}

static bool starts_header(bool frames, const uint8_t *bytes, size_t length)
{
    return frames && is_header(bytes, length);
}

/* How many bytes from here on are worth a string, 0: none. */
static size_t text_run(bool frames, const uint8_t *bytes, size_t length)
{
    size_t count = 0;

    while (count < length && count < LINE_TEXT && is_text(bytes[count]) &&
           !starts_header(frames, bytes + count, length - count) &&
           !(count > 0 && bytes[count - 1] == '\n')) {
        count++;
    }
    bool ends =
        count == length || starts_header(frames, bytes + count, length - count);
    return count >= TEXT_LEAST || ends ? count : 0;
}

static size_t hex_run(bool frames, const uint8_t *bytes, size_t length)
{
    size_t count = 1;

    while (count < length && count < LINE_BYTES &&
           !starts_header(frames, bytes + count, length - count) &&
           text_run(frames, bytes + count, length - count) == 0) {
        count++;
    }
    return count;
}

void text_write(FILE *out, const uint8_t *bytes, size_t length, size_t head,
                bool frames)
{
    size_t at = head < length ? head : length;

    write_hex(out, bytes, at);
    while (at < length) {
        const uint8_t *from = bytes + at;
        size_t count = text_run(frames, from, length - at);
        if (starts_header(frames, from, length - at)) {
            count = HEADER;
            write_header(out, from);
        } else if (count > 0) {
            write_string(out, from, count);
        } else {
            count = hex_run(frames, from, length - at);
            write_hex(out, from, count);
        }
        at += count;
    }
}
