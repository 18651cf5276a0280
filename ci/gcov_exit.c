/* gcov_exit.c: in the coverage preset, a process that ends by _exit() tells
 * what it ran, as one that ends by exit() does. Linked with --wrap=_exit. */
void __gcov_dump(void);
_Noreturn void __real__exit(int status);
_Noreturn void __wrap__exit(int status);

_Noreturn void __wrap__exit(int status)
{
    __gcov_dump();
    __real__exit(status);
}
