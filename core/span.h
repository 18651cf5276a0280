/* span.h: bytes that belong to somebody else.
 *
 * A span is borrowed: it is valid until the buffer it points into changes.
 * bytes may be NULL only when length is 0.
 */
#ifndef CORE_SPAN_H
#define CORE_SPAN_H

#include <stddef.h>
#include <stdint.h>

struct span {
    const uint8_t *bytes;
    size_t length;
};

#endif
