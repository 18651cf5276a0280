/* orthrus-agent: reaches out to an Orthrus server, so that it can reach the
 * Docker Engine of this host. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/config.h"
#include "agent/proxy.h"
#include "agent/report.h"
#include "agent/runner.h"
#include "agent/tls.h"
#include "net/log.h"
#include "net/sys.h"

#define EXIT_USAGE 2

static struct config config;

/* What can be found wrong before the first dial is found now. */
static bool check_tls(void)
{
    char error[TLS_ERROR_SIZE];
    SSL_CTX *context;

    if (!config.server.tls) {
        return true;
    }
    context = tls_create(&config, error);
    if (context == NULL) {
        fprintf(stderr, "orthrus: %s\n", error);
        return false;
    }
    SSL_CTX_free(context);
    return true;
}

static bool check_proxy(void)
{
    char error[URL_ERROR_SIZE];
    struct url proxy;

    if (proxy_choose(&proxy, &config.server, getenv, error) != PROXY_BAD) {
        return true;
    }
    fprintf(stderr, "orthrus: %s\n", error);
    return false;
}

static bool check_status_file(void)
{
    struct report report = {.path = config.status_file,
                            .agent_id = config.agent_id,
                            .server = config.server_text,
                            .policy = ""};

    if (config.status_file == NULL || report_save(&report)) {
        return true;
    }
    fprintf(stderr,
            "orthrus: --status-file \"%s\": %s; name a file in a directory "
            "that the agent may write\n",
            config.status_file, strerror(errno));
    return false;
}

/* Worth a line, but no reason not to start. */
static void warn(void)
{
    if (config.key_on_command_line) {
        log_line(
            LOG_WARN, "key_on_command_line",
            log_string("remedy", "use ORTHRUS_AUTH_KEY or --auth-key-file"));
    }
    if (!config.server.tls && !url_is_loopback(&config.server)) {
        log_line(LOG_WARN, "connection_not_encrypted",
                 log_string("server", config.server_text),
                 log_string("remedy", "use wss:// with a server that has TLS, "
                                      "or a proxy with TLS in front of it"));
    }
    if (sys_access(config.docker_socket, F_OK) != 0) {
        log_line(LOG_WARN, "docker_socket_missing",
                 log_string("socket", config.docker_socket), log_errno(errno),
                 log_string("remedy", "start the Docker Engine, or name its "
                                      "socket with --docker-socket"));
    }
}

int main(int argc, char **argv)
{
    static char text[CONFIG_TEXT_SIZE];
    struct log_config log;

    runner_hold_signals();
    switch (config_parse(&config, argc, argv, getenv, text)) {
    case CONFIG_PRINT:
        return fputs(text, stdout) >= 0 && fflush(stdout) == 0 ? EXIT_SUCCESS
                                                               : EXIT_FAILURE;
    case CONFIG_INVALID:
        fprintf(stderr, "%s\n", text);
        return EXIT_USAGE;
    case CONFIG_RUN:
        break;
    }
    if (!check_tls() || !check_proxy() || !check_status_file()) {
        return EXIT_USAGE;
    }
    log_config_default(&log);
    log.level = config.log_level;
    log.format = config.log_format;
    log_open(&log);
    log_line(LOG_INFO, "agent_starting", log_string("version", ORTHRUS_VERSION),
             log_string("server", config.server_text),
             log_string("agent_id", config.agent_id),
             log_string("docker_socket", config.docker_socket),
             log_string("policy", config.allow_all ? "allow-all" : "read-only"),
             log_uint("forwards", config.forward_count));
    warn();
    int status = runner_run(&config);
    explicit_bzero(config.key, sizeof(config.key));
    log_line(LOG_INFO, "agent_stopped", log_int("status", status));
    return status;
}
