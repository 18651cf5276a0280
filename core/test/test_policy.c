/* test_policy.c: which requests may reach an engine (PO-01..PO-07, X22). */
#include "core/test/req.h"

#include <stdio.h>
#include <string.h>

#include "core/policy.h"
#include "core/test/policy_corpus.h"

#define CORPUS_SIZE (sizeof policy_corpus / sizeof *policy_corpus)

static uint8_t head[1024];

static enum http_fault parse(const char *method, const char *target,
                             struct http_request *request)
{
    int length = snprintf((char *)head, sizeof head,
                          "%s %s HTTP/1.1\r\nHost: x\r\n\r\n", method, target);

    assert_true(length > 0 && (size_t)length < sizeof head);
    return http_parse_request(request, head, (size_t)length);
}

static void check_case(const struct policy_case *expected)
{
    struct http_request request;
    enum http_fault fault = parse(expected->method, expected->target, &request);
    struct policy_decision decision;

    if ((fault != HTTP_OK) != (expected->verdict == REFUSED)) {
        fail_msg("%s %s: %s", expected->method, expected->target,
                 http_fault_name(fault));
    }
    if (fault != HTTP_OK) {
        return;
    }
    decision = policy_decide(POLICY_READ_ONLY, &request);
    if (decision.allowed != (expected->verdict == ALLOWED)) {
        fail_msg("%s %s: %s", expected->method, expected->target,
                 decision.rule);
    }
    assert_string_equal(decision.rule,
                        decision.allowed ? expected->rule : "default");
    assert_true(strlen(decision.reason) > 0);
    if (decision.allowed) {
        const char *target = expected->forwarded != NULL ? expected->forwarded
                                                         : expected->target;

        assert_int_equal(request.target.length, strlen(target));
        assert_memory_equal(request.target.bytes, target, strlen(target));
    }
}

/* The cases whose method and verdict are these. At least one must exist. */
static void check_cases(const char *method, enum policy_verdict verdict)
{
    size_t count = 0;

    for (size_t i = 0; i < CORPUS_SIZE; i++) {
        if (policy_corpus[i].verdict == verdict &&
            (method == NULL || strcmp(policy_corpus[i].method, method) == 0)) {
            check_case(&policy_corpus[i]);
            count++;
        }
    }
    assert_true(count > 0);
}

static void head_reaches_only_the_ping(void **state)
{
    (void)state;
    check_cases("HEAD", ALLOWED);
    check_cases("HEAD", DENIED);
}

static void get_reaches_what_the_table_names(void **state)
{
    (void)state;
    check_cases("GET", ALLOWED);
}

static void get_reaches_nothing_else(void **state)
{
    (void)state;
    check_cases("GET", DENIED);
}

static void every_other_method_is_denied(void **state)
{
    (void)state;
    check_cases("POST", DENIED);
    check_cases("PUT", DENIED);
    check_cases("DELETE", DENIED);
    check_cases("OPTIONS", DENIED);
}

static void what_can_be_read_in_two_ways_is_refused(void **state)
{
    (void)state;
    check_cases(NULL, REFUSED);
}

/* Every rule with a version in front, every rule with any other method. */
static void a_rule_is_one_method_under_any_version(void **state)
{
    static const char *const methods[] = {"GET", "HEAD",   "POST",
                                          "PUT", "DELETE", "OPTIONS"};

    (void)state;
    for (size_t i = 0; i < CORPUS_SIZE; i++) {
        const struct policy_case *one = &policy_corpus[i];
        char target[300];
        struct http_request request;
        struct policy_decision decision;

        if (one->verdict != ALLOWED || strstr(one->target, "/v1") != NULL ||
            strstr(one->target, "/v9") != NULL ||
            strstr(one->target, "/%76") != NULL) {
            continue;
        }
        snprintf(target, sizeof target, "/v1.47%s", one->target);
        assert_int_equal(parse(one->method, target, &request), HTTP_OK);
        decision = policy_decide(POLICY_READ_ONLY, &request);
        assert_true(decision.allowed);
        assert_string_equal(decision.rule, one->rule);
        for (size_t m = 0; m < sizeof methods / sizeof *methods; m++) {
            assert_int_equal(parse(methods[m], one->target, &request), HTTP_OK);
            decision = policy_decide(POLICY_READ_ONLY, &request);
            if (decision.allowed) {
                assert_memory_equal(decision.rule, methods[m],
                                    strlen(methods[m]));
            }
            assert_true(decision.allowed ||
                        strcmp(methods[m], one->method) != 0);
        }
    }
}

static void allow_all_allows_all(void **state)
{
    (void)state;
    for (size_t i = 0; i < CORPUS_SIZE; i++) {
        struct http_request request;

        if (policy_corpus[i].verdict != REFUSED) {
            struct policy_decision decision;

            assert_int_equal(parse(policy_corpus[i].method,
                                   policy_corpus[i].target, &request),
                             HTTP_OK);
            decision = policy_decide(POLICY_ALLOW_ALL, &request);
            assert_true(decision.allowed);
            assert_string_equal(decision.rule, "allow-all");
        }
    }
}

static void policies_have_names(void **state)
{
    enum policy policy = POLICY_ALLOW_ALL;

    (void)state;
    assert_true(policy_from_name("read-only", &policy));
    assert_int_equal(policy, POLICY_READ_ONLY);
    assert_string_equal(policy_name(policy), "read-only");
    assert_true(policy_from_name("allow-all", &policy));
    assert_int_equal(policy, POLICY_ALLOW_ALL);
    assert_string_equal(policy_name(policy), "allow-all");
    assert_false(policy_from_name("", &policy));
    assert_false(policy_from_name("Read-Only", &policy));
    assert_int_equal(policy, POLICY_ALLOW_ALL);
}

#ifndef CONTRACTS_OFF
static void the_contract_is_checked(void **state)
{
    struct http_request request;

    (void)state;
    assert_int_equal(parse("GET", "/info", &request), HTTP_OK);
    expect_assert_failure(policy_decide((enum policy)9, &request));
    expect_assert_failure(policy_name((enum policy)9));
}
#endif

static const struct CMUnitTest tests[] = {
    REQ("PO-01", head_reaches_only_the_ping),
    REQ("PO-02,PO-03,PO-04", get_reaches_what_the_table_names),
    REQ("PO-02,PO-03,PO-04,X22", get_reaches_nothing_else),
    REQ("PO-05", every_other_method_is_denied),
    REQ("PO-06,X21", what_can_be_read_in_two_ways_is_refused),
    REQ("PO-01,PO-05", a_rule_is_one_method_under_any_version),
    REQ("PO-05", allow_all_allows_all),
    REQ("U-02", policies_have_names),
#ifndef CONTRACTS_OFF
    REQ("PO-05", the_contract_is_checked),
#endif
};
RUN(tests)
