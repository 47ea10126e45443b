// clause: life | nothing keeps growing: mixed sizes from 20 threads have a flat ceiling
// skip: qemu -- what is resident is the emulator's
// timeout: 900
// 20 threads with a set of blocks each, in mixed sizes; now and then one passes its set on, or ends and is replaced. What is live
// stays about the same, so the peak of the first third of the time is the peak for ever, give or take a quarter.
// TEST_PATIENCE=60 makes it ten minutes.
#include "../common.h"

#define THREADS 20
#define BLOCKS 400

struct set {
    void *block[BLOCKS];
    size_t size[BLOCKS];
};

static atomic_bool stop;
static struct set *_Atomic exchange;

static void churn(struct set *set, uint64_t *stream, int steps) {
    for (; steps; steps--) {
        size_t i = below(stream, BLOCKS);
        if (set->block[i] && below(stream, 4) == 0) {
            size_t n = any_size(stream, 20 * KIB);
            void *p = realloc(set->block[i], n);
            CHECK(p, "realloc(%zu)", n);
            set->block[i] = p;
            set->size[i] = n;
        } else {
            free(set->block[i]);
            // Sizes are fixed by the place: what is live is so by and large the same at any time.
            set->size[i] = i == 0 ? MIB : i < 8 ? 20 * KIB * i : any_size(stream, i % 4 ? 600 : 9000);
            set->block[i] = malloc(set->size[i]);
            CHECK(set->block[i], "malloc(%zu)", set->size[i]);
        }
        memset(set->block[i], 1, set->size[i] < 4096 ? set->size[i] : 4096);
    }
}

static void *body(void *given) {
    static atomic_ulong count;
    uint64_t stream = seed + atomic_fetch_add(&count, 1);
    struct set *set = given;
    for (int round = 0; round < 400 && !stop; round++) {
        churn(set, &stream, 200);
        if (below(&stream, 10) == 0) {
            struct set *other = atomic_exchange(&exchange, set);
            set = other ? other : calloc(1, sizeof *set);
            CHECK(set, "calloc");
        }
    }
    return set;
}

int main(void) {
    pthread_t thread[THREADS];
    for (int i = 0; i < THREADS; i++) thread[i] = start_thread(body, calloc(1, sizeof(struct set)));
    double start = now(), length = patience(10);
    size_t early = 0, late = 0;
    while (now() < start + length) {
        for (int i = 0; i < THREADS; i++) {
            struct set *set;
            if (pthread_tryjoin_np(thread[i], (void **)&set) == 0) thread[i] = start_thread(body, set);
        }
        usleep(5000);
        size_t r = resident(), *peak = now() < start + length / 3 ? &early : &late;
        if (r > *peak) *peak = r;
    }
    stop = true;
    for (int i = 0; i < THREADS; i++) join_thread(thread[i]);
    printf("peak %.1f MiB in the first third, %.1f MiB after it\n", in_mib(early), in_mib(late));
    CHECK(late < early + early / 4 + 8 * MIB, "peak %.1f MiB, then %.1f MiB", in_mib(early), in_mib(late));
}
