#include "core/status.h"

#include <stddef.h>

#include "core/contract.h"

static const struct {
    const char *name;
    const char *text;
    enum status_class class;
    uint32_t go_away;
} table[] = {
#define X(name, class, go_away, text) \
    [name] = {#name, text, STATUS_CLASS_##class, go_away},
    STATUS_TABLE(X)
#undef X
};

enum status_class status_class(enum status status)
{
    REQUIRE((size_t)status < sizeof table / sizeof *table);
    return table[status].class;
}

uint32_t status_go_away(enum status status)
{
    REQUIRE((size_t)status < sizeof table / sizeof *table);
    return table[status].go_away;
}

const char *status_name(enum status status)
{
    REQUIRE((size_t)status < sizeof table / sizeof *table);
    return table[status].name;
}

const char *status_text(enum status status)
{
    REQUIRE((size_t)status < sizeof table / sizeof *table);
    return table[status].text;
}
