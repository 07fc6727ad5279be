/* A stand-in for the archive member with the header of generated code: the same bytes where a test
 * can change them, as another version of this program would. */
#include "tests/unit/compiler/embedded.h"

/* the linker takes these for what compile.c names */
__asm__(".pushsection .data\n"
        ".balign 16\n"
        ".globl sm_embedded_smelt_guest_h\n"
        "sm_embedded_smelt_guest_h:\n"
        ".incbin \"" SMELT_TEST_GUEST_HEADER "\"\n"
        "test_guest_header_end:\n"
        ".balign 16\n"
        ".globl sm_embedded_smelt_guest_h_size\n"
        "sm_embedded_smelt_guest_h_size:\n"
        ".quad test_guest_header_end - sm_embedded_smelt_guest_h\n"
        ".popsection\n");

extern unsigned char sm_embedded_smelt_guest_h[];

unsigned char *test_guest_header(void)
{
    return sm_embedded_smelt_guest_h;
}
