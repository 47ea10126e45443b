// clause: POSIX mprotect | parts of blocks that were given other properties, and back, are realloc'd and freed
// A program may give parts of its blocks other properties (madvise, mlock, mprotect and back): then the
// kernel keeps them as several mappings, and calls that span them behave differently: mremap refuses.
// realloc keeps the contents all the same, and free gives everything back.
#include "../common.h"

/// Something about a page in the middle that makes it a mapping of its own.
static void mark(char *page, int way) {
    switch (way) {
    case 0: CHECK(madvise(page, 4096, MADV_DONTDUMP) == 0, "MADV_DONTDUMP: %s", strerror(errno)); break;
    case 1: CHECK(mlock(page, 4096) == 0, "mlock: %s", strerror(errno)); break;
    case 2:
        CHECK(mprotect(page, 4096, PROT_READ) == 0, "mprotect: %s", strerror(errno));
        CHECK(mprotect(page, 4096, PROT_READ | PROT_WRITE) == 0, "mprotect: %s", strerror(errno));
        break;
    case 3: CHECK(madvise(page, 4096, MADV_RANDOM) == 0, "MADV_RANDOM: %s", strerror(errno)); break;
    }
}

int main(void) {
    size_t sizes[] = {40 * KIB, 100 * KIB, 1 * MIB, 2 * MIB, 3 * MIB, 9 * MIB, 40 * MIB};
    size_t start = address_space();
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < COUNT(sizes); i++) {
            size_t n = sizes[i];
            char *p = malloc(n);
            CHECK(p, "malloc(%zu)", n);
            paint(p, n, i);
            // The middle, the last whole page, or both.
            char *middle = (char *)(((uintptr_t)p + n / 2) & ~(uintptr_t)4095);
            char *last = (char *)((((uintptr_t)p + n) & ~(uintptr_t)4095) - 4096);
            if (round / 4 % 3 != 1) mark(middle, round % 4);
            if (round / 4 % 3 != 0) mark(last, round % 4);
            // Something behind it, so that it has to move.
            void *fence = round % 2 ? malloc(n) : NULL;
            p = realloc(p, 2 * n);
            CHECK(p && prefix_painted(p, n, i), "realloc of %zu, marked in way %d", n, round % 4);
            paint(p, 2 * n, i);
            p = realloc(p, n / 2);
            CHECK(p && prefix_painted(p, n / 2, i), "shrinking to %zu, marked in way %d", n / 2, round % 4);
            free(p);
            free(fence);
            p = calloc(1, n);
            CHECK(p && all_zero(p, n), "calloc(%zu) after way %d", n, round % 4);
            free(p);
        }
    }
    malloc_trim(0);
    // The addresses are counted with the emulator's own, which maps as much as it likes.
    size_t more = is_emulated() ? 0 : growth(start, address_space());
    CHECK(more < 256 * MIB, "%.1f MiB of address space were lost", in_mib(more));
}
