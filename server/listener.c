#include "server/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/socket.h"
#include "net/sys.h"

#define BACKLOG 4096    /* a reconnect storm; the kernel cuts it to somaxconn */
#define QUARANTINED 64u /* ports of the kernel's choice tried at most */
#define HOST_SIZE 64u

static bool parse(const char *address, struct socket_address *parsed)
{
    char host[HOST_SIZE];
    const char *colon = strrchr(address, ':');
    size_t length;
    unsigned long port;
    char *end;

    if (colon == NULL) {
        return false;
    }
    length = (size_t)(colon - address);
    if (length >= 2 && address[0] == '[' && colon[-1] == ']') {
        address++;
        length -= 2;
    }
    port = strtoul(colon + 1, &end, 10);
    if (length == 0 || length >= sizeof host || end == colon + 1 ||
        *end != '\0' || port > UINT16_MAX) {
        return false;
    }
    memcpy(host, address, length);
    host[length] = '\0';
    return socket_address_inet(parsed, host, (uint16_t)port);
}

static uint16_t bound_port(int fd)
{
    struct sockaddr_storage storage;
    socklen_t length = sizeof storage;

    if (sys_getsockname(fd, (struct sockaddr *)&storage, &length) != 0) {
        return 0;
    }
    return ntohs(storage.ss_family == AF_INET6
                     ? ((struct sockaddr_in6 *)&storage)->sin6_port
                     : ((struct sockaddr_in *)&storage)->sin_port);
}

static const char *remedy(int error)
{
    switch (error) {
    case EADDRINUSE:
        return "another process listens there: stop it or choose another "
               "--listen address";
    case EADDRNOTAVAIL:
        return "this host has no such address: choose another --listen "
               "address";
    case EACCES:
        return "ports below 1024 need CAP_NET_BIND_SERVICE: choose another "
               "--listen port";
    default:
        return "choose another --listen address";
    }
}

int listener_bind(const char *address, uint16_t *port,
                  char error[LISTENER_ERROR_SIZE])
{
    struct socket_address parsed;
    int on = 1;
    int fd;

    if (!parse(address, &parsed)) {
        (void)snprintf(error, LISTENER_ERROR_SIZE,
                       "cannot listen on '%s': write it as ADDR:PORT with a "
                       "numeric address",
                       address);
        return -1;
    }
    fd = sys_socket(parsed.storage.ss_family,
                    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 ||
        sys_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        sys_bind(fd, (struct sockaddr *)&parsed.storage, parsed.length) != 0 ||
        sys_listen(fd, BACKLOG) != 0) {
        int cause = errno;
        (void)snprintf(error, LISTENER_ERROR_SIZE,
                       "cannot listen on %s: %s; %s", address, strerror(cause),
                       remedy(cause));
        if (fd >= 0) {
            (void)sys_close(fd);
        }
        return -1;
    }
    *port = bound_port(fd);
    return fd;
}

/* Is it a socket that nobody listens on any more? */
static bool is_stale(const struct socket_address *address, const char *path)
{
    struct stat status;
    bool stale;
    int fd;

    if (sys_lstat(path, &status) != 0 || !S_ISSOCK(status.st_mode)) {
        return false;
    }
    fd = sys_socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    stale = sys_connect(fd, (const struct sockaddr *)&address->storage,
                        address->length) != 0 &&
            errno == ECONNREFUSED;
    (void)sys_close(fd);
    return stale;
}

int listener_bind_unix(const char *path, char error[LISTENER_ERROR_SIZE])
{
    struct socket_address address;
    mode_t mask;
    bool bound;
    int cause;
    int fd;

    if (!socket_address_unix(&address, path)) {
        (void)snprintf(error, LISTENER_ERROR_SIZE,
                       "admin socket '%s': the path is longer than 107 bytes; "
                       "choose a shorter one",
                       path);
        return -1;
    }
    fd = sys_socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && is_stale(&address, path)) {
        (void)sys_unlink(path);
    }
    /* Never open to others, not even between bind() and a chmod(). */
    mask = umask(0177);
    bound = fd >= 0 && sys_bind(fd, (struct sockaddr *)&address.storage,
                                address.length) == 0;
    cause = errno;
    (void)umask(mask);
    if (bound && sys_listen(fd, BACKLOG) == 0) {
        return fd;
    }
    cause = bound ? errno : cause;
    (void)snprintf(error, LISTENER_ERROR_SIZE,
                   "cannot listen on admin socket %s: %s; %s", path,
                   strerror(cause),
                   cause == EADDRINUSE
                       ? "another orthrusd serves it, or it is not a socket: "
                         "stop that one, or choose another path"
                       : "make its directory exist and writable");
    if (fd >= 0) {
        (void)sys_close(fd);
    }
    return -1;
}

int listener_bind_agent(struct port_table *ports,
                        const uint8_t uuid[PORT_UUID_SIZE], uint64_t now_ms,
                        uint16_t *port)
{
    int held[QUARANTINED];
    unsigned count = 0;
    uint16_t last = port_last(ports, uuid);
    int fd = last == 0 ? -1 : socket_listen_loopback(last, port);
    int cause = 0;

    while (fd < 0 && count < QUARANTINED) {
        fd = socket_listen_loopback(0, port);
        if (fd < 0) {
            cause = errno;
            break;
        }
        if (!port_may_use(ports, *port, uuid, now_ms)) {
            /* Held, so that the kernel does not choose it again. */
            held[count++] = fd;
            fd = -1;
            cause = EADDRINUSE;
        }
    }
    while (count > 0) {
        (void)sys_close(held[--count]);
    }
    if (fd >= 0) {
        port_use(ports, *port, uuid, now_ms);
    }
    errno = fd >= 0 ? 0 : cause;
    return fd;
}
