/* filter.h: one client's connection to a Docker engine, request by request.
 *
 * Between the client's bytes and the engine's stands a state machine that
 * parses each request strictly, decides it (core/policy.h), forwards what it
 * parsed and nothing else, follows the response to its end, and only then looks
 * at the next request (X19-X21). What is not let through it answers itself.
 * Only requests without a body or an upgrade are ever forwarded; a connection
 * never becomes opaque (T22).
 *
 * Who holds bytes: the filter holds at most one head, or one answer of its own,
 * in a buffer that you lend it. Response bodies stay in your buffer: read from
 * the engine straight to where the client's bytes go, ask filter_from_engine()
 * how many of them may go, send those. Client bytes that it does not take stay
 * yours: offer them again when it wants them. That is all the back-pressure
 * there is.
 *
 * Nothing is queued for you to do: ask filter_wants() after every call and
 * make the sockets agree. The engine's connection is opened for the first
 * request that passes, may be kept or closed by you between requests, and is
 * asked for again when needed: the client's keep-alive does not depend on the
 * engine's (T3).
 *
 * Conventions: as in core/mux.h; the struct is public so that it can live
 * inside yours, its fields belong to filter.c. A client that is gone (reset)
 * needs no call: close the engine's connection and forget the filter.
 */
#ifndef CORE_FILTER_H
#define CORE_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/http.h"
#include "core/policy.h"
#include "core/span.h"

/* Bytes; T5 asks for this much at least. */
#define FILTER_HEAD_MAX_DEFAULT ((size_t)64 * 1024)
#define FILTER_HEAD_MAX_LEAST 1024u
/* Bytes of an answer of ours, head and body. */
#define FILTER_ANSWER_MAX 2048u

/* Bytes to lend for heads of up to head_max. */
#define FILTER_BUFFER_SIZE(head_max) ((size_t)(head_max) + FILTER_ANSWER_MAX)

struct filter_config {
    enum policy policy; /* not POLICY_ALLOW_ALL: that needs no filter */
    size_t head_max;    /* of requests (431) and responses (502), bytes */
    const char *remedy; /* ends a 403: what its reader can do, one line; must
                           outlive the filter */
};

void filter_config_default(struct filter_config *config);

struct filter_decision {
    bool allowed;
    unsigned status;    /* of our answer; 0 if allowed */
    struct span method; /* both until the next call; empty if the head could */
    struct span path;   /* not be parsed */
    const char *rule;   /* policy_decision.rule; the fault's name for a head
                           that could not be parsed */
    const char *reason; /* one line for the log */
};

struct filter {
    struct filter_config config;
    uint8_t state;
    uint8_t engine; /* what is known of the engine's connection */
    uint8_t *buffer;
    size_t length; /* bytes of the head or answer in it */
    size_t done;   /* of them: sent on */
    struct http_scan scan;
    struct http_body body;   /* of the response in progress */
    enum http_method method; /* of the request in progress */
    bool engine_reused;      /* it has answered a request before */
    bool last;               /* the request in progress is the last one */
    bool client_finished;
    bool decided; /* decision was not asked for yet */
    struct filter_decision decision;
    const char *problem;
};

void filter_init(struct filter *filter, const struct filter_config *config);

/* ---- the buffer ---------------------------------------------------------- */

/* Lend FILTER_BUFFER_SIZE(config.head_max) bytes, or take them back with NULL.
 * Only while !filter_holds_buffer(). The filter must have a buffer during every
 * call that is marked with *, and needs none between them while it is idle, in
 * the middle of a response's body, or over: lend it for life, or let all
 * filters share one until one of them holds it. */
void filter_lend(struct filter *filter, uint8_t *buffer);

/* The bytes in the buffer matter: it may be neither changed nor taken back. */
bool filter_holds_buffer(const struct filter *filter);

/* ---- the client ---------------------------------------------------------- */

/* * The client sent these bytes. Returns how many were taken: when fewer than
 * length, keep the rest and offer it when FILTER_WANTS_CLIENT is set again.
 * Call it only while that is set. */
size_t filter_from_client(struct filter *filter, const uint8_t *bytes,
                          size_t length);

/* * The client finished (FIN), and every byte before that was taken. */
void filter_client_finished(struct filter *filter);

/* Bytes for the client that the filter holds: an answer of ours. They go after
 * everything that filter_from_engine() let through. Report what was sent. */
struct span filter_to_client(const struct filter *filter);
void filter_sent_to_client(struct filter *filter, size_t length);

/* The decision on the last request, once: for the log. */
bool filter_next_decision(struct filter *filter,
                          struct filter_decision *decision);

/* ---- the engine ---------------------------------------------------------- */

/* There is a connection. If it is not wanted any more, it is to be closed. */
void filter_engine_opened(struct filter *filter);

/* * It could not be opened. problem is one line for the client, without a
 * period: "connect /var/run/docker.sock: No such file or directory". Nothing
 * happens if none is wanted any more. */
void filter_engine_unreachable(struct filter *filter, const char *problem);

/* A request for the engine. Report what was sent. */
struct span filter_to_engine(const struct filter *filter);
void filter_sent_to_engine(struct filter *filter, size_t length);

/* * The engine sent these bytes. Returns how many of them, from the first on,
 * are to be sent to the client as they are; the others are void. Call it only
 * while FILTER_WANTS_ENGINE_READ is set, with length > 0. */
size_t filter_from_engine(struct filter *filter, const uint8_t *bytes,
                          size_t length);

void filter_engine_finished(struct filter *filter); /* * recv said 0 */

/* * recv failed. If send did, read first: the engine may have answered before
 * it closed, and recv then tells how it ended. */
void filter_engine_failed(struct filter *filter);

/* * It did not answer in your time. Only while FILTER_AWAITS_RESPONSE. */
void filter_engine_timed_out(struct filter *filter);

/* * You closed it, because FILTER_WANTS_ENGINE_CLOSE is set, or because it is
 * idle and you want to save it. In the middle of a response that is a failure.
 */
void filter_engine_closed(struct filter *filter);

/* ---- what is to be done -------------------------------------------------- */

/* What was wrong with the engine, for the log: why the filter answered 502 or
 * 504, or wants a reset. One line; NULL: nothing. */
const char *filter_problem(const struct filter *filter);

enum filter_wants {
    FILTER_WANTS_CLIENT = 1,        /* offer the client's bytes */
    FILTER_WANTS_ENGINE = 2,        /* there must be a connection: open one */
    FILTER_WANTS_ENGINE_READ = 4,   /* read it (also to see it end) */
    FILTER_WANTS_ENGINE_FINISH = 8, /* once filter_to_engine() is empty, tell
                                       it that no more comes (SHUT_WR) */
    FILTER_WANTS_ENGINE_CLOSE = 16, /* close it, then filter_engine_closed() */
    FILTER_AWAITS_RESPONSE = 32,    /* a request is on its way, and nothing of
                                       its response came: time it if you like */
    FILTER_WANTS_FINISH = 64,       /* over, well: once all is sent, finish
                                       towards the client (FIN); go on taking
                                       its bytes until it finishes too */
    FILTER_WANTS_RESET = 128        /* over, badly: once all is sent, reset the
                                       client (RST, never FIN: L-04) */
};

unsigned filter_wants(const struct filter *filter);

#endif
