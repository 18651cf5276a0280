/* tls.h: TLS towards the server: 1.2 or later, the peer's certificate and name
 * always verified (X30). There is no switch to leave that out; a private CA is
 * named with --ca-file.
 */
#ifndef AGENT_TLS_H
#define AGENT_TLS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#include "agent/config.h"

#define TLS_ERROR_SIZE 512u

/* Reads the files that config names, so that renewed ones are taken at the next
 * dial. NULL: error names the file and what is wrong with it. SSL_CTX_free()
 * it. */
SSL_CTX *tls_create(const struct config *config, char error[TLS_ERROR_SIZE]);

/* A client session for this host (a name or an address), on the connected
 * descriptor, which stays the caller's. NULL: no memory. SSL_free() it. */
SSL *tls_open(SSL_CTX *context, const char *host, int fd);

/* What went wrong in the last call on ssl that failed, for a person; result:
 * what SSL_get_error() said of it. */
void tls_describe(const SSL *ssl, int result, const char *host,
                  char error[TLS_ERROR_SIZE]);

#endif
