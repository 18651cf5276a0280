#include "net/test/exchange.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/test/req.h"

/* The turn of who that is under way, or a new one. */
static struct exchange_turn *turn_of(struct exchange *exchange, int who)
{
    struct exchange_turn *turn = &exchange->turn[exchange->turns];

    if (exchange->turns > 0 && turn[-1].who == who) {
        return turn - 1;
    }
    assert_true(exchange->turns < EXCHANGE_TURNS_MAX);
    exchange->turns++;
    turn->who = who;
    turn->from = turn->to = exchange->length[who];
    return turn;
}

/* text: behind the opening quote. */
static void add_bytes(struct exchange *exchange, int who, const char *text)
{
    while (*text != '"') {
        unsigned byte = (uint8_t)*text++;
        assert_true(byte != '\0' && byte != '\n');
        if (byte == '\\' && *text == 'x') {
            char digits[3] = {text[1], text[2], '\0'};
            byte = (unsigned)strtoul(digits, NULL, 16);
            text += 3;
        } else if (byte == '\\') {
            assert_true(*text == 'r' || *text == 'n');
            byte = *text++ == 'r' ? '\r' : '\n';
        }
        assert_true(exchange->length[who] < EXCHANGE_BYTES_MAX);
        exchange->bytes[who][exchange->length[who]++] = (uint8_t)byte;
    }
}

void exchange_read(struct exchange *exchange, const char *name)
{
    char line[4096];
    FILE *file;

    (void)snprintf(line, sizeof line, "integration/torture/exchanges/%s.txt",
                   name);
    file = fopen(line, "re");
    assert_non_null(file);
    memset(exchange, 0, sizeof *exchange);
    exchange->name = name;
    while (fgets(line, sizeof line, file) != NULL) {
        int who = line[0] == 'c' ? EXCHANGE_CLIENT : EXCHANGE_ENGINE;
        struct exchange_turn *turn;

        if (line[0] == '#') {
            continue;
        }
        turn = turn_of(exchange, who);
        if (strcmp(line + strlen("client "), "end\n") == 0) {
            turn->ends = true;
        } else {
            assert_int_equal(line[strlen("client ")], '"');
            add_bytes(exchange, who, line + strlen("client \""));
            turn->to = exchange->length[who];
        }
    }
    assert_true(exchange->turns > 0);
    (void)fclose(file);
}
