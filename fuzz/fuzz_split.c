/* The same frames and calls, cut in two ways: the same events with the same
 * bytes, and the same output (mux.h: "events do not depend on where").
 *
 * First byte: 1 client, 2 few useless frames, 4 a preface. Third: the cuts. */
#include <string.h>

#include "fuzz/end.h"

struct run {
    struct end end;
    size_t piece;
    uint64_t out;
};

static void emitted(void *user, const uint8_t *bytes, size_t length)
{
    struct run *run = user;

    input_hash(&run->out, bytes, length);
}

static void frame(void *user, const uint8_t *bytes, size_t length)
{
    struct run *run = user;
    struct input input = {bytes, length, run->piece};

    while (input.length > 0) {
        size_t piece = input_piece(&input);
        end_receive(&run->end, input.bytes, piece);
        input_take(&input, piece);
    }
}

static void call(void *user, enum call call, unsigned which, uint32_t stream,
                 uint32_t length)
{
    struct run *run = user;

    (void)which;
    end_call(&run->end, call, stream, length);
}

static void play(struct run *run, struct input input, unsigned setup)
{
    struct end_script script = {frame, call, run};
    struct end_watch watch = {.emitted = emitted, .user = run};
    struct mux_config config;

    end_config(&config, setup & 1 ? MUX_CLIENT : MUX_SERVER);
    config.useless_burst = setup & 2 ? 8 : config.useless_burst;
    config.preface_length = (setup & 4) != 0;
    run->piece = input.piece;
    end_start(&run->end, &config, &watch);
    end_play(&script, input);
    end_flush(&run->end);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static struct run whole;
    static struct run cut;
    if (length < INPUT_HEAD) {
        return 0;
    }
    struct input input = {bytes + INPUT_HEAD, length - INPUT_HEAD, 0};
    whole.out = cut.out = 0;
    play(&whole, input, bytes[0]);
    input.piece = bytes[2] ? bytes[2] : 1;
    play(&cut, input, bytes[0]);
    MUST(whole.end.log == cut.end.log && whole.out == cut.out);
    MUST(mux_status(whole.end.mux) == mux_status(cut.end.mux));
    const uint8_t *a = mux_offending_header(whole.end.mux);
    const uint8_t *b = mux_offending_header(cut.end.mux);
    MUST((a == NULL) == (b == NULL));
    MUST(a == NULL || memcmp(a, b, WIRE_HEADER_SIZE) == 0);
    MUST(memcmp(mux_counters(whole.end.mux), mux_counters(cut.end.mux),
                sizeof(struct mux_counters)) == 0);
    end_stop(&whole.end);
    end_stop(&cut.end);
    return 0;
}
