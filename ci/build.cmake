# What every target shares: one INTERFACE target of flags, and two functions.

add_library(project_flags INTERFACE)
target_include_directories(project_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(project_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wundef
  -Wstrict-prototypes -Wmissing-prototypes -Wcast-align -Wcast-qual
  -Wpointer-arith -Wwrite-strings -Wformat=2 -Wvla -Wimplicit-fallthrough
  -Wnull-dereference -fno-common -fno-omit-frame-pointer)
if(WERROR)
  target_compile_options(project_flags INTERFACE -Werror)
endif()
if(INVARIANTS)
  target_compile_definitions(project_flags INTERFACE INVARIANTS)
endif()
if(NOT CONTRACTS)
  target_compile_definitions(project_flags INTERFACE CONTRACTS_OFF)
endif()
if(SANITIZE)
  target_compile_options(project_flags INTERFACE
    -fsanitize=${SANITIZE} -fno-sanitize-recover=all)
  target_link_options(project_flags INTERFACE -fsanitize=${SANITIZE})
endif()
if(COVERAGE)
  target_compile_options(project_flags INTERFACE --coverage -fprofile-abs-path)
  target_link_options(project_flags INTERFACE --coverage)
endif()
if(HARDEN)
  target_compile_options(project_flags INTERFACE
    -fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIE
    -ffile-prefix-map=${CMAKE_SOURCE_DIR}=. # ci/ship: the same in any folder
    $<$<NOT:$<CONFIG:Debug>>:-D_FORTIFY_SOURCE=2>)
  target_link_options(project_flags INTERFACE
    -Wl,-z,relro,-z,now $<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:-pie>)
endif()

# project_library(name SOURCES... LINK... [KIND SHARED]): a library of one
# folder, static by default. Its LINK list is the folder's dependency rule.
function(project_library name)
  cmake_parse_arguments(arg "" "KIND" "SOURCES;LINK" ${ARGN})
  if(NOT arg_KIND)
    set(arg_KIND STATIC)
  endif()
  add_library(${name} ${arg_KIND} ${arg_SOURCES})
  set_target_properties(${name} PROPERTIES C_STANDARD 17 C_STANDARD_REQUIRED ON
    C_EXTENSIONS OFF)
  target_link_libraries(${name} PUBLIC ${arg_LINK} PRIVATE project_flags)
endfunction()

# project_program(name SOURCES... LINK...): an executable.
function(project_program name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  if(COVERAGE) # what ends by _exit() has run something, too
    target_sources(${name} PRIVATE ${CMAKE_SOURCE_DIR}/ci/gcov_exit.c)
    target_link_options(${name} PRIVATE -Wl,--wrap=_exit)
  endif()
  set_target_properties(${name} PROPERTIES C_STANDARD 17 C_STANDARD_REQUIRED ON
    C_EXTENSIONS OFF)
  target_link_libraries(${name} PRIVATE ${arg_LINK} project_flags)
endfunction()

# project_test(name SOURCES... LINK...): a cmocka program that is also a test.
# It prints TAP, so that each case and its requirement id stand in the log. The
# presets that make it many times slower give it more time.
set(TEST_SECONDS 300 CACHE STRING "what a test program may take")
function(project_test name)
  project_program(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE cmocka)
  add_test(NAME ${name} COMMAND ${name}
    WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES
    ENVIRONMENT "CMOCKA_MESSAGE_OUTPUT=TAP" TIMEOUT ${TEST_SECONDS})
endfunction()
