#include "server/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "net/sys.h"

static bool fail(char error[TLS_ERROR_SIZE], const char *path,
                 const char *remedy)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    if (sys_access(path, R_OK) != 0) {
        reason = strerror(errno);
    }
    (void)snprintf(error, TLS_ERROR_SIZE, "cannot use %s: %s; %s", path,
                   reason != NULL ? reason : "it is not PEM", remedy);
    return false;
}

bool tls_check(const char *cert, const char *key, char error[TLS_ERROR_SIZE])
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    bool good = false;

    ERR_clear_error();
    if (context == NULL) {
        (void)snprintf(error, TLS_ERROR_SIZE, "OpenSSL cannot be used");
    } else if (SSL_CTX_use_certificate_chain_file(context, cert) != 1) {
        good = fail(error, cert, "--tls-cert takes a PEM chain, leaf first");
    } else if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) !=
               1) {
        good = fail(error, key,
                    "--tls-key takes the PEM private key of that certificate");
    } else {
        good = true;
    }
    SSL_CTX_free(context);
    ERR_clear_error();
    return good;
}
