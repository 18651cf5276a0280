/* request.h: the head of an HTTP request, out of libwebsockets' hands.
 *
 * Strings are copied: the library may drop its own before the body is read.
 * What the library lets pass and we do not is found here and named (H-07).
 */
#ifndef SERVER_REQUEST_H
#define SERVER_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/api.h"

struct lws;

struct request {
    struct api_request api; /* body, remote, tls, from_admin_socket: not set */
    const char *connection; /* NULL: absent */
    const char *expect;
    const char *upgrade_key; /* Sec-WebSocket-Key */
    const char *upgrade_version;
    bool http_1_0;
    bool keep_alive;     /* what version and Connection say */
    bool body_unbounded; /* a method with a body, and no Content-Length */
    bool length_missing; /* a body is announced in a way that we do not take:
                            Transfer-Encoding */
    const char *problem; /* why it is 400; NULL: it is not */
    char *text;          /* all the strings; secrets are among them */
    size_t size, used;
};

/* Read it in LWS_CALLBACK_HTTP. head_max: as given to the library. False: no
 * memory. request_free() it in either case. */
bool request_read(struct request *request, struct lws *wsi, size_t head_max);

/* Wipes what it held. Harmless when zeroed. */
void request_free(struct request *request);

/* Is token, lower case, one of the comma-separated tokens of list? */
bool request_has_token(const char *list, const char *token);

#endif
