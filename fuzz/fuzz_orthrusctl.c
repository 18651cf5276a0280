/* orthrusctl between a server that says what it likes and a terminal or a shell
 * that believes orthrusctl. libcurl is played by this file.
 *
 * First byte: the command; second: 1 --json, 2 the other kind of server; third:
 * how an answer is cut. Then the answers, each up to 0x00: a digit that chooses
 * the status, and the body. */
#define CURL_DISABLE_TYPECHECK
#include <ctype.h>
#include <curl/curl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include "cli/command.h"
#include "fuzz/harness.h"

#undef curl_easy_setopt
#undef curl_easy_getinfo

/* ---- the server ---------------------------------------------------------- */

static struct input answers;
static size_t (*take)(char *bytes, size_t size, size_t count, void *user);
static void *take_user;
static long status;

CURL *curl_easy_init(void)
{
    static int handle;

    return (CURL *)&handle;
}

void curl_easy_cleanup(CURL *curl)
{
    (void)curl;
}

CURLcode curl_easy_setopt(CURL *curl, CURLoption option, ...)
{
    va_list list;

    (void)curl;
    va_start(list, option);
    if (option == CURLOPT_WRITEFUNCTION) {
        take = va_arg(list, size_t(*)(char *, size_t, size_t, void *));
    } else if (option == CURLOPT_WRITEDATA) {
        take_user = va_arg(list, void *);
    } else if (option == CURLOPT_URL) {
        const char *url = va_arg(list, const char *);
        MUST(strncmp(url, "http", 4) == 0);
        for (; *url != '\0'; url++) {
            MUST(*url > ' ' && *url < 0x7f);
        }
    }
    va_end(list);
    return CURLE_OK;
}

CURLcode curl_easy_perform(CURL *curl)
{
    static const long codes[] = {200, 201, 204, 400, 401, 404, 500, 302, 100};
    const uint8_t *end =
        answers.length ? memchr(answers.bytes, 0, answers.length) : NULL;
    size_t left = end ? (size_t)(end - answers.bytes) : answers.length;

    (void)curl;
    if (left == 0 || answers.bytes[0] == '9') {
        return CURLE_COULDNT_CONNECT;
    }
    status = codes[(unsigned)(answers.bytes[0] - '0') % 9u];
    input_take(&answers, 1);
    left--;
    while (left > 0) {
        size_t count =
            answers.piece && answers.piece < left ? answers.piece : left;
        char *piece = (char *)input_copy(answers.bytes, count);
        size_t taken = take(piece, 1, count, take_user);
        free(piece);
        input_take(&answers, count);
        left -= count;
        if (taken != count) {
            input_take(&answers, left);
            return CURLE_WRITE_ERROR;
        }
    }
    input_take(&answers, end != NULL);
    return CURLE_OK;
}

CURLcode curl_easy_getinfo(CURL *curl, CURLINFO info, ...)
{
    va_list list;

    (void)curl;
    MUST(info == CURLINFO_RESPONSE_CODE);
    va_start(list, info);
    *va_arg(list, long *) = status;
    va_end(list);
    return CURLE_OK;
}

const char *curl_easy_strerror(CURLcode code)
{
    return code == CURLE_OK ? "no error" : "an error";
}

struct curl_slist *curl_slist_append(struct curl_slist *list, const char *data)
{
    (void)data;
    return list;
}

void curl_slist_free_all(struct curl_slist *list)
{
    (void)list;
}

/* ---- the terminal -------------------------------------------------------- */

/* Nothing that moves a cursor, renames a window or ends a line early. */
static void must_be_printable(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)text[i];
        MUST(byte >= ' ' || byte == '\n');
        MUST(byte != 0x7f);
        /* C1 controls, as UTF-8 */
        MUST(byte != 0xc2 || i + 1 == length ||
             (unsigned char)text[i + 1] >= 0xa0);
    }
}

static void must_be_an_assignment(const char *text)
{
    static const char start[] = "export DOCKER_HOST=tcp://";
    size_t safe;

    if (*text == '\0') {
        return;
    }
    MUST(strncmp(text, start, sizeof start - 1) == 0);
    text += sizeof start - 1;
    safe = strspn(text, "0123456789abcdefghijklmnopqrstuvwxyz"
                        "ABCDEFGHIJKLMNOPQRSTUVWXYZ.:-_");
    MUST(safe > 0 && strcmp(text + safe, "\n") == 0);
}

/* What is offered to be copied into a shell is one command. */
static void must_be_one_command(const char *text)
{
    const char *start = strstr(text, "\n  ORTHRUS_AUTH_KEY=");

    if (start != NULL) {
        const char *key = start + strlen("\n  ORTHRUS_AUTH_KEY=");
        while (isalnum((unsigned char)*key) || *key == '_') {
            key++;
        }
        MUST(strncmp(key, " \\\n  orthrus-agent --server-url ", 31) == 0);
        const char *name = strstr(key, " --agent-id '");
        MUST(name);
        name += strlen(" --agent-id '");
        name += strcspn(name, "'");
        while (strncmp(name, "'\\''", 4) == 0) { /* a quote, quoted */
            name += 4;
            name += strcspn(name, "'");
        }
        MUST(strncmp(name, "'\n", 2) == 0);
    }
}

static const struct {
    const char *words[4];
    int count;
    const char *agent, *host, *port;
} commands[] = {
    {{"agent", "add", "web-01"}, 3, NULL, NULL, NULL},
    {{"agent", "ls"}, 2, NULL, NULL, NULL},
    {{"agent", "show", "web-01"}, 3, NULL, NULL, NULL},
    {{"agent", "rename", "web-01", "new"}, 4, NULL, NULL, NULL},
    {{"agent", "rotate", "web-01"}, 3, NULL, NULL, NULL},
    {{"agent", "rm", "web-01"}, 3, NULL, NULL, NULL},
    {{"server", "add", "db"}, 3, "web-01", NULL, NULL},
    {{"server", "add", "db"}, 3, NULL, "db.local", "2375"},
    {{"server", "ls"}, 2, NULL, NULL, NULL},
    {{"server", "rm", "db"}, 3, NULL, NULL, NULL},
    {{"ps", "web-01"}, 2, NULL, NULL, NULL},
    {{"env", "web-01"}, 2, NULL, NULL, NULL},
    {{"status"}, 1, NULL, NULL, NULL},
};

#define COMMANDS (sizeof commands / sizeof *commands)

struct told {
    char *text;
    size_t length;
};

static enum command_exit run(unsigned which, unsigned setup,
                             struct told told[2])
{
    struct command_context context = {
        .client = {.server = setup & 2 ? "unix:/run/orthrus.sock"
                                       : "http://127.0.0.1:8080"},
        .json = setup & 1,
        .agent = commands[which].agent,
        .host = commands[which].host,
        .port = commands[which].port};
    char *words[4];
    FILE *out = stdout;
    FILE *err = stderr;

    for (int i = 0; i < commands[which].count; i++) {
        words[i] = strdup(commands[which].words[i]);
    }
    stdout = open_memstream(&told[0].text, &told[0].length);
    stderr = open_memstream(&told[1].text, &told[1].length);
    enum command_exit result =
        command_run(&context, commands[which].count, words);
    fclose(stdout);
    fclose(stderr);
    stdout = out;
    stderr = err;
    for (int i = 0; i < commands[which].count; i++) {
        free(words[i]);
    }
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct told told[2] = {{NULL, 0}, {NULL, 0}};
    if (length < INPUT_HEAD) {
        return 0;
    }
    unsigned which = bytes[0] % COMMANDS;
    answers = (struct input){bytes + INPUT_HEAD, length - INPUT_HEAD, bytes[2]};
    enum command_exit result = run(which, bytes[1], told);
    MUST(result == COMMAND_OK || result == COMMAND_FAILED);
    MUST((result == COMMAND_FAILED) == (told[1].length > 0));
    must_be_printable(told[0].text, told[0].length);
    must_be_printable(told[1].text, told[1].length);
    /* an error is one line */
    MUST(told[1].length == 0 ||
         strchr(told[1].text, '\n') == told[1].text + told[1].length - 1);
    if (strcmp(commands[which].words[0], "env") == 0) {
        must_be_an_assignment(told[0].text);
    }
    if ((bytes[1] & 1) && told[0].length > 0 && which != 11) {
        json_t *answer =
            json_loadb(told[0].text, told[0].length, JSON_DECODE_ANY, NULL);
        MUST(answer);
        json_decref(answer);
    } else if (strcmp(commands[which].words[0], "agent") == 0) {
        must_be_one_command(told[0].text);
    }
    free(told[0].text);
    free(told[1].text);
    return 0;
}
