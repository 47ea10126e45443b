// skip: qemu -- what is resident is the emulator's
// A block grows to 1 GiB in steps of 8 MiB and shrinks again. Copying would need twice the memory
// at the end, and some 70 GiB of traffic; moving pages needs neither.
#include "../common.h"

#define STEP (8 * MIB)

int main(void) {
    size_t start = resident();
    char *p = malloc(STEP);
    CHECK(p, "malloc");
    memset(p, 1, STEP);
    for (size_t n = 2 * STEP; n <= GIB; n += STEP) {
        p = realloc(p, n);
        CHECK(p, "realloc to %zu", n);
        memset(p + n - STEP, (int)(n / STEP), STEP);
    }
    size_t peak = resident_peak() - start;
    for (size_t n = STEP; n <= GIB; n += STEP) {
        CHECK(p[n - STEP] == (char)(n / STEP) && p[n - 1] == (char)(n / STEP), "contents at %zu MiB", n / MIB);
    }
    for (size_t n = GIB; n > STEP; n -= 4 * STEP) {
        p = realloc(p, n);
        CHECK(p && p[n - 1] == (char)(n / STEP), "realloc down to %zu", n);
        size_t now_resident = growth(start, resident());
        CHECK(now_resident < n + 64 * MIB, "%.1f MiB for %zu", in_mib(now_resident), n / MIB);
    }
    free(p);
    fprintf(stderr, "peak %.1f MiB, at the end %.1f MiB\n", in_mib(peak), in_mib(growth(start, resident())));
    CHECK(peak < GIB + GIB / 5, "peak of %.1f MiB for 1 GiB", in_mib(peak));
    CHECK(growth(start, resident()) < 16 * MIB, "kept %.1f MiB", in_mib(growth(start, resident())));
}
