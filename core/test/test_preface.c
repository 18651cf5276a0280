/* test_preface.c: the first bytes of a stream, and where a forward may go
 * (AC-06, U-02, X25). */
#include "core/test/req.h"

#include <string.h>

#include "core/preface.h"

static bool parse(struct preface_address *address, const char *text)
{
    struct span span = {(const uint8_t *)text, strlen(text)};

    return preface_parse_address(address, span);
}

/* 0x02, the length, the text, and one byte of the stream itself. */
static size_t forward(uint8_t *bytes, const void *text, size_t length)
{
    bytes[0] = PREFACE_BYTE_FORWARD;
    bytes[1] = (uint8_t)(length >> 8);
    bytes[2] = (uint8_t)length;
    memcpy(bytes + 3, text, length);
    bytes[3 + length] = 0x7e;
    return 4 + length;
}

/* Feed bytes in pieces of `piece`; returns how many were not taken. */
static size_t feed(struct preface *preface, const uint8_t *bytes, size_t length,
                   size_t piece)
{
    enum preface_kind kind = PREFACE_PARTIAL;
    size_t at = 0;

    preface_init(preface);
    while (at < length && kind == PREFACE_PARTIAL) {
        size_t size = length - at < piece ? length - at : piece;
        struct span input = {bytes + at, size};
        kind = preface_receive(preface, &input);
        at += size - input.length;
        assert_int_equal(kind, preface->kind);
    }
    return length - at;
}

static void one_is_docker_and_takes_one_byte(void **state)
{
    const uint8_t bytes[] = {0x01, 'G', 'E', 'T'};
    struct preface preface;
    (void)state;

    assert_int_equal(feed(&preface, bytes, sizeof bytes, 4), 3);
    assert_int_equal(preface.kind, PREFACE_DOCKER);
}

static void two_is_a_forward_and_ends_with_its_address(void **state)
{
    uint8_t bytes[64];
    size_t length = forward(bytes, "db.internal:5432", 16);
    struct preface preface;
    (void)state;

    assert_int_equal(feed(&preface, bytes, length, length), 1);

    assert_int_equal(preface.kind, PREFACE_FORWARD);
    assert_string_equal(preface.address.host, "db.internal");
    assert_int_equal(preface.address.port, 5432);
}

static void any_other_first_byte_is_unknown(void **state)
{
    struct preface preface;
    (void)state;

    for (unsigned type = 0; type < 256; type++) {
        uint8_t bytes[] = {(uint8_t)type, 0};
        if (type == PREFACE_BYTE_DOCKER || type == PREFACE_BYTE_FORWARD) {
            continue;
        }
        assert_int_equal(feed(&preface, bytes, 2, 2), 1);
        assert_int_equal(preface.kind, PREFACE_UNKNOWN);
        assert_int_equal(preface.type, type);
    }
}

/* The result does not depend on where the input was cut (L-07). */
static void cuts_mean_nothing(void **state)
{
    uint8_t bytes[300];
    size_t length = forward(bytes, "[fe80::1]:65535", 15);
    struct preface preface;
    (void)state;

    for (size_t piece = 1; piece <= length; piece++) {
        assert_int_equal(feed(&preface, bytes, length, piece), 1);
        assert_int_equal(preface.kind, PREFACE_FORWARD);
        assert_string_equal(preface.address.host, "fe80::1");
        assert_int_equal(preface.address.port, 65535);
    }
}

static void an_incomplete_preface_stays_partial(void **state)
{
    uint8_t bytes[300];
    size_t length = forward(bytes, "a:1", 3) - 1;
    struct preface preface;
    (void)state;

    for (size_t n = 0; n < length; n++) {
        assert_int_equal(feed(&preface, bytes, n, 1), 0);
        assert_int_equal(preface.kind, PREFACE_PARTIAL);
    }
    struct span nothing = {NULL, 0};
    assert_int_equal(preface_receive(&preface, &nothing), PREFACE_PARTIAL);
}

static void the_address_is_one_to_255_characters(void **state)
{
    uint8_t bytes[300];
    char text[256];
    struct preface preface;
    (void)state;

    assert_int_equal(feed(&preface, bytes, forward(bytes, "", 0), 1), 1);
    assert_int_equal(preface.kind, PREFACE_BAD_ADDRESS);

    memset(text, 'a', sizeof text);
    memcpy(text + 253, ":7", 2);
    assert_int_equal(feed(&preface, bytes, forward(bytes, text, 255), 1), 1);
    assert_int_equal(preface.kind, PREFACE_FORWARD);
    assert_int_equal(strlen(preface.address.host), PREFACE_HOST_MAX);

    /* above the limit the text is not even taken */
    assert_int_equal(feed(&preface, bytes, forward(bytes, text, 256), 1), 257);
    assert_int_equal(preface.kind, PREFACE_BAD_ADDRESS);
    bytes[1] = 0xff;
    assert_int_equal(feed(&preface, bytes, 260, 1), 257);
    assert_int_equal(preface.kind, PREFACE_BAD_ADDRESS);

    /* nor is its low byte a length */
    memcpy(bytes,
           "\x02\x01\x03"
           "a:1",
           6);
    assert_int_equal(feed(&preface, bytes, 6, 1), 3);
    assert_int_equal(preface.kind, PREFACE_BAD_ADDRESS);
    bytes[1] = 0x80;
    assert_int_equal(feed(&preface, bytes, 6, 1), 3);
    assert_int_equal(preface.kind, PREFACE_BAD_ADDRESS);
}

static void nothing_is_taken_after_the_decision(void **state)
{
    uint8_t bytes[64];
    size_t length = forward(bytes, "no port", 7);
    struct span input = {bytes, length};
    struct preface preface;
    (void)state;

    preface_init(&preface);
    assert_int_equal(preface_receive(&preface, &input), PREFACE_BAD_ADDRESS);
    assert_int_equal(input.length, 1);
    assert_int_equal(preface_receive(&preface, &input), PREFACE_BAD_ADDRESS);
    assert_int_equal(input.length, 1);
}

static void well_formed_addresses_are_parsed(void **state)
{
    static const struct {
        const char *text;
        const char *host;
        uint16_t port;
    } good[] = {
        {"localhost:1", "localhost", 1},
        {"127.0.0.1:65535", "127.0.0.1", 65535},
        {"My_Host-1.example.:8080", "My_Host-1.example.", 8080},
        {"[::1]:22", "::1", 22},
        {"[::ffff:192.0.2.1]:443", "::ffff:192.0.2.1", 443},
        {"[FE80::AbCd]:10", "FE80::AbCd", 10},
        {"0:9", "0", 9},
        {"az.AZ:9", "az.AZ", 9},
    };
    struct preface_address address;
    (void)state;

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(parse(&address, good[i].text));
        assert_string_equal(address.host, good[i].host);
        assert_int_equal(address.port, good[i].port);
    }
}

static void malformed_addresses_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        ":",
        ":80",
        "host",
        "host:",
        "host:0",
        "host:65536",
        "host:99999",
        "host:4294967376", /* 80, of 32 bits */
        "host:080",
        "host:+80",
        "host:-1",
        "host:8x",
        "host:80 ",
        " host:80",
        "ho st:80",
        "host:100000",
        "host:80:80",
        "::1:80",
        "[::1]",
        "[::1]:",
        "[::1]80",
        "[::1:80",
        "[]:80",
        "[host]:80",
        "[::1%eth0]:80",
        "host]:80",
        "h\xc3\xb6st:80",
        "user@host:80",
        "host/x:80",
        "a,b:80",
        "host{:80",
        "host:http",
        "[",
        "host:8\n",
        "G[::1]:80",
        "[::g]:1",
        "host:0080",
        "*:80",
        "host:*",
    };
    struct preface_address address;
    (void)state;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(parse(&address, bad[i]));
    }
    /* a NUL inside does not hide what follows it */
    assert_false(preface_parse_address(
        &address, (struct span){(const uint8_t *)"host\0:80", 8}));
    assert_false(preface_parse_address(
        &address, (struct span){(const uint8_t *)"host:80\0", 8}));
    assert_false(preface_parse_address(&address, (struct span){NULL, 0}));
}

static void a_host_of_254_characters_is_refused(void **state)
{
    char text[300];
    struct preface_address address;
    (void)state;

    memset(text, 'a', sizeof text);
    memcpy(text + 253, ":1", 3);
    assert_true(parse(&address, text));
    memcpy(text + 253, "a:1", 4);
    assert_false(parse(&address, text));
}

static void an_empty_list_allows_nothing(void **state)
{
    struct preface_address address;
    (void)state;

    assert_true(parse(&address, "localhost:22"));
    assert_false(preface_is_allowed(&address, NULL, 0));
}

static void only_an_exact_entry_allows(void **state)
{
    struct preface_address allowed[3];
    struct preface_address address;
    (void)state;

    assert_true(parse(&allowed[0], "db:5432"));
    assert_true(parse(&allowed[1], "[::1]:80"));
    assert_true(parse(&allowed[2], "Web.Zexample:443"));
    static const struct {
        const char *text;
        bool is_allowed;
    } cases[] = {
        {"db:5432", true},          {"DB:5432", true},
        {"db:5433", false},         {"db.:5432", false},
        {"d:5432", false},          {"dbx:5432", false},
        {"[::1]:80", true},         {"[0::1]:80", false},
        {"wEb.zexampLe:443", true}, {"zexample:443", false},
        {"127.0.0.1:80", false},    {"web-zexample:443", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true(parse(&address, cases[i].text));
        assert_int_equal(preface_is_allowed(&address, allowed, 3),
                         cases[i].is_allowed);
    }
}

static const struct CMUnitTest tests[] = {
    REQ("AC-06", one_is_docker_and_takes_one_byte),
    REQ("U-02", two_is_a_forward_and_ends_with_its_address),
    REQ("U-02", any_other_first_byte_is_unknown),
    REQ("L-07", cuts_mean_nothing),
    REQ("L-07", an_incomplete_preface_stays_partial),
    REQ("L-02", the_address_is_one_to_255_characters),
    REQ("U-02", nothing_is_taken_after_the_decision),
    REQ("U-02", well_formed_addresses_are_parsed),
    REQ("U-02", malformed_addresses_are_refused),
    REQ("L-02", a_host_of_254_characters_is_refused),
    REQ("U-02", an_empty_list_allows_nothing),
    REQ("X25", only_an_exact_entry_allows),
};
RUN(tests)
