/* The life of a stream: opening, accepting, half-closing, resetting. */
#include "core/test/script.h"

static void a_stream_is_opened_answered_used_and_closed(void **state)
{
    struct script s;
    struct mux_config config;

    (void)state;
    script_config(&config, MUX_SERVER);
    config.preface[0] = 1;
    config.preface_length = 1;
    script_start(&s, &config);

    uint32_t stream = script_open(&s);
    assert_int_equal(stream, 2);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 2, 0);
    script_expect(&s, WIRE_DATA, 0, 2, 1);
    script_expect_payload(&s, "\1", 1);
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_ACK, 2, 0);
    script_expect_event(&s, MUX_STREAM_ACCEPTED, 2, STATUS_OK);

    mux_ready(s.mux, 2, true);
    script_write(&s, 2, "hello", 5);
    script_expect(&s, WIRE_DATA, 0, 2, 5);
    script_expect_payload(&s, "hello", 5);
    mux_ready(s.mux, 2, false);
    assert_false(mux_finish(s.mux, 2));
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_FIN, 2, 0);

    script_send_data(&s, 0, 2, "world", 5);
    script_expect_data(&s, 2, "world", 5);
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_FIN, 2, 0);
    script_expect_event(&s, MUX_STREAM_FINISHED, 2, STATUS_OK);
    script_expect_event(&s, MUX_STREAM_ENDED, 2, STATUS_OK);
    assert_false(mux_is_live(s.mux, 2));
    script_end(&s);
}

static void an_offered_stream_is_accepted_used_and_closed(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    script_accept(&s, 1);
    script_send_data(&s, WIRE_FIN, 1, "tail", 4);
    script_expect_data(&s, 1, "tail", 4);
    script_expect_event(&s, MUX_STREAM_FINISHED, 1, STATUS_OK);
    assert_true(mux_finish(s.mux, 1));
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_FIN, 1, 0);
    assert_int_equal(mux_stream_count(s.mux), 0);
    script_end(&s);
}

static const struct CMUnitTest tests[] = {
    REQ("Y-01,D5,AC-06", a_stream_is_opened_answered_used_and_closed),
    REQ("Y-01,D6,D3", an_offered_stream_is_accepted_used_and_closed),
};
RUN(tests)
