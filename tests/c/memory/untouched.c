// clause: glibc 3.2.3.5 | calloc of much memory touches none of it
// skip: qemu -- what is resident is the emulator's
// skip: 32-bit -- the address space is too small
// What the program has not touched is not resident: fresh memory is known to be zero, and calloc
// must not write it; a large malloc must not either; nor the part of a realloc that is new.
#include "../common.h"

static void expect(size_t before, const char *what) {
    size_t more = growth(before, resident());
    CHECK(more < 12 * MIB, "%s made %.1f MiB resident", what, in_mib(more));
}

int main(void) {
    size_t before = resident();
    char *zero = calloc(GIB / 8, 8), *plain = malloc(GIB), *aligned = memalign(4 * MIB, GIB);
    CHECK(zero && plain && aligned, "3 GiB of address space");
    expect(before, "three blocks of 1 GiB");
    for (size_t i = 0; i < GIB; i += 64 * MIB) CHECK(zero[i] == 0, "calloc at %zu", i);
    zero = realloc(zero, 2 * GIB);
    CHECK(zero, "realloc to 2 GiB");
    expect(before, "growing one to 2 GiB");
    free(zero);
    free(plain);
    free(aligned);

    // Large blocks, and their second lives: what was given back is zero again.
    for (int round = 0; round < 3; round++) {
        void *large[64];
        for (size_t i = 0; i < COUNT(large); i++) {
            large[i] = calloc(1, 1536 * KIB);
            CHECK(large[i], "calloc");
        }
        // The first round only: later ones may find a bounded amount of dirty memory to clear.
        if (round == 0) expect(before, "64 blocks of 1.5 MiB");
        for (size_t i = 0; i < COUNT(large); i++) {
            CHECK(all_zero(large[i], 1536 * KIB), "round %d, block %zu", round, i);
            memset(large[i], 1, 1536 * KIB);
        }
        for (size_t i = 0; i < COUNT(large); i++) free(large[i]);
        malloc_trim(0);
    }
    expect(before, "after everything was freed and trimmed");
}
