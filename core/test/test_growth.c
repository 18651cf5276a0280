/* Receive windows that follow their readers (Y-04). */
#include "core/test/script.h"

#include <string.h>

#define W0 WIRE_WINDOW_INITIAL
#define RTT_MS 100u
#define PIECES 10u

static struct mux_growth growth;

/* A session that has seen one round trip, and stream 1 accepted. */
static void begin_at(struct script *s, struct mux_config *config,
                     uint64_t round_trip_ms)
{
    script_start(s, config);
    script_wait(s, config->ping_interval_ms);
    script_expect(s, WIRE_PING, WIRE_SYN, 0, 1);
    script_wait(s, round_trip_ms);
    script_send(s, WIRE_PING, WIRE_ACK, 0, 1);
    script_accept(s, 1);
}

static void begin_with(struct script *s, struct mux_config *config)
{
    begin_at(s, config, RTT_MS);
}

static void configure(struct mux_config *config)
{
    script_config(config, MUX_SERVER);
    config->ping_interval_ms = 5000;
    config->growth_max = 16u << 20;
    config->growth = &growth;
    growth = (struct mux_growth){.max = 64u << 20};
}

static void begin(struct script *s)
{
    struct mux_config config;

    configure(&config);
    begin_with(s, &config);
}

/* length bytes arrive and are consumed at once. */
static void pass(struct script *s, uint32_t stream, uint32_t length)
{
    script_send_zeros(s, stream, length);
    script_expect_bytes(s, stream, length);
    mux_consume(s->mux, stream, length);
}

/* The same, its last bytes by and by: nobody waits for long. */
static void pass_evenly(struct script *s, uint32_t stream, uint32_t length,
                        uint64_t elapsed_ms)
{
    pass(s, stream, length - PIECES);
    for (uint32_t i = 0; i < PIECES; i++) {
        script_wait(s, elapsed_ms / PIECES);
        pass(s, stream, 1);
    }
}

/* Half of the initial window arrives, and is consumed after elapsed_ms. */
static void pass_slowly(struct script *s, uint64_t elapsed_ms)
{
    script_send_zeros(s, 1, W0 / 2);
    script_expect_bytes(s, 1, W0 / 2);
    script_wait(s, elapsed_ms);
    mux_consume(s->mux, 1, W0 / 2);
}

/* As much as fills the initial window passes within a round trip, and the
 * update that follows grants so much. */
static void pass_a_window(struct script *s, uint32_t stream, uint32_t granted)
{
    pass(s, stream, W0 / 2);
    script_expect(s, WIRE_WINDOW_UPDATE, 0, stream, W0 / 2);
    pass_evenly(s, stream, W0 / 2, RTT_MS);
    script_expect(s, WIRE_WINDOW_UPDATE, 0, stream, granted);
}

/* The same, and the window grows for the first time: the session asks again how
 * far it is. Nobody answers. */
static void pass_and_grow(struct script *s, uint32_t stream, uint32_t granted)
{
    pass_a_window(s, stream, granted);
    script_expect(s, WIRE_PING, WIRE_SYN, 0, 2);
}

static void a_window_is_twice_what_is_read_in_a_round_trip(void **state)
{
    struct script s;

    (void)state;
    begin(&s);
    pass_and_grow(&s, 1, W0 / 2 + W0);
    assert_int_equal(mux_grown(s.mux), W0);
    assert_int_equal(growth.used, W0);
    /* steady: no more */
    pass_a_window(&s, 1, W0 / 2);
    assert_int_equal(mux_grown(s.mux), W0);
    script_end(&s);
}

static void a_grown_window_may_be_used_up_and_no_more(void **state)
{
    struct script s;

    (void)state;
    begin(&s);
    pass_and_grow(&s, 1, W0 / 2 + W0);
    script_send_zeros(&s, 1, 2 * W0);
    script_expect_bytes(&s, 1, 2 * W0);
    script_send(&s, WIRE_DATA, 0, 1, 1);
    script_expect_failure(&s, STATUS_PEER_WINDOW);
    script_end(&s);
}

static void a_rate_needs_half_a_round_trip_to_be_seen(void **state)
{
    struct script s;

    (void)state;
    begin(&s);
    pass_slowly(&s, RTT_MS / 2 - 1);
    script_expect(&s, WIRE_WINDOW_UPDATE, 0, 1, W0 / 2);
    assert_int_equal(mux_grown(s.mux), 0);
    pass_slowly(&s, 1); /* all of the window within half of a round trip */
    script_expect(&s, WIRE_WINDOW_UPDATE, 0, 1, W0 / 2 + W0);
    script_expect(&s, WIRE_PING, WIRE_SYN, 0, 2);
    assert_int_equal(mux_grown(s.mux), W0);
    script_end(&s);
}

/* All of its window, too, but in ten round trips. */
static void a_slow_reader_keeps_its_window(void **state)
{
    struct script s;

    (void)state;
    begin(&s);
    for (int i = 0; i < 20; i++) {
        pass_slowly(&s, 5 * RTT_MS);
        script_expect(&s, WIRE_WINDOW_UPDATE, 0, 1, W0 / 2);
    }
    assert_int_equal(mux_grown(s.mux), 0);
    script_end(&s);
}

static void a_reader_that_stops_keeps_its_window(void **state)
{
    struct script s;

    (void)state;
    begin(&s);
    script_send_zeros(&s, 1, W0);
    script_expect_bytes(&s, 1, W0);
    script_wait(&s, 4000);
    script_expect_silence(&s);
    assert_int_equal(mux_grown(s.mux), 0);
    script_end(&s);
}

/* What comes within a moment says nothing about a round trip. */
static void a_burst_is_no_rate(void **state)
{
    struct script s;

    (void)state;
    begin(&s);
    script_wait(&s, RTT_MS - 1);
    for (int i = 0; i < 20; i++) {
        pass(&s, 1, W0 / 2);
        script_expect(&s, WIRE_WINDOW_UPDATE, 0, 1, W0 / 2);
    }
    assert_int_equal(mux_grown(s.mux), 0);
    script_end(&s);
}

/* It slows down: credit is kept back, half of each update at most. */
static void a_window_shrinks_with_its_reader(void **state)
{
    struct script s;

    (void)state;
    begin(&s);
    pass_and_grow(&s, 1, W0 / 2 + W0);
    for (uint32_t left = W0; left > 0; left -= W0 / 4) {
        assert_int_equal(mux_grown(s.mux), left);
        assert_int_equal(growth.used, left);
        pass_slowly(&s, 100 * RTT_MS / 3);
        script_expect(&s, WIRE_WINDOW_UPDATE, 0, 1, W0 / 4);
    }
    assert_int_equal(growth.used, 0);
    pass_slowly(&s, 100 * RTT_MS / 3);
    script_expect(&s, WIRE_WINDOW_UPDATE, 0, 1, W0 / 2);
    /* all of it is a whole window again */
    script_send_zeros(&s, 1, W0);
    script_expect_bytes(&s, 1, W0);
    script_send(&s, WIRE_DATA, 0, 1, 1);
    script_expect_failure(&s, STATUS_PEER_WINDOW);
    script_end(&s);
}

/* Nothing is kept back before it has slowed down to less than half. */
static void half_of_what_it_took_is_no_reason_to_shrink(void **state)
{
    struct script s;

    (void)state;
    begin(&s);
    pass_and_grow(&s, 1, W0 / 2 + W0);
    pass_slowly(&s, RTT_MS);
    script_expect(&s, WIRE_WINDOW_UPDATE, 0, 1, W0 / 2);
    assert_int_equal(mux_grown(s.mux), W0);
    pass_slowly(&s, RTT_MS + 1);
    script_expect(&s, WIRE_WINDOW_UPDATE, 0, 1, W0 / 4);
    assert_int_equal(mux_grown(s.mux), W0 - W0 / 4);
    script_end(&s);
}

/* A single stream leaves half of the share to those that come later, a second
 * one half of that. */
static void nobody_gets_more_than_half_of_what_is_left(void **state)
{
    struct script s;
    struct mux_config config;

    (void)state;
    configure(&config);
    config.growth_max = W0;
    begin_with(&s, &config);
    pass_and_grow(&s, 1, W0 / 2 + W0 / 2);
    script_wait(&s, RTT_MS);
    script_send(&s, WIRE_PING, WIRE_ACK, 0, 2);
    pass_a_window(&s, 1, W0 / 2);
    pass_a_window(&s, 1, W0 / 2);
    script_expect_silence(&s); /* nothing grew, so nothing is asked */
    assert_int_equal(mux_grown(s.mux), W0 / 2);
    script_accept(&s, 3);
    pass_a_window(&s, 3, W0 / 2 + W0 / 4);
    script_expect(&s, WIRE_PING, WIRE_SYN, 0, 3);
    assert_int_equal(mux_grown(s.mux), W0 / 2 + W0 / 4);
    script_end(&s);
}

static void sessions_share_one_budget(void **state)
{
    struct script one;
    struct script two;
    struct mux_config config;

    (void)state;
    configure(&config);
    growth.max = W0;
    begin_with(&one, &config);
    config.growth_max = W0;
    begin_with(&two, &config);
    pass_and_grow(&one, 1, W0 / 2 + W0 / 2);
    pass_and_grow(&two, 1, W0 / 2 + W0 / 4);
    assert_int_equal(growth.used, W0 / 2 + W0 / 4);

    /* a session gives back what it had when it fails, and only once */
    assert_int_equal(mux_fail(one.mux, STATUS_TRANSPORT_LOST),
                     STATUS_TRANSPORT_LOST);
    assert_int_equal(growth.used, W0 / 4);
    pass_a_window(&two, 1, W0 / 2 + W0 / 4);
    assert_int_equal(growth.used, W0 / 2);
    script_end(&one);
    script_end(&two);
}

static void a_stream_gives_back_what_it_grew_by(void **state)
{
    struct script s;

    (void)state;
    begin(&s);
    pass_and_grow(&s, 1, W0 / 2 + W0);
    mux_reset(s.mux, 1);
    assert_int_equal(growth.used, 0);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_RST, 1, 0);

    script_accept(&s, 3);
    pass_a_window(&s, 3, W0 / 2 + W0);
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_RST, 3, 0);
    script_expect_event(&s, MUX_STREAM_ENDED, 3, STATUS_RESET);
    assert_int_equal(growth.used, 0);
    assert_int_equal(mux_grown(s.mux), 0);
    script_end(&s);
}

static void a_single_byte_is_given_back_too(void **state)
{
    struct script s;

    (void)state;
    begin(&s);
    growth.max = 2;
    pass_and_grow(&s, 1, W0 / 2 + 1);
    assert_int_equal(growth.used, 1);
    mux_reset(s.mux, 1);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_RST, 1, 0);
    assert_int_equal(growth.used, 0);
    script_accept(&s, 3);
    pass_a_window(&s, 3, W0 / 2 + 1);
    assert_int_equal(growth.used, 1);
    (void)mux_fail(s.mux, STATUS_TRANSPORT_LOST);
    assert_int_equal(growth.used, 0);
    script_end(&s);
}

/* The peer could not know that the stream had been reset. */
static void a_late_frame_as_long_as_a_grown_window_is_no_crime(void **state)
{
    struct script s;

    (void)state;
    begin(&s);
    pass_and_grow(&s, 1, W0 / 2 + W0);
    mux_reset(s.mux, 1);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_RST, 1, 0);
    script_send_zeros(&s, 1, 2 * W0);
    assert_int_equal(mux_counters(s.mux)->useless_frames, 0);
    script_expect_alive(&s);
    script_send(&s, WIRE_DATA, 0, 1, W0 + (16u << 20) + 1); /* nobody's */
    script_expect_failure(&s, STATUS_PEER_WINDOW);
    script_end(&s);
}

static void a_session_that_fails_by_itself_gives_back(void **state)
{
    struct script s;
    struct mux_config config;

    (void)state;
    configure(&config);
    config.useless_burst = 0;
    begin_with(&s, &config);
    pass_and_grow(&s, 1, W0 / 2 + W0);
    script_send(&s, WIRE_PING, WIRE_SYN, 0, 7); /* of no use, without tokens */
    script_expect_failure(&s, STATUS_ABUSE);
    assert_int_equal(growth.used, 0);
    script_end(&s);
}

static void without_distance_no_window_grows(void **state)
{
    struct script s;
    struct mux_config config;

    (void)state;
    configure(&config);
    script_start(&s, &config);
    script_wait(&s, 5000);
    script_expect(&s, WIRE_PING, WIRE_SYN, 0, 1);
    script_send(&s, WIRE_PING, WIRE_ACK, 0, 1); /* at once */
    script_accept(&s, 1);
    pass_a_window(&s, 1, W0 / 2);
    pass_a_window(&s, 1, W0 / 2);
    assert_int_equal(mux_grown(s.mux), 0);
    script_end(&s);
}

/* A ping behind somebody's bulk comes late; that is a queue, not distance. */
static void the_shortest_round_trip_counts(void **state)
{
    struct script s;

    (void)state;
    begin(&s);
    script_wait(&s, 5000);
    script_expect(&s, WIRE_PING, WIRE_SYN, 0, 2);
    script_wait(&s, 4000);
    script_send(&s, WIRE_PING, WIRE_ACK, 0, 2);
    assert_int_equal(mux_rtt_ms(s.mux), 4000);
    script_accept(&s, 3);
    pass_a_window(&s, 3, W0 / 2 + W0);
    script_expect(&s, WIRE_PING, WIRE_SYN, 0, 3);
    script_end(&s);
}

static void a_round_trip_may_be_a_millisecond(void **state)
{
    struct script s;
    struct mux_config config;

    (void)state;
    configure(&config);
    begin_at(&s, &config, 1);
    pass(&s, 1, W0);
    script_expect(&s, WIRE_WINDOW_UPDATE, 0, 1, W0);
    script_wait(&s, 1);
    pass(&s, 1, 1);
    script_expect(&s, WIRE_PING, WIRE_SYN, 0, 2);
    script_expect(&s, WIRE_WINDOW_UPDATE, 0, 1, W0 + 1);
    script_end(&s);
}

/* Who is farther away than that takes as much in ten seconds. */
static void no_round_trip_is_longer_than_ten_seconds(void **state)
{
    struct script s;
    struct mux_config config;

    (void)state;
    configure(&config);
    config.ping_interval_ms = 30000;
    begin_at(&s, &config, 20000);
    pass(&s, 1, W0 / 2);
    script_expect(&s, WIRE_WINDOW_UPDATE, 0, 1, W0 / 2);
    pass_evenly(&s, 1, W0 / 2, 5000); /* half of that */
    script_expect(&s, WIRE_WINDOW_UPDATE, 0, 1, W0 / 2 + W0);
    script_expect(&s, WIRE_PING, WIRE_SYN, 0, 2);
    script_end(&s);
}

/* The only ping so far met a queue, and a window grew by it. */
static void a_growth_by_mistake_is_taken_back(void **state)
{
    struct script s;

    (void)state;
    begin(&s);
    pass_and_grow(&s, 1, W0 / 2 + W0);
    script_wait(&s, 1);
    script_send(&s, WIRE_PING, WIRE_ACK, 0, 2);
    assert_int_equal(mux_rtt_ms(s.mux), 1);
    for (uint32_t left = W0; left > 0; left -= W0 / 4) {
        assert_int_equal(mux_grown(s.mux), left);
        pass_slowly(&s, 50);
        script_expect(&s, WIRE_WINDOW_UPDATE, 0, 1, W0 / 4);
    }
    assert_int_equal(mux_grown(s.mux), 0);
    script_end(&s);
}

/* A session that was never silent has no ping yet: it is asked for once. */
static void the_distance_is_asked_for_when_it_is_needed(void **state)
{
    struct script s;
    struct mux_config config;

    (void)state;
    configure(&config);
    script_start(&s, &config);
    script_accept(&s, 1);
    pass(&s, 1, W0 / 2);
    script_expect(&s, WIRE_WINDOW_UPDATE, 0, 1, W0 / 2);
    script_expect(&s, WIRE_PING, WIRE_SYN, 0, 1);
    pass(&s, 1, W0 / 2);
    script_expect(&s, WIRE_WINDOW_UPDATE, 0, 1, W0 / 2);
    script_wait(&s, RTT_MS);
    script_send(&s, WIRE_PING, WIRE_ACK, 0, 1);
    pass(&s, 1, W0 / 2);
    script_expect(&s, WIRE_WINDOW_UPDATE, 0, 1, W0 / 2 + W0);
    script_expect(&s, WIRE_PING, WIRE_SYN, 0, 2); /* is it really that far? */
    script_end(&s);
}

/* ---- a reader who waits -------------------------------------------------- */

/* length bytes arrive at once, after nothing did for elapsed_ms. */
static void pass_late(struct script *s, uint64_t elapsed_ms, uint32_t length)
{
    script_wait(s, elapsed_ms);
    pass(s, 1, length);
}

/* What is lost is repaired in three round trips, and comes with all that was
 * behind it: a window in three round trips, but at once. */
static void what_comes_at_once_had_room_under_way(void **state)
{
    struct script s;

    (void)state;
    begin(&s);
    pass_late(&s, 3 * RTT_MS, W0);
    script_expect(&s, WIRE_WINDOW_UPDATE, 0, 1, W0);
    assert_int_equal(mux_grown(s.mux), 0);
    pass_late(&s, 3 * RTT_MS, W0);
    script_expect(&s, WIRE_PING, WIRE_SYN, 0, 2);
    script_expect(&s, WIRE_WINDOW_UPDATE, 0, 1, 2 * W0);
    assert_int_equal(mux_grown(s.mux), W0);
    pass_late(&s, 3 * RTT_MS, 2 * W0); /* no more than twice as much */
    script_expect(&s, WIRE_WINDOW_UPDATE, 0, 1, 2 * W0 + 2 * W0);
    assert_int_equal(mux_grown(s.mux), 3 * W0);
    script_end(&s);
}

/* Half of a round trip is a wait, and what came before it came in the other
 * half: a quarter of the window keeps it, more lets it grow. */
static void a_wait_is_half_of_a_round_trip(void **state)
{
    struct script s;

    (void)state;
    begin(&s);
    pass(&s, 1, W0 / 4);
    pass_late(&s, RTT_MS / 2, W0 / 4 + 2);
    script_expect(&s, WIRE_WINDOW_UPDATE, 0, 1, W0 / 2 + 2);
    assert_int_equal(mux_grown(s.mux), 0);
    pass_late(&s, RTT_MS / 2 - 1, 1); /* is none */
    assert_int_equal(mux_grown(s.mux), 0);
    pass_late(&s, RTT_MS / 2, 1); /* in 49 ms, which is less than half */
    assert_int_equal(mux_grown(s.mux), 4 * (W0 / 4 + 3) - W0);
    script_expect(&s, WIRE_PING, WIRE_SYN, 0, 2);
    script_end(&s);
}

/* It took longer than half of a round trip. */
static void what_came_before_a_wait_may_have_taken_longer(void **state)
{
    struct script s;

    (void)state;
    begin(&s);
    for (uint32_t i = 0; i < 8; i++) {
        pass_late(&s, RTT_MS / 10, W0 / 17); /* less than is granted at once */
    }
    pass_late(&s, RTT_MS, 1); /* 8 seventeenths, in 80 ms */
    uint32_t grown = 2 * 10 * (W0 / 17) - W0;
    assert_int_equal(mux_grown(s.mux), grown);
    script_expect(&s, WIRE_PING, WIRE_SYN, 0, 2);
    script_expect(&s, WIRE_WINDOW_UPDATE, 0, 1, 8 * (W0 / 17) + 1 + grown);
    script_end(&s);
}

/* Also a wait that begins where it was measured. */
static void a_wait_may_begin_with_a_grant(void **state)
{
    struct script s;

    (void)state;
    begin(&s);
    pass_and_grow(&s, 1, W0 / 2 + W0);
    pass_late(&s, RTT_MS / 2, W0 / 2);
    pass_late(&s, RTT_MS / 10, W0 / 2); /* a quarter in 10 ms, and again */
    script_expect(&s, WIRE_WINDOW_UPDATE, 0, 1, W0);
    pass_late(&s, RTT_MS / 2, 1);
    script_expect(&s, WIRE_WINDOW_UPDATE, 0, 1, 1 + 2 * W0);
    assert_int_equal(mux_grown(s.mux), 3 * W0);
    script_end(&s);
}

/* It is others' bytes that it waits for, on a line that is never silent. */
static void who_waits_for_others_is_not_measured(void **state)
{
    struct script s;

    (void)state;
    begin(&s);
    script_accept(&s, 3);
    for (int i = 0; i < 5; i++) {
        pass(&s, 1, W0);
        script_expect(&s, WIRE_WINDOW_UPDATE, 0, 1, W0);
        for (int j = 0; j < 11; j++) {
            script_wait(&s, RTT_MS * 2 / 5);
            pass(&s, 3, 1);
        }
        script_wait(&s, RTT_MS * 2 / 5);
    }
    assert_int_equal(mux_grown(s.mux), 0);
    script_end(&s);
}

/* All who waited in a silence, not only the first to be heard. */
static void each_reader_waits_for_himself(void **state)
{
    struct script s;

    (void)state;
    begin(&s);
    script_accept(&s, 3);
    pass(&s, 1, W0);
    script_expect(&s, WIRE_WINDOW_UPDATE, 0, 1, W0);
    pass(&s, 3, W0);
    script_expect(&s, WIRE_WINDOW_UPDATE, 0, 3, W0);
    pass_late(&s, RTT_MS, 1);
    pass(&s, 3, 1);
    assert_int_equal(mux_grown(s.mux), 2 * W0);
    script_expect(&s, WIRE_PING, WIRE_SYN, 0, 2);
    script_expect(&s, WIRE_WINDOW_UPDATE, 0, 1, W0 + 1);
    script_expect(&s, WIRE_WINDOW_UPDATE, 0, 3, W0 + 1);
    script_end(&s);
}

/* Nobody reads it yet, so nobody waits. */
static void an_offered_stream_is_not_measured(void **state)
{
    struct script s;
    struct mux_config config;

    (void)state;
    configure(&config);
    config.accept_timeout_ms = 0;
    begin_with(&s, &config);
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 3, 0);
    script_expect_event(&s, MUX_STREAM_OFFERED, 3, STATUS_OK);
    pass(&s, 3, W0 / 2);
    script_wait(&s, RTT_MS);
    pass(&s, 3, W0 / 2);
    mux_accept(s.mux, 3, NULL);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_ACK, 3, W0);
    assert_int_equal(mux_grown(s.mux), 0);
    script_end(&s);
}

static void a_window_doubles_at_most(void **state)
{
    struct script s;
    struct mux_config config;

    (void)state;
    configure(&config);
    config.growth_max = 3 * W0; /* half of it would be there to be had */
    begin_with(&s, &config);
    pass(&s, 1, W0);
    script_expect(&s, WIRE_WINDOW_UPDATE, 0, 1, W0);
    pass_late(&s, RTT_MS, 1);
    assert_int_equal(mux_grown(s.mux), W0);
    script_expect(&s, WIRE_PING, WIRE_SYN, 0, 2);
    script_expect(&s, WIRE_WINDOW_UPDATE, 0, 1, W0 + 1);
    script_end(&s);
}

/* The session hears of the time only when the update is due. */
static void a_reader_who_was_slow_did_not_wait(void **state)
{
    struct script s;

    (void)state;
    begin(&s);
    script_send_zeros(&s, 1, W0);
    script_expect_bytes(&s, 1, W0);
    s.now_ms += RTT_MS / 2 - 1;
    mux_consume(s.mux, 1, W0);
    script_expect(&s, WIRE_WINDOW_UPDATE, 0, 1, W0);
    pass_late(&s, RTT_MS / 2 - 1, 1);
    assert_int_equal(mux_grown(s.mux), 0);
    script_end(&s);
}

/* It is the reader who lets what came lie for so long, not the line. */
static void a_reader_who_has_something_does_not_wait(void **state)
{
    struct script s;

    (void)state;
    begin(&s);
    for (int i = 0; i < 5; i++) {
        script_send_zeros(&s, 1, W0 / 2);
        script_expect_bytes(&s, 1, W0 / 2);
        script_wait(&s, 3 * RTT_MS);
        script_send_zeros(&s, 1, W0 / 2);
        script_expect_bytes(&s, 1, W0 / 2);
        mux_consume(s.mux, 1, W0);
        script_expect(&s, WIRE_WINDOW_UPDATE, 0, 1, W0);
    }
    assert_int_equal(mux_grown(s.mux), 0);
    script_end(&s);
}

static void who_never_pings_never_grows(void **state)
{
    struct script s;
    struct mux_config config;

    (void)state;
    configure(&config);
    config.ping_interval_ms = 0;
    script_start(&s, &config);
    script_accept(&s, 1);
    pass_a_window(&s, 1, W0 / 2);
    pass_a_window(&s, 1, W0 / 2);
    pass(&s, 1, W0);
    script_expect(&s, WIRE_WINDOW_UPDATE, 0, 1, W0);
    pass_late(&s, 5000, 1);
    assert_int_equal(mux_grown(s.mux), 0);
    script_end(&s);
}

/* ---- a link with distance ------------------------------------------------ */

#define RATE 8000u /* bytes a millisecond: three initial windows in flight */
#define STEPS 3000u

/* What the session has granted since the last look, in bytes. */
static uint64_t granted(struct script *s)
{
    uint64_t bytes = 0;

    script_flush(s);
    while (s->out_taken < s->out_length) {
        struct wire_header header;
        assert_int_equal(wire_decode(&header, s->out + s->out_taken),
                         STATUS_OK);
        bytes += header.type == WIRE_WINDOW_UPDATE ? header.length : 0;
        s->out_taken += WIRE_HEADER_SIZE;
    }
    return bytes;
}

/* P-06: a writer that is RTT_MS away and its reader as fast as the link. Bytes
 * that arrive in the last second, out of RATE * 1000. */
static uint64_t last_second(struct script *s)
{
    static uint64_t grants[STEPS + RTT_MS]; /* by when the writer has them */
    uint64_t credit = W0;
    uint64_t total = 0;

    memset(grants, 0, sizeof grants);
    for (uint32_t ms = 0; ms < STEPS; ms++) {
        credit += grants[ms];
        uint32_t sent = credit < RATE ? (uint32_t)credit : RATE;
        credit -= sent;
        if (sent > 0) {
            pass(s, 1, sent);
        }
        total += ms >= STEPS - 1000 ? sent : 0;
        grants[ms + RTT_MS] = granted(s);
        script_wait(s, 1);
    }
    return total;
}

static void a_window_opens_until_the_link_is_full(void **state)
{
    struct script s;
    struct mux_config config;

    (void)state;
    begin(&s);
    assert_in_range(last_second(&s), RATE * 990u, RATE * 1000u);
    /* not much more than it takes: twice what is under way */
    assert_in_range(W0 + mux_grown(s.mux), RATE * RTT_MS,
                    2 * RATE * RTT_MS + 2 * W0);
    script_end(&s);

    /* without growth: at most a window a round trip */
    configure(&config);
    config.growth = NULL;
    begin_with(&s, &config);
    assert_in_range(last_second(&s), 4 * W0, 10 * W0);
    script_end(&s);
}

static const struct CMUnitTest tests[] = {
    REQ("Y-04,P-06", a_window_is_twice_what_is_read_in_a_round_trip),
    REQ("Y-04", a_grown_window_may_be_used_up_and_no_more),
    REQ("Y-04,P-06", a_rate_needs_half_a_round_trip_to_be_seen),
    REQ("Y-04,L-05", a_slow_reader_keeps_its_window),
    REQ("Y-04,L-05", a_reader_that_stops_keeps_its_window),
    REQ("Y-04,L-05", a_burst_is_no_rate),
    REQ("Y-04,L-05", a_window_shrinks_with_its_reader),
    REQ("Y-04,L-05", half_of_what_it_took_is_no_reason_to_shrink),
    REQ("Y-04,L-02", nobody_gets_more_than_half_of_what_is_left),
    REQ("Y-04,L-02", sessions_share_one_budget),
    REQ("Y-04,L-02", a_stream_gives_back_what_it_grew_by),
    REQ("Y-04,L-02", a_single_byte_is_given_back_too),
    REQ("Y-04", a_late_frame_as_long_as_a_grown_window_is_no_crime),
    REQ("Y-04,L-02", a_session_that_fails_by_itself_gives_back),
    REQ("Y-04,L-05", without_distance_no_window_grows),
    REQ("Y-04,L-05", the_shortest_round_trip_counts),
    REQ("Y-04", a_round_trip_may_be_a_millisecond),
    REQ("Y-04,L-05", no_round_trip_is_longer_than_ten_seconds),
    REQ("Y-04,L-05", a_growth_by_mistake_is_taken_back),
    REQ("Y-04", the_distance_is_asked_for_when_it_is_needed),
    REQ("Y-04,P-06", what_comes_at_once_had_room_under_way),
    REQ("Y-04,L-05", a_wait_is_half_of_a_round_trip),
    REQ("Y-04,L-05", what_came_before_a_wait_may_have_taken_longer),
    REQ("Y-04,L-05", a_wait_may_begin_with_a_grant),
    REQ("Y-04,L-05", who_waits_for_others_is_not_measured),
    REQ("Y-04", each_reader_waits_for_himself),
    REQ("Y-04", an_offered_stream_is_not_measured),
    REQ("Y-04,L-05", a_window_doubles_at_most),
    REQ("Y-04,L-05", a_reader_who_was_slow_did_not_wait),
    REQ("Y-04,L-05", a_reader_who_has_something_does_not_wait),
    REQ("Y-04", who_never_pings_never_grows),
    REQ("Y-04,P-06", a_window_opens_until_the_link_is_full),
};

RUN(tests)
