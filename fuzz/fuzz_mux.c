/* A yamux session among bytes of a peer and calls of a user. The user's books
 * are in end.c; every frame that the session emits is judged by a reader that
 * shares no code with it (sim/legal.h).
 *
 * First byte: 1 client, 2 few useless frames, 4 a preface, 8 a larger window,
 * 16 no refusals, 32 short timeouts. Third: the cuts. */
#include <string.h>

#include "fuzz/end.h"
#include "sim/legal.h"

struct run {
    struct sim *sim;
    struct legal *legals, *legal;
    struct end end;
    struct input input;
    unsigned setup;
    size_t piece;
};

/* As the reader wants it: in a WebSocket message. */
static void tell(struct legal *legal, bool sent, const uint8_t *bytes,
                 size_t length, bool masked)
{
    uint8_t head[14] = {0x82, (uint8_t)(masked ? 0x80 : 0)};
    size_t extra = length < 126 ? 0 : length < 65536 ? 2 : 8;
    size_t size = 2 + extra + (masked ? 4u : 0u);

    head[1] |= (uint8_t)(extra == 0 ? length : extra == 2 ? 126 : 127);
    for (size_t i = 0; i < extra; i++) {
        head[1 + extra - i] = (uint8_t)(length >> 8 * i);
    }
    (sent ? legal_sent : legal_received)(legal, head, size);
    (sent ? legal_sent : legal_received)(legal, bytes, length);
}

static void emitted(void *user, const uint8_t *bytes, size_t length)
{
    struct run *run = user;

    tell(run->legal, true, bytes, length, run->setup & 1);
}

static void frame(void *user, const uint8_t *bytes, size_t length)
{
    struct run *run = user;
    struct input input = {bytes, length, run->piece};

    while (input.length > 0) {
        size_t piece = input_piece(&input);
        if (!run->end.failed) {
            tell(run->legal, false, input.bytes, piece, !(run->setup & 1));
        }
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

static void configure(struct mux_config *config, unsigned setup)
{
    end_config(config, setup & 1 ? MUX_CLIENT : MUX_SERVER);
    config->preface_length = (setup & 4) != 0;
    config->preface[0] = END_PREFACE;
    if (setup & 2) {
        config->useless_burst = 8;
        config->useless_per_s = 1;
    }
    if (setup & 8) {
        config->recv_window = 1u << 20;
        config->frame_payload_max = 262144;
    }
    if (setup & 16) {
        config->refused_max = 2;
    }
    if (setup & 32) {
        config->open_timeout_ms = 700;
        config->accept_timeout_ms = 900;
        config->ping_interval_ms = 300;
    }
}

static void body(void *user)
{
    struct run *run = user;
    struct end_script script = {frame, call, run};
    struct end_watch watch = {.emitted = emitted, .user = run};
    struct mux_config config;

    configure(&config, run->setup);
    struct legal_config legal = {.who = run->setup & 1 ? "the client"
                                                       : "the server",
                                 .is_server = !(run->setup & 1),
                                 .opens = true,
                                 .accepts = true,
                                 .preface = run->setup & 4 ? END_PREFACE : 0,
                                 .payload_max = config.frame_payload_max,
                                 .window = config.recv_window};
    run->legal = legal_new(&run->legals, run->sim, &legal);
    end_start(&run->end, &config, &watch);
    end_play(&script, run->input);
    end_flush(&run->end);
    if (run->end.failed) {
        MUST(mux_wants(run->end.mux) == MUX_IS_OVER);
    }
    end_stop(&run->end);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static struct run run;
    struct sim_config config = {.seed = 1};
    struct sim_failure failure;
    if (length < INPUT_HEAD) {
        return 0;
    }
    memset(&run, 0, sizeof run);
    run.input = (struct input){bytes + INPUT_HEAD, length - INPUT_HEAD, 0};
    run.setup = bytes[0];
    run.piece = bytes[2];
    run.sim = sim_new(&config);
    if (!sim_run(run.sim, body, &run, &failure)) {
        fprintf(stderr, "broken: %s: %s\n", failure.oracle, failure.message);
        abort();
    }
    sim_free(run.sim);
    return 0;
}
