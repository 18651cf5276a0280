/* test_route.c: the container-list decision (H-01, AC-09..AC-12). */
#include "core/test/req.h"

#include <string.h>

#include "core/route.h"

static struct route decide(struct route_query query)
{
    struct route route;

    memset(&route, 0xa5, sizeof route);
    route_decide(&route, &query);
    return route;
}

static void assert_error(struct route route, int status, const char *error)
{
    assert_int_equal(route.kind, ROUTE_ERROR);
    assert_int_equal(route.status, status);
    assert_string_equal(route.error, error);
    assert_string_equal(route.address, "");
}

static void assert_address(struct route route, const char *address)
{
    assert_int_equal(route.kind, ROUTE_ADDRESS);
    assert_int_equal(route.status, 200);
    assert_null(route.error);
    assert_string_equal(route.address, address);
}

/* A remote server behind a connected agent: nothing is missing. */
static const struct route_query complete = {
    .server = ROUTE_SERVER_ORTHRUS,
    .tunnel_configured = true,
    .agent_uuid = "5b2c1c9e-8d0f-4a55-9c39-0d7a1c0ffee0",
    .agent_address = "127.0.0.1:40123",
};

static void no_selector_is_this_host(void **state)
{
    static const char *const local[] = {NULL,     "",          "   ",
                                        "local",  "\t local ", " \r\n\v\f",
                                        "local ", "\nlocal"};
    (void)state;

    for (size_t i = 0; i < sizeof local / sizeof *local; i++) {
        struct route route = decide((struct route_query){.host = local[i]});
        assert_int_equal(route.kind, ROUTE_LOCAL);
        assert_int_equal(route.status, 200);
        assert_string_equal(route.address, "");
    }
}

static void any_other_selector_is_400(void **state)
{
    static const char *const wrong[] = {
        "Local",    "localhost", "loca",      "locax",   "l",         "remote",
        "lo cal",   "locals",    "local,",    "tcp://x", "\x01local", " x",
        "\tremote", "x ",        "\x0elocal", "local\b"};
    (void)state;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct route_query query = complete;
        query.host = wrong[i];
        assert_error(decide(query), 400, "Invalid docker host selector");
    }
}

static void an_unknown_server_is_404(void **state)
{
    (void)state;

    assert_error(decide((struct route_query){.server = ROUTE_SERVER_UNKNOWN}),
                 404, "Remote server not found");
}

static void a_direct_server_is_its_address(void **state)
{
    struct route_query query = {.server = ROUTE_SERVER_DIRECT};
    char longest[ROUTE_HOST_MAX + 1];
    (void)state;

    query.server_host = "docker.example";
    query.server_port = 2375;
    assert_address(decide(query), "tcp://docker.example:2375");

    query.server_host = "fe80::1";
    query.server_port = 65535;
    assert_address(decide(query), "tcp://[fe80::1]:65535");

    query.server_host = "192.0.2.7";
    query.server_port = 1;
    assert_address(decide(query), "tcp://192.0.2.7:1");
    query.server_port = 12345;
    assert_address(decide(query), "tcp://192.0.2.7:12345");

    memset(longest, ':', ROUTE_HOST_MAX);
    longest[ROUTE_HOST_MAX] = '\0';
    query.server_host = longest;
    query.server_port = 65535;
    assert_int_equal(strlen(decide(query).address), 6 + 2 + 255 + 6);
}

static void no_agent_uuid_is_400(void **state)
{
    struct route_query query = complete;
    const char *text = "Remote server has no Orthrus agent UUID configured";
    (void)state;

    query.agent_uuid = NULL;
    assert_error(decide(query), 400, text);
    query.agent_uuid = "";
    assert_error(decide(query), 400, text);
}

static void no_subsystem_is_503(void **state)
{
    struct route_query query = complete;
    (void)state;

    query.tunnel_configured = false;
    assert_error(decide(query), 503, "Orthrus subsystem unavailable");
}

static void a_missing_subsystem_is_told_before_all_else(void **state)
{
    struct route_query query = {.server = ROUTE_SERVER_ORTHRUS};
    (void)state;

    assert_error(decide(query), 503, "Orthrus subsystem unavailable");
}

static void an_agent_that_is_not_connected_is_502(void **state)
{
    struct route_query query = complete;
    const char *text = "Orthrus agent is not currently connected";
    (void)state;

    query.agent_address = NULL;
    assert_error(decide(query), 502, text);
    query.agent_address = "";
    assert_error(decide(query), 502, text);
}

static void a_connected_agent_is_exactly_its_proxy(void **state)
{
    (void)state;

    assert_address(decide(complete), "tcp://127.0.0.1:40123");
}

/* All 5 x 2 x 2 x 2 x 2 combinations against the order that H-01 names. */
static void the_order_of_the_checks_is_fixed(void **state)
{
    (void)state;

    for (unsigned bits = 0; bits < 64; bits++) {
        struct route_query query = complete;
        query.host = bits & 1 ? "elsewhere" : "local";
        query.server = (enum route_server)(bits >> 1 & 3);
        query.server_host = "d";
        query.server_port = 10;
        query.tunnel_configured = bits & 8;
        query.agent_uuid = bits & 16 ? complete.agent_uuid : "";
        query.agent_address = bits & 32 ? complete.agent_address : "";
        struct route route = decide(query);

        int status = bits & 1                               ? 400
                     : query.server == ROUTE_SERVER_UNKNOWN ? 404
                     : query.server != ROUTE_SERVER_ORTHRUS ? 200
                     : !(bits & 8)                          ? 503
                     : !(bits & 16)                         ? 400
                     : !(bits & 32)                         ? 502
                                                            : 200;
        assert_int_equal(route.status, status);
        assert_int_equal(route.kind == ROUTE_ERROR, status != 200);
    }
}

#ifndef CONTRACTS_OFF
static void
a_direct_server_without_a_usable_host_breaks_the_contract(void **state)
{
    struct route_query query = {.server = ROUTE_SERVER_DIRECT};
    struct route route;
    char overlong[ROUTE_HOST_MAX + 2];
    (void)state;

    expect_assert_failure(route_decide(&route, &query));
    memset(overlong, 'a', sizeof overlong - 1);
    overlong[sizeof overlong - 1] = '\0';
    query.server_host = overlong;
    expect_assert_failure(route_decide(&route, &query));
}

static void an_endless_agent_address_breaks_the_contract(void **state)
{
    struct route_query query = complete;
    struct route route;
    char overlong[ROUTE_ADDRESS_SIZE];
    (void)state;

    memset(overlong, '1', sizeof overlong - 1);
    overlong[sizeof overlong - 1] = '\0';
    query.agent_address = overlong;
    expect_assert_failure(route_decide(&route, &query));
}
#endif

static const struct CMUnitTest tests[] = {
    REQ("H-01", no_selector_is_this_host),
    REQ("H-01", any_other_selector_is_400),
    REQ("H-01", an_unknown_server_is_404),
    REQ("H-01", a_direct_server_is_its_address),
    REQ("AC-09", no_agent_uuid_is_400),
    REQ("AC-10", no_subsystem_is_503),
    REQ("AC-10", a_missing_subsystem_is_told_before_all_else),
    REQ("AC-11", an_agent_that_is_not_connected_is_502),
    REQ("AC-12", a_connected_agent_is_exactly_its_proxy),
    REQ("H-01", the_order_of_the_checks_is_fixed),
#ifndef CONTRACTS_OFF
    REQ("H-01", a_direct_server_without_a_usable_host_breaks_the_contract),
    REQ("H-01", an_endless_agent_address_breaks_the_contract),
#endif
};
RUN(tests)
