/* Exchanges of Docker clients with an engine, recorded
 * (integration/torture/exchanges), are played through two transports and cut at
 * every byte: by the client, by the engine and between the transports, with
 * FIN, RST and silence. Nobody may see a clean end of what did not come whole
 * (L-04), nothing may be left behind, and a cut connection leaves the others
 * alone.
 *
 * ORTHRUS_TORTURE=all cuts at every byte; else at every STRIDE-th, beginning
 * elsewhere for each kind of cut, and at the borders of every turn. */
#include "net/test/world.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/socket.h"
#include "net/test/exchange.h"

#define STRIDE 16u
#define STRIDE_SLOW 512u /* where a link's silence has to be waited for */
#define TURNS_QUICK 200  /* without a pause; then one of 1 ms each */
#define TURNS_MAX 60000

static const char *const names[] = {"ping", "list",   "inspect",
                                    "logs", "events", "pull-error",
                                    "exec", "attach", "keep-alive"};
#define EXCHANGES (sizeof names / sizeof *names)

enum cut { FIN, RST, SILENCE };

static unsigned points;

/* One run of an exchange. */
struct play {
    struct world *world;
    const struct exchange *exchange;
    int fd[2]; /* -1: gone */
    size_t turn, sent[2], received[2];
    bool finished[2]; /* said its end */
    bool at_end[2];   /* heard the other's */
    int error[2];
    bool silent[2];
    size_t may_send[2], may_receive[2];
};

static struct play start_play(struct world *world,
                              const struct exchange *exchange)
{
    struct play play = {.world = world, .exchange = exchange};

    for (int who = 0; who < 2; who++) {
        play.may_send[who] = play.may_receive[who] = SIZE_MAX;
    }
    world_pair(world, play.fd);
    return play;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* ---- playing ------------------------------------------------------------- */

static void hear(struct play *play, int who)
{
    const struct exchange *exchange = play->exchange;
    uint8_t bytes[EXCHANGE_BYTES_MAX];
    size_t most =
        least(sizeof bytes, play->may_receive[who] - play->received[who]);
    ssize_t n;

    if (play->fd[who] < 0 || play->silent[who] || play->at_end[who] ||
        play->error[who] != 0 || most == 0) {
        return;
    }
    n = recv(play->fd[who], bytes, most, 0);
    if (n > 0) {
        size_t at = play->received[who];
        assert_true(at + (size_t)n <= play->sent[!who]);
        assert_memory_equal(bytes, exchange->bytes[!who] + at, (size_t)n);
        play->received[who] += (size_t)n;
    } else if (n == 0) {
        play->at_end[who] = true;
    } else if (errno != EAGAIN) {
        play->error[who] = errno;
    }
}

/* The turn's bytes, once all before them have been heard. */
static void speak(struct play *play)
{
    const struct exchange_turn *turn = &play->exchange->turn[play->turn];
    int who = turn->who;
    size_t before =
        play->turn == 0 ? 0 : play->exchange->turn[play->turn - 1].to;
    size_t to = least(turn->to, play->may_send[who]);

    if (play->turn == play->exchange->turns || play->fd[who] < 0 ||
        play->silent[who] || play->error[who] != 0 ||
        play->received[who] < before) {
        return;
    }
    if (play->sent[who] < to) {
        ssize_t n =
            send(play->fd[who], play->exchange->bytes[who] + play->sent[who],
                 to - play->sent[who], MSG_NOSIGNAL);
        if (n > 0) {
            play->sent[who] += (size_t)n;
        } else if (errno != EAGAIN) {
            play->error[who] = errno;
        }
    }
    if (play->sent[who] < turn->to || play->may_send[who] == turn->to) {
        return; /* more to say, or it is cut here */
    }
    if (turn->ends) {
        play->finished[who] = true;
        (void)shutdown(play->fd[who], SHUT_WR);
    }
    play->turn++;
}

static void go_on(struct play *play)
{
    world_turn(play->world);
    speak(play);
    hear(play, EXCHANGE_CLIENT);
    hear(play, EXCHANGE_ENGINE);
}

static void hang_up(struct play *play, int who, bool reset)
{
    if (play->fd[who] >= 0) {
        if (reset) {
            socket_reset(play->fd[who]);
        } else {
            close(play->fd[who]);
        }
        play->fd[who] = -1;
    }
}

#define UNTIL(play, condition)                                        \
    do {                                                              \
        int go_ons = 0;                                               \
        while (!(condition)) {                                        \
            if (++go_ons > TURNS_MAX) {                               \
                fail_msg("%s hangs: sent %zu %zu, received %zu %zu, " \
                         "until " #condition,                         \
                         (play)->exchange->name, (play)->sent[0],     \
                         (play)->sent[1], (play)->received[0],        \
                         (play)->received[1]);                        \
            }                                                         \
            if (go_ons > TURNS_QUICK) {                               \
                (void)poll(NULL, 0, 1);                               \
            }                                                         \
            go_on(play);                                              \
        }                                                             \
    } while (false)

static bool has_ended(const struct play *play, int who)
{
    return play->at_end[who] || play->error[who] != 0;
}

/* A clean end is the end of everything that the other has said. */
static void judge(const struct play *play, int who, bool other_finished)
{
    if (play->at_end[who] &&
        (!other_finished || play->received[who] != play->sent[!who])) {
        fail_msg("%s: %zu of %zu bytes, and a clean end", play->exchange->name,
                 play->received[who], play->sent[!who]);
    }
}

static void finish_play(struct play *play)
{
    hang_up(play, EXCHANGE_CLIENT, true);
    hang_up(play, EXCHANGE_ENGINE, true);
    UNTIL(play, play->world->bridges == 0);
}

/* ---- cuts by the client or the engine ------------------------------------ */

/* who stops, once it has said (else heard) so many bytes. */
static void cut_side(struct play *play, int who, bool speaks, size_t at,
                     enum cut cut)
{
    int other = !who;

    if (speaks) {
        play->may_send[who] = at;
        UNTIL(play, play->sent[who] == at);
    } else {
        play->may_receive[who] = at;
        UNTIL(play, play->received[who] == at);
    }
    switch (cut) {
    case FIN:
        if (speaks) { /* what is heard meanwhile does not matter */
            (void)shutdown(play->fd[who], SHUT_WR);
            UNTIL(play, has_ended(play, other));
            assert_true(play->at_end[other]);
            assert_int_equal(play->received[other], at);
        } else { /* with bytes unread, it is a reset */
            hang_up(play, who, false);
            UNTIL(play, has_ended(play, other));
        }
        break;
    case RST:
        hang_up(play, who, true);
        UNTIL(play, has_ended(play, other));
        assert_false(play->at_end[other] && !play->finished[who]);
        break;
    case SILENCE:
        play->silent[who] = true;
        if (speaks) {
            UNTIL(play, play->received[other] == at);
        }
        for (int i = 0; i < 3; i++) {
            go_on(play);
        }
        assert_int_equal(play->error[other], 0);
        assert_false(play->at_end[other] && !play->finished[who]);
        break;
    }
    judge(play, other, play->finished[who] || cut == FIN);
    points++;
}

static bool is_border(const struct exchange *exchange, int who, size_t at)
{
    for (size_t i = 0; i < exchange->turns; i++) {
        if (exchange->turn[i].who == who &&
            (exchange->turn[i].from == at || exchange->turn[i].to == at)) {
            return true;
        }
    }
    return false;
}

static bool is_chosen(size_t at, size_t begin, size_t stride)
{
    static int all = -1;
    if (all < 0) {
        const char *text = getenv("ORTHRUS_TORTURE");
        all = text != NULL && strcmp(text, "all") == 0;
    }
    return all == 1 || at % stride == begin % stride;
}

/* A unix socket knows no reset, as Docker's does not: where one must be seen,
 * the engine listens on TCP. */
static void listen_on_tcp(struct world *world)
{
    uint16_t port;

    close(world->engine_listener);
    world->engine_listener = socket_listen_loopback(0, &port);
    assert_true(world->engine_listener >= 0);
    assert_true(socket_address_inet(&world->engine, "127.0.0.1", port));
}

static void cut_sides(const char *name, enum cut cut, size_t begin)
{
    struct world_options options = {.unix_link = true};
    struct world *world = world_start(&options);
    struct exchange exchange;

    exchange_read(&exchange, name);
    if (cut == RST) {
        listen_on_tcp(world);
    }
    for (int i = 0; i < 4; i++) {
        int who = i & 1;
        bool speaks = (i & 2) != 0;
        int speaker = speaks ? who : !who;
        for (size_t at = 0; at <= exchange.length[speaker]; at++) {
            if (is_chosen(at, begin + (size_t)i, STRIDE) ||
                is_border(&exchange, speaker, at)) {
                struct play play = start_play(world, &exchange);
                cut_side(&play, who, speaks, at, cut);
                finish_play(&play);
            }
        }
    }
    struct play whole = start_play(world, &exchange); /* it still works */
    UNTIL(&whole, whole.at_end[0] && whole.at_end[1]);
    assert_int_equal(whole.received[0], exchange.length[1]);
    assert_int_equal(whole.received[1], exchange.length[0]);
    finish_play(&whole);
    world_stop(world);
}

static void cut_all_sides(enum cut cut, const char *what)
{
    points = 0;
    for (size_t i = 0; i < EXCHANGES; i++) {
        cut_sides(names[i], cut, i);
    }
    print_message("# torture {\"tier\": \"cuts\", \"where\": \"side\", "
                  "\"how\": \"%s\", \"points\": %u}\n",
                  what, points);
}

static void a_side_that_ends_at_any_byte_is_told_as_it_ended(void **state)
{
    (void)state;
    cut_all_sides(FIN, "FIN");
}

static void a_side_that_resets_at_any_byte_is_never_a_clean_end(void **state)
{
    (void)state;
    cut_all_sides(RST, "RST");
}

static void a_side_that_falls_silent_at_any_byte_ends_nothing(void **state)
{
    (void)state;
    cut_all_sides(SILENCE, "silence");
}

/* ---- cuts of the tunnel -------------------------------------------------- */

static void impatient(struct link_config *link,
                      struct transport_config *transport)
{
    link->mux.ping_interval_ms = 10;
    link->mux.ping_missed_max = 3;
    transport->linger_ms = 1;
}

static void brief(struct link_config *link, struct transport_config *transport)
{
    (void)link;
    transport->linger_ms = 1;
}

/* The tunnel carries so many bytes of one direction, and no more. Returns
 * whether the exchange was over by then. */
static bool cut_tunnel(const struct exchange *exchange, int direction,
                       size_t at, enum cut cut)
{
    struct world_options options = {
        .unix_link = true,
        .cut = 4096,
        .configure = cut == SILENCE ? impatient : brief,
    };
    struct world *world = world_start(&options);
    struct play play;
    bool over;

    listen_on_tcp(world);
    play = start_play(world, exchange);
    world->may_pass[direction] =
        at > world->passed[direction] ? at : world->passed[direction];
    UNTIL(&play, world->passed[direction] >= world->may_pass[direction] ||
                     (has_ended(&play, 0) && has_ended(&play, 1)));
    over = play.at_end[0] && play.at_end[1];
    if (!over) {
        world_cut(world, cut == FIN, cut == RST);
        UNTIL(&play, has_ended(&play, 0) && has_ended(&play, 1));
        points++;
    }
    for (int who = 0; who < 2; who++) {
        judge(&play, who, play.finished[!who]);
    }
    finish_play(&play);
    world_stop(world);
    return over;
}

static void cut_all_tunnels(enum cut cut, size_t stride, const char *what)
{
    points = 0;
    for (size_t i = 0; i < EXCHANGES; i++) {
        struct exchange exchange;
        exchange_read(&exchange, names[i]);
        for (int direction = 0; direction < 2; direction++) {
            bool over = false;
            for (size_t at = 0; !over; at++) {
                over = is_chosen(at, i, stride) &&
                       cut_tunnel(&exchange, direction, at, cut);
            }
        }
    }
    print_message("# torture {\"tier\": \"cuts\", \"where\": \"tunnel\", "
                  "\"how\": \"%s\", \"points\": %u}\n",
                  what, points);
}

static void a_tunnel_that_ends_at_any_byte_is_never_a_clean_end(void **state)
{
    (void)state;
    cut_all_tunnels(FIN, STRIDE, "FIN");
}

static void a_tunnel_that_resets_at_any_byte_is_never_a_clean_end(void **state)
{
    (void)state;
    cut_all_tunnels(RST, STRIDE, "RST");
}

static void a_tunnel_that_falls_silent_is_noticed_at_any_byte(void **state)
{
    (void)state;
    cut_all_tunnels(SILENCE, STRIDE_SLOW, "silence");
}

static const struct CMUnitTest tests[] = {
    REQ("L-03,L-04,Q-04", a_side_that_ends_at_any_byte_is_told_as_it_ended),
    REQ("L-04,Q-04", a_side_that_resets_at_any_byte_is_never_a_clean_end),
    REQ("L-05,Q-04", a_side_that_falls_silent_at_any_byte_ends_nothing),
    REQ("L-04,Q-04", a_tunnel_that_ends_at_any_byte_is_never_a_clean_end),
    REQ("L-04,Q-04", a_tunnel_that_resets_at_any_byte_is_never_a_clean_end),
    REQ("L-04,L-08,Q-04", a_tunnel_that_falls_silent_is_noticed_at_any_byte),
};
RUN(tests)
