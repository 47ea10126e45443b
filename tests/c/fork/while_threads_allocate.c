// clause: life | 10,000 forks while threads allocate
// skip: qemu -- a fork of the emulator while it has threads may hang by itself
// timeout: 180
// 10,000 forks (or what the time allows) while four threads allocate. Whatever those were holding
// or had half done stays so in the child for ever, and it must not wait for it; it allocates and
// frees in every size. An alarm in the child turns a deadlock into a failure.
#include "../common.h"

#define THREADS 4
#define FORKS 10000
#define SECONDS 60

static atomic_bool stop;

static void *busy(void *number) {
    uint64_t stream = seed + (size_t)number;
    void *mine[64] = {0};
    while (!stop) {
        size_t i = below(&stream, COUNT(mine));
        free(mine[i]);
        // Small heaps, or fork itself takes all the time; some calls that reach the kernel.
        mine[i] = malloc(any_size(&stream, below(&stream, 100) ? 2 * KIB : 200 * KIB));
        CHECK(mine[i], "malloc");
        *(volatile char *)mine[i] = 1;
        if (below(&stream, 5000) == 0) malloc_trim(0);
    }
    for (size_t i = 0; i < COUNT(mine); i++) free(mine[i]);
    return NULL;
}

static void child_life(uint64_t stream) {
    alarm(20);
    void *block[24];
    for (size_t i = 0; i < COUNT(block); i++) {
        size_t n = any_size(&stream, i % 12 ? 4 * KIB : 4 * MIB);
        block[i] = i % 4 ? malloc(n) : calloc(1, n);
        CHECK(block[i], "malloc(%zu) in the child", n);
        *(volatile char *)block[i] = 1;
    }
    for (size_t i = 0; i < COUNT(block); i++) free(block[i]);
    _exit(0);
}

int main(void) {
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) threads[i] = start_thread(busy, (void *)i);
    double deadline = now() + patience(SECONDS);
    size_t forks = 0;
    for (; forks < FORKS && now() < deadline; forks++) {
        pid_t child = fork();
        CHECK(child >= 0, "fork %zu: %s", forks, strerror(errno));
        if (child == 0) child_life(seed * FORKS + forks);
        free(malloc(1 + forks));
        await_child(child, "fork while threads allocate");
    }
    stop = true;
    fprintf(stderr, "%zu forks\n", forks);
    for (size_t i = 0; i < THREADS; i++) join_thread(threads[i]);
}
