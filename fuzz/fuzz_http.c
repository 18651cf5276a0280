/* HTTP/1.1 heads and bodies. First byte: 0 a request, 1 a response, 2 a body;
 * second: the request's method, or the body's framing; third: the cuts.
 *
 * What must hold: nothing depends on the cuts; a head that is taken is
 * forwarded in a form that is taken again, as the same request, and is then
 * forwarded as it is; a chunked body is what an independent reader makes of it.
 */
#include <string.h>
#include <strings.h>

#include "core/http.h"
#include "fuzz/harness.h"

/* ---- heads --------------------------------------------------------------- */

/* Scan in pieces: what was taken. */
static size_t scan(struct http_scan *scan, struct input input)
{
    size_t taken = 0;

    http_scan_init(scan);
    while (input.length > 0) {
        size_t length = input_piece(&input);
        uint8_t *piece = input_copy(input.bytes, length);
        taken += http_scan(scan, piece, length);
        free(piece);
        input_take(&input, length);
    }
    return taken;
}

/* The end of the head, 0: it has none. */
static size_t find_head(struct input input)
{
    struct input whole = {input.bytes, input.length, 0};
    struct http_scan cut;
    struct http_scan uncut;
    size_t taken = scan(&cut, input);

    MUST(taken == scan(&uncut, whole));
    MUST(cut.complete == uncut.complete && cut.fault == uncut.fault);
    MUST(!(cut.complete && cut.fault));
    MUST(cut.complete || cut.fault || taken == input.length);
    return cut.complete ? taken : 0;
}

static bool same(struct span a, struct span b)
{
    return a.length == b.length && memcmp(a.bytes, b.bytes, a.length) == 0;
}

static bool is_hop_by_hop(struct span name)
{
    return http_is(name, "transfer-encoding") || http_is(name, "upgrade") ||
           http_is(name, "content-length") || http_is(name, "te") ||
           http_is(name, "keep-alive") || http_is(name, "expect") ||
           http_is(name, "proxy-connection") || http_is(name, "trailer");
}

/* Is this field between the client and us, by the client's Connection? */
static bool is_named(const struct http_request *from, struct span name)
{
    size_t at = 0;

    for (size_t i = 0; i < from->connection_length; i++) {
        if (from->connection[i] == ',') {
            if (i - at == name.length &&
                strncasecmp((const char *)from->connection + at,
                            (const char *)name.bytes, name.length) == 0) {
                return true;
            }
            at = i + 1;
        }
    }
    return false;
}

/* Every byte of the first line and the fields is what may be forwarded. */
static void must_be_forwarded_well(const struct http_request *request,
                                   const struct http_request *from)
{
    struct span fields = request->fields;
    struct http_field field;
    unsigned hosts = 0;

    for (size_t i = 0; i < request->target.length; i++) {
        MUST(request->target.bytes[i] > ' ' && request->target.bytes[i] < 0x7f);
    }
    while (http_next_field(&fields, &field)) {
        MUST(field.name.length > 0 && !is_hop_by_hop(field.name));
        MUST(!is_named(from, field.name) || http_is(field.name, "connection"));
        MUST(!http_is(field.name, "connection") ||
             http_is(field.value, "close"));
        hosts += http_is(field.name, "host");
    }
    MUST(hosts == 1);
}

static void rewrite(const struct http_request *request, uint8_t *head,
                    size_t length)
{
    uint8_t *twice = malloc(length);
    uint8_t *once = malloc(length);
    struct http_request again;

    MUST(once && twice);
    size_t size = http_write_request(request, once);
    MUST(size <= length);
    MUST(find_head((struct input){once, size, 1}) == size);
    memcpy(twice, once, size);
    MUST(http_parse_request(&again, twice, size) == HTTP_OK);
    MUST(again.method == request->method && again.framing == HTTP_NO_BODY);
    MUST(same(again.target, request->target) &&
         same(again.path, request->path));
    MUST(again.close == request->close && !again.expects_continue);
    must_be_forwarded_well(&again, request);
    /* over the head that is being read, as the filter does it */
    MUST(http_write_request(request, head) == size);
    MUST(memcmp(head, once, size) == 0);
    MUST(http_write_request(&again, twice) == size);
    MUST(memcmp(twice, once, size) == 0);
    free(once);
    free(twice);
}

static void request(struct input input, unsigned setup)
{
    struct http_request request;
    size_t length = find_head(input);

    (void)setup;
    if (length == 0) {
        return;
    }
    uint8_t *head = input_copy(input.bytes, length);
    enum http_fault fault = http_parse_request(&request, head, length);
    MUST(http_fault_name(fault) && http_fault_text(fault));
    if (fault != HTTP_OK) {
        MUST(http_fault_status(fault) >= 400);
    } else {
        MUST(request.path.bytes == request.target.bytes &&
             request.path.length <= request.target.length);
        MUST((request.framing == HTTP_LENGTH) == (request.length > 0));
        if (request.framing == HTTP_NO_BODY) {
            rewrite(&request, head, length);
        }
    }
    free(head);
}

static void response(struct input input, unsigned setup)
{
    enum http_method method = setup % 6;
    struct http_response response;
    size_t length = find_head(input);

    if (length == 0) {
        return;
    }
    uint8_t *head = input_copy(input.bytes, length);
    if (http_parse_response(&response, head, length, method) == HTTP_OK) {
        bool bodiless = method == HTTP_HEAD || response.status < 200 ||
                        response.status == 204 || response.status == 304;
        MUST(response.status >= 100 && response.status <= 599);
        MUST(!bodiless || response.framing == HTTP_NO_BODY);
        MUST(response.framing != HTTP_UNTIL_CLOSE || response.close);
        MUST((response.framing == HTTP_LENGTH) == (response.length > 0));
        MUST(memcmp(head, input.bytes, length) == 0);
    }
    free(head);
}

/* ---- bodies -------------------------------------------------------------- */

struct outcome {
    uint8_t *data;
    size_t length;
    size_t taken;
    bool complete, faulty;
};

static struct outcome follow(struct input input, enum http_framing framing,
                             uint64_t length)
{
    struct outcome outcome = {.data = malloc(input.length + 1)};
    struct http_body body;
    struct span data;

    MUST(outcome.data);
    http_body_init(&body, framing, length);
    while (input.length > 0) {
        size_t size = input_piece(&input);
        uint8_t *piece = input_copy(input.bytes, size);
        struct span rest = {piece, size};
        while (http_body_next(&body, &rest, &data)) {
            MUST(data.bytes >= piece && data.length > 0);
            memcpy(outcome.data + outcome.length, data.bytes, data.length);
            outcome.length += data.length;
        }
        MUST(rest.length == 0 || body.complete || body.fault);
        outcome.taken += size - rest.length;
        free(piece);
        input_take(&input, size);
    }
    outcome.complete = body.complete;
    outcome.faulty = body.fault != HTTP_OK;
    return outcome;
}

/* The line at *at, without its CR LF; false: it does not end. */
static bool line(const struct input *input, size_t *at, struct span *line)
{
    const uint8_t *from = input->bytes + *at;
    const uint8_t *end = memchr(from, '\n', input->length - *at);

    if (!end || end == from || end[-1] != '\r') {
        return false;
    }
    *line = (struct span){from, (size_t)(end - from) - 1};
    *at += line->length + 2;
    return true;
}

/* Read a whole chunked body that is in order; false: it is not, or not whole.
 */
static bool read_chunks(const struct input *input, struct outcome *outcome)
{
    size_t at = 0;
    struct span text;

    for (;;) {
        uint64_t size = 0;
        if (!line(input, &at, &text) || text.length == 0 || text.length > 15) {
            return false;
        }
        for (size_t i = 0; i < text.length; i++) {
            static const char digits[] = "0123456789abcdef0123456789ABCDEF";
            const char *digit = memchr(digits, text.bytes[i], 32);
            if (!digit) {
                return false;
            }
            size = size * 16 + (uint64_t)(digit - digits) % 16;
        }
        if (size == 0) {
            break;
        }
        if (input->length - at < 2 || size > input->length - at - 2 ||
            memcmp(input->bytes + at + size, "\r\n", 2) != 0) {
            return false;
        }
        memcpy(outcome->data + outcome->length, input->bytes + at,
               (size_t)size);
        outcome->length += (size_t)size;
        at += (size_t)size + 2;
    }
    do { /* trailers */
        if (!line(input, &at, &text)) {
            return false;
        }
        for (size_t i = 0; i < text.length; i++) {
            if ((text.bytes[i] < ' ' && text.bytes[i] != '\t') ||
                text.bytes[i] == 0x7f) {
                return false;
            }
        }
    } while (text.length > 0);
    outcome->taken = at;
    return true;
}

static void must_agree(const struct outcome *a, const struct outcome *b)
{
    MUST(a->length == b->length);
    MUST(memcmp(a->data, b->data, a->length) == 0);
    MUST(a->taken == b->taken && a->complete == b->complete);
}

static void body(struct input input, unsigned setup)
{
    enum http_framing framing = setup % 4;
    uint64_t length = framing == HTTP_LENGTH ? setup / 4 : 0;
    struct input whole = {input.bytes, input.length, 0};
    struct outcome cut = follow(input, framing, length);
    struct outcome uncut = follow(whole, framing, length);

    must_agree(&cut, &uncut);
    MUST(cut.faulty == uncut.faulty);
    if (framing == HTTP_CHUNKED) {
        struct outcome read = {.data = malloc(input.length + 1)};
        MUST(read.data);
        bool good = read_chunks(&whole, &read);
        MUST(good == uncut.complete);
        if (good) {
            read.complete = true;
            must_agree(&read, &uncut);
        }
        free(read.data);
    } else if (framing != HTTP_NO_BODY) {
        bool bounded = framing == HTTP_LENGTH && length < input.length;
        MUST(!uncut.faulty);
        MUST(uncut.length == (bounded ? length : input.length));
        MUST(memcmp(uncut.data, input.bytes, uncut.length) == 0);
    }
    free(cut.data);
    free(uncut.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static void (*const parts[])(struct input, unsigned) = {request, response,
                                                            body};
    if (length < INPUT_HEAD) {
        return 0;
    }
    parts[bytes[0] % 3](
        (struct input){bytes + INPUT_HEAD, length - INPUT_HEAD, bytes[2]},
        bytes[1]);
    return 0;
}
