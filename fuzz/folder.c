#include "fuzz/folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz/harness.h"

#define PREFIX "orthrus-fuzz-"

static const char *root; /* where folders are */
static char ours[FOLDER_SIZE];

static void folder_path(char path[FOLDER_SIZE], const char *name)
{
    MUST(snprintf(path, FOLDER_SIZE, "%s/%s", root, name) < (int)FOLDER_SIZE);
}

static int remove_one(const char *path, const struct stat *status, int kind,
                      struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

static void folder_remove(const char *path)
{
    nftw(path, remove_one, 4, FTW_DEPTH | FTW_PHYS);
}

static void leave(void)
{
    folder_remove(ours);
}

/* Whoever uses a folder holds it locked, which ends with the process. -1: it is
 * gone, or somebody else's. */
static int lock(const char *path, int operation)
{
    struct stat opened;
    struct stat named;
    int file = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (file >= 0 &&
        (flock(file, operation) != 0 || fstat(file, &opened) != 0 ||
         stat(path, &named) != 0 || opened.st_ino != named.st_ino)) {
        close(file);
        return -1;
    }
    return file;
}

static void sweep(void)
{
    DIR *folder = opendir(root);
    struct dirent *entry;

    while (folder && (entry = readdir(folder)) != NULL) {
        char path[FOLDER_SIZE];
        if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) != 0 ||
            strlen(entry->d_name) != strlen(PREFIX "XXXXXX")) {
            continue;
        }
        folder_path(path, entry->d_name);
        int file = lock(path, LOCK_EX | LOCK_NB);
        if (file >= 0) {
            folder_remove(path);
            close(file);
        }
    }
    if (folder) {
        closedir(folder);
    }
}

void folder_make(char folder[FOLDER_SIZE])
{
    MUST(ours[0] == '\0');
    root = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    sweep();
    do { /* again, if somebody swept it away before it was locked */
        folder_path(ours, PREFIX "XXXXXX");
        MUST(mkdtemp(ours));
    } while (lock(ours, LOCK_EX) < 0);
    atexit(leave);
    /* one within: the lock of the store's is the store's */
    MUST(snprintf(folder, FOLDER_SIZE, "%s/in", ours) < (int)FOLDER_SIZE);
    MUST(mkdir(folder, 0700) == 0);
}
