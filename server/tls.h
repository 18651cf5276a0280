/* tls.h: the server's certificate and key, checked as they will be used. */
#ifndef SERVER_TLS_H
#define SERVER_TLS_H

#include <stdbool.h>

#define TLS_ERROR_SIZE 512u

/* Files of PEM: a chain, leaf first, and its private key. False: error is one
 * line that names the file and the remedy. */
bool tls_check(const char *cert, const char *key, char error[TLS_ERROR_SIZE]);

#endif
