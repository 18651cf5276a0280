/* What the agent is told (U-02, orthrus-observed a.6). */
#include "agent/config.h"
#include "core/test/req.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEY "ch_orthrus_0123"

static struct config config;
static char text[CONFIG_TEXT_SIZE];

static struct {
    const char *name;
    char value[300];
} environment[16];

static char *lookup(const char *name)
{
    for (size_t i = 0; environment[i].name != NULL; i++) {
        if (strcmp(environment[i].name, name) == 0) {
            return environment[i].value;
        }
    }
    return NULL;
}

static int clear(void **state)
{
    (void)state;
    memset(environment, 0, sizeof(environment));
    return 0;
}

static void set(const char *name, const char *value)
{
    size_t i = 0;

    while (environment[i].name != NULL) {
        i++;
    }
    environment[i].name = name;
    snprintf(environment[i].value, sizeof(environment[i].value), "%s", value);
}

static char arguments[32][300];

/* line: arguments separated by one blank. */
static enum config_result parse(const char *line)
{
    char *argv[33];
    int argc = 1;

    snprintf(arguments[0], sizeof(arguments[0]), "orthrus-agent");
    while (*line != '\0') {
        size_t length = strcspn(line, " ");
        snprintf(arguments[argc++], sizeof(arguments[0]), "%.*s", (int)length,
                 line);
        line += length;
        line += *line == ' ';
    }
    for (int i = 0; i < argc; i++) {
        argv[i] = arguments[i];
    }
    argv[argc] = NULL;
    return config_parse(&config, argc, argv, lookup, text);
}

/* With what every run needs. */
static void with_key_and_url(void)
{
    set("ORTHRUS_AUTH_KEY", KEY);
    set("ORTHRUS_SERVER_URL", "wss://h");
}

static void assert_invalid(const char *line, const char *sentence)
{
    assert_int_equal(parse(line), CONFIG_INVALID);
    assert_string_equal(text, sentence);
}

static char *key_file(const char *content)
{
    static char path[] = "/tmp/orthrus-test-key-XXXXXX";
    int fd;

    snprintf(path, sizeof(path), "/tmp/orthrus-test-key-XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    close(fd);
    return path;
}

static void defaults_are_the_stated_ones(void **state)
{
    (void)state;
    with_key_and_url();

    assert_int_equal(parse(""), CONFIG_RUN);
    assert_string_equal(config.server.target, URL_TARGET_DEFAULT);
    assert_string_equal(config.agent_id, "unknown");
    assert_string_equal(config.docker_socket, "/var/run/docker.sock");
    assert_false(config.allow_all);
    assert_int_equal(config.forward_count, 0);
    assert_null(config.ca_file);
    assert_null(config.status_file);
    assert_int_equal(config.log_level, LOG_INFO);
    assert_int_equal(config.log_format, LOG_TEXT);
    assert_int_equal(config.streams_max, 1024);
    assert_int_equal(config.recv_window_growth, 32 << 20);
    assert_int_equal(config.spill_budget, 64 << 20);
    assert_int_equal(config.ping_interval_ms, 5000);
    assert_int_equal(config.ping_missed_max, 3);
    assert_int_equal(config.reconnect_min_ms, 5000);
    assert_int_equal(config.reconnect_max_ms, 60000);
    assert_int_equal(config.unauthorized_ms, 300000);
    assert_int_equal(config.dial_timeout_ms, 10000);
    assert_int_equal(config.connect_timeout_ms, 10000);
    assert_int_equal(config.response_timeout_ms, 300000);
    assert_int_equal(config.drain_timeout_ms, 30000);
}

static void the_observed_flags_work_with_one_dash_or_two(void **state)
{
    (void)state;

    assert_int_equal(parse("-server-url ws://h:1/x -auth-key=k1 --agent-id a "
                           "--docker-socket=/s -log-level debug"),
                     CONFIG_RUN);
    assert_string_equal(config.server.host, "h");
    assert_string_equal(config.key, "k1");
    assert_string_equal(config.agent_id, "a");
    assert_string_equal(config.docker_socket, "/s");
    assert_int_equal(config.log_level, LOG_DEBUG);
}

static void the_environment_goes_before_the_flag(void **state)
{
    (void)state;
    set("ORTHRUS_AUTH_KEY", "key-env");
    set("ORTHRUS_SERVER_URL", "wss://env");
    set("ORTHRUS_AGENT_ID", "id-env");
    set("ORTHRUS_DOCKER_SOCKET", "/env");
    set("ORTHRUS_POLICY", "allow-all");
    set("ORTHRUS_FORWARD_ALLOW", "a:1,[::1]:2");

    assert_int_equal(parse("--auth-key k --server-url wss://flag --agent-id f "
                           "--docker-socket /f --policy read-only "
                           "--forward-allow b:3"),
                     CONFIG_RUN);
    assert_string_equal(config.key, "key-env");
    assert_string_equal(config.server.host, "env");
    assert_string_equal(config.agent_id, "id-env");
    assert_string_equal(config.docker_socket, "/env");
    assert_true(config.allow_all);
    assert_int_equal(config.forward_count, 2);
    assert_string_equal(config.forward[1].host, "::1");
}

static void an_empty_variable_is_not_set(void **state)
{
    (void)state;
    with_key_and_url();
    set("ORTHRUS_AGENT_ID", "");
    set("ORTHRUS_POLICY", "");

    assert_int_equal(parse("--agent-id flag"), CONFIG_RUN);
    assert_string_equal(config.agent_id, "flag");
    assert_false(config.allow_all);
}

static void what_is_missing_gets_the_observed_sentence(void **state)
{
    (void)state;

    assert_invalid("--server-url wss://h",
                   "orthrus: auth key required \u2014 set ORTHRUS_AUTH_KEY env "
                   "var or --auth-key flag");
    assert_invalid("--auth-key k", "orthrus: server URL required \u2014 set "
                                   "ORTHRUS_SERVER_URL env var or --server-url "
                                   "flag");
    assert_invalid(
        "--auth-key k --server-url https://h",
        "orthrus: invalid server URL: expected WebSocket scheme "
        "wss:// (got \"https://h\"); use wss:// instead of https://");
}

static void a_key_file_is_read_without_its_line_end(void **state)
{
    (void)state;
    char line[128];
    const char *path = key_file(KEY "\r\n");

    snprintf(line, sizeof(line), "--server-url wss://h --auth-key-file %s",
             path);
    assert_int_equal(parse(line), CONFIG_RUN);
    assert_string_equal(config.key, KEY);
    assert_false(config.key_on_command_line);
    unlink(path);

    assert_int_equal(parse(line), CONFIG_INVALID);
    assert_non_null(strstr(text, "orthrus: --auth-key-file \""));
    assert_non_null(strstr(text, "\": No such file or directory; it must hold "
                                 "the auth key"));
}

static void a_key_file_of_the_environment_goes_before_a_key_flag(void **state)
{
    (void)state;
    const char *path = key_file("from-file\n");
    set("ORTHRUS_AUTH_KEY_FILE", path);

    assert_int_equal(parse("--server-url wss://h --auth-key k"), CONFIG_RUN);
    assert_string_equal(config.key, "from-file");
    unlink(path);
}

static void two_keys_in_one_place_are_refused(void **state)
{
    (void)state;

    assert_invalid("--server-url wss://h --auth-key k --auth-key-file f",
                   "orthrus: --auth-key and --auth-key-file: keep one of the "
                   "two");
    set("ORTHRUS_AUTH_KEY", "k");
    set("ORTHRUS_AUTH_KEY_FILE", "f");
    assert_invalid("--server-url wss://h",
                   "orthrus: ORTHRUS_AUTH_KEY and ORTHRUS_AUTH_KEY_FILE: keep "
                   "one of the two");
}

static void a_bad_key_is_refused_and_never_repeated(void **state)
{
    (void)state;
    static const char sentence[] = "the auth key contains a blank or a "
                                   "character that is not ASCII; give the one "
                                   "that the server printed";
    const char *path = key_file("two words\n");

    set("ORTHRUS_SERVER_URL", "wss://h");
    set("ORTHRUS_AUTH_KEY_FILE", path);
    assert_int_equal(parse(""), CONFIG_INVALID);
    assert_string_equal(text + strlen("orthrus: ORTHRUS_AUTH_KEY_FILE: "),
                        sentence);
    unlink(path);

    clear(NULL);
    path = key_file("\n");
    set("ORTHRUS_AUTH_KEY_FILE", path);
    assert_invalid("", "orthrus: ORTHRUS_AUTH_KEY_FILE: the auth key has 0 "
                       "characters; give the one that the server printed");
    unlink(path);

    clear(NULL);
    set("ORTHRUS_AUTH_KEY", "line\r\nX-Other: y");
    assert_int_equal(parse(""), CONFIG_INVALID);
    assert_string_equal(text + strlen("orthrus: ORTHRUS_AUTH_KEY: "), sentence);
}

static void a_key_file_that_is_too_long_is_refused(void **state)
{
    (void)state;
    char content[600];
    char line[128];
    const char *path;

    memset(content, 'k', sizeof(content));
    content[512] = '\0';
    path = key_file(content);
    snprintf(line, sizeof(line), "--server-url wss://h --auth-key-file %s",
             path);
    assert_int_equal(parse(line), CONFIG_RUN);
    unlink(path);

    content[512] = 'k';
    content[599] = '\0';
    path = key_file(content);
    assert_int_equal(parse(line), CONFIG_INVALID);
    unlink(path);
}

static void a_key_on_the_command_line_is_overwritten_there(void **state)
{
    (void)state;

    assert_int_equal(parse("--server-url wss://h --auth-key secret"),
                     CONFIG_RUN);
    assert_true(config.key_on_command_line);
    assert_string_equal(config.key, "secret");
    assert_string_equal(arguments[4], "xxxxxx");

    assert_int_equal(parse("--server-url wss://h --auth-key=secret"),
                     CONFIG_RUN);
    assert_string_equal(arguments[3], "--auth-key=xxxxxx");
}

static void forward_targets_add_up(void **state)
{
    (void)state;
    with_key_and_url();

    assert_int_equal(parse("--forward-allow db:5432 "
                           "--forward-allow=[fd00::1]:22,10.0.0.1:80"),
                     CONFIG_RUN);
    assert_int_equal(config.forward_count, 3);
    assert_string_equal(config.forward[0].host, "db");
    assert_int_equal(config.forward[1].port, 22);
    assert_string_equal(config.forward[2].host, "10.0.0.1");
    assert_invalid("--forward-allow db", "orthrus: --forward-allow \"db\": "
                                         "write each target as HOST:PORT or "
                                         "[IPV6]:PORT");
    assert_invalid("--forward-allow a:1,,b:2",
                   "orthrus: --forward-allow \"a:1,,b:2\": write each target "
                   "as HOST:PORT or [IPV6]:PORT");
}

static void there_is_a_limit_of_forward_targets(void **state)
{
    (void)state;
    char list[300] = "";
    with_key_and_url();

    for (int i = 0; i < 64; i++) {
        strncat(list, "a:1,", 5);
    }
    set("ORTHRUS_FORWARD_ALLOW", list);
    assert_int_equal(parse(""), CONFIG_RUN);
    assert_int_equal(config.forward_count, 64);

    clear(NULL);
    with_key_and_url();
    strncat(list, "b:1", 4);
    set("ORTHRUS_FORWARD_ALLOW", list);
    assert_int_equal(parse(""), CONFIG_INVALID);
    assert_non_null(strstr(text, "there is room for 64 targets"));
}

static void times_sizes_and_counts_have_units_and_bounds(void **state)
{
    (void)state;
    with_key_and_url();

    assert_int_equal(parse("--ping-interval 250ms --reconnect-min 1 "
                           "--reconnect-max 2m --unauthorized-delay 1h "
                           "--spill-budget 1G --streams-max 1 "
                           "--recv-window-growth 0 "
                           "--drain-timeout 0"),
                     CONFIG_RUN);
    assert_int_equal(config.ping_interval_ms, 250);
    assert_int_equal(config.reconnect_min_ms, 1000);
    assert_int_equal(config.reconnect_max_ms, 120000);
    assert_int_equal(config.unauthorized_ms, 3600000);
    assert_int_equal(config.spill_budget, 1 << 30);
    assert_int_equal(config.recv_window_growth, 0);
    assert_int_equal(config.streams_max, 1);
    assert_int_equal(config.drain_timeout_ms, 0);
    assert_int_equal(parse("--recv-window-growth 1G"), CONFIG_RUN);
    assert_int_equal(config.recv_window_growth, 1 << 30);
    assert_int_equal(parse("--recv-window-growth 1025M"), CONFIG_INVALID);
    assert_int_equal(parse("--spill-budget 2MiB"), CONFIG_RUN);
    assert_int_equal(config.spill_budget, 2 << 20);
    assert_int_equal(parse("--spill-budget 2048K"), CONFIG_RUN);
    assert_int_equal(config.spill_budget, 2 << 20);
    assert_invalid("--ping-interval 99ms",
                   "orthrus: --ping-interval \"99ms\": give a time from 100ms "
                   "to 1h; ms, s, m and h are understood");
    assert_int_equal(parse("--ping-interval 100ms"), CONFIG_RUN);
    assert_int_equal(parse("--ping-interval 3600001ms"), CONFIG_INVALID);
    assert_int_equal(parse("--ping-interval 3600000ms"), CONFIG_RUN);
    assert_int_equal(parse("--ping-interval 18446744073709551617"),
                     CONFIG_INVALID);
    assert_int_equal(parse("--ping-interval 5x"), CONFIG_INVALID);
    assert_int_equal(parse("--ping-interval -5"), CONFIG_INVALID);
    assert_int_equal(parse("--ping-interval s"), CONFIG_INVALID);
    assert_invalid("--streams-max 0", "orthrus: --streams-max \"0\": give a "
                                      "number from 1 to 32768");
    assert_int_equal(parse("--streams-max 32768"), CONFIG_RUN);
    assert_int_equal(parse("--streams-max 32769"), CONFIG_INVALID);
    assert_invalid("--spill-budget 1K",
                   "orthrus: --spill-budget \"1K\": give a size of at least "
                   "1MiB; KiB, MiB and GiB are understood");
}

static void each_wrong_value_is_named_with_its_remedy(void **state)
{
    (void)state;
    with_key_and_url();
    char line[300] = "--docker-socket ";

    assert_invalid("--policy none", "orthrus: --policy \"none\": use read-only "
                                    "or allow-all");
    assert_invalid("--log-level x", "orthrus: --log-level \"x\": use debug, "
                                    "info, warn or error");
    assert_invalid("--log-format x", "orthrus: --log-format \"x\": use text or "
                                     "json");
    assert_invalid("--agent-id a\nb",
                   "orthrus: --agent-id \"a\nb\": use at most 128 characters, "
                   "none of them a control character");
    assert_invalid("--client-cert c",
                   "orthrus: --client-cert and --client-key go together: give "
                   "both or neither");
    assert_invalid("--reconnect-min 2m", "orthrus: --reconnect-min is longer "
                                         "than --reconnect-max: make it "
                                         "shorter");
    memset(line + 16, 's', 108);
    line[16 + 108] = '\0';
    assert_int_equal(parse(line), CONFIG_INVALID);
    assert_non_null(strstr(text, "the path of a unix socket has at most 107 "
                                 "characters"));
    line[16 + 107] = '\0';
    assert_int_equal(parse(line), CONFIG_RUN);
    set("ORTHRUS_POLICY", "x");
    assert_invalid("", "orthrus: ORTHRUS_POLICY \"x\": use read-only or "
                       "allow-all");
}

static void wrong_usage_is_named(void **state)
{
    (void)state;
    with_key_and_url();

    assert_invalid("--nonsense", "orthrus: --nonsense is not an option; see "
                                 "--help");
    assert_invalid("--policy", "orthrus: --policy needs a value; see --help");
    assert_invalid("extra", "orthrus: unexpected argument \"extra\"; see "
                            "--help");
}

static void levels_of_the_existing_logger_are_understood(void **state)
{
    (void)state;
    with_key_and_url();

    assert_int_equal(parse("--log-level warning"), CONFIG_RUN);
    assert_int_equal(config.log_level, LOG_WARN);
    assert_int_equal(parse("--log-level trace"), CONFIG_RUN);
    assert_int_equal(config.log_level, LOG_DEBUG);
    assert_int_equal(parse("--log-level fatal"), CONFIG_RUN);
    assert_int_equal(config.log_level, LOG_ERROR);
}

static void help_names_every_option_and_fits(void **state)
{
    (void)state;
    const char *const needed[] = {"--server-url URL  (ORTHRUS_SERVER_URL)",
                                  "--auth-key-file",
                                  "default 1024",
                                  "--drain-timeout",
                                  "--version",
                                  "2 when it is\nset up wrongly.\n"};

    assert_int_equal(parse("--help"), CONFIG_PRINT);
    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
        assert_non_null(strstr(text, needed[i]));
    }
    for (const char *line = text; *line != '\0';) {
        size_t length = strcspn(line, "\n");
        assert_true(length <= 80);
        line += length + 1;
    }
    assert_int_equal(parse("-help"), CONFIG_PRINT);
}

static void version_is_printed(void **state)
{
    (void)state;

    assert_int_equal(parse("--version"), CONFIG_PRINT);
    assert_int_equal(strncmp(text, "orthrus-agent ", 14), 0);
}

#define TEST(name) REQ_WITH("U-02", name, clear, NULL)

static const struct CMUnitTest tests[] = {
    TEST(defaults_are_the_stated_ones),
    TEST(the_observed_flags_work_with_one_dash_or_two),
    TEST(the_environment_goes_before_the_flag),
    TEST(an_empty_variable_is_not_set),
    TEST(what_is_missing_gets_the_observed_sentence),
    TEST(a_key_file_is_read_without_its_line_end),
    TEST(a_key_file_of_the_environment_goes_before_a_key_flag),
    TEST(two_keys_in_one_place_are_refused),
    REQ_WITH("U-02,AC-16", a_bad_key_is_refused_and_never_repeated, clear,
             NULL),
    TEST(a_key_file_that_is_too_long_is_refused),
    REQ_WITH("U-02,AC-16", a_key_on_the_command_line_is_overwritten_there,
             clear, NULL),
    TEST(forward_targets_add_up),
    TEST(there_is_a_limit_of_forward_targets),
    TEST(times_sizes_and_counts_have_units_and_bounds),
    TEST(each_wrong_value_is_named_with_its_remedy),
    TEST(wrong_usage_is_named),
    TEST(levels_of_the_existing_logger_are_understood),
    TEST(help_names_every_option_and_fits),
    TEST(version_is_printed),
};
RUN(tests)
