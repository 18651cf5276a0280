/* The reader of what is sent lets the legal through and sees what is not: each
 * rule of sim/legal.h is broken here once, by bytes written by hand. */
#include "core/test/req.h"
#include "sim/legal.h"

#include <string.h>

enum { DATA, WINDOW, PING, GO_AWAY };
enum { SYN = 1, ACK = 2, FIN = 4, RST = 8 };
enum { BINARY = 0x82, CLOSE = 0x88, WS_PING = 0x89, WS_PONG = 0x8a };

#define ROOM 4096u

struct pen { /* writes what one end says; the reader judges the server */
    struct sim *sim;
    struct legal *list, *legal;
    uint8_t bytes[ROOM];
    size_t length;
};

/* ---- writing ------------------------------------------------------------- */

static void put(struct pen *pen, const void *bytes, size_t length)
{
    assert_true(pen->length + length <= ROOM);
    if (length > 0) {
        memcpy(pen->bytes + pen->length, bytes, length);
    }
    pen->length += length;
}

static void frame(struct pen *pen, uint8_t type, uint8_t flags, uint32_t id,
                  uint32_t length)
{
    const uint8_t header[12] = {0,
                                type,
                                0,
                                flags,
                                (uint8_t)(id >> 24),
                                (uint8_t)(id >> 16),
                                (uint8_t)(id >> 8),
                                (uint8_t)id,
                                (uint8_t)(length >> 24),
                                (uint8_t)(length >> 16),
                                (uint8_t)(length >> 8),
                                (uint8_t)length};

    put(pen, header, sizeof header);
}

static void data(struct pen *pen, uint32_t id, const char *text)
{
    frame(pen, DATA, 0, id, (uint32_t)strlen(text));
    put(pen, text, strlen(text));
}

/* What was put, as the payload of one frame with this first byte. */
static void speak(struct pen *pen, uint8_t first, bool masked, bool sent)
{
    static const uint8_t mask[4] = {0x11, 0x22, 0x33, 0x44};
    uint8_t bytes[ROOM + 8];
    size_t at = 0;

    bytes[at++] = first;
    if (pen->length < 126) {
        bytes[at++] = (uint8_t)(pen->length | (masked ? 0x80u : 0u));
    } else {
        bytes[at++] = masked ? 0xfe : 126;
        bytes[at++] = (uint8_t)(pen->length >> 8);
        bytes[at++] = (uint8_t)pen->length;
    }
    if (masked) {
        memcpy(bytes + at, mask, sizeof mask);
        at += sizeof mask;
    }
    for (size_t i = 0; i < pen->length; i++) {
        bytes[at++] = (uint8_t)(pen->bytes[i] ^ (masked ? mask[i % 4] : 0));
    }
    pen->length = 0;
    for (size_t i = 0; i < at; i++) { /* the result is no matter of pieces */
        if (sent) {
            legal_sent(pen->legal, bytes + i, 1);
        } else {
            legal_received(pen->legal, bytes + i, 1);
        }
    }
}

static void say(struct pen *pen) /* the server does */
{
    speak(pen, BINARY, false, true);
}

static void hear(struct pen *pen) /* the agent does */
{
    speak(pen, BINARY, true, false);
}

static void open_stream(struct pen *pen, uint32_t id)
{
    frame(pen, WINDOW, SYN, id, 0);
    data(pen, id, "\x01");
    say(pen);
    frame(pen, WINDOW, ACK, id, 0);
    hear(pen);
}

/* All of the stream's window but so many bytes. */
static void use_window(struct pen *pen, uint32_t id, uint32_t left)
{
    char kilobyte[1025];
    uint32_t window = 262144 - 1 - left;

    memset(kilobyte, 'x', 1024);
    kilobyte[1024] = 0;
    for (; window >= 1024; window -= 1024) {
        data(pen, id, kilobyte);
        say(pen);
    }
    data(pen, id, kilobyte + (1024 - window));
    say(pen);
}

/* ---- what is legal ------------------------------------------------------- */

static void all_that_is_allowed(struct pen *pen)
{
    open_stream(pen, 2);
    open_stream(pen, 4);
    data(pen, 2, "request");
    frame(pen, WINDOW, FIN, 2, 0);
    say(pen);
    data(pen, 2, "answer");
    frame(pen, WINDOW, FIN, 2, 0);
    frame(pen, PING, SYN, 0, 7);
    frame(pen, PING, SYN, 0, 8);
    hear(pen);
    frame(pen, PING, ACK, 0, 7);
    frame(pen, PING, ACK, 0, 8);
    frame(pen, PING, SYN, 0, 1);
    frame(pen, WINDOW, RST, 4, 0);
    say(pen);
    frame(pen, WINDOW, SYN, 1, 0); /* an agent's stream is refused, */
    frame(pen, WINDOW, SYN, 1, 0); /* as often as it comes */
    hear(pen);
    frame(pen, WINDOW, RST, 1, 0);
    frame(pen, WINDOW, RST, 1, 0);
    say(pen);
    frame(pen, WINDOW, SYN, 3, 0); /* also where it was taken back meanwhile */
    frame(pen, WINDOW, RST, 3, 0);
    frame(pen, WINDOW, SYN, 3, 0);
    hear(pen);
    frame(pen, WINDOW, RST, 3, 0);
    frame(pen, WINDOW, RST, 3, 0);
    say(pen);
    put(pen, "hello", 5);
    speak(pen, WS_PING, true, false);
    put(pen, "hello", 5);
    speak(pen, WS_PONG, false, true);
    frame(pen, GO_AWAY, 0, 0, 0);
    frame(pen, GO_AWAY, 0, 0, 1);
    say(pen);
    put(pen, "\x03\xe9", 2);
    speak(pen, CLOSE, false, true);
}

static void exactly_the_window(struct pen *pen)
{
    open_stream(pen, 2);
    use_window(pen, 2, 3);
    data(pen, 2, "abc");
    say(pen);
    frame(pen, WINDOW, 0, 2, 5);
    hear(pen);
    data(pen, 2, "abcde");
    say(pen);
}

static void exactly_the_growth(struct pen *pen)
{
    open_stream(pen, 2);
    open_stream(pen, 4);
    frame(pen, WINDOW, 0, 2, 4);
    frame(pen, WINDOW, 0, 4, 2);
    frame(pen, WINDOW, RST, 2, 0); /* its growth is free again */
    frame(pen, WINDOW, 0, 4, 4);
    say(pen);
}

/* However many streams came and went meanwhile. */
static void a_reset_that_crosses_the_last_fin(struct pen *pen)
{
    for (uint32_t id = 2; id < 200; id += 2) {
        open_stream(pen, id);
        frame(pen, WINDOW, FIN, id, 0);
        say(pen);
        frame(pen, WINDOW, FIN, id, 0);
        hear(pen);
    }
    frame(pen, WINDOW, RST, 2, 0);
    frame(pen, WINDOW, RST, 198, 0);
    say(pen);
}

static void overflow_behind_a_fin(struct pen *pen)
{
    open_stream(pen, 2);
    frame(pen, WINDOW, FIN, 2, 0);
    frame(pen, WINDOW, 0, 2, 0xffffffff);
    hear(pen);
}

/* The server had nothing more to send when it came. */
static void a_finished_stream_whose_credit_overflows(struct pen *pen)
{
    overflow_behind_a_fin(pen);
    frame(pen, WINDOW, FIN, 2, 0);
    say(pen);
}

/* Another judge, of an end that accepts streams. */
static void judge_who_accepts(struct pen *pen)
{
    struct legal_config config = {
        .who = "agent", .is_server = true, .accepts = true, .window = 262144};

    legal_free(&pen->list, pen->legal);
    pen->legal = legal_new(&pen->list, pen->sim, &config);
}

/* Of two offers of one id, the first taken back, it refuses one; then comes a
 * third. */
static void offer_again(struct pen *pen, uint32_t second, uint32_t third)
{
    judge_who_accepts(pen);
    frame(pen, WINDOW, SYN, 1, 0);
    frame(pen, WINDOW, RST, 1, 0);
    frame(pen, WINDOW, SYN, 1, 0);
    hear(pen);
    frame(pen, WINDOW, RST, 1, 0);
    say(pen);
    frame(pen, WINDOW, 0, 1, second);
    frame(pen, WINDOW, SYN, 1, third);
    hear(pen);
    frame(pen, WINDOW, ACK, 1, 0);
    say(pen);
}

static void an_id_whose_refused_offer_overflowed(struct pen *pen)
{
    offer_again(pen, UINT32_MAX, 0);
}

static void an_id_of_which_two_offers_overflow(struct pen *pen)
{
    offer_again(pen, UINT32_MAX - 262144, 13);
}

/* ---- what is not, one rule each ------------------------------------------ */

static void the_server_masks(struct pen *pen)
{
    frame(pen, PING, SYN, 0, 1);
    speak(pen, BINARY, true, true);
}

static void a_reserved_bit(struct pen *pen)
{
    frame(pen, PING, SYN, 0, 1);
    speak(pen, BINARY | 0x40, false, true);
}

static void an_unknown_opcode(struct pen *pen)
{
    speak(pen, 0x83, false, true);
}

static void a_control_frame_in_pieces(struct pen *pen)
{
    speak(pen, WS_PING & 0x0f, false, true);
}

static void a_long_control_frame(struct pen *pen)
{
    for (int i = 0; i < 126; i++) {
        put(pen, "x", 1);
    }
    speak(pen, WS_PING, false, true);
}

static void a_continuation_of_nothing(struct pen *pen)
{
    frame(pen, PING, SYN, 0, 1);
    speak(pen, 0x80, false, true);
}

static void a_pong_for_no_ping(struct pen *pen)
{
    speak(pen, WS_PONG, false, true);
}

static void words_after_the_close(struct pen *pen)
{
    speak(pen, CLOSE, false, true);
    frame(pen, PING, SYN, 0, 1);
    say(pen);
}

static void a_close_code_of_no_wire(struct pen *pen)
{
    put(pen, "\x03\xee", 2);
    speak(pen, CLOSE, false, true);
}

static void half_a_frame_in_a_message(struct pen *pen)
{
    frame(pen, PING, SYN, 0, 1);
    pen->length -= 4;
    say(pen);
}

static void a_version(struct pen *pen)
{
    frame(pen, PING, SYN, 0, 1);
    pen->bytes[0] = 1;
    say(pen);
}

static void a_type(struct pen *pen)
{
    frame(pen, 4, 0, 0, 0);
    say(pen);
}

static void a_ping_on_a_stream(struct pen *pen)
{
    open_stream(pen, 2);
    frame(pen, PING, SYN, 2, 0);
    say(pen);
}

static void an_odd_id(struct pen *pen)
{
    frame(pen, WINDOW, SYN, 3, 0);
    say(pen);
}

static void an_id_twice(struct pen *pen)
{
    open_stream(pen, 2);
    open_stream(pen, 4);
    frame(pen, WINDOW, SYN, 2, 0);
    say(pen);
}

static void an_id_that_shrinks(struct pen *pen)
{
    open_stream(pen, 6);
    open_stream(pen, 4);
}

static void a_stream_that_is_not(struct pen *pen)
{
    data(pen, 2, "x");
    say(pen);
}

static void a_reset_of_a_stream_that_is_not(struct pen *pen)
{
    open_stream(pen, 2);
    frame(pen, WINDOW, RST, 4, 0);
    say(pen);
}

static void a_reset_of_an_agents_stream_that_is_not(struct pen *pen)
{
    frame(pen, WINDOW, SYN, 1, 0);
    hear(pen);
    frame(pen, WINDOW, RST, 3, 0);
    say(pen);
}

static void another_preface(struct pen *pen)
{
    frame(pen, WINDOW, SYN, 2, 0);
    data(pen, 2, "G");
    say(pen);
}

static void fin_before_the_preface(struct pen *pen)
{
    frame(pen, WINDOW, SYN, 2, 0);
    frame(pen, WINDOW, FIN, 2, 0);
    say(pen);
}

static void syn_and_fin(struct pen *pen)
{
    frame(pen, WINDOW, SYN | FIN, 2, 0);
    say(pen);
}

static void fin_with_payload(struct pen *pen)
{
    open_stream(pen, 2);
    frame(pen, DATA, FIN, 2, 1);
    put(pen, "x", 1);
    say(pen);
}

static void an_empty_frame(struct pen *pen)
{
    open_stream(pen, 2);
    frame(pen, DATA, 0, 2, 0);
    say(pen);
}

static void data_after_fin(struct pen *pen)
{
    open_stream(pen, 2);
    frame(pen, WINDOW, FIN, 2, 0);
    data(pen, 2, "x");
    say(pen);
}

static void fin_twice(struct pen *pen)
{
    open_stream(pen, 2);
    frame(pen, WINDOW, FIN, 2, 0);
    frame(pen, WINDOW, FIN, 2, 0);
    say(pen);
}

static void a_word_after_rst(struct pen *pen)
{
    open_stream(pen, 2);
    frame(pen, WINDOW, RST, 2, 0);
    frame(pen, WINDOW, 0, 2, 9);
    say(pen);
}

static void data_after_the_peers_rst(struct pen *pen)
{
    open_stream(pen, 2);
    frame(pen, WINDOW, RST, 2, 0);
    hear(pen);
    data(pen, 2, "x");
    say(pen);
}

static void a_byte_beyond_the_window(struct pen *pen)
{
    open_stream(pen, 2);
    use_window(pen, 2, 3);
    data(pen, 2, "abcd");
    say(pen);
}

static void credit_for_nothing(struct pen *pen)
{
    open_stream(pen, 2);
    data(pen, 2, "answer");
    hear(pen);
    frame(pen, WINDOW, 0, 2, 6 + 7);
    say(pen);
}

static void growth_of_two_streams(struct pen *pen)
{
    open_stream(pen, 2);
    open_stream(pen, 4);
    frame(pen, WINDOW, 0, 2, 4);
    frame(pen, WINDOW, 0, 4, 3);
    say(pen);
}

static void an_accepted_stream(struct pen *pen)
{
    frame(pen, WINDOW, SYN, 1, 0);
    hear(pen);
    frame(pen, WINDOW, ACK, 1, 0);
    say(pen);
}

static void an_unasked_pong(struct pen *pen)
{
    frame(pen, PING, ACK, 0, 1);
    say(pen);
}

static void pongs_out_of_order(struct pen *pen)
{
    frame(pen, PING, SYN, 0, 1);
    frame(pen, PING, SYN, 0, 2);
    hear(pen);
    frame(pen, PING, ACK, 0, 2);
    frame(pen, PING, ACK, 0, 1);
    say(pen);
}

static void a_second_go_away(struct pen *pen)
{
    frame(pen, GO_AWAY, 0, 0, 0);
    frame(pen, GO_AWAY, 0, 0, 0);
    say(pen);
}

static void a_stream_after_go_away(struct pen *pen)
{
    frame(pen, GO_AWAY, 0, 0, 0);
    say(pen);
    open_stream(pen, 2);
}

static void a_frame_after_failure(struct pen *pen)
{
    frame(pen, GO_AWAY, 0, 0, 1);
    frame(pen, PING, SYN, 0, 1);
    say(pen);
}

static void a_stream_whose_credit_overflows(struct pen *pen)
{
    open_stream(pen, 2);
    frame(pen, WINDOW, 0, 2, UINT32_MAX);
    hear(pen);
    data(pen, 2, "more");
    say(pen);
}

static void more_of_a_stream_whose_credit_has_overflown(struct pen *pen)
{
    overflow_behind_a_fin(pen);
    data(pen, 2, "x");
    say(pen);
}

static void a_stream_that_nobody_answers(struct pen *pen)
{
    frame(pen, WINDOW, SYN, 1, 0);
    frame(pen, WINDOW, SYN | RST, 3, 0); /* wants no answer */
    hear(pen);
    frame(pen, WINDOW, RST, 1, 0);
    say(pen);
    legal_is_quiet(pen->legal);
    frame(pen, WINDOW, SYN, 5, 0);
    hear(pen);
    legal_is_quiet(pen->legal);
}

static void an_end_that_does_not_say_why(struct pen *pen)
{
    speak(pen, CLOSE, false, true);
    legal_goes(pen->legal, false);
    legal_goes(pen->legal, true);
}

static void an_end_without_a_close(struct pen *pen)
{
    frame(pen, GO_AWAY, 0, 0, 1);
    say(pen);
    legal_goes(pen->legal, true);
}

/* ---- who is lost --------------------------------------------------------- */

static void a_word_on_stream_0(struct pen *pen)
{
    frame(pen, WINDOW, 0, 0, 1);
    hear(pen);
}

static void a_go_away_on_a_stream(struct pen *pen)
{
    frame(pen, GO_AWAY, 0, 2, 0);
    hear(pen);
}

static void more_data_than_was_ever_granted(struct pen *pen)
{
    frame(pen, DATA, 0, 100, 262144 + 6 + 1);
    hear(pen);
}

static void a_syn_of_our_parity(struct pen *pen)
{
    frame(pen, WINDOW, SYN, 2, 0);
    hear(pen);
}

static void a_frame_of_version_1(struct pen *pen)
{
    const uint8_t header[12] = {1};

    put(pen, header, sizeof header);
    hear(pen);
}

static void ping_often(struct pen *pen, uint32_t times)
{
    for (uint32_t i = 0; i < times; i++) {
        frame(pen, PING, SYN, 0, i);
        hear(pen);
    }
}

static void a_ping_too_many(struct pen *pen)
{
    ping_often(pen, 11); /* of a budget of 10 */
}

static void as_many_pings_as_are_allowed(struct pen *pen)
{
    ping_often(pen, 10);
}

static void a_frame_of_a_stream_that_is_over(struct pen *pen)
{
    frame(pen, WINDOW, 0, 100, 1);
    frame(pen, DATA, 0, 102, 0);
    hear(pen);
}

/* ---- running them -------------------------------------------------------- */

struct play {
    struct pen pen;
    void (*script)(struct pen *pen);
};

static bool *loses; /* where it goes whether the peer is lost; or NULL */

static void run_script(void *user)
{
    struct play *play = user;

    play->script(&play->pen);
    if (loses != NULL) {
        *loses = legal_is_lost(play->pen.legal);
    }
}

static bool passes(void (*script)(struct pen *pen), struct sim_failure *failure)
{
    struct sim_config sim = {.seed = 1};
    struct legal_config config = {.who = "server",
                                  .is_server = true,
                                  .opens = true,
                                  .preface = 0x01,
                                  .useless_burst = 10,
                                  .useless_per_s = 1,
                                  .payload_max = 16384,
                                  .window = 262144,
                                  .growth = 6};
    static struct play play;

    play = (struct play){.script = script};
    play.pen.sim = sim_new(&sim);
    play.pen.legal = legal_new(&play.pen.list, play.pen.sim, &config);
    bool passed = sim_run(play.pen.sim, run_script, &play, failure);
    legal_free(&play.pen.list, play.pen.legal);
    assert_null(play.pen.list);
    sim_free(play.pen.sim);
    return passed;
}

static void what_is_legal_passes(void **state)
{
    struct sim_failure failure = {.step = 0};

    (void)state;
    if (!passes(all_that_is_allowed, &failure) ||
        !passes(exactly_the_window, &failure) ||
        !passes(exactly_the_growth, &failure) ||
        !passes(a_reset_that_crosses_the_last_fin, &failure) ||
        !passes(a_finished_stream_whose_credit_overflows, &failure) ||
        !passes(an_id_whose_refused_offer_overflowed, &failure) ||
        !passes(an_id_of_which_two_offers_overflow, &failure)) {
        fail_msg("%s", failure.message);
    }
}

#define PLANTED(X)                                                      \
    X(the_server_masks, "the client masks")                             \
    X(a_reserved_bit, "reserved bits")                                  \
    X(an_unknown_opcode, "no such opcode")                              \
    X(a_control_frame_in_pieces, "whole and short")                     \
    X(a_long_control_frame, "whole and short")                          \
    X(a_continuation_of_nothing, "a continuation")                      \
    X(a_pong_for_no_ping, "does not echo")                              \
    X(words_after_the_close, "after a close frame")                     \
    X(a_close_code_of_no_wire, "never on the wire")                     \
    X(half_a_frame_in_a_message, "within a yamux frame")                \
    X(a_version, "the version is 0")                                    \
    X(a_type, "no such type")                                           \
    X(a_ping_on_a_stream, "have id 0")                                  \
    X(an_odd_id, "wrong parity")                                        \
    X(an_id_twice, "used twice")                                        \
    X(an_id_that_shrinks, "ids grow")                                   \
    X(a_stream_that_is_not, "a stream that is not")                     \
    X(a_reset_of_a_stream_that_is_not, "a stream that is not")          \
    X(a_reset_of_an_agents_stream_that_is_not, "a stream that is not")  \
    X(another_preface, "the preface comes first")                       \
    X(fin_before_the_preface, "FIN before the preface")                 \
    X(syn_and_fin, "one flag a frame")                                  \
    X(fin_with_payload, "carry nothing")                                \
    X(an_empty_frame, "it says nothing")                                \
    X(data_after_fin, "data after its FIN")                             \
    X(fin_twice, "a second FIN")                                        \
    X(a_word_after_rst, "after its RST")                                \
    X(data_after_the_peers_rst, "that the peer has reset")              \
    X(a_byte_beyond_the_window, "beyond the granted window")            \
    X(credit_for_nothing, "more granted than its window")               \
    X(growth_of_two_streams, "more granted than its window")            \
    X(an_accepted_stream, "nothing to answer")                          \
    X(an_unasked_pong, "nobody asked")                                  \
    X(pongs_out_of_order, "nobody asked")                               \
    X(a_second_go_away, "a second go-away")                             \
    X(a_stream_after_go_away, "after its go-away")                      \
    X(a_frame_after_failure, "after it said that it failed")            \
    X(a_stream_whose_credit_overflows, "has passed 2^32-1")             \
    X(more_of_a_stream_whose_credit_has_overflown, "has passed 2^32-1") \
    X(a_stream_that_nobody_answers, "answered 1 of 2")                  \
    X(an_end_that_does_not_say_why, "does not say so")                  \
    X(an_end_without_a_close, "without a close frame")

static void what_is_not_is_seen(void **state)
{
    static const struct {
        void (*script)(struct pen *pen);
        const char *name, *says;
    } planted[] = {
#define X(script, says) {script, #script, says},
        PLANTED(X)
#undef X
    };

    (void)state;
    for (size_t i = 0; i < sizeof planted / sizeof *planted; i++) {
        struct sim_failure failure = {.step = 0};
        if (passes(planted[i].script, &failure)) {
            fail_msg("%s was not seen", planted[i].name);
        }
        assert_string_equal(failure.oracle, "legal");
        if (strstr(failure.message, planted[i].says) == NULL) {
            fail_msg("%s: %s", planted[i].name, failure.message);
        }
    }
}

static bool is_lost_by(void (*script)(struct pen *pen))
{
    struct sim_failure failure = {.step = 0};
    bool lost = false;

    loses = &lost;
    if (!passes(script, &failure)) {
        fail_msg("%s", failure.message);
    }
    loses = NULL;
    return lost;
}

static void a_peer_is_lost_by_what_no_state_excuses(void **state)
{
    (void)state;
    assert_true(is_lost_by(a_word_on_stream_0));
    assert_true(is_lost_by(a_go_away_on_a_stream));
    assert_true(is_lost_by(more_data_than_was_ever_granted));
    assert_true(is_lost_by(a_syn_of_our_parity));
    assert_true(is_lost_by(a_frame_of_version_1));
    assert_true(is_lost_by(a_ping_too_many));
    assert_false(is_lost_by(as_many_pings_as_are_allowed));
    assert_false(is_lost_by(a_frame_of_a_stream_that_is_over));
}

static const struct CMUnitTest tests[] = {
    REQ("Q-04,L-07", what_is_legal_passes),
    REQ("Q-04,AC-06", what_is_not_is_seen),
    REQ("Q-04,Y-01", a_peer_is_lost_by_what_no_state_excuses),
};

RUN(tests)
