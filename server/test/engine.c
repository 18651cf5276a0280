#include "server/test/engine.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "core/test/req.h"
#include "net/socket.h"

static void hang_up(struct engine_connection *connection)
{
    loop_cancel(connection->engine->loop, &connection->task);
    if (connection->watch.watched) {
        loop_remove(connection->engine->loop, &connection->watch);
        (void)close(connection->watch.fd);
    }
}

static void end(struct engine_connection *connection, enum engine_end how)
{
    struct linger linger = {1, 0};
    if (how == ENGINE_RESETS) {
        (void)setsockopt(connection->watch.fd, SOL_SOCKET, SO_LINGER, &linger,
                         sizeof(linger));
    }
    if (how != ENGINE_HANGS) {
        hang_up(connection);
    }
}

static void send_piece(void *user)
{
    struct engine_connection *connection = user;
    struct engine *engine = connection->engine;
    size_t length = strlen(connection->left);
    if (engine->piece != 0 && length > engine->piece) {
        length = engine->piece;
    }
    if (length > 0) {
        ssize_t sent =
            send(connection->watch.fd, connection->left, length, MSG_NOSIGNAL);
        assert_true(sent > 0); /* answers fit into a socket's buffer */
        connection->left += sent;
    }
    if (*connection->left != '\0') {
        loop_defer(engine->loop, &connection->task);
    } else {
        end(connection, engine->answers[connection - engine->connections].end);
    }
}

static void on_readable(void *user, uint32_t events)
{
    struct engine_connection *connection = user;
    struct engine *engine = connection->engine;
    (void)events;
    ssize_t got =
        recv(connection->watch.fd, connection->request + connection->length,
             sizeof(connection->request) - connection->length - 1, 0);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN) {
            ++engine->closed_by_client;
            hang_up(connection);
        }
        return;
    }
    connection->length += (size_t)got;
    if (strstr(connection->request, "\r\n\r\n") != NULL) {
        connection->left =
            engine->answers[connection - engine->connections].bytes;
        loop_defer(engine->loop, &connection->task);
    }
}

static void on_connection(void *user, uint32_t events)
{
    struct engine *engine = user;
    int one = 1;
    (void)events;
    int fd =
        accept4(engine->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(fd >= 0);
    assert_true(engine->count < ENGINE_CONNECTIONS);
    struct engine_connection *connection =
        &engine->connections[engine->count++];
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    connection->engine = engine;
    connection->watch =
        (struct loop_watch){.ready = on_readable, .user = connection};
    connection->task =
        (struct loop_task){.run = send_piece, .user = connection};
    assert_true(loop_add(engine->loop, &connection->watch, fd, EPOLLIN));
}

void engine_start(struct engine *engine, struct loop *loop, const char *host,
                  const struct engine_answer *answers)
{
    struct socket_address address;
    struct sockaddr_storage bound;
    socklen_t size = sizeof(bound);
    memset(engine, 0, sizeof(*engine));
    engine->loop = loop;
    engine->answers = answers;
    engine->listener =
        (struct loop_watch){.ready = on_connection, .user = engine};
    assert_true(host[0] == '/' ? socket_address_unix(&address, host)
                               : socket_address_inet(&address, host, 0));
    int fd = socket(address.storage.ss_family,
                    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(
        bind(fd, (struct sockaddr *)&address.storage, address.length), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&bound, &size), 0);
    if (host[0] != '/') {
        /* IPv4 and IPv6 keep the port in one place */
        engine->port = ntohs(((struct sockaddr_in *)&bound)->sin_port);
    }
    assert_true(loop_add(loop, &engine->listener, fd, EPOLLIN));
}

void engine_stop(struct engine *engine)
{
    for (size_t i = 0; i < engine->count; ++i) {
        hang_up(&engine->connections[i]);
    }
    if (engine->listener.watched) {
        loop_remove(engine->loop, &engine->listener);
        (void)close(engine->listener.fd);
    }
}
