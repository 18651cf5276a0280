#include <stdlib.h>
#include <string.h>

#include "conformance/session_internal.h"

#define FLAGS_AT 3u  /* the byte of a header that has the known flags */
#define LENGTH_AT 8u /* where its length begins */

bool session_is_shaped(const struct session *session)
{
    return session->preface_length > 0 || session->mirror != NULL;
}

bool session_is_own(const struct session *session, uint32_t id)
{
    return id != 0 && (id % 2 == 1) == session->client;
}

uint32_t session_window(const struct session *session)
{
    uint32_t taken = session->mirror ? 0 : (uint32_t)session->preface_length;
    return WIRE_WINDOW - taken;
}

static bool opens(struct wire_frame frame)
{
    return frame.version == 0 && frame.type <= WIRE_UPDATE &&
           frame.flags & WIRE_SYN;
}

/* Whether the preface follows: on a stream's first SYN, unless that says that
 * nothing more will come. */
static bool wants_preface(struct session *session, struct wire_frame frame)
{
    if (!opens(frame) || session->mirror || session->preface_length == 0 ||
        !session_is_own(session, frame.stream) || frame.flags & WIRE_RST ||
        (frame.type == WIRE_UPDATE && frame.flags & WIRE_FIN)) {
        return false;
    }
    struct stream *stream = session_stream(session, frame.stream);
    bool first = !stream->prefaced;
    stream->prefaced = true;
    return first;
}

/* The length of a Data SYN may grow, and its bytes wait until it is known. */
static bool holds_length(const struct session *session)
{
    const uint8_t *header = session->books->shape.header;
    return session->preface_length > 0 && !session->mirror &&
           header[1] == WIRE_DATA && header[FLAGS_AT] & WIRE_SYN;
}

/* The header is whole. */
static void end_header(struct session *session, struct session_bytes *out)
{
    struct session_shape *shape = &session->books->shape;
    struct wire_frame frame = wire_decode(shape->header);
    shape->have = 0;
    shape->body_left =
        frame.version == 0 && frame.type == WIRE_DATA ? frame.length : 0;
    bool preface = wants_preface(session, frame);
    uint8_t header[WIRE_HEADER];
    if (holds_length(session)) {
        frame.length += preface ? (uint32_t)session->preface_length : 0;
        wire_encode(header, frame);
        session_bytes_add(out, header + LENGTH_AT, WIRE_HEADER - LENGTH_AT);
    }
    if (preface && frame.type == WIRE_UPDATE) {
        wire_encode(header, (struct wire_frame){
                                .stream = frame.stream,
                                .length = (uint32_t)session->preface_length});
        session_bytes_add(out, header, sizeof header);
    }
    if (preface) {
        session_bytes_add(out, session->preface, session->preface_length);
        session_stream(session, frame.stream)->preface_left =
            session->preface_length;
    }
}

static void take_byte(struct session *session, uint8_t byte,
                      struct session_bytes *out)
{
    struct session_shape *shape = &session->books->shape;
    unsigned at = shape->have++;
    bool stream_frame =
        shape->header[0] == 0 && shape->header[1] <= WIRE_UPDATE;
    if (session->mirror && at == FLAGS_AT && stream_frame && byte & WIRE_SYN) {
        byte = (uint8_t)((byte & ~WIRE_SYN) | WIRE_ACK);
    }
    shape->header[at] = byte;
    if (at < LENGTH_AT || !holds_length(session)) {
        session_bytes_add(out, &byte, 1);
    }
    if (shape->have == WIRE_HEADER) {
        end_header(session, out);
    }
}

void session_shape(struct session *session, const uint8_t *bytes, size_t length,
                   struct session_bytes *out)
{
    struct session_shape *shape = &session->books->shape;
    while (length) {
        size_t count = 1;
        if (shape->body_left) {
            count =
                length < shape->body_left ? length : (size_t)shape->body_left;
            session_bytes_add(out, bytes, count);
            shape->body_left -= count;
        } else {
            take_byte(session, *bytes, out);
        }
        bytes += count;
        length -= count;
    }
}
