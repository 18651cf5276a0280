#include "core/test/req.h"

#include <limits.h>
#include <string.h>

#include "net/sys.h"

/* Two connected sockets; fd[0] is watched by an edge-triggered epoll. */
struct pair {
    int epoll;
    int fd[2];
};

static void open_pair(struct pair *pair)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET};

    sys_fault_set(NULL);
    assert_int_equal(
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair->fd), 0);
    pair->epoll = sys_epoll_create1(EPOLL_CLOEXEC);
    assert_true(pair->epoll >= 0);
    assert_int_equal(
        sys_epoll_ctl(pair->epoll, EPOLL_CTL_ADD, pair->fd[0], &event), 0);
}

static void close_pair(struct pair *pair)
{
    sys_fault_set(NULL);
    assert_int_equal(sys_close(pair->epoll), 0);
    assert_int_equal(sys_close(pair->fd[0]), 0);
    assert_int_equal(sys_close(pair->fd[1]), 0);
}

/* Did an edge come since the last call? */
static bool has_edge(const struct pair *pair)
{
    struct epoll_event event;
    return epoll_wait(pair->epoll, &event, 1, 0) == 1;
}

static void the_nth_call_of_a_kind_fails(void **unused)
{
    struct sys_fault fault = {
        .call = SYS_CALL_recv, .error = ECONNRESET, .skip = 1, .times = 2};
    struct pair pair;
    char byte = 'x';

    (void)unused;
    open_pair(&pair);
    sys_fault_set(&fault);
    for (int i = 0; i < 4; i++) {
        bool fails = i == 1 || i == 2;
        assert_int_equal(sys_send(pair.fd[1], &byte, 1, 0), 1);
        errno = 0;
        assert_int_equal(sys_recv(pair.fd[0], &byte, 1, 0), fails ? -1 : 1);
        assert_int_equal(errno, fails ? ECONNRESET : 0);
    }
    assert_int_equal(sys_fault_calls(SYS_CALL_recv), 4);
    assert_int_equal(sys_fault_calls(SYS_CALL_send), 4);
    assert_int_equal(sys_fault_hits(), 2);
    assert_string_equal(sys_call_name(SYS_CALL_recv), "recv");
    close_pair(&pair);
}

static void a_failed_close_has_closed(void **unused)
{
    struct sys_fault fault = {
        .call = SYS_CALL_close, .error = EIO, .times = UINT_MAX};
    struct pair pair;

    (void)unused;
    open_pair(&pair);
    sys_fault_set(&fault);
    assert_int_equal(sys_close(pair.fd[0]), -1);
    assert_int_equal(errno, EIO);
    assert_int_equal(fcntl(pair.fd[0], F_GETFD), -1);
    sys_fault_set(NULL);
    assert_int_equal(sys_close(pair.fd[1]), 0);
    assert_int_equal(sys_close(pair.epoll), 0);
}

/* What a program that waits for edges is owed: see net/sys.c. */
static void an_invented_wait_is_followed_by_an_edge(void **unused)
{
    struct sys_fault fault = {
        .call = SYS_CALL_send, .error = EAGAIN, .times = 1};
    struct pair pair;
    char byte = 'x';

    (void)unused;
    open_pair(&pair);
    assert_true(has_edge(&pair));
    assert_false(has_edge(&pair));
    sys_fault_set(&fault);
    assert_int_equal(sys_send(pair.fd[0], &byte, 1, 0), -1);
    assert_int_equal(errno, EAGAIN);
    assert_true(has_edge(&pair));
    assert_int_equal(sys_send(pair.fd[0], &byte, 1, 0), 1);
    close_pair(&pair);
}

static void transfers_are_cut_short_and_make_an_edge(void **unused)
{
    static const enum sys_call calls[] = {SYS_CALL_send, SYS_CALL_write,
                                          SYS_CALL_sendmsg};
    char text[] = "abcd";
    struct iovec pieces[2] = {{.iov_base = text, .iov_len = 2},
                              {.iov_base = text + 2, .iov_len = 2}};
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};
    struct pair pair;
    char bytes[8];

    (void)unused;
    open_pair(&pair);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        struct sys_fault fault = {.call = calls[i], .size = 1, .times = 1};
        ssize_t sent = -1;

        (void)has_edge(&pair);
        sys_fault_set(&fault);
        switch ((int)calls[i]) {
        case SYS_CALL_send:
            sent = sys_send(pair.fd[0], "abcd", 4, 0);
            break;
        case SYS_CALL_write:
            sent = sys_write(pair.fd[0], "abcd", 4);
            break;
        case SYS_CALL_sendmsg:
            sent = sys_sendmsg(pair.fd[0], &message, 0);
            break;
        }
        assert_int_equal(sent, 1);
        assert_true(has_edge(&pair));
        assert_int_equal(sys_fault_hits(), 1);
        assert_int_equal(recv(pair.fd[1], bytes, sizeof bytes, 0), 1);
        assert_int_equal(bytes[0], 'a');
        assert_int_equal(sys_sendmsg(pair.fd[0], &message, 0), 4);
        assert_int_equal(recv(pair.fd[1], bytes, sizeof bytes, 0), 4);
    }
    close_pair(&pair);
}

static void a_connect_fails_late(void **unused)
{
    struct sys_fault fault = {
        .call = SYS_CALL_so_error, .error = ECONNREFUSED, .times = 1};
    struct pair pair;

    (void)unused;
    open_pair(&pair);
    assert_int_equal(sys_socket_error(pair.fd[0]), 0);
    sys_fault_set(&fault);
    assert_int_equal(sys_socket_error(pair.fd[0]), ECONNREFUSED);
    assert_int_equal(sys_socket_error(pair.fd[0]), 0);
    close_pair(&pair);
}

static const struct CMUnitTest tests[] = {
    REQ("Q-04", the_nth_call_of_a_kind_fails),
    REQ("Q-04", a_failed_close_has_closed),
    REQ("Q-04", an_invented_wait_is_followed_by_an_edge),
    REQ("Q-04", transfers_are_cut_short_and_make_an_edge),
    REQ("Q-04", a_connect_fails_late),
};
RUN(tests)
