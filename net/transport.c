/* IMPLEMENTATION NOTES
 *
 * Everything happens in the burst, a task of the loop: receive, send, tell the
 * connections what changed, hang up if it is time, look at the clock, step().
 * An event of the socket or a call of conn_*() only asks for a burst in this
 * turn, so that what several connections have to say goes out in one message.
 * Sending comes before telling: a socket that became readable and was emptied
 * has not changed. What is left when a burst has used its turn asks for the
 * next one.
 *
 * Phases: OPEN; CLOSING (flush what is owed, our close frame last); LINGERING
 * (all of it is sent, or will never be; wait for the peer's end, so that our
 * close() does not reset what it has not read yet, and all it sent is read);
 * CLOSED (no descriptor, connections still end); ENDED.
 *
 * An output buffer holds one message: room for its header, the payload, room
 * for control frames, which go behind it. start and end are what is not sent
 * yet. What the kernel refuses stays where it is: the transport keeps the
 * buffer and the pool makes another.
 */
#include "net/transport.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/contract.h"
#include "core/wire.h"
#include "net/socket.h"
#include "net/sys.h"

#define SPANS_MAX 64u  /* gathered for one write: of adjoining frames */
#define READ_MIN 2048u /* a message that has less room left is full */
#define TLS_READ_SIZE 65536u
/* A slow link, too, takes some at once, whenever its buffer has room again. */
#define QUICK_MESSAGES 8u
#define MARK_MESSAGES 2u /* unsent in the kernel: of one it may run dry */

enum phase { OPEN, CLOSING, LINGERING, CLOSED, ENDED };

void transport_config_default(struct transport_config *config)
{
    *config = (struct transport_config){
        .receive_max = 1048576,
        .message_min = 16384,
        .message_max = 262144,
        .message_ms = 2,
        .turn_max = 131072,
        .burst_max = 524288,
        .move_min = 49152,
        .gather_mark = 98304,
        .notsent_lowat = 131072,
        .user_timeout_ms = 20000,
        .linger_ms = 1000,
    };
}

/* ---- hanging up ---------------------------------------------------------- */

struct link *transport_link(const struct transport *transport)
{
    return transport->link;
}

uint64_t transport_now_ms(const struct transport *transport)
{
    return loop_now_ms(transport_pool_loop(transport->pool));
}

void transport_wake(struct transport *transport)
{
    if (!transport->in_burst && transport->phase != ENDED) {
        loop_defer(transport_pool_loop(transport->pool), &transport->burst);
    }
}

static void hang_up(struct transport *transport, bool reset)
{
    if (transport->phase >= CLOSED) {
        return;
    }
    transport->phase = CLOSED;
    transport->readable = transport->writable = false;
    link_fail(transport->link, STATUS_TRANSPORT_LOST);
    loop_remove(transport_pool_loop(transport->pool), &transport->watch);
    gather_stop(&transport->gather);
    SSL_free(transport->ssl);
    transport->ssl = NULL;
    if (reset) {
        socket_reset(transport->fd);
    } else {
        (void)sys_close(transport->fd);
    }
    if (transport->pending != NULL) {
        transport_pool_give(transport->pool, transport->pending);
        transport->pending = NULL;
    }
    free(transport->early);
    transport->early = NULL;
}

/* The first reason is the one to tell. error: errno, or 0. */
static void blame(struct transport *transport, const char *reason, int error)
{
    if (transport->phase == OPEN && transport->reason == NULL) {
        transport->reason = reason;
        transport->error = error;
    }
}

/* The socket is of no more use. */
static void lose(struct transport *transport, const char *reason, int error)
{
    blame(transport, reason, error);
    hang_up(transport, false);
}

static void begin_close(struct transport *transport)
{
    transport->phase = CLOSING;
    transport->linger_until_ms =
        transport_now_ms(transport) +
        transport_pool_config(transport->pool)->linger_ms;
}

void transport_close(struct transport *transport, enum ws_close_code code)
{
    if (transport->phase != OPEN) {
        return;
    }
    link_fail(transport->link, STATUS_SHUT_DOWN);
    transport->close_code = (uint16_t)code;
    begin_close(transport);
    transport_wake(transport);
}

void transport_abort(struct transport *transport)
{
    hang_up(transport, true);
    transport_wake(transport);
}

/* ---- the socket, with or without TLS ------------------------------------- */

/* Nothing more can be sent. What the peer sent before it went away is still
 * read (T15): the end of that, or of the linger, ends the transport. */
static void fail_output(struct transport *transport, int error)
{
    blame(transport, "the connection failed", error);
    begin_close(transport);
    transport->phase = LINGERING;
    transport->writable = false;
    transport->readable = true;
}

/* Does an SSL call that returned result only want to wait? Both directions then
 * wait for the next event, whichever it is: a record of the protocol itself may
 * hold up either. */
static bool tls_waits(const struct transport *transport, int result)
{
    int error = SSL_get_error(transport->ssl, result);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

static void tls_blame(struct transport *transport, int result)
{
    int error = SSL_get_error(transport->ssl, result);

    if (error == SSL_ERROR_SSL) {
        blame(transport, "TLS error", 0);
    } else if (error == SSL_ERROR_SYSCALL && errno != 0) {
        blame(transport, "the connection failed", errno);
    } else {
        blame(transport, "the peer closed the connection", 0);
    }
}

static size_t tls_receive(struct transport *transport, uint8_t *bytes,
                          size_t capacity)
{
    size_t total = 0;

    while (total < capacity && transport->phase < CLOSED) {
        size_t room = capacity - total;
        size_t length = 0;
        ERR_clear_error();
        int result = SSL_read_ex(transport->ssl, bytes + total, room, &length);
        if (result != 1 && tls_waits(transport, result)) {
            transport->readable = false;
            break;
        }
        if (result != 1) {
            tls_blame(transport, result);
            if (total == 0) { /* else the next call fails again */
                hang_up(transport, false);
            }
            break;
        }
        total += length;
    }
    return total;
}

/* Up to capacity bytes; 0: none now, or the connection is lost. */
static size_t receive_bytes(struct transport *transport, uint8_t *bytes,
                            size_t capacity)
{
    ssize_t received;

    if (transport->ssl != NULL) {
        return tls_receive(transport, bytes, capacity);
    }
    received = sys_recv(transport->fd, bytes, capacity, 0);
    if (received > 0) {
        return (size_t)received;
    }
    if (received == 0) {
        lose(transport, "the peer closed the connection", 0);
    } else if (errno == EAGAIN) {
        transport->readable = false;
    } else if (errno != EINTR) {
        lose(transport, "the connection failed", errno);
    }
    return 0;
}

static void tls_send(struct transport *transport,
                     struct transport_buffer *buffer)
{
    while (buffer->start < buffer->end && transport->writable) {
        size_t sent = 0;
        ERR_clear_error();
        int result = SSL_write_ex(transport->ssl, buffer->bytes + buffer->start,
                                  buffer->end - buffer->start, &sent);
        if (result != 1) {
            transport->writable = false;
            if (!tls_waits(transport, result)) {
                fail_output(transport, errno);
            }
            return;
        }
        buffer->start += sent;
    }
}

static bool is_sent(const struct transport_buffer *buffer)
{
    return buffer->start == buffer->end && buffer->piped == 0;
}

/* What send() or splice() that returned sent says about the output. */
static size_t judge_output(struct transport *transport, ssize_t sent)
{
    if (sent >= 0) {
        return (size_t)sent;
    }
    if (errno == EAGAIN) {
        transport->writable = false;
    } else if (errno != EINTR) {
        fail_output(transport, errno);
    }
    return 0;
}

static void send_bytes(struct transport *transport,
                       struct transport_buffer *buffer)
{
    if (transport->ssl != NULL) {
        tls_send(transport, buffer);
        return;
    }
    while (buffer->start < buffer->end) {
        size_t sent = judge_output(
            transport,
            sys_send(transport->fd, buffer->bytes + buffer->start,
                     buffer->end - buffer->start,
                     MSG_NOSIGNAL | (buffer->piped > 0 ? MSG_MORE : 0)));
        if (sent == 0) {
            return;
        }
        buffer->start += sent;
    }
    while (buffer->piped > 0) {
        size_t sent = judge_output(
            transport,
            sys_splice(buffer->pipe->out, NULL, transport->fd, NULL,
                       buffer->piped, SPLICE_F_MOVE | SPLICE_F_NONBLOCK));
        if (sent == 0) {
            return;
        }
        buffer->piped -= sent;
    }
}

/* ---- receiving ----------------------------------------------------------- */

/* Slices for one connection, which go to it together: a peer may cut a frame
 * into many small messages. They stay where they were received. */
struct gathered {
    struct conn *conn;
    size_t count, length;
    struct span spans[SPANS_MAX];
};

static void deliver(struct transport *transport, struct gathered *gathered)
{
    struct conn *conn = gathered->conn;

    if (conn == NULL) {
        return;
    }
    size_t taken = conn->ops->write(conn, gathered->spans, gathered->count);
    REQUIRE(taken <= gathered->length);
    link_written(transport->link, conn->id, taken);
    gathered->conn = NULL;
    gathered->count = 0;
    gathered->length = 0;
}

static void gather(struct transport *transport, struct gathered *gathered,
                   struct conn *conn, struct span data)
{
    if (conn != gathered->conn || gathered->count == SPANS_MAX) {
        deliver(transport, gathered);
        gathered->conn = conn;
    }
    gathered->spans[gathered->count++] = data;
    gathered->length += data.length;
}

static void take_payload(struct transport *transport, struct span payload,
                         struct gathered *gathered)
{
    struct link *link = transport->link;
    struct link_event event;

    while (link_receive(link, transport_now_ms(transport), &payload, &event)) {
        switch (event.kind) {
        case LINK_OFFERED:
            if (transport->ops->offered == NULL || transport->phase != OPEN) {
                link_refuse(link, event.conn);
            } else {
                transport->ops->offered(transport, event.conn);
            }
            break;
        case LINK_DATA:
            gather(transport, gathered, event.user, event.data);
            break;
        }
    }
}

static void take_bytes(struct transport *transport, uint8_t *bytes,
                       size_t length)
{
    struct gathered gathered;
    struct ws_event event;

    gathered.conn = NULL;
    gathered.count = 0;
    gathered.length = 0;
    transport->counters.bytes_in += length;
    link_heard(transport->link,
               loop_now_ms(transport_pool_loop(transport->pool)));
    while (ws_receive(&transport->ws, &bytes, &length, &event)) {
        switch (event.kind) {
        case WS_DATA:
            take_payload(transport, event.data, &gathered);
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
    deliver(transport, &gathered);
}

static void receive(struct transport *transport)
{
    struct transport_pool *pool = transport->pool;
    struct transport_buffer *early = transport->early;
    size_t length;

    if (early != NULL) {
        transport->early = NULL;
        take_bytes(transport, early->bytes, early->end);
        free(early);
    }
    if (!transport->readable || transport->phase >= CLOSED) {
        return;
    }
    length = receive_bytes(transport, transport_pool_input(pool),
                           transport_pool_config(pool)->receive_max);
    /* Less than asked for is all there was; an end of file or an error that
     * comes later makes an event of its own. */
    if (length > 0 && transport->ssl == NULL &&
        length < transport_pool_config(pool)->receive_max &&
        !transport->hung_up) {
        transport->readable = false;
    }
    if (!transport->readable) {
        gather_took(&transport->gather, length);
    }
    if (length > 0) {
        take_bytes(transport, transport_pool_input(pool), length);
    }
}

/* ---- sending ------------------------------------------------------------- */

static void tell_link(struct link *link, uint32_t conn, enum conn_result result)
{
    switch (result) {
    case CONN_MORE:
        break;
    case CONN_DRAINED:
        link_drained(link, conn);
        break;
    case CONN_FINISHED:
        link_finished(link, conn);
        break;
    case CONN_FAILED:
        link_failed(link, conn);
        break;
    }
}

/* Read a socket into the frame; returns the frame's size. */
static size_t read_conn(struct transport *transport,
                        const struct link_read *read, uint8_t *frame,
                        size_t room)
{
    size_t move_min = transport_pool_config(transport->pool)->move_min;
    struct conn *conn = read->user;
    size_t capacity = read->quota < room ? read->quota : room;
    size_t length = 0;
    size_t size = 0;
    enum conn_result result =
        conn->ops->read(conn, frame + WIRE_HEADER_SIZE, capacity, &length);

    REQUIRE(length <= capacity && (length > 0 || result != CONN_MORE));

    if (length > 0) {
        size = link_emit_data(transport->link, read->conn, frame, length);
        gather_pause(&transport->gather);
    }
    conn->is_bulk = conn->ops->move != NULL && transport->moves &&
                    result == CONN_MORE && length >= move_min;
    tell_link(transport->link, read->conn, result);
    return size;
}

/* Frames of the link, control first, then sockets in their turn, as long as
 * there is decent room, and up to one whose bytes are moved instead. Ends: each
 * round fills a part of the message or takes a socket out of turn. */
static size_t fill(struct transport *transport, uint8_t *payload)
{
    size_t capacity = transport->message_limit;
    uint64_t now_ms = transport_now_ms(transport);
    struct link *link = transport->link;
    struct link_read read;
    size_t used = 0;

    for (;;) {
        used += link_emit(link, now_ms, payload + used, capacity - used);
        if (capacity - used < READ_MIN || !link_next_read(link, &read) ||
            ((struct conn *)read.user)->is_bulk) {
            return used;
        }
        used += read_conn(transport, &read, payload + used,
                          capacity - used - WIRE_HEADER_SIZE);
    }
}

/* If a socket whose bytes are to be moved is next: put them into a pipe behind
 * the buffer, and their frame's header at payload. Returns the header's size,
 * 0: nothing was moved. */
static size_t move_next(struct transport *transport,
                        struct transport_buffer *buffer, uint8_t *payload)
{
    struct transport_pool *pool = transport->pool;
    size_t length = 0;
    struct link_read read;

    if (!link_next_read(transport->link, &read)) {
        return 0;
    }
    struct conn *conn = read.user;
    if (!conn->is_bulk ||
        (buffer->pipe == NULL && !transport_pool_pipe(pool, buffer))) {
        conn->is_bulk = false;
        return 0;
    }
    enum conn_result result = conn->ops->move(
        conn, buffer->pipe->in,
        read.quota < transport->message_limit ? read.quota
                                              : transport->message_limit,
        &length);
    if (length > 0) {
        buffer->piped = length;
        (void)link_emit_data(transport->link, read.conn, payload, length);
        gather_pause(&transport->gather);
    }
    conn->is_bulk = length >= transport_pool_config(pool)->move_min;
    tell_link(transport->link, read.conn, result);
    return length > 0 ? WIRE_HEADER_SIZE : 0;
}

static bool may_send_data(const struct transport *transport)
{
    return !transport->ws.close_sent;
}

/* Ends: a round without bytes takes a socket out of turn or out of bulk. */
static size_t fill_or_move(struct transport *transport,
                           struct transport_buffer *buffer, uint8_t *payload)
{
    struct link_read read;
    size_t used;

    do {
        used = fill(transport, payload);
        if (used == 0) {
            used = move_next(transport, buffer, payload);
        }
    } while (used == 0 && link_next_read(transport->link, &read));
    return used;
}

/* One message with all that fits, and WebSocket control frames behind it.
 * False: there was nothing to send, or the transport is lost. */
static bool make_message(struct transport *transport,
                         struct transport_buffer *buffer)
{
    struct transport_pool *pool = transport->pool;
    struct ws *ws = &transport->ws;
    uint8_t *payload = buffer->bytes + WS_HEADER_MAX;
    const uint8_t *mask = NULL;
    size_t used = 0;

    if (may_send_data(transport)) {
        used = fill_or_move(transport, buffer, payload);
    }

    if (transport->phase == CLOSING && transport->close_code != 0 &&
        (link_wants(transport->link) & LINK_WANTS_OUTPUT) == 0) {
        ws_close(ws, transport->close_code);
    }
    if (used == 0 && !ws_wants_output(ws)) {
        return false;
    }
    if (ws->role == WS_CLIENT && (mask = transport_pool_mask(pool)) == NULL) {
        lose(transport, "no random numbers", 0);
        return false;
    }
    buffer->made_ms = transport_now_ms(transport);
    buffer->payload = used + buffer->piped;
    buffer->start = WS_HEADER_MAX;
    buffer->end = WS_HEADER_MAX + used;
    if (used > 0) {
        /* without a mask, what is in the pipe is as good as here */
        buffer->start -= ws_wrap(ws, payload, buffer->payload, mask);
        transport->counters.messages_out++;
    }
    if (ws_wants_output(ws)) {
        if (ws->role == WS_CLIENT &&
            (mask = transport_pool_mask(pool)) == NULL) {
            lose(transport, "no random numbers", 0);
            return false;
        }
        buffer->end += ws_emit_control(ws, buffer->bytes + buffer->end,
                                       TRANSPORT_CONTROL_ROOM, mask);
    }
    transport->counters.bytes_out +=
        buffer->end - buffer->start + buffer->piped;
    transport->counters.bytes_moved += buffer->piped;
    return true;
}

/* What the kernel holds unsent is waited for, too: it follows the messages, up
 * to where more would save nothing. */
static int mark_of(const struct transport_config *config, size_t message)
{
    return MARK_MESSAGES * message < (size_t)config->notsent_lowat
               ? (int)(MARK_MESSAGES * message)
               : config->notsent_lowat;
}

static void set_mark(int fd, int mark)
{
    if (mark > 0) {
        (void)sys_setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &mark,
                             sizeof mark);
    }
}

/* A turn is a message, up to where longer ones would save little. */
static void set_turn(struct transport *transport)
{
    size_t max = transport_pool_config(transport->pool)->turn_max;
    size_t limit = transport->message_limit;

    link_set_turn(transport->link, (uint32_t)(limit < max ? limit : max));
}

/* A message is with the kernel: how large may the next one be? */
static void adapt(struct transport *transport,
                  const struct transport_buffer *buffer)
{
    const struct transport_config *config =
        transport_pool_config(transport->pool);
    size_t limit = transport->message_limit;

    if (transport_now_ms(transport) - buffer->made_ms > config->message_ms) {
        limit /= 2;
        transport->quick_messages = 0;
    } else if (buffer->payload + READ_MIN > limit &&
               ++transport->quick_messages == QUICK_MESSAGES) {
        limit *= 2;
        transport->quick_messages = 0;
    }
    if (limit < config->message_min) {
        limit = config->message_min;
    }
    if (limit > config->message_max) {
        limit = config->message_max;
    }
    int mark = mark_of(config, limit);
    if (mark != mark_of(config, transport->message_limit)) {
        set_mark(transport->fd, mark);
    }
    if (limit != transport->message_limit) {
        transport->message_limit = limit;
        set_turn(transport);
    }
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
    if (!is_sent(buffer)) {
        return false;
    }
    adapt(transport, buffer);
    transport->pending = NULL;
    transport_pool_give(transport->pool, buffer);
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
    uint64_t end =
        transport->counters.bytes_out + transport_pool_config(pool)->burst_max;

    while (transport->counters.bytes_out < end) {
        if (!wants_output(transport) || !transport->writable ||
            !flush_pending(transport)) {
            return;
        }
        struct transport_buffer *buffer = transport_pool_take(pool);
        if (buffer == NULL) {
            lose(transport, "out of memory", 0);
            return;
        }
        if (!make_message(transport, buffer)) {
            transport_pool_give(pool, buffer);
            return;
        }
        transport->pending = buffer;
        (void)flush_pending(transport);
    }
}

/* ---- the burst ----------------------------------------------------------- */

static void tell_changes(struct transport *transport)
{
    struct link_change change;

    while (link_next_change(transport->link, &change)) {
        struct conn *conn = change.user;
        conn->ops->change(conn, change.wants, change.status);
    }
}

/* All that was owed is sent: say so to TLS and TCP, and wait for the peer. */
static void finish_close(struct transport *transport)
{
    if (transport->ssl != NULL) {
        ERR_clear_error();
        (void)SSL_shutdown(transport->ssl);
    }
    (void)sys_shutdown(transport->fd, SHUT_WR);
    transport->phase = LINGERING;
}

static void move_on(struct transport *transport)
{
    if (transport->phase == CLOSING && !wants_output(transport)) {
        finish_close(transport);
    }
    bool answered = transport->close_code != 0 && ws_is_over(&transport->ws);
    bool late = transport_now_ms(transport) >= transport->linger_until_ms;
    if ((transport->phase == LINGERING && (answered || late)) ||
        (transport->phase == CLOSING && late)) {
        hang_up(transport, false);
    }
}

/* The timer is not moved for a deadline that only became later, which every
 * received byte makes it: it then fires once in vain. */
static void set_timer(struct transport *transport)
{
    uint64_t at_ms = link_deadline(transport->link);

    if ((transport->phase == CLOSING || transport->phase == LINGERING) &&
        transport->linger_until_ms < at_ms) {
        at_ms = transport->linger_until_ms;
    }
    if (at_ms != UINT64_MAX &&
        (!transport->timer.running || at_ms < transport->timer.at_ms)) {
        loop_timer_set(transport_pool_loop(transport->pool), &transport->timer,
                       at_ms);
    }
}

static bool has_more_to_do(const struct transport *transport)
{
    if (transport->phase >= CLOSED) {
        return false;
    }
    return transport->readable ||
           (transport->writable && wants_output(transport));
}

static void run_burst(void *user)
{
    struct transport *transport = user;
    struct loop *loop = transport_pool_loop(transport->pool);

    transport->in_burst = true;
    receive(transport); /* first: what has come is a sign of life (L-01) */
    if (link_deadline(transport->link) <= loop_now_ms(loop)) {
        link_tick(transport->link, loop_now_ms(loop));
    }
    send_messages(transport);
    tell_changes(transport);
    move_on(transport);
    tell_changes(transport); /* a transport that was lost resets them all */
    set_timer(transport);
    transport->in_burst = false;
    if (has_more_to_do(transport)) {
        loop_defer(loop, &transport->burst);
    }
    if (transport->ops->step != NULL) {
        transport->ops->step(transport);
    }
    if (transport->phase == CLOSED && link_conn_count(transport->link) == 0) {
        transport->phase = ENDED;
        loop_timer_stop(loop, &transport->timer);
        loop_cancel(loop, &transport->burst);
        transport->ops->ended(transport);
    }
}

static void on_ready(void *user, uint32_t events)
{
    struct transport *transport = user;

    if ((events & EPOLLOUT) != 0) {
        transport->writable = true;
    }
    if ((events & ~(uint32_t)EPOLLOUT) != 0 || transport->ssl != NULL) {
        transport->readable = true;
    }
    if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
        transport->hung_up = true;
    }
    if (transport->readable || wants_output(transport)) {
        transport_wake(transport);
    }
}

static void on_timer(void *user)
{
    transport_wake(user);
}

static void on_gathered(void *user)
{
    struct transport *transport = user;

    transport->readable = true;
    transport_wake(transport);
}

/* ---- opening ------------------------------------------------------------- */

static bool adopt_tls(SSL *ssl, int fd)
{
    ERR_clear_error();
    if (SSL_set_fd(ssl, fd) != 1) {
        errno = ENOMEM;
        return false;
    }
    /* What closed the HTTP library's side of it does not concern ours. */
    SSL_set_shutdown(ssl, 0);
    /* Whether the end was meant is for the WebSocket to say. */
    (void)SSL_set_options(ssl, SSL_OP_IGNORE_UNEXPECTED_EOF);
    (void)SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
    /* One system call for several records. */
    SSL_set_default_read_buffer_len(ssl, TLS_READ_SIZE);
    SSL_set_read_ahead(ssl, 1);
    return true;
}

static void set_user_timeout(int fd, const struct transport_config *config)
{
    (void)sys_setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT,
                         &config->user_timeout_ms,
                         sizeof config->user_timeout_ms);
}

void transport_prepare(const struct transport_pool *pool, int fd)
{
    const struct transport_config *config = transport_pool_config(pool);

    socket_no_delay(fd);
    set_mark(fd, mark_of(config, config->message_min));
}

bool transport_open(struct transport *transport, struct transport_pool *pool,
                    int fd, SSL *ssl, enum ws_role role, struct link *link,
                    struct span early, const struct transport_ops *ops,
                    void *user)
{
    *transport = (struct transport){
        .user = user,
        .ops = ops,
        .pool = pool,
        .link = link,
        .watch = {.ready = on_ready, .user = transport},
        .timer = {.fire = on_timer, .user = transport},
        .burst = {.run = run_burst, .user = transport},
        .fd = fd,
        .message_limit = transport_pool_config(pool)->message_min,
        .moves = ssl == NULL && role == WS_SERVER &&
                 transport_pool_config(pool)->move_min > 0,
        .phase = OPEN,
        .readable = ssl != NULL, /* it may hold bytes; else epoll tells */
        .writable = true,
    };
    ws_init(&transport->ws, role);
    set_turn(transport);
    gather_init(&transport->gather, transport_pool_loop(pool), fd,
                transport_pool_config(pool)->gather_mark, on_gathered,
                transport);
    if (early.length > 0) {
        struct transport_buffer *buffer = malloc(sizeof *buffer + early.length);
        if (buffer == NULL) {
            return false;
        }
        memcpy(buffer->bytes, early.bytes, early.length);
        buffer->end = early.length;
        transport->early = buffer;
    }
    if ((ssl != NULL && !adopt_tls(ssl, fd)) ||
        !loop_add(transport_pool_loop(pool), &transport->watch, fd,
                  EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)) {
        free(transport->early);
        return false;
    }
    transport->ssl = ssl;
    set_user_timeout(fd, transport_pool_config(pool));
    transport_wake(transport);
    return true;
}
