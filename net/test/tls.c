#include "net/test/tls.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

static void check(bool passed)
{
    if (!passed) {
        ERR_print_errors_fp(stderr);
        abort();
    }
}

static void certify(SSL_CTX *context)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    X509_NAME *name = X509_get_subject_name(certificate);

    check(key != NULL && certificate != NULL);
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                               (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(certificate, name);
    X509_set_pubkey(certificate, key);
    check(X509_sign(certificate, key, EVP_sha256()) > 0);
    check(SSL_CTX_use_certificate(context, certificate) == 1);
    check(SSL_CTX_use_PrivateKey(context, key) == 1);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

SSL *tls_create(int fd, bool is_server)
{
    SSL_CTX *context =
        SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
    SSL *ssl;

    check(context != NULL);
    if (is_server) {
        certify(context);
    }
    ssl = SSL_new(context); /* holds the context from now on */
    check(ssl != NULL && SSL_set_fd(ssl, fd) == 1);
    SSL_CTX_free(context);
    if (is_server) {
        SSL_set_accept_state(ssl);
    } else {
        SSL_set_connect_state(ssl);
    }
    return ssl;
}

bool tls_handshake(SSL *ssl)
{
    int result = SSL_do_handshake(ssl);
    if (result == 1) {
        return true;
    }
    int error = SSL_get_error(ssl, result);
    check(error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE);
    return false;
}
