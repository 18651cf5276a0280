#include "net/map.h"

#include <sys/mman.h>

#include "net/sys.h"

void *map_create(size_t size)
{
    void *memory = sys_mmap(NULL, size, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        return NULL;
    }
    /* A kernel without huge pages refuses the advice: nothing to refuse. */
    (void)sys_madvise(memory, size, MADV_NOHUGEPAGE);
    return memory;
}

void map_destroy(void *memory, size_t size)
{
    if (memory != NULL) {
        (void)sys_munmap(memory, size);
    }
}
