/* The kernel as the adapters see it: every call that may fail, by its own name
 * behind sys_. A build without SYS_FAULTS calls the kernel and nothing else.
 * With it, which is for tests, any call can be made to fail with any errno, and
 * to transfer less than it was asked to (net/sys.c).
 *
 * Not here: what cannot fail with the arguments it is given (clocks, masks of
 * signals, attributes of threads), and calls made by libraries. */
#ifndef NET_SYS_H
#define NET_SYS_H

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* so_error stands for what getsockopt(SO_ERROR) tells; malloc for every
 * allocation that code of ours asks for, library_malloc for those of others. */
#define SYS_CALLS(X)  \
    X(accept4)        \
    X(access)         \
    X(bind)           \
    X(close)          \
    X(connect)        \
    X(epoll_create1)  \
    X(epoll_ctl)      \
    X(epoll_wait)     \
    X(eventfd)        \
    X(eventfd_read)   \
    X(eventfd_write)  \
    X(fclose)         \
    X(fcntl)          \
    X(flock)          \
    X(fopen)          \
    X(fstat)          \
    X(fstatat)        \
    X(fsync)          \
    X(getaddrinfo)    \
    X(getpeername)    \
    X(getrandom)      \
    X(getrlimit)      \
    X(getsockname)    \
    X(getsockopt)     \
    X(ioctl)          \
    X(library_malloc) \
    X(listen)         \
    X(lstat)          \
    X(madvise)        \
    X(malloc)         \
    X(mkdir)          \
    X(mmap)           \
    X(munmap)         \
    X(open)           \
    X(openat)         \
    X(pipe2)          \
    X(poll)           \
    X(pthread_create) \
    X(read)           \
    X(recv)           \
    X(rename)         \
    X(renameat)       \
    X(send)           \
    X(sendmsg)        \
    X(setrlimit)      \
    X(setsockopt)     \
    X(shutdown)       \
    X(signalfd)       \
    X(sigprocmask)    \
    X(so_error)       \
    X(socket)         \
    X(splice)         \
    X(stat)           \
    X(unlink)         \
    X(unlinkat)       \
    X(write)

#define SYS_ENUMERATOR(name) SYS_CALL_##name,
enum sys_call { SYS_CALLS(SYS_ENUMERATOR) SYS_CALL_COUNT };
#undef SYS_ENUMERATOR

#ifdef SYS_FAULTS
/* True: the call fails, with errno set. fd: what it is about, or -1. */
bool sys_fails(enum sys_call call, int fd);
/* As much of size as the call may transfer. */
size_t sys_size(enum sys_call call, int fd, size_t size);

struct sys_fault {
    enum sys_call call;
    int error;      /* what it fails with; 0: it transfers less */
    size_t size;    /* with error 0: the most that is transferred */
    unsigned skip;  /* calls that pass first */
    unsigned times; /* calls that are hit then */
};

/* From now on; NULL: none. Begins to count again. At the start of a program
 * it is what ORTHRUS_FAULT says, call:error:skip:times[:size] in numbers but
 * for the call's name, and at its end ORTHRUS_FAULT_REPORT, a file, has a line
 * "name calls" for each call that was made, and "hits N". */
void sys_fault_set(const struct sys_fault *fault);
unsigned sys_fault_calls(enum sys_call call);
unsigned sys_fault_hits(void);
const char *sys_call_name(enum sys_call call);
#else
static inline bool sys_fails(enum sys_call call, int fd)
{
    (void)call;
    (void)fd;
    return false;
}

static inline size_t sys_size(enum sys_call call, int fd, size_t size)
{
    (void)call;
    (void)fd;
    return size;
}
#endif

/* sys_NAME(PARAMETERS): NAME(ARGUMENTS), or FAILURE when it is made to fail. */
#define SYS_DEFINE(type, failure, fd, name, parameters, arguments)          \
    static inline type sys_##name parameters                                \
    {                                                                       \
        return sys_fails(SYS_CALL_##name, fd) ? (failure) : name arguments; \
    }

/* ---- descriptors --------------------------------------------------------- */

SYS_DEFINE(int, -1, -1, open, (const char *path, int flags, mode_t mode),
           (path, flags, mode))
SYS_DEFINE(int, -1, -1, openat,
           (int dir, const char *path, int flags, mode_t mode),
           (dir, path, flags, mode))
SYS_DEFINE(int, -1, -1, pipe2, (int fds[2], int flags), (fds, flags))
SYS_DEFINE(int, -1, -1, eventfd, (unsigned count, int flags), (count, flags))
SYS_DEFINE(int, -1, fd, eventfd_read, (int fd, eventfd_t *count), (fd, count))
SYS_DEFINE(int, -1, fd, eventfd_write, (int fd, eventfd_t count), (fd, count))
SYS_DEFINE(int, -1, -1, signalfd, (int fd, const sigset_t *set, int flags),
           (fd, set, flags))
SYS_DEFINE(int, -1, fd, fcntl, (int fd, int command, int argument),
           (fd, command, argument))
SYS_DEFINE(int, -1, fd, ioctl, (int fd, unsigned long request, int *argument),
           (fd, request, argument))
SYS_DEFINE(int, -1, -1, poll, (struct pollfd * fds, nfds_t count, int wait_ms),
           (fds, count, wait_ms))
SYS_DEFINE(int, -1, -1, epoll_create1, (int flags), (flags))
SYS_DEFINE(int, -1, -1, epoll_wait,
           (int epoll, struct epoll_event *events, int count, int wait_ms),
           (epoll, events, count, wait_ms))

/* The descriptor is gone, whatever close() says. */
static inline int sys_close(int fd)
{
    int result = close(fd);
    return sys_fails(SYS_CALL_close, -1) ? -1 : result;
}

static inline ssize_t sys_read(int fd, void *bytes, size_t size)
{
    return sys_fails(SYS_CALL_read, fd)
               ? -1
               : read(fd, bytes, sys_size(SYS_CALL_read, fd, size));
}

static inline ssize_t sys_write(int fd, const void *bytes, size_t size)
{
    return sys_fails(SYS_CALL_write, fd)
               ? -1
               : write(fd, bytes, sys_size(SYS_CALL_write, fd, size));
}

/* ---- sockets ------------------------------------------------------------- */

SYS_DEFINE(int, -1, -1, socket, (int domain, int type, int protocol),
           (domain, type, protocol))
SYS_DEFINE(int, -1, fd, bind,
           (int fd, const struct sockaddr *address, socklen_t length),
           (fd, address, length))
SYS_DEFINE(int, -1, fd, listen, (int fd, int backlog), (fd, backlog))
SYS_DEFINE(int, -1, fd, accept4,
           (int fd, struct sockaddr *address, socklen_t *length, int flags),
           (fd, address, length, flags))
SYS_DEFINE(int, -1, fd, connect,
           (int fd, const struct sockaddr *address, socklen_t length),
           (fd, address, length))
SYS_DEFINE(int, -1, fd, getsockname,
           (int fd, struct sockaddr *address, socklen_t *length),
           (fd, address, length))
SYS_DEFINE(int, -1, fd, getpeername,
           (int fd, struct sockaddr *address, socklen_t *length),
           (fd, address, length))
SYS_DEFINE(int, -1, fd, setsockopt,
           (int fd, int level, int name, const void *value, socklen_t length),
           (fd, level, name, value, length))
SYS_DEFINE(int, -1, fd, getsockopt,
           (int fd, int level, int name, void *value, socklen_t *length),
           (fd, level, name, value, length))
SYS_DEFINE(int, -1, fd, shutdown, (int fd, int how), (fd, how))

/* What SO_ERROR says and takes away: 0, or why the connection failed. */
static inline int sys_socket_error(int fd)
{
    int error = 0;
    socklen_t length = sizeof error;

    if (sys_getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0) {
        return errno;
    }
    return sys_fails(SYS_CALL_so_error, fd) ? errno : error;
}

static inline ssize_t sys_recv(int fd, void *bytes, size_t size, int flags)
{
    return sys_fails(SYS_CALL_recv, fd)
               ? -1
               : recv(fd, bytes, sys_size(SYS_CALL_recv, fd, size), flags);
}

static inline ssize_t sys_send(int fd, const void *bytes, size_t size,
                               int flags)
{
    return sys_fails(SYS_CALL_send, fd)
               ? -1
               : send(fd, bytes, sys_size(SYS_CALL_send, fd, size), flags);
}

/* ---- about several descriptors or pieces --------------------------------- */

#ifdef SYS_FAULTS
int sys_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);
ssize_t sys_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t sys_splice(int in, loff_t *in_at, int out, loff_t *out_at, size_t size,
                   unsigned flags);
#else
static inline int sys_epoll_ctl(int epoll, int operation, int fd,
                                struct epoll_event *event)
{
    return epoll_ctl(epoll, operation, fd, event);
}

static inline ssize_t sys_sendmsg(int fd, const struct msghdr *message,
                                  int flags)
{
    return sendmsg(fd, message, flags);
}

static inline ssize_t sys_splice(int in, loff_t *in_at, int out, loff_t *out_at,
                                 size_t size, unsigned flags)
{
    return splice(in, in_at, out, out_at, size, flags);
}
#endif

/* ---- files --------------------------------------------------------------- */

SYS_DEFINE(int, -1, -1, access, (const char *path, int mode), (path, mode))
SYS_DEFINE(int, -1, -1, mkdir, (const char *path, mode_t mode), (path, mode))
SYS_DEFINE(int, -1, -1, stat, (const char *path, struct stat *status),
           (path, status))
SYS_DEFINE(int, -1, -1, lstat, (const char *path, struct stat *status),
           (path, status))
SYS_DEFINE(int, -1, fd, fstat, (int fd, struct stat *status), (fd, status))
SYS_DEFINE(int, -1, -1, fstatat,
           (int dir, const char *path, struct stat *status, int flags),
           (dir, path, status, flags))
SYS_DEFINE(int, -1, fd, fsync, (int fd), (fd))
SYS_DEFINE(int, -1, fd, flock, (int fd, int operation), (fd, operation))
SYS_DEFINE(int, -1, -1, rename, (const char *from, const char *to), (from, to))
SYS_DEFINE(int, -1, -1, renameat,
           (int from_dir, const char *from, int to_dir, const char *to),
           (from_dir, from, to_dir, to))
SYS_DEFINE(int, -1, -1, unlink, (const char *path), (path))
SYS_DEFINE(int, -1, -1, unlinkat, (int dir, const char *path, int flags),
           (dir, path, flags))
SYS_DEFINE(FILE *, NULL, -1, fopen, (const char *path, const char *mode),
           (path, mode))

/* The stream is gone, whatever fclose() says. */
static inline int sys_fclose(FILE *file)
{
    int result = fclose(file);
    return sys_fails(SYS_CALL_fclose, -1) ? EOF : result;
}

/* ---- process ------------------------------------------------------------- */

SYS_DEFINE(void *, MAP_FAILED, -1, mmap,
           (void *address, size_t size, int protection, int flags, int fd,
            off_t offset),
           (address, size, protection, flags, fd, offset))
SYS_DEFINE(int, -1, -1, munmap, (void *address, size_t size), (address, size))
SYS_DEFINE(int, -1, -1, madvise, (void *address, size_t size, int advice),
           (address, size, advice))
SYS_DEFINE(ssize_t, -1, -1, getrandom,
           (void *bytes, size_t size, unsigned flags), (bytes, size, flags))
SYS_DEFINE(int, -1, -1, getrlimit, (int resource, struct rlimit *limit),
           ((__rlimit_resource_t)resource, limit))
SYS_DEFINE(int, -1, -1, setrlimit, (int resource, const struct rlimit *limit),
           ((__rlimit_resource_t)resource, limit))
SYS_DEFINE(int, -1, -1, sigprocmask,
           (int how, const sigset_t *set, sigset_t *old), (how, set, old))
/* These two return what went wrong: an errno, a code of their own. */
SYS_DEFINE(int, errno, -1, pthread_create,
           (pthread_t * thread, const pthread_attr_t *attributes,
            void *(*run)(void *), void *user),
           (thread, attributes, run, user))
SYS_DEFINE(int, errno, -1, getaddrinfo,
           (const char *host, const char *port, const struct addrinfo *hints,
            struct addrinfo **list),
           (host, port, hints, list))

#endif
