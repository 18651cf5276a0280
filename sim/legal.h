/* legal.h: an independent reader of what one end of a link sends (oracle O15).
 *
 * Written from RFC 6455 and the yamux specification; shares no code with core/.
 * It is given every byte that the end sends, before it is sent, and every byte
 * that the end receives, before it is acted on, and fails with "legal" when the
 * end sends what it may not send:
 *
 *   RFC 6455  mask as the role says, no reserved bits, shortest lengths, known
 *             opcodes, control frames whole and short, nothing after a close
 *             frame, close codes that may be on the wire, a pong that echoes
 *             the newest ping; a message ends at the end of a yamux frame (I8)
 *   frames    version 0, known types and flags, FIN and RST alone and without
 *             payload, SYN without FIN (D4), none that says nothing
 *   streams   own ids with the right parity, growing, used once (I10); the
 *             preface first; one ACK, before anything else, on the peer's; no
 *             data after FIN, nothing after RST (I11); nothing but FIN or RST
 *             on a stream that the peer has reset
 *   credit    no data beyond what the peer has granted (I3); no grant beyond
 *             the end's own receive window and what windows may grow by,
 *             together (O4)
 *   session   pongs echo pings in order; one go-away of each kind; after one
 *             that says failure, no frame; no SYN after any; an end that failed
 *             for what its peer sent says so before it goes
 *   patience  a stream whose credit has passed 2^32-1 gets nothing but RST
 * (I4); every stream that the peer opens is answered
 *
 * What it receives is not judged: once that is beyond understanding, or against
 * a rule for which no state is an excuse, the peer is lost (legal_is_lost()),
 * and only what needs no word of the peer's is still checked.
 */
#ifndef SIM_LEGAL_H
#define SIM_LEGAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/sim.h"

struct legal_config {
    const char *who;      /* first word of a failure; outlives the reader */
    bool is_server;       /* of the WebSocket and of yamux: no mask, even ids */
    bool opens;           /* may open streams */
    bool accepts;         /* may answer the peer's */
    uint8_t preface;      /* first byte of each stream that it opens; 0: any */
    uint32_t payload_max; /* of a DATA frame; 0: any */
    uint64_t window;      /* most that it may have granted and not received, */
    uint64_t growth;      /* and more, of all streams together */
    uint32_t useless_burst, useless_per_s; /* the peer's budget; 0: any */
};

struct legal;

/* A new reader, in the list. Memory of the world. */
struct legal *legal_new(struct legal **list, struct sim *sim,
                        const struct legal_config *config);
void legal_free(struct legal **list, struct legal *legal);

void legal_sent(struct legal *legal, const uint8_t *bytes, size_t length);
void legal_received(struct legal *legal, const uint8_t *bytes, size_t length);

/* The peer has done what ends a session whatever its streams are. */
bool legal_is_lost(const struct legal *legal);
/* All that the end had to say is sent, and it is content with its peer. */
void legal_is_quiet(const struct legal *legal);
/* All that it had to say is sent, and it goes; blames: for what came. */
void legal_goes(const struct legal *legal, bool blames);

#endif
