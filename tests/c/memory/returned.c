// skip: qemu -- what is resident is the emulator's
// control: skip -- glibc keeps 96 % after the random order
// timeout: 180
// A heap of 1 GiB in small blocks is freed, in random order, the last first, the first first: at
// least 90 % goes back to the system by itself, without malloc_trim, and while nothing else happens.
#include "../common.h"

#define AMOUNT GIB
#define MOST (AMOUNT / 100)

static void **block;

static size_t fill(uint64_t *stream) {
    size_t n = 0;
    for (size_t sum = 0; sum < AMOUNT; n++) {
        size_t size = between(stream, 16, 512);
        CHECK(n < MOST, "table of %zu", (size_t)MOST);
        block[n] = malloc(size);
        CHECK(block[n], "malloc(%zu)", size);
        memset(block[n], 1, size);
        sum += size;
    }
    return n;
}

int main(void) {
    uint64_t stream = seed;
    block = mmap(NULL, MOST * sizeof *block, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(block != MAP_FAILED, "mmap");
    memset(block, 1, MOST * sizeof *block);
    size_t start = resident();
    const char *const orders[] = {"random order", "the last first", "the first first"};
    for (size_t order = 0; order < COUNT(orders); order++) {
        size_t n = fill(&stream), full = growth(start, resident());
        CHECK(full >= AMOUNT && full < AMOUNT + AMOUNT / 5, "%.1f MiB for 1024", in_mib(full));
        if (order == 0) shuffle(&stream, block, n);
        for (size_t i = 0; i < n; i++) free(block[order == 1 ? n - 1 - i : i]);
        size_t kept = growth(start, resident());
        fprintf(stderr, "%s: %.1f MiB in use, then %.1f MiB kept\n", orders[order], in_mib(full), in_mib(kept));
        CHECK(kept <= full / 10, "%s: kept %.1f MiB", orders[order], in_mib(kept));
    }
}
