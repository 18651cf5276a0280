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
#include <stdlib.h>
#include <string.h>

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

static bool started;

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

/* ---- a program's start and end ------------------------------------------- */

static bool parse_fault(struct sys_fault *fault, const char *text)
{
    size_t length = strcspn(text, ":");
    long numbers[4] = {0, 0, 1, 0};

    for (size_t i = 0; i < 4 && text[length] == ':'; i++) {
        char *end;
        numbers[i] = strtol(text + length + 1, &end, 10);
        length = (size_t)(end - text);
    }
    *fault = (struct sys_fault){.error = (int)numbers[0],
                                .skip = (unsigned)numbers[1],
                                .times = (unsigned)numbers[2],
                                .size = (size_t)numbers[3]};
    length = strcspn(text, ":");
    for (size_t i = 0; i < SYS_CALL_COUNT; i++) {
        if (strlen(names[i]) == length &&
            strncmp(names[i], text, length) == 0) {
            fault->call = (enum sys_call)i;
            return true;
        }
    }
    return false;
}

static void report(void)
{
    const char *path = getenv("ORTHRUS_FAULT_REPORT");
    int fd = path == NULL
                 ? -1
                 : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0) {
        return;
    }
    (void)dprintf(fd, "hits %u\n", sys_fault_hits());
    for (size_t i = 0; i < SYS_CALL_COUNT; i++) {
        unsigned calls = sys_fault_calls((enum sys_call)i);
        if (calls > 0) {
            (void)dprintf(fd, "%s %u\n", names[i], calls);
        }
    }
    (void)close(fd);
}

__attribute__((constructor)) static void start(void)
{
    const char *text = getenv("ORTHRUS_FAULT");
    struct sys_fault fault;

    if (text != NULL) {
        if (!parse_fault(&fault, text)) {
            abort(); /* a test that would test nothing */
        }
        sys_fault_set(&fault);
    }
    started = true;
    (void)atexit(report);
}

/* ---- faults -------------------------------------------------------------- */

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

    /* what is watched already can be changed and taken out: nothing is
     * allocated for it */
    if (operation == EPOLL_CTL_ADD && sys_fails(SYS_CALL_epoll_ctl, -1)) {
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

/* ---- allocations --------------------------------------------------------- */

/* What the program defines is what its libraries call, too. A sanitizer keeps
 * its allocator under a name of its own; clang's cannot be replaced, and TSan
 * allocates in a thread that it does not know yet. */
#if defined(__SANITIZE_ADDRESS__)
#define REAL(name) __interceptor_##name
#elif defined(__SANITIZE_THREAD__)
#elif defined(__has_feature)
#if !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer) && \
    !__has_feature(memory_sanitizer)
#define REAL(name) __libc_##name
#endif
#else
#define REAL(name) __libc_##name
#endif

#ifdef REAL
void *REAL(malloc)(size_t size);
void *REAL(calloc)(size_t count, size_t size);
void *REAL(realloc)(void *memory, size_t size);

extern const char __executable_start, etext; /* by the linker */

/* The loader allocates before there is a sanitizer to check anything. */
#define EARLY __attribute__((no_sanitize("address", "undefined")))

EARLY static bool allocation_fails(const void *caller)
{
    const char *from = caller;
    bool ours = from >= &__executable_start && from < &etext;
    return started &&
           sys_fails(ours ? SYS_CALL_malloc : SYS_CALL_library_malloc, -1);
}

EARLY void *malloc(size_t size)
{
    return allocation_fails(__builtin_return_address(0)) ? NULL
                                                         : REAL(malloc)(size);
}

EARLY void *calloc(size_t count, size_t size)
{
    return allocation_fails(__builtin_return_address(0))
               ? NULL
               : REAL(calloc)(count, size);
}

EARLY void *realloc(void *memory, size_t size)
{
    return allocation_fails(__builtin_return_address(0))
               ? NULL
               : REAL(realloc)(memory, size);
}
#endif

#else

/* ISO C wants a translation unit to declare something. */
struct sys_nothing;

#endif
