/* test_port.c: the quarantine of loopback ports (L-10, X6). */
#include "core/test/req.h"

#include <stdlib.h>
#include <string.h>

#include "core/port.h"

#define HOUR ((uint64_t)3600 * 1000)

struct world {
    void *memory;
    struct port_table *table;
    uint8_t a[PORT_UUID_SIZE], b[PORT_UUID_SIZE];
};

static int build(void **state)
{
    static struct world world;
    const struct port_config config = {PORT_QUARANTINE_MS, {1, 2}};

    world.memory = calloc(1, port_size());
    if (world.memory == NULL) {
        return -1;
    }
    world.table = port_init(world.memory, port_size(), &config);
    memset(world.a, 'a', sizeof world.a);
    memset(world.b, 'b', sizeof world.b);
    *state = &world;
    return 0;
}

static int drop(void **state)
{
    struct world *world = *state;

    port_invariant(world->table);
    free(world->memory);
    return 0;
}

static void a_port_that_nobody_had_is_anybodys(void **state)
{
    const struct world *w = *state;

    assert_true(port_may_use(w->table, 1, w->a, 0));
    assert_true(port_may_use(w->table, 65535, w->b, UINT64_MAX));
    assert_int_equal(port_last(w->table, w->a), 0);
}

/* The boundary in threes: a millisecond before, at, and after 24 h. */
static void another_agent_waits_24_hours(void **state)
{
    const struct world *w = *state;
    const uint64_t start = 5000;

    port_use(w->table, 40000, w->a, start);

    assert_false(port_may_use(w->table, 40000, w->b, start));
    assert_false(port_may_use(w->table, 40000, w->b, start + 24 * HOUR - 1));
    assert_true(port_may_use(w->table, 40000, w->b, start + 24 * HOUR));
    assert_true(port_may_use(w->table, 40000, w->b, start + 24 * HOUR + 1));
}

static void the_end_of_the_last_use_counts(void **state)
{
    const struct world *w = *state;

    port_use(w->table, 40000, w->a, 0);
    port_use(w->table, 40000, w->a, 100 * HOUR); /* the listener closed */

    assert_false(port_may_use(w->table, 40000, w->b, 123 * HOUR));
    assert_true(port_may_use(w->table, 40000, w->b, 124 * HOUR));
}

static void the_agent_itself_may_have_it_back_at_once(void **state)
{
    const struct world *w = *state;

    port_use(w->table, 40000, w->a, 7);

    assert_true(port_may_use(w->table, 40000, w->a, 7));
    assert_int_equal(port_last(w->table, w->a), 40000);
}

static void an_agent_gets_the_port_it_had_last(void **state)
{
    const struct world *w = *state;

    port_use(w->table, 40000, w->a, 1);
    port_use(w->table, 40001, w->a, 2);
    port_use(w->table, 40002, w->b, 3);
    assert_int_equal(port_last(w->table, w->a), 40001);

    port_use(w->table, 40000, w->a, 4);
    assert_int_equal(port_last(w->table, w->a), 40000);
    assert_int_equal(port_last(w->table, w->b), 40002);
}

static void a_port_that_went_to_another_is_lost(void **state)
{
    const struct world *w = *state;

    port_use(w->table, 40000, w->a, 1);
    port_use(w->table, 40001, w->a, 2);
    port_use(w->table, 40001, w->b, 25 * HOUR);

    assert_int_equal(port_last(w->table, w->a), 40000);
    assert_int_equal(port_last(w->table, w->b), 40001);
    assert_false(port_may_use(w->table, 40001, w->a, 26 * HOUR));
}

/* Of any number: 0 is none. */
static void the_first_port_is_taken_from_an_agent_like_any_other(void **state)
{
    const struct world *w = *state;

    port_use(w->table, 1, w->a, 1);
    port_use(w->table, 2, w->a, 2);
    port_use(w->table, 2, w->b, 25 * HOUR);
    port_use(w->table, 1, w->b, 25 * HOUR);
    port_invariant(w->table);

    assert_int_equal(port_last(w->table, w->a), 0);
    assert_int_equal(port_last(w->table, w->b), 1);
}

/* A clock that went back must not open a port early. */
static void a_clock_set_back_lengthens_the_quarantine(void **state)
{
    const struct world *w = *state;

    port_use(w->table, 40000, w->a, 1000 * HOUR);

    assert_false(port_may_use(w->table, 40000, w->b, 0));
    assert_true(port_may_use(w->table, 40000, w->b, 1024 * HOUR));
}

static void the_time_is_a_knob(void **state)
{
    const struct world *w = *state;
    const struct port_config none = {0, {0, 0}};
    const struct port_config second = {1000, {0, 0}};

    memset(w->memory, 0, port_size());
    struct port_table *table = port_init(w->memory, port_size(), &none);
    port_use(table, 40000, w->a, 50);
    assert_true(port_may_use(table, 40000, w->b, 50));

    memset(w->memory, 0, port_size());
    table = port_init(w->memory, port_size(), &second);
    port_use(table, 40000, w->a, 50);
    assert_false(port_may_use(table, 40000, w->b, 1049));
    assert_true(port_may_use(table, 40000, w->b, 1050));
}

/* Every port, many agents, in an order that mixes the chains: each port's owner
 * and each agent's last port are as plain arrays say. */
static void the_whole_table_can_be_in_use(void **state)
{
    enum { AGENTS = 1000, PORTS = 65536 };
    const struct world *w = *state;
    static uint16_t owner[PORTS];
    static uint64_t used[PORTS];
    static uint16_t last[AGENTS];
    uint8_t uuid[PORT_UUID_SIZE] = {0};
    uint64_t now = 0;

    for (uint64_t i = 0; i < 3 * (PORTS - 1); i++) {
        uint16_t port = (uint16_t)(1 + i * 40504 % (PORTS - 1));
        uint16_t agent = (uint16_t)(i * 7919 % AGENTS);
        memcpy(uuid, &agent, sizeof agent);
        port_use(w->table, port, uuid, ++now);
        owner[port] = agent;
        used[port] = now;
    }
    port_invariant(w->table);
    for (uint32_t port = 1; port < PORTS; port++) {
        uint16_t *newest = &last[owner[port]];
        if (used[port] > used[*newest]) {
            *newest = (uint16_t)port;
        }
        memcpy(uuid, &owner[port], sizeof *owner);
        assert_true(port_may_use(w->table, (uint16_t)port, uuid, now));
        assert_false(port_may_use(w->table, (uint16_t)port, w->b, now));
    }
    for (unsigned i = 0; i < AGENTS; i++) {
        uint16_t agent = (uint16_t)i;

        memcpy(uuid, &agent, sizeof agent);
        assert_int_not_equal(last[agent], 0);
        assert_int_equal(port_last(w->table, uuid), last[agent]);
    }
}

#ifndef CONTRACTS_OFF
static void port_0_and_unfit_memory_break_the_contract(void **state)
{
    const struct world *w = *state;
    const struct port_config config = {0, {0, 0}};
    uint8_t *memory = w->memory;

    expect_assert_failure(port_may_use(w->table, 0, w->a, 0));
    expect_assert_failure(port_use(w->table, 0, w->a, 0));
    expect_assert_failure(port_init(memory, port_size() - 1, &config));
    expect_assert_failure(port_init(memory + 1, port_size(), &config));
}
#endif

static const struct CMUnitTest tests[] = {
    REQ_WITH("L-10", a_port_that_nobody_had_is_anybodys, build, drop),
    REQ_WITH("L-10", another_agent_waits_24_hours, build, drop),
    REQ_WITH("L-10", the_end_of_the_last_use_counts, build, drop),
    REQ_WITH("L-10", the_agent_itself_may_have_it_back_at_once, build, drop),
    REQ_WITH("X6", an_agent_gets_the_port_it_had_last, build, drop),
    REQ_WITH("L-10", a_port_that_went_to_another_is_lost, build, drop),
    REQ_WITH("L-10", the_first_port_is_taken_from_an_agent_like_any_other,
             build, drop),
    REQ_WITH("L-10", a_clock_set_back_lengthens_the_quarantine, build, drop),
    REQ_WITH("L-10", the_time_is_a_knob, build, drop),
    REQ_WITH("L-10", the_whole_table_can_be_in_use, build, drop),
#ifndef CONTRACTS_OFF
    REQ_WITH("L-10", port_0_and_unfit_memory_break_the_contract, build, drop),
#endif
};
RUN(tests)
