/* The session as a whole: pings, silence, go-away, failure, memory. */
#include "core/test/script.h"

#include <stdlib.h>
#include <string.h>

#include "core/mux_internal.h"

static void start_pinging(struct script *s)
{
    struct mux_config config;

    mux_config_default(&config, MUX_SERVER);
    script_start(s, &config);
}

/* ---- framing ------------------------------------------------------------- */

static void another_version_or_type_ends_the_session(void **state)
{
    static const struct {
        uint8_t version, type;
        enum status status;
    } rows[] = {{1, 2, STATUS_BAD_VERSION},
                {255, 255, STATUS_BAD_VERSION},
                {0, 4, STATUS_BAD_TYPE},
                {0, 255, STATUS_BAD_TYPE}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct script s;
        uint8_t bytes[WIRE_HEADER_SIZE] = {rows[i].version, rows[i].type, 0, 1};
        script_start(&s, NULL);
        assert_null(mux_offending_header(s.mux));
        script_send_bytes(&s, bytes, sizeof bytes - 1);
        script_expect_no_event(&s);
        script_send_bytes(&s, bytes + sizeof bytes - 1, 1);
        script_expect_failure(&s, rows[i].status);
        assert_memory_equal(mux_offending_header(s.mux), bytes, sizeof bytes);
        script_end(&s);
    }
}

static void unknown_flags_are_ignored_and_counted(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_SYN | 0x8010, 1, 0);
    script_expect_event(&s, MUX_STREAM_OFFERED, 1, STATUS_OK);
    mux_accept(s.mux, 1, NULL);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_ACK, 1, 0);
    script_send(&s, WIRE_PING, WIRE_SYN | 0x8000, 0, 9);
    script_expect(&s, WIRE_PING, WIRE_ACK, 0, 9); /* exactly ACK */
    assert_int_equal(mux_counters(s.mux)->unknown_flags, 2);
    script_send(&s, WIRE_WINDOW_UPDATE, 0xfff0, 1, 0);
    assert_int_equal(mux_counters(s.mux)->unknown_flags, 3);
    script_send(&s, WIRE_WINDOW_UPDATE, 0, 1, 1); /* with none */
    assert_int_equal(mux_counters(s.mux)->unknown_flags, 3);
    script_expect_alive(&s);
    script_end(&s);
}

static void length_is_a_body_only_of_data(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    script_accept(&s, 1);
    script_send(&s, WIRE_WINDOW_UPDATE, 0, 1, 12);
    script_send(&s, WIRE_PING, WIRE_SYN, 0, 12);
    script_send(&s, WIRE_PING, WIRE_SYN, 0, 13);
    script_expect(&s, WIRE_PING, WIRE_ACK, 0, 12);
    script_expect(&s, WIRE_PING, WIRE_ACK, 0, 13);
    script_end(&s);
}

static void session_frames_on_a_stream_id_end_the_session(void **state)
{
    (void)state;
    for (unsigned flags = 0; flags < 16; flags++) {
        for (int type = WIRE_PING; type <= WIRE_GO_AWAY; type++) {
            struct script s;
            script_start(&s, NULL);
            script_accept(&s, 1);
            script_send(&s, (enum wire_type)type, flags, 1, 0);
            script_expect_failure(&s, STATUS_BAD_SESSION_ID);
            script_end(&s);
        }
    }
}

/* ---- pings --------------------------------------------------------------- */

static void pings_are_answered_in_order_with_their_opaque(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    for (uint32_t burst = 0; burst < 20; burst++) {
        for (uint32_t i = 0; i < MUX_PONGS_MAX; i++) {
            script_send(&s, WIRE_PING, WIRE_SYN, 0, burst * 0x01010101 + i);
        }
        for (uint32_t i = 0; i < MUX_PONGS_MAX; i++) {
            script_expect(&s, WIRE_PING, WIRE_ACK, 0, burst * 0x01010101 + i);
        }
        script_expect_silence(&s);
    }
    assert_int_equal(mux_counters(s.mux)->pings_answered, 20 * MUX_PONGS_MAX);
    script_end(&s);
}

/* Conformance case P-07. */
static void a_hundred_pings_at_once_are_all_answered(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    for (uint32_t i = 0; i < 100; i++) {
        script_send(&s, WIRE_PING, WIRE_SYN, 0, i);
    }
    for (uint32_t i = 0; i < 100; i++) {
        script_expect(&s, WIRE_PING, WIRE_ACK, 0, i);
    }
    script_expect_silence(&s);
    script_end(&s);
}

/* The newest are dropped: reading never stops, memory never grows. */
static void pings_that_nobody_lets_out_are_dropped(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    script_accept(&s, 1);
    for (uint32_t i = 0; i < 164; i++) {
        script_send(&s, WIRE_PING, WIRE_SYN, 0, i);
    }
    script_send_data(&s, 0, 1, "x", 1);
    script_expect_data(&s, 1, "x", 1);
    assert_int_equal(mux_counters(s.mux)->pings_dropped, 36);
    for (uint32_t i = 0; i < 128; i++) {
        script_expect(&s, WIRE_PING, WIRE_ACK, 0, i);
    }
    script_end(&s);
}

static void a_thousand_unanswered_pings_are_abuse(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    for (uint32_t i = 0; i < 1000; i++) {
        script_send(&s, WIRE_PING, WIRE_SYN, 0, i);
    }
    script_expect_no_event(&s);
    script_send(&s, WIRE_PING, WIRE_SYN, 0, 1000);
    script_expect_failure(&s, STATUS_ABUSE);
    script_end(&s);
}

/* ... within ten seconds; a peer that pings once in a while is none. */
static void ping_often(struct script *s, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        script_send(s, WIRE_PING, WIRE_SYN, 0, i);
    }
}

/* Of those that wait for their answer, none is forgiven. */
static void in_each_period_a_thousand_are_abuse(void **state)
{
    struct mux_config config;
    struct script s;

    (void)state;
    script_config(&config, MUX_SERVER);
    config.ping_interval_ms = 0;
    script_start(&s, &config);
    for (int period = 0; period < 3; period++) {
        script_wait(&s, 20000);
        ping_often(&s, period == 0 ? 1000 : 1000 - MUX_PONGS_MAX);
        script_expect_no_event(&s);
    }
    script_wait(&s, 9999);
    ping_often(&s, 1);
    script_expect_failure(&s, STATUS_ABUSE);
    script_end(&s);
}

static void a_new_period_forgives_unanswered_pings(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    for (int period = 0; period < 3; period++) {
        for (uint32_t i = 0; i < 850; i++) {
            script_send(&s, WIRE_PING, WIRE_SYN, 0, i);
        }
        script_wait(&s, period == 0 ? 9999 : 1);
        assert_int_equal(mux_status(s.mux), STATUS_OK);
        if (period == 0) {
            script_wait(&s, 1);
        }
        if (period == 1) {
            break;
        }
    }
    script_send(&s, WIRE_PING, WIRE_SYN, 0, 0);
    assert_int_equal(mux_status(s.mux), STATUS_OK);
    script_forget(&s);
}

static void a_ping_with_syn_and_ack_is_a_ping(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    script_send(&s, WIRE_PING, WIRE_SYN | WIRE_ACK, 0, 7);
    script_expect(&s, WIRE_PING, WIRE_ACK, 0, 7);
    script_end(&s);
}

static void pongs_that_nobody_asked_for_are_ignored(void **state)
{
    struct script s;

    (void)state;
    start_pinging(&s);
    script_send(&s, WIRE_PING, WIRE_ACK, 0, 7);
    script_send(&s, WIRE_PING, 0, 0, 7); /* nor is it one */
    assert_int_equal(mux_counters(s.mux)->pongs_ignored, 2);

    script_wait(&s, 5000);
    script_send(&s, WIRE_PING, WIRE_ACK, 0, 1); /* before it is even out */
    script_expect(&s, WIRE_PING, WIRE_SYN, 0, 1);
    script_send(&s, WIRE_PING, WIRE_ACK, 0, 2); /* another opaque */
    assert_int_equal(mux_rtt_ms(s.mux), UINT64_MAX);
    script_wait(&s, 30);
    script_send(&s, WIRE_PING, WIRE_ACK, 0, 1);
    assert_int_equal(mux_rtt_ms(s.mux), 30);
    script_send(&s, WIRE_PING, WIRE_ACK, 0, 1); /* twice */
    assert_int_equal(mux_counters(s.mux)->pongs_ignored, 5);
    script_expect_alive(&s);
    script_end(&s);
}

/* ---- silence ------------------------------------------------------------- */

static void a_silent_peer_is_given_up_after_three_intervals(void **state)
{
    struct script s;

    (void)state;
    start_pinging(&s);
    assert_int_equal(mux_deadline(s.mux), s.now_ms + 5000);
    script_wait(&s, 4999);
    script_expect_silence(&s);
    script_wait(&s, 1);
    script_expect(&s, WIRE_PING, WIRE_SYN, 0, 1);
    script_wait(&s, 5000);
    script_expect_silence(&s); /* one outstanding (D24) */
    script_wait(&s, 4999);
    script_expect_no_event(&s);
    script_wait(&s, 1);
    script_expect_event(&s, MUX_FAILED, 0, STATUS_PING_TIMEOUT);
    script_expect_silence(&s); /* nobody would read a go-away */
    assert_int_equal(mux_wants(s.mux), MUX_IS_OVER);
    assert_int_equal(mux_deadline(s.mux), UINT64_MAX);
    assert_null(mux_offending_header(s.mux));
    script_wait(&s, 50000);
    script_end(&s);
}

/* To look for input and find none is none. */
static void no_byte_is_no_sign_of_life(void **state)
{
    struct script s;
    struct mux_event event;
    struct span none = {NULL, 0};

    (void)state;
    start_pinging(&s);
    script_wait(&s, 4999);
    assert_false(mux_receive(s.mux, s.now_ms, &none, &event));
    assert_int_equal(mux_deadline(s.mux), s.now_ms + 1);
    script_end(&s);
}

/* One byte of a header that is never complete: the link is alive. */
static void any_byte_is_a_sign_of_life(void **state)
{
    struct script s;
    uint8_t header[WIRE_HEADER_SIZE] = {0, 2, 0, 2};

    (void)state;
    start_pinging(&s);
    for (size_t i = 0; i < sizeof header; i++) {
        script_wait(&s, 14999 - 10000); /* 4999 */
        script_expect_silence(&s);
        script_send_bytes(&s, header + i, 1);
    }
    script_wait(&s, 5000);
    script_expect(&s, WIRE_PING, WIRE_SYN, 0, 1);
    script_wait(&s, 9999);
    script_send_bytes(&s, header, 1); /* at the last moment */
    script_wait(&s, 14999);
    script_expect_no_event(&s);
    script_forget(&s);
}

/* Bytes of what carries the session, which are no input of it. */
static void what_was_heard_is_a_sign_of_life(void **state)
{
    struct script s;

    (void)state;
    start_pinging(&s);
    for (int i = 0; i < 10; i++) {
        script_wait(&s, 4999);
        script_expect_silence(&s);
        mux_heard(s.mux, s.now_ms);
    }
    assert_int_equal(mux_deadline(s.mux), s.now_ms + 5000);
    script_end(&s);
}

static void a_peer_that_answers_pings_lives_for_ever(void **state)
{
    struct script s;

    (void)state;
    start_pinging(&s);
    for (uint32_t i = 1; i <= 1000; i++) {
        script_wait(&s, 5000);
        script_expect(&s, WIRE_PING, WIRE_SYN, 0, i);
        script_send(&s, WIRE_PING, WIRE_ACK, 0, i);
    }
    assert_int_equal(mux_counters(s.mux)->useless_frames, 0);
    script_end(&s);
}

/* After a process was stopped, what the peer sent waits in the socket: one
 * tick, however late, is one interval. */
static void a_late_tick_counts_one_interval(void **state)
{
    struct script s;

    (void)state;
    start_pinging(&s);
    script_wait(&s, 3600000);
    script_expect(&s, WIRE_PING, WIRE_SYN, 0, 1);
    assert_int_equal(mux_deadline(s.mux), s.now_ms + 5000);
    script_wait(&s, 3600000);
    script_expect_no_event(&s);
    script_send(&s, WIRE_PING, WIRE_ACK, 0, 1);
    script_wait(&s, 5000);
    script_expect(&s, WIRE_PING, WIRE_SYN, 0, 2);
    script_end(&s);
}

static void the_number_of_missed_intervals_is_a_knob(void **state)
{
    (void)state;
    for (uint32_t missed = 1; missed < 6; missed++) {
        struct script s;
        struct mux_config config;
        mux_config_default(&config, MUX_CLIENT);
        config.ping_missed_max = missed;
        config.ping_interval_ms = 10;
        script_start(&s, &config);
        script_wait(&s, 0);
        for (uint32_t i = 1; i < missed; i++) {
            script_wait(&s, 10);
            script_expect_no_event(&s);
        }
        script_wait(&s, 10);
        script_expect_event(&s, MUX_FAILED, 0, STATUS_PING_TIMEOUT);
        script_end(&s);
    }
}

/* ---- go-away ------------------------------------------------------------- */

static void a_peer_that_goes_away_keeps_its_streams(void **state)
{
    struct script s;
    uint32_t stream;

    (void)state;
    script_start(&s, NULL);
    (void)script_establish(&s);
    script_send(&s, WIRE_GO_AWAY, 5, 0, 0); /* flags mean nothing here */
    script_expect_event(&s, MUX_PEER_GOING_AWAY, 0, STATUS_OK);
    assert_int_equal(mux_open(s.mux, s.now_ms, NULL, &stream),
                     STATUS_GOING_AWAY);
    script_send_data(&s, 0, 2, "b", 1);
    script_expect_data(&s, 2, "b", 1);
    script_accept(&s, 1); /* it may still open */
    script_send(&s, WIRE_GO_AWAY, 0, 0, 0);
    script_expect_no_event(&s); /* told once */
    script_expect_alive(&s);
    script_end(&s);
}

static void a_go_away_with_an_error_ends_the_session(void **state)
{
    static const uint32_t codes[] = {1, 2, 3, 0x1005, 0xffffffff};

    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        struct script s;
        script_start(&s, NULL);
        (void)script_establish(&s);
        script_send(&s, WIRE_GO_AWAY, 0, 0, codes[i]);
        script_expect_failure(&s, STATUS_PEER_ERROR);
        assert_int_equal(mux_stream_count(s.mux), 0);
        assert_false(mux_is_live(s.mux, 2));
        assert_int_equal(mux_offending_header(s.mux)[11], (uint8_t)codes[i]);
        script_end(&s);
    }
}

static void draining_says_go_away_when_the_last_stream_is_gone(void **state)
{
    struct script s;
    uint32_t stream;

    (void)state;
    script_start(&s, NULL);
    (void)script_establish(&s);
    mux_go_away(s.mux, false);
    script_expect_silence(&s);
    assert_int_equal(mux_open(s.mux, s.now_ms, NULL, &stream), STATUS_DRAINING);
    script_send_data(&s, WIRE_SYN, 3, "0123456789", 10); /* refused, drained */
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_RST, 3, 0);
    script_send_data(&s, 0, 2, "old", 3);
    script_expect_data(&s, 2, "old", 3);
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_FIN, 2, 0);
    script_expect_event(&s, MUX_STREAM_FINISHED, 2, STATUS_OK);
    assert_true(mux_finish(s.mux, 2));
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_FIN, 2, 0);
    script_expect(&s, WIRE_GO_AWAY, 0, 0, 0);
    mux_go_away(s.mux, true); /* once */
    script_end(&s);
}

static void draining_may_tell_the_peer_at_once(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    (void)script_establish(&s);
    mux_go_away(s.mux, false);
    mux_go_away(s.mux, true);
    mux_go_away(s.mux, false);
    script_expect(&s, WIRE_GO_AWAY, 0, 0, 0);
    assert_true(mux_is_live(s.mux, 2));
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 1, 0);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_RST, 1, 0);
    mux_reset(s.mux, 2);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_RST, 2, 0);
    script_end(&s);
}

static void
a_second_syn_while_draining_is_not_refused_and_delivered(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    script_accept(&s, 1);
    mux_go_away(s.mux, true);
    script_expect(&s, WIRE_GO_AWAY, 0, 0, 0);
    script_send_data(&s, WIRE_SYN, 1, "x", 1);
    script_expect_failure(&s, STATUS_DUPLICATE_SYN);
    script_end(&s);
}

/* ---- failure ------------------------------------------------------------- */

static void a_failed_session_is_inert(void **state)
{
    struct script s;
    uint32_t stream;
    struct mux_sender sender;
    uint8_t bytes[64];

    (void)state;
    script_start(&s, NULL);
    (void)script_establish(&s);
    mux_ready(s.mux, 2, true);
    (void)script_open(&s);
    script_send(&s, WIRE_PING, WIRE_SYN, 0, 1);
    assert_int_equal(mux_fail(s.mux, STATUS_TRANSPORT_LOST),
                     STATUS_TRANSPORT_LOST);
    assert_int_equal(mux_fail(s.mux, STATUS_SHUT_DOWN), STATUS_TRANSPORT_LOST);
    assert_int_equal(mux_status(s.mux), STATUS_TRANSPORT_LOST);
    assert_int_equal(mux_wants(s.mux), MUX_IS_OVER);
    assert_int_equal(mux_deadline(s.mux), UINT64_MAX);
    assert_int_equal(mux_stream_count(s.mux), 0);
    assert_false(mux_is_live(s.mux, 2));
    assert_false(mux_next_sender(s.mux, &sender));
    assert_int_equal(mux_emit_control(s.mux, s.now_ms, bytes, 64), 0);
    assert_int_equal(mux_open(s.mux, s.now_ms, NULL, &stream),
                     STATUS_SESSION_CLOSED);
    mux_go_away(s.mux, true);
    script_send_zeros(&s, 2, 100000);
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 1, 0);
    script_wait(&s, 1000000);
    script_end(&s);
}

static void our_own_verdict_is_told_to_the_peer(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    (void)script_open(&s);
    mux_fail(s.mux, STATUS_ABUSE);
    assert_int_equal(mux_wants(s.mux), MUX_WANTS_OUTPUT);
    script_expect(&s, WIRE_GO_AWAY, 0, 0, 1); /* instead of all else */
    assert_int_equal(mux_wants(s.mux), MUX_IS_OVER);
    script_end(&s);
}

/* ---- memory and output --------------------------------------------------- */

static size_t pages_touched(const uint8_t *memory, size_t size)
{
    size_t pages = 0;

    for (size_t at = 0; at < size; at += 4096) {
        size_t length = size - at < 4096 ? size - at : 4096;
        for (size_t i = 0; i < length; i++) {
            if (memory[at + i] != 0) {
                pages++;
                break;
            }
        }
    }
    return pages;
}

static void an_idle_session_touches_one_page(void **state)
{
    struct script s;

    (void)state;
    start_pinging(&s);
    assert_true(sizeof(struct mux) <= 4096);
    assert_in_range(pages_touched(s.memory, s.memory_size), 1, 1);
    script_wait(&s, 5000);
    script_expect(&s, WIRE_PING, WIRE_SYN, 0, 1);
    script_send(&s, WIRE_PING, WIRE_ACK, 0, 1);
    script_expect_alive(&s);
    assert_in_range(pages_touched(s.memory, s.memory_size), 1, 1);
    script_end(&s);
}

/* Slots are used again before new ones are touched. */
static void streams_one_after_another_share_a_room(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    for (int i = 0; i < 1000; i++) {
        uint32_t id = script_establish(&s);
        script_send(&s, WIRE_WINDOW_UPDATE, WIRE_FIN, id, 0);
        script_expect_event(&s, MUX_STREAM_FINISHED, id, STATUS_OK);
        assert_true(mux_finish(s.mux, id));
        script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_FIN, id, 0);
    }
    assert_int_equal(s.mux->table.touched, 1);
    script_end(&s);
}

static void a_stream_costs_at_most_88_bytes(void **state)
{
    struct mux_config config;

    (void)state;
    script_config(&config, MUX_SERVER);
    config.inbound_max = 0;
    config.outbound_max = 0;
    size_t constant = mux_size(&config);
    assert_true(constant <= 4096);
    for (uint32_t streams = 1; streams <= 32768; streams += 13) {
        config.outbound_max = streams;
        assert_true(mux_size(&config) <= constant + 88 * (size_t)streams);
    }
    config.outbound_max = 32768;
    config.inbound_max = 32768;
    assert_true(mux_size(&config) <= constant + 88 * (size_t)65536);
}

/* Small enough that ids share chains, and ends come in another order. */
static void streams_that_share_a_chain_are_told_apart(void **state)
{
    struct script s;
    struct mux_config config;
    struct mux_event event;

    (void)state;
    script_config(&config, MUX_SERVER);
    for (uint64_t key = 0; key < 20; key++) {
        config.outbound_max = 4;
        config.hash_key[0] = key;
        script_start(&s, &config);
        for (uint32_t id = 2; id <= 8; id += 2) {
            assert_int_equal(script_establish(&s), id);
        }
        script_send(&s, WIRE_WINDOW_UPDATE, WIRE_RST, 4, 0);
        script_expect_event(&s, MUX_STREAM_ENDED, 4, STATUS_RESET);
        assert_false(mux_is_live(s.mux, 4));
        mux_invariant(s.mux);
        assert_int_equal(script_establish(&s), 10);
        for (uint32_t id = 2; id <= 10; id += 2) {
            assert_int_equal(mux_is_live(s.mux, id), id != 4);
        }
        assert_false(mux_tick(s.mux, s.now_ms, &event));
        script_end(&s);
    }
}

/* Ids that a plain hash would put into one chain: the key spreads them. */
static void ids_cannot_be_chosen_to_share_a_chain(void **state)
{
    struct mux_config config;
    struct script s;
    uint32_t longest = 0;

    (void)state;
    script_config(&config, MUX_SERVER);
    config.inbound_max = 1024;
    config.outbound_max = 0;
    script_start(&s, &config);
    for (uint32_t i = 0; i < 1024; i++) {
        script_send(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, i << 16 | 1, 0);
    }
    const struct stream_table *table = &s.mux->table;
    for (uint32_t bucket = 0; bucket <= table->bucket_mask; bucket++) {
        uint32_t length = 0;
        for (uint32_t name = table->buckets[bucket]; name != 0;
             name = table->slots[name - 1].chain) {
            length++;
        }
        longest = length > longest ? length : longest;
    }
    assert_in_range(longest, 2, 12); /* of 1,024 in 1,024 at random: 5 or 6 */
    script_forget(&s);
}

static void every_stream_that_is_allowed_finds_room(void **state)
{
    struct script s;
    struct mux_config config;

    (void)state;
    script_config(&config, MUX_SERVER);
    config.outbound_max = 300;
    config.inbound_max = 200;
    config.unacked_max = 300;
    script_start(&s, &config);
    for (uint32_t i = 0; i < 300; i++) {
        (void)script_open(&s);
    }
    for (uint32_t i = 0; i < 200; i++) {
        script_send(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 2 * i + 1, 0);
        script_expect_event(&s, MUX_STREAM_OFFERED, 2 * i + 1, STATUS_OK);
    }
    assert_int_equal(mux_stream_count(s.mux), 500);
    mux_invariant(s.mux);
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 401, 0);
    assert_int_equal(mux_counters(s.mux)->streams_refused, 1);
    script_forget(&s);
}

/* Output is built on demand: whatever comes in while nothing goes out, what is
 * owed stays below one frame of each kind a stream and the two rings. */
static void what_is_owed_is_bounded_by_the_configuration(void **state)
{
    struct script s;
    struct mux_config config;

    (void)state;
    script_config(&config, MUX_SERVER);
    config.inbound_max = 8;
    config.useless_burst = 1000000;
    script_start(&s, &config);
    for (uint32_t i = 0; i < 250; i++) {
        uint32_t id = 2 * i + 1;
        script_send(&s, WIRE_PING, WIRE_SYN, 0, i);
        script_send(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, id, 0);
        if (!mux_is_live(s.mux, id)) {
            continue; /* refused: all rooms owe frames */
        }
        mux_accept(s.mux, id, NULL);
        script_send_zeros(&s, id, 200000);
        mux_consume(s.mux, id, 200000);
        if (i % 2 == 0) {
            script_send(&s, WIRE_WINDOW_UPDATE, WIRE_RST, id, 0);
        } else {
            script_send(&s, WIRE_WINDOW_UPDATE, WIRE_FIN, id, 0);
            assert_true(mux_finish(s.mux, id));
        }
    }
    assert_int_equal(mux_status(s.mux), STATUS_OK);
    assert_int_equal(mux_counters(s.mux)->streams_offered, 16);
    script_flush(&s);
    assert_int_equal(s.out_length, 12 * (2 * 8 + MUX_PONGS_MAX + 234));
    script_forget(&s);
}

/* With exactly the smallest capacity everything still comes out, whole. */
static void the_smallest_buffer_is_enough(void **state)
{
    struct script s;
    struct mux_config config;

    (void)state;
    script_config(&config, MUX_SERVER);
    config.preface_length = 4;
    script_start(&s, &config);
    s.capacity = 32;
    for (uint32_t i = 0; i < 5; i++) {
        script_send(&s, WIRE_PING, WIRE_SYN, 0, i);
        (void)script_open(&s);
    }
    for (uint32_t i = 0; i < 5; i++) {
        script_expect(&s, WIRE_PING, WIRE_ACK, 0, i);
    }
    for (uint32_t i = 0; i < 5; i++) {
        script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 2 * i + 2, 0);
        script_expect(&s, WIRE_DATA, 0, 2 * i + 2, 4);
        script_expect_payload(&s, "\0\0\0\0", 4);
    }
    script_end(&s);
}

static void the_defaults_are_those_of_the_decisions(void **state)
{
    (void)state;
    for (int role = MUX_CLIENT; role <= MUX_SERVER; role++) {
        struct mux_config config;
        memset(&config, 0xff, sizeof config);
        mux_config_default(&config, (enum mux_role)role);
        assert_int_equal(config.role, role);
        assert_int_equal(config.outbound_max, 1024);
        assert_int_equal(config.inbound_max, 256);
        assert_int_equal(config.unacked_max, 256);
        assert_int_equal(config.recv_window, 262144);
        assert_int_equal(config.frame_payload_max, 262144);
        assert_int_equal(config.ping_missed_max, 3);
        assert_int_equal(config.ping_interval_ms, 5000);
        assert_int_equal(config.open_timeout_ms, 30000);
        assert_int_equal(config.accept_timeout_ms, 60000);
        assert_int_equal(config.useless_burst, 10000);
        assert_int_equal(config.useless_per_s, 1000);
        assert_int_equal(config.refused_max, 0);
        assert_int_equal(config.hash_key[0] | config.hash_key[1], 0);
        assert_int_equal(config.preface_length, 0);
    }
}

static void frames_and_bytes_are_counted(void **state)
{
    struct script s;
    const struct mux_counters *counters;

    (void)state;
    script_start(&s, NULL);
    counters = mux_counters(s.mux);
    (void)script_establish(&s);
    script_accept(&s, 1);
    mux_ready(s.mux, 2, true);
    script_write(&s, 2, "hello", 5);
    script_send_data(&s, 0, 2, "abc", 3);
    script_send(&s, WIRE_PING, WIRE_SYN, 0, 0);
    script_flush(&s);
    assert_int_equal(counters->frames_in, 4);
    assert_int_equal(counters->frames_out, 4);
    assert_int_equal(counters->data_bytes_in, 3);
    assert_int_equal(counters->data_bytes_out, 5);
    assert_int_equal(counters->streams_opened, 1);
    assert_int_equal(counters->streams_offered, 1);
    assert_int_equal(counters->pings_answered, 1);
    script_forget(&s);
}

static const struct CMUnitTest tests[] = {
    REQ("D32,F-08,F-09,F-10,F-11", another_version_or_type_ends_the_session),
    REQ("D32,Y-01,F-12,F-13", unknown_flags_are_ignored_and_counted),
    REQ("D2,F-14,F-15", length_is_a_body_only_of_data),
    REQ("Y-01,D21,G-07", session_frames_on_a_stream_id_end_the_session),
    REQ("D23,Y-05", pings_are_answered_in_order_with_their_opaque),
    REQ("D23,Y-02", a_hundred_pings_at_once_are_all_answered),
    REQ("D23,Y-05,CVE-2024-32984", pings_that_nobody_lets_out_are_dropped),
    REQ("D23,X16,CVE-2024-32984", a_thousand_unanswered_pings_are_abuse),
    REQ("D23", in_each_period_a_thousand_are_abuse),
    REQ("D23", a_new_period_forgives_unanswered_pings),
    REQ("D23", a_ping_with_syn_and_ack_is_a_ping),
    REQ("D24", pongs_that_nobody_asked_for_are_ignored),
    REQ("L-01,D25,AC-14", a_silent_peer_is_given_up_after_three_intervals),
    REQ("L-01", no_byte_is_no_sign_of_life),
    REQ("L-01,D25", any_byte_is_a_sign_of_life),
    REQ("L-01", what_was_heard_is_a_sign_of_life),
    REQ("L-01,D24,D25", a_peer_that_answers_pings_lives_for_ever),
    REQ("L-01", a_late_tick_counts_one_interval),
    REQ("L-01", the_number_of_missed_intervals_is_a_knob),
    REQ("D21,G-01,G-02,G-03,G-08,G-09",
        a_peer_that_goes_away_keeps_its_streams),
    REQ("D21,G-04,G-05,G-06", a_go_away_with_an_error_ends_the_session),
    REQ("D22,G-10,G-12", draining_says_go_away_when_the_last_stream_is_gone),
    REQ("D22", draining_may_tell_the_peer_at_once),
    REQ("D9,D22,G-13",
        a_second_syn_while_draining_is_not_refused_and_delivered),
    REQ("D19,D38", a_failed_session_is_inert),
    REQ("D22,G-11", our_own_verdict_is_told_to_the_peer),
    REQ("P-05,D1", an_idle_session_touches_one_page),
    REQ("P-05,D27", streams_one_after_another_share_a_room),
    REQ("P-05,P-10", a_stream_costs_at_most_88_bytes),
    REQ("D29", streams_that_share_a_chain_are_told_apart),
    REQ("D29", ids_cannot_be_chosen_to_share_a_chain),
    REQ("D8,D29,L-02,CVE-2022-23492", every_stream_that_is_allowed_finds_room),
    REQ("D27,D28,Y-05", what_is_owed_is_bounded_by_the_configuration),
    REQ("D26,D27", the_smallest_buffer_is_enough),
    REQ("Y-01,L-01,L-02", the_defaults_are_those_of_the_decisions),
    REQ("D43", frames_and_bytes_are_counted),
};
RUN(tests)
