/* Defaults are text and are read like what a user writes. */
#include "server/knob.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/config.h"

#define SECOND UINT64_C(1000)
#define HOUR (3600 * SECOND)
#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

#define AT(field) offsetof(struct config, field)

static const struct knob knobs[] = {
    {"server", "listen", KNOB_LISTEN, AT(listen), "127.0.0.1:8080", 0, 0,
     "where agents and API clients connect"},
    {"server", "data-dir", KNOB_PATH, AT(data_dir), "/var/lib/orthrus", 0, 0,
     "holds orthrus.db and admin.token; made at the first start"},
    {"server", "admin-socket", KNOB_PATH, AT(admin_socket), "", 0, 0,
     "unix socket where the API needs no token"},
    {"server", "public-url", KNOB_URL, AT(public_url), "", 0, 0,
     "how agents reach this server, for snippets"},
    {"server", "allowed-hosts", KNOB_HOSTS, AT(allowed_hosts), "", 0, 0,
     "names by which API clients may call this server"},
    {"server", "behind-proxy", KNOB_FLAG, AT(behind_proxy), "false", 0, 0,
     "a TLS proxy is in front: allow plain HTTP beyond loopback"},

    {"tls", "tls-cert", KNOB_PATH, AT(tls_cert), "", 0, 0,
     "certificate chain, PEM"},
    {"tls", "tls-key", KNOB_PATH, AT(tls_key), "", 0, 0, "private key, PEM"},

    {"log", "log-level", KNOB_LEVEL, AT(log_level), "info", 0, 0,
     "least urgent level that is logged"},
    {"log", "log-format", KNOB_FORMAT, AT(log_format), "text", 0, 0,
     "form of a log line on standard error"},

    {"tunnel", "no-tunnel", KNOB_FLAG, AT(no_tunnel), "false", 0, 0,
     "take no agents; serve only hosts that are reached directly"},
    {"tunnel", "ping-interval", KNOB_TIME, AT(ping_interval_ms), "5s", 0, HOUR,
     "silence of an agent before a ping; 0: never ping"},
    {"tunnel", "ping-missed", KNOB_NUMBER, AT(ping_missed), "3", 1, 100,
     "silent intervals until an agent is taken for dead"},
    {"tunnel", "open-timeout", KNOB_TIME, AT(open_timeout_ms), "10s", SECOND,
     HOUR, "for an agent to answer a new stream"},
    {"tunnel", "drain-timeout", KNOB_TIME, AT(drain_timeout_ms), "30s", 0, HOUR,
     "for live connections after SIGTERM"},
    {"tunnel", "linger-timeout", KNOB_TIME, AT(linger_timeout_ms), "5s", SECOND,
     HOUR, "for a client that has closed and does not read"},
    {"tunnel", "port-quarantine", KNOB_TIME, AT(port_quarantine_ms), "24h", 0,
     24 * 365 * HOUR, "before another agent gets a loopback port"},
    {"tunnel", "key-overlap", KNOB_TIME, AT(key_overlap_ms), "24h", 0,
     24 * 365 * HOUR, "the old key stays valid after a rotation"},

    {"limits", "agents-max", KNOB_NUMBER, AT(agents_max), "10000", 1, 1000000,
     "sessions at once"},
    {"limits", "streams-max", KNOB_NUMBER, AT(streams_max), "1024", 1, 32768,
     "open connections an agent"},
    {"limits", "opens-per-second", KNOB_NUMBER, AT(opens_per_second), "1000", 1,
     1000000, "new connections an agent"},
    {"limits", "recv-window", KNOB_SIZE, AT(recv_window), "256KiB", 256 * KIB,
     16 * MIB, "an agent may send ahead on a connection"},
    {"limits", "recv-window-growth", KNOB_SIZE, AT(recv_window_growth), "64MiB",
     0, GIB, "an agent may send further ahead over distance"},
    {"limits", "spill-max", KNOB_SIZE, AT(spill_max), "256MiB", 256 * KIB,
     1024 * GIB, "held for slow clients"},
    {"limits", "preauth-max", KNOB_NUMBER, AT(preauth_max), "256", 1, 100000,
     "connections not yet authenticated"},
    {"limits", "preauth-per-address", KNOB_NUMBER, AT(preauth_per_address), "8",
     1, 100000, "connections not yet authenticated, one address"},
    {"limits", "preauth-timeout", KNOB_TIME, AT(preauth_timeout_ms), "10s",
     SECOND, 600 * SECOND, "until a request head is complete"},
    {"limits", "head-max", KNOB_SIZE, AT(head_max), "16KiB", KIB, 64 * KIB,
     "request head"},
    {"limits", "body-max", KNOB_SIZE, AT(body_max), "64KiB", KIB, 16 * MIB,
     "request body"},

    {"docker", "docker-socket", KNOB_PATH, AT(docker_socket),
     "/var/run/docker.sock", 0, 0, "engine of this host"},
    {"docker", "docker-timeout", KNOB_TIME, AT(docker_timeout_ms), "10s", 100,
     600 * SECOND, "for a whole container list, then 504"},
    {"docker", "docker-answer-max", KNOB_SIZE, AT(docker_answer_max), "4MiB",
     KIB, GIB, "answer of an engine"},
    {"docker", "docker-requests-max", KNOB_NUMBER, AT(docker_requests_max),
     "64", 1, 10000, "container lists under way at once"},
};

#define KNOBS (sizeof(knobs) / sizeof(knobs[0]))
_Static_assert(KNOBS <= KNOB_MAX, "raise KNOB_MAX");

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static const char *const format_names[] = {"text", "json"};

struct unit {
    const char *name;
    uint64_t factor;
};

/* Largest first: the first that divides is the one to print. */
static const struct unit time_units[] = {
    {"h", HOUR}, {"m", 60 * SECOND}, {"s", SECOND}, {"ms", 1}, {NULL, 0}};
static const struct unit size_units[] = {
    {"GiB", GIB}, {"MiB", MIB}, {"KiB", KIB}, {"B", 1}, {NULL, 0}};
static const struct unit no_units[] = {{"", 1}, {NULL, 0}};

size_t knob_count(void)
{
    return KNOBS;
}

const struct knob *knob_at(size_t index)
{
    return &knobs[index];
}

/* ---- names --------------------------------------------------------------- */

bool knob_find(const char *name, size_t length, size_t *index)
{
    for (size_t i = 0; i < KNOBS; ++i) {
        if (strlen(knobs[i].name) == length &&
            memcmp(knobs[i].name, name, length) == 0) {
            *index = i;
            return true;
        }
    }
    return false;
}

static size_t minimum(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Edit distance. No knob has a name of KNOB_TEXT_SIZE characters. */
static size_t distance(const char *text, const char *name)
{
    size_t length = strlen(name);
    size_t row[KNOB_TEXT_SIZE];
    for (size_t j = 0; j <= length; ++j) {
        row[j] = j;
    }
    for (size_t i = 0; text[i] != '\0'; ++i) {
        size_t corner = row[0];
        row[0] = i + 1;
        for (size_t j = 1; j <= length; ++j) {
            size_t above = row[j];
            size_t changed = corner + (text[i] != name[j - 1] ? 1 : 0);
            row[j] = minimum(minimum(above, row[j - 1]) + 1, changed);
            corner = above;
        }
    }
    return row[length];
}

const char *knob_nearest(const char *name)
{
    const char *best = NULL;
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < KNOBS; ++i) {
        size_t d = distance(name, knobs[i].name);
        if (d < least) {
            least = d;
            best = knobs[i].name;
        }
    }
    return best;
}

void knob_variable(const char *name, char text[KNOB_TEXT_SIZE])
{
    (void)snprintf(text, KNOB_TEXT_SIZE, KNOB_ENVIRONMENT "%s", name);
    for (char *c = text; *c != '\0'; ++c) {
        if (*c >= 'a' && *c <= 'z') {
            *c = (char)(*c - 'a' + 'A');
        } else if (*c == '-') {
            *c = '_';
        }
    }
}

/* ---- reading ------------------------------------------------------------- */

static const struct unit *units_of(enum knob_kind kind)
{
    if (kind == KNOB_TIME) {
        return time_units;
    }
    return kind == KNOB_SIZE ? size_units : no_units;
}

static void amount_text(enum knob_kind kind, uint64_t amount,
                        char text[KNOB_TEXT_SIZE])
{
    const struct unit *unit = units_of(kind);
    while (amount % unit->factor != 0 ||
           (amount == 0 && unit[1].name != NULL)) {
        ++unit;
    }
    (void)snprintf(text, KNOB_TEXT_SIZE, "%llu%s",
                   (unsigned long long)(amount / unit->factor), unit->name);
}

static const char *out_of_range(const struct knob *knob,
                                char wrong[KNOB_TEXT_SIZE])
{
    char least[KNOB_TEXT_SIZE];
    char most[KNOB_TEXT_SIZE];
    amount_text(knob->kind, knob->min, least);
    amount_text(knob->kind, knob->max, most);
    (void)snprintf(wrong, KNOB_TEXT_SIZE, "is out of range, %.16s to %.16s",
                   least, most);
    return wrong;
}

/* These return what is wrong with the text, NULL if nothing. */

static const char *read_amount(const struct knob *knob, uint64_t *amount,
                               const char *text, char wrong[KNOB_TEXT_SIZE])
{
    char *end = NULL;
    if (text[0] < '0' || text[0] > '9') {
        return "is not a number";
    }
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    int error = errno;
    const struct unit *unit = units_of(knob->kind);
    while (unit->name != NULL && strcmp(unit->name, end) != 0) {
        ++unit;
    }
    uint64_t factor = unit->factor;
    if (unit->name == NULL) {
        /* bare bytes are clear; a bare time is not, unless it is 0 */
        if (*end == '\0' && (knob->kind == KNOB_SIZE || number == 0)) {
            factor = 1;
        } else if (knob->kind == KNOB_TIME) {
            return "needs a unit: ms, s, m or h";
        } else if (knob->kind == KNOB_SIZE) {
            return "needs a unit: B, KiB, MiB or GiB";
        } else {
            return "is not a number";
        }
    }
    if (error != 0 || number > UINT64_MAX / factor ||
        number * factor < knob->min || number * factor > knob->max) {
        return out_of_range(knob, wrong);
    }
    *amount = number * factor;
    return NULL;
}

static const char *read_flag(bool *flag, const char *text)
{
    static const char *const yes[] = {"true", "yes", "on", "1"};
    static const char *const no[] = {"false", "no", "off", "0"};
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); ++i) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *flag = strcmp(text, yes[i]) == 0;
            return NULL;
        }
    }
    return "is neither true nor false";
}

static bool read_choice(const char *const *names, size_t count,
                        const char *text, size_t *choice)
{
    for (size_t i = 0; i < count; ++i) {
        if (strcmp(names[i], text) == 0) {
            *choice = i;
            return true;
        }
    }
    return false;
}

static const char *read_level(enum config_log_level *level, const char *text)
{
    size_t choice = 0;
    if (!read_choice(level_names, sizeof(level_names) / sizeof(level_names[0]),
                     text, &choice)) {
        return "is none of error, warn, info, debug";
    }
    *level = (enum config_log_level)choice;
    return NULL;
}

static const char *read_format(enum config_log_format *format, const char *text)
{
    size_t choice = 0;
    if (!read_choice(format_names,
                     sizeof(format_names) / sizeof(format_names[0]), text,
                     &choice)) {
        return "is neither text nor json";
    }
    *format = (enum config_log_format)choice;
    return NULL;
}

static const char *check_listen(const char *text, bool *loopback)
{
    static const char usage[] = "is not ADDR:PORT, e.g. 127.0.0.1:8080";
    char address[INET6_ADDRSTRLEN];
    struct in_addr v4;
    struct in6_addr v6;
    const char *colon = strrchr(text, ':');
    if (colon == NULL || colon == text) {
        return usage;
    }
    bool bracketed = text[0] == '[' && colon[-1] == ']';
    const char *begin = bracketed ? text + 1 : text;
    size_t length = (size_t)(colon - text) - (bracketed ? 2 : 0);
    if (length >= sizeof(address)) {
        return usage;
    }
    memcpy(address, begin, length);
    address[length] = '\0';
    if (bracketed ? inet_pton(AF_INET6, address, &v6) != 1
                  : inet_pton(AF_INET, address, &v4) != 1) {
        return usage;
    }
    char *end = NULL;
    if (colon[1] < '0' || colon[1] > '9' || strlen(colon + 1) > 5 ||
        strtoul(colon + 1, &end, 10) > 65535 || *end != '\0') {
        return "has a port that is not in 0 to 65535";
    }
    *loopback =
        bracketed ? IN6_IS_ADDR_LOOPBACK(&v6) : (ntohl(v4.s_addr) >> 24) == 127;
    return NULL;
}

static const char *check_url(const char *text)
{
    const char *host = NULL;
    if (strncmp(text, "https://", 8) == 0) {
        host = text + 8;
    } else if (strncmp(text, "http://", 7) == 0) {
        host = text + 7;
    }
    if (text[0] != '\0' && (host == NULL || host[0] == '\0' ||
                            strpbrk(text, " \t\"'<>\\?#") != NULL)) {
        return "is not http://HOST[:PORT] or https://HOST[:PORT]";
    }
    return NULL;
}

static const char *check_hosts(const char *text)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789.-:[], ";
    return text[strspn(text, allowed)] == '\0'
               ? NULL
               : "is not a list of host names with commas";
}

/* Whether a line of a configuration file can say it, as --print-config does. */
static const char *check_line(const struct knob *knob, const char *text)
{
    size_t length = strlen(text);
    if (strlen(knob->name) + strlen(" = ") + length > KNOB_LINE_MAX) {
        return "is too long for a line of a configuration file";
    }
    if (length > 0 && (text[0] == ' ' || text[length - 1] == ' ')) {
        return "begins or ends with a blank; leave it out";
    }
    for (size_t i = 0; i < length; ++i) {
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f) {
            return "holds a control character; leave it out";
        }
        if (text[i] == ';' && (i == 0 || text[i - 1] == ' ')) {
            return "holds a ';' that begins a comment; leave it out";
        }
    }
    return NULL;
}

static const char *check_text(enum knob_kind kind, const char *text)
{
    bool loopback = false;
    switch (kind) {
    case KNOB_LISTEN:
        return check_listen(text, &loopback);
    case KNOB_URL:
        return check_url(text);
    case KNOB_HOSTS:
        return check_hosts(text);
    case KNOB_PATH:
    case KNOB_FLAG:
    case KNOB_NUMBER:
    case KNOB_TIME:
    case KNOB_SIZE:
    case KNOB_LEVEL:
    case KNOB_FORMAT:
        break;
    }
    return NULL;
}

static const char *read_text(const struct knob *knob, char **value,
                             const char *text)
{
    const char *wrong = check_line(knob, text);
    if (wrong == NULL) {
        wrong = check_text(knob->kind, text);
    }
    char *copy = wrong == NULL ? strdup(text) : NULL;
    if (copy != NULL) {
        free(*value);
        *value = copy;
    } else if (wrong == NULL) {
        wrong = "does not fit into memory";
    }
    return wrong;
}

bool knob_read(const struct knob *knob, struct config *config, const char *text,
               char wrong[KNOB_TEXT_SIZE])
{
    void *field = (char *)config + knob->offset;
    const char *problem = NULL;
    switch (knob->kind) {
    case KNOB_FLAG:
        problem = read_flag(field, text);
        break;
    case KNOB_NUMBER:
    case KNOB_TIME:
    case KNOB_SIZE:
        problem = read_amount(knob, field, text, wrong);
        break;
    case KNOB_LEVEL:
        problem = read_level(field, text);
        break;
    case KNOB_FORMAT:
        problem = read_format(field, text);
        break;
    case KNOB_LISTEN:
    case KNOB_PATH:
    case KNOB_URL:
    case KNOB_HOSTS:
        problem = read_text(knob, field, text);
        break;
    }
    if (problem != NULL && problem != wrong) {
        (void)snprintf(wrong, KNOB_TEXT_SIZE, "%s", problem);
    }
    return problem == NULL;
}

void knob_clear(const struct knob *knob, struct config *config)
{
    char **text = (void *)((char *)config + knob->offset);
    switch (knob->kind) {
    case KNOB_LISTEN:
    case KNOB_PATH:
    case KNOB_URL:
    case KNOB_HOSTS:
        free(*text);
        *text = NULL;
        break;
    case KNOB_FLAG:
    case KNOB_NUMBER:
    case KNOB_TIME:
    case KNOB_SIZE:
    case KNOB_LEVEL:
    case KNOB_FORMAT:
        break;
    }
}

bool knob_is_loopback(const char *listen)
{
    bool loopback = false;
    return check_listen(listen, &loopback) == NULL && loopback;
}

/* ---- showing ------------------------------------------------------------- */

void knob_print(const struct knob *knob, const struct config *config, FILE *out)
{
    const void *field = (const char *)config + knob->offset;
    char text[KNOB_TEXT_SIZE];
    switch (knob->kind) {
    case KNOB_FLAG:
        (void)fputs(*(const bool *)field ? "true" : "false", out);
        break;
    case KNOB_NUMBER:
    case KNOB_TIME:
    case KNOB_SIZE:
        amount_text(knob->kind, *(const uint64_t *)field, text);
        (void)fputs(text, out);
        break;
    case KNOB_LEVEL:
        (void)fputs(level_names[config->log_level], out);
        break;
    case KNOB_FORMAT:
        (void)fputs(format_names[config->log_format], out);
        break;
    case KNOB_LISTEN:
    case KNOB_PATH:
    case KNOB_URL:
    case KNOB_HOSTS:
        (void)fputs(*(char *const *)field, out);
        break;
    }
}

static const char *placeholder(enum knob_kind kind)
{
    switch (kind) {
    case KNOB_FLAG:
        return "";
    case KNOB_NUMBER:
        return " N";
    case KNOB_TIME:
        return " TIME";
    case KNOB_SIZE:
        return " SIZE";
    case KNOB_LEVEL:
        return " error|warn|info|debug";
    case KNOB_FORMAT:
        return " text|json";
    case KNOB_LISTEN:
        return " ADDR:PORT";
    case KNOB_PATH:
        return " PATH";
    case KNOB_URL:
        return " URL";
    case KNOB_HOSTS:
        break;
    }
    return " HOST,...";
}

void knob_print_help(const struct knob *knob, FILE *out)
{
    char least[KNOB_TEXT_SIZE];
    char most[KNOB_TEXT_SIZE];
    const char *value = knob->value[0] != '\0' ? knob->value : "none";
    (void)fprintf(out, "  --%s%s\n      %s (", knob->name,
                  placeholder(knob->kind), knob->help);
    if (knob->max != 0) {
        amount_text(knob->kind, knob->min, least);
        amount_text(knob->kind, knob->max, most);
        (void)fprintf(out, "%s to %s, ", least, most);
    }
    (void)fprintf(out, "default %s)\n", value);
}
