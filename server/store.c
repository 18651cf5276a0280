/* IMPLEMENTATION NOTES
 *
 * SQLite in WAL mode with synchronous=FULL: a COMMIT returns when the log is on
 * disc. Only store_flush() commits with synchronous=NORMAL, which leaves the
 * bytes with the kernel: kill -9 cannot take them back. Its rows come after
 * everything acknowledged before in the same log, so order is kept.
 *
 * An agent key is found by the first KEY_ID_SIZE bytes of its digest; whether
 * it is that key is then decided by comparing whole digests in constant time.
 *
 * user_version is the number of migrations that have run; each runs in one
 * transaction together with its number, so a killed start leaves either. */
#include "server/store.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/contract.h"
#include "core/key.h"
#include "net/sys.h"
#include "server/datadir.h"

#define FILE_NAME "orthrus.db"
#define APPLICATION_ID 1869767784 /* "orth": tells our files from others */

enum { KEY_ID_SIZE = 8, SEEN_MAX = 1024, BUSY_TIMEOUT_MS = 250 };

/* Append only: what has shipped never changes. */
static const char *const migrations[] = {
    "CREATE TABLE agents ("
    "  uuid TEXT PRIMARY KEY,"
    "  name TEXT NOT NULL,"
    "  hecate_tunnel_uuid TEXT NOT NULL,"
    "  device_id TEXT NOT NULL,"
    "  resolved_address TEXT NOT NULL,"
    "  external_proxy_port INTEGER NOT NULL,"
    "  write_enabled INTEGER NOT NULL,"
    "  last_seen INTEGER NOT NULL,"
    "  created_at INTEGER NOT NULL,"
    "  updated_at INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE agent_keys ("
    "  id BLOB NOT NULL,"
    "  digest BLOB NOT NULL,"
    "  agent TEXT NOT NULL REFERENCES agents (uuid) ON DELETE CASCADE,"
    "  expires_at INTEGER NOT NULL," /* 0: not by itself */
    "  PRIMARY KEY (id, digest)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX agent_keys_of ON agent_keys (agent);"
    "CREATE TABLE remote_servers ("
    "  uuid TEXT PRIMARY KEY,"
    "  name TEXT NOT NULL,"
    "  host TEXT NOT NULL,"
    "  port INTEGER NOT NULL,"
    "  connection_type TEXT NOT NULL"
    "    CHECK (connection_type IN ('direct', 'orthrus')),"
    "  orthrus_agent_uuid TEXT," /* may outlive the agent */
    "  created_at INTEGER NOT NULL,"
    "  updated_at INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE ports ("
    "  port INTEGER PRIMARY KEY,"
    "  agent TEXT NOT NULL," /* outlives the agent: the quarantine does */
    "  used_at INTEGER NOT NULL"
    ") STRICT;"};

enum { MIGRATIONS = sizeof(migrations) / sizeof(migrations[0]) };

#define AGENT_FIELDS                                                      \
    "SELECT uuid, name, hecate_tunnel_uuid, device_id, resolved_address," \
    " external_proxy_port, write_enabled, last_seen, created_at, updated_at"
#define AGENT_COLUMNS \
    AGENT_FIELDS      \
    ", NOT EXISTS (SELECT 1 FROM agent_keys WHERE agent = uuid) FROM agents "
#define SERVER_COLUMNS                                                    \
    "SELECT uuid, name, host, port, connection_type, orthrus_agent_uuid," \
    " created_at, updated_at FROM remote_servers "

#define STATEMENTS(X)                                                         \
    X(BEGIN, "BEGIN IMMEDIATE")                                               \
    X(COMMIT, "COMMIT")                                                       \
    X(ROLLBACK, "ROLLBACK")                                                   \
    X(PROBE, "SELECT count(*) FROM sqlite_schema")                            \
    X(AGENT_COUNT, "SELECT count(*) FROM agents")                             \
    X(AGENT_LIST, AGENT_COLUMNS "ORDER BY created_at, uuid")                  \
    X(AGENT_GET, AGENT_COLUMNS "WHERE uuid = ?1")                             \
    X(AGENT_ADD, "INSERT INTO agents VALUES"                                  \
                 " (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")                \
    X(AGENT_UPDATE,                                                           \
      "UPDATE agents SET name = ?2, hecate_tunnel_uuid = ?3, device_id = ?4," \
      " resolved_address = ?5, external_proxy_port = ?6, write_enabled = ?7," \
      " updated_at = ?8 WHERE uuid = ?1")                                     \
    X(AGENT_REMOVE, "DELETE FROM agents WHERE uuid = ?1")                     \
    X(AGENT_SEEN, "UPDATE agents SET last_seen = max(last_seen, ?2)"          \
                  " WHERE uuid = ?1")                                         \
    X(AGENT_TOUCH, "UPDATE agents SET updated_at = ?2 WHERE uuid = ?1")       \
    X(KEY_FIND, AGENT_FIELDS ", 0, digest, expires_at FROM agent_keys"        \
                             " JOIN agents ON uuid = agent WHERE id = ?1")    \
    X(KEY_ADD, "INSERT INTO agent_keys VALUES (?1, ?2, ?3, 0)")               \
    X(KEY_EXPIRE, "UPDATE agent_keys SET expires_at = ?2"                     \
                  " WHERE agent = ?1")                                        \
    X(KEY_DROP_OLD, "DELETE FROM agent_keys"                                  \
                    " WHERE agent = ?1 AND expires_at <> 0")                  \
    X(KEY_DROP, "DELETE FROM agent_keys WHERE agent = ?1")                    \
    X(SERVER_COUNT, "SELECT count(*) FROM remote_servers")                    \
    X(SERVER_LIST, SERVER_COLUMNS "ORDER BY created_at, uuid")                \
    X(SERVER_GET, SERVER_COLUMNS "WHERE uuid = ?1")                           \
    X(SERVER_ADD, "INSERT INTO remote_servers VALUES"                         \
                  " (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")                        \
    X(SERVER_UPDATE,                                                          \
      "UPDATE remote_servers SET name = ?2, host = ?3, port = ?4,"            \
      " connection_type = ?5, orthrus_agent_uuid = ?6, updated_at = ?7"       \
      " WHERE uuid = ?1")                                                     \
    X(SERVER_REMOVE, "DELETE FROM remote_servers WHERE uuid = ?1")            \
    X(PORT_COUNT, "SELECT count(*) FROM ports")                               \
    X(PORT_LIST, "SELECT port, agent, used_at FROM ports"                     \
                 " WHERE used_at >= ?1 ORDER BY used_at")                     \
    X(PORT_USED, "INSERT INTO ports VALUES (?1, ?2, ?3) ON CONFLICT (port)"   \
                 " DO UPDATE SET agent = ?2, used_at = ?3")

enum statement {
#define X(name, sql) name,
    STATEMENTS(X)
#undef X
        STATEMENT_COUNT
};

static const char *const sql[] = {
#define X(name, text) text,
    STATEMENTS(X)
#undef X
};

struct seen {
    struct uuid agent;
    int64_t now;
    uint16_t port;
};

struct store {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENT_COUNT];
    int dir;
    bool barred;  /* what is to run next lacks a value, or would not wait */
    bool relaxed; /* commits do not wait for the disc, and should */
    size_t seen_count;
    struct seen seen[SEEN_MAX];
    char error[STORE_ERROR_SIZE];
};

static enum store_result fail(struct store *store, const char *what)
{
    (void)snprintf(store->error, sizeof(store->error), "%s: %s", what,
                   sqlite3_errmsg(store->db));
    for (char *c = store->error; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f) {
            *c = '?'; /* a damaged schema is quoted as it is */
        }
    }
    return STORE_FAILED;
}

const char *store_error(const struct store *store)
{
    return store->error;
}

/* ---- statements ---------------------------------------------------------- */

/* Back to the start, so that no statement keeps a read transaction open, and
 * nothing stays bound. False: what a column said was not the whole of it. */
static bool done(struct store *store, enum statement which)
{
    int result = sqlite3_reset(store->statements[which]);
    (void)sqlite3_clear_bindings(store->statements[which]);
    return result == SQLITE_OK;
}

/* Binding fails for want of memory and leaves NULL, which is a value like any
 * other: step() must not run then. */
static void bound(struct store *store, int result)
{
    if (result != SQLITE_OK) {
        store->barred = true;
    }
}

static int step(struct store *store, enum statement which)
{
    if (store->barred) {
        store->barred = false;
        return SQLITE_NOMEM;
    }
    return sqlite3_step(store->statements[which]);
}

static void bind_number(struct store *store, enum statement which, int index,
                        int64_t number)
{
    bound(store, sqlite3_bind_int64(store->statements[which], index, number));
}

static void bind_text(struct store *store, enum statement which, int index,
                      const char *text)
{
    bound(store, sqlite3_bind_text(store->statements[which], index, text, -1,
                                   SQLITE_TRANSIENT));
}

static void bind_uuid(struct store *store, enum statement which, int index,
                      const struct uuid *uuid)
{
    char text[UUID_TEXT_SIZE];
    uuid_text(uuid, text);
    bind_text(store, which, index, text);
}

static void bind_digest(struct store *store, enum statement which, int index,
                        const uint8_t *digest, int length)
{
    bound(store, sqlite3_bind_blob(store->statements[which], index, digest,
                                   length, SQLITE_TRANSIENT));
}

/* Not one of the statements: a pragma acts when it is prepared. */
static void wait_for_disc(struct store *store)
{
    store->relaxed = sqlite3_exec(store->db, "PRAGMA synchronous = FULL", NULL,
                                  NULL, NULL) != SQLITE_OK;
}

/* Run a statement that returns no rows (or one that is of no interest). */
static enum store_result run(struct store *store, enum statement which)
{
    if (store->relaxed) {
        wait_for_disc(store);
        store->barred = store->barred || store->relaxed;
    }
    int result = step(store, which);
    enum store_result outcome = STORE_OK;
    if (result != SQLITE_DONE && result != SQLITE_ROW) {
        outcome = fail(store, "the data base refused a change");
    }
    (void)done(store, which);
    return outcome;
}

/* The same, for a row that must be there. */
static enum store_result run_on_row(struct store *store, enum statement which)
{
    enum store_result outcome = run(store, which);
    return outcome == STORE_OK && sqlite3_changes(store->db) == 0
               ? STORE_NOT_FOUND
               : outcome;
}

/* Ends what BEGIN began, the way outcome says. */
static enum store_result finish(struct store *store, enum store_result outcome)
{
    if (outcome == STORE_OK) {
        outcome = run(store, COMMIT);
    }
    if (outcome != STORE_OK && sqlite3_get_autocommit(store->db) == 0) {
        (void)step(store, ROLLBACK); /* store->error keeps the cause */
        (void)done(store, ROLLBACK);
    }
    return outcome;
}

/* The columns of a row. False: it is not what orthrusd would have written. */

/* How many bytes follow this one in a character; 4: it begins none. */
static unsigned bytes_behind(unsigned char first)
{
    if (first < 0x80) {
        return 0;
    }
    if (first < 0xc2 || first > 0xf4) {
        return 4;
    }
    return first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
}

static bool is_utf8(const char *text) /* RFC 3629 */
{
    const unsigned char *at = (const unsigned char *)text;
    while (*at != '\0') {
        unsigned char first = *at++;
        unsigned left = bytes_behind(first);
        if (left == 4 || (first == 0xe0 && *at < 0xa0) ||
            (first == 0xed && *at > 0x9f) || (first == 0xf0 && *at < 0x90) ||
            (first == 0xf4 && *at > 0x8f)) {
            return false;
        }
        for (; left > 0; --left) {
            if ((*at++ & 0xc0) != 0x80) {
                return false;
            }
        }
    }
    return true;
}

static bool column_text(sqlite3_stmt *statement, int index, char *text,
                        size_t size)
{
    const char *column = (const char *)sqlite3_column_text(statement, index);
    size_t length = (size_t)sqlite3_column_bytes(statement, index);
    bool fine = column != NULL && length < size && strlen(column) == length &&
                is_utf8(column);
    (void)snprintf(text, size, "%s", fine ? column : "");
    return fine;
}

static bool column_port(sqlite3_stmt *statement, int index, uint16_t *port)
{
    int64_t number = sqlite3_column_int64(statement, index);
    *port = (uint16_t)number;
    return number >= 0 && number <= UINT16_MAX;
}

static bool column_uuid(sqlite3_stmt *statement, int index, struct uuid *uuid)
{
    const unsigned char *column = sqlite3_column_text(statement, index);
    return column != NULL && uuid_parse(uuid, (const char *)column);
}

/* All rows of list_sql, as an array that the caller frees; count_sql promises
 * how many. Rows that take() finds damaged are left out. */
static enum store_result list(struct store *store, enum statement count_sql,
                              enum statement list_sql, size_t size,
                              bool (*take)(sqlite3_stmt *row, void *into),
                              void **rows, size_t *count)
{
    char *array = NULL;
    size_t room = 0;
    size_t used = 0;
    int result = step(store, count_sql);
    if (result == SQLITE_ROW) {
        room = (size_t)sqlite3_column_int64(store->statements[count_sql], 0);
        array = calloc(room + 1, size);
        result = array == NULL ? SQLITE_NOMEM : SQLITE_ROW;
    }
    (void)done(store, count_sql);
    while (result == SQLITE_ROW) {
        result = step(store, list_sql);
        if (result == SQLITE_ROW && used < room) {
            used += take(store->statements[list_sql], array + used * size);
        }
    }
    (void)done(store, list_sql);
    if (result != SQLITE_DONE || used == 0) {
        free(array);
        array = NULL;
        used = 0;
    }
    *rows = array;
    *count = used;
    return result == SQLITE_DONE ? STORE_OK
                                 : fail(store, "cannot read a table");
}

/* The row of this uuid, if there is one. */
static enum store_result damaged(struct store *store)
{
    (void)snprintf(store->error, sizeof(store->error),
                   "the row is damaged; delete it, or restore a backup");
    return STORE_FAILED;
}

static enum store_result get(struct store *store, enum statement which,
                             const struct uuid *uuid,
                             bool (*take)(sqlite3_stmt *row, void *into),
                             void *into)
{
    bind_uuid(store, which, 1, uuid);
    int result = step(store, which);
    bool whole = result != SQLITE_ROW || take(store->statements[which], into);
    if (!done(store, which) ||
        (result != SQLITE_ROW && result != SQLITE_DONE)) {
        return fail(store, "cannot read a row");
    }
    if (!whole) {
        return damaged(store);
    }
    return result == SQLITE_ROW ? STORE_OK : STORE_NOT_FOUND;
}

/* ---- opening ------------------------------------------------------------- */

static bool execute(struct store *store, const char *text)
{
    return sqlite3_exec(store->db, text, NULL, NULL, NULL) == SQLITE_OK ||
           fail(store, "cannot set up the data base") == STORE_OK;
}

static bool ask(struct store *store, const char *text, int64_t *answer)
{
    sqlite3_stmt *statement = NULL;
    bool fine = sqlite3_prepare_v2(store->db, text, -1, &statement, NULL) ==
                    SQLITE_OK &&
                sqlite3_step(statement) == SQLITE_ROW;
    if (fine) {
        *answer = sqlite3_column_int64(statement, 0);
    } else {
        (void)fail(store, "cannot read the data base");
    }
    (void)sqlite3_finalize(statement);
    return fine;
}

static bool migrate(struct store *store, int64_t version)
{
    char number[128];
    for (; version < MIGRATIONS; ++version) {
        (void)snprintf(number, sizeof(number),
                       "PRAGMA user_version = %d; PRAGMA application_id = %d",
                       (int)version + 1, APPLICATION_ID);
        if (!execute(store, "BEGIN EXCLUSIVE") ||
            !execute(store, migrations[version]) || !execute(store, number) ||
            !execute(store, "COMMIT")) {
            return false;
        }
    }
    return true;
}

/* Ours, and not from a later release? */
static bool check_version(struct store *store, int64_t *version)
{
    int64_t application = 0;
    int64_t tables = 0;
    if (!ask(store, "PRAGMA application_id", &application) ||
        !ask(store, "SELECT count(*) FROM sqlite_schema", &tables) ||
        !ask(store, "PRAGMA user_version", version)) {
        return false;
    }
    if (tables > 0 && application != APPLICATION_ID) {
        (void)snprintf(store->error, sizeof(store->error),
                       "it is the data base of another program; move it away");
        return false;
    }
    if (*version < 0) {
        (void)snprintf(store->error, sizeof(store->error),
                       "the number of its schema is damaged; restore a backup");
        return false;
    }
    if (*version > MIGRATIONS) {
        (void)snprintf(store->error, sizeof(store->error),
                       "its schema %lld is newer than this orthrusd knows "
                       "(%d); run the newer release",
                       (long long)*version, (int)MIGRATIONS);
        return false;
    }
    return true;
}

static bool set_up(struct store *store, const char *path)
{
    int64_t version = 0;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(path, &store->db, flags, NULL) != SQLITE_OK) {
        return fail(store, "cannot open it") == STORE_OK;
    }
    (void)sqlite3_busy_timeout(store->db, BUSY_TIMEOUT_MS);
    if (!check_version(store, &version) ||
        !execute(store, "PRAGMA journal_mode = WAL;"
                        "PRAGMA synchronous = FULL;"
                        "PRAGMA foreign_keys = ON;"
                        "PRAGMA trusted_schema = OFF;"
                        "PRAGMA secure_delete = ON") ||
        !migrate(store, version)) {
        return false;
    }
    for (int i = 0; i < STATEMENT_COUNT; ++i) {
        if (sqlite3_prepare_v3(store->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &store->statements[i], NULL) != SQLITE_OK) {
            return fail(store, "its schema is damaged") == STORE_OK;
        }
    }
    return true;
}

struct store *store_open(const char *dir, char error[STORE_ERROR_SIZE])
{
    char path[4096];
    bool exists = false;
    struct store *store = calloc(1, sizeof(*store));
    if (store == NULL) {
        (void)snprintf(error, STORE_ERROR_SIZE, "out of memory for the store");
        return NULL;
    }
    store->dir = datadir_open(dir, error);
    if (store->dir < 0 || !datadir_lock(store->dir, dir, error) ||
        !datadir_check(store->dir, dir, FILE_NAME, &exists, error) ||
        (!exists && !datadir_make(store->dir, dir, FILE_NAME, "", 0, error))) {
        store_close(store);
        return NULL;
    }
    (void)snprintf(path, sizeof(path), "%s/" FILE_NAME, dir);
    if (!set_up(store, path)) {
        (void)snprintf(error, STORE_ERROR_SIZE, "%.200s: %.300s", path,
                       store->error);
        store_close(store);
        return NULL;
    }
    return store;
}

void store_close(struct store *store)
{
    if (store == NULL) {
        return;
    }
    if (store->seen_count > 0) {
        (void)store_flush(store);
    }
    for (int i = 0; i < STATEMENT_COUNT; ++i) {
        (void)sqlite3_finalize(store->statements[i]);
    }
    (void)sqlite3_close(store->db);
    if (store->dir >= 0) {
        (void)sys_close(store->dir);
    }
    free(store);
}

bool store_readable(struct store *store)
{
    return run(store, PROBE) == STORE_OK;
}

/* ---- agents -------------------------------------------------------------- */

static bool read_agent(sqlite3_stmt *row, void *into)
{
    struct store_agent *agent = into;
    memset(agent, 0, sizeof(*agent));
    agent->write_enabled = sqlite3_column_int(row, 6) != 0;
    agent->last_seen = sqlite3_column_int64(row, 7);
    agent->created_at = sqlite3_column_int64(row, 8);
    agent->updated_at = sqlite3_column_int64(row, 9);
    agent->revoked = sqlite3_column_int(row, 10) != 0;
    return column_uuid(row, 0, &agent->uuid) &&
           column_text(row, 1, agent->name, sizeof(agent->name)) &&
           column_text(row, 2, agent->hecate_tunnel_uuid,
                       sizeof(agent->hecate_tunnel_uuid)) &&
           column_text(row, 3, agent->device_id, sizeof(agent->device_id)) &&
           column_text(row, 4, agent->resolved_address,
                       sizeof(agent->resolved_address)) &&
           column_port(row, 5, &agent->external_proxy_port);
}

static void bind_agent(struct store *store, enum statement which,
                       const struct store_agent *agent)
{
    bind_uuid(store, which, 1, &agent->uuid);
    bind_text(store, which, 2, agent->name);
    bind_text(store, which, 3, agent->hecate_tunnel_uuid);
    bind_text(store, which, 4, agent->device_id);
    bind_text(store, which, 5, agent->resolved_address);
    bind_number(store, which, 6, agent->external_proxy_port);
    bind_number(store, which, 7, agent->write_enabled);
}

enum store_result store_agents(struct store *store, struct store_agent **agents,
                               size_t *count)
{
    void *rows = NULL;
    (void)store_flush(store); /* for last_seen */
    enum store_result outcome =
        list(store, AGENT_COUNT, AGENT_LIST, sizeof(**agents), read_agent,
             &rows, count);
    *agents = rows;
    return outcome;
}

enum store_result store_agent_read(struct store *store, const struct uuid *uuid,
                                   struct store_agent *agent)
{
    return get(store, AGENT_GET, uuid, read_agent, agent);
}

enum store_result store_agent_get(struct store *store, const struct uuid *uuid,
                                  struct store_agent *agent)
{
    (void)store_flush(store);
    return store_agent_read(store, uuid, agent);
}

static enum store_result add_key(struct store *store, const struct uuid *agent,
                                 const uint8_t digest[STORE_DIGEST_SIZE])
{
    bind_digest(store, KEY_ADD, 1, digest, KEY_ID_SIZE);
    bind_digest(store, KEY_ADD, 2, digest, STORE_DIGEST_SIZE);
    bind_uuid(store, KEY_ADD, 3, agent);
    return run(store, KEY_ADD);
}

enum store_result store_agent_add(struct store *store,
                                  const struct store_agent *agent,
                                  const uint8_t digest[STORE_DIGEST_SIZE])
{
    enum store_result outcome = run(store, BEGIN);
    if (outcome == STORE_OK) {
        bind_agent(store, AGENT_ADD, agent);
        bind_number(store, AGENT_ADD, 8, agent->last_seen);
        bind_number(store, AGENT_ADD, 9, agent->created_at);
        bind_number(store, AGENT_ADD, 10, agent->updated_at);
        outcome = run(store, AGENT_ADD);
    }
    if (outcome == STORE_OK) {
        outcome = add_key(store, &agent->uuid, digest);
    }
    return finish(store, outcome);
}

enum store_result store_agent_update(struct store *store,
                                     const struct store_agent *agent)
{
    bind_agent(store, AGENT_UPDATE, agent);
    bind_number(store, AGENT_UPDATE, 8, agent->updated_at);
    return run_on_row(store, AGENT_UPDATE);
}

enum store_result store_agent_remove(struct store *store,
                                     const struct uuid *uuid)
{
    bind_uuid(store, AGENT_REMOVE, 1, uuid);
    return run_on_row(store, AGENT_REMOVE);
}

/* ---- agent keys ---------------------------------------------------------- */

static bool is_key(sqlite3_stmt *row, const uint8_t digest[STORE_DIGEST_SIZE],
                   int64_t now)
{
    const void *stored = sqlite3_column_blob(row, 11);
    int64_t expires_at = sqlite3_column_int64(row, 12);
    return stored != NULL &&
           sqlite3_column_bytes(row, 11) == STORE_DIGEST_SIZE &&
           key_digest_equal(stored, digest) &&
           (expires_at == 0 || expires_at > now);
}

enum store_result store_key_find(struct store *store,
                                 const uint8_t digest[STORE_DIGEST_SIZE],
                                 int64_t now, struct store_agent *agent)
{
    enum store_result outcome = STORE_NOT_FOUND;
    int result = SQLITE_DONE;
    bind_digest(store, KEY_FIND, 1, digest, KEY_ID_SIZE);
    while ((result = step(store, KEY_FIND)) == SQLITE_ROW) {
        if (is_key(store->statements[KEY_FIND], digest, now)) {
            outcome = read_agent(store->statements[KEY_FIND], agent)
                          ? STORE_OK
                          : damaged(store);
        }
    }
    if (result != SQLITE_DONE) {
        outcome = fail(store, "cannot read the keys");
    }
    (void)done(store, KEY_FIND);
    return outcome;
}

/* updated_at follows; this is also where an unknown agent is noticed. */
static enum store_result touch(struct store *store, const struct uuid *agent,
                               int64_t now)
{
    bind_uuid(store, AGENT_TOUCH, 1, agent);
    bind_number(store, AGENT_TOUCH, 2, now);
    return run_on_row(store, AGENT_TOUCH);
}

enum store_result store_key_rotate(struct store *store,
                                   const struct uuid *agent,
                                   const uint8_t digest[STORE_DIGEST_SIZE],
                                   int64_t now, int64_t overlap_until)
{
    enum store_result outcome = run(store, BEGIN);
    if (outcome == STORE_OK) {
        outcome = touch(store, agent, now);
    }
    if (outcome == STORE_OK) {
        bind_uuid(store, KEY_DROP_OLD, 1, agent);
        outcome = run(store, KEY_DROP_OLD);
    }
    if (outcome == STORE_OK) {
        bind_uuid(store, KEY_EXPIRE, 1, agent);
        bind_number(store, KEY_EXPIRE, 2, overlap_until);
        outcome = run(store, KEY_EXPIRE);
    }
    if (outcome == STORE_OK) {
        outcome = add_key(store, agent, digest);
    }
    return finish(store, outcome);
}

enum store_result store_key_revoke(struct store *store,
                                   const struct uuid *agent, int64_t now)
{
    enum store_result outcome = run(store, BEGIN);
    if (outcome == STORE_OK) {
        outcome = touch(store, agent, now);
    }
    if (outcome == STORE_OK) {
        bind_uuid(store, KEY_DROP, 1, agent);
        outcome = run(store, KEY_DROP);
    }
    return finish(store, outcome);
}

/* ---- remote servers ------------------------------------------------------ */

static const char *connection_name(enum store_connection connection)
{
    switch (connection) {
    case STORE_DIRECT:
        return "direct";
    case STORE_ORTHRUS:
        break;
    }
    return "orthrus";
}

static bool read_server(sqlite3_stmt *row, void *into)
{
    struct store_server *server = into;
    char connection[16] = "";
    memset(server, 0, sizeof(*server));
    bool fine = column_uuid(row, 0, &server->uuid) &&
                column_text(row, 1, server->name, sizeof(server->name)) &&
                column_text(row, 2, server->host, sizeof(server->host)) &&
                column_port(row, 3, &server->port) &&
                column_text(row, 4, connection, sizeof(connection));
    server->connection_type =
        strcmp(connection, "orthrus") == 0 ? STORE_ORTHRUS : STORE_DIRECT;
    server->has_agent = column_uuid(row, 5, &server->agent);
    server->created_at = sqlite3_column_int64(row, 6);
    server->updated_at = sqlite3_column_int64(row, 7);
    return fine;
}

static void bind_server(struct store *store, enum statement which,
                        const struct store_server *server)
{
    bind_uuid(store, which, 1, &server->uuid);
    bind_text(store, which, 2, server->name);
    bind_text(store, which, 3, server->host);
    bind_number(store, which, 4, server->port);
    bind_text(store, which, 5, connection_name(server->connection_type));
    if (server->has_agent) {
        bind_uuid(store, which, 6, &server->agent);
    }
}

enum store_result store_servers(struct store *store,
                                struct store_server **servers, size_t *count)
{
    void *rows = NULL;
    enum store_result outcome =
        list(store, SERVER_COUNT, SERVER_LIST, sizeof(**servers), read_server,
             &rows, count);
    *servers = rows;
    return outcome;
}

enum store_result store_server_get(struct store *store, const struct uuid *uuid,
                                   struct store_server *server)
{
    return get(store, SERVER_GET, uuid, read_server, server);
}

enum store_result store_server_add(struct store *store,
                                   const struct store_server *server)
{
    bind_server(store, SERVER_ADD, server);
    bind_number(store, SERVER_ADD, 7, server->created_at);
    bind_number(store, SERVER_ADD, 8, server->updated_at);
    return run(store, SERVER_ADD);
}

enum store_result store_server_update(struct store *store,
                                      const struct store_server *server)
{
    bind_server(store, SERVER_UPDATE, server);
    bind_number(store, SERVER_UPDATE, 7, server->updated_at);
    return run_on_row(store, SERVER_UPDATE);
}

enum store_result store_server_remove(struct store *store,
                                      const struct uuid *uuid)
{
    bind_uuid(store, SERVER_REMOVE, 1, uuid);
    return run_on_row(store, SERVER_REMOVE);
}

/* ---- sessions and their ports -------------------------------------------- */

void store_seen(struct store *store, const struct uuid *agent, uint16_t port,
                int64_t now)
{
    if (store->seen_count == SEEN_MAX) {
        (void)store_flush(store);
    }
    store->seen[store->seen_count++] =
        (struct seen){.agent = *agent, .now = now, .port = port};
}

static enum store_result write_seen(struct store *store,
                                    const struct seen *seen)
{
    bind_uuid(store, AGENT_SEEN, 1, &seen->agent);
    bind_number(store, AGENT_SEEN, 2, seen->now);
    enum store_result outcome = run(store, AGENT_SEEN);
    if (outcome == STORE_OK && seen->port != 0) {
        bind_number(store, PORT_USED, 1, seen->port);
        bind_uuid(store, PORT_USED, 2, &seen->agent);
        bind_number(store, PORT_USED, 3, seen->now);
        outcome = run(store, PORT_USED);
    }
    return outcome;
}

enum store_result store_flush(struct store *store)
{
    if (store->seen_count == 0) {
        return STORE_OK;
    }
    (void)execute(store, "PRAGMA synchronous = NORMAL");
    enum store_result outcome = run(store, BEGIN);
    for (size_t i = 0; outcome == STORE_OK && i < store->seen_count; ++i) {
        outcome = write_seen(store, &store->seen[i]);
    }
    outcome = finish(store, outcome);
    wait_for_disc(store);
    /* when the disc is full, keeping them would not make room */
    store->seen_count = 0;
    return outcome;
}

static bool read_port(sqlite3_stmt *row, void *into)
{
    struct store_port *port = into;
    port->used_at = sqlite3_column_int64(row, 2);
    return column_port(row, 0, &port->port) && port->port > 0 &&
           column_uuid(row, 1, &port->agent);
}

enum store_result store_ports(struct store *store, int64_t since,
                              struct store_port **ports, size_t *count)
{
    void *rows = NULL;
    (void)store_flush(store);
    bind_number(store, PORT_LIST, 1, since);
    enum store_result outcome = list(store, PORT_COUNT, PORT_LIST,
                                     sizeof(**ports), read_port, &rows, count);
    *ports = rows;
    return outcome;
}
