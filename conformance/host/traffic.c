#include "conformance/host/traffic.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "conformance/host/engine.h"
#include "conformance/mutants/yamux.h"
#include "core/mux.h"

#define UNFINISHED_MAX 20u /* that are named */

void traffic_create(struct traffic *traffic, const struct plan_config *config,
                    unsigned jobs, struct yamux *yamux)
{
    struct plan *plans = calloc(config->streams, sizeof *plans);
    *traffic = (struct traffic){
        .run = {.config = config, .yamux = yamux},
        .jobs = jobs,
        .transfers = calloc(config->streams, sizeof *traffic->transfers),
    };
    if (plans == NULL || traffic->transfers == NULL) {
        fprintf(stderr, "out of memory\n");
        exit(1);
    }
    memcpy(traffic->run.unsupported, config->without, sizeof config->without);
    plan_make(config, plans);
    for (unsigned i = 0; i < config->streams; i++)
        traffic->transfers[i].plan = plans[i];
    free(plans);
    while (traffic->theirs < config->streams &&
           !plan_scripts[traffic->transfers[traffic->theirs].plan.kind].theirs)
        traffic->theirs++;
}

void traffic_destroy(struct traffic *traffic)
{
    free(traffic->transfers);
}

__attribute__((format(printf, 2, 3))) static void
say_wrong(struct traffic *traffic, const char *format, ...)
{
    va_list arguments;
    if (traffic->run.wrong[0] != '\0')
        return;
    va_start(arguments, format);
    vsnprintf(traffic->run.wrong, sizeof traffic->run.wrong, format, arguments);
    va_end(arguments);
}

/* ---- streams that they open ---- */

/* They can't: we open them. */
static void simplify_batch(struct traffic *traffic)
{
    for (unsigned i = 0; i < traffic->batch.count; i++)
        transfer_simplify(&traffic->transfers[traffic->batch.first + i],
                          &traffic->run);
    traffic->batch.count = 0;
}

/* room: for so many transfers. */
static void begin_batch(struct traffic *traffic, unsigned room)
{
    char command[PLAN_LINE_MAX];
    if (traffic->batch.count > 0 ||
        traffic->theirs == traffic->run.config->streams)
        return;
    const struct plan *plan = &traffic->transfers[traffic->theirs].plan;
    if (plan->left + 1 > room)
        return;
    traffic->batch.first = traffic->theirs;
    traffic->batch.count = plan->left + 1;
    traffic->batch.offered = 0;
    traffic->batch.answered = false;
    plan_open_command(traffic->run.config, plan, command);
    if (traffic->run.unsupported[plan->kind]) {
        traffic->theirs += traffic->batch.count;
        simplify_batch(traffic);
    } else if (ask_begin(&traffic->batch.ask, traffic->run.yamux, command,
                         traffic->run.now_ms)) {
        traffic->theirs += traffic->batch.count;
        traffic->run.opened++;
    } else {
        traffic->batch.count = 0;
    }
}

static void judge_batch(struct traffic *traffic)
{
    char right[ASK_ANSWER_MAX];
    const char *answer = traffic->batch.ask.answer;
    snprintf(right, sizeof right, "opened %u", traffic->batch.count);
    traffic->batch.answered = true;
    if (strcmp(answer, "unsupported") == 0 && traffic->batch.offered == 0)
        simplify_batch(traffic);
    else if (strcmp(answer, right) != 0)
        say_wrong(traffic, "they answer '%s' to the command of stream %u",
                  answer, traffic->batch.first);
}

static void continue_batch(struct traffic *traffic)
{
    if (traffic->batch.count == 0)
        return;
    if (traffic->batch.ask.stream != NULL) {
        switch (ask_continue(&traffic->batch.ask, &traffic->run.consumed)) {
        case ASK_WAITS:
            break;
        case ASK_IS_ANSWERED:
            judge_batch(traffic);
            break;
        case ASK_IS_BROKEN:
            say_wrong(traffic, "the command to open stream %u has no answer",
                      traffic->batch.first);
            break;
        }
    }
    if (traffic->batch.answered &&
        traffic->batch.offered == traffic->batch.count)
        traffic->batch.count = traffic->batch.offered = 0;
}

static struct yamux_stream *next_offered(struct traffic *traffic)
{
    struct yamux_stream *stream = yamux_next(traffic->run.yamux, NULL);
    while (stream != NULL &&
           (!yamux_is_inbound(stream) || *yamux_task(stream) != NULL))
        stream = yamux_next(traffic->run.yamux, stream);
    return stream;
}

static void take_offered(struct traffic *traffic)
{
    struct yamux_stream *stream;
    while ((stream = next_offered(traffic)) != NULL) {
        if (traffic->batch.offered == traffic->batch.count) {
            say_wrong(traffic, "they open a stream that nobody asked for");
            return;
        }
        struct transfer *transfer =
            &traffic->transfers[traffic->batch.first + traffic->batch.offered];
        traffic->batch.offered++;
        traffic->offered++;
        *yamux_task(stream) = transfer;
        transfer_accept(transfer, &traffic->run, stream);
    }
}

/* ---- its turn ---- */

static bool is_begun(const struct transfer *transfer)
{
    return transfer->state == TRANSFER_RUNS || transfer->state == TRANSFER_ASKS;
}

/* Half of the room is theirs, as long as there are some that they open. */
static void begin_some(struct traffic *traffic, unsigned running)
{
    unsigned streams = traffic->run.config->streams;
    unsigned jobs = traffic->jobs;
    if (traffic->theirs < streams)
        jobs -= jobs / 2;
    for (unsigned i = 0; i < streams && running < jobs; i++) {
        struct transfer *transfer = &traffic->transfers[i];
        if (transfer->state != TRANSFER_WAITS ||
            plan_scripts[transfer->plan.kind].theirs)
            continue;
        if (!transfer_open(transfer, &traffic->run))
            return;
        running++;
    }
}

/* Streams that they have been told to open. */
static unsigned awaited(const struct traffic *traffic)
{
    return traffic->batch.count - traffic->batch.offered;
}

/* Nothing goes on but what waits for others. */
static bool is_idle(const struct traffic *traffic)
{
    for (unsigned i = 0; i < traffic->run.config->streams; i++) {
        const struct transfer *transfer = &traffic->transfers[i];
        if (is_begun(transfer) && !transfer_is_gated(transfer))
            return false;
    }
    return awaited(traffic) == 0;
}

void traffic_step(struct traffic *traffic, uint64_t now_ms)
{
    struct transfer_run *run = &traffic->run;
    unsigned streams = run->config->streams;
    enum status status = mux_status(engine_mux(run->yamux));
    if (status != STATUS_OK)
        say_wrong(traffic, "the session has ended: %s", status_text(status));
    run->now_ms = now_ms;
    run->more = false;
    run->held = 0;
    continue_batch(traffic);
    take_offered(traffic);
    unsigned running = awaited(traffic);
    for (unsigned i = 0; i < streams; i++)
        running += is_begun(&traffic->transfers[i]);
    if (running < traffic->jobs)
        begin_batch(traffic, traffic->jobs - running);
    begin_some(traffic, running);
    run->idle = is_idle(traffic);
    for (unsigned i = 0; i < streams; i++)
        transfer_step(&traffic->transfers[i], run);
    if (run->held > run->held_max)
        run->held_max = run->held;
}

bool traffic_is_done(const struct traffic *traffic)
{
    return traffic->run.ended == traffic->run.config->streams &&
           traffic->batch.count == 0;
}

/* ---- the books ---- */

static void compare(struct traffic *traffic, const char *what, uint64_t is,
                    uint64_t should)
{
    if (is != should)
        say_wrong(traffic, "our engine: %s: %" PRIu64 ", should be %" PRIu64,
                  what, is, should);
}

void traffic_audit(struct traffic *traffic)
{
    const struct mux *mux = engine_mux(traffic->run.yamux);
    const struct mux_counters *counters = mux_counters(mux);
    mux_invariant(mux);
    if (mux_status(mux) != STATUS_OK)
        say_wrong(traffic, "the session has ended: %s",
                  status_text(mux_status(mux)));
    compare(traffic, "streams left", mux_stream_count(mux), 0);
    compare(traffic, "streams opened", counters->streams_opened,
            traffic->run.opened);
    compare(traffic, "streams offered", counters->streams_offered,
            traffic->offered);
    compare(traffic, "streams refused", counters->streams_refused, 0);
    compare(traffic, "frames out", counters->frames_out, traffic->frames.count);
    compare(traffic, "data bytes out", counters->data_bytes_out,
            traffic->frames.payload);
}

static void print_kind(const struct traffic *traffic, FILE *file,
                       enum plan_kind kind)
{
    uint64_t out = 0;
    uint64_t in = 0;
    unsigned count = 0;
    for (unsigned i = 0; i < traffic->run.config->streams; i++) {
        const struct transfer *transfer = &traffic->transfers[i];
        if (transfer->plan.kind != kind)
            continue;
        count++;
        out += transfer->put;
        in += transfer->got;
    }
    if (count > 0 || traffic->run.unsupported[kind])
        fprintf(file,
                "%-12s %4u streams %10" PRIu64 " out %10" PRIu64 " in%s\n",
                plan_scripts[kind].name, count, out, in,
                traffic->run.unsupported[kind] ? "  (echo instead)" : "");
}

void traffic_print(const struct traffic *traffic, FILE *file)
{
    const struct transfer_run *run = &traffic->run;
    const struct mux_counters *counters = mux_counters(engine_mux(run->yamux));
    for (unsigned kind = 0; kind < PLAN_KINDS; kind++)
        print_kind(traffic, file, (enum plan_kind)kind);
    fprintf(file,
            "held %zu bytes at most; frames: %" PRIu64 " out, %" PRIu64
            " in, of these useless %" PRIu64 ", for no stream %" PRIu64 "\n",
            run->held_max, counters->frames_out, counters->frames_in,
            counters->useless_frames, counters->unknown_stream_frames);
    fprintf(file,
            "%u streams, %" PRIu64 " bytes out, %" PRIu64
            " in, halves: %u ours, %u theirs, resets: %u ours, %u theirs, "
            "hashes equal\n",
            run->ended, run->written, run->read, run->our_halves,
            run->their_halves, run->our_resets, run->their_resets);
}

void traffic_print_unfinished(const struct traffic *traffic, FILE *file)
{
    unsigned printed = 0;
    if (traffic->batch.count > 0)
        fprintf(file,
                "  their streams from %u on: %u of %u came, answer '%s'\n",
                traffic->batch.first, traffic->batch.offered,
                traffic->batch.count, traffic->batch.ask.answer);
    for (unsigned i = 0; i < traffic->run.config->streams; i++) {
        char text[TRANSFER_WRONG_MAX];
        if (!is_begun(&traffic->transfers[i]) || printed++ >= UNFINISHED_MAX)
            continue;
        transfer_describe(&traffic->transfers[i], text, sizeof text);
        fprintf(file, "  %s\n", text);
    }
}
