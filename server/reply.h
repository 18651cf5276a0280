/* reply.h: the replies of the API (H-07). */
#ifndef SERVER_REPLY_H
#define SERVER_REPLY_H

#include <jansson.h>

#include "server/api.h"

#define REPLY_JSON_TYPE "application/json; charset=utf-8"

/* Takes the reference to json. Out of memory: 500 with a fixed text. */
void reply_json(struct api_reply *reply, int status, json_t *json);

/* {"error": text}. What is not printable ASCII in it becomes '?'. */
__attribute__((format(printf, 3, 4))) void
reply_error(struct api_reply *reply, int status, const char *format, ...);

/* No body. */
void reply_empty(struct api_reply *reply, int status);

/* Takes the malloc'd body; NULL: out of memory. type is static. */
void reply_text(struct api_reply *reply, int status, const char *type,
                char *body, size_t length);

#endif
