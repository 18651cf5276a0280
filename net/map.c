#include "net/map.h"

#include <sys/mman.h>
#include <sys/prctl.h>

#include "net/sys.h"

void map_refuse_huge_pages(void)
{
    (void)prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
}

void *map_create(size_t size)
{
    void *memory = sys_mmap(NULL, size, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

void map_destroy(void *memory, size_t size)
{
    if (memory != NULL) {
        (void)sys_munmap(memory, size);
    }
}
