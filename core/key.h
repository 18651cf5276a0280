/* key.h: the agent key as text (K-01, X2, AC-16).
 *
 * A key is KEY_PREFIX and 64 lowercase hex digits, the writing of 32 random
 * bytes. It is the only credential of an agent, so it is parsed strictly and
 * compared without telling anything by time. Hashing is the caller's: nothing
 * here needs a hash library.
 *
 * Pure functions; no state.
 */
#ifndef CORE_KEY_H
#define CORE_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/span.h"

#define KEY_PREFIX "ch_orthrus_"
#define KEY_RANDOM_SIZE 32u /* bytes from the system's CSPRNG */
#define KEY_LENGTH 75u      /* characters: 11 + 2 * KEY_RANDOM_SIZE */
#define KEY_DIGEST_SIZE 32u /* SHA-256 of the KEY_LENGTH characters */

/* Find the key in the value of an Authorization field, as the peer sent it:
 * "Bearer ", case-sensitive, one space, then exactly a key and nothing else
 * (orthrus-observed a.1). True: *key is the KEY_LENGTH characters, inside
 * value. False: missing (value.length 0), malformed, or not this form; *key is
 * not written. */
bool key_from_authorization(struct span value, struct span *key);

/* Is text exactly one key? */
bool key_is_well_formed(struct span text);

/* Write the key of these random bytes, and a NUL. */
void key_format(char key[KEY_LENGTH + 1],
                const uint8_t random[KEY_RANDOM_SIZE]);

/* Takes the same time wherever the two differ. */
bool key_digest_equal(const uint8_t a[KEY_DIGEST_SIZE],
                      const uint8_t b[KEY_DIGEST_SIZE]);

#endif
