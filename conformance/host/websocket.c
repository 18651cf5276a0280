/* websocket.c: conformance/mutants/websocket.h over core/ws. */
#include "conformance/mutants/websocket.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "core/ws.h"

#define MESSAGE_MAX 65536u

struct websocket {
    struct ws ws;
    bool closed;
};

struct websocket *websocket_create(bool client)
{
    struct websocket *websocket = calloc(1, sizeof *websocket);
    if (websocket == NULL)
        exit(1);
    ws_init(&websocket->ws, client ? WS_CLIENT : WS_SERVER);
    return websocket;
}

void websocket_destroy(struct websocket *websocket)
{
    free(websocket);
}

size_t websocket_receive(struct websocket *websocket, uint8_t *bytes,
                         size_t length)
{
    size_t done = 0;
    uint8_t *rest = bytes;
    struct ws_event event;
    while (ws_receive(&websocket->ws, &rest, &length, &event)) {
        if (event.kind == WS_CLOSED) {
            websocket->closed = true;
            continue;
        }
        memmove(bytes + done, event.data.bytes, event.data.length);
        done += event.data.length;
    }
    return done;
}

/* NULL for a server. */
static const uint8_t *new_mask(const struct websocket *websocket,
                               uint8_t mask[4])
{
    if (websocket->ws.role == WS_SERVER)
        return NULL;
    if (RAND_bytes(mask, 4) != 1)
        exit(1);
    return mask;
}

void websocket_send(struct websocket *websocket, struct bytes *out,
                    const uint8_t *payload, size_t length)
{
    while (length > 0 && !websocket->ws.close_sent) {
        uint8_t mask[4];
        size_t size = length < MESSAGE_MAX ? length : MESSAGE_MAX;
        uint8_t *room = bytes_room(out, WS_HEADER_MAX + size);
        uint8_t *body = room + WS_HEADER_MAX;
        memcpy(body, payload, size);
        size_t header =
            ws_wrap(&websocket->ws, body, size, new_mask(websocket, mask));
        memmove(room, body - header, header + size);
        bytes_added(out, header + size);
        payload += size;
        length -= size;
    }
}

void websocket_answer(struct websocket *websocket, struct bytes *out)
{
    while (ws_wants_output(&websocket->ws)) {
        uint8_t mask[4];
        size_t room = WS_HEADER_MAX + WS_CONTROL_PAYLOAD_MAX;
        bytes_added(out, ws_emit_control(&websocket->ws, bytes_room(out, room),
                                         room, new_mask(websocket, mask)));
    }
}

void websocket_close(struct websocket *websocket, uint16_t code)
{
    ws_close(&websocket->ws, code);
}

bool websocket_is_closed(const struct websocket *websocket)
{
    return websocket->closed;
}

bool websocket_is_over(const struct websocket *websocket)
{
    return websocket->closed && !ws_wants_output(&websocket->ws);
}
