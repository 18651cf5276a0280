#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conformance/channel_internal.h"

#define HEAD_MAX 16384u /* bytes of an HTTP head that we read */

enum opcode { CONTINUATION, TEXT, BINARY, CLOSE = 8, PING, PONG };

bool channel_is_websocket(const struct channel *channel)
{
    return channel->websocket;
}

bool channel_is_websocket_client(const struct channel *channel)
{
    return channel->websocket_client;
}

struct channel_seen channel_seen(const struct channel *channel)
{
    return channel->seen;
}

/* ---- upgrade ---- */

/* Reads a head into channel->in; what follows it stays there. NULL: error. */
static char *read_head(struct channel *channel, uint64_t deadline,
                       char error[CHANNEL_ERROR])
{
    for (;;) {
        uint8_t *end = memmem(channel->in, channel->in_end, "\r\n\r\n", 4);
        if (end) {
            size_t length = (size_t)(end - channel->in) + 4;
            char *head = strndup((char *)channel->in, length);
            channel->in_start = length;
            return head;
        }
        uint64_t now = channel_now();
        size_t moved = 0;
        enum channel_state state = CHANNEL_AGAIN;
        if (now < deadline && channel->in_end < HEAD_MAX) {
            channel_flush(channel);
            state = channel_raw_read(channel, channel->in + channel->in_end,
                                     HEAD_MAX - channel->in_end, &moved);
            channel->in_end += moved;
        }
        if (state == CHANNEL_AGAIN && now < deadline &&
            channel->in_end < HEAD_MAX) {
            channel_wait(channel, true, false, (unsigned)(deadline - now));
        } else if (state != CHANNEL_OK) {
            snprintf(error, CHANNEL_ERROR, "WebSocket upgrade: %s",
                     state == CHANNEL_AGAIN ? "no whole head in time"
                                            : "the connection has ended");
            return NULL;
        }
    }
}

/* The value of a header, within head; its length in *length. */
static const char *header(const char *head, const char *name, size_t *length)
{
    size_t name_length = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line;
         line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, name_length) == 0 &&
            line[name_length] == ':') {
            const char *value = line + name_length + 1;
            value += strspn(value, " \t");
            *length = strcspn(value, " \t\r\n");
            return value;
        }
    }
    *length = 0;
    return NULL;
}

static void accept_key(const char *key, size_t length, char answer[32])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_DigestInit_ex(context, EVP_sha1(), NULL);
    EVP_DigestUpdate(context, key, length);
    EVP_DigestUpdate(context, guid, sizeof guid - 1);
    EVP_DigestFinal_ex(context, digest, NULL);
    EVP_MD_CTX_free(context);
    EVP_EncodeBlock((unsigned char *)answer, digest, 20);
}

bool channel_ws_connect(struct channel *channel,
                        const struct channel_target *target, uint64_t deadline,
                        char error[CHANNEL_ERROR])
{
    uint8_t nonce[16];
    char key[32];
    char expected[32];
    char line[1600];
    RAND_bytes(nonce, sizeof nonce);
    EVP_EncodeBlock((unsigned char *)key, nonce, sizeof nonce);
    accept_key(key, strlen(key), expected);
    snprintf(line, sizeof line,
             "GET %s HTTP/1.1\r\nHost: %s:%s\r\nUpgrade: websocket\r\n"
             "Connection: Upgrade\r\nSec-WebSocket-Key: %s\r\n"
             "Sec-WebSocket-Version: 13\r\n",
             target->path, target->host, target->port, key);
    channel_queue(channel, line, strlen(line));
    for (size_t i = 0; i < target->header_count; i++) {
        channel_queue(channel, target->headers[i], strlen(target->headers[i]));
        channel_queue(channel, "\r\n", 2);
    }
    channel_queue(channel, "\r\n", 2);
    channel_flush(channel);
    char *head = read_head(channel, deadline, error);
    if (!head) {
        return false;
    }
    size_t length;
    const char *answer = header(head, "Sec-WebSocket-Accept", &length);
    bool good = strncmp(head, "HTTP/1.1 101", 12) == 0;
    if (!good) {
        snprintf(error, CHANNEL_ERROR, "WebSocket upgrade refused: %.*s",
                 (int)strcspn(head, "\r\n"), head);
    } else if (!answer || length != strlen(expected) ||
               memcmp(answer, expected, length) != 0) {
        snprintf(error, CHANNEL_ERROR,
                 "WebSocket upgrade: Sec-WebSocket-Accept is wrong");
        good = false;
    }
    free(head);
    return good;
}

bool channel_ws_accept(struct channel *channel, uint64_t deadline,
                       char error[CHANNEL_ERROR])
{
    char *head = read_head(channel, deadline, error);
    if (!head) {
        return false;
    }
    size_t length;
    const char *key = header(head, "Sec-WebSocket-Key", &length);
    char answer[32];
    if (!key || length > 64) {
        snprintf(error, CHANNEL_ERROR,
                 "WebSocket upgrade: no Sec-WebSocket-Key");
        static const char refusal[] =
            "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
        channel_queue(channel, refusal, sizeof refusal - 1);
        channel_flush(channel);
        free(head);
        return false;
    }
    accept_key(key, length, answer);
    free(head);
    char reply[256];
    snprintf(reply, sizeof reply,
             "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
             "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
             answer);
    channel_queue(channel, reply, strlen(reply));
    channel_flush(channel);
    return true;
}

/* ---- frames ---- */

void channel_raw(struct channel *channel, const void *bytes, size_t length)
{
    channel_queue(channel, bytes, length);
    channel_flush(channel);
}

void channel_frame(struct channel *channel, uint8_t first, bool masked,
                   const void *payload, size_t length)
{
    uint8_t head[14] = {first};
    size_t used = 2;
    if (length < 126) {
        head[1] = (uint8_t)length;
    } else {
        unsigned wide = length < 65536 ? 2 : 8;
        head[1] = wide == 2 ? 126 : 127;
        for (unsigned i = 0; i < wide; i++) {
            head[used++] = (uint8_t)((uint64_t)length >> (8 * (wide - 1 - i)));
        }
    }
    uint8_t mask[4] = {0};
    if (masked) {
        head[1] |= 0x80;
        RAND_bytes(mask, sizeof mask);
        memcpy(head + used, mask, sizeof mask);
        used += sizeof mask;
    }
    channel_queue(channel, head, used);
    size_t at = channel->out.end - channel->out.start;
    channel_queue(channel, payload, length);
    uint8_t *body = channel->out.bytes + channel->out.start + at;
    for (size_t i = 0; masked && i < length; i++) {
        body[i] ^= mask[i % 4];
    }
    if ((first & 15) == CLOSE) {
        channel->close_sent = true;
    }
    channel_flush(channel);
}

static void unmask(struct channel *channel, uint8_t *bytes, size_t length)
{
    for (size_t i = 0; channel->masked && i < length; i++) {
        bytes[i] ^= channel->mask[channel->mask_phase++ % 4];
    }
}

static void control(struct channel *channel, unsigned opcode, uint8_t *payload,
                    size_t length)
{
    struct channel_seen *seen = &channel->seen;
    unmask(channel, payload, length);
    if (opcode == PING) {
        seen->pings++;
        channel_frame(channel, 0x80 | PONG, channel->websocket_client, payload,
                      length);
    } else if (opcode == PONG) {
        seen->pongs++;
        memcpy(seen->pong, payload, length);
        seen->pong_length = length;
    } else {
        if (seen->closes++ == 0) {
            seen->close_code =
                length < 2 ? 1005 : (unsigned)(payload[0] << 8 | payload[1]);
        }
        if (!channel->close_sent) {
            channel_frame(channel, 0x80 | CLOSE, channel->websocket_client,
                          payload, length < 2 ? 0 : 2);
        }
    }
}

static enum channel_state garbage(struct channel *channel, const char *what)
{
    snprintf(channel->trouble, sizeof channel->trouble,
             "WebSocket: the peer sent %s", what);
    return CHANNEL_BROKEN;
}

/* One header (and the whole of a control frame) out of `in`. AGAIN: more
 * bytes are needed. */
static enum channel_state parse(struct channel *channel)
{
    uint8_t *head = channel->in + channel->in_start;
    size_t have = channel->in_end - channel->in_start;
    if (have < 2) {
        return CHANNEL_AGAIN;
    }
    unsigned opcode = head[0] & 15;
    unsigned wide = (head[1] & 127) == 126 ? 2 : (head[1] & 127) == 127 ? 8 : 0;
    bool masked = head[1] & 0x80;
    size_t used = 2 + wide + (masked ? 4 : 0);
    if (have < used) {
        return CHANNEL_AGAIN;
    }
    uint64_t length = wide ? 0 : head[1] & 127;
    for (unsigned i = 0; i < wide; i++) {
        length = length << 8 | head[2 + i];
    }
    if (head[0] & 0x70 || (opcode > BINARY && opcode < CLOSE) ||
        opcode > PONG) {
        return garbage(channel, "reserved bits or an unknown opcode");
    }
    if (opcode >= CLOSE && (length > 125 || !(head[0] & 0x80))) {
        return garbage(channel, "a long or fragmented control frame");
    }
    if (opcode >= CLOSE && have < used + length) {
        return CHANNEL_AGAIN;
    }
    if (masked == channel->websocket_client) {
        channel->seen.masked_wrongly = true;
    }
    channel->masked = masked;
    channel->mask_phase = 0;
    memcpy(channel->mask, head + used - 4, masked ? 4 : 0);
    channel->in_start += used;
    if (opcode >= CLOSE) {
        control(channel, opcode, head + used, (size_t)length);
        channel->in_start += (size_t)length;
    } else {
        channel->payload_left = length;
    }
    return CHANNEL_OK;
}

enum channel_state channel_ws_read(struct channel *channel, uint8_t *bytes,
                                   size_t size, size_t *moved)
{
    *moved = 0;
    for (;;) {
        size_t have = channel->in_end - channel->in_start;
        if (channel->payload_left && have) {
            size_t count = have < size ? have : size;
            count = count < channel->payload_left
                        ? count
                        : (size_t)channel->payload_left;
            memcpy(bytes, channel->in + channel->in_start, count);
            unmask(channel, bytes, count);
            channel->in_start += count;
            channel->payload_left -= count;
            *moved = count;
            return CHANNEL_OK;
        }
        enum channel_state state = CHANNEL_AGAIN;
        if (!channel->payload_left) {
            state = parse(channel);
        }
        if (state == CHANNEL_OK && channel->seen.closes &&
            !channel->close_told) {
            channel->close_told = true;
            return CHANNEL_CLOSED;
        }
        if (state == CHANNEL_BROKEN) {
            return state;
        }
        if (state == CHANNEL_AGAIN) {
            have = channel->in_end - channel->in_start;
            memmove(channel->in, channel->in + channel->in_start, have);
            channel->in_start = 0;
            channel->in_end = have;
            size_t got;
            state = channel_raw_read(channel, channel->in + have,
                                     sizeof channel->in - have, &got);
            if (state != CHANNEL_OK) {
                return state;
            }
            channel->in_end += got;
        }
    }
}
