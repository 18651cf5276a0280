/* orthrusd's list of containers between an engine that says what it likes and a
 * user who believes orthrusd. The engine is this file, on a unix socket.
 *
 * First byte: 1 docker-answer-max is small; third: how an answer is cut. Then
 * an engine's answers, a connection each, each up to 0xff.
 *
 * It asks for nothing but what it is for; the answer is of use or is an error
 * in one line, lists what the engine's JSON has, and does not depend on cuts.
 */
#include <jansson.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/http.h"
#include "fuzz/folder.h"
#include "fuzz/harness.h"
#include "fuzz/orthrusd.h"
#include "net/loop.h"
#include "net/socket.h"
#include "server/api.h"

#define ANSWER_MAX 65536u
#define ANSWER_MAX_SMALL 64u
#define PIECES_MAX 256u
#define ID_LENGTH 12u

/* ---- the engine ---------------------------------------------------------- */

static char folder[FOLDER_SIZE];
static char path[FOLDER_SIZE + 16u];
static int listener = -1;

static struct engine {
    struct input answers; /* of connections to come */
    struct input answer;  /* what is left of this connection's */
    struct span last;     /* the whole of the latest */
    int fd;               /* -1: nobody is connected */
    char request[1024];
    size_t length;
    bool asked;
} engine;

static void listen_here(void)
{
    struct socket_address address;

    folder_make(folder);
    snprintf(path, sizeof path, "%s/engine", folder);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    MUST(listener >= 0 && socket_address_unix(&address, path));
    MUST(bind(listener, (struct sockaddr *)&address.storage, address.length) ==
         0);
    MUST(listen(listener, 4) == 0);
}

static void hang_up(void)
{
    if (engine.fd >= 0) {
        close(engine.fd);
    }
    engine.fd = -1;
}

static void take_connection(void)
{
    struct input *answers = &engine.answers;
    const uint8_t *end =
        answers->length ? memchr(answers->bytes, 0xff, answers->length) : NULL;
    size_t length = end ? (size_t)(end - answers->bytes) : answers->length;
    size_t least = length / PIECES_MAX + 1;

    engine.fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (engine.fd < 0) {
        return;
    }
    engine.answer = (struct input){answers->bytes, length, answers->piece};
    if (answers->piece && answers->piece < least) {
        engine.answer.piece = least;
    }
    engine.last = (struct span){answers->bytes, length};
    input_take(answers, length + (end != NULL));
    engine.length = 0;
    engine.asked = false;
}

static bool is_list(const char *line)
{
    const char *at = line + strspn(line, "0123456789");

    if (at == line || *at++ != '.') {
        return false;
    }
    line = at;
    at += strspn(at, "0123456789");
    return at > line && strcmp(at, "/containers/json HTTP/1.1") == 0;
}

/* Whatever an engine answers, this is all that is ever asked of one. */
static void must_be_a_question(const uint8_t *request, size_t length)
{
    struct http_scan scan;

    http_scan_init(&scan);
    MUST(http_scan(&scan, request, length) == length && scan.complete);
    char *text = input_string(request, length);
    MUST(strstr(text, "\r\nConnection: close\r\n"));
    *strstr(text, "\r\n") = '\0';
    MUST(strcmp(text, "HEAD /_ping HTTP/1.1") == 0 ||
         strcmp(text, "GET /_ping HTTP/1.1") == 0 ||
         (strncmp(text, "GET /v", 6) == 0 && is_list(text + 6)));
    free(text);
}

static void take_request(void)
{
    ssize_t got = recv(engine.fd, engine.request + engine.length,
                       sizeof engine.request - engine.length - 1, 0);

    if (got == 0) {
        hang_up();
    } else if (got > 0) {
        engine.length += (size_t)got;
        engine.request[engine.length] = '\0';
        engine.asked = strstr(engine.request, "\r\n\r\n") != NULL;
        if (engine.asked) {
            must_be_a_question((uint8_t *)engine.request, engine.length);
        }
    }
}

/* A turn: whoever is connected gets one piece. */
static void serve(void)
{
    if (engine.fd < 0) {
        take_connection();
    }
    if (engine.fd >= 0 && !engine.asked) {
        take_request();
    }
    if (engine.fd >= 0 && engine.asked) {
        size_t piece = input_piece(&engine.answer);
        if (piece == 0 || send(engine.fd, engine.answer.bytes, piece,
                               MSG_NOSIGNAL) != (ssize_t)piece) {
            hang_up();
        } else {
            input_take(&engine.answer, piece);
        }
    }
}

/* ---- orthrusd ------------------------------------------------------------ */

static struct config config;
static struct api *api;
static struct loop *loop;

/* Once a process. */
static void start(void)
{
    orthrusd_settings(&config);
    listen_here();
    free(config.docker_socket);
    config.docker_socket = strdup(path);
    config.docker_timeout_ms = UINT32_MAX; /* an engine answers or hangs up */
    loop = loop_create();
    api = api_new(&(struct api_parts){.config = &config, .loop = loop});
    MUST(config.docker_socket && loop && api);
}

static void on_done(struct api_call *call)
{
    *(bool *)call->user = true;
}

static void list(struct api_reply *reply, struct input answers)
{
    struct api_request request = {.method = "GET",
                                  .path = "/api/v1/docker/containers",
                                  .remote = "unix",
                                  .from_admin_socket = true};
    bool done = false;
    struct api_call call = {.done = on_done, .user = &done};
    unsigned turns = 0;

    engine = (struct engine){.answers = answers, .fd = -1};
    done = api_begin(api, &call, &request);
    while (!done) {
        MUST(turns++ < 4 * (PIECES_MAX + 8));
        loop_run_once(loop, 0);
        serve();
    }
    hang_up();
    *reply = call.reply;
}

/* ---- what it told -------------------------------------------------------- */

static void must_be_names(const json_t *told, const json_t *names)
{
    size_t at = 0;

    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        if (name) {
            const char *got = json_string_value(json_array_get(told, at++));
            MUST(got && strcmp(got, name + (*name == '/')) == 0);
        }
    }
    MUST(at == json_array_size(told));
}

static void must_be_container(const json_t *told, const json_t *container)
{
    static const char *const same[][2] = {
        {"image", "Image"}, {"state", "State"}, {"status", "Status"}};
    const char *whole = orthrusd_text(container, "Id");
    const char *id = json_string_value(json_object_get(told, "id"));

    MUST(id && strlen(id) <= ID_LENGTH);
    MUST(strncmp(whole, id, strlen(id)) == 0);
    /* less only where a character does not fit */
    MUST(strlen(id) + 4 > ID_LENGTH || strlen(id) == strlen(whole));
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        MUST(strcmp(orthrusd_text(told, same[i][0]),
                    orthrusd_text(container, same[i][1])) == 0);
    }
    must_be_names(json_object_get(told, "names"),
                  json_object_get(container, "Names"));
    MUST(json_array_size(json_object_get(told, "ports")) ==
         json_array_size(json_object_get(container, "Ports")));
}

/* The answer's body, in a buffer of its own. */
static uint8_t *body_of(struct span answer, size_t *length)
{
    struct http_response response = {.status = 0};
    struct http_body framing;
    struct span data;

    while (response.status < 200) {
        struct http_scan scan;
        http_scan_init(&scan);
        size_t head = http_scan(&scan, answer.bytes, answer.length);
        MUST(scan.complete && http_parse_response(&response, answer.bytes, head,
                                                  HTTP_GET) == HTTP_OK);
        answer.bytes += head;
        answer.length -= head;
    }
    MUST(response.status == 200);
    uint8_t *body = input_copy(answer.bytes, answer.length);
    *length = 0;
    http_body_init(&framing, response.framing, response.length);
    while (http_body_next(&framing, &answer, &data)) {
        memcpy(body + *length, data.bytes, data.length);
        *length += data.length;
    }
    MUST(framing.complete || framing.framing == HTTP_UNTIL_CLOSE);
    MUST(framing.fault == HTTP_OK);
    return body;
}

static void must_be_the_list(const json_t *told)
{
    size_t at = 0;
    size_t length = 0;
    uint8_t *body = body_of(engine.last, &length);
    json_t *list = json_loadb((char *)body, length, 0, NULL);

    MUST(json_is_array(list) && json_is_array(told));
    MUST(length <= config.docker_answer_max);
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *container = json_array_get(list, i);
        if (json_is_object(container)) {
            must_be_container(json_array_get(told, at++), container);
        }
    }
    MUST(at == json_array_size(told));
    json_decref(list);
    free(body);
}

static void must_be_an_error(const json_t *told)
{
    const char *error = orthrusd_text(told, "error");

    MUST(*error);
    orthrusd_must_be_line(error);
}

static void must_be_sound(const struct api_reply *reply)
{
    json_t *told = json_loadb(reply->body, reply->body_length, 0, NULL);

    MUST(told);
    if (reply->status == 200) {
        must_be_the_list(told);
    } else {
        MUST(reply->status == 500 || reply->status == 503);
        must_be_an_error(told);
    }
    json_decref(told);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct api_reply whole;
    struct api_reply cut;

    if (length < INPUT_HEAD || length > ANSWER_MAX) {
        return 0;
    }
    if (!api) {
        start();
    }
    config.docker_answer_max = bytes[0] & 1 ? ANSWER_MAX_SMALL : ANSWER_MAX;
    struct input answers = {bytes + INPUT_HEAD, length - INPUT_HEAD, 0};
    list(&whole, answers);
    must_be_sound(&whole);
    answers.piece = bytes[2];
    list(&cut, answers);
    MUST(whole.status == cut.status && whole.body_length == cut.body_length);
    MUST(memcmp(whole.body, cut.body, whole.body_length) == 0);
    api_reply_free(&whole);
    api_reply_free(&cut);
    return 0;
}
