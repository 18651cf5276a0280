/* mux.h: one yamux session as a state machine (yamux spec; decisions D1-D45).
 *
 * Conventions
 *
 * The session never reads, writes, waits, allocates or looks at a clock. Bytes
 * from the transport enter through mux_receive(); bytes for the transport are
 * written into the caller's buffer by mux_emit_control() and mux_emit_data();
 * time enters as now_ms, milliseconds of any clock that never goes back.
 *
 * Nothing here calls back, so any function may be called between any two
 * others. A session belongs to one thread.
 *
 * A stream id is live from mux_open() or MUX_STREAM_OFFERED until the first of:
 * MUX_STREAM_ENDED, mux_reset(), mux_finish() returning true. Our own ids are
 * never reused within a session; a peer may reuse its own once they have ended.
 * Naming an id that is not live breaks the contract.
 *
 * Pointers are never NULL unless a comment says so. A span handed out is
 * borrowed: valid until the buffer it points into changes.
 */
#ifndef CORE_MUX_H
#define CORE_MUX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/span.h"
#include "core/status.h"
#include "core/wire.h"

struct mux; /* lives in memory that you provide */

enum mux_role { MUX_CLIENT = 1, MUX_SERVER = 2 }; /* first stream id to open */

#define MUX_PREFACE_MAX 4u

/* By how much receive windows may grow, shared by all the sessions that are
 * given it (Y-04). Yours; it outlives them. */
struct mux_growth {
    uint64_t max;  /* bytes, of all windows together */
    uint64_t used; /* by now; kept by the sessions, 0 at first */
};

struct mux_config {
    enum mux_role role;
    uint32_t outbound_max;      /* live streams that we opened, 0..32768 */
    uint32_t inbound_max;       /* live streams that the peer opened, 0..32768;
                                   one more is refused with RST (D8) */
    uint32_t unacked_max;       /* of ours, opened and not answered yet (D7) */
    uint32_t recv_window;       /* bytes granted a stream, >= 262144 */
    uint32_t growth_max;        /* bytes by which the windows of this session
                                   may grow, together; recv_window and it are
                                   below 2^32 */
    struct mux_growth *growth;  /* and those of all; NULL: they never grow */
    uint32_t frame_payload_max; /* largest DATA payload we send, 1024..262144 */
    uint32_t ping_missed_max;   /* silent intervals until STATUS_PING_TIMEOUT */
    uint64_t ping_interval_ms;  /* silence before each ping; 0: never ping */
    uint64_t open_timeout_ms;   /* unanswered open is reset; 0: wait for ever */
    uint64_t accept_timeout_ms; /* offered and not accepted: reset; 0: never */
    uint32_t useless_burst;     /* frames without effect, token bucket (D37) */
    uint32_t useless_per_s;
    uint32_t refused_max; /* inbound streams refused in the session's life
                             until STATUS_ABUSE (X16); 0: any number */
    uint64_t hash_key[2]; /* any secret: keeps peers from choosing their
                             place in the stream table (D29) */
    uint8_t preface[MUX_PREFACE_MAX]; /* first bytes of every stream we open, */
    uint32_t preface_length;          /* sent right behind its SYN; 0: none */
};

/* The shipped defaults for a role: every number above, D- and L-ids beside
 * each in mux.c. hash_key is zero and the preface empty: set them. */
void mux_config_default(struct mux_config *config, enum mux_role role);

/* Bytes that mux_init() needs for this configuration: a small constant plus at
 * most 80 per stream. Fixed for the life of the session. */
size_t mux_size(const struct mux_config *config);

/* Build a session in memory, which is aligned for max_align_t, at least
 * mux_size() bytes, and ZEROED. Only the constant part is written now: the room
 * of a stream is first touched when a stream first uses it, so that an idle
 * session of a mapped region costs a page or two. There is nothing to release:
 * when done, forget it. */
struct mux *mux_init(void *memory, size_t size, const struct mux_config *config,
                     uint64_t now_ms);

/* ---- bytes in, events out ------------------------------------------------ */

enum mux_event_kind {
    MUX_STREAM_OFFERED,  /* peer opens: answer mux_accept() or mux_reset() */
    MUX_STREAM_ACCEPTED, /* peer answered a stream that we opened */
    MUX_STREAM_DATA,     /* data: next payload bytes; frames are not visible */
    MUX_STREAM_FINISHED, /* no more data from the peer; we may still send */
    MUX_STREAM_ENDED,    /* last event of a stream. STATUS_OK: both sides
                            finished, every byte was delivered. Else why */
    MUX_PEER_GOING_AWAY, /* peer takes no new streams; live ones go on */
    MUX_FAILED           /* last event of the session; every stream died with
                            it and gets no event of its own */
};

struct mux_event {
    enum mux_event_kind kind;
    uint32_t stream;    /* 0 for the last two kinds */
    void *user;         /* as given to mux_open() or mux_accept(); else NULL */
    struct span data;   /* MUX_STREAM_DATA only: points into the input */
    enum status status; /* MUX_STREAM_ENDED and MUX_FAILED; else STATUS_OK */
};

/* Take bytes from the front of *input until one event is ready or no progress
 * is possible; *input is advanced past what was taken. True: *event is set,
 * call again, also when input is now empty. False: input is empty. The session
 * always takes input (Y-05): replies that have no room left are dropped and
 * counted or end the session as abuse (D23, D28), reading never waits for
 * output. Input may be cut anywhere; the events do not depend on where, except
 * that MUX_STREAM_DATA of adjoining pieces are separate events. After
 * MUX_FAILED all input is swallowed silently. */
bool mux_receive(struct mux *mux, uint64_t now_ms, struct span *input,
                 struct mux_event *event);

/* Bytes came that are no input yet, such as the first of a WebSocket frame's
 * header, or never will be, such as a WebSocket ping: a sign of life (L-01). */
void mux_heard(struct mux *mux, uint64_t now_ms);

/* The transport is gone, or this side gives up: the session fails with status
 * (class SESSION) unless it has failed already; what its windows grew by is
 * then given back, so a session that shares a growth fails before it is
 * forgotten. Returns what mux_status() then
 * is. No MUX_FAILED follows: the caller knows. With a go-away code other than 0
 * one GO_AWAY is still owed, see mux_wants(). */
enum status mux_fail(struct mux *mux, enum status status);

/* ---- bytes out ----------------------------------------------------------- */

/* Write pending control frames, whole, while they fit (a SYN goes together with
 * its preface). Returns bytes written, 0 when nothing is pending or capacity is
 * below 32. Written is sent: hand the bytes to the transport, in order, or end
 * the session. */
size_t mux_emit_control(struct mux *mux, uint64_t now_ms, uint8_t *bytes,
                        size_t capacity);

struct mux_sender {
    uint32_t stream;
    void *user;
    size_t quota; /* bytes, 1..frame_payload_max */
};

/* The ready stream whose turn it is (deficit round robin) and how many bytes it
 * may send in one frame now. A question: asking twice gives the same answer.
 * False if none, or while control frames are pending (control goes first). */
bool mux_next_sender(const struct mux *mux, struct mux_sender *sender);

/* From now on a turn, which a stream has while others wait for theirs, is as
 * long as a frame of so much payload: 1..frame_payload_max, more is as that;
 * 65536 at first. Long turns save frames, with short ones others wait less. */
void mux_set_turn(struct mux *mux, uint32_t payload);

/* Frame length payload bytes that you put at frame + WIRE_HEADER_SIZE; the
 * header is written in front of them. 0 < length <= quota of the last
 * mux_next_sender() for that stream. Returns header plus payload. */
size_t mux_emit_data(struct mux *mux, uint32_t stream, uint8_t *frame,
                     size_t length);

/* ---- streams ------------------------------------------------------------- */

/* Open a stream; user comes back in its events. LIMIT statuses
 * (NO_STREAM_SLOT, NO_STREAM_ID, TOO_MANY_UNACKED, GOING_AWAY, DRAINING,
 * SESSION_CLOSED): nothing happened, *stream is not written. */
enum status mux_open(struct mux *mux, uint64_t now_ms, void *user,
                     uint32_t *stream);
void mux_accept(struct mux *mux, uint32_t stream, void *user);

/* Say whether you have bytes for this stream. Not ready streams get no turn. */
void mux_ready(struct mux *mux, uint32_t stream, bool ready);

/* length delivered bytes are out of your hands: the peer may send as many. The
 * window grows if the stream is worth it: if its reader takes as much in a
 * round trip, and growth_max and growth allow (Y-04). */
void mux_consume(struct mux *mux, uint32_t stream, size_t length);

/* No more bytes from us: FIN after all that was emitted. Starts no timer
 * (D20, T11), and stops that of an open: hashicorp/yamux never acknowledges a
 * stream whose FIN came before it was accepted. True: that ended the stream
 * (the peer had finished), the id is dead; its FIN is still emitted. */
bool mux_finish(struct mux *mux, uint32_t stream);

/* Abandon the stream, both ways. The id is dead; no event follows. On an
 * offered stream: refuse. */
void mux_reset(struct mux *mux, uint32_t stream);

/* Take and open no new streams from now on: inbound SYNs are refused, mux_open
 * gives STATUS_DRAINING. GO_AWAY(0) is sent once no stream is live (D22), or at
 * once if tell_peer. */
void mux_go_away(struct mux *mux, bool tell_peer);

/* ---- time and questions -------------------------------------------------- */

/* Let time pass. True: *event is set, call again. Silence is counted in ticks:
 * a tick that comes late, after the process was stopped, counts as one missed
 * interval only, so that the input which waits is read first. */
bool mux_tick(struct mux *mux, uint64_t now_ms, struct mux_event *event);
uint64_t mux_deadline(const struct mux *mux); /* UINT64_MAX: none */

enum mux_wants {
    MUX_WANTS_OUTPUT = 1, /* emit_control or a sender has something */
    MUX_IS_OVER = 2,      /* failed, and nothing is left to emit */
    MUX_IDS_ARE_LOW = 4   /* half of our stream ids are used up: replace the
                             session when it suits you (D10) */
};
unsigned mux_wants(const struct mux *mux);
enum status mux_status(const struct mux *mux); /* sticky; STATUS_OK if alive */
uint32_t mux_stream_count(const struct mux *mux); /* live, both directions */
bool mux_is_live(const struct mux *mux, uint32_t stream);

/* Each departure that is tolerated is counted (D43). Counts only grow. */
struct mux_counters {
    uint64_t frames_in, frames_out;
    uint64_t data_bytes_in, data_bytes_out;
    uint64_t streams_opened, streams_offered, streams_refused;
    uint64_t pings_answered, pings_dropped, pongs_ignored;
    uint64_t unknown_stream_frames, unknown_flags, repeated_acks, repeated_fins;
    uint64_t useless_frames;
};
const struct mux_counters *mux_counters(const struct mux *mux);

/* Round trip of the last answered ping of ours, ms; UINT64_MAX: none yet. */
uint64_t mux_rtt_ms(const struct mux *mux);

/* Bytes by which windows of this session are now larger than recv_window. */
uint32_t mux_grown(const struct mux *mux);

/* The WIRE_HEADER_SIZE bytes of the frame that ended the session, for the log;
 * NULL if no frame did. */
const uint8_t *mux_offending_header(const struct mux *mux);

/* Every stated invariant, O(streams); contract_failed() if one is broken. Runs
 * by itself after each call where INVARIANTS is defined. */
void mux_invariant(const struct mux *mux);

#endif
