/* IMPLEMENTATION NOTES
 *
 * A connection is a slot of an array that is touched from the front, as far as
 * it was ever needed. Its number (conn) is slot | generation << 16: a number
 * that was closed names nothing, and naming it breaks the contract. A slot that
 * lives is in one of two lists: `changed`, if its wants are not what
 * link_next_change() last returned, else `quiet`. Free slots form a stack.
 *
 * The two pipes of a connection, and what is remembered of each:
 *
 *   socket to stream   ready          mux was told that there are bytes
 *                      sent_all       the socket said 0: FIN was given to mux
 *   stream to socket   unwritten      handed over and not yet taken, bytes
 *                      received_all   the peer's FIN
 *
 * has_stream says that mux still knows the stream. It ends before its
 * connection does: cleanly (both pipes done, the last bytes may be unwritten),
 * or not, and then status says why and the socket gets a reset.
 *
 * When a connection lingers (should_linger), bytes lie somewhere and nobody
 * takes them although both ends have said their last word. Most calls here have
 * no clock, so a connection that begins to linger, or that made progress, gets
 * its deadline at the next tick, and link_deadline() asks for that tick at
 * once. The list is a queue in order of deadlines, the undated ones at its end.
 */
#include "core/link.h"

#include <stdalign.h>
#include <string.h>

#include "core/contract.h"

#define NONE UINT32_MAX /* of slots */
#define SLOT_MASK 0xffffu
#define UNDATED UINT64_MAX

/* The lists that a connection can be in, by the hook that it uses. */
enum hook_kind { HOOK_STATE, HOOK_LINGER, HOOKS };

struct hook {
    uint32_t next, previous; /* slots */
};

struct list {
    uint32_t first, last;
};

struct conn {
    void *user;
    uint64_t linger_until_ms; /* UNDATED until the next tick */
    struct hook hooks[HOOKS]; /* hooks[HOOK_STATE].next: also of free slots */
    uint32_t stream;
    uint32_t unwritten;
    enum status status;  /* why it wants a reset; else STATUS_OK */
    uint16_t generation; /* 1.., of the current or last use of the slot */
    uint8_t told;        /* wants as last returned by link_next_change() */
    bool lives : 1;
    bool is_offer : 1; /* not answered yet */
    bool is_outbound : 1;
    bool has_stream : 1;
    bool ready : 1;
    bool sent_all : 1;
    bool received_all : 1;
    bool half_closed : 1;
    bool lingers : 1;
    bool is_changed : 1;
};

_Static_assert(sizeof(struct conn) <= 64, "a cache line a connection");

struct link {
    struct mux *mux;
    struct conn *conns;
    struct link_config config;
    struct list changed, quiet, lingering;
    uint32_t free;     /* top of the stack */
    uint32_t touched;  /* slots below were used once */
    uint32_t count;    /* live connections, */
    uint32_t outbound; /* and those of them that we opened */
    uint32_t offer;    /* the slot that awaits its answer */
    bool peer_going_away;
};

/* ---- lists --------------------------------------------------------------- */

static void append(struct link *link, struct list *list, enum hook_kind kind,
                   struct conn *conn)
{
    uint32_t slot = (uint32_t)(conn - link->conns);
    struct hook *hook = &conn->hooks[kind];

    hook->next = NONE;
    hook->previous = list->last;
    if (list->last == NONE) {
        list->first = slot;
    } else {
        link->conns[list->last].hooks[kind].next = slot;
    }
    list->last = slot;
}

static void take_out(struct link *link, struct list *list, enum hook_kind kind,
                     struct conn *conn)
{
    struct hook *hook = &conn->hooks[kind];

    if (hook->previous == NONE) {
        list->first = hook->next;
    } else {
        link->conns[hook->previous].hooks[kind].next = hook->next;
    }
    if (hook->next == NONE) {
        list->last = hook->previous;
    } else {
        link->conns[hook->next].hooks[kind].previous = hook->previous;
    }
}

/* ---- slots --------------------------------------------------------------- */

static uint32_t number(const struct link *link, const struct conn *conn)
{
    return (uint32_t)(conn - link->conns) | (uint32_t)conn->generation << 16;
}

static struct conn *find(const struct link *link, uint32_t conn)
{
    struct conn *found = &link->conns[conn & SLOT_MASK];

    REQUIRE((conn & SLOT_MASK) < link->touched);
    REQUIRE(found->lives && found->generation == conn >> 16);
    return found;
}

/* A connection whose socket exists. */
static struct conn *find_answered(const struct link *link, uint32_t conn)
{
    struct conn *found = find(link, conn);

    REQUIRE(!found->is_offer);
    return found;
}

/* NULL: all slots of this direction are taken, by live streams or by what
 * sockets have not taken yet. */
static struct conn *allocate(struct link *link, bool is_outbound)
{
    const struct mux_config *mux = &link->config.mux;
    uint32_t inbound = link->count - link->outbound;
    struct conn *conn;

    if (is_outbound ? link->outbound == mux->outbound_max
                    : inbound == mux->inbound_max) {
        return NULL;
    }
    if (link->free != NONE) {
        conn = &link->conns[link->free];
        link->free = conn->hooks[HOOK_STATE].next;
    } else {
        conn = &link->conns[link->touched++];
    }
    uint16_t used = conn->generation; /* 0 is no generation */
    *conn = (struct conn){.generation =
                              used == UINT16_MAX ? 1 : (uint16_t)(used + 1),
                          .lives = true,
                          .is_outbound = is_outbound};
    append(link, &link->quiet, HOOK_STATE, conn);
    link->count++;
    link->outbound += is_outbound ? 1 : 0;
    return conn;
}

static void release(struct link *link, struct conn *conn)
{
    take_out(link, conn->is_changed ? &link->changed : &link->quiet, HOOK_STATE,
             conn);
    if (conn->lingers) {
        take_out(link, &link->lingering, HOOK_LINGER, conn);
    }
    link->count--;
    link->outbound -= conn->is_outbound ? 1 : 0;
    conn->lives = false;
    conn->hooks[HOOK_STATE].next = link->free;
    link->free = (uint32_t)(conn - link->conns);
}

/* ---- what a connection's state means ------------------------------------- */

/* Of a connection whose peer has said its last word. */
static bool is_clean(const struct conn *conn)
{
    return conn->sent_all && !conn->has_stream;
}

static unsigned wants_of(const struct conn *conn)
{
    if (conn->is_offer) {
        return 0;
    }
    if (conn->status != STATUS_OK) {
        return CONN_WANTS_RESET;
    }
    unsigned wants = 0;
    if (!conn->sent_all && !conn->ready) {
        wants |= CONN_WANTS_READ;
    }
    if (conn->received_all && conn->unwritten == 0) {
        wants |= is_clean(conn) ? CONN_WANTS_CLOSE : CONN_WANTS_FINISH;
    }
    return wants;
}

/* Both ends have said their last word and bytes lie somewhere (T13). */
static bool should_linger(const struct link *link, const struct conn *conn)
{
    if (conn->status != STATUS_OK || !conn->received_all) {
        return false;
    }
    if (conn->unwritten == 0) {
        /* in the socket, and the peer grants no window for them: an engine
         * that reads no more; beyond an agent it is a client who may (T11) */
        return conn->half_closed && !conn->sent_all &&
               !link->config.unread_lingers;
    }
    /* here, and the socket does not take them; a session that is gone cannot
     * wait for it any longer (AC-05) */
    return conn->sent_all &&
           (link->config.unread_lingers || mux_status(link->mux) != STATUS_OK);
}

/* Put the connection where its state belongs. */
static void settle(struct link *link, struct conn *conn)
{
    bool is_changed = wants_of(conn) != conn->told;
    bool lingers = should_linger(link, conn);

    if (is_changed != conn->is_changed) {
        take_out(link, is_changed ? &link->quiet : &link->changed, HOOK_STATE,
                 conn);
        append(link, is_changed ? &link->changed : &link->quiet, HOOK_STATE,
               conn);
        conn->is_changed = is_changed;
    }
    if (lingers != conn->lingers) {
        if (lingers) {
            conn->linger_until_ms = UNDATED;
            append(link, &link->lingering, HOOK_LINGER, conn);
        } else {
            take_out(link, &link->lingering, HOOK_LINGER, conn);
        }
        conn->lingers = lingers;
    }
}

/* Somebody took bytes: what lingers begins anew; not so what a lost session
 * left behind, which is bounded whatever its socket does. */
static void made_progress(struct link *link, struct conn *conn)
{
    if (conn->lingers && mux_status(link->mux) == STATUS_OK) {
        take_out(link, &link->lingering, HOOK_LINGER, conn);
        conn->linger_until_ms = UNDATED;
        append(link, &link->lingering, HOOK_LINGER, conn);
    }
}

static void fail_conn(struct link *link, struct conn *conn, enum status status)
{
    if (conn->has_stream) {
        mux_reset(link->mux, conn->stream);
        conn->has_stream = false;
    }
    if (conn->status == STATUS_OK) {
        conn->status = status;
    }
    settle(link, conn);
}

/* The session is over and all its streams with it. Those that come into
 * `changed` are met a second time, to no effect. */
static void fail_conns(struct link *link, enum status status)
{
    struct list all = link->quiet;

    for (int i = 0; i < 2; i++) {
        uint32_t slot = all.first;
        while (slot != NONE) {
            struct conn *conn = &link->conns[slot];
            slot = conn->hooks[HOOK_STATE].next;
            if (conn->has_stream) {
                conn->has_stream = false;
                conn->status = status;
            }
            settle(link, conn);
        }
        all = link->changed;
    }
}

/* ---- transport ----------------------------------------------------------- */

/* True: *event is set. False: the event was the link's own business. */
static bool offer(struct link *link, uint32_t stream, struct link_event *event)
{
    struct conn *conn = allocate(link, false);

    if (conn == NULL) {
        mux_reset(link->mux, stream);
        return false;
    }
    conn->stream = stream;
    conn->has_stream = true;
    conn->is_offer = true;
    link->offer = (uint32_t)(conn - link->conns);
    *event =
        (struct link_event){.kind = LINK_OFFERED, .conn = number(link, conn)};
    return true;
}

static bool hand_over(struct link *link, struct conn *conn, struct span data,
                      struct link_event *event)
{
    conn->unwritten += (uint32_t)data.length;
    *event = (struct link_event){.kind = LINK_DATA,
                                 .conn = number(link, conn),
                                 .user = conn->user,
                                 .data = data};
    return true;
}

static void end_stream(struct link *link, struct conn *conn, enum status status)
{
    conn->has_stream = false;
    conn->status = status;
    settle(link, conn);
}

/* True: *event is set. */
static bool handle(struct link *link, const struct mux_event *from,
                   struct link_event *event)
{
    struct conn *conn = from->user;

    switch (from->kind) {
    case MUX_STREAM_OFFERED:
        return offer(link, from->stream, event);
    case MUX_STREAM_DATA:
        return hand_over(link, conn, from->data, event);
    case MUX_STREAM_ACCEPTED:
        break;
    case MUX_STREAM_FINISHED:
        conn->received_all = true;
        settle(link, conn);
        break;
    case MUX_STREAM_ENDED:
        end_stream(link, conn, from->status);
        break;
    case MUX_PEER_GOING_AWAY:
        link->peer_going_away = true;
        break;
    case MUX_FAILED:
        fail_conns(link, from->status);
        break;
    }
    return false;
}

void link_heard(struct link *link, uint64_t now_ms)
{
    mux_heard(link->mux, now_ms);
}

bool link_receive(struct link *link, uint64_t now_ms, struct span *input,
                  struct link_event *event)
{
    struct mux_event from;
    bool is_set = false;

    REQUIRE(link->offer == NONE);
    while (!is_set && mux_receive(link->mux, now_ms, input, &from)) {
        is_set = handle(link, &from, event);
    }
    INVARIANT_ALL(link_invariant(link));
    return is_set;
}

size_t link_emit(struct link *link, uint64_t now_ms, uint8_t *bytes,
                 size_t capacity)
{
    return mux_emit_control(link->mux, now_ms, bytes, capacity);
}

void link_set_turn(struct link *link, uint32_t payload)
{
    mux_set_turn(link->mux, payload);
}

bool link_next_read(const struct link *link, struct link_read *read)
{
    struct mux_sender sender;

    if (!mux_next_sender(link->mux, &sender)) {
        return false;
    }
    const struct conn *conn = sender.user;
    *read = (struct link_read){number(link, conn), conn->user, sender.quota};
    return true;
}

size_t link_emit_data(struct link *link, uint32_t conn, uint8_t *frame,
                      size_t length)
{
    struct conn *sender = find_answered(link, conn);

    REQUIRE(sender->has_stream && sender->ready);
    size_t size = mux_emit_data(link->mux, sender->stream, frame, length);
    made_progress(link, sender);
    INVARIANT_ALL(link_invariant(link));
    return size;
}

void link_fail(struct link *link, enum status status)
{
    fail_conns(link, mux_fail(link->mux, status));
    INVARIANT_ALL(link_invariant(link));
}

void link_go_away(struct link *link, bool tell_peer)
{
    mux_go_away(link->mux, tell_peer);
}

/* ---- connections --------------------------------------------------------- */

enum status link_open(struct link *link, uint64_t now_ms, void *user,
                      uint32_t *conn)
{
    struct conn *opened = allocate(link, true);

    if (opened == NULL) {
        return mux_status(link->mux) == STATUS_OK ? STATUS_NO_STREAM_SLOT
                                                  : STATUS_SESSION_CLOSED;
    }
    enum status status = mux_open(link->mux, now_ms, opened, &opened->stream);
    if (status != STATUS_OK) {
        release(link, opened);
    } else {
        opened->user = user;
        opened->has_stream = true;
        settle(link, opened);
        *conn = number(link, opened);
    }
    INVARIANT_ALL(link_invariant(link));
    return status;
}

void link_accept(struct link *link, uint32_t conn, void *user)
{
    struct conn *offered = find(link, conn);

    REQUIRE(offered->is_offer);
    offered->is_offer = false;
    offered->user = user;
    link->offer = NONE;
    if (offered->has_stream) {
        mux_accept(link->mux, offered->stream, offered);
    }
    settle(link, offered);
    INVARIANT_ALL(link_invariant(link));
}

void link_refuse(struct link *link, uint32_t conn)
{
    struct conn *offered = find(link, conn);

    REQUIRE(offered->is_offer);
    link->offer = NONE;
    if (offered->has_stream) {
        mux_reset(link->mux, offered->stream);
    }
    release(link, offered);
    INVARIANT_ALL(link_invariant(link));
}

static void set_ready(struct link *link, struct conn *conn, bool ready)
{
    if (conn->has_stream && !conn->sent_all && conn->ready != ready) {
        mux_ready(link->mux, conn->stream, ready);
        conn->ready = ready;
        settle(link, conn);
    }
}

void link_readable(struct link *link, uint32_t conn)
{
    set_ready(link, find_answered(link, conn), true);
    INVARIANT_ALL(link_invariant(link));
}

void link_drained(struct link *link, uint32_t conn)
{
    set_ready(link, find_answered(link, conn), false);
    INVARIANT_ALL(link_invariant(link));
}

void link_finished(struct link *link, uint32_t conn)
{
    struct conn *finished = find_answered(link, conn);

    if (finished->has_stream && !finished->sent_all) {
        finished->sent_all = true;
        finished->has_stream = !mux_finish(link->mux, finished->stream);
        settle(link, finished);
    }
    INVARIANT_ALL(link_invariant(link));
}

void link_failed(struct link *link, uint32_t conn)
{
    fail_conn(link, find_answered(link, conn), STATUS_LOCAL_FAILED);
    INVARIANT_ALL(link_invariant(link));
}

void link_written(struct link *link, uint32_t conn, size_t length)
{
    struct conn *written = find_answered(link, conn);

    REQUIRE(length <= written->unwritten);
    if (length > 0) {
        written->unwritten -= (uint32_t)length;
        if (written->has_stream) {
            mux_consume(link->mux, written->stream, length);
        }
        settle(link, written);
        made_progress(link, written);
    }
    INVARIANT_ALL(link_invariant(link));
}

/* From now on the undated ones linger. */
static void date(struct link *link, uint64_t now_ms)
{
    uint32_t slot = link->lingering.last;

    while (slot != NONE && link->conns[slot].linger_until_ms == UNDATED) {
        link->conns[slot].linger_until_ms = now_ms + link->config.linger_ms;
        slot = link->conns[slot].hooks[HOOK_LINGER].previous;
    }
}

void link_half_closed(struct link *link, uint64_t now_ms, uint32_t conn)
{
    struct conn *half_closed = find_answered(link, conn);

    half_closed->half_closed = true;
    settle(link, half_closed);
    date(link, now_ms);
    INVARIANT_ALL(link_invariant(link));
}

void link_closed(struct link *link, uint32_t conn)
{
    struct conn *closed = find_answered(link, conn);

    if (closed->has_stream) {
        mux_reset(link->mux, closed->stream);
    }
    release(link, closed);
    INVARIANT_ALL(link_invariant(link));
}

bool link_next_change(struct link *link, struct link_change *change)
{
    if (link->changed.first == NONE) {
        return false;
    }
    struct conn *conn = &link->conns[link->changed.first];
    conn->told = (uint8_t)wants_of(conn);
    *change = (struct link_change){.conn = number(link, conn),
                                   .user = conn->user,
                                   .wants = conn->told,
                                   .status = conn->status};
    settle(link, conn);
    INVARIANT_ALL(link_invariant(link));
    return true;
}

unsigned link_conn_wants(const struct link *link, uint32_t conn)
{
    return wants_of(find_answered(link, conn));
}

uint32_t link_stream(const struct link *link, uint32_t conn)
{
    return find(link, conn)->stream;
}

void *link_user(const struct link *link, uint32_t conn)
{
    return find_answered(link, conn)->user;
}

size_t link_unwritten(const struct link *link, uint32_t conn)
{
    return find_answered(link, conn)->unwritten;
}

/* ---- time and questions -------------------------------------------------- */

void link_tick(struct link *link, uint64_t now_ms)
{
    struct link_event event;
    struct mux_event from;

    REQUIRE(link->offer == NONE);
    date(link, now_ms);
    while (link->lingering.first != NONE &&
           link->conns[link->lingering.first].linger_until_ms <= now_ms) {
        fail_conn(link, &link->conns[link->lingering.first],
                  STATUS_NOBODY_READS);
    }
    while (mux_tick(link->mux, now_ms, &from)) {
        bool is_set = handle(link, &from, &event);
        INVARIANT(!is_set); /* time brings no bytes and no offers */
        (void)is_set;
    }
    INVARIANT_ALL(link_invariant(link));
}

uint64_t link_deadline(const struct link *link)
{
    uint64_t deadline_ms = mux_deadline(link->mux);

    if (link->lingering.first == NONE) {
        return deadline_ms;
    }
    if (link->conns[link->lingering.last].linger_until_ms == UNDATED) {
        return 0;
    }
    uint64_t linger_ms = link->conns[link->lingering.first].linger_until_ms;
    return linger_ms < deadline_ms ? linger_ms : deadline_ms;
}

unsigned link_wants(const struct link *link)
{
    unsigned mux = mux_wants(link->mux);

    return (mux & MUX_WANTS_OUTPUT ? LINK_WANTS_OUTPUT : 0u) |
           (mux & MUX_IS_OVER ? LINK_IS_OVER : 0u) |
           (mux & MUX_IDS_ARE_LOW ? LINK_IDS_ARE_LOW : 0u) |
           (link->changed.first != NONE ? LINK_HAS_CHANGES : 0u);
}

enum status link_status(const struct link *link)
{
    return mux_status(link->mux);
}

bool link_peer_going_away(const struct link *link)
{
    return link->peer_going_away;
}

uint32_t link_conn_count(const struct link *link)
{
    return link->count;
}

const struct mux_counters *link_counters(const struct link *link)
{
    return mux_counters(link->mux);
}

uint64_t link_rtt_ms(const struct link *link)
{
    return mux_rtt_ms(link->mux);
}

/* ---- beginning ----------------------------------------------------------- */

static size_t aligned(size_t size)
{
    return (size + alignof(max_align_t) - 1) / alignof(max_align_t) *
           alignof(max_align_t);
}

void link_config_default(struct link_config *config, enum mux_role role)
{
    *config = (struct link_config){.linger_ms = 5000,
                                   .unread_lingers = role == MUX_CLIENT};
    mux_config_default(&config->mux, role);
}

size_t link_size(const struct link_config *config)
{
    size_t conns_max =
        (size_t)config->mux.outbound_max + config->mux.inbound_max;

    REQUIRE(conns_max <= SLOT_MASK + 1);
    return aligned(sizeof(struct link)) + aligned(mux_size(&config->mux)) +
           conns_max * sizeof(struct conn);
}

struct link *link_init(void *memory, size_t size,
                       const struct link_config *config, uint64_t now_ms)
{
    const struct list empty = {NONE, NONE};
    size_t mux_room = aligned(mux_size(&config->mux));
    uint8_t *bytes = memory;
    struct link *link = memory;

    REQUIRE((uintptr_t)memory % alignof(max_align_t) == 0);
    REQUIRE(size >= link_size(config));
    REQUIRE(config->linger_ms <= UINT32_MAX);
    bytes += aligned(sizeof *link);
    link->mux = mux_init(bytes, mux_room, &config->mux, now_ms);
    link->conns = (struct conn *)(void *)(bytes + mux_room);
    link->config = *config;
    link->changed = link->quiet = link->lingering = empty;
    link->free = link->offer = NONE;
    return link;
}

/* ---- invariant ----------------------------------------------------------- */

static void check_conn(const struct link *link, const struct conn *conn)
{
    INVARIANT(conn->lives && conn->generation > 0);
    INVARIANT(conn->is_changed == (wants_of(conn) != conn->told));
    INVARIANT(conn->lingers == should_linger(link, conn));
    INVARIANT(conn->unwritten <=
              link->config.mux.recv_window + link->config.mux.growth_max);
    /* a stream never outlives its connection's good end */
    INVARIANT(!conn->has_stream || conn->status == STATUS_OK);
    INVARIANT(!conn->has_stream || mux_is_live(link->mux, conn->stream));
    INVARIANT(!conn->has_stream || mux_status(link->mux) == STATUS_OK);
    /* without a stream it is clean or has a reason (O2) */
    INVARIANT(conn->has_stream || conn->status != STATUS_OK ||
              (conn->received_all && is_clean(conn)));
    INVARIANT(!conn->is_offer || &link->conns[link->offer] == conn);
}

/* Returns how many conns are in the list. */
static uint32_t check_list(const struct link *link, const struct list *list,
                           enum hook_kind kind)
{
    uint32_t count = 0;
    uint32_t previous = NONE;

    for (uint32_t slot = list->first; slot != NONE;
         slot = link->conns[slot].hooks[kind].next) {
        INVARIANT(slot < link->touched && count < link->touched);
        INVARIANT(link->conns[slot].hooks[kind].previous == previous);
        check_conn(link, &link->conns[slot]);
        previous = slot;
        count++;
    }
    INVARIANT(list->last == previous);
    return count;
}

void link_invariant(const struct link *link)
{
    uint32_t live = check_list(link, &link->changed, HOOK_STATE) +
                    check_list(link, &link->quiet, HOOK_STATE);
    uint32_t free = 0;
    uint64_t previous_ms = 0;

    INVARIANT(live == link->count && link->outbound <= link->count);
    INVARIANT(mux_stream_count(link->mux) <= link->count);
    for (uint32_t slot = link->free; slot != NONE;
         slot = link->conns[slot].hooks[HOOK_STATE].next) {
        INVARIANT(!link->conns[slot].lives && free < link->touched);
        free++;
    }
    INVARIANT(live + free == link->touched);
    (void)check_list(link, &link->lingering, HOOK_LINGER);
    for (uint32_t slot = link->lingering.first; slot != NONE;
         slot = link->conns[slot].hooks[HOOK_LINGER].next) {
        INVARIANT(link->conns[slot].linger_until_ms >= previous_ms);
        previous_ms = link->conns[slot].linger_until_ms;
    }
}
