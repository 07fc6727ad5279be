/* Linear memory of one instance. Zero-initialise; deinit leaves zeroes and may be repeated. */
#ifndef SM_EXEC_MEMORY_H
#define SM_EXEC_MEMORY_H

#include <smelt/status.h>

#include <stdbool.h>
#include <stdint.h>

#define SM_PAGE_BYTES UINT64_C(65536) /* WebAssembly core 2.0, section 4.2.8 */
#define SM_PAGES_MAX  65536u          /* 32-bit addresses */

struct sm_memory {
    uint8_t *base; /* never moves */
    uint64_t size; /* bytes, a multiple of SM_PAGE_BYTES */
    uint32_t pages_max;
};

/* `pages` zeroed pages that may grow to `pages_max` (at most SM_PAGES_MAX). NO_MEMORY when the
 * machine cannot give them. */
enum smelt_status sm_memory_init(struct sm_memory *memory, uint32_t pages, uint32_t pages_max,
                                 struct smelt_error *err);
void sm_memory_deinit(struct sm_memory *memory);

/* Whether `address` lies in the reservation behind the accessible part. For signal handlers too. */
bool sm_memory_guards(const struct sm_memory *memory, uintptr_t address);

enum sm_memory_growth {
    SM_MEMORY_GREW,
    SM_MEMORY_LIMIT,  /* past pages_max: deterministic, the contract sees -1 */
    SM_MEMORY_REFUSED /* by the machine, within the limit: never visible to the contract */
};
enum sm_memory_growth sm_memory_grow(struct sm_memory *memory, uint32_t pages);

#endif
