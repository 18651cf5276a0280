/* contract.h: programmer errors, never peer errors.
 *
 * A broken contract is a defect in this program: there is nothing to recover,
 * so contract_failed() does not return. The host program defines it (the
 * server logs and aborts, a unit test expects it). Contracts stay on in
 * release; only the coverage preset compiles them away (CONTRACTS_OFF), so
 * that branches which cannot be taken are not counted as missing.
 */
#ifndef CORE_CONTRACT_H
#define CORE_CONTRACT_H

#include <stdbool.h>

_Noreturn void contract_failed(const char *kind, const char *expression,
                               const char *file, int line);

#ifdef CONTRACTS_OFF
#define CONTRACT_CHECK(kind, x) ((void)sizeof((x) ? 1 : 0))
#else
#define CONTRACT_CHECK(kind, x) \
    ((x) ? (void)0 : contract_failed((kind), #x, __FILE__, __LINE__))
#endif

/* What the caller must see to. */
#define REQUIRE(x) CONTRACT_CHECK("require", x)
/* What this function promised. */
#define ENSURE(x) CONTRACT_CHECK("ensure", x)
/* What is true between any two calls. */
#define INVARIANT(x) CONTRACT_CHECK("invariant", x)

/* Whole-object invariants cost time in proportion to the object: they run after
 * every public call where INVARIANTS is defined (dev, asan, sim, fuzz). */
#ifdef INVARIANTS
#define INVARIANT_ALL(call) (call)
#else
#define INVARIANT_ALL(call) ((void)0)
#endif

#endif
