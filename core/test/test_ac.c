/* test_ac.c: the acceptance criteria, as far as the core can show them.
 *
 * One story for each of AC-01 to AC-17. The world around the core is
 * core/test/site.h: a hub, its agents, their listeners and sockets, and the
 * agents' far ends with an engine each. */
#include "core/test/site.h"

#include <string.h>

#include "core/key.h"
#include "core/route.h"

static int build(void **state)
{
    static struct site site;

    site_start(&site, 10);
    *state = &site;
    return 0;
}

static int drop(void **state)
{
    site_end(*state);
    return 0;
}

/* ---- the engine ---------------------------------------------------------- */

/* What the engine at 'A' or 'B' answers, asked directly. */
static const char *ask_engine(char agent, const char *request)
{
    if (strncmp(request, "GET /containers/json ", 21) != 0) {
        return "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    }
    return agent == 'A' ? "HTTP/1.1 200 OK\r\nContent-Length: 32\r\n\r\n"
                          "[{\"Id\":\"4f5a\",\"Names\":[\"/web\"]}]"
                        : "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]";
}

static const char list_request[] =
    "GET /containers/json HTTP/1.1\r\nHost: docker\r\n\r\n";

/* A client asks through the tunnel; returns what it read. */
static const char *ask_through_tunnel(struct session *session)
{
    struct sock *client = site_dial(session);

    sock_say(client, list_request);
    site_run(session->site);
    sock_say(client->peer, ask_engine(session->name[0], client->peer->heard));
    sock_eof(client->peer);
    site_run(session->site);
    sock_eof(client);
    site_run(session->site);
    assert_true(client->was_closed && client->peer->was_closed);
    return client->heard;
}

/* ---- the loopback proxy -------------------------------------------------- */

static void
ac_01_the_proxy_is_on_loopback_on_a_port_of_the_kernels(void **state)
{
    struct site *site = *state;
    struct session *session = site_arrive(site, 'A');
    char address[AGENT_ADDRESS_SIZE];

    assert_int_equal(agent_wants(session->agent), AGENT_WANTS_LISTENER);
    assert_int_equal(agent_listen(session->agent), STATUS_OK);
    assert_true(agent_listening(session->agent, 49999)); /* it chose this */
    agent_address(session->agent, address);

    assert_string_equal(address,
                        "127.0.0.1:49999"); /* and never another host */
}

static void
ac_02_the_address_is_empty_before_start_and_after_close(void **state)
{
    struct site *site = *state;
    struct session *session = site_arrive(site, 'A');
    char address[AGENT_ADDRESS_SIZE];

    agent_address(session->agent, address);
    assert_string_equal(address, "");
    site_run(site);
    agent_address(session->agent, address);
    assert_string_equal(address, "127.0.0.1:40001");
    agent_close(session->agent, STATUS_SHUT_DOWN);
    assert_true(session_act(session)); /* the listener goes */
    agent_address(session->agent, address);
    assert_string_equal(address, "");
}

static void ac_03_a_second_start_fails_and_changes_nothing(void **state)
{
    struct site *site = *state;
    struct session *session = site_connect(site, 'A');
    enum status status = agent_listen(session->agent);
    char address[AGENT_ADDRESS_SIZE];

    assert_string_equal(status_text(status), "docker proxy already started");
    agent_address(session->agent, address);
    assert_string_equal(address, "127.0.0.1:40001");
    assert_non_null(site_dial(session));
}

static void ac_04_a_closed_session_starts_no_proxy(void **state)
{
    struct site *site = *state;
    struct session *closed = site_arrive(site, 'A');
    struct session *racing = site_arrive(site, 'B');
    char address[AGENT_ADDRESS_SIZE];

    agent_close(closed->agent, STATUS_REVOKED);
    assert_int_equal(agent_listen(closed->agent), STATUS_SESSION_CLOSED);
    agent_address(closed->agent, address);
    assert_string_equal(address, "");

    assert_int_equal(agent_listen(racing->agent), STATUS_OK);
    agent_close(racing->agent, STATUS_REVOKED);
    assert_false(agent_listening(racing->agent, 40001));
    agent_address(racing->agent, address);
    assert_string_equal(address, "");
    site_run(site);
    assert_int_equal(hub_held(site->hub), 0);
}

static void ac_05_closing_goes_listener_streams_transport(void **state)
{
    struct site *site = *state;
    struct session *session = site_connect(site, 'A');
    struct sock *client = site_dial(session);
    enum status status;

    agent_close(session->agent, STATUS_REVOKED);
    agent_close(session->agent, STATUS_REVOKED); /* harmless */
    assert_true(session_act(session));
    assert_false(session->has_listener);
    assert_null(site_try_dial(session, &status)); /* a new dial is refused */
    assert_true(session->has_transport);
    assert_int_equal(link_conn_wants(agent_link(session->agent), client->conn),
                     CONN_WANTS_RESET);
    assert_true(session_act(session));
    assert_false(session->has_transport);
    site_run(site);

    assert_true(client->was_reset); /* ended with its stream, nothing leaks */
    assert_null(session->agent);
    assert_int_equal(hub_held(site->hub), 0);
}

static void ac_06_a_connection_is_a_stream_that_begins_with_01(void **state)
{
    struct site *site = *state;
    struct session *session = site_connect(site, 'A');
    struct sock *client = site_dial(session);
    struct sock *other = site_dial(session);

    /* core/test/pair.c takes one 0x01 off each new stream and compares all
     * that follows with what was sent */
    assert_int_equal(client->stream, 2);
    assert_int_equal(other->stream, 4);
    sock_send(client, 300000);
    sock_send(other->peer, 300000); /* this engine speaks first */
    site_run(site);
    sock_send(client->peer, 500000);
    sock_send(other, 500000);
    site_run(site);

    assert_int_equal(client->peer->received, 300000);
    assert_int_equal(client->received, 500000);
    assert_int_equal(other->received, 300000);
    assert_int_equal(other->peer->received, 500000);
}

static void ac_07_what_cannot_be_opened_ends_at_once(void **state)
{
    struct site *site = *state;
    enum status status;

    site->config.link.mux.outbound_max = 1;
    struct session *full = site_connect(site, 'A');
    struct session *leaving = site_connect(site, 'B');
    struct session *closed = site_connect(site, 'C');
    struct session *refusing = site_connect(site, 'D');

    assert_non_null(site_dial(full));
    assert_null(site_try_dial(full, &status)); /* limit */
    assert_int_equal(status, STATUS_NO_STREAM_SLOT);
    assert_int_equal(link_conn_count(agent_link(full->agent)), 1);

    link_go_away(leaving->pair.ends[AGENT].link, true); /* GoAway received */
    leaving->pair.now_ms = site->now_ms;
    pair_run(&leaving->pair);
    assert_null(site_try_dial(leaving, &status));
    assert_int_equal(status, STATUS_GOING_AWAY);

    agent_close(closed->agent, STATUS_REVOKED); /* session closed */
    assert_null(site_try_dial(closed, &status));
    assert_int_equal(status, STATUS_SESSION_CLOSED);

    refusing->pair.ends[AGENT].refuses = true; /* the agent says no */
    struct sock *client = site_try_dial(refusing, &status);
    site_run(site);
    assert_true(client->was_reset);
    assert_false(client->was_shut);
    assert_int_equal(link_conn_count(agent_link(refusing->agent)), 0);
}

static void ac_08_a_type_byte_that_cannot_be_sent_is_the_same(void **state)
{
    struct site *site = *state;
    struct session *session = site_connect(site, 'A');
    struct link *link = agent_link(session->agent);
    enum status status;
    uint8_t bytes[64];
    struct sock *client = site_try_dial(session, &status);

    /* SYN and type byte go out together, or not at all */
    assert_int_equal(link_emit(link, site->now_ms, bytes, 16), 0);
    session_lose(session);
    site_run(site);

    assert_true(client->was_reset);
    assert_int_equal(client->status, STATUS_TRANSPORT_LOST);
    assert_null(session->agent);
}

/* ---- the container list -------------------------------------------------- */

/* The remote server that is reached through this agent. */
static struct route decide(const struct site *site, char agent,
                           const char *uuid)
{
    static char address[AGENT_ADDRESS_SIZE];
    struct agent *found = site != NULL ? site_find(site, agent) : NULL;
    struct route route;

    address[0] = '\0';
    if (found != NULL) {
        agent_address(found, address);
    }
    route_decide(&route,
                 &(struct route_query){.server = ROUTE_SERVER_ORTHRUS,
                                       .tunnel_configured = site != NULL,
                                       .agent_uuid = uuid,
                                       .agent_address = address});
    return route;
}

static void ac_09_no_agent_uuid_is_400(void **state)
{
    struct site *site = *state;

    (void)site_connect(site, 'A');
    assert_int_equal(decide(site, 'A', NULL).status, 400);
    assert_int_equal(decide(site, 'A', "").status, 400);
}

static void ac_10_no_subsystem_is_503_before_all_else(void **state)
{
    (void)state;

    assert_int_equal(decide(NULL, 'A', NULL).status, 503);
    assert_string_equal(decide(NULL, 'A', NULL).error,
                        "Orthrus subsystem unavailable");
    assert_int_equal(decide(NULL, 'A', "uuid of A").status, 503);
}

static void ac_11_an_agent_that_is_not_connected_is_502(void **state)
{
    struct site *site = *state;
    struct session *session = site_connect(site, 'A');

    session_lose(session);
    assert_int_equal(decide(site, 'A', "uuid of A").status, 502);
    assert_string_equal(decide(site, 'B', "uuid of B").error,
                        "Orthrus agent is not currently connected");
}

static void
ac_12_a_connected_agent_is_its_proxy_and_its_containers(void **state)
{
    struct site *site = *state;
    struct session *a = site_connect(site, 'A');
    struct session *b = site_connect(site, 'B');

    assert_string_equal(decide(site, 'A', "uuid of A").address,
                        "tcp://127.0.0.1:40001");
    assert_string_equal(decide(site, 'B', "uuid of B").address,
                        "tcp://127.0.0.1:40002");
    assert_int_equal(a->port, 40001);
    assert_int_equal(b->port, 40002);
    assert_non_null(strstr(ask_through_tunnel(a), "\"/web\""));
    assert_non_null(strstr(ask_through_tunnel(b), "\r\n\r\n[]"));
}

/* ---- sessions ------------------------------------------------------------ */

static void ac_13_a_connect_registers_even_without_a_listener(void **state)
{
    struct site *site = *state;
    struct session *good = site_connect(site, 'A');
    struct session *poor = site_arrive(site, 'B');

    poor->bind_fails = true;
    site_run(site);

    assert_ptr_equal(site_find(site, 'A'), good->agent);
    assert_ptr_equal(site_find(site, 'B'), poor->agent);
    assert_int_equal(agent_state(poor->agent), AGENT_SERVING);
    assert_int_equal(decide(site, 'B', "uuid of B").status, 502);
    site_expect(site, "A1 arrives\n"
                      "A1 listens\n"
                      "B1 arrives\n"
                      "B1 cannot listen\n"); /* once: it is not tried again */
}

static void ac_14_a_session_that_dies_is_offline_at_once(void **state)
{
    enum { LOST, HUNG_UP, REVOKED, BROKEN_FRAME, WAYS };
    const uint8_t frame[WIRE_HEADER_SIZE] = {1};
    struct site *site = *state;

    for (int way = 0; way < WAYS; way++) {
        struct session *session = site_connect(site, 'A');
        struct sock *client = site_dial(session);
        struct span input = {frame, sizeof frame};
        struct link_event event;

        switch (way) {
        case LOST:
            session_lose(session);
            break;
        case HUNG_UP:
            agent_hung_up(session->agent);
            break;
        case REVOKED:
            agent_close(session->agent, STATUS_REVOKED);
            break;
        case BROKEN_FRAME:
            assert_false(link_receive(agent_link(session->agent), site->now_ms,
                                      &input, &event));
            agent_step(session->agent, site->now_ms);
            break;
        }
        assert_null(site_find(site, 'A'));
        session->has_transport = session->has_transport && way != HUNG_UP;
        agent_unlistened(session->agent); /* wanted before anything else */
        session->has_listener = false;
        session->port = 0;
        site_run(site);
        assert_null(session->agent);
        assert_true(client->was_reset);
    }
}

static void ac_14_a_silent_session_is_offline_within_15_seconds(void **state)
{
    struct site *site = *state;

    site->config.link.mux.ping_interval_ms = 5000;
    struct session *session = site_connect(site, 'A');
    site_wait(site, 60000); /* it answers */
    assert_ptr_equal(site_find(site, 'A'), session->agent);
    session->is_cut = true;
    site_wait(site, 15000);

    assert_null(site_find(site, 'A'));
    assert_int_equal(session->ended, STATUS_PING_TIMEOUT);
}

static void ac_15_a_second_connect_displaces_the_first(void **state)
{
    struct site *site = *state;
    struct session *first = site_connect(site, 'A');
    struct sock *before = site_dial(first);
    struct session *second = site_connect(site, 'A');

    /* the old listener is gone before the new one is announced */
    site_expect(site, "A1 arrives\n"
                      "A1 listens\n"
                      "A2 arrives\n"
                      "A1 stops listening\n"
                      "A2 listens\n"
                      "A1 hangs up\n"
                      "A1 is gone\n");
    assert_true(before->was_reset);
    assert_int_equal(first->ended, STATUS_DISPLACED);
    assert_int_equal(hub_held(site->hub), 1);
    site_wait(site, 600000); /* no timer of the first touches the second */
    assert_ptr_equal(site_find(site, 'A'), second->agent);
    assert_non_null(strstr(ask_through_tunnel(second), "200 OK"));

    struct session *twin = site_arrive(site, 'B');
    struct session *other = site_arrive(site, 'B');
    site_run(site);
    assert_null(twin->agent);
    assert_ptr_equal(site_find(site, 'B'), other->agent);
}

static void ac_16_only_a_key_in_its_one_form_is_a_key(void **state)
{
    uint8_t random[KEY_RANDOM_SIZE] = {0xab, 0xcd};
    char value[8 + KEY_LENGTH];
    struct span span = {(uint8_t *)value, 7 + KEY_LENGTH};
    struct span key;
    (void)state;

    memcpy(value, "Bearer ", 7);
    key_format(value + 7, random);
    assert_true(key_from_authorization(span, &key));
    assert_int_equal(key.length, 75);

    value[0] = 'b';
    assert_false(key_from_authorization(span, &key));
    value[0] = 'B';
    value[18] = 'A'; /* upper case */
    assert_false(key_from_authorization(span, &key));
    assert_false(key_from_authorization((struct span){NULL, 0}, &key));
}

static void ac_17_a_client_gets_what_the_engine_itself_says(void **state)
{
    struct site *site = *state;
    struct session *session = site_connect(site, 'A');

    assert_string_equal(ask_through_tunnel(session),
                        ask_engine('A', list_request));
    assert_int_equal(link_conn_count(agent_link(session->agent)), 0);
}

#define TEST(id, name) REQ_WITH(id, name, build, drop)

static const struct CMUnitTest tests[] = {
    TEST("AC-01", ac_01_the_proxy_is_on_loopback_on_a_port_of_the_kernels),
    TEST("AC-02", ac_02_the_address_is_empty_before_start_and_after_close),
    TEST("AC-03", ac_03_a_second_start_fails_and_changes_nothing),
    TEST("AC-04", ac_04_a_closed_session_starts_no_proxy),
    TEST("AC-05", ac_05_closing_goes_listener_streams_transport),
    TEST("AC-06", ac_06_a_connection_is_a_stream_that_begins_with_01),
    TEST("AC-07", ac_07_what_cannot_be_opened_ends_at_once),
    TEST("AC-08", ac_08_a_type_byte_that_cannot_be_sent_is_the_same),
    TEST("AC-09", ac_09_no_agent_uuid_is_400),
    TEST("AC-10", ac_10_no_subsystem_is_503_before_all_else),
    TEST("AC-11", ac_11_an_agent_that_is_not_connected_is_502),
    TEST("AC-12", ac_12_a_connected_agent_is_its_proxy_and_its_containers),
    TEST("AC-13", ac_13_a_connect_registers_even_without_a_listener),
    TEST("AC-14", ac_14_a_session_that_dies_is_offline_at_once),
    TEST("AC-14", ac_14_a_silent_session_is_offline_within_15_seconds),
    TEST("AC-15", ac_15_a_second_connect_displaces_the_first),
    TEST("AC-16", ac_16_only_a_key_in_its_one_form_is_a_key),
    TEST("AC-17", ac_17_a_client_gets_what_the_engine_itself_says),
};
RUN(tests)
