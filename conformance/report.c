#include "conformance/report.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "conformance/fingerprint.h"

static const char *const verdicts[VERDICTS] = {"pass", "warn", "FAIL", "HUNG",
                                               "skip"};
static const char *const classes[] = {"MUST", "SHOULD", "CHOICE"};

bool report_format(const char *name, enum report_format *format)
{
    static const char *const names[] = {"table", "tap", "json", "junit",
                                        "markdown"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0) {
            *format = (enum report_format)i;
            return true;
        }
    }
    return false;
}

void report_remark(struct result *result, enum remark_kind kind,
                   const char *text)
{
    size_t size = (result->remark_count + 1) * sizeof *result->remarks;
    struct remark *remarks = realloc(result->remarks, size);
    char *copy = strdup(text);
    if (!remarks || !copy) {
        abort();
    }
    result->remarks = remarks;
    result->remarks[result->remark_count++] = (struct remark){kind, copy};
}

void report_free(struct report *report)
{
    for (unsigned i = 0; i < report->count; i++) {
        struct result *result = &report->results[i];
        for (unsigned j = 0; j < result->remark_count; j++) {
            free(result->remarks[j].text);
        }
        free(result->remarks);
        free(result->reason);
    }
    free(report->results);
}

unsigned report_count(const struct report *report, enum verdict verdict)
{
    unsigned count = 0;
    for (unsigned i = 0; i < report->count; i++) {
        count += report->results[i].verdict == verdict;
    }
    return count;
}

unsigned report_failures(const struct report *report)
{
    bool strict = strcmp(report->profile, "strict") == 0;
    return report_count(report, VERDICT_FAIL) +
           report_count(report, VERDICT_HUNG) +
           (strict ? report_count(report, VERDICT_WARN) : 0);
}

/* "goaway-0\tdrains" as "goaway-0: drains". Static storage. */
static const char *choice_text(const struct remark *remark)
{
    static char text[700];
    snprintf(text, sizeof text, "%.*s: %s", (int)strcspn(remark->text, "\t"),
             remark->text, strchr(remark->text, '\t') + 1);
    return text;
}

/* ---- table ---- */

void report_line(const struct result *result, bool colours, FILE *file)
{
    static const char *const colour[VERDICTS] = {
        "\033[32m", "\033[33m", "\033[31m", "\033[35m", "\033[2m"};
    const char *off = colours ? "\033[0m" : "";
    fprintf(file, "%s%s%s  %-5s %s\n", colours ? colour[result->verdict] : "",
            verdicts[result->verdict], off, result->row->id,
            result->row->title);
    if (result->reason && result->verdict != VERDICT_SKIP) {
        fprintf(file, "      %s: %s\n", classes[SPEC_MUST], result->reason);
        fprintf(file, "      sent: %s\n", result->row->stimulus);
        fprintf(file, "      see: %s\n", result->row->citation);
    } else if (result->reason) {
        fprintf(file, "      %s\n", result->reason);
    }
    for (unsigned i = 0; i < result->remark_count; i++) {
        const struct remark *remark = &result->remarks[i];
        switch (remark->kind) {
        case REMARK_WARNING:
            fprintf(file, "      SHOULD: %s\n", remark->text);
            break;
        case REMARK_CHOICE:
            fprintf(file, "      %s\n", choice_text(remark));
            break;
        case REMARK_NOTE:
            fprintf(file, "      %s\n", remark->text);
            break;
        case REMARK_TRACE:
            fprintf(file, "        %s\n", remark->text);
            break;
        }
    }
}

static void summary(const struct report *report, FILE *file)
{
    fprintf(file, "%u cases: %u passed, %u with warnings, %u failed, ",
            report->count, report_count(report, VERDICT_PASS),
            report_count(report, VERDICT_WARN),
            report_count(report, VERDICT_FAIL));
    fprintf(file, "%u hung, %u skipped; seed %llu, %u.%u s\n",
            report_count(report, VERDICT_HUNG),
            report_count(report, VERDICT_SKIP),
            (unsigned long long)report->seed, report->ms / 1000,
            report->ms / 100 % 10);
}

static void likeness(const struct report *report, const char *lead, FILE *file)
{
    struct fingerprint best[FINGERPRINTS];
    unsigned count = fingerprint_match(report, best);
    if (count == 0) {
        fprintf(file, "%sfingerprint: too few answers to compare\n", lead);
        return;
    }
    fprintf(file, "%sfingerprint: most like %s (%u of %u answers)", lead,
            best[0].name, best[0].agrees, best[0].compared);
    for (unsigned i = 1; i < count && i < 3; i++) {
        fprintf(file, ", %s (%u of %u)", best[i].name, best[i].agrees,
                best[i].compared);
    }
    fprintf(file, "\n");
}

static void write_table(const struct report *report, FILE *file)
{
    for (unsigned i = 0; i < report->count; i++) {
        report_line(&report->results[i], false, file);
    }
}

/* ---- TAP 13 ---- */

static void write_tap(const struct report *report, FILE *file)
{
    bool strict = strcmp(report->profile, "strict") == 0;
    fprintf(file, "TAP version 13\n1..%u\n", report->count);
    for (unsigned i = 0; i < report->count; i++) {
        const struct result *result = &report->results[i];
        bool bad = result->verdict == VERDICT_FAIL ||
                   result->verdict == VERDICT_HUNG ||
                   (strict && result->verdict == VERDICT_WARN);
        fprintf(file, "%sok %u - %s %s", bad ? "not " : "", i + 1,
                result->row->id, result->row->title);
        if (result->verdict == VERDICT_SKIP) {
            fprintf(file, " # SKIP %s", result->reason);
        }
        fprintf(file, "\n");
        if (result->reason && result->verdict != VERDICT_SKIP) {
            fprintf(file, "# %s: %s\n", verdicts[result->verdict],
                    result->reason);
        }
        for (unsigned j = 0; j < result->remark_count; j++) {
            const struct remark *remark = &result->remarks[j];
            static const char *const leads[] = {"SHOULD: ", "", "", "  "};
            fprintf(file, "# %s%s\n", leads[remark->kind],
                    remark->kind == REMARK_CHOICE ? choice_text(remark)
                                                  : remark->text);
        }
    }
    likeness(report, "# ", file);
}

/* ---- JSON ---- */

/* What a peer made us say need not be UTF-8. */
static json_t *text_json(const char *text)
{
    json_t *value = json_string(text);
    if (value) {
        return value;
    }
    char *copy = strdup(text);
    for (char *each = copy; each && *each; each++) {
        *each = (unsigned char)*each < 128 ? *each : '?';
    }
    value = json_string(copy ? copy : "");
    free(copy);
    return value;
}

static json_t *case_json(const struct result *result)
{
    json_t *object = json_object();
    const struct spec_case *row = result->row;
    static const char *const words[VERDICTS] = {"pass", "warn", "fail", "hung",
                                                "skip"};
    json_object_set_new(object, "id", json_string(row->id));
    json_object_set_new(object, "title", json_string(row->title));
    json_object_set_new(object, "class", json_string(classes[row->class]));
    json_object_set_new(object, "verdict", json_string(words[result->verdict]));
    json_object_set_new(object, "stimulus", json_string(row->stimulus));
    json_object_set_new(object, "citation", json_string(row->citation));
    json_object_set_new(object, "milliseconds",
                        json_integer((json_int_t)result->ms));
    if (result->reason) {
        json_object_set_new(object, "reason", text_json(result->reason));
    }
    json_t *lists[] = {json_array(), json_object(), json_array(), json_array()};
    static const char *const names[] = {"warnings", "choices", "notes",
                                        "frames"};
    for (unsigned i = 0; i < result->remark_count; i++) {
        const struct remark *remark = &result->remarks[i];
        char *tab =
            remark->kind == REMARK_CHOICE ? strchr(remark->text, '\t') : NULL;
        if (tab) {
            char *key = strndup(remark->text, (size_t)(tab - remark->text));
            json_object_set_new(lists[REMARK_CHOICE], key, text_json(tab + 1));
            free(key);
        } else {
            json_array_append_new(lists[remark->kind], text_json(remark->text));
        }
    }
    for (unsigned i = 0; i < 4; i++) {
        json_object_set_new(object, names[i], lists[i]);
    }
    return object;
}

static void write_json(const struct report *report, FILE *file)
{
    json_t *root = json_object();
    json_t *cases = json_array();
    json_t *prints = json_array();
    struct fingerprint best[FINGERPRINTS];
    unsigned count = fingerprint_match(report, best);
    for (unsigned i = 0; i < count; i++) {
        json_array_append_new(prints,
                              json_pack("{s:s, s:i, s:i}", "name", best[i].name,
                                        "agrees", (int)best[i].agrees,
                                        "compared", (int)best[i].compared));
    }
    for (unsigned i = 0; i < report->count; i++) {
        json_array_append_new(cases, case_json(&report->results[i]));
    }
    json_object_set_new(root, "tool", json_string("yamuxspec"));
    json_object_set_new(root, "version", json_string(ORTHRUS_VERSION));
    json_object_set_new(root, "peer", text_json(report->peer));
    json_object_set_new(root, "role", json_string(report->role));
    json_object_set_new(root, "profile", json_string(report->profile));
    json_object_set_new(root, "seed", json_integer((json_int_t)report->seed));
    json_object_set_new(root, "milliseconds",
                        json_integer((json_int_t)report->ms));
    json_object_set_new(root, "failures",
                        json_integer((json_int_t)report_failures(report)));
    json_object_set_new(root, "fingerprint", prints);
    json_object_set_new(root, "cases", cases);
    json_dumpf(root, file, JSON_INDENT(2));
    fprintf(file, "\n");
    json_decref(root);
}

/* ---- JUnit XML ---- */

static void xml(const char *text, FILE *file)
{
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '&' || byte == '<' || byte == '>' || byte == '"') {
            fprintf(file, "&#%u;", byte);
        } else {
            fputc(byte < 32 || byte > 126 ? '?' : byte, file);
        }
    }
}

static void write_junit(const struct report *report, FILE *file)
{
    unsigned failures = report_failures(report);
    fprintf(file, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    fprintf(file, "<testsuite name=\"yamuxspec\" tests=\"%u\" ", report->count);
    fprintf(file, "failures=\"%u\" errors=\"0\" skipped=\"%u\" ", failures,
            report_count(report, VERDICT_SKIP));
    fprintf(file, "time=\"%u.%03u\">\n", report->ms / 1000, report->ms % 1000);
    bool strict = strcmp(report->profile, "strict") == 0;
    for (unsigned i = 0; i < report->count; i++) {
        const struct result *result = &report->results[i];
        fprintf(file, "  <testcase classname=\"yamux.%.1s\" name=\"",
                result->row->id);
        xml(result->row->id, file);
        fputc(' ', file);
        xml(result->row->title, file);
        fprintf(file, "\" time=\"%u.%03u\">\n", result->ms / 1000,
                result->ms % 1000);
        if (result->verdict == VERDICT_SKIP) {
            fprintf(file, "    <skipped message=\"");
            xml(result->reason, file);
            fprintf(file, "\"/>\n");
        } else if (result->reason ||
                   (strict && result->verdict == VERDICT_WARN)) {
            fprintf(file, "    <failure type=\"%s\" message=\"",
                    verdicts[result->verdict]);
            xml(result->reason ? result->reason : "a SHOULD is not followed",
                file);
            fprintf(file, "\"/>\n");
        }
        if (result->remark_count) {
            fprintf(file, "    <system-out>");
            for (unsigned j = 0; j < result->remark_count; j++) {
                xml(result->remarks[j].kind == REMARK_CHOICE
                        ? choice_text(&result->remarks[j])
                        : result->remarks[j].text,
                    file);
                fputc('\n', file);
            }
            fprintf(file, "</system-out>\n");
        }
        fprintf(file, "  </testcase>\n");
    }
    fprintf(file, "</testsuite>\n");
}

/* ---- Markdown ---- */

static void cell(const char *text, FILE *file)
{
    for (; *text; text++) {
        fprintf(file, *text == '|' ? "\\|" : "%c", *text);
    }
}

static void write_markdown(const struct report *report, FILE *file)
{
    fprintf(file, "# yamuxspec: ");
    cell(report->peer, file);
    fprintf(file, "\n\nTester's role: %s. Profile: %s.\n\n", report->role,
            report->profile);
    summary(report, file);
    fprintf(file, "\n");
    likeness(report, "", file);
    fprintf(file, "\n| case | what must hold | class | verdict | remarks |\n"
                  "|---|---|---|---|---|\n");
    for (unsigned i = 0; i < report->count; i++) {
        const struct result *result = &report->results[i];
        bool bad =
            result->verdict == VERDICT_FAIL || result->verdict == VERDICT_HUNG;
        fprintf(file, "| %s | ", result->row->id);
        cell(result->row->title, file);
        fprintf(file, " | %s | %s%s%s | ", classes[result->row->class],
                bad ? "**" : "", verdicts[result->verdict], bad ? "**" : "");
        const char *separator = "";
        if (result->reason) {
            cell(result->reason, file);
            separator = "; ";
        }
        for (unsigned j = 0; j < result->remark_count; j++) {
            const struct remark *remark = &result->remarks[j];
            if (remark->kind == REMARK_TRACE) {
                continue;
            }
            fprintf(file, "%s%s", separator,
                    remark->kind == REMARK_WARNING ? "SHOULD: " : "");
            cell(remark->kind == REMARK_CHOICE ? choice_text(remark)
                                               : remark->text,
                 file);
            separator = "; ";
        }
        fprintf(file, " |\n");
    }
}

void report_write(const struct report *report, enum report_format format,
                  FILE *file)
{
    switch (format) {
    case REPORT_TABLE:
        write_table(report, file);
        report_end(report, file);
        break;
    case REPORT_TAP:
        write_tap(report, file);
        break;
    case REPORT_JSON:
        write_json(report, file);
        break;
    case REPORT_JUNIT:
        write_junit(report, file);
        break;
    case REPORT_MARKDOWN:
        write_markdown(report, file);
        break;
    }
}

void report_end(const struct report *report, FILE *file)
{
    fprintf(file, "\n");
    likeness(report, "", file);
    summary(report, file);
}
