#include "conformance/host/transfer.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conformance/host/payload.h"
#include "conformance/mutants/yamux.h"
#include "core/wire.h"

#define PIECE 16384u
#define SLOW_PIECE 4096u
#define UNSENT_MAX 65536u /* written, and not on its way yet */
#define LATE_ENDINGS 40u  /* so many others end before a late one is read */
#define ASK_AGAIN_MS 20u
#define UNKNOWN_MAX 20u /* answers, until a reset stream was never seen */

static const char refusal[] = "unsupported\n";

static const struct plan_script *script(const struct transfer *transfer)
{
    return &plan_scripts[transfer->plan.kind];
}

/* Bytes that are to come. */
static uint64_t expected(const struct transfer *transfer)
{
    return transfer->plan.pattern +
           (script(transfer)->echoes ? transfer->plan.body : 0);
}

void transfer_describe(const struct transfer *transfer, char *text, size_t size)
{
    static const char *const states[] = {
        [TRANSFER_WAITS] = ", not begun",
        [TRANSFER_RUNS] = "",
        [TRANSFER_ASKS] = ", its report is awaited",
        [TRANSFER_ENDED] = ", ended",
    };
    snprintf(text, size,
             "stream %u, %s: %" PRIu64 " of %" PRIu64 " bytes out, %" PRIu64
             " of %" PRIu64 " in%s",
             transfer->plan.number, script(transfer)->name, transfer->put,
             transfer->plan.body, transfer->got, expected(transfer),
             states[transfer->state]);
}

__attribute__((format(printf, 3, 4))) static void
say_wrong(struct transfer *transfer, struct transfer_run *run,
          const char *format, ...)
{
    if (run->wrong[0] != '\0')
        return;
    transfer_describe(transfer, run->wrong, sizeof run->wrong / 2);
    size_t length = strlen(run->wrong);
    length += (size_t)snprintf(run->wrong + length, 3, ": ");
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(run->wrong + length, sizeof run->wrong - length, format,
              arguments);
    va_end(arguments);
}

/* ---- beginning and end ---- */

static void begin(struct transfer *transfer, struct transfer_run *run)
{
    transfer->state = TRANSFER_RUNS;
    transfer->ended_before = run->ended;
    transfer->put_hash = PAYLOAD_HASH_START;
    transfer->got_hash = PAYLOAD_HASH_START;
    run->more = true;
}

bool transfer_open(struct transfer *transfer, struct transfer_run *run)
{
    if (run->unsupported[transfer->plan.kind])
        plan_simplify(run->config, &transfer->plan);
    switch (yamux_open(run->yamux, &transfer->stream, run->now_ms)) {
    case YAMUX_WAIT:
        return false;
    case YAMUX_REFUSED:
        say_wrong(transfer, run, "no stream can be opened");
        return false;
    case YAMUX_OPENED:
        break;
    }
    run->opened++;
    begin(transfer, run);
    plan_command(run->config, &transfer->plan, transfer->command);
    yamux_write(transfer->stream, (const uint8_t *)transfer->command,
                strlen(transfer->command));
    return true;
}

void transfer_accept(struct transfer *transfer, struct transfer_run *run,
                     struct yamux_stream *stream)
{
    transfer->stream = stream;
    yamux_accept(stream);
    begin(transfer, run);
}

static void end(struct transfer *transfer, struct transfer_run *run)
{
    if (transfer->stream != NULL)
        yamux_release(transfer->stream);
    transfer->stream = NULL;
    run->more = true;
    if (transfer->state == TRANSFER_RUNS && script(transfer)->asks) {
        transfer->state = TRANSFER_ASKS;
        return;
    }
    transfer->state = TRANSFER_ENDED;
    run->ended++;
}

void transfer_simplify(struct transfer *transfer, struct transfer_run *run)
{
    run->unsupported[transfer->plan.kind] = true;
    if (transfer->stream != NULL)
        yamux_release(transfer->stream);
    struct plan plan = transfer->plan;
    plan_simplify(run->config, &plan);
    *transfer = (struct transfer){.plan = plan};
    run->more = true;
}

bool transfer_is_gated(const struct transfer *transfer)
{
    return transfer->state == TRANSFER_RUNS && !transfer->gate_open &&
           (script(transfer)->pace == PLAN_LATELY ||
            script(transfer)->cut == PLAN_CUT_LATELY);
}

static void open_gate(struct transfer *transfer, const struct transfer_run *run)
{
    if (run->idle || run->ended >= transfer->ended_before + LATE_ENDINGS)
        transfer->gate_open = true;
}

/* ---- out ---- */

static void write_some(struct transfer *transfer, struct transfer_run *run)
{
    struct yamux_stream *stream = transfer->stream;
    uint8_t bytes[PIECE];
    if (transfer->finished || yamux_is_done(stream) ||
        (script(transfer)->last && !transfer->input_ended))
        return;
    uint64_t left = transfer->plan.body - transfer->put;
    while (left > 0 && yamux_unsent(stream) < UNSENT_MAX) {
        size_t size = left < PIECE ? (size_t)left : PIECE;
        payload_keyed(transfer->plan.key, transfer->put, bytes, size);
        yamux_write(stream, bytes, size);
        transfer->put_hash = payload_hash(transfer->put_hash, bytes, size);
        transfer->put += size;
        run->written += size;
        left -= size;
    }
    if (left > 0 || script(transfer)->cut != PLAN_NEVER ||
        (script(transfer)->waits && transfer->got < expected(transfer)))
        return;
    if (transfer->input_ended)
        run->their_halves++;
    else
        run->our_halves++;
    yamux_finish(stream);
    transfer->finished = true;
}

static bool is_to_be_cut(const struct transfer *transfer)
{
    switch (script(transfer)->cut) {
    case PLAN_NEVER:
        return false;
    case PLAN_CUT_READ:
        return transfer->got >= transfer->plan.cut;
    case PLAN_CUT_WRITTEN:
        return transfer->put >=
               transfer->plan.cut + yamux_unsent(transfer->stream);
    case PLAN_CUT_LATELY:
        return transfer->gate_open;
    }
    return false;
}

/* ---- in ---- */

static void fill(const struct transfer *transfer, uint8_t *bytes, size_t length)
{
    uint64_t pattern = transfer->plan.pattern;
    size_t first = 0;
    if (transfer->got < pattern) {
        uint64_t left = pattern - transfer->got;
        first = left < length ? (size_t)left : length;
        payload_pattern(transfer->got, bytes, first);
    }
    if (first < length)
        payload_keyed(transfer->plan.key, transfer->got + first - pattern,
                      bytes + first, length - first);
}

/* Where the two differ first; length if they don't. */
static size_t difference(const uint8_t *one, const uint8_t *other,
                         size_t length)
{
    size_t at = 0;
    if (memcmp(one, other, length) == 0)
        return length;
    while (one[at] == other[at])
        at++;
    return at;
}

static bool is_right(struct transfer *transfer, struct transfer_run *run,
                     const uint8_t *bytes, size_t length)
{
    uint8_t right[PIECE];
    if (length > expected(transfer) - transfer->got) {
        say_wrong(transfer, run, "%zu bytes came that nobody sent",
                  length - (size_t)(expected(transfer) - transfer->got));
        return false;
    }
    fill(transfer, right, length);
    size_t at = difference(bytes, right, length);
    if (at < length) {
        say_wrong(transfer, run, "byte %" PRIu64 " is 0x%02x, should be 0x%02x",
                  transfer->got + at, bytes[at], right[at]);
        return false;
    }
    return true;
}

/* The first bytes are no data, but the answer to an unknown command? */
static bool is_refused(const struct transfer *transfer, const uint8_t *bytes,
                       size_t length)
{
    return transfer->got == 0 && transfer->command[0] != '\0' &&
           length == strlen(refusal) && memcmp(bytes, refusal, length) == 0;
}

/* Hash of what should be equal to what we wrote. */
static void count(struct transfer *transfer, struct transfer_run *run,
                  const uint8_t *bytes, size_t length)
{
    uint64_t pattern = transfer->plan.pattern;
    size_t skip = 0;
    if (transfer->got < pattern)
        skip = pattern - transfer->got < length
                   ? (size_t)(pattern - transfer->got)
                   : length;
    transfer->got_hash =
        payload_hash(transfer->got_hash, bytes + skip, length - skip);
    transfer->got += length;
    run->read += length;
    run->consumed += length;
}

/* False: it has become another. */
static bool read_some(struct transfer *transfer, struct transfer_run *run)
{
    const uint8_t *bytes;
    size_t length = yamux_peek(transfer->stream, &bytes);
    size_t most = script(transfer)->pace == PLAN_SLOWLY ? SLOW_PIECE : SIZE_MAX;
    run->held += length;
    if (length > WIRE_WINDOW_INITIAL)
        say_wrong(transfer, run, "%zu bytes came, and a window is %u", length,
                  WIRE_WINDOW_INITIAL);
    if (script(transfer)->pace == PLAN_LATELY && transfer_is_gated(transfer))
        return true;
    if (is_refused(transfer, bytes, length)) {
        transfer_simplify(transfer, run);
        return false;
    }
    while (length > 0 && most > 0) {
        size_t size = length < PIECE ? length : PIECE;
        size = size < most ? size : most;
        if (!is_right(transfer, run, bytes, size))
            return true;
        count(transfer, run, bytes, size);
        yamux_consume(transfer->stream, size);
        most -= size;
        length = yamux_peek(transfer->stream, &bytes);
        run->more = run->more || length > 0;
    }
    return true;
}

static void take_eof(struct transfer *transfer, struct transfer_run *run)
{
    transfer->input_ended = true;
    run->more = true;
    if (script(transfer)->breaks)
        say_wrong(transfer, run, "they reset it, and we saw its end");
    else if (!transfer->finished && !script(transfer)->last)
        say_wrong(transfer, run, "they finished before we did");
    else if (transfer->got < expected(transfer))
        say_wrong(transfer, run, "it ended early");
    else if (script(transfer)->echoes &&
             transfer->put_hash != transfer->got_hash)
        say_wrong(transfer, run, "hash %016" PRIx64 " out, %016" PRIx64 " in",
                  transfer->put_hash, transfer->got_hash);
}

static void take_end(struct transfer *transfer, struct transfer_run *run)
{
    const uint8_t *bytes;
    if (transfer->input_ended || yamux_peek(transfer->stream, &bytes) > 0)
        return;
    switch (yamux_end(transfer->stream)) {
    case YAMUX_OPEN:
        break;
    case YAMUX_EOF:
        take_eof(transfer, run);
        break;
    case YAMUX_RESET:
        if (!script(transfer)->breaks)
            say_wrong(transfer, run, "it was reset, and nobody should");
        run->their_resets++;
        end(transfer, run);
        break;
    case YAMUX_LOST:
        say_wrong(transfer, run, "the session is lost");
        break;
    }
}

/* ---- what they say of it ---- */

static void judge_report(struct transfer *transfer, struct transfer_run *run)
{
    char *word = NULL;
    uint64_t bytes = strtoull(transfer->ask.answer, &word, 10);
    bool cut = script(transfer)->cut != PLAN_NEVER;
    bool unknown = strcmp(word, " unknown") == 0;
    if (strcmp(word, " open") == 0 ||
        (unknown && transfer->times_asked < UNKNOWN_MAX)) {
        transfer->ask_ms = run->now_ms + ASK_AGAIN_MS;
        return;
    }
    bool right = bytes == transfer->plan.body && strcmp(word, " eof") == 0;
    if (cut)
        right =
            bytes <= transfer->put && (strcmp(word, " reset") == 0 ||
                                       strcmp(word, " error") == 0 || unknown);
    if (!right)
        say_wrong(transfer, run, "it is '%s'%s", transfer->ask.answer,
                  cut ? ", and we reset it" : "");
    end(transfer, run);
}

static void ask_some(struct transfer *transfer, struct transfer_run *run)
{
    struct ask *ask = &transfer->ask;
    if (ask->stream == NULL && run->now_ms >= transfer->ask_ms) {
        char command[PLAN_LINE_MAX];
        plan_report_command(run->config, &transfer->plan, command);
        if (ask_begin(ask, run->yamux, command, run->now_ms)) {
            run->opened++;
            transfer->times_asked++;
        }
        return;
    }
    if (ask->stream == NULL)
        return;
    switch (ask_continue(ask, &run->consumed)) {
    case ASK_WAITS:
        break;
    case ASK_IS_ANSWERED:
        judge_report(transfer, run);
        break;
    case ASK_IS_BROKEN:
        say_wrong(transfer, run, "the report is no line: '%s'", ask->answer);
        break;
    }
}

/* ---- its turn ---- */

static void run_some(struct transfer *transfer, struct transfer_run *run)
{
    if (transfer_is_gated(transfer))
        open_gate(transfer, run);
    write_some(transfer, run);
    if (!read_some(transfer, run) || run->wrong[0] != '\0')
        return;
    take_end(transfer, run);
    if (transfer->state != TRANSFER_RUNS || run->wrong[0] != '\0')
        return;
    if (is_to_be_cut(transfer)) {
        yamux_reset(transfer->stream);
        run->our_resets++;
        end(transfer, run);
        return;
    }
    write_some(transfer, run);
    if (transfer->finished && transfer->input_ended &&
        yamux_is_done(transfer->stream))
        end(transfer, run);
}

void transfer_step(struct transfer *transfer, struct transfer_run *run)
{
    if (run->wrong[0] != '\0')
        return;
    if (transfer->state == TRANSFER_RUNS)
        run_some(transfer, run);
    else if (transfer->state == TRANSFER_ASKS)
        ask_some(transfer, run);
}
