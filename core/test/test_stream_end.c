/* The end of a stream: half-closing, finishing, resetting. */
#include "core/test/script.h"

/* ---- half-close ---------------------------------------------------------- */

static void the_peer_goes_on_after_our_fin_without_age_limit(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    (void)script_establish(&s);
    assert_false(mux_finish(s.mux, 2));
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_FIN, 2, 0);
    assert_int_equal(mux_deadline(s.mux), UINT64_MAX); /* D20: no timer */
    for (int day = 0; day < 4; day++) {
        script_wait(&s, 86400000);
        script_send_zeros(&s, 2, WIRE_WINDOW_INITIAL / 2);
        script_expect_bytes(&s, 2, WIRE_WINDOW_INITIAL / 2);
        mux_consume(s.mux, 2, WIRE_WINDOW_INITIAL / 2); /* credit goes on */
        script_expect(&s, WIRE_WINDOW_UPDATE, 0, 2, WIRE_WINDOW_INITIAL / 2);
    }
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_FIN, 2, 0);
    script_expect_event(&s, MUX_STREAM_FINISHED, 2, STATUS_OK);
    script_expect_event(&s, MUX_STREAM_ENDED, 2, STATUS_OK);
    script_end(&s);
}

static void we_go_on_after_the_peers_fin(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    (void)script_establish(&s);
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_FIN, 2, 0);
    script_expect_event(&s, MUX_STREAM_FINISHED, 2, STATUS_OK);
    mux_ready(s.mux, 2, true);
    assert_int_equal(script_write_all(&s, 2), WIRE_WINDOW_INITIAL);
    script_send(&s, WIRE_WINDOW_UPDATE, 0, 2, 131072); /* honoured (W-15) */
    assert_int_equal(script_write_all(&s, 2), 131072);
    assert_true(mux_finish(s.mux, 2));
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_FIN, 2, 0);
    script_end(&s);
}

/* At every cut of a frame with payload and FIN: first the bytes, then the end.
 * Peers that look at the flags first lose the tail. */
static void payload_comes_before_fin_at_every_cut(void **state)
{
    uint8_t frame[WIRE_HEADER_SIZE + 4] = {
        0, 0, 0, WIRE_FIN, 0, 0, 0, 1, 0, 0, 0, 4, 't', 'a', 'i', 'l'};

    (void)state;
    for (size_t cut = 1; cut <= sizeof frame; cut++) {
        struct script s;
        script_start(&s, NULL);
        script_accept(&s, 1);
        script_send_bytes(&s, frame, cut);
        assert_int_equal(s.received_length,
                         cut > WIRE_HEADER_SIZE ? cut - WIRE_HEADER_SIZE : 0);
        script_send_bytes(&s, frame + cut, sizeof frame - cut);
        script_expect_data(&s, 1, "tail", 4);
        script_expect_event(&s, MUX_STREAM_FINISHED, 1, STATUS_OK);
        script_end(&s);
    }
}

static void payload_is_drained_before_rst_at_every_cut(void **state)
{
    uint8_t frame[WIRE_HEADER_SIZE + 4] = {
        0, 0, 0, WIRE_RST, 0, 0, 0, 1, 0, 0, 0, 4, 'j', 'u', 'n', 'k'};

    (void)state;
    for (size_t cut = 1; cut < sizeof frame; cut++) {
        struct script s;
        script_start(&s, NULL);
        script_accept(&s, 1);
        script_send_bytes(&s, frame, cut);
        script_expect_no_event(&s);
        script_send_bytes(&s, frame + cut, sizeof frame - cut);
        script_expect_event(&s, MUX_STREAM_ENDED, 1, STATUS_RESET);
        assert_int_equal(s.received_length, 0);
        script_expect_alive(&s);
        script_end(&s);
    }
}

static void a_second_fin_is_counted_and_ignored(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    script_accept(&s, 1);
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_FIN, 1, 0);
    script_expect_event(&s, MUX_STREAM_FINISHED, 1, STATUS_OK);
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_FIN, 1, 0);
    script_send(&s, WIRE_DATA, WIRE_FIN, 1, 0);
    assert_int_equal(mux_counters(s.mux)->repeated_fins, 2);
    assert_int_equal(mux_counters(s.mux)->useless_frames, 2);
    script_expect_alive(&s);
    assert_true(mux_finish(s.mux, 1));
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_FIN, 1, 0);
    script_end(&s);
}

static void data_after_fin_resets_the_stream_only(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    script_accept(&s, 1);
    script_accept(&s, 3);
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_FIN, 1, 0);
    script_expect_event(&s, MUX_STREAM_FINISHED, 1, STATUS_OK);
    script_send(&s, WIRE_DATA, 0, 1, 0); /* empty: no harm */
    script_send_data(&s, 0, 1, "late", 4);
    script_expect_event(&s, MUX_STREAM_ENDED, 1, STATUS_DATA_AFTER_FIN);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_RST, 1, 0);
    script_send_data(&s, 0, 3, "on", 2);
    script_expect_data(&s, 3, "on", 2);
    script_end(&s);
}

/* No FIN may overtake data: it goes out behind all that was emitted, and no
 * data after it. */
static void nothing_but_credit_follows_our_fin(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    (void)script_establish(&s);
    mux_ready(s.mux, 2, true);
    script_write(&s, 2, "last", 4);
    assert_false(mux_finish(s.mux, 2)); /* also while ready */
    script_expect(&s, WIRE_DATA, 0, 2, 4);
    script_expect_payload(&s, "last", 4);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_FIN, 2, 0);
    script_send(&s, WIRE_WINDOW_UPDATE, 0, 2, 100000);
    script_end(&s); /* silent */
}

static void frames_on_a_stream_that_ended_change_nothing(void **state)
{
    static const unsigned flags[] = {0, WIRE_ACK, WIRE_FIN, WIRE_RST};

    (void)state;
    for (int ours = 0; ours < 2; ours++) {
        struct script s;
        uint32_t id = ours ? 2 : 1;
        script_start(&s, NULL);
        if (ours) {
            (void)script_establish(&s);
        } else {
            script_accept(&s, 1);
        }
        script_send(&s, WIRE_WINDOW_UPDATE, WIRE_FIN, id, 0);
        script_expect_event(&s, MUX_STREAM_FINISHED, id, STATUS_OK);
        assert_true(mux_finish(s.mux, id));
        script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_FIN, id, 0);
        for (size_t i = 0; i < 4; i++) {
            script_send_data(&s, flags[i], id, "x", 1);
            script_send(&s, WIRE_WINDOW_UPDATE, flags[i], id, 5);
        }
        script_expect_no_event(&s);
        assert_int_equal(mux_counters(s.mux)->unknown_stream_frames, 8);
        script_expect_alive(&s); /* and no RST before the pong */
        script_end(&s);
    }
}

/* The user may finish between FINISHED and what would have been ENDED. */
static void finishing_between_two_events_ends_without_an_event(void **state)
{
    struct script s;
    struct mux_event event;
    const uint8_t fin[WIRE_HEADER_SIZE] = {0, 1, 0, WIRE_FIN, 0, 0, 0, 1};
    struct span input = {fin, sizeof fin};

    (void)state;
    script_start(&s, NULL);
    script_accept(&s, 1);
    assert_true(mux_receive(s.mux, s.now_ms, &input, &event));
    assert_int_equal(event.kind, MUX_STREAM_FINISHED);
    assert_true(mux_finish(s.mux, 1));
    assert_false(mux_receive(s.mux, s.now_ms, &input, &event));
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_FIN, 1, 0);
    script_end(&s);
}

/* ---- reset --------------------------------------------------------------- */

static void a_reset_is_told_as_a_reset(void **state)
{
    static const struct {
        enum wire_type type;
        unsigned flags;
        uint32_t length;
    } resets[] = {
        {WIRE_WINDOW_UPDATE, WIRE_RST, 0},
        {WIRE_DATA, WIRE_RST, 0},
        {WIRE_WINDOW_UPDATE, WIRE_RST, 0x1005}, /* an error code, no credit */
        {WIRE_WINDOW_UPDATE, WIRE_RST, 0xffffffff},
        {WIRE_WINDOW_UPDATE, WIRE_RST | WIRE_FIN, 0},
        {WIRE_WINDOW_UPDATE, WIRE_RST | WIRE_ACK, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof resets / sizeof *resets; i++) {
        for (int established = 0; established < 2; established++) {
            struct script s;
            script_start(&s, NULL);
            if (established) {
                (void)script_establish(&s);
            } else {
                (void)script_open(&s);
                script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 2, 0);
            }
            script_send(&s, resets[i].type, resets[i].flags, 2,
                        resets[i].length);
            script_expect_event(&s, MUX_STREAM_ENDED, 2, STATUS_RESET);
            assert_int_equal(mux_stream_count(s.mux), 0);
            script_expect_alive(&s); /* no RST back */
            script_end(&s);
        }
    }
}

static void rst_drops_what_we_owe(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    (void)script_establish(&s);
    mux_ready(s.mux, 2, true);
    script_send_zeros(&s, 2, 200000);
    script_expect_bytes(&s, 2, 200000);
    mux_consume(s.mux, 2, 200000); /* a window update is owed */
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_RST, 2, 0);
    script_expect_event(&s, MUX_STREAM_ENDED, 2, STATUS_RESET);
    script_end(&s); /* silent: nobody is ready either */
}

static void nothing_follows_our_rst(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    (void)script_establish(&s);
    mux_ready(s.mux, 2, true);
    script_send_zeros(&s, 2, 200000);
    script_expect_bytes(&s, 2, 200000);
    mux_consume(s.mux, 2, 200000);
    mux_reset(s.mux, 2);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_RST, 2, 0);
    script_expect_silence(&s);
    /* all of these were under way when our RST came */
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_ACK, 2, 0);
    script_send_zeros(&s, 2, 60000);
    script_send(&s, WIRE_WINDOW_UPDATE, 0, 2, 1000);
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_FIN, 2, 0);
    assert_int_equal(mux_counters(s.mux)->useless_frames, 0);
    script_expect_alive(&s);
    script_end(&s);
}

/* Two RSTs that cross: neither is answered, what we owed is forgotten. */
static void a_reset_grants_nothing(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    script_accept(&s, 1);
    script_send_zeros(&s, 1, 1000);
    script_expect_bytes(&s, 1, 1000);
    mux_consume(s.mux, 1, 1000); /* too little for an update */
    mux_reset(s.mux, 1);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_RST, 1, 0);
    script_end(&s);
}

static void resets_that_cross_cancel_out(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    script_accept(&s, 1);
    mux_reset(s.mux, 1);
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_RST, 1, 0);
    script_expect_no_event(&s);
    script_expect_silence(&s);
    script_accept(&s, 1); /* the peer may use the id again */
    script_end(&s);
}

static void a_reset_in_the_middle_of_a_frame_drains_the_rest(void **state)
{
    struct script s;
    static const uint8_t half[50];

    (void)state;
    script_start(&s, NULL);
    script_accept(&s, 1);
    script_send(&s, WIRE_DATA, WIRE_FIN, 1, 100);
    script_send_bytes(&s, half, 50);
    script_expect_bytes(&s, 1, 50);
    mux_reset(s.mux, 1);
    (void)script_open(&s); /* takes a room in the middle of the frame */
    script_send_bytes(&s, half, 50);
    script_expect_no_event(&s);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_RST, 1, 0);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 2, 0);
    script_expect_alive(&s);
    script_end(&s);
}

/* ... also when its room is free and used again before the frame ends. */
static void a_new_stream_never_gets_an_old_frames_payload(void **state)
{
    struct script s;
    struct mux_config config;

    (void)state;
    script_config(&config, MUX_SERVER);
    config.inbound_max = 0;
    config.outbound_max = 1;
    script_start(&s, &config);
    (void)script_establish(&s);
    script_send(&s, WIRE_DATA, WIRE_FIN, 2, 4);
    script_send_bytes(&s, "ab", 2);
    script_expect_data(&s, 2, "ab", 2);
    mux_reset(s.mux, 2);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_RST, 2, 0);
    assert_int_equal(script_open(&s), 4);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 4, 0);
    script_send_bytes(&s, "cd", 2);
    script_expect_no_event(&s);
    script_end(&s);
}

static const struct CMUnitTest tests[] = {
    REQ("D20,L-03,C-07", the_peer_goes_on_after_our_fin_without_age_limit),
    REQ("L-03,W-15", we_go_on_after_the_peers_fin),
    REQ("D3,C-02,C-03", payload_comes_before_fin_at_every_cut),
    REQ("D34,R-03", payload_is_drained_before_rst_at_every_cut),
    REQ("D16,C-05", a_second_fin_is_counted_and_ignored),
    REQ("D16,C-06", data_after_fin_resets_the_stream_only),
    REQ("D4,C-11,R-08", nothing_but_credit_follows_our_fin),
    REQ("D11,C-08,W-20", frames_on_a_stream_that_ended_change_nothing),
    REQ("D19", finishing_between_two_events_ends_without_an_event),
    REQ("D18,R-02,R-04,R-07", a_reset_is_told_as_a_reset),
    REQ("D18", rst_drops_what_we_owe),
    REQ("D11,R-08", nothing_follows_our_rst),
    REQ("D18,R-06", resets_that_cross_cancel_out),
    REQ("Y-01", a_reset_grants_nothing),
    REQ("D3,R-10", a_reset_in_the_middle_of_a_frame_drains_the_rest),
    REQ("D3,D29", a_new_stream_never_gets_an_old_frames_payload),
};
RUN(tests)
