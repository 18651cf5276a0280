/* One test for each thing that a caller must see to. */
#include "core/test/script.h"

#include <stdlib.h>
#include <string.h>

#include "core/mux_internal.h"

#ifndef CONTRACTS_OFF

static void a_configuration_must_be_within_its_ranges(void **state)
{
    struct mux_config good;
    struct mux_config bad;

    (void)state;
    script_config(&good, MUX_SERVER);
    assert_true(mux_size(&good) > 0);
#define BAD(field, value) \
    bad = good;           \
    bad.field = (value);  \
    expect_assert_failure(mux_size(&bad))
    BAD(role, (enum mux_role)0);
    BAD(role, (enum mux_role)3);
    BAD(outbound_max, 32769);
    BAD(inbound_max, 32769);
    BAD(recv_window, 262143);
    BAD(frame_payload_max, 1023);
    BAD(frame_payload_max, 262145);
    BAD(ping_missed_max, 0);
    BAD(preface_length, 5);
#undef BAD
}

static void memory_must_be_large_enough_and_aligned(void **state)
{
    struct mux_config config;

    (void)state;
    script_config(&config, MUX_SERVER);
    size_t size = mux_size(&config);
    uint8_t *memory = calloc(1, size + 1);
    expect_assert_failure(mux_init(memory, size - 1, &config, 0));
    expect_assert_failure(mux_init(memory + 1, size, &config, 0));
    assert_non_null(mux_init(memory, size, &config, 0));
    free(memory);
}

static void time_never_goes_back(void **state)
{
    struct script s;
    struct mux_event event;
    struct span input = {NULL, 0};
    uint8_t bytes[32];
    uint32_t stream;

    (void)state;
    script_start(&s, NULL);
    uint64_t past_ms = s.now_ms - 1;
    expect_assert_failure(mux_tick(s.mux, past_ms, &event));
    expect_assert_failure(mux_receive(s.mux, past_ms, &input, &event));
    expect_assert_failure(mux_emit_control(s.mux, past_ms, bytes, 32));
    expect_assert_failure((void)mux_open(s.mux, past_ms, NULL, &stream));
    assert_false(mux_tick(s.mux, s.now_ms, &event)); /* the same is fine */
    script_end(&s);
}

static void input_that_is_not_empty_is_somewhere(void **state)
{
    struct script s;
    struct mux_event event;
    struct span input = {NULL, 1};

    (void)state;
    script_start(&s, NULL);
    expect_assert_failure(mux_receive(s.mux, s.now_ms, &input, &event));
    script_end(&s);
}

/* Each call that names a stream, on an id that is not live. */
static void name_a_dead_stream(uint32_t stream)
{
    struct script s;

    script_start(&s, NULL);
    (void)script_establish(&s);
    mux_reset(s.mux, 2); /* dead, though its RST is still owed */
    expect_assert_failure(mux_accept(s.mux, stream, NULL));
    expect_assert_failure(mux_ready(s.mux, stream, true));
    expect_assert_failure(mux_ready(s.mux, stream, false));
    expect_assert_failure(mux_consume(s.mux, stream, 0));
    expect_assert_failure((void)mux_finish(s.mux, stream));
    expect_assert_failure(mux_reset(s.mux, stream));
    script_forget(&s);
}

static void a_stream_that_is_named_is_live(void **state)
{
    (void)state;
    name_a_dead_stream(0);
    name_a_dead_stream(1);
    name_a_dead_stream(2);
    name_a_dead_stream(4);
    name_a_dead_stream(UINT32_MAX);
}

static void no_stream_is_live_in_a_failed_session(void **state)
{
    struct script s;
    uint8_t frame[WIRE_HEADER_SIZE + 1];

    (void)state;
    script_start(&s, NULL);
    (void)script_establish(&s);
    mux_ready(s.mux, 2, true);
    mux_fail(s.mux, STATUS_TRANSPORT_LOST);
    expect_assert_failure(mux_ready(s.mux, 2, false));
    expect_assert_failure(mux_consume(s.mux, 2, 0));
    expect_assert_failure((void)mux_finish(s.mux, 2));
    expect_assert_failure(mux_reset(s.mux, 2));
    expect_assert_failure((void)mux_emit_data(s.mux, 2, frame, 1));
    script_end(&s);
}

static void only_an_offered_stream_is_accepted_and_once(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    (void)script_establish(&s);
    script_accept(&s, 1);
    expect_assert_failure(mux_accept(s.mux, 1, NULL));
    expect_assert_failure(mux_accept(s.mux, 2, NULL));
    script_end(&s);
}

static void an_offered_stream_is_accepted_before_it_is_used(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 1, 0);
    script_expect_event(&s, MUX_STREAM_OFFERED, 1, STATUS_OK);
    expect_assert_failure(mux_ready(s.mux, 1, true));
    expect_assert_failure((void)mux_finish(s.mux, 1));
    mux_ready(s.mux, 1, false); /* says nothing new */
    script_end(&s);
}

static void after_finish_there_is_nothing_to_send(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    (void)script_establish(&s);
    assert_false(mux_finish(s.mux, 2));
    expect_assert_failure(mux_ready(s.mux, 2, true));
    expect_assert_failure((void)mux_finish(s.mux, 2));
    mux_ready(s.mux, 2, false);
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_FIN, 2, 0);
    script_end(&s);
}

static void no_more_is_consumed_than_was_delivered(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    script_accept(&s, 1);
    expect_assert_failure(mux_consume(s.mux, 1, 1));
    script_send_zeros(&s, 1, 100);
    script_expect_bytes(&s, 1, 100);
    expect_assert_failure(mux_consume(s.mux, 1, 101));
    expect_assert_failure(mux_consume(s.mux, 1, SIZE_MAX));
    mux_consume(s.mux, 1, 60);
    expect_assert_failure(mux_consume(s.mux, 1, 41));
    mux_consume(s.mux, 1, 40);
    script_end(&s);
}

static void data_is_emitted_in_turn_and_within_the_quota(void **state)
{
    struct script s;
    static uint8_t frame[WIRE_HEADER_SIZE + 65536];

    (void)state;
    script_start(&s, NULL);
    expect_assert_failure((void)mux_emit_data(s.mux, 2, frame, 1));
    (void)script_open(&s);
    mux_ready(s.mux, 2, true);
    expect_assert_failure((void)mux_emit_data(s.mux, 2, frame, 1)); /* SYN */
    script_expect(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 2, 0);
    (void)script_establish(&s);
    mux_ready(s.mux, 4, true);
    expect_assert_failure((void)mux_emit_data(s.mux, 4, frame, 1));
    expect_assert_failure((void)mux_emit_data(s.mux, 2, frame, 0));
    expect_assert_failure((void)mux_emit_data(s.mux, 2, frame, 65537));
    assert_int_equal(mux_emit_data(s.mux, 2, frame, 65536), 65548);
    script_forget(&s);
}

static void a_turn_is_longer_than_nothing(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    expect_assert_failure(mux_set_turn(s.mux, 0));
    mux_set_turn(s.mux, 1); /* the least is fine */
    script_end(&s);
}

static void an_accepted_stream_sends_its_ack_first(void **state)
{
    struct script s;
    uint8_t frame[WIRE_HEADER_SIZE + 1];

    (void)state;
    script_start(&s, NULL);
    script_send(&s, WIRE_WINDOW_UPDATE, WIRE_SYN, 1, 0);
    script_expect_event(&s, MUX_STREAM_OFFERED, 1, STATUS_OK);
    mux_accept(s.mux, 1, NULL);
    mux_ready(s.mux, 1, true);
    expect_assert_failure((void)mux_emit_data(s.mux, 1, frame, 1));
    script_forget(&s);
}

static void a_session_fails_with_a_status_of_sessions(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    expect_assert_failure((void)mux_fail(s.mux, STATUS_OK));
    expect_assert_failure((void)mux_fail(s.mux, STATUS_DRAINING));
    expect_assert_failure((void)mux_fail(s.mux, STATUS_RESET));
    script_end(&s);
}

/* The invariant is no ornament: damage is noticed. */
static void damage_breaks_the_invariant(void **state)
{
    struct script s;

    (void)state;
    script_start(&s, NULL);
    (void)script_establish(&s);
    script_accept(&s, 1);
    struct mux *mux = s.mux;
    struct stream *ours = stream_table_find(&mux->table, 2);
    struct stream *theirs = stream_table_find(&mux->table, 1);
    mux_invariant(mux);
    void *whole = malloc(s.memory_size);
    memcpy(whole, s.memory, s.memory_size);
#define DAMAGE(lvalue, value)                  \
    (lvalue) = (value);                        \
    expect_assert_failure(mux_invariant(mux)); \
    memcpy(s.memory, whole, s.memory_size)
    DAMAGE(ours->granted, 262145);
    DAMAGE(ours->credit, 1);
    DAMAGE(ours->owes, STREAM_OWES_FIN);
    DAMAGE(ours->ready, true);
    DAMAGE(ours->state, STREAM_OPENING);
    DAMAGE(ours->state, STREAM_OWING);
    DAMAGE(ours->state, STREAM_FREE);
    DAMAGE(ours->listed, 1u << STREAM_READY);
    DAMAGE(ours->id, 6);
    DAMAGE(theirs->state, STREAM_OFFERED);
    DAMAGE(theirs->id, 9);
    DAMAGE(mux->used[MUX_OURS], 2);
    DAMAGE(mux->used[MUX_PEERS], 0);
    DAMAGE(mux->owing, 1);
    DAMAGE(mux->unacked, 1);
    DAMAGE(mux->next_id, 2);
    DAMAGE(mux->next_id, 5);
    DAMAGE(mux->peer_max, 0);
    DAMAGE(mux->quantum, 12 + 262145);
    DAMAGE(mux->turn_left, 12);
    DAMAGE(mux->turn_left, 1000);
    DAMAGE(mux->pong_count, MUX_PONGS_MAX + 1);
    DAMAGE(mux->refused_count, 257);
    DAMAGE(mux->tokens, 10000001);
    DAMAGE(mux->go_away_owed, true);
    DAMAGE(mux->table.touched, 1);
    DAMAGE(mux->table.lists[STREAM_CONTROL].first, 1);
    DAMAGE(mux->table.lists[STREAM_CONTROL].count, 1);
#undef DAMAGE
    mux_invariant(mux);
    free(whole);
    script_end(&s);
}

static const struct CMUnitTest tests[] = {
    REQ("L-02", a_configuration_must_be_within_its_ranges),
    REQ("D1", memory_must_be_large_enough_and_aligned),
    REQ("D30", time_never_goes_back),
    REQ("D1", input_that_is_not_empty_is_somewhere),
    REQ("D19", a_stream_that_is_named_is_live),
    REQ("D19", no_stream_is_live_in_a_failed_session),
    REQ("D6", only_an_offered_stream_is_accepted_and_once),
    REQ("D6", an_offered_stream_is_accepted_before_it_is_used),
    REQ("L-03", after_finish_there_is_nothing_to_send),
    REQ("D12,D14", no_more_is_consumed_than_was_delivered),
    REQ("D15,D26", data_is_emitted_in_turn_and_within_the_quota),
    REQ("D26", a_turn_is_longer_than_nothing),
    REQ("D6", an_accepted_stream_sends_its_ack_first),
    REQ("D31", a_session_fails_with_a_status_of_sessions),
    REQ("Y-01", damage_breaks_the_invariant),
};

#else /* there is no contract to break */

static void contracts_are_compiled_away(void **state)
{
    (void)state;
}

static const struct CMUnitTest tests[] = {
    REQ("Q-01", contracts_are_compiled_away),
};

#endif
RUN(tests)
