/* pair.h: two links back to back, and sockets for their connections.
 *
 *   struct pair p;
 *   pair_start(&p, NULL, NULL);
 *   struct sock *client = pair_open(&p);
 *   sock_send(client, 100);
 *   pair_run(&p);
 *   assert_int_equal(client->peer->received, 100);
 *   pair_end(&p);
 *
 * The pair is an adapter of both ends: it does what the links' wants say, with
 * counted sockets instead of real ones. Every byte that a socket sends is a
 * function of pair, stream, direction and offset (or of a text), and every byte
 * that arrives is compared with it: nothing can be lost, invented, repeated,
 * reordered or come from another stream unnoticed (O1). So is every end: a
 * socket is shut down or closed in order only if every byte of its peer came
 * and the peer had said its end of file (O2).
 *
 * At the server's end a socket is a client of the loopback proxy, at the
 * agent's end a connection to the engine.
 */
#ifndef CORE_TEST_PAIR_H
#define CORE_TEST_PAIR_H

#include "core/test/req.h"

#include "core/link.h"

enum side { SERVER, AGENT };

#define PAIR_SOCKS 64
#define SOCK_TEXT 256

struct sock {
    struct end *end;
    struct sock *peer; /* NULL until the other side has accepted */
    uint32_t conn, stream;
    bool is_open; /* the link knows it */

    /* what its application does */
    size_t sent;      /* bytes it wrote so far */
    bool said_eof;    /* shut down after them */
    bool is_broken;   /* reset: reading and writing fail */
    const char *text; /* the bytes, if not the pattern */
    size_t room;      /* bytes the kernel still takes; SIZE_MAX: any */
    bool told_eof;    /* the link knows that it half-closed */

    /* what the link did to it */
    size_t read;     /* of sent */
    size_t received; /* bytes taken by the kernel */
    size_t held;     /* handed over, not yet taken */
    unsigned wants;
    bool was_shut, was_closed, was_reset;
    enum status status;    /* why it was reset */
    char heard[SOCK_TEXT]; /* the first bytes received */
};

struct end {
    struct pair *pair;
    struct link *link;
    void *memory; /* NULL: the link is somebody else's */
    struct sock socks[PAIR_SOCKS];
    size_t sock_count;
    bool refuses;  /* offers, rather than accept them */
    bool is_lazy;  /* does not close what wants it, until pair_close_all() */
    uint8_t *wire; /* bytes under way to the other end */
    size_t wire_first, wire_last, wire_room;
};

struct pair {
    struct end ends[2];
    uint32_t salt; /* of the pattern */
    uint64_t now_ms;
    size_t frame_max; /* room for a frame of data; 0: 8192 */
};

/* NULL: pair_config(). */
void pair_start(struct pair *pair, const struct link_config *server,
                const struct link_config *agent);
/* With a server's link that lives elsewhere, in an agent for instance. */
void pair_start_with(struct pair *pair, struct link *server,
                     const struct link_config *agent, uint32_t salt);
void pair_end(struct pair *pair);

/* The defaults, with a preface of 0x01, inbound streams at the agent's end
 * only, and no pings. */
void pair_config(struct link_config *config, enum side side);

/* A client connects; NULL if the link refused, which *status then tells. */
struct sock *pair_connect(struct pair *pair, enum status *status);
/* The same, accepted by the agent, everything at rest. */
struct sock *pair_open(struct pair *pair);
/* Tell the pair of a connection that was opened by other means. */
struct sock *pair_adopt(struct pair *pair, uint32_t conn);

void sock_send(struct sock *sock, size_t length);
void sock_say(struct sock *sock, const char *text); /* all that it ever sends */
void sock_eof(struct sock *sock);
void sock_break(struct sock *sock);
void sock_allow(struct sock *sock, size_t length); /* room, from now on */

/* One side acts: its sockets, its changes, its output as far as `capacity`. */
void pair_act(struct pair *pair, enum side side, size_t capacity);
/* At most `length` of the bytes under way to this side arrive, in one piece. */
void pair_deliver(struct pair *pair, enum side side, size_t length);
size_t pair_under_way(const struct pair *pair, enum side side);

/* Both, until nothing moves. */
void pair_run(struct pair *pair);
bool pair_is_at_rest(const struct pair *pair);

/* Time passes, at both ends, in steps of what they want; pair_run() between. */
void pair_wait(struct pair *pair, uint64_t delay_ms);

/* Do now what a lazy end has left undone. */
void pair_close_all(struct pair *pair, enum side side);

/* Setup and teardown of a test whose *state is a pair of the defaults. */
int pair_build(void **state);
int pair_drop(void **state);

void sock_expect_reset(const struct sock *sock, enum status status);
void sock_expect_closed(const struct sock *sock); /* in order */
void pair_expect_empty(const struct pair *pair);  /* no connection is left */

#endif
