/* throughput: what one GiB through two transports costs each of them.
 *
 *   throughput get|put [streams [MiB a stream [plain|tls]]]
 *   throughput ask [connections [requests a connection [plain|tls]]]
 *
 * Four processes over loopback: client, server's transport, agent's transport,
 * engine. Prints GiB/s and CPU seconds a GiB of the two in the middle, or
 * requests a second and CPU microseconds a request. Knobs by environment:
 * FRAME MESSAGE RECEIVE LOWAT WINDOW MOVE.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "net/acceptor.h"
#include "net/bridge.h"
#include "net/map.h"
#include "net/socket.h"
#include "net/test/tls.h"
#include "net/transport.h"

#define PIECE 262144u
#define STREAMS_MAX 64

struct end {
    struct loop *loop;
    struct transport_pool *pool;
    struct transport transport;
    struct link *link;
    struct acceptor acceptor;
    struct socket_address engine;
};

static void on_bridge_ended(struct bridge *bridge, enum status status)
{
    if (status != STATUS_OK) {
        (void)fprintf(stderr, "connection: %s\n", status_text(status));
    }
    free(bridge);
}

static void on_accepted(void *user, int fd, const struct sockaddr_storage *peer)
{
    struct end *end = user;
    struct bridge *bridge = calloc(1, sizeof *bridge);
    uint32_t id;

    (void)peer;
    if (link_open(end->link, loop_now_ms(end->loop), &bridge->conn, &id) !=
            STATUS_OK ||
        !bridge_open(bridge, &end->transport, id, fd, on_bridge_ended)) {
        abort();
    }
}

static void on_offered(struct transport *transport, uint32_t id)
{
    struct end *end = transport->user;
    struct bridge *bridge = calloc(1, sizeof *bridge);

    if (!bridge_connect(bridge, transport, id, &end->engine, 5000,
                        on_bridge_ended)) {
        abort();
    }
}

static void on_ended(struct transport *transport)
{
    struct end *end = transport->user;
    acceptor_close(&end->acceptor);
    loop_stop(end->loop);
}

static const struct transport_ops ops = {.offered = on_offered,
                                         .ended = on_ended};

static long number(const char *text)
{
    return strtol(text, NULL, 10);
}

static void run_end(enum mux_role role, int ws_fd, int listener,
                    uint16_t engine_port, bool tls)
{
    struct end *end = calloc(1, sizeof *end);
    struct transport_config config;
    struct link_config link_config;
    SSL *ssl = NULL;

    if (tls) {
        ssl = tls_create(ws_fd, role == MUX_SERVER);
        while (!tls_handshake(ssl)) {
        }
    }
    (void)fcntl(ws_fd, F_SETFL, O_NONBLOCK);
    end->loop = loop_create();
    transport_config_default(&config);
    if (getenv("MESSAGE") != NULL) {
        config.message_max = (size_t)number(getenv("MESSAGE"));
    }
    if (config.message_min > config.message_max) {
        config.message_min = config.message_max;
    }
    if (getenv("MOVE") != NULL) {
        config.move_min = (size_t)number(getenv("MOVE"));
    }
    if (getenv("RECEIVE") != NULL) {
        config.receive_max = (size_t)number(getenv("RECEIVE"));
    }
    if (getenv("LOWAT") != NULL) {
        config.notsent_lowat = (int)number(getenv("LOWAT"));
    }
    end->pool = transport_pool_create(
        end->loop, spill_pool_create(SPILL_BUDGET_DEFAULT), &config);
    link_config_default(&link_config, role);
    if (getenv("FRAME") != NULL) {
        link_config.mux.frame_payload_max = (uint32_t)number(getenv("FRAME"));
    }
    if (getenv("WINDOW") != NULL) {
        link_config.mux.recv_window = (uint32_t)number(getenv("WINDOW"));
    }
    size_t size = link_size(&link_config);
    end->link =
        link_init(map_create(size), size, &link_config, loop_now_ms(end->loop));
    socket_address_inet(&end->engine, "127.0.0.1", engine_port);
    transport_prepare(end->pool, ws_fd);
    if (!transport_open(&end->transport, end->pool, ws_fd, ssl,
                        role == MUX_SERVER ? WS_SERVER : WS_CLIENT, end->link,
                        (struct span){0}, &ops, end)) {
        abort();
    }
    if (listener >= 0 &&
        !acceptor_open(&end->acceptor, end->loop, listener, on_accepted, end)) {
        abort();
    }
    loop_run(end->loop);
    const struct loop_counters *l = loop_counters(end->loop);
    (void)fprintf(stderr, "  %s: turns %ju events %ju messages %ju\n",
                  role == MUX_SERVER ? "server" : "agent ", (uintmax_t)l->turns,
                  (uintmax_t)l->events,
                  (uintmax_t)end->transport.counters.messages_out);
    _exit(0);
}

static void source(int fd, size_t length)
{
    static char piece[PIECE];
    while (length > 0) {
        size_t n = length < PIECE ? length : PIECE;
        ssize_t sent = send(fd, piece, n, MSG_NOSIGNAL);
        if (sent <= 0) {
            perror("send");
            _exit(1);
        }
        length -= (size_t)sent;
    }
    shutdown(fd, SHUT_WR);
}

static void sink(struct pollfd *polls, int count)
{
    static char piece[PIECE];
    int open = count;
    while (open > 0) {
        (void)poll(polls, (nfds_t)count, -1);
        for (int i = 0; i < count; i++) {
            if (polls[i].revents == 0) {
                continue;
            }
            ssize_t n = recv(polls[i].fd, piece, sizeof piece, 0);
            if (n <= 0) {
                if (n < 0) {
                    perror("recv");
                    _exit(1);
                }
                shutdown(polls[i].fd, SHUT_WR);
                polls[i].fd = -1;
                open--;
            }
        }
    }
}

/* One process that sends on, or receives from, each of count sockets. */
static void play(const int *fd, int count, bool sends, size_t length)
{
    struct pollfd polls[STREAMS_MAX];
    for (int i = 0; i < count; i++) {
        polls[i] = (struct pollfd){.fd = fd[i], .events = POLLIN};
        if (sends && fork() == 0) {
            source(fd[i], length);
            _exit(0);
        }
    }
    if (sends) {
        while (wait(NULL) > 0) {
        }
    }
    sink(polls, count);
    _exit(0);
}

#define REQUEST 150
#define REPLY 1000

/* Whichever comes first: writes, then waits for `takes` bytes, then again. */
static void converse(const int *fd, int count, size_t says, size_t takes,
                     size_t times, bool first)
{
    static char bytes[4096];
    struct pollfd polls[STREAMS_MAX];
    size_t got[STREAMS_MAX] = {0};
    size_t rounds[STREAMS_MAX] = {0};
    int open = count;

    for (int i = 0; i < count; i++) {
        polls[i] = (struct pollfd){.fd = fd[i], .events = POLLIN};
        if (first && send(fd[i], bytes, says, MSG_NOSIGNAL) < 0) {
            _exit(1);
        }
    }
    while (open > 0) {
        (void)poll(polls, (nfds_t)count, -1);
        for (int i = 0; i < count; i++) {
            if (polls[i].fd < 0 || polls[i].revents == 0) {
                continue;
            }
            ssize_t n = recv(polls[i].fd, bytes, takes - got[i], 0);
            if (n < 0) {
                perror("recv");
                _exit(1);
            }
            got[i] += (size_t)n;
            if (got[i] == takes) {
                got[i] = 0;
                rounds[i]++;
            }
            if (n == 0 || (first && rounds[i] == times)) {
                shutdown(polls[i].fd, SHUT_WR);
                polls[i].fd = -1;
                open--;
            } else if (got[i] == 0 &&
                       send(polls[i].fd, bytes, says, MSG_NOSIGNAL) < 0) {
                _exit(1);
            }
        }
    }
    _exit(0);
}

static int dial(uint16_t port)
{
    struct socket_address address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    socket_address_inet(&address, "127.0.0.1", port);
    if (connect(fd, (struct sockaddr *)&address.storage, address.length) != 0) {
        perror("connect");
        exit(1);
    }
    return fd;
}

static int take(int listener)
{
    struct pollfd ready = {.fd = listener, .events = POLLIN};
    (void)poll(&ready, 1, -1);
    return accept(listener, NULL, NULL);
}

static double cpu_of(pid_t pid)
{
    struct rusage usage;
    int status;
    wait4(pid, &status, 0, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double clock_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Long: a script from arguments to figures, read from top to bottom. */
int main(int argc, char **argv)
{
    bool get = argc < 2 || strcmp(argv[1], "get") == 0;
    bool ask = argc > 1 && strcmp(argv[1], "ask") == 0;
    size_t times = argc > 3 ? (size_t)number(argv[3]) : 10000;
    int streams = argc > 2 ? (int)number(argv[2]) : 1;
    size_t length = (size_t)(argc > 3 ? number(argv[3]) : 1024) << 20;
    bool tls = argc > 4 && strcmp(argv[4], "tls") == 0;
    uint16_t client_port, ws_port, engine_port;
    int clients = socket_listen_loopback(0, &client_port);
    int ws = socket_listen_loopback(0, &ws_port);
    int engine = socket_listen_loopback(0, &engine_port);
    int agent_fd = dial(ws_port);
    int server_fd = take(ws);
    int fd[2][STREAMS_MAX];

    pid_t server = fork();
    if (server == 0) {
        close(agent_fd);
        run_end(MUX_SERVER, server_fd, clients, 0, tls);
    }
    pid_t agent = fork();
    if (agent == 0) {
        close(server_fd);
        run_end(MUX_CLIENT, agent_fd, -1, engine_port, tls);
    }
    for (int i = 0; i < streams && i < STREAMS_MAX; i++) {
        fd[0][i] = dial(client_port);
        fd[1][i] = take(engine);
    }
    close(agent_fd);
    close(server_fd);
    double begin = clock_s();
    pid_t client = fork();
    if (client == 0 && ask) {
        converse(fd[0], streams, REQUEST, REPLY, times, true);
    }
    if (client == 0) {
        play(fd[0], streams, !get, length);
    }
    pid_t far = fork();
    if (far == 0 && ask) {
        converse(fd[1], streams, REPLY, REQUEST, 0, false);
    }
    if (far == 0) {
        play(fd[1], streams, get, length);
    }
    for (int i = 0; i < streams; i++) {
        close(fd[0][i]);
        close(fd[1][i]);
    }
    cpu_of(client);
    cpu_of(far);
    double seconds = clock_s() - begin;
    kill(agent, SIGKILL);
    double agent_cpu = cpu_of(agent);
    double server_cpu = cpu_of(server);
    if (ask) {
        double count = (double)times * streams;
        (void)printf("ask %2d connections %s: %.0f/s, server %.1f agent %.1f "
                     "CPU us a request\n",
                     streams, tls ? "tls" : "plain", count / seconds,
                     server_cpu / count * 1e6, agent_cpu / count * 1e6);
        return 0;
    }
    double gib = (double)length * streams / (double)(1 << 30);
    (void)printf("%s %2d streams %s: %.2f GiB/s, server %.2f agent %.2f "
                 "CPU s/GiB\n",
                 get ? "get" : "put", streams, tls ? "tls" : "plain",
                 gib / seconds, server_cpu / gib, agent_cpu / gib);
    return 0;
}
