/* tls.h: TLS between a peer's bytes and its socket.
 *
 * Works on memory alone: what is to be sent is appended to a queue, and what
 * came in is handed over. `wire` is always ciphertext, on its way out.
 */
#ifndef CONFORMANCE_MUTANTS_TLS_H
#define CONFORMANCE_MUTANTS_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conformance/mutants/bytes.h"

struct tls;

/* Once, before the first connection. server: file is a PEM chain with its key;
 * client: a PEM file of the certificates to trust. False: it cannot be used. */
bool tls_prepare(bool server, const char *file);

/* host: whom a client expects, an address or a name. Exits without memory. */
struct tls *tls_create(const char *host);
void tls_destroy(struct tls *tls); /* NULL is taken */

/* Ciphertext from the socket; the answers of the handshake go to wire. */
void tls_feed(struct tls *tls, const uint8_t *bytes, size_t length,
              struct bytes *wire);
/* Plain text that is there: its length, at most size; 0: no more for now. */
size_t tls_read(struct tls *tls, uint8_t *bytes, size_t size);
/* The peer has said that it ends, or broke the protocol. */
bool tls_has_ended(const struct tls *tls);

/* Moves plain text to wire; leaves it while the handshake goes on. */
void tls_seal(struct tls *tls, struct bytes *plain, struct bytes *wire);
/* The last word (close_notify); once. */
void tls_close(struct tls *tls, struct bytes *wire);

#endif
