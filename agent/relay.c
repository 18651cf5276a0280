/* A relay is in one of few phases. Until there is a socket to write to, the
 * client's bytes wait in a spill, which is bounded by the stream's window.
 *
 *   PREFACE      the first bytes are coming in
 *   DOCKER       under allow-all: connected once there is a byte to send
 *   LOOK_UP      of a forward's target
 *   CONNECTING
 *   OPEN         bytes go both ways, unread
 *   GATED        agent/gate.h has it
 *   REFUSED      there is an answer for the client; its bytes are dropped
 *   ENDING       nothing more goes either way; a reset is on its way
 */
#include "agent/relay.h"

#include <errno.h>
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/preface.h"
#include "net/log.h"

#define ANSWER_SIZE 1024u

enum phase {
    PREFACE,
    DOCKER,
    LOOK_UP,
    CONNECTING,
    OPEN,
    GATED,
    REFUSED,
    ENDING
};

struct relay {
    struct conn conn; /* first: see of() */
    struct relay_pool *pool;
    struct relay *next, *previous; /* of the pool's */
    enum phase phase;
    struct preface preface;
    struct spill pending;
    struct loop_task evicted;
    struct loop_timer setup; /* of preface and look-up (L-08) */
    struct resolve *look_up;
    struct resolve_result found;
    size_t next_address; /* of found.addresses */
    struct tcp tcp;
    struct gate gate;
    bool finished;  /* the client finished, and the gate or the socket is to
                       be told, or was */
    bool resetting; /* on_closed() will end it */
    char answer[ANSWER_SIZE];
    size_t answer_length, answer_sent;
};

static struct relay *of(struct conn *conn)
{
    return (struct relay *)(void *)conn;
}

_Static_assert(offsetof(struct relay, conn) == 0, "see of()");

static const struct config *config_of(const struct relay *relay)
{
    return relay->pool->gates.config;
}

static struct loop *loop_of(const struct relay *relay)
{
    return relay->pool->gates.loop;
}

/* ---- the end ------------------------------------------------------------- */

/* Whatever might still call back is stopped. */
static void let_go(struct relay *relay)
{
    if (relay->look_up != NULL) {
        resolve_cancel(relay->look_up);
        relay->look_up = NULL;
    }
    if (relay->phase == GATED) {
        gate_close(&relay->gate);
    }
    loop_timer_stop(loop_of(relay), &relay->setup);
    loop_cancel(loop_of(relay), &relay->evicted);
    spill_clear(&relay->pending);
    tcp_abort(&relay->tcp);
    relay->phase = ENDING;
}

static void release(struct relay *relay)
{
    let_go(relay);
    conn_closed(&relay->conn);
    if (relay->next != NULL) {
        relay->next->previous = relay->previous;
    }
    if (relay->previous != NULL) {
        relay->previous->next = relay->next;
    } else {
        relay->pool->first = relay->next;
    }
    free(relay);
}

/* A reset towards the client; on_change() follows. */
static void fail(struct relay *relay)
{
    let_go(relay);
    conn_failed(&relay->conn);
}

/* Bytes that will never be written are as good as written. */
static void drop_pending(struct relay *relay)
{
    size_t length = relay->pending.length;

    spill_clear(&relay->pending);
    if (length > 0) {
        conn_written(&relay->conn, length);
    }
}

/* ---- the socket ---------------------------------------------------------- */

static void connect_next(struct relay *relay);

static void on_readable(void *user)
{
    struct relay *relay = user;
    conn_readable(&relay->conn);
}

static void on_written(void *user, size_t length)
{
    struct relay *relay = user;
    conn_written(&relay->conn, length);
}

static void on_half_closed(void *user)
{
    struct relay *relay = user;
    if (tcp_is_finished(&relay->tcp)) {
        conn_finished(&relay->conn);
    } else {
        conn_half_closed(&relay->conn);
    }
}

static void on_broken(void *user, int error)
{
    struct relay *relay = user;
    if (error == ENOMEM) {
        conn_failed(&relay->conn);
    }
}

static void on_closed(void *user)
{
    release(user);
}

static void flush_pending(struct relay *relay)
{
    size_t written = 0;
    struct iovec piece;

    while (spill_peek(&relay->pending, &piece, 1) == 1) {
        struct span span = {piece.iov_base, piece.iov_len};
        written += tcp_write(&relay->tcp, &span, 1);
        spill_consume(&relay->pending, span.length);
    }
    if (written > 0) {
        conn_written(&relay->conn, written);
    }
}

static void on_connected(void *user, int error)
{
    struct relay *relay = user;

    if (error != 0) {
        tcp_abort(&relay->tcp);
        errno = error;
        connect_next(relay);
        return;
    }
    relay->phase = OPEN;
    flush_pending(relay);
    if (relay->finished) {
        tcp_finish(&relay->tcp);
    }
    conn_readable(&relay->conn);
}

static const struct tcp_ops socket_ops = {
    .connected = on_connected,
    .readable = on_readable,
    .written = on_written,
    .half_closed = on_half_closed,
    .broken = on_broken,
    .closed = on_closed,
};

/* An HTTP answer, for a client that waits for one (T33). */
static void answer_unreachable(struct relay *relay, int error)
{
    char problem[GATE_PROBLEM_SIZE];
    char message[GATE_PROBLEM_SIZE + 64];
    json_t *object;
    char *body;

    gate_describe(problem, config_of(relay)->docker_socket, error);
    log_line(LOG_WARN, "engine_unreachable",
             log_uint("stream", conn_stream(&relay->conn)),
             log_string("error", problem));
    snprintf(message, sizeof(message),
             "orthrus: cannot reach the Docker engine: %s", problem);
    object = json_pack("{s:s}", "message", message);
    body = object != NULL ? json_dumps(object, JSON_COMPACT) : NULL;
    relay->answer_length = (size_t)snprintf(
        relay->answer, sizeof(relay->answer),
        "HTTP/1.1 502 Bad Gateway\r\nContent-Type: application/json\r\n"
        "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
        body != NULL ? strlen(body) : 0, body != NULL ? body : "");
    free(body);
    json_decref(object);
    relay->phase = REFUSED;
    drop_pending(relay);
    conn_readable(&relay->conn);
}

/* The next address, or errno of the last one. */
static void connect_next(struct relay *relay)
{
    struct gate_pool *gates = &relay->pool->gates;
    int error = errno;

    relay->phase = CONNECTING;
    while (relay->next_address < relay->found.count) {
        if (tcp_connect(&relay->tcp, gates->loop, gates->spills,
                        &relay->found.addresses[relay->next_address++],
                        gates->config->connect_timeout_ms, &socket_ops,
                        relay)) {
            return;
        }
        error = errno;
    }
    if (relay->preface.kind == PREFACE_DOCKER) {
        answer_unreachable(relay, error);
        return;
    }
    log_line(LOG_WARN, "forward_failed",
             log_uint("stream", conn_stream(&relay->conn)),
             log_bytes("target", relay->preface.text, relay->preface.length),
             log_errno(error));
    fail(relay);
}

/* ---- the preface --------------------------------------------------------- */

static void looked_up(void *user, const struct resolve_result *result)
{
    struct relay *relay = user;

    relay->look_up = NULL;
    loop_timer_stop(loop_of(relay), &relay->setup);
    if (result->count == 0) {
        log_line(
            LOG_WARN, "forward_failed",
            log_uint("stream", conn_stream(&relay->conn)),
            log_bytes("target", relay->preface.text, relay->preface.length),
            log_string("error", result->error));
        fail(relay);
        return;
    }
    relay->found = *result;
    connect_next(relay);
}

static void begin_forward(struct relay *relay)
{
    const struct preface_address *target = &relay->preface.address;
    const struct config *config = config_of(relay);
    bool allowed =
        preface_is_allowed(target, config->forward, config->forward_count);

    log_line(allowed ? LOG_INFO : LOG_WARN,
             allowed ? "forward_allowed" : "forward_refused",
             log_uint("stream", conn_stream(&relay->conn)),
             log_bytes("target", relay->preface.text, relay->preface.length));
    if (!allowed) {
        fail(relay);
        return;
    }
    if (socket_address_inet(&relay->found.addresses[0], target->host,
                            target->port)) {
        relay->found.count = 1;
        connect_next(relay);
        return;
    }
    relay->phase = LOOK_UP;
    relay->look_up = resolve_start(relay->pool->resolver, target->host,
                                   target->port, looked_up, relay);
    if (relay->look_up == NULL) {
        looked_up(relay, &(struct resolve_result){.error = strerror(errno)});
        return;
    }
    loop_timer_set(loop_of(relay), &relay->setup,
                   loop_now_ms(loop_of(relay)) + config->connect_timeout_ms);
}

static void begin_docker(struct relay *relay)
{
    if (!config_of(relay)->allow_all) {
        relay->phase = GATED;
        gate_open(&relay->gate, &relay->pool->gates, &relay->conn,
                  &relay->pending);
        return;
    }
    relay->phase = DOCKER;
    relay->found.addresses[0] = relay->pool->gates.engine;
    relay->found.count = 1;
}

static void begin(struct relay *relay)
{
    loop_timer_stop(loop_of(relay), &relay->setup);
    switch (relay->preface.kind) {
    case PREFACE_PARTIAL:
        break;
    case PREFACE_DOCKER:
        begin_docker(relay);
        break;
    case PREFACE_FORWARD:
        begin_forward(relay);
        break;
    case PREFACE_BAD_ADDRESS:
        log_line(
            LOG_WARN, "forward_refused",
            log_uint("stream", conn_stream(&relay->conn)),
            log_bytes("target", relay->preface.text, relay->preface.length),
            log_string("error", "not a host:port"));
        fail(relay);
        break;
    case PREFACE_UNKNOWN: {
        char type[8];
        snprintf(type, sizeof(type), "0x%02x", relay->preface.type);
        log_line(LOG_WARN, "stream_type_unknown",
                 log_uint("stream", conn_stream(&relay->conn)),
                 log_string("type", type));
        fail(relay);
        break;
    }
    }
}

/* ---- the link's side ----------------------------------------------------- */

/* Returns how many bytes are done with. */
static size_t take(struct relay *relay, struct span span)
{
    size_t length = span.length;

    if (relay->phase == PREFACE) {
        if (preface_receive(&relay->preface, &span) != PREFACE_PARTIAL) {
            begin(relay);
        }
    }
    if (relay->phase == DOCKER && span.length > 0) {
        connect_next(relay);
    }
    switch (relay->phase) {
    case PREFACE:
    case DOCKER:
        return length; /* nothing was left */
    case LOOK_UP:
    case CONNECTING:
        /* a spill that was evicted has told on_evicted() */
        (void)spill_append(&relay->pending, span);
        return length - span.length;
    case OPEN:
        return length - span.length + tcp_write(&relay->tcp, &span, 1);
    case GATED:
        return length - span.length + gate_write(&relay->gate, span);
    case REFUSED:
    case ENDING:
        break;
    }
    return length;
}

static size_t on_write(struct conn *conn, const struct span *spans,
                       size_t count)
{
    struct relay *relay = of(conn);
    size_t done = 0;

    if (relay->phase == OPEN) {
        return tcp_write(&relay->tcp, spans, count);
    }
    for (size_t i = 0; i < count; i++) {
        done += take(relay, spans[i]);
    }
    return done;
}

static enum conn_result read_answer(struct relay *relay, uint8_t *bytes,
                                    size_t capacity, size_t *length)
{
    size_t left = relay->answer_length - relay->answer_sent;

    *length = left < capacity ? left : capacity;
    memcpy(bytes, relay->answer + relay->answer_sent, *length);
    relay->answer_sent += *length;
    return *length == left ? CONN_FINISHED : CONN_MORE;
}

static enum conn_result read_socket(struct relay *relay, uint8_t *bytes,
                                    size_t capacity, size_t *length)
{
    switch (tcp_read(&relay->tcp, bytes, capacity, length)) {
    case TCP_MORE:
        return CONN_MORE;
    case TCP_DRAINED:
        return CONN_DRAINED;
    case TCP_FINISHED:
        return CONN_FINISHED;
    case TCP_FAILED:
        break;
    }
    return CONN_FAILED;
}

static enum conn_result on_read(struct conn *conn, uint8_t *bytes,
                                size_t capacity, size_t *length)
{
    struct relay *relay = of(conn);

    *length = 0;
    switch (relay->phase) {
    case PREFACE:
    case DOCKER:
    case LOOK_UP:
    case CONNECTING:
        return CONN_DRAINED;
    case OPEN:
        return read_socket(relay, bytes, capacity, length);
    case GATED:
        return gate_read(&relay->gate, bytes, capacity, length);
    case REFUSED:
        return read_answer(relay, bytes, capacity, length);
    case ENDING:
        break;
    }
    return CONN_FAILED;
}

/* The client finished, and all that it sent is written. */
static void finish(struct relay *relay)
{
    switch (relay->phase) {
    case PREFACE:
        fail(relay); /* it never said what it wanted */
        break;
    case DOCKER: /* nothing was asked, so nothing is to be answered */
        relay->phase = REFUSED;
        conn_readable(&relay->conn);
        break;
    case LOOK_UP:
    case CONNECTING:
        relay->finished = true;
        break;
    case OPEN:
        tcp_finish(&relay->tcp);
        break;
    case GATED:
        if (!relay->finished) {
            relay->finished = true;
            gate_finish(&relay->gate);
        }
        break;
    case REFUSED:
    case ENDING:
        break;
    }
}

static void on_change(struct conn *conn, unsigned wants, enum status status)
{
    struct relay *relay = of(conn);

    if ((wants & CONN_WANTS_RESET) != 0) {
        log_line(LOG_DEBUG, "stream_reset",
                 log_uint("stream", conn_stream(conn)),
                 log_string("reason", status_text(status)));
        if (relay->phase == OPEN) {
            relay->phase = ENDING;
            relay->resetting = true;
            tcp_reset(&relay->tcp);
        } else if (!relay->resetting) {
            release(relay);
        }
    } else if ((wants & CONN_WANTS_CLOSE) != 0) {
        if (relay->phase == OPEN) {
            tcp_close(&relay->tcp);
        } else {
            release(relay);
        }
    } else if ((wants & CONN_WANTS_FINISH) != 0) {
        finish(relay);
    }
}

static const struct conn_ops relay_ops = {
    .read = on_read,
    .write = on_write,
    .change = on_change,
};

/* ---- the beginning ------------------------------------------------------- */

/* From within another spill's append: the rest is for the loop. */
static void on_evicted(void *user)
{
    struct relay *relay = user;
    loop_defer(loop_of(relay), &relay->evicted);
}

static void reset_evicted(void *user)
{
    struct relay *relay = user;

    log_line(LOG_WARN, "stream_evicted",
             log_uint("stream", conn_stream(&relay->conn)),
             log_string("remedy", "raise --spill-budget"));
    fail(relay);
}

static void on_setup_late(void *user)
{
    struct relay *relay = user;

    log_line(LOG_WARN, "stream_setup_timeout",
             log_uint("stream", conn_stream(&relay->conn)),
             log_string("waiting_for", relay->phase == LOOK_UP
                                           ? "the look-up"
                                           : "the first bytes"));
    fail(relay);
}

void relay_pool_init(struct relay_pool *pool, struct loop *loop,
                     struct spill_pool *spills, struct resolver *resolver,
                     const struct config *config)
{
    gate_pool_init(&pool->gates, loop, spills, config);
    pool->resolver = resolver;
    pool->first = NULL;
}

void relay_pool_drain(struct relay_pool *pool)
{
    pool->gates.draining = true;
    for (struct relay *relay = pool->first; relay != NULL;
         relay = relay->next) {
        if (relay->phase == GATED) {
            gate_drain(&relay->gate);
        }
    }
}

void relay_pool_free(struct relay_pool *pool)
{
    gate_pool_free(&pool->gates);
}

void relay_offer(struct relay_pool *pool, struct transport *transport,
                 uint32_t id)
{
    struct link *link = transport_link(transport);
    struct relay *relay = calloc(1, sizeof(*relay));

    if (relay == NULL) {
        log_write(LOG_WARN, "out_of_memory", NULL, 0);
        link_refuse(link, id);
        return;
    }
    relay->pool = pool;
    relay->next = pool->first;
    if (pool->first != NULL) {
        pool->first->previous = relay;
    }
    pool->first = relay;
    relay->setup = (struct loop_timer){.fire = on_setup_late, .user = relay};
    relay->evicted = (struct loop_task){.run = reset_evicted, .user = relay};
    preface_init(&relay->preface);
    spill_init(&relay->pending, pool->gates.spills, on_evicted, relay);
    conn_init(&relay->conn, &relay_ops, transport, id);
    link_accept(link, id, &relay->conn);
    loop_timer_set(pool->gates.loop, &relay->setup,
                   loop_now_ms(pool->gates.loop) +
                       pool->gates.config->connect_timeout_ms);
}
