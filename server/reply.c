#include "server/reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ERROR_SIZE = 1024 };

void reply_text(struct api_reply *reply, int status, const char *type,
                char *body, size_t length)
{
    static const char no_memory[] = "{\"error\":\"out of memory\"}";
    memset(reply, 0, sizeof(*reply));
    reply->status = status;
    reply->content_type = type;
    reply->body = body;
    reply->body_length = length;
    if (body == NULL) {
        reply->status = 500;
        reply->content_type = REPLY_JSON_TYPE;
        reply->body = strdup(no_memory);
        reply->body_length = reply->body != NULL ? strlen(no_memory) : 0;
    }
}

void reply_json(struct api_reply *reply, int status, json_t *json)
{
    char *body = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    reply_text(reply, status, REPLY_JSON_TYPE, body,
               body != NULL ? strlen(body) : 0);
}

void reply_error(struct api_reply *reply, int status, const char *format, ...)
{
    char text[ERROR_SIZE];
    va_list list;
    va_start(list, format);
    (void)vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    for (char *c = text; *c != '\0'; ++c) {
        if (*c < ' ' || *c > '~') {
            *c = '?';
        }
    }
    reply_json(reply, status, json_pack("{s:s}", "error", text));
}

void reply_empty(struct api_reply *reply, int status)
{
    memset(reply, 0, sizeof(*reply));
    reply->status = status;
}
