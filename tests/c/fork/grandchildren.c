// clause: life | children of children, with threads
// skip: qemu -- a fork of the emulator while it has threads may hang by itself
// A child forks again, and starts threads, and its child does the same: after a fork the library is
// whole, not just usable. Ten generations, each with allocating threads while it forks the next.
#include "../common.h"

#define GENERATIONS 10
#define THREADS 3
#define TREES 12

static atomic_bool stop;
static void *left[THREADS];

static void *busy(void *number) {
    uint64_t stream = seed + (size_t)number;
    void *mine[200] = {0};
    do {
        size_t i = below(&stream, COUNT(mine));
        free(mine[i]);
        mine[i] = malloc(any_size(&stream, 8 * KIB));
        CHECK(mine[i], "malloc");
        *(volatile char *)mine[i] = 1;
    } while (!stop);
    for (size_t i = 1; i < COUNT(mine); i++) free(mine[i]);
    left[(size_t)number] = mine[0];
    return NULL;
}

static void generation(int n, void *heirloom) {
    alarm(60);
    CHECK(painted(heirloom, 1000, (uint64_t)n), "generation %d: heirloom", n);
    free(heirloom);
    heirloom = malloc(1000);
    CHECK(heirloom, "malloc in generation %d", n);
    paint(heirloom, 1000, (uint64_t)n + 1);
    if (n == GENERATIONS) return;

    stop = false;
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) threads[i] = start_thread(busy, (void *)i);
    pid_t child = fork();
    CHECK(child >= 0, "fork in generation %d: %s", n, strerror(errno));
    if (child == 0) {
        generation(n + 1, heirloom);
        // Not _exit: the exit handlers of libraries run in grandchildren as well.
        exit(0);
    }
    stop = true;
    for (size_t i = 0; i < THREADS; i++) {
        join_thread(threads[i]);
        free(left[i]);
        left[i] = NULL;
    }
    await_child(child, "a generation");
    CHECK(painted(heirloom, 1000, (uint64_t)n + 1), "generation %d: its child changed the heirloom", n);
    free(heirloom);
}

int main(void) {
    for (int tree = 0; tree < TREES; tree++) {
        void *heirloom = malloc(1000);
        CHECK(heirloom, "malloc");
        paint(heirloom, 1000, 0);
        generation(0, heirloom);
    }
}
