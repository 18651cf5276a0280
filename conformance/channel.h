/* channel.h: one connection to the peer, as bytes both ways.
 *
 * tcp, unix, ws and wss; we connect or we listen. Never blocks longer than the
 * time that it is given. Below ws, a call of channel_write is one binary
 * message; what arrives is the concatenation of payloads. All times are
 * milliseconds.
 */
#ifndef CONFORMANCE_CHANNEL_H
#define CONFORMANCE_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CHANNEL_ERROR 256u /* size of the error texts */
#define CHANNEL_HEADERS_MAX 16u

enum channel_scheme { CHANNEL_TCP, CHANNEL_UNIX, CHANNEL_WS, CHANNEL_WSS };

/* Where the peer is, or where we wait for it. */
struct channel_target {
    enum channel_scheme scheme;
    bool listens;    /* we listen, the peer dials */
    char host[256];  /* or the path of the unix socket */
    char port[8];    /* decimal; "0": a free one */
    char path[1024]; /* of the ws request, with its query */
    int listener;    /* -1: not listening (yet) */
    const char *headers[CHANNEL_HEADERS_MAX]; /* "Name: value" */
    size_t header_count;
    int receive_buffer;    /* bytes that the kernel holds for us; 0: usual */
    const char *ca_file;   /* wss: NULL means the system's */
    const char *cert_file; /* wss, listening: PEM chain with its key */
};

struct channel;

/* False: what was wrong is in error. */
bool channel_parse(struct channel_target *target, const char *url,
                   char error[CHANNEL_ERROR]);

/* For a target that listens. Port "0" is replaced by the port that was got. */
bool channel_listen(struct channel_target *target, char error[CHANNEL_ERROR]);

/* Writes the target's URL, with the port that it has. */
void channel_url(const struct channel_target *target, char *url, size_t size);

/* One fresh connection, its WebSocket upgrade done. NULL: see error. Yours
 * until channel_close. */
struct channel *channel_open(const struct channel_target *target,
                             unsigned timeout_ms, char error[CHANNEL_ERROR]);

/* Ends the connection as it is: no WebSocket close, no TLS notify; a FIN, or
 * an RST when input was left unread. */
void channel_close(struct channel *channel);

/* Ends it with a TCP RST at once. */
void channel_abort(struct channel *channel);

/* Half-close: nothing more will be written (no WebSocket close). */
void channel_shut(struct channel *channel);

enum channel_state {
    CHANNEL_OK,     /* *moved bytes were moved, at least one */
    CHANNEL_AGAIN,  /* nothing can be moved now */
    CHANNEL_CLOSED, /* orderly end: EOF, or a WebSocket close */
    CHANNEL_BROKEN  /* reset, or garbage below yamux: channel_trouble() */
};

/* Never block. With ws, write takes all or nothing: one message. */
enum channel_state channel_read(struct channel *channel, uint8_t *bytes,
                                size_t size, size_t *moved);
enum channel_state channel_write(struct channel *channel, const uint8_t *bytes,
                                 size_t length, size_t *moved);

/* True when bytes that channel_write took have not yet left. */
bool channel_unsent(const struct channel *channel);

/* Waits until it can be read (or written, if asked); at most timeout_ms. */
void channel_wait(struct channel *channel, bool to_read, bool to_write,
                  unsigned timeout_ms);

/* A wait ends too when this can be read; -1: no more. Not closed with it. */
void channel_also(struct channel *channel, int fd);
int channel_fd(const struct channel *channel);

const char *channel_trouble(const struct channel *channel);

/* ---- WebSocket only (RFC 6455) ---- */

bool channel_is_websocket(const struct channel *channel);
bool channel_is_websocket_client(const struct channel *channel);

/* Any frame at all. first: FIN, RSV and opcode bits (0x82: whole binary);
 * masked: as said, whatever our role. Queued; see channel_unsent. */
void channel_frame(struct channel *channel, uint8_t first, bool masked,
                   const void *payload, size_t length);

/* Bytes below WebSocket framing. */
void channel_raw(struct channel *channel, const void *bytes, size_t length);

struct channel_seen { /* what has come in, besides data */
    unsigned pongs;
    unsigned pings;
    unsigned closes;     /* close frames; more than one is an error of theirs */
    unsigned close_code; /* of the first; 0: none yet; 1005: without a code */
    uint8_t pong[125];   /* payload of the last one */
    size_t pong_length;
    bool masked_wrongly; /* a frame had a mask that it must not, or lacked it */
};

struct channel_seen channel_seen(const struct channel *channel);

#endif
