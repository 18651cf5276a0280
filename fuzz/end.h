/* end.h: one yamux session with a user that does what a script says.
 *
 * The user keeps books of its own on every stream, and each event and answer of
 * the session must agree with them. Calls that would break the session's
 * contract are not made.
 */
#ifndef FUZZ_END_H
#define FUZZ_END_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/mux.h"
#include "fuzz/call.h"
#include "fuzz/harness.h"

#define END_STREAMS 8u /* each way */
#define END_PREFACE 0x01u

struct end_stream {
    uint32_t id; /* 0: a free place */
    bool ours, accepted;
    bool in_done, out_done;
    uint64_t delivered, consumed, sent;
};

struct end;

struct end_watch {
    /* The session emitted these. */
    void (*emitted)(void *user, const uint8_t *bytes, size_t length);
    /* Fill in what is sent next. NULL: zeros. */
    void (*fill)(void *user, const struct end_stream *stream, uint8_t *bytes,
                 size_t length);
    /* Of what came; delivered is not yet counted up. May be NULL. */
    void (*data)(void *user, const struct end_stream *stream, struct span data);
    /* The stream is gone: its last event, or a call. May be NULL. */
    void (*ended)(void *user, const struct end_stream *stream,
                  enum status status, bool by_call);
    void *user;
};

struct end {
    struct mux *mux;
    void *memory;
    struct mux_config config;
    struct end_watch watch;
    uint64_t now_ms;
    struct end_stream streams[2 * END_STREAMS];
    uint32_t count;
    uint32_t opens_left;
    bool failed, peer_leaves;
    uint64_t log;      /* of all events; does not depend on cuts */
    uint32_t log_data; /* the stream whose data came last */
};

/* The defaults, but few streams and a user that can be waited for. */
void end_config(struct mux_config *config, enum mux_role role);

void end_start(struct end *end, const struct mux_config *config,
               const struct end_watch *watch);
void end_stop(struct end *end);

/* These bytes came, in one piece. */
void end_receive(struct end *end, const uint8_t *bytes, size_t length);

/* stream: a live one's id, or any number, for one of those that are live. */
void end_call(struct end *end, enum call call, uint32_t number,
              uint32_t length);

/* Accept what is offered, send no more, emit all there is to. */
void end_flush(struct end *end);

/* Every frame and call of a script; calls by call(user, header). */
struct end_script {
    void (*frame)(void *user, const uint8_t *bytes, size_t length);
    void (*call)(void *user, enum call call, unsigned which, uint32_t stream,
                 uint32_t length);
    void *user;
};
void end_play(const struct end_script *script, struct input input);

#endif
