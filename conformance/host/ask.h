/* ask.h: one command to the peer's application, and its answer: a line. */
#ifndef CONFORMANCE_HOST_ASK_H
#define CONFORMANCE_HOST_ASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ASK_ANSWER_MAX 128u

struct yamux;
struct yamux_stream;

struct ask {
    struct yamux_stream *stream; /* NULL: nothing is asked */
    char answer[ASK_ANSWER_MAX]; /* without its line feed */
    size_t length;
};

/* On a stream of its own. False: none can be opened now. */
bool ask_begin(struct ask *ask, struct yamux *yamux, const char *command,
               uint64_t now_ms);

enum ask_state { ASK_WAITS, ASK_IS_ANSWERED, ASK_IS_BROKEN };

/* Reads what came, *consumed grows by as much. Broken: the stream ended
 * otherwise than by FIN behind one line. After ASK_IS_ANSWERED and
 * ASK_IS_BROKEN its stream is gone. */
enum ask_state ask_continue(struct ask *ask, uint64_t *consumed);

#endif
