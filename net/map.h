/* map.h: zeroed memory that costs what is touched.
 *
 * For objects of the core whose size is their worst case (mux_init(),
 * link_init(), agent_init()): an idle one is a page or two. Huge pages are
 * refused, which would make the first touch cost 2 MiB.
 */
#ifndef NET_MAP_H
#define NET_MAP_H

#include <stddef.h>

/* size bytes, zeroed, page-aligned; NULL: no memory. */
void *map_create(size_t size);
void map_destroy(void *memory, size_t size); /* the same size; NULL is fine */

#endif
