// skip: qemu -- the emulator keeps a megabyte of each thread that has gone
// control: skip -- what one heap of glibc has free does not come to another
// 200 threads leave heaps full of holes: each eighth block lives on, the rest is free. Nobody continues
// these heaps, as no thread is started after that; yet the memory in the holes is enough for all that
// the main thread needs next, and it should find it rather than ask the system for more.
#include "../common.h"

#define THREADS 200
#define BLOCKS 8000
#define SIZE 64
#define WANTED (THREADS * BLOCKS * 5 / 8)

static pthread_barrier_t barrier;
static void *kept[THREADS][BLOCKS / 8];

static void *leave_holes(void *number) {
    size_t me = (size_t)number;
    void **block = mmap(NULL, BLOCKS * sizeof *block, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(block != MAP_FAILED, "mmap");
    for (size_t i = 0; i < BLOCKS; i++) {
        block[i] = malloc(SIZE);
        CHECK(block[i], "malloc");
        paint(block[i], SIZE, me * BLOCKS + i);
    }
    // All are alive at the same time, so that there are 200 heaps.
    pthread_barrier_wait(&barrier);
    for (size_t i = 0; i < BLOCKS; i++) {
        if (i % 8) free(block[i]);
        else kept[me][i / 8] = block[i];
    }
    munmap(block, BLOCKS * sizeof *block);
    return NULL;
}

int main(void) {
    CHECK(pthread_barrier_init(&barrier, NULL, THREADS) == 0, "pthread_barrier_init");
    size_t start = resident();
    run_threads(THREADS, leave_holes);
    size_t before = resident();
    void **block = mmap(NULL, WANTED * sizeof *block, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(block != MAP_FAILED, "mmap");
    for (size_t i = 0; i < WANTED; i++) {
        block[i] = malloc(SIZE);
        CHECK(block[i], "malloc");
        paint(block[i], SIZE, i);
    }
    size_t table = WANTED * sizeof *block, more = growth(before + table, resident());
    fprintf(stderr, "%.1f MiB left behind, %.1f MiB wanted, %.1f MiB more\n", in_mib(growth(start, before)),
            in_mib(WANTED * SIZE), in_mib(more));
    for (size_t t = 0; t < THREADS; t++) {
        for (size_t i = 0; i < BLOCKS / 8; i++) {
            CHECK(painted(kept[t][i], SIZE, t * BLOCKS + i * 8), "block %zu of thread %zu", i, t);
            free(kept[t][i]);
        }
    }
    for (size_t i = 0; i < WANTED; i++) {
        CHECK(painted(block[i], SIZE, i), "block %zu", i);
        free(block[i]);
    }
    CHECK(more < WANTED * SIZE / 2, "%.1f MiB more from the system for %.1f MiB", in_mib(more), in_mib(WANTED * SIZE));
}
