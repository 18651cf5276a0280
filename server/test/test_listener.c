#include "server/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/test/req.h"
#include "net/map.h"

#define NOW_MS UINT64_C(1700000000000)

static char error[LISTENER_ERROR_SIZE];
static struct port_table *ports;
static char directory[] = "/tmp/listener.XXXXXX";

static const uint8_t alice[PORT_UUID_SIZE] = {1};
static const uint8_t bob[PORT_UUID_SIZE] = {2};

static int setup(void **state)
{
    struct port_config config = {.quarantine_ms = PORT_QUARANTINE_MS,
                                 .hash_key = {1, 2}};
    (void)state;
    memcpy(directory, "/tmp/listener.XXXXXX", sizeof directory);
    ports = port_init(map_create(port_size()), port_size(), &config);
    return mkdtemp(directory) == NULL;
}

static int teardown(void **state)
{
    (void)state;
    map_destroy(ports, port_size());
    return rmdir(directory);
}

static struct sockaddr_in bound(int fd)
{
    struct sockaddr_in in;
    socklen_t length = sizeof in;

    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &length), 0);
    return in;
}

static void port_0_is_the_kernels_choice(void **state)
{
    uint16_t port = 0;
    int fd = listener_bind("127.0.0.1:0", &port, error);

    (void)state;
    assert_true(fd >= 0);
    assert_int_not_equal(port, 0);
    assert_int_equal(ntohs(bound(fd).sin_port), port);
    close(fd);
}

static void ipv6_is_written_in_brackets(void **state)
{
    uint16_t port = 0;
    int fd = listener_bind("[::1]:0", &port, error);

    (void)state;
    if (fd < 0 && strstr(error, "Address family") != NULL) {
        skip();
    }
    assert_true(fd >= 0);
    assert_int_not_equal(port, 0);
    close(fd);
}

static void an_address_that_is_none_is_named(void **state)
{
    static const char *const wrong[] = {"127.0.0.1",       "localhost:1", ":1",
                                        "127.0.0.1:65536", "127.0.0.1:x", ""};
    uint16_t port;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(listener_bind(wrong[i], &port, error), -1);
        assert_non_null(strstr(error, "ADDR:PORT"));
    }
}

static void a_port_in_use_is_named_with_a_remedy(void **state)
{
    char address[32];
    uint16_t port;
    int fd = listener_bind("127.0.0.1:0", &port, error);

    (void)state;
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", (unsigned)port);
    assert_int_equal(listener_bind(address, &port, error), -1);
    assert_non_null(strstr(error, address));
    assert_non_null(strstr(error, "another process"));
    assert_null(strchr(error, '\n'));
    close(fd);
}

static void a_unix_socket_is_private_and_replaces_a_dead_one(void **state)
{
    char path[64];
    struct stat status;
    int first;
    int second;

    (void)state;
    (void)snprintf(path, sizeof path, "%s/admin.sock", directory);
    first = listener_bind_unix(path, error);
    assert_true(first >= 0);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);

    assert_int_equal(listener_bind_unix(path, error), -1);
    assert_non_null(strstr(error, path));

    close(first);
    second = listener_bind_unix(path, error);
    assert_true(second >= 0);
    close(second);
    unlink(path);
}

static void a_file_is_not_replaced_by_a_unix_socket(void **state)
{
    char path[64];
    FILE *file;

    (void)state;
    (void)snprintf(path, sizeof path, "%s/admin.sock", directory);
    file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(listener_bind_unix(path, error), -1);
    assert_int_equal(access(path, F_OK), 0);
    unlink(path);
}

static void an_agents_port_is_on_loopback_only(void **state)
{
    uint16_t port;
    int fd = listener_bind_agent(ports, alice, NOW_MS, &port);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(bound(fd).sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    assert_int_equal(ntohs(bound(fd).sin_port), port);
    close(fd);
}

static void an_agent_gets_its_port_back(void **state)
{
    uint16_t first;
    uint16_t second;
    int fd = listener_bind_agent(ports, alice, NOW_MS, &first);

    (void)state;
    close(fd);
    fd = listener_bind_agent(ports, alice, NOW_MS + 1, &second);
    assert_int_equal(first, second);
    close(fd);
}

static void a_port_in_quarantine_is_not_another_agents(void **state)
{
    uint16_t port;
    int fd;

    (void)state;
    /* Every port belonged to alice a moment ago. */
    for (unsigned i = 1; i <= UINT16_MAX; i++) {
        port_use(ports, (uint16_t)i, alice, NOW_MS);
    }
    fd = listener_bind_agent(ports, bob, NOW_MS + 1, &port);
    assert_int_equal(fd, -1);
    assert_int_equal(errno, EADDRINUSE);

    fd =
        listener_bind_agent(ports, bob, NOW_MS + PORT_QUARANTINE_MS + 1, &port);
    assert_true(fd >= 0);
    close(fd);
}

static const struct CMUnitTest tests[] = {
    REQ_WITH("U-01", port_0_is_the_kernels_choice, setup, teardown),
    REQ_WITH("U-01", ipv6_is_written_in_brackets, setup, teardown),
    REQ_WITH("U-01", an_address_that_is_none_is_named, setup, teardown),
    REQ_WITH("U-01", a_port_in_use_is_named_with_a_remedy, setup, teardown),
    REQ_WITH("H-06", a_unix_socket_is_private_and_replaces_a_dead_one, setup,
             teardown),
    REQ_WITH("H-06", a_file_is_not_replaced_by_a_unix_socket, setup, teardown),
    REQ_WITH("AC-01", an_agents_port_is_on_loopback_only, setup, teardown),
    REQ_WITH("L-10", an_agent_gets_its_port_back, setup, teardown),
    REQ_WITH("L-10", a_port_in_quarantine_is_not_another_agents, setup,
             teardown),
};
RUN(tests)
