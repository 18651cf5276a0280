/* GET /api/v1/openapi.json: openapi.json of this folder, as it was built in. */
#include <stdlib.h>
#include <string.h>

#include "server/exchange.h"
#include "server/openapi_text.h"
#include "server/reply.h"

void openapi_show(struct exchange *exchange)
{
    char *body = malloc(sizeof(openapi_text));
    if (body != NULL) {
        memcpy(body, openapi_text, sizeof(openapi_text));
    }
    reply_text(exchange->reply, 200, REPLY_JSON_TYPE, body,
               sizeof(openapi_text));
}
