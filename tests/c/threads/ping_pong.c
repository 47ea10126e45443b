// Two threads, each frees what the other has just allocated, in heaps of one block to 50,000: the
// smallest are less than any batch of remote frees, the largest more than any budget for them.
// What one thread frees must come back to the other, however few there are.
#include "../common.h"
#include <sched.h>

#define MOST 50000
#define SECONDS 3

static void *table[2][MOST];
static atomic_size_t turn;
static double deadline;
static size_t early;

static void allocate(void **block, size_t n, uint64_t tag) {
    for (size_t i = 0; i < n; i++) {
        block[i] = malloc(32 + i % 5 * 100);
        CHECK(block[i], "malloc");
        paint(block[i], 32, tag + i);
    }
}
static void release(void **block, size_t n, uint64_t tag) {
    for (size_t i = 0; i < n; i++) {
        CHECK(painted(block[i], 32, tag + i), "block %zu of %zu", i, n);
        free(block[i]);
    }
}

/// How many blocks the heap of a turn has: a thousand small ones, then larger ones.
static size_t heap_of(size_t t) { return t % 1000 < 900 ? 1 + t % 20 : t % 1000 < 999 ? 1000 : MOST; }

static void *play(void *side) {
    for (size_t t = (size_t)side;; t += 2) {
        while (atomic_load_explicit(&turn, memory_order_acquire) != t) sched_yield();
        bool over = now() > deadline && t > 2100;
        if (t > 0) release(table[(t - 1) % 2], heap_of(t - 1), t - 1);
        if (t == 2050) early = resident();
        if (!over) allocate(table[t % 2], heap_of(t), t);
        // The other side reads SIZE_MAX as the end: nothing was left for it.
        if (over) atomic_store_explicit(&turn, SIZE_MAX, memory_order_release);
        else atomic_store_explicit(&turn, t + 1, memory_order_release);
        if (over) return NULL;
        while (atomic_load_explicit(&turn, memory_order_acquire) == t + 1) sched_yield();
        if (atomic_load_explicit(&turn, memory_order_acquire) == SIZE_MAX) return NULL;
    }
}

int main(void) {
    deadline = now() + patience(SECONDS);
    run_threads(2, play);
    CHECK(resident() < early + early / 4 + 16 * MIB, "%.1f MiB early, %.1f MiB at the end",
          in_mib(early), in_mib(resident()));
}
