#include "cli/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/table.h"
#include "cli/text.h"

#define AGENTS_PATH "/api/v1/orthrus/agents"
#define SERVERS_PATH "/api/v1/remote-servers"
#define PATH_SIZE 256
#define UUID_LENGTH 36u

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static enum command_exit refuse(struct command_context *context)
{
    text_clean(context->client.error); /* it may quote the server */
    fprintf(stderr, "orthrusctl: %s\n", context->client.error);
    return COMMAND_FAILED;
}

/* With --json the answer is the output. True: it was printed. */
static bool print_json(const struct command_context *context,
                       const json_t *answer)
{
    if (!context->json) {
        return false;
    }
    if (answer != NULL) {
        text_print_json(answer);
    }
    return true;
}

static bool call(struct command_context *context, const char *method,
                 const char *path, const json_t *body, json_t **answer)
{
    return client_call(&context->client, method, path, body, answer);
}

/* The one object of the list at path whose uuid or name is word, owned by the
 * caller; NULL after a message. */
static json_t *find(struct command_context *context, const char *path,
                    const char *what, const char *word)
{
    json_t *list;
    if (!call(context, "GET", path, NULL, &list)) {
        refuse(context);
        return NULL;
    }
    json_t *found = NULL;
    size_t matches = 0;
    size_t index;
    json_t *each;
    json_array_foreach(list, index, each)
    {
        const char *uuid = text_of(each, "uuid");
        const char *name = text_of(each, "name");
        if (uuid != NULL && strcmp(uuid, word) == 0) {
            found = each;
            matches = 1;
            break;
        }
        if (name != NULL && strcmp(name, word) == 0) {
            found = each;
            matches++;
        }
    }
    if (matches != 1) {
        fprintf(stderr,
                matches == 0
                    ? "orthrusctl: no %s is called \"%s\"; `orthrusctl %s ls` "
                      "lists them\n"
                    : "orthrusctl: more than one %s is called \"%s\"; give the "
                      "uuid (`orthrusctl %s ls`)\n",
                what, word, what);
        json_decref(list);
        return NULL;
    }
    json_incref(found);
    json_decref(list);
    return found;
}

static bool is_uuid(const char *text)
{
    return strlen(text) == UUID_LENGTH &&
           strspn(text, "0123456789abcdefABCDEF-") == UUID_LENGTH;
}

/* The path of one object, or of something below it. False: not an orthrusd's
 * answer. */
static bool path_of(char path[PATH_SIZE], const char *base,
                    const json_t *object, const char *below)
{
    const char *uuid = text_of(object, "uuid");
    if (uuid == NULL || !is_uuid(uuid)) {
        fprintf(stderr, "orthrusctl: the server's answer has no valid uuid; is "
                        "this orthrusd?\n");
        return false;
    }
    (void)snprintf(path, PATH_SIZE, "%s/%s%s", base, uuid, below);
    return true;
}

/* Find word at base, call method on it, and hand over the answer. */
static bool call_on(struct command_context *context, const char *base,
                    const char *what, const char *word, const char *method,
                    const char *below, const json_t *body, json_t **answer)
{
    char path[PATH_SIZE];
    *answer = NULL;
    json_t *object = find(context, base, what, word);
    if (object == NULL) {
        return false;
    }
    bool good = path_of(path, base, object, below);
    json_decref(object);
    if (!good) {
        return false;
    }
    if (!call(context, method, path, body, answer)) {
        refuse(context);
        return false;
    }
    return true;
}

/* ---- agents -------------------------------------------------------------- */

/* "ws://host:port" of the address that this command line talks to. */
static void print_start(const struct command_context *context, const char *name,
                        const char *key)
{
    const char *server = context->client.server;
    const char *scheme = "ws://";
    const char *rest = "SERVER:8080"; /* a unix socket does not tell */
    if (strncmp(server, "https://", 8) == 0) {
        scheme = "wss://";
        rest = server + 8;
    } else if (strncmp(server, "http://", 7) == 0) {
        rest = server + 7;
    }
    printf("\nOn the remote host, start the agent with:\n\n"
           "  ORTHRUS_AUTH_KEY=%s \\\n"
           "  orthrus-agent --server-url %s%.*s --agent-id ",
           key, scheme, (int)strcspn(rest, "/"), rest);
    text_print_quoted(name);
    printf("\n\nThe key is shown this once; the server keeps only its "
           "digest.\n");
}

static enum command_exit print_key(struct command_context *context,
                                   json_t *answer)
{
    const json_t *agent = json_object_get(answer, "agent");
    const char *uuid = text_of(agent, "uuid");
    const char *name = text_of(agent, "name");
    const char *key = text_of(answer, "auth_key");
    enum command_exit result = COMMAND_OK;
    if (uuid == NULL || !is_uuid(uuid) || name == NULL || key == NULL ||
        !text_is_word(key)) {
        fprintf(stderr, "orthrusctl: the server's answer lacks a valid uuid, "
                        "name or auth_key; is this orthrusd?\n");
        result = COMMAND_FAILED;
    } else if (!print_json(context, answer)) {
        printf("uuid  %s\nkey   %s\n", uuid, key);
        print_start(context, name, key);
    }
    json_decref(answer);
    return result;
}

static enum command_exit agent_add(struct command_context *context, int count,
                                   char **arguments)
{
    (void)count;
    json_t *answer;
    json_t *body = json_pack("{s:s}", "name", arguments[0]);
    if (body == NULL) {
        fprintf(stderr, "orthrusctl: the name is not valid UTF-8\n");
        return COMMAND_USAGE;
    }
    bool good = call(context, "POST", AGENTS_PATH, body, &answer);
    json_decref(body);
    return good ? print_key(context, answer) : refuse(context);
}

static enum command_exit agent_ls(struct command_context *context, int count,
                                  char **arguments)
{
    (void)count;
    (void)arguments;
    json_t *list;
    if (!call(context, "GET", AGENTS_PATH, NULL, &list)) {
        return refuse(context);
    }
    if (!print_json(context, list)) {
        struct table table;
        table_init(&table, 5);
        table_add(&table, "NAME");
        table_add(&table, "STATUS");
        table_add(&table, "PROXY ADDRESS");
        table_add(&table, "LAST SEEN");
        table_add(&table, "UUID");
        size_t index;
        json_t *agent;
        json_array_foreach(list, index, agent)
        {
            table_add(&table, text_of(agent, "name"));
            table_add(&table, text_of(agent, "status"));
            table_add(&table, text_of(agent, "proxy_address"));
            table_add(&table, text_of(agent, "last_seen"));
            table_add(&table, text_of(agent, "uuid"));
        }
        table_print(&table);
    }
    json_decref(list);
    return COMMAND_OK;
}

/* Every member of an object, a line each. */
static void print_members(json_t *object)
{
    struct table table;
    table_init(&table, 2);
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        table_add(&table, key);
        if (json_is_string(value)) {
            table_add(&table, json_string_value(value));
        } else {
            char *text = json_dumps(value, JSON_ENCODE_ANY);
            table_add(&table, text);
            free(text);
        }
    }
    table_print(&table);
}

static enum command_exit agent_show(struct command_context *context, int count,
                                    char **arguments)
{
    (void)count;
    json_t *agent = find(context, AGENTS_PATH, "agent", arguments[0]);
    if (agent == NULL) {
        return COMMAND_FAILED;
    }
    if (!print_json(context, agent)) {
        print_members(agent);
    }
    json_decref(agent);
    return COMMAND_OK;
}

/* One call on one object; done is printed on success, with the word given. */
static enum command_exit act(struct command_context *context, const char *base,
                             const char *what, const char *word,
                             const char *method, const char *below,
                             const json_t *body, const char *done)
{
    json_t *answer;
    if (!call_on(context, base, what, word, method, below, body, &answer)) {
        return COMMAND_FAILED;
    }
    if (!print_json(context, answer)) {
        printf("%s %s %s\n", what, word, done);
    }
    json_decref(answer);
    return COMMAND_OK;
}

static enum command_exit agent_rename(struct command_context *context,
                                      int count, char **arguments)
{
    (void)count;
    json_t *body = json_pack("{s:s}", "name", arguments[1]);
    if (body == NULL) {
        fprintf(stderr, "orthrusctl: the name is not valid UTF-8\n");
        return COMMAND_USAGE;
    }
    enum command_exit result = act(context, AGENTS_PATH, "agent", arguments[0],
                                   "PATCH", "", body, "renamed");
    json_decref(body);
    return result;
}

static enum command_exit agent_revoke(struct command_context *context,
                                      int count, char **arguments)
{
    (void)count;
    return act(context, AGENTS_PATH, "agent", arguments[0], "POST", "/revoke",
               NULL, "revoked: its key is void and its session ended");
}

static enum command_exit agent_rotate(struct command_context *context,
                                      int count, char **arguments)
{
    (void)count;
    json_t *answer;
    if (!call_on(context, AGENTS_PATH, "agent", arguments[0], "POST", "/rotate",
                 NULL, &answer)) {
        return COMMAND_FAILED;
    }
    return print_key(context, answer);
}

static enum command_exit agent_rm(struct command_context *context, int count,
                                  char **arguments)
{
    (void)count;
    return act(context, AGENTS_PATH, "agent", arguments[0], "DELETE", "", NULL,
               "deleted");
}

/* ---- remote servers ------------------------------------------------------ */

static bool parse_port(const char *text, json_int_t *port)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno != 0 || *text == '\0' || *end != '\0' || value < 1 ||
        value > 65535) {
        fprintf(stderr, "orthrusctl: --port %s: expected 1 to 65535\n", text);
        return false;
    }
    *port = value;
    return true;
}

static enum command_exit server_add(struct command_context *context, int count,
                                    char **arguments)
{
    (void)count;
    bool is_direct = context->host != NULL && context->port != NULL;
    if ((context->agent == NULL) == !is_direct) {
        fprintf(stderr, "orthrusctl: server add NAME needs either --agent "
                        "AGENT, or --host HOST --port PORT\n");
        return COMMAND_USAGE;
    }
    json_t *body;
    if (is_direct) {
        json_int_t port;
        if (!parse_port(context->port, &port)) {
            return COMMAND_USAGE;
        }
        body = json_pack("{s:s, s:s, s:s, s:I}", "name", arguments[0],
                         "connection_type", "direct", "host", context->host,
                         "port", port);
    } else {
        json_t *agent = find(context, AGENTS_PATH, "agent", context->agent);
        if (agent == NULL) {
            return COMMAND_FAILED;
        }
        body = json_pack("{s:s, s:s, s:s*}", "name", arguments[0],
                         "connection_type", "orthrus", "orthrus_agent_uuid",
                         text_of(agent, "uuid"));
        json_decref(agent);
    }
    if (body == NULL) {
        fprintf(stderr, "orthrusctl: the name is not valid UTF-8\n");
        return COMMAND_USAGE;
    }
    json_t *answer;
    bool good = call(context, "POST", SERVERS_PATH, body, &answer);
    json_decref(body);
    if (!good) {
        return refuse(context);
    }
    if (!print_json(context, answer)) {
        const char *uuid = text_of(answer, "uuid");
        printf("uuid  %s\n", uuid != NULL ? uuid : "-");
    }
    json_decref(answer);
    return COMMAND_OK;
}

static enum command_exit server_ls(struct command_context *context, int count,
                                   char **arguments)
{
    (void)count;
    (void)arguments;
    json_t *list;
    if (!call(context, "GET", SERVERS_PATH, NULL, &list)) {
        return refuse(context);
    }
    if (!print_json(context, list)) {
        struct table table;
        table_init(&table, 4);
        table_add(&table, "NAME");
        table_add(&table, "TYPE");
        table_add(&table, "TARGET");
        table_add(&table, "UUID");
        size_t index;
        json_t *server;
        json_array_foreach(list, index, server)
        {
            char target[512];
            const char *agent = text_of(server, "orthrus_agent_uuid");
            const char *host = text_of(server, "host");
            json_int_t port =
                json_integer_value(json_object_get(server, "port"));
            if (agent != NULL && agent[0] != '\0') {
                snprintf(target, sizeof target, "agent %s", agent);
            } else {
                snprintf(target, sizeof target, "tcp://%s:%lld",
                         host != NULL ? host : "-", (long long)port);
            }
            table_add(&table, text_of(server, "name"));
            table_add(&table, text_of(server, "connection_type"));
            table_add(&table, target);
            table_add(&table, text_of(server, "uuid"));
        }
        table_print(&table);
    }
    json_decref(list);
    return COMMAND_OK;
}

static enum command_exit server_rm(struct command_context *context, int count,
                                   char **arguments)
{
    (void)count;
    return act(context, SERVERS_PATH, "server", arguments[0], "DELETE", "",
               NULL, "deleted");
}

/* ---- Docker -------------------------------------------------------------- */

/* "8080->80/tcp, 443/tcp" */
static void format_ports(const json_t *ports, char *text, size_t size)
{
    size_t used = 0;
    size_t index;
    json_t *port;
    text[0] = '\0';
    json_array_foreach(ports, index, port)
    {
        json_int_t outside =
            json_integer_value(json_object_get(port, "public_port"));
        json_int_t inside =
            json_integer_value(json_object_get(port, "private_port"));
        const char *type = text_of(port, "type");
        char one[64];
        if (outside != 0) {
            snprintf(one, sizeof one, "%lld->%lld/%.8s", (long long)outside,
                     (long long)inside, type != NULL ? type : "tcp");
        } else {
            snprintf(one, sizeof one, "%lld/%.8s", (long long)inside,
                     type != NULL ? type : "tcp");
        }
        int length = snprintf(text + used, size - used, "%s%s",
                              used > 0 ? ", " : "", one);
        if (length < 0 || (size_t)length >= size - used) {
            return; /* what fits */
        }
        used += (size_t)length;
    }
}

static enum command_exit ps(struct command_context *context, int count,
                            char **arguments)
{
    (void)count;
    json_t *list;
    if (!call_on(context, AGENTS_PATH, "agent", arguments[0], "GET",
                 "/containers", NULL, &list)) {
        return COMMAND_FAILED;
    }
    if (!print_json(context, list)) {
        struct table table;
        table_init(&table, 5);
        table_add(&table, "CONTAINER ID");
        table_add(&table, "IMAGE");
        table_add(&table, "STATUS");
        table_add(&table, "PORTS");
        table_add(&table, "NAMES");
        size_t index;
        json_t *container;
        json_array_foreach(list, index, container)
        {
            char ports[512];
            format_ports(json_object_get(container, "ports"), ports,
                         sizeof ports);
            table_add(&table, text_of(container, "id"));
            table_add(&table, text_of(container, "image"));
            table_add(&table, text_of(container, "status"));
            table_add(&table, ports);
            table_add(&table, json_string_value(json_array_get(
                                  json_object_get(container, "names"), 0)));
        }
        table_print(&table);
    }
    json_decref(list);
    return COMMAND_OK;
}

/* "tcp://127.0.0.1:N" of a connected agent. False after a message. */
static bool docker_host(struct command_context *context, const char *word,
                        char *host, size_t size)
{
    json_t *agent = find(context, AGENTS_PATH, "agent", word);
    if (agent == NULL) {
        return false;
    }
    const char *address = text_of(agent, "proxy_address");
    bool is_connected = false;
    if (address != NULL && address[0] != '\0') {
        int length = snprintf(host, size, "tcp://%s", address);
        is_connected =
            text_is_address(address) && length > 0 && (size_t)length < size;
        if (!is_connected) { /* a shell will evaluate it */
            fprintf(stderr, "orthrusctl: the server's answer has no valid "
                            "proxy_address; is this orthrusd?\n");
        }
    } else {
        fprintf(stderr,
                "orthrusctl: agent %s is not connected; start orthrus-agent on "
                "its host\n",
                word);
    }
    json_decref(agent);
    return is_connected;
}

static enum command_exit env(struct command_context *context, int count,
                             char **arguments)
{
    (void)count;
    char host[128];
    if (!docker_host(context, arguments[0], host, sizeof host)) {
        return COMMAND_FAILED;
    }
    printf("export DOCKER_HOST=%s\n", host);
    return COMMAND_OK;
}

static enum command_exit docker(struct command_context *context, int count,
                                char **arguments)
{
    char host[128];
    if (!docker_host(context, arguments[0], host, sizeof host)) {
        return COMMAND_FAILED;
    }
    char **child = calloc((size_t)count + 3, sizeof *child);
    if (child == NULL) {
        fprintf(stderr, "orthrusctl: out of memory\n");
        return COMMAND_FAILED;
    }
    static char name[] = "docker";
    static char option[] = "--host";
    child[0] = name;
    child[1] = option;
    child[2] = host;
    for (int i = 1; i < count; i++) {
        child[i + 2] = arguments[i];
    }
    execvp("docker", child);
    fprintf(stderr,
            "orthrusctl: cannot start docker: %s; install the Docker CLI\n",
            strerror(errno));
    free(child);
    return COMMAND_FAILED;
}

static enum command_exit status(struct command_context *context, int count,
                                char **arguments)
{
    (void)count;
    (void)arguments;
    json_t *list;
    if (!call(context, "GET", AGENTS_PATH, NULL, &list)) {
        return refuse(context);
    }
    size_t online = 0;
    size_t index;
    json_t *agent;
    json_array_foreach(list, index, agent)
    {
        const char *state = text_of(agent, "status");
        online += state != NULL && strcmp(state, "online") == 0 ? 1 : 0;
    }
    if (context->json) {
        json_t *answer = json_pack(
            "{s:s, s:I, s:I}", "server", context->client.server, "agents",
            (json_int_t)json_array_size(list), "online", (json_int_t)online);
        print_json(context, answer);
        json_decref(answer);
    } else {
        printf("server  %s\nagents  %zu, %zu online\n", context->client.server,
               json_array_size(list), online);
    }
    json_decref(list);
    return COMMAND_OK;
}

/* ---- the table ----------------------------------------------------------- */

static const struct command table[] = {
    {"agent", "add", "NAME", 1, 1, "provision an agent; prints its key, once",
     agent_add},
    {"agent", "ls", "", 0, 0, "list agents", agent_ls},
    {"agent", "show", "AGENT", 1, 1, "all that is known of one", agent_show},
    {"agent", "rename", "AGENT NAME", 2, 2, "give it another name",
     agent_rename},
    {"agent", "revoke", "AGENT", 1, 1, "void its key and end its session",
     agent_revoke},
    {"agent", "rotate", "AGENT", 1, 1,
     "issue a new key; the old one works for a while", agent_rotate},
    {"agent", "rm", "AGENT", 1, 1, "delete it and end its session", agent_rm},
    {"server", "add", "NAME", 1, 1,
     "add a remote server (--agent A, or --host H --port P)", server_add},
    {"server", "ls", "", 0, 0, "list remote servers", server_ls},
    {"server", "rm", "SERVER", 1, 1, "delete one", server_rm},
    {NULL, "ps", "AGENT", 1, 1, "containers that run on the agent's host", ps},
    {NULL, "env", "AGENT", 1, 1, "print `export DOCKER_HOST=...` for eval",
     env},
    {NULL, "docker", "AGENT -- ARGS...", 1, -1,
     "run the Docker CLI against the agent", docker},
    {NULL, "status", "", 0, 0, "is the server there, who is online", status},
    {NULL, NULL, NULL, 0, 0, NULL, NULL}};

const struct command *command_table(void)
{
    return table;
}

enum command_exit command_run(struct command_context *context, int count,
                              char **words)
{
    if (count == 0) {
        fprintf(stderr, "orthrusctl: which command? try --help\n");
        return COMMAND_USAGE;
    }
    for (const struct command *row = table; row->verb != NULL; row++) {
        int skip = row->group != NULL ? 2 : 1;
        if (count < skip ||
            (row->group != NULL && strcmp(words[0], row->group) != 0) ||
            strcmp(words[skip - 1], row->verb) != 0) {
            continue;
        }
        int left = count - skip;
        if (left < row->arguments_min ||
            (row->arguments_max >= 0 && left > row->arguments_max)) {
            fprintf(stderr, "orthrusctl: usage: orthrusctl %s%s%s %s\n",
                    row->group != NULL ? row->group : "",
                    row->group != NULL ? " " : "", row->verb, row->arguments);
            return COMMAND_USAGE;
        }
        return row->run(context, left, words + skip);
    }
    fprintf(stderr, "orthrusctl: no command \"%s%s%s\"; try --help\n", words[0],
            count > 1 ? " " : "", count > 1 ? words[1] : "");
    return COMMAND_USAGE;
}
