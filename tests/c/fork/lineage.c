// clause: life | a child becomes the parent of the next, for generations
// skip: qemu -- a fork of the emulator while it has threads may hang by itself
// A child becomes the parent of the next child, and so on: each inherits the heaps of threads that it
// does not have, frees every block in them, and has threads of its own. What an allocator cannot take
// back from lost threads may be lost once per generation, but no more than those threads had.
#include "../common.h"

#define GENERATIONS 16
#define THREADS 3
#define BLOCKS 20000

// At a fork the main thread holds all locks: nobody is inside malloc, and the table is what it says.
static pthread_mutex_t locks[THREADS];
static void *table[THREADS][BLOCKS];
static atomic_bool stop;
static atomic_size_t rounds;

static void *busy(void *number) {
    size_t me = (size_t)number;
    uint64_t stream = seed + me;
    for (size_t i = 0; i < BLOCKS || !stop; i++) {
        size_t k = i < BLOCKS ? i : below(&stream, BLOCKS);
        pthread_mutex_lock(&locks[me]);
        void *p = malloc(any_size(&stream, 1 * KIB));
        CHECK(p, "malloc");
        *(volatile char *)p = 1;
        free(table[me][k]);
        table[me][k] = p;
        pthread_mutex_unlock(&locks[me]);
        if (i == BLOCKS) rounds++;
    }
    return NULL;
}

static void generation(size_t n, size_t first) {
    alarm(60);
    for (size_t t = 0; t < THREADS; t++) {
        for (size_t i = 0; i < BLOCKS; i++) free(table[t][i]), table[t][i] = NULL;
        pthread_mutex_init(&locks[t], NULL);
    }
    malloc_trim(0);
    size_t now_resident = resident();
    if (n == 2) first = now_resident;
    if (n == GENERATIONS) {
        fprintf(stderr, "%.1f MiB in generation 2, %.1f MiB in generation %zu\n", in_mib(first), in_mib(now_resident), n);
        CHECK(growth(first, now_resident) < GENERATIONS * THREADS * 3 * MIB, "grew by %.1f MiB", in_mib(growth(first, now_resident)));
        return;
    }
    stop = false;
    rounds = 0;
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) threads[i] = start_thread(busy, (void *)i);
    while (rounds < THREADS) nanosleep(&(struct timespec){0, 1000000}, NULL);
    for (size_t i = 0; i < THREADS; i++) pthread_mutex_lock(&locks[i]);
    pid_t child = fork();
    CHECK(child >= 0, "fork: %s", strerror(errno));
    if (child == 0) {
        generation(n + 1, first);
        _exit(0);
    }
    stop = true;
    for (size_t i = 0; i < THREADS; i++) pthread_mutex_unlock(&locks[i]);
    for (size_t i = 0; i < THREADS; i++) join_thread(threads[i]);
    await_child(child, "the next generation");
}

int main(void) {
    generation(0, 0);
}
