/* Two sessions back to back over a reliable pipe that cuts, stalls and fills,
 * with users who write, consume late, half-close and reset at random. Each seed
 * is one world; what must hold is checked at each event and, after the world
 * has calmed down, at the end:
 *
 *   the bytes that arrive are those that were written, in order, to the last
 *   one at a clean end; a stream ends once; nothing follows its end; all that
 *   may move does move; nothing is left.
 */
#include "core/test/script.h"

#include <stdlib.h>
#include <string.h>

#define STREAMS 512u /* ids below, of both sides */
#define WRITE_MAX 700000u
#define PIPE_MAX (1u << 17)

static uint64_t random_next(uint64_t *seed)
{
    uint64_t x = *seed += 0x9e3779b97f4a7c15u;

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* What one side knows of a stream. */
struct flow {
    bool live, ended, finished, peer_finished, reset;
    enum status status;
    size_t to_write; /* bytes that it will write in all */
    size_t written;
    size_t received;
    size_t unconsumed;
};

struct side {
    struct mux *mux;
    void *memory;
    struct flow flows[STREAMS];
    uint32_t resets;
    uint8_t *pipe; /* bytes under way to this side */
    size_t pipe_length;
    size_t pipe_max;
};

struct world {
    uint64_t seed;
    uint64_t now_ms;
    bool calm; /* no more opens, resets, stalls */
    uint32_t opens_left;
    struct side sides[2];
    bool digesting;
    uint64_t digest; /* of all bytes on the pipe (D42) */
};

static size_t below(struct world *w, size_t bound)
{
    return bound == 0 ? 0 : (size_t)(random_next(&w->seed) % bound);
}

static bool one_in(struct world *w, size_t bound)
{
    return below(w, bound) == 0;
}

/* What this side writes on this stream, from this byte on: a window on one
 * random text, elsewhere for each stream. */
static const uint8_t *text(int side, uint32_t stream, size_t at)
{
    static uint8_t bytes[WRITE_MAX + 4 * STREAMS];
    uint64_t seed = 1;

    for (size_t i = 0; bytes[0] == 0 && i < sizeof bytes; i++) {
        size_t place = sizeof bytes - 1 - i;
        bytes[place] = (uint8_t)random_next(&seed) | (place == 0);
    }
    return bytes + 4 * stream + 2 * side + at;
}

/* Up to some hundred KiB: often nothing, often a window and more. */
static size_t some_length(struct world *w)
{
    static const size_t bounds[] = {1, 2, 100, 5000, 70000, WRITE_MAX};

    return below(w, bounds[below(w, 6)]);
}

/* ---- what happens -------------------------------------------------------- */

static void begin(struct world *w, int side, uint32_t stream)
{
    struct flow *flow = &w->sides[side].flows[stream];

    assert_false(flow->live);
    assert_false(flow->ended);
    flow->live = true;
    flow->to_write = some_length(w);
    if (flow->to_write > 0) {
        mux_ready(w->sides[side].mux, stream, true);
    }
}

static void end(struct flow *flow, enum status status)
{
    assert_true(flow->live);
    flow->live = false;
    flow->ended = true;
    flow->status = status;
}

static void reset(struct world *w, int side, uint32_t stream)
{
    struct flow *flow = &w->sides[side].flows[stream];

    mux_reset(w->sides[side].mux, stream);
    flow->reset = true;
    w->sides[side].resets++;
    end(flow, STATUS_LOCAL_FAILED);
}

static void finish_if_done(struct world *w, int side, uint32_t stream)
{
    struct flow *flow = &w->sides[side].flows[stream];

    if (flow->live && !flow->finished && flow->written == flow->to_write) {
        flow->finished = true;
        if (mux_finish(w->sides[side].mux, stream)) {
            assert_true(flow->peer_finished);
            end(flow, STATUS_OK);
        }
    }
}

static void take_data(struct world *w, int side, const struct mux_event *event)
{
    struct flow *flow = &w->sides[side].flows[event->stream];

    assert_true(flow->live && !flow->peer_finished);
    assert_true(flow->received + event->data.length <= WRITE_MAX);
    assert_memory_equal(event->data.bytes,
                        text(!side, event->stream, flow->received),
                        event->data.length);
    flow->received += event->data.length;
    flow->unconsumed += event->data.length;
    assert_true(flow->unconsumed <= WIRE_WINDOW_INITIAL * 4);
    if (!w->calm && one_in(w, 500)) {
        reset(w, side, event->stream);
    }
}

static void take_event(struct world *w, int side, const struct mux_event *event)
{
    struct side *self = &w->sides[side];
    struct flow *flow = &self->flows[event->stream];
    const struct flow *far = &w->sides[!side].flows[event->stream];

    switch (event->kind) {
    case MUX_STREAM_OFFERED:
        if (!w->calm && one_in(w, 10)) {
            flow->live = true;
            reset(w, side, event->stream); /* refused */
            return;
        }
        mux_accept(self->mux, event->stream, NULL);
        begin(w, side, event->stream);
        return;
    case MUX_STREAM_ACCEPTED:
        assert_true(flow->live);
        return;
    case MUX_STREAM_DATA:
        take_data(w, side, event);
        return;
    case MUX_STREAM_FINISHED:
        assert_true(flow->live && !flow->peer_finished);
        assert_true(far->finished);
        assert_int_equal(flow->received, far->to_write); /* the last byte */
        flow->peer_finished = true;
        return;
    case MUX_STREAM_ENDED:
        if (event->status == STATUS_OK) {
            assert_true(flow->finished && flow->peer_finished);
        } else {
            assert_int_equal(event->status, STATUS_RESET);
            assert_true(far->reset); /* never invented */
        }
        end(flow, event->status);
        return;
    case MUX_PEER_GOING_AWAY:
    case MUX_FAILED:
        break;
    }
    fail_msg("unexpected event of kind %d, %s", (int)event->kind,
             status_name(event->status));
}

/* ---- steps --------------------------------------------------------------- */

static bool receive(struct world *w, int side)
{
    struct side *self = &w->sides[side];
    size_t length =
        w->calm ? self->pipe_length : below(w, self->pipe_length + 1);
    struct span input = {self->pipe, length};
    struct mux_event event;

    while (mux_receive(self->mux, w->now_ms, &input, &event)) {
        take_event(w, side, &event);
    }
    assert_int_equal(input.length, 0);
    memmove(self->pipe, self->pipe + length, self->pipe_length - length);
    self->pipe_length -= length;
    return length > 0;
}

static void carry(struct world *w, int side, size_t length)
{
    struct side *far = &w->sides[!side];

    for (size_t i = 0; w->digesting && i < length; i++) {
        w->digest =
            (w->digest ^ far->pipe[far->pipe_length + i]) * 0x100000001b3u;
    }
    far->pipe_length += length;
}

static bool emit_control(struct world *w, int side)
{
    struct side *far = &w->sides[!side];
    size_t room = far->pipe_max - far->pipe_length;
    size_t capacity = w->calm ? room : below(w, room + 1);
    size_t length = mux_emit_control(w->sides[side].mux, w->now_ms,
                                     far->pipe + far->pipe_length, capacity);

    assert_true(length <= capacity);
    carry(w, side, length);
    return length > 0;
}

static bool emit_data(struct world *w, int side)
{
    struct side *self = &w->sides[side];
    struct side *far = &w->sides[!side];
    struct mux_sender sender;
    size_t room = far->pipe_max - far->pipe_length;

    if (!mux_next_sender(self->mux, &sender) ||
        room <= WIRE_HEADER_SIZE + sender.quota) {
        return false;
    }
    struct flow *flow = &self->flows[sender.stream];
    uint8_t *frame = far->pipe + far->pipe_length;
    size_t length = flow->to_write - flow->written;
    length = length < sender.quota ? length : sender.quota;
    length = w->calm ? length : 1 + below(w, length);
    memcpy(frame + WIRE_HEADER_SIZE, text(side, sender.stream, flow->written),
           length);
    carry(w, side, mux_emit_data(self->mux, sender.stream, frame, length));
    flow->written += length;
    if (flow->written == flow->to_write) {
        mux_ready(self->mux, sender.stream, false);
    }
    return true;
}

static bool use(struct world *w, int side)
{
    struct side *self = &w->sides[side];
    bool moved = false;

    for (uint32_t stream = 1; stream < STREAMS; stream++) {
        struct flow *flow = &self->flows[stream];
        if (!flow->live) {
            continue;
        }
        if (flow->unconsumed > 0 && (w->calm || one_in(w, 3))) {
            size_t length =
                w->calm ? flow->unconsumed : 1 + below(w, flow->unconsumed);
            mux_consume(self->mux, stream, length);
            flow->unconsumed -= length;
            moved = true;
        }
        if (w->calm || one_in(w, 4)) {
            bool was = flow->finished;
            finish_if_done(w, side, stream);
            moved = moved || was != flow->finished;
        }
        if (flow->live && !w->calm && one_in(w, 300)) {
            reset(w, side, stream);
        }
    }
    return moved;
}

static void open_one(struct world *w, int side)
{
    uint32_t stream;

    if (w->calm || w->opens_left == 0 ||
        mux_open(w->sides[side].mux, w->now_ms, NULL, &stream) != STATUS_OK) {
        return;
    }
    assert_true(stream < STREAMS);
    w->opens_left--;
    begin(w, side, stream);
}

static void step(struct world *w)
{
    int side = (int)below(w, 2);
    struct mux_event event;

    switch (below(w, 8)) {
    case 0:
        open_one(w, side);
        break;
    case 1:
    case 2:
        (void)receive(w, side);
        break;
    case 3:
        (void)emit_control(w, side);
        break;
    case 4:
    case 5:
        for (size_t i = below(w, 20); i > 0; i--) {
            (void)emit_data(w, side);
        }
        break;
    case 6:
        (void)use(w, side);
        break;
    default:
        w->now_ms += below(w, 20);
        while (mux_tick(w->sides[side].mux, w->now_ms, &event)) {
            take_event(w, side, &event);
        }
        break;
    }
}

/* ---- worlds -------------------------------------------------------------- */

static void create(struct world *w, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    w->seed = seed;
    w->now_ms = below(w, 1000);
    w->opens_left = 1 + (uint32_t)below(w, 100);
    for (int side = 0; side < 2; side++) {
        struct side *self = &w->sides[side];
        struct mux_config config;
        script_config(&config, side == 0 ? MUX_CLIENT : MUX_SERVER);
        config.recv_window += (uint32_t)below(w, 2) * 300000;
        config.frame_payload_max = 1024 + (uint32_t)below(w, 30000);
        config.outbound_max = 1 + (uint32_t)below(w, 40);
        config.inbound_max = 40;
        config.unacked_max = 1 + (uint32_t)below(w, 40);
        config.hash_key[0] = seed;
        self->memory = calloc(1, mux_size(&config));
        self->pipe = malloc(PIPE_MAX);
        self->pipe_max = PIPE_MAX / 2 + below(w, PIPE_MAX / 2);
        assert_true(self->memory != NULL && self->pipe != NULL);
        self->mux =
            mux_init(self->memory, mux_size(&config), &config, w->now_ms);
    }
}

static void destroy(struct world *w)
{
    for (int side = 0; side < 2; side++) {
        free(w->sides[side].memory);
        free(w->sides[side].pipe);
    }
}

/* Until nothing moves: then everything must be over. */
static void calm_down(struct world *w)
{
    bool moved = true;

    w->calm = true;
    for (int rounds = 0; moved; rounds++) {
        assert_true(rounds < 100000);
        moved = false;
        for (int side = 0; side < 2; side++) {
            moved |= emit_control(w, side);
            while (emit_data(w, side)) {
                moved = true;
            }
            moved |= receive(w, !side);
            moved |= use(w, side);
        }
    }
}

static void nothing_is_left(struct world *w)
{
    for (int side = 0; side < 2; side++) {
        struct side *self = &w->sides[side];
        assert_int_equal(mux_status(self->mux), STATUS_OK);
        assert_int_equal(mux_stream_count(self->mux), 0);
        assert_int_equal(mux_wants(self->mux), 0);
        assert_int_equal(mux_deadline(self->mux), UINT64_MAX);
        assert_true(mux_counters(self->mux)->useless_frames <=
                    w->sides[!side].resets); /* SYN and RST at once */
        assert_int_equal(mux_counters(self->mux)->repeated_acks, 0);
        for (uint32_t stream = 1; stream < STREAMS; stream++) {
            struct flow *flow = &self->flows[stream];
            const struct flow *far = &w->sides[!side].flows[stream];
            assert_false(flow->live);
            assert_true(flow->received <= far->written);
            if (flow->ended && flow->status == STATUS_OK) {
                assert_int_equal(flow->written, flow->to_write);
                assert_int_equal(flow->received, far->to_write);
            }
        }
    }
}

static uint64_t live_through(uint64_t seed, bool digesting)
{
    static struct world w; /* large */

    create(&w, seed);
    w.digesting = digesting;
    for (size_t steps = 200 + below(&w, 2000); steps > 0; steps--) {
        step(&w);
    }
    calm_down(&w);
    nothing_is_left(&w);
    uint64_t digest = w.digest;
    destroy(&w);
    return digest;
}

static void nothing_is_lost_or_invented_in_many_worlds(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        (void)live_through(seed, false);
    }
}

static void the_same_world_gives_the_same_bytes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        uint64_t digest = live_through(seed, true);
        assert_true(digest == live_through(seed, true));
        assert_true(digest != live_through(seed + 1, true));
    }
}

/* Both sides write all they have before either reads. */
static void sides_that_only_write_do_not_lock_up(void **state)
{
    static struct world w;

    (void)state;
    create(&w, 99);
    for (int side = 0; side < 2; side++) {
        for (int i = 0; i < 1000; i++) {
            uint32_t stream;
            if (i < 10 && mux_open(w.sides[side].mux, w.now_ms, NULL,
                                   &stream) == STATUS_OK) {
                begin(&w, side, stream);
            }
            (void)emit_control(&w, side);
            (void)emit_data(&w, side);
        }
    }
    calm_down(&w);
    nothing_is_left(&w);
    destroy(&w);
}

/* The transport is cut anywhere: no stream is told a clean end by it. */
static void a_cut_transport_is_never_a_clean_end(void **state)
{
    static struct world w;

    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        create(&w, seed);
        for (size_t steps = below(&w, 1500); steps > 0; steps--) {
            step(&w);
        }
        for (int side = 0; side < 2; side++) {
            struct side *self = &w.sides[side];
            struct mux_event event;
            struct span input = {self->pipe, self->pipe_length};
            (void)mux_fail(self->mux, STATUS_TRANSPORT_LOST);
            assert_false(mux_receive(self->mux, w.now_ms, &input, &event));
            assert_false(mux_tick(self->mux, w.now_ms + 100000, &event));
            assert_int_equal(mux_wants(self->mux), MUX_IS_OVER);
        }
        destroy(&w);
    }
}

static const struct CMUnitTest tests[] = {
    REQ("Y-01,L-03,L-05,D3,D13,D14,D26,D45,W-08,W-09,F-17",
        nothing_is_lost_or_invented_in_many_worlds),
    REQ("D42", the_same_world_gives_the_same_bytes),
    REQ("Y-05,L-05", sides_that_only_write_do_not_lock_up),
    REQ("D19,D38,C-14", a_cut_transport_is_never_a_clean_end),
};
RUN(tests)
