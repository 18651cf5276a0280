/* decide.c: what the read-only filter makes of requests, for a comparison with
 * what an engine makes of them (integration/test_routes.py).
 *
 * Reads requests, each behind its length in four bytes, and answers each with a
 * line:
 *
 *   partial               no end of a head
 *   refused FAULT         it is no request that it takes
 *   denied                not on the list
 *   allowed HEX RULE      forwarded as these bytes
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/http.h"
#include "core/policy.h"

#define LENGTH_MAX 65536u

static void forward(const struct http_request *request, uint8_t *head,
                    const char *rule)
{
    size_t length = http_write_request(request, head);

    printf("allowed ");
    for (size_t i = 0; i < length; i++) {
        printf("%02x", head[i]);
    }
    printf(" %s\n", rule);
}

static void decide(uint8_t *bytes, size_t length)
{
    struct http_scan scan;
    struct http_request request;

    http_scan_init(&scan);
    size_t taken = http_scan(&scan, bytes, length);
    enum http_fault fault = scan.fault;
    if (fault == HTTP_OK && !scan.complete) {
        printf("partial\n");
        return;
    }
    if (fault == HTTP_OK) {
        fault = http_parse_request(&request, bytes, taken);
    }
    if (fault != HTTP_OK) {
        printf("refused %s\n", http_fault_name(fault));
        return;
    }
    struct policy_decision decision = policy_decide(POLICY_READ_ONLY, &request);
    if (decision.allowed && request.framing == HTTP_NO_BODY) {
        forward(&request, bytes, decision.rule);
    } else {
        printf("denied\n");
    }
}

int main(void)
{
    static uint8_t bytes[LENGTH_MAX];
    uint32_t length;

    while (fread(&length, sizeof length, 1, stdin) == 1) {
        length = ntohl(length);
        if (length > LENGTH_MAX || fread(bytes, 1, length, stdin) != length) {
            fprintf(stderr, "decide: a request is cut, or longer than %u\n",
                    LENGTH_MAX);
            return 1;
        }
        decide(bytes, length);
    }
    return 0;
}
