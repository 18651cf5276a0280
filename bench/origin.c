/* origin: the service behind an agent, as cheap as a service can be.
 *
 *   origin COUNTERS ADDRESS...
 *
 * An ADDRESS is HOST:PORT or the path of a unix socket; the port of each TCP
 * socket is printed, in order, one a line. Speaks just enough HTTP/1.1:
 *
 *   GET  ...?bytes=N            N bytes of zeros
 *   POST, Content-Length: N     takes N bytes, then answers
 *   anything else               a small answer of 256 bytes
 *
 * "Connection: close" is obeyed. Requests are not pipelined. COUNTERS is a file
 * that shows, while it is mapped, how much has come (tool.h).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench/tool.h"

#define HEAD_MAX 4096
#define PIECE (256u * 1024u)
#define TURN (1024u * 1024u) /* bytes of one connection before the next */
#define BODY 256
#define LISTENERS_MAX 8

struct conn {
    int fd;
    bool is_listener;
    bool is_tcp;
    bool waits_for_room; /* EPOLLOUT is watched */
    bool ends;           /* after this answer */
    size_t head_length;
    char head[HEAD_MAX];
    uint64_t taking;  /* bytes of the request's body still to come */
    uint64_t zeros;   /* of the answer still to go, behind its head */
    char answer[512]; /* its head, and all of a small one */
    size_t answer_length, answer_sent;
};

static int epoll;
static struct tool_counters *counters;
static const char zeros[PIECE];
static char waste[PIECE];

static void watch(struct conn *conn, int operation, uint32_t events)
{
    tool_watch(epoll, operation, conn->fd, events, conn);
}

static void end(struct conn *conn)
{
    close(conn->fd);
    free(conn);
}

static void add(int fd, bool is_listener, bool is_tcp)
{
    struct conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL) {
        tool_die("memory");
    }
    conn->fd = fd;
    conn->is_listener = is_listener;
    conn->is_tcp = is_tcp;
    watch(conn, EPOLL_CTL_ADD, EPOLLIN);
}

static void accept_all(struct conn *listener)
{
    int fd;

    while ((fd = accept4(listener->fd, NULL, NULL,
                         SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        counters->accepted++;
        add(fd, false, listener->is_tcp);
    }
}

static void answer_small(struct conn *conn)
{
    conn->answer_length =
        (size_t)snprintf(conn->answer, sizeof conn->answer,
                         "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                         "Content-Length: %d\r\n\r\n%-*s\n",
                         BODY, BODY - 1, "[]");
}

/* What the complete head asks for. */
static void understand(struct conn *conn)
{
    const char *bytes = strstr(conn->head, "?bytes=");
    const char *length = strcasestr(conn->head, "\r\nContent-Length:");

    conn->ends = strcasestr(conn->head, "\r\nConnection: close") != NULL;
    conn->answer_sent = 0;
    if (strncmp(conn->head, "GET ", 4) == 0 && bytes != NULL) {
        conn->zeros = strtoull(bytes + 7, NULL, 10);
        conn->answer_length = (size_t)snprintf(
            conn->answer, sizeof conn->answer,
            "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
            "Content-Length: %llu\r\n\r\n",
            (unsigned long long)conn->zeros);
        return;
    }
    if (length != NULL) {
        conn->taking = strtoull(length + 17, NULL, 10);
    }
    answer_small(conn);
}

/* False: the connection has ended. */
static bool take_head(struct conn *conn)
{
    size_t room = HEAD_MAX - 1 - conn->head_length;
    ssize_t length = recv(conn->fd, conn->head + conn->head_length, room, 0);

    if (length <= 0) {
        if (length < 0 && errno == EAGAIN) {
            return true;
        }
        end(conn);
        return false;
    }
    conn->head_length += (size_t)length;
    conn->head[conn->head_length] = '\0';
    const char *body = strstr(conn->head, "\r\n\r\n");
    if (body == NULL) {
        return true;
    }
    understand(conn);
    uint64_t early = conn->head_length - (size_t)(body + 4 - conn->head);
    early = early < conn->taking ? early : conn->taking;
    conn->taking -= early;
    counters->received += early;
    conn->head_length = 0;
    return true;
}

static bool take_body(struct conn *conn)
{
    for (size_t done = 0; conn->taking > 0 && done < TURN;) {
        size_t want = conn->taking < PIECE ? (size_t)conn->taking : PIECE;
        /* TCP lets bytes be thrown away without copying them. */
        ssize_t length =
            recv(conn->fd, waste, want, conn->is_tcp ? MSG_TRUNC : 0);
        if (length <= 0) {
            if (length < 0 && errno == EAGAIN) {
                return true;
            }
            end(conn);
            return false;
        }
        conn->taking -= (uint64_t)length;
        counters->received += (uint64_t)length;
        done += (size_t)length;
    }
    return true;
}

/* Sends what it may; false: the connection has ended. */
static bool give(struct conn *conn)
{
    bool is_full = false;

    for (size_t done = 0; done < TURN && !is_full;) {
        size_t left = conn->answer_length - conn->answer_sent;
        size_t piece = conn->zeros < PIECE ? (size_t)conn->zeros : PIECE;
        if (left + piece == 0) {
            break;
        }
        ssize_t length =
            left > 0 ? send(conn->fd, conn->answer + conn->answer_sent, left,
                            MSG_NOSIGNAL | (piece > 0 ? MSG_MORE : 0))
                     : send(conn->fd, zeros, piece, MSG_NOSIGNAL);
        if (length < 0 && errno != EAGAIN) {
            end(conn);
            return false;
        }
        is_full = length < 0;
        length = is_full ? 0 : length;
        conn->answer_sent += left > 0 ? (size_t)length : 0;
        conn->zeros -= left > 0 ? 0 : (uint64_t)length;
        done += (size_t)length;
    }
    bool is_done = conn->answer_sent == conn->answer_length && conn->zeros == 0;
    if (is_done && conn->ends) {
        end(conn);
        return false;
    }
    if (is_done == conn->waits_for_room) {
        conn->waits_for_room = !is_done;
        watch(conn, EPOLL_CTL_MOD, is_done ? EPOLLIN : EPOLLIN | EPOLLOUT);
    }
    return true;
}

static void ready(struct conn *conn)
{
    bool is_answering =
        conn->answer_sent < conn->answer_length || conn->zeros > 0;

    if (conn->taking == 0 && !is_answering && !take_head(conn)) {
        return;
    }
    if (conn->taking > 0 && !take_body(conn)) {
        return;
    }
    if (conn->taking == 0) {
        (void)give(conn);
    }
}

int main(int argc, char **argv)
{
    if (argc < 3 || argc > 2 + LISTENERS_MAX) {
        fprintf(stderr, "usage: origin COUNTERS ADDRESS...\n");
        return 2;
    }
    epoll = epoll_create1(EPOLL_CLOEXEC);
    counters = tool_map(argv[1], sizeof *counters);
    for (int i = 2; i < argc; i++) {
        struct socket_address address = tool_address(argv[i]);
        bool is_tcp = address.storage.ss_family != AF_UNIX;
        int fd = tool_listen(&address);
        add(fd, true, is_tcp);
        if (is_tcp) {
            printf("%u\n", tool_port(fd));
        }
    }
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        struct epoll_event events[64];
        int count = epoll_wait(epoll, events, 64, -1);
        for (int i = 0; i < count; i++) {
            struct conn *conn = events[i].data.ptr;
            if (conn->is_listener) {
                accept_all(conn);
            } else {
                ready(conn);
            }
        }
    }
}
