/* stream_table.h: the streams of one session: rooms, lookup by id, lists.
 *
 * Private to the mux. The table decides nothing about the protocol; it keeps
 * each stream in its room, its hash chain and its lists, all in O(1), and
 * touches a room only when a stream first uses it (zeroed memory is an empty
 * table).
 */
#ifndef CORE_STREAM_TABLE_H
#define CORE_STREAM_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is open, half-closed or gone. "Local" is this side. */
enum stream_state {
    STREAM_FREE,
    STREAM_OPENING,          /* ours; the peer has not answered */
    STREAM_OPENING_FINISHED, /* ... and we have finished already */
    STREAM_OFFERED,          /* the peer's; not accepted yet */
    STREAM_OFFERED_FINISHED, /* ... and the peer has finished already */
    STREAM_OPEN,
    STREAM_LOCAL_FINISHED,
    STREAM_REMOTE_FINISHED,
    STREAM_BOTH_FINISHED, /* MUX_STREAM_ENDED comes next */
    STREAM_OWING,         /* dead; only its last frames are still to emit */
    STREAM_STATES
};

enum stream_move {
    STREAM_OPENS,           /* mux_open() */
    STREAM_IS_OFFERED,      /* SYN */
    STREAM_IS_ANSWERED,     /* first frame from the peer on a stream of ours */
    STREAM_IS_ACCEPTED,     /* mux_accept() */
    STREAM_FINISHES_LOCAL,  /* mux_finish() */
    STREAM_FINISHES_REMOTE, /* FIN */
    STREAM_ENDS,            /* dead, but frames are owed */
    STREAM_MOVES
};

/* Frames that are owed to the peer, in the order in which they are emitted. */
enum stream_owes {
    STREAM_OWES_SYN = 1,
    STREAM_OWES_ACK = 2,
    STREAM_OWES_WINDOW = 4,
    STREAM_OWES_FIN = 8,
    STREAM_OWES_RST = 16
};

enum stream_list {
    STREAM_READY,    /* may send data now, in the order of their turns */
    STREAM_FRESH,    /* ... and have not done so in this round: they go first */
    STREAM_OPENINGS, /* wait for the peer's answer, oldest first */
    STREAM_OFFERS,   /* wait for mux_accept(), oldest first */
    STREAM_CONTROL,  /* owe a frame */
    STREAM_LISTS
};

/* A stream is in one of the first two lists at most, and in one of the next
 * two: they share a link. */
#define STREAM_LINKS 3u

struct stream_link {
    uint32_t previous, next; /* slot + 1; 0: none */
};

struct stream {
    void *user;
    union {
        uint64_t deadline_ms; /* while in STREAM_OPENINGS or STREAM_OFFERS */
        uint64_t since_ms;    /* later: when taken was 0 */
    };
    uint32_t id;          /* never 0 while in use */
    uint32_t send_window; /* bytes that we may send */
    uint32_t granted;     /* bytes that the peer may send, seen from here */
    uint32_t credit;      /* bytes consumed and not yet granted again */
    uint32_t window;      /* granted, credit and what is not consumed */
    uint32_t taken;       /* bytes consumed since since_ms */
    uint32_t took_ms;     /* from since_ms to the latest of them; saturates */
    uint32_t chain;       /* next in hash chain or free list: slot + 1 */
    uint32_t fresh_at;    /* the round after its last frame: mux.turns */
    struct stream_link links[STREAM_LINKS];
    uint8_t state;  /* enum stream_state; changed by stream_move() only */
    uint8_t owes;   /* enum stream_owes, or-ed */
    uint8_t listed; /* 1 << enum stream_list, or-ed */
    bool ready : 1; /* mux_ready() */
    bool acked : 1; /* an ACK came */
};

struct stream_table {
    uint32_t *buckets; /* slot + 1; 0: empty */
    struct stream *slots;
    uint64_t hash_key[2];
    uint32_t bucket_mask;
    uint32_t slots_max;
    uint32_t touched; /* slots below were used at least once */
    uint32_t free;    /* slot + 1 */
    uint32_t recent;  /* slot + 1: the first place to look; may be free */
    struct {
        uint32_t first, last, count;
    } lists[STREAM_LISTS];
};

/* Bytes for buckets and slots; the memory is aligned for struct stream. */
size_t stream_table_size(uint32_t slots_max);
void stream_table_init(struct stream_table *table, void *memory,
                       uint32_t slots_max, const uint64_t hash_key[2]);

/* A zeroed room, STREAM_FREE; the caller sees to it that one is left and that
 * the id is not in the table. */
struct stream *stream_table_add(struct stream_table *table, uint32_t id);
void stream_table_remove(struct stream_table *table, struct stream *stream);
struct stream *stream_table_find(const struct stream_table *table, uint32_t id);

/* It will be looked for next, probably: that is cheaper then. */
void stream_table_note(struct stream_table *table, const struct stream *stream);

/* The slots that were ever used, for invariants: NULL beyond the last. */
const struct stream *stream_table_at(const struct stream_table *table,
                                     uint32_t slot);

void stream_list_append(struct stream_table *table, enum stream_list list,
                        struct stream *stream);
void stream_list_remove(struct stream_table *table, enum stream_list list,
                        struct stream *stream);
struct stream *stream_list_first(const struct stream_table *table,
                                 enum stream_list list); /* NULL: empty */
uint32_t stream_list_count(const struct stream_table *table,
                           enum stream_list list);
bool stream_is_listed(const struct stream *stream, enum stream_list list);

/* Is this move in the table? */
bool stream_may(const struct stream *stream, enum stream_move move);
void stream_move(struct stream *stream, enum stream_move move);

/* Questions about the state. */
bool stream_is_live(const struct stream *stream);
bool stream_may_receive(const struct stream *stream);

/* The chains and lists are whole, O(slots touched). */
void stream_table_invariant(const struct stream_table *table);

#endif
