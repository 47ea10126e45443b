// clause: life | nobody is refused what is there
// skip: qemu -- limits are those of the emulator
// control: skip -- what one heap of glibc has had does not come to another
// Memory is short but there is enough: threads fill and empty their share while one trims, and all
// of them together never want more than half of what the limit allows. None may be refused because what
// it needs is just in somebody else's hands, on its way from free to free.
#include "exhaust.h"

#define THREADS 4
#define SHARE (12 * MIB)
#define SECONDS 5

static pthread_barrier_t limited;
static double deadline;

static void *work(void *number) {
    uint64_t stream = seed + (size_t)number;
    void **block = malloc(SHARE / 500 * sizeof *block);
    CHECK(block, "table");
    pthread_barrier_wait(&limited);
    for (size_t round = 0; now() < deadline; round++) {
        // Small, medium, or a slice or less at a time: nothing for which there might be no room in one piece.
        size_t low = round % 3 == 0 ? 500 : round % 3 == 1 ? 2000 : 33 * KIB;
        size_t high = round % 3 == 0 ? 1000 : round % 3 == 1 ? 30000 : 64 * KIB;
        size_t n = 0;
        for (size_t sum = 0; sum + high < SHARE; n++) {
            size_t size = between(&stream, low, high);
            block[n] = malloc(size);
            CHECK(block[n], "malloc(%zu) refused, with %.1f MiB in this thread, round %zu", size, in_mib(sum), round);
            *(volatile char *)block[n] = 1;
            // A run takes whole slices of 64 KiB.
            sum += size > 32 * KIB ? 64 * KIB : size;
        }
        shuffle(&stream, block, n);
        for (size_t i = 0; i < n; i++) free(block[i]);
    }
    free(block);
    return NULL;
}
static void *trim(void *unused) {
    (void)unused;
    pthread_barrier_wait(&limited);
    while (now() < deadline) malloc_trim(0);
    return NULL;
}

int main(void) {
    CHECK(pthread_barrier_init(&limited, NULL, THREADS + 2) == 0, "pthread_barrier_init");
    deadline = now() + patience(SECONDS);
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) threads[i] = start_thread(work, (void *)i);
    pthread_t trimmer = start_thread(trim, NULL);
    limit_memory(RLIMIT_AS, address_space(), 2 * THREADS * SHARE);
    pthread_barrier_wait(&limited);
    for (size_t i = 0; i < THREADS; i++) join_thread(threads[i]);
    join_thread(trimmer);
}
