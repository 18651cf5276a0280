/* socket.h: reliable byte streams between modelled processes, and their faults.
 *
 * A connection is two directions, each a queue of bytes with latency, rate and
 * a bound, like TCP with its two kernels' buffers: never lost inside, never
 * reordered, but cut anywhere, late, stalled, half-closed, reset, half-open.
 *
 * ready() is the only thing that calls you: from a task, never from inside a
 * socket_ call, at least once after each of: connected or refused, bytes or an
 * end came, room to send came (after a socket_send() that took less than all),
 * the other end is known to be dead. It says nothing of what: try.
 *
 * Ownership: a socket belongs to its process and is yours until
 * socket_close() or socket_reset(), which free it (bytes already sent still go
 * out), or until process_kill().
 */
#ifndef SIM_SOCKET_H
#define SIM_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/process.h"

/* Addresses are numbers: 1..65535 are ports of the server's loopback and its
 * front door, ADDRESS_ENGINE + n is the Docker socket of site n. */
#define ADDRESS_SERVER 443u
#define ADDRESS_ENGINE 0x10000u
#define ADDRESS_LOCAL_FIRST 32768u /* ports that listener_open(0) chooses */
#define ADDRESS_LOCAL_LAST 60999u

struct path { /* one direction's conditions; what a connection is made with */
    uint64_t latency_us;
    uint64_t jitter_us; /* 0..this is added, drawn a piece */
    uint64_t rate;      /* bytes a second; 0: no limit */
    uint32_t piece_max; /* a send or receive moves 1..this many bytes, drawn;
                           0: all there is */
    uint32_t buffer;    /* bytes sent and not received; default 212992 */
    uint64_t dead_us;   /* an end that is half-open learns it after this long
                           (keepalive, TCP_USER_TIMEOUT); 0: never */
};

void path_default(
    struct path *path); /* instant, whole, unlimited, never dead */

/* ---- listening ----------------------------------------------------------- */

/* address 0: the system chooses a free port, drawn. NULL: in use, no
 * descriptor, or bind_fails said so. backlog: connections not yet accepted. */
struct listener *listener_open(struct process *process, uint32_t address,
                               uint32_t backlog, void (*ready)(void *user),
                               void *user);
uint32_t listener_address(const struct listener *listener);
/* NULL: none waits, or no descriptor (then the connection stays queued). */
struct socket *listener_accept(struct listener *listener,
                               void (*ready)(void *user), void *user);
void listener_close(struct listener *listener); /* what waits is reset */
uint32_t listener_count(const struct process *process);

/* The system chooses among so many ports from now on; > 0. */
void socket_limit_ports(struct sim *sim, uint32_t count);
/* Fault: the next count attempts to bind fail, whoever makes them. */
void socket_fail_binds(struct sim *sim, uint32_t count);

/* ---- connecting ---------------------------------------------------------- */

/* there, back: the directions' conditions, copied; NULL: path_default(). NULL:
 * no descriptor. Refused and lost connects show as SOCKET_FAILED. */
struct socket *socket_connect(struct process *process, uint32_t address,
                              const struct path *there, const struct path *back,
                              void (*ready)(void *user), void *user);

/* Another owner inside the same process takes over. */
void socket_own(struct socket *socket, void (*ready)(void *user), void *user);

enum socket_state { SOCKET_CONNECTING, SOCKET_OPEN, SOCKET_FAILED };
enum socket_state socket_state(const struct socket *socket);

/* ---- bytes --------------------------------------------------------------- */

enum socket_result {
    SOCKET_MORE,     /* length > 0 bytes were moved */
    SOCKET_WAIT,     /* none now; ready() will say */
    SOCKET_FINISHED, /* receive: the peer's FIN, after all its bytes */
    SOCKET_BROKEN    /* reset, refused, timed out: nothing works any more; but
                        what the kernel had before is read first */
};

/* Move at most length bytes; *done says how many (0 unless SOCKET_MORE). */
enum socket_result socket_send(struct socket *socket, const uint8_t *bytes,
                               size_t length, size_t *done);
enum socket_result socket_receive(struct socket *socket, uint8_t *bytes,
                                  size_t capacity, size_t *done);

void socket_finish(struct socket *socket); /* FIN after what was sent */
/* Frees it. FIN after what was sent; RST instead if bytes are unread. */
void socket_close(struct socket *socket);
void socket_reset(struct socket *socket); /* RST now; frees it */

/* The peer's FIN or RST has come, though bytes may be unread (EPOLLRDHUP). */
bool socket_peer_gone(const struct socket *socket);
bool socket_is_broken(const struct socket *socket);
/* Bytes sent that the other end's kernel does not have yet (SIOCOUTQ): those a
 * reset would lose. */
size_t socket_unsent(const struct socket *socket);
uint64_t socket_sent(const struct socket *socket);     /* since it was made */
uint64_t socket_received(const struct socket *socket); /* since it was made */
struct process *socket_process(const struct socket *socket);
/* The process at the other end; NULL: gone or not accepted yet. */
struct process *socket_peer_process(const struct socket *socket);

/* All that a dying process has (process_kill()). */
void socket_kill_all(struct process *process, enum process_end end);

/* Of its connection, the first of a world is 1. Compare these, not addresses of
 * sockets: memory is used again. */
uint64_t socket_number(const struct socket *socket);
/* The other end, whoever has it: for faults of the way back. */
struct socket *socket_peer(struct socket *socket);

/* ---- faults -------------------------------------------------------------- */

/* What this end sends arrives no earlier than until_us. */
void socket_stall(struct socket *socket, uint64_t until_us);

enum socket_cut { CUT_FINISH, CUT_RESET, CUT_SILENCE };
/* Once this end has sent at_byte bytes in its life (or now, if it has): a FIN
 * in that direction, or both ends are reset, or nothing passes in either
 * direction any more (half-open). */
void socket_cut(struct socket *socket, uint64_t at_byte, enum socket_cut cut);

#endif
