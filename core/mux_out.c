/* Bytes out. Frames are built when the transport has room, from what is owed
 * at that moment (core/mux.c, IMPLEMENTATION NOTES). Only the safe subset of
 * yamux is ever sent (D4): SYN, ACK, FIN and RST each alone on a window
 * update; DATA without flags. */
#include "core/mux_internal.h"

#include <string.h>

#include "core/contract.h"

/* The longest that is written as one: a SYN and the preface behind it. */
#define CONTROL_MAX 32u

_Static_assert(2 * WIRE_HEADER_SIZE + MUX_PREFACE_MAX <= CONTROL_MAX,
               "a SYN and its preface fit");

/* What is left of the turn that has begun is at most one of the new length. */
void mux_set_turn(struct mux *mux, uint32_t payload)
{
    uint32_t payload_max = mux->config.frame_payload_max;

    REQUIRE(payload > 0);
    mux->quantum =
        WIRE_HEADER_SIZE + (payload < payload_max ? payload : payload_max);
    if (mux->turn_left > mux->quantum ||
        stream_list_first(&mux->table, STREAM_READY) == NULL) {
        mux->turn_left = mux->quantum;
    }
    INVARIANT_ALL(mux_invariant(mux));
}

static bool go_away_is_due(const struct mux *mux)
{
    return mux->draining && !mux->go_away_sent &&
           (mux->tell_peer || mux_stream_count(mux) == 0);
}

bool mux_control_is_pending(const struct mux *mux)
{
    if (mux->status != STATUS_OK) {
        return mux->go_away_owed;
    }
    return mux->pong_count > 0 || mux->ping == MUX_PING_OWED ||
           stream_list_first(&mux->table, STREAM_CONTROL) != NULL ||
           mux->refused_count > 0 || go_away_is_due(mux);
}

static size_t put(struct mux *mux, uint8_t *bytes, enum wire_type type,
                  unsigned flags, uint32_t stream, uint32_t length)
{
    const struct wire_header header = {.type = (uint8_t)type,
                                       .flags = (uint16_t)flags,
                                       .stream = stream,
                                       .length = length};

    wire_encode(bytes, &header);
    mux->counters.frames_out++;
    return WIRE_HEADER_SIZE;
}

static size_t put_pong(struct mux *mux, uint8_t *bytes)
{
    uint32_t opaque = mux->pongs[mux->pong_first];

    mux->pong_first = (mux->pong_first + 1) % MUX_PONGS_MAX;
    mux->pong_count--;
    mux->counters.pings_answered++;
    return put(mux, bytes, WIRE_PING, WIRE_ACK, 0, opaque);
}

static size_t put_ping(struct mux *mux, uint8_t *bytes)
{
    mux->ping = MUX_PING_SENT;
    mux->ping_sent_ms = mux->now_ms;
    return put(mux, bytes, WIRE_PING, WIRE_SYN, 0, mux->ping_opaque);
}

static size_t put_refusal(struct mux *mux, uint8_t *bytes)
{
    uint32_t id = mux->refused[mux->refused_first];

    mux->refused_first = (mux->refused_first + 1) % MUX_REFUSED_MAX;
    mux->refused_count--;
    return put(mux, bytes, WIRE_WINDOW_UPDATE, WIRE_RST, id, 0);
}

static size_t put_preface(struct mux *mux, uint8_t *bytes,
                          struct stream *stream)
{
    uint32_t length = mux->config.preface_length;

    if (length == 0) {
        return 0;
    }
    put(mux, bytes, WIRE_DATA, 0, stream->id, length);
    memcpy(bytes + WIRE_HEADER_SIZE, mux->config.preface, length);
    stream->send_window -= length;
    mux->counters.data_bytes_out += length;
    return WIRE_HEADER_SIZE + length;
}

/* All credit; none once the peer has finished, for it has no use (D14). */
static uint32_t grant(struct stream *stream)
{
    uint32_t credit = 0;

    if (stream_may_receive(stream)) {
        credit = stream->credit;
        stream->granted += credit;
        stream->credit = 0;
    }
    return credit;
}

/* The first frame that this stream owes, each alone (D4). */
static size_t put_owed(struct mux *mux, uint8_t *bytes, struct stream *stream)
{
    static const struct {
        uint8_t owes, paid, flags;
        bool grants;
    } frames[] = {
        {STREAM_OWES_SYN, STREAM_OWES_SYN | STREAM_OWES_WINDOW, WIRE_SYN, true},
        {STREAM_OWES_ACK, STREAM_OWES_ACK | STREAM_OWES_WINDOW, WIRE_ACK, true},
        {STREAM_OWES_WINDOW, STREAM_OWES_WINDOW, 0, true},
        {STREAM_OWES_FIN, STREAM_OWES_FIN, WIRE_FIN, false},
        {STREAM_OWES_RST, STREAM_OWES_RST, WIRE_RST, false},
    };
    size_t i = 0;

    while ((stream->owes & frames[i].owes) == 0) {
        i++;
    }
    if (frames[i].owes == STREAM_OWES_WINDOW) {
        mux_measure(mux, stream);
    }
    size_t length = put(mux, bytes, WIRE_WINDOW_UPDATE, frames[i].flags,
                        stream->id, frames[i].grants ? grant(stream) : 0);
    if (frames[i].owes == STREAM_OWES_SYN) {
        length += put_preface(mux, bytes + length, stream);
    }
    mux_forgive(mux, stream, frames[i].paid);
    if (stream->owes == 0 && stream->state == STREAM_OWING) {
        mux_release(mux, stream);
    }
    return length;
}

/* What cannot wait first (D26); nothing of a stream overtakes another frame of
 * it. 0: nothing is owed. */
static size_t put_next(struct mux *mux, uint8_t *bytes)
{
    if (mux->status != STATUS_OK) {
        if (!mux->go_away_owed) {
            return 0;
        }
        mux->go_away_owed = false;
        return put(mux, bytes, WIRE_GO_AWAY, 0, 0, status_go_away(mux->status));
    }
    if (mux->pong_count > 0) {
        return put_pong(mux, bytes);
    }
    if (mux->ping == MUX_PING_OWED) {
        return put_ping(mux, bytes);
    }
    struct stream *stream = stream_list_first(&mux->table, STREAM_CONTROL);
    if (stream != NULL) {
        return put_owed(mux, bytes, stream);
    }
    if (mux->refused_count > 0) {
        return put_refusal(mux, bytes);
    }
    if (go_away_is_due(mux)) {
        mux->go_away_sent = true;
        return put(mux, bytes, WIRE_GO_AWAY, 0, 0, WIRE_GO_AWAY_NORMAL);
    }
    return 0;
}

size_t mux_emit_control(struct mux *mux, uint64_t now_ms, uint8_t *bytes,
                        size_t capacity)
{
    size_t written = 0;
    size_t length = 1;

    mux_observe(mux, now_ms);
    while (length > 0 && capacity - written >= CONTROL_MAX) {
        length = put_next(mux, bytes + written);
        written += length;
    }
    INVARIANT_ALL(mux_invariant(mux));
    return written;
}

/* How much the stream whose turn it is may send in one frame: never 0. While
 * nobody else waits for a turn, a longer frame delays nobody. */
static uint32_t quota_of(const struct mux *mux, const struct stream *stream)
{
    const struct stream_table *table = &mux->table;
    uint32_t quota = mux->turn_left - WIRE_HEADER_SIZE;

    if (stream_list_count(table, STREAM_READY) +
            stream_list_count(table, STREAM_FRESH) ==
        1) {
        quota = mux->config.frame_payload_max;
    } else if (stream_is_listed(stream, STREAM_FRESH)) {
        quota = mux->quantum - WIRE_HEADER_SIZE;
    }
    return stream->send_window < quota ? stream->send_window : quota;
}

bool mux_next_sender(const struct mux *mux, struct mux_sender *sender)
{
    const struct stream *stream = mux_sender(mux);

    if (mux->status != STATUS_OK || stream == NULL ||
        mux_control_is_pending(mux)) {
        return false;
    }
    sender->stream = stream->id;
    sender->user = stream->user;
    sender->quota = quota_of(mux, stream);
    return true;
}

/* The turn ends when not even one byte with its header would fit; that of a
 * fresh stream with its first frame. */
static void charge(struct mux *mux, struct stream *stream, uint32_t length)
{
    uint32_t wire = length + WIRE_HEADER_SIZE;
    bool fresh = stream_is_listed(stream, STREAM_FRESH);

    stream->send_window -= length;
    stream->fresh_at =
        mux->turns + stream_list_count(&mux->table, STREAM_READY);
    if (!fresh && mux->turn_left > wire + WIRE_HEADER_SIZE) {
        mux->turn_left -= wire;
    } else if (stream->send_window > 0) {
        mux_leave(mux, stream);
        stream_list_append(&mux->table, STREAM_READY, stream);
    }
    mux_queue(mux, stream); /* no longer, without credit */
}

size_t mux_emit_data(struct mux *mux, uint32_t stream, uint8_t *frame,
                     size_t length)
{
    REQUIRE(mux->status == STATUS_OK);
    struct stream *sender = mux_sender(mux);

    REQUIRE(sender != NULL && sender->id == stream);
    REQUIRE((sender->owes & (STREAM_OWES_SYN | STREAM_OWES_ACK)) == 0);
    REQUIRE(length > 0 && length <= quota_of(mux, sender));
    put(mux, frame, WIRE_DATA, 0, stream, (uint32_t)length);
    mux->counters.data_bytes_out += length;
    charge(mux, sender, (uint32_t)length);
    INVARIANT_ALL(mux_invariant(mux));
    return WIRE_HEADER_SIZE + length;
}
