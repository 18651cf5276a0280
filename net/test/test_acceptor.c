#include "core/test/req.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/acceptor.h"
#include "net/map.h"
#include "net/socket.h"
#include "net/test/world.h"

struct server {
    struct loop *loop;
    struct acceptor acceptor;
    uint16_t port;
    int accepted, last;
    struct sockaddr_storage peer;
    bool closes;
};

static void on_accepted(void *user, int fd, const struct sockaddr_storage *peer)
{
    struct server *server = user;
    server->accepted++;
    server->last = fd;
    server->peer = *peer;
    if (server->closes) {
        acceptor_close(&server->acceptor);
    }
}

static void start(struct server *server)
{
    int fd;
    memset(server, 0, sizeof *server);
    server->loop = loop_create();
    assert_non_null(server->loop);
    fd = socket_listen_loopback(0, &server->port);
    assert_true(fd >= 0);
    assert_true(acceptor_open(&server->acceptor, server->loop, fd, on_accepted,
                              server));
}

static void stop(struct server *server)
{
    acceptor_close(&server->acceptor);
    acceptor_close(&server->acceptor);
    loop_destroy(server->loop);
}

static int dial(const struct server *server)
{
    struct socket_address address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_true(socket_address_inet(&address, "127.0.0.1", server->port));
    if (connect(fd, (struct sockaddr *)&address.storage, address.length) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static void connections_are_handed_over_ready_for_use(void **state)
{
    struct server server;
    int before = open_descriptors();
    struct sockaddr_in name = {0};
    socklen_t length = sizeof name;
    int client;
    (void)state;

    start(&server);
    client = dial(&server);
    loop_run_once(server.loop, 1000);
    assert_int_equal(server.accepted, 1);
    assert_true(fcntl(server.last, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(server.last, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(getsockname(client, (struct sockaddr *)&name, &length), 0);
    assert_int_equal(server.peer.ss_family, AF_INET);
    assert_memory_equal(&server.peer, &name, sizeof name);

    close(client);
    close(server.last);
    stop(&server);
    assert_int_equal(open_descriptors(), before);
}

static bool is_paced(int fd)
{
    char name[16] = "";
    socklen_t length = sizeof name;

    return getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &length) != 0 ||
           strcmp(name, "reno") != 0;
}

/* A host's own choice, BBR above all, paces what it sends: with timers. */
static void within_this_host_nothing_is_paced(void **state)
{
    struct server server;
    struct socket_address far;
    int client;
    (void)state;

    start(&server);
    client = dial(&server);
    loop_run_once(server.loop, 1000);
    errno = 0;
    assert_false(is_paced(server.last));
    socket_no_pacing(client, &server.peer); /* it has this address, too */
    assert_false(is_paced(client));
    assert_true(socket_address_inet(&far, "192.0.2.1", 80));
    socket_no_pacing(-1, &far.storage);
    assert_int_not_equal(errno, EBADF);
    close(client);
    close(server.last);
    stop(&server);
}

static void the_listener_is_on_loopback_and_its_port_comes_back(void **state)
{
    struct server server;
    struct sockaddr_in name;
    socklen_t length = sizeof name;
    uint16_t port;
    int fd;
    (void)state;

    start(&server);
    assert_int_equal(getsockname(server.acceptor.watch.fd,
                                 (struct sockaddr *)&name, &length),
                     0);
    assert_int_equal(ntohl(name.sin_addr.s_addr), INADDR_LOOPBACK);
    assert_int_equal(ntohs(name.sin_port), server.port);
    assert_int_equal(socket_listen_loopback(server.port, NULL), -1);
    assert_int_equal(errno, EADDRINUSE);
    stop(&server);

    fd = socket_listen_loopback(server.port, &port);
    assert_true(fd >= 0);
    assert_int_equal(port, server.port);
    close(fd);
}

static void a_closed_acceptor_refuses_at_once(void **state)
{
    struct server server;
    int client;
    (void)state;

    start(&server);
    server.closes = true;
    client = dial(&server);
    loop_run_once(server.loop, 1000);
    assert_int_equal(server.accepted, 1);
    assert_int_equal(dial(&server), -1);
    assert_int_equal(errno, ECONNREFUSED);

    close(client);
    close(server.last);
    stop(&server);
}

/* Connected clients may still be on their way to the queue. */
static void wait_queued(const struct server *server, unsigned count)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof info;

    for (int i = 0; i < 10000 && info.tcpi_unacked < count; i++) {
        (void)poll(NULL, 0, i > 0);
        assert_int_equal(getsockopt(server->acceptor.watch.fd, IPPROTO_TCP,
                                    TCP_INFO, &info, &length),
                         0);
    }
}

/* Valgrind plays the limit of descriptors: it accepts a connection, closes it,
 * and then says that there was no room. */
static bool is_limit_played(void)
{
    const char *preloaded = getenv("LD_PRELOAD");

    return preloaded != NULL && strstr(preloaded, "vgpreload") != NULL;
}

/* Given a process without a free descriptor: whoever dials gets an error, not
 * silence; the loop does not spin; afterwards all is as before. */
static void out_of_descriptors_the_newcomer_is_reset(void **state)
{
    struct server server;
    struct rlimit limit, none;
    uint64_t refused = acceptor_counters()->refused;
    uint64_t turns;
    char byte;
    int client, again, filler[64], fillers = 0;
    (void)state;

    if (is_limit_played()) {
        skip();
    }
    start(&server);
    client = dial(&server);
    wait_queued(&server, 1);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = (rlim_t)client + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    while (fillers < 64 && (filler[fillers] = dup(client)) >= 0) {
        fillers++;
    }
    loop_run_once(server.loop, 1000);

    assert_int_equal(server.accepted, 0);
    assert_int_equal(acceptor_counters()->refused, refused + 1);
    while (fillers > 0) {
        close(filler[--fillers]);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(recv(client, &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);

    again = dial(&server); /* waits for the end of the rest */
    turns = loop_counters(server.loop)->turns;
    while (server.accepted == 0 &&
           loop_counters(server.loop)->turns < turns + 10) {
        loop_run_once(server.loop, 1000);
    }
    assert_int_equal(server.accepted, 1);
    assert_true(loop_counters(server.loop)->turns - turns <= 3);

    close(again);
    close(client);
    close(server.last);
    stop(&server);
}

static void a_flood_is_taken_in_portions(void **state)
{
    struct server server;
    int client[20];
    int before = open_descriptors();
    (void)state;

    start(&server);
    for (int i = 0; i < 20; i++) {
        client[i] = dial(&server);
    }
    wait_queued(&server, 20);
    loop_run_once(server.loop, 1000);
    assert_int_equal(server.accepted, 16);
    loop_run_once(server.loop, 1000);
    assert_int_equal(server.accepted, 20);

    for (int i = 0; i < 20; i++) {
        close(client[i]);
    }
    for (int fd = server.last; open_descriptors() > before + 3; fd--) {
        close(fd); /* accepted ones: the highest numbers in use */
    }
    stop(&server);
}

static void addresses_are_checked(void **state)
{
    struct socket_address address;
    char path[200];
    (void)state;

    memset(path, 'x', sizeof path);
    path[108] = '\0';
    assert_false(socket_address_unix(&address, path));
    path[107] = '\0';
    assert_true(socket_address_unix(&address, path));
    assert_false(socket_address_unix(&address, ""));
    assert_true(socket_address_inet(&address, "::1", 80));
    assert_int_equal(address.storage.ss_family, AF_INET6);
    assert_false(socket_address_inet(&address, "localhost", 80));
}

static void a_mapping_is_zero_and_costs_what_is_touched(void **state)
{
    uint8_t *memory = map_create(1 << 30);
    (void)state;

    assert_non_null(memory);
    assert_int_equal(memory[0], 0);
    assert_int_equal(memory[(1 << 30) - 1], 0);
    map_destroy(memory, 1 << 30);
    map_destroy(NULL, 1);
    assert_null(map_create(SIZE_MAX / 2));
}

static void the_first_touch_of_a_mapping_costs_no_huge_page(void **state)
{
    (void)state;

    map_refuse_huge_pages();
    assert_int_equal(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 1);
}

static const struct CMUnitTest tests[] = {
    REQ("AC-06", connections_are_handed_over_ready_for_use),
    REQ("P-01", within_this_host_nothing_is_paced),
    REQ("AC-01", the_listener_is_on_loopback_and_its_port_comes_back),
    REQ("AC-05", a_closed_acceptor_refuses_at_once),
    REQ("X17", out_of_descriptors_the_newcomer_is_reset),
    REQ("X14", a_flood_is_taken_in_portions),
    REQ("T34", addresses_are_checked),
    REQ("P-05", a_mapping_is_zero_and_costs_what_is_touched),
    REQ("P-05", the_first_touch_of_a_mapping_costs_no_huge_page),
};
RUN(tests)
