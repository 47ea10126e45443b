// clause: life | fork while another thread gives memory back
// skip: qemu -- what is resident is the emulator's
// A fork at the moment when another thread is giving memory back: in the child that will never be
// finished. The child must all the same be able to give back what it frees, each time, like its parent.
#include "../common.h"

#define THREADS 3
#define FORKS 25
#define AMOUNT (16 * MIB)

static atomic_bool stop;

static void *give_back(void *number) {
    uint64_t stream = seed + (size_t)number;
    while (!stop) {
        void *block[40];
        for (size_t i = 0; i < COUNT(block); i++) {
            block[i] = malloc(between(&stream, 20 * KIB, 400 * KIB));
            CHECK(block[i], "malloc");
            *(volatile char *)block[i] = 1;
        }
        for (size_t i = 0; i < COUNT(block); i++) free(block[i]);
        malloc_trim(0);
    }
    return NULL;
}

static void child_life(uint64_t stream) {
    alarm(30);
    static void *block[AMOUNT / 32];
    size_t before = resident();
    for (int round = 0; round < 2; round++) {
        size_t n = 0;
        for (size_t sum = 0; sum < AMOUNT; n++) {
            size_t size = any_size(&stream, round ? 200 * KIB : 2 * KIB);
            block[n] = malloc(size);
            CHECK(block[n] && n < COUNT(block), "malloc(%zu)", size);
            memset(block[n], 1, size);
            sum += size < 32 ? 32 : size;
        }
        for (size_t i = 0; i < n; i++) free(block[i]);
        malloc_trim(0);
    }
    // The table stays, and so does what the kernel had to copy of the parent's.
    size_t more = growth(before, resident());
    CHECK(more < 10 * MIB, "a child kept %.1f MiB of 2 x 16", in_mib(more));
    _exit(0);
}

int main(void) {
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) threads[i] = start_thread(give_back, (void *)i);
    for (uint64_t i = 0; i < FORKS; i++) {
        pid_t child = fork();
        CHECK(child >= 0, "fork: %s", strerror(errno));
        if (child == 0) child_life(seed + i);
        await_child(child, "a child that frees");
    }
    stop = true;
    for (size_t i = 0; i < THREADS; i++) join_thread(threads[i]);
}
