// clause: POSIX pthread_exit | the first thread ends, its blocks live on
// skip: qemu -- what is resident is the emulator's
// main ends with pthread_exit: the first thread is gone, its destructors have run, the process
// lives on, and its blocks are still there for the others to use and to free.
#include "../common.h"

#define BLOCKS 5000

static void *block[BLOCKS];
static pthread_t main_thread;

static void *survivor(void *unused) {
    (void)unused;
    join_thread(main_thread);
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < BLOCKS; i++) {
            CHECK(painted(block[i], i + 1, i), "block of %zu", i + 1);
            if (i % 20 == (size_t)round) block[i] = realloc(block[i], i + 1);
            else free(block[i]), block[i] = malloc(i + 1);
            CHECK(block[i], "block of %zu", i + 1);
            paint(block[i], i + 1, i);
        }
    }
    for (size_t i = 0; i < BLOCKS; i++) free(block[i]);
    exit(0);
}

int main(void) {
    main_thread = pthread_self();
    for (size_t i = 0; i < BLOCKS; i++) {
        block[i] = malloc(i + 1);
        CHECK(block[i], "block of %zu", i + 1);
        paint(block[i], i + 1, i);
    }
    start_thread(survivor, NULL);
    pthread_exit(NULL);
}
