/* site.h: a server's hub with its agents' sessions, and what is around them.
 *
 *   struct site site;
 *   site_start(&site, 10);
 *   struct session *a = site_connect(&site, 'A');
 *   struct sock *client = site_dial(a);
 *   sock_say(client, "GET /containers/json HTTP/1.1\r\n\r\n");
 *   site_run(&site);
 *   site_end(&site);
 *
 * The site does what agents want, each deed one line of site.story: "A1" is the
 * first session of agent A. After each deed it looks at the world from outside:
 * no agent has two listeners or two current sessions, no listener outlives its
 * transport, no closed session holds anything (I9, I10, O6, O9).
 */
#ifndef CORE_TEST_SITE_H
#define CORE_TEST_SITE_H

#include "core/test/pair.h"

#include "core/hub.h"

#define SITE_SESSIONS 12

struct session {
    struct site *site;
    struct agent *agent; /* NULL: released, its memory is gone */
    struct pair pair;
    char name[8];
    enum status refusal; /* why the hub did not take it */
    bool has_transport, has_listener;
    bool bind_fails;
    bool is_cut; /* no byte passes, and nobody is told */
    uint16_t port;
    enum status ended; /* agent_status() when it was released */
};

struct site {
    struct hub *hub;
    struct agent_config config; /* of agents to come */
    struct session *sessions[SITE_SESSIONS];
    size_t session_count;
    uint64_t now_ms;
    uint16_t ports;    /* given so far */
    bool does_nothing; /* but step: wants are left to the test */
    char story[4096];
};

void site_start(struct site *site, uint32_t agents_max);
void site_end(struct site *site);

/* An authenticated agent's WebSocket is up; everything at rest. */
struct session *site_connect(struct site *site, char agent);
/* The same, up to the hub's word. */
struct session *site_arrive(struct site *site, char agent);

/* A TCP client of the session's listener. NULL: connection refused, or ended at
 * once, and then *status says why (AC-07). */
struct sock *site_try_dial(struct session *session, enum status *status);
struct sock *site_dial(struct session *session);

/* The transport breaks, and the server sees it. */
void session_lose(struct session *session);

/* One deed that the session wants, or at its transport or connections; false if
 * there is none. */
bool session_act(struct session *session);

void site_run(struct site *site);
void site_wait(struct site *site, uint64_t delay_ms);

/* The story since the last call is this text. */
void site_expect(struct site *site, const char *story);

struct agent *site_find(const struct site *site, char agent);

#endif
