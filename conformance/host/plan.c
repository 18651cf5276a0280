/* Sizes. The first streams of a kind have the sizes at which something
 * happens: none, one byte, the window and its neighbours, the largest. All
 * others are as likely to be within 1..2 KiB as within 1..2 MiB. */
#include "conformance/host/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "conformance/host/payload.h"
#include "core/wire.h"

#define WINDOW ((uint64_t)WIRE_WINDOW_INITIAL)
#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define WAIT_MAX_MS 500u
#define LABEL_MAX 33u /* with its zero */

const struct plan_script plan_scripts[PLAN_KINDS] = {
    [PLAN_ECHO] = {.name = "echo", .echoes = true},
    [PLAN_SLOW] = {.name = "slow", .echoes = true, .pace = PLAN_SLOWLY},
    [PLAN_LATE] = {.name = "late", .echoes = true, .pace = PLAN_LATELY},
    [PLAN_WATCH] = {.name = "watch", .asks = true},
    [PLAN_HOLD] = {.name = "hold", .cut = PLAN_CUT_LATELY},
    [PLAN_WRITE] = {.name = "write", .last = true, .pace = PLAN_LATELY},
    [PLAN_FINISH] = {.name = "finish", .last = true, .asks = true},
    [PLAN_ABORT] = {.name = "abort", .echoes = true, .cut = PLAN_CUT_READ},
    [PLAN_ABORT_WATCH] = {.name = "abort-watch",
                          .asks = true,
                          .cut = PLAN_CUT_WRITTEN},
    [PLAN_BROKEN] = {.name = "broken", .breaks = true},
    [PLAN_CALM] = {.name = "calm", .echoes = true, .waits = true},
    [PLAN_OPEN_ECHO] = {.name = "open-echo", .theirs = true, .echoes = true},
    [PLAN_OPEN_SLOW] = {.name = "open-slow",
                        .theirs = true,
                        .echoes = true,
                        .pace = PLAN_SLOWLY},
    [PLAN_OPEN_LATE] = {.name = "open-late",
                        .theirs = true,
                        .echoes = true,
                        .pace = PLAN_LATELY},
    [PLAN_OPEN_HALF] = {.name = "open-half", .theirs = true},
    [PLAN_OPEN_WATCH] = {.name = "open-watch", .theirs = true, .asks = true},
    [PLAN_OPEN_RESET] = {.name = "open-reset", .theirs = true, .breaks = true},
    [PLAN_OPEN_ABORT] = {.name = "open-abort",
                         .theirs = true,
                         .echoes = true,
                         .asks = true,
                         .cut = PLAN_CUT_READ},
};

/* One round of those that we open: how often each comes. */
static const enum plan_kind round_of_ours[] = {
    PLAN_ECHO, PLAN_SLOW,  PLAN_WATCH,  PLAN_LATE,        PLAN_WRITE,
    PLAN_ECHO, PLAN_ABORT, PLAN_FINISH, PLAN_ECHO,        PLAN_BROKEN,
    PLAN_SLOW, PLAN_WATCH, PLAN_LATE,   PLAN_HOLD,        PLAN_ECHO,
    PLAN_ECHO, PLAN_WRITE, PLAN_ECHO,   PLAN_ABORT_WATCH, PLAN_FINISH,
};

static const uint64_t turning_points[] = {
    0,
    1,
    WINDOW / 2,
    WINDOW - 1,
    WINDOW,
    WINDOW + 1,
    WINDOW / 2 * 3,
    2 * WINDOW,
    8 * 1024 * 1024,
};

struct maker {
    const struct plan_config *config;
    uint64_t drawn; /* random numbers */
    unsigned made[PLAN_KINDS];
};

/* least..most, each as likely. */
static uint64_t draw(struct maker *maker, uint64_t least, uint64_t most)
{
    uint64_t random = payload_random(maker->config->seed, maker->drawn++);
    return least + random % (most - least + 1);
}

/* least..most, each power of two as likely. */
static uint64_t draw_size(struct maker *maker, uint64_t least, uint64_t most)
{
    unsigned doublings = 0;
    while (doublings < 63 && (least << (doublings + 1)) <= most)
        doublings++;
    uint64_t from = least << draw(maker, 0, doublings);
    return draw(maker, from, from * 2 <= most ? from * 2 : most);
}

static uint64_t draw_body(struct maker *maker, enum plan_kind kind)
{
    uint64_t body_max = maker->config->body_max;
    unsigned made = maker->made[kind]++;
    if (made >= COUNT(turning_points))
        return draw_size(maker, 1, body_max);
    uint64_t point =
        turning_points[(made + (unsigned)kind) % COUNT(turning_points)];
    return point < body_max ? point : body_max;
}

static void make_ours(struct maker *maker, struct plan *plan)
{
    uint64_t body_max = maker->config->body_max;
    if (plan->kind == PLAN_HOLD) {
        plan->body = 4 * WINDOW;
    } else if (plan->kind == PLAN_ABORT) {
        plan->body = draw_size(maker, WINDOW / 2, body_max);
        plan->cut = draw(maker, 1, plan->body);
    } else if (plan->kind == PLAN_ABORT_WATCH) {
        /* Beyond two windows their application has read the command. */
        plan->body = body_max;
        plan->cut = draw(maker, 2 * WINDOW + 1, plan->body);
    } else if (plan->kind == PLAN_WRITE) {
        plan->pattern = draw_body(maker, plan->kind);
        plan->body = draw_size(maker, 1, body_max);
    } else {
        plan->body = draw_body(maker, plan->kind);
        plan->wait_ms = (unsigned)draw(maker, 0, WAIT_MAX_MS);
    }
}

static void make_theirs(struct maker *maker, struct plan *plan)
{
    if (plan->kind == PLAN_OPEN_ABORT)
        plan->cut = draw(maker, 1, plan->pattern);
    else if (plan->kind != PLAN_OPEN_HALF && plan->kind != PLAN_OPEN_RESET)
        plan->body = draw_size(maker, 1, maker->config->body_max);
}

/* Returns how many. */
static unsigned make_batch(struct maker *maker, struct plan *plans,
                           enum plan_kind kind, unsigned room)
{
    unsigned count = 1;
    if (kind != PLAN_OPEN_WATCH && kind != PLAN_OPEN_ABORT)
        count = (unsigned)draw(maker, 1, PLAN_BATCH_MAX);
    count = count < room ? count : room;
    uint64_t pattern = draw_body(maker, kind);
    if (kind == PLAN_OPEN_ABORT)
        pattern = draw_size(maker, WINDOW / 2, maker->config->body_max);
    if (pattern < maker->config->their_least)
        pattern = maker->config->their_least;
    for (unsigned i = 0; i < count; i++) {
        plans[i].kind = kind;
        plans[i].pattern = pattern;
        plans[i].left = count - 1 - i;
        make_theirs(maker, &plans[i]);
    }
    return count;
}

static bool is_echo(enum plan_kind kind)
{
    return plan_scripts[kind].echoes && !plan_scripts[kind].theirs;
}

void plan_make(const struct plan_config *config, struct plan *plans)
{
    struct maker maker = {.config = config};
    unsigned ours =
        config->commands ? (config->streams + 1) / 2 : config->streams;
    for (unsigned i = 0; i < config->streams; i++)
        plans[i] =
            (struct plan){.number = i, .key = payload_random(~config->seed, i)};
    for (unsigned i = 0; i < ours; i++) {
        plans[i].kind = round_of_ours[i % COUNT(round_of_ours)];
        if (!config->commands && !is_echo(plans[i].kind))
            plans[i].kind = PLAN_ECHO;
        make_ours(&maker, &plans[i]);
    }
    enum plan_kind kind = PLAN_OPEN_ECHO;
    for (unsigned i = ours; i < config->streams;) {
        i += make_batch(&maker, plans + i, kind, config->streams - i);
        kind = kind + 1 == PLAN_KINDS ? PLAN_OPEN_ECHO : kind + 1;
    }
}

/* ---- words ---- */

/* Labels live as long as the peer: no other run should have the same. */
static const char *label(const struct plan_config *config,
                         const struct plan *plan, char room[LABEL_MAX])
{
    snprintf(room, LABEL_MAX, "t%" PRIx64 "-%u", config->seed, plan->number);
    return room;
}

void plan_command(const struct plan_config *config, const struct plan *plan,
                  char line[PLAN_LINE_MAX])
{
    char room[LABEL_MAX];
    line[0] = '\0';
    if (!config->commands || plan_scripts[plan->kind].theirs)
        return;
    if (is_echo(plan->kind))
        snprintf(line, PLAN_LINE_MAX, "echo\n");
    else if (plan->kind == PLAN_HOLD)
        snprintf(line, PLAN_LINE_MAX, "hold\n");
    else if (plan->kind == PLAN_BROKEN)
        snprintf(line, PLAN_LINE_MAX, "reset\n");
    else if (plan->kind == PLAN_WRITE)
        snprintf(line, PLAN_LINE_MAX, "write %" PRIu64 "\n", plan->pattern);
    else if (plan->kind == PLAN_FINISH)
        snprintf(line, PLAN_LINE_MAX, "finish %s\n", label(config, plan, room));
    else
        snprintf(line, PLAN_LINE_MAX, "watch %s %u\n",
                 label(config, plan, room), plan->wait_ms);
}

void plan_open_command(const struct plan_config *config,
                       const struct plan *plan, char line[PLAN_LINE_MAX])
{
    char room[LABEL_MAX];
    const char *then = "echo";
    if (plan->kind == PLAN_OPEN_WATCH)
        then = "watch";
    if (plan->kind == PLAN_OPEN_RESET)
        then = "reset";
    snprintf(line, PLAN_LINE_MAX, "open %u %" PRIu64 " %s %s\n", plan->left + 1,
             plan->pattern, then, label(config, plan, room));
}

void plan_report_command(const struct plan_config *config,
                         const struct plan *plan, char line[PLAN_LINE_MAX])
{
    char room[LABEL_MAX];
    snprintf(line, PLAN_LINE_MAX, "report %s\n", label(config, plan, room));
}

enum plan_kind plan_find(const char *name, size_t length)
{
    unsigned kind = 0;
    while (kind < PLAN_KINDS &&
           (strlen(plan_scripts[kind].name) != length ||
            memcmp(plan_scripts[kind].name, name, length) != 0))
        kind++;
    return (enum plan_kind)kind;
}

void plan_simplify(const struct plan_config *config, struct plan *plan)
{
    plan->kind = config->without[PLAN_ECHO] ? PLAN_CALM : PLAN_ECHO;
    plan->pattern = 0;
    plan->left = 0;
}
