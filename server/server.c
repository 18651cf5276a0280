#include "server/server.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "net/log.h"
#include "net/loop.h"
#include "net/map.h"
#include "net/sys.h"
#include "server/api.h"
#include "server/auth.h"
#include "server/config.h"
#include "server/listener.h"
#include "server/store.h"
#include "server/tunnel.h"
#include "server/web.h"

#define HOUSEKEEPING_MS 1000u
#define DESCRIPTORS_SPARE 256u /* beside agents and their connections */
#define US_PER_MS 1000u

_Static_assert(SERVER_ERROR_SIZE >= STORE_ERROR_SIZE &&
                   SERVER_ERROR_SIZE >= AUTH_ERROR_SIZE &&
                   SERVER_ERROR_SIZE >= LISTENER_ERROR_SIZE &&
                   SERVER_ERROR_SIZE >= WEB_ERROR_SIZE,
               "an error text of a part is longer than ours");

struct server {
    const struct config *config;
    struct loop *loop;
    struct store *store;
    struct auth auth;
    struct tunnel *tunnel;
    struct api *api;
    struct web *web;
    int main_fd, admin_fd; /* until web_open() takes them */
    bool admin_bound;
    uint16_t port;
    int signal_fd;
    struct loop_watch signals;
    unsigned signal_count; /* of those that end us */
    struct loop_timer housekeeping;
    uint64_t watchdog_ms; /* 0: systemd does not watch */
    uint64_t notified_ms;
    char error[SERVER_ERROR_SIZE];
};

/* ---- systemd ------------------------------------------------------------- */

static void tell_systemd(struct server *server)
{
    struct tunnel_totals totals;
    uint64_t now_ms = loop_now_ms(server->loop);

    if (server->watchdog_ms == 0 ||
        now_ms - server->notified_ms < server->watchdog_ms / 2) {
        return;
    }
    server->notified_ms = now_ms;
    tunnel_totals(server->tunnel, &totals);
    (void)sd_notifyf(0, "WATCHDOG=1\nSTATUS=%s%u agents, %u connections",
                     tunnel_draining(server->tunnel) ? "draining: " : "",
                     totals.sessions, totals.connections);
}

/* ---- signals and timers -------------------------------------------------- */

static void on_drained(void *user)
{
    struct server *server = user;
    web_stop(server->web);
}

static void drain(struct server *server)
{
    log_line(LOG_INFO, "draining",
             log_uint("timeout_ms", server->config->drain_timeout_ms));
    (void)sd_notifyf(0, "STOPPING=1\nSTATUS=draining\nEXTEND_TIMEOUT_USEC=%llu",
                     (unsigned long long)(server->config->drain_timeout_ms +
                                          10 * HOUSEKEEPING_MS) *
                         US_PER_MS);
    api_not_ready(server->api, "draining");
    tunnel_drain(server->tunnel, on_drained, server);
}

static void on_signal(void *user, uint32_t events)
{
    struct server *server = user;
    struct signalfd_siginfo info;

    (void)events;
    if (sys_read(server->signal_fd, &info, sizeof info) != sizeof info) {
        return;
    }
    if (info.ssi_signo == SIGHUP) {
        log_line(LOG_WARN, "reload_ignored",
                 log_string("reason", "restart to read the configuration"));
        return;
    }
    server->signal_count++;
    if (server->signal_count == 1) {
        drain(server);
    } else {
        log_write(LOG_WARN, "drain_cut", NULL, 0);
        tunnel_end(server->tunnel);
    }
}

static void on_housekeeping(void *user)
{
    struct server *server = user;

    if (store_flush(server->store) != STORE_OK) {
        log_line(LOG_ERROR, "store_failed",
                 log_string("error", store_error(server->store)));
    }
    tell_systemd(server);
    loop_timer_set(server->loop, &server->housekeeping,
                   loop_now_ms(server->loop) + HOUSEKEEPING_MS);
}

static bool watch_signals(struct server *server)
{
    sigset_t signals;

    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGHUP);
    server->signals =
        (struct loop_watch){.fd = -1, .ready = on_signal, .user = server};
    server->signal_fd = -1;
    if (sys_sigprocmask(SIG_BLOCK, &signals, NULL) == 0) {
        server->signal_fd =
            sys_signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    }
    return server->signal_fd >= 0 &&
           loop_add(server->loop, &server->signals, server->signal_fd, EPOLLIN);
}

/* ---- start --------------------------------------------------------------- */

static enum log_level level_of(enum config_log_level level)
{
    switch (level) {
    case CONFIG_LOG_ERROR:
        return LOG_ERROR;
    case CONFIG_LOG_WARN:
        return LOG_WARN;
    case CONFIG_LOG_INFO:
        return LOG_INFO;
    case CONFIG_LOG_DEBUG:
        return LOG_DEBUG;
    }
    return LOG_INFO;
}

static void open_log(const struct config *config)
{
    struct log_config log;

    log_config_default(&log);
    log.level = level_of(config->log_level);
    log.format = config->log_format == CONFIG_LOG_JSON ? LOG_JSON : LOG_TEXT;
    log_open(&log);
}

/* P14: descriptors are what bounds the number of agents. */
static void raise_descriptors(const struct config *config)
{
    uint64_t wanted = 2 * config->agents_max + DESCRIPTORS_SPARE;
    struct rlimit limit;

    if (sys_getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return;
    }
    limit.rlim_cur = limit.rlim_max;
    (void)sys_setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < wanted) {
        log_line(LOG_WARN, "descriptors_few",
                 log_uint("limit", (uint64_t)limit.rlim_cur),
                 log_uint("wanted", wanted),
                 log_string("remedy", "raise LimitNOFILE or lower agents-max"));
    }
}

static bool fail(struct server *server, const char *what)
{
    (void)snprintf(server->error, sizeof server->error, "%s: %s", what,
                   strerror(errno));
    return false;
}

static bool open_state(struct server *server)
{
    const char *dir = server->config->data_dir;

    server->store = store_open(dir, server->error);
    return server->store != NULL &&
           auth_open(&server->auth, server->store, dir, server->error);
}

static bool open_sockets(struct server *server)
{
    const struct config *config = server->config;

    server->main_fd =
        listener_bind(config->listen, &server->port, server->error);
    if (server->main_fd < 0) {
        return false;
    }
    if (config->admin_socket[0] != '\0') {
        server->admin_fd =
            listener_bind_unix(config->admin_socket, server->error);
        server->admin_bound = server->admin_fd >= 0;
        return server->admin_bound;
    }
    return true;
}

static bool open_parts(struct server *server)
{
    const struct config *config = server->config;

    server->loop = loop_create();
    if (server->loop == NULL || !watch_signals(server)) {
        return fail(server, "cannot start the event loop");
    }
    server->tunnel = tunnel_create(config, server->loop, server->store);
    if (server->tunnel == NULL) {
        return fail(server, "cannot start the tunnel");
    }
    server->api = api_new(
        &(struct api_parts){.config = config,
                            .store = server->store,
                            .auth = &server->auth,
                            .tunnel = config->no_tunnel ? NULL : server->tunnel,
                            .loop = server->loop});
    if (server->api == NULL) {
        return fail(server, "cannot start the API");
    }
    server->web = web_open(&(struct web_parts){.config = config,
                                               .loop = server->loop,
                                               .store = server->store,
                                               .auth = &server->auth,
                                               .api = server->api,
                                               .tunnel = server->tunnel,
                                               .main_fd = server->main_fd,
                                               .admin_fd = server->admin_fd},
                           server->error);
    if (server->web == NULL) {
        return false;
    }
    api_set_web(server->api, server->web);
    server->main_fd = -1;
    server->admin_fd = -1;
    return true;
}

static void announce(struct server *server)
{
    const char *colon = strrchr(server->config->listen, ':');
    char address[128];
    uint64_t watchdog_us = 0;

    /* With port 0 the kernel chose: say what it is. */
    (void)snprintf(address, sizeof address, "%.*s:%u",
                   (int)(colon - server->config->listen),
                   server->config->listen, (unsigned)server->port);
    if (sd_watchdog_enabled(0, &watchdog_us) > 0) {
        server->watchdog_ms = watchdog_us / US_PER_MS;
    }
    log_line(LOG_INFO, "listening", log_string("address", address),
             log_bool("tls", server->config->tls_cert[0] != '\0'),
             log_string("admin_socket", server->config->admin_socket[0] != '\0'
                                            ? server->config->admin_socket
                                            : NULL),
             log_string("version", ORTHRUS_VERSION));
    (void)sd_notifyf(0, "READY=1\nSTATUS=listening on %s", address);
    server->housekeeping =
        (struct loop_timer){.fire = on_housekeeping, .user = server};
    on_housekeeping(server);
}

/* ---- end ----------------------------------------------------------------- */

static void release(struct server *server)
{
    if (server->web != NULL) {
        web_close(server->web);
    }
    api_free(server->api);
    tunnel_destroy(server->tunnel);
    if (server->loop != NULL) {
        loop_timer_stop(server->loop, &server->housekeeping);
        loop_remove(server->loop, &server->signals);
        loop_destroy(server->loop);
    }
    if (server->signal_fd >= 0) {
        (void)sys_close(server->signal_fd);
    }
    if (server->main_fd >= 0) {
        (void)sys_close(server->main_fd);
    }
    if (server->admin_fd >= 0) {
        (void)sys_close(server->admin_fd);
    }
    if (server->admin_bound) {
        (void)sys_unlink(server->config->admin_socket);
    }
    store_close(server->store);
}

enum server_exit server_run(const struct config *config)
{
    struct server server = {.config = config,
                            .main_fd = -1,
                            .admin_fd = -1,
                            .signal_fd = -1,
                            .signals = {.fd = -1}};
    bool started;

    map_refuse_huge_pages();
    open_log(config);
    raise_descriptors(config);
    started =
        open_state(&server) && open_sockets(&server) && open_parts(&server);
    if (started) {
        announce(&server);
        web_run(server.web);
        log_write(LOG_INFO, "stopped", NULL, 0);
    } else {
        (void)fprintf(stderr, "orthrusd: %s\n", server.error);
    }
    release(&server);
    return started ? SERVER_OK : SERVER_FAILED;
}
