#include "conformance/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "conformance/channel_internal.h"

#define BACKLOG 64 /* connections that wait at a listener of ours */

static const char *const schemes[] = {"tcp", "unix", "ws", "wss"};

uint64_t channel_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static unsigned until(uint64_t deadline)
{
    uint64_t now = channel_now();
    return deadline > now ? (unsigned)(deadline - now) : 0;
}

/* ---- targets ---- */

static bool parse_authority(struct channel_target *target, const char *text,
                            size_t length, char error[CHANNEL_ERROR])
{
    const char *host = text;
    const char *end = text + length;
    const char *colon = NULL;
    if (length && *text == '[') {
        const char *bracket = memchr(text, ']', length);
        host = text + 1;
        colon = bracket && bracket + 1 < end && bracket[1] == ':' ? bracket + 1
                                                                  : NULL;
        length = bracket ? (size_t)(bracket - host) : 0;
    } else {
        colon = memchr(text, ':', length);
        length = colon ? (size_t)(colon - text) : length;
    }
    const char *port = target->scheme == CHANNEL_WS    ? "80"
                       : target->scheme == CHANNEL_WSS ? "443"
                                                       : "";
    size_t port_length = strlen(port);
    if (colon) {
        port = colon + 1;
        port_length = (size_t)(end - port);
    }
    if (length == 0 || length >= sizeof target->host || port_length == 0 ||
        port_length >= sizeof target->port ||
        strspn(port, "0123456789") < port_length ||
        strtol(port, NULL, 10) > 65535) {
        snprintf(error, CHANNEL_ERROR, "a host and a port (0-65535) after ://");
        return false;
    }
    memcpy(target->host, host, length);
    target->host[length] = '\0';
    memcpy(target->port, port, port_length);
    target->port[port_length] = '\0';
    return true;
}

bool channel_parse(struct channel_target *target, const char *url,
                   char error[CHANNEL_ERROR])
{
    const char *rest = strstr(url, "://");
    target->listener = -1;
    for (unsigned i = 0; rest && i < 4; i++) {
        if (strlen(schemes[i]) == (size_t)(rest - url) &&
            strncmp(url, schemes[i], strlen(schemes[i])) == 0) {
            target->scheme = (enum channel_scheme)i;
            rest += 3;
            if (target->scheme == CHANNEL_UNIX) {
                if (strlen(rest) >=
                    sizeof(((struct sockaddr_un *)0)->sun_path)) {
                    snprintf(error, CHANNEL_ERROR,
                             "the path of a unix socket is at most %zu bytes",
                             sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
                    return false;
                }
                snprintf(target->host, sizeof target->host, "%s", rest);
                return true;
            }
            size_t length = strcspn(rest, "/?");
            const char *path = rest + length;
            if (strlen(path) + 2 > sizeof target->path) {
                snprintf(error, CHANNEL_ERROR, "the path is too long");
                return false;
            }
            snprintf(target->path, sizeof target->path, "%s%s",
                     *path == '/' ? "" : "/", path);
            return parse_authority(target, rest, length, error);
        }
    }
    snprintf(error, CHANNEL_ERROR,
             "\"%.100s\" is no tcp://, unix://, ws:// or wss:// address", url);
    return false;
}

void channel_url(const struct channel_target *target, char *url, size_t size)
{
    const char *scheme = schemes[target->scheme];
    if (target->scheme == CHANNEL_UNIX) {
        snprintf(url, size, "%s://%s", scheme, target->host);
        return;
    }
    bool six = strchr(target->host, ':');
    bool websocket = target->scheme != CHANNEL_TCP;
    snprintf(url, size, "%s://%s%s%s:%s%s", scheme, six ? "[" : "",
             target->host, six ? "]" : "", target->port,
             websocket ? target->path : "");
}

/* ---- sockets ---- */

/* Before the connection is made: a window that was wide once and is narrow now
 * makes TCP wait for its persist timer with every piece. */
static void narrow(const struct channel_target *target, int fd)
{
    if (target->receive_buffer) {
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &target->receive_buffer,
                   sizeof target->receive_buffer);
    }
}

static int unix_socket(const char *path, struct sockaddr_un *address)
{
    address->sun_family = AF_UNIX;
    /* its length was checked by channel_parse */
    memcpy(address->sun_path, path,
           strnlen(path, sizeof address->sun_path - 1));
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static bool failed(char error[CHANNEL_ERROR], const char *what)
{
    snprintf(error, CHANNEL_ERROR, "%.180s: %s", what, strerror(errno));
    return false;
}

static struct addrinfo *resolve(const struct channel_target *target, int flags,
                                char error[CHANNEL_ERROR])
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags};
    struct addrinfo *found = NULL;
    int status = getaddrinfo(target->host, target->port, &hints, &found);
    if (status != 0) {
        snprintf(error, CHANNEL_ERROR, "%.180s: %s", target->host,
                 gai_strerror(status));
        return NULL;
    }
    return found;
}

bool channel_listen(struct channel_target *target, char error[CHANNEL_ERROR])
{
    int fd = -1;
    if (target->scheme == CHANNEL_UNIX) {
        struct sockaddr_un address = {0};
        fd = unix_socket(target->host, &address);
        if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address)) {
            failed(error, target->host);
            if (fd >= 0) {
                close(fd);
            }
            return false;
        }
    } else {
        struct addrinfo *found = resolve(target, AI_PASSIVE, error);
        if (!found) {
            return false;
        }
        fd = socket(found->ai_family,
                    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int one = 1;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        int status = bind(fd, found->ai_addr, found->ai_addrlen);
        freeaddrinfo(found);
        struct sockaddr_storage address = {0};
        socklen_t size = sizeof address;
        if (fd < 0 || status != 0 ||
            getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
            failed(error, "listen");
            if (fd >= 0) {
                close(fd);
            }
            return false;
        }
        in_port_t port = address.ss_family == AF_INET6
                             ? ((struct sockaddr_in6 *)&address)->sin6_port
                             : ((struct sockaddr_in *)&address)->sin_port;
        snprintf(target->port, sizeof target->port, "%u", ntohs(port));
    }
    if (listen(fd, BACKLOG) != 0) {
        close(fd);
        return failed(error, "listen");
    }
    target->listener = fd;
    return true;
}

static bool finish_connect(int fd, unsigned timeout_ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
    int status = 0;
    socklen_t size = sizeof status;
    if (poll(&poll_fd, 1, (int)timeout_ms) != 1) {
        errno = ETIMEDOUT;
        return false;
    }
    (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &status, &size);
    errno = status;
    return status == 0;
}

static int dial(const struct channel_target *target, uint64_t deadline,
                char error[CHANNEL_ERROR])
{
    char url[1400];
    channel_url(target, url, sizeof url);
    if (target->scheme == CHANNEL_UNIX) {
        struct sockaddr_un address = {0};
        int fd = unix_socket(target->host, &address);
        if (fd >= 0 &&
            connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
            close(fd);
            fd = -1;
        }
        if (fd < 0) {
            snprintf(error, CHANNEL_ERROR, "%.180s: %s", url, strerror(errno));
        }
        return fd;
    }
    struct addrinfo *found = resolve(target, 0, error);
    if (!found) {
        return -1;
    }
    int fd = -1;
    for (struct addrinfo *each = found; each; each = each->ai_next) {
        fd = socket(each->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
                    0);
        if (fd < 0) {
            continue;
        }
        narrow(target, fd);
        if (connect(fd, each->ai_addr, each->ai_addrlen) == 0 ||
            (errno == EINPROGRESS && finish_connect(fd, until(deadline)))) {
            break;
        }
        int status = errno;
        close(fd);
        errno = status;
        fd = -1;
    }
    if (fd < 0) {
        snprintf(error, CHANNEL_ERROR, "%.180s: %s", url, strerror(errno));
    }
    freeaddrinfo(found);
    return fd;
}

/* Has the peer ended it already? */
static bool is_stale(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLRDHUP};
    return poll(&poll_fd, 1, 0) == 1;
}

/* A peer that dials may have waited for this case so long that it gave its
 * session up, and dialed again: what it has left in the queue is passed over.
 */
static int take(const struct channel_target *target, uint64_t deadline,
                char error[CHANNEL_ERROR])
{
    unsigned queued = BACKLOG;        /* as many may wait from before */
    narrow(target, target->listener); /* for those that dial from now on */
    for (;;) { /* several processes may wait at the same listener */
        struct pollfd poll_fd = {.fd = target->listener, .events = POLLIN};
        if (queued && poll(&poll_fd, 1, 0) != 1) {
            queued = 0;
        }
        if (!queued && poll(&poll_fd, 1, (int)until(deadline)) != 1) {
            char url[1400];
            channel_url(target, url, sizeof url);
            snprintf(error, CHANNEL_ERROR, "nobody has connected to %.180s",
                     url);
            return -1;
        }
        int fd = accept(target->listener, NULL, NULL);
        if (fd >= 0 && queued && is_stale(fd)) {
            queued--;
            close(fd);
            continue;
        }
        if (fd >= 0) {
            (void)fcntl(fd, F_SETFL, O_NONBLOCK);
            (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
            return fd;
        }
    }
}

/* ---- TLS ---- */

static bool tls_failed(char error[CHANNEL_ERROR], const char *what)
{
    char reason[128];
    ERR_error_string_n(ERR_get_error(), reason, sizeof reason);
    snprintf(error, CHANNEL_ERROR, "%s: %s", what, reason);
    return false;
}

static bool tls_prepare(struct channel *channel,
                        const struct channel_target *target,
                        char error[CHANNEL_ERROR])
{
    bool listens = target->listens;
    channel->context =
        SSL_CTX_new(listens ? TLS_server_method() : TLS_client_method());
    SSL_CTX *context = channel->context;
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (listens) {
        if (!target->cert_file ||
            SSL_CTX_use_certificate_chain_file(context, target->cert_file) !=
                1 ||
            SSL_CTX_use_PrivateKey_file(context, target->cert_file,
                                        SSL_FILETYPE_PEM) != 1) {
            return tls_failed(error, "--cert-file");
        }
    } else {
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
        if (target->ca_file
                ? SSL_CTX_load_verify_file(context, target->ca_file) != 1
                : SSL_CTX_set_default_verify_paths(context) != 1) {
            return tls_failed(error, "--ca-file");
        }
    }
    channel->tls = SSL_new(context);
    SSL_set_fd(channel->tls, channel->fd);
    if (listens) {
        SSL_set_accept_state(channel->tls);
        return true;
    }
    SSL_set_connect_state(channel->tls);
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(channel->tls),
                                      target->host) != 1) {
        SSL_set1_host(channel->tls, target->host);
        char name[sizeof target->host]; /* OpenSSL's macro wants it so */
        snprintf(name, sizeof name, "%s", target->host);
        SSL_set_tlsext_host_name(channel->tls, name);
    }
    return true;
}

static bool tls_shake(struct channel *channel, uint64_t deadline,
                      char error[CHANNEL_ERROR])
{
    for (;;) {
        int status = SSL_do_handshake(channel->tls);
        if (status == 1) {
            return true;
        }
        int wants = SSL_get_error(channel->tls, status);
        if (wants != SSL_ERROR_WANT_READ && wants != SSL_ERROR_WANT_WRITE) {
            return tls_failed(error, "TLS handshake");
        }
        struct pollfd poll_fd = {
            .fd = channel->fd,
            .events = wants == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT};
        if (poll(&poll_fd, 1, (int)until(deadline)) != 1) {
            snprintf(error, CHANNEL_ERROR, "TLS handshake: no answer in time");
            return false;
        }
    }
}

/* ---- the channel ---- */

struct channel *channel_open(const struct channel_target *target,
                             unsigned timeout_ms, char error[CHANNEL_ERROR])
{
    uint64_t deadline = channel_now() + timeout_ms;
    int fd = target->listens ? take(target, deadline, error)
                             : dial(target, deadline, error);
    if (fd < 0) {
        return NULL;
    }
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct channel *channel = calloc(1, sizeof *channel);
    if (!channel) {
        abort();
    }
    channel->fd = fd;
    bool good = true;
    if (target->scheme == CHANNEL_WSS) {
        good = tls_prepare(channel, target, error) &&
               tls_shake(channel, deadline, error);
    }
    if (good && target->scheme >= CHANNEL_WS) {
        channel->websocket = true;
        channel->websocket_client = !target->listens;
        good = target->listens
                   ? channel_ws_accept(channel, deadline, error)
                   : channel_ws_connect(channel, target, deadline, error);
    }
    if (!good) {
        channel_close(channel);
        return NULL;
    }
    return channel;
}

void channel_close(struct channel *channel)
{
    SSL_free(channel->tls);
    SSL_CTX_free(channel->context);
    close(channel->fd);
    free(channel->out.bytes);
    free(channel);
}

void channel_abort(struct channel *channel)
{
    struct linger linger = {.l_onoff = 1};
    setsockopt(channel->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    channel_close(channel);
}

void channel_shut(struct channel *channel)
{
    channel_flush(channel);
    shutdown(channel->fd, SHUT_WR);
}

static enum channel_state broken(struct channel *channel)
{
    snprintf(channel->trouble, sizeof channel->trouble, "%s", strerror(errno));
    return CHANNEL_BROKEN;
}

static enum channel_state tls_state(struct channel *channel, int status)
{
    switch (SSL_get_error(channel->tls, status)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return CHANNEL_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return CHANNEL_CLOSED;
    default:
        break;
    }
    unsigned long code = ERR_get_error();
    ERR_clear_error();
    if (ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        snprintf(channel->trouble, sizeof channel->trouble,
                 "the connection ended without TLS close_notify");
        return CHANNEL_CLOSED;
    }
    snprintf(channel->trouble, sizeof channel->trouble, "TLS: %s",
             code ? ERR_reason_error_string(code) : strerror(errno));
    return CHANNEL_BROKEN;
}

enum channel_state channel_raw_read(struct channel *channel, uint8_t *bytes,
                                    size_t size, size_t *moved)
{
    *moved = 0;
    if (channel->tls) {
        int status = SSL_read_ex(channel->tls, bytes, size, moved);
        return status == 1 ? CHANNEL_OK : tls_state(channel, status);
    }
    ssize_t count = recv(channel->fd, bytes, size, 0);
    if (count > 0) {
        *moved = (size_t)count;
        return CHANNEL_OK;
    }
    if (count == 0) {
        return CHANNEL_CLOSED;
    }
    return errno == EAGAIN || errno == EINTR ? CHANNEL_AGAIN : broken(channel);
}

static enum channel_state raw_write(struct channel *channel,
                                    const uint8_t *bytes, size_t length,
                                    size_t *moved)
{
    *moved = 0;
    if (channel->tls) {
        int status = SSL_write_ex(channel->tls, bytes, length, moved);
        return status == 1 ? CHANNEL_OK : tls_state(channel, status);
    }
    ssize_t count = send(channel->fd, bytes, length, MSG_NOSIGNAL);
    if (count >= 0) {
        *moved = (size_t)count;
        return CHANNEL_OK;
    }
    return errno == EAGAIN || errno == EINTR ? CHANNEL_AGAIN : broken(channel);
}

void channel_queue(struct channel *channel, const void *bytes, size_t length)
{
    struct channel_bytes *out = &channel->out;
    if (out->start == out->end) {
        out->start = out->end = 0;
    }
    if (out->end + length > out->size) {
        out->size = 2 * (out->end + length);
        out->bytes = realloc(out->bytes, out->size);
        if (!out->bytes) {
            abort();
        }
    }
    if (length) {
        memcpy(out->bytes + out->end, bytes, length);
    }
    out->end += length;
}

enum channel_state channel_flush(struct channel *channel)
{
    struct channel_bytes *out = &channel->out;
    while (out->start < out->end) {
        size_t moved;
        enum channel_state state = raw_write(channel, out->bytes + out->start,
                                             out->end - out->start, &moved);
        if (state == CHANNEL_BROKEN) {
            out->start = out->end;
        }
        if (state != CHANNEL_OK) {
            return state;
        }
        out->start += moved;
    }
    return CHANNEL_OK;
}

enum channel_state channel_read(struct channel *channel, uint8_t *bytes,
                                size_t size, size_t *moved)
{
    channel_flush(channel);
    return channel->websocket ? channel_ws_read(channel, bytes, size, moved)
                              : channel_raw_read(channel, bytes, size, moved);
}

enum channel_state channel_write(struct channel *channel, const uint8_t *bytes,
                                 size_t length, size_t *moved)
{
    *moved = 0;
    enum channel_state state = channel_flush(channel);
    if (state != CHANNEL_OK) {
        return state;
    }
    if (!channel->websocket) {
        return raw_write(channel, bytes, length, moved);
    }
    channel_frame(channel, 0x82, channel->websocket_client, bytes, length);
    *moved = length;
    state = channel_flush(channel);
    return state == CHANNEL_AGAIN ? CHANNEL_OK : state;
}

bool channel_unsent(const struct channel *channel)
{
    return channel->out.start < channel->out.end;
}

void channel_wait(struct channel *channel, bool to_read, bool to_write,
                  unsigned timeout_ms)
{
    if (to_read && channel->tls && SSL_pending(channel->tls) > 0) {
        return;
    }
    to_write = to_write || channel_unsent(channel);
    struct pollfd fds[2] = {
        {.fd = channel->fd,
         .events = (short)((to_read ? POLLIN : 0) | (to_write ? POLLOUT : 0))},
        {.fd = channel->also - 1, .events = POLLIN}};
    (void)poll(fds, channel->also ? 2 : 1, (int)timeout_ms);
    channel_flush(channel);
}

void channel_also(struct channel *channel, int fd)
{
    channel->also = fd + 1;
}

int channel_fd(const struct channel *channel)
{
    return channel->fd;
}

const char *channel_trouble(const struct channel *channel)
{
    return channel->trouble;
}
