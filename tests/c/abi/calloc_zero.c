// clause: C 7.22.3.2 | calloc: all bits are zero, also of memory that was used before
// clause: glibc 3.2.3.5 | cleared space
// calloc is zero although the memory was dirty a moment ago. An allocator skips the clearing of
// memory that it knows the kernel has just cleared; here it must not be mistaken about that: the
// blocks are recycled through every path (same class, another class, purged, another thread).
#include "../common.h"

#define LIVE 48

static void *block[LIVE];

static size_t amount(size_t n) { return n <= 32 * KIB ? LIVE : n <= 2 * MIB ? 12 : 4; }

static void dirty(size_t n) {
    for (size_t i = 0; i < amount(n); i++) {
        block[i] = malloc(n);
        CHECK(block[i], "malloc(%zu)", n);
        memset(block[i], 0xFF, malloc_usable_size(block[i]));
    }
}
static void release(size_t n) {
    for (size_t i = 0; i < amount(n); i++) free(block[i]);
}
static void *dirty_and_leave(void *size) {
    dirty((size_t)size);
    return NULL;
}

static void expect_zero(size_t n, const char *after) {
    for (size_t i = 0; i < amount(n); i++) {
        block[i] = i % 2 ? calloc(1, n) : calloc(n, 1);
        CHECK(block[i], "calloc(%zu)", n);
        CHECK(all_zero(block[i], n), "size %zu, after %s", n, after);
        memset(block[i], 0xFF, malloc_usable_size(block[i]));
    }
    release(n);
}

static void each_path(size_t n, uint64_t *stream) {
    dirty(n);
    release(n);
    expect_zero(n, "the same size");

    dirty(n);
    release(n);
    expect_zero(n / 2 + 1, "twice the size");
    expect_zero(n * 2, "half the size");

    dirty(n);
    release(n);
    malloc_trim(0);
    expect_zero(n, "a trim");

    dirty(n);
    for (size_t i = 0; i < amount(n); i += 2) free(block[i]);
    malloc_trim(0);
    for (size_t i = 1; i < amount(n); i += 2) free(block[i]);
    expect_zero(n, "a partial trim");

    join_thread(start_thread(dirty_and_leave, (void *)n));
    release(n);
    expect_zero(n, "a thread that has gone");

    // Shrunk and grown blocks leave tails whose state is easily recorded wrong.
    dirty(n);
    for (size_t i = 0; i < amount(n); i++) {
        block[i] = realloc(block[i], n / 4 + 1);
        if (i % 2) block[i] = realloc(block[i], n + n / 2);
        CHECK(block[i], "realloc around %zu", n);
        memset(block[i], 0xFF, malloc_usable_size(block[i]));
    }
    release(n);
    expect_zero(n, "realloc");

    size_t odd = n - below(stream, n / 8 + 1);
    dirty(odd);
    release(odd);
    expect_zero(n, "a slightly smaller size");
}

int main(void) {
    uint64_t stream = seed;
    size_t sizes[] = {1,         8,         16,       24,        100,       256,      1000,
                      1024,      1025,      4 * KIB,  10 * KIB,  32 * KIB,  40 * KIB, 64 * KIB,
                      100 * KIB, 256 * KIB, 1 * MIB,  2 * MIB,   2 * MIB + 1, 3 * MIB,  9 * MIB};
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < COUNT(sizes); i++) each_path(sizes[i], &stream);
    }
    // Aligned blocks leave gaps before and behind them.
    for (size_t alignment = 32; alignment <= 2 * MIB; alignment *= 4) {
        for (size_t i = 0; i < 8; i++) {
            block[i] = memalign(alignment, 5000);
            CHECK(block[i], "memalign(%zu)", alignment);
            memset(block[i], 0xFF, malloc_usable_size(block[i]));
        }
        for (size_t i = 0; i < 8; i++) free(block[i]);
        expect_zero(5000, "aligned blocks");
        expect_zero(alignment, "aligned blocks");
    }
}
