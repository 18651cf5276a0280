/* engine.h: a fake Docker engine on the socket of its site.
 *
 * What it does is in the request's head, so that a request alone says what the
 * right answer is (sim/request.h has the table, sim/client.c is the reader):
 *
 *   GET  /_ping, HEAD /_ping        "OK" and Api-Version
 *   GET  /containers/json           bytes=L of content, Content-Length
 *   GET  /containers/web/json       the same
 *   GET  /containers/web/logs       the same, chunked; delay=MS between pieces
 *   GET  /events                    the same
 *   GET  /images/web/get            Content-Length: L
 *   GET  /containers/web/archive    the same
 *   POST /containers/web/attach     101, then hijacked: L bytes out, and
 *        takes=K bytes taken and checked, with half-close both ways; order=
 *        says who has the last word first
 *   POST /build                     body of K bytes, chunked answer of L
 *   POST /containers/create         the same with 201 and Content-Length
 *   DELETE /containers/web/json     200 with Content-Length: a read path, and
 *                                   no reading
 *
 * Each target carries n=N, the request's number. An unknown one is 404, what is
 * no HTTP is 400. Every answer names site and request in X-Engine. What became
 * of a request stands in its struct request, and is kept when the engine dies.
 */
#ifndef SIM_ENGINE_H
#define SIM_ENGINE_H

#include "sim/world.h"

/* ENGINE_MOOD acts; the engine is GOOD until one, and again after it. What a
 * request meets is the mood at the time its head is read. */
#define ENGINE_MOOD_TABLE(X)                                              \
    X(GOOD, "good")                                                       \
    X(HANGS, "hangs")             /* accepts, takes, says nothing */      \
    X(HANGS_LATER, "hangs-later") /* stops in the middle of a body */     \
    X(HALF_ANSWER, "half-answer") /* closes in the middle of an answer */ \
    X(RESETS, "resets")           /* the same, with RST */                \
    X(REFUSES, "refuses")         /* accepts and closes at once */        \
    X(TRICKLES, "trickles")       /* one byte at a time */                \
    X(ERRORS, "errors")           /* 500 with a body */                   \
    X(GARBAGE, "garbage")         /* an answer that is no HTTP */         \
    X(EARLY, "early") /* answers before the request's body is read */

enum engine_mood {
#define X(name, text) ENGINE_##name,
    ENGINE_MOOD_TABLE(X)
#undef X
        ENGINE_MOODS
};

struct engine *engine_new(struct site *site);
void engine_start(struct engine *engine); /* its process was started */
/* Its process was killed: drop every object. */
void engine_forget(struct engine *engine);
void engine_set_mood(struct engine *engine, enum engine_mood mood,
                     uint64_t until_us);
void engine_heal(struct engine *engine); /* good from now on, and willing */
bool engine_was_good_since(const struct engine *engine, uint64_t since_us);
/* Healed: no connection is left but idle keep-alive ones. */
void engine_expect_idle(struct engine *engine);

/* Planted faults, which the judges have to see: of the next answer (those that
 * are about content: with at least 16 bytes of it). Tests only. */
enum engine_lie {
    LIE_NONE,
    LIE_WRONG_BYTE,    /* one bit of one byte */
    LIE_OTHER_SITE,    /* the content of the next site */
    LIE_DOUBLED_CHUNK, /* eight bytes come twice, eight others never */
    LIE_SHORT_FIN,     /* half of it, then FIN, and it says it is whole */
    LIE_OTHER_REQUEST, /* X-Engine of another request */
    LIE_RESET,         /* RST instead of an answer, in the best of moods */
    LIE_SILENT         /* no answer, ever */
};
void engine_lie(struct engine *engine, enum engine_lie lie);

#endif
