/* What orthrus-agent reads besides frames. First byte: 0 its arguments and
 * environment (fuzz/words.h), 1 the answer to its upgrade, 2 a proxy's answer
 * to CONNECT, 3 the server's URL, 4 a proxy's.
 *
 * What is taken is within its stated range and is taken again; what is refused
 * is refused with a sentence. */
#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "agent/config.h"
#include "agent/upgrade.h"
#include "core/http.h"
#include "fuzz/harness.h"
#include "fuzz/words.h"

static void must_be_a_sentence(const char *text, size_t size)
{
    MUST(text[0] != '\0' && memchr(text, '\0', size));
}

/* ---- URLs ---------------------------------------------------------------- */

static void must_be_sound(const struct url *url)
{
    char authority[URL_AUTHORITY_MAX + 1];

    MUST(url->port > 0 && url->host[0] != '\0' && url->target[0] == '/');
    MUST(memchr(url->host, '\0', sizeof url->host));
    MUST(memchr(url->target, '\0', sizeof url->target));
    for (const char *at = url->host; *at; at++) {
        MUST(*at > ' ' && *at < 0x7f && !isupper((unsigned char)*at));
        MUST(!strchr("/?#@[]\\\"<>", *at));
    }
    for (const char *at = url->target; *at; at++) {
        MUST(*at > ' ' && *at < 0x7f && *at != '#');
    }
    url_authority(url, true, authority);
    const char *port = strrchr(authority, ':');
    MUST(port && strtoul(port + 1, NULL, 10) == url->port);
    (void)url_is_loopback(url);
}

/* Written down and read again it is the same. */
static void again(const struct url *url, bool server)
{
    char text[URL_AUTHORITY_MAX + URL_TARGET_MAX + URL_USERINFO_MAX + 32];
    char authority[URL_AUTHORITY_MAX + 1];
    char error[URL_ERROR_SIZE];
    struct url read = {.port = 0};

    url_authority(url, true, authority);
    snprintf(text, sizeof text, "%s://%s%s%s%s",
             !server    ? "http"
             : url->tls ? "wss"
                        : "ws",
             url->userinfo, *url->userinfo ? "@" : "", authority,
             server ? url->target : "");
    MUST((server ? url_parse_server : url_parse_proxy)(&read, text, error));
    MUST(strcmp(read.host, url->host) == 0 && read.port == url->port);
    MUST(read.tls == url->tls && !strcmp(read.userinfo, url->userinfo));
    MUST(!server || strcmp(read.target, url->target) == 0);
}

static void url(const char *text, bool server)
{
    char error[URL_ERROR_SIZE] = "";
    struct url url = {.port = 0};

    if ((server ? url_parse_server : url_parse_proxy)(&url, text, error)) {
        must_be_sound(&url);
        again(&url, server);
    } else {
        must_be_a_sentence(error, sizeof error);
    }
}

static void server_url(struct input input)
{
    char *text = input_string(input.bytes, input.length);
    url(text, true);
    free(text);
}

static void proxy_url(struct input input)
{
    char *text = input_string(input.bytes, input.length);
    url(text, false);
    free(text);
}

/* ---- answers ------------------------------------------------------------- */

static size_t head_length(struct input input)
{
    struct http_scan scan;

    http_scan_init(&scan);
    size_t length = http_scan(&scan, input.bytes, input.length);
    return scan.complete ? length : 0;
}

static bool has(const uint8_t *bytes, size_t length, const char *text)
{
    return memmem(bytes, length, text, strlen(text)) != NULL;
}

static void answer(struct input input)
{
    static const uint8_t nonce[UPGRADE_NONCE_SIZE];
    struct upgrade_answer answer;
    size_t length = head_length(input);

    if (length == 0) {
        return;
    }
    uint8_t *head = input_copy(input.bytes, length);
    if (upgrade_check(&answer, (struct span){head, length}, nonce)) {
        /* of sixteen zeros */
        MUST(has(head, length, "ICX+Yqv66kxgM0FcWaLWlFLwTAI="));
        MUST(has(head, length, "HTTP/1.1 101"));
    } else {
        must_be_a_sentence(answer.error, sizeof answer.error);
        MUST(answer.status <= 999);
    }
    free(head);
}

static void connected(struct input input)
{
    struct upgrade_answer answer;
    size_t length = head_length(input);

    if (length == 0) {
        return;
    }
    uint8_t *head = input_copy(input.bytes, length);
    if (upgrade_check_connect(&answer, (struct span){head, length})) {
        MUST(has(head, length, " 2"));
    } else {
        must_be_a_sentence(answer.error, sizeof answer.error);
        MUST(answer.status <= 999);
    }
    free(head);
}

/* ---- configuration ------------------------------------------------------- */

static const struct words *variables;

static char *variable(const char *name)
{
    return words_variable(variables, name);
}

static void must_be_whole(const struct config *config)
{
    must_be_sound(&config->server);
    MUST(config->key[0] != '\0' && config->agent_id && config->docker_socket);
    for (const char *at = config->key; *at; at++) {
        MUST(*at > ' ' && *at < 0x7f);
    }
    MUST(config->forward_count <= CONFIG_FORWARD_MAX);
    for (uint32_t i = 0; i < config->forward_count; i++) {
        MUST(config->forward[i].port > 0 && config->forward[i].host[0]);
    }
    MUST(config->streams_max > 0 && config->ping_missed_max > 0);
    MUST(config->reconnect_min_ms <= config->reconnect_max_ms);
    MUST((config->client_cert == NULL) == (config->client_key == NULL));

    char request[UPGRADE_REQUEST_MAX];
    static const uint8_t nonce[UPGRADE_NONCE_SIZE];
    struct upgrade_identity identity = {config->key, config->agent_id};
    size_t length = upgrade_request(request, &config->server, &identity, nonce);
    struct input head = {(uint8_t *)request, length, 0};
    MUST(length < sizeof request && head_length(head) == length);
}

static void configuration(struct input input)
{
    static char program[] = "orthrus-agent";
    char text[CONFIG_TEXT_SIZE] = "";
    struct config config;
    struct words words;

    words_read(&words, program, input.bytes, input.length);
    variables = &words;
    enum config_result result = config_parse(&config, words.argument_count,
                                             words.arguments, variable, text);
    if (result == CONFIG_RUN) {
        must_be_whole(&config);
    } else {
        must_be_a_sentence(text, sizeof text);
    }
    words_free(&words);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static void (*const parts[])(struct input) = {
        configuration, answer, connected, server_url, proxy_url};
    if (length >= INPUT_HEAD) {
        parts[bytes[0] % 5](
            (struct input){bytes + INPUT_HEAD, length - INPUT_HEAD, bytes[2]});
    }
    return 0;
}
