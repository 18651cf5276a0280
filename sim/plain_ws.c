#include "sim/plain_ws.h"

#include <string.h>

#define OPCODE 0x0fu
#define RESERVED 0x70u
#define CONTROL_MAX 125u
#define HEADER_MAX 14u
#define MASK_SIZE 4u
#define NO_CODE 1005u

void plain_ws_init(struct plain_ws *ws, struct sim *sim, bool client,
                   struct chance chance)
{
    *ws = (struct plain_ws){.sim = sim,
                            .client = client,
                            .opcode = PLAIN_BINARY,
                            .chance = chance,
                            .close_code = NO_CODE};
    plain_bytes_init(&ws->raw, sim);
    plain_bytes_init(&ws->data, sim);
    plain_bytes_init(&ws->out, sim);
}

void plain_ws_free(struct plain_ws *ws)
{
    plain_bytes_free(&ws->raw);
    plain_bytes_free(&ws->data);
    plain_bytes_free(&ws->out);
}

/* ---- out ----------------------------------------------------------------- */

static void apply_mask(uint8_t *bytes, size_t length, const uint8_t *mask)
{
    uint8_t twice[2 * MASK_SIZE];
    uint64_t key;
    size_t at = 0;

    memcpy(twice, mask, MASK_SIZE);
    memcpy(twice + MASK_SIZE, mask, MASK_SIZE);
    memcpy(&key, twice, sizeof key);
    for (; length - at >= sizeof key; at += sizeof key) {
        uint64_t word;

        memcpy(&word, bytes + at, sizeof word);
        word ^= key;
        memcpy(bytes + at, &word, sizeof word);
    }
    for (; at < length; at++) {
        bytes[at] ^= mask[at % MASK_SIZE];
    }
}

/* 5.2: 7, 16 or 64 bits of length, the shortest that will do. */
static size_t put_length(uint8_t *header, uint8_t mask_bit, uint64_t length)
{
    size_t bytes = length < 126 ? 0 : length <= UINT16_MAX ? 2 : 8;

    header[1] = (uint8_t)(mask_bit | (bytes == 0   ? (unsigned)length
                                      : bytes == 2 ? 126u
                                                   : 127u));
    for (size_t i = 0; i < bytes; i++) {
        header[2 + i] = (uint8_t)(length >> 8 * (bytes - 1 - i));
    }
    return 2 + bytes;
}

void plain_ws_frame(struct plain_ws *ws, uint8_t first, const uint8_t *head,
                    size_t head_length, const uint8_t *body, size_t body_length)
{
    size_t length = head_length + body_length;
    uint8_t header[HEADER_MAX] = {first};
    uint8_t mask[MASK_SIZE];
    size_t size = put_length(header, ws->client ? PLAIN_MASKED : 0, length);

    if (ws->client) {
        uint32_t drawn = (uint32_t)chance_next(&ws->chance);

        for (size_t i = 0; i < MASK_SIZE; i++) {
            mask[i] = (uint8_t)(drawn >> 8 * i);
        }
        memcpy(header + size, mask, MASK_SIZE);
        size += MASK_SIZE;
    }
    plain_bytes_add(&ws->out, header, size);
    uint8_t *payload = plain_bytes_extend(&ws->out, length);
    if (head_length > 0) {
        memcpy(payload, head, head_length);
    }
    if (body_length > 0) {
        memcpy(payload + head_length, body, body_length);
    }
    if (ws->client) {
        apply_mask(payload, length, mask);
    }
}

/* 5.4: the first frame has the opcode, the last one FIN. */
static void send_fragments(struct plain_ws *ws, const uint8_t *bytes,
                           size_t length)
{
    uint8_t opcode = ws->opcode;

    while (length > ws->fragment_max) {
        plain_ws_frame(ws, opcode, bytes, ws->fragment_max, NULL, 0);
        bytes += ws->fragment_max;
        length -= ws->fragment_max;
        opcode = PLAIN_CONTINUATION;
        if (ws->interrupts && chance_in(&ws->chance, 1, 4)) {
            plain_ws_frame(ws, PLAIN_FINAL | PLAIN_PING, bytes, 1, NULL, 0);
        }
    }
    plain_ws_frame(ws, (uint8_t)(PLAIN_FINAL | opcode), bytes, length, NULL, 0);
}

void plain_ws_message(struct plain_ws *ws, const uint8_t *head,
                      size_t head_length, const uint8_t *body,
                      size_t body_length)
{
    if (ws->fragment_max == 0 ||
        head_length + body_length <= ws->fragment_max) {
        plain_ws_frame(ws, (uint8_t)(PLAIN_FINAL | ws->opcode), head,
                       head_length, body, body_length);
    } else {
        struct plain_bytes whole;

        plain_bytes_init(&whole, ws->sim);
        plain_bytes_add(&whole, head, head_length);
        plain_bytes_add(&whole, body, body_length);
        send_fragments(ws, plain_bytes_front(&whole), whole.length);
        plain_bytes_free(&whole);
    }
}

void plain_ws_close(struct plain_ws *ws, uint16_t code)
{
    const uint8_t bytes[2] = {(uint8_t)(code >> 8), (uint8_t)code};

    if (!ws->close_sent) {
        ws->close_sent = true;
        plain_ws_frame(ws, PLAIN_FINAL | PLAIN_CLOSE, bytes,
                       code == NO_CODE ? 0 : sizeof bytes, NULL, 0);
    }
}

/* ---- in ------------------------------------------------------------------ */

struct header {
    uint8_t first, second;
    size_t size; /* 0: not complete yet */
    uint64_t length;
    const uint8_t *mask; /* NULL: none */
};

static struct header read_header(const uint8_t *bytes, size_t have)
{
    struct header header = {0};
    size_t extra;

    if (have < 2) {
        return header;
    }
    header.first = bytes[0];
    header.second = bytes[1];
    header.length = bytes[1] & 0x7fu;
    extra = header.length == 126 ? 2 : header.length == 127 ? 8 : 0;
    size_t size = 2 + extra + ((bytes[1] & PLAIN_MASKED) != 0 ? MASK_SIZE : 0);
    if (have < size) {
        return header;
    }
    header.size = size;
    if (extra > 0) {
        header.length = 0;
    }
    for (size_t i = 0; i < extra; i++) {
        header.length = header.length << 8 | bytes[2 + i];
    }
    if ((bytes[1] & PLAIN_MASKED) != 0) {
        header.mask = bytes + 2 + extra;
    }
    return header;
}

static void expect(const struct plain_ws *ws, bool holds,
                   const struct header *header, const char *rule)
{
    if (!holds) {
        sim_fail(ws->sim, "reference",
                 "WebSocket frame %02x %02x, %llu bytes: %s", header->first,
                 header->second, (unsigned long long)header->length, rule);
    }
}

static void check_header(struct plain_ws *ws, const struct header *header)
{
    unsigned opcode = header->first & OPCODE;
    bool final = (header->first & PLAIN_FINAL) != 0;
    bool is_control = opcode >= PLAIN_CLOSE;
    size_t extra = header->size - 2 - (header->mask != NULL ? MASK_SIZE : 0);

    expect(ws, (header->first & RESERVED) == 0, header,
           "no reserved bit without an extension (5.2)");
    expect(ws, (header->mask == NULL) == ws->client, header,
           "masked by the client and by nobody else (5.1)");
    expect(ws, extra == 0 || header->length > (extra == 2 ? 125 : UINT16_MAX),
           header, "the shortest form of a length (5.2)");
    expect(ws, header->length >> 63 == 0, header, "63 bits of length (5.2)");
    expect(ws, !ws->close_received, header, "nothing after a close (5.5.1)");
    if (is_control) {
        expect(ws, opcode <= PLAIN_PONG, header, "a known opcode (5.2)");
        expect(ws, final && header->length <= CONTROL_MAX, header,
               "control frames are whole and short (5.5)");
    } else {
        expect(ws, opcode <= PLAIN_BINARY, header, "a known opcode (5.2)");
        expect(ws, (opcode == PLAIN_CONTINUATION) == ws->in_message, header,
               "fragments of one message in a row (5.4)");
        ws->in_message = !final;
    }
}

/* Nobody is told that he broke the protocol who did not. */
static void take_close(struct plain_ws *ws, const struct header *header,
                       const uint8_t *payload)
{
    ws->close_received = true;
    expect(ws, header->length != 1, header, "a code has two bytes (5.5.1)");
    if (header->length >= 2) {
        ws->close_code = (uint16_t)(payload[0] << 8 | payload[1]);
    }
    if (!ws->guilty && (ws->close_code == 1002 || ws->close_code == 1003 ||
                        ws->close_code == 1007 || ws->close_code == 1009)) {
        sim_fail(ws->sim, "reference", "closed with %u without a reason",
                 (unsigned)ws->close_code);
    }
    plain_ws_close(ws, ws->close_code);
}

static void take_frame(struct plain_ws *ws, const struct header *header,
                       uint8_t *payload)
{
    size_t length = (size_t)header->length;

    if (header->mask != NULL) {
        apply_mask(payload, length, header->mask);
    }
    switch ((enum plain_opcode)(header->first & OPCODE)) {
    case PLAIN_CONTINUATION:
    case PLAIN_TEXT:
    case PLAIN_BINARY:
        plain_bytes_add(&ws->data, payload, length);
        break;
    case PLAIN_CLOSE:
        take_close(ws, header, payload);
        break;
    case PLAIN_PING:
        plain_ws_frame(ws, PLAIN_FINAL | PLAIN_PONG, payload, length, NULL, 0);
        break;
    case PLAIN_PONG:
        break;
    }
}

void plain_ws_receive(struct plain_ws *ws, const uint8_t *bytes, size_t length)
{
    plain_bytes_add(&ws->raw, bytes, length);
    for (;;) {
        struct header header =
            read_header(plain_bytes_front(&ws->raw), ws->raw.length);

        if (header.size == 0 || ws->raw.length - header.size < header.length) {
            return;
        }
        check_header(ws, &header);
        take_frame(ws, &header, plain_bytes_front(&ws->raw) + header.size);
        plain_bytes_drop(&ws->raw, header.size + (size_t)header.length);
    }
}
