#include "conformance/mutants/tls.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#define RECORD 16384u /* plain text of one TLS record */

struct tls {
    SSL *ssl;
    BIO *in;  /* ciphertext that came */
    BIO *out; /* ciphertext to be sent */
    bool ended;
    bool closed;
};

static SSL_CTX *context;
static bool is_server;

bool tls_prepare(bool server, const char *file)
{
    is_server = server;
    context = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    if (context == NULL || file == NULL)
        return false;
    if (server)
        return SSL_CTX_use_certificate_chain_file(context, file) == 1 &&
               SSL_CTX_use_PrivateKey_file(context, file, SSL_FILETYPE_PEM) ==
                   1;
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    return SSL_CTX_load_verify_file(context, file) == 1;
}

struct tls *tls_create(const char *host)
{
    struct tls *tls = calloc(1, sizeof *tls);
    SSL *ssl = SSL_new(context);
    BIO *in = BIO_new(BIO_s_mem());
    BIO *out = BIO_new(BIO_s_mem());
    if (tls == NULL || ssl == NULL || in == NULL || out == NULL) {
        fprintf(stderr, "out of memory\n");
        exit(1);
    }
    SSL_set_bio(ssl, in, out);
    tls->ssl = ssl;
    tls->in = in;
    tls->out = out;
    if (is_server) {
        SSL_set_accept_state(ssl);
        return tls;
    }
    SSL_set_connect_state(ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) != 1)
        SSL_set1_host(ssl, host);
    return tls;
}

void tls_destroy(struct tls *tls)
{
    if (tls == NULL)
        return;
    SSL_free(tls->ssl); /* and both BIOs */
    free(tls);
}

/* What OpenSSL has to say goes to wire. */
static void collect(struct tls *tls, struct bytes *wire)
{
    size_t pending = BIO_ctrl_pending(tls->out);
    while (pending > 0) {
        int size = pending < RECORD ? (int)pending : (int)RECORD;
        int got = BIO_read(tls->out, bytes_room(wire, (size_t)size), size);
        if (got <= 0)
            return;
        bytes_added(wire, (size_t)got);
        pending = BIO_ctrl_pending(tls->out);
    }
}

/* After a call that did not do what it should. */
static void judge(struct tls *tls, int status)
{
    int error = SSL_get_error(tls->ssl, status);
    tls->ended = tls->ended || (error != SSL_ERROR_WANT_READ &&
                                error != SSL_ERROR_WANT_WRITE);
    ERR_clear_error();
}

void tls_feed(struct tls *tls, const uint8_t *bytes, size_t length,
              struct bytes *wire)
{
    size_t done = 0;
    if (BIO_write_ex(tls->in, bytes, length, &done) != 1 || done != length)
        tls->ended = true;
    if (SSL_is_init_finished(tls->ssl) == 0) {
        int status = SSL_do_handshake(tls->ssl);
        if (status != 1)
            judge(tls, status);
    }
    collect(tls, wire);
}

size_t tls_read(struct tls *tls, uint8_t *bytes, size_t size)
{
    size_t got = 0;
    int status = SSL_read_ex(tls->ssl, bytes, size, &got);
    if (status == 1)
        return got;
    judge(tls, status);
    return 0;
}

bool tls_has_ended(const struct tls *tls)
{
    return tls->ended;
}

void tls_seal(struct tls *tls, struct bytes *plain, struct bytes *wire)
{
    while (plain->length > 0 && !tls->closed) {
        size_t size = plain->length < RECORD ? plain->length : RECORD;
        size_t done = 0;
        int status = SSL_write_ex(tls->ssl, bytes_front(plain), size, &done);
        if (status != 1) {
            judge(tls, status);
            break;
        }
        bytes_drop(plain, done);
        collect(tls, wire);
    }
    collect(tls, wire);
}

void tls_close(struct tls *tls, struct bytes *wire)
{
    if (!tls->closed)
        SSL_shutdown(tls->ssl);
    tls->closed = true;
    collect(tls, wire);
}
