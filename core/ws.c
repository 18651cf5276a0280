/* ws.c: see ws.h.
 *
 * Implementation notes. Input alternates between two states: a header is being
 * collected (in_frame is false), or `left` payload bytes are still to come. A
 * header is judged byte by byte, so that a fault is found at the same byte
 * however the input is cut. The length in a header is only ever counted down,
 * never used to size or index anything.
 */
#include "core/ws.h"

#include <string.h>

#include "core/contract.h"

enum opcode { /* RFC 6455 5.2 */
              CONTINUATION = 0,
              TEXT = 1,
              BINARY = 2,
              CLOSE = 8,
              PING = 9,
              PONG = 10
};

#define FINAL 0x80u
#define RESERVED 0x70u
#define OPCODE 0x0fu
#define MASKED 0x80u
#define LENGTH 0x7fu
#define LENGTH_IN_2 126u /* the length follows in 2 bytes */
#define LENGTH_IN_8 127u
#define MASK_SIZE 4u
#define CONTROL_BIT 0x08u /* set in the opcode of every control frame */

static bool is_control(uint8_t opcode)
{
    return (opcode & CONTROL_BIT) != 0;
}

#ifdef INVARIANTS
static void invariant(const struct ws *ws)
{
    INVARIANT(ws->role == WS_CLIENT || ws->role == WS_SERVER);
    INVARIANT(ws->header_length < WS_HEADER_MAX);
    INVARIANT(!ws->in_frame || ws->header_length == 0);
    INVARIANT(!ws->in_frame || ws->left > 0);
    INVARIANT(!ws->in_frame || !is_control(ws->opcode) ||
              ws->control_length + ws->left <= WS_CONTROL_PAYLOAD_MAX);
    INVARIANT(ws->mask_phase < MASK_SIZE);
    INVARIANT(ws->pong_length <= WS_CONTROL_PAYLOAD_MAX);
    INVARIANT(!(ws->close_owed && ws->close_sent));
    INVARIANT(!ws->closed || ws->close_owed || ws->close_sent);
    INVARIANT(!ws->pong_owed || !(ws->closed || ws->close_sent));
}
#endif

/* XOR with the mask, its byte `phase` first. Two words at a time are one vector
 * register to gcc and clang at -O2, which unroll it as they like; with more of
 * them gcc goes through the stack. The copies make any alignment legal and cost
 * nothing. */
static void apply_mask(uint8_t *bytes, size_t length, const uint8_t *mask,
                       unsigned phase)
{
    uint8_t rotated[sizeof(uint64_t)];
    uint64_t words[2];
    uint64_t key;
    size_t at = 0;

    for (unsigned i = 0; i < sizeof rotated; i++) {
        rotated[i] = mask[(phase + i) % MASK_SIZE];
    }
    memcpy(&key, rotated, sizeof key);
    for (; length - at >= sizeof words; at += sizeof words) {
        memcpy(words, bytes + at, sizeof words);
        words[0] ^= key;
        words[1] ^= key;
        memcpy(bytes + at, words, sizeof words);
    }
    for (; at < length; at++) {
        bytes[at] ^= rotated[at % MASK_SIZE];
    }
}

void ws_init(struct ws *ws, enum ws_role role)
{
    REQUIRE(role == WS_CLIENT || role == WS_SERVER);
    memset(ws, 0, sizeof *ws);
    ws->role = role;
    INVARIANT_ALL(invariant(ws));
}

/* ---- headers in ---------------------------------------------------------- */

/* What is wrong with a header's first byte, or NULL. */
static const char *first_byte_fault(const struct ws *ws, uint8_t byte)
{
    uint8_t opcode = byte & OPCODE;

    if ((byte & RESERVED) != 0) {
        return "reserved bit set, but no extension was negotiated";
    }
    switch (opcode) {
    case CONTINUATION:
        return ws->in_message ? NULL : "continuation without a first fragment";
    case TEXT:
    case BINARY:
        return ws->in_message ? "new message inside a fragmented one" : NULL;
    case CLOSE:
    case PING:
    case PONG:
        return (byte & FINAL) != 0 ? NULL : "fragmented control frame";
    default: /* not an enum: whatever the peer sent */
        return "reserved opcode";
    }
}

static const char *second_byte_fault(const struct ws *ws, uint8_t byte)
{
    bool masked = (byte & MASKED) != 0;

    if (ws->role == WS_SERVER && !masked) {
        return "unmasked frame from a client";
    }
    if (ws->role == WS_CLIENT && masked) {
        return "masked frame from a server";
    }
    if (is_control(ws->header[0] & OPCODE) &&
        (byte & LENGTH) > WS_CONTROL_PAYLOAD_MAX) {
        return "control frame of more than 125 bytes";
    }
    return NULL;
}

/* How long the header is, as far as its bytes so far can tell. */
static size_t header_size(const struct ws *ws)
{
    size_t size = 2;
    uint8_t second = ws->header[1];

    if (ws->header_length < 2) {
        return size;
    }
    if ((second & LENGTH) == LENGTH_IN_2) {
        size += 2;
    } else if ((second & LENGTH) == LENGTH_IN_8) {
        size += 8;
    }
    return size + ((second & MASKED) != 0 ? MASK_SIZE : 0);
}

/* The header is complete: open its frame. Returns what is wrong, or NULL. */
static const char *open_frame(struct ws *ws)
{
    uint8_t seven = ws->header[1] & LENGTH;
    size_t extra = seven == LENGTH_IN_2 ? 2 : seven == LENGTH_IN_8 ? 8 : 0;
    uint64_t length = extra == 0 ? seven : 0;

    for (size_t i = 0; i < extra; i++) {
        length = length << 8 | ws->header[2 + i];
    }
    if (length >> 63 != 0) {
        return "length with its top bit set";
    }
    if ((extra == 2 && length < LENGTH_IN_2) ||
        (extra == 8 && length <= UINT16_MAX)) {
        return "length not in its shortest form";
    }
    if ((ws->header[1] & MASKED) != 0) {
        memcpy(ws->mask, ws->header + 2 + extra, MASK_SIZE);
    }
    ws->mask_set = (ws->header[1] & MASKED) != 0;
    ws->mask_phase = 0;
    ws->opcode = ws->header[0] & OPCODE;
    ws->final = (ws->header[0] & FINAL) != 0;
    if (!is_control(ws->opcode)) {
        ws->in_message = !ws->final;
    }
    ws->left = length;
    ws->control_length = 0;
    ws->header_length = 0;
    ws->in_frame = true;
    return NULL;
}

/* Collect a header; in_frame tells that it is complete. Returns what is wrong,
 * or NULL. */
static const char *take_header(struct ws *ws, uint8_t **bytes, size_t *length)
{
    const char *fault = NULL;

    while (*length > 0 && !ws->in_frame && fault == NULL) {
        uint8_t byte = **bytes;

        ws->header[ws->header_length++] = byte;
        ++*bytes;
        --*length;
        if (ws->header_length == 1) {
            fault = first_byte_fault(ws, byte);
        } else if (ws->header_length == 2) {
            fault = second_byte_fault(ws, byte);
        }
        if (fault == NULL && ws->header_length == header_size(ws)) {
            fault = open_frame(ws);
        }
    }
    return fault;
}

/* ---- frames in ----------------------------------------------------------- */

/* Nothing is read after this, and nothing but our close is sent. */
static void shut(struct ws *ws, uint16_t code)
{
    ws->closed = true;
    ws->header_length = 0;
    ws->pong_owed = false;
    ws_close(ws, code);
}

static bool fail(struct ws *ws, const char *reason, struct ws_event *event)
{
    shut(ws, WS_CLOSE_PROTOCOL);
    *event = (struct ws_event){
        .kind = WS_CLOSED, .code = WS_CLOSE_PROTOCOL, .reason = reason};
    return true;
}

/* May this code stand in a close frame? RFC 6455 7.4, and IANA's registry for
 * 1012 to 1014. */
static bool is_wire_code(uint16_t code)
{
    if (code >= 3000) {
        return code <= 4999;
    }
    return code >= 1000 && code <= 1014 && code != 1004 &&
           code != WS_CLOSE_NO_STATUS && code != WS_CLOSE_ABNORMAL;
}

static bool end_close(struct ws *ws, struct ws_event *event)
{
    uint16_t code = WS_CLOSE_NO_STATUS;

    if (ws->control_length == 1) {
        return fail(ws, "close frame with half a code", event);
    }
    if (ws->control_length >= 2) {
        code = (uint16_t)(ws->control[0] << 8 | ws->control[1]);
        if (!is_wire_code(code)) {
            return fail(ws, "close code that may not be sent", event);
        }
    }
    shut(ws, code);
    *event = (struct ws_event){.kind = WS_CLOSED, .code = code};
    return true;
}

/* A frame's last byte came. True: *event is set. */
static bool end_frame(struct ws *ws, struct ws_event *event)
{
    ws->in_frame = false;
    if (ws->opcode == CLOSE) {
        return end_close(ws, event);
    }
    if (ws->opcode == PING && !ws->close_sent) {
        memcpy(ws->pong, ws->control, ws->control_length);
        ws->pong_length = ws->control_length;
        ws->pong_owed = true;
    }
    return false;
}

/* Take payload of the frame in progress. True: *event is set. */
static bool take_payload(struct ws *ws, uint8_t **bytes, size_t *length,
                         struct ws_event *event)
{
    size_t size = ws->left < *length ? (size_t)ws->left : *length;
    uint8_t *payload = *bytes;

    if (ws->mask_set) {
        apply_mask(payload, size, ws->mask, ws->mask_phase);
        ws->mask_phase = (uint8_t)((ws->mask_phase + size) % MASK_SIZE);
    }
    ws->left -= size;
    *bytes += size;
    *length -= size;
    if (is_control(ws->opcode)) {
        memcpy(ws->control + ws->control_length, payload, size);
        ws->control_length = (uint8_t)(ws->control_length + size);
        return ws->left == 0 && end_frame(ws, event);
    }
    if (ws->left == 0) {
        (void)end_frame(ws, event);
    }
    *event = (struct ws_event){.kind = WS_DATA,
                               .data = {.bytes = payload, .length = size}};
    return true;
}

bool ws_receive(struct ws *ws, uint8_t **bytes, size_t *length,
                struct ws_event *event)
{
    bool ready = false;

    while (!ready && !ws->closed && *length > 0) {
        if (ws->in_frame) {
            ready = take_payload(ws, bytes, length, event);
        } else {
            const char *fault = take_header(ws, bytes, length);

            if (fault != NULL) {
                ready = fail(ws, fault, event);
            } else if (ws->in_frame && ws->left == 0) {
                ready = end_frame(ws, event);
            }
        }
    }
    if (ws->closed) {
        *bytes += *length;
        *length = 0;
    }
    INVARIANT_ALL(invariant(ws));
    return ready;
}

/* ---- frames out ---------------------------------------------------------- */

/* Write the header of a final frame so that it ends at `payload`, and mask the
 * payload. Returns the header's length. */
static size_t frame(const struct ws *ws, enum opcode opcode, uint8_t *payload,
                    size_t length, const uint8_t *mask)
{
    size_t extra = length < LENGTH_IN_2 ? 0 : length <= UINT16_MAX ? 2 : 8;
    size_t mask_size = ws->role == WS_CLIENT ? MASK_SIZE : 0;
    size_t size = 2 + extra + mask_size;
    uint8_t *header = payload - size;
    uint64_t rest = length;

    REQUIRE((mask != NULL) == (ws->role == WS_CLIENT));
    header[0] = (uint8_t)(FINAL | opcode);
    header[1] = (uint8_t)(extra == 0   ? length
                          : extra == 2 ? LENGTH_IN_2
                                       : LENGTH_IN_8);
    for (size_t i = extra; i > 0; i--) {
        header[1 + i] = (uint8_t)rest;
        rest >>= 8;
    }
    if (mask_size != 0) {
        header[1] |= MASKED;
        memcpy(header + 2 + extra, mask, MASK_SIZE);
        apply_mask(payload, length, mask, 0);
    }
    return size;
}

size_t ws_wrap(const struct ws *ws, uint8_t *payload, size_t length,
               const uint8_t *mask)
{
    REQUIRE(!ws->close_sent);
    return frame(ws, BINARY, payload, length, mask);
}

size_t ws_emit_control(struct ws *ws, uint8_t *bytes, size_t capacity,
                       const uint8_t *mask)
{
    size_t header = 2 + (ws->role == WS_CLIENT ? MASK_SIZE : 0);
    size_t size = 0;

    if (ws->pong_owed) {
        if (capacity < header + ws->pong_length) {
            return 0;
        }
        memcpy(bytes + header, ws->pong, ws->pong_length);
        frame(ws, PONG, bytes + header, ws->pong_length, mask);
        ws->pong_owed = false;
        size = header + ws->pong_length;
    } else if (ws->close_owed) {
        size_t length = ws->close_code == 0 ? 0 : sizeof ws->close_code;

        if (capacity < header + length) {
            return 0;
        }
        if (length != 0) {
            bytes[header] = (uint8_t)(ws->close_code >> 8);
            bytes[header + 1] = (uint8_t)ws->close_code;
        }
        frame(ws, CLOSE, bytes + header, length, mask);
        ws->close_owed = false;
        ws->close_sent = true;
        size = header + length;
    }
    INVARIANT_ALL(invariant(ws));
    return size;
}

bool ws_wants_output(const struct ws *ws)
{
    return ws->pong_owed || ws->close_owed;
}

void ws_close(struct ws *ws, uint16_t code)
{
    REQUIRE(is_wire_code(code) || code == WS_CLOSE_NO_STATUS);
    if (!ws->close_owed && !ws->close_sent) {
        ws->close_code = code == WS_CLOSE_NO_STATUS ? 0 : code;
        ws->close_owed = true;
    }
}

bool ws_is_over(const struct ws *ws)
{
    return ws->closed && ws->close_sent;
}
