/* The transport over a pair of sockets. What reaches its link is what core/ws
 * and core/link, joined by hand, make of the same bytes; what it sends is a
 * WebSocket whose payload is whole yamux frames.
 *
 * First byte: 1 the WebSocket's client; 2 the input is yamux frames, and is put
 * into messages here; 4 the first piece came early, with the upgrade. Third:
 * the cuts. No stream is taken. */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz/harness.h"
#include "net/transport.h"

#define INPUT_MAX 1400u /* fewer frames than there is room for replies */
#define OUTPUT_MAX 65536u
#define TURNS_MAX 1000u

/* ---- by hand ------------------------------------------------------------- */

static struct link *make_link(void)
{
    static struct link_config config;

    link_config_default(&config, MUX_CLIENT);
    config.mux.ping_interval_ms = 0;
    config.mux.open_timeout_ms = 0;
    config.mux.accept_timeout_ms = 0;
    config.mux.useless_burst = 16;
    config.mux.useless_per_s = 0; /* the clock must not matter */
    config.mux.outbound_max = config.mux.inbound_max = 8;
    size_t size = link_size(&config);
    void *memory = calloc(1, size);
    MUST(memory);
    return link_init(memory, size, &config, 0);
}

static void feed(struct link *link, struct span data)
{
    struct link_event event;

    while (link_receive(link, 0, &data, &event)) {
        MUST(event.kind == LINK_OFFERED);
        link_refuse(link, event.conn);
    }
}

static void emit(struct link *link)
{
    uint8_t bytes[4096];

    while (link_emit(link, 0, bytes, sizeof bytes) > 0) {
    }
}

/* Piece by piece, as what was sent in between makes a difference: an id that
 * was refused may come again. False: the WebSocket ended. */
static bool by_hand(struct link *link, enum ws_role role, struct input input)
{
    struct ws_event event;
    bool open = true;
    struct ws ws;

    ws_init(&ws, role);
    while (open && input.length > 0) {
        size_t length = input_piece(&input);
        uint8_t *copy = input_copy(input.bytes, length);
        uint8_t *at = copy;
        input_take(&input, length);
        while (open && ws_receive(&ws, &at, &length, &event)) {
            open = event.kind == WS_DATA;
            if (open) {
                feed(link, event.data);
            }
        }
        emit(link);
        free(copy);
    }
    return open;
}

/* ---- over sockets -------------------------------------------------------- */

struct run {
    struct transport transport;
    struct loop *loop;
    int peer; /* the other end */
    bool ended;
    uint8_t output[OUTPUT_MAX];
    size_t output_length;
};

static void on_step(struct transport *transport)
{
    if (link_wants(transport_link(transport)) & LINK_IS_OVER) {
        transport_close(transport, WS_CLOSE_GOING_AWAY);
    }
}

static void on_ended(struct transport *transport)
{
    struct run *run = transport->user;

    MUST(!run->ended);
    run->ended = true;
}

static const struct transport_ops ops = {.step = on_step, .ended = on_ended};

/* Until nothing is left to do now. */
static void turn(struct run *run)
{
    uint64_t before;
    unsigned left = TURNS_MAX;

    do {
        const struct loop_counters *counters = loop_counters(run->loop);
        before = counters->events + counters->tasks;
        loop_run_once(run->loop, 0);
        ssize_t count =
            recv(run->peer, run->output + run->output_length,
                 sizeof run->output - run->output_length, MSG_DONTWAIT);
        run->output_length += count > 0 ? (size_t)count : 0;
        MUST(run->output_length < sizeof run->output && left-- > 0);
        before = counters->events + counters->tasks - before;
    } while (before > 0 && !run->ended);
}

static struct transport_pool *pool_of(struct loop **loop)
{
    static struct transport_config config;
    static struct transport_pool *pool;
    static struct loop *only;

    if (pool == NULL) {
        transport_config_default(&config);
        only = loop_create();
        MUST(only);
        pool =
            transport_pool_create(only, spill_pool_create(1u << 20), &config);
        MUST(pool);
    }
    *loop = only;
    return pool;
}

static void start(struct run *run, struct link *link, enum ws_role role,
                  struct input *input, bool early)
{
    struct span first = {input->bytes, 0};
    int fd[2];

    run->ended = false;
    run->output_length = 0;
    struct transport_pool *pool = pool_of(&run->loop);
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
                    fd) == 0);
    run->peer = fd[1];
    if (early) {
        first.length = input_piece(input);
        input_take(input, first.length);
    }
    memset(&run->transport, 0, sizeof run->transport);
    MUST(transport_open(&run->transport, pool, fd[0], NULL, role, link, first,
                        &ops, run));
    turn(run);
}

static void play(struct run *run, struct input input)
{
    while (input.length > 0 && !run->ended) {
        size_t length = input_piece(&input);
        if (send(run->peer, input.bytes, length, MSG_NOSIGNAL) < 0) {
            break; /* it has hung up */
        }
        input_take(&input, length);
        turn(run);
    }
}

static void stop(struct run *run)
{
    if (!run->ended) {
        transport_abort(&run->transport);
        turn(run);
    }
    MUST(run->ended);
    close(run->peer);
}

/* Whole frames, in messages of the right kind. */
static void judge_output(struct run *run, enum ws_role role)
{
    uint8_t *at = run->output;
    size_t length = run->output_length;
    struct wire_header header;
    struct ws_event event;
    struct ws ws;
    uint8_t frames[OUTPUT_MAX];
    size_t count = 0;

    ws_init(&ws, role == WS_CLIENT ? WS_SERVER : WS_CLIENT);
    while (ws_receive(&ws, &at, &length, &event)) {
        if (event.kind == WS_DATA) {
            memcpy(frames + count, event.data.bytes, event.data.length);
            count += event.data.length;
        } else {
            MUST(event.reason == NULL);
        }
    }
    for (size_t i = 0; i < count; i += WIRE_HEADER_SIZE) {
        MUST(count - i >= WIRE_HEADER_SIZE);
        MUST(wire_decode(&header, frames + i) == STATUS_OK);
        MUST(header.type != WIRE_DATA); /* no stream was taken */
    }
}

/* ---- both ---------------------------------------------------------------- */

static void compare(struct run *run, struct input input, enum ws_role role,
                    bool early)
{
    struct link *expected = make_link();
    struct link *link = make_link();
    bool open = by_hand(expected, role, input);

    start(run, link, role, &input, early);
    play(run, input);
    const struct mux_counters *a = link_counters(expected);
    const struct mux_counters *b = link_counters(link);
    MUST(a->frames_in == b->frames_in && a->data_bytes_in == b->data_bytes_in);
    MUST(a->streams_offered == b->streams_offered);
    MUST(a->streams_refused == b->streams_refused);
    MUST(a->useless_frames == b->useless_frames);
    enum status status = link_status(expected);
    MUST(link_status(link) ==
         (open || status != STATUS_OK ? status : STATUS_TRANSPORT_LOST));
    stop(run);
    judge_output(run, role);
    free(expected);
    free(link);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static struct run run;
    uint8_t wrapped[WS_HEADER_MAX + INPUT_MAX];
    if (length < INPUT_HEAD || length > INPUT_MAX) {
        return 0;
    }
    enum ws_role role = bytes[0] & 1 ? WS_CLIENT : WS_SERVER;
    struct input input = {bytes + INPUT_HEAD, length - INPUT_HEAD, bytes[2]};
    if (bytes[0] & 2) {
        static const uint8_t mask[4] = {1, 2, 3, 4};
        uint8_t *payload = wrapped + WS_HEADER_MAX;
        struct ws ws;
        ws_init(&ws, role == WS_CLIENT ? WS_SERVER : WS_CLIENT);
        memcpy(payload, input.bytes, input.length);
        size_t head = ws_wrap(&ws, payload, input.length,
                              role == WS_SERVER ? mask : NULL);
        input.bytes = payload - head;
        input.length += head;
    }
    compare(&run, input, role, bytes[0] & 4);
    return 0;
}
