/* policy.c: see policy.h.
 *
 * Implementation notes. A rule is a method and a template of path segments; *
 * stands for one segment that is not empty, ** for one or more. The path is
 * canonical when it comes here, so what is still an escape in it can match a
 * wildcard only. An engine serves each path with or without the prefix of one
 * API version, and so do the rules.
 */
#include "core/policy.h"

#include <string.h>

#include "core/contract.h"

struct rule {
    enum http_method method;
    const char *path;
    const char *name;
};

#define GET(path)                   \
    {                               \
        HTTP_GET, path, "GET " path \
    }
#define HEAD(path)                    \
    {                                 \
        HTTP_HEAD, path, "HEAD " path \
    }

/* PO-01..PO-05. What is not here and looks harmless is left out on purpose
 * (X22): export, archive, /images/get, secrets, configs, swarm. */
static const struct rule read_only[] = {
    HEAD("/_ping"),
    GET("/_ping"),
    GET("/containers/json"),
    GET("/images/json"),
    GET("/info"),
    GET("/version"),
    GET("/events"),
    GET("/volumes"),
    GET("/networks"),
    GET("/system/df"),
    GET("/containers/*/json"),
    GET("/containers/*/logs"),
    GET("/containers/*/stats"),
    GET("/containers/*/top"),
    GET("/volumes/*"),
    GET("/networks/*"),
    GET("/images/**/json"),
    GET("/distribution/**/json"),
};

static const char *const names[] = {
    [POLICY_READ_ONLY] = "read-only",
    [POLICY_ALLOW_ALL] = "allow-all",
};

const char *policy_name(enum policy policy)
{
    REQUIRE(policy < sizeof names / sizeof *names);
    return names[policy];
}

bool policy_from_name(const char *name, enum policy *policy)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0) {
            *policy = (enum policy)i;
            return true;
        }
    }
    return false;
}

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

/* How long the version prefix is: exactly /v[1-9][0-9]?\.[0-9]{1,2} with a /
 * after it, or 0. What an engine may read as a version and this does not is
 * left in the path, and no rule matches it (X21). */
static size_t version_length(struct span path)
{
    const uint8_t *bytes = path.bytes;
    size_t at = 2;

    /* the shortest is /v1.0/, and each step looks one byte further */
    if (path.length < 6 || bytes[1] != 'v' || bytes[at] == '0' ||
        !is_digit(bytes[at])) {
        return 0;
    }
    at++;
    at += is_digit(bytes[at]) ? 1 : 0;
    if (bytes[at] != '.' || !is_digit(bytes[at + 1])) {
        return 0;
    }
    at += 2;
    if (at < path.length && is_digit(bytes[at])) {
        at++;
    }
    return at < path.length && bytes[at] == '/' ? at : 0;
}

/* One segment off the front of *path, which begins with a /; the segment comes
 * without it. */
static struct span take_segment(struct span *path)
{
    struct span segment = {path->bytes + 1, 0};

    while (segment.length < path->length - 1 &&
           segment.bytes[segment.length] != '/') {
        segment.length++;
    }
    path->bytes += segment.length + 1;
    path->length -= segment.length + 1;
    return segment;
}

static bool same(struct span a, struct span b)
{
    return a.length == b.length && memcmp(a.bytes, b.bytes, a.length) == 0;
}

static bool is(struct span span, const char *text)
{
    return same(span, (struct span){(const uint8_t *)text, strlen(text)});
}

static size_t count_segments(struct span path)
{
    size_t count = 0;

    while (path.length > 0) {
        (void)take_segment(&path);
        count++;
    }
    return count;
}

/* Does the path match the template? */
static bool matches(struct span path, struct span template)
{
    size_t left = count_segments(path);
    size_t wanted = count_segments(template);

    while (left > 0 && wanted > 0) {
        struct span pattern = take_segment(&template);
        struct span segment = take_segment(&path);

        left--;
        wanted--;
        if (is(pattern, "**")) {
            /* the rest of the template stands at the end of the path */
            while (left > wanted) {
                segment = take_segment(&path);
                left--;
            }
        }
        if (pattern.bytes[0] == '*' ? segment.length == 0
                                    : !same(pattern, segment)) {
            return false;
        }
    }
    return left == 0 && wanted == 0;
}

struct policy_decision policy_decide(enum policy policy,
                                     const struct http_request *request)
{
    struct span path = request->path;
    size_t version = version_length(path);

    REQUIRE(policy < sizeof names / sizeof *names);
    REQUIRE(path.length > 0 && path.bytes[0] == '/');
    if (policy == POLICY_ALLOW_ALL) {
        return (struct policy_decision){true, names[policy],
                                        "everything is allowed"};
    }
    path.bytes += version;
    path.length -= version;
    for (size_t i = 0; i < sizeof read_only / sizeof *read_only; i++) {
        const struct rule *rule = &read_only[i];
        struct span template = {(const uint8_t *)rule->path,
                                strlen(rule->path)};

        if (rule->method == request->method && matches(path, template)) {
            return (struct policy_decision){true, rule->name,
                                            "on the read-only list"};
        }
    }
    return (struct policy_decision){false, "default",
                                    "not on the read-only list"};
}
