#include "bench/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG 4096

void tool_die(const char *what)
{
    fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what,
            strerror(errno));
    exit(1);
}

uint64_t tool_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t tool_number(const char *text, uint64_t min, uint64_t max)
{
    char *end;

    errno = 0;
    uint64_t number = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || end == text || *text == '-' ||
        number < min || number > max) {
        errno = EINVAL;
        tool_die(text);
    }
    return number;
}

struct socket_address tool_address(const char *text)
{
    struct socket_address address;
    char host[64];
    const char *colon = strrchr(text, ':');

    if (strchr(text, '/') != NULL) {
        if (socket_address_unix(&address, text)) {
            return address;
        }
    } else if (colon != NULL && (size_t)(colon - text) < sizeof host) {
        memcpy(host, text, (size_t)(colon - text));
        host[colon - text] = '\0';
        if (socket_address_inet(&address, host,
                                (uint16_t)tool_number(colon + 1, 0, 65535))) {
            return address;
        }
    }
    errno = EINVAL;
    tool_die(text);
}

static int make(const struct socket_address *address)
{
    int fd = socket(address->storage.ss_family,
                    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        tool_die("socket");
    }
    return fd;
}

int tool_listen(const struct socket_address *address)
{
    int on = 1;
    int fd = make(address);

    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (const struct sockaddr *)&address->storage, address->length) !=
            0 ||
        listen(fd, BACKLOG) != 0) {
        tool_die("listen");
    }
    if (address->storage.ss_family != AF_UNIX) {
        socket_no_delay(fd); /* which accepted ones inherit */
    }
    return fd;
}

unsigned tool_port(int fd)
{
    struct sockaddr_in address = {0};
    socklen_t length = sizeof address;

    if (getsockname(fd, (struct sockaddr *)&address, &length) != 0) {
        tool_die("getsockname");
    }
    return ntohs(address.sin_port);
}

int tool_connect(const struct socket_address *address)
{
    int fd = make(address);

    if (connect(fd, (const struct sockaddr *)&address->storage,
                address->length) != 0 &&
        errno != EINPROGRESS) {
        tool_die("connect");
    }
    if (address->storage.ss_family != AF_UNIX) {
        socket_no_delay(fd);
    }
    return fd;
}

void *tool_map(const char *path, size_t size)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)size) != 0) {
        tool_die(path);
    }
    void *mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED) {
        tool_die(path);
    }
    close(fd);
    return mapped;
}

void tool_watch(int epoll, int operation, int fd, uint32_t events, void *user)
{
    struct epoll_event event = {.events = events, .data.ptr = user};

    if (epoll_ctl(epoll, operation, fd, &event) != 0) {
        tool_die("epoll_ctl");
    }
}
