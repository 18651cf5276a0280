#include "server/resolve.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#include "core/test/req.h"

/* The C library's resolver is this one here: it answers when it is told to. */
static sem_t started;
static sem_t go_on;
static unsigned addresses_to_give; /* 0: the name is unknown */

int getaddrinfo(const char *host, const char *port,
                const struct addrinfo *hints, struct addrinfo **list)
{
    (void)host;
    (void)hints;
    (void)sem_post(&started);
    (void)sem_wait(&go_on);
    *list = NULL;
    for (unsigned i = addresses_to_give; i > 0; --i) {
        struct addrinfo *each = calloc(1, sizeof(*each));
        struct sockaddr_in *address = calloc(1, sizeof(*address));
        address->sin_family = AF_INET;
        address->sin_port = htons((uint16_t)strtoul(port, NULL, 10));
        address->sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + i);
        each->ai_addr = (struct sockaddr *)address;
        each->ai_addrlen = sizeof(*address);
        each->ai_next = *list;
        *list = each;
    }
    return *list == NULL ? EAI_NONAME : 0;
}

void freeaddrinfo(struct addrinfo *list)
{
    while (list != NULL) {
        struct addrinfo *next = list->ai_next;
        free(list->ai_addr);
        free(list);
        list = next;
    }
}

static struct loop *loop;
static unsigned answers;
static size_t answered;
static struct socket_address first;

static void on_done(void *user, const struct socket_address *addresses,
                    size_t count)
{
    (void)user;
    ++answers;
    answered = count;
    if (count > 0) {
        first = addresses[0];
    }
}

static int start(void **state)
{
    (void)state;
    answers = 0;
    answered = 99;
    addresses_to_give = 1;
    loop = loop_create();
    return loop != NULL && sem_init(&started, 0, 0) == 0 &&
                   sem_init(&go_on, 0, 0) == 0
               ? 0
               : -1;
}

static int stop(void **state)
{
    (void)state;
    loop_destroy(loop);
    return 0;
}

static struct resolve *begin(const char *host)
{
    return resolve_begin(loop, host, 2375, on_done, NULL);
}

static void await(unsigned count)
{
    while (answers < count) {
        loop_run_once(loop, -1);
    }
}

static uint32_t first_address(void)
{
    struct sockaddr_in address;
    memcpy(&address, &first.storage, sizeof(address));
    assert_int_equal(address.sin_family, AF_INET);
    assert_int_equal(ntohs(address.sin_port), 2375);
    return ntohl(address.sin_addr.s_addr);
}

static void a_literal_needs_no_look_up(void **state)
{
    (void)state;
    assert_non_null(begin("127.0.0.1"));
    assert_int_equal(answers, 0); /* never from within the call */
    await(1);
    assert_int_equal(answered, 1);
    assert_int_equal(first_address(), INADDR_LOOPBACK);

    assert_non_null(begin("::1"));
    await(2);
    assert_int_equal(first.storage.ss_family, AF_INET6);

    resolve_cancel(begin("127.0.0.1"));
    loop_run_once(loop, 0);
    assert_int_equal(answers, 2);
    assert_int_equal(sem_trywait(&started), -1);
}

static void on_fire(void *user)
{
    ++*(unsigned *)user;
}

static void the_loop_turns_during_a_look_up(void **state)
{
    (void)state;
    unsigned fired = 0;
    struct loop_timer timer = {.fire = on_fire, .user = &fired};
    assert_non_null(begin("a.example"));
    (void)sem_wait(&started);

    loop_timer_set(loop, &timer, loop_now_ms(loop) + 1);
    while (fired == 0) {
        loop_run_once(loop, -1);
    }
    assert_int_equal(answers, 0);

    (void)sem_post(&go_on);
    await(1);
    assert_int_equal(answered, 1);
    assert_int_equal(first_address(), INADDR_LOOPBACK);
}

static void addresses_come_in_order_and_in_number_bounded(void **state)
{
    (void)state;
    addresses_to_give = 100;
    assert_non_null(begin("a.example"));
    (void)sem_post(&go_on);
    await(1);
    assert_int_equal(answered, RESOLVE_ADDRESSES_MAX);
    assert_int_equal(first_address(), INADDR_LOOPBACK);
}

static void an_unknown_name_has_no_addresses(void **state)
{
    (void)state;
    addresses_to_give = 0;
    assert_non_null(begin("nowhere.invalid"));
    (void)sem_post(&go_on);
    await(1);
    assert_int_equal(answered, 0);
}

static void a_name_beyond_reason_is_refused(void **state)
{
    (void)state;
    char name[257];
    memset(name, 'a', 256);
    name[256] = '\0';
    assert_null(begin(name));
}

/* Look-ups that nobody waits for still hold their thread. */
static void look_ups_are_limited_and_may_outlive_their_callers(void **state)
{
    (void)state;
    struct resolve *all[RESOLVE_THREADS_MAX];
    for (unsigned i = 0; i < RESOLVE_THREADS_MAX; ++i) {
        all[i] = begin("a.example");
        assert_non_null(all[i]);
    }
    for (unsigned i = 0; i < RESOLVE_THREADS_MAX; ++i) {
        (void)sem_wait(&started);
    }
    assert_null(begin("a.example"));

    for (unsigned i = 1; i < RESOLVE_THREADS_MAX; ++i) {
        resolve_cancel(all[i]);
    }
    assert_null(begin("a.example"));
    for (unsigned i = 0; i < RESOLVE_THREADS_MAX; ++i) {
        (void)sem_post(&go_on);
    }
    await(1);

    /* room again, once a thread has ended */
    struct resolve *next = NULL;
    while (next == NULL) {
        next = begin("a.example");
    }
    (void)sem_post(&go_on);
    await(2);
    assert_int_equal(answers, 2);
}

#define TEST(id, test) REQ_WITH(id, test, start, stop)

static const struct CMUnitTest tests[] = {
    TEST("H-01", a_literal_needs_no_look_up),
    TEST("H-01,Y-05", the_loop_turns_during_a_look_up),
    TEST("H-01,L-02", addresses_come_in_order_and_in_number_bounded),
    TEST("H-01", an_unknown_name_has_no_addresses),
    TEST("H-01", a_name_beyond_reason_is_refused),
    TEST("H-01,L-02", look_ups_are_limited_and_may_outlive_their_callers),
};
RUN(tests)
