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
    X(ASK_502, "... 502")                                                  \
    X(ASK_503, "... 503, subsystem")                                       \
    X(LINK_BLOCKED, "a link took less than was to be sent")                \
    X(WINDOW_USED_UP, "a stream's window was used up")                     \
    X(WINDOW_GREW, "a stream was granted more than its first window")      \
    X(FIN_FULL_WINDOW, "a FIN went past a window used up")                 \
    X(RST_CROSSES_FIN, "RST came after our FIN")                           \
    X(RST_AFTER_FIN, "RST went out after a FIN")                           \
    X(PING_CROSSES_PONG, "a ping went out in the turn of a pong")          \
    X(PING_TIMEOUT, "a silent link was found")                             \
    X(PROTOCOL_ERROR, "a session was ended for what its agent sent")       \
    X(ABUSE, "... of which, for too many useless frames")                  \
    X(EARLY_BYTES, "bytes came behind the upgrade's head")                 \
    X(HEAD_LATE, "a head did not come in time")                            \
    X(HEAD_TOO_LARGE, "a head was too large")                              \
    X(UNAUTHORIZED, "a key was refused")                                   \
    X(UNWELCOME, "a key was revoked during its upgrade")                   \
    X(NO_ROOM, "an upgrade was answered with 503")                         \
    X(SUCCESSOR_WAITS, "a session waited for its predecessor")             \
    X(LISTEN_FAILED, "a session went on without a proxy")                  \
    X(LISTEN_LATE, "a proxy came up after its session had closed")         \
    X(PORT_AVOIDED, "a port in quarantine was not taken")                  \
    X(PORT_REGAINED, "an agent got its last port again")                   \
    X(ACCEPT_EXHAUSTED, "no descriptor for an accept")                     \
    X(CLIENT_REFUSED, "a client was refused in words")                     \
    X(SPILL_REFUSED, "no memory for a slow reader's bytes")                \
    X(SESSION_REFUSED, "no memory for a session")                          \
    X(FLUSH_WAITS, "a reset waited for bytes to arrive")                   \
    X(FLUSH_LATE, "... and could not wait any longer")                     \
    X(NOBODY_READS, "both ends had closed and nobody read")                \
    X(DRAINED, "a server drained in time")                                 \
    X(DRAIN_LATE, "a drain's time ran out")                                \
    X(DRAIN_CUT, "a drain was cut short")                                  \
    X(CRASH_BUSY, "a server crashed with live connections")                \
    X(AGENT_LEFT, "an agent took its leave")                               \
    X(AGENT_DRAINED, "our agent drained before it stopped")                \
    X(ENGINE_UNREACHABLE, "our agent answered 502")                        \
    X(POLICY_REFUSED, "our agent refused a request")                       \
    X(ENGINE_REUSED, "a request went over a kept engine connection")       \
    X(PREFACE_LATE, "a stream never said what it is for")

enum met {
#define X(name, text) MET_##name,
    MET_TABLE(X)
#undef X
        METS
};

const char *fault_text(enum fault fault);
const char *met_text(enum met met);

#endif
