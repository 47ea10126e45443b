// clause: C 7.22.3 | the functions are free of data races, whoever frees or resizes
// clause: POSIX 2.9.1 | thread-safety
// control: skip musl -- its realloc to zero gives a block
// timeout: 180
// The oracle over six threads, each with slots of its own and slots for all: a block is resized and
// freed by whoever comes along. Threads end and are replaced all the time, so that owners are gone.
#include "oracle.h"

#define THREADS 6
#define OWN 600
#define COMMON 3000
#define OPERATIONS 40000
#define SECONDS 10

static struct slot common[COMMON];
static double deadline;
static atomic_size_t lives;

static void *one_life(void *number) {
    uint64_t stream = (seed << 32) + (size_t)number;
    static __thread struct slot own[OWN];
    for (size_t i = 0; i < OPERATIONS; i++) {
        size_t appetite = i / 8000 % 2 ? 256 : 40;
        if (below(&stream, 2)) {
            oracle_act(&own[below(&stream, OWN)], &stream, appetite);
            continue;
        }
        struct slot *s = &common[below(&stream, COMMON)];
        // Acquire and Release: with the slot, the contents of its block change hands.
        if (atomic_flag_test_and_set_explicit(&s->taken, memory_order_acquire)) continue;
        oracle_act(s, &stream, appetite);
        atomic_flag_clear_explicit(&s->taken, memory_order_release);
    }
    oracle_close(own, OWN, &stream);
    return NULL;
}

static void *lives_in_turn(void *unused) {
    (void)unused;
    while (now() < deadline) join_thread(start_thread(one_life, (void *)(atomic_fetch_add(&lives, 1))));
    return NULL;
}

int main(void) {
    oracle_open();
    deadline = now() + patience(SECONDS);
    run_threads(THREADS, lives_in_turn);
    uint64_t stream = seed;
    oracle_close(common, COMMON, &stream);
    CHECK(held_bytes == 0, "%zu bytes held", (size_t)held_bytes);
    fprintf(stderr, "%zu lives\n", (size_t)lives);
}
