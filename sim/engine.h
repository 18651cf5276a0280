/* engine.h: a fake Docker engine on the socket of its site.
 *
 * What it does is in the request's head, so that a request alone says what the
 * right answer is (the reader of it is sim/client.c):
 *
 *   GET  /_ping                                "OK"
 *   GET  /containers/json                      the list: content of key, length
 *   GET  /containers/N/json                    same, small
 *   GET  /containers/N/logs?follow=1&bytes=L&delay=MS   chunked, until L
 *   GET  /events?bytes=L&delay=MS              chunked, until L
 *   GET  /images/N/get?bytes=L                 Content-Length: L
 *   POST /containers/N/attach?bytes=L&takes=K  101 Upgrade, then hijacked: L
 *        bytes out, and K bytes taken and checked, with half-close both ways
 *   POST /build?bytes=L&takes=K                body of K bytes, chunked answer
 *
 * N is the request's number (content_key()). An unknown path is 404.
 */
#ifndef SIM_ENGINE_H
#define SIM_ENGINE_H

#include "sim/world.h"

/* ENGINE_MOOD acts; the engine is GOOD until one, and again after it. */
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

#endif
