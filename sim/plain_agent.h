/* plain_agent.h: the life of an agent that is not ours: it dials, serves
 * streams, dials again after a pause that grows, and stops. What differs from
 * kind to kind is its manner.
 */
#ifndef SIM_PLAIN_AGENT_H
#define SIM_PLAIN_AGENT_H

#include "sim/plain.h"
#include "sim/world.h"

struct plain_agent;

struct plain_manner {
    const char *purpose;   /* of its draws */
    uint64_t pause_us;     /* before it dials again; doubled each time, */
    uint64_t pause_max_us; /* up to this, and back to the first */
    uint64_t steady_us;    /* after a connection that lived so long */
    uint32_t pause_jitter; /* percent of a pause that are drawn */
    bool one_request;      /* of a stream, see sim/relay.h */
    /* The upgrade's head, into a buffer; NULL: the usual one. */
    size_t (*head)(struct plain_agent *agent, char *head, size_t room);
    /* A link was made; set its options. */
    void (*dialled)(struct plain_agent *agent);
    void (*event)(struct plain_agent *agent, const struct plain_event *event);
    /* Move bytes between streams and whatever they end in, after each event and
     * whenever there may be room. True: call again when there is more room. */
    bool (*pump)(struct plain_agent *agent);
    /* What is due; returns when it is to be called next (SIM_NEVER). */
    uint64_t (*tick)(struct plain_agent *agent);
    /* The link is gone (or the process was killed: touch no socket). */
    void (*lost)(struct plain_agent *agent, bool killed);
    /* Orderly end: say good-bye; plain_agent_exit() when done. NULL: at once.
     */
    void (*leave)(struct plain_agent *agent);
};

struct plain_agent {
    const struct plain_manner *manner;
    struct site *site;
    struct sim *sim;
    const char *who; /* of its process */
    char key[WORLD_KEY_SIZE];
    struct chance chance;
    struct path there, back;
    struct plain *link;   /* NULL: it waits for dial_us */
    struct relay *relays; /* sim/relay.h */
    bool holds_last;      /* what an engine says last goes out with FIN */
    struct task task;
    uint64_t dial_us, pause_us;
    uint64_t sessions; /* ever opened */
    uint64_t dials;
    bool stopping, exited;
};

#define PLAIN_HEAD_ROOM 512u
#define PLAIN_OUT_ENOUGH 65536u /* more is not made while so much waits */

void plain_agent_init(struct plain_agent *agent, struct site *site,
                      const char *key, const struct plain_manner *manner);
void plain_agent_stop(struct plain_agent *agent);
/* The process exits: nothing of it is left but the object itself. */
void plain_agent_exit(struct plain_agent *agent);
/* The process was killed. */
void plain_agent_forget(struct plain_agent *agent);
void plain_agent_expect_idle(const struct plain_agent *agent);

/* Something happened to the agent `user`; run everything that can. Also a
 * ready() and a task. */
void plain_agent_run(void *user);
bool plain_agent_is_open(const struct plain_agent *agent);
/* Let go of the link now; it is dialled again after a pause. */
void plain_agent_hang_up(struct plain_agent *agent, enum plain_end end);

#endif
