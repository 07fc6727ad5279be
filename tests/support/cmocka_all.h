/* cmocka's header wants these four first; nothing else includes it directly. */
#ifndef SM_TESTS_CMOCKA_ALL_H
#define SM_TESTS_CMOCKA_ALL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
