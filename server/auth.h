/* auth.h: who is calling. Agents by their key, the admin by the token.
 *
 * Both come as "Authorization: Bearer <secret>". The two never stand in for
 * each other (H-06). A key is looked up by its SHA-256: no password hash, for a
 * key has 256 random bits, and no scan (K-02, X1). Missing, malformed, unknown,
 * expired and revoked keys take the same work and give the same answer (X3). No
 * secret is logged or kept; copies are wiped.
 */
#ifndef SERVER_AUTH_H
#define SERVER_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/store.h"
#include "server/uuid.h"

#define AUTH_KEY_SIZE 76u  /* "ch_orthrus_", 64 hex digits, NUL (K-01) */
#define AUTH_TOKEN_MIN 32u /* characters of the admin token: visible ASCII */
#define AUTH_TOKEN_MAX 255u
#define AUTH_ERROR_SIZE 512u

enum auth_result {
    AUTH_OK,
    AUTH_MALFORMED, /* no header, another scheme, not a key */
    AUTH_UNKNOWN,   /* unknown, expired or revoked */
    AUTH_BUSY,      /* the store or memory failed: answer 401 all the same */
    AUTH_RESULTS    /* how many there are */
};

struct auth {
    struct store *store;
    uint8_t admin[STORE_DIGEST_SIZE]; /* SHA-256 of the admin token */
    uint64_t agent_results[AUTH_RESULTS];
    uint64_t admin_failures;
};

/* Read dir/admin.token, making it (0600, one line, 64 hex digits) at the first
 * start; an operator may put another token there. False: error is one line that
 * names the path and the remedy. */
bool auth_open(struct auth *auth, struct store *store, const char *dir,
               char error[AUTH_ERROR_SIZE]);

/* authorization: the header's value, NULL if absent. AUTH_OK: *agent has the
 * key, as store_key_find() tells. Everything else is 401 with an empty body
 * (AC-16); the result is for logs only, and already counted. now: as store.h.
 */
enum auth_result auth_agent(struct auth *auth, const char *authorization,
                            int64_t now, struct store_agent *agent);
enum auth_result auth_admin(struct auth *auth, const char *authorization);

/* A new agent key (K-01) and what to store of it. The caller wipes key. False:
 * no memory, and stored is not written. */
bool auth_make_key(char key[AUTH_KEY_SIZE], uint8_t stored[STORE_DIGEST_SIZE]);

#endif
