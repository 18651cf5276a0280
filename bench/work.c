/* work: what the core alone does, again and again: bench/engine measures its
 * time, bench/growth and bench/budget count its instructions.
 *
 *   work NAME SIZE [COUNT]    one line of JSON; without arguments: the names
 *
 * SIZE is how many streams or agents there are, COUNT how often they have
 * something to do. Only measured() counts: what is before it is set-up. */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/contract.h"
#include "core/filter.h"
#include "core/hub.h"

#define WRITE 65536u /* of the application (P-09) */
#define PIPE 262144u
#define FRAME 16384u
#define WINDOW WIRE_WINDOW_INITIAL
#define IDLE_MS 5000u

static uint64_t allocations;

/* The linker puts these in the place of the library's (--wrap). */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

void *__wrap_malloc(size_t size)
{
    allocations++;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    allocations++;
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    allocations++;
    return __real_realloc(memory, size);
}

_Noreturn void contract_failed(const char *kind, const char *expression,
                               const char *file, int line)
{
    fprintf(stderr, "%s:%d: %s failed: %s\n", file, line, kind, expression);
    abort();
}

static void *zeroed(size_t size)
{
    void *memory = calloc(1, size);

    if (memory == NULL) {
        fprintf(stderr, "work: no memory\n");
        exit(1);
    }
    return memory;
}

struct task {
    uint32_t size, count;
    /* set by prepare(), used by run() */
    struct mux *client, *server;
    struct link *link;
    uint32_t *conns;
    struct hub *hub;
    struct agent **agents;
    struct filter filter;
    uint64_t now_ms;
    uint64_t bytes, frames, events; /* what was done */
};

/* Half a page apart: the string moves of some processors take sixteen times as
 * long to where the target is at most 15 bytes beyond the source, pages aside.
 * A header of 12 bytes makes it that, if both begin with a page. */
static _Alignas(4096) uint8_t arena[PIPE + 2048 + WRITE];
static uint8_t *const pipe_bytes = arena, *const text = arena + PIPE + 2048;
static uint8_t head[64];

/* ---- two ends ------------------------------------------------------------ */

static struct mux *end_of(enum mux_role role, uint32_t streams)
{
    struct mux_config config;

    mux_config_default(&config, role);
    config.outbound_max = config.inbound_max = streams;
    config.unacked_max = streams;
    config.useless_burst = UINT32_MAX;
    return mux_init(zeroed(mux_size(&config)), mux_size(&config), &config, 0);
}

/* Bytes for one end: its streams are accepted, what it is told consumed. */
static void take(struct task *task, struct mux *mux, const uint8_t *bytes,
                 size_t length)
{
    struct span input = {bytes, length};
    struct mux_event event;

    while (mux_receive(mux, task->now_ms, &input, &event)) {
        task->events++;
        if (event.kind == MUX_STREAM_OFFERED) {
            mux_accept(mux, event.stream, NULL);
        } else if (event.kind == MUX_STREAM_DATA) {
            task->bytes += event.data.length;
            mux_consume(mux, event.stream, event.data.length);
        } else if (event.kind == MUX_STREAM_FINISHED) {
            (void)mux_finish(mux, event.stream);
        }
    }
}

static void carry_control(struct task *task, struct mux *from, struct mux *to)
{
    take(task, to, pipe_bytes,
         mux_emit_control(from, task->now_ms, pipe_bytes, PIPE));
}

/* Frames of from, as many as the pipe holds. The application's text is copied
 * into them, or in_place already, as what recv() has put there. */
static void carry(struct task *task, struct mux *from, struct mux *to,
                  bool in_place)
{
    size_t length = mux_emit_control(from, task->now_ms, pipe_bytes, PIPE);
    struct mux_sender sender;

    while (PIPE - length > WIRE_HEADER_SIZE + FRAME &&
           mux_next_sender(from, &sender)) {
        size_t room = PIPE - length - WIRE_HEADER_SIZE;
        size_t part = sender.quota < WRITE ? sender.quota : WRITE;
        part = part < room ? part : room;
        if (!in_place) {
            memcpy(pipe_bytes + length + WIRE_HEADER_SIZE, text, part);
        }
        length += mux_emit_data(from, sender.stream, pipe_bytes + length, part);
    }
    take(task, to, pipe_bytes, length);
}

/* size streams, all of them with bytes; count: MiB in all. */
static void prepare_pair(struct task *task)
{
    task->client = end_of(MUX_CLIENT, task->size);
    task->server = end_of(MUX_SERVER, task->size);
    for (uint32_t i = 0; i < task->size; i++) {
        uint32_t id;
        REQUIRE(mux_open(task->client, 0, NULL, &id) == STATUS_OK);
        mux_ready(task->client, id, true);
        carry_control(task, task->client, task->server);
        carry_control(task, task->server, task->client);
    }
    task->bytes = 0;
}

static void exchange(struct task *task, bool in_place)
{
    uint64_t end = (uint64_t)task->count << 20;

    while (task->bytes < end) {
        carry(task, task->client, task->server, in_place);
        carry_control(task, task->server, task->client);
    }
    task->frames = mux_counters(task->client)->frames_out +
                   mux_counters(task->server)->frames_out;
}

static void run_pair(struct task *task)
{
    exchange(task, false);
}

static void run_in_place(struct task *task)
{
    exchange(task, true);
}

/* No multiplexer: the copies of run_pair() alone. */
static void run_copy(struct task *task)
{
    uint64_t end = (uint64_t)task->count << 20;

    while (task->bytes < end) {
        memcpy(pipe_bytes + task->bytes % PIPE, text, WRITE);
        task->bytes += WRITE;
    }
}

/* ---- one end ------------------------------------------------------------- */

static size_t put(uint8_t *bytes, enum wire_type type, unsigned flags,
                  uint32_t stream, uint32_t length)
{
    const struct wire_header header = {.type = (uint8_t)type,
                                       .flags = (uint16_t)flags,
                                       .stream = stream,
                                       .length = length};

    wire_encode(bytes, &header);
    return WIRE_HEADER_SIZE;
}

static void hear(struct task *task, enum wire_type type, unsigned flags,
                 uint32_t stream, uint32_t length)
{
    take(task, task->server, head, put(head, type, flags, stream, length));
}

/* size streams that the peer has opened. */
static void prepare_end(struct task *task)
{
    task->server = end_of(MUX_SERVER, task->size);
    for (uint32_t i = 0; i < task->size; i++) {
        hear(task, WIRE_WINDOW_UPDATE, WIRE_SYN, 2 * i + 1, 0);
        (void)mux_emit_control(task->server, 0, pipe_bytes, PIPE);
    }
}

/* Each stream in turn receives a full frame; credit goes back. */
static void run_in(struct task *task)
{
    for (uint32_t round = 0; round < task->count; round++) {
        for (uint32_t i = 0; i < task->size; i++) {
            hear(task, WIRE_DATA, 0, 2 * i + 1, FRAME);
            take(task, task->server, text, FRAME);
        }
        (void)mux_emit_control(task->server, 0, pipe_bytes, PIPE);
    }
}

/* Each stream is granted a frame's worth, and sends it. */
static void run_out(struct task *task)
{
    struct mux_sender sender;

    for (uint32_t i = 0; i < task->size; i++) {
        mux_ready(task->server, 2 * i + 1, true);
    }
    for (uint32_t round = 0; round < task->count; round++) {
        for (uint32_t i = 0; i < task->size; i++) {
            hear(task, WIRE_WINDOW_UPDATE, 0, 2 * i + 1, FRAME);
            REQUIRE(mux_next_sender(task->server, &sender));
            task->bytes += mux_emit_data(task->server, sender.stream,
                                         pipe_bytes, sender.quota);
        }
    }
}

/* Pings and window updates of an otherwise idle peer; time passes. */
static void run_control(struct task *task)
{
    struct mux_event event;

    for (uint32_t round = 0; round < task->count; round++) {
        for (uint32_t i = 0; i < task->size; i++) {
            hear(task, WIRE_WINDOW_UPDATE, 0, 2 * i + 1, 1);
        }
        hear(task, WIRE_PING, WIRE_SYN, 0, round);
        (void)mux_emit_control(task->server, task->now_ms, pipe_bytes, PIPE);
        task->now_ms += IDLE_MS;
        REQUIRE(!mux_tick(task->server, task->now_ms, &event));
    }
}

/* size streams are open, and count more come, say a word each way, and go. */
static void run_short(struct task *task)
{
    struct mux_sender sender;
    uint32_t id;

    for (uint32_t round = 0; round < task->count; round++) {
        REQUIRE(mux_open(task->server, 0, NULL, &id) == STATUS_OK);
        mux_ready(task->server, id, true);
        (void)mux_emit_control(task->server, 0, pipe_bytes, PIPE);
        REQUIRE(mux_next_sender(task->server, &sender));
        (void)mux_emit_data(task->server, id, pipe_bytes, 100);
        hear(task, WIRE_WINDOW_UPDATE, WIRE_ACK, id, 0);
        hear(task, WIRE_DATA, 0, id, 100);
        take(task, task->server, text, 100);
        hear(task, WIRE_WINDOW_UPDATE, WIRE_FIN, id, 0);
        (void)mux_emit_control(task->server, 0, pipe_bytes, PIPE);
        REQUIRE(!mux_is_live(task->server, id));
    }
}

static void prepare_short(struct task *task)
{
    task->size++; /* room for the one that comes */
    prepare_end(task);
    task->size--;
    mux_reset(task->server, 2 * task->size + 1);
    (void)mux_emit_control(task->server, 0, pipe_bytes, PIPE);
}

/* ---- a link -------------------------------------------------------------- */

/* size connections of an agent; each gets bytes and has some to send. */
static void prepare_link(struct task *task)
{
    struct link_config config;
    struct link_event event;
    struct link_change change;

    link_config_default(&config, MUX_CLIENT);
    config.mux.inbound_max = task->size;
    config.mux.outbound_max = 0;
    config.mux.useless_burst = UINT32_MAX;
    task->link =
        link_init(zeroed(link_size(&config)), link_size(&config), &config, 0);
    task->conns = zeroed(task->size * sizeof *task->conns);
    for (uint32_t i = 0; i < task->size; i++) {
        struct span input = {
            head, put(head, WIRE_WINDOW_UPDATE, WIRE_SYN, 2 * i + 2, 0)};
        REQUIRE(link_receive(task->link, 0, &input, &event));
        task->conns[i] = event.conn;
        link_accept(task->link, event.conn, NULL);
        (void)link_emit(task->link, 0, pipe_bytes, PIPE);
    }
    while (link_next_change(task->link, &change)) {
    }
}

static void run_link(struct task *task)
{
    struct link_event event;
    struct link_change change;
    struct link_read read;

    for (uint32_t round = 0; round < task->count; round++) {
        for (uint32_t i = 0; i < task->size; i++) {
            struct span input = {head,
                                 put(head, WIRE_DATA, 0, 2 * i + 2, 20) + 20};
            REQUIRE(link_receive(task->link, 0, &input, &event));
            link_written(task->link, event.conn, event.data.length);
            link_readable(task->link, task->conns[i]);
            REQUIRE(link_next_read(task->link, &read));
            (void)link_emit_data(task->link, read.conn, pipe_bytes, 20);
            input = (struct span){
                head, put(head, WIRE_WINDOW_UPDATE, 0, 2 * i + 2, 20)};
            REQUIRE(!link_receive(task->link, 0, &input, &event));
            link_drained(task->link, task->conns[i]);
            while (link_next_change(task->link, &change)) {
                task->events++;
            }
        }
        (void)link_emit(task->link, 0, pipe_bytes, PIPE);
    }
}

/* ---- a server ------------------------------------------------------------ */

static void prepare_agents(struct task *task)
{
    struct hub_config hub = {.agents_max = task->size, .hash_key = {1, 2}};

    task->hub = hub_init(zeroed(hub_size(&hub)), hub_size(&hub), &hub);
    task->agents = zeroed(task->size * sizeof(struct agent *));
    for (uint32_t i = 0; i < task->size; i++) {
        struct agent_config config;
        agent_config_default(&config);
        config.link.mux.outbound_max = 16;
        memcpy(config.uuid, &i, sizeof i);
        task->agents[i] = agent_init(zeroed(agent_size(&config)),
                                     agent_size(&config), &config, 0);
    }
}

/* Bytes for an agent, and what follows in its turn of the loop. */
static void agent_turn(struct task *task, struct agent *agent, size_t length)
{
    struct span input = {head, length};
    struct link_event event;
    struct link_change change;

    while (link_receive(agent_link(agent), task->now_ms, &input, &event)) {
        link_written(agent_link(agent), event.conn, event.data.length);
    }
    (void)link_emit(agent_link(agent), task->now_ms, pipe_bytes, PIPE);
    while (link_next_change(agent_link(agent), &change)) {
        if ((change.wants & (CONN_WANTS_CLOSE | CONN_WANTS_RESET)) != 0) {
            link_closed(agent_link(agent), change.conn);
        }
    }
    agent_step(agent, task->now_ms);
    hub_step(task->hub, agent);
    task->events++;
}

/* A client comes, is answered, and goes. */
static void agent_serves(struct task *task, struct agent *agent, uint32_t id)
{
    uint32_t conn;

    REQUIRE(agent_open(agent, task->now_ms, NULL, &conn) == STATUS_OK);
    agent_turn(task, agent, put(head, WIRE_PING, WIRE_SYN, 0, id));
    size_t length = put(head, WIRE_WINDOW_UPDATE, WIRE_ACK, id, 0);
    length += put(head + length, WIRE_DATA, 0, id, 4) + 4;
    length += put(head + length, WIRE_WINDOW_UPDATE, WIRE_FIN, id, 0);
    agent_turn(task, agent, length);
    link_finished(agent_link(agent), conn);
    agent_turn(task, agent, put(head, WIRE_PING, WIRE_SYN, 0, id));
    REQUIRE(link_conn_count(agent_link(agent)) == 0);
}

/* Each agent comes, serves count clients, is looked for, idles, and goes. */
static void run_agents(struct task *task)
{
    for (uint32_t i = 0; i < task->size; i++) {
        REQUIRE(hub_admit(task->hub, task->agents[i]) == STATUS_OK);
        REQUIRE(agent_listen(task->agents[i]) == STATUS_OK);
        REQUIRE(agent_listening(task->agents[i], 1));
    }
    for (uint32_t round = 0; round < task->count; round++) {
        task->now_ms += IDLE_MS / 2;
        for (uint32_t i = 0; i < task->size; i++) {
            struct agent *agent =
                hub_find(task->hub, agent_uuid(task->agents[i]));
            agent_serves(task, agent, 2 * round + 2);
            agent_tick(agent, task->now_ms);
        }
    }
    for (uint32_t i = 0; i < task->size; i++) {
        struct agent *agent = task->agents[i];
        agent_close(agent, STATUS_SHUT_DOWN);
        agent_unlistened(agent);
        agent_hung_up(agent);
        agent_step(agent, task->now_ms);
        hub_step(task->hub, agent);
        hub_release(task->hub, agent);
    }
}

/* ---- the policy ---------------------------------------------------------- */

static const char request[] =
    "GET /v1.41/containers/json?all=1&filters=%7B%22status%22%3A%5B%22running"
    "%22%5D%7D HTTP/1.1\r\nHost: localhost\r\nUser-Agent: Docker-Client/24.0.5 "
    "(linux)\r\nAccept: application/json\r\nX-Registry-Auth: e30=\r\n\r\n";
static const char refused[] =
    "POST /v1.41/containers/web/stop HTTP/1.1\r\nHost: localhost\r\n"
    "Content-Length: 0\r\n\r\n";
static const char answer[] =
    "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Type: application/json\r\n"
    "Date: Sat, 01 Jan 2022 00:00:00 GMT\r\nContent-Length: 2\r\n\r\n[]";

static void prepare_policy(struct task *task)
{
    struct filter_config config;
    static uint8_t buffer[FILTER_BUFFER_SIZE(FILTER_HEAD_MAX_DEFAULT)];

    filter_config_default(&config);
    filter_init(&task->filter, &config);
    filter_lend(&task->filter, buffer);
}

static void ask(struct task *task, const char *bytes, size_t length)
{
    struct filter_decision decision;

    REQUIRE(filter_from_client(&task->filter, (const uint8_t *)bytes, length) ==
            length);
    REQUIRE(filter_next_decision(&task->filter, &decision));
    if ((filter_wants(&task->filter) & FILTER_WANTS_ENGINE) != 0) {
        filter_engine_opened(&task->filter);
    }
    if (decision.allowed) {
        filter_sent_to_engine(&task->filter,
                              filter_to_engine(&task->filter).length);
        (void)filter_from_engine(&task->filter, (const uint8_t *)answer,
                                 sizeof answer - 1);
    }
    filter_sent_to_client(&task->filter,
                          filter_to_client(&task->filter).length);
    task->events++;
}

static void run_policy(struct task *task)
{
    for (uint32_t round = 0; round < task->count; round++) {
        ask(task, request, sizeof request - 1);
        ask(task, refused, sizeof refused - 1);
    }
}

/* ---- main ---------------------------------------------------------------- */

static const struct work {
    const char *name;
    void (*prepare)(struct task *task);
    void (*run)(struct task *task);
} works[] = {
    {"pair", prepare_pair, run_pair},
    {"pair-in-place", prepare_pair, run_in_place},
    {"copy", prepare_pair, run_copy},
    {"bulk-in", prepare_end, run_in},
    {"bulk-out", prepare_end, run_out},
    {"control", prepare_end, run_control},
    {"short-streams", prepare_short, run_short},
    {"link", prepare_link, run_link},
    {"agents", prepare_agents, run_agents},
    {"policy", prepare_policy, run_policy},
};

#define WORKS (sizeof works / sizeof *works)

static double cpu_s(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The name that callgrind is told to collect in. */
__attribute__((noinline)) void measured(const struct work *work,
                                        struct task *task);
void measured(const struct work *work, struct task *task)
{
    work->run(task);
}

static int run(const struct work *work, struct task *task)
{
    work->prepare(task);
    uint64_t before = allocations;
    double begun = cpu_s();

    measured(work, task);
    double spent = cpu_s() - begun;
    printf("{\"work\": \"%s\", \"size\": %" PRIu32 ", \"count\": %" PRIu32
           ", \"bytes\": %" PRIu64 ", \"frames\": %" PRIu64
           ", \"events\": %" PRIu64 ", \"cpu_s\": %.6f, \"allocations\": "
           "%" PRIu64 "}\n",
           work->name, task->size, task->count, task->bytes, task->frames,
           task->events, spent, allocations - before);
    return 0;
}

int main(int argc, char **argv)
{
    struct task task = {.size = 1, .count = 1};

    for (size_t i = 0; i < WORKS && argc >= 3; i++) {
        if (strcmp(argv[1], works[i].name) == 0) {
            task.size = (uint32_t)strtoul(argv[2], NULL, 10);
            task.count = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 1;
            return run(&works[i], &task);
        }
    }
    for (size_t i = 0; i < WORKS; i++) {
        printf("%s\n", works[i].name);
    }
    return argc == 1 ? 0 : 2;
}
