// clause: life | chroot into an empty directory, without /proc, /dev and the library's own file
// clause: life | a program that starts while /proc is not mounted
// check: test "$(id -u)" = 0
// skip: qemu -- emulators read /proc themselves
// skip: foreign -- static and dynamic alike would need their loader in the other namespace
// After the chroot nothing can be opened. Threads start and end, memory is exhausted, processes fork; then the program is started anew
// where /proc has been taken away.
#include "../common.h"
#include <sched.h>
#include <sys/mount.h>

static void *work(void *unused) {
    for (size_t n = 1; n < 64 * MIB; n += n / 2 + 1) {
        char *p = calloc(1, n);
        CHECK(p && p[n - 1] == 0, "calloc(%zu)", n);
        p = realloc(p, 2 * n);
        CHECK(p, "realloc(%zu)", 2 * n);
        p[n] = 1;
        free(p);
    }
    malloc_trim(0);
    CHECK(!malloc(SIZE_MAX - 100), "more than everything");
    return unused;
}

static void all(const char *where) {
    work(NULL);
    run_threads(4, work);
    pid_t child = fork();
    CHECK(child >= 0, "fork");
    if (child == 0) {
        alarm(60);
        work(NULL);
        run_threads(2, work);
        _exit(0);
    }
    await_child(child, where);
}

int main(int count, char **arguments) {
    if (count > 1) {
        CHECK(access("/proc/self", F_OK) != 0, "/proc is still there");
        all("a child without /proc");
        return 0;
    }
    pid_t child = fork();
    CHECK(child >= 0, "fork");
    if (child == 0) {
        alarm(60);
        // A namespace of its own, so that only this process loses /proc; where that is not allowed, the chroot has to do.
        if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) _exit(0);
        if (umount2("/proc", MNT_DETACH) != 0) _exit(0);
        execl(arguments[0], arguments[0], "again", (char *)NULL);
        _exit(2);
    }
    await_child(child, "a program without /proc");

    char folder[] = "/tmp/empty-XXXXXX";
    CHECK(mkdtemp(folder), "mkdtemp: %s", strerror(errno));
    if (chroot(folder) != 0) {
        rmdir(folder);
        printf("chroot is not allowed here\n");
        return 0;
    }
    CHECK(chdir("/") == 0 && rmdir("/") != 0, "the new root");
    CHECK(open("/proc/self/maps", O_RDONLY) < 0, "the root is not empty");
    all("a child in the chroot");
}
