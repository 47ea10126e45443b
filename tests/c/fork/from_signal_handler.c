// clause: life | fork in a signal handler that interrupted malloc
// skip: qemu -- it does not fork in the middle of anything
// timeout: 60
// A timer's handler forks (POSIX long allowed it) while the interrupted code is anywhere, most of
// the time inside malloc or free. fork must come back in both processes; a child may allocate only
// if no operation was interrupted, which the program knows from a flag; otherwise it just leaves.
#include "../common.h"
#include <sys/time.h>

#ifndef THREADS
#define THREADS 0
#define FORKS 1500
#endif

static volatile sig_atomic_t in_allocator, forks, idle_forks;
static atomic_bool stop;
#define BURST 40
static void *slot[500];
/// Blocks change hands here, so that each thread's are freed by the others.
static _Atomic(void *) shared[200];

/// Mostly of three classes, so that what is interrupted and what the handler does meet on one page.
static size_t a_size(uint64_t *stream) {
    return below(stream, 4) ? 16 * between(stream, 1, 3) : any_size(stream, below(stream, 50) ? 2 * KIB : 200 * KIB);
}

static void child_life(void) {
    // Here its alarm must kill it, also while the handler runs.
    signal(SIGALRM, SIG_DFL);
    sigset_t alarms;
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    sigprocmask(SIG_UNBLOCK, &alarms, NULL);
    alarm(10);
    if (!in_allocator) {
        for (size_t n = 1; n < 5 * MIB; n *= 3) {
            char *p = malloc(n);
            CHECK(p, "malloc(%zu) in the child", n);
            *(volatile char *)p = 1;
            free(p);
        }
        for (size_t i = 0; i < COUNT(slot); i++) free(slot[i]);
    }
    _exit(0);
}

static void handler(int number) {
    (void)number;
    int error = errno;
    pid_t child = fork();
    CHECK(child >= 0, "fork %d: %s", (int)forks, strerror(errno));
    if (child == 0) child_life();
    await_child(child, "fork from a signal handler");
    forks++;
    idle_forks += !in_allocator;
    errno = error;
}

static void *busy(void *number) {
    uint64_t stream = seed + (size_t)number;
    void *mine[64] = {0};
    while (!stop) {
        size_t i = below(&stream, COUNT(mine));
        free(mine[i]);
        mine[i] = malloc(a_size(&stream));
        CHECK(mine[i], "malloc");
        mine[i] = atomic_exchange(&shared[below(&stream, COUNT(shared))], mine[i]);
    }
    for (size_t i = 0; i < COUNT(mine); i++) free(mine[i]);
    return NULL;
}

int main(void) {
    // The timer's signal goes to the process; the others do not take it.
    sigset_t alarms;
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &alarms, NULL);
    pthread_t threads[THREADS + 1];
    for (size_t i = 0; i < THREADS; i++) threads[i] = start_thread(busy, (void *)i);
    pthread_sigmask(SIG_UNBLOCK, &alarms, NULL);
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGALRM, &action, NULL) == 0, "sigaction");
    struct itimerval timer = {{0, 1500}, {0, 1500}};
    CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0, "setitimer");
    uint64_t stream = seed;
    while (forks < FORKS) {
        size_t from = below(&stream, COUNT(slot) - BURST), size[BURST];
        for (size_t i = 0; i < BURST; i++) size[i] = a_size(&stream);
        in_allocator = 1;
        for (size_t i = from; i < from + BURST; i++) free(slot[i]);
        for (size_t i = from; i < from + BURST; i++) slot[i] = malloc(size[i - from]);
        in_allocator = 0;
        for (size_t i = from; i < from + BURST; i++) {
            CHECK(slot[i], "malloc(%zu)", size[i - from]);
            memset(slot[i], 1, size[i - from]);
            if (THREADS == 0) continue;
            // Taken out of the slot first: the handler's child frees what is in the slots.
            void *p = slot[i];
            slot[i] = NULL;
            slot[i] = atomic_exchange(&shared[below(&stream, COUNT(shared))], p);
        }
    }
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    stop = true;
    for (size_t i = 0; i < THREADS; i++) join_thread(threads[i]);
    fprintf(stderr, "%d forks, %d outside the allocator\n", (int)forks, (int)idle_forks);
}
