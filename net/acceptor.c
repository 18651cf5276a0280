#include "net/acceptor.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "net/log.h"
#include "net/socket.h"
#include "net/sys.h"

#define ACCEPTS_A_TURN 16
#define REST_MS 100
#define LOG_INTERVAL_MS 60000

static struct {
    unsigned open; /* acceptors */
    int spare;     /* -1: none */
    bool logged;
    uint64_t logged_ms;
    struct acceptor_counters counters;
} shared = {.spare = -1};

static void take_spare(void)
{
    if (shared.spare < 0) {
        shared.spare = sys_open("/dev/null", O_RDONLY | O_CLOEXEC, 0);
    }
}

static void give_spare(void)
{
    if (shared.spare >= 0) {
        (void)sys_close(shared.spare);
        shared.spare = -1;
    }
}

static void log_exhausted(uint64_t now_ms, int error)
{
    if (shared.logged && now_ms - shared.logged_ms < LOG_INTERVAL_MS) {
        return;
    }
    shared.logged = true;
    shared.logged_ms = now_ms;
    log_line(LOG_ERROR, "accept_failed", log_errno(error),
             log_uint("refused_total", shared.counters.refused),
             log_string("remedy", "raise LimitNOFILE or ulimit -n"));
}

/* Nothing can be accepted now: end what waits, so that clients see an error
 * instead of silence, and look again later. */
static void refuse(struct acceptor *acceptor, int error)
{
    give_spare();
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        int fd = sys_accept4(acceptor->watch.fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) {
            break;
        }
        socket_reset(fd);
        shared.counters.refused++;
    }
    take_spare();
    log_exhausted(loop_now_ms(acceptor->loop), error);
    loop_change(acceptor->loop, &acceptor->watch, 0);
    loop_timer_set(acceptor->loop, &acceptor->rest,
                   loop_now_ms(acceptor->loop) + REST_MS);
}

static void resume(void *user)
{
    struct acceptor *acceptor = user;

    take_spare();
    loop_change(acceptor->loop, &acceptor->watch, EPOLLIN);
}

static void accept_some(void *user, uint32_t events)
{
    struct acceptor *acceptor = user;

    (void)events;
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        struct sockaddr_storage peer = {0};
        socklen_t length = sizeof peer;
        int fd = sys_accept4(acceptor->watch.fd, (struct sockaddr *)&peer,
                             &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            shared.counters.accepted++;
            acceptor->accepted(acceptor->user, fd, &peer);
            if (!acceptor->watch.watched) {
                return;
            }
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
                   errno == ENOMEM) {
            refuse(acceptor, errno);
            return;
        } else if (errno == EAGAIN) {
            return;
        } /* else that one connection failed before we came */
    }
}

bool acceptor_open(struct acceptor *acceptor, struct loop *loop, int fd,
                   void (*accepted)(void *user, int fd,
                                    const struct sockaddr_storage *peer),
                   void *user)
{
    *acceptor = (struct acceptor){
        .loop = loop,
        .watch = {.ready = accept_some, .user = acceptor},
        .rest = {.fire = resume, .user = acceptor},
        .accepted = accepted,
        .user = user,
    };
    if (!loop_add(loop, &acceptor->watch, fd, EPOLLIN)) {
        return false;
    }
    if (shared.open++ == 0) {
        take_spare();
    }
    return true;
}

void acceptor_close(struct acceptor *acceptor)
{
    if (!acceptor->watch.watched) {
        return;
    }
    loop_timer_stop(acceptor->loop, &acceptor->rest);
    loop_remove(acceptor->loop, &acceptor->watch);
    (void)sys_close(acceptor->watch.fd);
    if (--shared.open == 0) {
        give_spare();
    }
}

const struct acceptor_counters *acceptor_counters(void)
{
    return &shared.counters;
}
