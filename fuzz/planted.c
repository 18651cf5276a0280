/* planted.c: the bug of fuzz/planted.mutants that this program has. The header
 * with its number is woven, and included by the compiler's command line. */

unsigned core_mutant = PLANTED;
