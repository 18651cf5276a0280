#include "sim/test/story.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/test/req.h"
#include "sim/plan.h"
#include "sim/world.h"

#define HEALED "world     healed\n"

static void take_story(void *user, const char *text)
{
    char **told = user;
    const char *end = strstr(text, HEALED);
    size_t length =
        end != NULL ? (size_t)(end - text) + strlen(HEALED) : strlen(text);

    *told = calloc(1, length + 1);
    memcpy(*told, text, length);
}

/* What is told of this plan; free() it. */
static char *tell(const struct story *story)
{
    char error[160] = "";
    char *told = NULL;
    const struct world_watch watch = {
        .keeps = true, .story = take_story, .user = &told};
    struct plan plan;
    struct world_result result;
    struct sim_failure failure;

    if (!plan_read(&plan, story->plan, error, sizeof error)) {
        fail_msg("%s: %s", story->name, error);
    }
    bool good = world_run(&plan, &watch, &result, &failure);
    plan_free(&plan);
    if (!good) {
        print_message("%s", told);
        free(told);
        fail_msg("%s: %s", failure.oracle, failure.message);
    }
    return told;
}

static void print_difference(const char *expected, const char *told)
{
    size_t same = 0, line = 0;

    while (expected[same] != '\0' && expected[same] == told[same]) {
        same++;
        line = told[same - 1] == '\n' ? same : line;
    }
    print_message("told, up to where it differs:\n%.*s", (int)line, told);
    print_message("expected: %.*s\n", (int)strcspn(expected + line, "\n"),
                  expected + line);
    print_message("told:     %.*s\n", (int)strcspn(told + line, "\n"),
                  told + line);
}

static void is_told(void **state)
{
    const struct story *const *place = *state;
    const struct story *story = *place;
    char *told = tell(story);
    bool same = strcmp(told, story->told) == 0;

    if (!same) {
        print_difference(story->told, told);
    }
    free(told);
    assert_true(same);
}

/* As C text, to paste. */
static void bless(const struct story *story)
{
    char *told = tell(story);

    printf("\n/* %s */\n", story->name);
    for (const char *line = told; *line != '\0';) {
        size_t length = strcspn(line, "\n");
        printf("\"%.*s\\n\"\n", (int)length, line);
        line += length + 1;
    }
    free(told);
}

static bool is_meant(const struct story *story, const char *pattern)
{
    size_t length = strcspn(pattern, "*");

    return strncmp(story->name, pattern, length) == 0;
}

int story_main(const struct story *stories, size_t count, int argc, char **argv)
{
    struct CMUnitTest *tests = calloc(count, sizeof *tests);
    const struct story **places = calloc(count, sizeof *places);

    if (argc > 1 && strcmp(argv[1], "--bless") == 0) {
        for (size_t i = 0; i < count; i++) {
            if (argc == 2 || is_meant(&stories[i], argv[2])) {
                bless(&stories[i]);
            }
        }
        free(places);
        free(tests);
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        places[i] = &stories[i];
        tests[i] = (struct CMUnitTest){.name = stories[i].name,
                                       .test_func = is_told,
                                       .initial_state = &places[i]};
    }
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    int status = _cmocka_run_group_tests("stories", tests, count, NULL, NULL);
    free(places);
    free(tests);
    return status;
}
