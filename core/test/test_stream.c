/* The beginning of a stream: opening, accepting, and what cannot be. */
#include "core/test/script.h"

#include <string.h>

#include "core/mux_internal.h"

static void start_client(struct script *s)
{
    struct mux_config config;

    script_config(&config, MUX_CLIENT);
    script_start(s, &config);
}

/* ---- opening ------------------------------------------------------------- */

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

static void our_ids_have_our_parity_and_grow_by_two(void **state)
{
    struct script s;

    (void)state;
    start_client(&s);
    for (uint32_t id = 1; id < 21; id += 2) {
        assert_int_equal(script_establish(&s), id);
        mux_reset(s.mux, id); /* never reused */
        script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_RST, id, 0);
    }
    script_end(&s);
}

static void ids_end_before_they_would_wrap(void **state)
{
    struct script s;
    uint32_t stream = 7;

    (void)state;
    for (int role = MUX_CLIENT; role <= MUX_SERVER; role++) {
        struct mux_config config;
        uint32_t last = 0xfffffffc + (role == MUX_CLIENT);
        script_config(&config, (enum mux_role)role);
        script_start(&s, &config);
        s.mux->next_id = last - 2;
        assert_int_equal(script_establish(&s), last - 2);
        assert_int_equal(script_establish(&s), last);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(mux_open(s.mux, s.now_ms, NULL, &stream),
                             STATUS_NO_STREAM_ID);
        }
        assert_int_equal(stream, 7); /* not written */
        assert_true(mux_is_live(s.mux, last));
        script_end(&s);
    }
}

static void a_session_whose_ids_run_low_says_so(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    s.mux->next_id = 0x7ffffffe;
    assert_int_equal(mux_wants(s.mux) & MUX_IDS_ARE_LOW, 0);
    (void)script_establish(&s);
    assert_int_equal(mux_wants(s.mux), MUX_IDS_ARE_LOW);
    script_end(&s);
}

static void unanswered_opens_are_limited(void **state)
{
    struct script s;
    struct mux_config config;
    uint32_t stream = 7;

    (void)state;
    script_config(&config, MUX_SERVER);
    config.unacked_max = 3;
    script_start(&s, &config);
    for (uint32_t id = 2; id <= 6; id += 2) {
        (void)script_open(&s);
        script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, id, 0);
    }
    assert_int_equal(mux_open(s.mux, s.now_ms, NULL, &stream),
                     STATUS_TOO_MANY_UNACKED);
    assert_int_equal(stream, 7);

    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_ACK, 4, 0);
    script_expect_event(&s, MUX_STREAM_ACCEPTED, 4, STATUS_OK);
    assert_int_equal(mux_open(s.mux, s.now_ms, NULL, &stream), STATUS_OK);
    assert_int_equal(stream, 8);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 8, 0);
    script_end(&s);
}

/* A peer that acknowledges one stream thrice frees one place, not three. */
static void a_repeated_ack_frees_nobody_elses_place(void **state)
{
    struct script s;
    struct mux_config config;
    uint32_t stream;

    (void)state;
    script_config(&config, MUX_SERVER);
    config.unacked_max = 2;
    script_start(&s, &config);
    (void)script_establish(&s);
    (void)script_open(&s);
    (void)script_open(&s);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 4, 0);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 6, 0);
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_ACK, 2, 0);
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_ACK, 2, 0);
    assert_int_equal(mux_open(s.mux, s.now_ms, NULL, &stream),
                     STATUS_TOO_MANY_UNACKED);
    assert_int_equal(mux_counters(s.mux)->repeated_acks, 2);
    script_end(&s);
}

static void open_streams_are_limited(void **state)
{
    struct script s;
    struct mux_config config;
    uint32_t stream;

    (void)state;
    script_config(&config, MUX_SERVER);
    config.outbound_max = 2;
    script_start(&s, &config);
    (void)script_establish(&s);
    (void)script_establish(&s);
    assert_int_equal(mux_open(s.mux, s.now_ms, NULL, &stream),
                     STATUS_NO_STREAM_SLOT);

    mux_reset(s.mux, 2); /* its room is free when its last frame is out */
    assert_int_equal(mux_open(s.mux, s.now_ms, NULL, &stream),
                     STATUS_NO_STREAM_SLOT);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_RST, 2, 0);
    assert_int_equal(script_establish(&s), 6);
    script_end(&s);
}

static void anything_from_the_peer_answers_an_open(void **state)
{
    static const struct {
        enum wire_type type;
        unsigned flags;
        uint32_t length;
    } answers[] = {
        {WIRE_WINDOW_UPDATE, WIRE_ACK, 0},
        {WIRE_DATA, WIRE_ACK, 0},
        {WIRE_DATA, 0, 0},
        {WIRE_WINDOW_UPDATE, 0, 1000},
        {WIRE_WINDOW_UPDATE, WIRE_FIN, 0},
        {WIRE_DATA, WIRE_FIN, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        struct script s;
        script_start(&s, NULL);
        (void)script_open(&s);
        script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 2, 0);
        script_send(&s, answers[i].type, answers[i].flags, 2,
                    answers[i].length);
        script_expect_event(&s, MUX_STREAM_ACCEPTED, 2, STATUS_OK);
        if ((answers[i].flags & WIRE_FIN) != 0) {
            script_expect_event(&s, MUX_STREAM_FINISHED, 2, STATUS_OK);
        }
        script_wait(&s, 100000); /* no timeout is left */
        assert_true(mux_is_live(s.mux, 2));
        script_end(&s);
    }
}

/* The lazy ACK of a peer that has sent data already is no second one. */
static void an_ack_may_come_after_data(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    (void)script_open(&s);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 2, 0);
    script_send_data(&s, 0, 2, "abc", 3);
    script_expect_event(&s, MUX_STREAM_ACCEPTED, 2, STATUS_OK);
    script_expect_data(&s, 2, "abc", 3);
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_ACK, 2, 0);
    assert_int_equal(mux_counters(s.mux)->repeated_acks, 0);
    script_end(&s);
}

static void an_ack_may_carry_data_and_fin(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    (void)script_open(&s);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 2, 0);
    script_send_data(&s, WIRE_ACK | WIRE_FIN, 2, "hello", 5);
    script_expect_event(&s, MUX_STREAM_ACCEPTED, 2, STATUS_OK);
    script_expect_data(&s, 2, "hello", 5);
    script_expect_event(&s, MUX_STREAM_FINISHED, 2, STATUS_OK);
    script_end(&s);
}

static void an_open_that_is_not_answered_is_reset(void **state)
{
    struct script s;
    struct mux_config config;
    int user;
    uint32_t stream;

    (void)state;
    script_config(&config, MUX_SERVER);
    config.open_timeout_ms = 100;
    script_start(&s, &config);
    assert_int_equal(mux_deadline(s.mux), UINT64_MAX);
    (void)script_establish(&s);
    assert_int_equal(mux_deadline(s.mux), UINT64_MAX);
    assert_int_equal(mux_open(s.mux, s.now_ms, &user, &stream), STATUS_OK);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 4, 0);
    assert_int_equal(mux_deadline(s.mux), s.now_ms + 100);

    script_wait(&s, 99);
    script_expect_no_event(&s);
    script_wait(&s, 1);
    script_expect_event(&s, MUX_STREAM_ENDED, 4, STATUS_OPEN_TIMEOUT);
    assert_ptr_equal(s.events[s.events_taken - 1].event.user, &user);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_RST, 4, 0);
    assert_true(mux_is_live(s.mux, 2)); /* the stream only */

    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_ACK, 4, 0); /* too late: fine */
    script_expect_alive(&s);
    script_end(&s);
}

/* Peers in the field never acknowledge a stream whose FIN came before they
 * accepted it, and then may be silent for as long as they like. */
static void a_finished_open_is_waited_for_without_limit(void **state)
{
    struct script s;

    (void)state;
    for (int early = 0; early < 2; early++) {
        script_start(&s, NULL);
        (void)script_open(&s);
        script_wait(&s, early ? 0 : 29999);
        assert_false(mux_finish(s.mux, 2));
        assert_int_equal(mux_deadline(s.mux), UINT64_MAX);
        script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 2, 0);
        script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_FIN, 2, 0);
        script_wait(&s, 86400000);
        script_send_data(&s, WIRE_FIN, 2, "done", 4);
        script_expect_event(&s, MUX_STREAM_ACCEPTED, 2, STATUS_OK);
        script_expect_data(&s, 2, "done", 4);
        script_expect_event(&s, MUX_STREAM_FINISHED, 2, STATUS_OK);
        script_expect_event(&s, MUX_STREAM_ENDED, 2, STATUS_OK);
        script_end(&s);
    }
}

/* A peer that guesses our next id gets nowhere. */
static void frames_before_our_syn_are_for_nobody(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    (void)script_open(&s);
    script_send_data(&s, WIRE_ACK, 2, "early", 5);
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_RST, 2, 0);
    script_expect_no_event(&s);
    assert_int_equal(mux_counters(s.mux)->unknown_stream_frames, 2);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 2, 0);
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_ACK, 2, 0);
    script_expect_event(&s, MUX_STREAM_ACCEPTED, 2, STATUS_OK);
    script_end(&s);
}

static void opens_time_out_in_their_order(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    for (uint32_t id = 2; id <= 8; id += 2) {
        (void)script_open(&s);
        script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, id, 0);
        script_wait(&s, 10);
    }
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_ACK, 4, 0); /* from the middle */
    script_expect_event(&s, MUX_STREAM_ACCEPTED, 4, STATUS_OK);
    assert_int_equal(mux_deadline(s.mux), 1000 + 30000);
    script_wait(&s, 30000 - 40 + 25);
    script_expect_event(&s, MUX_STREAM_ENDED, 2, STATUS_OPEN_TIMEOUT);
    script_expect_event(&s, MUX_STREAM_ENDED, 6, STATUS_OPEN_TIMEOUT);
    assert_int_equal(mux_deadline(s.mux), 1030 + 30000);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_RST, 2, 0);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_RST, 6, 0);
    script_end(&s);
}

static void timeouts_of_zero_never_come(void **state)
{
    struct script s;
    struct mux_config config;

    (void)state;
    script_config(&config, MUX_SERVER);
    config.open_timeout_ms = 0;
    config.accept_timeout_ms = 0;
    script_start(&s, &config);
    (void)script_open(&s);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 2, 0);
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 1, 0);
    script_expect_event(&s, MUX_STREAM_OFFERED, 1, STATUS_OK);
    assert_int_equal(mux_deadline(s.mux), UINT64_MAX);
    script_wait(&s, UINT64_MAX - 2000);
    script_end(&s);
}

static void a_deadline_beyond_all_time_is_none(void **state)
{
    struct script s;
    struct mux_config config;

    (void)state;
    script_config(&config, MUX_SERVER);
    config.open_timeout_ms = UINT64_MAX;
    script_start(&s, &config);
    (void)script_open(&s);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 2, 0);
    assert_int_equal(mux_deadline(s.mux), UINT64_MAX);
    script_end(&s);
}

/* A stream that the peer never heard of leaves no trace on the wire. */
static void a_stream_reset_before_its_syn_says_nothing(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    (void)script_open(&s);
    mux_reset(s.mux, 2);
    script_expect_silence(&s);
    (void)script_open(&s);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 4, 0);
    script_end(&s);
}

/* 0-RTT: the first window needs no answer. */
static void data_may_follow_the_syn_at_once(void **state)
{
    struct script s;
    struct mux_sender sender;

    (void)state;
    script_start(&s, NULL);
    (void)script_open(&s);
    mux_ready(s.mux, 2, true);
    assert_false(mux_next_sender(s.mux, &sender)); /* SYN goes first */
    script_write(&s, 2, "x", 1);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 2, 0);
    script_expect(&s, WIRE_DATA, 0, 2, 1);
    script_expect_payload(&s, "x", 1);
    mux_ready(s.mux, 2, false);
    script_end(&s);
}

static void a_syn_goes_together_with_its_preface(void **state)
{
    struct script s;
    struct mux_config config;
    uint8_t bytes[64];

    (void)state;
    script_config(&config, MUX_SERVER);
    config.preface[0] = 'a';
    config.preface[3] = 'd';
    config.preface_length = 4;
    script_start(&s, &config);
    (void)script_open(&s);
    (void)script_open(&s);
    assert_int_equal(mux_emit_control(s.mux, s.now_ms, bytes, 31), 0);
    assert_int_equal(mux_emit_control(s.mux, s.now_ms, bytes, 32), 28);
    assert_memory_equal(bytes + 24, "a\0\0d", 4);
    assert_int_equal(mux_emit_control(s.mux, s.now_ms, bytes, 59), 28);
    assert_int_equal(mux_counters(s.mux)->data_bytes_out, 8);
    /* the preface was paid for */
    mux_ready(s.mux, 2, true);
    mux_ready(s.mux, 4, true);
    mux_reset(s.mux, 4);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_RST, 4, 0);
    assert_int_equal(script_write_all(&s, 2), WIRE_WINDOW_INITIAL - 4);
    script_end(&s);
}

/* ---- accepting ----------------------------------------------------------- */

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

static void events_carry_the_user_that_was_given(void **state)
{
    struct script s;
    int user;

    (void)state;
    script_start(&s, NULL);
    script_send_data(&s, WIRE_SYN, 1, "a", 1);
    script_expect_event(&s, MUX_STREAM_OFFERED, 1, STATUS_OK);
    script_expect_data(&s, 1, "a", 1);
    assert_null(s.events[0].event.user);
    assert_null(s.events[1].event.user);
    mux_accept(s.mux, 1, &user);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_ACK, 1, 0);
    script_send_data(&s, 0, 1, "b", 1);
    script_expect_data(&s, 1, "b", 1);
    assert_ptr_equal(s.events[2].event.user, &user);
    script_end(&s);
}

/* SYN, data and FIN may all come before the user has decided. */
static void a_stream_that_finished_early_is_still_acknowledged(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    script_send_data(&s, WIRE_SYN | WIRE_FIN, 1, "hi", 2);
    script_expect_event(&s, MUX_STREAM_OFFERED, 1, STATUS_OK);
    script_expect_data(&s, 1, "hi", 2);
    script_expect_event(&s, MUX_STREAM_FINISHED, 1, STATUS_OK);
    mux_accept(s.mux, 1, NULL);
    mux_ready(s.mux, 1, true);
    script_write(&s, 1, "yo", 2);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_ACK, 1, 0);
    script_expect(&s, WIRE_DATA, 0, 1, 2);
    script_expect_payload(&s, "yo", 2);
    assert_true(mux_finish(s.mux, 1));
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_FIN, 1, 0);
    script_end(&s);
}

/* One writable moment pays all: still one frame each, ACK first. */
static void ack_and_fin_are_two_frames(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    script_send(&s, WIRE_DATA, WIRE_SYN | WIRE_FIN, 1, 0);
    script_expect_event(&s, MUX_STREAM_OFFERED, 1, STATUS_OK);
    script_expect_event(&s, MUX_STREAM_FINISHED, 1, STATUS_OK);
    mux_accept(s.mux, 1, NULL);
    assert_true(mux_finish(s.mux, 1));
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_ACK, 1, 0);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_FIN, 1, 0);
    script_end(&s);
}

static void an_offered_stream_may_be_refused(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 1, 0);
    script_expect_event(&s, MUX_STREAM_OFFERED, 1, STATUS_OK);
    mux_reset(s.mux, 1);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_RST, 1, 0); /* and no ACK */
    script_end(&s);
}

static void a_stream_that_nobody_accepts_is_reset_after_a_minute(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    script_accept(&s, 1);
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 3, 0);
    script_expect_event(&s, MUX_STREAM_OFFERED, 3, STATUS_OK);
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_SYN | WIRE_FIN, 5, 0);
    script_expect_event(&s, MUX_STREAM_OFFERED, 5, STATUS_OK);
    script_expect_event(&s, MUX_STREAM_FINISHED, 5, STATUS_OK);
    assert_int_equal(mux_deadline(s.mux), s.now_ms + 60000);
    script_wait(&s, 59999);
    script_expect_no_event(&s);
    script_wait(&s, 1);
    script_expect_event(&s, MUX_STREAM_ENDED, 3, STATUS_ACCEPT_TIMEOUT);
    script_expect_event(&s, MUX_STREAM_ENDED, 5, STATUS_ACCEPT_TIMEOUT);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_RST, 3, 0);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_RST, 5, 0);
    assert_true(mux_is_live(s.mux, 1));
    script_end(&s);
}

static void streams_over_the_limit_are_refused(void **state)
{
    struct script s;
    struct mux_config config;

    (void)state;
    script_config(&config, MUX_SERVER);
    config.inbound_max = 2;
    script_start(&s, &config);
    script_accept(&s, 1);
    script_accept(&s, 3);
    script_send_data(&s, WIRE_SYN, 5, "drained", 7);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_RST, 5, 0);
    script_send_data(&s, 0, 5, "drained too", 11); /* was under way */
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_FIN, 5, 0);
    script_expect_no_event(&s);
    assert_int_equal(mux_counters(s.mux)->streams_refused, 1);
    assert_int_equal(mux_counters(s.mux)->useless_frames, 1);

    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_RST, 1, 0);
    script_expect_event(&s, MUX_STREAM_ENDED, 1, STATUS_RESET);
    script_accept(&s, 5); /* nothing was remembered of it */
    script_end(&s);
}

/* Reset before accept frees the place at once (rapid reset). */
static void a_stream_reset_by_its_opener_frees_its_place(void **state)
{
    struct script s;
    struct mux_config config;

    (void)state;
    script_config(&config, MUX_SERVER);
    config.inbound_max = 1;
    script_start(&s, &config);
    for (uint32_t id = 1; id < 2000; id += 2) {
        script_send(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, id, 0);
        script_expect_event(&s, MUX_STREAM_OFFERED, id, STATUS_OK);
        if (id % 3 == 0) {
            mux_accept(s.mux, id, NULL); /* its ACK is never sent */
        }
        script_send(&s, WIRE_WINDOW_UPDATE, WIRE_RST, id, 0);
        script_expect_event(&s, MUX_STREAM_ENDED, id, STATUS_RESET);
    }
    assert_int_equal(mux_counters(s.mux)->streams_refused, 0);
    script_expect_silence(&s);
    script_accept(&s, 1); /* ids may come again */
    script_end(&s);
}

static void inbound_ids_may_come_in_any_order_and_again(void **state)
{
    static const uint32_t ids[] = {9, 3, 0xffffffff, 1, 9, 3};
    struct script s;

    (void)state;
    script_start(&s, NULL);
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        script_accept(&s, ids[i]);
        script_send(&s, WIRE_DATA, WIRE_FIN, ids[i], 0);
        script_expect_event(&s, MUX_STREAM_FINISHED, ids[i], STATUS_OK);
        assert_true(mux_finish(s.mux, ids[i]));
        script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_FIN, ids[i], 0);
    }
    script_end(&s);
}

static void a_syn_of_the_wrong_parity_ends_the_session(void **state)
{
    static const enum wire_type types[] = {WIRE_DATA, WIRE_WINDOW_UPDATE};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct script s;
        script_start(&s, NULL);
        script_send(&s, types[i], WIRE_SYN, 4, 0);
        script_expect_failure(&s, STATUS_BAD_STREAM_ID);
        script_end(&s);
        start_client(&s);
        script_send(&s, types[i], WIRE_SYN, 3, 0);
        script_expect_failure(&s, STATUS_BAD_STREAM_ID);
        script_end(&s);
    }
}

static void stream_frames_on_id_0_end_the_session(void **state)
{
    (void)state;
    for (unsigned flags = 0; flags < 16; flags++) {
        for (int type = WIRE_DATA; type <= WIRE_WINDOW_UPDATE; type++) {
            struct script s;
            script_start(&s, NULL);
            script_send(&s, (enum wire_type)type, flags, 0, 0);
            script_expect_failure(&s, STATUS_BAD_STREAM_ID);
            script_end(&s);
        }
    }
}

static void a_second_syn_ends_the_session(void **state)
{
    struct script s;

    (void)state;
    for (int established = 0; established < 2; established++) {
        script_start(&s, NULL);
        if (established) {
            script_accept(&s, 1);
        } else {
            script_send(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 1, 0);
            script_expect_event(&s, MUX_STREAM_OFFERED, 1, STATUS_OK);
        }
        script_send_data(&s, WIRE_SYN, 1, "again", 5);
        script_expect_failure(&s, STATUS_DUPLICATE_SYN);
        script_end(&s);
    }
}

/* The peer has not heard of the end yet: to it, the stream is open. */
static void a_syn_before_our_fin_is_out_ends_the_session(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    script_accept(&s, 1);
    script_send(&s, WIRE_DATA, WIRE_FIN, 1, 0);
    script_expect_event(&s, MUX_STREAM_FINISHED, 1, STATUS_OK);
    assert_true(mux_finish(s.mux, 1));
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 1, 0);
    script_expect_failure(&s, STATUS_DUPLICATE_SYN);
    script_end(&s);
}

static void syn_with_ack_is_an_open_with_an_odd_flag(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_SYN | WIRE_ACK, 1, 0);
    script_expect_event(&s, MUX_STREAM_OFFERED, 1, STATUS_OK);
    assert_int_equal(mux_counters(s.mux)->repeated_acks, 1);
    mux_accept(s.mux, 1, NULL);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_ACK, 1, 0);
    script_end(&s);
}

static void syn_with_rst_is_nothing(void **state)
{
    static const unsigned more[] = {0, WIRE_ACK, WIRE_FIN, WIRE_ACK | WIRE_FIN};

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct script s;
        script_start(&s, NULL);
        script_send_data(&s, WIRE_SYN | WIRE_RST | more[i], 1, "junk", 4);
        assert_int_equal(mux_stream_count(s.mux), 0);
        script_expect_no_event(&s);
        script_expect_alive(&s); /* and no RST before the pong */
        script_accept(&s, 1);
        script_end(&s);
    }
}

static void an_ack_that_acknowledges_nothing_is_counted(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    script_accept(&s, 1);
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_ACK, 1, 0);
    assert_int_equal(mux_counters(s.mux)->repeated_acks, 1);
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_ACK, 0xfffe, 0); /* never opened */
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_ACK, 0xffff, 0);
    assert_int_equal(mux_counters(s.mux)->unknown_stream_frames, 2);
    script_expect_alive(&s);
    script_end(&s);
}

/* Who does not know the key cannot choose ids that share a bucket. */
static void the_table_begins_empty_and_hashes_with_the_users_key(void **state)
{
    const uint64_t key[2] = {3, 5};
    struct stream_table table;
    uint64_t memory[64] = {0};

    (void)state;
    memset(&table, 0xff, sizeof table);
    stream_table_init(&table, memory, 6, key);
    assert_memory_equal(table.hash_key, key, sizeof key);
    assert_int_equal(table.bucket_mask, 7); /* as many buckets as streams */
    assert_int_equal(table.slots_max, 6);
    assert_null(stream_table_at(&table, 0));
    assert_null(stream_list_first(&table, STREAM_OPENINGS));
    assert_int_equal(table.free, 0);
    assert_int_equal(table.recent, 0);
}

static const struct CMUnitTest tests[] = {
    REQ("Y-01,D5,AC-06", a_stream_is_opened_answered_used_and_closed),
    REQ("D10", our_ids_have_our_parity_and_grow_by_two),
    REQ("D10", ids_end_before_they_would_wrap),
    REQ("D10", a_session_whose_ids_run_low_says_so),
    REQ("D7", unanswered_opens_are_limited),
    REQ("D17", a_repeated_ack_frees_nobody_elses_place),
    REQ("Y-01,AC-07", open_streams_are_limited),
    REQ("D7", anything_from_the_peer_answers_an_open),
    REQ("D7", an_ack_may_come_after_data),
    REQ("D3", an_ack_may_carry_data_and_fin),
    REQ("D7", an_open_that_is_not_answered_is_reset),
    REQ("D7,D20,L-03,T29", a_finished_open_is_waited_for_without_limit),
    REQ("D11,D7", frames_before_our_syn_are_for_nobody),
    REQ("D30", opens_time_out_in_their_order),
    REQ("D30", timeouts_of_zero_never_come),
    REQ("D30", a_deadline_beyond_all_time_is_none),
    REQ("D4", a_stream_reset_before_its_syn_says_nothing),
    REQ("D5,O-20", data_may_follow_the_syn_at_once),
    REQ("AC-06,D5", a_syn_goes_together_with_its_preface),
    REQ("D6,D3,C-02", an_offered_stream_is_accepted_used_and_closed),
    REQ("D6", events_carry_the_user_that_was_given),
    REQ("D6,O-14", a_stream_that_finished_early_is_still_acknowledged),
    REQ("D4,D6,O-05", ack_and_fin_are_two_frames),
    REQ("D6", an_offered_stream_may_be_refused),
    REQ("D6", a_stream_that_nobody_accepts_is_reset_after_a_minute),
    REQ("D8,O-19,O-21", streams_over_the_limit_are_refused),
    REQ("D8,O-22,R-09", a_stream_reset_by_its_opener_frees_its_place),
    REQ("D10,O-10,O-11,O-13", inbound_ids_may_come_in_any_order_and_again),
    REQ("D9,O-07", a_syn_of_the_wrong_parity_ends_the_session),
    REQ("D9,O-08,W-19", stream_frames_on_id_0_end_the_session),
    REQ("D9,O-09", a_second_syn_ends_the_session),
    REQ("D9", a_syn_before_our_fin_is_out_ends_the_session),
    REQ("D33,O-17", syn_with_ack_is_an_open_with_an_odd_flag),
    REQ("D33,O-16,O-18", syn_with_rst_is_nothing),
    REQ("D17", an_ack_that_acknowledges_nothing_is_counted),
    REQ("D29", the_table_begins_empty_and_hashes_with_the_users_key),
};
RUN(tests)
