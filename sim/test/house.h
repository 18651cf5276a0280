/* house.h: a small world for tests of the modelled server: the real one, sites
 * with agents of any kind, engines that say back what they hear, and clients
 * that want it back.
 */
#ifndef SIM_TEST_HOUSE_H
#define SIM_TEST_HOUSE_H

#include "sim/remote.h"
#include "sim/server.h"

#define HOUSE_SITES_MAX 4u

struct house;

/* A client of a site's proxy: it says size keyed bytes, then FIN, and wants
 * them all back, then FIN. Of an HTTP engine it asks for size bytes. */
struct house_client {
    struct house *house;
    struct house_client *next;
    struct socket *socket; /* NULL: over */
    uint32_t site;
    uint64_t size, said, heard;
    uint64_t reads_from_us; /* reads nothing before */
    bool http;              /* it is a request for size bytes */
    bool refused;           /* could not connect */
    bool whole;             /* all came back, then FIN */
    bool broken;            /* reset */
    bool short_end;         /* FIN before all of it: never allowed (O2) */
    char answer[64];        /* the first bytes that came */
};

struct house {
    struct sim *sim;
    struct plan plan;
    struct world world;
    struct site sites[HOUSE_SITES_MAX];
    const struct remote_ops *ops[HOUSE_SITES_MAX];
    struct house_client *clients;
    uint64_t accepted; /* by engines, ever */
};

/* A world with a running server and provisioned sites. */
struct house *house_new(uint64_t seed, uint32_t sites, const struct path *path);
void house_free(struct house *house);

void house_engine(struct house *house, uint32_t site);
void house_agent(struct house *house, uint32_t site,
                 const struct remote_ops *ops);
void house_kill_agent(struct house *house, uint32_t site, enum process_end end);
struct house_client *house_client(struct house *house, uint32_t site,
                                  uint64_t size);
struct house_client *house_request(struct house *house, uint32_t site,
                                   const char *head);
/* Steps, with every check, for so long. */
void house_run(struct house *house, uint64_t ms);
/* ... until the site has a proxy, 60 s at most. */
void house_await(struct house *house, uint32_t site);

/* Run body(house), then free the house; fails the test unless it went well. */
void house_test(struct house *house, void (*body)(struct house *house));
void house_print(void *user, const char *text); /* to stderr */
/* The house is still yours; false: *failure says why. */
bool house_run_body(struct house *house, void (*body)(struct house *house),
                    struct sim_failure *failure);
/* The same as house_test() for what must fail: with this oracle. */
void house_test_fails(struct house *house, void (*body)(struct house *house),
                      const char *oracle);

#endif
