/* script.h: a yamux peer made of raw frames, around one session.
 *
 *   struct script s;
 *   script_start(&s, NULL);
 *   script_send(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 1, 0);
 *   script_expect_event(&s, MUX_STREAM_OFFERED, 1, STATUS_OK);
 *   mux_accept(s.mux, 1, NULL);
 *   script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_ACK, 1, 0);
 *   script_end(&s);
 *
 * What is sent is received at once and its events are kept; what the session
 * emits is kept too, and both must be expected in order. script_end() demands
 * that nothing was left unexpected. Adjoining MUX_STREAM_DATA events of a
 * stream count as one, so that a test does not depend on s.cut.
 */
#ifndef CORE_TEST_SCRIPT_H
#define CORE_TEST_SCRIPT_H

#include "core/test/req.h"

#include "core/mux.h"

struct script_event {
    struct mux_event event;
    size_t data_at; /* into s.received */
};

struct script {
    struct mux *mux;
    void *memory;
    size_t memory_size;
    uint64_t now_ms;
    size_t cut;      /* bytes a call of mux_receive(); 0: all at once */
    size_t capacity; /* bytes a call of mux_emit_control() */

    struct script_event *events;
    size_t event_count, event_room, events_taken;
    uint8_t *received; /* all payload of all events */
    size_t received_length, received_room;
    uint8_t *out; /* all that the session emitted */
    size_t out_length, out_room, out_taken;
};

/* config NULL: the default, as server, never pinging. */
void script_start(struct script *s, const struct mux_config *config);
void script_config(struct mux_config *config, enum mux_role role);
void script_end(struct script *s);    /* nothing unexpected may be left */
void script_forget(struct script *s); /* end, whatever is left */

/* The peer sends. */
void script_send(struct script *s, enum wire_type type, unsigned flags,
                 uint32_t stream, uint32_t length); /* a header */
void script_send_data(struct script *s, unsigned flags, uint32_t stream,
                      const void *bytes, uint32_t length);
void script_send_zeros(struct script *s, uint32_t stream, uint32_t length);
void script_send_bytes(struct script *s, const void *bytes, size_t length);

/* Time passes; events are kept. */
void script_wait(struct script *s, uint64_t delay_ms);

/* The session's user. script_write: one DATA frame, whose turn it must be. */
uint32_t script_open(struct script *s);
void script_write(struct script *s, uint32_t stream, const void *bytes,
                  size_t length);
/* Write zeros as long as the stream has turns; how many. */
size_t script_write_all(struct script *s, uint32_t stream);

/* What the user is told. */
void script_expect_event(struct script *s, enum mux_event_kind kind,
                         uint32_t stream, enum status status);
void script_expect_data(struct script *s, uint32_t stream, const void *bytes,
                        size_t length);
void script_expect_bytes(struct script *s, uint32_t stream, size_t length);
void script_expect_no_event(struct script *s);

/* What the peer receives. */
void script_expect(struct script *s, enum wire_type type, unsigned flags,
                   uint32_t stream, uint32_t length);
void script_expect_payload(struct script *s, const void *bytes, size_t length);
void script_expect_silence(struct script *s);

/* MUX_FAILED with this status, the status' go-away, then over. */
void script_expect_failure(struct script *s, enum status status);

/* A fresh ping is answered. */
void script_expect_alive(struct script *s);

/* SYN of the peer, offered, accepted, ACK seen. */
void script_accept(struct script *s, uint32_t stream);
/* Our open, SYN seen, ACK sent. */
uint32_t script_establish(struct script *s);

/* Emit control frames into s.out now. */
void script_flush(struct script *s);

#endif
