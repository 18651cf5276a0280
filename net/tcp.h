/* tcp.h: one non-blocking stream socket, TCP or unix, and its bounded spill.
 *
 * Conventions
 *
 * The socket is watched edge-triggered, once: there is nothing to re-arm, and a
 * condition that nobody handles cannot spin (O13). The price is the rule of
 * tcp_read(): after readable(), read until it says TCP_DRAINED, at your own
 * pace; readable() comes again only after that.
 *
 * Operations of the owner (struct tcp_ops) are called from the loop, never from
 * within a function below. Each may call anything here. The object may be freed
 * in closed(); after tcp_abort() from within another operation, only once that
 * has returned.
 *
 * Two promises (L-04): an end of file is reported or sent only if every byte
 * before it went through, and a socket that lost bytes ends in RST.
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
     * timeout_ms). When it failed: tcp_abort() or tcp_reset() it. NULL after
     * tcp_open(). */
    void (*connected)(void *user, int error);
    void (*readable)(void *user);
    /* The kernel took length bytes of the spill. */
    void (*written)(void *user, size_t length);
    /* The peer closed or half-closed, seen before tcp_read() came to it, also
     * while nobody reads, and once tcp_finish() is done even if its end of file
     * waits behind a full buffer (T13). Once. */
    void (*half_closed)(void *user);
    /* The socket is in error (RST, keep-alive), a send failed, or its spill was
     * evicted; what is written from now on is dropped. What it had received
     * may still be read, until tcp_read() reports an end too. error: ENOMEM,
     * our side had no memory; else of the send; 0: tcp_read() will tell. Once.
     */
    void (*broken)(void *user, int error);
    /* The descriptor is closed, as tcp_close() or tcp_reset() asked for. */
    void (*closed)(void *user);
};

struct tcp { /* zeroed: inert; fields belong to tcp.c */
    struct loop *loop;
    const struct tcp_ops *ops;
    void *user;
    struct loop_watch watch;
    struct loop_timer timer; /* of the connect, of the flush before RST, or of
                                the look for an end behind unread bytes */
    struct loop_task act;    /* what cannot be done within a call */
    struct spill spill;
    struct socket_address *address; /* to try again, else NULL */
    uint64_t deadline_ms;
    int fd;
    int error;         /* of connect or send: to report from the loop */
    uint16_t pause_ms; /* until the next look at the flush */
    uint8_t phase, ending;
    bool is_unix;
    bool wants_output; /* of a unix socket: EPOLLOUT is asked for */
    bool readable; /* readable() was called, TCP_DRAINED not returned since */
    bool hung_up;  /* a short read does not mean that nothing follows */
    bool at_end;   /* tcp_read() reported an end */
    bool finished; /* SHUT_WR is done */
    bool deaf;     /* what is written is dropped */
    bool lost;     /* bytes were: no end of file may follow, either way */
    bool told_half_closed, told_broken;
};

enum tcp_result {
    TCP_MORE,     /* there may be more to read: call again when you like */
    TCP_DRAINED,  /* nothing more now: readable() will tell */
    TCP_FINISHED, /* end of file: no more, ever */
    TCP_FAILED    /* reset or broken: no more, ever */
};

/* Takes fd: connected, non-blocking, with TCP_NODELAY and keep-alive (T18), as
 * one accepted from socket_listen_loopback() is. readable() follows if there is
 * something already. False (errno): fd is still yours. */
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

/* The same into a pipe, without a copy; capacity is not above the pipe's. Says
 * TCP_MORE more often than it is true. */
enum tcp_result tcp_move(struct tcp *tcp, int pipe, size_t capacity,
                         size_t *length);

/* After half_closed(): an end of file is all that is left, and can be taken as
 * told, also when no credit lets anybody read. */
bool tcp_is_finished(struct tcp *tcp);

/* Write: returns how many bytes were taken at once; the rest is in the spill
 * and reported by written(). The caller bounds the spill by its window. Once a
 * send has failed all is taken and dropped: the reading side tells what
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
