#include "cli/table.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/text.h"

void table_init(struct table *table, size_t columns)
{
    assert(columns > 0 && columns <= TABLE_COLUMNS_MAX);
    *table = (struct table){.columns = columns};
}

static char *copy_clean(const char *text)
{
    char *copy = strdup(text != NULL && text[0] != '\0' ? text : "-");
    if (copy == NULL) {
        fprintf(stderr, "orthrusctl: out of memory\n");
        exit(1);
    }
    text_clean(copy);
    return copy;
}

void table_add(struct table *table, const char *text)
{
    size_t count = table->cell_count;
    char **grown = realloc(table->cells, (count + 1) * sizeof *grown);
    if (grown == NULL) {
        fprintf(stderr, "orthrusctl: out of memory\n");
        exit(1);
    }
    table->cells = grown;
    table->cells[count] = copy_clean(text);
    table->cell_count = count + 1;
}

void table_print(struct table *table)
{
    size_t widest[TABLE_COLUMNS_MAX] = {0};
    size_t cells = table->cell_count;
    for (size_t i = 0; i < cells; i++) {
        size_t length = strlen(table->cells[i]);
        size_t column = i % table->columns;
        if (length > widest[column]) {
            widest[column] = length;
        }
    }
    for (size_t i = 0; i < cells; i++) {
        size_t column = i % table->columns;
        if (column + 1 == table->columns) {
            printf("%s\n", table->cells[i]);
        } else {
            printf("%-*s  ", (int)widest[column], table->cells[i]);
        }
        free(table->cells[i]);
    }
    free(table->cells);
    *table = (struct table){0};
}
