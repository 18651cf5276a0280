#include "sim/mark.h"

const char *fault_text(enum fault fault)
{
    static const char *const texts[FAULTS] = {
#define X(name, text) [FAULT_##name] = (text),
        FAULT_TABLE(X)
#undef X
    };
    return texts[fault];
}

const char *met_text(enum met met)
{
    static const char *const texts[METS] = {
#define X(name, text) [MET_##name] = (text),
        MET_TABLE(X)
#undef X
    };
    return texts[met];
}
