/* server_internal.h: what the parts of the modelled server share.
 *
 *   server.c          its life, the operator's words, questions, checks
 *   server_door.c     accepting; the front door's upgrades; refusals in words
 *   server_session.c  sessions, their proxies and connections (the product's
 *                     server/tunnel.c)
 */
#ifndef SIM_SERVER_INTERNAL_H
#define SIM_SERVER_INTERNAL_H

#include "core/agent.h"
#include "core/hub.h"
#include "core/port.h"
#include "sim/bridge.h"
#include "sim/loop.h"
#include "sim/server.h"
#include "sim/store.h"
#include "sim/transport.h"

#define DOOR_HEAD_MAX 4096u
#define DOOR_HEAD_MS 10000u /* L-08 */
#define NO_SITE UINT32_MAX

struct server;
struct session;

/* ---- accepting (server_door.c) ------------------------------------------- */

struct acceptor { /* zeroed: closed */
    struct server *server;
    struct listener *listener;
    struct job *job;
    void (*accepted)(void *user, struct socket *socket);
    void *user;
};

/* Takes listener, which was opened with acceptor_ready() and acceptor. */
void acceptor_open(struct acceptor *acceptor, struct server *server,
                   struct listener *listener,
                   void (*accepted)(void *user, struct socket *socket),
                   void *user);
void acceptor_ready(void *user); /* of itself */
void acceptor_close(struct acceptor *acceptor);

/* ---- the front door ------------------------------------------------------ */

struct visit;
struct farewell;

bool door_open(struct server *server);
void door_close(struct server *server); /* visits and farewells, too */

/* Takes socket: text, FIN, then what comes is swallowed until the client
 * closes, for a second at most. */
void farewell_say(struct server *server, struct socket *socket,
                  const char *text);

/* ---- sessions (server_session.c) ----------------------------------------- */

struct connection {
    struct bridge bridge;
    struct session *session;
    struct connection *before, *after; /* of the session */
};

struct session { /* the agent object of the core stands behind it */
    struct server *server;
    struct session *before, *after; /* of the server */
    struct session *next_touched;
    struct agent *agent;
    struct transport transport;
    struct acceptor acceptor;
    struct job *timer;        /* the agent's deadline */
    struct job *listener_job; /* binds or closes the listener, in a while */
    struct connection *connections;
    uint64_t number, since_us;
    uint64_t opens_left, opens_at_ms; /* X15, in thousandths */
    uint32_t site;                    /* or NO_SITE */
    uint16_t port;                    /* the last it listened on; 0: none */
    uint8_t digest[KEY_DIGEST_SIZE];
    bool stepping; /* inside the transport's burst */
    bool hanging_up, ended, touched, displaced;
};

struct arrival {
    uint8_t uuid[WORLD_UUID_SIZE];
    uint8_t digest[KEY_DIGEST_SIZE]; /* of the key it showed */
    struct socket *socket;
    struct span early;
};

enum status session_may_admit(const struct server *server);
void session_admit(struct server *server, const struct arrival *arrival);
void session_tick(struct session *session);
/* End the agent's current session, if there is one. */
void session_disconnect(struct server *server,
                        const uint8_t uuid[WORLD_UUID_SIZE],
                        enum status status);
void sessions_drain(struct server *server);
void sessions_end(struct server *server);
size_t session_size(const struct server *server);

/* ---- the server ---------------------------------------------------------- */

struct server {
    struct world *world;
    struct sim *sim;
    struct process *process;
    struct store store;
    struct loop loop;
    struct chance chance; /* of its uuids and keys */
    struct chance laziness;
    struct task again; /* it could not start: once more */
    int64_t wall_offset_ms;
    /* drawn: its configuration */
    struct agent_config agent;
    struct mux_growth growth; /* of all receive windows */
    struct hub_config hub_config;
    struct port_config port_config;
    uint64_t opens_per_s;
    uint32_t lazy_ms; /* listeners are bound and closed, and sessions begun, up
                         to this late */
    uint32_t visits_max;
    /* of the process; gone with it */
    bool wanted; /* it runs, or is to be started again */
    bool draining, drain_late;
    struct hub *hub;
    struct port_table *ports;
    struct transport_pool transports;
    struct spill_pool spills;
    struct acceptor door;
    struct job *exit;
    struct visit *visits, *visits_last; /* oldest first */
    struct farewell *farewells;
    struct session *sessions, *touched;
    uint32_t visit_count, farewell_count, session_count, connection_count;
    uint32_t listener_count;
    size_t parts_size; /* hub and ports, as the process counts them */
    uint64_t session_number;
    uint64_t disconnects; /* who authenticated before must be looked at */
    /* tallies */
    uint64_t checks;
};

uint64_t server_wall_ms(const struct server *server);
/* Now; or, of a lazy server, in a while. */
uint64_t server_later_ms(struct server *server);
/* Memory of the process; counts a refusal. */
void *server_alloc(struct server *server, size_t size, enum fault_state state);
/* For a drain: sessions may be gone. */
void server_look_at_drain(struct server *server);
size_t visit_size(void);
size_t farewell_size(void);

#endif
