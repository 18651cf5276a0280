/* plain_mux.h: one end of a yamux session, written from the specification, one
 * straightforward function a rule; it shares no code with core/mux.c.
 *
 * It is the reference: whatever the other end sends is checked against the
 * specification and the careful subset of it that our server promises (D4), and
 * what does not hold ends the run ("reference"). Credit is added up in 64 bits
 * and never cut. Streams are found by walking a list; nothing is bounded but by
 * the windows.
 *
 * An agent takes streams and opens none. For tests the other end can be played,
 * too.
 */
#ifndef SIM_PLAIN_MUX_H
#define SIM_PLAIN_MUX_H

#include "sim/plain_ws.h"

#define PLAIN_WINDOW 262144u

enum plain_type { PLAIN_DATA, PLAIN_WINDOW_UPDATE, PLAIN_ECHO, PLAIN_GO_AWAY };
enum plain_flag { PLAIN_SYN = 1, PLAIN_ACK = 2, PLAIN_FIN = 4, PLAIN_RST = 8 };

struct plain_frame {
    uint8_t version, type;
    uint16_t flags;
    uint32_t id, length;
};

struct plain_stream {
    struct plain_stream *next;
    uint32_t id;
    void *user;
    struct plain_bytes in; /* received and not read */
    uint64_t granted;      /* since it was opened: what they may send us, */
    uint64_t received;     /* what they did, */
    uint64_t read;         /* and what was read of it; */
    uint64_t allowed;      /* what we may send them, */
    uint64_t sent;         /* and what we did */
    bool acked;            /* the one who did not open has said so */
    bool finished_in, finished_out, reset_in;
    bool owes_ack; /* accepted, and no frame has gone out since */
};

/* What is remembered of a stream that was forgotten: late frames of it may come
 * (yamux I12), others may not. */
struct plain_past {
    bool opened, over, finished_in, reset_in;
    uint64_t left; /* bytes that they may still send */
};

struct plain_mux {
    struct sim *sim;
    struct plain_ws *ws;
    bool client;       /* of yamux: even ids are the other's */
    bool guilty;       /* see plain_ws.h */
    bool two_writes;   /* header and body are messages of their own */
    bool grants_late;  /* credit also when the other has finished */
    bool acks_late;    /* the ACK is a flag of the first frame it has to send */
    uint32_t window;   /* that a stream is given, >= PLAIN_WINDOW */
    uint32_t grant_at; /* bytes read that make a window update */
    uint32_t frame_max; /* payload of a frame */
    struct plain_stream *streams;
    uint32_t stream_count;
    uint32_t last_in, next_out; /* ids: the newest of theirs, our next */
    struct plain_past *past;    /* by id / 2 */
    size_t past_room;
    uint32_t next_ping, answered; /* opaques of ours: sent below, heard below */
    bool going_away_in, going_away_out;
    uint64_t frames_in, frames_out;
};

enum plain_event_kind {
    PLAIN_OPENED,   /* stream: answer it with accept or reset */
    PLAIN_ARRIVED,  /* stream: bytes or FIN */
    PLAIN_ACCEPTED, /* stream: of ours, the first frame came */
    PLAIN_RESET,    /* stream: forget it; what was not read is void */
    PLAIN_PINGED,   /* value: answer with this */
    PLAIN_PONGED,   /* value: of plain_mux_ping() */
    PLAIN_LEAVING   /* value: code of the go-away */
};

struct plain_event {
    enum plain_event_kind kind;
    struct plain_stream *stream;
    uint32_t value;
};

void plain_mux_init(struct plain_mux *mux, struct plain_ws *ws, bool client);
void plain_mux_free(struct plain_mux *mux);

/* The next thing that the bytes in ws->data say. */
bool plain_mux_next(struct plain_mux *mux, struct plain_event *event);

struct plain_stream *plain_mux_open(struct plain_mux *mux);
void plain_mux_accept(struct plain_mux *mux, struct plain_stream *stream);
/* The ACK in a frame of its own, if it is still owed. */
void plain_mux_acknowledge(struct plain_mux *mux, struct plain_stream *stream);
void plain_mux_reset(struct plain_mux *mux, struct plain_stream *stream);
void plain_mux_finish(struct plain_mux *mux, struct plain_stream *stream);
/* Drop it without a word: both have finished, or it was reset. */
void plain_mux_forget(struct plain_mux *mux, struct plain_stream *stream);
bool plain_mux_is_done(const struct plain_stream *stream);

/* What may be written now, in one frame. */
size_t plain_mux_room(const struct plain_mux *mux,
                      const struct plain_stream *stream);
void plain_mux_write(struct plain_mux *mux, struct plain_stream *stream,
                     const uint8_t *bytes, size_t length);
/* The same, and FIN in the same frame. */
void plain_mux_write_last(struct plain_mux *mux, struct plain_stream *stream,
                          const uint8_t *bytes, size_t length);
/* Drop length bytes from stream->in, and give credit for them when due. */
void plain_mux_read(struct plain_mux *mux, struct plain_stream *stream,
                    size_t length);

uint32_t plain_mux_ping(struct plain_mux *mux);
void plain_mux_pong(struct plain_mux *mux, uint32_t value);
void plain_mux_go_away(struct plain_mux *mux, uint32_t code);

/* Any frame at all, with a body of body_length bytes, which need not be what
 * length says. */
void plain_mux_frame(struct plain_mux *mux, const struct plain_frame *frame,
                     const uint8_t *body, size_t body_length);

#endif
