#include "conformance/mutants/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "conformance/mutants/app.h"
#include "conformance/mutants/bytes.h"
#include "conformance/mutants/mutant.h"
#include "conformance/mutants/tls.h"
#include "conformance/mutants/websocket.h"
#include "conformance/mutants/yamux.h"

#define CONNECTIONS_MAX 64u
#define READ_SIZE 65536u
#define EMIT_SIZE (4u * 1024 * 1024) /* only a mutant fills it */
#define OUT_MAX 65536u               /* no more is emitted above */
#define LINGER_MS 1000u
#define REDIAL_MS 50u
#define POLL_MS 5 /* while somebody waits for a moment */
#define IDLE_MS 20
#define STEPS_MAX 64u

enum phase { UPGRADING, RUNNING, LINGERING };

struct connection {
    int fd;
    enum phase phase;
    bool peer_has_ended;
    struct bytes in; /* of the upgrade */
    struct bytes out;
    struct tls *tls;   /* NULL: plain */
    struct bytes wire; /* what out became, with TLS */
    struct yamux *yamux;
    struct websocket *websocket; /* NULL: plain */
    uint64_t linger_until_ms;
    bool waits;        /* for a moment in time */
    bool more;         /* to emit, once out has room */
    uint64_t stuck_ms; /* since then there was no room to write; 0: not so */
    size_t read;       /* bytes, for a mutant */
    bool hung;         /* for mutants */
};

static struct {
    const char *url;
    bool listens;
    bool client;
    bool websocket;
    bool secure; /* wss */
    bool local;  /* unix socket */
    char host[256];
    char port[8];
    char path[256];
    const char *cert_file; /* wss; NULL: none given */
    const char *ca_file;
} settings;

static struct connection *connections[CONNECTIONS_MAX];
static unsigned connection_count;

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

/* ---- sockets ---- */

static bool parse(const char *url)
{
    settings.url = url;
    if (strncmp(url, "unix://", 7) == 0) {
        settings.local = true;
        snprintf(settings.host, sizeof settings.host, "%s", url + 7);
        return url[7] != '\0';
    }
    settings.secure = strncmp(url, "wss://", 6) == 0;
    settings.websocket = settings.secure || strncmp(url, "ws://", 5) == 0;
    if (!settings.websocket && strncmp(url, "tcp://", 6) != 0)
        return false;
    const char *host = strstr(url, "//") + 2;
    size_t length = strcspn(host, "/");
    snprintf(settings.path, sizeof settings.path, "%s",
             host[length] == '/' ? host + length : "/");
    snprintf(settings.host, sizeof settings.host, "%.*s", (int)length, host);
    char *colon = strrchr(settings.host, ':');
    if (colon == NULL)
        return false;
    snprintf(settings.port, sizeof settings.port, "%s", colon + 1);
    *colon = '\0';
    return true;
}

/* A socket that is bound and listens, or that has begun to connect; -1. */
static int open_at(int family, const struct sockaddr *address, socklen_t size)
{
    int one = 1;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (settings.listens
            ? bind(fd, address, size) == 0 && listen(fd, 128) == 0
            : connect(fd, address, size) == 0 || errno == EINPROGRESS)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static int open_socket(void)
{
    if (settings.local) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        if (strlen(settings.host) >= sizeof address.sun_path) {
            errno = ENAMETOOLONG;
            return -1;
        }
        memcpy(address.sun_path, settings.host, strlen(settings.host));
        if (settings.listens)
            unlink(address.sun_path);
        return open_at(AF_UNIX, (struct sockaddr *)&address, sizeof address);
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *info = NULL;
    if (getaddrinfo(settings.host, settings.port, &hints, &info) != 0)
        return -1;
    int fd = open_at(info->ai_family, info->ai_addr, info->ai_addrlen);
    freeaddrinfo(info);
    return fd;
}

/* ---- connections ---- */

static void begin_session(struct connection *connection)
{
    connection->phase = RUNNING;
    connection->yamux = yamux_create(settings.client, now());
}

static void add_connection(int fd)
{
    int one = 1;
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL || connection_count == CONNECTIONS_MAX) {
        free(connection);
        close(fd);
        return;
    }
    if (!settings.local)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    connections[connection_count++] = connection;
    connection->fd = fd;
    if (settings.secure)
        connection->tls = tls_create(settings.host);
    if (!settings.websocket) {
        begin_session(connection);
        return;
    }
    connection->websocket = websocket_create(!settings.listens);
    if (!settings.listens)
        upgrade_request(&connection->out, settings.host, settings.path);
}

static void remove_connection(unsigned index)
{
    struct connection *connection = connections[index];
    close(connection->fd);
    if (connection->yamux != NULL) {
        yamux_lost(connection->yamux);
        app_run(connection->yamux, now());
        yamux_destroy(connection->yamux);
    }
    websocket_destroy(connection->websocket);
    bytes_clear(&connection->in);
    bytes_clear(&connection->out);
    bytes_clear(&connection->wire);
    tls_destroy(connection->tls);
    free(connection);
    connections[index] = connections[--connection_count];
}

static void take(struct connection *connection, uint8_t *bytes, size_t length)
{
    if (connection->phase == LINGERING || connection->hung)
        return;
    if (connection->phase == UPGRADING) {
        bytes_append(&connection->in, bytes, length);
        enum upgrade upgrade = upgrade_receive(
            &connection->in, &connection->out, !settings.listens);
        if (upgrade == UPGRADE_BAD)
            connection->peer_has_ended = true;
        if (upgrade != UPGRADE_DONE)
            return;
        begin_session(connection);
        length = connection->in.length;
        memcpy(bytes, bytes_front(&connection->in), length);
        bytes_clear(&connection->in);
    }
    if (connection->websocket != NULL)
        length = websocket_receive(connection->websocket, bytes, length);
    if (length > 0)
        yamux_receive(connection->yamux, bytes, length, now());
}

/* With TLS: the plain text in what came. */
static void unseal(struct connection *connection, uint8_t *bytes, size_t length)
{
    tls_feed(connection->tls, bytes, length, &connection->wire);
    while ((length = tls_read(connection->tls, bytes, READ_SIZE)) > 0)
        take(connection, bytes, length);
    if (tls_has_ended(connection->tls))
        connection->peer_has_ended = true;
}

static void read_socket(struct connection *connection)
{
    static uint8_t bytes[READ_SIZE + 8192];
    ssize_t got = recv(connection->fd, bytes, READ_SIZE, 0);
    if (got > 0) {
        connection->read += (size_t)got;
        if (connection->tls == NULL)
            take(connection, bytes, (size_t)got);
        else
            unseal(connection, bytes, (size_t)got);
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        connection->peer_has_ended = true;
    }
}

static void emit(struct connection *connection)
{
    static uint8_t bytes[EMIT_SIZE];
    size_t capacity = mutant("W-24") ? EMIT_SIZE : OUT_MAX;
    for (unsigned i = 0; i < STEPS_MAX; i++) {
        connection->waits = app_run(connection->yamux, now());
        connection->more = true;
        if (connection->out.length >= OUT_MAX)
            return;
        size_t length = yamux_emit(connection->yamux, bytes, capacity, now());
        connection->more = length > 0;
        if (length == 0)
            return;
        if (connection->websocket == NULL)
            bytes_append(&connection->out, bytes, length);
        else
            websocket_send(connection->websocket, &connection->out, bytes,
                           length);
    }
}

/* What is ready for the socket. */
static struct bytes *outgoing(struct connection *connection)
{
    if (connection->tls == NULL)
        return &connection->out;
    if (connection->wire.length == 0)
        tls_seal(connection->tls, &connection->out, &connection->wire);
    return &connection->wire;
}

static void write_socket(struct connection *connection)
{
    struct bytes *out;
    while ((out = outgoing(connection))->length > 0) {
        ssize_t put =
            send(connection->fd, bytes_front(out), out->length, MSG_NOSIGNAL);
        if (put < 0 && errno != EAGAIN && errno != EINTR && errno != ENOTCONN &&
            errno != EINPROGRESS)
            connection->peer_has_ended = true;
        if (put <= 0)
            return;
        bytes_drop(out, (size_t)put);
    }
}

static void end_session(struct connection *connection)
{
    struct websocket *websocket = connection->websocket;
    if (connection->phase != RUNNING)
        return;
    bool over = yamux_is_over(connection->yamux);
    if (websocket != NULL) {
        if (over)
            websocket_close(websocket, 1000);
        if (websocket_is_closed(websocket) && !over)
            yamux_lost(connection->yamux);
        websocket_answer(websocket, &connection->out);
        write_socket(connection);
        over = over || websocket_is_over(websocket);
    }
    if (over && connection->tls != NULL && connection->out.length == 0) {
        tls_close(connection->tls, &connection->wire);
        write_socket(connection);
    }
    if (over && connection->out.length + connection->wire.length == 0) {
        shutdown(connection->fd, SHUT_WR);
        connection->phase = LINGERING;
        connection->linger_until_ms = now() + LINGER_MS;
    }
}

/* Mutants that stop when they can't write: poll says when, a socket may take
 * a little more for long after. */
static void get_stuck(struct connection *connection, short events)
{
    bool writes = connection->out.length > 0 || connection->more;
    if (!writes || (events & POLLOUT) != 0)
        connection->stuck_ms = 0;
    else if (connection->stuck_ms == 0)
        connection->stuck_ms = now();
    else if (mutant("L-03") && now() > connection->stuck_ms + 700 &&
             connection->read > 1000000)
        connection->hung = true;
}

/* False: it is to be removed. */
static bool serve(struct connection *connection, short events)
{
    get_stuck(connection, events);
    if ((events & POLLOUT) != 0) {
        write_socket(connection);
        if (connection->phase == RUNNING)
            emit(connection);
    }
    if ((events & (POLLIN | POLLHUP | POLLERR)) != 0)
        read_socket(connection);
    if (connection->peer_has_ended)
        return false;
    if (connection->hung)
        return true;
    if (connection->phase == RUNNING) {
        yamux_tick(connection->yamux, now());
        emit(connection);
    }
    write_socket(connection);
    end_session(connection);
    return !connection->peer_has_ended && (connection->phase != LINGERING ||
                                           now() < connection->linger_until_ms);
}

/* ---- the program ---- */

static void accept_all(int listener)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >=
           0)
        add_connection(fd);
}

static int run(int listener)
{
    struct pollfd polls[CONNECTIONS_MAX + 1];
    uint64_t dialed_ms = 0;
    for (;;) {
        if (!settings.listens && connection_count == 0 &&
            now() >= dialed_ms + REDIAL_MS) {
            int fd = open_socket();
            dialed_ms = now();
            if (fd >= 0)
                add_connection(fd);
        }
        int timeout_ms = IDLE_MS;
        unsigned count = connection_count;
        for (unsigned i = 0; i < count; i++) {
            struct connection *connection = connections[i];
            bool writes = outgoing(connection)->length > 0 || connection->more;
            short out = writes ? POLLOUT : 0;
            polls[i] =
                (struct pollfd){connection->fd, (short)(POLLIN | out), 0};
            if (connection->waits)
                timeout_ms = POLL_MS;
        }
        polls[count] = (struct pollfd){listener, POLLIN, 0};
        if (!settings.listens && count == 0)
            timeout_ms = POLL_MS;
        if (poll(polls, count + 1, timeout_ms) < 0 && errno != EINTR)
            return 1;
        for (unsigned i = count; i-- > 0;)
            if (!serve(connections[i], polls[i].revents))
                remove_connection(i);
        if (listener >= 0)
            accept_all(listener);
    }
}

static int usage(const char *name)
{
    fprintf(stderr,
            "usage: %s [--mode any|echo|sink|hold|noaccept|source|opener|app]"
            " [--role server|client] (--listen URL | --connect URL)"
            " [--cert-file FILE] [--ca-file FILE]\n"
            "URL: tcp://HOST:PORT, unix:///PATH, ws:// or wss://HOST:PORT/PATH;"
            " wss listens with --cert-file (PEM chain and key), dials with"
            " --ca-file\n",
            name);
    return 2;
}

/* False: the words are wrong. */
static bool read_options(int argc, char **argv)
{
    static const struct option options[] = {
        {"mode", required_argument, NULL, 'm'},
        {"role", required_argument, NULL, 'r'},
        {"listen", required_argument, NULL, 'l'},
        {"connect", required_argument, NULL, 'c'},
        {"cert-file", required_argument, NULL, 'C'},
        {"ca-file", required_argument, NULL, 'A'},
        {NULL, 0, NULL, 0},
    };
    const char *url = NULL;
    bool good = app_select("echo");
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'm')
            good = good && app_select(optarg);
        else if (option == 'r')
            settings.client = strcmp(optarg, "client") == 0;
        else if (option == 'l' || option == 'c')
            url = optarg;
        else if (option == 'C')
            settings.cert_file = optarg;
        else if (option == 'A')
            settings.ca_file = optarg;
        else
            good = false;
        settings.listens = settings.listens || option == 'l';
    }
    return good && optind == argc && url != NULL && parse(url);
}

static bool prepare_tls(const char *name)
{
    const char *file = settings.listens ? settings.cert_file : settings.ca_file;
    if (!settings.secure || tls_prepare(settings.listens, file))
        return true;
    fprintf(stderr, "%s: wss needs %s FILE; %s\n", name,
            settings.listens ? "--cert-file" : "--ca-file",
            file == NULL ? "none is given" : file);
    return false;
}

int peer_main(const char *name, int argc, char **argv)
{
    if (!read_options(argc, argv))
        return usage(name);
    if (!prepare_tls(name))
        return 2;
    signal(SIGPIPE, SIG_IGN);
    int listener = -1;
    if (settings.listens) {
        listener = open_socket();
        if (listener < 0) {
            fprintf(stderr, "%s: cannot listen at %s: %s\n", name, settings.url,
                    strerror(errno));
            return 1;
        }
    }
    return run(listener);
}
