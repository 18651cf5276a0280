/* yamux.h: a yamux session as its application and its transport see it.
 *
 * Two engines stand behind it: yamux.c, the mutants' own, and engine.c in
 * conformance/host, which is core/mux. Nothing here calls back; after bytes
 * came or time passed, the application looks at every stream (app.h).
 * now_ms: milliseconds of a clock that never goes back.
 */
#ifndef CONFORMANCE_MUTANTS_YAMUX_H
#define CONFORMANCE_MUTANTS_YAMUX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define YAMUX_EMIT_MIN 65536u /* smallest room that yamux_emit wants */

struct yamux;
struct yamux_stream;

/* Exits when memory is short, as everything here. */
struct yamux *yamux_create(bool client, uint64_t now_ms);
void yamux_destroy(struct yamux *yamux);

/* ---- transport ---- */

void yamux_receive(struct yamux *yamux, const uint8_t *bytes, size_t length,
                   uint64_t now_ms);
/* The transport has ended. */
void yamux_lost(struct yamux *yamux);
/* Frames to send, whole; 0: none now. */
size_t yamux_emit(struct yamux *yamux, uint8_t *bytes, size_t capacity,
                  uint64_t now_ms);
void yamux_tick(struct yamux *yamux, uint64_t now_ms);
/* Nothing more will be emitted: hang up. */
bool yamux_is_over(const struct yamux *yamux);

/* ---- the application: session ---- */

enum yamux_opening { YAMUX_OPENED, YAMUX_WAIT, YAMUX_REFUSED };

enum yamux_opening yamux_open(struct yamux *yamux, struct yamux_stream **stream,
                              uint64_t now_ms);
/* False: the engine cannot choose. */
bool yamux_next_id(struct yamux *yamux, uint32_t id);
/* GoAway(0), no new streams of the peer, the old ones go on. */
void yamux_drain(struct yamux *yamux);
/* The application is done: what was written is sent, then GoAway(0). */
void yamux_shut(struct yamux *yamux, uint64_t now_ms);

/* ---- the application: streams; each is there until released ---- */

enum yamux_end { YAMUX_OPEN, YAMUX_EOF, YAMUX_RESET, YAMUX_LOST };

/* after: NULL for the first. The stream may be released before it is asked
 * for the next. */
struct yamux_stream *yamux_next(struct yamux *yamux,
                                struct yamux_stream *after);
void **yamux_task(struct yamux_stream *stream); /* yours; NULL at first */
bool yamux_is_inbound(const struct yamux_stream *stream);
void yamux_accept(struct yamux_stream *stream);
/* What came and was not consumed. */
size_t yamux_peek(struct yamux_stream *stream, const uint8_t **bytes);
void yamux_consume(struct yamux_stream *stream, size_t length);
/* How it ended, behind what yamux_peek shows. */
enum yamux_end yamux_end(const struct yamux_stream *stream);
/* Takes everything; look at yamux_unsent first. Dropped once it has ended. */
void yamux_write(struct yamux_stream *stream, const uint8_t *bytes,
                 size_t length);
size_t yamux_unsent(const struct yamux_stream *stream);
void yamux_finish(struct yamux_stream *stream);
void yamux_reset(struct yamux_stream *stream);
void yamux_release(struct yamux_stream *stream);
/* Neither side has more to say: it may be released. */
bool yamux_is_done(const struct yamux_stream *stream);

#endif
