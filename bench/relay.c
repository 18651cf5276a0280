/* relay: a bare TCP relay, for what moving bytes costs at least.
 *
 *   relay copy|unmask|splice ADDRESS TARGET
 *
 * Listens on ADDRESS, prints its port, and joins each connection to TARGET,
 * with recv() and send() through one buffer, or with splice() through a pipe a
 * direction. unmask is copy, and takes what comes from TARGET for the payload
 * of one endless WebSocket frame, whose key is 0, so that it stays as it is.
 * One thread, level-triggered; half-closes are carried.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench/tool.h"
#include "core/ws.h"

#define PIECE (256u * 1024u)

struct side {
    struct pair *pair; /* NULL: the listener */
    int fd;
    struct side *other;
    uint32_t events; /* watched now */
    int pipe[2];     /* splice: from this side to the other */
    uint8_t *bytes;  /* copy: what the other side has not taken */
    size_t at, held; /* of bytes, or in the pipe */
    struct ws ws;    /* unmask: what comes from the target */
    bool ended;      /* nothing more comes from this side */
    bool told;       /* and the other side knows */
};

struct pair {
    struct side sides[2];
    bool is_dead; /* freed at the end of the turn */
    struct pair *next_dead;
};

static int epoll;
static bool does_splice, does_unmask;
static struct socket_address target;
static struct pair *dead;

static void watch(struct side *side, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = side};
    if (epoll_ctl(epoll, operation, side->fd, &event) != 0) {
        tool_die("epoll_ctl");
    }
    side->events = events;
}

static void end(struct pair *pair)
{
    if (pair->is_dead) {
        return;
    }
    for (int i = 0; i < 2; i++) {
        struct side *side = &pair->sides[i];
        close(side->fd);
        if (does_splice) {
            close(side->pipe[0]);
            close(side->pipe[1]);
        }
        free(side->bytes);
    }
    pair->is_dead = true;
    pair->next_dead = dead;
    dead = pair;
}

static void unmask(struct side *side, uint8_t *bytes, size_t length)
{
    struct ws_event event;

    while (ws_receive(&side->ws, &bytes, &length, &event)) {
        if (event.kind != WS_DATA) {
            tool_die("not a frame");
        }
    }
}

static void begin_frame(struct side *side)
{
    uint8_t header[] = {0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff,
                        0xff, 0xff, 0xff, 0,    0,    0,    0};

    ws_init(&side->ws, WS_SERVER);
    unmask(side, header, sizeof header);
}

static ssize_t fill(struct side *side)
{
    if (does_splice) {
        return splice(side->fd, NULL, side->pipe[1], NULL, PIECE,
                      SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    }
    side->at = 0;
    ssize_t length = recv(side->fd, side->bytes, PIECE, 0);
    if (length > 0 && does_unmask && side == &side->pair->sides[1]) {
        unmask(side, side->bytes, (size_t)length);
    }
    return length;
}

static ssize_t drain(struct side *side)
{
    if (does_splice) {
        return splice(side->pipe[0], NULL, side->other->fd, NULL, side->held,
                      SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    }
    return send(side->other->fd, side->bytes + side->at, side->held,
                MSG_NOSIGNAL);
}

/* One direction, once round. False: it has failed. */
static bool move(struct side *side)
{
    if (side->held == 0 && !side->ended) {
        ssize_t length = fill(side);
        if (length < 0) {
            return errno == EAGAIN;
        }
        side->ended = length == 0;
        side->held = (size_t)length;
    }
    if (side->held > 0) {
        ssize_t length = drain(side);
        if (length < 0) {
            return errno == EAGAIN;
        }
        side->at += (size_t)length;
        side->held -= (size_t)length;
    }
    if (side->held == 0 && side->ended && !side->told) {
        side->told = true;
        (void)shutdown(side->other->fd, SHUT_WR);
    }
    return true;
}

static void ready(struct side *side, uint32_t events)
{
    struct pair *pair = side->pair;

    if (pair->is_dead) {
        return;
    }
    if ((events & EPOLLERR) != 0 || !move(side) || !move(side->other) ||
        (side->told && side->other->told)) {
        end(pair);
        return;
    }
    for (int i = 0; i < 2; i++) {
        struct side *each = &pair->sides[i];
        uint32_t wanted = (each->held == 0 && !each->ended ? EPOLLIN : 0u) |
                          (each->other->held > 0 ? EPOLLOUT : 0u);
        if (wanted != each->events) {
            watch(each, EPOLL_CTL_MOD, wanted);
        }
    }
}

static void join(int near)
{
    struct pair *pair = calloc(1, sizeof *pair);
    if (pair == NULL) {
        tool_die("memory");
    }
    for (int i = 0; i < 2; i++) {
        struct side *side = &pair->sides[i];
        side->pair = pair;
        side->other = &pair->sides[1 - i];
        side->fd = i == 0 ? near : tool_connect(&target);
        if (does_splice) {
            if (pipe2(side->pipe, O_NONBLOCK | O_CLOEXEC) != 0) {
                tool_die("pipe2");
            }
            (void)fcntl(side->pipe[0], F_SETPIPE_SZ, PIECE);
        } else if ((side->bytes = malloc(PIECE)) == NULL) {
            tool_die("memory");
        }
        watch(side, EPOLL_CTL_ADD, EPOLLIN);
    }
    if (does_unmask) {
        begin_frame(&pair->sides[1]);
    }
}

static void run(int listener)
{
    struct side door = {.fd = listener};

    watch(&door, EPOLL_CTL_ADD, EPOLLIN);
    for (;;) {
        struct epoll_event events[64];
        int count = epoll_wait(epoll, events, 64, -1);
        for (int i = 0; i < count; i++) {
            struct side *side = events[i].data.ptr;
            int fd;
            if (side != &door) {
                ready(side, events[i].events);
                continue;
            }
            while ((fd = accept4(listener, NULL, NULL,
                                 SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
                join(fd);
            }
        }
        while (dead != NULL) {
            struct pair *next = dead->next_dead;
            free(dead);
            dead = next;
        }
    }
}

int main(int argc, char **argv)
{
    if (argc == 4) {
        does_splice = strcmp(argv[1], "splice") == 0;
        does_unmask = strcmp(argv[1], "unmask") == 0;
    }
    if (argc != 4 ||
        (!does_splice && !does_unmask && strcmp(argv[1], "copy") != 0)) {
        fprintf(stderr, "usage: relay copy|unmask|splice ADDRESS TARGET\n");
        return 2;
    }
    (void)signal(SIGPIPE, SIG_IGN); /* splice() has no flag for it */
    epoll = epoll_create1(EPOLL_CLOEXEC);
    struct socket_address address = tool_address(argv[2]);
    target = tool_address(argv[3]);
    int listener = tool_listen(&address);
    printf("%u\nready\n", tool_port(listener));
    fflush(stdout);
    run(listener);
}
