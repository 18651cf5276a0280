/* command.h: the commands of orthrusctl, and how they are found.
 *
 * A command is a row of a table: its words, what follows them, one line of
 * help, and the function. --help, the usage errors and the bash completion's
 * test are made from that table, so that they cannot disagree.
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <stdbool.h>

#include "cli/client.h"

enum command_exit {
    COMMAND_OK = 0,
    COMMAND_FAILED = 1, /* asked, and refused or not reachable */
    COMMAND_USAGE = 2
};

struct command_context {
    struct client client;
    bool json;         /* print the server's JSON instead of text */
    const char *agent; /* options of `server add`; NULL: not given */
    const char *host;
    const char *port;
};

struct command {
    const char *group; /* "agent", "server", or NULL */
    const char *verb;
    const char *arguments; /* as printed in the help; "" for none */
    int arguments_min;
    int arguments_max; /* -1: any number */
    const char *help;
    enum command_exit (*run)(struct command_context *context, int count,
                             char **arguments);
};

/* The table, ended by a row whose verb is NULL. */
const struct command *command_table(void);

/* Find and run the command named by words; prints usage errors to stderr. */
enum command_exit command_run(struct command_context *context, int count,
                              char **words);

#endif
