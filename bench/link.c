/* link: a long, thin line between two network namespaces.
 *
 *   link NAMESPACE NAMESPACE DELAY-US LOSS-PPM RATE QUEUE-MS
 *
 * Makes a TUN device "wan0" in both and carries packets between them: each is
 * late by DELAY-US, lost with a probability of LOSS-PPM in a million, and waits
 * its turn on a line of RATE bytes a second in a queue of QUEUE-MS, whose tail
 * is dropped. Losses come from a fixed seed. Says "ready", runs until killed.
 * It goes before all others, if it may: a line waits for no processor.
 *
 * In place of netem, which not every kernel has (D-060).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "bench/tool.h"

#define PACKET_MAX 1600
#define SLOTS 65536u /* of a direction: 100 MB under way */
#define BATCH 64
#define SECOND 1000000000u

struct packet {
    uint64_t due_ns;
    size_t length;
    uint8_t bytes[PACKET_MAX];
};

struct direction {
    int from, to;
    struct packet *ring;
    size_t first, count;
    uint64_t free_ns; /* when the line has sent what it was given */
    uint64_t seed;
};

static uint64_t delay_ns, loss_ppm, rate, queue_ns;

static int open_in(const char *namespace)
{
    char path[128];
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI,
                            .ifr_name = "wan0"};
    int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

    snprintf(path, sizeof path, "/run/netns/%s", namespace);
    int there = open(path, O_RDONLY | O_CLOEXEC);
    if (home < 0 || there < 0 || setns(there, CLONE_NEWNET) != 0) {
        tool_die(path);
    }
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request) != 0 ||
        setns(home, CLONE_NEWNET) != 0) {
        tool_die("/dev/net/tun");
    }
    close(home);
    close(there);
    return fd;
}

static bool is_lost(struct direction *way)
{
    way->seed ^= way->seed << 13; /* xorshift64 */
    way->seed ^= way->seed >> 7;
    way->seed ^= way->seed << 17;
    return way->seed % 1000000u < loss_ppm;
}

static void take(struct direction *way)
{
    for (unsigned i = 0; i < BATCH && way->count < SLOTS; i++) {
        struct packet *packet = &way->ring[(way->first + way->count) % SLOTS];
        ssize_t length = read(way->from, packet->bytes, PACKET_MAX);
        if (length <= 0) {
            return;
        }
        uint64_t now = tool_now_ns();
        if (way->free_ns < now) {
            way->free_ns = now;
        }
        if (way->free_ns - now > queue_ns || is_lost(way)) {
            continue;
        }
        way->free_ns += (uint64_t)length * SECOND / rate;
        packet->length = (size_t)length;
        packet->due_ns = way->free_ns + delay_ns;
        way->count++;
    }
}

/* Delivers what is due; returns when the next one is. */
static uint64_t give(struct direction *way)
{
    while (way->count > 0) {
        struct packet *packet = &way->ring[way->first];
        if (packet->due_ns > tool_now_ns()) {
            return packet->due_ns;
        }
        /* A device that takes no more loses it, as any would. */
        ssize_t written = write(way->to, packet->bytes, packet->length);
        (void)written;
        way->first = (way->first + 1) % SLOTS;
        way->count--;
    }
    return UINT64_MAX;
}

static void run(struct direction ways[2])
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    for (int i = 0; i < 2; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &ways[i]};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, ways[i].from, &event) != 0) {
            tool_die("epoll_ctl");
        }
    }
    for (;;) {
        uint64_t due = give(&ways[0]), other = give(&ways[1]);
        uint64_t now = tool_now_ns();
        due = due < other ? due : other;
        uint64_t wait = due == UINT64_MAX ? SECOND : due > now ? due - now : 0;
        struct timespec timeout = {.tv_sec = (time_t)(wait / SECOND),
                                   .tv_nsec = (long)(wait % SECOND)};
        struct epoll_event events[2];
        int count = epoll_pwait2(epoll, events, 2, &timeout, NULL);
        for (int i = 0; i < count; i++) {
            take(events[i].data.ptr);
        }
    }
}

int main(int argc, char **argv)
{
    struct direction ways[2] = {{.seed = 0x9e3779b97f4a7c15u},
                                {.seed = 0xd1b54a32d192ed03u}};

    if (argc != 7) {
        fprintf(stderr, "usage: link NAMESPACE NAMESPACE DELAY-US LOSS-PPM "
                        "RATE QUEUE-MS\n");
        return 2;
    }
    delay_ns = tool_number(argv[3], 0, 10000000) * 1000u;
    loss_ppm = tool_number(argv[4], 0, 1000000);
    rate = tool_number(argv[5], 1, 1u << 31);
    queue_ns = tool_number(argv[6], 1, 10000) * 1000000u;
    for (int i = 0; i < 2; i++) {
        ways[i].from = open_in(argv[1 + i]);
        ways[1 - i].to = ways[i].from;
        ways[i].ring = calloc(SLOTS, sizeof *ways[i].ring);
        if (ways[i].ring == NULL) {
            tool_die("memory");
        }
    }
    (void)sched_setscheduler(0, SCHED_FIFO,
                             &(struct sched_param){.sched_priority = 1});
    printf("ready\n");
    fflush(stdout);
    run(ways);
}
