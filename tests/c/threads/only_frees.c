// skip: qemu -- the emulator keeps a megabyte of each thread that has gone
// 1,000 threads whose only calls are frees of blocks that the main thread made: they never need a
// heap of their own, and what they freed must not die with them. Half of them do it in a destructor
// of their thread-specific data, when the library may already have taken leave of the thread.
#include "../common.h"

#define THREADS 1000
#define BLOCKS 2000

static pthread_key_t key;
static struct set {
    void *block[BLOCKS];
    size_t blocks;
    bool in_destructor;
} sets[2];

static void release(void *argument) {
    struct set *set = argument;
    for (size_t i = 0; i < set->blocks; i++) {
        CHECK(painted(set->block[i], 64 + i % 7 * 64, i), "block %zu", i);
        free(set->block[i]);
    }
}
static void *thread(void *argument) {
    struct set *set = argument;
    if (set->in_destructor) pthread_setspecific(key, set);
    else release(set);
    return NULL;
}

/// Few enough that they fit in what a thread may collect before it delivers.
#define FEW 150
#define TOGETHER 300
static void *few[TOGETHER][FEW];
static pthread_barrier_t barrier;

static void *release_few(void *number) {
    for (size_t i = 0; i < FEW; i++) free(few[(size_t)number][i]);
    pthread_barrier_wait(&barrier);
    return NULL;
}

/// 300 threads at the same time: what each may hold back adds up, and none of them has a successor.
static void together(void) {
    size_t before = resident();
    for (size_t t = 0; t < TOGETHER; t++) {
        for (size_t i = 0; i < FEW; i++) {
            few[t][i] = malloc(200);
            CHECK(few[t][i], "malloc");
            memset(few[t][i], 1, 200);
        }
    }
    run_threads(TOGETHER, release_few);
    malloc_trim(0);
    CHECK(growth(before, resident()) < 4 * MIB, "%.1f MiB of 8.6 did not come back", in_mib(growth(before, resident())));
}

int main(void) {
    CHECK(pthread_barrier_init(&barrier, NULL, TOGETHER) == 0, "pthread_barrier_init");
    CHECK(pthread_key_create(&key, release) == 0, "pthread_key_create");
    size_t early = 0;
    for (size_t t = 0; t < THREADS; t += 2) {
        for (size_t k = 0; k < 2; k++) {
            sets[k].in_destructor = k;
            // Some free only a few: not worth collecting, but not to be lost.
            sets[k].blocks = t % 3 ? BLOCKS : t / 3 % 20;
            for (size_t i = 0; i < sets[k].blocks; i++) {
                size_t n = 64 + i % 7 * 64;
                sets[k].block[i] = malloc(n);
                CHECK(sets[k].block[i], "malloc(%zu)", n);
                paint(sets[k].block[i], n, i);
            }
        }
        pthread_t a = start_thread(thread, &sets[0]), b = start_thread(thread, &sets[1]);
        join_thread(a);
        join_thread(b);
        if (t == 20) early = resident();
    }
    together();
    CHECK(growth(early, resident()) < 4 * MIB, "grew by %.1f MiB", in_mib(growth(early, resident())));
}
