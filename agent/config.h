/* config.h: what the agent is told, by its environment and its command line
 * (U-02, orthrus-observed a.6).
 *
 * The environment goes before the command line, for every option: so it has
 * always been for the key, the URL, the id and the socket, and one rule is
 * easier to remember than two. An empty variable counts as not set.
 */
#ifndef AGENT_CONFIG_H
#define AGENT_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/url.h"
#include "core/preface.h"
#include "net/log.h"

#define CONFIG_KEY_MAX 512u    /* characters of an auth key */
#define CONFIG_FORWARD_MAX 64u /* entries of the forward allow-list */

struct config {
    struct url server;
    const char *server_text; /* as written, for log and status file */
    char key[CONFIG_KEY_MAX + 1];
    bool key_on_command_line; /* where every user of the host could read it */
    const char *agent_id;
    const char *docker_socket;
    bool allow_all; /* no policy between server and engine */
    struct preface_address forward[CONFIG_FORWARD_MAX];
    uint32_t forward_count;
    const char *ca_file;                  /* NULL: the system's roots */
    const char *client_cert, *client_key; /* both or neither */
    enum log_format log_format;
    enum log_level log_level;
    const char *status_file;     /* NULL: none */
    uint32_t streams_max;        /* live at once; one more is refused (L-02) */
    uint64_t recv_window_growth; /* bytes by which receive windows may grow,
                                    together (Y-04) */
    uint64_t spill_budget;       /* bytes that slow sockets may make us hold */
    uint64_t ping_interval_ms;   /* silence before each ping (L-01) */
    uint32_t ping_missed_max;    /* silent intervals that end the session; the
                                    first one is before the first ping */
    uint64_t reconnect_min_ms, reconnect_max_ms; /* agent/backoff.h */
    uint64_t unauthorized_ms;                    /* mean delay after a 401 */
    uint64_t dial_timeout_ms;                    /* from look-up to the 101 */
    uint64_t connect_timeout_ms;  /* of the engine's socket and of forwards */
    uint64_t response_timeout_ms; /* for the engine's first byte; 0: none; of
                                     /_ping at most 10 s (T34) */
    uint64_t drain_timeout_ms;    /* for open streams, after SIGTERM (L-06) */
};

enum config_result {
    CONFIG_RUN,    /* *config is whole */
    CONFIG_PRINT,  /* text is the help or the version: print it, exit 0 */
    CONFIG_INVALID /* text names what is wrong and the remedy: exit 2 */
};

#define CONFIG_TEXT_SIZE 8192u

/* environment: as getenv(). Strings of *config point into argv and the
 * environment. A key in argv is overwritten there. */
enum config_result config_parse(struct config *config, int argc, char **argv,
                                char *(*environment)(const char *name),
                                char text[CONFIG_TEXT_SIZE]);

#endif
