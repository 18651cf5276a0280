/* syncs.h: counts how often SQLite waits for the disc with its log. */
#ifndef SERVER_TEST_SYNCS_H
#define SERVER_TEST_SYNCS_H

#include <sqlite3.h>

#include "core/test/req.h"

static unsigned syncs; /* from syncs_count() on; set it to 0 at will */
static sqlite3_vfs syncs_vfs;
static sqlite3_io_methods syncs_methods;
static int (*syncs_real_sync)(sqlite3_file *file, int flags);
static int (*syncs_real_open)(sqlite3_vfs *vfs, const char *name,
                              sqlite3_file *file, int flags, int *out_flags);

static inline int syncs_sync(sqlite3_file *file, int flags)
{
    ++syncs;
    return syncs_real_sync(file, flags);
}

static inline int syncs_open(sqlite3_vfs *vfs, const char *name,
                             sqlite3_file *file, int flags, int *out_flags)
{
    int result = syncs_real_open(vfs, name, file, flags, out_flags);
    if (result == SQLITE_OK && (flags & SQLITE_OPEN_WAL) != 0) {
        syncs_methods = *file->pMethods;
        syncs_real_sync = syncs_methods.xSync;
        syncs_methods.xSync = syncs_sync;
        file->pMethods = &syncs_methods;
    }
    return result;
}

/* Of data bases that are opened between the two. */
static inline void syncs_count(void)
{
    syncs_vfs = *sqlite3_vfs_find(NULL);
    syncs_real_open = syncs_vfs.xOpen;
    syncs_vfs.xOpen = syncs_open;
    syncs_vfs.zName = "syncs";
    syncs = 0;
    assert_int_equal(sqlite3_vfs_register(&syncs_vfs, 1), SQLITE_OK);
}

static inline void syncs_uncount(void)
{
    assert_int_equal(sqlite3_vfs_unregister(&syncs_vfs), SQLITE_OK);
}

#endif
