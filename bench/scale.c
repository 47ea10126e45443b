// Cost per operation against the size of the heap (1 MiB to 10 GiB) and the number of threads (1 to 1,000): it
// should not depend on either. Prints nanoseconds, judges nothing.
//
//     cc -O2 -pthread bench/scale.c -o scale && cargo run --release -- ./scale && ./scale
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static uint64_t next(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void *allocate(uint64_t *state) {
    char *block = malloc(16 + next(state) % 1000);
    if (!block) abort();
    *block = 1;
    return block;
}

static void heap_of(size_t mib) {
    size_t blocks = mib * 1024 * 1024 / 516, operations = 2000000;
    void **block = calloc(blocks, sizeof *block);
    uint64_t state = 88172645463325252ull;
    double start = now();
    for (size_t i = 0; i < blocks; i++) block[i] = allocate(&state);
    double filled = now();
    // Among 2,000 neighbours, so that the allocator is measured and not the cache misses of the table.
    size_t base = next(&state) % blocks;
    for (size_t i = 0; i < operations; i++) {
        size_t k = (base + next(&state) % 2000) % blocks;
        free(block[k]);
        block[k] = allocate(&state);
    }
    double replaced = now();
    for (size_t i = 0; i < blocks; i++) free(block[i]);
    double freed = now();
    free(block);
    printf("%6zu MiB: fill %.1f ns a block, replace %.1f ns, free %.1f ns\n", mib, (filled - start) / blocks * 1e9,
           (replaced - filled) / operations * 1e9, (freed - replaced) / blocks * 1e9);
}

struct job { size_t blocks, operations; uint64_t seed; };

static void *churn(void *argument) {
    struct job *job = argument;
    uint64_t state = job->seed;
    void **block = calloc(job->blocks, sizeof *block);
    for (size_t i = 0; i < job->blocks; i++) block[i] = allocate(&state);
    for (size_t i = 0; i < job->operations; i++) {
        size_t k = next(&state) % job->blocks;
        free(block[k]);
        block[k] = allocate(&state);
    }
    for (size_t i = 0; i < job->blocks; i++) free(block[i]);
    free(block);
    return NULL;
}

static void threads(size_t count) {
    size_t total = 8000000;
    pthread_t *thread = malloc(count * sizeof *thread);
    struct job job = {2000, total / count, 99};
    double start = now();
    for (size_t i = 0; i < count; i++) {
        if (pthread_create(&thread[i], NULL, churn, &job) != 0) abort();
    }
    for (size_t i = 0; i < count; i++) pthread_join(thread[i], NULL);
    printf("%6zu threads: %.1f ns an operation\n", count, (now() - start) / total * 1e9);
    free(thread);
}

int main(void) {
    for (size_t mib = 1; mib <= 10000; mib *= 10) heap_of(mib);
    size_t counts[] = {1, 2, 8, 64, 1000};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) threads(counts[i]);
}
