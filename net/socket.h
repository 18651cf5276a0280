/* socket.h: descriptors, made the one way we want them.
 *
 * Every socket is non-blocking and close-on-exec. A function that returns a
 * descriptor returns -1 on failure, errno says why.
 */
#ifndef NET_SOCKET_H
#define NET_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct socket_address {
    struct sockaddr_storage storage;
    socklen_t length;
};

/* False: path is empty or does not fit (107 bytes). */
bool socket_address_unix(struct socket_address *address, const char *path);
/* Numeric IPv4 or IPv6 only, no name look-up. False: it is neither. */
bool socket_address_inet(struct socket_address *address, const char *host,
                         uint16_t port);

/* Listen on 127.0.0.1:port and nowhere else (AC-01); port 0: the kernel's
 * choice. *bound, unless NULL, is the port. What is accepted inherits
 * TCP_NODELAY, keep-alive and no pacing, which saves seven system calls a
 * connection. */
int socket_listen_loopback(uint16_t port, uint16_t *bound);

/* Close at once with RST: the peer sees an error, never an end of file (L-04).
 * A unix socket has no RST: its peer reads an end of file. */
void socket_reset(int fd);

/* TCP_NODELAY; harmless on a unix socket. */
void socket_no_delay(int fd);
/* To a peer on this host nothing is paced, whatever congestion control the host
 * has for networks. Harmless on any other socket. */
void socket_no_pacing(int fd, const struct sockaddr_storage *peer);
/* Idle 60 s, then 3 probes 10 s apart (T18). */
void socket_keep_alive(int fd);

/* Bytes that the peer's kernel has not acknowledged yet; 0 if unknown. */
size_t socket_unacknowledged(int fd);

/* The peer has closed or half-closed, though its end of file may still wait
 * behind bytes for which we have no room (T13). Asks this machine's kernel for
 * the state of the peer's own socket (sock_diag(7)), so it knows of TCP peers
 * on this machine only. False: it has not, or unknown. */
bool socket_peer_has_closed(int fd);

#endif
