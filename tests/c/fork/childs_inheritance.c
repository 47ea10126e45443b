// clause: POSIX fork | the child frees and resizes blocks of threads that it does not have
// A child has copies of all blocks, also of those that other threads allocated, threads that do not
// exist there. It reads, resizes and frees them, and what it frees can be had again. The parent and
// its blocks are none the wiser.
#include "../common.h"

#define THREADS 3
#define BLOCKS 3000
#define FORKS 60

static struct { void *block; size_t size; } held[THREADS + 1][BLOCKS];
static pthread_barrier_t barrier;

static void fill(size_t who) {
    uint64_t stream = seed + who;
    for (size_t i = 0; i < BLOCKS; i++) {
        size_t n = any_size(&stream, i % 500 ? 4 * KIB : 3 * MIB);
        held[who][i].block = malloc(n);
        held[who][i].size = n;
        CHECK(held[who][i].block, "malloc(%zu)", n);
        paint(held[who][i].block, n, who * BLOCKS + i);
    }
}
static void verify(const char *where) {
    for (size_t who = 0; who <= THREADS; who++) {
        for (size_t i = 0; i < BLOCKS; i++) {
            CHECK(painted(held[who][i].block, held[who][i].size, who * BLOCKS + i),
                  "%s: block %zu of thread %zu", where, i, who);
        }
    }
}

static void *stay(void *number) {
    fill((size_t)number);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return NULL;
}

static void child_life(uint64_t stream) {
    alarm(30);
    verify("child");
    size_t freed = 0;
    for (size_t turn = 0; turn < 6 * BLOCKS; turn++) {
        size_t who = below(&stream, THREADS + 1), i = below(&stream, BLOCKS);
        size_t n = held[who][i].size, kept;
        void *p = held[who][i].block;
        CHECK(painted(p, n, who * BLOCKS + i), "child, block %zu of thread %zu", i, who);
        switch (below(&stream, 3)) {
        case 0:
            free(p);
            freed++;
            held[who][i].block = malloc(n);
            break;
        case 1:
            kept = n;
            held[who][i].size = n = any_size(&stream, 4 * KIB);
            held[who][i].block = realloc(p, n);
            if (n < kept) kept = n;
            CHECK(prefix_painted(held[who][i].block, kept, who * BLOCKS + i), "realloc in the child");
            break;
        default: continue;
        }
        CHECK(held[who][i].block, "allocation of %zu in the child", n);
        paint(held[who][i].block, n, who * BLOCKS + i);
    }
    verify("child, later");
    for (size_t who = 0; who <= THREADS; who++) {
        for (size_t i = 0; i < BLOCKS; i++) free(held[who][i].block);
    }
    CHECK(freed > BLOCKS, "only %zu freed", freed);
    _exit(0);
}

int main(void) {
    CHECK(pthread_barrier_init(&barrier, NULL, THREADS + 1) == 0, "pthread_barrier_init");
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) threads[i] = start_thread(stay, (void *)i);
    fill(THREADS);
    pthread_barrier_wait(&barrier);
    for (size_t i = 0; i < FORKS; i++) {
        pid_t child = fork();
        CHECK(child >= 0, "fork: %s", strerror(errno));
        if (child == 0) child_life(seed + i);
        await_child(child, "a child with its inheritance");
    }
    verify("parent");
    pthread_barrier_wait(&barrier);
    for (size_t i = 0; i < THREADS; i++) join_thread(threads[i]);
}
