#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "conformance/session_internal.h"

struct control { /* one command, one connection */
    struct control *next;
    struct channel *channel;
    uint32_t stream; /* in whose books the answer is */
};

struct session_control {
    int poll_fd; /* readable when an answer comes */
    struct control *first;
};

static struct session_control *controls_of(struct session *session)
{
    struct session_control *controls = session->books->controls;
    if (!controls) {
        controls = calloc(1, sizeof *controls);
        if (!controls) {
            abort();
        }
        controls->poll_fd = epoll_create1(EPOLL_CLOEXEC);
        session->books->controls = controls;
        if (session->channel) {
            channel_also(session->channel, controls->poll_fd);
        }
    }
    return controls;
}

void session_control_send(struct session *session, uint32_t stream,
                          const char *line, size_t length)
{
    struct session_control *controls = controls_of(session);
    char error[CHANNEL_ERROR];
    struct control *control = calloc(1, sizeof *control);
    if (!control) {
        abort();
    }
    control->stream = stream;
    control->channel =
        channel_open(session->control, session->timeout_ms, error);
    if (!control->channel) {
        free(control);
        spec_fail(session, "--control: %s", error);
    }
    size_t moved = 0;
    /* a line is shorter than any socket's buffer */
    if (channel_write(control->channel, (const uint8_t *)line, length,
                      &moved) != CHANNEL_OK ||
        moved != length) {
        spec_fail(session, "--control: a command cannot be written");
    }
    struct epoll_event event = {.events = EPOLLIN};
    (void)epoll_ctl(controls->poll_fd, EPOLL_CTL_ADD,
                    channel_fd(control->channel), &event);
    control->next = controls->first;
    controls->first = control;
}

bool session_control_read(struct session *session)
{
    struct session_control *controls = session->books->controls;
    struct epoll_event event;
    if (!controls || epoll_wait(controls->poll_fd, &event, 1, 0) != 1) {
        return false;
    }
    for (struct control **at = &controls->first; *at;) {
        struct control *control = *at;
        uint8_t bytes[512];
        size_t moved = 0;
        enum channel_state state =
            channel_read(control->channel, bytes, sizeof bytes, &moved);
        struct stream *stream = session_stream(session, control->stream);
        if (state == CHANNEL_OK) {
            session_books_answer(stream, bytes, moved);
        } else if (state != CHANNEL_AGAIN) {
            stream->resets++; /* no line will come any more */
            channel_close(control->channel);
            *at = control->next;
            free(control);
            continue;
        }
        at = &control->next;
    }
    return true;
}

void session_control_free(struct session *session)
{
    struct session_control *controls = session->books->controls;
    if (!controls) {
        return;
    }
    while (controls->first) {
        struct control *control = controls->first;
        controls->first = control->next;
        channel_close(control->channel);
        free(control);
    }
    close(controls->poll_fd);
    free(controls);
    session->books->controls = NULL;
}

/* ---- a mirror ---- */

static uint32_t *mirrored(struct session *session, uint32_t n)
{
    struct session_books *books = session->books;
    if (n > SESSION_STREAMS_MAX) {
        spec_skip(session, "the peer would have to open %u streams", n);
    }
    if (n > books->mirrored_count) {
        uint32_t count = 2 * n;
        uint32_t *ids = realloc(books->mirrored, count * sizeof *ids);
        if (!ids) {
            abort();
        }
        memset(ids + books->mirrored_count, 0,
               (count - books->mirrored_count) * sizeof *ids);
        books->mirrored = ids;
        books->mirrored_count = count;
    }
    return &books->mirrored[n - 1];
}

/* The application has answered by then: what is sent next is for it, and not
 * for one that is still on its way. */
uint32_t session_mirror_id(struct session *session, uint32_t n)
{
    uint32_t id = *mirrored(session, n);
    if (id == 0) {
        char line[96];
        unsigned before = session->opened;
        uint32_t asked = session_ask_open(session, 1, 0, session->mirror, "-");
        session_answer(session, asked, 0, line, sizeof line);
        if (session_wait_opened(session, before + 1) != SESSION_GOT) {
            spec_fail(session,
                      "the peer was asked to open a stream: \"%s\", but none "
                      "came; the connection is %s",
                      line, session_ending(session));
        }
        session_forget(session, asked);
        id = session->opened_ids[before];
        *mirrored(session, n) = id;
    }
    return id;
}
