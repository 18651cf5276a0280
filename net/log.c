/* IMPLEMENTATION NOTES
 *
 * A line is built in one buffer of LINE_SIZE bytes, which is what a pipe takes
 * whole (PIPE_BUF), so that poll() tells whether writing it would wait. A field
 * that does not fit any more is left out, and "truncated" says so; TAIL bytes
 * are kept free for that and for the end of the line.
 *
 * The descriptor's flags are not touched: O_NONBLOCK would belong to everybody
 * who shares it, the operator's shell included.
 */
#include "net/log.h"

#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/contract.h"
#include "net/sys.h"

#define LINE_SIZE 4096u
#define TAIL 32u
#define STRING_MAX 256u
#define EVENTS_MAX 256u
#define PROBES 8u

_Static_assert(LINE_SIZE <= PIPE_BUF, "a line is written whole or not");

struct event { /* of which lines came lately */
    const char *name;
    uint64_t second;
    unsigned lines;
    uint64_t suppressed;
};

static struct {
    struct log_config config;
    struct log_counters counters;
    bool is_socket;
    uint64_t dropped; /* since the last line that passed */
    struct event events[EVENTS_MAX];
} log_state = {
    .config = {.fd = 2, .level = LOG_INFO, .format = LOG_TEXT, .burst = 20}};

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug",
    [LOG_INFO] = "info",
    [LOG_WARN] = "warn",
    [LOG_ERROR] = "error",
};

static const char *const format_names[] = {
    [LOG_TEXT] = "text",
    [LOG_JSON] = "json",
};

void log_config_default(struct log_config *config)
{
    *config = (struct log_config){
        .fd = 2, .level = LOG_INFO, .format = LOG_TEXT, .burst = 20};
}

void log_open(const struct log_config *config)
{
    struct stat status;

    log_state.config = *config;
    log_state.is_socket =
        sys_fstat(config->fd, &status) == 0 && S_ISSOCK(status.st_mode);
}

bool log_level_parse(enum log_level *level, const char *text)
{
    for (size_t i = 0; i < sizeof level_names / sizeof *level_names; i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

bool log_format_parse(enum log_format *format, const char *text)
{
    for (size_t i = 0; i < sizeof format_names / sizeof *format_names; i++) {
        if (strcmp(text, format_names[i]) == 0) {
            *format = (enum log_format)i;
            return true;
        }
    }
    return false;
}

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

bool log_enabled(enum log_level level)
{
    return level >= log_state.config.level;
}

const struct log_counters *log_counters(void)
{
    return &log_state.counters;
}

/* ---- fields -------------------------------------------------------------- */

struct log_field log_string(const char *key, const char *string)
{
    return log_bytes(key, string, string == NULL ? 0 : strlen(string));
}

struct log_field log_bytes(const char *key, const void *bytes, size_t length)
{
    return (struct log_field){.key = key,
                              .kind = LOG_FIELD_STRING,
                              .string = bytes,
                              .length = length};
}

struct log_field log_uint(const char *key, uint64_t number)
{
    return (struct log_field){
        .key = key, .kind = LOG_FIELD_UINT, .number = number};
}

struct log_field log_int(const char *key, int64_t number)
{
    return (struct log_field){
        .key = key, .kind = LOG_FIELD_INT, .number = (uint64_t)number};
}

struct log_field log_bool(const char *key, bool yes)
{
    return (struct log_field){
        .key = key, .kind = LOG_FIELD_BOOL, .number = yes ? 1 : 0};
}

struct log_field log_errno(int error)
{
    return log_string("error", strerror(error));
}

/* ---- characters ---------------------------------------------------------- */

/* The character at bytes, 1 <= length: its size; *code is UINT32_MAX and the
 * size 1 if it is not UTF-8 (RFC 3629: shortest form, no surrogates). */
static size_t decode(const uint8_t *bytes, size_t length, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t c = bytes[0];
    size_t size;

    if (c < 0x80) {
        *code = c;
        return 1;
    }
    size = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    *code = UINT32_MAX;
    if (c < 0xc2 || c > 0xf4 || size > length) {
        return 1;
    }
    c &= 0xffu >> (size + 1);
    for (size_t i = 1; i < size; i++) {
        if ((bytes[i] & 0xc0) != 0x80) {
            return 1;
        }
        c = c << 6 | (bytes[i] & 0x3fu);
    }
    if (c < least[size] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) {
        return 1;
    }
    *code = c;
    return size;
}

/* X32: what could end a line, drive a terminal or reorder what is shown. */
static bool is_harmful(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x061c ||
           code == 0x200e || code == 0x200f ||
           (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069) || code == UINT32_MAX;
}

/* ---- lines --------------------------------------------------------------- */

struct line {
    size_t length;
    bool overflow;
    char bytes[LINE_SIZE];
};

static void put(struct line *line, const char *bytes, size_t length)
{
    if (length > sizeof line->bytes - TAIL - line->length) {
        line->overflow = true;
        return;
    }
    memcpy(line->bytes + line->length, bytes, length);
    line->length += length;
}

static void put_text(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

static void put_quoted(struct line *line, const char *string, size_t length)
{
    size_t at = 0;

    put(line, "\"", 1);
    while (at < length) {
        uint32_t code;
        size_t size = decode((const uint8_t *)string + at, length - at, &code);
        if (at + size > STRING_MAX) {
            break;
        }
        if (is_harmful(code)) {
            put(line, "\xef\xbf\xbd", 3);
        } else {
            if (code == '"' || code == '\\') {
                put(line, "\\", 1);
            }
            put(line, string + at, size);
        }
        at += size;
    }
    put(line, "\"", 1);
}

static bool is_plain(const char *string, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (string[i] <= ' ' || string[i] > '~' || string[i] == '"' ||
            string[i] == '\\' || string[i] == '=') {
            return false;
        }
    }
    return length > 0 && length <= STRING_MAX;
}

static void put_value(struct line *line, const struct log_field *field)
{
    char number[24];

    switch (field->kind) {
    case LOG_FIELD_STRING:
        if (log_state.config.format == LOG_TEXT &&
            is_plain(field->string, field->length)) {
            put(line, field->string, field->length);
        } else {
            put_quoted(line, field->string, field->length);
        }
        return;
    case LOG_FIELD_UINT:
        (void)snprintf(number, sizeof number, "%ju", (uintmax_t)field->number);
        break;
    case LOG_FIELD_INT:
        (void)snprintf(number, sizeof number, "%jd",
                       (intmax_t)(int64_t)field->number);
        break;
    case LOG_FIELD_BOOL:
        (void)snprintf(number, sizeof number, "%s",
                       field->number != 0 ? "true" : "false");
        break;
    }
    put_text(line, number);
}

static void put_field(struct line *line, const struct log_field *field)
{
    bool json = log_state.config.format == LOG_JSON;
    size_t before = line->length;
    bool overflow = line->overflow;

    if (field->kind == LOG_FIELD_STRING && field->string == NULL) {
        return;
    }
    line->overflow = false;
    put_text(line, json ? ",\"" : " ");
    put_text(line, field->key);
    put_text(line, json ? "\":" : "=");
    put_value(line, field);
    if (line->overflow) {
        line->length = before;
    }
    line->overflow |= overflow;
}

static void put_head(struct line *line, enum log_level level, const char *event)
{
    bool json = log_state.config.format == LOG_JSON;
    struct timespec now;
    struct tm day;
    char head[128];

    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &day);
    (void)snprintf(head, sizeof head,
                   json ? "{\"ts\":\"%04d-%02d-%02dT%02d:%02d:%02d.%06ldZ\","
                          "\"level\":\"%s\",\"event\":\"%.48s\""
                        : "%04d-%02d-%02dT%02d:%02d:%02d.%06ldZ %s %.48s",
                   day.tm_year + 1900, day.tm_mon + 1, day.tm_mday, day.tm_hour,
                   day.tm_min, day.tm_sec, now.tv_nsec / 1000,
                   level_names[level], event);
    put_text(line, head);
}

static void put_end(struct line *line)
{
    static const char *const end[2][2] = {
        [LOG_TEXT] = {"\n", " truncated=true\n"},
        [LOG_JSON] = {"}\n", ",\"truncated\":true}\n"},
    };
    const char *text = end[log_state.config.format][line->overflow ? 1 : 0];
    size_t length = strlen(text);

    REQUIRE(length <= TAIL);
    memcpy(line->bytes + line->length, text, length);
    line->length += length;
}

/* True: the whole line is out. A socket that takes a part keeps it: the rest is
 * lost, and the line counts as dropped. */
static bool emit(const struct line *line)
{
    struct pollfd ready = {.fd = log_state.config.fd, .events = POLLOUT};
    ssize_t sent;

    if (log_state.is_socket) {
        sent = sys_send(ready.fd, line->bytes, line->length,
                        MSG_DONTWAIT | MSG_NOSIGNAL);
    } else {
        if (sys_poll(&ready, 1, 0) != 1 || ready.revents != POLLOUT) {
            return false;
        }
        sent = sys_write(ready.fd, line->bytes, line->length);
    }
    return sent == (ssize_t)line->length;
}

/* ---- rate ---------------------------------------------------------------- */

/* Events are few and known; should a program have more than fit, some share an
 * entry, and with it their allowance. */
static struct event *find_event(const char *name)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    struct event *event = NULL;

    for (const char *c = name; *c != '\0'; c++) {
        hash = (hash ^ (uint8_t)*c) * 16777619u;
    }
    for (uint32_t i = 0; i < PROBES; i++) {
        event = &log_state.events[(hash + i) % EVENTS_MAX];
        if (event->name == NULL) {
            event->name = name;
        }
        if (event->name == name || strcmp(event->name, name) == 0) {
            break;
        }
    }
    return event;
}

static bool is_allowed(struct event *event)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    if (event->second != (uint64_t)now.tv_sec) {
        event->second = (uint64_t)now.tv_sec;
        event->lines = 0;
    }
    event->lines++;
    return log_state.config.burst == 0 ||
           event->lines <= log_state.config.burst;
}

void log_write(enum log_level level, const char *event_name,
               const struct log_field *fields, size_t count)
{
    struct line line;
    struct event *event;
    struct log_field extra;

    if (!log_enabled(level)) {
        return;
    }
    event = find_event(event_name);
    if (!is_allowed(event)) {
        event->suppressed++;
        log_state.counters.suppressed++;
        return;
    }
    line.length = 0;
    line.overflow = false;
    put_head(&line, level, event_name);
    if (event->suppressed > 0) {
        extra = log_uint("suppressed", event->suppressed);
        put_field(&line, &extra);
    }
    if (log_state.dropped > 0) {
        extra = log_uint("dropped", log_state.dropped);
        put_field(&line, &extra);
    }
    for (size_t i = 0; i < count; i++) {
        put_field(&line, &fields[i]);
    }
    put_end(&line);
    if (!emit(&line)) {
        log_state.dropped++;
        log_state.counters.dropped++;
        return;
    }
    log_state.dropped = 0;
    event->suppressed = 0;
    log_state.counters.written++;
}
