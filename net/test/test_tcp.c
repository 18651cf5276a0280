#include "core/test/req.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/tcp.h"
#include "net/test/pair.h"
#include "net/test/world.h"

#define WAIT_MS 3000
#define TURNS_MAX 2000

/* One socket of ours and its far end, a blocking socket of the test. */
struct fixture {
    struct loop *loop;
    struct spill_pool *pool;
    struct tcp tcp;
    int far;
    int connected, connect_error;
    int readable, half_closed, broken, broken_error, closed;
    size_t written;
    int descriptors;
};

static void on_connected(void *user, int error)
{
    struct fixture *f = user;
    f->connected++;
    f->connect_error = error;
}

static void on_readable(void *user)
{
    ((struct fixture *)user)->readable++;
}

static void on_written(void *user, size_t length)
{
    ((struct fixture *)user)->written += length;
}

static void on_half_closed(void *user)
{
    ((struct fixture *)user)->half_closed++;
}

static void on_broken(void *user, int error)
{
    struct fixture *f = user;
    f->broken++;
    f->broken_error = error;
}

static void on_closed(void *user)
{
    struct fixture *f = user;
    f->closed++;
    memset(&f->tcp, 0, sizeof f->tcp); /* as if freed */
}

static const struct tcp_ops ops = {
    .connected = on_connected,
    .readable = on_readable,
    .written = on_written,
    .half_closed = on_half_closed,
    .broken = on_broken,
    .closed = on_closed,
};

static struct fixture *start_empty(size_t budget)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->descriptors = open_descriptors();
    f->loop = loop_create();
    f->pool = spill_pool_create(budget);
    assert_non_null(f->loop);
    assert_non_null(f->pool);
    f->far = -1;
    return f;
}

static void adopt(struct fixture *f, int family)
{
    int fd[2];
    struct timeval patience = {.tv_sec = 10};
    int room = 65536; /* of a kernel that would take all, there is no spill */

    if (family == AF_UNIX) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd),
                         0);
        fcntl(fd[0], F_SETFL, O_NONBLOCK);
    } else {
        pair_tcp(fd, SOCK_NONBLOCK);
    }
    setsockopt(fd[1], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd[1], SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    f->far = fd[1];
    assert_true(tcp_open(&f->tcp, f->loop, f->pool, fd[0], &ops, f));
}

static struct fixture *start(int family)
{
    struct fixture *f = start_empty(1 << 22);
    adopt(f, family);
    return f;
}

static void stop(struct fixture *f)
{
    tcp_abort(&f->tcp);
    tcp_abort(&f->tcp);
    if (f->far >= 0) {
        close(f->far);
    }
    spill_pool_destroy(f->pool);
    loop_destroy(f->loop);
    assert_int_equal(open_descriptors(), f->descriptors);
    free(f);
}

static bool is_under_way(int fd)
{
    struct tcp_info info;
    socklen_t length = sizeof info;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 &&
           info.tcpi_unacked > 0;
}

/* A busy machine delivers later than send() returns. */
static void settle(const struct fixture *f)
{
    for (int i = 0; i < WAIT_MS; i++) {
        if ((f->far < 0 || !is_under_way(f->far)) && !is_under_way(f->tcp.fd)) {
            return;
        }
        (void)poll(NULL, 0, 1);
    }
}

static void turn(struct fixture *f)
{
    settle(f);
    for (int i = 0; i < 5; i++) {
        loop_run_once(f->loop, 0);
    }
}

#define WAIT_FOR(f, condition)                                            \
    do {                                                                  \
        for (int turns = 0; turns < TURNS_MAX && !(condition); turns++) { \
            loop_run_once((f)->loop, WAIT_MS);                            \
        }                                                                 \
        assert_true(condition);                                           \
    } while (false)

static size_t write_some(struct fixture *f, const char *text)
{
    struct span span = {(const uint8_t *)text, strlen(text)};
    return tcp_write(&f->tcp, &span, 1);
}

/* length bytes of a known pattern; returns what was taken at once. */
static size_t write_pattern(struct fixture *f, size_t length)
{
    uint8_t *bytes = malloc(length);
    struct span span = {bytes, length};
    size_t taken;
    for (size_t i = 0; i < length; i++) {
        bytes[i] = (uint8_t)(i * 2654435761u >> 24);
    }
    taken = tcp_write(&f->tcp, &span, 1);
    free(bytes);
    return taken;
}

/* The far end reads to the end of file (0) or an error (errno). */
static int read_pattern(struct fixture *f, size_t *length)
{
    uint8_t bytes[65536];
    ssize_t n;
    *length = 0;
    while ((n = recv(f->far, bytes, sizeof bytes, MSG_DONTWAIT)) != 0) {
        if (n < 0 && errno == EAGAIN) {
            loop_run_once(f->loop, 10);
            continue;
        }
        if (n < 0) {
            return errno;
        }
        for (ssize_t i = 0; i < n; i++) {
            assert_int_equal(
                bytes[i], (uint8_t)((*length + (size_t)i) * 2654435761u >> 24));
        }
        *length += (size_t)n;
    }
    return 0;
}

static void say(struct fixture *f, const char *text)
{
    assert_int_equal(send(f->far, text, strlen(text), MSG_NOSIGNAL),
                     strlen(text));
}

static enum tcp_result hear(struct fixture *f, const char *expected)
{
    char bytes[64];
    size_t length;
    enum tcp_result result =
        tcp_read(&f->tcp, (uint8_t *)bytes, sizeof bytes - 1, &length);
    bytes[length] = '\0';
    assert_string_equal(bytes, expected);
    return result;
}

/* ---- reading ------------------------------------------------------------- */

static void reading(int family)
{
    struct fixture *f = start(family);

    say(f, "hello");
    turn(f);
    assert_int_equal(f->readable, 1);
    say(f, " again");
    turn(f);
    assert_int_equal(f->readable, 1); /* not drained yet: not told twice */
    assert_int_equal(hear(f, "hello again"), TCP_DRAINED);
    say(f, "x");
    turn(f);
    assert_int_equal(f->readable, 2);
    assert_int_equal(hear(f, "x"), TCP_DRAINED);
    assert_int_equal(hear(f, ""), TCP_DRAINED);
    shutdown(f->far, SHUT_WR);
    turn(f);
    assert_int_equal(f->readable, 3);
    assert_int_equal(f->half_closed, 1);
    assert_int_equal(hear(f, ""), TCP_FINISHED);
    assert_int_equal(f->broken, 0);
    stop(f);
}

static void bytes_and_their_end_are_read(void **state)
{
    (void)state;
    reading(AF_INET);
    reading(AF_UNIX);
}

/* The end of file that came with the last bytes makes no edge of its own. */
static void an_end_of_file_right_behind_data_is_not_missed(void **state)
{
    struct fixture *f = start(AF_INET);
    (void)state;

    say(f, "last");
    shutdown(f->far, SHUT_WR);
    turn(f);
    assert_int_equal(hear(f, "last"), TCP_FINISHED);
    stop(f);
}

/* Whoever has no credit left reads no more, and the end needs none. */
static void an_end_of_file_can_be_had_without_reading(void **state)
{
    struct fixture *f = start(AF_UNIX);
    uint8_t bytes[4];
    size_t length;
    (void)state;

    say(f, "full");
    turn(f);
    assert_int_equal(tcp_read(&f->tcp, bytes, sizeof bytes, &length), TCP_MORE);
    assert_false(tcp_is_finished(&f->tcp));
    shutdown(f->far, SHUT_WR);
    turn(f);
    assert_int_equal(f->half_closed, 1);
    assert_true(tcp_is_finished(&f->tcp));
    stop(f);
}

static void unread_bytes_are_no_end_of_file(void **state)
{
    struct fixture *f = start(AF_INET);
    uint8_t bytes[4];
    size_t length;
    (void)state;

    say(f, "fulls");
    shutdown(f->far, SHUT_WR);
    WAIT_FOR(f, f->half_closed == 1);
    assert_false(tcp_is_finished(&f->tcp));
    assert_int_equal(tcp_read(&f->tcp, bytes, sizeof bytes, &length), TCP_MORE);
    assert_int_equal(tcp_read(&f->tcp, bytes, sizeof bytes, &length),
                     TCP_FINISHED);
    assert_int_equal(length, 1);
    stop(f);
}

static void unread_bytes_do_not_spin_the_loop(void **state)
{
    struct fixture *f = start(AF_INET);
    uint64_t events;
    (void)state;

    say(f, "unread");
    shutdown(f->far, SHUT_WR);
    turn(f);
    events = loop_counters(f->loop)->events;
    for (int i = 0; i < 100; i++) {
        loop_run_once(f->loop, 0);
    }
    assert_int_equal(loop_counters(f->loop)->events, events);
    stop(f);
}

/* Its hang-up is an event of every look that is asked for. */
static void a_unix_peer_that_is_gone_does_not_spin_the_loop(void **state)
{
    struct fixture *f = start(AF_UNIX);
    uint64_t events;
    (void)state;

    close(f->far);
    f->far = -1;
    turn(f);
    events = loop_counters(f->loop)->events;
    for (int i = 0; i < 100; i++) {
        loop_run_once(f->loop, 0);
    }
    assert_int_equal(loop_counters(f->loop)->events, events);
    stop(f);
}

static void a_half_close_is_seen_without_reading(void **state)
{
    struct fixture *f = start(AF_INET);
    (void)state;

    say(f, "unread");
    turn(f);
    assert_int_equal(f->half_closed, 0);
    shutdown(f->far, SHUT_WR);
    turn(f);
    assert_int_equal(f->half_closed, 1);
    assert_int_equal(f->broken, 0);
    stop(f);
}

/* Its end of file waits, with the last of its bytes, for room in our buffer
 * that nobody makes: no event tells of it. */
static void a_client_that_is_gone_is_seen_behind_a_full_buffer(void **state)
{
    struct fixture *f = start(AF_INET);
    static const uint8_t bytes[65536];
    (void)state;

    assert_int_equal(fcntl(f->far, F_SETFL, O_NONBLOCK), 0);
    while (send(f->far, bytes, sizeof bytes, 0) > 0) {
    }
    tcp_finish(&f->tcp);
    turn(f);
    assert_false(socket_peer_has_closed(f->tcp.fd));
    assert_int_equal(f->half_closed, 0);

    close(f->far);
    f->far = -1;
    assert_true(socket_peer_has_closed(f->tcp.fd));
    WAIT_FOR(f, f->half_closed == 1);
    assert_int_equal(f->broken, 0);
    stop(f);
}

/* ---- writing ------------------------------------------------------------- */

static void a_slow_reader_gets_everything_then_the_end(int family)
{
    struct fixture *f = start(family);
    size_t length = 4000000;
    size_t taken = write_pattern(f, length);
    size_t read;
    uint64_t events;

    assert_true(taken > 0 && taken < length);
    assert_int_equal(tcp_unwritten(&f->tcp), length - taken);
    tcp_finish(&f->tcp);
    turn(f);
    events = loop_counters(f->loop)->events;
    for (int i = 0; i < 100; i++) {
        loop_run_once(f->loop, 0); /* full, and nobody reads */
    }
    assert_int_equal(loop_counters(f->loop)->events, events);

    assert_int_equal(read_pattern(f, &read), 0);
    assert_int_equal(read, length);
    assert_int_equal(f->written, length - taken);
    assert_int_equal(tcp_unwritten(&f->tcp), 0);
    assert_int_equal(spill_counters(f->pool)->used, 0);
    say(f, "still open");
    turn(f);
    assert_int_equal(hear(f, "still open"), TCP_DRAINED);
    stop(f);
}

static void finish_waits_for_the_spill_and_closes_one_direction(void **state)
{
    (void)state;
    a_slow_reader_gets_everything_then_the_end(AF_INET);
    a_slow_reader_gets_everything_then_the_end(AF_UNIX);
}

static void several_spans_are_written_in_order(void **state)
{
    struct fixture *f = start(AF_UNIX);
    struct span spans[3] = {{(const uint8_t *)"ab", 2},
                            {(const uint8_t *)"", 0},
                            {(const uint8_t *)"cde", 3}};
    char bytes[8] = "";
    (void)state;

    assert_int_equal(tcp_write(&f->tcp, spans, 3), 5);
    assert_int_equal(recv(f->far, bytes, sizeof bytes, 0), 5);
    assert_string_equal(bytes, "abcde");
    stop(f);
}

static void close_waits_for_the_spill(void **state)
{
    struct fixture *f = start(AF_INET);
    size_t read;
    (void)state;

    write_pattern(f, 4000000);
    shutdown(f->far, SHUT_WR);
    tcp_close(&f->tcp);
    tcp_close(&f->tcp);
    turn(f);
    assert_int_equal(f->closed, 0);
    assert_int_equal(read_pattern(f, &read), 0);
    assert_int_equal(read, 4000000);
    assert_int_equal(f->closed, 1);
    stop(f);
}

/* ---- resets -------------------------------------------------------------- */

static void a_reset_delivers_what_was_written_first(void **state)
{
    struct fixture *f = start(AF_INET);
    size_t read;
    (void)state;

    write_pattern(f, 1000000);
    tcp_reset(&f->tcp);
    assert_int_equal(f->closed, 0);
    assert_int_equal(read_pattern(f, &read), ECONNRESET);
    assert_int_equal(read, 1000000);
    assert_int_equal(f->closed, 1);
    stop(f);
}

/* All is in our kernel, and not yet in the peer's. */
static void a_reset_waits_for_acknowledgement(void **state)
{
    struct fixture *f = start(AF_INET);
    size_t read;
    (void)state;

    write_pattern(f, 150000);
    WAIT_FOR(f, tcp_unwritten(&f->tcp) == 0);
    assert_true(socket_unacknowledged(f->tcp.fd) > 0);
    tcp_reset(&f->tcp);
    turn(f);
    assert_int_equal(f->closed, 0);
    assert_int_equal(read_pattern(f, &read), ECONNRESET);
    assert_int_equal(read, 150000);
    assert_int_equal(f->closed, 1);
    stop(f);
}

static void a_reset_does_not_wait_for_ever(void **state)
{
    struct fixture *f = start(AF_INET);
    size_t read;
    (void)state;

    write_pattern(f, 4000000);
    tcp_close(&f->tcp); /* overruled */
    tcp_reset(&f->tcp);
    WAIT_FOR(f, f->closed == 1); /* nobody reads */
    assert_int_equal(read_pattern(f, &read), ECONNRESET);
    assert_in_range(read, 1, 3999999);
    stop(f);
}

static void a_reset_of_an_idle_socket_is_no_end_of_file(void **state)
{
    struct fixture *f = start(AF_INET);
    size_t read;
    (void)state;

    tcp_reset(&f->tcp);
    tcp_reset(&f->tcp);
    WAIT_FOR(f, f->closed == 1);
    assert_int_equal(read_pattern(f, &read), ECONNRESET);
    stop(f);
}

static void a_unix_socket_delivers_and_closes(void **state)
{
    struct fixture *f = start(AF_UNIX);
    size_t read;
    (void)state;

    write_pattern(f, 1000000);
    tcp_reset(&f->tcp);
    assert_int_equal(read_pattern(f, &read), 0);
    assert_int_equal(read, 1000000);
    assert_int_equal(f->closed, 1);
    stop(f);
}

static void the_peers_reset_is_seen_without_reading(void **state)
{
    struct fixture *f = start(AF_INET);
    (void)state;

    say(f, "unread");
    turn(f);
    socket_reset(f->far);
    f->far = -1;
    WAIT_FOR(f, f->broken == 1);
    assert_int_equal(hear(f, "unread"), TCP_MORE);
    assert_int_equal(hear(f, ""), TCP_FAILED);
    assert_int_equal(write_some(f, "dropped"), 7);
    stop(f);
}

/* The engine answers, then closes with some of our bytes unread. */
static void the_last_words_before_a_unix_reset_are_read(void **state)
{
    struct fixture *f = start(AF_UNIX);
    (void)state;

    write_some(f, "never read");
    say(f, "404");
    close(f->far);
    f->far = -1;
    turn(f);
    assert_int_equal(hear(f, "404"), TCP_MORE);
    assert_int_equal(hear(f, ""), TCP_FAILED);
    stop(f);
}

/* As before, but a send gets to hear of it first: recv() would say 0 then, and
 * an abnormal end would look clean. */
static void an_error_that_a_send_took_away_is_not_forgotten(int family)
{
    struct fixture *f = start(family);

    write_some(f, "never read");
    say(f, "404");
    turn(f);
    close(f->far);
    f->far = -1;
    assert_int_equal(write_some(f, "more"), 4);
    assert_int_equal(f->broken, 0); /* not from within the call */
    WAIT_FOR(f, f->broken == 1);
    assert_int_equal(hear(f, "404"), TCP_MORE);
    assert_int_equal(hear(f, ""), TCP_FAILED);
    stop(f);
}

static void an_error_is_not_forgotten(void **state)
{
    (void)state;
    an_error_that_a_send_took_away_is_not_forgotten(AF_UNIX);
    an_error_that_a_send_took_away_is_not_forgotten(AF_INET);
}

/* The engine closes with everything read: its end of file is genuine, though we
 * go on writing. */
static void an_end_of_file_survives_a_failing_send(void **state)
{
    struct fixture *f = start(AF_UNIX);
    (void)state;

    say(f, "bye");
    close(f->far);
    f->far = -1;
    assert_int_equal(write_some(f, "more"), 4);
    WAIT_FOR(f, f->broken == 1);
    assert_int_equal(hear(f, "bye"), TCP_FINISHED);
    tcp_finish(&f->tcp);
    tcp_close(&f->tcp);
    WAIT_FOR(f, f->closed == 1);
    stop(f);
}

/* What the spill held when the peer went away counts as written: the far writer
 * must not hang on its window. */
static void a_broken_socket_swallows_its_spill(void **state)
{
    struct fixture *f = start(AF_INET);
    size_t taken = write_pattern(f, 4000000);
    (void)state;

    socket_reset(f->far);
    f->far = -1;
    WAIT_FOR(f, f->broken == 1);
    assert_int_equal(f->written + taken, 4000000);
    assert_int_equal(tcp_unwritten(&f->tcp), 0);
    stop(f);
}

static void
an_evicted_socket_ends_in_reset_even_if_closed_politely(void **state)
{
    struct fixture *f = start_empty(4 * SPILL_BLOCK);
    size_t read;
    (void)state;

    adopt(f, AF_INET);
    write_pattern(f, 16000000);
    assert_int_equal(spill_counters(f->pool)->evictions, 1);
    assert_int_equal(f->broken, 0);
    tcp_finish(&f->tcp);
    WAIT_FOR(f, f->broken == 1);
    assert_int_equal(f->broken_error, ENOMEM);
    tcp_close(&f->tcp);
    assert_int_equal(read_pattern(f, &read), ECONNRESET);
    assert_true(read < 16000000);
    assert_int_equal(f->closed, 1);
    stop(f);
}

static void accepted_sockets_inherit_keep_alive_and_no_delay(void **state)
{
    struct fixture *f = start(AF_INET);
    static const struct {
        int level, option, expected;
    } options[] = {
        {SOL_SOCKET, SO_KEEPALIVE, 1},    {IPPROTO_TCP, TCP_KEEPIDLE, 60},
        {IPPROTO_TCP, TCP_KEEPINTVL, 10}, {IPPROTO_TCP, TCP_KEEPCNT, 3},
        {IPPROTO_TCP, TCP_NODELAY, 1},
    };
    (void)state;

    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        int value = -1;
        socklen_t length = sizeof value;
        assert_int_equal(getsockopt(f->tcp.fd, options[i].level,
                                    options[i].option, &value, &length),
                         0);
        assert_int_equal(value, options[i].expected);
    }
    stop(f);
}

static void a_descriptor_that_is_no_socket_is_refused(void **state)
{
    struct fixture *f = start_empty(1 << 20);
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    (void)state;

    assert_false(tcp_open(&f->tcp, f->loop, f->pool, fd, &ops, f));
    assert_false(tcp_is_open(&f->tcp));
    close(fd);
    stop(f);
}

/* ---- connecting ---------------------------------------------------------- */

struct unix_server {
    char dir[32], path[64];
    int listener;
    struct socket_address address;
};

static void listen_unix(struct unix_server *server, int backlog)
{
    (void)snprintf(server->dir, sizeof server->dir, "/tmp/test_tcp.XXXXXX");
    assert_non_null(mkdtemp(server->dir));
    (void)snprintf(server->path, sizeof server->path, "%s/s", server->dir);
    assert_true(socket_address_unix(&server->address, server->path));
    server->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server->listener,
                          (struct sockaddr *)&server->address.storage,
                          server->address.length),
                     0);
    assert_int_equal(listen(server->listener, backlog), 0);
}

static void unlisten_unix(struct unix_server *server)
{
    close(server->listener);
    unlink(server->path);
    rmdir(server->dir);
}

static void a_unix_socket_connects_and_early_bytes_arrive(void **state)
{
    struct fixture *f = start_empty(1 << 20);
    struct unix_server server;
    char bytes[16] = "";
    (void)state;

    listen_unix(&server, 4);
    assert_true(
        tcp_connect(&f->tcp, f->loop, f->pool, &server.address, 1000, &ops, f));
    assert_int_equal(write_some(f, "early"), 0);
    assert_int_equal(f->connected, 0);
    WAIT_FOR(f, f->connected == 1);
    assert_int_equal(f->connect_error, 0);
    WAIT_FOR(f, f->written == 5);
    f->far = accept(server.listener, NULL, NULL);
    assert_int_equal(recv(f->far, bytes, sizeof bytes, 0), 5);
    say(f, "reply");
    turn(f);
    assert_int_equal(hear(f, "reply"), TCP_DRAINED);
    unlisten_unix(&server);
    stop(f);
}

static void a_missing_socket_is_reported_from_the_loop(void **state)
{
    struct fixture *f = start_empty(1 << 20);
    struct socket_address address;
    (void)state;

    assert_true(socket_address_unix(&address, "/nonexistent/docker.sock"));
    assert_true(
        tcp_connect(&f->tcp, f->loop, f->pool, &address, 1000, &ops, f));
    assert_int_equal(f->connected, 0);
    turn(f);
    assert_int_equal(f->connected, 1);
    assert_int_equal(f->connect_error, ENOENT);
    tcp_reset(&f->tcp);
    WAIT_FOR(f, f->closed == 1);
    stop(f);
}

static void a_refused_port_is_reported(void **state)
{
    struct fixture *f = start_empty(1 << 20);
    struct socket_address address;
    uint16_t port;
    (void)state;

    close(socket_listen_loopback(0, &port));
    assert_true(socket_address_inet(&address, "127.0.0.1", port));
    assert_true(
        tcp_connect(&f->tcp, f->loop, f->pool, &address, 1000, &ops, f));
    WAIT_FOR(f, f->connected == 1);
    assert_int_equal(f->connect_error, ECONNREFUSED);
    stop(f);
}

static void a_connect_that_takes_too_long_ends(void **state)
{
    struct fixture *f = start_empty(1 << 20);
    struct unix_server server;
    int first;
    (void)state;

    listen_unix(&server, 0);
    first = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(first, (struct sockaddr *)&server.address.storage,
                             server.address.length),
                     0); /* the backlog is full */
    assert_true(
        tcp_connect(&f->tcp, f->loop, f->pool, &server.address, 30, &ops, f));
    WAIT_FOR(f, f->connected == 1);
    assert_int_equal(f->connect_error, ETIMEDOUT);
    close(first);
    unlisten_unix(&server);
    stop(f);
}

static void a_full_backlog_is_waited_for(void **state)
{
    struct fixture *f = start_empty(1 << 20);
    struct unix_server server;
    int first;
    (void)state;

    listen_unix(&server, 0);
    first = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(first, (struct sockaddr *)&server.address.storage,
                             server.address.length),
                     0);
    assert_true(tcp_connect(&f->tcp, f->loop, f->pool, &server.address, 60000,
                            &ops, f));
    turn(f);
    assert_int_equal(f->connected, 0);
    f->far = accept(server.listener, NULL, NULL);
    WAIT_FOR(f, f->connected == 1);
    assert_int_equal(f->connect_error, 0);
    close(first);
    unlisten_unix(&server);
    stop(f);
}

static void a_connect_can_be_given_up(void **state)
{
    struct fixture *f = start_empty(1 << 20);
    struct unix_server server;
    (void)state;

    listen_unix(&server, 4);
    assert_true(
        tcp_connect(&f->tcp, f->loop, f->pool, &server.address, 1000, &ops, f));
    tcp_close(&f->tcp);
    WAIT_FOR(f, f->closed == 1);
    assert_int_equal(f->connected, 0);
    unlisten_unix(&server);
    stop(f);
}

static const struct CMUnitTest tests[] = {
    REQ("T10,T12", bytes_and_their_end_are_read),
    REQ("T12", an_end_of_file_right_behind_data_is_not_missed),
    REQ("L-03,T12", an_end_of_file_can_be_had_without_reading),
    REQ("L-03,L-04", unread_bytes_are_no_end_of_file),
    REQ("T13", unread_bytes_do_not_spin_the_loop),
    REQ("T13", a_unix_peer_that_is_gone_does_not_spin_the_loop),
    REQ("L-09,T13", a_half_close_is_seen_without_reading),
    REQ("L-09,T13", a_client_that_is_gone_is_seen_behind_a_full_buffer),
    REQ("L-03,L-05,T8,T19",
        finish_waits_for_the_spill_and_closes_one_direction),
    REQ("L-05", several_spans_are_written_in_order),
    REQ("T12", close_waits_for_the_spill),
    REQ("L-04,T14,T15", a_reset_delivers_what_was_written_first),
    REQ("L-04,T15", a_reset_waits_for_acknowledgement),
    REQ("L-04,T15", a_reset_does_not_wait_for_ever),
    REQ("L-04,T14", a_reset_of_an_idle_socket_is_no_end_of_file),
    REQ("T15", a_unix_socket_delivers_and_closes),
    REQ("L-09,T17", the_peers_reset_is_seen_without_reading),
    REQ("T20,T31", the_last_words_before_a_unix_reset_are_read),
    REQ("L-04,T20", an_error_is_not_forgotten),
    REQ("T20,T31", an_end_of_file_survives_a_failing_send),
    REQ("L-05,T17", a_broken_socket_swallows_its_spill),
    REQ("L-04,X15", an_evicted_socket_ends_in_reset_even_if_closed_politely),
    REQ("T18,T28", accepted_sockets_inherit_keep_alive_and_no_delay),
    REQ("L-02", a_descriptor_that_is_no_socket_is_refused),
    REQ("T34", a_unix_socket_connects_and_early_bytes_arrive),
    REQ("T34", a_missing_socket_is_reported_from_the_loop),
    REQ("T34", a_refused_port_is_reported),
    REQ("T34", a_connect_that_takes_too_long_ends),
    REQ("T34", a_full_backlog_is_waited_for),
    REQ("T34", a_connect_can_be_given_up),
};
RUN(tests)
