#include "server/fetch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/sys.h"
#include "server/resolve.h"

enum { REQUEST_SIZE = 512, READ_SIZE = 16384, READS_A_TURN = 16 };

struct fetch {
    struct loop *loop;
    struct loop_watch watch;
    struct loop_task start; /* the first connect, or a failure to report */
    struct socket_address addresses[RESOLVE_ADDRESSES_MAX];
    size_t count;
    size_t next; /* address to try */
    enum http_method method;
    size_t answer_max;
    void (*done)(void *user, const struct fetch_answer *answer);
    void *user;
    struct fetch_answer answer;

    char request[REQUEST_SIZE];
    size_t request_length;
    size_t sent;

    struct http_scan scan;
    uint8_t head[FETCH_HEAD_MAX];
    size_t head_length;
    bool in_body;
    struct http_body framing;
    char *body;
    size_t body_length;
    size_t body_room;
};

static void attempt(struct fetch *fetch);

static void disconnect(struct fetch *fetch)
{
    if (fetch->watch.watched) {
        loop_remove(fetch->loop, &fetch->watch);
        (void)sys_close(fetch->watch.fd);
    }
}

static void finish(struct fetch *fetch, enum fetch_result result)
{
    disconnect(fetch);
    fetch->answer.result = result;
    if (result != FETCH_OK) {
        fetch->answer.status = 0;
    }
    fetch->answer.body =
        (struct span){(const uint8_t *)fetch->body, fetch->body_length};
    fetch->done(fetch->user, &fetch->answer);
    free(fetch->body);
    free(fetch);
}

/* ---- the answer ---------------------------------------------------------- */

/* N.N or NN.NN, the form that goes into a path. */
static bool is_version(struct span value)
{
    size_t dot = 0;
    for (size_t i = 0; i < value.length; ++i) {
        uint8_t c = value.bytes[i];
        if (c == '.' && i > 0 && dot == 0) {
            dot = i;
        } else if (c < '0' || c > '9') {
            return false;
        }
    }
    return value.length < FETCH_VERSION_SIZE && dot > 0 &&
           dot + 1 < value.length;
}

static void find_version(struct fetch *fetch, struct span fields)
{
    struct http_field field;
    char *version = fetch->answer.api_version;
    while (http_next_field(&fields, &field)) {
        if (http_is(field.name, "api-version") && is_version(field.value)) {
            memcpy(version, field.value.bytes, field.value.length);
            version[field.value.length] = '\0';
        }
    }
}

/* The head is complete. False: it is over. */
static bool take_head(struct fetch *fetch)
{
    struct http_response response;
    if (http_parse_response(&response, fetch->head, fetch->head_length,
                            fetch->method) != HTTP_OK) {
        finish(fetch, FETCH_BROKEN);
        return false;
    }
    if (response.status < 200) { /* 1xx: the real one follows */
        fetch->head_length = 0;
        http_scan_init(&fetch->scan);
        return true;
    }
    fetch->answer.status = response.status;
    find_version(fetch, response.fields);
    if (response.framing == HTTP_LENGTH &&
        response.length > fetch->answer_max) {
        finish(fetch, FETCH_TOO_LARGE);
        return false;
    }
    fetch->in_body = true;
    http_body_init(&fetch->framing, response.framing, response.length);
    if (response.framing == HTTP_NO_BODY) {
        finish(fetch, FETCH_OK);
        return false;
    }
    return true;
}

static bool keep(struct fetch *fetch, struct span data)
{
    if (data.length > fetch->answer_max - fetch->body_length) {
        finish(fetch, FETCH_TOO_LARGE);
        return false;
    }
    if (data.length > fetch->body_room - fetch->body_length) {
        /* doubled: grows with what came, not with what was announced */
        size_t room = (fetch->body_length + data.length) * 2;
        char *body = realloc(fetch->body, room);
        if (body == NULL) {
            finish(fetch, FETCH_TOO_LARGE);
            return false;
        }
        fetch->body = body;
        fetch->body_room = room;
    }
    memcpy(fetch->body + fetch->body_length, data.bytes, data.length);
    fetch->body_length += data.length;
    return true;
}

static bool take_body(struct fetch *fetch, struct span *input)
{
    struct span data;
    while (http_body_next(&fetch->framing, input, &data)) {
        if (!keep(fetch, data)) {
            return false;
        }
    }
    if (fetch->framing.fault != HTTP_OK) {
        finish(fetch, FETCH_BROKEN);
        return false;
    }
    if (fetch->framing.complete) {
        finish(fetch, FETCH_OK);
        return false;
    }
    return true;
}

static bool take(struct fetch *fetch, struct span input)
{
    while (input.length > 0) {
        if (fetch->in_body) {
            return take_body(fetch, &input);
        }
        size_t used = http_scan(&fetch->scan, input.bytes, input.length);
        if (fetch->scan.fault != HTTP_OK ||
            used > FETCH_HEAD_MAX - fetch->head_length) {
            finish(fetch, FETCH_BROKEN);
            return false;
        }
        memcpy(fetch->head + fetch->head_length, input.bytes, used);
        fetch->head_length += used;
        input.bytes += used;
        input.length -= used;
        if (fetch->scan.complete && !take_head(fetch)) {
            return false;
        }
    }
    return true;
}

static void take_end(struct fetch *fetch, bool clean)
{
    if (clean && fetch->in_body && fetch->framing.framing == HTTP_UNTIL_CLOSE) {
        finish(fetch, FETCH_OK);
    } else if (fetch->head_length == 0 && !fetch->in_body) {
        finish(fetch, FETCH_UNREACHABLE);
    } else {
        finish(fetch, FETCH_BROKEN);
    }
}

/* ---- the connection ------------------------------------------------------ */

static void receive(struct fetch *fetch)
{
    uint8_t bytes[READ_SIZE];
    for (int i = 0; i < READS_A_TURN; ++i) {
        ssize_t got = sys_recv(fetch->watch.fd, bytes, sizeof(bytes), 0);
        if (got > 0) {
            if (!take(fetch, (struct span){bytes, (size_t)got})) {
                return;
            }
        } else if (got == 0) {
            take_end(fetch, true);
            return;
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR) {
            take_end(fetch, false);
            return;
        }
    }
}

static void transmit(struct fetch *fetch)
{
    while (fetch->sent < fetch->request_length) {
        ssize_t sent =
            sys_send(fetch->watch.fd, fetch->request + fetch->sent,
                     fetch->request_length - fetch->sent, MSG_NOSIGNAL);
        if (sent > 0) {
            fetch->sent += (size_t)sent;
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR) {
            take_end(fetch, false);
            return;
        }
    }
    loop_change(fetch->loop, &fetch->watch, EPOLLIN);
}

static void on_ready(void *user, uint32_t events)
{
    struct fetch *fetch = user;
    if (fetch->sent == fetch->request_length) {
        receive(fetch);
        return;
    }
    if (fetch->sent == 0 && sys_socket_error(fetch->watch.fd) != 0) {
        disconnect(fetch);
        attempt(fetch);
        return;
    }
    (void)events;
    transmit(fetch);
}

static bool connect_to(struct fetch *fetch,
                       const struct socket_address *address)
{
    int kind = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    int fd = sys_socket(address->storage.ss_family, kind, 0);
    if (fd < 0) {
        return false;
    }
    const struct sockaddr *peer = (const void *)&address->storage;
    if ((sys_connect(fd, peer, address->length) != 0 && errno != EINPROGRESS) ||
        !loop_add(fetch->loop, &fetch->watch, fd, EPOLLOUT)) {
        (void)sys_close(fd);
        return false;
    }
    return true;
}

static void attempt(struct fetch *fetch)
{
    while (fetch->next < fetch->count) {
        if (connect_to(fetch, &fetch->addresses[fetch->next++])) {
            return;
        }
    }
    finish(fetch, FETCH_UNREACHABLE);
}

static void on_start(void *user)
{
    attempt(user);
}

struct fetch *fetch_begin(struct loop *loop,
                          const struct fetch_request *request)
{
    struct fetch *fetch = calloc(1, sizeof(*fetch));
    if (fetch == NULL) {
        return NULL;
    }
    fetch->loop = loop;
    fetch->watch = (struct loop_watch){.ready = on_ready, .user = fetch};
    fetch->start = (struct loop_task){.run = on_start, .user = fetch};
    fetch->count = request->count < RESOLVE_ADDRESSES_MAX
                       ? request->count
                       : RESOLVE_ADDRESSES_MAX;
    memcpy(fetch->addresses, request->addresses,
           fetch->count * sizeof(fetch->addresses[0]));
    fetch->method = request->method;
    fetch->answer_max = request->answer_max;
    fetch->done = request->done;
    fetch->user = request->user;
    http_scan_init(&fetch->scan);
    fetch->request_length = (size_t)snprintf(
        fetch->request, sizeof(fetch->request),
        "%s %s HTTP/1.1\r\nHost: docker\r\nUser-Agent: orthrusd\r\n"
        "Accept: application/json\r\nConnection: close\r\n\r\n",
        http_method_name(request->method), request->path);
    loop_defer(loop, &fetch->start);
    return fetch;
}

void fetch_cancel(struct fetch *fetch)
{
    loop_cancel(fetch->loop, &fetch->start);
    disconnect(fetch);
    free(fetch->body);
    free(fetch);
}
