/* mark.h: what is counted over worlds: faults by the state they hit, and things
 * that must happen somewhere for a run of many seeds to be worth its name.
 *
 * Extend the tables; every row is a name and what the final table prints.
 */
#ifndef SIM_MARK_H
#define SIM_MARK_H

#define FAULT_TABLE(X)                           \
    X(LINK_STALL, "link stalled")                \
    X(LINK_HALF_OPEN, "link half-open")          \
    X(LINK_RESET, "link reset")                  \
    X(LINK_FINISH, "link half-closed")           \
    X(LINK_CUT, "link cut at a byte")            \
    X(AGENT_KILL, "agent killed")                \
    X(AGENT_VANISH, "agent's host gone")         \
    X(AGENT_TWICE, "agent connects twice")       \
    X(ENGINE_KILL, "engine killed")              \
    X(ENGINE_HANG, "engine hangs")               \
    X(ENGINE_HALF_ANSWER, "engine answers half") \
    X(CLIENT_VANISH, "client vanishes")          \
    X(CLIENT_RESET, "client resets")             \
    X(CLIENT_STALL, "client stops reading")      \
    X(SERVER_CRASH, "server crashes")            \
    X(SERVER_DRAIN, "server drains")             \
    X(BIND_FAILS, "listener cannot bind")        \
    X(NO_DESCRIPTOR, "descriptors exhausted")    \
    X(NO_MEMORY, "reservation refused")          \
    X(STORE_FAILS, "store refuses")              \
    X(CLOCK_JUMP, "clock jumps")                 \
    X(KEY_REVOKED, "key revoked")                \
    X(KEY_ROTATED, "key rotated")                \
    X(AGENT_DELETED, "agent deleted")            \
    X(HOSTILE, "hostile frame")

enum fault {
#define X(name, text) FAULT_##name,
    FAULT_TABLE(X)
#undef X
        FAULTS
};

/* The state of the session that a fault hits: enum agent_state, or none. */
enum fault_state {
    FAULT_STATE_NONE,
    FAULT_STATE_WAITING,
    FAULT_STATE_SERVING,
    FAULT_STATE_BUSY, /* serving, with live connections */
    FAULT_STATE_DRAINING,
    FAULT_STATE_CLOSING,
    FAULT_STATES
};

#define MET_TABLE(X)                                            \
    X(DISPLACED, "a session was displaced")                     \
    X(DISPLACED_BLOCKED, "... while a write to it was blocked") \
    X(REQUEST_DONE, "a request was answered whole")             \
    X(REQUEST_ERROR, "a request ended with an error its client saw")

enum met {
#define X(name, text) MET_##name,
    MET_TABLE(X)
#undef X
        METS
};

const char *fault_text(enum fault fault);
const char *met_text(enum met met);

#endif
