// clause: POSIX pthread_atfork | the handlers allocate and free
// skip: qemu -- a fork of the emulator while it has threads may hang by itself
// Handlers of pthread_atfork allocate and free: before the fork, and after it on both sides, some
// registered before the library's first call and some later, so on both sides of its own handlers.
#include "../common.h"

#define FORKS 120

static void *held[64];
static atomic_bool stop;

static void churn(void) {
    for (size_t i = 0; i < COUNT(held); i++) {
        size_t n = (i + 1) * 300;
        if (held[i]) CHECK(painted(held[i], n, i), "block %zu", i);
        if (i % 2) held[i] = realloc(held[i], n);
        else free(held[i]), held[i] = malloc(n);
        CHECK(held[i], "block of %zu", n);
        paint(held[i], n, i);
    }
    void *large = malloc(100 * KIB), *huge = malloc(3 * MIB);
    CHECK(large && huge, "large and huge");
    free(large);
    free(huge);
}
static void child_churn(void) {
    alarm(20);
    churn();
}

static void early(void) { CHECK(pthread_atfork(churn, churn, child_churn) == 0, "pthread_atfork"); }
__attribute__((section(".preinit_array"), used)) static void (*early_entry)(void) = early;

static void *busy(void *number) {
    uint64_t stream = seed + (size_t)number;
    void *mine[64] = {0};
    while (!stop) {
        size_t i = below(&stream, COUNT(mine));
        free(mine[i]);
        mine[i] = malloc(any_size(&stream, 16 * KIB));
        CHECK(mine[i], "malloc");
    }
    for (size_t i = 0; i < COUNT(mine); i++) free(mine[i]);
    return NULL;
}

int main(void) {
    free(malloc(100));
    CHECK(pthread_atfork(churn, churn, child_churn) == 0, "pthread_atfork");
    pthread_t threads[3];
    for (size_t i = 0; i < COUNT(threads); i++) threads[i] = start_thread(busy, (void *)i);
    for (int i = 0; i < FORKS; i++) {
        alarm(30);
        pid_t child = fork();
        CHECK(child >= 0, "fork: %s", strerror(errno));
        if (child == 0) _exit(0);
        await_child(child, "handlers that allocate");
    }
    alarm(0);
    stop = true;
    for (size_t i = 0; i < COUNT(threads); i++) join_thread(threads[i]);
}
