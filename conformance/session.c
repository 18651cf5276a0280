#include "conformance/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conformance/session_internal.h"

#define NARROW 16384         /* bytes of a narrow receive buffer */
#define WRITE_AT_ONCE 65536u /* bytes; one WebSocket message at most */

uint64_t session_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t session_random(struct session *session)
{
    uint64_t x = session->seed += 0x9e3779b97f4a7c15u; /* splitmix64 */
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

uint64_t session_hash(uint64_t hash, const void *bytes, size_t length)
{
    const uint8_t *each = bytes;
    for (size_t i = 0; i < length; i++) { /* FNV-1a */
        hash = (hash ^ each[i]) * 0x100000001b3u;
    }
    return hash;
}

void session_pattern(uint8_t *bytes, size_t length, uint64_t offset)
{
    unsigned next = (unsigned)(offset % 251);
    for (size_t i = 0; i < length; i++) {
        bytes[i] = (uint8_t)next;
        next = next == 250 ? 0 : next + 1;
    }
}

uint64_t session_peer_memory(const struct session *session)
{
    char path[64];
    char line[256];
    unsigned long kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", session->peer_pid);
    FILE *file = session->peer_pid > 0 ? fopen(path, "re") : NULL;
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "VmRSS: %lu kB", &kib) == 1) {
            break;
        }
    }
    if (file) {
        fclose(file);
    }
    return kib;
}

uint32_t session_id(struct session *session, uint32_t n)
{
    if (session->mirror) {
        return session_mirror_id(session, n);
    }
    return session->client ? 2 * n - 1 : 2 * n;
}

uint32_t session_foreign_id(const struct session *session, uint32_t n)
{
    return session->client ? 2 * n : 2 * n - 1;
}

/* ---- moving bytes ---- */

bool session_read(struct session *session)
{
    static uint8_t bytes[65536];
    size_t moved = 0;
    if (session->closed) {
        return false;
    }
    switch (channel_read(session->channel, bytes, sizeof bytes, &moved)) {
    case CHANNEL_OK:
        session->books->moved_at_ms = session_now_ms();
        session_books_received(session, bytes, moved);
        return true;
    case CHANNEL_AGAIN:
        return false;
    case CHANNEL_CLOSED:
        session->closed = true;
        return true;
    case CHANNEL_BROKEN:
        session->closed = true;
        session->reset = true;
        return true;
    }
    return false;
}

/* Writes once what can be; false: no room. */
static bool write_wire(struct session *session, const uint8_t **bytes,
                       size_t *length)
{
    size_t count = *length < WRITE_AT_ONCE ? *length : WRITE_AT_ONCE;
    if (session->cuts && count > 1 && session_random(session) % 4 == 0) {
        count = 1 + (size_t)(session_random(session) % count);
    }
    size_t moved = 0;
    switch (channel_write(session->channel, *bytes, count, &moved)) {
    case CHANNEL_OK:
        break;
    case CHANNEL_AGAIN:
        return false;
    case CHANNEL_CLOSED:
    case CHANNEL_BROKEN:
        session->books->unwritable = true;
        return true;
    }
    session_books_sent(session, *bytes, moved);
    session->books->moved_at_ms = session_now_ms();
    *bytes += moved;
    *length -= moved;
    return true;
}

/* The same; bytes that were shaped wait until there is room. */
static bool write_some(struct session *session, const uint8_t **bytes,
                       size_t *length)
{
    struct session_bytes *shaped = &session->books->shaped;
    if (!session_is_shaped(session)) {
        return write_wire(session, bytes, length);
    }
    if (shaped->length == 0) {
        size_t count = *length < WRITE_AT_ONCE ? *length : WRITE_AT_ONCE;
        session_shape(session, *bytes, count, shaped);
        *bytes += count;
        *length -= count;
    }
    const uint8_t *rest = shaped->bytes;
    size_t left = shaped->length;
    bool moved = left == 0 || write_wire(session, &rest, &left);
    if (left) {
        memmove(shaped->bytes, rest, left);
    }
    shaped->length = left;
    return moved;
}

/* Nothing that the case sent is still here. */
static bool is_written(const struct session *session)
{
    return session->books->shaped.length == 0 &&
           !channel_unsent(session->channel);
}

bool session_can_write(const struct session *session)
{
    return !session->closed && !session->books->unwritable;
}

/* All of it, reading meanwhile. */
static void write_all(struct session *session, const uint8_t *bytes,
                      size_t length)
{
    struct session_books *books = session->books;
    books->moved_at_ms = session_now_ms();
    while (session_can_write(session) && (length || !is_written(session))) {
        bool ours = length || books->shaped.length;
        if (ours && write_some(session, &bytes, &length)) {
            continue;
        }
        if (session_read(session)) {
            continue;
        }
        if (session_now_ms() >= books->moved_at_ms + session->timeout_ms) {
            spec_hung(session, "the peer takes no more bytes, for %u ms",
                      session->timeout_ms);
        }
        channel_wait(session->channel, true, ours, 20);
    }
}

void session_flush_replies(struct session *session)
{
    struct session_books *books = session->books;
    if (books->replies.length == 0 || books->corked || books->out.have ||
        books->out.body_left || !session_can_write(session) ||
        !is_written(session)) {
        return;
    }
    const uint8_t *bytes = books->replies.bytes;
    size_t length = books->replies.length;
    books->replying = true;
    while (length && !books->unwritable) {
        if (!write_some(session, &bytes, &length)) {
            break;
        }
    }
    /* a reply that was cut stays at the head, and nothing may overtake it */
    memmove(books->replies.bytes, bytes, length);
    books->replies.length = length;
    if ((length && (books->out.have || books->out.body_left)) ||
        books->shaped.length) {
        struct session_bytes rest = books->replies;
        books->replies = (struct session_bytes){0};
        write_all(session, rest.bytes, rest.length);
        free(rest.bytes);
    }
    books->replying = false;
}

/* ---- sending ---- */

void session_write(struct session *session, const void *bytes, size_t length)
{
    if (session->books->corked) {
        session_bytes_add(&session->books->held, bytes, length);
        return;
    }
    write_all(session, bytes, length);
}

void session_cork(struct session *session)
{
    session->books->corked = true;
}

void session_uncork(struct session *session)
{
    struct session_bytes held = session->books->held;
    session->books->held = (struct session_bytes){0};
    session->books->corked = false;
    write_all(session, held.bytes, held.length);
    free(held.bytes);
}

void session_send_frame(struct session *session, struct wire_frame frame)
{
    uint8_t header[WIRE_HEADER];
    wire_encode(header, frame);
    session_write(session, header, sizeof header);
}

void session_send(struct session *session, enum wire_type type, unsigned flags,
                  uint32_t stream, uint32_t length)
{
    session_send_frame(session, (struct wire_frame){.type = (uint8_t)type,
                                                    .flags = (uint16_t)flags,
                                                    .stream = stream,
                                                    .length = length});
}

void session_data(struct session *session, unsigned flags, uint32_t stream,
                  const void *bytes, size_t length)
{
    uint8_t *whole = malloc(WIRE_HEADER + length);
    if (!whole) {
        abort();
    }
    wire_encode(whole, (struct wire_frame){.flags = (uint16_t)flags,
                                           .stream = stream,
                                           .length = (uint32_t)length});
    if (length) {
        memcpy(whole + WIRE_HEADER, bytes, length);
    }
    session_write(session, whole, WIRE_HEADER + length);
    free(whole);
}

void session_open(struct session *session, uint32_t stream)
{
    session_send(session, WIRE_UPDATE, WIRE_SYN, stream, 0);
}

void session_pour(struct session *session, uint32_t id, uint64_t length,
                  uint32_t frame_max)
{
    static uint8_t bytes[262144];
    while (length && session_can_write(session)) {
        struct stream *stream = session_stream(session, id);
        if (stream->credit <= stream->sent) {
            enum session_wait got =
                session_wait_credit(session, id, stream->sent + 1);
            if (got == SESSION_TIMEOUT) {
                spec_fail(session,
                          "no credit for stream %u within %u ms, after %llu "
                          "bytes",
                          id, session->timeout_ms,
                          (unsigned long long)stream->sent);
            }
            continue;
        }
        uint64_t count = stream->credit - stream->sent;
        count = count < length ? count : length;
        count = count < frame_max ? count : frame_max;
        count = count < sizeof bytes ? count : sizeof bytes;
        session_pattern(bytes, (size_t)count, stream->sent);
        session_data(session, 0, id, bytes, (size_t)count);
        length -= count;
        while (session_read(session)) {
            session_flush_replies(session);
        }
    }
}

size_t session_push(struct session *session, const void *bytes, size_t length,
                    unsigned timeout_ms)
{
    const uint8_t *rest = bytes;
    size_t left = length;
    uint64_t deadline = session_now_ms() + timeout_ms;
    while ((left || session->books->shaped.length) &&
           !session->books->unwritable) {
        if (!write_some(session, &rest, &left)) {
            uint64_t now = session_now_ms();
            if (now >= deadline) {
                break;
            }
            channel_wait(session->channel, false, true,
                         (unsigned)(deadline - now));
        }
    }
    return length - left;
}

/* ---- waiting ---- */

enum session_wait session_wait(struct session *session, unsigned ms,
                               bool (*done)(struct session *, void *),
                               void *context)
{
    uint64_t deadline = session_now_ms() + ms;
    for (;;) {
        session_flush_replies(session);
        if (done(session, context)) {
            return SESSION_GOT;
        }
        if (session->closed) {
            return SESSION_CLOSED;
        }
        uint64_t now = session_now_ms();
        if (now >= deadline) {
            return SESSION_TIMEOUT;
        }
        if (!session_read(session) && !session_control_read(session)) {
            channel_wait(session->channel, true,
                         session->books->replies.length > 0,
                         (unsigned)(deadline - now));
        }
    }
}

struct awaited {
    struct stream *stream;
    uint64_t number;
};

static enum session_wait wait_stream(struct session *session, uint32_t id,
                                     uint64_t number,
                                     bool (*done)(struct session *, void *))
{
    struct awaited awaited = {session_stream(session, id), number};
    return session_wait(session, session->timeout_ms, done, &awaited);
}

static bool has_ack(struct session *session, void *context)
{
    (void)session;
    return ((struct awaited *)context)->stream->acks > 0;
}

enum session_wait session_wait_ack(struct session *session, uint32_t stream)
{
    return wait_stream(session, stream, 0, has_ack);
}

static bool has_data(struct session *session, void *context)
{
    (void)session;
    struct awaited *awaited = context;
    return awaited->stream->received >= awaited->number;
}

/* Data may take as long as it keeps coming. */
enum session_wait session_wait_data(struct session *session, uint32_t stream,
                                    uint64_t total)
{
    for (;;) {
        uint64_t before = session_stream(session, stream)->received;
        enum session_wait got = wait_stream(session, stream, total, has_data);
        if (got != SESSION_TIMEOUT ||
            session_stream(session, stream)->received == before) {
            return got;
        }
    }
}

static bool has_fin(struct session *session, void *context)
{
    (void)session;
    return ((struct awaited *)context)->stream->fins > 0;
}

enum session_wait session_wait_fin(struct session *session, uint32_t stream)
{
    return wait_stream(session, stream, 0, has_fin);
}

static bool has_reset(struct session *session, void *context)
{
    (void)session;
    return ((struct awaited *)context)->stream->resets > 0;
}

enum session_wait session_wait_reset(struct session *session, uint32_t stream)
{
    return wait_stream(session, stream, 0, has_reset);
}

static bool has_credit(struct session *session, void *context)
{
    (void)session;
    struct awaited *awaited = context;
    return awaited->stream->credit >= awaited->number;
}

enum session_wait session_wait_credit(struct session *session, uint32_t stream,
                                      uint64_t credit)
{
    return wait_stream(session, stream, credit, has_credit);
}

static bool has_opened(struct session *session, void *context)
{
    return session->opened >= *(unsigned *)context;
}

enum session_wait session_wait_opened(struct session *session, unsigned count)
{
    return session_wait(session, session->timeout_ms, has_opened, &count);
}

static bool has_pings(struct session *session, void *context)
{
    return session->pings >= *(unsigned *)context;
}

enum session_wait session_wait_pings(struct session *session, unsigned count)
{
    return session_wait(session, session->timeout_ms, has_pings, &count);
}

static bool has_pongs(struct session *session, void *context)
{
    return session->pongs >= *(unsigned *)context;
}

enum session_wait session_wait_pongs(struct session *session, unsigned count)
{
    return session_wait(session, session->timeout_ms, has_pongs, &count);
}

static bool has_goaway(struct session *session, void *context)
{
    (void)context;
    return session->goaways > 0;
}

enum session_wait session_wait_goaway(struct session *session)
{
    return session_wait(session, session->timeout_ms, has_goaway, NULL);
}

static bool never(struct session *session, void *context)
{
    (void)session;
    (void)context;
    return false;
}

enum session_wait session_wait_closed(struct session *session, unsigned ms)
{
    return session_wait(session, ms, never, NULL);
}

void session_listen(struct session *session, unsigned ms)
{
    session_wait(session, ms, never, NULL);
}

void session_settle(struct session *session)
{
    session_listen(session, session->grace_ms);
}

void session_drain(struct session *session)
{
    uint64_t seen = UINT64_MAX;
    for (unsigned i = 0; i < 60 && seen != session->frames; i++) {
        seen = session->frames;
        session_listen(session, session->timeout_ms / 4);
    }
}

void session_sleep(struct session *session, unsigned ms)
{
    (void)session;
    struct timespec time = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    while (nanosleep(&time, &time) != 0) {
    }
}

/* ---- connections ---- */

static void forget_all(struct session *session)
{
    session_control_free(session);
    session_books_free(session->books);
    free(session->pong_opaques);
    free(session->opened_ids);
    /* from `channel` on, everything tells of one connection */
    memset(&session->channel, 0,
           sizeof *session - offsetof(struct session, channel));
    session->books = session_books_make();
}

void session_reconnect(struct session *session)
{
    char error[CHANNEL_ERROR];
    session_close(session);
    forget_all(session);
    session->channel =
        channel_open(session->target, session->timeout_ms + 2000, error);
    if (!session->channel) {
        session->closed = true;
        spec_fail(session, "no new connection to the peer: %s", error);
    }
}

void session_narrow(struct session *session)
{
    session->target->receive_buffer = NARROW;
    session_reconnect(session);
}

void session_close(struct session *session)
{
    if (session->channel) {
        channel_close(session->channel);
    }
    session->channel = NULL;
    session->closed = true;
}

void session_abort(struct session *session)
{
    if (session->channel) {
        channel_abort(session->channel);
    }
    session->channel = NULL;
    session->closed = true;
}
