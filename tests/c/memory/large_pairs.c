// skip: qemu -- what is resident is the emulator's
// Large and huge blocks, allocated and freed in turn: neither the resident memory nor the address
// space grows, whether the program has one at a time or a few, and whatever sizes take turns.
#include "../common.h"

static void touch(void *p, size_t n) {
    for (size_t i = 0; i < n; i += 4 * KIB) ((volatile char *)p)[i] = 1;
}

static void measured(const char *what, size_t resident_before, size_t space_before) {
    size_t more = growth(resident_before, resident()), space = growth(space_before, address_space());
    // An allocator may keep what is likely to be wanted again, but not without bound: ralloc up to what was in use at once, which is the
    // largest block.
    CHECK(more < 116 * MIB, "%s: %.1f MiB more resident", what, in_mib(more));
    CHECK(space < 160 * MIB, "%s: %.1f MiB more address space", what, in_mib(space));
}

int main(void) {
    size_t before = resident(), space = address_space();
    size_t sizes[] = {40 * KIB, 64 * KIB,     65 * KIB, 100 * KIB, 300 * KIB, 1 * MIB,
                      2 * MIB,  2 * MIB + 1,  3 * MIB,  5 * MIB,   20 * MIB,  100 * MIB};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        // A gigabyte of each, so that losing one block in 16 is seen.
        for (size_t sum = 0; sum < GIB; sum += sizes[i]) {
            void *p = malloc(sizes[i]);
            CHECK(p, "malloc(%zu)", sizes[i]);
            touch(p, sizes[i]);
            free(p);
        }
        measured("pairs of one size", before, space);
    }

    uint64_t stream = seed;
    void *few[6] = {0};
    for (int turn = 0; turn < 6000; turn++) {
        size_t k = below(&stream, COUNT(few)), n = 32 * KIB + any_size(&stream, turn % 8 ? 2 * MIB : 8 * MIB);
        free(few[k]);
        few[k] = turn % 5 ? malloc(n) : memalign(256 * KIB, n);
        CHECK(few[k], "allocation of %zu", n);
        touch(few[k], n);
    }
    for (size_t k = 0; k < COUNT(few); k++) free(few[k]);
    measured("a few at a time", before, space);

    // Many at once, and back to nothing; the sizes change between the rounds.
    static void *many[2000];
    for (size_t round = 0; round < 10; round++) {
        for (size_t k = 0; k < COUNT(many); k++) {
            many[k] = malloc((33 + round * 20) * KIB);
            CHECK(many[k], "malloc");
            touch(many[k], (33 + round * 20) * KIB);
        }
        shuffle(&stream, many, COUNT(many));
        for (size_t k = 0; k < COUNT(many); k++) free(many[k]);
    }
    measured("many at once", before, space);

    for (size_t alignment = 64 * KIB; alignment <= 64 * MIB; alignment *= 2) {
        for (int turn = 0; turn < 100; turn++) {
            void *p = memalign(alignment, 1 + below(&stream, 4 * MIB));
            CHECK(p && is_aligned(p, alignment), "memalign(%zu)", alignment);
            *(volatile char *)p = 1;
            free(p);
        }
    }
    measured("aligned", before, space);
}
