/* siphash.h: SipHash-2-4, a keyed hash for tables (Aumasson and Bernstein).
 *
 * Whoever does not know the key cannot choose names that fall on one place of a
 * table (D29).
 */
#ifndef CORE_SIPHASH_H
#define CORE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t siphash(const uint64_t key[2], const uint8_t *bytes, size_t length);

#endif
