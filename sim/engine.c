/* engine.c: see engine.h.
 *
 * Implementation notes. A talk is one connection. It reads heads as a pipeline
 * of one after the other, whatever came at once; takes the request's body
 * before it answers (or, hijacked, while it does); and says its answer from a
 * generator, so that size costs nothing. Moods act through two things only:
 * held (nothing is said) and the source's stop_at (what is said stops there).
 */
#include "sim/engine.h"

#include <inttypes.h>
#include <stdio.h>

#include "sim/content.h"
#include "sim/health.h"
#include "sim/message.h"
#include "sim/request.h"
#include "sim/server.h"

#define INPUT_SIZE 16384u
#define BACKLOG 128u
#define EARLY_READ (UINT64_C(256) * 1024) /* of a body, after its answer */
#define SLOW_PIECES 16u /* about, of an answer with a delay between them */
#define TRICKLE_US UINT64_C(500)
#define TRICKLE_BYTES 400u
#define LINGER_LEAST_US                                  \
    (5 * SIM_S) /* less may be too short for a slow link \
                 */
#define BIND_AGAIN_US (100 * SIM_MS)

enum phase {
    PHASE_HEAD,     /* between two requests, or inside a head */
    PHASE_EXCHANGE, /* a body is taken, or an answer said */
    PHASE_LINGER    /* FIN was said; what comes is dropped */
};

struct talk {
    struct engine *engine;
    struct talk *next, *previous;
    struct socket *socket;
    struct process *peer;
    uint64_t peer_lives;
    struct task task;
    bool is_waiting; /* for the task */
    enum phase phase;
    struct message message;
    struct source source;
    struct request *request; /* NULL: none, or an unknown one */
    enum engine_mood mood;
    bool is_held;
    bool answers; /* the source has begun */
    bool is_hijacked;
    bool is_last;
    bool is_finished; /* FIN was said */
    bool peer_finished;
    bool has_waited; /* a hijack's delay is over */
    uint64_t linger_left;
    size_t from, to; /* of input: not yet looked at */
    uint8_t input[INPUT_SIZE];
};

struct engine {
    struct site *site;
    struct sim *sim;
    struct listener *listener; /* NULL: dead, or could not bind */
    struct task task;          /* the mood's end, or binding again */
    struct talk *talks;
    enum engine_mood mood;
    uint64_t bad_until_us; /* the last moment it was not good */
    bool is_alive;
    bool is_healed;
    enum engine_lie lie;
};

/* What a talk's function has come to. */
enum progress { IDLE, MOVED, GONE };

static void run(struct talk *talk);

/* ---- the end of a talk --------------------------------------------------- */

static void forget(struct talk *talk)
{
    struct engine *engine = talk->engine;

    task_stop(&talk->task);
    if (talk->previous != NULL) {
        talk->previous->next = talk->next;
    } else {
        engine->talks = talk->next;
    }
    if (talk->next != NULL) {
        talk->next->previous = talk->previous;
    }
    sim_release(engine->sim, talk);
}

static void set_fate(struct talk *talk, enum request_fate fate)
{
    if (talk->request != NULL && talk->request->fate == FATE_UNDER_WAY) {
        talk->request->fate = fate;
    }
}

static enum progress end(struct talk *talk, bool with_reset)
{
    set_fate(talk, with_reset ? FATE_RESET : FATE_ABANDONED);
    if (with_reset) {
        socket_reset(talk->socket);
    } else {
        socket_close(talk->socket);
    }
    forget(talk);
    return GONE;
}

/* Say FIN, and hear the other side out; beyond most bytes it is not heard any
 * more, and what is unread then makes the close a reset, as dockerd's does. */
static enum progress linger(struct talk *talk, uint64_t most)
{
    socket_finish(talk->socket);
    talk->is_finished = true;
    talk->phase = PHASE_LINGER;
    talk->linger_left = most;
    return MOVED;
}

/* ---- the other side ------------------------------------------------------ */

static struct remote_ways ways_of(const struct talk *talk)
{
    const struct site *site = talk->engine->site;

    if (talk->peer == &site->world->clients_process) {
        return (struct remote_ways){.ends_well = true};
    }
    return health_ways(site);
}

/* A FIN came where the client's words were not at an end: somebody on the way
 * made it up (O2, L-04), unless it was the kernel of a process that died. */
static void judge_early_finish(const struct talk *talk)
{
    const struct request *request = talk->request;
    bool peer_lives = talk->peer != NULL && talk->peer->alive &&
                      talk->peer->lives == talk->peer_lives;

    if (request != NULL && ways_of(talk).ends_well && peer_lives &&
        !(request->is_finished && request->taken == request->said)) {
        sim_fail(talk->engine->sim, "fin",
                 "engine %" PRIu32 ": FIN after %" PRIu64 " of %" PRIu64
                 " bytes of what comes with request %" PRIu64
                 ", whose client has %s",
                 talk->engine->site->index, request->taken, request->takes,
                 request->number,
                 request->is_finished ? "said more" : "not finished");
    }
}

/* A reset came where the client has said its last word, and has gone well: it
 * was cut off, though it was under way (L-03, T13). */
static void judge_reset(const struct talk *talk)
{
    const struct request *request = talk->request;
    const struct site *site = talk->engine->site;

    if (talk->is_hijacked && request->health != NULL && request->is_finished &&
        !request->is_aborted && request->taken < request->said &&
        ways_of(talk).ends_well &&
        (site->world->server == NULL ||
         server_linger_us(site->world->server) >= LINGER_LEAST_US) &&
        health_is_unbroken(request->health, site)) {
        sim_fail(talk->engine->sim, "cut",
                 "engine %" PRIu32 ": reset after %" PRIu64 " of %" PRIu64
                 " bytes that the client of request %" PRIu64
                 " has said before its FIN",
                 site->index, request->taken, request->said, request->number);
    }
}

static enum fault_state state_of(const struct engine *engine)
{
    const struct site *site = engine->site;

    return site->world->server != NULL ? server_state(site->world->server, site)
                                       : FAULT_STATE_NONE;
}

/* ---- answers ------------------------------------------------------------- */

static uint64_t now_of(const struct talk *talk)
{
    return sim_now_us(talk->engine->sim);
}

static unsigned status_of(const struct talk *talk)
{
    enum request_kind kind = talk->request->kind;

    if (talk->mood == ENGINE_ERRORS) {
        return 500;
    }
    if (talk->mood == ENGINE_EARLY && talk->message.framing != MESSAGE_EMPTY) {
        return 400;
    }
    if (kind == REQUEST_ATTACH) {
        return 101;
    }
    return kind == REQUEST_CREATE ? 201 : 200;
}

/* Where the mood stops it, if it does: anywhere before the answer's end. */
static uint64_t stop_of(struct talk *talk, uint64_t content)
{
    struct chance chance = chance_of(talk->request->draw, "stop", 0);
    uint64_t head = talk->source.text_length;

    switch (talk->mood) {
    case ENGINE_HANGS_LATER:
    case ENGINE_HALF_ANSWER:
    case ENGINE_RESETS:
        if (chance_in(&chance, 1, 8)) {
            return 0; /* not a word: who asked may ask again */
        }
        if (content == 0 || chance_in(&chance, 1, 4)) {
            return chance_between(&chance, 1, head - 1);
        }
        return head + chance_between(&chance, 0, content - 1);
    case ENGINE_TRICKLES:
        return 1;
    case ENGINE_GOOD:
    case ENGINE_HANGS:
    case ENGINE_REFUSES:
    case ENGINE_ERRORS:
    case ENGINE_GARBAGE:
    case ENGINE_EARLY:
    case ENGINE_MOODS:
        break;
    }
    return UINT64_MAX;
}

static void say_garbage(struct talk *talk)
{
    static const char *const words[] = {
        "220 mail.example ready\r\n", "HTTP/1.1 twohundred OK\r\n\r\n",
        "\x16\x03\x01", "HTTP/9.9 200 OK\r\n\r\n"};
    struct chance chance = chance_of(talk->request->draw, "garbage", 0);

    source_print(&talk->source, "%s", words[chance_below(&chance, 4)]);
    talk->request->status = 0;
    talk->is_last = true;
}

static void say_head(struct talk *talk, unsigned status, bool is_chunked)
{
    static const struct {
        unsigned status;
        const char *text;
    } texts[] = {{101, "UPGRADED"},  {200, "OK"},
                 {201, "Created"},   {400, "Bad Request"},
                 {404, "Not Found"}, {500, "Internal Server Error"}};
    const struct request *request = talk->request;
    uint64_t number = request != NULL ? request->number : 0;
    size_t i = 0;

    while (texts[i].status != status) {
        i++;
    }
    if (talk->engine->lie == LIE_OTHER_REQUEST) {
        talk->engine->lie = LIE_NONE;
        number++;
    }
    source_print(&talk->source,
                 "HTTP/1.1 %u %s\r\nApi-Version: 1.41\r\n"
                 "X-Engine: %" PRIu32 " %" PRIu64 "\r\n",
                 status, texts[i].text, talk->engine->site->index, number);
    if (status == 101) {
        source_print(&talk->source,
                     "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n");
        return;
    }
    if (is_chunked) {
        source_print(&talk->source, "Transfer-Encoding: chunked\r\n");
    } else {
        source_print(&talk->source, "Content-Length: %" PRIu64 "\r\n",
                     request != NULL ? request->answer : 0);
    }
    source_print(&talk->source, "%s\r\n",
                 talk->is_last ? "Connection: close\r\n" : "");
}

static uint64_t key_of_answer(struct talk *talk)
{
    struct engine *engine = talk->engine;
    struct world *world = engine->site->world;

    if (engine->lie == LIE_OTHER_SITE && talk->request->answer >= 16) {
        engine->lie = LIE_NONE;
        return content_key(sim_seed(world->sim), engine->site->index + 1,
                           talk->request->number, true);
    }
    return request_key(world, talk->request, true);
}

/* A lie in the middle of the content is told when the source stops there. */
static bool lies_in_the_middle(const struct talk *talk)
{
    enum engine_lie lie = talk->engine->lie;

    return talk->request->answer >= 16 &&
           (lie == LIE_WRONG_BYTE || lie == LIE_DOUBLED_CHUNK ||
            lie == LIE_SHORT_FIN);
}

static enum progress begin_answer(struct talk *talk)
{
    struct request *request = talk->request;
    enum request_kind kind = request->kind;
    unsigned status = status_of(talk);
    bool is_chunked = (status == 200 || status == 201) &&
                      (kind == REQUEST_LOGS || kind == REQUEST_EVENTS ||
                       kind == REQUEST_BUILD);
    uint64_t content = 0;

    if (talk->engine->lie == LIE_RESET) {
        return end(talk, true);
    }
    talk->is_held = talk->is_held || talk->engine->lie == LIE_SILENT;
    talk->answers = true;
    source_begin(&talk->source, request->draw);
    request->status = status;
    request->answer = request->bytes;
    request->answered_us = now_of(talk);
    if (status >= 400) {
        request->answer = 1 + request->draw % 300;
        talk->is_last = talk->is_last || status == 400;
    }
    if (talk->mood == ENGINE_GARBAGE) {
        say_garbage(talk);
        return MOVED;
    }
    say_head(talk, status, is_chunked);
    if (kind != REQUEST_PING_HEAD) {
        content = request->answer;
        source_body(&talk->source, key_of_answer(talk), content, is_chunked);
    }
    talk->is_hijacked = status == 101;
    talk->source.stops_often = is_chunked && request->delay_ms > 0;
    if (talk->source.stops_often &&
        talk->source.chunk_most < content / SLOW_PIECES + 1) {
        talk->source.chunk_most = (uint32_t)(content / SLOW_PIECES) + 1;
    }
    talk->source.stop_at = stop_of(talk, content);
    if (lies_in_the_middle(talk) ||
        (talk->is_hijacked && talk->mood == ENGINE_GOOD &&
         (request->order == ORDER_CLIENT || request->delay_ms > 0))) {
        talk->source.stop_at = talk->source.text_length + content / 2;
    }
    return MOVED;
}

/* What is no request of this world. */
static void begin_refusal(struct talk *talk, unsigned status)
{
    talk->answers = true;
    talk->is_last = true;
    talk->phase = PHASE_EXCHANGE;
    source_begin(&talk->source, 0);
    say_head(talk, status, false);
}

static void wait_for(struct talk *talk, uint64_t us)
{
    if (talk->engine->is_healed) {
        us = 0;
    }
    talk->is_waiting = true;
    task_set(&talk->task, now_of(talk) + us);
}

/* All of the answer is said. */
static enum progress end_answer(struct talk *talk)
{
    bool is_body_left = talk->phase == PHASE_EXCHANGE && !talk->is_hijacked &&
                        talk->request != NULL && !talk->message.is_whole;

    set_fate(talk, FATE_ANSWERED);
    talk->answers = false;
    if (talk->is_hijacked) {
        socket_finish(talk->socket);
        talk->is_finished = true;
        if (!talk->peer_finished) {
            sim_met(talk->engine->sim, MET_HIJACK_ENGINE_FIRST);
            return MOVED;
        }
        return end(talk, false);
    }
    if (is_body_left || talk->is_last) {
        return linger(talk, is_body_left ? EARLY_READ : UINT64_MAX);
    }
    talk->phase = PHASE_HEAD;
    talk->request = NULL;
    message_begin(&talk->message);
    return MOVED;
}

static enum progress lie_now(struct talk *talk)
{
    struct engine *engine = talk->engine;
    enum engine_lie lie = engine->lie;
    struct source *source = &talk->source;
    size_t done = 0;
    uint8_t byte;

    engine->lie = LIE_NONE;
    source->stop_at = UINT64_MAX;
    if (lie == LIE_SHORT_FIN) {
        set_fate(talk, FATE_ANSWERED);
        return linger(talk, UINT64_MAX);
    }
    if (lie == LIE_DOUBLED_CHUNK) {
        source->offset -= 8;
        return MOVED;
    }
    content_fill(source->key, source->offset, &byte, 1);
    byte ^= 1;
    (void)socket_send(talk->socket, &byte, 1, &done);
    source->offset += done;
    source->left -= done;
    source->chunk_left -= done;
    source->total += done;
    return MOVED;
}

/* The source has come to where it was told to stop. */
static enum progress stop_answer(struct talk *talk)
{
    struct source *source = &talk->source;

    if (lies_in_the_middle(talk)) {
        return lie_now(talk);
    }
    switch (talk->mood) {
    case ENGINE_HALF_ANSWER:
        set_fate(talk, FATE_CUT);
        return linger(talk, UINT64_MAX);
    case ENGINE_RESETS:
        return end(talk, true);
    case ENGINE_HANGS_LATER:
        return IDLE;
    case ENGINE_TRICKLES:
        source->stop_at =
            source->total < TRICKLE_BYTES ? source->total + 1 : UINT64_MAX;
        wait_for(talk, TRICKLE_US);
        return IDLE;
    case ENGINE_GOOD:
    case ENGINE_HANGS:
    case ENGINE_REFUSES:
    case ENGINE_ERRORS:
    case ENGINE_GARBAGE:
    case ENGINE_EARLY:
    case ENGINE_MOODS:
        break;
    }
    /* a hijack's last half: after the client's last word, and the delay */
    if (talk->request->order == ORDER_CLIENT && !talk->peer_finished) {
        return IDLE;
    }
    if (!talk->has_waited && talk->request->delay_ms > 0) {
        talk->has_waited = true;
        wait_for(talk, talk->request->delay_ms * SIM_MS);
        return IDLE;
    }
    source->stop_at = UINT64_MAX;
    return MOVED;
}

static enum progress answer(struct talk *talk)
{
    struct source *source = &talk->source;
    uint64_t before = source->total;
    enum source_result result;

    if (!talk->answers || talk->is_held || talk->is_waiting) {
        return IDLE;
    }
    result = source_pour(source, talk->socket);
    if (talk->request != NULL) {
        talk->request->sent = source->total;
        talk->request->is_head_sent = talk->request->is_head_sent ||
                                      source->offset > 0 ||
                                      source->text_done == source->text_length;
    }
    switch (result) {
    case SOURCE_DONE:
        return end_answer(talk);
    case SOURCE_STOPPED:
        return stop_answer(talk);
    case SOURCE_PIECE:
        wait_for(talk, talk->request->delay_ms * SIM_MS);
        return IDLE;
    case SOURCE_BROKEN:
        return end(talk, false);
    case SOURCE_WAITS:
        break;
    }
    return source->total > before ? MOVED : IDLE;
}

/* ---- requests ------------------------------------------------------------ */

static void expect_mine(struct talk *talk, const struct request *request)
{
    const struct engine *engine = talk->engine;

    request_expect_head(engine->site->world, request, &talk->message);
    if (request->site != engine->site->index) {
        sim_fail(engine->sim, "identity",
                 "request %" PRIu64 " for site %" PRIu32
                 " reached the engine of site %" PRIu32,
                 request->number, request->site, engine->site->index);
    }
    if (ways_of(talk).filters && !request_passes(request->kind)) {
        sim_fail(engine->sim, "policy",
                 "%s reached engine %" PRIu32
                 " through an agent that must refuse it",
                 request_text(request), engine->site->index);
    }
}

static void mark_mood(const struct engine *engine, enum engine_mood mood)
{
    if (mood == ENGINE_HANGS || mood == ENGINE_HANGS_LATER) {
        sim_fault(engine->sim, FAULT_ENGINE_HANG, state_of(engine));
    } else if (mood == ENGINE_HALF_ANSWER || mood == ENGINE_RESETS) {
        sim_fault(engine->sim, FAULT_ENGINE_HALF_ANSWER, state_of(engine));
    }
}

/* A head is whole. */
static enum progress begin_request(struct talk *talk)
{
    struct engine *engine = talk->engine;
    uint64_t number = request_number(talk->message.head);
    struct request *request = request_find(engine->site->world, number);
    enum progress progress = MOVED;

    if (request == NULL) {
        begin_refusal(talk, 404);
        return MOVED;
    }
    expect_mine(talk, request);
    talk->request = request;
    talk->mood = engine->mood;
    talk->is_held = talk->mood == ENGINE_HANGS;
    talk->is_last = request->is_last || ways_of(talk).one_request;
    talk->phase = PHASE_EXCHANGE;
    talk->has_waited = false;
    mark_mood(engine, talk->mood);
    request->sightings++;
    if (request->sightings > 1) {
        sim_met(engine->sim, MET_SENT_AGAIN);
    }
    request->fate = FATE_UNDER_WAY;
    request->sent = 0;
    request->taken = 0;
    request->status = 0;
    request->is_head_sent = false;
    message_begin_body(&talk->message, false, false);
    if (talk->message.framing == MESSAGE_EMPTY) {
        progress = begin_answer(talk);
    } else if (talk->mood == ENGINE_EARLY) {
        sim_met(engine->sim, MET_EARLY_ANSWER);
        progress = begin_answer(talk);
    }
    if (progress == MOVED && talk->is_hijacked) {
        talk->message.framing = MESSAGE_UNTIL_END;
        talk->message.is_whole = false;
    }
    return progress;
}

static enum progress read_head(struct talk *talk)
{
    size_t used = message_read_head(&talk->message, talk->input + talk->from,
                                    talk->to - talk->from);

    talk->from += used;
    if (talk->message.is_broken) {
        talk->from = talk->to;
        begin_refusal(talk, 400);
        return MOVED;
    }
    if (talk->message.has_head) {
        return begin_request(talk);
    }
    return talk->peer_finished && talk->from == talk->to ? end(talk, false)
           : used > 0                                    ? MOVED
                                                         : IDLE;
}

static void check_content(struct talk *talk, const uint8_t *data, size_t length)
{
    struct request *request = talk->request;
    uint64_t key = request_key(talk->engine->site->world, request, false);
    size_t same = content_compare(key, request->taken, data, length);

    if (same < length || request->taken + length > request->takes) {
        sim_fail(talk->engine->sim, "prefix",
                 "engine %" PRIu32 ": byte %" PRIu64 " of the %" PRIu64
                 " that come with request %" PRIu64 " is not the client's",
                 talk->engine->site->index, request->taken + same,
                 request->takes, request->number);
    }
    request->taken += length;
}

/* The request's body, or what is said on a hijacked connection. */
static enum progress take_body(struct talk *talk)
{
    const uint8_t *data = NULL;
    size_t length = 0;
    size_t used = message_read_body(&talk->message, talk->input + talk->from,
                                    talk->to - talk->from, &data, &length);

    talk->from += used;
    if (length > 0) {
        check_content(talk, data, length);
    }
    if (talk->message.is_broken) {
        sim_fail(talk->engine->sim, "prefix",
                 "engine %" PRIu32 ": the body of request %" PRIu64
                 " is not framed as its client did",
                 talk->engine->site->index, talk->request->number);
    }
    if (talk->message.is_whole && !talk->answers) {
        return begin_answer(talk);
    }
    return used > 0 ? MOVED : IDLE;
}

/* The client's FIN, seen in the middle of an exchange. */
static enum progress take_finish(struct talk *talk)
{
    if (talk->message.is_whole) {
        return IDLE; /* the answer is still due */
    }
    judge_early_finish(talk);
    if (!talk->is_hijacked) {
        return end(talk, false);
    }
    if (talk->is_finished) {
        return end(talk, false);
    }
    sim_met(talk->engine->sim, MET_HIJACK_CLIENT_FIRST);
    return IDLE;
}

static enum progress exchange(struct talk *talk)
{
    enum progress progress = IDLE;

    if (talk->request != NULL) {
        progress = take_body(talk);
        if (progress == GONE) {
            return GONE;
        }
        if (talk->peer_finished && talk->from == talk->to) {
            enum progress after = take_finish(talk);

            if (after == GONE) {
                return GONE;
            }
        }
    }
    if (talk->phase == PHASE_EXCHANGE) {
        enum progress after = answer(talk);

        progress = after == IDLE ? progress : after;
    }
    return progress;
}

/* ---- connections --------------------------------------------------------- */

static enum progress drop_input(struct talk *talk)
{
    size_t length = talk->to - talk->from;

    talk->from = talk->to;
    talk->linger_left =
        length < talk->linger_left ? talk->linger_left - length : 0;
    if (talk->peer_finished || talk->linger_left == 0) {
        return end(talk, false);
    }
    return length > 0 ? MOVED : IDLE;
}

/* Is there room, and a wish, for what comes next? */
static bool wants_input(const struct talk *talk)
{
    return talk->from == talk->to &&
           (talk->phase != PHASE_LINGER || talk->linger_left > 0);
}

static enum progress receive(struct talk *talk)
{
    size_t done = 0;

    if (!wants_input(talk)) {
        return socket_peer_gone(talk->socket) && talk->phase == PHASE_LINGER
                   ? end(talk, false)
                   : IDLE;
    }
    talk->from = 0;
    talk->to = 0;
    switch (socket_receive(talk->socket, talk->input, INPUT_SIZE, &done)) {
    case SOCKET_MORE:
        talk->to = done;
        return MOVED;
    case SOCKET_FINISHED:
        if (!talk->peer_finished) {
            talk->peer_finished = true;
            return MOVED;
        }
        return IDLE;
    case SOCKET_BROKEN:
        judge_reset(talk);
        return end(talk, false);
    case SOCKET_WAIT:
        break;
    }
    return IDLE;
}

static void run(struct talk *talk)
{
    enum progress progress = MOVED;

    while (progress == MOVED) {
        enum progress after = IDLE;

        progress = receive(talk);
        if (progress == GONE) {
            return;
        }
        switch (talk->phase) {
        case PHASE_HEAD:
            after = read_head(talk);
            break;
        case PHASE_EXCHANGE:
            after = exchange(talk);
            break;
        case PHASE_LINGER:
            after = drop_input(talk);
            break;
        }
        progress = after == IDLE ? progress : after;
    }
}

static void on_ready(void *user)
{
    run(user);
}

static void on_time(void *user)
{
    struct talk *talk = user;

    talk->is_waiting = false;
    run(talk);
}

static void begin_talk(struct engine *engine, struct socket *socket)
{
    struct talk *talk = sim_alloc(engine->sim, sizeof *talk);

    talk->engine = engine;
    talk->socket = socket;
    talk->peer = socket_peer_process(socket);
    talk->peer_lives = talk->peer != NULL ? talk->peer->lives : 0;
    talk->next = engine->talks;
    if (talk->next != NULL) {
        talk->next->previous = talk;
    }
    engine->talks = talk;
    task_init(&talk->task, engine->sim, on_time, talk);
    message_begin(&talk->message);
    socket_own(socket, on_ready, talk);
    run(talk);
}

static void on_connection(void *user)
{
    struct engine *engine = user;
    struct socket *socket;

    while ((socket = listener_accept(engine->listener, on_connection,
                                     engine)) != NULL) {
        if (engine->mood == ENGINE_REFUSES) {
            sim_met(engine->sim, MET_ENGINE_REFUSED);
            socket_close(socket);
        } else {
            begin_talk(engine, socket);
        }
    }
}

/* ---- the engine ---------------------------------------------------------- */

static const char *mood_text(enum engine_mood mood)
{
    static const char *const texts[] = {
#define X(name, text) text,
        ENGINE_MOOD_TABLE(X)
#undef X
    };

    return texts[mood];
}

static void try_to_listen(struct engine *engine)
{
    struct site *site = engine->site;

    engine->listener =
        listener_open(&site->engine_process, ADDRESS_ENGINE + site->index,
                      BACKLOG, on_connection, engine);
    engine->bad_until_us = sim_now_us(engine->sim);
    if (engine->listener == NULL) {
        task_set(&engine->task, engine->bad_until_us + BIND_AGAIN_US);
    }
}

/* Good from now on: whoever it held gets on. */
static void end_mood(struct engine *engine)
{
    struct talk *next;

    engine->mood = ENGINE_GOOD;
    engine->bad_until_us = sim_now_us(engine->sim);
    for (struct talk *talk = engine->talks; talk != NULL; talk = next) {
        next = talk->next;
        if (talk->mood != ENGINE_GOOD) {
            talk->mood = ENGINE_GOOD;
            talk->is_held = false;
            talk->source.stop_at = UINT64_MAX;
            run(talk);
        }
    }
}

static void on_engine_time(void *user)
{
    struct engine *engine = user;

    if (engine->listener == NULL) {
        try_to_listen(engine);
    } else if (engine->mood != ENGINE_GOOD) {
        sim_say(engine->sim, engine->site->engine_process.name, "good again");
        end_mood(engine);
    }
}

struct engine *engine_new(struct site *site)
{
    struct sim *sim = site->world->sim;
    struct engine *engine = sim_alloc(sim, sizeof *engine);

    engine->site = site;
    engine->sim = sim;
    task_init(&engine->task, sim, on_engine_time, engine);
    return engine;
}

void engine_start(struct engine *engine)
{
    engine->is_alive = true;
    engine->mood = ENGINE_GOOD;
    try_to_listen(engine);
}

void engine_forget(struct engine *engine)
{
    task_stop(&engine->task);
    engine->is_alive = false;
    engine->listener = NULL;
    engine->mood = ENGINE_GOOD;
    while (engine->talks != NULL) {
        if (engine->talks->from < engine->talks->to) {
            sim_met(engine->sim, MET_PIPELINED_ENGINE_DIED);
        }
        set_fate(engine->talks, FATE_DIED);
        forget(engine->talks);
    }
}

void engine_set_mood(struct engine *engine, enum engine_mood mood,
                     uint64_t until_us)
{
    if (engine->listener == NULL || engine->is_healed) {
        return;
    }
    if (mood == ENGINE_GOOD) {
        end_mood(engine);
        return;
    }
    sim_say(engine->sim, engine->site->engine_process.name, "%s",
            mood_text(mood));
    engine->mood = mood;
    task_set(&engine->task, until_us);
}

void engine_heal(struct engine *engine)
{
    struct talk *next;

    engine->is_healed = true;
    if (engine->listener != NULL) {
        task_stop(&engine->task);
        end_mood(engine);
    }
    for (struct talk *talk = engine->talks; talk != NULL; talk = next) {
        next = talk->next;
        if (talk->is_waiting) {
            task_wake(&talk->task);
        }
    }
}

bool engine_was_good_since(const struct engine *engine, uint64_t since_us)
{
    /* in the moment itself others may have come first */
    return engine->is_alive && engine->listener != NULL &&
           engine->mood == ENGINE_GOOD &&
           (engine->bad_until_us < since_us || engine->bad_until_us == 0);
}

void engine_expect_idle(struct engine *engine)
{
    for (const struct talk *talk = engine->talks; talk != NULL;
         talk = talk->next) {
        if (talk->phase != PHASE_HEAD || talk->message.head_length > 0) {
            sim_fail(engine->sim, "leak",
                     "engine %" PRIu32
                     " still has a connection in the middle of %s",
                     engine->site->index,
                     talk->request != NULL ? request_text(talk->request)
                                           : "something");
        }
    }
}

void engine_lie(struct engine *engine, enum engine_lie lie)
{
    engine->lie = lie;
}
