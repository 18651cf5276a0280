#include "sim/socket.h"

#include "core/contract.h"
#include "sim/flow.h"

#define BUFFER_DEFAULT 212992u
#define ADDRESS_BUCKETS 1024u
#define PORT_DRAWS 64u
#define SYN_RETRY_US SIM_S
#define SYN_TRIES 6u

struct network {
    struct listener *listeners[ADDRESS_BUCKETS]; /* by address */
    struct chance ports;
    uint32_t last_port;
    uint32_t fail_binds;
    uint64_t connections; /* ever made: their numbers in the hash */
};

struct socket { /* one end of a connection; process NULL: nobody's */
    struct process *process;
    struct socket *before, *after; /* of its process */
    struct connection *connection;
    struct flow out; /* what this end sends */
    void (*ready)(void *user);
    void *user;
    struct task task;
    enum socket_state state;
    uint64_t dead_at_us; /* it will find its peer dead; SIM_NEVER: no */
    uint64_t cut_at;     /* bytes sent; UINT64_MAX: no cut */
    enum socket_cut cut;
    bool broken;
    bool finished;    /* it sent its FIN */
    bool told_finish; /* SOCKET_FINISHED was returned */
    bool wants_room;
    bool lives; /* not closed */
};

struct connection {
    struct sim *sim;
    uint64_t number;
    struct socket ends[2]; /* who connected, who accepts */
    uint32_t address;
    uint32_t tries;
    struct task handshake;
    struct listener *queue; /* it waits to be accepted here */
    struct connection *next_waiting;
};

struct listener {
    struct process *process;
    struct listener *before, *after; /* of its process */
    struct listener *next;           /* of the same bucket */
    uint32_t address, backlog, waiting;
    struct connection *first, *last;
    void (*ready)(void *user);
    void *user;
    struct task task;
};

void path_default(struct path *path)
{
    *path = (struct path){.buffer = BUFFER_DEFAULT};
}

static struct network *network_of(struct sim *sim)
{
    struct network **network = sim_network(sim);

    if (*network == NULL) {
        *network = sim_alloc(sim, sizeof **network);
        (*network)->ports = chance_of(sim_seed(sim), "port", 0);
        (*network)->last_port = ADDRESS_LOCAL_LAST;
    }
    return *network;
}

static struct socket *other_end(const struct socket *socket)
{
    struct connection *connection = socket->connection;

    return socket == &connection->ends[0] ? &connection->ends[1]
                                          : &connection->ends[0];
}

/* ---- descriptors --------------------------------------------------------- */

static bool has_descriptor(const struct process *process)
{
    REQUIRE(process->alive);
    return process->descriptors < process->descriptors_max;
}

static void join_process(struct socket *socket, struct process *process)
{
    socket->process = process;
    socket->after = process->sockets;
    if (process->sockets != NULL) {
        process->sockets->before = socket;
    }
    process->sockets = socket;
    process->descriptors++;
}

static void leave_process(struct socket *socket)
{
    struct process *process = socket->process;

    if (process == NULL) {
        return;
    }
    if (socket->before != NULL) {
        socket->before->after = socket->after;
    } else {
        process->sockets = socket->after;
    }
    if (socket->after != NULL) {
        socket->after->before = socket->before;
    }
    process->descriptors--;
    socket->process = NULL;
}

/* ---- what an end is told, and when --------------------------------------- */

static void schedule(struct socket *socket)
{
    const struct flow *in = &other_end(socket)->out;
    uint64_t next_us = flow_next_us(in);

    if (!socket->lives) {
        return;
    }
    if (socket->dead_at_us < next_us) {
        next_us = socket->dead_at_us;
    }
    task_by(&socket->task, next_us);
}

static void break_end(struct socket *socket)
{
    socket->broken = true;
    socket->dead_at_us = SIM_NEVER;
}

static void land(struct socket *socket)
{
    struct flow *in = &other_end(socket)->out;

    flow_land(in);
    if (in->reset && !socket->broken) {
        break_end(socket);
    }
}

static void end_runs(void *user)
{
    struct socket *socket = user;

    land(socket);
    if (socket->dead_at_us <= sim_now_us(socket->connection->sim)) {
        break_end(socket);
    }
    schedule(socket);
    if (socket->ready != NULL) {
        socket->ready(socket->user); /* it may free this socket */
    }
}

static void connection_free(struct connection *connection)
{
    struct sim *sim = connection->sim;

    task_stop(&connection->handshake);
    for (size_t i = 0; i < 2; i++) {
        task_stop(&connection->ends[i].task);
        flow_free(&connection->ends[i].out);
    }
    sim_release(sim, connection);
}

/* Bytes that come to an end that is closed are answered with a RST. */
static void answer_closed(struct socket *closed)
{
    struct socket *sender = other_end(closed);
    uint64_t comes_us = flow_next_us(&sender->out);

    if (sender->lives && sender->out.segment_count > 0) {
        flow_reset(&closed->out, true, comes_us);
        schedule(sender);
    }
}

static void end_dies(struct socket *socket)
{
    struct connection *connection = socket->connection;

    leave_process(socket);
    task_stop(&socket->task);
    socket->lives = false;
    socket->ready = NULL;
    if (!other_end(socket)->lives) {
        connection_free(connection);
    } else {
        schedule(other_end(socket));
    }
}

/* ---- listening ----------------------------------------------------------- */

static struct listener **bucket_of(struct network *network, uint32_t address)
{
    return &network->listeners[address % ADDRESS_BUCKETS];
}

static struct listener *listener_at(struct network *network, uint32_t address)
{
    struct listener *listener = *bucket_of(network, address);

    while (listener != NULL && listener->address != address) {
        listener = listener->next;
    }
    return listener;
}

static uint32_t free_address(struct network *network)
{
    for (uint32_t i = 0; i < PORT_DRAWS; i++) {
        uint32_t address = (uint32_t)chance_between(
            &network->ports, ADDRESS_LOCAL_FIRST, network->last_port);
        if (listener_at(network, address) == NULL) {
            return address;
        }
    }
    for (uint32_t i = ADDRESS_LOCAL_FIRST; i <= network->last_port; i++) {
        if (listener_at(network, i) == NULL) {
            return i;
        }
    }
    return 0;
}

static void listener_runs(void *user)
{
    struct listener *listener = user;

    listener->ready(listener->user);
}

struct listener *listener_open(struct process *process, uint32_t address,
                               uint32_t backlog, void (*ready)(void *user),
                               void *user)
{
    struct network *network = network_of(process->sim);

    if (!has_descriptor(process)) {
        return NULL;
    }
    if (network->fail_binds > 0) {
        network->fail_binds--;
        return NULL;
    }
    if (address == 0) {
        address = free_address(network);
    } else if (listener_at(network, address) != NULL) {
        return NULL;
    }
    if (address == 0) {
        return NULL;
    }
    struct listener *listener = sim_alloc(process->sim, sizeof *listener);
    struct listener **bucket = bucket_of(network, address);
    *listener = (struct listener){.process = process,
                                  .after = process->listeners,
                                  .next = *bucket,
                                  .address = address,
                                  .backlog = backlog,
                                  .ready = ready,
                                  .user = user};
    *bucket = listener;
    if (process->listeners != NULL) {
        process->listeners->before = listener;
    }
    process->listeners = listener;
    process->descriptors++;
    task_init(&listener->task, process->sim, listener_runs, listener);
    return listener;
}

uint32_t listener_address(const struct listener *listener)
{
    return listener->address;
}

static struct connection *next_waiting(struct listener *listener)
{
    struct connection *connection = listener->first;

    if (connection != NULL) {
        listener->first = connection->next_waiting;
        if (listener->first == NULL) {
            listener->last = NULL;
        }
        listener->waiting--;
        connection->queue = NULL;
    }
    return connection;
}

struct socket *listener_accept(struct listener *listener,
                               void (*ready)(void *user), void *user)
{
    if (listener->first == NULL || !has_descriptor(listener->process)) {
        return NULL;
    }
    struct socket *socket = &next_waiting(listener)->ends[1];
    join_process(socket, listener->process);
    socket->ready = ready;
    socket->user = user;
    sim_mark(listener->process->sim, socket->connection->number,
             listener->address);
    task_wake(&socket->task);
    return socket;
}

void listener_close(struct listener *listener)
{
    struct network *network = network_of(listener->process->sim);
    struct process *process = listener->process;
    struct listener **link = bucket_of(network, listener->address);
    struct connection *waiting;

    while ((waiting = next_waiting(listener)) != NULL) {
        socket_reset(&waiting->ends[1]);
    }
    while (*link != listener) {
        link = &(*link)->next;
    }
    *link = listener->next;
    if (listener->before != NULL) {
        listener->before->after = listener->after;
    } else {
        process->listeners = listener->after;
    }
    if (listener->after != NULL) {
        listener->after->before = listener->before;
    }
    process->descriptors--;
    task_stop(&listener->task);
    sim_release(process->sim, listener);
}

uint32_t listener_count(const struct process *process)
{
    uint32_t count = 0;

    for (const struct listener *listener = process->listeners; listener != NULL;
         listener = listener->after) {
        count++;
    }
    return count;
}

void socket_limit_ports(struct sim *sim, uint32_t count)
{
    network_of(sim)->last_port = ADDRESS_LOCAL_FIRST + count - 1;
}

void socket_fail_binds(struct sim *sim, uint32_t count)
{
    network_of(sim)->fail_binds = count;
}

/* ---- connecting ---------------------------------------------------------- */

static void end_init(struct socket *socket, struct connection *connection,
                     const struct path *path, struct chance chance)
{
    struct path instant;

    path_default(&instant);
    *socket = (struct socket){.connection = connection,
                              .state = SOCKET_CONNECTING,
                              .dead_at_us = SIM_NEVER,
                              .cut_at = UINT64_MAX,
                              .lives = true};
    flow_init(&socket->out, connection->sim, path != NULL ? path : &instant,
              chance);
    task_init(&socket->task, connection->sim, end_runs, socket);
}

static void enqueue(struct listener *listener, struct connection *connection)
{
    connection->queue = listener;
    connection->next_waiting = NULL;
    if (listener->last != NULL) {
        listener->last->next_waiting = connection;
    } else {
        listener->first = connection;
    }
    listener->last = connection;
    listener->waiting++;
    connection->ends[1].state = SOCKET_OPEN;
    task_wake(&listener->task);
}

/* The answer to the SYN has come back. */
static void answer_runs(void *user)
{
    struct connection *connection = user;
    struct socket *socket = &connection->ends[0];
    bool accepted = connection->ends[1].state == SOCKET_OPEN;

    socket->state = accepted ? SOCKET_OPEN : SOCKET_FAILED;
    socket->broken = socket->broken || !accepted;
    if (socket->lives) {
        task_wake(&socket->task);
    }
}

/* The SYN has come to the address. */
static void syn_runs(void *user)
{
    struct connection *connection = user;
    struct sim *sim = connection->sim;
    struct listener *listener =
        listener_at(network_of(sim), connection->address);
    uint64_t now_us = sim_now_us(sim);

    if (listener != NULL && listener->waiting >= listener->backlog) {
        if (++connection->tries < SYN_TRIES) {
            task_set(&connection->handshake,
                     now_us + (SYN_RETRY_US << (connection->tries - 1)));
            return;
        }
        listener = NULL;
    }
    if (listener != NULL) {
        enqueue(listener, connection);
    } else {
        connection->ends[1].lives = false;
        if (!connection->ends[0].lives) {
            connection_free(connection);
            return;
        }
    }
    connection->handshake.run = answer_runs;
    task_set(&connection->handshake,
             now_us + connection->ends[1].out.path.latency_us);
}

struct socket *socket_connect(struct process *process, uint32_t address,
                              const struct path *there, const struct path *back,
                              void (*ready)(void *user), void *user)
{
    struct sim *sim = process->sim;

    if (!has_descriptor(process)) {
        return NULL;
    }
    struct connection *connection = sim_alloc(sim, sizeof *connection);
    struct chance chance =
        chance_of(sim_seed(sim), process->name, process->connects++);
    struct chance chance_back = {.state = chance_next(&chance)};
    *connection = (struct connection){.sim = sim, .address = address};
    connection->number = ++network_of(sim)->connections;
    end_init(&connection->ends[0], connection, there, chance);
    end_init(&connection->ends[1], connection, back, chance_back);
    struct socket *socket = &connection->ends[0];
    socket->ready = ready;
    socket->user = user;
    join_process(socket, process);
    task_init(&connection->handshake, sim, syn_runs, connection);
    task_set(&connection->handshake,
             sim_now_us(sim) + socket->out.path.latency_us);
    return socket;
}

void socket_own(struct socket *socket, void (*ready)(void *user), void *user)
{
    socket->ready = ready;
    socket->user = user;
}

enum socket_state socket_state(const struct socket *socket)
{
    return socket->state;
}

/* ---- cuts ---------------------------------------------------------------- */

static void fall_silent(struct socket *socket)
{
    flow_silence(&socket->out);
    if (socket->lives && !socket->broken && socket->dead_at_us == SIM_NEVER &&
        socket->out.path.dead_us > 0) {
        socket->dead_at_us =
            sim_now_us(socket->connection->sim) + socket->out.path.dead_us;
    }
}

static void silence_both(struct socket *socket)
{
    struct socket *other = other_end(socket);

    fall_silent(socket);
    fall_silent(other);
    schedule(socket);
    schedule(other);
}

static void cut_now(struct socket *socket)
{
    struct socket *other = other_end(socket);
    uint64_t now_us = sim_now_us(socket->connection->sim);

    socket->cut_at = UINT64_MAX;
    switch (socket->cut) {
    case CUT_FINISH:
        flow_finish(&socket->out);
        socket->out.swallows = true;
        break;
    case CUT_RESET:
        flow_reset(&socket->out, true, now_us);
        flow_reset(&other->out, false, now_us);
        schedule(socket);
        break;
    case CUT_SILENCE:
        silence_both(socket);
        break;
    }
    schedule(other);
}

void socket_cut(struct socket *socket, uint64_t at_byte, enum socket_cut cut)
{
    socket->cut_at = at_byte;
    socket->cut = cut;
    if (socket->out.sent >= at_byte) {
        cut_now(socket);
    }
}

void socket_stall(struct socket *socket, uint64_t until_us)
{
    struct socket *other = other_end(socket);

    flow_stall(&socket->out, until_us);
    schedule(other);
}

/* ---- bytes --------------------------------------------------------------- */

enum socket_result socket_send(struct socket *socket, const uint8_t *bytes,
                               size_t length, size_t *done)
{
    struct flow *out = &socket->out;
    size_t wanted = length;

    *done = 0;
    REQUIRE(!socket->finished);
    land(socket);
    if (socket->broken) {
        return SOCKET_BROKEN;
    }
    if (socket->state != SOCKET_OPEN || length == 0) {
        return SOCKET_WAIT;
    }
    if (socket->cut_at - out->sent < wanted) {
        wanted = (size_t)(socket->cut_at - out->sent);
    }
    *done = flow_put(out, bytes, wanted);
    sim_mark(out->sim, socket->connection->number, *done);
    if (*done < length) {
        socket->wants_room = true;
        if (flow_room(out) > 0) { /* only a drawn piece was taken */
            task_wake(&socket->task);
        }
    }
    if (socket->cut_at <= out->sent) {
        cut_now(socket);
    } else {
        schedule(other_end(socket));
    }
    if (!other_end(socket)->lives) {
        answer_closed(other_end(socket));
    }
    return *done > 0 ? SOCKET_MORE : SOCKET_WAIT;
}

/* A sender that waits is told when a quarter is free, as a kernel does. */
static void give_room(struct socket *sender)
{
    if (sender->wants_room && sender->lives &&
        flow_room(&sender->out) >= sender->out.path.buffer / 4) {
        sender->wants_room = false;
        task_wake(&sender->task);
    }
}

enum socket_result socket_receive(struct socket *socket, uint8_t *bytes,
                                  size_t capacity, size_t *done)
{
    struct flow *in = &other_end(socket)->out;

    *done = 0;
    if (socket->state == SOCKET_CONNECTING) {
        return SOCKET_WAIT;
    }
    land(socket);
    if (in->landed > 0) {
        *done = flow_take(in, bytes, capacity);
        sim_mark(in->sim, socket->connection->number, ~(uint64_t)*done);
        give_room(other_end(socket));
        if (in->landed > 0 && *done < capacity) {
            task_wake(&socket->task); /* a reader may take this for all */
        }
        return *done > 0 ? SOCKET_MORE : SOCKET_WAIT;
    }
    if (in->finished && !(socket->broken && socket->told_finish)) {
        socket->told_finish = true;
        return SOCKET_FINISHED;
    }
    return socket->broken ? SOCKET_BROKEN : SOCKET_WAIT;
}

void socket_finish(struct socket *socket)
{
    if (!socket->finished) {
        socket->finished = true;
        flow_finish(&socket->out);
        schedule(other_end(socket));
    }
}

void socket_reset(struct socket *socket)
{
    flow_reset(&socket->out, false, sim_now_us(socket->connection->sim));
    end_dies(socket);
}

void socket_close(struct socket *socket)
{
    const struct flow *in = &other_end(socket)->out;

    land(socket);
    if (socket->state == SOCKET_OPEN && in->landed > 0) {
        socket_reset(socket);
        return;
    }
    flow_finish(&socket->out);
    answer_closed(socket);
    end_dies(socket);
}

bool socket_peer_gone(const struct socket *socket)
{
    const struct flow *in = &other_end(socket)->out;

    return in->finished || socket->broken;
}

bool socket_is_broken(const struct socket *socket)
{
    return socket->broken;
}

size_t socket_unsent(const struct socket *socket)
{
    return flow_in_flight(&socket->out);
}

uint64_t socket_sent(const struct socket *socket)
{
    return socket->out.sent;
}

uint64_t socket_received(const struct socket *socket)
{
    return other_end(socket)->out.received;
}

struct process *socket_process(const struct socket *socket)
{
    return socket->process;
}

struct process *socket_peer_process(const struct socket *socket)
{
    return other_end(socket)->process;
}

uint64_t socket_number(const struct socket *socket)
{
    return socket->connection->number;
}

struct socket *socket_peer(struct socket *socket)
{
    return other_end(socket);
}

void socket_kill_all(struct process *process, enum process_end end)
{
    while (process->listeners != NULL) {
        listener_close(process->listeners);
    }
    while (process->sockets != NULL) {
        struct socket *socket = process->sockets;
        switch (end) {
        case PROCESS_EXITS:
            socket_close(socket);
            break;
        case PROCESS_VANISHES:
            silence_both(socket);
            end_dies(socket);
            break;
        }
    }
}
