/* The store on a data base that somebody has damaged, or written rows into.
 *
 * First byte: 1 rows: each a digit that chooses a table and its columns, each
 * up to 0x00. Else damage to a good file: second and third byte cut that many
 * times 64 bytes off its end; then two bytes of a place, one of a count, and
 * that many bytes to be put there.
 *
 * Whatever it is: an error of one line, or answers with sound strings. */
#include <fcntl.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz/folder.h"
#include "fuzz/harness.h"
#include "server/store.h"

#define FILE_MAX 65536u
#define CUT_BYTES 64u

static char folder[FOLDER_SIZE];
static char path[96];
static uint8_t good[FILE_MAX]; /* a data base with a row in each table */
static size_t good_length;

static const struct uuid first = {{1, 2, 3}};
static const uint8_t digest[STORE_DIGEST_SIZE] = {4, 5, 6};

/* ---- the file ------------------------------------------------------------ */

static void remove_files(void)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        unlink(name);
    }
}

static void fill(struct store *store)
{
    struct store_agent agent = {.uuid = first, .name = "web-01"};
    struct store_server server = {.uuid = first,
                                  .name = "db",
                                  .connection_type = STORE_ORTHRUS,
                                  .has_agent = true,
                                  .agent = first};

    MUST(store_agent_add(store, &agent, digest) == STORE_OK);
    MUST(store_server_add(store, &server) == STORE_OK);
    store_seen(store, &first, 40001, 7);
    MUST(store_flush(store) == STORE_OK);
}

/* Once a process. */
static void make_good(void)
{
    char error[STORE_ERROR_SIZE];

    folder_make(folder); /* in memory fsync() costs nothing */
    snprintf(path, sizeof path, "%s/orthrus.db", folder);
    struct store *store = store_open(folder, error);
    MUST(store);
    fill(store);
    store_close(store);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? -1 : read(file, good, sizeof good);
    MUST(length > 0 && (size_t)length < sizeof good);
    good_length = (size_t)length;
    close(file);
}

static void write_file(const uint8_t *bytes, size_t length)
{
    remove_files();
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    MUST(file >= 0 && write(file, bytes, length) == (ssize_t)length);
    close(file);
}

static void write_damaged(struct input input, size_t cut)
{
    static uint8_t bytes[FILE_MAX];
    size_t length = good_length - (cut < good_length ? cut : good_length);

    memcpy(bytes, good, good_length);
    while (input.length > 3) {
        size_t at = (size_t)(input.bytes[0] << 8 | input.bytes[1]);
        size_t count = input.bytes[2];
        input_take(&input, 3);
        count = count < input.length ? count : input.length;
        for (size_t i = 0; i < count && at + i < good_length; i++) {
            bytes[at + i] = input.bytes[i];
        }
        input_take(&input, count);
    }
    write_file(bytes, length);
}

/* ---- rows ---------------------------------------------------------------- */

static const struct {
    const char *sql;
    int columns;
} inserts[] = {
    {"INSERT OR REPLACE INTO agents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", 10},
    {"INSERT OR REPLACE INTO agent_keys VALUES (?, ?, ?, ?)", 4},
    {"INSERT OR REPLACE INTO remote_servers VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
     8},
    {"INSERT OR REPLACE INTO ports VALUES (?, ?, ?)", 3},
    {"UPDATE agents SET name = ?, external_proxy_port = ?", 2},
    {"UPDATE remote_servers SET name = ?, port = ?", 2},
};

/* Text where that is right, a number or bytes where the column wants one: the
 * tables are STRICT and refuse the rest. */
static void bind(sqlite3_stmt *statement, int index, const char *text,
                 size_t length)
{
    char *end = NULL;
    char number[32];

    snprintf(number, sizeof number, "%.*s", (int)(length < 31 ? length : 31),
             text);
    long long value = strtoll(number, &end, 10);
    if (length > 0 && text[0] == '=') {
        sqlite3_bind_blob(statement, index, text + 1, (int)length - 1,
                          SQLITE_TRANSIENT);
    } else if (length > 0 && *end == '\0') {
        sqlite3_bind_int64(statement, index, value);
    } else {
        sqlite3_bind_text(statement, index, text, (int)length,
                          SQLITE_TRANSIENT);
    }
}

static void write_rows(struct input input)
{
    sqlite3 *db = NULL;

    write_file(good, good_length);
    MUST(sqlite3_open(path, &db) == SQLITE_OK);
    while (input.length > 0) {
        sqlite3_stmt *statement = NULL;
        size_t which = (unsigned)(input.bytes[0] - '0') %
                       (sizeof inserts / sizeof *inserts);
        MUST(sqlite3_prepare_v2(db, inserts[which].sql, -1, &statement, NULL) ==
             SQLITE_OK);
        input_take(&input, 1);
        for (int i = 1; i <= inserts[which].columns; i++) {
            const uint8_t *end =
                input.length ? memchr(input.bytes, 0, input.length) : NULL;
            size_t length = end ? (size_t)(end - input.bytes) : input.length;
            bind(statement, i, (const char *)input.bytes, length);
            input_take(&input, length + (end != NULL));
        }
        (void)sqlite3_step(statement);
        (void)sqlite3_finalize(statement);
    }
    MUST(sqlite3_close(db) == SQLITE_OK);
}

/* ---- questions ----------------------------------------------------------- */

static void must_be_told(const struct store *store, enum store_result result)
{
    MUST(result == STORE_OK || result == STORE_NOT_FOUND ||
         result == STORE_FAILED);
    if (result == STORE_FAILED) {
        const char *error = store_error(store);
        MUST(error[0] != '\0' && memchr(error, '\0', STORE_ERROR_SIZE));
    }
}

static void look_at_agents(struct store *store)
{
    struct store_agent *agents = NULL;
    struct store_agent agent;
    size_t count = 0;
    enum store_result result = store_agents(store, &agents, &count);

    must_be_told(store, result);
    MUST((agents != NULL) == (count > 0));
    MUST(result == STORE_OK || count == 0);
    for (size_t i = 0; i < count; i++) {
        MUST(memchr(agents[i].name, '\0', sizeof agents[i].name));
        MUST(memchr(agents[i].device_id, '\0', STORE_FIELD_SIZE));
        must_be_told(store, store_agent_get(store, &agents[i].uuid, &agent));
        must_be_told(store, store_agent_update(store, &agents[i]));
    }
    free(agents);
}

static void look_at_servers(struct store *store)
{
    struct store_server *servers = NULL;
    struct store_server server;
    size_t count = 0;
    enum store_result result = store_servers(store, &servers, &count);

    must_be_told(store, result);
    MUST((servers != NULL) == (count > 0));
    for (size_t i = 0; i < count; i++) {
        MUST(memchr(servers[i].name, '\0', sizeof servers[i].name));
        MUST(memchr(servers[i].host, '\0', sizeof servers[i].host));
        must_be_told(store, store_server_get(store, &servers[i].uuid, &server));
        must_be_told(store, store_server_update(store, &servers[i]));
    }
    free(servers);
}

static void use(struct store *store)
{
    struct store_port *ports = NULL;
    size_t count = 0;
    struct store_agent agent;

    (void)store_readable(store);
    look_at_agents(store);
    look_at_servers(store);
    must_be_told(store, store_ports(store, 0, &ports, &count));
    for (size_t i = 0; i < count; i++) {
        MUST(ports[i].port > 0);
    }
    free(ports);
    must_be_told(store, store_key_find(store, digest, 1, &agent));
    must_be_told(store, store_key_rotate(store, &first, digest, 2, 3));
    must_be_told(store, store_key_revoke(store, &first, 4));
    store_seen(store, &first, 40002, 8);
    must_be_told(store, store_flush(store));
    must_be_told(store, store_server_remove(store, &first));
    must_be_told(store, store_agent_remove(store, &first));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    char error[STORE_ERROR_SIZE] = "";
    if (length < INPUT_HEAD || length > 8192) {
        return 0;
    }
    if (good_length == 0) {
        make_good();
    }
    struct input input = {bytes + INPUT_HEAD, length - INPUT_HEAD, 0};
    if (bytes[0] & 1) {
        write_rows(input);
    } else {
        write_damaged(input, (size_t)(bytes[1] << 8 | bytes[2]) * CUT_BYTES);
    }
    struct store *store = store_open(folder, error);
    if (store) {
        use(store);
        store_close(store);
    } else {
        MUST(strstr(error, path) && !strchr(error, '\n'));
        MUST(memchr(error, '\0', sizeof error));
    }
    return 0;
}
