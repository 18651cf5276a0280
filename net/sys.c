/* IMPLEMENTATION NOTES
 *
 * Nothing but an empty translation unit without SYS_FAULTS.
 *
 * Watches of epoll are edge-triggered: after EAGAIN, or a transfer that was
 * less than asked for, the caller waits for an edge, which the kernel owes only
 * if the descriptor was really drained or full. A fault that says so therefore
 * makes the edge as well: EPOLL_CTL_MOD with what is watched already reports
 * the state anew.
 */
#include "net/sys.h"

#ifdef SYS_FAULTS

#include <stdatomic.h>
#include <stddef.h>

#define WATCHED_MAX 4096

static struct {
    struct sys_fault fault;
    atomic_bool set;
    atomic_uint hits;
    atomic_uint calls[SYS_CALL_COUNT];
    struct {
        int epoll;
        struct epoll_event event; /* events 0: not watched */
    } watched[WATCHED_MAX];
} state;

#define SYS_NAME(name) [SYS_CALL_##name] = #name,
static const char *const names[] = {SYS_CALLS(SYS_NAME)};

void sys_fault_set(const struct sys_fault *fault)
{
    atomic_store(&state.set, false);
    atomic_store(&state.hits, 0);
    for (size_t i = 0; i < SYS_CALL_COUNT; i++) {
        atomic_store(&state.calls[i], 0);
    }
    if (fault != NULL) {
        state.fault = *fault;
        atomic_store(&state.set, true);
    }
}

unsigned sys_fault_calls(enum sys_call call)
{
    return atomic_load(&state.calls[call]);
}

unsigned sys_fault_hits(void)
{
    return atomic_load(&state.hits);
}

const char *sys_call_name(enum sys_call call)
{
    return names[call];
}

static void make_edge(int fd)
{
    if (fd >= 0 && fd < WATCHED_MAX && state.watched[fd].event.events != 0) {
        (void)epoll_ctl(state.watched[fd].epoll, EPOLL_CTL_MOD, fd,
                        &state.watched[fd].event);
    }
}

/* Is this call, the number-th of its kind, the fault's? */
static bool is_hit(enum sys_call call, unsigned number)
{
    return atomic_load(&state.set) && state.fault.call == call &&
           number >= state.fault.skip &&
           number - state.fault.skip < state.fault.times;
}

bool sys_fails(enum sys_call call, int fd)
{
    unsigned number = atomic_fetch_add(&state.calls[call], 1);

    if (!is_hit(call, number) || state.fault.error == 0) {
        return false;
    }
    atomic_fetch_add(&state.hits, 1);
    if (state.fault.error == EAGAIN) {
        make_edge(fd);
    }
    errno = state.fault.error;
    return true;
}

size_t sys_size(enum sys_call call, int fd, size_t size)
{
    unsigned number = atomic_load(&state.calls[call]) - 1;

    if (!is_hit(call, number) || state.fault.size >= size) {
        return size;
    }
    atomic_fetch_add(&state.hits, 1);
    make_edge(fd);
    return state.fault.size;
}

int sys_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    int result;

    if (sys_fails(SYS_CALL_epoll_ctl, -1)) {
        return -1;
    }
    result = epoll_ctl(epoll, operation, fd, event);
    if (result == 0 && fd < WATCHED_MAX) {
        state.watched[fd].epoll = epoll;
        if (operation == EPOLL_CTL_DEL) {
            state.watched[fd].event.events = 0;
        } else {
            state.watched[fd].event = *event;
        }
    }
    return result;
}

ssize_t sys_sendmsg(int fd, const struct msghdr *message, int flags)
{
    struct msghdr less = *message;
    struct iovec first;

    if (sys_fails(SYS_CALL_sendmsg, fd)) {
        return -1;
    }
    if (message->msg_iovlen > 0) {
        first = message->msg_iov[0];
        first.iov_len = sys_size(SYS_CALL_sendmsg, fd, first.iov_len);
        if (first.iov_len < message->msg_iov[0].iov_len) {
            less.msg_iov = &first;
            less.msg_iovlen = 1;
        }
    }
    return sendmsg(fd, &less, flags);
}

ssize_t sys_splice(int in, loff_t *in_at, int out, loff_t *out_at, size_t size,
                   unsigned flags)
{
    /* One of the two is a pipe, which nobody watches. */
    int fd = in < WATCHED_MAX && state.watched[in].event.events != 0 ? in : out;

    if (sys_fails(SYS_CALL_splice, fd)) {
        return -1;
    }
    return splice(in, in_at, out, out_at, sys_size(SYS_CALL_splice, fd, size),
                  flags);
}

#else

/* ISO C wants a translation unit to declare something. */
struct sys_nothing;

#endif
