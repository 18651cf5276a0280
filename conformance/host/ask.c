#include "conformance/host/ask.h"

#include <string.h>

#include "conformance/mutants/yamux.h"

bool ask_begin(struct ask *ask, struct yamux *yamux, const char *command,
               uint64_t now_ms)
{
    *ask = (struct ask){0};
    if (yamux_open(yamux, &ask->stream, now_ms) != YAMUX_OPENED) {
        ask->stream = NULL;
        return false;
    }
    yamux_write(ask->stream, (const uint8_t *)command, strlen(command));
    yamux_finish(ask->stream);
    return true;
}

enum ask_state ask_continue(struct ask *ask, uint64_t *consumed)
{
    const uint8_t *bytes;
    size_t length = yamux_peek(ask->stream, &bytes);
    size_t room = ASK_ANSWER_MAX - 1 - ask->length;
    size_t kept = length < room ? length : room;
    memcpy(ask->answer + ask->length, bytes, kept);
    ask->length += kept;
    yamux_consume(ask->stream, length);
    *consumed += length;
    enum yamux_end end = yamux_end(ask->stream);
    if (end == YAMUX_OPEN)
        return ASK_WAITS;
    bool good = end == YAMUX_EOF && ask->length > 0 &&
                ask->answer[ask->length - 1] == '\n';
    ask->answer[good ? ask->length - 1 : ask->length] = '\0';
    yamux_release(ask->stream);
    ask->stream = NULL;
    return good ? ASK_IS_ANSWERED : ASK_IS_BROKEN;
}
