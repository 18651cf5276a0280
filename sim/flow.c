#include "sim/flow.h"

#include <string.h>

/* A limited rate spreads a big send over time in pieces of this size. */
#define RATE_PIECE 16384u

void flow_init(struct flow *flow, struct sim *sim, const struct path *path,
               struct chance chance)
{
    *flow = (struct flow){.sim = sim,
                          .path = *path,
                          .chance = chance,
                          .finish_due_us = SIM_NEVER,
                          .reset_due_us = SIM_NEVER};
}

void flow_free(struct flow *flow)
{
    sim_release(flow->sim, flow->bytes);
    sim_release(flow->sim, flow->segments);
    flow->bytes = NULL;
    flow->segments = NULL;
}

/* ---- rings --------------------------------------------------------------- */

static void grow_bytes(struct flow *flow, size_t wanted)
{
    size_t capacity = flow->capacity == 0 ? 1024 : flow->capacity;

    while (capacity < wanted) {
        capacity *= 2;
    }
    uint8_t *bytes = sim_alloc(flow->sim, capacity);
    size_t first = flow->capacity - flow->start;
    first = first < flow->held ? first : flow->held;
    if (flow->held > 0) {
        memcpy(bytes, flow->bytes + flow->start, first);
        memcpy(bytes + first, flow->bytes, flow->held - first);
    }
    sim_release(flow->sim, flow->bytes);
    flow->bytes = bytes;
    flow->capacity = capacity;
    flow->start = 0;
}

static void put_bytes(struct flow *flow, const uint8_t *bytes, size_t length)
{
    if (flow->held + length > flow->capacity) {
        grow_bytes(flow, flow->held + length);
    }
    size_t end = (flow->start + flow->held) & (flow->capacity - 1);
    size_t first = flow->capacity - end;
    first = first < length ? first : length;
    memcpy(flow->bytes + end, bytes, first);
    memcpy(flow->bytes, bytes + first, length - first);
    flow->held += length;
}

static struct segment *segment_at(const struct flow *flow, size_t index)
{
    return &flow->segments[(flow->segment_first + index) &
                           (flow->segment_capacity - 1)];
}

static void grow_segments(struct flow *flow)
{
    size_t capacity =
        flow->segment_capacity == 0 ? 8 : 2 * flow->segment_capacity;
    struct segment *segments =
        sim_alloc(flow->sim, capacity * sizeof *segments);

    for (size_t i = 0; i < flow->segment_count; i++) {
        segments[i] = *segment_at(flow, i);
    }
    sim_release(flow->sim, flow->segments);
    flow->segments = segments;
    flow->segment_capacity = capacity;
    flow->segment_first = 0;
}

static void put_segment(struct flow *flow, uint64_t due_us, size_t length)
{
    if (flow->segment_count > 0) {
        struct segment *last = segment_at(flow, flow->segment_count - 1);
        if (last->due_us == due_us) {
            last->length += length;
            return;
        }
    }
    if (flow->segment_count == flow->segment_capacity) {
        grow_segments(flow);
    }
    *segment_at(flow, flow->segment_count++) =
        (struct segment){.due_us = due_us, .length = length};
}

/* ---- the sender's end ---------------------------------------------------- */

size_t flow_room(const struct flow *flow)
{
    uint64_t used = flow->held + flow->lost;

    return used >= flow->path.buffer ? 0 : (size_t)(flow->path.buffer - used);
}

size_t flow_in_flight(const struct flow *flow)
{
    return flow->held - flow->landed + (size_t)flow->lost;
}

static size_t drawn_piece(struct flow *flow, size_t length)
{
    if (flow->path.piece_max == 0 || length <= 1) {
        return length;
    }
    size_t piece = 1 + chance_below(&flow->chance, flow->path.piece_max);
    return piece < length ? piece : length;
}

static uint64_t due_after(struct flow *flow, size_t length)
{
    uint64_t due_us = sim_now_us(flow->sim);

    if (flow->path.rate > 0) {
        if (flow->line_free_us > due_us) {
            due_us = flow->line_free_us;
        }
        due_us += length * SIM_S / flow->path.rate;
        flow->line_free_us = due_us;
    }
    due_us += flow->path.latency_us;
    if (flow->path.jitter_us > 0) {
        due_us += chance_between(&flow->chance, 0, flow->path.jitter_us);
    }
    if (due_us < flow->last_due_us) {
        due_us = flow->last_due_us;
    }
    flow->last_due_us = due_us;
    return due_us;
}

size_t flow_put(struct flow *flow, const uint8_t *bytes, size_t length)
{
    size_t room = flow_room(flow);
    size_t put = drawn_piece(flow, length < room ? length : room);

    flow->sent += put;
    if (flow->swallows) {
        return put;
    }
    if (flow->silent || flow->reset || flow->reset_due_us != SIM_NEVER) {
        flow->lost += put;
        return put;
    }
    size_t most = flow->path.rate > 0 ? RATE_PIECE : put;
    for (size_t done = 0; done < put;) {
        size_t piece = put - done < most ? put - done : most;
        put_segment(flow, due_after(flow, piece), piece);
        done += piece;
    }
    if (put > 0) {
        put_bytes(flow, bytes, put);
    }
    return put;
}

static uint64_t due_in_order(const struct flow *flow, uint64_t earliest_us)
{
    return earliest_us > flow->last_due_us ? earliest_us : flow->last_due_us;
}

void flow_finish(struct flow *flow)
{
    if (flow->silent || flow->finished || flow->reset ||
        flow->finish_due_us != SIM_NEVER) {
        return;
    }
    flow->finish_due_us =
        due_in_order(flow, sim_now_us(flow->sim) + flow->path.latency_us);
    flow->last_due_us = flow->finish_due_us;
}

static void drop_in_flight(struct flow *flow)
{
    flow->held = flow->landed;
    flow->segment_count = 0;
}

void flow_reset(struct flow *flow, bool keeps, uint64_t earliest_us)
{
    uint64_t due_us = earliest_us + flow->path.latency_us;

    if (flow->silent || flow->reset) {
        return;
    }
    flow_land(flow);
    if (!keeps) {
        drop_in_flight(flow);
        flow->finish_due_us = SIM_NEVER;
    } else if (due_us < flow->last_due_us) {
        due_us = flow->last_due_us;
    }
    if (due_us < flow->reset_due_us) {
        flow->reset_due_us = due_us;
    }
}

void flow_silence(struct flow *flow)
{
    flow_land(flow);
    flow->lost += flow->held - flow->landed;
    drop_in_flight(flow);
    flow->silent = true;
    flow->finish_due_us = SIM_NEVER;
    flow->reset_due_us = SIM_NEVER;
}

void flow_stall(struct flow *flow, uint64_t until_us)
{
    flow_land(flow);
    flow->stall_us = until_us;
}

/* ---- the receiver's end -------------------------------------------------- */

bool flow_land(struct flow *flow)
{
    uint64_t now_us = sim_now_us(flow->sim);
    bool changed = false;

    if (flow->stall_us > now_us) {
        return false;
    }
    while (flow->segment_count > 0) {
        const struct segment *first = segment_at(flow, 0);
        if (first->due_us > now_us) {
            break;
        }
        flow->landed += first->length;
        flow->segment_first =
            (flow->segment_first + 1) & (flow->segment_capacity - 1);
        flow->segment_count--;
        changed = true;
    }
    if (flow->finish_due_us <= now_us && flow->segment_count == 0) {
        flow->finish_due_us = SIM_NEVER;
        flow->finished = true;
        changed = true;
    }
    if (flow->reset_due_us <= now_us) {
        flow->reset_due_us = SIM_NEVER;
        flow->reset = true;
        drop_in_flight(flow);
        changed = true;
    }
    return changed;
}

uint64_t flow_next_us(const struct flow *flow)
{
    uint64_t next_us = flow->finish_due_us < flow->reset_due_us
                           ? flow->finish_due_us
                           : flow->reset_due_us;

    if (flow->segment_count > 0 && segment_at(flow, 0)->due_us < next_us) {
        next_us = segment_at(flow, 0)->due_us;
    }
    return next_us != SIM_NEVER && next_us < flow->stall_us ? flow->stall_us
                                                            : next_us;
}

size_t flow_take(struct flow *flow, uint8_t *bytes, size_t capacity)
{
    size_t taken = capacity < flow->landed ? capacity : flow->landed;

    taken = drawn_piece(flow, taken);
    if (taken == 0) {
        return 0;
    }
    size_t first = flow->capacity - flow->start;
    first = first < taken ? first : taken;
    memcpy(bytes, flow->bytes + flow->start, first);
    memcpy(bytes + first, flow->bytes, taken - first);
    flow->start = (flow->start + taken) & (flow->capacity - 1);
    flow->held -= taken;
    flow->landed -= taken;
    flow->received += taken;
    return taken;
}
