/* Making the image, segment by segment as the specification orders it: elements, then data; the
 * first that does not fit traps, and what came before it stays.
 *
 * Data goes to a memfd when there is enough of it, mapped by every activation copy-on-write: pages
 * that are only read are shared and never have to be restored. A few pages are cheaper to copy than
 * to map, and data strewn thinly over a large memory would make the file's pages, which are
 * allocated when their zeroes are read, cost more than the contract paid for. */
#include "runtime/exec/image.h"

#include "base/alloc.h"
#include "base/checked.h"
#include "base/status.h"
#include "runtime/exec/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define WHERE "image"

/* Pages of data that are copied rather than mapped. */
#define COPIED_PAGES_MAX 2u
/* How much of a mapped range may be holes: as much as there is data, and this. */
#define HOLE_BYTES_MAX UINT64_C(65536)

static bool round_up(size_t size, size_t *out)
{
    if (!sm_add_size(size, _Alignof(max_align_t) - 1, &size)) {
        return false;
    }
    *out = size - size % _Alignof(max_align_t);
    return true;
}

static bool lay_out(struct sm_image *image)
{
    size_t table_size;
    return round_up(image->descriptor->instance_size, &image->table_offset) &&
           sm_mul_size(image->descriptor->table_size, sizeof(struct sm_funcref), &table_size) &&
           sm_add_size(image->table_offset, table_size, &image->block_size);
}

/* How far the segments fit. */
static void check_segments(struct sm_image *image)
{
    const struct sm_descriptor *descriptor = image->descriptor;
    for (; image->elem_count < descriptor->elem_segment_count; image->elem_count++) {
        const struct sm_elem_segment *segment = &descriptor->elem_segments[image->elem_count];
        if (segment->is_active != 0 &&
            (uint64_t)segment->table_offset + segment->count > descriptor->table_size) {
            image->trap = SMELT_TRAP_TABLE_OUT_OF_BOUNDS;
            return;
        }
    }
    for (; image->data_count < descriptor->data_segment_count; image->data_count++) {
        const struct sm_data_segment *segment = &descriptor->data_segments[image->data_count];
        if (segment->is_active != 0 &&
            (uint64_t)segment->memory_offset + segment->size > image->size) {
            image->trap = SMELT_TRAP_MEMORY_OUT_OF_BOUNDS;
            return;
        }
    }
}

static void fill_zeroed(const struct sm_image *image, uint8_t *block)
{
    const struct sm_descriptor *descriptor = image->descriptor;
    uint8_t *state = block + descriptor->state_offset;
    struct sm_funcref *table = (struct sm_funcref *)(void *)(block + image->table_offset);
    if (descriptor->state_size != 0) {
        memcpy(state, descriptor->state_image, descriptor->state_size);
    }
    for (uint32_t i = 0; i < image->elem_count; i++) {
        const struct sm_elem_segment *segment = &descriptor->elem_segments[i];
        if (segment->is_active == 0) {
            continue;
        }
        if (segment->count != 0) {
            memcpy(table + segment->table_offset, segment->items,
                   segment->count * sizeof(struct sm_funcref));
        }
        state[descriptor->elem_dropped_offset + i] = 1;
    }
    for (uint32_t i = 0; i < image->data_count; i++) {
        if (descriptor->data_segments[i].is_active != 0) {
            state[descriptor->data_dropped_offset + i] = 1;
        }
    }
}

void sm_image_fill(const struct sm_image *image, uint8_t *block)
{
    if (image->block != NULL) {
        memcpy(block, image->block, image->block_size);
    } else {
        fill_zeroed(image, block);
    }
}

/* ---- memory ------------------------------------------------------------------------------- */

/* Whether segment `i` puts anything into memory. */
static bool has_data(const struct sm_image *image, uint32_t i)
{
    const struct sm_data_segment *segment = &image->descriptor->data_segments[i];
    return segment->is_active != 0 && segment->size != 0;
}

/* Finds the range of pages that hold data; returns how many bytes the segments have. */
static uint64_t find_range(struct sm_image *image, size_t page_bytes)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < image->data_count; i++) {
        if (!has_data(image, i)) {
            continue;
        }
        const struct sm_data_segment *segment = &image->descriptor->data_segments[i];
        uint64_t start = segment->memory_offset / page_bytes * page_bytes;
        uint64_t end = (uint64_t)segment->memory_offset + segment->size + page_bytes - 1;
        end = end / page_bytes * page_bytes;
        if (bytes == 0 || start < image->data_start) {
            image->data_start = start;
        }
        if (end > image->data_end) {
            image->data_end = end;
        }
        bytes += segment->size;
    }
    return bytes;
}

/* Growing a file past RLIMIT_FSIZE is a signal, not an error. */
static bool is_file_allowed(uint64_t size)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) == 0 && size <= limit.rlim_cur;
}

/* The data as a sealed file and a view of it; false leaves no trace. */
static bool map_file(struct sm_image *image)
{
    uint64_t size = image->data_end - image->data_start;
    if (!is_file_allowed(size)) {
        return false;
    }
    int fd = memfd_create("smelt-image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) {
        return false;
    }
    bool is_done = ftruncate(fd, (off_t)size) == 0;
    for (uint32_t i = 0; is_done && i < image->data_count; i++) {
        const struct sm_data_segment *segment = &image->descriptor->data_segments[i];
        is_done =
            !has_data(image, i) ||
            pwrite(fd, segment->bytes, segment->size,
                   (off_t)(segment->memory_offset - image->data_start)) == (ssize_t)segment->size;
    }
    is_done = is_done &&
              fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0;
    void *data = is_done ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    if (data == MAP_FAILED) {
        (void)close(fd);
        return false;
    }
    image->data = (uint8_t *)data;
    image->fd = fd;
    return true;
}

/* The data in anonymous pages; untouched ones in between cost nothing. */
static bool map_pages(struct sm_image *image)
{
    uint64_t size = image->data_end - image->data_start;
    void *data = mmap(NULL, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED) {
        return false;
    }
    image->data = (uint8_t *)data;
    for (uint32_t i = 0; i < image->data_count; i++) {
        if (has_data(image, i)) {
            const struct sm_data_segment *segment = &image->descriptor->data_segments[i];
            memcpy(image->data + (segment->memory_offset - image->data_start), segment->bytes,
                   segment->size);
        }
    }
    return mprotect(data, size, PROT_READ) == 0;
}

void sm_image_copy_data(const struct sm_image *image, uint8_t *memory)
{
    for (uint32_t i = 0; image->fd < 0 && i < image->data_count; i++) {
        if (has_data(image, i)) {
            const struct sm_data_segment *segment = &image->descriptor->data_segments[i];
            memcpy(memory + segment->memory_offset, segment->bytes, segment->size);
        }
    }
}

enum smelt_status sm_image_init(struct sm_image *image, const struct sm_descriptor *descriptor,
                                size_t page_bytes, bool may_open, struct smelt_error *err)
{
    *image = (struct sm_image){
        .descriptor = descriptor, .size = descriptor->memory_min * SM_PAGE_BYTES, .fd = -1};
    if (!lay_out(image)) {
        return sm_error_no_memory(err, WHERE);
    }
    check_segments(image);
    if (image->block_size <= SM_IMAGE_BLOCK_MAX) {
        uint8_t *block = (uint8_t *)sm_calloc(1, image->block_size);
        if (block == NULL) {
            return sm_error_no_memory(err, WHERE);
        }
        fill_zeroed(image, block);
        image->block = block;
    }
    uint64_t bytes = find_range(image, page_bytes);
    uint64_t range = image->data_end - image->data_start;
    bool is_file =
        may_open && range > COPIED_PAGES_MAX * page_bytes && range <= 2 * bytes + HOLE_BYTES_MAX;
    if (range != 0 && !(is_file && map_file(image)) && !map_pages(image)) {
        sm_image_deinit(image);
        return sm_error_set_errno(err, SMELT_STATUS_NO_MEMORY, ENOMEM, WHERE,
                                  "cannot map the initial memory of the module");
    }
    return SMELT_STATUS_OK;
}

void sm_image_deinit(struct sm_image *image)
{
    if (image->data != NULL) {
        (void)munmap(image->data, image->data_end - image->data_start);
        if (image->fd >= 0) {
            (void)close(image->fd);
        }
    }
    sm_free(image->block);
    memset(image, 0, sizeof(*image));
    image->fd = -1;
}
