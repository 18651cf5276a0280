#include "conformance/host/frames.h"

#include <stdbool.h>
#include <string.h>

#include "core/wire.h"

#define PAYLOAD_MAX 262144u /* core's default */

static bool is_one_flag(uint16_t flags)
{
    return flags == WIRE_SYN || flags == WIRE_ACK || flags == WIRE_FIN ||
           flags == WIRE_RST;
}

static const char *data_wrong(struct frames *frames,
                              const struct wire_header *header, size_t left)
{
    frames->payload += header->length;
    if (header->flags != 0)
        return "data with a flag";
    if (header->length == 0 || header->length > PAYLOAD_MAX)
        return "data of no bytes, or of more than 262144";
    return header->length > left ? "half a frame" : NULL;
}

static const char *update_wrong(struct frames *frames,
                                const struct wire_header *header,
                                uint64_t consumed)
{
    frames->granted += header->length;
    if (frames->granted > consumed)
        return "more credit than was taken";
    if (header->flags != 0)
        return is_one_flag(header->flags) ? NULL : "two flags";
    frames->updates++;
    return header->length < WIRE_WINDOW_INITIAL / 2
               ? "an update of less than half a window"
               : NULL;
}

static const char *ping_wrong(struct frames *frames,
                              const struct wire_header *header)
{
    frames->pings += header->flags == WIRE_SYN;
    if (header->stream != 0)
        return "a ping on a stream";
    return is_one_flag(header->flags) ? NULL : "a ping with two flags";
}

static const char *wrong(struct frames *frames,
                         const struct wire_header *header, size_t left,
                         uint64_t consumed)
{
    switch ((enum wire_type)header->type) {
    case WIRE_DATA:
        return data_wrong(frames, header, left);
    case WIRE_WINDOW_UPDATE:
        return update_wrong(frames, header, consumed);
    case WIRE_PING:
        return ping_wrong(frames, header);
    case WIRE_GO_AWAY:
        return header->stream != 0 || header->flags != 0
                   ? "a GoAway with a stream or flags"
                   : NULL;
    }
    return "an unknown type";
}

void frames_take(struct frames *frames, const uint8_t *bytes, size_t length,
                 uint64_t consumed)
{
    while (length > 0 && frames->wrong == NULL) {
        struct wire_header header;
        const char *found = "half a header";
        if (length >= WIRE_HEADER_SIZE &&
            wire_decode(&header, bytes) == STATUS_OK)
            found = wrong(frames, &header, length - WIRE_HEADER_SIZE, consumed);
        frames->count++;
        if (found != NULL) {
            frames->wrong = found;
            memcpy(frames->offender, bytes,
                   length < WIRE_HEADER_SIZE ? length : WIRE_HEADER_SIZE);
            return;
        }
        size_t size = WIRE_HEADER_SIZE;
        if (header.type == WIRE_DATA)
            size += header.length;
        bytes += size;
        length -= size;
    }
}
