// clause: C 7.22.3 | blocks survive the thread that allocated them
// skip: qemu -- the emulator keeps a megabyte of each thread that has gone
// 2,000 threads of a few milliseconds. Each leaves blocks to the others, in a common pool, and takes
// some that others left: blocks survive their threads, and are freed while their owner is just
// exiting, long gone, or replaced by a thread with the same address.
#include "../common.h"

#define DRIVERS 4
#define THREADS 2000
#define POOL 4000
#define WORK 1000

struct item {
    size_t size;
    uint64_t tag;
};
static _Atomic(struct item *) pool[POOL];
static size_t early;

static struct item *make(uint64_t *stream, uint64_t tag) {
    size_t n = sizeof(struct item) + any_size(stream, below(stream, 50) ? 1 * KIB : 100 * KIB);
    struct item *item = malloc(n);
    CHECK(item, "malloc(%zu)", n);
    *item = (struct item){n, tag};
    paint(item + 1, n - sizeof *item, tag);
    return item;
}
static void destroy(struct item *item) {
    if (!item) return;
    CHECK(painted(item + 1, item->size - sizeof *item, item->tag), "survivor of %zu", item->size);
    free(item);
}

static void *short_life(void *number) {
    uint64_t stream = seed + (size_t)number * 7919;
    void *own[20];
    for (size_t i = 0; i < COUNT(own); i++) own[i] = malloc(50 * i);
    for (size_t i = 0; i < WORK; i++) {
        struct item *item = make(&stream, draw(&stream));
        destroy(atomic_exchange_explicit(&pool[below(&stream, POOL)], item, memory_order_acq_rel));
    }
    // Every third thread leaves its own blocks to its parent.
    if ((size_t)number % 3 == 0) return memcpy(malloc(sizeof own), own, sizeof own);
    for (size_t i = 0; i < COUNT(own); i++) free(own[i]);
    return NULL;
}

static void *drive(void *driver) {
    for (size_t i = (size_t)driver; i < THREADS; i += DRIVERS) {
        void **left = join_thread(start_thread(short_life, (void *)i));
        for (size_t k = 0; left && k < 20; k++) free(left[k]);
        free(left);
        if (i == THREADS / 4) early = resident();
    }
    return NULL;
}

int main(void) {
    run_threads(DRIVERS, drive);
    size_t late = resident();
    for (size_t i = 0; i < POOL; i++) destroy(pool[i]);
    CHECK(late < early + early / 4 + 16 * MIB, "%.1f MiB after 500 threads, %.1f after 2,000",
          in_mib(early), in_mib(late));
}
