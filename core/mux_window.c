/* IMPLEMENTATION NOTES
 *
 * Receive windows that follow their readers (Y-04).
 *
 * A window is worth what its reader takes in one round trip, and the same again
 * for the updates that are under way: more would only be queued somewhere. What
 * it took is what was consumed between two grants that lie half a round trip or
 * more apart: a burst is not mistaken for a rate, and what a growth has brought
 * is seen as soon as it is there, not together with what was before. The round
 * trip is the shortest that any ping has seen: what waits in a queue is not
 * distance, and a window must not feed the queue that it is measured by.
 *
 * While TCP repairs a loss nothing comes, for a round trip or more, and then
 * all that was under way comes at once: what a reader takes by and by says
 * little about what may be under way. So when nothing at all came for half a
 * round trip, a reader who waited had half of one to take what he took before,
 * if it was no longer; and he is measured anew. A bottleneck brings its bytes
 * evenly, though those of one stream may wait for others'. One loss there must
 * not let a queue grow for long: a window doubles at most.
 *
 * A window grows at a grant, by credit that nobody has consumed; it shrinks at
 * a grant, by credit that is kept back. At least half is granted: an update of
 * nothing would be of no use to the peer. What was granted is never revoked,
 * yamux has no means to.
 *
 * Nobody may have more than half of what is there to be had, his own share
 * included: who comes later finds something left, though idle streams keep what
 * they once took.
 */
#include "core/contract.h"
#include "core/mux_internal.h"

#define ROUND_TRIP_MAX_MS 10000u /* longer is no distance */

static uint32_t extra_of(const struct mux *mux, const struct stream *stream)
{
    return stream->window - mux->config.recv_window;
}

/* Give the stream a window of this size; the difference becomes credit. */
static void resize(struct mux *mux, struct stream *stream, uint32_t window)
{
    uint32_t more = window - stream->window; /* modulo 2^32: may be less */

    mux->config.growth->used -= extra_of(mux, stream);
    mux->grown -= extra_of(mux, stream);
    stream->window = window;
    stream->credit += more;
    mux->config.growth->used += extra_of(mux, stream);
    mux->grown += extra_of(mux, stream);
}

/* The largest that it may grow to. */
static uint64_t limit_of(const struct mux *mux, const struct stream *stream)
{
    const struct mux_growth *growth = mux->config.growth;
    uint64_t left = mux->config.growth_max - mux->grown;

    if (growth->max - growth->used < left) {
        left = growth->max - growth->used;
    }
    return mux->config.recv_window + (extra_of(mux, stream) + left) / 2;
}

static void ask(struct mux *mux)
{
    if (mux->config.ping_interval_ms != 0) {
        mux_ask(mux);
    }
}

static void adjust(struct mux *mux, struct stream *stream, uint64_t target)
{
    uint64_t limit = limit_of(mux, stream);

    if (target > stream->window) {
        limit = limit < 2ull * stream->window ? limit : 2ull * stream->window;
        target = target < limit ? target : limit;
        if (target > stream->window) {
            resize(mux, stream, (uint32_t)target);
            ask(mux); /* is it really that far? */
        }
    } else if (target < stream->window / 2) {
        uint32_t least = stream->window - stream->credit / 2;
        uint32_t base = mux->config.recv_window;

        /* half of the credit at most is kept back: still above the target */
        resize(mux, stream, least > base ? least : base);
    }
}

static uint64_t round_trip_of(const struct mux *mux)
{
    return mux->round_trip_ms < ROUND_TRIP_MAX_MS ? mux->round_trip_ms
                                                  : ROUND_TRIP_MAX_MS;
}

static uint64_t half_of(const struct mux *mux)
{
    return (round_trip_of(mux) + 1) / 2;
}

/* What was taken was taken in this time. */
static void judge(struct mux *mux, struct stream *stream, uint64_t elapsed_ms)
{
    if (elapsed_ms > 0) {
        adjust(mux, stream,
               2 * (stream->taken * round_trip_of(mux) / elapsed_ms));
    }
    mux_measure_anew(mux, stream);
}

void mux_measure(struct mux *mux, struct stream *stream)
{
    uint64_t elapsed_ms = mux->now_ms - stream->since_ms;

    if (mux->config.growth == NULL) {
        return;
    }
    mux_take(mux, stream, 0);
    if (mux->round_trip_ms == UINT64_MAX) {
        ask(mux);
    } else if (elapsed_ms >= half_of(mux)) {
        judge(mux, stream, elapsed_ms);
    }
}

void mux_hear(struct mux *mux)
{
    if (mux->now_ms - mux->heard_ms >= half_of(mux)) {
        mux->silent_ms = mux->heard_ms;
    }
    mux->heard_ms = mux->now_ms;
}

void mux_arrive(struct mux *mux, struct stream *stream, uint32_t length)
{
    uint64_t half_ms = half_of(mux);

    if (mux->config.growth != NULL && mux->round_trip_ms != UINT64_MAX &&
        !stream_may(stream, STREAM_IS_ACCEPTED) &&
        mux_unconsumed(mux, stream) == length) {
        judge(mux, stream,
              stream->took_ms > half_ms ? stream->took_ms : half_ms);
    }
}

void mux_measure_anew(struct mux *mux, struct stream *stream)
{
    stream->since_ms = mux->now_ms;
    stream->took_ms = 0;
    stream->taken = 0;
}

void mux_return(struct mux *mux, struct stream *stream)
{
    if (mux->grown > 0) { /* not after mux_return_all() */
        mux->config.growth->used -= extra_of(mux, stream);
        mux->grown -= extra_of(mux, stream);
        stream->window = mux->config.recv_window;
    }
}

void mux_return_all(struct mux *mux)
{
    if (mux->grown > 0) {
        mux->config.growth->used -= mux->grown;
        mux->grown = 0;
    }
}
