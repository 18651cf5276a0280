/* test_hub.c: all connected agents (AC-15, O8, O9, O10, L-02, L-06). */
#include "core/test/site.h"

#include <stdlib.h>
#include <string.h>

static int build(void **state)
{
    static struct site site;

    site_start(&site, 10);
    *state = &site;
    return 0;
}

static int drop(void **state)
{
    site_end(*state);
    return 0;
}

/* ---- displacement -------------------------------------------------------- */

static void a_newer_session_takes_over(void **state)
{
    struct site *site = *state;
    struct session *old = site_connect(site, 'A');
    struct session *new = site_connect(site, 'A');

    assert_int_equal(old->ended, STATUS_DISPLACED);
    assert_ptr_equal(site_find(site, 'A'), new->agent);
    assert_int_equal(agent_state(new->agent), AGENT_SERVING);
    assert_int_equal(hub_count(site->hub), 1);
    assert_int_equal(hub_held(site->hub), 1);
    site_expect(site, "A1 arrives\n"
                      "A1 listens\n"
                      "A2 arrives\n"
                      "A1 stops listening\n"
                      "A2 listens\n"
                      "A1 hangs up\n"
                      "A1 is gone\n");
}

/* At every moment of it: the old one is not found any more, the new one not
 * announced before the old listener is gone. */
static void it_happens_in_one_step(void **state)
{
    struct site *site = *state;
    struct session *old = site_connect(site, 'A');
    struct session *new = site_arrive(site, 'A');

    assert_int_equal(agent_state(old->agent), AGENT_CLOSING);
    assert_int_equal(agent_state(new->agent), AGENT_WAITING);
    assert_ptr_equal(site_find(site, 'A'), new->agent);
    assert_int_equal(agent_port(new->agent), 0);
    assert_int_equal(agent_wants(new->agent), 0);
    assert_int_equal(hub_count(site->hub), 1);
    assert_int_equal(hub_held(site->hub), 2);
    assert_ptr_equal(hub_next_change(site->hub), old->agent);
    assert_null(hub_next_change(site->hub));

    assert_true(session_act(old)); /* stops listening */
    assert_int_equal(agent_state(new->agent), AGENT_SERVING);
    assert_ptr_equal(hub_next_change(site->hub), new->agent);
    assert_null(hub_next_change(site->hub));
}

static void a_chain_of_three_leaves_the_newest(void **state)
{
    struct site *site = *state;
    struct session *first = site_connect(site, 'A');
    struct session *second = site_arrive(site, 'A');
    struct session *third = site_arrive(site, 'A');

    assert_int_equal(agent_state(second->agent), AGENT_CLOSING);
    assert_int_equal(agent_state(third->agent), AGENT_WAITING);
    assert_true(session_act(second)); /* hangs up: it never had a listener */
    assert_null(second->agent);
    assert_int_equal(agent_state(third->agent), AGENT_WAITING);
    assert_true(session_act(first));
    assert_int_equal(agent_state(third->agent), AGENT_SERVING);
    site_run(site);

    assert_null(first->agent);
    assert_int_equal(second->ended, STATUS_DISPLACED);
    site_expect(site, "A1 arrives\n"
                      "A1 listens\n"
                      "A2 arrives\n"
                      "A3 arrives\n"
                      "A2 hangs up\n"
                      "A2 is gone\n"
                      "A1 stops listening\n"
                      "A1 hangs up\n"
                      "A1 is gone\n"
                      "A3 listens\n");
}

static void a_listener_outlives_the_one_that_waited_for_it(void **state)
{
    struct site *site = *state;
    struct session *first = site_connect(site, 'A');
    struct session *second = site_arrive(site, 'A');

    session_lose(second);
    while (session_act(second)) {
    }
    assert_null(second->agent);
    assert_null(site_find(site, 'A')); /* offline, the old one does not count */
    assert_int_equal(hub_count(site->hub), 0);
    struct session *third = site_arrive(site, 'A');
    assert_int_equal(agent_state(third->agent), AGENT_WAITING);
    site_run(site);

    assert_null(first->agent);
    assert_ptr_equal(site_find(site, 'A'), third->agent);
    assert_true(third->has_listener);
}

static void two_at_the_same_instant_leave_one(void **state)
{
    struct site *site = *state;
    struct session *loser = site_arrive(site, 'A');
    struct session *winner = site_arrive(site, 'A');

    site_run(site);

    assert_null(loser->agent);
    assert_int_equal(loser->ended, STATUS_DISPLACED);
    assert_ptr_equal(site_find(site, 'A'), winner->agent);
    assert_true(winner->has_listener);
    assert_int_equal(site->ports, 1); /* the loser never listened */
}

static void a_late_death_does_not_touch_the_new_session(void **state)
{
    struct site *site = *state;
    struct session *old = site_connect(site, 'A');
    struct sock *stalled = site_dial(old);

    old->pair.ends[SERVER].is_lazy = true; /* its client is slow to go */
    struct session *new = site_connect(site, 'A');
    struct sock *client = site_dial(new);
    assert_non_null(old->agent);
    assert_int_equal(agent_state(old->agent), AGENT_CLOSING);
    agent_close(old->agent, STATUS_TRANSPORT_LOST);
    agent_hung_up(old->agent);
    site_wait(site, 3600000);

    pair_close_all(&old->pair, SERVER);
    site_run(site);
    assert_null(old->agent);
    assert_true(stalled->was_reset);
    assert_ptr_equal(site_find(site, 'A'), new->agent);
    sock_say(client, "still here");
    site_run(site);
    assert_string_equal(client->peer->heard, "still here");
    assert_int_equal(agent_port(new->agent), new->port);
}

static void displaced_connections_are_reset_and_new_ones_are_not(void **state)
{
    struct site *site = *state;
    struct session *old = site_connect(site, 'A');
    struct sock *before = site_dial(old);

    sock_send(before->peer, 1000);
    site_run(site);
    struct session *new = site_connect(site, 'A');
    struct sock *after = site_dial(new);

    assert_true(before->was_reset);
    assert_false(before->was_shut);
    assert_int_equal(before->status, STATUS_DISPLACED);
    assert_int_equal(before->received, 1000);
    assert_true(after->is_open);
}

static void agents_do_not_displace_each_other(void **state)
{
    struct site *site = *state;
    struct session *a = site_connect(site, 'A');
    struct session *b = site_connect(site, 'B');

    assert_ptr_equal(site_find(site, 'A'), a->agent);
    assert_ptr_equal(site_find(site, 'B'), b->agent);
    assert_null(site_find(site, 'C'));
    assert_true(a->port != b->port);
    assert_int_equal(hub_count(site->hub), 2);
}

/* Bytes are keyed by session: one that crossed over would be noticed (O8). */
static void bytes_stay_with_their_agent_while_agents_come_and_go(void **state)
{
    struct site *site = *state;
    struct sock *clients[2];

    for (int round = 0; round < 4; round++) {
        struct session *a = site_connect(site, 'A');
        struct session *b = site_connect(site, 'B');
        clients[0] = site_dial(a);
        clients[1] = site_dial(b);
        for (int i = 0; i < 2; i++) {
            sock_send(clients[i], 5000);
            sock_send(clients[i]->peer, 50000);
        }
        site_run(site);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(clients[i]->received, 50000);
            assert_int_equal(clients[i]->peer->received, 5000);
        }
    }
}

/* Every order of six events around displacement. site.c looks at the world
 * after each; in the end the newest session lives, if nothing ended it. */
static void every_order_of_events_ends_well(void **state)
{
    enum { EVENTS = 6, LENGTH = 6, WORLDS = 46656 };
    struct site *site = *state;

    for (uint32_t world = 0; world < WORLDS; world++) {
        uint32_t digits = world;
        bool newest_was_lost = false;

        site_end(site);
        site_start(site, 10);
        site->config.link.mux.outbound_max = 2;
        struct session *newest = site_connect(site, 'A');
        for (int i = 0; i < LENGTH; i++, digits /= EVENTS) {
            struct session *oldest = newest;
            for (size_t s = site->session_count; s-- > 0;) {
                if (site->sessions[s]->agent != NULL) {
                    oldest = site->sessions[s];
                }
            }
            switch (digits % EVENTS) {
            case 0:
                newest = site_arrive(site, 'A');
                newest_was_lost = false;
                break;
            case 1:
                (void)session_act(oldest);
                break;
            case 2:
                (void)session_act(newest);
                break;
            case 3:
                if (newest->agent != NULL) {
                    session_lose(newest);
                    newest_was_lost = true;
                }
                break;
            case 4:
                newest_was_lost = newest_was_lost || oldest == newest;
                if (oldest->agent != NULL) {
                    session_lose(oldest);
                }
                break;
            case 5:
                (void)hub_next_change(site->hub);
                break;
            }
        }
        site_run(site);
        for (size_t s = 0; s < site->session_count; s++) {
            bool lives = site->sessions[s] == newest && !newest_was_lost;
            assert_int_equal(site->sessions[s]->agent != NULL, lives);
            assert_int_equal(site->sessions[s]->has_listener, lives);
        }
        assert_ptr_equal(site_find(site, 'A'), newest->agent);
        assert_int_equal(hub_count(site->hub), newest_was_lost ? 0 : 1);
    }
}

/* ---- limits and drain ---------------------------------------------------- */

static void one_agent_too_many_is_refused_and_harms_nobody(void **state)
{
    struct site *site = *state;

    site_end(site);
    site_start(site, 2);
    struct session *a = site_connect(site, 'A');
    struct session *b = site_connect(site, 'B');
    struct sock *client = site_dial(a);

    assert_int_equal(site_connect(site, 'C')->refusal, STATUS_AGENTS_MAX);
    assert_int_equal(site_connect(site, 'A')->refusal, STATUS_AGENTS_MAX);
    assert_ptr_equal(site_find(site, 'A'), a->agent);
    assert_true(client->is_open);
    assert_int_equal(agent_state(b->agent), AGENT_SERVING);
    assert_int_equal(hub_held(site->hub), 2);

    session_lose(b);
    site_run(site);
    assert_int_equal(site_connect(site, 'C')->refusal, STATUS_OK);
}

static void a_drain_takes_nothing_new_and_ends(void **state)
{
    struct site *site = *state;
    struct session *idle = site_connect(site, 'A');
    struct session *busy = site_connect(site, 'B');
    struct sock *client = site_dial(busy);
    enum status status;

    assert_false(hub_draining(site->hub));
    hub_drain(site->hub, site->now_ms);
    assert_true(hub_draining(site->hub));
    assert_non_null(hub_next_change(site->hub));
    assert_non_null(hub_next_change(site->hub));
    assert_null(hub_next_change(site->hub));
    site_run(site);
    assert_null(idle->agent);
    assert_int_equal(idle->ended, STATUS_SHUT_DOWN);
    assert_int_equal(agent_state(busy->agent), AGENT_DRAINING);
    assert_int_equal(site_connect(site, 'C')->refusal, STATUS_DRAINING);
    assert_int_equal(site_connect(site, 'B')->refusal, STATUS_DRAINING);
    assert_null(site_try_dial(busy, &status));

    sock_say(client, "let me finish");
    site_run(site);
    assert_string_equal(client->peer->heard, "let me finish");
    site_wait(site, 29999);
    assert_non_null(busy->agent);
    site_wait(site, 1);
    assert_null(busy->agent);
    assert_true(client->was_reset);
    assert_int_equal(hub_held(site->hub), 0);
}

static void a_hub_of_one_takes_one(void **state)
{
    struct site *site = *state;

    site_end(site);
    site_start(site, 1);
    struct session *only = site_connect(site, 'A');
    assert_ptr_equal(site_find(site, 'A'), only->agent);
    assert_int_equal(site_connect(site, 'B')->refusal, STATUS_AGENTS_MAX);
}

static void a_waiting_session_drains_too(void **state)
{
    struct site *site = *state;

    (void)site_connect(site, 'A');
    struct session *waiting = site_arrive(site, 'A');
    hub_drain(site->hub, site->now_ms);
    site_run(site);

    assert_null(waiting->agent);
    assert_int_equal(hub_held(site->hub), 0);
}

/* ---- many ---------------------------------------------------------------- */

enum { CROWD = 300 };

struct crowd {
    struct hub *hub;
    struct agent *agents[CROWD];
};

static void number_of(uint32_t i, uint8_t uuid[AGENT_UUID_SIZE])
{
    memset(uuid, 0, AGENT_UUID_SIZE);
    memcpy(uuid, &i, sizeof i);
}

static int gather(void **state)
{
    static struct crowd crowd;
    const struct hub_config config = {CROWD, {5, 6}};
    struct agent_config agent;

    crowd.hub =
        hub_init(calloc(1, hub_size(&config)), hub_size(&config), &config);
    agent_config_default(&agent);
    agent.link.mux.outbound_max = 1;
    for (uint32_t i = 0; i < CROWD; i++) {
        number_of(i, agent.uuid);
        void *memory = calloc(1, agent_size(&agent));
        crowd.agents[i] = agent_init(memory, agent_size(&agent), &agent, 0);
        if (hub_admit(crowd.hub, crowd.agents[i]) != STATUS_OK) {
            return -1;
        }
    }
    *state = &crowd;
    return 0;
}

static int disperse(void **state)
{
    struct crowd *crowd = *state;

    for (uint32_t i = 0; i < CROWD; i++) {
        free(crowd->agents[i]);
    }
    free(crowd->hub);
    return 0;
}

static void end(struct crowd *crowd, struct agent *agent)
{
    agent_close(agent, STATUS_SHUT_DOWN);
    agent_hung_up(agent);
    hub_step(crowd->hub, agent);
    hub_release(crowd->hub, agent);
}

static void each_of_many_is_found(void **state)
{
    struct crowd *crowd = *state;
    uint8_t uuid[AGENT_UUID_SIZE];

    for (uint32_t i = 0; i < CROWD; i++) {
        number_of(i, uuid);
        assert_ptr_equal(hub_find(crowd->hub, uuid), crowd->agents[i]);
        assert_int_equal(agent_state(crowd->agents[i]), AGENT_SERVING);
    }
    number_of(CROWD, uuid);
    assert_null(hub_find(crowd->hub, uuid));
    assert_int_equal(hub_count(crowd->hub), CROWD);
    for (uint32_t i = 0; i < CROWD; i += 2) {
        end(crowd, crowd->agents[i]);
    }
    for (uint32_t i = 0; i < CROWD; i++) {
        number_of(i, uuid);
        assert_ptr_equal(hub_find(crowd->hub, uuid),
                         i % 2 ? crowd->agents[i] : NULL);
    }
    assert_int_equal(hub_held(crowd->hub), CROWD / 2);
}

static void what_is_released_is_not_found_even_without_a_step(void **state)
{
    struct crowd *crowd = *state;
    struct agent *agent = crowd->agents[0];
    uint8_t uuid[AGENT_UUID_SIZE];

    agent_close(agent, STATUS_SHUT_DOWN);
    agent_hung_up(agent);
    hub_release(crowd->hub, agent);
    number_of(0, uuid);
    assert_null(hub_find(crowd->hub, uuid));
    assert_int_equal(hub_count(crowd->hub), CROWD - 1);
}

static void a_walk_sees_each_once(void **state)
{
    struct crowd *crowd = *state;
    struct agent *agent = NULL;
    uint32_t seen = 0;
    bool was_seen[CROWD] = {false};

    while ((agent = hub_next(crowd->hub, agent)) != NULL) {
        uint32_t i;
        memcpy(&i, agent_uuid(agent), sizeof i);
        assert_false(was_seen[i]);
        was_seen[i] = true;
        seen++;
        if (i % 3 == 0) { /* what was just returned may go */
            end(crowd, agent);
        }
    }
    assert_int_equal(seen, CROWD);
    assert_int_equal(hub_held(crowd->hub), CROWD - CROWD / 3);
    while ((agent = hub_next(crowd->hub, NULL)) != NULL) {
        end(crowd, agent);
    }
    assert_int_equal(hub_held(crowd->hub), 0);
}

static void a_released_agent_leaves_the_changes(void **state)
{
    struct crowd *crowd = *state;
    uint32_t told = 0;

    hub_drain(crowd->hub, 0); /* all are changed */
    for (uint32_t i = 0; i < CROWD; i += 7) {
        end(crowd, crowd->agents[i]);
    }
    end(crowd, crowd->agents[CROWD - 1]);
    for (struct agent *agent; (agent = hub_next_change(crowd->hub)) != NULL;) {
        assert_int_equal(agent_state(agent), AGENT_DRAINING);
        told++;
    }
    assert_int_equal(told, hub_held(crowd->hub));
}

static void who_is_changed_again_stands_at_the_end(void **state)
{
    struct crowd *crowd = *state;
    struct agent *first = crowd->agents[0];
    uint32_t told = 0;

    hub_drain(crowd->hub, 0);
    assert_ptr_equal(hub_next_change(crowd->hub), first);
    hub_drain(crowd->hub, 0);
    for (struct agent *agent; (agent = hub_next_change(crowd->hub)) != NULL;) {
        assert_true((agent == first) == (told == CROWD - 1));
        told++;
    }
    assert_int_equal(told, CROWD);
}

/* ---- contracts ----------------------------------------------------------- */

#ifndef CONTRACTS_OFF
static void strangers_break_the_contract(void **state)
{
    struct crowd *crowd = *state;
    struct agent_config config;

    agent_config_default(&config);
    void *memory = calloc(1, agent_size(&config));
    struct agent *stranger =
        agent_init(memory, agent_size(&config), &config, 0);

    expect_assert_failure(hub_step(crowd->hub, stranger));
    expect_assert_failure(hub_admit(crowd->hub, crowd->agents[0]));
    expect_assert_failure(hub_release(crowd->hub, crowd->agents[0]));
    agent_close(stranger, STATUS_SHUT_DOWN);
    expect_assert_failure(hub_admit(crowd->hub, stranger));
    agent_hung_up(stranger);
    expect_assert_failure(hub_release(crowd->hub, stranger));
    free(memory);
}

static void an_agent_is_admitted_once(void **state)
{
    struct site *site = *state;

    (void)site_connect(site, 'A');
    struct session *waiting = site_arrive(site, 'A');
    expect_assert_failure(hub_admit(site->hub, waiting->agent));
}

static void unfit_memory_and_limits_break_the_contract(void **state)
{
    struct hub_config config = {10, {0, 0}};
    uint8_t *memory = calloc(1, hub_size(&config));
    (void)state;

    expect_assert_failure(hub_init(memory, hub_size(&config) - 1, &config));
    expect_assert_failure(hub_init(memory + 1, hub_size(&config), &config));
    free(memory);
    config.agents_max = 0;
    expect_assert_failure(hub_size(&config));
    config.agents_max = 1000001;
    expect_assert_failure(hub_size(&config));
    config.agents_max = 1000000;
    assert_true(hub_size(&config) < (size_t)20 * 1000 * 1000);
}
#endif

#define TEST(id, name) REQ_WITH(id, name, build, drop)
#define CROWD_TEST(id, name) REQ_WITH(id, name, gather, disperse)

static const struct CMUnitTest tests[] = {
    TEST("AC-15,O9", a_newer_session_takes_over),
    TEST("AC-15", it_happens_in_one_step),
    TEST("AC-15", a_chain_of_three_leaves_the_newest),
    TEST("AC-15", a_listener_outlives_the_one_that_waited_for_it),
    TEST("AC-15,O9", two_at_the_same_instant_leave_one),
    TEST("AC-15,O9", a_late_death_does_not_touch_the_new_session),
    TEST("AC-15,L-04", displaced_connections_are_reset_and_new_ones_are_not),
    TEST("O8", agents_do_not_displace_each_other),
    TEST("O8", bytes_stay_with_their_agent_while_agents_come_and_go),
    TEST("AC-15,O9", every_order_of_events_ends_well),
    TEST("L-02,O10", one_agent_too_many_is_refused_and_harms_nobody),
    TEST("L-02", a_hub_of_one_takes_one),
    TEST("L-06", a_drain_takes_nothing_new_and_ends),
    TEST("L-06", a_waiting_session_drains_too),
    CROWD_TEST("D29", each_of_many_is_found),
    CROWD_TEST("O8", what_is_released_is_not_found_even_without_a_step),
    CROWD_TEST("P-10", a_walk_sees_each_once),
    CROWD_TEST("L-06", a_released_agent_leaves_the_changes),
    CROWD_TEST("L-06", who_is_changed_again_stands_at_the_end),
#ifndef CONTRACTS_OFF
    CROWD_TEST("O9", strangers_break_the_contract),
    TEST("O9", an_agent_is_admitted_once),
    CROWD_TEST("L-02", unfit_memory_and_limits_break_the_contract),
#endif
};
RUN(tests)
