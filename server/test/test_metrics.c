#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/test/req.h"
#include "server/test/fixture.h"

static void shows(const char *line)
{
    char whole[256];
    (void)snprintf(whole, sizeof(whole), "\n%s\n", line);
    if (strstr(fixture.text, whole) == NULL) {
        fail_msg("no '%s' in:\n%s", line, fixture.text);
    }
}

static void get(void)
{
    assert_int_equal(fixture_call("GET", "/metrics", NULL), 200);
    assert_string_equal(fixture.content_type,
                        "text/plain; version=0.0.4; charset=utf-8");
}

static void connect_some_agents(size_t count)
{
    char uuid[UUID_TEXT_SIZE];
    for (size_t i = 0; i < count; ++i) {
        (void)snprintf(uuid, sizeof(uuid), "00000000-0000-4000-8000-%012x",
                       (unsigned)i);
        struct tunnel_view *view = fixture_connect(uuid, 40000);
        view->connections = 2;
        view->connections_opened = 17;
        view->bytes_to_agent = 100;
        view->bytes_from_agent = 5000000000;
        if (i == 0) {
            view->rtt_ms = 12;
        }
    }
}

static void promtool_finds_nothing_to_say(void **state)
{
    (void)state;
    if (access("/usr/bin/promtool", X_OK) != 0) {
        skip(); /* Debian's package prometheus has it */
    }
    connect_some_agents(3);
    fixture.tunnel.totals.sessions_ended[STATUS_PING_TIMEOUT] = 3;
    api_set_web(fixture.api, (const struct web *)&fixture);
    get();
    char path[] = "/tmp/orthrus-metrics-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, fixture.text, strlen(fixture.text)),
                     strlen(fixture.text));
    (void)close(fd);
    char command[128];
    char output[1024] = "";
    (void)snprintf(command, sizeof(command),
                   "/usr/bin/promtool check metrics <%s 2>&1", path);

    FILE *in = popen(command, "r");
    assert_non_null(in);
    (void)fread(output, 1, sizeof(output) - 1, in);
    int status = pclose(in);
    assert_int_equal(unlink(path), 0);

    assert_string_equal(output, "");
    assert_int_equal(status, 0);
}

static void totals_are_those_of_the_tunnel(void **state)
{
    (void)state;
    fixture.tunnel.totals = (struct tunnel_totals){.connections = 5,
                                                   .listeners = 2,
                                                   .spilled_bytes = 4096,
                                                   .window_growth = 8192,
                                                   .sessions_opened = 9,
                                                   .connections_opened = 100,
                                                   .connections_reset = 7,
                                                   .accepts_shed = 1,
                                                   .listens_failed = 2,
                                                   .bytes_to_agents = 11,
                                                   .bytes_from_agents = 12};
    fixture.tunnel.totals.sessions_refused[STATUS_AGENTS_MAX] = 1;
    fixture.tunnel.totals.sessions_ended[STATUS_DISPLACED] = 2;
    fixture.tunnel.totals.sessions_ended[STATUS_NO_STREAM_SLOT] = 3;
    fixture.tunnel.totals.connections_refused[STATUS_NO_STREAM_SLOT] = 4;
    connect_some_agents(2);

    get();

    shows("orthrus_agents_connected 2");
    shows("orthrus_sessions_opened_total 9");
    shows("orthrus_sessions_refused_total{reason=\"agents_max\"} 1");
    shows("orthrus_sessions_ended_total{reason=\"displaced\"} 2");
    shows("orthrus_sessions_ended_total{reason=\"ping_timeout\"} 0");
    shows("orthrus_sessions_ended_total{reason=\"no_stream_slot\"} 3");
    shows("orthrus_listeners 2");
    shows("orthrus_listen_failures_total 2");
    shows("orthrus_streams_open 5");
    shows("orthrus_streams_opened_total 100");
    shows("orthrus_streams_refused_total{reason=\"no_stream_slot\"} 4");
    shows("orthrus_streams_reset_total 7");
    shows("orthrus_accepts_shed_total 1");
    shows("orthrus_bytes_total{direction=\"to_agent\"} 11");
    shows("orthrus_bytes_total{direction=\"to_client\"} 12");
    shows("orthrus_buffered_bytes 4096");
    shows("orthrus_buffered_bytes_limit 268435456");
    shows("orthrus_window_growth_bytes 8192");
    shows("orthrus_window_growth_bytes_limit 134217728");
    shows("orthrus_draining 0");
    fixture.tunnel.draining = true;
    get();
    shows("orthrus_draining 1");
}

static void agents_have_series_of_their_own(void **state)
{
    (void)state;
#define AGENT "{agent=\"00000000-0000-4000-8000-000000000000\""
    connect_some_agents(2);

    get();

    shows("orthrus_agent_connected_timestamp_seconds" AGENT "} 1700000000.123");
    shows("orthrus_agent_streams_open" AGENT "} 2");
    shows("orthrus_agent_streams_opened_total" AGENT "} 17");
    shows("orthrus_agent_bytes_total" AGENT ",direction=\"to_agent\"} 100");
    shows("orthrus_agent_bytes_total" AGENT
          ",direction=\"to_client\"} 5000000000");
    shows("orthrus_agent_ping_rtt_seconds" AGENT "} 0.012");
    assert_null(strstr(fixture.text, "rtt_seconds{agent=\"00000000-0000-4000-"
                                     "8000-000000000001\""));
    shows("orthrus_agents_unlisted 0");
}

static void the_number_of_series_is_bounded(void **state)
{
    (void)state;
    size_t rows = 0;
    connect_some_agents(FIXTURE_SESSIONS);

    get();

    for (const char *at = fixture.text;
         (at = strstr(at, "\northrus_agent_streams_open{")) != NULL; ++at) {
        ++rows;
    }
    assert_int_equal(rows, 1000);
    shows("orthrus_agents_unlisted 100");
    shows("orthrus_agents_connected 1100");
}

static void requests_and_attempts_are_counted(void **state)
{
    (void)state;
    struct store_agent owner;
    struct fixture_agent agent = fixture_agent("a");
    char header[128];
    (void)snprintf(header, sizeof(header), "Bearer %s", agent.key);
    (void)auth_agent(&fixture.auth, header, 1, &owner);
    (void)auth_agent(&fixture.auth, "nonsense", 1, &owner);
    (void)auth_agent(&fixture.auth, NULL, 1, &owner);
    header[20] = header[20] == '0' ? '1' : '0';
    (void)auth_agent(&fixture.auth, header, 1, &owner);
    fixture.request.authorization = NULL;
    (void)fixture_call("GET", "/api/v1/orthrus/agents", NULL);

    get();

    shows("orthrus_auth_attempts_total{result=\"ok\"} 1");
    shows("orthrus_auth_attempts_total{result=\"malformed\"} 2");
    shows("orthrus_auth_attempts_total{result=\"bad_token\"} 1");
    shows("orthrus_auth_attempts_total{result=\"busy\"} 0");
    shows("orthrus_admin_auth_failures_total 1");
    shows("orthrus_api_replies_total{code=\"2xx\"} 1");
    shows("orthrus_api_replies_total{code=\"4xx\"} 1");
    shows("orthrus_container_lists_pending 0");
    assert_null(strstr(fixture.text, agent.key));
    assert_null(strstr(fixture.text, agent.key + 11));
    assert_null(strstr(fixture.text, fixture.bearer + 7));
    assert_null(strstr(fixture.text, "orthrus_http_requests_total"));

    api_set_web(fixture.api, (const struct web *)&fixture);
    get();
    shows("orthrus_http_requests_total 4711");
    shows("orthrus_preauth_rejected_total{reason=\"evicted\"} 3");
}

static void the_process_is_shown(void **state)
{
    (void)state;
    get();
    assert_non_null(strstr(fixture.text, "orthrus_build_info{version=\""));
    assert_non_null(strstr(fixture.text, "\nprocess_cpu_seconds_total "));
    assert_non_null(strstr(fixture.text, "\nprocess_max_fds "));
    assert_non_null(strstr(fixture.text, "\nprocess_start_time_seconds 1"));
    assert_null(strstr(fixture.text, "\nprocess_resident_memory_bytes 0\n"));
    assert_non_null(strstr(fixture.text, "\northrus_loop_iterations_total "));
    shows("orthrus_log_lines_total{fate=\"dropped\"} 0");
}

static void without_a_tunnel_there_is_less_to_show(void **state)
{
    (void)state;
    fixture_without_tunnel();
    get();
    assert_null(strstr(fixture.text, "orthrus_agents_connected"));
    assert_non_null(strstr(fixture.text, "orthrus_build_info"));
}

static int without_token(void)
{
    fixture.request.authorization = NULL;
    return fixture_call("GET", "/metrics", NULL);
}

static void beyond_this_host_they_need_the_token(void **state)
{
    (void)state;
    assert_int_equal(without_token(), 200);

    fixture_configure((const char *const[]){"--behind-proxy", NULL});
    assert_int_equal(without_token(), 401);
    get();

    fixture_configure((const char *const[]){
        "--listen=0.0.0.0:1", "--tls-cert=c", "--tls-key=k", NULL});
    assert_int_equal(without_token(), 401);
    fixture.request.from_admin_socket = true;
    assert_int_equal(without_token(), 200);
}

#define TEST(id, test) REQ_WITH(id, test, fixture_start, fixture_stop)

static const struct CMUnitTest tests[] = {
    TEST("H-08", promtool_finds_nothing_to_say),
    TEST("H-08,L-02", totals_are_those_of_the_tunnel),
    TEST("H-08", agents_have_series_of_their_own),
    TEST("H-08,L-02", the_number_of_series_is_bounded),
    TEST("H-08,AC-16", requests_and_attempts_are_counted),
    TEST("H-08", the_process_is_shown),
    TEST("H-08,AC-10", without_a_tunnel_there_is_less_to_show),
    TEST("H-08,H-06", beyond_this_host_they_need_the_token),
};
RUN(tests)
