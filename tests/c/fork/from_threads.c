// clause: life | several threads fork at once
// skip: qemu -- a fork of the emulator while it has threads may hang by itself
// Several threads fork at the same time, and in the child the thread that did is the only one, and
// not the first one of the process: it starts threads, frees what the others had, and exits.
#include "../common.h"

#define THREADS 4
#define FORKS 250
#define BLOCKS 300

static struct { void *block[BLOCKS]; } held[THREADS];
static pthread_barrier_t filled;

static void fill(size_t who) {
    for (size_t i = 0; i < BLOCKS; i++) {
        held[who].block[i] = malloc(20 + i * 5);
        CHECK(held[who].block[i], "malloc");
        paint(held[who].block[i], 20 + i * 5, who);
    }
}
static void *thread_of_child(void *number) {
    void *p = malloc(5000 + (size_t)number);
    CHECK(p, "malloc in a thread of the child");
    paint(p, 5000, (size_t)number);
    return p;
}

static void child_life(size_t me) {
    alarm(30);
    for (size_t who = 0; who < THREADS; who++) {
        // The others are replacing theirs all the time; only our own are known to be whole.
        if (who != me) continue;
        for (size_t i = 0; i < BLOCKS; i++) {
            CHECK(painted(held[who].block[i], 20 + i * 5, who), "block %zu of thread %zu", i, who);
            free(held[who].block[i]);
        }
    }
    pthread_t threads[2];
    for (size_t i = 0; i < 2; i++) threads[i] = start_thread(thread_of_child, (void *)i);
    for (size_t i = 0; i < 2; i++) {
        void *p = join_thread(threads[i]);
        CHECK(painted(p, 5000, i), "block of the child's thread");
        free(p);
    }
    exit(0);
}

static void *fork_often(void *number) {
    size_t me = (size_t)number;
    uint64_t stream = seed + me;
    fill(me);
    pthread_barrier_wait(&filled);
    for (int i = 0; i < FORKS; i++) {
        pid_t child = fork();
        CHECK(child >= 0, "fork: %s", strerror(errno));
        if (child == 0) child_life(me);
        for (int k = 0; k < 200; k++) {
            size_t at = below(&stream, BLOCKS);
            free(held[me].block[at]);
            held[me].block[at] = malloc(20 + at * 5);
            CHECK(held[me].block[at], "malloc");
            paint(held[me].block[at], 20 + at * 5, me);
        }
        await_child(child, "fork in several threads");
    }
    return NULL;
}

int main(void) {
    CHECK(pthread_barrier_init(&filled, NULL, THREADS) == 0, "pthread_barrier_init");
    run_threads(THREADS, fork_often);
}
