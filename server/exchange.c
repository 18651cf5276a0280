#include "server/exchange.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "net/log.h"
#include "server/config.h"
#include "server/reply.h"

#define CONNECT_PATH "/api/v1/ws/orthrus/connect"

/* ---- time ---------------------------------------------------------------- */

int64_t exchange_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void exchange_time(int64_t time, char text[EXCHANGE_TIME_SIZE])
{
    time_t seconds = (time_t)(time / 1000000000);
    int64_t rest = time % 1000000000;
    struct tm parts;
    (void)gmtime_r(&seconds, &parts);
    size_t length =
        strftime(text, EXCHANGE_TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &parts);
    length += (size_t)snprintf(text + length, EXCHANGE_TIME_SIZE - length,
                               ".%09d", (int)rest);
    while (text[length - 1] == '0') {
        --length;
    }
    if (text[length - 1] == '.') {
        --length;
    }
    text[length] = 'Z';
    text[length + 1] = '\0';
}

/* ---- the body ------------------------------------------------------------ */

static bool is_known(const char *const *fields, const char *key)
{
    while (*fields != NULL && strcmp(*fields, key) != 0) {
        ++fields;
    }
    return *fields != NULL;
}

json_t *exchange_body(struct exchange *exchange, const char *const *fields)
{
    struct span body = exchange->request->body;
    json_error_t error;
    const char *key = NULL;
    json_t *value = NULL;
    if (body.length == 0) {
        reply_error(exchange->reply, 400,
                    "the body is empty; send a JSON object");
        return NULL;
    }
    json_t *object = json_loadb((const char *)body.bytes, body.length,
                                JSON_REJECT_DUPLICATES, &error);
    if (object == NULL) {
        reply_error(exchange->reply, 400, "the body is not JSON: %s",
                    error.text);
        return NULL;
    }
    if (!json_is_object(object)) {
        reply_error(exchange->reply, 400, "the body is not a JSON object");
        json_decref(object);
        return NULL;
    }
    json_object_foreach(object, key, value)
    {
        if (!is_known(fields, key)) {
            reply_error(exchange->reply, 400, "unknown field '%.64s'", key);
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

bool exchange_string(struct exchange *exchange, const json_t *object,
                     const char *field, size_t max, const char **value)
{
    const json_t *json = json_object_get(object, field);
    if (json == NULL || json_is_null(json)) {
        return true;
    }
    if (!json_is_string(json) || json_string_length(json) > max) {
        reply_error(exchange->reply, 400,
                    "field '%s' must be a string of at most %zu bytes", field,
                    max);
        return false;
    }
    *value = json_string_value(json);
    return true;
}

bool exchange_integer(struct exchange *exchange, const json_t *object,
                      const char *field, int64_t *value)
{
    const json_t *json = json_object_get(object, field);
    if (json == NULL || json_is_null(json)) {
        return true;
    }
    if (!json_is_integer(json)) {
        reply_error(exchange->reply, 400, "field '%s' must be an integer",
                    field);
        return false;
    }
    *value = json_integer_value(json);
    return true;
}

bool exchange_boolean(struct exchange *exchange, const json_t *object,
                      const char *field, bool *value)
{
    const json_t *json = json_object_get(object, field);
    if (json == NULL || json_is_null(json)) {
        return true;
    }
    if (!json_is_boolean(json)) {
        reply_error(exchange->reply, 400, "field '%s' must be true or false",
                    field);
        return false;
    }
    *value = json_is_true(json);
    return true;
}

bool exchange_name(struct exchange *exchange, const char *what,
                   const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789._ -";
    if (name[strspn(name, " ")] == '\0') {
        reply_error(exchange->reply, 400, "%s name cannot be blank", what);
        return false;
    }
    if (strlen(name) >= STORE_NAME_SIZE ||
        name[strspn(name, allowed)] != '\0') {
        reply_error(exchange->reply, 400,
                    "%s name must be 1 to 64 of A-Z a-z 0-9 . _ - and space",
                    what);
        return false;
    }
    return true;
}

/* ---- query --------------------------------------------------------------- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes a form value in place; a % that stands for nothing is kept. */
static void decode(char *text)
{
    char *out = text;
    for (const char *in = text; *in != '\0'; ++in) {
        int high = in[0] == '%' ? hex_value(in[1]) : -1;
        int low = high >= 0 ? hex_value(in[2]) : -1;
        if (low >= 0 && (high | low) != 0) {
            *out++ = (char)(high << 4 | low);
            in += 2;
        } else {
            *out++ = *in == '+' ? ' ' : *in;
        }
    }
    *out = '\0';
}

char *exchange_query(const struct exchange *exchange, const char *key)
{
    const char *at = exchange->request->query;
    size_t length = strlen(key);
    while (at != NULL && *at != '\0') {
        size_t pair = strcspn(at, "&");
        if (pair > length && at[length] == '=' &&
            memcmp(at, key, length) == 0) {
            char *value = strndup(at + length + 1, pair - length - 1);
            if (value != NULL) {
                decode(value);
            }
            return value;
        }
        at += pair;
        at += *at == '&' ? 1 : 0;
    }
    return NULL;
}

/* ---- where agents connect ------------------------------------------------ */

/* Nothing in it can end a line or a quotation in a snippet. */
static bool is_clean(const char *rest)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789.-_~:/[]";
    return rest[0] != '\0' && rest[0] != '/' && rest[0] != ':' &&
           rest[strspn(rest, allowed)] == '\0';
}

static bool socket_url(const char *base, char url[EXCHANGE_URL_SIZE])
{
    static const struct {
        const char *from;
        const char *to;
    } schemes[] = {{"https://", "wss://"},
                   {"http://", "ws://"},
                   {"wss://", "wss://"},
                   {"ws://", "ws://"}};
    const char *rest = NULL;
    const char *scheme = NULL;
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); ++i) {
        size_t length = strlen(schemes[i].from);
        if (strncmp(base, schemes[i].from, length) == 0) {
            scheme = schemes[i].to;
            rest = base + length;
            break;
        }
    }
    if (rest == NULL || !is_clean(rest)) {
        return false;
    }
    size_t length = strlen(rest);
    size_t path = strlen(CONNECT_PATH);
    while (length > 0 && rest[length - 1] == '/') {
        --length;
    }
    if (length >= path &&
        memcmp(rest + length - path, CONNECT_PATH, path) == 0) {
        length -= path;
    }
    int written = snprintf(
        url, EXCHANGE_URL_SIZE, "%s%.*s" CONNECT_PATH, scheme,
        (int)(length < EXCHANGE_URL_SIZE ? length : EXCHANGE_URL_SIZE), rest);
    return written < (int)EXCHANGE_URL_SIZE;
}

bool exchange_url(struct exchange *exchange, char url[EXCHANGE_URL_SIZE])
{
    const struct api_request *request = exchange->request;
    const char *public_url = exchange->parts->config->public_url;
    char base[EXCHANGE_URL_SIZE];
    if (request->charon_url != NULL && request->charon_url[0] != '\0') {
        if (!socket_url(request->charon_url, url)) {
            reply_error(exchange->reply, 400,
                        "X-Charon-URL is not http(s)://HOST[:PORT]");
            return false;
        }
        return true;
    }
    if (public_url[0] != '\0') {
        (void)snprintf(base, sizeof(base), "%s", public_url);
    } else {
        (void)snprintf(base, sizeof(base), "%s://%s",
                       request->tls ? "https" : "http",
                       request->host != NULL ? request->host : "");
    }
    if (!socket_url(base, url)) {
        reply_error(exchange->reply, 400,
                    "nothing says how agents reach this server; set "
                    "public-url, or send X-Charon-URL");
        return false;
    }
    return true;
}

void exchange_store_failed(struct exchange *exchange, const char *what)
{
    const char *cause = store_error(exchange->parts->store);
    log_line(LOG_ERROR, "store_failed", log_string("call", what),
             log_string("error", cause));
    reply_error(exchange->reply, 500, "orthrus: %s: %s", what, cause);
}
