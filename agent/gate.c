#include "agent/gate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PING_TIMEOUT_MS 10000u /* T34 */

static void reconcile(struct gate *gate);

/* ---- pool ---------------------------------------------------------------- */

void gate_pool_init(struct gate_pool *pool, struct loop *loop,
                    struct spill_pool *spills, const struct config *config)
{
    *pool =
        (struct gate_pool){.loop = loop, .spills = spills, .config = config};
    filter_config_default(&pool->filter);
    (void)socket_address_unix(&pool->engine, config->docker_socket);
}

void gate_pool_free(struct gate_pool *pool)
{
    free(pool->spare);
    pool->spare = NULL;
}

/* Before each call that needs a buffer. False: no memory, the gate fails. */
static bool lend(struct gate *gate)
{
    struct gate_pool *pool = gate->pool;

    if (gate->buffer != NULL) {
        return true;
    }
    gate->buffer = pool->spare != NULL
                       ? pool->spare
                       : malloc(FILTER_BUFFER_SIZE(pool->filter.head_max));
    pool->spare = NULL;
    if (gate->buffer == NULL) {
        gate->failed = true;
        return false;
    }
    filter_lend(&gate->filter, gate->buffer);
    return true;
}

static void take_back(struct gate *gate)
{
    if (gate->buffer == NULL || filter_holds_buffer(&gate->filter)) {
        return;
    }
    filter_lend(&gate->filter, NULL);
    if (gate->pool->spare == NULL) {
        gate->pool->spare = gate->buffer;
    } else {
        free(gate->buffer);
    }
    gate->buffer = NULL;
}

/* ---- what is worth a line ------------------------------------------------ */

static void log_decision(struct gate *gate)
{
    static const char ping[] = "/_ping";
    struct filter_decision decision;

    if (!filter_next_decision(&gate->filter, &decision)) {
        return;
    }
    gate->awaits = false; /* a new request, a new time */
    gate->is_ping =
        decision.path.length >= sizeof(ping) - 1 &&
        memcmp(decision.path.bytes + decision.path.length - (sizeof(ping) - 1),
               ping, sizeof(ping) - 1) == 0;
    log_line(decision.allowed ? LOG_DEBUG : LOG_INFO,
             decision.allowed ? "request_allowed" : "request_refused",
             log_uint("stream", conn_stream(gate->conn)),
             log_bytes("method", decision.method.bytes, decision.method.length),
             log_bytes("path", decision.path.bytes, decision.path.length),
             log_string("rule", decision.rule),
             log_string("reason", decision.reason));
}

static void log_problem(struct gate *gate)
{
    const char *problem = filter_problem(&gate->filter);

    if (problem != NULL && problem != gate->problem) {
        log_line(LOG_WARN, "engine_failed",
                 log_uint("stream", conn_stream(gate->conn)),
                 log_string("socket", gate->pool->config->docker_socket),
                 log_string("error", problem));
    }
    gate->problem = problem;
}

void gate_describe(char problem[GATE_PROBLEM_SIZE], const char *path, int error)
{
    const char *remedy = "is the Docker Engine running?";

    if (error == ENOENT || error == ENOTSOCK || error == ENOTDIR) {
        remedy = "start the Docker Engine, or name its socket with "
                 "--docker-socket";
    } else if (error == EACCES || error == EPERM) {
        remedy = "let the agent's user use it: group docker, as a rule";
    }
    snprintf(problem, GATE_PROBLEM_SIZE, "connect %s: %s; %s", path,
             strerror(error), remedy);
}

/* ---- the engine's socket ------------------------------------------------- */

static void unreachable(struct gate *gate, int error)
{
    char problem[GATE_PROBLEM_SIZE];

    gate_describe(problem, gate->pool->config->docker_socket, error);
    if ((filter_wants(&gate->filter) & FILTER_WANTS_ENGINE) != 0 &&
        lend(gate)) {
        log_line(LOG_WARN, "engine_unreachable",
                 log_uint("stream", conn_stream(gate->conn)),
                 log_string("error", problem));
        filter_engine_unreachable(&gate->filter, problem);
        gate->problem = filter_problem(&gate->filter);
    }
}

static void on_connected(void *user, int error)
{
    struct gate *gate = user;

    gate->connecting = false;
    if (error == 0) {
        gate->open = true;
        filter_engine_opened(&gate->filter);
    } else {
        tcp_abort(&gate->tcp);
        unreachable(gate, error);
    }
    reconcile(gate);
}

static void on_readable(void *user)
{
    struct gate *gate = user;

    gate->engine_readable = true;
    reconcile(gate);
}

/* Requests without a body: the filter does not wait for them to go out. */
static void on_written(void *user, size_t length)
{
    (void)user;
    (void)length;
}

static void on_broken(void *user, int error)
{
    (void)error; /* tcp_read() tells what came before, and how it ended */
    on_readable(user);
}

static void on_closed(void *user)
{
    (void)user; /* only ever aborted, which is silent */
}

static const struct tcp_ops engine_ops = {
    .connected = on_connected,
    .readable = on_readable,
    .written = on_written,
    .half_closed = on_readable,
    .broken = on_broken,
    .closed = on_closed,
};

static void open_engine(struct gate *gate)
{
    struct gate_pool *pool = gate->pool;

    gate->engine_readable = false;
    gate->engine_finished = false;
    gate->connecting =
        tcp_connect(&gate->tcp, pool->loop, pool->spills, &pool->engine,
                    pool->config->connect_timeout_ms, &engine_ops, gate);
    if (!gate->connecting) {
        unreachable(gate, errno);
    }
}

static void close_engine(struct gate *gate)
{
    tcp_abort(&gate->tcp);
    gate->open = false;
    if (lend(gate)) {
        filter_engine_closed(&gate->filter);
    }
}

static void on_response_late(void *user)
{
    struct gate *gate = user;

    if ((filter_wants(&gate->filter) & FILTER_AWAITS_RESPONSE) != 0 &&
        lend(gate)) {
        filter_engine_timed_out(&gate->filter);
    }
    reconcile(gate);
}

/* ---- making the sockets agree with the filter ---------------------------- */

/* One thing that the filter wants. False: there was nothing left to do. */
static bool do_one(struct gate *gate)
{
    struct filter *filter = &gate->filter;
    unsigned wants = filter_wants(filter);
    struct span request = filter_to_engine(filter);
    struct iovec piece;

    if ((wants & FILTER_WANTS_ENGINE_CLOSE) != 0) {
        close_engine(gate);
        return true;
    }
    if ((wants & FILTER_WANTS_ENGINE) != 0 && !gate->connecting) {
        open_engine(gate);
        return true;
    }
    if (request.length > 0) {
        tcp_write(&gate->tcp, &request, 1); /* whatever it takes, it has all */
        filter_sent_to_engine(filter, request.length);
        return true;
    }
    if ((wants & FILTER_WANTS_ENGINE_FINISH) != 0 && !gate->engine_finished) {
        tcp_finish(&gate->tcp);
        gate->engine_finished = true;
        return true;
    }
    if ((wants & FILTER_WANTS_CLIENT) != 0 &&
        spill_peek(gate->pending, &piece, 1) == 1 && lend(gate)) {
        size_t taken =
            filter_from_client(filter, piece.iov_base, piece.iov_len);
        spill_consume(gate->pending, taken);
        conn_written(gate->conn, taken);
        return true;
    }
    if (gate->client_finished && !gate->told_finished &&
        gate->pending->length == 0 && lend(gate)) {
        filter_client_finished(filter);
        gate->told_finished = true;
        return true;
    }
    return false;
}

static void time_response(struct gate *gate)
{
    uint64_t limit_ms = gate->pool->config->response_timeout_ms;

    if ((filter_wants(&gate->filter) & FILTER_AWAITS_RESPONSE) == 0) {
        loop_timer_stop(gate->pool->loop, &gate->response);
        gate->awaits = false;
        return;
    }
    if (gate->awaits) {
        return;
    }
    gate->awaits = true;
    if (gate->is_ping && (limit_ms == 0 || limit_ms > PING_TIMEOUT_MS)) {
        limit_ms = PING_TIMEOUT_MS;
    }
    if (limit_ms != 0) {
        loop_timer_set(gate->pool->loop, &gate->response,
                       loop_now_ms(gate->pool->loop) + limit_ms);
    }
}

/* No request is in progress, not even the beginning of one. */
static bool is_idle(const struct gate *gate)
{
    return (filter_wants(&gate->filter) &
            (FILTER_WANTS_CLIENT | FILTER_WANTS_FINISH)) ==
               FILTER_WANTS_CLIENT &&
           !filter_holds_buffer(&gate->filter);
}

/* Is there something that gate_read() would have to say? */
static bool has_news(const struct gate *gate)
{
    unsigned wants = filter_wants(&gate->filter);

    return gate->failed || filter_to_client(&gate->filter).length > 0 ||
           (gate->pool->draining && is_idle(gate)) ||
           (wants & (FILTER_WANTS_FINISH | FILTER_WANTS_RESET)) != 0 ||
           ((wants & FILTER_WANTS_ENGINE_READ) != 0 && gate->engine_readable);
}

/* Ends: each round takes bytes, or moves the filter or the socket on. */
static void reconcile(struct gate *gate)
{
    do {
        log_decision(gate);
    } while (!gate->failed && do_one(gate));
    log_problem(gate);
    time_response(gate);
    take_back(gate);
    if (has_news(gate)) {
        conn_readable(gate->conn);
    }
}

/* ---- the relay's side ---------------------------------------------------- */

void gate_open(struct gate *gate, struct gate_pool *pool, struct conn *conn,
               struct spill *pending)
{
    *gate = (struct gate){.pool = pool, .conn = conn, .pending = pending};
    gate->response =
        (struct loop_timer){.fire = on_response_late, .user = gate};
    filter_init(&gate->filter, &pool->filter);
}

size_t gate_write(struct gate *gate, struct span span)
{
    size_t done = 0;

    if (gate->ended) {
        return span.length; /* too late: the client was told of the end */
    }
    while (gate->pending->length == 0 && done < span.length && !gate->failed &&
           (filter_wants(&gate->filter) & FILTER_WANTS_CLIENT) != 0 &&
           lend(gate)) {
        done += filter_from_client(&gate->filter, span.bytes + done,
                                   span.length - done);
        reconcile(gate);
    }
    if (gate->failed) {
        conn_readable(gate->conn); /* gate_read() says so */
    }
    if (done < span.length) {
        struct span rest = {span.bytes + done, span.length - done};
        /* a spill that was evicted has told the relay */
        (void)spill_append(gate->pending, rest);
    }
    return done;
}

enum conn_result gate_read(struct gate *gate, uint8_t *bytes, size_t capacity,
                           size_t *length)
{
    struct filter *filter = &gate->filter;

    *length = 0;
    for (;;) {
        unsigned wants = filter_wants(filter);
        struct span answer = filter_to_client(filter);
        enum tcp_result result;
        size_t received = 0;

        if (answer.length > 0) {
            *length = answer.length < capacity ? answer.length : capacity;
            memcpy(bytes, answer.bytes, *length);
            filter_sent_to_client(filter, *length);
            reconcile(gate);
            return CONN_MORE;
        }
        if (gate->failed || (wants & FILTER_WANTS_RESET) != 0) {
            return CONN_FAILED;
        }
        if (gate->pool->draining && is_idle(gate)) {
            gate->ended = true;
        }
        if (gate->ended || (wants & FILTER_WANTS_FINISH) != 0) {
            return CONN_FINISHED;
        }
        if ((wants & FILTER_WANTS_ENGINE_READ) == 0 || !gate->engine_readable ||
            !lend(gate)) {
            return gate->failed ? CONN_FAILED : CONN_DRAINED;
        }
        result = tcp_read(&gate->tcp, bytes, capacity, &received);
        gate->engine_readable = result != TCP_DRAINED;
        if (received > 0) {
            *length = filter_from_engine(filter, bytes, received);
        }
        if ((filter_wants(filter) & FILTER_WANTS_ENGINE_READ) != 0) {
            if (result == TCP_FINISHED) {
                filter_engine_finished(filter);
            } else if (result == TCP_FAILED) {
                filter_engine_failed(filter);
            }
        }
        reconcile(gate);
        if (*length > 0) {
            return CONN_MORE;
        }
    }
}

void gate_finish(struct gate *gate)
{
    gate->client_finished = true;
    reconcile(gate);
}

void gate_drain(struct gate *gate)
{
    reconcile(gate);
}

void gate_close(struct gate *gate)
{
    loop_timer_stop(gate->pool->loop, &gate->response);
    tcp_abort(&gate->tcp);
    free(gate->buffer);
    gate->buffer = NULL;
}
