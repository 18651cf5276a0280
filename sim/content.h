/* content.h: bytes that say where they belong (oracles O1, O8).
 *
 * Byte n of a transfer is a function of the transfer's key and n, and the key
 * of a response is made from the request's own number and the engine's site:
 * a byte that is lost, doubled, moved, or another stream's or site's is seen by
 * the first reader. Text-safe content does not matter: any byte may come.
 */
#ifndef SIM_CONTENT_H
#define SIM_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The key of what the engine of this site says to this request, and of what the
 * client says to it. */
uint64_t content_key(uint64_t seed, uint32_t site, uint64_t request,
                     bool from_engine);

void content_fill(uint64_t key, uint64_t offset, uint8_t *bytes, size_t length);
/* The first place that differs, or length. */
size_t content_compare(uint64_t key, uint64_t offset, const uint8_t *bytes,
                       size_t length);

#endif
