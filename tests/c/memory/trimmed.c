// clause: glibc 3.2.3.10 | malloc_trim: free memory goes back to the system
// skip: qemu -- what is resident is the emulator's
// control: skip -- glibc keeps the ends of the heaps of threads that have gone
// malloc_trim(0), once everything is free: next to nothing stays, whoever has allocated it: this
// thread, threads that have gone, threads that are still there but idle; small, medium and large.
#include "../common.h"

#define THREADS 4
#define AMOUNT (64 * MIB)

static pthread_barrier_t barrier;
static size_t limit = 32 * KIB;

static void allocate_and_free(uint64_t stream) {
    void **block = mmap(NULL, AMOUNT / 8, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(block != MAP_FAILED, "mmap");
    size_t n = 0;
    for (size_t sum = 0; sum < AMOUNT; n++) {
        size_t size = any_size(&stream, limit);
        block[n] = malloc(size);
        CHECK(block[n], "malloc(%zu)", size);
        memset(block[n], 1, size);
        sum += size < 16 ? 16 : size;
    }
    shuffle(&stream, block, n);
    for (size_t i = 0; i < n; i++) free(block[i]);
    munmap(block, AMOUNT / 8);
}

static void *idle_thread(void *number) {
    allocate_and_free(seed + (size_t)number);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return NULL;
}
static void *passing_thread(void *number) {
    allocate_and_free(seed + (size_t)number);
    return NULL;
}

static void expect(size_t start, size_t most, const char *who) {
    size_t before = growth(start, resident());
    malloc_trim(0);
    size_t kept = growth(start, resident());
    fprintf(stderr, "%s, blocks to %zu KiB: %.1f MiB free, %.1f MiB kept\n", who, limit / KIB,
            in_mib(before), in_mib(kept));
    CHECK(kept <= most, "%s: kept %.1f MiB", who, in_mib(kept));
}

int main(void) {
    CHECK(pthread_barrier_init(&barrier, NULL, THREADS + 1) == 0, "pthread_barrier_init");
    size_t limits[] = {1 * KIB, 32 * KIB, 2 * MIB, 8 * MIB};
    run_threads(THREADS, passing_thread);
    malloc_trim(0);
    size_t start = resident();
    for (size_t i = 0; i < COUNT(limits); i++) {
        limit = limits[i];
        allocate_and_free(seed);
        expect(start, 4 * MIB, "own heap");
        run_threads(THREADS, passing_thread);
        expect(start, 4 * MIB, "threads that have gone");

        pthread_t threads[THREADS];
        for (size_t k = 0; k < THREADS; k++) threads[k] = start_thread(idle_thread, (void *)k);
        pthread_barrier_wait(&barrier);
        // Their own caches are out of reach for this thread, but small.
        expect(start, 24 * MIB, "idle threads");
        pthread_barrier_wait(&barrier);
        for (size_t k = 0; k < THREADS; k++) join_thread(threads[k]);
    }
}
