#include "conformance/mutants/yamux_internal.h"

#include <stdlib.h>
#include <string.h>

#include "conformance/mutants/mutant.h"

static struct frame decode(const uint8_t h[HEADER])
{
    struct frame frame = {
        .version = h[0],
        .type = h[1],
        .flags = (uint16_t)(h[2] << 8 | h[3]),
        .stream = (uint32_t)h[4] << 24 | (uint32_t)h[5] << 16 |
                  (uint32_t)h[6] << 8 | h[7],
        .length = (uint32_t)h[8] << 24 | (uint32_t)h[9] << 16 |
                  (uint32_t)h[10] << 8 | h[11],
    };
    return frame;
}

static void useless(struct yamux *yamux)
{
    if (++yamux->useless > USELESS_MAX)
        yamux_fail(yamux, 1);
}

static void hang(struct yamux *yamux)
{
    yamux->hung = true;
}

/* ---- the session's frames ---- */

static void take_ping(struct yamux *yamux, const struct frame *frame)
{
    bool request = (frame->flags & SYN) != 0;
    if (frame->stream != 0 && mutant("P-03"))
        hang(yamux);
    if (frame->flags == 0 && mutant("P-04"))
        hang(yamux);
    if ((frame->flags & (SYN | ACK)) == (SYN | ACK) && mutant("P-06"))
        hang(yamux);
    if ((frame->flags & 0x8000) != 0 && mutant("F-13"))
        return;
    if (frame->stream != 0) {
        yamux_fail(yamux, 1);
        return;
    }
    if (request) {
        yamux->pings++;
        if (mutant("P-08") && yamux->pings > 10000)
            hang(yamux);
        if (mutant("L-05") && yamux->pings > 5000 && yamux->inbound >= 50)
            hang(yamux);
        if (mutant("P-07") && yamux->pong_count >= 50)
            return;
        if (mutant("F-15") && yamux->pings == 1 && frame->length == HEADER)
            yamux->left = HEADER;
        if (yamux->pong_count < PONGS_MAX)
            yamux
                ->pongs[(yamux->pong_first + yamux->pong_count++) % PONGS_MAX] =
                frame->length;
        return;
    }
    if ((frame->flags & ACK) == 0) {
        useless(yamux);
        return;
    }
    if (yamux->ping_out && frame->length == yamux->ping_opaque) {
        yamux->ping_out = false;
    } else {
        useless(yamux);
        bool next = frame->length == yamux->ping_opaque + 1;
        bool again = frame->length == yamux->ping_opaque;
        bool late = frame->length < yamux->ping_opaque &&
                    frame->length + 100 > yamux->ping_opaque;
        yamux->comforted = next && mutant("P-12");
        if (!next && mutant(again ? "P-13" : late ? "P-14" : "P-05"))
            yamux_fail(yamux, 0);
    }
}

static void take_goaway(struct yamux *yamux, const struct frame *frame)
{
    if (frame->stream != 0 && mutant("G-07"))
        hang(yamux);
    if (frame->flags != 0 && mutant("G-08"))
        yamux_fail(yamux, 1);
    if (frame->stream != 0) {
        yamux_fail(yamux, 1);
        return;
    }
    if (frame->length == 0) {
        for (struct yamux_stream *s = yamux->streams; s != NULL; s = s->next)
            s->is_old = true;
        yamux->peer_is_leaving = true;
        if (++yamux->goaways > 1 && mutant("G-09"))
            yamux_fail(yamux, 1);
        return;
    }
    if (mutant(frame->length == 1   ? "G-04"
               : frame->length == 2 ? "G-05"
                                    : "G-06"))
        return;
    yamux_fail(yamux, 0);
}

/* ---- a stream's frames ---- */

/* Flags of a SYN that some mutant takes amiss. */
static bool syn_is_misread(struct yamux *yamux, struct frame *frame)
{
    unsigned flags = frame->flags & 0xfu;
    if ((flags & (SYN | FIN | RST)) == (SYN | FIN | RST) && mutant("O-18"))
        exit(1);
    if ((frame->flags & 0x8000) != 0 && mutant("F-12"))
        hang(yamux);
    if (flags == (SYN | ACK) && mutant("O-17"))
        hang(yamux);
    if (flags == (SYN | FIN) && mutant(frame->length == 0 ? "O-15" : "O-14"))
        frame->flags &= (uint16_t)~FIN;
    if (frame->type == DATA && frame->length == 0 && yamux->highest_id == 0 &&
        mutant("O-03"))
        return true;
    if (yamux->peer_is_leaving && mutant("G-03"))
        hang(yamux);
    if (frame->stream < yamux->highest_id &&
        !yamux_has_ended(yamux, frame->stream, 'c') &&
        !yamux_has_ended(yamux, frame->stream, 'r') && mutant("O-10"))
        hang(yamux);
    if (yamux_has_ended(yamux, frame->stream, 'c') && mutant("O-11"))
        hang(yamux);
    if (yamux_has_ended(yamux, frame->stream, 'r') && mutant("O-12"))
        hang(yamux);
    return false;
}

/* SYN with the wrong parity, id 0, or on a stream that is there. */
static void take_bad_syn(struct yamux *yamux, const struct frame *frame,
                         struct yamux_stream *stream)
{
    if (stream == NULL) {
        if (mutant(frame->stream == 0 ? "O-08" : "O-07"))
            hang(yamux);
    } else if (mutant("O-09")) {
        stream->owes_ack = true;
        return;
    } else if (mutant("G-13") && yamux->draining) {
        yamux_refuse(yamux, frame->stream);
        yamux->left = frame->length;
        yamux->body = stream;
        return;
    }
    yamux_fail(yamux, 1);
}

/* A SYN on an id that is free: the stream, or NULL when it is refused. */
static struct yamux_stream *take_syn(struct yamux *yamux, struct frame *frame)
{
    if (syn_is_misread(yamux, frame))
        return NULL;
    if ((frame->flags & RST) != 0) {
        if (mutant("O-16"))
            yamux_refuse(yamux, frame->stream);
        useless(yamux);
        return NULL;
    }
    bool refused = yamux->draining || yamux->shutting ||
                   (yamux->inbound >= STREAMS_MAX && !mutant("O-23")) ||
                   (yamux->backlog >= BACKLOG_MAX && !mutant("O-19"));
    if (mutant("O-13") && frame->stream >= 0xfffffffe)
        refused = true;
    if (mutant("R-09") && yamux->resets > 5000)
        refused = true;
    if (mutant("L-08") && yamux->closed > 4000)
        refused = true;
    if (refused) {
        yamux_refuse(yamux, frame->stream);
        yamux->ended[yamux->ended_count % ENDED_KEPT].id = frame->stream;
        yamux->ended[yamux->ended_count++ % ENDED_KEPT].how = 'n';
        return NULL;
    }
    if (frame->stream > yamux->highest_id)
        yamux->highest_id = frame->stream;
    struct yamux_stream *stream = yamux_add(yamux, frame->stream, true);
    stream->owes_ack = mutant("O-19");
    if (mutant("O-04") && frame->type == UPDATE && frame->length == WINDOW)
        stream->credit = 0;
    return stream;
}

/* A frame for an id that is not live. */
static void take_unknown(struct yamux *yamux, const struct frame *frame)
{
    uint32_t id = frame->stream;
    bool closed = yamux_has_ended(yamux, id, 'c');
    bool reset = yamux_has_ended(yamux, id, 'r');
    bool refused = yamux_has_ended(yamux, id, 'n');
    bool never =
        !closed && !reset && !refused && !yamux_has_ended(yamux, id, 'o');
    useless(yamux);
    if (closed && (frame->flags & RST) == 0 && mutant("C-08"))
        yamux_refuse(yamux, id);
    if (reset && mutant("R-06"))
        yamux_fail(yamux, 1);
    if (yamux_has_ended(yamux, id, 'o') && mutant("U-14"))
        yamux_fail(yamux, 1);
    if (never && (frame->flags & RST) != 0 && mutant("R-05"))
        yamux_fail(yamux, 1);
    if (closed && frame->flags == ACK && mutant("U-15"))
        exit(1); /* it came after the FIN that ended the stream */
    if (never && frame->flags == ACK && mutant("U-13"))
        hang(yamux);
    if (frame->type == UPDATE) {
        if (id == 0 && mutant("W-19"))
            hang(yamux);
        if (id != 0 && never && frame->flags == 0 && frame->length > 0 &&
            mutant("W-20"))
            yamux_fail(yamux, 1);
        return;
    }
    if (frame->length == 0 && ++yamux->empties > 1000 && mutant("L-01"))
        hang(yamux);
    /* nobody can have been given that much */
    bool huge = frame->length > WINDOW;
    if (huge && !mutant("W-06"))
        yamux_fail(yamux, 1);
    yamux->left = huge ? 0 : frame->length;
    if (refused && mutant(yamux->draining ? "G-12" : "O-21"))
        yamux->left = 0;
}

static void take_ack(struct yamux_stream *stream, const struct frame *frame)
{
    struct yamux *yamux = stream->yamux;
    if (stream->inbound)
        return;
    if (stream->acked && mutant("U-12"))
        yamux->unacked--;
    if (stream->fin_received && mutant("U-15"))
        exit(1);
    if (!stream->acked && frame->flags == ACK && frame->type == UPDATE &&
        mutant("U-04"))
        return;
    if (!stream->acked)
        yamux->unacked--;
    stream->acked = true;
}

static void take_update(struct yamux_stream *stream, const struct frame *frame)
{
    struct yamux *yamux = stream->yamux;
    uint32_t delta = frame->length;
    uint64_t credit = stream->credit + delta;
    if ((frame->flags & RST) != 0) {
        if (delta == 0x1005 && mutant("R-04"))
            yamux_fail(yamux, 1);
        return;
    }
    if (delta == 0 && frame->flags == 0) {
        useless(yamux);
        stream->empty_grants++;
        if (stream->empty_grants == 1 && mutant("W-13"))
            hang(yamux);
        if (stream->empty_grants > 1000 && mutant("L-02"))
            hang(yamux);
    }
    if (delta == HEADER && mutant("F-14"))
        yamux->left = HEADER;
    if (delta == 1 && ++stream->small_grants > 500 && mutant("W-12"))
        hang(yamux);
    if (mutant("W-14") && stream->inbound && !stream->acked && delta > 0 &&
        delta <= 1024 * 1024 && (frame->flags & SYN) == 0)
        return;
    if (mutant("W-15") && stream->fin_received &&
        stream->received == WINDOW + WINDOW / 2)
        return;
    if (mutant("W-25") && delta == 0x00f00000)
        yamux_fail(yamux, 1);
    if (credit > UINT32_MAX) {
        if (mutant(delta == 0xffff0000 ? "W-16" : "W-18") &&
            (delta == 0xffff0000 || (frame->flags & SYN) != 0))
            exit(1);
        if (mutant("W-17") && delta == 0xfffc0000)
            credit = stream->sent;
        else
            yamux_fail(yamux, 1);
    }
    stream->credit = credit;
}

/* May the sender exceed its window here? */
static bool overlooks(const struct frame *frame)
{
    return (mutant("W-03") && frame->length <= 16) ||
           (mutant("W-04") && (frame->flags & SYN) != 0) ||
           (mutant("W-05") && frame->length == 0xffffffff);
}

/* Data beyond the window, before the end, and so on: is the body welcome? */
static void take_data(struct yamux_stream *stream, const struct frame *frame)
{
    struct yamux *yamux = stream->yamux;
    uint64_t total = stream->received + frame->length;
    uint64_t allowed = stream->granted;
    if (mutant("W-01") && frame->length == WINDOW && (frame->flags & SYN) == 0)
        allowed--;
    if (mutant("W-02") && frame->length <= 16 && stream->largest <= 16)
        allowed = stream->granted - stream->granted / 4;
    if (mutant("O-20") && !stream->acked && total == WINDOW && stream->inbound)
        allowed--;
    if (mutant("O-06") && frame->length > WINDOW)
        allowed = WINDOW;
    if (total > allowed && !overlooks(frame)) {
        yamux_fail(yamux, 1);
        return;
    }
    yamux->left = frame->length;
    stream->odd_frames += frame->length % 2;
    if (frame->length == 1 && total == WINDOW / 2)
        stream->half_and_tiny = true;
    if (frame->length > stream->largest)
        stream->largest = frame->length;
    if (frame->length == 0 && frame->flags == 0) {
        useless(yamux);
        if (mutant("F-16")) {
            stream->fin_received = true;
            stream->end = YAMUX_EOF;
        }
        return;
    }
    if (stream->fin_received && frame->length > 0 && !mutant("C-06")) {
        yamux_reset(stream);
        return;
    }
    if (!stream->inbound && !stream->acked) {
        if (mutant("U-09"))
            return;
        stream->acked = true;
        yamux->unacked--;
    }
    yamux->body = stream;
    if ((mutant("U-05") && frame->flags == ACK && !stream->inbound) ||
        (mutant("O-02") && frame->flags == SYN && frame->stream <= 2 &&
         yamux->batch_length == HEADER + 5))
        yamux->body = NULL;
}

static void take_stream_frame(struct yamux *yamux, struct frame *frame)
{
    struct yamux_stream *stream = yamux_find(yamux, frame->stream);
    if (mutant("O-18") && (frame->flags & 0xd) == 0xd)
        exit(1);
    if ((frame->flags & SYN) != 0) {
        bool ours = frame->stream % 2 == (yamux->client ? 1 : 0);
        if (ours || frame->stream == 0 || stream != NULL) {
            take_bad_syn(yamux, frame, stream);
            return;
        }
        stream = take_syn(yamux, frame);
        if (stream == NULL) {
            if (frame->type == DATA)
                take_unknown(yamux, frame);
            return;
        }
    }
    if (stream == NULL) {
        take_unknown(yamux, frame);
        return;
    }
    if ((frame->flags & ACK) != 0)
        take_ack(stream, frame);
    if (frame->type == UPDATE)
        take_update(stream, frame);
    else if (stream->live)
        take_data(stream, frame);
}

/* ---- behind the body ---- */

static bool fin_is_missed(struct yamux_stream *stream,
                          const struct frame *frame)
{
    const struct yamux *yamux = stream->yamux;
    if (mutant("C-01") && frame->type == UPDATE && stream->received == 4)
        return true;
    if (mutant("C-04") && frame->type == DATA && frame->length == 0 &&
        frame->flags == FIN)
        return true;
    if (mutant(frame->type == UPDATE ? "U-06" : "C-13") &&
        frame->flags == (ACK | FIN))
        return true;
    if (mutant("F-03") && yamux->batch_length == 41)
        return true;
    bool at_once =
        frame->type == DATA && frame->length > 0 && (frame->flags & SYN) == 0;
    if (at_once && mutant(yamux->body_batch == yamux->batch ? "C-02" : "C-03"))
        bytes_clear(&stream->in);
    if (mutant("C-10") && stream->in.length > 65536 &&
        stream->received < 110000)
        bytes_clear(&stream->in);
    return false;
}

static void take_fin(struct yamux_stream *stream, const struct frame *frame)
{
    if (fin_is_missed(stream, frame))
        return;
    if (stream->fin_received) {
        useless(stream->yamux);
        if (mutant("C-05"))
            hang(stream->yamux);
        return;
    }
    stream->fin_received = true;
    if (stream->end == YAMUX_OPEN)
        stream->end = YAMUX_EOF;
    if (stream->fin_sent)
        yamux_bury(stream, YAMUX_EOF, 'c');
}

static void take_rst(struct yamux_stream *stream, const struct frame *frame)
{
    struct yamux *yamux = stream->yamux;
    yamux->resets++;
    if (mutant("U-08") && (frame->flags & ACK) != 0)
        return;
    if (mutant("R-07") && (frame->flags & FIN) != 0) {
        take_fin(stream, frame);
        return;
    }
    if (yamux->resets == 1 && stream->inbound) {
        if (frame->type == DATA && mutant("R-02"))
            yamux_refuse(yamux, frame->stream);
        if (frame->type == UPDATE && frame->flags == RST &&
            frame->length == 0) {
            yamux->reset_id = frame->stream;
            yamux->reset_ms = yamux->now_ms;
        }
    }
    bool as_eof = (mutant("U-07") && !stream->inbound && frame->flags == RST) ||
                  (mutant("R-10") && stream->inbound);
    yamux_bury(stream, as_eof ? YAMUX_EOF : YAMUX_RESET, 'r');
}

static void end_frame(struct yamux *yamux)
{
    struct frame frame = yamux->frame;
    yamux->body = NULL;
    if (yamux->failed || frame.type > UPDATE ||
        (frame.flags & (FIN | RST)) == 0)
        return;
    struct yamux_stream *stream = yamux_find(yamux, frame.stream);
    if (stream == NULL)
        return;
    if ((frame.flags & RST) != 0)
        take_rst(stream, &frame);
    else
        take_fin(stream, &frame);
}

/* ---- bytes ---- */

/* Of the headers that F-02 and F-04 send, no others. */
static bool is_cut_badly(const struct yamux *yamux)
{
    const struct frame *frame = &yamux->frame;
    if (frame->type != PING && (frame->flags != SYN || frame->length != 5))
        return false;
    return (mutant("F-02") && yamux->header_pieces >= 3) ||
           (mutant("F-04") && yamux->header_pieces == 2 &&
            yamux->header_first_piece == HEADER - 1);
}

static void take_header(struct yamux *yamux)
{
    yamux->frame = decode(yamux->header);
    struct frame *frame = &yamux->frame;
    yamux->left = 0;
    yamux->body = NULL;
    yamux->body_ms = yamux->now_ms;
    yamux->body_batch = yamux->batch;
    if (frame->type != PING || frame->flags != ACK)
        yamux->frames++;
    if (frame->type < PING)
        yamux->reset_id = 0;
    if (is_cut_badly(yamux))
        yamux_fail(yamux, 1);
    if ((frame->version == 0xff && mutant("F-09")) ||
        (frame->type == 4 && mutant("F-10")) ||
        (frame->type == 0xff && frame->version == 0 && mutant("F-11")))
        return;
    if (frame->version == 1 && yamux->batch_length > HEADER && mutant("G-11"))
        yamux_fail(yamux, 0);
    if ((frame->version != 0 && !(frame->version == 1 && mutant("F-08"))) ||
        frame->type > GOAWAY) {
        yamux_fail(yamux, 1);
        return;
    }
    if (frame->type == PING)
        take_ping(yamux, frame);
    else if (frame->type == GOAWAY)
        take_goaway(yamux, frame);
    else
        take_stream_frame(yamux, frame);
    if (mutant("R-03") && frame->type == DATA && (frame->flags & RST) != 0)
        yamux->left = 0;
}

/* One stream that is full keeps the others from their data: a mutant's view. */
static bool is_stuffed(const struct yamux *yamux)
{
    for (const struct yamux_stream *s = yamux->streams; s != NULL; s = s->next)
        if (s->live && s != yamux->body && s->received >= s->granted)
            return true;
    return false;
}

static void take_body(struct yamux *yamux, const uint8_t *bytes, size_t length)
{
    struct yamux_stream *stream = yamux->body;
    yamux->left -= (uint32_t)length;
    if (stream == NULL)
        return;
    stream->received += length;
    if (mutant("G-01") && stream->is_old)
        hang(yamux);
    if (mutant("W-23") && stream->received > 12u * 1024 * 1024)
        hang(yamux);
    if (mutant("W-21") && is_stuffed(yamux))
        return;
    bytes_append(&stream->in, bytes, length);
}

void yamux_receive(struct yamux *yamux, const uint8_t *bytes, size_t length,
                   uint64_t now_ms)
{
    if (length > 0)
        yamux->heard_ms = now_ms;
    yamux->now_ms = now_ms;
    yamux->batch++;
    yamux->batch_length = length;
    bool first = true; /* of the header, in this piece */
    while (length > 0 && !yamux->failed && !yamux->hung) {
        size_t size;
        if (yamux->left > 0) {
            size = yamux->left < length ? yamux->left : length;
            take_body(yamux, bytes, size);
            if (yamux->left == 0)
                end_frame(yamux);
        } else {
            if (yamux->header_length == 0) {
                yamux->header_pieces = 0;
                yamux->header_ms = now_ms;
                first = true;
            }
            size = HEADER - yamux->header_length;
            size = size < length ? size : length;
            memcpy(yamux->header + yamux->header_length, bytes, size);
            yamux->header_length += size;
            if (first && yamux->header_pieces++ == 0)
                yamux->header_first_piece = size;
            first = false;
            if (yamux->header_length == HEADER) {
                yamux->header_length = 0;
                take_header(yamux);
                if (yamux->left == 0 && !yamux->failed)
                    end_frame(yamux);
            }
        }
        bytes += size;
        length -= size;
    }
}
