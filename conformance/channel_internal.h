/* channel_internal.h: what channel.c and channel_ws.c share. */
#ifndef CONFORMANCE_CHANNEL_INTERNAL_H
#define CONFORMANCE_CHANNEL_INTERNAL_H

#include <openssl/ssl.h>

#include "conformance/channel.h"

#define CHANNEL_BUFFER 65536u /* bytes read at once */

struct channel_bytes { /* a FIFO that grows */
    uint8_t *bytes;
    size_t start;
    size_t end;
    size_t size;
};

struct channel {
    int fd;
    int also; /* plus one; 0: nothing */
    SSL_CTX *context;
    SSL *tls;
    struct channel_bytes out; /* to be written, as on the wire */
    char trouble[CHANNEL_ERROR];
    /* WebSocket */
    bool websocket;
    bool websocket_client;
    uint8_t in[CHANNEL_BUFFER]; /* read, not yet parsed */
    size_t in_start;
    size_t in_end;
    uint64_t payload_left; /* of the data frame in progress */
    bool masked;
    uint8_t mask[4];
    unsigned mask_phase;
    bool close_sent;
    bool close_told; /* CHANNEL_CLOSED has been returned for it */
    struct channel_seen seen;
};

/* Bytes as on the wire, TLS below. Never block. */
enum channel_state channel_raw_read(struct channel *channel, uint8_t *bytes,
                                    size_t size, size_t *moved);
/* Writes what it can of `out`. */
enum channel_state channel_flush(struct channel *channel);
void channel_queue(struct channel *channel, const void *bytes, size_t length);

/* The upgrade, by deadline (of channel_now). */
bool channel_ws_connect(struct channel *channel,
                        const struct channel_target *target, uint64_t deadline,
                        char error[CHANNEL_ERROR]);
bool channel_ws_accept(struct channel *channel, uint64_t deadline,
                       char error[CHANNEL_ERROR]);
enum channel_state channel_ws_read(struct channel *channel, uint8_t *bytes,
                                   size_t size, size_t *moved);
uint64_t channel_now(void); /* ms, monotonic */

#endif
