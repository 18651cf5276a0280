/* fingerprint.h: what a peer's CHOICE answers tell of which yamux it is.
 *
 * Answers that are compared with those of known implementations. Cases use
 * exactly these keys and words with spec_choice; other keys are welcome, they
 * are only recorded.
 *
 *   key               case  answers
 *   early-ping        F-01  yes, no
 *   ack               O-01  at accept, lazy
 *   fin-frame         C-01  WU, Data
 *   ping-burst        P-07  all in order, all out of order, some, none
 *   ping-flags-0      P-04  ignored, answered, closed
 *   unsolicited-pong  P-05  ignored, closed
 *   goaway-0          G-01  drains, closed
 *   foreign-parity    O-07  accepted, refused, closed
 *   syn-twice         O-09  closed, ignored
 *   fin-twice         C-05  ignored, closed
 *   largest-data      W-24  bytes of the largest Data frame: 262144, 65524, …
 */
#ifndef CONFORMANCE_FINGERPRINT_H
#define CONFORMANCE_FINGERPRINT_H

#include "conformance/report.h"

/* The known answer of "hashicorp" or "libp2p" (the Go one) to this key; NULL:
 * not known. For the profiles of these names. */
const char *fingerprint_expected(const char *profile, const char *key);

/* Is answer one of the expected ("a/b")? */
bool fingerprint_agrees(const char *expected, const char *answer);

struct fingerprint {
    const char *name; /* of the best match; NULL: too few answers */
    unsigned agrees;  /* of */
    unsigned compared;
};

/* best[0] is the best match, then the next. Returns how many. */
#define FINGERPRINTS 6u
unsigned fingerprint_match(const struct report *report,
                           struct fingerprint best[FINGERPRINTS]);

#endif
