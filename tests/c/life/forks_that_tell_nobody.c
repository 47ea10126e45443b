// clause: POSIX _Fork | async-signal-safe, runs no handlers: the child executes another program, or leaves
// clause: life | _Fork, in a signal handler that interrupted malloc
// skip: qemu -- it does not fork in the middle of anything
// skip: foreign -- it executes a program of the host, which cannot have the library
// skip: musl -- _Fork came with musl 1.2.3, which is not everywhere
// A timer's handler calls _Fork while the interrupted code is anywhere, most of the time inside malloc or free. The child may only
// call what is async-signal-safe: it executes a program, or ends. The parent notices nothing.
#include "../common.h"
#include <sys/time.h>

static atomic_int forks;

static void handler(int signal) {
    (void)signal;
    int saved = errno;
    pid_t child = _Fork();
    if (child == 0) {
        if (forks % 16 == 0) execl("/bin/true", "true", (char *)NULL);
        _exit(0);
    }
    int status;
    if (child > 0 && waitpid(child, &status, 0) == child && status != 0) _exit(3);
    forks++;
    errno = saved;
}

int main(void) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval period = {{0, 3000}, {0, 3000}};
    setitimer(ITIMER_REAL, &period, NULL);
    uint64_t stream = seed;
    void *block[500] = {0};
    size_t size[500];
    for (double end = now() + 30; forks < 200 && now() < end;) {
        size_t i = below(&stream, COUNT(block));
        if (block[i]) CHECK(painted(block[i], size[i], i), "block %zu", i);
        free(block[i]);
        size[i] = any_size(&stream, 3000);
        block[i] = malloc(size[i]);
        CHECK(block[i], "malloc");
        paint(block[i], size[i], i);
    }
    CHECK(forks >= 200, "%d forks", forks);
}
