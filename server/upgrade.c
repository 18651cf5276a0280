/* IMPLEMENTATION NOTES
 *
 * libwebsockets 4.1.6 would answer the upgrade by itself, but it composes its
 * answer in the buffer where bytes beyond the request still lie, and has no way
 * to hand those out. So it never sees an upgrade: web.c blots out the Upgrade
 * value, and the request goes on as a plain GET. Once 101 is written there are
 * two cases, told apart in on_leave():
 *
 *   - The library holds nothing: the descriptor is duplicated, and the library
 *     made to drop its own by a timeout, the one way in which it neither shuts
 *     the socket down nor sends a TLS close_notify.
 *   - It holds bytes: it is told that the transaction is over, takes them for
 *     the next request, fails on the first one (no WebSocket frame begins like
 *     a method), and by
 * LWS_SERVER_OPTION_FALLBACK_TO_APPLY_LISTEN_ACCEPT_CONFIG hands them over raw,
 * all of them. EARLY until then.
 */
#include "server/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "net/log.h"
#include "net/socket.h"
#include "net/sys.h"
#include "server/auth.h"
#include "server/config.h"
#include "server/uuid.h"
#include "server/visit.h"

#define WEBSOCKET_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define WEBSOCKET_KEY_SIZE 24u /* base64 of 16 bytes */

/* ---- upgrades ------------------------------------------------------------ */

static bool accept_of(const char *key, char *accept, size_t size)
{
    char text[WEBSOCKET_KEY_SIZE + sizeof WEBSOCKET_GUID];
    unsigned char digest[20];
    char decoded[WEBSOCKET_KEY_SIZE];

    if (key == NULL || strlen(key) != WEBSOCKET_KEY_SIZE ||
        lws_b64_decode_string(key, decoded, (int)sizeof decoded) != 16) {
        return false;
    }
    (void)snprintf(text, sizeof text, "%s" WEBSOCKET_GUID, key);
    lws_SHA1((const unsigned char *)text, strlen(text), digest);
    return lws_b64_encode_string((const char *)digest, (int)sizeof digest,
                                 accept, (int)size) > 0;
}

/* What the existing server says, byte for byte (orthrus-observed a.1). */
static int refuse_upgrade(struct visit *visit)
{
    struct api_reply reply = {.status = 400,
                              .content_type = "text/plain; charset=utf-8",
                              .body = strdup("Bad Request\n")};

    reply.body_length = reply.body == NULL ? 0 : strlen(reply.body);
    visit->web->counters.bad_requests++;
    return visit_reply(
        visit, &reply,
        (struct visit_extras){.header = "Sec-WebSocket-Version: 13\r\n",
                              .close = true});
}

static int refuse_key(struct visit *visit, enum auth_result result)
{
    static const char *const reasons[] = {
        [AUTH_MALFORMED] = "no well-formed key",
        [AUTH_UNKNOWN] = "unknown key",
        [AUTH_BUSY] = "the store failed",
    };
    struct api_reply reply = {.status = 401};

    visit->web->counters.unauthorized++;
    log_line(LOG_WARN, "agent_unauthorized",
             log_string("remote", visit->remote),
             log_string("reason", reasons[result]));
    return visit_reply(visit, &reply, (struct visit_extras){.close = true});
}

static int grant(struct visit *visit, const char *accept, bool write_enabled)
{
    uint8_t answer[LWS_PRE + 256];
    char *text = (char *)answer + LWS_PRE;
    int length = snprintf(text, sizeof answer - LWS_PRE,
                          "HTTP/1.1 101 Switching Protocols\r\n"
                          "Upgrade: websocket\r\n"
                          "Connection: Upgrade\r\n"
                          "Sec-WebSocket-Accept: %s\r\n"
                          "X-Orthrus-Write-Enabled: %s\r\n\r\n",
                          accept, write_enabled ? "true" : "false");

    if (lws_write(visit->wsi, answer + LWS_PRE, (size_t)length,
                  LWS_WRITE_HTTP_HEADERS) < length ||
        lws_partial_buffered(visit->wsi)) {
        return -1;
    }
    visit->web->counters.upgrades++;
    visit->state = VISIT_UPGRADED;
    request_free(&visit->request);
    lws_sul_schedule(visit->web->context, 0, &visit->leave, visit->leave.cb, 1);
    return 0;
}

int upgrade_request(struct visit *visit)
{
    const struct web_parts *parts = &visit->web->parts;
    struct request *request = &visit->request;
    struct store_agent agent;
    struct timespec now;
    enum auth_result result;
    enum status status;
    char accept[64];

    (void)clock_gettime(CLOCK_REALTIME, &now);
    result = auth_agent(parts->auth, request->api.authorization,
                        (int64_t)now.tv_sec * 1000000000 + now.tv_nsec, &agent);
    if (result != AUTH_OK) {
        return refuse_key(visit, result);
    }
    preauth_leave(&visit->web->preauth, &visit->preauth);
    if (strcmp(request->api.method, "GET") != 0) {
        struct api_reply reply = {.status = 405, .allow = "GET"};
        return visit_reply(visit, &reply, (struct visit_extras){.close = true});
    }
    if (request->problem != NULL || request->http_1_0 ||
        request->length_missing || request->api.body_length > 0 ||
        !visit->wants_websocket ||
        !request_has_token(request->connection, "upgrade") ||
        request_has_token(request->connection, "close") ||
        request->upgrade_version == NULL ||
        strcmp(request->upgrade_version, "13") != 0 ||
        !accept_of(request->upgrade_key, accept, sizeof accept)) {
        return refuse_upgrade(visit);
    }
    status = tunnel_may_admit(parts->tunnel);
    if (parts->config->no_tunnel || status != STATUS_OK) {
        return visit_reply_error(
            visit, 503,
            parts->config->no_tunnel ? "this server takes no agents"
                                     : status_text(status),
            (struct visit_extras){.header = "Retry-After: 5\r\n",
                                  .close = true});
    }
    memcpy(visit->arrival.uuid, agent.uuid.bytes, sizeof visit->arrival.uuid);
    memcpy(visit->name, agent.name, sizeof visit->name);
    visit->disconnects = tunnel_disconnects(parts->tunnel);
    visit->arrival.write_enabled = agent.write_enabled;
    return grant(visit, accept, agent.write_enabled);
}

/* ---- leaving the library ------------------------------------------------- */

static void take_over(struct visit *visit)
{
    SSL *ssl = lws_get_ssl(visit->wsi);
    int fd = sys_fcntl(lws_get_socket_fd(visit->wsi), F_DUPFD_CLOEXEC, 0);

    if (fd < 0) {
        log_line(LOG_ERROR, "agent_lost", log_string("name", visit->name),
                 log_errno(errno));
        visit_kill(visit);
        return;
    }
    visit->arrival.fd = fd;
    visit->arrival.ssl = ssl;
    if (ssl != NULL) {
        (void)SSL_up_ref(ssl);
    }
    loop_timer_stop(visit->web->parts.loop, &visit->timer);
    lws_rx_flow_control(visit->wsi, 0);
    visit->state = VISIT_LEAVING;
    visit_kill(visit);
}

static void on_leave(lws_sorted_usec_list_t *sul)
{
    struct visit *visit = WEB_OWNER_OF(sul, struct visit, leave);
    bool self;
    bool others;

    if (visit->killed) {
        return;
    }
    if (visit->state == VISIT_EARLY && visit->early.length > 0) {
        take_over(visit);
        return;
    }
    if (visit->state == VISIT_EARLY) {
        return;
    }
    visit_held_bytes(visit, &self, &others);
    if (!self && !others) {
        take_over(visit);
    } else if (others) {
        /* Cannot tell: ask again when they have had their turn. */
        lws_sul_schedule(visit->web->context, 0, sul, on_leave, 1);
    } else if (lws_http_transaction_completed(visit->wsi) == 0) {
        visit->state = VISIT_EARLY;
    } else {
        visit_kill(visit);
    }
}

void upgrade_init(struct visit *visit)
{
    visit->leave.cb = on_leave;
}

/* Revoked or deleted between the look at its key and now? (X5) */
static bool is_welcome(const struct visit *visit)
{
    const struct web_parts *parts = &visit->web->parts;
    struct store_agent agent;
    struct uuid uuid;

    if (visit->disconnects == tunnel_disconnects(parts->tunnel)) {
        return true;
    }
    memcpy(uuid.bytes, visit->arrival.uuid, sizeof uuid.bytes);
    return store_agent_read(parts->store, &uuid, &agent) == STORE_OK &&
           !agent.revoked;
}

void upgrade_arrive(struct visit *visit)
{
    struct tunnel_arrival *arrival = &visit->arrival;

    if (!is_welcome(visit)) {
        log_line(LOG_WARN, "agent_unauthorized",
                 log_string("remote", visit->remote),
                 log_string("reason", "revoked"));
        SSL_free(arrival->ssl);
        socket_reset(arrival->fd);
        return;
    }

    if (arrival->ssl != NULL) {
        SSL_set_shutdown(arrival->ssl, 0);
    }
    arrival->name = visit->name;
    memcpy(arrival->remote, visit->remote, sizeof arrival->remote);
    arrival->early = (struct span){visit->early.bytes, visit->early.length};
    (void)tunnel_admit(visit->web->parts.tunnel, arrival);
}

int upgrade_early(struct visit *visit, const void *bytes, size_t length)
{
    static const char answer[] =
        "HTTP/1.1 400 Bad Request\r\n"
        "Content-Type: application/json\r\n"
        "Content-Length: 43\r\n"
        "Connection: close\r\n\r\n"
        "{\"error\":\"the request line is not HTTP/1.1\"}";

    if (visit->state == VISIT_EARLY || visit->state == VISIT_LEAVING) {
        if (!visit_buffer_add(&visit->early, bytes, length)) {
            return -1;
        }
        lws_sul_schedule(visit->web->context, 0, &visit->leave, on_leave, 1);
        return 0;
    }
    if (visit->state == VISIT_HEAD) {
        uint8_t copy[LWS_PRE + sizeof answer];
        memcpy(copy + LWS_PRE, answer, sizeof answer - 1);
        visit->web->counters.bad_requests++;
        (void)lws_write(visit->wsi, copy + LWS_PRE, sizeof answer - 1,
                        LWS_WRITE_RAW);
    }
    return -1;
}
