// clause: life | real-time priorities on one processor
// skip: qemu -- no real time
// alone: yes
// timeout: 60
// A thread of real-time priority and an ordinary one, on one processor, both in every part of the
// allocator. If the first ever waits for the second by turning in circles, even politely (sched_yield),
// the second does not run: on a system without mercy never again. Says nothing where it may not try.
#include "../common.h"
#include <sched.h>

#define TURNS 4000

static pthread_key_t key;
static atomic_bool stop;

static void use_everything(uint64_t *stream) {
    void *block[16];
    for (size_t i = 0; i < COUNT(block); i++) {
        block[i] = malloc(any_size(stream, i % 4 ? 4 * KIB : 3 * MIB));
        CHECK(block[i], "malloc");
        *(volatile char *)block[i] = 1;
    }
    for (size_t i = 0; i < COUNT(block); i++) free(block[i]);
}
/// Of a thread that the library has taken leave of: here it borrows what all share.
static void afterlife(void *rounds_left) {
    uint64_t stream = seed + (size_t)rounds_left;
    for (int i = 0; i < 20; i++) use_everything(&stream);
    if ((size_t)rounds_left > 1) pthread_setspecific(key, (char *)rounds_left - 1);
}
static void *mortal(void *argument) {
    uint64_t stream = seed;
    use_everything(&stream);
    pthread_setspecific(key, (void *)(size_t)PTHREAD_DESTRUCTOR_ITERATIONS);
    return argument;
}

/// Threads that are started inherit the processor and the priority.
static void *ordinary(void *unused) {
    (void)unused;
    while (!stop) {
        join_thread(start_thread(mortal, NULL));
        malloc_trim(0);
    }
    return NULL;
}
static void *urgent(void *unused) {
    (void)unused;
    uint64_t stream = seed * 3;
    struct sched_param priority = {.sched_priority = 10};
    if (pthread_setschedparam(pthread_self(), SCHED_FIFO, &priority) != 0) return NULL;
    double start = now();
    for (int turn = 0; turn < TURNS; turn++) {
        // The kernel's mercy is 50 ms in a second; one wait in circles costs the rest of that second.
        CHECK(now() - start < 20, "%d of %d turns in 20 s", turn, TURNS);
        // A short sleep, so that the other is interrupted anywhere.
        nanosleep(&(struct timespec){0, (long)between(&stream, 1000, 300000)}, NULL);
        if (turn % 16 == 0) join_thread(start_thread(mortal, NULL));
        else use_everything(&stream);
        if (turn % 64 == 0) malloc_trim(0);
    }
    return NULL;
}

int main(void) {
    CHECK(pthread_key_create(&key, afterlife) == 0, "pthread_key_create");
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0) return 0;
    double start = now();
    pthread_t low = start_thread(ordinary, NULL), high = start_thread(urgent, NULL);
    join_thread(high);
    stop = true;
    join_thread(low);
    fprintf(stderr, "%.1f s\n", now() - start);
}
