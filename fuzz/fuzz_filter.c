/* A client and an engine around the filter. What reaches the engine is read by
 * a parser of this file, and must be nothing but requests that the read-only
 * list has; nothing depends on how bytes are cut.
 *
 * First byte: 1 the client finishes; 2 no engine; 4 its idle connection is
 * closed. Third: the cuts. Then the client's bytes up to 0x00, and the engine's
 * answers: each ends in 0xff, or 0xfe (and FIN) or 0xfd (and RST). */
#include <string.h>

#include "core/filter.h"
#include "fuzz/harness.h"

#define ROOM ((size_t)1 << 20)
#define HEAD_MAX 4096u

struct record {
    uint8_t bytes[ROOM];
    size_t length;
};

struct world {
    struct filter filter;
    uint8_t *buffer;
    unsigned setup;
    struct input client, engine;
    struct record to_engine, to_client;
    uint64_t decisions; /* a hash */
    unsigned saying;    /* the engine may send up to its next mark */
    bool is_open, client_told;
    unsigned end; /* FILTER_WANTS_FINISH or _RESET */
};

static void record(struct record *record, const uint8_t *bytes, size_t length)
{
    MUST(length <= ROOM - record->length);
    if (length) {
        memcpy(record->bytes + record->length, bytes, length);
    }
    record->length += length;
}

/* ---- what may reach the engine ------------------------------------------- */

static bool starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* The path, without a version: is it one that only looks? */
static bool only_looks(const char *path)
{
    static const char *const exact[] = {
        "/_ping",  "/containers/json", "/images/json", "/info",     "/version",
        "/events", "/volumes",         "/networks",    "/system/df"};
    static const char *const groups[] = {"/containers/", "/volumes/",
                                         "/networks/", "/images/",
                                         "/distribution/"};
    const char *last = strrchr(path, '/');

    for (size_t i = 0; i < sizeof exact / sizeof *exact; i++) {
        if (strcmp(path, exact[i]) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        size_t length = strlen(groups[i]);
        if (!starts(path, groups[i])) {
            continue;
        }
        if (i == 1 || i == 2) {
            return path[length] != '\0' && last == path + length - 1;
        }
        if (last <= path + length) {
            return false;
        }
        return strcmp(last, "/json") == 0 ||
               (i == 0 &&
                memchr(path + length, '/', (size_t)(last - path) - length) ==
                    NULL &&
                (!strcmp(last, "/logs") || !strcmp(last, "/stats") ||
                 !strcmp(last, "/top")));
    }
    return false;
}

static void judge_line(char *line)
{
    char *target = strchr(line, ' ');
    MUST(target);
    *target++ = '\0';
    char *version = strchr(target, ' ');
    MUST(version && strcmp(version, " HTTP/1.1") == 0);
    target[strcspn(target, "? ")] = '\0';
    MUST(!strstr(target, "//") && !strstr(target, "/../") &&
         !strstr(target, "/./"));
    unsigned major;
    unsigned minor;
    int end = 0;
    if (sscanf(target, "/v%2u.%2u%n", &major, &minor, &end) == 2 &&
        target[end] == '/') {
        target += end;
    }
    if (strcmp(line, "HEAD") == 0) {
        MUST(strcmp(target, "/_ping") == 0);
    } else {
        MUST(strcmp(line, "GET") == 0 && only_looks(target));
    }
}

static void judge_field(const char *line)
{
    static const char *const never[] = {
        "Transfer-Encoding:", "Content-Length:", "Upgrade:", "Expect:", "TE:"};

    MUST(strchr(line, ':') && *line != ' ' && *line != '\t');
    for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
        MUST(strncasecmp(line, never[i], strlen(never[i])) != 0);
    }
}

/* Whole heads, one after the other. */
static void judge_engine(const struct record *record)
{
    char *text = malloc(record->length + 1);
    MUST(text);
    memcpy(text, record->bytes, record->length);
    text[record->length] = '\0';
    char *at = text;
    while (*at != '\0') {
        bool first = true;
        for (char *end; (end = strstr(at, "\r\n")) != at; at = end + 2) {
            MUST(end);
            *end = '\0';
            if (first) {
                judge_line(at);
            } else {
                judge_field(at);
            }
            first = false;
        }
        MUST(!first);
        at += 2;
    }
    free(text);
}

/* ---- the adapter --------------------------------------------------------- */

static void note_decision(struct world *world)
{
    struct filter_decision decision;

    if (filter_next_decision(&world->filter, &decision)) {
        MUST(decision.allowed == (decision.status == 0));
        MUST(decision.rule && decision.reason);
        input_hash(&world->decisions, decision.rule, strlen(decision.rule));
        input_hash(&world->decisions, &decision.status, sizeof decision.status);
    }
}

static bool to_engine(struct world *world)
{
    struct span span = filter_to_engine(&world->filter);
    size_t size = world->client.piece && world->client.piece < span.length
                      ? world->client.piece
                      : span.length;
    struct record *out = &world->to_engine;

    if (size == 0) {
        return false;
    }
    record(out, span.bytes, size);
    filter_sent_to_engine(&world->filter, size);
    if (filter_to_engine(&world->filter).length == 0) {
        world->saying = 1;
    }
    return true;
}

/* What the engine still had to say on this connection is lost with it, and
 * answers nothing on the next one. */
static void close_engine(struct world *world)
{
    struct input *script = &world->engine;

    MUST(world->is_open);
    while (world->saying) {
        world->saying = script->length > 0 && script->bytes[0] < 0xfd;
        input_take(script, script->length > 0);
    }
    world->is_open = false;
    filter_engine_closed(&world->filter);
}

static bool engine_link(struct world *world, unsigned wants)
{
    bool idle = (world->setup & 4) && world->is_open && !world->saying &&
                (wants & FILTER_WANTS_CLIENT);

    if ((wants & FILTER_WANTS_ENGINE_CLOSE) || idle) {
        close_engine(world);
        return true;
    }
    if (!(wants & FILTER_WANTS_ENGINE)) {
        return false;
    }
    MUST(!world->is_open);
    if (world->setup & 2) {
        filter_engine_unreachable(&world->filter, "no \"engine\"");
    } else {
        filter_engine_opened(&world->filter);
        world->is_open = true;
    }
    return true;
}

/* What the script says to one request, then its mark. */
static bool from_engine(struct world *world)
{
    struct input *script = &world->engine;
    size_t length = 0;

    if (!world->saying) {
        return false;
    }
    while (length < script->length && script->bytes[length] < 0xfd) {
        length++;
    }
    if (length > 0) {
        size_t most = script->piece ? script->piece : length;
        length = length < most ? length : most;
        uint8_t *piece = input_copy(script->bytes, length);
        size_t passed = filter_from_engine(&world->filter, piece, length);
        MUST(passed <= length);
        record(&world->to_client, piece, passed);
        free(piece);
        input_take(script, length);
        return true;
    }
    unsigned mark = script->length > 0 ? script->bytes[0] : 0xfe;
    input_take(script, script->length > 0);
    world->saying = 0;
    if (mark == 0xfe) {
        filter_engine_finished(&world->filter);
    } else if (mark == 0xfd) {
        filter_engine_failed(&world->filter);
    }
    return true;
}

static bool from_client(struct world *world, unsigned wants)
{
    struct input *client = &world->client;

    if (client->length > 0 && (wants & FILTER_WANTS_CLIENT)) {
        size_t length = input_piece(client);
        uint8_t *piece = input_copy(client->bytes, length);
        size_t taken = filter_from_client(&world->filter, piece, length);
        MUST(taken > 0 && taken <= length);
        free(piece);
        input_take(client, taken);
        note_decision(world);
        return true;
    }
    if (client->length == 0 && (world->setup & 1) && !world->client_told) {
        world->client_told = true;
        filter_client_finished(&world->filter);
        note_decision(world);
        return true;
    }
    return false;
}

static bool step(struct world *world)
{
    unsigned wants = filter_wants(&world->filter);
    struct span span = filter_to_client(&world->filter);

    if (!filter_holds_buffer(&world->filter)) {
        filter_lend(&world->filter, NULL);
        memset(world->buffer, 0xa5, 256);
        filter_lend(&world->filter, world->buffer);
    }
    if (span.length > 0) {
        record(&world->to_client, span.bytes, span.length);
        filter_sent_to_client(&world->filter, span.length);
        return true;
    }
    if (!world->end) {
        world->end = wants & (FILTER_WANTS_FINISH | FILTER_WANTS_RESET);
    }
    return engine_link(world, wants) || to_engine(world) ||
           ((wants & FILTER_WANTS_ENGINE_READ) && from_engine(world)) ||
           from_client(world, wants);
}

static void play(struct world *world, struct input input, unsigned setup)
{
    struct filter_config config;
    const uint8_t *mark =
        input.length ? memchr(input.bytes, 0, input.length) : NULL;
    size_t client = mark ? (size_t)(mark - input.bytes) : input.length;
    size_t engine = mark ? client + 1 : client;
    size_t steps = 0;

    memset(world, 0, offsetof(struct world, to_engine));
    world->to_engine.length = world->to_client.length = 0;
    world->decisions = world->saying = world->end = 0;
    world->is_open = world->client_told = false;
    world->setup = setup;
    world->client = (struct input){input.bytes, client, input.piece};
    world->engine = (struct input){input.bytes + engine, input.length - engine,
                                   input.piece};
    filter_config_default(&config);
    config.head_max = HEAD_MAX;
    world->buffer = malloc(FILTER_BUFFER_SIZE(HEAD_MAX));
    MUST(world->buffer);
    filter_init(&world->filter, &config);
    while (step(world)) {
        MUST(++steps < 4 * ROOM);
    }
    MUST(!(filter_holds_buffer(&world->filter) && world->end));
    free(world->buffer);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static struct world whole;
    static struct world cut;
    if (length < INPUT_HEAD || length > 60000) {
        return 0;
    }
    struct input input = {bytes + INPUT_HEAD, length - INPUT_HEAD, 0};
    play(&whole, input, bytes[0]);
    judge_engine(&whole.to_engine);
    input.piece = bytes[2] ? bytes[2] : 1;
    play(&cut, input, bytes[0]);
    MUST(whole.to_engine.length == cut.to_engine.length);
    MUST(memcmp(whole.to_engine.bytes, cut.to_engine.bytes,
                whole.to_engine.length) == 0);
    MUST(whole.decisions == cut.decisions);
    MUST(filter_problem(&whole.filter) == filter_problem(&cut.filter));
    if (!filter_problem(&whole.filter)) { /* else by a 502 or a reset (D-018) */
        MUST(whole.end == cut.end && whole.client.length == cut.client.length);
        MUST(whole.to_client.length == cut.to_client.length);
        MUST(memcmp(whole.to_client.bytes, cut.to_client.bytes,
                    whole.to_client.length) == 0);
    }
    return 0;
}
