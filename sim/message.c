#include "sim/message.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sim/content.h"

/* ---- heads --------------------------------------------------------------- */

void message_begin(struct message *message)
{
    message->head_length = 0;
    message->has_head = false;
    message->is_broken = false;
    message->framing = MESSAGE_EMPTY;
    message->left = 0;
    message->body = 0;
    message->taken = 0;
    message->state = 0;
    message->is_whole = false;
}

size_t message_read_head(struct message *message, const uint8_t *bytes,
                         size_t length)
{
    size_t done = 0;

    while (done < length && !message->has_head && !message->is_broken) {
        uint8_t byte = bytes[done++];
        size_t at = message->head_length;

        if (byte >= 0x7f || (byte < ' ' && byte != '\r' && byte != '\n') ||
            at == MESSAGE_HEAD_MAX) {
            message->is_broken = true;
            break;
        }
        message->head[at] = (char)byte;
        message->head_length = ++at;
        message->has_head =
            at >= 4 && memcmp(message->head + at - 4, "\r\n\r\n", 4) == 0;
    }
    message->head[message->head_length] = '\0';
    message->taken += done;
    return done;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Does the line begin with this name and a colon? */
static bool is_field(const char *line, const char *name)
{
    while (*name != '\0' && lower(*line) == *name) {
        line++;
        name++;
    }
    return *name == '\0' && *line == ':';
}

void message_field(const struct message *message, const char *name, char *value,
                   size_t size)
{
    const char *line = strstr(message->head, "\r\n");

    value[0] = '\0';
    while (line != NULL && line[2] != '\r') {
        line += 2;
        if (is_field(line, name)) {
            const char *from = line + strlen(name) + 1;
            size_t length = strcspn(from, "\r");

            while (*from == ' ') {
                from++;
                length--;
            }
            length = length < size - 1 ? length : size - 1;
            memcpy(value, from, length);
            value[length] = '\0';
            return;
        }
        line = strstr(line, "\r\n");
    }
}

unsigned message_status(const struct message *message)
{
    const char *head = message->head;
    unsigned status = 0;

    if (strncmp(head, "HTTP/1.1 ", 9) != 0 || head[12] != ' ') {
        return 0;
    }
    for (const char *digit = head + 9; digit < head + 12; digit++) {
        if (*digit < '0' || *digit > '9') {
            return 0;
        }
        status = status * 10 + (unsigned)(*digit - '0');
    }
    return status;
}

/* ---- bodies -------------------------------------------------------------- */

enum chunk_state {
    CHUNK_SIZE,
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_CR,
    CHUNK_LF,
    CHUNK_LAST_CR,
    CHUNK_LAST_LF
};

void message_begin_body(struct message *message, bool is_response, bool no_body)
{
    char value[32];
    unsigned status = is_response ? message_status(message) : 0;

    message_field(message, "transfer-encoding", value, sizeof value);
    if (no_body || status == 204 || status == 304) {
        message->framing = MESSAGE_EMPTY;
    } else if (status == 101) {
        message->framing = MESSAGE_UNTIL_END;
    } else if (strcmp(value, "chunked") == 0) {
        message->framing = MESSAGE_CHUNKED;
    } else {
        message_field(message, "content-length", value, sizeof value);
        message->framing = value[0] != '\0' ? MESSAGE_LENGTH
                           : is_response    ? MESSAGE_UNTIL_END
                                            : MESSAGE_EMPTY;
        for (const char *digit = value; *digit != '\0'; digit++) {
            message->is_broken =
                message->is_broken || *digit < '0' || *digit > '9';
            message->left = message->left * 10 + (uint64_t)(*digit - '0');
        }
    }
    message->state = CHUNK_SIZE;
    message->is_whole =
        message->framing == MESSAGE_EMPTY ||
        (message->framing == MESSAGE_LENGTH && message->left == 0);
}

static int hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* One byte of a chunk's frame. */
static void read_frame(struct message *message, uint8_t byte)
{
    bool is_well = true;

    switch ((enum chunk_state)message->state) {
    case CHUNK_SIZE:
        if (byte == '\r') {
            message->state = CHUNK_SIZE_LF;
            break;
        }
        is_well = hex_digit(byte) >= 0;
        if (is_well) {
            message->left = message->left * 16 + (uint64_t)hex_digit(byte);
        }
        break;
    case CHUNK_SIZE_LF:
        is_well = byte == '\n';
        message->state = message->left > 0 ? CHUNK_DATA : CHUNK_LAST_CR;
        break;
    case CHUNK_CR:
        is_well = byte == '\r';
        message->state = CHUNK_LF;
        break;
    case CHUNK_LF:
        is_well = byte == '\n';
        message->state = CHUNK_SIZE;
        break;
    case CHUNK_LAST_CR:
        is_well = byte == '\r';
        message->state = CHUNK_LAST_LF;
        break;
    case CHUNK_LAST_LF:
        is_well = byte == '\n';
        message->is_whole = is_well;
        break;
    case CHUNK_DATA:
        break;
    }
    message->is_broken = !is_well;
}

size_t message_read_body(struct message *message, const uint8_t *bytes,
                         size_t length, const uint8_t **data,
                         size_t *data_length)
{
    size_t done = 0;

    *data = bytes;
    *data_length = 0;
    if (message->is_whole || message->is_broken) {
        return 0;
    }
    while (message->framing == MESSAGE_CHUNKED && done < length &&
           message->state != CHUNK_DATA && !message->is_whole &&
           !message->is_broken) {
        read_frame(message, bytes[done++]);
    }
    if (done < length && !message->is_whole && !message->is_broken) {
        size_t most = length - done;

        if (message->framing != MESSAGE_UNTIL_END) {
            most = message->left < most ? (size_t)message->left : most;
            message->left -= most;
            if (message->left == 0) {
                message->is_whole = message->framing == MESSAGE_LENGTH;
                message->state = CHUNK_CR;
            }
        }
        *data = bytes + done;
        *data_length = most;
        message->body += most;
        done += most;
    }
    message->taken += done;
    return done;
}

/* ---- writing ------------------------------------------------------------- */

#define BURST_LEAST 64u
#define CHUNKS_MOST 4096u
#define BURST_MOST 16384u

void source_begin(struct source *source, uint64_t draw)
{
    *source = (struct source){
        .stop_at = UINT64_MAX,
        .burst = 1024,
        .chance = chance_of(draw, "chunks", 0),
    };
    source->chunk_most = (uint32_t)chance_size(&source->chance, 65535) + 1;
}

void source_print(struct source *source, const char *format, ...)
{
    va_list arguments;
    int length;

    va_start(arguments, format);
    length =
        vsnprintf(source->text + source->text_length,
                  sizeof source->text - source->text_length, format, arguments);
    va_end(arguments);
    source->text_length += (size_t)length;
}

void source_body(struct source *source, uint64_t key, uint64_t length,
                 bool is_chunked)
{
    source->key = key;
    source->left = length;
    source->is_chunked = is_chunked;
    source->chunk_left = is_chunked ? 0 : length;
    if (source->chunk_most < length / CHUNKS_MOST + 1) {
        source->chunk_most = (uint32_t)(length / CHUNKS_MOST) + 1;
    }
}

static void begin_chunk(struct source *source)
{
    const char *before = source->offset > 0 ? "\r\n" : "";

    source->text_length = 0;
    source->text_done = 0;
    if (source->left == 0) {
        source_print(source, "%s0\r\n\r\n", before);
        source->is_ended = true;
        return;
    }
    source->chunk_left = chance_between(&source->chance, 1, source->chunk_most);
    if (chance_in(&source->chance, 1,
                  4)) { /* a buffer's size, as programs do */
        source->chunk_left = UINT64_C(1) << chance_below(&source->chance, 15);
    }
    if (source->chunk_left > source->left) {
        source->chunk_left = source->left;
    }
    source_print(source, "%s%" PRIx64 "\r\n", before, source->chunk_left);
}

bool source_is_done(const struct source *source)
{
    return source->text_done == source->text_length && source->left == 0 &&
           (!source->is_chunked || source->is_ended);
}

static enum socket_result give_text(struct source *source,
                                    struct socket *socket, size_t most,
                                    size_t *done)
{
    size_t length = source->text_length - source->text_done;
    enum socket_result result =
        socket_send(socket, (const uint8_t *)source->text + source->text_done,
                    length < most ? length : most, done);

    source->text_done += *done;
    return result;
}

static enum socket_result give_content(struct source *source,
                                       struct socket *socket, size_t most,
                                       size_t *done)
{
    uint8_t bytes[BURST_MOST];
    size_t length = source->burst < most ? source->burst : most;
    enum socket_result result;

    length = source->chunk_left < length ? (size_t)source->chunk_left : length;
    content_fill(source->key, source->offset, bytes, length);
    result = socket_send(socket, bytes, length, done);
    if (*done == source->burst && source->burst < BURST_MOST) {
        source->burst *= 2;
    } else if (*done < length) {
        source->burst = *done > BURST_LEAST ? (uint32_t)*done : BURST_LEAST;
    }
    source->offset += *done;
    source->left -= *done;
    source->chunk_left -= *done;
    return result;
}

enum source_result source_pour(struct source *source, struct socket *socket)
{
    while (!source_is_done(source)) {
        enum socket_result result;
        uint64_t room = source->stop_at - source->total;
        size_t most = room < BURST_MOST ? (size_t)room : BURST_MOST;
        size_t done = 0;

        if (source->total >= source->stop_at) {
            return SOURCE_STOPPED;
        }
        if (source->text_done < source->text_length) {
            result = give_text(source, socket, most, &done);
        } else if (source->chunk_left > 0) {
            result = give_content(source, socket, most, &done);
        } else {
            begin_chunk(source);
            if (source->stops_often && source->offset > 0) {
                return SOURCE_PIECE;
            }
            continue;
        }
        source->total += done;
        if (result == SOCKET_BROKEN) {
            return SOURCE_BROKEN;
        }
        if (done == 0) {
            return SOURCE_WAITS;
        }
    }
    return SOURCE_DONE;
}
