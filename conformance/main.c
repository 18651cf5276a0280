/* yamuxspec: judges a yamux peer, black box. */
#include <fnmatch.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conformance/fingerprint.h"
#include "conformance/report.h"
#include "conformance/runner.h"

enum status { PASSED, FAILED, USAGE, UNREACHABLE, STOPPED = 130 };

#define PATTERNS_MAX 32u

static const struct spec_case *const groups[] = {
    case_framing, case_ping,  case_goaway, case_accept, case_open,
    case_window,  case_close, case_reset,  case_limit,  case_websocket};
#define GROUPS (sizeof groups / sizeof *groups)

static const char usage[] =
    "usage: yamuxspec (--connect URL | --listen URL | --peer-command CMD)\n"
    "                 [options]\n"
    "Judges a yamux peer: one fresh connection a case, one verdict a case.\n"
    "\n"
    "the peer\n"
    "  --connect URL       tcp://HOST:PORT, unix:///PATH, ws:// or wss://\n"
    "  --listen URL        the peer dials us here\n"
    "  --peer-command CMD  starts the peer; {mode}, {address} and {role} are\n"
    "                      replaced; with --connect or --listen: by that kind\n"
    "                      of address (default tcp://127.0.0.1:0: free ports)\n"
    "  --role ROLE         our yamux role: client (default) or server\n"
    "  --mode LIST         what the peer's application does: echo, sink, "
    "hold,\n"
    "                      noaccept, source, opener, app (default: any; with\n"
    "                      --peer-command: all)\n"
    "  --header 'N: V'     of the WebSocket request; may be repeated\n"
    "  --ca-file FILE      PEM, instead of the system's roots (wss)\n"
    "  --cert-file FILE    PEM chain and key, to listen with wss\n"
    "  --stream-preface HEX  bytes that every stream begins with, ours and "
    "theirs\n"
    "  --control URL       the command open goes here, a connection each, and\n"
    "                      not over a stream: tcp:// or unix://\n"
    "  --mirror            the peer takes no stream: it is asked through\n"
    "                      --control to open those that a case is about\n"
    "  --pid PID           of the peer, for cases that look at its memory\n"
    "  --peer-log FILE     what the started peer prints goes here\n"
    "\n"
    "the run\n"
    "  --case PATTERN      only these: F-*, P-0?, W-17; comma list, repeated\n"
    "  --profile NAME      spec (default), hashicorp, libp2p, strict\n"
    "  --timeout MS        for one answer (default 3000)\n"
    "  --jobs N            cases at the same time, 1-16 (default 2; 1 with\n"
    "                      --listen)\n"
    "  --seed N            of everything random (default 1)\n"
    "  --cut               cut what is sent at random places\n"
    "  --slow              also the cases that take a minute\n"
    "\n"
    "the result\n"
    "  --format NAME       table (default), tap, json, junit, markdown\n"
    "  --output FILE       instead of stdout\n"
    "  --list              the cases, and exit\n"
    "  --version, --help\n"
    "\n"
    "exit: 0 no MUST failed; 1 one did (strict: or a SHOULD); 2 usage;\n"
    "      3 the peer cannot be reached\n";

struct options {
    struct runner_options runner;
    const char *connect;
    const char *listen;
    const char *profile;
    const char *output;
    const char *patterns[PATTERNS_MAX];
    unsigned pattern_count;
    struct channel_target control;
    enum report_format format;
    bool list;
    bool modes_given;
    bool jobs_given;
};

static bool complain(const char *option, const char *value, const char *wanted)
{
    fprintf(stderr, "yamuxspec: %s \"%s\": %s\n", option, value, wanted);
    return false;
}

static bool parse_number(const char *option, const char *text, uint64_t least,
                         uint64_t most, uint64_t *number)
{
    char *end = NULL;
    char wanted[80];
    unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || value < least || value > most) {
        snprintf(wanted, sizeof wanted, "a number from %llu to %llu is wanted",
                 (unsigned long long)least, (unsigned long long)most);
        return complain(option, text, wanted);
    }
    *number = value;
    return true;
}

static bool parse_modes(struct options *options, const char *text)
{
    while (*text) {
        size_t length = strcspn(text, ",");
        unsigned mode = 0;
        for (; mode < SPEC_MODES; mode++) {
            const char *name = runner_mode_name((enum spec_mode)mode);
            if (strlen(name) == length && strncmp(name, text, length) == 0) {
                break;
            }
        }
        if (mode == SPEC_MODES) {
            return complain("--mode", text,
                            "known are any, echo, sink, hold, noaccept, "
                            "source, opener, app");
        }
        options->runner.modes |= 1u << mode;
        text += length + (text[length] == ',');
    }
    options->modes_given = true;
    return true;
}

static bool parse_preface(struct options *options, const char *text)
{
    struct runner_options *runner = &options->runner;
    size_t length = strlen(text);
    if (length == 0 || length % 2 || length > 2 * RUNNER_PREFACE_MAX ||
        strspn(text, "0123456789abcdefABCDEF") < length) {
        return complain("--stream-preface", text,
                        "1 to 64 bytes in hexadecimal are wanted");
    }
    runner->preface_length = length / 2;
    for (size_t i = 0; i < length / 2; i++) {
        char digits[3] = {text[2 * i], text[2 * i + 1], '\0'};
        runner->preface[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return true;
}

static bool parse_control(struct options *options, const char *url)
{
    char error[CHANNEL_ERROR];
    if (!channel_parse(&options->control, url, error)) {
        return complain("--control", url, error);
    }
    if (options->control.scheme >= CHANNEL_WS) {
        return complain("--control", url, "tcp:// or unix:// is wanted");
    }
    options->runner.control = &options->control;
    return true;
}

enum option_id {
    CONNECT = 256,
    LISTEN,
    PEER_COMMAND,
    ROLE,
    MODE,
    HEADER,
    CA_FILE,
    CERT_FILE,
    STREAM_PREFACE,
    CONTROL,
    MIRROR,
    PID,
    PEER_LOG,
    CASE,
    PROFILE,
    TIMEOUT,
    JOBS,
    SEED,
    CUT,
    SLOW,
    FORMAT,
    OUTPUT,
    LIST,
    VERSION,
    HELP
};

static const struct option_name {
    const char *name;
    bool has_value;
    enum option_id option;
} option_names[] = {{"connect", true, CONNECT},
                    {"listen", true, LISTEN},
                    {"peer-command", true, PEER_COMMAND},
                    {"role", true, ROLE},
                    {"mode", true, MODE},
                    {"header", true, HEADER},
                    {"ca-file", true, CA_FILE},
                    {"cert-file", true, CERT_FILE},
                    {"stream-preface", true, STREAM_PREFACE},
                    {"control", true, CONTROL},
                    {"mirror", false, MIRROR},
                    {"pid", true, PID},
                    {"peer-log", true, PEER_LOG},
                    {"case", true, CASE},
                    {"profile", true, PROFILE},
                    {"timeout", true, TIMEOUT},
                    {"jobs", true, JOBS},
                    {"seed", true, SEED},
                    {"cut", false, CUT},
                    {"slow", false, SLOW},
                    {"format", true, FORMAT},
                    {"output", true, OUTPUT},
                    {"list", false, LIST},
                    {"version", false, VERSION},
                    {"help", false, HELP}};
#define OPTIONS (sizeof option_names / sizeof *option_names)

static bool take_numbers(struct options *options, enum option_id option,
                         const char *name, const char *value)
{
    uint64_t number = 0;
    switch ((int)option) {
    case PID:
        if (!parse_number(name, value, 1, 4194304, &number)) {
            return false;
        }
        options->runner.peer_pid = (int)number;
        return true;
    case TIMEOUT:
        if (!parse_number(name, value, 100, 600000, &number)) {
            return false;
        }
        options->runner.timeout_ms = (unsigned)number;
        return true;
    case JOBS:
        if (!parse_number(name, value, 1, RUNNER_JOBS_MAX, &number)) {
            return false;
        }
        options->runner.jobs = (unsigned)number;
        options->jobs_given = true;
        return true;
    default:
        return parse_number(name, value, 0, UINT64_MAX, &options->runner.seed);
    }
}

static bool take_words(struct options *options, enum option_id option,
                       const char *value)
{
    static const char *const profiles[] = {"spec", "hashicorp", "libp2p",
                                           "strict"};
    struct channel_target *target = &options->runner.target;
    switch ((int)option) {
    case ROLE:
        if (strcmp(value, "client") != 0 && strcmp(value, "server") != 0) {
            return complain("--role", value, "client or server is wanted");
        }
        options->runner.client = *value == 'c';
        return true;
    case HEADER:
        if (!strchr(value, ':') || strpbrk(value, "\r\n")) {
            return complain("--header", value, "\"Name: value\" is wanted");
        }
        if (target->header_count == CHANNEL_HEADERS_MAX) {
            return complain("--header", value, "no more than 16");
        }
        target->headers[target->header_count++] = value;
        return true;
    case CASE:
        if (options->pattern_count == PATTERNS_MAX) {
            return complain("--case", value, "no more than 32 times");
        }
        options->patterns[options->pattern_count++] = value;
        return true;
    case PROFILE:
        for (unsigned i = 0; i < 4; i++) {
            if (strcmp(value, profiles[i]) == 0) {
                options->profile = profiles[i];
                return true;
            }
        }
        return complain("--profile", value,
                        "known are spec, hashicorp, libp2p, strict");
    default:
        return report_format(value, &options->format) ||
               complain("--format", value,
                        "known are table, tap, json, junit, markdown");
    }
}

static bool take_option(struct options *options, enum option_id option,
                        const char *name, const char *value)
{
    struct runner_options *runner = &options->runner;
    switch (option) {
    case CONNECT:
        options->connect = value;
        return true;
    case LISTEN:
        options->listen = value;
        return true;
    case PEER_COMMAND:
        runner->peer_command = value;
        return true;
    case CA_FILE:
        runner->target.ca_file = value;
        return true;
    case CERT_FILE:
        runner->target.cert_file = value;
        return true;
    case PEER_LOG:
        runner->peer_log = value;
        return true;
    case OUTPUT:
        options->output = value;
        return true;
    case STREAM_PREFACE:
        return parse_preface(options, value);
    case CONTROL:
        return parse_control(options, value);
    case MIRROR:
        runner->mirrors = true;
        return true;
    case CUT:
        runner->cuts = true;
        return true;
    case SLOW:
        runner->slow = true;
        return true;
    case LIST:
        options->list = true;
        return true;
    case MODE:
        return parse_modes(options, value);
    case PID:
    case TIMEOUT:
    case JOBS:
    case SEED:
        return take_numbers(options, option, name, value);
    case ROLE:
    case HEADER:
    case CASE:
    case PROFILE:
    case FORMAT:
        return take_words(options, option, value);
    case VERSION:
        printf("yamuxspec " ORTHRUS_VERSION "\n");
        exit(PASSED);
    case HELP:
        fputs(usage, stdout);
        exit(PASSED);
    }
    return false;
}

static bool choose_target(struct options *options)
{
    struct runner_options *runner = &options->runner;
    char error[CHANNEL_ERROR];
    if (options->connect && options->listen) {
        fprintf(stderr, "yamuxspec: --connect or --listen, not both\n");
        return false;
    }
    if (!options->connect && !options->listen && !runner->peer_command) {
        fprintf(stderr, "yamuxspec: where is the peer? --connect URL, "
                        "--listen URL or --peer-command CMD is wanted; see "
                        "yamuxspec --help\n");
        return false;
    }
    const char *url = options->connect  ? options->connect
                      : options->listen ? options->listen
                                        : "tcp://127.0.0.1:0";
    runner->target.listens = options->listen != NULL;
    if (!channel_parse(&runner->target, url, error)) {
        return complain(options->listen ? "--listen" : "--connect", url, error);
    }
    if (!runner->peer_command && !runner->target.listens &&
        (strcmp(runner->target.port, "0") == 0 ||
         (runner->target.scheme == CHANNEL_UNIX && !*runner->target.host))) {
        return complain("--connect", url,
                        "only with --peer-command can it be chosen");
    }
    if (runner->target.listens && runner->target.scheme == CHANNEL_WSS &&
        !runner->target.cert_file) {
        fprintf(stderr, "yamuxspec: --listen wss:// wants --cert-file FILE\n");
        return false;
    }
    if (runner->mirrors && !runner->control) {
        fprintf(stderr, "yamuxspec: --mirror wants --control URL, where the "
                        "peer is asked to open\n");
        return false;
    }
    if (!options->modes_given) {
        runner->modes = runner->peer_command ? 0xffu : 1u << SPEC_ANY;
    }
    if (!options->jobs_given) {
        runner->jobs = runner->target.listens && !runner->peer_command ? 1 : 2;
    }
    return true;
}

static bool parse(struct options *options, int argc, char **argv)
{
    struct option names[OPTIONS + 1] = {0};
    for (unsigned i = 0; i < OPTIONS; i++) {
        names[i] =
            (struct option){option_names[i].name, option_names[i].has_value,
                            NULL, (int)option_names[i].option};
    }
    int found;
    int at;
    while ((found = getopt_long(argc, argv, "", names, &at)) != -1) {
        char name[40];
        if (found == '?') {
            fprintf(stderr, "see yamuxspec --help\n");
            return false;
        }
        snprintf(name, sizeof name, "--%s", names[at].name);
        if (!take_option(options, (enum option_id)found, name, optarg)) {
            return false;
        }
    }
    if (optind < argc) {
        return complain("argument", argv[optind], "none is wanted");
    }
    return options->list || choose_target(options);
}

static bool is_wanted(const struct options *options, const char *id)
{
    if (options->pattern_count == 0) {
        return true;
    }
    for (unsigned i = 0; i < options->pattern_count; i++) {
        const char *text = options->patterns[i];
        while (*text) {
            char pattern[64];
            size_t length = strcspn(text, ",");
            snprintf(pattern, sizeof pattern, "%.*s", (int)length, text);
            if (fnmatch(pattern, id, FNM_CASEFOLD) == 0) {
                return true;
            }
            text += length + (text[length] == ',');
        }
    }
    return false;
}

static void select_cases(const struct options *options, struct report *report)
{
    unsigned total = 0;
    for (unsigned i = 0; i < GROUPS; i++) {
        for (const struct spec_case *row = groups[i]; row->id; row++) {
            total++;
        }
    }
    report->results = calloc(total + 1, sizeof *report->results);
    if (!report->results) {
        abort();
    }
    for (unsigned i = 0; i < GROUPS; i++) {
        for (const struct spec_case *row = groups[i]; row->id; row++) {
            if (is_wanted(options, row->id)) {
                report->results[report->count++].row = row;
            }
        }
    }
}

static void list(const struct report *report)
{
    static const char *const classes[] = {"MUST", "SHOULD", "CHOICE"};
    for (unsigned i = 0; i < report->count; i++) {
        const struct spec_case *row = report->results[i].row;
        printf("%-5s %-8s %-6s %s%s\n", row->id, runner_mode_name(row->mode),
               classes[row->class], row->title,
               row->flags & SPEC_SLOW        ? " [slow]"
               : row->flags & SPEC_WEBSOCKET ? " [websocket]"
                                             : "");
    }
}

/* hashicorp, libp2p: an answer that theirs is not is worth a warning. */
static void apply_profile(struct report *report)
{
    for (unsigned i = 0; i < report->count; i++) {
        struct result *result = &report->results[i];
        unsigned count = result->remark_count;
        for (unsigned j = 0; j < count; j++) {
            if (result->remarks[j].kind != REMARK_CHOICE) {
                continue;
            }
            char key[64];
            char text[256];
            const char *line = result->remarks[j].text;
            size_t length = strcspn(line, "\t");
            snprintf(key, sizeof key, "%.*s", (int)length, line);
            const char *answer = line + length + 1;
            const char *expected = fingerprint_expected(report->profile, key);
            if (!expected || fingerprint_agrees(expected, answer)) {
                continue;
            }
            snprintf(text, sizeof text, "%s is \"%s\"; with %s it is \"%s\"",
                     key, answer, report->profile, expected);
            report_remark(result, REMARK_WARNING, text);
            if (result->verdict == VERDICT_PASS) {
                result->verdict = VERDICT_WARN;
            }
        }
    }
}

static enum status conclude(const struct options *options,
                            struct report *report)
{
    FILE *file = stdout;
    if (options->output) {
        file = fopen(options->output, "we");
        if (!file) {
            perror(options->output);
            return USAGE;
        }
    }
    if (options->runner.lines) {
        report_end(report, file);
    } else {
        report_write(report, options->format, file);
    }
    bool written = fflush(file) == 0 && !ferror(file);
    if (file != stdout) {
        written = fclose(file) == 0 && written;
    }
    if (!written) {
        fprintf(stderr, "yamuxspec: the report cannot be written\n");
        return USAGE;
    }
    return report_failures(report) ? FAILED : PASSED;
}

static enum status judge(struct options *options, struct report *report)
{
    struct runner_options *runner = &options->runner;
    char error[CHANNEL_ERROR];
    char url[1500];
    if (report->count == 0) {
        fprintf(stderr, "yamuxspec: no case has such an id; see --list\n");
        return USAGE;
    }
    if (runner->target.listens && !runner->peer_command) {
        if (!channel_listen(&runner->target, error)) {
            fprintf(stderr, "yamuxspec: --listen %s: %s\n", options->listen,
                    error);
            return USAGE;
        }
        channel_url(&runner->target, url, sizeof url);
        fprintf(stderr, "yamuxspec: listening at %s\n", url);
    }
    channel_url(&runner->target, url, sizeof url);
    report->peer = runner->peer_command ? runner->peer_command : url;
    report->role = runner->client ? "client" : "server";
    report->profile = options->profile;
    report->seed = runner->seed;
    bool profiled = fingerprint_expected(options->profile, "goaway-0");
    runner->lines =
        options->format == REPORT_TABLE && !options->output && !profiled;
    runner->progress = isatty(STDERR_FILENO) && !runner->lines;
    runner->colours = runner->lines && isatty(STDOUT_FILENO);
    enum runner_end end = runner_run(runner, report, error);
    if (runner->target.listens && !runner->peer_command &&
        runner->target.scheme == CHANNEL_UNIX) {
        unlink(runner->target.host);
    }
    if (end == RUNNER_UNREACHABLE) {
        fprintf(stderr, "yamuxspec: the peer cannot be reached: %s\n", error);
        return UNREACHABLE;
    }
    apply_profile(report);
    enum status status = conclude(options, report);
    return end == RUNNER_STOPPED ? STOPPED : status;
}

int main(int argc, char **argv)
{
    struct options options = {
        .profile = "spec",
        .runner = {.client = true, .seed = 1, .timeout_ms = 3000, .jobs = 2}};
    struct report report = {0};
    options.runner.target.listener = -1;
    if (!parse(&options, argc, argv)) {
        return USAGE;
    }
    select_cases(&options, &report);
    enum status status = PASSED;
    if (options.list) {
        list(&report);
    } else {
        status = judge(&options, &report);
    }
    report_free(&report);
    return (int)status;
}
