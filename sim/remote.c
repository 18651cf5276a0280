#include "sim/remote.h"

#include "core/contract.h"

const struct remote_ops *remote_ops(enum remote_kind kind)
{
    static const struct remote_ops *const ops[REMOTE_KINDS] = {
        [REMOTE_OWN] = &remote_own,       [REMOTE_OWN_ALL] = &remote_own_all,
        [REMOTE_NAIVE] = &remote_naive,   [REMOTE_GO] = &remote_go,
        [REMOTE_GO_RAW] = &remote_go_raw, [REMOTE_HOSTILE] = &remote_hostile,
    };
    REQUIRE(kind < REMOTE_KINDS);
    return ops[kind];
}
