/* client_internal.h: one client, for sim/client*.c alone.
 *
 * client.c         its life: connecting, sending, reading, ending
 * client_script.c  what each variety does
 * client_judge.c   whether what it got is right
 */
#ifndef SIM_CLIENT_INTERNAL_H
#define SIM_CLIENT_INTERNAL_H

#include "sim/client.h"
#include "sim/health.h"
#include "sim/message.h"
#include "sim/request.h"

#define CLIENT_REQUESTS_MAX 8u

struct client {
    struct clients *all;
    struct client *next, *previous;
    struct world *world;
    struct site *site;
    uint32_t index;
    char name[24]; /* "client 3" */
    enum client_kind kind;
    uint64_t amount;
    struct chance chance;
    struct health health;
    uint32_t remote_kinds; /* that may sit at the far end; one bit each */
    struct socket *socket;
    struct path there, back;

    /* the script */
    struct request *requests[CLIENT_REQUESTS_MAX];
    uint32_t count;
    bool is_pipelined;
    bool finishes_first; /* FIN right behind the last request */
    uint64_t pause_us;   /* says nothing for so long */
    uint64_t abort_at;   /* bytes received; then it is gone */
    uint64_t abort_us;   /* the same, by the clock */
    uint64_t slow_bytes; /* read so many, */
    uint64_t slow_us;    /* then wait so long; 0: at once */
    uint64_t stall_at;   /* bytes received; then it stops, */
    uint64_t stall_us;   /* for so long */

    /* sending */
    uint32_t sending; /* the request that is being sent; count: all are */
    bool has_source;
    struct source source;
    bool is_finished; /* FIN was said */
    uint64_t finished_us;

    /* reading */
    uint32_t reading; /* the request whose answer comes; count: all came */
    struct message message;
    uint64_t received;
    bool is_from_engine; /* the answer under way */
    bool is_hijacked;
    bool is_told_close; /* the last answer said that no more come */
    bool may_trail;     /* it was to a HEAD, from one on the way who had not
                           read that: a body follows, which nobody reads */
    bool peer_finished;

    /* time */
    struct task task;
    bool is_paused;  /* before its first word */
    bool is_stopped; /* does not read */
    bool has_stalled;
    bool has_failed; /* it saw an error */
    bool is_over;
};

struct clients {
    struct world *world;
    struct client *list;
    uint32_t made, live;
    struct clients_tally tally;
};

/* ---- client_script.c ----------------------------------------------------- */

void client_write_script(struct client *client);

/* ---- client_judge.c; each fails the world if what it sees is wrong --------
 */

/* Bytes came. */
void client_judge_bytes(struct client *client, const uint8_t *bytes,
                        size_t length);
void client_judge_finish(struct client *client); /* FIN did */
void client_judge_break(struct client *client);  /* RST, or no connection */
/* An error that the client can see: wrong only if nothing excuses it. */
void client_judge_error(struct client *client, const char *what);

#endif
