/* Small sealed facts. Reading never complains about what it finds: a record that cannot be trusted
 * is a record that is not there. */
#include "cache/layout.h"
#include "cache/objects.h"

#include "base/bytes.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/status.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define AREA            "records"
#define RECORD_SIZE_MAX ((size_t)1 << 20) /* of a value */

static void compute_mac(const struct smelt_cache *cache, const char *kind,
                        const struct smelt_hash *id, struct smelt_slice value,
                        struct smelt_hash *out)
{
    struct sm_digest mac;
    sm_digest_init_keyed(&mac, "smelt.cache.record.v1", cache->seal_key);
    sm_digest_text(&mac, kind);
    sm_digest_hash(&mac, id);
    sm_digest_slice(&mac, value);
    sm_digest_final(&mac, out);
}

static enum smelt_status not_found(struct smelt_error *err, const char *kind,
                                   const struct smelt_hash *id)
{
    return sm_error_set(err, SMELT_STATUS_NOT_FOUND, SM_CACHE_WHERE, "no %s record %s", kind,
                        sm_cache_name(id, "").text);
}

enum smelt_status sm_cache_record_get(struct smelt_cache *cache, const char *kind,
                                      const struct smelt_hash *id, struct smelt_buf *value,
                                      struct smelt_error *err)
{
    smelt_buf_deinit(value);
    char path[PATH_MAX];
    enum smelt_status status = sm_cache_entry_path(cache, AREA, id, "", path, sizeof(path), err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return not_found(err, kind, id);
    }
    struct smelt_buf file = {0};
    status = sm_fs_read_fd(fd, path, RECORD_SIZE_MAX + SMELT_HASH_BYTES, &file, err);
    (void)close(fd);
    if (status == SMELT_STATUS_NO_MEMORY) {
        return status;
    }
    struct smelt_hash expected;
    struct smelt_hash found;
    bool is_sealed = status == SMELT_STATUS_OK && file.size >= sizeof(found.bytes);
    if (is_sealed) {
        size_t value_size = file.size - sizeof(found.bytes);
        memcpy(found.bytes, file.data + value_size, sizeof(found.bytes));
        compute_mac(cache, kind, id, sm_slice(file.data, value_size), &expected);
        is_sealed = sm_hash_equal(&found, &expected);
        file.size = value_size;
    }
    if (!is_sealed) {
        smelt_buf_deinit(&file);
        return not_found(err, kind, id);
    }
    *value = file;
    return SMELT_STATUS_OK;
}

enum smelt_status sm_cache_record_put(struct smelt_cache *cache, const char *kind,
                                      const struct smelt_hash *id, struct smelt_slice value,
                                      struct smelt_error *err)
{
    if (value.size > RECORD_SIZE_MAX) {
        return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, SM_CACHE_WHERE,
                            "a record has at most %zu bytes, not %zu", RECORD_SIZE_MAX, value.size);
    }
    char path[PATH_MAX];
    struct smelt_hash mac;
    struct smelt_buf file = {0};
    enum smelt_status status = sm_cache_check_writable(cache, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    SMELT_TRY(sm_cache_shard_path(cache, AREA, id, path, sizeof(path), err));
    SMELT_TRY(sm_fs_make_directories(path, 0700, err));
    SMELT_TRY(sm_cache_entry_path(cache, AREA, id, "", path, sizeof(path), err));
    compute_mac(cache, kind, id, value, &mac);
    if (!sm_buf_append(&file, value.data, value.size) ||
        !sm_buf_append(&file, mac.bytes, sizeof(mac.bytes))) {
        status = sm_error_no_memory(err, SM_CACHE_WHERE);
        goto cleanup;
    }
    SMELT_TRY(sm_fs_publish(path, sm_buf_slice(&file), 0600, err));
cleanup:
    smelt_buf_deinit(&file);
    return status;
}
