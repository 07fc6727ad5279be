/* The main function of a fuzz target without a fuzzing engine: runs it once for each file named, or
 * in a directory named, in the order of their names.
 *
 *   fuzz_<target> <file or directory> ... */
#include "base/fs.h"
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <limits.h>
#include <string.h>

#define FILE_SIZE_MAX ((size_t)1 << 20)

static void run_file(const char *path)
{
    struct smelt_buf content = {0};
    struct smelt_error err = {0};
    enum smelt_status status = sm_fs_read_file(path, FILE_SIZE_MAX, &content, &err);
    FUZZ_CHECK(status == SMELT_STATUS_OK, "%s", err.message);
    /* exactly as long, so that a sanitizer sees a read past the end */
    uint8_t *copy = (uint8_t *)malloc(content.size != 0 ? content.size : 1);
    FUZZ_CHECK(copy != NULL, "no memory");
    if (content.size != 0) {
        memcpy(copy, content.data, content.size);
    }
    /* said beforehand, for when it is the last that is said */
    printf("%s\n", path);
    (void)fflush(stdout);
    FUZZ_CHECK(LLVMFuzzerTestOneInput(copy, content.size) == 0, "%s", path);
    free(copy);
    smelt_buf_deinit(&content);
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static size_t run_directory(const char *path)
{
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, is_visible, alphasort);
    for (int i = 0; i < count; i++) {
        char file[PATH_MAX];
        enum smelt_status status =
            sm_fs_path(file, sizeof(file), NULL, "%s/%s", path, entries[i]->d_name);
        FUZZ_CHECK(status == SMELT_STATUS_OK, "%s", path);
        run_file(file);
        free(entries[i]);
    }
    free(entries);
    return count > 0 ? (size_t)count : 0;
}

int main(int argc, char **argv)
{
    size_t count = 0;
    for (int i = 1; i < argc; i++) {
        DIR *directory = opendir(argv[i]);
        if (directory != NULL) {
            (void)closedir(directory);
            count += run_directory(argv[i]);
        } else {
            run_file(argv[i]);
            count++;
        }
    }
    printf("%zu inputs\n", count);
    return count != 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
