#include "net/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/sys.h"

#define BACKLOG 1024 /* the kernel cuts it to net.core.somaxconn */

bool socket_address_unix(struct socket_address *address, const char *path)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&address->storage;
    size_t length = strlen(path);

    if (length == 0 || length >= sizeof un->sun_path) {
        return false;
    }
    memset(address, 0, sizeof *address);
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path, length + 1);
    address->length =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
    return true;
}

bool socket_address_inet(struct socket_address *address, const char *host,
                         uint16_t port)
{
    struct sockaddr_in *in = (struct sockaddr_in *)&address->storage;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address->storage;

    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, host, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        address->length = sizeof *in;
        return true;
    }
    if (inet_pton(AF_INET6, host, &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(port);
        address->length = sizeof *in6;
        return true;
    }
    return false;
}

/* For error paths: errno of what failed survives the close. */
static int give_up(int fd)
{
    int error = errno;
    (void)sys_close(fd);
    errno = error;
    return -1;
}

static bool is_loopback(const struct sockaddr_storage *address)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;

    return address->ss_family == AF_INET6
               ? IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr)
               : address->ss_family == AF_INET &&
                     ntohl(in->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

static void do_not_pace(int fd)
{
    static const char name[] = "reno"; /* every kernel has it */
    (void)sys_setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name,
                         sizeof name - 1);
}

int socket_listen_loopback(uint16_t port, uint16_t *bound)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(port),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    int on = 1;
    int fd = sys_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return -1;
    }
    /* Connections in TIME_WAIT do not keep a port from coming back. */
    if (sys_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        sys_bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        sys_listen(fd, BACKLOG) != 0 ||
        sys_getsockname(fd, (struct sockaddr *)&address, &length) != 0) {
        return give_up(fd);
    }
    socket_no_delay(fd);
    socket_keep_alive(fd);
    do_not_pace(fd);
    if (bound != NULL) {
        *bound = ntohs(address.sin_port);
    }
    return fd;
}

void socket_reset(int fd)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    (void)sys_setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    (void)sys_close(fd);
}

void socket_no_delay(int fd)
{
    int on = 1;
    (void)sys_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void socket_no_pacing(int fd, const struct sockaddr_storage *peer)
{
    if (is_loopback(peer)) {
        do_not_pace(fd);
    }
}

void socket_keep_alive(int fd)
{
    int on = 1;
    int idle_s = 60;
    int interval_s = 10;
    int probes = 3;

    (void)sys_setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)sys_setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    (void)sys_setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s,
                         sizeof interval_s);
    (void)sys_setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

size_t socket_unacknowledged(int fd)
{
    int bytes = 0;
    if (sys_ioctl(fd, SIOCOUTQ, &bytes) != 0 || bytes < 0) {
        return 0;
    }
    return (size_t)bytes;
}

/* ---- the peer's own socket ----------------------------------------------- */

/* inet_diag's form of an address: its port, and 4 or 16 bytes. */
static void describe(const struct sockaddr_storage *address, __be16 *port,
                     __be32 bytes[4])
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;

    if (address->ss_family == AF_INET) {
        *port = in->sin_port;
        memcpy(bytes, &in->sin_addr, sizeof in->sin_addr);
    } else {
        *port = in6->sin6_port;
        memcpy(bytes, &in6->sin6_addr, sizeof in6->sin6_addr);
    }
}

/* The socket whose name is our peer's, and whose peer is us. */
static bool identify_peer(int fd, struct inet_diag_req_v2 *request)
{
    struct sockaddr_storage own = {0};
    struct sockaddr_storage peer = {0};
    socklen_t own_length = sizeof own;
    socklen_t peer_length = sizeof peer;

    if (sys_getsockname(fd, (struct sockaddr *)&own, &own_length) != 0 ||
        sys_getpeername(fd, (struct sockaddr *)&peer, &peer_length) != 0 ||
        (own.ss_family != AF_INET && own.ss_family != AF_INET6)) {
        return false;
    }
    request->sdiag_family = (__u8)own.ss_family;
    request->sdiag_protocol = IPPROTO_TCP;
    request->idiag_states = UINT32_MAX;
    request->id.idiag_cookie[0] = INET_DIAG_NOCOOKIE;
    request->id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
    describe(&peer, &request->id.idiag_sport, request->id.idiag_src);
    describe(&own, &request->id.idiag_dport, request->id.idiag_dst);
    return true;
}

struct reply {
    struct nlmsghdr header;
    struct inet_diag_msg body;
    uint8_t attributes[1024];
};

/* Its state (TCP_...), 0 if there is no such socket or nobody tells. The kernel
 * answers within send(). */
static uint8_t ask_state(const struct inet_diag_req_v2 *of)
{
    struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 body;
    } request = {.header = {.nlmsg_len = sizeof request,
                            .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                            .nlmsg_flags = NLM_F_REQUEST},
                 .body = *of};
    struct reply reply = {0};
    int fd = sys_socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
                        NETLINK_SOCK_DIAG);
    uint8_t state = 0;

    if (fd < 0) {
        return 0;
    }
    if (sys_send(fd, &request, sizeof request, 0) == (ssize_t)sizeof request &&
        sys_recv(fd, &reply, sizeof reply, 0) >=
            (ssize_t)offsetof(struct reply, attributes) &&
        reply.header.nlmsg_type == SOCK_DIAG_BY_FAMILY) {
        state = reply.body.idiag_state;
    }
    (void)sys_close(fd);
    return state;
}

bool socket_peer_has_closed(int fd)
{
    struct inet_diag_req_v2 request = {0};

    if (!identify_peer(fd, &request)) {
        return false;
    }
    switch (ask_state(&request)) {
    case TCP_FIN_WAIT1:
    case TCP_FIN_WAIT2:
    case TCP_CLOSING:
    case TCP_LAST_ACK:
    case TCP_TIME_WAIT:
        return true;
    default:
        return false;
    }
}
