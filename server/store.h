/* store.h: what survives a restart: agents, keys, remote servers, ports (K-03).
 *
 * The interface knows nothing of SQL; store.c implements it on SQLite, another
 * store would implement the same functions. A call that returns STORE_OK after
 * a change has it on disc: kill -9 or a power cut at any later point does not
 * lose it. The exceptions are store_seen() and store_flush(), see there.
 *
 * Whether an agent is connected is never stored (H-03): ask server/tunnel.h.
 *
 * Strings are UTF-8, NUL-terminated, "" where nothing is set. Times are
 * nanoseconds since 1970-01-01 UTC, 0 for never. One thread.
 */
#ifndef SERVER_STORE_H
#define SERVER_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/uuid.h"

#define STORE_DIGEST_SIZE 32u /* SHA-256 of an agent key */
#define STORE_NAME_SIZE 65u
#define STORE_FIELD_SIZE 256u
#define STORE_ERROR_SIZE 512u

enum store_result {
    STORE_OK,
    STORE_NOT_FOUND,
    STORE_FAILED /* disc full, I/O error...: store_error() says what */
};

struct store_agent {
    struct uuid uuid;
    char name[STORE_NAME_SIZE];
    char hecate_tunnel_uuid[STORE_FIELD_SIZE];
    char device_id[STORE_FIELD_SIZE];
    char resolved_address[STORE_FIELD_SIZE];
    uint16_t external_proxy_port; /* 0: none */
    bool write_enabled;
    bool revoked;      /* no key opens a session any more */
    int64_t last_seen; /* start or end of its latest session */
    int64_t created_at;
    int64_t updated_at;
};

enum store_connection { STORE_DIRECT, STORE_ORTHRUS };

struct store_server {
    struct uuid uuid;
    char name[STORE_NAME_SIZE];
    char host[STORE_FIELD_SIZE]; /* STORE_DIRECT: name or address */
    uint16_t port;
    enum store_connection connection_type;
    bool has_agent; /* STORE_ORTHRUS: agent is set */
    struct uuid agent;
    int64_t created_at;
    int64_t updated_at;
};

struct store_port {
    uint16_t port;
    struct uuid agent;
    int64_t used_at; /* last known use */
};

struct store;

/* Open dir/orthrus.db; the first start makes dir (0700), the data base (0600)
 * and its tables; an older schema is migrated, a newer one refused. Refused
 * too: a directory or file of another owner, or open to group or others (X29).
 * NULL: error is one line that names the path and the remedy. */
struct store *store_open(const char *dir, char error[STORE_ERROR_SIZE]);
void store_close(struct store *store); /* flushes; NULL is allowed */

/* Can it be read right now? (/readyz) */
bool store_readable(struct store *store);
const char *store_error(const struct store *store); /* of the last failure */

/* ---- agents -------------------------------------------------------------- */

/* Arrays are the caller's to free(); *agents is NULL when there are none. Rows
 * that hold what this interface cannot have written are left out of arrays, and
 * STORE_FAILED when one is asked for. */
enum store_result store_agents(struct store *store, struct store_agent **agents,
                               size_t *count); /* oldest first */
enum store_result store_agent_get(struct store *store, const struct uuid *uuid,
                                  struct store_agent *agent);
/* The same as of the last store_flush(): writes nothing, so that a reconnect
 * storm stays one transaction (D-022). */
enum store_result store_agent_read(struct store *store, const struct uuid *uuid,
                                   struct store_agent *agent);
enum store_result store_agent_add(struct store *store,
                                  const struct store_agent *agent,
                                  const uint8_t digest[STORE_DIGEST_SIZE]);
/* Writes every field that PATCH may change, and updated_at. */
enum store_result store_agent_update(struct store *store,
                                     const struct store_agent *agent);
enum store_result store_agent_remove(struct store *store,
                                     const struct uuid *uuid);

/* ---- agent keys ---------------------------------------------------------- */

/* Whose key is it? O(log n) in agents, no other work (K-02). An expired digest
 * (expires_at <= now) is STORE_NOT_FOUND. The agent as of the last
 * store_flush(), in the same look-up: a reconnect storm asks once a connect. */
enum store_result store_key_find(struct store *store,
                                 const uint8_t digest[STORE_DIGEST_SIZE],
                                 int64_t now, struct store_agent *agent);
/* A new key; the present one stays valid until overlap_until, older ones end
 * now (H-04). Lifts a revocation. */
enum store_result store_key_rotate(struct store *store,
                                   const struct uuid *agent,
                                   const uint8_t digest[STORE_DIGEST_SIZE],
                                   int64_t now, int64_t overlap_until);
/* No key of this agent is valid any more. */
enum store_result store_key_revoke(struct store *store,
                                   const struct uuid *agent, int64_t now);

/* ---- remote servers ------------------------------------------------------ */

enum store_result store_servers(struct store *store,
                                struct store_server **servers, size_t *count);
enum store_result store_server_get(struct store *store, const struct uuid *uuid,
                                   struct store_server *server);
enum store_result store_server_add(struct store *store,
                                   const struct store_server *server);
enum store_result store_server_update(struct store *store,
                                      const struct store_server *server);
enum store_result store_server_remove(struct store *store,
                                      const struct uuid *uuid);

/* ---- sessions and their ports -------------------------------------------- */

/* A session of agent was alive at now, its loopback port was port (0: none).
 * Kept in memory until store_flush(), or written at once when 1,024 are
 * waiting: a reconnect storm costs one transaction, not thousands. Call it when
 * a session's listener is bound and again when the session ends. */
void store_seen(struct store *store, const struct uuid *agent, uint16_t port,
                int64_t now);

/* Write what is waiting, without waiting for the disc: it survives kill -9,
 * the last of it may be lost to a power cut. Call it once a second. */
enum store_result store_flush(struct store *store);

/* Ports used since, for the quarantine at start (L-10); caller frees. */
enum store_result store_ports(struct store *store, int64_t since,
                              struct store_port **ports, size_t *count);

#endif
