/* A dial is a row of steps. Each step works until it is done, has failed, or
 * waits for its descriptor; advance() runs them in order. */
#include "agent/dial.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/proxy.h"
#include "agent/tls.h"
#include "core/http.h"
#include "net/log.h"
#include "net/sys.h"

enum step {
    STEP_LOOK_UP,
    STEP_CONNECT,
    STEP_ASK_PROXY,
    STEP_HEAR_PROXY,
    STEP_SECURE,
    STEP_ASK_SERVER,
    STEP_HEAR_SERVER,
    STEP_OPEN
};

enum progress { DONE, WAIT_INPUT, WAIT_OUTPUT, FAILED };

struct dial {
    struct loop *loop;
    struct resolver *resolver;
    const struct config *config;
    void (*done)(void *user, const struct dial_result *result);
    void *user;

    enum step step;
    struct url proxy;
    bool proxied;
    struct resolve *look_up;
    struct resolve_result found;
    size_t next; /* of found.addresses */
    struct loop_watch watch;
    struct loop_timer deadline; /* of the whole */
    struct loop_timer turn;     /* of this address, while connecting */
    struct loop_task start;
    uint64_t deadline_ms;
    int fd;
    SSL_CTX *context;
    SSL *ssl;

    uint8_t nonce[UPGRADE_NONCE_SIZE];
    char request[UPGRADE_REQUEST_MAX];
    size_t request_length, request_sent;
    struct http_scan scan;
    uint8_t head[DIAL_HEAD_MAX];
    size_t head_length; /* bytes read */
    size_t head_end;    /* of them: scanned, and part of the head */
    unsigned status;
    char error[DIAL_ERROR_SIZE];
};

__attribute__((format(printf, 2, 3))) static enum progress
fail(struct dial *dial, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(dial->error, sizeof(dial->error), format, arguments);
    va_end(arguments);
    return FAILED;
}

/* Whom the connection is made to: the proxy, or the server itself. */
static const struct url *next_hop(const struct dial *dial)
{
    return dial->proxied ? &dial->proxy : &dial->config->server;
}

static const char *hop_name(const struct dial *dial)
{
    return dial->proxied ? "proxy" : "server";
}

static void hang_up(struct dial *dial)
{
    loop_remove(dial->loop, &dial->watch);
    SSL_free(dial->ssl);
    dial->ssl = NULL;
    if (dial->fd >= 0) {
        sys_close(dial->fd);
        dial->fd = -1;
    }
}

static void release(struct dial *dial)
{
    if (dial->look_up != NULL) {
        resolve_cancel(dial->look_up);
    }
    loop_timer_stop(dial->loop, &dial->deadline);
    loop_timer_stop(dial->loop, &dial->turn);
    loop_cancel(dial->loop, &dial->start);
    hang_up(dial);
    SSL_CTX_free(dial->context);
    explicit_bzero(dial->request, sizeof(dial->request)); /* the key */
    free(dial);
}

/* ---- bytes, with and without TLS ----------------------------------------- */

/* Sort out a call of OpenSSL that did not succeed. */
static enum progress tls_progress(struct dial *dial, int returned)
{
    char error[TLS_ERROR_SIZE];
    int result = SSL_get_error(dial->ssl, returned);

    if (result == SSL_ERROR_WANT_READ) {
        return WAIT_INPUT;
    }
    if (result == SSL_ERROR_WANT_WRITE) {
        return WAIT_OUTPUT;
    }
    tls_describe(dial->ssl, result, dial->config->server.host, error);
    return fail(dial, "%s", error);
}

static enum progress send_some(struct dial *dial, size_t *sent)
{
    const char *bytes = dial->request + dial->request_sent;
    size_t length = dial->request_length - dial->request_sent;
    ssize_t result;

    if (dial->ssl != NULL) {
        ERR_clear_error();
        int returned = SSL_write_ex(dial->ssl, bytes, length, sent);
        return returned == 1 ? DONE : tls_progress(dial, returned);
    }
    result = sys_send(dial->fd, bytes, length, MSG_NOSIGNAL);
    if (result < 0) {
        return errno == EAGAIN || errno == EINTR
                   ? WAIT_OUTPUT
                   : fail(dial, "send to the %s: %s", hop_name(dial),
                          strerror(errno));
    }
    *sent = (size_t)result;
    return DONE;
}

static enum progress receive_some(struct dial *dial, size_t *received)
{
    uint8_t *bytes = dial->head + dial->head_length;
    size_t room = sizeof(dial->head) - dial->head_length;
    ssize_t result;

    if (dial->ssl != NULL) {
        ERR_clear_error();
        int returned = SSL_read_ex(dial->ssl, bytes, room, received);
        return returned == 1 ? DONE : tls_progress(dial, returned);
    }
    result = sys_recv(dial->fd, bytes, room, 0);
    if (result < 0) {
        return errno == EAGAIN || errno == EINTR
                   ? WAIT_INPUT
                   : fail(dial, "receive from the %s: %s", hop_name(dial),
                          strerror(errno));
    }
    if (result == 0) {
        return fail(dial, "the %s closed the connection before it answered",
                    hop_name(dial));
    }
    *received = (size_t)result;
    return DONE;
}

/* ---- steps --------------------------------------------------------------- */

static void looked_up(void *user, const struct resolve_result *result);

static enum progress look_up(struct dial *dial)
{
    const struct url *hop = next_hop(dial);

    if (dial->found.count > 0) {
        return DONE;
    }
    if (socket_address_inet(&dial->found.addresses[0], hop->host, hop->port)) {
        dial->found.count = 1;
        return DONE;
    }
    dial->look_up =
        resolve_start(dial->resolver, hop->host, hop->port, looked_up, dial);
    if (dial->look_up == NULL) {
        return fail(dial, "look-up of %s: %s", hop->host, strerror(errno));
    }
    return WAIT_INPUT; /* for looked_up() */
}

/* Of the address that was tried last; the next one's turn, if there is one. */
static enum progress connect_failed(struct dial *dial, int error)
{
    char authority[URL_AUTHORITY_MAX + 1];

    hang_up(dial);
    url_authority(next_hop(dial), true, authority);
    return fail(dial, "connect to the %s %s: %s", hop_name(dial), authority,
                strerror(error));
}

static void ready(void *user, uint32_t events);

static enum progress begin_connect(struct dial *dial)
{
    const struct socket_address *address = &dial->found.addresses[dial->next++];
    uint64_t now_ms = loop_now_ms(dial->loop);
    uint64_t left_ms =
        dial->deadline_ms > now_ms ? dial->deadline_ms - now_ms : 0;
    size_t turns = dial->found.count - dial->next + 1;

    dial->fd = sys_socket(address->storage.ss_family,
                          SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (dial->fd < 0 ||
        !loop_add(dial->loop, &dial->watch, dial->fd, EPOLLOUT)) {
        return connect_failed(dial, errno);
    }
    socket_no_delay(dial->fd);
    socket_no_pacing(dial->fd, &address->storage);
    if (turns > 1) {
        loop_timer_set(dial->loop, &dial->turn, now_ms + left_ms / turns);
    }
    if (sys_connect(dial->fd, (const struct sockaddr *)&address->storage,
                    address->length) == 0) {
        return DONE;
    }
    return errno == EINPROGRESS ? WAIT_OUTPUT : connect_failed(dial, errno);
}

/* The socket that is being connected is writable: it is decided. */
static enum progress end_connect(struct dial *dial)
{
    int error = sys_socket_error(dial->fd);

    return error == 0 ? DONE : connect_failed(dial, error);
}

static enum progress connect_any(struct dial *dial)
{
    enum progress progress =
        dial->fd >= 0 ? end_connect(dial) : begin_connect(dial);

    while (progress == FAILED && dial->next < dial->found.count) {
        progress = begin_connect(dial);
    }
    if (progress == DONE) {
        loop_timer_stop(dial->loop, &dial->turn);
    }
    return progress;
}

static enum progress ask(struct dial *dial)
{
    while (dial->request_sent < dial->request_length) {
        size_t sent = 0;
        enum progress progress = send_some(dial, &sent);
        if (progress != DONE) {
            return progress;
        }
        dial->request_sent += sent;
    }
    explicit_bzero(dial->request, sizeof(dial->request));
    dial->request_length = 0;
    dial->request_sent = 0;
    dial->head_length = 0;
    dial->head_end = 0;
    http_scan_init(&dial->scan);
    return DONE;
}

/* Read until the head of the answer is whole. */
static enum progress hear(struct dial *dial)
{
    while (!dial->scan.complete) {
        size_t received = 0;
        enum progress progress = receive_some(dial, &received);
        if (progress != DONE) {
            return progress;
        }
        dial->head_length += received;
        dial->head_end += http_scan(&dial->scan, dial->head + dial->head_end,
                                    dial->head_length - dial->head_end);
        if (dial->scan.fault != HTTP_OK) {
            return fail(dial,
                        "the %s does not answer in HTTP (%s); is the "
                        "port right?",
                        hop_name(dial), http_fault_text(dial->scan.fault));
        }
        if (!dial->scan.complete && dial->head_length == sizeof(dial->head)) {
            return fail(dial,
                        "the %s's answer has a head of more than %u "
                        "bytes",
                        hop_name(dial), DIAL_HEAD_MAX);
        }
    }
    return DONE;
}

static enum progress ask_proxy(struct dial *dial)
{
    if (!dial->proxied) {
        return DONE;
    }
    if (dial->request_length == 0) {
        dial->request_length = upgrade_connect_request(
            dial->request, &dial->config->server, &dial->proxy);
    }
    return ask(dial);
}

static enum progress hear_proxy(struct dial *dial)
{
    struct upgrade_answer answer;
    enum progress progress = dial->proxied ? hear(dial) : DONE;

    if (progress != DONE || !dial->proxied) {
        return progress;
    }
    if (!upgrade_check_connect(&answer,
                               (struct span){dial->head, dial->head_end})) {
        return fail(dial, "%s", answer.error);
    }
    if (dial->head_length > dial->head_end) {
        return fail(dial, "the proxy sent bytes after its answer to CONNECT; "
                          "is it a proxy?");
    }
    dial->proxied = false; /* from here on the far end is the server */
    return DONE;
}

static enum progress secure(struct dial *dial)
{
    const struct config *config = dial->config;
    char error[TLS_ERROR_SIZE];
    int returned;

    if (!config->server.tls) {
        return DONE;
    }
    if (dial->ssl == NULL) {
        dial->context = tls_create(config, error);
        if (dial->context == NULL) {
            return fail(dial, "%s", error);
        }
        dial->ssl = tls_open(dial->context, config->server.host, dial->fd);
        if (dial->ssl == NULL) {
            return fail(dial, "no memory for TLS");
        }
    }
    ERR_clear_error();
    errno = 0;
    returned = SSL_connect(dial->ssl);
    return returned == 1 ? DONE : tls_progress(dial, returned);
}

static enum progress ask_server(struct dial *dial)
{
    const struct upgrade_identity identity = {dial->config->key,
                                              dial->config->agent_id};

    if (dial->request_length == 0) {
        if (sys_getrandom(dial->nonce, sizeof(dial->nonce), 0) !=
            (ssize_t)sizeof(dial->nonce)) {
            return fail(dial, "no random numbers: %s", strerror(errno));
        }
        dial->request_length = upgrade_request(
            dial->request, &dial->config->server, &identity, dial->nonce);
    }
    return ask(dial);
}

static enum progress hear_server(struct dial *dial)
{
    struct upgrade_answer answer;
    enum progress progress = hear(dial);

    if (progress != DONE) {
        return progress;
    }
    if (!upgrade_check(&answer, (struct span){dial->head, dial->head_end},
                       dial->nonce)) {
        dial->status = answer.status;
        return fail(dial, "%s", answer.error);
    }
    dial->status = answer.status;
    return DONE;
}

static enum progress work(struct dial *dial)
{
    switch (dial->step) {
    case STEP_LOOK_UP:
        return look_up(dial);
    case STEP_CONNECT:
        return connect_any(dial);
    case STEP_ASK_PROXY:
        return ask_proxy(dial);
    case STEP_HEAR_PROXY:
        return hear_proxy(dial);
    case STEP_SECURE:
        return secure(dial);
    case STEP_ASK_SERVER:
        return ask_server(dial);
    case STEP_HEAR_SERVER:
        return hear_server(dial);
    case STEP_OPEN:
        break;
    }
    return DONE;
}

/* ---- the row ------------------------------------------------------------- */

static void finish(struct dial *dial)
{
    struct dial_result result = {
        .fd = -1, .status = dial->status, .error = dial->error};

    if (dial->step == STEP_OPEN) {
        loop_remove(dial->loop, &dial->watch);
        result.fd = dial->fd;
        result.ssl = dial->ssl;
        result.early = (struct span){dial->head + dial->head_end,
                                     dial->head_length - dial->head_end};
        dial->fd = -1;
        dial->ssl = NULL;
    } else {
        hang_up(dial);
    }
    dial->done(dial->user, &result);
    release(dial);
}

static void advance(struct dial *dial)
{
    enum progress progress = DONE;

    while (progress == DONE && dial->step != STEP_OPEN) {
        progress = work(dial);
        dial->step += progress == DONE;
    }
    switch (progress) {
    case WAIT_INPUT:
    case WAIT_OUTPUT:
        if (dial->fd >= 0) {
            loop_change(dial->loop, &dial->watch,
                        progress == WAIT_INPUT ? EPOLLIN : EPOLLOUT);
        }
        break;
    case DONE:
    case FAILED:
        finish(dial);
        break;
    }
}

static void looked_up(void *user, const struct resolve_result *result)
{
    struct dial *dial = user;

    dial->look_up = NULL;
    if (result->count == 0) {
        fail(dial, "look-up of the %s %s: %s", hop_name(dial),
             next_hop(dial)->host, result->error);
        finish(dial);
        return;
    }
    dial->found = *result;
    advance(dial);
}

static void ready(void *user, uint32_t events)
{
    (void)events;
    advance(user);
}

/* The address that is being tried had its share of the time; there is another.
 */
static void turn_over(void *user)
{
    struct dial *dial = user;

    connect_failed(dial, ETIMEDOUT);
    advance(dial);
}

static void out_of_time(void *user)
{
    static const char *const doing[] = {
        "the look-up",          "the connect",
        "sending to the proxy", "the proxy's answer",
        "the TLS handshake",    "sending to the server",
        "the server's answer",  "nothing"};
    struct dial *dial = user;

    if (dial->step == STEP_CONNECT) {
        connect_failed(dial, ETIMEDOUT);
    } else {
        fail(dial, "no connection after %llu ms, waiting for %s",
             (unsigned long long)dial->config->dial_timeout_ms,
             doing[dial->step]);
    }
    dial->status = 0;
    finish(dial);
}

static void start(void *user)
{
    struct dial *dial = user;
    char error[URL_ERROR_SIZE];

    switch (proxy_choose(&dial->proxy, &dial->config->server, getenv, error)) {
    case PROXY_NONE:
        break;
    case PROXY_USE:
        dial->proxied = true;
        log_line(LOG_DEBUG, "dial_through_proxy",
                 log_string("proxy", dial->proxy.host),
                 log_uint("port", dial->proxy.port));
        break;
    case PROXY_BAD:
        fail(dial, "%s", error);
        finish(dial);
        return;
    }
    advance(dial);
}

struct dial *dial_start(
    struct loop *loop, struct resolver *resolver, const struct config *config,
    void (*done)(void *user, const struct dial_result *result), void *user)
{
    struct dial *dial = calloc(1, sizeof(*dial));

    if (dial == NULL) {
        return NULL;
    }
    dial->loop = loop;
    dial->resolver = resolver;
    dial->config = config;
    dial->done = done;
    dial->user = user;
    dial->fd = -1;
    dial->watch = (struct loop_watch){.fd = -1, .ready = ready, .user = dial};
    dial->turn = (struct loop_timer){.fire = turn_over, .user = dial};
    dial->deadline = (struct loop_timer){.fire = out_of_time, .user = dial};
    dial->start = (struct loop_task){.run = start, .user = dial};
    dial->deadline_ms = loop_now_ms(loop) + config->dial_timeout_ms;
    loop_timer_set(loop, &dial->deadline, dial->deadline_ms);
    loop_defer(loop, &dial->start);
    return dial;
}

void dial_cancel(struct dial *dial)
{
    release(dial);
}
