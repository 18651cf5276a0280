#include <stdio.h>
#include <unistd.h>

#include "server/config.h"
#include "server/server.h"
#include "server/tls.h"

_Static_assert(CONFIG_ERROR_SIZE >= TLS_ERROR_SIZE, "one buffer for both");

int main(int argc, char **argv)
{
    struct config config;
    enum config_action action;
    char error[CONFIG_ERROR_SIZE];
    enum server_exit code = SERVER_OK;

    if (!config_read(&config, &action, argc, argv, environ, error)) {
        (void)fprintf(stderr, "orthrusd: %s\n", error);
        return SERVER_MISUSED;
    }
    switch (action) {
    case CONFIG_HELP:
        config_help(stdout);
        break;
    case CONFIG_VERSION:
        (void)puts("orthrusd " ORTHRUS_VERSION);
        break;
    case CONFIG_PRINT:
        config_print(&config, stdout);
        break;
    case CONFIG_CHECK:
    case CONFIG_RUN:
        if (config.tls_cert[0] != '\0' &&
            !tls_check(config.tls_cert, config.tls_key, error)) {
            (void)fprintf(stderr, "orthrusd: %s\n", error);
            code = SERVER_MISUSED;
        } else if (action == CONFIG_RUN) {
            code = server_run(&config);
        }
        break;
    }
    config_free(&config);
    return (int)code;
}
