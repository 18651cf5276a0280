/* Small spaces, enumerated: every frame in every state of a stream, every cut
 * of a conversation. */
#include "core/test/script.h"

#include <stdlib.h>
#include <string.h>

#define W0 WIRE_WINDOW_INITIAL

/* ---- every frame in every state ------------------------------------------ */

enum place {
    SESSION,
    NEVER_OURS,
    NEVER_PEERS,
    UNSENT, /* opened, but the SYN is not out: the peer cannot know */
    UNSENT_FINISHED,
    OPENING,
    OPENING_FINISHED,
    OFFERED,
    OFFERED_FINISHED,
    OPEN_OURS,
    OPEN_PEERS,
    LOCAL_FINISHED,
    REMOTE_FINISHED,
    OWES_RST,
    OWES_FIN,
    ENDED_OURS,
    ENDED_PEERS,
    PLACES
};

static uint32_t id_of(enum place place)
{
    switch (place) {
    case SESSION:
        return 0;
    case NEVER_OURS:
    case UNSENT:
    case UNSENT_FINISHED:
    case OPENING:
    case OPENING_FINISHED:
    case OPEN_OURS:
    case LOCAL_FINISHED:
    case ENDED_OURS:
        return 2;
    case NEVER_PEERS:
    case OFFERED:
    case OFFERED_FINISHED:
    case OPEN_PEERS:
    case REMOTE_FINISHED:
    case OWES_RST:
    case OWES_FIN:
    case ENDED_PEERS:
    case PLACES:
        break;
    }
    return 1;
}

static void peer_finishes(struct script *s, uint32_t id)
{
    script_send(s, WIRE_WINDOW_UPDATE, WIRE_FIN, id, 0);
    script_expect_event(s, MUX_STREAM_FINISHED, id, STATUS_OK);
}

static void offer(struct script *s)
{
    script_send(s, WIRE_WINDOW_UPDATE, WIRE_SYN, 1, 0);
    script_expect_event(s, MUX_STREAM_OFFERED, 1, STATUS_OK);
}

static void finish(struct script *s, uint32_t id)
{
    (void)mux_finish(s->mux, id);
    script_expect(s, WIRE_WINDOW_UPDATE, WIRE_FIN, id, 0);
}

/* Long: one case a place, and each is a story of its own. */
static void go_to(struct script *s, enum place place)
{
    switch (place) {
    case SESSION:
    case NEVER_OURS:
    case NEVER_PEERS:
    case PLACES:
        break;
    case UNSENT:
    case UNSENT_FINISHED:
        (void)script_open(s);
        if (place == UNSENT_FINISHED) {
            (void)mux_finish(s->mux, 2);
        }
        break;
    case OPENING:
    case OPENING_FINISHED:
        (void)script_open(s);
        script_expect(s, WIRE_WINDOW_UPDATE, WIRE_SYN, 2, 0);
        if (place == OPENING_FINISHED) {
            finish(s, 2);
        }
        break;
    case OFFERED:
        offer(s);
        break;
    case OFFERED_FINISHED:
        offer(s);
        peer_finishes(s, 1);
        break;
    case OPEN_OURS:
        (void)script_establish(s);
        break;
    case LOCAL_FINISHED:
        (void)script_establish(s);
        finish(s, 2);
        break;
    case ENDED_OURS:
        (void)script_establish(s);
        peer_finishes(s, 2);
        finish(s, 2);
        break;
    case OPEN_PEERS:
        script_accept(s, 1);
        break;
    case REMOTE_FINISHED:
        script_accept(s, 1);
        peer_finishes(s, 1);
        break;
    case OWES_RST:
        script_accept(s, 1);
        mux_reset(s->mux, 1);
        break;
    case OWES_FIN:
        script_accept(s, 1);
        peer_finishes(s, 1);
        assert_true(mux_finish(s->mux, 1));
        break;
    case ENDED_PEERS:
        script_accept(s, 1);
        peer_finishes(s, 1);
        finish(s, 1);
        break;
    }
}

static bool is_unsent(enum place place)
{
    return place == UNSENT || place == UNSENT_FINISHED;
}

/* ... and the peer knows it */
static bool is_live(enum place place)
{
    return place >= OPENING && place <= REMOTE_FINISHED;
}

struct outcome {
    enum status session;
    struct {
        enum mux_event_kind kind;
        enum status status;
    } events[5];
    int event_count;
    bool live; /* afterwards */
    bool resets;
};

static void add(struct outcome *outcome, enum mux_event_kind kind,
                enum status status)
{
    outcome->events[outcome->event_count].kind = kind;
    outcome->events[outcome->event_count].status = status;
    outcome->event_count++;
}

/* The rules once more, as prose would have them. */
static enum status refusal(enum place place, enum wire_type type,
                           unsigned flags, uint32_t length)
{
    bool stream_frame = type == WIRE_DATA || type == WIRE_WINDOW_UPDATE;
    bool known = is_live(place) || place == OWES_RST || place == OWES_FIN;

    if (!stream_frame) {
        return place != SESSION                      ? STATUS_BAD_SESSION_ID
               : type == WIRE_GO_AWAY && length != 0 ? STATUS_PEER_ERROR
                                                     : STATUS_OK;
    }
    if (place == SESSION) {
        return STATUS_BAD_STREAM_ID;
    }
    if ((flags & WIRE_SYN) != 0 && id_of(place) == 2) {
        return STATUS_BAD_STREAM_ID;
    }
    if ((flags & WIRE_SYN) != 0 && known) {
        return STATUS_DUPLICATE_SYN;
    }
    if (type == WIRE_DATA && length > W0) {
        return STATUS_PEER_WINDOW;
    }
    if (type == WIRE_WINDOW_UPDATE && (flags & WIRE_RST) == 0 &&
        length == UINT32_MAX && (is_live(place) || (flags & WIRE_SYN) != 0)) {
        return STATUS_CREDIT_OVERFLOW;
    }
    return STATUS_OK;
}

static struct outcome expected(enum place place, enum wire_type type,
                               unsigned flags, uint32_t length)
{
    struct outcome outcome = {refusal(place, type, flags, length),
                              {{0, 0}},
                              0,
                              is_live(place) || is_unsent(place),
                              false};
    bool payload = type == WIRE_DATA && length > 0;
    bool remote_finished =
        place == REMOTE_FINISHED || place == OFFERED_FINISHED;
    bool local_finished = place == LOCAL_FINISHED || place == OPENING_FINISHED;

    if (outcome.session != STATUS_OK) {
        outcome.live = false;
        return outcome;
    }
    if (place == SESSION) {
        if (type == WIRE_GO_AWAY) {
            add(&outcome, MUX_PEER_GOING_AWAY, STATUS_OK);
        }
        return outcome;
    }
    if (!is_live(place)) {
        if ((flags & WIRE_SYN) == 0 || (flags & WIRE_RST) != 0) {
            return outcome;
        }
        add(&outcome, MUX_STREAM_OFFERED, STATUS_OK);
        outcome.live = true;
    } else if ((flags & WIRE_RST) != 0) {
        add(&outcome, MUX_STREAM_ENDED, STATUS_RESET);
        outcome.live = false;
        return outcome;
    }
    if (place == OPENING || place == OPENING_FINISHED) {
        add(&outcome, MUX_STREAM_ACCEPTED, STATUS_OK);
    }
    if (payload && remote_finished) {
        add(&outcome, MUX_STREAM_ENDED, STATUS_DATA_AFTER_FIN);
        outcome.live = false;
        outcome.resets = true;
        return outcome;
    }
    if (payload) {
        add(&outcome, MUX_STREAM_DATA, STATUS_OK);
    }
    if ((flags & WIRE_FIN) != 0 && !remote_finished) {
        add(&outcome, MUX_STREAM_FINISHED, STATUS_OK);
        if (local_finished) {
            add(&outcome, MUX_STREAM_ENDED, STATUS_OK);
            outcome.live = false;
        }
    }
    return outcome;
}

/* D4: what we send is in the safe subset, whatever came in. */
static unsigned resets_emitted(struct script *s)
{
    unsigned resets = 0;

    script_flush(s);
    while (s->out_taken < s->out_length) {
        struct wire_header header;
        assert_int_equal(wire_decode(&header, s->out + s->out_taken),
                         STATUS_OK);
        s->out_taken += WIRE_HEADER_SIZE;
        assert_true(header.flags == 0 || header.flags == WIRE_SYN ||
                    header.flags == WIRE_ACK || header.flags == WIRE_FIN ||
                    header.flags == WIRE_RST);
        assert_int_not_equal(header.type, WIRE_DATA);
        resets += header.flags == WIRE_RST;
    }
    return resets;
}

static void try(enum place place, enum wire_type type, unsigned flags,
                uint32_t length, size_t cut)
{
    struct script s;
    struct outcome outcome = expected(place, type, flags, length);
    uint32_t id = id_of(place);

    script_start(&s, NULL);
    go_to(&s, place);
    s.cut = cut;
    script_send(&s, type, flags, id, length);
    if (type == WIRE_DATA && outcome.session == STATUS_OK) {
        script_send_bytes(&s, "hello", length);
    }
    for (int i = 0; i < outcome.event_count; i++) {
        if (outcome.events[i].kind == MUX_STREAM_DATA) {
            script_expect_data(&s, id, "hello", length);
        } else {
            script_expect_event(&s, outcome.events[i].kind, id,
                                outcome.events[i].status);
        }
    }
    if (outcome.session != STATUS_OK) {
        script_expect_failure(&s, outcome.session);
        assert_int_equal(mux_stream_count(s.mux), 0);
    } else {
        bool cancelled = place == OWES_RST && (flags & WIRE_RST) != 0 &&
                         (type == WIRE_DATA || type == WIRE_WINDOW_UPDATE);
        assert_int_equal(mux_is_live(s.mux, id), outcome.live);
        assert_int_equal(resets_emitted(&s),
                         outcome.resets || (place == OWES_RST && !cancelled));
        script_expect_alive(&s);
    }
    script_end(&s);
}

static void every_frame_in_every_state_has_its_effect(void **state)
{
    static const size_t cuts[] = {0, 1, 5, 11};
    static const uint32_t lengths[] = {0, 5, W0 + 1, UINT32_MAX};

    (void)state;
    for (int place = 0; place < PLACES; place++) {
        for (int type = WIRE_DATA; type <= WIRE_GO_AWAY; type++) {
            for (unsigned flags = 0; flags < 16; flags++) {
                for (size_t i = 0; i < 4 * 4; i++) {
                    try((enum place)place, (enum wire_type)type, flags,
                        lengths[i % 4], cuts[i / 4]);
                }
            }
        }
    }
}

/* ---- every cut ----------------------------------------------------------- */

/* An application that accepts, copies back and finishes when its peer has. The
 * answer to stream 1 is kept until the end of input, as the order of a pong and
 * an echo is nobody's business. */
struct echo {
    struct script s;
    uint8_t held[64];
    size_t held_length;
    bool accepted, finished;
};

static void react(struct echo *echo)
{
    struct script *s = &echo->s;

    for (; s->events_taken < s->event_count; s->events_taken++) {
        const struct script_event *kept = &s->events[s->events_taken];
        const struct mux_event *event = &kept->event;
        if (event->kind == MUX_STREAM_OFFERED) {
            mux_accept(s->mux, event->stream, NULL);
            echo->accepted = true;
        } else if (event->kind == MUX_STREAM_DATA) {
            memcpy(echo->held + echo->held_length, s->received + kept->data_at,
                   event->data.length);
            echo->held_length += event->data.length;
        } else {
            assert_int_equal(event->kind, MUX_STREAM_FINISHED);
            echo->finished = true;
        }
    }
}

static const uint8_t hello[] = "\0\0\0\1\0\0\0\1\0\0\0\5hello" /* DATA SYN */
                               "\0\1\0\4\0\0\0\1\0\0\0\0"      /* FIN */
                               "\0\2\0\1\0\0\0\0\0\0\0\11";    /* PING */

static void say_hello(size_t first, size_t each)
{
    struct echo echo = {.held_length = 0};
    size_t length = sizeof hello - 1;

    script_start(&echo.s, NULL);
    script_send_bytes(&echo.s, hello, first);
    react(&echo);
    for (size_t at = first; at < length; at += each) {
        script_send_bytes(&echo.s, hello + at,
                          length - at < each ? length - at : each);
        react(&echo);
    }
    assert_true(echo.accepted && echo.finished);
    mux_ready(echo.s.mux, 1, true);
    script_write(&echo.s, 1, echo.held, echo.held_length);
    assert_true(mux_finish(echo.s.mux, 1));
    script_expect(&echo.s, WIRE_PING, WIRE_ACK, 0, 9);
    script_expect(&echo.s, WIRE_WINDOW_UPDATE, WIRE_ACK, 1, 0);
    script_expect(&echo.s, WIRE_DATA, 0, 1, 5);
    script_expect_payload(&echo.s, "hello", 5);
    script_expect(&echo.s, WIRE_WINDOW_UPDATE, WIRE_FIN, 1, 0);
    script_end(&echo.s);
}

static void an_exchange_is_the_same_at_every_cut(void **state)
{
    size_t length = sizeof hello - 1;

    (void)state;
    assert_int_equal(length, 41);
    for (size_t first = 1; first <= length; first++) {
        for (size_t each = 1; each <= length; each++) {
            say_hello(first, each);
        }
    }
}

/* A conversation with everything in it, at every pair of cuts: the same events
 * (script merges data) and the same output. */
static void converse(struct script *s, const uint8_t *bytes, size_t length,
                     size_t first, size_t second)
{
    script_start(s, NULL);
    script_send_bytes(s, bytes, first);
    script_send_bytes(s, bytes + first, second - first);
    script_send_bytes(s, bytes + second, length - second);
    script_flush(s);
}

static void expect_equal(const struct script *a, const struct script *b)
{
    assert_int_equal(a->event_count, b->event_count);
    for (size_t i = 0; i < a->event_count; i++) {
        const struct mux_event *x = &a->events[i].event;
        const struct mux_event *y = &b->events[i].event;
        assert_int_equal(x->kind, y->kind);
        assert_int_equal(x->stream, y->stream);
        assert_int_equal(x->status, y->status);
        assert_int_equal(x->data.length, y->data.length);
    }
    assert_int_equal(a->received_length, b->received_length);
    assert_memory_equal(a->received, b->received, a->received_length);
    assert_int_equal(a->out_length, b->out_length);
    assert_memory_equal(a->out, b->out, a->out_length);
}

static void a_conversation_is_the_same_at_every_two_cuts(void **state)
{
    static const uint8_t bytes[] =
        "\0\0\0\1\0\0\0\1\0\0\0\4open"     /* SYN on data */
        "\0\0\0\1\0\0\0\3\0\0\0\1b"        /* another stream */
        "\0\1\200\0\0\0\0\1\0\0\1\0"       /* credit, unknown flag */
        "\0\0\0\0\0\0\0\3\0\0\0\0"         /* empty */
        "\0\2\0\1\0\0\0\0\336\255\276\357" /* ping */
        "\0\0\0\4\0\0\0\1\0\0\0\4tail"     /* FIN with payload */
        "\0\0\0\10\0\0\0\3\0\0\0\4junk"    /* RST with payload */
        "\0\0\0\0\0\0\0\3\0\0\0\4late"     /* for a stream that is gone */
        "\0\0\0\0\0\0\0\1\0\0\0\4more"     /* after FIN: reset */
        "\0\1\0\5\0\0\0\11\0\0\0\0"        /* SYN and FIN */
        "\0\3\0\0\0\0\0\0\0\0\0\0"         /* go-away */
        "\0\0\0\0\0\0\0\11\0\0\0\1x"       /* after FIN again */
        "\0\1\0\1\0\0\0\2\0\0\0\0"         /* wrong parity: the end */
        "swallowed";
    size_t length = sizeof bytes - 1;
    struct script whole;

    (void)state;
    converse(&whole, bytes, length, length, length);
    assert_int_equal(mux_status(whole.mux), STATUS_BAD_STREAM_ID);
    for (size_t first = 1; first < length; first++) {
        for (size_t second = first; second < length; second++) {
            struct script cut;
            converse(&cut, bytes, length, first, second);
            expect_equal(&whole, &cut);
            script_forget(&cut);
        }
    }
    script_forget(&whole);
}

static const struct CMUnitTest tests[] = {
    REQ("Y-01,D2,D3,D4,D9,D11,D16,D17,D18,D33,D34,C-08,R-07",
        every_frame_in_every_state_has_its_effect),
    REQ("D2,D3,F-02,F-03,F-04", an_exchange_is_the_same_at_every_cut),
    REQ("D2,D42,F-04,F-17", a_conversation_is_the_same_at_every_two_cuts),
};
RUN(tests)
