#include "server/web.h"

#include <errno.h>
#include <fcntl.h>
#include <libwebsockets.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/log.h"
#include "net/loop.h"
#include "net/sys.h"
#include "server/config.h"
#include "server/upgrade.h"
#include "server/visit.h"

/* One for all connections, more than a record. */
#define SERVICE_BUFFER 32768u
#define IDLE_TIMEOUT_S 30 /* between two requests */
/* Held at once, beside those that have shown no key yet: on their way out, or
 * waiting for the API. */
#define SHOWN_MAX 256u
#define OWN_PLACES 2u /* the library's way to wake itself, and our loop */

/* ---- the library's callbacks --------------------------------------------- */

static int on_confirm(struct visit *visit, struct lws *wsi, char *upgrade)
{
    /* 4.1.6 may come here with a pointer into a head that it has freed. And
     * it must not come here with bytes behind an upgrade. */
    if (visit->killed || visit->state != VISIT_HEAD ||
        lws_hdr_total_length(wsi, WSI_TOKEN_UPGRADE) <= 0) {
        return -1;
    }
    visit->wants_websocket = strcasecmp(upgrade, "websocket") == 0;
    upgrade[0] = '\0'; /* see upgrade.c: it stays a plain GET */
    return 0;
}

/* The library must not sleep beyond our loop's next timer. */
static void set_wake(struct web *web)
{
    int wait_ms = loop_timeout_ms(web->parts.loop);

    if (wait_ms < 0) {
        lws_sul_cancel(&web->wake);
    } else {
        lws_sul_schedule(web->context, 0, &web->wake, web->wake.cb,
                         wait_ms == 0 ? 1 : (lws_usec_t)wait_ms * 1000);
    }
}

static void turn(struct web *web)
{
    loop_run_once(web->parts.loop, 0);
    set_wake(web);
}

static void on_wake(lws_sorted_usec_list_t *sul)
{
    turn(WEB_OWNER_OF(sul, struct web, wake));
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason,
                    void *user, void *in, size_t length)
{
    struct visit *visit = wsi == NULL ? NULL : lws_get_opaque_user_data(wsi);

    if (reason == LWS_CALLBACK_RAW_RX_FILE) {
        turn(lws_context_user(lws_get_context(wsi)));
        return 0;
    }
    if (reason == LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS) {
        (void)SSL_CTX_set_min_proto_version(user, TLS1_2_VERSION);
        return 0;
    }
    if (visit == NULL) {
        /* Nobody comes in but by visit_open(): an upgrade least of all. */
        return reason == LWS_CALLBACK_HTTP_CONFIRM_UPGRADE ? -1 : 0;
    }
    if (reason == LWS_CALLBACK_HTTP_CONFIRM_UPGRADE) {
        return on_confirm(visit, wsi, in);
    }
    if (reason == LWS_CALLBACK_WSI_DESTROY) {
        visit_destroyed(visit);
        return 0;
    }
    if (visit->killed) {
        /* Closed by us, so that it is not the library's polite way. */
        return 0;
    }
    switch ((int)reason) {
    case LWS_CALLBACK_HTTP:
        return visit_head(visit);
    case LWS_CALLBACK_HTTP_BODY:
        return visit_body(visit, in, length);
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        return visit_body_end(visit);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return visit_writable(visit);
    case LWS_CALLBACK_RAW_RX:
        return upgrade_early(visit, in, length);
    default:
        return 0;
    }
}

/* ---- accepting ----------------------------------------------------------- */

static void accepted_main(void *user, int fd,
                          const struct sockaddr_storage *peer)
{
    visit_open(user, fd, peer, false);
}

static void accepted_admin(void *user, int fd,
                           const struct sockaddr_storage *peer)
{
    visit_open(user, fd, peer, true);
}

/* ---- life ---------------------------------------------------------------- */

static const struct lws_protocols protocols[] = {
    {.name = "orthrus", .callback = on_event, .rx_buffer_size = 0},
    {0},
};

/* The library's log is one for the process. */
static struct web *logging;

static void on_library_log(int level, const char *line)
{
    size_t length = strcspn(line, "\n");

    /* libwebsockets 4.1.6 says this in its log only, then closes. */
    if (logging != NULL &&
        (strstr(line, "Ran out of header data space") != NULL ||
         strstr(line, "exceeds limit") != NULL)) {
        visit_head_too_large(logging);
        return;
    }
    log_line((level & LLL_ERR) != 0 ? LOG_WARN : LOG_DEBUG, "libwebsockets",
             log_bytes("text", line, length));
}

static bool create_context(struct web *web)
{
    const struct config *config = web->parts.config;
    bool tls = config->tls_cert[0] != '\0';
    struct lws_context_creation_info info;

    memset(&info, 0, sizeof info);
    info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
    info.protocols = protocols;
    info.user = web;
    info.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
                   (tls ? LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT : 0);
    info.pt_serv_buf_size = SERVICE_BUFFER;
    info.max_http_header_data2 = (unsigned)config->head_max;
    info.max_http_header_pool2 = (unsigned)config->preauth_max + SHOWN_MAX;
    /* Each connect makes the library look through all of these places, four
     * times; without a limit, through as many as there may be descriptors. */
    info.fd_limit_per_thread =
        (unsigned)config->preauth_max + SHOWN_MAX + OWN_PLACES;
    web->context = lws_create_context(&info);
    if (web->context == NULL) {
        return false;
    }
    info.options = LWS_SERVER_OPTION_FALLBACK_TO_APPLY_LISTEN_ACCEPT_CONFIG |
                   LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS;
    info.listen_accept_role = "raw-skt";
    info.listen_accept_protocol = protocols[0].name;
    info.keepalive_timeout = IDLE_TIMEOUT_S;
    info.vhost_name = "orthrus";
    if (tls) {
        info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
        info.ssl_cert_filepath = config->tls_cert;
        info.ssl_private_key_filepath = config->tls_key;
        info.alpn = "http/1.1";
    }
    web->vhost = lws_create_vhost(web->context, &info);
    return web->vhost != NULL;
}

struct web *web_open(const struct web_parts *parts, char error[WEB_ERROR_SIZE])
{
    struct web *web = calloc(1, sizeof *web);
    lws_sock_file_fd_type nested;

    if (web == NULL) {
        (void)snprintf(error, WEB_ERROR_SIZE, "out of memory");
        return NULL;
    }
    web->parts = *parts;
    web->wake.cb = on_wake;
    preauth_init(&web->preauth, (size_t)parts->config->preauth_max,
                 (size_t)parts->config->preauth_per_address);
    logging = web;
    lws_set_log_level(LLL_ERR | LLL_WARN, on_library_log);
    tunnel_prepare(parts->tunnel, parts->main_fd);
    nested.filefd = sys_fcntl(loop_fd(parts->loop), F_DUPFD_CLOEXEC, 0);
    if (!create_context(web) ||
        lws_adopt_descriptor_vhost(web->vhost, LWS_ADOPT_RAW_FILE_DESC, nested,
                                   protocols[0].name, NULL) == NULL ||
        !acceptor_open(&web->main, parts->loop, parts->main_fd, accepted_main,
                       web) ||
        (parts->admin_fd >= 0 &&
         !acceptor_open(&web->admin, parts->loop, parts->admin_fd,
                        accepted_admin, web))) {
        (void)snprintf(error, WEB_ERROR_SIZE,
                       "cannot start the HTTP server: %s", strerror(errno));
        web_close(web);
        return NULL;
    }
    return web;
}

void web_close_listener(struct web *web)
{
    acceptor_close(&web->main);
}

void web_run(struct web *web)
{
    bool works = true;

    while (works && !web->stopped) {
        if (web->visits == NULL) {
            /* Tunnels alone: they do without the library's turn and poll(). */
            loop_run_once(web->parts.loop, -1);
        } else {
            /* Its callbacks change our timers, too: so before each wait. */
            set_wake(web);
            works = lws_service(web->context, 0) >= 0;
        }
    }
}

void web_stop(struct web *web)
{
    web->stopped = true;
    lws_cancel_service(web->context);
}

void web_close(struct web *web)
{
    acceptor_close(&web->main);
    acceptor_close(&web->admin);
    if (web->context != NULL) {
        lws_sul_cancel(&web->wake);
        lws_context_destroy(web->context);
    }
    logging = NULL;
    free(web);
}

struct web_counters web_counters(const struct web *web)
{
    struct web_counters counters = web->counters;

    counters.preauth_evicted = web->preauth.evicted;
    counters.preauth_refused = web->preauth.refused;
    return counters;
}
