/* orthrusd.h: what harnesses of orthrusd have in common. */
#ifndef FUZZ_ORTHRUSD_H
#define FUZZ_ORTHRUSD_H

#include <jansson.h>

#include "server/config.h"

/* Its settings when nothing is said; its log tells of errors only. */
void orthrusd_settings(struct config *config);

/* A field's text; "" if it has none. */
const char *orthrusd_text(const json_t *object, const char *field);

/* One line of printable ASCII. */
void orthrusd_must_be_line(const char *text);

#endif
