/* How an instance of a module begins: its state, its table, its memory, and what starting it
 * answers. Made once for each module; the spec's instantiation (core 2.0, section 4.5.4), with its
 * result kept. */
#ifndef SM_EXEC_IMAGE_H
#define SM_EXEC_IMAGE_H

#include "hostabi/guest/smelt_abi.h"

#include <smelt/status.h>
#include <smelt/trap.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Blocks up to this size are copied from the image for each activation; larger ones are made anew,
 * so that a table of millions of null references costs what is in it. */
#define SM_IMAGE_BLOCK_MAX ((size_t)256 * 1024)

struct sm_image {
    const struct sm_descriptor *descriptor;

    /* instance (descriptor.instance_size) | table, each part aligned for any object */
    size_t table_offset;
    size_t block_size;
    uint8_t *block; /* block_size bytes; NULL when larger than SM_IMAGE_BLOCK_MAX */

    /* Linear memory: `size` bytes, zero but for [data_start, data_end), whole machine pages, which
     * are at `data`. Activations map them from `fd`; where that is negative they copy the first
     * `data_count` segments instead. */
    uint64_t size;
    uint64_t data_start;
    uint64_t data_end;
    uint8_t *data;
    int fd;
    uint32_t data_count; /* segments that fit, those behind the first that does not excluded */

    uint32_t elem_count;  /* likewise */
    enum smelt_trap trap; /* of the first segment that does not fit; NONE: started */
};

/* `may_open`: a descriptor may be kept open for the data. NO_MEMORY. */
enum smelt_status sm_image_init(struct sm_image *image, const struct sm_descriptor *descriptor,
                                size_t page_bytes, bool may_open, struct smelt_error *err);
void sm_image_deinit(struct sm_image *image);

/* Writes the initial instance and table; the header of the instance becomes zero. A block larger
 * than SM_IMAGE_BLOCK_MAX must be zero before. */
void sm_image_fill(const struct sm_image *image, uint8_t *block);
/* Writes the data segments to a memory that is zero; only where none are mapped. */
void sm_image_copy_data(const struct sm_image *image, uint8_t *memory);

#endif
