/* map.h: zeroed memory that costs what is touched.
 *
 * For objects of the core whose size is their worst case (mux_init(),
 * link_init(), agent_init()): an idle one is a page or two.
 */
#ifndef NET_MAP_H
#define NET_MAP_H

#include <stddef.h>

/* Where the host would give huge pages unasked, the first touch would cost
 * 2 MiB. Once, at the start: it is for the process, so that mappings stay alike
 * and the kernel joins those that adjoin. */
void map_refuse_huge_pages(void);

/* size bytes, zeroed, page-aligned; NULL: no memory. */
void *map_create(size_t size);
void map_destroy(void *memory, size_t size); /* the same size; NULL is fine */

#endif
