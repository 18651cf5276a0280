/* The life of a session, told. See sim/test/story.h. */
#include "sim/test/story.h"

/* Traces are not cut. clang-format must see its word alone: */
/* clang-format off */
static const struct story stories[] = {
    /* An agent connects, a client is served, the agent takes its leave. */
    STORY("AC-01,AC-02,AC-13",
    a_session_has_a_proxy_while_it_lives,
    "phase-ms 4000\n"
    "100 agent-start 0 own\n"
    "1000 client 0 ping 0\n"
    "2000 agent-stop 0\n"
    "3000 client 0 ping 0\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[     130] agent 0   connected as session 1\n"
    "[     130] server    proxy of agent 0 on 56715\n"
    "[     140] agent 0   connected\n"
    "[    1020] client 0  GET /_ping: 200, 2 bytes, whole\n"
    "[    2000] agent 0   stops\n"
    "[    2010] server    proxy of agent 0 closed\n"
    "[    2010] agent 0   session 1 ended: the peer closed the WebSocket\n"
    "[    2020] agent 0   lost its session: this side shut down\n"
    "[    2020] agent 0   exits\n"
    "[    3000] client 1  finds no proxy of agent 0\n"
    "[    4000] world     healed\n"),
    /* Before the agent is there, while it is, and the other records. */
    STORY("AC-11,AC-12,H-01",
    a_list_is_asked_of_the_agent_or_refused,
    "phase-ms 3000\n"
    "0 ask 0 site\n"
    "100 agent-start 0 own\n"
    "1000 ask 0 site\n"
    "2000 ask 0 bad-host\n"
    "2001 ask 0 unknown\n"
    "2002 ask 0 unconfigured\n"
    "2003 ask 0 no-agent\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[       0] operator  asks for the list of agent 0: 502\n"
    "[     130] agent 0   connected as session 1\n"
    "[     130] server    proxy of agent 0 on 56715\n"
    "[     140] agent 0   connected\n"
    "[    1000] operator  asks for the list of agent 0: 200\n"
    "[    1020] client 0  GET /containers/json: 200, 149 bytes, whole\n"
    "[    2000] operator  asks for the list of agent 0: 400\n"
    "[    2001] operator  asks for the list of agent 0: 404\n"
    "[    2002] operator  asks for the list of agent 0: 503\n"
    "[    2003] operator  asks for the list of agent 0: 400\n"
    "[    3000] world     healed\n"),
    /* Docker is optional: the session lives, and the next one has a proxy. */
    STORY("AC-13",
    a_listener_that_cannot_be_bound_does_not_end_the_session,
    "phase-ms 9000\n"
    "0 bind-fails 1\n"
    "100 agent-start 0 own\n"
    "1000 client 0 ping 0\n"
    "1500 ask 0 site\n"
    "2000 agent-kill 0 exits 1000\n"
    "8000 client 0 ping 0\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[     130] agent 0   connected as session 1\n"
    "[     130] server    no proxy for agent 0: cannot bind\n"
    "[     140] agent 0   connected\n"
    "[    1000] client 0  finds no proxy of agent 0\n"
    "[    1500] operator  asks for the list of agent 0: 502\n"
    "[    2000] agent 0   killed\n"
    "[    2010] agent 0   session 1 ended: the peer closed the connection\n"
    "[    3030] agent 0   connected as session 2\n"
    "[    3030] server    proxy of agent 0 on 56715\n"
    "[    3040] agent 0   connected\n"
    "[    8020] client 1  HEAD /_ping: 200, 0 bytes, whole\n"
    "[    9000] world     healed\n"),
    /* The kernel says FIN for it. */
    STORY("AC-14",
    an_agent_that_is_killed_is_offline_at_once,
    "phase-ms 5000\n"
    "0 agent-start 0 naive\n"
    "1000 agent-kill 0 exits 3000\n"
    "1100 ask 0 site\n"
    "4500 ask 0 site\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[      30] agent 0   connected as session 1\n"
    "[      30] server    proxy of agent 0 on 56715\n"
    "[      40] agent 0   connected as session 1\n"
    "[    1000] agent 0   killed\n"
    "[    1010] server    proxy of agent 0 closed\n"
    "[    1010] agent 0   session 1 ended: the peer closed the connection\n"
    "[    1100] operator  asks for the list of agent 0: 502\n"
    "[    4030] agent 0   connected as session 2\n"
    "[    4030] server    proxy of agent 0 on 56715\n"
    "[    4040] agent 0   connected as session 1\n"
    "[    4500] operator  asks for the list of agent 0: 200\n"
    "[    4520] client 0  GET /containers/json: 200, 8776 bytes, whole\n"
    "[    5000] world     healed\n"),
    /* No word from it, ever. */
    STORY("AC-14,L-01",
    a_host_that_is_gone_is_found_within_15_seconds,
    "phase-ms 20000\n"
    "0 agent-start 0 naive\n"
    "1000 agent-kill 0 vanishes 0\n"
    "2000 client 0 get 1000\n"
    "17000 ask 0 site\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[      30] agent 0   connected as session 1\n"
    "[      30] server    proxy of agent 0 on 56715\n"
    "[      40] agent 0   connected as session 1\n"
    "[    1000] agent 0   its host is gone\n"
    "[   12000] client 0  GET /containers/web/json: reset after 0 bytes\n"
    "[   15030] server    proxy of agent 0 closed\n"
    "[   16030] agent 0   session 1 ended: the peer is silent\n"
    "[   17000] operator  asks for the list of agent 0: 502\n"
    "[   20000] world     healed\n"),
    /* The old listener goes before the new one is told; its client is reset. */
    STORY("AC-15",
    a_second_connect_displaces_the_first,
    "phase-ms 8000\n"
    "0 agent-start 0 own-all\n"
    "1000 client 0 silent 1\n"
    "2000 agent-twice 0\n"
    "3000 client 0 ping 0\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[      30] agent 0   connected as session 1\n"
    "[      30] server    proxy of agent 0 on 56715\n"
    "[      40] agent 0   connected\n"
    "[    2030] agent 0   connected as session 2\n"
    "[    2030] server    proxy of agent 0 closed\n"
    "[    2030] server    proxy of agent 0 on 56715\n"
    "[    2030] client 0  GET /_ping: reset after 0 bytes\n"
    "[    2040] agent 0b  connected\n"
    "[    2040] agent 0   lost its session: the peer closed the WebSocket\n"
    "[    2050] agent 0   session 1 ended: a newer session of this agent "
    "took over\n"
    "[    3020] client 1  HEAD /_ping: 200, 0 bytes, whole\n"
    "[    5862] agent 0   connected as session 3\n"
    "[    5862] server    proxy of agent 0 closed\n"
    "[    5862] server    proxy of agent 0 on 56715\n"
    "[    5872] agent 0   connected\n"
    "[    5872] agent 0b  lost its session: the peer closed the WebSocket\n"
    "[    5882] agent 0   session 2 ended: a newer session of this agent "
    "took over\n"
    "[    8000] world     healed\n"),
    /* Both are the same agent; one remains. */
    STORY("AC-15",
    two_connects_at_one_instant_leave_one_session,
    "phase-ms 3000\n"
    "0 agent-start 0 naive\n"
    "0 agent-twice 0\n"
    "2000 client 0 ping 0\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[      30] agent 0   connected as session 1\n"
    "[      30] server    proxy of agent 0 on 56715\n"
    "[      30] agent 0   connected as session 2\n"
    "[      30] server    proxy of agent 0 closed\n"
    "[      30] server    proxy of agent 0 on 56715\n"
    "[      40] agent 0   connected as session 1\n"
    "[      40] agent 0   lost its session\n"
    "[      40] agent 0b  connected as session 1\n"
    "[      50] agent 0   session 1 ended: a newer session of this agent "
    "took over\n"
    "[     931] agent 0   connected as session 3\n"
    "[     931] server    proxy of agent 0 closed\n"
    "[     931] server    proxy of agent 0 on 56715\n"
    "[     941] agent 0   connected as session 2\n"
    "[     941] agent 0b  lost its session\n"
    "[     951] agent 0   session 2 ended: a newer session of this agent "
    "took over\n"
    "[    1833] agent 0   connected as session 4\n"
    "[    1833] server    proxy of agent 0 closed\n"
    "[    1833] server    proxy of agent 0 on 56715\n"
    "[    1843] agent 0b  connected as session 2\n"
    "[    1843] agent 0   lost its session\n"
    "[    1853] agent 0   session 3 ended: a newer session of this agent "
    "took over\n"
    "[    2020] client 0  GET /_ping: 200, 2 bytes, whole\n"
    "[    3000] world     healed\n"),
    /* Then a new key is made, and installed. */
    STORY("AC-16,H-02",
    a_revoked_key_ends_the_session_and_opens_nothing,
    "phase-ms 40000\n"
    "0 agent-start 0 naive\n"
    "1000 client 0 logs 100000\n"
    "1010 revoke 0\n"
    "20000 provision 0\n"
    "21000 agent-start 0 naive\n"
    "30000 client 0 ping 0\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[      30] agent 0   connected as session 1\n"
    "[      30] server    proxy of agent 0 on 56715\n"
    "[      40] agent 0   connected as session 1\n"
    "[    1010] operator  revokes agent 0\n"
    "[    1010] server    proxy of agent 0 closed\n"
    "[    1010] client 0  GET /containers/web/logs: reset after 0 bytes\n"
    "[    1020] agent 0   lost its session\n"
    "[    1030] agent 0   session 1 ended: the agent was revoked or deleted\n"
    "[    1921] agent 0   refused: 401\n"
    "[    3759] agent 0   refused: 401\n"
    "[    7400] agent 0   refused: 401\n"
    "[   14682] agent 0   refused: 401\n"
    "[   20000] operator  deletes agent 0\n"
    "[   20000] operator  provisions agent 0\n"
    "[   21030] agent 0   connected as session 2\n"
    "[   21030] server    proxy of agent 0 on 37609\n"
    "[   21040] agent 0   connected as session 1\n"
    "[   30020] client 1  HEAD /_ping: 200, 0 bytes, whole\n"
    "[   40000] world     healed\n"),
    /* So who holds its address finds it, and nobody else. */
    STORY("L-10",
    an_agent_that_comes_back_has_its_port_again,
    "phase-ms 9000\n"
    "sites 2\n"
    "0 agent-start 0 own\n"
    "1000 agent-kill 0 exits 5000\n"
    "2000 agent-start 1 own\n"
    "8000 client 0 ping 0\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[       0] operator  provisions agent 1\n"
    "[      30] agent 0   connected as session 1\n"
    "[      30] server    proxy of agent 0 on 56715\n"
    "[      40] agent 0   connected\n"
    "[    1000] agent 0   killed\n"
    "[    1010] server    proxy of agent 0 closed\n"
    "[    1010] agent 0   session 1 ended: the peer closed the connection\n"
    "[    2030] agent 1   connected as session 2\n"
    "[    2030] server    proxy of agent 1 on 37609\n"
    "[    2040] agent 1   connected\n"
    "[    6030] agent 0   connected as session 3\n"
    "[    6030] server    proxy of agent 0 on 56715\n"
    "[    6040] agent 0   connected\n"
    "[    8020] client 0  HEAD /_ping: 200, 0 bytes, whole\n"
    "[    9000] world     healed\n"),
    /* In this order, whatever else is missing. */
    STORY("AC-09,AC-10,AC-11,H-01",
    what_cannot_be_asked_is_refused_in_order,
    "phase-ms 3000\n"
    "500 ask 0 unknown\n"
    "600 ask 0 nothing\n"
    "700 ask 0 unconfigured\n"
    "800 ask 0 no-agent\n"
    "900 ask 0 empty-agent\n"
    "1000 ask 0 site\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[     500] operator  asks for the list of agent 0: 404\n"
    "[     600] operator  asks for the list of agent 0: 503\n"
    "[     700] operator  asks for the list of agent 0: 503\n"
    "[     800] operator  asks for the list of agent 0: 400\n"
    "[     900] operator  asks for the list of agent 0: 400\n"
    "[    1000] operator  asks for the list of agent 0: 502\n"
    "[    3000] world     healed\n"),
    /* This server binds late. The session is gone by then, and its port. */
    STORY("AC-04,AC-14",
    a_start_that_loses_against_the_end_leaves_no_listener,
    "seed 9\n"
    "phase-ms 3000\n"
    "0 agent-start 0 own\n"
    "300 agent-kill 0 exits 0\n"
    "380 ask 0 site\n"
    "1000 ask 0 site\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[      40] agent 0   connected\n"
    "[     230] agent 0   connected as session 1\n"
    "[     300] agent 0   killed\n"
    "[     380] operator  asks for the list of agent 0: 502\n"
    "[     405] agent 0   session 1 ended: the peer closed the connection\n"
    "[    1000] operator  asks for the list of agent 0: 502\n"
    "[    3000] world     healed\n"),
    /* This server closes late. One proxy after the other, never two. */
    STORY("AC-15",
    a_successor_waits_for_the_old_listener,
    "seed 9\n"
    "phase-ms 1500\n"
    "0 agent-start 0 own\n"
    "1000 agent-twice 0\n"
    "1150 ask 0 site\n"
    "1490 ask 0 site\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[      40] agent 0   connected\n"
    "[     230] agent 0   connected as session 1\n"
    "[     405] server    proxy of agent 0 on 36721\n"
    "[    1040] agent 0b  connected\n"
    "[    1104] agent 0   connected as session 2\n"
    "[    1150] operator  asks for the list of agent 0: 502\n"
    "[    1260] server    proxy of agent 0 closed\n"
    "[    1270] agent 0   lost its session: the peer closed the WebSocket\n"
    "[    1280] agent 0   session 1 ended: a newer session of this agent "
    "took over\n"
    "[    1452] agent 0   connected\n"
    "[    1462] server    proxy of agent 0 on 36721\n"
    "[    1490] operator  asks for the list of agent 0: 200\n"
    "[    1500] agent 0   connected as session 3\n"
    "[    1500] world     healed\n"),
    /* The old one dies by itself meanwhile; the successor serves. */
    STORY("AC-15",
    a_predecessor_that_dies_hands_over_all_the_same,
    "seed 9\n"
    "phase-ms 1500\n"
    "0 agent-start 0 own\n"
    "1000 agent-twice 0\n"
    "1120 agent-kill 0 exits 0\n"
    "1150 ask 0 site\n"
    "1400 client 0 list 100\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[      40] agent 0   connected\n"
    "[     230] agent 0   connected as session 1\n"
    "[     405] server    proxy of agent 0 on 36721\n"
    "[    1040] agent 0b  connected\n"
    "[    1104] agent 0   connected as session 2\n"
    "[    1120] agent 0   killed\n"
    "[    1150] operator  asks for the list of agent 0: 502\n"
    "[    1188] server    proxy of agent 0 closed\n"
    "[    1188] agent 0   session 1 ended: a newer session of this agent "
    "took over\n"
    "[    1274] server    proxy of agent 0 on 36721\n"
    "[    1420] client 0  GET /containers/json: 200, 98 bytes, whole\n"
    "[    1500] world     healed\n"),
    /* Session 3 waits for the listener of session 2, and is gone by then. */
    STORY("AC-14,AC-15",
    a_session_that_dies_while_it_waits_leaves_nothing,
    "seed 9\n"
    "phase-ms 5000\n"
    "0 agent-start 0 own\n"
    "1000 agent-twice 0\n"
    "1550 agent-kill 0 exits 0\n"
    "1900 ask 0 site\n"
    "4500 ask 0 site\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[      40] agent 0   connected\n"
    "[     230] agent 0   connected as session 1\n"
    "[     405] server    proxy of agent 0 on 36721\n"
    "[    1040] agent 0b  connected\n"
    "[    1104] agent 0   connected as session 2\n"
    "[    1260] server    proxy of agent 0 closed\n"
    "[    1270] agent 0   lost its session: the peer closed the WebSocket\n"
    "[    1280] agent 0   session 1 ended: a newer session of this agent "
    "took over\n"
    "[    1452] agent 0   connected\n"
    "[    1462] server    proxy of agent 0 on 36721\n"
    "[    1500] agent 0   connected as session 3\n"
    "[    1550] agent 0   killed\n"
    "[    1560] agent 0   session 3 ended: the peer closed the connection\n"
    "[    1586] server    proxy of agent 0 closed\n"
    "[    1596] agent 0b  lost its session: the peer closed the WebSocket\n"
    "[    1606] agent 0   session 2 ended: a newer session of this agent "
    "took over\n"
    "[    1778] agent 0b  connected\n"
    "[    1887] agent 0   connected as session 4\n"
    "[    1900] operator  asks for the list of agent 0: 502\n"
    "[    2070] server    proxy of agent 0 on 36721\n"
    "[    3832] agent 0b  killed\n"
    "[    3861] server    proxy of agent 0 closed\n"
    "[    3861] agent 0   session 4 ended: the peer closed the connection\n"
    "[    4500] operator  asks for the list of agent 0: 502\n"
    "[    5000] world     healed\n"),
    /* Who is served is served to the end; who comes is told why. */
    STORY("AC-07,L-06",
    an_agent_that_takes_its_leave_takes_no_new_client,
    "phase-ms 20000\n"
    "0 agent-start 0 own-all\n"
    "1000 client 0 slow 500000\n"
    "1100 agent-stop 0\n"
    "1200 client 0 ping 0\n"
    "1300 ask 0 site\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[      30] agent 0   connected as session 1\n"
    "[      30] server    proxy of agent 0 on 56715\n"
    "[      40] agent 0   connected\n"
    "[    1100] agent 0   stops\n"
    "[    1200] client 1  HEAD /_ping: status 503 after 189 bytes\n"
    "[    1300] operator  asks for the list of agent 0: 200\n"
    "[    1300] client 2  GET /containers/json: status 503 after 189 bytes\n"
    "[    7608] client 0  GET /images/web/get: 200, 500000 bytes, whole\n"
    "[    7828] server    proxy of agent 0 closed\n"
    "[    7838] agent 0   lost its session: the peer closed the WebSocket\n"
    "[    7838] agent 0   exits\n"
    "[    7848] agent 0   session 1 ended: the peer took its leave\n"
    "[   20000] world     healed\n"),
};
/* clang-format on */
STORIES(stories)
