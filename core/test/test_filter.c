/* test_filter.c: a filtered connection from end to end (PO-06, X19-X21, T3-T5,
 * T12, T14, T22). */
#include "core/test/req.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/filter.h"
#include "core/test/policy_corpus.h"

/* ---- a client and an engine by script ------------------------------------ */

enum how { STAYS, FIN, RST };

/* What the engine says to a request, and how its connection ends after. */
struct reply {
    const char *bytes;
    enum how then;
};

enum end { OPEN, FINISHED, RESET };

struct outcome {
    char to_engine[200000]; /* of all connections, with | where one opens */
    size_t to_engine_length;
    char to_client[200000];
    size_t to_client_length;
    char log[4000]; /* of decisions */
    unsigned connections;
    enum end end;
    bool engine_open;
    bool engine_half_closed; /* some connection was, after its request */
    size_t client_left;      /* bytes that the filter did not take */
};

struct rig {
    struct filter_config config;
    const char *client;
    size_t client_length; /* 0: it is a string */
    bool client_fin;
    bool client_first; /* it acts whenever it can, not when all else waits */
    const struct reply *replies; /* to the engine's requests, in order */
    size_t reply_count;
    bool no_engine;
    bool time_out; /* what awaits a response times out */
    bool drop_idle;
    /* sizes of the pieces in which bytes move */
    size_t client_piece;
    size_t engine_piece;
    size_t send_piece;
};

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

static struct rig rig_of(const char *client, const struct reply *replies,
                         size_t count)
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
    char line[400];

    if (filter_next_decision(&run->filter, &decision)) {
        snprintf(line, sizeof line, "%s %u %.*s %.*s (%s)\n",
                 decision.allowed ? "allow" : "deny", decision.status,
                 (int)decision.method.length,
                 (const char *)decision.method.bytes, (int)decision.path.length,
                 (const char *)decision.path.bytes, decision.rule);
        strncat(run->out->log, line,
                sizeof run->out->log - strlen(run->out->log) - 1);
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
            "connect /run/\"docker\".sock: No such file or directory\n");
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
        filter_to_engine(&run->filter).length == 0) {
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

static const struct outcome *play(const struct rig *rig)
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

static void check_equal(const struct outcome *a, const struct outcome *b)
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

/* Play the rig with pieces of every size up to 40 for each direction, and check
 * that the outcome is the same. Returns it. */
static const struct outcome *play_cut(const struct rig *rig)
{
    static struct outcome whole;

    whole = *play(rig);
    for (size_t piece = 1; piece <= 40; piece++) {
        struct rig cut = *rig;

        cut.client_piece = piece;
        check_equal(&whole, play(&cut));
        cut.engine_piece = piece;
        check_equal(&whole, play(&cut));
        cut.send_piece = piece;
        check_equal(&whole, play(&cut));
    }
    return &whole;
}

static void check_client(const struct outcome *out, const char *expected)
{
    assert_int_equal(out->to_client_length, strlen(expected));
    assert_memory_equal(out->to_client, expected, out->to_client_length);
}

static void check_engine(const struct outcome *out, const char *expected)
{
    assert_string_equal(out->to_engine, expected);
}

static bool begins_with(const struct outcome *out, const char *text)
{
    return strncmp(out->to_client, text, strlen(text)) == 0;
}

#define REPLIES(...)                     \
    (const struct reply[]){__VA_ARGS__}, \
        sizeof((const struct reply[]){__VA_ARGS__}) / sizeof(struct reply)
#define NO_REPLIES NULL, 0

#define PING "GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n"
#define INFO "GET /info HTTP/1.1\r\nHost: x\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"
#define JSON                                                \
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" \
    "5\r\n{\"a\":\r\n2\r\n1}\r\n0\r\n\r\n"

/* ---- forwarding ---------------------------------------------------------- */

static void a_request_is_rewritten_and_forwarded(void **state)
{
    struct rig rig = rig_of("GET /%69nfo?x=%2f HTTP/1.1\r\n"
                            "Connection: Upgrade, X-Mine\r\nHost: docker\r\n"
                            "Upgrade: h2c\r\nX-Mine: 1\r\nX-Kept:  2 \r\n\r\n",
                            REPLIES({OK, STAYS}));
    const struct outcome *out = play_cut(&rig);

    (void)state;
    check_engine(out, "|GET /info?x=%2f HTTP/1.1\r\nHost: docker\r\n"
                      "X-Kept: 2\r\n\r\n");
    check_client(out, OK);
    assert_int_equal(out->end, OPEN);
    assert_string_equal(out->log, "allow 0 GET /info (GET /info)\n");
}

static void many_requests_share_both_connections(void **state)
{
    struct rig rig = rig_of(PING INFO "HEAD /_ping HTTP/1.1\r\nHost: x\r\n\r\n",
                            REPLIES({OK, STAYS}, {JSON, STAYS},
                                    {"HTTP/1.1 200 OK\r\n\r\n", STAYS}));
    const struct outcome *out = play_cut(&rig);

    (void)state;
    check_engine(out, "|" PING INFO "HEAD /_ping HTTP/1.1\r\nHost: x\r\n\r\n");
    check_client(out, OK JSON "HTTP/1.1 200 OK\r\n\r\n");
    assert_int_equal(out->connections, 1);
    assert_true(out->engine_open);
    assert_int_equal(out->end, OPEN);
}

static void an_idle_engine_may_be_closed_and_is_opened_again(void **state)
{
    struct rig rig = rig_of(PING PING, REPLIES({OK, STAYS}, {OK, STAYS}));

    (void)state;
    rig.drop_idle = true;
    const struct outcome *out = play_cut(&rig);
    check_engine(out, "|" PING "|" PING);
    check_client(out, OK OK);
    assert_false(out->engine_open);
    assert_int_equal(out->end, OPEN);
}

static void an_idle_client_costs_no_engine_connection(void **state)
{
    struct filter filter;
    struct filter_config config;

    (void)state;
    filter_config_default(&config);
    filter_init(&filter, &config);
    assert_int_equal(filter_wants(&filter), FILTER_WANTS_CLIENT);
    assert_false(filter_holds_buffer(&filter));
}

/* The engine does not close what it answers 'close' to before it said so. */
static void an_engine_that_announces_its_end_ends_the_client_too(void **state)
{
    static const char response[] =
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nOK";
    struct rig rig = rig_of(PING PING, REPLIES({response, FIN}));
    const struct outcome *out = play_cut(&rig);

    (void)state;
    check_client(out, response);
    check_engine(out, "|" PING);
    assert_int_equal(out->end, FINISHED);
    assert_int_equal(out->client_left, 0); /* swallowed */
}

static void an_engine_that_just_closes_is_opened_again(void **state)
{
    struct rig rig = rig_of(PING INFO, REPLIES({OK, FIN}, {JSON, RST}));
    const struct outcome *out = play(&rig);

    (void)state;
    check_engine(out, "|" PING "|" INFO);
    check_client(out, OK JSON);
    assert_int_equal(out->end, OPEN);
    assert_false(out->engine_open);
}

/* The engine closes the idle connection while the next request is on its way
 * into it. */
static void a_request_that_met_a_dead_connection_is_sent_again(void **state)
{
    struct rig rig =
        rig_of(PING INFO, REPLIES({OK, STAYS}, {"", RST}, {JSON, STAYS}));
    const struct outcome *out = play_cut(&rig);

    (void)state;
    check_engine(out, "|" PING INFO "|" INFO);
    check_client(out, OK JSON);
    assert_int_equal(out->connections, 2);
}

static void it_is_sent_again_only_once(void **state)
{
    struct rig rig =
        rig_of(PING INFO, REPLIES({OK, STAYS}, {"", FIN}, {"", FIN}));
    const struct outcome *out = play_cut(&rig);

    (void)state;
    check_engine(out, "|" PING INFO "|" INFO);
    assert_true(begins_with(out, OK "HTTP/1.1 502 Bad Gateway\r\n"));
    assert_non_null(strstr(out->to_client, "closed without an answer"));
    assert_int_equal(out->end, FINISHED);
}

static void a_fresh_connection_that_dies_is_not_tried_again(void **state)
{
    struct rig rig = rig_of(PING, REPLIES({"", RST}));
    const struct outcome *out = play_cut(&rig);

    (void)state;
    check_engine(out, "|" PING);
    assert_true(begins_with(out, "HTTP/1.1 502 Bad Gateway\r\n"));
}

static void a_client_that_asks_for_a_close_gets_it(void **state)
{
    struct rig rig = rig_of("GET /_ping HTTP/1.1\r\nHost: x\r\n"
                            "Connection: close\r\n\r\n" PING,
                            REPLIES({OK, STAYS}));
    const struct outcome *out = play_cut(&rig);

    (void)state;
    check_engine(out, "|GET /_ping HTTP/1.1\r\nHost: x\r\n"
                      "Connection: close\r\n\r\n");
    check_client(out, OK);
    assert_int_equal(out->end, FINISHED);
    assert_false(out->engine_open);
}

/* ---- denials ------------------------------------------------------------- */

static void a_denial_names_request_policy_and_remedy(void **state)
{
    static const char message[] =
        "{\"message\":\"orthrus: the read-only policy does not allow POST "
        "/v1.41/containers/x/pause; to allow everything, start the agent with: "
        "orthrus-agent --policy allow-all\"}\n";
    char expected[600];
    struct rig rig = rig_of("POST /v1.41/containers/%78/pause?t=1 HTTP/1.1\r\n"
                            "Host: x\r\n\r\n" PING,
                            REPLIES({OK, STAYS}));
    const struct outcome *out = play_cut(&rig);

    (void)state;
    snprintf(expected, sizeof expected,
             "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\n"
             "Content-Length: %zu\r\n\r\n%s%s",
             strlen(message), message, OK);
    check_client(out, expected);
    check_engine(out, "|" PING);
    assert_int_equal(out->end, OPEN);
    assert_string_equal(out->log,
                        "deny 403 POST /v1.41/containers/x/pause (default)\n"
                        "allow 0 GET /_ping (GET /_ping)\n");
}

static void a_denied_head_gets_no_body(void **state)
{
    struct rig rig = rig_of("HEAD /info HTTP/1.1\r\nHost: x\r\n\r\n" PING,
                            REPLIES({OK, STAYS}));
    const struct outcome *out = play_cut(&rig);
    const char *end = strstr(out->to_client, "\r\n\r\n");

    (void)state;
    assert_true(begins_with(out, "HTTP/1.1 403 Forbidden\r\n"));
    assert_string_equal(end + 4, OK);
}

static void a_denied_request_with_a_body_is_the_last(void **state)
{
    static const char *const framings[] = {
        "Content-Length: 30\r\n\r\n" PING,
        "Transfer-Encoding: chunked\r\n\r\n1e\r\n" PING,
        "Content-Length: 30\r\nExpect: 100-continue\r\n\r\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof framings / sizeof *framings; i++) {
        char client[300] = "POST /containers/create HTTP/1.1\r\nHost: x\r\n";
        struct rig rig = rig_of(strcat(client, framings[i]), NO_REPLIES);
        const struct outcome *out = play_cut(&rig);

        assert_true(begins_with(out, "HTTP/1.1 403 Forbidden\r\n"));
        assert_non_null(strstr(out->to_client, "\r\nConnection: close\r\n"));
        assert_int_equal(out->end, FINISHED);
        assert_int_equal(out->client_left, 0);
        assert_int_equal(out->connections, 0);
    }
}

static void a_long_path_is_cut_in_the_answer(void **state)
{
    char client[2000] = "GET /";
    struct rig rig = rig_of(client, NO_REPLIES);
    const struct outcome *out;

    (void)state;
    memset(client + 5, 'a', 1000);
    strcpy(client + 1005, " HTTP/1.1\r\nHost: x\r\n\r\n");
    out = play(&rig);
    assert_true(begins_with(out, "HTTP/1.1 403 Forbidden\r\n"));
    assert_non_null(strstr(out->to_client, "aaaa...; to allow"));
    assert_true(out->to_client_length < FILTER_ANSWER_MAX);
}

static void the_whole_corpus_is_decided_as_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof policy_corpus / sizeof *policy_corpus; i++) {
        const struct policy_case *one = &policy_corpus[i];
        bool head = strcmp(one->method, "HEAD") == 0;
        char client[500];
        char engine[500] = "";
        struct rig rig = rig_of(
            client, REPLIES({head ? "HTTP/1.1 200 OK\r\n\r\n" : OK, STAYS}));
        const struct outcome *out;

        snprintf(client, sizeof client, "%s %s HTTP/1.1\r\nHost: x\r\n\r\n",
                 one->method, one->target);
        if (one->verdict == ALLOWED) {
            snprintf(engine, sizeof engine,
                     "|%s %s HTTP/1.1\r\nHost: x\r\n\r\n", one->method,
                     one->forwarded != NULL ? one->forwarded : one->target);
        }
        out = play(&rig);
        check_engine(out, engine);
        assert_true(begins_with(out, one->verdict == ALLOWED ? "HTTP/1.1 200 "
                                     : one->verdict == DENIED
                                         ? "HTTP/1.1 403 "
                                         : "HTTP/1.1 400 "));
        assert_int_equal(out->end, one->verdict == REFUSED ? FINISHED : OPEN);
    }
}

/* ---- refusals ------------------------------------------------------------ */

/* Engines answer these, one way or the other; each hides a second request, or
 * is read differently by another parser. All are 400, and nothing is
 * forwarded. */
static void lenient_engines_get_nothing_of_this(void **state)
{
#define HIDDEN "POST /containers/x/pause HTTP/1.1\r\nHost: x\r\n\r\n"
    static const char *const heads[] = {
        /* accepted leniently */
        "GET /_ping HTTP/1.1\nHost: x\n\n" HIDDEN,
        "GET /_ping HTTP/1.1\r\nHost: x\n\r\n" HIDDEN,
        "GET /_ping HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n" HIDDEN,
        "POST /_ping HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n chunked\r\n"
        "\r\n0\r\n\r\n" HIDDEN,
        "GET /_ping HTTP/1.1\r\nHost:\tx\r\n\r\n" HIDDEN,
        "POST /_ping HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: CHUNKED\r\n\r\n"
        "0\r\n\r\n" HIDDEN,
        "POST /_ping HTTP/1.1\r\nHost: x\r\nContent-Length: 02\r\n\r\nab",
        "POST /_ping HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
        "Content-Length: 2\r\n\r\nab" HIDDEN,
        "GET /_ping HTTP/1.2\r\nHost: x\r\n\r\n" HIDDEN,
        "GET http://x/_ping HTTP/1.1\r\nHost: x\r\n\r\n" HIDDEN,
        /* both framings */
        "POST /_ping HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n"
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" HIDDEN,
        "GET /_ping HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        "Content-Length: 60\r\n\r\n0\r\n\r\n" HIDDEN,
        /* a body where none is taken */
        "GET /_ping HTTP/1.1\r\nHost: x\r\nContent-Length: 54\r\n\r\n" HIDDEN,
        "GET /_ping HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        "0\r\n\r\n" HIDDEN,
        /* refused by engines as well */
        "POST /_ping HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked"
        "\r\n\r\n" HIDDEN,
        "POST /_ping HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        "Transfer-Encoding: chunked\r\n\r\n" HIDDEN,
        "POST /_ping HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
        "xchunked\r\n\r\n",
        "POST /_ping HTTP/1.1\r\nHost: x\r\nContent-Length: +2\r\n\r\nab",
        "POST /_ping HTTP/1.1\r\nHost: x\r\nContent-Length: 0x2\r\n\r\nab",
        "POST /_ping HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
        "Content-Length: 3\r\n\r\nabc",
        "POST /_ping HTTP/1.1\r\nHost: x\r\n"
        "Content-Length: 18446744073709551617\r\n\r\na",
        "GET /_ping HTTP/1.1\r\nHost : x\r\n\r\n" HIDDEN,
        "GET /_ping HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n" HIDDEN,
        "GET /_ping HTTP/1.1\r\n\r\n" HIDDEN,
        "GET /_ping HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n" HIDDEN,
        "\r\nGET /_ping HTTP/1.1\r\nHost: x\r\n\r\n" HIDDEN,
        "GET\t/_ping HTTP/1.1\r\nHost: x\r\n\r\n" HIDDEN,
        "GET  /_ping HTTP/1.1\r\nHost: x\r\n\r\n" HIDDEN,
        "GET /_ping\r\n\r\n" HIDDEN,
    };

    (void)state;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        struct rig rig = rig_of(heads[i], NO_REPLIES);
        const struct outcome *out = play_cut(&rig);

        assert_true(begins_with(out, "HTTP/1.1 400 Bad Request\r\n"));
        assert_non_null(strstr(out->to_client, "\r\nConnection: close\r\n"));
        assert_non_null(
            strstr(out->to_client, "{\"message\":\"orthrus refuses this"));
        assert_null(strstr(out->to_client + 1, "HTTP/1.1 4"));
        check_engine(out, "");
        assert_int_equal(out->end, FINISHED);
        assert_int_equal(out->client_left, 0);
    }
}

/* X20, T22: an engine ignores Upgrade here and executes what follows. So the
 * filter never stops looking. */
static void an_upgrade_opens_no_way_past_the_filter(void **state)
{
    static const char *const upgrades[] = {"tcp", "h2c", "websocket"};

    (void)state;
    for (size_t i = 0; i < sizeof upgrades / sizeof *upgrades; i++) {
        char client[400];
        struct rig rig = rig_of(client, REPLIES({OK, STAYS}));
        const struct outcome *out;

        snprintf(client, sizeof client,
                 "GET /_ping HTTP/1.1\r\nHost: x\r\nUpgrade: %s\r\n"
                 "Connection: Upgrade\r\n\r\n" HIDDEN,
                 upgrades[i]);
        out = play_cut(&rig);
        check_engine(out, "|" PING);
        assert_true(begins_with(out, OK "HTTP/1.1 403 Forbidden\r\n"));
    }
}

static void the_hidden_request_of_a_hijack_is_decided_too(void **state)
{
    struct rig rig = rig_of("POST /exec/none/start HTTP/1.1\r\nHost: x\r\n"
                            "Upgrade: tcp\r\n\r\n" HIDDEN,
                            NO_REPLIES);
    const struct outcome *out = play_cut(&rig);

    (void)state;
    check_engine(out, "");
    assert_string_equal(out->log,
                        "deny 403 POST /exec/none/start (default)\n"
                        "deny 403 POST /containers/x/pause (default)\n");
}

static void an_expectation_that_cannot_be_met_is_417(void **state)
{
    struct rig rig = rig_of("GET /_ping HTTP/1.1\r\nHost: x\r\n"
                            "Expect: 100-continue\r\n\r\n",
                            NO_REPLIES);
    const struct outcome *out = play_cut(&rig);

    (void)state;
    assert_true(begins_with(out, "HTTP/1.1 417 Expectation Failed\r\n"));
    assert_string_equal(out->log, "deny 417   (HTTP_EXPECTATION)\n");
}

/* A head of `length` bytes, and what comes of it. */
static const struct outcome *play_head(size_t length, size_t head_max,
                                       size_t piece)
{
    static char client[70000];
    static const struct reply replies[] = {{OK, STAYS}};
    static const char front[] = "GET /_ping HTTP/1.1\r\nHost: x\r\nX-R: ";
    struct rig rig = rig_of(client, replies, 1);

    rig.config.head_max = head_max;
    rig.client_piece = piece;
    memset(client, 'a', length);
    memcpy(client, front, sizeof front - 1);
    memcpy(client + length - 4, "\r\n\r\n", 5);
    return play(&rig);
}

static void heads_up_to_64_kib_pass_and_larger_ones_are_431(void **state)
{
    static const size_t pieces[] = {SIZE_MAX, 60000, 1000, 7};

    (void)state;
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        const struct outcome *out = play_head(65535, 65536, pieces[i]);

        check_client(out, OK);
        assert_int_equal(out->to_engine_length, 1 + 65535);
        out = play_head(65536, 65536, pieces[i]);
        check_client(out, OK);
        assert_int_equal(out->to_engine_length, 1 + 65536);
        out = play_head(65537, 65536, pieces[i]);
        assert_true(begins_with(
            out, "HTTP/1.1 431 Request Header Fields Too Large\r\n"));
        assert_int_equal(out->to_engine_length, 0);
        assert_int_equal(out->end, FINISHED);

        check_client(play_head(1024, 1024, pieces[i]), OK);
        assert_true(
            begins_with(play_head(1025, 1024, pieces[i]), "HTTP/1.1 431 "));
    }
}

/* ---- half-close ---------------------------------------------------------- */

static void the_clients_end_follows_its_last_request(void **state)
{
    struct rig rig = rig_of(PING INFO, REPLIES({OK, STAYS}, {JSON, STAYS}));
    const struct outcome *out;

    (void)state;
    rig.client_fin = true;
    rig.client_first = true;
    out = play_cut(&rig);
    check_engine(out, "|" PING INFO);
    check_client(out, OK JSON);
    assert_true(out->engine_half_closed);
    assert_int_equal(out->end, FINISHED);
    assert_false(out->engine_open);
}

static void it_is_never_told_before_the_request_is_sent(void **state)
{
    struct filter filter;
    struct filter_config config;

    (void)state;
    filter_config_default(&config);
    filter_init(&filter, &config);
    filter_lend(&filter, buffer);
    assert_int_equal(
        filter_from_client(&filter, (const uint8_t *)PING, strlen(PING)),
        strlen(PING));
    filter_client_finished(&filter);
    assert_int_equal(filter_wants(&filter),
                     FILTER_WANTS_ENGINE | FILTER_AWAITS_RESPONSE);
    filter_engine_opened(&filter);
    assert_int_equal(filter_to_engine(&filter).length, strlen(PING));
    filter_sent_to_engine(&filter, strlen(PING) - 1);
    assert_int_equal(filter_to_engine(&filter).length, 1);
    filter_sent_to_engine(&filter, 1);
    assert_int_equal(filter_to_engine(&filter).length, 0);
    assert_int_equal(filter_wants(&filter), FILTER_WANTS_ENGINE_READ |
                                                FILTER_WANTS_ENGINE_FINISH |
                                                FILTER_AWAITS_RESPONSE);
}

static void an_idle_clients_end_ends_all(void **state)
{
    static const char *const clients[] = {"", PING};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct rig rig = rig_of(clients[i], REPLIES({OK, STAYS}));
        const struct outcome *out;

        rig.client_fin = true;
        out = play(&rig);
        assert_int_equal(out->end, FINISHED);
        assert_false(out->engine_open);
    }
}

static void an_end_inside_a_head_is_answered(void **state)
{
    static const char head[] = PING;

    (void)state;
    for (size_t length = 1; length < strlen(head); length++) {
        struct rig rig = rig_of(head, NO_REPLIES);
        const struct outcome *out;

        rig.client_length = length;
        rig.client_fin = true;
        out = play(&rig);
        assert_true(begins_with(out, "HTTP/1.1 400 Bad Request\r\n"));
        assert_int_equal(out->end, FINISHED);
        check_engine(out, "");
        assert_string_equal(out->log, "deny 400   (HTTP_HEAD_CUT)\n");
    }
}

static void an_end_while_an_answer_goes_out_waits_for_it(void **state)
{
    struct rig rig = rig_of("GET / HTTP/1.1\r\nHost: x\r\n\r\n", NO_REPLIES);
    const struct outcome *out;

    (void)state;
    rig.client_fin = true;
    out = play_cut(&rig);
    assert_true(begins_with(out, "HTTP/1.1 403 Forbidden\r\n"));
    assert_int_equal(out->end, FINISHED);

    /* reported while the answer is still here */
    struct filter filter;
    filter_init(&filter, &rig.config);
    filter_lend(&filter, buffer);
    (void)filter_from_client(&filter, (const uint8_t *)rig.client,
                             strlen(rig.client));
    filter_client_finished(&filter);
    assert_int_equal(filter_wants(&filter), 0);
    filter_sent_to_client(&filter, filter_to_client(&filter).length);
    assert_int_equal(filter_wants(&filter), FILTER_WANTS_FINISH);
}

/* ---- responses ----------------------------------------------------------- */

/* T4: on one connection, so that a body read too much or too little would be
 * seen in what follows. */
static void every_framing_is_followed_to_its_end(void **state)
{
    static const char *const gets[] = {
        OK,
        JSON,
        "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nabcde",
        "HTTP/1.1 204 No Content\r\nContent-Length: 63\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 63\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        "1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n"
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n!",
    };

    (void)state;
    for (size_t i = 0; i < sizeof gets / sizeof *gets; i++) {
        struct rig rig =
            rig_of(INFO PING, REPLIES({gets[i], STAYS}, {OK, STAYS}));
        char expected[600];

        snprintf(expected, sizeof expected, "%s%s", gets[i], OK);
        check_client(play_cut(&rig), expected);
    }
}

static void the_answer_to_head_has_no_body_whatever_it_says(void **state)
{
    static const char *const heads[] = {
        "HTTP/1.1 404 Not Found\r\nContent-Length: 63\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        struct rig rig = rig_of("HEAD /_ping HTTP/1.1\r\nHost: x\r\n\r\n" PING,
                                REPLIES({heads[i], STAYS}, {OK, STAYS}));
        char expected[300];

        snprintf(expected, sizeof expected, "%s%s", heads[i], OK);
        check_client(play_cut(&rig), expected);
    }
}

static void a_body_until_close_ends_the_connection(void **state)
{
    static const char stream[] =
        "HTTP/1.1 200 OK\r\n"
        "Content-Type: application/vnd.docker.raw-stream\r\n\r\nsome bytes";
    struct rig rig = rig_of(PING HIDDEN, REPLIES({stream, FIN}));
    const struct outcome *out = play_cut(&rig);

    (void)state;
    check_client(out, stream);
    check_engine(out, "|" PING); /* what follows never reaches it: T22 */
    assert_int_equal(out->end, FINISHED);
}

static void a_switch_of_protocols_is_a_failure(void **state)
{
    static const char head[] = "HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\n";
    struct rig rig = rig_of(PING HIDDEN, REPLIES({head, STAYS}));
    const struct outcome *out = play(&rig);

    (void)state;
    assert_true(begins_with(out, "HTTP/1.1 502 Bad Gateway\r\n"));
    assert_non_null(strstr(out->to_client, "switches protocols"));
    check_engine(out, "|" PING);
    assert_int_equal(out->end, FINISHED);
    assert_false(out->engine_open);

    /* a part of it went out: only a reset is left */
    rig.engine_piece = 30;
    out = play(&rig);
    assert_int_equal(out->to_client_length, 30);
    assert_int_equal(out->end, RESET);
}

static void responses_that_make_no_sense_are_502_or_a_reset(void **state)
{
    static const char *const heads[] = {
        "HTTP/1.0 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 1\n\nx",
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        struct rig rig = rig_of(PING PING, REPLIES({heads[i], STAYS}));
        const struct outcome *out = play(&rig);

        assert_true(begins_with(out, "HTTP/1.1 502 Bad Gateway\r\n"));
        assert_int_equal(out->end, FINISHED);
        for (size_t piece = 1; piece < strlen(heads[i]); piece++) {
            rig.engine_piece = piece;
            out = play(&rig);
            assert_int_equal(
                out->end, begins_with(out, "HTTP/1.1 502 ") ? FINISHED : RESET);
            check_engine(out, "|" PING);
        }
    }
}

static void a_response_head_without_end_is_given_up(void **state)
{
    static char head[3000] = "HTTP/1.1 200 OK\r\nX: ";
    struct rig rig = rig_of(PING, REPLIES({head, STAYS}));
    const struct outcome *out;

    (void)state;
    memset(head + 20, 'a', 2000);
    rig.config.head_max = 1024;
    out = play(&rig);
    assert_true(begins_with(out, "HTTP/1.1 502 Bad Gateway\r\n"));
    assert_non_null(strstr(out->to_client, "the head is too large"));
    rig.engine_piece = 100;
    out = play(&rig);
    assert_int_equal(out->end, RESET);
    assert_int_equal(out->to_client_length, 1000);
}

static void chunks_that_make_no_sense_end_in_a_reset(void **state)
{
    static const char response[] =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        "5\nhello\n0\n\n";
    struct rig rig = rig_of(PING PING, REPLIES({response, STAYS}));
    const struct outcome *out = play_cut(&rig);

    (void)state;
    assert_int_equal(out->end, RESET);
    assert_false(out->engine_open);
}

static void what_follows_a_response_is_not_let_through(void **state)
{
    static const char response[] = OK "HTTP/1.1 200 OK\r\n"
                                      "Content-Length: 4\r\n\r\nevil";
    struct rig rig = rig_of(PING PING, REPLIES({response, STAYS}, {OK, STAYS}));
    const struct outcome *out = play(&rig);

    (void)state;
    check_client(out, OK OK);
    check_engine(out, "|" PING "|" PING); /* on a connection of its own */

    /* while nothing is asked */
    rig = rig_of(PING, REPLIES({response, STAYS}));
    rig.engine_piece = strlen(OK);
    out = play(&rig);
    check_client(out, OK);
    assert_false(out->engine_open);
    assert_int_equal(out->end, OPEN);
}

/* The engine answers, and closes, before it has read the whole request. */
static void an_early_response_is_let_through_and_is_the_last(void **state)
{
    static const char early[] =
        "HTTP/1.1 431 Too Large\r\nContent-Length: 2\r\n\r\nno";
    struct filter filter;
    struct filter_config config;

    (void)state;
    filter_config_default(&config);
    filter_init(&filter, &config);
    filter_lend(&filter, buffer);
    (void)filter_from_client(&filter, (const uint8_t *)PING, strlen(PING));
    filter_engine_opened(&filter);
    filter_sent_to_engine(&filter, 5);
    assert_int_equal(filter_from_engine(&filter, (const uint8_t *)early, 10),
                     10);
    assert_int_equal(filter_to_engine(&filter).length, 0);
    assert_int_equal(filter_from_engine(&filter, (const uint8_t *)early + 10,
                                        strlen(early) - 10),
                     strlen(early) - 10);
    assert_int_equal(filter_wants(&filter), FILTER_WANTS_FINISH |
                                                FILTER_WANTS_CLIENT |
                                                FILTER_WANTS_ENGINE_CLOSE);
}

/* ---- the engine dies ----------------------------------------------------- */

/* Cut each response at each byte, by FIN and by RST. What the client sees ends
 * well only if the response is whole, or was to last until the close, which
 * came well. */
static void a_truncated_response_never_looks_whole(void **state)
{
    static const struct {
        const char *bytes;
        bool until_close;
    } responses[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123456789", false},
        {JSON, false},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
         "a\r\n0123456789\r\n0\r\nX: y\r\n\r\n",
         false},
        {"HTTP/1.1 100 Continue\r\n\r\n" OK, false},
        {"HTTP/1.1 200 OK\r\nX: y\r\n\r\nuntil the end", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof responses / sizeof *responses; i++) {
        const char *bytes = responses[i].bytes;
        size_t length = strlen(bytes);
        size_t head = (size_t)(strstr(bytes, "\r\n\r\n") - bytes) + 4;

        for (size_t cut = 0; cut < length; cut++) {
            for (int how = FIN; how <= RST; how++) {
                for (size_t piece = 1; piece <= length; piece += 12) {
                    char part[300] = "";
                    struct rig rig =
                        rig_of(INFO PING, REPLIES({part, (enum how)how}));
                    const struct outcome *out;
                    bool well;

                    memcpy(part, bytes, cut);
                    rig.engine_piece = piece;
                    out = play(&rig);
                    well =
                        responses[i].until_close && how == FIN && cut >= head;
                    check_engine(out, "|" INFO);
                    assert_memory_equal(out->to_client, part, cut);
                    if (out->to_client_length > cut) {
                        /* nothing of the final head had gone out */
                        assert_true(cut == 0 || cut == 25);
                        assert_memory_equal(out->to_client + cut,
                                            "HTTP/1.1 502 ", 13);
                        assert_int_equal(out->end, FINISHED);
                    } else {
                        assert_int_equal(out->end, well ? FINISHED : RESET);
                    }
                }
            }
        }
    }
}

static void an_engine_that_cannot_be_reached_is_502(void **state)
{
    static const char message[] =
        "{\"message\":\"orthrus: cannot reach the Docker engine: connect "
        "/run/\\\"docker\\\".sock: No such file or directory?\"}\n";
    struct rig rig = rig_of(PING PING, NO_REPLIES);
    const struct outcome *out;

    (void)state;
    rig.no_engine = true;
    out = play_cut(&rig);
    assert_true(begins_with(out, "HTTP/1.1 502 Bad Gateway\r\n"));
    assert_non_null(strstr(out->to_client, "\r\nConnection: close\r\n"));
    assert_string_equal(strstr(out->to_client, "{"), message);
    assert_int_equal(out->end, FINISHED);
}

static void an_engine_that_does_not_answer_is_504(void **state)
{
    struct rig rig = rig_of(PING, REPLIES({"", STAYS}));
    struct rig head =
        rig_of("HEAD /_ping HTTP/1.1\r\nHost: x\r\n\r\n", REPLIES({"", STAYS}));
    const struct outcome *out;

    (void)state;
    rig.time_out = true;
    out = play_cut(&rig);
    assert_true(begins_with(out, "HTTP/1.1 504 Gateway Timeout\r\n"));
    assert_non_null(strstr(out->to_client, "did not answer in time"));
    assert_int_equal(out->end, FINISHED);
    assert_false(out->engine_open);

    head.time_out = true;
    out = play_cut(&head);
    assert_true(begins_with(out, "HTTP/1.1 504 Gateway Timeout\r\n"));
    assert_null(strstr(out->to_client, "{"));

    /* before there was a connection; then one comes that nobody wants */
    struct filter filter;
    filter_init(&filter, &rig.config);
    filter_lend(&filter, buffer);
    (void)filter_from_client(&filter, (const uint8_t *)PING, strlen(PING));
    filter_engine_timed_out(&filter);
    assert_int_equal(filter_wants(&filter), 0);
    assert_non_null(filter_problem(&filter));
    filter_sent_to_client(&filter, filter_to_client(&filter).length);
    filter_engine_opened(&filter);
    assert_int_equal(filter_wants(&filter), FILTER_WANTS_FINISH |
                                                FILTER_WANTS_CLIENT |
                                                FILTER_WANTS_ENGINE_CLOSE);
    filter_engine_finished(&filter);
    filter_engine_closed(&filter);
    assert_int_equal(filter_wants(&filter),
                     FILTER_WANTS_FINISH | FILTER_WANTS_CLIENT);
}

static void
an_engine_closed_by_the_adapter_in_mid_response_is_a_failure(void **state)
{
    struct filter filter;
    struct filter_config config;

    (void)state;
    filter_config_default(&config);
    filter_init(&filter, &config);
    filter_lend(&filter, buffer);
    assert_null(filter_problem(&filter));
    (void)filter_from_client(&filter, (const uint8_t *)PING, strlen(PING));
    filter_engine_opened(&filter);
    filter_sent_to_engine(&filter, strlen(PING));
    (void)filter_from_engine(&filter, (const uint8_t *)OK, strlen(OK) - 1);
    assert_false(filter_holds_buffer(&filter)); /* not for a body */
    filter_engine_closed(&filter);
    assert_int_equal(filter_wants(&filter), FILTER_WANTS_RESET);
    assert_string_equal(filter_problem(&filter),
                        "the Docker engine closed inside a response");
}

/* ---- back-pressure ------------------------------------------------------- */

static void pipelined_requests_wait_where_they_are(void **state)
{
    struct filter filter;
    struct filter_config config;

    (void)state;
    filter_config_default(&config);
    filter_init(&filter, &config);
    filter_lend(&filter, buffer);
    assert_int_equal(filter_from_client(&filter, (const uint8_t *)PING INFO,
                                        strlen(PING INFO)),
                     strlen(PING));
    assert_int_equal(filter_wants(&filter) & FILTER_WANTS_CLIENT, 0);
    filter_engine_opened(&filter);
    filter_sent_to_engine(&filter, strlen(PING));
    assert_int_equal(
        filter_from_engine(&filter, (const uint8_t *)OK, strlen(OK) - 1),
        strlen(OK) - 1);
    assert_int_equal(filter_wants(&filter), FILTER_WANTS_ENGINE_READ);
    assert_int_equal(filter_from_engine(&filter, (const uint8_t *)"K", 1), 1);
    assert_int_equal(filter_wants(&filter),
                     FILTER_WANTS_CLIENT | FILTER_WANTS_ENGINE_READ);
}

/* ---- at random ----------------------------------------------------------- */

static uint32_t next(uint64_t *seed, uint32_t below)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33) % below;
}

/* Requests good and bad, with a byte changed here and there: whatever comes of
 * them does not depend on the cuts, and only what may pass reaches the engine.
 */
static void random_requests_give_the_same_however_cut(void **state)
{
    static const char *const requests[] = {
        PING,
        INFO,
        HIDDEN,
        "GET /v1.41/containers/json?all=1 HTTP/1.1\r\nHost: x\r\n\r\n",
        "HEAD /info HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /images/%61/json HTTP/1.1\r\nConnection: a,b\r\nB: c\r\nHost: x"
        "\r\n\r\n",
        "POST /build HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
    };
    static const struct reply replies[] = {
        {OK, STAYS},   {OK, STAYS}, {OK, FIN},   {JSON, STAYS}, {OK, STAYS},
        {JSON, STAYS}, {OK, STAYS}, {OK, STAYS}, {OK, STAYS},   {OK, STAYS},
    };
    uint64_t seed = 7;
    static struct outcome whole;

    (void)state;
    for (unsigned round = 0; round < 2000; round++) {
        char client[1000] = "";
        struct rig rig;

        for (unsigned i = 0; i < 5; i++) {
            strcat(client, requests[next(&seed, 7)]);
        }
        if (round % 2 == 1) {
            size_t at = next(&seed, (uint32_t)strlen(client));

            client[at] = (char)(1 + next(&seed, 255));
        }
        rig = rig_of(client, replies, 10);
        rig.client_fin = next(&seed, 2) == 0;
        rig.client_first = next(&seed, 2) == 0;
        whole = *play(&rig);
        assert_null(strstr(whole.to_engine, "POST"));
        assert_null(strstr(whole.to_engine, "HEAD /info"));
        rig.client_piece = 1 + next(&seed, 60);
        rig.engine_piece = 1 + next(&seed, 60);
        rig.send_piece = 1 + next(&seed, 60);
        check_equal(&whole, play(&rig));
    }
}

#ifndef CONTRACTS_OFF
static void the_contract_is_checked(void **state)
{
    struct filter filter;
    struct filter_config config;
    uint8_t byte = 'G';

    (void)state;
    filter_config_default(&config);
    config.policy = POLICY_ALLOW_ALL;
    expect_assert_failure(filter_init(&filter, &config));
    filter_config_default(&config);
    config.head_max = FILTER_HEAD_MAX_LEAST - 1;
    expect_assert_failure(filter_init(&filter, &config));
    config.head_max = FILTER_HEAD_MAX_LEAST;
    filter_init(&filter, &config);
    expect_assert_failure(filter_from_client(&filter, &byte, 1));
    expect_assert_failure(filter_sent_to_client(&filter, 1));
    expect_assert_failure(filter_sent_to_engine(&filter, 1));
    expect_assert_failure(filter_engine_unreachable(&filter, "x"));
    expect_assert_failure(filter_engine_timed_out(&filter));
    expect_assert_failure(filter_engine_closed(&filter));
    expect_assert_failure(filter_engine_failed(&filter));
    expect_assert_failure(filter_from_engine(&filter, &byte, 1));
    filter_lend(&filter, buffer);
    assert_int_equal(filter_from_client(&filter, &byte, 0), 0);
    assert_int_equal(filter_from_client(&filter, &byte, 1), 1);
    expect_assert_failure(filter_lend(&filter, NULL));
    filter_engine_opened(&filter);
    expect_assert_failure(filter_engine_opened(&filter));
    expect_assert_failure(filter_from_engine(&filter, &byte, 0));
}
#endif

static const struct CMUnitTest tests[] = {
    REQ("X19,PO-06", a_request_is_rewritten_and_forwarded),
    REQ("T3", many_requests_share_both_connections),
    REQ("T3", an_idle_engine_may_be_closed_and_is_opened_again),
    REQ("T3", an_idle_client_costs_no_engine_connection),
    REQ("T3", an_engine_that_announces_its_end_ends_the_client_too),
    REQ("T3", an_engine_that_just_closes_is_opened_again),
    REQ("T3", a_request_that_met_a_dead_connection_is_sent_again),
    REQ("T3", it_is_sent_again_only_once),
    REQ("T3", a_fresh_connection_that_dies_is_not_tried_again),
    REQ("T3", a_client_that_asks_for_a_close_gets_it),
    REQ("PO-05", a_denial_names_request_policy_and_remedy),
    REQ("PO-05,T4", a_denied_head_gets_no_body),
    REQ("PO-05,X19", a_denied_request_with_a_body_is_the_last),
    REQ("PO-05", a_long_path_is_cut_in_the_answer),
    REQ("PO-01,PO-02,PO-03,PO-04,PO-05,PO-06,X24",
        the_whole_corpus_is_decided_as_written),
    REQ("PO-06,X21", lenient_engines_get_nothing_of_this),
    REQ("PO-06,X20,T22", an_upgrade_opens_no_way_past_the_filter),
    REQ("PO-06,X20,T22", the_hidden_request_of_a_hijack_is_decided_too),
    REQ("X21", an_expectation_that_cannot_be_met_is_417),
    REQ("T5", heads_up_to_64_kib_pass_and_larger_ones_are_431),
    REQ("T12", the_clients_end_follows_its_last_request),
    REQ("T12", it_is_never_told_before_the_request_is_sent),
    REQ("T12", an_idle_clients_end_ends_all),
    REQ("T12", an_end_inside_a_head_is_answered),
    REQ("T12", an_end_while_an_answer_goes_out_waits_for_it),
    REQ("T1,T4,T6", every_framing_is_followed_to_its_end),
    REQ("T4", the_answer_to_head_has_no_body_whatever_it_says),
    REQ("T22", a_body_until_close_ends_the_connection),
    REQ("T22,T14", a_switch_of_protocols_is_a_failure),
    REQ("T14", responses_that_make_no_sense_are_502_or_a_reset),
    REQ("T14,L-02", a_response_head_without_end_is_given_up),
    REQ("T14", chunks_that_make_no_sense_end_in_a_reset),
    REQ("X19", what_follows_a_response_is_not_let_through),
    REQ("T31", an_early_response_is_let_through_and_is_the_last),
    REQ("T14,L-04", a_truncated_response_never_looks_whole),
    REQ("T33", an_engine_that_cannot_be_reached_is_502),
    REQ("T34", an_engine_that_does_not_answer_is_504),
    REQ("T14", an_engine_closed_by_the_adapter_in_mid_response_is_a_failure),
    REQ("T19,L-05", pipelined_requests_wait_where_they_are),
    REQ("T1,PO-06", random_requests_give_the_same_however_cut),
#ifndef CONTRACTS_OFF
    REQ("PO-06", the_contract_is_checked),
#endif
};
RUN(tests)
