// skip: qemu -- what is resident is the emulator's
// A server in its steady state: 8 threads, mixed sizes, short lives and long ones, a tenth of the
// blocks freed by another thread. The live amount is constant after a moment; so must be the memory.
#include "../common.h"

#define THREADS 8
#define SLOTS 4000
#define SHARED 1000
#define SECONDS 12

static double deadline;
static _Atomic(void *) shared[SHARED];

static void *work(void *number) {
    uint64_t stream = seed * 100 + (size_t)number;
    void **slot = calloc(SLOTS, sizeof *slot);
    CHECK(slot, "calloc");
    for (size_t round = 0; round % 256 || now() < deadline; round++) {
        size_t way = below(&stream, 1000);
        size_t n = any_size(&stream, way < 2 ? 1 * MIB : way < 20 ? 64 * KIB : way < 150 ? 8 * KIB : 512);
        void *p = malloc(n);
        CHECK(p, "malloc(%zu)", n);
        memset(p, 1, n);
        if (below(&stream, 10) == 0) {
            free(atomic_exchange(&shared[below(&stream, SHARED)], p));
        } else {
            // Half of the traffic goes through a few places: short lives.
            size_t k = below(&stream, below(&stream, 2) ? SLOTS : 50);
            free(slot[k]);
            slot[k] = p;
        }
    }
    for (size_t k = 0; k < SLOTS; k++) free(slot[k]);
    free(slot);
    return NULL;
}

int main(void) {
    double start = now();
    deadline = start + patience(SECONDS);
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) threads[i] = start_thread(work, (void *)i);
    size_t most[2] = {0};
    for (double t = start; t < deadline - 0.1; t = now()) {
        size_t half = t > (start + deadline) / 2, r = resident();
        if (r > most[half]) most[half] = r;
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
    for (size_t i = 0; i < THREADS; i++) join_thread(threads[i]);
    for (size_t i = 0; i < SHARED; i++) free(shared[i]);
    fprintf(stderr, "at most %.1f MiB, in the second half %.1f MiB\n", in_mib(most[0]), in_mib(most[1]));
    CHECK(most[1] <= most[0] + most[0] / 10 + 8 * MIB, "%.1f MiB in the first half, %.1f in the second",
          in_mib(most[0]), in_mib(most[1]));
}
