/* frames.h: the books of what our engine sends, frame by frame.
 *
 * Legal is more than this; what our engine says of itself is judged: no frame
 * has two flags, none with a payload has one, credit is given back in halves of
 * a window and never more than was taken.
 */
#ifndef CONFORMANCE_HOST_FRAMES_H
#define CONFORMANCE_HOST_FRAMES_H

#include <stddef.h>
#include <stdint.h>

struct frames {
    uint64_t count;
    uint64_t payload;  /* bytes */
    uint64_t updates;  /* window updates without a flag */
    uint64_t granted;  /* bytes, by updates of any kind */
    uint64_t pings;    /* of ours, not answers */
    const char *wrong; /* the first thing that should not be; NULL: nothing */
    uint8_t offender[12]; /* its header */
};

/* Whole frames, as they leave. consumed: bytes, of all streams, that the
 * application has taken until now. */
void frames_take(struct frames *frames, const uint8_t *bytes, size_t length,
                 uint64_t consumed);

#endif
