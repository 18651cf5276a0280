/* A stream is in one of few phases. Until there is a socket to write to, the
 * client's bytes wait in a spill, which is bounded by the stream's window. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "sim/own_internal.h"

enum phase {
    PREFACE, /* the first byte is awaited */
    DOCKER,  /* allow-all: connected once there is a byte to send */
    CONNECTING,
    OPEN,    /* bytes go both ways, unread */
    GATED,   /* own_gate.c has it */
    REFUSED, /* there is an answer for the client; its bytes are dropped */
    ENDING   /* nothing more goes either way; a reset is on its way */
};

struct own_stream {
    struct conn conn; /* first: see of() */
    struct own_pool *pool;
    struct own_stream *before, *after;
    enum phase phase;
    struct preface preface;
    struct spill pending;
    struct job *setup; /* of the preface (L-08) */
    struct tcp tcp;
    struct own_gate gate;
    bool finished;  /* the client finished, and the gate or the socket is to
                       be told, or was */
    bool resetting; /* on_closed() will end it */
    char answer[OWN_ANSWER_SIZE];
    size_t answer_length, answer_sent;
};

static struct own_stream *of(struct conn *conn)
{
    return (struct own_stream *)(void *)conn;
}

_Static_assert(offsetof(struct own_stream, conn) == 0, "see of()");

/* ---- the end ------------------------------------------------------------- */

/* Whatever might still call back is stopped. */
static void let_go(struct own_stream *stream)
{
    if (stream->phase == GATED) {
        own_gate_close(&stream->gate);
    }
    job_stop(stream->setup);
    spill_clear(&stream->pending);
    tcp_abort(&stream->tcp);
    stream->phase = ENDING;
}

static void release(struct own_stream *stream)
{
    struct own_pool *pool = stream->pool;

    let_go(stream);
    job_free(stream->setup);
    conn_closed(&stream->conn);
    if (stream->before != NULL) {
        stream->before->after = stream->after;
    } else {
        pool->first = stream->after;
    }
    if (stream->after != NULL) {
        stream->after->before = stream->before;
    }
    process_release(pool->spills->process, stream);
}

/* A reset towards the client; on_change() follows. */
static void fail(struct own_stream *stream)
{
    let_go(stream);
    conn_failed(&stream->conn);
}

/* Bytes that will never be written are as good as written. */
static void drop_pending(struct own_stream *stream)
{
    size_t length = stream->pending.length;

    spill_clear(&stream->pending);
    if (length > 0) {
        conn_written(&stream->conn, length);
    }
}

/* ---- the socket ---------------------------------------------------------- */

/* An HTTP answer, for a client that waits for one (T33). */
static void answer_unreachable(struct own_stream *stream, const char *reason)
{
    char problem[OWN_PROBLEM_SIZE];
    char body[OWN_ANSWER_SIZE / 2];

    sim_met(stream->pool->loop->sim, MET_ENGINE_UNREACHABLE);
    own_describe(problem, reason);
    int length = snprintf(
        body, sizeof body,
        "{\"message\":\"orthrus: cannot reach the Docker engine: %s\"}",
        problem);
    stream->answer_length = (size_t)snprintf(
        stream->answer, sizeof stream->answer,
        "HTTP/1.1 502 Bad Gateway\r\nContent-Type: application/json\r\n"
        "Content-Length: %d\r\nConnection: close\r\n\r\n%s",
        length, body);
    stream->phase = REFUSED;
    drop_pending(stream);
    conn_readable(&stream->conn);
}

static void flush_pending(struct own_stream *stream)
{
    size_t written = 0;

    while (stream->pending.length > 0) {
        struct span front = spill_front(&stream->pending);
        written += tcp_write(&stream->tcp, front);
        spill_consume(&stream->pending, front.length);
    }
    if (written > 0) {
        conn_written(&stream->conn, written);
    }
}

static void on_connected(void *user, const char *problem)
{
    struct own_stream *stream = user;

    if (problem != NULL) {
        tcp_abort(&stream->tcp);
        answer_unreachable(stream, problem);
        return;
    }
    stream->phase = OPEN;
    flush_pending(stream);
    if (stream->finished) {
        tcp_finish(&stream->tcp);
    }
    conn_readable(&stream->conn);
}

static void on_readable(void *user)
{
    struct own_stream *stream = user;
    conn_readable(&stream->conn);
}

static void on_written(void *user, size_t length)
{
    struct own_stream *stream = user;
    conn_written(&stream->conn, length);
}

static void on_half_closed(void *user)
{
    struct own_stream *stream = user;
    conn_half_closed(&stream->conn);
}

/* What the engine said before it broke off counts: reading tells (T20, T31). */
static void on_broken(void *user, bool ours)
{
    struct own_stream *stream = user;

    if (ours) {
        conn_failed(&stream->conn);
    }
}

static void on_closed(void *user)
{
    release(user);
}

static const struct tcp_ops socket_ops = {
    .connected = on_connected,
    .readable = on_readable,
    .written = on_written,
    .half_closed = on_half_closed,
    .broken = on_broken,
    .closed = on_closed,
};

static void connect_engine(struct own_stream *stream)
{
    const struct own_pool *pool = stream->pool;
    const struct site *site = pool->site;

    stream->phase = CONNECTING;
    if (!tcp_connect(&stream->tcp, pool->loop, pool->spills,
                     ADDRESS_ENGINE + site->index, &site->local, OWN_CONNECT_MS,
                     &socket_ops, stream)) {
        answer_unreachable(stream, "Too many open files");
    }
}

/* ---- the preface --------------------------------------------------------- */

static void begin(struct own_stream *stream)
{
    job_stop(stream->setup);
    switch (stream->preface.kind) {
    case PREFACE_PARTIAL:
        break;
    case PREFACE_DOCKER:
        if (stream->pool->allow_all) {
            stream->phase = DOCKER;
        } else {
            stream->phase = GATED;
            own_gate_open(&stream->gate, stream->pool, &stream->conn,
                          &stream->pending);
        }
        break;
    case PREFACE_FORWARD: /* nothing is on the allow-list */
    case PREFACE_BAD_ADDRESS:
    case PREFACE_UNKNOWN:
        sim_fail(stream->pool->loop->sim, "preface",
                 "stream %u of %s begins with 0x%02x (AC-06)",
                 conn_stream(&stream->conn),
                 stream->pool->site->agent_process.name, stream->preface.type);
    }
}

/* ---- the link's side ----------------------------------------------------- */

/* Returns how many bytes are done with. */
static size_t on_write(struct conn *conn, struct span span)
{
    struct own_stream *stream = of(conn);
    size_t length = span.length;

    if (stream->phase == PREFACE &&
        preface_receive(&stream->preface, &span) != PREFACE_PARTIAL) {
        begin(stream);
    }
    if (stream->phase == DOCKER && span.length > 0) {
        connect_engine(stream);
    }
    switch (stream->phase) {
    case PREFACE:
    case DOCKER:
        return length; /* nothing was left */
    case CONNECTING:
        if (!spill_append(&stream->pending, span)) {
            fail(stream);
        }
        return length - span.length;
    case OPEN:
        return length - span.length + tcp_write(&stream->tcp, span);
    case GATED:
        return length - span.length + own_gate_write(&stream->gate, span);
    case REFUSED:
    case ENDING:
        break;
    }
    return length;
}

static enum conn_result read_answer(struct own_stream *stream, uint8_t *bytes,
                                    size_t capacity, size_t *length)
{
    size_t left = stream->answer_length - stream->answer_sent;

    *length = left < capacity ? left : capacity;
    memcpy(bytes, stream->answer + stream->answer_sent, *length);
    stream->answer_sent += *length;
    return *length == left ? CONN_FINISHED : CONN_MORE;
}

static enum conn_result read_socket(struct own_stream *stream, uint8_t *bytes,
                                    size_t capacity, size_t *length)
{
    switch (tcp_read(&stream->tcp, bytes, capacity, length)) {
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
    struct own_stream *stream = of(conn);

    *length = 0;
    switch (stream->phase) {
    case PREFACE:
    case DOCKER:
    case CONNECTING:
        return CONN_DRAINED;
    case OPEN:
        return read_socket(stream, bytes, capacity, length);
    case GATED:
        return own_gate_read(&stream->gate, bytes, capacity, length);
    case REFUSED:
        return read_answer(stream, bytes, capacity, length);
    case ENDING:
        break;
    }
    return CONN_FAILED;
}

/* The client finished, and all that it sent is written. */
static void finish(struct own_stream *stream)
{
    switch (stream->phase) {
    case PREFACE:
        fail(stream); /* it never said what it wanted */
        break;
    case DOCKER: /* nothing was asked, so nothing is to be answered */
        stream->phase = REFUSED;
        conn_readable(&stream->conn);
        break;
    case CONNECTING:
        stream->finished = true;
        break;
    case OPEN:
        tcp_finish(&stream->tcp);
        break;
    case GATED:
        if (!stream->finished) {
            stream->finished = true;
            own_gate_finish(&stream->gate);
        }
        break;
    case REFUSED:
    case ENDING:
        break;
    }
}

static void on_change(struct conn *conn, unsigned wants, enum status status)
{
    struct own_stream *stream = of(conn);

    (void)status;
    if ((wants & CONN_WANTS_RESET) != 0) {
        if (stream->phase == OPEN) {
            stream->phase = ENDING;
            stream->resetting = true;
            tcp_reset(&stream->tcp);
        } else if (!stream->resetting) {
            release(stream);
        }
    } else if ((wants & CONN_WANTS_CLOSE) != 0) {
        if (stream->phase == OPEN) {
            tcp_close(&stream->tcp);
        } else {
            release(stream);
        }
    } else if ((wants & CONN_WANTS_FINISH) != 0) {
        finish(stream);
    }
}

static const struct conn_ops stream_ops = {
    .read = on_read, .write = on_write, .change = on_change};

/* ---- the beginning ------------------------------------------------------- */

static void on_setup_late(void *user)
{
    struct own_stream *stream = user;

    sim_met(stream->pool->loop->sim, MET_PREFACE_LATE);
    fail(stream);
}

void own_pool_drain(struct own_pool *pool)
{
    pool->draining = true;
    for (struct own_stream *stream = pool->first; stream != NULL;
         stream = stream->after) {
        if (stream->phase == GATED) {
            own_gate_drain(&stream->gate);
        }
    }
}

void own_pool_end(struct own_pool *pool)
{
    process_release(pool->spills->process, pool->spare);
    pool->spare = NULL;
}

void own_stream_offer(struct own_pool *pool, struct transport *transport,
                      uint32_t id)
{
    struct own_stream *stream =
        process_alloc(pool->spills->process, sizeof *stream);

    if (stream == NULL) {
        link_refuse(transport->link, id);
        return;
    }
    stream->pool = pool;
    stream->after = pool->first;
    if (pool->first != NULL) {
        pool->first->before = stream;
    }
    pool->first = stream;
    stream->setup = job_new(pool->loop, on_setup_late, stream);
    preface_init(&stream->preface);
    spill_init(&stream->pending, pool->spills);
    conn_init(&stream->conn, &stream_ops, transport, id);
    link_accept(transport->link, id, &stream->conn);
    job_by_ms(stream->setup, loop_now_ms(pool->loop) + OWN_CONNECT_MS);
}
