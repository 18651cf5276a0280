/* traffic.h: all the transfers of one session, and its books. */
#ifndef CONFORMANCE_HOST_TRAFFIC_H
#define CONFORMANCE_HOST_TRAFFIC_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "conformance/host/frames.h"
#include "conformance/host/plan.h"
#include "conformance/host/transfer.h"

#define TRAFFIC_JOBS_MIN (2 * PLAN_BATCH_MAX)

struct traffic {
    struct transfer_run run;
    unsigned jobs; /* transfers at one time */
    struct transfer *transfers;
    unsigned theirs; /* of them, the next that they are to open */
    struct {
        unsigned first, count, offered;
        bool answered;
        struct ask ask;
    } batch;          /* that they are opening; count 0: none */
    unsigned offered; /* in all */
    struct frames frames;
};

/* config: yours, as long as this. */
void traffic_create(struct traffic *traffic, const struct plan_config *config,
                    unsigned jobs, struct yamux *yamux);
void traffic_destroy(struct traffic *traffic);

/* Does what can be done now; run.wrong says what is not as it should be. */
void traffic_step(struct traffic *traffic, uint64_t now_ms);
bool traffic_is_done(const struct traffic *traffic);

/* The books of a session whose transfers have all ended. */
void traffic_audit(struct traffic *traffic);

/* A line a kind, and the sum; or what hangs. */
void traffic_print(const struct traffic *traffic, FILE *file);
void traffic_print_unfinished(const struct traffic *traffic, FILE *file);

#endif
