/* knob.h: one setting of orthrusd: its names, range, default and text forms.
 *
 * The table is all there is to say about a setting: files, environment, flags,
 * --print-config and --help are derived from it. A knob without a range takes
 * text; its kind says which text, and it always fits into a line of a file.
 */
#ifndef SERVER_KNOB_H
#define SERVER_KNOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct config;

enum knob_kind {
    KNOB_FLAG,   /* true or false */
    KNOB_NUMBER, /* 12 */
    KNOB_TIME,   /* 12s, in milliseconds */
    KNOB_SIZE,   /* 12KiB, in bytes */
    KNOB_LEVEL,  /* enum config_log_level */
    KNOB_FORMAT, /* enum config_log_format */
    KNOB_LISTEN, /* ADDR:PORT, numeric */
    KNOB_PATH,
    KNOB_URL,  /* http:// or https:// */
    KNOB_HOSTS /* names, separated by commas */
};

struct knob {
    const char *section; /* of the file */
    const char *name;    /* key of the file; flag behind "--" */
    enum knob_kind kind;
    size_t offset;     /* of its field in struct config */
    const char *value; /* default */
    uint64_t min;      /* NUMBER, TIME, SIZE: in the field's unit */
    uint64_t max;      /* 0: it is text */
    const char *help;
};

#define KNOB_MAX 64u /* room for an array of one element a knob */
#define KNOB_TEXT_SIZE 64u
/* Characters of a file's line; inih's INI_MAX_LINE less newline and NUL. */
#define KNOB_LINE_MAX 198u

size_t knob_count(void);
const struct knob *knob_at(size_t index);

/* name: length characters. False: there is none. */
bool knob_find(const char *name, size_t length, size_t *index);
/* The name with the least edit distance. */
const char *knob_nearest(const char *name);
/* "ping-interval" to "ORTHRUSD_PING_INTERVAL" */
#define KNOB_ENVIRONMENT "ORTHRUSD_"
void knob_variable(const char *name, char text[KNOB_TEXT_SIZE]);

/* Write what text means into config. False: wrong says what is wrong with it,
 * "is out of range, 1 to 100"; config is unchanged. */
bool knob_read(const struct knob *knob, struct config *config, const char *text,
               char wrong[KNOB_TEXT_SIZE]);
/* Release what knob_read() wrote; the field is zero then. */
void knob_clear(const struct knob *knob, struct config *config);

void knob_print(const struct knob *knob, const struct config *config,
                FILE *out);
/* "  --ping-missed N", its help, range and default. */
void knob_print_help(const struct knob *knob, FILE *out);

/* Is this KNOB_LISTEN value an address of this host only? */
bool knob_is_loopback(const char *listen);

#endif
