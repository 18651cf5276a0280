#include <stdio.h>
#include <stdlib.h>

#include "conformance/session.h"

#define BURST 100u
#define FLOOD 20000u
#define MEMORY_KIB 8192u /* growth that is still a bound */
#define DEATH 30u        /* times T: until a silent tester must be given up */

static void exact_pong(struct session *session, uint32_t opaque)
{
    session_expect_pong(session, opaque);
    struct wire_frame pong = session->pong;
    if (pong.flags != WIRE_ACK || pong.stream != 0) {
        spec_fail(session, "the pong has flags 0x%04x on stream %u", pong.flags,
                  pong.stream);
    }
}

static void pong_is_exact(struct session *session)
{
    exact_pong(session, 0xdeadbeef);
    if (session->pongs != 1) {
        spec_fail(session, "%u pongs for one ping", session->pongs);
    }
}

static void extreme_opaques(struct session *session)
{
    exact_pong(session, 0);
    exact_pong(session, UINT32_MAX);
}

/* Sends one odd frame. "answered", "ignored" or "closed". */
static const char *reaction(struct session *session, unsigned flags,
                            uint32_t stream)
{
    session_send(session, WIRE_PING, flags, stream, 7);
    session_settle(session);
    bool answered = session->pongs > 0;
    if (session_judge_choice(session) == SESSION_DEAD || session->goaways) {
        return "closed";
    }
    return answered ? "answered" : "ignored";
}

static void on_a_stream(struct session *session)
{
    const char *answer = reaction(session, WIRE_SYN, 5);
    bool pong = *answer == 'a' && session->pong_opaques[0] == 7;
    spec_choice(session, "ping-stream-id", "%s", answer);
    if (*answer == 'a' && !pong) {
        spec_fail(session, "ping 7 was answered with opaque %u",
                  session->pong_opaques[0]);
    }
}

static void without_flags(struct session *session)
{
    spec_choice(session, "ping-flags-0", "%s", reaction(session, 0, 0));
}

static void unsolicited(struct session *session)
{
    const char *answer = reaction(session, WIRE_ACK, 0);
    spec_choice(session, "unsolicited-pong", "%s", answer);
    if (*answer != 'i') {
        spec_warn(session, "a pong that nobody waited for is %s", answer);
    }
}

static void both_flags(struct session *session)
{
    spec_choice(session, "ping-syn-ack", "%s",
                reaction(session, WIRE_SYN | WIRE_ACK, 0));
}

static void burst(struct session *session)
{
    bool ordered = true;
    session_cork(session);
    for (uint32_t i = 0; i < BURST; i++) {
        session_send(session, WIRE_PING, WIRE_SYN, 0, i);
    }
    session_uncork(session);
    session_wait_pongs(session, BURST);
    for (unsigned i = 1; i < session->pongs; i++) {
        ordered =
            ordered && session->pong_opaques[i] > session->pong_opaques[i - 1];
    }
    unsigned pongs = session->pongs;
    session_judge_choice(session);
    spec_note(session, "%u of %u pings in one write were answered", pongs,
              BURST);
    if (pongs < BURST) {
        spec_choice(session, "ping-burst", pongs ? "some" : "none");
        spec_warn(session, "%u of %u pings are not answered", BURST - pongs,
                  BURST);
        return;
    }
    spec_choice(session, "ping-burst",
                ordered ? "all in order" : "all out of order");
    if (!ordered) {
        spec_warn(session, "pongs come in another order than the pings");
    }
}

static void flood(struct session *session)
{
    static uint8_t bytes[FLOOD * WIRE_HEADER];
    unsigned quiet_ms = session->slow ? 10000 : 2000;
    session_narrow(session);
    for (uint32_t i = 0; i < FLOOD; i++) {
        wire_encode(bytes + i * WIRE_HEADER,
                    (struct wire_frame){
                        .type = WIRE_PING, .flags = WIRE_SYN, .length = i});
    }
    uint64_t before = session_peer_memory(session);
    uint64_t begun = session_now_ms();
    size_t sent = session_push(session, bytes, sizeof bytes, quiet_ms);
    unsigned passed = (unsigned)(session_now_ms() - begun);
    session_sleep(session, passed < quiet_ms ? quiet_ms - passed : 0);
    uint64_t after = session_peer_memory(session);
    uint64_t growth = after > before ? after - before : 0;
    if (before == 0) {
        spec_note(session, "memory not looked at: no --pid");
    } else if (growth > MEMORY_KIB) {
        spec_fail(session, "%u pings made the peer grow by %llu KiB", FLOOD,
                  (unsigned long long)growth);
    }
    session_write(session, bytes + sent, sizeof bytes - sent);
    session_drain(session); /* a ping right behind the flood may be dropped */
    enum session_life life = session_judge_choice(session);
    spec_note(session, "%u of %u pings were answered", session->pongs, FLOOD);
    spec_choice(session, "ping-flood",
                life == SESSION_DEAD || session->goaways ? "closed" : "lives");
}

static void while_blocked(struct session *session)
{
    uint32_t stream = session_id(session, 1);
    uint64_t window = session_stream(session, stream)->granted;
    session_open(session, stream);
    session_pour(session, stream, window, 16384);
    session_expect_pattern(session, stream, window);
    session_pour(session, stream, 65536, 16384); /* cannot be echoed */
    session_expect_pong(session, 9);
}

/* What loopback may hold between two sockets, bytes. */
static uint64_t transport_buffers(void)
{
    unsigned long least = 0;
    unsigned long usual = 0;
    unsigned long most = 4194304;
    FILE *file = fopen("/proc/sys/net/ipv4/tcp_wmem", "re");
    if (file) {
        if (fscanf(file, "%lu %lu %lu", &least, &usual, &most) != 3) {
            most = 4194304;
        }
        fclose(file);
    }
    return most;
}

static void behind_data(struct session *session)
{
    const uint32_t credit = 16 * 1024 * 1024;
    uint64_t bound = WIRE_WINDOW + transport_buffers();
    session_narrow(session);
    uint32_t stream = session_id(session, 1);
    session_send(session, WIRE_UPDATE, WIRE_SYN, stream, credit);
    if (session_wait_data(session, stream, 65536) != SESSION_GOT) {
        spec_fail(session, "the source sends nothing");
    }
    session_sleep(session, session->grace_ms); /* its queues fill */
    uint64_t before = session->data_received;
    session_send(session, WIRE_PING, WIRE_SYN, 0, 9);
    session_sleep(session, session->grace_ms);
    /* as fast as data comes, T from the last of it */
    uint64_t seen = before;
    while (session_wait_pongs(session, 1) == SESSION_TIMEOUT &&
           session->data_received > seen) {
        seen = session->data_received;
    }
    if (session->closed || session->pongs == 0) {
        spec_hung(session, "no pong while data flows; the connection is %s",
                  session_ending(session));
    }
    uint64_t behind = session->data_at_pong - before;
    spec_note(session, "the pong came behind %llu KiB of data",
              (unsigned long long)(behind / 1024));
    if (behind > bound) {
        spec_warn(session,
                  "the pong came behind %llu KiB; one frame and the "
                  "transport's buffer are %llu KiB",
                  (unsigned long long)(behind / 1024),
                  (unsigned long long)(bound / 1024));
    }
}

/* ---- the peer's own pings ---- */

/* The first ping of the peer, unanswered. */
static void await_ping(struct session *session)
{
    session->answers_pings = false;
    uint64_t patience = session->slow ? (uint64_t)DEATH * session->timeout_ms
                                      : session->grace_ms;
    uint64_t deadline = session_now_ms() + patience;
    while (session->pings == 0 && !session->closed &&
           session_now_ms() < deadline) {
        session_listen(session, 20);
    }
    if (session->pings == 0) {
        spec_skip(session, session->slow
                               ? "the peer sends no pings"
                               : "the peer has sent no ping yet; --slow "
                                 "waits for one");
    }
}

static void answer(struct session *session, uint32_t opaque)
{
    session_send(session, WIRE_PING, WIRE_ACK, 0, opaque);
}

static void never_answered(struct session *session)
{
    await_ping(session);
    uint64_t begun = session_now_ms();
    if (session_wait_closed(session, DEATH * session->timeout_ms) !=
        SESSION_CLOSED) {
        spec_choice(session, "unanswered-ping", "lives");
        spec_warn(session,
                  "pings were not answered for %u s; the session "
                  "goes on",
                  DEATH * session->timeout_ms / 1000);
        return;
    }
    spec_choice(session, "unanswered-ping", "closed");
    spec_note(session, "closed %llu ms after the unanswered ping",
              (unsigned long long)(session_now_ms() - begun));
}

static void wrong_answer(struct session *session)
{
    await_ping(session);
    answer(session, session->ping.length + 1);
    if (session_judge_choice(session) == SESSION_DEAD || session->goaways) {
        spec_warn(session, "a pong with another opaque ended the session");
        return;
    }
    if (session_wait_closed(session, DEATH * session->timeout_ms) !=
        SESSION_CLOSED) {
        spec_fail(session,
                  "a wrong pong, then silence for %u s: the peer "
                  "still takes us for alive",
                  DEATH * session->timeout_ms / 1000);
    }
}

static void answered_twice(struct session *session)
{
    await_ping(session);
    answer(session, session->ping.length);
    answer(session, session->ping.length);
    if (session_judge_choice(session) == SESSION_DEAD || session->goaways) {
        spec_warn(session, "a second pong ended the session");
    }
}

static void answered_late(struct session *session)
{
    await_ping(session);
    uint32_t opaque = session->ping.length;
    if (session_wait_closed(session, 4 * session->timeout_ms) ==
        SESSION_CLOSED) {
        spec_choice(session, "late-pong", "closed before");
        return;
    }
    answer(session, opaque);
    if (session_judge_choice(session) == SESSION_DEAD || session->goaways) {
        spec_choice(session, "late-pong", "closed");
        spec_warn(session, "a late pong ended the session");
        return;
    }
    spec_choice(session, "late-pong", "ignored");
}

const struct spec_case case_ping[] = {
    {"P-01", "a ping is answered with ACK, stream 0 and its opaque",
     "00 02 0001 00000000 deadbeef", "spec.md 50-54, 77", SPEC_ANY, SPEC_MUST,
     0, 0, pong_is_exact},
    {"P-02", "every opaque comes back unchanged", "Ping 0, Ping ffffffff",
     "spec.md 77", SPEC_ANY, SPEC_MUST, 0, 0, extreme_opaques},
    {"P-03", "a ping on a stream id: answered, ignored or refused",
     "00 02 0001 00000005 00000007", "spec.md 69", SPEC_ANY, SPEC_CHOICE, 0, 0,
     on_a_stream},
    {"P-04", "a ping without flags: answered, ignored or refused",
     "00 02 0000 00000000 00000007", "spec.md 50-54", SPEC_ANY, SPEC_CHOICE, 0,
     0, without_flags},
    {"P-05", "a pong that nobody waits for is ignored",
     "00 02 0002 00000000 00000007", "hashicorp and go-yamux ignore it",
     SPEC_ANY, SPEC_SHOULD, 0, 0, unsolicited},
    {"P-06", "a ping with SYN and ACK: answered, ignored or refused",
     "00 02 0003 00000000 00000007", "spec.md 50-54", SPEC_ANY, SPEC_CHOICE, 0,
     0, both_flags},
    {"P-07", "100 pings at once are all answered, in order",
     "Ping 0 to 99, one write", "spec.md 40-41; smoldot wants the order",
     SPEC_ANY, SPEC_SHOULD, 0, 0, burst},
    {"P-08", "20000 pings without reading neither hang the peer nor feed it",
     "20000 pings; nothing is read for 2 s (--slow: 10 s)",
     "CVE-2024-32984 class", SPEC_ANY, SPEC_MUST, 0, 60000, flood},
    {"P-09", "a blocked stream does not hold up pongs",
     "an echo without credit for it; Ping 9", "spec.md 121", SPEC_ECHO,
     SPEC_MUST, 0, 0, while_blocked},
    {"P-10", "a pong does not wait behind all the data that may be sent",
     "16 MiB of credit, slow reading, Ping 9", "head-of-line blocking",
     SPEC_SOURCE, SPEC_SHOULD, 0, 60000, behind_data},
    {"P-11", "a peer whose pings are never answered gives up", "silence",
     "spec.md 40-41", SPEC_ANY, SPEC_SHOULD, SPEC_SLOW, 200000, never_answered},
    {"P-12", "a pong with another opaque is no sign of life",
     "the peer's ping n, answered with n + 1; then silence", "spec.md 77",
     SPEC_ANY, SPEC_MUST, SPEC_SLOW, 300000, wrong_answer},
    {"P-13", "a second pong for one ping is ignored",
     "the peer's ping, answered twice", "spec.md 40-41", SPEC_ANY, SPEC_SHOULD,
     0, 120000, answered_twice},
    {"P-14", "a late pong is ignored", "the peer's ping, answered after 4 T",
     "js-libp2p-yamux aborts", SPEC_ANY, SPEC_SHOULD, SPEC_SLOW, 200000,
     answered_late},
    {0}};
