// skip: qemu -- what is resident is the emulator's
// skip: 32-bit -- the address space is too small
// Thousands of huge blocks at the same time, each barely used: found again by address whenever they are
// measured, resized or freed, and gone without a trace, addresses included, when they are freed.
#include "../common.h"

#define BLOCKS 6000

static struct { char *block; size_t size; } held[BLOCKS];

static void verify(size_t i) {
    CHECK(malloc_usable_size(held[i].block) >= held[i].size, "block %zu", i);
    CHECK(held[i].block[0] == (char)i && held[i].block[held[i].size - 1] == (char)i, "contents of block %zu", i);
}
static void note(size_t i, char *p, size_t n) {
    CHECK(p, "block %zu of %zu bytes", i, n);
    p[0] = p[n - 1] = (char)i;
    held[i].block = p;
    held[i].size = n;
}

int main(void) {
    uint64_t stream = seed;
    size_t before = resident(), space = address_space();
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < BLOCKS; i++) {
            size_t n = 2 * MIB + 1 + below(&stream, 6 * MIB);
            note(i, malloc(n), n);
        }
        CHECK(growth(before, resident()) < BLOCKS * 16 * KIB, "%.1f MiB resident for %d blocks",
              in_mib(growth(before, resident())), BLOCKS);
        for (size_t turn = 0; turn < BLOCKS; turn++) {
            size_t i = below(&stream, BLOCKS);
            verify(i);
            if (turn % 64 == 0) {
                size_t n = held[i].size + between(&stream, 1, 4 * MIB), last = held[i].size - 1;
                char *p = realloc(held[i].block, n);
                CHECK(p && p[0] == (char)i && p[last] == (char)i, "realloc of block %zu", i);
                note(i, p, n);
            } else {
                free(held[i].block);
                size_t n = 2 * MIB + 1 + below(&stream, 6 * MIB);
                note(i, malloc(n), n);
            }
        }
        for (size_t i = 0; i < BLOCKS; i++) {
            size_t k = i * 7919 % BLOCKS;
            verify(k);
            free(held[k].block);
        }
    }
    malloc_trim(0);
    CHECK(growth(before, resident()) < 12 * MIB, "kept %.1f MiB", in_mib(growth(before, resident())));
    CHECK(growth(space, address_space()) < 160 * MIB, "kept %.1f MiB of address space",
          in_mib(growth(space, address_space())));
}
