#include "server/preauth.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "core/test/req.h"

#define MAX 4u
#define PER_ADDRESS 2u

static struct preauth preauth;
static struct preauth_entry entries[8];
static struct preauth_entry *victim;

static struct sockaddr_storage address_of(const char *text)
{
    struct sockaddr_storage storage;
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

    memset(&storage, 0, sizeof storage);
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1) {
        memcpy(&storage, &in, sizeof in);
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
        memcpy(&storage, &in6, sizeof in6);
    }
    return storage;
}

static bool enter(size_t index, const char *address, uint64_t now_ms)
{
    struct sockaddr_storage storage;

    if (address == NULL) {
        return preauth_enter(&preauth, &entries[index], NULL, now_ms, &victim);
    }
    storage = address_of(address);
    return preauth_enter(&preauth, &entries[index],
                         (const struct sockaddr *)&storage, now_ms, &victim);
}

static int setup(void **state)
{
    (void)state;
    memset(entries, 0, sizeof entries);
    preauth_init(&preauth, MAX, PER_ADDRESS);
    return 0;
}

static void places_are_taken_and_given_back(void **state)
{
    (void)state;
    assert_true(enter(0, "192.0.2.1", 0));
    assert_true(enter(1, "192.0.2.1", 0));
    assert_int_equal(preauth.count, 2);

    assert_true(enter(0, "192.0.2.1", 0));
    assert_int_equal(preauth.count, 2);

    preauth_leave(&preauth, &entries[0]);
    preauth_leave(&preauth, &entries[0]);
    assert_int_equal(preauth.count, 1);

    assert_true(enter(0, "192.0.2.1", 0));
    assert_null(victim);
}

static void one_address_has_only_its_share(void **state)
{
    (void)state;
    assert_true(enter(0, "192.0.2.1", 0));
    assert_true(enter(1, "192.0.2.1", 0));

    assert_false(enter(2, "192.0.2.1", PREAUTH_GRACE_MS - 1));
    assert_null(victim);
    assert_int_equal(preauth.refused, 1);

    assert_true(enter(2, "192.0.2.2", PREAUTH_GRACE_MS - 1));
}

static void the_oldest_of_the_address_gives_way_after_its_grace(void **state)
{
    (void)state;
    assert_true(enter(0, "192.0.2.9", 0));
    assert_true(enter(1, "192.0.2.1", 1));
    assert_true(enter(2, "192.0.2.1", 2));

    assert_true(enter(3, "192.0.2.1", 1 + PREAUTH_GRACE_MS));
    assert_ptr_equal(victim, &entries[1]);
    assert_int_equal(preauth.evicted, 1);
    assert_int_equal(preauth.count, 3);
}

static void the_oldest_of_all_gives_way_when_all_places_are_taken(void **state)
{
    (void)state;
    assert_true(enter(0, "192.0.2.1", 0));
    assert_true(enter(1, "192.0.2.2", 0));
    assert_true(enter(2, "192.0.2.3", 0));
    assert_true(enter(3, "192.0.2.4", 0));

    assert_false(enter(4, "192.0.2.5", PREAUTH_GRACE_MS - 1));
    assert_true(enter(4, "192.0.2.5", PREAUTH_GRACE_MS));
    assert_ptr_equal(victim, &entries[0]);
    assert_int_equal(preauth.count, MAX);
}

static void an_ipv6_address_is_its_64_bit_network(void **state)
{
    (void)state;
    assert_true(enter(0, "2001:db8::1", 0));
    assert_true(enter(1, "2001:db8::2", 0));

    assert_false(enter(2, "2001:db8::3", 0));
    assert_true(enter(2, "2001:db8:0:1::3", 0));
}

static void a_shared_address_counts_only_among_all(void **state)
{
    (void)state;
    for (size_t i = 0; i < MAX; i++) {
        assert_true(enter(i, NULL, 0));
    }
    assert_false(enter(MAX, NULL, 0));
}

static const struct CMUnitTest tests[] = {
    REQ_WITH("X14", places_are_taken_and_given_back, setup, NULL),
    REQ_WITH("X14", one_address_has_only_its_share, setup, NULL),
    REQ_WITH("X14", the_oldest_of_the_address_gives_way_after_its_grace, setup,
             NULL),
    REQ_WITH("X14", the_oldest_of_all_gives_way_when_all_places_are_taken,
             setup, NULL),
    REQ_WITH("X14", an_ipv6_address_is_its_64_bit_network, setup, NULL),
    REQ_WITH("X14", a_shared_address_counts_only_among_all, setup, NULL),
};
RUN(tests)
