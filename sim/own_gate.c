#include <stdio.h>
#include <string.h>

#include "sim/own_internal.h"

static void reconcile(struct own_gate *gate);

void own_describe(char problem[OWN_PROBLEM_SIZE], const char *reason)
{
    (void)snprintf(problem, OWN_PROBLEM_SIZE, "connect docker.sock: %s",
                   reason);
}

/* ---- the buffer ---------------------------------------------------------- */

/* Before each call that needs a buffer. False: no memory, the gate fails. */
static bool lend(struct own_gate *gate)
{
    struct own_pool *pool = gate->pool;

    if (gate->buffer != NULL) {
        return true;
    }
    gate->buffer =
        pool->spare != NULL
            ? pool->spare
            : process_alloc(pool->spills->process,
                            FILTER_BUFFER_SIZE(pool->filter.head_max));
    pool->spare = NULL;
    if (gate->buffer == NULL) {
        gate->failed = true;
        return false;
    }
    filter_lend(&gate->filter, gate->buffer);
    return true;
}

static void give_back(struct own_gate *gate)
{
    struct own_pool *pool = gate->pool;

    if (pool->spare == NULL) {
        pool->spare = gate->buffer;
    } else {
        process_release(pool->spills->process, gate->buffer);
    }
    gate->buffer = NULL;
}

static void take_back(struct own_gate *gate)
{
    if (gate->buffer != NULL && !filter_holds_buffer(&gate->filter)) {
        filter_lend(&gate->filter, NULL);
        give_back(gate);
    }
}

/* ---- the engine's socket ------------------------------------------------- */

static void unreachable(struct own_gate *gate, const char *reason)
{
    char problem[OWN_PROBLEM_SIZE];

    own_describe(problem, reason);
    if ((filter_wants(&gate->filter) & FILTER_WANTS_ENGINE) != 0 &&
        lend(gate)) {
        sim_met(gate->pool->loop->sim, MET_ENGINE_UNREACHABLE);
        filter_engine_unreachable(&gate->filter, problem);
    }
}

static void on_connected(void *user, const char *problem)
{
    struct own_gate *gate = user;

    gate->connecting = false;
    if (problem == NULL) {
        gate->open = true;
        filter_engine_opened(&gate->filter);
    } else {
        tcp_abort(&gate->tcp);
        unreachable(gate, problem);
    }
    reconcile(gate);
}

static void on_readable(void *user)
{
    struct own_gate *gate = user;

    gate->engine_readable = true;
    reconcile(gate);
}

/* Requests without a body: the filter does not wait for them to go out. */
static void on_written(void *user, size_t length)
{
    (void)user;
    (void)length;
}

static void on_broken(void *user, bool ours)
{
    struct own_gate *gate = user;

    gate->failed = gate->failed || ours;
    on_readable(gate);
}

static const struct tcp_ops engine_ops = {
    .connected = on_connected,
    .readable = on_readable,
    .written = on_written,
    .half_closed = on_readable,
    .broken = on_broken,
};

static void open_engine(struct own_gate *gate)
{
    struct own_pool *pool = gate->pool;
    const struct site *site = pool->site;

    gate->engine_readable = false;
    gate->engine_finished = false;
    gate->connecting = tcp_connect(&gate->tcp, pool->loop, pool->spills,
                                   ADDRESS_ENGINE + site->index, &site->local,
                                   OWN_CONNECT_MS, &engine_ops, gate);
    if (!gate->connecting) {
        unreachable(gate, "Too many open files");
    }
}

static void close_engine(struct own_gate *gate)
{
    tcp_abort(&gate->tcp);
    gate->open = false;
    if (lend(gate)) {
        filter_engine_closed(&gate->filter);
    }
}

/* ---- making the sockets agree with the filter ---------------------------- */

static void look_at_decision(struct own_gate *gate)
{
    struct filter_decision decision;

    if (!filter_next_decision(&gate->filter, &decision)) {
        return;
    }
    if (!decision.allowed) {
        sim_met(gate->pool->loop->sim, MET_POLICY_REFUSED);
    } else if (gate->open) {
        sim_met(gate->pool->loop->sim, MET_ENGINE_REUSED);
    }
}

/* One thing that the filter wants. False: there was nothing left to do. */
static bool do_one(struct own_gate *gate)
{
    struct filter *filter = &gate->filter;
    unsigned wants = filter_wants(filter);
    struct span request = filter_to_engine(filter);

    if ((wants & FILTER_WANTS_ENGINE_CLOSE) != 0) {
        close_engine(gate);
        return true;
    }
    if ((wants & FILTER_WANTS_ENGINE) != 0 && !gate->connecting) {
        open_engine(gate);
        return true;
    }
    if (request.length > 0) {
        tcp_write(&gate->tcp, request); /* whatever it takes, it has all */
        filter_sent_to_engine(filter, request.length);
        return true;
    }
    if ((wants & FILTER_WANTS_ENGINE_FINISH) != 0 && !gate->engine_finished) {
        tcp_finish(&gate->tcp);
        gate->engine_finished = true;
        return true;
    }
    if ((wants & FILTER_WANTS_CLIENT) != 0 && gate->pending->length > 0 &&
        lend(gate)) {
        struct span front = spill_front(gate->pending);
        size_t taken = filter_from_client(filter, front.bytes, front.length);
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

/* No request is in progress, not even the beginning of one. */
static bool is_idle(const struct own_gate *gate)
{
    return (filter_wants(&gate->filter) &
            (FILTER_WANTS_CLIENT | FILTER_WANTS_FINISH)) ==
               FILTER_WANTS_CLIENT &&
           !filter_holds_buffer(&gate->filter);
}

/* Is there something that own_gate_read() would have to say? */
static bool has_news(const struct own_gate *gate)
{
    unsigned wants = filter_wants(&gate->filter);

    return gate->failed || filter_to_client(&gate->filter).length > 0 ||
           (gate->pool->draining && is_idle(gate)) ||
           (wants & (FILTER_WANTS_FINISH | FILTER_WANTS_RESET)) != 0 ||
           ((wants & FILTER_WANTS_ENGINE_READ) != 0 && gate->engine_readable);
}

/* Ends: each round takes bytes, or moves the filter or the socket on. */
static void reconcile(struct own_gate *gate)
{
    do {
        look_at_decision(gate);
    } while (!gate->failed && do_one(gate));
    take_back(gate);
    if (has_news(gate)) {
        conn_readable(gate->conn);
    }
}

/* ---- the stream's side --------------------------------------------------- */

void own_gate_open(struct own_gate *gate, struct own_pool *pool,
                   struct conn *conn, struct spill *pending)
{
    *gate = (struct own_gate){.pool = pool, .conn = conn, .pending = pending};
    filter_init(&gate->filter, &pool->filter);
}

size_t own_gate_write(struct own_gate *gate, struct span span)
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
    if (done < span.length &&
        !spill_append(gate->pending,
                      (struct span){span.bytes + done, span.length - done})) {
        gate->failed = true;
        conn_readable(gate->conn);
    }
    return done;
}

/* What comes from the engine; *length bytes of it are the client's. */
static enum tcp_result read_engine(struct own_gate *gate, uint8_t *bytes,
                                   size_t capacity, size_t *length)
{
    struct filter *filter = &gate->filter;
    size_t received = 0;
    enum tcp_result result = tcp_read(&gate->tcp, bytes, capacity, &received);

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
    return result;
}

enum conn_result own_gate_read(struct own_gate *gate, uint8_t *bytes,
                               size_t capacity, size_t *length)
{
    struct filter *filter = &gate->filter;

    *length = 0;
    for (;;) {
        unsigned wants = filter_wants(filter);
        struct span answer = filter_to_client(filter);

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
        (void)read_engine(gate, bytes, capacity, length);
        reconcile(gate);
        if (*length > 0) {
            return CONN_MORE;
        }
    }
}

void own_gate_finish(struct own_gate *gate)
{
    gate->client_finished = true;
    reconcile(gate);
}

void own_gate_drain(struct own_gate *gate)
{
    reconcile(gate);
}

void own_gate_close(struct own_gate *gate)
{
    tcp_abort(&gate->tcp);
    if (gate->buffer != NULL) {
        process_release(gate->pool->spills->process, gate->buffer);
        gate->buffer = NULL;
    }
}
