#include "server/refusal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/socket.h"
#include "net/sys.h"

#define ANSWER_SIZE 512u
#define SCRATCH_SIZE 4096u
#define READS_MAX 64 /* a turn: whoever sends on and on gets no more of us */

/* Drop what the client sends. False: it is done, or broken. */
static bool swallow(int fd)
{
    char scratch[SCRATCH_SIZE];

    for (int i = 0; i < READS_MAX; i++) {
        ssize_t length = sys_recv(fd, scratch, sizeof scratch, MSG_DONTWAIT);
        if (length < 0) {
            return errno == EAGAIN || errno == EINTR;
        }
        if (length == 0) {
            return false;
        }
    }
    return true;
}

static void end(struct refusal *refusal)
{
    struct loop *loop = refusal->all->loop;
    int fd = refusal->watch.fd;

    loop_timer_stop(loop, &refusal->timer);
    loop_remove(loop, &refusal->watch);
    (void)sys_close(fd);
    refusal->watch.fd = -1;
    refusal->all->count--;
}

static void on_ready(void *user, uint32_t events)
{
    struct refusal *refusal = user;

    (void)events;
    if (!swallow(refusal->watch.fd)) {
        end(refusal);
    }
}

static void on_timer(void *user)
{
    end(user);
}

void refusal_init(struct refusals *refusals, struct loop *loop)
{
    memset(refusals, 0, sizeof *refusals);
    refusals->loop = loop;
    for (size_t i = 0; i < REFUSALS_MAX; i++) {
        struct refusal *refusal = &refusals->slots[i];
        refusal->all = refusals;
        refusal->watch =
            (struct loop_watch){.fd = -1, .ready = on_ready, .user = refusal};
        refusal->timer = (struct loop_timer){.fire = on_timer, .user = refusal};
    }
}

void refusal_end(struct refusals *refusals)
{
    for (size_t i = 0; i < REFUSALS_MAX; i++) {
        if (refusals->slots[i].watch.fd >= 0) {
            end(&refusals->slots[i]);
        }
    }
}

static struct refusal *free_slot(struct refusals *refusals)
{
    for (size_t i = 0; i < REFUSALS_MAX; i++) {
        if (refusals->slots[i].watch.fd < 0) {
            return &refusals->slots[i];
        }
    }
    return NULL;
}

void refusal_send(struct refusals *refusals, int fd, const char *message)
{
    char body[ANSWER_SIZE / 2];
    char answer[ANSWER_SIZE];
    struct refusal *refusal = free_slot(refusals);
    int body_length =
        snprintf(body, sizeof body, "{\"message\":\"%s\"}\n", message);
    int length = snprintf(answer, sizeof answer,
                          "HTTP/1.1 503 Service Unavailable\r\n"
                          "Content-Type: application/json\r\n"
                          "Content-Length: %d\r\n"
                          "Retry-After: 1\r\n"
                          "Connection: close\r\n"
                          "\r\n%s",
                          body_length, body);

    /* A new connection's buffer is empty: all of it fits or nothing helps. */
    if (refusal == NULL ||
        sys_send(fd, answer, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT) !=
            length ||
        sys_shutdown(fd, SHUT_WR) != 0) {
        socket_reset(fd);
        return;
    }
    if (!swallow(fd) ||
        !loop_add(refusals->loop, &refusal->watch, fd, EPOLLIN)) {
        (void)sys_close(fd);
        return;
    }
    refusals->count++;
    loop_timer_set(refusals->loop, &refusal->timer,
                   loop_now_ms(refusals->loop) + REFUSAL_LINGER_MS);
}
