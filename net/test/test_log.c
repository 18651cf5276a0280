#include "core/test/req.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/contract.h"
#include "net/log.h"

static int out[2];
static char text[65536];

static void open_log(enum log_format format, enum log_level level,
                     unsigned burst)
{
    struct log_config config;

    log_config_default(&config);
    config.fd = out[1];
    config.format = format;
    config.level = level;
    config.burst = burst;
    log_open(&config);
}

static int a_pipe(void **state)
{
    (void)state;
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(fcntl(out[0], F_SETFL, O_NONBLOCK), 0);
    return 0;
}

static int a_socket(void **state)
{
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, out), 0);
    assert_int_equal(fcntl(out[0], F_SETFL, O_NONBLOCK), 0);
    return 0;
}

static int close_out(void **state)
{
    struct log_config config;
    (void)state;
    log_config_default(&config);
    log_open(&config);
    close(out[0]);
    close(out[1]);
    return 0;
}

static const char *written(void)
{
    ssize_t length = read(out[0], text, sizeof text - 1);
    text[length > 0 ? length : 0] = '\0';
    return text;
}

/* What follows the time stamp, whose form is checked. */
static const char *after_time(const char *line)
{
    static const char form[] = "dddd-dd-ddTdd:dd:dd.ddddddZ";
    for (size_t i = 0; i < sizeof form - 1; i++) {
        if (form[i] == 'd') {
            assert_in_range(line[i], '0', '9');
        } else {
            assert_int_equal(line[i], form[i]);
        }
    }
    return line + sizeof form - 1;
}

static void a_text_line_has_time_level_event_and_fields(void **state)
{
    (void)state;
    open_log(LOG_TEXT, LOG_INFO, 0);

    log_line(LOG_WARN, "agent_lost", log_string("agent", "web 1"),
             log_uint("stream", 18446744073709551615u), log_int("delta", -5),
             log_bool("clean", false), log_string("end", "keepalive"),
             log_string("absent", NULL));

    assert_string_equal(after_time(written()),
                        " warn agent_lost agent=\"web 1\" "
                        "stream=18446744073709551615 delta=-5 clean=false "
                        "end=keepalive\n");
}

static void a_json_line_has_the_same(void **state)
{
    static const char expected[] =
        "\",\"level\":\"info\",\"event\":\"started\","
        "\"a\":\"x\\\"y\\\\\",\"b\":true,\"error\":"
        "\"No such file or directory\"}\n{";
    const char *line;
    (void)state;
    open_log(LOG_JSON, LOG_INFO, 0);

    log_line(LOG_INFO, "started", log_string("a", "x\"y\\"),
             log_bool("b", true), log_errno(ENOENT));
    log_write(LOG_INFO, "alone", NULL, 0);

    line = written();
    assert_memory_equal(line, "{\"ts\":\"", 7);
    line = after_time(line + 7);
    assert_memory_equal(line, expected, sizeof expected - 1);
}

static void levels_below_the_threshold_are_silent(void **state)
{
    (void)state;
    open_log(LOG_TEXT, LOG_WARN, 0);

    log_write(LOG_DEBUG, "a", NULL, 0);
    log_write(LOG_INFO, "b", NULL, 0);
    assert_string_equal(written(), "");
    assert_false(log_enabled(LOG_INFO));
    log_write(LOG_ERROR, "c", NULL, 0);
    assert_string_equal(after_time(written()), " error c\n");
}

/* Given: what a hostile agent could put into a name. */
static void peer_strings_cannot_forge_or_reorder(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"a\nb", "a\xef\xbf\xbd"
                 "b"},
        {"\x1b[2J", "\xef\xbf\xbd[2J"},
        {"\x7f", "\xef\xbf\xbd"},
        {"\xc2\x9b", "\xef\xbf\xbd"},                             /* C1 CSI */
        {"\xe2\x80\xae", "\xef\xbf\xbd"},                         /* U+202E */
        {"\xe2\x80\xa8", "\xef\xbf\xbd"},                         /* U+2028 */
        {"\xe2\x81\xa6", "\xef\xbf\xbd"},                         /* U+2066 */
        {"\xd8\x9c", "\xef\xbf\xbd"},                             /* U+061C */
        {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},                 /* overlong */
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* D800 */
        {"\xf5\x80", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd"}, /* cut */
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
         "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"", ""},
        {"a=b", "a=b"},
    };
    (void)state;
    open_log(LOG_TEXT, LOG_INFO, 0);

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char expected[64];
        (void)snprintf(expected, sizeof expected, " info e n=\"%s\"\n",
                       cases[i].out);
        log_line(LOG_INFO, "e", log_string("n", cases[i].in));
        assert_string_equal(after_time(written()), expected);
    }
}

static void a_string_is_cut_at_a_character_within_256_bytes(void **state)
{
    char name[400];
    const char *line;
    (void)state;
    open_log(LOG_TEXT, LOG_INFO, 0);

    memset(name, 'x', sizeof name);
    log_line(LOG_INFO, "e", log_bytes("n", name, 256));
    line = after_time(written());
    assert_int_equal(strlen(line), strlen(" info e n=\n") + 256);
    log_line(LOG_INFO, "e", log_bytes("n", name, 257));
    line = after_time(written());
    assert_int_equal(strlen(line), strlen(" info e n=\"\"\n") + 256);

    memcpy(name + 255, "\xc3\xa9", 2); /* would end at 257 */
    log_line(LOG_INFO, "e", log_bytes("n", name, 300));
    line = after_time(written());
    assert_int_equal(strlen(line), strlen(" info e n=\"\"\n") + 255);
}

static void a_line_that_is_too_long_loses_fields_not_its_form(void **state)
{
    struct log_field fields[20];
    char name[256];
    const char *line;
    (void)state;
    open_log(LOG_JSON, LOG_INFO, 0);

    memset(name, '"', sizeof name);
    for (size_t i = 0; i < 20; i++) {
        fields[i] = log_bytes("key", name, sizeof name);
    }
    fields[19] = log_uint("last", 1); /* fits again */
    log_write(LOG_INFO, "e", fields, 20);

    line = written();
    assert_in_range(strlen(line), 3500, 4096);
    line += strlen(line) - strlen("\\\"\",\"last\":1,\"truncated\":true}\n");
    assert_string_equal(line, "\\\"\",\"last\":1,\"truncated\":true}\n");
}

static void more_of_one_event_than_a_burst_is_counted(void **state)
{
    int lines = 0;
    uint64_t suppressed = log_counters()->suppressed;
    (void)state;
    open_log(LOG_TEXT, LOG_INFO, 3);

    for (int i = 0; i < 1000; i++) {
        log_write(LOG_INFO, "storm", NULL, 0);
    }
    for (const char *c = written(); *c != '\0'; c++) {
        lines += *c == '\n' ? 1 : 0;
    }
    assert_in_range(lines, 3, 6); /* a second may have turned */
    assert_true(log_counters()->suppressed - suppressed >= 994);

    log_write(LOG_INFO, "other", NULL, 0); /* has an allowance of its own */
    assert_string_equal(after_time(written()), " info other\n");
    open_log(LOG_TEXT, LOG_INFO, 0);
    log_write(LOG_INFO, "storm", NULL, 0);
    assert_non_null(strstr(written(), " info storm suppressed=99"));
}

static void events_beyond_the_table_share_entries(void **state)
{
    static char names[600][16];
    (void)state;
    open_log(LOG_TEXT, LOG_INFO, 0);

    for (int i = 0; i < 600; i++) {
        (void)snprintf(names[i], sizeof names[i], "e%d", i);
        log_write(LOG_INFO, names[i], NULL, 0);
        assert_non_null(strstr(written(), names[i]));
    }
}

static void a_reader_that_stalls_costs_lines_not_time(void **state)
{
    uint64_t dropped = log_counters()->dropped;
    char expected[32];
    (void)state;
    open_log(LOG_TEXT, LOG_INFO, 0);

    for (int i = 0; i < 20000; i++) {
        log_line(LOG_INFO, "flood", log_string("x", "0123456789abcdef"));
    }
    dropped = log_counters()->dropped - dropped;
    assert_true(dropped > 0);

    while (*written() != '\0') {
    }
    log_line(LOG_INFO, "relief", log_int("x", 1));
    (void)snprintf(expected, sizeof expected, " dropped=%d x=1\n",
                   (int)dropped);
    assert_non_null(strstr(written(), expected));
    log_write(LOG_INFO, "calm", NULL, 0);
    assert_string_equal(after_time(written()), " info calm\n");
}

static void a_reader_that_is_gone_kills_nobody(void **state)
{
    uint64_t dropped = log_counters()->dropped;
    (void)state;
    open_log(LOG_TEXT, LOG_INFO, 0);

    close(out[0]);
    log_write(LOG_INFO, "alone", NULL, 0);
    assert_int_equal(log_counters()->dropped, dropped + 1);

    close(out[1]);
    a_pipe(state);
    open_log(LOG_TEXT, LOG_INFO, 0);
    log_write(LOG_INFO, "company", NULL, 0);
    assert_string_equal(after_time(written()), " info company dropped=1\n");
}

static void names_are_parsed_back(void **state)
{
    enum log_level level;
    enum log_format format;
    (void)state;

    for (int i = LOG_DEBUG; i <= LOG_ERROR; i++) {
        assert_true(log_level_parse(&level, log_level_name((enum log_level)i)));
        assert_int_equal(level, i);
    }
    assert_false(log_level_parse(&level, "loud"));
    assert_true(log_format_parse(&format, "json"));
    assert_int_equal(format, LOG_JSON);
    assert_false(log_format_parse(&format, "xml"));
}

static void a_broken_contract_is_logged_and_aborts(void **state)
{
    pid_t child;
    int status;
    (void)state;
    open_log(LOG_TEXT, LOG_INFO, 0);

    child = fork();
    if (child == 0) {
        (void)!freopen("/dev/null", "w", stderr);
        contract_failed("require", "a < b", "x.c", 7);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_string_equal(after_time(written()),
                        " error contract_failed kind=require "
                        "expression=\"a < b\" file=x.c line=7\n");
}

static const struct CMUnitTest tests[] = {
    REQ_WITH("U-01", a_text_line_has_time_level_event_and_fields, a_pipe,
             close_out),
    REQ_WITH("U-01", a_json_line_has_the_same, a_pipe, close_out),
    REQ_WITH("U-01", levels_below_the_threshold_are_silent, a_pipe, close_out),
    REQ_WITH("X32", peer_strings_cannot_forge_or_reorder, a_pipe, close_out),
    REQ_WITH("X32", a_string_is_cut_at_a_character_within_256_bytes, a_pipe,
             close_out),
    REQ_WITH("X32", a_line_that_is_too_long_loses_fields_not_its_form, a_pipe,
             close_out),
    REQ_WITH("X15", more_of_one_event_than_a_burst_is_counted, a_pipe,
             close_out),
    REQ_WITH("X15", events_beyond_the_table_share_entries, a_pipe, close_out),
    REQ_WITH("L-05", a_reader_that_stalls_costs_lines_not_time, a_pipe,
             close_out),
    REQ_WITH("L-05", a_reader_that_stalls_costs_lines_not_time, a_socket,
             close_out),
    REQ_WITH("L-05", a_reader_that_is_gone_kills_nobody, a_pipe, close_out),
    REQ("U-01", names_are_parsed_back),
    REQ_WITH("Q-02", a_broken_contract_is_logged_and_aborts, a_pipe, close_out),
};
RUN(tests)
