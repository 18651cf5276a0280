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

#define MET_TABLE(X)                                                       \
    X(DISPLACED, "a session was displaced")                                \
    X(DISPLACED_BLOCKED, "... while a write to it was blocked")            \
    X(REQUEST_DONE, "a request was answered whole")                        \
    X(REQUEST_ERROR, "a request ended with an error its client saw")       \
    X(HIJACK_CLIENT_FIRST, "a hijack was half-closed by its client first") \
    X(HIJACK_ENGINE_FIRST, "... by its engine first")                      \
    X(HIJACK_DAY, "... and answered a day later")                          \
    X(BOTH_FINS, "the last bytes and both FINs went in one burst")         \
    X(PIPELINED, "pipelined requests were all answered")                   \
    X(PIPELINED_ENGINE_DIED, "an engine died before pipelined requests")   \
    X(KEPT_ALIVE, "eight requests were answered on one connection")        \
    X(ONE_REQUEST, "an answer closed a connection with requests left")     \
    X(EARLY_ANSWER, "an engine answered before the body was there")        \
    X(ENGINE_REFUSED, "an engine closed a connection at once")             \
    X(STATUS_400, "a client was told 400")                                 \
    X(STATUS_403, "a client was told 403")                                 \
    X(STATUS_502, "a client was told 502")                                 \
    X(STATUS_503, "a client was told 503")                                 \
    X(STATUS_504, "a client was told 504")                                 \
    X(CONNECT_REFUSED, "a client found no proxy")                          \
    X(CUT_BY_FIN, "a client saw a body end too soon by FIN")               \
    X(CUT_BY_RESET, "... by RST")                                          \
    X(ENGINE_FIN_TRUE, "a short hijack by FIN was the engine's own")       \
    X(SENT_AGAIN, "a request was sent to its engine twice")                \
    X(BULK_MEGABYTE, "a megabyte came whole")                              \
    X(UPLOAD_MEGABYTE, "a megabyte went up whole")                         \
    X(SMALL_WHILE_BULK, "a small request was timed while bulk flowed")     \
    X(ASK_200, "a container list came")                                    \
    X(ASK_400, "... was answered 400")                                     \
    X(ASK_404, "... 404")                                                  \
    X(ASK_500, "... 500")                                                  \
    X(ASK_502, "... 502")                                                  \
    X(ASK_503, "... 503, subsystem")                                       \
    X(ASK_503_DAEMON, "... 503, daemon")                                   \
    X(ASK_504, "... 504")

enum met {
#define X(name, text) MET_##name,
    MET_TABLE(X)
#undef X
        METS
};

const char *fault_text(enum fault fault);
const char *met_text(enum met met);

#endif
