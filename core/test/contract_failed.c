/* In tests a broken contract is a failed cmocka assertion, so that
 * expect_assert_failure() can expect it. */
#include "core/contract.h"

#include "core/test/req.h"

_Noreturn void contract_failed(const char *kind, const char *expression,
                               const char *file, int line)
{
    (void)kind;
    mock_assert(0, expression, file, line);
    fail();
    for (;;) {
    }
}
