/* session.h: the tester's side of a yamux session, for cases.
 *
 * Reading happens only inside calls that wait; each keeps the books below.
 * Pings of the peer are answered meanwhile, unless switched off. Writing waits
 * for room and reads meanwhile, so that an echo cannot block us. Times are
 * milliseconds; `timeout_ms` (T) bounds every wait for something, `grace_ms`
 * is how long to look before saying that nothing comes.
 *
 * Fields are for reading; they belong to session.c, except where it is said.
 */
#ifndef CONFORMANCE_SESSION_H
#define CONFORMANCE_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conformance/case.h"
#include "conformance/channel.h"
#include "conformance/wire.h"

#define STREAM_KEPT 65536u /* bytes of a stream's data that are kept */

/* What we know of one stream id. */
struct stream {
    uint32_t id;
    /* received */
    unsigned frames; /* of all types */
    unsigned syns;   /* frames with SYN, ... */
    unsigned acks;
    unsigned fins;
    unsigned resets;
    struct wire_frame first;     /* the first frame on this id */
    struct wire_frame fin_frame; /* the first with FIN */
    struct wire_frame reset_frame;
    uint64_t received;    /* payload bytes */
    uint64_t after_fin;   /* of these, after its FIN */
    uint64_t after_reset; /* of these, after its RST */
    uint32_t data_frames;
    uint32_t largest; /* payload of one Data frame */
    uint32_t updates; /* window updates with a delta > 0 */
    uint64_t hash;    /* of all payload bytes: session_hash */
    bool pattern;     /* so far, payload byte i is i mod 251 */
    uint8_t *kept;    /* the first bytes, at most STREAM_KEPT */
    /* both ways */
    uint64_t sent;    /* payload bytes that we sent, by any call below */
    uint64_t credit;  /* WIRE_WINDOW + the peer's deltas */
    uint64_t granted; /* WIRE_WINDOW + our deltas */
    uint64_t overrun; /* bytes that came beyond granted */
    bool grants;      /* yours to set: give back what was received */
    /* the preface */
    bool prefaced;         /* the peer gets one on this stream */
    uint64_t preface_left; /* bytes of it that are still to go out */
    uint64_t preface_seen; /* bytes of the peer's that have come */
};

struct session {
    /* settings; the case may change the last four */
    struct channel_target *target;
    bool client;            /* our yamux role */
    bool slow;              /* --slow: long waits are allowed */
    uint64_t seed;          /* state of session_random */
    int peer_pid;           /* 0: unknown */
    bool cuts;              /* session_write cuts at random places */
    unsigned timeout_ms;    /* T */
    const uint8_t *preface; /* how every stream begins */
    size_t preface_length;
    const struct channel_target *control; /* where commands go; NULL: none */
    const char *mirror; /* what a stream does that the peer opens in place of
                         * ours; NULL: we open them */
    unsigned grace_ms;
    bool answers_pings; /* true at first */
    bool grants;        /* every stream: give back what was received */
    /* books */
    struct channel *channel;
    bool closed;                 /* the connection has ended */
    bool reset;                  /* ... by an RST or garbage, not an EOF */
    unsigned goaways;            /* received */
    struct wire_frame goaway;    /* the first */
    bool frame_after_goaway;     /* something came after it */
    unsigned pings;              /* received requests */
    struct wire_frame ping;      /* the last of them */
    unsigned pongs;              /* received */
    struct wire_frame pong;      /* the last of them */
    uint32_t *pong_opaques;      /* all, in order; pongs of them */
    unsigned opened;             /* streams with a SYN of the peer */
    uint32_t *opened_ids;        /* in order; opened of them */
    uint64_t frames;             /* received, all */
    uint64_t data_received;      /* payload bytes, all streams */
    uint64_t data_at_pong;       /* ... when the last pong came */
    struct wire_frame last;      /* received */
    struct session_books *books; /* session.c's own */
};

/* ---- ids; the tester's role decides the parity ---- */

/* The nth id (from 1) that we may open: 1, 3, 5… or 2, 4, 6… */
uint32_t session_id(struct session *session, uint32_t n);
/* The nth id that only the peer may open: 2, 4, 6… or 1, 3, 5… */
uint32_t session_foreign_id(const struct session *session, uint32_t n);

/* What a peer takes on a fresh stream of ours, bytes: WIRE_WINDOW, without the
 * preface. A stream's `granted` is the same for the other direction. */
uint32_t session_window(const struct session *session);

/* ---- sending; all fail the case when T passes without progress; all are
 * silently dropped once the connection has ended ---- */

/* Bytes as they are, one write (one message) when they fit. */
void session_write(struct session *session, const void *bytes, size_t length);
/* Frame, with `length` as given and no body. */
void session_send(struct session *session, enum wire_type type, unsigned flags,
                  uint32_t stream, uint32_t length);
/* The same with every field free. */
void session_send_frame(struct session *session, struct wire_frame frame);
/* Data frame with its body, in one write. Ignores credit. */
void session_data(struct session *session, unsigned flags, uint32_t stream,
                  const void *bytes, size_t length);
/* WU SYN, no credit beyond the window. */
void session_open(struct session *session, uint32_t stream);
/* Between these, everything sent is held, then goes in one write. */
void session_cork(struct session *session);
void session_uncork(struct session *session);
/* length bytes of the pattern (byte i is i mod 251; goes on where sent is) in
 * frames of at most frame_max, obeying credit: fails the case when the peer
 * gives none for T. */
void session_pour(struct session *session, uint32_t id, uint64_t length,
                  uint32_t frame_max);
/* Writes without reading, until all is written or no room for timeout_ms.
 * Returns the bytes written; a frame may be cut. */
size_t session_push(struct session *session, const void *bytes, size_t length,
                    unsigned timeout_ms);

/* ---- waiting. All return at once when it is so already ---- */

enum session_wait { SESSION_GOT, SESSION_CLOSED, SESSION_TIMEOUT };

enum session_wait session_wait_ack(struct session *session, uint32_t stream);
enum session_wait session_wait_data(struct session *session, uint32_t stream,
                                    uint64_t total);
enum session_wait session_wait_fin(struct session *session, uint32_t stream);
enum session_wait session_wait_reset(struct session *session, uint32_t stream);
/* Until `credit` of the stream is at least this. */
enum session_wait session_wait_credit(struct session *session, uint32_t stream,
                                      uint64_t credit);
/* Until the peer has opened that many streams. */
enum session_wait session_wait_opened(struct session *session, unsigned count);
enum session_wait session_wait_pings(struct session *session, unsigned count);
enum session_wait session_wait_pongs(struct session *session, unsigned count);
enum session_wait session_wait_goaway(struct session *session);
enum session_wait session_wait_closed(struct session *session, unsigned ms);
/* Anything else: until done(session, context), at most ms. */
enum session_wait session_wait(struct session *session, unsigned ms,
                               bool (*done)(struct session *, void *),
                               void *context);
/* Reads for the grace time (or until the end): what has not come by then does
 * not come. */
void session_settle(struct session *session);
void session_listen(struct session *session, unsigned ms);
/* Reads until nothing more comes for T/4, at most 15 T. */
void session_drain(struct session *session);
/* Neither reads nor writes. */
void session_sleep(struct session *session, unsigned ms);

/* The books of a stream; made when it is not there. Valid until forgotten. */
struct stream *session_stream(struct session *session, uint32_t id);
/* Drops the books, so that an id can be used again. */
void session_forget(struct session *session, uint32_t id);

/* ---- expectations: as the waits, and fail the case otherwise ---- */

/* ACK on the stream, or data on it from a peer that acknowledges lazily. */
void session_expect_open(struct session *session, uint32_t stream);
/* Exactly these bytes from offset on (within STREAM_KEPT). */
void session_expect_bytes(struct session *session, uint32_t stream,
                          uint64_t offset, const void *bytes, size_t length);
void session_expect_text(struct session *session, uint32_t stream,
                         uint64_t offset, const char *text);
/* Pattern bytes, `total` in all. */
void session_expect_pattern(struct session *session, uint32_t stream,
                            uint64_t total);
void session_expect_fin(struct session *session, uint32_t stream);
void session_expect_reset(struct session *session, uint32_t stream);
/* Ping with this opaque; pong with exactly the same. */
void session_expect_pong(struct session *session, uint32_t opaque);
/* Opens our nth stream, sends text, and wants it echoed. */
void session_expect_echo(struct session *session, uint32_t n, const char *text);

/* ---- judgement ---- */

enum session_life { SESSION_ALIVE, SESSION_DEAD, SESSION_HUNG };

/* A fresh ping is answered; or the connection ends; or neither, within T. */
enum session_life session_judge(struct session *session);
/* Fails unless ALIVE; HUNG is reported as such. */
void session_expect_alive(struct session *session);
/* Fails unless DEAD; warns unless a GoAway(1) came first, as the last frame. */
void session_expect_dead(struct session *session);
/* DEAD is followed by nothing; a HUNG peer ends the case, otherwise the answer
 * is returned, for a choice. */
enum session_life session_judge_choice(struct session *session);
/* What is sent now may arrive. False before the end was read, too, if it was
 * met by writing: a loop that sends goes on only while it can. */
bool session_can_write(const struct session *session);
/* "closed", "closed after GoAway(1)", "reset": how the connection ended. */
const char *session_ending(const struct session *session);

/* ---- connections ---- */

/* Ends this connection (FIN) and the books, opens a fresh one to the same
 * peer; fails the case when it cannot be had. */
void session_reconnect(struct session *session);
/* The same, over a connection that holds little on our side: what we do not
 * read soon holds up the peer. */
void session_narrow(struct session *session);
/* Ends the connection as channel_close or channel_abort do. */
void session_close(struct session *session);
void session_abort(struct session *session);

/* ---- the peer's application, modes opener and app ---- */

/* Opens our next unused stream (from n = 1, then 2, …) and sends a command
 * line on it. Returns the id. */
uint32_t session_command(struct session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Waits for a line on that stream, without its LF; skips the case when it is
 * "unsupported". offset: where in the stream's data the line begins; returns
 * where the next one does. */
uint64_t session_answer(struct session *session, uint32_t id, uint64_t offset,
                        char *text, size_t size);
/* Asks the peer's application to open count streams that do `then` ("echo",
 * "reset", "watch") after writing bytes of pattern each. label: "-" for none.
 * Returns the command's stream. */
uint32_t session_ask_open(struct session *session, unsigned count,
                          uint64_t bytes, const char *then, const char *label);
/* What the application saw of the stream that was labelled: bytes, and how it
 * ended: "eof", "reset", "lost" (session), "error", or "open". Waits up to T
 * for an end, asking on new streams. */
struct session_report {
    uint64_t bytes;
    char end[16];
};
struct session_report session_ask_report(struct session *session,
                                         const char *label);
/* Returns once the application knows the label, because it has read the command
 * that names it: a reset may drop what is unread. Waits for T/8 at most. */
void session_wait_known(struct session *session, const char *label);
/* A label that no other case of this run uses. Static storage. */
const char *session_label(struct session *session);

/* ---- tools ---- */

uint64_t session_random(struct session *session); /* from the seed */
uint64_t session_hash(uint64_t hash, const void *bytes, size_t length);
#define SESSION_HASH 0xcbf29ce484222325u /* of nothing */
void session_pattern(uint8_t *bytes, size_t length, uint64_t offset);
/* Resident memory of the peer in KiB; 0: not known (no --pid). */
uint64_t session_peer_memory(const struct session *session);
uint64_t session_now_ms(void); /* monotonic */

#endif
