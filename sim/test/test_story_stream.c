/* Bytes and ends, told. See sim/test/story.h. */
#include "sim/test/story.h"

/* Traces are not cut. clang-format must see its word alone: */
/* clang-format off */
static const struct story stories[] = {
    /* A body that is cut must not look whole. */
    STORY("AC-05,L-04",
    a_session_that_ends_resets_its_clients,
    "phase-ms 4000\n"
    "0 agent-start 0 own-all\n"
    "1000 client 0 get 1000000\n"
    "1040 delete 0\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[      30] agent 0   connected as session 1\n"
    "[      30] server    proxy of agent 0 on 56715\n"
    "[      40] agent 0   connected\n"
    "[    1040] operator  deletes agent 0\n"
    "[    1040] server    proxy of agent 0 closed\n"
    "[    1040] client 0  GET /containers/web/json: reset after 262144 "
    "bytes\n"
    "[    1050] agent 0   lost its session: the peer closed the WebSocket\n"
    "[    1060] agent 0   session 1 ended: the agent was revoked or deleted\n"
    "[    4000] world     healed\n"),
    /* A hijacked connection, finished by either side first. */
    STORY("L-03,PO-09",
    half_close_crosses_both_ways,
    "phase-ms 4000\n"
    "0 agent-start 0 own-all\n"
    "1000 client 0 attach 1000\n"
    "1500 client 0 attach 20000\n"
    "2000 client 0 attach 300\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[      30] agent 0   connected as session 1\n"
    "[      30] server    proxy of agent 0 on 56715\n"
    "[      40] agent 0   connected\n"
    "[    1020] client 0  POST /containers/web/attach: 1000 bytes, FIN\n"
    "[    1520] client 1  POST /containers/web/attach: 20000 bytes, FIN\n"
    "[    2047] client 2  POST /containers/web/attach: 300 bytes, FIN\n"
    "[    4000] world     healed\n"),
    /* Never a FIN: half of an answer is an error. */
    STORY("L-04,T14",
    an_engine_that_resets_is_a_reset_for_its_client,
    "phase-ms 8000\n"
    "0 agent-start 0 naive\n"
    "900 engine-mood 0 resets 2000\n"
    "1000 client 0 get 100000\n"
    "4000 client 0 get 100000\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[      30] agent 0   connected as session 1\n"
    "[      30] server    proxy of agent 0 on 56715\n"
    "[      40] agent 0   connected as session 1\n"
    "[     900] engine 0  resets\n"
    "[    1020] client 0  GET /images/web/get: reset after 48 bytes\n"
    "[    2900] engine 0  good again\n"
    "[    4020] client 1  GET /containers/web/json: 200, 100000 bytes, whole\n"
    "[    8000] world     healed\n"),
    /* And the next one is served. */
    STORY("L-04,T15",
    an_engine_that_dies_is_an_error_for_its_client,
    "phase-ms 8000\n"
    "0 agent-start 0 naive\n"
    "1000 client 0 logs 1000000\n"
    "1060 engine-kill 0 2000\n"
    "5000 client 0 get 10\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[      30] agent 0   connected as session 1\n"
    "[      30] server    proxy of agent 0 on 56715\n"
    "[      40] agent 0   connected as session 1\n"
    "[    1060] engine 0  killed\n"
    "[    1080] client 0  GET /events: FIN after 963937 bytes\n"
    "[    3060] engine 0  back\n"
    "[    5020] client 1  GET /containers/web/json: 200, 10 bytes, whole\n"
    "[    8000] world     healed\n"),
    /* A stalled one, and small requests beside it. */
    STORY("L-05,T19",
    a_client_that_stops_reading_delays_nobody,
    "phase-ms 9000\n"
    "0 agent-start 0 own-all\n"
    "1000 client 0 stalls 2000000\n"
    "2000 client 0 ping 0\n"
    "2500 client 0 ping 0\n"
    "3000 client 0 keep-alive 0\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[      30] agent 0   connected as session 1\n"
    "[      30] server    proxy of agent 0 on 56715\n"
    "[      40] agent 0   connected\n"
    "[    1060] client 0  stops reading\n"
    "[    2020] client 1  GET /_ping: 200, 2 bytes, whole\n"
    "[    2520] client 2  HEAD /_ping: 200, 0 bytes, whole\n"
    "[    3020] client 3  HEAD /_ping: 200, 0 bytes, whole\n"
    "[    3040] client 3  GET /containers/web/logs: 200, 0 bytes, whole\n"
    "[    9000] world     healed\n"),
    /* No timer runs on what is established. */
    STORY("L-08,T29",
    a_stream_may_be_idle_for_an_hour,
    "phase-ms 3700000\n"
    "0 agent-start 0 own\n"
    "1000 client 0 silent 1\n"
    "3600000 client 0 ping 0\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[      30] agent 0   connected as session 1\n"
    "[      30] server    proxy of agent 0 on 56715\n"
    "[      40] agent 0   connected\n"
    "[    3003] client 0  GET /_ping: 200, 2 bytes, whole\n"
    "[ 3600020] client 1  GET /_ping: 200, 2 bytes, whole\n"
    "[ 3700000] world     healed\n"),
    /* 403 from the agent, not from the engine. */
    STORY("PO-01,PO-06",
    a_read_only_agent_forbids,
    "phase-ms 4000\n"
    "0 agent-start 0 own\n"
    "1000 client 0 forbidden 0\n"
    "2000 client 0 browser 100\n"
    "3000 client 0 garbage 0\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[      30] agent 0   connected as session 1\n"
    "[      30] server    proxy of agent 0 on 56715\n"
    "[      40] agent 0   connected\n"
    "[    1020] client 0  POST /containers/web/attach: 403, 170 bytes, whole\n"
    "[    2020] client 1  GET /containers/json: 200, 100 bytes, whole\n"
    "[    3020] client 2  garbage: status 400 after 183 bytes\n"
    "[    4000] world     healed\n"),
    /* By RST at once, by silence after its bound. */
    STORY("L-09",
    a_client_that_is_gone_is_reaped,
    "phase-ms 90000\n"
    "0 agent-start 0 own-all\n"
    "1000 client 0 resets 100000\n"
    "2000 client 0 vanishes 100000\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[      30] agent 0   connected as session 1\n"
    "[      30] server    proxy of agent 0 on 56715\n"
    "[      40] agent 0   connected\n"
    "[    1000] client 0  resets after 0 bytes\n"
    "[    2012] client 1  vanishes after 0 bytes\n"
    "[   90000] world     healed\n"),
    /* Header and body are two messages, and bodies are fragmented. */
    STORY("AC-06,L-07",
    an_agent_of_the_field_carries_any_bytes,
    "phase-ms 9000\n"
    "0 agent-start 0 go-raw\n"
    "1000 client 0 get 100000\n"
    "2000 client 0 attach 50000\n"
    "3000 client 0 garbage 0\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[      30] agent 0   connected as session 1\n"
    "[      30] server    proxy of agent 0 on 56715\n"
    "[      40] agent 0   connected as session 1\n"
    "[    1020] client 0  GET /images/web/get: 200, 100000 bytes, whole\n"
    "[    2061] client 1  POST /containers/web/attach: 50000 bytes, FIN\n"
    "[    3020] client 2  garbage: status 400 after 100 bytes\n"
    "[    9000] world     healed\n"),
    /* The second is never answered: it says so with Connection: close. */
    STORY("AC-06,PO-01",
    an_agent_of_the_field_serves_one_request_a_connection,
    "phase-ms 9000\n"
    "0 agent-start 0 go\n"
    "1000 client 0 get 100000\n"
    "2000 client 0 pipelined 1000\n"
    "3000 client 0 list 1000\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[      30] agent 0   connected as session 1\n"
    "[      30] server    proxy of agent 0 on 56715\n"
    "[      40] agent 0   connected as session 1\n"
    "[    1020] client 0  GET /images/web/get: 403, 0 bytes, whole\n"
    "[    2020] client 1  GET /_ping: 200, 2 bytes, whole\n"
    "[    3020] client 2  GET /containers/json: 200, 1 bytes, whole\n"
    "[    9000] world     healed\n"),
    /* Both ends have said their last word, and it stops reading for a while. */
    STORY("L-03,T11",
    a_client_behind_a_finished_answer_is_waited_for,
    "seed 9\n"
    "phase-ms 60000\n"
    "0 agent-start 0 own-all\n"
    "1000 client 0 stalls 2000000\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[      40] agent 0   connected\n"
    "[     230] agent 0   connected as session 1\n"
    "[     405] server    proxy of agent 0 on 36721\n"
    "[    1020] client 0  stops reading\n"
    "[    1288] client 0  GET /containers/web/json: 200, 2000000 bytes, "
    "whole\n"
    "[   60000] world     healed\n"),
    /* It has said its last word, so has the engine, whose bytes wait for room.
     * Found by seed 44045. */
    STORY("L-03,T11",
    a_client_that_pauses_behind_its_own_end_is_waited_for,
    "seed 44045\n"
    "sites 1\n"
    "phase-ms 64000\n"
    "0.874 agent-start 0 own-all\n"
    "780.324 client 0 stalls 507790\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[      31] agent 0   connected as session 1\n"
    "[      31] server    proxy of agent 0 on 47941\n"
    "[      40] agent 0   connected\n"
    "[     800] client 0  stops reading\n"
    "[    9853] client 0  GET /images/web/get: 200, 507790 bytes, whole\n"
    "[   64000] world     healed\n"),
};
/* clang-format on */
STORIES(stories)
