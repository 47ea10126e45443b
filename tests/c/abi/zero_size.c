// clause: C 7.22.3 | size zero: a null pointer or a unique one; here a unique one, as in glibc
// clause: C 7.22.3.3 | free: a null pointer does nothing
// clause: glibc 3.2.3.4 | realloc to zero frees the block
// control: skip musl -- its realloc to zero gives an empty block
// Zero bytes and no block, as glibc has it and programs expect it: malloc(0) is a block like any
// other, unique until freed; realloc(p, 0) frees; free(NULL) does nothing.
#include "../common.h"

#define LIVE 1000

static int by_address(const void *a, const void *b) {
    uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;
    return (x > y) - (x < y);
}

static void *empty_block(size_t way) {
    void *p = NULL;
    switch (way % 10) {
    case 0: return malloc(0);
    case 1: return calloc(0, 0);
    case 2: return calloc(0, SIZE_MAX);
    case 3: return calloc(SIZE_MAX, 0);
    case 4: return realloc(NULL, 0);
    case 5: return reallocarray(NULL, 0, SIZE_MAX);
    case 6: return aligned_alloc(64, 0);
    case 7: return memalign(4096, 0);
    case 8: return valloc(0);
    default: CHECK(posix_memalign(&p, 256, 0) == 0, "posix_memalign of nothing"); return p;
    }
}

int main(void) {
    free(NULL);
    static void *block[LIVE];
    for (size_t i = 0; i < LIVE; i++) {
        block[i] = empty_block(i);
        CHECK(block[i], "way %zu gave NULL", i % 10);
        CHECK(is_aligned(block[i], 16), "way %zu gave %p", i % 10, block[i]);
        memset(block[i], 1, malloc_usable_size(block[i]));
    }
    static void *sorted[LIVE];
    memcpy(sorted, block, sizeof block);
    qsort(sorted, LIVE, sizeof *sorted, by_address);
    for (size_t i = 1; i < LIVE; i++) CHECK(sorted[i] != sorted[i - 1], "%p twice", sorted[i]);
    for (size_t i = 0; i < LIVE; i++) {
        // An empty block can grow into a real one.
        if (i % 2) {
            block[i] = realloc(block[i], i);
            CHECK(block[i], "realloc of an empty block to %zu", i);
            paint(block[i], i, i);
        }
    }
    for (size_t i = 0; i < LIVE; i++) {
        if (i % 2) CHECK(painted(block[i], i, i), "block of %zu", i);
        free(block[i]);
    }

    // If realloc(p, 0) did not free, this would leave more than 1 GiB.
    size_t before = resident();
    size_t sizes[] = {1, 40, 1000, 5000, 100 * KIB, 3 * MIB};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        for (size_t sum = 0; sum < 256 * MIB; sum += sizes[i] < 256 ? 256 : sizes[i]) {
            void *p = malloc(sizes[i]);
            CHECK(p, "malloc(%zu)", sizes[i]);
            *(volatile char *)p = 1;
            void *nothing = sum % 512 ? reallocarray(p, 0, 8) : realloc(p, 0);
            CHECK(nothing == NULL, "realloc(%zu to 0) gave %p", sizes[i], nothing);
        }
    }
    CHECK(growth(before, resident()) < 32 * MIB, "realloc(p, 0) left %.1f MiB",
          in_mib(growth(before, resident())));
    for (int i = 0; i < 1000; i++) free(NULL);
    CHECK(malloc_usable_size(NULL) == 0, "of NULL: %zu", malloc_usable_size(NULL));
}
