#include "agent/url.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Always false, so that a failure is one line at its place. */
__attribute__((format(printf, 2, 3))) static bool fail(char *error,
                                                       const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(error, URL_ERROR_SIZE, format, arguments);
    va_end(arguments);
    return false;
}

/* What is put into a request must not be able to end its line (X21). */
static bool is_visible(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] <= ' ' || text[i] > '~') {
            return false;
        }
    }
    return true;
}

static bool is_name_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
}

static bool parse_host(struct url *url, const char *host, size_t length,
                       char *error)
{
    struct in6_addr address;
    bool bracketed = length >= 2 && host[0] == '[';

    if (bracketed) {
        host++;
        length -= 2;
    }
    if (length == 0) {
        return fail(error, "no host in it");
    }
    if (length > URL_HOST_MAX) {
        return fail(error, "the host is longer than %u characters",
                    URL_HOST_MAX);
    }
    for (size_t i = 0; i < length; i++) {
        char c = host[i];
        if (c >= 'A' && c <= 'Z') {
            c = (char)(c - 'A' + 'a');
        }
        if (!bracketed && !is_name_character(c)) {
            return fail(error, "'%c' cannot be part of a host name", c);
        }
        url->host[i] = c;
    }
    url->host[length] = '\0';
    if (bracketed && inet_pton(AF_INET6, url->host, &address) != 1) {
        return fail(error, "[%s] is not an IPv6 address", url->host);
    }
    return true;
}

static bool parse_port(struct url *url, const char *text, size_t length,
                       char *error)
{
    uint32_t port = 0;

    for (size_t i = 0; i < length && i < 6; i++) {
        if (text[i] < '0' || text[i] > '9') {
            port = 0;
            break;
        }
        port = port * 10 + (uint32_t)(text[i] - '0');
    }
    if (length > 5 || port == 0 || port > 65535) {
        return fail(error, "the port \"%.*s\" is not a number from 1 to 65535",
                    (int)length, text);
    }
    url->port = (uint16_t)port;
    return true;
}

/* authority: "[userinfo@]host[:port]" */
static bool parse_authority(struct url *url, const char *text, size_t length,
                            char *error)
{
    const char *end = text + length;
    const char *at = memrchr(text, '@', length);
    const char *colon = NULL;
    const char *host_end;

    if (at != NULL) {
        size_t userinfo = (size_t)(at - text);
        if (userinfo > URL_USERINFO_MAX) {
            return fail(error, "user name and password are longer than %u",
                        URL_USERINFO_MAX);
        }
        memcpy(url->userinfo, text, userinfo);
        url->userinfo[userinfo] = '\0';
        text = at + 1;
    }
    if (text < end && *text == '[') {
        const char *bracket = memchr(text, ']', (size_t)(end - text));
        if (bracket == NULL || (bracket + 1 < end && bracket[1] != ':')) {
            return fail(error, "an IPv6 address is written [address]:port");
        }
        host_end = bracket + 1;
    } else {
        colon = memchr(text, ':', (size_t)(end - text));
        host_end = colon != NULL ? colon : end;
    }
    if (!parse_host(url, text, (size_t)(host_end - text), error)) {
        return false;
    }
    if (host_end == end) {
        return true;
    }
    return parse_port(url, host_end + 1, (size_t)(end - host_end - 1), error);
}

/* Everything after "scheme://". The scheme has set tls. */
static bool parse_rest(struct url *url, const char *text, char *error)
{
    size_t length = strcspn(text, "/?#");
    const char *target = text + length;

    url->port = url->tls ? 443 : 80;
    url->userinfo[0] = '\0';
    if (!parse_authority(url, text, length, error)) {
        return false;
    }
    if (strchr(target, '#') != NULL) {
        return fail(error, "remove what follows '#'");
    }
    if (strlen(target) >= URL_TARGET_MAX) {
        return fail(error, "the path is longer than %u characters",
                    URL_TARGET_MAX - 1);
    }
    snprintf(url->target, sizeof(url->target), "%s%s",
             *target == '/' ? "" : "/", target);
    return true;
}

/* The characters before "://"; 0: there is no scheme. */
static size_t scheme_length(const char *text)
{
    const char *end = strstr(text, "://");

    return end != NULL ? (size_t)(end - text) : 0;
}

static bool scheme_is(const char *text, size_t length, const char *scheme)
{
    return strlen(scheme) == length && strncasecmp(text, scheme, length) == 0;
}

bool url_parse_server(struct url *url, const char *text,
                      char error[URL_ERROR_SIZE])
{
    size_t length = scheme_length(text);

    if (!is_visible(text, strlen(text))) {
        return fail(error, "it contains a blank or a control character");
    }
    /* these two sentences are the observed ones */
    if (scheme_is(text, length, "http") || scheme_is(text, length, "https")) {
        return fail(error,
                    "expected WebSocket scheme wss:// (got \"%.200s\"); use "
                    "wss:// instead of %.*s://",
                    text, (int)length, text);
    }
    if (!scheme_is(text, length, "wss") && !scheme_is(text, length, "ws")) {
        return fail(error, "unsupported scheme \"%.*s\": expected wss://",
                    (int)(length < 80 ? length : 80), text);
    }
    url->tls = length == 3;
    if (!parse_rest(url, text + length + 3, error)) {
        return false;
    }
    if (url->userinfo[0] != '\0') {
        return fail(error, "it contains a user name; the key goes into "
                           "ORTHRUS_AUTH_KEY");
    }
    if (strcmp(url->target, "/") == 0) {
        snprintf(url->target, sizeof(url->target), "%s", URL_TARGET_DEFAULT);
    }
    return true;
}

bool url_parse_proxy(struct url *url, const char *text,
                     char error[URL_ERROR_SIZE])
{
    size_t length = scheme_length(text);

    if (!is_visible(text, strlen(text))) {
        return fail(error, "it contains a blank or a control character");
    }
    if (length != 0 && !scheme_is(text, length, "http")) {
        return fail(error, "unsupported scheme \"%.*s\": expected http://",
                    (int)(length < 80 ? length : 80), text);
    }
    url->tls = false;
    return parse_rest(url, text + (length != 0 ? length + 3 : 0), error);
}

bool url_is_loopback(const struct url *url)
{
    struct in_addr v4;

    return strcmp(url->host, "localhost") == 0 ||
           strcmp(url->host, "::1") == 0 ||
           (inet_pton(AF_INET, url->host, &v4) == 1 &&
            ntohl(v4.s_addr) >> 24 == 127);
}

void url_authority(const struct url *url, bool always_port,
                   char authority[URL_AUTHORITY_MAX + 1])
{
    bool is_v6 = strchr(url->host, ':') != NULL;
    char port[sizeof(":65535")] = "";

    if (always_port || url->port != (url->tls ? 443 : 80)) {
        snprintf(port, sizeof(port), ":%u", url->port);
    }
    snprintf(authority, URL_AUTHORITY_MAX + 1, "%s%s%s%s", is_v6 ? "[" : "",
             url->host, is_v6 ? "]" : "", port);
}
