/* orthrusctl: the admin's command line for orthrusd. */
#include <curl/curl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"

#define SERVER_DEFAULT "http://127.0.0.1:8080"
#define TOKEN_FILE_DEFAULT "/var/lib/orthrus/admin.token"

static void print_help(void)
{
    printf("usage: orthrusctl [--server URL] [--token-file FILE] [--ca-file "
           "FILE] [--json] COMMAND\n\ncommands:\n");
    for (const struct command *row = command_table(); row->verb != NULL;
         row++) {
        char left[64];
        snprintf(left, sizeof left, "%s%s%s%s%s",
                 row->group != NULL ? row->group : "",
                 row->group != NULL ? " " : "", row->verb,
                 row->arguments[0] != '\0' ? " " : "", row->arguments);
        printf("  %-36s %s\n", left, row->help);
    }
    printf(
        "\nAGENT and SERVER are a name or a uuid.\n\noptions:\n"
        "  --server URL       http://HOST:PORT, https://HOST:PORT or "
        "unix:PATH\n"
        "                     (ORTHRUSCTL_SERVER; default " SERVER_DEFAULT ")\n"
        "  --token-file FILE  the admin token (ORTHRUSCTL_TOKEN_FILE; default\n"
        "                     " TOKEN_FILE_DEFAULT ")\n"
        "  --ca-file FILE     trust this authority for https\n"
        "  --json             print the server's answer as JSON\n"
        "  --version, --help\n\n"
        "exit status: 0 done, 1 refused or not reachable, 2 usage\n");
}

static const char *from_environment(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : otherwise;
}

/* Options may stand anywhere before "--"; what follows it is Docker's. Returns
 * the exit status, or -1 to go on. */
static int read_options(struct command_context *context,
                        const char **token_file, int argc, char **argv)
{
    static const struct option options[] = {
        {"server", required_argument, NULL, 's'},
        {"token-file", required_argument, NULL, 't'},
        {"ca-file", required_argument, NULL, 'c'},
        {"json", no_argument, NULL, 'j'},
        {"agent", required_argument, NULL, 'a'},
        {"host", required_argument, NULL, 'H'},
        {"port", required_argument, NULL, 'p'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (option) {
        case 's':
            context->client.server = optarg;
            break;
        case 't':
            *token_file = optarg;
            break;
        case 'c':
            context->client.ca_file = optarg;
            break;
        case 'j':
            context->json = true;
            break;
        case 'a':
            context->agent = optarg;
            break;
        case 'H':
            context->host = optarg;
            break;
        case 'p':
            context->port = optarg;
            break;
        case 'h':
            print_help();
            return COMMAND_OK;
        case 'V':
            printf("orthrusctl %s\n", ORTHRUS_VERSION);
            return COMMAND_OK;
        default:
            fprintf(stderr, "orthrusctl: try --help\n");
            return COMMAND_USAGE;
        }
    }
    return -1;
}

int main(int argc, char **argv)
{
    struct command_context context = {0};
    const char *token_file = from_environment("ORTHRUSCTL_TOKEN_FILE", NULL);
    context.client.server =
        from_environment("ORTHRUSCTL_SERVER", SERVER_DEFAULT);
    int over = read_options(&context, &token_file, argc, argv);
    if (over >= 0) {
        return over;
    }
    /* the admin socket's file mode is its key */
    bool is_socket = strncmp(context.client.server, "unix:", 5) == 0;
    if (token_file != NULL) {
        context.client.token_file = token_file;
    } else if (!is_socket) {
        context.client.token_file = TOKEN_FILE_DEFAULT;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    enum command_exit result =
        command_run(&context, argc - optind, argv + optind);
    curl_global_cleanup();
    return (int)result;
}
