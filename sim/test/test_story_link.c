/* Faults of the link, told. See sim/test/story.h. */
#include "sim/test/story.h"

/* Traces are not cut. clang-format must see its word alone: */
/* clang-format off */
static const struct story stories[] = {
    /* Nothing passes either way; both ends learn it by themselves. */
    STORY("L-01,AC-14",
    a_half_open_link_is_found_and_dialled_again,
    "phase-ms 60000\n"
    "0 agent-start 0 own\n"
    "1000 link-cut 0 agent-silence 0\n"
    "3000 client 0 ping 0\n"
    "50000 client 0 ping 0\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[      30] agent 0   connected as session 1\n"
    "[      30] server    proxy of agent 0 on 56715\n"
    "[      40] agent 0   connected\n"
    "[    1000] agent 0   link to be cut after 0 bytes\n"
    "[   13000] client 0  HEAD /_ping: reset after 0 bytes\n"
    "[   15030] server    proxy of agent 0 closed\n"
    "[   16030] agent 0   session 1 ended: the peer is silent\n"
    "[   16040] agent 0   lost its session: the peer is silent\n"
    "[   19862] agent 0   connected as session 2\n"
    "[   19862] server    proxy of agent 0 on 56715\n"
    "[   19872] agent 0   connected\n"
    "[   50020] client 1  GET /_ping: 200, 2 bytes, whole\n"
    "[   60000] world     healed\n"),
    /* At any byte. */
    STORY("L-04,AC-14",
    a_link_that_is_reset_resets_its_clients,
    "phase-ms 20000\n"
    "0 agent-start 0 own-all\n"
    "1000 client 0 get 1000000\n"
    "1050 link-cut 0 agent-reset 10000\n"
    "15000 client 0 get 1000\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[      30] agent 0   connected as session 1\n"
    "[      30] server    proxy of agent 0 on 56715\n"
    "[      40] agent 0   connected\n"
    "[    1050] agent 0   link to be cut after 10000 bytes\n"
    "[    1060] server    proxy of agent 0 closed\n"
    "[    1060] agent 0   session 1 ended: the connection failed\n"
    "[    1060] client 0  GET /containers/web/json: reset after 484838 "
    "bytes\n"
    "[    1060] agent 0   lost its session: the connection failed\n"
    "[    4882] agent 0   connected as session 2\n"
    "[    4882] server    proxy of agent 0 on 56715\n"
    "[    4892] agent 0   connected\n"
    "[   15020] client 1  GET /containers/web/json: 200, 1000 bytes, whole\n"
    "[   20000] world     healed\n"),
    /* A FIN below is no FIN above. */
    STORY("L-03,L-04",
    a_link_that_is_half_closed_ends_the_session,
    "phase-ms 20000\n"
    "0 agent-start 0 naive\n"
    "1000 client 0 get 1000000\n"
    "1050 link-cut 0 agent-finish 10000\n"
    "15000 client 0 get 1000\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[      30] agent 0   connected as session 1\n"
    "[      30] server    proxy of agent 0 on 56715\n"
    "[      40] agent 0   connected as session 1\n"
    "[    1050] agent 0   link to be cut after 10000 bytes\n"
    "[    1060] server    proxy of agent 0 closed\n"
    "[    1060] agent 0   session 1 ended: the peer closed the connection\n"
    "[    1060] client 0  GET /containers/web/json: reset after 483558 "
    "bytes\n"
    "[    1070] agent 0   lost its session\n"
    "[    1961] agent 0   connected as session 2\n"
    "[    1961] server    proxy of agent 0 on 56715\n"
    "[    1971] agent 0   connected as session 2\n"
    "[   15020] client 1  GET /containers/web/json: 200, 1000 bytes, whole\n"
    "[   20000] world     healed\n"),
    /* Late is not gone. */
    STORY("L-01",
    a_link_that_stalls_for_ten_seconds_lives,
    "phase-ms 30000\n"
    "0 agent-start 0 own-all\n"
    "1000 client 0 get 300000\n"
    "1020 link-stall 0 agent 9000\n"
    "20000 client 0 ping 0\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[      30] agent 0   connected as session 1\n"
    "[      30] server    proxy of agent 0 on 56715\n"
    "[      40] agent 0   connected\n"
    "[    1020] agent 0   link stalled, agent's way\n"
    "[   10020] client 0  GET /containers/web/json: 200, 300000 bytes, "
    "whole\n"
    "[   20020] client 1  GET /_ping: 200, 2 bytes, whole\n"
    "[   30000] world     healed\n"),
    /* Its sessions end one by one; its neighbour is served. */
    STORY("Y-01,L-02",
    a_hostile_agent_harms_nobody_else,
    "seed 4\n"
    "sites 2\n"
    "phase-ms 20000\n"
    "0 agent-start 0 hostile\n"
    "0 agent-start 1 own\n"
    "5000 client 1 list 1000\n"
    "15000 client 1 list 1000\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[       0] operator  provisions agent 1\n"
    "[      30] agent 0   connected as session 1\n"
    "[      30] server    proxy of agent 0 on 56675\n"
    "[      30] agent 1   connected as session 2\n"
    "[      30] server    proxy of agent 1 on 43685\n"
    "[      40] agent 0   connected as session 1\n"
    "[      40] agent 1   connected\n"
    "[      50] server    proxy of agent 0 closed\n"
    "[      60] agent 0   lost its session\n"
    "[      70] agent 0   session 1 ended: stream id of the wrong parity "
    "or 0\n"
    "[    1009] agent 0   connected as session 3\n"
    "[    1009] server    proxy of agent 0 on 56675\n"
    "[    1019] agent 0   connected as session 2\n"
    "[    1056] server    proxy of agent 0 closed\n"
    "[    1066] agent 0   lost its session\n"
    "[    1076] agent 0   session 3 ended: the peer took its leave\n"
    "[    2253] agent 0   connected as session 4\n"
    "[    2253] server    proxy of agent 0 on 56675\n"
    "[    2263] agent 0   connected as session 3\n"
    "[    2292] server    proxy of agent 0 closed\n"
    "[    2302] agent 0   lost its session\n"
    "[    2312] agent 0   session 4 ended: unmasked frame from a client\n"
    "[    5020] client 0  GET /containers/json: 200, 1 bytes, whole\n"
    "[    5892] agent 0   connected as session 5\n"
    "[    5892] server    proxy of agent 0 on 56675\n"
    "[    5902] agent 0   connected as session 4\n"
    "[    6207] server    proxy of agent 0 closed\n"
    "[    6217] agent 0   lost its session\n"
    "[    6227] agent 0   session 5 ended: data beyond the granted window\n"
    "[   11690] agent 0   connected as session 6\n"
    "[   11690] server    proxy of agent 0 on 56675\n"
    "[   11700] agent 0   connected as session 5\n"
    "[   15020] client 1  GET /containers/json: 200, 19 bytes, whole\n"
    "[   16712] server    proxy of agent 0 closed\n"
    "[   16722] agent 0   lost its session\n"
    "[   16732] agent 0   session 6 ended: unknown frame type\n"
    "[   20000] world     healed\n"),
};
/* clang-format on */
STORIES(stories)
