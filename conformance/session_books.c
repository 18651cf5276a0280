#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conformance/session_internal.h"

static void *get(void *memory)
{
    if (!memory) {
        abort(); /* a tool without memory has no verdict */
    }
    return memory;
}

struct session_books *session_books_make(void)
{
    struct session_books *books = get(calloc(1, sizeof *books));
    books->slot_count = 256;
    books->slots = get(calloc(books->slot_count, sizeof *books->slots));
    return books;
}

static void stream_free(struct stream *stream)
{
    if (stream) {
        free(stream->kept);
        free(stream);
    }
}

void session_books_free(struct session_books *books)
{
    for (size_t i = 0; i < books->slot_count; i++) {
        stream_free(books->slots[i]);
    }
    free(books->slots);
    free(books->replies.bytes);
    free(books->held.bytes);
    free(books->shaped.bytes);
    free(books->mirrored);
    free(books);
}

void session_bytes_add(struct session_bytes *buffer, const void *bytes,
                       size_t length)
{
    if (buffer->length + length > buffer->size) {
        buffer->size = 2 * (buffer->length + length);
        buffer->bytes = get(realloc(buffer->bytes, buffer->size));
    }
    if (length) {
        memcpy(buffer->bytes + buffer->length, bytes, length);
    }
    buffer->length += length;
}

/* ---- streams ---- */

static struct stream **find(struct session_books *books, uint32_t id)
{
    size_t mask = books->slot_count - 1;
    size_t at = (id * 2654435761u) & mask;
    while (books->slots[at] && books->slots[at]->id != id) {
        at = (at + 1) & mask;
    }
    return &books->slots[at];
}

static void grow(struct session_books *books)
{
    struct stream **old = books->slots;
    size_t count = books->slot_count;
    books->slot_count *= 2;
    books->slots = get(calloc(books->slot_count, sizeof *books->slots));
    for (size_t i = 0; i < count; i++) {
        if (old[i]) {
            *find(books, old[i]->id) = old[i];
        }
    }
    free(old);
}

struct stream *session_stream(struct session *session, uint32_t id)
{
    struct session_books *books = session->books;
    struct stream **slot = find(books, id);
    if (*slot) {
        return *slot;
    }
    if (books->stream_count >= SESSION_STREAMS_MAX) {
        spec_fail(session, "frames on more than %u stream ids",
                  SESSION_STREAMS_MAX);
    }
    if (++books->stream_count * 2 > books->slot_count) {
        grow(books);
        slot = find(books, id);
    }
    struct stream *stream = get(calloc(1, sizeof *stream));
    stream->id = id;
    bool own = session_is_own(session, id);
    stream->credit = own ? session_window(session) : WIRE_WINDOW;
    stream->granted = WIRE_WINDOW - (own ? 0 : session->preface_length);
    stream->hash = SESSION_HASH;
    stream->pattern = true;
    *slot = stream;
    return stream;
}

void session_forget(struct session *session, uint32_t id)
{
    struct session_books *books = session->books;
    struct stream **slot = find(books, id);
    if (!*slot) {
        return;
    }
    if (books->in.stream == *slot || books->out.stream == *slot) {
        return; /* its body is still on the way */
    }
    stream_free(*slot);
    *slot = NULL;
    books->stream_count--;
    /* the rest of the run of slots finds its place anew */
    size_t mask = books->slot_count - 1;
    size_t at = ((size_t)(slot - books->slots) + 1) & mask;
    for (; books->slots[at]; at = (at + 1) & mask) {
        struct stream *moved = books->slots[at];
        books->slots[at] = NULL;
        *find(books, moved->id) = moved;
    }
}

/* ---- frames ---- */

static void trace(struct session_books *books, bool ours,
                  struct wire_frame frame)
{
    struct session_trace *last =
        &books->trace[(books->traced - 1) % SESSION_TRACE];
    if (books->traced && last->ours == ours &&
        memcmp(&last->frame, &frame, sizeof frame) == 0) {
        last->count++;
        return;
    }
    books->trace[books->traced++ % SESSION_TRACE] =
        (struct session_trace){ours, frame, 1};
}

void session_show(const struct session *session, void (*line)(const char *))
{
    const struct session_books *books = session->books;
    uint64_t first =
        books->traced > SESSION_TRACE ? books->traced - SESSION_TRACE : 0;
    for (uint64_t i = first; i < books->traced; i++) {
        const struct session_trace *each = &books->trace[i % SESSION_TRACE];
        char text[WIRE_TEXT];
        char whole[WIRE_TEXT + 48];
        wire_describe(text, each->frame);
        if (each->count > 1) {
            snprintf(whole, sizeof whole, "%s %s (%u times)",
                     each->ours ? "->" : "<-", text, each->count);
        } else {
            snprintf(whole, sizeof whole, "%s %s", each->ours ? "->" : "<-",
                     text);
        }
        line(whole);
    }
}

static void reply(struct session *session, struct wire_frame frame)
{
    uint8_t header[WIRE_HEADER];
    wire_encode(header, frame);
    session_bytes_add(&session->books->replies, header, sizeof header);
}

static void list(uint32_t **values, unsigned *count, uint32_t value)
{
    if (*count < SESSION_LIST_MAX) {
        if ((*count & (*count - 1)) == 0) { /* room for twice as many */
            size_t room = *count ? 2 * (size_t)*count : 1;
            *values = get(realloc(*values, room * sizeof **values));
        }
        (*values)[*count] = value;
        ++*count;
    }
}

static void received_ping(struct session *session, struct wire_frame frame)
{
    if (frame.flags & WIRE_ACK) {
        session->pong = frame;
        session->data_at_pong = session->data_received;
        list(&session->pong_opaques, &session->pongs, frame.length);
        return;
    }
    session->pings++;
    session->ping = frame;
    if (session->answers_pings) {
        reply(session, (struct wire_frame){.type = WIRE_PING,
                                           .flags = WIRE_ACK,
                                           .length = frame.length});
    }
}

static struct stream *received_on_stream(struct session *session,
                                         struct wire_frame frame)
{
    struct stream *stream = session_stream(session, frame.stream);
    if (stream->frames++ == 0) {
        stream->first = frame;
    }
    if (frame.flags & WIRE_SYN && stream->syns++ == 0) {
        list(&session->opened_ids, &session->opened, frame.stream);
    }
    /* in a mirror, the peer's SYN stands for its ACK */
    unsigned ack = session->mirror ? WIRE_ACK | WIRE_SYN : WIRE_ACK;
    stream->acks += (frame.flags & ack) != 0;
    if (frame.type == WIRE_UPDATE && !(frame.flags & WIRE_RST)) {
        stream->credit += frame.length;
        stream->updates += frame.length > 0;
    }
    return stream;
}

/* FIN and RST count when the body is complete. */
static void finish_frame(struct stream *stream, struct wire_frame frame)
{
    if (frame.flags & WIRE_FIN && stream->fins++ == 0) {
        stream->fin_frame = frame;
    }
    if (frame.flags & WIRE_RST && stream->resets++ == 0) {
        stream->reset_frame = frame;
    }
}

static void received_frame(struct session *session, struct wire_frame frame)
{
    struct session_parse *in = &session->books->in;
    trace(session->books, false, frame);
    if (session->goaways) {
        session->frame_after_goaway = true;
    }
    session->frames++;
    session->last = frame;
    if (frame.version != 0 || frame.type > WIRE_GOAWAY) {
        const uint8_t *h = in->header;
        spec_fail(session,
                  "no yamux frame came: %02x %02x %02x%02x "
                  "%02x%02x%02x%02x %02x%02x%02x%02x",
                  h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7], h[8], h[9],
                  h[10], h[11]);
    }
    switch ((enum wire_type)frame.type) {
    case WIRE_DATA:
        in->stream = received_on_stream(session, frame);
        in->body_left = frame.length;
        in->stream->data_frames++;
        if (frame.length > in->stream->largest) {
            in->stream->largest = frame.length;
        }
        if (frame.length == 0) {
            finish_frame(in->stream, frame);
            in->stream = NULL;
        }
        break;
    case WIRE_UPDATE:
        finish_frame(received_on_stream(session, frame), frame);
        break;
    case WIRE_PING:
        received_ping(session, frame);
        break;
    case WIRE_GOAWAY:
        if (session->goaways++ == 0) {
            session->goaway = frame;
        }
        break;
    }
}

static void keep(struct stream *stream, const uint8_t *bytes, size_t length)
{
    uint64_t at = stream->received;
    if (at >= STREAM_KEPT) {
        return;
    }
    size_t count =
        length < STREAM_KEPT - at ? length : (size_t)(STREAM_KEPT - at);
    /* grown by powers of two; never beyond what came in */
    size_t room = 64;
    while (room < at + count) {
        room *= 2;
    }
    stream->kept = get(realloc(stream->kept, room));
    memcpy(stream->kept + at, bytes, count);
}

static void received_body(struct session *session, struct stream *stream,
                          const uint8_t *bytes, size_t length)
{
    keep(stream, bytes, length);
    stream->hash = session_hash(stream->hash, bytes, length);
    unsigned next = (unsigned)(stream->received % 251);
    for (size_t i = 0; i < length && stream->pattern; i++) {
        stream->pattern = bytes[i] == next;
        next = next == 250 ? 0 : next + 1;
    }
    stream->received += length;
    session->data_received += length;
    stream->after_fin += stream->fins ? length : 0;
    stream->after_reset += stream->resets ? length : 0;
    if (stream->received > stream->granted) {
        stream->overrun = stream->received - stream->granted;
    }
    bool grants =
        (session->grants || stream->grants) && !stream->fins && !stream->resets;
    if (grants && stream->received + WIRE_WINDOW / 2 >= stream->granted) {
        uint64_t delta = stream->received + WIRE_WINDOW - stream->granted;
        reply(session, (struct wire_frame){.type = WIRE_UPDATE,
                                           .stream = stream->id,
                                           .length = (uint32_t)delta});
        stream->granted += delta; /* so that it is given once */
    }
}

/* The bytes that belong to the preface of a stream that the peer opened. */
static size_t received_preface(struct session *session, struct stream *stream,
                               const uint8_t *bytes, size_t length)
{
    size_t count = session->preface_length - (size_t)stream->preface_seen;
    count = length < count ? length : count;
    if (session_is_own(session, stream->id) || count == 0) {
        return 0;
    }
    if (memcmp(session->preface + stream->preface_seen, bytes, count) != 0) {
        spec_fail(session, "stream %u does not begin with the preface",
                  stream->id);
    }
    stream->preface_seen += count;
    return count;
}

void session_books_answer(struct stream *stream, const uint8_t *bytes,
                          size_t length)
{
    keep(stream, bytes, length);
    stream->received += length;
}

/* One step through bytes: a header is complete, or a piece of body. */
static size_t step(struct session_parse *parse, const uint8_t *bytes,
                   size_t length, bool *header)
{
    *header = false;
    if (parse->body_left) {
        return length < parse->body_left ? length : (size_t)parse->body_left;
    }
    size_t count = WIRE_HEADER - parse->have;
    count = length < count ? length : count;
    memcpy(parse->header + parse->have, bytes, count);
    parse->have += (unsigned)count;
    if (parse->have == WIRE_HEADER) {
        parse->have = 0;
        parse->frame = wire_decode(parse->header);
        *header = true;
    }
    return count;
}

void session_books_received(struct session *session, const uint8_t *bytes,
                            size_t length)
{
    struct session_parse *in = &session->books->in;
    while (length) {
        bool header;
        bool body = in->body_left > 0;
        size_t count = step(in, bytes, length, &header);
        if (header) {
            received_frame(session, in->frame);
        } else if (body) {
            size_t preface =
                received_preface(session, in->stream, bytes, count);
            received_body(session, in->stream, bytes + preface,
                          count - preface);
            in->body_left -= count;
            if (in->body_left == 0) {
                finish_frame(in->stream, in->frame);
                in->stream = NULL;
            }
        }
        bytes += count;
        length -= count;
    }
}

static void sent_frame(struct session *session, struct session_parse *out)
{
    struct wire_frame frame = out->frame;
    trace(session->books, true, frame);
    if (frame.version != 0) {
        return;
    }
    if (frame.type == WIRE_UPDATE && !(frame.flags & WIRE_RST) &&
        !session->books->replying) {
        session_stream(session, frame.stream)->granted += frame.length;
    }
    if (frame.type == WIRE_DATA) {
        out->body_left = frame.length;
        out->stream =
            frame.length ? session_stream(session, frame.stream) : NULL;
    }
}

void session_books_sent(struct session *session, const uint8_t *bytes,
                        size_t length)
{
    struct session_parse *out = &session->books->out;
    while (length) {
        bool header;
        bool body = out->body_left > 0;
        size_t count = step(out, bytes, length, &header);
        if (header) {
            sent_frame(session, out);
        } else if (body) {
            struct stream *stream = out->stream;
            size_t preface = count < stream->preface_left
                                 ? count
                                 : (size_t)stream->preface_left;
            stream->preface_left -= preface;
            stream->sent += count - preface;
            out->body_left -= count;
            out->stream = out->body_left ? out->stream : NULL;
        }
        bytes += count;
        length -= count;
    }
}
