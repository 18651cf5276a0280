#include "sim/plain.h"

#include <stdio.h>
#include <string.h>

#include "sim/remote.h"

#define READ_SIZE 16384u
#define HEAD_MAX 1024u

size_t plain_head(char *head, size_t room, const char *key)
{
    int length = snprintf(head, room,
                          "GET " REMOTE_PATH " HTTP/1.1\r\n"
                          "Authorization: Bearer %s\r\n\r\n",
                          key);

    return (size_t)length;
}

struct plain *plain_dial(struct process *process, const struct path *there,
                         const struct path *back, const char *head,
                         size_t head_length, struct chance chance,
                         void (*ready)(void *user), void *user)
{
    struct socket *socket =
        socket_connect(process, ADDRESS_SERVER, there, back, ready, user);

    if (socket == NULL) {
        return NULL;
    }
    struct plain *link = sim_alloc(process->sim, sizeof *link);
    *link = (struct plain){.sim = process->sim, .socket = socket};
    plain_bytes_init(&link->head, link->sim);
    plain_ws_init(&link->ws, link->sim, true, chance);
    plain_mux_init(&link->mux, &link->ws, true);
    plain_bytes_add(&link->ws.out, (const uint8_t *)head, head_length);
    return link;
}

static void lose(struct plain *link)
{
    if (link->state != PLAIN_REFUSED) {
        link->state = PLAIN_LOST;
    }
}

/* Of "HTTP/1.1 NNN ..."; 0: it is none. */
static int status_of(const char *head, size_t length)
{
    static const char version[] = "HTTP/1.1 ";
    size_t at = sizeof version - 1;
    int status = 0;

    if (length < at + 4 || memcmp(head, version, at) != 0 ||
        head[at + 3] != ' ') {
        return 0;
    }
    for (size_t end = at + 3; at < end; at++) {
        if (head[at] < '0' || head[at] > '9') {
            return 0;
        }
        status = 10 * status + head[at] - '0';
    }
    return status;
}

/* "HTTP/1.1 NNN ...", as far as the empty line; what follows is WebSocket. */
static void take_head(struct plain *link, const uint8_t *bytes, size_t length)
{
    const char *head;
    size_t at = 3;

    plain_bytes_add(&link->head, bytes, length);
    head = (const char *)plain_bytes_front(&link->head);
    length = link->head.length;
    while (at < length && memcmp(head + at - 3, "\r\n\r\n", 4) != 0) {
        at++;
    }
    if (at >= length) {
        if (length > HEAD_MAX) {
            sim_fail(link->sim, "reference", "an upgrade's answer of %zu bytes",
                     length);
        }
        return;
    }
    link->status = status_of(head, length);
    if (link->status == 0) {
        sim_fail(link->sim, "reference", "an upgrade's answer without status");
    }
    link->state = link->status == 101 ? PLAIN_OPEN : PLAIN_REFUSED;
    if (link->state == PLAIN_OPEN) {
        link->opened_us = sim_now_us(link->sim);
        plain_ws_receive(&link->ws, plain_bytes_front(&link->head) + at + 1,
                         length - at - 1);
    }
}

static bool is_alive(struct plain *link)
{
    switch (socket_state(link->socket)) {
    case SOCKET_CONNECTING:
        return false;
    case SOCKET_FAILED:
        lose(link);
        return false;
    case SOCKET_OPEN:
        if (link->state == PLAIN_DIALLING) {
            link->state = PLAIN_UPGRADING;
            link->heard_us = sim_now_us(link->sim);
            link->moved_us = link->heard_us;
        }
        break;
    }
    return link->state != PLAIN_LOST;
}

void plain_receive(struct plain *link)
{
    enum socket_result result = SOCKET_MORE;
    uint8_t bytes[READ_SIZE];

    if (!is_alive(link)) {
        return;
    }
    while (result == SOCKET_MORE) {
        size_t length;

        result = socket_receive(link->socket, bytes, sizeof bytes, &length);
        if (result == SOCKET_FINISHED || result == SOCKET_BROKEN) {
            lose(link);
            return;
        }
        if (length > 0) {
            link->heard_us = sim_now_us(link->sim);
        }
        if (link->state == PLAIN_UPGRADING) {
            take_head(link, bytes, length);
        } else if (link->state == PLAIN_OPEN) {
            plain_ws_receive(&link->ws, bytes, length);
        }
    }
}

void plain_send(struct plain *link)
{
    struct plain_bytes *out = &link->ws.out;

    if (!is_alive(link)) {
        return;
    }
    while (out->length > 0) {
        size_t length;
        enum socket_result result = socket_send(
            link->socket, plain_bytes_front(out), out->length, &length);

        if (result == SOCKET_BROKEN) {
            lose(link);
            return;
        }
        if (result != SOCKET_MORE) {
            link->blocked++;
            return;
        }
        plain_bytes_drop(out, length);
        link->moved_us = sim_now_us(link->sim);
    }
    link->moved_us = sim_now_us(link->sim);
}

bool plain_is_flushed(const struct plain *link)
{
    return link->ws.out.length == 0;
}

void plain_free(struct plain *link, enum plain_end end)
{
    switch (end) {
    case PLAIN_CLOSES:
        socket_close(link->socket);
        break;
    case PLAIN_RESETS:
        socket_reset(link->socket);
        break;
    case PLAIN_FORGETS:
        break;
    }
    plain_mux_free(&link->mux);
    plain_ws_free(&link->ws);
    plain_bytes_free(&link->head);
    sim_release(link->sim, link);
}
