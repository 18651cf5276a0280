/* Peers that send what is of no use to anybody, and peers that only seem to. */
#include "core/test/script.h"

#include "core/mux_internal.h"

struct useless {
    enum wire_type type;
    unsigned flags;
    uint32_t stream, length;
};

static const struct useless useless[] = {
    {WIRE_DATA, 0, 1, 0},                  /* empty */
    {WIRE_WINDOW_UPDATE, 0, 1, 0},         /* no credit */
    {WIRE_WINDOW_UPDATE, 0xfff0, 1, 0},    /* flags that mean nothing */
    {WIRE_DATA, 0, 77, 0},                 /* ids that were never used */
    {WIRE_WINDOW_UPDATE, 0, 78, 1},        /* */
    {WIRE_WINDOW_UPDATE, WIRE_RST, 79, 0}, /* */
    {WIRE_WINDOW_UPDATE, WIRE_ACK, 1, 0},  /* */
    {WIRE_PING, WIRE_ACK, 0, 7},           /* a pong to nothing */
    {WIRE_PING, 0, 0, 7},                  /* */
    {WIRE_WINDOW_UPDATE, 9, 3, 0},         /* SYN and RST at once */
};

static void start_strict(struct script *s)
{
    struct mux_config config;

    script_config(&config, MUX_SERVER);
    config.useless_burst = 10;
    config.useless_per_s = 100;
    script_start(s, &config);
    script_accept(s, 1);
}

static void useless_frames_are_counted_and_in_the_end_abuse(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof useless / sizeof *useless; i++) {
        const struct useless *frame = &useless[i];
        struct script s;
        start_strict(&s);
        for (int count = 0; count < 10; count++) {
            script_send(&s, frame->type, frame->flags, frame->stream,
                        frame->length);
        }
        assert_int_equal(mux_counters(s.mux)->useless_frames, 10);
        script_expect_no_event(&s);
        script_wait(&s, 9); /* not one token yet */
        script_send(&s, frame->type, frame->flags, frame->stream,
                    frame->length);
        script_expect_failure(&s, STATUS_ABUSE);
        assert_non_null(mux_offending_header(s.mux));
        script_end(&s);
    }
}

static void useless_frames_at_the_allowed_rate_are_tolerated(void **state)
{
    struct script s;

    (void)state;
    start_strict(&s);
    for (int i = 0; i < 1000; i++) {
        script_send(&s, WIRE_DATA, 0, 1, 0);
        script_wait(&s, 10);
    }
    script_wait(&s, UINT64_MAX / 2); /* the bucket is full, no more */
    for (int i = 0; i < 10; i++) {
        script_send(&s, WIRE_DATA, 0, 1, 0);
    }
    script_expect_no_event(&s);
    script_send(&s, WIRE_DATA, 0, 1, 0);
    script_expect_failure(&s, STATUS_ABUSE);
    script_end(&s);
}

static void the_largest_bucket_does_not_overflow(void **state)
{
    struct script s;
    struct mux_config config;

    (void)state;
    script_config(&config, MUX_SERVER);
    config.useless_burst = UINT32_MAX;
    config.useless_per_s = UINT32_MAX;
    script_start(&s, &config);
    for (int i = 0; i < 10; i++) {
        script_send(&s, WIRE_DATA, 0, 77, 0);
        script_wait(&s, UINT64_MAX / 16);
    }
    script_expect_alive(&s);
    script_end(&s);
}

static void a_bucket_of_zero_allows_nothing(void **state)
{
    struct script s;
    struct mux_config config;

    (void)state;
    script_config(&config, MUX_SERVER);
    config.useless_burst = 0;
    script_start(&s, &config);
    script_wait(&s, 100000);
    script_send(&s, WIRE_DATA, 0, 77, 0);
    script_expect_failure(&s, STATUS_ABUSE);
    script_end(&s);
}

/* What a conforming peer had under way when our RST was: never abuse, however
 * many small frames it was cut into. */
static void late_frames_of_a_conforming_peer_are_never_abuse(void **state)
{
    struct script s;

    (void)state;
    start_strict(&s);
    for (uint32_t id = 3; id < 43; id += 2) {
        script_accept(&s, id);
        mux_reset(s.mux, id);
        script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_RST, id, 0);
        for (int i = 0; i < 4096; i++) {
            script_send_data(&s, 0, id,
                             "0123456789abcdef0123456789abcdef"
                             "0123456789abcdef0123456789abcdef",
                             64);
        }
        script_send(&s, WIRE_WINDOW_UPDATE, 0, id, 131072);
        script_send(&s, WIRE_WINDOW_UPDATE, WIRE_FIN, id, 0);
    }
    assert_int_equal(mux_counters(s.mux)->useless_frames, 0);

    for (int i = 0; i < 11; i++) { /* beyond what it could have */
        script_send_data(&s, 0, 41, "x", 1);
    }
    script_expect_failure(&s, STATUS_ABUSE);
    script_end(&s);
}

/* Four control frames a stream may be under way: ACK, FIN or RST, credit. */
static void more_late_frames_than_could_be_under_way_are_useless(void **state)
{
    static const struct {
        enum wire_type type;
        uint32_t length;
    } frames[] = {{WIRE_WINDOW_UPDATE, 1000}, {WIRE_DATA, 0}};

    (void)state;
    for (size_t kind = 0; kind < 2; kind++) {
        struct script s;
        start_strict(&s);
        mux_reset(s.mux, 1);
        script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_RST, 1, 0);
        for (uint64_t i = 1; i <= 6; i++) {
            script_send(&s, frames[kind].type, 0, 1, frames[kind].length);
            assert_int_equal(mux_counters(s.mux)->unknown_stream_frames, i);
            assert_int_equal(mux_counters(s.mux)->useless_frames,
                             i > MUX_LATE_FRAMES ? i - MUX_LATE_FRAMES : 0);
        }
        script_end(&s);
    }
}

static void frames_are_late_before_our_reset_is_out(void **state)
{
    struct script s;

    (void)state;
    start_strict(&s);
    mux_reset(s.mux, 1);
    script_send(&s, WIRE_WINDOW_UPDATE, 0, 1, 1000);
    assert_int_equal(mux_counters(s.mux)->unknown_stream_frames, 1);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_RST, 1, 0);
    script_end(&s);
}

/* On an id that was never used, nothing can be under way. */
static void no_frame_is_late_on_an_id_that_is_still_to_come(void **state)
{
    static const uint32_t never[] = {4, 3};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct script s;
        start_strict(&s);
        assert_int_equal(script_establish(&s), 2);
        mux_reset(s.mux, 1); /* four late frames may come for each */
        mux_reset(s.mux, 2);
        script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_RST, 1, 0);
        script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_RST, 2, 0);
        script_send(&s, WIRE_WINDOW_UPDATE, 0, never[i], 1);
        script_send_data(&s, 0, never[i], "x", 1);
        assert_int_equal(mux_counters(s.mux)->useless_frames, 2);
        script_end(&s);
    }
}

/* What may follow a refused SYN: the rest of the first window, to the byte. */
static void the_rest_of_a_refused_window_may_still_come(void **state)
{
    struct script s;
    struct mux_config config;

    (void)state;
    script_config(&config, MUX_SERVER);
    config.inbound_max = 0;
    script_start(&s, &config);
    script_send_data(&s, WIRE_SYN, 1, "hello", 5);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_RST, 1, 0);
    assert_int_equal(mux_counters(s.mux)->useless_frames, 1);
    script_send_zeros(&s, 1, WIRE_WINDOW_INITIAL - 5);
    assert_int_equal(mux_counters(s.mux)->useless_frames, 1);
    script_send_zeros(&s, 1, 1);
    assert_int_equal(mux_counters(s.mux)->useless_frames, 2);
    for (uint64_t i = 1; i <= 6; i++) { /* and so many control frames */
        script_send(&s, WIRE_WINDOW_UPDATE, 0, 1, 1000);
        assert_int_equal(mux_counters(s.mux)->useless_frames,
                         i > MUX_LATE_FRAMES ? 2 + i - MUX_LATE_FRAMES : 2);
    }
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 3, 7); /* spends nothing */
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_RST, 3, 0);
    assert_int_equal(mux_counters(s.mux)->useless_frames, 5);
    script_send_zeros(&s, 3, WIRE_WINDOW_INITIAL);
    assert_int_equal(mux_counters(s.mux)->useless_frames, 5);
    script_end(&s);
}

/* SYN and RST before there was time for an ACK: rapid reset costs a token each,
 * whether the user accepted or not. */
static void rapid_resets_are_abuse_in_the_end(void **state)
{
    struct script s;

    (void)state;
    start_strict(&s);
    for (uint32_t id = 3; id <= 23; id += 2) {
        script_send(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, id, 0);
        script_expect_event(&s, MUX_STREAM_OFFERED, id, STATUS_OK);
        if (id % 4 == 1) {
            mux_accept(s.mux, id, NULL);
        }
        script_send(&s, WIRE_WINDOW_UPDATE, WIRE_RST, id, 0);
        if (id < 23) {
            script_expect_event(&s, MUX_STREAM_ENDED, id, STATUS_RESET);
        }
    }
    script_expect_failure(&s, STATUS_ABUSE);
    script_end(&s);
}

/* Resetting a stream that was in use is no abuse, however often. */
static void a_peer_that_resets_streams_in_use_is_no_abuser(void **state)
{
    struct script s;

    (void)state;
    start_strict(&s);
    for (uint32_t id = 3; id < 2000; id += 2) {
        script_accept(&s, id);
        script_send(&s, WIRE_WINDOW_UPDATE, WIRE_RST, id, 0);
        script_expect_event(&s, MUX_STREAM_ENDED, id, STATUS_RESET);
    }
    script_end(&s);
}

/* Nor is an answer to our open, however often it is RST. */
static void a_peer_that_resets_our_streams_is_no_abuser(void **state)
{
    struct script s;

    (void)state;
    start_strict(&s);
    for (int i = 0; i < 1000; i++) {
        uint32_t id = script_open(&s);
        script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, id, 0);
        script_send(&s, WIRE_WINDOW_UPDATE, WIRE_RST, id, 0);
        script_expect_event(&s, MUX_STREAM_ENDED, id, STATUS_RESET);
    }
    script_end(&s);
}

static void refusals_that_nobody_lets_out_are_abuse(void **state)
{
    struct script s;
    struct mux_config config;

    (void)state;
    script_config(&config, MUX_SERVER);
    config.inbound_max = 0;
    script_start(&s, &config);
    for (uint32_t round = 0; round < 3; round++) { /* the ring goes round */
        for (uint32_t i = 0; i < 200; i++) {
            script_send(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 2 * i + 1, 0);
        }
        for (uint32_t i = 0; i < 200; i++) {
            script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_RST, 2 * i + 1, 0);
        }
    }
    for (uint32_t i = 0; i < 256; i++) {
        script_send(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 2 * i + 1, 0);
    }
    script_expect_no_event(&s);
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 513, 0);
    script_expect_failure(&s, STATUS_ABUSE);
    script_end(&s);
}

static void refusals_may_be_limited_for_the_session(void **state)
{
    struct script s;
    struct mux_config config;

    (void)state;
    script_config(&config, MUX_SERVER);
    config.inbound_max = 0;
    config.refused_max = 3;
    script_start(&s, &config);
    for (uint32_t id = 1; id < 7; id += 2) {
        script_send(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, id, 0);
        script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_RST, id, 0);
        script_wait(&s, 3600000);
    }
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 7, 0);
    script_expect_failure(&s, STATUS_ABUSE);
    assert_int_equal(mux_counters(s.mux)->streams_refused, 4);
    script_end(&s);
}

/* They are answered, and counted: a ping says nothing. */
static void pings_and_repeated_go_aways_are_useless(void **state)
{
    struct script s;

    (void)state;
    start_strict(&s);
    for (uint32_t i = 0; i < 10; i++) {
        script_send(&s, WIRE_PING, WIRE_SYN, 0, i);
        script_expect(&s, WIRE_PING, WIRE_ACK, 0, i);
    }
    script_send(&s, WIRE_PING, WIRE_SYN, 0, 10);
    script_expect_failure(&s, STATUS_ABUSE);
    script_end(&s);

    start_strict(&s);
    script_send(&s, WIRE_GO_AWAY, 0, 0, WIRE_GO_AWAY_NORMAL);
    script_expect_event(&s, MUX_PEER_GOING_AWAY, 0, STATUS_OK);
    for (int i = 0; i < 10; i++) {
        script_send(&s, WIRE_GO_AWAY, 0, 0, WIRE_GO_AWAY_NORMAL);
    }
    assert_int_equal(mux_counters(s.mux)->useless_frames, 10);
    script_send(&s, WIRE_GO_AWAY, 0, 0, WIRE_GO_AWAY_NORMAL);
    script_expect_failure(&s, STATUS_ABUSE);
    script_end(&s);
}

static void a_token_that_lacks_a_thousandth_is_none(void **state)
{
    struct mux_config config;
    struct script s;

    (void)state;
    script_config(&config, MUX_SERVER);
    config.useless_burst = 1;
    config.useless_per_s = 111;
    for (uint64_t wait_ms = 9; wait_ms <= 10; wait_ms++) {
        script_start(&s, &config);
        script_accept(&s, 1);
        script_send(&s, WIRE_DATA, 0, 1, 0);
        script_wait(&s, wait_ms); /* 999, and 1110 but no more than 1000 */
        script_send(&s, WIRE_DATA, 0, 1, 0);
        if (wait_ms == 9) {
            script_expect_failure(&s, STATUS_ABUSE);
        }
        script_end(&s);
    }
}

/* 1,000,000 frames of no use: over long before, and nothing was held. */
static void a_flood_of_empty_frames_ends_the_session(void **state)
{
    struct script s;
    uint32_t sent = 0;

    (void)state;
    script_start(&s, NULL);
    while (mux_status(s.mux) == STATUS_OK && sent < 1000000) {
        script_send(&s, WIRE_DATA, 0, 77, 0);
        sent++;
    }
    assert_int_equal(sent, 10001);
    script_expect_failure(&s, STATUS_ABUSE);
    script_end(&s);
}

static const struct CMUnitTest tests[] = {
    REQ("D36,D37,X16", useless_frames_are_counted_and_in_the_end_abuse),
    REQ("D37", useless_frames_at_the_allowed_rate_are_tolerated),
    REQ("D37,L-02", the_largest_bucket_does_not_overflow),
    REQ("D37,L-02", a_bucket_of_zero_allows_nothing),
    REQ("D11,D37,X16", late_frames_of_a_conforming_peer_are_never_abuse),
    REQ("D11,D37", more_late_frames_than_could_be_under_way_are_useless),
    REQ("D11,D37", frames_are_late_before_our_reset_is_out),
    REQ("D11", no_frame_is_late_on_an_id_that_is_still_to_come),
    REQ("D11,D8", the_rest_of_a_refused_window_may_still_come),
    REQ("D37,R-09,CVE-2023-44487", rapid_resets_are_abuse_in_the_end),
    REQ("D37,L-02", a_peer_that_resets_streams_in_use_is_no_abuser),
    REQ("D37", a_peer_that_resets_our_streams_is_no_abuser),
    REQ("D28,X16", refusals_that_nobody_lets_out_are_abuse),
    REQ("X16,L-02", refusals_may_be_limited_for_the_session),
    REQ("D36,D37,X16,CVE-2019-9512", pings_and_repeated_go_aways_are_useless),
    REQ("D37", a_token_that_lacks_a_thousandth_is_none),
    REQ("D36,D37,X16,CVE-2019-9518", a_flood_of_empty_frames_ends_the_session),
};
RUN(tests)
