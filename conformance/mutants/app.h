/* app.h: what the peer's application does (docs/yamuxspec.md, "Modes"). */
#ifndef CONFORMANCE_MUTANTS_APP_H
#define CONFORMANCE_MUTANTS_APP_H

#include <stdbool.h>
#include <stdint.h>

struct yamux;

/* False: no such mode. */
bool app_select(const char *mode);

/* Does whatever can be done on every stream. To be called after anything
 * happened, and every few milliseconds while it returns true. */
bool app_run(struct yamux *yamux, uint64_t now_ms);

#endif
