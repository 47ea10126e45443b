// clause: POSIX 2.9.5 | the functions are no cancellation points
// clause: life | pthread_cancel
// skip: qemu -- what is resident is the emulator's
// pthread_cancel between operations. No function of the allocator is a cancellation point: a thread
// that was cancelled inside one, through a system call made there, would take a lock or a half-built
// structure with it. The cleanup handlers free; the next threads find everything in order.
#include "../common.h"
#include <sched.h>

#define THREADS 400
#define BLOCKS 60

struct work {
    void *block[BLOCKS];
    size_t size[BLOCKS];
    atomic_bool begun;
    uint64_t stream;
};

static void clean_up(void *argument) {
    struct work *w = argument;
    for (size_t i = 0; i < BLOCKS; i++) {
        if (w->block[i]) CHECK(painted(w->block[i], w->size[i], i), "block of %zu", w->size[i]);
        free(w->block[i]);
    }
}

static void *work(void *argument) {
    struct work *w = argument;
    pthread_cleanup_push(clean_up, w);
    for (;;) {
        size_t i = below(&w->stream, BLOCKS);
        // Between here and the test below, a pending cancellation must stay pending. Large and huge
        // blocks make the allocator call the kernel.
        size_t n = any_size(&w->stream, below(&w->stream, 40) ? 2 * KIB : 5 * MIB);
        free(w->block[i]);
        w->block[i] = NULL;
        void *p = malloc(n);
        CHECK(p, "malloc(%zu)", n);
        w->block[i] = p;
        w->size[i] = n;
        paint(p, n, i);
        w->begun = true;
        if (below(&w->stream, 4) == 0) pthread_testcancel();
    }
    pthread_cleanup_pop(1);
    return NULL;
}

int main(void) {
    size_t early = 0;
    uint64_t stream = seed;
    for (size_t t = 0; t < THREADS; t++) {
        struct work *w = calloc(1, sizeof *w);
        CHECK(w, "calloc");
        w->stream = seed + t;
        pthread_t thread = start_thread(work, w);
        while (t % 4 && !w->begun) sched_yield();
        for (size_t i = below(&stream, 12); i > 0; i--) sched_yield();
        CHECK(pthread_cancel(thread) == 0, "pthread_cancel");
        CHECK(join_thread(thread) == PTHREAD_CANCELED, "thread %zu was not cancelled", t);
        free(w);
        if (t == THREADS / 3) early = resident();
    }
    CHECK(growth(early, resident()) < 24 * MIB, "grew by %.1f MiB", in_mib(growth(early, resident())));
}
