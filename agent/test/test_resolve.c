/* Name look-ups beside the loop (U-02). */
#include "agent/resolve.h"
#include "core/test/req.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

static struct loop *loop;
static struct resolver *resolver;
static unsigned calls;
static struct resolve_result last;

static int create(void **state)
{
    (void)state;
    calls = 0;
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

static void done(void *user, const struct resolve_result *result)
{
    (void)user;
    calls++;
    last = *result;
}

static void run_until(unsigned expected)
{
    while (calls < expected) {
        loop_run_once(loop, -1);
    }
}

static void a_name_gives_its_addresses_with_the_port(void **state)
{
    (void)state;

    assert_non_null(resolve_start(resolver, "localhost", 4711, done, NULL));
    assert_int_equal(calls, 0); /* never from within */
    run_until(1);

    assert_true(last.count >= 1);
    for (size_t i = 0; i < last.count; i++) {
        /* the port lies at the same place in both families */
        struct sockaddr_in address;
        memcpy(&address, &last.addresses[i].storage, sizeof(address));
        assert_int_equal(ntohs(address.sin_port), 4711);
    }
}

static void a_name_that_cannot_be_gives_an_error(void **state)
{
    (void)state;

    /* a label of more than 63 characters is refused without a server */
    assert_non_null(resolve_start(resolver,
                                  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                                  "aaaaaaaaaaaaaaaaaaaaaaaaaa",
                                  1, done, NULL));
    run_until(1);

    assert_int_equal(last.count, 0);
    assert_non_null(last.error);
}

static void a_cancelled_look_up_says_nothing(void **state)
{
    (void)state;
    struct resolve *first = resolve_start(resolver, "127.0.0.1", 1, done, NULL);

    assert_non_null(first);
    resolve_cancel(first);
    assert_non_null(resolve_start(resolver, "127.0.0.2", 2, done, NULL));
    run_until(1);
    loop_run_once(loop, 0);

    assert_int_equal(calls, 1);
}

static void there_is_a_limit_of_look_ups(void **state)
{
    (void)state;
    unsigned started = 0;
    unsigned refused = 0;

    /* threads may come back while others are started */
    for (unsigned i = 0; i < 4 * RESOLVE_MAX; i++) {
        if (resolve_start(resolver, "127.0.0.1", 1, done, NULL) != NULL) {
            started++;
        } else {
            assert_int_equal(errno, EAGAIN);
            refused++;
        }
    }
    run_until(started);

    assert_true(started >= RESOLVE_MAX);
    assert_int_equal(started + refused, 4 * RESOLVE_MAX);
}

static void look_ups_may_outlive_the_resolver(void **state)
{
    (void)state;

    for (unsigned i = 0; i < RESOLVE_MAX; i++) {
        assert_non_null(resolve_start(resolver, "127.0.0.1", 1, done, NULL));
    }
    resolver_destroy(resolver);
    resolver = NULL;

    assert_int_equal(calls, 0);
}

#define TEST(name) REQ_WITH("U-02", name, create, destroy)

static const struct CMUnitTest tests[] = {
    TEST(a_name_gives_its_addresses_with_the_port),
    TEST(a_name_that_cannot_be_gives_an_error),
    TEST(a_cancelled_look_up_says_nothing),
    TEST(there_is_a_limit_of_look_ups),
    TEST(look_ups_may_outlive_the_resolver),
};
RUN(tests)
