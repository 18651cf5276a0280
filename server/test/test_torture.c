/* The store and the keys when there is no memory: each allocation of each of
 * the store's operations fails once, and all fail from it on. What it says must
 * be what it did. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "net/sys.h"
#include "server/auth.h"
#include "server/store.h"
#include "server/test/syncs.h"
#include "server/test/temp.h"

static struct store *store;
static struct store_agent agent;
static struct store_server server;
static unsigned points;

static void digest_of(uint8_t seed, uint8_t digest[STORE_DIGEST_SIZE])
{
    memset(digest, seed, STORE_DIGEST_SIZE);
}

static bool opens(uint8_t seed)
{
    uint8_t digest[STORE_DIGEST_SIZE];
    struct store_agent found;
    digest_of(seed, digest);
    return store_key_find(store, digest, 50, &found) == STORE_OK &&
           uuid_equal(&found.uuid, &agent.uuid);
}

/* ---- operations ---------------------------------------------------------- */

struct operation {
    const char *name;
    enum store_result (*act)(void);
    bool (*is_done)(void); /* by now; NULL: act() looks by itself */
};

static enum store_result add_agent(void)
{
    uint8_t digest[STORE_DIGEST_SIZE];
    struct store_agent other = {.uuid = agent.uuid};
    digest_of(9, digest);
    other.uuid.bytes[0] ^= 1;
    return store_agent_add(store, &other, digest);
}

static bool has_other_agent(void)
{
    struct store_agent found;
    struct uuid uuid = agent.uuid;
    uint8_t digest[STORE_DIGEST_SIZE];
    bool has_agent, has_key;
    digest_of(9, digest);
    uuid.bytes[0] ^= 1;
    has_agent = store_agent_get(store, &uuid, &found) == STORE_OK;
    has_key = store_key_find(store, digest, 50, &found) == STORE_OK;
    assert_int_equal(has_agent, has_key); /* all or nothing */
    return has_agent;
}

static enum store_result update_agent(void)
{
    struct store_agent changed = agent;
    (void)snprintf(changed.name, sizeof changed.name, "changed");
    return store_agent_update(store, &changed);
}

static bool is_agent_updated(void)
{
    struct store_agent found;
    assert_int_equal(store_agent_get(store, &agent.uuid, &found), STORE_OK);
    return strcmp(found.name, "changed") == 0;
}

static enum store_result remove_agent(void)
{
    return store_agent_remove(store, &agent.uuid);
}

static bool is_agent_removed(void)
{
    struct store_agent found;
    return store_agent_get(store, &agent.uuid, &found) == STORE_NOT_FOUND;
}

static enum store_result rotate_key(void)
{
    uint8_t digest[STORE_DIGEST_SIZE];
    digest_of(2, digest);
    return store_key_rotate(store, &agent.uuid, digest, 20, 0);
}

static bool is_key_rotated(void)
{
    return opens(2);
}

static enum store_result revoke_key(void)
{
    return store_key_revoke(store, &agent.uuid, 20);
}

static bool is_key_revoked(void)
{
    return !opens(1);
}

static enum store_result update_server(void)
{
    struct store_server changed = server;
    (void)snprintf(changed.host, sizeof changed.host, "changed");
    return store_server_update(store, &changed);
}

static bool is_server_updated(void)
{
    struct store_server found;
    assert_int_equal(store_server_get(store, &server.uuid, &found), STORE_OK);
    return strcmp(found.host, "changed") == 0;
}

static enum store_result remove_server(void)
{
    return store_server_remove(store, &server.uuid);
}

static bool is_server_removed(void)
{
    struct store_server found;
    return store_server_get(store, &server.uuid, &found) == STORE_NOT_FOUND;
}

static enum store_result write_seen(void)
{
    store_seen(store, &agent.uuid, 40000, 30);
    return store_flush(store);
}

static bool is_seen(void)
{
    struct store_port *ports;
    struct store_agent found;
    size_t count = 0;
    assert_int_equal(store_ports(store, 0, &ports, &count), STORE_OK);
    free(ports);
    assert_int_equal(store_agent_get(store, &agent.uuid, &found), STORE_OK);
    assert_int_equal(found.last_seen == 30, count == 1);
    return count == 1;
}

static enum store_result list_agents(void)
{
    struct store_agent *agents = NULL;
    size_t count = 0;
    enum store_result result = store_agents(store, &agents, &count);
    if (result == STORE_OK) {
        assert_int_equal(count, 1);
        assert_memory_equal(&agents[0], &agent, sizeof agent);
    }
    free(agents);
    return result;
}

static enum store_result list_servers(void)
{
    struct store_server *servers = NULL;
    size_t count = 0;
    enum store_result result = store_servers(store, &servers, &count);
    if (result == STORE_OK) {
        assert_int_equal(count, 1);
        assert_string_equal(servers[0].host, server.host);
        assert_true(servers[0].has_agent);
    }
    free(servers);
    return result;
}

static enum store_result get_agent(void)
{
    struct store_agent found;
    enum store_result result = store_agent_get(store, &agent.uuid, &found);
    if (result == STORE_OK) {
        assert_memory_equal(&found, &agent, sizeof agent);
    }
    return result;
}

static enum store_result get_server(void)
{
    struct store_server found;
    enum store_result result = store_server_get(store, &server.uuid, &found);
    if (result == STORE_OK) {
        assert_string_equal(found.name, server.name);
        assert_string_equal(found.host, server.host);
        assert_int_equal(found.connection_type, STORE_ORTHRUS);
        assert_true(found.has_agent);
    }
    return result;
}

static enum store_result find_key(void)
{
    uint8_t digest[STORE_DIGEST_SIZE];
    struct store_agent found;
    digest_of(1, digest);
    return store_key_find(store, digest, 50, &found);
}

static const struct operation operations[] = {
    {"add agent", add_agent, has_other_agent},
    {"update agent", update_agent, is_agent_updated},
    {"remove agent", remove_agent, is_agent_removed},
    {"rotate key", rotate_key, is_key_rotated},
    {"revoke key", revoke_key, is_key_revoked},
    {"update server", update_server, is_server_updated},
    {"remove server", remove_server, is_server_removed},
    {"write seen", write_seen, is_seen},
    {"list agents", list_agents, NULL},
    {"list servers", list_servers, NULL},
    {"get agent", get_agent, NULL},
    {"get server", get_server, NULL},
    {"find key", find_key, NULL},
};

/* ---- failing ------------------------------------------------------------- */

static void open_store(void)
{
    char error[STORE_ERROR_SIZE];
    uint8_t digest[STORE_DIGEST_SIZE];

    store = store_open(temp_dir, error);
    assert_non_null(store);
    agent = (struct store_agent){.uuid = uuid_make(), .name = "a name"};
    memset(agent.device_id, 'd', sizeof agent.device_id - 1);
    digest_of(1, digest);
    assert_int_equal(store_agent_add(store, &agent, digest), STORE_OK);
    server = (struct store_server){.uuid = uuid_make(),
                                   .name = "a server",
                                   .host = "host.example",
                                   .connection_type = STORE_ORTHRUS,
                                   .has_agent = true,
                                   .agent = agent.uuid};
    assert_int_equal(store_server_add(store, &server), STORE_OK);
}

/* A new store, and none of it left of the one before. */
static void renew_store(void)
{
    store_close(store);
    assert_int_equal(temp_drop(NULL), 0);
    assert_int_equal(temp_make(NULL), 0);
    open_store();
}

/* Acts while allocations fail. True: one was hit; *result is what it said. */
static bool act_failing(enum store_result (*act)(void), enum sys_call call,
                        unsigned skip, unsigned times,
                        enum store_result *result)
{
    struct sys_fault fault = {
        .call = call, .error = ENOMEM, .skip = skip, .times = times};
    bool hit;

    assert_true(skip < 10000);
    sys_fault_set(&fault);
    *result = act();
    hit = sys_fault_hits() > 0;
    sys_fault_set(NULL);
    return hit;
}

static void fail_operation(const struct operation *operation,
                           enum sys_call call, unsigned times)
{
    bool hit = true;

    for (unsigned skip = 0; hit; skip++) {
        enum store_result result;

        hit = act_failing(operation->act, call, skip, times, &result);
        points += hit;
        if (result == STORE_NOT_FOUND || (!hit && result != STORE_OK)) {
            fail_msg("%s, allocation %u: %d", operation->name, skip, result);
        }
        if (operation->is_done != NULL &&
            operation->is_done() != (result == STORE_OK)) {
            fail_msg("%s, allocation %u: says %d, and it is not so",
                     operation->name, skip, result);
        }
        if (operation->is_done != NULL && result == STORE_OK) {
            renew_store();
        }
    }
}

static void what_the_store_says_it_did_it_did(void **state)
{
    (void)state;
    open_store();
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        fail_operation(&operations[i], SYS_CALL_malloc, 1);
        fail_operation(&operations[i], SYS_CALL_malloc, UINT_MAX);
        fail_operation(&operations[i], SYS_CALL_library_malloc, 1);
        fail_operation(&operations[i], SYS_CALL_library_malloc, UINT_MAX);
    }
    store_close(store);
    assert_true(points > 0);
    print_message("# torture {\"tier\": \"store\", \"points\": %u}\n", points);
}

/* Sightings do not wait for the disc. What is done next does, whatever there
 * was no memory for meanwhile: even to say that it is to wait again. */
static void a_change_waits_for_the_disc_after_a_lost_sighting(void **state)
{
    bool hit = true;

    (void)state;
    syncs_count();
    open_store();
    for (unsigned skip = 0; hit; skip++) {
        enum store_result result;

        hit =
            act_failing(write_seen, SYS_CALL_library_malloc, skip, 1, &result);
        syncs = 0;
        agent.updated_at++;
        assert_int_equal(store_agent_update(store, &agent), STORE_OK);
        if (syncs == 0) {
            fail_msg("allocation %u: a change does not wait", skip);
        }
    }
    store_close(store);
    syncs_uncount();
}

/* A digest that could not be made must not be taken for one: neither of the
 * admin's token, nor of a new key. */
static void no_memory_opens_nothing(void **state)
{
    struct sys_fault fault = {
        .call = SYS_CALL_library_malloc, .error = ENOMEM, .times = UINT_MAX};
    struct auth auth = {0};
    uint8_t stored[STORE_DIGEST_SIZE];
    char error[AUTH_ERROR_SIZE];
    char key[AUTH_KEY_SIZE];
    char header[128];

    (void)state;
    open_store();
    assert_true(auth_open(&auth, store, temp_dir, error));
    assert_true(auth_make_key(key, stored)); /* what is made once, is made */
    (void)snprintf(header, sizeof header, "Bearer %s", key);

    sys_fault_set(&fault);
    assert_false(auth_make_key(key, stored));
    assert_int_equal(auth_admin(&auth, header), AUTH_BUSY);
    assert_int_equal(auth_agent(&auth, header, 50, &agent), AUTH_BUSY);
    assert_false(auth_open(&auth, store, temp_dir, error));
    assert_non_null(strstr(error, "memory"));
    assert_true(sys_fault_hits() > 0);
    sys_fault_set(NULL);
    store_close(store);
}

static const struct CMUnitTest tests[] = {
    REQ_WITH("K-01,Q-04", no_memory_opens_nothing, temp_make, temp_drop),
    REQ_WITH("K-01,Q-04", what_the_store_says_it_did_it_did, temp_make,
             temp_drop),
    REQ_WITH("K-03,Q-04", a_change_waits_for_the_disc_after_a_lost_sighting,
             temp_make, temp_drop),
};
RUN(tests)
