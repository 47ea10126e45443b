// clause: life | four threads run out of memory at once
// skip: qemu -- limits are those of the emulator
// control: skip -- what one heap of glibc has had does not come to another
// Four threads run out of memory at the same time, verify, free, and do it again; then they end, and
// one alone can have nearly all of it.
#include "exhaust.h"

#define THREADS 4
#define ROUNDS 6

static pthread_barrier_t limited, barrier;
static size_t got[ROUNDS][THREADS];

static void *run_out(void *number) {
    size_t me = (size_t)number, sizes[] = {64, 700, 5000, 30000, 200 * KIB, 3 * MIB};
    pthread_barrier_wait(&limited);
    for (size_t round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&barrier);
        struct hoard *all = hoard(sizes[(me + round) % COUNT(sizes)], &got[round][me]);
        // Now all are out; what one frees from here on, another may get.
        pthread_barrier_wait(&barrier);
        verify(all);
        release(all);
    }
    return NULL;
}

int main(void) {
    CHECK(pthread_barrier_init(&barrier, NULL, THREADS) == 0, "pthread_barrier_init");
    CHECK(pthread_barrier_init(&limited, NULL, THREADS + 1) == 0, "pthread_barrier_init");
    size_t alone = 0, after = 0;
    // The threads have their stacks before there is a limit: those are not what this is about.
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) threads[i] = start_thread(run_out, (void *)i);
    limit_memory(RLIMIT_AS, address_space(), ALLOWANCE);
    release(hoard(1000, &alone));
    pthread_barrier_wait(&limited);
    for (size_t i = 0; i < THREADS; i++) join_thread(threads[i]);
    for (size_t round = 0; round < ROUNDS; round++) {
        size_t sum = 0;
        for (size_t i = 0; i < THREADS; i++) sum += got[round][i];
        fprintf(stderr, "round %zu: %.1f MiB\n", round, in_mib(sum));
        CHECK(sum >= ALLOWANCE / 2, "round %zu: %.1f MiB for all threads", round, in_mib(sum));
    }
    struct hoard *all = hoard(1000, &after);
    verify(all);
    release(all);
    fprintf(stderr, "alone: %.1f MiB before, %.1f MiB after\n", in_mib(alone), in_mib(after));
    CHECK(after >= alone / 10 * 9, "%.1f MiB before, %.1f after", in_mib(alone), in_mib(after));
}
