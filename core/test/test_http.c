/* test_http.c: HTTP/1.1 heads (X19, X21, T4, T5, T6). */
#include "core/test/req.h"

#include <stdio.h>
#include <string.h>

#include "core/http.h"

/* The three in a row, until the next call. */
static const char *join(const char *a, const char *b, const char *c)
{
    static char text[1024];
    int length = snprintf(text, sizeof text, "%s%s%s", a, b, c);

    assert_true(length >= 0 && (size_t)length < sizeof text);
    return text;
}

/* ---- a head, scanned at every cut, then parsed --------------------------- */

struct parsed {
    enum http_fault fault;
    uint8_t head[1024];
    size_t length;
    struct http_request request;
};

/* Scan in pieces cut at `cut`, and check that the scan stops where it should.
 * Returns the fault. */
static enum http_fault scan_cut(const uint8_t *bytes, size_t length, size_t cut,
                                size_t *taken)
{
    struct http_scan scan;

    http_scan_init(&scan);
    *taken = http_scan(&scan, bytes, cut);
    if (*taken == cut) {
        *taken += http_scan(&scan, bytes + cut, length - cut);
    }
    if (scan.complete || scan.fault != HTTP_OK) {
        assert_int_equal(http_scan(&scan, bytes, length), 0);
    } else {
        assert_int_equal(*taken, length);
    }
    assert_false(scan.complete && scan.fault != HTTP_OK);
    return scan.complete           ? HTTP_OK
           : scan.fault == HTTP_OK ? HTTP_HEAD_CUT /* it never ended */
                                   : scan.fault;
}

static enum http_fault scan(const uint8_t *bytes, size_t length, size_t *taken)
{
    enum http_fault fault = scan_cut(bytes, length, length, taken);

    for (size_t cut = 0; cut < length; cut++) {
        size_t also;

        assert_int_equal(scan_cut(bytes, length, cut, &also), fault);
        assert_int_equal(also, *taken);
    }
    return fault;
}

static struct parsed *parse_bytes(const void *bytes, size_t length)
{
    static struct parsed parsed;

    assert_true(length <= sizeof parsed.head);
    memcpy(parsed.head, bytes, length);
    parsed.fault = scan(parsed.head, length, &parsed.length);
    if (parsed.fault == HTTP_OK) {
        assert_int_equal(parsed.length, length);
        parsed.fault = http_parse_request(&parsed.request, parsed.head, length);
    }
    return &parsed;
}

static struct parsed *parse(const char *head)
{
    return parse_bytes(head, strlen(head));
}

/* Parse head, rewrite it in place, and check the result. */
static void check_forwarded(const char *head, const char *expected)
{
    struct parsed *parsed = parse(head);
    size_t length;

    assert_string_equal(http_fault_name(parsed->fault), "HTTP_OK");
    length = http_write_request(&parsed->request, parsed->head);
    assert_true(length <= strlen(head));
    assert_int_equal(length, strlen(expected));
    assert_memory_equal(parsed->head, expected, length);
}

static void check_fault(const char *head, const char *name)
{
    assert_string_equal(http_fault_name(parse(head)->fault), name);
}

static void check_span(struct span span, const char *expected)
{
    assert_int_equal(span.length, strlen(expected));
    assert_memory_equal(span.bytes, expected, span.length);
}

/* A GET of target with one good Host. */
static enum http_fault target_fault(const char *target)
{
    return parse(join("GET ", target, " HTTP/1.1\r\nHost: x\r\n\r\n"))->fault;
}

static enum http_fault field_fault(const char *method, const char *fields)
{
    char head[512];

    snprintf(head, sizeof head, "%s / HTTP/1.1\r\nHost: x\r\n%s\r\n", method,
             fields);
    return parse(head)->fault;
}

/* ---- faults -------------------------------------------------------------- */

static void every_fault_has_a_status_and_a_sentence(void **state)
{
    (void)state;
    for (enum http_fault fault = HTTP_BARE_LF; fault <= HTTP_STATUS_LINE;
         fault++) {
        unsigned status = http_fault_status(fault);

        assert_true(status == 400 || status == 417 || status == 431 ||
                    status == 502);
        assert_true(strlen(http_fault_text(fault)) > 10);
        assert_null(strchr(http_fault_text(fault), '\n'));
        assert_memory_equal(http_fault_name(fault), "HTTP_", 5);
    }
    assert_int_equal(http_fault_status(HTTP_HEAD_TOO_LARGE), 431);
    assert_int_equal(http_fault_status(HTTP_EXPECTATION), 417);
}

/* ---- the end of a head --------------------------------------------------- */

static void a_head_ends_at_its_empty_line(void **state)
{
    static const char bytes[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /next";
    size_t taken;

    (void)state;
    assert_int_equal(scan((const uint8_t *)bytes, strlen(bytes), &taken),
                     HTTP_OK);
    assert_int_equal(taken, strlen("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
}

static void bare_lf_is_refused_wherever_it_stands(void **state)
{
    (void)state;
    check_fault("GET / HTTP/1.1\nHost: x\r\n\r\n", "HTTP_BARE_LF");
    check_fault("GET / HTTP/1.1\r\nHost: x\n\r\n", "HTTP_BARE_LF");
    check_fault("GET / HTTP/1.1\r\nHost: x\r\n\n", "HTTP_BARE_LF");
    check_fault("GET / HTTP/1.1\nHost: x\n\n", "HTTP_BARE_LF");
}

static void bare_cr_and_control_bytes_are_refused(void **state)
{
    (void)state;
    check_fault("GET / HTTP/1.1\rHost: x\r\n\r\n", "HTTP_BARE_CR");
    check_fault("GET / HTTP/1.1\r\nX: a\rb\r\n\r\n", "HTTP_BARE_CR");
    check_fault("GET / HTTP/1.1\r\nHost: x\r\n\rX\r\n\r\n", "HTTP_BARE_CR");
    for (unsigned byte = 0; byte < 256; byte++) {
        uint8_t head[] = "GET / HTTP/1.1\r\nHost: x\r\nX: a-b\r\n\r\n";
        bool control = byte < ' ' || byte == 0x7f;
        enum http_fault fault;

        head[29] = (uint8_t)byte;
        fault = parse_bytes(head, sizeof head - 1)->fault;
        if (byte == '\t') {
            assert_int_equal(fault, HTTP_FIELD_TAB);
        } else if (byte == '\n') {
            assert_int_equal(fault, HTTP_BARE_LF);
        } else if (byte == '\r') {
            assert_int_equal(fault, HTTP_BARE_CR);
        } else {
            assert_int_equal(fault, control ? HTTP_CONTROL_BYTE : HTTP_OK);
        }
    }
}

static void empty_lines_before_the_head_are_refused(void **state)
{
    (void)state;
    check_fault("\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
                "HTTP_EMPTY_FIRST_LINE");
    check_fault("\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP_EMPTY_FIRST_LINE");
    check_fault("\r\n\r\n", "HTTP_EMPTY_FIRST_LINE");
}

static void tls_on_a_plain_port_is_found_at_its_first_byte(void **state)
{
    static const uint8_t hello[] = {0x16, 0x03, 0x01, 0x02, 0x00};

    (void)state;
    assert_int_equal(parse_bytes(hello, sizeof hello)->fault,
                     HTTP_CONTROL_BYTE);
}

/* ---- the request line ---------------------------------------------------- */

static void the_request_line_is_three_words_and_two_spaces(void **state)
{
    static const char *const lines[] = {
        "GET",
        "GET /",
        "GET / ",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        " GET / HTTP/1.1",
        " / HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET /\tHTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET / http/1.1",
        "GET / HTTP",
        "GET / FTP/1.1",
        "GET / HTTPS/1.1",
        "GET  HTTP/1.1",
        "nonsense",
    };

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        check_fault(join(lines[i], "\r\nHost: x", "\r\n\r\n"),
                    "HTTP_REQUEST_LINE");
    }
}

static void only_http_1_1_is_spoken(void **state)
{
    static const char *const versions[] = {"HTTP/1.0",  "HTTP/1.2",  "HTTP/2.0",
                                           "HTTP/0.9",  "HTTP/1.10", "HTTP/",
                                           "HTTP/1.1x", "HTTP/01.1"};

    (void)state;
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        check_fault(join("GET / ", versions[i], "\r\nHost: x\r\n\r\n"),
                    "HTTP_VERSION");
    }
    check_fault("PRI * HTTP/2.0\r\n\r\n", "HTTP_VERSION");
}

static void methods_are_known_and_case_sensitive(void **state)
{
    static const char *const good[] = {"GET", "HEAD",   "POST",
                                       "PUT", "DELETE", "OPTIONS"};
    static const char *const bad[] = {
        "get", "Get", "PATCH", "CONNECT", "GETS", "TRACE", "GE", "G", "G\x80T"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(field_fault(good[i], ""), HTTP_OK);
        assert_string_equal(http_method_name((enum http_method)i), good[i]);
        assert_int_equal(parse("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")->fault,
                         HTTP_OK);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(field_fault(bad[i], ""), HTTP_METHOD);
    }
}

static void only_origin_form_is_taken(void **state)
{
    (void)state;
    assert_int_equal(target_fault("http://x/containers/json"),
                     HTTP_TARGET_FORM);
    assert_int_equal(target_fault("*"), HTTP_TARGET_FORM);
    assert_int_equal(target_fault("x:80"), HTTP_TARGET_FORM);
    assert_int_equal(target_fault("%2fcontainers/json"), HTTP_TARGET_FORM);
    assert_int_equal(target_fault("?a"), HTTP_TARGET_FORM);
    assert_int_equal(target_fault("/"), HTTP_OK);
}

/* Each byte, raw and escaped, in the path and in the query. */
static void every_byte_of_a_target_is_judged(void **state)
{
    static const char raw[] = "abcdefghijklmnopqrstuvwxyz"
                              "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                              "-._~!$&'()*+,=:@/";

    (void)state;
    for (unsigned byte = 0x21; byte < 256; byte++) {
        static const char hex[] = "0123456789abcdef";
        char path[] = "/a?z";
        char escaped[] = "/a%00z";
        enum http_fault fault;
        bool stands = byte < 0x80 && strchr(raw, (int)byte) != NULL;

        if (byte == 0x7f) {
            continue;
        }
        path[2] = (char)byte;
        fault = target_fault(path);
        if (byte == '%') {
            assert_int_equal(fault, HTTP_TARGET_ESCAPE);
        } else {
            assert_int_equal(fault, stands || byte == '?' ? HTTP_OK
                                                          : HTTP_TARGET_BYTE);
        }
        escaped[3] = hex[byte >> 4];
        escaped[4] = hex[byte & 15];
        fault = target_fault(escaped);
        assert_int_equal(fault, byte == '/' || byte == '\\' || byte == ';'
                                    ? HTTP_TARGET_HIDDEN
                                    : HTTP_OK);
    }
    for (unsigned byte = 0; byte <= 0x20; byte++) {
        static const char hex[] = "0123456789abcdef";
        char escaped[] = "/a%00z";

        escaped[3] = hex[byte >> 4];
        escaped[4] = hex[byte & 15];
        assert_int_equal(target_fault(escaped),
                         byte == ' ' ? HTTP_OK : HTTP_TARGET_HIDDEN);
    }
    assert_int_equal(target_fault("/a%7f"), HTTP_TARGET_HIDDEN);
}

static void every_byte_of_a_query_is_judged(void **state)
{
    (void)state;
    for (unsigned byte = 0x21; byte < 256; byte++) {
        char target[] = "/a?xz";

        if (byte == 0x7f) {
            continue; /* of no head at all */
        }
        target[3] = (char)byte;
        assert_int_equal(target_fault(target),
                         byte == '%' ? HTTP_TARGET_ESCAPE
                         : byte == '#' || byte == '\\' || byte > 0x7f
                             ? HTTP_TARGET_BYTE
                             : HTTP_OK);
    }
}

static void escapes_need_two_hex_digits(void **state)
{
    (void)state;
    assert_int_equal(target_fault("/%"), HTTP_TARGET_ESCAPE);
    assert_int_equal(target_fault("/%4"), HTTP_TARGET_ESCAPE);
    assert_int_equal(target_fault("/%4g"), HTTP_TARGET_ESCAPE);
    assert_int_equal(target_fault("/%g4"), HTTP_TARGET_ESCAPE);
    assert_int_equal(target_fault("/%%41"), HTTP_TARGET_ESCAPE);
    assert_int_equal(target_fault("/%:0"), HTTP_TARGET_ESCAPE);
    assert_int_equal(target_fault("/a?x=%"), HTTP_TARGET_ESCAPE);
    assert_int_equal(target_fault("/a?x=%zz"), HTTP_TARGET_ESCAPE);
    assert_int_equal(target_fault("/a?x=%7B"), HTTP_OK);
}

static void the_query_is_free_but_for_fragments_and_backslashes(void **state)
{
    (void)state;
    assert_int_equal(target_fault("/a?x=//../%2e%2e/%2F;&{\"a\":[1]}?"),
                     HTTP_OK);
    assert_int_equal(target_fault("/a?x#y"), HTTP_TARGET_BYTE);
    assert_int_equal(target_fault("/a?x\\y"), HTTP_TARGET_BYTE);
    assert_int_equal(target_fault("/a?x\xc3"), HTTP_TARGET_BYTE);
    check_span(parse("GET /a?%2f?x HTTP/1.1\r\nHost:\r\n\r\n")->request.target,
               "/a?%2f?x");
    check_span(parse("GET /a? HTTP/1.1\r\nHost:\r\n\r\n")->request.target,
               "/a?");
}

static void empty_and_dot_segments_are_refused(void **state)
{
    static const char *const dots[] = {
        "/.",      "/..",     "/./",         "/../",      "/a/./b",
        "/a/../b", "/a/..",   "/%2e%2e/a",   "/%2E",      "/a/%2e.",
        "/.%2e/a", "/a/.%2E", "/v1.44/../x", "/a/..?x=y",
    };
    static const char *const empty[] = {"//", "//a", "/a//b", "/a//", "/a//?x"};
    static const char *const good[] = {"/...", "/.a", "/a.",
                                       "/..a", "/a/", "/a?//"};

    (void)state;
    for (size_t i = 0; i < sizeof dots / sizeof *dots; i++) {
        assert_int_equal(target_fault(dots[i]), HTTP_TARGET_DOT_SEGMENT);
    }
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        assert_int_equal(target_fault(empty[i]), HTTP_TARGET_EMPTY_SEGMENT);
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(target_fault(good[i]), HTTP_OK);
    }
}

static void paths_come_out_in_one_canonical_form(void **state)
{
    static const struct {
        const char *in;
        const char *out;
    } cases[] = {
        {"/%63ontainers/json", "/containers/json"},
        {"/%7e%2D%5f%2e%3A%40a", "/~-_.:@a"},
        {"/a%20b", "/a%20b"},
        {"/a%c3%A9", "/a%C3%A9"},
        {"/%2563", "/%2563"}, /* decoded once, never twice */
        {"/%23%3f%25", "/%23%3F%25"},
        {"/images/a%40sha256%3aff/json?x=%61",
         "/images/a@sha256:ff/json?x=%61"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static const char end[] = " HTTP/1.1\r\nHost: x\r\n\r\n";
        char expected[200];

        snprintf(expected, sizeof expected, "GET %s%s", cases[i].out, end);
        check_forwarded(join("GET ", cases[i].in, end), expected);
    }
    check_span(parse("GET /%61/b?c HTTP/1.1\r\nHost: x\r\n\r\n")->request.path,
               "/a/b");
}

/* ---- fields -------------------------------------------------------------- */

static void fields_are_names_colons_and_values(void **state)
{
    (void)state;
    assert_int_equal(field_fault("GET", "X\r\n"), HTTP_FIELD_NAME);
    assert_int_equal(field_fault("GET", ": x\r\n"), HTTP_FIELD_NAME);
    assert_int_equal(field_fault("GET", "X : x\r\n"), HTTP_FIELD_NAME);
    assert_int_equal(field_fault("GET", "X\t: x\r\n"), HTTP_FIELD_NAME);
    assert_int_equal(field_fault("GET", "X(): x\r\n"), HTTP_FIELD_NAME);
    assert_int_equal(field_fault("GET", "(X: x\r\n"), HTTP_FIELD_NAME);
    assert_int_equal(field_fault("GET", "X\xc3: x\r\n"), HTTP_FIELD_NAME);
    assert_int_equal(field_fault("GET", "X: a\r\n b\r\n"), HTTP_FIELD_FOLDED);
    assert_int_equal(field_fault("GET", "X: a\r\n\tb\r\n"), HTTP_FIELD_FOLDED);
    assert_int_equal(field_fault("POST", "Transfer-Encoding:\r\n chunked\r\n"),
                     HTTP_ENCODING_VALUE);
    assert_int_equal(field_fault("GET", "X:\tx\r\n"), HTTP_FIELD_TAB);
    assert_int_equal(field_fault("GET", "X: x\t\r\n"), HTTP_FIELD_TAB);
    assert_int_equal(field_fault("GET", "X: a\tb\r\n"), HTTP_FIELD_TAB);
    assert_int_equal(field_fault("GET", "X!#$%&'*+-.^_`|~9:\r\n"), HTTP_OK);
    assert_int_equal(field_fault("GET", "X: \xff\xfe \"(),/:\r\n"), HTTP_OK);
    /* the first line has no space before it either */
    check_fault("GET / HTTP/1.1\r\n Host: x\r\n\r\n", "HTTP_FIELD_FOLDED");
}

static void fields_are_walked_in_order(void **state)
{
    struct span fields;
    struct http_field field;

    (void)state;
    fields = parse("GET / HTTP/1.1\r\nHost:  a \r\nX:\r\nY: b c\r\n\r\n")
                 ->request.fields;
    assert_true(http_next_field(&fields, &field));
    check_span(field.name, "Host");
    check_span(field.value, "a");
    assert_true(http_next_field(&fields, &field));
    check_span(field.name, "X");
    check_span(field.value, "");
    assert_true(http_next_field(&fields, &field));
    assert_true(http_is(field.name, "y"));
    assert_false(http_is(field.name, "x"));
    assert_false(http_is(field.name, "yy"));
    check_span(field.value, "b c");
    assert_false(http_next_field(&fields, &field));
}

static void there_is_exactly_one_host(void **state)
{
    (void)state;
    check_fault("GET / HTTP/1.1\r\n\r\n", "HTTP_HOST_MISSING");
    check_fault("GET / HTTP/1.1\r\nX: y\r\n\r\n", "HTTP_HOST_MISSING");
    assert_int_equal(field_fault("GET", "hOST: x\r\n"), HTTP_HOST_TWICE);
    check_fault("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "HTTP_HOST_VALUE");
    check_fault("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "HTTP_HOST_VALUE");
    check_fault("GET / HTTP/1.1\r\nHost: u@b\r\n\r\n", "HTTP_HOST_VALUE");
    check_fault("GET / HTTP/1.1\r\nHost: @b\r\n\r\n", "HTTP_HOST_VALUE");
    check_fault("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "HTTP_OK");
    check_fault("GET / HTTP/1.1\r\nHost: api.moby_x-1.local\r\n\r\n",
                "HTTP_OK");
    check_fault("GET / HTTP/1.1\r\nHost:\r\n\r\n",
                "HTTP_OK"); /* unix clients */
}

static void connection_options_are_a_short_list(void **state)
{
    char most[HTTP_CONNECTION_MAX] = "";

    (void)state;
    assert_int_equal(field_fault("GET", "Connection: a, ,b,,\r\n"), HTTP_OK);
    assert_int_equal(field_fault("GET", "Connection:\r\n"), HTTP_OK);
    assert_int_equal(field_fault("GET", "Connection: a b\r\n"),
                     HTTP_CONNECTION_OPTIONS);
    assert_int_equal(field_fault("GET", "Connection: \"close\"\r\n"),
                     HTTP_CONNECTION_OPTIONS);
    assert_int_equal(field_fault("GET", "Connection: a:b\r\n"),
                     HTTP_CONNECTION_OPTIONS);
    /* or an engine would get a request without a host */
    assert_int_equal(field_fault("GET", "Connection: close, Host\r\n"),
                     HTTP_CONNECTION_OPTIONS);
    /* 127 bytes and a comma are just enough room */
    memset(most, 'a', sizeof most - 1);
    assert_int_equal(field_fault("GET", join("Connection: ", most, "\r\n")),
                     HTTP_OK);
    assert_int_equal(field_fault("GET", join("Connection: ", most, "a\r\n")),
                     HTTP_CONNECTION_OPTIONS);
    assert_int_equal(
        field_fault("GET", join("Connection: ", most, "\r\nConnection: b\r\n")),
        HTTP_CONNECTION_OPTIONS);
    assert_int_equal(field_fault("GET", join("Connection: ", most + 1,
                                             "\r\nConnection: b\r\n")),
                     HTTP_CONNECTION_OPTIONS);
    assert_int_equal(field_fault("GET", join("Connection: ", most + 2,
                                             "\r\nConnection: b\r\n")),
                     HTTP_OK);
}

static void the_fields_that_matter_are_reported(void **state)
{
    struct http_request *request;

    (void)state;
    request = &parse("POST /x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, Close"
                     "\r\nUpgrade: tcp\r\nExpect: 100-Continue\r\n"
                     "Content-Length: 42\r\n\r\n")
                   ->request;
    assert_int_equal(request->method, HTTP_POST);
    assert_true(request->close);
    assert_true(request->expects_continue);
    assert_int_equal(request->framing, HTTP_LENGTH);
    assert_int_equal(request->length, 42);

    request = &parse("GET /x HTTP/1.1\r\nHost: x\r\n\r\n")->request;
    assert_false(request->close);
    assert_false(request->expects_continue);
    assert_int_equal(request->framing, HTTP_NO_BODY);
    assert_int_equal(request->length, 0);

    request = &parse("PUT /x HTTP/1.1\r\nHost: x\r\n"
                     "Transfer-Encoding: chunked\r\n\r\n")
                   ->request;
    assert_int_equal(request->framing, HTTP_CHUNKED);
}

static void expectations_are_only_100_continue_with_a_body(void **state)
{
    (void)state;
    assert_int_equal(
        field_fault("POST", "Expect: 100-continue\r\nContent-Length: 1\r\n"),
        HTTP_OK);
    assert_int_equal(field_fault("POST", "Expect: x\r\nContent-Length: 1\r\n"),
                     HTTP_EXPECTATION);
    assert_int_equal(field_fault("POST", "Expect: 100-continue\r\n"),
                     HTTP_EXPECTATION);
    assert_int_equal(field_fault("GET", "Expect: 100-continue\r\n"),
                     HTTP_EXPECTATION);
    assert_int_equal(field_fault("POST", "Expect: 100-continue\r\n"
                                         "Expect: 100-continue\r\n"
                                         "Content-Length: 1\r\n"),
                     HTTP_EXPECTATION);
}

/* ---- framing of requests ------------------------------------------------- */

static void content_length_is_1_to_15_digits(void **state)
{
    static const char *const bad[] = {"",      "-1",  "+1", "0x1",
                                      "1,1",   "1 1", "02", "00",
                                      "1.0",   "a",   "1;", "1234567890123456",
                                      "1_000", "1:"};
    static const char *const good[] = {"0", "1", "10", "123456789012345",
                                       "   7   "};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(
            field_fault("POST", join("Content-Length: ", bad[i], "\r\n")),
            HTTP_LENGTH_VALUE);
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(
            field_fault("POST", join("Content-Length: ", good[i], "\r\n")),
            HTTP_OK);
    }
}

static void there_is_one_framing_or_none(void **state)
{
    (void)state;
    assert_int_equal(
        field_fault("POST", "Content-Length: 1\r\nContent-Length: 1\r\n"),
        HTTP_LENGTH_TWICE);
    assert_int_equal(
        field_fault("POST", "Content-Length: 1\r\ncontent-length: 2\r\n"),
        HTTP_LENGTH_TWICE);
    assert_int_equal(field_fault("POST", "Content-Length: 1\r\n"
                                         "Transfer-Encoding: chunked\r\n"),
                     HTTP_LENGTH_AND_ENCODING);
    assert_int_equal(field_fault("POST", "Transfer-Encoding: chunked\r\n"
                                         "Content-Length: 0\r\n"),
                     HTTP_LENGTH_AND_ENCODING);
}

static void the_only_encoding_is_chunked_as_it_is_spelt(void **state)
{
    static const char *const bad[] = {
        "Transfer-Encoding: CHUNKED\r\n",
        "Transfer-Encoding: Chunked\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked,\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\ntransfer-encoding: identity\r\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(field_fault("POST", bad[i]), HTTP_ENCODING_VALUE);
    }
    assert_int_equal(field_fault("POST", "Transfer-Encoding: chunked\r\n"),
                     HTTP_OK);
    assert_int_equal(field_fault("POST", "Transfer-Encoding: \tchunked\r\n"),
                     HTTP_FIELD_TAB);
}

static void methods_that_take_no_body_have_none(void **state)
{
    static const char *const none[] = {"GET", "HEAD", "DELETE", "OPTIONS"};
    static const char *const takes[] = {"POST", "PUT"};

    (void)state;
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        assert_int_equal(field_fault(none[i], "Content-Length: 1\r\n"),
                         HTTP_BODY_UNEXPECTED);
        assert_int_equal(field_fault(none[i], "Transfer-Encoding: chunked\r\n"),
                         HTTP_BODY_UNEXPECTED);
        assert_int_equal(field_fault(none[i], "Content-Length: 0\r\n"),
                         HTTP_OK);
    }
    for (size_t i = 0; i < sizeof takes / sizeof *takes; i++) {
        assert_int_equal(field_fault(takes[i], "Content-Length: 1\r\n"),
                         HTTP_OK);
    }
}

/* ---- forwarding ---------------------------------------------------------- */

static void hop_by_hop_fields_stay_behind(void **state)
{
    (void)state;
    check_forwarded("GET /info?x HTTP/1.1\r\n"
                    "Connection: Upgrade, X-Mine, AZ, keep-alive\r\n"
                    "az: 1\r\n"
                    "Keep-Alive: 5\r\n"
                    "Host:docker\r\n"
                    "Upgrade: tcp\r\n"
                    "x-mine: 1\r\n"
                    "Proxy-Connection: x\r\n"
                    "Proxy-Authorization: x\r\n"
                    "TE: trailers\r\n"
                    "Trailer: x\r\n"
                    "HTTP2-Settings: x\r\n"
                    "Content-Length: 0\r\n"
                    "X-Registry-Auth:   e30=  \r\n"
                    "X-Empty:\r\n"
                    "User-Agent: Docker-Client/28\r\n\r\n",
                    "GET /info?x HTTP/1.1\r\n"
                    "Host:docker\r\n"
                    "X-Registry-Auth: e30=\r\n"
                    "X-Empty:\r\n"
                    "User-Agent: Docker-Client/28\r\n\r\n");
}

/* The options lie in front of the fields that they name, and are overwritten
 * while those are still being read. */
static void options_are_remembered_while_the_head_is_rewritten(void **state)
{
    (void)state;
    check_forwarded("GET / HTTP/1.1\r\nConnection: xa, xb, xc\r\nHost: h\r\n"
                    "User-Agent: something rather long, to write over it\r\n"
                    "XC: 1\r\nXB: 1\r\nXA: 1\r\nXD: 1\r\n\r\n",
                    "GET / HTTP/1.1\r\nHost: h\r\n"
                    "User-Agent: something rather long, to write over it\r\n"
                    "XD: 1\r\n\r\n");
}

static void a_wish_to_close_is_passed_on_once(void **state)
{
    (void)state;
    check_forwarded("GET / HTTP/1.1\r\nconnection:x,close\r\nHost: h\r\n"
                    "Connection: close\r\n\r\n",
                    "GET / HTTP/1.1\r\nconnection:close\r\nHost: h\r\n\r\n");
    check_forwarded("GET / HTTP/1.1\r\nHost: h\r\nConnection: x\r\n"
                    "Connection:  close, x\r\nX: 1\r\n\r\n",
                    "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
}

static void a_head_can_be_written_elsewhere(void **state)
{
    static const char head[] = "HEAD /_ping HTTP/1.1\r\nHost: h\r\n\r\n";
    struct parsed *parsed = parse(head);
    uint8_t bytes[100];

    (void)state;
    assert_int_equal(http_write_request(&parsed->request, bytes),
                     sizeof head - 1);
    assert_memory_equal(bytes, head, sizeof head - 1);
}

/* ---- responses ----------------------------------------------------------- */

static enum http_fault respond(const char *head, enum http_method method,
                               struct http_response *response)
{
    size_t taken;

    assert_int_equal(scan((const uint8_t *)head, strlen(head), &taken),
                     HTTP_OK);
    return http_parse_response(response, (const uint8_t *)head, strlen(head),
                               method);
}

static void status_lines_are_read(void **state)
{
    static const char *const bad[] = {
        "HTTP/1.0 200 OK", "HTTP/1.1 20 OK",   "HTTP/1.1 2000 OK",
        "HTTP/1.1  200",   "HTTP/1.1\t200 OK", "HTTP/1.1 099 x",
        "HTTP/1.1 600 x",  "HTTP/1.1 2x0 OK",  "http/1.1 200 OK",
        "ICY 200 OK",      "HTTP/1.1",         "HTTP/1.1 20/ OK",
        "HTTP/2 200",      "HTTP/1.1 200x",    "HTTP/1.1 20: OK",
    };
    struct http_response response;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(
            respond(join(bad[i], "\r\n", "\r\n"), HTTP_GET, &response),
            HTTP_STATUS_LINE);
    }
    assert_int_equal(respond("HTTP/1.1 200\r\n\r\n", HTTP_GET, &response),
                     HTTP_OK);
    assert_int_equal(
        respond("HTTP/1.1 599 \t\xc3 odd\r\n\r\n", HTTP_GET, &response),
        HTTP_OK);
    assert_int_equal(response.status, 599);
}

static void fields_of_a_response_are_walked(void **state)
{
    struct http_response response;
    struct http_field field;

    (void)state;
    assert_int_equal(
        respond("HTTP/1.1 200 OK\r\nA: 1\r\nContent-Length: 2\r\n\r\n",
                HTTP_GET, &response),
        HTTP_OK);
    assert_true(http_next_field(&response.fields, &field));
    assert_true(http_is(field.name, "a") && http_is(field.value, "1"));
    assert_true(http_next_field(&response.fields, &field));
    assert_true(http_is(field.name, "content-length"));
    assert_false(http_next_field(&response.fields, &field));
}

static void framing_follows_from_method_status_and_fields(void **state)
{
    static const struct {
        const char *head;
        enum http_method method;
        enum http_framing framing;
        uint64_t length;
        bool close;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 63\r\n\r\n", HTTP_GET, HTTP_LENGTH,
         63, false},
        {"HTTP/1.1 404 No\r\nContent-Length: 63\r\n\r\n", HTTP_HEAD,
         HTTP_NO_BODY, 0, false},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_HEAD,
         HTTP_NO_BODY, 0, false},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_GET,
         HTTP_CHUNKED, 0, false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x, Close\r\n\r\n",
         HTTP_GET, HTTP_NO_BODY, 0, true},
        {"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", HTTP_POST,
         HTTP_NO_BODY, 0, false},
        {"HTTP/1.1 204 No\r\n\r\n", HTTP_POST, HTTP_NO_BODY, 0, false},
        {"HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n", HTTP_GET, HTTP_NO_BODY,
         0, false},
        {"HTTP/1.1 100 Go\r\n\r\n", HTTP_GET, HTTP_NO_BODY, 0, false},
        {"HTTP/1.1 101 UPGRADED\r\n\r\n", HTTP_GET, HTTP_NO_BODY, 0, false},
        {"HTTP/1.1 199 x\r\n\r\n", HTTP_GET, HTTP_NO_BODY, 0, false},
        {"HTTP/1.1 200 OK\r\nX: close\r\nContent-Length: 1\r\n\r\n", HTTP_GET,
         HTTP_LENGTH, 1, false},
        {"HTTP/1.1 200 OK\r\nContent-Type:\tapplication/vnd.docker.raw-stream"
         "\r\n\r\n",
         HTTP_GET, HTTP_UNTIL_CLOSE, 0, true},
        {"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: close\r\n"
         "Connection: y\r\nContent-Length: 1\r\n\r\n",
         HTTP_GET, HTTP_LENGTH, 1, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct http_response response;

        assert_int_equal(respond(cases[i].head, cases[i].method, &response),
                         HTTP_OK);
        assert_int_equal(response.framing, cases[i].framing);
        assert_int_equal(response.length, cases[i].length);
        assert_int_equal(response.close, cases[i].close);
    }
}

static void responses_with_doubtful_framing_are_refused(void **state)
{
    static const struct {
        const char *fields;
        enum http_fault fault;
    } cases[] = {
        {"Content-Length: 1\r\nContent-Length: 1\r\n", HTTP_LENGTH_TWICE},
        {"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
         HTTP_LENGTH_AND_ENCODING},
        {"Content-Length: x\r\n", HTTP_LENGTH_VALUE},
        {"Transfer-Encoding: gzip\r\n", HTTP_ENCODING_VALUE},
        {"X y\r\n", HTTP_FIELD_NAME},
        {"X: y\r\n z\r\n", HTTP_FIELD_FOLDED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct http_response response;
        assert_int_equal(
            respond(join("HTTP/1.1 200 OK\r\n", cases[i].fields, "\r\n"),
                    HTTP_GET, &response),
            cases[i].fault);
    }
}

static const struct CMUnitTest tests[] = {
    REQ("X21", every_fault_has_a_status_and_a_sentence),
    REQ("X21,T1", a_head_ends_at_its_empty_line),
    REQ("X21", bare_lf_is_refused_wherever_it_stands),
    REQ("X21", bare_cr_and_control_bytes_are_refused),
    REQ("X21", empty_lines_before_the_head_are_refused),
    REQ("X21", tls_on_a_plain_port_is_found_at_its_first_byte),
    REQ("X21", the_request_line_is_three_words_and_two_spaces),
    REQ("X21", only_http_1_1_is_spoken),
    REQ("X21", methods_are_known_and_case_sensitive),
    REQ("X21", only_origin_form_is_taken),
    REQ("X21", every_byte_of_a_target_is_judged),
    REQ("X21", every_byte_of_a_query_is_judged),
    REQ("X21", escapes_need_two_hex_digits),
    REQ("X21", the_query_is_free_but_for_fragments_and_backslashes),
    REQ("X21", empty_and_dot_segments_are_refused),
    REQ("X19,X21", paths_come_out_in_one_canonical_form),
    REQ("X21", fields_are_names_colons_and_values),
    REQ("X19", fields_are_walked_in_order),
    REQ("X21", there_is_exactly_one_host),
    REQ("X19", connection_options_are_a_short_list),
    REQ("X19", the_fields_that_matter_are_reported),
    REQ("X21", expectations_are_only_100_continue_with_a_body),
    REQ("X21", content_length_is_1_to_15_digits),
    REQ("X21", there_is_one_framing_or_none),
    REQ("X21", the_only_encoding_is_chunked_as_it_is_spelt),
    REQ("X21", methods_that_take_no_body_have_none),
    REQ("X19", hop_by_hop_fields_stay_behind),
    REQ("X19", options_are_remembered_while_the_head_is_rewritten),
    REQ("X19", a_wish_to_close_is_passed_on_once),
    REQ("X19", a_head_can_be_written_elsewhere),
    REQ("T4", status_lines_are_read),
    REQ("T4", framing_follows_from_method_status_and_fields),
    REQ("T4", fields_of_a_response_are_walked),
    REQ("T4", responses_with_doubtful_framing_are_refused),
};
RUN(tests)
