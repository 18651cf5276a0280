/* A peer that sends any frame at any time, and a user who does anything that
 * the contract allows. Invariants and contracts are the oracle; and:
 *
 *   events name streams that the user knows, in an order that makes sense;
 *   output is whole frames of the safe subset, a stream's in an order that
 *   makes sense; a failed session says one go-away and no more.
 */
#include "core/test/script.h"

#include <stdlib.h>
#include <string.h>

#define IDS 24u
#define OUT_MAX (1u << 16)

static uint64_t random_next(uint64_t *seed)
{
    uint64_t x = *seed += 0x9e3779b97f4a7c15u;

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* What the user, and then the wire, know of a stream. */
struct known {
    bool live, accepted, finished, peer_finished;
    size_t unconsumed;
    bool syn_out, ack_out, fin_out, rst_out;
};

struct world {
    uint64_t seed;
    uint64_t now_ms;
    struct mux *mux;
    void *memory;
    struct known known[IDS + 1];
    bool failed, go_away_1_out;
    uint8_t out[OUT_MAX];
};

static uint32_t below(struct world *w, uint32_t bound)
{
    return (uint32_t)(random_next(&w->seed) % bound);
}

static bool is_ours(uint32_t stream)
{
    return stream % 2 == 0;
}

/* ---- what the user is told ----------------------------------------------- */

static void take_event(struct world *w, const struct mux_event *event)
{
    struct known *known = &w->known[event->stream];

    assert_true(event->stream <= IDS);
    assert_false(w->failed);
    switch (event->kind) {
    case MUX_STREAM_OFFERED:
        assert_false(known->live || is_ours(event->stream));
        *known = (struct known){.live = true};
        return;
    case MUX_STREAM_ACCEPTED:
        assert_true(known->live && !known->accepted && known->syn_out);
        known->accepted = true;
        return;
    case MUX_STREAM_DATA:
        assert_true(known->live && !known->peer_finished);
        assert_true(event->data.length > 0);
        known->unconsumed += event->data.length;
        assert_true(known->unconsumed <= WIRE_WINDOW_INITIAL);
        return;
    case MUX_STREAM_FINISHED:
        assert_true(known->live && !known->peer_finished);
        known->peer_finished = true;
        return;
    case MUX_STREAM_ENDED:
        assert_true(known->live);
        assert_true(event->status != STATUS_OK ||
                    (known->finished && known->peer_finished));
        known->live = false;
        return;
    case MUX_PEER_GOING_AWAY:
        return;
    case MUX_FAILED:
        assert_int_equal(event->status, mux_status(w->mux));
        w->failed = true;
        return;
    }
    fail();
}

/* ---- what the peer is sent ----------------------------------------------- */

static void judge_stream_frame(struct known *known,
                               const struct wire_header *header)
{
    bool ours = is_ours(header->stream);

    assert_false(known->rst_out);
    switch (header->flags) {
    case WIRE_SYN:
        assert_true(ours && !known->syn_out);
        known->syn_out = true;
        break;
    case WIRE_ACK:
        assert_true(!ours && !known->ack_out && !known->fin_out);
        known->ack_out = true;
        break;
    case WIRE_FIN:
        assert_true(ours ? known->syn_out : known->ack_out);
        assert_false(known->fin_out);
        known->fin_out = true;
        break;
    case WIRE_RST:
        assert_true(!ours || known->syn_out);
        known->rst_out = ours; /* the peer may use its own ids again */
        break;
    default:
        assert_int_equal(header->flags, 0);
        assert_true(ours ? known->syn_out : known->ack_out);
        assert_true(header->type != WIRE_DATA || !known->fin_out);
        break;
    }
    if (header->flags != 0) {
        assert_int_equal(header->type, WIRE_WINDOW_UPDATE);
    }
}

static void judge_output(struct world *w, size_t length)
{
    size_t at = 0;

    while (at < length) {
        struct wire_header header;
        assert_true(length - at >= WIRE_HEADER_SIZE);
        assert_int_equal(wire_decode(&header, w->out + at), STATUS_OK);
        at += WIRE_HEADER_SIZE;
        assert_true(!w->failed || header.type == WIRE_GO_AWAY);
        assert_false(w->go_away_1_out);
        switch ((enum wire_type)header.type) {
        case WIRE_DATA:
            assert_true(header.length > 0 && header.length <= length - at);
            at += header.length;
            judge_stream_frame(&w->known[header.stream], &header);
            break;
        case WIRE_WINDOW_UPDATE:
            if (header.stream <= IDS) {
                judge_stream_frame(&w->known[header.stream], &header);
            } else { /* only a refusal names an id that we do not follow */
                assert_int_equal(header.flags, WIRE_RST);
            }
            break;
        case WIRE_PING:
            assert_int_equal(header.stream, 0);
            break;
        case WIRE_GO_AWAY:
            assert_int_equal(header.length, w->failed);
            w->go_away_1_out = w->failed;
            break;
        }
    }
}

static void emit(struct world *w)
{
    struct mux_sender sender;

    judge_output(w, mux_emit_control(w->mux, w->now_ms, w->out, below(w, 300)));
    if (below(w, 2) == 0 && mux_next_sender(w->mux, &sender)) {
        size_t length = 1 + below(w, (uint32_t)sender.quota);
        judge_output(w, mux_emit_data(w->mux, sender.stream, w->out, length));
    }
}

/* ---- what both do -------------------------------------------------------- */

static void send_frame(struct world *w)
{
    static const uint32_t lengths[] = {0, 0, 1, 5, 200, 131072, 262144};
    struct wire_header header = {
        .type = (uint8_t)below(w, 2),
        .flags = (uint16_t)(below(w, 2) == 0 ? 0 : below(w, 16)),
        .stream = 1 + below(w, IDS),
        .length = lengths[below(w, below(w, 4) == 0 ? 7 : 4)]};
    static uint8_t payload[262144];
    uint8_t bytes[WIRE_HEADER_SIZE];
    struct span inputs[2] = {{bytes, sizeof bytes}, {payload, 0}};
    struct mux_event event;

    if (below(w, 30) == 0) {
        header.type = (uint8_t)(2 + below(w, 2));
        header.stream = 0;
        header.length = below(w, 50) == 0;
    }
    if (is_ours(header.stream) || below(w, 4) != 0) {
        header.flags &= (uint16_t)~WIRE_SYN; /* or it is over at once */
    }
    if (header.type == WIRE_DATA) {
        inputs[1].length = header.length;
    }
    wire_encode(bytes, &header);
    for (int i = 0; i < 2; i++) {
        while (inputs[i].length > 0) {
            struct span piece = inputs[i];
            piece.length = 1 + below(w, (uint32_t)piece.length);
            inputs[i].bytes += piece.length;
            inputs[i].length -= piece.length;
            while (mux_receive(w->mux, w->now_ms, &piece, &event)) {
                take_event(w, &event);
                if (below(w, 8) == 0) {
                    emit(w); /* between two events, too */
                }
            }
        }
    }
}

static void open_one(struct world *w)
{
    uint32_t stream;

    if (mux_open(w->mux, w->now_ms, NULL, &stream) == STATUS_OK) {
        if (stream > IDS) {
            mux_reset(w->mux, stream); /* not followed */
            return;
        }
        assert_false(w->known[stream].live || w->known[stream].syn_out);
        w->known[stream].live = true;
    }
}

static void use_one(struct world *w)
{
    uint32_t stream = 1 + below(w, IDS);
    struct known *known = &w->known[stream];
    bool usable = is_ours(stream) || known->accepted;

    assert_int_equal(mux_is_live(w->mux, stream), known->live && !w->failed);
    if (w->failed || !known->live) {
        return;
    }
    switch (below(w, 6)) {
    case 0:
    case 1:
        if (!usable) {
            mux_accept(w->mux, stream, NULL);
            known->accepted = true;
        } else if (!known->finished) {
            mux_ready(w->mux, stream, below(w, 2) == 0);
        }
        break;
    case 2:
    case 3:
        if (known->unconsumed > 0) {
            uint32_t length = 1 + below(w, (uint32_t)known->unconsumed);
            mux_consume(w->mux, stream, length);
            known->unconsumed -= length;
        }
        break;
    case 4:
        if (usable && !known->finished) {
            known->finished = true;
            if (mux_finish(w->mux, stream)) {
                assert_true(known->peer_finished);
                known->live = false;
            }
        }
        break;
    default:
        if (below(w, 3) == 0) {
            mux_reset(w->mux, stream);
            known->live = false;
        }
        break;
    }
}

static void live_through(uint64_t seed)
{
    static struct world w;
    struct mux_config config;
    struct mux_event event;

    memset(&w, 0, sizeof w);
    w.seed = seed;
    mux_config_default(&config, MUX_SERVER);
    config.inbound_max = below(&w, 5);
    config.outbound_max = below(&w, 5);
    config.open_timeout_ms = below(&w, 3) * 50;
    config.accept_timeout_ms = below(&w, 3) * 50;
    config.preface_length = below(&w, 3);
    config.ping_interval_ms = below(&w, 3) * 100;
    w.memory = calloc(1, mux_size(&config));
    w.mux = mux_init(w.memory, mux_size(&config), &config, 0);
    for (uint32_t step = 0; step < 400; step++) {
        switch (below(&w, 8)) {
        case 0:
        case 1:
        case 2:
            send_frame(&w);
            break;
        case 3:
            emit(&w);
            break;
        case 4:
            open_one(&w);
            break;
        case 5:
            w.now_ms += below(&w, 20);
            while (mux_tick(w.mux, w.now_ms, &event)) {
                take_event(&w, &event);
            }
            break;
        default:
            use_one(&w);
            break;
        }
        if (below(&w, 1000) == 0) {
            mux_go_away(w.mux, below(&w, 2) == 0);
        }
    }
    if (!w.failed) {
        w.failed = mux_fail(w.mux, STATUS_ABUSE) == STATUS_ABUSE;
    }
    judge_output(&w, mux_emit_control(w.mux, w.now_ms, w.out, OUT_MAX));
    assert_int_equal(mux_wants(w.mux), MUX_IS_OVER);
    free(w.memory);
}

static void no_peer_breaks_an_invariant(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        live_through(seed);
    }
}

static const struct CMUnitTest tests[] = {
    REQ("Y-01,L-02,D2,D4,D22,D27,D45", no_peer_breaks_an_invariant),
};
RUN(tests)
