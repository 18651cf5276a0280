/* http.c: see http.h.
 *
 * Implementation notes. http_scan() is the only code that sees a head in
 * pieces; when it says complete, every line is known to end in CR LF and to
 * hold no control byte but TAB, and what follows relies on that.
 */
#include "core/http.h"

#include <string.h>

#include "core/contract.h"

#define LENGTH_DIGITS_MAX 15u /* far from overflow in 64 bits */
#define CHUNK_DIGITS_MAX 15u  /* hexadecimal */

/* ---- faults -------------------------------------------------------------- */

static const struct {
    const char *name;
    unsigned status;
    const char *text;
} faults[] = {
#define HTTP_FAULT_ROW(name, status, text) {#name, status, text},
    HTTP_FAULT_TABLE(HTTP_FAULT_ROW)
#undef HTTP_FAULT_ROW
};

unsigned http_fault_status(enum http_fault fault)
{
    REQUIRE(fault < sizeof faults / sizeof *faults);
    return faults[fault].status;
}

const char *http_fault_name(enum http_fault fault)
{
    REQUIRE(fault < sizeof faults / sizeof *faults);
    return faults[fault].name;
}

const char *http_fault_text(enum http_fault fault)
{
    REQUIRE(fault < sizeof faults / sizeof *faults);
    return faults[fault].text;
}

/* ---- bytes --------------------------------------------------------------- */

static bool is_alphanumeric(uint8_t byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9');
}

static bool is_one_of(uint8_t byte, const char *bytes)
{
    return memchr(bytes, byte, strlen(bytes)) != NULL;
}

static bool is_token_byte(uint8_t byte) /* RFC 9110 5.6.2 */
{
    return is_alphanumeric(byte) || is_one_of(byte, "!#$%&'*+-.^_`|~");
}

static bool is_token(struct span span)
{
    for (size_t i = 0; i < span.length; i++) {
        if (!is_token_byte(span.bytes[i])) {
            return false;
        }
    }
    return span.length > 0;
}

static uint8_t lower(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + ('a' - 'A')) : byte;
}

/* The value of a hex digit; 16: it is none. */
static unsigned hex(uint8_t byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - (unsigned)'0';
    }
    byte = lower(byte);
    return byte >= 'a' && byte <= 'f' ? byte - (unsigned)'a' + 10 : 16;
}

static bool equals(struct span span, const char *text)
{
    return span.length == strlen(text) &&
           memcmp(span.bytes, text, span.length) == 0;
}

static bool same_name(struct span a, struct span b)
{
    if (a.length != b.length) {
        return false;
    }
    for (size_t i = 0; i < a.length; i++) {
        if (lower(a.bytes[i]) != lower(b.bytes[i])) {
            return false;
        }
    }
    return true;
}

bool http_is(struct span span, const char *text)
{
    struct span other = {(const uint8_t *)text, strlen(text)};

    return same_name(span, other);
}

static struct span trim(struct span span)
{
    while (span.length > 0 && is_one_of(span.bytes[0], " \t")) {
        span.bytes++;
        span.length--;
    }
    while (span.length > 0 && is_one_of(span.bytes[span.length - 1], " \t")) {
        span.length--;
    }
    return span;
}

/* Split *rest at the first `separator`: the part before it is returned, *rest
 * is what follows. Without one, everything is returned. */
static struct span split(struct span *rest, uint8_t separator)
{
    const uint8_t *at =
        rest->length == 0 ? NULL : memchr(rest->bytes, separator, rest->length);
    struct span part = *rest;

    if (at != NULL) {
        part.length = (size_t)(at - rest->bytes);
        rest->bytes += part.length + 1;
        rest->length -= part.length + 1;
    } else {
        rest->bytes += rest->length;
        rest->length = 0;
    }
    return part;
}

/* The next line of a scanned head, without its CR LF. */
static struct span take_line(struct span *rest)
{
    struct span line = split(rest, '\r');

    REQUIRE(rest->length > 0 && rest->bytes[0] == '\n');
    rest->bytes++;
    rest->length--;
    return line;
}

/* ---- the end of a head --------------------------------------------------- */

enum scan_state {
    FIRST_LINE, /* its first byte is next */
    LINE_START,
    IN_LINE,
    AFTER_CR,
    AFTER_EMPTY_CR /* the CR began its line */
};

void http_scan_init(struct http_scan *scan)
{
    *scan = (struct http_scan){.state = FIRST_LINE};
}

static void scan_lf(struct http_scan *scan)
{
    if (scan->state == AFTER_EMPTY_CR) {
        scan->complete = true;
    } else if (scan->state == AFTER_CR) {
        scan->state = LINE_START;
    } else {
        scan->fault =
            scan->state == FIRST_LINE ? HTTP_EMPTY_FIRST_LINE : HTTP_BARE_LF;
    }
}

static void scan_byte(struct http_scan *scan, uint8_t byte)
{
    if (byte == '\n') {
        scan_lf(scan);
    } else if (scan->state == AFTER_CR || scan->state == AFTER_EMPTY_CR) {
        scan->fault = HTTP_BARE_CR;
    } else if (byte == '\r') {
        if (scan->state == FIRST_LINE) {
            scan->fault = HTTP_EMPTY_FIRST_LINE;
        }
        scan->state = scan->state == IN_LINE ? AFTER_CR : AFTER_EMPTY_CR;
    } else if ((byte < ' ' && byte != '\t') || byte == 0x7f) {
        scan->fault = HTTP_CONTROL_BYTE;
    } else {
        scan->state = IN_LINE;
    }
}

size_t http_scan(struct http_scan *scan, const uint8_t *bytes, size_t length)
{
    size_t taken = 0;

    while (taken < length && !scan->complete && scan->fault == HTTP_OK) {
        scan_byte(scan, bytes[taken++]);
    }
    return taken;
}

/* ---- fields -------------------------------------------------------------- */

/* Take a field's line apart. */
static enum http_fault parse_field(struct span line, struct http_field *field)
{
    if (is_one_of(line.bytes[0], " \t")) { /* a line is never empty here */
        return HTTP_FIELD_FOLDED;
    }
    field->name = split(&line, ':');
    field->value = trim(line);
    /* without a colon the rest is empty and begins at the line's end */
    if (!is_token(field->name) ||
        field->name.bytes[field->name.length] != ':') {
        return HTTP_FIELD_NAME;
    }
    return HTTP_OK;
}

bool http_next_field(struct span *fields, struct http_field *field)
{
    enum http_fault fault;

    if (fields->length == 0) {
        return false;
    }
    fault = parse_field(take_line(fields), field);
    REQUIRE(fault == HTTP_OK); /* the head's parser has passed them all */
    return true;
}

/* What the fields say about the body's framing. */
struct framing {
    bool has_length;
    bool chunked;
    uint64_t length;
};

static enum http_fault take_length(struct framing *framing, struct span value)
{
    uint64_t length = 0;

    if (framing->has_length) {
        return HTTP_LENGTH_TWICE;
    }
    if (value.length == 0 || value.length > LENGTH_DIGITS_MAX ||
        (value.bytes[0] == '0' && value.length > 1)) {
        return HTTP_LENGTH_VALUE;
    }
    for (size_t i = 0; i < value.length; i++) {
        if (value.bytes[i] < '0' || value.bytes[i] > '9') {
            return HTTP_LENGTH_VALUE;
        }
        length = length * 10 + (uint64_t)(value.bytes[i] - '0');
    }
    framing->has_length = true;
    framing->length = length;
    return HTTP_OK;
}

/* Note what this field says about framing, if it is about that. */
static enum http_fault take_framing(struct framing *framing,
                                    const struct http_field *field)
{
    enum http_fault fault = HTTP_OK;

    if (http_is(field->name, "content-length")) {
        fault = take_length(framing, field->value);
    } else if (http_is(field->name, "transfer-encoding")) {
        if (framing->chunked || !equals(field->value, "chunked")) {
            return HTTP_ENCODING_VALUE;
        }
        framing->chunked = true;
    }
    if (framing->chunked && framing->has_length) {
        return HTTP_LENGTH_AND_ENCODING;
    }
    return fault;
}

static bool next_option(struct span *list, struct span *option)
{
    while (list->length > 0) {
        *option = trim(split(list, ','));
        if (option->length > 0) {
            return true;
        }
    }
    return false;
}

static bool has_option(struct span list, const char *name)
{
    struct span option;

    while (next_option(&list, &option)) {
        if (http_is(option, name)) {
            return true;
        }
    }
    return false;
}

/* ---- requests: the first line -------------------------------------------- */

static const char *const methods[] = {
    [HTTP_GET] = "GET", [HTTP_HEAD] = "HEAD",     [HTTP_POST] = "POST",
    [HTTP_PUT] = "PUT", [HTTP_DELETE] = "DELETE", [HTTP_OPTIONS] = "OPTIONS",
};

const char *http_method_name(enum http_method method)
{
    REQUIRE(method < sizeof methods / sizeof *methods);
    return methods[method];
}

/* Methods are case-sensitive. */
static bool find_method(struct span name, enum http_method *method)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (equals(name, methods[i])) {
            *method = (enum http_method)i;
            return true;
        }
    }
    return false;
}

/* May this byte stand for itself in a segment of the path? RFC 3986's pchar,
 * without the ; that some servers cut parameters at. */
static bool is_path_byte(uint8_t byte)
{
    return is_alphanumeric(byte) || is_one_of(byte, "-._~!$&'()*+,=:@");
}

/* The byte that an escape at `at` stands for. */
static bool unescape(struct span target, size_t at, uint8_t *byte)
{
    unsigned high;
    unsigned low;

    if (target.length - at < 3) {
        return false;
    }
    high = hex(target.bytes[at + 1]);
    low = hex(target.bytes[at + 2]);
    *byte = (uint8_t)(high << 4 | low);
    return high < 16 && low < 16;
}

/* Make the path canonical where it stands, and find its ends: *at is where it
 * ends in the target, *length how long it became. */
static enum http_fault rewrite_path(struct span target, uint8_t *path,
                                    size_t *at, size_t *length)
{
    static const char digits[] = "0123456789ABCDEF";

    while (*at < target.length && target.bytes[*at] != '?') {
        uint8_t byte = target.bytes[*at];

        if (byte == '%') {
            if (!unescape(target, *at, &byte)) {
                return HTTP_TARGET_ESCAPE;
            }
            if (byte < ' ' || byte == 0x7f || is_one_of(byte, "/\\;")) {
                return HTTP_TARGET_HIDDEN;
            }
            *at += 3;
            if (!is_path_byte(byte)) {
                path[(*length)++] = '%';
                path[(*length)++] = (uint8_t)digits[byte >> 4];
                byte = (uint8_t)digits[byte & 0x0f];
            }
        } else if (byte == '/' || is_path_byte(byte)) {
            *at += 1;
        } else {
            return HTTP_TARGET_BYTE;
        }
        path[(*length)++] = byte;
    }
    return HTTP_OK;
}

/* The query routes nothing: it only must be unambiguous about its end. */
static enum http_fault check_query(struct span target, size_t at)
{
    for (; at < target.length; at++) {
        uint8_t byte = target.bytes[at];

        if (byte <= ' ' || byte >= 0x7f || is_one_of(byte, "#\\")) {
            return HTTP_TARGET_BYTE;
        }
        if (byte == '%' && !unescape(target, at, &byte)) {
            return HTTP_TARGET_ESCAPE;
        }
    }
    return HTTP_OK;
}

static enum http_fault check_segments(struct span path)
{
    struct span rest = {path.bytes + 1, path.length - 1};

    while (rest.length > 0) {
        struct span segment = split(&rest, '/');

        if (segment.length == 0) {
            return HTTP_TARGET_EMPTY_SEGMENT;
        }
        if (equals(segment, ".") || equals(segment, "..")) {
            return HTTP_TARGET_DOT_SEGMENT;
        }
    }
    return HTTP_OK;
}

/* target is inside head, which may be written to. */
static enum http_fault parse_target(struct http_request *request, uint8_t *head,
                                    struct span target)
{
    uint8_t *path = head + (target.bytes - head);
    size_t at = 0;
    size_t length = 0;
    enum http_fault fault;

    if (target.bytes[0] != '/') {
        return HTTP_TARGET_FORM;
    }
    fault = rewrite_path(target, path, &at, &length);
    if (fault == HTTP_OK) {
        fault = check_query(target, at);
    }
    if (fault != HTTP_OK) {
        return fault;
    }
    memmove(path + length, path + at, target.length - at);
    request->path = (struct span){path, length};
    request->target = (struct span){path, length + target.length - at};
    return check_segments(request->path);
}

static enum http_fault parse_request_line(struct http_request *request,
                                          uint8_t *head, struct span line)
{
    struct span rest = line;
    struct span method = split(&rest, ' ');
    struct span target = split(&rest, ' ');

    if (method.length == 0 || target.length == 0 || rest.length < 5 ||
        memcmp(rest.bytes, "HTTP/", 5) != 0 ||
        memchr(rest.bytes, ' ', rest.length) != NULL) {
        return HTTP_REQUEST_LINE;
    }
    if (!equals(rest, "HTTP/1.1")) {
        return HTTP_VERSION;
    }
    if (!find_method(method, &request->method)) {
        return HTTP_METHOD;
    }
    return parse_target(request, head, target);
}

/* ---- requests: the fields ------------------------------------------------ */

/* What the fields of a request add up to. */
struct request_fields {
    struct framing framing;
    bool has_host;
};

static enum http_fault take_host(struct request_fields *fields,
                                 struct span value)
{
    if (fields->has_host) {
        return HTTP_HOST_TWICE;
    }
    fields->has_host = true;
    for (size_t i = 0; i < value.length; i++) {
        if (!is_alphanumeric(value.bytes[i]) &&
            !is_one_of(value.bytes[i], ".-_:[]")) {
            return HTTP_HOST_VALUE;
        }
    }
    return HTTP_OK;
}

/* Copy the options: the field itself is gone once the head is rewritten. They
 * name fields to be left out, and Host must not be one. */
static enum http_fault take_connection(struct http_request *request,
                                       struct span value)
{
    struct span option;

    while (next_option(&value, &option)) {
        uint8_t *end = request->connection + request->connection_length;

        if (!is_token(option) || http_is(option, "host") ||
            option.length + 1 >
                HTTP_CONNECTION_MAX - (size_t)request->connection_length) {
            return HTTP_CONNECTION_OPTIONS;
        }
        memcpy(end, option.bytes, option.length);
        end[option.length] = ',';
        request->connection_length =
            (uint8_t)(request->connection_length + option.length + 1);
        request->close = request->close || http_is(option, "close");
    }
    return HTTP_OK;
}

static enum http_fault take_expectation(struct http_request *request,
                                        struct span value)
{
    if (request->expects_continue || !http_is(value, "100-continue")) {
        return HTTP_EXPECTATION;
    }
    request->expects_continue = true;
    return HTTP_OK;
}

static enum http_fault take_request_field(struct http_request *request,
                                          struct request_fields *fields,
                                          const struct http_field *field)
{
    if (http_is(field->name, "host")) {
        return take_host(fields, field->value);
    }
    if (http_is(field->name, "connection")) {
        return take_connection(request, field->value);
    }
    if (http_is(field->name, "expect")) {
        return take_expectation(request, field->value);
    }
    return take_framing(&fields->framing, field);
}

static bool takes_body(enum http_method method)
{
    return method == HTTP_POST || method == HTTP_PUT;
}

/* What holds only of all fields together. */
static enum http_fault conclude(struct http_request *request,
                                const struct request_fields *fields)
{
    if (!fields->has_host) {
        return HTTP_HOST_MISSING;
    }
    if (fields->framing.chunked) {
        request->framing = HTTP_CHUNKED;
    } else if (fields->framing.length > 0) {
        request->framing = HTTP_LENGTH;
        request->length = fields->framing.length;
    }
    if (request->framing != HTTP_NO_BODY && !takes_body(request->method)) {
        return HTTP_BODY_UNEXPECTED;
    }
    if (request->expects_continue && request->framing == HTTP_NO_BODY) {
        return HTTP_EXPECTATION;
    }
    return HTTP_OK;
}

enum http_fault http_parse_request(struct http_request *request, uint8_t *head,
                                   size_t length)
{
    struct request_fields fields = {.has_host = false};
    struct span rest = {head, length - 2}; /* without the empty line */
    struct span line;
    enum http_fault fault;

    REQUIRE(length > 4 && memcmp(head + length - 4, "\r\n\r\n", 4) == 0);
    memset(request, 0, sizeof *request);
    line = take_line(&rest);
    request->fields = rest;
    fault = parse_request_line(request, head, line);
    while (fault == HTTP_OK && rest.length > 0) {
        struct http_field field;

        line = take_line(&rest);
        fault = parse_field(line, &field);
        if (fault == HTTP_OK && memchr(line.bytes, '\t', line.length) != NULL) {
            fault = HTTP_FIELD_TAB; /* an engine trims it, others may not */
        }
        if (fault == HTTP_OK) {
            fault = take_request_field(request, &fields, &field);
        }
    }
    return fault == HTTP_OK ? conclude(request, &fields) : fault;
}

/* ---- requests: forwarding ------------------------------------------------ */

/* Fields that are between us and the client alone (RFC 9110 7.6.1), or that say
 * how a body comes, when none does. Connection is handled apart. */
static bool stays_here(const struct http_request *request, struct span name)
{
    static const char *const names[] = {
        "content-length",      "expect",  "http2-settings", "keep-alive",
        "proxy-authorization", "te",      "trailer",        "transfer-encoding",
        "proxy-connection",    "upgrade",
    };
    struct span options = {request->connection, request->connection_length};
    struct span option;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (http_is(name, names[i])) {
            return true;
        }
    }
    while (next_option(&options, &option)) {
        if (same_name(option, name)) {
            return true;
        }
    }
    return false;
}

static uint8_t *put(uint8_t *to, const void *bytes, size_t length)
{
    memmove(to, bytes, length); /* to may be the head that is being read */
    return to + length;
}

size_t http_write_request(const struct http_request *request, uint8_t *bytes)
{
    const char *method = http_method_name(request->method);
    struct span fields = request->fields;
    struct http_field field;
    bool close = request->close;
    uint8_t *end = bytes;

    REQUIRE(request->framing == HTTP_NO_BODY);
    end = put(end, method, strlen(method));
    end = put(end, " ", 1);
    end = put(end, request->target.bytes, request->target.length);
    end = put(end, " HTTP/1.1\r\n", 11);
    while (http_next_field(&fields, &field)) {
        /* one space if there was any, so that no line can grow */
        bool spaced =
            field.value.bytes > field.name.bytes + field.name.length + 1;

        if (http_is(field.name, "connection")) {
            if (!close || !has_option(field.value, "close")) {
                continue;
            }
            close = false;
            field.value = (struct span){(const uint8_t *)"close", 5};
        } else if (stays_here(request, field.name)) {
            continue;
        }
        end = put(end, field.name.bytes, field.name.length);
        end = put(end, ": ", spaced ? 2 : 1);
        end = put(end, field.value.bytes, field.value.length);
        end = put(end, "\r\n", 2);
    }
    end = put(end, "\r\n", 2);
    return (size_t)(end - bytes);
}

/* ---- responses ----------------------------------------------------------- */

/* HTTP/1.1 SP 3 digits, then nothing or SP and any text. 0: it is not that. */
static unsigned parse_status(struct span line)
{
    static const char version[] = "HTTP/1.1 ";
    const size_t start = sizeof version - 1;
    unsigned status = 0;

    if (line.length < start + 3 || memcmp(line.bytes, version, start) != 0 ||
        (line.length > start + 3 && line.bytes[start + 3] != ' ')) {
        return 0;
    }
    for (size_t i = start; i < start + 3; i++) {
        if (line.bytes[i] < '0' || line.bytes[i] > '9') {
            return 0;
        }
        status = status * 10 + (unsigned)(line.bytes[i] - '0');
    }
    return status >= 100 && status <= 599 ? status : 0;
}

static bool has_no_body(unsigned status, enum http_method method)
{
    return method == HTTP_HEAD || status < 200 || status == 204 ||
           status == 304;
}

enum http_fault http_parse_response(struct http_response *response,
                                    const uint8_t *head, size_t length,
                                    enum http_method method)
{
    struct framing framing = {.has_length = false};
    struct span rest = {head, length - 2};
    enum http_fault fault = HTTP_OK;

    REQUIRE(length > 4 && memcmp(head + length - 4, "\r\n\r\n", 4) == 0);
    memset(response, 0, sizeof *response);
    response->status = parse_status(take_line(&rest));
    if (response->status == 0) {
        return HTTP_STATUS_LINE;
    }
    response->fields = rest;
    while (fault == HTTP_OK && rest.length > 0) {
        struct http_field field;

        fault = parse_field(take_line(&rest), &field);
        if (fault == HTTP_OK) {
            fault = take_framing(&framing, &field);
        }
        if (fault == HTTP_OK && http_is(field.name, "connection")) {
            response->close =
                response->close || has_option(field.value, "close");
        }
    }
    if (has_no_body(response->status, method)) {
        response->framing = HTTP_NO_BODY;
    } else if (framing.chunked) {
        response->framing = HTTP_CHUNKED;
    } else if (!framing.has_length) {
        response->framing = HTTP_UNTIL_CLOSE;
        response->close = true;
    } else if (framing.length > 0) {
        response->framing = HTTP_LENGTH;
        response->length = framing.length;
    }
    return fault;
}

/* ---- bodies -------------------------------------------------------------- */

enum body_state {             /* of a chunked one: what is next */
                  CHUNK_SIZE, /* a digit, or the CR after them */
                  CHUNK_SIZE_LF,
                  CHUNK_DATA,
                  CHUNK_CR, /* after the data */
                  CHUNK_LF,
                  TRAILERS
};

void http_body_init(struct http_body *body, enum http_framing framing,
                    uint64_t length)
{
    REQUIRE(framing == HTTP_LENGTH || length == 0);
    *body = (struct http_body){
        .framing = framing,
        .state = CHUNK_SIZE,
        .left = length,
        .scan = {.state = LINE_START},
        .complete =
            framing == HTTP_NO_BODY || (framing == HTTP_LENGTH && length == 0),
    };
}

static void take_size_byte(struct http_body *body, uint8_t byte)
{
    unsigned digit = hex(byte);

    if (digit < 16 && body->digits < CHUNK_DIGITS_MAX) {
        body->left = body->left << 4 | digit;
        body->digits++;
    } else if (byte == '\r' && body->digits > 0) {
        body->state = CHUNK_SIZE_LF;
    } else {
        body->fault = HTTP_CHUNK;
    }
}

/* Take a byte of a chunk's framing. */
static void take_chunk_byte(struct http_body *body, uint8_t byte)
{
    switch ((enum body_state)body->state) {
    case CHUNK_SIZE:
        take_size_byte(body, byte);
        return;
    case CHUNK_SIZE_LF:
        body->state = body->left > 0 ? CHUNK_DATA : TRAILERS;
        break;
    case CHUNK_CR:
        body->state = CHUNK_LF;
        body->fault = byte == '\r' ? HTTP_OK : HTTP_CHUNK;
        return;
    case CHUNK_LF:
        body->state = CHUNK_SIZE;
        body->digits = 0;
        break;
    case CHUNK_DATA:
    case TRAILERS:
        REQUIRE(false); /* not framing bytes */
    }
    body->fault = byte == '\n' ? HTTP_OK : HTTP_CHUNK;
}

static void take_trailers(struct http_body *body, struct span *input)
{
    size_t taken = http_scan(&body->scan, input->bytes, input->length);

    input->bytes += taken;
    input->length -= taken;
    body->complete = body->scan.complete;
    body->fault = body->scan.fault;
}

/* Payload: all of the input, or what is left of the body or chunk. */
static struct span take_payload(struct http_body *body, struct span *input)
{
    struct span data = *input;

    if (body->framing != HTTP_UNTIL_CLOSE) {
        data.length =
            body->left < input->length ? (size_t)body->left : input->length;
        body->left -= data.length;
    }
    input->bytes += data.length;
    input->length -= data.length;
    return data;
}

bool http_body_next(struct http_body *body, struct span *input,
                    struct span *data)
{
    while (input->length > 0 && !body->complete && body->fault == HTTP_OK) {
        if (body->framing != HTTP_CHUNKED) {
            *data = take_payload(body, input);
            body->complete = body->framing == HTTP_LENGTH && body->left == 0;
            return true;
        }
        if (body->state == CHUNK_DATA) {
            *data = take_payload(body, input);
            body->state = body->left == 0 ? CHUNK_CR : CHUNK_DATA;
            return true;
        }
        if (body->state == TRAILERS) {
            take_trailers(body, input);
        } else {
            take_chunk_byte(body, *input->bytes++);
            input->length--;
        }
    }
    return false;
}
