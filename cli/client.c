#include "cli/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_MAX 256
#define CONNECT_TIMEOUT_S 10L
#define REQUEST_TIMEOUT_S 60L

struct buffer {
    char *bytes;
    size_t length;
};

static void say(struct client *client, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void say(struct client *client, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(client->error, sizeof client->error, format, arguments);
    va_end(arguments);
}

static size_t collect(char *bytes, size_t size, size_t count, void *user)
{
    struct buffer *buffer = user;
    size_t length = size * count;
    if (length > CLIENT_BODY_MAX - buffer->length) {
        return 0; /* curl ends the transfer with a write error */
    }
    char *grown = realloc(buffer->bytes, buffer->length + length + 1);
    if (grown == NULL) {
        return 0;
    }
    memcpy(grown + buffer->length, bytes, length);
    buffer->bytes = grown;
    buffer->length += length;
    buffer->bytes[buffer->length] = '\0';
    return length;
}

/* The first line of the token file. */
static bool read_token(struct client *client, char token[TOKEN_MAX])
{
    FILE *file = fopen(client->token_file, "re");
    char *line = file != NULL ? fgets(token, TOKEN_MAX, file) : NULL;
    int error = errno;
    bool failed = file == NULL || ferror(file) != 0;

    if (file != NULL) {
        fclose(file);
    }
    if (failed) {
        say(client,
            "cannot read the admin token %s: %s; run as the server's user, or "
            "name the file with --token-file",
            client->token_file, strerror(error));
        return false;
    }
    size_t length = line != NULL ? strcspn(token, "\r\n") : 0;
    if (length == 0 || length == TOKEN_MAX - 1) {
        say(client,
            "the admin token file %s %s; it holds one line, which the server "
            "writes at its first start",
            client->token_file,
            length == 0 ? "is empty" : "begins with a line that is too long");
        return false;
    }
    token[length] = '\0';
    return true;
}

/* Either a unix socket or a URL; curl checks the rest of the URL itself. */
static bool set_target(struct client *client, CURL *curl, const char *path)
{
    char url[2048];
    const char *base = client->server;
    if (strncmp(base, "unix:", 5) == 0) {
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, base + 5);
        base = "http://localhost";
    } else if (strncmp(base, "http://", 7) != 0 &&
               strncmp(base, "https://", 8) != 0) {
        say(client,
            "--server %s: expected http://HOST:PORT, https://HOST:PORT or "
            "unix:PATH",
            base);
        return false;
    }
    size_t length = strlen(base);
    while (length > 0 && base[length - 1] == '/') {
        length--;
    }
    int written = snprintf(url, sizeof url, "%.*s%s", (int)length, base, path);
    if (written < 0 || (size_t)written >= sizeof url) {
        say(client, "--server: the URL is too long");
        return false;
    }
    curl_easy_setopt(curl, CURLOPT_URL, url);
    return true;
}

/* What the server said, or why it could not be asked. */
static bool judge(struct client *client, CURL *curl, CURLcode code,
                  const struct buffer *body, json_t **answer)
{
    if (code != CURLE_OK) {
        const char *remedy = "";
        if (code == CURLE_COULDNT_CONNECT) {
            remedy = "; is orthrusd running there? name it with --server";
        } else if (code == CURLE_PEER_FAILED_VERIFICATION) {
            remedy = "; name its authority with --ca-file";
        }
        say(client, "%s: %s%s", client->server, curl_easy_strerror(code),
            remedy);
        return false;
    }
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (body->length > 0) {
        *answer = json_loadb(body->bytes, body->length, 0, NULL);
    }
    if (status >= 200 && status < 300) {
        if (body->length > 0 && *answer == NULL) {
            say(client, "%s: the answer is not JSON; is this orthrusd?",
                client->server);
            return false;
        }
        return true;
    }
    const char *text = json_string_value(json_object_get(*answer, "error"));
    if (status == 401) {
        say(client, "%s: the admin token was refused (401); check --token-file",
            client->server);
    } else if (text != NULL) {
        say(client, "%s (HTTP %ld)", text, status);
    } else {
        say(client, "%s: HTTP %ld", client->server, status);
    }
    json_decref(*answer);
    *answer = NULL;
    return false;
}

static bool perform(struct client *client, CURL *curl, const char *method,
                    const json_t *body, json_t **answer)
{
    struct curl_slist *headers = NULL;
    if (client->token_file != NULL) {
        char token[TOKEN_MAX];
        char line[TOKEN_MAX + 32];
        if (!read_token(client, token)) {
            return false;
        }
        snprintf(line, sizeof line, "Authorization: Bearer %s", token);
        headers = curl_slist_append(headers, line);
    }
    char *text = NULL;
    if (body != NULL) {
        text = json_dumps(body, JSON_COMPACT);
        headers = curl_slist_append(headers, "Content-Type: application/json");
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text);
    } else if (strcmp(method, "POST") == 0) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
    }
    struct buffer received = {NULL, 0};
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &received);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, REQUEST_TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    if (client->ca_file != NULL) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, client->ca_file);
    }
    bool good = judge(client, curl, curl_easy_perform(curl), &received, answer);
    free(received.bytes);
    free(text);
    curl_slist_free_all(headers);
    return good;
}

bool client_call(struct client *client, const char *method, const char *path,
                 const json_t *body, json_t **answer)
{
    *answer = NULL;
    client->error[0] = '\0';
    CURL *curl = curl_easy_init();
    if (curl == NULL) {
        say(client, "out of memory");
        return false;
    }
    bool good = set_target(client, curl, path) &&
                perform(client, curl, method, body, answer);
    curl_easy_cleanup(curl);
    return good;
}
