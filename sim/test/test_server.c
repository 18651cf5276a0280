/* The modelled server and our own agent, over every kind of link. */
#include "core/test/req.h"
#include "sim/test/house.h"

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

static const struct CMUnitTest tests[] = {
    REQ("Q-04,AC-06", every_byte_comes_back),
};

RUN(tests)
