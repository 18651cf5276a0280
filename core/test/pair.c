#include "core/test/pair.h"

#include <stdlib.h>
#include <string.h>

#define CAPACITY 16384
#define FRAME_MAX 8192
#define ROUNDS_MAX 1000000

static struct end *other(const struct end *end)
{
    struct pair *pair = end->pair;

    return &pair->ends[end == &pair->ends[SERVER] ? AGENT : SERVER];
}

static enum side side_of(const struct end *end)
{
    return end == &end->pair->ends[SERVER] ? SERVER : AGENT;
}

/* ---- bytes --------------------------------------------------------------- */

#define CHUNK 4096u
#define TABLE 65536u

/* Where in the table of random bytes the bytes of a chunk stand. */
static size_t place_of(const struct sock *sock, size_t chunk)
{
    uint64_t x = (uint64_t)sock->stream << 32 | sock->end->pair->salt;

    x ^= (uint64_t)chunk << 8 ^ (uint64_t)side_of(sock->end);
    x *= 0x9e3779b97f4a7c15u;
    return (size_t)((x ^ x >> 29) * 0xbf58476d1ce4e5b9u >> 48);
}

/* The bytes that this socket sends from offset on. */
static void bytes_at(const struct sock *sock, size_t offset, uint8_t *bytes,
                     size_t length)
{
    static uint8_t table[TABLE + CHUNK];

    if (sock->text != NULL) {
        memcpy(bytes, sock->text + offset, length);
        return;
    }
    for (uint32_t i = 0, x = 1; table[0] == 0 && i < sizeof table; i++) {
        x = x * 1664525u + 1013904223u;
        table[sizeof table - 1 - i] = (uint8_t)(x >> 24 | 1);
    }
    while (length > 0) {
        size_t at = offset % CHUNK;
        size_t some = length < CHUNK - at ? length : CHUNK - at;
        memcpy(bytes, table + place_of(sock, offset / CHUNK) + at, some);
        bytes += some;
        offset += some;
        length -= some;
    }
}

static void put_wire(struct end *from, const uint8_t *bytes, size_t length)
{
    if (from->wire_last + length > from->wire_room) {
        from->wire_room = 2 * (from->wire_last + length);
        from->wire = realloc(from->wire, from->wire_room);
        assert_non_null(from->wire);
    }
    if (length > 0) {
        memcpy(from->wire + from->wire_last, bytes, length);
        from->wire_last += length;
    }
}

/* ---- sockets ------------------------------------------------------------- */

static struct sock *add_sock(struct end *end, uint32_t conn)
{
    assert_true(end->sock_count < PAIR_SOCKS);
    struct sock *sock = &end->socks[end->sock_count++];
    memset(sock, 0, sizeof *sock);
    sock->end = end;
    sock->conn = conn;
    sock->is_open = true;
    sock->room = SIZE_MAX;
    return sock;
}

/* Every byte of the peer came, and its end of file (O2). */
static void assert_whole(const struct sock *sock)
{
    assert_non_null(sock->peer);
    assert_true(sock->peer->said_eof);
    assert_int_equal(sock->received, sock->peer->sent);
    assert_int_equal(sock->held, 0);
}

/* The kernel takes what it has room for. */
static size_t take_held(struct sock *sock)
{
    size_t length = sock->held < sock->room ? sock->held : sock->room;

    sock->held -= length;
    sock->received += length;
    if (sock->room != SIZE_MAX) {
        sock->room -= length;
    }
    return length;
}

/* The first byte at the agent's end is the preface, once (AC-06): with it the
 * engine comes to be. */
static void take_preface(struct sock *engine, struct span *data)
{
    struct end *server = other(engine->end);

    assert_int_equal(data->bytes[0], 0x01);
    for (size_t i = 0; i < server->sock_count; i++) {
        if (server->socks[i].stream == engine->stream) {
            engine->peer = &server->socks[i];
            engine->peer->peer = engine;
        }
    }
    assert_non_null(engine->peer);
    data->bytes++;
    data->length--;
    link_written(engine->end->link, engine->conn, 1);
}

static void compare(const struct sock *sock, size_t offset, struct span data)
{
    uint8_t expected[CHUNK];

    assert_true(offset + data.length <= sock->peer->sent);
    while (data.length > 0) {
        size_t some = data.length < CHUNK ? data.length : CHUNK;
        bytes_at(sock->peer, offset, expected, some);
        assert_memory_equal(data.bytes, expected, some);
        data.bytes += some;
        data.length -= some;
        offset += some;
    }
}

static void hear(struct sock *sock, size_t offset, struct span data)
{
    for (size_t i = 0; i < data.length && offset + i < SOCK_TEXT - 1; i++) {
        sock->heard[offset + i] = (char)data.bytes[i];
    }
}

static void give(struct end *end, const struct link_event *event)
{
    struct sock *sock = event->user;
    struct span data = event->data;

    assert_true(sock->is_open && sock->conn == event->conn);
    assert_false(sock->was_shut);
    assert_true(data.length > 0);
    if (sock->peer == NULL) {
        take_preface(sock, &data);
    }
    compare(sock, sock->received + sock->held, data);
    hear(sock, sock->received + sock->held, data);
    sock->held += data.length;
    assert_int_equal(link_unwritten(end->link, sock->conn), sock->held);
    size_t taken = take_held(sock);
    if (taken > 0) {
        link_written(end->link, sock->conn, taken);
    }
}

static void close_sock(struct sock *sock)
{
    if (sock->wants & CONN_WANTS_CLOSE) {
        assert_whole(sock);
        sock->was_closed = true;
    } else {
        sock->was_reset = true;
        (void)take_held(sock); /* what can be flushed is */
    }
    sock->is_open = false;
    link_closed(sock->end->link, sock->conn);
}

static void apply(struct end *end, const struct link_change *change)
{
    struct sock *sock = change->user;

    assert_true(sock->is_open && sock->conn == change->conn);
    assert_true(change->wants != sock->wants);
    assert_int_equal((change->wants & CONN_WANTS_RESET) != 0,
                     change->status != STATUS_OK);
    sock->wants = change->wants;
    sock->status = change->status;
    if (sock->wants & CONN_WANTS_FINISH) {
        assert_whole(sock);
        sock->was_shut = true;
    }
    if (sock->wants & (CONN_WANTS_CLOSE | CONN_WANTS_RESET) && !end->is_lazy) {
        close_sock(sock);
    }
}

void pair_close_all(struct pair *pair, enum side side)
{
    struct end *end = &pair->ends[side];

    for (size_t i = 0; i < end->sock_count; i++) {
        struct sock *sock = &end->socks[i];
        if (sock->is_open &&
            (sock->wants & (CONN_WANTS_CLOSE | CONN_WANTS_RESET)) != 0) {
            close_sock(sock);
        }
    }
}

void sock_send(struct sock *sock, size_t length)
{
    assert_false(sock->said_eof);
    sock->sent += length;
}

void sock_say(struct sock *sock, const char *text)
{
    assert_int_equal(sock->sent, 0);
    sock->text = text;
    sock->sent = strlen(text);
}

void sock_eof(struct sock *sock)
{
    sock->said_eof = true;
}

void sock_break(struct sock *sock)
{
    sock->is_broken = true;
}

void sock_allow(struct sock *sock, size_t length)
{
    sock->room = length;
}

/* ---- the adapter --------------------------------------------------------- */

static void act_for_sockets(struct end *end)
{
    for (size_t i = 0; i < end->sock_count; i++) {
        struct sock *sock = &end->socks[i];
        if (!sock->is_open) {
            continue;
        }
        if (sock->is_broken) {
            link_failed(end->link, sock->conn);
            continue;
        }
        bool has_bytes = sock->read < sock->sent || sock->said_eof;
        if (has_bytes && (sock->wants & CONN_WANTS_READ) != 0) {
            link_readable(end->link, sock->conn);
        }
        if (sock->said_eof && !sock->told_eof) {
            sock->told_eof = true;
            link_half_closed(end->link, end->pair->now_ms, sock->conn);
        }
        size_t taken = take_held(sock);
        if (taken > 0) {
            link_written(end->link, sock->conn, taken);
        }
    }
}

static void read_sock(struct end *end, const struct link_read *read,
                      size_t room)
{
    static uint8_t frame[WIRE_HEADER_SIZE + FRAME_MAX];
    struct sock *sock = read->user;
    size_t length = sock->sent - sock->read;

    assert_true(sock->is_open && sock->conn == read->conn);
    assert_true(read->quota > 0);
    if (sock->is_broken) {
        link_failed(end->link, sock->conn);
        return;
    }
    length = length < read->quota ? length : read->quota;
    length = length < room ? length : room;
    if (length > 0) {
        bytes_at(sock, sock->read, frame + WIRE_HEADER_SIZE, length);
        sock->read += length;
        put_wire(end, frame,
                 link_emit_data(end->link, sock->conn, frame, length));
    } else if (sock->said_eof) {
        link_finished(end->link, sock->conn);
    } else {
        link_drained(end->link, sock->conn);
    }
}

static void emit(struct end *end, size_t capacity)
{
    static uint8_t bytes[CAPACITY];
    size_t room = end->pair->frame_max;
    struct link_read read;
    size_t used;

    room = room == 0 || room > FRAME_MAX ? FRAME_MAX : room;
    capacity = capacity < CAPACITY ? capacity : CAPACITY;
    used = link_emit(end->link, end->pair->now_ms, bytes, capacity);
    put_wire(end, bytes, used);
    while (capacity - used > WIRE_HEADER_SIZE &&
           link_next_read(end->link, &read)) {
        size_t left = capacity - used - WIRE_HEADER_SIZE;
        size_t before = end->wire_last;
        read_sock(end, &read, room < left ? room : left);
        used += end->wire_last - before;
    }
}

void pair_act(struct pair *pair, enum side side, size_t capacity)
{
    struct end *end = &pair->ends[side];
    struct link_change change;

    act_for_sockets(end);
    emit(end, capacity);
    while (link_next_change(end->link, &change)) {
        apply(end, &change);
    }
    assert_int_equal(link_wants(end->link) & LINK_HAS_CHANGES, 0);
}

size_t pair_under_way(const struct pair *pair, enum side side)
{
    const struct end *from = &pair->ends[side == SERVER ? AGENT : SERVER];

    return from->wire_last - from->wire_first;
}

void pair_deliver(struct pair *pair, enum side side, size_t length)
{
    struct end *to = &pair->ends[side];
    struct end *from = other(to);
    size_t there = pair_under_way(pair, side);
    struct span input = {from->wire + from->wire_first,
                         length < there ? length : there};
    struct link_event event;

    from->wire_first += input.length;
    while (link_receive(to->link, pair->now_ms, &input, &event)) {
        if (event.kind == LINK_DATA) {
            give(to, &event);
        } else if (to->refuses) {
            link_refuse(to->link, event.conn);
        } else {
            struct sock *sock = add_sock(to, event.conn);
            sock->stream = link_stream(to->link, event.conn);
            link_accept(to->link, event.conn, sock);
        }
    }
    assert_int_equal(input.length, 0);
    if (from->wire_first == from->wire_last) {
        from->wire_first = from->wire_last = 0;
    }
}

bool pair_is_at_rest(const struct pair *pair)
{
    for (int side = SERVER; side <= AGENT; side++) {
        const struct end *end = &pair->ends[side];
        if (link_wants(end->link) & (LINK_WANTS_OUTPUT | LINK_HAS_CHANGES) ||
            end->wire_first < end->wire_last) {
            return false;
        }
        for (size_t i = 0; i < end->sock_count; i++) {
            const struct sock *sock = &end->socks[i];
            bool has_bytes = sock->read < sock->sent || sock->said_eof;
            if (sock->is_open &&
                ((sock->held > 0 && sock->room > 0) ||
                 (has_bytes && sock->wants & CONN_WANTS_READ) ||
                 (sock->is_broken && !(sock->wants & CONN_WANTS_RESET)))) {
                return false;
            }
        }
    }
    return true;
}

void pair_run(struct pair *pair)
{
    int rounds = 0;

    do {
        assert_true(++rounds < ROUNDS_MAX);
        for (int side = SERVER; side <= AGENT; side++) {
            pair_act(pair, (enum side)side, CAPACITY);
            pair_deliver(pair, side == SERVER ? AGENT : SERVER, SIZE_MAX);
        }
    } while (!pair_is_at_rest(pair));
}

void pair_wait(struct pair *pair, uint64_t delay_ms)
{
    uint64_t until_ms = pair->now_ms + delay_ms;

    pair_run(pair);
    for (int rounds = 0;; rounds++) {
        uint64_t next_ms = until_ms;
        assert_true(rounds < ROUNDS_MAX);
        for (int side = SERVER; side <= AGENT; side++) {
            uint64_t deadline_ms = link_deadline(pair->ends[side].link);
            next_ms = deadline_ms < next_ms ? deadline_ms : next_ms;
        }
        pair->now_ms = next_ms > pair->now_ms ? next_ms : pair->now_ms;
        for (int side = SERVER; side <= AGENT; side++) {
            link_tick(pair->ends[side].link, pair->now_ms);
            assert_true(link_deadline(pair->ends[side].link) > pair->now_ms);
        }
        pair_run(pair);
        if (pair->now_ms >= until_ms) {
            return;
        }
    }
}

/* ---- beginning and end --------------------------------------------------- */

void pair_config(struct link_config *config, enum side side)
{
    link_config_default(config, side == SERVER ? MUX_SERVER : MUX_CLIENT);
    config->mux.ping_interval_ms = 0;
    if (side == SERVER) {
        config->mux.inbound_max = 0;
        config->mux.preface[0] = 0x01;
        config->mux.preface_length = 1;
    } else {
        config->mux.outbound_max = 0;
    }
}

static void start_end(struct pair *pair, enum side side,
                      const struct link_config *config)
{
    struct end *end = &pair->ends[side];
    size_t size = link_size(config);

    end->memory = calloc(1, size);
    assert_non_null(end->memory);
    end->link = link_init(end->memory, size, config, pair->now_ms);
}

static void start(struct pair *pair)
{
    memset(pair, 0, sizeof *pair);
    pair->now_ms = 1000;
    pair->ends[SERVER].pair = pair->ends[AGENT].pair = pair;
}

void pair_start(struct pair *pair, const struct link_config *server,
                const struct link_config *agent)
{
    struct link_config config;

    start(pair);
    pair_config(&config, SERVER);
    start_end(pair, SERVER, server != NULL ? server : &config);
    pair_config(&config, AGENT);
    start_end(pair, AGENT, agent != NULL ? agent : &config);
}

void pair_start_with(struct pair *pair, struct link *server,
                     const struct link_config *agent, uint32_t salt)
{
    struct link_config config;

    start(pair);
    pair->salt = salt;
    pair->ends[SERVER].link = server;
    pair_config(&config, AGENT);
    start_end(pair, AGENT, agent != NULL ? agent : &config);
}

void pair_end(struct pair *pair)
{
    for (int side = SERVER; side <= AGENT; side++) {
        free(pair->ends[side].memory);
        free(pair->ends[side].wire);
    }
}

struct sock *pair_adopt(struct pair *pair, uint32_t conn)
{
    struct end *server = &pair->ends[SERVER];
    struct sock *sock = link_user(server->link, conn);

    assert_ptr_equal(sock, &server->socks[server->sock_count]);
    (void)add_sock(server, conn);
    sock->stream = link_stream(server->link, conn);
    return sock;
}

struct sock *pair_connect(struct pair *pair, enum status *status)
{
    struct end *server = &pair->ends[SERVER];
    uint32_t conn;

    *status = link_open(server->link, pair->now_ms,
                        &server->socks[server->sock_count], &conn);
    return *status == STATUS_OK ? pair_adopt(pair, conn) : NULL;
}

struct sock *pair_open(struct pair *pair)
{
    enum status status;
    struct sock *sock = pair_connect(pair, &status);

    assert_int_equal(status, STATUS_OK);
    pair_run(pair);
    assert_non_null(sock->peer);
    return sock;
}

/* ---- for tests ----------------------------------------------------------- */

int pair_build(void **state)
{
    static struct pair pair;

    pair_start(&pair, NULL, NULL);
    *state = &pair;
    return 0;
}

int pair_drop(void **state)
{
    struct pair *pair = *state;

    link_invariant(pair->ends[SERVER].link);
    link_invariant(pair->ends[AGENT].link);
    pair_end(pair);
    return 0;
}

void sock_expect_reset(const struct sock *sock, enum status status)
{
    assert_false(sock->is_open);
    assert_true(sock->was_reset);
    assert_false(sock->was_closed);
    assert_int_equal(sock->status, status);
}

void sock_expect_closed(const struct sock *sock)
{
    assert_false(sock->is_open);
    assert_true(sock->was_closed);
    assert_false(sock->was_reset);
}

void pair_expect_empty(const struct pair *pair)
{
    assert_int_equal(link_conn_count(pair->ends[SERVER].link), 0);
    assert_int_equal(link_conn_count(pair->ends[AGENT].link), 0);
}
