/* tool.h: what the programs of this folder share: clocks, addresses, a way to
 * give up. They are load, not product: what cannot be done ends them. */
#ifndef BENCH_TOOL_H
#define BENCH_TOOL_H

#include <stdint.h>

#include "net/socket.h"

/* Print what failed, and why (errno), and exit with 1. */
_Noreturn void tool_die(const char *what);

uint64_t tool_now_ns(void); /* of CLOCK_MONOTONIC */

/* A decimal number of min..max, or the end. */
uint64_t tool_number(const char *text, uint64_t min, uint64_t max);

/* "HOST:PORT", HOST numeric, or the path of a unix socket; else the end. */
struct socket_address tool_address(const char *text);

/* A listening, non-blocking socket, with a backlog that no test fills. */
int tool_listen(const struct socket_address *address);

/* The port that the kernel chose for a TCP socket. */
unsigned tool_port(int fd);

/* A non-blocking socket that connects, or has connected, without delay. */
int tool_connect(const struct socket_address *address);

/* epoll_ctl(): user comes back with the events. */
void tool_watch(int epoll, int operation, int fd, uint32_t events, void *user);

/* A file of size bytes, mapped and shared with whoever maps it too. */
void *tool_map(const char *path, size_t size);

/* The origin's counters, which it shares with the load through such a file. */
struct tool_counters {
    uint64_t received; /* bytes of request bodies */
    uint64_t accepted; /* connections */
};

#endif
