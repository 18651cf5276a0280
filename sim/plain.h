/* plain.h: one connection of an agent that is not ours to the server: socket,
 * upgrade, WebSocket, yamux. Naive on purpose: the model that the real thing is
 * compared with.
 */
#ifndef SIM_PLAIN_H
#define SIM_PLAIN_H

#include "sim/plain_mux.h"
#include "sim/socket.h"

enum plain_state {
    PLAIN_DIALLING,  /* TCP */
    PLAIN_UPGRADING, /* the head is sent, the answer awaited */
    PLAIN_OPEN,
    PLAIN_REFUSED, /* an answer that is not 101: status */
    PLAIN_LOST     /* the connection is gone, or never came to be */
};

struct plain {
    struct sim *sim;
    struct socket *socket; /* NULL: closed */
    enum plain_state state;
    int status;              /* of the answer; 0: none */
    struct plain_bytes head; /* of the answer, until it is whole */
    struct plain_ws ws;
    struct plain_mux mux;
    uint64_t opened_us, heard_us; /* when it opened; when bytes came last */
    uint64_t moved_us;            /* when bytes went out last, or had none to */
    uint64_t blocked;             /* times that the socket took no more */
};

/* Dial the server and send the upgrade, with this head. NULL: no descriptor.
 * Free it with plain_free(). */
struct plain *plain_dial(struct process *process, const struct path *there,
                         const struct path *back, const char *head,
                         size_t head_length, struct chance chance,
                         void (*ready)(void *user), void *user);
/* "GET ... Authorization: Bearer KEY ..." into head; returns its length. */
size_t plain_head(char *head, size_t room, const char *key);

/* Take what the socket has; then call plain_mux_next(). */
void plain_receive(struct plain *link);
/* Give the socket what is to be sent. */
void plain_send(struct plain *link);
bool plain_is_flushed(const struct plain *link);

enum plain_end { PLAIN_CLOSES, PLAIN_RESETS, PLAIN_FORGETS };
/* The socket is closed, reset, or was gone with its process. */
void plain_free(struct plain *link, enum plain_end end);

#endif
