// skip: static -- the C library is a part of the program, and its pages count
// skip: qemu -- what is resident is the emulator's
// The smallest program: 20 blocks. What it costs is printed; most processes of a system are small,
// so a generous bound is kept on it, libc's own dirty pages included.
#include "../common.h"

int main(void) {
    static void *block[20];
    for (size_t i = 0; i < COUNT(block); i++) {
        block[i] = malloc(10 + i * i);
        CHECK(block[i], "malloc");
        memset(block[i], 1, 10 + i * i);
    }
    size_t dirty = proc_value("/proc/self/smaps_rollup", "Private_Dirty:");
    fprintf(stderr, "Private_Dirty: %zu KiB\n", dirty / KIB);
    CHECK(dirty < 300 * KIB, "%zu KiB of private dirty memory", dirty / KIB);
}
