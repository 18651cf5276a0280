/* upgrade.h: an agent's upgrade: its key, the 101, and out of the library.
 *
 * Inside of server/web.h, like server/visit.h, whose conventions it shares.
 */
#ifndef SERVER_UPGRADE_H
#define SERVER_UPGRADE_H

#include <stdbool.h>
#include <stddef.h>

struct visit;

#define UPGRADE_PATH "/api/v1/ws/orthrus/connect"

/* A whole request for UPGRADE_PATH is in visit->request. */
int upgrade_request(struct visit *visit);

/* Bytes that the library took for no request. */
int upgrade_early(struct visit *visit, const void *bytes, size_t length);

/* The library has let go of a visit that is LEAVING. */
void upgrade_arrive(struct visit *visit);

/* Set up visit->leave. */
void upgrade_init(struct visit *visit);

#endif
