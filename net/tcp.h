/* tcp.h: one non-blocking stream socket, TCP or unix, and its bounded spill.
 *
 * Conventions
 *
 * The socket is watched edge-triggered, once: there is nothing to re-arm, and a
 * condition that nobody handles cannot spin (O13). The price is the rule of
 * tcp_read(): after readable(), read until it says TCP_DRAINED, at your own
 * pace; readable() comes again only after that.
 *
 * Operations of the owner (struct tcp_ops) are called from the loop, and from
 * no function below but tcp_write() (failing sends never call back: see
 * broken()). Each may call anything here. After closed() the object is inert
 * and may be freed, also from within closed().
 */
#ifndef NET_TCP_H
#define NET_TCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/span.h"
#include "net/loop.h"
#include "net/socket.h"
#include "net/spill.h"

struct tcp_ops {
    /* tcp_connect() succeeded (error 0) or failed (errno value; ETIMEDOUT after
     * timeout_ms). When it failed: tcp_abort() or tcp_reset() it. */
    void (*connected)(void *user, int error);
    void (*readable)(void *user);
    /* The kernel took length bytes of the spill. */
    void (*written)(void *user, size_t length);
    /* The peer closed or half-closed (EPOLLRDHUP), which is seen also while
     * nobody reads (T13). Once, before or after tcp_read() says so. */
    void (*half_closed)(void *user);
    /* The socket is in error (RST, keep-alive), or its spill was evicted. What
     * it received before may still be read, until tcp_read() fails too. Once.
     */
    void (*broken)(void *user);
    /* The descriptor is closed, as tcp_close() or tcp_reset() asked for. */
    void (*closed)(void *user);
};

struct tcp { /* fields belong to tcp.c */
    struct loop *loop;
    const struct tcp_ops *ops;
    void *user;
    struct loop_watch watch;
    struct loop_timer timer; /* connect, or flush before a reset */
    struct loop_task notice; /* broken, found where calling back is unsafe */
    struct spill spill;
    uint64_t deadline_ms;
    struct socket_address *address; /* while connecting, else NULL */
    uint8_t state;
    uint8_t ending;
    bool is_unix;
    bool hung_up; /* EPOLLRDHUP came: a short read is not the end */
    bool deaf;    /* a send failed: what is written is dropped */
    bool broken;
    bool finished; /* SHUT_WR is done */
    uint16_t flush_wait_ms;
};

enum tcp_result {
    TCP_MORE,     /* there may be more to read: call again when you like */
    TCP_DRAINED,  /* nothing more now: readable() will tell */
    TCP_FINISHED, /* end of file: no more, ever */
    TCP_FAILED    /* reset or broken: no more, ever */
};

/* Takes fd: connected, non-blocking. Sets TCP_NODELAY and keep-alive (T18). It
 * is readable from the start: readable() follows if it is. False (errno): fd is
 * still yours. */
bool tcp_open(struct tcp *tcp, struct loop *loop, struct spill_pool *pool,
              int fd, const struct tcp_ops *ops, void *user);

/* Connect; connected() tells, never from within this call. Until then bytes
 * written are kept in the spill. False (errno): no descriptor or memory, tcp is
 * inert. */
bool tcp_connect(struct tcp *tcp, struct loop *loop, struct spill_pool *pool,
                 const struct socket_address *address, uint64_t timeout_ms,
                 const struct tcp_ops *ops, void *user);

/* Read up to capacity bytes, straight into bytes. *length (0..capacity) were
 * read; the result says what comes after them. */
enum tcp_result tcp_read(struct tcp *tcp, uint8_t *bytes, size_t capacity,
                         size_t *length);

/* Write: returns how many bytes were taken at once; the rest is in the spill
 * and reported by written(). The caller bounds the spill by its window. After
 * an error everything is taken and dropped: the reading side tells what
 * happened (T20, T31: the engine's last words before it broke off count). */
size_t tcp_write(struct tcp *tcp, const struct span *spans, size_t count);
size_t tcp_unwritten(const struct tcp *tcp);

/* Once all is written: SHUT_WR. Harmless twice. */
void tcp_finish(struct tcp *tcp);
/* Once all is written: close; closed() tells, never from within this call. */
void tcp_close(struct tcp *tcp);
/* Write what is owed, wait until the peer's kernel has it, at most 1 s in all,
 * then reset (T14, T15); closed() tells, never from within this call. Overrules
 * tcp_close(). A unix socket is closed: its kind knows no reset. */
void tcp_reset(struct tcp *tcp);
/* Reset now, no closed(): tcp is inert when this returns. Harmless if it is. */
void tcp_abort(struct tcp *tcp);

bool tcp_is_open(const struct tcp *tcp); /* false: inert */

#endif
