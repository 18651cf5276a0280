/* test_filter_engine.c: a filtered connection and the engine behind it (T3, T4,
 * T14, T22, T31, T33, T34). */
#include "core/test/req.h"

#include <stdio.h>
#include <string.h>

#include "core/filter.h"
#include "core/test/rig.h"

static uint8_t buffer[FILTER_BUFFER_SIZE(FILTER_HEAD_MAX_DEFAULT)];

/* ---- its connection ------------------------------------------------------ */

static void many_requests_share_both_connections(void **state)
{
    struct rig rig = rig_of(PING INFO "HEAD /_ping HTTP/1.1\r\nHost: x\r\n\r\n",
                            REPLIES({OK, STAYS}, {JSON, STAYS},
                                    {"HTTP/1.1 200 OK\r\n\r\n", STAYS}));
    const struct outcome *out = rig_play_cut(&rig);

    (void)state;
    rig_check_engine(out,
                     "|" PING INFO "HEAD /_ping HTTP/1.1\r\nHost: x\r\n\r\n");
    rig_check_client(out, OK JSON "HTTP/1.1 200 OK\r\n\r\n");
    assert_int_equal(out->connections, 1);
    assert_true(out->engine_open);
    assert_int_equal(out->end, OPEN);
}

static void an_idle_engine_may_be_closed_and_is_opened_again(void **state)
{
    struct rig rig = rig_of(PING PING, REPLIES({OK, STAYS}, {OK, STAYS}));

    (void)state;
    rig.drop_idle = true;
    const struct outcome *out = rig_play_cut(&rig);
    rig_check_engine(out, "|" PING "|" PING);
    rig_check_client(out, OK OK);
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
    /* nothing is nothing: no buffer is needed for it */
    assert_int_equal(filter_from_client(&filter, buffer, 0), 0);
    filter_sent_to_client(&filter, 0);
    filter_sent_to_engine(&filter, 0);
    assert_int_equal(filter_wants(&filter), FILTER_WANTS_CLIENT);
}

/* The engine does not close what it answers 'close' to before it said so. */
static void an_engine_that_announces_its_end_ends_the_client_too(void **state)
{
    static const char response[] =
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nOK";
    struct rig rig = rig_of(PING PING, REPLIES({response, FIN}));
    const struct outcome *out = rig_play_cut(&rig);

    (void)state;
    rig_check_client(out, response);
    rig_check_engine(out, "|" PING);
    assert_int_equal(out->end, FINISHED);
    assert_int_equal(out->client_left, 0); /* swallowed */
}

static void an_engine_that_just_closes_is_opened_again(void **state)
{
    struct rig rig = rig_of(PING INFO, REPLIES({OK, FIN}, {JSON, RST}));
    const struct outcome *out = rig_play(&rig);

    (void)state;
    rig_check_engine(out, "|" PING "|" INFO);
    rig_check_client(out, OK JSON);
    assert_int_equal(out->end, OPEN);
    assert_false(out->engine_open);
}

/* The engine closes the idle connection while the next request is on its way
 * into it. */
static void a_request_that_met_a_dead_connection_is_sent_again(void **state)
{
    struct rig rig =
        rig_of(PING INFO, REPLIES({OK, STAYS}, {"", RST}, {JSON, STAYS}));
    const struct outcome *out = rig_play_cut(&rig);

    (void)state;
    rig_check_engine(out, "|" PING INFO "|" INFO);
    rig_check_client(out, OK JSON);
    assert_int_equal(out->connections, 2);
}

static void it_is_sent_again_only_once(void **state)
{
    struct rig rig =
        rig_of(PING INFO, REPLIES({OK, STAYS}, {"", FIN}, {"", FIN}));
    const struct outcome *out = rig_play_cut(&rig);

    (void)state;
    rig_check_engine(out, "|" PING INFO "|" INFO);
    assert_true(rig_begins_with(out, OK "HTTP/1.1 502 Bad Gateway\r\n"));
    assert_non_null(strstr(out->to_client, "closed without an answer"));
    assert_int_equal(out->end, FINISHED);
}

static void a_fresh_connection_that_dies_is_not_tried_again(void **state)
{
    struct rig rig = rig_of(PING, REPLIES({"", RST}));
    const struct outcome *out = rig_play_cut(&rig);

    (void)state;
    rig_check_engine(out, "|" PING);
    assert_true(rig_begins_with(out, "HTTP/1.1 502 Bad Gateway\r\n"));
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
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
         "1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n"),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 199 Early Hints\r\nX: y\r\n\r\n"
         "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n!"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof gets / sizeof *gets; i++) {
        struct rig rig =
            rig_of(INFO PING, REPLIES({gets[i], STAYS}, {OK, STAYS}));
        char expected[600];

        snprintf(expected, sizeof expected, "%s%s", gets[i], OK);
        rig_check_client(rig_play_cut(&rig), expected);
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
        rig_check_client(rig_play_cut(&rig), expected);
    }
}

static void a_body_until_close_ends_the_connection(void **state)
{
    static const char stream[] =
        "HTTP/1.1 200 OK\r\n"
        "Content-Type: application/vnd.docker.raw-stream\r\n\r\nsome bytes";
    struct rig rig = rig_of(PING HIDDEN, REPLIES({stream, FIN}));
    const struct outcome *out = rig_play_cut(&rig);

    (void)state;
    rig_check_client(out, stream);
    rig_check_engine(out, "|" PING); /* what follows never reaches it: T22 */
    assert_int_equal(out->end, FINISHED);
}

static void a_switch_of_protocols_is_a_failure(void **state)
{
    static const char head[] = "HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\n";
    struct rig rig = rig_of(PING HIDDEN, REPLIES({head, STAYS}));
    const struct outcome *out = rig_play(&rig);

    (void)state;
    assert_true(rig_begins_with(out, "HTTP/1.1 502 Bad Gateway\r\n"));
    assert_non_null(strstr(out->to_client, "switches protocols"));
    rig_check_engine(out, "|" PING);
    assert_int_equal(out->end, FINISHED);
    assert_false(out->engine_open);

    /* a part of it went out: only a reset is left */
    rig.engine_piece = 30;
    out = rig_play(&rig);
    assert_int_equal(out->to_client_length, 30);
    assert_int_equal(out->end, RESET);
}

static void responses_that_make_no_sense_are_502_or_a_reset(void **state)
{
    static const char *const heads[] = {
        "HTTP/1.0 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"
         "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        "HTTP/1.1 200 OK\nContent-Length: 1\n\nx",
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        struct rig rig = rig_of(PING PING, REPLIES({heads[i], STAYS}));
        const struct outcome *out = rig_play(&rig);

        assert_true(rig_begins_with(out, "HTTP/1.1 502 Bad Gateway\r\n"));
        assert_int_equal(out->end, FINISHED);
        for (size_t piece = 1; piece < strlen(heads[i]); piece++) {
            rig.engine_piece = piece;
            out = rig_play(&rig);
            assert_int_equal(out->end, rig_begins_with(out, "HTTP/1.1 502 ")
                                           ? FINISHED
                                           : RESET);
            rig_check_engine(out, "|" PING);
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
    out = rig_play(&rig);
    assert_true(rig_begins_with(out, "HTTP/1.1 502 Bad Gateway\r\n"));
    assert_non_null(strstr(out->to_client, "the head is too large"));
    rig.engine_piece = 100;
    out = rig_play(&rig);
    assert_int_equal(out->end, RESET);
    assert_int_equal(out->to_client_length, 1000);
}

static void chunks_that_make_no_sense_end_in_a_reset(void **state)
{
    static const char response[] =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        "5\nhello\n0\n\n";
    struct rig rig = rig_of(PING PING, REPLIES({response, STAYS}));
    const struct outcome *out = rig_play_cut(&rig);

    (void)state;
    assert_int_equal(out->end, RESET);
    assert_false(out->engine_open);
}

static void what_follows_a_response_is_not_let_through(void **state)
{
    static const char response[] = OK "HTTP/1.1 200 OK\r\n"
                                      "Content-Length: 4\r\n\r\nevil";
    struct rig rig = rig_of(PING PING, REPLIES({response, STAYS}, {OK, STAYS}));
    const struct outcome *out = rig_play_cut(&rig);

    (void)state;
    rig_check_client(out, OK OK);
    rig_check_engine(out, "|" PING "|" PING); /* on a connection of its own */

    /* while nothing is asked */
    rig = rig_of(PING, REPLIES({response, STAYS}));
    rig.engine_piece = strlen(OK);
    out = rig_play(&rig);
    rig_check_client(out, OK);
    assert_false(out->engine_open);
    assert_int_equal(out->end, OPEN);
}

/* The engine answers, and closes, before it has read the whole request. */
static void an_early_response_is_let_through_and_is_the_last(void **state)
{
    static const char early[] =
        "HTTP/1.1 431 Too Large\r\nContent-Length: 2\r\n\r\nno";
    struct filter filter;

    (void)state;
    rig_begin(&filter);
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
                    out = rig_play(&rig);
                    well =
                        responses[i].until_close && how == FIN && cut >= head;
                    rig_check_engine(out, "|" INFO);
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
        "/run/\\\"docker\\\\.sock\\\": No such file or directory??\"}\n";
    struct rig rig = rig_of(PING PING, NO_REPLIES);
    const struct outcome *out;

    (void)state;
    rig.no_engine = true;
    out = rig_play_cut(&rig);
    assert_true(rig_begins_with(out, "HTTP/1.1 502 Bad Gateway\r\n"));
    assert_non_null(strstr(out->to_client, "\r\nConnection: close\r\n"));
    assert_string_equal(strstr(out->to_client, "{"), message);
    assert_int_equal(out->end, FINISHED);
}

static void a_problem_is_told_in_ascii(void **state)
{
    struct filter filter;

    (void)state;
    rig_begin(&filter);
    (void)filter_from_client(&filter, (const uint8_t *)PING, strlen(PING));
    filter_engine_unreachable(&filter, " ~\x7f\x1f\x80");
    struct span answer = filter_to_client(&filter);
    static const char end[] = "cannot reach the Docker engine:  ~???\"}\n";
    assert_true(answer.length > strlen(end));
    assert_memory_equal(answer.bytes + answer.length - strlen(end), end,
                        strlen(end));
}

static void an_engine_that_does_not_answer_is_504(void **state)
{
    struct rig rig = rig_of(PING, REPLIES({"", STAYS}));
    struct rig head =
        rig_of("HEAD /_ping HTTP/1.1\r\nHost: x\r\n\r\n", REPLIES({"", STAYS}));
    const struct outcome *out;

    (void)state;
    rig.time_out = true;
    out = rig_play_cut(&rig);
    assert_true(rig_begins_with(out, "HTTP/1.1 504 Gateway Timeout\r\n"));
    assert_non_null(strstr(out->to_client, "did not answer in time"));
    assert_int_equal(out->end, FINISHED);
    assert_false(out->engine_open);

    head.time_out = true;
    out = rig_play_cut(&head);
    assert_true(rig_begins_with(out, "HTTP/1.1 504 Gateway Timeout\r\n"));
    assert_null(strstr(out->to_client, "{"));

    /* what may still answer is closed at once */
    struct filter filter;
    filter_init(&filter, &rig.config);
    filter_lend(&filter, buffer);
    rig_ask(&filter);
    filter_engine_timed_out(&filter);
    assert_int_equal(filter_wants(&filter), FILTER_WANTS_ENGINE_CLOSE);

    /* before there was a connection; then one comes that nobody wants */
    filter_init(&filter, &rig.config);
    filter_lend(&filter, buffer);
    (void)filter_from_client(&filter, (const uint8_t *)PING, strlen(PING));
    filter_engine_timed_out(&filter);
    assert_int_equal(filter_wants(&filter), 0);
    assert_non_null(filter_problem(&filter));
    filter_sent_to_client(&filter, filter_to_client(&filter).length);
    filter_engine_unreachable(&filter, "nobody waits for it");
    assert_int_equal(filter_wants(&filter),
                     FILTER_WANTS_FINISH | FILTER_WANTS_CLIENT);
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

    (void)state;
    rig_begin(&filter);
    assert_null(filter_problem(&filter));
    rig_ask(&filter);
    (void)filter_from_engine(&filter, (const uint8_t *)OK, strlen(OK) - 1);
    assert_false(filter_holds_buffer(&filter)); /* not for a body */
    filter_engine_closed(&filter);
    assert_int_equal(filter_wants(&filter), FILTER_WANTS_RESET);
    assert_string_equal(filter_problem(&filter),
                        "the Docker engine closed inside a response");
}

/* Not even where an end would have been good: it is not the engine's. */
static void a_body_until_close_is_not_ended_by_the_adapter(void **state)
{
    static const char head[] = "HTTP/1.1 200 OK\r\n\r\nhalf";
    struct filter filter;

    (void)state;
    rig_begin(&filter);
    rig_ask(&filter);
    (void)filter_from_engine(&filter, (const uint8_t *)head, strlen(head));
    filter_engine_closed(&filter);
    assert_int_equal(filter_wants(&filter), FILTER_WANTS_RESET);
}

/* Nothing of it was under way. */
static void
an_engine_that_ends_behind_our_own_answer_is_no_failure(void **state)
{
    struct filter filter;

    (void)state;
    rig_begin(&filter);
    rig_ask(&filter);
    (void)filter_from_engine(&filter, (const uint8_t *)OK, strlen(OK));
    (void)filter_from_client(&filter, (const uint8_t *)HIDDEN, strlen(HIDDEN));
    filter_engine_finished(&filter);

    struct span answer = filter_to_client(&filter);
    assert_memory_equal(answer.bytes, "HTTP/1.1 403 ", 13);
    filter_sent_to_client(&filter, answer.length);
    assert_null(filter_problem(&filter));
    assert_int_equal(filter_wants(&filter),
                     FILTER_WANTS_CLIENT | FILTER_WANTS_ENGINE_CLOSE);
}

/* The first byte alone, then all the rest. */
static void a_response_may_begin_with_one_byte(void **state)
{
    struct filter filter;

    (void)state;
    rig_begin(&filter);
    rig_ask(&filter);
    assert_int_equal(filter_from_engine(&filter, (const uint8_t *)OK, 1), 1);
    assert_int_equal(
        filter_from_engine(&filter, (const uint8_t *)OK + 1, strlen(OK) - 1),
        strlen(OK) - 1);
    assert_int_equal(filter_wants(&filter),
                     FILTER_WANTS_CLIENT | FILTER_WANTS_ENGINE_READ);
}

static void a_decision_that_nobody_asked_for_goes_with_its_request(void **state)
{
    struct filter filter;
    struct filter_decision decision;

    (void)state;
    rig_begin(&filter);
    rig_ask(&filter);
    (void)filter_from_engine(&filter, (const uint8_t *)OK, strlen(OK));
    (void)filter_from_client(&filter, (const uint8_t *)PING, 1);
    assert_false(filter_next_decision(&filter, &decision));
}

static void what_cannot_be_reached_is_named(void **state)
{
    struct filter filter;

    (void)state;
    rig_begin(&filter);
    (void)filter_from_client(&filter, (const uint8_t *)PING, strlen(PING));
    filter_engine_unreachable(&filter, "no such file");
    assert_string_equal(filter_problem(&filter),
                        "cannot reach the Docker engine");
}

static void an_engine_that_comes_behind_a_failure_changes_nothing(void **state)
{
    struct filter filter;

    (void)state;
    rig_begin(&filter);
    rig_ask(&filter);
    (void)filter_from_engine(&filter, (const uint8_t *)OK, strlen(OK) - 1);
    filter_engine_closed(&filter);
    filter_engine_opened(&filter);
    filter_engine_finished(&filter);
    assert_int_equal(filter_wants(&filter),
                     FILTER_WANTS_RESET | FILTER_WANTS_ENGINE_CLOSE);
    assert_string_equal(filter_problem(&filter),
                        "the Docker engine closed inside a response");
}

static const struct CMUnitTest tests[] = {
    REQ("T3", many_requests_share_both_connections),
    REQ("T3", an_idle_engine_may_be_closed_and_is_opened_again),
    REQ("T3", an_idle_client_costs_no_engine_connection),
    REQ("T3", an_engine_that_announces_its_end_ends_the_client_too),
    REQ("T3", an_engine_that_just_closes_is_opened_again),
    REQ("T3", a_request_that_met_a_dead_connection_is_sent_again),
    REQ("T3", it_is_sent_again_only_once),
    REQ("T3", a_fresh_connection_that_dies_is_not_tried_again),
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
    REQ("T1,L-07", a_response_may_begin_with_one_byte),
    REQ("T33", an_engine_that_cannot_be_reached_is_502),
    REQ("PO-07", a_decision_that_nobody_asked_for_goes_with_its_request),
    REQ("T33", what_cannot_be_reached_is_named),
    REQ("T33", a_problem_is_told_in_ascii),
    REQ("T34", an_engine_that_does_not_answer_is_504),
    REQ("T14", an_engine_closed_by_the_adapter_in_mid_response_is_a_failure),
    REQ("T14,L-04,T22", a_body_until_close_is_not_ended_by_the_adapter),
    REQ("T3,PO-05", an_engine_that_ends_behind_our_own_answer_is_no_failure),
    REQ("T14,L-04", an_engine_that_comes_behind_a_failure_changes_nothing),
};
RUN(tests)
