#include "server/config.h"

#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <string.h>
#include <sys/un.h>

#include "net/sys.h"
#include "server/knob.h"

#define CONFIG_VARIABLE KNOB_ENVIRONMENT "CONFIG="

enum { SOCKET_PATH_SIZE = sizeof(((struct sockaddr_un *)0)->sun_path) };

enum source { SOURCE_DEFAULT, SOURCE_FILE, SOURCE_ENVIRONMENT, SOURCE_FLAG };

struct reader {
    struct config *config;
    enum config_action action;
    enum source set_by[KNOB_MAX]; /* the latest */
    const char *path;             /* of the file; NULL: none */
    int line;                     /* of the file, the one being read */
    FILE *file;
    bool failed;
    char *error; /* CONFIG_ERROR_SIZE; the first failure stays */
};

__attribute__((format(printf, 2, 3))) static bool fail(struct reader *reader,
                                                       const char *format, ...)
{
    if (!reader->failed) {
        va_list list;
        va_start(list, format);
        (void)vsnprintf(reader->error, CONFIG_ERROR_SIZE, format, list);
        va_end(list);
        reader->failed = true;
    }
    return false;
}

/* where: how the user knows this setting, "/etc/orthrus.ini:7: listen". */
static bool set(struct reader *reader, size_t index, enum source source,
                const char *where, const char *text)
{
    char wrong[KNOB_TEXT_SIZE];
    if (source != SOURCE_DEFAULT && reader->set_by[index] == source) {
        return fail(reader, "%s: set a second time; keep one of them", where);
    }
    reader->set_by[index] = source;
    if (!knob_read(knob_at(index), reader->config, text, wrong)) {
        return fail(reader, "%s: '%s' %s", where, text, wrong);
    }
    return true;
}

static bool read_defaults(struct reader *reader)
{
    bool fine = true;
    for (size_t i = 0; i < knob_count(); ++i) {
        const struct knob *knob = knob_at(i);
        fine = set(reader, i, SOURCE_DEFAULT, knob->name, knob->value) && fine;
    }
    return fine;
}

/* ---- file ---------------------------------------------------------------- */

/* inih's source of lines: it counts them, for on_setting() is not told. */
static char *next_line(char *text, int size, void *stream)
{
    struct reader *reader = stream;
    memset(text, '\n', (size_t)size); /* so that only one NUL is fgets()'s */
    if (reader->failed || fgets(text, size, reader->file) == NULL) {
        return NULL;
    }
    ++reader->line;
    size_t length = strlen(text);
    if (memrchr(text, '\0', (size_t)size) != text + length) {
        (void)fail(reader, "%s:%d: the line holds a NUL byte; is this a text?",
                   reader->path, reader->line);
        return NULL;
    }
    if (length + 1 == (size_t)size && text[length - 1] != '\n') {
        (void)fail(reader, "%s:%d: the line is longer than %u characters",
                   reader->path, reader->line, KNOB_LINE_MAX);
        return NULL;
    }
    return text;
}

static int on_setting(void *user, const char *section, const char *name,
                      const char *value)
{
    struct reader *reader = user;
    size_t index = 0;
    char where[CONFIG_ERROR_SIZE];
    (void)snprintf(where, sizeof(where), "%s:%d: %s", reader->path,
                   reader->line, name);
    if (!knob_find(name, strlen(name), &index)) {
        return fail(reader, "%s:%d: unknown key '%s', did you mean '%s'?",
                    reader->path, reader->line, name, knob_nearest(name));
    }
    if (strcmp(section, knob_at(index)->section) != 0) {
        return fail(reader, "%s:%d: '%s' belongs in section [%s], not in [%s]",
                    reader->path, reader->line, name, knob_at(index)->section,
                    section);
    }
    return set(reader, index, SOURCE_FILE, where, value);
}

static bool read_file(struct reader *reader)
{
    if (reader->path == NULL) {
        return true;
    }
    reader->file = sys_fopen(reader->path, "re");
    if (reader->file == NULL) {
        return fail(reader, "cannot read the configuration %s: %s",
                    reader->path, strerror(errno));
    }
    errno = 0;
    int line = ini_parse_stream(next_line, reader, on_setting, reader);
    if (ferror(reader->file) != 0 || line < 0) {
        (void)fail(reader, "cannot read the configuration %s: %s", reader->path,
                   strerror(errno));
    } else if (line > 0) {
        /* unless on_setting() has said more */
        (void)fail(reader, "%s:%d: neither a [section] nor a 'key = value'",
                   reader->path, line);
    }
    (void)sys_fclose(reader->file);
    return !reader->failed;
}

/* ---- environment --------------------------------------------------------- */

static bool find_variable(const char *entry, size_t length, size_t *index)
{
    char variable[KNOB_TEXT_SIZE];
    for (size_t i = 0; i < knob_count(); ++i) {
        knob_variable(knob_at(i)->name, variable);
        if (strlen(variable) == length &&
            memcmp(variable, entry, length) == 0) {
            *index = i;
            return true;
        }
    }
    return false;
}

static bool unknown_variable(struct reader *reader, const char *entry,
                             size_t length)
{
    size_t prefix = strlen(KNOB_ENVIRONMENT);
    char name[KNOB_TEXT_SIZE];
    char variable[KNOB_TEXT_SIZE];
    (void)snprintf(name, sizeof(name), "%.*s", (int)(length - prefix),
                   entry + prefix);
    for (char *c = name; *c != '\0'; ++c) {
        if (*c >= 'A' && *c <= 'Z') {
            *c = (char)(*c - 'A' + 'a');
        } else if (*c == '_') {
            *c = '-';
        }
    }
    knob_variable(knob_nearest(name), variable);
    return fail(reader, "unknown environment variable %.*s, did you mean %s?",
                (int)length, entry, variable);
}

static bool read_environment(struct reader *reader, char *const *environment)
{
    for (; *environment != NULL; ++environment) {
        const char *entry = *environment;
        const char *equals = strchr(entry, '=');
        size_t index = 0;
        char where[KNOB_TEXT_SIZE];
        if (equals == NULL ||
            strncmp(entry, KNOB_ENVIRONMENT, strlen(KNOB_ENVIRONMENT)) != 0 ||
            strncmp(entry, CONFIG_VARIABLE, strlen(CONFIG_VARIABLE)) == 0) {
            continue;
        }
        size_t length = (size_t)(equals - entry);
        if (!find_variable(entry, length, &index)) {
            return unknown_variable(reader, entry, length);
        }
        knob_variable(knob_at(index)->name, where);
        if (!set(reader, index, SOURCE_ENVIRONMENT, where, equals + 1)) {
            return false;
        }
    }
    return true;
}

static const char *config_variable(char *const *environment)
{
    for (; *environment != NULL; ++environment) {
        if (strncmp(*environment, CONFIG_VARIABLE, strlen(CONFIG_VARIABLE)) ==
            0) {
            return *environment + strlen(CONFIG_VARIABLE);
        }
    }
    return NULL;
}

/* ---- flags --------------------------------------------------------------- */

/* Flags that ask for something else than serving. */
static bool find_action(const char *argument, enum config_action *action)
{
    static const struct {
        const char *flag;
        enum config_action action;
    } actions[] = {{"--check-config", CONFIG_CHECK},
                   {"--print-config", CONFIG_PRINT},
                   {"--help", CONFIG_HELP},
                   {"-h", CONFIG_HELP},
                   {"--version", CONFIG_VERSION}};
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); ++i) {
        if (strcmp(actions[i].flag, argument) == 0) {
            *action = actions[i].action;
            return true;
        }
    }
    return false;
}

struct flag {
    const char *name; /* behind "--"; length characters */
    size_t length;
    const char *value; /* NULL: none */
    bool is_config;    /* --config */
    size_t index;      /* of the knob, unless is_config */
};

/* The flag at argv[*i], which is moved on when its value is the next. */
static bool next_flag(struct reader *reader, int argc, char *const *argv,
                      int *i, struct flag *flag)
{
    const char *argument = argv[*i];
    if (strncmp(argument, "--", 2) != 0) {
        return fail(reader, "unexpected argument '%s', see --help", argument);
    }
    flag->name = argument + 2;
    flag->length = strcspn(flag->name, "=");
    flag->value = NULL;
    flag->is_config = flag->length == 6 && memcmp(flag->name, "config", 6) == 0;
    if (!flag->is_config &&
        !knob_find(flag->name, flag->length, &flag->index)) {
        char name[KNOB_TEXT_SIZE];
        (void)snprintf(name, sizeof(name), "%.*s", (int)flag->length,
                       flag->name);
        return fail(reader, "unknown flag '--%s', did you mean '--%s'?", name,
                    knob_nearest(name));
    }
    if (flag->name[flag->length] == '=') {
        flag->value = flag->name + flag->length + 1;
    } else if (!flag->is_config && knob_at(flag->index)->kind == KNOB_FLAG) {
        flag->value = "true";
    } else if (*i + 1 < argc) {
        flag->value = argv[++*i];
    } else {
        return fail(reader, "%s needs a value", argument);
    }
    return true;
}

/* Twice over argv: first for --config and the action, then, after file and
 * environment, for the knobs. */
static bool read_flags(struct reader *reader, int argc, char *const *argv,
                       bool set_knobs)
{
    for (int i = 1; i < argc; ++i) {
        struct flag flag = {0};
        char where[KNOB_TEXT_SIZE];
        if (find_action(argv[i], &reader->action)) {
            if (reader->action == CONFIG_HELP ||
                reader->action == CONFIG_VERSION) {
                return true; /* whatever else is wrong */
            }
            continue;
        }
        if (!next_flag(reader, argc, argv, &i, &flag)) {
            return false;
        }
        if (flag.is_config) {
            reader->path = flag.value;
        } else if (set_knobs) {
            (void)snprintf(where, sizeof(where), "--%s",
                           knob_at(flag.index)->name);
            if (!set(reader, flag.index, SOURCE_FLAG, where, flag.value)) {
                return false;
            }
        }
    }
    return true;
}

/* ---- what values demand of each other ------------------------------------ */

static bool check(struct reader *reader)
{
    const struct config *config = reader->config;
    bool has_cert = config->tls_cert[0] != '\0';
    bool has_key = config->tls_key[0] != '\0';
    if (has_cert != has_key) {
        return fail(reader, "%s is set without %s; TLS needs both",
                    has_cert ? "tls-cert" : "tls-key",
                    has_cert ? "tls-key" : "tls-cert");
    }
    if (!knob_is_loopback(config->listen) && !has_cert &&
        !config->behind_proxy) {
        return fail(reader,
                    "listen = %s is not loopback: set tls-cert and tls-key, "
                    "or behind-proxy if a TLS proxy is in front",
                    config->listen);
    }
    if (config->data_dir[0] == '\0') {
        return fail(reader, "data-dir is empty; name a directory");
    }
    if (strlen(config->admin_socket) >= SOCKET_PATH_SIZE) {
        return fail(reader,
                    "admin-socket is longer than the path of a socket "
                    "may be, %d characters",
                    SOCKET_PATH_SIZE - 1);
    }
    if (strlen(config->docker_socket) >= SOCKET_PATH_SIZE) {
        return fail(reader,
                    "docker-socket is longer than the path of a socket "
                    "may be, %d characters",
                    SOCKET_PATH_SIZE - 1);
    }
    if (config->spill_max < config->recv_window) {
        return fail(reader, "spill-max is below recv-window; raise it");
    }
    if (config->preauth_per_address > config->preauth_max) {
        return fail(reader, "preauth-per-address is above preauth-max; lower "
                            "it");
    }
    return true;
}

bool config_read(struct config *config, enum config_action *action, int argc,
                 char *const *argv, char *const *environment,
                 char error[CONFIG_ERROR_SIZE])
{
    struct reader reader = {.config = config,
                            .action = CONFIG_RUN,
                            .path = config_variable(environment),
                            .error = error};
    memset(config, 0, sizeof(*config));
    error[0] = '\0';
    bool fine =
        read_flags(&reader, argc, argv, false) && read_defaults(&reader);
    /* nobody who asks for help has to repair a file first */
    if (fine && reader.action != CONFIG_HELP &&
        reader.action != CONFIG_VERSION) {
        fine = read_file(&reader) && read_environment(&reader, environment) &&
               read_flags(&reader, argc, argv, true) && check(&reader);
    }
    *action = reader.action;
    if (!fine) {
        config_free(config);
    }
    return fine;
}

void config_free(struct config *config)
{
    for (size_t i = 0; i < knob_count(); ++i) {
        knob_clear(knob_at(i), config);
    }
}

/* ---- showing ------------------------------------------------------------- */

/* Heads each section once; the table keeps a section's knobs together. */
static void print_section(size_t index, FILE *out)
{
    const char *section = knob_at(index)->section;
    if (index == 0 || strcmp(section, knob_at(index - 1)->section) != 0) {
        (void)fprintf(out, "%s[%s]\n", index == 0 ? "" : "\n", section);
    }
}

void config_print(const struct config *config, FILE *out)
{
    for (size_t i = 0; i < knob_count(); ++i) {
        print_section(i, out);
        (void)fprintf(out, "%s = ", knob_at(i)->name);
        knob_print(knob_at(i), config, out);
        (void)fputc('\n', out);
    }
}

void config_help(FILE *out)
{
    (void)fputs(
        "Usage: orthrusd [FLAG...]\n"
        "\n"
        "Reaches Docker Engines on hosts that can only dial out.\n"
        "\n"
        "  --config FILE     read settings from an INI file\n"
        "  --check-config    check all settings and exit\n"
        "  --print-config    print all settings as such a file and exit\n"
        "  --version         print the version and exit\n"
        "  --help            print this and exit\n"
        "\n"
        "Every other flag is also a key of the file, in the section shown, "
        "and\n"
        "an environment variable: --log-level is log-level under [log] and is\n"
        "ORTHRUSD_LOG_LEVEL. A flag overrules the environment, that the file,\n"
        "that the default. --config is ORTHRUSD_CONFIG. A TIME is a number "
        "and\n"
        "ms, s, m or h; a SIZE is a number and B, KiB, MiB or GiB.\n"
        "\n",
        out);
    for (size_t i = 0; i < knob_count(); ++i) {
        print_section(i, out);
        knob_print_help(knob_at(i), out);
    }
}
