/* Two sessions back to back: the script's calls say what their users do and how
 * many of the bytes under way arrive. Neither may ever fail. Every byte is a
 * function of its stream, direction and place, and is compared when it arrives;
 * a stream that ends in order has brought all of them.
 *
 * First byte: 1 a preface, 2 larger windows at the client, 4 small frames. */
#include <string.h>

#include "fuzz/end.h"

#define STREAMS 512u
#define WIRE_MAX ((size_t)1 << 20)

/* A stream, as both ends see it. */
struct course {
    uint64_t sent[2], received[2]; /* by the end */
    bool was_reset;
};

struct side {
    struct pair *pair;
    unsigned index;
    struct end end;
    uint8_t wire[WIRE_MAX]; /* under way to this side */
    size_t first, last;
};

struct pair {
    struct side sides[2];
    struct course courses[STREAMS]; /* by stream id */
    bool preface;
};

static struct course *course_of(struct side *side, uint32_t id)
{
    MUST(id < STREAMS);
    return &side->pair->courses[id];
}

static uint8_t pattern(unsigned sender, uint32_t id, uint64_t at)
{
    uint64_t x = (at + 1) * UINT64_C(0x9e3779b97f4a7c15) +
                 id * UINT64_C(0xbf58476d1ce4e5b9) + sender * 77u;

    return (uint8_t)(x >> 56);
}

static void emitted(void *user, const uint8_t *bytes, size_t length)
{
    struct side *side = user;
    struct side *other = &side->pair->sides[1 - side->index];

    if (length > sizeof other->wire - other->last) {
        memmove(other->wire, other->wire + other->first,
                other->last - other->first);
        other->last -= other->first;
        other->first = 0;
    }
    MUST(length <= sizeof other->wire - other->last);
    memcpy(other->wire + other->last, bytes, length);
    other->last += length;
}

static void fill(void *user, const struct end_stream *stream, uint8_t *bytes,
                 size_t length)
{
    struct side *side = user;
    struct course *course = course_of(side, stream->id);

    for (size_t i = 0; i < length; i++) {
        bytes[i] =
            pattern(side->index, stream->id, course->sent[side->index]++);
    }
}

static void data(void *user, const struct end_stream *stream, struct span span)
{
    struct side *side = user;
    struct course *course = course_of(side, stream->id);
    unsigned sender = 1 - side->index;
    size_t skip = 0;

    if (side->pair->preface && !stream->ours && stream->delivered == 0) {
        MUST(span.bytes[0] == END_PREFACE);
        skip = 1;
    }
    for (size_t i = skip; i < span.length; i++) {
        uint64_t at = course->received[side->index]++;
        MUST(at < course->sent[sender]);
        MUST(span.bytes[i] == pattern(sender, stream->id, at));
    }
}

/* By a call: mux_reset(), or the FIN that was missing. */
static void ended(void *user, const struct end_stream *stream,
                  enum status status, bool by_call)
{
    struct side *side = user;
    struct course *course = course_of(side, stream->id);

    if (by_call ? !(stream->in_done && stream->out_done)
                : status != STATUS_OK) {
        struct side *other = &side->pair->sides[1 - side->index];
        bool refused = stream->ours && !stream->accepted &&
                       mux_counters(other->end.mux)->streams_refused > 0;
        MUST(by_call ||
             (status == STATUS_RESET && (course->was_reset || refused)));
        course->was_reset = true;
    } else {
        MUST(course->received[side->index] == course->sent[1 - side->index] ||
             course->was_reset);
    }
}

static void deliver(struct side *side, size_t length)
{
    size_t left = side->last - side->first;
    size_t count = length < left ? length : left;

    side->first += count;
    end_receive(&side->end, side->wire + side->first - count, count);
}

static void call(void *user, enum call call, unsigned which, uint32_t stream,
                 uint32_t length)
{
    struct pair *pair = user;
    struct side *side = &pair->sides[which % 2];
    struct side *other = &pair->sides[1 - which % 2];
    bool writes = call == CALL_SEND || call == CALL_EMIT;

    if (call == CALL_DELIVER) {
        deliver(side, length);
    } else if (call == CALL_FAIL) {
        return;
    } else if (!writes || other->last - other->first < WIRE_MAX / 2) {
        end_call(&side->end, call, stream, length);
    }
}

/* What is no call: bytes in its length arrive. */
static void frame(void *user, const uint8_t *bytes, size_t length)
{
    struct pair *pair = user;

    deliver(&pair->sides[bytes[0] % 2], length);
}

static void start(struct pair *pair, unsigned index, unsigned setup)
{
    struct side *side = &pair->sides[index];
    struct end_watch watch = {emitted, fill, data, ended, side};
    struct mux_config config;

    end_config(&config, index ? MUX_CLIENT : MUX_SERVER);
    config.ping_interval_ms = 0;
    config.open_timeout_ms = 0;
    config.accept_timeout_ms = 0;
    config.preface_length = setup & 1;
    config.preface[0] = END_PREFACE;
    if (index && (setup & 2)) {
        config.recv_window = 1u << 20;
    }
    config.frame_payload_max = setup & 4 ? 1024 : 16384;
    side->pair = pair;
    side->index = index;
    side->first = side->last = 0;
    end_start(&side->end, &config, &watch);
}

/* Both read what they have, answer, and say that they are done. */
static void wind_up(struct pair *pair)
{
    for (unsigned rounds = 0; rounds < 8; rounds++) {
        for (unsigned i = 0; i < 2; i++) {
            struct side *side = &pair->sides[i];
            deliver(side, side->last - side->first);
            for (unsigned at = 0; at < 2 * END_STREAMS; at++) {
                uint32_t id = side->end.streams[at].id;
                if (id != 0) {
                    end_call(&side->end, CALL_CONSUME, id, UINT32_MAX);
                }
                if (id != 0 && side->end.streams[at].id == id && rounds >= 4) {
                    end_call(&side->end, CALL_FINISH, id, 0);
                } else if (id != 0 && side->end.streams[at].id == id) {
                    end_call(&side->end, CALL_READY, id, 0);
                }
            }
            end_flush(&side->end);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static struct pair pair;
    struct end_script script = {frame, call, &pair};
    if (length < INPUT_HEAD) {
        return 0;
    }
    memset(pair.courses, 0, sizeof pair.courses);
    pair.preface = bytes[0] & 1;
    start(&pair, 0, bytes[0]);
    start(&pair, 1, bytes[0]);
    end_play(&script,
             (struct input){bytes + INPUT_HEAD, length - INPUT_HEAD, 0});
    wind_up(&pair);
    for (unsigned i = 0; i < 2; i++) {
        MUST(mux_status(pair.sides[i].end.mux) == STATUS_OK);
        MUST(pair.sides[i].end.count == 0);
        MUST(pair.sides[i].first == pair.sides[i].last);
        end_stop(&pair.sides[i].end);
    }
    return 0;
}
