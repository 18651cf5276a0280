/* websocket.h: what the peer's connection does below yamux, over ws.
 *
 * The upgrade (upgrade.c) is common; the frames are websocket.c's for the
 * mutants, and core/ws in conformance/host.
 */
#ifndef CONFORMANCE_MUTANTS_WEBSOCKET_H
#define CONFORMANCE_MUTANTS_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conformance/mutants/bytes.h"

struct websocket;

struct websocket *websocket_create(bool client);
void websocket_destroy(struct websocket *websocket);

/* Unmasked payload takes the place of the bytes; returns its length. */
size_t websocket_receive(struct websocket *websocket, uint8_t *bytes,
                         size_t length);
/* Appends one binary message. */
void websocket_send(struct websocket *websocket, struct bytes *out,
                    const uint8_t *payload, size_t length);
/* Appends pongs and the like that are owed. */
void websocket_answer(struct websocket *websocket, struct bytes *out);
/* Owes a close frame. */
void websocket_close(struct websocket *websocket, uint16_t code);
/* The peer has closed, or broken the protocol: no more payload. */
bool websocket_is_closed(const struct websocket *websocket);
/* The close handshake is done, or can't be. */
bool websocket_is_over(const struct websocket *websocket);

/* ---- upgrade.c ---- */

/* The request of a client, appended. */
void upgrade_request(struct bytes *out, const char *host, const char *path);

enum upgrade { UPGRADE_MORE, UPGRADE_DONE, UPGRADE_BAD };

/* Reads the request (and appends the answer to out) or the answer, from the
 * front of in; what follows it stays there. */
enum upgrade upgrade_receive(struct bytes *in, struct bytes *out, bool client);

#endif
