/* IMPLEMENTATION NOTES
 *
 * Edge-triggered epoll reports a condition once, when it comes true. Reading:
 * readable is set by the edge and cleared by TCP_DRAINED. A read that returns
 * less than asked for is taken as drained without a second call, unless the
 * peer has hung up: its end of file makes no edge of its own. Writing: a short
 * or refused send is followed by an edge when there is room.
 *
 * What the kernel says of an error, it says once. Never is SO_ERROR asked after
 * the connect, and once a send has taken the error away, an end of file from
 * recv() is no longer believed (lost). EPIPE is the exception: the peer had
 * closed before, so its end of file is genuine.
 */
#include "net/tcp.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/contract.h"
#include "net/sys.h"

#define PIECES_MAX 64u /* of one sendmsg() */
#define FLUSH_MS 1000u /* T15 */
#define PAUSE_MAX_MS 64u
#define CONNECT_PAUSE_MS 10u
#define LOOK_MS 1000u

enum phase { INERT, CONNECTING, OPEN };

enum ending { NOT_ENDING, FINISHING, CLOSING, RESETTING };

bool tcp_is_open(const struct tcp *tcp)
{
    return tcp->phase != INERT;
}

size_t tcp_unwritten(const struct tcp *tcp)
{
    return tcp->spill.length;
}

/* ---- ending -------------------------------------------------------------- */

static void release(struct tcp *tcp, bool reset)
{
    loop_timer_stop(tcp->loop, &tcp->timer);
    loop_cancel(tcp->loop, &tcp->act);
    loop_remove(tcp->loop, &tcp->watch);
    spill_clear(&tcp->spill);
    free(tcp->address);
    tcp->address = NULL;
    tcp->phase = INERT;
    if (reset) {
        socket_reset(tcp->fd);
    } else {
        (void)sys_close(tcp->fd);
    }
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

    if (tcp->deaf || now_ms >= tcp->deadline_ms) {
        return true;
    }
    if (tcp->spill.length > 0) {
        loop_timer_set(tcp->loop, &tcp->timer, tcp->deadline_ms);
        return false;
    }
    if (tcp->is_unix || socket_unacknowledged(tcp->fd) == 0) {
        return true;
    }
    /* Acknowledgements make no event: look again, less and less often. */
    loop_timer_set(tcp->loop, &tcp->timer, now_ms + tcp->pause_ms);
    if (tcp->pause_ms < PAUSE_MAX_MS) {
        tcp->pause_ms *= 2;
    }
    return false;
}

/* A peer that has got our end of file is soon gone, as a rule; its own may then
 * wait for room behind what nobody reads, and makes no event (T13). */
static void look_later(struct tcp *tcp)
{
    if (!tcp->is_unix) {
        loop_timer_set(tcp->loop, &tcp->timer,
                       loop_now_ms(tcp->loop) + LOOK_MS);
    }
}

static void look_for_end(struct tcp *tcp)
{
    int unread = 0;

    if (tcp->at_end || tcp->told_half_closed) {
        return;
    }
    if (sys_ioctl(tcp->fd, FIONREAD, &unread) == 0 && unread > 0 &&
        socket_peer_has_closed(tcp->fd)) {
        tcp->told_half_closed = true;
        tcp->ops->half_closed(tcp->user);
        return;
    }
    look_later(tcp);
}

/* Go on with what the owner asked for, as far as possible now. May end in
 * closed(): the caller must not touch tcp afterwards. */
static void proceed(struct tcp *tcp)
{
    switch ((enum ending)tcp->ending) {
    case NOT_ENDING:
        return;
    case FINISHING:
        if (tcp->phase == OPEN && tcp->spill.length == 0 && !tcp->deaf &&
            !tcp->finished) {
            tcp->finished = true;
            (void)sys_shutdown(tcp->fd, SHUT_WR);
            look_later(tcp);
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
    if (tcp->phase == INERT || tcp->ending != NOT_ENDING) {
        return;
    }
    tcp->ending = FINISHING;
    proceed(tcp);
}

void tcp_close(struct tcp *tcp)
{
    if (tcp->phase == INERT || tcp->ending >= CLOSING) {
        return;
    }
    tcp->ending = CLOSING;
    loop_defer(tcp->loop, &tcp->act);
}

void tcp_reset(struct tcp *tcp)
{
    if (tcp->phase == INERT || tcp->ending == RESETTING) {
        return;
    }
    tcp->ending = RESETTING;
    tcp->pause_ms = 1;
    tcp->deadline_ms = loop_now_ms(tcp->loop) + FLUSH_MS;
    loop_defer(tcp->loop, &tcp->act);
}

/* ---- writing ------------------------------------------------------------- */

/* An edge comes from a TCP socket only after a send found it full; a unix
 * socket makes one whenever its peer reads, so it is asked only when needed.
 * Asking anew makes an edge of what is so already: only when it changes. */
static void want_output(struct tcp *tcp, bool wanted)
{
    if (tcp->is_unix && tcp->watch.watched && tcp->wants_output != wanted) {
        tcp->wants_output = wanted;
        loop_change(tcp->loop, &tcp->watch,
                    EPOLLIN | EPOLLRDHUP | EPOLLET |
                        (wanted ? (uint32_t)EPOLLOUT : 0));
    }
}

static void fail_output(struct tcp *tcp, int error)
{
    tcp->deaf = true;
    tcp->error = error;
    if (error != EPIPE) {
        tcp->lost = true;
    }
    loop_defer(tcp->loop, &tcp->act);
}

static void on_evicted(void *user)
{
    fail_output(user, ENOMEM);
}

/* Bytes that the kernel took of the pieces; 0 also when the output failed. */
static size_t send_pieces(struct tcp *tcp, struct iovec *pieces, size_t count)
{
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = count};
    ssize_t sent;

    do {
        sent = count == 1 ? sys_send(tcp->fd, pieces->iov_base, pieces->iov_len,
                                     MSG_NOSIGNAL)
                          : sys_sendmsg(tcp->fd, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent >= 0) {
        return (size_t)sent;
    }
    if (errno != EAGAIN) {
        fail_output(tcp, errno);
    }
    return 0;
}

size_t tcp_write(struct tcp *tcp, const struct span *spans, size_t count)
{
    struct iovec pieces[PIECES_MAX];
    size_t taken = 0;
    size_t skip;

    REQUIRE(tcp->phase != INERT && tcp->ending == NOT_ENDING);
    REQUIRE(count <= PIECES_MAX);

    if (tcp->phase == OPEN && tcp->spill.length == 0 && !tcp->deaf) {
        for (size_t i = 0; i < count; i++) {
            pieces[i].iov_base = (void *)(uintptr_t)spans[i].bytes;
            pieces[i].iov_len = spans[i].length;
        }
        taken = send_pieces(tcp, pieces, count);
    }
    skip = taken;
    for (size_t i = 0; i < count; i++) {
        struct span rest = spans[i];
        if (skip >= rest.length) {
            skip -= rest.length;
            continue;
        }
        rest.bytes += skip;
        rest.length -= skip;
        skip = 0;
        if (tcp->deaf) {
            taken += rest.length;
            continue;
        }
        if (tcp->spill.length == 0) {
            want_output(tcp, true);
        }
        (void)spill_append(&tcp->spill, rest); /* false: now deaf and lost */
    }
    return taken;
}

static void flush(struct tcp *tcp)
{
    struct iovec pieces[PIECES_MAX];
    size_t total = 0;
    bool full = false;

    while (tcp->spill.length > 0 && !full && !tcp->deaf) {
        size_t count = spill_peek(&tcp->spill, pieces, PIECES_MAX);
        size_t sent = send_pieces(tcp, pieces, count);
        full = sent == 0;
        spill_consume(&tcp->spill, sent);
        total += sent;
    }
    if (tcp->deaf) {
        total += tcp->spill.length;
        spill_clear(&tcp->spill);
    }
    if (tcp->spill.length == 0) {
        want_output(tcp, false);
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

bool tcp_is_finished(struct tcp *tcp)
{
    /* recv() with MSG_PEEK would take an error away */
    struct pollfd state = {.fd = tcp->fd, .events = POLLRDHUP};
    int unread = 0;

    if (tcp->phase != OPEN || !tcp->hung_up || tcp->lost ||
        sys_ioctl(tcp->fd, FIONREAD, &unread) != 0 || unread != 0 ||
        sys_poll(&state, 1, 0) != 1 || (state.revents & POLLRDHUP) == 0 ||
        (state.revents & POLLERR) != 0) {
        return false;
    }
    tcp->readable = false;
    tcp->at_end = true;
    return true;
}

/* What recv() or splice() that returned received says about the input. An end
 * of file right behind the bytes is told with them: with no credit left nobody
 * would come back for it. */
static enum tcp_result judge_input(struct tcp *tcp, ssize_t received)
{
    if (received > 0) {
        return tcp_is_finished(tcp) ? TCP_FINISHED : TCP_MORE;
    }
    if (received == 0) {
        return end_input(tcp, tcp->lost ? TCP_FAILED : TCP_FINISHED);
    }
    if (errno == EAGAIN) {
        tcp->readable = false;
        return TCP_DRAINED;
    }
    return end_input(tcp, TCP_FAILED);
}

enum tcp_result tcp_read(struct tcp *tcp, uint8_t *bytes, size_t capacity,
                         size_t *length)
{
    ssize_t received;

    REQUIRE(tcp->phase == OPEN && capacity > 0);

    do {
        received = sys_recv(tcp->fd, bytes, capacity, 0);
    } while (received < 0 && errno == EINTR);
    *length = received > 0 ? (size_t)received : 0;
    if (*length > 0 && *length < capacity && !tcp->hung_up) {
        tcp->readable = false;
        return TCP_DRAINED;
    }
    return judge_input(tcp, received);
}

enum tcp_result tcp_move(struct tcp *tcp, int pipe, size_t capacity,
                         size_t *length)
{
    ssize_t received;

    REQUIRE(tcp->phase == OPEN && capacity > 0);

    do {
        received = sys_splice(tcp->fd, NULL, pipe, NULL, capacity,
                              SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    } while (received < 0 && errno == EINTR);
    *length = received > 0 ? (size_t)received : 0;
    return judge_input(tcp, received);
}

/* ---- the loop ------------------------------------------------------------ */

/* The owner may abort in any operation: each is followed by a look at phase. */
static void tell_input(struct tcp *tcp, uint32_t events)
{
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) == 0 ||
        tcp->ending >= CLOSING) {
        return;
    }
    if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
        tcp->hung_up = true;
    }
    if (!tcp->readable && !tcp->at_end) {
        tcp->readable = true;
        tcp->ops->readable(tcp->user);
    }
    if (tcp->phase == OPEN && tcp->hung_up && !tcp->at_end &&
        !tcp->told_half_closed) {
        tcp->told_half_closed = true;
        tcp->ops->half_closed(tcp->user);
    }
}

static void tell_broken(struct tcp *tcp)
{
    if (tcp->phase == OPEN && tcp->ending < CLOSING && !tcp->told_broken) {
        tcp->told_broken = true;
        tcp->ops->broken(tcp->user, tcp->error);
    }
}

static void tell_connected(struct tcp *tcp, int error)
{
    loop_timer_stop(tcp->loop, &tcp->timer);
    free(tcp->address);
    tcp->address = NULL;
    if (error == 0) {
        tcp->phase = OPEN;
        want_output(tcp, tcp->spill.length > 0);
    }
    tcp->ops->connected(tcp->user, error);
}

static void on_ready(void *user, uint32_t events)
{
    struct tcp *tcp = user;

    if (tcp->phase == CONNECTING && tcp->ending >= CLOSING) {
        proceed(tcp);
        return;
    }
    if (tcp->phase == CONNECTING) {
        tell_connected(tcp, sys_socket_error(tcp->fd));
        if (tcp->phase != OPEN) {
            return;
        }
    }
    tell_input(tcp, events);
    if (tcp->phase == OPEN &&
        (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) {
        flush(tcp);
    }
    if ((events & EPOLLERR) != 0) {
        tell_broken(tcp);
    }
    if (tcp->phase == OPEN) {
        if ((events & EPOLLERR) != 0) {
            tcp->deaf = true;
        }
        proceed(tcp);
    }
}

static void on_act(void *user)
{
    struct tcp *tcp = user;

    if (tcp->phase == CONNECTING && tcp->error != 0 && tcp->ending < CLOSING) {
        tell_connected(tcp, tcp->error);
        return;
    }
    if (tcp->phase == OPEN && tcp->deaf) {
        flush(tcp);
    }
    if (tcp->deaf) {
        tell_broken(tcp);
    }
    if (tcp->phase != INERT) {
        proceed(tcp);
    }
}

/* ---- opening ------------------------------------------------------------- */

static void try_connect(struct tcp *tcp)
{
    const struct socket_address *address = tcp->address;

    if (sys_connect(tcp->fd, (const struct sockaddr *)&address->storage,
                    address->length) != 0 &&
        errno != EINPROGRESS) {
        if (errno == EAGAIN) { /* a unix listener whose backlog is full */
            loop_timer_set(tcp->loop, &tcp->timer,
                           loop_now_ms(tcp->loop) + CONNECT_PAUSE_MS);
            return;
        }
        tcp->error = errno;
    } else if (!loop_add(tcp->loop, &tcp->watch, tcp->fd,
                         EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)) {
        tcp->error = errno;
    }
    if (tcp->error != 0) {
        loop_defer(tcp->loop, &tcp->act);
    } else {
        loop_timer_set(tcp->loop, &tcp->timer, tcp->deadline_ms);
    }
}

static void on_timer(void *user)
{
    struct tcp *tcp = user;

    if (tcp->phase == OPEN && tcp->ending == FINISHING) {
        look_for_end(tcp);
    } else if (tcp->phase != CONNECTING) {
        proceed(tcp);
    } else if (loop_now_ms(tcp->loop) >= tcp->deadline_ms) {
        tell_connected(tcp, ETIMEDOUT);
    } else {
        try_connect(tcp);
    }
}

static void init(struct tcp *tcp, struct loop *loop, struct spill_pool *pool,
                 const struct tcp_ops *ops, void *user)
{
    *tcp = (struct tcp){
        .loop = loop,
        .ops = ops,
        .user = user,
        .watch = {.ready = on_ready, .user = tcp},
        .timer = {.fire = on_timer, .user = tcp},
        .act = {.run = on_act, .user = tcp},
        .fd = -1,
    };
    spill_init(&tcp->spill, pool, on_evicted, tcp);
}

bool tcp_open(struct tcp *tcp, struct loop *loop, struct spill_pool *pool,
              int fd, const struct tcp_ops *ops, void *user)
{
    int domain = 0;
    socklen_t length = sizeof domain;
    uint32_t events = EPOLLIN | EPOLLRDHUP | EPOLLET;

    init(tcp, loop, pool, ops, user);
    if (sys_getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) != 0) {
        return false;
    }
    tcp->is_unix = domain == AF_UNIX;
    if (!tcp->is_unix) {
        events |= EPOLLOUT;
    }
    if (!loop_add(loop, &tcp->watch, fd, events)) {
        return false;
    }
    tcp->fd = fd;
    tcp->phase = OPEN;
    return true;
}

bool tcp_connect(struct tcp *tcp, struct loop *loop, struct spill_pool *pool,
                 const struct socket_address *address, uint64_t timeout_ms,
                 const struct tcp_ops *ops, void *user)
{
    init(tcp, loop, pool, ops, user);
    tcp->is_unix = address->storage.ss_family == AF_UNIX;
    tcp->wants_output = true; /* the connect's outcome */
    tcp->address = malloc(sizeof *address);
    if (tcp->address == NULL) {
        return false;
    }
    *tcp->address = *address;
    tcp->fd = sys_socket(address->storage.ss_family,
                         SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (tcp->fd < 0) {
        free(tcp->address);
        tcp->address = NULL;
        return false;
    }
    if (!tcp->is_unix) {
        socket_no_delay(tcp->fd);
        socket_keep_alive(tcp->fd);
    }
    tcp->phase = CONNECTING;
    tcp->deadline_ms = loop_now_ms(loop) + timeout_ms;
    try_connect(tcp);
    return true;
}
