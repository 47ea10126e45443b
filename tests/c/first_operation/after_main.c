// clause: C 7.22.4.4 | functions registered by atexit allocate and free
// clause: life | after main, in exit handlers and destructors
// Allocation after main: in exit handlers, in destructors, after stdio was closed, while a thread
// still runs. Blocks from before are freed there, and new ones are made, until the last moment.
#include "../common.h"

#define HANDLERS 80

static void *block[200];
static int handlers;

static void churn(void) {
    for (size_t i = 0; i < COUNT(block); i++) {
        if (block[i]) CHECK(painted(block[i], 100 + i * 50, i), "block %zu", i);
        if (i % 3 == 0) free(block[i]), block[i] = malloc(100 + i * 50);
        else if (i % 3 == 1) block[i] = realloc(block[i], 100 + i * 50);
        else if (!block[i]) block[i] = calloc(1, 100 + i * 50);
        CHECK(block[i], "block %zu", i);
        paint(block[i], 100 + i * 50, i);
    }
    void *large = malloc(300 * KIB), *huge = calloc(1, 5 * MIB);
    CHECK(large && huge, "large and huge");
    free(large);
    free(huge);
}

static void handler(void) {
    handlers++;
    churn();
    // One more, registered while they run.
    if (handlers <= HANDLERS / 2) CHECK(atexit(handler) == 0, "atexit");
}

__attribute__((noreturn)) static void *keep_going(void *unused) {
    (void)unused;
    uint64_t stream = seed;
    void *mine[64] = {0};
    for (;;) {
        size_t i = below(&stream, COUNT(mine));
        free(mine[i]);
        mine[i] = malloc(any_size(&stream, 64 * KIB));
    }
}

__attribute__((destructor)) static void destructor(void) {
    CHECK(handlers == HANDLERS, "%d handlers ran", handlers);
    churn();
}
/// Runs after every other destructor of the program.
__attribute__((destructor(101))) static void last_destructor(void) {
    churn();
    for (size_t i = 0; i < COUNT(block); i += 2) free(block[i]);
    // Whatever goes wrong from here on still must be seen: the status is the only witness left.
}

int main(void) {
    churn();
    // Together more than the 32 for which libc has room without allocating.
    for (int i = 0; i < HANDLERS / 2; i++) CHECK(atexit(handler) == 0, "atexit");
    start_thread(keep_going, NULL);
    printf("buffered output, flushed and freed by exit\n");
    exit(0);
}
