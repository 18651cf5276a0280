/* req.h: the glue between a test and the requirement that it is evidence for.
 *
 *   static const struct CMUnitTest tests[] = {
 *       REQ("AC-03", a_second_start_is_refused),
 *   };
 *   RUN(tests)
 *
 * The id becomes part of the reported name ("AC-03 a_second_start_is_refused"),
 * and the program's first argument filters by name: ./test_agent 'AC-03*'. A
 * test that is evidence for several ids names them with commas: "AC-03,AC-04".
 */
#ifndef CORE_TEST_REQ_H
#define CORE_TEST_REQ_H

/* cmocka needs these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define REQ(id, test)                        \
    {                                        \
        id " " #test, test, NULL, NULL, NULL \
    }
#define REQ_WITH(id, test, setup, teardown)       \
    {                                             \
        id " " #test, test, setup, teardown, NULL \
    }

#define RUN(tests)                                        \
    int main(int argc, char **argv)                       \
    {                                                     \
        if (argc > 1) {                                   \
            cmocka_set_test_filter(argv[1]);              \
        }                                                 \
        return cmocka_run_group_tests(tests, NULL, NULL); \
    }

#endif
