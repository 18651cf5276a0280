/* datadir.h: the directory that holds what must stay private (X29).
 *
 * The directory is 0700, its files are 0600, all owned by the user we run as.
 * What is open to others or belongs to somebody else is refused, never
 * repaired: whoever could read it may have. Errors are one line that names the
 * path and the remedy.
 */
#ifndef SERVER_DATADIR_H
#define SERVER_DATADIR_H

#include <stdbool.h>
#include <stddef.h>

#define DATADIR_ERROR_SIZE 512u

/* Open the directory, making it if it is not there (its parent must be), and
 * check it. Returns a descriptor; -1: error says why. */
int datadir_open(const char *path, char error[DATADIR_ERROR_SIZE]);

/* Only one process may serve a directory at a time; the lock lives as long as
 * the descriptor. path is for the error only. */
bool datadir_lock(int dir, const char *path, char error[DATADIR_ERROR_SIZE]);

/* Is there a file of this name that is private? Sets *exists. False: error. */
bool datadir_check(int dir, const char *path, const char *name, bool *exists,
                   char error[DATADIR_ERROR_SIZE]);

/* Make a file with this content, whole or not at all, on disc when it returns.
 * It must not exist. */
bool datadir_make(int dir, const char *path, const char *name,
                  const void *content, size_t length,
                  char error[DATADIR_ERROR_SIZE]);

#endif
