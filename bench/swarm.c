/* swarm: many idle agents in one process, as load for a server.
 *
 *   swarm HOST:PORT AT-ONCE COUNTERS < KEYS
 *
 * Each line of KEYS is an agent key. Every agent connects, upgrades, answers
 * pings and opens nothing; AT-ONCE of them at most are between connecting and
 * having the answer. "connected N in S s" is printed when all are up, a line
 * for each that is lost; the end of file on descriptor 3 ends the run. COUNTERS
 * is a file that shows, while it is mapped, how many pings were answered.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/tool.h"
#include "core/mux.h"
#include "core/ws.h"

#define AGENTS_MAX 20000
#define PONG_SIZE 12
#define STOP_FD 3
#define HEAD_MAX 4096
#define LINE_SIZE 256

struct agent {
    int fd;
    bool is_up;
    char head[HEAD_MAX]; /* of the answer, until it is complete */
    size_t head_length;
    struct ws ws;
    struct mux *mux;
};

struct swarm {
    int epoll;
    struct socket_address address;
    size_t at_once;
    uint64_t *pongs;
    char (*keys)[LINE_SIZE];
    struct agent **agents;
    size_t count;
    size_t started;
    size_t up;
    size_t lost;
};

static uint64_t now_ms(void)
{
    return tool_now_ns() / 1000000;
}

static void lose(struct swarm *swarm, struct agent *agent, const char *why)
{
    printf("lost: %s\n", why);
    fflush(stdout);
    close(agent->fd);
    agent->fd = -1;
    swarm->lost++;
}

/* A load generator may use any mask. */
static const uint8_t mask[4] = {0x5a, 0xa5, 0x3c, 0xc3};

static void send_control(struct swarm *swarm, struct agent *agent)
{
    uint8_t frame[WS_HEADER_MAX + 1024];
    uint8_t *payload = frame + WS_HEADER_MAX;
    size_t length = mux_emit_control(agent->mux, now_ms(), payload, 1024);
    if (length == 0) {
        return;
    }
    size_t header = ws_wrap(&agent->ws, payload, length, mask);
    if (send(agent->fd, payload - header, header + length, MSG_NOSIGNAL) !=
        (ssize_t)(header + length)) {
        lose(swarm, agent, "short send");
    }
    *swarm->pongs += length / PONG_SIZE;
}

/* Bytes of the WebSocket: pings are answered, nothing else is expected. */
static void take(struct swarm *swarm, struct agent *agent, uint8_t *bytes,
                 size_t length)
{
    struct ws_event ws_event;
    while (ws_receive(&agent->ws, &bytes, &length, &ws_event)) {
        if (ws_event.kind == WS_CLOSED) {
            lose(swarm, agent, "the server closed the WebSocket");
            return;
        }
        struct mux_event event;
        struct span input = ws_event.data;
        while (mux_receive(agent->mux, now_ms(), &input, &event)) {
            if (event.kind == MUX_FAILED) {
                lose(swarm, agent, status_text(event.status));
                return;
            }
            if (event.kind == MUX_STREAM_OFFERED) {
                mux_reset(agent->mux, event.stream);
            }
        }
    }
    send_control(swarm, agent);
}

static void upgrade(struct swarm *swarm, struct agent *agent)
{
    agent->head[agent->head_length] = '\0';
    char *end = strstr(agent->head, "\r\n\r\n");
    if (end == NULL) {
        return;
    }
    if (strncmp(agent->head, "HTTP/1.1 101", 12) != 0) {
        agent->head[strcspn(agent->head, "\r\n")] = '\0';
        lose(swarm, agent, agent->head);
        return;
    }
    struct mux_config config;
    mux_config_default(&config, MUX_CLIENT);
    config.inbound_max = 4;
    config.outbound_max = 4;
    config.ping_interval_ms = 0;
    size_t size = mux_size(&config);
    void *memory = calloc(1, size);
    if (memory == NULL) {
        tool_die("memory");
    }
    agent->mux = mux_init(memory, size, &config, now_ms());
    ws_init(&agent->ws, WS_CLIENT);
    agent->is_up = true;
    swarm->up++;
    size_t early = agent->head_length - (size_t)(end + 4 - agent->head);
    if (early > 0) {
        take(swarm, agent, (uint8_t *)end + 4, early);
    }
}

static void readable(struct swarm *swarm, struct agent *agent)
{
    uint8_t bytes[4096];
    bool is_head = !agent->is_up;
    void *at =
        is_head ? (void *)(agent->head + agent->head_length) : (void *)bytes;
    size_t room = is_head ? HEAD_MAX - 1 - agent->head_length : sizeof bytes;
    ssize_t length = recv(agent->fd, at, room, MSG_DONTWAIT);
    if (length < 0 && errno == EAGAIN) {
        return;
    }
    if (length <= 0) {
        lose(swarm, agent, length == 0 ? "end of file" : strerror(errno));
    } else if (is_head) {
        agent->head_length += (size_t)length;
        upgrade(swarm, agent);
    } else {
        take(swarm, agent, bytes, (size_t)length);
    }
}

static void start(struct swarm *swarm)
{
    char request[1024];
    struct agent *agent = calloc(1, sizeof *agent);
    if (agent == NULL) {
        tool_die("memory");
    }
    agent->fd =
        socket(swarm->address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (agent->fd < 0 ||
        connect(agent->fd, (struct sockaddr *)&swarm->address.storage,
                swarm->address.length) != 0) {
        tool_die("connect");
    }
    int length = snprintf(
        request, sizeof request,
        "GET /api/v1/ws/orthrus/connect HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        "Sec-WebSocket-Version: 13\r\nAuthorization: Bearer %s\r\n\r\n",
        swarm->keys[swarm->started]);
    if (send(agent->fd, request, (size_t)length, MSG_NOSIGNAL) != length) {
        tool_die("send");
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = agent};
    if (epoll_ctl(swarm->epoll, EPOLL_CTL_ADD, agent->fd, &event) != 0) {
        tool_die("epoll_ctl");
    }
    swarm->agents[swarm->started++] = agent;
}

static void read_keys(struct swarm *swarm)
{
    swarm->keys = calloc(AGENTS_MAX, sizeof *swarm->keys);
    swarm->agents = calloc(AGENTS_MAX, sizeof *swarm->agents);
    if (swarm->keys == NULL || swarm->agents == NULL) {
        tool_die("memory");
    }
    while (swarm->count < AGENTS_MAX &&
           fgets(swarm->keys[swarm->count], LINE_SIZE, stdin) != NULL) {
        char *key = swarm->keys[swarm->count];
        key[strcspn(key, "\r\n")] = '\0';
        swarm->count += key[0] != '\0' ? 1 : 0;
    }
}

static void run(struct swarm *swarm)
{
    struct epoll_event stop = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(swarm->epoll, EPOLL_CTL_ADD, STOP_FD, &stop) != 0) {
        tool_die("descriptor 3");
    }
    uint64_t begun = now_ms();
    bool is_announced = false;
    for (;;) {
        while (swarm->started < swarm->count &&
               swarm->started - swarm->up - swarm->lost < swarm->at_once) {
            start(swarm);
        }
        if (!is_announced && swarm->up + swarm->lost >= swarm->count) {
            printf("connected %zu in %.2f s\n", swarm->up,
                   (double)(now_ms() - begun) / 1000);
            fflush(stdout);
            is_announced = true;
        }
        struct epoll_event events[256];
        int count = epoll_wait(swarm->epoll, events, 256, -1);
        for (int i = 0; i < count; i++) {
            struct agent *agent = events[i].data.ptr;
            if (agent == NULL) {
                return;
            }
            if (agent->fd >= 0) {
                readable(swarm, agent);
            }
        }
    }
}

int main(int argc, char **argv)
{
    struct swarm swarm = {.epoll = epoll_create1(EPOLL_CLOEXEC)};

    if (argc != 4) {
        fprintf(stderr, "usage: swarm HOST:PORT AT-ONCE COUNTERS < KEYS\n");
        return 2;
    }
    swarm.address = tool_address(argv[1]);
    swarm.at_once = (size_t)tool_number(argv[2], 1, AGENTS_MAX);
    swarm.pongs = tool_map(argv[3], sizeof *swarm.pongs);
    read_keys(&swarm);
    run(&swarm);
    printf("lost %zu\n", swarm.lost);
    return 0;
}
