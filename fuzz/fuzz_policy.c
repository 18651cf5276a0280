/* The read-only policy: the input is a method, a blank and a target. What is
 * allowed is canonical, is on the list as regular expressions have it, and is
 * taken and allowed again in the form in which it is forwarded. What an engine
 * makes of it is asked of an engine's own router, in integration/. */
#include <ctype.h>
#include <regex.h>
#include <string.h>

#include "core/policy.h"
#include "fuzz/harness.h"

#define VERSION "^(/v[1-9][0-9]?\\.[0-9]{1,2})?"
#define SEGMENT "/[^/]+"

static const char *const get =
    VERSION "(/_ping|/containers/json|/images/json|/info|/version|/events|"
            "/volumes|/networks|/system/df|/containers" SEGMENT
            "/(json|logs|stats|top)|/volumes" SEGMENT "|/networks" SEGMENT
            "|/(images|distribution)(" SEGMENT ")+/json)$";
static const char *const head = VERSION "/_ping$";

static bool is_listed(const char *path, enum http_method method)
{
    static regex_t compiled[2];
    static bool ready;
    if (!ready) {
        MUST(regcomp(&compiled[0], get, REG_EXTENDED | REG_NOSUB) == 0);
        MUST(regcomp(&compiled[1], head, REG_EXTENDED | REG_NOSUB) == 0);
        ready = true;
    }
    return (method == HTTP_GET && !regexec(&compiled[0], path, 0, NULL, 0)) ||
           (method == HTTP_HEAD && !regexec(&compiled[1], path, 0, NULL, 0));
}

/* Cleaning, unescaping and asking again change nothing that matters. */
static void must_be_canonical(const char *path)
{
    char plain[4096];
    size_t length = 0;

    MUST(path[0] == '/' && !strstr(path, "//") && !strstr(path, "/./") &&
         !strstr(path, "/../"));
    for (const char *at = path; *at != '\0'; at++) {
        MUST(*at > ' ' && *at < 0x7f && !strchr(";?#\\", *at));
        unsigned byte = (unsigned char)*at;
        if (*at == '%') {
            MUST(isxdigit((unsigned char)at[1]) && !islower(at[1]));
            MUST(isxdigit((unsigned char)at[2]) && !islower(at[2]));
            MUST(sscanf(at + 1, "%2x", &byte) == 1);
            MUST(byte >= ' ' && byte != 0x7f && !strchr("/\\;.", (int)byte) &&
                 !isalnum((int)byte));
            at += 2;
        }
        plain[length++] = (char)byte;
    }
    plain[length] = '\0';
    for (char *segment = plain + 1; segment;) {
        char *next = strchr(segment, '/');
        if (next) {
            *next++ = '\0';
        }
        MUST(strcmp(segment, ".") != 0 && strcmp(segment, "..") != 0);
        segment = next;
    }
}

/* A head with this first line; its length. */
static size_t make_head(char *bytes, size_t size, const char *method,
                        struct span target)
{
    int length =
        snprintf(bytes, size, "%s %.*s HTTP/1.1\r\nHost: x\r\n\r\n", method,
                 (int)target.length, (const char *)target.bytes);

    MUST(length > 0 && (size_t)length < size);
    return (size_t)length;
}

static bool parse(struct http_request *request, char *head_bytes, size_t length)
{
    struct http_scan scan;

    http_scan_init(&scan);
    return http_scan(&scan, (uint8_t *)head_bytes, length) == length &&
           scan.complete &&
           http_parse_request(request, (uint8_t *)head_bytes, length) ==
               HTTP_OK;
}

static void judge(const struct http_request *request)
{
    struct policy_decision decision = policy_decide(POLICY_READ_ONLY, request);
    char path[4096];

    snprintf(path, sizeof path, "%.*s", (int)request->path.length,
             (const char *)request->path.bytes);
    must_be_canonical(path);
    MUST(decision.allowed == is_listed(path, request->method));
    MUST(policy_decide(POLICY_ALLOW_ALL, request).allowed);
    MUST(decision.rule && decision.reason && *decision.reason);
    MUST(decision.allowed == (strcmp(decision.rule, "default") != 0));
    /* forwarded, and read by the next filter */
    static char again_bytes[4096 + 64];
    struct http_request again;
    size_t length =
        make_head(again_bytes, sizeof again_bytes,
                  http_method_name(request->method), request->target);
    MUST(parse(&again, again_bytes, length));
    MUST(again.path.length == request->path.length);
    MUST(memcmp(again.path.bytes, path, again.path.length) == 0);
    MUST(policy_decide(POLICY_READ_ONLY, &again).rule == decision.rule);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static char head_bytes[4096 + 64];
    const uint8_t *blank = length ? memchr(bytes, ' ', length) : NULL;
    struct http_request request;
    char method[16];

    if (!blank || blank - bytes >= (ptrdiff_t)sizeof method || length > 4000) {
        return 0;
    }
    snprintf(method, sizeof method, "%.*s", (int)(blank - bytes),
             (const char *)bytes);
    struct span target = {blank + 1, length - (size_t)(blank - bytes) - 1};
    if (memchr(bytes, '\0', length)) {
        return 0;
    }
    size_t size = make_head(head_bytes, sizeof head_bytes, method, target);
    if (parse(&request, head_bytes, size)) {
        judge(&request);
    }
    return 0;
}
