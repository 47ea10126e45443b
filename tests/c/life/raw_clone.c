// clause: life | clone without glibc's knowledge: a copy, a borrowed address space, a thread of the program's own making
// skip: qemu -- it emulates clone for libc alone
// The system call itself. No handler of pthread_atfork runs, and libc believes to be in the parent. Other threads are there but
// quiet, so that no allocator's lock is held at that moment.
#include "../common.h"
#include <sched.h>
#include <sys/syscall.h>

static pthread_barrier_t barrier;
static void *theirs[2000];

static void *quiet(void *unused) {
    (void)unused;
    for (size_t i = 0; i < COUNT(theirs); i++) theirs[i] = malloc(1 + i * 13 % 9000);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return NULL;
}

static void churn(uint64_t stream) {
    void *mine[200] = {0};
    for (int i = 0; i < 20000; i++) {
        size_t at = below(&stream, COUNT(mine)), n = any_size(&stream, i % 100 ? 20 * KIB : 3 * MIB);
        free(mine[at]);
        mine[at] = malloc(n);
        CHECK(mine[at], "malloc(%zu)", n);
        memset(mine[at], 1, n < 100 ? n : 100);
    }
    for (size_t i = 0; i < COUNT(mine); i++) free(mine[i]);
}

/// A copy of the process, as fork makes it.
static void copy(void) {
    pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    CHECK(child >= 0, "clone: %s", strerror(errno));
    if (child == 0) {
        alarm(60);
        for (size_t i = 0; i < COUNT(theirs); i += 2) free(theirs[i]);
        churn(seed);
        _exit(0);
    }
    await_child(child, "a copy");
}

/// A child in the parent's memory, which waits for it: vfork on a stack of its own.
static int in_the_parents_place(void *argument) {
    churn(2);
    *(void **)argument = malloc(5000);
    paint(*(void **)argument, 5000, 5);
    return 0;
}

static void borrowed(void) {
    size_t n = 256 * KIB;
    char *stack = malloc(n);
    void *left = NULL;
    pid_t child = clone(in_the_parents_place, stack + n, CLONE_VM | CLONE_VFORK | SIGCHLD, &left);
    CHECK(child > 0, "clone: %s", strerror(errno));
    await_child(child, "a borrowed address space");
    CHECK(left && painted(left, 5000, 5), "what the child has left");
    free(left);
    free(stack);
}

int main(void) {
    alarm(100);
    churn(1);
    copy();
    borrowed();
    pthread_barrier_init(&barrier, NULL, 2);
    pthread_t thread = start_thread(quiet, NULL);
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < 20; i++) {
        copy();
        borrowed();
    }
    pthread_barrier_wait(&barrier);
    join_thread(thread);
    for (size_t i = 0; i < COUNT(theirs); i++) free(theirs[i]);
    churn(3);
}
