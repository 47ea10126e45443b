// skip: 32-bit -- a thousand stacks do not fit into the address space
// skip: qemu -- the emulator keeps a megabyte of each thread that has gone
// 64, then 1,000 threads at the same time, each with blocks of its own, each freeing its
// neighbour's. Says what a thread costs, and insists only that it is not absurd.
#include "../common.h"

#define MOST 1000
#define BLOCKS 40

static struct thread {
    void *block[BLOCKS];
} threads[MOST];
static pthread_barrier_t barrier;
static size_t count;

static size_t size_of(size_t i) { return 16 + i * i * 2; }

static void *live(void *number) {
    size_t me = (size_t)number, other = (me + 1) % count;
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < BLOCKS; i++) {
            void *p = malloc(size_of(i));
            CHECK(p, "malloc(%zu)", size_of(i));
            paint(p, size_of(i), me);
            threads[me].block[i] = p;
        }
        pthread_barrier_wait(&barrier);
        for (size_t i = 0; i < BLOCKS; i++) {
            CHECK(painted(threads[other].block[i], size_of(i), other), "block %zu of %zu", i, other);
            free(threads[other].block[i]);
        }
        pthread_barrier_wait(&barrier);
    }
    // Everybody is alive here, and once more: the main thread measures in between.
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return NULL;
}

static void live_together(size_t n) {
    static pthread_t handle[MOST];
    count = n;
    CHECK(pthread_barrier_init(&barrier, NULL, (unsigned)n + 1) == 0, "pthread_barrier_init");
    size_t before = resident();
    for (size_t i = 0; i < n; i++) handle[i] = start_thread(live, (void *)i);
    for (int i = 0; i < 7; i++) pthread_barrier_wait(&barrier);
    size_t each = growth(before, resident()) / n;
    pthread_barrier_wait(&barrier);
    for (size_t i = 0; i < n; i++) join_thread(handle[i]);
    pthread_barrier_destroy(&barrier);
    fprintf(stderr, "%zu threads: %zu KiB each, stack included\n", n, each / KIB);
    CHECK(each < 512 * KIB, "%zu KiB for each of %zu threads", each / KIB, n);
}

int main(void) {
    live_together(64);
    live_together(1000);
    live_together(64);
}
