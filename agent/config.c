/* One table has a row for each option: its flag, its variable, where it goes,
 * what it may be. Parsing and --help are derived from it, so that no option can
 * be in one and not in the other. */
#include "agent/config.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/sys.h"

enum kind {
    KIND_TEXT,     /* const char * */
    KIND_COUNT,    /* uint32_t, min..max */
    KIND_DURATION, /* uint64_t, milliseconds, min..max */
    KIND_SIZE,     /* uint64_t, bytes, min..max */
    KIND_SERVER,
    KIND_KEY,
    KIND_KEY_FILE,
    KIND_ID,
    KIND_SOCKET,
    KIND_POLICY,
    KIND_FORWARD,
    KIND_LOG_FORMAT,
    KIND_LOG_LEVEL
};

struct row {
    const char *flag, *variable, *value;
    enum kind kind;
    size_t field; /* offset in struct config, for the first four kinds */
    uint64_t min, max;
    const char *initial; /* NULL: none */
    const char *help;
};

#define FIELD(name) offsetof(struct config, name)
#define SECOND 1000u
#define HOUR (3600u * SECOND)

enum { ROW_KEY = 1, ROW_KEY_FILE = 2 };

static const struct row rows[] = {
    {"server-url", "ORTHRUS_SERVER_URL", "URL", KIND_SERVER, 0, 0, 0, NULL,
     "server to dial: wss://HOST[:PORT][/PATH]"},
    [ROW_KEY] = {"auth-key", "ORTHRUS_AUTH_KEY", "KEY", KIND_KEY, 0, 0, 0, NULL,
                 "auth key; every user of this host sees a command line"},
    [ROW_KEY_FILE] = {"auth-key-file", "ORTHRUS_AUTH_KEY_FILE", "FILE",
                      KIND_KEY_FILE, 0, 0, 0, NULL,
                      "file that holds the auth key, one line"},
    {"agent-id", "ORTHRUS_AGENT_ID", "ID", KIND_ID, FIELD(agent_id), 0, 0,
     "unknown", "what this agent calls itself"},
    {"docker-socket", "ORTHRUS_DOCKER_SOCKET", "PATH", KIND_SOCKET,
     FIELD(docker_socket), 0, 0, "/var/run/docker.sock",
     "unix socket of the Docker Engine"},
    {"policy", "ORTHRUS_POLICY", "POLICY", KIND_POLICY, 0, 0, 0, "read-only",
     "what the server may ask the engine: read-only, or\n"
     "allow-all, which makes the server root on this host"},
    {"forward-allow", "ORTHRUS_FORWARD_ALLOW", "HOST:PORT", KIND_FORWARD, 0, 0,
     0, NULL,
     "target that the server may have connected to; repeat\n"
     "it, or separate with commas, for more; none by default"},
    {"ca-file", "ORTHRUS_CA_FILE", "FILE", KIND_TEXT, FIELD(ca_file), 0, 0,
     NULL, "PEM certificates to trust instead of the system's"},
    {"client-cert", "ORTHRUS_CLIENT_CERT", "FILE", KIND_TEXT,
     FIELD(client_cert), 0, 0, NULL, "PEM certificate to show to the server"},
    {"client-key", "ORTHRUS_CLIENT_KEY", "FILE", KIND_TEXT, FIELD(client_key),
     0, 0, NULL, "PEM private key of --client-cert"},
    {"log-level", "ORTHRUS_LOG_LEVEL", "LEVEL", KIND_LOG_LEVEL, 0, 0, 0, "info",
     "debug, info, warn or error"},
    {"log-format", "ORTHRUS_LOG_FORMAT", "FORMAT", KIND_LOG_FORMAT, 0, 0, 0,
     "text", "text or json"},
    {"status-file", "ORTHRUS_STATUS_FILE", "FILE", KIND_TEXT,
     FIELD(status_file), 0, 0, NULL, "JSON file that says how the agent is"},
    {"streams-max", "ORTHRUS_STREAMS_MAX", "COUNT", KIND_COUNT,
     FIELD(streams_max), 1, 32768, "1024", "connections at once"},
    {"recv-window-growth", "ORTHRUS_RECV_WINDOW_GROWTH", "SIZE", KIND_SIZE,
     FIELD(recv_window_growth), 0, 1u << 30, "32MiB",
     "bytes that the server may send further ahead over\n"
     "distance, of all connections; 0: none"},
    {"spill-budget", "ORTHRUS_SPILL_BUDGET", "SIZE", KIND_SIZE,
     FIELD(spill_budget), 1u << 20, 1ull << 40, "64MiB",
     "bytes to hold for sockets that do not keep up"},
    {"ping-interval", "ORTHRUS_PING_INTERVAL", "TIME", KIND_DURATION,
     FIELD(ping_interval_ms), 100, HOUR, "5s",
     "silence after which the server is pinged"},
    {"ping-missed", "ORTHRUS_PING_MISSED", "COUNT", KIND_COUNT,
     FIELD(ping_missed_max), 2, 100, "3",
     "silent intervals after which the link is given up"},
    {"reconnect-min", "ORTHRUS_RECONNECT_MIN", "TIME", KIND_DURATION,
     FIELD(reconnect_min_ms), 10, 24 * HOUR, "5s",
     "delay before the second dial; doubles each time"},
    {"reconnect-max", "ORTHRUS_RECONNECT_MAX", "TIME", KIND_DURATION,
     FIELD(reconnect_max_ms), 10, 24 * HOUR, "60s", "longest delay"},
    {"unauthorized-delay", "ORTHRUS_UNAUTHORIZED_DELAY", "TIME", KIND_DURATION,
     FIELD(unauthorized_ms), 10, 24 * HOUR, "5m",
     "delay after the server refused the key (401)"},
    {"dial-timeout", "ORTHRUS_DIAL_TIMEOUT", "TIME", KIND_DURATION,
     FIELD(dial_timeout_ms), 100, HOUR, "10s",
     "limit of one dial, from look-up to upgrade"},
    {"connect-timeout", "ORTHRUS_CONNECT_TIMEOUT", "TIME", KIND_DURATION,
     FIELD(connect_timeout_ms), 10, HOUR, "10s",
     "limit of a connect to the engine or a forward target"},
    {"response-timeout", "ORTHRUS_RESPONSE_TIMEOUT", "TIME", KIND_DURATION,
     FIELD(response_timeout_ms), 0, 24 * HOUR, "5m",
     "under read-only, limit of the engine's answer; 0: none"},
    {"drain-timeout", "ORTHRUS_DRAIN_TIMEOUT", "TIME", KIND_DURATION,
     FIELD(drain_timeout_ms), 0, HOUR, "30s",
     "after SIGTERM, limit for connections to finish"},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* The text that is being parsed: what, and who gave it, for the message. */
struct value {
    const struct row *row;
    const char *text;
    bool from_environment;
};

/* Always false, so that a failure is one line at its place. */
__attribute__((format(printf, 2, 3))) static bool fail(char *error,
                                                       const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(error, CONFIG_TEXT_SIZE, format, arguments);
    va_end(arguments);
    return false;
}

/* "ORTHRUS_POLICY" or "--policy": the place to go to and change it. */
static const char *source(const struct value *value, char name[64])
{
    snprintf(name, 64, "%s%s", value->from_environment ? "" : "--",
             value->from_environment ? value->row->variable : value->row->flag);
    return name;
}

static bool fail_value(char *error, const struct value *value,
                       const char *remedy)
{
    char name[64];

    return fail(error, "orthrus: %s \"%.200s\": %s", source(value, name),
                value->text, remedy);
}

/* ---- numbers ------------------------------------------------------------- */

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit duration_units[] = {
    {"", SECOND},       {"ms", 1},   {"s", SECOND},
    {"m", 60 * SECOND}, {"h", HOUR}, {NULL, 0},
};
static const struct unit size_units[] = {
    {"", 1},           {"K", 1u << 10}, {"KiB", 1u << 10}, {"M", 1u << 20},
    {"MiB", 1u << 20}, {"G", 1u << 30}, {"GiB", 1u << 30}, {NULL, 0},
};
static const struct unit no_units[] = {{"", 1}, {NULL, 0}};

/* Digits and a unit. False: neither, or outside min..max. */
static bool parse_number(const struct value *value, const struct unit *units,
                         uint64_t *number)
{
    const char *text = value->text;
    char *end;

    if (text[0] < '0' || text[0] > '9') {
        return false;
    }
    errno = 0;
    *number = strtoull(text, &end, 10);
    if (errno != 0) {
        return false;
    }
    while (units->name != NULL && strcmp(units->name, end) != 0) {
        units++;
    }
    if (units->name == NULL || *number > value->row->max / units->factor) {
        return false;
    }
    *number *= units->factor;
    return *number >= value->row->min;
}

/* "250ms", "5s", "10m": the largest unit that divides it. */
static const char *duration_text(uint64_t ms, char text[32])
{
    static const char *const names[] = {"h", "m", "s", "ms"};
    static const uint64_t factors[] = {HOUR, 60 * SECOND, SECOND, 1};
    size_t i = 0;

    while (ms % factors[i] != 0) {
        i++;
    }
    snprintf(text, 32, "%llu%s", (unsigned long long)(ms / factors[i]),
             ms == 0 ? "" : names[i]);
    return text;
}

static bool set_count(void *field, const struct value *value, char *error)
{
    char remedy[128];
    uint32_t *count = field;
    uint64_t number;

    if (!parse_number(value, no_units, &number)) {
        snprintf(remedy, sizeof(remedy), "give a number from %llu to %llu",
                 (unsigned long long)value->row->min,
                 (unsigned long long)value->row->max);
        return fail_value(error, value, remedy);
    }
    *count = (uint32_t)number;
    return true;
}

static bool set_duration(void *field, const struct value *value, char *error)
{
    char remedy[128];
    char min[32];
    char max[32];

    if (!parse_number(value, duration_units, field)) {
        snprintf(remedy, sizeof(remedy),
                 "give a time from %s to %s; ms, s, m and h are understood",
                 duration_text(value->row->min, min),
                 duration_text(value->row->max, max));
        return fail_value(error, value, remedy);
    }
    return true;
}

static bool set_size(void *field, const struct value *value, char *error)
{
    if (!parse_number(value, size_units, field)) {
        return fail_value(error, value,
                          "give a size of at least 1MiB; KiB, MiB and GiB "
                          "are understood");
    }
    return true;
}

/* ---- the other kinds ----------------------------------------------------- */

/* What goes into a header field: no control character. */
static bool is_field_text(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool set_server(struct config *config, const struct value *value,
                       char *error)
{
    char sentence[URL_ERROR_SIZE];

    config->server_text = value->text;
    if (!url_parse_server(&config->server, value->text, sentence)) {
        return fail(error, "orthrus: invalid server URL: %s", sentence);
    }
    return true;
}

/* The message never repeats the key (AC-16). */
static bool set_key(struct config *config, const struct value *value,
                    const char *key, size_t length, char *error)
{
    char name[64];

    source(value, name);
    if (length == 0 || length > CONFIG_KEY_MAX) {
        return fail(error,
                    "orthrus: %s: the auth key has %zu characters; give the "
                    "one that the server printed",
                    name, length);
    }
    for (size_t i = 0; i < length; i++) {
        if (key[i] <= ' ' || key[i] > '~') {
            return fail(error,
                        "orthrus: %s: the auth key contains a blank or a "
                        "character that is not ASCII; give the one that the "
                        "server printed",
                        name);
        }
    }
    memcpy(config->key, key, length);
    config->key[length] = '\0';
    return true;
}

static bool set_key_file(struct config *config, const struct value *value,
                         char *error)
{
    char content[CONFIG_KEY_MAX + 3]; /* "\r\n", and one byte too many */
    int fd = sys_open(value->text, O_RDONLY | O_CLOEXEC | O_NOCTTY, 0);
    ssize_t length = fd < 0 ? -1 : sys_read(fd, content, sizeof(content));
    int reason = errno;
    bool done;

    if (fd >= 0) {
        sys_close(fd);
    }
    if (length < 0) {
        char remedy[160];
        snprintf(remedy, sizeof(remedy), "%s; it must hold the auth key",
                 strerror(reason));
        return fail_value(error, value, remedy);
    }
    while (length > 0 &&
           (content[length - 1] == '\n' || content[length - 1] == '\r')) {
        length--;
    }
    done = set_key(config, value, content, (size_t)length, error);
    explicit_bzero(content, sizeof(content));
    return done;
}

static bool set_id(struct config *config, const struct value *value,
                   char *error)
{
    if (strlen(value->text) > 128 || !is_field_text(value->text)) {
        return fail_value(error, value,
                          "use at most 128 characters, none of them a control "
                          "character");
    }
    config->agent_id = value->text;
    return true;
}

static bool set_socket(struct config *config, const struct value *value,
                       char *error)
{
    struct sockaddr_un address;

    if (strlen(value->text) >= sizeof(address.sun_path)) {
        return fail_value(error, value,
                          "the path of a unix socket has at most 107 "
                          "characters");
    }
    config->docker_socket = value->text;
    return true;
}

static bool set_policy(struct config *config, const struct value *value,
                       char *error)
{
    config->allow_all = strcmp(value->text, "allow-all") == 0;
    if (!config->allow_all && strcmp(value->text, "read-only") != 0) {
        return fail_value(error, value, "use read-only or allow-all");
    }
    return true;
}

static bool set_forward(struct config *config, const struct value *value,
                        char *error)
{
    const char *text = value->text;

    while (*text != '\0') {
        struct span entry = {(const uint8_t *)text, strcspn(text, ",")};
        if (config->forward_count == CONFIG_FORWARD_MAX) {
            return fail_value(error, value, "there is room for 64 targets");
        }
        if (!preface_parse_address(&config->forward[config->forward_count],
                                   entry)) {
            return fail_value(error, value,
                              "write each target as HOST:PORT or "
                              "[IPV6]:PORT");
        }
        config->forward_count++;
        text += entry.length;
        text += *text == ',';
    }
    return true;
}

/* The existing agent's logger knows more names for the same four. */
static bool set_log_level(struct config *config, const struct value *value,
                          char *error)
{
    static const char *const synonyms[][2] = {{"trace", "debug"},
                                              {"warning", "warn"},
                                              {"fatal", "error"},
                                              {"panic", "error"}};
    const char *name = value->text;

    for (size_t i = 0; i < sizeof(synonyms) / sizeof(synonyms[0]); i++) {
        if (strcmp(name, synonyms[i][0]) == 0) {
            name = synonyms[i][1];
        }
    }
    if (!log_level_parse(&config->log_level, name)) {
        return fail_value(error, value, "use debug, info, warn or error");
    }
    return true;
}

static bool set_log_format(struct config *config, const struct value *value,
                           char *error)
{
    if (!log_format_parse(&config->log_format, value->text)) {
        return fail_value(error, value, "use text or json");
    }
    return true;
}

static bool set(struct config *config, const struct value *value, char *error)
{
    void *field = (char *)config + value->row->field;

    switch (value->row->kind) {
    case KIND_TEXT:
        memcpy(field, &value->text, sizeof(value->text));
        return true;
    case KIND_COUNT:
        return set_count(field, value, error);
    case KIND_DURATION:
        return set_duration(field, value, error);
    case KIND_SIZE:
        return set_size(field, value, error);
    case KIND_SERVER:
        return set_server(config, value, error);
    case KIND_KEY:
        return set_key(config, value, value->text, strlen(value->text), error);
    case KIND_KEY_FILE:
        return set_key_file(config, value, error);
    case KIND_ID:
        return set_id(config, value, error);
    case KIND_SOCKET:
        return set_socket(config, value, error);
    case KIND_POLICY:
        return set_policy(config, value, error);
    case KIND_FORWARD:
        return set_forward(config, value, error);
    case KIND_LOG_FORMAT:
        return set_log_format(config, value, error);
    case KIND_LOG_LEVEL:
        return set_log_level(config, value, error);
    }
    return false;
}

/* ---- the whole ----------------------------------------------------------- */

static void print_help(char *text)
{
    size_t used = (size_t)snprintf(
        text, CONFIG_TEXT_SIZE,
        "usage: orthrus-agent [OPTION]...\n"
        "Dials an Orthrus server and lets it reach the Docker Engine of this "
        "host.\n\n"
        "The variable in parentheses sets the same and goes before the "
        "option.\n\n");

    for (size_t i = 0; i < ROWS && used < CONFIG_TEXT_SIZE; i++) {
        const char *help = rows[i].help;
        used += (size_t)snprintf(text + used, CONFIG_TEXT_SIZE - used,
                                 "  --%s %s  (%s)\n", rows[i].flag,
                                 rows[i].value, rows[i].variable);
        while (*help != '\0' && used < CONFIG_TEXT_SIZE) {
            int length = (int)strcspn(help, "\n");
            used += (size_t)snprintf(text + used, CONFIG_TEXT_SIZE - used,
                                     "        %.*s", length, help);
            help += length;
            if (*help == '\0' && rows[i].initial != NULL &&
                used < CONFIG_TEXT_SIZE) {
                used += (size_t)snprintf(text + used, CONFIG_TEXT_SIZE - used,
                                         "; default %s", rows[i].initial);
            }
            help += *help == '\n';
            if (used < CONFIG_TEXT_SIZE) {
                used += (size_t)snprintf(text + used, CONFIG_TEXT_SIZE - used,
                                         "\n");
            }
        }
    }
    if (used < CONFIG_TEXT_SIZE) {
        snprintf(text + used, CONFIG_TEXT_SIZE - used,
                 "  --help\n  --version\n\n"
                 "HTTPS_PROXY and NO_PROXY (for ws://, HTTP_PROXY) are "
                 "obeyed.\n"
                 "Exit status: 0 after SIGTERM or SIGINT, 1 when it cannot "
                 "run, 2 when it is\nset up wrongly.\n");
    }
}

enum { OPTION_HELP = 1000, OPTION_VERSION };

/* Fill values[row] from argv; of forward-allow, set each at once. */
static enum config_result parse_flags(struct config *config,
                                      const char *values[ROWS], int argc,
                                      char **argv, char *text)
{
    struct option options[ROWS + 3] = {0};
    int option;

    for (size_t i = 0; i < ROWS; i++) {
        options[i] =
            (struct option){rows[i].flag, required_argument, NULL, (int)i};
    }
    options[ROWS] = (struct option){"help", no_argument, NULL, OPTION_HELP};
    options[ROWS + 1] =
        (struct option){"version", no_argument, NULL, OPTION_VERSION};
    optind = 0; /* glibc: begin anew */
    opterr = 0;
    /* also with one dash, as Go's flags are written */
    while ((option = getopt_long_only(argc, argv, ":", options, NULL)) != -1) {
        if (option == OPTION_HELP) {
            print_help(text);
            return CONFIG_PRINT;
        }
        if (option == OPTION_VERSION) {
            snprintf(text, CONFIG_TEXT_SIZE, "orthrus-agent %s\n",
                     ORTHRUS_VERSION);
            return CONFIG_PRINT;
        }
        if (option == ':') {
            fail(text, "orthrus: %s needs a value; see --help",
                 argv[optind - 1]);
            return CONFIG_INVALID;
        }
        if (option == '?') {
            fail(text, "orthrus: %.100s is not an option; see --help",
                 argv[optind - 1]);
            return CONFIG_INVALID;
        }
        values[option] = optarg;
        if (rows[option].kind == KIND_FORWARD) {
            struct value value = {&rows[option], optarg, false};
            if (!set(config, &value, text)) {
                return CONFIG_INVALID;
            }
        }
    }
    if (optind < argc) {
        fail(text, "orthrus: unexpected argument \"%.100s\"; see --help",
             argv[optind]);
        return CONFIG_INVALID;
    }
    return CONFIG_RUN;
}

/* One source of the key: environment before command line, and not two alike. */
static bool choose_key(struct config *config, const char *flags[ROWS],
                       const char *variables[ROWS], char *error)
{
    const char **values =
        variables[ROW_KEY] != NULL || variables[ROW_KEY_FILE] != NULL
            ? variables
            : flags;
    size_t row = values[ROW_KEY] != NULL ? ROW_KEY : ROW_KEY_FILE;
    struct value value = {&rows[row], values[row], values == variables};

    if (value.text == NULL) {
        /* the observed sentence */
        return fail(error, "orthrus: auth key required \u2014 set "
                           "ORTHRUS_AUTH_KEY env var or --auth-key flag");
    }
    if (values[ROW_KEY] != NULL && values[ROW_KEY_FILE] != NULL) {
        return fail(error, "orthrus: %s: keep one of the two",
                    values == variables
                        ? "ORTHRUS_AUTH_KEY and ORTHRUS_AUTH_KEY_FILE"
                        : "--auth-key and --auth-key-file");
    }
    return set(config, &value, error);
}

/* A key on the command line can be read by every user while we run. */
static void hide_key(struct config *config, const char *key, int argc,
                     char **argv)
{
    for (int i = 1; key != NULL && i < argc; i++) {
        size_t length = strlen(argv[i]);
        if (key >= argv[i] && key <= argv[i] + length) {
            memset(argv[i] + (key - argv[i]), 'x', strlen(key));
            config->key_on_command_line = true;
        }
    }
}

static bool set_all(struct config *config, const char *flags[ROWS],
                    const char *variables[ROWS], char *error)
{
    for (size_t i = 0; i < ROWS; i++) {
        bool from_environment = variables[i] != NULL;
        const char *text = from_environment   ? variables[i]
                           : flags[i] != NULL ? flags[i]
                                              : rows[i].initial;
        struct value value = {&rows[i], text, from_environment};
        if (i == ROW_KEY || i == ROW_KEY_FILE || text == NULL) {
            continue;
        }
        if (rows[i].kind == KIND_FORWARD) {
            if (!from_environment) {
                continue; /* set when it was read, as often as it came */
            }
            config->forward_count = 0;
        }
        if (!set(config, &value, error)) {
            return false;
        }
    }
    if (!choose_key(config, flags, variables, error)) {
        return false;
    }
    if (config->server_text == NULL) {
        /* the observed sentence */
        return fail(error, "orthrus: server URL required \u2014 set "
                           "ORTHRUS_SERVER_URL env var or --server-url flag");
    }
    if ((config->client_cert == NULL) != (config->client_key == NULL)) {
        return fail(error, "orthrus: --client-cert and --client-key go "
                           "together: give both or neither");
    }
    if (config->reconnect_min_ms > config->reconnect_max_ms) {
        return fail(error, "orthrus: --reconnect-min is longer than "
                           "--reconnect-max: make it shorter");
    }
    return true;
}

enum config_result config_parse(struct config *config, int argc, char **argv,
                                char *(*environment)(const char *name),
                                char text[CONFIG_TEXT_SIZE])
{
    const char *flags[ROWS] = {0};
    const char *variables[ROWS] = {0};
    enum config_result result;
    bool done;

    memset(config, 0, sizeof(*config));
    result = parse_flags(config, flags, argc, argv, text);
    if (result != CONFIG_RUN) {
        return result;
    }
    for (size_t i = 0; i < ROWS; i++) {
        const char *value = environment(rows[i].variable);
        variables[i] = value != NULL && value[0] != '\0' ? value : NULL;
    }
    done = set_all(config, flags, variables, text);
    hide_key(config, flags[ROW_KEY], argc, argv);
    return done ? CONFIG_RUN : CONFIG_INVALID;
}
