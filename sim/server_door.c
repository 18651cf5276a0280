/* Accepting, with descriptors exhausted or not (net/acceptor.c); the upgrade
 * (server/upgrade.c): the key before anything else, 401 without any effect;
 * refusals in words (server/refusal.c). */
#include <stdio.h>
#include <string.h>

#include "core/contract.h"
#include "sim/remote.h"
#include "sim/server_internal.h"

#define ACCEPTS_A_TURN 16u
#define REST_MS 100u
#define DOOR_BACKLOG 4096u
#define FAREWELLS_MAX 64u
#define FAREWELL_MS 1000u
#define FAREWELL_SIZE 320u
#define VISIT_GRACE_MS 1000u
#define READS_MAX 64u

/* ---- accepting ----------------------------------------------------------- */

/* Nothing can be accepted now. The spare descriptor ends what waits, so that
 * clients see an error instead of silence. */
static void refuse_waiting(struct acceptor *acceptor)
{
    struct process *process = acceptor->server->process;
    struct socket *socket = NULL;

    for (unsigned i = 0; i < ACCEPTS_A_TURN; i++) {
        uint32_t most = process->descriptors_max;
        process->descriptors_max = process->descriptors + 1;
        socket = listener_accept(acceptor->listener, NULL, NULL);
        process->descriptors_max = most;
        if (socket == NULL) {
            break;
        }
        socket_reset(socket);
        sim_met(process->sim, MET_ACCEPT_EXHAUSTED);
    }
    if (socket != NULL) {
        job_by_ms(acceptor->job,
                  loop_now_ms(&acceptor->server->loop) + REST_MS);
    }
}

static void accept_some(void *user)
{
    struct acceptor *acceptor = user;
    struct process *process = acceptor->server->process;

    for (unsigned i = 0; i < ACCEPTS_A_TURN; i++) {
        if (process->descriptors >= process->descriptors_max) {
            refuse_waiting(acceptor);
            return;
        }
        struct socket *socket = listener_accept(acceptor->listener, NULL, NULL);
        if (socket == NULL) {
            return;
        }
        acceptor->accepted(acceptor->user, socket);
        if (acceptor->listener == NULL) {
            return;
        }
    }
    job_wake(acceptor->job);
}

void acceptor_open(struct acceptor *acceptor, struct server *server,
                   struct listener *listener,
                   void (*accepted)(void *user, struct socket *socket),
                   void *user)
{
    *acceptor =
        (struct acceptor){.server = server,
                          .listener = listener,
                          .job = job_new(&server->loop, accept_some, acceptor),
                          .accepted = accepted,
                          .user = user};
}

void acceptor_ready(void *user)
{
    struct acceptor *acceptor = user;
    job_wake(acceptor->job);
}

void acceptor_close(struct acceptor *acceptor)
{
    if (acceptor->listener != NULL) {
        listener_close(acceptor->listener);
        job_free(acceptor->job);
        acceptor->listener = NULL;
        acceptor->job = NULL;
    }
}

/* ---- farewells ----------------------------------------------------------- */

struct farewell {
    struct server *server;
    struct farewell *before, *after;
    struct socket *socket;
    struct job *job;
    uint64_t until_ms;
    size_t length, sent;
    char text[FAREWELL_SIZE];
};

size_t farewell_size(void)
{
    return sizeof(struct farewell);
}

static void farewell_end(struct farewell *farewell)
{
    struct server *server = farewell->server;

    job_free(farewell->job);
    socket_close(farewell->socket);
    if (farewell->before != NULL) {
        farewell->before->after = farewell->after;
    } else {
        server->farewells = farewell->after;
    }
    if (farewell->after != NULL) {
        farewell->after->before = farewell->before;
    }
    server->farewell_count--;
    process_release(server->process, farewell);
}

/* Drop what the client sends. False: it is done, or broken. */
static bool swallow(struct socket *socket)
{
    uint8_t scratch[1024];
    size_t done;

    for (unsigned i = 0; i < READS_MAX; i++) {
        switch (socket_receive(socket, scratch, sizeof scratch, &done)) {
        case SOCKET_MORE:
            break;
        case SOCKET_WAIT:
            return true;
        case SOCKET_FINISHED:
        case SOCKET_BROKEN:
            return false;
        }
    }
    return true;
}

/* False: broken. */
static bool say_rest(struct farewell *farewell)
{
    const uint8_t *text = (const uint8_t *)farewell->text;

    if (farewell->sent == farewell->length) {
        return true;
    }
    while (farewell->sent < farewell->length) {
        size_t done = 0;
        enum socket_result result =
            socket_send(farewell->socket, text + farewell->sent,
                        farewell->length - farewell->sent, &done);
        if (result != SOCKET_MORE) {
            return result == SOCKET_WAIT;
        }
        farewell->sent += done;
    }
    socket_finish(farewell->socket);
    return true;
}

static void farewell_run(void *user)
{
    struct farewell *farewell = user;

    if (!say_rest(farewell) || !swallow(farewell->socket) ||
        loop_now_ms(&farewell->server->loop) >= farewell->until_ms) {
        farewell_end(farewell);
        return;
    }
    job_by_ms(farewell->job, farewell->until_ms);
}

static void farewell_ready(void *user)
{
    struct farewell *farewell = user;
    job_wake(farewell->job);
}

void farewell_say(struct server *server, struct socket *socket,
                  const char *text)
{
    struct farewell *farewell = NULL;

    if (server->farewell_count < FAREWELLS_MAX) {
        farewell = server_alloc(server, sizeof *farewell, FAULT_STATE_NONE);
    }
    if (farewell == NULL) {
        socket_reset(socket);
        return;
    }
    farewell->server = server;
    farewell->socket = socket;
    farewell->job = job_new(&server->loop, farewell_run, farewell);
    farewell->until_ms = loop_now_ms(&server->loop) + FAREWELL_MS;
    (void)snprintf(farewell->text, sizeof farewell->text, "%s", text);
    farewell->length = strlen(farewell->text);
    farewell->after = server->farewells;
    if (server->farewells != NULL) {
        server->farewells->before = farewell;
    }
    server->farewells = farewell;
    server->farewell_count++;
    socket_own(socket, farewell_ready, farewell);
    job_wake(farewell->job);
}

/* ---- visits -------------------------------------------------------------- */

enum visit_phase {
    VISIT_HEAD,     /* the head is coming in */
    VISIT_GRANTING, /* 101 goes out */
    VISIT_LEAVING   /* it is out; a session takes over in the next turn */
};

struct visit {
    struct server *server;
    struct visit *older, *newer;
    struct socket *socket;
    struct job *job;
    enum visit_phase phase;
    uint64_t since_ms;
    uint64_t disconnects; /* of the server, when the key was looked at */
    struct store_agent agent;
    size_t sent;
    size_t head_length; /* 0: not complete */
    size_t length;
    uint8_t bytes[DOOR_HEAD_MAX];
};

static const char granted[] = "HTTP/1.1 101 S\r\n\r\n";

size_t visit_size(void)
{
    return sizeof(struct visit);
}

/* The socket is somebody else's. */
static void visit_forget(struct visit *visit)
{
    struct server *server = visit->server;

    job_free(visit->job);
    if (visit->older != NULL) {
        visit->older->newer = visit->newer;
    } else {
        server->visits = visit->newer;
    }
    if (visit->newer != NULL) {
        visit->newer->older = visit->older;
    } else {
        server->visits_last = visit->older;
    }
    server->visit_count--;
    process_release(server->process, visit);
}

static void visit_end(struct visit *visit, bool reset)
{
    struct socket *socket = visit->socket;

    visit_forget(visit);
    if (reset) {
        socket_reset(socket);
    } else {
        socket_close(socket);
    }
}

static void visit_refuse(struct visit *visit, const char *text)
{
    struct server *server = visit->server;
    struct socket *socket = visit->socket;

    visit_forget(visit);
    farewell_say(server, socket, text);
}

/* The end of the head, or 0. */
static size_t find_end(const uint8_t *bytes, size_t length)
{
    for (size_t i = 3; i < length; i++) {
        if (bytes[i] == '\n' && memcmp(bytes + i - 3, "\r\n\r\n", 4) == 0) {
            return i + 1;
        }
    }
    return 0;
}

/* The value of a field, or length 0. */
static struct span find_field(const struct visit *visit, const char *name)
{
    size_t name_length = strlen(name);
    const uint8_t *bytes = visit->bytes;
    size_t at = 0;

    while (at + name_length < visit->head_length) {
        size_t end = at;
        while (bytes[end] != '\r') {
            end++;
        }
        if (end - at >= name_length &&
            memcmp(bytes + at, name, name_length) == 0) {
            return (struct span){bytes + at + name_length,
                                 end - at - name_length};
        }
        at = end + 2 < visit->head_length ? end + 2 : visit->head_length;
    }
    return (struct span){NULL, 0};
}

static bool is_upgrade(const struct visit *visit)
{
    static const char line[] = "GET " REMOTE_PATH " HTTP/1.1\r\n";

    return visit->head_length >= sizeof line - 1 &&
           memcmp(visit->bytes, line, sizeof line - 1) == 0;
}

static bool is_known(struct visit *visit)
{
    struct span value = find_field(visit, "Authorization: ");
    uint8_t digest[KEY_DIGEST_SIZE];
    struct span key;

    if (!key_from_authorization(value, &key)) {
        return false;
    }
    store_digest(digest, key);
    enum store_result result =
        store_find(&visit->server->store, digest, &visit->agent);
    if (result == STORE_FAILED) {
        sim_fault(visit->server->sim, FAULT_STORE_FAILS, FAULT_STATE_NONE);
    }
    return result == STORE_OK;
}

static void judge(struct visit *visit)
{
    struct server *server = visit->server;

    if (!is_known(visit)) {
        sim_met(server->sim, MET_UNAUTHORIZED);
        visit_refuse(visit, "HTTP/1.1 401 U\r\n\r\n");
    } else if (!is_upgrade(visit)) {
        visit_refuse(visit, "HTTP/1.1 400 B\r\n\r\n");
    } else if (session_may_admit(server) != STATUS_OK) {
        sim_met(server->sim, MET_NO_ROOM);
        visit_refuse(visit, "HTTP/1.1 503 R\r\n\r\n");
    } else {
        visit->phase = VISIT_GRANTING;
        visit->disconnects = server->disconnects;
        job_wake(visit->job);
    }
}

static void read_head(struct visit *visit)
{
    size_t done = 0;

    while (visit->phase == VISIT_HEAD && visit->length < DOOR_HEAD_MAX) {
        switch (socket_receive(visit->socket, visit->bytes + visit->length,
                               DOOR_HEAD_MAX - visit->length, &done)) {
        case SOCKET_MORE:
            break;
        case SOCKET_WAIT:
            return;
        case SOCKET_FINISHED:
        case SOCKET_BROKEN:
            visit_end(visit, false);
            return;
        }
        visit->length += done;
        visit->head_length = find_end(visit->bytes, visit->length);
        if (visit->head_length > 0) {
            judge(visit);
            return;
        }
    }
    sim_met(visit->server->sim, MET_HEAD_TOO_LARGE);
    visit_refuse(visit, "HTTP/1.1 431 H\r\n\r\n");
}

static void grant(struct visit *visit)
{
    const uint8_t *text = (const uint8_t *)granted;

    while (visit->sent < sizeof granted - 1) {
        size_t done = 0;
        enum socket_result result =
            socket_send(visit->socket, text + visit->sent,
                        sizeof granted - 1 - visit->sent, &done);
        if (result == SOCKET_WAIT) {
            return;
        }
        if (result != SOCKET_MORE) {
            visit_end(visit, true);
            return;
        }
        visit->sent += done;
    }
    visit->phase = VISIT_LEAVING;
    job_by_ms(visit->job, server_later_ms(visit->server));
}

/* Revoked, rotated or deleted since its key was looked at? (X5) */
static bool is_welcome(const struct visit *visit)
{
    const struct server *server = visit->server;
    struct store_agent agent;

    return visit->disconnects == server->disconnects ||
           store_find(&server->store, visit->agent.digest, &agent) == STORE_OK;
}

static void arrive(struct visit *visit)
{
    struct server *server = visit->server;
    uint8_t early[DOOR_HEAD_MAX];
    struct arrival arrival = {
        .socket = visit->socket,
        .early = {early, visit->length - visit->head_length}};

    if (!is_welcome(visit)) {
        sim_met(server->sim, MET_UNWELCOME);
        visit_end(visit, true);
        return;
    }
    memcpy(arrival.uuid, visit->agent.uuid, sizeof arrival.uuid);
    memcpy(arrival.digest, visit->agent.digest, sizeof arrival.digest);
    memcpy(early, visit->bytes + visit->head_length, arrival.early.length);
    visit_forget(visit);
    session_admit(server, &arrival);
}

static void visit_run(void *user)
{
    struct visit *visit = user;
    uint64_t late_ms = visit->since_ms + DOOR_HEAD_MS;

    if (visit->phase != VISIT_LEAVING &&
        loop_now_ms(&visit->server->loop) >= late_ms) {
        sim_met(visit->server->sim, MET_HEAD_LATE);
        visit_end(visit, false);
        return;
    }
    job_by_ms(visit->job, late_ms);
    switch (visit->phase) {
    case VISIT_HEAD:
        read_head(visit);
        break;
    case VISIT_GRANTING:
        grant(visit);
        break;
    case VISIT_LEAVING:
        arrive(visit);
        break;
    }
}

static void visit_ready(void *user)
{
    struct visit *visit = user;
    job_wake(visit->job);
}

/* X14: who has stood longest gives way, if that is long enough. */
static bool make_room(struct server *server)
{
    if (server->visit_count < server->visits_max) {
        return true;
    }
    if (loop_now_ms(&server->loop) <
        server->visits->since_ms + VISIT_GRACE_MS) {
        return false;
    }
    visit_end(server->visits, true);
    return true;
}

static void on_visitor(void *user, struct socket *socket)
{
    struct server *server = user;
    struct visit *visit = NULL;

    if (make_room(server)) {
        visit = server_alloc(server, sizeof *visit, FAULT_STATE_NONE);
    }
    if (visit == NULL) {
        socket_reset(socket);
        return;
    }
    visit->server = server;
    visit->socket = socket;
    visit->since_ms = loop_now_ms(&server->loop);
    visit->job = job_new(&server->loop, visit_run, visit);
    visit->older = server->visits_last;
    if (visit->older != NULL) {
        visit->older->newer = visit;
    } else {
        server->visits = visit;
    }
    server->visits_last = visit;
    server->visit_count++;
    socket_own(socket, visit_ready, visit);
    job_wake(visit->job);
}

/* ---- the door ------------------------------------------------------------ */

bool door_open(struct server *server)
{
    struct listener *listener =
        listener_open(server->process, ADDRESS_SERVER, DOOR_BACKLOG,
                      acceptor_ready, &server->door);

    if (listener == NULL) {
        return false;
    }
    acceptor_open(&server->door, server, listener, on_visitor, server);
    return true;
}

void door_close(struct server *server)
{
    acceptor_close(&server->door);
    while (server->visits != NULL) {
        visit_end(server->visits, true);
    }
    while (server->farewells != NULL) {
        farewell_end(server->farewells);
    }
}
