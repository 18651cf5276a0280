#include "agent/runner.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "agent/backoff.h"
#include "agent/dial.h"
#include "agent/relay.h"
#include "agent/report.h"
#include "agent/resolve.h"
#include "agent/tunnel.h"
#include "net/log.h"
#include "net/map.h"
#include "net/sys.h"

#define REFRESH_MS 1000u /* at most one status file a second for streams */

struct runner {
    const struct config *config;
    struct loop *loop;
    struct spill_pool *spills;
    struct transport_pool *transports;
    struct resolver *resolver;
    struct relay_pool relays;
    struct dial *dial;     /* NULL: not dialling */
    struct tunnel *tunnel; /* NULL: not connected */
    struct backoff backoff;
    struct report report;
    uint64_t streams_before; /* of the tunnels that have ended */
    uint64_t sessions;
    struct loop_timer retry, refresh, drain, watchdog;
    uint64_t watchdog_ms;
    int signal_fd;
    struct loop_watch signals;
    bool stopping;
};

/* ---- saying how it is ---------------------------------------------------- */

static void save_report(struct runner *runner)
{
    struct report *report = &runner->report;

    report->streams =
        runner->tunnel != NULL ? tunnel_streams(runner->tunnel) : 0;
    report->streams_total =
        runner->streams_before +
        (runner->tunnel != NULL ? tunnel_streams_total(runner->tunnel) : 0);
    report->reconnects = runner->sessions > 0 ? runner->sessions - 1 : 0;
    if (report->path != NULL && !report_save(report)) {
        log_line(LOG_WARN, "status_file_failed",
                 log_string("path", report->path), log_errno(errno));
    }
}

static void enter(struct runner *runner, enum report_state state)
{
    report_enter(&runner->report, state, time(NULL));
    sd_notifyf(0, "STATUS=%s", report_state_name(state));
    save_report(runner);
}

static void on_refresh(void *user)
{
    struct runner *runner = user;

    if (runner->tunnel == NULL) {
        return;
    }
    if (tunnel_streams(runner->tunnel) != runner->report.streams ||
        runner->streams_before + tunnel_streams_total(runner->tunnel) !=
            runner->report.streams_total) {
        save_report(runner);
    }
    loop_timer_set(runner->loop, &runner->refresh,
                   loop_now_ms(runner->loop) + REFRESH_MS);
}

static void on_watchdog(void *user)
{
    struct runner *runner = user;

    sd_notify(0, "WATCHDOG=1");
    loop_timer_set(runner->loop, &runner->watchdog,
                   loop_now_ms(runner->loop) + runner->watchdog_ms);
}

static void start_notifying(struct runner *runner)
{
    uint64_t interval_us = 0;

    sd_notify(0, "READY=1");
    if (sd_watchdog_enabled(0, &interval_us) > 0 && interval_us >= 2000) {
        runner->watchdog_ms = interval_us / 2000;
        on_watchdog(runner);
    }
}

/* ---- dial, serve, wait --------------------------------------------------- */

static void stop(struct runner *runner)
{
    enter(runner, REPORT_STOPPED);
    loop_stop(runner->loop);
}

static uint32_t random_number(void)
{
    uint32_t number = 0;

    /* a delay without chance is better than none */
    (void)!sys_getrandom(&number, sizeof(number), 0);
    return number;
}

static void wait_for_retry(struct runner *runner, uint64_t delay_ms)
{
    time_t now = time(NULL);

    report_enter(&runner->report, REPORT_WAITING, now);
    runner->report.retry_at = now + (time_t)((delay_ms + 999) / 1000);
    sd_notifyf(0, "STATUS=waiting: %s", runner->report.last_error);
    save_report(runner);
    loop_timer_set(runner->loop, &runner->retry,
                   loop_now_ms(runner->loop) + delay_ms);
}

static void dial_failed(struct runner *runner, unsigned status,
                        const char *error)
{
    uint64_t delay_ms =
        status == 401
            ? backoff_jitter(runner->config->unauthorized_ms, random_number())
            : backoff_next(&runner->backoff, 0, random_number());

    report_error(&runner->report, error, time(NULL));
    log_line(LOG_WARN, status == 401 ? "dial_unauthorized" : "dial_failed",
             log_string("server", runner->config->server_text),
             log_string("error", error), log_uint("retry_ms", delay_ms));
    wait_for_retry(runner, delay_ms);
}

static void tunnel_ended(void *user, const struct tunnel_end *end)
{
    struct runner *runner = user;
    uint64_t delay_ms;

    runner->tunnel = NULL;
    runner->streams_before += end->streams_total;
    loop_timer_stop(runner->loop, &runner->refresh);
    loop_timer_stop(runner->loop, &runner->drain);
    if (runner->stopping) {
        stop(runner);
        return;
    }
    delay_ms = backoff_next(&runner->backoff, end->lived_ms, random_number());
    report_error(&runner->report, end->reason, time(NULL));
    log_line(LOG_WARN, "connection_lost", log_string("error", end->reason),
             log_uint("lived_ms", end->lived_ms),
             log_uint("streams", end->streams_total),
             log_uint("retry_ms", delay_ms));
    wait_for_retry(runner, delay_ms);
}

static void dialled(void *user, const struct dial_result *result)
{
    struct runner *runner = user;

    runner->dial = NULL;
    if (result->fd < 0) {
        dial_failed(runner, result->status, result->error);
        return;
    }
    runner->tunnel = tunnel_open(runner->transports, &runner->relays,
                                 runner->config, result, tunnel_ended, runner);
    if (runner->tunnel == NULL) {
        const char *error = strerror(errno);
        SSL_free(result->ssl);
        sys_close(result->fd);
        dial_failed(runner, 0, error);
        return;
    }
    runner->sessions++;
    log_line(LOG_INFO, "connected",
             log_string("server", runner->config->server_text),
             log_string("tls", result->ssl != NULL
                                   ? SSL_get_version(result->ssl)
                                   : NULL));
    enter(runner, REPORT_CONNECTED);
    if (runner->report.path != NULL) {
        on_refresh(runner);
    }
}

static void dial(void *user)
{
    struct runner *runner = user;

    log_line(LOG_INFO, "connecting",
             log_string("server", runner->config->server_text));
    enter(runner, REPORT_CONNECTING);
    runner->dial = dial_start(runner->loop, runner->resolver, runner->config,
                              dialled, runner);
    if (runner->dial == NULL) {
        dial_failed(runner, 0, strerror(errno));
    }
}

/* ---- the end ------------------------------------------------------------- */

static void on_drained_late(void *user)
{
    struct runner *runner = user;

    log_line(LOG_WARN, "drain_timeout",
             log_uint("streams", tunnel_streams(runner->tunnel)));
    tunnel_close(runner->tunnel);
}

static void begin_stop(struct runner *runner)
{
    runner->stopping = true;
    sd_notify(0, "STOPPING=1");
    loop_timer_stop(runner->loop, &runner->retry);
    if (runner->dial != NULL) {
        dial_cancel(runner->dial);
        runner->dial = NULL;
    }
    if (runner->tunnel == NULL) {
        stop(runner);
        return;
    }
    log_line(LOG_INFO, "draining",
             log_uint("streams", tunnel_streams(runner->tunnel)));
    enter(runner, REPORT_DRAINING);
    tunnel_drain(runner->tunnel);
    relay_pool_drain(&runner->relays);
    loop_timer_set(runner->loop, &runner->drain,
                   loop_now_ms(runner->loop) +
                       runner->config->drain_timeout_ms);
}

static void on_signal(void *user, uint32_t events)
{
    struct runner *runner = user;
    struct signalfd_siginfo info;

    (void)events;
    while (sys_read(runner->signal_fd, &info, sizeof(info)) == sizeof(info)) {
        log_line(LOG_INFO, "signal",
                 log_string("name",
                            info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM"));
        if (!runner->stopping) {
            begin_stop(runner);
            continue;
        }
        /* The kernel closes what is open; nobody waits for anything. */
        enter(runner, REPORT_STOPPED);
        _exit(EXIT_SUCCESS);
    }
}

/* ---- set up and tear down ------------------------------------------------ */

static sigset_t signals_to_hold(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    return set;
}

void runner_hold_signals(void)
{
    sigset_t set = signals_to_hold();

    sys_sigprocmask(SIG_BLOCK, &set, NULL);
}

static bool watch_signals(struct runner *runner)
{
    sigset_t set = signals_to_hold();

    runner->signal_fd = sys_signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return runner->signal_fd >= 0 &&
           loop_add(runner->loop, &runner->signals, runner->signal_fd, EPOLLIN);
}

static bool set_up(struct runner *runner)
{
    const struct config *config = runner->config;
    struct transport_config transport;

    map_refuse_huge_pages();
    transport_config_default(&transport);
    runner->loop = loop_create();
    if (runner->loop == NULL || !watch_signals(runner)) {
        return false;
    }
    runner->spills = spill_pool_create((size_t)config->spill_budget);
    if (runner->spills == NULL) {
        return false;
    }
    runner->transports =
        transport_pool_create(runner->loop, runner->spills, &transport);
    runner->resolver = resolver_create(runner->loop);
    if (runner->transports == NULL || runner->resolver == NULL) {
        return false;
    }
    relay_pool_init(&runner->relays, runner->loop, runner->spills,
                    runner->resolver, config);
    return true;
}

static void tear_down(struct runner *runner)
{
    relay_pool_free(&runner->relays);
    resolver_destroy(runner->resolver);
    transport_pool_destroy(runner->transports);
    if (runner->spills != NULL) {
        spill_pool_destroy(runner->spills);
    }
    if (runner->loop != NULL) {
        loop_remove(runner->loop, &runner->signals);
        loop_timer_stop(runner->loop, &runner->watchdog);
        loop_destroy(runner->loop);
    }
    if (runner->signal_fd >= 0) {
        sys_close(runner->signal_fd);
    }
}

int runner_run(const struct config *config)
{
    struct runner runner = {
        .config = config,
        .signal_fd = -1,
        .signals = {.fd = -1, .ready = on_signal, .user = &runner},
        .retry = {.fire = dial, .user = &runner},
        .refresh = {.fire = on_refresh, .user = &runner},
        .drain = {.fire = on_drained_late, .user = &runner},
        .watchdog = {.fire = on_watchdog, .user = &runner},
        .backoff = {.min_ms = config->reconnect_min_ms,
                    .max_ms = config->reconnect_max_ms},
        .report = {.path = config->status_file,
                   .agent_id = config->agent_id,
                   .server = config->server_text,
                   .policy = config->allow_all ? "allow-all" : "read-only"},
    };
    int status = EXIT_SUCCESS;

    if (set_up(&runner)) {
        start_notifying(&runner);
        dial(&runner);
        loop_run(runner.loop);
    } else {
        log_line(LOG_ERROR, "cannot_start", log_errno(errno));
        status = EXIT_FAILURE;
    }
    tear_down(&runner);
    return status;
}
