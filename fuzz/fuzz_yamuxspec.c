/* What yamuxspec makes of bytes that a peer chose: frames, WebSocket, the
 * upgrade, texts in reports. The first byte of the input chooses the part, the
 * second how it is set up, the third how the rest is cut; the same bytes in one
 * piece must give the same.
 */
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conformance/channel_internal.h"
#include "conformance/report.h"
#include "conformance/session_internal.h"
#include "fuzz/harness.h"

/* ---- in place of the case's process ---- */

static jmp_buf verdict;
static char reason[1024];

#define STUB(name)                                                        \
    _Noreturn void name(struct session *session, const char *format, ...) \
    {                                                                     \
        va_list arguments;                                                \
        (void)session;                                                    \
        va_start(arguments, format);                                      \
        vsnprintf(reason, sizeof reason, format, arguments);              \
        va_end(arguments);                                                \
        longjmp(verdict, 1);                                              \
    }

STUB(spec_fail)
STUB(spec_hung)
STUB(spec_skip)

void spec_warn(struct session *session, const char *format, ...)
{
    (void)session;
    (void)format;
}

/* ---- in place of channel.c: the input is what the peer sends ---- */

static struct input arriving;
static size_t queued; /* bytes that we would have sent */

enum channel_state channel_raw_read(struct channel *channel, uint8_t *bytes,
                                    size_t size, size_t *moved)
{
    size_t count = input_piece(&arriving);
    (void)channel;
    *moved = count < size ? count : size;
    if (*moved == 0) {
        return size ? CHANNEL_CLOSED : CHANNEL_AGAIN;
    }
    memcpy(bytes, arriving.bytes, *moved);
    arriving.bytes += *moved;
    arriving.length -= *moved;
    return CHANNEL_OK;
}

enum channel_state channel_flush(struct channel *channel)
{
    channel->out.start = channel->out.end = 0;
    return CHANNEL_OK;
}

void channel_queue(struct channel *channel, const void *bytes, size_t length)
{
    static uint8_t room[1 << 17];
    struct channel_bytes *out = &channel->out;
    MUST(length <= sizeof room - out->end);
    if (length) {
        memcpy(room + out->end, bytes, length);
    }
    out->bytes = room;
    out->end += length;
    queued += length;
}

uint64_t channel_now(void)
{
    return 0;
}

void channel_wait(struct channel *channel, bool to_read, bool to_write,
                  unsigned timeout_ms)
{
    (void)channel;
    (void)to_read;
    (void)to_write;
    (void)timeout_ms;
}

/* What the parts below never come to. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#define NEVER(result, name, arguments) \
    result name arguments              \
    {                                  \
        abort();                       \
    }

NEVER(struct channel *, channel_open,
      (const struct channel_target *target, unsigned timeout_ms,
       char error[CHANNEL_ERROR]))
NEVER(void, channel_close, (struct channel * channel))
NEVER(void, channel_abort, (struct channel * channel))
NEVER(void, channel_also, (struct channel * channel, int fd))
NEVER(int, channel_fd, (const struct channel *channel))
NEVER(bool, channel_unsent, (const struct channel *channel))
NEVER(const char *, channel_trouble, (const struct channel *channel))
NEVER(enum channel_state, channel_read,
      (struct channel * channel, uint8_t *bytes, size_t size, size_t *moved))
NEVER(enum channel_state, channel_write,
      (struct channel * channel, const uint8_t *bytes, size_t length,
       size_t *moved))

#pragma GCC diagnostic pop

/* ---- frames ---- */

struct outcome { /* what must not depend on the cuts */
    uint64_t frames, data, traced, streams, replies, hash;
    unsigned pings, pongs, goaways, opened;
    bool failed;
};

/* setup 2 and 16: how much is sent counts what a preface still takes, which is
 * known when a later frame of the same write is shaped. */
static void look_at_streams(struct session *session, struct outcome *outcome,
                            unsigned setup)
{
    struct session_books *books = session->books;
    for (size_t i = 0; i < books->slot_count; i++) {
        struct stream *stream = books->slots[i];
        if (stream) {
            uint64_t kept =
                stream->received < STREAM_KEPT ? stream->received : STREAM_KEPT;
            outcome->hash +=
                session_hash(stream->hash, stream->kept, (size_t)kept);
            outcome->hash += stream->credit + stream->granted;
            outcome->hash += (setup & 18) == 18 ? 0 : stream->sent;
        }
    }
}

static void no_line(const char *text)
{
    MUST(strlen(text) < 2 * WIRE_TEXT);
}

/* setup: 1 client, 2 preface, 4 mirror, 8 grants, 16 what we sent */
static struct outcome play(struct input input, unsigned setup)
{
    struct session session = {
        .client = setup & 1,
        .preface = (const uint8_t *)"\1",
        .preface_length = (setup & 2) != 0,
        .mirror = setup & 4 ? "echo" : NULL,
        .grants = (setup & 8) != 0,
        .answers_pings = true,
        .timeout_ms = 1,
    };
    volatile bool failed = false;
    session.books = session_books_make();
    if (setjmp(verdict) == 0) {
        while (input.length) {
            size_t count = input_piece(&input);
            if (setup & 16) {
                session_shape(&session, input.bytes, count,
                              &session.books->shaped);
                session_books_sent(&session, session.books->shaped.bytes,
                                   session.books->shaped.length);
                session.books->shaped.length = 0;
            } else {
                session_books_received(&session, input.bytes, count);
            }
            input.bytes += count;
            input.length -= count;
        }
    } else {
        failed = true;
    }
    struct outcome outcome = {.frames = session.frames,
                              .data = session.data_received,
                              .traced = session.books->traced,
                              .streams = session.books->stream_count,
                              .replies = session.books->replies.length,
                              .pings = session.pings,
                              .pongs = session.pongs,
                              .goaways = session.goaways,
                              .opened = session.opened,
                              .failed = failed};
    look_at_streams(&session, &outcome, setup);
    session_show(&session, no_line);
    session_books_free(session.books);
    free(session.pong_opaques);
    free(session.opened_ids);
    return outcome;
}

static void frames(struct input input, unsigned setup)
{
    struct input whole = {input.bytes, input.length, 0};
    struct outcome cut = play(input, setup);
    struct outcome uncut = play(whole, setup);
    MUST(cut.frames == uncut.frames && cut.data == uncut.data);
    MUST(cut.traced == uncut.traced && cut.streams == uncut.streams);
    MUST(cut.pings == uncut.pings && cut.pongs == uncut.pongs);
    MUST(cut.goaways == uncut.goaways && cut.opened == uncut.opened);
    MUST(cut.replies == uncut.replies && cut.failed == uncut.failed);
    MUST(cut.hash == uncut.hash);
}

/* ---- WebSocket ---- */

static struct channel channel;

static void reset_channel(struct input input, bool client)
{
    memset(&channel, 0, sizeof channel);
    channel.websocket = true;
    channel.websocket_client = client;
    arriving = input;
    queued = 0;
}

/* The hash of all payload. */
static uint64_t read_messages(struct input input, unsigned setup,
                              enum channel_state *end)
{
    static uint8_t bytes[4096];
    uint64_t hash = SESSION_HASH;
    size_t size = setup & 2 ? 7 : sizeof bytes;
    size_t left = 2 * input.length + 16; /* calls: each moves on */
    bool told = false; /* a close frame is told as CLOSED once, and read on */
    reset_channel(input, setup & 1);
    do {
        size_t moved = 0;
        told = told || channel.seen.closes > 0;
        *end = channel_ws_read(&channel, bytes, size, &moved);
        MUST(moved <= size && (moved > 0) == (*end == CHANNEL_OK));
        MUST(left-- > 0);
        hash = session_hash(hash, bytes, moved);
    } while (*end == CHANNEL_OK ||
             (*end == CHANNEL_CLOSED && !told && channel.seen.closes > 0));
    MUST(channel.seen.pong_length <= sizeof channel.seen.pong);
    /* a pong or a close is never longer than what it answers */
    MUST(queued <= 8 * input.length);
    return hash;
}

static void messages(struct input input, unsigned setup)
{
    struct input whole = {input.bytes, input.length, 0};
    enum channel_state cut_end;
    enum channel_state uncut_end;
    uint64_t cut = read_messages(input, setup, &cut_end);
    struct channel_seen seen = channel.seen;
    uint64_t uncut = read_messages(whole, setup, &uncut_end);
    MUST(cut == uncut && cut_end == uncut_end);
    MUST(seen.pings == channel.seen.pings && seen.pongs == channel.seen.pongs);
    MUST(seen.closes == channel.seen.closes &&
         seen.close_code == channel.seen.close_code);
}

static void upgrade(struct input input, unsigned setup)
{
    char error[CHANNEL_ERROR] = "";
    struct channel_target target = {.host = "peer", .port = "1", .path = "/"};
    reset_channel(input, setup & 1);
    bool good = setup & 1 ? channel_ws_connect(&channel, &target, 1, error)
                          : channel_ws_accept(&channel, 1, error);
    MUST(good == (*error == '\0'));
    MUST(strlen(error) < sizeof error);
}

/* ---- reports ---- */

static void judge_report(const struct report *report, enum report_format format)
{
    char *text = NULL;
    size_t length = 0;
    FILE *file = open_memstream(&text, &length);
    MUST(file);
    report_write(report, format, file);
    fclose(file);
    if (format == REPORT_JSON) {
        json_t *root = json_loadb(text, length, 0, NULL);
        MUST(json_is_array(json_object_get(root, "cases")));
        json_decref(root);
    }
    for (size_t i = 0; i < length && format == REPORT_JUNIT; i++) {
        MUST(text[i] == '\n' || (text[i] >= ' ' && text[i] <= '~'));
    }
    free(text);
}

/* Lines as the case's process sends them: no LF, no NUL. */
static void reports(struct input input, unsigned setup)
{
    static const struct spec_case row = {.id = "F-01",
                                         .title = "a title",
                                         .stimulus = "bytes",
                                         .citation = "a page",
                                         .class = SPEC_MUST};
    char text[1024] = "";
    size_t length =
        input.length < sizeof text - 2 ? input.length : sizeof text - 2;
    text[0] = 'k';
    memcpy(text + 1, input.bytes, length);
    for (size_t i = 1; i <= length; i++) {
        text[i] = text[i] == '\n' || text[i] == '\0' ? '\t' : text[i];
    }
    text[length + 1] = '\0';
    struct result *result = calloc(1, sizeof *result);
    struct report report = {.peer = text,
                            .role = "client",
                            .profile = setup & 1 ? "strict" : "spec",
                            .results = result,
                            .count = 1};
    MUST(result);
    result->row = &row;
    result->verdict = (enum verdict)(setup / 2 % VERDICTS);
    result->reason = result->verdict >= VERDICT_FAIL ? strdup(text) : NULL;
    for (unsigned kind = REMARK_WARNING; kind <= REMARK_TRACE; kind++) {
        if (kind != REMARK_CHOICE || strchr(text, '\t')) {
            report_remark(result, (enum remark_kind)kind, text);
        }
    }
    for (unsigned format = REPORT_TABLE; format <= REPORT_MARKDOWN; format++) {
        judge_report(&report, (enum report_format)format);
    }
    report_free(&report);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static void (*const parts[])(struct input, unsigned) = {frames, messages,
                                                            upgrade, reports};
    if (length < 3) {
        return 0;
    }
    parts[bytes[0] % 4]((struct input){bytes + 3, length - 3, bytes[2]},
                        bytes[1]);
    return 0;
}
