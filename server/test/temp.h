/* temp.h: a private directory for one test, gone afterwards. */
#ifndef SERVER_TEST_TEMP_H
#define SERVER_TEST_TEMP_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/test/req.h"

static char temp_dir[64];

static inline int temp_remove(const char *path, const struct stat *status,
                              int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

static inline int temp_make(void **state)
{
    (void)state;
    (void)snprintf(temp_dir, sizeof(temp_dir), "/tmp/orthrus-test-XXXXXX");
    return mkdtemp(temp_dir) == NULL ? -1 : 0;
}

static inline int temp_drop(void **state)
{
    (void)state;
    return nftw(temp_dir, temp_remove, 8, FTW_DEPTH | FTW_PHYS);
}

#endif
