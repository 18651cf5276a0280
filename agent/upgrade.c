#include "agent/upgrade.h"

#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/contract.h"
#include "core/http.h"

#define ACCEPT_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455 1.3 */
#define NONCE_TEXT_SIZE 25u  /* base64 of the nonce, and NUL */
#define ACCEPT_TEXT_SIZE 29u /* base64 of a SHA-1, and NUL */

/* Always false, so that a failure is one line at its place. */
__attribute__((format(printf, 2, 3))) static bool
fail(struct upgrade_answer *answer, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(answer->error, sizeof(answer->error), format, arguments);
    va_end(arguments);
    return false;
}

static void encode(char *text, const uint8_t *bytes, size_t length)
{
    EVP_EncodeBlock((unsigned char *)text, bytes, (int)length);
}

size_t upgrade_request(char request[UPGRADE_REQUEST_MAX],
                       const struct url *server,
                       const struct upgrade_identity *identity,
                       const uint8_t nonce[UPGRADE_NONCE_SIZE])
{
    char authority[URL_AUTHORITY_MAX + 1];
    char nonce_text[NONCE_TEXT_SIZE];
    int length;

    url_authority(server, false, authority);
    encode(nonce_text, nonce, UPGRADE_NONCE_SIZE);
    length = snprintf(request, UPGRADE_REQUEST_MAX,
                      "GET %s HTTP/1.1\r\n"
                      "Host: %s\r\n"
                      "Upgrade: websocket\r\n"
                      "Connection: Upgrade\r\n"
                      "Sec-WebSocket-Key: %s\r\n"
                      "Sec-WebSocket-Version: 13\r\n"
                      "Authorization: Bearer %s\r\n"
                      "X-Orthrus-Version: %s\r\n"
                      "X-Orthrus-Name: %s\r\n"
                      "\r\n",
                      server->target, authority, nonce_text, identity->key,
                      ORTHRUS_VERSION, identity->agent_id);
    ENSURE(length > 0 && length < (int)UPGRADE_REQUEST_MAX);
    return (size_t)length;
}

/* "a%40b" is "a@b"; what is no escape stays as it is. */
static size_t decode_percent(uint8_t *bytes, const char *text)
{
    size_t length = 0;

    while (*text != '\0') {
        unsigned value;
        int taken = 0;
        if (*text == '%' && sscanf(text, "%%%2x%n", &value, &taken) == 1 &&
            taken == 3) {
            bytes[length++] = (uint8_t)value;
            text += 3;
        } else {
            bytes[length++] = (uint8_t)*text++;
        }
    }
    return length;
}

size_t upgrade_connect_request(char request[UPGRADE_REQUEST_MAX],
                               const struct url *server,
                               const struct url *proxy)
{
    char authority[URL_AUTHORITY_MAX + 1];
    char credentials[(URL_USERINFO_MAX + 2) / 3 * 4 + 1] = "";
    bool authorized = proxy->userinfo[0] != '\0';
    int length;

    url_authority(server, true, authority);
    if (authorized) {
        uint8_t bytes[URL_USERINFO_MAX];
        encode(credentials, bytes, decode_percent(bytes, proxy->userinfo));
    }
    length = snprintf(request, UPGRADE_REQUEST_MAX,
                      "CONNECT %s HTTP/1.1\r\n"
                      "Host: %s\r\n"
                      "%s%s%s"
                      "\r\n",
                      authority, authority,
                      authorized ? "Proxy-Authorization: Basic " : "",
                      credentials, authorized ? "\r\n" : "");
    ENSURE(length > 0 && length < (int)UPGRADE_REQUEST_MAX);
    return (size_t)length;
}

/* "HTTP/1.1 101 Switching Protocols"; proxies also say HTTP/1.0. False:
 * it is no status line. */
static bool parse_status_line(struct span head, unsigned *status,
                              struct span *line)
{
    const uint8_t *bytes = head.bytes;
    const uint8_t *end = memchr(bytes, '\r', head.length);
    unsigned code = 0;

    if (end == NULL || end - bytes < 12 || memcmp(bytes, "HTTP/1.", 7) != 0 ||
        (bytes[7] != '0' && bytes[7] != '1') || bytes[8] != ' ' ||
        (end - bytes > 12 && bytes[12] != ' ')) {
        return false;
    }
    for (int i = 9; i < 12; i++) {
        if (bytes[i] < '0' || bytes[i] > '9') {
            return false;
        }
        code = code * 10 + (unsigned)(bytes[i] - '0');
    }
    *status = code;
    *line = (struct span){bytes + 9, (size_t)(end - bytes) - 9};
    return true;
}

/* Does the list (of a Connection or Upgrade field) name this token? */
static bool list_names(struct span list, const char *token)
{
    while (list.length > 0) {
        const uint8_t *comma = memchr(list.bytes, ',', list.length);
        size_t length =
            comma != NULL ? (size_t)(comma - list.bytes) : list.length;
        struct span item = {list.bytes, length};
        while (item.length > 0 && item.bytes[0] == ' ') {
            item.bytes++;
            item.length--;
        }
        while (item.length > 0 && item.bytes[item.length - 1] == ' ') {
            item.length--;
        }
        if (http_is(item, token)) {
            return true;
        }
        length += comma != NULL;
        list.bytes += length;
        list.length -= length;
    }
    return false;
}

/* What of the answer's fields matters. */
struct answer_fields {
    bool upgrade, connection;
    bool extra; /* an extension or protocol that we did not ask for */
    struct span accept;
    struct span location;
};

/* All false if they are not what HTTP calls fields. */
static struct answer_fields read_fields(struct span head)
{
    struct answer_fields fields = {0};
    struct http_response response;
    struct http_field field;

    if (http_parse_response(&response, head.bytes, head.length, HTTP_GET) !=
        HTTP_OK) {
        return fields;
    }
    while (http_next_field(&response.fields, &field)) {
        if (http_is(field.name, "upgrade")) {
            fields.upgrade |= list_names(field.value, "websocket");
        } else if (http_is(field.name, "connection")) {
            fields.connection |= list_names(field.value, "upgrade");
        } else if (http_is(field.name, "sec-websocket-accept")) {
            fields.accept = field.value;
        } else if (http_is(field.name, "sec-websocket-extensions") ||
                   http_is(field.name, "sec-websocket-protocol")) {
            fields.extra = true;
        } else if (http_is(field.name, "location")) {
            fields.location = field.value;
        }
    }
    return fields;
}

static bool fail_status(struct upgrade_answer *answer, struct span line,
                        struct span location)
{
    int length = line.length > 60 ? 60 : (int)line.length;
    const char *text = (const char *)line.bytes;

    if (answer->status == 401) {
        return fail(answer, "the server refused the auth key (401); give the "
                            "key that it printed for this agent");
    }
    if (answer->status == 404) {
        return fail(answer,
                    "the server answered %.*s; is the path in --server-url "
                    "right?",
                    length, text);
    }
    if (answer->status >= 300 && answer->status < 400 && location.length > 0) {
        return fail(answer,
                    "the server answered %.*s and points to %.*s; put that "
                    "into --server-url",
                    length, text,
                    location.length > 100 ? 100 : (int)location.length,
                    (const char *)location.bytes);
    }
    return fail(answer, "the server answered %.*s instead of 101", length,
                text);
}

bool upgrade_check(struct upgrade_answer *answer, struct span head,
                   const uint8_t nonce[UPGRADE_NONCE_SIZE])
{
    char text[NONCE_TEXT_SIZE + sizeof(ACCEPT_GUID)];
    char accept[ACCEPT_TEXT_SIZE];
    unsigned char digest[EVP_MAX_MD_SIZE];
    struct answer_fields fields;
    struct span line;

    answer->status = 0;
    if (!parse_status_line(head, &answer->status, &line)) {
        return fail(answer, "the server does not speak HTTP; is the port in "
                            "--server-url right?");
    }
    fields = read_fields(head);
    if (answer->status != 101) {
        return fail_status(answer, line, fields.location);
    }
    encode(text, nonce, UPGRADE_NONCE_SIZE);
    memcpy(text + NONCE_TEXT_SIZE - 1, ACCEPT_GUID, sizeof(ACCEPT_GUID));
    if (EVP_Digest(text, strlen(text), digest, NULL, EVP_sha1(), NULL) != 1) {
        return fail(answer, "no SHA-1 in the crypto library");
    }
    encode(accept, digest, 20);
    if (!fields.upgrade || !fields.connection ||
        fields.accept.length != ACCEPT_TEXT_SIZE - 1 ||
        memcmp(fields.accept.bytes, accept, ACCEPT_TEXT_SIZE - 1) != 0) {
        return fail(answer, "the server's 101 is no WebSocket upgrade; does "
                            "something between rewrite it?");
    }
    if (fields.extra) {
        return fail(answer, "the server chose a WebSocket extension or "
                            "protocol that was not offered");
    }
    return true;
}

bool upgrade_check_connect(struct upgrade_answer *answer, struct span head)
{
    struct span line;

    answer->status = 0;
    if (!parse_status_line(head, &answer->status, &line)) {
        return fail(answer, "the proxy does not speak HTTP; is HTTPS_PROXY "
                            "right?");
    }
    if (answer->status == 407) {
        return fail(answer, "the proxy wants a user name and password (407); "
                            "put them into HTTPS_PROXY");
    }
    if (answer->status / 100 != 2) {
        return fail(answer, "the proxy answered %.*s to CONNECT",
                    line.length > 60 ? 60 : (int)line.length,
                    (const char *)line.bytes);
    }
    return true;
}
