// control: skip musl -- it needs more
// skip: qemu -- what is resident is the emulator's
// A program changes its mind: 256 MiB of one size, all freed, then 256 MiB of the next. Memory that
// served one size class must serve any other; if each class kept its own, the sum would be paid.
#include "../common.h"

#define AMOUNT (256 * MIB)

int main(void) {
    size_t sizes[] = {64, 80, 112, 200, 1000, 1100, 4000, 20000, 40000, 500000, 32, 3000000, 48};
    void **block = mmap(NULL, AMOUNT / 32 * sizeof *block, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(block != MAP_FAILED, "mmap");
    memset(block, 1, AMOUNT / 32 * sizeof *block);
    size_t start = resident();
    for (size_t i = 0; i < COUNT(sizes); i++) {
        size_t n = AMOUNT / sizes[i];
        for (size_t k = 0; k < n; k++) {
            block[k] = malloc(sizes[i]);
            CHECK(block[k], "malloc(%zu)", sizes[i]);
            for (size_t at = 0; at < sizes[i]; at += 4 * KIB) ((char *)block[k])[at] = 1;
            ((char *)block[k])[sizes[i] - 1] = 1;
        }
        size_t used = growth(start, resident());
        // glibc needs 48 bytes for 32; nobody needs more than half on top.
        CHECK(used < AMOUNT + AMOUNT / 2 + 16 * MIB, "%.1f MiB for 256 MiB of %zu-byte blocks", in_mib(used), sizes[i]);
        for (size_t k = 0; k < n; k++) free(block[k]);
    }
}
