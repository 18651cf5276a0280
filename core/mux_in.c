/* Bytes in. A frame is judged when its header is complete, then carried out in
 * phases, in the order SYN, ACK, credit, payload, FIN or RST (D3). Each phase
 * makes at most one event, and the caller may end the stream between any two:
 * then parser.stream is NULL and what remains of the frame is drained. */
#include "core/mux_internal.h"

#include <string.h>

#include "core/contract.h"

#define FLAGS (WIRE_SYN | WIRE_ACK | WIRE_FIN | WIRE_RST)

static bool has(const struct mux *mux, enum wire_flag flag)
{
    return (mux->parser.header.flags & flag) != 0;
}

static void blame(struct mux *mux, enum status status)
{
    mux->blamed = true;
    mux_doom(mux, status);
}

static void happen(struct mux_event *event, enum mux_event_kind kind,
                   const struct stream *stream, enum status status)
{
    *event = (struct mux_event){.kind = kind,
                                .stream = stream->id,
                                .user = stream->user,
                                .status = status};
}

/* ---- abuse --------------------------------------------------------------- */

static void refill(struct mux *mux)
{
    uint64_t elapsed_ms = mux->now_ms - mux->tokens_ms;
    uint64_t room = (uint64_t)mux->config.useless_burst * 1000 - mux->tokens;
    uint64_t gain;

    /* both factors below 2^32; one token is 1000, and per_s is per 1000 ms */
    elapsed_ms = elapsed_ms < UINT32_MAX ? elapsed_ms : UINT32_MAX;
    gain = elapsed_ms * mux->config.useless_per_s;
    mux->tokens += gain < room ? gain : room;
    mux->tokens_ms = mux->now_ms;
}

/* This frame was of no use to anybody (D37). */
static void useless(struct mux *mux)
{
    mux->counters.useless_frames++;
    refill(mux);
    if (mux->tokens < 1000) {
        blame(mux, STATUS_ABUSE);
        return;
    }
    mux->tokens -= 1000;
}

/* A frame for a stream that is not live. Harmless if it may have been under way
 * when this side ended the stream. */
static void late(struct mux *mux)
{
    const struct wire_header *header = &mux->parser.header;
    bool known = mux_is_ours(mux, header->stream)
                     ? header->stream < mux->next_id
                     : header->stream <= mux->peer_max;
    bool payload = header->type == WIRE_DATA && header->length > 0;

    mux->counters.unknown_stream_frames++;
    if (known && payload && header->length <= mux->late_bytes) {
        mux->late_bytes -= header->length;
    } else if (known && !payload && mux->late_frames > 0) {
        mux->late_frames--;
    } else {
        useless(mux);
    }
}

/* ---- frames of the session ----------------------------------------------- */

static void ping_is_lost(struct mux *mux)
{
    mux->counters.pings_dropped++;
    if (mux->now_ms - mux->unanswered_ms >= MUX_UNANSWERED_MS) {
        mux->unanswered_ms = mux->now_ms;
        mux->unanswered = 0;
    }
    mux->unanswered++;
    if (mux->unanswered + mux->pong_count > MUX_UNANSWERED_MAX) {
        blame(mux, STATUS_ABUSE);
    }
}

static void receive_ping(struct mux *mux)
{
    uint32_t opaque = mux->parser.header.length;

    if (has(mux, WIRE_SYN)) {
        useless(mux);
        if (mux->pong_count == MUX_PONGS_MAX) {
            ping_is_lost(mux); /* the newest: what was promised is kept */
            return;
        }
        mux->pongs[(mux->pong_first + mux->pong_count) % MUX_PONGS_MAX] =
            opaque;
        mux->pong_count++;
    } else if (has(mux, WIRE_ACK) && mux->ping == MUX_PING_SENT &&
               opaque == mux->ping_opaque) {
        mux->ping = MUX_PING_NONE;
        mux->rtt_ms = mux->now_ms - mux->ping_sent_ms;
        if (mux->rtt_ms < mux->round_trip_ms) {
            mux->round_trip_ms = mux->rtt_ms;
        }
    } else {
        mux->counters.pongs_ignored++;
        useless(mux);
    }
}

static bool receive_go_away(struct mux *mux, struct mux_event *event)
{
    if (mux->parser.header.length != WIRE_GO_AWAY_NORMAL) {
        blame(mux, STATUS_PEER_ERROR);
    } else if (mux->peer_going_away) {
        useless(mux);
    } else {
        mux->peer_going_away = true;
        *event = (struct mux_event){.kind = MUX_PEER_GOING_AWAY};
        return true;
    }
    return false;
}

/* ---- frames of a stream: the judgement ----------------------------------- */

/* What is wrong with this frame, before anything changes (D2, I17). */
static enum status judge(const struct mux *mux, const struct stream *stream)
{
    const struct wire_header *header = &mux->parser.header;
    bool live = stream != NULL && stream_is_live(stream);

    if (header->stream == 0) {
        return STATUS_BAD_STREAM_ID;
    }
    if (has(mux, WIRE_SYN)) {
        if (mux_is_ours(mux, header->stream)) {
            return STATUS_BAD_STREAM_ID;
        }
        if (stream != NULL) {
            return STATUS_DUPLICATE_SYN;
        }
    }
    if (header->type == WIRE_DATA) {
        /* A stream that is gone never had more than the largest window. */
        uint32_t largest =
            mux->config.recv_window +
            (mux->config.growth != NULL ? mux->config.growth_max : 0);
        uint32_t granted = live                 ? stream->granted
                           : has(mux, WIRE_SYN) ? WIRE_WINDOW_INITIAL
                                                : largest;
        if (header->length > granted) {
            return STATUS_PEER_WINDOW;
        }
    } else if (!has(mux, WIRE_RST)) { /* there it may be an error code */
        uint64_t window = live                 ? stream->send_window
                          : has(mux, WIRE_SYN) ? WIRE_WINDOW_INITIAL
                                               : 0;
        if (window + header->length > UINT32_MAX) {
            return STATUS_CREDIT_OVERFLOW;
        }
    }
    return STATUS_OK;
}

/* Over a limit: RST, and remember nothing (D8). */
static void refuse(struct mux *mux)
{
    const struct wire_header *header = &mux->parser.header;
    uint32_t spent = header->type == WIRE_DATA ? header->length : 0;
    uint32_t refused_max = mux->config.refused_max;

    useless(mux);
    mux->counters.streams_refused++;
    mux->late_frames += MUX_LATE_FRAMES;
    mux->late_bytes += WIRE_WINDOW_INITIAL - spent;
    if (mux->refused_count == MUX_REFUSED_MAX ||
        (refused_max != 0 && mux->counters.streams_refused > refused_max)) {
        blame(mux, STATUS_ABUSE);
        return;
    }
    mux->refused[(mux->refused_first + mux->refused_count) % MUX_REFUSED_MAX] =
        header->stream;
    mux->refused_count++;
}

/* SYN of a new stream. NULL: there is none. */
static struct stream *receive_open(struct mux *mux)
{
    const struct wire_header *header = &mux->parser.header;

    if (header->stream > mux->peer_max) {
        mux->peer_max = header->stream;
    }
    if (has(mux, WIRE_RST)) { /* no stream, no reply (D33) */
        useless(mux);
        return NULL;
    }
    if (mux->draining || mux->used[MUX_PEERS] >= mux->config.inbound_max) {
        refuse(mux);
        return NULL;
    }
    struct stream *stream = stream_table_add(&mux->table, header->stream);
    stream_move(stream, STREAM_IS_OFFERED);
    stream->fresh_at = mux->turns;
    stream->send_window = WIRE_WINDOW_INITIAL;
    stream->granted = WIRE_WINDOW_INITIAL;
    stream->credit = mux->config.recv_window - WIRE_WINDOW_INITIAL;
    stream->window = mux->config.recv_window;
    if (mux->config.accept_timeout_ms != 0) {
        stream->deadline_ms =
            mux_later(mux->now_ms, mux->config.accept_timeout_ms);
        stream_list_append(&mux->table, STREAM_OFFERS, stream);
    }
    mux->used[MUX_PEERS]++;
    mux->counters.streams_offered++;
    return stream;
}

/* A frame of a stream, its header complete. */
static bool receive_stream_frame(struct mux *mux, struct mux_event *event)
{
    struct mux_parser *parser = &mux->parser;
    const struct wire_header *header = &parser->header;
    struct stream *stream = NULL;

    if (header->stream != 0) {
        stream = stream_table_find(&mux->table, header->stream);
    }
    if (stream != NULL) {
        stream_table_note(&mux->table, stream);
    }
    if (stream != NULL && (stream->owes & STREAM_OWES_SYN) != 0) {
        stream = NULL; /* of which the peer cannot have heard */
    }
    enum status verdict = judge(mux, stream);
    if (verdict != STATUS_OK) {
        blame(mux, verdict);
        return false;
    }
    bool offered = stream == NULL && has(mux, WIRE_SYN);
    if (offered) {
        stream = receive_open(mux);
        offered = stream != NULL;
    } else if (stream == NULL) {
        late(mux);
    } else if (!stream_is_live(stream)) {
        late(mux);
        if (has(mux, WIRE_RST)) {
            mux_release(mux, stream); /* what we owed, nobody waits for */
        }
        stream = NULL;
    }
    parser->stream = stream;
    parser->payload_left = header->type == WIRE_DATA ? header->length : 0;
    if (stream != NULL) {
        stream->granted -= parser->payload_left;
    }
    parser->phase = MUX_PHASE_ANSWER;
    if (offered) {
        happen(event, MUX_STREAM_OFFERED, stream, STATUS_OK);
    }
    return offered;
}

/* ---- the phases ---------------------------------------------------------- */

static bool take_header(struct mux *mux, struct span *input,
                        struct mux_event *event)
{
    struct mux_parser *parser = &mux->parser;
    size_t missing = WIRE_HEADER_SIZE - parser->have;
    size_t length = input->length < missing ? input->length : missing;

    memcpy(parser->bytes + parser->have, input->bytes, length);
    input->bytes += length;
    input->length -= length;
    parser->have += (uint32_t)length;
    if (parser->have < WIRE_HEADER_SIZE) {
        return false;
    }
    parser->have = 0;
    enum status verdict = wire_decode(&parser->header, parser->bytes);
    if (verdict != STATUS_OK) {
        blame(mux, verdict);
        return false;
    }
    mux->counters.frames_in++;
    mux->counters.unknown_flags += (parser->header.flags & ~FLAGS) != 0;
    if (parser->header.type == WIRE_DATA ||
        parser->header.type == WIRE_WINDOW_UPDATE) {
        return receive_stream_frame(mux, event);
    }
    if (parser->header.stream != 0) { /* Y-01: also of a go-away */
        blame(mux, STATUS_BAD_SESSION_ID);
        return false;
    }
    if (parser->header.type == WIRE_PING) {
        receive_ping(mux);
        return false;
    }
    return receive_go_away(mux, event);
}

/* Any frame answers an open (D7), but a reset one is never answered first. */
static bool take_answer(struct mux *mux, struct span *input,
                        struct mux_event *event)
{
    struct stream *stream = mux->parser.stream;
    bool answered = false;

    (void)input;
    mux->parser.phase = MUX_PHASE_EFFECT;
    if (stream == NULL || has(mux, WIRE_RST)) {
        return false;
    }
    if (stream_may(stream, STREAM_IS_ANSWERED)) {
        mux_settle(mux, stream, STREAM_IS_ANSWERED);
        happen(event, MUX_STREAM_ACCEPTED, stream, STATUS_OK);
        answered = true;
    }
    if (has(mux, WIRE_ACK)) {
        if (stream->acked || !mux_is_ours(mux, stream->id)) {
            mux->counters.repeated_acks++; /* D17 */
            useless(mux);
        }
        stream->acked = true;
    }
    return answered;
}

/* Credit; whether the payload may be delivered; frames that do nothing. */
static bool take_effect(struct mux *mux, struct span *input,
                        struct mux_event *event)
{
    struct mux_parser *parser = &mux->parser;
    struct stream *stream = parser->stream;
    uint32_t length = parser->header.length;

    (void)input;
    parser->phase =
        parser->payload_left > 0 ? MUX_PHASE_PAYLOAD : MUX_PHASE_FINISH;
    if (stream == NULL || has(mux, WIRE_RST)) {
        return false;
    }
    if (length == 0 && (parser->header.flags & FLAGS) == 0) {
        useless(mux); /* D36 */
    } else if (parser->header.type == WIRE_WINDOW_UPDATE) {
        stream->send_window += length; /* judged: no overflow */
        mux_queue(mux, stream);
    } else if (length > 0 && !stream_may_receive(stream)) {
        happen(event, MUX_STREAM_ENDED, stream, STATUS_DATA_AFTER_FIN);
        mux_abandon(mux, stream); /* D16 */
        return true;
    }
    return false;
}

static bool take_payload(struct mux *mux, struct span *input,
                         struct mux_event *event)
{
    struct mux_parser *parser = &mux->parser;
    struct stream *stream = parser->stream;
    size_t length = input->length < parser->payload_left ? input->length
                                                         : parser->payload_left;
    const struct span data = {input->bytes, length};

    input->bytes += length;
    input->length -= length;
    parser->payload_left -= (uint32_t)length;
    if (parser->payload_left == 0) {
        parser->phase = MUX_PHASE_FINISH;
    }
    if (stream == NULL || has(mux, WIRE_RST)) { /* drained (D34) */
        return false;
    }
    if (stream->since_ms + stream->took_ms <= mux->silent_ms) {
        mux_arrive(mux, stream, (uint32_t)length);
    }
    mux->counters.data_bytes_in += length;
    happen(event, MUX_STREAM_DATA, stream, STATUS_OK);
    event->data = data;
    return true;
}

static bool take_finish(struct mux *mux, struct span *input,
                        struct mux_event *event)
{
    struct stream *stream = mux->parser.stream;

    (void)input;
    mux->parser.phase = MUX_PHASE_END;
    if (stream == NULL) {
        return false;
    }
    if (has(mux, WIRE_RST)) { /* wins over FIN */
        happen(event, MUX_STREAM_ENDED, stream, STATUS_RESET);
        if (stream_may(stream, STREAM_IS_ACCEPTED) ||
            (stream->owes & STREAM_OWES_ACK) != 0) {
            useless(mux); /* opened only to be reset */
        }
        mux_release(mux, stream);
        return true;
    }
    if (!has(mux, WIRE_FIN)) {
        return false;
    }
    if (!stream_may(stream, STREAM_FINISHES_REMOTE)) {
        mux->counters.repeated_fins++; /* D16 */
        useless(mux);
        return false;
    }
    stream_move(stream, STREAM_FINISHES_REMOTE);
    mux_forgive(mux, stream, STREAM_OWES_WINDOW); /* D14 */
    happen(event, MUX_STREAM_FINISHED, stream, STATUS_OK);
    return true;
}

static bool take_end(struct mux *mux, struct span *input,
                     struct mux_event *event)
{
    struct stream *stream = mux->parser.stream;

    (void)input;
    mux->parser.phase = MUX_PHASE_HEADER;
    mux->parser.stream = NULL;
    if (stream == NULL || stream->state != STREAM_BOTH_FINISHED) {
        return false;
    }
    happen(event, MUX_STREAM_ENDED, stream, STATUS_OK);
    mux_end(mux, stream);
    return true;
}

static bool needs_input(const struct mux *mux)
{
    return mux->parser.phase == MUX_PHASE_HEADER ||
           mux->parser.phase == MUX_PHASE_PAYLOAD;
}

static bool receive(struct mux *mux, struct span *input,
                    struct mux_event *event)
{
    static bool (*const phases[MUX_PHASES])(struct mux *, struct span *,
                                            struct mux_event *) = {
        [MUX_PHASE_HEADER] = take_header, [MUX_PHASE_ANSWER] = take_answer,
        [MUX_PHASE_EFFECT] = take_effect, [MUX_PHASE_PAYLOAD] = take_payload,
        [MUX_PHASE_FINISH] = take_finish, [MUX_PHASE_END] = take_end,
    };

    while (mux->status == STATUS_OK &&
           (input->length > 0 || !needs_input(mux))) {
        bool happened = phases[mux->parser.phase](mux, input, event);
        if (mux->status != STATUS_OK) {
            mux_failed_event(mux, event); /* every stream dies with it */
            return true;
        }
        if (happened) {
            return true;
        }
    }
    if (mux->status != STATUS_OK) {
        input->bytes += input->length;
        input->length = 0;
    }
    return false;
}

static void note_life(struct mux *mux)
{
    mux->missed = 0;
    mux->silence_ms = mux_later(mux->now_ms, mux->config.ping_interval_ms);
    if (mux->now_ms != mux->heard_ms) {
        mux_hear(mux);
    }
}

void mux_heard(struct mux *mux, uint64_t now_ms)
{
    mux_observe(mux, now_ms);
    note_life(mux);
    INVARIANT_ALL(mux_invariant(mux));
}

bool mux_receive(struct mux *mux, uint64_t now_ms, struct span *input,
                 struct mux_event *event)
{
    mux_observe(mux, now_ms);
    REQUIRE(input->length == 0 || input->bytes != NULL);
    if (input->length > 0) { /* any byte is a sign of life (L-01) */
        note_life(mux);
    }
    bool happened = receive(mux, input, event);

    INVARIANT_ALL(mux_invariant(mux));
    return happened;
}
