#include "core/test/req.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/gather.h"
#include "net/socket.h"
#include "net/test/pair.h"

enum { MARK = 40000, PIECE = MARK / 4 };

/* A connection; fd is watched as a transport's is. */
struct receiver {
    struct loop *loop;
    struct loop_watch watch;
    struct gather gather;
    uint32_t events; /* since they were cleared */
    int looks;
    int fd, peer;
};

static void on_ready(void *user, uint32_t events)
{
    struct receiver *receiver = user;
    receiver->events |= events;
}

static void on_look(void *user)
{
    struct receiver *receiver = user;
    receiver->looks++;
}

static void start(struct receiver *receiver, size_t mark)
{
    int fd[2];

    memset(receiver, 0, sizeof *receiver);
    pair_tcp(fd, SOCK_NONBLOCK);
    receiver->fd = fd[0];
    receiver->peer = fd[1];
    receiver->loop = loop_create();
    assert_non_null(receiver->loop);
    receiver->watch = (struct loop_watch){.ready = on_ready, .user = receiver};
    assert_true(loop_add(receiver->loop, &receiver->watch, receiver->fd,
                         EPOLLIN | EPOLLRDHUP | EPOLLET));
    gather_init(&receiver->gather, receiver->loop, receiver->fd, mark, on_look,
                receiver);
}

static void stop(struct receiver *receiver)
{
    gather_stop(&receiver->gather);
    gather_stop(&receiver->gather);
    loop_remove(receiver->loop, &receiver->watch);
    loop_destroy(receiver->loop);
    close(receiver->fd);
    if (receiver->peer >= 0) {
        close(receiver->peer);
    }
}

/* Between two turns the loop's clock stands still. */
static void stream(struct receiver *receiver, int pieces)
{
    for (int i = 0; i < pieces; i++) {
        gather_took(&receiver->gather, PIECE);
    }
}

static int mark_of(const struct receiver *receiver)
{
    int mark = -1;
    socklen_t length = sizeof mark;
    assert_int_equal(
        getsockopt(receiver->fd, SOL_SOCKET, SO_RCVLOWAT, &mark, &length), 0);
    return mark;
}

static void send_bytes(const struct receiver *receiver, size_t length)
{
    static const char bytes[MARK];
    assert_int_equal(send(receiver->peer, bytes, length, 0), length);
}

/* What poll() says of the socket at once, or when it says something. */
static short state_of(const struct receiver *receiver, int wait_ms)
{
    struct pollfd entry = {.fd = receiver->fd, .events = POLLIN | POLLRDHUP};
    assert_true(poll(&entry, 1, wait_ms) >= 0);
    return entry.revents;
}

static void run_until_looked(struct receiver *receiver)
{
    int looks = receiver->looks;
    while (receiver->looks == looks) {
        loop_run_once(receiver->loop, -1);
    }
}

static void pieces_that_stream_gather_to_the_mark(void **state)
{
    struct receiver receiver;
    (void)state;

    start(&receiver, MARK);
    stream(&receiver, 3);
    assert_int_equal(mark_of(&receiver), 1);
    stream(&receiver, 1);
    assert_int_equal(mark_of(&receiver), MARK);
    assert_true(receiver.gather.timer.running);

    send_bytes(&receiver, MARK - 1);
    assert_int_equal(state_of(&receiver, 0), 0);
    send_bytes(&receiver, 1);
    assert_int_equal(state_of(&receiver, -1), POLLIN);
    stop(&receiver);
}

static void what_comes_slowly_does_not_gather(void **state)
{
    struct receiver receiver;
    (void)state;

    start(&receiver, MARK);
    for (int i = 0; i < 3; i++) {
        uint64_t now_ms = loop_now_ms(receiver.loop);
        stream(&receiver, 3);
        while (loop_now_ms(receiver.loop) == now_ms) {
            loop_run_once(receiver.loop, 1);
        }
    }
    assert_int_equal(mark_of(&receiver), 1);
    assert_false(receiver.gather.timer.running);
    stop(&receiver);
}

static void large_reads_have_nothing_to_gather(void **state)
{
    struct receiver receiver;
    (void)state;

    start(&receiver, MARK);
    for (int i = 0; i < 20; i++) {
        gather_took(&receiver.gather, MARK / 3 + 1);
    }
    assert_int_equal(mark_of(&receiver), 1);
    stop(&receiver);
}

static void the_mark_can_be_none(void **state)
{
    struct receiver receiver;
    (void)state;

    start(&receiver, 0);
    stream(&receiver, 20);
    assert_int_equal(mark_of(&receiver), 1);
    gather_pause(&receiver.gather);
    stop(&receiver);
}

/* Below the mark somebody looks: as long as much comes, and once in vain. */
static void what_is_left_is_looked_at(void **state)
{
    struct receiver receiver;
    (void)state;

    start(&receiver, MARK);
    stream(&receiver, 4);
    for (int i = 0; i < 3; i++) {
        run_until_looked(&receiver);
        assert_false(receiver.gather.timer.running);
        stream(&receiver, 1);
        assert_int_equal(mark_of(&receiver), MARK);
        assert_true(receiver.gather.timer.running);
    }
    gather_took(&receiver.gather, 1); /* woken at the mark, or so */
    assert_int_equal(mark_of(&receiver), MARK);
    run_until_looked(&receiver);
    gather_took(&receiver.gather, 0);
    assert_int_equal(mark_of(&receiver), 1);
    assert_false(receiver.gather.timer.running);
    stop(&receiver);
}

static void an_answer_is_not_kept_waiting(void **state)
{
    struct receiver receiver;
    uint64_t asked_ms;
    (void)state;

    start(&receiver, MARK);
    stream(&receiver, 4);
    loop_run_once(receiver.loop, 0);
    send_bytes(&receiver, 1);
    receiver.events = 0;
    gather_pause(&receiver.gather);
    asked_ms = loop_now_ms(receiver.loop);
    assert_int_equal(mark_of(&receiver), 1);
    assert_false(receiver.gather.timer.running);
    while (receiver.events == 0) { /* what had come already is told */
        loop_run_once(receiver.loop, -1);
    }

    while (loop_now_ms(receiver.loop) < asked_ms + GATHER_PAUSE_MS) {
        stream(&receiver, 20);
        assert_int_equal(mark_of(&receiver), 1);
        loop_run_once(receiver.loop, 1);
    }
    stream(&receiver, 4);
    assert_int_equal(mark_of(&receiver), MARK);
    stop(&receiver);
}

static void an_end_below_the_mark_is_told(void **state)
{
    struct receiver receiver;
    (void)state;

    for (int resets = 0; resets < 2; resets++) {
        start(&receiver, MARK);
        stream(&receiver, 4);
        send_bytes(&receiver, 1);
        loop_timer_stop(receiver.loop, &receiver.gather.timer);
        if (resets) {
            socket_reset(receiver.peer);
        } else {
            close(receiver.peer);
        }
        receiver.peer = -1;
        receiver.events = 0;
        while ((receiver.events & EPOLLRDHUP) == 0) {
            loop_run_once(receiver.loop, -1);
        }
        assert_int_equal(receiver.looks, 0);
        stop(&receiver);
    }
}

/* Then nothing gathers; or it goes on, and somebody looks at it. */
static void a_mark_that_cannot_be_set_costs_nothing_but_time(void **state)
{
    struct receiver receiver;
    (void)state;

    start(&receiver, MARK);
    receiver.gather.fd = -1;
    stream(&receiver, 4);
    assert_false(receiver.gather.on);
    assert_false(receiver.gather.timer.running);

    receiver.gather.fd = receiver.fd;
    stream(&receiver, 4);
    assert_true(receiver.gather.on);
    receiver.gather.fd = -1;
    gather_pause(&receiver.gather);
    assert_true(receiver.gather.timer.running);
    run_until_looked(&receiver);
    gather_took(&receiver.gather, 0);
    assert_true(receiver.gather.timer.running);

    receiver.gather.fd = receiver.fd;
    run_until_looked(&receiver);
    gather_took(&receiver.gather, 0);
    assert_int_equal(mark_of(&receiver), 1);
    stop(&receiver);
}

static const struct CMUnitTest tests[] = {
    REQ("P-01", pieces_that_stream_gather_to_the_mark),
    REQ("P-01,P-04", what_comes_slowly_does_not_gather),
    REQ("P-01,P-04", large_reads_have_nothing_to_gather),
    REQ("P-01", the_mark_can_be_none),
    REQ("P-01,P-08", what_is_left_is_looked_at),
    REQ("P-03,P-04", an_answer_is_not_kept_waiting),
    REQ("L-03,L-04", an_end_below_the_mark_is_told),
    REQ("P-01,L-02", a_mark_that_cannot_be_set_costs_nothing_but_time),
};
RUN(tests)
