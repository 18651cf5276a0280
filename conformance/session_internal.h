/* session_internal.h: what session.c, session_books.c and those above share. */
#ifndef CONFORMANCE_SESSION_INTERNAL_H
#define CONFORMANCE_SESSION_INTERNAL_H

#include "conformance/session.h"

#define SESSION_TRACE 20u /* frames that a failure shows */
#define SESSION_STREAMS_MAX                                                \
    300000u                       /* then the peer is flooding us with ids \
                                   */
#define SESSION_LIST_MAX 2000000u /* pongs and opened ids that are listed */

struct session_trace {
    bool ours;
    struct wire_frame frame;
    unsigned count; /* the same frame, that often in a row */
};

struct session_parse { /* where in a byte stream of frames we are */
    uint8_t header[WIRE_HEADER];
    unsigned have;
    struct wire_frame frame;
    uint64_t body_left;
    struct stream *stream; /* of the body */
};

struct session_bytes {
    uint8_t *bytes;
    size_t length;
    size_t size;
};

struct session_shape { /* where in what the case sends we are */
    uint8_t header[WIRE_HEADER];
    unsigned have;
    uint64_t body_left;
};

struct session_books {
    struct stream **slots; /* open addressing; power of two */
    size_t slot_count;
    size_t stream_count;
    struct session_parse in;
    struct session_parse out;
    struct session_bytes replies; /* pongs and credit, for a frame boundary */
    struct session_bytes held;    /* between cork and uncork */
    struct session_shape shape;
    struct session_bytes shaped; /* taken from the case, not yet written */
    bool corked;
    bool replying;   /* its credit is in the books already */
    bool unwritable; /* the peer takes no more */
    struct session_trace trace[SESSION_TRACE];
    uint64_t traced;
    uint32_t commands;  /* streams that session_command has used */
    uint32_t asked;     /* commands that went beside the session */
    uint32_t *mirrored; /* ids of the peer's streams, by n - 1; 0: none yet */
    uint32_t mirrored_count;
    struct session_control *controls; /* commands under way */
    uint64_t moved_at_ms;             /* the last time that anything moved */
};

struct session_books *session_books_make(void);
void session_books_free(struct session_books *books);
void session_bytes_add(struct session_bytes *buffer, const void *bytes,
                       size_t length);

/* What came in, and what went out: keep the books. */
void session_books_received(struct session *session, const uint8_t *bytes,
                            size_t length);
void session_books_sent(struct session *session, const uint8_t *bytes,
                        size_t length);

/* Reads what there is, once. True: something came, or the end did. */
bool session_read(struct session *session);
/* Writes replies, if they may go now. */
void session_flush_replies(struct session *session);

/* What goes between a case's bytes and the wire (session_shape.c): the preface
 * of each stream that we open; in a mirror, ACK in place of SYN. */
bool session_is_shaped(const struct session *session);
void session_shape(struct session *session, const uint8_t *bytes, size_t length,
                   struct session_bytes *out);
/* An id that we may open. */
bool session_is_own(const struct session *session, uint32_t id);

/* Commands beside the session (session_control.c). */
void session_control_send(struct session *session, uint32_t stream,
                          const char *line, size_t length);
/* Answers that have come; true: one has. */
bool session_control_read(struct session *session);
void session_control_free(struct session *session);
/* The nth stream of a mirror; the peer is asked for it when it is not there. */
uint32_t session_mirror_id(struct session *session, uint32_t n);
/* What came in answer to a command. */
void session_books_answer(struct stream *stream, const uint8_t *bytes,
                          size_t length);

/* The last frames, for the report; each line through line(). */
void session_show(const struct session *session,
                  void (*line)(const char *text));

#endif
