#include "sim/tcp.h"

#include "core/contract.h"

#define RECEIVES_MAX 8u /* of one read: a socket may give little at a time */
#define PAUSE_MAX_MS 64u

enum phase { INERT, CONNECTING, OPEN };

enum ending { NOT_ENDING, FINISHING, CLOSING, RESETTING };

size_t tcp_unwritten(const struct tcp *tcp)
{
    return tcp->spill.length;
}

/* ---- ending -------------------------------------------------------------- */

static void release(struct tcp *tcp, bool reset)
{
    job_free(tcp->job);
    tcp->job = NULL;
    spill_clear(&tcp->spill);
    tcp->phase = INERT;
    if (reset) {
        socket_reset(tcp->socket);
    } else {
        socket_close(tcp->socket);
    }
    tcp->socket = NULL;
}

void tcp_abort(struct tcp *tcp)
{
    if (tcp->phase != INERT) {
        release(tcp, true);
    }
}

/* Everything written is with the peer's kernel, or will never be. */
static bool is_flushed(struct tcp *tcp)
{
    uint64_t now_ms = loop_now_ms(tcp->loop);

    if (tcp->deaf) {
        return true;
    }
    if (now_ms >= tcp->deadline_ms) {
        sim_met(tcp->loop->sim, MET_FLUSH_LATE);
        return true;
    }
    if (tcp->spill.length == 0 && socket_unsent(tcp->socket) == 0) {
        return true;
    }
    sim_met(tcp->loop->sim, MET_FLUSH_WAITS);
    /* Acknowledgements make no event: look again, less and less often. */
    uint64_t look_ms = now_ms + tcp->pause_ms;
    if (tcp->spill.length > 0 || look_ms > tcp->deadline_ms) {
        look_ms = tcp->deadline_ms;
    } else if (tcp->pause_ms < PAUSE_MAX_MS) {
        tcp->pause_ms *= 2;
    }
    job_by_ms(tcp->job, look_ms);
    return false;
}

/* Go on with what the owner asked for. May end in closed(): the caller must
 * not touch tcp afterwards. */
static void proceed(struct tcp *tcp)
{
    switch ((enum ending)tcp->ending) {
    case NOT_ENDING:
        return;
    case FINISHING:
        if (tcp->phase == OPEN && tcp->spill.length == 0 && !tcp->deaf &&
            !tcp->finished) {
            tcp->finished = true;
            socket_finish(tcp->socket);
        }
        return;
    case CLOSING:
        if (tcp->phase == OPEN && tcp->spill.length > 0) {
            return;
        }
        release(tcp, tcp->lost);
        break;
    case RESETTING:
        if (tcp->phase == OPEN && !is_flushed(tcp)) {
            return;
        }
        release(tcp, true);
        break;
    }
    tcp->ops->closed(tcp->user);
}

void tcp_finish(struct tcp *tcp)
{
    if (tcp->phase != INERT && tcp->ending == NOT_ENDING) {
        tcp->ending = FINISHING;
        proceed(tcp);
    }
}

void tcp_close(struct tcp *tcp)
{
    if (tcp->phase != INERT && tcp->ending < CLOSING) {
        tcp->ending = CLOSING;
        job_wake(tcp->job);
    }
}

void tcp_reset(struct tcp *tcp)
{
    if (tcp->phase != INERT && tcp->ending != RESETTING) {
        tcp->ending = RESETTING;
        tcp->pause_ms = 1;
        tcp->deadline_ms = loop_now_ms(tcp->loop) + TCP_FLUSH_MS;
        job_wake(tcp->job);
    }
}

/* ---- writing ------------------------------------------------------------- */

static void fail_output(struct tcp *tcp, bool no_memory)
{
    tcp->deaf = true;
    tcp->lost = true;
    tcp->no_memory = no_memory;
    job_wake(tcp->job);
}

/* Bytes that the socket took. */
static size_t send_some(struct tcp *tcp, struct span data)
{
    size_t total = 0;

    while (total < data.length) {
        size_t done = 0;
        enum socket_result result = socket_send(tcp->socket, data.bytes + total,
                                                data.length - total, &done);
        total += done;
        if (result == SOCKET_MORE) {
            continue;
        }
        if (result != SOCKET_WAIT) {
            fail_output(tcp, false);
        }
        break;
    }
    return total;
}

size_t tcp_write(struct tcp *tcp, struct span data)
{
    size_t length = data.length;
    size_t taken = 0;

    REQUIRE(tcp->phase != INERT && tcp->ending == NOT_ENDING);
    if (tcp->phase == OPEN && tcp->spill.length == 0 && !tcp->deaf) {
        taken = send_some(tcp, data);
    }
    if (tcp->deaf) {
        return length;
    }
    data.bytes += taken;
    data.length -= taken;
    if (!spill_append(&tcp->spill, data)) {
        sim_met(tcp->loop->sim, MET_SPILL_REFUSED);
        fail_output(tcp, true);
        return length;
    }
    return taken;
}

static void flush(struct tcp *tcp)
{
    size_t total = 0;

    while (tcp->spill.length > 0 && !tcp->deaf) {
        struct span front = spill_front(&tcp->spill);
        size_t sent = send_some(tcp, front);
        spill_consume(&tcp->spill, sent);
        total += sent;
        if (sent < front.length) {
            break;
        }
    }
    if (tcp->deaf) {
        total += tcp->spill.length;
        spill_clear(&tcp->spill);
    }
    if (total > 0) {
        tcp->ops->written(tcp->user, total);
    }
}

/* ---- reading ------------------------------------------------------------- */

static enum tcp_result end_input(struct tcp *tcp, enum tcp_result result)
{
    tcp->readable = false;
    tcp->at_end = true;
    return result;
}

enum tcp_result tcp_read(struct tcp *tcp, uint8_t *bytes, size_t capacity,
                         size_t *length)
{
    *length = 0;
    REQUIRE(tcp->phase == OPEN && capacity > 0);
    for (unsigned i = 0; i < RECEIVES_MAX && *length < capacity; i++) {
        size_t done = 0;
        switch (socket_receive(tcp->socket, bytes + *length, capacity - *length,
                               &done)) {
        case SOCKET_MORE:
            *length += done;
            break;
        case SOCKET_WAIT:
            tcp->readable = false;
            return TCP_DRAINED;
        case SOCKET_FINISHED:
            return end_input(tcp, tcp->lost ? TCP_FAILED : TCP_FINISHED);
        case SOCKET_BROKEN:
            return end_input(tcp, TCP_FAILED);
        }
    }
    return TCP_MORE;
}

/* ---- the loop ------------------------------------------------------------ */

static void tell_input(struct tcp *tcp)
{
    if (!tcp->readable && !tcp->at_end && tcp->ending < CLOSING) {
        tcp->readable = true;
        tcp->ops->readable(tcp->user);
    }
    if (tcp->phase == OPEN && !tcp->at_end && !tcp->told_half_closed &&
        tcp->ending < CLOSING && socket_peer_gone(tcp->socket)) {
        tcp->told_half_closed = true;
        tcp->ops->half_closed(tcp->user);
    }
}

static void tell_broken(struct tcp *tcp)
{
    if (tcp->phase == OPEN && socket_is_broken(tcp->socket)) {
        tcp->deaf = true;
    }
    if (tcp->phase == OPEN && tcp->deaf && tcp->ending < CLOSING &&
        !tcp->told_broken) {
        tcp->told_broken = true;
        tcp->ops->broken(tcp->user, tcp->no_memory);
    }
}

/* The owner may abort in any operation: false, it did. */
static bool look_at_connect(struct tcp *tcp)
{
    const char *problem = NULL;

    switch (socket_state(tcp->socket)) {
    case SOCKET_CONNECTING:
        if (loop_now_ms(tcp->loop) < tcp->deadline_ms) {
            job_by_ms(tcp->job, tcp->deadline_ms);
            return false;
        }
        problem = "Connection timed out";
        break;
    case SOCKET_FAILED:
        problem = "Connection refused";
        break;
    case SOCKET_OPEN:
        tcp->phase = OPEN;
        break;
    }
    tcp->ops->connected(tcp->user, problem);
    return tcp->phase == OPEN;
}

static void on_job(void *user)
{
    struct tcp *tcp = user;

    if (tcp->phase == CONNECTING && tcp->ending >= CLOSING) {
        proceed(tcp);
        return;
    }
    if (tcp->phase == CONNECTING && !look_at_connect(tcp)) {
        return;
    }
    tell_input(tcp);
    if (tcp->phase == OPEN) {
        flush(tcp);
    }
    tell_broken(tcp);
    if (tcp->phase == OPEN) {
        proceed(tcp);
    }
}

static void on_ready(void *user)
{
    struct tcp *tcp = user;
    job_wake(tcp->job);
}

/* ---- opening ------------------------------------------------------------- */

static void init(struct tcp *tcp, struct loop *loop, struct spill_pool *pool,
                 const struct tcp_ops *ops, void *user)
{
    *tcp = (struct tcp){.loop = loop, .ops = ops, .user = user};
    spill_init(&tcp->spill, pool);
    tcp->job = job_new(loop, on_job, tcp);
}

void tcp_open(struct tcp *tcp, struct loop *loop, struct spill_pool *pool,
              struct socket *socket, const struct tcp_ops *ops, void *user)
{
    init(tcp, loop, pool, ops, user);
    tcp->socket = socket;
    tcp->phase = OPEN;
    socket_own(socket, on_ready, tcp);
    job_wake(tcp->job);
}

bool tcp_connect(struct tcp *tcp, struct loop *loop, struct spill_pool *pool,
                 uint32_t address, const struct path *path, uint64_t timeout_ms,
                 const struct tcp_ops *ops, void *user)
{
    init(tcp, loop, pool, ops, user);
    tcp->socket =
        socket_connect(pool->process, address, path, path, on_ready, tcp);
    if (tcp->socket == NULL) {
        job_free(tcp->job);
        tcp->job = NULL;
        return false;
    }
    tcp->phase = CONNECTING;
    tcp->deadline_ms = loop_now_ms(loop) + timeout_ms;
    job_by_ms(tcp->job, tcp->deadline_ms);
    return true;
}
