/* listener.h: binding the sockets that orthrusd listens on.
 *
 * Three kinds: the main HTTP listener, the admin unix socket, and one loopback
 * port for each connected agent. All are non-blocking and close-on-exec; who
 * accepts from them is the caller's business (net/acceptor.h).
 */
#ifndef SERVER_LISTENER_H
#define SERVER_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/port.h"

#define LISTENER_ERROR_SIZE 512u

/* Bind address, "ADDR:PORT" or "[ADDR]:PORT" with a numeric ADDR; port 0: the
 * kernel's choice. Returns the socket, *port is what it is bound to; or -1, and
 * error is one line that names the address and the remedy. */
int listener_bind(const char *address, uint16_t *port,
                  char error[LISTENER_ERROR_SIZE]);

/* Bind a unix socket, mode 0600. A socket that nobody listens on any more is
 * replaced; one that somebody listens on is an error. Returns the socket, or -1
 * and error as above. */
int listener_bind_unix(const char *path, char error[LISTENER_ERROR_SIZE]);

/* Bind a loopback port for an agent (AC-01, L-10): the one it had last, if that
 * is free, else one of the kernel's choice that is not in another agent's
 * quarantine. now_ms: Unix time. Returns the socket and *port, already recorded
 * in ports; or -1 with errno (EADDRINUSE: every port tried is in quarantine).
 */
int listener_bind_agent(struct port_table *ports,
                        const uint8_t uuid[PORT_UUID_SIZE], uint64_t now_ms,
                        uint16_t *port);

#endif
