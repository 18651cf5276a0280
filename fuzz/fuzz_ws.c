/* WebSocket frames: an independent reader of the whole input, written from
 * RFC 6455, must see the same payload and the same end, however the bytes are
 * cut; and what is wrapped arrives as it was.
 *
 * First byte: 1 the input is the server's (we are the client); 2 our close
 * frame is out already. Third: the cuts. */
#include <string.h>

#include "core/ws.h"
#include "fuzz/harness.h"

struct outcome {
    uint8_t *data;
    size_t length;
    bool closed;
    unsigned code; /* if closed */
    uint8_t pong[WS_CONTROL_PAYLOAD_MAX];
    size_t pong_length;
    bool ponged; /* the newest ping is to be answered */
};

static void must_agree(const struct outcome *a, const struct outcome *b)
{
    MUST(a->length == b->length);
    MUST(memcmp(a->data, b->data, a->length) == 0);
    MUST(a->closed == b->closed && (!a->closed || a->code == b->code));
    MUST(a->ponged == b->ponged && a->pong_length == b->pong_length);
    MUST(memcmp(a->pong, b->pong, a->pong_length) == 0);
}

/* ---- the codec ----------------------------------------------------------- */

static void take_output(struct ws *ws, struct outcome *outcome)
{
    static const uint8_t key[4] = {0, 0, 0, 0};
    const uint8_t *mask = ws->role == WS_CLIENT ? key : NULL;
    size_t head = ws->role == WS_CLIENT ? 6 : 2;
    uint8_t bytes[2 * WS_HEADER_MAX + WS_CONTROL_PAYLOAD_MAX];

    while (ws_wants_output(ws)) {
        size_t length = ws_emit_control(ws, bytes, sizeof bytes, mask);
        MUST(length >= head && length <= sizeof bytes);
        MUST((bytes[1] & 0x7f) == length - head);
        if (bytes[0] == 0x8a) {
            outcome->ponged = true;
            outcome->pong_length = length - head;
            memcpy(outcome->pong, bytes + head, length - head);
        } else {
            MUST(bytes[0] == 0x88);
        }
    }
}

static struct outcome run(struct input input, unsigned setup)
{
    struct outcome outcome = {.data = malloc(input.length + 1)};
    struct ws ws;
    struct ws_event event;

    MUST(outcome.data);
    ws_init(&ws, setup & 1 ? WS_CLIENT : WS_SERVER);
    if (setup & 2) {
        struct outcome ours = {0};
        ws_close(&ws, WS_CLOSE_NORMAL);
        take_output(&ws, &ours);
    }
    while (input.length > 0) {
        size_t left = input_piece(&input);
        uint8_t *piece = input_copy(input.bytes, left);
        uint8_t *at = piece;
        input_take(&input, left);
        while (ws_receive(&ws, &at, &left, &event)) {
            MUST(!outcome.closed);
            if (event.kind == WS_DATA) {
                memcpy(outcome.data + outcome.length, event.data.bytes,
                       event.data.length);
                outcome.length += event.data.length;
            } else {
                outcome.closed = true;
                outcome.code = event.code;
                MUST((event.reason != NULL) <= (event.code == 1002));
            }
        }
        MUST(left == 0 && at <= piece + input.length + (at - piece));
        free(piece);
    }
    take_output(&ws, &outcome);
    MUST(ws_is_over(&ws) == outcome.closed);
    return outcome;
}

/* ---- the independent reader ---------------------------------------------- */

struct frame {
    unsigned opcode;
    bool final;
    const uint8_t *mask; /* NULL: none */
    uint64_t length;
    size_t head;
};

enum verdict { GOOD, CUT, BAD };

/* As far as the bytes tell, also of half a header. */
static enum verdict judge_head(const uint8_t *bytes, size_t length, bool client,
                               bool in_message)
{
    unsigned opcode = bytes[0] & 15;

    if ((bytes[0] & 0x70) || (opcode > 2 && opcode < 8) || opcode > 10) {
        return BAD;
    }
    if (opcode >= 8 ? !(bytes[0] & 0x80) : (opcode == 0) != in_message) {
        return BAD;
    }
    if (length < 2) {
        return CUT;
    }
    if (!(bytes[1] & 0x80) != client ||
        (opcode >= 8 && (bytes[1] & 0x7f) > 125)) {
        return BAD;
    }
    return GOOD;
}

static enum verdict read_frame(const uint8_t *bytes, size_t length, bool client,
                               bool in_message, struct frame *frame)
{
    enum verdict verdict = judge_head(bytes, length, client, in_message);
    if (verdict != GOOD) {
        return verdict;
    }
    unsigned seven = bytes[1] & 0x7f;
    size_t extra = seven == 126 ? 2 : seven == 127 ? 8 : 0;
    *frame = (struct frame){.opcode = bytes[0] & 15,
                            .final = bytes[0] >> 7,
                            .length = seven,
                            .head = 2 + extra + (client ? 0 : 4)};
    if (length < frame->head) {
        return CUT;
    }
    if (extra) {
        frame->length = 0;
        for (size_t i = 0; i < extra; i++) {
            frame->length = frame->length << 8 | bytes[2 + i];
        }
        if (frame->length < (extra == 2 ? 126 : 65536) ||
            frame->length > INT64_MAX) {
            return BAD;
        }
    }
    frame->mask = client ? NULL : bytes + 2 + extra;
    return GOOD;
}

static void close_with(struct outcome *outcome, unsigned code)
{
    outcome->closed = true;
    outcome->code = code;
    outcome->ponged = false;
    outcome->pong_length = 0;
}

/* What a whole control frame does. */
static void control(struct outcome *outcome, unsigned opcode,
                    const uint8_t *payload, size_t length, bool silent)
{
    if (opcode == 9 && !silent) {
        outcome->ponged = true;
        outcome->pong_length = length;
        memcpy(outcome->pong, payload, length);
    } else if (opcode == 8) {
        unsigned code = length >= 2 ? payload[0] * 256u + payload[1] : 1005;
        bool good = length == 0 || (code >= 3000 && code <= 4999) ||
                    (code >= 1000 && code <= 1003) ||
                    (code >= 1007 && code <= 1014);
        close_with(outcome, length == 1 || !good ? 1002 : code);
    }
}

static struct outcome read_all(struct input input, unsigned setup)
{
    struct outcome outcome = {.data = malloc(input.length + 1)};
    uint8_t text[WS_CONTROL_PAYLOAD_MAX];
    bool in_message = false;
    struct frame frame;

    MUST(outcome.data);
    while (input.length > 0 && !outcome.closed) {
        enum verdict verdict = read_frame(input.bytes, input.length, setup & 1,
                                          in_message, &frame);
        if (verdict != GOOD) {
            if (verdict == BAD) {
                close_with(&outcome, 1002);
            }
            break;
        }
        input_take(&input, frame.head);
        size_t count =
            frame.length < input.length ? (size_t)frame.length : input.length;
        uint8_t *to = frame.opcode >= 8 ? text : outcome.data + outcome.length;
        for (size_t i = 0; i < count; i++) {
            to[i] = input.bytes[i] ^ (frame.mask ? frame.mask[i % 4] : 0);
        }
        input_take(&input, count);
        if (frame.opcode < 8) {
            outcome.length += count;
            in_message = !frame.final;
        } else if (count == frame.length) {
            control(&outcome, frame.opcode, text, count, setup & 2);
        }
    }
    return outcome;
}

/* ---- there and back ------------------------------------------------------ */

static void wrapped(struct input input, unsigned setup)
{
    enum ws_role role = setup & 1 ? WS_CLIENT : WS_SERVER;
    uint8_t mask[4] = {(uint8_t)setup, 0x55, 0xaa, (uint8_t)input.length};
    uint8_t *room = malloc(WS_HEADER_MAX + input.length + 1);
    uint8_t *payload = room + WS_HEADER_MAX;
    struct ws sender;
    struct ws_event event;
    struct ws receiver;
    size_t seen = 0;

    MUST(room);
    memcpy(payload, input.bytes, input.length);
    ws_init(&sender, role);
    ws_init(&receiver, setup & 1 ? WS_SERVER : WS_CLIENT);
    size_t head = ws_wrap(&sender, payload, input.length,
                          role == WS_CLIENT ? mask : NULL);
    uint8_t *at = payload - head;
    size_t left = head + input.length;
    while (left > 0) {
        size_t piece = input.piece && input.piece < left ? input.piece : left;
        left -= piece;
        while (ws_receive(&receiver, &at, &piece, &event)) {
            MUST(event.kind == WS_DATA);
            MUST(memcmp(event.data.bytes, input.bytes + seen,
                        event.data.length) == 0);
            seen += event.data.length;
        }
    }
    MUST(seen == input.length);
    free(room);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    if (length < INPUT_HEAD) {
        return 0;
    }
    unsigned setup = bytes[0];
    struct input input = {bytes + INPUT_HEAD, length - INPUT_HEAD, bytes[2]};
    struct input whole = {input.bytes, input.length, 0};
    struct outcome expected = read_all(whole, setup);
    struct outcome cut = run(input, setup);
    struct outcome uncut = run(whole, setup);

    must_agree(&expected, &uncut);
    must_agree(&expected, &cut);
    free(expected.data);
    free(cut.data);
    free(uncut.data);
    wrapped(input, setup);
    return 0;
}
