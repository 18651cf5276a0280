/* mux_internal.h: what the mux's own files share. Private to core/mux*.c and
 * to tests that must reach a state which would take 2^31 streams to reach.
 *
 * mux.c         configuration, streams, time, questions
 * mux_in.c      bytes in: mux_receive()
 * mux_out.c     bytes out: mux_emit_*(), whose turn it is
 * mux_window.c  how large a receive window is worth
 */
#ifndef CORE_MUX_INTERNAL_H
#define CORE_MUX_INTERNAL_H

#include "core/mux.h"
#include "core/stream_table.h"

#define MUX_PONGS_MAX 128u            /* D23; a burst of 100 fits (P-07) */
#define MUX_UNANSWERED_MAX 1000u      /* D23: pings in MUX_UNANSWERED_MS */
#define MUX_UNANSWERED_MS 10000u      /* D23 */
#define MUX_REFUSED_MAX 256u          /* D28 */
#define MUX_LATE_FRAMES 4u            /* ACK, FIN or RST, two window updates */
#define MUX_STREAM_ID_MAX 0xfffffffdu /* D10 */
#define MUX_STREAM_ID_LOW 0x80000000u /* D10 */

/* Where the parser stands within a frame: one step, at most one event. */
enum mux_phase {
    MUX_PHASE_HEADER,
    MUX_PHASE_ANSWER,  /* what the frame says about our open; ACK */
    MUX_PHASE_EFFECT,  /* credit; may the payload be delivered? */
    MUX_PHASE_PAYLOAD, /* handed out, or drained */
    MUX_PHASE_FINISH,  /* FIN, RST: after the last payload byte (D3) */
    MUX_PHASE_END,     /* both sides have finished */
    MUX_PHASES
};

struct mux_parser {
    enum mux_phase phase;
    uint32_t have;         /* bytes of the header */
    uint32_t payload_left; /* bytes of this frame, not taken yet */
    struct stream *stream; /* that this frame acts on; NULL: none (any more) */
    struct wire_header header;
    uint8_t bytes[WIRE_HEADER_SIZE];
};

enum mux_side { MUX_OURS, MUX_PEERS, MUX_SIDES }; /* who opened it */

enum mux_ping { MUX_PING_NONE, MUX_PING_OWED, MUX_PING_SENT };

struct mux {
    struct mux_config config;
    struct stream_table table;
    enum status status;
    uint64_t now_ms; /* of the last call that told */

    /* streams */
    uint32_t used[MUX_SIDES]; /* slots, dead streams that owe included */
    uint32_t owing;           /* of these: dead */
    uint32_t unacked;         /* ours, not answered */
    uint32_t next_id;         /* that we open */
    uint32_t peer_max; /* highest id that the peer ever opened; 0: none */

    struct mux_parser parser;
    bool blamed; /* the session failed by the frame in parser.bytes */

    uint32_t grown; /* bytes of windows beyond recv_window */

    /* output */
    uint32_t quantum;   /* wire bytes of a whole turn */
    uint32_t turn_left; /* wire bytes that the first ready stream may send */
    uint32_t turns;     /* that ended; wraps */
    bool go_away_owed;  /* failed: tell the peer */
    bool draining;
    bool tell_peer;
    bool go_away_sent; /* GO_AWAY(0) */
    bool peer_going_away;

    /* liveness (L-01) */
    uint64_t silence_ms; /* when the next silent interval will be over */
    uint32_t missed;
    enum mux_ping ping;
    uint32_t ping_opaque; /* of the ping that is owed or sent */
    uint64_t ping_sent_ms;
    uint64_t rtt_ms;
    uint64_t round_trip_ms; /* the shortest; UINT64_MAX: none yet */
    uint64_t heard_ms;      /* when the latest bytes came */
    uint64_t silent_ms;     /* when the latest long silence began */

    /* abuse (D37): a token bucket in thousandths, and what is owed to late
     * frames on streams that we have ended ourselves */
    uint64_t tokens;
    uint64_t tokens_ms; /* when it was last filled */
    uint64_t late_bytes;
    uint64_t late_frames;
    uint64_t unanswered_ms; /* when this period began */
    uint32_t unanswered;    /* pings dropped in this period */

    struct mux_counters counters;

    /* replies that have no stream to carry them; last, for they are rarely
     * touched */
    uint32_t pong_first, pong_count;
    uint32_t refused_first, refused_count;
    uint32_t pongs[MUX_PONGS_MAX];
    uint32_t refused[MUX_REFUSED_MAX];
};

bool mux_is_ours(const struct mux *mux, uint32_t id);
void mux_observe(struct mux *mux, uint64_t now_ms);
uint64_t mux_later(uint64_t now_ms, uint64_t delay_ms); /* saturates */

/* Fail, if it has not failed already. */
void mux_doom(struct mux *mux, enum status status);
void mux_failed_event(const struct mux *mux, struct mux_event *event);

/* Which frames the stream owes; keeps it in the list of those that do. */
void mux_owe(struct mux *mux, struct stream *stream, unsigned owes);
void mux_forgive(struct mux *mux, struct stream *stream, unsigned owes);

/* Send a ping soon, unless one is under way (D24). */
void mux_ask(struct mux *mux);

/* Bytes handed out and not consumed. */
static inline uint32_t mux_unconsumed(const struct mux *mux,
                                      const struct stream *stream)
{
    uint32_t held = stream->window - stream->granted - stream->credit;

    return mux->parser.stream == stream ? held - mux->parser.payload_left
                                        : held;
}

/* Is the window as large as it should be? mux_measure: all its credit is about
 * to be granted; changes window and credit, never to 0. mux_hear: bytes
 * come at another time than the latest. mux_arrive: payload of this length is
 * about to be handed out, the first after a silence of half a round trip.
 * mux_take: something was consumed. mux_measure_anew: from now on. */
void mux_measure(struct mux *mux, struct stream *stream);
void mux_hear(struct mux *mux);
void mux_arrive(struct mux *mux, struct stream *stream, uint32_t length);
void mux_measure_anew(struct mux *mux, struct stream *stream);
static inline void mux_take(const struct mux *mux, struct stream *stream,
                            uint32_t length)
{
    uint64_t took_ms = mux->now_ms - stream->since_ms;

    stream->taken += length;
    stream->took_ms = took_ms < UINT32_MAX ? (uint32_t)took_ms : UINT32_MAX;
}

/* What a window, or all of them, grew by is free for others. */
void mux_return(struct mux *mux, struct stream *stream);
void mux_return_all(struct mux *mux);

/* The stream is answered or accepted: its timer stops. */
void mux_settle(struct mux *mux, struct stream *stream, enum stream_move move);

/* After any change of ready or send_window: has it a turn to come? */
void mux_queue(struct mux *mux, struct stream *stream);
void mux_leave(struct mux *mux, struct stream *stream); /* its turn is over */
struct stream *mux_sender(const struct mux *mux); /* who is next, or NULL */

/* The end of a stream. mux_end: the frames it owes go out, then its slot is
 * free. mux_abandon: RST instead. mux_release: its slot is free now. */
void mux_end(struct mux *mux, struct stream *stream);
void mux_abandon(struct mux *mux, struct stream *stream);
void mux_release(struct mux *mux, struct stream *stream);

bool mux_control_is_pending(const struct mux *mux);

#endif
