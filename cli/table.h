/* table.h: aligned columns on standard output. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stddef.h>

#define TABLE_COLUMNS_MAX 8

struct table {
    size_t columns;
    size_t cell_count;
    char **cells; /* row by row, owned */
};

void table_init(struct table *table, size_t columns);

/* Append one cell, row by row; a NULL text is printed as "-". Control
 * characters, which a remote host might have put into a name, become '?'. */
void table_add(struct table *table, const char *text);

/* Print all rows and release the table. */
void table_print(struct table *table);

#endif
