// skip: qemu -- the emulator keeps a megabyte of each thread that has gone
// A thread allocates 16 MiB and dies; the main thread frees it all; then somebody else needs 16 MiB,
// of other sizes: the next thread, or the main thread itself. Memory freed after the death of its
// owner has no natural way home; over the generations it must not add up.
#include "../common.h"

// Who allocates and what repeats after 30 generations; so must the memory in use.
#define GENERATIONS 90
#define PERIOD 30
#define AMOUNT (16 * MIB)

static void **block;
static size_t blocks;

static void *allocate(void *size) {
    blocks = AMOUNT / (size_t)size;
    for (size_t i = 0; i < blocks; i++) {
        block[i] = malloc((size_t)size);
        CHECK(block[i], "malloc(%zu)", (size_t)size);
        memset(block[i], 1, (size_t)size);
    }
    return NULL;
}

int main(void) {
    uint64_t stream = seed;
    size_t sizes[] = {32, 48, 100, 250, 700, 1024, 3000, 10000, 32 * KIB, 100 * KIB};
    block = mmap(NULL, AMOUNT / 32 * sizeof *block, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(block != MAP_FAILED, "mmap");
    memset(block, 0, AMOUNT / 32 * sizeof *block);
    size_t start = resident(), early = 0, late = 0;
    for (size_t i = 0; i < GENERATIONS; i++) {
        void *size = (void *)sizes[i * 7 % COUNT(sizes)];
        if (i % 3 == 2) allocate(size);
        else join_thread(start_thread(allocate, size));
        size_t used = growth(start, resident());
        CHECK(used < 4 * AMOUNT, "generation %zu: %.1f MiB in use for 16 MiB", i, in_mib(used));
        if (i < PERIOD && used > early) early = used;
        if (i >= PERIOD && used > late) late = used;
        if (i % 2) shuffle(&stream, block, blocks);
        for (size_t k = 0; k < blocks; k++) free(block[k]);
    }
    CHECK(late < early + AMOUNT, "%.1f MiB in the first 30 generations, %.1f in the later ones",
          in_mib(early), in_mib(late));
}
