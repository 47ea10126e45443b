// timeout: 240
// One thread allocates, another frees, and they never change roles: 10 GiB pass through a short
// queue in blocks of 100 bytes. The producer has to find its memory again, or it needs all 10 GiB.
#include "../common.h"
#include <sched.h>

#define BLOCK 100
#define BLOCKS (10 * GIB / BLOCK)
#define ROOM 8192
#define BATCH 64
#define LIMIT (64 * MIB)

static void *queue[ROOM];
// Written by one side each, in batches. The Release store publishes the slots before it (made or
// taken), the Acquire load on the other side sees them.
static _Alignas(64) atomic_size_t made;
static _Alignas(64) atomic_size_t taken;

static void *consume(void *unused) {
    (void)unused;
    for (size_t next = 0; next < BLOCKS; next += BATCH) {
        size_t end = next + BATCH < BLOCKS ? next + BATCH : BLOCKS;
        while (atomic_load_explicit(&made, memory_order_acquire) < end) sched_yield();
        for (size_t i = next; i < end; i++) {
            uint64_t *block = queue[i % ROOM];
            CHECK(block[0] == i && block[11] == ~i, "block %zu holds %zu", i, (size_t)block[0]);
            free(block);
        }
        atomic_store_explicit(&taken, end, memory_order_release);
    }
    return NULL;
}

int main(void) {
    pthread_t consumer = start_thread(consume, NULL);
    for (size_t next = 0; next < BLOCKS; next += BATCH) {
        size_t end = next + BATCH < BLOCKS ? next + BATCH : BLOCKS;
        while (atomic_load_explicit(&taken, memory_order_acquire) + ROOM < end) sched_yield();
        for (size_t i = next; i < end; i++) {
            uint64_t *block = malloc(BLOCK);
            CHECK(block, "malloc, block %zu", i);
            block[0] = i;
            block[11] = ~i;
            queue[i % ROOM] = block;
        }
        atomic_store_explicit(&made, end, memory_order_release);
        if (next % (1 << 20) == 0) {
            CHECK(resident() < LIMIT, "%.1f MiB after %zu blocks", in_mib(resident()), next);
        }
    }
    join_thread(consumer);
    CHECK(resident_peak() < LIMIT, "peak of %.1f MiB", in_mib(resident_peak()));
}
