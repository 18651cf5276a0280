#include "server/auth.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>

#include "server/test/temp.h"

static struct store *store;
static struct auth auth;
static char error[AUTH_ERROR_SIZE];

static int start(void **state)
{
    if (temp_make(state) != 0) {
        return -1;
    }
    store = store_open(temp_dir, error);
    return store != NULL && auth_open(&auth, store, temp_dir, error) ? 0 : -1;
}

static int stop(void **state)
{
    store_close(store);
    store = NULL;
    return temp_drop(state);
}

static const char *token_path(void)
{
    static char path[128];
    (void)snprintf(path, sizeof(path), "%s/admin.token", temp_dir);
    return path;
}

static void read_token(char line[300])
{
    FILE *in = fopen(token_path(), "r");
    assert_non_null(in);
    assert_non_null(fgets(line, 300, in));
    assert_int_equal(getc(in), EOF);
    (void)fclose(in);
}

static void write_token(const char *text)
{
    int fd = open(token_path(), O_WRONLY | O_TRUNC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    (void)close(fd);
}

/* An agent with a new key; header is "Bearer KEY". */
static struct uuid agent_with_key(char header[128])
{
    char key[AUTH_KEY_SIZE];
    uint8_t digest[STORE_DIGEST_SIZE];
    struct store_agent agent = {.uuid = uuid_make()};
    auth_make_key(key, digest);
    assert_int_equal(store_agent_add(store, &agent, digest), STORE_OK);
    (void)snprintf(header, 128, "Bearer %s", key);
    return agent.uuid;
}

/* ---- agents -------------------------------------------------------------- */

static void a_key_is_prefix_and_64_random_hex_digits(void **state)
{
    (void)state;
    char key[AUTH_KEY_SIZE];
    char other[AUTH_KEY_SIZE];
    uint8_t digest[STORE_DIGEST_SIZE];
    uint8_t another[STORE_DIGEST_SIZE];

    auth_make_key(key, digest);
    auth_make_key(other, another);

    assert_int_equal(strlen(key), 75);
    assert_memory_equal(key, "ch_orthrus_", 11);
    assert_int_equal(strspn(key + 11, "0123456789abcdef"), 64);
    assert_string_not_equal(key, other);
    assert_memory_not_equal(digest, another, sizeof(digest));
}

static void a_good_key_names_its_agent(void **state)
{
    (void)state;
    char header[128];
    char other_header[128];
    struct store_agent found;
    struct uuid agent = agent_with_key(header);
    struct uuid other = agent_with_key(other_header);

    assert_int_equal(auth_agent(&auth, header, 1, &found), AUTH_OK);
    assert_true(uuid_equal(&found.uuid, &agent));
    assert_int_equal(auth_agent(&auth, other_header, 1, &found), AUTH_OK);
    assert_true(uuid_equal(&found.uuid, &other));
    assert_int_equal(auth.agent_results[AUTH_OK], 2);
}

static void what_is_no_key_is_malformed(void **state)
{
    (void)state;
    char good[128];
    struct store_agent found;
    (void)agent_with_key(good);
    char wrong[10][160];
    const char *key = good + 7;
    (void)snprintf(wrong[0], 160, "bearer %s", key);
    (void)snprintf(wrong[1], 160, "Bearer  %s", key);
    (void)snprintf(wrong[2], 160, "Bearer %s ", key);
    (void)snprintf(wrong[3], 160, "Bearer ");
    (void)snprintf(wrong[4], 160, "%s", key);
    (void)snprintf(wrong[5], 160, "Basic %s", key);
    (void)snprintf(wrong[6], 160, "Bearer %.74s", key);
    (void)snprintf(wrong[7], 160, "Bearer %sa", key);
    (void)snprintf(wrong[8], 160, "Bearer %.74sG", key);
    (void)snprintf(wrong[9], 160, "Bearer Ch_orthrus_%s", key + 11);

    for (size_t i = 0; i < 10; ++i) {
        assert_int_equal(auth_agent(&auth, wrong[i], 1, &found),
                         AUTH_MALFORMED);
    }
    assert_int_equal(auth_agent(&auth, NULL, 1, &found), AUTH_MALFORMED);
    assert_int_equal(auth_agent(&auth, "", 1, &found), AUTH_MALFORMED);
    assert_int_equal(auth.agent_results[AUTH_MALFORMED], 12);
}

static void every_digit_of_a_key_counts(void **state)
{
    (void)state;
    char header[128];
    struct store_agent found;
    (void)agent_with_key(header);
    for (size_t i = 7 + 11; i < 7 + 75; ++i) {
        char kept = header[i];
        header[i] = kept == '0' ? '1' : '0';
        assert_int_equal(auth_agent(&auth, header, 1, &found), AUTH_UNKNOWN);
        header[i] = kept;
    }
    assert_int_equal(auth_agent(&auth, header, 1, &found), AUTH_OK);
}

static void revoked_and_expired_keys_are_unknown(void **state)
{
    (void)state;
    char header[128];
    char key[AUTH_KEY_SIZE];
    uint8_t digest[STORE_DIGEST_SIZE];
    struct store_agent found;
    struct uuid agent = agent_with_key(header);
    auth_make_key(key, digest);

    assert_int_equal(store_key_rotate(store, &agent, digest, 10, 20), STORE_OK);
    assert_int_equal(auth_agent(&auth, header, 19, &found), AUTH_OK);
    assert_int_equal(auth_agent(&auth, header, 20, &found), AUTH_UNKNOWN);
    assert_int_equal(store_key_revoke(store, &agent, 30), STORE_OK);
    assert_int_equal(auth_agent(&auth, header, 19, &found), AUTH_UNKNOWN);
}

/* SQLite tells every new connection to the test, which counts its work. */
static sqlite3 *watched;

static int watch(sqlite3 *db, char **message,
                 const struct sqlite3_api_routines *routines)
{
    (void)message;
    (void)routines;
    watched = db;
    return SQLITE_OK;
}

static int work_of_one_check(const char *header)
{
    struct store_agent found;
    int steps = 0;
    for (sqlite3_stmt *statement = sqlite3_next_stmt(watched, NULL);
         statement != NULL; statement = sqlite3_next_stmt(watched, statement)) {
        (void)sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_VM_STEP, 1);
    }
    assert_int_equal(auth_agent(&auth, header, 1, &found), AUTH_UNKNOWN);
    for (sqlite3_stmt *statement = sqlite3_next_stmt(watched, NULL);
         statement != NULL; statement = sqlite3_next_stmt(watched, statement)) {
        steps += sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_VM_STEP, 1);
    }
    return steps;
}

static void a_check_costs_the_same_however_many_agents_there_are(void **state)
{
    (void)state;
    char header[128];
    char unknown[128];
    char key[AUTH_KEY_SIZE];
    uint8_t digest[STORE_DIGEST_SIZE];
    auth_make_key(key, digest);
    (void)snprintf(unknown, sizeof(unknown), "Bearer %s", key);
    store_close(store);
    assert_int_equal(sqlite3_auto_extension((void (*)(void))watch), SQLITE_OK);
    store = store_open(temp_dir, error);
    sqlite3_reset_auto_extension();
    assert_true(auth_open(&auth, store, temp_dir, error));
    assert_non_null(watched);

    (void)agent_with_key(header);
    int with_one = work_of_one_check(unknown);
    for (unsigned i = 0; i < 300; ++i) {
        (void)agent_with_key(header);
    }

    assert_true(with_one > 0);
    assert_int_equal(work_of_one_check(unknown), with_one);
}

/* ---- admin --------------------------------------------------------------- */

static void the_first_start_makes_a_private_token_of_one_line(void **state)
{
    (void)state;
    struct stat status;
    char line[300];
    char header[320];

    read_token(line);

    assert_int_equal(stat(token_path(), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(strlen(line), 65);
    assert_int_equal(strspn(line, "0123456789abcdef"), 64);
    line[64] = '\0';
    (void)snprintf(header, sizeof(header), "Bearer %s", line);
    assert_int_equal(auth_admin(&auth, header), AUTH_OK);
    /* and the next start keeps it */
    assert_true(auth_open(&auth, store, temp_dir, error));
    assert_int_equal(auth_admin(&auth, header), AUTH_OK);
}

static void only_the_token_opens_management(void **state)
{
    (void)state;
    char line[300];
    char header[320];
    char agent_header[128];
    struct store_agent found;
    (void)agent_with_key(agent_header);
    read_token(line);
    line[64] = '\0';

    (void)snprintf(header, sizeof(header), "Bearer %s", line);
    assert_int_equal(auth_agent(&auth, header, 1, &found), AUTH_MALFORMED);
    assert_int_equal(auth_admin(&auth, agent_header), AUTH_UNKNOWN);
    assert_int_equal(auth_admin(&auth, NULL), AUTH_MALFORMED);
    assert_int_equal(auth_admin(&auth, ""), AUTH_MALFORMED);
    assert_int_equal(auth_admin(&auth, line), AUTH_MALFORMED);
    assert_int_equal(auth_admin(&auth, "Bearer "), AUTH_UNKNOWN);
    (void)snprintf(header, sizeof(header), "bearer %s", line);
    assert_int_equal(auth_admin(&auth, header), AUTH_MALFORMED);
    (void)snprintf(header, sizeof(header), "Bearer %sx", line);
    assert_int_equal(auth_admin(&auth, header), AUTH_UNKNOWN);
    (void)snprintf(header, sizeof(header), "Bearer %.63s", line);
    assert_int_equal(auth_admin(&auth, header), AUTH_UNKNOWN);
    assert_int_equal(auth.admin_failures, 8);
}

static void an_operators_own_token_is_taken(void **state)
{
    (void)state;
    write_token("0123456789-abcdefghij-KLMNOPQRST_xyz");
    assert_true(auth_open(&auth, store, temp_dir, error));
    assert_int_equal(
        auth_admin(&auth, "Bearer 0123456789-abcdefghij-KLMNOPQRST_xyz"),
        AUTH_OK);
}

static void a_useless_token_file_is_refused(void **state)
{
    (void)state;
    static const char two_lines[] =
        "0123456789012345678901234567890123456789\n"
        "0123456789012345678901234567890123456789\n";
    static const char *const wrong[] = {
        "", "\n", "short\n", "0123456789 0123456789 0123456789 012\n",
        two_lines};
    char long_one[257];
    memset(long_one, 'x', 256);
    long_one[256] = '\0';
    for (size_t i = 0; i < 5; ++i) {
        write_token(wrong[i]);
        assert_false(auth_open(&auth, store, temp_dir, error));
        assert_non_null(strstr(error, token_path()));
        assert_non_null(strstr(error, "remove it"));
    }
    write_token(long_one);
    assert_false(auth_open(&auth, store, temp_dir, error));
    write_token(long_one + 1);
    assert_true(auth_open(&auth, store, temp_dir, error));

    assert_int_equal(chmod(token_path(), 0640), 0);
    assert_false(auth_open(&auth, store, temp_dir, error));
    assert_non_null(strstr(error, "open to group or others"));
}

#define TEST(id, test) REQ_WITH(id, test, start, stop)

static const struct CMUnitTest tests[] = {
    TEST("K-01", a_key_is_prefix_and_64_random_hex_digits),
    TEST("K-02,AC-16", a_good_key_names_its_agent),
    TEST("AC-16,X2", what_is_no_key_is_malformed),
    TEST("K-02,AC-16", every_digit_of_a_key_counts),
    TEST("K-02,H-04,X5", revoked_and_expired_keys_are_unknown),
    TEST("K-02,X1", a_check_costs_the_same_however_many_agents_there_are),
    TEST("U-01,X29", the_first_start_makes_a_private_token_of_one_line),
    TEST("H-06", only_the_token_opens_management),
    TEST("U-01", an_operators_own_token_is_taken),
    TEST("U-01,X29", a_useless_token_file_is_refused),
};
RUN(tests)
