// skip: qemu -- the emulator keeps a megabyte of each thread that has gone
// A server's life (after the larson benchmark): a thread works on a set of blocks, replacing them at
// random, then hands the set to a successor that it starts itself, and exits. Blocks are freed by
// the descendants of who allocated them, while the ancestors are dying.
#include "../common.h"

#define LINES 4
#define BLOCKS 1000
#define ROUNDS 5000
#define SECONDS 4

struct line {
    struct { void *block; size_t size; uint64_t tag; } set[BLOCKS];
    uint64_t stream, tag;
    size_t generation;
    pthread_t thread;
};

static struct line lines[LINES];
static double deadline;
static pthread_barrier_t finished;

static void replace(struct line *l, size_t i) {
    CHECK(painted(l->set[i].block, l->set[i].size, l->set[i].tag), "generation %zu, block of %zu",
          l->generation, l->set[i].size);
    free(l->set[i].block);
    size_t n = any_size(&l->stream, 2 * KIB);
    l->set[i].block = malloc(n);
    CHECK(l->set[i].block, "malloc(%zu)", n);
    l->set[i].size = n;
    l->set[i].tag = ++l->tag;
    paint(l->set[i].block, n, l->tag);
}

static void *generation(void *argument) {
    struct line *l = argument;
    pthread_detach(pthread_self());
    for (size_t i = 0; i < ROUNDS; i++) replace(l, below(&l->stream, BLOCKS));
    l->generation++;
    if (now() < deadline) start_thread(generation, l);
    else pthread_barrier_wait(&finished);
    return NULL;
}

int main(void) {
    deadline = now() + patience(SECONDS);
    CHECK(pthread_barrier_init(&finished, NULL, LINES + 1) == 0, "pthread_barrier_init");
    for (size_t i = 0; i < LINES; i++) {
        lines[i].stream = seed + i;
        for (size_t k = 0; k < BLOCKS; k++) {
            // 16 bytes, painted with tag 0: as if it had been there already.
            lines[i].set[k].block = malloc(16);
            lines[i].set[k].size = 16;
            CHECK(lines[i].set[k].block, "malloc(16)");
            paint(lines[i].set[k].block, 16, 0);
        }
        start_thread(generation, &lines[i]);
    }
    struct timespec second = {1, 0};
    nanosleep(&second, NULL);
    size_t early = resident();
    pthread_barrier_wait(&finished);
    size_t late = resident();
    CHECK(late < early + early / 4 + 8 * MIB, "%.1f MiB early, %.1f MiB after %zu generations",
          in_mib(early), in_mib(late), lines[0].generation);
    for (size_t i = 0; i < LINES; i++) {
        for (size_t k = 0; k < BLOCKS; k++) free(lines[i].set[k].block);
    }
}
