/* uuid.h: RFC 9562 identifiers, version 4 where we make them. */
#ifndef SERVER_UUID_H
#define SERVER_UUID_H

#include <stdbool.h>
#include <stdint.h>

#define UUID_SIZE 16u
#define UUID_TEXT_SIZE 37u /* 8-4-4-4-12 hex digits and the NUL */

struct uuid {
    uint8_t bytes[UUID_SIZE];
};

/* A new random one (version 4, variant 10), from the system's CSPRNG. */
struct uuid uuid_make(void);

/* Exactly 36 characters, either case. False: *uuid is not written. */
bool uuid_parse(struct uuid *uuid, const char *text);
void uuid_text(const struct uuid *uuid, char text[UUID_TEXT_SIZE]);
bool uuid_equal(const struct uuid *a, const struct uuid *b);

#endif
