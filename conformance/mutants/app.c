#include "conformance/mutants/app.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conformance/mutants/mutant.h"
#include "conformance/mutants/yamux.h"

#define LINE_MAX 128u
#define LABEL_MAX 33u
#define UNSENT_MAX 65536u
#define CLOSE_MS 1000u     /* closed, and the peer still writes: reset */
#define SHUTDOWN_MS 200u   /* of the command `shutdown BYTES` */
#define FOREVER UINT64_MAX /* that many bytes of pattern */
#define PATTERN 251u

enum reading { READ_LINE, READ_NOTHING, READ_DROP, READ_ECHO };
enum finishing { FINISH_NEVER, FINISH_AT_EOF, FINISH_WHEN_WRITTEN };
enum then { THEN_NOTHING, THEN_RESET, THEN_SHUT };

/* What is done on one stream. In this order: wait until open_left is 0, write
 * text, write the pattern; reading goes on beside it (an echo behind it). */
struct task {
    enum reading reading;
    enum finishing finishing;
    enum then then; /* once all is written; THEN_SHUT: and read */
    char text[LINE_MAX];
    uint64_t pattern_left;
    uint64_t pattern_offset;
    bool unbounded;      /* writes the pattern without waiting for room */
    bool waits_for_open; /* text goes when open_left is 0 */
    bool finished;
    bool notes; /* for label, what came */
    char label[LABEL_MAX];
    uint64_t bytes_read;
    uint64_t read_from_ms; /* nothing before that time */
    uint64_t reset_ms;     /* 0: never */
    uint64_t shut_ms;      /* 0: never */
    /* command `open` */
    uint64_t open_left;
    unsigned opened;
    struct task *opens; /* what to do on each; owned */
    char line[LINE_MAX];
    size_t line_length;
};

struct note {
    struct note *next;
    char label[LABEL_MAX];
    uint64_t bytes;
    const char *end;
};

static const char *chosen_mode = "echo";
static struct note *notes;
static unsigned sunk; /* streams, for a mutant */

/* The application waits above this. */
static size_t unsent_max(void)
{
    return mutant("W-24") ? 64 * UNSENT_MAX : UNSENT_MAX;
}

static bool take_mode(struct task *task, const char *mode)
{
    if (strcmp(mode, "echo") == 0) {
        task->reading = READ_ECHO;
        task->finishing = FINISH_AT_EOF;
    } else if (strcmp(mode, "sink") == 0) {
        task->reading = READ_DROP;
        task->finishing = FINISH_AT_EOF;
    } else if (strcmp(mode, "hold") == 0) {
        task->reading = READ_NOTHING;
    } else if (strcmp(mode, "source") == 0) {
        task->reading = READ_DROP;
        task->pattern_left = FOREVER;
    } else {
        return false;
    }
    return true;
}

bool app_select(const char *mode)
{
    struct task task = {0};
    chosen_mode = mode;
    return take_mode(&task, mode) || strcmp(mode, "noaccept") == 0 ||
           strcmp(mode, "app") == 0 || strcmp(mode, "opener") == 0 ||
           strcmp(mode, "any") == 0;
}

/* ---- notes ---- */

static void note(const char *label, uint64_t bytes, const char *end)
{
    struct note *found = notes;
    while (found != NULL && strcmp(found->label, label) != 0)
        found = found->next;
    if (found == NULL) {
        found = calloc(1, sizeof *found);
        if (found == NULL)
            exit(1);
        snprintf(found->label, sizeof found->label, "%s", label);
        found->next = notes;
        notes = found;
    }
    found->bytes = bytes;
    found->end = end;
}

static void report(struct task *task, const char *label)
{
    const struct note *found = notes;
    while (found != NULL && strcmp(found->label, label) != 0)
        found = found->next;
    if (found == NULL)
        snprintf(task->text, LINE_MAX, "0 unknown\n");
    else
        snprintf(task->text, LINE_MAX, "%" PRIu64 " %s\n", found->bytes,
                 found->end);
}

static void note_task(const struct task *task, enum yamux_end end)
{
    static const char *const ends[] = {
        [YAMUX_OPEN] = "open",
        [YAMUX_EOF] = "eof",
        [YAMUX_RESET] = "reset",
        [YAMUX_LOST] = "lost",
    };
    if (task->notes)
        note(task->label, task->bytes_read, ends[end]);
}

static void take_label(struct task *task, const char *label)
{
    if (label == NULL || strcmp(label, "-") == 0)
        return;
    snprintf(task->label, sizeof task->label, "%s", label);
    task->notes = true;
    note_task(task, YAMUX_OPEN);
}

/* ---- commands ---- */

static bool take_then(struct task *task, const char *then)
{
    if (strcmp(then, "echo") == 0)
        return take_mode(task, "echo");
    if (strcmp(then, "watch") == 0)
        return take_mode(task, "sink");
    task->reading = READ_NOTHING;
    task->then = THEN_RESET;
    return strcmp(then, "reset") == 0;
}

static void take_open(struct task *task, char *const words[])
{
    struct task *each = calloc(1, sizeof *each);
    if (each == NULL)
        exit(1);
    task->opens = each;
    task->open_left = strtoull(words[1], NULL, 10);
    task->waits_for_open = true;
    task->finishing = FINISH_AT_EOF;
    snprintf(task->text, LINE_MAX, "opened %s\n", words[1]);
    each->pattern_left = strtoull(words[2], NULL, 10);
    take_label(each, words[4]);
    if (!take_then(each, words[3])) {
        task->open_left = 0;
        task->finishing = FINISH_WHEN_WRITTEN;
        snprintf(task->text, LINE_MAX, "unsupported\n");
    }
}

static unsigned split(char *line, char *words[5])
{
    unsigned count = 0;
    char *rest = NULL;
    for (unsigned i = 0; i < 5; i++)
        words[i] = NULL;
    for (char *word = strtok_r(line, " ", &rest); word != NULL && count < 5;
         word = strtok_r(NULL, " ", &rest))
        words[count++] = word;
    return count;
}

/* Commands that are more than a choice of fields. */
static bool take_session_command(struct task *task, struct yamux *yamux,
                                 char *const words[], unsigned count,
                                 uint64_t now_ms)
{
    if (strcmp(words[0], "open") == 0 && count == 5) {
        take_open(task, words);
    } else if (strcmp(words[0], "report") == 0 && count == 2) {
        task->finishing = FINISH_WHEN_WRITTEN;
        report(task, words[1]);
    } else if (strcmp(words[0], "drain") == 0) {
        yamux_drain(yamux);
        take_mode(task, "echo");
        snprintf(task->text, LINE_MAX, "draining\n");
    } else if (strcmp(words[0], "shutdown") == 0 && count == 1) {
        task->finishing = FINISH_WHEN_WRITTEN;
        task->then = THEN_SHUT;
    } else if (strcmp(words[0], "shutdown") == 0) {
        task->pattern_left = strtoull(words[1], NULL, 10);
        task->unbounded = true;
        task->shut_ms = now_ms + SHUTDOWN_MS;
    } else if (strcmp(words[0], "next-id") == 0 && count == 2 &&
               yamux_next_id(yamux, (uint32_t)strtoul(words[1], NULL, 0))) {
        task->finishing = FINISH_WHEN_WRITTEN;
        snprintf(task->text, LINE_MAX, "ok\n");
    } else {
        return false;
    }
    return true;
}

static void take_command(struct task *task, struct yamux *yamux,
                         uint64_t now_ms)
{
    char *words[5];
    unsigned count = split(task->line, words);
    task->reading = READ_DROP;
    if (count == 1 && take_mode(task, words[0]))
        return;
    if (count > 0 && take_session_command(task, yamux, words, count, now_ms))
        return;
    task->finishing = FINISH_WHEN_WRITTEN;
    if (count == 3 && strcmp(words[0], "watch") == 0) {
        task->finishing = FINISH_AT_EOF;
        task->read_from_ms = now_ms + strtoull(words[2], NULL, 10);
        take_label(task, words[1]);
    } else if (count == 2 && strcmp(words[0], "write") == 0) {
        task->pattern_left = strtoull(words[1], NULL, 10);
    } else if (count > 0 && strcmp(words[0], "finish") == 0) {
        take_label(task, words[1]);
    } else if (count == 1 && strcmp(words[0], "close") == 0) {
        task->reading = READ_NOTHING;
        task->reset_ms = mutant("C-12") ? 0 : now_ms + CLOSE_MS;
    } else if (count == 1 && strcmp(words[0], "reset") == 0) {
        task->reading = READ_NOTHING;
        task->finishing = FINISH_NEVER;
        task->then = THEN_RESET;
    } else {
        snprintf(task->text, LINE_MAX, "unsupported\n");
    }
}

static void read_line(struct task *task, struct yamux *yamux,
                      struct yamux_stream *stream, uint64_t now_ms)
{
    const uint8_t *bytes;
    size_t length = yamux_peek(stream, &bytes);
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] != '\n' && task->line_length < LINE_MAX - 1) {
            task->line[task->line_length++] = (char)bytes[i];
            continue;
        }
        yamux_consume(stream, i + 1);
        take_command(task, yamux, now_ms);
        return;
    }
    yamux_consume(stream, length);
}

/* ---- a stream's turn ---- */

static void write_some(struct task *task, struct yamux_stream *stream)
{
    uint8_t bytes[16u * PATTERN];
    if (task->waits_for_open && task->open_left > 0)
        return;
    if (task->text[0] != '\0') {
        yamux_write(stream, (const uint8_t *)task->text, strlen(task->text));
        task->text[0] = '\0';
    }
    while (task->pattern_left > 0 && !yamux_is_done(stream) &&
           (task->unbounded || yamux_unsent(stream) < unsent_max())) {
        size_t size = sizeof bytes;
        if (size > task->pattern_left)
            size = (size_t)task->pattern_left;
        for (size_t i = 0; i < size; i++)
            bytes[i] = (uint8_t)((task->pattern_offset + i) % PATTERN);
        yamux_write(stream, bytes, size);
        task->pattern_offset += size;
        if (task->pattern_left != FOREVER)
            task->pattern_left -= size;
    }
}

static void read_some(struct task *task, struct yamux_stream *stream,
                      uint64_t now_ms)
{
    const uint8_t *bytes;
    size_t length = yamux_peek(stream, &bytes);
    if (task->reading == READ_NOTHING || now_ms < task->read_from_ms)
        return;
    if (task->reading == READ_ECHO) {
        size_t unsent = yamux_unsent(stream);
        if (task->pattern_left > 0 || unsent >= UNSENT_MAX)
            return;
        if (length > UNSENT_MAX - unsent)
            length = UNSENT_MAX - unsent;
        yamux_write(stream, bytes, length);
    }
    task->bytes_read += length;
    yamux_consume(stream, length);
    if (length > 0)
        note_task(task, YAMUX_OPEN);
}

static bool has_read_all(const struct task *task, struct yamux_stream *stream)
{
    const uint8_t *bytes;
    return task->reading != READ_NOTHING && yamux_end(stream) != YAMUX_OPEN &&
           yamux_peek(stream, &bytes) == 0;
}

static void end_some(struct task *task, struct yamux *yamux,
                     struct yamux_stream *stream, uint64_t now_ms)
{
    bool written = task->pattern_left == 0 && task->text[0] == '\0';
    bool all_read = has_read_all(task, stream);
    if (task->then == THEN_RESET && written && yamux_unsent(stream) == 0)
        yamux_reset(stream);
    if ((task->reset_ms != 0 && now_ms >= task->reset_ms))
        yamux_reset(stream);
    if ((task->then == THEN_SHUT && written && all_read) ||
        (task->shut_ms != 0 && now_ms >= task->shut_ms)) {
        yamux_shut(yamux, now_ms);
        task->shut_ms = 0;
    }
    if (mutant("F-17") && strcmp(chosen_mode, "sink") == 0 && all_read &&
        !task->finished && ++sunk == 700)
        task->finishing = FINISH_NEVER;
    if (!task->finished && written &&
        (task->finishing == FINISH_WHEN_WRITTEN ||
         (task->finishing == FINISH_AT_EOF && all_read))) {
        yamux_finish(stream);
        task->finished = true;
    }
    if (all_read || (yamux_is_done(stream) && task->reading == READ_NOTHING))
        note_task(task, yamux_end(stream));
}

static void open_some(struct task *task, struct yamux *yamux, uint64_t now_ms)
{
    while (task->open_left > 0) {
        struct yamux_stream *stream;
        enum yamux_opening opening = yamux_open(yamux, &stream, now_ms);
        if (opening == YAMUX_WAIT)
            return;
        if (opening == YAMUX_REFUSED) {
            snprintf(task->text, LINE_MAX, "failed\n");
            task->open_left = 0;
            return;
        }
        struct task *each = malloc(sizeof *each);
        if (each == NULL)
            exit(1);
        *each = *task->opens;
        each->notes = each->notes && task->opened == 0;
        *yamux_task(stream) = each;
        task->opened++;
        task->open_left--;
    }
}

static struct task *begin(struct yamux_stream *stream)
{
    struct task *task = *yamux_task(stream);
    if (task != NULL || strcmp(chosen_mode, "noaccept") == 0)
        return task;
    task = calloc(1, sizeof *task);
    if (task == NULL)
        exit(1);
    if (!take_mode(task, chosen_mode) && strcmp(chosen_mode, "any") == 0)
        take_mode(task, "echo");
    yamux_accept(stream);
    *yamux_task(stream) = task;
    return task;
}

bool app_run(struct yamux *yamux, uint64_t now_ms)
{
    bool waits = false;
    struct yamux_stream *next = yamux_next(yamux, NULL);
    while (next != NULL) {
        struct yamux_stream *stream = next;
        next = yamux_next(yamux, stream);
        struct task *task = begin(stream);
        if (task != NULL) {
            if (task->reading == READ_LINE)
                read_line(task, yamux, stream, now_ms);
            open_some(task, yamux, now_ms);
            write_some(task, stream);
            if (task->reading != READ_LINE)
                read_some(task, stream, now_ms);
            end_some(task, yamux, stream, now_ms);
            waits = waits || task->read_from_ms > now_ms ||
                    task->reset_ms > now_ms || task->shut_ms > 0 ||
                    task->open_left > 0;
        }
        if (yamux_is_done(stream) &&
            (task == NULL || task->reading == READ_NOTHING ||
             has_read_all(task, stream))) {
            if (task != NULL)
                free(task->opens);
            free(task);
            *yamux_task(stream) = NULL;
            yamux_release(stream);
        }
    }
    return waits;
}
