/* yamux-traffic: many streams at once between our engine and a peer, every
 * byte judged. docs/yamuxspec.md says what the peer's application must do. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netdb.h>
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

#include "conformance/host/engine.h"
#include "conformance/host/payload.h"
#include "conformance/host/traffic.h"
#include "conformance/mutants/bytes.h"
#include "conformance/mutants/yamux.h"
#include "core/mux.h"

#define READ_MAX 65536u
#define OUT_MAX 65536u /* no more is emitted above */
#define IDLE_MS 20     /* when nothing is to be awaited but time */
#define UNREACHABLE_MS 10000u
#define RETRY_MS 20
#define STREAMS_MAX 10000u
#define JOBS_MAX 250u /* core's default for streams that they open: 256 */

enum outcome { EQUAL = 0, DIFFERENT = 1, USAGE = 2, UNREACHABLE = 3 };

struct settings {
    const char *address;
    bool client;
    struct plan_config plan;
    unsigned jobs;
    uint64_t timeout_ms;
    const char *without; /* or NULL */
};

struct connection {
    int fd;
    struct bytes out;
    struct yamux *yamux;
    uint64_t skew_ms; /* our clock is ahead by this */
    uint64_t reads;
    bool ended; /* by the peer */
};

static uint64_t clock_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

static uint64_t now(const struct connection *connection)
{
    return clock_ms() + connection->skew_ms;
}

/* ---- the peer's address ---- */

/* A connected socket, or -1. */
static int dial_at(int family, const struct sockaddr *address, socklen_t size)
{
    int one = 1;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, address, size) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static int dial_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path));
    return dial_at(AF_UNIX, (const struct sockaddr *)&address, sizeof address);
}

static int dial_tcp(const char *place)
{
    char host[256];
    const char *colon = strrchr(place, ':');
    snprintf(host, sizeof host, "%.*s", (int)(colon - place), place);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *info = NULL;
    if (getaddrinfo(host, colon + 1, &hints, &info) != 0) {
        errno = EADDRNOTAVAIL;
        return -1;
    }
    int fd = dial_at(info->ai_family, info->ai_addr, info->ai_addrlen);
    freeaddrinfo(info);
    return fd;
}

static bool is_address(const char *address)
{
    if (strncmp(address, "unix://", 7) == 0)
        return address[7] != '\0' &&
               strlen(address + 7) <
                   sizeof((struct sockaddr_un *)NULL)->sun_path;
    return strncmp(address, "tcp://", 6) == 0 &&
           strrchr(address + 6, ':') != NULL;
}

/* A peer that has just been started may need a moment. */
static int dial(const char *address, uint64_t timeout_ms)
{
    uint64_t until_ms =
        clock_ms() +
        (timeout_ms < UNREACHABLE_MS ? timeout_ms : UNREACHABLE_MS);
    for (;;) {
        int fd = strncmp(address, "unix://", 7) == 0 ? dial_unix(address + 7)
                                                     : dial_tcp(address + 6);
        if (fd >= 0 || clock_ms() > until_ms)
            return fd;
        (void)poll(NULL, 0, RETRY_MS);
    }
}

/* ---- bytes ---- */

/* Cut anywhere: how much is read at once is random too. */
static void read_some(struct connection *connection, uint64_t seed)
{
    static uint8_t bytes[READ_MAX];
    size_t size = payload_random(seed, connection->reads++) % READ_MAX + 1;
    ssize_t got = recv(connection->fd, bytes, size, 0);
    if (got > 0)
        yamux_receive(connection->yamux, bytes, (size_t)got, now(connection));
    else if (got == 0 || (errno != EAGAIN && errno != EINTR))
        connection->ended = true;
}

static void emit_some(struct connection *connection, struct traffic *traffic)
{
    static uint8_t bytes[YAMUX_EMIT_MIN];
    while (connection->out.length < OUT_MAX) {
        size_t length =
            yamux_emit(connection->yamux, bytes, sizeof bytes, now(connection));
        if (length == 0)
            return;
        frames_take(&traffic->frames, bytes, length, traffic->run.consumed);
        bytes_append(&connection->out, bytes, length);
    }
}

static void write_some(struct connection *connection)
{
    while (connection->out.length > 0) {
        ssize_t put = send(connection->fd, bytes_front(&connection->out),
                           connection->out.length, MSG_NOSIGNAL);
        if (put < 0 && errno != EAGAIN && errno != EINTR)
            connection->ended = true;
        if (put <= 0)
            return;
        bytes_drop(&connection->out, (size_t)put);
    }
}

static void exchange(struct connection *connection, struct traffic *traffic)
{
    short out = connection->out.length > 0 ? POLLOUT : 0;
    struct pollfd poller = {connection->fd, (short)(POLLIN | out), 0};
    if (poll(&poller, 1, traffic->run.more ? 0 : IDLE_MS) > 0 &&
        (poller.revents & (POLLIN | POLLHUP | POLLERR)) != 0)
        read_some(connection, traffic->run.config->seed);
    yamux_tick(connection->yamux, now(connection));
    traffic_step(traffic, now(connection));
    emit_some(connection, traffic);
    write_some(connection);
    if (traffic->frames.wrong != NULL && traffic->run.wrong[0] == '\0')
        snprintf(traffic->run.wrong, sizeof traffic->run.wrong,
                 "our engine sends %s", traffic->frames.wrong);
    if (connection->ended && traffic->run.wrong[0] == '\0')
        snprintf(traffic->run.wrong, sizeof traffic->run.wrong,
                 "the peer has ended the connection");
}

/* ---- the run ---- */

/* False: time is up. */
static bool run_transfers(struct connection *connection,
                          struct traffic *traffic, uint64_t until_ms)
{
    while (!traffic_is_done(traffic) && traffic->run.wrong[0] == '\0') {
        if (clock_ms() > until_ms)
            return false;
        exchange(connection, traffic);
    }
    return true;
}

/* Does the session live? Our engine pings after silence, and the clock is
 * ours. A moment more, and the answer took longer than any before. */
static bool ping(struct connection *connection, struct traffic *traffic,
                 uint64_t until_ms)
{
    const struct mux *mux = engine_mux(connection->yamux);
    uint64_t pings = traffic->frames.pings;
    struct mux_config config;
    mux_config_default(&config, MUX_CLIENT);
    connection->skew_ms += config.ping_interval_ms;
    while (traffic->frames.pings == pings && traffic->run.wrong[0] == '\0') {
        if (clock_ms() > until_ms)
            return false;
        exchange(connection, traffic);
    }
    uint64_t rtt_ms = mux_rtt_ms(mux);
    connection->skew_ms += rtt_ms == UINT64_MAX ? 1 : rtt_ms + 1;
    while (mux_rtt_ms(mux) == rtt_ms && traffic->run.wrong[0] == '\0') {
        if (clock_ms() > until_ms)
            return false;
        exchange(connection, traffic);
    }
    return true;
}

static void hang_up(struct connection *connection, struct traffic *traffic,
                    uint64_t until_ms)
{
    yamux_shut(connection->yamux, now(connection));
    while (!connection->ended && clock_ms() < until_ms &&
           (!yamux_is_over(connection->yamux) || connection->out.length > 0)) {
        emit_some(connection, traffic);
        write_some(connection);
        struct pollfd poller = {connection->fd, POLLOUT, 0};
        (void)poll(&poller, 1, IDLE_MS);
    }
}

static void say_how_to_repeat(const struct settings *settings)
{
    fprintf(stderr,
            "again: yamux-traffic --connect %s --role %s --mode %s --streams "
            "%u --seed %" PRIu64 " --max-bytes %" PRIu64 " --jobs %u%s%s%s\n",
            settings->address, settings->client ? "client" : "server",
            settings->plan.commands ? "app" : "echo", settings->plan.streams,
            settings->plan.seed, settings->plan.body_max, settings->jobs,
            settings->without == NULL ? "" : " --without ",
            settings->without == NULL ? "" : settings->without,
            settings->plan.their_least > 0 ? " --lazy" : "");
}

static enum outcome judge(const struct settings *settings,
                          struct connection *connection,
                          struct traffic *traffic)
{
    uint64_t until_ms = clock_ms() + settings->timeout_ms;
    bool in_time = run_transfers(connection, traffic, until_ms) &&
                   ping(connection, traffic, until_ms);
    if (in_time && traffic->run.wrong[0] == '\0')
        traffic_audit(traffic);
    if (in_time && traffic->run.wrong[0] == '\0') {
        hang_up(connection, traffic, until_ms);
        traffic_print(traffic, stdout);
        return EQUAL;
    }
    if (traffic->run.wrong[0] != '\0') {
        fprintf(stderr, "yamux-traffic: %s\n", traffic->run.wrong);
    } else {
        fprintf(stderr, "yamux-traffic: not done after %" PRIu64 " s: %s\n",
                settings->timeout_ms / 1000,
                traffic_is_done(traffic) ? "no answer to a ping" : "it hangs");
        traffic_print_unfinished(traffic, stderr);
    }
    say_how_to_repeat(settings);
    return DIFFERENT;
}

static enum outcome run(const struct settings *settings)
{
    struct traffic traffic;
    struct connection connection = {
        .fd = dial(settings->address, settings->timeout_ms)};
    if (connection.fd < 0) {
        fprintf(stderr, "yamux-traffic: no peer at %s: %s\n", settings->address,
                strerror(errno));
        return UNREACHABLE;
    }
    connection.yamux = yamux_create(settings->client, now(&connection));
    traffic_create(&traffic, &settings->plan, settings->jobs, connection.yamux);
    enum outcome outcome = judge(settings, &connection, &traffic);
    close(connection.fd);
    traffic_destroy(&traffic);
    yamux_destroy(connection.yamux);
    bytes_clear(&connection.out);
    return outcome;
}

/* ---- options ---- */

static const char usage[] =
    "usage: yamux-traffic --connect ADDRESS [--role client|server]\n"
    "    [--mode app|echo] [--streams N] [--seed N] [--max-bytes N]\n"
    "    [--jobs N] [--timeout SECONDS] [--without KIND,...]\n"
    "    [--lazy]\n"
    "Runs many streams at once between this project's engine and a peer, and\n"
    "compares every byte. ADDRESS: tcp://HOST:PORT or unix:///PATH.\n"
    "  --role       ours; the default is client\n"
    "  --mode       the peer's: app (the default) or echo, which means that\n"
    "               it opens no streams and takes no commands\n"
    "  --streams    1..10000, 200\n"
    "  --max-bytes  of one stream, one way; from 1048576, 8388608\n"
    "  --jobs       streams at one time, 10..250, 64\n"
    "  --timeout    1..3600, 120\n"
    "  --without    kinds of streams, as the table that is printed names "
    "them;\n"
    "               an echo comes instead, and in place of echo a calm one,\n"
    "               which finishes when all that it sent has come back\n"
    "  --lazy       the peer tells of a stream only with its first byte: each\n"
    "               of its streams has one\n"
    "Exit status: 0 all equal, 1 not so, 2 usage, 3 the peer is unreachable.\n";

static bool take_number(const char *word, uint64_t least, uint64_t most,
                        uint64_t *number)
{
    char *rest = NULL;
    errno = 0;
    *number = strtoull(word, &rest, 10);
    return word[0] >= '0' && word[0] <= '9' && *rest == '\0' && errno == 0 &&
           *number >= least && *number <= most;
}

static bool take_choice(const char *word, const char *yes, const char *no,
                        bool *chosen)
{
    *chosen = strcmp(word, yes) == 0;
    return *chosen || strcmp(word, no) == 0;
}

static bool take_kinds(const char *word, bool kinds[PLAN_KINDS])
{
    for (;;) {
        size_t length = strcspn(word, ",");
        enum plan_kind kind = plan_find(word, length);
        if (kind == PLAN_KINDS || kind == PLAN_CALM)
            return false;
        kinds[kind] = true;
        if (word[length] == '\0')
            return true;
        word += length + 1;
    }
}

static bool take_option(struct settings *settings, int option, const char *word)
{
    uint64_t number = 0;
    bool good = false;
    switch (option) {
    case 'c':
        settings->address = word;
        return is_address(word);
    case 'r':
        return take_choice(word, "client", "server", &settings->client);
    case 'm':
        return take_choice(word, "app", "echo", &settings->plan.commands);
    case 's':
        good = take_number(word, 1, STREAMS_MAX, &number);
        settings->plan.streams = (unsigned)number;
        return good;
    case 'e':
        return take_number(word, 0, UINT64_MAX, &settings->plan.seed);
    case 'b':
        return take_number(word, PLAN_BODY_MIN, UINT32_MAX,
                           &settings->plan.body_max);
    case 'j':
        good = take_number(word, TRAFFIC_JOBS_MIN, JOBS_MAX, &number);
        settings->jobs = (unsigned)number;
        return good;
    case 'w':
        settings->without = word;
        return take_kinds(word, settings->plan.without);
    case 'l':
        settings->plan.their_least = 1;
        return true;
    case 't':
        good = take_number(word, 1, 3600, &number);
        settings->timeout_ms = number * 1000;
        return good;
    default:
        return false;
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"connect", required_argument, NULL, 'c'},
        {"role", required_argument, NULL, 'r'},
        {"mode", required_argument, NULL, 'm'},
        {"streams", required_argument, NULL, 's'},
        {"seed", required_argument, NULL, 'e'},
        {"max-bytes", required_argument, NULL, 'b'},
        {"jobs", required_argument, NULL, 'j'},
        {"timeout", required_argument, NULL, 't'},
        {"without", required_argument, NULL, 'w'},
        {"lazy", no_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct settings settings = {
        .client = true,
        .plan = {.seed = 1,
                 .streams = 200,
                 .body_max = 8 * 1024 * 1024,
                 .commands = true},
        .jobs = 64,
        .timeout_ms = 120000,
    };
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'h') {
            fputs(usage, stdout);
            return EQUAL;
        }
        if (!take_option(&settings, option, optarg)) {
            if (option != '?')
                fprintf(stderr, "yamux-traffic: %s is not allowed here\n",
                        optarg);
            fputs(usage, stderr);
            return USAGE;
        }
    }
    if (optind != argc || settings.address == NULL) {
        fputs(usage, stderr);
        return USAGE;
    }
    signal(SIGPIPE, SIG_IGN);
    return (int)run(&settings);
}
