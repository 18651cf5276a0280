/* policy.h: which requests may reach a Docker engine (PO-01..PO-06).
 *
 * One decision for the agent's filter and for every filtered door of the
 * server. It is made on the request that will be forwarded (core/http.h makes
 * its path canonical), never on what the client wrote. Default is deny.
 *
 * The decision takes the whole parsed request, so that rules on bodies,
 * upgrades and write access can be added behind the same call.
 */
#ifndef CORE_POLICY_H
#define CORE_POLICY_H

#include <stdbool.h>

#include "core/http.h"

enum policy {
    POLICY_READ_ONLY, /* the table in policy.c: what looks and never changes */
    POLICY_ALLOW_ALL  /* everything; whoever uses it needs no filter at all */
};

const char *policy_name(enum policy policy); /* "read-only", "allow-all" */

/* False: no policy has this name, and *policy is not written. */
bool policy_from_name(const char *name, enum policy *policy);

struct policy_decision {
    bool allowed;
    const char *rule;   /* a stable name for logs and metrics: the rule's
                           "METHOD /path/template", or "default" */
    const char *reason; /* one line for a human */
};

struct policy_decision policy_decide(enum policy policy,
                                     const struct http_request *request);

#endif
