// clause: life | memory is exhausted while threads start: NULL and ENOMEM, no signal
// skip: qemu -- limits are those of the emulator
// The first calls of a thread come when there is nothing left: it has no heap yet and cannot get one.
// It is told so with NULL and ENOMEM; its frees of others' blocks work; once memory is back, it is a
// thread like any other. New threads start, or are refused by libc, and nothing else.
#include "exhaust.h"

#define THREADS 16

static pthread_barrier_t barrier;
static struct hoard *gift[THREADS];
static atomic_size_t refused;

static void *thread(void *number) {
    size_t me = (size_t)number;
    pthread_barrier_wait(&barrier);
    // Memory is out. Every thread begins with another verb.
    void *p = &p;
    errno = 0;
    switch (me % 8) {
    case 0: p = malloc(8 * MIB); break;
    case 1: p = malloc(20); break;
    case 2: p = calloc(1, 100 * KIB); break;
    case 3: p = realloc(gift[me], 8 * MIB); break;
    case 4: p = memalign(4096, 3000); break;
    case 5: free(gift[me]), gift[me] = NULL; break;
    case 6: p = realloc(NULL, 700); break;
    case 7: malloc_trim(0); break;
    }
    if (p == NULL) {
        CHECK(errno == ENOMEM, "thread %zu: errno %d", me, errno);
        refused++;
    } else if (p != &p) {
        memset(p, 1, 20);
        if (me % 8 == 3) gift[me] = NULL;
        free(p);
    }
    if (gift[me]) {
        CHECK(painted(gift[me] + 1, gift[me]->size - sizeof **gift, gift[me]->size), "block of the main thread");
        free(gift[me]);
    }
    pthread_barrier_wait(&barrier);
    // The main thread gives everything back.
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < 1000; i++) {
        size_t n = 16 + (size_t)i * 37;
        void *q = malloc(n);
        CHECK(q, "thread %zu: malloc(%zu), when memory was back", me, n);
        memset(q, 1, n);
        free(q);
    }
    return NULL;
}

static void *latecomer(void *unused) {
    void *p = malloc(100);
    free(p);
    return unused;
}

int main(void) {
    CHECK(pthread_barrier_init(&barrier, NULL, THREADS + 1) == 0, "pthread_barrier_init");
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        gift[i] = malloc(900);
        CHECK(gift[i], "malloc");
        gift[i]->size = 900;
        paint(gift[i] + 1, 900 - sizeof **gift, 900);
        threads[i] = start_thread(thread, (void *)i);
    }
    limit_memory(RLIMIT_AS, address_space(), 64 * MIB);
    size_t got = 0;
    struct hoard *all[7];
    size_t sizes[COUNT(all)] = {2 * MIB, 100 * KIB, 10000, 1000, 100, 32, 20};
    for (size_t i = 0; i < COUNT(all); i++) all[i] = hoard(sizes[i], &got);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < 100; i++) {
        pthread_t late;
        int error = pthread_create(&late, NULL, latecomer, NULL);
        CHECK(error == 0 || error == EAGAIN || error == ENOMEM, "pthread_create: %s", strerror(error));
        if (error == 0) join_thread(late);
    }
    for (size_t i = 0; i < COUNT(all); i++) {
        verify(all[i]);
        release(all[i]);
    }
    pthread_barrier_wait(&barrier);
    for (size_t i = 0; i < THREADS; i++) join_thread(threads[i]);
    fprintf(stderr, "%zu of %d threads were refused their first block\n", (size_t)refused, THREADS);
    for (int i = 0; i < 100; i++) join_thread(start_thread(latecomer, NULL));
}
