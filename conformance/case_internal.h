/* case_internal.h: what a case's process tells the runner: lines, whose first
 * letter says what they are.
 */
#ifndef CONFORMANCE_CASE_INTERNAL_H
#define CONFORMANCE_CASE_INTERNAL_H

struct session;

enum case_kind {
    CASE_PASS = 'P',
    CASE_FAIL = 'F',
    CASE_HUNG = 'H',
    CASE_SKIP = 'S',
    CASE_UNREACHABLE = 'U',
    CASE_REACHED = 'R',
    CASE_WARNING = 'W',
    CASE_CHOICE = 'C',
    CASE_NOTE = 'N',
    CASE_TRACE = 'T'
};

void case_attach(int fd);
void case_record(char kind, const char *text);
_Noreturn void case_end(struct session *session);

#endif
