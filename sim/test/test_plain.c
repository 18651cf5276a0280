/* Plain against plain: the reference agent serves a plain server, over every
 * kind of link. The codec's rules are tested on both ends by that: each is the
 * judge of the other. */
#include "core/test/req.h"
#include "sim/test/stub.h"

#include <string.h>

static void run_seed(uint64_t seed, const struct remote_ops *ops)
{
    struct stub *stub = stub_new(seed, ops);

    stub_start_agent(stub);
    stub_await_link(stub, 5000);
    assert_non_null(stub->newest);
    for (uint64_t i = 0; i < 8; i++) {
        stub_client(stub, i * i * i * 3001);
    }
    stub_run(stub, 60000);
    for (uint32_t i = 0; i < stub->client_count; i++) {
        assert_true(stub->clients[i].whole);
        assert_true(stub->clients[i].acked);
    }
    assert_int_equal(stub->newest->mux.stream_count, 0);
    stub->ops->expect_idle(stub->site.remote);
    stub_kill_agent(stub, PROCESS_EXITS);
    process_expect_empty(&stub->site.agent_process);
    stub_free(stub);
}

static void streams_come_back_whole(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 12; seed++) {
        run_seed(seed, &remote_naive);
    }
}

static void a_silent_server_is_left(void **state)
{
    struct stub *stub = stub_new(1, &remote_naive);

    (void)state;
    stub_start_agent(stub);
    stub_await_link(stub, 5000);
    stub_run(stub, 100000); /* the stub answers pings */
    assert_non_null(stub->newest);
    assert_true(stub->newest->mux.frames_in > 2);
    stub->silent = true;
    stub_run(stub, 40000);
    stub->silent = false;
    stub_run(stub, 20000);
    assert_true(stub->link_count > 1);
    assert_non_null(stub->newest);
    stub_free(stub);
}

static void it_dials_again_after_a_loss(void **state)
{
    struct stub *stub = stub_new(2, &remote_naive);

    (void)state;
    stub_start_agent(stub);
    for (uint32_t i = 0; i < 6; i++) {
        struct stub_link *link;

        stub_await_link(stub, 20000);
        assert_non_null(stub->newest);
        stub_client(stub, 50000);
        stub_run(stub, i);
        link = stub->newest;
        if (link != NULL) {
            socket_cut(stub->site.link, i * 3000,
                       (enum socket_cut)(i % 2)); /* FIN or RST */
        }
        stub_run(stub, 20000);
    }
    assert_true(stub->link_count >= 6);
    assert_true(stub->clients[0].broken || stub->clients[0].whole);
    stub_free(stub);
}

static void a_bad_key_is_refused_and_tried_again(void **state)
{
    struct stub *stub = stub_new(3, &remote_naive);

    (void)state;
    process_start(&stub->site.agent_process);
    stub->site.remote = stub->ops->start(&stub->site, "ch_orthrus_wrong");
    stub_run(stub, 60000);
    assert_null(stub->newest);
    assert_in_range(stub->link_count, 4, 30);
    stub_free(stub);
}

static void it_stops_when_its_streams_have_ended(void **state)
{
    struct stub *stub = stub_new(4, &remote_naive);
    struct stub_client *client;

    (void)state;
    stub_start_agent(stub);
    stub_await_link(stub, 5000);
    client = stub_client(stub, 100000);
    stub_run(stub, 400);
    stub->ops->stop(stub->site.remote);
    stub_run(stub, 9000);
    assert_true(client->whole);
    assert_false(stub->site.agent_process.alive);
    assert_int_equal(stub->link_count, 1);
    process_expect_empty(&stub->site.agent_process);
    stub_free(stub);
}

static void an_engine_that_is_gone_resets_the_stream(void **state)
{
    struct stub *stub = stub_new(5, &remote_naive);
    struct stub_client *one, *two;

    (void)state;
    stub_start_agent(stub);
    stub_await_link(stub, 5000);
    stub->engine_closes = true;
    one = stub_client(stub, 100000);
    stub_run(stub, 9000);
    assert_true(one->broken);
    process_kill(&stub->site.engine_process, PROCESS_EXITS);
    two = stub_client(stub, 100);
    stub_run(stub, 9000);
    assert_true(two->broken);
    assert_non_null(stub->newest);
    stub->ops->expect_idle(stub->site.remote);
    stub_free(stub);
}

static void put_frame(struct plain_ws *ws, uint8_t type, uint8_t flags,
                      uint32_t length)
{
    const uint8_t header[12] = {0,
                                type,
                                0,
                                flags,
                                0,
                                0,
                                0,
                                2,
                                (uint8_t)(length >> 24),
                                (uint8_t)(length >> 16),
                                (uint8_t)(length >> 8),
                                (uint8_t)length};

    plain_bytes_add(&ws->data, header, sizeof header);
    if (type == PLAIN_DATA) {
        memset(plain_bytes_extend(&ws->data, length), 'x', length);
    }
}

/* A hostile agent grants what it does not keep, and must not lose what comes:
 * its engine would be taken for wrong (found by seed 11095). */
static void who_breaks_the_rules_loses_no_byte(void **state)
{
    struct sim_config config = {.seed = 1};
    struct sim *sim = sim_new(&config);
    struct plain_event event;
    struct plain_mux mux;
    struct plain_ws ws;

    (void)state;
    plain_ws_init(&ws, sim, true, chance_of(1, "mask", 0));
    plain_mux_init(&mux, &ws, true);
    mux.guilty = true;
    put_frame(&ws, PLAIN_WINDOW_UPDATE, PLAIN_SYN, 0);
    put_frame(&ws, PLAIN_DATA, 0, PLAIN_WINDOW);
    put_frame(&ws, PLAIN_DATA, 0, 1);
    assert_true(plain_mux_next(&mux, &event));
    assert_int_equal(event.kind, PLAIN_OPENED);
    assert_true(plain_mux_next(&mux, &event));
    assert_true(plain_mux_next(&mux, &event));
    assert_int_equal(event.kind, PLAIN_ARRIVED);
    assert_int_equal(event.stream->in.length, PLAIN_WINDOW + 1);
    sim_free(sim);
}

static const struct CMUnitTest tests[] = {
    REQ("Q-04,AC-06", streams_come_back_whole),
    REQ("Q-04", a_silent_server_is_left),
    REQ("Q-04,AC-14", it_dials_again_after_a_loss),
    REQ("Q-04,AC-16", a_bad_key_is_refused_and_tried_again),
    REQ("Q-04", it_stops_when_its_streams_have_ended),
    REQ("Q-04,L-04", an_engine_that_is_gone_resets_the_stream),
    REQ("Q-04,Y-01", who_breaks_the_rules_loses_no_byte),
};
RUN(tests)
