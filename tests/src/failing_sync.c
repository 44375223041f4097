/* Makes fsync and fdatasync of a process fail, as on a broken disk. failing_disk.rs preloads it.
 *
 * COTERIE_FAILING_SYNC names a control file. Once that contains a word, an fsync of a file whose
 * path contains the word fails with EIO. From the first failure on every fsync of the process fails.
 * The file beside the control file, with `.failed` at the end of its name, is made at that moment. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_int broken;

static int fails(int fd) {
    char word[256], link[64], path[4096];
    if (atomic_load(&broken))
        return 1;
    const char *control = getenv("COTERIE_FAILING_SYNC");
    int file = control ? open(control, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return 0;
    ssize_t length = read(file, word, sizeof word - 1);
    close(file);
    if (length <= 0)
        return 0;
    word[length] = 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path - 1);
    if (length <= 0)
        return 0;
    path[length] = 0;
    if (!strstr(path, word))
        return 0;
    if (!atomic_exchange(&broken, 1)) {
        snprintf(path, sizeof path, "%s.failed", control);
        file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
        if (file >= 0)
            close(file);
    }
    return 1;
}

static int sync_or_fail(const char *name, int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    if (fails(fd)) {
        errno = EIO;
        return -1;
    }
    return real(fd);
}

int fsync(int fd) { return sync_or_fail("fsync", fd); }

int fdatasync(int fd) { return sync_or_fail("fdatasync", fd); }
