/* direct.h: clients at the engines themselves, without anything between: the
 * control experiment. Whatever a judge says here, it says of the fakes.
 */
#ifndef SIM_TEST_DIRECT_H
#define SIM_TEST_DIRECT_H

#include "sim/client.h"
#include "sim/engine.h"
#include "sim/request.h"

#define DIRECT_SITES 2u

struct direct {
    struct world world;
    struct site sites[DIRECT_SITES];
    void (*body)(struct direct *direct); /* what is to happen */
    enum client_kind kind;               /* for bodies to use */
    enum engine_mood mood;
    enum engine_lie lie;
    uint64_t amount;
    struct sim_failure failure;
    struct sim_tally tally; /* set at the end */
    struct clients_tally clients;
    uint64_t hash;
    char story[4096];
};

/* Make the world, run the body, then everything to its end and the checks that
 * nothing is left. True: nothing failed. */
bool direct_run(struct direct *direct, uint64_t seed);

void direct_client(struct direct *direct, uint32_t site, enum client_kind kind,
                   uint64_t amount);
void direct_run_for(struct direct *direct, uint64_t us);
void direct_kill_engine(struct direct *direct, uint32_t site,
                        enum process_end how);
void direct_start_engine(struct direct *direct, uint32_t site);

#endif
