/* policy_corpus.h: requests, and what the read-only policy makes of them.
 *
 * One table for everything that decides or filters Docker requests (PO-07,
 * X24). What is REFUSED is not parsed (400), so nothing needs to be decided;
 * what is ALLOWED reaches the engine as `forwarded`, or as it was if that is
 * NULL. An engine that serves an ALLOWED path does so by the rule that allowed
 * it.
 */
#ifndef CORE_TEST_POLICY_CORPUS_H
#define CORE_TEST_POLICY_CORPUS_H

enum policy_verdict { ALLOWED, DENIED, REFUSED };

struct policy_case {
    const char *method;
    const char *target;
    enum policy_verdict verdict;
    const char *rule; /* of what is ALLOWED */
    const char *forwarded;
};

static const struct policy_case policy_corpus[] = {
    /* HEAD: only the ping (PO-01) */
    {"HEAD", "/_ping", ALLOWED, "HEAD /_ping", NULL},
    {"HEAD", "/v1.41/_ping", ALLOWED, "HEAD /_ping", NULL},
    {"HEAD", "/info", DENIED, NULL, NULL},
    {"HEAD", "/containers/json", DENIED, NULL, NULL},
    {"HEAD", "/containers/x/archive?path=/etc", DENIED, NULL, NULL},
    {"HEAD", "/_ping/", DENIED, NULL, NULL},

    /* GET, exactly (PO-02) */
    {"GET", "/_ping", ALLOWED, "GET /_ping", NULL},
    {"GET", "/containers/json", ALLOWED, "GET /containers/json", NULL},
    {"GET", "/containers/json?all=1&filters=%7B%22label%22%3A%5B%22a%2Fb%22%5D",
     ALLOWED, "GET /containers/json", NULL},
    {"GET", "/images/json", ALLOWED, "GET /images/json", NULL},
    {"GET", "/info", ALLOWED, "GET /info", NULL},
    {"GET", "/version", ALLOWED, "GET /version", NULL},
    {"GET", "/events?since=0", ALLOWED, "GET /events", NULL},
    {"GET", "/volumes", ALLOWED, "GET /volumes", NULL},
    {"GET", "/networks", ALLOWED, "GET /networks", NULL},
    {"GET", "/system/df", ALLOWED, "GET /system/df", NULL},
    {"GET", "/", DENIED, NULL, NULL},
    {"GET", "/_pin", DENIED, NULL, NULL},
    {"GET", "/_pings", DENIED, NULL, NULL},
    {"GET", "/_ping/", DENIED, NULL, NULL},
    {"GET", "/info/", DENIED, NULL, NULL},
    {"GET", "/Info", DENIED, NULL, NULL},
    {"GET", "/system", DENIED, NULL, NULL},
    {"GET", "/system/df/x", DENIED, NULL, NULL},
    {"GET", "/containers/json/", DENIED, NULL, NULL},

    /* GET, one segment (PO-03) */
    {"GET", "/containers/web-1/json", ALLOWED, "GET /containers/*/json", NULL},
    {"GET", "/containers/json/json", ALLOWED, "GET /containers/*/json", NULL},
    {"GET", "/containers/x/logs?follow=1&stdout=1", ALLOWED,
     "GET /containers/*/logs", NULL},
    {"GET", "/containers/x/stats", ALLOWED, "GET /containers/*/stats", NULL},
    {"GET", "/containers/x/top", ALLOWED, "GET /containers/*/top", NULL},
    {"GET", "/volumes/x", ALLOWED, "GET /volumes/*", NULL},
    {"GET", "/networks/x", ALLOWED, "GET /networks/*", NULL},
    {"GET", "/containers/a b/json", REFUSED, NULL, NULL},
    {"GET", "/containers/a%20b/json", ALLOWED, "GET /containers/*/json", NULL},
    {"GET", "/containers//json", REFUSED, NULL, NULL},
    {"GET", "/containers/a/b/json", DENIED, NULL, NULL},
    {"GET", "/containers/x/json/", DENIED, NULL, NULL},
    {"GET", "/containers/x", DENIED, NULL, NULL},
    {"GET", "/containers/x/", DENIED, NULL, NULL},
    {"GET", "/volumes/", DENIED, NULL, NULL},
    {"GET", "/networks/", DENIED, NULL, NULL},
    {"GET", "/volumes/a/b", DENIED, NULL, NULL},
    {"GET", "/networks/a/b", DENIED, NULL, NULL},

    /* what looks and yet is not on the list (X22) */
    {"GET", "/containers/x/archive?path=/", DENIED, NULL, NULL},
    {"GET", "/containers/x/export", DENIED, NULL, NULL},
    {"GET", "/containers/x/changes", DENIED, NULL, NULL},
    {"GET", "/containers/x/attach/ws", DENIED, NULL, NULL},
    {"GET", "/images", DENIED, NULL, NULL},
    {"GET", "/v1.41xinfo", DENIED, NULL, NULL},
    {"GET", "/images/get?names=x", DENIED, NULL, NULL},
    {"GET", "/images/search?term=x", DENIED, NULL, NULL},
    {"GET", "/images/x/history", DENIED, NULL, NULL},
    {"GET", "/images/x/get", DENIED, NULL, NULL},
    {"GET", "/secrets", DENIED, NULL, NULL},
    {"GET", "/configs", DENIED, NULL, NULL},
    {"GET", "/swarm/unlockkey", DENIED, NULL, NULL},
    {"GET", "/plugins", DENIED, NULL, NULL},
    {"GET", "/exec/x/json", DENIED, NULL, NULL},
    {"GET", "/session", DENIED, NULL, NULL},
    {"GET", "/grpc", DENIED, NULL, NULL},

    /* GET, prefix and suffix, one segment or more between (PO-04) */
    {"GET", "/images/x/json", ALLOWED, "GET /images/**/json", NULL},
    {"GET", "/images/ghcr.io/o/r/json", ALLOWED, "GET /images/**/json", NULL},
    {"GET", "/images/ghcr.io/o/r:1@sha256:ff/json", ALLOWED,
     "GET /images/**/json", NULL},
    {"GET", "/images/x%40sha256%3aff/json", ALLOWED, "GET /images/**/json",
     "/images/x@sha256:ff/json"},
    {"GET", "/images/json/json", ALLOWED, "GET /images/**/json", NULL},
    {"GET", "/images/a/json/json", ALLOWED, "GET /images/**/json", NULL},
    {"GET", "/images/a/json/b", DENIED, NULL, NULL},
    {"GET", "/images/a/json/", DENIED, NULL, NULL},
    {"GET", "/images//json", REFUSED, NULL, NULL},
    {"GET", "/distribution/docker.io/library/busybox/json", ALLOWED,
     "GET /distribution/**/json", NULL},
    {"GET", "/distribution/json", DENIED, NULL, NULL},
    {"GET", "/distribution/x", DENIED, NULL, NULL},

    /* all else (PO-05) */
    {"POST", "/_ping", DENIED, NULL, NULL},
    {"POST", "/containers/create", DENIED, NULL, NULL},
    {"POST", "/containers/x/pause", DENIED, NULL, NULL},
    {"POST", "/containers/x/attach", DENIED, NULL, NULL},
    {"POST", "/exec/x/start", DENIED, NULL, NULL},
    {"POST", "/images/load", DENIED, NULL, NULL},
    {"POST", "/build?remote=http://x", DENIED, NULL, NULL},
    {"POST", "/session", DENIED, NULL, NULL},
    {"POST", "/containers/json", DENIED, NULL, NULL},
    {"PUT", "/containers/x/archive?path=/", DENIED, NULL, NULL},
    {"DELETE", "/containers/x", DENIED, NULL, NULL},
    {"DELETE", "/volumes/x", DENIED, NULL, NULL},
    {"OPTIONS", "/containers/json", DENIED, NULL, NULL},
    {"get", "/containers/json", REFUSED, NULL, NULL},
    {"PATCH", "/containers/json", REFUSED, NULL, NULL},

    /* the version's prefix */
    {"GET", "/v1.44/containers/json", ALLOWED, "GET /containers/json", NULL},
    {"GET", "/v1.4/containers/json", ALLOWED, "GET /containers/json", NULL},
    {"GET", "/v10.0/info", ALLOWED, "GET /info", NULL},
    {"GET", "/v99.99/info", ALLOWED, "GET /info", NULL},
    {"GET", "/%761.44/info", ALLOWED, "GET /info", "/v1.44/info"},
    {"GET", "/v1%2E44/info", ALLOWED, "GET /info", "/v1.44/info"},
    {"GET", "/v1.1/volumes/x", ALLOWED, "GET /volumes/*", NULL},
    {"GET", "/v1.44", DENIED, NULL, NULL},
    {"GET", "/v1.44/", DENIED, NULL, NULL},
    {"GET", "/v1.4", DENIED, NULL, NULL},
    {"GET", "/v10.0", DENIED, NULL, NULL},
    {"GET", "/v01.41/containers/json", DENIED, NULL, NULL},
    {"GET", "/v0.1/containers/json", DENIED, NULL, NULL},
    {"GET", "/v1.041/containers/json", DENIED, NULL, NULL},
    {"GET", "/v100.1/containers/json", DENIED, NULL, NULL},
    {"GET", "/v1.41.1/containers/json", DENIED, NULL, NULL},
    {"GET", "/v1./containers/json", DENIED, NULL, NULL},
    {"GET", "/v1.x/containers/json", DENIED, NULL, NULL},
    {"GET", "/v12/containers/json", DENIED, NULL, NULL},
    {"GET", "/v1/containers/json", DENIED, NULL, NULL},
    {"GET", "/v.1/containers/json", DENIED, NULL, NULL},
    {"GET", "/v:.1/containers/json", DENIED, NULL, NULL},
    {"GET", "/v1.44x/info", DENIED, NULL, NULL},
    {"GET", "/V1.41/containers/json", DENIED, NULL, NULL},
    {"GET", "/vFOO/containers/json", DENIED, NULL, NULL},
    {"GET", "/v1.41/v1.41/containers/json", DENIED, NULL, NULL},
    {"GET", "/foo/v1.44/containers/json", DENIED, NULL, NULL},

    /* what two parsers could read in two ways (PO-06, X21) */
    {"GET", "//containers/json", REFUSED, NULL, NULL},
    {"GET", "/v1.44//containers/../images/json", REFUSED, NULL, NULL},
    {"GET", "/foo/../v1.44/images/x/json", REFUSED, NULL, NULL},
    {"GET", "/containers/./json", REFUSED, NULL, NULL},
    {"GET", "/containers/../json", REFUSED, NULL, NULL},
    {"GET", "/images/x/%2e%2e/%2e%2e/containers/create/json", REFUSED, NULL,
     NULL},
    {"GET", "/images/..%2fcontainers/json", REFUSED, NULL, NULL},
    {"GET", "/containers/a%2Fb/json", REFUSED, NULL, NULL},
    {"GET", "/containers%2fjson", REFUSED, NULL, NULL},
    {"GET", "/containers%5cjson", REFUSED, NULL, NULL},
    {"GET", "/containers\\json", REFUSED, NULL, NULL},
    {"GET", "/%63ontainers/json", ALLOWED, "GET /containers/json",
     "/containers/json"},
    {"GET", "/%2563ontainers/json", DENIED, NULL, NULL},
    {"GET", "/containers/json;a=b", REFUSED, NULL, NULL},
    {"GET", "/containers/json%3ba=b", REFUSED, NULL, NULL},
    {"GET", "/containers/x/..;/json", REFUSED, NULL, NULL},
    {"GET", "/containers/json#x", REFUSED, NULL, NULL},
    {"GET", "/containers/x%3fy/json", ALLOWED, "GET /containers/*/json",
     "/containers/x%3Fy/json"},
    {"GET", "/containers/x%00/json", REFUSED, NULL, NULL},
    {"GET", "/containers/x%0d%0a/json", REFUSED, NULL, NULL},
    {"GET", "/containers/x%/json", REFUSED, NULL, NULL},
    {"GET", "/containers/x%zz/json", REFUSED, NULL, NULL},
    {"GET", "/containers/\xc3\xa9/json", REFUSED, NULL, NULL},
    {"GET", "/containers/\"/json", REFUSED, NULL, NULL},
    {"GET", "http://x/containers/json", REFUSED, NULL, NULL},
    {"GET", "containers/json", REFUSED, NULL, NULL},
    {"GET", "x:2375", REFUSED, NULL, NULL},
    {"OPTIONS", "*", REFUSED, NULL, NULL},
    {"GET", "?/containers/json", REFUSED, NULL, NULL},
    {"GET", "/containers/create?/json", DENIED, NULL, NULL},
    {"GET", "/exec/x?y=/containers/json", DENIED, NULL, NULL},
};

#endif
