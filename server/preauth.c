#include "server/preauth.h"

#include <netinet/in.h>
#include <string.h>

void preauth_init(struct preauth *preauth, size_t max, size_t per_address)
{
    *preauth = (struct preauth){.max = max, .per_address = per_address};
}

/* What counts as one address. */
static bool prefix_of(uint8_t prefix[PREAUTH_PREFIX_SIZE],
                      const struct sockaddr *address)
{
    memset(prefix, 0, PREAUTH_PREFIX_SIZE);
    if (address == NULL) {
        return false;
    }
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof in);
        memcpy(prefix + 4, &in.sin_addr, 4);
        return true;
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, address, sizeof in6);
        memcpy(prefix, &in6.sin6_addr, PREAUTH_PREFIX_SIZE);
        return true;
    }
    return false;
}

static bool is_same(const struct preauth_entry *entry, const uint8_t *prefix)
{
    return entry->counted &&
           memcmp(entry->prefix, prefix, PREAUTH_PREFIX_SIZE) == 0;
}

/* The oldest holder that stands in the way; NULL: there is room. */
static struct preauth_entry *obstacle(const struct preauth *preauth,
                                      const struct preauth_entry *newcomer)
{
    struct preauth_entry *first = NULL;
    size_t same = 0;

    if (newcomer->counted) {
        for (struct preauth_entry *entry = preauth->oldest; entry != NULL;
             entry = entry->newer) {
            if (is_same(entry, newcomer->prefix)) {
                first = first == NULL ? entry : first;
                same++;
            }
        }
    }
    if (same >= preauth->per_address) {
        return first;
    }
    return preauth->count >= preauth->max ? preauth->oldest : NULL;
}

bool preauth_enter(struct preauth *preauth, struct preauth_entry *entry,
                   const struct sockaddr *address, uint64_t now_ms,
                   struct preauth_entry **victim)
{
    *victim = NULL;
    if (entry->holds) {
        return true;
    }
    entry->counted = prefix_of(entry->prefix, address);
    entry->since_ms = now_ms;
    *victim = obstacle(preauth, entry);
    if (*victim != NULL) {
        if (now_ms - (*victim)->since_ms < PREAUTH_GRACE_MS) {
            *victim = NULL;
            preauth->refused++;
            return false;
        }
        preauth_leave(preauth, *victim);
        preauth->evicted++;
    }
    entry->holds = true;
    entry->newer = NULL;
    entry->older = preauth->newest;
    if (preauth->newest != NULL) {
        preauth->newest->newer = entry;
    } else {
        preauth->oldest = entry;
    }
    preauth->newest = entry;
    preauth->count++;
    return true;
}

void preauth_leave(struct preauth *preauth, struct preauth_entry *entry)
{
    if (!entry->holds) {
        return;
    }
    if (entry->older != NULL) {
        entry->older->newer = entry->newer;
    } else {
        preauth->oldest = entry->newer;
    }
    if (entry->newer != NULL) {
        entry->newer->older = entry->older;
    } else {
        preauth->newest = entry->older;
    }
    entry->older = NULL;
    entry->newer = NULL;
    entry->holds = false;
    preauth->count--;
}
