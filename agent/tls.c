#include "agent/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "net/sys.h"

/* The newest entry of OpenSSL's queue, in words. */
static const char *last_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    return reason != NULL ? reason : "unknown TLS error";
}

/* A file that cannot even be opened deserves the system's words. */
static bool fail_file(char *error, const char *option, const char *path,
                      const char *remedy)
{
    int reason = sys_access(path, R_OK) != 0 ? errno : 0;

    snprintf(error, TLS_ERROR_SIZE, "%s \"%.200s\": %s; %s", option, path,
             reason != 0 ? strerror(reason) : last_reason(), remedy);
    return false;
}

static bool load_roots(SSL_CTX *context, const struct config *config,
                       char *error)
{
    if (config->ca_file == NULL) {
        if (SSL_CTX_set_default_verify_paths(context) == 1) {
            return true;
        }
        snprintf(error, TLS_ERROR_SIZE,
                 "the system's certificates cannot be loaded (%s); name a file "
                 "with --ca-file",
                 last_reason());
        return false;
    }
    return SSL_CTX_load_verify_file(context, config->ca_file) == 1 ||
           fail_file(error, "--ca-file", config->ca_file,
                     "it must hold PEM certificates");
}

static bool load_certificate(SSL_CTX *context, const struct config *config,
                             char *error)
{
    if (config->client_cert == NULL) {
        return true;
    }
    if (SSL_CTX_use_certificate_chain_file(context, config->client_cert) != 1) {
        return fail_file(error, "--client-cert", config->client_cert,
                         "it must hold a PEM certificate and its chain");
    }
    /* also finds a key that does not belong to the certificate */
    if (SSL_CTX_use_PrivateKey_file(context, config->client_key,
                                    SSL_FILETYPE_PEM) != 1) {
        return fail_file(error, "--client-key", config->client_key,
                         "it must hold the PEM key of --client-cert, without "
                         "a passphrase");
    }
    return true;
}

/* Never ask a terminal: a daemon has none. */
static int no_passphrase(char *buffer, int size, int writing, void *user)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)user;
    return -1;
}

SSL_CTX *tls_create(const struct config *config, char error[TLS_ERROR_SIZE])
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());

    ERR_clear_error();
    if (context == NULL) {
        snprintf(error, TLS_ERROR_SIZE, "no memory for TLS");
        return NULL;
    }
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context,
                        SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_default_passwd_cb(context, no_passphrase);
    if (!load_roots(context, config, error) ||
        !load_certificate(context, config, error)) {
        SSL_CTX_free(context);
        return NULL;
    }
    return context;
}

static bool name_peer(SSL *ssl, const char *host)
{
    X509_VERIFY_PARAM *parameters = SSL_get0_param(ssl);
    char name[URL_HOST_MAX + 1]; /* OpenSSL's macro takes no const */
    struct in6_addr address;

    if (inet_pton(AF_INET, host, &address) == 1 ||
        inet_pton(AF_INET6, host, &address) == 1) {
        return X509_VERIFY_PARAM_set1_ip_asc(parameters, host) == 1;
    }
    snprintf(name, sizeof(name), "%s", host);
    X509_VERIFY_PARAM_set_hostflags(parameters,
                                    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set_tlsext_host_name(ssl, name) == 1 &&
           SSL_set1_host(ssl, name) == 1;
}

SSL *tls_open(SSL_CTX *context, const char *host, int fd)
{
    static const unsigned char protocols[] = "\x08http/1.1";
    SSL *ssl = SSL_new(context);

    if (ssl == NULL) {
        return NULL;
    }
    if (!name_peer(ssl, host) || SSL_set_fd(ssl, fd) != 1 ||
        SSL_set_alpn_protos(ssl, protocols, sizeof(protocols) - 1) != 0) {
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_connect_state(ssl);
    return ssl;
}

void tls_describe(const SSL *ssl, int result, const char *host,
                  char error[TLS_ERROR_SIZE])
{
    long verdict = SSL_get_verify_result(ssl);

    if (verdict == X509_V_ERR_HOSTNAME_MISMATCH ||
        verdict == X509_V_ERR_IP_ADDRESS_MISMATCH) {
        snprintf(error, TLS_ERROR_SIZE,
                 "the server's certificate is not for %s; dial it by a name "
                 "that it carries",
                 host);
    } else if (verdict != X509_V_OK) {
        snprintf(error, TLS_ERROR_SIZE,
                 "the certificate of %s is not trusted: %s; name its CA with "
                 "--ca-file",
                 host, X509_verify_cert_error_string(verdict));
    } else if (result == SSL_ERROR_SSL) {
        snprintf(error, TLS_ERROR_SIZE, "TLS with %s failed: %s", host,
                 last_reason());
    } else if (result == SSL_ERROR_SYSCALL && errno != 0) {
        snprintf(error, TLS_ERROR_SIZE, "TLS with %s failed: %s", host,
                 strerror(errno));
    } else {
        snprintf(error, TLS_ERROR_SIZE,
                 "%s closed the connection before it answered", host);
    }
}
