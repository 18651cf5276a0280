/* Windows, credit, whose turn it is. */
#include "core/test/script.h"

#include <stdlib.h>
#include <string.h>

#include "core/mux_internal.h"

#define W0 WIRE_WINDOW_INITIAL

/* ---- receiving ----------------------------------------------------------- */

static void exactly_the_window_may_be_sent(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    script_accept(&s, 1);
    script_send_zeros(&s, 1, W0);
    script_expect_bytes(&s, 1, W0);
    script_expect_alive(&s);
    script_end(&s);
}

static void headers_do_not_count_against_the_window(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    script_accept(&s, 1);
    for (uint32_t i = 0; i < W0 / 16; i++) {
        script_send_zeros(&s, 1, 16);
    }
    script_expect_bytes(&s, 1, W0);
    script_expect_alive(&s);
    script_end(&s);
}

/* Refused by the header alone: not one byte of the body is waited for. */
static void one_byte_beyond_the_window_ends_the_session(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    script_accept(&s, 1);
    script_send_zeros(&s, 1, W0);
    script_expect_bytes(&s, 1, W0);
    script_send(&s, WIRE_DATA, 0, 1, 1);
    script_expect_failure(&s, STATUS_PEER_WINDOW);
    script_send_bytes(&s, "x", 1); /* swallowed */
    script_end(&s);
}

static void a_first_frame_beyond_the_window_leaves_nothing(void **state)
{
    static const uint32_t lengths[] = {W0 + 1, 0x7fffffff, 0xffffffff};

    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct script s;
        script_start(&s, NULL);
        script_send(&s, WIRE_DATA, WIRE_SYN, 1, lengths[i]);
        script_expect_failure(&s, STATUS_PEER_WINDOW);
        assert_int_equal(mux_counters(s.mux)->streams_offered, 0);
        script_end(&s);
    }
}

static void the_first_window_may_ride_on_the_syn(void **state)
{
    struct script s;
    uint8_t *zeros = calloc(1, W0);

    (void)state;
    script_start(&s, NULL);
    script_send_data(&s, WIRE_SYN, 1, zeros, W0);
    script_expect_event(&s, MUX_STREAM_OFFERED, 1, STATUS_OK);
    script_expect_bytes(&s, 1, W0);
    script_expect_alive(&s);
    script_end(&s);
    free(zeros);
}

/* A withheld body of 4 GiB holds up nobody, on a live stream or an unknown. */
static void a_length_that_nobody_granted_ends_the_session(void **state)
{
    static const uint32_t ids[] = {1, 99, 98};

    (void)state;
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        struct script s;
        script_start(&s, NULL);
        script_accept(&s, 1);
        script_send(&s, WIRE_DATA, 0, ids[i], 0xffffffff);
        script_expect_failure(&s, STATUS_PEER_WINDOW);
        script_end(&s);
    }
}

static void payload_of_unknown_streams_is_drained_up_to_a_window(void **state)
{
    struct script s;
    struct mux_config config;

    (void)state;
    script_config(&config, MUX_SERVER);
    config.recv_window = 300000;
    script_start(&s, &config);
    script_send_zeros(&s, 99, 300000);
    script_expect_alive(&s);
    script_send(&s, WIRE_DATA, 0, 99, 300001);
    script_expect_failure(&s, STATUS_PEER_WINDOW);
    script_end(&s);
}

static void credit_is_given_back_from_half_the_window_on(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    script_accept(&s, 1);
    script_send_zeros(&s, 1, W0);
    script_expect_bytes(&s, 1, W0);
    mux_consume(s.mux, 1, W0 / 2 - 1);
    script_expect_silence(&s);
    mux_consume(s.mux, 1, 0);
    script_expect_silence(&s);
    mux_consume(s.mux, 1, 1);
    script_expect(&s, WIRE_WINDOW_UPDATE, 0, 1, W0 / 2);
    mux_consume(s.mux, 1, W0 / 2);
    script_expect(&s, WIRE_WINDOW_UPDATE, 0, 1, W0 / 2);
    script_send_zeros(&s, 1, W0); /* and is good again */
    script_expect_bytes(&s, 1, W0);
    script_end(&s);
}

/* However often it is consumed before the next writable moment. */
static void updates_that_wait_become_one(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    script_accept(&s, 1);
    script_send_zeros(&s, 1, W0);
    script_expect_bytes(&s, 1, W0);
    for (uint32_t i = 0; i < W0 / 1024; i++) {
        mux_consume(s.mux, 1, 1024);
    }
    script_expect(&s, WIRE_WINDOW_UPDATE, 0, 1, W0);
    script_end(&s);
}

static void no_credit_is_sent_to_a_peer_that_has_finished(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    for (uint32_t id = 1; id <= 3; id += 2) {
        script_accept(&s, id);
        script_send_zeros(&s, id, W0);
        script_expect_bytes(&s, id, W0);
        if (id == 1) {
            mux_consume(s.mux, id, W0); /* owed when the FIN comes */
        }
        script_send(&s, WIRE_WINDOW_UPDATE, WIRE_FIN, id, 0);
        script_expect_event(&s, MUX_STREAM_FINISHED, id, STATUS_OK);
        if (id == 3) {
            mux_consume(s.mux, id, W0); /* consumed after it */
        }
        script_expect_silence(&s);
    }
    script_end(&s);
}

static void consumption_before_accept_is_granted_with_the_ack(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 1, 0);
    script_expect_event(&s, MUX_STREAM_OFFERED, 1, STATUS_OK);
    script_send_zeros(&s, 1, W0);
    script_expect_bytes(&s, 1, W0);
    mux_consume(s.mux, 1, W0);
    script_expect_silence(&s); /* ACK is the first frame, or none */
    mux_accept(s.mux, 1, NULL);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_ACK, 1, W0);
    script_end(&s);
}

static void a_larger_window_is_announced_with_syn_and_ack(void **state)
{
    struct script s;
    struct mux_config config;

    (void)state;
    script_config(&config, MUX_SERVER);
    config.recv_window = 1u << 20;
    script_start(&s, &config);
    (void)script_open(&s);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 2, (1u << 20) - W0);
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 1, 0);
    script_expect_event(&s, MUX_STREAM_OFFERED, 1, STATUS_OK);
    mux_accept(s.mux, 1, NULL);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_ACK, 1, (1u << 20) - W0);

    script_send_zeros(&s, 1, 1u << 20);
    script_expect_bytes(&s, 1, 1u << 20);
    script_send_zeros(&s, 2, 1u << 20);
    script_expect_event(&s, MUX_STREAM_ACCEPTED, 2, STATUS_OK);
    script_expect_bytes(&s, 2, 1u << 20);
    mux_consume(s.mux, 1, (1u << 19) - 1);
    script_expect_silence(&s);
    mux_consume(s.mux, 1, 1);
    script_expect(&s, WIRE_WINDOW_UPDATE, 0, 1, 1u << 19);
    script_end(&s);
}

/* Before the ACK told it, the peer has the initial window only. */
static void a_larger_window_is_no_good_before_the_ack(void **state)
{
    struct script s;
    struct mux_config config;

    (void)state;
    script_config(&config, MUX_SERVER);
    config.recv_window = 1u << 20;
    script_start(&s, &config);
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 1, 0);
    script_expect_event(&s, MUX_STREAM_OFFERED, 1, STATUS_OK);
    script_send(&s, WIRE_DATA, 0, 1, W0 + 1);
    script_expect_failure(&s, STATUS_PEER_WINDOW);
    script_end(&s);
}

/* What has not arrived yet cannot be consumed, though it was charged. */
static void a_frame_in_pieces_is_charged_once(void **state)
{
    struct script s;
    uint8_t half[100000] = {0};

    (void)state;
    script_start(&s, NULL);
    script_accept(&s, 1);
    script_send(&s, WIRE_DATA, 0, 1, 200000);
    script_send_bytes(&s, half, 100000);
    script_expect_bytes(&s, 1, 100000);
    mux_consume(s.mux, 1, 100000);
#ifndef CONTRACTS_OFF
    expect_assert_failure(mux_consume(s.mux, 1, 1));
#endif
    script_send_bytes(&s, half, 100000);
    script_expect_bytes(&s, 1, 100000);
    mux_consume(s.mux, 1, 100000);
    script_expect(&s, WIRE_WINDOW_UPDATE, 0, 1, 200000);
    script_end(&s);
}

/* ---- sending ------------------------------------------------------------- */

static void no_more_than_the_window_is_sent(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    (void)script_open(&s);
    mux_ready(s.mux, 2, true);
    assert_int_equal(script_write_all(&s, 2), W0); /* before any ACK, too */
    script_expect_silence(&s);
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_ACK, 2, 0);
    script_expect_event(&s, MUX_STREAM_ACCEPTED, 2, STATUS_OK);
    script_expect_silence(&s);
    for (uint32_t grant = 1; grant < 2000; grant += 7) { /* silly windows */
        script_send(&s, WIRE_WINDOW_UPDATE, 0, 2, grant);
        assert_int_equal(script_write_all(&s, 2), grant);
    }
    script_end(&s);
}

static void credit_may_come_with_syn_ack_and_before_the_ack(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 1, 1000);
    script_expect_event(&s, MUX_STREAM_OFFERED, 1, STATUS_OK);
    script_send(&s, WIRE_WINDOW_UPDATE, 0, 1, 200);
    mux_accept(s.mux, 1, NULL);
    mux_ready(s.mux, 1, true);
    assert_int_equal(script_write_all(&s, 1), W0 + 1200);

    (void)script_open(&s);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 2, 0);
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_ACK, 2, 30);
    script_expect_event(&s, MUX_STREAM_ACCEPTED, 2, STATUS_OK);
    mux_ready(s.mux, 2, true);
    assert_int_equal(script_write_all(&s, 2), W0 + 30);
    script_end(&s);
}

static void fifteen_megabytes_of_credit_are_no_payload(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 1, 0x00f00000);
    script_expect_event(&s, MUX_STREAM_OFFERED, 1, STATUS_OK);
    script_expect_alive(&s);
    script_end(&s);
}

/* The largest sum is 2^32-1; one more ends the session, nothing wraps. */
static void credit_beyond_32_bits_ends_the_session(void **state)
{
    static const struct {
        unsigned flags;
        uint32_t first, second;
        bool fails;
    } rows[] = {
        {0, 0xffffffff - W0, 0, false}, {0, 0xffffffff - W0, 1, true},
        {0, 0x100000000 - W0, 0, true}, /* would wrap to 0 */
        {0, 0xffff0000, 0, true},       {0, 0xfffc0000, 0, true},
        {0, 0xffffffff, 0, true},       {0, 1, 0xffffffff - W0, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct script s;
        script_start(&s, NULL);
        script_accept(&s, 1);
        script_send(&s, WIRE_WINDOW_UPDATE, rows[i].flags, 1, rows[i].first);
        if (mux_status(s.mux) == STATUS_OK) {
            script_send(&s, WIRE_WINDOW_UPDATE, 0, 1, rows[i].second);
        }
        if (rows[i].fails) {
            script_expect_failure(&s, STATUS_CREDIT_OVERFLOW);
        } else {
            script_expect_alive(&s);
        }
        script_end(&s);
    }
}

static void credit_in_a_syn_beyond_32_bits_ends_the_session(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 1, 0xffffffff);
    script_expect_failure(&s, STATUS_CREDIT_OVERFLOW);
    assert_int_equal(mux_counters(s.mux)->streams_offered, 0);
    script_end(&s);

    script_start(&s, NULL);
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 1, 0xffffffff - W0);
    script_expect_event(&s, MUX_STREAM_OFFERED, 1, STATUS_OK);
    script_end(&s);
}

static void frames_are_no_longer_than_configured(void **state)
{
    static const uint32_t sizes[] = {1024, 16384, 65536, 262144};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct script s;
        struct mux_config config;
        struct mux_sender sender;
        script_config(&config, MUX_SERVER);
        config.frame_payload_max = sizes[i];
        script_start(&s, &config);
        (void)script_establish(&s);
        mux_ready(s.mux, 2, true);
        assert_true(mux_next_sender(s.mux, &sender));
        assert_int_equal(sender.quota, sizes[i]);
        assert_int_equal(script_write_all(&s, 2), W0);
        script_end(&s);
    }
}

/* ---- turns --------------------------------------------------------------- */

#define TURN 65536u /* bytes of payload */

struct share {
    size_t bytes[4]; /* of streams 2, 4, 6, 8 */
};

/* rounds frames; the stream of index slow sends at most slow_length a frame */
static void take_turns(struct script *s, struct share *share, int frames,
                       uint32_t slow, size_t slow_length)
{
    static uint8_t frame[WIRE_HEADER_SIZE + TURN];
    struct mux_sender sender;
    struct mux_sender again;

    memset(share, 0, sizeof *share);
    for (int i = 0; i < frames && mux_next_sender(s->mux, &sender); i++) {
        assert_true(mux_next_sender(s->mux, &again)); /* a question */
        assert_int_equal(again.stream, sender.stream);
        assert_int_equal(again.quota, sender.quota);
        size_t length = sender.quota;
        if (sender.stream == slow && slow_length < length) {
            length = slow_length;
        }
        mux_emit_data(s->mux, sender.stream, frame, length);
        share->bytes[sender.stream / 2 - 1] += length;
    }
}

static void start_four(struct script *s)
{
    script_start(s, NULL);
    for (uint32_t id = 2; id <= 8; id += 2) {
        (void)script_establish(s);
        script_send(s, WIRE_WINDOW_UPDATE, 0, id, 1u << 28);
        mux_ready(s->mux, id, true);
    }
}

static void expect_sender(struct script *s, uint32_t stream, uint32_t quota)
{
    struct mux_sender sender;

    assert_true(mux_next_sender(s->mux, &sender));
    assert_int_equal(sender.stream, stream);
    assert_int_equal(sender.quota, quota);
}

/* All four are ready, and none of them is fresh. */
static void start_round(struct script *s)
{
    struct share share;

    start_four(s);
    take_turns(s, &share, 4, 0, 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(share.bytes[i], TURN);
    }
}

static void ready_streams_take_turns(void **state)
{
    struct script s;
    struct share share;

    (void)state;
    start_four(&s);
    take_turns(&s, &share, 4000, 0, 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(share.bytes[i], 1000 * TURN);
    }
    script_forget(&s);
}

/* Alone it waits for nobody and keeps nobody waiting. */
static void only_a_lone_stream_sends_more_than_a_turn_in_a_frame(void **state)
{
    static uint8_t frame[WIRE_HEADER_SIZE + 262144];
    struct script s;

    (void)state;
    start_four(&s);
    mux_ready(s.mux, 4, false);
    mux_ready(s.mux, 6, false);
    mux_ready(s.mux, 8, false);
    expect_sender(&s, 2, 262144); /* fresh */
    mux_emit_data(s.mux, 2, frame, 262144);
    expect_sender(&s, 2, 262144);         /* no longer */
    mux_emit_data(s.mux, 2, frame, 1000); /* begins a turn */

    mux_ready(s.mux, 8, true);
    expect_sender(&s, 8, TURN); /* fresh */
    mux_emit_data(s.mux, 8, frame, TURN);
    expect_sender(&s, 2, TURN - 1012);
    mux_emit_data(s.mux, 2, frame, TURN - 1012);
    expect_sender(&s, 8, TURN);
    mux_emit_data(s.mux, 8, frame, TURN);
    expect_sender(&s, 2, TURN);
    mux_ready(s.mux, 2, false);
    expect_sender(&s, 8, 262144);
    script_forget(&s);
}

/* What is left of the turn that has begun becomes shorter, not longer. */
static void a_turn_is_as_long_as_was_said(void **state)
{
    static uint8_t frame[WIRE_HEADER_SIZE + TURN];
    struct script s;
    struct share share;

    (void)state;
    start_round(&s);
    mux_set_turn(s.mux, 30000);
    take_turns(&s, &share, 4, 0, 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(share.bytes[i], 30000);
    }
    mux_emit_data(s.mux, 2, frame, 5000); /* begins a turn */
    expect_sender(&s, 2, 24988);
    mux_set_turn(s.mux, 500000);
    expect_sender(&s, 2, 24988);
    mux_set_turn(s.mux, 10000);
    expect_sender(&s, 2, 10000);
    mux_emit_data(s.mux, 2, frame, 9987); /* a byte is left */
    mux_set_turn(s.mux, 1);
    expect_sender(&s, 2, 1);
    mux_emit_data(s.mux, 2, frame, 1);
    expect_sender(&s, 4, 1);
    mux_set_turn(s.mux, 500000); /* 4 has begun */
    expect_sender(&s, 4, 1);
    mux_emit_data(s.mux, 4, frame, 1);
    expect_sender(&s, 6, 262144); /* the longest frame */
    script_forget(&s);
}

static void the_first_turn_is_as_long_as_was_said(void **state)
{
    struct script s;

    (void)state;
    start_four(&s);
    for (uint32_t id = 2; id <= 8; id += 2) {
        mux_ready(s.mux, id, false);
    }
    mux_set_turn(s.mux, 100000);
    mux_ready(s.mux, 2, true);
    mux_ready(s.mux, 4, true);
    expect_sender(&s, 2, 100000);
    script_forget(&s);
}

static void a_sender_is_named_by_its_user(void **state)
{
    struct script s;
    struct mux_sender sender = {.user = NULL};
    int user;
    uint32_t stream;

    (void)state;
    script_start(&s, NULL);
    assert_int_equal(mux_open(s.mux, s.now_ms, &user, &stream), STATUS_OK);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, stream, 0);
    mux_ready(s.mux, stream, true);
    assert_true(mux_next_sender(s.mux, &sender));
    assert_ptr_equal(sender.user, &user);
    script_forget(&s);
}

/* Small frames get their share of the wire, headers included: no more, and no
 * less as far as headers leave it. */
static void small_frames_get_their_share_of_the_wire(void **state)
{
    struct script s;
    struct share share;
    size_t length = 100;

    (void)state;
    start_four(&s);
    take_turns(&s, &share, 200000, 4, length);
    size_t wire = share.bytes[1] / length * (length + WIRE_HEADER_SIZE);
    assert_in_range(wire, share.bytes[0] * 95 / 100,
                    share.bytes[0] * 105 / 100);
    script_forget(&s);
}

/* One that is ready, not ready, ready again, gains nothing by it. */
static void a_stream_that_comes_back_waits_for_its_turn(void **state)
{
    struct script s;
    static uint8_t frame[WIRE_HEADER_SIZE + TURN];

    (void)state;
    start_round(&s);
    expect_sender(&s, 2, TURN);
    mux_emit_data(s.mux, 2, frame, 100); /* its turn is not over */
    expect_sender(&s, 2, TURN - 112);
    mux_ready(s.mux, 2, false);
    mux_ready(s.mux, 2, true);
    for (uint32_t id = 4; id <= 10; id += 2) {
        expect_sender(&s, id == 10 ? 2 : id, TURN);
        mux_emit_data(s.mux, id == 10 ? 2 : id, frame, TURN);
    }
    script_forget(&s);
}

/* After a round without a frame it goes first, and not again in that round. */
static void who_says_little_does_not_wait_for_who_says_much(void **state)
{
    struct script s;
    struct share share;
    static uint8_t frame[WIRE_HEADER_SIZE + TURN];

    (void)state;
    start_round(&s);
    mux_ready(s.mux, 8, false);
    take_turns(&s, &share, 2, 0, 0); /* 2 and 4 */
    mux_ready(s.mux, 8, true);       /* too early, by the turn of 6 */
    expect_sender(&s, 6, TURN);
    mux_ready(s.mux, 8, false);
    take_turns(&s, &share, 1, 0, 0);
    mux_emit_data(s.mux, 2, frame, 1000); /* its turn is not over */
    mux_ready(s.mux, 8, true);
    expect_sender(&s, 8, TURN);
    mux_ready(s.mux, 8, false); /* a sender may change its mind */
    expect_sender(&s, 2, TURN - 1012);
    mux_ready(s.mux, 8, true);
    expect_sender(&s, 8, TURN);
    mux_emit_data(s.mux, 8, frame, 100);
    expect_sender(&s, 2, TURN - 1012);
    mux_ready(s.mux, 8, false);
    mux_ready(s.mux, 8, true); /* again in the same round: at its end */
    take_turns(&s, &share, 3, 0, 0);
    assert_int_equal(share.bytes[3], 0);
    expect_sender(&s, 8, TURN);
    script_forget(&s);
}

/* Turns that streams give up are turns, too. */
static void a_turn_without_a_frame_counts(void **state)
{
    struct script s;
    static uint8_t frame[WIRE_HEADER_SIZE + TURN];

    (void)state;
    start_round(&s);
    mux_ready(s.mux, 8, false);
    for (uint32_t id = 2; id <= 6; id += 2) {
        mux_ready(s.mux, id, false);
    }
    mux_ready(s.mux, 4, true);
    mux_ready(s.mux, 8, true); /* behind a whole round */
    mux_emit_data(s.mux, 4, frame, 100);
    expect_sender(&s, 8, TURN);
    script_forget(&s);
}

static void a_window_that_is_used_up_ends_one_turn(void **state)
{
    struct script s;
    static uint8_t frame[WIRE_HEADER_SIZE + TURN];

    (void)state;
    script_start(&s, NULL);
    (void)script_establish(&s);
    mux_ready(s.mux, 2, true);
    for (uint32_t left = W0; left > 0; left -= TURN) {
        uint32_t turns = s.mux->turns;
        mux_emit_data(s.mux, 2, frame, TURN);
        assert_in_range(s.mux->turns - turns, 0, 1);
    }
    script_expect_silence(&s);
    script_forget(&s);
}

static void a_turn_ends_though_a_byte_of_credit_is_left(void **state)
{
    struct script s;
    static uint8_t frame[WIRE_HEADER_SIZE + TURN];

    (void)state;
    script_start(&s, NULL);
    for (uint32_t id = 2; id <= 4; id += 2) {
        (void)script_establish(&s);
        mux_ready(s.mux, id, true);
    }
    for (uint32_t left = W0; left > TURN; left -= TURN) {
        mux_emit_data(s.mux, 2, frame, TURN);
        mux_emit_data(s.mux, 4, frame, TURN);
    }
    mux_emit_data(s.mux, 2, frame, TURN - 1);
    expect_sender(&s, 4, TURN);
    script_forget(&s);
}

/* Turns are counted modulo 2^32: who opens is fresh, whatever the count, and
 * who was idle for less than half of that, too. */
static void a_new_stream_is_fresh_after_any_number_of_turns(void **state)
{
    struct script s;
    static uint8_t frame[WIRE_HEADER_SIZE + TURN];

    (void)state;
    start_round(&s);
    mux_ready(s.mux, 8, false);
    s.mux->turns = UINT32_MAX / 2 + 2; /* its next was 3 */
    mux_ready(s.mux, 8, true);
    expect_sender(&s, 8, TURN);
    mux_ready(s.mux, 8, false);
    s.mux->turns++;
    mux_ready(s.mux, 8, true);
    expect_sender(&s, 2, TURN);
    s.mux->turns = UINT32_MAX / 2 + 9;
    assert_int_equal(script_establish(&s), 10);
    mux_ready(s.mux, 10, true);
    expect_sender(&s, 10, TURN);
    mux_emit_data(s.mux, 10, frame, 100);
    script_accept(&s, 1);
    mux_ready(s.mux, 1, true);
    expect_sender(&s, 1, TURN);
    script_forget(&s);
}

/* However many say little, whoever says much has his turn each round; and a
 * stream that opens late is as fresh as the first. */
static void who_comes_and_goes_starves_nobody(void **state)
{
    struct script s;
    struct mux_sender sender;
    static uint8_t frame[WIRE_HEADER_SIZE + TURN];
    uint32_t turns[6] = {0};

    (void)state;
    start_round(&s);
    for (int i = 0; i < 1000; i++) {
        assert_true(mux_next_sender(s.mux, &sender));
        turns[sender.stream / 2]++;
        size_t length = sender.stream == 2 ? sender.quota : 100;
        mux_emit_data(s.mux, sender.stream, frame, length);
        mux_ready(s.mux, sender.stream, sender.stream == 2);
        mux_ready(s.mux, sender.stream, true);
    }
    for (int i = 1; i <= 4; i++) {
        assert_in_range(turns[i], 245, 255);
    }
    assert_int_equal(script_establish(&s), 10);
    mux_ready(s.mux, 10, true);
    expect_sender(&s, 10, TURN);
    script_forget(&s);
}

static void a_stalled_stream_delays_nobody(void **state)
{
    struct script s;
    struct share share;

    (void)state;
    script_start(&s, NULL);
    (void)script_establish(&s);
    (void)script_establish(&s);
    mux_ready(s.mux, 2, true);
    assert_int_equal(script_write_all(&s, 2), W0); /* nobody reads it */
    mux_ready(s.mux, 4, true);
    take_turns(&s, &share, 1000, 0, 0);
    assert_int_equal(share.bytes[1], W0);
    script_send_data(&s, 0, 4, "x", 1); /* nor is reading held up */
    script_expect_data(&s, 4, "x", 1);
    script_expect_alive(&s);
    script_end(&s);
}

/* Whatever the order of "I have bytes" and "you may send". */
static void no_wake_up_is_lost(void **state)
{
    struct script s;
    struct mux_sender sender;

    (void)state;
    for (int order = 0; order < 2; order++) {
        script_start(&s, NULL);
        (void)script_establish(&s);
        mux_ready(s.mux, 2, true);
        assert_int_equal(script_write_all(&s, 2), W0);
        if (order == 0) {
            mux_ready(s.mux, 2, false);
            script_send(&s, WIRE_WINDOW_UPDATE, 0, 2, 10);
            assert_false(mux_next_sender(s.mux, &sender));
            mux_ready(s.mux, 2, true);
            mux_ready(s.mux, 2, true); /* repeated: no harm */
        } else {
            script_send(&s, WIRE_WINDOW_UPDATE, 0, 2, 4);
            script_send(&s, WIRE_WINDOW_UPDATE, 0, 2, 6);
        }
        assert_int_equal(mux_wants(s.mux), MUX_WANTS_OUTPUT);
        assert_int_equal(script_write_all(&s, 2), 10);
        script_end(&s);
    }
}

static void control_goes_before_data(void **state)
{
    struct script s;
    struct mux_sender sender;

    (void)state;
    script_start(&s, NULL);
    (void)script_establish(&s);
    mux_ready(s.mux, 2, true);
    assert_true(mux_next_sender(s.mux, &sender));
    script_send(&s, WIRE_PING, WIRE_SYN, 0, 9);
    assert_false(mux_next_sender(s.mux, &sender));
    script_expect(&s, WIRE_PING, WIRE_ACK, 0, 9);
    assert_true(mux_next_sender(s.mux, &sender));
    script_forget(&s);
}

static void an_end_takes_the_stream_out_of_turn(void **state)
{
    struct script s;
    struct mux_sender sender;
    static uint8_t frame[WIRE_HEADER_SIZE + 1000];

    (void)state;
    start_round(&s);
    mux_emit_data(s.mux, 2, frame, 1000);
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_RST, 2, 0); /* in its turn */
    script_expect_event(&s, MUX_STREAM_ENDED, 2, STATUS_RESET);
    expect_sender(&s, 4, TURN); /* a turn of its own */
    mux_reset(s.mux, 4);
    assert_false(mux_finish(s.mux, 6));
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_RST, 4, 0);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_FIN, 6, 0);
    assert_true(mux_next_sender(s.mux, &sender));
    assert_int_equal(sender.stream, 8);
    mux_ready(s.mux, 8, false);
    script_end(&s);
}

static const struct CMUnitTest tests[] = {
    REQ("D12,W-01", exactly_the_window_may_be_sent),
    REQ("D12,W-02", headers_do_not_count_against_the_window),
    REQ("D12,D2,W-03,W-05", one_byte_beyond_the_window_ends_the_session),
    REQ("D12,W-04,CVE-2026-32314",
        a_first_frame_beyond_the_window_leaves_nothing),
    REQ("D12,O-20", the_first_window_may_ride_on_the_syn),
    REQ("D11,W-05,W-06,CVE-2026-73568",
        a_length_that_nobody_granted_ends_the_session),
    REQ("D11,W-06", payload_of_unknown_streams_is_drained_up_to_a_window),
    REQ("D14,L-05,W-07", credit_is_given_back_from_half_the_window_on),
    REQ("D14,D27", updates_that_wait_become_one),
    REQ("D14,W-22", no_credit_is_sent_to_a_peer_that_has_finished),
    REQ("D6,D14,O-05", consumption_before_accept_is_granted_with_the_ack),
    REQ("D5,D35,O-06", a_larger_window_is_announced_with_syn_and_ack),
    REQ("D35,D12", a_larger_window_is_no_good_before_the_ack),
    REQ("D2,D12", a_frame_in_pieces_is_charged_once),
    REQ("L-05,W-10,W-11,W-12", no_more_than_the_window_is_sent),
    REQ("D13,O-04,W-14", credit_may_come_with_syn_ack_and_before_the_ack),
    REQ("D13,W-25", fifteen_megabytes_of_credit_are_no_payload),
    REQ("D13,W-16,W-17,CVE-2026-31814", credit_beyond_32_bits_ends_the_session),
    REQ("D13,W-18", credit_in_a_syn_beyond_32_bits_ends_the_session),
    REQ("D15,W-24", frames_are_no_longer_than_configured),
    REQ("D26,L-05", ready_streams_take_turns),
    REQ("D26,L-05,P-02", only_a_lone_stream_sends_more_than_a_turn_in_a_frame),
    REQ("D26,P-02,P-04", a_turn_is_as_long_as_was_said),
    REQ("D26,P-02,P-04", the_first_turn_is_as_long_as_was_said),
    REQ("D26", a_sender_is_named_by_its_user),
    REQ("D26,L-05", small_frames_get_their_share_of_the_wire),
    REQ("D26", a_stream_that_comes_back_waits_for_its_turn),
    REQ("D26,L-05,P-04", who_says_little_does_not_wait_for_who_says_much),
    REQ("D26,L-05", who_comes_and_goes_starves_nobody),
    REQ("L-05,D26,W-21", a_stalled_stream_delays_nobody),
    REQ("L-05,D26", no_wake_up_is_lost),
    REQ("D26,Y-05", control_goes_before_data),
    REQ("D26", a_turn_without_a_frame_counts),
    REQ("D26", a_window_that_is_used_up_ends_one_turn),
    REQ("D26", a_turn_ends_though_a_byte_of_credit_is_left),
    REQ("D26", a_new_stream_is_fresh_after_any_number_of_turns),
    REQ("D26,D18", an_end_takes_the_stream_out_of_turn),
};
RUN(tests)
