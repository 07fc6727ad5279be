/* The header of generated code that the compiler under test has in it. */
#ifndef SMELT_TEST_EMBEDDED_H
#define SMELT_TEST_EMBEDDED_H

/* Writable; it begins with a comment. */
unsigned char *test_guest_header(void);

#endif
