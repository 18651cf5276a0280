/* yamux_internal.h: what yamux.c (the application's side and what goes out)
 * and yamux_in.c (what comes in) share. */
#ifndef CONFORMANCE_MUTANTS_YAMUX_INTERNAL_H
#define CONFORMANCE_MUTANTS_YAMUX_INTERNAL_H

#include "conformance/mutants/bytes.h"
#include "conformance/mutants/yamux.h"

#define HEADER 12u
#define WINDOW 262144u
#define FRAME_MAX 16384u    /* payload that we send in one frame */
#define STREAMS_MAX 1024u   /* live, opened by the peer */
#define BACKLOG_MAX 256u    /* of these, not accepted */
#define UNACKED_MAX 256u    /* opened by us, not answered */
#define PONGS_MAX 8192u     /* owed */
#define REFUSALS_MAX 8192u  /* RSTs owed */
#define USELESS_MAX 100000u /* frames without effect, in a session's life */
#define BUCKETS 1024u
#define ENDED_KEPT 512u
#define PING_MS 1000u    /* between pings */
#define SILENCE_MS 8000u /* until the session is given up */
#define FLUSH_MS 3000u   /* for yamux_shut: without a byte that goes out */

enum frame_type { DATA, UPDATE, PING, GOAWAY };
enum frame_flag { SYN = 1, ACK = 2, FIN = 4, RST = 8 };

struct frame {
    uint8_t version;
    uint8_t type;
    uint16_t flags;
    uint32_t stream;
    uint32_t length;
};

struct yamux_stream {
    struct yamux_stream *next;  /* of all, until released */
    struct yamux_stream *chain; /* of the live ones, in their bucket */
    struct yamux *yamux;
    void *task;
    uint32_t id;
    bool inbound;
    bool accepted;
    bool acked; /* by the peer, or its answer came otherwise */
    bool live;  /* frames of this id are its own */
    bool released;
    /* in */
    struct bytes in;
    uint64_t received;
    uint64_t granted;
    uint32_t consumed; /* since the last update */
    bool fin_received;
    enum yamux_end end;
    /* out */
    struct bytes out;
    uint64_t sent;
    uint64_t credit;
    uint32_t update; /* owed */
    bool owes_syn;
    bool owes_ack;
    bool owes_fin; /* behind what is in out */
    bool fin_sent;
    /* for mutants only */
    uint64_t birth_ms;
    bool is_old; /* opened before the peer's GoAway */
    unsigned empty_grants;
    unsigned small_grants;
    unsigned odd_frames;
    bool half_and_tiny; /* half a window came, the last frame was one byte */
    uint32_t largest;   /* frame */
};

struct yamux {
    bool client;
    struct yamux_stream *streams; /* the oldest first */
    struct yamux_stream **tail;   /* where the next one goes */
    struct yamux_stream *buckets[BUCKETS];
    struct yamux_stream *turn; /* sends next */
    uint32_t next_id;
    unsigned inbound;
    unsigned backlog;
    unsigned unacked;
    unsigned opened;
    unsigned accepted;
    /* the end */
    bool failed; /* nothing is taken any more */
    bool over;
    bool draining;
    bool owes_goaway;
    uint32_t goaway_code;
    bool peer_is_leaving;
    bool shutting;
    uint64_t shut_at;
    /* in */
    uint8_t header[HEADER];
    size_t header_length;
    struct frame frame;
    uint32_t left;             /* of the frame's body */
    struct yamux_stream *body; /* whose it is; NULL: to be dropped */
    unsigned useless;
    unsigned batch; /* receive calls */
    size_t batch_length;
    uint64_t heard_ms;
    uint64_t begun_ms;
    /* out */
    uint32_t pongs[PONGS_MAX];
    unsigned pong_first;
    unsigned pong_count;
    uint32_t refusals[REFUSALS_MAX];
    unsigned refusal_first;
    unsigned refusal_count;
    uint32_t ping_opaque;
    bool ping_owed;
    bool ping_out;
    uint64_t ping_ms;
    /* for mutants only */
    bool hung;
    struct {
        uint32_t id;
        char
            how; /* 'c' closed, 'r' reset by the peer, 'o' by us, 'n' refused */
    } ended[ENDED_KEPT];
    unsigned ended_count;
    unsigned closed;
    uint32_t highest_id;
    unsigned header_pieces;
    size_t header_first_piece;
    uint64_t header_ms;
    uint64_t body_ms;
    unsigned body_batch;
    unsigned pings;
    unsigned resets;
    unsigned goaways;
    unsigned empties;
    unsigned frames; /* but for pongs */
    uint64_t now_ms;
    bool stray_sent;
    bool comforted;    /* by a wrong pong */
    uint32_t reset_id; /* that nothing has followed; 0: none */
    uint64_t reset_ms;
    uint32_t spoilt; /* bytes */
};

/* The session ends with GoAway(code); with 0: without. */
void yamux_fail(struct yamux *yamux, uint32_t code);
struct yamux_stream *yamux_find(struct yamux *yamux, uint32_t id);
struct yamux_stream *yamux_add(struct yamux *yamux, uint32_t id, bool inbound);
/* It is no longer live; how: as in ended. */
void yamux_bury(struct yamux_stream *stream, enum yamux_end end, char how);
void yamux_refuse(struct yamux *yamux, uint32_t id);
bool yamux_has_ended(const struct yamux *yamux, uint32_t id, char how);

#endif
