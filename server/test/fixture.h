/* fixture.h: the API on a store of its own, with a tunnel that is a table.
 *
 * tunnel.h's functions are defined here, so that nothing of the real tunnel is
 * linked; a test says who is connected. */
#ifndef SERVER_TEST_FIXTURE_H
#define SERVER_TEST_FIXTURE_H

#include <jansson.h>

#include "server/api.h"
#include "server/auth.h"
#include "server/config.h"
#include "server/store.h"
#include "server/tunnel.h"
#include "server/uuid.h"

#define FIXTURE_SESSIONS 1100u

struct tunnel {
    struct tunnel_view sessions[FIXTURE_SESSIONS];
    size_t count;
    struct tunnel_totals totals;
    bool draining;
    unsigned disconnects;
    enum status disconnect_status; /* of the latest */
};

struct fixture {
    const char *dir; /* of the store */
    struct config config;
    struct store *store;
    struct auth auth;
    struct tunnel tunnel;
    struct loop *loop;
    struct api *api;
    char bearer[80]; /* "Bearer TOKEN" */

    /* of the next request; fixture_call() puts the defaults back */
    struct api_request request;

    /* the latest reply */
    int status;
    json_t *json; /* NULL: no JSON */
    char *text;   /* NUL-terminated; NULL: no body */
    const char *content_type;
    const char *allow;
    bool challenge;
};

extern struct fixture fixture;

/* cmocka's setup and teardown */
int fixture_start(void **state);
int fixture_stop(void **state);

/* A new API with these flags (NULL ends them); the store stays. */
void fixture_configure(const char *const *flags);
void fixture_without_tunnel(void);

/* One request; path may have a query. body: NULL for none. Waits on the loop
 * for a late reply. Returns the status. */
int fixture_call(const char *method, const char *path, const char *body);

/* The same, started only; then the reply is awaited or the call cancelled. */
struct api_call *fixture_begin(const char *method, const char *path);
int fixture_await(struct api_call *call);
void fixture_cancel(struct api_call *call);

const char *fixture_text(const char *field); /* of the JSON reply; NULL: none */
const char *fixture_error(void);             /* its "error" */

/* An agent made by the API: its uuid as text, and its key. */
struct fixture_agent {
    char uuid[UUID_TEXT_SIZE];
    char key[AUTH_KEY_SIZE];
};
struct fixture_agent fixture_agent(const char *name);

/* Its session, with a loopback proxy on port; 0: none. */
struct tunnel_view *fixture_connect(const char *uuid, unsigned port);

#endif
