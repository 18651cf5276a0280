/* IMPLEMENTATION NOTES
 *
 * net/transport.c without TLS and pipes; the same order of deeds in a burst:
 * clock, receive, send, tell the connections what changed, hang up if it is
 * time, tell again, step(). Phases: OPEN; CLOSING (flush what is owed, our
 * close frame last); LINGERING (all of it is sent, or will never be; wait for
 * the peer's end); CLOSED (no socket, connections still end); ENDED.
 */
#include "sim/transport.h"

#include <string.h>

#include "core/contract.h"
#include "core/wire.h"

#define RECEIVE_MAX ((size_t)16384)
#define RECEIVES_MAX                                                           \
    16u                    /* of one burst: a socket may give little at a time \
                            */
#define READ_MIN 2048u     /* a message that has less room left is full, */
#define LINGER_MS 5000u    /* core/link.h's default */
#define READ_MIN_SMALL 64u /* or this, of small ones */
#define CONTROL_ROOM \
    (2 * (WS_HEADER_MAX + WS_CONTROL_PAYLOAD_MAX)) /* a pong and a close */

enum phase { OPEN, CLOSING, LINGERING, CLOSED, ENDED };

struct transport_buffer {
    size_t size; /* of the block, as the process counts it */
    size_t start, end;
    uint8_t bytes[];
};

/* ---- connections --------------------------------------------------------- */

static uint64_t now_ms_of(const struct transport *transport)
{
    return loop_now_ms(transport->pool->loop);
}

static void note_progress(struct conn *conn, size_t length)
{
    if (length > 0) {
        conn->moved_ms = now_ms_of(conn->transport);
    }
}

void conn_init(struct conn *conn, const struct conn_ops *ops,
               struct transport *transport, uint32_t id)
{
    *conn = (struct conn){.ops = ops, .transport = transport, .id = id};
    note_progress(conn, 1);
}

void conn_readable(struct conn *conn)
{
    link_readable(conn->transport->link, conn->id);
    transport_wake(conn->transport);
}

void conn_written(struct conn *conn, size_t length)
{
    link_written(conn->transport->link, conn->id, length);
    note_progress(conn, length);
    transport_wake(conn->transport);
}

void conn_half_closed(struct conn *conn)
{
    link_half_closed(conn->transport->link,
                     loop_now_ms(conn->transport->pool->loop), conn->id);
    transport_wake(conn->transport);
}

void conn_failed(struct conn *conn)
{
    link_failed(conn->transport->link, conn->id);
    transport_wake(conn->transport);
}

void conn_closed(struct conn *conn)
{
    link_closed(conn->transport->link, conn->id);
    transport_wake(conn->transport);
}

uint32_t conn_stream(const struct conn *conn)
{
    return link_stream(conn->transport->link, conn->id);
}

/* ---- pool ---------------------------------------------------------------- */

void transport_pool_init(struct transport_pool *pool, struct loop *loop,
                         struct process *process, struct chance chance)
{
    *pool = (struct transport_pool){
        .loop = loop, .process = process, .chance = chance};
    pool->message_max = chance_in(&pool->chance, 1, 4)
                            ? 128 + (size_t)chance_size(&pool->chance, 65536)
                            : 16384;
    pool->burst_max = 4 * pool->message_max + 65536;
    pool->linger_ms = LINGER_MS;
}

static void release_buffer(struct transport_pool *pool,
                           struct transport_buffer *buffer)
{
    if (buffer != NULL) {
        pool->memory -= buffer->size;
        process_release(pool->process, buffer);
    }
}

void transport_pool_end(struct transport_pool *pool)
{
    while (pool->legals != NULL) {
        legal_free(&pool->legals, pool->legals);
    }
    if (pool->process->alive) {
        release_buffer(pool, pool->spare);
    }
    pool->spare = NULL;
    sim_release(pool->loop->sim, pool->input);
    pool->input = NULL;
}

static struct transport_buffer *take_buffer(struct transport_pool *pool)
{
    struct transport_buffer *buffer = pool->spare;
    size_t size =
        sizeof *buffer + WS_HEADER_MAX + pool->message_max + CONTROL_ROOM;

    if (buffer != NULL) {
        pool->spare = NULL;
        return buffer;
    }
    buffer = process_alloc(pool->process, size);
    if (buffer != NULL) {
        buffer->size = size;
        pool->memory += size;
    }
    return buffer;
}

static void give_buffer(struct transport_pool *pool,
                        struct transport_buffer *buffer)
{
    if (pool->spare == NULL) {
        pool->spare = buffer;
    } else {
        release_buffer(pool, buffer);
    }
}

static uint8_t *input_of(struct transport_pool *pool)
{
    if (pool->input == NULL) {
        pool->input = sim_alloc(pool->loop->sim, RECEIVE_MAX);
    }
    return pool->input;
}

/* ---- hanging up ---------------------------------------------------------- */

void transport_wake(struct transport *transport)
{
    if (!transport->in_burst && transport->phase != ENDED) {
        job_wake(transport->job);
    }
}

static void drop_early(struct transport *transport)
{
    if (transport->early.bytes != NULL) {
        transport->pool->memory -= transport->early.length;
        process_release(transport->pool->process,
                        (void *)(uintptr_t)transport->early.bytes);
        transport->early = (struct span){NULL, 0};
    }
}

static void hang_up(struct transport *transport)
{
    if (transport->phase >= CLOSED) {
        return;
    }
    transport->phase = CLOSED;
    transport->readable = transport->writable = false;
    link_fail(transport->link, STATUS_TRANSPORT_LOST);
    socket_close(transport->socket);
    transport->socket = NULL;
    if (transport->pending != NULL) {
        give_buffer(transport->pool, transport->pending);
        transport->pending = NULL;
    }
    drop_early(transport);
}

/* The first reason is the one to tell. */
static void blame(struct transport *transport, const char *reason)
{
    if (transport->phase == OPEN && transport->reason == NULL) {
        transport->reason = reason;
    }
}

static void lose(struct transport *transport, const char *reason)
{
    blame(transport, reason);
    hang_up(transport);
}

static void begin_close(struct transport *transport)
{
    transport->phase = CLOSING;
    transport->linger_until_ms = now_ms_of(transport) + TRANSPORT_LINGER_MS;
}

void transport_close(struct transport *transport, enum ws_close_code code)
{
    if (transport->phase == OPEN) {
        link_fail(transport->link, STATUS_SHUT_DOWN);
        transport->close_code = (uint16_t)code;
        begin_close(transport);
        transport_wake(transport);
    }
}

bool transport_is_blocked(const struct transport *transport)
{
    return transport->pending != NULL;
}

/* ---- the socket ---------------------------------------------------------- */

/* Nothing more can be sent. What the peer sent before it went away is still
 * read (T15): the end of that, or of the linger, ends the transport. */
static void fail_output(struct transport *transport)
{
    blame(transport, "the connection failed");
    begin_close(transport);
    transport->phase = LINGERING;
    transport->writable = false;
    transport->readable = true;
}

static size_t receive_bytes(struct transport *transport, uint8_t *bytes,
                            size_t capacity)
{
    size_t length = 0;

    switch (socket_receive(transport->socket, bytes, capacity, &length)) {
    case SOCKET_MORE:
        return length;
    case SOCKET_WAIT:
        transport->readable = false;
        break;
    case SOCKET_FINISHED:
        lose(transport, "the peer closed the connection");
        break;
    case SOCKET_BROKEN:
        lose(transport, "the connection failed");
        break;
    }
    return 0;
}

static void send_bytes(struct transport *transport,
                       struct transport_buffer *buffer)
{
    while (buffer->start < buffer->end) {
        size_t done = 0;
        switch (socket_send(transport->socket, buffer->bytes + buffer->start,
                            buffer->end - buffer->start, &done)) {
        case SOCKET_MORE:
            buffer->start += done;
            break;
        case SOCKET_WAIT:
            transport->writable = false;
            sim_met(transport->pool->loop->sim, MET_LINK_BLOCKED);
            return;
        case SOCKET_FINISHED:
        case SOCKET_BROKEN:
            fail_output(transport);
            return;
        }
    }
}

/* ---- receiving ----------------------------------------------------------- */

static void take_payload(struct transport *transport, struct span payload)
{
    struct link *link = transport->link;
    struct link_event event;
    struct conn *conn;
    size_t written;

    while (link_receive(link, now_ms_of(transport), &payload, &event)) {
        switch (event.kind) {
        case LINK_OFFERED:
            if (transport->ops->offered == NULL || transport->phase != OPEN) {
                link_refuse(link, event.conn);
            } else {
                transport->ops->offered(transport, event.conn);
            }
            break;
        case LINK_DATA:
            conn = event.user;
            written = conn->ops->write(conn, event.data);
            note_progress(conn, written);
            link_written(link, event.conn, written);
            break;
        }
    }
}

static void take_bytes(struct transport *transport, uint8_t *bytes,
                       size_t length)
{
    struct ws_event event;

    transport->bytes_in += length;
    transport->heard_us = sim_now_us(transport->pool->loop->sim);
    legal_received(transport->legal, bytes, length);
    link_heard(transport->link, now_ms_of(transport));
    while (ws_receive(&transport->ws, &bytes, &length, &event)) {
        switch (event.kind) {
        case WS_DATA:
            take_payload(transport, event.data);
            break;
        case WS_CLOSED:
            transport->peer_code = event.code;
            if (transport->phase == OPEN) {
                transport->reason = event.reason != NULL
                                        ? event.reason
                                        : "the peer closed the WebSocket";
                link_fail(transport->link, STATUS_TRANSPORT_LOST);
                begin_close(transport);
            }
            break;
        }
    }
}

static void receive(struct transport *transport)
{
    uint8_t *input = input_of(transport->pool);

    if (transport->early.length > 0) {
        size_t length = transport->early.length;
        memcpy(input, transport->early.bytes, length);
        drop_early(transport);
        take_bytes(transport, input, length);
    }
    for (unsigned i = 0;
         i < RECEIVES_MAX && transport->readable && transport->phase < CLOSED;
         i++) {
        size_t length = receive_bytes(transport, input, RECEIVE_MAX);
        if (length > 0) {
            take_bytes(transport, input, length);
        }
    }
}

/* ---- sending ------------------------------------------------------------- */

/* Read a connection into the frame; returns the frame's size. */
static size_t read_conn(struct transport *transport,
                        const struct link_read *read, uint8_t *frame,
                        size_t room)
{
    struct link *link = transport->link;
    struct conn *conn = read->user;
    size_t capacity = read->quota < room ? read->quota : room;
    size_t length = 0;
    size_t size = 0;
    enum conn_result result =
        conn->ops->read(conn, frame + WIRE_HEADER_SIZE, capacity, &length);

    REQUIRE(length <= capacity && (length > 0 || result != CONN_MORE));
    if (length > 0) {
        size = link_emit_data(link, read->conn, frame, length);
        note_progress(conn, length);
    }
    switch (result) {
    case CONN_MORE:
        break;
    case CONN_DRAINED:
        link_drained(link, read->conn);
        break;
    case CONN_FINISHED:
        link_finished(link, read->conn);
        break;
    case CONN_FAILED:
        link_failed(link, read->conn);
        break;
    }
    return size;
}

/* Frames of the link, control first, then connections in their turn. Ends: each
 * round fills a part of the message or takes a connection out of turn. */
static size_t fill(struct transport *transport, uint8_t *payload)
{
    size_t capacity = transport->pool->message_max;
    size_t least = capacity < 4 * READ_MIN ? READ_MIN_SMALL : READ_MIN;
    struct link *link = transport->link;
    struct link_read read;
    size_t used = 0;

    for (;;) {
        used += link_emit(link, now_ms_of(transport), payload + used,
                          capacity - used);
        if (capacity - used < least || !link_next_read(link, &read)) {
            return used;
        }
        used += read_conn(transport, &read, payload + used,
                          capacity - used - WIRE_HEADER_SIZE);
    }
}

static const uint8_t *draw_mask(struct transport *transport, uint8_t mask[4])
{
    if (transport->ws.role != WS_CLIENT) {
        return NULL;
    }
    uint64_t drawn = chance_next(&transport->pool->chance);
    for (size_t i = 0; i < 4; i++) {
        mask[i] = (uint8_t)(drawn >> (8 * i));
    }
    return mask;
}

static bool may_send_data(const struct transport *transport)
{
    return !transport->ws.close_sent;
}

/* One message with all that fits, and WebSocket control frames behind it.
 * False: there was nothing to send. */
static bool make_message(struct transport *transport,
                         struct transport_buffer *buffer)
{
    struct ws *ws = &transport->ws;
    uint8_t *payload = buffer->bytes + WS_HEADER_MAX;
    uint8_t mask[4];
    size_t used = 0;

    if (may_send_data(transport)) {
        used = fill(transport, payload);
    }
    if (transport->phase == CLOSING && transport->close_code != 0 &&
        (link_wants(transport->link) & LINK_WANTS_OUTPUT) == 0) {
        ws_close(ws, transport->close_code);
    }
    if (used == 0 && !ws_wants_output(ws)) {
        return false;
    }
    buffer->start = WS_HEADER_MAX;
    buffer->end = WS_HEADER_MAX + used;
    if (used > 0) {
        buffer->start -= ws_wrap(ws, payload, used, draw_mask(transport, mask));
    }
    if (ws_wants_output(ws)) {
        buffer->end +=
            ws_emit_control(ws, buffer->bytes + buffer->end, CONTROL_ROOM,
                            draw_mask(transport, mask));
    }
    transport->bytes_out += buffer->end - buffer->start;
    legal_sent(transport->legal, buffer->bytes + buffer->start,
               buffer->end - buffer->start);
    return true;
}

static bool flush_pending(struct transport *transport)
{
    struct transport_buffer *buffer = transport->pending;

    if (buffer == NULL) {
        return true;
    }
    if (transport->writable && transport->phase < CLOSED) {
        send_bytes(transport, buffer);
    }
    if (buffer->start < buffer->end) {
        return false;
    }
    transport->pending = NULL;
    give_buffer(transport->pool, buffer);
    return true;
}

static bool wants_output(const struct transport *transport)
{
    if (transport->phase >= LINGERING) {
        return false;
    }
    return transport->pending != NULL || ws_wants_output(&transport->ws) ||
           (may_send_data(transport) &&
            ((link_wants(transport->link) & LINK_WANTS_OUTPUT) != 0 ||
             (transport->phase == CLOSING && transport->close_code != 0)));
}

static void send_messages(struct transport *transport)
{
    struct transport_pool *pool = transport->pool;
    uint64_t end = transport->bytes_out + pool->burst_max;

    while (transport->bytes_out < end) {
        if (!wants_output(transport) || !transport->writable ||
            !flush_pending(transport)) {
            return;
        }
        struct transport_buffer *buffer = take_buffer(pool);
        if (buffer == NULL) {
            lose(transport, "out of memory");
            return;
        }
        if (!make_message(transport, buffer)) {
            give_buffer(pool, buffer);
            return;
        }
        transport->pending = buffer;
        (void)flush_pending(transport);
    }
}

/* ---- the burst ----------------------------------------------------------- */

/* Of a session that lives, only who stands still is given up on (T13), and
 * never a client of the server that reads slowly what an agent has said (T11).
 */
static void judge_patience(const struct transport *transport,
                           const struct conn *conn)
{
    const struct transport_pool *pool = transport->pool;
    uint64_t still_ms = now_ms_of(transport) - conn->moved_ms;
    bool is_slow_client = transport->ws.role == WS_SERVER &&
                          link_unwritten(transport->link, conn->id) > 0;

    if (link_status(transport->link) == STATUS_OK &&
        (still_ms < pool->linger_ms || is_slow_client)) {
        sim_fail(pool->loop->sim, "patience",
                 "%s gives up a connection that %s (L-03)", pool->process->name,
                 is_slow_client ? "has all of its answer to read yet"
                                : "moved not long ago");
    }
}

static void tell_changes(struct transport *transport)
{
    struct link_change change;

    while (link_next_change(transport->link, &change)) {
        struct conn *conn = change.user;
        if (change.status == STATUS_NOBODY_READS) {
            sim_met(transport->pool->loop->sim, MET_NOBODY_READS);
            judge_patience(transport, conn);
        }
        conn->ops->change(conn, change.wants, change.status);
    }
}

static void move_on(struct transport *transport)
{
    if (transport->phase == OPEN && !wants_output(transport) &&
        link_status(transport->link) == STATUS_OK) {
        legal_is_quiet(transport->legal);
    }
    if (transport->phase == CLOSING && !wants_output(transport)) {
        legal_goes(transport->legal,
                   status_go_away(link_status(transport->link)) != 0);
        socket_finish(transport->socket);
        transport->phase = LINGERING;
    }
    bool answered = transport->close_code != 0 && ws_is_over(&transport->ws);
    bool late = now_ms_of(transport) >= transport->linger_until_ms;
    if ((transport->phase == LINGERING && (answered || late)) ||
        (transport->phase == CLOSING && late)) {
        hang_up(transport);
    }
}

static bool has_more_to_do(const struct transport *transport)
{
    return transport->phase < CLOSED &&
           (transport->readable ||
            (transport->writable && wants_output(transport)));
}

static void set_job(struct transport *transport)
{
    uint64_t at_ms = link_deadline(transport->link);

    if ((transport->phase == CLOSING || transport->phase == LINGERING) &&
        transport->linger_until_ms < at_ms) {
        at_ms = transport->linger_until_ms;
    }
    job_by_ms(transport->job, at_ms);
    if (has_more_to_do(transport)) {
        job_wake(transport->job);
    }
}

static void run_burst(void *user)
{
    struct transport *transport = user;

    transport->in_burst = true;
    receive(transport);
    if (link_deadline(transport->link) <= now_ms_of(transport)) {
        link_tick(transport->link, now_ms_of(transport));
    }
    send_messages(transport);
    tell_changes(transport);
    move_on(transport);
    tell_changes(transport); /* a transport that was lost resets them all */
    transport->in_burst = false;
    set_job(transport);
    transport->ops->step(transport);
    if (transport->phase == CLOSED && link_conn_count(transport->link) == 0) {
        transport->phase = ENDED;
        job_free(transport->job);
        transport->job = NULL;
        legal_free(&transport->pool->legals, transport->legal);
        transport->ops->ended(transport);
    }
}

static void on_ready(void *user)
{
    struct transport *transport = user;

    transport->readable = transport->writable = true;
    job_wake(transport->job);
}

/* ---- opening ------------------------------------------------------------- */

bool transport_open(struct transport *transport, struct transport_pool *pool,
                    struct socket *socket, enum ws_role role, struct link *link,
                    struct span early, const struct legal_config *legal,
                    const struct transport_ops *ops, void *user)
{
    uint8_t *copy = NULL;

    REQUIRE(early.length <= RECEIVE_MAX);
    if (early.length > 0) {
        copy = process_alloc(pool->process, early.length);
        if (copy == NULL) {
            return false;
        }
        pool->memory += early.length;
        memcpy(copy, early.bytes, early.length);
        sim_met(pool->loop->sim, MET_EARLY_BYTES);
    }
    *transport = (struct transport){
        .user = user,
        .ops = ops,
        .pool = pool,
        .link = link,
        .socket = socket,
        .early = {copy, early.length},
        .heard_us = sim_now_us(pool->loop->sim),
        .phase = OPEN,
        .readable = true,
        .writable = true,
    };
    ws_init(&transport->ws, role);
    link_set_turn(link, (uint32_t)pool->message_max);
    transport->job = job_new(pool->loop, run_burst, transport);
    transport->legal = legal_new(&pool->legals, pool->loop->sim, legal);
    socket_own(socket, on_ready, transport);
    job_wake(transport->job);
    return true;
}
