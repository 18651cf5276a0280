/* test_http_body.c: bodies of HTTP/1.1 (X21, T1, T4). */
#include "core/test/req.h"

#include <string.h>

#include "core/http.h"

struct followed {
    char payload[200];
    size_t length;
    size_t taken;
    bool complete;
    enum http_fault fault;
};

/* Follow a body whose bytes come in two pieces. */
static struct followed follow_cut(enum http_framing framing, uint64_t length,
                                  const char *bytes, size_t size, size_t cut)
{
    struct followed followed = {.length = 0};
    struct http_body body;
    size_t at = 0;

    http_body_init(&body, framing, length);
    for (int piece = 0; piece < 2; piece++) {
        size_t end = piece == 0 ? cut : size;
        struct span input = {(const uint8_t *)bytes + at, end - at};
        struct span data;

        while (http_body_next(&body, &input, &data)) {
            assert_true(data.length > 0);
            memcpy(followed.payload + followed.length, data.bytes, data.length);
            followed.length += data.length;
        }
        at = end - input.length;
        assert_ptr_equal(input.bytes, bytes + at);
        if (input.length > 0) {
            assert_true(body.complete || body.fault != HTTP_OK);
            break;
        }
    }
    followed.taken = at;
    followed.complete = body.complete;
    followed.fault = body.fault;
    return followed;
}

/* The same at every cut. */
static struct followed follow(enum http_framing framing, uint64_t length,
                              const char *bytes)
{
    size_t size = strlen(bytes);
    struct followed whole = follow_cut(framing, length, bytes, size, size);

    for (size_t cut = 0; cut < size; cut++) {
        struct followed other = follow_cut(framing, length, bytes, size, cut);

        assert_int_equal(other.length, whole.length);
        assert_memory_equal(other.payload, whole.payload, whole.length);
        assert_int_equal(other.taken, whole.taken);
        assert_int_equal(other.complete, whole.complete);
        assert_int_equal(other.fault, whole.fault);
    }
    return whole;
}

static void check_body(const struct followed *followed, const char *payload,
                       size_t taken, bool complete)
{
    assert_int_equal(followed->fault, HTTP_OK);
    assert_int_equal(followed->length, strlen(payload));
    assert_memory_equal(followed->payload, payload, followed->length);
    assert_int_equal(followed->taken, taken);
    assert_int_equal(followed->complete, complete);
}

static void bodies_with_a_length_end_there(void **state)
{
    struct followed body;

    (void)state;
    body = follow(HTTP_LENGTH, 5, "hellomore");
    check_body(&body, "hello", 5, true);
    body = follow(HTTP_LENGTH, 5, "hell");
    check_body(&body, "hell", 4, false);
    body = follow(HTTP_LENGTH, 0, "more");
    check_body(&body, "", 0, true);
    body = follow(HTTP_NO_BODY, 0, "more");
    check_body(&body, "", 0, true);
    body = follow(HTTP_UNTIL_CLOSE, 0, "anything");
    check_body(&body, "anything", 8, false);
}

static void chunks_are_followed_to_the_end_of_the_trailers(void **state)
{
    struct followed body;

    (void)state;
    body = follow(HTTP_CHUNKED, 0,
                  "5\r\nhello\r\n0C\r\n, big world!\r\n"
                  "0\r\n\r\nmore");
    check_body(&body, "hello, big world!", 33, true);
    body = follow(HTTP_CHUNKED, 0,
                  "1\r\nx\r\n000\r\nX-Sum: 1\r\nY: 2\r\n\r\nmore");
    check_body(&body, "x", 29, true);
    body = follow(HTTP_CHUNKED, 0, "0\r\n\r\n");
    check_body(&body, "", 5, true);
    body = follow(HTTP_CHUNKED, 0,
                  "a\r\n0123456789\r\nB\r\n0123456789A\r\n0\r\n"
                  "\r");
    check_body(&body, "01234567890123456789A", 35, false);
    body = follow(HTTP_CHUNKED, 0,
                  "0000001\r\na\r\n0000001\r\nb\r\n0000001\r\nc\r\n");
    check_body(&body, "abc", 36, false);
    body = follow(HTTP_CHUNKED, 0, "fffffffffffffff\r\nx");
    check_body(&body, "x", 18, false);
}

static void chunks_that_are_not_strict_are_refused(void **state)
{
    static const struct {
        const char *bytes;
        enum http_fault fault;
    } cases[] = {
        {"\r\nhello", HTTP_CHUNK},
        {"1\r\nx\r\n\r\n", HTTP_CHUNK},
        {"5\nhello\r\n", HTTP_CHUNK},
        {"5;ext=1\r\nhello\r\n", HTTP_CHUNK},
        {"5;\nhello\r\n", HTTP_CHUNK},
        {"5 \r\nhello\r\n", HTTP_CHUNK},
        {" 5\r\nhello\r\n", HTTP_CHUNK},
        {"0x5\r\nhello\r\n", HTTP_CHUNK},
        {"-5\r\nhello\r\n", HTTP_CHUNK},
        {"g\r\n", HTTP_CHUNK},
        {"_\r\n", HTTP_CHUNK},
        {"5\rhello\r\n", HTTP_CHUNK},
        {"5\r\nhello0\r\n", HTTP_CHUNK},
        {"5\r\nhello\n0\r\n", HTTP_CHUNK},
        {"5\r\nhello\rx", HTTP_CHUNK},
        {"5\r\nhellox\n0\r\n", HTTP_CHUNK},
        {"0000000000000005\r\n", HTTP_CHUNK},
        {"1000000000000000\r\n", HTTP_CHUNK},
        {"0\r\nX: y\n\r\n", HTTP_BARE_LF},
        {"0\r\n\n", HTTP_BARE_LF},
        {"0\r\n\rx", HTTP_BARE_CR},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct followed body = follow(HTTP_CHUNKED, 0, cases[i].bytes);

        assert_false(body.complete);
        assert_int_equal(body.fault, cases[i].fault);
    }
}

static const struct CMUnitTest tests[] = {
    REQ("T1,T4", bodies_with_a_length_end_there),
    REQ("T1,T4", chunks_are_followed_to_the_end_of_the_trailers),
    REQ("X21", chunks_that_are_not_strict_are_refused),
};
RUN(tests)
