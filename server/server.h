/* server.h: orthrusd put together: start, one loop, drain, end.
 *
 * Exit codes (U-01): 0 after a drain, 1 run-time failure, 2 usage or
 * configuration.
 */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

struct config;

#define SERVER_ERROR_SIZE 512u

enum server_exit { SERVER_OK = 0, SERVER_FAILED = 1, SERVER_MISUSED = 2 };

/* Serve until a signal ends it: SIGTERM or SIGINT drains, a second one ends at
 * once (L-06). A start that fails says why in one line on stderr. */
enum server_exit server_run(const struct config *config);

#endif
