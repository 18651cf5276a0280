/* IMPLEMENTATION NOTES
 *
 * Memory. struct mux, then the buckets of the stream table, then its slots.
 * Everything that output needs is a number or a bit: a stream owes frames
 * (enum stream_owes) and stands in one list of those that do, a session owes a
 * ping, a go-away. Ten window updates before the next writable moment become
 * one frame, so no queue can pile up (D27). Only pongs and refusals have no
 * stream to carry them: two rings, of 128 and 256 (D23, D28). Nothing that the
 * peer sends makes this side hold more; reading never waits for writing.
 *
 * Windows, per stream. Of window bytes, at each moment
 *     granted      the peer may still send them
 *     unconsumed   handed out by MUX_STREAM_DATA, or about to be
 *     credit       consumed, to be granted again
 * and the three add up to window; unconsumed is what remains, so there is
 * nothing to get out of step. window is recv_window, and more while the stream
 * is worth it (mux_window.c). Before SYN or ACK told the peer of a larger
 * window, the surplus over 262144 is credit. The send window is added up in 64
 * bits and never above 2^32-1 (D13).
 *
 * A frame is judged when its header is complete, before anything changes: what
 * is refused leaves no trace (I17). Payload is charged to granted there too,
 * so that a frame which arrives in pieces is charged once.
 *
 * Useless frames cost a token each (D37). Not useless are frames that arrive
 * late on a stream which this side ended: a conforming peer could not know.
 * When a stream ends, what the peer may still send for it is remembered in two
 * sums: late_bytes, the unused grant, and late_frames, four for its control
 * frames. No tombstones, and a busy session is never taken for a hostile one.
 *
 * Turns (deficit round robin). The first stream of STREAM_READY has turn_left
 * bytes of wire, frame headers included, then goes to the end of the list. As
 * a frame may be cut at any byte, no deficit is ever carried over. A stream
 * without send window or bytes is not in the list. One that is alone may send
 * a frame longer than its turn, which ends then.
 *
 * Whoever comes when all that are ready have had a turn since its last frame
 * has a frame of a turn's length ahead of them all, in STREAM_FRESH, and is
 * one of them then. So nobody has more than a turn a round, but who says
 * little need not wait for those who say much (as new flows in RFC 8290, 4.1).
 * turns counts the turns that ended; a round from now, it is larger by as many
 * as are ready now.
 *
 * Time. Open and accept timeouts are constants, so a list in order of arrival
 * is in order of deadline. Silence is measured from the last byte received, or
 * the last tick that counted an interval.
 */
#include "core/mux.h"

#include <stdalign.h>
#include <string.h>

#include "core/contract.h"
#include "core/mux_internal.h"

#define STREAMS_MAX 32768u
#define CACHE_LINE 64u
#define TURN_PAYLOAD 65536u

void mux_config_default(struct mux_config *config, enum mux_role role)
{
    *config = (struct mux_config){
        .role = role,
        .outbound_max = 1024,               /* Y-01 */
        .inbound_max = 256,                 /* D8 */
        .unacked_max = 256,                 /* D7 */
        .recv_window = WIRE_WINDOW_INITIAL, /* D35 */
        .frame_payload_max = 262144,        /* D15 */
        .ping_missed_max = 3,               /* L-01 */
        .ping_interval_ms = 5000,           /* L-01 */
        .open_timeout_ms = 30000,           /* D7 */
        .accept_timeout_ms = 60000,         /* D6 */
        .useless_burst = 10000,             /* D37 */
        .useless_per_s = 1000,              /* D37 */
    };
}

static void check(const struct mux_config *config)
{
    REQUIRE(config->role == MUX_CLIENT || config->role == MUX_SERVER);
    REQUIRE(config->outbound_max <= STREAMS_MAX);
    REQUIRE(config->inbound_max <= STREAMS_MAX);
    REQUIRE(config->recv_window >= WIRE_WINDOW_INITIAL);
    REQUIRE(config->growth_max <= UINT32_MAX - config->recv_window);
    REQUIRE(config->frame_payload_max >= 1024);
    REQUIRE(config->frame_payload_max <= 262144);
    REQUIRE(config->ping_missed_max > 0);
    REQUIRE(config->preface_length <= MUX_PREFACE_MAX);
}

static size_t table_offset(void)
{
    return (sizeof(struct mux) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
}

size_t mux_size(const struct mux_config *config)
{
    check(config);
    return table_offset() +
           stream_table_size(config->outbound_max + config->inbound_max);
}

struct mux *mux_init(void *memory, size_t size, const struct mux_config *config,
                     uint64_t now_ms)
{
    REQUIRE((uintptr_t)memory % alignof(max_align_t) == 0);
    REQUIRE(size >= mux_size(config));
    struct mux *mux = memory;

    *mux = (struct mux){
        .config = *config,
        .now_ms = now_ms,
        .next_id = (uint32_t)config->role,
        .silence_ms = mux_later(now_ms, config->ping_interval_ms),
        .rtt_ms = UINT64_MAX,
        .round_trip_ms = UINT64_MAX,
        .heard_ms = now_ms,
        .tokens = (uint64_t)config->useless_burst * 1000,
        .tokens_ms = now_ms,
        .unanswered_ms = now_ms,
    };
    stream_table_init(&mux->table, (uint8_t *)memory + table_offset(),
                      config->outbound_max + config->inbound_max,
                      config->hash_key);
    mux_set_turn(mux, TURN_PAYLOAD);
    INVARIANT_ALL(mux_invariant(mux));
    return mux;
}

/* ---- shared with mux_in.c and mux_out.c ---------------------------------- */

bool mux_is_ours(const struct mux *mux, uint32_t id)
{
    return ((id ^ (uint32_t)mux->config.role) & 1) == 0;
}

void mux_observe(struct mux *mux, uint64_t now_ms)
{
    REQUIRE(now_ms >= mux->now_ms);
    mux->now_ms = now_ms;
}

uint64_t mux_later(uint64_t now_ms, uint64_t delay_ms)
{
    return delay_ms < UINT64_MAX - now_ms ? now_ms + delay_ms : UINT64_MAX;
}

void mux_doom(struct mux *mux, enum status status)
{
    if (mux->status == STATUS_OK) {
        mux->status = status;
        mux->go_away_owed = status_go_away(status) != 0;
        mux_return_all(mux);
    }
}

void mux_failed_event(const struct mux *mux, struct mux_event *event)
{
    *event = (struct mux_event){.kind = MUX_FAILED, .status = mux->status};
}

void mux_owe(struct mux *mux, struct stream *stream, unsigned owes)
{
    stream->owes = (uint8_t)(stream->owes | owes);
    if (!stream_is_listed(stream, STREAM_CONTROL)) {
        stream_list_append(&mux->table, STREAM_CONTROL, stream);
    }
}

void mux_forgive(struct mux *mux, struct stream *stream, unsigned owes)
{
    stream->owes = (uint8_t)(stream->owes & ~owes);
    if (stream->owes == 0 && stream_is_listed(stream, STREAM_CONTROL)) {
        stream_list_remove(&mux->table, STREAM_CONTROL, stream);
    }
}

static bool is_unanswered(const struct stream *stream)
{
    return stream_may(stream, STREAM_IS_ANSWERED);
}

static bool is_offered(const struct stream *stream)
{
    return stream_may(stream, STREAM_IS_ACCEPTED);
}

static void unlist(struct mux *mux, enum stream_list list,
                   struct stream *stream)
{
    if (stream_is_listed(stream, list)) {
        stream_list_remove(&mux->table, list, stream);
    }
}

/* The stream is answered, accepted or over: nothing waits for it any more. */
static void stop_waiting(struct mux *mux, struct stream *stream)
{
    mux->unacked -= is_unanswered(stream);
    unlist(mux, STREAM_OPENINGS, stream);
    unlist(mux, STREAM_OFFERS, stream);
}

void mux_settle(struct mux *mux, struct stream *stream, enum stream_move move)
{
    stop_waiting(mux, stream);
    stream_move(stream, move);
    mux_measure_anew(mux, stream);
}

void mux_leave(struct mux *mux, struct stream *stream)
{
    bool fresh = stream_is_listed(stream, STREAM_FRESH);

    if (stream_list_first(&mux->table, STREAM_READY) == stream) {
        mux->turn_left = mux->quantum;
        mux->turns++;
    }
    stream_list_remove(&mux->table, fresh ? STREAM_FRESH : STREAM_READY,
                       stream);
}

void mux_queue(struct mux *mux, struct stream *stream)
{
    bool due = stream->ready && stream->send_window > 0;

    if (due == (stream_is_listed(stream, STREAM_FRESH) ||
                stream_is_listed(stream, STREAM_READY))) {
        return;
    }
    if (!due) {
        mux_leave(mux, stream);
        return;
    }
    bool fresh = mux->turns - stream->fresh_at < UINT32_MAX / 2;
    stream_list_append(&mux->table, fresh ? STREAM_FRESH : STREAM_READY,
                       stream);
}

struct stream *mux_sender(const struct mux *mux)
{
    struct stream *fresh = stream_list_first(&mux->table, STREAM_FRESH);

    return fresh != NULL ? fresh : stream_list_first(&mux->table, STREAM_READY);
}

/* The id is dead from here on. */
static void bury(struct mux *mux, struct stream *stream)
{
    stop_waiting(mux, stream);
    stream->ready = false;
    mux_queue(mux, stream);
    mux_return(mux, stream);
    if (mux->parser.stream == stream) {
        mux->parser.stream = NULL; /* what is left of its frame is drained */
    }
}

void mux_release(struct mux *mux, struct stream *stream)
{
    bury(mux, stream);
    mux_forgive(mux, stream, stream->owes);
    mux->owing -= stream->state == STREAM_OWING;
    mux->used[mux_is_ours(mux, stream->id) ? MUX_OURS : MUX_PEERS]--;
    stream_table_remove(&mux->table, stream);
}

static void let_owe(struct mux *mux, struct stream *stream)
{
    bury(mux, stream);
    stream_move(stream, STREAM_ENDS);
    mux->owing++;
}

void mux_end(struct mux *mux, struct stream *stream)
{
    mux->late_frames += MUX_LATE_FRAMES;
    if (stream->owes == 0) {
        mux_release(mux, stream);
    } else {
        let_owe(mux, stream);
    }
}

void mux_abandon(struct mux *mux, struct stream *stream)
{
    if ((stream->owes & STREAM_OWES_SYN) != 0) {
        mux_release(mux, stream); /* the peer never heard of it */
        return;
    }
    mux->late_frames += MUX_LATE_FRAMES;
    if (stream_may_receive(stream)) {
        mux->late_bytes += stream->granted;
    }
    mux_owe(mux, stream, STREAM_OWES_RST);
    mux_forgive(mux, stream, (unsigned)~STREAM_OWES_RST);
    let_owe(mux, stream);
}

/* ---- streams ------------------------------------------------------------- */

static struct stream *live(const struct mux *mux, uint32_t id)
{
    struct stream *stream = NULL;

    if (mux->status == STATUS_OK) {
        stream = stream_table_find(&mux->table, id);
    }
    return stream != NULL && stream_is_live(stream) ? stream : NULL;
}

static enum status why_not_open(const struct mux *mux)
{
    if (mux->status != STATUS_OK) {
        return STATUS_SESSION_CLOSED;
    }
    if (mux->draining) {
        return STATUS_DRAINING;
    }
    if (mux->peer_going_away) {
        return STATUS_GOING_AWAY;
    }
    if (mux->next_id > MUX_STREAM_ID_MAX) {
        return STATUS_NO_STREAM_ID;
    }
    if (mux->used[MUX_OURS] >= mux->config.outbound_max) {
        return STATUS_NO_STREAM_SLOT;
    }
    if (mux->unacked >= mux->config.unacked_max) {
        return STATUS_TOO_MANY_UNACKED;
    }
    return STATUS_OK;
}

enum status mux_open(struct mux *mux, uint64_t now_ms, void *user,
                     uint32_t *stream)
{
    mux_observe(mux, now_ms);
    enum status refusal = why_not_open(mux);

    if (refusal != STATUS_OK) {
        return refusal;
    }
    struct stream *opened = stream_table_add(&mux->table, mux->next_id);
    opened->fresh_at = mux->turns;
    stream_move(opened, STREAM_OPENS);
    opened->user = user;
    opened->send_window = WIRE_WINDOW_INITIAL;
    opened->granted = WIRE_WINDOW_INITIAL;
    opened->credit = mux->config.recv_window - WIRE_WINDOW_INITIAL;
    opened->window = mux->config.recv_window;
    if (mux->config.open_timeout_ms != 0) {
        opened->deadline_ms = mux_later(now_ms, mux->config.open_timeout_ms);
        stream_list_append(&mux->table, STREAM_OPENINGS, opened);
    }
    mux_owe(mux, opened, STREAM_OWES_SYN);
    mux->used[MUX_OURS]++;
    mux->unacked++;
    mux->next_id += 2;
    mux->counters.streams_opened++;
    *stream = opened->id;
    INVARIANT_ALL(mux_invariant(mux));
    return STATUS_OK;
}

void mux_accept(struct mux *mux, uint32_t stream, void *user)
{
    struct stream *accepted = live(mux, stream);

    REQUIRE(accepted != NULL && is_offered(accepted));
    mux_settle(mux, accepted, STREAM_IS_ACCEPTED);
    accepted->user = user;
    mux_owe(mux, accepted, STREAM_OWES_ACK);
    INVARIANT_ALL(mux_invariant(mux));
}

void mux_ready(struct mux *mux, uint32_t stream, bool ready)
{
    struct stream *sender = live(mux, stream);

    REQUIRE(sender != NULL);
    REQUIRE(!ready || stream_may(sender, STREAM_FINISHES_LOCAL));
    sender->ready = ready;
    mux_queue(mux, sender);
    INVARIANT_ALL(mux_invariant(mux));
}

void mux_consume(struct mux *mux, uint32_t stream, size_t length)
{
    struct stream *reader = live(mux, stream);

    REQUIRE(reader != NULL);
    REQUIRE(length <= mux_unconsumed(mux, reader));
    reader->credit += (uint32_t)length;
    mux_take(mux, reader, (uint32_t)length);
    /* Half of the window, so that the writer need not stop (D14), and no more
     * of one that has grown. An offered stream gets its credit with the ACK. */
    if (stream_may_receive(reader) && !is_offered(reader) &&
        reader->credit >= mux->config.recv_window / 2) {
        mux_owe(mux, reader, STREAM_OWES_WINDOW);
    }
    INVARIANT_ALL(mux_invariant(mux));
}

bool mux_finish(struct mux *mux, uint32_t stream)
{
    struct stream *finished = live(mux, stream);

    REQUIRE(finished != NULL && stream_may(finished, STREAM_FINISHES_LOCAL));
    stream_move(finished, STREAM_FINISHES_LOCAL);
    unlist(mux, STREAM_OPENINGS, finished); /* D20; see mux_finish() in mux.h */
    finished->ready = false;
    mux_queue(mux, finished);
    mux_owe(mux, finished, STREAM_OWES_FIN);
    bool ended = finished->state == STREAM_BOTH_FINISHED;
    if (ended) {
        mux_end(mux, finished);
    }
    INVARIANT_ALL(mux_invariant(mux));
    return ended;
}

void mux_reset(struct mux *mux, uint32_t stream)
{
    struct stream *abandoned = live(mux, stream);

    REQUIRE(abandoned != NULL);
    mux_abandon(mux, abandoned);
    INVARIANT_ALL(mux_invariant(mux));
}

void mux_go_away(struct mux *mux, bool tell_peer)
{
    mux->draining = true;
    mux->tell_peer = mux->tell_peer || tell_peer;
}

enum status mux_fail(struct mux *mux, enum status status)
{
    REQUIRE(status_class(status) == STATUS_CLASS_SESSION);
    mux_doom(mux, status);
    INVARIANT_ALL(mux_invariant(mux));
    return mux->status;
}

/* ---- time ---------------------------------------------------------------- */

static struct stream *expired(const struct mux *mux, enum stream_list list)
{
    struct stream *oldest = stream_list_first(&mux->table, list);

    return oldest != NULL && oldest->deadline_ms <= mux->now_ms ? oldest : NULL;
}

void mux_ask(struct mux *mux)
{
    if (mux->ping == MUX_PING_NONE) {
        mux->ping = MUX_PING_OWED;
        mux->ping_opaque++;
    }
}

/* One more interval without a byte from the peer (L-01). Measured from now, not
 * from when it was due: a late tick counts once. */
static void count_silence(struct mux *mux)
{
    mux->missed++;
    mux->silence_ms = mux_later(mux->now_ms, mux->config.ping_interval_ms);
    if (mux->missed >= mux->config.ping_missed_max) {
        mux_doom(mux, STATUS_PING_TIMEOUT);
    } else {
        mux_ask(mux);
    }
}

static bool give_up(struct mux *mux, struct stream *stream, enum status status,
                    struct mux_event *event)
{
    *event = (struct mux_event){.kind = MUX_STREAM_ENDED,
                                .stream = stream->id,
                                .user = stream->user,
                                .status = status};
    mux_abandon(mux, stream);
    return true;
}

static bool tick(struct mux *mux, struct mux_event *event)
{
    if (mux->status != STATUS_OK) {
        return false;
    }
    if (mux->config.ping_interval_ms != 0 && mux->now_ms >= mux->silence_ms) {
        count_silence(mux);
        if (mux->status != STATUS_OK) {
            mux_failed_event(mux, event);
            return true;
        }
    }
    struct stream *stream = expired(mux, STREAM_OPENINGS);
    if (stream != NULL) { /* the stream only, never the session (D7) */
        return give_up(mux, stream, STATUS_OPEN_TIMEOUT, event);
    }
    stream = expired(mux, STREAM_OFFERS);
    if (stream != NULL) { /* before the peer gives up the session (D6) */
        return give_up(mux, stream, STATUS_ACCEPT_TIMEOUT, event);
    }
    return false;
}

bool mux_tick(struct mux *mux, uint64_t now_ms, struct mux_event *event)
{
    mux_observe(mux, now_ms);
    bool happened = tick(mux, event);

    INVARIANT_ALL(mux_invariant(mux));
    return happened;
}

uint64_t mux_deadline(const struct mux *mux)
{
    uint64_t deadline = UINT64_MAX;

    if (mux->status != STATUS_OK) {
        return deadline;
    }
    if (mux->config.ping_interval_ms != 0) {
        deadline = mux->silence_ms;
    }
    for (int list = STREAM_OPENINGS; list <= STREAM_OFFERS; list++) {
        const struct stream *oldest =
            stream_list_first(&mux->table, (enum stream_list)list);
        if (oldest != NULL && oldest->deadline_ms < deadline) {
            deadline = oldest->deadline_ms;
        }
    }
    return deadline;
}

/* ---- questions ----------------------------------------------------------- */

unsigned mux_wants(const struct mux *mux)
{
    bool output = mux_control_is_pending(mux);

    if (mux->status != STATUS_OK) {
        return output ? MUX_WANTS_OUTPUT : MUX_IS_OVER;
    }
    output = output || mux_sender(mux) != NULL;
    return (output ? MUX_WANTS_OUTPUT : 0u) |
           (mux->next_id >= MUX_STREAM_ID_LOW ? MUX_IDS_ARE_LOW : 0u);
}

enum status mux_status(const struct mux *mux)
{
    return mux->status;
}

uint32_t mux_stream_count(const struct mux *mux)
{
    return mux->status == STATUS_OK
               ? mux->used[MUX_OURS] + mux->used[MUX_PEERS] - mux->owing
               : 0;
}

bool mux_is_live(const struct mux *mux, uint32_t stream)
{
    return live(mux, stream) != NULL;
}

const struct mux_counters *mux_counters(const struct mux *mux)
{
    return &mux->counters;
}

uint64_t mux_rtt_ms(const struct mux *mux)
{
    return mux->rtt_ms;
}

uint32_t mux_grown(const struct mux *mux)
{
    return mux->grown;
}

const uint8_t *mux_offending_header(const struct mux *mux)
{
    return mux->blamed ? mux->parser.bytes : NULL;
}

/* ---- invariants ---------------------------------------------------------- */

struct census {
    uint32_t used[MUX_SIDES];
    uint32_t owing;
    uint32_t unacked;
    uint64_t grown;
};

static void stream_invariant(const struct mux *mux, const struct stream *stream,
                             struct census *census)
{
    bool ours = mux_is_ours(mux, stream->id);
    bool dead = stream->state == STREAM_OWING;
    const struct mux_config *config = &mux->config;

    INVARIANT(!ours || stream->id < mux->next_id);
    INVARIANT(ours || stream->id <= mux->peer_max);
    INVARIANT(!is_unanswered(stream) || ours);
    INVARIANT(!is_offered(stream) || !ours);

    /* I1; the sum is window by construction, if no term is negative */
    INVARIANT(stream->window >= config->recv_window);
    INVARIANT(dead ||
              (uint64_t)stream->granted + stream->credit <= stream->window);
    INVARIANT(mux->parser.stream != stream ||
              (!dead && stream->window - stream->granted - stream->credit >=
                            mux->parser.payload_left));

    /* I2 */
    INVARIANT((stream_is_listed(stream, STREAM_READY) ||
               stream_is_listed(stream, STREAM_FRESH)) ==
              (stream->ready && stream->send_window > 0 &&
               stream_may(stream, STREAM_FINISHES_LOCAL)));
    INVARIANT(stream_is_listed(stream, STREAM_CONTROL) == (stream->owes != 0));
    INVARIANT(
        stream_is_listed(stream, STREAM_OPENINGS) ==
        (stream->state == STREAM_OPENING && config->open_timeout_ms != 0));
    INVARIANT(stream_is_listed(stream, STREAM_OFFERS) ==
              (is_offered(stream) && config->accept_timeout_ms != 0));

    INVARIANT(!dead || stream->owes != 0);
    INVARIANT(dead || (stream->owes & STREAM_OWES_RST) == 0);
    INVARIANT((stream->owes & STREAM_OWES_RST) == 0 ||
              stream->owes == STREAM_OWES_RST);
    INVARIANT((stream->owes & STREAM_OWES_SYN) == 0 || is_unanswered(stream));
    INVARIANT(!is_offered(stream) || stream->owes == 0);

    census->used[ours ? MUX_OURS : MUX_PEERS]++;
    census->owing += dead;
    census->unacked += is_unanswered(stream);
    census->grown += stream->window - config->recv_window;
}

void mux_invariant(const struct mux *mux)
{
    struct census census = {{0, 0}, 0, 0, 0};
    const struct stream *stream;

    INVARIANT(mux_is_ours(mux, mux->next_id));
    stream_table_invariant(&mux->table);
    for (uint32_t slot = 0;
         (stream = stream_table_at(&mux->table, slot)) != NULL; slot++) {
        if (stream->state != STREAM_FREE) {
            stream_invariant(mux, stream, &census);
        }
    }
    INVARIANT(census.used[MUX_OURS] == mux->used[MUX_OURS]);
    INVARIANT(census.used[MUX_PEERS] == mux->used[MUX_PEERS]);
    INVARIANT(census.owing == mux->owing);
    INVARIANT(census.unacked == mux->unacked);
    INVARIANT(census.grown == mux->grown || mux->status != STATUS_OK);
    INVARIANT(mux->grown <= mux->config.growth_max);
    INVARIANT(mux->grown == 0 ||
              (mux->grown <= mux->config.growth->used &&
               mux->config.growth->used <= mux->config.growth->max));
    INVARIANT(mux->used[MUX_OURS] <= mux->config.outbound_max);
    INVARIANT(mux->used[MUX_PEERS] <= mux->config.inbound_max);

    INVARIANT(mux->quantum <= WIRE_HEADER_SIZE + mux->config.frame_payload_max);
    INVARIANT(mux->turn_left > WIRE_HEADER_SIZE);
    INVARIANT(mux->turn_left <= mux->quantum);
    INVARIANT(stream_list_first(&mux->table, STREAM_READY) != NULL ||
              mux->turn_left == mux->quantum);
    INVARIANT(mux->pong_count <= MUX_PONGS_MAX);
    INVARIANT(mux->refused_count <= MUX_REFUSED_MAX);
    INVARIANT(mux->tokens <= (uint64_t)mux->config.useless_burst * 1000);

    /* I4 */
    INVARIANT(!mux->go_away_owed || mux->status != STATUS_OK);
    INVARIANT(mux->parser.stream == NULL || stream_is_live(mux->parser.stream));
    INVARIANT(mux->status != STATUS_OK ||
              mux->parser.phase != MUX_PHASE_HEADER ||
              mux->parser.stream == NULL);
}
