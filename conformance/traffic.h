/* traffic.h: what cases of several groups send, and how they ask.
 *
 * As session.h: times are milliseconds, calls that wait fail the case.
 */
#ifndef CONFORMANCE_TRAFFIC_H
#define CONFORMANCE_TRAFFIC_H

#include "conformance/session.h"

/* Opens the stream and gives the peer the grace time to say so: one that
 * acknowledges lazily has nothing to say yet. */
void traffic_open(struct session *session, uint32_t stream);
/* The second half of it. */
void traffic_wait(struct session *session, uint32_t stream);

/* One Data frame with length bytes of the pattern; goes on where sent is.
 * Ignores credit. */
void traffic_frame(struct session *session, unsigned flags, uint32_t stream,
                   uint32_t length);

/* To an echo: sends up to `total` bytes of the pattern as credit comes, and
 * grants nothing. Wants exactly `expected` back, no byte more. */
void traffic_stall(struct session *session, uint32_t id, uint64_t total,
                   uint64_t expected);

/* The peer has ended the session, or said with a GoAway that it does. A hung
 * one fails the case. */
bool traffic_is_over(struct session *session);

/* It is over; warns unless GoAway(1) told why. */
void traffic_expect_reason(struct session *session);

/* Frames of ours for a stream that is gone are not to be answered with RST:
 * `before` of them had come. One is a warning, more are a failure. */
void traffic_expect_silence(struct session *session, uint32_t id,
                            unsigned before);

/* "reset" or "error" for what the application was told; all else fails. */
void traffic_expect_reset_report(struct session *session,
                                 struct session_report report);

#endif
