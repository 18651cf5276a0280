#include "server/visit.h"

#include <arpa/inet.h>
#include <linux/tcp.h> /* glibc's lacks tcpi_bytes_received */
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "net/log.h"
#include "net/socket.h"
#include "net/sys.h"
#include "server/config.h"
#include "server/upgrade.h"

#define HEAD_SIZE 1024u         /* of a reply, at most */
#define REPLY_TIMEOUT_MS 30000u /* until the kernel has taken it */
#define KILL_REASON PENDING_TIMEOUT_USER_REASON_BASE

/* ---- buffers ------------------------------------------------------------- */

bool visit_buffer_add(struct visit_buffer *buffer, const void *bytes,
                      size_t length)
{
    if (length > buffer->size - buffer->length) {
        size_t size = buffer->size < 1024 ? 1024 : buffer->size;
        uint8_t *grown;
        while (size - buffer->length < length) {
            size *= 2;
        }
        grown = realloc(buffer->bytes, size);
        if (grown == NULL) {
            return false;
        }
        buffer->bytes = grown;
        buffer->size = size;
    }
    if (length > 0) {
        memcpy(buffer->bytes + buffer->length, bytes, length);
        buffer->length += length;
    }
    return true;
}

void visit_buffer_free(struct visit_buffer *buffer)
{
    free(buffer->bytes);
    *buffer = (struct visit_buffer){0};
}

/* ---- one visit ----------------------------------------------------------- */

/* Let the library drop the connection, soon, without another word on it. */
void visit_kill(struct visit *visit)
{
    if (visit->wsi != NULL && !visit->killed) {
        visit->killed = true;
        lws_set_timeout(visit->wsi, (enum pending_timeout)KILL_REASON,
                        LWS_TO_KILL_ASYNC);
    }
}

static void on_timer(void *user)
{
    struct visit *visit = user;

    visit->web->counters.timeouts++;
    log_line(LOG_DEBUG, "request_timeout", log_string("remote", visit->remote));
    visit_kill(visit);
}

void visit_set_timer(struct visit *visit, uint64_t timeout_ms)
{
    struct loop *loop = visit->web->parts.loop;
    loop_timer_set(loop, &visit->timer, loop_now_ms(loop) + timeout_ms);
}

static void forget(struct visit *visit)
{
    struct web *web = visit->web;

    preauth_leave(&web->preauth, &visit->preauth);
    loop_timer_stop(web->parts.loop, &visit->timer);
    lws_sul_cancel(&visit->leave);
    api_cancel(&visit->call);
    api_reply_free(&visit->call.reply);
    request_free(&visit->request);
    visit_buffer_free(&visit->body);
    visit_buffer_free(&visit->early);
    if (visit->next != NULL) {
        visit->next->previous = visit->previous;
    }
    if (visit->previous != NULL) {
        visit->previous->next = visit->next;
    } else {
        web->visits = visit->next;
    }
    free(visit);
}

/* ---- accepting ----------------------------------------------------------- */

static void name_remote(struct visit *visit,
                        const struct sockaddr_storage *storage)
{
    char host[INET6_ADDRSTRLEN] = "";
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)storage;
    const struct sockaddr_in *in = (const struct sockaddr_in *)storage;

    if (storage->ss_family == AF_INET6) {
        (void)inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
        (void)snprintf(visit->remote, sizeof visit->remote, "[%s]:%u", host,
                       (unsigned)ntohs(in6->sin6_port));
    } else if (storage->ss_family == AF_INET) {
        (void)inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        (void)snprintf(visit->remote, sizeof visit->remote, "%s:%u", host,
                       (unsigned)ntohs(in->sin_port));
    } else {
        (void)snprintf(visit->remote, sizeof visit->remote, "unix");
    }
}

/* Is the address of no use to tell clients apart? */
static bool is_shared(const struct web *web,
                      const struct sockaddr_storage *storage)
{
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)storage;
    const struct sockaddr_in *in = (const struct sockaddr_in *)storage;

    if (web->parts.config->behind_proxy) {
        return true;
    }
    return storage->ss_family == AF_INET6
               ? IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr)
               : storage->ss_family != AF_INET ||
                     ntohl(in->sin_addr.s_addr) >> 24 == 127;
}

static struct visit *visit_new(struct web *web, bool is_admin)
{
    struct visit *visit = calloc(1, sizeof *visit);

    if (visit == NULL) {
        return NULL;
    }
    visit->web = web;
    visit->is_admin = is_admin;
    visit->is_tls = !is_admin && web->parts.config->tls_cert[0] != '\0';
    visit->timer = (struct loop_timer){.fire = on_timer, .user = visit};
    upgrade_init(visit);
    visit->next = web->visits;
    if (web->visits != NULL) {
        web->visits->previous = visit;
    }
    web->visits = visit;
    return visit;
}

/* Take a place among those that have shown nothing yet (X14). */
static bool enter(struct visit *visit)
{
    struct web *web = visit->web;
    struct preauth_entry *victim;
    bool entered = preauth_enter(
        &web->preauth, &visit->preauth,
        visit->is_shared ? NULL : (const struct sockaddr *)&visit->peer,
        loop_now_ms(web->parts.loop), &victim);

    if (victim != NULL) {
        visit_kill(WEB_OWNER_OF(victim, struct visit, preauth));
    }
    return entered;
}

void visit_open(struct web *web, int fd, const struct sockaddr_storage *peer,
                bool is_admin)
{
    struct visit *visit = visit_new(web, is_admin);
    lws_adopt_desc_t adoption = {.vh = web->vhost,
                                 .type = LWS_ADOPT_SOCKET | LWS_ADOPT_HTTP,
                                 .fd = {.sockfd = fd},
                                 .opaque = visit};
    struct lws *wsi;

    if (visit == NULL) {
        socket_reset(fd);
        return;
    }
    visit->peer = *peer;
    name_remote(visit, peer);
    visit->is_shared = is_shared(web, peer);
    if (!enter(visit)) {
        forget(visit);
        socket_reset(fd);
        return;
    }
    socket_no_pacing(fd, peer);
    if (visit->is_tls) {
        adoption.type |= LWS_ADOPT_ALLOW_SSL;
    }
    visit_set_timer(visit, web->parts.config->preauth_timeout_ms);
    visit->adopting = true;
    wsi = lws_adopt_descriptor_vhost_via_info(&adoption);
    visit->adopting = false;
    visit->wsi = wsi;
    if (wsi == NULL) {
        forget(visit); /* the library has closed fd */
    }
}

/* May a part of a head have come? */
static bool may_have_begun(const struct visit *visit)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof info;

    return visit->state == VISIT_HEAD && visit->wsi != NULL &&
           (sys_getsockopt(lws_get_socket_fd(visit->wsi), IPPROTO_TCP, TCP_INFO,
                           &info, &length) != 0 ||
            info.tcpi_bytes_received != 0);
}

/* The one visit whose head it may be; NULL: none or several. */
static struct visit *only_head(const struct web *web)
{
    struct visit *found = NULL;

    for (struct visit *visit = web->visits; visit != NULL;
         visit = visit->next) {
        if (may_have_begun(visit)) {
            if (found != NULL) {
                return NULL;
            }
            found = visit;
        }
    }
    return found;
}

void visit_head_too_large(struct web *web)
{
    static const char answer[] =
        "HTTP/1.1 431 Request Header Fields Too Large\r\n"
        "Content-Type: application/json\r\nContent-Length: 53\r\n"
        "Connection: close\r\n\r\n"
        "{\"error\":\"the head is too large; send fewer headers\"}";
    static char rest[16384];
    /* The library does not say whose head it is. To answer somebody else would
     * be worse than to answer nobody. */
    struct visit *visit = only_head(web);
    SSL *ssl;
    int fd;

    web->counters.bad_requests++;
    log_line(LOG_WARN, "head_too_large",
             log_string("remote", visit == NULL ? NULL : visit->remote));
    if (visit == NULL) {
        return;
    }
    fd = lws_get_socket_fd(visit->wsi);
    ssl = lws_get_ssl(visit->wsi);
    if (ssl != NULL) {
        (void)SSL_write(ssl, answer, sizeof answer - 1);
    } else {
        (void)sys_send(fd, answer, sizeof answer - 1,
                       MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    /* Unread bytes would make the close a reset, which takes the answer away */
    for (int i = 0; i < 16; i++) {
        if (sys_recv(fd, rest, sizeof rest, MSG_DONTWAIT) <= 0) {
            break;
        }
    }
}

void visit_destroyed(struct visit *visit)
{
    if (visit->adopting) {
        return; /* visit_open() sees to it */
    }
    if (visit->state == VISIT_LEAVING) {
        upgrade_arrive(visit);
    }
    forget(visit);
}

/* ---- replies ------------------------------------------------------------- */

static const char *reason_phrase(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 201:
        return "Created";
    case 204:
        return "No Content";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 409:
        return "Conflict";
    case 411:
        return "Length Required";
    case 413:
        return "Content Too Large";
    case 415:
        return "Unsupported Media Type";
    case 421:
        return "Misdirected Request";
    case 429:
        return "Too Many Requests";
    case 500:
        return "Internal Server Error";
    case 502:
        return "Bad Gateway";
    case 503:
        return "Service Unavailable";
    case 504:
        return "Gateway Timeout";
    default:
        return "Status";
    }
}

static bool write_head(struct visit *visit, struct visit_buffer *out,
                       const struct api_reply *reply,
                       struct visit_extras extras)
{
    char head[HEAD_SIZE];
    char date[64];
    char length[64] = "";
    time_t now = time(NULL);
    struct tm utc;
    int written;

    (void)strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT",
                   gmtime_r(&now, &utc));
    if (reply->status != 204) {
        (void)snprintf(length, sizeof length, "Content-Length: %zu\r\n",
                       reply->body_length);
    }
    written = snprintf(
        head, sizeof head,
        "HTTP/1.1 %d %s\r\nDate: %s\r\n%s%s%s%s%s%s%s%s%s"
        "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
        "Connection: %s\r\n\r\n",
        reply->status, reason_phrase(reply->status), date, length,
        reply->content_type != NULL ? "Content-Type: " : "",
        reply->content_type != NULL ? reply->content_type : "",
        reply->content_type != NULL ? "\r\n" : "",
        reply->allow != NULL ? "Allow: " : "",
        reply->allow != NULL ? reply->allow : "",
        reply->allow != NULL ? "\r\n" : "",
        reply->challenge ? "WWW-Authenticate: Bearer\r\n" : "",
        extras.header != NULL ? extras.header : "",
        visit->close_after ? "close" : "keep-alive");
    return written > 0 && (size_t)written < sizeof head &&
           visit_buffer_add(out, head, (size_t)written);
}

/* Send reply, whose body it takes. Returns what the library's callback must
 * return: not 0 to close. */
void visit_held_bytes(struct visit *visit, bool *self, bool *others)
{
    struct lws_context *context = visit->web->context;
    bool anybody = lws_service_adjust_timeout(context, 1, 0) == 0;

    *self = false;
    *others = false;
    if (anybody) {
        /* It does not count connections that are under flow control. */
        lws_rx_flow_control(visit->wsi, 0);
        *others = lws_service_adjust_timeout(context, 1, 0) == 0;
        lws_rx_flow_control(visit->wsi, 1);
        *self = !*others;
    }
}

/* The reply is with the kernel. */
static int finish_reply(struct visit *visit)
{
    struct web *web = visit->web;

    loop_timer_stop(web->parts.loop, &visit->timer);
    visit->state = VISIT_HEAD;
    visit->wants_websocket = false;
    if (visit->discards) {
        /* Closing on a body that is still on its way would reset the
         * connection before the client has read why. */
        visit_set_timer(visit, web->parts.config->preauth_timeout_ms);
    } else if (visit->close_after) {
        return -1;
    }
    /* Between requests a visit is nobody again. */
    return enter(visit) ? lws_http_transaction_completed(visit->wsi) : -1;
}

int visit_writable(struct visit *visit)
{
    return visit->state == VISIT_REPLYING ? finish_reply(visit) : 0;
}

/* Takes the reply's body. */
static bool write_reply(struct visit *visit, struct api_reply *reply,
                        struct visit_extras extras)
{
    struct request *request = &visit->request;
    struct visit_buffer out = {0};
    bool is_head =
        request->api.method != NULL && strcmp(request->api.method, "HEAD") == 0;
    bool written;

    visit->discards = visit->body.length < request->api.body_length;
    visit->close_after = visit->close_after || extras.close ||
                         !request->keep_alive || request->body_unbounded;
    /* At once and whole: the library sends on even if it meets the end of file
     * of a client that has half-closed, but it does not ask us for more. */
    written =
        visit_buffer_add(&out, (uint8_t[LWS_PRE]){0}, LWS_PRE) &&
        write_head(visit, &out, reply, extras) &&
        (is_head || visit_buffer_add(&out, reply->body, reply->body_length)) &&
        lws_write(visit->wsi, out.bytes + LWS_PRE, out.length - LWS_PRE,
                  LWS_WRITE_HTTP_HEADERS) >= 0;
    visit_buffer_free(&out);
    visit_buffer_free(&visit->body);
    api_reply_free(reply);
    request_free(request);
    visit->state = VISIT_REPLYING;
    visit_set_timer(visit, REPLY_TIMEOUT_MS);
    return written;
}

int visit_reply(struct visit *visit, struct api_reply *reply,
                struct visit_extras extras)
{
    if (!write_reply(visit, reply, extras)) {
        return -1;
    }
    if (lws_partial_buffered(visit->wsi)) {
        lws_callback_on_writable(visit->wsi);
        return 0;
    }
    return finish_reply(visit);
}

int visit_reply_error(struct visit *visit, int status, const char *text,
                      struct visit_extras extras)
{
    struct api_reply reply = {.status = status,
                              .content_type = "application/json"};
    char body[256];

    (void)snprintf(body, sizeof body, "{\"error\":\"%s\"}", text);
    reply.body = strdup(body);
    reply.body_length = reply.body == NULL ? 0 : strlen(body);
    return visit_reply(visit, &reply, extras);
}

/* ---- the API ------------------------------------------------------------- */

static void on_done(struct api_call *call)
{
    struct visit *visit = call->user;

    lws_rx_flow_control(visit->wsi, 1);
    if (write_reply(visit, &call->reply, (struct visit_extras){0})) {
        lws_callback_on_writable(visit->wsi);
    } else {
        visit_kill(visit);
    }
}

static int begin(struct visit *visit)
{
    struct api_request *api = &visit->request.api;

    api->body = (struct span){visit->body.bytes, visit->body.length};
    loop_timer_stop(visit->web->parts.loop, &visit->timer);
    lws_set_timeout(visit->wsi, NO_PENDING_TIMEOUT, 0);
    visit->state = VISIT_WAITING;
    visit->call = (struct api_call){.done = on_done, .user = visit};
    if (api_begin(visit->web->parts.api, &visit->call, api)) {
        return visit_reply(visit, &visit->call.reply, (struct visit_extras){0});
    }
    /* The next request waits for its turn: the library would ask and ask. */
    lws_rx_flow_control(visit->wsi, 0);
    return 0;
}

static int api_request(struct visit *visit)
{
    struct request *request = &visit->request;
    struct api_reply refusal = {0};
    const struct config *config = visit->web->parts.config;

    if (request->problem != NULL) {
        visit->web->counters.bad_requests++;
        return visit_reply_error(visit, 400, request->problem,
                                 (struct visit_extras){.close = true});
    }
    if (request->length_missing) {
        return visit_reply_error(visit, 411, "send Content-Length, not chunks",
                                 (struct visit_extras){.close = true});
    }
    if (!api_admit(visit->web->parts.api, &request->api, &refusal)) {
        return visit_reply(visit, &refusal, (struct visit_extras){0});
    }
    preauth_leave(&visit->web->preauth, &visit->preauth);
    if (request->api.body_length == 0) {
        return begin(visit);
    }
    visit->state = VISIT_BODY;
    visit_set_timer(visit, config->preauth_timeout_ms);
    if (request_has_token(request->expect, "100-continue")) {
        uint8_t line[LWS_PRE + 25];
        memcpy(line + LWS_PRE, "HTTP/1.1 100 Continue\r\n\r\n", 25);
        if (lws_write(visit->wsi, line + LWS_PRE, 25, LWS_WRITE_HTTP_HEADERS) <
            0) {
            return -1;
        }
    }
    return 0;
}

/* Did a request with a body not wait for its turn? libwebsockets 4.1.6 takes
 * the head of such a one for its body, and then never stops. */
static bool came_late(struct visit *visit)
{
    bool self;
    bool others;

    if (visit->request.api.body_length == 0 && !visit->request.body_unbounded) {
        return false;
    }
    visit_held_bytes(visit, &self, &others);
    return self || others;
}

int visit_head(struct visit *visit)
{
    struct web *web = visit->web;
    struct request *request = &visit->request;

    if (visit->state != VISIT_HEAD) {
        return -1; /* bytes behind an upgrade that look like a request */
    }
    web->counters.requests++;
    visit->close_after = false;
    if (!request_read(request, visit->wsi,
                      (size_t)web->parts.config->head_max)) {
        return -1;
    }
    request->api.remote = visit->remote;
    request->api.from_admin_socket = visit->is_admin;
    request->api.tls = visit->is_tls;
    if (came_late(visit)) {
        return -1;
    }
    if (strcmp(request->api.path, UPGRADE_PATH) == 0) {
        return upgrade_request(visit);
    }
    return api_request(visit);
}

int visit_body(struct visit *visit, const void *bytes, size_t length)
{
    if (visit->state != VISIT_BODY) {
        return 0; /* of a request that was refused by its head: dropped */
    }
    if (length > visit->request.api.body_length - visit->body.length ||
        !visit_buffer_add(&visit->body, bytes, length)) {
        return -1;
    }
    return 0;
}

int visit_body_end(struct visit *visit)
{
    return visit->state == VISIT_BODY ? begin(visit) : 0;
}
