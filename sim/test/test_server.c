/* The modelled server and our own agent, over every kind of link. */
#include "core/test/req.h"
#include "sim/test/house.h"

#include <stdio.h>
#include <string.h>

static struct path rough_path(uint64_t seed)
{
    struct chance chance = chance_of(seed, "rough", 0);
    struct path path;

    path_default(&path);
    path.latency_us = chance_size(&chance, 50000);
    path.jitter_us = chance_size(&chance, 20000);
    path.rate = chance_in(&chance, 1, 3) ? 200000 : 0;
    path.piece_max = chance_in(&chance, 1, 2)
                         ? 64 + (uint32_t)chance_size(&chance, 5000)
                         : 0;
    if (chance_in(&chance, 1, 3)) {
        path.buffer = 16384 + (uint32_t)chance_size(&chance, 100000);
    }
    path.dead_us = 30 * SIM_S;
    return path;
}

static void expect_idle(struct house *house)
{
    for (uint32_t i = 0; i < house->plan.sites; i++) {
        if (house->sites[i].remote != NULL) {
            house->ops[i]->expect_idle(house->sites[i].remote);
        }
    }
    server_expect_idle(house->world.server);
}

static void some_transfers(struct house *house)
{
    house_agent(house, 0, &remote_own_all);
    house_await(house, 0);
    for (uint64_t i = 0; i < 8; i++) {
        house_client(house, 0, i * i * i * 301);
    }
    house_run(house, 60000);
    for (const struct house_client *client = house->clients; client != NULL;
         client = client->next) {
        if (!client->whole) {
            sim_fail(house->sim, "liveness",
                     "client of %u: said %u, heard %u, %s%s%s%s",
                     (unsigned)client->size, (unsigned)client->said,
                     (unsigned)client->heard, client->refused ? "refused" : "",
                     client->broken ? "broken" : "",
                     client->short_end ? "short" : "", client->answer);
        }
    }
    expect_idle(house);
}

static void every_byte_comes_back(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct path path = rough_path(seed);
        house_test(house_new(seed, 1, &path), some_transfers);
    }
}

/* ---- sessions ------------------------------------------------------------ */

static void expect_whole(struct house *house, uint32_t site, uint64_t size)
{
    struct house_client *client = house_client(house, site, size);

    house_run(house, 10000);
    if (!client->whole) {
        sim_fail(house->sim, "liveness", "a client of %u is not served: %s",
                 (unsigned)size, client->answer);
    }
}

static void its_host_goes_and_it_comes_back(struct house *house)
{
    struct house_client *client;

    house_agent(house, 0, &remote_own_all);
    house_await(house, 0);
    uint16_t port = server_port(house->world.server, &house->sites[0]);
    client = house_client(house, 0, 1000000);
    client->reads_from_us = SIM_NEVER;
    house_run(house, 5);
    house_kill_agent(house, 0, PROCESS_VANISHES);
    house_agent(house, 0, &remote_own_all);
    house_run(house, 1000);
    client->reads_from_us = 1;
    house_run(house, 1000);
    assert_true(client->broken && !client->short_end);
    assert_int_equal(server_port(house->world.server, &house->sites[0]), port);
    assert_true(sim_tally(house->sim)->met[MET_DISPLACED] > 0);
    expect_whole(house, 0, 5000);
    expect_idle(house);
}

static void a_second_session_displaces_the_first(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 16; seed++) {
        house_test(house_new(seed, 1, NULL), its_host_goes_and_it_comes_back);
    }
}

static void it_is_revoked_while_it_serves(struct house *house)
{
    struct site *site = &house->sites[0];
    struct house_client *client;

    house_agent(house, 0, &remote_own_all);
    house_await(house, 0);
    client = house_client(house, 0, 1000000);
    client->reads_from_us = SIM_NEVER;
    house_run(house, 5);
    assert_true(server_revoke(house->world.server, site));
    house_run(house, 3000);
    client->reads_from_us = 1;
    house_run(house, 1000);
    assert_true(client->broken && !client->short_end);
    assert_int_equal(server_port(house->world.server, site), 0);
    assert_int_equal(server_state(house->world.server, site), FAULT_STATE_NONE);
    house_run(house, 60000);
    assert_true(sim_tally(house->sim)->met[MET_UNAUTHORIZED] > 0);
    expect_idle(house);
}

static void a_revoked_agent_is_gone(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 8; seed++) {
        house_test(house_new(seed, 1, NULL), it_is_revoked_while_it_serves);
    }
}

/* Revoked after so many steps of its upgrade; server_check() sees to it that no
 * session outlives its key. */
static uint32_t revoke_after;

static void it_is_revoked_early(struct house *house)
{
    struct world *world = &house->world;

    house_agent(house, 0, &remote_own_all);
    for (uint32_t i = 0; i < revoke_after && sim_step(house->sim, 5 * SIM_S);
         i++) {
        server_check(world->server);
    }
    assert_true(server_revoke(world->server, &house->sites[0]));
    server_check(world->server);
    house_run(house, 10000);
    assert_int_equal(server_port(world->server, &house->sites[0]), 0);
    expect_idle(house);
}

static void no_step_of_an_upgrade_outlives_its_key(void **state)
{
    uint64_t unwelcome = 0;

    (void)state;
    for (revoke_after = 0; revoke_after < 40; revoke_after++) {
        struct house *house = house_new(2, 1, NULL);
        struct sim_failure failure = {.step = 0};
        if (!house_run_body(house, it_is_revoked_early, &failure)) {
            fail_msg("%s: %s", failure.oracle, failure.message);
        }
        unwelcome += sim_tally(house->sim)->met[MET_UNWELCOME];
        house_free(house);
    }
    assert_true(unwelcome > 0);
}

/* ---- the front door ------------------------------------------------------ */

static void no_ready(void *user)
{
    (void)user;
}

/* What the door says to these bytes, and how it ends. */
static enum socket_result knock(struct house *house, const char *words,
                                size_t length, char answer[64])
{
    struct socket *socket =
        socket_connect(&house->world.clients_process, ADDRESS_SERVER, NULL,
                       NULL, no_ready, NULL);
    enum socket_result result = SOCKET_WAIT;
    size_t heard = 0;
    size_t done;

    house_run(house, 1);
    if (length > 0) {
        (void)socket_send(socket, (const uint8_t *)words, length, &done);
    }
    for (int i = 0; i < 200 && (result == SOCKET_WAIT || result == SOCKET_MORE);
         i++) {
        house_run(house, 100);
        result = socket_receive(socket, (uint8_t *)answer + heard, 63 - heard,
                                &done);
        heard += done;
    }
    answer[heard] = '\0';
    socket_close(socket);
    return result;
}

static void strangers_knock(struct house *house)
{
    static const char nobody[] =
        "GET " REMOTE_PATH " HTTP/1.1\r\nAuthorization: Bearer ch_orthrus_"
        "0000000000000000000000000000000000000000000000000000000000000000"
        "\r\n\r\n";
    char elsewhere[200];
    char large[5000];
    char answer[64];

    (void)knock(house, nobody, sizeof nobody - 1, answer);
    assert_string_equal(answer, "HTTP/1.1 401 U\r\n\r\n");
    (void)knock(house, "\r\n\r\n", 4, answer);
    assert_string_equal(answer, "HTTP/1.1 401 U\r\n\r\n");
    (void)snprintf(elsewhere, sizeof elsewhere,
                   "GET / HTTP/1.1\r\nAuthorization: Bearer %s\r\n\r\n",
                   house->sites[0].key);
    (void)knock(house, elsewhere, strlen(elsewhere), answer);
    assert_string_equal(answer, "HTTP/1.1 400 B\r\n\r\n");
    memset(large, 'x', sizeof large);
    (void)knock(house, large, sizeof large, answer);
    assert_string_equal(answer, "HTTP/1.1 431 H\r\n\r\n");
    assert_int_equal(knock(house, "", 0, answer), SOCKET_FINISHED);
    assert_string_equal(answer, "");
    assert_true(sim_tally(house->sim)->met[MET_HEAD_LATE] > 0);
    expect_idle(house);
}

static void strangers_have_no_effect(void **state)
{
    (void)state;
    house_test(house_new(4, 1, NULL), strangers_knock);
}

/* ---- what the world refuses ---------------------------------------------- */

static void no_port_is_to_be_had(struct house *house)
{
    const struct site *site = &house->sites[0];

    socket_fail_binds(house->sim, 1);
    house_agent(house, 0, &remote_own_all);
    house_run(house, 30000);
    assert_int_equal(server_port(house->world.server, site), 0);
    assert_int_equal(server_state(house->world.server, site),
                     FAULT_STATE_SERVING);
    expect_idle(house);
    house_kill_agent(house, 0, PROCESS_EXITS);
    house_agent(house, 0, &remote_own_all);
    house_await(house, 0);
    expect_whole(house, 0, 5000);
}

static void a_session_goes_on_without_a_proxy(void **state)
{
    (void)state;
    house_test(house_new(6, 1, NULL), no_port_is_to_be_had);
}

static void no_descriptor_is_left(struct house *house)
{
    struct process *process = &house->world.server_process;
    struct house_client *clients[8];

    house_agent(house, 0, &remote_own_all);
    house_await(house, 0);
    process->descriptors_max = process->descriptors + 3;
    for (size_t i = 0; i < 8; i++) {
        clients[i] = house_client(house, 0, 1000000);
        clients[i]->reads_from_us = SIM_NEVER;
    }
    house_run(house, 2000);
    process->descriptors_max = 65536;
    size_t whole = 0;
    for (size_t i = 0; i < 8; i++) {
        clients[i]->reads_from_us = 1;
        house_run(house, 1000);
        assert_true(clients[i]->whole != clients[i]->broken);
        whole += clients[i]->whole ? 1 : 0;
    }
    assert_int_equal(whole, 3);
    assert_true(sim_tally(house->sim)->met[MET_ACCEPT_EXHAUSTED] > 0);
    expect_whole(house, 0, 5000);
    expect_idle(house);
}

static void exhausted_descriptors_refuse_the_newcomer_only(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 8; seed++) {
        house_test(house_new(seed, 1, NULL), no_descriptor_is_left);
    }
}

/* The n-th reservation from now is refused, and count after it. */
static uint32_t refuse_in, refuse_count;
static bool refuse_fired;

static void memory_is_refused(struct house *house)
{
    struct process *process = &house->world.server_process;
    struct house_client *slow;

    server_stop(house->world.server);
    house_run(house, 10);
    process->refuse_in = refuse_in;
    process->refuse_count = refuse_count;
    server_start(house->world.server);
    house_agent(house, 0, &remote_own_all);
    house_run(house, 30000);
    slow = house_client(house, 0, 600000);
    slow->reads_from_us = SIM_NEVER;
    for (uint64_t i = 1; i < 4; i++) {
        house_client(house, 0, i * 700);
    }
    house_run(house, 2000);
    slow->reads_from_us = 1;
    house_run(house, 2000);
    for (const struct house_client *client = house->clients; client != NULL;
         client = client->next) {
        if (client->whole == (client->broken || client->refused) ||
            client->short_end) {
            sim_fail(house->sim, "liveness",
                     "a client of %u said %u and heard %u: %s%s%s",
                     (unsigned)client->size, (unsigned)client->said,
                     (unsigned)client->heard, client->whole ? "whole" : "",
                     client->short_end ? "short" : "", client->answer);
        }
    }
}

/* Every reservation of the scenario fails once, alone and with all that
 * follow for a while, and nothing is left behind. */
static void refused_memory_is_survived(struct house *house)
{
    struct process *process = &house->world.server_process;

    memory_is_refused(house);
    refuse_fired =
        process->refuse_in == 0 ||
        (process->refuse_in == 1 && process->refuse_count < refuse_count);
    process->refuse_in = 0;
    process->refuse_count = 0;
    house_run(house, 30000);
    house_await(house, 0);
    expect_whole(house, 0, 5000);
    expect_idle(house);
}

static void every_reservation_may_be_refused(void **state)
{
    (void)state;
    refuse_fired = true;
    for (refuse_in = 1; refuse_fired && refuse_in < 500; refuse_in++) {
        for (refuse_count = 0; refuse_count < 6; refuse_count += 5) {
            struct house *house = house_new(8, 1, NULL);
            struct sim_failure failure = {.step = 0};
            if (!house_run_body(house, refused_memory_is_survived, &failure)) {
                sim_last_lines(house->sim, house_print, NULL);
                fail_msg("reservation %u and %u more: %s: %s", refuse_in,
                         refuse_count, failure.oracle, failure.message);
            }
            house_free(house);
        }
    }
    assert_in_range(refuse_in, 9, 499);
}

/* ---- drains -------------------------------------------------------------- */

static void it_drains_behind_a_client(struct house *house)
{
    struct house_client *client;

    house_agent(house, 0, &remote_own_all);
    house_await(house, 0);
    client = house_client(house, 0, 300000);
    client->reads_from_us = sim_now_us(house->sim) + 50 * SIM_MS;
    house_run(house, 2);
    server_stop(house->world.server);
    house_run(house, 20);
    assert_true(server_is_running(house->world.server));
    house_run(house, 5000);
    assert_true(client->whole);
    assert_false(server_is_running(house->world.server));
    server_start(house->world.server);
    house_await(house, 0);
    expect_whole(house, 0, 5000);
    expect_idle(house);
}

static void it_drains_behind_nobody_for_ever(struct house *house)
{
    struct house_client *client;

    house_agent(house, 0, &remote_own_all);
    house_await(house, 0);
    client = house_client(house, 0, 3000000);
    client->reads_from_us = SIM_NEVER;
    house_run(house, 100);
    server_stop(house->world.server);
    house_run(house, 40000);
    assert_false(server_is_running(house->world.server));
    assert_true(sim_tally(house->sim)->met[MET_DRAIN_LATE] > 0);
    client->reads_from_us = 1;
    house_run(house, 100);
    assert_true(client->broken && !client->short_end);
}

static void a_drain_waits_and_ends(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 8; seed++) {
        house_test(house_new(seed, 1, NULL), it_drains_behind_a_client);
        house_test(house_new(seed, 1, NULL), it_drains_behind_nobody_for_ever);
    }
}

static void it_crashes_under_load(struct house *house)
{
    house_agent(house, 0, &remote_own_all);
    house_await(house, 0);
    for (uint64_t i = 0; i < 6; i++) {
        house_client(house, 0, 200000);
    }
    house_run(house, 3 + house->plan.seed % 5);
    server_crash(house->world.server, PROCESS_EXITS);
    process_expect_empty(&house->world.server_process);
    house_run(house, 100);
    server_start(house->world.server);
    house_await(house, 0);
    expect_whole(house, 0, 5000);
    expect_idle(house);
}

static void a_crash_leaves_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 8; seed++) {
        house_test(house_new(seed, 1, NULL), it_crashes_under_load);
    }
}

static const struct CMUnitTest tests[] = {
    REQ("Q-04,AC-06", every_byte_comes_back),
    REQ("AC-15,L-04", a_second_session_displaces_the_first),
    REQ("H-02,L-04", a_revoked_agent_is_gone),
    REQ("H-02,AC-16", no_step_of_an_upgrade_outlives_its_key),
    REQ("AC-16,L-08", strangers_have_no_effect),
    REQ("AC-13", a_session_goes_on_without_a_proxy),
    REQ("L-02,Q-04", exhausted_descriptors_refuse_the_newcomer_only),
    REQ("L-02,Q-04", every_reservation_may_be_refused),
    REQ("L-06", a_drain_waits_and_ends),
    REQ("AC-14,Q-04", a_crash_leaves_nothing),
};

RUN(tests)
