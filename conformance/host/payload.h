/* payload.h: bytes that can be told: each position of each stream has its own.
 */
#ifndef CONFORMANCE_HOST_PAYLOAD_H
#define CONFORMANCE_HOST_PAYLOAD_H

#include <stddef.h>
#include <stdint.h>

#define PAYLOAD_HASH_START 0xcbf29ce484222325u

/* What we write: length bytes from offset on, of the stream with this key. */
void payload_keyed(uint64_t key, uint64_t offset, uint8_t *bytes,
                   size_t length);
/* What the peer writes of itself: byte i is i mod 251 (docs/yamuxspec.md). */
void payload_pattern(uint64_t offset, uint8_t *bytes, size_t length);

/* FNV-1a, 64 bits: of all bytes so far, and these. */
uint64_t payload_hash(uint64_t hash, const uint8_t *bytes, size_t length);

/* A number as good as random; for equal arguments the same. */
uint64_t payload_random(uint64_t key, uint64_t index);

#endif
