// skip: qemu -- the emulator keeps a megabyte of each thread that has gone
// control: skip -- glibc keeps it all
// 1,000 threads allocate 1 MiB each in small blocks and exit; then the main thread frees all of it.
// The owners cannot take it back, yet it must go back to the system.
#include "../common.h"

#define THREADS 1000
#define ALIVE 8

struct node {
    struct node *next;
};

static void *allocate(void *number) {
    uint64_t stream = seed + (size_t)number;
    struct node *list = NULL;
    for (size_t sum = 0; sum < MIB;) {
        size_t n = between(&stream, 16, 512);
        struct node *node = malloc(n);
        CHECK(node, "malloc(%zu)", n);
        memset(node, 1, n);
        node->next = list;
        list = node;
        sum += n;
    }
    return list;
}

int main(void) {
    static struct node *left[THREADS];
    size_t start = resident();
    for (size_t i = 0; i < THREADS; i += ALIVE) {
        pthread_t threads[ALIVE];
        for (size_t k = 0; k < ALIVE; k++) threads[k] = start_thread(allocate, (void *)(i + k));
        for (size_t k = 0; k < ALIVE; k++) left[i + k] = join_thread(threads[k]);
    }
    size_t full = resident();
    CHECK(full - start > 900 * MIB, "only %.1f MiB in use", in_mib(full - start));
    CHECK(full - start < 1400 * MIB, "%.1f MiB for 1,000 MiB of blocks", in_mib(full - start));
    for (size_t i = 0; i < THREADS; i++) {
        for (struct node *node = left[i], *next; node; node = next) {
            next = node->next;
            free(node);
        }
    }
    size_t kept = growth(start, resident());
    fprintf(stderr, "in use %.1f MiB, kept %.1f MiB\n", in_mib(full - start), in_mib(kept));
    CHECK(kept <= 16 * MIB, "kept %.1f MiB", in_mib(kept));
}
