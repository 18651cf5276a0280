#include "server/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/test/req.h"
#include "server/knob.h"

#define PRINTED_SIZE 16384

struct given {
    const char *flags[8];       /* without the program; NULL-terminated */
    const char *environment[8]; /* NULL-terminated */
    const char *file;           /* its text; NULL: none */
    size_t file_length;         /* 0: it is a string */
};

static struct config config;
static enum config_action action;
static char error[CONFIG_ERROR_SIZE];
static char path[64]; /* of the file of the latest run */

static bool run(const struct given *given)
{
    char program[] = "orthrusd";
    char config_flag[] = "--config";
    char *argv[12] = {program};
    char *environment[9] = {0};
    int argc = 1;
    if (given->file != NULL) {
        (void)snprintf(path, sizeof(path), "/tmp/orthrus-config-XXXXXX");
        int fd = mkstemp(path);
        assert_true(fd >= 0);
        size_t length =
            given->file_length > 0 ? given->file_length : strlen(given->file);
        assert_int_equal(write(fd, given->file, length), length);
        (void)close(fd);
        argv[argc++] = config_flag;
        argv[argc++] = path;
    }
    for (size_t i = 0; given->flags[i] != NULL; ++i) {
        argv[argc++] = strdup(given->flags[i]);
    }
    for (size_t i = 0; given->environment[i] != NULL; ++i) {
        environment[i] = strdup(given->environment[i]);
    }

    bool fine = config_read(&config, &action, argc, argv, environment, error);

    for (int i = given->file != NULL ? 3 : 1; i < argc; ++i) {
        free(argv[i]);
    }
    for (size_t i = 0; environment[i] != NULL; ++i) {
        free(environment[i]);
    }
    if (given->file != NULL) {
        assert_int_equal(unlink(path), 0);
    }
    return fine;
}

/* Refused, and the one line says all of these. */
static void refuses(const struct given *given, const char *const *words)
{
    assert_false(run(given));
    assert_null(strchr(error, '\n'));
    for (size_t i = 0; words[i] != NULL; ++i) {
        if (strstr(error, words[i]) == NULL) {
            fail_msg("'%s' does not say '%s'", error, words[i]);
        }
    }
}

#define REFUSES(given, ...) \
    refuses(given, (const char *const[]){__VA_ARGS__, NULL})
#define GIVEN(...) (&(const struct given){__VA_ARGS__})

static char *printed(const struct config *shown)
{
    char *text = calloc(1, PRINTED_SIZE);
    assert_non_null(text);
    FILE *out = fmemopen(text, PRINTED_SIZE, "w");
    assert_non_null(out);
    config_print(shown, out);
    (void)fclose(out);
    return text;
}

/* A value of the knob that is valid and not its default. */
static const char *another_value(const struct knob *knob)
{
    switch (knob->kind) {
    case KNOB_FLAG:
        return "true";
    case KNOB_NUMBER:
        return strcmp(knob->value, "9") == 0 ? "10" : "9";
    case KNOB_TIME:
        return strcmp(knob->value, "7s") == 0 ? "8s" : "7s";
    case KNOB_SIZE:
        /* in every range, and spill-max above recv-window */
        return knob->max < 1024 * 1024 * 1024 ? "3333333B" : "1023MiB";
    case KNOB_LEVEL:
        return "warn";
    case KNOB_FORMAT:
        return "json";
    case KNOB_LISTEN:
        return "127.0.0.2:81";
    case KNOB_PATH:
        return "/some/path";
    case KNOB_URL:
        return "https://orthrus.example";
    case KNOB_HOSTS:
        return "a.example,b.example";
    }
    return NULL;
}

static const char *value_for(const struct knob *knob)
{
    if (strcmp(knob->name, "head-max") == 0) {
        return "33333B";
    }
    if (strcmp(knob->name, "preauth-max") == 0) {
        return "11";
    }
    if (strcmp(knob->name, "preauth-per-address") == 0) {
        return "9";
    }
    return another_value(knob);
}

/* Flags that go with a knob so that the whole remains valid. */
static const char *companion(const struct knob *knob)
{
    if (strcmp(knob->name, "tls-cert") == 0) {
        return "--tls-key=/some/key";
    }
    if (strcmp(knob->name, "tls-key") == 0) {
        return "--tls-cert=/some/cert";
    }
    return NULL;
}

static bool shows(const struct knob *knob, const char *value)
{
    char line[256];
    char *text = printed(&config);
    (void)snprintf(line, sizeof(line), "\n%s = %s\n", knob->name, value);
    bool found = strstr(text, line) != NULL;
    free(text);
    return found;
}

static void each_knob_is_set_by_flag_variable_and_file(void **state)
{
    (void)state;
    for (size_t i = 0; i < knob_count(); ++i) {
        const struct knob *knob = knob_at(i);
        const char *value = value_for(knob);
        char flag[256];
        char variable[256];
        char name[KNOB_TEXT_SIZE];
        char file[256];
        (void)snprintf(flag, sizeof(flag), "--%s=%s", knob->name, value);
        knob_variable(knob->name, name);
        (void)snprintf(variable, sizeof(variable), "%s=%s", name, value);
        (void)snprintf(file, sizeof(file), "[%s]\n%s = %s\n", knob->section,
                       knob->name, value);
        const struct given ways[] = {
            {.flags = {companion(knob)}},
            {.flags = {flag, companion(knob)}},
            {.flags = {companion(knob)}, .environment = {variable}},
            {.flags = {companion(knob)}, .file = file},
        };
        for (size_t way = 0; way < 4; ++way) {
            if (companion(knob) != NULL && way == 0) {
                continue; /* not valid alone */
            }
            if (!run(&ways[way])) {
                fail_msg("%s: %s", knob->name, error);
            }
            if (shows(knob, value) == (way == 0)) {
                fail_msg("%s: way %zu", knob->name, way);
            }
            config_free(&config);
        }
    }
}

static void flag_goes_before_variable_before_file_before_default(void **state)
{
    (void)state;
    static const char file[] = "[tunnel]\nping-missed = 4\n";

    assert_true(run(GIVEN(.file = NULL)));
    assert_int_equal(config.ping_missed, 3);
    config_free(&config);
    assert_true(run(&(struct given){.file = file}));
    assert_int_equal(config.ping_missed, 4);
    config_free(&config);
    assert_true(run(&(struct given){.environment = {"ORTHRUSD_PING_MISSED=5"},
                                    .file = file}));
    assert_int_equal(config.ping_missed, 5);
    config_free(&config);
    assert_true(run(&(struct given){.flags = {"--ping-missed", "6"},
                                    .environment = {"ORTHRUSD_PING_MISSED=5"},
                                    .file = file}));
    assert_int_equal(config.ping_missed, 6);
    config_free(&config);
}

static void defaults_are_those_documented(void **state)
{
    (void)state;

    assert_true(run(GIVEN(.file = NULL)));

    assert_int_equal(action, CONFIG_RUN);
    assert_string_equal(config.listen, "127.0.0.1:8080");
    assert_string_equal(config.data_dir, "/var/lib/orthrus");
    assert_string_equal(config.admin_socket, "");
    assert_int_equal(config.ping_interval_ms, 5000);
    assert_int_equal(config.ping_missed, 3);
    assert_int_equal(config.drain_timeout_ms, 30000);
    assert_int_equal(config.port_quarantine_ms, 24 * 3600 * 1000);
    assert_int_equal(config.streams_max, 1024);
    assert_int_equal(config.recv_window_growth, 64 << 20);
    assert_int_equal(config.spill_max, 256 << 20);
    assert_int_equal(config.preauth_max, 256);
    assert_int_equal(config.preauth_per_address, 8);
    assert_int_equal(config.preauth_timeout_ms, 10000);
    assert_int_equal(config.head_max, 16384);
    assert_int_equal(config.body_max, 65536);
    assert_int_equal(config.docker_timeout_ms, 10000);
    assert_int_equal(config.log_level, CONFIG_LOG_INFO);
    assert_int_equal(config.log_format, CONFIG_LOG_TEXT);
    config_free(&config);
}

static void what_is_printed_can_be_read_back(void **state)
{
    (void)state;
    assert_true(run(&(struct given){
        .flags = {"--ping-interval=90s", "--print-config", "--spill-max=1GiB",
                  "--allowed-hosts=a,b", "--log-level=debug"}}));
    assert_int_equal(action, CONFIG_PRINT);
    char *once = printed(&config);
    config_free(&config);

    assert_true(run(&(struct given){.file = once}));

    char *twice = printed(&config);
    assert_string_equal(once, twice);
    assert_non_null(strstr(once, "ping-interval = 90s\n"));
    assert_non_null(strstr(once, "spill-max = 1GiB\n"));
    free(once);
    free(twice);
    config_free(&config);
}

/* What could not be read back is not taken in the first place. */
static void a_text_that_no_line_can_say_is_refused(void **state)
{
    (void)state;
    char longest[KNOB_LINE_MAX + 2];
    size_t room = KNOB_LINE_MAX - strlen("data-dir = ");
    char *value = longest + snprintf(longest, sizeof(longest), "--data-dir=");
    memset(value, 'a', room + 1);
    value[room + 1] = '\0';
    REFUSES(GIVEN(.flags = {longest}), "too long for a line");
    value[room] = '\0';
    assert_true(run(GIVEN(.flags = {longest})));
    char *once = printed(&config);
    config_free(&config);
    assert_true(run(&(struct given){.file = once}));
    assert_string_equal(config.data_dir, value);
    config_free(&config);
    free(once);

    REFUSES(GIVEN(.file = "[server]\ndata-dir=;\n"), ":2: data-dir: ';'",
            "begins a comment");
    REFUSES(GIVEN(.flags = {"--data-dir=/a ;b"}), "begins a comment");
    REFUSES(GIVEN(.environment = {"ORTHRUSD_DATA_DIR=/a\tb"}),
            "control character");
    REFUSES(GIVEN(.flags = {"--tls-cert=/a\x7f"}), "control character");
    REFUSES(GIVEN(.flags = {"--data-dir= /a"}), "a blank");
    REFUSES(GIVEN(.flags = {"--allowed-hosts=a, "}), "a blank");
    assert_true(run(GIVEN(.flags = {"--data-dir=/a;b c"})));
    config_free(&config);
}

static void help_names_every_knob_once(void **state)
{
    (void)state;
    char *text = calloc(1, PRINTED_SIZE);
    FILE *out = fmemopen(text, PRINTED_SIZE, "w");
    config_help(out);
    (void)fclose(out);

    for (size_t i = 0; i < knob_count(); ++i) {
        char flag[KNOB_TEXT_SIZE];
        (void)snprintf(flag, sizeof(flag), "\n  --%s", knob_at(i)->name);
        const char *at = strstr(text, flag);
        assert_non_null(at);
        assert_true(at[strlen(flag)] == ' ' || at[strlen(flag)] == '\n');
        assert_true(knob_at(i)->help[0] != '\0');
    }
    free(text);
}

static void each_range_holds_at_its_ends(void **state)
{
    (void)state;
    for (size_t i = 0; i < knob_count(); ++i) {
        const struct knob *knob = knob_at(i);
        const char *unit = knob->kind == KNOB_TIME ? "ms" : "";
        struct config taken = {0};
        char text[KNOB_TEXT_SIZE];
        char wrong[KNOB_TEXT_SIZE];
        if (knob->max == 0) {
            continue;
        }
        assert_true(knob->min <= knob->max);
        (void)snprintf(text, sizeof(text), "%llu%s",
                       (unsigned long long)knob->min, unit);
        assert_true(knob_read(knob, &taken, text, wrong));
        (void)snprintf(text, sizeof(text), "%llu%s",
                       (unsigned long long)knob->max, unit);
        assert_true(knob_read(knob, &taken, text, wrong));
        (void)snprintf(text, sizeof(text), "%llu%s",
                       (unsigned long long)knob->max + 1, unit);
        assert_false(knob_read(knob, &taken, text, wrong));
        assert_non_null(strstr(wrong, "is out of range, "));
        if (knob->min > 0) {
            (void)snprintf(text, sizeof(text), "%llu%s",
                           (unsigned long long)knob->min - 1, unit);
            assert_false(knob_read(knob, &taken, text, wrong));
        }
    }
}

static void unknown_names_are_refused_with_the_nearest(void **state)
{
    (void)state;
    REFUSES(GIVEN(.file = "[server]\n; fine\n\nlisten = 127.0.0.1:1\n"
                          "dta-dir = /x\n"),
            path, ":5: unknown key 'dta-dir'", "did you mean 'data-dir'?");
    REFUSES(GIVEN(.environment = {"ORTHRUSD_LISTN=127.0.0.1:1"}),
            "ORTHRUSD_LISTN", "did you mean ORTHRUSD_LISTEN?");
    REFUSES(GIVEN(.environment = {"ORTHRUSD_ping_missed=1"}),
            "ORTHRUSD_ping_missed", "did you mean ORTHRUSD_PING_MISSED?");
    REFUSES(GIVEN(.flags = {"--log-lvel=info"}), "--log-lvel",
            "did you mean '--log-level'?");
    REFUSES(GIVEN(.flags = {"serve"}), "unexpected argument 'serve'");
    REFUSES(GIVEN(.flags = {"--listen"}), "--listen needs a value");
    assert_true(run(&(struct given){.environment = {"ORTHRUS_OTHER=1"}}));
    config_free(&config);
}

static void misplaced_and_repeated_keys_are_refused(void **state)
{
    (void)state;
    REFUSES(GIVEN(.file = "[limits]\nlisten = 127.0.0.1:1\n"),
            ":2: 'listen' belongs in section [server], not in [limits]");
    REFUSES(GIVEN(.file = "listen = 127.0.0.1:1\n"),
            ":1: 'listen' belongs in section [server], not in []");
    REFUSES(GIVEN(.file = "[server]\nlisten = 127.0.0.1:1\n"
                          "listen = 127.0.0.1:2\n"),
            ":3: listen", "second time");
    REFUSES(GIVEN(.flags = {"--log-level=info", "--log-level=warn"}),
            "--log-level", "second time");
    REFUSES(GIVEN(.file = "[server]\nwhat\n"),
            ":2: neither a [section] nor a 'key = value'");
    REFUSES(GIVEN(.file = "[server]\nlisten = 127.0.0.1:1\n"
                          "  127.0.0.1:2\n"),
            ":3: listen", "second time");
}

static void a_line_too_long_is_refused_and_not_cut(void **state)
{
    (void)state;
    char file[400] = "[server]\ndata-dir = /";
    memset(file + strlen(file), 'x', 200);
    REFUSES(GIVEN(.file = file), ":2: the line is longer than 198 characters");

    char fits[400] = "[server]\n";
    size_t begin = strlen(fits);
    memcpy(fits + begin, "data-dir = /", 13);
    memset(fits + begin + 12, 'x', 198 - 12);
    fits[begin + 198] = '\n';
    assert_true(run(&(struct given){.file = fits}));
    assert_int_equal(strlen(config.data_dir), 198 - 11);
    config_free(&config);
}

/* What stands behind it would not be seen. */
static void a_line_with_a_nul_is_refused(void **state)
{
    static const char *const files[] = {
        "[server]\nlisten = 127.0.0.1:1\0, more\n",
        "[server]\nlisten = 127.0.0.1:1\0\0\0\0\0\0\0\n",
        "[server]\n\0listen = 127.0.0.1:1\0\0\0\0\0\0",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); ++i) {
        REFUSES(GIVEN(.file = files[i], .file_length = 36),
                ":2: the line holds a NUL byte");
    }
}

static void wrong_values_are_refused_with_their_source(void **state)
{
    (void)state;
    REFUSES(GIVEN(.file = "[tunnel]\nping-interval = 5\n"),
            ":2: ping-interval: '5' needs a unit");
    REFUSES(GIVEN(.environment = {"ORTHRUSD_AGENTS_MAX=0"}),
            "ORTHRUSD_AGENTS_MAX: '0' is out of range, 1 to 1000000");
    REFUSES(GIVEN(.flags = {"--agents-max=-1"}),
            "--agents-max: '-1' is not a number");
    REFUSES(GIVEN(.flags = {"--agents-max=5 "}), "'5 ' is not a number");
    REFUSES(GIVEN(.flags = {"--agents-max=99999999999999999999"}),
            "is out of range");
    REFUSES(GIVEN(.flags = {"--ping-interval=99999999999999999h"}),
            "is out of range, 0ms to 1h");
    REFUSES(GIVEN(.flags = {"--body-max=64kb"}), "needs a unit: B, KiB");
    REFUSES(GIVEN(.flags = {"--behind-proxy=maybe"}),
            "is neither true nor false");
    REFUSES(GIVEN(.flags = {"--log-level=loud"}), "error, warn, info, debug");
    REFUSES(GIVEN(.flags = {"--log-format=xml"}), "neither text nor json");
    REFUSES(GIVEN(.flags = {"--public-url=orthrus.example"}), "http://HOST");
    REFUSES(GIVEN(.flags = {"--public-url=https://a b"}), "http://HOST");
    REFUSES(GIVEN(.flags = {"--allowed-hosts=a;b"}), "host names");
    REFUSES(GIVEN(.flags = {"--data-dir="}), "data-dir is empty");
    REFUSES(GIVEN(.flags = {"--config=/nonexistent/orthrus.ini"}),
            "/nonexistent/orthrus.ini", "No such file");
}

static void listen_takes_numeric_addresses(void **state)
{
    (void)state;
    static const char *const good[] = {"--listen=127.0.0.1:0",
                                       "--listen=127.255.0.9:65535",
                                       "--listen=[::1]:8080"};
    static const char *const bad[] = {"--listen=",
                                      "--listen=8080",
                                      "--listen=:8080",
                                      "--listen=127.0.0.1",
                                      "--listen=127.0.0.1:",
                                      "--listen=localhost:80",
                                      "--listen=::1:8080",
                                      "--listen=[::1]",
                                      "--listen=[]:1",
                                      "--listen=[:1",
                                      "--listen=127.0.0.1:1x",
                                      "--listen=127.0.0.1:-1",
                                      "--listen=]:1",
                                      "--listen=127.0.0.1:65536"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); ++i) {
        assert_true(run(&(struct given){.flags = {good[i]}}));
        config_free(&config);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
        REFUSES(GIVEN(.flags = {bad[i]}), "--listen: ");
    }
}

static void beyond_loopback_needs_tls_or_a_proxy(void **state)
{
    (void)state;
    static const char *const open[] = {
        "--listen=0.0.0.0:80", "--listen=[::]:80", "--listen=192.0.2.1:80"};
    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); ++i) {
        REFUSES(GIVEN(.flags = {open[i]}), "not loopback", "tls-cert",
                "behind-proxy");
        assert_true(run(&(struct given){.flags = {open[i], "--behind-proxy"}}));
        config_free(&config);
        assert_true(run(&(struct given){
            .flags = {open[i], "--tls-cert=c", "--tls-key=k"}}));
        config_free(&config);
    }
    REFUSES(GIVEN(.flags = {"--tls-cert=c"}),
            "tls-cert is set without tls-key");
    REFUSES(GIVEN(.flags = {"--tls-key=k"}), "tls-key is set without tls-cert");
}

static void values_that_contradict_each_other_are_refused(void **state)
{
    (void)state;
    char socket_path[109] = "/";
    char flag[256];
    memset(socket_path + 1, 'x', 107);
    (void)snprintf(flag, sizeof(flag), "--admin-socket=%s", socket_path);
    REFUSES(GIVEN(.flags = {flag}), "admin-socket", "107 characters");
    (void)snprintf(flag, sizeof(flag), "--docker-socket=%s", socket_path);
    REFUSES(GIVEN(.flags = {flag}), "docker-socket", "107 characters");
    (void)snprintf(flag, sizeof(flag), "--admin-socket=%s", socket_path + 1);
    assert_true(run(GIVEN(.flags = {flag})));
    config_free(&config);
    REFUSES(GIVEN(.flags = {"--preauth-max=7"}), "preauth-per-address");
    REFUSES(GIVEN(.flags = {"--spill-max=512KiB", "--recv-window=1MiB"}),
            "recv-window");
}

static void asking_for_help_needs_no_valid_settings(void **state)
{
    (void)state;
    assert_true(run(&(struct given){.flags = {"--help", "--nonsense"}}));
    assert_int_equal(action, CONFIG_HELP);
    config_free(&config);
    assert_true(run(&(struct given){.flags = {"--version"},
                                    .environment = {"ORTHRUSD_AGENTS_MAX=x"}}));
    assert_int_equal(action, CONFIG_VERSION);
    config_free(&config);
    REFUSES(GIVEN(.flags = {"--check-config"},
                  .environment = {"ORTHRUSD_AGENTS_MAX=x"}),
            "ORTHRUSD_AGENTS_MAX");
    assert_true(run(&(struct given){.flags = {"--check-config"}}));
    assert_int_equal(action, CONFIG_CHECK);
    config_free(&config);
}

static const struct CMUnitTest tests[] = {
    REQ("U-01,X31", each_knob_is_set_by_flag_variable_and_file),
    REQ("U-01", flag_goes_before_variable_before_file_before_default),
    REQ("U-01,L-02", defaults_are_those_documented),
    REQ("U-01,X31", what_is_printed_can_be_read_back),
    REQ("U-01,X31", a_text_that_no_line_can_say_is_refused),
    REQ("U-01", help_names_every_knob_once),
    REQ("U-01,L-02", each_range_holds_at_its_ends),
    REQ("X31", unknown_names_are_refused_with_the_nearest),
    REQ("X31", misplaced_and_repeated_keys_are_refused),
    REQ("X31", a_line_too_long_is_refused_and_not_cut),
    REQ("X31", a_line_with_a_nul_is_refused),
    REQ("U-01", wrong_values_are_refused_with_their_source),
    REQ("U-01", listen_takes_numeric_addresses),
    REQ("U-01,X13", beyond_loopback_needs_tls_or_a_proxy),
    REQ("U-01", values_that_contradict_each_other_are_refused),
    REQ("U-01", asking_for_help_needs_no_valid_settings),
};
RUN(tests)
