#include "server/datadir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/sys.h"

__attribute__((format(printf, 2, 3))) static bool
fail(char error[DATADIR_ERROR_SIZE], const char *format, ...)
{
    va_list list;
    va_start(list, format);
    (void)vsnprintf(error, DATADIR_ERROR_SIZE, format, list);
    va_end(list);
    return false;
}

static bool is_private(const struct stat *status, const char *path,
                       const char *slash, const char *name,
                       char error[DATADIR_ERROR_SIZE])
{
    if (status->st_uid != geteuid()) {
        return fail(error,
                    "%s%s%s belongs to user %u, not to user %u who runs this; "
                    "chown it, or run as its owner",
                    path, slash, name, (unsigned)status->st_uid,
                    (unsigned)geteuid());
    }
    if ((status->st_mode & 077) != 0) {
        return fail(error,
                    "%s%s%s is open to group or others (mode %03o); "
                    "chmod go= it",
                    path, slash, name, (unsigned)status->st_mode & 0777);
    }
    return true;
}

int datadir_open(const char *path, char error[DATADIR_ERROR_SIZE])
{
    struct stat status;
    bool made = sys_mkdir(path, 0700) == 0;
    if (!made && errno != EEXIST) {
        (void)fail(error,
                   "cannot make the data directory %s: %s; make it, or "
                   "set data-dir",
                   path, strerror(errno));
        return -1;
    }
    int dir = sys_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (dir < 0) {
        (void)fail(error, "cannot open the data directory %s: %s", path,
                   strerror(errno));
        return -1;
    }
    if (sys_fstat(dir, &status) != 0) {
        (void)fail(error, "cannot look at the data directory %s: %s", path,
                   strerror(errno));
    } else if (is_private(&status, path, "", "", error)) {
        return dir;
    }
    (void)sys_close(dir);
    return -1;
}

bool datadir_lock(int dir, const char *path, char error[DATADIR_ERROR_SIZE])
{
    if (sys_flock(dir, LOCK_EX | LOCK_NB) == 0) {
        return true;
    }
    if (errno == EWOULDBLOCK) {
        return fail(error,
                    "another orthrusd serves %s; stop it, or set data-dir",
                    path);
    }
    return fail(error, "cannot lock %s: %s", path, strerror(errno));
}

bool datadir_check(int dir, const char *path, const char *name, bool *exists,
                   char error[DATADIR_ERROR_SIZE])
{
    struct stat status;
    if (sys_fstatat(dir, name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
        *exists = false;
        return errno == ENOENT || fail(error, "cannot look at %s/%s: %s", path,
                                       name, strerror(errno));
    }
    *exists = true;
    if (!S_ISREG(status.st_mode)) {
        return fail(error, "%s/%s is not a regular file; move it away", path,
                    name);
    }
    return is_private(&status, path, "/", name, error);
}

static bool write_all(int file, const void *content, size_t length)
{
    const char *bytes = content;
    while (length > 0) {
        ssize_t written = sys_write(file, bytes, length);
        if (written < 0 && errno != EINTR) {
            return false;
        }
        if (written > 0) {
            bytes += written;
            length -= (size_t)written;
        }
    }
    return sys_fsync(file) == 0;
}

bool datadir_make(int dir, const char *path, const char *name,
                  const void *content, size_t length,
                  char error[DATADIR_ERROR_SIZE])
{
    static const char unfinished[] = ".unfinished";
    (void)sys_unlinkat(dir, unfinished, 0); /* of an earlier, killed start */
    int file =
        sys_openat(dir, unfinished,
                   O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file < 0) {
        return fail(error, "cannot make %s/%s: %s", path, name,
                    strerror(errno));
    }
    bool fine = write_all(file, content, length) &&
                sys_renameat(dir, unfinished, dir, name) == 0 &&
                sys_fsync(dir) == 0;
    if (!fine) {
        (void)fail(error, "cannot write %s/%s: %s", path, name,
                   strerror(errno));
        (void)sys_unlinkat(dir, unfinished, 0);
    }
    (void)sys_close(file);
    return fine;
}
