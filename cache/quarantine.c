/* Where bad entries go: `quarantine/<key>.<time>/`, a fresh directory per incident, so that nothing
 * kept there is ever overwritten. */
#include "cache/layout.h"

#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TRIES 100

/* mkdir is what makes the name ours; the clock only makes a collision rare. */
static bool make_fresh_directory(const struct smelt_cache *cache, const struct smelt_hash *key,
                                 char *path, size_t path_size)
{
    struct sm_cache_name name = sm_cache_name(key, "");
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    uint64_t stamp = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    for (unsigned int i = 0; i < TRIES; i++) {
        if (sm_fs_path(path, path_size, NULL, "%s/quarantine/%s.%" PRIu64, cache->directory,
                       name.text, stamp + i) != SMELT_STATUS_OK) {
            errno = ENAMETOOLONG;
            return false;
        }
        if (mkdir(path, 0700) == 0) {
            return true;
        }
        if (errno != EEXIST) {
            return false;
        }
    }
    return false;
}

void sm_cache_quarantine(const struct smelt_cache *cache, int shard_fd,
                         const struct smelt_hash *key, char *report, size_t report_size)
{
    static const char *const suffixes[] = {".meta", ".so"};
    char path[PATH_MAX];
    int failure = 0;
    if (!cache->is_writable) {
        failure = EROFS;
    } else if (!make_fresh_directory(cache, key, path, sizeof(path))) {
        failure = errno;
    }
    int directory_fd = -1;
    if (failure == 0) {
        directory_fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        failure = directory_fd < 0 ? errno : 0;
    }
    /* the manifest goes first: without it there is no entry */
    for (size_t i = 0; i < 2 && failure == 0; i++) {
        struct sm_cache_name name = sm_cache_name(key, suffixes[i]);
        if (renameat(shard_fd, name.text, directory_fd, name.text) != 0 && errno != ENOENT) {
            failure = errno;
        }
    }
    if (directory_fd >= 0) {
        (void)close(directory_fd);
    }
    if (failure == 0) {
        (void)snprintf(report, report_size, "moved to %s", path);
    } else {
        (void)snprintf(report, report_size, "left in %s/objects/%02x, since it cannot be moved: %s",
                       cache->directory, key->bytes[0], strerrordesc_np(failure));
    }
}
