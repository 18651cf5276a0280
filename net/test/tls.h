/* tls.h: TLS for tests, with a certificate made on the spot. */
#ifndef NET_TEST_TLS_H
#define NET_TEST_TLS_H

#include <openssl/ssl.h>
#include <stdbool.h>

/* A fresh SSL over fd that has not shaken hands; SSL_free() it. Aborts on
 * failure. */
SSL *tls_create(int fd, bool is_server);

/* One step of the handshake; true when done. Aborts on failure. */
bool tls_handshake(SSL *ssl);

#endif
