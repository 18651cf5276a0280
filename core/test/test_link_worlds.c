/* test_link_worlds.c: two links in many seeded worlds of cuts, stalls,
 * half-closes, resets and losses (L-03, L-04, L-05). */
#include "core/test/pair.h"

struct chance {
    uint64_t x;
};

static uint32_t draw(struct chance *chance, uint32_t below)
{
    chance->x ^= chance->x << 13;
    chance->x ^= chance->x >> 7;
    chance->x ^= chance->x << 17;
    return (uint32_t)(chance->x >> 32) % below;
}

enum verb {
    CONNECT,
    SEND,
    SEND_MUCH,
    END,
    BREAK,
    STALL,
    TRICKLE,
    ACT,
    DELIVER,
    WAIT,
    LOSE,
    VERBS
};

static void do_one(struct pair *p, struct chance *chance, enum verb verb)
{
    struct end *end = &p->ends[draw(chance, 2)];
    enum side side = end == &p->ends[SERVER] ? SERVER : AGENT;
    struct sock *sock = NULL;
    enum status status;

    if (end->sock_count > 0) {
        sock = &end->socks[draw(chance, (uint32_t)end->sock_count)];
        if (side == AGENT && sock->peer == NULL) {
            sock = NULL; /* no engine yet: the preface is under way */
        }
    }
    switch (verb) {
    case CONNECT:
        if (p->ends[SERVER].sock_count < PAIR_SOCKS / 2) {
            (void)pair_connect(p, &status);
        }
        break;
    case SEND:
    case SEND_MUCH:
        if (sock != NULL && !sock->said_eof) {
            sock_send(sock, draw(chance, verb == SEND ? 3000 : 400000));
        }
        break;
    case END:
        if (sock != NULL) {
            sock_eof(sock);
        }
        break;
    case BREAK:
        if (sock != NULL) {
            sock_break(sock);
        }
        break;
    case STALL:
    case TRICKLE:
        if (sock != NULL) {
            sock_allow(sock, verb == STALL ? 0 : draw(chance, 5000));
        }
        break;
    case ACT:
        p->frame_max = 1 + draw(chance, 8192);
        link_set_turn(end->link, (uint32_t)p->frame_max);
        pair_act(p, side, 32 + draw(chance, 20000));
        break;
    case DELIVER:
        pair_deliver(p, side, draw(chance, draw(chance, 2) ? 40 : 40000));
        break;
    case WAIT:
        p->now_ms += draw(chance, 1500);
        link_tick(p->ends[SERVER].link, p->now_ms);
        link_tick(p->ends[AGENT].link, p->now_ms);
        break;
    case LOSE:
        link_fail(end->link, STATUS_TRANSPORT_LOST);
        break;
    case VERBS:
        break;
    }
}

/* Everybody reads, everybody has said all: every connection must end. */
static void heal(struct pair *p)
{
    p->frame_max = 0;
    for (int side = SERVER; side <= AGENT; side++) {
        struct end *end = &p->ends[side];
        if (link_status(end->link) != STATUS_OK) {
            link_fail(p->ends[!side].link, STATUS_TRANSPORT_LOST);
        }
    }
    for (int i = 0; i < 2; i++) { /* engines may come to be only now */
        for (int side = SERVER; side <= AGENT; side++) {
            struct end *end = &p->ends[side];
            for (size_t s = 0; s < end->sock_count; s++) {
                struct sock *sock = &end->socks[s];
                sock_allow(sock, SIZE_MAX);
                if (side == SERVER || sock->peer != NULL) {
                    sock_eof(sock);
                }
            }
        }
        pair_run(p);
    }
}

/* What this side met is a reason to reset both. */
static bool is_excused(const struct sock *sock)
{
    return sock->is_broken || sock->status == STATUS_NOBODY_READS ||
           sock->status == STATUS_OPEN_TIMEOUT;
}

/* Every connection is gone at both ends, and without an excuse it was closed in
 * order; that a clean end is a whole one, pair.c has seen to. */
static void judge(const struct pair *p)
{
    bool lost = link_status(p->ends[SERVER].link) != STATUS_OK;
    const struct end *server = &p->ends[SERVER];

    pair_expect_empty(p);
    for (size_t i = 0; i < server->sock_count; i++) {
        const struct sock *client = &server->socks[i];
        const struct sock *engine = client->peer;
        bool excused = lost || is_excused(client);

        assert_true(client->was_closed != client->was_reset);
        if (engine == NULL) { /* its preface never arrived */
            assert_true(excused && client->was_reset);
            continue;
        }
        excused = excused || is_excused(engine);
        assert_true(engine->was_closed != engine->was_reset);
        assert_true(excused || (client->was_closed && engine->was_closed));
    }
}

/* Each seed draws its own weights; some verbs not at all (swarm testing). */
static void run_world(uint64_t seed, uint32_t *lost, uint32_t *resets)
{
    struct chance chance = {seed * 0x9e3779b97f4a7c15u + 1};
    uint32_t weights[VERBS];
    uint32_t total = 0;
    static struct pair p;

    pair_start(&p, NULL, NULL);
    p.salt = (uint32_t)seed;
    for (int verb = 0; verb < VERBS; verb++) {
        weights[verb] = draw(&chance, 3) == 0 ? 0 : 1 + draw(&chance, 30);
    }
    weights[CONNECT] += 5;
    weights[ACT] += 20;
    weights[DELIVER] += 20;
    weights[BREAK] /= 10;
    weights[LOSE] = draw(&chance, 8) == 0 ? 1 : 0;
    for (int verb = 0; verb < VERBS; verb++) {
        total += weights[verb];
    }
    for (int step = 0; step < 400; step++) {
        uint32_t pick = draw(&chance, total);
        int verb = 0;
        while (pick >= weights[verb]) {
            pick -= weights[verb++];
        }
        do_one(&p, &chance, (enum verb)verb);
    }
    heal(&p);
    judge(&p);
    *lost += link_status(p.ends[SERVER].link) != STATUS_OK ? 1 : 0;
    for (size_t i = 0; i < p.ends[SERVER].sock_count; i++) {
        *resets += p.ends[SERVER].socks[i].was_reset ? 1 : 0;
    }
    pair_end(&p);
}

static void every_connection_ends_as_it_must_in_many_worlds(void **state)
{
    uint32_t lost = 0;
    uint32_t resets = 0;
    (void)state;

    for (uint64_t seed = 1; seed <= 250; seed++) {
        run_world(seed, &lost, &resets);
    }

    /* the worlds are as varied as they are meant to be */
    assert_true(lost > 10 && lost < 100);
    assert_true(resets > 100);
}

static const struct CMUnitTest tests[] = {
    REQ("L-03,L-04,L-05", every_connection_ends_as_it_must_in_many_worlds),
};
RUN(tests)
