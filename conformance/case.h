/* case.h: what a conformance case is, and how it says what it found.
 *
 * A case runs in a process of its own, over a fresh connection, and is a
 * straight line: stimulus, expectation, verdict. The first spec_fail,
 * spec_hung or spec_skip ends it; returning from run() is a pass, or a warning
 * when spec_warn was called. run() must not keep anything: there is no after.
 *
 * One file a group: case_framing.c has `const struct spec_case case_framing[]`,
 * ended by an empty row, in the order of ids.
 */
#ifndef CONFORMANCE_CASE_H
#define CONFORMANCE_CASE_H

#include <stdint.h>

struct session;

/* What the peer's application does (docs/yamuxspec.md, "Modes"). */
enum spec_mode {
    SPEC_ANY, /* whatever it does */
    SPEC_ECHO,
    SPEC_SINK,
    SPEC_HOLD,
    SPEC_NOACCEPT,
    SPEC_SOURCE,
    SPEC_OPENER,
    SPEC_APP
};
#define SPEC_MODES 8u

/* The strongest verdict that a case can give. */
enum spec_class { SPEC_MUST, SPEC_SHOULD, SPEC_CHOICE };

enum spec_flag {
    SPEC_SLOW = 1,      /* more than 10 s: only with --slow */
    SPEC_WEBSOCKET = 2, /* only over ws and wss */
    SPEC_OPENS = 4,     /* about a stream that we open: not with --mirror */
};

struct spec_case {
    const char *id;       /* "F-01" */
    const char *title;    /* what must hold, one sentence, no full stop */
    const char *stimulus; /* what is sent, for the report */
    const char *citation; /* spec line or evidence: "spec.md 91-93" */
    enum spec_mode mode;
    enum spec_class class;
    unsigned flags;    /* of enum spec_flag */
    unsigned limit_ms; /* the whole case; 0: the usual 30 s */
    void (*run)(struct session *session);
};

extern const struct spec_case case_framing[];
extern const struct spec_case case_ping[];
extern const struct spec_case case_goaway[];
extern const struct spec_case case_accept[];
extern const struct spec_case case_open[];
extern const struct spec_case case_window[];
extern const struct spec_case case_close[];
extern const struct spec_case case_reset[];
extern const struct spec_case case_limit[];
extern const struct spec_case case_websocket[];

/* A MUST is broken: says what was expected and what came. */
_Noreturn void spec_fail(struct session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The peer neither answers nor closes. Fails in every class and profile. */
_Noreturn void spec_hung(struct session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Cannot be judged here; says what is missing. */
_Noreturn void spec_skip(struct session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A SHOULD is not followed. The case goes on. */
void spec_warn(struct session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Records the answer to a question that the protocol leaves open; part of the
 * fingerprint. key: a word, unique in the tool, as "goaway-0"; answer: a few
 * words without figures that vary from run to run. */
void spec_choice(struct session *session, const char *key, const char *format,
                 ...) __attribute__((format(printf, 3, 4)));

/* A measured figure, or a remark; never judged. */
void spec_note(struct session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
