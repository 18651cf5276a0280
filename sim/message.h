/* message.h: HTTP messages as the world's own engines and clients read and
 * write them. Written for the simulator alone: it knows core/http.h neither in
 * code nor in habits, and is only as strict as a judge has to be.
 */
#ifndef SIM_MESSAGE_H
#define SIM_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/chance.h"
#include "sim/socket.h"

/* ---- reading ------------------------------------------------------------- */

#define MESSAGE_HEAD_MAX 2048u

enum message_framing {
    MESSAGE_EMPTY,  /* no body */
    MESSAGE_LENGTH, /* Content-Length */
    MESSAGE_CHUNKED,
    MESSAGE_UNTIL_END /* raw bytes until FIN */
};

struct message {
    char head[MESSAGE_HEAD_MAX + 1]; /* and a NUL once it is whole */
    size_t head_length;
    bool has_head;
    bool is_broken; /* what came is not HTTP */
    enum message_framing framing;
    uint64_t left;  /* of the body or chunk */
    uint64_t body;  /* bytes of payload so far */
    uint64_t taken; /* bytes of the message so far, head and framing included */
    uint8_t state;
    bool is_whole; /* never for MESSAGE_UNTIL_END */
};

void message_begin(struct message *message);
/* Returns how many of the bytes belong to the head; stops at its end. */
size_t message_read_head(struct message *message, const uint8_t *bytes,
                         size_t length);
/* The value of a field, "" if there is none; name in lower case. */
void message_field(const struct message *message, const char *name, char *value,
                   size_t size);
unsigned message_status(const struct message *message); /* 0: none */
/* Take the body's framing from the fields. no_body: the answer of HEAD. */
void message_begin_body(struct message *message, bool is_response,
                        bool no_body);
/* Take bytes off the front, at most one piece of payload, which is
 * *data..+*data_length and may be empty. Returns how many; 0: the body is whole
 * or broken, or length was 0. */
size_t message_read_body(struct message *message, const uint8_t *bytes,
                         size_t length, const uint8_t **data,
                         size_t *data_length);

/* ---- writing ------------------------------------------------------------- */

#define SOURCE_TEXT_MAX 1024u

/* A head and a body of content (sim/content.h), made while it is sent. */
struct source {
    char text[SOURCE_TEXT_MAX]; /* head, or a chunk's frame; not yet sent from
                                   text_done on */
    size_t text_length, text_done;
    uint64_t key, offset, left; /* of the content */
    bool is_chunked;
    bool is_ended;    /* the last chunk is in text */
    bool stops_often; /* SOURCE_PIECE after each chunk */
    uint32_t chunk_most;
    uint64_t chunk_left; /* not chunked: all of it */
    uint64_t total;      /* bytes that the socket took */
    uint64_t stop_at;    /* SOURCE_STOPPED once total is this */
    uint32_t burst;      /* bytes to try at once: as many as lately worked */
    struct chance chance;
};

enum source_result {
    SOURCE_WAITS,   /* the socket is full, ready() will come */
    SOURCE_STOPPED, /* stop_at */
    SOURCE_PIECE,   /* a chunk is out, more will follow */
    SOURCE_DONE,
    SOURCE_BROKEN /* the socket is */
};

void source_begin(struct source *source, uint64_t draw);
void source_print(struct source *source, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void source_body(struct source *source, uint64_t key, uint64_t length,
                 bool is_chunked);
bool source_is_done(const struct source *source);
enum source_result source_pour(struct source *source, struct socket *socket);

#endif
