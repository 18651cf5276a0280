/* report.h: the results of a run, and how they are shown. */
#ifndef CONFORMANCE_REPORT_H
#define CONFORMANCE_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "conformance/case.h"

enum verdict {
    VERDICT_PASS,
    VERDICT_WARN, /* a SHOULD is not followed */
    VERDICT_FAIL, /* a MUST is broken (or the process died) */
    VERDICT_HUNG, /* neither answered nor closed */
    VERDICT_SKIP
};
#define VERDICTS 5u

enum remark_kind {
    REMARK_WARNING,
    REMARK_CHOICE, /* "key\tanswer" */
    REMARK_NOTE,
    REMARK_TRACE /* a frame, oldest first */
};

struct remark {
    enum remark_kind kind;
    char *text; /* owned */
};

struct result {
    const struct spec_case *row;
    enum verdict verdict;
    char *reason; /* of fail, hung, skip; NULL otherwise; owned */
    struct remark *remarks;
    unsigned remark_count;
    unsigned ms;
    bool done;
};

enum report_format {
    REPORT_TABLE,
    REPORT_TAP,
    REPORT_JSON,
    REPORT_JUNIT,
    REPORT_MARKDOWN
};

struct report {
    const char *peer; /* address or command */
    const char *role; /* the tester's: client, server */
    const char *profile;
    uint64_t seed;
    unsigned ms; /* the whole run */
    struct result *results;
    unsigned count;
};

void report_remark(struct result *result, enum remark_kind kind,
                   const char *text);
/* Known formats: table, tap, json, junit, markdown. */
bool report_format(const char *name, enum report_format *format);
void report_write(const struct report *report, enum report_format format,
                  FILE *file);
/* One finished case as a line of the table. */
void report_line(const struct result *result, bool colours, FILE *file);
/* What stands below the table: fingerprint and sums. */
void report_end(const struct report *report, FILE *file);
/* Failures by the profile: fail and hung; with strict, warn too. */
unsigned report_failures(const struct report *report);
unsigned report_count(const struct report *report, enum verdict verdict);
void report_free(struct report *report);

#endif
