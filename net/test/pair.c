#include "net/test/pair.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/test/req.h"
#include "net/socket.h"

void pair_tcp(int fd[2], int flags)
{
    struct socket_address address;
    uint16_t port;
    int listener = socket_listen_loopback(0, &port);
    assert_true(listener >= 0);
    assert_true(socket_address_inet(&address, "127.0.0.1", port));
    fd[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(
        connect(fd[1], (struct sockaddr *)&address.storage, address.length), 0);
    do {
        fd[0] = accept4(listener, NULL, NULL, flags | SOCK_CLOEXEC);
    } while (fd[0] < 0 && errno == EAGAIN);
    assert_true(fd[0] >= 0);
    close(listener);
}
