#include "sim/plan.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/contract.h"
#include "sim/ask.h"
#include "sim/client.h"
#include "sim/engine.h"
#include "sim/process.h"
#include "sim/socket.h"

#define DAY_MS UINT64_C(86400000)
#define TOKENS_MAX 6u
#define TOKEN_SIZE 32u

/* ---- what acts look like ------------------------------------------------- */

#define X(name, text) (text),
static const char *const remote_names[] = {REMOTE_TABLE(X)};
static const char *const client_names[] = {CLIENT_TABLE(X)};
static const char *const mood_names[] = {ENGINE_MOOD_TABLE(X)};
#undef X
static const char *const end_names[] = {"exits", "vanishes"};
static const char *const way_names[] = {"agent", "server"};
static const char *const cut_names[] = {"agent-finish",  "agent-reset",
                                        "agent-silence", "server-finish",
                                        "server-reset",  "server-silence"};
static const char *const ask_names[] = {
    "site",     "no-agent", "empty-agent",  "unknown",
    "bad-host", "direct",   "unconfigured", "nothing"};
static const char *const jump_names[] = {"forward", "back"};

#define COUNT(array) (sizeof(array) / sizeof *(array))
_Static_assert(COUNT(ask_names) == ASK_KINDS, "one name an ask");
_Static_assert(COUNT(end_names) == PROCESS_VANISHES + 1, "one name an end");
_Static_assert(COUNT(cut_names) == 2 * (CUT_SILENCE + 1), "two names a cut");

#define NAMED(array) .varieties = COUNT(array), .names = (array)
#define AMOUNT(low, high) .has_amount = true, .least = (low), .most = (high)
#define AT_SITE .has_site = true

static const struct act_shape shapes[ACT_KINDS] = {
#define X(kind, text) [ACT_##kind] = {.name = (text), SHAPE_##kind},
#define SHAPE_AGENT_START AT_SITE, NAMED(remote_names)
#define SHAPE_AGENT_STOP AT_SITE
#define SHAPE_AGENT_KILL AT_SITE, NAMED(end_names), AMOUNT(1, 20000)
#define SHAPE_AGENT_TWICE AT_SITE
#define SHAPE_LINK_STALL AT_SITE, NAMED(way_names), AMOUNT(1, 30000)
#define SHAPE_LINK_CUT AT_SITE, NAMED(cut_names), AMOUNT(0, 200000)
#define SHAPE_CLIENT AT_SITE, NAMED(client_names), AMOUNT(0, 1048576)
#define SHAPE_ASK AT_SITE, NAMED(ask_names)
#define SHAPE_ENGINE_KILL AT_SITE, AMOUNT(1, 10000)
#define SHAPE_ENGINE_MOOD AT_SITE, NAMED(mood_names), AMOUNT(1, 20000)
#define SHAPE_PROVISION AT_SITE
#define SHAPE_REVOKE AT_SITE
#define SHAPE_ROTATE AT_SITE
#define SHAPE_DELETE AT_SITE
#define SHAPE_SERVER_CRASH NAMED(end_names), AMOUNT(1, 10000)
#define SHAPE_SERVER_STOP AMOUNT(1, 20000)
#define SHAPE_BIND_FAILS AMOUNT(1, 5)
#define SHAPE_NO_DESCRIPTOR .varieties = 20, AMOUNT(1, 10000)
#define SHAPE_NO_MEMORY .varieties = 50, AMOUNT(0, 20)
#define SHAPE_STORE_FAILS AMOUNT(1, 10000)
#define SHAPE_CLOCK_JUMP NAMED(jump_names), AMOUNT(1, 3650 * DAY_MS)
#define SHAPE_PAUSE AMOUNT(1, 20000)
    ACT_TABLE(X)
#undef X
};

const struct act_shape *act_shape(enum act_kind kind)
{
    return &shapes[kind];
}

const char *remote_name(enum remote_kind kind)
{
    return remote_names[kind];
}

/* ---- printing ------------------------------------------------------------ */

void act_print(const struct act *act, char text[ACT_TEXT_SIZE])
{
    const struct act_shape *shape = act_shape(act->kind);
    char site[16] = "", variety[TOKEN_SIZE + 1] = "", amount[24] = "";

    if (shape->has_site) {
        snprintf(site, sizeof site, " %" PRIu32, act->site);
    }
    if (shape->names != NULL) {
        snprintf(variety, sizeof variety, " %s", shape->names[act->variety]);
    } else if (shape->varieties > 0) {
        snprintf(variety, sizeof variety, " %" PRIu32, act->variety);
    }
    if (shape->has_amount) {
        snprintf(amount, sizeof amount, " %" PRIu64, act->amount);
    }
    snprintf(text, ACT_TEXT_SIZE, "%s%s%s%s", shape->name, site, variety,
             amount);
}

char *plan_print(const struct plan *plan)
{
    const size_t line_size = ACT_TEXT_SIZE + 32;
    size_t size = 256 + plan->act_count * line_size;
    char *text = malloc(size);
    size_t length;

    if (text == NULL) {
        return NULL;
    }
    length = (size_t)snprintf(
        text, size,
        "seed %" PRIu64 "\nsites %" PRIu32 "\nphase-ms %" PRIu64 "\n%s%s",
        plan->seed, plan->sites, plan->phase_us / SIM_MS,
        plan->permutes ? "permutes\n" : "", plan->rough ? "rough\n" : "");
    for (size_t i = 0; i < plan->act_count; i++) {
        const struct act *act = &plan->acts[i];
        char what[ACT_TEXT_SIZE], part[8] = "";
        act_print(act, what);
        if (act->at_us % SIM_MS != 0) {
            snprintf(part, sizeof part, ".%03" PRIu64, act->at_us % SIM_MS);
        }
        length +=
            (size_t)snprintf(text + length, size - length, "%" PRIu64 "%s %s\n",
                             act->at_us / SIM_MS, part, what);
    }
    return text;
}

/* ---- reading ------------------------------------------------------------- */

struct reader {
    struct plan *plan;
    size_t capacity;
    size_t line;
    char tokens[TOKENS_MAX][TOKEN_SIZE];
    size_t count;
    char *error;
    size_t error_size;
};

__attribute__((format(printf, 2, 3))) static bool
refuse(const struct reader *reader, const char *format, ...)
{
    va_list arguments;
    int begun =
        snprintf(reader->error, reader->error_size, "line %zu: ", reader->line);
    size_t length = begun > 0 ? (size_t)begun : 0;

    if (length < reader->error_size) {
        va_start(arguments, format);
        vsnprintf(reader->error + length, reader->error_size - length, format,
                  arguments);
        va_end(arguments);
    }
    return false;
}

/* Whole and at most this much. */
static bool read_number(const char *token, uint64_t most, uint64_t *number)
{
    uint64_t value = 0;

    if (*token == '\0') {
        return false;
    }
    for (; *token != '\0'; token++) {
        if (*token < '0' || *token > '9') {
            return false;
        }
        uint64_t digit = (uint64_t)(*token - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = 10 * value + digit;
    }
    *number = value;
    return value <= most;
}

/* "120" or "120.250": milliseconds and their thousandths. */
static bool read_time(const char *token, uint64_t *at_us)
{
    char whole[TOKEN_SIZE];
    const char *point = strchr(token, '.');
    size_t length = point == NULL ? strlen(token) : (size_t)(point - token);
    uint64_t ms, us = 0;

    memcpy(whole, token, length);
    whole[length] = '\0';
    if (!read_number(whole, UINT64_C(1) << 50, &ms)) {
        return false;
    }
    if (point != NULL &&
        (strlen(point) != 4 || !read_number(point + 1, 999, &us))) {
        return false;
    }
    *at_us = ms * SIM_MS + us;
    return true;
}

static bool read_variety(struct reader *reader, const struct act_shape *shape,
                         const char *token, uint32_t *variety)
{
    uint64_t number;

    for (uint32_t i = 0; shape->names != NULL && i < shape->varieties; i++) {
        if (strcmp(token, shape->names[i]) == 0) {
            *variety = i;
            return true;
        }
    }
    if (shape->names == NULL && read_number(token, UINT32_MAX, &number)) {
        *variety = (uint32_t)number;
        return true;
    }
    return refuse(reader, "%s has no variety '%s'; try %s", shape->name, token,
                  shape->names == NULL ? "a number" : shape->names[0]);
}

static bool keep_act(struct reader *reader, const struct act *act)
{
    struct plan *plan = reader->plan;

    if (plan->act_count == PLAN_ACTS_MAX) {
        return refuse(reader, "more than %u acts; leave some out",
                      PLAN_ACTS_MAX);
    }
    if (plan->act_count == reader->capacity) {
        reader->capacity = 2 * reader->capacity + 16;
        struct act *acts = realloc(plan->acts, reader->capacity * sizeof *acts);
        if (acts == NULL) {
            return refuse(reader, "no memory for the acts");
        }
        plan->acts = acts;
    }
    plan->acts[plan->act_count++] = *act;
    return true;
}

static bool read_act(struct reader *reader)
{
    struct act act = {.kind = ACT_KINDS};
    const char *name = reader->tokens[1];
    size_t next = 2;
    uint64_t site = 0;

    if (!read_time(reader->tokens[0], &act.at_us)) {
        return refuse(reader,
                      "'%s' is neither an option (seed, sites, phase-ms, "
                      "permutes, rough) nor a time in ms such as 120.500",
                      reader->tokens[0]);
    }
    for (size_t i = 0; i < ACT_KINDS; i++) {
        if (strcmp(name, shapes[i].name) == 0) {
            act.kind = (enum act_kind)i;
        }
    }
    if (act.kind == ACT_KINDS) {
        return refuse(reader, "no act is called '%s'; see sim/plan.h", name);
    }
    const struct act_shape *shape = act_shape(act.kind);
    size_t wanted =
        2u + shape->has_site + (shape->varieties > 0) + shape->has_amount;
    if (reader->count != wanted) {
        return refuse(reader, "%s takes %zu words after it, not %zu", name,
                      wanted - 2, reader->count - 2);
    }
    if (shape->has_site &&
        !read_number(reader->tokens[next++], UINT32_MAX, &site)) {
        return refuse(reader, "'%s' is no site; give its number",
                      reader->tokens[2]);
    }
    act.site = (uint32_t)site;
    if (shape->varieties > 0 &&
        !read_variety(reader, shape, reader->tokens[next++], &act.variety)) {
        return false;
    }
    if (shape->has_amount &&
        !read_number(reader->tokens[next], UINT64_C(1) << 50, &act.amount)) {
        return refuse(reader, "'%s' is no amount; give a number",
                      reader->tokens[next]);
    }
    return keep_act(reader, &act);
}

static bool read_option(struct reader *reader, bool *known)
{
    struct plan *plan = reader->plan;
    const char *name = reader->tokens[0], *value = reader->tokens[1];
    bool pair = reader->count == 2;
    uint64_t number = 0;

    *known = true;
    if (strcmp(name, "seed") == 0) {
        return (pair && read_number(value, UINT64_MAX, &plan->seed)) ||
               refuse(reader, "seed takes one number");
    }
    if (strcmp(name, "sites") == 0) {
        bool good = pair && read_number(value, PLAN_SITES_MAX, &number);
        plan->sites = (uint32_t)number;
        return (good && number > 0) ||
               refuse(reader, "sites takes a number, 1 to %u", PLAN_SITES_MAX);
    }
    if (strcmp(name, "phase-ms") == 0) {
        bool good = pair && read_number(value, 365 * DAY_MS, &number);
        plan->phase_us = number * SIM_MS;
        return good || refuse(reader, "phase-ms takes one number");
    }
    if (strcmp(name, "permutes") == 0 || strcmp(name, "rough") == 0) {
        *(name[0] == 'p' ? &plan->permutes : &plan->rough) = true;
        return reader->count == 1 ||
               refuse(reader, "%s stands alone on its line", name);
    }
    *known = false;
    return true;
}

/* Words of the line at *text; *text moves behind it. */
static bool read_words(struct reader *reader, const char **text)
{
    const char *at = *text;
    bool good = true;

    reader->count = 0;
    for (;;) {
        at += strspn(at, " \t\r");
        if (*at == '\0' || *at == '\n' || *at == '#') {
            break;
        }
        size_t length = strcspn(at, " \t\r\n#");
        if (length >= TOKEN_SIZE || reader->count == TOKENS_MAX) {
            good = refuse(reader, "too long; an act is one line of %u words",
                          TOKENS_MAX - 1);
            break;
        }
        memcpy(reader->tokens[reader->count], at, length);
        reader->tokens[reader->count++][length] = '\0';
        at += length;
    }
    at += strcspn(at, "\n");
    *text = *at == '\n' ? at + 1 : at;
    return good;
}

static bool read_line(struct reader *reader, const char **text)
{
    bool known;

    reader->line++;
    if (!read_words(reader, text)) {
        return false;
    }
    if (reader->count == 0) {
        return true;
    }
    if (reader->count == 1) {
        reader->tokens[1][0] = '\0';
    }
    return read_option(reader, &known) && (known || read_act(reader));
}

static bool sites_exist(struct reader *reader)
{
    const struct plan *plan = reader->plan;

    for (size_t i = 0; i < plan->act_count; i++) {
        if (plan->acts[i].site >= plan->sites) {
            return refuse(reader,
                          "%s at %" PRIu64 " ms names site %" PRIu32
                          " of %" PRIu32 "; raise 'sites'",
                          act_shape(plan->acts[i].kind)->name,
                          plan->acts[i].at_us / SIM_MS, plan->acts[i].site,
                          plan->sites);
        }
    }
    return true;
}

bool plan_read(struct plan *plan, const char *text, char *error,
               size_t error_size)
{
    struct reader reader = {
        .plan = plan, .error = error, .error_size = error_size};

    *plan = (struct plan){.sites = 1, .phase_us = 60 * SIM_S};
    while (*text != '\0') {
        if (!read_line(&reader, &text)) {
            plan_free(plan);
            return false;
        }
    }
    if (!sites_exist(&reader)) {
        plan_free(plan);
        return false;
    }
    plan_sort(plan);
    return true;
}

/* ---- the list of acts ---------------------------------------------------- */

/* A stable merge sort: acts of one instant stay in their order. */
static void merge_sort(struct act *acts, struct act *spare, size_t count)
{
    size_t half = count / 2, left = 0, right = half;

    if (count < 2) {
        return;
    }
    merge_sort(acts, spare, half);
    merge_sort(acts + half, spare, count - half);
    memcpy(spare, acts, count * sizeof *acts);
    for (size_t i = 0; i < count; i++) {
        bool from_left =
            right == count ||
            (left < half && spare[left].at_us <= spare[right].at_us);
        acts[i] = spare[from_left ? left++ : right++];
    }
}

void plan_sort(struct plan *plan)
{
    struct act *spare = malloc((plan->act_count + 1) * sizeof *spare);

    REQUIRE(spare != NULL);
    merge_sort(plan->acts, spare, plan->act_count);
    free(spare);
}

void plan_copy(struct plan *plan, const struct plan *from, const bool *keep)
{
    *plan = *from;
    plan->acts = malloc((from->act_count + 1) * sizeof *plan->acts);
    plan->act_count = 0;
    REQUIRE(plan->acts != NULL);
    for (size_t i = 0; i < from->act_count; i++) {
        if (keep == NULL || keep[i]) {
            plan->acts[plan->act_count++] = from->acts[i];
        }
    }
}

void plan_free(struct plan *plan)
{
    free(plan->acts);
    *plan = (struct plan){.acts = NULL};
}
