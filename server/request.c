#include "server/request.h"

#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LENGTH_DIGITS 15u /* of Content-Length; no body of ours is near */

/* Copy a header; NULL if absent. One that came twice, or with a NUL in it, is a
 * problem: nobody knows which of two readings the next one takes. */
static const char *take(struct request *request, struct lws *wsi,
                        enum lws_token_indexes token, const char *problem)
{
    int length = lws_hdr_total_length(wsi, token);
    char *copy = request->text + request->used;

    if (length <= 0) {
        return NULL;
    }
    if (lws_hdr_fragment_length(wsi, token, 1) > 0 ||
        lws_hdr_copy(wsi, copy, (int)(request->size - request->used), token) !=
            length ||
        strlen(copy) != (size_t)length) {
        request->problem = problem;
        return NULL;
    }
    request->used += (size_t)length + 1;
    return copy;
}

/* The same for one that the library does not know; name ends in a colon. It
 * shows the first only of those that came twice. */
static const char *take_custom(struct request *request, struct lws *wsi,
                               const char *name, const char *problem)
{
    int name_length = (int)strlen(name);
    int length = lws_hdr_custom_length(wsi, name, name_length);
    char *copy = request->text + request->used;

    if (length < 0) {
        return NULL;
    }
    if (lws_hdr_custom_copy(wsi, copy, (int)(request->size - request->used),
                            name, name_length) != length ||
        strlen(copy) != (size_t)length) {
        request->problem = problem;
        return NULL;
    }
    request->used += (size_t)length + 1;
    return copy;
}

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || (c != '\0' && strchr("-._~=", c) != NULL);
}

/* The library hands out decoded arguments; the API takes them encoded. */
static const char *take_query(struct request *request, struct lws *wsi)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t room = request->size - request->used;
    char *start = request->text + request->used;
    char *raw = start + room * 3 / 4; /* scratch in the last quarter */
    size_t raw_room = room - room * 3 / 4;
    char *out = start;
    int length;

    if (lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_URI_ARGS) <= 0) {
        return NULL;
    }
    for (int i = 0;
         (length = lws_hdr_copy_fragment(wsi, raw, (int)raw_room,
                                         WSI_TOKEN_HTTP_URI_ARGS, i)) >= 0;
         i++) {
        if (i > 0) {
            *out++ = '&';
        }
        for (int k = 0; k < length && out + 4 < raw; k++) {
            unsigned char byte = (unsigned char)raw[k];
            if (is_plain(raw[k])) {
                *out++ = raw[k];
            } else {
                *out++ = '%';
                *out++ = digits[byte >> 4];
                *out++ = digits[byte & 15];
            }
        }
        if (out + 4 >= raw) {
            request->problem = "the query is too long";
            return NULL;
        }
    }
    *out++ = '\0';
    request->used += (size_t)(out - start);
    return start;
}

static const char *method_name(int method)
{
    switch (method) {
    case LWSHUMETH_GET:
        return "GET";
    case LWSHUMETH_POST:
        return "POST";
    case LWSHUMETH_OPTIONS:
        return "OPTIONS";
    case LWSHUMETH_PUT:
        return "PUT";
    case LWSHUMETH_PATCH:
        return "PATCH";
    case LWSHUMETH_DELETE:
        return "DELETE";
    case LWSHUMETH_HEAD:
        return "HEAD";
    default:
        return NULL;
    }
}

static void take_line(struct request *request, struct lws *wsi)
{
    struct api_request *api = &request->api;
    const char *version;
    char *uri;
    int length;

    api->method = method_name(lws_http_get_uri_and_method(wsi, &uri, &length));
    /* The library splits a path at '&' and ';': nothing of ours has them. */
    if (api->method == NULL || strlen(uri) != (size_t)length) {
        request->problem = "the request line is malformed";
        api->method = api->method == NULL ? "" : api->method;
        api->path = "";
    } else {
        api->path =
            memcpy(request->text + request->used, uri, (size_t)length + 1);
        request->used += (size_t)length + 1;
    }
    api->query = take_query(request, wsi);
    version = take(request, wsi, WSI_TOKEN_HTTP, "the HTTP version is unknown");
    request->http_1_0 = version != NULL && strcmp(version, "HTTP/1.0") == 0;
    if (!request->http_1_0 &&
        (version == NULL || strcmp(version, "HTTP/1.1") != 0)) {
        request->problem = "the HTTP version is not 1.1";
    }
}

static void take_length(struct request *request, struct lws *wsi)
{
    const char *problem = "Content-Length is malformed";
    const char *text =
        take(request, wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH, problem);
    size_t digits = text == NULL ? 0 : strspn(text, "0123456789");

    request->body_unbounded =
        text == NULL && (strcmp(request->api.method, "POST") == 0 ||
                         strcmp(request->api.method, "PUT") == 0 ||
                         strcmp(request->api.method, "PATCH") == 0);
    if (text != NULL) {
        if (digits == 0 || digits > LENGTH_DIGITS || text[digits] != '\0') {
            request->problem = problem;
            return;
        }
        request->api.body_length = strtoull(text, NULL, 10);
    }
    if (take(request, wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING,
             "Transfer-Encoding came twice") != NULL) {
        request->length_missing = true;
        if (text != NULL) {
            request->problem = "Content-Length and Transfer-Encoding exclude "
                               "each other";
        }
    }
}

bool request_read(struct request *request, struct lws *wsi, size_t head_max)
{
    struct api_request *api = &request->api;

    memset(request, 0, sizeof *request);
    /* A decoded query grows threefold, and take_query() uses three quarters. */
    request->size = head_max * 5 + 64;
    request->text = malloc(request->size);
    if (request->text == NULL) {
        return false;
    }
    take_line(request, wsi);
    take_length(request, wsi);
    api->authorization = take(request, wsi, WSI_TOKEN_HTTP_AUTHORIZATION,
                              "Authorization came twice");
    api->host = take(request, wsi, WSI_TOKEN_HOST, "Host came twice");
    api->origin = take(request, wsi, WSI_TOKEN_ORIGIN, "Origin came twice");
    api->sec_fetch_site = take_custom(
        request, wsi, "sec-fetch-site:", "Sec-Fetch-Site is malformed");
    api->charon_url =
        take_custom(request, wsi, "x-charon-url:", "X-Charon-URL is malformed");
    api->has_cors =
        lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_AC_REQUEST_HEADERS) > 0 ||
        lws_hdr_custom_length(wsi, "access-control-request-method:", 30) >= 0 ||
        lws_hdr_custom_length(
            wsi, "access-control-request-private-network:", 39) >= 0;
    request->connection =
        take(request, wsi, WSI_TOKEN_CONNECTION, "Connection came twice");
    request->expect =
        take(request, wsi, WSI_TOKEN_HTTP_EXPECT, "Expect came twice");
    request->upgrade_key =
        take(request, wsi, WSI_TOKEN_KEY, "Sec-WebSocket-Key came twice");
    request->upgrade_version = take(request, wsi, WSI_TOKEN_VERSION,
                                    "Sec-WebSocket-Version came twice");
    request->keep_alive =
        request->http_1_0 ? request_has_token(request->connection, "keep-alive")
                          : !request_has_token(request->connection, "close");
    if (request->problem == NULL && api->host == NULL && !request->http_1_0) {
        request->problem = "Host is missing";
    }
    return true;
}

void request_free(struct request *request)
{
    if (request->text != NULL) {
        explicit_bzero(request->text, request->used);
        free(request->text);
    }
    memset(request, 0, sizeof *request);
}

bool request_has_token(const char *list, const char *token)
{
    size_t length = strlen(token);

    while (list != NULL && *list != '\0') {
        size_t word;
        list += strspn(list, ", \t");
        word = strcspn(list, ", \t");
        if (word == length && strncasecmp(list, token, length) == 0) {
            return true;
        }
        list += word;
    }
    return false;
}
