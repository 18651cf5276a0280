/* tcp.h: one stream socket of a process and its spill: what net/tcp.h is to
 * the product, over sim/socket.h.
 *
 * Operations of the owner are called from a job of the loop, never from within
 * a function below. Each may call anything here. The object may be freed in
 * closed(); after tcp_abort() from within another operation, only once that
 * has returned.
 *
 * Two promises (L-04): an end of file is reported or sent only if every byte
 * before it went through, and a socket that lost bytes ends in RST.
 */
#ifndef SIM_TCP_H
#define SIM_TCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/span.h"
#include "sim/loop.h"
#include "sim/socket.h"
#include "sim/spill.h"

#define TCP_FLUSH_MS 1000u /* T15 */

struct tcp_ops {
    /* tcp_connect() succeeded (NULL), or why not: then tcp_abort() it. NULL
     * after tcp_open(). */
    void (*connected)(void *user, const char *problem);
    /* There may be something: tcp_read() until it says TCP_DRAINED. */
    void (*readable)(void *user);
    void (*written)(void *user, size_t length); /* of the spill */
    /* The peer closed or half-closed, seen before tcp_read() came to it. Once.
     */
    void (*half_closed)(void *user);
    /* The socket is in error, or its spill had no memory (ours): what is
     * written from now on is dropped; what it had received may still be read.
     * Once. */
    void (*broken)(void *user, bool ours);
    /* As tcp_close() or tcp_reset() asked for. */
    void (*closed)(void *user);
};

struct tcp { /* zeroed: inert; fields belong to tcp.c */
    struct loop *loop;
    const struct tcp_ops *ops;
    void *user;
    struct socket *socket;
    struct job *job;
    struct spill spill;
    uint64_t deadline_ms; /* of the connect, or of the flush before RST */
    uint64_t pause_ms;
    uint8_t phase, ending;
    bool readable; /* readable() was called, TCP_DRAINED not returned since */
    bool at_end;   /* tcp_read() reported an end */
    bool finished;
    bool deaf; /* what is written is dropped */
    bool lost; /* bytes were: no end of file may follow, either way */
    bool no_memory;
    bool told_half_closed, told_broken;
};

enum tcp_result { TCP_MORE, TCP_DRAINED, TCP_FINISHED, TCP_FAILED };

/* Takes an open socket. */
void tcp_open(struct tcp *tcp, struct loop *loop, struct spill_pool *pool,
              struct socket *socket, const struct tcp_ops *ops, void *user);
/* connected() tells, never from within this call. path: both ways; NULL:
 * path_default(). False: no descriptor, tcp is inert. */
bool tcp_connect(struct tcp *tcp, struct loop *loop, struct spill_pool *pool,
                 uint32_t address, const struct path *path, uint64_t timeout_ms,
                 const struct tcp_ops *ops, void *user);

/* *length (0..capacity) bytes were read; the result says what comes after. */
enum tcp_result tcp_read(struct tcp *tcp, uint8_t *bytes, size_t capacity,
                         size_t *length);
/* Returns how many bytes were taken at once, or dropped because nobody takes
 * them any more; the others are in the spill, written() tells. */
size_t tcp_write(struct tcp *tcp, struct span data);
size_t tcp_unwritten(const struct tcp *tcp);

void tcp_finish(struct tcp *tcp); /* once all is written: FIN */
void tcp_close(struct tcp *tcp);  /* once all is written: close */
/* Write what is owed, wait until the peer's kernel has it, TCP_FLUSH_MS at
 * most, then RST (T14, T15). Overrules tcp_close(). */
void tcp_reset(struct tcp *tcp);
/* RST now, no closed(): tcp is inert. Harmless if it is. */
void tcp_abort(struct tcp *tcp);

#endif
