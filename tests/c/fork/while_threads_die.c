// clause: life | fork while threads are dying
// skip: qemu -- a fork of the emulator while it has threads may hang by itself
// fork while threads are just dying, and allocate on their way out: what such a thread borrows from the
// others it may never give back in the child. There threads die, too.
#include "../common.h"

#define DRIVERS 3
#define SECONDS 4

static pthread_key_t key;
static atomic_bool stop;

static void afterlife(void *rounds_left) {
    uint64_t stream = seed + (size_t)rounds_left;
    void *block[30];
    for (size_t i = 0; i < COUNT(block); i++) {
        block[i] = malloc(any_size(&stream, i % 10 ? 2 * KIB : 40 * KIB));
        CHECK(block[i], "malloc");
        *(volatile char *)block[i] = 1;
    }
    for (size_t i = 0; i < COUNT(block); i++) free(block[i]);
    if ((size_t)rounds_left > 1) pthread_setspecific(key, (char *)rounds_left - 1);
}
static void *mortal(void *argument) {
    free(malloc(100));
    pthread_setspecific(key, (void *)(size_t)PTHREAD_DESTRUCTOR_ITERATIONS);
    return argument;
}
static void *drive(void *unused) {
    while (!stop) join_thread(start_thread(mortal, NULL));
    return unused;
}

int main(void) {
    CHECK(pthread_key_create(&key, afterlife) == 0, "pthread_key_create");
    pthread_t drivers[DRIVERS];
    for (size_t i = 0; i < DRIVERS; i++) drivers[i] = start_thread(drive, NULL);
    double deadline = now() + patience(SECONDS);
    int forks = 0;
    for (; now() < deadline; forks++) {
        pid_t child = fork();
        CHECK(child >= 0, "fork: %s", strerror(errno));
        if (child == 0) {
            alarm(20);
            run_threads(2, mortal);
            // This thread dies here, and takes the process with it.
            mortal(NULL);
            pthread_exit(NULL);
        }
        await_child(child, "fork while threads die");
    }
    stop = true;
    for (size_t i = 0; i < DRIVERS; i++) join_thread(drivers[i]);
    fprintf(stderr, "%d forks\n", forks);
}
