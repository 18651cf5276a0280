/* A name with several addresses (U-02, L-08). getaddrinfo() is replaced: it
 * gives the addresses that the test says. */
#include "agent/dial.h"
#include "core/test/req.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int __wrap_getaddrinfo(const char *host, const char *service,
                       const struct addrinfo *hints, struct addrinfo **list);
void __wrap_freeaddrinfo(struct addrinfo *list);

static const char *const *addresses; /* NULL behind the last one */

/* One look-up's; two may be under way, each in a thread. */
struct answer {
    struct addrinfo items[4];
    struct sockaddr_in found[4];
};

int __wrap_getaddrinfo(const char *host, const char *service,
                       const struct addrinfo *hints, struct addrinfo **list)
{
    struct answer *answer = calloc(1, sizeof(*answer));

    (void)host;
    (void)hints;
    if (answer == NULL) {
        return EAI_MEMORY;
    }
    for (size_t i = 0; addresses[i] != NULL; i++) {
        answer->found[i] = (struct sockaddr_in){
            .sin_family = AF_INET,
            .sin_port = htons((uint16_t)strtoul(service, NULL, 10))};
        inet_pton(AF_INET, addresses[i], &answer->found[i].sin_addr);
        answer->items[i] = (struct addrinfo){
            .ai_addr = (struct sockaddr *)(void *)&answer->found[i],
            .ai_addrlen = sizeof(answer->found[i])};
        if (i > 0) {
            answer->items[i - 1].ai_next = &answer->items[i];
        }
    }
    *list = answer->items;
    return 0;
}

void __wrap_freeaddrinfo(struct addrinfo *list)
{
    free(list); /* the first of its answer */
}

static struct loop *loop;
static struct resolver *resolver;
static struct config config;
static bool done;
static char error[DIAL_ERROR_SIZE];

static int create(void **state)
{
    (void)state;
    done = false;
    memset(&config, 0, sizeof(config));
    config.agent_id = "test";
    config.dial_timeout_ms = 2000;
    snprintf(config.server.host, sizeof(config.server.host), "name.example");
    snprintf(config.server.target, sizeof(config.server.target), "/");
    loop = loop_create();
    resolver = resolver_create(loop);
    return loop == NULL || resolver == NULL;
}

static int destroy(void **state)
{
    (void)state;
    resolver_destroy(resolver);
    loop_destroy(loop);
    return 0;
}

/* port 0: the kernel's choice. */
static int listen_on(const char *address, uint16_t *port, int backlog)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(*port)};
    socklen_t length = sizeof(name);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    inet_pton(AF_INET, address, &name.sin_addr);
    assert_int_equal(bind(fd, (struct sockaddr *)(void *)&name, length), 0);
    assert_int_equal(listen(fd, backlog), 0);
    getsockname(fd, (struct sockaddr *)(void *)&name, &length);
    *port = ntohs(name.sin_port);
    return fd;
}

/* A listener of backlog 0 takes no connection any more once one waits in it;
 * returns that one. */
static int fill(int listener)
{
    struct sockaddr_in name;
    socklen_t length = sizeof(name);
    struct pollfd waiting = {.fd = listener, .events = POLLIN};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    getsockname(listener, (struct sockaddr *)(void *)&name, &length);
    assert_int_equal(connect(fd, (struct sockaddr *)(void *)&name, length), 0);
    assert_int_equal(poll(&waiting, 1, 10000), 1);
    return fd;
}

static void on_done(void *user, const struct dial_result *result)
{
    (void)user;
    assert_int_equal(result->fd, -1);
    snprintf(error, sizeof(error), "%s", result->error);
    done = true;
}

/* Dials until somebody is accepted, who is closed, or until it has failed. */
static void dial(uint16_t port, int listener)
{
    config.server.port = port;
    assert_non_null(dial_start(loop, resolver, &config, on_done, NULL));
    if (listener >= 0) {
        int fd = -1;
        while (fd < 0 && !done) {
            loop_run_once(loop, 10);
            fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        }
        assert_true(fd >= 0);
        close(fd);
    }
    while (!done) {
        loop_run_once(loop, -1);
    }
}

static void the_next_address_follows_one_that_refuses(void **state)
{
    (void)state;
    static const char *const list[] = {"127.0.0.2", "127.0.0.3", NULL};
    uint16_t port = 0;
    int listener = listen_on("127.0.0.3", &port, 1);

    addresses = list;
    assert_int_equal(fcntl(listener, F_SETFL, O_NONBLOCK), 0);
    dial(port, listener);
    close(listener);

    assert_true(strstr(error, "before it answered") != NULL ||
                strstr(error, "reset") != NULL);
}

static void the_next_address_follows_one_that_is_silent(void **state)
{
    (void)state;
    static const char *const list[] = {"127.0.0.2", "127.0.0.3", NULL};
    uint16_t port = 0;
    int listener = listen_on("127.0.0.3", &port, 1);
    int silent = listen_on("127.0.0.2", &port, 0);
    int full = fill(silent);

    addresses = list;
    assert_int_equal(fcntl(listener, F_SETFL, O_NONBLOCK), 0);
    dial(port, listener);
    close(full);
    close(silent);
    close(listener);
}

static void when_none_answers_the_last_reason_is_told(void **state)
{
    (void)state;
    static const char *const list[] = {"127.0.0.2", "127.0.0.3", NULL};
    uint16_t port = 0;
    char expected[128];

    addresses = list;
    close(listen_on("127.0.0.2", &port, 1));
    dial(port, -1);

    snprintf(expected, sizeof(expected),
             "connect to the server name.example:%u: Connection refused", port);
    assert_string_equal(error, expected);
}

static void a_silent_address_without_a_next_is_a_timeout(void **state)
{
    (void)state;
    static const char *const list[] = {"127.0.0.2", NULL};
    uint16_t port = 0;
    int silent = listen_on("127.0.0.2", &port, 0);
    int full = fill(silent);
    char expected[128];

    addresses = list;
    config.dial_timeout_ms = 200;
    dial(port, -1);
    close(full);
    close(silent);

    snprintf(expected, sizeof(expected),
             "connect to the server name.example:%u: Connection timed out",
             port);
    assert_string_equal(error, expected);
}

static void a_dial_can_be_given_up_at_any_step(void **state)
{
    (void)state;
    static const char *const list[] = {"127.0.0.3", NULL};
    uint16_t port = 0;
    int listener = listen_on("127.0.0.3", &port, 8);

    addresses = list;
    config.server.port = port;
    for (int turns = 0; turns < 8; turns++) {
        struct dial *dial = dial_start(loop, resolver, &config, on_done, NULL);
        for (int i = 0; i < turns; i++) {
            loop_run_once(loop, 5);
        }
        dial_cancel(dial);
    }
    loop_run_once(loop, 0);
    close(listener);

    assert_false(done);
}

#define TEST(name) REQ_WITH("U-02,L-08", name, create, destroy)

static const struct CMUnitTest tests[] = {
    TEST(the_next_address_follows_one_that_refuses),
    TEST(the_next_address_follows_one_that_is_silent),
    TEST(when_none_answers_the_last_reason_is_told),
    TEST(a_silent_address_without_a_next_is_a_timeout),
    TEST(a_dial_can_be_given_up_at_any_step),
};
RUN(tests)
