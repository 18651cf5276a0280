/* log.h: one line an event on stderr, text or JSON (OP P3, X32).
 *
 *   log_line(LOG_INFO, "agent_connected", log_string("agent", name),
 *            log_uint("streams", 12));
 *
 *   2026-01-31T12:00:00.000000Z info agent_connected agent="web 1" streams=12
 *   {"ts":"2026-01-31T12:00:00.000000Z","level":"info",
 *    "event":"agent_connected","agent":"web 1","streams":12}
 *
 * Conventions
 *
 * event and keys are literals, stable, snake_case: an operator's alerts hang on
 * them. Strings are the only place where a peer can put something, so all are
 * treated alike: at most 256 bytes, cut at a character; bad UTF-8, control
 * characters (C0, C1, DEL) and those that reorder or break lines become
 * U+FFFD; quotes and backslashes are escaped. Never pass a key or a token.
 *
 * A line never waits: a reader that stalls costs lines, which are counted
 * (dropped=n on the next line that passes). More than a burst of one event
 * within a second is counted too (suppressed=n on its next line).
 *
 * One log a process, one thread. Before log_open() it writes text, from info
 * on, to stderr.
 */
#ifndef NET_LOG_H
#define NET_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_TEXT, LOG_JSON };

struct log_config {
    int fd;                 /* default 2; not closed, flags not changed */
    enum log_level level;   /* the lowest that is written; default info */
    enum log_format format; /* default text */
    unsigned burst;         /* lines of one event a second; default 20; errors
                               count like the rest; 0: no limit */
};

void log_config_default(struct log_config *config);
void log_open(const struct log_config *config);

/* "debug", "info", "warn", "error"; "text", "json". False: none of them. */
bool log_level_parse(enum log_level *level, const char *text);
bool log_format_parse(enum log_format *format, const char *text);
const char *log_level_name(enum log_level level);

struct log_field {
    const char *key;
    enum {
        LOG_FIELD_STRING,
        LOG_FIELD_UINT,
        LOG_FIELD_INT,
        LOG_FIELD_BOOL
    } kind;
    const char *string; /* may be NULL: the field is left out */
    size_t length;
    uint64_t number;
};

struct log_field log_string(const char *key, const char *string);
struct log_field log_bytes(const char *key, const void *bytes, size_t length);
struct log_field log_uint(const char *key, uint64_t number);
struct log_field log_int(const char *key, int64_t number);
struct log_field log_bool(const char *key, bool yes);
struct log_field log_errno(int error); /* error="No such file or directory" */

#define log_line(level, event, ...)                                      \
    log_write((level), (event), (const struct log_field[]){__VA_ARGS__}, \
              sizeof((const struct log_field[]){__VA_ARGS__}) /          \
                  sizeof(struct log_field))

/* fields may be NULL when count is 0. */
void log_write(enum log_level level, const char *event,
               const struct log_field *fields, size_t count);
bool log_enabled(enum log_level level);

struct log_counters { /* only grow */
    uint64_t written, dropped, suppressed;
};
const struct log_counters *log_counters(void);

/* net also defines contract_failed() of core/contract.h: an error line
 * (event contract_failed), then abort(). */

#endif
