/* world.h: one world: a server, remote sites, clients, an operator, and time.
 *
 * A world is made from a plan (sim/plan.h), which is drawn from a seed or read
 * from text. It has two phases: acts and faults of the plan under which safety
 * must hold; then everything is healed, and all that is left must come to an
 * end within bounded virtual time (liveness), and leave nothing behind.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/plan.h"
#include "sim/process.h"
#include "sim/sim.h"
#include "sim/socket.h"

#define WORLD_UUID_SIZE 16u
#define WORLD_KEY_SIZE 76u /* KEY_LENGTH characters and a NUL */

struct server;   /* sim/server.h */
struct remote;   /* sim/remote.h: an agent's life, of any kind */
struct engine;   /* sim/engine.h: the Docker engine beside it */
struct clients;  /* sim/client.h: every client of every proxy */
struct asks;     /* sim/ask.h: container lists asked of the server */
struct requests; /* sim/request.h: what was asked, and what engines did */

/* A remote host: an agent beside an engine. */
struct site {
    uint32_t index;
    struct world *world;
    uint8_t uuid[WORLD_UUID_SIZE];
    char key[WORLD_KEY_SIZE]; /* what its agent authenticates with */
    bool provisioned;         /* the operator has made it, and not deleted it */
    bool revoked;
    enum remote_kind kind;
    struct process agent_process;
    struct process engine_process;
    struct remote *remote; /* NULL: its agent is not running */
    struct engine *engine;
    struct path there, back; /* its link's conditions: agent to server, back */
    struct path local;   /* inside a host: agent to engine, client to proxy */
    struct socket *link; /* the agent's end of its newest connection to the
                            server, for link faults; NULL: none */
    uint64_t cut_link;   /* number of a link that is cut or to be; 0: none */
    uint64_t refused_us; /* when its proxy last refused a client in words */
};

struct world {
    struct sim *sim;
    const struct plan *plan;
    struct process server_process;
    struct process clients_process; /* all Docker clients are one process */
    struct server *server;
    struct site *sites; /* plan->sites of them */
    struct clients *clients;
    struct asks *asks;
    struct requests *requests; /* made by sim/request.c */
    bool healed; /* second phase: no new faults, everybody is willing */
};

/* Run the plan to its end. False: *failure says what broke. result: counts and
 * the hash; also after a failure. watch: NULL, or what is told of the trace. */
struct world_watch {
    bool prints; /* the trace goes to stdout as it is told */
    bool keeps;  /* the whole story is handed over at the end */
    void (*story)(void *user, const char *text);
    void (*line)(void *user, const char *text); /* the last lines, after a
                                                   failure */
    void *user;
};
struct world_result {
    uint64_t hash, steps, virtual_us;
    uint64_t requests, requests_failed, bytes;
    struct sim_tally tally;
};
bool world_run(const struct plan *plan, const struct world_watch *watch,
               struct world_result *result, struct sim_failure *failure);

#endif
