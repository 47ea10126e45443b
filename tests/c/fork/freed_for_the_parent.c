// clause: life | what was freed for the forking thread is free in the child
// Another thread has freed blocks of the thread that then forks, which has not noticed yet. They are
// free in the child, too: it finds the memory again when it needs it.
#include "../common.h"

#define BLOCKS 400000
#define SIZE 112

static void *block[BLOCKS];

static void *free_all(void *unused) {
    for (size_t i = 0; i < BLOCKS; i++) free(block[i]);
    return unused;
}

int main(void) {
    for (int round = 0; round < 5; round++) {
        for (size_t i = 0; i < BLOCKS; i++) {
            block[i] = malloc(SIZE);
            CHECK(block[i], "malloc");
            memset(block[i], 1, SIZE);
        }
        size_t full = resident();
        join_thread(start_thread(free_all, NULL));
        pid_t child = fork();
        CHECK(child >= 0, "fork: %s", strerror(errno));
        if (child == 0) {
            alarm(30);
            for (size_t i = 0; i < BLOCKS; i++) {
                block[i] = malloc(SIZE);
                CHECK(block[i], "malloc in the child");
                memset(block[i], 1, SIZE);
            }
            size_t more = growth(full, resident());
            CHECK(more < BLOCKS * SIZE / 4, "round %d: the child needed %.1f MiB more", round, in_mib(more));
            _exit(0);
        }
        await_child(child, "a child that needs what was freed");
    }
}
