#include "conformance/mutants/websocket.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "conformance/mutants/mutant.h"

#define CONTROL_MAX 125u
#define HEADER_MAX 14u
#define SEND_MAX 65536u

enum opcode { CONTINUATION, TEXT, BINARY, CLOSE = 8, PING, PONG };

struct websocket {
    bool client;
    /* in */
    uint8_t header[HEADER_MAX];
    size_t header_length;
    bool in_frame;
    bool in_message;
    bool final;
    uint8_t opcode;
    bool masked;
    uint8_t mask[4];
    uint64_t size; /* of the frame's payload */
    uint64_t done;
    uint8_t control[CONTROL_MAX];
    bool closed;
    bool hung; /* for mutants */
    uint8_t message[12];
    uint32_t body;
    /* out */
    uint8_t pong[CONTROL_MAX];
    size_t pong_length;
    bool owes_pong;
    bool owes_close;
    bool close_sent;
    uint16_t close_code;
};

struct websocket *websocket_create(bool client)
{
    struct websocket *websocket = calloc(1, sizeof *websocket);
    if (websocket == NULL)
        exit(1);
    websocket->client = client;
    return websocket;
}

void websocket_destroy(struct websocket *websocket)
{
    free(websocket);
}

void websocket_close(struct websocket *websocket, uint16_t code)
{
    if (websocket->owes_close || websocket->close_sent)
        return;
    websocket->owes_close = true;
    websocket->close_code = code;
}

bool websocket_is_closed(const struct websocket *websocket)
{
    return websocket->closed;
}

bool websocket_is_over(const struct websocket *websocket)
{
    return websocket->closed && !websocket->owes_close && !websocket->hung;
}

/* ---- in ---- */

static void breach(struct websocket *websocket, uint16_t code)
{
    websocket->closed = true;
    websocket_close(websocket, code);
}

/* Bytes that the header has, as far as it is known. */
static size_t header_size(const struct websocket *websocket)
{
    if (websocket->header_length < 2)
        return 2;
    uint8_t length = websocket->header[1] & 0x7f;
    size_t size = length == 126 ? 4 : length == 127 ? 10 : 2;
    return size + ((websocket->header[1] & 0x80) != 0 ? 4 : 0);
}

static bool header_is_lawful(struct websocket *websocket)
{
    uint8_t first = websocket->header[0];
    uint8_t opcode = first & 0x0f;
    bool final = (first & 0x80) != 0;
    bool control = opcode >= CLOSE;
    bool known = opcode <= BINARY || (opcode >= CLOSE && opcode <= PONG);
    bool masked = websocket->masked != websocket->client;
    if (mutant("X-08"))
        return known;
    return (first & 0x70) == 0 && known && masked &&
           (!control || (final && websocket->size <= CONTROL_MAX)) &&
           (control || (opcode == CONTINUATION) == websocket->in_message) &&
           websocket->size >> 63 == 0;
}

static void take_header(struct websocket *websocket)
{
    const uint8_t *h = websocket->header;
    size_t at = 2;
    uint64_t size = h[1] & 0x7f;
    if (size >= 126) {
        size_t more = size == 126 ? 2 : 8;
        size = 0;
        while (more-- > 0)
            size = size << 8 | h[at++];
    }
    websocket->masked = (h[1] & 0x80) != 0;
    memset(websocket->mask, 0, sizeof websocket->mask);
    if (websocket->masked)
        memcpy(websocket->mask, h + at, sizeof websocket->mask);
    websocket->size = size;
    websocket->done = 0;
    websocket->opcode = h[0] & 0x0f;
    websocket->final = (h[0] & 0x80) != 0;
    websocket->header_length = 0;
    if (!header_is_lawful(websocket) ||
        (websocket->opcode >= CLOSE && size > CONTROL_MAX)) {
        breach(websocket, 1002);
        return;
    }
    if (websocket->opcode == TEXT) {
        websocket->hung = mutant("X-05");
        breach(websocket, 1003);
        return;
    }
    if (size == 0 && websocket->opcode == BINARY && mutant("X-04"))
        breach(websocket, 1000);
    if (size >= 1024 * 1024 && mutant("X-07"))
        websocket->hung = true;
    websocket->in_frame = true;
    if (websocket->opcode < CLOSE)
        websocket->in_message = !websocket->final;
}

static void end_control(struct websocket *websocket)
{
    size_t size = (size_t)websocket->size;
    if (websocket->opcode == PING &&
        !(mutant("X-03") && websocket->in_message)) {
        memcpy(websocket->pong, websocket->control, size);
        websocket->pong_length = size;
        websocket->owes_pong = true;
    } else if (websocket->opcode == CLOSE) {
        uint16_t code = 1000;
        if (size >= 2)
            code =
                (uint16_t)(websocket->control[0] << 8 | websocket->control[1]);
        websocket->closed = true;
        websocket->hung = mutant("X-06");
        websocket_close(websocket, code);
    }
}

/* Is this byte one that a mutant loses? */
static bool is_lost(const struct websocket *websocket)
{
    if (mutant("X-02"))
        return websocket->size == 1 && websocket->final;
    return mutant("X-01") && websocket->done == 0 && websocket->size > 1 &&
           websocket->body == websocket->size;
}

/* The length that a message has promised which is a Data header and no more;
 * else 0. */
static uint32_t promised_body(const struct websocket *websocket)
{
    const uint8_t *h = websocket->message;
    if (websocket->size != sizeof websocket->message || h[0] != 0 || h[1] != 0)
        return 0;
    return (uint32_t)h[10] << 8 | h[11];
}

size_t websocket_receive(struct websocket *websocket, uint8_t *bytes,
                         size_t length)
{
    size_t out = 0;
    for (size_t i = 0; i < length && !websocket->closed && !websocket->hung;
         i++) {
        if (!websocket->in_frame) {
            websocket->header[websocket->header_length++] = bytes[i];
            if (websocket->header_length == header_size(websocket))
                take_header(websocket);
        } else {
            uint8_t byte = bytes[i] ^ websocket->mask[websocket->done % 4];
            if (websocket->opcode >= CLOSE)
                websocket->control[websocket->done] = byte;
            else if (!is_lost(websocket))
                bytes[out++] = byte;
            if (websocket->done < sizeof websocket->message)
                websocket->message[websocket->done] = byte;
            websocket->done++;
        }
        if (websocket->in_frame && websocket->done == websocket->size) {
            websocket->in_frame = false;
            if (websocket->opcode >= CLOSE)
                end_control(websocket);
            else
                websocket->body = promised_body(websocket);
        }
    }
    return out;
}

/* ---- out ---- */

static void put_frame(struct websocket *websocket, struct bytes *out,
                      uint8_t opcode, const uint8_t *payload, size_t length)
{
    uint8_t header[HEADER_MAX] = {(uint8_t)(0x80 | opcode)};
    uint8_t mask[4] = {0};
    size_t size = 2;
    if (length < 126) {
        header[1] = (uint8_t)length;
    } else if (length < 65536) {
        header[1] = 126;
        header[size++] = (uint8_t)(length >> 8);
        header[size++] = (uint8_t)length;
    } else {
        header[1] = 127;
        for (int shift = 56; shift >= 0; shift -= 8)
            header[size++] = (uint8_t)((uint64_t)length >> shift);
    }
    if (websocket->client) {
        header[1] |= 0x80;
        if (RAND_bytes(mask, sizeof mask) != 1)
            exit(1);
        memcpy(header + size, mask, sizeof mask);
        size += sizeof mask;
    }
    bytes_append(out, header, size);
    uint8_t *room = bytes_room(out, length);
    for (size_t i = 0; i < length; i++)
        room[i] = payload[i] ^ mask[i % 4];
    bytes_added(out, length);
}

void websocket_send(struct websocket *websocket, struct bytes *out,
                    const uint8_t *payload, size_t length)
{
    while (length > 0 && !websocket->close_sent) {
        size_t size = length < SEND_MAX ? length : SEND_MAX;
        put_frame(websocket, out, BINARY, payload, size);
        payload += size;
        length -= size;
    }
}

void websocket_answer(struct websocket *websocket, struct bytes *out)
{
    if (websocket->owes_pong && !websocket->close_sent)
        put_frame(websocket, out, PONG, websocket->pong,
                  websocket->pong_length);
    websocket->owes_pong = false;
    if (websocket->owes_close && !websocket->hung) {
        uint8_t code[2] = {(uint8_t)(websocket->close_code >> 8),
                           (uint8_t)websocket->close_code};
        put_frame(websocket, out, CLOSE, code, sizeof code);
        websocket->owes_close = false;
        websocket->close_sent = true;
    }
}
