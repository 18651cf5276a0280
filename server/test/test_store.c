#include "server/store.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "server/test/syncs.h"
#include "server/test/temp.h"

static char error[STORE_ERROR_SIZE];

static struct store *opened(void)
{
    struct store *store = store_open(temp_dir, error);
    if (store == NULL) {
        fail_msg("%s", error);
    }
    return store;
}

static void refused(const char *words)
{
    error[0] = '\0';
    struct store *store = store_open(temp_dir, error);
    assert_null(store);
    assert_null(strchr(error, '\n'));
    assert_non_null(strstr(error, temp_dir));
    if (strstr(error, words) == NULL) {
        fail_msg("'%s' does not say '%s'", error, words);
    }
}

static const char *file(const char *name)
{
    static char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", temp_dir, name);
    return path;
}

static void change_by_hand(const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(file("orthrus.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static unsigned mode_of(const char *path)
{
    struct stat status;
    assert_int_equal(lstat(path, &status), 0);
    return status.st_mode & 07777;
}

static struct store_agent sample_agent(const char *name)
{
    struct store_agent agent = {.uuid = uuid_make(), .created_at = 11};
    (void)snprintf(agent.name, sizeof(agent.name), "%s", name);
    agent.updated_at = 11;
    return agent;
}

static void digest_of(uint8_t seed, uint8_t digest[STORE_DIGEST_SIZE])
{
    memset(digest, seed, STORE_DIGEST_SIZE);
}

static struct store_agent added(struct store *store, const char *name,
                                uint8_t seed)
{
    uint8_t digest[STORE_DIGEST_SIZE];
    struct store_agent agent = sample_agent(name);
    digest_of(seed, digest);
    assert_int_equal(store_agent_add(store, &agent, digest), STORE_OK);
    return agent;
}

static bool opens(struct store *store, uint8_t seed, int64_t now,
                  const struct uuid *whose)
{
    uint8_t digest[STORE_DIGEST_SIZE];
    struct store_agent found;
    digest_of(seed, digest);
    enum store_result result = store_key_find(store, digest, now, &found);
    assert_true(result == STORE_OK || result == STORE_NOT_FOUND);
    return result == STORE_OK && uuid_equal(&found.uuid, whose);
}

/* ---- files --------------------------------------------------------------- */

static void the_first_start_makes_private_files(void **state)
{
    (void)state;
    mode_t mask = umask(0);
    assert_int_equal(rmdir(temp_dir), 0);

    struct store *store = opened();
    struct store_agent agent = added(store, "a", 1);
    (void)agent;

    assert_int_equal(mode_of(temp_dir), 0700);
    assert_int_equal(mode_of(file("orthrus.db")), 0600);
    assert_int_equal(mode_of(file("orthrus.db-wal")), 0600);
    assert_int_equal(mode_of(file("orthrus.db-shm")), 0600);
    assert_true(store_readable(store));
    store_close(store);
    (void)umask(mask);
}

static void what_is_open_to_others_is_refused(void **state)
{
    (void)state;
    store_close(opened());

    assert_int_equal(chmod(temp_dir, 0750), 0);
    refused("open to group or others (mode 750); chmod go= it");
    assert_int_equal(chmod(temp_dir, 0700), 0);

    assert_int_equal(chmod(file("orthrus.db"), 0604), 0);
    refused("/orthrus.db is open to group or others (mode 604)");
    assert_int_equal(chmod(file("orthrus.db"), 0600), 0);
    store_close(opened());
}

static void what_belongs_to_another_user_is_refused(void **state)
{
    (void)state;
    store_close(opened());
    if (geteuid() != 0) {
        skip(); /* only root can give files away */
    }

    assert_int_equal(chown(file("orthrus.db"), 12345, 0), 0);
    refused("/orthrus.db belongs to user 12345, not to user 0");
    assert_int_equal(chown(file("orthrus.db"), 0, 0), 0);

    assert_int_equal(chown(temp_dir, 12345, 0), 0);
    refused("belongs to user 12345, not to user 0");
}

static void what_is_no_data_base_of_ours_is_refused(void **state)
{
    (void)state;
    const char *path = file("orthrus.db");
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(fd, "hello, this is some text\n", 25), 25);
    (void)close(fd);
    refused("/orthrus.db: ");

    sqlite3 *db = NULL;
    assert_int_equal(unlink(path), 0);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db, "CREATE TABLE other (x)", NULL, NULL, NULL),
        SQLITE_OK);
    (void)sqlite3_close(db);
    assert_int_equal(chmod(path, 0600), 0);
    refused("another program; move it away");

    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    refused("/orthrus.db is not a regular file");
    assert_int_equal(rmdir(path), 0);

    assert_int_equal(symlink("/dev/null", path), 0);
    refused("/orthrus.db is not a regular file");
}

static void a_newer_schema_is_refused_and_left_alone(void **state)
{
    (void)state;
    sqlite3 *db = NULL;
    store_close(opened());
    assert_int_equal(sqlite3_open(file("orthrus.db"), &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db, "PRAGMA user_version = 99", NULL, NULL, NULL),
        SQLITE_OK);
    (void)sqlite3_close(db);

    refused("schema 99 is newer than this orthrusd knows");
}

static void a_schema_with_a_damaged_number_is_refused(void **state)
{
    (void)state;
    store_close(opened());
    change_by_hand("PRAGMA user_version = -1");
    refused("the number of its schema is damaged");
}

static void a_start_that_was_killed_early_is_taken_up(void **state)
{
    (void)state;
    /* the file was made, the migrations did not run */
    int fd = open(file("orthrus.db"), O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    (void)close(fd);

    struct store *store = opened();
    struct store_agent agent = added(store, "a", 1);
    assert_true(opens(store, 1, 0, &agent.uuid));
    store_close(store);
}

static void two_servers_cannot_share_a_directory(void **state)
{
    (void)state;
    struct store *store = opened();

    refused("another orthrusd serves");

    store_close(store);
    store_close(opened());
}

static void a_directory_that_cannot_be_is_named(void **state)
{
    (void)state;
    char keep[sizeof(temp_dir)];
    memcpy(keep, temp_dir, sizeof(keep));
    (void)snprintf(temp_dir, sizeof(temp_dir), "%.40s/no/where", keep);
    refused("cannot make the data directory");
    (void)snprintf(temp_dir, sizeof(temp_dir), "%.40s/file", keep);
    (void)close(open(temp_dir, O_WRONLY | O_CREAT, 0600));
    refused("cannot open the data directory");
    memcpy(temp_dir, keep, sizeof(keep));
}

/* ---- agents -------------------------------------------------------------- */

static void an_agent_is_kept_whole_over_a_restart(void **state)
{
    (void)state;
    struct store *store = opened();
    struct store_agent agent = added(store, "web 1", 1);
    struct store_agent read;
    (void)snprintf(agent.name, sizeof(agent.name), "db.2");
    (void)snprintf(agent.hecate_tunnel_uuid, STORE_FIELD_SIZE, "t");
    (void)snprintf(agent.device_id, STORE_FIELD_SIZE, "d'; DROP TABLE agents");
    (void)snprintf(agent.resolved_address, STORE_FIELD_SIZE, "10.0.0.1");
    agent.external_proxy_port = 65535;
    agent.write_enabled = true;
    agent.updated_at = 22;

    assert_int_equal(store_agent_update(store, &agent), STORE_OK);
    store_close(store);
    store = opened();

    assert_int_equal(store_agent_get(store, &agent.uuid, &read), STORE_OK);
    assert_true(uuid_equal(&read.uuid, &agent.uuid));
    assert_string_equal(read.name, "db.2");
    assert_string_equal(read.hecate_tunnel_uuid, "t");
    assert_string_equal(read.device_id, "d'; DROP TABLE agents");
    assert_string_equal(read.resolved_address, "10.0.0.1");
    assert_int_equal(read.external_proxy_port, 65535);
    assert_true(read.write_enabled);
    assert_false(read.revoked);
    assert_int_equal(read.last_seen, 0);
    assert_int_equal(read.created_at, 11);
    assert_int_equal(read.updated_at, 22);
    store_close(store);
}

static void agents_are_listed_oldest_first(void **state)
{
    (void)state;
    struct store *store = opened();
    struct store_agent *agents = NULL;
    size_t count = 7;
    assert_int_equal(store_agents(store, &agents, &count), STORE_OK);
    assert_int_equal(count, 0);
    assert_null(agents);
    for (uint8_t i = 0; i < 50; ++i) {
        uint8_t digest[STORE_DIGEST_SIZE];
        struct store_agent agent = sample_agent("x");
        agent.created_at = 1000 - i;
        digest_of(i, digest);
        assert_int_equal(store_agent_add(store, &agent, digest), STORE_OK);
    }

    assert_int_equal(store_agents(store, &agents, &count), STORE_OK);

    assert_int_equal(count, 50);
    for (size_t i = 1; i < count; ++i) {
        assert_true(agents[i - 1].created_at < agents[i].created_at);
    }
    free(agents);
    store_close(store);
}

static void unknown_agents_are_told_apart_from_failures(void **state)
{
    (void)state;
    struct store *store = opened();
    struct store_agent agent = sample_agent("ghost");
    uint8_t digest[STORE_DIGEST_SIZE] = {0};

    assert_int_equal(store_agent_get(store, &agent.uuid, &agent),
                     STORE_NOT_FOUND);
    assert_int_equal(store_agent_update(store, &agent), STORE_NOT_FOUND);
    assert_int_equal(store_agent_remove(store, &agent.uuid), STORE_NOT_FOUND);
    assert_int_equal(store_key_revoke(store, &agent.uuid, 1), STORE_NOT_FOUND);
    assert_int_equal(store_key_rotate(store, &agent.uuid, digest, 1, 2),
                     STORE_NOT_FOUND);
    /* the transaction of the refused change is over: others work */
    (void)added(store, "b", 2);

    struct store_agent twin = added(store, "twin", 3);
    digest_of(4, digest);
    assert_int_equal(store_agent_add(store, &twin, digest), STORE_FAILED);
    assert_non_null(strstr(store_error(store), "UNIQUE"));
    assert_false(opens(store, 4, 0, &twin.uuid));
    store_close(store);
}

/* ---- keys ---------------------------------------------------------------- */

static void a_key_opens_its_own_agent_only(void **state)
{
    (void)state;
    struct store *store = opened();
    struct store_agent a = added(store, "a", 1);
    struct store_agent b = added(store, "b", 2);
    uint8_t digest[STORE_DIGEST_SIZE];
    struct store_agent found;

    assert_true(opens(store, 1, 0, &a.uuid));
    assert_true(opens(store, 2, 0, &b.uuid));
    assert_false(opens(store, 3, 0, &a.uuid));
    /* the id of a's digest, and another rest */
    digest_of(1, digest);
    digest[STORE_DIGEST_SIZE - 1] = 0;
    assert_int_equal(store_key_find(store, digest, 0, &found), STORE_NOT_FOUND);
    /* two keys may share an id */
    struct store_agent c = sample_agent("c");
    assert_int_equal(store_agent_add(store, &c, digest), STORE_OK);
    assert_int_equal(store_key_find(store, digest, 0, &found), STORE_OK);
    assert_memory_equal(&found, &c, sizeof c); /* all of it, not revoked */
    assert_true(opens(store, 1, 0, &a.uuid));
    store_close(store);
}

static void rotation_keeps_the_old_key_for_the_overlap(void **state)
{
    (void)state;
    struct store *store = opened();
    struct store_agent a = added(store, "a", 1);
    uint8_t digest[STORE_DIGEST_SIZE];

    digest_of(2, digest);
    assert_int_equal(store_key_rotate(store, &a.uuid, digest, 100, 200),
                     STORE_OK);

    assert_true(opens(store, 2, 100, &a.uuid));
    assert_true(opens(store, 2, INT64_MAX, &a.uuid));
    assert_true(opens(store, 1, 199, &a.uuid));
    assert_false(opens(store, 1, 200, &a.uuid));

    digest_of(3, digest);
    assert_int_equal(store_key_rotate(store, &a.uuid, digest, 150, 250),
                     STORE_OK);

    assert_false(
        opens(store, 1, 151, &a.uuid)); /* only the last one overlaps */
    assert_true(opens(store, 2, 249, &a.uuid));
    assert_false(opens(store, 2, 250, &a.uuid));
    assert_true(opens(store, 3, 250, &a.uuid));
    assert_int_equal(store_agent_get(store, &a.uuid, &a), STORE_OK);
    assert_int_equal(a.updated_at, 150);
    store_close(store);
}

static void revocation_and_removal_end_every_key(void **state)
{
    (void)state;
    struct store *store = opened();
    struct store_agent a = added(store, "a", 1);
    struct store_agent b = added(store, "b", 3);
    uint8_t digest[STORE_DIGEST_SIZE];
    digest_of(2, digest);
    assert_int_equal(store_key_rotate(store, &a.uuid, digest, 1, 100),
                     STORE_OK);

    assert_int_equal(store_key_revoke(store, &a.uuid, 5), STORE_OK);

    assert_false(opens(store, 1, 10, &a.uuid));
    assert_false(opens(store, 2, 10, &a.uuid));
    assert_int_equal(store_agent_get(store, &a.uuid, &a), STORE_OK);
    assert_true(a.revoked);
    assert_true(opens(store, 3, 10, &b.uuid));

    digest_of(4, digest);
    assert_int_equal(store_key_rotate(store, &a.uuid, digest, 6, 100),
                     STORE_OK);
    assert_true(opens(store, 4, 10, &a.uuid));
    assert_int_equal(store_agent_get(store, &a.uuid, &a), STORE_OK);
    assert_false(a.revoked);

    assert_int_equal(store_agent_remove(store, &a.uuid), STORE_OK);
    assert_false(opens(store, 4, 10, &a.uuid));
    assert_int_equal(store_agent_get(store, &a.uuid, &a), STORE_NOT_FOUND);
    store_close(store);
}

static void no_file_holds_more_of_a_key_than_its_digest(void **state)
{
    (void)state;
    /* what is dropped is overwritten, so a backup does not bring it back */
    struct store *store = opened();
    struct store_agent a = added(store, "a", 0xa7);
    assert_int_equal(store_key_revoke(store, &a.uuid, 5), STORE_OK);
    store_close(store); /* the log is merged and gone */

    FILE *in = fopen(file("orthrus.db"), "rb");
    assert_non_null(in);
    int run = 0;
    for (int c = getc(in); c != EOF; c = getc(in)) {
        run = c == 0xa7 ? run + 1 : 0;
        assert_true(run < 8);
    }
    (void)fclose(in);
}

/* ---- remote servers ------------------------------------------------------ */

static void servers_are_kept_changed_and_removed(void **state)
{
    (void)state;
    struct store *store = opened();
    struct store_server server = {.uuid = uuid_make(),
                                  .port = 2375,
                                  .connection_type = STORE_DIRECT,
                                  .created_at = 5,
                                  .updated_at = 5};
    struct store_server read;
    struct store_server *all = NULL;
    size_t count = 0;
    (void)snprintf(server.name, sizeof(server.name), "lab");
    (void)snprintf(server.host, sizeof(server.host), "lab.example");

    assert_int_equal(store_server_add(store, &server), STORE_OK);
    assert_int_equal(store_server_get(store, &server.uuid, &read), STORE_OK);
    assert_int_equal(read.connection_type, STORE_DIRECT);
    assert_string_equal(read.host, "lab.example");
    assert_int_equal(read.port, 2375);
    assert_false(read.has_agent);

    server.connection_type = STORE_ORTHRUS;
    server.has_agent = true;
    server.agent = uuid_make();
    server.updated_at = 6;
    assert_int_equal(store_server_update(store, &server), STORE_OK);
    store_close(store);
    store = opened();
    assert_int_equal(store_servers(store, &all, &count), STORE_OK);
    assert_int_equal(count, 1);
    assert_int_equal(all[0].connection_type, STORE_ORTHRUS);
    assert_true(all[0].has_agent);
    assert_true(uuid_equal(&all[0].agent, &server.agent));
    assert_int_equal(all[0].created_at, 5);
    assert_int_equal(all[0].updated_at, 6);
    free(all);

    assert_int_equal(store_server_remove(store, &server.uuid), STORE_OK);
    assert_int_equal(store_server_remove(store, &server.uuid), STORE_NOT_FOUND);
    assert_int_equal(store_server_update(store, &server), STORE_NOT_FOUND);
    assert_int_equal(store_server_get(store, &server.uuid, &read),
                     STORE_NOT_FOUND);
    assert_int_equal(store_servers(store, &all, &count), STORE_OK);
    assert_int_equal(count, 0);
    store_close(store);
}

/* ---- sessions and ports -------------------------------------------------- */

static void ports_and_last_seen_survive_a_restart(void **state)
{
    (void)state;
    struct store *store = opened();
    struct store_agent a = added(store, "a", 1);
    struct store_agent b = added(store, "b", 2);
    struct store_port *ports = NULL;
    size_t count = 0;

    store_seen(store, &a.uuid, 40001, 100);
    store_seen(store, &b.uuid, 40002, 110);
    store_seen(store, &b.uuid, 0, 120); /* no listener that time */
    store_seen(store, &a.uuid, 40001, 130);
    assert_int_equal(store_agent_read(store, &b.uuid, &b), STORE_OK);
    assert_int_equal(b.last_seen, 0); /* a look-up writes nothing (P-07) */
    assert_int_equal(store_agent_get(store, &b.uuid, &b), STORE_OK);
    assert_int_equal(b.last_seen, 120);
    store_seen(store, &a.uuid, 0, 90); /* late news does not turn time back */
    store_close(store);
    store = opened();

    assert_int_equal(store_agent_get(store, &a.uuid, &a), STORE_OK);
    assert_int_equal(a.last_seen, 130);
    assert_int_equal(store_ports(store, 0, &ports, &count), STORE_OK);
    assert_int_equal(count, 2);
    assert_int_equal(ports[0].port, 40002);
    assert_int_equal(ports[0].used_at, 110);
    assert_true(uuid_equal(&ports[0].agent, &b.uuid));
    assert_int_equal(ports[1].port, 40001);
    assert_int_equal(ports[1].used_at, 130);
    free(ports);
    assert_int_equal(store_ports(store, 111, &ports, &count), STORE_OK);
    assert_int_equal(count, 1);
    free(ports);
    store_close(store);
}

static void a_port_outlives_its_agent(void **state)
{
    (void)state;
    struct store *store = opened();
    struct store_agent a = added(store, "a", 1);
    struct store_port *ports = NULL;
    size_t count = 0;
    store_seen(store, &a.uuid, 40001, 100);
    assert_int_equal(store_agent_remove(store, &a.uuid), STORE_OK);

    assert_int_equal(store_ports(store, 0, &ports, &count), STORE_OK);

    assert_int_equal(count, 1);
    assert_true(uuid_equal(&ports[0].agent, &a.uuid));
    free(ports);
    store_close(store);
}

/* Written by another hand: nothing of it may be taken for what it is not, and
 * port 0 would break a contract at the next start. */
static void damaged_rows_are_left_out_and_said_to_be(void **state)
{
    static const char *const damage[] = {
        "UPDATE agents SET name = 'a' || char(0) || 'b'",
        "UPDATE agents SET name = CAST(x'61ff' AS TEXT)",
        "UPDATE agents SET name = CAST(x'c3' AS TEXT)",
        "UPDATE agents SET device_id = CAST(x'eda080' AS TEXT)",
        "UPDATE agents SET name = hex(zeroblob(40))",
        "UPDATE agents SET external_proxy_port = 65536",
        "UPDATE agents SET external_proxy_port = -1",
    };
    struct store_agent agent = sample_agent("web-01");
    struct store_agent found;
    struct store_agent *agents;
    struct store_port *ports;
    uint8_t digest[STORE_DIGEST_SIZE];
    size_t count;
    (void)state;
    digest_of(1, digest);
    for (size_t i = 0; i < sizeof(damage) / sizeof(damage[0]); ++i) {
        struct store *store = opened();
        assert_int_equal(store_agent_add(store, &agent, digest), STORE_OK);
        change_by_hand(damage[i]);
        assert_int_equal(store_agents(store, &agents, &count), STORE_OK);
        assert_int_equal(count, 0);
        assert_int_equal(store_agent_get(store, &agent.uuid, &found),
                         STORE_FAILED);
        assert_non_null(strstr(store_error(store), "the row is damaged"));
        assert_int_equal(store_key_find(store, digest, 0, &found),
                         STORE_FAILED);
        assert_non_null(strstr(store_error(store), "the row is damaged"));
        assert_int_equal(store_agent_remove(store, &agent.uuid), STORE_OK);
        store_close(store);
    }
    change_by_hand("INSERT INTO ports SELECT value, "
                   "'11111111-2222-4333-8444-555555555555', 1 "
                   "FROM json_each('[-1, 0, 1, 65535, 65536, 65537]')");
    struct store *store = opened();
    assert_int_equal(store_ports(store, 0, &ports, &count), STORE_OK);
    assert_int_equal(count, 2);
    assert_int_equal(ports[0].port + ports[1].port, 65536);
    free(ports);
    store_close(store);
}

static void a_storm_of_sessions_is_written_in_batches(void **state)
{
    (void)state;
    struct store *store = opened();
    struct store_agent a = added(store, "a", 1);
    struct store_port *ports = NULL;
    size_t count = 0;

    for (unsigned i = 0; i < 3000; ++i) {
        store_seen(store, &a.uuid, (uint16_t)(40000 + i), 100 + i);
    }
    assert_int_equal(store_flush(store), STORE_OK);

    assert_int_equal(store_ports(store, 0, &ports, &count), STORE_OK);
    assert_int_equal(count, 3000);
    free(ports);
    assert_int_equal(store_agent_get(store, &a.uuid, &a), STORE_OK);
    assert_int_equal(a.last_seen, 3099);
    store_close(store);
}

/* ---- kill -9 ------------------------------------------------------------- */

struct deed { /* what the child has been told is done */
    struct uuid agent;
    uint8_t seed;
    uint8_t kind; /* 0: added, 1: rotated, 2: revoked, 3: removed */
};

static void child_works(int out)
{
    struct store *store = store_open(temp_dir, error);
    if (store == NULL) {
        _exit(1);
    }
    for (unsigned i = 0; i < 10000; ++i) {
        uint8_t digest[STORE_DIGEST_SIZE] = {(uint8_t)(i >> 8)};
        struct store_agent agent = sample_agent("child");
        struct deed deed = {agent.uuid, (uint8_t)i, (uint8_t)(i & 3)};
        memset(digest + 1, (uint8_t)i, sizeof(digest) - 1);
        memcpy(digest + 8, agent.uuid.bytes, UUID_SIZE);
        enum store_result result = store_agent_add(store, &agent, digest);
        if (result == STORE_OK && deed.kind == 1) {
            digest[0] ^= 0x80;
            result = store_key_rotate(store, &agent.uuid, digest, 1, 2);
        } else if (result == STORE_OK && deed.kind == 2) {
            result = store_key_revoke(store, &agent.uuid, 1);
        } else if (result == STORE_OK && deed.kind == 3) {
            result = store_agent_remove(store, &agent.uuid);
        }
        if (result != STORE_OK ||
            write(out, &deed, sizeof(deed)) != (ssize_t)sizeof(deed)) {
            _exit(1);
        }
    }
    _exit(0);
}

static void deed_is_done(struct store *store, const struct deed *deed)
{
    struct store_agent agent;
    enum store_result result = store_agent_get(store, &deed->agent, &agent);
    if (deed->kind == 3) {
        assert_int_equal(result, STORE_NOT_FOUND);
        return;
    }
    assert_int_equal(result, STORE_OK);
    assert_int_equal(agent.revoked, deed->kind == 2);
    assert_int_equal(agent.updated_at, deed->kind == 0 ? 11 : 1);
}

static void database_is_sound(void)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_open(file("orthrus.db"), &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &statement, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(statement, 0), "ok");
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
}

static void kill_9_loses_nothing_that_was_acknowledged(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 8; ++round) {
        int ends[2];
        struct deed deeds[256];
        size_t count = 0;
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            child_works(ends[1]);
        }
        (void)close(ends[1]);
        /* a different number of deeds each round: not always the same point */
        while (count < 1 + round * 31 &&
               read(ends[0], &deeds[count], sizeof(deeds[0])) ==
                   (ssize_t)sizeof(deeds[0])) {
            ++count;
        }
        assert_int_equal(kill(child, SIGKILL), 0);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        while (count < 256 && read(ends[0], &deeds[count], sizeof(deeds[0])) ==
                                  (ssize_t)sizeof(deeds[0])) {
            ++count;
        }
        (void)close(ends[0]);

        struct store *store = opened();
        for (size_t i = 0; i < count; ++i) {
            deed_is_done(store, &deeds[i]);
        }
        store_close(store);
        database_is_sound();
    }
}

static void a_change_waits_for_the_disc_and_a_sighting_does_not(void **state)
{
    (void)state;
    syncs_count();
    struct store *store = opened();
    struct store_agent a = added(store, "a", 1); /* the log's first sync */

    for (uint8_t i = 2; i < 6; ++i) {
        syncs = 0;
        (void)added(store, "b", i);
        assert_int_equal(syncs, 1);

        syncs = 0;
        store_seen(store, &a.uuid, i, i);
        assert_int_equal(store_flush(store), STORE_OK);
        assert_int_equal(syncs, 0);
    }
    store_close(store);
    syncs_uncount();
}

#define TEST(id, test) REQ_WITH(id, test, temp_make, temp_drop)

static const struct CMUnitTest tests[] = {
    TEST("K-03,X29,U-01", the_first_start_makes_private_files),
    TEST("K-03,X29", what_is_open_to_others_is_refused),
    TEST("K-03,X29", what_belongs_to_another_user_is_refused),
    TEST("K-03", what_is_no_data_base_of_ours_is_refused),
    TEST("K-03", a_newer_schema_is_refused_and_left_alone),
    TEST("K-03", a_schema_with_a_damaged_number_is_refused),
    TEST("K-03", a_start_that_was_killed_early_is_taken_up),
    TEST("K-03", two_servers_cannot_share_a_directory),
    TEST("K-03,U-01", a_directory_that_cannot_be_is_named),
    TEST("K-03", an_agent_is_kept_whole_over_a_restart),
    TEST("K-03", agents_are_listed_oldest_first),
    TEST("K-03", unknown_agents_are_told_apart_from_failures),
    TEST("K-02", a_key_opens_its_own_agent_only),
    TEST("H-04", rotation_keeps_the_old_key_for_the_overlap),
    TEST("H-02,X5", revocation_and_removal_end_every_key),
    TEST("K-03,X29", no_file_holds_more_of_a_key_than_its_digest),
    TEST("H-05,K-03", servers_are_kept_changed_and_removed),
    TEST("L-10,K-03", ports_and_last_seen_survive_a_restart),
    TEST("L-10", a_port_outlives_its_agent),
    TEST("K-03,L-10", damaged_rows_are_left_out_and_said_to_be),
    TEST("P-07", a_storm_of_sessions_is_written_in_batches),
    TEST("K-03", kill_9_loses_nothing_that_was_acknowledged),
    TEST("K-03", a_change_waits_for_the_disc_and_a_sighting_does_not),
};
RUN(tests)
