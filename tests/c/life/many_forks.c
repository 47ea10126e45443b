// clause: life | five threads allocate over 100 forks, and every child allocates
// skip: qemu -- a fork of the emulator while it has threads may hang by itself
// Five threads allocate, each in its own way, while the main thread forks 100 times; every child allocates in every size, starts a
// thread that does, and frees blocks of all five.
#include "../common.h"

static atomic_bool stop;
static void *_Atomic offered[5][64];

static void *busy(void *which) {
    size_t me = (size_t)which;
    uint64_t stream = seed + me;
    while (!stop) {
        size_t n = me == 0 ? 24 : me == 1 ? 900 : me == 2 ? any_size(&stream, 30 * KIB) : any_size(&stream, 3 * MIB);
        void *p = me == 4 ? calloc(1, n) : malloc(n);
        CHECK(p, "malloc(%zu)", n);
        *(char *)p = 1;
        free(atomic_exchange(&offered[me][below(&stream, 64)], p));
    }
    return NULL;
}

static void *in_the_child(void *unused) {
    (void)unused;
    for (size_t n = 1; n < 8 * MIB; n += n / 2 + 1) {
        char *p = malloc(n), *q = calloc(1, n);
        CHECK(p && q && q[n - 1] == 0, "size %zu", n);
        p[n - 1] = 1;
        p = realloc(p, 2 * n);
        CHECK(p && p[n - 1] == 1, "realloc to %zu", 2 * n);
        free(p);
        free(q);
    }
    return NULL;
}

int main(void) {
    pthread_t thread[5];
    for (size_t i = 0; i < 5; i++) thread[i] = start_thread(busy, (void *)i);
    for (int round = 0; round < 100; round++) {
        pid_t child = fork();
        CHECK(child >= 0, "fork: %s", strerror(errno));
        if (child == 0) {
            alarm(60);
            in_the_child(NULL);
            for (size_t i = 0; i < 5; i++) free(offered[i][round % 64]);
            join_thread(start_thread(in_the_child, NULL));
            _exit(0);
        }
        await_child(child, "five threads");
    }
    stop = true;
    for (size_t i = 0; i < 5; i++) join_thread(thread[i]);
}
