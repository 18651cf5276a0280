/* test_filter.c: a filtered connection, as its client sees it (PO-01..PO-06,
 * X19-X22, T3, T5, T12). */
#include "core/test/req.h"

#include <stdio.h>
#include <string.h>

#include "core/filter.h"
#include "core/test/policy_corpus.h"
#include "core/test/rig.h"

static uint8_t buffer[FILTER_BUFFER_SIZE(FILTER_HEAD_MAX_DEFAULT)];

/* ---- forwarding ---------------------------------------------------------- */

static void a_request_is_rewritten_and_forwarded(void **state)
{
    struct rig rig = rig_of("GET /%69nfo?x=%2f HTTP/1.1\r\n"
                            "Connection: Upgrade, X-Mine\r\nHost: docker\r\n"
                            "Upgrade: h2c\r\nX-Mine: 1\r\nX-Kept:  2 \r\n\r\n",
                            REPLIES({OK, STAYS}));
    const struct outcome *out = rig_play_cut(&rig);

    (void)state;
    rig_check_engine(out, "|GET /info?x=%2f HTTP/1.1\r\nHost: docker\r\n"
                          "X-Kept: 2\r\n\r\n");
    rig_check_client(out, OK);
    assert_int_equal(out->end, OPEN);
    assert_string_equal(out->log, "allow 0 GET /info (GET /info)\n");
}

static void a_client_that_asks_for_a_close_gets_it(void **state)
{
    struct rig rig = rig_of("GET /_ping HTTP/1.1\r\nHost: x\r\n"
                            "Connection: close\r\n\r\n" PING,
                            REPLIES({OK, STAYS}));
    const struct outcome *out = rig_play_cut(&rig);

    (void)state;
    rig_check_engine(out, "|GET /_ping HTTP/1.1\r\nHost: x\r\n"
                          "Connection: close\r\n\r\n");
    rig_check_client(out, OK);
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
    const struct outcome *out = rig_play_cut(&rig);

    (void)state;
    snprintf(expected, sizeof expected,
             "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\n"
             "Content-Length: %zu\r\n\r\n%s%s",
             strlen(message), message, OK);
    rig_check_client(out, expected);
    rig_check_engine(out, "|" PING);
    assert_int_equal(out->end, OPEN);
    assert_string_equal(out->log,
                        "deny 403 POST /v1.41/containers/x/pause (default)\n"
                        "allow 0 GET /_ping (GET /_ping)\n");
}

static void a_denied_head_gets_no_body(void **state)
{
    struct rig rig = rig_of("HEAD /info HTTP/1.1\r\nHost: x\r\n\r\n" PING,
                            REPLIES({OK, STAYS}));
    const struct outcome *out = rig_play_cut(&rig);
    const char *end = strstr(out->to_client, "\r\n\r\n");

    (void)state;
    assert_true(rig_begins_with(out, "HTTP/1.1 403 Forbidden\r\n"));
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
        char client[300] = "";
        struct rig rig = rig_of(client, NO_REPLIES);
        const struct outcome *out;

        snprintf(client, sizeof client,
                 "POST /containers/create HTTP/1.1\r\nHost: x\r\n%s",
                 framings[i]);
        out = rig_play_cut(&rig);
        assert_true(rig_begins_with(out, "HTTP/1.1 403 Forbidden\r\n"));
        assert_non_null(strstr(out->to_client, "\r\nConnection: close\r\n"));
        assert_int_equal(out->end, FINISHED);
        assert_int_equal(out->client_left, 0);
        assert_int_equal(out->connections, 0);
    }
}

static void a_denied_client_that_asks_for_a_close_gets_it(void **state)
{
    struct rig rig = rig_of("GET / HTTP/1.1\r\nHost: x\r\n"
                            "Connection: close\r\n\r\n" PING,
                            NO_REPLIES);
    const struct outcome *out = rig_play_cut(&rig);

    (void)state;
    assert_true(rig_begins_with(out, "HTTP/1.1 403 Forbidden\r\n"));
    assert_non_null(strstr(out->to_client, "\r\nConnection: close\r\n"));
    assert_int_equal(out->end, FINISHED);
    assert_int_equal(out->connections, 0);
}

static void a_long_path_is_cut_in_the_answer(void **state)
{
    char path[1001] = "";
    char client[2000] = "";
    char told[1100];
    struct rig rig = rig_of(client, NO_REPLIES);
    const struct outcome *out;

    (void)state;
    memset(path, 'a', sizeof path - 1);
    snprintf(client, sizeof client, "GET /%s HTTP/1.1\r\nHost: x\r\n\r\n",
             path);
    out = rig_play(&rig);
    assert_true(rig_begins_with(out, "HTTP/1.1 403 Forbidden\r\n"));
    assert_non_null(strstr(out->to_client, "aaaa...; to allow"));
    assert_true(out->to_client_length < FILTER_ANSWER_MAX);

    path[256] = '\0'; /* and a slash: one too many */
    snprintf(client, sizeof client, "GET /%s HTTP/1.1\r\nHost: x\r\n\r\n",
             path);
    assert_non_null(strstr(rig_play(&rig)->to_client, "aaaa...; to allow"));
    path[255] = '\0';
    snprintf(client, sizeof client, "GET /%s HTTP/1.1\r\nHost: x\r\n\r\n",
             path);
    snprintf(told, sizeof told, "does not allow GET /%s; to allow", path);
    assert_non_null(strstr(rig_play(&rig)->to_client, told));
}

static void the_whole_corpus_is_decided_as_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof policy_corpus / sizeof *policy_corpus; i++) {
        const struct policy_case *one = &policy_corpus[i];
        bool head = strcmp(one->method, "HEAD") == 0;
        char client[500] = "";
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
        out = rig_play(&rig);
        rig_check_engine(out, engine);
        assert_true(
            rig_begins_with(out, one->verdict == ALLOWED  ? "HTTP/1.1 200 "
                                 : one->verdict == DENIED ? "HTTP/1.1 403 "
                                                          : "HTTP/1.1 400 "));
        assert_int_equal(out->end, one->verdict == REFUSED ? FINISHED : OPEN);
    }
}

/* ---- refusals ------------------------------------------------------------ */

/* Engines answer these, one way or the other; each hides a second request, or
 * is read differently by another parser. All are 400, and nothing is
 * forwarded. */
static const char *const lenient[] = {
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

static void a_refusal_says_what_is_wrong(void **state)
{
    struct rig rig = rig_of("GET  / HTTP/1.1\r\nHost: x\r\n\r\n", NO_REPLIES);
    const struct outcome *out = rig_play(&rig);
    char message[300];

    (void)state;
    (void)snprintf(message, sizeof message,
                   "\r\n\r\n{\"message\":\"orthrus refuses this request: "
                   "%s\"}\n",
                   http_fault_text(HTTP_REQUEST_LINE));
    assert_non_null(strstr(out->to_client, message));
}

static void lenient_engines_get_nothing_of_this(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof lenient / sizeof *lenient; i++) {
        struct rig rig = rig_of(lenient[i], NO_REPLIES);
        const struct outcome *out = rig_play_cut(&rig);

        assert_true(rig_begins_with(out, "HTTP/1.1 400 Bad Request\r\n"));
        assert_non_null(strstr(out->to_client, "\r\nConnection: close\r\n"));
        assert_non_null(
            strstr(out->to_client, "{\"message\":\"orthrus refuses this"));
        assert_null(strstr(out->to_client + 1, "HTTP/1.1 4"));
        rig_check_engine(out, "");
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
        char client[400] = "";
        struct rig rig = rig_of(client, REPLIES({OK, STAYS}));
        const struct outcome *out;

        snprintf(client, sizeof client,
                 "GET /_ping HTTP/1.1\r\nHost: x\r\nUpgrade: %s\r\n"
                 "Connection: Upgrade\r\n\r\n" HIDDEN,
                 upgrades[i]);
        out = rig_play_cut(&rig);
        rig_check_engine(out, "|" PING);
        assert_true(rig_begins_with(out, OK "HTTP/1.1 403 Forbidden\r\n"));
    }
}

static void the_hidden_request_of_a_hijack_is_decided_too(void **state)
{
    struct rig rig = rig_of("POST /exec/none/start HTTP/1.1\r\nHost: x\r\n"
                            "Upgrade: tcp\r\n\r\n" HIDDEN,
                            NO_REPLIES);
    const struct outcome *out = rig_play_cut(&rig);

    (void)state;
    rig_check_engine(out, "");
    assert_string_equal(out->log,
                        "deny 403 POST /exec/none/start (default)\n"
                        "deny 403 POST /containers/x/pause (default)\n");
}

static void an_expectation_that_cannot_be_met_is_417(void **state)
{
    struct rig rig = rig_of("GET /_ping HTTP/1.1\r\nHost: x\r\n"
                            "Expect: 100-continue\r\n\r\n",
                            NO_REPLIES);
    const struct outcome *out = rig_play_cut(&rig);

    (void)state;
    assert_true(rig_begins_with(out, "HTTP/1.1 417 Expectation Failed\r\n"));
    assert_string_equal(out->log, "deny 417   (HTTP_EXPECTATION)\n");
}

/* A head of `length` bytes, and what comes of it. */
static const struct outcome *play_head(size_t length, size_t head_max,
                                       size_t piece)
{
    static char client[70000] = "";
    static const struct reply replies[] = {{OK, STAYS}};
    static const char front[] = "GET /_ping HTTP/1.1\r\nHost: x\r\nX-R: ";
    struct rig rig = rig_of(client, replies, 1);

    rig.config.head_max = head_max;
    rig.client_piece = piece;
    memset(client, 'a', length);
    memcpy(client, front, sizeof front - 1);
    memcpy(client + length - 4, "\r\n\r\n", 5);
    return rig_play(&rig);
}

static void heads_up_to_64_kib_pass_and_larger_ones_are_431(void **state)
{
    static const size_t pieces[] = {SIZE_MAX, 60000, 1000, 7};

    (void)state;
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        const struct outcome *out = play_head(65535, 65536, pieces[i]);

        rig_check_client(out, OK);
        assert_int_equal(out->to_engine_length, 1 + 65535);
        out = play_head(65536, 65536, pieces[i]);
        rig_check_client(out, OK);
        assert_int_equal(out->to_engine_length, 1 + 65536);
        out = play_head(65537, 65536, pieces[i]);
        assert_true(rig_begins_with(
            out, "HTTP/1.1 431 Request Header Fields Too Large\r\n"));
        assert_int_equal(out->to_engine_length, 0);
        assert_int_equal(out->end, FINISHED);

        rig_check_client(play_head(1024, 1024, pieces[i]), OK);
        assert_true(
            rig_begins_with(play_head(1025, 1024, pieces[i]), "HTTP/1.1 431 "));
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
    out = rig_play_cut(&rig);
    rig_check_engine(out, "|" PING INFO);
    rig_check_client(out, OK JSON);
    assert_true(out->engine_half_closed);
    assert_int_equal(out->end, FINISHED);
    assert_false(out->engine_open);
}

static void it_is_never_told_before_the_request_is_sent(void **state)
{
    struct filter filter;

    (void)state;
    rig_begin(&filter);
    assert_int_equal(
        filter_from_client(&filter, (const uint8_t *)PING, strlen(PING)),
        strlen(PING));
    filter_client_finished(&filter);
    assert_int_equal(filter_wants(&filter),
                     FILTER_WANTS_ENGINE | FILTER_AWAITS_RESPONSE);
    assert_int_equal(filter_to_engine(&filter).length, 0);
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
        out = rig_play(&rig);
        rig_check_client(out, i == 0 ? "" : OK);
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
        out = rig_play(&rig);
        assert_true(rig_begins_with(out, "HTTP/1.1 400 Bad Request\r\n"));
        assert_int_equal(out->end, FINISHED);
        rig_check_engine(out, "");
        assert_string_equal(out->log, "deny 400   (HTTP_HEAD_CUT)\n");
    }
}

static void an_end_while_an_answer_goes_out_waits_for_it(void **state)
{
    struct rig rig = rig_of("GET / HTTP/1.1\r\nHost: x\r\n\r\n", NO_REPLIES);
    const struct outcome *out;

    (void)state;
    rig.client_fin = true;
    out = rig_play_cut(&rig);
    assert_true(rig_begins_with(out, "HTTP/1.1 403 Forbidden\r\n"));
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

/* ---- back-pressure ------------------------------------------------------- */

static void pipelined_requests_wait_where_they_are(void **state)
{
    struct filter filter;

    (void)state;
    rig_begin(&filter);
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
        ("GET /images/%61/json HTTP/1.1\r\nConnection: a,b\r\nB: c\r\n"
         "Host: x\r\n\r\n"),
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
        int length = 0;
        struct rig rig;

        for (unsigned i = 0; i < 5; i++) {
            length += snprintf(client + length, sizeof client - (size_t)length,
                               "%s", requests[next(&seed, 7)]);
        }
        if (round % 2 == 1) {
            size_t at = next(&seed, (uint32_t)length);

            client[at] = (char)(1 + next(&seed, 255));
        }
        rig = rig_of(client, replies, 10);
        rig.client_fin = next(&seed, 2) == 0;
        rig.client_first = next(&seed, 2) == 0;
        whole = *rig_play(&rig);
        assert_null(strstr(whole.to_engine, "POST"));
        assert_null(strstr(whole.to_engine, "HEAD /info"));
        rig.client_piece = 1 + next(&seed, 60);
        rig.engine_piece = 1 + next(&seed, 60);
        rig.send_piece = 1 + next(&seed, 60);
        rig_check_equal(&whole, rig_play(&rig));
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
    REQ("T3", a_client_that_asks_for_a_close_gets_it),
    REQ("PO-05", a_denial_names_request_policy_and_remedy),
    REQ("PO-05,T4", a_denied_head_gets_no_body),
    REQ("PO-05,X19", a_denied_request_with_a_body_is_the_last),
    REQ("PO-05,T3", a_denied_client_that_asks_for_a_close_gets_it),
    REQ("PO-05", a_long_path_is_cut_in_the_answer),
    REQ("PO-01,PO-02,PO-03,PO-04,PO-05,PO-06,X24",
        the_whole_corpus_is_decided_as_written),
    REQ("PO-06,X21", lenient_engines_get_nothing_of_this),
    REQ("X21", a_refusal_says_what_is_wrong),
    REQ("PO-06,X20,T22", an_upgrade_opens_no_way_past_the_filter),
    REQ("PO-06,X20,T22", the_hidden_request_of_a_hijack_is_decided_too),
    REQ("X21", an_expectation_that_cannot_be_met_is_417),
    REQ("T5", heads_up_to_64_kib_pass_and_larger_ones_are_431),
    REQ("T12", the_clients_end_follows_its_last_request),
    REQ("T12", it_is_never_told_before_the_request_is_sent),
    REQ("T12", an_idle_clients_end_ends_all),
    REQ("T12", an_end_inside_a_head_is_answered),
    REQ("T12", an_end_while_an_answer_goes_out_waits_for_it),
    REQ("T19,L-05", pipelined_requests_wait_where_they_are),
    REQ("T1,PO-06", random_requests_give_the_same_however_cut),
#ifndef CONTRACTS_OFF
    REQ("PO-06", the_contract_is_checked),
#endif
};
RUN(tests)
