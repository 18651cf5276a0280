/* rig.c: see rig.h. */
#include "core/test/rig.h"

#include <stdio.h>
#include <string.h>

#include "core/test/req.h"

/* What runs. */
struct run {
    const struct rig *rig;
    struct filter filter;
    struct outcome *out;
    size_t client_at;
    bool client_fin_told;
    size_t replied;     /* replies begun */
    const char *saying; /* what is left of the one in progress */
    enum how then;      /* after it */
    size_t request_at;  /* of the request that the engine is reading */
    bool reply_over;
};

static uint8_t buffer[FILTER_BUFFER_SIZE(FILTER_HEAD_MAX_DEFAULT)];

struct rig rig_of(const char *client, const struct reply *replies, size_t count)
{
    struct rig rig = {.client = client,
                      .replies = replies,
                      .reply_count = count,
                      .client_piece = SIZE_MAX,
                      .engine_piece = SIZE_MAX,
                      .send_piece = SIZE_MAX};

    filter_config_default(&rig.config);
    return rig;
}

void rig_begin(struct filter *filter)
{
    struct filter_config config;

    filter_config_default(&config);
    filter_init(filter, &config);
    filter_lend(filter, buffer);
}

void rig_ask(struct filter *filter)
{
    (void)filter_from_client(filter, (const uint8_t *)PING, strlen(PING));
    filter_engine_opened(filter);
    filter_sent_to_engine(filter, strlen(PING));
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The filter holds nothing across calls but what it says: whenever it says so,
 * the buffer is filled with rubbish. */
static void lend(struct run *run)
{
    if (!filter_holds_buffer(&run->filter)) {
        filter_lend(&run->filter, NULL);
        memset(buffer, 0xa5, 200);
        memset(buffer + run->rig->config.head_max, 0xa5, FILTER_ANSWER_MAX);
        filter_lend(&run->filter, buffer);
    }
}

static void note_decision(struct run *run)
{
    struct filter_decision decision;
    size_t length = strlen(run->out->log);

    if (filter_next_decision(&run->filter, &decision)) {
        snprintf(run->out->log + length, sizeof run->out->log - length,
                 "%s %u %.*s %.*s (%s)\n", decision.allowed ? "allow" : "deny",
                 decision.status, (int)decision.method.length,
                 (const char *)decision.method.bytes, (int)decision.path.length,
                 (const char *)decision.path.bytes, decision.rule);
        assert_true(strlen(decision.reason) > 0);
        assert_false(filter_next_decision(&run->filter, &decision));
    }
}

static bool step_to_client(struct run *run)
{
    struct span span = filter_to_client(&run->filter);
    size_t size = smaller(span.length, run->rig->send_piece);

    memcpy(run->out->to_client + run->out->to_client_length, span.bytes, size);
    run->out->to_client_length += size;
    filter_sent_to_client(&run->filter, size);
    return size > 0;
}

/* The engine reads: when a head is complete, it begins its next reply. */
static bool step_to_engine(struct run *run)
{
    struct span span = filter_to_engine(&run->filter);
    size_t size = smaller(span.length, run->rig->send_piece);
    struct outcome *out = run->out;

    if (size == 0) {
        return false;
    }
    memcpy(out->to_engine + out->to_engine_length, span.bytes, size);
    out->to_engine_length += size;
    out->to_engine[out->to_engine_length] = '\0';
    filter_sent_to_engine(&run->filter, size);
    if (strstr(out->to_engine + run->request_at, "\r\n\r\n") != NULL) {
        run->request_at = out->to_engine_length;
        assert_true(run->replied < run->rig->reply_count);
        run->saying = run->rig->replies[run->replied].bytes;
        run->then = run->rig->replies[run->replied].then;
        run->reply_over = false;
        run->replied++;
    }
    return true;
}

static bool step_engine_link(struct run *run, unsigned wants)
{
    if ((wants & FILTER_WANTS_ENGINE_CLOSE) != 0 ||
        (run->rig->drop_idle && run->out->engine_open &&
         (wants & FILTER_WANTS_CLIENT) != 0)) {
        assert_true(run->out->engine_open);
        run->out->engine_open = false;
        run->saying = NULL;
        filter_engine_closed(&run->filter);
        return true;
    }
    if ((wants & FILTER_WANTS_ENGINE) == 0) {
        return false;
    }
    assert_false(run->out->engine_open);
    if (run->rig->no_engine) {
        filter_engine_unreachable(
            &run->filter,
            "connect /run/\"docker\\.sock\": No such file or directory\n\x80");
    } else {
        filter_engine_opened(&run->filter);
        run->out->engine_open = true;
        run->out->connections++;
        run->out->to_engine[run->out->to_engine_length++] = '|';
        run->request_at = run->out->to_engine_length;
    }
    return true;
}

/* The engine speaks, then ends as the script has it. */
static bool step_from_engine(struct run *run)
{
    if (run->saying != NULL && *run->saying != '\0') {
        uint8_t piece[4096];
        size_t size = smaller(strlen(run->saying), sizeof piece);
        size_t passed;

        size = smaller(size, run->rig->engine_piece);
        memcpy(piece, run->saying, size);
        passed = filter_from_engine(&run->filter, piece, size);
        assert_true(passed <= size);
        memcpy(run->out->to_client + run->out->to_client_length, run->saying,
               passed);
        run->out->to_client_length += passed;
        run->saying += size;
        return true;
    }
    if (run->saying == NULL || run->then == STAYS || run->reply_over) {
        return false;
    }
    run->reply_over = true;
    if (run->then == FIN) {
        filter_engine_finished(&run->filter);
    } else {
        filter_engine_failed(&run->filter);
    }
    return true;
}

static bool step_from_client(struct run *run, unsigned wants)
{
    const struct rig *rig = run->rig;
    size_t length =
        rig->client_length > 0 ? rig->client_length : strlen(rig->client);
    size_t left = length - run->client_at;

    if (left > 0 && (wants & FILTER_WANTS_CLIENT) != 0) {
        size_t size = smaller(left, rig->client_piece);
        uint8_t piece[70000];
        size_t taken;

        size = smaller(size, sizeof piece);
        memcpy(piece, rig->client + run->client_at, size);
        taken = filter_from_client(&run->filter, piece, size);
        assert_true(taken > 0 && taken <= size);
        memset(piece, 0, size);
        run->client_at += taken;
        note_decision(run);
        return true;
    }
    if (left == 0 && rig->client_fin && !run->client_fin_told) {
        run->client_fin_told = true;
        filter_client_finished(&run->filter);
        note_decision(run);
        return true;
    }
    return false;
}

static bool step(struct run *run)
{
    unsigned wants = filter_wants(&run->filter);

    lend(run);
    if (filter_to_client(&run->filter).length > 0) {
        return step_to_client(run);
    }
    if ((wants & FILTER_WANTS_RESET) != 0) {
        run->out->end = RESET;
    } else if ((wants & FILTER_WANTS_FINISH) != 0) {
        run->out->end = FINISHED;
    }
    if ((wants & FILTER_WANTS_ENGINE_FINISH) != 0 &&
        filter_to_engine(&run->filter).length == 0) {
        run->out->engine_half_closed = true;
    }
    if ((wants & FILTER_AWAITS_RESPONSE) != 0 && run->rig->time_out &&
        run->out->engine_open && filter_to_engine(&run->filter).length == 0) {
        filter_engine_timed_out(&run->filter);
        return true;
    }
    if (run->rig->client_first && step_from_client(run, wants)) {
        return true;
    }
    return step_engine_link(run, wants) || step_to_engine(run) ||
           ((wants & FILTER_WANTS_ENGINE_READ) != 0 && step_from_engine(run)) ||
           step_from_client(run, wants);
}

const struct outcome *rig_play(const struct rig *rig)
{
    static struct outcome out;
    static struct run run;
    unsigned steps = 0;

    memset(&out, 0, sizeof out);
    memset(&run, 0, sizeof run);
    run.rig = rig;
    run.out = &out;
    filter_init(&run.filter, &rig->config);
    while (step(&run)) {
        assert_true(++steps < 1000000);
    }
    assert_false(filter_holds_buffer(&run.filter) && out.end != OPEN);
    out.client_left =
        (rig->client_length > 0 ? rig->client_length : strlen(rig->client)) -
        run.client_at;
    return &out;
}

void rig_check_equal(const struct outcome *a, const struct outcome *b)
{
    assert_int_equal(a->to_engine_length, b->to_engine_length);
    assert_memory_equal(a->to_engine, b->to_engine, a->to_engine_length);
    assert_int_equal(a->to_client_length, b->to_client_length);
    assert_memory_equal(a->to_client, b->to_client, a->to_client_length);
    assert_string_equal(a->log, b->log);
    assert_int_equal(a->connections, b->connections);
    assert_int_equal(a->end, b->end);
    assert_int_equal(a->engine_open, b->engine_open);
    assert_int_equal(a->client_left, b->client_left);
}

const struct outcome *rig_play_cut(const struct rig *rig)
{
    static struct outcome whole;

    whole = *rig_play(rig);
    for (size_t piece = 1; piece <= 40; piece++) {
        struct rig cut = *rig;

        cut.client_piece = piece;
        rig_check_equal(&whole, rig_play(&cut));
        cut.engine_piece = piece;
        rig_check_equal(&whole, rig_play(&cut));
        cut.send_piece = piece;
        rig_check_equal(&whole, rig_play(&cut));
    }
    return &whole;
}

void rig_check_client(const struct outcome *out, const char *expected)
{
    assert_int_equal(out->to_client_length, strlen(expected));
    assert_memory_equal(out->to_client, expected, out->to_client_length);
}

void rig_check_engine(const struct outcome *out, const char *expected)
{
    assert_string_equal(out->to_engine, expected);
}

bool rig_begins_with(const struct outcome *out, const char *text)
{
    return strncmp(out->to_client, text, strlen(text)) == 0;
}
