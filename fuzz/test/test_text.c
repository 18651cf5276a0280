/* test_text.c: what a corpus says and what a fuzzer gets are the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fuzz/text.h"

#define ROOM 512u

static size_t read_good(const char *text, uint8_t bytes[ROOM])
{
    char error[TEXT_ERROR_SIZE];
    size_t length;

    if (!text_read(text, strlen(text), bytes, ROOM, &length, error)) {
        fail_msg("%s", error);
    }
    return length;
}

static void expect(const char *text, const char *bytes, size_t length)
{
    uint8_t read[ROOM];

    assert_int_equal(read_good(text, read), length);
    assert_memory_equal(read, bytes, length);
}

#define EXPECT(text, bytes) expect((text), (bytes), sizeof(bytes) - 1)

static void words_are_bytes(void **state)
{
    (void)state;
    EXPECT("", "");
    EXPECT("# \"only\" a comment\n", "");
    EXPECT("00fF 1a# x\n2b", "\0\xff\x1a\x2b");
    EXPECT("\"a # b\\r\\n\\t\\0\\\\\\\"\\x7f\"", "a # b\r\n\t\0\\\"\x7f");
    EXPECT("*3 \"ab\" *2 00", "ababab\0\0");
}

static void frames_are_headers(void **state)
{
    (void)state;
    EXPECT("frame data syn+ack 1 5", "\0\0\0\3\0\0\0\1\0\0\0\5");
    EXPECT("frame 3 0xfff0 0 0xffffffff",
           "\0\3\xff\xf0\0\0\0\0\xff\xff\xff\xff");
    EXPECT("frame data fin 2 @ \"abc\" frame ping syn 0 @",
           "\0\0\0\4\0\0\0\2\0\0\0\3abc\0\2\0\1\0\0\0\0\0\0\0\0");
    EXPECT("call open 1 2 3", "\xff\1\0\1\0\0\0\2\0\0\0\3");
}

static void faults_name_their_line(void **state)
{
    static const char *const cases[][2] = {
        {"00\n0", "line 2: '0' is no word of text.h"},
        {"zz", "line 1: 'zz' is no word of text.h"},
        {"\n\"abc", "line 2: a string without its end"},
        {"\"\\q\"", "line 1: no such escape"},
        {"frame data 0 1", "line 1: a word is missing"},
        {"frame date 0 1 1", "line 1: 'date' is no number"},
        {"frame data 0 1 4294967296", "line 1: '4294967296' is no number"},
        {"*2", "line 1: what so many times?"},
        {"*0 00", "line 1: 0 times"},
        {"*513 00", "line 1: more than 512 bytes"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char error[TEXT_ERROR_SIZE];
        uint8_t bytes[ROOM];
        size_t length;
        assert_false(text_read(cases[i][0], strlen(cases[i][0]), bytes, ROOM,
                               &length, error));
        assert_string_equal(error, cases[i][1]);
    }
}

/* Bytes of every kind, from a fixed row of numbers. */
static void what_is_written_is_read_as_it_was(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 2000; seed++) {
        uint32_t chance = seed * 2654435761u + 1;
        uint8_t bytes[ROOM];
        uint8_t again[ROOM];
        size_t length = seed % 200;
        char *text = NULL;
        size_t text_length = 0;
        FILE *out = open_memstream(&text, &text_length);
        assert_non_null(out);
        for (size_t i = 0; i < length; i++) {
            chance = chance * 1664525u + 1013904223u;
            bytes[i] = (uint8_t)(seed % 3 == 0   ? chance >> 24
                                 : seed % 3 == 1 ? chance >> 30
                                                 : ' ' + (chance >> 26));
        }
        text_write(out, bytes, length, seed % 4, seed % 2);
        fclose(out);
        assert_int_equal(read_good(text, again), length);
        assert_memory_equal(again, bytes, length);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"Q-04 corpus_text_words_are_bytes", words_are_bytes, NULL, NULL, NULL},
        {"Q-04 corpus_text_frames_are_headers", frames_are_headers, NULL, NULL,
         NULL},
        {"Q-04 corpus_text_faults_name_their_line", faults_name_their_line,
         NULL, NULL, NULL},
        {"Q-04 corpus_text_what_is_written_is_read_as_it_was",
         what_is_written_is_read_as_it_was, NULL, NULL, NULL},
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
