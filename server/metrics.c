/* GET /metrics: Prometheus text format 0.0.4 (H-08, OP P2).
 *
 * Label values come from tables of ours, and agents by uuid, AGENTS_MAX of them
 * at most: the number of series is bounded whatever peers do. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/contract.h"
#include "net/log.h"
#include "net/loop.h"
#include "net/sys.h"
#include "server/auth.h"
#include "server/config.h"
#include "server/exchange.h"
#include "server/reply.h"
#include "server/web.h"

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

enum { AGENTS_MAX = 1000, NAME_SIZE = 64 };

static void head(FILE *out, const char *name, const char *type,
                 const char *help)
{
    (void)fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void whole(FILE *out, const char *name, const char *type,
                  const char *help, uint64_t value)
{
    head(out, name, type, help);
    (void)fprintf(out, "%s %llu\n", name, (unsigned long long)value);
}

static void real(FILE *out, const char *name, const char *type,
                 const char *help, double value)
{
    head(out, name, type, help);
    (void)fprintf(out, "%s %.6f\n", name, value);
}

static void row(FILE *out, const char *name, const char *label,
                const char *value, uint64_t number)
{
    (void)fprintf(out, "%s{%s=\"%s\"} %llu\n", name, label, value,
                  (unsigned long long)number);
}

/* ---- the process --------------------------------------------------------- */

static uint64_t resident_bytes(void)
{
    unsigned long long size = 0;
    unsigned long long resident = 0;
    FILE *in = sys_fopen("/proc/self/statm", "re");
    if (in != NULL) {
        if (fscanf(in, "%llu %llu", &size, &resident) != 2) {
            resident = 0;
        }
        (void)sys_fclose(in);
    }
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static void put_process(FILE *out, const struct api *api)
{
    struct rusage usage;
    struct rlimit limit;
    struct stat status;
    head(out, "orthrus_build_info", "gauge", "What runs; always 1.");
    (void)fprintf(out, "orthrus_build_info{version=\"" ORTHRUS_VERSION
                       "\",compiler=\"" __VERSION__ "\"} 1\n");
    real(out, "process_start_time_seconds", "gauge",
         "When the process started, Unix time.", (double)api->started_at / 1e9);
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        real(out, "process_cpu_seconds_total", "counter",
             "CPU time, user and system.",
             seconds(usage.ru_utime) + seconds(usage.ru_stime));
    }
    whole(out, "process_resident_memory_bytes", "gauge", "Resident memory.",
          resident_bytes());
    /* since Linux 6.2 the number of open descriptors, 0 before */
    if (sys_stat("/proc/self/fd", &status) == 0 && status.st_size > 0) {
        whole(out, "process_open_fds", "gauge", "Open descriptors.",
              (uint64_t)status.st_size);
    }
    if (sys_getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        whole(out, "process_max_fds", "gauge", "Descriptors there may be.",
              limit.rlim_cur);
    }
}

/* ---- the tunnel ---------------------------------------------------------- */

/* "STATUS_PING_TIMEOUT" to "ping_timeout" */
static void reason_name(enum status status, char name[NAME_SIZE])
{
    size_t i = 0;
    const char *from = status_name(status) + strlen("STATUS_");
    for (; from[i] != '\0' && i + 1 < NAME_SIZE; ++i) {
        name[i] = (char)tolower((unsigned char)from[i]);
    }
    name[i] = '\0';
}

/* Every status of the class, and whatever else was counted. */
static void put_reasons(FILE *out, const char *name, const char *help,
                        enum status_class expected,
                        const uint64_t counts[TUNNEL_STATUSES])
{
    char reason[NAME_SIZE];
    head(out, name, "counter", help);
    for (size_t i = 0; i < TUNNEL_STATUSES; ++i) {
        enum status status = (enum status)i;
        if (status_class(status) == expected || counts[i] > 0) {
            reason_name(status, reason);
            row(out, name, "reason", reason, counts[i]);
        }
    }
}

static void put_totals(FILE *out, const struct api *api,
                       const struct tunnel_totals *totals)
{
    whole(out, "orthrus_agents_connected", "gauge", "Current sessions.",
          totals->sessions);
    whole(out, "orthrus_sessions_opened_total", "counter",
          "Sessions that began.", totals->sessions_opened);
    put_reasons(out, "orthrus_sessions_refused_total",
                "Sessions refused after a good key.", STATUS_CLASS_LIMIT,
                totals->sessions_refused);
    put_reasons(out, "orthrus_sessions_ended_total", "Sessions that ended.",
                STATUS_CLASS_SESSION, totals->sessions_ended);
    whole(out, "orthrus_listeners", "gauge", "Live loopback proxies.",
          totals->listeners);
    whole(out, "orthrus_listen_failures_total", "counter",
          "Loopback proxies that could not be bound.", totals->listens_failed);
    whole(out, "orthrus_streams_open", "gauge",
          "Client connections carried now.", totals->connections);
    whole(out, "orthrus_streams_opened_total", "counter",
          "Client connections that got a stream.", totals->connections_opened);
    put_reasons(out, "orthrus_streams_refused_total",
                "Client connections refused.", STATUS_CLASS_LIMIT,
                totals->connections_refused);
    whole(out, "orthrus_streams_reset_total", "counter",
          "Client connections ended by a reset.", totals->connections_reset);
    whole(out, "orthrus_accepts_shed_total", "counter",
          "Client connections closed for want of descriptors.",
          totals->accepts_shed);
    head(out, "orthrus_bytes_total", "counter", "Payload carried.");
    row(out, "orthrus_bytes_total", "direction", "to_agent",
        totals->bytes_to_agents);
    row(out, "orthrus_bytes_total", "direction", "to_client",
        totals->bytes_from_agents);
    whole(out, "orthrus_buffered_bytes", "gauge", "Held for slow clients.",
          totals->spilled_bytes);
    whole(out, "orthrus_buffered_bytes_limit", "gauge",
          "What may be held for slow clients.", api->parts.config->spill_max);
    whole(out, "orthrus_window_growth_bytes", "gauge",
          "Sum of what receive windows grew by.", totals->window_growth);
    whole(out, "orthrus_window_growth_bytes_limit", "gauge",
          "What receive windows may grow by, together.",
          api->parts.config->spill_max / 2);
    whole(out, "orthrus_draining", "gauge", "1 while the server winds up.",
          tunnel_draining(api->parts.tunnel) ? 1 : 0);
}

struct listed { /* the agents that get series of their own */
    struct tunnel_view views[AGENTS_MAX];
    size_t count;
};

static struct listed *list_agents(const struct tunnel *tunnel)
{
    struct listed *listed = calloc(1, sizeof(*listed));
    const void *cursor = NULL;
    while (listed != NULL && listed->count < AGENTS_MAX &&
           tunnel_next(tunnel, &cursor, &listed->views[listed->count])) {
        ++listed->count;
    }
    return listed;
}

static void put_connected_at(FILE *out, const char *name, const char *uuid,
                             const struct tunnel_view *view)
{
    (void)fprintf(out, "%s{agent=\"%s\"} %.3f\n", name, uuid,
                  (double)view->since_ms / 1e3);
}

static void put_streams(FILE *out, const char *name, const char *uuid,
                        const struct tunnel_view *view)
{
    row(out, name, "agent", uuid, view->connections);
}

static void put_opened(FILE *out, const char *name, const char *uuid,
                       const struct tunnel_view *view)
{
    row(out, name, "agent", uuid, view->connections_opened);
}

static void put_bytes(FILE *out, const char *name, const char *uuid,
                      const struct tunnel_view *view)
{
    (void)fprintf(out,
                  "%s{agent=\"%s\",direction=\"to_agent\"} %llu\n"
                  "%s{agent=\"%s\",direction=\"to_client\"} %llu\n",
                  name, uuid, (unsigned long long)view->bytes_to_agent, name,
                  uuid, (unsigned long long)view->bytes_from_agent);
}

static void put_rtt(FILE *out, const char *name, const char *uuid,
                    const struct tunnel_view *view)
{
    if (view->rtt_ms != UINT64_MAX) {
        (void)fprintf(out, "%s{agent=\"%s\"} %.3f\n", name, uuid,
                      (double)view->rtt_ms / 1e3);
    }
}

static void put_agents(FILE *out, const struct tunnel *tunnel, uint64_t all)
{
    static const struct {
        const char *name;
        const char *type;
        const char *help;
        void (*put)(FILE *out, const char *name, const char *uuid,
                    const struct tunnel_view *view);
    } families[] = {{"orthrus_agent_connected_timestamp_seconds", "gauge",
                     "When the agent's session began, Unix time.",
                     put_connected_at},
                    {"orthrus_agent_streams_open", "gauge",
                     "Client connections to the agent now.", put_streams},
                    {"orthrus_agent_streams_opened_total", "counter",
                     "Client connections of the agent's session.", put_opened},
                    {"orthrus_agent_bytes_total", "counter",
                     "Payload of the agent's session.", put_bytes},
                    {"orthrus_agent_ping_rtt_seconds", "gauge",
                     "Round trip of the last ping.", put_rtt}};
    struct listed *listed = list_agents(tunnel);
    size_t count = listed != NULL ? listed->count : 0;
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); ++i) {
        head(out, families[i].name, families[i].type, families[i].help);
        for (size_t j = 0; j < count; ++j) {
            struct uuid uuid;
            char text[UUID_TEXT_SIZE];
            memcpy(uuid.bytes, listed->views[j].uuid, UUID_SIZE);
            uuid_text(&uuid, text);
            families[i].put(out, families[i].name, text, &listed->views[j]);
        }
    }
    free(listed);
    whole(out, "orthrus_agents_unlisted", "gauge",
          "Connected agents without series of their own.",
          all > count ? all - count : 0);
}

/* ---- requests ------------------------------------------------------------ */

static void put_auth(FILE *out, const struct auth *auth)
{
    static const char *const results[AUTH_RESULTS] = {
        [AUTH_OK] = "ok",
        [AUTH_MALFORMED] = "malformed",
        [AUTH_UNKNOWN] = "bad_token",
        [AUTH_BUSY] = "busy"};
    static const char name[] = "orthrus_auth_attempts_total";
    head(out, name, "counter", "Keys that agents came with.");
    for (size_t i = 0; i < AUTH_RESULTS; ++i) {
        row(out, name, "result", results[i], auth->agent_results[i]);
    }
    whole(out, "orthrus_admin_auth_failures_total", "counter",
          "Management calls without the admin token.", auth->admin_failures);
}

static void put_api(FILE *out, const struct api *api)
{
    static const char *const classes[6] = {"0xx", "1xx", "2xx",
                                           "3xx", "4xx", "5xx"};
    static const char name[] = "orthrus_api_replies_total";
    head(out, name, "counter", "Replies of the API.");
    for (size_t i = 2; i < 6; ++i) {
        row(out, name, "code", classes[i], api->replies[i]);
    }
    whole(out, "orthrus_container_lists_pending", "gauge",
          "Container lists under way.", api->lists_under_way);
    whole(out, "orthrus_container_lists_timed_out_total", "counter",
          "Container lists that an engine did not answer in time.",
          api->lists_timed_out);
}

static void put_web(FILE *out, const struct web *web)
{
    static const char rejected[] = "orthrus_preauth_rejected_total";
    struct web_counters counters = web_counters(web);
    whole(out, "orthrus_http_requests_total", "counter", "Requests received.",
          counters.requests);
    whole(out, "orthrus_http_bad_requests_total", "counter",
          "Requests with a malformed head.", counters.bad_requests);
    whole(out, "orthrus_upgrades_total", "counter",
          "Upgrades granted to agents.", counters.upgrades);
    head(out, rejected, "counter",
         "Connections closed before they authenticated.");
    row(out, rejected, "reason", "evicted", counters.preauth_evicted);
    row(out, rejected, "reason", "refused", counters.preauth_refused);
    row(out, rejected, "reason", "timeout", counters.timeouts);
}

static void put_loop(FILE *out, const struct loop *loop)
{
    static const char lines[] = "orthrus_log_lines_total";
    const struct log_counters *log = log_counters();
    whole(out, "orthrus_loop_iterations_total", "counter",
          "Turns of the event loop.", loop_counters(loop)->turns);
    head(out, lines, "counter", "Lines for the log.");
    row(out, lines, "fate", "written", log->written);
    row(out, lines, "fate", "dropped", log->dropped);
    row(out, lines, "fate", "suppressed", log->suppressed);
}

void metrics_show(struct exchange *exchange)
{
    const struct api *api = exchange->api;
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    if (out != NULL) {
        put_process(out, api);
        if (api->parts.tunnel != NULL) {
            struct tunnel_totals totals;
            tunnel_totals(api->parts.tunnel, &totals);
            put_totals(out, api, &totals);
            put_agents(out, api->parts.tunnel, totals.sessions);
        }
        put_auth(out, api->parts.auth);
        put_api(out, api);
        if (api->web != NULL) {
            put_web(out, api->web);
        }
        put_loop(out, api->parts.loop);
        if (sys_fclose(out) != 0) {
            free(text);
            text = NULL;
        }
    }
    reply_text(exchange->reply, 200, METRICS_TYPE, text, length);
}
