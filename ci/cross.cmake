# Toolchain for what this machine is not: CROSS is i686 (32 bit) or s390x (big
# endian). Debian has the compilers; ci/sysroot fetches cmocka. The tests run as
# usual: by the other libc's loader, or under qemu-user.
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES CROSS)
set(triple ${CROSS}-linux-gnu)
set(sysroot ${CMAKE_CURRENT_LIST_DIR}/../build/sysroot/${CROSS})
file(GLOB libraries ${sysroot}/usr/lib/*-linux-gnu)

set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR ${CROSS})
set(CMAKE_C_COMPILER ${triple}-gcc)
set(CMAKE_C_FLAGS_INIT "-isystem ${sysroot}/usr/include")
set(CMAKE_EXE_LINKER_FLAGS_INIT "-L${libraries}")
if(CROSS STREQUAL "s390x")
  set(CMAKE_CROSSCOMPILING_EMULATOR qemu-s390x -L /usr/${triple}
    -E LD_LIBRARY_PATH=${libraries})
else()
  set(CMAKE_CROSSCOMPILING_EMULATOR /usr/${triple}/lib/ld-linux.so.2
    --library-path /usr/${triple}/lib:${libraries})
endif()
