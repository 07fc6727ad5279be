/* All heap memory of the library goes through here: one place to count, to fail on demand, to
 * replace. Functions return NULL when memory is short or a product overflows; nothing is lost then.
 */
#ifndef SM_BASE_ALLOC_H
#define SM_BASE_ALLOC_H

#include <stddef.h>

void *sm_alloc(size_t size);
void *sm_calloc(size_t count, size_t size);
/* On failure the old block is still valid. */
void *sm_realloc_array(void *old, size_t count, size_t size);
void sm_free(void *block);

/* Unit tests: fail the n-th allocation from now (1 is the next one), and all after it; 0 switches
 * the fault off. Blocks in use since the process began are counted for leak checks. */
void sm_alloc_fail_at(size_t nth);
size_t sm_alloc_blocks(void);

#endif
