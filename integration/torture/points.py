"""What can go wrong: the errnos of each call of net/sys.h, as its manual page lists them."""

import errno as _errno

_PATH = "EACCES EFAULT EIO ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR"
_STAT = "EACCES EBADF EFAULT EINVAL ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR EOVERFLOW"
_OPEN = ("EACCES EBADF EBUSY EDQUOT EEXIST EFAULT EFBIG EINTR EINVAL EISDIR ELOOP EMFILE ENAMETOOLONG ENFILE ENODEV"
         " ENOENT ENOMEM ENOSPC ENOTDIR ENXIO EOPNOTSUPP EOVERFLOW EPERM EROFS ETXTBSY EWOULDBLOCK")
_RENAME = ("EACCES EBADF EBUSY EDQUOT EEXIST EFAULT EINVAL EISDIR ELOOP EMLINK ENAMETOOLONG ENOENT ENOMEM ENOSPC"
           " ENOTDIR ENOTEMPTY EPERM EROFS EXDEV")
_SEND = ("EACCES EAGAIN EALREADY EBADF ECONNRESET EDESTADDRREQ EFAULT EHOSTUNREACH EINTR EINVAL EISCONN EMSGSIZE"
         " ENETDOWN ENETUNREACH ENOBUFS ENOMEM ENOTCONN ENOTSOCK EOPNOTSUPP EPIPE ETIMEDOUT")
_UNLINK = _PATH + " EBADF EBUSY EINVAL EISDIR EPERM EROFS"
_LIMIT = "EFAULT EINVAL EPERM"
_OPTION = "EBADF EFAULT EINVAL ENOPROTOOPT ENOTSOCK"

_TABLE = {
    "accept4": "EAGAIN EBADF ECONNABORTED EFAULT EHOSTDOWN EHOSTUNREACH EINTR EINVAL EMFILE ENETDOWN ENETUNREACH"
               " ENFILE ENOBUFS ENOMEM ENONET ENOPROTOOPT ENOTSOCK EOPNOTSUPP EPERM EPROTO ETIMEDOUT",
    "access": _PATH + " EINVAL EPERM EROFS ETXTBSY",
    "bind": "EACCES EADDRINUSE EADDRNOTAVAIL EBADF EFAULT EINVAL ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR ENOTSOCK"
            " EROFS",
    "close": "EBADF EDQUOT EINTR EIO ENOSPC",
    "connect": "EACCES EADDRINUSE EADDRNOTAVAIL EAFNOSUPPORT EAGAIN EALREADY EBADF ECONNREFUSED EFAULT EHOSTUNREACH"
               " EINPROGRESS EINTR EISCONN ENETUNREACH ENOENT ENOTSOCK EPERM EPROTOTYPE ETIMEDOUT",
    "epoll_create1": "EINVAL EMFILE ENFILE ENOMEM",
    "epoll_ctl": "EBADF EEXIST EINVAL ELOOP ENOENT ENOMEM ENOSPC EPERM",
    "epoll_wait": "EBADF EFAULT EINTR EINVAL",
    "eventfd": "EINVAL EMFILE ENFILE ENODEV ENOMEM",
    "eventfd_read": "EAGAIN EBADF EINTR EINVAL",
    "eventfd_write": "EAGAIN EBADF EINTR EINVAL",
    "fclose": "EBADF EDQUOT EFBIG EINTR EIO ENOMEM ENOSPC",
    "fcntl": "EACCES EAGAIN EBADF EBUSY EINTR EINVAL EMFILE ENOTDIR EPERM",
    "flock": "EBADF EINTR EINVAL ENOLCK EWOULDBLOCK",
    "fopen": _OPEN,
    "fstat": _STAT,
    "fstatat": _STAT,
    "fsync": "EBADF EDQUOT EINTR EINVAL EIO ENOSPC EROFS",
    "getpeername": "EBADF EFAULT EINVAL ENOBUFS ENOTCONN ENOTSOCK",
    "getrandom": "EAGAIN EFAULT EINTR EINVAL ENOSYS",
    "getrlimit": _LIMIT,
    "getsockname": "EBADF EFAULT EINVAL ENOBUFS ENOTSOCK",
    "getsockopt": _OPTION,
    "ioctl": "EBADF EFAULT EINVAL ENOTTY",
    "library_malloc": "ENOMEM",
    "listen": "EADDRINUSE EBADF ENOTSOCK EOPNOTSUPP",
    "lstat": _STAT,
    "madvise": "EACCES EAGAIN EBADF EINVAL EIO ENOMEM EPERM",
    "malloc": "ENOMEM",
    "mkdir": _PATH + " EBADF EDQUOT EEXIST EINVAL EMLINK ENOSPC EPERM EROFS",
    "mmap": "EACCES EAGAIN EBADF EEXIST EINVAL ENFILE ENODEV ENOMEM EOVERFLOW EPERM ETXTBSY",
    "munmap": "EINVAL ENOMEM",
    "open": _OPEN,
    "openat": _OPEN,
    "pipe2": "EFAULT EINVAL EMFILE ENFILE ENOPKG",
    "poll": "EFAULT EINTR EINVAL ENOMEM",
    "pthread_create": "EAGAIN EINVAL EPERM",
    "read": "EAGAIN EBADF EFAULT EINTR EINVAL EIO EISDIR",
    "recv": "EAGAIN EBADF ECONNREFUSED ECONNRESET EFAULT EHOSTUNREACH EINTR EINVAL ENOMEM ENOTCONN ENOTSOCK ETIMEDOUT",
    "rename": _RENAME,
    "renameat": _RENAME,
    "send": _SEND,
    "sendmsg": _SEND,
    "setrlimit": _LIMIT,
    "setsockopt": _OPTION + " EDOM",
    "shutdown": "EBADF EINVAL ENOTCONN ENOTSOCK",
    "signalfd": "EBADF EINVAL EMFILE ENFILE ENODEV ENOMEM",
    "sigprocmask": "EFAULT EINVAL",
    "so_error": "ECONNREFUSED ECONNRESET EHOSTUNREACH ENETUNREACH EPIPE ETIMEDOUT",
    "socket": "EACCES EAFNOSUPPORT EINVAL EMFILE ENFILE ENOBUFS ENOMEM EPROTONOSUPPORT",
    "splice": "EAGAIN EBADF EINVAL ENOMEM ESPIPE",
    "stat": _STAT,
    "unlink": _UNLINK,
    "unlinkat": _UNLINK,
    "write": "EAGAIN EBADF EDESTADDRREQ EDQUOT EFAULT EFBIG EINTR EINVAL EIO ENOSPC EPERM EPIPE",
}
# It returns codes of its own, <netdb.h>.
_EAI = {"EAI_BADFLAGS": -1, "EAI_NONAME": -2, "EAI_AGAIN": -3, "EAI_FAIL": -4, "EAI_NODATA": -5, "EAI_FAMILY": -6,
        "EAI_SOCKTYPE": -7, "EAI_SERVICE": -8, "EAI_ADDRFAMILY": -9, "EAI_MEMORY": -10, "EAI_SYSTEM": -11}

ERRORS = {call: {name: getattr(_errno, name) for name in names.split()} for call, names in _TABLE.items()}
ERRORS["getaddrinfo"] = _EAI
ALLOCATIONS = ("malloc", "library_malloc")
SHORT = ("read", "recv", "send", "sendmsg", "splice", "write")  # may transfer less
# Only a defect of ours can bring these, and then as often as it happens: they are tried once, not for ever.
DEFECTS = {"EBADF", "EFAULT", "EINVAL", "ENOTSOCK"}
STORM = 1000
FOR_EVER = 4294967295


class Point:
    """One fault: the skip-th call of a kind and the times-1 that follow fail."""

    def __init__(self, call, error, skip, times, size=0):
        self.call, self.error, self.skip, self.times, self.size = call, error, skip, times, size

    def environment(self):
        number = ERRORS[self.call][self.error] if self.error else 0
        return "%s:%d:%d:%d:%d" % (self.call, number, self.skip, self.times, self.size)

    def __str__(self):
        times = {1: "once", STORM: "%d times" % STORM, FOR_EVER: "for ever"}[self.times]
        what = self.error or "at most %d bytes" % self.size
        return "%s number %d, %s, %s" % (self.call, self.skip + 1, what, times)


def points_of(call, count):
    """Every point of a call that a good run makes count times."""
    for skip in range(count):
        for error in ERRORS[call]:
            yield Point(call, error, skip, 1)
            if error in ("EINTR", "EAGAIN"):
                yield Point(call, error, skip, STORM)
            elif error not in DEFECTS:
                yield Point(call, error, skip, FOR_EVER)
        if call in SHORT:
            yield Point(call, "", skip, 1, 1)
            yield Point(call, "", skip, STORM, 1)
