/* The server's own life, told. See sim/test/story.h. */
#include "sim/test/story.h"

/* Traces are not cut. clang-format must see its word alone: */
/* clang-format off */
static const struct story stories[] = {
    /* Who comes meanwhile is told why; then the process exits. */
    STORY("L-06,AC-05",
    a_drain_lets_requests_finish,
    "phase-ms 30000\n"
    "0 agent-start 0 own-all\n"
    "1000 client 0 slow 500000\n"
    "1100 server-stop 20000\n"
    "1200 client 0 ping 0\n"
    "25000 client 0 ping 0\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[      30] agent 0   connected as session 1\n"
    "[      30] server    proxy of agent 0 on 56715\n"
    "[      40] agent 0   connected\n"
    "[    1100] server    drains 1 sessions\n"
    "[    1200] client 1  HEAD /_ping: status 503 after 189 bytes\n"
    "[    7608] client 0  GET /images/web/get: 200, 500000 bytes, whole\n"
    "[    7828] server    proxy of agent 0 closed\n"
    "[    7838] agent 0   lost its session: the peer closed the WebSocket\n"
    "[    7848] agent 0   session 1 ended: this side shut down\n"
    "[    7848] server    drained, exits\n"
    "[   11650] agent 0   cannot connect: connection refused\n"
    "[   18510] agent 0   cannot connect: connection refused\n"
    "[   21100] server    started\n"
    "[   25000] client 2  finds no proxy of agent 0\n"
    "[   27267] agent 0   connected as session 2\n"
    "[   27267] server    proxy of agent 0 on 56715\n"
    "[   27277] agent 0   connected\n"
    "[   30000] world     healed\n"),
    /* What is open is reset. */
    STORY("L-06",
    a_second_signal_ends_at_once,
    "phase-ms 20000\n"
    "0 agent-start 0 own-all\n"
    "1000 client 0 slow 5000000\n"
    "1100 server-stop 9000\n"
    "1500 server-stop 9000\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[      30] agent 0   connected as session 1\n"
    "[      30] server    proxy of agent 0 on 56715\n"
    "[      40] agent 0   connected\n"
    "[    1100] server    drains 1 sessions\n"
    "[    1500] server    proxy of agent 0 closed\n"
    "[    1510] agent 0   lost its session: the peer closed the WebSocket\n"
    "[    2500] agent 0   session 1 ended: this side shut down\n"
    "[    2500] server    drained, exits\n"
    "[    4546] client 0  GET /containers/web/json: reset after 54553 bytes\n"
    "[    5322] agent 0   cannot connect: connection refused\n"
    "[   10500] server    started\n"
    "[   12192] agent 0   connected as session 2\n"
    "[   12192] server    proxy of agent 0 on 56715\n"
    "[   12202] agent 0   connected\n"
    "[   20000] world     healed\n"),
    /* The store outlives the process; agents come back. */
    STORY("K-03,H-03",
    a_crash_forgets_sessions_and_no_key,
    "phase-ms 30000\n"
    "0 agent-start 0 own\n"
    "1000 rotate 0\n"
    "1500 agent-start 0 own\n"
    "3000 client 0 list 100\n"
    "4000 server-crash exits 2000\n"
    "5000 ask 0 site\n"
    "25000 client 0 list 100\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[      30] agent 0   connected as session 1\n"
    "[      30] server    proxy of agent 0 on 56715\n"
    "[      40] agent 0   connected\n"
    "[    1000] operator  rotates the key of agent 0\n"
    "[    1000] server    proxy of agent 0 closed\n"
    "[    1010] agent 0   lost its session: the peer closed the WebSocket\n"
    "[    1020] agent 0   session 1 ended: the agent was revoked or deleted\n"
    "[    1530] agent 0   connected as session 2\n"
    "[    1530] server    proxy of agent 0 on 56715\n"
    "[    1540] agent 0   connected\n"
    "[    3020] client 0  GET /containers/json: 200, 13 bytes, whole\n"
    "[    4000] server    crashes with 1 sessions\n"
    "[    4010] agent 0   lost its session: the peer closed the connection\n"
    "[    5000] operator  asks for the list of agent 0: 0\n"
    "[    6000] server    started\n"
    "[    6963] agent 0   connected as session 3\n"
    "[    6963] server    proxy of agent 0 on 56715\n"
    "[    6973] agent 0   connected\n"
    "[   25020] client 1  GET /containers/json: 200, 14 bytes, whole\n"
    "[   30000] world     healed\n"),
    /* The word is not heard, and the session lives. */
    STORY("K-03",
    a_store_that_refuses_changes_nothing,
    "phase-ms 9000\n"
    "0 agent-start 0 own\n"
    "1000 store-fails 3000\n"
    "2000 revoke 0\n"
    "3000 client 0 ping 0\n"
    "5000 revoke 0\n"
    "6000 client 0 ping 0\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[      30] agent 0   connected as session 1\n"
    "[      30] server    proxy of agent 0 on 56715\n"
    "[      40] agent 0   connected\n"
    "[    2000] operator  is refused for agent 0\n"
    "[    3020] client 0  HEAD /_ping: 200, 0 bytes, whole\n"
    "[    5000] operator  revokes agent 0\n"
    "[    5000] server    proxy of agent 0 closed\n"
    "[    5010] agent 0   lost its session: the peer closed the WebSocket\n"
    "[    5020] agent 0   session 1 ended: the agent was revoked or deleted\n"
    "[    6000] client 1  finds no proxy of agent 0\n"
    "[    8842] agent 0   cannot connect: 401\n"
    "[    9000] world     healed\n"),
    /* Who is served already is served on. */
    STORY("L-02,X14",
    without_descriptors_the_newcomer_is_refused,
    "phase-ms 9000\n"
    "0 agent-start 0 own-all\n"
    "1000 client 0 slow 100000\n"
    "1100 no-descriptor 0 3000\n"
    "1500 client 0 ping 0\n"
    "6000 client 0 ping 0\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[      30] agent 0   connected as session 1\n"
    "[      30] server    proxy of agent 0 on 56715\n"
    "[      40] agent 0   connected\n"
    "[    1100] server    has 0 descriptors left\n"
    "[    1500] client 1  HEAD /_ping: reset after 0 bytes\n"
    "[    6020] client 2  HEAD /_ping: 200, 0 bytes, whole\n"
    "[    9000] world     healed\n"),
    /* The smallest unit, and nobody else. */
    STORY("L-02",
    without_memory_one_connection_ends,
    "phase-ms 9000\n"
    "0 agent-start 0 own-all\n"
    "1000 client 0 slow 100000\n"
    "1500 no-memory 0 0\n"
    "1600 client 0 ping 0\n"
    "3000 client 0 ping 0\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[      30] agent 0   connected as session 1\n"
    "[      30] server    proxy of agent 0 on 56715\n"
    "[      40] agent 0   connected\n"
    "[    1500] server    reservation 1 to fail\n"
    "[    1600] client 1  GET /_ping: reset after 0 bytes\n"
    "[    3020] client 2  HEAD /_ping: 200, 0 bytes, whole\n"
    "[    9000] world     healed\n"),
    /* What came meanwhile is read before the clock is looked at. */
    STORY("L-01",
    a_pause_of_the_server_costs_no_session,
    "phase-ms 40000\n"
    "0 agent-start 0 own\n"
    "1000 pause 14000\n"
    "2000 client 0 ping 0\n"
    "30000 client 0 ping 0\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[      30] agent 0   connected as session 1\n"
    "[      30] server    proxy of agent 0 on 56715\n"
    "[      40] agent 0   connected\n"
    "[   15020] client 0  GET /_ping: 200, 2 bytes, whole\n"
    "[   30020] client 1  HEAD /_ping: 200, 0 bytes, whole\n"
    "[   40000] world     healed\n"),
    /* Ten years forth, and back. */
    STORY("L-01,L-09",
    a_wall_clock_that_jumps_changes_nothing,
    "phase-ms 9000\n"
    "0 agent-start 0 own\n"
    "1000 clock-jump forward 315360000000\n"
    "2000 client 0 ping 0\n"
    "3000 clock-jump back 315360000000\n"
    "4000 client 0 ping 0\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[      30] agent 0   connected as session 1\n"
    "[      30] server    proxy of agent 0 on 56715\n"
    "[      40] agent 0   connected\n"
    "[    2020] client 0  GET /_ping: 200, 2 bytes, whole\n"
    "[    4020] client 1  HEAD /_ping: 200, 0 bytes, whole\n"
    "[    9000] world     healed\n"),
    /* The word is on the disk before the server dies of something else. */
    STORY("K-03,AC-16",
    a_key_that_was_revoked_is_so_after_a_crash,
    "phase-ms 20000\n"
    "0 agent-start 0 own\n"
    "1000 revoke 0\n"
    "1000 server-crash exits 2000\n"
    "15000 ask 0 site\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[      30] agent 0   connected as session 1\n"
    "[      30] server    proxy of agent 0 on 56715\n"
    "[      40] agent 0   connected\n"
    "[    1000] operator  revokes agent 0\n"
    "[    1000] server    proxy of agent 0 closed\n"
    "[    1000] server    crashes with 1 sessions\n"
    "[    1010] agent 0   lost its session: the peer closed the connection\n"
    "[    3000] server    started\n"
    "[    4842] agent 0   cannot connect: 401\n"
    "[   15000] operator  asks for the list of agent 0: 502\n"
    "[   15037] agent 0   cannot connect: 401\n"
    "[   20000] world     healed\n"),
    /* Its sessions and listeners go with it, and come back by themselves. */
    STORY("K-03,AC-14,L-04",
    a_server_whose_host_is_gone_is_found_by_its_agent,
    "phase-ms 40000\n"
    "0 agent-start 0 own\n"
    "1000 client 0 logs 500000\n"
    "1020 server-crash vanishes 5000\n"
    "35000 client 0 list 100\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[      30] agent 0   connected as session 1\n"
    "[      30] server    proxy of agent 0 on 56715\n"
    "[      40] agent 0   connected\n"
    "[    1020] server    crashes with 1 sessions\n"
    "[    6020] server    started\n"
    "[   17010] agent 0   lost its session: the peer is silent\n"
    "[   20832] agent 0   connected as session 2\n"
    "[   20832] server    proxy of agent 0 on 56715\n"
    "[   20842] agent 0   connected\n"
    "[   35020] client 1  GET /containers/json: 200, 7 bytes, whole\n"
    "[   40000] world     healed\n"),
    /* The disk refuses the last use, and remembers one that a clock set back
     * has put into the future; the table knows better, and by the wall clock a
     * day has passed when an agent connects after the heal. */
    STORY("L-10,K-03",
    a_use_that_the_disk_refused_ends_its_quarantine_in_time,
    "seed 154484\n"
    "sites 1\n"
    "phase-ms 33459\n"
    "rough\n"
    "11550 agent-start 0 own\n"
    "14360 revoke 0\n"
    "14360.080 provision 0\n"
    "14360.082 agent-start 0 go\n"
    "17930 clock-jump back 76992187\n"
    "17930.007 link-cut 0 agent-silence 0\n"
    "18912.226 store-fails 27\n"
    "22780 clock-jump forward 149828610\n"
    "33456.776 revoke 0\n"
    "33458.068 provision 0\n",
    "[       0] server    started\n"
    "[       0] operator  provisions agent 0\n"
    "[   11568] agent 0   connected as session 1\n"
    "[   11568] server    proxy of agent 0 on 32768\n"
    "[   11568] agent 0   connected\n"
    "[   14360] operator  revokes agent 0\n"
    "[   14360] server    proxy of agent 0 closed\n"
    "[   14360] operator  deletes agent 0\n"
    "[   14360] operator  provisions agent 0\n"
    "[   14369] agent 0   session 1 ended: the agent was revoked or deleted\n"
    "[   14378] agent 0   connected as session 2\n"
    "[   14378] server    proxy of agent 0 on 32777\n"
    "[   14378] agent 0   connected as session 1\n"
    "[   17930] agent 0   link to be cut after 0 bytes\n"
    "[   18930] server    proxy of agent 0 closed\n"
    "[   18930] agent 0   session 2 ended: the connection failed\n"
    "[   33456] operator  revokes agent 0\n"
    "[   33458] operator  deletes agent 0\n"
    "[   33458] operator  provisions agent 0\n"
    "[   33459] world     healed\n"),
};
/* clang-format on */
STORIES(stories)
