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
    "[    1060] client 0  GET /containers/web/json: reset after 484826 "
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
    "[    1060] client 0  GET /containers/web/json: reset after 483540 "
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
    "[    5020] client 0  GET /containers/json: 200, 1 bytes, whole\n"
    "[    8352] server    proxy of agent 0 closed\n"
    "[    8362] agent 0   lost its session\n"
    "[    8372] agent 0   session 1 ended: reserved bit set, but no "
    "extension was negotiated\n"
    "[    9067] agent 0   connected as session 3\n"
    "[    9067] server    proxy of agent 0 on 56675\n"
    "[    9077] agent 0   connected as session 2\n"
    "[    9087] server    proxy of agent 0 closed\n"
    "[    9097] agent 0   lost its session\n"
    "[    9107] agent 0   session 3 ended: ping or go-away on a stream id\n"
    "[   10135] agent 0   connected as session 4\n"
    "[   10135] server    proxy of agent 0 on 56675\n"
    "[   10145] agent 0   connected as session 3\n"
    "[   10156] server    proxy of agent 0 closed\n"
    "[   10166] agent 0   lost its session\n"
    "[   10176] agent 0   session 4 ended: continuation without a first "
    "fragment\n"
    "[   13205] agent 0   connected as session 5\n"
    "[   13205] server    proxy of agent 0 on 56675\n"
    "[   13215] agent 0   connected as session 4\n"
    "[   14967] server    proxy of agent 0 closed\n"
    "[   14977] agent 0   lost its session\n"
    "[   14987] agent 0   session 5 ended: too many useless frames\n"
    "[   15020] client 1  GET /containers/json: 200, 19 bytes, whole\n"
    "[   19073] agent 0   connected as session 6\n"
    "[   19073] server    proxy of agent 0 on 56675\n"
    "[   19083] agent 0   connected as session 5\n"
    "[   20000] world     healed\n"),
    /* The first byte of its stream never leaves. */
    STORY("AC-07,AC-08",
    a_link_that_breaks_under_an_open_is_an_error_for_its_client,
    "phase-ms 9000\n"
    "0 agent-start 0 own-all\n"
    "1000 link-cut 0 server-reset 0\n"
    "1000 client 0 ping 0\n"
    "6000 client 0 ping 0\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[      30] agent 0   connected as session 1\n"
    "[      30] server    proxy of agent 0 on 56715\n"
    "[      40] agent 0   connected\n"
    "[    1000] agent 0   link to be cut after 0 bytes\n"
    "[    1010] server    proxy of agent 0 closed\n"
    "[    1010] agent 0   lost its session: the connection failed\n"
    "[    1010] agent 0   session 1 ended: the connection failed\n"
    "[    1010] client 0  GET /_ping: reset after 0 bytes\n"
    "[    4832] agent 0   connected as session 2\n"
    "[    4832] server    proxy of agent 0 on 56715\n"
    "[    4842] agent 0   connected\n"
    "[    6020] client 1  HEAD /_ping: 200, 0 bytes, whole\n"
    "[    9000] world     healed\n"),
    /* There is a limit to setting up, and then none. */
    STORY("L-08",
    an_upgrade_that_does_not_come_is_not_waited_for,
    "phase-ms 20000\n"
    "0 agent-start 0 naive\n"
    "5 link-stall 0 agent 15000\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[       5] agent 0   link stalled, agent's way\n"
    "[   10020] agent 0   could not connect\n"
    "[   10911] agent 0   connected as session 1\n"
    "[   10911] server    proxy of agent 0 on 56715\n"
    "[   10921] agent 0   connected as session 1\n"
    "[   20000] world     healed\n"),
    /* Its agent has given it up and cannot come back, for the store refuses.
     * Found by seed 28715, whose judge was wrong. */
    STORY("AC-14,L-04",
    a_link_that_only_the_agent_knows_to_be_dead_is_an_error,
    "seed 28715\n"
    "sites 2\n"
    "phase-ms 76551\n"
    "rough\n"
    "0.003 agent-start 1 own-all\n"
    "6000 link-cut 1 server-silence 1059\n"
    "14170.791 client 1 keep-alive 185\n"
    "14509.068 store-fails 9822\n"
    "18955.707 client 1 slow 0\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[       0] operator  provisions agent 1\n"
    "[     705] agent 1   connected as session 1\n"
    "[     705] agent 1   connected\n"
    "[     707] server    proxy of agent 1 on 44400\n"
    "[    6000] agent 1   link to be cut after 1059 bytes\n"
    "[   14527] client 0  GET /_ping: 200, 2 bytes, whole\n"
    "[   14882] client 0  GET /containers/web/json: 200, 4 bytes, whole\n"
    "[   15236] client 0  GET /_ping: 200, 2 bytes, whole\n"
    "[   15591] client 0  GET /_ping: 200, 2 bytes, whole\n"
    "[   15948] client 0  GET /containers/web/json: 200, 21 bytes, whole\n"
    "[   16948] agent 1   lost its session: the connection failed\n"
    "[   20510] agent 1   cannot connect: 401\n"
    "[   28956] client 1  GET /images/web/get: reset after 0 bytes\n"
    "[   30948] client 0  GET /containers/web/json: reset after 392 bytes\n"
    "[   30950] server    proxy of agent 1 closed\n"
    "[   31950] agent 1   session 1 ended: the peer is silent\n"
    "[   35865] agent 1   connected as session 2\n"
    "[   35866] agent 1   connected\n"
    "[   35868] server    proxy of agent 1 on 44400\n"
    "[   76551] world     healed\n"),
};
/* clang-format on */
STORIES(stories)
