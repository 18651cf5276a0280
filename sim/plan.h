/* plan.h: what happens in a world: options and a list of acts.
 *
 * Everything that the outside does to the system is an act with its time, drawn
 * from the seed before the world begins (swarm testing: each seed leaves a
 * drawn part of all kinds out and weighs the others from 1 to 100). A plan is
 * also a text, one line an option or act, so that it can be shrunk, kept and
 * read:
 *
 *     seed 42
 *     sites 2
 *     phase-ms 60000
 *     0 agent-start 0 own
 *     120 client 0 get 1048576
 *     900 link-reset 0
 */
#ifndef SIM_PLAN_H
#define SIM_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What sits at the far end of a link. */
#define REMOTE_TABLE(X)                                                    \
    X(OWN, "own")         /* our core, client role, policy read-only */    \
    X(OWN_ALL, "own-all") /* the same, allow-all: bytes pass unread */     \
    X(NAIVE, "naive")     /* written from the spec; shares no code */      \
    X(GO, "go")           /* the field agent: one request a stream */      \
    X(GO_RAW, "go-raw")   /* the same, a plain relay behind the preface */ \
    X(HOSTILE, "hostile") /* breaks a drawn rule at a drawn time */

enum remote_kind {
#define X(name, text) REMOTE_##name,
    REMOTE_TABLE(X)
#undef X
        REMOTE_KINDS
};

/* site, variety and amount mean what the row says; unused ones are 0. */
#define ACT_TABLE(X)                                                           \
    X(AGENT_START, "agent-start") /* site's agent starts; variety: kind */     \
    X(AGENT_STOP, "agent-stop")   /* orderly, SIGTERM */                       \
    X(AGENT_KILL, "agent-kill")   /* variety: enum process_end; comes back     \
                                     after amount ms, 0: stays away */         \
    X(AGENT_TWICE, "agent-twice") /* a second agent with the same key */       \
    X(LINK_STALL, "link-stall")   /* for amount ms; variety 1: server's way */ \
    X(LINK_CUT, "link-cut")       /* variety: 0..2 enum socket_cut of what the \
                                     agent sends, 3..5 of what the server      \
                                     sends; amount bytes from now */           \
    X(CLIENT, "client")           /* a client of site's proxy; variety: what   \
                                     it does (sim/client.h), amount: size */   \
    X(ASK, "ask")                 /* a container list; variety: which server   \
                                     record (sim/ask.h) */                     \
    X(ENGINE_KILL, "engine-kill") /* back after amount ms, 0: stays away */    \
    X(ENGINE_MOOD, "engine-mood") /* variety: sim/engine.h; for amount ms */   \
    X(PROVISION, "provision")     /* site's agent is made (again) */           \
    X(REVOKE, "revoke")                                                        \
    X(ROTATE, "rotate")                                                        \
    X(DELETE, "delete")                                                        \
    X(SERVER_CRASH, "server-crash") /* back after amount ms */                 \
    X(SERVER_STOP, "server-stop")   /* SIGTERM: drain; back after amount ms */ \
    X(BIND_FAILS, "bind-fails")     /* the next amount times */                \
    X(NO_DESCRIPTOR, "no-descriptor") /* server: as many as now + variety, for \
                                         amount ms */                          \
    X(NO_MEMORY, "no-memory")     /* server: the variety-th reservation from   \
                                     now, and amount after it */               \
    X(STORE_FAILS, "store-fails") /* for amount ms */                          \
    X(CLOCK_JUMP, "clock-jump")   /* wall clock, by amount ms; variety 1:      \
                                     back */                                   \
    X(PAUSE, "pause")             /* the server runs nothing for amount ms */

enum act_kind {
#define X(name, text) ACT_##name,
    ACT_TABLE(X)
#undef X
        ACT_KINDS
};

struct act {
    uint64_t at_us;
    enum act_kind kind;
    uint32_t site;
    uint32_t variety;
    uint64_t amount;
};

struct plan {
    uint64_t seed; /* of every draw inside the world */
    uint32_t sites;
    uint64_t phase_us; /* length of the first phase */
    bool permutes;     /* sim/sim.h */
    bool rough;        /* the sites' paths are drawn; else 10 ms, unlimited */
    struct act *acts;  /* ordered by time; from malloc() */
    size_t act_count;
};

#define PLAN_SITES_MAX 2000u
#define PLAN_ACTS_MAX 100000u

/* The plan that this seed means. */
void plan_draw(struct plan *plan, uint64_t seed);
/* False: the text is no plan; error names the line and the remedy, and there is
 * nothing to free. Acts are put in order of time; those of one instant stay as
 * they stand. */
bool plan_read(struct plan *plan, const char *text, char *error,
               size_t error_size);
char *plan_print(const struct plan *plan); /* yours to free() */
/* By time; acts of one instant stay in their order. */
void plan_sort(struct plan *plan);
/* plan: every act of from for which keep[index]; NULL: all. */
void plan_copy(struct plan *plan, const struct plan *from, const bool *keep);
void plan_free(struct plan *plan);

/* "client 0 get 1048576": an act without its time. */
#define ACT_TEXT_SIZE 96u
void act_print(const struct act *act, char text[ACT_TEXT_SIZE]);
/* What the fields of a kind of act mean, for reading and drawing it. */
struct act_shape {
    const char *name;
    bool has_site;
    uint32_t varieties;       /* 0: it has none */
    const char *const *names; /* of the varieties; NULL: they are numbers */
    bool has_amount;
    uint64_t least, most; /* what is drawn */
};
const struct act_shape *act_shape(enum act_kind kind);
const char *remote_name(enum remote_kind kind);

#endif
