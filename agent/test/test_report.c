/* The status file (U-02). */
#include "agent/report.h"
#include "core/test/req.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];
static char path[128];
static struct report report;

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/orthrus-test-report-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    snprintf(path, sizeof(path), "%s/status.json", folder);
    report = (struct report){.path = path,
                             .agent_id = "web 1",
                             .server = "wss://h",
                             .policy = "read-only"};
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder); /* fails if anything else was left there */
}

static json_t *load(void)
{
    json_error_t error;
    json_t *object = json_load_file(path, 0, &error);

    if (object == NULL) {
        fail_msg("%s", error.text);
    }
    return object;
}

static const char *text_of(json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static void a_status_file_says_how_the_agent_is(void **state)
{
    (void)state;
    report_enter(&report, REPORT_CONNECTED, 1769860800);
    report_error(&report, "the server is silent", 1769860799);
    report.streams = 3;
    report.streams_total = 12;
    report.reconnects = 2;

    assert_true(report_save(&report));

    json_t *object = load();
    assert_string_equal(text_of(object, "state"), "connected");
    assert_string_equal(text_of(object, "since"), "2026-01-31T12:00:00Z");
    assert_string_equal(text_of(object, "last_error"), "the server is silent");
    assert_string_equal(text_of(object, "last_error_at"),
                        "2026-01-31T11:59:59Z");
    assert_string_equal(text_of(object, "server"), "wss://h");
    assert_string_equal(text_of(object, "agent_id"), "web 1");
    assert_string_equal(text_of(object, "policy"), "read-only");
    assert_true(json_is_null(json_object_get(object, "retry_at")));
    assert_int_equal(json_integer_value(json_object_get(object, "streams")), 3);
    assert_int_equal(
        json_integer_value(json_object_get(object, "streams_total")), 12);
    assert_int_equal(json_integer_value(json_object_get(object, "reconnects")),
                     2);
    assert_int_equal(json_integer_value(json_object_get(object, "pid")),
                     getpid());
    json_decref(object);
}

static void each_save_replaces_the_whole_file(void **state)
{
    (void)state;
    struct stat before;
    struct stat after;

    report_error(&report, "a very long error that makes the file longer", 1);
    assert_true(report_save(&report));
    assert_int_equal(stat(path, &before), 0);
    report.last_error[0] = '\0';
    assert_true(report_save(&report));
    assert_int_equal(stat(path, &after), 0);

    assert_true(after.st_ino != before.st_ino); /* never written in place */
    json_t *object = load();
    assert_true(json_is_null(json_object_get(object, "last_error")));
    json_decref(object);
}

static void a_new_state_forgets_the_planned_dial(void **state)
{
    (void)state;
    report_enter(&report, REPORT_WAITING, 100);
    report.retry_at = 105;
    assert_true(report_save(&report));
    json_t *object = load();
    assert_string_equal(text_of(object, "retry_at"), "1970-01-01T00:01:45Z");
    json_decref(object);

    report_enter(&report, REPORT_CONNECTING, 105);

    assert_int_equal(report.retry_at, 0);
}

static void an_error_that_is_no_utf8_is_null(void **state)
{
    (void)state;
    report_error(&report, "\xff\xfe", 1);

    assert_true(report_save(&report));

    json_t *object = load();
    assert_true(json_is_null(json_object_get(object, "last_error")));
    json_decref(object);
}

static void a_folder_that_is_not_there_is_an_error(void **state)
{
    (void)state;
    report.path = "/nonexistent/status.json";

    assert_false(report_save(&report));
    assert_int_equal(errno, ENOENT);
}

static void a_path_that_is_a_folder_leaves_nothing_behind(void **state)
{
    (void)state;
    report.path = folder;
    char temporary[128];

    assert_false(report_save(&report));

    snprintf(temporary, sizeof(temporary), "%s.new", folder);
    assert_int_equal(access(temporary, F_OK), -1);
}

#define TEST(name) REQ_WITH("U-02", name, make_folder, remove_folder)

static const struct CMUnitTest tests[] = {
    TEST(a_status_file_says_how_the_agent_is),
    TEST(each_save_replaces_the_whole_file),
    TEST(a_new_state_forgets_the_planned_dial),
    TEST(an_error_that_is_no_utf8_is_null),
    TEST(a_folder_that_is_not_there_is_an_error),
    TEST(a_path_that_is_a_folder_leaves_nothing_behind),
};
RUN(tests)
